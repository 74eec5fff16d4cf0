"""Convolution by kernels of 3 by 3 with less than half of the multiplications (Winograd 1980; Lavin and Gray 2016).

A patch of 2 by 2 results needs 36 products for each channel; after sums over the patch's 4 by 4 cells, 16 will do:
``y = A [(G w Gᵀ) ∘ (B d Bᵀ)] Aᵀ``, with the matrices of `nnscratch.kernels.vectors`. The sums over channels are then 16 products
of matrices, taken by the same compiled loops as in `nnscratch.kernels.direct`. The gradient by the input is such a
convolution, too; that by the weight is the transpose, ``Gᵀ [(Aᵀ g A) ∘ (B d Bᵀ)] G``.

Rounding errors are up to about twice those of plain sums by BLAS (tests/test_kernels_winograd.py compares them), so float64,
in which people check derivatives, is left alone. It takes some channels to make up for the work on the patches.
"""

import functools

import numpy as np

from . import direct, threads
from .windows import output_sizes

#: Channels and filters from which on the patches are worth their work.
LEAST = 16
#: Patches that are taken at once, and bytes of them for the gradient by the weight: what the second-level cache holds.
STRIP, BLOCK_BYTES = 96, 1 << 20


def suits(dtype, shape, stride, dilation, groups):
    """Whether this is the way for a convolution with a weight of this shape (O, C / groups, kh, kw)."""
    plain = shape[2:] == (3, 3) and stride == dilation == (1, 1)
    return dtype == np.float32 and plain and min(shape[0] // groups, shape[1]) >= LEAST


def _patches(windows):
    """Rows and columns of patches."""
    return tuple(-(-n // 2) for n in windows)


def _weights(vectors, w):
    """Filters (O, C, 3, 3) as ``G w Gᵀ``, packed: (16, blocks)."""
    packed = direct.pack_filters(vectors, np.moveaxis(w.reshape(*w.shape[:2], 9), 2, 0))
    return (_both_ways(vectors) @ packed).astype(w.dtype)


def _both_ways(vectors):
    """The (16, 9) matrix that takes w to ``G w Gᵀ``."""
    g = np.array(vectors.WINOGRAD_G)
    return np.kron(g, g)


@functools.lru_cache(maxsize=256)
def _plan(size, padding, windows, channels, lanes):
    """The layout of x, the rows of a patch, those of the channels in v, and how many patches fit v for each of them."""
    patches = _patches(windows)
    (top, bottom), (left, _) = padding
    across = patches[1] + 1
    layout = top, left, 2, 1, -(-(top + size[0] + bottom) // 2), 2 * across
    offsets = direct.tap_offsets(layout, 1, range(4), range(1))
    lines = max(1, min(patches[0], STRIP // across))
    length = (lines - 1) * across + patches[1]
    room = -(-length // lanes) * lanes
    return layout, offsets, np.arange(channels) * room, room


def correlate(vectors, x, w, bias, padding, windows, groups):
    """The convolution of x (N, C, H, W) with the weight w (O, C / groups, 3, 3), to height and width `windows`."""
    filters, each = w.shape[0] // groups, w.shape[1]
    lanes = vectors.BYTES // x.itemsize
    layout, offsets, steps, room = _plan(x.shape[2:], padding, windows, each, lanes)
    u = [_weights(vectors, part) for part in w.reshape(groups, filters, each, 3, 3)]
    x = np.ascontiguousarray(x)
    y = np.empty((len(x), groups * filters, *windows), x.dtype)
    bias = np.zeros(groups * filters, x.dtype) if bias is None else np.ascontiguousarray(bias)

    def run(begin, end):
        scratch = direct.image_scratch(vectors, layout, each, x.dtype)
        shapes = (16, each * room + lanes), (16, vectors.ROWS * room + lanes), (vectors.ROWS, 4 * room)
        v, m, wide = (direct.aligned_zeros(shape, x.dtype) for shape in shapes)
        for group in range(groups):
            vectors.winograd(
                x, begin, end, group * each, each, layout, offsets, u[group], steps, bias, y, group * filters, filters, _patches(windows), room, scratch, v, m, wide
            )  # fmt: skip

    threads.split(len(x), len(x) * w.size * windows[0] * windows[1], run)
    return y


def conv2d(vectors, x, w, bias, padding, groups):
    """`nnscratch.kernels.conv.conv2d` for such a weight."""
    windows = output_sizes(x.shape[2:], (3, 3), (1, 1), padding, (1, 1))
    return correlate(vectors, x, w, bias, padding, windows, groups)


def conv2d_weight(vectors, g, x, padding, groups):
    """`nnscratch.kernels.conv.conv2d_weight` for such a weight."""
    filters, each, windows = g.shape[1] // groups, x.shape[1] // groups, g.shape[2:]
    lanes = vectors.BYTES // x.itemsize
    (top, _), (left, _) = padding
    patches = _patches(windows)
    wide_x, wide_g = (-(-n // lanes) * lanes for n in (each, filters))
    across, count = 2 * patches[1] + 2, patches[0] * patches[1]
    offsets = np.arange(4) * (across * wide_x)
    bounds = direct.image_parts(len(x), 16 * wide_x * wide_g * x.itemsize)
    block = max(1, min(BLOCK_BYTES // (16 * count * (wide_x + wide_g) * x.itemsize), -(-len(x) // (len(bounds) - 1))))
    steps = np.arange(block * count) * wide_x
    sums = np.zeros((groups, len(bounds) - 1, 16, wide_g, wide_x), x.dtype)
    g, x = np.ascontiguousarray(g), np.ascontiguousarray(x)

    def run(begin, end):
        turned_x = direct.aligned_zeros(((2 * patches[0] + 2) * across * wide_x,), x.dtype)
        turned_g = direct.aligned_zeros((4 * count * wide_g,), x.dtype)
        v, w = (direct.aligned_zeros((16, block * count + 1, n), x.dtype) for n in (wide_x, wide_g))
        tile = direct.aligned_zeros((vectors.ROWS, vectors.VECTORS * lanes), x.dtype)
        for group in range(groups):
            for part in range(begin, end):
                vectors.winograd_weight(
                    g, x, bounds[part], bounds[part + 1], group * each, each, (top, left), offsets, steps, group * filters, filters, patches, turned_x, turned_g, v, w, tile, sums[group, part]
                )  # fmt: skip

    threads.split(len(bounds) - 1, g.size * each * 9, run)
    total = sums.sum(axis=1)[:, :, :filters, :each].astype(np.float64)
    dw = np.tensordot(total, _both_ways(vectors), ([1], [0]))
    return dw.astype(x.dtype).reshape(groups * filters, each, 3, 3)
