"""Convolution by kernels of 3 by 3 with less than half of the multiplications (Winograd 1980; Lavin and Gray 2016).

A patch of 2 by 2 results needs 36 products for each channel; after sums over the patch's 4 by 4 cells, 16 will do:
``y = A [(G w Gᵀ) ∘ (B d Bᵀ)] Aᵀ``, with the matrices of `nnscratch.kernels.conv.vectors`. The sums over channels are then 16 products
of matrices. Each step has its transpose: the gradient by the input is ``B [(G w Gᵀ) ∘ (Aᵀ g A)] Bᵀ``, added up where patches
overlap, that by the weight ``Gᵀ [(Aᵀ g A) ∘ (B d Bᵀ)] G``. The channels of a cell are put side by side for all this, so that
every vector is full, whatever the images' width; some rows of patches are taken at once, so that they stay in the cache.

Rounding errors stay below three times those of plain sums by BLAS (tests/test_kernels_winograd.py compares them), so float64,
in which people check derivatives, is left alone. An infinite value makes nan of its whole patch. It takes some channels to make up for the work on the patches.
"""

import functools

import numpy as np

from .. import blas, compiled, threads
from . import direct

#: Channels and filters from which on the patches are worth their work.
LEAST = 16
#: Patches that are taken at once: so many that the second-level cache holds them for 64 channels.
STRIP = 120


def suits(dtype, shape, stride, dilation, groups):
    """Whether this is the way for a convolution with a weight of this shape (O, C / groups, kh, kw)."""
    fits = shape[2:] == (3, 3) and stride == dilation == (1, 1)
    return dtype == np.float32 and fits and min(shape[0] // groups, shape[1]) >= LEAST


def _patches(windows):
    """Rows and columns of patches."""
    return tuple(-(-n // 2) for n in windows)


def covers(size, windows, padding):
    """Whether all of an image lies within the patches, as it does unless rows or columns behind the last window are left over."""
    reach = (2 * n + 2 - before for n, (before, _) in zip(_patches(windows), padding, strict=True))
    return all(n <= most for n, most in zip(size, reach, strict=True))


def _blocks(patches, images, strip):
    """How many images are taken at once, and how many rows of patches of each."""
    if patches[0] * patches[1] > strip:
        return 1, max(1, strip // patches[1])
    return max(1, min(images, strip // (patches[0] * patches[1]))), patches[0]


def _rooms(vectors, patches, blocks, over, channels, lanes):
    """Elements of a strip of cells with `channels` side by side, and of its patches, with a vector more of each of the 16.

    Without that the 16 would be in each other's way in the cache.
    """
    rows, columns = 2 * blocks[1] + over, 2 * patches[1] + over
    cells = rows * columns + lanes  # `_to_channels_last` writes up to a vector of cells behind a row
    count = blocks[0] * blocks[1] * patches[1] + vectors.TALL  # a tile reads up to its height
    return cells * channels, 16 * (count * channels + lanes)


def _scratch(rooms, dtype):
    """Four arrays of zeros of whole vectors, which need not be made one by one."""
    a, b, c, d = rooms
    memory = direct.aligned_zeros((a + b + c + d,), dtype)
    return memory[:a], memory[a : a + b], memory[a + b : a + b + c], memory[a + b + c :]


def _whole(vectors, channels, dtype):
    """So many channels, up to whole vectors and tiles."""
    unit = max(vectors.BYTES // dtype.itemsize, vectors.ROWS)
    return -(-channels // unit) * unit


@functools.cache
def _both_ways(vectors, dtype):
    """The (16, 9) matrix that takes w to ``G w Gᵀ``; its elements, quarters, have no rounding error in any dtype."""
    g = np.array(vectors.WINOGRAD_G, dtype)
    return np.kron(g, g)


def _weights(vectors, w, back, wide):
    """w (groups, O, C, 3, 3) as ``G w Gᵀ``: (groups, 16, vectors of `wide` results, channels that they are sums over, a vector)."""
    axis, lanes = 2 if back else 1, vectors.BYTES // w.itemsize
    if missing := wide - w.shape[axis]:
        w = np.pad(w, [(0, missing if i == axis else 0) for i in range(5)])
    groups, filters, channels = w.shape[:3]
    u = blas.dot(_both_ways(vectors, w.dtype), w.reshape(-1, 9).T)
    if back:
        u = u.reshape(16, groups, filters, -1, lanes).transpose(1, 0, 3, 2, 4)
    else:
        u = u.reshape(16, groups, -1, lanes, channels).transpose(1, 0, 2, 4, 3)
    return np.ascontiguousarray(u).reshape(groups, -1)


@functools.lru_cache(maxsize=256)
def _plan(vectors, dtype, images, each, results, windows, back, strip):
    """The channels up to whole vectors, of x and of y; the patches and their blocks; the sizes of the scratch arrays; the steps.

    `each` and `results` are the channels of x and y in a group, `strip` how many patches are taken at once.
    """
    lanes = vectors.BYTES // dtype.itemsize
    widths = wide_x, wide_y = _whole(vectors, each, dtype), _whole(vectors, results, dtype)
    patches = _patches(windows)
    blocks = _blocks(patches, images, strip)
    before = _rooms(vectors, patches, blocks, 0 if back else 2, wide_x, lanes)
    after = _rooms(vectors, patches, blocks, 2 if back else 0, wide_y, lanes)
    return widths, patches, blocks, (*before, *reversed(after)), np.arange(each) * lanes


def _correlate(vectors, x, w, bias, y, padding, windows, back):
    """Convolve x into y or, with `back`, take y's gradient x back to that of the input, y; w is (groups, O, C, 3, 3)."""
    groups, filters, channels = w.shape[:3]
    each, results = (filters, channels) if back else (channels, filters)
    plan = _plan(vectors, x.dtype, len(x), each, results, windows, back, STRIP)
    widths, patches, blocks, rooms, steps = plan
    u = _weights(vectors, w, back, widths[1])
    biases = np.zeros((groups, widths[1]), x.dtype)
    if bias is not None:
        biases[:, :results] = bias.reshape(groups, -1)
    edge, x = (padding[0][0], padding[1][0]), compiled.contiguous(x)

    def run(begin, end):
        scratch = _scratch(rooms, x.dtype)
        for group in range(groups):
            image, result = direct.image_argument(x, group, each), direct.image_argument(y, group, results)
            places = (begin, end), blocks, edge, patches, back, widths
            vectors.winograd(image, result, *places, u[group], steps, biases[group], scratch)

    threads.split(len(x), len(x) * w.size * windows[0] * windows[1], run)
    return y


def conv2d(vectors, x, w, bias, padding, windows, groups):
    """`nnscratch.kernels.conv.definition.conv2d` for such a weight."""
    y = np.empty((len(x), len(w), *windows), x.dtype)
    return _correlate(vectors, x, w.reshape(groups, -1, *w.shape[1:]), bias, y, padding, windows, False)


def conv2d_input(vectors, g, w, size, padding, groups):
    """`nnscratch.kernels.conv.definition.conv2d_input` for such a weight, where the patches cover the image."""
    dx = np.empty((len(g), groups * w.shape[1], *size), g.dtype)
    return _correlate(vectors, g, w.reshape(groups, -1, *w.shape[1:]), None, dx, padding, g.shape[2:], True)


def conv2d_weight(vectors, g, x, padding, groups):
    """`nnscratch.kernels.conv.definition.conv2d_weight` for such a weight."""
    filters, each = g.shape[1] // groups, x.shape[1] // groups
    widths = wide_g, wide_x = _whole(vectors, filters, x.dtype), _whole(vectors, each, x.dtype)
    bounds = direct.image_parts(len(x), 16 * wide_x * wide_g * x.itemsize)
    parts, patches = len(bounds) - 1, _patches(g.shape[2:])
    blocks, edge = _blocks(patches, -(-len(x) // parts), STRIP), (padding[0][0], padding[1][0])
    steps = np.arange(blocks[0] * blocks[1] * patches[1]) * wide_x
    sums = np.zeros((groups, parts, 16 * wide_g * wide_x), x.dtype)
    lanes = vectors.BYTES // x.itemsize
    rooms = (
        *_rooms(vectors, patches, blocks, 0, wide_g, lanes),
        *_rooms(vectors, patches, blocks, 2, wide_x, lanes),
    )
    g, x = compiled.contiguous(g), compiled.contiguous(x)

    def run(begin, end):
        cells_g, w, cells_x, v = _scratch(rooms, x.dtype)
        for group in range(groups):
            gradient, image = direct.image_argument(g, group, filters), direct.image_argument(x, group, each)
            for part in range(begin, end):
                images, out = (bounds[part], bounds[part + 1]), sums[group, part]
                places = images, blocks, edge, patches, widths
                vectors.winograd_weight(gradient, image, *places, steps, (cells_g, cells_x, w, v), out)

    threads.split(parts, g.size * each * 9, run)
    total = np.add.reduce(sums, axis=1).reshape(groups, 16, wide_g, wide_x)[:, :, :filters, :each]
    dw = np.empty((groups, filters * each, 9), x.dtype)
    for group in range(groups):
        dw[group] = blas.dot(total[group].reshape(16, -1).T, _both_ways(vectors, x.dtype))
    return dw.reshape(groups * filters, each, 3, 3)
