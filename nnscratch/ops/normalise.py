"""Standardising values over axes, which batch, layer, group, instance and root-mean-square normalisation are."""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import describe, op
from nnscratch.ops.elementwise import common_dtype, floating, multiply, power, square
from nnscratch.ops.reduce import mean, refuse_empty, var
from nnscratch.ops.shape import normalise_axis
from nnscratch.sample_inputs import Case, normal

_ROWS, _IMAGES = normal(3, 5), normal(2, 3, 2, 2)


def _checked(name, axis, x, d=None, **affine):
    """The arrays in one dtype, and the axes."""
    if d is not None and np.shape(d) != np.shape(x):
        raise ValueError(f"{name}: d is {describe(d)}, expected the shape of x ({describe(x)}); pass one of that shape")
    x = floating(x)
    for what, a in affine.items():
        shape = () if a is None else getattr(a, "shape", a)
        if (
            not isinstance(shape, tuple)
            or len(shape) > x.ndim
            or any(n not in (1, m) for n, m in zip(shape[::-1], x.shape[::-1], strict=False))
        ):
            raise ValueError(
                f"{name}: {what} is {describe(a)}, which does not broadcast to x ({describe(x)}); reshape it"
            )
    refuse_empty(name, x, axis)
    arrays = [a for a in affine.values() if a is None or hasattr(a, "dtype")]
    return *common_dtype(x, d, *arrays), normalise_axis(axis, x.ndim, name)


@op(
    formula=r"y = \hat x\, \gamma + \beta, \quad \hat x = \frac{x - \bar x}{\sqrt{\operatorname{var} x + \varepsilon}}"
    r" \;\text{or, not centred,}\; \frac{x}{\sqrt{\overline{x^2} + \varepsilon}}",
    derivative=r"\frac{1}{\sqrt{\operatorname{var} x + \varepsilon}} \left( h - \bar h - \hat x\, \overline{h \hat x} \right)"
    r" \;\text{for}\; h = g \gamma \;\text{(not centred, without}\; \bar h \text{)}, \quad g \hat x, \quad g",
    document="Ioffe & Szegedy, 2015; Ba, Kiros & Hinton, 2016; Zhang & Sennrich, 2019",
    samples=(
        Case(normal(4, 3), (0,)),
        Case(_ROWS, (-1,)),
        Case(_IMAGES, (0, 2, 3), 0.1),
        Case(_ROWS, (-1,), 1e-5, normal(5), normal(5)),
        Case(_IMAGES, (0, 2, 3), 0.1, normal(3, 1, 1), normal(3, 1, 1)),
        Case(_ROWS, (-1,), 0.1, normal(5), None, False),
    ),
)
def standardize(x, axis, eps=1e-5, weight=None, bias=None, centred=True):
    """Values less their mean over `axis`, divided by the root of their variance (over n) plus `eps`; then scaled and shifted.

    Parameters
    ----------
    x : Tensor or array
        Floating point.
    axis : int or tuple of int
    eps : float
    weight, bias : optional
        γ and β, of shapes that broadcast to that of `x`.
    centred : bool
        Where it is False values are divided by the root of their mean square plus `eps`, and no mean is taken from them.

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit, there is no such axis, or nothing along it.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch.ops.normalise import standardize
    >>> standardize(ns.tensor([[1.0, 3.0]]), -1, 0.0)
    tensor([[-1.,  1.]])
    """
    x, _, weight, bias, axes = _checked("standardize", axis, x, weight=weight, bias=bias)
    return backend.of(x).kernels.standardize(x, axes, eps, weight, bias, centred)


@standardize.rule("x")
def _(g, x, axis, eps, weight, centred):
    return standardize_input(g, x, axis, eps, weight, centred)


@standardize.rule("weight")
def _(g, x, weight_shape, axis, eps, centred):
    return standardize_weight(g, x, weight_shape, axis, eps, centred)


@standardize.rule("bias")
def _(g):
    return g  # the engine sums what was broadcast


@op(
    formula=r"\text{the gradient of standardize by x}",
    derivative=r"\text{standardize\_input, standardize\_weight}",
    samples=(
        Case(normal(3, 5), _ROWS, (-1,)),
        Case(normal(2, 3, 2, 2), _IMAGES, (0, 2, 3), 0.1, normal(3, 1, 1)),
        Case(normal(3, 5), _ROWS, (-1,), 0.1, normal(5), False),
    ),
)
def standardize_input(d, x, axis, eps=1e-5, weight=None, centred=True):
    """The gradient of `standardize` by `x`, where that by its result is `d`: its transpose, and for no weight itself its transpose.

    Parameters
    ----------
    d : Tensor or array
        Of the shape of `x`.
    x, axis, eps, weight, centred
        As in `standardize`.

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, there is no such axis, or nothing along it.
    """
    x, d, weight, axes = _checked("standardize_input", axis, x, d, weight=weight)
    return backend.of(x).kernels.standardize_input(d, x, axes, eps, weight, centred)


@standardize_input.rule("d")
def _(g, x, axis, eps, weight, centred):
    d = standardize_input(g, x, axis, eps, None, centred)
    return d if weight is None else multiply(d, weight)


@standardize_input.rule("weight")
def _(g, d, x, axis, eps, centred):
    return multiply(d, standardize_input(g, x, axis, eps, None, centred))


@standardize_input.rule("x")
def _(g, d, x, axis, eps, weight, centred):
    # With r the scale, this is r (Σ g h - n ḡ h̄ - n avg(g x̂) avg(h x̂)); r and x̂ depend on x.
    h = d if weight is None else multiply(d, weight)
    y = standardize(x, axis, eps, None, None, centred)
    scale = power((var(x, axis, 0, True) if centred else mean(square(x), axis, True)) + eps, -0.5)
    along_g, along_h = mean(g * y, axis, True), mean(h * y, axis, True)
    together = mean(g * h, axis, True) - along_g * along_h
    if centred:
        together = together - mean(g, axis, True) * mean(h, axis, True)
    through_y = standardize_input(g * along_h + h * along_g, x, axis, eps, None, centred)
    return -scale * (through_y + scale * y * together)


@op(
    formula=r"\text{the gradient of standardize by its weight}",
    derivative=r"\text{standardize, standardize\_input}",
    samples=(
        Case(normal(3, 5), _ROWS, (5,), (-1,)),
        Case(normal(2, 3, 2, 2), _IMAGES, (3, 1, 1), (0, 2, 3), 0.1),
        Case(normal(3, 5), _ROWS, (5,), (-1,), 0.1, False),
    ),
)
def standardize_weight(d, x, shape, axis, eps=1e-5, centred=True):
    """The gradient of `standardize` by a weight of that shape, where that by its result is `d`.

    Parameters
    ----------
    d : Tensor or array
        Of the shape of `x`.
    shape : tuple of int
        Broadcasts to that of `x`.
    x, axis, eps, centred
        As in `standardize`.

    Returns
    -------
    Of that shape, in the dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, there is no such axis, or nothing along it.
    """
    x, d, axes = _checked("standardize_weight", axis, x, d, shape=tuple(shape))
    return backend.of(x).kernels.standardize_weight(d, x, tuple(shape), axes, eps, centred)


@standardize_weight.rule("d")
def _(g, x, axis, eps, centred):
    return standardize(x, axis, eps, g, None, centred)


@standardize_weight.rule("x")
def _(g, d, x, axis, eps, centred):
    return standardize_input(d, x, axis, eps, g, centred)
