"""A step of Adam on 10 million parameters, whose gradients are there."""

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import Workload

TENSORS, SHAPE, RATE = 10, (1000, 1000), 1e-3


def arrays(quick):
    """Normal parameters and gradients."""
    rng = np.random.default_rng(9)
    return tuple([rng.standard_normal(SHAPE, dtype=np.float32) for _ in range(TENSORS)] for _ in range(2))


def leaves(framework, parameters, gradients):
    """Tensors with gradients; nnscratch's and PyTorch's words for it are the same."""
    found = [framework.tensor(a, requires_grad=True) for a in parameters]
    for p, g in zip(found, gradients, strict=True):
        p.grad = framework.tensor(g)
    return found


def stepping(optimizer, parameters):
    """A function that does one step."""

    def step():
        optimizer.step()
        return parameters

    return step


def in_nnscratch(parameters, gradients):
    import nnscratch as ns

    parameters = leaves(ns, parameters, gradients)
    return stepping(ns.optim.Adam(parameters, lr=RATE, bias_correction=True), parameters)


def in_torch(parameters, gradients):
    import torch

    parameters = leaves(torch, parameters, gradients)
    return stepping(torch.optim.Adam(parameters, lr=RATE, fused=True), parameters)


def in_jax(parameters, gradients):
    import jax
    import jax.numpy as jnp

    begin, update = peers.load("jax").adam(RATE)
    parameters, gradients = ([jnp.array(a) for a in side] for side in (parameters, gradients))
    state, compiled = begin(parameters), jax.jit(update, donate_argnums=(0, 2))

    def step():
        nonlocal parameters, state
        parameters, state = compiled(parameters, gradients, state)
        return parameters

    return step


WORKLOADS = [
    Workload(
        "adam",
        f"Adam on {TENSORS * SHAPE[0] * SHAPE[1]:,} parameters in {TENSORS} tensors: a step",
        arrays,
        {"nnscratch": in_nnscratch, "torch": in_torch, "jax": in_jax},
        roofline.adam(TENSORS * SHAPE[0] * SHAPE[1]),
    )
]
