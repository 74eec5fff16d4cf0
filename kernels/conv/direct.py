"""Convolution without columns: compiled loops that read the windows where they are, in the image.

Why it is fast: an image is copied once, channel by channel, into a scratch array where the padding stands as zeros and
where, for a stride of s, every s-th row and column stand together. There one tap of the kernel, for all windows, is a single
run of memory that begins at an offset of its own; a few cells between the rows are computed for nothing, and dropped. So
the product of filters and columns needs no columns, only a table of offsets, and `nnscratch.kernels.conv.vectors` keeps the
processor multiplying. The gradient by the input is the same product, once for each row and
column within a stride; that by the weight multiplies the same runs with those of the result's gradient.

Every sum is taken in one order, so that results do not depend on the number of threads. `nnscratch.kernels.conv.cpu` chooses
between this and columns.
"""

import functools
import math
import sys

import numpy as np

from .. import compiled, threads
from ..windows import output_sizes

#: Multiplications from which on a convolution is worth a compiled loop.
LEAST = 1 << 20
#: Results of a filter that are computed before any is moved to its place: so few that a tile's stay in the cache.
STRIP = 1024
#: Cells of an image's planes that are taken at once: in float32 half of a common 2 MB second-level cache.
CELLS = 1 << 18
#: Into how many parts the images are divided for the gradient by the weight, where the parts' sums take no more than this.
PARTS, PART_BYTES = 8, 1 << 24


def compiled_vectors(work, windows, dtype):
    """The compiled loops `nnscratch.kernels.conv.vectors`, or None where columns are the better way (or arrays not of float32 or float64).

    Parameters
    ----------
    work : int
        Multiplications.
    windows : (OH, OW)
    dtype : numpy.dtype
    """
    return compiled.module_for("conv.vectors", dtype) if work >= LEAST and math.prod(windows) >= 16 else None


def image_layout(size, padding, stride, windows):
    """How an image of this size lies in the scratch array: (top, left, down, right, height, width)."""
    (top, bottom), (left, right) = padding
    height = -(-(top + size[0] + bottom) // stride[0])
    # One step apart, the zeros before a row serve as those behind the row above it, too.
    width = size[1] + max(left, right) if stride[1] == 1 else -(-(left + size[1] + right) // stride[1])
    width = max(width, windows[1])
    return top, left, *stride, height, width


def tap_offsets(layout, channels, rows, columns):
    """Where, for each tap, the first window has it: channel by channel, at those rows and columns of the padded image."""
    _, _, down, right, height, width = layout
    channel, row, column = np.arange(channels)[:, None, None], np.array(rows)[:, None], np.array(columns)
    plane = (channel * down + row % down) * right + column % right
    return ((plane * height + row // down) * width + column // right).reshape(-1)


def _strip(layout, channels, reach, cells):
    """The layout of so many rows of an image's planes, and for how many rows of windows they are; `reach` more rows than these."""
    top, left, down, right, height, width = layout
    most = cells // (channels * down * right * width)
    if height <= most:
        return layout, height
    depth = max(1, reach, most - reach)
    return (top, left, down, right, depth + reach, width), depth


@functools.lru_cache(maxsize=256)
def _forward(size, channels, kernel, stride, padding, dilation, cells):
    """The layout of x, the rows of windows taken at once, the offsets of the taps, and where in y the results are put."""
    windows = output_sizes(size, kernel, stride, padding, dilation)
    layout = image_layout(size, padding, stride, windows)
    layout, depth = _strip(layout, channels, (kernel[0] - 1) * dilation[0] // stride[0], cells)
    rows, columns = ([d * i for i in range(k)] for k, d in zip(kernel, dilation, strict=True))
    offsets = tap_offsets(layout, channels, rows, columns)
    return layout, depth, offsets, np.array([[len(offsets), *windows, 0, 1, 0, 1]])


def _phase(size, windows, kernel, stride, padding, dilation, phase):
    """Along one axis, every stride-th input cell and what contributes to it.

    Returns
    -------
    first, count : int
        The first such cell, and how many there are.
    taps : list of int
        Which of the kernel's cells reach them.
    edge : (int, int)
        The zeros that must stand before and after the results.
    starts : list of int
        The result that each tap takes to the first cell.
    """
    first = (phase - padding[0]) % stride
    count = max(0, -(-(size - first) // stride))
    taps = [i for i in range(kernel) if i * dilation % stride == phase]
    starts = [(first + padding[0]) // stride - i * dilation // stride for i in taps]
    before = max(0, -min(starts, default=0))
    after = max(0, max(starts, default=0) + count - windows)
    return first, count, taps, (before, after), starts


@functools.lru_cache(maxsize=256)
def _backward(size, windows, filters, kernel, stride, padding, dilation, cells):
    """For each row and column within a stride the taps; g's layout and all else as `_forward` has it."""
    axes = [
        [phase for phase in (_phase(*settings, p) for p in range(settings[3])) if phase[1] and phase[2]]
        for settings in zip(size, windows, kernel, stride, padding, dilation, strict=True)
    ]
    edges = [tuple(max((edge[i] for *_, edge, _ in axis), default=0) for i in (0, 1)) for axis in axes]
    counts = [max((count for _, count, *_ in axis), default=0) for axis in axes]
    reach = max((edges[0][0] + s for *_, at in axes[0] for s in at), default=0)
    layout, depth = _strip(image_layout(windows, edges, (1, 1), counts), filters, reach, cells)
    taps, offsets, targets = [], [], []
    for top, rows, i, _, at_rows in axes[0]:
        for left, columns, j, _, at_columns in axes[1]:
            starts = ([edge[0] + s for s in at] for edge, at in zip(edges, (at_rows, at_columns), strict=True))
            taps.append((i, j))
            offsets.append(tap_offsets(layout, filters, *starts))
            targets.append([len(offsets[-1]), rows, columns, top, stride[0], left, stride[1]])
    return taps, (layout, depth, np.concatenate(offsets or [np.zeros(0, int)]), np.array(targets).reshape(-1, 7))


def pack_filters(filters, rows):
    """Filters (..., filters, taps) in blocks of `rows`, a tap's weights of a block side by side: (..., blocks), zeros at the end.

    Examples
    --------
    >>> pack_filters(np.array([[1, 2], [3, 4], [5, 6]]), 2)
    array([1, 3, 2, 4, 5, 0, 6, 0])
    """
    *several, count, taps = filters.shape
    padded = np.zeros((*several, -(-count // rows) * rows, taps), filters.dtype)
    padded[..., :count, :] = filters
    return padded.reshape(*several, -1, rows, taps).swapaxes(-1, -2).reshape(*several, -1)


def aligned_zeros(shape, dtype):
    """Zeros from the start of a cache line on: vectors that begin in one line and end in the next take twice as long."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.zeros(size + 64, np.uint8)
    skipped = -memory.__array_interface__["data"][0] % 64
    return memory[skipped : skipped + size].view(dtype).reshape(shape)


def image_scratch(vectors, layout, channels, dtype, images=1):
    """Zeros for the planes of some images, and for what a tile reads behind them."""
    _, _, down, right, height, width = layout
    behind = width + vectors.MOST * vectors.BYTES // dtype.itemsize
    return aligned_zeros((images * channels * down * right * height * width + behind,), dtype)


def image_parts(images, size):
    """Where the parts begin, and the last ends, into which images are divided for sums that take `size` bytes each.

    Examples
    --------
    >>> image_parts(20, 1000)
    [0, 2, 5, 7, 10, 12, 15, 17, 20]
    """
    parts = max(1, min(PARTS, images, PART_BYTES // size))
    return [images * i // parts for i in range(parts + 1)]


def image_argument(x, group, channels):
    """A group's channels of images, as the compiled loops take them."""
    return x.reshape(-1), x.shape, group * channels, channels


def _correlate(vectors, x, packed, high, layout, depth, offsets, targets, rows, bias, y, work):
    """Run `vectors.correlate` for each group, whose filters `packed` has in blocks of `high`; images side by side."""
    groups = len(packed)
    each, results = x.shape[1] // groups, y.shape[1] // groups
    bias = np.zeros(y.shape[1], y.dtype) if bias is None else compiled.contiguous(bias)
    x, lanes = compiled.contiguous(x), vectors.BYTES // x.itemsize
    lines = -(-min(rows, depth) // -(-min(rows, depth) * layout[-1] // STRIP))  # strips about as long as each other
    length, strips = (-(-lines * layout[-1] // lanes) + vectors.MOST) * lanes, (rows, depth, lines)

    def run(begin, end):
        wide = aligned_zeros((high * length,), x.dtype)
        scratch = image_scratch(vectors, layout, each, x.dtype)
        for group, w in enumerate(packed):
            source, result = image_argument(x, group, each), image_argument(y, group, results)
            vectors.correlate(
                source, (begin, end), layout, strips, high, w, offsets, targets, result, bias, scratch, wide
            )

    threads.split(len(x), work, run)


def conv2d(vectors, x, w, bias, stride, padding, dilation, groups):
    """`nnscratch.kernels.conv.definition.conv2d` by the compiled loops `vectors`."""
    (filters, each), kernel = w.shape[:2], w.shape[2:]
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    places = _forward(x.shape[2:], each, kernel, stride, padding, dilation, CELLS)
    high = vectors.FLAT if filters // groups <= vectors.FLAT else vectors.ROWS
    packed = pack_filters(w.reshape(groups, filters // groups, -1), high)
    y = np.empty((len(x), filters, *windows), x.dtype)
    _correlate(vectors, x, packed, high, *places, windows[0], bias, y, len(x) * w.size * math.prod(windows))
    return y


def conv2d_input(vectors, g, w, size, stride, padding, dilation, groups):
    """`nnscratch.kernels.conv.definition.conv2d_input` by the compiled loops `vectors`."""
    (filters, each), kernel = w.shape[:2], w.shape[2:]
    settings = kernel, stride, padding, dilation, CELLS
    taps, places = _backward(tuple(size), g.shape[2:], filters // groups, *settings)
    targets = places[-1]
    # Cells that no window touches get 0.
    make = np.empty if (targets[:, 1] * targets[:, 2]).sum() == math.prod(size) else np.zeros
    dx = make((len(g), groups * each, *size), g.dtype)
    if len(targets):
        transposed = w.reshape(groups, filters // groups, each, *kernel).swapaxes(1, 2)
        high = vectors.FLAT if each <= vectors.FLAT else vectors.ROWS
        parts = [pack_filters(transposed[..., i, :][..., j].reshape(groups, each, -1), high) for i, j in taps]
        rows = int(targets[:, 1].max())
        _correlate(vectors, g, np.concatenate(parts, axis=1), high, *places, rows, None, dx, g[:, 0].size * w.size)
    return dx


def conv2d_weight(vectors, g, x, kernel, stride, padding, dilation, groups):
    """`nnscratch.kernels.conv.definition.conv2d_weight` by the compiled loops `vectors`."""
    filters, each = g.shape[1] // groups, x.shape[1] // groups
    layout, _, offsets, _ = _forward(x.shape[2:], each, tuple(kernel), stride, padding, dilation, sys.maxsize)
    taps, lanes = len(offsets), vectors.BYTES // x.itemsize
    offsets = np.pad(offsets, (0, -taps % vectors.VECTORS), "edge")
    plane = -(-((g.shape[2] - 1) * layout[-1] + g.shape[3]) // lanes) * lanes
    rows = -(-filters // vectors.ROWS) * vectors.ROWS
    bounds = image_parts(len(x), rows * len(offsets) * x.itemsize)
    parts = len(bounds) - 1
    block = max(1, min(vectors.CHUNK * lanes // plane, -(-len(x) // parts)))
    sums = np.zeros((groups, parts, rows * len(offsets)), x.dtype)
    g, x = compiled.contiguous(g), compiled.contiguous(x)

    def run(begin, end):
        scratch = image_scratch(vectors, layout, each, x.dtype, block)
        gradients = aligned_zeros((block * rows * plane,), x.dtype)
        for group in range(groups):
            gradient, image = image_argument(g, group, filters), image_argument(x, group, each)
            for part in range(begin, end):
                images, out = (bounds[part], bounds[part + 1]), sums[group, part]
                vectors.correlate_weight(gradient, image, images, layout, offsets, block, gradients, scratch, out)

    threads.split(parts, g.size * each * math.prod(kernel), run)
    dw = sums.sum(axis=1).reshape(groups, rows, -1)[:, :filters, :taps]
    return dw.reshape(groups * filters, each, *kernel)
