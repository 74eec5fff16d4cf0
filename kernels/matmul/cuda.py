"""Matrix products on a GPU: cuBLAS by CuPy, and what follows a product, bias and activation, in one kernel.

float32 is multiplied as float32, but within `nnscratch.use_precision`, where ``cublas.py`` takes over.
"""

import functools
import math

import numpy as np

from ..cuda import cublas, runtime
from ..cuda.precision import chosen
from .definition import einsum_by

#: The activations that a product can end with, and their numbers in ``matmul.cu``.
ACTIVATIONS = {None: 0, "relu": 1, "tanh": 2}
#: Into how many parts the rows of a sum of columns are divided, at most.
PARTS = 128


def matmul(a, b):
    """The matrix product over the last two axes, the others broadcast, as ``numpy.matmul``: cuBLAS, also for batches.

    Parameters
    ----------
    a, b : ndarray (..., n, k) and (..., k, m), or vectors

    Returns
    -------
    ndarray (..., n, m)
    """
    product, precision = runtime.xp().matmul, chosen(a, b)
    if precision is not None:
        product = functools.partial(cublas.product, precision=precision)
        a, b = cublas.rounded(a, precision), cublas.rounded(b, precision)
    if a.ndim > 2 and b.ndim == 2:
        # As one product of matrices: a batch of small ones would be slower.
        return product(_rows(a), b).reshape(*a.shape[:-1], b.shape[1])
    return product(a, b)


def _rows(x):
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


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
    activation : None, "relu" or "tanh"

    Returns
    -------
    ndarray (..., out)
    """
    y = matmul(x, weight.T)
    if bias is not None and (bias.dtype != y.dtype or y.dtype.kind != "f"):
        y, bias = y + bias, None
    if bias is not None or activation is not None:
        bias = None if bias is None else runtime.xp().ascontiguousarray(bias)
        args = y, bias, np.int64(y.size), weight.shape[0]
        runtime.launch("matmul.cu", "epilogue", _grid(y.size), runtime.THREADS, args, **_constants(y.dtype, activation))
    return y


def channel_sums(x, axis):
    """The sum over all axes but one, in the same order at every run; over columns in float64: the gradient by a bias.

    Parameters
    ----------
    x : ndarray, floating point
    axis : int
        The one that stays, from 0.

    Returns
    -------
    ndarray (x.shape[axis],) of x's dtype
    """
    if axis < x.ndim - 1:
        return x.sum(tuple(a for a in range(x.ndim) if a != axis))
    xp, columns = runtime.xp(), x.shape[-1]
    rows = math.prod(x.shape[:-1])
    count = max(1, min(rows // 64, PARTS))
    parts, out = xp.empty((count, columns), np.float64), xp.empty(columns, x.dtype)
    launch = functools.partial(runtime.launch, "matmul.cu", **_constants(x.dtype))
    args = xp.ascontiguousarray(x), parts, np.int64(rows), columns
    launch("column_parts", (runtime.blocks(columns, 32), count), (32, 8), args)
    launch("sum_of_column_parts", _grid(columns), runtime.THREADS, (parts, out, count, columns))
    return out


def einsum(first, subscripts, *others):
    """Einstein's sum, as `nnscratch.kernels.matmul.definition.einsum`."""
    return einsum_by(matmul, first, subscripts, *others)
