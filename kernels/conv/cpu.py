"""Two-dimensional convolution (cross-correlation) and its two gradients, each the transpose of the others.

Why it is fast: the windows of an image are copied out as the columns of a matrix, so that one matrix product
does the work ("im2col"). The whole matrix would be ``kh*kw`` times the input's size and would live in main
memory; here it is made in blocks of a few images (or a few rows of a large image) that stay in the
processor's cache, in one buffer that is used again for every block. The product ``W (O, C*kh*kw) @ columns
(C*kh*kw, OH*OW)`` is already in the result's layout and is written straight into it.

Large convolutions go without columns, by `nnscratch.kernels.conv.winograd` or `nnscratch.kernels.conv.direct`, depthwise ones by
`nnscratch.kernels.conv.depthwise`. Arguments and results are those of `nnscratch.kernels.conv.definition`.
"""

import functools
import math

import numpy as np

from .. import blas, threads
from ..float16 import through_float32
from ..windows import output_sizes, pad, taps, unpadded
from . import depthwise, direct, winograd

# Half of a common 2 MB second-level cache, so that the product's other operands fit beside the columns.
BLOCK_BYTES = 1 << 20


def _blocks(images, windows, bytes_per_window):
    """Yield (image slice, first row of windows, rows) so that one block's columns take about BLOCK_BYTES."""
    bytes_per_row = max(1, windows[1] * bytes_per_window)
    rows = min(windows[0], max(1, BLOCK_BYTES // bytes_per_row))
    step = max(1, BLOCK_BYTES // (bytes_per_row * windows[0])) if rows == windows[0] else 1
    for n in range(0, images, step):
        for row in range(0, windows[0], rows):
            yield slice(n, min(n + step, images)), row, min(rows, windows[0] - row)


def _column_blocks(x, kernel, stride, padding, dilation, groups):
    """Yield (image slice, position slice, columns (images, groups, C/groups*kh*kw, positions)).

    The columns are overwritten by the next block.
    """
    images, channels = x.shape[:2]
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    padded = pad(x, padding)
    depth = channels // groups * kernel[0] * kernel[1]
    if kernel == (1, 1) and stride == (1, 1):
        positions = windows[0] * windows[1]
        columns = np.ascontiguousarray(padded).reshape(images, groups, depth, positions)
        yield slice(0, images), slice(0, positions), columns
        return
    buffer = None
    for block, row, rows in _blocks(images, windows, channels * kernel[0] * kernel[1] * x.itemsize):
        shape = (block.stop - block.start, channels, kernel[0] * kernel[1], rows, windows[1])
        if buffer is None:
            buffer = np.empty(math.prod(shape), x.dtype)
        columns = buffer[: math.prod(shape)].reshape(shape)
        for k, tap in enumerate(taps(padded[block], kernel, stride, dilation, (rows, windows[1]), row)):
            columns[:, :, k] = tap
        positions = slice(row * windows[1], (row + rows) * windows[1])
        yield block, positions, columns.reshape(-1, groups, depth, rows * windows[1])


@functools.lru_cache(maxsize=1024)
def _choose(dtype, images, shape, windows, stride, dilation, groups, *least):
    """The module for a convolution with a weight of that shape, and the compiled loops it takes; for columns None and None.

    `least` says from which sizes on they are taken.
    """
    vectors = direct.compiled_vectors(images * math.prod(shape) * math.prod(windows), windows, dtype)
    if vectors is None:
        return None, None
    return (winograd if winograd.suits(dtype, shape, stride, dilation, groups) else direct), vectors


def _depthwise(a, shape, weight, groups):
    """The compiled loops for a depthwise convolution between an array and one of that shape, or None where it is none, or small."""
    return weight[1] == 1 and depthwise.compiled_loops(a.dtype, max(a.size, math.prod(shape)), weight, groups)


@through_float32
def conv2d(x, w, bias, stride, padding, dilation, groups):
    """Cross-correlate images with filters, as `nnscratch.kernels.conv.definition.conv2d`."""
    filters, kernel = w.shape[0], w.shape[2:]
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    if loops := _depthwise(x, (len(x), filters, *windows), w.shape, groups):
        return depthwise.conv2d(loops, x, w, bias, stride, padding, dilation)
    least = direct.LEAST, winograd.LEAST
    chosen, vectors = _choose(x.dtype, len(x), w.shape, windows, stride, dilation, groups, *least)
    if chosen is winograd:
        return winograd.conv2d(vectors, x, w, bias, padding, windows, groups)
    if chosen is direct:
        return direct.conv2d(vectors, x, w, bias, stride, padding, dilation, groups)
    y = np.empty((len(x), groups, filters // groups, windows[0] * windows[1]), x.dtype)
    matrix = np.ascontiguousarray(w).reshape(groups, filters // groups, -1)
    for images, positions, columns in _column_blocks(x, kernel, stride, padding, dilation, groups):
        np.matmul(matrix, columns, out=y[images, :, :, positions])
    y = y.reshape(len(x), filters, *windows)
    if bias is not None:
        y += bias[:, None, None]
    return y


def full_padding(size, windows, kernel, padding, dilation):
    """The padding of g that makes its convolution by the flipped filters the input's gradient (stride 1)."""
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    before = [r - first for r, (first, _) in zip(reach, padding, strict=True)]
    return tuple((b, n + r - o - b) for n, o, r, b in zip(size, windows, reach, before, strict=True))


def flipped(w, groups):
    """The filters (C, O/groups, kh, kw) that take g back: flipped both ways, input and output exchanged."""
    filters, depth, *kernel = w.shape
    grouped = w[:, :, ::-1, ::-1].reshape(groups, filters // groups, depth, *kernel)
    return grouped.swapaxes(1, 2).reshape(groups * depth, filters // groups, *kernel)


@through_float32
def conv2d_input(g, w, size, stride, padding, dilation, groups):
    """The gradient of `conv2d` by its input, as `nnscratch.kernels.conv.definition.conv2d_input`."""
    images, windows, least = len(g), g.shape[2:], (direct.LEAST, winograd.LEAST)
    if loops := _depthwise(g, (images, w.shape[1] * groups, *size), w.shape, groups):
        return depthwise.conv2d_input(loops, g, w, size, stride, padding, dilation, groups)
    # One channel of results would leave most of a tile empty.
    if w.shape[1] * groups > 1:
        chosen, vectors = _choose(g.dtype, images, w.shape, windows, stride, dilation, groups, *least)
        if chosen is winograd and winograd.covers(size, windows, padding):
            return winograd.conv2d_input(vectors, g, w, size, padding, groups)
        if chosen is not None:
            return direct.conv2d_input(vectors, g, w, size, stride, padding, dilation, groups)
    work = images * w.size * math.prod(windows)
    if threads.parts(images, work) == 1:
        return _input_by_columns(g, w, size, stride, padding, dilation, groups)
    dx = np.empty((images, w.shape[1] * groups, *size), g.dtype)

    def run(begin, end):
        dx[begin:end] = _input_by_columns(g[begin:end], w, size, stride, padding, dilation, groups)

    with blas.one_thread():
        threads.split(images, work, run)
    return dx


def _input_by_columns(g, w, size, stride, padding, dilation, groups):
    """`conv2d_input` by columns: of g where it has no more channels than the result, else of the result."""
    (images, filters, *windows), kernel = g.shape, w.shape[2:]
    channels, area = w.shape[1] * groups, kernel[0] * kernel[1]
    edges = full_padding(size, windows, kernel, padding, dilation)
    # Making columns of g costs less than adding up columns of the result, if g has no more channels.
    if stride == (1, 1) and min(map(min, edges)) >= 0 and (filters <= channels or area == 1):
        return conv2d(g, flipped(w, groups), None, stride, edges, dilation, groups)
    matrix = np.ascontiguousarray(w).reshape(groups, filters // groups, -1).swapaxes(1, 2)
    if stride == (1, 1):
        return _input_by_whole_rows(g, matrix, size, kernel, padding, dilation)
    g = np.ascontiguousarray(g).reshape(images, groups, filters // groups, windows[0] * windows[1])
    (top, bottom), (left, right) = padding
    padded = np.zeros((images, channels, top + size[0] + bottom, left + size[1] + right), g.dtype)
    # With one filter a group the product has one term; BLAS is slower at that than a plain multiplication.
    product = np.multiply if filters == groups else np.matmul
    buffer = None
    for block, row, rows in _blocks(images, windows, channels * area * g.itemsize):
        shape = (block.stop - block.start, groups, channels // groups * area, rows * windows[1])
        if buffer is None:
            buffer = np.empty(math.prod(shape), g.dtype)
        columns = buffer[: math.prod(shape)].reshape(shape)
        product(matrix, g[block, :, :, row * windows[1] : (row + rows) * windows[1]], out=columns)
        columns = columns.reshape(-1, channels, area, rows, windows[1])
        for k, tap in enumerate(taps(padded[block], kernel, stride, dilation, (rows, windows[1]), row)):
            tap += columns[:, :, k]
    return np.ascontiguousarray(unpadded(padded, padding, size))


def _input_by_whole_rows(g, matrix, size, kernel, padding, dilation):
    """`conv2d_input` for windows one step apart; `matrix` is (groups, C/groups*kh*kw, O/groups).

    With zeros put behind each of its rows, g is as wide as the padded result. A tap of all windows of an image is then one
    run of memory, and adding it takes one long loop instead of a short one for each row.
    """
    images, _, *windows = g.shape
    groups, depth, filters = matrix.shape
    area = kernel[0] * kernel[1]
    channels = groups * depth // area
    (top, bottom), (left, right) = padding
    height, width = top + size[0] + bottom, left + size[1] + right
    starts = [i * dilation[0] * width + j * dilation[1] for i in range(kernel[0]) for j in range(kernel[1])]
    flat = np.zeros((images, channels, height * width + (kernel[1] - 1) * dilation[1]), g.dtype)
    product = np.multiply if filters == 1 else np.matmul  # as in conv2d_input
    wide = None
    for block, row, rows in _blocks(images, (windows[0], width), channels * area * g.itemsize):
        shape = (block.stop - block.start, groups, filters, rows, width)
        if wide is None or wide.shape != shape:
            wide = np.zeros(shape, g.dtype)
            columns = np.empty((shape[0], groups, depth, rows * width), g.dtype)
        wide[..., : windows[1]] = g[block, :, row : row + rows].reshape(*shape[:-1], windows[1])
        product(matrix, wide.reshape(*shape[:-2], rows * width), out=columns)
        by_tap = columns.reshape(shape[0], channels, area, rows * width)
        for k, start in enumerate(starts):
            begin = row * width + start
            flat[block, :, begin : begin + rows * width] += by_tap[:, :, k]
    padded = flat[:, :, : height * width].reshape(images, channels, height, width)
    return np.ascontiguousarray(unpadded(padded, padding, size))


@through_float32
def conv2d_weight(g, x, kernel, stride, padding, dilation, groups):
    """The gradient of `conv2d` by its weight, as `nnscratch.kernels.conv.definition.conv2d_weight`."""
    (images, filters), windows = g.shape[:2], g.shape[2:]
    shape = filters, x.shape[1] // groups, *kernel
    if loops := _depthwise(x, g.shape, shape, groups):
        return depthwise.conv2d_weight(loops, g, x, kernel, stride, padding, dilation)
    least = direct.LEAST, winograd.LEAST
    chosen, vectors = _choose(x.dtype, images, shape, windows, stride, dilation, groups, *least)
    if chosen is winograd:
        return winograd.conv2d_weight(vectors, g, x, padding, groups)
    if chosen is direct:
        return direct.conv2d_weight(vectors, g, x, kernel, stride, padding, dilation, groups)
    g = np.ascontiguousarray(g).reshape(images, groups, filters // groups, windows[0] * windows[1])
    total = np.zeros((groups, filters // groups, x.shape[1] // groups * kernel[0] * kernel[1]), g.dtype)
    for block, positions, columns in _column_blocks(x, kernel, stride, padding, dilation, groups):
        total += np.matmul(g[block, :, :, positions], columns.swapaxes(2, 3)).sum(axis=0)
    return total.reshape(filters, -1, *kernel)
