"""A resumed run is the uninterrupted one bit for bit, or is refused by the name of what is otherwise; never another run in silence."""

import functools
import itertools
import random

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn, optim
from nnscratch.data import DataLoader, Dataset, IterableDataset, TensorDataset
from nnscratch.training import Callback, Checkpoint, EarlyStopping, ReduceLROnPlateau, Step, Supervised, Trainer

pytestmark = pytest.mark.cpu
L = optim.lr_scheduler
X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = X[:, :1].copy()
LEVEL = 0.1
GLOBAL = np.random.default_rng(3)


class Noise(nn.Module):
    """A dropout with random numbers of its own."""

    def __init__(self, p=0.5, seed=0):
        self.p, self._random = p, np.random.default_rng(seed)

    def forward(self, x):
        return x * (self._random.random(x.shape) > self.p).astype("float32") if self.training else x


class Counting(nn.Module):
    """Depends on how often it was called."""

    def __init__(self):
        self.calls, self.seen = 0, []

    def forward(self, x):
        if self.training:
            self.calls += 1
        return x * (1 / (1 + self.calls))


def make(
    layer=None,
    loss="mse",
    metrics=(),
    schedule=None,
    step=None,
    seed=0,
    lr=0.01,
    scheduler_step="epoch",
    optimizer=None,
):
    ns.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), layer or nn.Dropout(0.3), nn.Linear(4, 1))
    if optimizer is None:
        optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    else:
        optimizer = optimizer(model.parameters())
    if step is not None:
        return Trainer(step(model, loss, optimizer, metrics))
    settings = {} if schedule is None else {"scheduler": schedule(optimizer), "scheduler_step": scheduler_step}
    return Trainer(model, loss, optimizer, metrics, **settings)


def bits(trainer):
    history = {k: v for k, v in trainer.history.items() if k != "seconds"}
    return {k: v.tobytes() for k, v in trainer.model.state_dict().items()}, repr(history)


def fit(trainer, x=X, y=Y, epochs=4, **settings):
    trainer.fit(x, y, epochs, **{"batch_size": 5, "verbose": False, **settings})
    return trainer


def run(tmp_path, build, change=None):
    """The bits of an uninterrupted run, and of one resumed after two epochs as `change` says. `build` returns a Trainer and settings."""
    trainer, settings = build()
    whole = bits(fit(trainer, **settings))
    trainer, settings = build()
    callbacks = [*settings.pop("callbacks", ()), Checkpoint(tmp_path / "run")]
    fit(trainer, epochs=2, callbacks=callbacks, **settings)
    trainer, settings = (change or build)()
    return whole, bits(fit(trainer, resume=tmp_path / "run", **settings))


class Weighted(Supervised):
    """A step with a setting of its own."""

    alpha = 1.0

    def update(self, *batch):
        return super().update(*batch)


class Other(Supervised):
    pass


def weighted(alpha):
    def build(*arguments):
        step = Weighted(*arguments)
        step.alpha = alpha
        return step

    return build


def frozen(trainer, part=0):
    trainer.model[part].requires_grad_(False)
    return trainer


def evaluating(trainer, part=1):
    trainer.model[part].eval()
    return trainer


def noisy(amount, seed=0):
    source = np.random.default_rng(seed)
    return lambda x: x + amount * source.normal(size=x.shape).astype("float32")


class Listed:
    """An augmentation with settings in a table."""

    def __init__(self, factor):
        self.table = {"factors": [1.0, factor]}

    def __call__(self, x):
        return x * self.table["factors"][1]


class Vectors(Dataset):
    def __init__(self, factor=1.0):
        self.factor = factor

    def __getitem__(self, index):
        return X[index] * self.factor, Y[index]

    def __len__(self):
        return len(X)


def loader(data=None, batch_size=5, **settings):
    return DataLoader(TensorDataset(X, Y) if data is None else data, batch_size, shuffle=True, **settings)


#: What a run depends on: how it began, how it is resumed, and what the refusal names.
OPTIMIZERS = {
    "dampened": lambda p: optim.SGD(p, 0.01, 0.9, dampening=0.2),
    "amsgrad": lambda p: optim.AdamW(p, 0.01, bias_correction=True, amsgrad=True),
    "RMSprop": lambda p: optim.RMSprop(p, centered=True, momentum=0.5),
    "Adagrad": lambda p: optim.Adagrad(p, lr_decay=0.1, initial_accumulator_value=0.1),
    "NAdam": optim.NAdam,
}
SCHEDULES = {
    "sequence": lambda o: L.SequentialLR(o, [L.LinearLR(o, total_iters=3), L.CosineAnnealingLR(o, 9)], [3]),
    "one cycle": lambda o: L.OneCycleLR(o, 0.1, 20),
    "function": lambda o: L.LambdaLR(o, lambda step: 1 / (1 + step)),
    "restarts": lambda o: L.CosineAnnealingWarmRestarts(o, 3),
    "milestones": lambda o: L.MultiStepLR(o, [4, 11], 0.5),
}


@pytest.mark.parametrize("name", [*OPTIMIZERS, *SCHEDULES])
def test_a_resumed_run_goes_on_by_each_optimiser_and_schedule(name, tmp_path):
    def build():
        optimizer, schedule = OPTIMIZERS.get(name), SCHEDULES.get(name)
        return make(loss=nn.HuberLoss(), optimizer=optimizer, schedule=schedule, scheduler_step="batch"), {}

    whole, resumed = run(tmp_path, build)
    assert whole == resumed


OTHER = {
    "milestones": (
        lambda: (make(schedule=lambda o: L.MultiStepLR(o, [1, 3])), {}), lambda: (make(schedule=lambda o: L.MultiStepLR(o, [1, 2])), {}), "milestones.1 3, got 2",
    ),
    "a schedule in a sequence": (
        lambda: (make(schedule=lambda o: L.SequentialLR(o, [L.ExponentialLR(o, 0.5)], [])), {}),
        lambda: (make(schedule=lambda o: L.SequentialLR(o, [L.ExponentialLR(o, 0.4)], [])), {}),
        "schedulers.0.gamma 0.5, got 0.4",
    ),
    "a loss's delta": (lambda: (make(loss=nn.HuberLoss()), {}), lambda: (make(loss=nn.HuberLoss(delta=2.0)), {}), "loss.delta 1.0, got 2.0"),
    "gamma": (lambda: (make(schedule=lambda o: L.StepLR(o, 1, 0.5)), {}), lambda: (make(schedule=lambda o: L.StepLR(o, 1, 0.4)), {}), "gamma 0.5, got 0.4"),
    "kind of schedule": (
        lambda: (make(schedule=lambda o: L.ExponentialLR(o, 0.5)), {}), lambda: (make(schedule=lambda o: L.StepLR(o, 1, 0.5)), {}), "state is of 'ExponentialLR'",
    ),
    "warm-up": (
        lambda: (make(schedule=lambda o: L.LinearWarmup(o, 3)), {}), lambda: (make(schedule=lambda o: L.LinearWarmup(o, 5)), {}), "steps 3, got 5",
    ),
    "schedule within": (
        lambda: (make(schedule=lambda o: L.LinearWarmup(o, 3, L.StepLR(o, 1, 0.5))), {}),
        lambda: (make(schedule=lambda o: L.LinearWarmup(o, 3, L.StepLR(o, 1, 0.4))), {}),
        "then.gamma 0.5, got 0.4",
    ),
    "when the schedule steps": (
        lambda: (make(schedule=lambda o: L.StepLR(o, 1, 0.5)), {}),
        lambda: (make(schedule=lambda o: L.StepLR(o, 1, 0.5), scheduler_step="batch"), {}),
        "scheduler_step epoch, got batch",
    ),
    "loss": (lambda: (make(), {}), lambda: (make(loss="l1"), {}), "loss mse_loss, got l1_loss"),
    "a loss's settings": (
        lambda: (make(loss=functools.partial(lambda p, t, by: F.mse_loss(p, t) * by, by=2.0)), {}),
        lambda: (make(loss=functools.partial(lambda p, t, by: F.mse_loss(p, t) * by, by=3.0)), {}),
        "loss.by 2.0, got 3.0",
    ),
    "a lambda": (
        lambda: (make(loss=lambda p, t: F.mse_loss(p, t)), {}), lambda: (make(loss=lambda p, t: F.l1_loss(p, t)), {}), "loss <lambda>",
    ),
    "metrics": (lambda: (make(), {}), lambda: (make(metrics=[ns.metrics.FunctionMetric(lambda p, t: 0.0, "own")]), {}), "metrics.own nothing, got"),
    "class of the step": (lambda: (make(step=Weighted), {}), lambda: (make(step=Other), {}), "step Weighted, got Other"),
    "a step's setting": (lambda: (make(step=weighted(0.5)), {}), lambda: (make(step=weighted(0.7)), {}), "alpha 0.5, got 0.7"),
    "a layer's setting": (lambda: (make(nn.Dropout(0.3)), {}), lambda: (make(nn.Dropout(0.4)), {}), "model.1.p 0.3, got 0.4"),
    "kind of layer": (lambda: (make(nn.ReLU()), {}), lambda: (make(nn.Tanh()), {}), "model.1 ReLU, got Tanh"),
    "frozen parameters": (lambda: (frozen(make()), {}), lambda: (make(), {}), "model.0.weight.requires_grad False, got True"),
    "evaluation mode": (lambda: (evaluating(make()), {}), lambda: (make(), {}), "model.1.training False, got True"),
    "inputs": (lambda: (make(), {}), lambda: (make(), {"x": X + 1}), r"data\[0\] \(24, 3\) float32"),
    "one target": (lambda: (make(), {}), lambda: (make(), {"y": np.where(np.arange(24)[:, None] == 7, 9, Y)}), r"data\[1\] \(24, 1\)"),
    "validation data": (
        lambda: (make(), {"validation_data": (X, Y)}), lambda: (make(), {"validation_data": (X * 2, Y)}), r"validation_data\[0\]",
    ),
    "no validation": (lambda: (make(), {"validation_data": (X, Y)}), lambda: (make(), {}), "validation_samples 24, got None"),
    "batch size": (lambda: (make(), {}), lambda: (make(), {"batch_size": 6}), "batch_size 5, got 6"),
    "order": (lambda: (make(), {}), lambda: (make(), {"shuffle": False}), "shuffle True, got False"),
    "last batch": (lambda: (make(), {}), lambda: (make(), {"drop_last": True}), "drop_last False, got True"),
    "accumulation": (lambda: (make(), {}), lambda: (make(), {"accumulate": 2}), "accumulate 1, got 2"),
    "augmentation": (
        lambda: (make(), {"augment": noisy(0.1)}), lambda: (make(), {"augment": noisy(0.2)}), "augment.amount 0.1, got 0.2",
    ),
    "an augmentation's table": (
        lambda: (make(), {"augment": Listed(0.9)}), lambda: (make(), {"augment": Listed(0.8)}), "augment.table.factors.1 0.9, got 0.8",
    ),
    "a loader's rest": (
        lambda: (make(), {"x": loader(), "y": None}), lambda: (make(), {"x": loader(drop_last=True), "y": None}), "samples 24, got 20",
    ),
    "a loader's arrays": (
        lambda: (make(), {"x": loader(), "y": None}), lambda: (make(), {"x": loader(TensorDataset(X, Y + 1)), "y": None}), "data.dataset.tensors.1",
    ),
    "a data set's setting": (
        lambda: (make(), {"x": loader(Vectors()), "y": None}), lambda: (make(), {"x": loader(Vectors(2.0)), "y": None}), "data.dataset.factor 1.0, got 2.0",
    ),
    "patience": (
        lambda: (make(), {"callbacks": [EarlyStopping("loss", patience=9)]}),
        lambda: (make(), {"callbacks": [EarlyStopping("loss", patience=1)]}),
        "callbacks.0.patience 9, got 1",
    ),
    "factor on a plateau": (
        lambda: (make(), {"callbacks": [ReduceLROnPlateau("loss", factor=0.5)]}),
        lambda: (make(), {"callbacks": [ReduceLROnPlateau("loss", factor=0.4)]}),
        "callbacks.0.factor 0.5, got 0.4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_a_run_is_not_resumed_with_other_settings(name, tmp_path):
    build, change, message = OTHER[name]
    whole, resumed = run(tmp_path, build)
    assert whole == resumed
    trainer, settings = change()
    before = bits(trainer)[0], repr(trainer.optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        fit(trainer, resume=tmp_path / "run", **settings)
    assert (bits(trainer)[0], repr(trainer.optimizer.state_dict())) == before


def test_a_course_may_be_longer_where_the_run_is(tmp_path):
    def build(steps):
        return make(schedule=lambda o: L.CosineLR(o, steps))

    fit(build(4), epochs=2, callbacks=[Checkpoint(tmp_path / "run")])
    with pytest.raises(ValueError, match="^resume: .* steps 4, got 8"):
        fit(build(8), epochs=2, resume=tmp_path / "run")
    assert fit(build(8), epochs=4, resume=tmp_path / "run").history.epochs == 4


def legacy(x):
    return x + 0.1 * np.random.normal(size=x.shape).astype("float32")  # noqa: NPY002


def pythons(x):
    return x * random.random()


def from_global(x):
    return x + LEVEL * GLOBAL.normal(size=x.shape).astype("float32")


class Slots:
    __slots__ = ("source",)

    def __init__(self, seed):
        self.source = np.random.RandomState(seed)

    def __call__(self, x):
        return x * float(self.source.rand())


class OfTheClass:
    source = np.random.default_rng(5)

    def change(self, x):
        return x * self.source.random(dtype=np.float32)


class Mixing:
    """Mixes in the batch before, and counts."""

    def __init__(self):
        self.before, self.count = None, 0

    def __call__(self, x):
        before, self.before = self.before, x.copy()
        self.count += 1
        return x if before is None or len(before) != len(x) else x + before / self.count


def counting():
    count = 0

    def augment(x):
        nonlocal count
        count += 1
        return x / count

    return augment


def default(x, source=random.Random(4)):  # noqa: B008
    return x * source.random()


HIDDEN = {
    "NumPy's global numbers": lambda seed: legacy,
    "Python's global numbers": lambda seed: pythons,
    "a global": lambda seed: from_global,
    "a closure": lambda seed: noisy(0.1, seed),
    "a partial": lambda seed: functools.partial(
        lambda source, x: x * source.random(dtype=np.float32), np.random.default_rng(seed)
    ),
    "a bound method of a class's": lambda seed: OfTheClass().change,
    "slots": Slots,
    "a default": lambda seed: default,
    "nested": lambda seed: ns.data.Compose([noisy(0.1, seed), functools.wraps(print)(noisy(0.2, seed + 1))]),
    "a batch before": lambda seed: Mixing(),
    "a count": lambda seed: counting(),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_an_augmentations_state_is_restored_wherever_it_hides(name, tmp_path):
    sources = GLOBAL, OfTheClass.source
    states = [s.bit_generator.state for s in sources]

    def begin(seed):
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        default.__defaults__[0].seed(4)
        for source, state in zip(sources, states, strict=True):
            source.bit_generator.state = state
        return make(seed=seed), {"augment": HIDDEN[name](seed)}

    try:
        whole, resumed = run(tmp_path, lambda: begin(1), lambda: begin(2))
        assert whole == resumed
    finally:
        begin(0)


@pytest.mark.parametrize("layer", [Noise, Counting])
def test_a_layers_own_state_is_restored(layer, tmp_path):
    whole, resumed = run(tmp_path, lambda: (make(layer()), {}), lambda: (make(layer(), seed=5), {}))
    assert whole == resumed


def test_a_steps_own_numbers_are_restored(tmp_path):
    class Annealed(Supervised):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.temperature, self.mean = 1.0, np.zeros(1)

        def update(self, x, y):
            self.temperature *= 0.9
            self.mean = 0.9 * self.mean + 0.1
            return super().update(x * self.temperature * float(self.mean[0]), y)

    whole, resumed = run(tmp_path, lambda: (make(step=Annealed), {}))
    assert whole == resumed


def test_a_callbacks_own_generator_is_restored(tmp_path):
    class Shaken(Callback):
        def __init__(self, seed):
            self.source = np.random.default_rng(seed)

        def on_epoch_end(self, trainer, epoch, logs):
            trainer.optimizer.lr = 0.01 * self.source.random()

    def build(seed):
        return make(), {"callbacks": [Shaken(seed)]}

    whole, resumed = run(tmp_path, lambda: build(0), lambda: build(1))
    assert whole == resumed


def test_another_kind_of_generator_is_refused(tmp_path):
    def build(kind):
        source = np.random.Generator(kind(0))
        return make(), {"augment": lambda x: x * source.random(dtype=np.float32)}

    with pytest.raises(ValueError, match=r"^resume: .* had another augmentation"):
        run(tmp_path, lambda: build(np.random.PCG64), lambda: build(np.random.MT19937))


def test_what_no_checkpoint_can_hold_is_refused(tmp_path):
    def iterator():
        factors = itertools.cycle([1.0, 0.5, 0.25])
        return make(), {"augment": lambda x: x * next(factors)}

    def growing():
        seen = {}
        return make(), {"augment": lambda x: x * len(seen.setdefault(len(seen), {len(seen), "a"}))}

    for build in (iterator, growing):
        with pytest.raises(ValueError, match=r"^resume: augment\.\S+ changes as the run goes on"):
            run(tmp_path, build)


def test_what_changes_nothing_may_change(tmp_path):
    class Look(Callback):
        pass

    class Cached(nn.Module):
        """Keeps what it saw last."""

        def forward(self, x):
            self.last, self.shape = x.numpy().copy(), x.shape
            return x

    def build(seed, workers, callbacks=()):
        trainer = make(Cached(), seed=seed)
        if seed:
            trainer.evaluate(X, Y)
        return trainer, {"x": loader(num_workers=workers), "y": None, "callbacks": callbacks}

    whole, resumed = run(tmp_path, lambda: build(0, 0), lambda: build(1, 2, [Look()]))
    assert whole == resumed


def test_steps_and_streams_resume(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return ((x + GLOBAL.normal(), y) for x, y in zip(X, Y, strict=True))

    class Own(Step):
        def __init__(self, seed):
            ns.manual_seed(seed)
            self.model, self.noise = nn.Linear(3, 1), np.random.default_rng(seed)
            self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)

        def update(self, x, y):
            loss = F.mse_loss(self.model(x * self.noise.random()), y)
            self.minimize(loss, self.optimizer, len(x))
            return {"loss": loss}

    state = GLOBAL.bit_generator.state

    def build(seed):
        GLOBAL.bit_generator.state = state
        return Trainer(Own(seed)), {"x": DataLoader(Stream(), 5), "y": None}

    whole, resumed = run(tmp_path, lambda: build(0), lambda: build(1))
    assert whole == resumed
