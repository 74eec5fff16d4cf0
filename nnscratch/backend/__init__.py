"""The seam between devices: one object for each kind of device, found by an array's type or by a device's name."""

import contextlib
import math
import threading

import numpy as np

from nnscratch import arguments
from nnscratch.backend import random
from nnscratch.backend.cpu import CPU
from nnscratch.backend.random import Generator, manual_seed
from nnscratch.kernels.cuda.precision import PRECISIONS
from nnscratch.kernels.cuda.precision import setting as precision

#: Every device there may be, in the order of `devices`.
NAMES = ("cpu", "cuda")

#: What an operation takes as it is: numbers, None, and the arrays of all devices in use.
RAW_TYPES = {np.ndarray, int, float, bool, type(None)}

cpu = CPU()
_by_name = {"cpu": cpu}
#: The backends by the types of their arrays.
BY_TYPE: dict = {np.ndarray: cpu}
#: What is to be called when a device comes into use.
WHEN_ADDED: list = []


class _Here(threading.local):
    default = "cpu"


_here = _Here()


def of(array):
    """The backend that an array lives on."""
    found = BY_TYPE.get(type(array))
    return _of_type(type(array)) if found is None else found


def _of_type(kind):
    """The backend of a type seen for the first time: GPU's arrays are known by their module, all else is the CPU's."""
    BY_TYPE[kind] = found = get("cuda") if kind.__module__.partition(".")[0] == "cupy" else cpu
    return found


def is_array(value):
    """Whether something is an array of one of the devices.

    Examples
    --------
    >>> is_array(np.zeros(2)), is_array([0.0])
    (True, False)
    """
    return isinstance(value, np.ndarray) or of(value) is not cpu


def get(device=None):
    """The backend called `device` (None: that of `use_device`, or else the CPU).

    Raises
    ------
    ValueError
        Where there is no such device here; it says why, and what to do.
    """
    if device is None:
        device = _here.default
    found = _by_name.get(device) if isinstance(device, str) else None
    if found is not None:
        return found
    if device != "cuda":
        raise ValueError(
            f"device: {device!r} is not available, expected one of {', '.join(map(repr, NAMES))}; pass one of those (of several "
            f"GPUs the environment variable CUDA_VISIBLE_DEVICES chooses)"
        )
    from nnscratch.backend.cuda import load

    return _add(load())


def _add(backend):
    """Let a backend be found by its name and by its arrays."""
    _by_name[backend.name] = BY_TYPE[backend.array] = backend
    RAW_TYPES.add(backend.array)
    for call in WHEN_ADDED:
        call()
    return backend


def several():
    """Whether another device than the CPU is in use."""
    return len(_by_name) > 1 or bool(_joined)


#: The devices that are in use for some time only, see `joined`, each as often as somebody is within such a block.
_joined: list = []
_joining = threading.Lock()


@contextlib.contextmanager
def joined(backend):
    """Within this block there is a further device, found by its arrays alone, such as that of a step that is being recorded."""
    with _joining:
        _joined.append(backend)
        BY_TYPE[backend.array] = backend
        RAW_TYPES.add(backend.array)
        for call in WHEN_ADDED:
            call()
    try:
        yield
    finally:
        with _joining:
            _joined.remove(backend)
            for call in WHEN_ADDED:
                call()


def devices():
    """The devices that can be used here, as a list of names; "cuda" is an NVIDIA GPU by CuPy.

    Examples
    --------
    >>> import nnscratch as ns
    >>> "cpu" in ns.devices()
    True
    """
    return [name for name in NAMES if _is_there(name)]


def _is_there(name):
    try:
        get(name)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def use_device(device):
    """Within this block tensors and modules that this thread makes without a device live on `device`.

    Parameters
    ----------
    device : str
        See `ns.devices`.

    Raises
    ------
    ValueError
        Where there is no such device here.

    Examples
    --------
    >>> import nnscratch as ns
    >>> with ns.use_device("cpu"):
    ...     ns.tensor([1.0]).device
    'cpu'
    """
    before, _here.default = _here.default, get(device).name
    try:
        yield
    finally:
        _here.default = before


@contextlib.contextmanager
def use_precision(name):
    """Within this block products of float32 arrays are computed on a GPU from operands rounded to a precision.

    This is so for `matmul`, `linear`, convolutions and `einsum` of two arrays, in the forward and backward passes that this thread
    runs within the block. Operands are rounded to the nearest number of that precision, sums are float32, and results stay float32.
    Arrays of other dtypes are multiplied as they are. On the CPU it does nothing: products there are float32.

    Parameters
    ----------
    name : "float32", "tf32", "float16" or "bfloat16"
        What operands are rounded to; "float32" takes them as they are. Of the 24 bits of a float32's digits "tf32" and "float16" keep
        11, "bfloat16" 8. float16 has less range, too: what is beyond 65504 becomes infinite, and small gradients become 0.

    Raises
    ------
    ValueError
        Where there is no such precision.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([[1.0, 2.0]], device=ns.devices()[-1])
    >>> with ns.use_precision("bfloat16"):
    ...     y = x @ x.T
    >>> y.dtype, y.item()
    (dtype('float32'), 5.0)
    """
    if name not in PRECISIONS:
        raise ValueError(
            f"use_precision: got {name!r}, expected one of {', '.join(map(repr, PRECISIONS))}; pass one of those"
        )
    before, precision.name = precision.name, name
    try:
        yield
    finally:
        precision.name = before


def asarray(data, dtype=None, device=None):
    """Data as an array of a device; Python numbers and lists become float32 (bool lists stay bool).

    Without a device an array of a GPU stays where it is, and all else goes where `use_device` says.
    """
    source = of(data)
    target = source if device is None and source is not cpu else get(device)
    return target.asarray(data if source is target else source.to_numpy(data), dtype)


def to_numpy(array):
    """An array of any device as NumPy's (itself, where it is one)."""
    return of(array).to_numpy(array)


def mixed(arrays):
    """The names of the devices of some arrays, in order, where there are several; else None.

    Examples
    --------
    >>> mixed([np.zeros(2), 3.0, np.zeros(2)]) is None
    True
    """
    found = dict.fromkeys(of(a).name for a in arrays if is_array(a))
    return list(found) if len(found) > 1 else None


def same_random():
    """Within this block random numbers may be drawn, copies of those to come; afterwards this thread draws as if nothing had been.

    Examples
    --------
    >>> with same_random():
    ...     first = cpu.rng.random()
    >>> first == cpu.rng.random()
    True
    """
    return random.current().copy()


def generator(operation, seed=None):
    """A `numpy.random.Generator`: `seed` itself, a new one from a whole number, or, for None, that which `manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where `seed` is none of these.

    Examples
    --------
    >>> int(generator("batches", 0).integers(100)) == int(generator("batches", 0).integers(100))
    True
    """
    if seed is None:
        return cpu.rng
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(arguments.count(operation, "seed", seed, 0, math.inf))
