"""Distances between vectors, and the losses that are made of distances, margins and divergences."""

import numpy as np

from nnscratch import backend
from nnscratch.arguments import count, flag, number
from nnscratch.autograd import describe
from nnscratch.hints import hinting
from nnscratch.ops.elementwise import abs, equal, exp, less, log, maximum, minimum, multiply, sqrt, where
from nnscratch.ops.loss import check_reduction, compared, reduce
from nnscratch.ops.operands import array_of, floating_point
from nnscratch.ops.reduce import norm, sum
from nnscratch.ops.shape import normalise_axis
from nnscratch.tensor import Tensor


@hinting
def smooth_l1_loss(prediction, target, reduction="mean", beta=1.0):
    r"""Half the squared difference where it is small, else the absolute one (Girshick, 2015).

    .. math:: L = \frac{1}{n} \sum_i l(\hat y_i - y_i), \quad
        l(d) = d^2 / (2 \beta) \text{ for } |d| < \beta, \text{ else } |d| - \beta / 2

    Parameters
    ----------
    prediction, target : Tensor or array
        Of one shape, floating point.
    reduction : "mean", "sum" or "none"
    beta : float
        β, zero or greater; with 0 it is `l1_loss`.

    Returns
    -------
    A single number, or one for each value where the reduction is "none".

    Raises
    ------
    TypeError, ValueError
        Where the shapes differ, there is nothing to compare, or a setting is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.smooth_l1_loss(ns.tensor([1.0, 4.0]), ns.tensor([0.0, 0.0]), reduction="none")
    tensor([0.5, 3.5])
    """
    beta = number("smooth_l1_loss", "beta", beta, 0)
    prediction, target = compared("smooth_l1_loss", prediction, target, reduction)
    d = abs(prediction - target)
    return reduce(where(less(d, beta), d * d / (2 * beta or 1), d - beta / 2), reduction)


@hinting
def huber_loss(prediction, target, reduction="mean", delta=1.0):
    r"""Half the squared difference where it is small, else a straight line on from there (Huber, 1964).

    .. math:: L = \frac{1}{n} \sum_i l(\hat y_i - y_i), \quad
        l(d) = \tfrac12 d^2 \text{ for } |d| < \delta, \text{ else } \delta (|d| - \tfrac12 \delta)

    Parameters
    ----------
    prediction, target : Tensor or array
        Of one shape, floating point.
    reduction : "mean", "sum" or "none"
    delta : float
        δ, above 0.

    Returns
    -------
    A single number, or one for each value where the reduction is "none".

    Raises
    ------
    TypeError, ValueError
        Where the shapes differ, there is nothing to compare, or a setting is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.huber_loss(ns.tensor([1.0, 4.0]), ns.tensor([0.0, 0.0]), reduction="none", delta=2.0)
    tensor([0.5, 6. ])
    """
    delta = number("huber_loss", "delta", delta, 0, ends="(]")
    prediction, target = compared("huber_loss", prediction, target, reduction)
    d = abs(prediction - target)
    return reduce(where(less(d, delta), d * d / 2, delta * (d - delta / 2)), reduction)


@hinting
def kl_div(log_prediction, target, reduction="mean", log_target=False):
    r"""How far predicted distributions are from the true ones, value by value (Kullback & Leibler, 1951).

    .. math:: L = \frac{1}{n} \sum_i y_i (\ln y_i - \ln \hat y_i)

    Parameters
    ----------
    log_prediction : Tensor or array
        The logarithms ln ŷ, as `log_softmax` gives them.
    target : Tensor or array
        The true probabilities y in the same shape; with `log_target` their logarithms.
    reduction : "mean", "batchmean", "sum" or "none"
        "mean" divides by the number of all values, "batchmean" by that of the samples, which is what the divergence is.
    log_target : bool

    Returns
    -------
    A single number, or one for each value where the reduction is "none".

    Raises
    ------
    TypeError, ValueError
        Where the shapes differ, there is nothing to compare, or a setting is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> p = ns.tensor([[0.5, 0.5]])
    >>> ns.functional.kl_div(ns.log(p), ns.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931472)
    """
    by_sample = isinstance(reduction, str) and reduction == "batchmean"
    log_prediction, target = compared("kl_div", log_prediction, target, "sum" if by_sample else reduction)
    if flag("kl_div", "log_target", log_target):
        losses = exp(target) * (target - log_prediction)
    else:  # 0 log 0 counts as 0
        losses = multiply(target, log(where(equal(target, 0), 1, target)) - log_prediction)
    if not by_sample:
        return reduce(losses, reduction)
    return sum(losses) / (losses.shape[0] if losses.shape else 1)


@hinting
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdims=False):
    r"""The p-norm of the differences of vectors.

    .. math:: d = \lVert x_1 - x_2 + \varepsilon \rVert_p

    Parameters
    ----------
    x1, x2 : (..., D) Tensor or array
        Floating point, of shapes that broadcast.
    p : float
        At least 1.
    eps : float
        Added to each difference, so that the norm has a derivative where they are equal.
    keepdims : bool
        Whether the last axis stays, with length 1.

    Returns
    -------
    One for each pair of vectors.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, or `p` is no number of at least 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.pairwise_distance(ns.tensor([[3.0, 0.0]]), ns.tensor([[0.0, 4.0]]), eps=0.0)
    tensor([5.])
    """
    name = "pairwise_distance"
    x1, x2 = _vectors(name, x1=x1, x2=x2)
    p, keepdims = number(name, "p", p, 1), flag(name, "keepdims", keepdims)
    return norm(x1 - x2 + number(name, "eps", eps, 0), p, -1, keepdims)


@hinting
def cosine_similarity(x1, x2, axis=-1, eps=1e-8):
    r"""The cosine of the angle between vectors.

    .. math:: \cos = \frac{x_1 \cdot x_2}{\max(\lVert x_1 \rVert, \varepsilon) \max(\lVert x_2 \rVert, \varepsilon)}

    Parameters
    ----------
    x1, x2 : Tensor or array
        Floating point, of shapes that broadcast.
    axis : int
        Along which the vectors lie.
    eps : float
        Above 0.

    Returns
    -------
    One for each pair of vectors.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, or there is no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.cosine_similarity(ns.tensor([[3.0, 4.0]]), ns.tensor([[1.0, 0.0]]))
    tensor([0.6])
    """
    x1, x2 = _vectors("cosine_similarity", x1=x1, x2=x2)
    axis, ndim = count("cosine_similarity", "axis", axis, -32), max(x1.ndim, x2.ndim)
    axis = (
        normalise_axis(axis, ndim, "cosine_similarity")[0] - ndim
    )  # from the end, where shapes that broadcast have the same axes
    eps = number("cosine_similarity", "eps", eps, 0, ends="(]")
    lengths = [maximum(norm(x, 2, axis, True), eps) for x in (x1, x2)]
    return sum(x1 / lengths[0] * (x2 / lengths[1]), axis)


@hinting
def cosine_embedding_loss(x1, x2, target, margin=0.0, reduction="mean"):
    r"""Pairs that belong together drawn to one direction, the others to directions apart.

    .. math:: l = 1 - \cos(x_1, x_2) \text{ where } y = 1, \quad \max(0, \cos(x_1, x_2) - m) \text{ where } y = -1

    Parameters
    ----------
    x1, x2 : (..., D) Tensor or array
        Floating point.
    target : (...) of 1 and -1
    margin : float
        m, from -1 to 1.
    reduction : "mean", "sum" or "none"

    Returns
    -------
    A single number, or one for each pair where the reduction is "none".

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, or a setting is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x, y = ns.tensor([[3.0, 4.0], [3.0, 4.0]]), ns.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> ns.functional.cosine_embedding_loss(x, y, [1, -1], reduction="none")
    tensor([0.4, 0.6])
    """
    name = "cosine_embedding_loss"
    check_reduction(name, reduction)
    margin = number(name, "margin", margin, -1, 1)
    x1, x2 = _vectors(name, x1=x1, x2=x2)
    target = target if isinstance(target, Tensor) or backend.is_array(target) else array_of(f"{name}: target", target)
    # with what keeps the root's derivative finite at 0
    squares = [sum(x * x, -1) + 1e-12 for x in (x1, x2)]
    cosine = sum(x1 * x2, -1) / sqrt(squares[0] * squares[1])
    if target.dtype.kind not in "iuf":
        raise TypeError(f"{name}: target is {describe(target)}, expected 1 or -1 for each pair; pass numbers")
    together = equal(target, 1)
    if together.shape != cosine.shape:
        raise ValueError(
            f"{name}: target has shape {together.shape}, expected 1 or -1 for each of the pairs {cosine.shape}; reshape it"
        )
    apart = where(equal(target, -1), maximum(cosine - margin, 0), 0)
    return reduce(where(together, 1 - cosine, apart), reduction)


@hinting
def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
    r"""Vectors drawn nearer to one of their kind than to one of another, by a margin (Balntas et al., 2016).

    .. math:: l = \max(0, d(a, p) - d(a, n) + m)

    Parameters
    ----------
    anchor, positive, negative : (..., D) Tensor or array
        a, p and n, floating point.
    margin : float
        m, above 0.
    p : float
        Of the norm; see `pairwise_distance`.
    eps : float
    swap : bool
        Whether d(p, n) takes the place of d(a, n) where it is smaller.
    reduction : "mean", "sum" or "none"

    Returns
    -------
    A single number, or one for each triplet where the reduction is "none".

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit, or a setting is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> a, p, n = ns.tensor([[0.0, 0.0]]), ns.tensor([[3.0, 4.0]]), ns.tensor([[6.0, 8.0]])
    >>> ns.functional.triplet_margin_loss(a, p, n, margin=7.0, eps=0.0)
    tensor(2.)
    """
    name = "triplet_margin_loss"
    check_reduction(name, reduction)
    margin = number(name, "margin", margin, 0, ends="(]")
    a, b, c = _vectors(name, anchor=anchor, positive=positive, negative=negative)
    near, far = pairwise_distance(a, b, p, eps), pairwise_distance(a, c, p, eps)
    if flag(name, "swap", swap):
        far = minimum(far, pairwise_distance(b, c, p, eps))
    return reduce(maximum(near - far + margin, 0), reduction)


def _vectors(name, **vectors):
    """Tensors or arrays of at least one axis, floating point."""
    found = [floating_point(name, what, value) for what, value in vectors.items()]
    for what, value in zip(vectors, found, strict=True):
        if value.ndim == 0:
            raise ValueError(f"{name}: {what} is {describe(value)}, expected vectors along the last axis; pass such")
    try:
        np.broadcast_shapes(*(value.shape for value in found))
    except ValueError:
        shapes = ", ".join(f"{what} {value.shape}" for what, value in zip(vectors, found, strict=True))
        raise ValueError(f"{name}: the shapes do not broadcast ({shapes}); give them one shape") from None
    return found
