"""How kernels that add many numbers take float16."""

import functools

import numpy as np


def through_float32(kernel):
    """Let a kernel that adds many numbers take float16: it works in float32 and rounds once, at the end.

    Examples
    --------
    >>> through_float32(lambda x: x + x.dtype.type(2**-12))(np.ones((), np.float16)).dtype
    dtype('float16')
    """

    def widen(a):
        return a.astype(np.float32) if getattr(a, "dtype", None) == np.float16 else a

    @functools.wraps(kernel)
    def wrapper(*args, **named):
        if args[0].dtype != np.float16:
            return kernel(*args, **named)
        return kernel(*map(widen, args), **{k: widen(a) for k, a in named.items()}).astype(np.float16)

    return wrapper
