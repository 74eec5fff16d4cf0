"""Pooling over sliding windows: maxima, sums, and the gathering and scattering that their gradients need.

Why it is fast: NumPy is slow at reducing many tiny axes and quick at combining two large arrays, so each
kernel takes the window's positions one after the other, each for all windows at once (`windows.taps`). Windows of
2 by 2 side by side, which most networks have, are vector kernels where the arrays are large (`nnscratch.kernels.halves`).

The definitions, as plain loops, are in `nnscratch.kernels.reference`.
"""

import numpy as np

from . import compiled, threads
from .windows import half_through_single, output_sizes, pad, taps, unpadded


def _padded_taps(x, kernel, stride, padding, dilation, value):
    """The taps of x with `value` in the padding."""
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    return taps(pad(x, padding, value), kernel, stride, dilation, windows)


def _least(dtype):
    """The least number of a dtype."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _halves(x, kernel, stride, padding, dilation):
    """The compiled loops where the windows are 2 by 2, side by side and without padding, and x is large; else None."""
    halves = kernel == stride == (2, 2) and dilation == (1, 1) and padding == ((0, 0), (0, 0))
    return compiled.loops(x, module="halves") if halves else None


def _each(loop, *arrays):
    """Run a compiled loop on arrays whose first two axes, images and channels, become one; images side by side."""
    flat = [compiled.plain(a).reshape(-1, *a.shape[2:]) for a in arrays]
    work = max(a.size for a in arrays) * threads.WORK_OF_AN_ELEMENT
    threads.split(len(flat[0]), work, lambda begin, end: loop(*flat, begin, end))


def max_pool2d(x, kernel, stride, padding, dilation):
    """The largest element of every window; padding counts as the least number there is, and nan propagates.

    Parameters
    ----------
    x : ndarray (N, C, H, W), floating point or whole numbers
    kernel, stride, padding, dilation
        As in `nnscratch.kernels.windows`.

    Returns
    -------
    ndarray (N, C, OH, OW), x's dtype

    Examples
    --------
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    if halves := _halves(x, kernel, stride, padding, dilation):
        best = np.empty((*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2), x.dtype)
        _each(halves.maxima, x, best)
        return best
    first, *others = _padded_taps(x, kernel, stride, padding, dilation, _least(x.dtype))
    best = first.copy(order="C")
    for tap in others:
        np.maximum(best, tap, out=best)
    return best


def max_pool2d_index(x, kernel, stride, padding, dilation):
    """The number, counted row by row within the window, of each window's first maximum (or first nan).

    Returns
    -------
    ndarray (N, C, OH, OW) of the smallest unsigned integer type that holds ``kh*kw - 1``

    Examples
    --------
    >>> x = np.array([[[[1.0, 9.0, 9.0, 2.0], [3.0, 9.0, 5.0, 4.0]]]])
    >>> max_pool2d_index(x, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    array([[[[1, 0]]]], dtype=uint8)
    """
    if halves := _halves(x, kernel, stride, padding, dilation):
        index = np.empty((*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2), np.uint8)
        _each(halves.places, x, index)
        return index
    first, *others = _padded_taps(x, kernel, stride, padding, dilation, _least(x.dtype))
    best = first.copy(order="C")
    index = np.zeros(best.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
    for k, tap in enumerate(others, start=1):
        # Later positions have higher numbers, so a maximum keeps the last that was better than all before.
        np.maximum(index, np.multiply(tap > best, k, dtype=index.dtype), out=index)
        np.maximum(best, tap, out=best)
    nan = np.isnan(best)
    if nan.any():
        first_nan = max_pool2d_index(np.isnan(x).astype(x.dtype), kernel, stride, padding, dilation)
        np.copyto(index, first_nan, where=nan)
    return index


def _masked_bits(values, mask):
    """The bits, as integers, of ``where(mask, values, 0)``: times 1 or 0 is much faster than `where`."""
    return values.view(f"i{values.itemsize}") * mask


def pool_gather(x, index, kernel, stride, padding, dilation):
    """From every window of x, the element at the window position that `index` names; 0 where that is padding.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    index : integer ndarray (N, C, OH, OW)
        As from `max_pool2d_index`.

    Returns
    -------
    ndarray (N, C, OH, OW), x's dtype

    Examples
    --------
    >>> x = np.arange(8.0).reshape(1, 1, 2, 4)
    >>> pool_gather(x, np.array([[[[3, 0]]]]), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    array([[[[5., 2.]]]])
    """
    picked = np.zeros(index.shape, x.dtype)
    bits = picked.view(f"i{x.itemsize}")
    for k, tap in enumerate(_padded_taps(x, kernel, stride, padding, dilation, 0)):
        bits |= _masked_bits(tap, index == k)
    return picked


@half_through_single
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
    halves = _halves(g, kernel, stride, padding, dilation)
    if halves and index.dtype == np.uint8 and g.shape[2:] == (size[0] // 2, size[1] // 2):
        out = np.empty((*g.shape[:2], *size), g.dtype)
        _each(halves.scatter, g, index, out)
        return out
    terms = (_masked_bits(g, index == k).view(g.dtype) for k in range(kernel[0] * kernel[1]))
    return _add_to_taps(terms, g, size, kernel, stride, padding, dilation)


@half_through_single
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
    first, *others = _padded_taps(x, kernel, stride, padding, dilation, 0)
    total = first.copy(order="C")
    for tap in others:
        total += tap
    return total


@half_through_single
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
    return _add_to_taps(terms, g, size, kernel, stride, padding, dilation)


def _add_to_taps(terms, g, size, kernel, stride, padding, dilation):
    """Add each term (N, C, OH, OW) to its own tap of a zero array (N, C, H, W)."""
    (top, bottom), (left, right) = padding
    padded = np.zeros((*g.shape[:2], top + size[0] + bottom, left + size[1] + right), g.dtype)
    for tap, term in zip(taps(padded, kernel, stride, dilation, g.shape[2:]), terms, strict=True):
        tap += term
    return np.ascontiguousarray(unpadded(padded, padding, size))


def window_counts(size, kernel, stride, padding, dilation):
    """How many elements, padding aside, each window covers: the divisor of averages that leave padding out.

    Parameters
    ----------
    size : (H, W)

    Returns
    -------
    integer ndarray (OH, OW)

    Examples
    --------
    >>> window_counts((2, 3), (2, 2), (1, 1), ((1, 0), (0, 0)), (1, 1))
    array([[2, 2],
           [4, 4]])
    """
    return sum_pool2d(np.ones((1, 1, *size), np.intp), kernel, stride, padding, dilation)[0, 0]
