"""The documents' systems of text: what they learn from, what they write and say, and that they can be resumed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import cli, systems
from nnscratch.systems import play
from nnscratch.systems.review_classifier import LONGEST
from nnscratch.systems.sampling import draw
from nnscratch.systems.text_generator import Writer
from tests.bits import few


def tiny(name, monkeypatch):
    """The system with little data."""
    system = systems.get(name)
    train, test = system.data(False)
    if name == "text-generator":
        system.held_out = system.held_out[: len(few(test)[0]) * system.window + 1]  # the same windows
    else:
        system.texts = tuple(
            texts[: len(part[1])] for texts, part in zip(system.texts, (few(train), few(test)), strict=True)
        )
    monkeypatch.setattr(system, "data", lambda full: (few(train), few(test)))
    return system


def states(model):
    return {name: np.asarray(value) for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each system on little data."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("text-generator", "review-classifier", "chinese-sentiment"):
            tiny(name, patch).run(epochs=1, out=folder / name, verbose=False)
    return folder


# The tokens of a play


def test_tokens_and_their_text():
    text = "ham.\nno, mother; 'tis (so) well!\n\nexit."
    assert play.join(play.tokens(text)) == text
    assert play.tokens("O, Ham-let!\n") == ["o", ",", "ham", "-", "let", "!", "\n"]


def test_held_out_lines_are_not_learnt_from():
    lines = [f"{n}\n" for n in range(4000)]
    train, test = play.split_lines("".join(lines))
    assert sorted(train + test) == sorted(lines) and not set(train) & set(test)
    assert len(test) == 400 and test[0] == "360\n"


def test_the_perplexity_by_frequencies_is_that_of_the_formula():
    train, test = np.array([[1, 1, 2]]), np.array([1, 2, 3])
    p = np.array([0.5, 2.5, 1.5, 0.5]) / 5
    assert play.frequency_perplexity(train, test, 4) == pytest.approx(np.exp(-np.log(p[[1, 2, 3]]).mean()), rel=1e-14)


# Drawing


@given(
    st.lists(st.floats(1e-3, 1), min_size=2, max_size=6), st.floats(0.05, 4), st.integers(0, 2**32), st.integers(0, 1)
)
def test_what_is_drawn_has_the_probabilities_of_the_formula(weights, temperature, seed, excluded):
    p = np.array(weights) / sum(weights)

    class Shown:
        """In the place of a generator: keeps the probabilities it was asked with."""

        def choice(self, count, p):
            self.p = p
            return int(np.random.default_rng(seed).choice(count, p=p))

    shown = Shown()
    drawn = draw(p, shown, temperature, exclude=[excluded])
    expected = p ** (1 / temperature)
    expected[excluded] = 0
    np.testing.assert_allclose(shown.p, expected / expected.sum(), rtol=1e-9, atol=1e-300)
    assert drawn != excluded and 0 <= drawn < len(p)


def test_very_small_temperatures_take_the_likeliest():
    p = np.array([1e-30, 0.2, 0.5, 0.3])
    for temperature in (0, 1e-6, 1e-300):
        assert draw(p, np.random.default_rng(0), temperature) == 2
    with pytest.raises(ValueError, match="^generate: temperature is -1"):
        draw(p, np.random.default_rng(0), -1)


# S4


def test_the_writer_is_the_index_s():
    system = systems.get("text-generator")
    assert (system.epochs, system.batch_size, system.lr, system.loss) == (10, 64, 1e-3, "cross_entropy")
    (x, y), (x_test, _) = system.data(False)
    shapes = {name: array.shape for name, array in states(system.model()).items()}
    assert shapes["embedding.weight"] == (1000, 256) and shapes["lstm.weight_hh_l0"] == (2048, 512)
    assert shapes["dense.weight"] == (1000, 512)
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])  # a target is what follows (E8)
    assert x.min() == 1 and x.max() == 999 and len(x) > 8 * len(x_test) > 800


def test_a_writer_that_goes_on_is_one_that_reads_all():
    ns.manual_seed(0)
    writer = Writer(12, 4, 5).eval()
    tokens = np.arange(12).reshape(1, 12)
    first, state = writer.follow(tokens[:, :7], None)
    second, _ = writer.follow(tokens[:, 7:], state)
    whole = writer(tokens).numpy()
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()], 1), whole, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(whole.sum(-1), 1, rtol=1e-5)


def test_the_generator_s_run(runs, capsys):
    results = json.loads((runs / "text-generator" / "metrics.json").read_text())
    assert results["test_perplexity"] == pytest.approx(np.exp(results["history"]["val_loss"][-1]), rel=1e-4)
    assert 90 < results["baseline_perplexity"] < 130 and set(results["samples"]) == {"0.5", "0.8", "1.0"}
    system, model = systems.load(runs / "text-generator")
    texts = [system.generate(model, "To be", length=8, seed=seed) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2] and texts[0].startswith("to be")
    assert len(play.tokens(texts[0])) == 10
    assert (
        cli.main(["generate", str(runs / "text-generator"), "--prompt", "To be", "--length", "8", "--seed", "1"]) == 0
    )
    assert capsys.readouterr().out == texts[2] + "\n"


# S9


def test_the_review_network_is_the_index_s():
    system = systems.get("review-classifier")
    assert (system.epochs, system.batch_size, system.loss) == (10, 64, "cross_entropy")
    ((rows, lengths), y), ((_, lengths_test), y_test) = system.data(False)
    assert len(rows) == len(lengths) == len(y) and len(lengths_test) == len(y_test) == 600
    assert lengths.min() >= 1 and lengths.max() <= rows.shape[1] <= LONGEST
    assert all(not row[n:].any() for row, n in zip(rows, lengths, strict=True))
    shapes = {name: array.shape for name, array in states(system.model()).items()}
    assert shapes["lstm.weight_hh_l1_reverse"] == (512, 128) and shapes["lstm.weight_ih_l1"] == (512, 256)
    assert shapes["linear.weight"] == (2, 256)


def test_padding_changes_no_answer(runs):
    system, model = systems.load(runs / "review-classifier")
    rows, lengths = system.numbers(["I loved it", "The worst phone I ever had, do not buy it"])
    both = model(rows, lengths).numpy()
    for k in range(2):
        alone = model(rows[k : k + 1, : lengths[k]], lengths[k : k + 1]).numpy()
        np.testing.assert_allclose(both[k : k + 1], alone, rtol=1e-5)


def test_the_classifier_s_run(runs, capsys):
    results = json.loads((runs / "review-classifier" / "metrics.json").read_text())
    assert 0 <= results["test_accuracy"] <= 1 and results["bag_of_words_accuracy"] > 0.4
    capsys.readouterr()
    assert cli.main(["predict", str(runs / "review-classifier"), "I love it", "", "zzzz qqqq"]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert len(answers) == 3 and all(answer.split(" ")[0] in ("blame", "praise") for answer in answers)
    assert answers[1] == answers[2]  # no known word in either


# Both


@pytest.mark.parametrize("name", ["text-generator", "review-classifier", "chinese-sentiment"])
def test_a_loaded_network_is_the_trained_one(name, runs):
    system, model = systems.load(runs / name)
    saved = ns.load(runs / name / "model.safetensors")
    assert not model.training and {n: a.shape for n, a in states(model).items()} == {
        n: a.shape for n, a in saved.items()
    }
    for n, array in states(model).items():
        np.testing.assert_array_equal(array, saved[n])
    assert system is not systems.load(runs / name)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "nowhere"], "generate: there is no complete run in nowhere; train one with"),
        (
            ["generate", "RUNS/review-classifier"],
            "review-classifier is a run of review-classifier, which writes nothing; pass one",
        ),
        (
            ["predict", "RUNS/text-generator", "a"],
            "text-generator is a run of text-generator, which takes no texts; pass one",
        ),
        (["generate", "RUNS/text-generator", "--prompt", "zzz"], "generate: the network knows no word of 'zzz'"),
    ],
)
def test_the_command_says_what_a_run_cannot_do(arguments, message, runs, capsys):
    assert cli.main([argument.replace("RUNS", str(runs)) for argument in arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--temperature", "-1"], ["--temperature", "nan"], ["--length", "0"], ["--seed", "x"]]
)
def test_the_command_refuses_settings(options, capsys):
    with pytest.raises(SystemExit):
        cli.main(["generate", "runs/x", *options])
    assert f"argument {options[0]}: got {options[1]!r}" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["no json", '{"seconds": 1}', "[]"])
def test_a_damaged_run_is_refused(damage, tmp_path):
    (tmp_path / "metrics.json").write_text(damage)
    with pytest.raises(ValueError, match=r"metrics.json is not what `nnscratch train` wrote"):
        systems.load(tmp_path)


@pytest.mark.parametrize("missing", ["vocabulary.json", "model.safetensors"])
def test_a_run_without_one_of_its_files_is_refused(missing, runs, tmp_path):
    for file in ("metrics.json", "vocabulary.json", "model.safetensors"):
        if file != missing:
            (tmp_path / file).write_bytes((runs / "text-generator" / file).read_bytes())
    with pytest.raises(OSError, match=missing):
        systems.load(tmp_path)


# S6


def test_chinese_sentences_are_signs_with_those_after_them():
    system = systems.get("chinese-sentiment")
    ((rows, mask), y), (_, y_test) = system.data(False)
    assert (system.epochs, system.batch_size, system.loss) == (15, 16, "cross_entropy")
    assert rows.shape == mask.shape and len(y) == 258 and len(y_test) == 64 and y_test.mean() == 0.5
    assert ((rows > 0) == (mask == 1)).all() and rows.max() < system.config["vocab_size"]
    assert system.numbers(["好" * 300, ""])[1].sum(1).tolist() == [128, 1]
    tokens = [system.tokenizer.index_word[n] for n in system.numbers(["孩子很喜欢"])[0][0]]
    assert tokens == ["孩子", "子", "很", "喜", "欢"]
    system.choose({"full": True})
    assert (system.epochs, system.batch_size, system.lr) == (3, 16, 1.2e-4)


def test_it_goes_on_from_an_encoder_in_a_folder(tmp_path, monkeypatch, capsys):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"这是一个很好的产品我也不喜欢"]
    settings = {"vocab_size": len(pieces), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = ns.nn.models.from_config({"model_type": "bert", **settings, "intermediate_size": 8})
    (tmp_path / "config.json").write_text(json.dumps(encoder.config))
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    tensors = {
        name: part
        for parameter, names in encoder.names().items()
        for name, part in zip(names, np.split(encoder.state_dict()[parameter], len(names)), strict=True)
    }
    ns.save(tensors, tmp_path / "model.safetensors")
    system, out = systems.get("chinese-sentiment"), tmp_path / "run"
    results = system.run(epochs=1, out=out, verbose=False, encoder=str(tmp_path))
    assert results["settings"]["encoder"] == str(tmp_path) and results["settings"]["lr"] == 5e-5
    system, model = systems.load(out)
    assert model.encoder.config == encoder.config and system.tokenizer.size == len(pieces)
    assert system.numbers(["这是一个很好的产品"])[0].tolist() == [[2, *range(5, 14), 3]]
    assert cli.main(["predict", str(out), "这是一个很好的产品"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split(" ")[0] in ("blame", "praise")
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(ValueError, match="there is no vocabulary in"):
        system.run(epochs=1, out=out, encoder=str(tmp_path))
