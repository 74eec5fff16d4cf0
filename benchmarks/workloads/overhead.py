"""What an operation costs beside its arithmetic: a chain of them on 8 elements, forward and backward."""

import numpy as np

from benchmarks.workloads import Run, Workload

PAIRS, ELEMENTS = 50, 8  # of a multiplication and an addition


def arrays(quick):
    """An input, a factor near 1 and a small summand."""
    rng = np.random.default_rng(4)
    return tuple(
        (np.float32(a) + b * rng.standard_normal(ELEMENTS, np.float32)) for a, b in ((0, 1), (1, 0.01), (0, 0.1))
    )


def chain(y, factor, summand):
    """The operations, in any framework."""
    for _ in range(PAIRS):
        y = y * factor
        y = y + summand
    return y


def nnscratch_runs(x, factor, summand):
    import nnscratch as ns

    x, factor, summand = ns.tensor(x, requires_grad=True), ns.tensor(factor), ns.tensor(summand)
    ones = ns.tensor(np.ones(ELEMENTS, np.float32))

    def gradient(y):
        x.grad = None
        y.backward(ones)
        return x.grad

    return lambda: chain(x, factor, summand), gradient


def torch_runs(x, factor, summand):
    import torch

    x, factor, summand = torch.tensor(x, requires_grad=True), torch.tensor(factor), torch.tensor(summand)
    ones = torch.ones(ELEMENTS)

    def gradient(y):
        x.grad = None
        y.backward(ones)
        return x.grad

    return lambda: chain(x, factor, summand), gradient


def jax_runs(x, factor, summand):
    import jax
    import jax.numpy as jnp

    x, factor, summand, ones = jnp.array(x), jnp.array(factor), jnp.array(summand), jnp.ones(ELEMENTS)

    def recorded():
        recorded.y, recorded.back = jax.vjp(lambda x: chain(x, factor, summand), x)
        return recorded.y

    return recorded, lambda y: recorded.back(ones)[0]


def dezero_runs(x, factor, summand):
    from dezero import Variable

    x, factor, summand = Variable(x), Variable(factor), Variable(summand)

    def gradient(y):
        for leaf in (x, factor, summand):
            leaf.cleargrad()
        y.backward()
        return x.grad

    return lambda: chain(x, factor, summand), gradient


def forward(runs):
    """The builder of the chain alone."""

    def build(*arrays):
        recorded, _ = runs(*arrays)
        return lambda: (recorded(),)

    return build


def backward(runs):
    """The builder of the backward pass alone, before each of which the chain is recorded anew."""

    def build(*arrays):
        recorded, gradient = runs(*arrays)
        return Run(lambda y: (gradient(y),), before=recorded)

    return build


# Each returns two functions: one records the chain and returns its result, one goes back from it to x's gradient.
RUNS = {"nnscratch": nnscratch_runs, "torch": torch_runs, "jax": jax_runs, "dezero": dezero_runs}
TITLE = f"multiply and add in a chain of {2 * PAIRS} operations on {ELEMENTS} elements"
WORKLOADS = [
    Workload(
        "overhead-forward",
        f"Overhead: {TITLE}, recorded: one operation",
        arrays,
        {peer: forward(runs) for peer, runs in RUNS.items()},
        parts=2 * PAIRS,
    ),
    Workload(
        "overhead-backward",
        f"Overhead: {TITLE}, the backward pass: one operation",
        arrays,
        {peer: backward(runs) for peer, runs in RUNS.items()},
        parts=2 * PAIRS,
    ),
]
