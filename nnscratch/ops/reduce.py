"""Sums, means, extremes and the like over axes.

Ties: `max` and `min` split the gradient equally among the elements that attain the extreme. `std` of equal elements has
no derivative; it is taken as 0.
"""

import math

import numpy as np

from nnscratch.arguments import number
from nnscratch.autograd import op
from nnscratch.ops.elementwise import abs, astype, equal, exp, multiply, sign, where
from nnscratch.ops.families import floating, reduction
from nnscratch.ops.shape import broadcast_to, constant_on_device_of, flip, in_float32, join, normalise_axis, reshape
from nnscratch.sample_inputs import Case, apart, normal

_OVER = (
    Case(normal(3, 4)),
    Case(normal(3, 4), 0),
    Case(normal(2, 3, 4), (0, -1)),
    Case(normal(2, 3, 4), 1, keepdims=True),
    Case(normal()),
)
_APART = (
    Case(apart(3, 4)),
    Case(apart(3, 4), 0),
    Case(apart(2, 3, 4), (0, -1)),
    Case(apart(2, 3, 4), 1, keepdims=True),
)
_SPREAD = (
    Case(normal(3, 4)),
    Case(normal(3, 4), 0),
    Case(normal(3, 4), 1, 1),
    Case(normal(2, 3, 4), (0, 2), 0, True),
)
_NO_AXIS = {"ValueError": "Where there is no such axis."}
_EMPTY = {"ValueError": "Where there are no elements."}
_FEW = {"ValueError": "Where there are no more than `ddof` elements."}
_ONE_AXIS = {"axis": "axis : int or None\n    Along which axis; None: among all elements, in row-major order."}
_ARG = (Case(apart(3, 4)), Case(apart(3, 4), 1), Case(apart(2, 3, 4), 1, keepdims=True))


def _kept(shape, axis):
    """The shape of a reduction's result with the axes kept."""
    axes = normalise_axis(axis, len(shape), "reduction")
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _count(shape, axis, name="reduction"):
    """How many elements each result was made from."""
    n = 1
    for i in normalise_axis(axis, len(shape), name):
        n *= shape[i]
    return n


def _axis(name, x, axis):
    """Axes as NumPy's reductions take them; NumPy itself would take axis 0 of a single number."""
    return None if axis is None else normalise_axis(axis, np.ndim(x), name)


def refuse_empty(name, x, axis):
    if _count(np.shape(x), axis, name) == 0:
        raise ValueError(f"{name}: nothing to reduce in an array of shape {np.shape(x)}; pass at least one element")


def _refuse_few(name, x, axis, ddof):
    n = _count(np.shape(x), axis, name)
    if n <= ddof:
        raise ValueError(f"{name}: {n} elements do not suffice for ddof={ddof}; pass more elements or a lower ddof")


@reduction(
    formula=r"\sum_i x_i",
    derivative=r"1",
    samples=(*_OVER, Case(normal(0, 3), 0), Case(normal(0))),
    example=("[[1.0, 2.0], [3.0, 4.0]]", "axis=0", "[4., 6.]"),
    returns="The shape of `x` without those axes, in its dtype; whole numbers as NumPy adds them up.",
    raises=_NO_AXIS,
)
def sum(x, axis=None, keepdims=False):
    """The sum over `axis` (an int, several, or None for all); 0 for no elements."""
    return in_float32(np.sum, x, axis=_axis("sum", x, axis), keepdims=keepdims)


@sum.rule("x")
def _(g, x_shape, axis):
    return broadcast_to(reshape(g, _kept(x_shape, axis)), x_shape)


@reduction(
    formula=r"\frac{1}{n} \sum_i x_i",
    derivative=r"\frac{1}{n}",
    samples=_OVER,
    example=("[[1.0, 2.0], [3.0, 4.0]]", "axis=0", "[2., 3.]"),
    returns="The shape of `x` without those axes, floating point.",
    raises=_EMPTY,
)
def mean(x, axis=None, keepdims=False):
    """The mean over `axis` (an int, several, or None for all)."""
    refuse_empty("mean", x, axis)
    return np.mean(x, axis=_axis("mean", x, axis), keepdims=keepdims)


@mean.rule("x")
def _(g, x_shape, axis):
    return broadcast_to(reshape(g / _count(x_shape, axis), _kept(x_shape, axis)), x_shape)


@reduction(
    formula=r"\max_i x_i",
    derivative=r"\frac{[x_i = \max]}{\text{number of ties}}",
    samples=_APART,
    example=("[[1.0, 5.0], [3.0, 4.0]]", "axis=1", "[5., 4.]"),
    returns="The shape of `x` without those axes, in its dtype.",
    raises=_EMPTY,
)
def max(x, axis=None, keepdims=False):
    """The greatest value over `axis`; elements that tie share the gradient equally; nan wins."""
    refuse_empty("max", x, axis)
    return np.max(x, axis=_axis("max", x, axis), keepdims=keepdims)


@reduction(
    formula=r"\min_i x_i",
    derivative=r"\frac{[x_i = \min]}{\text{number of ties}}",
    samples=_APART,
    example=("[[1.0, 5.0], [3.0, 4.0]]", "axis=1", "[1., 3.]"),
    returns="The shape of `x` without those axes, in its dtype.",
    raises=_EMPTY,
)
def min(x, axis=None, keepdims=False):
    """The least value over `axis`; elements that tie share the gradient equally; nan wins."""
    refuse_empty("min", x, axis)
    return np.min(x, axis=_axis("min", x, axis), keepdims=keepdims)


@max.rule("x")
@min.rule("x")
def _(g, x, y, axis):
    kept = _kept(x.shape, axis)
    best = equal(x, reshape(y, kept))
    return where(best, reshape(g, kept) / sum(astype(best, x.dtype), axis, True), 0)


@reduction(
    formula=r"\frac{1}{n - d} \sum_i (x_i - \bar x)^2",
    derivative=r"\frac{2 (x_i - \bar x)}{n - d}",
    samples=_SPREAD,
    example=("[1.0, 3.0]", "1."),
    returns="The shape of `x` without those axes, floating point.",
    raises=_FEW,
)
def var(x, axis=None, ddof=0, keepdims=False):
    """The variance over `axis`, dividing by n - ddof."""
    _refuse_few("var", x, axis, ddof)
    return in_float32(np.var, x, axis=_axis("var", x, axis), ddof=ddof, keepdims=keepdims)


@var.rule("x")
def _(g, x, axis, ddof):
    scale = 2 / (_count(x.shape, axis) - ddof)
    return reshape(g, _kept(x.shape, axis)) * scale * (x - mean(x, axis, True))


@reduction(
    formula=r"\sqrt{\operatorname{var} x}",
    derivative=r"\frac{x_i - \bar x}{(n - d)\, y} \quad (0 \text{ where } y = 0)",
    samples=_SPREAD,
    example=("[1.0, 3.0]", "1."),
    returns="The shape of `x` without those axes, floating point.",
    raises=_FEW,
)
def std(x, axis=None, ddof=0, keepdims=False):
    """The standard deviation over `axis`, dividing by n - ddof; where all elements are equal its derivative is taken as 0."""
    _refuse_few("std", x, axis, ddof)
    return in_float32(np.std, x, axis=_axis("std", x, axis), ddof=ddof, keepdims=keepdims)


@std.rule("x")
def _(g, x, y, axis, ddof):
    flat = equal(y, 0)
    slope = where(flat, 0, g / where(flat, 1, y)) / (_count(x.shape, axis) - ddof)
    return reshape(slope, _kept(x.shape, axis)) * (x - mean(x, axis, True))


def _shifted_products(x, axis):
    """For each element the product of those before it along `axis`: a scan of log2(n) multiplications."""
    n = x.shape[axis]
    before = (slice(None),) * axis

    def shift(x, step):
        edge = constant_on_device_of(x, np.ones((*x.shape[:axis], step, *x.shape[axis + 1 :]), x.dtype))
        return join(edge, x[(*before, slice(0, n - step))], axis=axis)

    x, step = shift(x, 1), 1
    while step < n:
        x = multiply(x, shift(x, step))
        step *= 2
    return x


@reduction(
    formula=r"\prod_i x_i",
    derivative=r"\prod_{j \ne i} x_j",
    samples=(*_OVER, Case(normal(0, 3), 0)),
    example=("[2.0, 3.0, 4.0]", "24."),
    returns="The shape of `x` without those axes, in its dtype; whole numbers as NumPy multiplies them.",
    raises=_NO_AXIS,
)
def prod(x, axis=None, keepdims=False):
    """The product over `axis`; 1 for no elements. Its derivative is right where elements are 0, too."""
    return in_float32(np.prod, x, axis=_axis("prod", x, axis), keepdims=keepdims)


@prod.rule("x")
def _(g, x, axis):
    shape = x.shape
    axes = normalise_axis(axis, len(shape), "prod")
    if not axes:
        return g
    rest = tuple(i for i in range(len(shape)) if i not in axes)
    order = (*rest, *axes)
    moved = x if order == tuple(range(len(shape))) else x.transpose(order)
    flat = reshape(moved, (*(shape[i] for i in rest), math.prod(shape[i] for i in axes)))
    last = len(rest)
    if 0 in flat.shape:
        return x
    others = _shifted_products(flat, last) * flip(_shifted_products(flip(flat, last), last), last)
    others = reshape(others, moved.shape).transpose(tuple(int(i) for i in np.argsort(order)))
    return reshape(g, _kept(shape, axis)) * others


@op(
    formula=r"y_k = \sum_{i \le k} x_i",
    derivative=r"\sum_{k \ge i} g_k",
    samples=(Case(normal(3, 4), 0), Case(normal(3, 4), 1), Case(normal(3, 4)), Case(normal(5), -1)),
)
def cumsum(x, axis=None):
    """The running sum along an axis (None: of the elements in row-major order, as one axis).

    Parameters
    ----------
    x : Tensor or array
    axis : int or None
        Along which axis; None: along all, as one.

    Returns
    -------
    The shape of `x`, or one axis where `axis` is None.

    Raises
    ------
    ValueError
        Where there is no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.cumsum(ns.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    return in_float32(np.cumsum, x, axis=axis)


@cumsum.rule("x")
def _(g, x_shape, axis):
    along = 0 if axis is None else axis
    return reshape(flip(cumsum(flip(g, along), along), along), x_shape)


@reduction(
    formula=r"\ln \sum_i e^{x_i}",
    derivative=r"\frac{e^{x_i}}{\sum_j e^{x_j}}",
    samples=_OVER,
    example=("[1000.0, 1000.0]", "1000.69315"),
    returns="The shape of `x` without those axes, in its dtype.",
    raises=_NO_AXIS,
    kernel="softmax.logsumexp",
)
def logsumexp(x, axis=None, keepdims=False):
    """The logarithm of the sum of exponentials over `axis`, within 4 units in the last place for all finite inputs."""
    return logsumexp.kernel(floating(x), _axis("logsumexp", x, axis), keepdims)


@logsumexp.rule("x")
def _(g, x, y, axis):
    kept = _kept(x.shape, axis)
    p = exp(x - reshape(y, kept))
    return reshape(g, kept) * (p / sum(p, axis, True))  # where x is large p has fewer digits than its ratios


@reduction(
    formula=r"\left( \sum_i |x_i|^p \right)^{1/p}",
    derivative=r"\operatorname{sign}(x_i) \left( \tfrac{|x_i|}{y} \right)^{p-1} \quad (0 \text{ where } y = 0)",
    samples=(
        Case(apart(3, 4)),
        Case(apart()),
        Case(apart(3, 4), 1, 1),
        Case(apart(2, 3, 4), 3, (0, -1)),
        Case(apart(3, 4), 2, 1, True),
        Case(normal(0, 3), 2, 0),
    ),
    example=("[3.0, -4.0]", "p=1", "7."),
    returns="The dtype of `x`.",
    raises={"TypeError, ValueError": "Where `p` is no number of at least 1, or there is no such axis."},
    parameters={"p": "p : float\n    At least 1."},
)
def norm(x, p=2, axis=None, keepdims=False):
    """The p-norm over `axis`, whose powers neither overflow nor underflow; 0 for no elements; where it is 0 so is its derivative."""
    number("norm", "p", p, 1)
    return in_float32(_norm, floating(x), p=p, axis=normalise_axis(axis, np.ndim(x), "norm"), keepdims=keepdims)


def _norm(x, p, axis, keepdims):
    size = np.abs(x)
    kept = _kept(size.shape, axis)
    greatest = np.max(size, axis=axis, keepdims=True) if _count(size.shape, axis) else np.zeros_like(size, shape=kept)
    scale = np.where((greatest > 0) & np.isfinite(greatest), greatest, greatest.dtype.type(1))
    total = np.sum((size / scale) ** p, axis=axis, keepdims=True)
    y = scale * total ** (1 / p)
    return y if keepdims else y.reshape([n for i, n in enumerate(y.shape) if i not in axis])


@norm.rule("x")
def _(g, x, y, axis, p):
    kept = _kept(x.shape, axis)
    y = reshape(y, kept)
    nothing = equal(y, 0)
    y = where(nothing, 1, y)
    if p == 2:
        return reshape(g, kept) * where(nothing, 0, x / y)
    # the derivative of a power of 0 may be infinite, where that of its product with sign 0 is not asked for
    return reshape(g, kept) * sign(x) * (where(equal(x, 0), 1, abs(x)) / y) ** (p - 1)


@reduction(
    formula=r"\operatorname{argmax}_i x_i",
    constant=True,
    samples=_ARG,
    example=("[1.0, 5.0, 3.0]", "1, dtype=int64"),
    returns="The shape of `x` without that axis, int64.",
    raises=_EMPTY,
    parameters=_ONE_AXIS,
)
def argmax(x, axis=None, keepdims=False):
    """The index of the greatest value along `axis` (the first, at a tie): int64, without a gradient."""
    refuse_empty("argmax", x, axis)
    return np.argmax(x, axis, keepdims=keepdims)


@reduction(
    formula=r"\operatorname{argmin}_i x_i",
    constant=True,
    samples=_ARG,
    example=("[1.0, 5.0, 3.0]", "0, dtype=int64"),
    returns="The shape of `x` without that axis, int64.",
    raises=_EMPTY,
    parameters=_ONE_AXIS,
)
def argmin(x, axis=None, keepdims=False):
    """The index of the least value along `axis` (the first, at a tie): int64, without a gradient."""
    refuse_empty("argmin", x, axis)
    return np.argmin(x, axis, keepdims=keepdims)
