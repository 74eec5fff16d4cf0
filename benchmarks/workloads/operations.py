"""Single operations on arrays: forward, and backward to what is trained."""

from functools import partial
from math import prod

import numpy as np

from benchmarks import roofline
from benchmarks.workloads import Workload

IMAGES, ATTENTION, CLASSES = (32, 32, 32, 32), (16, 4, 64, 64), (2048, 1000)
#: Operations along all or the last of the axes, whose names are the same in all frameworks; JAX's settings, where its own are others.
ELEMENTWISE = {
    "gelu": ([IMAGES], {"approximate": False}),
    "silu": ([IMAGES], {}),
    "elu": ([IMAGES], {}),
    "leaky_relu": ([IMAGES], {}),
    "sigmoid": ([IMAGES], {}),
    "softplus": ([IMAGES], {}),
    "softmax": ([ATTENTION, CLASSES], {}),
    "log_softmax": ([ATTENTION, CLASSES], {}),
}
WORDS, FEATURES, SENTENCES = 1000, 256, (64, 20)


def arrays(quick, shape):
    """An input and the result's gradient, normal."""
    rng = np.random.default_rng(10)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for _ in range(2))


def embedding_arrays(quick):
    """Normal rows, the result's gradient, and which row each word of the sentences is."""
    rng = np.random.default_rng(11)
    rows, gradient = (rng.standard_normal((*n, FEATURES), dtype=np.float32) for n in ((WORDS,), SENTENCES))
    return rows, gradient, rng.integers(0, WORDS, SENTENCES)


def stepped(function, x, gradient):
    """The step of a function, in nnscratch or PyTorch, whose words for it are the same."""

    def step():
        x.grad = None
        y = function(x)
        y.backward(gradient)
        return y, x.grad

    return step


def in_nnscratch(x, gradient, name):
    import nnscratch as ns

    axis = {"axis": -1} if "softmax" in name else {}
    function = partial(getattr(ns.functional, name), **axis)
    return stepped(function, ns.tensor(x, requires_grad=True), ns.tensor(gradient))


def in_torch(x, gradient, name):
    import torch

    axis = {"dim": -1} if "softmax" in name else {}
    function = partial(getattr(torch.nn.functional, name), **axis)
    return stepped(function, torch.tensor(x, requires_grad=True), torch.tensor(gradient))


def compiled(function, x, gradient):
    """The step of a function in JAX."""
    import jax
    import jax.numpy as jnp

    @jax.jit
    def whole(x, gradient):
        y, back = jax.vjp(function, x)
        return y, *back(gradient)

    x, gradient = jnp.array(x), jnp.array(gradient)
    return lambda: whole(x, gradient)


def in_jax(x, gradient, name, settings):
    import jax

    return compiled(partial(getattr(jax.nn, name), **settings), x, gradient)


def embedding_in_nnscratch(rows, gradient, indices):
    import nnscratch as ns

    function = partial(ns.functional.embedding, ns.tensor(indices))
    return stepped(function, ns.tensor(rows, requires_grad=True), ns.tensor(gradient))


def embedding_in_torch(rows, gradient, indices):
    import torch

    function = partial(torch.nn.functional.embedding, torch.tensor(indices))
    return stepped(function, torch.tensor(rows, requires_grad=True), torch.tensor(gradient))


def embedding_in_jax(rows, gradient, indices):
    return compiled(lambda rows: rows[indices], rows, gradient)


def elementwise(name, shape, settings, several):
    """The workload of an operation that gives a number for each of its input's."""
    return Workload(
        f"operations-{name}" + (f"-{'x'.join(map(str, shape))}" if several else ""),
        f"{name} of {shape}: forward and backward",
        partial(arrays, shape=shape),
        {
            "nnscratch": partial(in_nnscratch, name=name),
            "torch": partial(in_torch, name=name),
            "jax": partial(in_jax, name=name, settings=settings),
        },
        roofline.activation(prod(shape)),
    )


WORKLOADS = [
    *(
        elementwise(name, shape, settings, len(shapes) > 1)
        for name, (shapes, settings) in ELEMENTWISE.items()
        for shape in shapes
    ),
    Workload(
        "operations-embedding",
        f"embedding of {SENTENCES} words in {FEATURES} features, of {WORDS} words: forward and backward",
        embedding_arrays,
        {"nnscratch": embedding_in_nnscratch, "torch": embedding_in_torch, "jax": embedding_in_jax},
        [
            roofline.elementwise(prod(SENTENCES) * FEATURES, flops=0),
            roofline.elementwise(prod(SENTENCES) * FEATURES, writes=0),
            roofline.elementwise(WORDS * FEATURES, reads=0),
        ],
    ),
]
