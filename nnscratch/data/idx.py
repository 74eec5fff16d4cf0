"""The IDX file format of MNIST: read and write, gzipped or not."""

import math

import numpy as np

from nnscratch.files import as_path, read_bytes, write_bytes

# The third byte of an IDX file names the type; the numbers that follow are big-endian.
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"


def decompress(operation, path, content):
    """Return ``content`` (bytes) unpacked if it is gzipped, else as it is.

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
    import gzip
    import zlib

    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{operation}: {path} is a damaged gzip file ({error}); fetch it again") from None


def parse_idx(operation, path, content):
    """Return the array in the bytes of an (unpacked) IDX file; ``path`` is for the error message.

    Examples
    --------
    >>> parse_idx("read_idx", "digits", bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 6]))
    array([5, 6], dtype=uint8)
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES or not 1 <= content[3] <= 64:
        got = f"starts with bytes {content[:4].hex(' ')}" if content else "is empty"
        wanted = "an IDX file's 00 00, a type (08, 09, 0b, 0c, 0d or 0e) and a count of axes from 1 to 64"
        raise ValueError(f"{operation}: {path} {got}, wants {wanted}; check that it is the right file")
    dtype, start = np.dtype(TYPES[content[2]]), 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    expected = start + (dtype.itemsize * math.prod(shape) if len(content) >= start else 0)
    if len(content) != expected:
        fault = "is truncated" if len(content) < expected else "is too long"
        wanted = f"{expected} bytes for its header and shape {shape}"
        raise ValueError(f"{operation}: {path} {fault}: it holds {len(content)}, wants {wanted}; fetch it again")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


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
    content = decompress("read_idx", path, read_bytes("read_idx", path))
    return parse_idx("read_idx", path, content)


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
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_idx(folder + "/labels", np.array([7, 0], np.uint8))
    ...     read_bytes("read_idx", folder + "/labels").hex(" ")
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
        import gzip

        content = gzip.compress(content, mtime=0)
    write_bytes("write_idx", path, content)
