"""Checks of a GPU's values, in terms of array functions, and what follows from them.

What they find stays on the GPU, in the word of `nnscratch.kernels.cuda.runtime`.
"""

import contextlib

import numpy as np

from ..cuda import runtime


def outside(x, low, high, number):
    """Let the word say if an element of `x` is not from `low` to `high`, as nan never is.

    Parameters
    ----------
    x : ndarray of numbers, of a GPU
    low, high : float
    number : int
        The check's; of several that fail the word keeps the least, and of their values the least.
    """
    word, wide = runtime.word(), x.astype(np.float64, copy=False)
    bits = wide.view(np.uint64)
    ordered = np.where(wide.view(np.int64) < 0, ~bits, bits | np.uint64(1 << 63)) >> np.uint64(12)
    fine = (wide >= low) & (wide <= high)
    word[...] = np.minimum(word, np.min(np.where(fine, np.uint64(runtime.CLEAR), ordered | np.uint64(number << 52))))


@contextlib.contextmanager
def unless_failed(*arrays):
    """What this block writes into arrays of a GPU (or None) is undone where a check has failed."""
    arrays = [a for a in arrays if a is not None]
    if isinstance(arrays[0], np.ndarray):  # the CPU's checks raise at once
        yield
        return
    before = [a.copy() for a in arrays]
    yield
    for array, old in zip(arrays, before, strict=True):
        array[...] = np.where(runtime.word() == np.uint64(runtime.CLEAR), array, old)
