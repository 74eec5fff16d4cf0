"""Normalisation: values standardised over axes, which batch, layer, group, instance and root-mean-square normalisation are."""

import functools
import math
import threading

import numpy as np

from nnscratch.arguments import count
from nnscratch.autograd import came, describe, op
from nnscratch.hints import hinting
from nnscratch.ops.elementwise import add, common_dtype, maximum, multiply, power, square
from nnscratch.ops.families import floating
from nnscratch.ops.fused import fused
from nnscratch.ops.operands import check_shapes, floating_point, raw
from nnscratch.ops.pool import sum_pool2d
from nnscratch.ops.reduce import mean, norm, refuse_empty
from nnscratch.ops.shape import broadcast_to, normalise_axis, reshape
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
    outputs=("values", "mean", "variance"),
    kernel="normalise.standardize",
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
    values
        The shape and dtype of `x`.
    mean, variance
        In float64, with a length of 1 along `axis`; not centred, 0 and the mean square.

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit, there is no such axis, or nothing along it.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch.ops.normalise import standardize
    >>> values, mean, variance = standardize(ns.tensor([[1.0, 3.0]]), -1, 0.0)
    >>> values, mean.item(), variance.item()
    (tensor([[-1.,  1.]]), 2.0, 1.0)
    """
    x, _, weight, bias, axes = _checked("standardize", axis, x, weight=weight, bias=bias)
    return standardize.kernel(x, axes, eps, weight, bias, centred)


@standardize.rule("x", "weight", "bias")
def _(g_values, g_mean, g_variance, x, axis, eps, weight, bias, centred, mean, variance, wanted):
    axes = normalise_axis(axis, x.ndim, "standardize")
    moments = g_mean, g_variance
    return _gradients(x, g_values, *moments, axes, eps, weight, bias, centred, mean, variance, wanted)


@fused("normalise.standardize_gradients")
def _gradients(x, g_values, g_mean, g_variance, axes, eps, weight, bias, centred, mean, variance, wanted):
    n = math.prod(length for length, kept in zip(x.shape, mean.shape, strict=True) if kept == 1)
    by_input = "x" in wanted and [
        standardize_input(g_values, x, axes, eps, weight, centred, mean, variance) if came(g_values) else 0,
        broadcast_to(g_mean / n, x.shape) if came(g_mean) and centred else 0,
        2 / n * g_variance * (x - mean) if came(g_variance) else 0,
    ]
    by_weight = "weight" in wanted and came(g_values)
    return (
        functools.reduce(add, filter(came, by_input)) if by_input and any(map(came, by_input)) else None,
        standardize_weight(g_values, x, weight.shape, axes, eps, centred, mean, variance) if by_weight else None,
        g_values,  # the engine sums what was broadcast
    )


def _statistics(x, axis, centred, mean, variance):
    """What `standardize` found, or where it is not given, the same of `x`."""
    return standardize(x, axis, 0.0, None, None, centred)[1:] if mean is None else (mean, variance)


@op(
    formula=r"\text{the gradient of standardize by x}",
    derivative=r"\text{standardize\_input, standardize\_weight}",
    constant=("mean", "variance"),
    kernel="normalise.standardize_input",
    samples=(
        Case(normal(3, 5), _ROWS, (-1,)),
        Case(normal(2, 3, 2, 2), _IMAGES, (0, 2, 3), 0.1, normal(3, 1, 1)),
        Case(normal(3, 5), _ROWS, (-1,), 0.1, normal(5), False),
    ),
)
def standardize_input(d, x, axis, eps=1e-5, weight=None, centred=True, mean=None, variance=None):
    """The gradient of `standardize` by `x`, where that by its result is `d`: its transpose, and for no weight itself its transpose.

    Parameters
    ----------
    d : Tensor or array
        Of the shape of `x`.
    x, axis, eps, weight, centred
        As in `standardize`.
    mean, variance : optional
        What `standardize` found, so that it is not computed again. They stand for functions of `x`, and its derivative
        goes through them.

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, there is no such axis, or nothing along it.
    """
    x, d, weight, axes = _checked("standardize_input", axis, x, d, weight=weight)
    mean, variance = _statistics(x, axes, centred, mean, variance)
    return standardize_input.kernel(d, x, mean, variance, axes, eps, weight, centred)


@standardize_input.rule("d")
def _(g, x, axis, eps, weight, centred, mean, variance):
    d = standardize_input(g, x, axis, eps, None, centred, mean, variance)
    return d if weight is None else multiply(d, weight)


@standardize_input.rule("weight")
def _(g, d, x, axis, eps, centred, mean, variance):
    return multiply(d, standardize_input(g, x, axis, eps, None, centred, mean, variance))


@standardize_input.rule("x")
def _(g, d, x, axis, eps, weight, centred):
    # With r the scale, this is r (Σ g h - n ḡ h̄ - n avg(g x̂) avg(h x̂)); r and x̂ depend on x.
    h = d if weight is None else multiply(d, weight)
    y, centre, variance = standardize(x, axis, eps, None, None, centred)
    scale = power(variance + eps, -0.5)
    along_g, along_h = mean(g * y, axis, True), mean(h * y, axis, True)
    together = mean(g * h, axis, True) - along_g * along_h
    if centred:
        together = together - mean(g, axis, True) * mean(h, axis, True)
    through_y = standardize_input(g * along_h + h * along_g, x, axis, eps, None, centred, centre, variance)
    return -scale * (through_y + scale * y * together)


@op(
    formula=r"\text{the gradient of standardize by its weight}",
    derivative=r"\text{standardize, standardize\_input}",
    constant=("mean", "variance"),
    kernel="normalise.standardize_weight",
    samples=(
        Case(normal(3, 5), _ROWS, (5,), (-1,)),
        Case(normal(2, 3, 2, 2), _IMAGES, (3, 1, 1), (0, 2, 3), 0.1),
        Case(normal(3, 5), _ROWS, (5,), (-1,), 0.1, False),
    ),
)
def standardize_weight(d, x, shape, axis, eps=1e-5, centred=True, mean=None, variance=None):
    """The gradient of `standardize` by a weight of that shape, where that by its result is `d`.

    Parameters
    ----------
    d : Tensor or array
        Of the shape of `x`.
    shape : tuple of int
        Broadcasts to that of `x`.
    x, axis, eps, centred
        As in `standardize`.
    mean, variance : optional
        As in `standardize_input`.

    Returns
    -------
    Of that shape, in the dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, there is no such axis, or nothing along it.
    """
    x, d, axes = _checked("standardize_weight", axis, x, d, shape=tuple(shape))
    mean, variance = _statistics(x, axes, centred, mean, variance)
    return standardize_weight.kernel(d, x, mean, variance, tuple(shape), axes, eps)


@standardize_weight.rule("d")
def _(g, x, axis, eps, centred):
    return standardize(x, axis, eps, g, None, centred)[0]


@standardize_weight.rule("x")
def _(g, d, x, axis, eps, centred, mean, variance):
    return standardize_input(d, x, axis, eps, g, centred, mean, variance)


# What users call


class _Standardizing(threading.local):
    #: A function that batch normalisation standardises by in this thread, where its samples are not all here; else None.
    way = None


standardizing = _Standardizing()


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    r"""Each channel standardised over the batch, or by running statistics outside training (Ioffe & Szegedy, 2015).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    running_mean, running_var : (C,), optional
        Replaced in training by (1 - momentum) times themselves + momentum times the batch's (its variance over n - 1).
    weight, bias : (C,), optional
        γ and β.
    training : bool
        Standardise by the batch itself, over all axes but the second (its variance over n).
    momentum, eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit, a training batch has one value a channel, or statistics are missing outside training.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.batch_norm(ns.tensor([[1.0], [3.0]]), training=True)
    tensor([[-0.999995],
            [ 0.999995]])
    """
    name = "batch_norm"
    x = floating_point(name, "x", x)
    if x.ndim < 2:
        raise ValueError(f"{name}: expected x (N, C, ...), got {describe(x)}; add the missing axes")
    channels = x.shape[1]
    statistics = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    check_shapes(name, (channels,), f"x {x.shape} has {channels} channels; check num_features", **statistics)
    axes = (0, *range(2, x.ndim))
    wide = (1, channels, *(1,) * (x.ndim - 2))
    if training:
        n = x.size // channels if channels else 0
        if n < 2 and standardizing.way is None:
            raise ValueError(
                f"{name}: training needs at least two values a channel, x {x.shape} has {n}; use a larger batch, or eval()"
            )
        affine = (a if a is None else reshape(a, wide) for a in (weight, bias))
        if standardizing.way is None:
            y, mean, variance = standardize(x, axes, eps, *affine)
        else:
            y, mean, variance, n = standardizing.way(x, axes, eps, *affine)
        if running_mean is not None:
            for running, batch in ((running_mean, mean), (running_var, variance)):
                batch = raw(batch).reshape(-1) * (n / (n - 1) if running is running_var else 1)
                running[...] = (1 - momentum) * raw(running) + momentum * batch.astype(x.dtype)
        return y
    if running_mean is None or running_var is None:
        raise ValueError(
            f"{name}: outside training running_mean and running_var are needed; pass them, or training=True"
        )
    scale = (running_var + eps) ** -0.5
    y = (x - reshape(running_mean, wide)) * reshape(scale if weight is None else scale * weight, wide)
    return y if bias is None else y + reshape(bias, wide)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    r"""Each sample standardised over each of some groups of its channels (Wu & He, 2018).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    groups : int
        A divisor of C.
    weight, bias : (C,), optional
        γ and β.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit, or the groups do not divide the channels.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.group_norm(ns.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-0.999995,  0.999995, -1.      ,  1.      ]])
    """
    return _grouped("group_norm", x, groups, weight, bias, eps)


def instance_norm(x, weight=None, bias=None, eps=1e-5):
    r"""Each channel of each sample standardised by itself (Ulyanov et al., 2016).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : (N, C, ...)
    weight, bias : (C,), optional
        γ and β.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.instance_norm(ns.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-0.999995,  0.999995],
             [-1.      ,  1.      ]]])
    """
    return _grouped("instance_norm", x, None, weight, bias, eps)


def _grouped(name, x, groups, weight, bias, eps):
    """Group normalisation, each channel a group where `groups` is None."""
    x = floating_point(name, "x", x)
    least = 2 if groups is not None else 3
    if x.ndim < least or 0 in x.shape[1:]:
        raise ValueError(f"{name}: expected x (N, C{', ...' * (least - 2)}), got {describe(x)}; add the missing axes")
    channels = x.shape[1]
    groups = channels if groups is None else count(name, "groups", groups)
    if channels % groups:
        raise ValueError(
            f"{name}: {groups} groups do not divide the {channels} channels of x {x.shape}; choose a divisor"
        )
    check_shapes(
        name, (channels,), f"x {x.shape} has {channels} channels; check num_channels", weight=weight, bias=bias
    )
    each = channels // groups
    affine = (a if a is None else reshape(a, (groups, each, 1)) for a in (weight, bias))
    grouped = reshape(x, (x.shape[0], groups, each, math.prod(x.shape[2:])))
    return reshape(standardize(grouped, (2, 3), eps, *affine)[0], x.shape)


@hinting
def layer_norm(x, weight=None, bias=None, axis=-1, eps=1e-5):
    r"""Each sample standardised over its features (Ba, Kiros & Hinton, 2016).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : Tensor or array
        At least one axis, floating point.
    weight, bias : in the shape of the axes normalised over, optional
        γ and β.
    axis : int or tuple of int
        The axes of the features, at the end of `x` where there is a weight or a bias.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.layer_norm(ns.tensor([[1.0, 3.0]]))
    tensor([[-0.999995,  0.999995]])
    """
    x, axes = _features("layer_norm", x, axis, weight, bias)
    return standardize(x, axes, eps, weight, bias)[0]


def rms_norm(x, weight=None, axis=-1, eps=1e-5):
    r"""Each sample divided by the root mean square of its features (Zhang & Sennrich, 2019).

    .. math:: y = \frac{x}{\sqrt{\mathrm{E}[x^2] + \varepsilon}}\, \gamma

    Parameters
    ----------
    x : Tensor or array
        At least one axis, floating point.
    weight : in the shape of the axes normalised over, optional
        γ.
    axis : int or tuple of int
        The axes of the features, at the end of `x` where there is a weight.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.rms_norm(ns.tensor([[1.0, 7.0]]), eps=0.0)
    tensor([[0.2, 1.4]])
    """
    x, axes = _features("rms_norm", x, axis, weight)
    return standardize(x, axes, eps, weight, None, False)[0]


@hinting
def normalize(x, p=2, axis=-1, eps=1e-12):
    r"""Vectors divided by their p-norms, or by `eps` where those are smaller.

    .. math:: y = \frac{x}{\max(\lVert x \rVert_p, \varepsilon)}

    Parameters
    ----------
    x : Tensor or array
        Floating point.
    p : float
        At least 1.
    axis : int or tuple of int
        Along which the vectors lie.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where there is no such axis, or `p` is no number of at least 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.normalize(ns.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    x = floating_point("normalize", "x", x)
    return x / maximum(norm(x, p, axis, True), eps)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    r"""Each value divided by a power of the squares of its neighbours in other channels (Krizhevsky et al., 2012).

    .. math:: y_c = \frac{x_c}{\left( k + \frac{\alpha}{n} \sum_{j = c - \lfloor n/2 \rfloor}^{c + \lfloor (n-1)/2 \rfloor} x_j^2 \right)^\beta}

    Parameters
    ----------
    x : (N, C, ...)
    size : int
        n, how many channels are neighbours.
    alpha, beta, k : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit, or the size is no whole number of at least 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.local_response_norm(ns.tensor([[[3.0], [1.0]]]), 1, alpha=1.0, beta=0.5, k=0.0)
    tensor([[[1.],
             [1.]]])
    """
    name = "local_response_norm"
    x, n = floating_point(name, "x", x), count(name, "size", size)
    if x.ndim < 3:
        raise ValueError(f"{name}: expected x (N, C, ...), got {describe(x)}; add the missing axes")
    # a window over the channels, as if they were the rows of an image
    rows = reshape(square(x), (x.shape[0], 1, x.shape[1], math.prod(x.shape[2:])))
    squares = reshape(sum_pool2d(rows, (n, 1), 1, ((n // 2, (n - 1) // 2), (0, 0))), x.shape)
    return x / (k + alpha / n * squares) ** beta


def _features(name, x, axis, weight, bias=None):
    """The checked input of a normalisation over features, and their axes."""
    x = floating_point(name, "x", x)
    axes = axis if isinstance(axis, tuple) else (axis,)
    if x.ndim < len(axes):
        raise ValueError(f"{name}: expected at least {len(axes)} axes, got {describe(x)}; add the missing ones")
    features = x.shape[x.ndim - len(axes) :]
    check_shapes(
        name, features, f"x {x.shape} has features {features}; check normalized_shape", weight=weight, bias=bias
    )
    return x, axes
