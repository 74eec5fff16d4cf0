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
    """A weight with its bias and factor, and copies in the order in which the loops read them, made when they are first needed."""

    def __init__(self, *parts):
        self.parts = parts
        self.weight, self.bias, self.factor, self.groups = parts

    def __iter__(self):
        return iter(self.parts)

    @functools.cached_property
    def blocks(self):
        """The weight in blocks of outputs, each (pairs, outputs, 2) in 16 bits; bias and factor of as many outputs.

        There are zeros where a row of a window or the outputs end.
        """
        wide = compiled.module_for("quantise.loops", np.dtype(np.float32)).WIDE
        filters = len(self.weight)
        missing = -filters % wide
        runs = np.moveaxis(self.weight, 1, -1).reshape(filters, *self.weight.shape[2:3], -1)  # (O, kh, kw C) or (O, K)
        runs = np.pad(runs, [(0, missing), *[(0, 0)] * (runs.ndim - 2), (0, runs.shape[-1] % 2)])
        pairs = runs.astype(np.int16).reshape(-1, wide, runs[0].size // 2, 2)
        blocks = np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(-1)
        return blocks, np.pad(self.bias, (0, missing)), np.pad(self.factor, (0, missing))


def pack(weight, bias, factor, groups=1):
    """What `conv2d` and `linear` take as their weight."""
    return Packed(weight, bias, factor, groups)


@functools.lru_cache(maxsize=256)
def _places(size, kernel, windows, stride, padding, dilation, pooled):
    """The width with padding, cells of an image with padding; where each position begins, and how far from it each pair is."""
    (top, bottom), (left, right) = padding
    height, width, channels = size
    padded = left + width + right
    down, across = (np.arange(n) * s for n, s in zip(windows, stride, strict=True))
    starts = (down[:, None] * padded + across) * channels
    if pooled:  # window by window
        high, wide = len(down) // 2, len(across) // 2
        starts = starts[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2).swapaxes(1, 2)
    run = kernel[1] * channels
    # dilated columns of a window are no run; their channels have to be pairs
    pairs = np.arange(0, run, 2) // channels * dilation[1] * channels + np.arange(0, run, 2) % channels
    pairs = np.arange(0, run, 2) if dilation[1] == 1 else pairs
    rows = np.arange(kernel[0]) * dilation[0] * padded * channels
    return padded, (top + height + bottom) * padded * channels, starts.reshape(-1), (rows[:, None] + pairs).reshape(-1)


def _run(loops, x, packed, x_zero, zero, low, settings):
    """A layer of images (N, H, W, C): the results (N, positions, O), codes or numbers; of pooled ones a fourth of the positions."""
    images, filters, size, (_, _, _, padding, _, pooled) = len(x), len(packed.weight), x.shape[1:], settings
    padded, cells, starts, offsets = _places(size, *settings)
    blocks, bias, factor = packed.blocks
    window = 4 if pooled else 1
    y = np.empty((images, len(starts) // window, filters), np.int32 if zero is None else np.int8)
    source, result, edges = compiled.contiguous(x).reshape(-1), y.reshape(-1), (padding[0][0], padding[1][0])

    def run(begin, end):
        scratch, out = np.zeros(cells + 2, np.int16), np.empty(2 * loops.ROWS * loops.WIDE, np.int32)
        image, places = (source, (begin, end), size, padded, edges, x_zero), (starts, offsets)
        if zero is None:
            loops.sums(*image, places, blocks, filters, bias, scratch, out, result)
        else:
            loops.codes(*image, places, window, blocks, filters, bias, factor, zero, low, scratch, out, result)

    threads.split(images, images * len(starts) * packed.weight.size, run)
    return y if zero is not None else y.astype(np.float32) * packed.factor


def conv2d(x, packed, x_zero, zero, low, stride, padding, dilation, pooled=False):
    """Cross-correlation of codes, as `nnscratch.kernels.quantise.definition.conv2d`."""
    filters, channels, *kernel = packed.weight.shape
    windows = output_sizes(x.shape[2:], tuple(kernel), stride, padding, dilation)
    loops = _loops(len(x) * math.prod(windows) * packed.weight.size)
    if loops is None or packed.groups > 1 or (dilation[1] > 1 and channels % 2):
        return definition.conv2d(x, packed, x_zero, zero, low, stride, padding, dilation, pooled)
    settings = tuple(kernel), windows, stride, padding, dilation, pooled
    y = _run(loops, x.transpose(0, 2, 3, 1), packed, x_zero, zero, low, settings)
    return y.reshape(len(x), *(n // 2 if pooled else n for n in windows), filters).transpose(0, 3, 1, 2)


def linear(x, packed, x_zero, zero, low):
    """A layer of neurons on codes, as `nnscratch.kernels.quantise.definition.linear`."""
    rows, width = x.shape
    loops = _loops(rows * packed.weight.size)
    if loops is None:
        return definition.linear(x, packed, x_zero, zero, low)
    parts = []
    whole = rows // ROWS * ROWS
    for part, each in ((x[:whole], ROWS), (x[whole:], rows - whole)):
        if len(part):
            images = part.reshape(-1, each, 1, width)  # rows as the positions of an image
            settings = (1, 1), (each, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), False
            parts.append(_run(loops, images, packed, x_zero, zero, low, settings).reshape(len(part), -1))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
