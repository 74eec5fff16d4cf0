"""Operators that make, shape, join and cut arrays."""

import math

import numpy as np

from nnscratch import functional as F
from nnscratch.onnx.dtypes import dtype_of
from nnscratch.onnx.table import affordable, ints, need, operator
from nnscratch.ops import shape as s
from nnscratch.tensor import tensor


@operator("Shape")
def _(x, *, start=0, end=None):
    return tensor(np.array(x.shape[start:end], np.int64))


@operator("Size")
def _(x):
    return tensor(np.array(x.size, np.int64))


@operator("Constant")
def _(*, value=None, value_int=None, value_ints=None, value_float=None, value_floats=None):
    for number, dtype in (
        (value_int, "int64"),
        (value_ints, "int64"),
        (value_float, "float32"),
        (value_floats, "float32"),
    ):
        if number is not None:
            return tensor(np.array(number, dtype))
    return value


@operator("ConstantOfShape")
def _(shape, *, value=None):
    return s.broadcast_to(tensor([0.0]) if value is None else value, affordable(tuple(ints(shape))))


@operator("Range")
def _(start, limit, delta):
    if delta.item():
        affordable((max(0, math.ceil((limit.item() - start.item()) / delta.item())),))
    return tensor(np.arange(start.item(), limit.item(), delta.item(), start.dtype))


@operator("EyeLike")
def _(x, *, dtype=None, k=0):
    return tensor(np.eye(*affordable(x.shape), k=k, dtype=x.dtype if dtype is None else dtype_of(dtype)))


@operator("Reshape")
def _(x, shape_input=None, *, shape=None, allowzero=0):
    lengths = ints(shape_input, shape)
    return s.reshape(x, tuple(n if n or allowzero else x.shape[i] for i, n in enumerate(lengths)))


@operator("Flatten")
def _(x, *, axis=1):
    axis = axis % x.ndim if axis < 0 else axis
    return s.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@operator("Squeeze")
def _(x, axes_input=None, *, axes=None):
    axes = ints(axes_input, axes)
    return s.squeeze(x, None if axes is None else tuple(axes))


@operator("Unsqueeze")
def _(x, axes_input=None, *, axes=None):
    return s.expand_dims(x, tuple(ints(axes_input, axes)))


@operator("Transpose")
def _(x, *, perm=None):
    return s.transpose(x, None if perm is None else tuple(perm))


@operator("Concat")
def _(*x, axis=1):
    return s.concatenate(x, axis)


@operator("Split")
def _(x, split_input=None, *, split=None, axis=0, num_outputs=None, at):
    n = x.shape[axis]
    each = -(-n // at.outputs)
    lengths = ints(split_input, split or [min(each, n - i * each) for i in range(at.outputs)])
    return s.split(x, np.cumsum(lengths)[:-1].tolist(), axis)


@operator("Expand")
def _(x, shape):
    return s.broadcast_to(x, affordable(np.broadcast_shapes(x.shape, tuple(ints(shape)))))


@operator("Tile")
def _(x, repeats):
    repeats = ints(repeats)
    affordable((x.size, *repeats))
    return s.tile(x, repeats)


@operator("Pad")
def _(x, pads_input=None, value_input=None, axes=None, *, pads=None, paddings=None, value=0.0, mode="constant"):
    pads, axes = ints(pads_input, pads or paddings), ints(axes, range(x.ndim))
    widths = [(0, 0)] * x.ndim
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        widths[axis] = (before, after)
    if min(map(min, widths), default=0) < 0:  # which cuts off
        x = x[tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(widths, x.shape, strict=True))]
        widths = [(max(0, a), max(0, b)) for a, b in widths]
    affordable([n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)])
    return s.pad(x, widths, value if value_input is None else value_input.item(), mode)


@operator("Trilu")
def _(x, k=None, *, upper=1):
    return (s.triu if upper else s.tril)(x, 0 if k is None else int(k))


@operator("DepthToSpace")
def _(x, *, blocksize, mode="DCR"):
    return F.pixel_shuffle(x if mode == "CRD" else _depth_last(x, blocksize**2), blocksize)


@operator("SpaceToDepth")
def _(x, *, blocksize, mode="DCR"):
    y = F.pixel_unshuffle(x, blocksize)
    return y if mode == "CRD" else _depth_last(y, y.shape[1] // blocksize**2)


def _depth_last(x, count):
    """The channels, numbered (count, others), numbered (others, count)."""
    n, c, *size = x.shape
    return s.reshape(s.swapaxes(s.reshape(x, (n, count, c // count, *size)), 1, 2), x.shape)


@operator("ReverseSequence")
def _(x, lengths, *, batch_axis=1, time_axis=0):
    need({batch_axis, time_axis} == {0, 1}, "axes other than the first two in ReverseSequence")
    place = np.arange(x.shape[time_axis])[:, None]
    order = np.where(place < lengths.numpy(), lengths.numpy() - 1 - place, place)  # (time, batch)
    every = np.arange(x.shape[batch_axis])
    return x[order, every[None]] if time_axis == 0 else x[every[:, None], order.T]
