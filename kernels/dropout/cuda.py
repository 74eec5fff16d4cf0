"""Dropout's random numbers on a GPU, by a counter: the seed and a number's place decide it (``dropout.cu``)."""

import math

import numpy as np

from ..cuda import runtime


def _launch(name, out, args):
    grid = min(runtime.blocks(-(-out.size // 4)), 1 << 20)
    dtype = out.dtype if name == "mask" else np.dtype(np.float32)
    runtime.launch("dropout.cu", name, grid, runtime.THREADS, (out, np.int64(out.size), *args), ELEMENT=dtype)
    return out


def words(n, seed, offset=0, high=0):
    """The first `n` words of 32 random bits of a stream, from counter `offset` (of 4 words each) on.

    Parameters
    ----------
    n : int
    seed, offset, high : int
        Below 2**64: Philox's key, and the lower and upper half of its counter.

    Returns
    -------
    ndarray (n,) of uint32
    """
    return _launch("philox", runtime.xp().empty(n, np.uint32), (*map(np.uint64, (seed, offset, high)),))


def mask(shape, dtype, p, seed, offset=0):
    """What dropout multiplies by: 0 with probability `p`, else ``1 / (1 - p)``.

    Parameters
    ----------
    shape : tuple of int
    dtype : floating point
    p : float
        From 0 up to below 1.
    seed, offset : int
        As of `words`; the mask takes ``used(shape)`` counters.

    Returns
    -------
    ndarray of that shape and dtype
    """
    scalars = np.float32(p), np.float64(1 / (1 - p)), np.uint64(seed), np.uint64(offset)
    return _launch("mask", runtime.xp().empty(shape, dtype), scalars)


def used(shape):
    """How many counters a mask takes: what to add to the offset for the next one.

    Examples
    --------
    >>> used((3, 3)), used((0,))
    (3, 0)
    """
    return -(-math.prod(shape) // 4)
