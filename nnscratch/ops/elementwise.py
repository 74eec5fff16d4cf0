"""Arithmetic, powers, elementary functions, selection and comparison, element by element.

Kinks and ties: |x| has the derivative 0 at 0; where `maximum` or `minimum` meets a tie each side gets half; `clip` passes
the gradient on at its bounds; `remainder` has, where it jumps, the derivative of the side it lies on.
"""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import op
from nnscratch.sample_inputs import Case, apart, mask, normal, positive, unit

_PAIR = (
    Case(normal(3, 4), normal(3, 4)),
    Case(normal(2, 3, 4), normal(3, 1)),
    Case(normal(4), normal(2, 1, 4)),
    Case(normal(), normal(3)),
)
_ONE = (Case(normal(3, 4)), Case(normal()), Case(normal(2, 0)))
_POSITIVE = (Case(positive(3, 4)), Case(positive()))
_APART = (Case(apart(3, 4)), Case(apart(5)))
_INSIDE = (Case(apart(2, 3)), Case(apart()))  # within (-1, 1)


def floating(x):
    """`x` as an array of floating-point numbers: whole numbers become float64, as in NumPy's functions."""
    x = x if hasattr(x, "dtype") else np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"got data of type {x.dtype}, expected real numbers; convert them first")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def common_dtype(*arrays):
    """The arrays (or None) in the floating-point dtype that NumPy would give their product."""
    dtypes = {a.dtype for a in arrays if a is not None}
    if len(dtypes) == 1 and next(iter(dtypes)).kind == "f":
        return arrays
    dtype = np.result_type(*dtypes, np.float16)
    return tuple(a if a is None else a.astype(dtype, copy=False) for a in arrays)


@op(formula=r"a + b", derivative=r"1, \quad 1", samples=_PAIR)
def add(a, b):
    """Sum, element by element, with broadcasting.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.add(ns.tensor([1.0, 2.0]), 3)
    tensor([4., 5.])
    """
    return np.add(a, b)


@add.rule("a")
def _(g):
    return g


@add.rule("b")
def _(g):
    return g


@op(formula=r"a - b", derivative=r"1, \quad -1", samples=_PAIR)
def subtract(a, b):
    """Difference, element by element, with broadcasting.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.subtract(ns.tensor([1.0, 2.0]), 3)
    tensor([-2., -1.])
    """
    return np.subtract(a, b)


@subtract.rule("a")
def _(g):
    return g


@subtract.rule("b")
def _(g):
    return -g


@op(formula=r"a \cdot b", derivative=r"b, \quad a", samples=_PAIR)
def multiply(a, b):
    """Product, element by element, with broadcasting.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.multiply(ns.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return np.multiply(a, b)


@multiply.rule("a")
def _(g, b):
    return g * b


@multiply.rule("b")
def _(g, a):
    return g * a


@op(
    formula=r"\frac{a}{b}",
    derivative=r"\frac{1}{b}, \quad -\frac{a}{b^2}",
    samples=(
        Case(normal(3, 4), positive(3, 4)),
        Case(normal(3, 4), positive(4)),
        Case(normal(4), positive(3, 1)),
    ),
)
def divide(a, b):
    """Quotient, element by element, with broadcasting; division by 0 gives NumPy's inf or nan and its warning.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, floating point; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.divide(ns.tensor([1.0, 2.0]), 4)
    tensor([0.25, 0.5 ])
    """
    return np.true_divide(a, b)


@divide.rule("a")
def _(g, b):
    return g / b


@divide.rule("b")
def _(g, b, y):
    return -g * y / b


@op(
    formula=r"a - b \lfloor \tfrac{a}{b} \rfloor",
    derivative=r"1, \quad -\lfloor \tfrac{a}{b} \rfloor",
    samples=(
        Case(apart(3, 4), 0.3),
        Case(apart(2, 3), apart(3, shift=2.0)),
        Case(apart(4), -0.3),
        Case(2.0, apart(3, shift=-3.0)),
    ),
)
def remainder(a, b):
    """What is left of a divided by b, with the sign of b, as Python's ``%``; division by 0 gives NumPy's nan and its warning.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.tensor([5.0, -5.0]) % 3
    tensor([2., 1.])
    """
    return np.remainder(a, b)


@remainder.rule("a")
def _(g):
    return g


@remainder.rule("b")
def _(g, a, b, y):
    return -g * round((a - y) / b)  # the quotient that y was made with, which a / b may round past


@op(formula=r"-x", derivative=r"-1", samples=_ONE)
def negative(x):
    """The opposite of each element.

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
    >>> ns.negative(ns.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return np.negative(x)


@negative.rule("x")
def _(g):
    return -g


@op(
    formula=r"a^b",
    derivative=r"b\,a^{b-1}, \quad a^b \ln a",
    samples=(
        Case(positive(3, 4), normal(3, 4)),
        Case(positive(3, 4), normal(4)),
        Case(normal(3, 4), 3),
        Case(normal(3, 4), 2),
        Case(positive(3), -0.5),
        Case(normal(3), 0),
        Case(2.0, normal(3)),
    ),
)
def power(a, b):
    """a to the power of b, element by element, with broadcasting.

    The derivative by `b` takes a^b ln a as 0 where a is 0. A negative `a` has no real power but a whole one: NumPy's
    nan, with its warning.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.tensor([2.0, 3.0]) ** 2
    tensor([4., 9.])
    """
    return np.power(a, b)


@power.rule("a")
def _(g, a, b):
    if isinstance(b, int | float):
        return g * b * a ** (b - 1) if b != 0 else g * 0
    # 0 ** (0 - 1) is infinite, and its product with the factor 0 not a number
    return g * b * power(a, where(b == 0, 1, b - 1))


@power.rule("b")
def _(g, a, y):
    return g * y * log(where(equal(y, 0), 1, a))


@op(formula=r"x^2", derivative=r"2x", samples=_ONE)
def square(x):
    """The square of each element.

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
    >>> ns.square(ns.tensor([1.0, -3.0]))
    tensor([1., 9.])
    """
    return np.square(x)


@square.rule("x")
def _(g, x):
    return g * (2 * x)


@op(formula=r"|x|", derivative=r"\operatorname{sign} x \quad (0 \text{ at } 0)", samples=_APART)
def abs(x):
    """The absolute value of each element; its derivative at 0 is taken as 0.

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
    >>> ns.abs(ns.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """
    return np.abs(x)


@abs.rule("x")
def _(g, x):
    return g * sign(x)


@op(formula=r"\operatorname{sign} x", derivative=r"0", constant=True, samples=_APART)
def sign(x):
    """-1, 0 or 1 as each element is negative, zero or positive; no gradient passes.

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
    >>> ns.sign(ns.tensor([3.0, -2.0, 0.0]))
    tensor([ 1., -1.,  0.])
    """
    return np.sign(x)


@op(formula=r"\lfloor x \rfloor", derivative=r"0", constant=True, samples=_APART)
def floor(x):
    """The greatest whole number of at most each element; no gradient passes.

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
    >>> ns.floor(ns.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """
    return np.floor(x)


@op(formula=r"\lceil x \rceil", derivative=r"0", constant=True, samples=_APART)
def ceil(x):
    """The least whole number of at least each element; no gradient passes.

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
    >>> ns.ceil(ns.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    return np.ceil(x)


@op(formula=r"\operatorname{sign}(x) \lfloor |x| \rfloor", derivative=r"0", constant=True, samples=_APART)
def trunc(x):
    """Each element without its fraction; no gradient passes.

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
    >>> ns.trunc(ns.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    return np.trunc(x)


@op(formula=r"\text{the whole number nearest to } x", derivative=r"0", constant=True, samples=_APART)
def round(x):
    """The whole number nearest to each element, at a tie the even one; no gradient passes.

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
    >>> ns.round(ns.tensor([0.5, 1.5, -1.7]))
    tensor([ 0.,  2., -2.])
    """
    return np.rint(x)


@op(formula=r"e^x", derivative=r"e^x", samples=_ONE)
def exp(x):
    """e to the power of each element.

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
    >>> ns.exp(ns.tensor([0.0, 1.0]))
    tensor([1.       , 2.7182817])
    """
    return np.exp(x)


@exp.rule("x")
def _(g, y):
    return g * y


@op(formula=r"\ln x", derivative=r"\frac{1}{x}", samples=_POSITIVE)
def log(x):
    """The natural logarithm of each element; NumPy's nan or -inf, with its warning, where there is none.

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
    >>> ns.log(ns.tensor([1.0, 4.0]))
    tensor([0.       , 1.3862944])
    """
    return np.log(x)


@log.rule("x")
def _(g, x):
    return g / x


@op(formula=r"\sqrt{x}", derivative=r"\frac{1}{2\sqrt{x}}", samples=_POSITIVE)
def sqrt(x):
    """The square root of each element; its derivative at 0 is infinite.

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
    >>> ns.sqrt(ns.tensor([1.0, 4.0]))
    tensor([1., 2.])
    """
    return np.sqrt(x)


@sqrt.rule("x")
def _(g, y):
    return g / (2 * y)


@op(formula=r"\frac{1}{x}", derivative=r"-\frac{1}{x^2}", samples=_POSITIVE)
def reciprocal(x):
    """1 divided by each element; whole numbers become float64.

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
    >>> ns.reciprocal(ns.tensor([2.0, -4.0]))
    tensor([ 0.5 , -0.25])
    """
    return np.reciprocal(floating(x))


@reciprocal.rule("x")
def _(g, y):
    return -g * y * y


@op(formula=r"\ln(1 + x)", derivative=r"\frac{1}{1 + x}", samples=_POSITIVE)
def log1p(x):
    """The natural logarithm of 1 + x, which keeps its digits where x is small.

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
    >>> ns.log1p(ns.tensor([0.0, 1e-10]))
    tensor([0.e+00, 1.e-10])
    """
    return np.log1p(x)


@log1p.rule("x")
def _(g, x):
    return g / (1 + x)


@op(formula=r"e^x - 1", derivative=r"e^x", samples=_ONE)
def expm1(x):
    """e to the power of each element, less 1, which keeps its digits where x is small.

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
    >>> ns.expm1(ns.tensor([0.0, 1e-10]))
    tensor([0.e+00, 1.e-10])
    """
    return np.expm1(x)


@expm1.rule("x")
def _(g, x):
    return g * exp(x)


# Trigonometric and hyperbolic functions


@op(formula=r"\sin x", derivative=r"\cos x", samples=_ONE)
def sin(x):
    """The sine of each element, in radians.

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
    >>> ns.sin(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.8414709])
    """
    return np.sin(x)


@sin.rule("x")
def _(g, x):
    return g * cos(x)


@op(formula=r"\cos x", derivative=r"-\sin x", samples=_ONE)
def cos(x):
    """The cosine of each element, in radians.

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
    >>> ns.cos(ns.tensor([0.0, 1.0]))
    tensor([1.       , 0.5403023])
    """
    return np.cos(x)


@cos.rule("x")
def _(g, x):
    return -g * sin(x)


@op(formula=r"\tan x", derivative=r"1 + \tan^2 x", samples=_INSIDE)
def tan(x):
    """The tangent of each element, in radians.

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
    >>> ns.tan(ns.tensor([0.0, 1.0]))
    tensor([0.       , 1.5574077])
    """
    return np.tan(x)


@tan.rule("x")
def _(g, y):
    return g * (1 + y * y)


@op(formula=r"\arcsin x", derivative=r"\frac{1}{\sqrt{1 - x^2}}", samples=_INSIDE)
def asin(x):
    """The angle in [-π/2, π/2] whose sine is each element; nan, with NumPy's warning, outside [-1, 1].

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
    >>> ns.asin(ns.tensor([0.0, 1.0]))
    tensor([0.       , 1.5707964])
    """
    return np.arcsin(x)


@asin.rule("x")
def _(g, x):
    return g / sqrt((1 - x) * (1 + x))


@op(formula=r"\arccos x", derivative=r"-\frac{1}{\sqrt{1 - x^2}}", samples=_INSIDE)
def acos(x):
    """The angle in [0, π] whose cosine is each element; nan, with NumPy's warning, outside [-1, 1].

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
    >>> ns.acos(ns.tensor([1.0, 0.0]))
    tensor([0.       , 1.5707964])
    """
    return np.arccos(x)


@acos.rule("x")
def _(g, x):
    return -g / sqrt((1 - x) * (1 + x))


@op(formula=r"\arctan x", derivative=r"\frac{1}{1 + x^2}", samples=_ONE)
def atan(x):
    """The angle in (-π/2, π/2) whose tangent is each element.

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
    >>> ns.atan(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.7853982])
    """
    return np.arctan(x)


@atan.rule("x")
def _(g, x):
    return g / (1 + x * x)


@op(formula=r"\frac{e^x - e^{-x}}{2}", derivative=r"\cosh x", samples=_ONE)
def sinh(x):
    """The hyperbolic sine of each element.

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
    >>> ns.sinh(ns.tensor([0.0, 1.0]))
    tensor([0.       , 1.1752012])
    """
    return np.sinh(x)


@sinh.rule("x")
def _(g, x):
    return g * cosh(x)


@op(formula=r"\frac{e^x + e^{-x}}{2}", derivative=r"\sinh x", samples=_ONE)
def cosh(x):
    """The hyperbolic cosine of each element.

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
    >>> ns.cosh(ns.tensor([0.0, 1.0]))
    tensor([1.       , 1.5430807])
    """
    return np.cosh(x)


@cosh.rule("x")
def _(g, x):
    return g * sinh(x)


@op(
    formula=r"f(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}",
    derivative=r"1 - f(x)^2",
    document="F4: 000 §4",
    samples=_ONE,
)
def tanh(x):
    """The hyperbolic tangent, within 4 units in the last place for all finite inputs.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.

    Returns
    -------
    The same shape and dtype, in [-1, 1].

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.tanh(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.7615942])
    """
    x = floating(x)
    return backend.of(x).kernels.tanh(x)


@tanh.rule("x")
def _(g, y):
    return g * (1 - y * y)


@op(formula=r"\ln(x + \sqrt{x^2 + 1})", derivative=r"\frac{1}{\sqrt{x^2 + 1}}", samples=_ONE)
def asinh(x):
    """The number whose hyperbolic sine is each element.

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
    >>> ns.asinh(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.8813736])
    """
    return np.arcsinh(x)


@asinh.rule("x")
def _(g, y):
    return g / cosh(y)  # which is the root, without the overflow of x²


@op(
    formula=r"\ln(x + \sqrt{x^2 - 1})",
    derivative=r"\frac{1}{\sqrt{x^2 - 1}}",
    samples=(Case(apart(2, 2, shift=2.5)), Case(apart(shift=2.5))),
)
def acosh(x):
    """The number of 0 or more whose hyperbolic cosine is each element; nan, with NumPy's warning, below 1.

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
    >>> ns.acosh(ns.tensor([1.0, 2.0]))
    tensor([0.       , 1.3169578])
    """
    return np.arccosh(x)


@acosh.rule("x")
def _(g, y):
    return g / sinh(y)  # which is the root, without the overflow of x²


@op(formula=r"\tfrac12 \ln \frac{1 + x}{1 - x}", derivative=r"\frac{1}{1 - x^2}", samples=_INSIDE)
def atanh(x):
    """The number whose hyperbolic tangent is each element; nan, with NumPy's warning, outside [-1, 1].

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
    >>> ns.atanh(ns.tensor([0.0, 0.5]))
    tensor([0.        , 0.54930615])
    """
    return np.arctanh(x)


@atanh.rule("x")
def _(g, x):
    return g / ((1 - x) * (1 + x))


@op(
    formula=r"\operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt",
    derivative=r"\frac{2}{\sqrt\pi} e^{-x^2}",
    samples=_ONE,
)
def erf(x):
    """The error function of each element.

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
    >>> ns.erf(ns.tensor([0.0, 1.0]))
    tensor([0.       , 0.8427008])
    """
    x = floating(x)
    return backend.of(x).kernels.erf(x)


@erf.rule("x")
def _(g, x):
    return g * ((2 / np.pi**0.5) * exp(-x * x))


# Selection


def _share(x, other):
    """1 where x exceeds other, 1/2 at a tie, else 0, in a dtype that promotes nothing."""
    return (sign(x - other) + 1) / 2


@op(
    formula=r"\max(a, b)",
    derivative=r"[a > b] + \tfrac12 [a = b]",
    samples=(Case(apart(3, 4), apart(4, shift=0.15)), Case(apart(3), 0.3)),
)
def maximum(a, b):
    """The greater of two, element by element; at a tie each side gets half of the gradient; nan wins.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.maximum(ns.tensor([1.0, 5.0]), 3)
    tensor([3., 5.])
    """
    return np.maximum(a, b)


@maximum.rule("a")
def _(g, a, b):
    return g * _share(a, b)


@maximum.rule("b")
def _(g, a, b):
    return g * _share(b, a)


@op(
    formula=r"\min(a, b)",
    derivative=r"[a < b] + \tfrac12 [a = b]",
    samples=(Case(apart(3, 4), apart(4, shift=0.15)), Case(apart(3), 0.3)),
)
def minimum(a, b):
    """The lesser of two, element by element; at a tie each side gets half of the gradient; nan wins.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.minimum(ns.tensor([1.0, 5.0]), 3)
    tensor([1., 3.])
    """
    return np.minimum(a, b)


@minimum.rule("a")
def _(g, a, b):
    return g * _share(b, a)


@minimum.rule("b")
def _(g, a, b):
    return g * _share(a, b)


@op(
    formula=r"\min(\max(x, \text{low}), \text{high})",
    derivative=r"[\text{low} \le x \le \text{high}]",
    constant=("low", "high"),
    samples=(Case(apart(3, 4), -0.3, 0.3), Case(apart(5), None, 0.3), Case(apart(5), -0.3, None)),
)
def clip(x, low=None, high=None):
    """Values held within [low, high]; the gradient passes inside and on the bounds, and not by the bounds themselves.

    Parameters
    ----------
    x : Tensor or array
        Any shape.
    low, high : number, array or None
        The bounds, in shapes that broadcast to that of `x`; None: none on this side.

    Returns
    -------
    The shape of `x`.

    Raises
    ------
    ValueError
        Where both bounds are missing, or low exceeds high.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.clip(ns.tensor([-3.0, 0.5, 3.0]), -1, 1)
    tensor([-1. ,  0.5,  1. ])
    """
    if low is None and high is None:
        raise ValueError("clip: both bounds are None; pass low, high or both")
    if low is not None and high is not None and np.any(low > high):
        raise ValueError(f"clip: low {low} exceeds high {high}; exchange them")
    return np.clip(x, low, high)


@clip.rule("x")
def _(g, x, low, high):
    inside = True
    if low is not None:
        inside = greater_equal(x, low)
    if high is not None:
        inside = logical_and(inside, less_equal(x, high))
    return where(inside, g, 0)


@op(
    formula=r"a \text{ where the condition holds, else } b",
    derivative=r"[c], \quad [\neg c]",
    constant=("condition",),
    samples=(
        Case(mask(3, 4), normal(3, 4), normal(3, 4)),
        Case(mask(3, 1), normal(4), normal()),
        Case(mask(4), normal(3, 4), 0),
    ),
)
def where(condition, a, b):
    """Elements of `a` where the condition holds, else of `b`, with broadcasting; Python numbers promote nothing.

    Parameters
    ----------
    condition : Tensor or array of bool
    a, b : Tensor, array or number
        What to take where it holds, and where not; the three in shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.

    Raises
    ------
    TypeError
        Where the condition holds no booleans or numbers.
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([-1.0, 2.0])
    >>> ns.where(x > 0, x, 0)
    tensor([0., 2.])
    """
    if not hasattr(condition, "dtype"):
        words, condition = type(condition).__name__, np.asarray(condition)
        if condition.dtype.kind not in "biuf":
            raise TypeError(f"where: the condition is a {words}, expected booleans; pass an array of them")
        condition = backend.of(a if backend.is_array(a) else b).as_result(condition)
    return np.where(condition, a, b)


@where.rule("a")
def _(g, condition):
    return where(condition, g, 0)


@where.rule("b")
def _(g, condition):
    return where(condition, 0, g)


@op(formula="x", derivative="1", samples=_ONE)
def copy(x):
    """A copy of the values, with a place in the graph.

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
    >>> ns.copy(ns.tensor([1.0]))
    tensor([1.])
    """
    return np.copy(x)


@copy.rule("x")
def _(g):
    return g


@op(formula="x", derivative="1", samples=(Case(normal(3, 4), "float64"), Case(normal(), "float64")))
def astype(x, dtype):
    """The values in another dtype; the gradient goes back in the input's.

    Parameters
    ----------
    x : Tensor or array
        Any shape.
    dtype : str or dtype
        float16, float32, float64, an integer type or bool.

    Returns
    -------
    The same shape, in that dtype.

    Raises
    ------
    TypeError
        Where the dtype is no real number type.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.astype(ns.tensor([1.5]), "float64")
    tensor([1.5], dtype=float64)
    """
    return backend.of(x).asarray(x, dtype)


@astype.rule("x")
def _(g):
    return g  # the engine gives every gradient its input's dtype


@op(formula="x", derivative="1", samples=(Case(normal(3, 4), "cpu", "cpu"),))
def transfer(x, device, source):
    """A copy on another device; its gradient goes back to the device it came from. `Tensor.to` calls it.

    Parameters
    ----------
    x : Tensor or array
    device, source : str
        Where it is to live, and where it lives; see `ns.devices`.

    Returns
    -------
    The same values, shape and dtype.

    Raises
    ------
    ValueError
        Where there is no such device here.

    Examples
    --------
    >>> import nnscratch as ns
    >>> transfer(ns.tensor([1.0]), "cpu", "cpu")
    tensor([1.])
    """
    return np.copy(x) if device == source else backend.asarray(x, device=device)


@transfer.rule("x")
def _(g, device, source):
    return transfer(g, source, device)


# Comparisons and logic: no gradient passes


def _comparison(name, function, symbol, words):
    def forward(a, b):
        return function(a, b)

    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = f"""Whether {words}, element by element, with broadcasting: bool, without a gradient.

    Parameters
    ----------
    a, b : Tensor, array or number
        In shapes that broadcast.

    Returns
    -------
    The shape they broadcast to, bool.

    Raises
    ------
    ValueError
        Where the shapes do not broadcast.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.{name}(ns.tensor([1.0, 2.0, 3.0]), 2)
    tensor({np.array2string(function(np.array([1.0, 2.0, 3.0]), 2), separator=", ")}, dtype=bool)
    """
    return op(formula=f"a {symbol} b", constant=True, samples=(Case(normal(3, 4), normal(4)),))(forward)


equal = _comparison("equal", np.equal, "=", "a equals b")
not_equal = _comparison("not_equal", np.not_equal, r"\ne", "a differs from b")
less = _comparison("less", np.less, "<", "a is less than b")
less_equal = _comparison("less_equal", np.less_equal, r"\le", "a is at most b")
greater = _comparison("greater", np.greater, ">", "a is greater than b")
greater_equal = _comparison("greater_equal", np.greater_equal, r"\ge", "a is at least b")
logical_and = _comparison("logical_and", np.logical_and, r"\wedge", "both a and b are true (not 0)")
logical_or = _comparison("logical_or", np.logical_or, r"\vee", "a or b is true (not 0)")
logical_xor = _comparison("logical_xor", np.logical_xor, r"\oplus", "just one of a and b is true (not 0)")


@op(formula=r"\neg x", constant=True, samples=(Case(mask(3, 4)),))
def logical_not(x):
    """Whether each element is false (0): bool, without a gradient.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    The same shape, bool.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.logical_not(ns.tensor([True, False]))
    tensor([False,  True], dtype=bool)
    """
    return np.logical_not(x)


@op(formula=r"x \text{ is nan}", constant=True, samples=(Case(unit(3)),))
def isnan(x):
    """Whether each element is not a number: bool, without a gradient.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    The same shape, bool.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.isnan(ns.tensor([1.0, float("nan")]))
    tensor([False,  True], dtype=bool)
    """
    return np.isnan(x)


@op(formula=r"x \text{ is infinite}", constant=True, samples=(Case(unit(3)),))
def isinf(x):
    """Whether each element is infinite, of either sign: bool, without a gradient.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    The same shape, bool.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.isinf(ns.tensor([1.0, -float("inf")]))
    tensor([False,  True], dtype=bool)
    """
    return np.isinf(x)
