"""Files of tensors: safetensors only, written whole or not at all, read back with every fault named.

`save` and `load` are for networks and plain dictionaries. `write_checkpoint` and `read_checkpoint` add to the
tensors what the rest of a training run needs, as JSON in the file's own metadata; nothing is ever pickled.
"""

import json
import os

import numpy as np

from nnscratch.files import as_path, write_bytes
from nnscratch.tensor import Tensor

FORMAT = 2  # of what `write_checkpoint` adds; a file of another format is refused
METADATA = "nnscratch"


def save(obj, path):
    """Write a network's parameters and buffers, or a dictionary of tensors, to a safetensors file.

    Parameters
    ----------
    obj : nn.Module or dict of str to Tensor or array
    path : str or os.PathLike
        The file to write or replace, whole or not at all.

    Raises
    ------
    TypeError
        If `obj` is neither, or a value is no array of numbers.
    OSError
        If the file cannot be written; an old one is left as it was.

    Examples
    --------
    >>> import tempfile, nnscratch as ns
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ns.save({"weight": ns.tensor([1.0, 2.0])}, folder + "/a.safetensors")
    ...     ns.load(folder + "/a.safetensors")
    {'weight': array([1., 2.], dtype=float32)}
    """
    from nnscratch.nn import Module

    tensors = obj.state_dict() if isinstance(obj, Module) else obj
    if not isinstance(tensors, dict):
        raise TypeError(
            f"save: got a {type(obj).__name__}, expected a module or a dict of names and arrays; "
            f"pass the network itself or its state_dict()"
        )
    write_bytes("save", path, _pack("save", tensors, None))


def load(path):
    """Read a safetensors file.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    dict of str to numpy.ndarray
        What `Module.load_state_dict` takes, if a network was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.
    ValueError
        If it is truncated, damaged, or no safetensors file.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.load("no/such/file")
    Traceback (most recent call last):
    FileNotFoundError: load: there is no file no/such/file; check the path
    """
    return _read("load", path)[0]


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
        content = json.loads(metadata[METADATA])
        version, notes = content["format"], content["notes"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"resume: {os.fsdecode(path)} holds tensors but no training run; pass a file of Checkpoint's"
        ) from None
    if version != FORMAT:
        raise ValueError(
            f"resume: {os.fsdecode(path)} is a checkpoint of format {version}, this nnscratch reads "
            f"format {FORMAT}; resume it with the version that wrote it"
        )
    return tensors, notes


def _pack(operation, tensors, metadata):
    """The bytes of a safetensors file."""
    from safetensors.numpy import save as pack

    arrays = {}
    for name, value in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"{operation}: got {name!r} as a name, expected a str (and not '__metadata__'); rename it")
        array = value.numpy() if isinstance(value, Tensor) else value
        if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "biuf":
            raise TypeError(
                f"{operation}: {name} is a {type(value).__name__}, expected a Tensor or an array; convert it to numbers"
            )
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            raise TypeError(f"{operation}: {name} has dtype {array.dtype}, which safetensors lacks; convert to float64")
        arrays[name] = np.array(array, array.dtype.newbyteorder("="), order="C")
    return pack(arrays, metadata)


def _read(operation, path):
    """The tensors of a safetensors file, and its metadata."""
    from safetensors import SafetensorError, safe_open

    path = as_path(operation, path)
    try:
        with open(path, "rb"):  # whose errors say more than those of safe_open
            pass
        with safe_open(path, framework="numpy") as file:
            arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        for array in arrays.values():
            if array.dtype.kind not in "biuf":  # of a type that another package has taught NumPy, such as bfloat16
                raise TypeError(array.dtype)
        return arrays, metadata
    except FileNotFoundError:
        raise FileNotFoundError(f"{operation}: there is no file {path}; check the path") from None
    except SafetensorError as error:
        raise ValueError(
            f"{operation}: {path} is truncated, damaged or no safetensors file ({error}); write it again"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"{operation}: cannot read {path} ({reason}); check the path and its permissions") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"{operation}: {path} holds numbers of a type that NumPy lacks ({error}); convert them to float32"
        ) from None
