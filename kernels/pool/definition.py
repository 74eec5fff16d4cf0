"""Pooling over sliding windows in terms of array functions: what the fast kernels mean, on the arrays of any device.

A window's positions are taken one after the other, each for all windows at once. Geometry is that of `nnscratch.kernels.windows`.
"""

import numpy as np

from ..float16 import through_float32
from ..windows import add_to_taps, output_sizes, pad, taps


def least(dtype):
    """The least number of a dtype, which padding counts as.

    Examples
    --------
    >>> least(np.dtype("float32")), least(np.dtype("int8"))
    (-inf, -128)
    """
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def padded_taps(x, kernel, stride, padding, dilation, value):
    """The taps of x with `value` in the padding."""
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    return taps(pad(x, padding, value), kernel, stride, dilation, windows)


def max_pool2d(x, kernel, stride, padding, dilation):
    """The largest element of every window, and its number; padding counts as the least number there is, and nan as the largest.

    Parameters
    ----------
    x : ndarray (N, C, H, W), floating point or whole numbers
    kernel, stride, padding, dilation
        As in `nnscratch.kernels.windows`.

    Returns
    -------
    values : ndarray (N, C, OH, OW), x's dtype
    index : ndarray (N, C, OH, OW) of the smallest unsigned integer type that holds ``kh*kw - 1``
        Counted row by row within the window, of the first maximum (or first nan).

    Examples
    --------
    >>> x = np.array([[[[1.0, 9.0, 9.0, 2.0], [3.0, 9.0, 5.0, 4.0]]]])
    >>> max_pool2d(x, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    (array([[[[9., 9.]]]]), array([[[[1, 0]]]], dtype=uint8))
    """
    first, *others = padded_taps(x, kernel, stride, padding, dilation, least(x.dtype))
    values, index = first.copy(), np.zeros_like(first, dtype=np.min_scalar_type(kernel[0] * kernel[1] - 1), order="C")
    for k, tap in enumerate(others, start=1):
        better = (tap > values) | (np.isnan(tap) & ~np.isnan(values))
        index[better] = k
        values = np.where(better, tap, values)
    return values, index


def pool_gather(x, index, kernel, stride, padding, dilation):
    """From every window of x, the element at the window position that `index` names; 0 where that is padding.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    index : integer ndarray (N, C, OH, OW)
        As from `max_pool2d`.

    Returns
    -------
    ndarray (N, C, OH, OW), x's dtype

    Examples
    --------
    >>> x = np.arange(8.0).reshape(1, 1, 2, 4)
    >>> pool_gather(x, np.array([[[[3, 0]]]]), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    array([[[[5., 2.]]]])
    """
    picked = np.zeros_like(x, shape=index.shape, order="C")
    for k, tap in enumerate(padded_taps(x, kernel, stride, padding, dilation, 0)):
        picked = np.where(index == k, tap, picked)
    return picked


@through_float32
def pool_scatter(g, index, size, kernel, stride, padding, dilation):
    """The transpose of `pool_gather`: add every g to the element that its window's index names.

    Parameters
    ----------
    g : ndarray (N, C, OH, OW)
    index : integer ndarray (N, C, OH, OW)
    size : (H, W)

    Returns
    -------
    ndarray (N, C, H, W), g's dtype

    Examples
    --------
    >>> index = np.array([[[[3, 0]]]])
    >>> pool_scatter(np.ones((1, 1, 1, 2)), index, (2, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    array([[[[0., 0., 1., 0.],
             [0., 1., 0., 0.]]]])
    """
    terms = (np.where(index == k, g, g.dtype.type(0)) for k in range(kernel[0] * kernel[1]))
    return add_to_taps(terms, g, size, kernel, stride, padding, dilation)


@through_float32
def sum_pool2d(x, kernel, stride, padding, dilation):
    """The sum of every window; padding counts as 0.

    Parameters
    ----------
    x : ndarray (N, C, H, W)

    Returns
    -------
    ndarray (N, C, OH, OW), x's dtype

    Examples
    --------
    >>> sum_pool2d(np.arange(4.0).reshape(1, 1, 2, 2), (2, 2), (1, 1), ((0, 0), (0, 1)), (1, 1))
    array([[[[6., 4.]]]])
    """
    first, *others = padded_taps(x, kernel, stride, padding, dilation, 0)
    total = first.copy()
    for tap in others:
        total += tap
    return total


@through_float32
def sum_unpool2d(g, size, kernel, stride, padding, dilation):
    """The transpose of `sum_pool2d`: every element gets the sum of g over the windows that cover it.

    Parameters
    ----------
    g : ndarray (N, C, OH, OW)
    size : (H, W)

    Returns
    -------
    ndarray (N, C, H, W), g's dtype

    Examples
    --------
    >>> sum_unpool2d(np.array([[[[1.0, 2.0]]]]), (1, 3), (1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
    array([[[[1., 3., 2.]]]])
    """
    terms = (g for _ in range(kernel[0] * kernel[1]))
    return add_to_taps(terms, g, size, kernel, stride, padding, dilation)
