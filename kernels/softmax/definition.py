"""Softmax and its like in terms of array functions: what the fast kernels mean, on the arrays of any device.

With m the largest of x, d = x - m <= 0 and s the sum of exp(d) *without* the largest term, ``softmax = exp(d) / (1 + s)`` and
``log_softmax = d - log1p(s)``, whose two terms have the same sign: nothing cancels.
"""

import numpy as np

from ..double_double import sum_rows, two_sum
from ..rows import as_rows, from_rows, reduced


@np.errstate(all="ignore")
def exponentials(rows):
    """What every function of a row's exponentials needs, in float64.

    Returns
    -------
    m : (rows, 1)
        The largest element.
    d : (rows, n)
        x - m, rounded.
    e : (rows, n)
        exp(x - m), with the rounding error of x - m made good.
    s : (rows, 1)
        The sum of e without the (first) largest element's, with its rounding errors made good.
    """
    x = rows.astype(np.float64, copy=False)
    largest = np.argmax(x, axis=1)[:, None]
    m = np.take_along_axis(x, largest, 1)
    d, error = two_sum(x, -m)
    error = np.where(np.isfinite(error), error, 0.0)
    e = np.exp(d)
    e = e + e * error
    places = np.cumsum(np.ones_like(largest, shape=(1, x.shape[1])), axis=1) - 1
    rest = np.where(places == largest, 0.0, e)
    return m, d, e, sum_rows(rest)[:, None]


@np.errstate(all="ignore")
def softmax(x, axis):
    """``exp(x) / sum(exp(x))`` along an axis (or a tuple of axes, or None for all).

    Parameters
    ----------
    x : ndarray of float16, float32 or float64
        -inf gives 0; rows of -inf alone, or with inf, give nan.
    axis : int, tuple of int or None

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [1e308, -1e308]]), axis=1)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    rows, axes = as_rows(x, axis)
    if x.size:
        _, _, e, s = exponentials(rows)
        rows = (e / (1 + s)).astype(x.dtype, copy=False)
    return from_rows(rows, x.shape, axes)


@np.errstate(all="ignore")
def log_softmax(x, axis):
    """``x - log(sum(exp(x)))`` along an axis (or a tuple of axes, or None for all).

    Examples
    --------
    >>> log_softmax(np.array([0.0, -20.0]), axis=0)
    array([-2.06115362e-09, -2.00000000e+01])
    """
    rows, axes = as_rows(x, axis)
    if x.size:
        _, d, _, s = exponentials(rows)
        rows = (d - np.log1p(s)).astype(x.dtype, copy=False)
    return from_rows(rows, x.shape, axes)


@np.errstate(all="ignore")
def logsumexp(x, axis, keepdims=False):
    """``log(sum(exp(x)))`` over an axis (or a tuple of axes, or None for all); of nothing, -inf.

    Where the result is near 0 although x is not, as of [-log 2, -log 2], digits are lost here; the fast kernels find them.

    Parameters
    ----------
    x : ndarray of float16, float32 or float64
    axis : int, tuple of int or None
    keepdims : bool

    Returns
    -------
    ndarray of x's dtype

    Examples
    --------
    >>> logsumexp(np.array([[0.0, 0.0], [-1e5, -np.inf]]), axis=1)
    array([ 6.93147181e-01, -1.00000000e+05])
    """
    rows, axes = as_rows(x, axis)
    if not rows.shape[1]:
        return reduced(np.full_like(x, -np.inf, shape=(len(rows),)), x.shape, axes, keepdims)
    m, _, _, s = exponentials(rows)
    result = np.where(np.isinf(m), m, m + np.log1p(s))
    return reduced(result.astype(x.dtype, copy=False), x.shape, axes, keepdims)
