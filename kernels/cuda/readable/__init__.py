"""Products and convolutions as Numba CUDA kernels to read: what makes each faster than the last stands in its docstring.

They are not what nnscratch computes with; `python -m benchmarks gpu` says how far each is from that. Start with
``products.py``, from its first kernel to its last, then go on to ``convolutions.py``. On a GPU they take CuPy's arrays. In
Numba's simulator (the environment variable NUMBA_ENABLE_CUDASIM=1, set before Numba is imported) they take NumPy's, need
no GPU and run slowly, a Python thread for each of the GPU's: print in them, or set a breakpoint.
"""

import importlib
import warnings

import numpy as np

from ...windows import output_sizes
from .. import runtime

#: The kernels of each function, by name.
KERNELS = {"matmul": ("naive", "tiled", "blocked"), "conv2d": ("direct", "tiled")}


def matmul(a, b, kernel="tiled"):
    """The product of two matrices.

    Parameters
    ----------
    a, b : array
        (M, K) and (K, N), both float32 or both float64, of any strides.
    kernel : {"naive", "tiled", "blocked"}
        See ``products.py``.

    Returns
    -------
    array
        (M, N), of the same type. On a GPU it is there once CuPy's current stream has come so far, as with all of CuPy.

    Raises
    ------
    ValueError
        Where the kernel is unknown, shapes or types do not fit, or arrays are on the CPU and there is no simulator.

    Examples
    --------
    >>> import cupy                                                                  # doctest: +SKIP
    >>> matmul(cupy.ones((2, 3), "float32"), cupy.ones((3, 2), "float32"), "blocked")    # doctest: +SKIP
    array([[3., 3.],
           [3., 3.]], dtype=float32)
    """
    _check("matmul", kernel, a=(a, 2), b=(b, 2))
    if a.shape[1] != b.shape[0]:
        raise ValueError(
            f"matmul: a has {a.shape[1]} columns, b has {b.shape[0]} rows (a: {a.shape}, b: {b.shape}); they must be as many"
        )
    return _run("products", kernel, (a.shape[0], b.shape[1]), a, b)


def conv2d(x, weight, kernel="direct", stride=1, padding=0, dilation=1):
    """The convolution of images with filters (whose kernel is not flipped, as everywhere in nnscratch).

    Parameters
    ----------
    x, weight : array
        (N, C, H, W) and (O, C, kh, kw), both float32 or both float64, of any strides.
    kernel : {"direct", "tiled"}
        See ``convolutions.py``.
    stride, padding, dilation : int or (int, int)

    Returns
    -------
    array
        (N, O, p, q), of the same type.

    Raises
    ------
    ValueError
        As for `matmul`; and where a kernel is larger than the padded image, or too large for the tiled kernel.

    Examples
    --------
    >>> import cupy                                                                             # doctest: +SKIP
    >>> conv2d(cupy.ones((1, 1, 3, 3)), cupy.ones((1, 1, 2, 2)), "tiled", padding=1)[0, 0, 0]    # doctest: +SKIP
    array([1., 2., 2., 1.])
    """
    _check("conv2d", kernel, x=(x, 4), weight=(weight, 4))
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"conv2d: x has {x.shape[1]} channels, weight expects {weight.shape[1]} (x: {x.shape}, weight: {weight.shape})"
        )
    stride, padding, dilation = ((n, n) if isinstance(n, int) else tuple(n) for n in (stride, padding, dilation))
    if min(*stride, *dilation) < 1 or min(padding) < 0:
        raise ValueError(
            f"conv2d: stride {stride}, padding {padding}, dilation {dilation}; strides and dilations are at least 1, "
            f"paddings at least 0"
        )
    windows = output_sizes(x.shape[2:], weight.shape[2:], stride, tuple((n, n) for n in padding), dilation)
    if min(*windows, *weight.shape[2:]) < 1:
        raise ValueError(
            f"conv2d: a kernel of {weight.shape[2:]} has no place in images of {x.shape[2:]} with padding {padding} and "
            f"dilation {dilation}; pass larger images or more padding"
        )
    return _run("convolutions", kernel, (x.shape[0], weight.shape[0], *windows), x, weight, stride, padding, dilation)


def _check(function, kernel, **arrays):
    if kernel not in KERNELS[function]:
        raise ValueError(f"{function}: there is no kernel {kernel!r}; choose among {', '.join(KERNELS[function])}")
    for name, (array, ndim) in arrays.items():
        if array.ndim != ndim:
            raise ValueError(f"{function}: {name} has shape {array.shape}, expected {ndim} axes")
    kinds = {name: str(array.dtype) for name, (array, _) in arrays.items()}
    if len(set(kinds.values())) > 1 or not set(kinds.values()) <= {"float32", "float64"}:
        found = " and ".join(f"{name} is {dtype}" for name, dtype in kinds.items())
        raise ValueError(f"{function}: {found}, expected float32 for both or float64 for both; use astype")


def _run(module, kernel, shape, first, second, *settings):
    """The result of a kernel, whose launch is planned by its module."""
    from numba import config, cuda

    simulated = bool(config.ENABLE_CUDASIM)
    if simulated != isinstance(first, np.ndarray) or simulated != isinstance(second, np.ndarray):
        raise ValueError(
            "readable kernels take CuPy's arrays, or in Numba's simulator NumPy's; "
            + ("pass cupy.asnumpy of them" if simulated else "pass cupy.asarray of them, or set NUMBA_ENABLE_CUDASIM=1")
        )
    xp = np if simulated else runtime.xp()
    if 0 in (*shape, *first.shape):
        return xp.zeros(shape, first.dtype)  # CUDA launches no grid without blocks
    out = xp.empty(shape, first.dtype)
    plan = importlib.import_module(f"{__package__}.{module}").plan
    if simulated:
        view = importlib.import_module("numba.cuda.simulator.cudadrv.devicearray").FakeCUDAArray
        arrays, stream = [view(a) for a in (first, second, out)], 0
    else:
        # Numba would wait for the stream of each of CuPy's arrays; in that stream itself there is nothing to wait for.
        arrays = [cuda.as_cuda_array(a, sync=False) for a in (first, second, out)]
        current = xp.cuda.get_current_stream().ptr
        stream = cuda.external_stream(current) if current else 0
    function, grid, block, shared, arguments = plan(kernel, *arrays, *settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a small product leaves most of a GPU idle
        function[grid, block, stream, shared](*arguments)
    return out
