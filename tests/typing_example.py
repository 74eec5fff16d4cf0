"""A user's program with annotations: mypy checks it against the package (see setup.cfg)."""

from collections.abc import Callable

import nnscratch as ns
from nnscratch import functional as F


def slope(function: Callable[[ns.Tensor], ns.Tensor], at: float) -> float:
    x: ns.Tensor = ns.tensor(at, dtype="float64", requires_grad=True)
    derivative: ns.Tensor = ns.grad(function(x), x)
    return float(derivative)


def steps(model: ns.nn.Module, x: ns.Tensor, y: ns.Tensor, count: int) -> list[float]:
    optimizer: ns.optim.Optimizer = ns.optim.SGD(model.parameters(), lr=0.1)
    losses: list[float] = []
    for _ in range(count):
        loss: ns.Tensor = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
