"""The Trainer's losses by name, and what the mean that each returns was divided by."""

import functools

import numpy as np

from nnscratch import backend
from nnscratch import functional as F
from nnscratch.nn.losses import ByClass
from nnscratch.ops.loss import divisor
from nnscratch.tensor import Tensor

LOSSES = {
    "cross_entropy": F.cross_entropy,
    "binary_cross_entropy": F.binary_cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
}
TINY = np.finfo(np.float32).tiny


def settings_of(loss):
    """The function and the settings of a `functools.partial`; a function itself and none."""
    return (loss.func, loss.keywords) if isinstance(loss, functools.partial) else (loss, {})


def with_count(loss):
    """A loss as a function that returns the pair of a batch's mean and what that counts, which means of batches are weighed by.

    That is the pair which the function itself returns, if it does; for `cross_entropy` and `nll_loss` by labels with class weights
    or `ignore_index` the sum of the labels' weights, so that a batch in which nothing counts weighs 0; for all others the number
    of samples.

    Examples
    --------
    >>> import nnscratch as ns
    >>> loss = functools.partial(F.cross_entropy, ignore_index=-1)
    >>> value, count = with_count(loss)(ns.tensor([[0.5, 0.5], [0.2, 0.8]]), ns.tensor([0, -1], dtype="int64"))
    >>> round(value.item(), 4), count
    (0.6931, 1.0)
    >>> loss = ns.nn.CrossEntropyLoss(weight=[1.0, 3.0])
    >>> value, count = with_count(loss)(ns.tensor([[1.0, 1.0], [2.0, 2.0]]), ns.tensor([0, 1], dtype="int64"))
    >>> round(value.item(), 4), count
    (0.6931, 4.0)
    """
    if isinstance(loss, ByClass):
        total, reduction = functools.partial(loss.reduced, reduction="sum"), loss.reduction
        weight, ignored = loss.weight, None if loss.ignore_index == -100 else loss.ignore_index
        weighted = True
    else:
        total, (function, settings) = functools.partial(loss, reduction="sum"), settings_of(loss)
        reduction, weight, ignored = (
            settings.get("reduction", "mean"),
            settings.get("weight"),
            settings.get("ignore_index"),
        )
        weighted = function in (F.cross_entropy, F.nll_loss)
    if weighted and reduction == "mean" and (weight is not None or ignored is not None):
        return functools.partial(_weighted, loss, total, weight, ignored)
    return functools.partial(_by_samples, loss)


def _by_samples(loss, prediction, target):
    value = loss(prediction, target)
    return value if isinstance(value, tuple) and len(value) == 2 else (value, len(target))


def _weighted(loss, total, weight, ignored, prediction, target):
    """The mean by labels' weights, 0 where nothing counts, without asking a GPU whether that is so."""
    if prediction.shape == target.shape:  # distributions, whose mean is over rows
        return loss(prediction, target), len(target)
    total = total(prediction, target)
    labels, here = target.data.astype(np.intp), backend.of(target.data)
    counted = labels == labels if ignored is None else labels != ignored
    factor = counted
    if weight is not None:
        weight = here.asarray(backend.to_numpy(weight.data) if isinstance(weight, Tensor) else weight)
        factor = weight[np.where(counted, labels, 0)] * counted
    count = np.sum(factor, dtype=np.float64)
    return total / divisor(here.number(np.maximum(count, TINY)), total.dtype), here.number(count)
