"""Weights stored in fewer bytes: as codes of 8 bits with scales, as halves, or without their zeros."""

import math

import numpy as np

from nnscratch import arguments
from nnscratch.compress.channels import resize
from nnscratch.compress.int8 import codes_of, weight_scale
from nnscratch.compress.quantisation import skeleton
from nnscratch.kernels.matmul.definition import rounded
from nnscratch.nn.module import Buffer, Parameter

#: How `pack` stores.
PACKED = ("int8-weights", "int8-weights-per-tensor", "float16", "bfloat16", "sparse")
#: In which ways a network can be compressed, as `restore` knows them; the first two are `quantize` with calibration data.
WAYS = ("int8", "int8-per-tensor", *PACKED, "channels", "distilled")
#: What stands behind the name of a weight where it is stored in several parts, or in bits that NumPy has no dtype for.
CODES, SCALE, BITS, SHAPE, KEPT, VALUES = "/codes", "/scale", "/bfloat16", "/shape", "/kept", "/values"


def pack(state, way):
    """A network's state in fewer bytes, to be saved by `ns.save`.

    Parameters
    ----------
    state : dict of str to array
        What ``model.state_dict()`` returned.
    way : str
        "int8-weights" or "int8-weights-per-tensor": codes of all floating-point arrays but vectors, with a scale for each output, or for
        all; "float16" or "bfloat16" (float32's first 16 bits, halves to even); "sparse": which values are not 0, a bit each, and those.

    Returns
    -------
    dict of str to array

    Raises
    ------
    ValueError
        Where there is no such way, or float16 has no room for a value.

    Examples
    --------
    >>> {name: a.dtype.name for name, a in pack({"w": np.ones((2, 3), "float32")}, "int8-weights").items()}
    {'w/codes': 'int8', 'w/scale': 'float32'}
    >>> unpack(pack({"w": np.array([1.0, 1.001], "float32")}, "bfloat16"))
    {'w': array([1., 1.], dtype=float32)}
    """
    if way not in PACKED:
        raise ValueError(f"pack: there is no way {arguments.shown(way)}; choose one of {', '.join(PACKED)}")
    packed: dict = {}
    for name, a in state.items():
        if a.dtype.kind != "f" or (way not in ("float16", "bfloat16") and a.ndim < 2):
            packed[name] = a
        elif way.startswith("int8"):
            scale = weight_scale(a, way == "int8-weights")
            packed |= {name + CODES: codes_of(a, scale).astype(np.int8), name + SCALE: scale}
        elif way == "sparse":
            packed |= {
                name + SHAPE: np.array(a.shape, np.int32),
                name + KEPT: np.packbits(a != 0),
                name + VALUES: a[a != 0],
            }
        elif way == "bfloat16":
            packed[name + BITS] = (rounded(a.astype(np.float32), "bfloat16").view(np.uint32) >> 16).astype(np.uint16)
        else:
            packed[name] = _half(name, a)
    return packed


def _half(name, a):
    with np.errstate(over="ignore"):
        half = a.astype(np.float16)
    if not np.array_equal(np.isfinite(half), np.isfinite(a)):
        raise ValueError(f"pack: {name} has values beyond float16's 65504; store it as bfloat16")
    return half


def unpack(packed):
    """The state that `pack` was given, or the nearest that it has stored, as float32.

    Parameters
    ----------
    packed : dict of str to array

    Returns
    -------
    dict of str to array

    Raises
    ------
    ValueError
        Where a part is missing, or parts do not fit each other.

    Examples
    --------
    >>> w = np.array([[0.0, 2.0], [0.0, 0.0]], "float32")
    >>> bool((unpack(pack({"w": w}, "sparse"))["w"] == w).all())
    True
    """
    state: dict = {}
    for key, a in packed.items():
        name, stroke, part = key.rpartition("/")
        try:
            if stroke + part == CODES:
                state[name] = a * packed[name + SCALE].reshape(-1, *(1,) * (a.ndim - 1))
            elif stroke + part == BITS:
                state[name] = (a.astype(np.uint32) << 16).view(np.float32)
            elif stroke + part == SHAPE:
                values, shape = packed[name + VALUES], tuple(int(n) for n in a)
                kept = np.unpackbits(packed[name + KEPT], count=math.prod(shape)).astype(bool)
                state[name] = np.zeros(shape, values.dtype)
                state[name].reshape(-1)[kept] = values
            elif stroke + part not in (SCALE, KEPT, VALUES):
                state[key] = a.astype(np.float32) if a.dtype == np.float16 else a
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"unpack: what is stored of {arguments.named(name)} does not fit; save it again") from None
    return state


def restore(model, packed, way=None):
    """A network with a state that was compressed: what it was when that was saved.

    Parameters
    ----------
    model : nn.Module
        As the network was before it was compressed; changed in place, or a part of what is returned.
    packed : dict of str to array
        What `ns.load` returned: a state, as it is or by `pack`; also of a network with fewer channels.
    way : str, optional
        "int8" or "int8-per-tensor" for what `quantize` made with calibration data.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        Where the state is of another network.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Linear(4, 2)
    >>> restore(ns.nn.Linear(8, 2), pack(model.state_dict(), "bfloat16"))
    Linear(4, 2)
    """
    model, state = (skeleton(model, way == "int8") if way in WAYS[:2] else model), unpack(packed)
    for path, module in model.named_modules():
        for name, t in list(vars(module).items()):
            array = state.get(f"{path}.{name}" if path else name)
            if isinstance(t, Parameter | Buffer) and array is not None and array.ndim == t.ndim:
                resize(module, name, array.astype(t.dtype) if t.dtype.kind == array.dtype.kind == "f" else array)
    model.load_state_dict(state)
    return model
