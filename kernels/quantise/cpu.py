"""Layers on codes of 8 bits on the CPU: arguments and results are those of `nnscratch.kernels.quantise.definition`.

Why it is fast: the results' channels stand side by side in memory, in images of the shape (N, C, H, W) as everywhere, so that the
next layer finds all it needs of a row of a window in one run of memory, and no columns have to be made. The runs are
products of matrices, by `nnscratch.kernels.quantise.loops`.
"""

import functools
import math

import numpy as np

from .. import compiled, threads
from ..windows import output_sizes
from . import definition

#: Multiplications, or elements, from which on a layer is worth a compiled loop.
LEAST = 1 << 14
#: Rows of a linear layer that are widened at once.
ROWS = 48


def _loops(work):
    return compiled.module_for("quantise.loops", np.dtype(np.float32)) if work >= LEAST else None


def to_codes(x, scale, zero):
    """Numbers as codes of 8 bits, as `nnscratch.kernels.quantise.definition.to_codes`."""
    loops = _loops(x.size) if x.dtype == np.float32 else None
    if loops is None:
        return definition.to_codes(x, scale, zero)
    x = compiled.contiguous(x)
    y, flat = np.empty(x.shape, np.int8), x.reshape(-1)
    target, scales = y.reshape(-1), np.full(1, scale, np.float32)
    threads.split(
        x.size, x.size * threads.WORK_OF_AN_ELEMENT, lambda a, b: loops.encode(flat, a, b, scales, zero, target)
    )
    return y


class Packed:
    """A weight, and its copy in the order in which the loops read it, made when it is first needed."""

    def __init__(self, weight, groups):
        self.weight, self.groups = weight, groups

    def __iter__(self):
        return iter((self.weight, self.groups))

    @functools.cached_property
    def blocks(self):
        """Blocks of outputs, each (pairs, outputs, 2) in 16 bits, with zeros where a row of a window or the outputs end."""
        wide = compiled.module_for("quantise.loops", np.dtype(np.float32)).WIDE
        filters = len(self.weight)
        runs = np.moveaxis(self.weight, 1, -1).reshape(filters, *self.weight.shape[2:3], -1)  # (O, kh, kw C) or (O, K)
        runs = np.pad(runs, [(0, -filters % wide), *[(0, 0)] * (runs.ndim - 2), (0, runs.shape[-1] % 2)])
        pairs = runs.astype(np.int16).reshape(-1, wide, runs[0].size // 2, 2)
        return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(-1)


def pack(weight, groups=1):
    """What `conv2d` and `linear` take as a weight."""
    return Packed(weight, groups)


@functools.lru_cache(maxsize=256)
def _places(size, kernel, windows, stride, padding, dilation):
    """The width with padding, cells of an image with padding; where each position begins, and how far from it each pair is."""
    (top, bottom), (left, right) = padding
    height, width, channels = size
    padded = left + width + right
    down, across = (np.arange(n) * s for n, s in zip(windows, stride, strict=True))
    starts = ((down[:, None] * padded + across) * channels).reshape(-1)
    run = kernel[1] * channels
    # dilated columns of a window are no run; their channels have to be pairs
    pairs = np.arange(0, run, 2) // channels * dilation[1] * channels + np.arange(0, run, 2) % channels
    pairs = np.arange(0, run, 2) if dilation[1] == 1 else pairs
    rows = np.arange(kernel[0]) * dilation[0] * padded * channels
    return padded, (top + height + bottom) * padded * channels, starts, (rows[:, None] + pairs).reshape(-1)


def _run(loops, x, packed, bias, x_zero, finish, settings):
    """A layer of images (N, H, W, C): the results (N, positions, O), codes or numbers."""
    kernel, windows, stride, padding, dilation = settings
    images, filters, size = len(x), len(packed.weight), x.shape[1:]
    padded, cells, *places = _places(size, kernel, windows, stride, padding, dilation)
    blocks, missing = packed.blocks, -filters % loops.WIDE
    factor, zero, low = finish
    shape = images, len(places[0]), filters
    bias, wide_factor = np.pad(bias, (0, missing)), np.pad(factor, (0, missing))
    y = np.empty(shape, np.int32 if zero is None else np.int8)
    source, result, edges = compiled.contiguous(x).reshape(-1), y.reshape(-1), (padding[0][0], padding[1][0])
    ends = () if zero is None else (wide_factor, zero, low)

    def run(begin, end):
        scratch, out = np.zeros(cells + 2, np.int16), np.empty(loops.ROWS * loops.WIDE, np.int32)
        layer = loops.sums if zero is None else loops.codes
        layer(
            source,
            (begin, end),
            size,
            padded,
            edges,
            x_zero,
            tuple(places),
            blocks,
            filters,
            bias,
            *ends,
            scratch,
            out,
            result,
        )

    threads.split(images, images * len(places[0]) * packed.weight.size, run)
    return y if zero is not None else y.astype(np.float32) * factor


def conv2d(x, packed, bias, x_zero, factor, zero, low, stride, padding, dilation):
    """Cross-correlation of codes, as `nnscratch.kernels.quantise.definition.conv2d`."""
    filters, channels, *kernel = packed.weight.shape
    windows = output_sizes(x.shape[2:], tuple(kernel), stride, padding, dilation)
    loops = _loops(len(x) * math.prod(windows) * packed.weight.size)
    if loops is None or packed.groups > 1 or (dilation[1] > 1 and channels % 2):
        return definition.conv2d(x, packed, bias, x_zero, factor, zero, low, stride, padding, dilation)
    settings = tuple(kernel), windows, stride, padding, dilation
    y = _run(loops, x.transpose(0, 2, 3, 1), packed, bias, x_zero, (factor, zero, low), settings)
    return y.reshape(len(x), *windows, filters).transpose(0, 3, 1, 2)


def linear(x, packed, bias, x_zero, factor, zero, low):
    """A layer of neurons on codes, as `nnscratch.kernels.quantise.definition.linear`."""
    rows, width = x.shape
    loops = _loops(rows * packed.weight.size)
    if loops is None:
        return definition.linear(x, packed, bias, x_zero, factor, zero, low)
    parts = []
    whole = rows // ROWS * ROWS
    for part, each in ((x[:whole], ROWS), (x[whole:], rows - whole)):
        if len(part):
            images = part.reshape(-1, each, 1, width)  # rows as the positions of an image
            settings = (1, 1), (each, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)
            y = _run(loops, images, packed, bias, x_zero, (factor, zero, low), settings)
            parts.append(y.reshape(len(part), -1))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def max_pool2d(x, kernel, stride, padding, dilation):
    """The greatest code of each window, as `nnscratch.kernels.quantise.definition.max_pool2d`."""
    side_by_side = kernel == stride == (2, 2) and dilation == (1, 1) and padding == ((0, 0), (0, 0))
    loops = _loops(x.size) if side_by_side else None
    if loops is None:
        return definition.max_pool2d(x, kernel, stride, padding, dilation)
    images = compiled.contiguous(x.transpose(0, 2, 3, 1))
    _, height, width, channels = images.shape
    y = np.empty((len(x), height // 2, width // 2, channels), np.int8)
    source, result, size = images.reshape(-1), y.reshape(-1), images.shape[1:]
    work = x.size * threads.WORK_OF_AN_ELEMENT
    threads.split(len(x), work, lambda begin, end: loops.maxima(source, begin, end, size, result))
    return y.transpose(0, 3, 1, 2)
