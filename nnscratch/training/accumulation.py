"""Gradients of several batches, made into one step of an optimiser."""

import numpy as np

from nnscratch.tensor import Tensor


class MeanGradient:
    r"""The mean of the gradients of several batches, each weighed by what its loss counts, for one optimiser.

    .. math:: g = \frac{\sum_b n_b g_b}{\sum_b n_b}

    Since a loss is the mean over what it counts, this is the gradient of all batches taken as one, also where the last of them
    is smaller.

    Parameters
    ----------
    optimizer : optim.Optimizer

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = ns.tensor([1.0], requires_grad=True)
    >>> mean = MeanGradient(ns.optim.SGD([w], lr=1.0))
    >>> mean.add((w * 2).sum(), 3)
    >>> mean.add((w * 6).sum(), 1)
    >>> mean.step()
    >>> w.numpy()
    array([-2.], dtype=float32)
    """

    def __init__(self, optimizer):
        self.optimizer, self.take = optimizer, optimizer.step
        self._params = [p for group in optimizer.param_groups for p in group["params"]]
        self._sums = [None] * len(self._params)
        self._total = self._unit = 0

    def add(self, loss, count, check=None):
        """Take a batch's loss, a mean over `count` samples, unless ``check(optimizer)`` raises; the parameters keep no gradient of it."""
        self._total = self._total + count
        if not self._unit:  # what the others are measured by, so that sums of half-precision gradients stay in range
            self._unit = count if isinstance(count, int | float) else 1
        self.optimizer.zero_grad()
        weight = count / (self._unit or 1)
        (loss if isinstance(weight, float) and weight == 1 else loss * _as(weight, loss.dtype)).backward()
        if check is not None:
            check(self.optimizer)
        for i, p in enumerate(self._params):
            if p.grad is not None:
                self._sums[i] = p.grad.data if self._sums[i] is None else self._sums[i] + p.grad.data
        self.optimizer.zero_grad()

    def step(self):
        """Let the optimiser take its step by the mean, and begin anew."""
        total = self._total / (self._unit or 1)
        for p, g in zip(self._params, self._sums, strict=True):
            if g is not None:
                # where nothing counts, the sum is 0, too
                divisor = np.maximum(_as(total, g.dtype), np.finfo(g.dtype).tiny)
                p.grad = Tensor(g / divisor)
        self.take()
        self._sums = [None] * len(self._params)
        self._total = self._unit = 0


def _as(number, dtype):
    """A number of a dtype, or an array of a GPU's."""
    return number.astype(dtype) if hasattr(number, "astype") else dtype.type(number)
