"""Batch and layer normalisation in training: forward, and backward to the input, the scale and the shift."""

from functools import partial

import numpy as np

from benchmarks import roofline
from benchmarks.workloads import Workload

BATCH, LAYER = (64, 32, 26, 26), (2048, 768)
EPS, MOMENTUM = 1e-5, 0.1


def arrays(quick, shape):
    """An input and the result's gradient, normal."""
    rng = np.random.default_rng(8)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for _ in range(2))


def layer(nn, shape):
    """The layer of nnscratch or of PyTorch, whose names are the same."""
    return nn.BatchNorm2d(shape[1]) if len(shape) == 4 else nn.LayerNorm(shape[1])


def stepped(norm, x, gradient):
    """The step of a layer of nnscratch or of PyTorch."""

    def step():
        x.grad = norm.weight.grad = norm.bias.grad = None
        y = norm(x)
        y.backward(gradient)
        return y, x.grad, norm.weight.grad, norm.bias.grad

    return step


def in_nnscratch(x, gradient):
    import nnscratch as ns

    return stepped(layer(ns.nn, x.shape), ns.tensor(x, requires_grad=True), ns.tensor(gradient))


def in_torch(x, gradient):
    import torch

    return stepped(layer(torch.nn, x.shape), torch.tensor(x, requires_grad=True), torch.tensor(gradient))


def in_jax(x, gradient):
    import jax
    import jax.numpy as jnp

    batch = x.ndim == 4
    axes, wide = ((0, 2, 3), (-1, 1, 1)) if batch else ((1,), (-1,))

    def norm(x, weight, bias):
        mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        y = (x - mean) * jax.lax.rsqrt(variance + EPS) * weight.reshape(wide) + bias.reshape(wide)
        return y, (mean, variance)

    @jax.jit
    def whole(x, weight, bias, gradient, running):
        y, back, found = jax.vjp(norm, x, weight, bias, has_aux=True)
        if batch:
            running = [(1 - MOMENTUM) * r + MOMENTUM * f.reshape(-1) for r, f in zip(running, found, strict=True)]
        return (y, *back(gradient)), running

    features = x.shape[1]
    inputs = [jnp.array(x), jnp.ones(features), jnp.zeros(features), jnp.array(gradient)]
    running = [jnp.zeros(features), jnp.ones(features)] if batch else []

    def step():
        nonlocal running
        result, running = whole(*inputs, running)
        return result

    return step


def workload(name, title, shape):
    count = int(np.prod(shape))
    return Workload(
        name,
        f"{title} {shape}: forward and backward",
        partial(arrays, shape=shape),
        {"nnscratch": in_nnscratch, "torch": in_torch, "jax": in_jax},
        [roofline.elementwise(count, flops=8), roofline.elementwise(count, reads=2, flops=10)],
    )


WORKLOADS = [workload("norm-batch", "batch norm", BATCH), workload("norm-layer", "layer norm", LAYER)]
