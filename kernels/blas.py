"""NumPy's BLAS, kept to one thread where its own would keep ours waiting.

A thread of OpenBLAS that has no work looks for more for some milliseconds, on a processor that one of ours could use.
"""

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


class one_thread:
    """Within this block BLAS has one thread (or as many as ever, where it is none of OpenBLAS's).

    Examples
    --------
    >>> with one_thread():
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """

    def __enter__(self):
        functions = _number_of_threads()
        if functions is not None:
            set_number, number = functions
            self.before = number()
            set_number(1)

    def __exit__(self, *exception):
        functions = _number_of_threads()
        if functions is not None:
            functions[0](self.before)


def dot(a, b):
    """``np.dot`` of arrays, by one thread where threads of ours are there and it has little to do.

    Examples
    --------
    >>> float(dot(np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    11.0
    """
    work = a.size * b.size  # the multiplications, times the length of the sums
    if work <= LEAST or threads.parts_to_do is None or work > MOST * a.shape[-1]:
        return a.dot(b)
    functions = _number_of_threads()
    if functions is None:
        return a.dot(b)
    set_number, number = functions  # as `one_thread` does, without its calls
    before = number()
    set_number(1)
    try:
        return a.dot(b)
    finally:
        set_number(before)
