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

#: Filters in a tile, and in the last where no more are left: of 32 registers 24 hold sums, of 16 12.
ROWS, FEW = (8, 4) if BYTES == 64 or platform.machine().lower() in ("aarch64", "arm64") else (4, 2)
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


_many_1, _many_2, _many_3 = (_products(ROWS, v) for v in (1, 2, 3))
_few_1, _few_2, _few_3 = (_products(FEW, v) for v in (1, 2, 3))
_many_dots, _few_dots = _dots(ROWS, VECTORS), _dots(FEW, VECTORS)


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
def _copy(code, source, at, target, to, count, plus):
    """``target[to + i] = source[at + i] + plus`` for `count` i, at least 1."""
    source, target, plus = code.at(source, at), code.at(target, to), code.fill(plus)

    def piece(i, lanes):
        values = code.load_some(code.at(source, i), lanes)
        code.store_some(code.builder.fadd(values, plus), code.at(target, i), lanes)

    code.pieces(count, piece)


@simd.compiled
def _move(source, at, step, target, to, stride, count, plus):
    """``target[to + i * stride] = source[at + i * step] + plus`` for `count` i."""
    if count <= 0:
        return
    if step == 1 and stride == 1:
        _copy(source, at, target, to, count, plus)
    else:  # indices without a sign are not looked at
        at, to, step, stride = np.uint64(at), np.uint64(to), np.uint64(step), np.uint64(stride)
        for i in range(np.uint64(count)):
            target[to + i * stride] = source[at + i * step] + plus


@simd.compiled
def _fill(x, n, first, channels, top, left, down, right, height, width, scratch, at, plane):
    """Image n's channels from `first` on into scratch[at:], as (channels, down, right) planes of (height, width)."""
    every, rows, columns = x.shape[1:]
    source, zero = x.reshape(-1), x.dtype.type(0)
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
                    _move(source, line, right, scratch, to, 1, count, zero)
                    line, to = line + down * columns, to + width


@numba.njit(inline="always")
def _multiply(many, vectors, w, at_w, step, x, at_x, offsets, out, at_out, row):
    """One tile of products."""
    taps = len(offsets)
    if many and vectors == 3:
        _many_3(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif many and vectors == 2:
        _many_2(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif many:
        _many_1(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif vectors == 3:
        _few_3(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif vectors == 2:
        _few_2(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    else:
        _few_1(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)


@simd.compiled
def correlate(
    x, begin, end, first, channels, source, w, offsets, bias, y, first_filter, filters, target, scratch, wide
):
    """Every filter's sums over the taps of the images `begin` to `end` of x, and its bias, into y.

    Of x the `channels` from `first` on are taken, of y the `filters` from `first_filter` on are written. `source` is
    (top, left, down, right, height, width) for `_fill`. `target` is (rows, columns, row, row_step, column, column_step): how
    many windows there are, and where in y they are put. `w` holds blocks of `ROWS` filters, and one of `FEW` where that
    is enough at the end, as (taps, filters of the block). `scratch` has room for the planes and a tile's length more, all
    zeros, and `wide` (`ROWS`, any length) for so many rows of windows as are taken at once and a
    vector more.
    """
    top, left, down, right, height, width = source
    rows, columns, row, row_step, column, column_step = target
    results, sums, taps = y.reshape(-1), wide.reshape(-1), len(offsets)
    lanes = BYTES // x.itemsize
    strip = (wide.shape[1] - lanes) // width
    for n in range(begin, end):
        _fill(x, n, first, channels, top, left, down, right, height, width, scratch, 0, height * width)
        for above in range(0, rows, strip):
            lines = min(strip, rows - above)
            length = (lines - 1) * width + columns
            for done in range(0, filters, ROWS):
                many = filters - done > FEW
                step = ROWS if many else FEW
                for i in range(0, length, VECTORS * lanes):
                    vectors, at = min(VECTORS, (length - i + lanes - 1) // lanes), above * width + i
                    _multiply(many, vectors, w, done * taps, step, scratch, at, offsets, sums, i, wide.shape[1])
                for m in range(min(ROWS, filters - done)):
                    o = first_filter + done + m
                    for p in range(lines):
                        to = ((n * y.shape[1] + o) * y.shape[2] + row + (above + p) * row_step) * y.shape[3] + column
                        _move(sums, m * wide.shape[1] + p * width, 1, results, to, column_step, columns, bias[o])


@simd.compiled
def correlate_weight(
    g, x, begin, end, first, channels, source, offsets, first_filter, filters, block, gradients, scratch, out
):
    """For each filter and tap the sum over the windows of the images `begin` to `end` of g times x, added to `out`.

    `block` images are taken at once, for which there is room in `scratch` and, for filters up to a multiple of `FEW`
    and rows as far apart as in the scratch, in `gradients`: zeros. `out` (filters up to that multiple, taps) has
    a multiple of `VECTORS` taps.
    """
    top, left, down, right, height, width = source
    rows = g.shape[2]
    padded, taps = out.shape
    sums = out.reshape(-1)
    plane, image_g = len(gradients) // (block * padded), len(gradients) // block
    image_x = channels * down * right * height * width
    lanes = BYTES // g.itemsize
    most = max(1, CHUNK // block) * lanes
    for n in range(begin, end, block):
        count = min(block, end - n)
        for b in range(count):
            _fill(
                x, n + b, first, channels, top, left, down, right, height, width, scratch, b * image_x, height * width
            )
            _fill(g, n + b, first_filter, filters, 0, 0, 1, 1, rows, width, gradients, b * image_g, plane)
        for i in range(0, plane, most):
            vectors = min(most, plane - i) // lanes
            for o in range(0, padded, ROWS):
                for k in range(0, taps, VECTORS):
                    at_g, at_out = o * plane + i, o * taps + k
                    if padded - o > FEW:
                        _many_dots(
                            gradients,
                            at_g,
                            plane,
                            image_g,
                            scratch,
                            i,
                            image_x,
                            offsets,
                            k,
                            count,
                            vectors,
                            sums,
                            at_out,
                            taps,
                        )
                    else:
                        _few_dots(
                            gradients,
                            at_g,
                            plane,
                            image_g,
                            scratch,
                            i,
                            image_x,
                            offsets,
                            k,
                            count,
                            vectors,
                            sums,
                            at_out,
                            taps,
                        )


@simd.compiled
def winograd(
    x,
    begin,
    end,
    first,
    channels,
    source,
    offsets,
    u,
    steps,
    bias,
    y,
    first_filter,
    filters,
    patches,
    room,
    scratch,
    v,
    m,
    wide,
):
    """`correlate` for kernels of 3 by 3 one step apart, with 16 products for every 2 by 2 results instead of 36.

    `source` divides rows into even and odd ones, `offsets` has the rows of a channel's first patch, `u`
    (16, blocks of filters) the weights as ``G w G'`` in blocks as in `correlate`, `steps` where each channel's patches are in
    v, and `patches` is (rows, columns) of them. `v` (16, channels times any `room`), `m` (16, ROWS times that) and `wide` (ROWS, 4 times that)
    are for so many rows of patches as are taken at once; longer ones keep the 16 out of each other's way in the cache.
    """
    top, left, down, right, height, width = source
    patch_rows, patch_columns = patches
    rows, columns = y.shape[2:]
    results, lanes, step_v, step_m = y.reshape(-1), BYTES // x.itemsize, v.shape[1], m.shape[1]
    flat_u, flat_v, flat_m, flat_wide = u.reshape(-1), v.reshape(-1), m.reshape(-1), wide.reshape(-1)
    strip = (room - patch_columns) * 2 // width + 1
    for n in range(begin, end):
        _fill(x, n, first, channels, top, left, down, right, height, width, scratch, 0, height * width)
        for above in range(0, patch_rows, strip):
            lines = min(strip, patch_rows - above)
            length = (lines - 1) * (width // 2) + patch_columns
            for c in range(channels):
                for i in range(0, length, lanes):
                    at = 2 * c * height * width + above * width + 2 * i
                    _patch_of_columns(scratch, at, offsets, flat_v, c * room + i, step_v)
            for done in range(0, filters, ROWS):
                many = filters - done > FEW
                step = ROWS if many else FEW
                for f in range(16):
                    at_u, at_v, at_m = f * u.shape[1] + done * channels, f * step_v, f * step_m
                    for i in range(0, length, VECTORS * lanes):
                        vectors = min(VECTORS, (length - i + lanes - 1) // lanes)
                        _multiply(many, vectors, flat_u, at_u, step, flat_v, at_v + i, steps, flat_m, at_m + i, room)
                for k in range(min(ROWS, filters - done)):
                    o = first_filter + done + k
                    for i in range(0, length, lanes):
                        _unpatch(flat_m, k * room + i, step_m, flat_wide, k * 4 * room + 2 * i, 2 * room)
                    at, to = k * 4 * room, ((n * y.shape[1] + o) * rows + 2 * above) * columns
                    for p in range(2 * above, min(2 * (above + lines), rows), 2):
                        _move(flat_wide, at, 1, results, to, 1, columns, bias[o])
                        if p + 1 < rows:
                            _move(flat_wide, at + 2 * room, 1, results, to + columns, 1, columns, bias[o])
                        at, to = at + width, to + 2 * columns


@simd.compiled
def _turn(x, n, first, channels, top, left, width, out, beside):
    """Image n's channels from `first` on side by side: to out[row + top, column + left] in rows of `width` cells of `beside`."""
    every, rows, columns = x.shape[1:]
    source, zero = x.reshape(-1), x.dtype.type(0)
    for h in range(rows):
        to = ((top + h) * width + left) * beside
        for c in range(channels):
            _move(source, ((n * every + first + c) * rows + h) * columns, 1, out, to + c, beside, columns, zero)


@simd.compiled
def winograd_weight(
    g,
    x,
    begin,
    end,
    first,
    channels,
    edge,
    offsets,
    steps,
    first_filter,
    filters,
    patches,
    turned_x,
    turned_g,
    v,
    w,
    tile,
    out,
):
    """The gradient of `winograd` by the weight, as ``G w G'`` has it: added to `out` (16, filters, channels), each up to whole vectors.

    Of an image (`turned_x`, zeros, with `edge` = (top, left) around it) and of its result's gradient (`turned_g`) the channels
    stand side by side, and so they do in `v` (16, patches of some images and one more, channels) and `w` (16, those patches, filters).
    """
    patch_rows, patch_columns = patches
    count, wide_x, wide_g = patch_rows * patch_columns, v.shape[2], w.shape[2]
    across_x, across_g = 2 * patch_columns + 2, 2 * patch_columns
    block, lanes = (v.shape[1] - 1) // count, BYTES // x.itemsize
    flat_v, flat_w, flat_tile = v.reshape(-1), w.reshape(-1), tile.reshape(-1)
    sums = out.reshape(-1)
    for n in range(begin, end, block):
        images = min(block, end - n)
        for b in range(images):
            _turn(x, n + b, first, channels, edge[0], edge[1], across_x, turned_x, wide_x)
            _turn(g, n + b, first_filter, filters, 0, 0, across_g, turned_g, wide_g)
            for p in range(patch_rows):
                for q in range(patch_columns):
                    t = b * count + p * patch_columns + q
                    for i in range(0, wide_x, lanes):
                        at = (2 * p * across_x + 2 * q) * wide_x + i
                        _patch_of_channels(turned_x, at, offsets, wide_x, flat_v, t * wide_x + i, v.shape[1] * wide_x)
                    for i in range(0, wide_g, lanes):
                        at = (2 * p * across_g + 2 * q) * wide_g + i
                        _spread(turned_g, at, wide_g, across_g * wide_g, flat_w, t * wide_g + i, w.shape[1] * wide_g)
        taken = steps[: images * count]
        for f in range(16):
            for o in range(0, wide_g, ROWS):
                at_w = f * w.shape[1] * wide_g + o
                for c in range(0, wide_x, VECTORS * lanes):
                    at_v = f * v.shape[1] * wide_x + c
                    vectors = min(VECTORS, (wide_x - c) // lanes)
                    _multiply(True, vectors, flat_w, at_w, wide_g, flat_v, at_v, taken, flat_tile, 0, VECTORS * lanes)
                    for m in range(ROWS):
                        to = np.uint64((f * wide_g + o + m) * wide_x + c)
                        for i in range(np.uint64(vectors * lanes)):
                            sums[to + i] += flat_tile[np.uint64(m * VECTORS * lanes) + i]
