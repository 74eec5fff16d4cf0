"""Steps of one's own, batches of any source, accumulated gradients and metrics, and the search for a learning rate."""

import functools
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import metrics, nn, optim
from nnscratch.data import DataLoader, Dataset, IterableDataset, TensorDataset
from nnscratch.training import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ReduceLROnPlateau,
    Snapshots,
    Step,
    Supervised,
    Trainer,
)

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")


def blobs(n=60, seed=0):
    """Three clouds of points, and which each point is of."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, n)
    centres = np.array([[0, 0], [3, 0], [0, 3]])
    return (centres[y] + random.normal(size=(n, 2))).astype(np.float32), y


def classifier(seed=0, loss="cross_entropy", metrics=("accuracy",), optimizer=optim.Adam, **settings):
    ns.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3), nn.Softmax())
    return Trainer(model, loss, optimizer(model.parameters(), lr=0.01), metrics, **settings)


def weights(trainer):
    return {f"{m}/{k}": v.tobytes() for m, own in trainer.step.modules.items() for k, v in own.state_dict().items()}


def values(history):
    return {name: v for name, v in history.items() if name != "seconds"}


# Steps


class GAN(Step):
    """A generator of points and a critic that tells them from given ones (Goodfellow et al., 2014)."""

    names = ("critic_loss", "generator_loss")

    def __init__(self, rate=0.01):
        self.generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        self.critic = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
        self.generator_optimizer = optim.Adam(self.generator.parameters(), lr=rate)
        self.critic_optimizer = optim.Adam(self.critic.parameters(), lr=rate)
        self.noise = np.random.default_rng(1)

    def sample(self, n):
        return self.generator(ns.tensor(self.noise.normal(size=(n, 2)), dtype="float32"))

    def says(self, x, label):
        said = self.critic(x)
        return F.binary_cross_entropy(said, ns.tensor(np.full(said.shape, label), dtype="float32"), from_logits=True)

    def losses(self, x, made):
        return (self.says(x, 1) + self.says(made.detach(), 0)) / 2

    def update(self, x):
        critic_loss = self.losses(x, self.sample(len(x)))
        self.minimize(critic_loss, self.critic_optimizer, len(x))
        generator_loss = self.says(self.sample(len(x)), 1)
        self.minimize(generator_loss, self.generator_optimizer, len(x))
        return {"critic_loss": critic_loss, "generator_loss": generator_loss}

    def measure(self, x):
        return {"critic_loss": self.losses(x, self.sample(len(x)))}

    def predict(self, x):
        return self.critic(x)


def points(n=64):
    return np.random.default_rng(0).normal(4, 0.5, (n, 1)).astype(np.float32)


def gan(seed=0):
    ns.manual_seed(seed)
    return Trainer(GAN())


def test_a_gan_is_a_step_that_learns_to_make_the_points():
    trainer, distances = gan(), []

    class Look(Callback):
        """How far from the points' mean, 4, the made ones' is: rivals go round it."""

        def on_epoch_begin(self, trainer, epoch):
            noise = np.random.default_rng(2).normal(size=(200, 2)).astype(np.float32)
            distances.append(abs(trainer.step.generator(ns.tensor(noise)).numpy().mean() - 4))

    settings = {"batch_size": 16, "validation_data": (points(16),), "callbacks": [Look()], "verbose": False}
    history = trainer.fit(points(), epochs=60, **settings)
    assert list(history) == ["critic_loss", "generator_loss", "val_critic_loss", "lr", "seconds"]
    assert distances[0] > 3
    assert min(distances) < 0.5
    assert trainer.predict(points(5)).shape == (5, 1)
    assert set(trainer.step.modules) == {"generator", "critic"}
    assert trainer.model is None
    assert [m.training for m in trainer.step.critic.modules()] == [True] * 5


def test_a_gan_resumes_bit_for_bit(tmp_path):
    x, settings = points(), {"batch_size": 16, "verbose": False}
    whole = gan()
    expected = values(whole.fit(x, epochs=4, **settings))
    gan().fit(x, epochs=2, callbacks=[Checkpoint(tmp_path / "a")], **settings)
    resumed = gan(7)
    assert values(resumed.fit(x, epochs=4, resume=tmp_path / "a", **settings)) == expected
    assert weights(resumed) == weights(whole)


def test_early_stopping_goes_back_to_the_best_of_all_modules(tmp_path):
    trainer, seen = gan(), []

    class Note(Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            logs["critic_loss"] = [3.0, 1.0, 2.0, 2.0][epoch - 1]
            seen.append(weights(trainer))

    callbacks = [Note(), EarlyStopping("critic_loss", patience=2), Checkpoint(tmp_path / "a")]
    trainer.fit(points(), epochs=9, callbacks=callbacks, verbose=False)
    assert len(seen) == 4
    assert weights(trainer) == seen[1] != seen[3]
    again = gan(5)
    again.fit(points(), epochs=9, callbacks=callbacks[:2], resume=tmp_path / "a", verbose=False)
    assert weights(again) == seen[1]


def test_a_module_that_nothing_trains_stays_in_evaluation_mode():
    modes = []

    class Distillation(Step):
        def __init__(self):
            self.teacher = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))
            self.student = nn.Linear(2, 1)
            self.noise = nn.Dropout(0.1)
            self.optimizer = optim.SGD(self.student.parameters(), lr=0.1)

        def update(self, x):
            modes.append((self.teacher[1].training, self.student.training, self.noise.training))
            loss = F.mse_loss(self.student(self.noise(x)), self.teacher(x).detach())
            self.minimize(loss, self.optimizer, len(x))
            return {"loss": loss}

    step = Distillation()
    before = step.teacher.state_dict()["0.weight"].copy()
    Trainer(step).fit(blobs()[0], verbose=False)
    assert set(modes) == {(False, True, True)}
    np.testing.assert_array_equal(step.teacher.state_dict()["0.weight"], before)
    assert step.teacher[1].training


def test_a_supervised_step_is_what_a_trainer_makes():
    x, y = blobs()
    one = classifier()
    one.fit(x, y, epochs=2, verbose=False)
    made = classifier()
    two = Trainer(Supervised(made.model, "cross_entropy", made.optimizer, ["accuracy"]))
    two.fit(x, y, epochs=2, verbose=False)
    assert weights(one) == weights(two)
    assert values(one.history) == values(two.history)
    assert (two.loss, list(two.metrics)) == (F.cross_entropy, ["accuracy"])


def test_a_model_of_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 1)

        def forward(self, a, b):
            return self.layer(ns.concatenate([a, b], 1))

    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    y, given = x.sum(1, keepdims=True), (x[:, :2], x[:, 2:])
    ns.manual_seed(0)
    model = Two()
    trainer = Trainer(model, "mse", optim.SGD(model.parameters(), lr=0.2))
    trainer.fit(given, y, epochs=40, validation_data=(given, y), verbose=False)
    assert trainer.evaluate(given, y)["loss"] < 1e-3
    np.testing.assert_allclose(trainer.predict(given), y, atol=0.1)
    loader = DataLoader(TensorDataset(*given, y), 7)
    assert trainer.evaluate(loader) == pytest.approx(trainer.evaluate(given, y), rel=1e-5)
    np.testing.assert_allclose(trainer.predict(loader), trainer.predict(given), rtol=1e-5)


class Bare(Step):
    def __init__(self, **parts):
        vars(self).update(parts)

    def update(self, x):
        return self.values(x)

    measure = update


def bare(values, **parts):
    layer = nn.Linear(2, 1)
    return Bare(**{"layer": layer, "optimizer": optim.SGD(layer.parameters(), lr=0.1), "values": values, **parts})


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: Trainer(GAN(), "mse"), TypeError, "Trainer: a step has its own loss"),
        (lambda: Trainer(bare(None, optimizer=None)), ValueError, "Trainer: Bare has no module with parameters, or no"),
        (
            lambda: Trainer(bare(None, layers=[nn.Linear(2, 1)])),
            TypeError,
            "Trainer: layers of Bare is a list of modules",
        ),
        (
            lambda: Trainer(bare(lambda x: {})).fit(X),
            ValueError,
            "Bare.update: returned values of nothing, expected loss",
        ),
        (
            lambda: Trainer(bare(lambda x: {"los": 1.0})).fit(X),
            ValueError,
            "Bare.update: returned values of los, expected loss",
        ),
        (
            lambda: Trainer(bare(lambda x: {"loss": 1.0, "f1": x.sum()}, metrics={"f1": metrics.F1()})).fit(X),
            TypeError,
            r"Bare.update: returned .* as 'f1', expected what that metric takes; pass a tuple",
        ),
        (
            lambda: Trainer(bare(lambda x: {"loss": 1.0})).fit(X, accumulate=2),
            ValueError,
            "Bare: its update did not call self",
        ),
        (lambda: Trainer(bare(lambda x: {"loss": 1.0})).predict(X), NotImplementedError, "Bare: has no predict"),
        (lambda: Step().update(), NotImplementedError, "Step: has no update"),
        (lambda: Step().measure(), NotImplementedError, "Step: has no measure"),
        (lambda: gan().fit(X, class_weight=[1.0]), ValueError, "fit: class_weight is for Supervised, the step is GAN"),
        (
            lambda: gan().fit(points(), callbacks=[EarlyStopping("loss")]),
            ValueError,
            "EarlyStopping: monitor is 'loss', and",
        ),
        (
            lambda: gan().fit(points(), callbacks=[Snapshots()]),
            ValueError,
            "Snapshots: the step has no attribute 'model'",
        ),
        (lambda: classifier().fit(X), ValueError, "fit: got inputs only, expected a target for each sample"),
        (lambda: classifier().fit(DataLoader(X, 5)), ValueError, "fit: epoch 1, batch 1: a batch has only one part"),
        (lambda: classifier().fit(X, Y, accumulate=0), ValueError, "fit: accumulate is 0"),
        (lambda: classifier().fit(3), ValueError, r"fit: x has shape \(\)"),
        (lambda: classifier().fit(object()), TypeError, "fit: got a object as data"),
        (
            lambda: classifier().fit(iter([(X, Y)]), epochs=2),
            ValueError,
            "fit: got an iterator as data, .* epochs is 2",
        ),
        (lambda: classifier().fit([], epochs=2), ValueError, r"fit: x has shape \(0,\)"),
        (lambda: classifier().fit(lambda: iter(())), ValueError, "fit: epoch 1: there was no batch"),
        (lambda: classifier().evaluate(iter(())), ValueError, "evaluate: there was no batch"),
        (lambda: classifier().predict(iter(())), ValueError, "predict: there was no batch"),
        (lambda: classifier().fit([(X, Y[:3])]), ValueError, r"fit: batch 1: the arrays have \[20, 3\] samples"),
        (lambda: classifier().fit([(X, Y), (X * np.nan, Y)]), ValueError, "fit: batch 2, part 1 holds nan"),
        (lambda: classifier().fit([(X, Y), (X, Y + 3)]), ValueError, "cross_entropy: label"),
        (lambda: classifier().fit([()]), ValueError, "fit: batch 1 is an empty tuple"),
        (lambda: classifier().fit([(X, Y)], validation_split=0.5), ValueError, "fit: validation_split is for arrays"),
        (lambda: classifier().fit(X, Y, validation_data=(X,)), TypeError, "fit: validation_data is no pair"),
        (lambda: classifier().find_lr(iter([(X, Y)])), ValueError, "find_lr: got an iterator"),
        (lambda: classifier().find_lr(X, Y, steps=2), ValueError, "find_lr: steps is 2"),
        (lambda: classifier().find_lr(X, Y, low=1.0, high=0.1), ValueError, "find_lr: high is 0.1"),
        (lambda: ReduceLROnPlateau(factor=1.0), ValueError, "ReduceLROnPlateau: factor is 1"),
        (lambda: ReduceLROnPlateau(mode="up"), ValueError, "ReduceLROnPlateau: mode is 'up'"),
        (lambda: CSVLogger(3), TypeError, "CSVLogger: path is a int"),
        (lambda: classifier().fit(X, Y, callbacks=[CSVLogger("/dev/null/a")]), OSError, "CSVLogger: cannot write"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, message):
    with pytest.raises(kind, match=f"^({message})") as caught:
        call()
    assert "\n" not in str(caught.value)


X, Y = blobs(20)


# Batches of any source


class Pairs(Dataset):
    def __getitem__(self, index):
        return X[index], Y[index]

    def __len__(self):
        return len(X)


class Stream(IterableDataset):
    def __iter__(self):
        return zip(X, Y, strict=True)


def generator():
    for start in range(0, 20, 6):
        yield X[start : start + 6], Y[start : start + 6]


SOURCES = {
    "loader": lambda: DataLoader(TensorDataset(X, Y), 6),
    "loader with threads": lambda: DataLoader(Pairs(), 6, num_workers=2),
    "stream": lambda: DataLoader(Stream(), 6),
    "dataset": Pairs,
    "arrays in a dataset": lambda: TensorDataset(X, Y),
    "stream of samples": Stream,
    "batches": lambda: ns.data.batches(X, Y, 6),
    "list": lambda: list(generator()),
    "function": lambda: generator,
}


@pytest.mark.parametrize("name", SOURCES)
def test_batches_come_from_any_source(name):
    expected = classifier()
    expected.fit(X, Y, epochs=3, batch_size=6, shuffle=False, validation_data=(X, Y), verbose=False)
    trainer = classifier()
    data = SOURCES[name]()
    history = trainer.fit(data, epochs=3, batch_size=6, shuffle=False, validation_data=SOURCES[name](), verbose=False)
    assert weights(trainer) == weights(expected)
    for key, there in values(expected.history).items():
        assert history[key] == pytest.approx(there, rel=1e-6), key
    assert trainer.evaluate(data, batch_size=6) == pytest.approx(expected.evaluate(X, Y), rel=1e-6)
    np.testing.assert_allclose(trainer.predict(data, batch_size=6), expected.predict(X), rtol=1e-5)


def test_an_iterator_is_gone_through_once():
    trainer = classifier()
    assert trainer.fit(generator(), verbose=False)["loss"][0] > 0
    assert trainer.evaluate(generator())["accuracy"] >= 0


def test_the_bar_counts_samples_of_an_unknown_number(capsys):
    classifier().fit(generator, epochs=2)
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines() if line.strip()] == ["1/2", "2/2"]
    assert "40 samples" in err


@pytest.mark.parametrize("in_place", ["model", "augmentation"])
@pytest.mark.parametrize("loader", [True, False])
def test_what_is_changed_in_place_is_not_the_callers(in_place, loader):
    class Net(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            if in_place == "model":
                x[...] = x / 10
            return self.layer(x)

    def louder(x):
        x += 1
        return x

    x, y = X.copy(), np.ones((20, 1), np.float32)
    model = Net()
    trainer = Trainer(model, "mse", optim.SGD(model.parameters(), lr=0.0))
    data = (DataLoader(TensorDataset(x, y), 5),) if loader else (x, y)
    augment = louder if in_place == "augmentation" else None
    trainer.fit(*data, epochs=2, shuffle=False, augment=augment, verbose=False)
    trainer.evaluate(*data)
    trainer.predict(data[0])
    np.testing.assert_array_equal(x, X)


def test_loaders_resume_bit_for_bit(tmp_path):
    def data(seed):
        return DataLoader(Noisy(), 7, shuffle=True, num_workers=2, generator=np.random.default_rng(seed))

    class Noisy(Pairs):
        def __getitem__(self, index):
            return X[index] + ns.data.generator().normal(size=2).astype(np.float32), Y[index]

    whole = classifier()
    expected = values(whole.fit(data(1), epochs=5, accumulate=2, verbose=False))
    classifier().fit(data(1), epochs=2, accumulate=2, callbacks=[Checkpoint(tmp_path / "a")], verbose=False)
    resumed = classifier(9)
    history = resumed.fit(data(5), epochs=5, accumulate=2, resume=tmp_path / "a", verbose=False)
    assert values(history) == expected
    assert weights(resumed) == weights(whole)
    for change, message in (
        ({"accumulate": 3}, "had accumulate 2, got 3"),
        ({"x": DataLoader(Pairs(), 5)}, "batch_size 7"),
    ):
        with pytest.raises(ValueError, match=f"^resume: .*{message}"):
            classifier().fit(
                **{"x": data(5), "accumulate": 2, **change}, epochs=5, resume=tmp_path / "a", verbose=False
            )


@pytest.mark.parametrize(
    ("change", "message"),
    [((1, 0.1, "epoch"), "gamma"), ((7, 0.5, "epoch"), "step_size"), ((1, 0.5, "batch"), "scheduler_step")],
)
def test_a_schedule_of_other_settings_does_not_resume(change, message, tmp_path):
    def make(size, gamma, when):
        ns.manual_seed(0)
        model = nn.Linear(2, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        schedule = optim.lr_scheduler.StepLR(optimizer, size, gamma)
        return Trainer(model, "mse", optimizer, scheduler=schedule, scheduler_step=when)

    make(1, 0.5, "epoch").fit(X, X[:, :1], callbacks=[Checkpoint(tmp_path / "a")], verbose=False)
    with pytest.raises(ValueError, match=f"^resume: .* had {message} "):
        make(*change).fit(X, X[:, :1], epochs=2, resume=tmp_path / "a", verbose=False)


# Accumulation


@pytest.mark.parametrize("accumulate", [2, 3])
@pytest.mark.parametrize("loss", ["cross_entropy", functools.partial(F.cross_entropy, ignore_index=1)])
def test_accumulated_gradients_are_those_of_the_batches_as_one(accumulate, loss):
    def trainer():
        made = classifier(loss=loss, metrics=(), optimizer=optim.SGD)
        for p in made.model.parameters():
            p.data = p.data.astype(np.float64)
        return made

    x, y = blobs(23)  # groups of 4 * accumulate samples; the last is smaller, and so is the last batch in it
    x = x.astype(np.float64)
    large, small = trainer(), trainer()
    expected = large.fit(x, y, epochs=2, batch_size=4 * accumulate, shuffle=False, verbose=False)
    history = small.fit(x, y, epochs=2, batch_size=4, accumulate=accumulate, shuffle=False, verbose=False)
    for a, b in zip(large.model.parameters(), small.model.parameters(), strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-12, atol=1e-15)
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-12)


def test_two_optimisers_accumulate_their_own_gradients():
    class Rivals(Step):
        """Two scalars: the second's loss depends on the first, too."""

        names = ("a", "b")

        def __init__(self):
            self.first, self.second = (
                nn.Linear(1, 1, bias=False, dtype="float64"),
                nn.Linear(1, 1, bias=False, dtype="float64"),
            )
            self.one = optim.SGD(self.first.parameters(), lr=0.1)
            self.two = optim.SGD(self.second.parameters(), lr=0.1)

        def update(self, x):
            a = (self.first(x) ** 2).mean()
            self.minimize(a, self.one, len(x))
            b = (self.second(self.first(x).detach() + x) ** 2).mean() + 0 * self.first(x).mean()
            self.minimize(b, self.two, len(x))
            return {"a": a, "b": b}

    ns.manual_seed(0)
    step = Rivals()
    x = np.random.default_rng(0).normal(size=(10, 1))
    w, v = step.first.weight.item(), step.second.weight.item()
    Trainer(step).fit(x, batch_size=4, accumulate=3, shuffle=False, verbose=False)
    square = (x**2).mean()
    assert step.first.weight.item() == pytest.approx(w - 0.1 * 2 * w * square, rel=1e-12)
    assert step.second.weight.item() == pytest.approx(v - 0.1 * 2 * v * (1 + w) ** 2 * square, rel=1e-12)


def test_a_schedule_by_batch_counts_the_steps_taken():
    model = nn.Linear(2, 3)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    trainer = Trainer(model, lambda p, t: p.mean(), optimizer, scheduler=schedule, scheduler_step="batch")
    assert trainer.fit(X, Y, epochs=2, batch_size=4, accumulate=2, verbose=False)["lr"] == [1.0, 0.125]


# What an epoch's values count


def test_an_epochs_metrics_are_those_of_its_samples_together():
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    y = (np.random.default_rng(1).random((200, 1)) < 0.05).astype(np.float32)

    def spread(prediction, target):
        return prediction.max() - target.min()

    ns.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    chosen = ["accuracy", "precision", "recall", "f1", ns.metrics.auc, spread]
    trainer = Trainer(model, "binary_cross_entropy", optim.SGD(model.parameters(), lr=0.0), chosen)
    history = trainer.fit(x, y, batch_size=8, validation_data=(x, y), verbose=False)
    prediction = trainer.predict(x)
    for name in ("accuracy", "precision", "recall", "f1", "auc"):
        assert history[name][0] == history[f"val_{name}"][0] == pytest.approx(getattr(metrics, name)(prediction, y))
    assert history["spread"][0] == pytest.approx(prediction.max())
    assert history["loss"] == pytest.approx(history["val_loss"])


LABELS = np.array([0, -1, -1, -1, -1, 1, 2, 2, 0, 1])


@pytest.mark.parametrize("batch_size", [10, 6, 3, 2])
@pytest.mark.parametrize(
    "settings", [{"ignore_index": -1}, {"weight": [1.0, 2.0, 0.0]}, {"weight": [0.5, 2.0, 1.0], "ignore_index": -1}]
)
@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
def test_losses_are_weighed_by_the_labels_that_count(settings, batch_size, function):
    y = LABELS if "ignore_index" in settings else np.abs(LABELS)
    x = blobs(10)[0]
    ns.manual_seed(0)
    last = nn.Softmax() if function is F.cross_entropy else nn.LogSoftmax()
    model = nn.Sequential(nn.Linear(2, 3), last)
    loss = functools.partial(function, **settings)
    trainer = Trainer(model, loss, optim.SGD(model.parameters(), lr=0.0), ["accuracy"])
    right = loss(ns.tensor(trainer.predict(x)), ns.tensor(y, dtype="int64")).item()
    history = trainer.fit(x, y, batch_size=batch_size, validation_data=(x, y), shuffle=False, verbose=False)
    assert history["loss"] == pytest.approx([right], rel=1e-5)
    assert history["val_loss"] == pytest.approx([right], rel=1e-5)
    counts = y >= 0
    assert history["accuracy"] == [np.mean(trainer.predict(x).argmax(1)[counts] == y[counts])]


def test_a_loss_may_say_what_it_counts():
    def positive(prediction, target):
        counts = (target > 0).astype("float32")
        n = counts.sum()
        return ((prediction - target) ** 2 * counts).sum() / ns.maximum(n, 1), n.data

    x = X[:, :1]
    ns.manual_seed(0)
    model = nn.Linear(1, 1)
    trainer = Trainer(model, positive, optim.SGD(model.parameters(), lr=0.0))
    there = x[x > 0]
    right = np.mean((trainer.predict(x)[x > 0] - there) ** 2)
    assert trainer.evaluate(x, x, batch_size=1)["loss"] == pytest.approx(right, rel=1e-5)


def test_data_in_which_nothing_counts_are_refused():
    loss = functools.partial(F.cross_entropy, ignore_index=-1)
    y = np.full(20, -1)
    with pytest.raises(ValueError, match="^cross_entropy: the weights of all labels"):
        classifier(loss=loss).fit(X, y, verbose=False)
    with pytest.raises(ValueError, match="^loss: nothing was counted"):
        classifier(loss=loss).evaluate(X, y)


@pytest.mark.parametrize(
    ("kind", "function"),
    [(metrics.Precision, metrics.precision), (metrics.Recall, metrics.recall), (metrics.F1, metrics.f1)],
)
@pytest.mark.parametrize("average", ["macro", "micro", None])
def test_metrics_of_batches_are_those_of_all(kind, function, average):
    rng = np.random.default_rng(3)
    prediction, target = rng.random((50, 4)), rng.integers(0, 4, 50)
    metric = kind(average)
    for start in range(0, 50, 7):
        metric.update(prediction[start : start + 7], target[start : start + 7])
    np.testing.assert_array_equal(metric.compute(), function(prediction, target, average))
    matrix = metrics.ConfusionMatrix()
    for start in range(0, 50, 7):
        matrix.update(prediction[start : start + 7].argmax(1), target[start : start + 7])
    np.testing.assert_array_equal(matrix.compute(), metrics.confusion_matrix(prediction, target))
    ignoring = metrics.Accuracy(ignore_index=0)
    ignoring.update(prediction, target)
    assert ignoring.compute() == metrics.accuracy(prediction[target > 0], target[target > 0])


def test_a_function_is_called_on_parts_of_bounded_size(monkeypatch):
    monkeypatch.setattr("nnscratch.metrics.accumulated.MOST_BYTES", 100)
    sizes = []

    def mean(prediction, target):
        sizes.append(len(target))
        return prediction.mean()

    metric, x = metrics.FunctionMetric(mean), np.arange(31.0)
    for start in range(0, 31, 3):
        metric.update(x[start : start + 3], x[start : start + 3])
    assert metric.compute() == pytest.approx(x.mean())
    assert sum(sizes) == 31
    assert max(sizes) <= 9


MEMORY = """
import sys
import numpy as np, nnscratch as ns

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

def batches():
    rng = np.random.default_rng(0)
    for _ in range(int(sys.argv[1])):
        yield rng.normal(size=(64, 20)).astype("float32"), rng.integers(0, 10, 64)

model = ns.nn.Sequential(ns.nn.Linear(20, 10), ns.nn.Softmax())
macro = ns.metrics.F1("macro")
trainer = ns.Trainer(model, "cross_entropy", ns.optim.SGD(model.parameters(), lr=0.1), ["accuracy", macro])
trainer.evaluate(batches)
print(peak())
"""


@pytest.mark.cpu
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the peak memory of a process")
def test_an_evaluations_memory_does_not_grow_with_the_number_of_batches():
    run = [
        subprocess.run([sys.executable, "-c", MEMORY, n], capture_output=True, text=True, check=True)
        for n in ("1000", "10000")
    ]
    few, many = (int(done.stdout) for done in run)
    assert abs(many - few) < 0.05 * few, (few, many)


# The search for a learning rate


@pytest.mark.parametrize("data", ["arrays", "loader"])
def test_a_search_restores_everything_bit_for_bit(data):
    x, y = blobs(40)
    loader = DataLoader(TensorDataset(x, y), 8, shuffle=True, generator=3)
    given = (x, y) if data == "arrays" else (loader,)
    trainer = classifier(scheduler=None)
    trainer.fit(x, y, verbose=False)
    trainer.scheduler = optim.lr_scheduler.StepLR(trainer.optimizer, 3)

    def state():
        return (
            weights(trainer),
            {k: v.tobytes() if hasattr(v, "tobytes") else v for k, v in trainer.optimizer.state_dict().items()},
            [None if p.grad is None else p.grad.numpy().tobytes() for p in trainer.model.parameters()],
            [m.training for m in trainer.model.modules()],
            repr(loader.generator.bit_generator.state),
            repr(ns.backend.cpu.rng.bit_generator.state),
            values(trainer.history),
            trainer.scheduler.state_dict(),
        )

    before = state()
    found = trainer.find_lr(*given, batch_size=8, steps=60)
    assert state() == before
    assert len(found.rates) == len(found.losses) <= 60
    assert found.rates[0] == pytest.approx(1e-7)
    assert found.rates[0] < found.suggestion < found.rates[-1]
    assert min(found.losses) < 0.9 * found.losses[0]
    assert "suggests" in repr(found)
    assert len(found.plot().axes) == 1


def test_a_search_ends_where_the_loss_diverges():
    trainer = Trainer(model := nn.Linear(2, 1), "mse", optim.SGD(model.parameters(), lr=0.1))
    found = trainer.find_lr(X, X[:, :1], batch_size=5, low=1e-4, high=1e30, steps=300)
    assert len(found.rates) < 300
    assert all(map(math.isfinite, found.losses))
    assert np.isfinite(model.weight.numpy()).all()
    accumulated = trainer.find_lr(X, X[:, :1], batch_size=5, steps=10, accumulate=4)
    assert len(accumulated.rates) == 10
    whole = trainer.evaluate(X, X[:, :1])["loss"]
    assert accumulated.losses[0] == pytest.approx(whole, rel=1e-4)  # a group is all samples, and the first rate is tiny


def test_a_search_is_for_steps_too():
    found = gan().find_lr(points(), steps=5)
    assert len(found.losses) == 5


# Callbacks


def test_callbacks_are_called_at_each_place():
    calls = []

    class Note(Callback):
        def on_fit_begin(self, trainer):
            calls.append("fit")

        def on_epoch_begin(self, trainer, epoch):
            calls.append(f"epoch {epoch}")

        def on_batch_end(self, trainer, batch, logs):
            calls.append((batch, sorted(logs)))

        def on_epoch_end(self, trainer, epoch, logs):
            calls.append(f"end {epoch}")

        def on_fit_end(self, trainer):
            calls.append("end")

    classifier().fit(X, Y, batch_size=10, callbacks=[Note()], verbose=False)
    batch = ["accuracy", "loss"]
    assert calls == ["fit", "epoch 1", (1, batch), (2, batch), "end 1", "end"]


def test_a_csv_file_has_the_history(tmp_path):
    trainer, path = classifier(), tmp_path / "a.csv"
    callbacks = [CSVLogger(path), Checkpoint(tmp_path / "a")]
    trainer.fit(X, Y, epochs=2, callbacks=callbacks, verbose=False)
    trainer = classifier()
    trainer.fit(X, Y, epochs=4, callbacks=callbacks, resume=tmp_path / "a", verbose=False)
    head, *rows = path.read_text().splitlines()
    assert head == "epoch,loss,accuracy,lr,seconds"
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row.split(",")[1]) for row in rows] == trainer.history["loss"]


def test_rates_fall_on_a_plateau(tmp_path):
    class Script(Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            logs["loss"] = [3.0, 2.0, 2.0, math.nan, 1.0, 1.0, 1.0, 1.0][epoch - 1]

    def run(epochs, **settings):
        trainer = classifier()
        callbacks = [Script(), ReduceLROnPlateau("loss", 0.5, patience=2, min_lr=0.004), Checkpoint(tmp_path / "a")]
        return [
            round(r, 6) for r in trainer.fit(X, Y, epochs=epochs, callbacks=callbacks, verbose=False, **settings)["lr"]
        ]

    expected = [0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.005, 0.004]
    assert run(8) == expected
    run(6)
    assert run(8, resume=tmp_path / "a") == expected
    trainer = classifier()
    trainer.scheduler = optim.lr_scheduler.StepLR(trainer.optimizer, 3)
    with pytest.raises(ValueError, match="^ReduceLROnPlateau: the Trainer has a scheduler"):
        trainer.fit(X, Y, callbacks=[ReduceLROnPlateau("loss")], verbose=False)


def test_nan_is_never_the_best_to_stop_at():
    class Script(Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            logs["loss"] = [*itertools.repeat(math.nan, 4), 2.0, math.nan, 1.0, 1.0, math.nan, 0.5][epoch - 1]

    stopping = EarlyStopping("loss", patience=2)
    history = classifier().fit(X, Y, epochs=10, callbacks=[Script(), stopping], verbose=False)
    assert (history.epochs, stopping.best, stopping.best_epoch) == (9, 1.0, 7)
