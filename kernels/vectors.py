"""Convolution's innermost loops as vectors of the processor's own width, which compilers do not find by themselves.

A tile of results stays in registers while all taps pass by: each vector of neighbouring windows that is loaded serves all
filters of the tile, and each weight all its vectors. `nnscratch.kernels.direct` and `nnscratch.kernels.winograd` say how
convolutions become such products. The machine code is kept on disk, as that of `nnscratch.kernels.loops`.
"""

import platform

import numba
import numpy as np

from . import simd
from .simd import BYTES

#: Filters in a tile: of 32 registers 24 hold sums, of 16 12.
ROWS = 8 if BYTES == 64 or platform.machine().lower() in ("aarch64", "arm64") else 4
#: Vectors in a tile.
VECTORS = 3
#: Vectors of a row of results that are taken at once for the gradient by the weight: 8 rows then fit the first-level cache.
CHUNK = 48

# The matrices of Winograd's F(2 x 2, 3 x 3): y = A [(G w G') * (B d B')] A' for patches d of 4 by 4 (Lavin and Gray 2016).
WINOGRAD_B = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
WINOGRAD_A = ((1, 1, 1, 0), (0, 1, -1, -1))
WINOGRAD_G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))


def _outer(code, left, right, sums):
    """The sums, and to each its product of one of `left` with one of `right`."""
    terms = [(a, b) for a in left for b in right]
    return [code.fma(*term, s) for term, s in zip(terms, sums, strict=True)]


def _products(rows, vectors):
    """The kernel ``out[m, v] = sum over k of w[k, m] * x[offsets[k] + v]``: m of `rows`, v in `vectors` vectors.

    The rows of w are `step` elements apart, those of `out` `row`.
    """

    @simd.kernel
    def products(code, w, at_w, step, x, at_x, offsets, count, out, at_out, row):
        w, x, out = code.at(w, at_w), code.at(x, at_x), code.at(out, at_out)

        def body(k, sums):
            run, weights = code.at(x, code.builder.load(code.at(offsets, k))), code.at(w, code.times(k, step))
            values = [code.load(code.at(run, v * code.lanes)) for v in range(vectors)]
            return _outer(code, [code.fill(code.builder.load(code.at(weights, m))) for m in range(rows)], values, sums)

        for i, s in enumerate(code.loop(count, [code.zero] * (rows * vectors), body)):
            code.store(s, code.at(out, code.times(row, i // vectors), i % vectors * code.lanes))

    return products


def _dots(rows, taps):
    """The kernel ``out[m, k] += sum over n and i of g[n, m, i] * x[n, offsets[k] + i]``: m of `rows`, k of `taps`.

    The sum is over `images` images n, and over `vectors` vectors i in each.
    """

    @simd.kernel
    def dots(code, g, at_g, plane, image_g, x, at_x, image_x, offsets, at_k, images, vectors, out, at_out, row):
        g, x, out = code.at(g, at_g), code.at(x, at_x), code.at(out, at_out)
        starts = [code.builder.load(code.at(offsets, at_k, k)) for k in range(taps)]

        def image(n, sums):
            planes = [code.at(g, code.times(n, image_g), code.times(plane, m)) for m in range(rows)]
            runs = [code.at(x, code.times(n, image_x), start) for start in starts]

            def body(v, sums):
                i = code.times(v, code.lanes)
                values = [code.load(code.at(run, i)) for run in runs]
                return _outer(code, [code.load(code.at(p, i)) for p in planes], values, sums)

            return code.loop(vectors, sums, body)

        for i, s in enumerate(code.loop(images, [code.zero] * (rows * taps), image)):
            place = code.at(out, code.times(row, i // taps), i % taps)
            code.builder.store(code.builder.fadd(code.builder.load(place), code.sum(s)), place)

    return dots


@simd.kernel
def _add(code, source, at, target, to, count):
    """``target[to + i] += source[at + i]`` for `count` i, at least 1."""
    source, target = code.at(source, at), code.at(target, to)

    def piece(i, lanes):
        place = code.at(target, i)
        terms = code.load_some(code.at(source, i), lanes), code.load_some(place, lanes)
        code.store_some(code.builder.fadd(*terms), place, lanes)

    code.pieces(count, piece)


_tile_1, _tile_2, _tile_3 = (_products(ROWS, v) for v in (1, 2, 3))
_tile_dots = _dots(ROWS, VECTORS)


@simd.kernel
def _transpose(code, source, at, step, last, count, target, to, across):
    """``target[i, k] = source[min(k, last), i]`` for a vector of i, 0 from `count` on, and one of k."""
    inside = code.first(count)
    starts = [code.at(source, at, code.times(code.least(last, k), step)) for k in range(code.lanes)]
    for i, column in enumerate(code.transpose([code.load_some(start, inside) for start in starts])):
        code.store(column, code.at(target, to, code.times(across, i)))


def _store_grid(code, grid, out, at_out, step):
    """Store a list of vectors, `step` elements apart."""
    for i, v in enumerate(grid):
        code.store(v, code.at(out, at_out, code.times(step, i)))


@simd.kernel
def _patch_of_columns(code, x, at_x, rows, out, at_out, step):
    """``out[16] = B d B'`` of 4 by 4 patches d whose rows begin at `rows`; each lane's patch two columns after the last."""

    def pairs(pointer):
        return code.separate(code.load(pointer), code.load(code.at(pointer, code.lanes)))

    starts = [code.at(x, at_x, code.builder.load(code.at(rows, i))) for i in range(4)]
    grid = [[*pairs(start), *pairs(code.at(start, 2))] for start in starts]
    _store_grid(code, code.both_ways(WINOGRAD_B, grid), out, at_out, step)


@simd.kernel
def _patch_of_channels(code, x, at_x, rows, across, out, at_out, step):
    """``out[16] = B d B'`` of 4 by 4 patches d whose rows begin at `rows`, its columns `across` apart; in each lane a channel's."""
    starts = [code.at(x, at_x, code.builder.load(code.at(rows, i))) for i in range(4)]
    grid = [[code.load(code.at(start, code.times(across, j))) for j in range(4)] for start in starts]
    _store_grid(code, code.both_ways(WINOGRAD_B, grid), out, at_out, step)


@simd.kernel
def _spread(code, g, at_g, across, down, out, at_out, step):
    """``out[16] = A' g A`` of 2 by 2 gradients g, whose columns are `across` and whose rows are `down` elements apart."""
    starts = [code.at(g, at_g, code.times(down, i)) for i in range(2)]
    grid = [[code.load(code.at(start, code.times(across, j))) for j in range(2)] for start in starts]
    _store_grid(code, code.both_ways(tuple(zip(*WINOGRAD_A, strict=True)), grid), out, at_out, step)


@simd.kernel
def _unpatch(code, x, at_x, step, out, at_out, row):
    """Two rows of ``A x A'``, each patch's two results of a row side by side."""
    cells = [code.load(code.at(x, at_x, code.times(step, i))) for i in range(16)]
    y = code.both_ways(WINOGRAD_A, [cells[i : i + 4] for i in range(0, 16, 4)])
    for i in range(2):
        for half, v in enumerate(code.interleave(y[2 * i], y[2 * i + 1])):
            code.store(v, code.at(out, at_out, code.times(row, i), half * code.lanes))


@simd.kernel
def _move(code, source, at, step, target, to, stride, count, plus):
    """``target[to + i * stride] = source[at + i * step] + plus`` for `count` i."""
    source, target = code.at(source, at), code.at(target, to)
    together = code.builder.and_(code.same(step, 1), code.same(stride, 1))

    def piece(i, lanes):
        values = code.load_some(code.at(source, i), lanes)
        code.store_some(code.builder.fadd(values, code.fill(plus)), code.at(target, i), lanes)

    def one(i, nothing):
        value = code.builder.load(code.at(source, code.times(i, step)))
        code.builder.store(code.builder.fadd(value, plus), code.at(target, code.times(i, stride)))
        return nothing

    with code.builder.if_then(code.more(count, 0)), code.builder.if_else(together) as (then, otherwise):
        with then:
            code.pieces(count, piece)
        with otherwise:
            code.loop(count, [], one)


# The loops. An `image` is a tuple (elements, shape (N, C, H, W), first, channels): so many of its channels, from the first on.
# `images` is a pair (begin, end). A `layout` is (top, left, down, right, height, width): the padding before an image, the
# strides by which its rows and columns are divided, and the size of the planes that this makes of each channel. Arrays are flat.

_NONE, _ONE = np.int64(0), np.int64(1)  # literals would have functions compiled for themselves


@simd.inner
def _fill(image, n, layout, scratch, at, plane):
    """Image n into scratch[at:], as planes (channels, down, right), `plane` elements apart."""
    x, (_, every, rows, columns), first, channels = image
    top, left, down, right, _, width = layout
    for c in range(channels):
        for a in range(down):
            above = (a - top) % down
            for b in range(right):
                beside = (b - left) % right
                line = ((n * every + first + c) * rows + above) * columns + beside
                to = (
                    at + ((c * down + a) * right + b) * plane + (top + above) // down * width + (left + beside) // right
                )
                count = (columns - beside + right - 1) // right
                for _ in range(above, rows, down):
                    _move(x, line, right, scratch, to, 1, count, x.dtype.type(0))
                    line, to = line + down * columns, to + width


@numba.njit(inline="always")
def _multiply(vectors, w, at_w, step, x, at_x, offsets, out, at_out, row):
    """One tile of products."""
    taps = len(offsets)
    if vectors == 3:
        _tile_3(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif vectors == 2:
        _tile_2(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    else:
        _tile_1(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)


@numba.njit(inline="always")
def _next(left):
    """How many vectors the next tile takes of those left: two of 2 are faster than one of 3 and one of 1."""
    return 2 if left == 4 else min(VECTORS, left)


@simd.compiled
def correlate(image, images, layout, w, offsets, result, bias, target, scratch, wide):
    """Every filter's sums over the taps, and its bias, into the channels of `result`.

    `target` is (rows, columns, row, row_step, column, column_step): how many windows there are, and where in the result
    they are put. `w` holds blocks of ROWS filters, each as (taps, filters of the block). `scratch` has room for the planes
    and a tile's length more, all zeros, and `wide` for ROWS filters' results of so many rows of windows as are taken at once,
    and for a vector more of each.
    """
    y, (_, every, tall, broad), first, filters = result
    height, width = layout[4:]
    rows, columns, row, row_step, column, column_step = target
    taps, lanes, room = len(offsets), BYTES // y.itemsize, len(wide) // ROWS
    strip = (room - lanes) // width
    for n in range(images[0], images[1]):
        _fill(image, n, layout, scratch, _NONE, height * width)
        for above in range(0, rows, strip):
            lines = min(strip, rows - above)
            length = (lines - 1) * width + columns
            for done in range(0, filters, ROWS):
                i = 0
                while i < length:
                    vectors, at = _next((length - i + lanes - 1) // lanes), above * width + i
                    _multiply(vectors, w, done * taps, ROWS, scratch, at, offsets, wide, i, room)
                    i += vectors * lanes
                for m in range(min(ROWS, filters - done)):
                    o = first + done + m
                    to = ((n * every + o) * tall + row + above * row_step) * broad + column
                    for p in range(lines):
                        _move(wide, m * room + p * width, 1, y, to, column_step, columns, bias[o])
                        to += row_step * broad


@simd.compiled
def correlate_weight(gradient, image, images, layout, offsets, block, gradients, scratch, out):
    """For each filter and tap the sum over the windows of gradient times image, added to `out` (filters, taps).

    `block` images are taken at once, for which there is room in `scratch` and in `gradients`: zeros. That and `out` are for filters
    up to a multiple of `ROWS`, `out` and `offsets` for taps up to one of `VECTORS`.
    """
    g, (_, _, rows, _), _, filters = gradient
    channels, (_, _, down, right, height, width) = image[3], layout
    padded, taps = (filters + ROWS - 1) // ROWS * ROWS, len(offsets)
    image_g, image_x = len(gradients) // block, channels * down * right * height * width
    plane = image_g // padded
    lanes = BYTES // g.itemsize
    most = max(1, CHUNK // block) * lanes
    for n in range(images[0], images[1], block):
        count = min(block, images[1] - n)
        for b in range(count):
            _fill(image, n + b, layout, scratch, b * image_x, height * width)
            _fill(gradient, n + b, (_NONE, _NONE, _ONE, _ONE, rows, width), gradients, b * image_g, plane)
        for i in range(0, plane, most):
            vectors = min(most, plane - i) // lanes
            for o in range(0, padded, ROWS):
                at_g = o * plane + i
                for k in range(0, taps, VECTORS):
                    at = o * taps + k
                    _tile_dots(gradients, at_g, plane, image_g, scratch, i, image_x, offsets, k, count, vectors, out, at, taps)  # fmt: skip


@simd.compiled
def winograd(image, images, block, layout, rows_of_patch, u, steps, result, bias, patches, room, scratch, v, m, wide):
    """`correlate` for kernels of 3 by 3 one step apart, with 16 products for every 2 by 2 results instead of 36.

    `layout` divides rows into even and odd ones, `rows_of_patch` is where those of a channel's first patch begin, `patches` (rows,
    columns) how many there are. `u` (16, blocks of ROWS filters) has the weights as ``G w G'``, as `correlate` has them. `v` (16,
    channels, room) and `m` (16, ROWS, room), both with a vector more in each of the 16 to keep these out of each other's way in the
    cache, are for the patches that are taken at once: those of `block` images or, where this is 1, maybe of some rows; `steps` is
    where the channels are in v. `wide` (4 room) is for the results of one filter.
    """
    y, (_, every, rows, columns), first, filters = result
    channels, (height, width) = image[3], layout[4:]
    lanes, step_u, step_v, step_m = BYTES // y.itemsize, len(u) // 16, len(v) // 16, len(m) // 16
    strip = (room // block - patches[1]) * 2 // width + 1
    for n in range(images[0], images[1], block):
        size = min(block, images[1] - n)
        for above in range(0, patches[0], strip):
            lines = min(strip, patches[0] - above)
            length = (lines - 1) * (width // 2) + patches[1]
            for b in range(size):
                if above == 0:
                    _fill(image, n + b, layout, scratch, _NONE, height * width)
                for c in range(channels):
                    at, to = (2 * c * height + above) * width, c * room + b * length
                    for i in range(0, length, lanes):
                        # what it writes behind an image's patches, the next image's stand over
                        _patch_of_columns(scratch, at + 2 * i, rows_of_patch, v, to + i, step_v)
            total = (size * length + lanes - 1) // lanes
            for done in range(0, filters, ROWS):
                for f in range(16):
                    at_u, i = f * step_u + done * channels, 0
                    while i < total:
                        vectors, at = _next(total - i), i * lanes
                        _multiply(vectors, u, at_u, ROWS, v, f * step_v + at, steps, m, f * step_m + at, room)
                        i += vectors
                for k in range(min(ROWS, filters - done)):
                    o = first + done + k
                    for b in range(size):
                        for i in range(0, length, lanes):
                            _unpatch(m, k * room + b * length + i, step_m, wide, 2 * i, 2 * room)
                        at, to = 0, (((n + b) * every + o) * rows + 2 * above) * columns
                        for p in range(2 * above, min(2 * (above + lines), rows)):
                            odd = p % 2
                            _move(wide, at + odd * 2 * room, 1, y, to, 1, columns, bias[o])
                            at, to = at + odd * width, to + columns


@simd.inner
def _turn(image, n, edge, width, out, beside):
    """Image n's channels side by side: to out[row + edge[0], column + edge[1]] in rows of `width` cells of `beside` elements.

    Up to a vector of cells behind each row, and `beside` up to whole vectors, are written, too: zeros, and channels again.
    """
    x, (_, every, rows, columns), first, channels = image
    lanes = BYTES // x.itemsize
    for h in range(rows):
        to = ((edge[0] + h) * width + edge[1]) * beside
        for c in range(0, channels, lanes):
            line = ((n * every + first + c) * rows + h) * columns
            last = min(lanes, channels - c) - 1
            for i in range(0, columns, lanes):
                _transpose(x, line + i, rows * columns, last, columns - i, out, to + i * beside + c, beside)


@simd.compiled
def winograd_weight(gradient, image, images, edge, rows_of_patch, steps, patches, beside, turned, v, w, tile, out):
    """The gradient of `winograd` by the weight, as ``G w G'`` has it: added to `out` (16, filters, channels).

    `beside` is (filters, channels), both up to whole vectors. `turned` is a pair of arrays, zeros, for a gradient and for an
    image with `edge` = (top, left) around it, and for what `_turn` writes behind, where the channels stand side by side. So
    they do in `w` (16, patches of some images and one more, filters) and `v`, where `steps` is where the patches are; `tile` is
    for ROWS by VECTORS vectors.
    """
    (wide_g, wide_x), (turned_g, turned_x), lanes = beside, turned, BYTES // tile.itemsize
    count, step_v, step_w = patches[0] * patches[1], len(v) // 16, len(w) // 16
    across_x, across_g = 2 * patches[1] + 2, 2 * patches[1]
    block = (step_v // wide_x - 1) // count
    for n in range(images[0], images[1], block):
        size = min(block, images[1] - n)
        t = 0
        for b in range(size):
            _turn(image, n + b, edge, across_x, turned_x, wide_x)
            _turn(gradient, n + b, (_NONE, _NONE), across_g, turned_g, wide_g)
            for p in range(0, 2 * patches[0], 2):
                for q in range(0, 2 * patches[1], 2):
                    at_x, at_g = (p * across_x + q) * wide_x, (p * across_g + q) * wide_g
                    for i in range(0, wide_x, lanes):
                        _patch_of_channels(turned_x, at_x + i, rows_of_patch, wide_x, v, t * wide_x + i, step_v)
                    for i in range(0, wide_g, lanes):
                        _spread(turned_g, at_g + i, wide_g, across_g * wide_g, w, t * wide_g + i, step_w)
                    t += 1
        taken = steps[:t]
        for f in range(16):
            at_w = f * step_w
            for o in range(0, wide_g, ROWS):
                for c in range(0, wide_x, VECTORS * lanes):
                    vectors = min(VECTORS, (wide_x - c) // lanes)
                    _multiply(vectors, w, at_w + o, wide_g, v, f * step_v + c, taken, tile, 0, VECTORS * lanes)
                    for m in range(ROWS):
                        _add(tile, m * VECTORS * lanes, out, (f * wide_g + o + m) * wide_x + c, vectors * lanes)
