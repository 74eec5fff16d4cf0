"""An epoch of S2 on MNIST with all that belongs to it: a new order of the images, batches, the mean of the losses.

The images are those of the full set where ``$NNSCRATCH_DATA`` has it; else the sample that ships with nnscratch, six
times over, which are as many.
"""

import os
from functools import partial
from time import perf_counter

import numpy as np

from benchmarks import peers
from benchmarks.workloads import Run, Workload, s2

BATCH, RATE = 64, 1e-3
QUICK = 1280  # images
OUTSIDE = "share outside forward, backward and step"


def arrays(quick):
    """S2's weights, and MNIST's images and labels."""
    from nnscratch import data

    full = bool(os.environ.get("NNSCRATCH_DATA"))
    (x, y), _ = data.mnist(sample=not full)
    if not full:
        x, y = np.tile(x, (6, 1, 1, 1)), np.tile(y, 6)
    if quick:
        x, y = x[:QUICK], y[:QUICK]
    return s2.initial(np.random.default_rng(3)), x, y


class Clock:
    """Adds up the seconds of the functions it wraps, and counts their calls."""

    def __init__(self):
        self.restart()

    def restart(self):
        """Begin anew."""
        self.seconds, self.calls = 0.0, 0

    def wrap(self, function):
        """The function, timed."""

        def timed(*args, **kwargs):
            start = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += perf_counter() - start
                self.calls += 1

        return timed


def in_nnscratch(weights, x, y):
    import nnscratch as ns

    clock = Clock()

    class Timed(ns.nn.Module):
        def __init__(self, model):
            self.model = model

        def forward(self, x):
            return clock.wrap(self.model)(x)

    class Begin(ns.training.Callback):
        def on_fit_begin(self, trainer):
            clock.restart()  # what came before it was the data's check

    model = Timed(peers.load("nnscratch").fill(s2.network(ns.nn), weights))
    optimizer = ns.optim.Adam(model.parameters(), lr=RATE, bias_correction=True)
    optimizer.step = clock.wrap(optimizer.step)
    ns.Tensor.backward = clock.wrap(ns.Tensor.backward)
    loss = clock.wrap(partial(ns.functional.cross_entropy, from_logits=True))
    trainer = ns.Trainer(model, loss, optimizer)
    shares = []

    def fit(x, y, shuffle=True):
        return trainer.fit(x, y, batch_size=BATCH, shuffle=shuffle, callbacks=[Begin()], verbose=False)

    def step():
        history = fit(x, y)
        if clock.calls != 4 * -(-len(x) // BATCH):
            raise RuntimeError("epoch: Trainer.fit no longer calls model, loss, backward and step once a batch each")
        shares.append(1 - clock.seconds / sum(history["seconds"]))
        return history["loss"]

    return Run(
        step,
        show=np.array,
        check=lambda: [np.array(fit(x[: 5 * BATCH], y[: 5 * BATCH], shuffle=False)["loss"])],
        notes=lambda: {OUTSIDE: float(np.median(shares))},
    )


def in_torch(weights, x, y):
    import torch

    model = peers.load("torch").fill(s2.network(torch.nn), weights).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    x, y = torch.tensor(x), torch.tensor(y)

    def fit(order):
        total = torch.zeros(())
        for some in order.split(BATCH):
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(
                model(x[some].contiguous(memory_format=torch.channels_last)), y[some]
            )
            value.backward()
            optimizer.step()
            total += value.detach() * len(some)
        return (total / len(order),)

    return Run(
        lambda: fit(torch.randperm(len(x))),
        check=lambda: [value.numpy() for value in fit(torch.arange(5 * BATCH))],
    )


WORKLOADS = [
    Workload(
        "epoch",
        "an epoch of S2 on 60,000 images, data handling included",
        arrays,
        {"nnscratch": in_nnscratch, "torch channels_last": in_torch},
        rounds=2,
        warm=False,
    )
]
