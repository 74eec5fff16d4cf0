"""Pooling over sliding windows on the CPU; sums and their transpose are as their definitions have them.

Why it is fast: NumPy is slow at reducing many tiny axes and quick at combining two large arrays, so each kernel takes the
window's positions one after the other, each for all windows at once (`windows.taps`), and writes into arrays that are
already there. Windows of 2 by 2 side by side, which most networks have, are vector kernels where the arrays are large
(`nnscratch.kernels.pool.windows_2x2`).
"""

import numpy as np

from .. import compiled, threads
from ..float16 import through_float32
from ..windows import add_to_taps
from .definition import least, padded_taps


def _vectorised(x, kernel, stride, padding, dilation):
    """The vector kernels where the windows are 2 by 2, side by side and without padding, and x is large; else None."""
    if kernel == stride == (2, 2) and dilation == (1, 1) and padding == ((0, 0), (0, 0)):
        return compiled.module("pool.windows_2x2", x)
    return None


def _each(loop, *arrays):
    """Run a compiled loop on three arrays whose first two axes, images and channels, become one; images side by side."""
    a, b, c = (compiled.contiguous(a).reshape(-1, *a.shape[2:]) for a in arrays)
    work = max(a.size, c.size) * threads.WORK_OF_AN_ELEMENT
    threads.split(len(a), work, lambda begin, end: loop(a, b, c, begin, end))


def max_pool2d(x, kernel, stride, padding, dilation):
    """The largest element of every window and its number, as `nnscratch.kernels.pool.definition.max_pool2d`."""
    if vectorised := _vectorised(x, kernel, stride, padding, dilation):
        shape = *x.shape[:2], x.shape[2] // 2, x.shape[3] // 2
        values, index = np.empty(shape, x.dtype), np.empty(shape, np.uint8)
        _each(vectorised.maxima, x, values, index)
        return values, index
    first, *others = padded_taps(x, kernel, stride, padding, dilation, least(x.dtype))
    values = first.copy()
    index = np.zeros(values.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
    for k, tap in enumerate(others, start=1):
        # Later positions have higher numbers, so a maximum keeps the last that was better than all before.
        np.maximum(index, np.multiply(tap > values, k, dtype=index.dtype), out=index)
        np.maximum(values, tap, out=values)
    nan = np.isnan(values)
    if nan.any():
        _, first_nan = max_pool2d(np.isnan(x).astype(x.dtype), kernel, stride, padding, dilation)
        np.copyto(index, first_nan, where=nan)
    return values, index


def _masked_bits(values, mask):
    """The bits, as integers, of ``where(mask, values, 0)``: times 1 or 0 is much faster than `where`."""
    return values.view(f"i{values.itemsize}") * mask


def pool_gather(x, index, kernel, stride, padding, dilation):
    """From every window the element that the index names, as `nnscratch.kernels.pool.definition.pool_gather`."""
    picked = np.zeros(index.shape, x.dtype)
    bits = picked.view(f"i{x.itemsize}")
    for k, tap in enumerate(padded_taps(x, kernel, stride, padding, dilation, 0)):
        bits |= _masked_bits(tap, index == k)
    return picked


@through_float32
def pool_scatter(g, index, size, kernel, stride, padding, dilation):
    """The transpose of `pool_gather`, as `nnscratch.kernels.pool.definition.pool_scatter`."""
    vectorised = _vectorised(g, kernel, stride, padding, dilation)
    if vectorised and index.dtype == np.uint8 and g.shape[2:] == (size[0] // 2, size[1] // 2):
        out = np.empty((*g.shape[:2], *size), g.dtype)
        _each(vectorised.scatter, g, index, out)
        return out
    terms = (_masked_bits(g, index == k).view(g.dtype) for k in range(kernel[0] * kernel[1]))
    return add_to_taps(terms, g, size, kernel, stride, padding, dilation)
