"""Cleaning, tokens, padding, windows and batches of text; tokens and padding against keras-preprocessing where that is installed."""

import itertools
import json
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch.data import text
from nnscratch.data.text import Tokenizer, pad_sequences


@pytest.fixture
def keras(monkeypatch):
    """keras-preprocessing 1.1.2, whose pad_sequences asks NumPy for a name that version 2 has no more."""
    found = pytest.importorskip("keras_preprocessing.text", reason="needs keras-preprocessing")
    monkeypatch.setattr(np, "unicode_", np.str_, raising=False)
    from keras_preprocessing import sequence

    found.pad_sequences = sequence.pad_sequences
    return found


# --- Cleaning


@pytest.mark.parametrize(
    ("given", "settings", "cleaned"),
    [
        ("“Don’t” – stop…", {}, '"Don\'t" - stop...'),
        ("cafe\u0301", {}, "caf\u00e9"),
        ("Caf\u00e9 \u0130", {"accents": False, "lower": True}, "cafe i"),
        ("a\r\nb\tc\u00a0d\u2028e\u3000f", {}, "a b c d e f"),
        ("script is\x85was \x96 \x81there", {}, "script is...was - there"),
        ("\ufeffa\u00adb\x00c\x7f", {}, "abc"),
        ("1 < 2 &amp;&lt;b&gt; > 0<br/>x<!-- no\n -->y", {"markup": True}, "1 < 2 &<b> > 0 x y"),
        ("<b>&amp;", {}, "<b>&amp;"),
        ("很好。ＡＢ", {}, "很好。ＡＢ"),
        ("नी", {}, "नी"),
        (" \n ", {}, ""),
        (
            "I'm sure it’s DON'T, can't 'tis o'clock",
            {"contractions": True},
            "I 'm sure it 's DO N'T, ca n't 'tis o'clock",
        ),
    ],
)
def test_clean_writes_one_way(given, settings, cleaned):
    assert text.clean(given, **settings) == cleaned
    assert text.clean(cleaned, **settings | {"markup": False}) == cleaned


@given(st.text(), st.booleans(), st.booleans())
def test_what_is_clean_stays_as_it_is(given, lower, accents):
    cleaned = text.clean(given, lower, accents)
    assert text.clean(cleaned, lower, accents) == cleaned
    assert cleaned == cleaned.strip() and "  " not in cleaned and "\n" not in cleaned


# --- Tokens

#: What keras-preprocessing 1.1.2 makes: settings, texts seen, their numbers, and the sequences of the last.
KERAS = [
    ({}, ["the cat sat on the mat"], {"the": 1, "cat": 2, "sat": 3, "on": 4, "mat": 5}, [1, 2, 3, 4, 1, 5]),
    ({"num_words": 3}, ["b a a b c"], {"b": 1, "a": 2, "c": 3}, [1, 2, 2, 1]),
    ({"num_words": 3, "oov_token": "?!"}, ["b a a b c"], {"?!": 1, "b": 2, "a": 3, "c": 4}, [2, 1, 1, 2, 1]),
    ({}, ["x, y!", "Y-z 'tis don't"], {"y": 1, "x": 2, "z": 3, "'tis": 4, "don't": 5}, [1, 3, 4, 5]),
    ({"lower": False}, ["A a A"], {"A": 1, "a": 2}, [1, 2, 1]),
    ({}, ["好，很好。 好"], {"好，很好。": 1, "好": 2}, [1, 2]),
    ({}, ["end\r\nend \u00a0x"], {"end\r": 1, "end": 2, "\u00a0x": 3}, [1, 2, 3]),
    ({"char_level": True}, ["Ab a"], {"a": 1, "b": 2, " ": 3}, [1, 2, 3, 1]),
    ({"filters": "x", "split": "--"}, ["axb--c d"], {"a": 1, "b": 2, "c d": 3}, [1, 2, 3]),
    ({}, [["New York", "no"], "no"], {"no": 1, "new york": 2}, [1]),
]


@pytest.mark.parametrize(("settings", "texts", "index", "last"), KERAS)
def test_numbers_are_those_of_keras(settings, texts, index, last):
    tokenizer = Tokenizer(**settings)
    tokenizer.fit_on_texts(texts)
    assert tokenizer.word_index == index
    assert tokenizer.texts_to_sequences(texts)[-1] == last


@pytest.mark.parametrize(("settings", "texts", "index", "last"), KERAS)
def test_keras_makes_the_numbers_of_the_table(keras, settings, texts, index, last):
    tokenizer = keras.Tokenizer(**settings)
    tokenizer.fit_on_texts(texts)
    assert tokenizer.word_index == index
    assert tokenizer.texts_to_sequences(texts)[-1] == last


TEXTS = st.lists(st.text(st.sampled_from("abcAB İß,.'\t\n\r\u00a0，"), max_size=30), min_size=1, max_size=6)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "num_words": st.integers(2, 8),
        "lower": st.booleans(),
        "char_level": st.booleans(),
        "oov_token": st.just("<OOV>"),
        "filters": st.sampled_from(["", "a,", "."]),
    },
)


@given(TEXTS, TEXTS, SETTINGS)
def test_numbers_are_those_of_keras_for_any_texts(seen, others, settings):
    keras = pytest.importorskip("keras_preprocessing.text", reason="needs keras-preprocessing")
    theirs, ours = keras.Tokenizer(**settings), Tokenizer(**settings)
    theirs.fit_on_texts(seen)
    if not theirs.word_counts:
        with pytest.raises(ValueError, match="hold no token at all"):
            ours.fit_on_texts(seen)
        return
    ours.fit_on_texts(iter(seen))
    theirs.fit_on_texts(others)
    ours.fit_on_texts(others)
    assert ours.word_index == theirs.word_index
    assert list(ours.word_counts.items()) == list(theirs.word_counts.items())
    assert ours.texts_to_sequences(others) == theirs.texts_to_sequences(others)
    for mode in ("binary", "count", "freq", "tfidf"):
        matrix = theirs.texts_to_matrix(others, mode)[:, : ours.vocabulary_size]
        np.testing.assert_allclose(ours.texts_to_matrix(others, mode), matrix, rtol=1e-6, atol=0)


@given(TEXTS, SETTINGS)
def test_files_are_read_by_keras_and_those_of_keras_here(seen, settings):
    keras = pytest.importorskip("keras_preprocessing.text", reason="needs keras-preprocessing")
    theirs, ours = keras.Tokenizer(**settings), Tokenizer(**settings)
    theirs.fit_on_texts(seen)
    if not theirs.word_counts:
        return
    ours.fit_on_texts(seen)
    expected = theirs.texts_to_sequences(seen)
    assert Tokenizer.from_json(theirs.to_json()).texts_to_sequences(seen) == expected
    assert keras.tokenizer_from_json(ours.to_json()).texts_to_sequences(seen) == expected
    assert json.loads(ours.to_json()) == json.loads(theirs.to_json())


def test_a_thousand_words_are_the_numbers_up_to_999():
    many = [f"{a}{b}" for a in string.ascii_lowercase for b in string.ascii_lowercase] * 2
    many += [f"{w}{c}" for w in many[:676] for c in "xy"]
    tokenizer = Tokenizer(num_words=1000)
    tokenizer.fit_on_texts([many])
    (numbers,) = tokenizer.texts_to_sequences([many])
    assert sorted(set(numbers)) == [*range(1, 1000)]
    assert tokenizer.vocabulary_size == 1000 and len(tokenizer.word_index) == 676 * 3


def test_a_token_spelt_as_the_oov_token_has_number_1():
    tokenizer = Tokenizer(num_words=4, oov_token="unk")
    tokenizer.fit_on_texts(["a a a b b c unk d"])
    assert tokenizer.word_index == {"unk": 1, "a": 2, "b": 3, "c": 4, "d": 5}
    assert tokenizer.texts_to_sequences(["a b c d e unk"]) == [[2, 3, 1, 1, 1, 1]]
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.word_index == tokenizer.word_index and again.word_counts == tokenizer.word_counts


def test_numbers_become_text_again_without_the_padding():
    tokenizer = Tokenizer(oov_token="?")
    tokenizer.fit_on_texts(["to be or not to be"])
    padded = pad_sequences(tokenizer.texts_to_sequences(["to be", "or else not"]))
    assert tokenizer.sequences_to_texts(padded) == ["to be", "or ? not"]
    characters = Tokenizer(char_level=True)
    characters.fit_on_texts(["to be"])
    assert characters.sequences_to_texts(characters.texts_to_sequences(["be to"])) == ["be to"]


def test_the_largest_number_fits_an_embedding_of_the_vocabularys_size():
    for settings in ({}, {"num_words": 3}, {"num_words": 100}, {"oov_token": "?"}):
        tokenizer = Tokenizer(**settings)
        tokenizer.fit_on_texts(["a b c d e"])
        assert (
            max(tokenizer.texts_to_sequences(["a b c d e"])[0]) == tokenizer.vocabulary_size - 1
            or "num_words" in settings
        )
        assert max(tokenizer.texts_to_sequences(["a b c d e"])[0]) < tokenizer.vocabulary_size


def test_a_file_holds_a_tokenizer_whole_or_is_refused(tmp_path):
    tokenizer = Tokenizer(num_words=3, oov_token="?")
    tokenizer.fit_on_texts(["déjà vu", "vu"])
    tokenizer.save(tmp_path / "words.json")
    again = Tokenizer.load(tmp_path / "words.json")
    assert vars(again) == vars(tokenizer) and repr(again) == repr(tokenizer)
    content = (tmp_path / "words.json").read_bytes()
    for n in range(len(content)):
        (tmp_path / "cut.json").write_bytes(content[:n])
        with pytest.raises(ValueError, match=r"^Tokenizer.load: .*cut.json is no tokenizer's JSON"):
            Tokenizer.load(tmp_path / "cut.json")


def test_what_has_seen_nothing_can_be_saved():
    assert Tokenizer.from_json(Tokenizer(oov_token="?").to_json()).oov_token == "?"


def broken(**changes):
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(["a b"])
    made = json.loads(tokenizer.to_json())
    made["config"] |= changes
    return json.dumps({**made, "config": {k: v for k, v in made["config"].items() if v is not ...}})


@pytest.mark.parametrize(
    ("json_text", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "list indices"),
        ("3", "subscriptable"),
        ("{}", "'config' is missing"),
        (broken(word_index=...), "'word_index' is missing"),
        (broken(split=""), "split is empty"),
        (broken(num_words=0), "num_words is 0"),
        (broken(document_count="1"), "document_count is '1'"),
        (broken(word_counts="[1]"), "list"),
        (broken(word_index='{"a": 1, "b": 1}'), "two of its tokens have one number"),
        (broken(word_index='{"a": 1, "b": 0}'), "the number of 'b' is 0"),
        (broken(word_index='{"a": 1}'), "counts are of other tokens"),
        (broken(word_docs='{"a": 1, "b": 1.5}'), "the number of 'b' is 1.5"),
    ],
)
def test_wrong_json_is_refused(json_text, reason):
    with pytest.raises(
        ValueError, match=r"^from_json: the text is no tokenizer's JSON \(.*; write it with `save`$"
    ) as error:
        Tokenizer.from_json(json_text)
    assert reason in str(error.value) and "\n" not in str(error.value)


# --- Padding

PADDED = [
    ([[1, 2, 3], [4]], {}, [[1, 2, 3], [0, 0, 4]]),
    ([[1, 2, 3], [4]], {"padding": "post"}, [[1, 2, 3], [4, 0, 0]]),
    ([[1, 2, 3], [4]], {"maxlen": 2}, [[2, 3], [0, 4]]),
    ([[1, 2, 3], [4]], {"maxlen": 2, "truncating": "post"}, [[1, 2], [0, 4]]),
    ([[1, 2, 3], []], {"maxlen": 4, "value": 9}, [[9, 1, 2, 3], [9, 9, 9, 9]]),
    ([[1.5], [2.5, 3.5]], {"dtype": "float32", "value": -1.0}, [[-1.0, 1.5], [2.5, 3.5]]),
    ([[[1, 2]], [[3, 4], [5, 6]]], {}, [[[0, 0], [1, 2]], [[3, 4], [5, 6]]]),
    ([[], []], {}, [[], []]),
    (([1], (2, 3)), {"dtype": "int64"}, [[0, 1], [2, 3]]),
]


@pytest.mark.parametrize(("sequences", "settings", "expected"), PADDED)
def test_padding_is_that_of_keras(sequences, settings, expected):
    padded = pad_sequences(sequences, **settings)
    assert padded.tolist() == expected and padded.dtype == settings.get("dtype", "int32")


@pytest.mark.parametrize(("sequences", "settings", "expected"), PADDED)
def test_keras_pads_as_the_table_says(keras, sequences, settings, expected):
    padded = keras.pad_sequences(sequences, **settings)
    assert padded.tolist() == expected and padded.dtype == settings.get("dtype", "int32")


@given(
    st.lists(st.lists(st.integers(-9, 9), max_size=6), min_size=1, max_size=5),
    st.fixed_dictionaries(
        {},
        optional={
            "maxlen": st.integers(1, 8),
            "padding": st.sampled_from(["pre", "post"]),
            "truncating": st.sampled_from(["pre", "post"]),
            "value": st.integers(-3, 3),
            "dtype": st.sampled_from(["int8", "int32", "int64", "float32"]),
        },
    ),
)
def test_any_padding_keeps_each_sequences_end(sequences, settings):
    padded = pad_sequences(sequences, **settings)
    length = settings.get("maxlen", max(map(len, sequences)))
    assert padded.shape == (len(sequences), length)
    for row, sequence in zip(padded.tolist(), sequences, strict=True):
        kept = sequence[max(len(sequence) - length, 0) :] if settings.get("truncating") != "post" else sequence[:length]
        fill = [settings.get("value", 0)] * (length - len(kept))
        assert row == (kept + fill if settings.get("padding") == "post" else fill + kept)


# --- Windows


def test_the_next_step_is_the_input_moved_on_by_one():
    x, y = text.next_step(pad_sequences([[1, 2, 3], [4, 5]]))
    assert x.tolist() == [[1, 2], [0, 4]] and y.tolist() == [[2, 3], [4, 5]] and x.dtype == np.int32


@given(st.integers(1, 40), st.integers(1, 6), st.none() | st.integers(1, 7))
def test_windows_are_followed_by_their_targets(count, length, step):
    tokens = np.arange(count)
    if count < length + 1:
        with pytest.raises(ValueError, match=f"there are {count} tokens, expected at least {length + 1}"):
            text.windows(tokens, length, step)
        return
    x, y = text.windows(tokens, length, step)
    starts = range(0, count - length, step or length)
    assert x.tolist() == [[*range(s, s + length)] for s in starts]
    np.testing.assert_array_equal(y, x + 1)


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 5))
def test_streams_go_on_from_batch_to_batch(count, rows, length):
    if count < rows * length + 1:
        with pytest.raises(ValueError, match=f"there are {count} tokens"):
            text.streams(np.arange(count), rows, length)
        return
    x, y = text.streams(np.arange(count), rows, length)
    assert x.shape == y.shape == ((count - 1) // (rows * length), rows, length)
    np.testing.assert_array_equal(y, x + 1)
    np.testing.assert_array_equal(x[1:, :, 0], x[:-1, :, -1] + 1)
    assert sorted(x.reshape(-1).tolist()) == [*range(x.size)]


# --- Batches of similar length


def some(seed=0, count=50, most=30):
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(1, 100, n).tolist() for n in rng.integers(1, most + 1, count)]
    return sequences, np.arange(count)


def passes(loader, number=1):
    return [[tuple(part.tolist() for part in batch) for batch in loader] for _ in range(number)]


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 12), st.booleans(), st.booleans())
def test_every_sequence_comes_once_beside_its_length_and_target(seed, count, batch_size, shuffle, drop_last):
    sequences, y = some(seed, count)
    dataset = text.SequenceDataset(sequences, y)
    if drop_last and count < batch_size:
        return
    loader = text.BucketLoader(dataset, batch_size, shuffle, generator=seed, drop_last=drop_last)
    seen, spans = [], []
    for x, lengths, places in loader:
        assert x.dtype == np.int32 and lengths.dtype == np.int64 and x.shape == (len(places), lengths.max())
        for row, length, place in zip(x, lengths, places, strict=True):
            assert row[:length].tolist() == sequences[place] and not row[length:].any()
        seen += places.tolist()
        spans.append((lengths.min(), lengths.max()))
    assert len(spans) == len(loader)
    if not drop_last:
        assert sorted(seen) == [*range(count)]
    assert len(set(seen)) == len(seen)
    spans.sort()
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(spans))


def test_the_seed_says_the_order_of_the_batches():
    dataset = text.SequenceDataset(*some())
    first = passes(text.BucketLoader(dataset, 8, generator=1), 2)
    assert first == passes(text.BucketLoader(dataset, 8, generator=1, num_workers=2), 2)
    assert first[0] != first[1] and sorted(first[0]) != sorted(first[1])
    assert first != passes(text.BucketLoader(dataset, 8, generator=2), 2)
    in_order = passes(text.BucketLoader(dataset, 8, shuffle=False), 2)
    assert in_order[0] == in_order[1] and [max(b[1]) for b in in_order[0]] == sorted(max(b[1]) for b in in_order[0])


def test_the_batch_that_is_not_whole_is_not_always_of_the_same_lengths():
    dataset = text.SequenceDataset([[1] * n for n in range(1, 18)])
    loader = text.BucketLoader(dataset, 4, generator=0)
    assert len({[*loader][-1][1][0] for _ in range(40)}) == 5


def test_little_is_padded():
    sequences, _ = some(count=1000, most=50)
    padded = {
        kind: sum(x.size for x, _ in kind(text.SequenceDataset(sequences), 32, True, generator=0))
        for kind in (text.BucketLoader, ns.data.DataLoader)
    }
    tokens = sum(map(len, sequences))
    assert padded[text.BucketLoader] < 1.05 * tokens < 1.5 * tokens < padded[ns.data.DataLoader]


def test_a_data_set_of_sequences_cuts_and_pads_as_told():
    dataset = text.SequenceDataset([[1, 2, 3], [4]], maxlen=2, padding="pre", truncating="pre")
    x, lengths = dataset.batch(slice(None))
    assert x.tolist() == [[2, 3], [0, 4]] and lengths.tolist() == dataset.lengths.tolist() == [2, 1]
    assert [part.tolist() for part in dataset[1]] == [[4], 1] and len(dataset) == 2
    vectors = text.SequenceDataset([np.ones((2, 3)), np.ones((1, 3))], np.eye(2))
    x, lengths, y = vectors.batch([1, 0])
    assert x.shape == (2, 2, 3) and x.dtype == np.float32 and lengths.tolist() == [1, 2] and y[0].tolist() == [0, 1]


class Mean(ns.nn.Module):
    """The mean of the vectors of a text's tokens, in classes."""

    def __init__(self):
        super().__init__()
        self.vectors, self.out = ns.nn.Embedding(100, 4), ns.nn.Linear(4, 2)

    def forward(self, x, lengths):
        inside = ns.tensor(np.arange(x.shape[1]) < lengths.numpy()[:, None])
        return ns.functional.softmax(
            self.out((self.vectors(x) * inside[..., None]).sum(1) / lengths[:, None].astype("float32"))
        )


def run_of(folder, epochs, resume=None):
    ns.manual_seed(0)
    sequences, y = some(1, 60)
    loader = text.BucketLoader(text.SequenceDataset(sequences, y % 2), 8, generator=3)
    model = Mean()
    trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters(), lr=0.01), metrics=["accuracy"])
    checkpoint = ns.training.Checkpoint(folder / "run.safetensors")
    trainer.fit(loader, epochs=epochs, callbacks=[checkpoint], resume=resume, verbose=False)
    return {name: p.tobytes() for name, p in model.state_dict().items()}, trainer.history["loss"]


def test_the_trainer_takes_them_and_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    whole = run_of(tmp_path, 4)
    run_of(tmp_path, 2)
    assert run_of(tmp_path, 4, tmp_path / "run.safetensors") == whole
    assert len(whole[1]) == 4


# --- What is refused

FITTED = Tokenizer()
FITTED.fit_on_texts(["a"])

REFUSED = {
    "text": (lambda: text.clean(b"x"), TypeError, "clean: text is a bytes"),
    "flag": (lambda: text.clean("x", lower=1), TypeError, "clean: lower is 1"),
    "words": (lambda: text.words(None), TypeError, "words: text is a NoneType"),
    "num_words": (lambda: Tokenizer(num_words=1), ValueError, "Tokenizer: num_words is 1"),
    "split": (lambda: Tokenizer(split=""), ValueError, "Tokenizer: split is empty"),
    "filters": (lambda: Tokenizer(filters=None), TypeError, "Tokenizer: filters is None"),
    "oov": (lambda: Tokenizer(oov_token=1), TypeError, "Tokenizer: oov_token is 1"),
    "one text": (lambda: Tokenizer().fit_on_texts("a b"), TypeError, "fit_on_texts: texts is a str"),
    "no list": (lambda: FITTED.texts_to_sequences(3), TypeError, "texts_to_sequences: texts is a int"),
    "no text": (lambda: Tokenizer().fit_on_texts([3]), TypeError, "Tokenizer: a text is a int"),
    "no tokens": (lambda: Tokenizer().fit_on_texts([["a", 3]]), TypeError, "Tokenizer: a text is a list"),
    "no texts": (lambda: Tokenizer().fit_on_texts([]), ValueError, "Tokenizer: 0 texts hold no token"),
    "empty texts": (lambda: Tokenizer().fit_on_texts(["", " ,. "]), ValueError, "Tokenizer: 2 texts hold no token"),
    "not fitted": (lambda: Tokenizer().texts_to_sequences(["a"]), ValueError, "Tokenizer: has seen no texts yet"),
    "mode": (lambda: FITTED.texts_to_matrix(["a"], "idf"), ValueError, "Tokenizer: mode is 'idf'"),
    "no file": (lambda: Tokenizer.load("no/such.json"), FileNotFoundError, "Tokenizer.load: there is no file"),
    "no folder": (lambda: FITTED.save("no/such.json"), OSError, "Tokenizer.save: cannot write"),
    "no sequences": (lambda: pad_sequences([]), ValueError, "pad_sequences: there are no sequences"),
    "a number": (lambda: pad_sequences([1, 2]), ValueError, "pad_sequences: sequence 0 is the number 1"),
    "a generator": (lambda: pad_sequences(iter([[1]])), TypeError, "pad_sequences: sequences is a list_iterator"),
    "strings": (lambda: pad_sequences([["a"]]), TypeError, "pad_sequences: sequence 0 is a list of dtype"),
    "fractions": (lambda: pad_sequences([[1.5]]), TypeError, "pad_sequences: sequence 0 holds fractions"),
    "nan": (lambda: pad_sequences([[np.nan]]), TypeError, "pad_sequences: sequence 0 holds fractions"),
    "large": (lambda: pad_sequences([[2**40]]), ValueError, "pad_sequences: sequence 0 holds numbers beyond int32"),
    "value": (lambda: pad_sequences([[1]], value=0.5), TypeError, "pad_sequences: value holds fractions"),
    "shapes": (lambda: pad_sequences([[1], [[1]]]), ValueError, "pad_sequences: sequence 1 has elements of shape (1,)"),
    "maxlen": (lambda: pad_sequences([[1]], maxlen=0), ValueError, "pad_sequences: maxlen is 0"),
    "padding": (lambda: pad_sequences([[1]], padding="left"), ValueError, "pad_sequences: padding is 'left'"),
    "dtype": (lambda: pad_sequences([[1]], dtype="str"), TypeError, "pad_sequences: dtype is 'str'"),
    "next": (lambda: text.next_step([[1]]), ValueError, "next_step: sequences have shape (1, 1)"),
    "next of fractions": (lambda: text.next_step([[0.5, 1]]), TypeError, "next_step: sequences are of dtype"),
    "windows": (lambda: text.windows([[1, 2]], 1), ValueError, "windows: tokens have shape (1, 2)"),
    "streams": (lambda: text.streams([0.5, 1], 1, 1), TypeError, "streams: tokens are of dtype"),
    "empty sequence": (
        lambda: text.SequenceDataset([[1], []]),
        ValueError,
        "SequenceDataset: sequence 1 of 2 is empty",
    ),
    "none": (lambda: text.SequenceDataset([]), ValueError, "SequenceDataset: there are no sequences"),
    "targets": (lambda: text.SequenceDataset([[1], [2]], [0]), ValueError, "SequenceDataset: the arrays have [2, 1]"),
    "side": (lambda: text.SequenceDataset([[1]], padding="left"), ValueError, "pad_sequences: padding is 'left'"),
    "no lengths": (lambda: text.BucketLoader([[1]]), TypeError, "BucketLoader: dataset is a list without lengths"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_in_one_sentence(name):
    call, kind, beginning = REFUSED[name]
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind and str(error.value).startswith(beginning) and "\n" not in str(error.value)
    assert "; " in str(error.value)
