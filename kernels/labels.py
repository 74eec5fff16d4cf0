"""Cross-entropy of logits with labels: the one class of each row that is true, in place of a distribution.

For the label l of a row let s be the sum of exp(z_j - z_l) over all other classes j, the odds against it. Then the loss is
``log1p(s)``, and its gradient ``exp(z_j - z_l) / (1 + s)``, for l itself ``-s / (1 + s)``: nothing cancels, and no row of
zeros with a single one is ever made. float16 and float32 are computed so in float64 and rounded once; float64, and rows in which
the odds are no finite number, go the way of `nnscratch.kernels.numerics`.
"""

import math

import numpy as np

from .blas import ones
from .numerics import ONE, PIECE, cross_entropy_logits, mean_of_losses, softmax
from .scatter.cpu import one_hot, places_of_labels


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


def _by_pieces(function, z, labels):
    """``function(rows, labels)`` of all rows, about `PIECE` logits at a time."""
    classes = z.shape[-1]
    rows, labels = z.reshape(-1, classes), labels.reshape(-1)
    step = max(1, PIECE // classes)
    if len(rows) <= step:
        return function(rows, labels)
    pieces = (slice(start, start + step) for start in range(0, len(rows), step))
    return np.concatenate([function(rows[piece], labels[piece]) for piece in pieces])


def _losses(z, labels):
    odds = _odds(z, labels) if z.itemsize < 8 else None
    if odds is None:
        return cross_entropy_logits(z, one_hot(labels, z.shape[1], z.dtype)).astype(np.float64, copy=False)
    return np.log1p(odds[1][:, 0])


def _errors(z, labels):
    odds = _odds(z, labels) if z.itemsize < 8 else None
    if odds is None:
        return softmax(z, 1) - one_hot(labels, z.shape[1], z.dtype)
    e, s, at = odds
    whole = s + ONE
    e /= whole
    e.reshape(-1)[at] = -(s / whole)[:, 0]
    return e.astype(z.dtype)


@np.errstate(all="ignore")
def label_losses(z, labels, n=None):
    """``log(sum(exp(z))) - z[label]`` for each row; with `n` their sum divided by it.

    Parameters
    ----------
    z : ndarray (..., classes) of float16, float32 or float64
        Logits, at least one class.
    labels : ndarray (...) of whole numbers from 0 up to below the number of classes
    n : float, optional

    Returns
    -------
    ndarray (...), or () with `n`, of z's dtype

    Examples
    --------
    >>> label_losses(np.array([[0.0, -20.0], [0.0, 1e4]], np.float32), np.array([0, 0]))
    array([2.0611537e-09, 1.0000000e+04], dtype=float32)
    """
    y = _by_pieces(_losses, z, labels)
    if n is None:
        return y.astype(z.dtype, copy=False).reshape(labels.shape)
    # none is negative, so that float64 adds up shorter ones as well as anything
    return np.asarray(np.vdot(ones(y.size, y.dtype), y) / n, z.dtype) if z.itemsize < 8 else mean_of_losses(y, n)


@np.errstate(all="ignore")
def label_errors(z, labels):
    """``softmax(z)``, less 1 at each label: the gradient of `label_losses` by the logits.

    Parameters
    ----------
    z, labels
        As for `label_losses`.

    Returns
    -------
    ndarray of z's shape and dtype

    Examples
    --------
    >>> label_errors(np.array([[0.0, 0.0], [0.0, -20.0]], np.float32), np.array([0, 0]))
    array([[-5.0000000e-01,  5.0000000e-01],
           [-2.0611537e-09,  2.0611537e-09]], dtype=float32)
    """
    return _by_pieces(_errors, z, labels).reshape(z.shape)
