"""The Trainer: what it computes, what it refuses, and that a resumed run is the uninterrupted one."""

import json
import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn, optim
from nnscratch.state_files import read_checkpoint, write_checkpoint
from nnscratch.training import Callback, Checkpoint, EarlyStopping, History, LiveCurves, Snapshots, Trainer

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")


def blobs(n=60, seed=0):
    """Three clouds of points, and which each point is of."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, n)
    centres = np.array([[0, 0], [3, 0], [0, 3]])
    return (centres[y] + random.normal(size=(n, 2))).astype(np.float32), y


def classifier(seed=0, **settings):
    ns.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax())
    return Trainer(model, "cross_entropy", optim.Adam(model.parameters(), lr=0.01), ["accuracy"], **settings)


def state(trainer):
    """All that a refusal must not change."""
    return (
        {k: v.tobytes() for k, v in trainer.model.state_dict().items()},
        repr(trainer.optimizer.state_dict()),
        repr(ns.backend.cpu.rng.bit_generator.state),
        [m.training for m in trainer.model.modules()],
    )


# What it computes


def test_it_learns():
    trainer = classifier()
    x, y = blobs(300)
    before = trainer.evaluate(x, y)
    history = trainer.fit(x, y, epochs=20, batch_size=16, verbose=False)
    after = trainer.evaluate(x, y)
    assert after["loss"] < 0.4 < before["loss"]
    assert after["accuracy"] > 0.85
    assert history is trainer.history
    assert history.epochs == 20
    assert list(history) == ["loss", "accuracy", "lr", "seconds"]


def test_an_epoch_is_the_loop_written_out():
    x, y = blobs(50)
    trainer = classifier()
    history = trainer.fit(x, y, epochs=2, batch_size=16, verbose=False)
    other = classifier()
    losses = []
    for _ in range(2):
        total = 0.0
        order = ns.backend.cpu.rng.permutation(50)
        for start in range(0, 50, 16):
            chosen = order[start : start + 16]
            other.optimizer.zero_grad()
            loss = F.cross_entropy(other.model(ns.tensor(x[chosen])), ns.tensor(y[chosen]))
            loss.backward()
            other.optimizer.step()
            total += loss.item() * len(chosen)
        losses.append(total / 50)
    assert state(trainer)[0] == state(other)[0]
    assert history["loss"] == pytest.approx(losses, rel=1e-12)


def test_validation_is_the_last_share_in_evaluation_mode():
    x, y = blobs(50)
    ns.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 3), nn.Softmax())
    trainer = Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=0.1), ["accuracy"])
    history = trainer.fit(x, y, validation_split=0.2, verbose=False)
    values = trainer.evaluate(x[40:], y[40:])
    assert (history["val_loss"][-1], history["val_accuracy"][-1]) == (values["loss"], values["accuracy"])
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]

    same = Trainer(model, "cross_entropy", trainer.optimizer, ["accuracy"])
    history = same.fit(x[:40], y[:40], validation_data=(x[40:], y[40:]), verbose=False)
    assert history["val_loss"] == [same.evaluate(x[40:], y[40:])["loss"]]


def test_evaluate_is_the_mean_over_samples_and_predict_keeps_the_order():
    x, y = blobs(50)
    trainer = classifier()
    whole = trainer.predict(x, batch_size=50)
    np.testing.assert_allclose(trainer.predict(x, batch_size=7), whole, rtol=1e-6)
    values = trainer.evaluate(x, y, batch_size=7)
    picked = whole[np.arange(50), y].astype(np.float64)
    assert values["loss"] == pytest.approx(-np.log(picked).mean(), rel=1e-6)
    assert values["accuracy"] == np.mean(whole.argmax(1) == y)


@pytest.mark.parametrize("mode", [True, False])
def test_modes_are_restored_module_by_module(mode):
    x, y = blobs(20)
    trainer = classifier()
    trainer.model.train(mode)
    trainer.model[0].training = not mode
    before = [m.training for m in trainer.model.modules()]
    for call in (
        lambda: trainer.evaluate(x, y),
        lambda: trainer.predict(x),
        lambda: trainer.fit(x, y, verbose=False),
    ):
        call()
        assert [m.training for m in trainer.model.modules()] == before


def test_evaluation_changes_nothing():
    x, y = blobs(20)
    trainer = classifier()
    before = state(trainer)
    trainer.evaluate(x, y)
    trainer.predict(x)
    assert state(trainer) == before
    assert all(p.grad is None for p in trainer.model.parameters())


def test_a_seed_decides_everything():
    x, y = blobs(40)
    runs = [classifier(seed) for seed in (3, 3, 4)]
    for seed, trainer in zip((3, 3, 4), runs, strict=True):
        ns.manual_seed(seed)
        trainer.fit(x, y, epochs=2, batch_size=8, verbose=False)
    assert state(runs[0])[0] == state(runs[1])[0] != state(runs[2])[0]


def test_without_shuffling_the_order_is_the_datas():
    seen = []

    def augment(x):
        seen.extend(x[:, 0])
        return x

    x, y = blobs(20)
    classifier().fit(x, y, epochs=2, batch_size=8, shuffle=False, augment=augment, verbose=False)
    np.testing.assert_array_equal(seen, [*x[:, 0], *x[:, 0]])


@pytest.mark.parametrize("given", [list, ns.tensor, lambda a: a.astype(np.float64)])
def test_lists_tensors_and_other_precisions_are_taken(given):
    x, y = blobs(20)
    trainer = classifier()
    history = trainer.fit(given(x) if given is not list else x.tolist(), y.tolist(), verbose=False)
    expected = classifier().fit(x, y, verbose=False)
    assert history["loss"] == expected["loss"]
    assert trainer.predict(x).dtype == np.float32


def test_losses_by_name_and_as_functions():
    x = np.linspace(-1, 1, 30, dtype=np.float32)[:, None]

    def loss(prediction, target):
        return ((prediction - target) ** 2).mean()

    histories = []
    for chosen in ("mse", loss):
        ns.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 1))
        trainer = Trainer(model, chosen, optim.SGD(model.parameters(), lr=0.1))
        histories.append(trainer.fit(x, 3 * x - 1, epochs=30, batch_size=10, verbose=False))
        assert model[0].weight.item() == pytest.approx(3, abs=0.2)
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-5)
    for chosen in ("l1", "binary_cross_entropy"):
        model = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid())
        trainer = Trainer(model, chosen, optim.SGD(model.parameters(), lr=0.1))
        history = trainer.fit(x, x > 0, epochs=3, verbose=False)
        assert history["loss"][-1] < history["loss"][0]


def test_metrics_by_name_and_as_functions():
    x, y = blobs(40)
    y = (y > 0).astype(np.int64)[:, None]

    def largest(prediction, target):
        assert isinstance(prediction, np.ndarray)
        assert isinstance(target, np.ndarray)
        return prediction.max()

    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    metrics = ["accuracy", "precision", "recall", "f1", largest]
    trainer = Trainer(model, "binary_cross_entropy", optim.Adam(model.parameters()), metrics)
    trainer.fit(x, y, verbose=False)
    values = trainer.evaluate(x, y, batch_size=7)
    prediction = trainer.predict(x)
    assert values["f1"] == ns.metrics.f1(prediction, y)
    assert values["largest"] == pytest.approx(prediction.max())


def test_class_weights_weigh_the_training_loss_only():
    x, y = blobs(30)
    weights = ns.data.class_weights(y)
    trainer = classifier()
    loss = F.cross_entropy(trainer.model(ns.tensor(x)), ns.tensor(y), weight=weights).item()
    history = trainer.fit(
        x, y, batch_size=30, class_weight=weights, validation_data=(x, y), shuffle=False, verbose=False
    )
    assert history["loss"] == [pytest.approx(loss)]
    assert history["val_loss"] == [trainer.evaluate(x, y)["loss"]]


@pytest.mark.parametrize(("when", "rates"), [("epoch", [1.0, 0.5, 0.25]), ("batch", [1.0, 0.25, 0.0625])])
def test_schedules_step_by_epoch_or_batch(when, rates):
    x, y = blobs(20)
    model = nn.Sequential(nn.Linear(2, 3), nn.Softmax())
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    trainer = Trainer(model, "cross_entropy", optimizer, scheduler=scheduler, scheduler_step=when)
    assert trainer.fit(x, y, epochs=3, batch_size=10, verbose=False)["lr"] == rates


def test_the_bar_and_the_lines(capsys):
    x, y = blobs(40)
    classifier().fit(x, y, epochs=2, batch_size=10, validation_split=0.5)
    out, err = capsys.readouterr()
    assert [line.split()[:2] for line in out.splitlines() if line.strip()] == [
        ["epoch", "1/2"],
        ["epoch", "2/2"],
    ]
    assert "val_loss" in out
    assert all(word in err for word in ("samples/s", "loss=", "accuracy=", "40/40"))
    classifier().fit(x, y, verbose=False)
    assert capsys.readouterr() == ("", "")
    classifier().fit(x, y, epochs=100, batch_size=40)
    assert len([line for line in capsys.readouterr().out.splitlines() if line.strip()]) == 20


# The history


def test_history_prints_as_a_table_and_knows_its_best_epoch():
    history = History({"loss": [2.0, 1.0, 0.5], "val_accuracy": [0.1, 0.9, 0.9], "seconds": [1.0, 1.0, 10.0]})
    assert history.best() == 3
    assert history.best("val_accuracy") == 2
    lines = str(history).splitlines()
    assert lines[0].split() == ["epoch", "loss", "val_accuracy", "seconds"]
    assert lines[3] == "    3  0.5000        0.9000     10.0  best loss"
    assert str(History()) == "History of no epochs"
    assert "loss" in history
    assert dict(history.items())["loss"] == [2.0, 1.0, 0.5]


def test_history_plots_every_value_with_its_validation():
    history = History({"loss": [2.0, 1.0], "f1": [0.5, 0.6], "val_loss": [2.0, 1.5], "lr": [1, 1], "seconds": [1, 1]})
    figure = history.plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "f1"]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[2.0, 1.0], [2.0, 1.5], [0, 1]]
    assert len(figure.axes[1].lines) == 2
    assert figure.axes[0].lines[-1].get_label() == "best val_loss: epoch 2"


def test_history_refuses_what_it_has_not():
    with pytest.raises(ValueError, match="^history: it has no 'los'; use one of loss$"):
        History({"loss": [1.0]})["los"]
    with pytest.raises(ValueError, match=r"^curves: there is no epoch"):
        History().plot()
    for nothing in (History(), History({"loss": [np.nan]})):
        with pytest.raises(ValueError, match="^history: (it has no 'loss'|there is no epoch with a 'loss')"):
            nothing.best()
    with pytest.raises(ValueError, match=r"^History: the lists have lengths {'loss': 1, 'f1': 2}"):
        History({"loss": [1.0], "f1": [1.0, 2.0]})


def test_nan_is_never_best():
    history = History({"loss": [np.nan, 2.0, 1.0, np.nan, 1.0], "accuracy": [np.nan, 0.5, 0.5, 0.75, np.nan]})
    assert (history.best(), history.best("accuracy")) == (3, 4)


@pytest.mark.parametrize("best", [1, 2, 500, 1000])
def test_a_long_history_prints_the_first_the_best_and_the_last_epoch(best):
    history = History({"loss": [float(epoch != best) for epoch in range(1, 1001)]})
    lines = str(history).splitlines()
    epochs = [int(line.split()[0]) for line in lines[1:-1]]
    assert len(epochs) <= 20
    assert {1, best, 1000} <= set(epochs)
    assert epochs == sorted(epochs)
    assert [line for line in lines if "best loss" in line] == [f"{best:5d}  0.0000  best loss"]
    assert lines[-1] == f"{len(epochs)} of 1000 epochs"


# Callbacks


def test_callbacks_are_called_in_turn():
    calls = []

    class Note(Callback):
        def on_fit_begin(self, trainer):
            calls.append("begin")

        def on_epoch_end(self, trainer, epoch, logs):
            calls.append((epoch, logs["loss"] == trainer.history["loss"][-1]))
            trainer.stop_training = epoch == 2

        def on_fit_end(self, trainer):
            calls.append("end")

    x, y = blobs(20)
    trainer = classifier()
    trainer.fit(x, y, epochs=5, callbacks=[Note()], verbose=False)
    assert calls == ["begin", (1, True), (2, True), "end"]
    assert trainer.history.epochs == 2


def test_early_stopping_waits_and_goes_back_to_the_best():
    x, y = blobs(20)
    trainer = classifier()
    weights = []

    class Script(Callback):
        """Puts values of our own in the place of the measured ones, and keeps the weights."""

        def on_epoch_end(self, trainer, epoch, logs):
            logs["val_loss"] = [5.0, 3.0, 3.5, 2.95, 4.0, 1.0, 0.0][epoch - 1]
            weights.append(trainer.model.state_dict())

    stopping = EarlyStopping(patience=3, min_delta=0.1)
    trainer.fit(x, y, epochs=7, validation_split=0.5, callbacks=[Script(), stopping], verbose=False)
    assert trainer.history.epochs == 5
    assert (stopping.best, stopping.best_epoch) == (3.0, 2)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, weights[1][name])
    trainer.fit(x, y, epochs=1, validation_split=0.5, callbacks=[Script(), stopping], verbose=False)
    assert stopping.best == 5.0  # it begins anew


@pytest.mark.parametrize(
    ("monitor", "mode", "best"),
    [("accuracy", "auto", 2), ("accuracy", "min", 1), ("loss", "max", 2), ("loss", "auto", 1)],
)
def test_early_stopping_knows_which_values_are_better(monitor, mode, best):
    x, y = blobs(20)

    class Script(Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            logs.update(loss=float(epoch), accuracy=epoch / 10)
            trainer.stop_training = epoch == 2

    stopping = EarlyStopping(monitor, mode=mode, restore_best=False)
    classifier().fit(x, y, epochs=2, callbacks=[Script(), stopping], verbose=False)
    assert stopping.best_epoch == best


def test_checkpoints_are_written_when_due(tmp_path):
    x, y = blobs(20)
    epochs = []

    class Look(Callback):
        """After each epoch, which epoch's file is there."""

        def on_epoch_end(self, trainer, epoch, logs):
            there = (tmp_path / "a").exists()
            epochs.append(len(read_checkpoint(tmp_path / "a")[1]["history"]["loss"]) if there else 0)

    callbacks = [Checkpoint(tmp_path / "a", every=2, notes={"x": 1}), Look()]
    classifier().fit(x, y, epochs=5, callbacks=callbacks, verbose=False)
    assert epochs == [0, 0, 2, 2, 4]  # Look comes before the file of its epoch is written
    notes = read_checkpoint(tmp_path / "a")[1]
    assert (len(notes["history"]["loss"]), notes["notes"]) == (5, {"x": 1})
    assert os.listdir(tmp_path) == ["a"]


def test_checkpoints_of_the_best_epoch_only(tmp_path):
    x, y = blobs(20)
    trainer = classifier()
    trainer.fit(x, y, epochs=4, callbacks=[Checkpoint(tmp_path / "a", monitor="accuracy")], verbose=False)
    notes = read_checkpoint(tmp_path / "a")[1]
    assert len(notes["history"]["accuracy"]) == trainer.history.best("accuracy")


def test_what_a_killed_run_left_is_cleared(tmp_path):
    (tmp_path / "a.12345678.part").write_text("half")
    (tmp_path / "b.12345678.part").write_text("another's")
    classifier().fit(*blobs(20), callbacks=[Checkpoint(tmp_path / "a")], verbose=False)
    assert sorted(os.listdir(tmp_path)) == ["a", "b.12345678.part"]


class Notebook:
    """A stand-in for IPython in a kernel: what it shows, by the places that were made and how often each was redrawn."""

    def __init__(self, monkeypatch, types_shown=("text/plain", "image/png")):
        self.places, self.now = [], 100.0
        formatter = types.SimpleNamespace(active_types=list(types_shown))
        ipython = types.ModuleType("IPython")
        ipython.version_info = (9, 0)  # matplotlib asks for it
        ipython.get_ipython = lambda: types.SimpleNamespace(display_formatter=formatter)
        ipython.display = types.SimpleNamespace(display=self.display)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        clock = types.SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("nnscratch.training.recorders.time", clock)

    def display(self, figure, display_id=False):
        assert display_id is True
        shown = [self.epochs(figure)]
        self.places.append(shown)
        return types.SimpleNamespace(update=lambda figure: shown.append(self.epochs(figure)))

    @staticmethod
    def epochs(figure):
        return len(figure.axes[0].lines[0].get_xdata())


class Wait(Callback):
    """Lets the notebook's clock go on."""

    def __init__(self, notebook, seconds):
        self.notebook, self.seconds = notebook, seconds

    def on_epoch_end(self, trainer, epoch, logs):
        self.notebook.now += self.seconds


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3.0, [1, 2, 3, 4, 5]), (1.0, [1, 3, 5]), (0.9, [1, 4, 5]), (0.0, [1, 5])]
)
def test_live_curves_are_redrawn_in_one_place_and_end_with_all_epochs(monkeypatch, seconds, shown):
    notebook, trainer = Notebook(monkeypatch), classifier()
    callbacks = [LiveCurves(every=2), Wait(notebook, seconds)]
    trainer.fit(*blobs(20), epochs=5, verbose=False, callbacks=callbacks)
    assert notebook.places == [shown]
    trainer.fit(*blobs(20), epochs=1, verbose=False, callbacks=callbacks)
    assert notebook.places == [shown, [1]]  # another fit, another place


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_bar_leaves_the_steps_that_compile_out_of_its_rate(accumulate, capsys, monkeypatch):
    clock = [1000.0]
    for name in ("time.time", "time.monotonic", "tqdm.std.time"):
        monkeypatch.setattr(name, lambda: clock[0])
    trainer = classifier()
    update, number = trainer.step.update, [0]

    def slow(*batch):
        number[0] += 1
        clock[0] += 60 if number[0] in (1, max(2, accumulate)) else 1
        return update(*batch)

    trainer.step.update = slow
    samples = len(X)
    trainer.fit(X, Y, epochs=3, batch_size=samples // 10, accumulate=accumulate)
    times = re.findall(r"\[(\d+:\d\d)<(\d+:\d\d|\?), +([\d.]+|\?) samples/s", capsys.readouterr().err)
    known = [float(rate) for _, _, rate in times if rate != "?"]
    # Two samples a second.
    assert known and all(1 < rate < 4 for rate in known)
    assert all(left == "?" or left < "01:00" for _, left, _ in times)


def test_live_curves_show_nothing_where_there_is_no_notebook(monkeypatch, capsys):
    terminal = Notebook(monkeypatch, ["text/plain"])  # IPython's own
    classifier().fit(*blobs(20), epochs=2, verbose=False, callbacks=[LiveCurves(0)])
    assert terminal.places == []
    sys.modules["IPython"].get_ipython = lambda: None  # IPython imported by a script
    classifier().fit(*blobs(20), epochs=2, verbose=False, callbacks=[LiveCurves(0)])
    monkeypatch.delitem(sys.modules, "IPython")
    history = classifier().fit(*blobs(20), epochs=2, verbose=False, callbacks=[LiveCurves(0)])
    assert history.epochs == 2
    assert capsys.readouterr() == ("", "")
    assert "IPython" not in sys.modules


def test_live_curves_change_nothing(monkeypatch):
    notebook, found = Notebook(monkeypatch), []
    for callbacks in ([], [LiveCurves(0), Snapshots()]):
        trainer = classifier()
        trainer.fit(*blobs(40), epochs=3, verbose=False, callbacks=callbacks)
        found.append(outcome(trainer))
    assert notebook.places == [[1, 2, 3]]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("most", "epochs", "kept"),
    [
        (40, 3, [0, 1, 2, 3]),
        (3, 9, [0, 3, 6, 9]),
        (3, 8, [0, 3, 6, 8]),
        (1, 5, [0, 5]),
        (4, 1, [0, 1]),
    ],
)
def test_snapshots_are_the_weights_of_their_epochs(most, epochs, kept):
    trainer, snapshots, seen = classifier(), Snapshots(most), {}

    class Look(Callback):
        def on_fit_begin(self, trainer):
            seen[0] = trainer.model.state_dict()

        def on_epoch_end(self, trainer, epoch, logs):
            seen[epoch] = trainer.model.state_dict()

    trainer.fit(*blobs(20), epochs=epochs, verbose=False, callbacks=[snapshots, Look()])
    assert list(snapshots.states) == kept
    for epoch, weights in snapshots.states.items():
        assert weights.keys() == seen[epoch].keys()
        for name, array in weights.items():
            np.testing.assert_array_equal(array, seen[epoch][name])


def test_snapshots_have_the_last_epoch_of_a_run_that_ended_early():
    snapshots = Snapshots(2)
    callbacks = [snapshots, EarlyStopping("loss", patience=1, min_delta=1e9)]
    history = classifier().fit(*blobs(20), epochs=30, verbose=False, callbacks=callbacks)
    assert history.epochs == 2
    assert list(snapshots.states) == [0, 2]


def test_snapshots_resume_with_their_run(tmp_path):
    x, y = blobs(20)
    whole, first, second = Snapshots(3), Snapshots(3), Snapshots(3)
    classifier().fit(x, y, epochs=6, verbose=False, callbacks=[whole])
    with pytest.raises(KeyboardInterrupt):
        classifier().fit(x, y, epochs=6, verbose=False, callbacks=[first, Checkpoint(tmp_path / "a"), Interrupt(3)])
    trainer = classifier(seed=5)
    trainer.fit(x, y, epochs=6, verbose=False, callbacks=[second, Checkpoint(tmp_path / "a")], resume=tmp_path / "a")
    assert list(second.states) == list(whole.states) == [0, 2, 4, 6]
    for epoch, weights in whole.states.items():
        for name, array in weights.items():
            np.testing.assert_array_equal(second.states[epoch][name], array)


# Resuming


class Wrapper:
    """An augmentation of one's own, with a generator inside."""

    def __init__(self, seed):
        self.random = {"mine": np.random.Generator(np.random.MT19937(seed))}["mine"]
        self.shift = ns.data.Compose([ns.data.RandomShift(1, seed=seed)])

    def __call__(self, x):
        return self.shift(x) + self.random.normal(size=x.shape).astype(np.float32) / 10


def everything(seed):
    """A training run with all that must be kept: dropout, running statistics, momentum, schedule, augmentation."""
    ns.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64, 3),
        nn.Softmax(),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01, bias_correction=True)
    scheduler = optim.lr_scheduler.CosineLR(optimizer, 30)
    return Trainer(model, "cross_entropy", optimizer, ["accuracy"], scheduler, "batch"), Wrapper(seed)


def images():
    random = np.random.default_rng(1)
    return random.normal(size=(40, 1, 6, 6)).astype(np.float32), random.integers(0, 3, 40)


def outcome(trainer):
    history = {k: v for k, v in trainer.history.items() if k != "seconds"}
    return (
        {k: v.tobytes() for k, v in trainer.model.state_dict().items()},
        history,
        repr(trainer.optimizer.state_dict()),
    )


class Interrupt(Callback):
    """Ends a run after an epoch, as a crash would: before or within a later epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, trainer, epoch, logs):
        if epoch == self.epoch + 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("done", [1, 3, 5])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path, done):
    x, y = images()
    settings = {"epochs": 6, "batch_size": 16, "validation_split": 0.25, "verbose": False}
    trainer, augment = everything(0)
    trainer.fit(x, y, augment=augment, callbacks=[EarlyStopping(patience=6)], **settings)
    expected = outcome(trainer)

    trainer, augment = everything(0)
    callbacks = [Interrupt(done), EarlyStopping(patience=6), Checkpoint(tmp_path / "a")]
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(x, y, augment=augment, callbacks=callbacks, **settings)
    assert trainer.history.epochs == done + 1

    trainer, augment = everything(99)
    callbacks = [EarlyStopping(patience=6), Checkpoint(tmp_path / "a")]
    trainer.fit(x, y, augment=augment, callbacks=callbacks, resume=tmp_path / "a", **settings)
    assert outcome(trainer) == expected
    assert trainer.history.epochs == 6


def test_an_augmentation_without_a_seed_resumes_too(tmp_path):
    x, y = images()
    settings = {"batch_size": 16, "augment": ns.data.RandomShift(1), "verbose": False}
    whole = everything(0)[0]
    whole.fit(x, y, epochs=3, **settings)
    first = everything(0)[0]
    first.fit(x, y, epochs=1, callbacks=[Checkpoint(tmp_path / "a")], **settings)
    second = everything(99)[0]
    second.fit(x, y, epochs=3, resume=tmp_path / "a", **settings)
    assert outcome(second) == outcome(whole)


def test_momentum_and_a_schedule_by_epoch_resume_too(tmp_path):
    def make(seed):
        ns.manual_seed(seed)
        model = nn.Sequential(nn.Linear(2, 3), nn.Softmax())
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
        scheduler = optim.lr_scheduler.StepLR(optimizer, 2)
        return Trainer(model, "cross_entropy", optimizer, scheduler=scheduler)

    x, y = blobs(30)
    first = make(0)
    first.fit(x, y, epochs=3, batch_size=7, callbacks=[Checkpoint(tmp_path / "a")], verbose=False)
    second = make(7)
    second.fit(x, y, epochs=5, batch_size=7, resume=tmp_path / "a", verbose=False)
    whole = make(0)
    whole.fit(x, y, epochs=5, batch_size=7, verbose=False)
    assert outcome(second) == outcome(whole)


def test_a_run_that_has_ended_is_only_finished(tmp_path):
    x, y = blobs(20)
    first = classifier()
    stop = EarlyStopping("loss", patience=1, min_delta=10)
    first.fit(x, y, epochs=9, callbacks=[stop, Checkpoint(tmp_path / "a")], verbose=False)
    assert first.history.epochs == 2
    second = classifier(5)
    stop = EarlyStopping("loss", patience=1, min_delta=10)
    history = second.fit(x, y, epochs=9, callbacks=[stop], resume=tmp_path / "a", verbose=False)
    assert history.epochs == 2
    assert state(second)[0] == state(first)[0]


RUN = """
import sys
import numpy as np, nnscratch as ns
from nnscratch.training import Callback, Checkpoint, Trainer

class Tell(Callback):
    def on_epoch_end(self, trainer, epoch, logs):
        print(epoch, flush=True)
        if len(sys.argv) == 3 and epoch == 2:
            sys.stdin.read()  # wait to be killed

ns.manual_seed(int(sys.argv[1] == "resume"))
model = ns.nn.Sequential(ns.nn.Linear(2, 8), ns.nn.Dropout(0.5), ns.nn.Linear(8, 1))
trainer = Trainer(model, "mse", ns.optim.Adam(model.parameters()))
x = np.random.default_rng(0).normal(size=(40, 2))
path = sys.argv[-1]
trainer.fit(x, x[:, :1], epochs=4, batch_size=8, callbacks=[Tell(), Checkpoint(path)], verbose=False,
            resume=path if sys.argv[1] == "resume" else None)
print(model.state_dict()["0.weight"].tobytes().hex(), trainer.history["loss"])
"""


@pytest.mark.cpu
def test_after_kill_9_another_process_goes_on_bit_for_bit(tmp_path):
    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    path = tmp_path / "a"
    with start("whole", "to", "the", "end", path) as whole:
        expected = whole.communicate()[0].splitlines()[-1]
    with start("killed", tmp_path / "b") as killed:
        while killed.stdout.readline().strip() != "2":
            pass
        killed.kill()
    with start("resume", "to", "the", "end", tmp_path / "b") as resumed:
        lines = resumed.communicate()[0].splitlines()
    assert lines[:-1] == ["2", "3", "4"]  # epoch 2 was told of, but not written
    assert lines[-1] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 9}, "had batch_size 10, got 9"),
        ({"shuffle": False}, "had shuffle True, got False"),
        ({"x": blobs(21)[0], "y": blobs(21)[1]}, "had samples 20, got 21"),
        ({"epochs": 1}, "has 2 epochs, got 1"),
        ({"callbacks": []}, r"had callbacks \['EarlyStopping'\] with a state, got \[\]"),
        ({"augment": ns.data.RandomShift(1)}, "had augment None, got RandomShift"),
    ],
)
def test_resuming_with_other_settings_is_refused(tmp_path, change, message):
    x, y = blobs(20)
    stopping = EarlyStopping("loss", patience=5)
    callbacks = [stopping, Checkpoint(tmp_path / "a")]
    classifier().fit(x, y, epochs=2, batch_size=10, callbacks=callbacks, verbose=False)
    trainer = classifier(1)
    before = state(trainer)
    arguments = {"x": x, "y": y, "epochs": 4, "batch_size": 10, "callbacks": [stopping], **change}
    with pytest.raises(ValueError, match=f"^resume: .*{message}"):
        trainer.fit(**arguments, resume=tmp_path / "a", verbose=False)
    assert state(trainer) == before


def test_resuming_another_network_optimiser_or_schedule_is_refused(tmp_path):
    x, y = blobs(20)
    classifier().fit(x, y, callbacks=[Checkpoint(tmp_path / "a")], verbose=False)
    wider = nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Linear(9, 3), nn.Softmax())
    same = classifier().model
    sgd = optim.SGD(same.parameters(), lr=0.1)
    for trainer, message in (
        (Trainer(wider, "cross_entropy", optim.Adam(wider.parameters())), r"load_state_dict: .*\(8, 2\)"),
        (Trainer(same, "cross_entropy", sgd), r"SGD\.load_state_dict: the state is of 'Adam'"),
        (
            Trainer(same, "cross_entropy", sgd, scheduler=optim.lr_scheduler.StepLR(sgd, 1)),
            "resume: .* had no scheduler",
        ),
    ):
        before = state(trainer)
        with pytest.raises(ValueError, match=message):
            trainer.fit(x, y, epochs=2, resume=tmp_path / "a", verbose=False)
        assert state(trainer) == before


def test_resuming_from_what_is_no_checkpoint_is_refused(tmp_path):
    x, y = blobs(20)
    trainer = classifier()
    before = state(trainer)
    ns.save(trainer.model, tmp_path / "model")
    write_checkpoint(tmp_path / "other", {}, {"mine": 1})
    (tmp_path / "text").write_text("no")
    for name, kind, message in (
        ("nowhere", FileNotFoundError, "there is no file"),
        ("model", ValueError, "holds tensors but no training run"),
        ("other", ValueError, "was not written by Checkpoint"),
        ("text", ValueError, "truncated, damaged or no safetensors file"),
    ):
        with pytest.raises(kind, match=f"^resume: .*{message}"):
            trainer.fit(x, y, resume=tmp_path / name, verbose=False)
    assert state(trainer) == before


def test_the_file_holds_no_pickle_and_says_what_it_is(tmp_path):
    x, y = blobs(20)
    classifier().fit(x, y, callbacks=[Checkpoint(tmp_path / "a")], verbose=False)
    content = (tmp_path / "a").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    assert json.loads(header["__metadata__"]["nnscratch"])["format"] == 2
    names = set(header) - {"__metadata__"}
    assert {name.split("/")[0] for name in names} == {"model", "optimizer"}


# What it refuses

X, Y = blobs(20)
BAD_X = X.copy()
BAD_X[3, 1] = np.nan


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"x": BAD_X}, ValueError, r"fit: x holds nan at index \(3, 1\)"),
        ({"x": np.where(np.isnan(BAD_X), np.inf, X)}, ValueError, "fit: x holds inf"),
        ({"x": X.astype(np.float64) * 1e300}, ValueError, "fit: x holds -?inf"),
        ({"x": X[:0], "y": Y[:0]}, ValueError, r"fit: x has shape \(0, 2\)"),
        ({"y": Y[:5]}, ValueError, r"fit: the arrays have \[20, 5\] samples"),
        ({"y": np.full(20, 3)}, ValueError, "cross_entropy: label 3 is out of range for 3 classes"),
        ({"y": np.where(np.arange(20) == 19, -1, Y)}, ValueError, "cross_entropy: label -1 is out of range"),
        ({"y": Y + 0.5}, TypeError, "cross_entropy: labels must be whole numbers"),
        ({"y": np.full(20, np.nan)}, ValueError, "fit: y holds nan"),
        ({"y": np.eye(4)[Y]}, ValueError, "cross_entropy: target has shape"),
        ({"y": ["a"] * 20}, TypeError, "fit: y is a list of dtype"),
        ({"x": "text"}, TypeError, "fit: x is a str"),
        ({"x": X[:, :1]}, ValueError, r"Sequential 0 \(Linear\): linear: x has 1 features"),
        ({"x": [[1.0], [2.0, 3.0]]}, ValueError, "fit: x is a nested list"),
        ({"epochs": 0}, ValueError, "fit: epochs is 0, expected a whole number of at least 1"),
        ({"epochs": 1.5}, TypeError, "fit: epochs is 1.5"),
        ({"batch_size": 0}, ValueError, "fit: batch_size is 0"),
        ({"batch_size": True}, TypeError, "fit: batch_size is True"),
        ({"validation_split": 1.0}, ValueError, "fit: validation_split 1.0 leaves 0 of 20"),
        ({"validation_split": 0.01}, ValueError, "fit: validation_split 0.01 leaves 20 of 20"),
        ({"validation_split": -0.1}, ValueError, "fit: validation_split is -0.1"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, ValueError, "fit: got validation_split and"),
        ({"validation_data": X}, TypeError, "fit: validation_data is no pair"),
        ({"validation_data": (X, Y[:3])}, ValueError, r"fit: validation_data: the arrays have \[20, 3\]"),
        ({"validation_data": (X, Y + 7)}, ValueError, "cross_entropy: label"),
        ({"validation_data": (BAD_X, Y)}, ValueError, "fit: validation_data: x holds nan"),
        ({"callbacks": EarlyStopping()}, TypeError, "fit: callbacks is a single callback"),
        ({"callbacks": [print]}, TypeError, "fit: got <built-in function print> as a callback"),
        (
            {"callbacks": [EarlyStopping()]},
            ValueError,
            "EarlyStopping: monitor is 'val_loss', and this training",
        ),
        ({"callbacks": [Checkpoint("a", monitor="f1")]}, ValueError, "Checkpoint: monitor is 'f1'"),
        (
            {"callbacks": [Checkpoint("/dev/null/a")]},
            OSError,
            "Checkpoint: cannot write in the folder /dev/null",
        ),
        ({"callbacks": [Checkpoint("/")]}, OSError, "Checkpoint: / is a folder"),
        ({"augment": 3}, TypeError, "fit: augment is 3"),
        ({"class_weight": [1.0, 2.0]}, ValueError, "cross_entropy: weight must hold a factor"),
        ({"class_weight": [1.0, -2.0, 1.0]}, ValueError, "cross_entropy: weight must hold a factor"),
        ({"resume": 3}, TypeError, "resume: path is a int"),
    ],
)
def test_fit_refuses_and_changes_nothing(arguments, kind, message):
    trainer = classifier()
    before = state(trainer)
    with pytest.raises(kind, match=f"^{message}") as caught:
        trainer.fit(**{"x": X, "y": Y, "verbose": False, **arguments})
    assert "\n" not in str(caught.value)
    assert state(trainer) == before


def test_evaluate_and_predict_refuse():
    trainer = classifier()
    with pytest.raises(ValueError, match="^evaluate: x holds nan"):
        trainer.evaluate(BAD_X, Y)
    with pytest.raises(ValueError, match="^predict: x has shape"):
        trainer.predict(X[:0])
    with pytest.raises(ValueError, match="^predict: batch_size is 0"):
        trainer.predict(X, batch_size=0)
    with pytest.raises(ValueError, match="^cross_entropy: label 3"):
        trainer.evaluate(X, Y + 1)


class Wrong(nn.Module):
    """Returns something else than a prediction for each sample."""

    def __init__(self, result):
        self.layer = nn.Linear(2, 3)
        self.result = result

    def forward(self, x):
        return self.result(self.layer(x))


@pytest.mark.parametrize("result", [lambda y: y.sum(), lambda y: y.numpy(), lambda y: (y, y), lambda y: y[:0]])
def test_models_that_predict_no_sample_are_refused(result):
    model = Wrong(result)
    trainer = Trainer(model, "mse", optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="^predict: the model returned .* for 1 samples"):
        trainer.fit(X, Y, verbose=False)


def test_logits_where_probabilities_are_wanted_are_refused_before_training():
    model = nn.Sequential(nn.Linear(2, 3, init="standard_normal"))
    trainer = Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="^cross_entropy: .*from_logits=True"):
        trainer.fit(100 * X, Y, verbose=False)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"model": lambda x: x}, TypeError, "Trainer: model is a function"),
        ({"optimizer": None}, TypeError, "Trainer: optimizer is a NoneType"),
        ({"optimizer": "adam"}, TypeError, "Trainer: optimizer is a str"),
        (
            {"optimizer": optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0)},
            ValueError,
            "Trainer: the optimizer has none",
        ),
        (
            {"loss": "cross-entropy"},
            ValueError,
            "Trainer: loss is 'cross-entropy', expected a function or one of cross_entropy",
        ),
        ({"loss": None}, ValueError, "Trainer: loss is None"),
        ({"metrics": ["acuracy"]}, ValueError, "Trainer: metric is 'acuracy'"),
        ({"metrics": "accuracy"}, TypeError, "Trainer: metrics is 'accuracy', expected a sequence"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "Trainer: two values would be called 'accuracy'"),
        ({"scheduler_step": "step"}, ValueError, "Trainer: scheduler_step is 'step'"),
        ({"scheduler": 3}, ValueError, "Trainer: the scheduler is not of this optimizer"),
    ],
)
def test_the_trainer_refuses_what_does_not_fit(change, kind, message):
    model = nn.Linear(2, 2)
    arguments = {"model": model, "loss": "mse", "optimizer": optim.SGD(model.parameters(), lr=0.1), **change}
    with pytest.raises(kind, match=f"^{message}"):
        Trainer(**arguments)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: EarlyStopping(patience=1.5), TypeError, "EarlyStopping: patience"),
        (lambda: EarlyStopping(min_delta=-1), ValueError, "EarlyStopping: min_delta"),
        (lambda: EarlyStopping(mode="best"), ValueError, "EarlyStopping: mode is 'best'"),
        (lambda: Checkpoint(3), TypeError, "Checkpoint: path is a int"),
        (lambda: Checkpoint("a", every=0), ValueError, "Checkpoint: every is 0"),
        (lambda: LiveCurves(every=-1), ValueError, "LiveCurves: every is -1"),
        (lambda: LiveCurves("often"), TypeError, "LiveCurves: every is 'often'"),
        (lambda: Snapshots(0), ValueError, "Snapshots: most is 0"),
    ],
)
def test_callbacks_refuse_wrong_settings(make, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        make()


def test_losses_and_metrics_that_return_no_number_are_refused():
    model = nn.Sequential(nn.Linear(2, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"^fit: the loss returned \(20, 3\) float32, expected a Tensor of one element"):
        Trainer(model, lambda p, t: p, optimizer).fit(X, Y, verbose=False)

    def pair(prediction, target):
        return 1.0, 2.0

    trainer = Trainer(model, lambda p, t: p.mean(), optimizer, [pair])
    with pytest.raises(TypeError, match=r"^metric pair: it returned \(1.0, 2.0\)"):
        trainer.fit(X, Y, verbose=False)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_loss_that_diverges_names_epoch_and_batch(loss):
    ns.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), *([nn.Softmax()] if loss == "cross_entropy" else []))
    trainer = Trainer(model, loss, optim.SGD(model.parameters(), lr=1e38))
    y = Y if loss == "cross_entropy" else np.eye(3)[Y]
    with pytest.raises(RuntimeError, match=r"^fit: epoch \d+, batch \d+: the loss is no longer a finite number; lower"):
        trainer.fit(1e4 * X, y, epochs=20, batch_size=5, verbose=False)


def test_a_checkpoint_that_cannot_be_written_ends_training_with_one_sentence(tmp_path, monkeypatch):
    trainer = classifier()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    callback = Checkpoint(tmp_path / "a")
    trainer.fit(X, Y, callbacks=[callback], verbose=False)
    before = (tmp_path / "a").read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="^checkpoint: cannot write .*No space left"):
        trainer.fit(X, Y, epochs=3, callbacks=[callback], verbose=False)
    assert trainer.history.epochs == 1
    assert (tmp_path / "a").read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


ORDER = """
import sys
import numpy as np
import nnscratch as ns

def train(layers, x, y):
    ns.manual_seed(3)
    model = ns.nn.Sequential(*layers())
    trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()))
    trainer.fit(x, y, epochs=2, batch_size=64, verbose=False)
    return b"".join(a.tobytes() for a in model.state_dict().values()).hex()

rng = np.random.default_rng(0)
x, y = rng.standard_normal((192, 784)).astype("f4"), rng.integers(0, 10, 192)
nn = ns.nn
jobs = {
    "dense": lambda: train(lambda: [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10), nn.Softmax()], x, y),
    "images": lambda: train(
        lambda: [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 13 * 13, 10), nn.Softmax()],
        x.reshape(-1, 1, 28, 28), y,
    ),
}
found = {name: jobs[name]() for name in sys.argv[1:]}
for name in sorted(found):
    print(name, hash(found[name]), found[name][:64])
"""


@pytest.mark.cpu
def test_networks_trained_in_any_order_get_the_same_weights():
    printed = [
        subprocess.run(
            [sys.executable, "-c", ORDER, *order],
            env=dict(os.environ, PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="2", NNSCRATCH_THREADS="2"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for order in (("dense", "images"), ("images", "dense"))
    ]
    assert printed[0].count("\n") == 2 and printed[0] == printed[1]
