"""What a training run shows in TensorBoard, read back by its own reader, and in MLflow, by a client that keeps what it is told."""

import sys
import types

import numpy as np
import pytest

import nnscratch as ns
from nnscratch.training import MLflow, TensorBoard

pytestmark = pytest.mark.cpu


def fit(*callbacks, epochs=2):
    x, y = ns.data.iris()
    ns.manual_seed(0)
    model = ns.nn.Sequential(ns.nn.Linear(4, 3), ns.nn.Softmax())
    trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()), metrics=["accuracy"])
    return trainer.fit(
        x, y, epochs=epochs, batch_size=50, verbose=False, validation_split=0.2, callbacks=list(callbacks)
    )


class Writer:
    """What the callback asks of tensorboardX's writer."""

    def __init__(self, logdir):
        self.logdir, self.calls = logdir, []
        Writer.last = self

    def __getattr__(self, name):
        return lambda *args, **named: self.calls.append((name, args, named))

    def of(self, kind):
        return [args for name, args, _ in self.calls if name == kind]


@pytest.fixture
def writer(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=Writer))


def test_tensorboard_is_told_everything(writer, tmp_path):
    images = np.arange(2 * 4, dtype=float).reshape(2, 1, 2, 2)
    history = fit(TensorBoard(tmp_path, images=images, hyperparameters={"seed": 0}))
    told = Writer.last
    assert told.logdir == str(tmp_path)
    assert [(n, v, s) for n, v, s in told.of("add_scalar") if n == "val_loss"] == [
        ("val_loss", value, i + 1) for i, value in enumerate(history["val_loss"])
    ]
    assert {n for n, _, _ in told.of("add_scalar")} == set(history)
    assert {n for n, _, _ in told.of("add_histogram")} == {
        f"model/0.{name}{end}" for name in ("weight", "bias") for end in ("", "/gradient")
    }
    ((name, shown, step),) = told.of("add_images")
    assert (name, shown.shape, shown.min(), shown.max(), step) == ("images", (2, 3, 2, 2), 0.0, 1.0, 0)
    assert "Linear(4, 3)" in told.of("add_text")[0][1]
    ((settings, last),) = told.of("add_hparams")
    assert settings["seed"] == 0 and settings["optimizer.lr"] == 1e-3 and settings["model.parameters"] == 15
    assert last["last/loss"] == history["loss"][-1]
    assert told.calls[-1][0] == "close"


def test_histograms_and_images_as_often_as_wanted(writer, tmp_path):
    fit(TensorBoard(tmp_path, histograms=2, images=lambda trainer: np.zeros((1, 3, 2, 2), "uint8")), epochs=3)
    assert {step for _, _, step in Writer.last.of("add_histogram")} == {2}
    assert [step for _, _, step in Writer.last.of("add_images")] == [1, 2, 3]
    with pytest.raises(ValueError, match=r"TensorBoard: images have shape \(1, 2, 2\), expected \(N, 1 or 3, H, W\)"):
        fit(TensorBoard(tmp_path, images=np.zeros((1, 2, 2))))


def test_tensorboards_own_reader_finds_what_was_written(tmp_path):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX and TensorBoard")
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboardX and TensorBoard"
    )
    history = fit(TensorBoard(tmp_path, images=np.zeros((1, 1, 4, 4))))
    found = reader.EventAccumulator(str(tmp_path))
    found.Reload()
    assert [event.step for event in found.Scalars("accuracy")] == [1, 2]
    assert [event.value for event in found.Scalars("loss")] == pytest.approx(history["loss"])
    assert "model/0.weight" in found.Tags()["histograms"]
    assert len(found.Tags()["images"]) == 1
    assert "Linear(4, 3)" in found.Tensors("model/text_summary")[0].tensor_proto.string_val[0].decode()


class Client:
    """What the callback asks of MLflow's client."""

    def __init__(self, uri):
        self.uri, self.params, self.metrics, self.ended = uri, {}, [], None
        Client.last = self

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return f"number of {name}"

    def create_run(self, experiment, run_name):
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=f"{run_name} in {experiment}"))

    def log_param(self, run, name, value):
        assert run == "first in number of iris"
        self.params[name] = value

    def log_metric(self, run, name, value, step):
        self.metrics.append((name, value, step))

    def set_terminated(self, run):
        self.ended = run


def test_mlflow_is_told_settings_and_history(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=Client))
    history = fit(MLflow("iris", "first", "file:somewhere", {"seed": 0}))
    told = Client.last
    assert told.uri == "file:somewhere" and told.ended == "first in number of iris"
    assert told.params["seed"] == 0 and told.params["optimizer.class"] == "Adam"
    assert [m for m in told.metrics if m[0] == "loss"] == [("loss", v, i + 1) for i, v in enumerate(history["loss"])]


@pytest.mark.parametrize(("make", "words"), [
    (lambda: TensorBoard("runs"), r"TensorBoard: tensorboardX is not installed; install it by `pip install nnscratch\[tensorboard\]`"),
    (MLflow, r"MLflow: mlflow is not installed; install it by `pip install nnscratch\[mlflow\]`"),
])  # fmt: skip
def test_a_missing_library_is_one_sentence(make, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=words):
        make()
