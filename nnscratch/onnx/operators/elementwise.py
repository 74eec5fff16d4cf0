"""Operators that work element by element."""

import functools
import math

import numpy as np

from nnscratch import functional as F
from nnscratch.onnx.dtypes import dtype_of
from nnscratch.onnx.table import OPERATORS, like, need, operator
from nnscratch.ops import elementwise as e
from nnscratch.ops import reduce, shape
from nnscratch.tensor import tensor

# What has the same name, arguments and meaning but for its spelling
OPERATORS.update(
    Abs=e.abs, Acos=e.acos, Acosh=e.acosh, Asin=e.asin, Asinh=e.asinh, Atan=e.atan, Atanh=e.atanh, Ceil=e.ceil, Cos=e.cos,
    Cosh=e.cosh, Erf=e.erf, Exp=e.exp, Floor=e.floor, HardSwish=F.hardswish, Identity=e.copy, IsNaN=e.isnan, Log=e.log,
    Mish=F.mish, Neg=e.negative, Not=e.logical_not, PRelu=F.prelu, Reciprocal=e.reciprocal, Relu=F.relu, Round=e.round,
    Sigmoid=F.sigmoid, Sign=e.sign, Sin=e.sin, Sinh=e.sinh, Softplus=F.softplus, Softsign=F.softsign, Sqrt=e.sqrt, Tan=e.tan,
    Tanh=e.tanh, Where=e.where,
)  # fmt: skip


def _divide(a, b):
    return e.divide(a, b) if a.dtype.kind == "f" else e.astype(e.trunc(e.divide(a, b)), a.dtype)


def _power(a, b):
    return like(e.power(a, b), a)


def _pairwise(name, function):
    @operator(name)
    def _(a, b, *, broadcast=1, axis=None, at):
        if at.opset < 7 and axis is not None:  # b's axes stand at a's from there on
            b = shape.reshape(b, (*b.shape, *(1,) * (a.ndim - axis % a.ndim - b.ndim)))
        return function(a, b)


for _name, _function in {
    "Add": e.add, "And": e.logical_and, "Div": _divide, "Equal": e.equal, "Greater": e.greater, "GreaterOrEqual": e.greater_equal,
    "Less": e.less, "LessOrEqual": e.less_equal, "Mul": e.multiply, "Or": e.logical_or, "Pow": _power, "Sub": e.subtract,
    "Xor": e.logical_xor,
}.items():  # fmt: skip
    _pairwise(_name, _function)


@operator("Mod")
def _(a, b, *, fmod=0):
    # with fmod the result has the sign of a
    return e.sign(a) * e.remainder(e.abs(a), e.abs(b)) if fmod else e.remainder(a, b)


@operator("Max")
def _(*x):
    return functools.reduce(e.maximum, x)


@operator("Min")
def _(*x):
    return functools.reduce(e.minimum, x)


@operator("Sum")
def _(*x):
    return functools.reduce(e.add, x)


@operator("Mean")
def _(*x):
    return functools.reduce(e.add, x) / len(x)


@operator("IsInf")
def _(x, *, detect_negative=1, detect_positive=1):
    sides = e.logical_or((x > 0) & bool(detect_positive), (x < 0) & bool(detect_negative))
    return e.isinf(x) & sides


@operator("Clip")
def _(x, low=None, high=None, *, min=None, max=None):
    low, high = (
        getattr(bound, "item", lambda value=bound: value)()
        for bound in (min if low is None else low, max if high is None else high)
    )
    if low is None and high is None:
        return x
    need(low is None or high is None or low <= high, "ns.clip refuses a low bound above the high one")
    return e.clip(x, low, high)


@operator("Cast")
def _(x, *, to, saturate=1, round_mode="up"):
    return e.astype(x, dtype_of(to))


@operator("CastLike")
def _(x, like, *, saturate=1, round_mode="up"):
    return e.astype(x, like.dtype)


@operator("BitwiseNot")
def _(x):
    return tensor(np.bitwise_not(x.numpy()))


def _bitwise(name, function):
    @operator(name)
    def _(a, b):
        return tensor(function(a.numpy(), b.numpy()))


_bitwise("BitwiseAnd", np.bitwise_and)
_bitwise("BitwiseOr", np.bitwise_or)
_bitwise("BitwiseXor", np.bitwise_xor)


@operator("BitShift")
def _(a, b, *, direction):
    return tensor({"LEFT": np.left_shift, "RIGHT": np.right_shift}[direction](a.numpy(), b.numpy()))


# Activations


@operator("Celu")
def _(x, *, alpha=1.0):
    return F.celu(x, alpha)


@operator("Elu")
def _(x, *, alpha=1.0):
    return F.elu(x, alpha)


@operator("Gelu")
def _(x, *, approximate="none"):
    return F.gelu(x, approximate)


@operator("HardSigmoid")
def _(x, *, alpha=0.2, beta=0.5):
    return F.hardsigmoid(x, alpha, beta)


@operator("LeakyRelu")
def _(x, *, alpha=0.01):
    return F.leaky_relu(x, alpha)


@operator("Selu")
def _(x, *, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875):
    return F.selu(x, alpha, gamma)


@operator("Shrink")
def _(x, *, bias=0.0, lambd=0.5):
    return like(e.where(x < -lambd, x + bias, e.where(x > lambd, x - bias, 0)), x)


@operator("Swish")
def _(x, *, alpha=1.0):
    return F.silu(alpha * x) / alpha


@operator("ThresholdedRelu")
def _(x, *, alpha=1.0):
    return like(e.where(x > alpha, x, 0), x)


# Along an axis; before opset 13 over all axes from that on together, and by default over all but the first


def _along_axis(name, function):
    @operator(name)
    def _(x, *, axis=None, at):
        if at.opset >= 13:
            return function(x, -1 if axis is None else axis)
        axis = 1 if axis is None else axis
        axis = axis + x.ndim if axis < 0 else axis
        rows = shape.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
        return shape.reshape(function(rows, 1), x.shape)


def _softmax(x, axis):
    if x.dtype == np.float16:
        # the standard's body rounds at each step, and one case's tolerance leaves no room for F.softmax's single rounding
        raised = e.exp(x - reduce.max(x, axis, True))
        return raised / reduce.sum(raised, axis, True)
    return F.softmax(x, axis)


def _hardmax(x, axis):
    places = shape.reshape(tensor(np.arange(x.shape[axis])), (-1, *(1,) * (x.ndim - 1 - axis % x.ndim)))
    return e.astype(e.equal(reduce.argmax(x, axis, True), places), x.dtype)


_along_axis("Softmax", _softmax)
_along_axis("LogSoftmax", F.log_softmax)
_along_axis("Hardmax", _hardmax)
