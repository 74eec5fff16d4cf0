"""Convolution as textbooks have it (im2col): the windows of the images as columns, and one matrix product for each group.

This is what the fast kernels mean, on the arrays of any device. Geometry is that of `nnscratch.kernels.windows`.
"""

import math

import numpy as np

from ..float16 import through_float32
from ..matmul.definition import matmul
from ..windows import add_to_taps, output_sizes, pad, taps


def im2col(x, kernel, stride, padding, dilation):
    """Every window of x as a column.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    kernel, stride, padding, dilation
        As in `nnscratch.kernels.windows`.

    Returns
    -------
    ndarray (N, C*kh*kw, OH*OW), x's dtype

    Examples
    --------
    >>> im2col(np.arange(6.0).reshape(1, 1, 2, 3), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
    array([[[0., 1.],
            [1., 2.],
            [3., 4.],
            [4., 5.]]])
    """
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    columns = np.stack(taps(pad(x, padding), kernel, stride, dilation, windows), axis=2)
    return columns.reshape(len(x), x.shape[1] * kernel[0] * kernel[1], windows[0] * windows[1])


def _columns(x, kernel, stride, padding, dilation, groups):
    """The windows as columns: (N, groups, C/groups * kh * kw, OH * OW)."""
    columns = im2col(x, kernel, stride, padding, dilation)
    return columns.reshape(len(x), groups, columns.shape[1] // groups, columns.shape[2])


def _matrices(w, groups):
    return w.reshape(groups, len(w) // groups, math.prod(w.shape[1:]))


@through_float32
def conv2d(x, w, bias, stride, padding, dilation, groups):
    """Cross-correlate images with filters: the filters times the windows.

    ``y[n,o,p,q] = bias[o] + sum_{c,i,j} w[o,c,i,j] x[n,c,p*sh+i*dh-top,q*sw+j*dw-left]``, x being 0 outside.

    Parameters
    ----------
    x : ndarray (N, C, H, W), float16, float32 or float64
    w : ndarray (O, C/groups, kh, kw), x's dtype
    bias : ndarray (O,), x's dtype, or None
    stride, padding, dilation
        As in `nnscratch.kernels.windows`.
    groups : int
        Output channels ``o*O/groups ...`` see only the input channels of their own group.

    Returns
    -------
    ndarray (N, O, OH, OW), x's dtype

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.ones((1, 1, 2, 2)), None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    y = products_with_windows(matmul, x, w, stride, padding, dilation, groups)
    return y if bias is None else y + bias[:, None, None]


@through_float32
def conv2d_input(g, w, size, stride, padding, dilation, groups):
    """The gradient of `conv2d` by its input; also a transposed convolution.

    The transposed filters times the gradient, each product added to the places its window saw:
    ``sum g * conv2d(x, w) == sum x * conv2d_input(g, w)`` for every x. Rows and columns that no window touches get 0.

    Parameters
    ----------
    g : ndarray (N, O, OH, OW)
    w : ndarray (O, C/groups, kh, kw), g's dtype
    size : (H, W)
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    ndarray (N, C, H, W), g's dtype

    Examples
    --------
    >>> ones = np.ones((1, 1, 2, 2))
    >>> conv2d_input(ones, ones, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return products_with_filters(matmul, g, w, size, stride, padding, dilation, groups)


@through_float32
def conv2d_weight(g, x, kernel, stride, padding, dilation, groups):
    """The gradient of `conv2d` by its weight: the gradient times the transposed windows, added up over the images.

    ``sum g * conv2d(x, w) == sum w * conv2d_weight(g, x)`` for every w.

    Parameters
    ----------
    g : ndarray (N, O, OH, OW)
    x : ndarray (N, C, H, W), g's dtype
    kernel : (kh, kw)
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    ndarray (O, C/groups, kh, kw), g's dtype

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d_weight(np.ones((1, 1, 2, 2)), x, (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return products_with_gradients(matmul, g, x, kernel, stride, padding, dilation, groups)


def products_with_windows(product, x, w, stride, padding, dilation, groups):
    """`conv2d` without a bias, by a matrix product of one's own: x and w hold what it takes."""
    windows = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = product(_matrices(w, groups), _columns(x, w.shape[2:], stride, padding, dilation, groups))
    return y.reshape(len(x), len(w), *windows)


def products_with_filters(product, g, w, size, stride, padding, dilation, groups):
    """`conv2d_input` by a matrix product of one's own."""
    (images, filters, *windows), kernel = g.shape, w.shape[2:]
    rows = g.reshape(images, groups, filters // groups, math.prod(windows))
    columns = product(_matrices(w, groups).swapaxes(1, 2), rows)
    columns = columns.reshape(images, w.shape[1] * groups, kernel[0] * kernel[1], *windows)
    terms = (columns[:, :, k] for k in range(kernel[0] * kernel[1]))
    return add_to_taps(terms, columns[:, :, 0], size, kernel, stride, padding, dilation)


def products_with_gradients(product, g, x, kernel, stride, padding, dilation, groups):
    """`conv2d_weight` by a matrix product of one's own, whose sums go over the images, too."""
    images, filters, *windows = g.shape
    rows = g.reshape(images, groups, filters // groups, math.prod(windows))
    columns = _columns(x, kernel, stride, padding, dilation, groups)
    dw = product(_side_by_side(rows), _side_by_side(columns).swapaxes(1, 2))
    return dw.reshape(filters, x.shape[1] // groups, *kernel)


def _side_by_side(matrices):
    """(N, groups, n, m) as (groups, n, N * m)."""
    images, groups, n, m = matrices.shape
    return matrices.transpose(1, 2, 0, 3).reshape(groups, n, images * m)
