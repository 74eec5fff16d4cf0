"""A stand-in for CuPy: its names and its strictness, on NumPy's memory, so that a device "cuda" exists where no GPU does.

What CuPy refuses it refuses: NumPy arrays among its own, implicit conversion to NumPy, functions and keywords that CuPy
lacks (`lacking`). Where CuPy does something else than NumPy it does the worst that is allowed: an index out of range wraps
around, and of several values for one place the first stays. It knows no speed, no memory of its own and no concurrency;
`cuda.log` records the calls whose order matters.

CUDA C++ goes through `cuda.nvrtc` and `RawModule` as on a GPU, and is run by `tests.cuda_emulator`, where that is there.
"""

import importlib
import types
from builtins import any as _any

import numpy as np

from . import core, cuda, lacking, random
from .core import SCALARS, function_like, ndarray, ufunc_like, unwrap, wrap
from .raw import RawModule

__version__ = "14.2.0 (stand-in)"


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0):
    """An array of the device from one of the device or of the host: the explicit way."""
    if isinstance(obj, ndarray):
        result = np.array(obj._a, dtype, copy=copy or None, order=order, ndmin=ndmin)
        return obj if result is obj._a else wrap(result, (obj,))
    if isinstance(obj, np.ndarray):
        cuda.log.append(("set", obj.shape, cuda.get_current_stream()))
    return wrap(np.array(unwrap(obj) if isinstance(obj, list | tuple) else obj, dtype, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None):
    """`array` without a copy where none is needed."""
    return array(a, dtype, copy=False, order=order or "K")


def ascontiguousarray(a, dtype=None):
    """An array in C order, itself where it is so already."""
    if not isinstance(a, ndarray):
        return array(a, dtype, order="C")
    result = np.ascontiguousarray(a._a, dtype).reshape(a.shape)
    return a if a._a.flags.c_contiguous and result.dtype == a.dtype else wrap(result)


def asnumpy(a, stream=None, order="C", out=None):
    """A copy in the host's memory."""
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*args):
    """This module where one of the arguments is its array, else NumPy."""
    return importlib.import_module(__name__) if _any(isinstance(a, ndarray) for a in args) else np


def where(condition, x=None, y=None):
    """As NumPy's; the condition has to be an array of the device or a NumPy scalar."""
    if not isinstance(condition, ndarray | np.generic):
        raise (
            AttributeError(f"{type(condition)} has no attribute 'astype'")
            if not isinstance(condition, np.ndarray)
            else TypeError(f"Unsupported type {type(condition)}")
        )
    if x is None:
        cuda.log.append(("get", "where"))
        return wrap(np.nonzero(unwrap(condition)))
    for a in (x, y):
        if not isinstance(a, (ndarray, *SCALARS)):
            raise TypeError(f"Unsupported type {type(a)}")
    return wrap(np.where(unwrap(condition), unwrap(x), unwrap(y)))


def take(a, indices, axis=None, out=None):
    """As NumPy's, wrapping indices around."""
    n = a.size if axis is None else a.shape[axis]
    indices = indices._a if isinstance(indices, ndarray) else np.asarray(indices)
    return wrap(np.take(a._a, indices % n if n else indices, axis))


def take_along_axis(a, indices, axis):
    """As NumPy's, wrapping indices around."""
    return wrap(np.take_along_axis(a._a, unwrap(indices) % a.shape[axis], axis))


def _like(name):
    """CuPy takes an empty shape for none given."""
    function = function_like(name, getattr(np, name))

    def made(a, *args, shape=None, **kwargs):
        return function(a, *args, **({"shape": shape} if shape else {}), **kwargs)

    return made


for _name in ("empty_like", "zeros_like", "ones_like", "full_like"):
    globals()[_name] = _like(_name)

for _name in dir(np):
    _f = getattr(np, _name)
    if _name.startswith("_") or _name in globals() or _name in lacking.FUNCTIONS:
        continue
    if isinstance(_f, np.ufunc):
        globals()[_name] = ufunc_like(_name, _f)
    elif isinstance(_f, type) or not callable(_f):
        if not isinstance(_f, types.ModuleType):
            globals()[_name] = _f
    elif _name in lacking.SAME:
        globals()[_name] = _f
    else:
        globals()[_name] = function_like(_name, _f)

linalg = types.SimpleNamespace(norm=function_like("norm", np.linalg.norm))
lib = types.SimpleNamespace(
    stride_tricks=types.SimpleNamespace(
        as_strided=function_like("as_strided", np.lib.stride_tricks.as_strided),
        sliding_window_view=function_like("sliding_window_view", np.lib.stride_tricks.sliding_window_view),
    )
)
