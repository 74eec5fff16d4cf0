"""The documents' networks: their shapes and settings, what they print and write, and that they can be resumed."""

import json
import os

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import systems
from nnscratch.systems import hand_written_mlp, worked_2_3_1


def layers(name):
    """The network as text: what the index says of it."""
    model = systems.get(name).model()
    return " ".join(
        type(layer).__name__ + (str(layer.weight.shape) if hasattr(layer, "weight") else "") for layer in model
    )


def tiny(system, monkeypatch, samples=64, tests=32):
    """The system with less data."""
    (x, y), (x_test, y_test) = system.data(False)
    few = (x[:samples], y[:samples]), (x_test[:tests], y_test[:tests])
    monkeypatch.setattr(system, "data", lambda full: few)
    return system


@pytest.mark.parametrize(
    ("name", "text", "settings"),
    [
        (
            "mnist-cnn",
            "Conv2d(32, 1, 3, 3) ReLU MaxPool2d Conv2d(64, 32, 3, 3) ReLU MaxPool2d Flatten "
            "Linear(64, 1600) ReLU Linear(10, 64) Softmax",
            (5, 64, 0.001, 0.2, "cross_entropy"),
        ),
        (
            "mnist-cnn-small",
            "Conv2d(32, 1, 3, 3) ReLU MaxPool2d Flatten Linear(128, 5408) ReLU Linear(10, 128) Softmax",
            (10, 32, 0.001, 0.0, "cross_entropy"),
        ),
        ("regression-3-5-1", "Linear(5, 3) Sigmoid Linear(1, 5) Sigmoid", (1000, 80, 0.1, 0.0, "mse")),
        ("hand-written-mlp", "Linear(8, 10) ReLU Linear(1, 8) Sigmoid", (20, 1, 0.01, 0.0, "mse")),
        ("worked-2-3-1", "Linear(3, 2) ReLU Linear(1, 3) Softmax", (1, 1, 0.01, 0.0, "cross_entropy")),
        (
            "binary-classifier",
            "Linear(64, 10) ReLU Linear(1, 64) Sigmoid",
            (10, 10, 0.001, 0.2, "binary_cross_entropy"),
        ),
    ],
)
def test_networks_and_settings_are_the_index_s(name, text, settings):
    system = systems.get(name)
    assert layers(name) == text
    assert (system.epochs, system.batch_size, system.lr, system.validation_split, system.loss) == settings


def test_every_system_has_its_name_and_place():
    found = {system.name: (system.id, system.document) for system in systems.every()}
    assert found == {
        "mnist-cnn": ("S2", "000 §3"),
        "mnist-cnn-small": ("S3", "003 §5.2"),
        "regression-3-5-1": ("S1", "000 §4"),
        "hand-written-mlp": ("S5", "001 §5"),
        "worked-2-3-1": ("S8", "002 §4.3"),
        "binary-classifier": ("S12", "004 §5.2"),
        "text-generator": ("S4", "000 §5.2"),
        "review-classifier": ("S9", "002 §5.2–5.4"),
        "chinese-sentiment": ("S6", "001 §5.1–5.3"),
        "gan": ("S11", "003 §3.2, §4.2; 004 §2.3.2"),
        "gpt": ("S7", "002 §5.2"),
        "masked-text": ("S10", "003 §2.1, §3.2"),
        "masked-digits": ("S13", "003 §4.2"),
    }
    assert tuple(found) == systems.NAMES


@pytest.mark.parametrize("name", ["mnist_cnn", "mnist", "", 3])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="^train: there is no system"):
        systems.get(name)


def test_mnist_cnn_learns_and_leaves_its_files(tmp_path, monkeypatch, capsys):
    system = tiny(systems.get("mnist-cnn"), monkeypatch, 640, 200)
    results = system.run(epochs=1, out=tmp_path / "new" / "run")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("S2 mnist-cnn: ")
    assert "121,930 parameters" in out
    assert "true \\ predicted" in out
    assert any(line.startswith("baseline, always ") for line in lines)
    assert lines[-1] == f"test accuracy {results['test_accuracy']:.4f}"
    assert "512/512" in err
    assert results["test_accuracy"] > 2 * results["baseline_accuracy"]

    folder = tmp_path / "new" / "run"
    assert sorted(os.listdir(folder)) == [
        "checkpoint.safetensors",
        "curves.png",
        "metrics.json",
        "mistakes.png",
        "model.safetensors",
    ]
    written = json.loads((folder / "metrics.json").read_text())
    assert written == results
    assert written["seconds"] == sum(written["history"]["seconds"]) > 0
    assert len(written["history"]["val_accuracy"]) == 1
    for name in ("curves.png", "mistakes.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    model = system.model()
    model.load_state_dict(ns.load(folder / "model.safetensors"))
    x, y = system.data(False)[1]
    trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()), ["accuracy"])
    assert trainer.evaluate(x, y)["accuracy"] == results["test_accuracy"]


def test_mnist_cnn_small_measures_the_test_images_after_each_epoch(tmp_path, monkeypatch, capsys):
    system = tiny(systems.get("mnist-cnn-small"), monkeypatch)
    results = system.run(epochs=2, out=tmp_path, verbose=False)
    assert results["history"]["val_accuracy"][-1] == results["test_accuracy"]
    assert "results in" in capsys.readouterr().out


def test_regression_does_better_than_the_mean(tmp_path, capsys):
    results = systems.get("regression-3-5-1").run(out=tmp_path, verbose=False)
    assert results["test_loss"] < results["baseline_loss"] / 2
    assert len(results["history"]["loss"]) == 1000
    assert capsys.readouterr().out.splitlines()[-1].startswith("test loss 0.0")
    assert not (tmp_path / "mistakes.png").exists()
    (x, y), (x_test, _) = systems.get("regression-3-5-1").data(False)
    assert (x.shape, y.shape, x_test.shape) == ((80, 3), (80, 1), (20, 3))
    assert y.min() > 0
    assert y.max() < 1


def test_binary_classifier_trains_on_100_samples(tmp_path, capsys):
    results = systems.get("binary-classifier").run(out=tmp_path, verbose=False)
    assert results["test_accuracy"] > 0.85 > results["baseline_accuracy"]
    assert "malignant" in capsys.readouterr().out
    (x, y), (x_test, _) = systems.get("binary-classifier").data(False)
    assert (x.shape, y.shape, len(x_test)) == ((100, 10), (100, 1), 469)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)


# S5


def test_the_backward_pass_by_hand_is_right():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 4)), random.integers(0, 2, (7, 1)).astype(float)
    arrays = [random.normal(size=shape) for shape in ((3, 4), (3,), (1, 3), (1,))]

    def loss():
        return np.mean((y - hand_written_mlp.forward(x, *arrays)[2]) ** 2)

    for array, gradient in zip(arrays, hand_written_mlp.backward(x, y, *arrays), strict=True):
        assert gradient.shape == array.shape
        for i in np.ndindex(array.shape):
            old, step = array[i], 1e-6
            array[i] = old + step
            above = loss()
            array[i] = old - step
            below = loss()
            array[i] = old
            assert gradient[i] == pytest.approx((above - below) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_the_engine_agrees_with_it_to_1e_12(seed):
    ns.manual_seed(seed)
    system = systems.get("hand-written-mlp")
    (x, y), _ = system.data(False)
    assert x.dtype == np.float64
    assert hand_written_mlp.disagreement(system.model(), x, y.astype(np.float64)) < 1e-12


def test_a_wrong_backward_pass_would_show(monkeypatch):
    """With the gradient that the text has (E5): that of cross-entropy."""
    system = systems.get("hand-written-mlp")
    (x, y), _ = system.data(False)
    right = hand_written_mlp.backward

    def of_the_text(x, y, *arrays):
        output = hand_written_mlp.forward(x, *arrays)[2]
        return [g / np.mean(2 * output * (1 - output)) for g in right(x, y, *arrays)]

    monkeypatch.setattr(hand_written_mlp, "backward", of_the_text)
    assert hand_written_mlp.disagreement(system.model(), x, y.astype(np.float64)) > 1e-3


def test_hand_written_mlp_trains(tmp_path, capsys):
    results = systems.get("hand-written-mlp").run(epochs=3, out=tmp_path, verbose=False)
    assert results["test_accuracy"] > 0.8 > results["baseline_accuracy"]
    assert results["gradient_difference"] < 1e-12
    assert capsys.readouterr().out.count("differ by at most") == 2


# S8


def test_every_number_of_the_worked_network():
    numbers = worked_2_3_1.follow(worked_2_3_1.SYSTEM.model(), 0.01)
    expected = [(0.7, 0.7, 0.8)] * 2 + [(1.7,), (1.0,), (0.0,), (0.0,)] + [(0.5, 0.5, 0.5)] * 2
    expected += [(0.0,) * 6, (0.0,) * 3, (0.1, 0.2, 0.3), (0.4,), (0.5,), (0.6,)]
    for name, values in zip(worked_2_3_1.TEXT, expected, strict=True):
        assert numbers[name] == pytest.approx(values, abs=1e-15), name


def test_no_input_between_0_and_1_gives_the_sums_that_the_text_prints():
    weights, bias = np.array(worked_2_3_1.WEIGHTS["0.weight"]), worked_2_3_1.WEIGHTS["0.bias"]
    wanted = np.array(worked_2_3_1.TEXT["z_h = W_h x + b_h"]) - bias
    x = np.linalg.lstsq(weights, wanted, rcond=None)[0]
    np.testing.assert_allclose(weights @ x, wanted)
    np.testing.assert_allclose(x, (-3, 2))  # the only one


def test_the_worked_network_prints_both_and_changes_nothing(tmp_path, capsys):
    results = systems.get("worked-2-3-1").run(out=tmp_path, verbose=False)
    out = capsys.readouterr().out
    assert "z_o = W_o a_h + b_o               1.6                   1.7" in out
    assert results["test_loss"] == results["greatest_change"] == 0
    model = ns.load(tmp_path / "model.safetensors")
    for name, values in worked_2_3_1.WEIGHTS.items():
        np.testing.assert_array_equal(model[name], values)


# Resuming, and what is refused


def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path, monkeypatch, capsys):
    system = tiny(systems.get("mnist-cnn-small"), monkeypatch)
    whole = system.run(epochs=3, batch_size=16, seed=5, out=tmp_path / "whole", verbose=False)
    system.run(epochs=2, batch_size=16, seed=5, out=tmp_path / "part", verbose=False)
    resumed = system.run(epochs=3, resume=True, out=tmp_path / "part", verbose=False)
    assert resumed["settings"] == whole["settings"]
    for results in (whole, resumed):
        results["history"].pop("seconds")
        results.pop("seconds")
    assert resumed == whole
    one, other = (ns.load(tmp_path / name / "model.safetensors") for name in ("whole", "part"))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
    again = system.run(resume=True, out=tmp_path / "part", verbose=False)
    assert again["test_accuracy"] == whole["test_accuracy"]


def test_an_interrupted_mnist_cnn_goes_on_along_its_falling_rate(tmp_path, monkeypatch, capsys):
    system = tiny(systems.get("mnist-cnn"), monkeypatch)
    whole = system.run(epochs=3, batch_size=16, out=tmp_path / "whole", verbose=False)
    rates = whole["history"]["lr"]
    assert rates == pytest.approx([1e-3, 0.75e-3, 0.25e-3])

    with monkeypatch.context() as patch:
        write = ns.Trainer.save_checkpoint

        def write_and_stop(trainer, path, notes=None):
            write(trainer, path, notes)
            raise KeyboardInterrupt

        patch.setattr(ns.Trainer, "save_checkpoint", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            system.run(epochs=3, batch_size=16, out=tmp_path / "part", verbose=False)
    resumed = system.run(resume=True, out=tmp_path / "part", verbose=False)
    assert resumed["history"]["lr"] == rates
    one, other = (ns.load(tmp_path / name / "model.safetensors") for name in ("whole", "part"))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_one_blas_thread_trains(tmp_path, monkeypatch, capsys):
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []
    fit = ns.Trainer.fit

    def watched(trainer, *arguments, **settings):
        seen.extend(
            pool["num_threads"]
            for pool in threadpool_info()
            if pool["user_api"] == "blas" and "numpy" in pool["filepath"]
        )
        return fit(trainer, *arguments, **settings)

    monkeypatch.setattr(ns.Trainer, "fit", watched)
    with threadpool_limits(2, "blas"):
        systems.get("worked-2-3-1").run(out=tmp_path, verbose=False)
    assert set(seen) == {1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 20}, "began with batch_size 10, got 20; leave out --batch-size"),
        ({"lr": 0.5}, "began with lr 0.001, got 0.5; leave out --lr"),
        ({"seed": 3}, "began with seed 0, got 3; leave out --seed"),
    ],
)
def test_resuming_with_other_settings_is_refused(tmp_path, arguments, message, capsys):
    system = systems.get("binary-classifier")
    system.run(epochs=1, out=tmp_path, verbose=False)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(ValueError, match=f"^train: .*{message}"):
        system.run(resume=True, out=tmp_path, **arguments)
    with pytest.raises(ValueError, match="^train: .*is of the system 'binary-classifier', got 'worked-2-3-1'"):
        systems.get("worked-2-3-1").run(resume=True, out=tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"epochs": 0}, ValueError, "train: epochs is 0"),
        ({"batch_size": 1.5}, TypeError, "train: batch_size is 1.5"),
        ({"lr": float("nan")}, ValueError, "train: lr is nan"),
        ({"seed": -1}, ValueError, "manual_seed: seed is -1"),
        ({"out": 3}, TypeError, "train: path is a int, expected a str"),
        ({"device": "cuda:9"}, ValueError, "device: 'cuda:9' is not available"),
        ({"full": True}, ValueError, "train: worked-2-3-1 has no larger data set"),
        ({"resume": True}, FileNotFoundError, "train: there is no .* to resume"),
    ],
)
def test_runs_refuse_before_training(tmp_path, arguments, kind, message, capsys):
    with pytest.raises(kind, match=f"^{message}"):
        systems.get("worked-2-3-1").run(**{"out": tmp_path, **arguments})
    assert os.listdir(tmp_path) == []
    assert capsys.readouterr().out == ""


def test_an_unwritable_folder_is_refused_before_training(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="^train: cannot write in the folder .*file"):
        systems.get("worked-2-3-1").run(out=tmp_path / "file")
    assert capsys.readouterr().out == ""
