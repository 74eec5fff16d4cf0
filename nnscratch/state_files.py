"""Files of tensors: safetensors only, written whole or not at all, read back with every fault named.

`save` and `load` are for networks and dictionaries; what is nested, and what is no array, stands as JSON in the file's own
metadata. `write_checkpoint` and `read_checkpoint` add to the
tensors what the rest of a training run needs, as JSON in the file's own metadata; nothing is ever pickled.
"""

import json
import os
import zlib

import numpy as np

from nnscratch import arguments, backend
from nnscratch.files import parse_json, read_tensors, write_bytes
from nnscratch.hints import hinting
from nnscratch.tensor import Tensor

FORMAT = 2  # of what `write_checkpoint` adds; a file of another format is refused
TREE = 1  # of what `save` adds where more than arrays are saved
METADATA = "nnscratch"
CHECKSUM = "nnscratch-checksum"  # of all tensors and of what else we write; looked at where it is there


def save(obj, path):
    """Write a network's parameters and buffers, or a dictionary, to a safetensors file.

    Parameters
    ----------
    obj : nn.Module or dict with str as keys
        Of Tensors and arrays; or of these, modules (saved as their ``state_dict()``), numbers, strings, booleans and None, nested
        in dicts, lists and tuples.
    path : str or os.PathLike
        The file to write or replace, whole or not at all.

    Raises
    ------
    TypeError
        If `obj` is neither, or a value in it cannot be saved; the message names it.
    ValueError
        If a dict or list contains itself.
    OSError
        If the file cannot be written; an old one is left as it was.

    Examples
    --------
    >>> import tempfile, nnscratch as ns
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ns.save({"weight": ns.tensor([1.0, 2.0]), "run": {"epoch": 3}}, folder + "/a.safetensors")
    ...     ns.load(folder + "/a.safetensors")
    {'weight': array([1., 2.], dtype=float32), 'run': {'epoch': 3}}
    """
    from nnscratch.nn import Module

    if not isinstance(obj, Module | dict):
        raise TypeError(
            f"save: got a {type(obj).__name__}, expected a module or a dict of names and arrays; "
            f"pass the network itself, or {{'optimizer': optimizer.state_dict()}}, say"
        )
    arrays: dict = {}
    try:
        tree = _told(obj, (), arrays)
    except RecursionError:
        raise ValueError("save: the dict contains itself, or is nested too deeply; take that out of it") from None
    flat = all(told == {"array": name} for name, told in tree["dict"].items())
    metadata = None if flat else {METADATA: json.dumps({"format": TREE, "tree": tree})}
    write_bytes("save", path, _pack("save", arrays, metadata))


@hinting
def load(path, map_location=None):
    """Read a safetensors file.

    Parameters
    ----------
    path : str or os.PathLike
    map_location : str, optional
        The device that the arrays are wanted on; see `ns.devices`. `Module.load_state_dict` moves them where they belong by itself.

    Returns
    -------
    dict
        Of names and NumPy arrays, which `Module.load_state_dict` takes if a network was saved; or the dictionary that was saved,
        with arrays for its Tensors. On another device than the CPU they are Tensors.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.
    ValueError
        If it is truncated, damaged, or no safetensors file, or there is no such device.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.load("no/such/file")
    Traceback (most recent call last):
    FileNotFoundError: load: there is no file no/such/file; check the path
    """
    there = backend.get("cpu" if map_location is None else map_location)
    arrays, metadata = _read("load", path)
    if there is not backend.cpu:
        arrays = {name: Tensor(array, device=there.name) for name, array in arrays.items()}
    try:
        content = parse_json(metadata[METADATA])
        tree = content["tree"]
    except (KeyError, TypeError):  # arrays alone, or a training run's
        return arrays
    except ValueError as error:
        raise ValueError(f"load: {arguments.named(path)} is damaged: its description: {error}; save it again") from None
    if content.get("format") != TREE:
        raise ValueError(
            f"load: {os.fsdecode(path)} has format {arguments.shown(content.get('format'))}, this nnscratch reads format {TREE}; "
            f"load it with the version that wrote it"
        )
    try:
        return _restored(tree, arrays)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(
            f"load: {os.fsdecode(path)} is damaged: its description does not fit it; save it again"
        ) from None


def _told(value, path, arrays):
    """A value as JSON, its arrays put under names into `arrays`."""
    from nnscratch.nn import Module

    where = "/".join(path)
    if isinstance(value, Module):
        value = value.state_dict()
    if isinstance(value, dict):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong or (not path and "__metadata__" in value):
            raise TypeError(
                f"save: got {wrong[0] if wrong else '__metadata__'!r} as a name{' in ' * bool(path)}{where}, expected a str "
                f"(and not '__metadata__'); rename it"
            )
        return {"dict": {key: _told(v, (*path, key), arrays) for key, v in value.items()}}
    if isinstance(value, list | tuple):
        told = [_told(v, (*path, str(i)), arrays) for i, v in enumerate(value)]
        return told if isinstance(value, list) else {"tuple": told}
    if isinstance(value, Tensor | np.ndarray | np.generic):
        name = where
        while name in arrays:  # a key with a stroke in it may look like a path
            name += "'"
        arrays[name] = _array("save", where, value)
        return {"array": name}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    pass_on = "its state_dict()" if hasattr(value, "state_dict") else "an array, or leave it out"
    raise TypeError(
        f"save: {where} is a {type(value).__name__}, expected a Tensor, an array, a number, a str, or a dict, list or tuple "
        f"of these; pass {pass_on}"
    )


def _restored(told, arrays):
    """What `_told` told."""
    if isinstance(told, list):
        return [_restored(v, arrays) for v in told]
    if not isinstance(told, dict):
        return told
    ((kind, content),) = told.items()
    if kind == "array":
        return arrays[content]
    if kind == "tuple":
        return tuple(_restored(content, arrays))
    if kind != "dict":
        raise KeyError(kind)
    return {key: _restored(v, arrays) for key, v in content.items()}


def write_checkpoint(path, tensors, notes):
    """Write a training run's tensors and, as JSON, all else it needs to go on.

    Parameters
    ----------
    path : str or os.PathLike
    tensors : dict of str to array
    notes : dict
        Of what JSON can hold.

    Raises
    ------
    OSError
        If the file cannot be written; an old one is left as it was.
    TypeError
        If the notes are not such.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_checkpoint(folder + "/a", {"model/w": np.zeros(2)}, {"epoch": 3})
    ...     read_checkpoint(folder + "/a")
    ({'model/w': array([0., 0.])}, {'epoch': 3})
    """
    try:
        text = json.dumps({"format": FORMAT, "notes": notes})
    except (TypeError, ValueError) as error:
        raise TypeError(f"checkpoint: the notes do not fit JSON ({error}); use numbers and text") from None
    write_bytes("checkpoint", path, _pack("checkpoint", tensors, {METADATA: text}))


def read_checkpoint(path):
    """Read what `write_checkpoint` wrote: the pair (tensors, notes).

    Raises
    ------
    FileNotFoundError, OSError
        As `load` does.
    ValueError
        If the file is damaged, no checkpoint, or one of another version's format.
    """
    tensors, metadata = _read("resume", path)
    try:
        content = parse_json(metadata[METADATA])
        version, notes = content["format"], content["notes"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"resume: {os.fsdecode(path)} holds tensors but no training run; pass a file of Checkpoint's"
        ) from None
    if version != FORMAT:
        raise ValueError(
            f"resume: {os.fsdecode(path)} is a checkpoint of format {arguments.shown(version)}, this nnscratch reads "
            f"format {FORMAT}; resume it with the version that wrote it"
        )
    return tensors, notes


def _pack(operation, tensors, metadata):
    """The bytes of a safetensors file."""
    from safetensors.numpy import save as pack

    arrays = {name: _array(operation, name, value) for name, value in tensors.items()}
    return pack(arrays, {**(metadata or {}), CHECKSUM: _checksum(arrays, metadata or {})})


def _checksum(arrays, metadata):
    """A sum over names, types, shapes and bytes of arrays, and over our own metadata."""
    total = zlib.crc32(metadata.get(METADATA, "").encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), total)
        total = zlib.crc32(array.reshape(-1).view(np.uint8), total)
    return f"{total:08x}"


def _array(operation, name, value):
    """A tensor as safetensors takes it."""
    array = value.numpy() if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray | np.generic):
        raise TypeError(f"{operation}: {name} is a {type(value).__name__}, expected a Tensor or an array; convert it")
    kind = array.dtype.kind
    if kind not in "biuf" or (kind == "f" and array.dtype.itemsize > 8):
        advice = {"f": "convert it to float64", "c": "save its .real and .imag", "U": "pass it as a list, by .tolist()"}
        raise TypeError(
            f"{operation}: {name} has dtype {array.dtype}, which safetensors lacks; "
            f"{advice.get(kind, 'convert it to numbers')}"
        )
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def _read(operation, path):
    """The tensors of a safetensors file, and its metadata, whose checksum, where it has one, is that of both."""
    arrays, metadata = read_tensors(operation, path)
    if CHECKSUM in metadata and metadata[CHECKSUM] != _checksum(arrays, metadata):
        raise ValueError(
            f"{operation}: {arguments.named(path)} is damaged: its checksum is not that of what it holds; write it again, or take another copy"
        )
    return arrays, metadata
