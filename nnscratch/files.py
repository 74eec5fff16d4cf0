"""Files read and written whole or not at all, every fault told in one sentence that names the file."""

import contextlib
import glob
import json
import os
import stat
import sys

from nnscratch import arguments


def as_path(operation, path):
    """A path as a str.

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> as_path("load", "a.safetensors")
    'a.safetensors'
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{operation}: path is a {type(path).__name__}, expected a str or a pathlib.Path; pass one")
    return os.fsdecode(path)


def _reason(error):
    return getattr(error, "strerror", None) or error


def read_bytes(operation, path):
    """The bytes of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.
    TypeError
        If `path` is no path.

    Examples
    --------
    >>> len(read_bytes("read_idx", __file__)) > 0
    True
    """
    with opened(operation, path) as file:
        return file.read()


@contextlib.contextmanager
def opened(operation, path):
    """A file open for reading its bytes, for what is too large to be read at once; the errors are those of `read_bytes`.

    Examples
    --------
    >>> with opened("glove", __file__) as file:
    ...     len(file.read(3))
    3
    """
    path = as_path(operation, path)
    try:
        file = open(path, "rb")  # noqa: SIM115 as errors of opening alone are told here
    except FileNotFoundError:
        raise FileNotFoundError(f"{operation}: there is no file {path}; check the path") from None
    except (OSError, ValueError) as error:
        raise _unreadable(operation, path, error) from None
    with file:
        try:
            yield file
        except OSError as error:
            raise _unreadable(operation, path, error) from None


def read_tensors(operation, path):
    """The arrays of a safetensors file by name, and its metadata.

    Raises
    ------
    FileNotFoundError, OSError
        As `read_bytes` does.
    TypeError
        If `path` is no path.
    ValueError
        If the file is cut off, damaged, no safetensors file, or holds numbers of a type that NumPy lacks.

    Examples
    --------
    >>> read_tensors("load", "no/such/file")
    Traceback (most recent call last):
    FileNotFoundError: load: there is no file no/such/file; check the path
    """
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
            f"{operation}: {path} is truncated, damaged or no safetensors file ({arguments.named(error)}); write it again"
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(operation, path, error) from None
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"{operation}: {path} holds numbers of a type that NumPy lacks ({error}); convert them to float32"
        ) from None


def read_json(operation, path):
    """What a JSON file says, which has to be a dict.

    Raises
    ------
    FileNotFoundError, OSError, TypeError
        As `read_bytes` does.
    ValueError
        If it is no JSON, or something else than a dict.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes("save", folder + "/a.json", b'{"epochs": 3}')
    ...     read_json("load", folder + "/a.json")
    {'epochs': 3}
    """
    content = read_bytes(operation, path)
    try:
        found = parse_json(content)
    except ValueError as error:
        found = error
    if not isinstance(found, dict):
        what = f"is no JSON ({found})" if isinstance(found, ValueError) else f"holds a {type(found).__name__}"
        raise ValueError(f"{operation}: {os.fsdecode(path)} {what}, expected a dict in JSON; fetch the file again")
    return found


#: Lists and dicts in a JSON text; more of them would take many times the text's memory.
MOST_PARTS = 200_000


def parse_json(text):
    """What a JSON text says, of a file that anybody may have written.

    Raises
    ------
    ValueError
        If it is none, is nested too deeply, or has more than `MOST_PARTS` lists and dicts.

    Examples
    --------
    >>> parse_json('{"epoch": 3}')
    {'epoch': 3}
    >>> parse_json("[" * 10**6)
    Traceback (most recent call last):
    ValueError: it has 1000000 lists and dicts, expected at most 200000
    """
    parts = sum(text.count(mark if isinstance(text, str) else mark.encode()) for mark in "[{")
    if parts > MOST_PARTS:
        raise ValueError(f"it has {parts} lists and dicts, expected at most {MOST_PARTS}")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unreadable(operation, path, error):
    return OSError(f"{operation}: cannot read {path} ({_reason(error)}); check the path and its permissions")


def write_bytes(operation, path, content):
    """Write a file in one step that survives a crash: the old file or the new one is there, never half.

    The bytes go to a temporary file in the same folder, are forced to the disk and then renamed, and so is the folder. A file that is
    there keeps its mode and owner (where the owner cannot be given, the bytes are copied into the file at last). A symbolic link is
    followed; a device or a named pipe is written to.

    Parameters
    ----------
    operation : str
        Whom an error message shall name.
    path : str or os.PathLike
    content : bytes

    Raises
    ------
    OSError
        If the folder is missing or unwritable, or the disk is full: the old file is as it was, and nothing is left.
    TypeError
        If `path` is no path.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes("save", os.path.join(folder, "a"), b"weights")
    ...     os.listdir(folder)
    ['a']
    """
    path = as_path(operation, path)
    try:
        before = _status(path)
        if before is not None and stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(0, "it is a folder")
        if before is not None and not stat.S_ISREG(before.st_mode):
            _write_into(path, content)
            return
        stream = _standard_stream(before)
        if stream is not None:
            stream.flush()
            stream.buffer.write(content)
            stream.flush()
            return
        path = os.path.realpath(path)
        _replace(path, content, before)
    except (OSError, ValueError) as error:
        raise OSError(
            f"{operation}: cannot write {path} ({_reason(error)}); choose a writable folder with space"
        ) from None
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _status(path):
    """What `os.stat` says of a path, links followed; None where there is nothing."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _standard_stream(status):
    """The standard output or error, where a file is what that was sent to: ``/dev/stdout`` is such a path."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or none of the system's
            if status is not None and os.path.samestat(os.fstat(stream.fileno()), status) and stream.buffer:
                return stream
    return None


def _write_into(path, content):
    with open(path, "wb") as file:
        file.write(content)


def _replace(path, content, before):
    """Let a file have other bytes; `before` is the status of the one that is there, or None."""
    temporary = f"{path}.{os.urandom(4).hex()}.part"
    try:
        with open(temporary, "xb", opener=_private if before is not None else None) as file:
            file.write(content)
            file.flush()
            keeps_owner = before is None or _give(file.fileno(), before)
            os.fsync(file.fileno())
        if keeps_owner:
            os.replace(temporary, path)
        else:
            _write_into(path, content)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _private(path, flags):
    """Open a file that nobody else may read, until it has the mode of the one that it replaces."""
    return os.open(path, flags, 0o600)


def _give(handle, before):
    """Give an open file the owner and the mode of another, and say whether it has that owner."""
    if os.name != "posix":
        return True
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(handle, before.st_uid, before.st_gid)
        except OSError:
            return False
    os.fchmod(handle, stat.S_IMODE(before.st_mode))
    return True


def writable_file(operation, path):
    """See that a file can be written in its folder, which is made where it is not there yet; clear what a killed run has left there.

    Raises
    ------
    OSError
        If that cannot be done, or the path is a folder's.
    TypeError
        If `path` is no path.

    Examples
    --------
    >>> writable_file("train", os.devnull)
    """
    path = as_path(operation, path)
    status = _status(path)
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise OSError(f"{operation}: {path} is a folder, expected a file; add a name to it")
    if status is None or stat.S_ISREG(status.st_mode):
        path = os.path.realpath(path)
        writable_folder(operation, os.path.dirname(path))
        for left in glob.glob(glob.escape(path) + ".????????.part"):
            os.remove(left)


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
    folder = as_path(operation, folder)
    probe = os.path.join(folder, f".{os.urandom(4).hex()}.part")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(probe, "xb"):
            pass
        os.remove(probe)
    except (OSError, ValueError) as error:
        raise OSError(f"{operation}: cannot write in the folder {folder} ({_reason(error)}); choose another") from None
