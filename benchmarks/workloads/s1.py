"""S1: the 3-5-1 network of sigmoids, mean squared error, gradient descent, all 100 samples at once."""

from functools import partial

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import Workload

BATCH, RATE = 100, 0.1


def arrays(quick):
    """Normal inputs, uniform targets, normal weights."""
    rng = np.random.default_rng(1)
    shapes = (5, 3), (5,), (1, 5), (1,)
    weights = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    batch = rng.standard_normal((BATCH, 3), dtype=np.float32), rng.random((BATCH, 1), dtype=np.float32)
    return weights, [batch]


def network(nn):
    """The network by the layers of nnscratch or of PyTorch, whose names are the same."""
    return nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 1), nn.Sigmoid())


def in_nnscratch(weights, batches, captured=False):
    from nnscratch import functional as F
    from nnscratch import nn, optim

    peer = peers.load("nnscratch")
    model = peer.fill(network(nn), weights)
    return peer.train(model, F.mse_loss, optim.SGD(model.parameters(), lr=RATE), batches, captured)


def in_torch(weights, batches):
    from torch import nn, optim

    peer = peers.load("torch")
    model = peer.fill(network(nn), weights)
    return peer.train(model, nn.functional.mse_loss, optim.SGD(model.parameters(), lr=RATE, fused=True), batches)


def in_jax(weights, batches):
    import jax

    peer = peers.load("jax")

    def model(parameters, x):
        w1, b1, w2, b2 = parameters
        return jax.nn.sigmoid(jax.nn.sigmoid(x @ w1.T + b1) @ w2.T + b2)

    return peer.train(model, weights, lambda p, y: ((p - y) ** 2).mean(), peer.sgd(RATE), batches)


def in_dezero(weights, batches):
    import dezero.functions as F
    import dezero.layers as L
    from dezero import Model, optimizers

    class Net(Model):
        def __init__(self):
            super().__init__()
            self.l0, self.l1 = L.Linear(5, in_size=3), L.Linear(1, in_size=5)

        def forward(self, x):
            return F.sigmoid(self.l1(F.sigmoid(self.l0(x))))

    peer = peers.load("dezero")
    return peer.train(peer.fill(Net(), weights), F.mean_squared_error, optimizers.SGD(lr=RATE), batches)


def in_tinygrad(weights, batches):
    from tinygrad.nn.optim import SGD

    peer = peers.load("tinygrad")
    parameters = peer.weights(weights)

    def model(parameters, x):
        w1, b1, w2, b2 = parameters
        return x.linear(w1.T, b1).sigmoid().linear(w2.T, b2).sigmoid()

    return peer.train(model, parameters, lambda p, y: ((p - y) ** 2).mean(), SGD(parameters, lr=RATE), batches)


WORKLOADS = [
    Workload(
        "s1",
        f"S1: 3-5-1, sigmoid, MSE, gradient descent, batch {BATCH}: a training step",
        arrays,
        {
            "nnscratch": in_nnscratch,
            "nnscratch captured": partial(in_nnscratch, captured=True),
            "torch": in_torch,
            "jax": in_jax,
            "dezero": in_dezero,
            "tinygrad": in_tinygrad,
        },
        [
            *roofline.linear(BATCH, 3, 5, first=True),
            *roofline.activation(BATCH * 5),
            *roofline.linear(BATCH, 5, 1),
            *roofline.activation(BATCH),
            *roofline.loss(BATCH),
            *roofline.sgd(26),
        ],
    )
]
