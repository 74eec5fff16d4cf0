"""Arrays as matrices whose rows hold the elements of some axes, on any device: what softmax, its logarithm and sums are made of."""

import math

from numpy.lib.array_utils import normalize_axis_tuple


def as_rows(x, axis):
    """x as a matrix whose rows hold the elements of `axis` (int, tuple or None: all); those axes, sorted."""
    last = x.ndim - 1
    if x.ndim and isinstance(axis, int) and axis in (-1, last):  # as it stands, and most often
        return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), [last]
    axes = sorted(normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim))
    others = [a for a in range(x.ndim) if a not in axes]
    shape = math.prod(x.shape[a] for a in others), math.prod(x.shape[a] for a in axes)
    return x.transpose(others + axes).reshape(shape), axes


def from_rows(rows, shape, axes):
    """Undo `as_rows`: an array of this shape again, side by side in memory."""
    order = [a for a in range(len(shape)) if a not in axes] + axes
    if order == sorted(order):
        return rows.reshape(shape)
    back = [order.index(a) for a in range(len(shape))]
    return rows.reshape([shape[a] for a in order]).transpose(back).copy()


def reduced(values, shape, axes, keepdims=False):
    """One value for each row of `as_rows`, in the shape that NumPy's reductions give."""
    return values.reshape([1 if a in axes else n for a, n in enumerate(shape) if keepdims or a not in axes])
