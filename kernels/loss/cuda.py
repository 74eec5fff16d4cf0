"""Losses and their sums on a GPU: the formulas and the accuracy of the definitions (``elementwise.cu``, ``rows.cu``)."""

import math

import numpy as np

from ..activation.cuda import elementwise
from ..cuda import runtime
from ..rows import reduced
from ..softmax.cuda import contiguous_rows, launch_rows, team_for

#: How many elements a team adds up before another one is worth its launch.
CHUNK = 1 << 13
#: More parts than this no GPU works on at the same time.
MOST_PARTS = 1024


def cross_entropy(z, q, n=None):
    """``-sum(q * log_softmax(z))`` over the last axis for distributions or labels q (nan for what is no class), and its gradients.

    The losses' sum, rounded once, is divided by `n` (a number, or an array of one in float64) where it is given.
    """
    xp, labels = runtime.xp(), q.ndim < z.ndim
    losses = xp.zeros(z.shape[:-1], z.dtype if n is None else np.float64)
    errors = xp.empty(z.shape, z.dtype)
    if z.size:
        targets = xp.ascontiguousarray(q, np.int64) if labels else xp.ascontiguousarray(q)
        written = (losses, None) if n is None else (None, losses)
        args = xp.ascontiguousarray(z), targets, *written, errors, np.int64(losses.size), z.shape[-1]
        launch_rows(
            "label_cross_entropy" if labels else "cross_entropy", losses.size, team_for(z.shape[-1]), args, z.dtype
        )
    return losses if n is None else _sums(losses.reshape(1, losses.size), n, dtype=z.dtype).reshape(()), errors


def binary_cross_entropy_logits(z, y):
    """``-y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z))``."""
    return elementwise("binary_cross_entropy", z, y)


def _sums(rows, divisor=1.0, squares=False, dtype=None):
    """The sums of rows, divided; in their own dtype by default."""
    xp, (count, n) = runtime.xp(), rows.shape
    y = xp.empty(count, rows.dtype if dtype is None else dtype)
    parts = max(1, min(n // CHUNK, MOST_PARTS))
    sums = xp.empty((count, parts, 2, 2), np.float64)
    args = rows, sums, np.int64(count), np.int64(n), parts, squares
    launch_rows("sum_parts", count * parts, team_for(n), args, rows.dtype)
    number, array = (1.0, divisor) if isinstance(divisor, xp.ndarray) else (float(divisor), None)
    launch_rows("sum_of_parts", count, 32, (sums, y, np.int64(count), parts, number, array), y.dtype)
    return y


def accurate_sum(x, axis=None):
    """The sum over axes as if in twice float64's digits."""
    rows, axes = contiguous_rows(x, axis)
    return reduced(_sums(rows), x.shape, axes)


def mean_of_losses(v, n=None):
    """The sum of all elements divided by `n`; `n` may be an array of one."""
    if n is None and not v.size:
        return runtime.xp().full((), math.nan, v.dtype)
    return _sums(runtime.xp().ascontiguousarray(v).reshape(1, v.size), v.size if n is None else n).reshape(())


def mean_of_squares(v):
    """The mean of the squares of all elements."""
    if not v.size:
        return runtime.xp().full((), math.nan, v.dtype)
    return _sums(runtime.xp().ascontiguousarray(v).reshape(1, v.size), v.size, squares=True).reshape(())
