"""Whether an array is worth a compiled loop, and the loops themselves, loaded when the first such array comes."""

import functools
import importlib
import importlib.util
import os

#: Elements from which on a loop of `nnscratch.kernels.loops` beats NumPy by more than what calling it costs.
LEAST = 1 << 14


def loops(*arrays):
    """The module of compiled loops, or None where NumPy is to do it.

    Compiled loops take arrays of one dtype, float32 or float64, the first of at least `LEAST` elements. They need Numba,
    and are left out where the environment variable NNSCRATCH_COMPILED is 0.

    Examples
    --------
    >>> import numpy as np
    >>> loops(np.zeros(3)) is None
    True
    """
    first = arrays[0]
    if first.size < LEAST or first.dtype.char not in "fd" or any(a.dtype != first.dtype for a in arrays):
        return None
    return _loaded()


@functools.cache
def _loaded():
    if os.environ.get("NNSCRATCH_COMPILED") == "0" or importlib.util.find_spec("numba") is None:
        return None
    return importlib.import_module("nnscratch.kernels.loops")
