"""Operators on whole numbers that stand for fractions: x = (q - zero point) * scale."""

import numpy as np

from nnscratch.onnx.dtypes import dtype_of
from nnscratch.onnx.operators.sliding import sliding
from nnscratch.onnx.table import need, operator
from nnscratch.ops import conv, elementwise, linear, reduce, shape
from nnscratch.tensor import tensor


def _along(scale, x, axis, block_size):
    """A scale or zero point of each place along an axis, or of each block of places, so that it broadcasts to `x`."""
    if scale.size == 1 and scale.ndim < 2:
        return shape.reshape(scale, ())
    axis = axis % x.ndim
    if scale.ndim == 1:
        return shape.reshape(scale, (-1, *(1,) * (x.ndim - 1 - axis)))
    need(block_size, "scales of blocks without their size")
    every = np.repeat(np.arange(scale.shape[axis]), block_size)[: x.shape[axis]]
    return scale[(slice(None),) * axis + (every,)]


def _quantised(x, scale, zero, dtype):
    """Rounded to even, and kept within the dtype."""
    limits = np.iinfo(dtype)
    y = elementwise.round(x / scale) + elementwise.astype(zero, x.dtype)
    return elementwise.astype(elementwise.clip(y, limits.min, limits.max), dtype)


def _whole(x, zero, rows=False):
    """The whole numbers without their zero point, in a dtype in which their products are exact."""
    x = elementwise.astype(x, "float64")
    if zero is None:
        return x
    zero = elementwise.astype(zero, "float64")
    return x - (shape.expand_dims(zero, -1) if rows and zero.ndim else zero)


@operator("QuantizeLinear")
def _(x, scale, zero=None, *, axis=1, block_size=0, output_dtype=0, saturate=1, precision=0):
    dtype = zero.dtype if zero is not None else np.dtype(dtype_of(output_dtype) if output_dtype else "uint8")
    zero = tensor(np.zeros(scale.shape, dtype)) if zero is None else zero
    x = x if x.dtype.kind == "f" else elementwise.astype(x, "float32")
    return _quantised(x, *(_along(a, x, axis, block_size) for a in (scale, zero)), dtype)


@operator("DequantizeLinear")
def _(x, scale, zero=None, *, axis=1, block_size=0, output_dtype=0):
    dtype = dtype_of(output_dtype) if output_dtype else scale.dtype
    whole = elementwise.astype(x, "int32")
    if zero is not None:
        whole = whole - elementwise.astype(_along(zero, x, axis, block_size), "int32")
    return elementwise.astype(whole, dtype) * elementwise.astype(_along(scale, x, axis, block_size), dtype)


@operator("DynamicQuantizeLinear")
def _(x):
    low, high = elementwise.minimum(reduce.min(x), 0.0), elementwise.maximum(reduce.max(x), 0.0)
    scale = (high - low) / 255
    zero = elementwise.astype(elementwise.clip(elementwise.round(-low / scale), 0, 255), "uint8")
    return _quantised(x, scale, zero, np.dtype("uint8")), scale, zero


@operator("MatMulInteger")
def _(a, b, zero_a=None, zero_b=None):
    return elementwise.astype(linear.matmul(_whole(a, zero_a, rows=True), _whole(b, zero_b)), "int32")


@operator("QLinearMatMul")
def _(a, scale_a, zero_a, b, scale_b, zero_b, scale, zero):
    product = linear.matmul(_whole(a, zero_a, rows=True), _whole(b, zero_b))
    factor = (
        (shape.expand_dims(scale_a, -1) if scale_a.ndim else scale_a)
        * scale_b
        / (shape.expand_dims(scale, -1) if scale.ndim else scale)
    )
    return _quantised(product * elementwise.astype(factor, "float64"), 1, zero, zero.dtype)


def _convolved(x, w, zero_x, zero_w, auto_pad, dilations, group, pads, strides):
    """The convolution of whole numbers; padding stands for the zero point."""
    _, stride, padding, dilation = sliding(x, auto_pad, w.shape[2:], strides, dilations, pads)
    if zero_w is not None and zero_w.ndim:
        zero_w = shape.reshape(zero_w, (-1, *(1,) * (w.ndim - 1)))
    function = conv.conv2d if x.ndim == 4 else conv.conv1d
    return function(_whole(x, zero_x), _whole(w, zero_w), None, stride, padding, dilation, group)


@operator("ConvInteger")
def _(
    x, w, zero_x=None, zero_w=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None,
    strides=None,
):  # fmt: skip
    return elementwise.astype(_convolved(x, w, zero_x, zero_w, auto_pad, dilations, group, pads, strides), "int32")


@operator("QLinearConv")
def _(
    x, scale_x, zero_x, w, scale_w, zero_w, scale, zero, b=None, *, auto_pad="NOTSET", dilations=None, group=1,
    kernel_shape=None, pads=None, strides=None,
):  # fmt: skip
    y = _convolved(x, w, zero_x, zero_w, auto_pad, dilations, group, pads, strides)
    channels = (-1, *(1,) * (x.ndim - 2))
    if b is not None:
        y = y + shape.reshape(elementwise.astype(b, "float64"), channels)
    factor = elementwise.astype(scale_x * scale_w / scale, "float64")
    return _quantised(y * (shape.reshape(factor, channels) if factor.ndim else factor), 1, zero, zero.dtype)
