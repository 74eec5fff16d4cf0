"""The system `masked-digits`: what is hidden, what counts, that filling in helps with few labels, and that it can be resumed."""

import os

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import cli, data, nn, systems
from nnscratch.systems import masked_digits
from nnscratch.systems.masking import Filling, squares


@pytest.fixture
def few(monkeypatch):
    """The sample with 300 images, and 100 for tests; labels are drawn twice, and learnt from in two epochs."""
    (x, y), (x_test, y_test) = data.mnist(sample=True)
    monkeypatch.setattr(data, "mnist", lambda sample: ((x[:300], y[:300]), (x_test[:100], y_test[:100])))
    monkeypatch.setattr(masked_digits, "DRAWS", 2)
    monkeypatch.setattr(masked_digits, "TUNING", {"epochs": 2, "batch_size": 20})


def run(out, **settings):
    return systems.get("masked-digits").run(**{"epochs": 2, "out": out, "verbose": False, **settings})


def weights(folder):
    return {name: a.tobytes() for name, a in ns.load(folder / "model.safetensors").items()}


def test_a_resumed_run_ends_as_the_uninterrupted_one(few, tmp_path, capsys):
    whole = run(tmp_path / "whole", seed=3, labels=50)
    run(tmp_path / "part", seed=3, labels=50, epochs=1)
    resumed = run(tmp_path / "part", resume=True)
    assert weights(tmp_path / "whole") == weights(tmp_path / "part")
    for results in (whole, resumed):
        results.pop("seconds")
        results["history"].pop("seconds")
    assert whole == resumed
    assert whole["settings"]["labels"] == 50
    assert (tmp_path / "whole" / "filled.png").read_bytes() == (tmp_path / "part" / "filled.png").read_bytes()


def test_a_run_leaves_its_files_and_the_classifier_that_it_measured(few, tmp_path, capsys):
    assert cli.main(["train", "masked-digits", "--epochs", "1", "--labels", "100", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = ["checkpoint.safetensors", "curves.png", "filled.png", "metrics.json", "model.safetensors"]
    assert sorted(os.listdir(tmp_path)) == files
    system, model = systems.load(tmp_path)
    x, y = system.data(False)[1]
    with ns.no_grad():
        right = np.mean(model.classifier(x).numpy().argmax(1) == y)
    last = float(lines[-1].rsplit(maxsplit=1)[1])
    assert lines[-1].startswith("test accuracy with 100 labels 0.")
    found = [line for line in lines if line.startswith("test accuracy with 100 labels, drawn 2 times")]
    each = [float(word) for word in found[0].partition("[")[2].strip("]").split()]
    assert each[-1] == pytest.approx(right)
    assert last == pytest.approx(np.mean(each), abs=1e-4)


def test_the_network_is_the_text_s():
    shapes = [p.shape for p in systems.get("masked-digits").model().classifier.parameters()]
    assert shapes == [(100, 784), (100,), (10, 100), (10,)]


def test_labels_that_cannot_be_are_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match="^train: labels is 7, expected one of 50, 100, 200, 500, 1000; pass one"):
        run(tmp_path, labels=7)


# The step


def test_squares_lie_anywhere_within_an_image_and_nowhere_else():
    hidden = squares(500, 6, 5, 3, np.random.default_rng(0))
    assert hidden.shape == (500, 1, 6, 5)
    assert (hidden.sum((1, 2, 3)) == 9).all()
    assert {tuple(np.argwhere(h)[0]) for h in hidden[:, 0]} == {(i, j) for i in range(4) for j in range(3)}


def test_only_what_is_hidden_counts():
    """A network that gives back what it sees is wrong by the hidden pixels themselves, whatever else there is."""
    images = np.full((4, 1, 5, 5), 3.0, np.float32)
    model = nn.Conv2d(1, 1, 1, bias=False)
    model.weight.data[...] = 1
    step = Filling(model, ns.optim.SGD(model.parameters(), lr=0.1), 2)
    assert step.loss(ns.tensor(images)).item() == 9.0
    step.update(ns.tensor(images))
    assert (
        model.weight.item() == 1.0
    )  # from pixels that are hidden nothing can be learnt, and nothing is from the others


def test_it_learns_to_fill_in():
    """Images of one brightness each: what is hidden is as bright as what is left."""
    ns.manual_seed(0)
    images = np.broadcast_to(np.random.default_rng(0).random((256, 1, 1, 1)), (256, 1, 4, 4)).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Reshape(1, 4, 4))
    trainer = ns.Trainer(Filling(model, ns.optim.Adam(model.parameters(), lr=0.01), 2))
    history = trainer.fit(images, epochs=30, verbose=False)
    assert history["loss"][-1] < 0.1 * np.var(images)
