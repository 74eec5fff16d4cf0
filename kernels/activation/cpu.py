"""Elementary functions with NumPy: the definitions piece by piece, in fewer passes where there are any to save.

Large arrays of float32 go to compiled loops (``loops.py``), one pass through memory each. Activation functions and gradients that
NumPy would do operation by operation have nothing but their loop here: they return None where that is not to be used.

No kernel here gives a NumPy warning.
"""

import numpy as np

from .. import compiled, threads
from ..pieces import by_pieces
from . import definition
from .definition import erf_near, erfc_positive

ONE = np.ones(())  # NumPy takes it more quickly than the number.

#: The work of an element, in multiplications, its way from memory and back included (see `threads.WORK_OF_AN_ELEMENT`).
WORK = 48
#: The most elements that a vector may have, of which loops take one at least.
VECTOR = 64


def _by_loop(name, arrays, *numbers):
    """What the loop of that name makes of arrays and numbers, or None where it does not take them: other dtypes, small arrays.

    The size alone decides, so that results do not depend on what has run before.
    """
    first = arrays[0]
    if first.size < compiled.LEAST or first.size < VECTOR or first.dtype.char != "f":
        return None
    if any(type(a) is not np.ndarray or a.shape != first.shape for a in arrays[1:]):
        return None
    if any(type(number) is not float and type(number) is not int for number in numbers):
        return None
    loops = compiled.module("activation.loops", *arrays)
    if loops is None:
        return None
    loop, result = getattr(loops, name), np.empty(first.shape, first.dtype)
    flat = [compiled.contiguous(a).reshape(-1) for a in arrays] + [result.reshape(-1)]
    numbers = [float(number) for number in numbers]
    threads.split(result.size, result.size * WORK, lambda *part: loop(*[a[slice(*part)] for a in flat], *numbers))
    return result


_wide_sigmoid, _wide_softplus = by_pieces(definition.sigmoid), by_pieces(definition.softplus)


def sigmoid(x):
    """``1 / (1 + exp(-x))``, as the definition; of shorter numbers than float64 by fewer steps.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, -2.0, 0.0, 800.0], np.float32))
    array([0.        , 0.11920292, 0.5       , 1.        ], dtype=float32)
    """
    if 0 < x.size <= LITTLE and x.itemsize < 8:
        return _small_sigmoid(x)
    y = _by_loop("sigmoid", [x])
    if y is not None:
        return y
    return _wide_sigmoid(x) if x.itemsize == 8 else _short_sigmoid(x)


def softplus(x):
    """``log(1 + exp(x))``, as the definition.

    Examples
    --------
    >>> softplus(np.array([-50.0, 0.0, 1e30], np.float32))
    array([1.9287499e-22, 6.9314718e-01, 1.0000000e+30], dtype=float32)
    """
    y = _by_loop("softplus", [x])
    return _wide_softplus(x) if y is None else y


#: Elements up to which it is quicker to keep exponentials finite than to tell NumPy not to warn of them.
LITTLE = 1 << 10
#: Beyond, the exponential of float64 is infinite; float32's sigmoid is 0 long before.
LOWEST = np.array(-700.0)


def _small_sigmoid(x):
    y = x.astype(np.float64)
    np.maximum(y, LOWEST, out=y)
    np.negative(y, y)
    np.exp(y, y)
    y += ONE
    return np.divide(ONE, y, y).astype(x.dtype)


@by_pieces
def _short_sigmoid(x):
    """Where exp(-x) is infinite in float64 the result is 0 in float32."""
    y = np.negative(x)
    np.exp(y, y)
    y += ONE
    return np.divide(ONE, y, y)


def _choose(condition, x, yes, no):
    """yes(x) where the condition holds, no(x) elsewhere: each computed only where it is used."""
    y = np.empty_like(x)
    y[condition] = yes(x[condition])
    y[~condition] = no(x[~condition])
    return y


@by_pieces
def erf(x):
    """The error function, as the definition, each of its two formulas only where it counts."""

    def far(x):
        return np.copysign(1 - erfc_positive(np.abs(x)), x)

    return _choose(np.abs(x) < 1, x, erf_near, far)


@by_pieces
def erfc(x):
    """``1 - erf(x)``, as the definition, each of its two formulas only where it counts."""

    def far(x):
        y = erfc_positive(np.abs(x))
        return np.where(x < 0, 2 - y, y)

    return _choose((x > -1) & (x < 0.5), x, lambda x: 1 - erf_near(x), far)


def sigmoid_gradient(g, y):
    return _by_loop("sigmoid_gradient", [g, y])


def tanh_gradient(g, y):
    return _by_loop("tanh_gradient", [g, y])


def softplus_gradient(g, x):
    return _by_loop("softplus_gradient", [g, x])


def silu(x):
    return _by_loop("silu", [x])


def silu_gradient(g, x):
    return _by_loop("silu_gradient", [g, x])


def gelu(x, approximate):
    return _by_loop("gelu" if approximate == "none" else "gelu_tanh", [x]) if approximate in ("none", "tanh") else None


def gelu_gradient(g, x, approximate):
    return _by_loop("gelu_gradient" if approximate == "none" else "gelu_tanh_gradient", [g, x])


def elu(x, alpha):
    return _by_loop("exponential_linear", [x], 1.0, alpha, 1.0)


def elu_gradient(g, x, alpha):
    return _by_loop("exponential_linear_gradient", [g, x], 1.0, alpha, 1.0)


def selu(x, alpha, gamma):
    return _by_loop("exponential_linear", [x], gamma, gamma * alpha, 1.0)


def selu_gradient(g, x, alpha, gamma):
    return _by_loop("exponential_linear_gradient", [g, x], gamma, gamma * alpha, 1.0)


#: Of celu's alpha, which its loops divide by once.
LEAST_ALPHA = 1e-30


def celu(x, alpha):
    return _by_loop("exponential_linear", [x], 1.0, alpha, 1 / alpha) if alpha > LEAST_ALPHA else None


def celu_gradient(g, x, alpha):
    return _by_loop("exponential_linear_gradient", [g, x], 1.0, 1.0, 1 / alpha) if alpha > LEAST_ALPHA else None


def leaky_relu(x, slope):
    return _by_loop("leaky_relu", [x], slope)


def relu_gradient(g, y):
    return _by_loop("leaky_relu_gradient", [g, y], 0.0)


def leaky_relu_gradient(g, x, slope):
    return _by_loop("leaky_relu_gradient", [g, x], slope)


def hardsigmoid(x, alpha, beta):
    return _by_loop("hardsigmoid", [x], alpha, beta)


def hardsigmoid_gradient(g, y, alpha):
    return _by_loop("hardsigmoid_gradient", [g, y], alpha)


def hardswish(x):
    return _by_loop("hardswish", [x])


def hardswish_gradient(g, x):
    return _by_loop("hardswish_gradient", [g, x])


def mish(x):
    return _by_loop("mish", [x])


def mish_gradient(g, x):
    return _by_loop("mish_gradient", [g, x])
