"""Checks of values on a GPU that nobody waits for: what they find stays there, in a word, until it is asked for.

``bounds.cu`` says how. While the word says that a check has failed, the kernels of optimisers' steps do nothing.
"""

import struct

import numpy as np

from ..cuda import runtime

#: How many checks can be told apart.
MOST = 1 << 12


def outside(x, low, high, number):
    """Let the word say if an element of `x` is not from `low` to `high`, as nan never is.

    Parameters
    ----------
    x : ndarray of numbers
    low, high : float
    number : int
        The check's, below `MOST`; of several that fail the word keeps the least.
    """
    if x.dtype.kind != "f":
        x = x.astype(np.int64, copy=False)
    args = runtime.xp().ascontiguousarray(x), np.int64(x.size), float(low), float(high), np.uint64(number)
    grid = min(runtime.blocks(x.size), 1 << 10)
    runtime.launch("bounds.cu", "outside", grid, runtime.THREADS, (*args, runtime.word()), ELEMENT=x.dtype)


def found():
    """The number of the first check that failed and the value that it found, or None; waits, and begins anew.

    Returns
    -------
    (int, int or float) or None
        The value has 40 of a float's 53 binary digits.
    """
    word = runtime.word()
    bits = int(word.get()[0])
    if bits == runtime.CLEAR:
        return None
    word.fill(np.uint64(runtime.CLEAR))
    ordered = bits << 12 & runtime.CLEAR
    double = ordered ^ 1 << 63 if ordered >> 63 else ~ordered & -1 << 12 & runtime.CLEAR
    (value,) = struct.unpack("<d", struct.pack("<Q", double))
    return bits >> 52, int(value) if value.is_integer() else value
