"""Convolution and pooling as sums and maxima over one window after the other.

Slow, and independent of how kernels compute: their definitions (`nnscratch.kernels.conv.definition` and
`nnscratch.kernels.pool.definition`), whose arguments and results these have, are tested against it, and so are the operations.
"""

import numpy as np

from nnscratch.kernels.windows import output_sizes, pad, unpadded


def _windows(padded, kernel, stride, dilation, windows):
    """Yield (p, q, view (N, C, kh, kw)) for every window of a padded array."""
    for p in range(windows[0]):
        for q in range(windows[1]):
            top, left = p * stride[0], q * stride[1]
            rows = slice(top, top + (kernel[0] - 1) * dilation[0] + 1, dilation[0])
            columns = slice(left, left + (kernel[1] - 1) * dilation[1] + 1, dilation[1])
            yield p, q, padded[:, :, rows, columns]


def _group_slices(groups, filters, channels):
    """Yield (slice of output channels, slice of input channels) for every group."""
    o, c = filters // groups, channels // groups
    for k in range(groups):
        yield slice(k * o, (k + 1) * o), slice(k * c, (k + 1) * c)


def conv2d(x, w, bias, stride, padding, dilation, groups):
    """Each output is the sum of a window times a filter, plus the filter's bias."""
    kernel = w.shape[2:]
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    y = np.zeros((len(x), len(w), *windows), x.dtype)
    for p, q, window in _windows(pad(x, padding), kernel, stride, dilation, windows):
        for o, c in _group_slices(groups, len(w), x.shape[1]):
            y[:, o, p, q] = np.einsum("ncij,ocij->no", window[:, c], w[o])
    return y if bias is None else y + bias[:, None, None]


def conv2d_input(g, w, size, stride, padding, dilation, groups):
    """Each output's gradient returns, times its filter, to the window it came from."""
    (images, filters, *windows), channels = g.shape, w.shape[1] * groups
    padded = pad(np.zeros((images, channels, *size), g.dtype), padding)
    for p, q, window in _windows(padded, w.shape[2:], stride, dilation, windows):
        for o, c in _group_slices(groups, filters, channels):
            window[:, c] += np.einsum("no,ocij->ncij", g[:, o, p, q], w[o])
    return unpadded(padded, padding, size)


def conv2d_weight(g, x, kernel, stride, padding, dilation, groups):
    """Each output's gradient gives the filter the window it saw."""
    filters, channels = g.shape[1], x.shape[1]
    w = np.zeros((filters, channels // groups, *kernel), g.dtype)
    for p, q, window in _windows(pad(x, padding), kernel, stride, dilation, g.shape[2:]):
        for o, c in _group_slices(groups, filters, channels):
            w[o] += np.einsum("no,ncij->ocij", g[:, o, p, q], window[:, c])
    return w


def max_pool2d(x, kernel, stride, padding, dilation):
    """The maximum of each window, and the place of the first maximum, or of the first nan, in the flattened window."""
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    y = np.zeros((*x.shape[:2], *windows), x.dtype)
    index = np.zeros(y.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
    for p, q, window in _windows(pad(x, padding, -np.inf), kernel, stride, dilation, windows):
        y[:, :, p, q] = window.max(axis=(2, 3))
        index[:, :, p, q] = window.reshape(*x.shape[:2], kernel[0] * kernel[1]).argmax(axis=2)
    return y, index


def pool_gather(x, index, kernel, stride, padding, dilation):
    """The element of each window that the index names."""
    picked = np.zeros(index.shape, x.dtype)
    for p, q, window in _windows(pad(x, padding), kernel, stride, dilation, index.shape[2:]):
        flat = window.reshape(*x.shape[:2], kernel[0] * kernel[1])
        picked[:, :, p, q] = np.take_along_axis(flat, index[:, :, p, q, None].astype(np.intp), axis=2)[..., 0]
    return picked


def pool_scatter(g, index, size, kernel, stride, padding, dilation):
    """Each g goes to the element of its window that the index names."""
    padded = pad(np.zeros((*g.shape[:2], *size), g.dtype), padding)
    for p, q, window in _windows(padded, kernel, stride, dilation, g.shape[2:]):
        for n, c in np.ndindex(g.shape[:2]):
            window[n, c][divmod(int(index[n, c, p, q]), kernel[1])] += g[n, c, p, q]
    return unpadded(padded, padding, size)


def sum_pool2d(x, kernel, stride, padding, dilation):
    """The sum of each window."""
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    y = np.zeros((*x.shape[:2], *windows), x.dtype)
    for p, q, window in _windows(pad(x, padding), kernel, stride, dilation, windows):
        y[:, :, p, q] = window.sum(axis=(2, 3))
    return y


def sum_unpool2d(g, size, kernel, stride, padding, dilation):
    """Each g goes to every element of its window."""
    padded = pad(np.zeros((*g.shape[:2], *size), g.dtype), padding)
    for p, q, window in _windows(padded, kernel, stride, dilation, g.shape[2:]):
        window += g[:, :, p, q, None, None]
    return unpadded(padded, padding, size)
