"""Matrix products on a GPU: cuBLAS by CuPy, and what follows a product, bias and activation, in one kernel.

float32 is multiplied as float32. TF32, which keeps 10 bits of an operand's mantissa, is used only inside of `precision`.
"""

import contextlib
import functools
import importlib
import math

import numpy as np

from . import runtime

#: The activations that a product can end with, and their numbers in ``matmul.cu``.
ACTIVATIONS = {None: 0, "relu": 1, "sigmoid": 2, "tanh": 3}
#: Into how many parts the rows of a sum of columns are divided, at most.
PARTS = 128


def matmul(a, b):
    """The matrix product over the last two axes, the others broadcast, as ``numpy.matmul``: cuBLAS, also for batches."""
    return runtime.xp().matmul(a, b)


@contextlib.contextmanager
def precision(name):
    """Within this context float32 products are computed in this precision.

    Parameters
    ----------
    name : str
        ``"float32"``, or ``"tf32"``: tensor cores, with operands rounded to 10 bits and sums in float32.

    Raises
    ------
    ValueError
        Where there is no such precision.
    """
    if name not in ("float32", "tf32"):
        raise ValueError(f"precision: {name!r} is unknown; pass 'float32' or 'tf32'")
    core = importlib.import_module("cupy._core._routines_linalg")
    before = core.get_compute_type(np.dtype(np.float32))
    core.set_compute_type(np.dtype(np.float32), core.COMPUTE_TYPE_TF32 if name == "tf32" else core.COMPUTE_TYPE_FP32)
    try:
        yield
    finally:
        core.set_compute_type(np.dtype(np.float32), before)


def _constants(dtype, activation=None):
    return {"ELEMENT": dtype, "ACTIVATION": ACTIVATIONS[activation]}


def _grid(n):
    return min(runtime.blocks(n), 1 << 20)


def linear(x, weight, bias=None, activation=None):
    """``activation(x @ weight.T + bias)``.

    Parameters
    ----------
    x : ndarray (..., in)
    weight : ndarray (out, in)
    bias : ndarray (out,), or None
    activation : None, "relu", "sigmoid" or "tanh"

    Returns
    -------
    ndarray (..., out)
    """
    # As one product of matrices: a batch of small ones would be slower.
    y = matmul(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), weight.T).reshape(*x.shape[:-1], weight.shape[0])
    if bias is not None or activation is not None:
        args = y, bias, np.int64(y.size), weight.shape[0]
        runtime.launch("matmul.cu", "epilogue", _grid(y.size), runtime.THREADS, args, **_constants(y.dtype, activation))
    return y


def activation_gradient(dy, y, activation):
    """The gradient before the activation: `dy` times its derivative, by its result y (arrays of one shape and dtype)."""
    xp = runtime.xp()
    dy, y = xp.ascontiguousarray(dy), xp.ascontiguousarray(y)
    dz, constants = xp.empty(y.shape, y.dtype), _constants(y.dtype, activation)
    args = dy, y, dz, np.int64(y.size)
    runtime.launch("matmul.cu", "epilogue_gradient", _grid(y.size), runtime.THREADS, args, **constants)
    return dz


def bias_gradient(d):
    """The sum over all axes but the last, in float64 and in the same order at every run.

    Parameters
    ----------
    d : ndarray (..., out)

    Returns
    -------
    ndarray (out,) of d's dtype
    """
    xp, columns = runtime.xp(), d.shape[-1]
    rows = math.prod(d.shape[:-1])
    count = max(1, min(rows // 64, PARTS))
    parts, out = xp.empty((count, columns), np.float64), xp.empty(columns, d.dtype)
    launch = functools.partial(runtime.launch, "matmul.cu", **_constants(d.dtype))
    args = xp.ascontiguousarray(d), parts, np.int64(rows), columns
    launch("column_parts", (runtime.blocks(columns, 32), count), (32, 8), args)
    launch("sum_of_column_parts", _grid(columns), runtime.THREADS, (parts, out, count, columns))
    return out
