"""Matrix products, and what a layer of neurons makes of them."""

import math

import numpy as np

from .blas import dot, ones

#: The matrix product over the last two axes, with broadcasting over the others.
matmul = np.matmul


def linear(x, weight, bias=None):
    """A layer of neurons: ``x @ weight.T + bias``.

    Parameters
    ----------
    x : ndarray (..., in)
    weight : ndarray (out, in)
    bias : ndarray (out,), or None

    Returns
    -------
    ndarray (..., out)

    Examples
    --------
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    out = dot(x, weight.T) if x.ndim < 3 else np.matmul(x, weight.T)
    if bias is None:
        return out
    return np.add(out, bias, out=out if out.dtype == bias.dtype else None)


def channel_sums(x, axis):
    """The sum over all axes but one, as products with ones, which BLAS takes quicker than NumPy's own sum.

    Parameters
    ----------
    x : ndarray
    axis : int
        The one that stays, from 0.

    Returns
    -------
    ndarray (x.shape[axis],)

    Examples
    --------
    >>> channel_sums(np.array([[1.0, 2.0], [3.0, 4.0]]), 1)
    array([4., 6.])
    """
    rows = x
    if x.ndim != 2 or axis != 1:
        before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        rows = x.reshape(before * x.shape[axis], after)
        rows = (rows if after == 1 else dot(rows, ones((after,), x.dtype))).reshape(before, x.shape[axis])
    return dot(ones(rows.shape[:1], x.dtype), rows)
