"""NumPy's BLAS, kept to one thread where its own would keep ours waiting.

A thread of OpenBLAS that has no work looks for more for some milliseconds, on a processor that one of ours could use. So all
products but the largest get one thread. OpenBLAS rounds some shapes differently by how many threads it has: how a product is
computed depends on its shape and on BLAS's setting alone, and never on what ran before.
"""

import ctypes
import functools
import os
import threading

import numpy as np

#: Multiplications up to which a product is not left to BLAS's own threads.
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


class one_thread:
    """Within this block BLAS has one thread (or as many as ever, where it is none of OpenBLAS's).

    The number is the process's: while several threads are within such blocks it stays 1, and the last one to leave sets it back.

    Examples
    --------
    >>> with one_thread():
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """

    _lock = threading.Lock()
    _inside = 0
    _before = 1

    def __enter__(self):
        functions = _number_of_threads()
        if functions is not None:
            set_number, number = functions
            with one_thread._lock:
                if not one_thread._inside:
                    one_thread._before = number()
                    set_number(1)
                one_thread._inside += 1

    def __exit__(self, *exception):
        functions = _number_of_threads()
        if functions is not None:
            with one_thread._lock:
                one_thread._inside -= 1
                if not one_thread._inside:
                    functions[0](one_thread._before)


def _leave():
    one_thread._lock, one_thread._inside = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)  # a child has none of its parent's threads


def dot(a, b):
    """``np.dot`` of arrays, which only the largest get more than one of BLAS's threads for.

    Examples
    --------
    >>> float(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0
    """
    work = a.size * b.size  # the multiplications, times the length of the sums
    if work <= LEAST or work > MOST * a.shape[-1]:
        return a.dot(b)
    functions = _number_of_threads()
    if functions is None:
        return a.dot(b)
    # as `one_thread` does, without its calls
    set_number, number = functions
    with one_thread._lock:
        if not one_thread._inside:
            one_thread._before = number()
            if one_thread._before != 1:
                set_number(1)
        one_thread._inside += 1
    try:
        return a.dot(b)
    finally:
        with one_thread._lock:
            one_thread._inside -= 1
            if not one_thread._inside and one_thread._before != 1:
                set_number(one_thread._before)
