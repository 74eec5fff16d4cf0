"""The IDX file format of MNIST: read and write, gzipped or not."""

import contextlib
import gzip
import io
import math
import os
import zlib

import numpy as np

from nnscratch.files import as_path, opened, write_bytes

# The third byte of an IDX file names the type; the numbers that follow are big-endian.
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
#: Bytes that a gzipped file may be unpacked to before it is known whether it holds what its header says.
MOST_UNPACKED = 1 << 24
CHUNK = 1 << 24


def decompress(operation, path, content, most=None):
    """Return ``content`` (bytes) unpacked if it is gzipped, else as it is; of what is unpacked one byte more than `most`, at most.

    Raises
    ------
    ValueError
        If the gzipped content is damaged or cut short.

    Examples
    --------
    >>> decompress("read_idx", "digits", b"plain")
    b'plain'
    """
    if not content.startswith(GZIP_MAGIC):
        return content
    with _unpacked(operation, path, io.BytesIO(content)) as file:
        return file.read() if most is None else file.read(most + 1)


@contextlib.contextmanager
def _unpacked(operation, path, file):
    """What is in a gzipped file, to be read; faults of it are told."""
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{operation}: {path} is a damaged gzip file ({error}); fetch it again") from None


def parse_idx(operation, path, content):
    """Return the array in the bytes of an (unpacked) IDX file; ``path`` is for the error message.

    Examples
    --------
    >>> parse_idx("read_idx", "digits", bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 6]))
    array([5, 6], dtype=uint8)
    """
    return _parsed(operation, path, io.BytesIO(content))


def load_idx(operation, path):
    """The array in an IDX file, gzipped or not.

    Examples
    --------
    >>> load_idx("read_idx", "no/such/file")
    Traceback (most recent call last):
    FileNotFoundError: read_idx: there is no file no/such/file; check the path
    """
    with opened(operation, path) as file:
        if file.peek(2)[:2] != GZIP_MAGIC:
            return _parsed(operation, path, file)
        size = os.fstat(file.fileno()).st_size
        if size:  # of a regular file, which can be gone through twice
            with _unpacked(operation, path, file) as unpacked:
                _parsed(operation, path, unpacked, keep=max(MOST_UNPACKED, size))
            file.seek(0)
        with _unpacked(operation, path, file) as unpacked:
            return _parsed(operation, path, unpacked)


def _parsed(operation, path, file, keep=None):
    """The array in a file: its header first, and then at most one byte more than that says.

    With `keep`, where the values would have more bytes than that, they are gone through and counted only.
    """
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not 1 <= head[3] <= 64:
        got = f"starts with bytes {head.hex(' ')}" if head else "is empty"
        wanted = "an IDX file's 00 00, a type (08, 09, 0b, 0c, 0d or 0e) and a count of axes from 1 to 64"
        raise ValueError(f"{operation}: {path} {got}, wants {wanted}; check that it is the right file")
    dtype, sizes = np.dtype(TYPES[head[2]]), file.read(4 * head[3])
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * head[3], 4))
    whole = len(sizes) == 4 * head[3]
    expected = dtype.itemsize * math.prod(shape) if whole else 0
    if keep is not None and expected <= keep:
        return None  # read at once by the next pass
    chunks, found = [], 0
    while found <= expected and (chunk := file.read(min(expected + 1 - found, CHUNK))):
        found += len(chunk)
        if keep is None:
            chunks.append(chunk)
    if not whole or found != expected:
        fault = "is too long" if whole and found > expected else "is truncated"
        start = 4 + 4 * head[3]
        held = f"{4 + len(sizes) + found}{' or more' * (found > expected)}"
        wanted = f"{start + expected} bytes for its header and shape {shape}"
        raise ValueError(f"{operation}: {path} {fault}: it holds {held}, wants {wanted}; fetch it again")
    if keep is not None:
        return None
    content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def read_idx(path):
    """Read an IDX file, gzipped or not.

    The format (described with MNIST by LeCun, Cortes and Burges): two zero bytes, the type, the number of
    axes, the size of each axis as a big-endian 32-bit integer, then the big-endian values, last axis fastest.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; whether it is gzipped is seen from its content, not from its name.

    Returns
    -------
    numpy.ndarray
        uint8, int8, int16, int32, float32 or float64, as the file says, in the machine's own byte order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.
    ValueError
        If it is empty, truncated, too long, damaged, or no IDX file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(folder + "/digits.gz", np.array([[1, 2], [3, 4]], np.int16))
    ...     read_idx(folder + "/digits.gz")
    array([[1, 2],
           [3, 4]], dtype=int16)
    """
    return load_idx("read_idx", path)


def write_idx(path, array):
    """Write an array as an IDX file, gzipped if the name ends in ``.gz``, whole or not at all.

    Parameters
    ----------
    path : str or pathlib.Path
        The file to write or replace.
    array : numpy.ndarray
        uint8, int8, int16, int32, float32 or float64, with at least one axis.

    Raises
    ------
    TypeError
        If IDX has no such dtype.
    ValueError
        If the array is a single number.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(folder + "/labels", np.array([7, 0], np.uint8))
    ...     Path(folder, "labels").read_bytes().hex(" ")
    '00 00 08 01 00 00 00 02 07 00'
    """
    array = np.asarray(array)
    big = array.dtype.newbyteorder(">")
    code = next((code for code, dtype in TYPES.items() if np.dtype(dtype) == big), None)
    if code is None:
        wanted = "uint8, int8, int16, int32, float32 or float64"
        raise TypeError(f"write_idx: array has dtype {array.dtype}, IDX knows {wanted}; convert it with astype")
    if array.ndim == 0:
        raise ValueError("write_idx: array is a single number of shape (), wants at least one axis; use reshape(1)")
    content = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(big).tobytes()
    if as_path("write_idx", path).endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    write_bytes("write_idx", path, content)
