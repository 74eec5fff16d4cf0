"""Matrix products of 64 to 2048 rows and columns, beside NumPy's own."""

import statistics
from functools import partial
from time import perf_counter

import numpy as np

from benchmarks import roofline
from benchmarks.workloads import Run, Workload

SIZES = (64, 128, 256, 512, 1024, 2048)
OVER = "µs over np.matmul"


def arrays(quick, n):
    """Two normal matrices."""
    rng = np.random.default_rng(6)
    return tuple(rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))


def over(ours, theirs, seconds=1.0):
    """By how many seconds the one function takes longer than the other: the median over pairs of calls in turn."""

    def took(function):
        begin = perf_counter()
        function()
        return perf_counter() - begin

    gaps, start = [], perf_counter()
    while len(gaps) < 10 or perf_counter() - start < seconds:
        gaps.append(took(ours) - took(theirs))
        gaps.append(-took(theirs) + took(ours))
    return statistics.median(gaps)


def in_nnscratch(a, b):
    import nnscratch as ns

    x, y = ns.tensor(a), ns.tensor(b)
    a, b = x.numpy(), y.numpy()

    def notes():
        return {OVER: 1e6 * over(lambda: ns.matmul(x, y), lambda: np.matmul(a, b))}

    return Run(lambda: (ns.matmul(x, y),), notes=notes)


def in_numpy(a, b):
    return lambda: (np.matmul(a, b),)


def in_torch(a, b):
    import torch

    x, y = torch.tensor(a), torch.tensor(b)
    return lambda: (torch.matmul(x, y),)


def in_jax(a, b):
    import jax
    import jax.numpy as jnp

    x, y, product = jnp.array(a), jnp.array(b), jax.jit(jnp.matmul)
    return lambda: (product(x, y),)


WORKLOADS = [
    Workload(
        f"matmul-{n}",
        f"matmul {n}×{n}",
        partial(arrays, n=n),
        {"nnscratch": in_nnscratch, "numpy": in_numpy, "torch": in_torch, "jax": in_jax},
        [roofline.product(n, n, n)],
        quick=n <= 512,
    )
    for n in SIZES
]
