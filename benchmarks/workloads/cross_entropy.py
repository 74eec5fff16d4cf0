"""Softmax cross-entropy of logits and labels: the loss and its gradient."""

from functools import partial

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import Workload

SIZES = (64, 10), (2048, 1000)


def arrays(quick, shape):
    """Normal logits, random labels."""
    rng = np.random.default_rng(7)
    return rng.standard_normal(shape, dtype=np.float32), rng.integers(0, shape[1], shape[0])


def in_nnscratch(logits, labels):
    import nnscratch as ns

    x, y = ns.tensor(logits, requires_grad=True), ns.tensor(labels)

    def step():
        x.grad = None
        value = ns.functional.cross_entropy(x, y, from_logits=True)
        value.backward()
        return value, x.grad

    return step


def in_torch(logits, labels):
    import torch

    x, y = torch.tensor(logits, requires_grad=True), torch.tensor(labels)

    def step():
        x.grad = None
        value = torch.nn.functional.cross_entropy(x, y)
        value.backward()
        return value, x.grad

    return step


def in_jax(logits, labels):
    import jax
    import jax.numpy as jnp

    x, y = jnp.array(logits), jnp.array(labels)
    whole = jax.jit(jax.value_and_grad(peers.load("jax").cross_entropy))
    return lambda: whole(x, y)


def in_dezero(logits, labels):
    import dezero.functions as F
    from dezero import Variable

    x = Variable(logits)

    def step():
        x.cleargrad()
        value = F.softmax_cross_entropy(x, labels)
        value.backward()
        return value, x.grad

    return step


WORKLOADS = [
    Workload(
        f"cross_entropy-{n}x{classes}",
        f"softmax cross-entropy of logits ({n}, {classes}): loss and gradient",
        partial(arrays, shape=(n, classes)),
        {"nnscratch": in_nnscratch, "torch": in_torch, "jax": in_jax, "dezero": in_dezero},
        roofline.loss(n * classes),
    )
    for n, classes in SIZES
]
