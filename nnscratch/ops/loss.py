"""Losses value by value, and what all losses have in common. A target may be differentiated, too."""

import numpy as np

from nnscratch import backend
from nnscratch.arguments import shown
from nnscratch.autograd import describe, op
from nnscratch.ops.elementwise import astype, sign
from nnscratch.ops.operands import array_of, backend_of, floating_point, raw
from nnscratch.ops.shape import broadcast_to, expand_dims
from nnscratch.sample_inputs import Case, apart, normal, unit
from nnscratch.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name, reduction):
    """See that there is such a reduction."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction {shown(reduction)} is unknown; pass 'mean', 'sum' or 'none'")


def compared(name, prediction, target, reduction):
    """Prediction and target, Tensors or arrays, checked; the target in the prediction's dtype."""
    check_reduction(name, reduction)
    if type(prediction) is type(target) and hasattr(prediction, "dtype"):
        dtype = prediction.dtype
        if dtype.kind == "f" and target.dtype == dtype and prediction.shape == target.shape and prediction.size:
            return prediction, target  # as usual: two arrays of one kind
    prediction = floating_point(name, "prediction", prediction)
    if not isinstance(target, Tensor) and not backend.is_array(target):
        target = backend_of(prediction).as_result(array_of(f"{name}: target", target))
    ours, theirs = map(raw, (prediction, target))
    if ours.shape != theirs.shape:
        are_labels = theirs.dtype.kind in "iu" and theirs.shape == ours.shape[:-1]
        mend = "for labels of classes take cross_entropy, or one-hot rows" if are_labels else "reshape one"
        raise ValueError(
            f"{name}: prediction has shape {ours.shape}, target {theirs.shape}, and they are compared value by value; {mend}"
        )
    if ours.size == 0:
        raise ValueError(
            f"{name}: prediction and target of shape {ours.shape} hold nothing to compare; pass at least one value"
        )
    return prediction, target if theirs.dtype == ours.dtype else target.astype(ours.dtype)


@op(
    formula=r"\frac{1}{n} \sum_i l_i",
    derivative=r"\frac{1}{n}",
    kernel="loss.mean_of_losses",
    samples=(Case(normal(3, 4), 12), Case(normal(5), 1), Case(normal(2, 3), 2.5)),
)
def mean_of_losses(losses, n):
    """The sum of all losses divided by `n`: in float64, and rounded once."""
    return mean_of_losses.kernel(losses, n)


@mean_of_losses.rule("losses")
def _(g, losses_shape, n):
    return broadcast_to(g / divisor(n, g.dtype), losses_shape)


def reduce(losses, reduction, n=None):
    """Losses as one number (or left as they are); `n` divides a mean, their count by default."""
    if reduction == "none":
        return losses
    if reduction == "mean":
        refuse_none(losses)
    return mean_of_losses(losses, 1 if reduction == "sum" else losses.size if n is None else n)


def refuse_none(values):
    if values.size == 0:
        raise ValueError("nothing to take the mean of; pass at least one value")


def scale(g, reduction, n):
    """The gradient by each of the losses that `reduce` made into one."""
    return g / divisor(n, g.dtype) if reduction == "mean" else g


def divisor(n, dtype):
    """What a mean is divided by, without changing that dtype: numbers are weak, arrays of a GPU are not."""
    return n.astype(dtype) if hasattr(n, "astype") else n


def each(g, reduction, n):
    """The same for losses over the last axis, to be broadcast along it."""
    return expand_dims(g, -1) if reduction == "none" else scale(g, reduction, n)


def _difference(prediction, target):
    """In the prediction's dtype, as the loss compares them."""
    return prediction - (target if target.dtype == prediction.dtype else astype(target, prediction.dtype))


@op(
    formula=r"L = \frac{1}{n} \sum_i (y_i - \hat y_i)^2",
    derivative=r"\frac{2}{n} (\hat y_i - y_i)",
    document="F6: 000 §4; 001 §4; 004 §4.2.1 (E1, E2)",
    kernel="loss.mean_of_squares",
    samples=(
        Case(normal(3, 4), normal(3, 4)),
        Case(normal(3, 4), normal(3, 4), "sum"),
        Case(normal(5), normal(5), "none"),
    ),
)
def mse_loss(prediction, target, reduction="mean"):
    """The mean of the squared differences, over all values compared.

    Parameters
    ----------
    prediction, target : Tensor or array
        Of one shape, floating point.
    reduction : "mean", "sum" or "none"

    Returns
    -------
    A single number, or one for each value where the reduction is "none".

    Raises
    ------
    ValueError
        Where the shapes differ, there is nothing to compare, or the reduction is unknown.

    Examples
    --------
    004 §4.5.1 prints 2/3 for this; its formula gives 1:

    >>> import nnscratch as ns
    >>> ns.functional.mse_loss(ns.tensor([2.0, 4.0, 3.0]), ns.tensor([3.0, 5.0, 4.0]))
    tensor(1.)
    """
    prediction, target = compared("mse_loss", prediction, target, reduction)
    d = np.subtract(prediction, target)
    if reduction != "mean":
        return reduce(d * d, reduction)
    refuse_none(d)
    return mse_loss.kernel(d)


@mse_loss.rule("prediction")
def _(g, prediction, target, reduction):
    d = _difference(prediction, target)
    return (2 * g / d.size if reduction == "mean" else 2 * g) * d


@mse_loss.rule("target")
def _(g, prediction, target, reduction):
    d = -_difference(prediction, target)
    return (2 * g / d.size if reduction == "mean" else 2 * g) * d


@op(
    formula=r"L = \frac{1}{n} \sum_i |y_i - \hat y_i|",
    derivative=r"\frac{1}{n} \operatorname{sign}(\hat y_i - y_i) \quad (0 \text{ at } 0)",
    samples=(
        Case(apart(3, 4), apart(3, 4, shift=0.15)),
        Case(apart(3, 4), apart(3, 4, shift=0.15), "sum"),
        Case(apart(5), apart(5, shift=0.15), "none"),
    ),
)
def l1_loss(prediction, target, reduction="mean"):
    """The mean of the absolute differences; its derivative where they are 0 is taken as 0.

    Parameters
    ----------
    prediction, target : Tensor or array
        Of one shape, floating point.
    reduction : "mean", "sum" or "none"

    Returns
    -------
    A single number, or one for each value where the reduction is "none".

    Raises
    ------
    ValueError
        Where the shapes differ, there is nothing to compare, or the reduction is unknown.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.l1_loss(ns.tensor([2.0, 4.0]), ns.tensor([3.0, 2.0]))
    tensor(1.5)
    """
    prediction, target = compared("l1_loss", prediction, target, reduction)
    return reduce(np.abs(np.subtract(prediction, target)), reduction)


@l1_loss.rule("prediction")
def _(g, prediction, target, reduction):
    d = _difference(prediction, target)
    return scale(g, reduction, d.size) * sign(d)


@l1_loss.rule("target")
def _(g, prediction, target, reduction):
    d = -_difference(prediction, target)
    return scale(g, reduction, d.size) * sign(d)


@op(
    formula=r"\ell(\theta) = \sum_i \ln P(x_i \mid \theta)",
    derivative=r"\frac{1}{P(x_i \mid \theta)}",
    document="F12: 003 §4.1",
    samples=(Case(unit(5)), Case(unit(3, 4))),
)
def log_likelihood(probability):
    """The sum of the logarithms of the probabilities (or densities) that a model gives to each of the samples.

    Parameters
    ----------
    probability : Tensor or array
        P(x_i | θ) for each sample, in any shape; none may be negative.

    Returns
    -------
    A single number.

    Raises
    ------
    ValueError
        Where a probability is negative or nan.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.log_likelihood(ns.tensor([0.5, 0.25]))
    tensor(-2.0794415)
    """
    what, here = describe(probability), backend.of(probability)

    def error(value):
        return ValueError(
            f"log_likelihood: got a negative probability or nan in {what}; pass probabilities, not their logarithms"
        )

    here.check(here.as_result(probability), 0, np.inf, error)
    with np.errstate(divide="ignore"):  # log 0 = -inf is the true value
        return mean_of_losses(np.log(probability), 1)


@log_likelihood.rule("probability")
def _(g, probability):
    return g / probability
