"""Trains systems and small random networks, and prints a digest of the weights and the history of each: for `test_bits`.

``python -m tests.bits MODE FOLDER JOB...``: a job is a system's name or the seed of a random network; MODE is ``whole``,
``half`` (as far as the middle, where it is interrupted, with a checkpoint in FOLDER) or ``resumed`` (from there to the end).
"""

import contextlib
import functools
import hashlib
import os
import sys

import numpy as np

import nnscratch as ns
from nnscratch import nn, optim, systems
from nnscratch.systems.system import CHECKPOINT
from nnscratch.training import Checkpoint

EPOCHS = 4
FEW = 130  # samples of a system: two batches of 64, and a last one
L = optim.lr_scheduler


def system(name, mode, folder):
    """Train a system on few samples; returns its Trainer."""
    found = systems.get(name)
    train, test = type(found).data(found, False)
    found.data = lambda full: (few(train), few(test))
    found.every = 1
    settings = {"batch_size": found.batch_size, "lr": found.lr, "seed": 0, "full": False, "epochs": EPOCHS}
    trainer, train, test = found.build(settings)
    with interrupted_after(EPOCHS // 2 if mode == "half" else None):
        found.train(trainer, train, test, settings, folder, mode == "resumed", verbose=False)
    return trainer


def few(data):
    """The first samples of an array, or of each in a tuple."""
    return tuple(map(few, data)) if isinstance(data, tuple) else data[:FEW]


@contextlib.contextmanager
def interrupted_after(epochs):
    """Ctrl+C as soon as the checkpoint of that epoch is written."""
    write = ns.Trainer.save_checkpoint

    def write_and_stop(trainer, path, notes=None):
        write(trainer, path, notes)
        if len(trainer.history["seconds"]) == epochs:
            raise KeyboardInterrupt

    ns.Trainer.save_checkpoint = write_and_stop
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        ns.Trainer.save_checkpoint = write


class Drawn:
    """A random network: what it learns from, its layers, its optimiser and how it is trained, all from a seed."""

    def __init__(self, seed):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        draw, self.classes = self.choose, self.choose(2, 5, 10)
        self.samples, self.batch = draw(33, 96, 150), draw(1, 7, 32, 64)
        self.samples = min(self.samples, 40 * self.batch)
        if draw(True, False):
            self.shape = draw(1, 3, 16), draw(8, 13, 20), draw(8, 13, 20)
        else:
            self.shape = (draw(5, 100, 784),)
        self.layers = [*self.trunk(self.shape), functools.partial(nn.Softmax)]
        self.optimizer = draw(
            lambda p: optim.SGD(p, lr=0.01),
            lambda p: optim.SGD(p, lr=0.003, momentum=0.9, nesterov=True, weight_decay=1e-3),
            lambda p: optim.Adam(p),
            lambda p: optim.Adam(p, bias_correction=True),
            lambda p: optim.AdamW(p),
        )
        self.schedule = draw(
            lambda o: None,
            lambda o: L.StepLR(o, 3, 0.5),
            lambda o: L.ExponentialLR(o, 0.9),
            lambda o: L.CosineLR(o, EPOCHS * -(-self.samples // self.batch)),
            lambda o: L.LinearWarmup(o, 3, L.StepLR(o, 2, 0.5)),
        )
        self.scheduler_step = draw("epoch", "batch")
        self.settings = {"shuffle": draw(True, True, False), "accumulate": draw(1, 1, 2)}
        self.settings["validation_split"] = draw(0.0, 0.2)

    def choose(self, *among):
        """One of the arguments."""
        return among[self.rng.integers(len(among))]

    def activation(self):
        return self.choose(nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus)

    def trunk(self, shape):
        """Makers of the layers up to the logits."""
        layers = []
        if len(shape) == 3:
            for _ in range(self.choose(1, 2)):
                more, shape = self.images(shape)
                layers += more
            layers.append(nn.Flatten)
        inputs = int(np.prod(shape))
        for _ in range(self.choose(0, 1, 2)):
            outputs = self.choose(16, 128)
            layers += [functools.partial(nn.Linear, inputs, outputs), self.activation(), *self.between(outputs)]
            inputs = outputs
        return [*layers, functools.partial(nn.Linear, inputs, self.classes)]

    def between(self, features):
        """What may stand between two dense layers."""
        return self.choose(
            [],
            [functools.partial(nn.Dropout, 0.3)],
            [functools.partial(nn.BatchNorm1d, features)] if self.batch > 1 else [],
            [functools.partial(nn.LayerNorm, features)],
        )

    def images(self, shape):
        """A convolution with what comes after it, and the shape of the result."""
        channels, outputs, kernel, padding = shape[0], self.choose(4, 16, 32), self.choose(1, 3), self.choose(0, 1)
        height, width = (n + 2 * padding - kernel + 1 for n in shape[1:])
        layers = [functools.partial(nn.Conv2d, channels, outputs, kernel, padding=padding), self.activation()]
        layers += self.choose(
            [],
            [functools.partial(nn.BatchNorm2d, outputs)],
            [functools.partial(nn.GroupNorm, 2, outputs)],
            [functools.partial(nn.Dropout, 0.2)],
        )
        if min(height, width) >= 4 and self.choose(True, True, False):
            layers.append(functools.partial(self.choose(nn.MaxPool2d, nn.AvgPool2d), 2))
            height, width = height // 2, width // 2
        return layers, (outputs, height, width)


def network(seed, mode, folder):
    """Train a random network; returns its Trainer."""
    drawn, rng = Drawn(seed), np.random.default_rng([seed, 1])
    x = rng.standard_normal((drawn.samples, *drawn.shape)).astype(np.float32)
    y = rng.integers(0, drawn.classes, drawn.samples)
    ns.manual_seed(seed)
    model = nn.Sequential(*(make() for make in drawn.layers))
    optimizer = drawn.optimizer(model.parameters())
    schedule = {"scheduler": drawn.schedule(optimizer), "scheduler_step": drawn.scheduler_step}
    trainer = ns.Trainer(model, "cross_entropy", optimizer, ["accuracy"], **(schedule if schedule["scheduler"] else {}))
    path = os.path.join(folder, CHECKPOINT)
    with interrupted_after(EPOCHS // 2 if mode == "half" else None):
        trainer.fit(
            x, y, epochs=EPOCHS, batch_size=drawn.batch, verbose=False, callbacks=[Checkpoint(path)],
            resume=path if mode == "resumed" else None, **drawn.settings,
        )  # fmt: skip
    return trainer


def digest(trainer):
    """Letters that stand for the weights and what was measured on the way."""
    found = hashlib.sha256()
    for name, array in trainer.model.state_dict().items():
        found.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    found.update(repr({k: v for k, v in trainer.history.items() if k != "seconds"}).encode())
    return found.hexdigest()


def main(mode, folder, *jobs):
    """Do the jobs in this order, and print a line for each."""
    for job in jobs:
        own = os.path.join(folder, job)
        os.makedirs(own, exist_ok=True)
        with contextlib.redirect_stdout(None):
            trainer = network(int(job), mode, own) if job.isdigit() else system(job, mode, own)
        print(job, digest(trainer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
