"""The documents' systems with a Transformer: the GPT, and the network that finds hidden words before it classifies."""

import collections
import functools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import cli, systems
from nnscratch.systems import masked_text, play
from nnscratch.systems.gpt import Gpt
from nnscratch.systems.masked_modelling import MaskedModelling, Reader, hide
from nnscratch.systems.sampling import draw
from tests.bits import few

SMALL = {"width": 8, "heads": 2, "blocks": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each system on little data."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("gpt", "masked-text"):
            system = systems.get(name)
            train, test = system.data(False)
            patch.setattr(system, "data", functools.partial(lambda part, full: part, (few(train), few(test))))
            if name == "gpt":
                system.held_out = system.held_out[:600]
                patch.setattr(system, "generate", functools.partial(system.generate, length=9))
            patch.setattr(masked_text, "TUNING", {"epochs": 2})
            system.run(epochs=1, out=folder / name, verbose=False)
    return folder


# What they have in common


def test_a_markov_chain_s_perplexity_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    train, test = (rng.integers(1, 5, n) for n in (300, 60))
    vocabulary, order = 5, 2

    def probability(context, token):
        if not context:
            after, below = collections.Counter(train.tolist()), 1 / vocabulary
        else:
            padded = [0] * order + train.tolist()
            at = [i for i in range(order, len(padded)) if padded[i - len(context) : i] == context]
            after, below = collections.Counter(padded[i] for i in at), probability(context[1:], token)
        return (after[token] + len(after) * below) / (after.total() + len(after)) if after else below

    before = [0] * order + test.tolist()
    logs = [math.log(probability(before[i : i + order], before[i + order])) for i in range(len(test))]
    expected = math.exp(-sum(logs) / len(logs))
    assert play.markov_perplexity(train, test, order, vocabulary) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=7), st.integers(1, 8), st.floats(0.05, 1), st.floats(0.1, 3))
def test_what_is_kept_is_the_likeliest(weights, top_k, top_p, temperature):
    p = np.array(weights) / sum(weights)
    shown = Shown()
    draw(p, shown, temperature, top_k=top_k, top_p=top_p)
    kept, q = shown.p, p ** (1 / temperature)
    order = sorted(range(len(p)), key=lambda i: (-q[i], i))[:top_k]
    nucleus = next(n for n in range(1, len(order) + 1) if sum(q[order[:n]]) >= top_p * sum(q[order]) * (1 - 1e-12))
    assert np.count_nonzero(kept) in (nucleus, min(nucleus + 1, len(order)))  # where rounding decides
    assert set(np.flatnonzero(kept)) <= set(order) and kept.sum() == pytest.approx(1)
    np.testing.assert_allclose(kept[kept > 0], (q / q[kept > 0].sum())[kept > 0])


class Shown:
    """In the place of a generator: keeps the probabilities it was asked with."""

    def choice(self, count, p):
        self.p = p
        return 0


# S7


def test_the_gpt_is_the_index_s():
    system = systems.get("gpt")
    assert (system.epochs, system.batch_size, system.loss) == (10, 32, "cross_entropy")
    (x, y), (x_test, _) = system.data(False)
    model = system.model()
    assert {block.self_attn.num_heads for block in model.blocks.blocks} == {4}
    assert model.dense.weight.shape == (66, 128) and x.max() == 65 and x.min() == 1
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])  # a target is what follows (E8)
    text = "".join(system.tokenizer.index_word[n] for n in x[0])
    assert "".join(play.split_play(False)[0]).startswith(text)
    assert x.shape[1] == 64 and len(x_test) == 15_226 // 64


def test_what_comes_later_changes_nothing_before():
    ns.manual_seed(0)
    model = Gpt(12, 16, **SMALL).eval()
    tokens = np.arange(12).reshape(1, 12)
    other = np.where(np.arange(12) < 7, tokens, 3)
    np.testing.assert_array_equal(model(tokens).numpy()[:, :7], model(other).numpy()[:, :7])
    assert (model(tokens).numpy()[:, 8:] != model(other).numpy()[:, 8:]).all()


def test_a_gpt_that_goes_on_is_one_that_reads_all_or_the_last_half():
    ns.manual_seed(0)
    model, state, found = Gpt(12, 8, **SMALL).eval(), None, []
    tokens = np.random.default_rng(0).integers(0, 12, (2, 20))
    with ns.no_grad():
        for begin, end in [(0, 3), *((i, i + 1) for i in range(3, 20))]:
            p, state = model.follow(tokens[:, begin:end], state)
            found.append(p.numpy()[:, -1])
        p, (_, read) = model.follow(tokens, None)  # more than there are positions
    np.testing.assert_allclose(np.stack(found[:6], 1), model(tokens[:, :8]).numpy()[:, 2:], rtol=1e-5)
    for end in (9, 10, 13, 14, 20):  # the positions are used up with the 9th, and then with every 5th
        begin = 5 + (end - 9) // 5 * 5
        np.testing.assert_allclose(found[end - 3], model(tokens[:, begin:end]).numpy()[:, -1], rtol=1e-5)
    np.testing.assert_allclose(p.numpy(), model(tokens[:, -4:]).numpy(), rtol=1e-5)
    np.testing.assert_array_equal(read, tokens[:, -4:])


def test_the_gpt_s_run(runs, capsys):
    results = json.loads((runs / "gpt" / "metrics.json").read_text())
    for name, (least, most) in {"baseline": (4.6, 4.8), "markov": (2.3, 2.5), "lstm": (3, 7), "test": (3, 7)}.items():
        assert least < math.log2(results[f"{name}_perplexity"]) < most
    system, model = systems.load(runs / "gpt")
    texts = [system.generate(model, "Ham.\n", length=80, top_k=9, top_p=0.8, seed=seed) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2] and texts[0].startswith("Ham.\n") and len(texts[0]) == 85
    options = ["--length", "80", "--top-k", "9", "--top-p", "0.8", "--seed", "1"]
    assert cli.main(["generate", str(runs / "gpt"), "--prompt", "Ham.\n", *options]) == 0
    assert capsys.readouterr().out == texts[2] + "\n"
    assert len(system.generate(model, "To be " * 50, length=5, temperature=0)) == 305


def test_the_held_out_text_is_measured_with_what_stands_before(runs):
    system, model = systems.load(runs / "gpt")
    system.held_out = np.random.default_rng(0).integers(1, 66, 200)
    trainer = ns.Trainer(model, "cross_entropy", system.optimizer(model.parameters(), 1e-3))
    logs = []
    for begin in range(0, 200 - 64, 32):
        x, y = system.held_out[begin : begin + 64], system.held_out[begin + 1 : begin + 65]
        p = model(x[None]).numpy()[0]
        logs += np.log(p[np.arange(64), y])[32 if begin else 0 :].tolist()
    assert system.perplexity(trainer) == pytest.approx(math.exp(-np.mean(logs)), rel=1e-4)


def test_words_are_an_option():
    system = systems.get("gpt")
    system.choose({"tokens": "words"})
    (x, _), _ = system.data(False)
    assert system.model().dense.weight.shape == (1000, 128) and x.max() == 999
    other = systems.get("text-generator")
    other.choose({"tokens": "characters"})
    assert other.data(False)[0][0].max() == 65


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gpt(12, 8, **SMALL)([[12]]), "embedding: .*12"),
        (lambda: Gpt(12, 8, **SMALL)([[-1]]), "embedding: .*-1"),
        (lambda: Gpt(12, 8, **SMALL)(np.zeros((1, 9), int)), "positions 0 to 8, there are 8; cut the sequence"),
        (lambda: draw([0.5, 0.5], np.random.default_rng(0), top_k=0), "generate: top_k is 0"),
        (lambda: draw([0.5, 0.5], np.random.default_rng(0), top_p=0), "generate: top_p is 0"),
        (lambda: draw([0.0, 1.0], np.random.default_rng(0), exclude=[1]), "generate: no token is possible"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(make, message):
    with pytest.raises((ValueError, IndexError), match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "RUNS/gpt", "--prompt", "€"], "the network knows no character of '€'; begin with others"),
        (["generate", "RUNS/gpt", "--prompt", ""], "the network knows no character of ''"),
        (["generate", "RUNS/gpt", "--count", "3"], "gpt takes no --count; leave it out"),
        (["generate", "RUNS/masked-text"], "a run of masked-text, which writes nothing; pass one of text-generator"),
        (["predict", "RUNS/gpt", "a"], "a run of gpt, which takes no texts; pass one of review-classifier"),
    ],
)
def test_the_command_says_what_a_run_cannot_do(arguments, message, runs, capsys):
    assert cli.main([argument.replace("RUNS", str(runs)) for argument in arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--top-k", "0"], ["--top-p", "0"], ["--top-p", "1.5"], ["--top-p", "nan"]])
def test_the_command_refuses_settings(options, capsys):
    with pytest.raises(SystemExit):
        cli.main(["generate", "runs/x", *options])
    assert f"argument {options[0]}: got {options[1]!r}" in capsys.readouterr().err


# S10


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_hidden_tokens_are_a_share_of_every_row(seed, longest):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, longest + 1, 9)
    tokens = np.where(np.arange(longest) < counts[:, None], rng.integers(1, 50, (9, longest)), 0)
    hidden, places = hide(tokens, rng, mask=50)
    chosen = np.zeros(tokens.shape, bool)
    chosen.reshape(-1)[places] = True
    expected = np.minimum(counts, np.maximum(1, np.rint(0.15 * counts)))
    np.testing.assert_array_equal(chosen.sum(1), expected)
    assert (tokens[chosen] > 0).all() and (hidden[chosen] > 0).all()
    np.testing.assert_array_equal(hidden[~chosen], tokens[~chosen])


def test_of_hidden_tokens_eight_tenths_are_masked_and_a_tenth_stays():
    tokens = np.full((4000, 20), 7)
    hidden, places = hide(tokens, np.random.default_rng(0), mask=100)
    found = hidden.reshape(-1)[places]
    assert len(places) == 12_000
    shares = {"masked": (found == 100).mean(), "kept": (found == 7).mean()}
    assert shares["masked"] == pytest.approx(0.8, abs=0.012) and shares["kept"] == pytest.approx(0.101, abs=0.009)
    assert set(found) == set(range(1, 101))


def test_the_loss_is_that_of_the_hidden_tokens_alone():
    ns.manual_seed(0)
    model = Reader(20, 6, **SMALL)
    step = MaskedModelling(model, ns.optim.SGD(model.parameters(), lr=0.1))
    tokens = np.array([[3, 4, 5, 0, 0, 0], [6, 7, 8, 9, 10, 11]])
    model.eval()
    loss, count = step.measure(ns.tensor(tokens))["loss"]
    hidden, places = hide(tokens, np.random.default_rng(0), 20)
    logits = model.words(hidden, np.arange(12)).numpy()[places].astype(float)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert count == len(places) == 2
    assert loss.item() == pytest.approx(-logs[range(2), tokens.reshape(-1)[places]].mean(), rel=1e-5)


def test_padding_changes_no_answer():
    ns.manual_seed(0)
    model = Reader(20, 9, **SMALL).eval()
    short, long = np.array([[3, 4, 5]]), np.array([[3, 4, 5, 0, 0, 0]])
    np.testing.assert_allclose(model(short).numpy(), model(long).numpy(), rtol=1e-5)
    assert np.isfinite(model(np.zeros((1, 6), int)).numpy()).all()  # nothing was said


def test_the_run_of_masked_text(runs, capsys):
    results = json.loads((runs / "masked-text" / "metrics.json").read_text())
    assert 0 <= results["found"] <= 1 and all(0.3 < results[f"{name}_accuracy"] <= 1 for name in ("test", "scratch"))
    assert cli.main(["predict", str(runs / "masked-text"), "I love it", "", "good " * 500]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert len(answers) == 3 and all(answer.split(" ")[0] in ("blame", "praise") for answer in answers)


def test_few_labels_are_those_that_are_chosen(monkeypatch):
    system = systems.get("masked-text")
    assert (system.id, system.chosen["labels"]) == ("S10", 400)
    with pytest.raises(ValueError, match="train: labels is 3, expected one of 100, 200, 400, 800"):
        system.run(labels=3)
