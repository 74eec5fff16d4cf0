"""NumPy's BLAS, kept to one thread where its own would keep ours waiting.

A thread of OpenBLAS that has no work looks for more for some milliseconds, on a processor that one of ours could use.
"""

import contextlib
import ctypes
import functools

import numpy as np

from . import threads

#: Multiplications up to which a product is not worth BLAS's threads, once there are ours.
MOST = 1 << 25
#: Multiplications up to which OpenBLAS takes one thread by itself.
LEAST = 1 << 18


@functools.cache
def _number_of_threads():
    """OpenBLAS's functions that set and tell its number of threads, or None where NumPy has another BLAS."""
    library = ctypes.CDLL(np._core._multiarray_umath.__file__)
    for name in ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads"):
        if hasattr(library, name.format("set")):
            return getattr(library, name.format("set")), getattr(library, name.format("get"))
    return None


@functools.lru_cache(maxsize=32)
def ones(shape, dtype):
    """An array of ones, kept: a product with it is a sum, which BLAS takes quicker than NumPy's own.

    Examples
    --------
    >>> dot(ones((2,), "float64"), np.array([1.0, 2.0])).item()
    3.0
    """
    made = np.ones(shape, dtype)
    made.flags.writeable = False
    return made


@contextlib.contextmanager
def one_thread():
    """Within this block BLAS has one thread (or as many as ever, where it is none of OpenBLAS's).

    Examples
    --------
    >>> with one_thread():
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """
    if _number_of_threads() is None:
        yield
        return
    set_number, number = _number_of_threads()
    before = number()
    set_number(1)
    try:
        yield
    finally:
        set_number(before)


def dot(a, b):
    """``np.dot`` of arrays, by one thread where threads of ours are there and it has little to do.

    Examples
    --------
    >>> float(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0
    """
    work = a.size * b.size  # the multiplications, times the length of the sums
    if work <= LEAST or not threads.running() or work > MOST * a.shape[-1]:
        return np.dot(a, b)
    with one_thread():
        return np.dot(a, b)
