"""Losses and their sums with NumPy, a few rows at a time, which stay in the processor's cache.

Cross-entropy with labels takes the one class of each row that is true in place of a distribution. For the label l of a row let
s be the sum of exp(z_j - z_l) over all other classes j, the odds against it. Then the loss is ``log1p(s)``, and its gradient
``exp(z_j - z_l) / (1 + s)``, for l itself ``-s / (1 + s)``: nothing cancels, and no row of zeros with a single one is ever made.
float16 and float32 are computed so in float64 and rounded once, large arrays of float32 in compiled loops (``loops.py``); float64,
and rows in which the odds are no finite number, go the way of distributions. No kernel here gives a NumPy warning.
"""

import math

import numpy as np

from .. import compiled, pieces, threads
from ..blas import ones
from ..double_double import sum_rows
from ..rows import as_rows, reduced
from ..scatter.cpu import one_hot, places_of_labels
from ..softmax.cpu import ONE, WORK, exponentials
from . import definition

binary_cross_entropy_logits = pieces.by_pieces(definition.binary_cross_entropy_logits)


@np.errstate(all="ignore")
def cross_entropy(z, q, n=None):
    """``-sum(q * log_softmax(z))`` over the last axis for distributions or labels q, and its gradients by z, as the definition.

    Examples
    --------
    >>> losses, errors = cross_entropy(np.array([[0.0, -20.0], [0.0, 1e300]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    >>> losses
    array([2.06115362e-009, 1.00000000e+300])
    >>> errors
    array([[-2.06115362e-09,  2.06115362e-09],
           [-1.00000000e+00,  1.00000000e+00]])
    """
    rows, targets = z, q
    if z.ndim != 2:
        rows = as_rows(z, -1)[0]
        targets = q.reshape(-1) if q.ndim < z.ndim else as_rows(q, -1)[0]
    function = _with_labels if q.ndim < z.ndim else _with_distributions
    losses, errors = _by_pieces(function, rows, targets)
    errors = errors.reshape(z.shape)
    if n is None:
        return losses.astype(z.dtype, copy=False).reshape(z.shape[:-1]), errors
    if z.itemsize < 8 and math.isfinite(total := np.vdot(ones(losses.size, np.float64), losses)):
        return np.asarray(
            total / n, z.dtype
        ), errors  # none is negative, so that float64 adds up shorter ones as well as anything
    return mean_of_losses(losses, n).astype(z.dtype), errors


def _by_loop(rows, labels):
    """The losses, in float64, and their gradients in loops, or None where they cannot: small arrays, other dtypes, not finite ones."""
    if rows.size < compiled.LEAST or rows.dtype.char != "f" or labels.min() < 0 or labels.max() >= rows.shape[1]:
        return None
    loops = compiled.module("loss.loops", rows)
    if loops is None:
        return None
    losses, errors = np.empty(len(rows)), np.empty(rows.shape, rows.dtype)
    args = compiled.contiguous(rows).reshape(-1), labels.astype(np.int64), errors.reshape(-1), losses
    threads.split(len(rows), rows.size * WORK, lambda begin, end: loops.cross_entropy(*args, begin, end))
    return (losses, errors) if math.isfinite(losses.sum()) else None


def _by_pieces(function, rows, targets):
    """The losses, in float64, and their gradients."""
    found = _by_loop(rows, targets) if function is _with_labels else None
    if found:
        return found
    if 0 < rows.size <= pieces.PIECE:
        return function(rows, targets)
    losses, errors = np.zeros(len(rows)), np.empty(rows.shape, rows.dtype)
    for piece in pieces.of_rows(rows):
        losses[piece], errors[piece] = function(rows[piece], targets[piece])
    return losses, errors


def _odds(z, labels):
    """exp(z_j - z_l), 0 at l; the sum of each row, as a column; and the places of l. None where a sum is not finite."""
    e = z.astype(np.float64, order="C")
    flat, at = e.reshape(-1), places_of_labels(labels, z.shape[1])
    own = flat.take(at)
    e -= own[:, None]
    np.exp(e, e)
    flat[at] = 0
    s = e.dot(ones((z.shape[1], 1), np.float64))
    return (e, s, at) if math.isfinite(np.vdot(own, own) + np.vdot(s, s)) else None


def _with_labels(z, labels):
    odds = _odds(z, labels) if z.itemsize < 8 else None
    if odds is None:
        return _with_distributions(z, one_hot(labels, z.shape[1], z.dtype))
    e, s, at = odds
    losses = np.log1p(s[:, 0])
    whole = s + ONE
    e /= whole
    e.reshape(-1)[at] = -(s / whole)[:, 0]
    return losses, e.astype(z.dtype)


def _with_distributions(z, q):
    w = q.astype(np.float64, copy=False)
    m, d, e, s = exponentials(z, whole=True)
    terms = np.log1p(s) - d
    if z.dtype == np.float64:
        # The difference of two finite logits may overflow where its weighted share does not.
        over = np.isinf(d) & np.isfinite(z)
        losses = sum_rows(np.where(w == 0, 0.0, np.where(over, w * (m / 2 - z / 2) * 2, w * terms)))
    else:
        terms *= w
        losses = terms.dot(ones((w.shape[1], 1), np.float64))[:, 0]
        if np.isnan(losses.sum()):
            losses = np.where(w == 0, 0.0, terms).sum(axis=1)
    total = w.dot(ones((w.shape[1], 1), np.float64))
    whole = s + ONE
    e /= whole
    sure = e.argmax(axis=1)[:, None]  # softmax less 1 cancels where the largest has all the weight
    alone = (np.take_along_axis(w, sure, 1) == 1) & (total == 1)
    e *= total
    e -= w
    if alone.any():
        np.put_along_axis(e, sure, np.where(alone & np.isfinite(m), -s / whole, np.take_along_axis(e, sure, 1)), 1)
    return losses, e.astype(z.dtype, copy=False)


def _float64_adds_up(x, wide):
    """Whether float64 adds up x as well as anything: its numbers have fewer digits, and none cancel."""
    return x.itemsize < 8 and x.size > 0 and wide.min() >= 0


@np.errstate(all="ignore")
def accurate_sum(x, axis=None):
    """The sum over an axis (a tuple of axes, or None for all), as if in twice float64's digits.

    Examples
    --------
    >>> float(accurate_sum(np.array([1e16, 1.0, -1e16])))
    1.0
    """
    rows, axes = as_rows(x, axis)
    wide = rows.astype(np.float64, copy=False)
    total = wide.sum(axis=1) if _float64_adds_up(rows, wide) else sum_rows(wide)
    return reduced(total.astype(rows.dtype), x.shape, axes)


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
    v = np.asarray(v)
    n = v.size if n is None else n
    wide = v.astype(np.float64, copy=False)
    if _float64_adds_up(v, wide):
        return np.asarray((wide.sum() / n).astype(v.dtype))
    # Scaling by a power of two is exact, and done only where numbers that it makes vanish cannot count.
    scale = v.size.bit_length() if v.size and np.abs(wide).max() > 1e290 else 0
    total = accurate_sum(np.ldexp(wide, -scale)) / np.float64(n)
    return np.asarray(np.ldexp(total, scale).astype(v.dtype))


def mean_of_squares(v):
    """The mean of the squares of all elements, as `mean_of_losses` gives it; float64 adds up those of shorter numbers.

    Examples
    --------
    >>> float(mean_of_squares(np.array([1.0, -2.0, 4.0])))
    7.0
    """
    if v.dtype == np.float64:
        with np.errstate(all="ignore"):
            return mean_of_losses(v * v)
    wide = v.astype(np.float64)
    mean = np.vdot(wide, wide) / v.size
    if 1e-4 < mean < 6e4:  # in the range of every dtype
        return np.array(mean, v.dtype)
    with np.errstate(all="ignore"):
        return np.array(mean, v.dtype)
