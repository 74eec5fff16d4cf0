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


def column_sums(x):
    """The sum over all axes but the last: the gradient by `linear`'s bias.

    Examples
    --------
    >>> column_sums(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    rows = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return dot(ones(rows.shape[:1], rows.dtype), rows)
