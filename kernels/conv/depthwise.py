"""Depthwise convolution, whose filters see one channel each, without columns: one compiled loop over all planes.

A channel's results need only its own few numbers, so there is no matrix product to speak of, and memory is what costs. Each plane
is copied once, with its padding, into a scratch array that stays in the first-level cache; a stride of s puts every s-th row and column
of it together, so that a tap of all windows of a row is one run of memory. Tiles of results stay in registers while the taps pass by. The
gradient by the input is the same sum: of the result's gradient, with stride - 1 zeros put between its rows and columns, and the taps backwards.

Every sum is taken in one order, so results do not depend on the number of threads.
"""

import functools
import math

import numpy as np

from .. import compiled, threads
from ..windows import output_sizes
from .direct import aligned_zeros

#: Elements of the images, or of the results, from which on this is the way.
LEAST = compiled.LEAST
#: Filters for a channel up to which it is: a tile of `nnscratch.kernels.conv.direct` is for at least four.
MOST = 3
#: Elements behind a scratch array: a vector, and more, that a tile reads and does not use.
BEHIND = 64
#: Images that the gradient by the weight sums up in the numbers' own dtype, and into how many parts they are divided at most.
IMAGES, PARTS = 4, 8


def compiled_loops(dtype, elements, shape, groups):
    """The compiled loops for a weight of this shape (O, C / groups, kh, kw), or None where this is not the way."""
    if shape[1] != 1 or shape[0] > MOST * groups or elements < LEAST:
        return None
    return compiled.module_for("conv.depthwise_loops", dtype)


@functools.lru_cache(maxsize=256)
def _forward(size, windows, kernel, stride, padding, dilation):
    """The layout of a plane of x, how much memory it takes, and where in it each tap begins."""
    corner, sizes, taps = [], [], []
    for n, o, k, s, (before, _), d in zip(size, windows, kernel, stride, padding, dilation, strict=True):
        corner.append(-(-before // s))
        taps.append(d * np.arange(k) + corner[-1] * s - before)
        sizes.append(max(corner[-1] - (-n // s), o + int(taps[-1][-1]) // s))
    (height, width), (row, column) = sizes, taps
    phase = row[:, None] % stride[0] * stride[1] + column % stride[1]
    offsets = (phase * height + row[:, None] // stride[0]) * width + column // stride[1]
    return (*corner, height, width), math.prod(stride) * height * width, offsets.reshape(-1)


@functools.lru_cache(maxsize=256)
def _backward(size, windows, each, kernel, stride, padding, dilation):
    """The same for the gradients of a channel's `each` filters, spread out."""
    edges, sizes, taps = [], [], []
    for n, o, k, s, (before, _), d in zip(size, windows, kernel, stride, padding, dilation, strict=True):
        edge = max(0, d * (k - 1) - before)
        edges.append(edge)
        sizes.append(max(n + before, (o - 1) * s + 1) + edge)
        taps.append(edge + before - d * np.arange(k))
    height, width = sizes
    offsets = (np.arange(each)[:, None, None] * height + taps[0][:, None]) * width + taps[1]
    return (*edges, height, width), each * height * width, offsets.reshape(-1)


def _flat(*arrays):
    return [compiled.contiguous(a).reshape(-1) for a in arrays]


def _split(planes, memory, work, dtype, run):
    """``run(begin, end, scratch)`` for parts of the planes, each with zeros of its own and what a vector may read behind them."""

    def part(begin, end):
        run(begin, end, aligned_zeros((memory + BEHIND,), dtype))

    threads.split(planes, work, part)


def _work(results, kernel):
    """What so many results take, in multiplications."""
    return results * max(math.prod(kernel), threads.WORK_OF_AN_ELEMENT)


def conv2d(loops, x, w, bias, stride, padding, dilation):
    """`nnscratch.kernels.conv.definition.conv2d` by the compiled loops."""
    (images, channels, *size), (filters, _, *kernel) = x.shape, w.shape
    size, kernel, each = tuple(size), tuple(kernel), filters // channels
    windows = output_sizes(size, kernel, stride, padding, dilation)
    layout, memory, offsets = _forward(size, windows, kernel, stride, padding, dilation)
    y = np.empty((images, filters, *windows), x.dtype)
    bias = np.zeros(filters, x.dtype) if bias is None else compiled.contiguous(bias)
    x, w = _flat(x, w)

    def run(begin, end, scratch):
        places = y.reshape(-1), windows, scratch
        loops.correlate(x, begin, end, size, stride, layout, w, offsets, each, bias, *places)

    _split(images * channels, memory, _work(y.size, kernel), x.dtype, run)
    return y


def conv2d_input(loops, g, w, size, stride, padding, dilation, groups):
    """`nnscratch.kernels.conv.definition.conv2d_input` by the compiled loops."""
    (images, filters, *windows), kernel = g.shape, w.shape[2:]
    size, windows, each = tuple(size), tuple(windows), filters // groups
    layout, memory, offsets = _backward(size, windows, each, kernel, stride, padding, dilation)
    dx = np.empty((images, groups, *size), g.dtype)
    g, w = _flat(g, w)

    def run(begin, end, scratch):
        places = dx.reshape(-1), size, groups, scratch
        loops.correlate_input(g, begin, end, windows, stride, layout, w, offsets, each, *places)

    _split(images * groups, memory, _work(dx.size * each, kernel), g.dtype, run)
    return dx


def conv2d_weight(loops, g, x, kernel, stride, padding, dilation):
    """`nnscratch.kernels.conv.definition.conv2d_weight` by the compiled loops."""
    (images, channels, *size), (filters, *windows), kernel = x.shape, g.shape[1:], tuple(kernel)
    size, windows, each = tuple(size), tuple(windows), filters // channels
    layout, memory, offsets = _forward(size, windows, kernel, stride, padding, dilation)
    offsets, bounds = _whole_tiles(loops.TAPS, offsets.tobytes()), _parts(images)
    dw = np.empty((filters, 1, *kernel), x.dtype)
    work, (g, x) = _work(g.size, kernel), _flat(g, x)

    def run(begin, end, scratch):
        places = dw.reshape(filters, -1), scratch
        loops.correlate_weight(g, windows, x, begin, end, size, stride, layout, offsets, each, bounds, *places)

    _split(channels, memory, work, x.dtype, run)
    return dw


@functools.lru_cache(maxsize=256)
def _whole_tiles(tile, offsets):
    """Offsets up to a multiple of a tile, the last one again where there are no more."""
    offsets = np.frombuffer(offsets, np.int64)
    return np.pad(offsets, (0, -len(offsets) % tile), "edge")


@functools.lru_cache(maxsize=256)
def _parts(images):
    """Where the parts of the images begin, and the last ends."""
    parts = max(1, min(PARTS, images // IMAGES))
    return np.arange(parts + 1) * images // parts
