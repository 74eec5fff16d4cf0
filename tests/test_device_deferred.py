"""What is asked of a GPU without waiting for it: how often training waits, and that whatever is wrong is still told.

The device "cuda" is a GPU's where there is one, and `tests.standin` with both kinds of kernels.
"""

import contextlib
import functools
import importlib
import math

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import backend, nn, optim
from nnscratch.backend import deferred
from nnscratch.training import Callback, Step
from nnscratch.training.losses import LOSSES, with_count
from tests.standin import cuda as stand_in
from tests.standin.instead import standing_in

F = ns.functional


@pytest.fixture(params=["standin", "emulated", "cuda"])
def device(request):
    """The device "cuda", on which everything is made that names none."""
    if request.param == "emulated" and not importlib.import_module("tests.cuda_emulator").compiler():
        pytest.skip("the emulator of CUDA needs g++ 12 or later on Linux")
    if request.param == "cuda":
        try:
            backend.get("cuda")
        except ValueError as error:
            pytest.skip(str(error))
    with contextlib.nullcontext() if request.param == "cuda" else standing_in(definitions=request.param == "standin"):
        ns.manual_seed(0)
        with np.errstate(all="ignore"):  # CuPy warns of nothing
            yield request.param


@contextlib.contextmanager
def without_waiting():
    """Within this block nothing may wait for the GPU."""
    if backend.get("cuda").xp.__name__ == "cupy":
        with importlib.import_module("cupyx").allow_synchronize(False):
            yield
    else:
        before = waits()
        yield
        assert waits() == before


def waits():
    """How often the stand-in was waited for."""
    return sum(entry[0] in ("get", "synchronize", "stream.synchronize") for entry in stand_in.log)


# How often training waits


def s1():
    """S1 and its loss, with data."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 1), nn.Sigmoid())
    return model, "mse", rng.random((12, 3), np.float32), rng.random((12, 1), np.float32)


def mlp():
    """What the layers of a classifier may be."""
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3), nn.Softmax())
    rng = np.random.default_rng(0)
    return model, "cross_entropy", rng.random((12, 6), np.float32), rng.integers(0, 3, 12)


def s2():
    """S2, smaller."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3),
        nn.Softmax(),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    return model, "cross_entropy", rng.random((12, 1, 8, 8), np.float32), rng.integers(0, 3, 12)


def words():
    """Labels by indices that lie on the GPU."""
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, 2), nn.Sigmoid())
    rng = np.random.default_rng(0)
    return model, "binary_cross_entropy", rng.integers(0, 7, (12, 3)), rng.integers(0, 2, (12, 2)).astype("float32")


SETTINGS = {
    "cross_entropy": [
        {}, {"weight": [1.0, 0.5, 2.0]}, {"ignore_index": 1}, {"label_smoothing": 0.1}, {"reduction": "sum"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("make", [s1, mlp, s2, words])
@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
def test_a_step_of_training_waits_for_nothing(make, optimizer, device):
    if make is words and device == "standin":
        pytest.skip("put_add in terms of array functions adds on the host")
    model, loss, x, y = make()
    model.to("cuda")
    takes = optimizer(model.parameters(), lr=0.01)
    x, y = (ns.tensor(a, device="cuda") for a in (x, y))
    for settings in SETTINGS.get(loss, [{}]):
        for step in range(2):
            with without_waiting() if step else contextlib.nullcontext():  # CuPy may wait when something is compiled
                takes.zero_grad()
                value = LOSSES[loss](model(x), y, **settings)
                value.backward()
                optim.clip_grad_norm(model.parameters(), 1.0)
                optim.clip_grad_value(model.parameters(), 0.5)
                takes.step()
        assert math.isfinite(value.item())


def distance(prediction, target):
    """A metric of a user's."""
    return np.abs(prediction.mean() - target.mean())


@pytest.mark.parametrize("make", [s1, mlp, s2])
@pytest.mark.parametrize("metrics", [[], [distance]])
def test_an_epoch_waits_as_often_however_many_its_batches(make, metrics, monkeypatch):
    with standing_in():
        monkeypatch.setattr(deferred, "EVERY", math.inf)
        model, loss, x, y = make()
        trainer = ns.Trainer(model.to("cuda"), loss, optim.Adam(model.parameters()), metrics)
        counted = []
        for batch_size in (12, 6, 2):
            before = waits()
            trainer.fit(x, y, batch_size=batch_size, validation_data=(x, y), verbose=False)
            counted.append(waits() - before)
        assert counted[0] == counted[1] == counted[2] < 20
        monkeypatch.setattr(deferred, "EVERY", -1)  # whoever wants to look after each batch waits for each
        before = waits()
        trainer.fit(x, y, batch_size=2, validation_data=(x, y), verbose=False)
        assert waits() - before > counted[0]


class Halves(Step):
    """A step of one's own with two optimisers and a metric."""

    names = ("first", "second")

    def __init__(self, model):
        self.one, self.two = model, nn.Linear(3, 1).to("cuda")
        self.optimizer, self.other = optim.Adam(self.one.parameters()), optim.SGD(self.two.parameters(), 0.1)
        self.metrics = {"accuracy": ns.metrics.Accuracy()}
        self.loss = with_count(
            functools.partial(F.cross_entropy, from_logits=True, ignore_index=2, weight=[1.0, 0.5, 1.0])
        )

    def update(self, x, y):
        prediction = self.one(x)
        first, count = self.loss(prediction, y)
        self.minimize(first, self.optimizer, count)
        second = (self.two(prediction.detach()) ** 2).mean()
        self.minimize(second, self.other, len(x))
        return {"first": (first, count), "second": second, "accuracy": (prediction, y)}

    measure = update


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_of_ones_own_waits_for_nothing_either(accumulate, monkeypatch):
    with standing_in():
        monkeypatch.setattr(deferred, "EVERY", math.inf)
        ns.manual_seed(0)
        x, y = np.ones((24, 4), np.float32), np.arange(24) % 3
        trainer = ns.Trainer(Halves(nn.Linear(4, 3).to("cuda")))
        counted = []
        for batch_size in (12, 6, 2):
            loader = ns.data.DataLoader(ns.data.TensorDataset(x, y), batch_size, shuffle=True, num_workers=2)
            before = waits()
            trainer.fit(loader, accumulate=accumulate, verbose=False)
            counted.append(waits() - before)
        assert counted[0] == counted[1] == counted[2] < 10


def test_results_are_read_when_they_take_much_memory(monkeypatch):
    with standing_in() as xp:
        monkeypatch.setattr(deferred, "EVERY", math.inf)
        monkeypatch.setattr(deferred, "MOST_BYTES", 100)
        there, made = backend.get("cuda"), []

        def results():
            for i in range(7):
                made.append(i)
                yield xp.full((i, 3), i, np.float64), "as it is", xp.asarray(np.float32(i))

        seen = []
        for a, text, b in there.readback(results()):
            assert type(a) is type(b) is np.ndarray
            np.testing.assert_array_equal(a, np.full((len(seen), 3), b))
            assert b.shape == () and text == "as it is"
            seen.append(len(made))
        assert seen == [4, 4, 4, 4, 6, 6, 7]


def test_a_trainer_gives_the_cpus_numbers(device):
    histories = []
    for where in ("cpu", "cuda"):
        ns.manual_seed(0)
        model, loss, x, y = s2()
        trainer = ns.Trainer(model.to(where), loss, optim.Adam(model.parameters()), ["accuracy"])
        histories.append(trainer.fit(x, y, epochs=3, batch_size=5, validation_data=(x, y), verbose=False))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert histories[1][name] == pytest.approx(histories[0][name], rel=1e-5), name


# What is wrong is told when the GPU is waited for


def there(values, dtype=None):
    return ns.tensor(np.asarray(values, dtype), device="cuda")


Z = [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]
MISTAKES = {
    "label": (lambda: F.cross_entropy(there(Z), there([0, 12])), ValueError, "cross_entropy: label 12 is out of range for 3 classes; pass labels from 0 to 2"),
    "negative label": (lambda: F.cross_entropy(there(Z), there([0, -1]), from_logits=True), ValueError, "cross_entropy: label -1 is"),
    "label of a short type": (lambda: F.cross_entropy(there(Z), there([0, 3], "uint8")), ValueError, "cross_entropy: label 3 is"),
    "fraction": (lambda: F.cross_entropy(there(Z), there([0.5, 1.0])), TypeError, "cross_entropy: labels must be whole numbers, got float64"),
    "none left": (lambda: F.cross_entropy(there(Z), there([1, 1]), ignore_index=1), ValueError, "cross_entropy: the weights of all labels"),
    "no weight": (lambda: F.cross_entropy(there(Z), there([1, 1]), weight=[1.0, 0.0, 1.0]), ValueError, "cross_entropy: the weights of all labels"),
    "weights": (lambda: F.cross_entropy(there(Z), there([1, 1]), weight=there([1.0, -1.0, 1.0])), ValueError, "cross_entropy: weight must hold a factor"),
    "distribution": (lambda: F.cross_entropy(there(Z), there(Z) * 2), ValueError, "cross_entropy: target of shape"),
    "logits": (lambda: F.cross_entropy(there(Z) * -2, there([0, 1])), ValueError, "cross_entropy: prediction holds -2, which is outside .0, 1., .* from_logits=True"),
    "nan": (lambda: F.cross_entropy(there([[np.nan, 1.0]]), there([0]), from_logits=True), ValueError, "cross_entropy: prediction holds nan"),
    "nan probability": (lambda: F.cross_entropy(there([[np.nan, 1.0]]), there([0])), ValueError, "cross_entropy: prediction holds nan"),
    "nll": (lambda: F.nll_loss(there(Z), there([0, 3])), ValueError, "nll_loss: label 3 is out of range"),
    "outcome": (lambda: F.binary_cross_entropy(there([0.5]), there([2.0])), ValueError, "binary_cross_entropy: target holds values outside"),
    "likelihood": (lambda: F.log_likelihood(there([0.5, -0.5])), ValueError, "log_likelihood: got a negative probability"),
    "embedding": (lambda: F.embedding(there([0, 2]), there(Z)), IndexError, "embedding: index 2 is out of range for 2 entries; pass indices from 0 to 1"),
    "negative embedding": (lambda: F.embedding(there([0, -1]), there(Z)), IndexError, "embedding: index -1 is"),
    "take": (lambda: ns.take(there(Z), there([-3], "int32"), 0), IndexError, "take: index -3 is out of range for 2"),
    "getitem": (lambda: there(Z)[:, there([3])], IndexError, "getitem: index 3 is out of range for 3"),
    "gather": (lambda: ns.take_along_axis(there(Z), there([[9], [0]]), 1), IndexError, "take_along_axis: index 9 is"),
    "norm": (lambda: clipped(np.inf), ValueError, "clip_grad_norm: the gradients' norm is inf"),
}  # fmt: skip


def clipped(value):
    p = there([1.0]).requires_grad_()
    p.grad = there([value])
    return optim.clip_grad_norm([p], 1.0)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_by_one_sentence_when_the_gpu_is_waited_for(name, device):
    call, error, words = MISTAKES[name]
    with contextlib.suppress(error):  # CuPy may wait when something is compiled
        call().numpy()
    with without_waiting():
        result = call()
    with pytest.raises(error, match=f"^{words}.* .found when the GPU was next waited for.$") as caught:
        result.numpy()
    assert "\n" not in str(caught.value)
    result.numpy()  # once


def test_lists_are_checked_before_they_are_copied(device):
    with pytest.raises(
        ValueError, match="^cross_entropy: label 12 is out of range for 3 classes; pass labels from 0 to 2$"
    ):
        F.cross_entropy(there(Z), [0, 12])
    with pytest.raises(
        IndexError, match="^embedding: index 2 is out of range for 2 entries; pass indices from 0 to 1$"
    ):
        F.embedding([0, 2], there(Z))
    backend.get("cuda").synchronize()


def test_the_first_of_several_mistakes_is_told_however_many_checks_there_were(device, monkeypatch):
    z = there(Z)
    for _ in range(3):
        F.cross_entropy(z, there([0, 1]))
    F.cross_entropy(z, there([0, 5]))
    F.embedding(there([9]), z)
    with pytest.raises(ValueError, match="label 5"):
        backend.get("cuda").synchronize()
    monkeypatch.setattr(deferred.bounds, "MOST", 10)
    calls = []

    def go_on():
        while len(calls) < 20:
            calls.append(F.cross_entropy(z, there([0, 5])))

    with pytest.raises(ValueError, match="label 5"):
        go_on()
    assert len(calls) < 10


@pytest.mark.parametrize("width", [1, 3])
def test_gradients_by_indices_out_of_range_stay_in_memory(width, device):
    if device == "standin":
        pytest.skip("NumPy adds, which keeps to its memory")
    weight = there(np.ones((5, width), "float32")).requires_grad_()
    y = F.embedding(there([0, 5, -6, 10**9]), weight)
    y.sum().backward()
    x = there(np.ones((3, 3))).requires_grad_()
    (x[there([0, 7]), there([-9, 1])].sum() + ns.take(x, there([99])).sum()).backward()
    with pytest.raises(IndexError, match="embedding: index -6"):
        weight.grad.numpy()


# Nothing is trained after a mistake


class Halving(optim.Optimizer):
    """An optimiser of a user's, without kernels."""

    def __init__(self, params, lr=0.5):
        super().__init__(params, {"lr": lr})

    def _check(self, settings):
        return settings

    def _update(self, p, g, state, step, group):
        p *= group["lr"]


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, 0.1),
    "a user's": Halving,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_no_step_is_taken_after_a_mistake_until_it_is_told(name, dtype, device):
    model = nn.Linear(3, 3).to("cuda")
    for p in model.parameters():
        p.data = p.data.astype(dtype)
    optimizer = OPTIMIZERS[name](model.parameters())
    x = there(Z, dtype)

    def step(labels):
        optimizer.zero_grad()
        F.cross_entropy(model(x), there(labels), from_logits=True).backward()
        optimizer.step()

    def state():
        arrays = [*(p.data for p in model.parameters()), *(a for s in optimizer._state for a in s.values())]
        return [backend.get("cuda").to_numpy(a).tobytes() for a in arrays]

    step([0, 1])
    before = [a.data.copy() for a in model.parameters()], state()
    with pytest.raises(ValueError, match="label 7"):  # noqa: PT012
        step([0, 7])
        step([0, 1])
        step([1, 2])
        backend.get("cuda").synchronize()
    assert state() == before[1]
    step([0, 1])
    assert state() != before[1]


def test_training_that_diverges_names_its_first_batch_and_takes_no_step_from_it_on(device, monkeypatch):
    monkeypatch.setattr(deferred, "EVERY", math.inf)
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 2), np.float32), rng.random((24, 1), np.float32)
    x[9] = 1e30  # the third batch's square is infinite
    left, said = [], []
    for where in ("cpu", "cuda"):
        ns.manual_seed(0)
        model = nn.Linear(2, 1).to(where)
        trainer = ns.Trainer(model, "mse", optim.SGD(model.parameters(), lr=0.1))
        with pytest.raises(
            RuntimeError, match="^fit: epoch 1, batch 3: the loss is no longer a finite number"
        ) as caught:
            trainer.fit(x, y, batch_size=4, shuffle=False, verbose=False)
        said.append(str(caught.value))
        left.append(np.concatenate([p.numpy().ravel() for p in model.parameters()]))
        assert trainer.history.epochs == 0
    assert said[1] == said[0] + " (found when the GPU was next waited for)"
    np.testing.assert_allclose(left[1], left[0], rtol=1e-6)


def test_what_is_written_after_an_epoch_was_found_right(device, monkeypatch):
    monkeypatch.setattr(deferred, "EVERY", math.inf)
    calls = []

    class Note(Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            calls.append(epoch)

    model = nn.Linear(2, 1).to("cuda")
    trainer = ns.Trainer(model, "mse", optim.SGD(model.parameters(), lr=1e12))
    with pytest.raises(RuntimeError, match=r"^fit: epoch \d, batch 1: "):
        trainer.fit(np.ones((4, 2)), np.zeros((4, 1)), epochs=20, batch_size=4, verbose=False, callbacks=[Note()])
    assert np.isfinite(trainer.history["loss"]).all() and len(calls) == trainer.history.epochs
    assert np.isfinite(model.weight.numpy()).all()
