"""Products of rounded float32 numbers on a GPU's tensor cores, by cuBLAS.

Why they are fast: a tensor core multiplies and adds whole small matrices, and the fewer digits their numbers have, the more it
takes in the same time; numbers of 16 bits are also half as much to read. It adds up in float32, in which each product of two such
numbers is exact, so that what is lost is lost by rounding the operands.
"""

import math

import numpy as np

from . import runtime

#: For each precision what CUDA calls the operands' type, and what cuBLAS calls the way to multiply them.
NAMES = {
    "tf32": ("CUDA_R_32F", "CUBLAS_COMPUTE_32F_FAST_TF32"),
    "float16": ("CUDA_R_16F", "CUBLAS_COMPUTE_32F"),
    "bfloat16": ("CUDA_R_16BF", "CUBLAS_COMPUTE_32F"),
}
#: The factors of the product, and of what was in the result's place: cuBLAS reads them from the host's memory.
_ONE, _ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)


def rounded(x, precision):
    """float32 numbers rounded to the nearest of a precision, ties to even: an operand for `product`.

    Parameters
    ----------
    x : ndarray, float32
    precision : "tf32", "float16" or "bfloat16"

    Returns
    -------
    ndarray of x's shape, its last two axes contiguous in one order or the other; float16, or uint16 with bfloat16's bits, or
    for TF32 float32, which cuBLAS rounds by itself.
    """
    if x.ndim > 1 and not x.flags.c_contiguous and x.swapaxes(-1, -2).flags.c_contiguous:
        return rounded(x.swapaxes(-1, -2), precision).swapaxes(-1, -2)
    x = runtime.xp().ascontiguousarray(x)
    if precision == "tf32":
        return x
    if precision == "float16":
        return x.astype(np.float16)
    y = runtime.xp().empty(x.shape, np.uint16)
    args = x, y, np.int64(x.size)
    grid = min(runtime.blocks(x.size), 1 << 20)
    runtime.launch("matmul.cu", "to_bfloat16", grid, runtime.THREADS, args, ELEMENT=x.dtype, ACTIVATION=0)
    return y


def product(a, b, precision):
    """The matrix product of what `rounded` returned, as ``numpy.matmul``, in float32.

    Parameters
    ----------
    a, b : ndarray (..., n, k) and (..., k, m), or vectors
    precision : str
        What they were rounded to.

    Returns
    -------
    ndarray (..., n, m), float32
    """
    xp, row, column = runtime.xp(), a.ndim == 1, b.ndim == 1
    a, b = a[None] if row else a, b[:, None] if column else b
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n, k, m = *a.shape[-2:], b.shape[-1]
    out = (xp.empty if k else xp.zeros)((*batch, n, m), np.float32)
    if out.size and k:
        _multiply(xp.cuda, _stacked(a, batch), _stacked(b, batch), out.reshape(math.prod(batch), n, m), precision)
    return out.reshape(batch + (n,) * (not row) + (m,) * (not column))


def _stacked(x, batch):
    """Matrices as an array of three axes: one matrix, or as many as the batch has."""
    if math.prod(x.shape[:-2]) != 1:
        x = runtime.xp().broadcast_to(x, (*batch, *x.shape[-2:]))
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def _multiply(cuda, a, b, out, precision):
    """Have cuBLAS write into `out`.

    To cuBLAS memory that we read row by row is a matrix column by column, which is the transpose. So it is asked for
    bᵀ aᵀ, and that is (ab)ᵀ.
    """
    kind, way = NAMES[precision]
    (a, transposed_a, about_a), (b, transposed_b, about_b) = (
        _described(x, getattr(cuda.runtime, kind)) for x in (a, b)
    )
    _, _, about_out = _described(out, cuda.runtime.CUDA_R_32F)
    single, numbers = len(out) == 1, 3 if len(out) == 1 else 4
    (cuda.cublas.gemmEx if single else cuda.cublas.gemmStridedBatchedEx)(
        cuda.get_cublas_handle(), transposed_b, transposed_a, out.shape[2], out.shape[1], a.shape[2],
        _ONE.ctypes.data, *about_b[:numbers], *about_a[:numbers], _ZERO.ctypes.data, *about_out[:numbers],
        *(() if single else (len(out),)), getattr(cuda.cublas, way), cuda.cublas.CUBLAS_GEMM_DEFAULT,
    )  # fmt: skip


def _described(x, kind):
    """Matrices, whether their memory is that of the transposes, and what cuBLAS asks: address, type, length of a line, distance."""
    if not x.flags.c_contiguous and not x.swapaxes(1, 2).flags.c_contiguous:
        x = runtime.xp().ascontiguousarray(x)
    transposed = not x.flags.c_contiguous
    distance = 0 if len(x) == 1 else x.shape[1] * x.shape[2]  # one matrix is every product's
    return x, int(transposed), (x.data.ptr, kind, x.shape[1 if transposed else 2], distance)
