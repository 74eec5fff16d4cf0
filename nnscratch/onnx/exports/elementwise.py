"""Operations that work element by element."""

import numpy as np

from nnscratch.onnx.dtypes import number_of
from nnscratch.onnx.exports.table import EXPORTS, exports


def _unary(kind, **attributes):
    def write(c):
        c.write(kind, [c.value("x")], **attributes)

    return write


for _name, _kind in {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh",
    "ceil": "Ceil", "copy": "Identity", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "hardswish": "HardSwish", "isinf": "IsInf", "isnan": "IsNaN", "log": "Log", "negative": "Neg",
    "reciprocal": "Reciprocal", "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin",
    "sinh": "Sinh", "softplus": "Softplus", "softsign": "Softsign", "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh",
}.items():  # fmt: skip
    EXPORTS[_name] = _unary(_kind)


def _common(c, *names):
    """The dtype in which arguments meet: what NumPy makes of them, numbers being weak."""
    given = [c.calls[0].given[name] for name in names]
    return np.result_type(*(value if c.dtype(value) is None else c.dtype(value) for value in given))


def _binary(kind, same=True):
    def write(c):
        dtype = c.out_dtype if same else _common(c, "a", "b")
        c.write(kind, [c.value("a", dtype), c.value("b", dtype)])

    return write


for _name, _kind in {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow"}.items():
    EXPORTS[_name] = _binary(_kind)
for _name, _kind in {
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
}.items():  # fmt: skip
    EXPORTS[_name] = _binary(_kind, same=False)
for _name, _kind in {"maximum": "Max", "minimum": "Min"}.items():
    EXPORTS[_name] = _binary(_kind)


@exports("not_equal")
def _(c):
    dtype = _common(c, "a", "b")
    c.write("Not", [c.node("Equal", [c.value("a", dtype), c.value("b", dtype)])])


def _truth(kind):
    def write(c):
        c.write(kind, [c.value(name, np.dtype(bool)) for name in ("a", "b")])

    return write


for _name, _kind in {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}.items():
    EXPORTS[_name] = _truth(_kind)


@exports("logical_not")
def _(c):
    c.write("Not", [c.value("x", np.dtype(bool))])


@exports("remainder")
def _(c):
    a, b = c.value("a", c.out_dtype), c.value("b", c.out_dtype)
    if c.out_dtype.kind != "f":
        c.write("Mod", [a, b])
        return
    times = c.node("Mul", [c.node("Floor", [c.node("Div", [a, b])]), b])
    c.write("Sub", [a, times])


@exports("square")
def _(c):
    c.write("Mul", [c.value("x"), c.value("x")])


@exports("trunc")
def _(c):
    c.write("Mul", [c.node("Sign", [c.value("x")]), c.node("Floor", [c.node("Abs", [c.value("x")])])])


@exports("log1p")
def _(c):
    c.write("Log", [c.node("Add", [c.value("x"), c.named([1.0], c.out_dtype)])])


@exports("expm1")
def _(c):
    c.write("Sub", [c.node("Exp", [c.value("x")]), c.named([1.0], c.out_dtype)])


@exports("clip")
def _(c):
    bounds = [c.value(name, c.out_dtype) if c.has(name) else "" for name in ("low", "high")]
    c.write("Clip", [c.value("x"), *bounds])


@exports("where")
def _(c):
    c.write("Where", [c.value("condition", np.dtype(bool)), c.value("a", c.out_dtype), c.value("b", c.out_dtype)])


@exports("astype")
def _(c):
    c.write("Cast", [c.value("x")], to=number_of(c.out_dtype))


# Activations


@exports("softmax")
def _(c):
    c.write("Softmax", [c.value("x")], axis=c.setting("axis"))


@exports("log_softmax")
def _(c):
    c.write("LogSoftmax", [c.value("x")], axis=c.setting("axis"))


@exports("leaky_relu")
def _(c):
    c.write("LeakyRelu", [c.value("x")], alpha=float(c.setting("slope")))


@exports("elu")
def _(c):
    c.write("Elu", [c.value("x")], alpha=float(c.setting("alpha")))


@exports("celu")
def _(c):
    c.write("Celu", [c.value("x")], alpha=float(c.setting("alpha")))


@exports("selu")
def _(c):
    c.write("Selu", [c.value("x")], alpha=float(c.setting("alpha")), gamma=float(c.setting("gamma")))


@exports("hardsigmoid")
def _(c):
    c.write("HardSigmoid", [c.value("x")], alpha=float(c.setting("alpha")), beta=float(c.setting("beta")))


@exports("prelu")
def _(c):
    slope = c.value("weight")
    if len(c.shape("weight")) == 1 and len(c.shape("x")) > 2:  # one of each channel
        slope = c.node("Reshape", [slope, c.whole(-1, *(1,) * (len(c.shape("x")) - 2))])
    c.write("PRelu", [c.value("x"), slope])


@exports("silu")
def _(c):
    c.write("Mul", [c.value("x"), c.node("Sigmoid", [c.value("x")])])


@exports("mish")
def _(c):
    if c.opset >= 18:
        c.write("Mish", [c.value("x")])
    else:
        c.write("Mul", [c.value("x"), c.node("Tanh", [c.node("Softplus", [c.value("x")])])])


@exports("gelu")
def _(c):
    x, tanh = c.value("x"), c.setting("approximate") == "tanh"
    if c.opset >= 20:
        c.write("Gelu", [x], approximate=c.setting("approximate"))
        return

    def number(value):
        return c.named([value], c.out_dtype)

    if tanh:
        cube = c.node("Mul", [c.node("Mul", [c.node("Mul", [x, x]), x]), number(0.044715)])
        gate = c.node("Tanh", [c.node("Mul", [c.node("Add", [x, cube]), number((2 / np.pi) ** 0.5)])])
    else:
        gate = c.node("Erf", [c.node("Mul", [x, number(0.5**0.5)])])
    half = c.node("Mul", [c.node("Add", [gate, number(1.0)]), number(0.5)])
    c.write("Mul", [x, half])


@exports("normal_cdf")
def _(c):
    gate = c.node("Erf", [c.node("Mul", [c.value("x"), c.named([0.5**0.5], c.out_dtype)])])
    c.write("Mul", [c.node("Add", [gate, c.named([1.0], c.out_dtype)]), c.named([0.5], c.out_dtype)])
