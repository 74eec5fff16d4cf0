"""Whether an array is worth a compiled loop, and the loops themselves, loaded when the first such array comes."""

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import os
import pathlib

import numpy as np

from . import folders

#: Elements from which on an array has Numba loaded. Once it is there, smaller ones use it, too: the results are the same.
LEAST = 1 << 14


def loops(*arrays, module="loops"):
    """A module of compiled loops, or None where NumPy is to do it.

    Its results are those of NumPy's kernels to the last bit; a module of which this is not true may be asked for with arrays
    of `LEAST` elements or more only, so that it does not depend on what else has run.

    Compiled loops take arrays of one dtype, float32 or float64 in the machine's byte order, and are loaded when the first
    comes that has `LEAST` elements. They need Numba, and are left out where the environment variable NNSCRATCH_COMPILED is 0.

    Examples
    --------
    >>> import numpy as np
    >>> loops(np.zeros(3, int)) is None
    True
    """
    first = arrays[0]
    if first.size < LEAST and not _loaded.cache_info().currsize:
        return None
    dtype = first.dtype
    for a in arrays:
        if a.dtype is not dtype and a.dtype != dtype:
            return None
    return _loaded(module) if _compilable(dtype) else None


def vectors(dtype):
    """The module of compiled loops for convolution, or None where NumPy is to do it.

    Their rounding is their own, so that whether they are taken must not depend on what else has run.

    Examples
    --------
    >>> import numpy as np
    >>> vectors(np.dtype("float16")) is None
    True
    """
    return _loaded("vectors") if _compilable(dtype) else None


def plain(a):
    """The array itself, or a copy where it is not C-contiguous, aligned and writeable: for each other kind all would be compiled anew.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.eye(2)[::-1]).flags.c_contiguous
    True
    """
    return np.require(a, None, "CAW")


def prepare(size):
    """Load all loops where an array has so many elements that it would; whether they are loaded.

    Examples
    --------
    >>> prepare(3)
    False
    """
    return size >= LEAST and all(map(_loaded, ("loops", "halves", "vectors", "normalise_loops")))


def _compilable(dtype):
    return dtype.char in "fd" and dtype.isnative


@functools.cache
def _loaded(name):
    if os.environ.get("NNSCRATCH_COMPILED") == "0" or importlib.util.find_spec("numba") is None:
        return None
    with _kept_in_the_users_cache():
        return importlib.import_module(f"nnscratch.kernels.{name}")


@contextlib.contextmanager
def _kept_in_the_users_cache():
    """Have Numba keep what is defined within this block in the user's cache, unless NUMBA_CACHE_DIR says where.

    Beside the source, its own choice, the files would outlive an uninstall, and the folder left behind would hide a later
    editable install. Numba looks at the date of the file that a loop stands in; what simd.py says is in the folder's name.
    """
    config = importlib.import_module("numba").config
    words = pathlib.Path(__file__).with_name("simd.py").read_bytes()
    before = config.CACHE_DIR
    with contextlib.suppress(RuntimeError):  # where there is no home folder
        config.CACHE_DIR = before or str(folders.cache("numba") / hashlib.sha256(words).hexdigest()[:12])
    try:
        yield
    finally:
        config.CACHE_DIR = before
