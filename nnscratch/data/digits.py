"""MNIST, the handwritten digits of LeCun, Cortes and Burges: a sample that ships here, and the full set."""

import os
from pathlib import Path

import numpy as np

from nnscratch.data.idx import decompress, load_idx, parse_idx
from nnscratch.files import read_bytes, write_bytes
from nnscratch.kernels import folders

# The SHA-256 of each file, unpacked: however a mirror packs it, the content is MNIST's.
MOST = 1 << 26  # bytes of a file unpacked, of which the largest has 47,040,016
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
]
SAMPLE = Path(__file__).with_name("mnist_sample.npz")
FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package
TIMEOUT = 20  # seconds without an answer before the next mirror is tried


def mnist(sample=False):
    """Load MNIST: images of handwritten digits and their labels.

    The full set is looked for in the folder ``$NNSCRATCH_DATA/mnist/`` (IDX files, gzipped or not), then in
    the cache folder (``~/.cache/nnscratch/mnist``, or under ``$XDG_CACHE_HOME``), and is otherwise downloaded
    into the cache. Its files are checked by their SHA-256 wherever they come from.

    Parameters
    ----------
    sample : bool
        True for the sample that ships with nnscratch: 10,000 of the training and 2,000 of the test images,
        without any network (see MNIST.md beside this file).

    Returns
    -------
    ((x_train, y_train), (x_test, y_test))
        Images float32 in [0, 1], shape (N, 1, 28, 28), ink 1 on paper 0; labels int64, shape (N,).
        60,000 and 10,000 of them, or 10,000 and 2,000 in the sample.

    Raises
    ------
    TypeError
        If ``sample`` is neither True nor False.
    FileNotFoundError
        If ``$NNSCRATCH_DATA/mnist/`` lacks a file.
    ValueError
        If a file is damaged or is not MNIST's.
    OSError
        If the set is nowhere and cannot be downloaded or stored.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = mnist(sample=True)
    >>> x_train.shape, y_test.shape
    ((10000, 1, 28, 28), (2000,))
    """
    if not isinstance(sample, bool):
        got = f"sample is {sample!r}"
        raise TypeError(f"mnist: {got}, wants True or False; for other files set NNSCRATCH_DATA or use read_idx")
    if sample:
        with np.load(SAMPLE, allow_pickle=False) as arrays:
            parts = [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    else:
        parts = [load_file(path, name) for name, path in zip(FILES, _find(), strict=True)]
    x_train, y_train, x_test, y_test = parts
    return (_images(x_train), y_train.astype(np.int64)), (_images(x_test), y_test.astype(np.int64))


def fashion_mnist():
    """Load Fashion-MNIST (Xiao, Rasul & Vollgraf, 2017): images of clothes in MNIST's shapes, where Debian's package has put them.

    Returns
    -------
    ((x_train, y_train), (x_test, y_test))
        As of `mnist`: 60,000 and 10,000 images; the classes are T-shirt, trousers, pullover, dress, coat, sandal, shirt, sneaker,
        bag and boot.

    Raises
    ------
    FileNotFoundError
        Where it is not installed.
    ValueError
        Where a file is damaged.

    Examples
    --------
    >>> try:
    ...     (x, y), test = fashion_mnist()
    ... except FileNotFoundError:  # the package is not installed
    ...     (x, y), test = mnist(sample=True)
    >>> x.shape[1:]
    (1, 28, 28)
    """
    paths = [find_file(FASHION, name) for name in FILES]
    if None in paths:
        raise FileNotFoundError(
            f"fashion_mnist: {FASHION} does not hold the data; install Debian's package dataset-fashion-mnist, or take mnist"
        )
    x_train, y_train, x_test, y_test = (load_idx("fashion_mnist", p) for p in paths)
    return (_images(x_train), y_train.astype(np.int64)), (_images(x_test), y_test.astype(np.int64))


def _images(pixels):
    images = pixels[:, None].astype(np.float32)
    images /= 255
    return images


def load_file(path, name):
    """Return the array in one of MNIST's files, checked by the SHA-256 that ``FILES`` has for ``name``.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is damaged or is not MNIST's.
    """
    content = decompress("mnist", path, read_bytes("mnist", path), MOST)
    array = parse_idx("mnist", path, content)
    if _sha256(content) != FILES[name]:
        got = f"{path} (shape {array.shape}) is not MNIST's {name}: its SHA-256 differs"
        raise ValueError(f"mnist: {got}; replace it, or read other data with read_idx")
    return array


def _sha256(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _find():
    """Return the paths of the four files, downloading those that the cache lacks."""
    own = Path(os.environ["NNSCRATCH_DATA"], "mnist") if os.environ.get("NNSCRATCH_DATA") else None
    if own is not None and own.is_dir():
        paths = [find_file(own, name) for name in FILES]
        missing = [name for name, path in zip(FILES, paths, strict=True) if path is None]
        if missing:
            raise FileNotFoundError(f"mnist: {own} lacks {', '.join(missing)} (plain or .gz); put the files there")
        return paths
    cache = folders.cache("mnist")
    return [find_file(cache, name) or _download(cache, name) for name in FILES]


def find_file(folder, name):
    """Return the path of a file in a folder, in either spelling in use, plain or gzipped; None if not there.

    Examples
    --------
    >>> find_file(Path("no/such/folder"), "t10k-labels-idx1-ubyte") is None
    True
    """
    spellings = [name, name.replace("-idx", ".idx")]
    candidates = [folder / (spelling + ending) for spelling in spellings for ending in ("", ".gz")]
    return next((path for path in candidates if path.is_file()), None)


def _download(cache, name):
    """Fetch a file from the first mirror that has it whole, and put it into the cache."""
    import http.client

    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        advice = "set XDG_CACHE_HOME to a writable folder, or use mnist(sample=True)"
        raise OSError(f"mnist: cannot make the cache folder {cache} ({error.strerror}); {advice}") from None
    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            content = decompress("mnist", url, _fetch(url), MOST)
            if _sha256(content) != FILES[name]:
                raise ValueError("its SHA-256 differs from MNIST's")
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
            continue
        write_bytes("mnist", cache / name, content)
        return cache / name
    raise ConnectionError(
        f"mnist: cannot download the data ({'; '.join(failures)}); put the files {', '.join(FILES)} "
        f"(plain or .gz) into $NNSCRATCH_DATA/mnist/ or {cache}, or use mnist(sample=True)"
    )


def _fetch(url):
    """Return the bytes at a URL, showing a progress bar."""
    from urllib.request import urlopen

    from tqdm import tqdm

    with urlopen(url, timeout=TIMEOUT) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        chunks = []
        with tqdm(total=size or None, unit="B", unit_scale=True, desc=url.rsplit("/", 1)[-1]) as bar:
            while chunk := answer.read(1 << 16):
                chunks.append(chunk)
                bar.update(len(chunk))
    content = b"".join(chunks)
    if size and len(content) != size:
        raise ValueError(f"the transfer broke off after {len(content)} of {size} bytes")
    return content
