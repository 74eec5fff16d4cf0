"""S2, the documents' convolutional network for MNIST: cross-entropy, Adam, batch 64."""

from functools import partial
from math import prod

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import Workload, glorot, labelled

BATCH, RATE = 64, 1e-3
SHAPES = (32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (64, 1600), (64,), (10, 64), (10,)


def initial(rng):
    """Glorot's weights, and biases of 0."""
    return [np.zeros(shape, np.float32) if len(shape) == 1 else glorot(rng, shape) for shape in SHAPES]


def arrays(quick, batch=BATCH):
    """Uniform images, random labels, Glorot's weights."""
    rng = np.random.default_rng(3)
    return initial(rng), labelled(rng, rng.random((batch, 1, 28, 28), dtype=np.float32))


# The network, in each framework


def network(nn):
    """The network by the layers of nnscratch or of PyTorch, whose names are the same."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def jax_network(layout):
    """The function (parameters, images) to logits, in the layout ``"NCHW"`` or ``"NHWC"``."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    order = ("NCHW", "OIHW", "NCHW") if layout == "NCHW" else ("NHWC", "HWIO", "NHWC")
    window = (1, 1, 2, 2) if layout == "NCHW" else (1, 2, 2, 1)

    def block(x, w, b):
        y = lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=order)
        y = jax.nn.relu(y + (b[:, None, None] if layout == "NCHW" else b))
        return lax.reduce_window(y, -jnp.inf, lax.max, window, window, "VALID")

    def model(parameters, x):
        w1, b1, w2, b2, w3, b3, w4, b4 = parameters
        y = block(block(x, w1, b1), w2, b2).reshape(len(x), -1)
        return jax.nn.relu(y @ w3.T + b3) @ w4.T + b4

    return model


def jax_weights(weights, layout):
    """The weights in that layout; the dense layer reads the features in another order then."""
    if layout == "NCHW":
        return weights
    w1, b1, w2, b2, w3, *rest = weights
    w3 = w3.reshape(64, 64, 5, 5).transpose(0, 2, 3, 1).reshape(64, -1)
    return [w1.transpose(2, 3, 1, 0), b1, w2.transpose(2, 3, 1, 0), b2, w3, *rest]


def jax_images(x, layout):
    return x if layout == "NCHW" else x.transpose(0, 2, 3, 1)


def dezero_network(weights):
    import dezero.functions as F
    import dezero.layers as L
    from dezero import Model

    class Net(Model):
        def __init__(self):
            super().__init__()
            self.l0, self.l1 = L.Conv2d(32, 3, in_channels=1), L.Conv2d(64, 3, in_channels=32)
            self.l2, self.l3 = L.Linear(64, in_size=1600), L.Linear(10, in_size=64)

        def forward(self, x):
            x = F.pooling(F.relu(self.l0(x)), 2, 2)
            x = F.pooling(F.relu(self.l1(x)), 2, 2)
            return self.l3(F.relu(self.l2(F.reshape(x, (len(x), -1)))))

    return peers.load("dezero").fill(Net(), weights)


def tinygrad_network(parameters, x):
    w1, b1, w2, b2, w3, b3, w4, b4 = parameters
    x = x.conv2d(w1, b1).relu().max_pool2d((2, 2))
    x = x.conv2d(w2, b2).relu().max_pool2d((2, 2))
    return x.flatten(1).linear(w3.T, b3).relu().linear(w4.T, b4)


# A training step, in each framework


def in_nnscratch(weights, batches, captured=False):
    from nnscratch import functional as F
    from nnscratch import nn, optim

    peer = peers.load("nnscratch")
    model = peer.fill(network(nn), weights)
    adam = optim.Adam(model.parameters(), lr=RATE, bias_correction=True)
    return peer.train(model, partial(F.cross_entropy, from_logits=True), adam, batches, captured)


def in_torch(weights, batches, layout):
    from torch import nn, optim

    peer = peers.load("torch")
    model = peer.fill(network(nn), weights)
    adam = optim.Adam(model.parameters(), lr=RATE, fused=True)
    return peer.train(model, nn.functional.cross_entropy, adam, batches, layout)


def in_jax(weights, batches, layout):
    peer = peers.load("jax")
    batches = [(jax_images(x, layout), y) for x, y in batches]
    weights = jax_weights(weights, layout)
    return peer.train(jax_network(layout), weights, peer.cross_entropy, peer.adam(RATE), batches)


def in_dezero(weights, batches):
    import dezero.functions as F
    from dezero import optimizers

    model, adam = dezero_network(weights), optimizers.Adam(alpha=RATE)
    return peers.load("dezero").train(model, F.softmax_cross_entropy, adam, batches)


def in_tinygrad(weights, batches):
    from tinygrad.nn.optim import Adam

    peer = peers.load("tinygrad")
    parameters = peer.weights(weights)

    def loss(prediction, y):
        return prediction.sparse_categorical_crossentropy(y)

    return peer.train(tinygrad_network, parameters, loss, Adam(parameters, lr=RATE), batches)


def layers(n):
    """The operations of each layer, forward and backward, for a batch of `n`."""
    first, pooled, second, features = (n, 32, 26, 26), (n, 32, 13, 13), (n, 64, 11, 11), (n, 64, 5, 5)
    return [
        roofline.convolution((n, 1, 28, 28), SHAPES[0], first, first=True),
        roofline.activation(prod(first)),
        roofline.pooling(prod(first), prod(pooled)),
        roofline.convolution(pooled, SHAPES[2], second),
        roofline.activation(prod(second)),
        roofline.pooling(prod(second), prod(features)),
        roofline.linear(n, 1600, 64),
        roofline.activation(n * 64),
        roofline.linear(n, 64, 10),
    ]


def operations(n):
    """The operations of a training step with a batch of `n`."""
    step = [operation for layer in layers(n) for operation in layer]
    return step + roofline.loss(n * 10) + roofline.adam(sum(map(prod, SHAPES)))


WORKLOADS = [
    Workload(
        "s2",
        f"S2: Conv 32, pool, Conv 64, pool, Dense 64, Dense 10; cross-entropy, Adam, batch {BATCH}: a training step",
        arrays,
        {
            "nnscratch": in_nnscratch,
            "nnscratch captured": partial(in_nnscratch, captured=True),
            "torch channels_last": partial(in_torch, layout="channels_last"),
            "torch NCHW": partial(in_torch, layout="NCHW"),
            "jax NCHW": partial(in_jax, layout="NCHW"),
            "jax NHWC": partial(in_jax, layout="NHWC"),
            "dezero": in_dezero,
            "tinygrad": in_tinygrad,
        },
        operations(BATCH),
    )
]
