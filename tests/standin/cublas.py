"""CuPy's ``cupy.cuda.cublas``: products on memory, by addresses, with matrices column by column as cuBLAS has them."""

import ctypes
import operator

import numpy as np
from nnscratch.kernels.matmul.definition import rounded

from . import runtime

CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 77
CUBLAS_GEMM_DEFAULT = -1

#: The only handle.
HANDLE = 0x5EED


class CUBLASError(RuntimeError):
    """What cuBLAS answered."""


def gemmEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc, computeType, algo
):  # fmt: skip
    """C <- alpha op(A) op(B) + beta C."""
    gemmStridedBatchedEx(
        handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0, beta, C, Ctype, ldc, 0, 1,
        computeType, algo,
    )  # fmt: skip


def gemmStridedBatchedEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB, beta, C, Ctype, ldc, strideC,
    batchCount, computeType, algo,
):  # fmt: skip
    """C <- alpha op(A) op(B) + beta C for each of a batch."""
    _check_numbers(locals())
    single, kinds = runtime.CUDA_R_32F, (Atype, Btype, Ctype)
    halves = (runtime.CUDA_R_16F, runtime.CUDA_R_16BF)
    if handle != HANDLE:
        raise CUBLASError("CUBLAS_STATUS_NOT_INITIALIZED")
    if (
        computeType not in (CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32)
        or kinds not in ((single,) * 3, *((half, half, single) for half in halves))
        or (computeType == CUBLAS_COMPUTE_32F_FAST_TF32 and Atype != single)
    ):
        raise CUBLASError("CUBLAS_STATUS_NOT_SUPPORTED")
    a = _matrices(A, Atype, (k, m) if transa else (m, k), lda, strideA, batchCount)
    b = _matrices(B, Btype, (n, k) if transb else (k, n), ldb, strideB, batchCount)
    c = _matrices(C, Ctype, (m, n), ldc, strideC, batchCount)
    a, b = (_numbers(x, kind, computeType) for x, kind in ((a, Atype), (b, Btype)))
    product = np.matmul(a.swapaxes(1, 2) if transa else a, b.swapaxes(1, 2) if transb else b)
    before = _float(beta)
    c[...] = _float(alpha) * product + (before * c if before else 0)


def _check_numbers(given):
    """Refuse what CuPy's C types for these arguments cannot hold, and lengths that cuBLAS refuses."""
    for name, value in given.items():
        address, long = name in ("alpha", "A", "B", "beta", "C"), name == "handle" or name.startswith("stride")
        least, bits = (0, 64) if address else (-(1 << 63), 63) if long else (-(1 << 31), 31)
        if not least <= operator.index(value) < 1 << bits:
            raise OverflowError(f"{name}: {value} does not fit its C type")
        if name in ("m", "n", "k", "batchCount") and value < 0:
            raise CUBLASError("CUBLAS_STATUS_INVALID_VALUE")


def _matrices(address, kind, shape, leading, stride, count):
    """Memory from an address as matrices of a shape, each a column after the other."""
    if leading < max(1, shape[0]):
        raise CUBLASError("CUBLAS_STATUS_INVALID_VALUE")
    dtype = {runtime.CUDA_R_32F: np.float32, runtime.CUDA_R_16F: np.float16, runtime.CUDA_R_16BF: np.uint16}[kind]
    size = np.dtype(dtype).itemsize
    length = stride * (count - 1) + leading * (shape[1] - 1) + shape[0]
    memory = np.frombuffer((ctypes.c_char * (length * size)).from_address(address), dtype)
    return np.lib.stride_tricks.as_strided(memory, (count, *shape), (stride * size, size, leading * size))


def _numbers(x, kind, way):
    """Operands as the float32 numbers that they are taken for."""
    if kind == runtime.CUDA_R_16BF:
        return (x.astype(np.uint32) << 16).view(np.float32)
    return rounded(x, "tf32") if way == CUBLAS_COMPUTE_32F_FAST_TF32 else x.astype(np.float32)


def _float(address):
    return ctypes.c_float.from_address(address).value
