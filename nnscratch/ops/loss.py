"""Losses, each beside its formula. A target may be differentiated, too."""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import describe, op
from nnscratch.ops.activation import log_softmax, sigmoid, softmax
from nnscratch.ops.elementwise import equal, log, sign, where
from nnscratch.ops.linear import channel_sums, in_rows
from nnscratch.ops.shape import broadcast_to, expand_dims, reshape
from nnscratch.sample_inputs import Case, apart, integers, normal, rows, unit

REDUCTIONS = ("mean", "sum", "none")


def _reduce(values, reduction, n=None):
    """Losses as one number (or left as they are): in float64 and rounded once; `n` divides a mean, their count by default."""
    if reduction == "none":
        return values
    kernels = backend.of(values).kernels
    if reduction == "sum":
        return kernels.accurate_sum(values)
    _refuse_none(values)
    return kernels.mean_of_losses(values, n)


def _refuse_none(values):
    if values.size == 0:
        raise ValueError("nothing to take the mean of; pass at least one value")


def _scale(g, reduction, n):
    """The gradient by each of the losses that `_reduce` made into one."""
    return g / divisor(n, g.dtype) if reduction == "mean" else g


def divisor(n, dtype):
    """What a mean is divided by, without changing that dtype: numbers are weak, arrays of a GPU are not."""
    return n.astype(dtype) if hasattr(n, "astype") else n


def _each(g, reduction, n):
    """The same for losses over the last axis, to be broadcast along it."""
    return expand_dims(g, -1) if reduction == "none" else _scale(g, reduction, n)


@op(
    formula=r"L = \frac{1}{n} \sum_i (y_i - \hat y_i)^2",
    derivative=r"\frac{2}{n} (\hat y_i - y_i)",
    document="F6: 000 §4; 001 §4; 004 §4.2.1 (E1, E2)",
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
    d = np.subtract(prediction, target)
    if reduction != "mean":
        return _reduce(d * d, reduction)
    _refuse_none(d)
    return backend.of(d).kernels.mean_of_squares(d)


@mse_loss.rule("prediction")
def _(g, prediction, target, reduction):
    d = prediction - target
    return _scale(2 * g, reduction, d.size) * d


@mse_loss.rule("target")
def _(g, prediction, target, reduction):
    d = target - prediction
    return _scale(2 * g, reduction, d.size) * d


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
    return _reduce(np.abs(np.subtract(prediction, target)), reduction)


@l1_loss.rule("prediction")
def _(g, prediction, target, reduction):
    d = prediction - target
    return _scale(g, reduction, d.size) * sign(d)


@l1_loss.rule("target")
def _(g, prediction, target, reduction):
    d = target - prediction
    return _scale(g, reduction, d.size) * sign(d)


def _log_or_zero(p, q):
    """log p, and 0 where q is: 0 log 0 counts as 0."""
    return log(where(equal(q, 0), 1, p))


@op(
    formula=r"L = -\frac{1}{n} \sum_i y_i \ln \hat y_i",
    derivative=r"-\frac{1}{n} \frac{y_i}{\hat y_i}",
    document="F7: 000 §4; 001 §4. With a sum, F8: 002 §4.2; 003 §4.1; 004 §4.2.2 (W2)",
    samples=(
        Case(rows(4, 3), rows(4, 3), "mean", 4),
        Case(rows(4, 3), rows(4, 3), "sum", 4),
        Case(rows(4, 3), rows(4, 3), "none", 4),
        Case(unit(3), unit(3), "mean", 3),
    ),
)
def probability_cross_entropy(p, q, reduction, n):
    """Cross-entropy of the distributions `q` with the predicted ones `p`, over the last axis; the mean divides by `n`."""
    with np.errstate(divide="ignore"):  # log 0 = -inf is the true value
        losses = -np.sum(q * np.log(np.where(np.equal(q, 0), 1, p)), -1)
    return _reduce(losses, reduction, n)


@probability_cross_entropy.rule("p")
def _(g, p, q, reduction, n):
    return _each(g, reduction, n) * (-q / where(equal(q, 0), 1, p))


@probability_cross_entropy.rule("q")
def _(g, p, q, reduction, n):
    return _each(g, reduction, n) * -_log_or_zero(p, q)


@op(
    formula=r"L = -\frac{1}{n} \sum_i y_i \ln \operatorname{softmax}(z)_i",
    derivative=r"\frac{1}{n} (\hat y_i \textstyle\sum_j y_j - y_i)",
    document="F8 with F5: 002 §4.2",
    samples=(
        Case(normal(4, 3), rows(4, 3), "mean", 4),
        Case(normal(4, 3), rows(4, 3), "sum", 4),
        Case(normal(4, 3), rows(4, 3), "none", 4),
        Case(normal(3), unit(3), "mean", 3),
        Case(normal(4, 3), integers(4, high=3), "mean", 4),
        Case(normal(2, 2, 3), integers(2, 2, high=3), "none", 4),
    ),
)
def softmax_cross_entropy(z, q, reduction, n):
    """Cross-entropy of the distributions `q` with softmax(z), over the last axis, without computing the softmax apart.

    Labels, whole numbers in one axis less than `z` has, stand for the distributions that are sure of them.
    """
    kernels = backend.of(z).kernels
    labels = _are_labels(q, z)
    if q.shape != (z.shape[:-1] if labels else z.shape) or (labels and not z.shape[-1]):
        raise ValueError(
            f"z has shape {z.shape}, q {q.shape}; give both one shape, or for each row the label of one of its classes"
        )
    if reduction == "mean":
        _refuse_none(z)
        return kernels.label_losses(z, q, n) if labels else kernels.mean_cross_entropy_logits(z, q, n)
    return _reduce(kernels.label_losses(z, q) if labels else kernels.cross_entropy_logits(z, q), reduction)


def _are_labels(q, z):
    return len(q.shape) < len(z.shape)


@softmax_cross_entropy.rule("z")
def _(g, z, q, reduction, n):
    return _each(g, reduction, n) * _errors(z, q)


def _errors(z, q):
    """The derivative of each row's loss by its logits."""
    if not _are_labels(q, z):
        totals = channel_sums(in_rows(q), 0)
        return softmax(z) * reshape(totals, (*q.shape[:-1], 1)) - q
    kernels = backend.of(q).kernels
    return kernels.label_errors(z, q) if backend.is_array(z) else softmax(z) - kernels.one_hot(q, z.shape[-1], z.dtype)


@softmax_cross_entropy.rule("q")
def _(g, z, reduction, n):
    return _each(g, reduction, n) * -log_softmax(z)


@op(
    formula=r"L = -\frac{1}{n} \sum_i \left( y_i \ln \hat y_i + (1 - y_i) \ln(1 - \hat y_i) \right)",
    derivative=r"\frac{1}{n} \frac{\hat y_i - y_i}{\hat y_i (1 - \hat y_i)}",
    document="F7 over the two outcomes of each value: 000 §4; 001 §4",
    samples=(
        Case(unit(3, 4), unit(3, 4)),
        Case(unit(3, 4), unit(3, 4), "sum"),
        Case(unit(5), unit(5), "none"),
    ),
)
def probability_binary_cross_entropy(p, q, reduction="mean"):
    """Cross-entropy of the two outcomes of each value, `p` being the predicted probability and `q` the true one."""
    with np.errstate(divide="ignore"):  # log 0 = -inf is the true value
        losses = -(q * np.log(np.where(np.equal(q, 0), 1, p)) + (1 - q) * np.log1p(-np.where(np.equal(q, 1), 0, p)))
    return _reduce(losses, reduction)


@probability_binary_cross_entropy.rule("p")
def _(g, p, q, reduction):
    zero, one = equal(q, 0), equal(q, 1)
    d = (1 - q) / where(one, 1, 1 - p) - q / where(zero, 1, p)
    return _scale(g, reduction, d.size) * d


@probability_binary_cross_entropy.rule("q")
def _(g, p, q, reduction):
    d = _log_or_zero(1 - p, 1 - q) - _log_or_zero(p, q)
    return _scale(g, reduction, d.size) * d


@op(
    formula=r"L = \frac{1}{n} \sum_i \left( \ln(1 + e^{z_i}) - y_i z_i \right)",
    derivative=r"\frac{1}{n} (\sigma(z_i) - y_i)",
    document="F7 with F2: 000 §4; 001 §4",
    samples=(
        Case(normal(3, 4), unit(3, 4)),
        Case(normal(3, 4), unit(3, 4), "sum"),
        Case(normal(5), unit(5), "none"),
    ),
)
def sigmoid_binary_cross_entropy(z, q, reduction="mean"):
    """Cross-entropy of the two outcomes of each value, sigmoid(z) being the predicted probability and `q` the true one."""
    return _reduce(backend.of(z).kernels.binary_cross_entropy_logits(z, q), reduction)


@sigmoid_binary_cross_entropy.rule("z")
def _(g, z, q, reduction):
    d = sigmoid(z) - q
    return _scale(g, reduction, d.size) * d


@sigmoid_binary_cross_entropy.rule("q")
def _(g, z, q_shape, reduction):
    d = broadcast_to(-z, np.broadcast_shapes(z.shape, q_shape))
    return _scale(g, reduction, d.size) * d


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
        return here.kernels.accurate_sum(np.log(probability))


@log_likelihood.rule("probability")
def _(g, probability):
    return g / probability
