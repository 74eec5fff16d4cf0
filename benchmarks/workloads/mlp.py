"""The MLP 784-128-10 with ReLU and cross-entropy, Adam, batch 64."""

from functools import partial

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import Workload, glorot, labelled

BATCH, RATE = 64, 1e-3


def arrays(quick):
    """Uniform images, random labels, Glorot's weights."""
    rng = np.random.default_rng(2)
    weights = [glorot(rng, (128, 784)), np.zeros(128, np.float32), glorot(rng, (10, 128)), np.zeros(10, np.float32)]
    return weights, labelled(rng, rng.random((BATCH, 784), dtype=np.float32))


def network(nn):
    """The network by the layers of nnscratch or of PyTorch, whose names are the same."""
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def in_nnscratch(weights, batches, captured=False):
    from nnscratch import functional as F
    from nnscratch import nn, optim

    peer = peers.load("nnscratch")
    model = peer.fill(network(nn), weights)
    adam = optim.Adam(model.parameters(), lr=RATE, bias_correction=True)
    return peer.train(model, lambda p, y: F.cross_entropy(p, y, from_logits=True), adam, batches, captured)


def in_torch(weights, batches):
    from torch import nn, optim

    peer = peers.load("torch")
    model = peer.fill(network(nn), weights)
    adam = optim.Adam(model.parameters(), lr=RATE, fused=True)
    return peer.train(model, nn.functional.cross_entropy, adam, batches)


def in_jax(weights, batches):
    import jax

    peer = peers.load("jax")

    def model(parameters, x):
        w1, b1, w2, b2 = parameters
        return jax.nn.relu(x @ w1.T + b1) @ w2.T + b2

    return peer.train(model, weights, peer.cross_entropy, peer.adam(RATE), batches)


def in_dezero(weights, batches):
    import dezero.functions as F
    import dezero.layers as L
    from dezero import Model, optimizers

    class Net(Model):
        def __init__(self):
            super().__init__()
            self.l0, self.l1 = L.Linear(128, in_size=784), L.Linear(10, in_size=128)

        def forward(self, x):
            return self.l1(F.relu(self.l0(x)))

    peer = peers.load("dezero")
    return peer.train(peer.fill(Net(), weights), F.softmax_cross_entropy, optimizers.Adam(alpha=RATE), batches)


def in_tinygrad(weights, batches):
    from tinygrad.nn.optim import Adam

    peer = peers.load("tinygrad")
    parameters = peer.weights(weights)

    def model(parameters, x):
        w1, b1, w2, b2 = parameters
        return x.linear(w1.T, b1).relu().linear(w2.T, b2)

    def loss(prediction, y):
        return prediction.sparse_categorical_crossentropy(y)

    return peer.train(model, parameters, loss, Adam(parameters, lr=RATE), batches)


WORKLOADS = [
    Workload(
        "mlp",
        f"MLP 784-128-10, ReLU, cross-entropy, Adam, batch {BATCH}: a training step",
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
            *roofline.linear(BATCH, 784, 128, first=True),
            *roofline.activation(BATCH * 128),
            *roofline.linear(BATCH, 128, 10),
            *roofline.loss(BATCH * 10),
            *roofline.adam(784 * 128 + 128 + 128 * 10 + 10),
        ],
    )
]
