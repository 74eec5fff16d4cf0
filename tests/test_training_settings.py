"""What training must not guess or change in silence: which values are better, modes, single samples, the caller's arrays."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import nn, optim
from nnscratch.checkpoint import read_checkpoint
from nnscratch.training import Callback, Checkpoint, EarlyStopping, History, ReduceLROnPlateau, Trainer

pytestmark = pytest.mark.cpu
X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = X[:, :1]


def regression(metrics=(), model=None, loss="mse", **settings):
    ns.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 1)) if model is None else model
    return Trainer(model, loss, optim.SGD(model.parameters(), lr=0.01), metrics, **settings)


# Which values are better


class Script(Callback):
    """Lets a metric have the values of a list."""

    def __init__(self, name, values):
        self.name, self.values = name, values

    def on_epoch_end(self, trainer, epoch, logs):
        logs[self.name] = trainer.history[self.name][-1] = self.values[epoch - 1]


def named(name, higher=None):
    return ns.metrics.FunctionMetric(lambda prediction, target: 0.0, name, higher)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *[
            (n, True)
            for n in (
                "accuracy",
                "val_acc",
                "val_roc_auc",
                "val_macro_f1",
                "top5_accuracy",
                "f1_score",
                "val_r2",
                "mean-IoU",
            )
        ],
        *[
            (n, False)
            for n in ("loss", "val_loss", "dice_loss", "mean_squared_error", "error_rate", "val_RMSE", "cross_entropy")
        ],
        *[
            (n, None)
            for n in ("val_own", "brier_score", "neg_mean_squared_error", "lr", "regret", "negative_loss", "gain")
        ],
    ],
)
def test_a_name_tells_which_values_are_better_or_is_asked(name, more):
    history = History({name: [0.5, 0.1, 0.9]})
    if more is None:
        with pytest.raises(
            ValueError, match=f"^history: whether more or less of '{name}' is better .* pass mode='max'"
        ):
            history.best(name)
    else:
        assert history.best(name) == (3 if more else 2)
    assert (history.best(name, "max"), history.best(name, mode="min")) == (3, 2)


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda m, **s: Checkpoint("never", monitor=m, **s)])
def test_a_direction_nobody_knows_is_refused_before_training(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = regression([named("own")])
    before = trainer.model.state_dict()
    with pytest.raises(ValueError, match=r"whether more or less of 'own' is better"):
        trainer.fit(X, Y, callbacks=[make("own")], verbose=False)
    assert all((before[k] == v).all() for k, v in trainer.model.state_dict().items())
    trainer.fit(X, Y, callbacks=[make("own", mode="max")], verbose=False)


@pytest.mark.parametrize("higher", [True, False])
def test_a_metric_says_which_of_its_values_are_better(higher, tmp_path):
    values = [0.2, 0.7, 0.1, 0.5]
    trainer = regression([named("own", higher)])
    stopping = EarlyStopping("own", patience=9)
    callbacks = [Script("own", values), stopping, Checkpoint(tmp_path / "a", monitor="own")]
    history = trainer.fit(X, Y, epochs=4, callbacks=callbacks, verbose=False)
    best = 2 if higher else 3
    assert (history.best("own"), stopping.best_epoch) == (best, best)
    assert len(read_checkpoint(tmp_path / "a")[1]["history"]["own"]) == best


@given(
    values=st.lists(st.one_of(st.just(math.nan), st.floats(-10, 10, width=16)), min_size=1, max_size=8),
    mode=st.sampled_from(["min", "max"]),
)
def test_the_best_epoch_is_the_first_best_number_whoever_looks(values, mode, tmp_path_factory):
    path = tmp_path_factory.mktemp("best") / "a"
    trainer = regression([named("own")])
    stopping = EarlyStopping("own", patience=99, mode=mode, restore_best=False)
    callbacks = [Script("own", values), stopping, Checkpoint(path, monitor="own", mode=mode)]
    history = trainer.fit(X[:2], Y[:2], epochs=len(values), callbacks=callbacks, verbose=False)
    numbers = [v for v in values if not math.isnan(v)]
    if not numbers:
        assert stopping.best is None
        assert not path.exists()
        with pytest.raises(ValueError, match="that is a number"):
            history.best("own", mode)
        return
    best = values.index(min(numbers) if mode == "min" else max(numbers)) + 1
    assert history.best("own", mode) == stopping.best_epoch == best
    assert len(read_checkpoint(path)[1]["history"]["own"]) == best
