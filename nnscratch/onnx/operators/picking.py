"""Operators that pick elements out, and put them into their places."""

import numpy as np

from nnscratch.onnx.table import affordable, ints, need, operator
from nnscratch.ops import elementwise, index, shape
from nnscratch.tensor import tensor


def _places(indices, axis):
    """The index of the places that `indices` name along an axis."""
    grid = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    grid[axis] = indices.numpy()
    return tuple(grid)


def _fit(indices, x, axis):
    """Whether indices are as many as the places of `x`, but along an axis; the standard takes fewer, too."""
    return all(n == m or k == axis % x.ndim for k, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True)))


def _scatter(x, places, values, how):
    """`x` with values put, or added, into the places of an index."""
    need(how in ("none", "add"), f"no scattering by {how}")
    return index.put(x, places, values) if how == "none" else x + index.put_add(values, x.shape, places)


@operator("Slice")
def _(x, starts_input=None, ends_input=None, axes_input=None, steps=None, *, starts=None, ends=None, axes=None):
    starts, ends = ints(starts_input, starts), ints(ends_input, ends)
    axes = ints(axes_input, axes or range(len(starts)))
    parts = [slice(None)] * x.ndim
    for axis, *part in zip(axes, starts, ends, ints(steps, [1] * len(starts)), strict=True):
        parts[axis] = slice(*part)
    return x[tuple(parts)]


@operator("Gather")
def _(x, indices, *, axis=0):
    return index.take(x, indices, axis)


@operator("GatherElements")
def _(x, indices, *, axis=0):
    return index.take_along_axis(x, indices, axis) if _fit(indices, x, axis) else x[_places(indices, axis)]


@operator("GatherND")
def _(x, indices, *, batch_dims=0):
    batch = np.ogrid[tuple(slice(n) for n in indices.shape[:-1])][:batch_dims]
    return x[(*batch, *np.moveaxis(indices.numpy(), -1, 0))]


@operator("Scatter", "ScatterElements")
def _(x, indices, updates, *, axis=0, reduction="none"):
    if reduction == "none" and _fit(indices, x, axis):
        return index.put_along_axis(x, indices, updates, axis)
    return _scatter(x, _places(indices, axis), updates, reduction)


@operator("ScatterND")
def _(x, indices, updates, *, reduction="none"):
    return _scatter(x, tuple(np.moveaxis(indices.numpy(), -1, 0)), updates, reduction)


@operator("Compress")
def _(x, condition, *, axis=None):
    return index.take(x, np.flatnonzero(condition.numpy()), axis)


@operator("NonZero")
def _(x):
    return tensor(np.array(np.nonzero(np.atleast_1d(x.numpy())), np.int64))


@operator("OneHot")
def _(indices, depth, values, *, axis=-1):
    depth = int(depth)
    affordable((indices.size, depth))
    rank = indices.ndim + 1
    inside = (indices >= -depth) & (indices < depth)
    number = elementwise.astype(elementwise.where(inside, indices, 0) % depth, "int64")
    chosen = elementwise.equal(shape.expand_dims(number, -1), np.arange(depth)) & shape.expand_dims(inside, -1)
    order = list(range(rank - 1))
    order.insert(axis % rank, rank - 1)
    return shape.transpose(elementwise.where(chosen, values[1], values[0]), tuple(order))
