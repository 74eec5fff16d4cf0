"""Convolution and its two gradients on a GPU: the names, arguments and results of `nnscratch.kernels.conv.definition`.

``conv.cu`` says how they are computed and why they are fast: as products of matrices whose operands are picked from the
images on the way to shared memory. Here the tiles are chosen and the tables of taps made.

Within `nnscratch.use_precision` they are products of rounded columns by cuBLAS, which has the tensor cores' speed: a part of
the images at a time, so that the columns do not fill the memory.
"""

import functools
import math

import numpy as np

from ..cuda import cublas, runtime
from ..cuda.precision import chosen
from ..windows import output_sizes
from . import definition

#: Tiles of the result (BM outputs by BN positions) and of a thread (TM by TN), the one with the least traffic first.
TILES = ((128, 128, 8, 8), (64, 128, 8, 8), (64, 64, 8, 4))
#: The tile for few outputs.
NARROW = (32, 64, 8, 4)
#: As many blocks as keep a GPU of some 130 multiprocessors busy; with fewer, smaller tiles give more.
BUSY = 264
#: So few outputs a group (or weights a group) that each is computed by itself.
FEW_OUTPUTS, FEW_WEIGHTS = 4, 16
#: With fewer channels a group, a tile's terms go on over the taps.
FEW_CHANNELS = 16
#: The least positions that a part of the gradient by the weight sums over.
SHARE = 512
#: Positions an image from which on a convolution by 1 is left to cuBLAS, image by image.
POINTWISE = 512
#: Bytes of columns, in float32, that are made at a time.
COLUMNS = 1 << 28


def _tile(dtype, outputs, columns, batch=1, small=False):
    """The tile for a product of `outputs` by `columns` numbers, `batch` over."""
    if outputs <= NARROW[0]:
        return NARROW
    # float64 takes two registers a number, and finding single taps takes some, so that a thread has half as many numbers.
    small = small or dtype == np.float64
    fitting = TILES[2:] if small else [t for t in TILES if t[0] <= 64 or outputs > 64]
    return next((t for t in fitting if _blocks(t, outputs, columns) * batch >= BUSY), fitting[-1])


def _terms(dtype):
    """The terms of a sum that a tile has: BK of ``conv.cu``."""
    return 8 if dtype == np.float64 else 16


def _up(n, unit):
    """The next multiple of `unit`."""
    return runtime.blocks(n, unit) * unit


def _blocks(tile, outputs, columns):
    return runtime.blocks(outputs, tile[0]) * runtime.blocks(columns, tile[1])


def _launch(name, grid, args, dtype, tile=NARROW, few=0, threads=None):
    bm, bn, tm, tn = tile
    threads = bm // tm * (bn // tn) if threads is None else threads
    constants = {"ELEMENT": dtype, "BM": bm, "BN": bn, "TM": tm, "TN": tn, "FEW": few}
    runtime.launch("conv.cu", name, grid, threads, args, **constants)


@functools.lru_cache(maxsize=1024)
def _tables(xp, device, windows, kernel, stride, padding, dilation, size):
    """Phases and taps on the device, as ``conv.cu`` declares them, and the phases as a list.

    With `size`, that of the input, they are those of the gradient by the input; for None those of the convolution, whose
    only phase has all `windows`.
    """
    places = [(i, j) for i in range(kernel[0]) for j in range(kernel[1])]
    phases, taps = [], []
    if size is None:
        phases.append((0, len(places), *windows, 0, 0, 0, 0))
        taps = [
            (i * dilation[0] - padding[0][0], j * dilation[1] - padding[1][0], slot, 0)
            for slot, (i, j) in enumerate(places)
        ]
    else:
        for y0 in range(min(stride[0], size[0])):
            for x0 in range(min(stride[1], size[1])):
                first = len(taps)
                for slot, (i, j) in enumerate(places):
                    y, x = y0 + padding[0][0] - i * dilation[0], x0 + padding[1][0] - j * dilation[1]
                    if y % stride[0] == x % stride[1] == 0:
                        taps.append((y // stride[0], x // stride[1], slot, 0))
                counts = -(-(size[0] - y0) // stride[0]), -(-(size[1] - x0) // stride[1])
                phases.append((first, len(taps) - first, *counts, y0, x0, 0, 0))
    return *(xp.asarray(np.array(t, np.int32).reshape(-1, n)) for t, n in ((phases, 8), (taps, 4))), phases


def _elements(n):
    """A grid and a block for so many elements."""
    return min(runtime.blocks(n), 1 << 20)


def _arithmetic(dtype):
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _gather(x, w, bias, shape, tables, groups, steps, strides, backwards):
    """Launch what makes an array of `shape` from x and the filters w (O, C/groups, kh, kw)."""
    xp, dtype = runtime.xp(), x.dtype
    out = xp.empty(shape, dtype)
    if not out.size:
        return out
    phases, taps, listed = tables
    x, w = xp.ascontiguousarray(x), xp.ascontiguousarray(w)
    bias = None if bias is None else xp.ascontiguousarray(bias)
    filters, channels, slots = w.shape[0] // groups, w.shape[1], w.shape[2] * w.shape[3]
    terms, outputs = (filters, channels) if backwards else (channels, filters)
    largest = max(p[2] * p[3] for p in listed) * len(x)
    each, few = outputs <= FEW_OUTPUTS, terms < FEW_CHANNELS
    tile = NARROW if each else _tile(dtype, outputs, largest, groups * len(listed), few)
    depth = terms if each or few else _up(terms, _terms(dtype))
    width = outputs if each else _up(outputs, tile[0])
    arranged = xp.empty((groups, slots, depth, width), _arithmetic(dtype))
    args = w, arranged, np.int64(arranged.size), filters, channels, slots, depth, width, backwards
    _launch("arrange", _elements(arranged.size), args, dtype, tile, threads=runtime.THREADS)

    numbers = len(x), groups, terms, outputs, depth, width, slots, *x.shape[2:], *shape[2:], *steps, *strides
    args = x, arranged, bias, out, phases, taps, *numbers
    if each:
        grid = _elements(largest * groups * outputs), len(listed)
        _launch("convolve_each", grid, args, dtype, threads=runtime.THREADS)
    else:
        grid = _blocks(tile, outputs, largest), groups * len(listed)
        _launch("convolve", grid, args, dtype, tile, int(few))
    return out


def _parts(images, *numbers):
    """The images a part at a time, where each has columns of so many numbers."""
    step = max(1, COLUMNS // (4 * math.prod(numbers)))
    return (slice(begin, begin + step) for begin in range(0, images, step))


def _for_cublas(precision, *arrays):
    """A product for the columns of the definition, and its operands."""
    return functools.partial(cublas.product, precision=precision), *(cublas.rounded(a, precision) for a in arrays)


def conv2d(x, w, bias, stride, padding, dilation, groups):
    """Cross-correlate images with filters, as `nnscratch.kernels.conv.definition.conv2d`."""
    xp, kernel = runtime.xp(), w.shape[2:]
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    shape = len(x), len(w), *windows
    if (precision := chosen(x, w)) and math.prod(shape):
        y = xp.empty(shape, x.dtype)
        product, x, w = _for_cublas(precision, x, w)
        for part in _parts(len(x), x.shape[1], *kernel, *windows):
            y[part] = definition.products_with_windows(product, x[part], w, stride, padding, dilation, groups)
        if bias is not None:
            y += bias[:, None, None]
        return y
    pointwise = kernel == stride == (1, 1) and padding == ((0, 0), (0, 0)) and x.dtype != np.float16
    if pointwise and math.prod(windows) >= POINTWISE:
        matrices = x.reshape(len(x), groups, w.shape[1], math.prod(windows))
        y = xp.matmul(w.reshape(groups, len(w) // groups, w.shape[1]), matrices).reshape(shape)
        if bias is not None:
            y += bias[:, None, None]
        return y
    tables = _tables(xp, runtime._device(), windows, kernel, stride, padding, dilation, None)
    return _gather(x, w, bias, shape, tables, groups, (1, 1), stride, False)


def conv2d_input(g, w, size, stride, padding, dilation, groups):
    """The gradient of `conv2d` by its input, as `nnscratch.kernels.conv.definition.conv2d_input`."""
    shape = len(g), w.shape[1] * groups, *size
    if (precision := chosen(g, w)) and g.size and w.size:
        dx = runtime.xp().empty(shape, g.dtype)
        product, g, w = _for_cublas(precision, g, w)
        for part in _parts(len(g), shape[1], *w.shape[2:], *g.shape[2:]):
            dx[part] = definition.products_with_filters(product, g[part], w, size, stride, padding, dilation, groups)
        return dx
    tables = _tables(runtime.xp(), runtime._device(), g.shape[2:], w.shape[2:], stride, padding, dilation, tuple(size))
    return _gather(g, w, None, shape, tables, groups, stride, (1, 1), True)


def conv2d_weight(g, x, kernel, stride, padding, dilation, groups):
    """The gradient of `conv2d` by its weight, as `nnscratch.kernels.conv.definition.conv2d_weight`."""
    xp, dtype, windows = runtime.xp(), x.dtype, g.shape[2:]
    filters, channels, slots = g.shape[1] // groups, x.shape[1] // groups, kernel[0] * kernel[1]
    positions = len(x) * math.prod(windows)
    if not positions:
        return xp.zeros((g.shape[1], channels, *kernel), dtype)
    dw = xp.empty((g.shape[1], channels, *kernel), dtype)
    if not dw.size:
        return dw
    if precision := chosen(g, x):
        dw[...] = 0
        product, g, x = _for_cublas(precision, g, x)
        for part in _parts(len(x), x.shape[1], *kernel, *windows):
            dw += definition.products_with_gradients(
                product, g[part], x[part], kernel, stride, padding, dilation, groups
            )
        return dw
    g, x = xp.ascontiguousarray(g), xp.ascontiguousarray(x)
    _, taps, _ = _tables(xp, runtime._device(), windows, tuple(kernel), stride, padding, dilation, None)
    numbers = len(x), groups, channels, filters, slots, *x.shape[2:], *windows, *stride
    if filters * channels <= FEW_WEIGHTS:
        _launch("weigh_each", dw.size, (g, x, dw, taps, *numbers), dtype, threads=256)
        return dw
    tile = _tile(dtype, filters, channels * slots, groups * runtime.blocks(positions, SHARE))
    blocks = _blocks(tile, filters, channels * slots)
    splits = max(1, min(BUSY // (blocks * groups), runtime.blocks(positions, SHARE)))
    share = _up(runtime.blocks(positions, splits), _terms(dtype))
    splits = runtime.blocks(positions, share)
    parts = xp.empty((splits, *dw.shape), _arithmetic(dtype))
    _launch("weigh", (blocks, groups, splits), (g, x, parts, taps, np.int64(share), *numbers), dtype, tile)
    args = parts, dw, np.int64(dw.size), splits
    _launch("sum_of_splits", _elements(dw.size), args, dtype, threads=runtime.THREADS)
    return dw
