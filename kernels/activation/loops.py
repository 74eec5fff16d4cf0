"""Activation functions and their gradients as loops on float32, compiled by Numba when first called: what ``cpu.py`` does for large arrays.

Each is its formula on vectors (`nnscratch.kernels.elementary`), in float64 where float32 would lose digits or has no need to be quick,
and goes through its arrays once. Those are flat, of one length, which is a vector's at least. ``d`` is the gradient of the result, and
``y`` that result.
"""

import functools
import inspect
import math

from llvmlite import ir

from .. import simd
from ..elementary import (
    Vector,
    at_least,
    at_most,
    choose,
    exponential,
    exponential_less_one,
    log_of_one_more,
    normal,
    size,
)

_ROOT, _CUBIC = math.sqrt(2 / math.pi), 0.044715


def _each(formula, kind):
    """The kernel (arrays, array of the results, numbers, how many elements) that computes a formula of vectors and numbers.

    Those of its parameters that are called d, x and y are vectors, the others numbers in all lanes, all of them of that kind.
    """
    names = list(inspect.signature(formula).parameters)
    count = sum(name in "dxy" for name in names)

    def write(code, *args):
        sources, target, numbers, length = args[:count], args[count], args[count + 1 : -1], args[-1]
        build, vector = code.builder, ir.VectorType(kind, code.lanes)
        if kind == code.kind:
            numbers = [build.fptrunc(number, kind) for number in numbers]
        numbers = [Vector(build, code.fill(number, vector)) for number in numbers]

        def one(begin):
            values = [Vector(build, code.load(code.at(source, begin))) for source in sources]
            if kind != code.kind:
                values = [value.wide() for value in values]
            result = formula(*values, *numbers)
            code.store((result if kind == code.kind else result.narrow()).value, code.at(target, begin))

        code.vectors(length, one)

    parameters = ["code", *names[:count], "target", *names[count:], "length"]
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    write.__signature__ = inspect.Signature([inspect.Parameter(name, place) for name in parameters])
    write.__name__, write.__doc__ = formula.__name__, formula.__doc__
    return simd.kernel(write)


#: The decorators of formulas on float64, and of those that are as good on float32.
_wide = functools.partial(_each, kind=ir.DoubleType())
_short = functools.partial(_each, kind=ir.FloatType())


def _logistic(x):
    """The sigmoid, and 1 less it, on float32, neither of which loses digits."""
    e = exponential(-size(x))
    greater = 1 / (1 + e)
    less = e * greater
    return choose(x > 0, greater, less), choose(x > 0, less, greater)


@_short
def _sigmoid(x):
    return _logistic(x)[0]


@simd.compiled
def sigmoid(x, out):
    _sigmoid(x, out, x.size)


@_short
def _sigmoid_gradient(d, y):
    return d * (y * (1 - y))


@simd.compiled
def sigmoid_gradient(d, y, out):
    _sigmoid_gradient(d, y, out, d.size)


@_short
def _tanh_gradient(d, y):
    return d * (1 - y * y)


@simd.compiled
def tanh_gradient(d, y, out):
    _tanh_gradient(d, y, out, d.size)


@_wide
def _softplus(x):
    return at_least(x, 0.0) + log_of_one_more(exponential(-size(x)))


@simd.compiled
def softplus(x, out):
    _softplus(x, out, x.size)


@_short
def _softplus_gradient(d, x):
    return d * _logistic(x)[0]


@simd.compiled
def softplus_gradient(d, x, out):
    _softplus_gradient(d, x, out, d.size)


@_short
def _silu(x):
    return x * _logistic(x)[0]


@simd.compiled
def silu(x, out):
    _silu(x, out, x.size)


@_short
def _silu_gradient(d, x):
    s, rest = _logistic(x)
    return d * (s * (1 + x * rest))


@simd.compiled
def silu_gradient(d, x, out):
    _silu_gradient(d, x, out, d.size)


@_short
def _gelu(x):
    return x * normal(x)[0]


@simd.compiled
def gelu(x, out):
    _gelu(x, out, x.size)


@_short
def _gelu_gradient(d, x):
    distribution, density = normal(x)
    return d * (distribution + x * density)


@simd.compiled
def gelu_gradient(d, x, out):
    _gelu_gradient(d, x, out, d.size)


def _gate(x):
    """The sigmoid of 2 √(2/π) (x + 0.044715 x³), and x² within bounds beyond which it changes nothing."""
    square = at_most(x * x, 1600.0)
    return 1 / (
        1 + exponential(at_most(at_least(x, -40.0), 40.0) * (square * (-2 * _ROOT * _CUBIC) - 2 * _ROOT))
    ), square


@_wide
def _gelu_tanh(x):
    return x * _gate(x)[0]


@simd.compiled
def gelu_tanh(x, out):
    _gelu_tanh(x, out, x.size)


@_wide
def _gelu_tanh_gradient(d, x):
    s, square = _gate(x)
    return d * (s + x * (s * (1 - s) * (square * (6 * _ROOT * _CUBIC) + 2 * _ROOT)))


@simd.compiled
def gelu_tanh_gradient(d, x, out):
    _gelu_tanh_gradient(d, x, out, d.size)


@_wide
def _exponential_linear(x, above, below, rate):
    return choose(x > 0, x * above, below * exponential_less_one(at_most(x, 0.0) * rate))


@simd.compiled
def exponential_linear(x, out, above, below, rate):
    _exponential_linear(x, out, above, below, rate, x.size)


@_wide
def _exponential_linear_gradient(d, x, above, below, rate):
    return d * choose(x > 0, above, below * exponential(at_most(x, 0.0) * rate))


@simd.compiled
def exponential_linear_gradient(d, x, out, above, below, rate):
    _exponential_linear_gradient(d, x, out, above, below, rate, d.size)


@_short
def _leaky_relu(x, slope):
    return choose(x > 0, x, x * slope)


@simd.compiled
def leaky_relu(x, out, slope):
    _leaky_relu(x, out, slope, x.size)


@_short
def _leaky_relu_gradient(d, x, slope):
    return choose(x > 0, d, d * slope)


@simd.compiled
def leaky_relu_gradient(d, x, out, slope):
    _leaky_relu_gradient(d, x, out, slope, d.size)


@_short
def _hardsigmoid(x, alpha, beta):
    return at_most(at_least(x * alpha + beta, 0.0), 1.0)


@simd.compiled
def hardsigmoid(x, out, alpha, beta):
    _hardsigmoid(x, out, alpha, beta, x.size)


@_short
def _hardsigmoid_gradient(d, y, alpha):
    return choose(y > 0, choose(y < 1, d * alpha, 0.0), 0.0)


@simd.compiled
def hardsigmoid_gradient(d, y, out, alpha):
    _hardsigmoid_gradient(d, y, out, alpha, d.size)


@_short
def _hardswish(x):
    return x * at_most(at_least(x * (1 / 6) + 0.5, 0.0), 1.0)


@simd.compiled
def hardswish(x, out):
    _hardswish(x, out, x.size)


@_short
def _hardswish_gradient(d, x):
    return choose(x > -3, choose(x < 3, d * ((x + x + 3) / 6), d), d * 0.0)


@simd.compiled
def hardswish_gradient(d, x, out):
    _hardswish_gradient(d, x, out, d.size)


@_wide
def _mish(x):
    e = exponential(at_most(x, 80.0))
    n = e * (e + 2)
    return x * (n / (n + 2))


@simd.compiled
def mish(x, out):
    _mish(x, out, x.size)


@_wide
def _mish_gradient(d, x):
    """With t = n / (n + 2): 1 - t² = 4 (n + 1) / (n + 2)², and n + 1 is the square of what the sigmoid is divided by."""
    x = at_most(x, 80.0)  # beyond, it is 1 to the last digit
    e = exponential(x)
    n = e * (e + 2)
    return d * ((n + x * (4 * e * (1 + e)) / (n + 2)) / (n + 2))


@simd.compiled
def mish_gradient(d, x, out):
    _mish_gradient(d, x, out, d.size)
