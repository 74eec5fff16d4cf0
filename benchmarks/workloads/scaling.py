"""How nnscratch's time and memory grow: S2's training step by its batch, and that of a deep network by its depth."""

from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.workloads import Workload, s2

BATCHES = tuple(2**k for k in range(13))
DEPTHS = 10, 30, 100, 300, 1000, 3000, 10_000
WIDTH, ROWS = 16, 16


def deep_arrays(quick, depth):
    """Weights that are permutations: positive values pass them and ReLU unchanged, so that any depth can be trained."""
    rng = np.random.default_rng(10)
    one = np.eye(WIDTH, dtype=np.float32)
    weights = [a for _ in range(depth) for a in (one[rng.permutation(WIDTH)], np.zeros(WIDTH, np.float32))]
    return weights, [(rng.random((ROWS, WIDTH), dtype=np.float32), rng.random((ROWS, WIDTH), dtype=np.float32))]


def deep(weights, batches):
    from nnscratch import functional as F
    from nnscratch import nn, optim

    peer, depth = peers.load("nnscratch"), len(weights) // 2
    model = nn.Sequential([layer for _ in range(depth) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())])
    peer.fill(model, weights)
    return peer.train(model, F.mse_loss, optim.SGD(model.parameters(), lr=1e-3 / depth), batches)


def workload(family, what, size, arrays, builder, quick):
    return Workload(
        f"scaling-{family}-{size}",
        f"{what} {size}",
        arrays,
        {"nnscratch": builder},
        rounds=3,
        size=size,
        quick=quick,
    )


WORKLOADS = [
    workload("batch", "S2's training step, batch", n, partial(s2.arrays, batch=n), s2.in_nnscratch, n <= 64)
    for n in BATCHES
] + [
    workload(
        "depth",
        "a training step of Linear(16, 16) and ReLU, layers of each:",
        n,
        partial(deep_arrays, depth=n),
        deep,
        n <= 300,
    )
    for n in DEPTHS
]
