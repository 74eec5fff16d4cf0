"""Layers that compute on codes of 8 bits: between them there are no floating-point numbers."""

import functools

import numpy as np

from nnscratch import backend
from nnscratch.autograd import describe
from nnscratch.nn.module import Buffer, Module
from nnscratch.ops.conv import geometry, once, pair
from nnscratch.ops.operands import floating_point, raw
from nnscratch.tensor import Tensor

#: Codes of activations; those of weights go from -127 to 127, so that their zero is 0.
LOW, HIGH = -128, 127
#: Products of codes whose sum fits into 32 bits, whatever they are.
MOST = (2**31 - 1) // (127 * (HIGH - LOW)) - 1
_geometry = functools.lru_cache(maxsize=256)(geometry)


def scale_of(low, high):
    """The scale and the zero of codes for numbers from `low` to `high`, 0 among them, as float32 (2,).

    Examples
    --------
    >>> scale_of(0.0, 25.5)
    array([   0.1, -128. ], dtype=float32)
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32((high - low) / (HIGH - LOW)) or np.float32(1)
    return np.array([scale, np.rint(np.float32(LOW) - np.float32(low) / scale)], np.float32)


def weight_scale(weight, per_channel=True, bits=8):
    """The scale of each output's weights, or of all: float32 (O,) or (1,), by which the largest is the greatest code.

    Examples
    --------
    >>> weight_scale(np.array([[12.7, 1.0], [0.0, 0.0]]))
    array([0.1, 1. ], dtype=float32)
    """
    rows = np.abs(weight.reshape(len(weight) if per_channel else 1, -1))
    scale = (rows.max(1, initial=0) / (2 ** (bits - 1) - 1)).astype(np.float32)
    return np.where(scale > 0, scale, np.float32(1))


def codes_of(weight, scale, bits=8):
    """Weights as codes, whole numbers of float32.

    Examples
    --------
    >>> codes_of(np.array([[12.7, 1.0]], np.float32), np.array([0.1], np.float32))
    array([[127.,  10.]], dtype=float32)
    """
    most = 2 ** (bits - 1) - 1
    wide = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return kernel(weight, "quantize")(weight.astype(np.float32), wide, 0, -most, most)


def kernel(array, name):
    """A kernel of codes for the device where an array lives."""
    return backend.of(array).kernel(f"quantise.{name}")


class Quantize(Module):
    """Numbers as codes: what a chain of layers on codes begins with.

    Attributes
    ----------
    output : Buffer, float32 (2,)
        Scale and zero of the codes.

    Parameters
    ----------
    output : array of float32 (2,)

    Examples
    --------
    >>> import nnscratch as ns
    >>> Quantize(scale_of(-1.28, 1.27))(ns.tensor([-1.28, 0.0, 0.5])).numpy()
    array([-128,    0,   50], dtype=int8)
    """

    def __init__(self, output):
        super().__init__()
        self.output = Buffer(output)

    def forward(self, x):
        """(...) float -> (...) int8"""
        x = raw(floating_point("Quantize", "x", x))
        scale, zero = self.output.numpy()
        return Tensor._of(kernel(x, "to_codes")(x.astype(np.float32, copy=False), scale, int(zero)))

    def extra_repr(self):
        return _range(self.output)


class _OnCodes(Module):
    """What `QuantizedLinear` and `QuantizedConv2d` have in common."""

    def __init__(self, layer, input, output=None, rectified=False, per_channel=True):
        super().__init__()
        self._made_of: tuple = ((), None, None)
        weight = layer.weight.numpy()
        if weight[0].size > MOST:
            raise ValueError(
                f"{type(self).__name__}: each output adds up {weight[0].size} products, expected at most {MOST}, which 32 bits hold; leave "
                f"this layer as it is"
            )
        scale = weight_scale(weight, per_channel)
        self.weight = Buffer(codes_of(weight, scale).astype(np.int8))
        unit = input[0] * scale  # of float32, as all that is read beside these codes has it
        bias = np.zeros(len(weight)) if layer.bias is None else layer.bias.numpy().astype(np.float64) / unit
        self.bias = Buffer(np.rint(bias).clip(-(2**31), 2**31 - 1).astype(np.int32))
        self.scale, self.input = Buffer(scale), Buffer(input)
        self.output = None if output is None else Buffer(output)
        self.rectified = rectified

    def _settings(self):
        """What the kernels take beside the codes, made anew where something has changed."""
        parts = (self.weight, self.bias, self.scale, self.input, self.input if self.output is None else self.output)
        arrays, versions, made = self._made_of
        if versions != [t._version[0] for t in parts] or any(
            t.data is not a for t, a in zip(parts, arrays, strict=True)
        ):
            (step, x_zero), zero, low = self.input.numpy(), None, LOW
            factor = np.broadcast_to(step * self.scale.numpy(), self.bias.shape)
            if self.output is not None:
                factor, zero = factor / self.output.numpy()[0], int(self.output.numpy()[1])
                low = zero if self.rectified else LOW
            factor = backend.asarray(np.ascontiguousarray(factor), device=self.weight.device)
            pack = kernel(self.weight.data, "pack")
            packed = pack(self.weight.data, self.bias.data, factor, getattr(self, "groups", 1))
            made = packed, int(x_zero), zero, low
            self._made_of = [t.data for t in parts], [t._version[0] for t in parts], made
        return made

    def _given(self, x):
        if x.dtype != np.int8:
            raise TypeError(
                f"{type(self).__name__}: x is {describe(x)}, expected codes of int8; put a Quantize before it"
            )
        return x.data

    def _made(self, y):
        if self.output is None and self.rectified:
            y = np.maximum(y, 0)
        return Tensor._of(y)

    def extra_repr(self):
        text = f"{'x'.join(map(str, self.weight.shape))}, {_range(self.input)} -> "
        return (
            text
            + ("float32" if self.output is None else _range(self.output))
            + ", relu" * self.rectified
            + ", pooled" * getattr(self, "pooled", False)
        )


def _range(codes):
    scale, zero = codes.numpy()
    return f"[{(LOW - zero) * scale:.3g}, {(HIGH - zero) * scale:.3g}]"


class QuantizedLinear(_OnCodes):
    """`Linear` on codes.

    Parameters
    ----------
    layer : nn.Linear
    input, output : array of float32 (2,)
        Scale and zero of the codes it takes, and of those it gives; without the latter it gives numbers.
    rectified : bool
        Whether what it gives is cut off at 0.
    per_channel : bool
        Whether each output's weights have a scale of their own.

    Attributes
    ----------
    weight : Buffer, int8
    bias : Buffer, int32
        In units of input times weight.
    scale : Buffer, float32 (O,) or (1,)
        Of the weights.
    input, output : Buffer, float32 (2,)

    Examples
    --------
    >>> import nnscratch as ns
    >>> codes = scale_of(-1, 1)
    >>> layer = QuantizedLinear(ns.nn.Linear(3, 2), codes)
    >>> layer(Quantize(codes)(ns.tensor([[0.5, 0.0, -0.5]]))).shape
    (1, 2)
    """

    def forward(self, x):
        """(..., in) int8 -> (..., out) int8, or float32"""
        x = self._given(x)
        if x.shape[-1:] != self.weight.shape[1:]:
            raise ValueError(
                f"QuantizedLinear: x is {describe(x)}, expected (..., {self.weight.shape[1]}); check in_features"
            )
        y = kernel(x, "linear")(x.reshape(-1, x.shape[-1]), *self._settings())
        return self._made(y.reshape(*x.shape[:-1], -1))


class QuantizedConv2d(_OnCodes):
    """`Conv2d` on codes.

    Parameters
    ----------
    layer : nn.Conv2d
    input, output : array of float32 (2,)
        Scale and zero of the codes it takes, and of those it gives; without the latter it gives numbers.
    rectified : bool
        Whether what it gives is cut off at 0.
    per_channel : bool
        Whether each output's weights have a scale of their own.
    pooled : bool
        Whether of each window of 2 by 2 codes the greatest is given.

    Attributes
    ----------
    weight : Buffer, int8
    bias : Buffer, int32
        In units of input times weight.
    scale : Buffer, float32 (O,) or (1,)
        Of the weights.
    input, output : Buffer, float32 (2,)

    Examples
    --------
    >>> import nnscratch as ns
    >>> codes = scale_of(0, 1)
    >>> layer = QuantizedConv2d(ns.nn.Conv2d(1, 2, 3), codes, scale_of(-3, 3), rectified=True)
    >>> layer(Quantize(codes)(ns.tensor(np.ones((1, 1, 5, 5), "float32")))).shape
    (1, 2, 3, 3)
    """

    def __init__(self, layer, *args, pooled=False, **settings):
        super().__init__(layer, *args, **settings)
        self.pooled = pooled
        self.groups, self.stride, self.padding, self.dilation = (
            layer.groups,
            layer.stride,
            layer.padding,
            layer.dilation,
        )

    def forward(self, x):
        """(N, in, H, W) int8 -> (N, out, OH, OW) int8, or float32"""
        x = self._given(x)
        if x.ndim != 4 or x.shape[1] != self.weight.shape[1] * self.groups:
            raise ValueError(
                f"QuantizedConv2d: x is {describe(x)}, expected (N, {self.weight.shape[1] * self.groups}, H, W); check in_channels"
            )
        places = self.weight.shape[2:], self.stride, self.padding, self.dilation
        stride, padding, dilation, out = once(_geometry, "QuantizedConv2d", x.shape[2:], *places)
        if self.pooled and min(out) < 2:
            raise ValueError(
                f"QuantizedConv2d: x is {describe(x)}, too small for the pooling behind it; pass larger images"
            )
        return self._made(kernel(x, "conv2d")(x, *self._settings(), stride, padding, dilation, self.pooled))


class QuantizedMaxPool2d(Module):
    """`MaxPool2d` on codes, whose order is that of the numbers.

    Parameters
    ----------
    layer : nn.MaxPool2d

    Examples
    --------
    >>> import nnscratch as ns
    >>> codes = ns.tensor(np.array([[[[1, 2], [3, -4]]]], np.int8))
    >>> QuantizedMaxPool2d(ns.nn.MaxPool2d(2))(codes).numpy()
    array([[[[3]]]], dtype=int8)
    """

    def __init__(self, layer):
        super().__init__()
        self.settings = layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode

    def forward(self, x):
        """(N, C, H, W) int8 -> (N, C, OH, OW)"""
        size, name = x.shape[2:], "QuantizedMaxPool2d"
        window = pair(name, "kernel_size", self.settings[0], 1)
        stride, padding, dilation, _ = geometry(name, size, window, *self.settings[1:])
        return Tensor._of(kernel(x.data, "max_pool2d")(x.data, window, stride, padding, dilation))
