"""Convolution by kernels of 3 by 3 with less than half of the multiplications (Winograd 1980; Lavin and Gray 2016).

A patch of 2 by 2 results needs 36 products for each channel; after sums over the patch's 4 by 4 cells, 16 will do:
``y = A [(G w Gᵀ) ∘ (B d Bᵀ)] Aᵀ``, with the matrices of `nnscratch.kernels.vectors`. The sums over channels are then 16 products
of matrices, taken by the same compiled loops as in `nnscratch.kernels.direct`. The gradient by the input is such a
convolution, too; that by the weight is the transpose, ``Gᵀ [(Aᵀ g A) ∘ (B d Bᵀ)] G``.

Rounding errors stay below three times those of plain sums by BLAS (tests/test_kernels_winograd.py compares them), so float64,
in which people check derivatives, is left alone. An infinite value makes nan of its whole patch. It takes some channels to make up for the work on the patches.
"""

import functools

import numpy as np

from . import blas, compiled, direct, threads
from .windows import output_sizes

#: Channels and filters from which on the patches are worth their work.
LEAST = 16
#: Patches that are taken at once, and bytes of them for the gradient by the weight: what the second-level cache holds.
STRIP, BLOCK_BYTES = 128, 1 << 20


def suits(dtype, shape, stride, dilation, groups):
    """Whether this is the way for a convolution with a weight of this shape (O, C / groups, kh, kw)."""
    plain = shape[2:] == (3, 3) and stride == dilation == (1, 1)
    return dtype == np.float32 and plain and min(shape[0] // groups, shape[1]) >= LEAST


def _patches(windows):
    """Rows and columns of patches."""
    return tuple(-(-n // 2) for n in windows)


def _weights(vectors, w):
    """Filters (O, C, 3, 3) as ``G w Gᵀ``, packed: (16, blocks)."""
    packed = direct.pack_filters(np.moveaxis(w.reshape(*w.shape[:2], 9), 2, 0), vectors.ROWS)
    return blas.dot(_both_ways(vectors), packed).astype(w.dtype)


@functools.cache
def _both_ways(vectors):
    """The (16, 9) matrix that takes w to ``G w Gᵀ``."""
    g = np.array(vectors.WINOGRAD_G)
    return np.kron(g, g)


@functools.lru_cache(maxsize=256)
def _plan(size, padding, windows, channels, lanes):
    """The layout of x, the rows of a patch and those of the channels in v, its room for each, and images taken at once."""
    patches = _patches(windows)
    (top, bottom), (left, _) = padding
    across = patches[1] + 1
    layout = top, left, 2, 1, -(-(top + size[0] + bottom) // 2), 2 * across
    offsets = direct.tap_offsets(layout, 1, range(4), range(1))
    length = (patches[0] - 1) * across + patches[1]
    block = max(1, STRIP // length)
    if block == 1:
        length = (max(1, min(patches[0], STRIP // across)) - 1) * across + patches[1]
    room = (-(-block * length // lanes) + 1) * lanes
    return layout, offsets, np.arange(channels) * room, room, block


def correlate(vectors, x, w, bias, padding, windows, groups):
    """The convolution of x (N, C, H, W) with the weight w (O, C / groups, 3, 3), to height and width `windows`."""
    filters, each = w.shape[0] // groups, w.shape[1]
    lanes = vectors.BYTES // x.itemsize
    layout, rows, steps, room, block = _plan(x.shape[2:], padding, windows, each, lanes)
    u = [_weights(vectors, part).reshape(-1) for part in w.reshape(groups, filters, each, 3, 3)]
    x = compiled.plain(x)
    y = np.empty((len(x), groups * filters, *windows), x.dtype)
    bias = np.zeros(groups * filters, x.dtype) if bias is None else compiled.plain(bias)
    sizes = 16 * (each * room + lanes), 16 * (vectors.ROWS * room + lanes), 4 * room

    def run(begin, end):
        scratch = direct.image_scratch(vectors, layout, each, x.dtype)
        blocks = [direct.aligned_zeros((size,), x.dtype) for size in sizes]
        for group in range(groups):
            image, result = direct.image_argument(x, group, each), direct.image_argument(y, group, filters)
            places = layout, rows, u[group], steps
            vectors.winograd(
                image, (begin, end), block, *places, result, bias, _patches(windows), room, scratch, *blocks
            )

    threads.split(len(x), len(x) * w.size * windows[0] * windows[1], run)
    return y


def conv2d(vectors, x, w, bias, padding, groups):
    """`nnscratch.kernels.conv.conv2d` for such a weight."""
    windows = output_sizes(x.shape[2:], (3, 3), (1, 1), padding, (1, 1))
    return correlate(vectors, x, w, bias, padding, windows, groups)


def conv2d_weight(vectors, g, x, padding, groups):
    """`nnscratch.kernels.conv.conv2d_weight` for such a weight."""
    filters, each = g.shape[1] // groups, x.shape[1] // groups
    lanes = vectors.BYTES // x.itemsize
    (top, _), (left, _) = padding
    patches = _patches(g.shape[2:])
    across, count = 2 * patches[1] + 2, patches[0] * patches[1]
    wide_g, wide_x = beside = tuple(-(-n // lanes) * lanes for n in (filters, each))
    rows = np.arange(4) * (across * wide_x)
    bounds = direct.image_parts(len(x), 16 * wide_x * wide_g * x.itemsize)
    parts = len(bounds) - 1
    block = max(1, min(BLOCK_BYTES // (16 * count * (wide_x + wide_g) * x.itemsize), -(-len(x) // parts)))
    steps = np.arange(block * count) * wide_x
    sums = np.zeros((groups, parts, 16 * wide_g * wide_x), x.dtype)
    g, x = compiled.plain(g), compiled.plain(x)
    sizes = (4 * count + lanes) * wide_g, ((2 * patches[0] + 2) * across + lanes) * wide_x
    room = 16 * (block * count + 1)
    more = room * wide_x, room * wide_g, vectors.ROWS * vectors.VECTORS * lanes

    def run(begin, end):
        turned = tuple(direct.aligned_zeros((size,), x.dtype) for size in sizes)
        blocks = [direct.aligned_zeros((size,), x.dtype) for size in more]
        for group in range(groups):
            gradient, image = direct.image_argument(g, group, filters), direct.image_argument(x, group, each)
            for part in range(begin, end):
                images, out = (bounds[part], bounds[part + 1]), sums[group, part]
                places = (top, left), rows, steps, patches, beside
                vectors.winograd_weight(gradient, image, images, *places, turned, *blocks, out)

    threads.split(parts, g.size * each * 9, run)
    total = np.add.reduce(sums, axis=1).reshape(groups, 16, wide_g, wide_x)[:, :, :filters, :each]
    dw = [blas.dot(_both_ways(vectors).T, part.reshape(16, -1)) for part in total]
    return np.stack(dw).astype(x.dtype).swapaxes(1, 2).reshape(groups * filters, each, 3, 3)
