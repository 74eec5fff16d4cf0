"""Activation functions, each beside its formula."""

import numpy as np

from nnscratch.autograd import describe, op
from nnscratch.ops.elementwise import (
    abs,
    clip,
    exp,
    greater,
    less,
    logical_and,
    multiply,
    tanh,
    where,
)
from nnscratch.ops.families import floating
from nnscratch.ops.fused import fused
from nnscratch.ops.reduce import sum
from nnscratch.ops.shape import normalise_axis
from nnscratch.sample_inputs import Case, apart, normal, positive

_ONE = (Case(normal(3, 4)), Case(normal()), Case(normal(2, 0)))
_KINK = (Case(apart(3, 4)), Case(apart()))
_ROWS = (Case(normal(3, 4)), Case(normal(3, 4), 0), Case(normal(2, 3, 4), 1), Case(normal(5)))


@op(
    formula=r"f(x) = \frac{1}{1 + e^{-x}}",
    derivative=r"f(x)\,(1 - f(x))",
    document="F2: 000 §4; 004 §4.4.2",
    kernel="activation.sigmoid",
    keeps_arguments=True,
    samples=_ONE,
)
def sigmoid(x):
    """The logistic function, within 4 units in the last place for all finite inputs.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype, in [0, 1].

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.sigmoid(ns.tensor([0.0, 2.0]))
    tensor([0.5       , 0.88079709])
    """
    x = floating(x)
    return sigmoid.kernel(x)


@sigmoid.rule("x")
@fused("activation.sigmoid_gradient")
def _(g, y):
    return g * (y * (1 - y))


@op(
    formula=r"f(x) = \max(0, x)",
    derivative=r"[x > 0] \quad (0 \text{ at } 0)",
    document="F3: 000 §4; 002 §4.1; 004 §4.4.1 (E7)",
    keeps_arguments=True,
    samples=_KINK,
)
def relu(x):
    """The rectifier; its derivative at 0 is 0.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.relu(ns.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return np.maximum(x, 0)


@relu.rule("x")
@fused("activation.relu_gradient")
def _(g, y):
    return g * (y > 0)


def _check_axis(name, x, axis):
    if x.ndim == 0:
        raise ValueError(f"{name}: got a single number, expected at least one axis to normalise over; pass a vector")
    return axis if type(axis) is int and axis == -1 else normalise_axis(axis, x.ndim, name)[0]


@op(
    formula=r"\frac{e^{z_i}}{\sum_j e^{z_j}}",
    derivative=r"y_i\,([i = j] - y_j)",
    document="F5: 002 §4.1; F13: 003 §4.1",
    kernel="softmax.softmax",
    keeps_arguments=True,
    samples=_ROWS,
)
def softmax(x, axis=-1):
    """Exponentials divided by their sum over `axis`, within 4 units in the last place for all finite inputs.

    Parameters
    ----------
    x : Tensor or array
        At least one axis, floating point.
    axis : int
        The axis over which the results sum to 1.

    Returns
    -------
    The same shape and dtype.

    Raises
    ------
    ValueError
        Where there is no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.softmax(ns.tensor([0.0, 0.0]))
    tensor([0.5, 0.5])
    """
    x = floating(x)
    return softmax.kernel(x, _check_axis("softmax", x, axis))


@softmax.rule("x")
@fused("softmax.softmax_gradient")
def _(g, y, axis):
    gy = g * y
    return gy - y * sum(gy, axis, True)


@op(
    formula=r"\ln \frac{e^{z_i}}{\sum_j e^{z_j}}",
    derivative=r"[i = j] - \operatorname{softmax}(z)_j",
    document="F5: 002 §4.1, its logarithm",
    kernel="softmax.log_softmax",
    samples=_ROWS,
)
def log_softmax(x, axis=-1):
    """The logarithm of softmax over `axis`, within 4 units in the last place for all finite inputs.

    Parameters
    ----------
    x : Tensor or array
        At least one axis, floating point.
    axis : int
        The axis over which the results' exponentials sum to 1.

    Returns
    -------
    The same shape and dtype, at most 0.

    Raises
    ------
    ValueError
        Where there is no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.log_softmax(ns.tensor([0.0, 0.0]))
    tensor([-0.6931472, -0.6931472])
    """
    x = floating(x)
    return log_softmax.kernel(x, _check_axis("log_softmax", x, axis))


@log_softmax.rule("x")
@fused("softmax.log_softmax_gradient")
def _(g, y, axis):
    return g - exp(y) * sum(g, axis, True)


@op(formula=r"\ln(1 + e^x)", derivative=r"\frac{1}{1 + e^{-x}}", kernel="activation.softplus", samples=_ONE)
def softplus(x):
    """The logarithm of 1 + eˣ, within 4 units in the last place for all finite inputs (Dugas et al., 2001).

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.softplus(ns.tensor([0.0, 100.0]))
    tensor([  0.6931472, 100.       ])
    """
    x = floating(x)
    return softplus.kernel(x)


@softplus.rule("x")
@fused("activation.softplus_gradient")
def _(g, x):
    return g * sigmoid(x)


@op(
    formula=r"\tfrac12 x \left(1 + \operatorname{erf} \tfrac{x}{\sqrt2}\right)",
    derivative=r"\Phi(x) + x\,\varphi(x)",
    samples=(*_ONE, Case(normal(3, 4), "tanh")),
)
@fused("activation.gelu")
def gelu(x, approximate="none"):
    """x times the normal distribution function of x (Hendrycks & Gimpel, 2016), by the error function.

    With ``approximate="tanh"`` the distribution function is (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, as in GPT-2.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    approximate : "none" or "tanh"

    Returns
    -------
    The same shape and dtype.

    Raises
    ------
    ValueError
        Where the approximation is unknown.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.gelu(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.8413447])
    >>> ns.functional.gelu(ns.tensor([0.0, 1.0]), "tanh")
    tensor([0.       , 0.841192])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate {approximate!r} is unknown; pass 'none' or 'tanh'")
    if approximate == "none":
        return x * normal_cdf(x)
    return x * _gelu_gate(x)[0]


@gelu.rule("x")
@fused("activation.gelu_gradient")
def _(g, x, approximate):
    if approximate == "none":
        return g * (normal_cdf(x) + x * _normal_density(x))
    s, slope = _gelu_gate(x)
    return g * (s + x * slope)


def _gelu_gate(x):
    """(1 + tanh u) / 2 = sigmoid(2u), the approximate distribution function, and its derivative."""
    x = clip(x, -40, 40)  # beyond, both are 0 or 1 to the last digit, and x² could overflow
    root, cubic = (2 / np.pi) ** 0.5, 0.044715
    s = sigmoid(2 * root * x * (1 + cubic * x * x))
    return s, s * (1 - s) * (2 * root * (1 + 3 * cubic * x * x))


@op(
    formula=r"\Phi(x) = \tfrac12 \operatorname{erfc}\left(-\tfrac{x}{\sqrt2}\right)",
    derivative=r"\varphi(x) = \tfrac{1}{\sqrt{2\pi}} e^{-x^2/2}",
    kernel="activation.erfc",
    samples=_ONE,
)
def normal_cdf(x):
    """The normal distribution function.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.normal_cdf(ns.tensor([0.0, 1.0]))
    tensor([0.5      , 0.8413447])
    """
    return 0.5 * normal_cdf.kernel(np.multiply(floating(x), -(0.5**0.5)))


@normal_cdf.rule("x")
def _(g, x):
    return g * _normal_density(x)


def _normal_density(x):
    x = clip(x, -40, 40)  # beyond, it is 0 to the last digit, and x² could overflow
    return (2 * np.pi) ** -0.5 * exp(-0.5 * x * x)


@op(formula=r"\frac{x}{1 + e^{-x}}", derivative=r"\sigma(x)\,(1 + x\,(1 - \sigma(x)))", samples=_ONE)
@fused("activation.silu")
def silu(x):
    """x times its sigmoid (Elfwing et al., 2018), also called swish.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.silu(ns.tensor([0.0, 1.0]))
    tensor([0.        , 0.73105858])
    """
    return x * sigmoid(x)


@silu.rule("x")
@fused("activation.silu_gradient")
def _(g, x):
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


@op(
    formula=r"x \text{ for } x > 0, \text{ else } s x",
    derivative=r"1 \text{ or } s \quad (s \text{ at } 0)",
    samples=(*_KINK, Case(apart(4), 0.2)),
)
@fused("activation.leaky_relu")
def leaky_relu(x, slope=0.01):
    """The rectifier with a small slope below 0 (Maas et al., 2013); its derivative at 0 is the slope.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    slope : float
        Below 0.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.leaky_relu(ns.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1,  2. ])
    """
    return np.where(np.greater(x, 0), x, np.multiply(x, slope))


@leaky_relu.rule("x")
@fused("activation.leaky_relu_gradient")
def _(g, x, slope):
    return where(greater(x, 0), g, g * slope)


@op(
    formula=r"x \text{ for } x > 0, \text{ else } \alpha (e^x - 1)",
    derivative=r"1 \text{ or } \alpha e^x \quad (\alpha \text{ at } 0)",
    samples=(*_KINK, Case(apart(4), 0.5)),
)
@fused("activation.elu")
def elu(x, alpha=1.0):
    """The exponential linear unit (Clevert et al., 2016); its derivative at 0 is alpha.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    alpha : float
        Results come near ``-alpha`` far below 0.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.elu(ns.tensor([-1.0, 2.0]))
    tensor([-0.63212055,  2.        ])
    """
    return np.where(np.greater(x, 0), x, alpha * np.expm1(np.minimum(x, 0)))


@elu.rule("x")
@fused("activation.elu_gradient")
def _(g, x, alpha):
    above = greater(x, 0)
    return where(above, g, g * (alpha * exp(where(above, 0, x))))


@op(
    formula=r"\gamma x \text{ for } x > 0, \text{ else } \gamma \alpha (e^x - 1)",
    derivative=r"\gamma \text{ or } \gamma \alpha e^x \quad (\gamma \alpha \text{ at } 0)",
    samples=(*_KINK, Case(apart(4), 2.0, 3.0)),
)
@fused("activation.selu")
def selu(x, alpha=1.6732632423543772, gamma=1.0507009873554805):
    """The scaled exponential linear unit (Klambauer et al., 2017), which keeps values standardised through many layers.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    alpha, gamma : float
        Those of the paper; far below 0 results come near ``-alpha * gamma``, and gamma is the slope above 0.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.selu(ns.tensor([-1.0, 2.0]))
    tensor([-1.1113307,  2.101402 ])
    """
    return gamma * elu(x, alpha)


@selu.rule("x")
@fused("activation.selu_gradient")
def _(g, x, alpha, gamma):
    above = greater(x, 0)
    return where(above, g * gamma, g * (gamma * alpha * exp(where(above, 0, x))))


@op(
    formula=r"\max(0, x) + \min(0, \alpha (e^{x/\alpha} - 1))",
    derivative=r"1 \text{ for } x > 0, \text{ else } e^{x/\alpha}",
    samples=(*_KINK, Case(apart(4), 0.5)),
)
@fused("activation.celu")
def celu(x, alpha=1.0):
    """The exponential linear unit with a derivative that does not jump at 0 (Barron, 2017).

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    alpha : float
        Above 0; results come near ``-alpha`` far below 0.

    Returns
    -------
    The same shape and dtype.

    Raises
    ------
    ValueError
        Where `alpha` is not above 0.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.celu(ns.tensor([-1.0, 2.0]), 2.0)
    tensor([-0.78693867,  2.        ])
    """
    if not alpha > 0:
        raise ValueError(f"celu: alpha is {alpha!r}, expected a number above 0; pass for example 1.0")
    return np.where(np.greater(x, 0), x, alpha * np.expm1(np.minimum(x, 0) / alpha))


@celu.rule("x")
@fused("activation.celu_gradient")
def _(g, x, alpha):
    above = greater(x, 0)
    return where(above, g, g * exp(where(above, 0, x) / alpha))


@op(
    formula=r"x \text{ for } x > 0, \text{ else } w x",
    derivative=r"1 \text{ or } w \quad (w \text{ at } 0); \quad \min(0, x)",
    samples=(Case(apart(3, 4), positive(4)), Case(apart(2, 3, 4), positive(3, 1)), Case(apart(3), positive())),
)
def prelu(x, weight):
    """The rectifier with a slope below 0 that is learnt (He et al., 2015); its derivative at 0 is the slope.

    Parameters
    ----------
    x : Tensor or array
    weight : Tensor or array
        The slope, in a shape that broadcasts to that of `x`: for channels (C, 1, 1).

    Returns
    -------
    The shape of `x`.

    Raises
    ------
    ValueError
        Where the weight does not broadcast to the shape of `x`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.prelu(ns.tensor([-1.0, 2.0]), ns.tensor([0.5, 0.5]))
    tensor([-0.5,  2. ])
    """
    y = np.where(np.greater(x, 0), x, np.multiply(x, weight))
    if y.shape != np.shape(x):
        raise ValueError(
            f"prelu: weight {describe(weight)} does not broadcast to the shape of x {describe(x)}; reshape it to (C, 1, ...)"
        )
    return y


@prelu.rule("x")
def _(g, x, weight):
    return where(greater(x, 0), g, g * weight)


@prelu.rule("weight")
def _(g, x):
    return g * where(greater(x, 0), 0, x)


@op(
    formula=r"\max(0, \min(1, \alpha x + \beta))",
    derivative=r"\alpha\,[0 < \alpha x + \beta < 1] \quad (0 \text{ at the ends})",
    samples=(*_KINK, Case(apart(24)), Case(apart(4), 0.2, 0.5)),
)
@fused("activation.hardsigmoid")
def hardsigmoid(x, alpha=1 / 6, beta=0.5):
    """The sigmoid made of three straight lines; its derivative at the two corners is 0.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    alpha, beta : float
        The middle line: alpha x + beta.

    Returns
    -------
    The same shape and dtype, in [0, 1].

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.hardsigmoid(ns.tensor([-3.0, 0.0, 9.0]))
    tensor([0. , 0.5, 1. ])
    """
    return np.clip(np.add(np.multiply(x, alpha), beta), 0, 1)


@hardsigmoid.rule("x")
@fused("activation.hardsigmoid_gradient")
def _(g, y, alpha):
    return where(logical_and(greater(y, 0), less(y, 1)), g * alpha, 0)


@op(
    formula=r"x \max(0, \min(1, \tfrac{x + 3}{6}))",
    derivative=r"0 \text{ for } x \le -3, \quad 1 \text{ for } x \ge 3, \quad \text{else } \tfrac{2x + 3}{6}",
    samples=(*_KINK, Case(apart(24))),
)
@fused("activation.hardswish")
def hardswish(x):
    """x times its hard sigmoid (Howard et al., 2019); its derivative at -3 is 0 and at 3 is 1.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.hardswish(ns.tensor([-3.0, 1.5, 4.0]))
    tensor([0.   , 1.125, 4.   ])
    """
    return x * hardsigmoid(x)


@hardswish.rule("x")
@fused("activation.hardswish_gradient")
def _(g, x):
    inside = logical_and(greater(x, -3), less(x, 3))
    return where(inside, g * ((2 * x + 3) / 6), multiply(g, greater(x, 0)))


@op(
    formula=r"x \tanh \ln(1 + e^x)",
    derivative=r"t + x\,\sigma(x)\,(1 - t^2) \quad (t = \tanh \ln(1 + e^x))",
    samples=_ONE,
)
@fused("activation.mish")
def mish(x):
    """x times the hyperbolic tangent of its softplus (Misra, 2019).

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.mish(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.8650984])
    """
    return x * tanh(softplus(x))


@mish.rule("x")
@fused("activation.mish_gradient")
def _(g, x):
    t = tanh(softplus(x))
    return g * (t + x * sigmoid(x) * (1 - t * t))


@op(formula=r"\frac{x}{1 + |x|}", derivative=r"\frac{1}{(1 + |x|)^2}", samples=_KINK)
def softsign(x):
    """x divided by ``1 + |x|`` (Turian et al., 2009).

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.softsign(ns.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """
    return x / (1 + np.abs(x))


@softsign.rule("x")
def _(g, x):
    size = 1 + abs(x)
    return g / size / size  # whose square could overflow
