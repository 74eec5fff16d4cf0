"""Losses and their sums in terms of array functions: what the fast kernels mean, on the arrays of any device.

Short numbers are computed in float64 and rounded once.
"""

import numpy as np

from ..double_double import sum_rows
from ..rows import as_rows, reduced
from ..scatter.definition import one_hot
from ..softmax.definition import exponentials


@np.errstate(all="ignore")
def cross_entropy(z, q, n=None):
    """Cross-entropy of softmax(z) with distributions or labels: the losses, and their gradients by z.

    Parameters
    ----------
    z : ndarray (..., classes) of float16, float32 or float64
        Logits, at least one class.
    q : ndarray
        In z's shape and dtype: weights that are not negative, mostly probabilities. Where one is 0 its term is 0, even at a
        logit of -inf. Or whole numbers (...): for each row the label of the class that is sure.
    n : float, optional
        The losses' sum is divided by it; without it there is a loss for each row.

    Returns
    -------
    losses : ndarray (...), or () with `n`, of z's dtype
        ``-sum(q * log_softmax(z))`` over the last axis.
    errors : ndarray of z's shape and dtype
        ``softmax(z) * sum(q) - q``: the gradient of each row's loss by its logits.

    Examples
    --------
    >>> losses, errors = cross_entropy(np.array([[0.0, -20.0], [0.0, 1e4]], np.float32), np.array([0, 0]))
    >>> losses
    array([2.0611537e-09, 1.0000000e+04], dtype=float32)
    >>> errors
    array([[-2.0611537e-09,  2.0611537e-09],
           [-1.0000000e+00,  1.0000000e+00]], dtype=float32)
    """
    if q.ndim < z.ndim:
        q = one_hot(q, z.shape[-1], z.dtype)
    if not z.size:
        losses = np.zeros_like(z, shape=z.shape[:-1])
        return losses if n is None else mean_of_losses(losses, n), np.zeros_like(z)
    x, weights = (as_rows(a, -1)[0].astype(np.float64, copy=False) for a in (z, q))
    m, d, e, s = exponentials(x)
    # The difference of two finite logits may overflow where its weighted share does not.
    over = np.isinf(d) & np.isfinite(x)
    terms = np.where(over, weights * (m / 2 - x / 2) * 2, weights * (np.log1p(s) - d))
    losses = sum_rows(np.where(weights == 0, 0.0, terms)).reshape(z.shape[:-1])
    # Where the largest has all the weight, softmax less 1 would cancel.
    total = weights.sum(axis=1, keepdims=True)
    sure = (weights == 1) & (total == 1) & (d == 0)
    errors = np.where(sure, -s / (1 + s), e / (1 + s) * total - weights).reshape(z.shape)
    losses = losses if n is None else mean_of_losses(losses, n)
    return losses.astype(z.dtype, copy=False), errors.astype(z.dtype, copy=False)


@np.errstate(all="ignore")
def binary_cross_entropy_logits(z, y):
    """``-y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z))``, elementwise.

    As ``abs(z) * (1 - y if z > 0 else y) + log1p(exp(-abs(z)))``, whose terms are both positive. A weight of
    0 makes its term 0 even at infinite z.

    Parameters
    ----------
    z : ndarray
        Logits.
    y : ndarray, broadcastable with z, z's dtype
        Between 0 and 1.

    Returns
    -------
    ndarray of z's dtype

    Examples
    --------
    >>> binary_cross_entropy_logits(np.array([40.0, -1000.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    array([4.24835426e-18, 1.00000000e+03, 6.93147181e-01])
    """
    wide, target = z.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
    size, weight = np.abs(wide), np.where(wide > 0, 1 - target, target)
    return (np.where(weight == 0, 0.0, size * weight) + np.log1p(np.exp(-size))).astype(z.dtype, copy=False)


@np.errstate(all="ignore")
def accurate_sum(x, axis=None):
    """The sum over an axis (a tuple of axes, or None for all), as if in twice float64's digits.

    Examples
    --------
    >>> float(accurate_sum(np.array([1e16, 1.0, -1e16])))
    1.0
    """
    rows, axes = as_rows(x, axis)
    return reduced(sum_rows(rows.astype(np.float64, copy=False)).astype(x.dtype, copy=False), x.shape, axes)


@np.errstate(all="ignore")
def mean_of_losses(v, n=None):
    """The sum of all elements divided by `n`, their number by default; finite wherever the true mean is, and nan for no elements.

    Parameters
    ----------
    v : ndarray of float16, float32 or float64
    n : float, optional

    Returns
    -------
    ndarray () of v's dtype

    Examples
    --------
    >>> float(mean_of_losses(np.array([1.5e308, 1.5e308])))
    1.5e+308
    """
    if not v.size:
        return np.full_like(v, np.nan if n is None else 0, shape=(1,)).reshape(())
    n = v.size if n is None else n
    scale = 2.0 ** -v.size.bit_length()  # exact but for numbers that cannot count beside those near overflow
    wide = v.astype(np.float64, copy=False)
    scale = np.where(np.max(np.abs(wide)) > 1e290, scale, 1.0)
    return (accurate_sum(wide * scale) / n / scale).astype(v.dtype, copy=False)


@np.errstate(all="ignore")
def mean_of_squares(v):
    """The mean of the squares of all elements, as `mean_of_losses` gives it; float64 adds up those of shorter numbers.

    Examples
    --------
    >>> float(mean_of_squares(np.array([1.0, -2.0, 4.0])))
    7.0
    """
    wide = v.astype(np.float64, copy=False)
    return mean_of_losses(wide * wide).astype(v.dtype, copy=False)
