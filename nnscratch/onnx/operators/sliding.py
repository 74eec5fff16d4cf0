"""Operators with windows that slide over one or two axes: convolution and pooling."""

import math

import numpy as np

from nnscratch import functional as F
from nnscratch.onnx.table import ints, like, need, operator
from nnscratch.ops import elementwise, reduce


def sliding(x, auto_pad, kernel, strides, dilations, pads):
    """The kernel, stride, padding and dilation of one- or two-dimensional windows, as nnscratch takes them."""
    rank = x.ndim - 2
    need(rank in (1, 2), f"{rank} spatial axes")
    words = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
    pads = pads or [0] * 2 * rank
    padding = words.get(auto_pad) or tuple(zip(pads[:rank], pads[rank:], strict=True))
    settings = [tuple(kernel), tuple(strides or [1] * rank), padding, tuple(dilations or [1] * rank)]
    return settings if rank == 2 else [s if isinstance(s, str) else s[0] for s in settings]


@operator("Conv")
def _(x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None):
    _, stride, padding, dilation = sliding(x, auto_pad, w.shape[2:], strides, dilations, pads)
    return (F.conv2d if x.ndim == 4 else F.conv1d)(x, w, b, stride, padding, dilation, group)


@operator("ConvTranspose")
def _(
    x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, output_padding=None,
    output_shape=None, pads=None, strides=None,
):  # fmt: skip
    rank = x.ndim - 2
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    extra = output_padding or [0] * rank
    if auto_pad.startswith("SAME") and not output_shape:
        output_shape = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if output_shape:
        # what the result has too much is taken off on both sides, what it lacks is put on at the end
        sizes = zip(x.shape[2:], strides, dilations, w.shape[2:], extra, strict=True)
        full = [(n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in sizes]
        off = [max(n - wanted, 0) for n, wanted in zip(full, output_shape, strict=True)]
        extra = [e + max(wanted - n, 0) for e, n, wanted in zip(extra, full, output_shape, strict=True)]
        small, large = [n // 2 for n in off], [n - n // 2 for n in off]
        pads = small + large if auto_pad == "SAME_UPPER" else large + small
    _, stride, padding, dilation = sliding(x, "NOTSET", w.shape[2:], strides, dilations, pads)
    if rank == 1:
        return F.conv_transpose1d(x, w, b, stride, padding, extra[0], group, dilation)
    return F.conv_transpose2d(x, w, b, stride, padding, tuple(extra), group, dilation)


@operator("Col2Im")
def _(x, image_shape, block_shape, *, dilations=None, pads=None, strides=None):
    size, kernel = ints(image_shape), ints(block_shape)
    need(len(size) == 2, f"{len(size)} spatial axes")
    pads = pads or [0] * 4
    return F.fold(x, size, kernel, strides or 1, ((pads[0], pads[2]), (pads[1], pads[3])), dilations or 1)


@operator("MaxPool")
def _(
    x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, dilations=None, pads=None, storage_order=0, strides=None, at,
):  # fmt: skip
    kernel, stride, padding, dilation = sliding(x, auto_pad, kernel_shape, strides, dilations, pads)
    y = (F.max_pool2d if x.ndim == 4 else F.max_pool1d)(x, kernel, stride, padding, dilation, bool(ceil_mode))
    if at.outputs == 1:
        return y
    need(x.ndim == 4, "indices of the maxima of sequences")
    indices = F.max_pool2d_indices(x, kernel, stride, padding, dilation, bool(ceil_mode))
    height, width = x.shape[2:]
    if storage_order:
        indices = indices % width * height + like(elementwise.floor(indices / width), indices)
    # the standard counts on from one image to the next
    return y, indices + np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1) * (height * width)


@operator("MaxUnpool")
def _(x, indices, output_shape=None, *, kernel_shape, pads=None, strides=None):
    need(x.ndim == 4, f"{x.ndim - 2} spatial axes")
    strides, pads = strides or [1, 1], pads or [0] * 4
    size = [
        (n - 1) * s + k - a - b
        for n, s, k, a, b in zip(x.shape[2:], strides, kernel_shape, pads, pads[2:], strict=False)
    ]
    given = ints(output_shape, [0, 0, *size])[2:]
    image = indices % (size[0] * size[1])  # counted in images of the size that the settings give
    places = like(elementwise.floor(image / size[1]), image) * given[1] + image % size[1]
    return F.max_unpool2d(x, places, given)


@operator("AveragePool")
def _(x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, count_include_pad=0, dilations=None, pads=None, strides=None):
    kernel, stride, padding, dilation = sliding(x, auto_pad, kernel_shape, strides, dilations, pads)
    pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool1d
    return pool(x, kernel, stride, padding, bool(count_include_pad), bool(ceil_mode), dilation)


@operator("LpPool")
def _(x, *, kernel_shape, p=2, auto_pad="NOTSET", ceil_mode=0, dilations=None, pads=None, strides=None):
    kernel, stride, padding, dilation = sliding(x, auto_pad, kernel_shape, strides, dilations, pads)
    pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool1d
    if ceil_mode:  # as padding, which counts
        rank = x.ndim - 2
        each = (kernel_shape, strides or [1] * rank, dilations or [1] * rank, pads or [0] * rank)
        sizes = zip(x.shape[2:], pool(x, kernel, stride, padding, True, True, dilation).shape[2:], *each, strict=False)
        ends = [(m - 1) * s + d * (k - 1) + 1 - n - before for n, m, k, s, d, before in sizes]
        ends = [max(a, b) for a, b in zip(ends, (pads or [0] * 2 * rank)[rank:], strict=True)]
        pads = [*(pads or [0] * rank)[:rank], *ends]
        _, _, padding, _ = sliding(x, auto_pad, kernel_shape, strides, dilations, pads)
    mean = pool(elementwise.abs(x) ** p, kernel, stride, padding, True, False, dilation)
    return (mean * math.prod(kernel_shape)) ** (1 / p)


@operator("GlobalAveragePool")
def _(x):
    return reduce.mean(x, tuple(range(2, x.ndim)), True)


@operator("GlobalMaxPool")
def _(x):
    return reduce.max(x, tuple(range(2, x.ndim)), True)


@operator("GlobalLpPool")
def _(x, *, p=2):
    return reduce.norm(x, p, tuple(range(2, x.ndim)), True)
