"""Files of tensors: safetensors only, written whole or not at all, read back with every fault named.

`save` and `load` are for networks and plain dictionaries. `write_checkpoint` and `read_checkpoint` add to the
tensors what the rest of a training run needs, as JSON in the file's own metadata; nothing is ever pickled.
"""

import contextlib
import json
import os

import numpy as np

from nnscratch.data.idx import write_bytes
from nnscratch.tensor import Tensor

FORMAT = 1  # of what `write_checkpoint` adds; a file of another format is refused
METADATA = "nnscratch"


def write(operation, path, content):
    """Write bytes to a file in one step: whatever happens, the old file or the new one is there, never half.

    They go to a temporary file in the same folder, are forced to the disk and renamed; then the folder is
    forced to the disk too.

    Parameters
    ----------
    operation : str
        Whom an error message shall name.
    path : str or os.PathLike
    content : bytes

    Raises
    ------
    OSError
        If the folder is missing or unwritable, or the disk is full: the old file is as it was, and nothing is
        left.
    TypeError
        If `path` is no path.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write("save", os.path.join(folder, "a"), b"weights")
    ...     os.listdir(folder)
    ['a']
    """
    write_bytes(operation, path, content)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(os.path.dirname(os.path.abspath(os.fsdecode(path))), os.O_RDONLY)
        with contextlib.suppress(OSError):  # some file systems cannot do this; the file is safe by itself
            os.fsync(handle)
        os.close(handle)


def writable_folder(operation, folder):
    """Make a folder, where it is not there yet, and see that a file can be written in it.

    Raises
    ------
    OSError
        If that cannot be done.
    TypeError
        If `folder` is no path.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writable_folder("train", folder + "/runs/first")
    ...     os.listdir(folder)
    ['runs']
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(
            f"{operation}: the folder is a {type(folder).__name__}, expected a str or a path; pass one"
        )
    probe = os.path.join(os.fsdecode(folder), f".{os.urandom(4).hex()}.part")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(probe, "xb"):
            pass
        os.remove(probe)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"{operation}: cannot write in the folder {os.fsdecode(folder)} ({reason}); choose another"
        ) from None


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
    write("save", path, _pack("save", tensors, None))


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
    write("checkpoint", path, _pack("checkpoint", tensors, {METADATA: text}))


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
            raise TypeError(
                f"{operation}: got {name!r} as a name, expected a str (and not '__metadata__'); rename it"
            )
        array = value.numpy() if isinstance(value, Tensor) else value
        if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "biuf":
            raise TypeError(
                f"{operation}: {name} is a {type(value).__name__}, expected a Tensor or an array; "
                f"convert it to numbers"
            )
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            raise TypeError(
                f"{operation}: {name} has dtype {array.dtype}, which safetensors lacks; convert to float64"
            )
        arrays[name] = np.array(array, array.dtype.newbyteorder("="), order="C")
    return pack(arrays, metadata)


def _read(operation, path):
    """The tensors of a safetensors file, and its metadata."""
    from safetensors import SafetensorError, safe_open

    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{operation}: path is a {type(path).__name__}, expected a str or a pathlib.Path; pass one"
        )
    path = os.fsdecode(path)
    try:
        with open(path, "rb"):  # whose errors say more than those of safe_open
            pass
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise FileNotFoundError(f"{operation}: there is no file {path}; check the path") from None
    except SafetensorError as error:
        raise ValueError(
            f"{operation}: {path} is truncated, damaged or no safetensors file ({error}); write it again"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"{operation}: cannot read {path} ({reason}); check the path and its permissions"
        ) from None
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"{operation}: {path} holds numbers of a type that NumPy lacks ({error}); convert them to float32"
        ) from None
