"""Standardising values over axes in terms of array functions: what the fast kernels mean, on the arrays of any device.

In all kernels `axes` is a sorted tuple of the axes (none of them negative) normalised over, `weight` and `bias` (or None)
broadcast to x, all arrays have one dtype, and x̂ is ``(x - mean) / sqrt(variance + eps)``, where, unless it is `centred`, the mean
is 0 and the variance the mean of the squares. Means and variances are float64, whatever x is: a mean rounded to x's dtype would
cost x̂ digits where values are far from 0. They keep the axes that they are taken over, of length 1.
"""

import numpy as np


def _wide(a):
    return a.astype(np.float64, copy=False)


def standardize(x, axes, eps, weight=None, bias=None, centred=True):
    """x̂, times the weight, plus the bias; and the mean and the variance of each set.

    Parameters
    ----------
    x : ndarray, floating point
    axes : tuple of int
    eps : float
    weight, bias : ndarray or None
    centred : bool

    Returns
    -------
    values : ndarray of x's shape and dtype
    mean, variance : float64 ndarray

    Examples
    --------
    >>> standardize(np.array([[1.0, 3.0]]), (1,), 0.0, np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    (array([[-0.5,  2.5]]), array([[2.]]), array([[1.]]))
    """
    wide = _wide(x)
    mean = np.mean(wide, axes, keepdims=True)
    mean = mean if centred else np.zeros_like(mean)
    distance = wide - mean
    variance = np.mean(distance * distance, axes, keepdims=True)
    y = distance / np.sqrt(variance + eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).astype(x.dtype, copy=False), mean, variance


def standardize_input(d, x, mean, variance, axes, eps, weight=None, centred=True):
    """The gradient of the values that `standardize` gives by x, where that by them is d: its transpose.

    With h = d weight it is ``(h - mean of h - x̂ mean of h x̂) / sqrt(variance + eps)``, the first mean only where it is `centred`.

    Examples
    --------
    >>> x = np.array([[-1.0, 0.0, 1.0]])
    >>> standardize_input(np.array([[3.0, 0.0, 0.0]]), x, np.zeros((1, 1)), np.full((1, 1), 2 / 3), (1,), 1 / 3)
    array([[ 1., -1.,  0.]])
    """
    root = np.sqrt(variance + eps)
    standard = (_wide(x) - mean) / root
    h = _wide(d) if weight is None else _wide(d) * weight
    out = h - standard * np.mean(h * standard, axes, keepdims=True)
    if centred:
        out -= np.mean(h, axes, keepdims=True)
    out /= root
    return out.astype(x.dtype, copy=False)


def standardize_weight(d, x, mean, variance, shape, axes, eps):
    """The gradient of the values that `standardize` gives by a weight of that shape, where that by them is d: the sums of d x̂.

    Examples
    --------
    >>> d, x = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([[1.0, 3.0], [7.0, 5.0]])
    >>> standardize_weight(d, x, np.array([[2.0], [6.0]]), np.ones((2, 1)), (2,), (1,), 0.0)
    array([-1., -1.])
    """
    terms = _wide(d) * ((_wide(x) - mean) / np.sqrt(variance + eps))
    extra = terms.ndim - len(shape)
    over = tuple(i for i in range(terms.ndim) if i < extra or shape[i - extra] == 1)
    return terms.sum(over).reshape(shape).astype(x.dtype, copy=False)
