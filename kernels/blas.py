"""NumPy's BLAS, kept to one thread where its own would keep ours waiting.

A thread of OpenBLAS that has no work looks for more for some milliseconds, on a processor that one of ours could use. So all
products but the largest get one thread. OpenBLAS rounds some shapes differently by how many threads it has: how a product is
computed depends on its shape and on BLAS's setting alone, and never on what ran before.
"""

import ctypes
import functools
import math
import os
import threading

import numpy as np

from . import threads

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
    A product that is left to BLAS's threads waits until nobody is within one, so that its bits do not depend on what others compute.

    Parameters
    ----------
    long : bool
        Whether the block may take more than moments, so that nobody waits for it.

    Examples
    --------
    >>> with one_thread():
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """

    _lock = threading.Lock()
    #: Woken when nobody is inside any longer, and when no large product is left.
    _changed = threading.Condition(_lock)
    _inside = 0
    #: Those of them that nobody waits for.
    _long = 0
    _before = 1
    #: Large products that wait or run.
    _large = 0

    def __init__(self, long=False):
        self._is_long = long

    def __enter__(self):
        functions = _number_of_threads()
        if functions is not None:
            with one_thread._lock:
                _wait_for_large_ones()
                if not one_thread._inside:
                    one_thread._before = functions[1]()
                    functions[0](1)
                one_thread._inside += 1
                one_thread._long += self._is_long
            _here.depth = _here.depth + 1

    def __exit__(self, *exception):
        functions = _number_of_threads()
        if functions is not None:
            _here.depth = _here.depth - 1
            with one_thread._lock:
                one_thread._inside -= 1
                one_thread._long -= self._is_long
                if not one_thread._inside:
                    functions[0](one_thread._before)
                if one_thread._large:
                    one_thread._changed.notify_all()


class _Here(threading.local):
    #: Blocks of `one_thread` that this thread is within.
    depth = 0


_here = _Here()


def _within():
    """Whether this thread computes a part of what stands in a block of `one_thread`: nobody may have it wait."""
    return _here.depth > 0 or threads.divided()


def _wait_for_large_ones():
    """With the lock held, wait until no large product waits or runs."""
    if one_thread._large and not _within():
        while one_thread._large:
            one_thread._changed.wait()


def _large(product):
    """The result of a product with as many threads as BLAS is set to, whatever other threads compute."""
    if _number_of_threads() is None or _within():
        return product()
    with one_thread._lock:
        one_thread._large += 1
        while one_thread._inside > one_thread._long:
            one_thread._changed.wait()
    try:
        return product()
    finally:
        with one_thread._lock:
            one_thread._large -= 1
            if not one_thread._large:
                one_thread._changed.notify_all()


def _leave():
    one_thread._lock = threading.Lock()
    one_thread._changed = threading.Condition(one_thread._lock)
    one_thread._inside = one_thread._long = one_thread._large = _here.depth = 0


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
    if work <= LEAST:
        return np.dot(a, b)  # and not the method, which a step that is being recorded would not hear
    if work > MOST * a.shape[-1]:
        return _large(lambda: a.dot(b))
    functions = _number_of_threads()
    if functions is None:
        return a.dot(b)
    # as `one_thread` does, without its calls
    set_number, number = functions
    with one_thread._lock:
        if one_thread._large:
            _wait_for_large_ones()
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
            if one_thread._large:
                one_thread._changed.notify_all()


def matmul(a, b):
    """``np.matmul`` of stacks of matrices; those that BLAS uses its threads for are not computed beside others' `one_thread`.

    Examples
    --------
    >>> matmul(np.ones((2, 1, 3)), np.ones((3, 1))).tolist()
    [[[3.0]], [[3.0]]]
    """
    if a.shape[-2:] and b.shape[-2:] and math.prod(a.shape[-2:]) * b.shape[-1] > LEAST:
        return _large(lambda: np.matmul(a, b))
    return np.matmul(a, b)
