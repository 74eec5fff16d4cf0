"""Dropout's masks in terms of array functions: what the fast kernels mean."""

import math

import numpy as np


def mask(shape, dtype, p, seed, offset=0, like=None):
    """What dropout multiplies by: 0 where a random number is below p, else 1 / (1 - p).

    Number i is the first 24 bits of word i % 4 of Philox 4x32-10 (Salmon et al., 2011) of counter offset + i // 4. Of the seed
    the last 64 bits are the key; what stands above them says at which number of a larger array's this one begins. The mask
    lives where the array `like` does, without one on the GPU.
    """
    if like is None:
        from ..cuda.runtime import xp

        like = xp().empty(0)
    n, first = math.prod(shape), seed >> 64
    counters = np.cumsum(np.ones_like(like, np.uint64, shape=(-(-(n + first % 4) // 4),)))
    counters = counters + np.uint64(offset + first // 4) - np.uint64(1)
    words = np.stack(_philox(counters.astype(np.uint64), seed), axis=1).reshape(-1)[first % 4 : first % 4 + n]
    numbers = (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    return ((numbers >= np.float32(p)) * dtype.type(1 / (1 - p))).reshape(shape)


def _philox(counter, seed):
    """The four words, as uint64, of each counter."""
    low = np.uint64(0xFFFFFFFF)
    x = [counter & low, counter >> np.uint64(32), np.zeros_like(counter), np.zeros_like(counter)]
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        a, b = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        x = [
            (b >> np.uint64(32)) ^ x[1] ^ np.uint64(key[0]),
            b & low,
            (a >> np.uint64(32)) ^ x[3] ^ np.uint64(key[1]),
            a & low,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return x
