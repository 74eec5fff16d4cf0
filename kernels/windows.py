"""Sliding windows: the geometry that convolution and pooling share.

A window with ``kh*kw`` positions slides over the two last axes of an array. Rather than visiting the windows
one by one, the kernels visit the *positions within* a window ("taps"): tap (i, j) of all windows together is
one strided slice of the padded array, so a whole layer is a few dozen NumPy calls, however many windows there
are.

Geometry is always normalised: ``kernel=(kh, kw)``, ``stride=(sh, sw)``, ``padding=((top, bottom), (left,
right))``, ``dilation=(dh, dw)``.
"""

import functools

import numpy as np


def output_size(size, kernel, stride, padding_pair, dilation):
    """How many windows fit along one axis.

    ``floor((size + before + after - dilation*(kernel - 1) - 1) / stride) + 1``; zero or less means that none
    fits.

    Parameters
    ----------
    size, kernel, stride, dilation : int
    padding_pair : (int, int)
        Elements added before and after.

    Returns
    -------
    int

    Examples
    --------
    >>> output_size(28, 3, 1, (0, 0), 1), output_size(224, 7, 2, (3, 3), 1)
    (26, 112)
    """
    return (size + sum(padding_pair) - dilation * (kernel - 1) - 1) // stride + 1


@functools.lru_cache(maxsize=1024)
def output_sizes(size, kernel, stride, padding, dilation):
    """`output_size` of both axes, as (OH, OW).

    Examples
    --------
    >>> output_sizes((28, 28), (3, 3), (1, 1), ((0, 0), (1, 1)), (1, 1))
    (26, 28)
    """
    return tuple(map(output_size, size, kernel, stride, padding, dilation))


def pad(x, padding, value=0):
    """x with `value` around its two last axes; x itself where there is nothing to add.

    Examples
    --------
    >>> pad(np.ones((1, 2)), ((0, 1), (1, 0)))
    array([[0., 1., 1.],
           [0., 0., 0.]])
    """
    (top, bottom), (left, right) = padding
    if not (top or bottom or left or right):
        return x
    height, width = x.shape[-2:]
    shape = *x.shape[:-2], top + height + bottom, left + width + right
    padded = np.full_like(x, value, shape=shape, order="C")
    padded[..., top : top + height, left : left + width] = x
    return padded


def unpadded(padded, padding, size):
    """The part of `padded` that `pad` copied from an array of this size: a view.

    Examples
    --------
    >>> unpadded(np.arange(6).reshape(2, 3), ((0, 1), (1, 0)), (1, 2))
    array([[1, 2]])
    """
    (top, _), (left, _) = padding
    return padded[..., top : top + size[0], left : left + size[1]]


def taps(padded, kernel, stride, dilation, windows, first_row=0):
    """For each position in the window (row-major) its elements in all windows: a list of views (..., OH, OW).

    Parameters
    ----------
    padded : ndarray (..., H, W)
    windows : (OH, OW)
        How many windows to visit along each axis.
    first_row : int
        The row of windows to begin with.

    Examples
    --------
    >>> [tap.tolist() for tap in taps(np.arange(6).reshape(2, 3), (1, 2), (1, 1), (1, 1), (2, 2))]
    [[[0, 1], [3, 4]], [[1, 2], [4, 5]]]
    """
    views = []
    for i in range(kernel[0]):
        top = first_row * stride[0] + i * dilation[0]
        rows = padded[..., top : top + (windows[0] - 1) * stride[0] + 1 : stride[0], :]
        for j in range(kernel[1]):
            left = j * dilation[1]
            views.append(rows[..., left : left + (windows[1] - 1) * stride[1] + 1 : stride[1]])
    return views


def add_to_taps(terms, like, size, kernel, stride, padding, dilation):
    """Zeros (N, C, *size) with each term (N, C, OH, OW) added into its own tap.

    Parameters
    ----------
    terms : iterable of ndarray
    like : ndarray
        Of the terms' shape and dtype, and where they are.

    Examples
    --------
    >>> term = np.ones((1, 1, 1, 2))
    >>> add_to_taps([term, 2 * term], term, (1, 3), (1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
    array([[[[1., 3., 2.]]]])
    """
    (top, bottom), (left, right) = padding
    shape = *like.shape[:2], top + size[0] + bottom, left + size[1] + right
    padded = np.zeros_like(like, shape=shape, order="C")
    for tap, term in zip(taps(padded, kernel, stride, dilation, like.shape[2:]), terms, strict=True):
        tap += term
    return unpadded(padded, padding, size).copy() if top or bottom or left or right else padded


@functools.lru_cache(maxsize=256)
def window_counts(size, kernel, stride, padding, dilation):
    """How many elements, padding aside, each window covers: the divisor of averages that leave padding out.

    Parameters
    ----------
    size : (H, W)

    Returns
    -------
    integer ndarray (OH, OW), not to be written to

    Examples
    --------
    >>> window_counts((2, 3), (2, 2), (1, 1), ((1, 0), (0, 0)), (1, 1))
    array([[2, 2],
           [4, 4]])
    """
    along = []
    for n, k, s, (before, after), d in zip(size, kernel, stride, padding, dilation, strict=True):
        starts = np.arange(output_size(n, k, s, (before, after), d)) * s - before
        cells = starts[:, None] + np.arange(k) * d
        along.append(((cells >= 0) & (cells < n)).sum(axis=1))
    counts = along[0][:, None] * along[1]
    counts.flags.writeable = False
    return counts
