"""Arithmetic, powers, elementary functions, selection and comparison, element by element.

Kinks and ties: |x| has the derivative 0 at 0; where `maximum` or `minimum` meets a tie each side gets half; `clip` passes
the gradient on at its bounds; `remainder` has, where it jumps, the derivative of the side it lies on.
"""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import Op, op
from nnscratch.ops.families import binary, comparison, floating, unary
from nnscratch.ops.fused import fused
from nnscratch.sample_inputs import Case, apart, mask, normal, positive, unit

_POSITIVE = (Case(positive(3, 4)), Case(positive()))
_APART = (Case(apart(3, 4)), Case(apart(5)))
_INSIDE = (Case(apart(2, 3)), Case(apart()))  # within (-1, 1)
_BOOL = "The same shape, bool."
_TIES = (Case(apart(3, 4), apart(4, shift=0.15)), Case(apart(3), 0.3))


def common_dtype(*arrays):
    """The arrays (or None) in the floating-point dtype that NumPy would give their product."""
    dtypes = {a.dtype for a in arrays if a is not None}
    if len(dtypes) == 1 and next(iter(dtypes)).kind == "f":
        return arrays
    dtype = np.result_type(*dtypes, np.float16)
    return tuple(a if a is None else a.astype(dtype, copy=False) for a in arrays)


# The rules that are longer than a line


def _power_by_a(g, a, b):
    if isinstance(b, int | float):
        return g * b * a ** (b - 1) if b != 0 else g * 0
    # 0 ** (0 - 1) is infinite, and its product with the factor 0 not a number
    return g * b * power(a, where(logical_and(equal(a, 0), equal(b, 0)), 1, b - 1))


def _power_by_b(g, a, b, y):
    return g * y * log(where(logical_and(equal(a, 0), greater_equal(b, 0)), 1, a))


def _greater_share(g, x, other):
    """The gradient where x exceeds other, half of it at a tie, else 0."""
    return where(equal(x, other), g * 0.5, where(greater(x, other), g, 0))


def _remainder_by_b(g, a, b, y):
    infinite = isinf(b)  # the quotient is 0 then, or -1 where the signs differ
    # the quotient that y was made with, which a / b may round past
    quotient = round((a - where(infinite, a, y)) / where(infinite, 1, b))
    return -g * where(infinite, where(equal(y, a), 0, -1), quotient)


# The table. A row is a name, the function on arrays, what it computes, formula, derivative, and the rule for each input; an
# example's data; what is unusual. `nnscratch.ops.families` makes the operation of it, and `nnscratch` has it by its name.

# fmt: off
# Arithmetic and powers

add = binary(
    "add", np.add, "Sum, element by element, with broadcasting.",
    r"a + b", r"1, \quad 1", lambda g: g, lambda g: g, example=("[1.0, 2.0]", "3", "[4., 5.]"))
subtract = binary(
    "subtract", np.subtract, "Difference, element by element, with broadcasting.",
    r"a - b", r"1, \quad -1", lambda g: g, lambda g: -g, example=("[1.0, 2.0]", "3", "[-2., -1.]"))
multiply = binary(
    "multiply", np.multiply, "Product, element by element, with broadcasting.",
    r"a \cdot b", r"b, \quad a", lambda g, b: g * b, lambda g, a: g * a, example=("[1.0, 2.0]", "3", "[3., 6.]"))
divide = binary(
    "divide", np.true_divide,
    "Quotient, element by element, with broadcasting; division by 0 gives NumPy's inf or nan and its warning.",
    r"\frac{a}{b}", r"\frac{1}{b}, \quad -\frac{a}{b^2}", lambda g, b: g / b, lambda g, b, y: -g * y / b,
    example=("[1.0, 2.0]", "4", "[0.25, 0.5 ]"),
    returns="The shape they broadcast to, floating point; Python numbers promote nothing.",
    samples=(
        Case(normal(3, 4), positive(3, 4)),
        Case(normal(3, 4), positive(4)),
        Case(normal(4), positive(3, 1)),
    ))
remainder = binary(
    "remainder", np.remainder,
    "What is left of a divided by b, with the sign of b, as Python's ``%``; division by 0 gives NumPy's nan and its warning.",
    r"a - b \lfloor \tfrac{a}{b} \rfloor", r"1, \quad -\lfloor \tfrac{a}{b} \rfloor",
    lambda g: g,
    _remainder_by_b,
    example=("[5.0, -5.0]", "3", "[2., 1.]"),
    samples=(
        Case(apart(3, 4), 0.3),
        Case(apart(2, 3), apart(3, shift=2.0)),
        Case(apart(4), -0.3),
        Case(2.0, apart(3, shift=-3.0)),
    ))
negative = unary(
    "negative", np.negative, "The opposite of each element.",
    r"-x", r"-1", lambda g: -g, example=("[1.0, -2.0]", "[-1.,  2.]"))
power = binary(
    "power", np.power,
    """a to the power of b, element by element, with broadcasting.

The derivative by `b` takes a^b ln a as 0 where a is 0 and b is not negative. A negative `a` has no real power but a whole one: NumPy's
nan, with its warning.""",
    r"a^b", r"b\,a^{b-1}, \quad a^b \ln a", _power_by_a, _power_by_b, example=("[2.0, 3.0]", "2", "[4., 9.]"),
    samples=(
        Case(positive(3, 4), normal(3, 4)),
        Case(positive(3, 4), normal(4)),
        Case(normal(3, 4), 3),
        Case(normal(3, 4), 2),
        Case(positive(3), -0.5),
        Case(normal(3), 0),
        Case(2.0, normal(3)),
    ))
square = unary(
    "square", np.square, "The square of each element.",
    r"x^2", r"2x", lambda g, x: g * (2 * x), example=("[1.0, -3.0]", "[1., 9.]"))
abs = unary(
    "abs", np.abs, "The absolute value of each element; its derivative at 0 is taken as 0.",
    r"|x|", r"\operatorname{sign} x \quad (0 \text{ at } 0)", lambda g, x: g * sign(x),
    example=("[1.0, -2.0]", "[1., 2.]"), samples=_APART)
sign = unary(
    "sign", np.sign, "-1, 0 or 1 as each element is negative, zero or positive; no gradient passes.",
    r"\operatorname{sign} x", "0", example=("[3.0, -2.0, 0.0]", "[ 1., -1.,  0.]"), samples=_APART)
floor = unary(
    "floor", np.floor, "The greatest whole number of at most each element; no gradient passes.",
    r"\lfloor x \rfloor", "0", example=("[1.5, -1.5]", "[ 1., -2.]"), samples=_APART)
ceil = unary(
    "ceil", np.ceil, "The least whole number of at least each element; no gradient passes.",
    r"\lceil x \rceil", "0", example=("[1.5, -1.5]", "[ 2., -1.]"), samples=_APART)
trunc = unary(
    "trunc", np.trunc, "Each element without its fraction; no gradient passes.",
    r"\operatorname{sign}(x) \lfloor |x| \rfloor", "0", example=("[1.5, -1.5]", "[ 1., -1.]"), samples=_APART)
round = unary(
    "round", np.rint, "The whole number nearest to each element, at a tie the even one; no gradient passes.",
    r"\text{the whole number nearest to } x", "0", example=("[0.5, 1.5, -1.7]", "[ 0.,  2., -2.]"), samples=_APART)

# Exponentials and logarithms

exp = unary(
    "exp", np.exp, "e to the power of each element.",
    r"e^x", r"e^x", lambda g, y: g * y,
    example=("[0.0, 1.0]", "[1.       , 2.7182817]"))
log = unary(
    "log", np.log, "The natural logarithm of each element; NumPy's nan or -inf, with its warning, where there is none.",
    r"\ln x", r"\frac{1}{x}", lambda g, x: g / x,
    example=("[1.0, 4.0]", "[0.       , 1.3862944]"), samples=_POSITIVE)
sqrt = unary(
    "sqrt", np.sqrt, "The square root of each element; its derivative at 0 is infinite.",
    r"\sqrt{x}", r"\frac{1}{2\sqrt{x}}", lambda g, y: g / (2 * y),
    example=("[1.0, 4.0]", "[1., 2.]"), samples=_POSITIVE)
reciprocal = unary(
    "reciprocal", lambda x: np.reciprocal(floating(x)), "1 divided by each element; whole numbers become float64.",
    r"\frac{1}{x}", r"-\frac{1}{x^2}", lambda g, y: -g * y * y,
    example=("[2.0, -4.0]", "[ 0.5 , -0.25]"), samples=_POSITIVE)
log1p = unary(
    "log1p", np.log1p, "The natural logarithm of 1 + x, which keeps its digits where x is small.",
    r"\ln(1 + x)", r"\frac{1}{1 + x}", lambda g, x: g / (1 + x),
    example=("[0.0, 1e-10]", "[0.e+00, 1.e-10]"), samples=_POSITIVE)
expm1 = unary(
    "expm1", np.expm1, "e to the power of each element, less 1, which keeps its digits where x is small.",
    r"e^x - 1", r"e^x", lambda g, x: g * exp(x),
    example=("[0.0, 1e-10]", "[0.e+00, 1.e-10]"))

# Trigonometric and hyperbolic functions

sin = unary(
    "sin", np.sin, "The sine of each element, in radians.",
    r"\sin x", r"\cos x", lambda g, x: g * cos(x),
    example=("[0.0, 1.0]", "[0.       , 0.8414709]"))
cos = unary(
    "cos", np.cos, "The cosine of each element, in radians.",
    r"\cos x", r"-\sin x", lambda g, x: -g * sin(x),
    example=("[0.0, 1.0]", "[1.       , 0.5403023]"))
tan = unary(
    "tan", np.tan, "The tangent of each element, in radians.",
    r"\tan x", r"1 + \tan^2 x", lambda g, y: g * (1 + y * y),
    example=("[0.0, 1.0]", "[0.       , 1.5574077]"), samples=_INSIDE)
asin = unary(
    "asin", np.arcsin,
    "The angle in [-π/2, π/2] whose sine is each element; nan, with NumPy's warning, outside [-1, 1].",
    r"\arcsin x", r"\frac{1}{\sqrt{1 - x^2}}", lambda g, x: g / sqrt((1 - x) * (1 + x)),
    example=("[0.0, 1.0]", "[0.       , 1.5707964]"), samples=_INSIDE)
acos = unary(
    "acos", np.arccos,
    "The angle in [0, π] whose cosine is each element; nan, with NumPy's warning, outside [-1, 1].",
    r"\arccos x", r"-\frac{1}{\sqrt{1 - x^2}}", lambda g, x: -g / sqrt((1 - x) * (1 + x)),
    example=("[1.0, 0.0]", "[0.       , 1.5707964]"), samples=_INSIDE)
atan = unary(
    "atan", np.arctan, "The angle in (-π/2, π/2) whose tangent is each element.",
    r"\arctan x", r"\frac{1}{1 + x^2}", lambda g, x: g / (1 + x * x),
    example=("[0.0, 1.0]", "[0.       , 0.7853982]"))
sinh = unary(
    "sinh", np.sinh, "The hyperbolic sine of each element.",
    r"\frac{e^x - e^{-x}}{2}", r"\cosh x", lambda g, x: g * cosh(x),
    example=("[0.0, 1.0]", "[0.       , 1.1752012]"))
cosh = unary(
    "cosh", np.cosh, "The hyperbolic cosine of each element.",
    r"\frac{e^x + e^{-x}}{2}", r"\sinh x", lambda g, x: g * sinh(x),
    example=("[0.0, 1.0]", "[1.       , 1.5430807]"))
tanh = unary(
    "tanh", None,
    "The hyperbolic tangent, within 4 units in the last place for all finite inputs.",
    r"f(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}", r"1 - f(x)^2",
    fused("activation.tanh_gradient")(lambda g, y: g * (1 - y * y)),
    example=("[0.0, 1.0]", "[0.       , 0.7615942]"), returns="The same shape and dtype, in [-1, 1].",
    document="F4: 000 §4", kernel="activation.tanh")
asinh = unary(
    "asinh", np.arcsinh, "The number whose hyperbolic sine is each element.",
    r"\ln(x + \sqrt{x^2 + 1})", r"\frac{1}{\sqrt{x^2 + 1}}",
    lambda g, y: g / cosh(y),  # which is the root, without the overflow of x²
    example=("[0.0, 1.0]", "[0.       , 0.8813736]"))
acosh = unary(
    "acosh", np.arccosh,
    "The number of 0 or more whose hyperbolic cosine is each element; nan, with NumPy's warning, below 1.",
    r"\ln(x + \sqrt{x^2 - 1})", r"\frac{1}{\sqrt{x^2 - 1}}",
    lambda g, y: g / sinh(y),  # which is the root, without the overflow of x²
    example=("[1.0, 2.0]", "[0.       , 1.3169578]"), samples=(Case(apart(2, 2, shift=2.5)), Case(apart(shift=2.5))))
atanh = unary(
    "atanh", np.arctanh,
    "The number whose hyperbolic tangent is each element; nan, with NumPy's warning, outside [-1, 1].",
    r"\tfrac12 \ln \frac{1 + x}{1 - x}", r"\frac{1}{1 - x^2}", lambda g, x: g / ((1 - x) * (1 + x)),
    example=("[0.0, 0.5]", "[0.        , 0.54930615]"), samples=_INSIDE)
erf = unary(
    "erf", None, "The error function of each element.",
    r"\operatorname{erf} x = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt", r"\frac{2}{\sqrt\pi} e^{-x^2}",
    lambda g, x: g * ((2 / np.pi**0.5) * exp(-x * x)),
    example=("[0.0, 1.0]", "[0.       , 0.8427008]"), kernel="activation.erf")

# Selection

maximum = binary(
    "maximum", np.maximum,
    "The greater of two, element by element; at a tie each side gets half of the gradient; nan wins.",
    r"\max(a, b)", r"[a > b] + \tfrac12 [a = b]",
    lambda g, a, b: _greater_share(g, a, b), lambda g, a, b: _greater_share(g, b, a),
    example=("[1.0, 5.0]", "3", "[3., 5.]"), samples=_TIES)
minimum = binary(
    "minimum", np.minimum,
    "The lesser of two, element by element; at a tie each side gets half of the gradient; nan wins.",
    r"\min(a, b)", r"[a < b] + \tfrac12 [a = b]",
    lambda g, a, b: _greater_share(g, b, a), lambda g, a, b: _greater_share(g, a, b),
    example=("[1.0, 5.0]", "3", "[1., 3.]"), samples=_TIES)
copy = unary(
    "copy", np.copy, "A copy of the values, with a place in the graph.",
    "x", "1", lambda g: g, example=("[1.0]", "[1.]"), returns="The same shape and dtype.")

# Comparisons and logic: no gradient passes

equal = comparison("equal", np.equal, "a equals b", "=", "[False,  True, False]")
not_equal = comparison("not_equal", np.not_equal, "a differs from b", r"\ne", "[ True, False,  True]")
less = comparison("less", np.less, "a is less than b", "<", "[ True, False, False]")
less_equal = comparison("less_equal", np.less_equal, "a is at most b", r"\le", "[ True,  True, False]")
greater = comparison("greater", np.greater, "a is greater than b", ">", "[False, False,  True]")
greater_equal = comparison("greater_equal", np.greater_equal, "a is at least b", r"\ge", "[False,  True,  True]")
logical_and = comparison(
    "logical_and", np.logical_and, "both a and b are true (not 0)", r"\wedge", "[False,  True,  True]")
logical_or = comparison("logical_or", np.logical_or, "a or b is true (not 0)", r"\vee", "[ True,  True,  True]")
logical_xor = comparison(
    "logical_xor", np.logical_xor, "just one of a and b is true (not 0)", r"\oplus", "[ True, False, False]")
logical_not = unary(
    "logical_not", np.logical_not, "Whether each element is false (0): bool, without a gradient.",
    r"\neg x", example=("[True, False]", "[False,  True], dtype=bool"), returns=_BOOL, samples=(Case(mask(3, 4)),))
isnan = unary(
    "isnan", np.isnan, "Whether each element is not a number: bool, without a gradient.",
    r"x \text{ is nan}", example=("[1.0, float('nan')]", "[False,  True], dtype=bool"),
    returns=_BOOL, samples=(Case(unit(3)),))
isinf = unary(
    "isinf", np.isinf, "Whether each element is infinite, of either sign: bool, without a gradient.",
    r"x \text{ is infinite}", example=("[1.0, -float('inf')]", "[False,  True], dtype=bool"),
    returns=_BOOL, samples=(Case(unit(3)),))
# fmt: on


# Operations of other arguments


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


#: What `nnscratch` has of this module: the operations.
__all__ = [name for name, value in globals().items() if isinstance(value, Op)]
