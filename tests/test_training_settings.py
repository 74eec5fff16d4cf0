"""What training must not guess or change in silence: which values are better, modes, single samples, the caller's arrays."""

import collections
import functools
import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import nn, optim
from nnscratch.state_files import read_checkpoint
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


# Layers in containers


class Lists(nn.Module):
    def __init__(self):
        self.layers = []
        self.layers.append(nn.Linear(3, 3))
        self.layers += [nn.Linear(3, 3)]
        self.out = nn.Linear(3, 1)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


class Dicts(Lists):
    def __init__(self):
        super().__init__()
        self.layers = {}
        self.layers.update(a=nn.Linear(3, 3), b=nn.Linear(3, 3))
        self.layers = self.layers.copy()

    def forward(self, x):
        return self.out(self.layers["b"](self.layers["a"](x)))


class Nested(Lists):
    def __init__(self):
        super().__init__()
        self.layers = ([], {"inner": collections.deque()})
        self.layers[0].append(nn.Linear(3, 3))
        self.layers[1]["inner"].append((nn.Linear(3, 3), np.zeros(2)))

    def forward(self, x):
        return self.out(self.layers[1]["inner"][0][0](self.layers[0][0](x)))


class Parameters(Lists):
    def __init__(self):
        super().__init__()
        self.layers = [[nn.Parameter(np.eye(3))] for _ in range(2)]

    def forward(self, x):
        return self.out(x @ self.layers[0][0] @ self.layers[1][0])


class Named(Lists):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"a": nn.Linear(3, 3)})
        self.layers["b"] = nn.Linear(3, 3)
        self.weights = nn.ParameterDict({"scale": np.ones(3, "float32")})
        self.more = nn.ParameterList([np.zeros(3, "float32")])

    def forward(self, x):
        return self.out(self.layers["b"](self.layers["a"](x)) * self.weights["scale"] + self.more[0])


@pytest.mark.parametrize("kind", [Lists, Dicts, Nested, Parameters, Named])
def test_layers_in_containers_are_trained_saved_and_switched(kind):
    model = kind()
    trainer = regression(model=model)
    before = model.state_dict()
    assert len(before) > 2
    assert sum(a.size for a in before.values()) == sum(p.size for p in model.parameters())
    trainer.fit(X, Y, epochs=2, verbose=False)
    after = model.state_dict()
    assert all((before[name] != after[name]).any() for name in before if not name.endswith("bias"))
    other = kind()
    other.load_state_dict(after)
    np.testing.assert_array_equal(other(ns.tensor(X)).numpy(), model(ns.tensor(X)).numpy())
    assert not any(m.training for m in model.eval().modules())
    assert kind is Parameters or "layers" in repr(model)


containers = st.recursive(
    st.sampled_from(["layer", "number", "text"]),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)


@given(containers)
def test_every_layer_in_any_nest_is_found_once(nest):
    made = []

    def build(part):
        if isinstance(part, list):
            return [build(p) for p in part]
        if isinstance(part, dict):
            return {k: build(p) for k, p in part.items()}
        if part == "layer":
            made.append(nn.Linear(1, 1))
            return made[-1]
        return {"number": 3, "text": "abc"}[part]

    model = nn.Module()
    model.nest = []
    model.nest.append(build(nest))
    assert [m for m in model.modules() if m is not model] == made
    assert len(model.state_dict()) == 2 * len(made)


def test_long_lists_and_circles_in_attributes_are_no_hindrance():
    model = nn.Module()
    model.data, model.circle = list(range(10**6)), []
    model.circle += [model.circle, nn.Linear(1, 1)]
    assert [name for name, _ in model.named_parameters()] == ["circle.1.weight", "circle.1.bias"]


# A single last sample


def normalised(kind=nn.BatchNorm1d, trailing=()):
    ns.manual_seed(0)
    width = 4 * math.prod(trailing)
    layers = nn.Linear(3, width), nn.Reshape((4, *trailing)), kind(4), nn.Flatten(), nn.Linear(width, 1)
    model = nn.Sequential(*layers)
    return Trainer(model, "mse", optim.SGD(model.parameters(), lr=0.05))


@pytest.mark.parametrize("samples", [5, 9, 21])
@pytest.mark.parametrize("data", ["arrays", "data set"])
def test_a_single_last_sample_joins_the_batch_before(samples, data):
    x, y = X[:samples], Y[:samples]
    trainer, other = normalised(), normalised()
    given = (x, y) if data == "arrays" else (ns.data.Subset(ns.data.TensorDataset(X, Y), range(samples)), None)
    with pytest.warns(
        UserWarning, match=rf"^fit: {samples} samples in batches of 4 leave a single one.*pass drop_last=True"
    ):
        trainer.fit(*given, batch_size=4, shuffle=False, verbose=False)
    edges = [*range(0, samples - 1, 4), samples]
    batches = [(x[a:b], y[a:b]) for a, b in itertools.pairwise(edges)]
    other.fit(batches, verbose=False)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, other.model.state_dict()[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dropped = normalised()
        dropped.fit(*given, batch_size=4, shuffle=False, drop_last=True, verbose=False)
    other = normalised()
    other.fit([(x[a : a + 4], y[a : a + 4]) for a in range(0, samples - 1, 4)], verbose=False)
    np.testing.assert_array_equal(dropped.predict(X), other.predict(X))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.fit(X, Y, batch_size=1, verbose=False),
        lambda t: t.fit(X[:1], Y[:1], verbose=False),
        lambda t: t.fit(ns.data.DataLoader(ns.data.TensorDataset(X, Y), 23), verbose=False),
        lambda t: t.fit([(X[:8], Y[:8]), (X[8:9], Y[8:9])], verbose=False),
        lambda t: t.find_lr(X, Y, batch_size=1),
    ],
)
def test_a_single_sample_that_cannot_join_is_refused_before_the_first_step(call):
    trainer = normalised()
    before = trainer.model.state_dict()
    with pytest.raises(ValueError, match=r"^(fit|find_lr): there is a batch of a single sample.*drop_last=True"):
        call(trainer)
    assert all((before[k] == v).all() for k, v in trainer.model.state_dict().items())


def test_a_single_sample_is_taken_where_it_can_be_learnt_from():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for trainer in (normalised(nn.BatchNorm2d, (2, 1)), normalised(nn.LayerNorm), regression()):
            before = trainer.model.state_dict()
            trainer.fit(X[:9], Y[:9], batch_size=4, verbose=False)
            assert any((before[k] != v).any() for k, v in trainer.model.state_dict().items())
        trainer = normalised()
        trainer.model[2].eval()
        trainer.fit(X[:9], Y[:9], batch_size=4, verbose=False)


# Modes


def test_what_was_put_in_evaluation_mode_stays_in_it(capsys):
    trainer = normalised()
    model = trainer.model
    model[2].eval()
    before = model[2].running_mean.numpy().copy()
    trainer.fit(X, Y, epochs=2)
    np.testing.assert_array_equal(model[2].running_mean.numpy(), before)
    assert "in evaluation mode, as they were put there: model.2" in capsys.readouterr().out
    assert [m.training for m in model] == [True, True, False, True, True]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_whole_in_evaluation_mode_is_trained_but_for_what_is_frozen(frozen):
    trainer = normalised()
    trainer.model.eval()
    if frozen:
        trainer.model[2].requires_grad_(False)
    before = trainer.model[2].running_mean.numpy().copy()
    trainer.fit(X, Y, verbose=False)
    assert np.array_equal(trainer.model[2].running_mean.numpy(), before) == frozen
    assert not any(m.training for m in trainer.model.modules())


def test_a_head_put_in_training_mode_is_all_that_is_trained_in_it():
    trainer = normalised()
    trainer.model.eval()[4].train()
    before = trainer.model[2].running_mean.numpy().copy()
    trainer.fit(X, Y, verbose=False)
    np.testing.assert_array_equal(trainer.model[2].running_mean.numpy(), before)


# The caller's arrays


class InPlace(nn.Module):
    def __init__(self):
        self.linear = nn.Linear(3, 1)

    def forward(self, x):
        x /= 2
        return self.linear(x)


def spoiling(prediction, target):
    prediction *= 0
    target += 1
    return float(target.mean())


@pytest.mark.parametrize("metrics", [(), (spoiling,)])
def test_nothing_changes_the_callers_arrays(metrics):
    x, y, v = X.copy(), Y.copy(), X.copy()

    def loss(prediction, target):
        target.data[...] += 1
        return ns.functional.mse_loss(prediction, target)

    trainer = regression(metrics, InPlace(), loss)
    first = trainer.predict(x)
    trainer.fit(
        x,
        y,
        epochs=2,
        batch_size=7,
        shuffle=False,
        validation_data=(v, y),
        augment=lambda a: a.__imul__(2),
        verbose=False,
    )
    trainer.find_lr(x, y, steps=5)
    trainer.evaluate(x, y)
    trainer.fit(ns.data.DataLoader(ns.data.TensorDataset(x, y), 7), verbose=False)
    assert first.shape == (24, 1)
    for now, before in ((x, X), (y, Y), (v, X)):
        np.testing.assert_array_equal(now, before)


# Shapes that broadcast, and rows


def mean_square(prediction, target):
    return ((prediction - target) ** 2).mean()


def flat_square(prediction, target):
    return ((prediction.reshape(-1) - target.reshape(-1)) ** 2).mean()


@pytest.mark.parametrize("start", ["zeros", "glorot_uniform"])
def test_a_loss_that_broadcasts_is_refused(start):
    def model():
        return nn.Sequential(nn.Linear(3, 1, init=start))

    trainer = regression(model=model(), loss=mean_square)
    with pytest.raises(ValueError, match=r"^fit: the loss broadcasts predictions \(16, 1\) and targets \(16,\)"):
        trainer.fit(X, Y[:, 0], verbose=False)
    regression(model=model(), loss=flat_square).fit(X, Y[:, 0], verbose=False)
    regression(model=model(), loss=mean_square).fit(X, Y, verbose=False)


def test_a_metric_that_broadcasts_is_refused():
    metric = ns.metrics.FunctionMetric(mean_square)
    metric.update(X[:, :1], X[:, 1])
    with pytest.raises(ValueError, match=r"^metric mean_square: prediction has shape \(24, 1\), target \(24,\)"):
        metric.compute()
    metric = ns.metrics.FunctionMetric(flat_square)
    metric.update(X[:, :1], X[:, 1])
    assert metric.compute() == pytest.approx(((X[:, 0] - X[:, 1]) ** 2).mean())


@given(
    labels=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12),
    dtype=st.sampled_from([np.int64, np.uint8, np.bool_, np.float32]),
)
def test_one_hot_rows_of_any_dtype_are_classes(labels, dtype):
    predicted, true = np.array(labels).T
    rows = np.eye(4, dtype=dtype)
    for name in ("accuracy", "confusion_matrix"):
        function = getattr(ns.metrics, name)
        settings = {"classes": 4} if name == "confusion_matrix" else {}
        expected = function(predicted, true, **settings)
        np.testing.assert_array_equal(function(rows[predicted], rows[true], **settings), expected)
    for name in ("precision", "recall", "f1"):
        settings = {"average": "macro", "classes": 4}
        function = getattr(ns.metrics, name)
        assert function(rows[predicted], rows[true], **settings) == function(predicted, true, **settings)


def test_labels_of_sequences_are_no_rows_and_the_two_do_not_mix():
    a, b = np.array([[0, 2, 1], [1, 1, 0]]), np.array([[0, 2, 2], [1, 0, 0]])
    assert ns.metrics.accuracy(a, b) == pytest.approx(4 / 6)
    metric = ns.metrics.Accuracy()
    metric.update(np.eye(3, dtype=int), np.eye(3, dtype=int))
    with pytest.raises(ValueError, match=r"^accuracy: one batch has one-hot rows"):
        metric.update(a, b)


def test_a_layer_replaced_after_the_optimiser_was_made_is_refused():
    trainer = regression()
    setattr(trainer.model, "0", nn.Linear(3, 1))
    with pytest.raises(ValueError, match=r"^Trainer: optimizer has 2 parameters that no module of the step has"):
        trainer.fit(X, Y, verbose=False)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_loss_that_depends_on_the_batches_is_refused(reduction):
    with pytest.raises(ValueError, match=rf"^Trainer: the loss has reduction='{reduction}'"):
        regression(loss=functools.partial(ns.functional.mse_loss, reduction=reduction))


@pytest.mark.parametrize("last", [nn.Sigmoid, nn.Softmax])
def test_a_single_output_under_cross_entropy_is_refused(last):
    model = nn.Sequential(nn.Linear(3, 1), last())
    with pytest.raises(
        ValueError, match=r"^fit: cross_entropy got predictions of one class.* use binary_cross_entropy"
    ):
        regression(model=model, loss="cross_entropy").fit(X, (Y > 0).astype("float32"), verbose=False)
    regression(model=nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), loss="binary_cross_entropy").fit(
        X, (Y > 0).astype("float32"), verbose=False
    )
