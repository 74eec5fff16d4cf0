"""Activation functions, each beside its formula."""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import op
from nnscratch.ops.elementwise import exp, floating, greater, multiply, where
from nnscratch.ops.reduce import sum
from nnscratch.ops.shape import normalise_axis
from nnscratch.samples import Case, apart, normal

_ONE = (Case(normal(3, 4)), Case(normal()), Case(normal(2, 0)))
_KINK = (Case(apart(3, 4)), Case(apart()))
_ROWS = (Case(normal(3, 4)), Case(normal(3, 4), 0), Case(normal(2, 3, 4), 1), Case(normal(5)))


@op(
    formula=r"f(x) = \frac{1}{1 + e^{-x}}",
    derivative=r"f(x)\,(1 - f(x))",
    document="F2: 000 §4; 004 §4.4.2",
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
    return backend.of(x).kernels.sigmoid(x)


@sigmoid.rule("x")
def _(g, y):
    return g * (y * (1 - y))


@op(
    formula=r"f(x) = \max(0, x)",
    derivative=r"[x > 0] \quad (0 \text{ at } 0)",
    document="F3: 000 §4; 002 §4.1; 004 §4.4.1 (E7)",
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
def _(g, y):
    return multiply(g, greater(y, 0))


def _check_axis(name, x, axis):
    if np.ndim(x) == 0:
        raise ValueError(f"{name}: got a single number, expected at least one axis to normalise over; pass a vector")
    return normalise_axis(axis, np.ndim(x), name)[0]


@op(
    formula=r"\frac{e^{z_i}}{\sum_j e^{z_j}}",
    derivative=r"y_i\,([i = j] - y_j)",
    document="F5: 002 §4.1; F13: 003 §4.1",
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
    return backend.of(x).kernels.softmax(x, _check_axis("softmax", x, axis))


@softmax.rule("x")
def _(g, y, axis):
    gy = g * y
    return gy - y * sum(gy, axis, True)


@op(
    formula=r"\ln \frac{e^{z_i}}{\sum_j e^{z_j}}",
    derivative=r"[i = j] - \operatorname{softmax}(z)_j",
    document="F5: 002 §4.1, its logarithm",
    samples=_ROWS,
)
def log_softmax(x, axis=-1):
    """The logarithm of softmax over `axis`, within 4 units in the last place for all finite inputs.

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
    return backend.of(x).kernels.log_softmax(x, _check_axis("log_softmax", x, axis))


@log_softmax.rule("x")
def _(g, y, axis):
    return g - exp(y) * sum(g, axis, True)


@op(formula=r"\ln(1 + e^x)", derivative=r"\frac{1}{1 + e^{-x}}", samples=_ONE)
def softplus(x):
    """The logarithm of 1 + eˣ, within 4 units in the last place for all finite inputs (Dugas et al., 2001).

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.softplus(ns.tensor([0.0, 100.0]))
    tensor([  0.6931472, 100.       ])
    """
    x = floating(x)
    return backend.of(x).kernels.softplus(x)


@softplus.rule("x")
def _(g, x):
    return g * sigmoid(x)


@op(
    formula=r"\tfrac12 x \left(1 + \operatorname{erf} \tfrac{x}{\sqrt2}\right)",
    derivative=r"\Phi(x) + x\,\varphi(x)",
    samples=_ONE,
)
def gelu(x):
    """x times the normal distribution function of x (Hendrycks & Gimpel, 2016), by the error function.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.gelu(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.8413447])
    """
    return x * normal_cdf(x)


@gelu.rule("x")
def _(g, x):
    return g * (normal_cdf(x) + x * ((2 * np.pi) ** -0.5 * exp(-0.5 * x * x)))


@op(
    formula=r"\Phi(x) = \tfrac12 \operatorname{erfc}\left(-\tfrac{x}{\sqrt2}\right)",
    derivative=r"\varphi(x) = \tfrac{1}{\sqrt{2\pi}} e^{-x^2/2}",
    samples=_ONE,
)
def normal_cdf(x):
    """The normal distribution function.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.normal_cdf(ns.tensor([0.0, 1.0]))
    tensor([0.5      , 0.8413447])
    """
    return 0.5 * backend.of(x).kernels.erfc(np.multiply(floating(x), -(0.5**0.5)))


@normal_cdf.rule("x")
def _(g, x):
    return g * ((2 * np.pi) ** -0.5 * exp(-0.5 * x * x))


@op(formula=r"\frac{x}{1 + e^{-x}}", derivative=r"\sigma(x)\,(1 + x\,(1 - \sigma(x)))", samples=_ONE)
def silu(x):
    """x times its sigmoid (Elfwing et al., 2018), also called swish.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.silu(ns.tensor([0.0, 1.0]))
    tensor([0.        , 0.73105858])
    """
    return x * sigmoid(x)


@silu.rule("x")
def _(g, x):
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


@op(
    formula=r"x \text{ for } x > 0, \text{ else } s x",
    derivative=r"1 \text{ or } s \quad (s \text{ at } 0)",
    samples=(*_KINK, Case(apart(4), 0.2)),
)
def leaky_relu(x, slope=0.01):
    """The rectifier with a small slope below 0 (Maas et al., 2013); its derivative at 0 is the slope.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.leaky_relu(ns.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1,  2. ])
    """
    return np.where(np.greater(x, 0), x, np.multiply(x, slope))


@leaky_relu.rule("x")
def _(g, x, slope):
    return where(greater(x, 0), g, g * slope)


@op(
    formula=r"x \text{ for } x > 0, \text{ else } \alpha (e^x - 1)",
    derivative=r"1 \text{ or } \alpha e^x \quad (\alpha \text{ at } 0)",
    samples=(*_KINK, Case(apart(4), 0.5)),
)
def elu(x, alpha=1.0):
    """The exponential linear unit (Clevert et al., 2016); its derivative at 0 is alpha.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.elu(ns.tensor([-1.0, 2.0]))
    tensor([-0.63212055,  2.        ])
    """
    return np.where(np.greater(x, 0), x, alpha * np.expm1(np.minimum(x, 0)))


@elu.rule("x")
def _(g, x, alpha):
    above = greater(x, 0)
    return where(above, g, g * (alpha * exp(where(above, 0, x))))
