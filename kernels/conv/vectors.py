"""Convolution's innermost loops as vectors of the processor's own width, which compilers do not find by themselves.

A tile of results stays in registers while all taps pass by: each vector of neighbouring windows that is loaded serves all
filters of the tile, and each weight all its vectors. `nnscratch.kernels.conv.direct` and `nnscratch.kernels.conv.winograd` say how
convolutions become such products. The machine code is kept on disk, as that of all compiled loops.
"""

import platform

import numpy as np

from .. import simd
from ..simd import BYTES

#: Filters in a tile: of 32 registers 24 hold sums, of 16 12.
ROWS = 8 if BYTES == 64 or platform.machine().lower() in ("aarch64", "arm64") else 4
#: Vectors in a tile.
VECTORS = 3
#: Rows in tiles of two vectors, and of twice as many as else: tiles with as many sums.
TALL, FLAT = ROWS * VECTORS // 2, ROWS // 2
#: Vectors in the longest tile.
MOST = 2 * VECTORS
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


def _products(rows, vectors, onto=False):
    """The kernel ``out[m, v] = sum over k of w[k, m] * x[offsets[k] + v]``: m of `rows`, v in `vectors` vectors.

    The rows of w are `step` elements apart, its columns `apart`; the vectors of x `apart_x`, the rows of `out` `row`. With `onto`
    the sums are added to `out`.
    """

    @simd.kernel
    def products(code, w, at_w, step, apart, x, at_x, apart_x, offsets, at_k, count, out, at_out, row):
        w, x, out = code.at(w, at_w), code.at(x, at_x), code.at(out, at_out)
        offsets = code.at(offsets, at_k)

        def body(k, sums):
            run, weights = code.at(x, code.builder.load(code.at(offsets, k))), code.at(w, code.multiply(k, step))
            values = [code.load(code.at(run, code.multiply(v, apart_x))) for v in range(vectors)]
            left = [code.fill(code.builder.load(code.at(weights, code.multiply(m, apart)))) for m in range(rows)]
            return _outer(code, left, values, sums)

        for i, s in enumerate(code.loop(count, [code.zero] * (rows * vectors), body)):
            place = code.at(out, code.multiply(row, i // vectors), i % vectors * code.lanes)
            code.store(code.builder.fadd(s, code.load(place)) if onto else s, place)

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
            planes = [code.at(g, code.multiply(n, image_g), code.multiply(plane, m)) for m in range(rows)]
            runs = [code.at(x, code.multiply(n, image_x), start) for start in starts]

            def body(v, sums):
                i = code.multiply(v, code.lanes)
                values = [code.load(code.at(run, i)) for run in runs]
                return _outer(code, [code.load(code.at(p, i)) for p in planes], values, sums)

            return code.loop(vectors, sums, body)

        for i, s in enumerate(code.loop(images, [code.zero] * (rows * taps), image)):
            place = code.at(out, code.multiply(row, i // taps), i % taps)
            code.builder.store(code.builder.fadd(code.builder.load(place), code.sum(s)), place)

    return dots


_tile_2, _tile_3, _flat = _products(ROWS, 2), _products(ROWS, VECTORS), _products(FLAT, MOST)
_tall_1, _tall_2 = (_products(TALL, v) for v in (1, 2))
_add_1, _add_2 = (_products(ROWS, v, onto=True) for v in (1, 2))
_tile_dots = _dots(ROWS, VECTORS)


@simd.kernel
def _transpose(code, source, at, step, last, count, target, to, across):
    """``target[i, k] = source[min(k, last), i]`` for a vector of i, 0 from `count` on, and one of k."""
    inside = code.first(count)
    starts = [code.at(source, at, code.multiply(code.minimum(last, k), step)) for k in range(code.lanes)]
    for i, column in enumerate(code.transpose([code.load_some(start, inside) for start in starts])):
        code.store(column, code.at(target, to, code.multiply(across, i)))


@simd.kernel
def _transpose_back(code, source, at, across, target, to, step, last, count):
    """``target[min(k, last), i] = source[i, k]`` for `count` i, at most a vector of them, and a vector of k from the last down."""
    inside = code.first(count)
    columns = code.transpose([code.load(code.at(source, at, code.multiply(across, i))) for i in range(code.lanes)])
    for k, column in reversed(list(enumerate(columns))):  # what stands at `last` too early is written over
        code.store_some(column, code.at(target, to, code.multiply(code.minimum(last, k), step)), inside)


@simd.kernel
def _clear(code, out, at, count):
    """``out[at + i] = 0`` for `count` i."""
    out = code.at(out, at)
    with code.builder.if_then(code.greater(count, 0)):
        code.pieces(count, lambda i, lanes: code.store_some(code.zero, code.at(out, i), lanes))


def _transposed(matrix):
    return tuple(zip(*matrix, strict=True))


def _square(vectors, size):
    """A list as rows of so many."""
    return [vectors[i : i + size] for i in range(0, len(vectors), size)]


def _places(code, pointer, size, across, down):
    """Where the cells of a square begin, row by row."""
    return [
        code.at(pointer, code.multiply(down, i), code.multiply(across, j)) for i in range(size) for j in range(size)
    ]


def _each_patch(code, count, depth, body):
    """``body(cell, patch, i)`` for a row of patches and each vector of `depth` channels.

    Patches begin two columns after each other: where in their row one's first cell is, where the patch in a row of patches, and
    where the vector in either.
    """

    def patch(q, nothing):
        def vector(k, nothing):
            i, at = code.multiply(k, code.lanes), code.multiply(q, depth)
            body(code.builder.add(code.multiply(at, 2), i), code.builder.add(at, i), i)
            return nothing

        return code.loop(code.builder.sdiv(depth, code.number(code.lanes)), nothing, vector)

    code.loop(count, [], patch)


def _to_patches(size, signs):
    """The kernel ``out[16] = signs d signs'`` of a row of `count` patches d of size by size cells, of `depth` channels each.

    Rows of cells are `down` elements apart, the 16 `step`.
    """

    @simd.kernel
    def to_patches(code, x, at_x, depth, down, count, out, at_out, step):
        x, out = code.at(x, at_x), code.at(out, at_out)

        def body(cell, patch, i):
            cells = [code.load(place) for place in _places(code, code.at(x, cell), size, depth, down)]
            for k, v in enumerate(code.both_ways(signs, _square(cells, size))):
                code.store(v, code.at(out, patch, code.multiply(step, k)))

        _each_patch(code, count, depth, body)

    return to_patches


def _from_patches(size, signs, onto):
    """The kernel ``d = signs m[16] signs'``, the other way round, and `bias`; with `onto` added to what the cells hold instead."""

    @simd.kernel
    def from_patches(code, m, at_m, step, count, bias, out, at_out, depth, down):
        m, out = code.at(m, at_m), code.at(out, at_out)

        def body(cell, patch, i):
            values = [code.load(code.at(m, patch, code.multiply(step, k))) for k in range(16)]
            places = _places(code, code.at(out, cell), size, depth, down)
            for place, v in zip(places, code.both_ways(signs, _square(values, 4)), strict=True):
                code.store(code.builder.fadd(v, code.load(place if onto else code.at(bias, i))), place)

        _each_patch(code, count, depth, body)

    return from_patches


_patch, _spread = _to_patches(4, WINOGRAD_B), _to_patches(2, _transposed(WINOGRAD_A))
_unpatch, _overlap = _from_patches(2, WINOGRAD_A, onto=False), _from_patches(4, _transposed(WINOGRAD_B), onto=True)


@simd.kernel
def _move(code, source, at, step, target, to, stride, count, plus):
    """``target[to + i * stride] = source[at + i * step] + plus`` for `count` i."""
    source, target = code.at(source, at), code.at(target, to)
    together = code.builder.and_(code.equal(step, 1), code.equal(stride, 1))

    def piece(i, lanes):
        values = code.load_some(code.at(source, i), lanes)
        code.store_some(code.builder.fadd(values, code.fill(plus)), code.at(target, i), lanes)

    def one(i, nothing):
        value = code.builder.load(code.at(source, code.multiply(i, step)))
        code.builder.store(code.builder.fadd(value, plus), code.at(target, code.multiply(i, stride)))
        return nothing

    with code.builder.if_then(code.greater(count, 0)), code.builder.if_else(together) as (then, otherwise):
        with then:
            code.pieces(count, piece)
        with otherwise:
            code.loop(count, [], one)


# The loops. An `image` is a tuple (elements, shape (N, C, H, W), first, channels): so many of its channels, from the first on.
# `images` is a pair (begin, end). A `layout` is (top, left, down, right, height, width): the padding before an image, the
# strides by which its rows and columns are divided, and the size of the planes that this makes of each channel. Arrays are flat.

_NONE, _ONE = np.int64(0), np.int64(1)  # literals would have functions compiled for themselves


@simd.inner
def _fill(image, n, layout, above, scratch, at, plane):
    """Rows of image n's planes, from `above` on, into scratch[at:], as planes (channels, down, right), `plane` elements apart."""
    x, (_, every, rows, columns), first, channels = image
    top, left, down, right, height, width = layout
    for c in range(channels):
        for a in range(down):
            for b in range(right):
                shift = (b - left) % right
                count = (columns - shift + right - 1) // right
                to = at + ((c * down + a) * right + b) * plane
                h = above * down + a - top
                for _ in range(height):
                    if 0 <= h < rows:
                        line = ((n * every + first + c) * rows + h) * columns + shift
                        _move(x, line, right, scratch, to + (left + shift) // right, 1, count, x.dtype.type(0))
                    else:
                        _clear(scratch, to, width)
                    h, to = h + down, to + width


@simd.compiled
def correlate(image, images, layout, strips, high, w, offsets, targets, result, bias, scratch, wide):
    """Every filter's sums over the taps, and its bias, into the channels of `result`.

    `targets` has a row (taps, rows, columns, row, row_step, column, column_step) for each part of the result: how many taps and how
    many windows there are, and where they are put; `offsets` has the taps of one part behind those of another. So has `w`, in
    blocks of `high` filters, ROWS or FLAT, each as (taps, filters of the block). `strips` is (rows of windows,
    those for which the planes are made at once, those whose results are computed at once): `scratch` has room for such planes and
    for MOST vectors more, all zeros, `wide` for such results of `high` filters and for MOST vectors more of each.
    """
    y, (_, every, tall, broad), first, filters = result
    height, width = layout[4:]
    lanes, room = BYTES // y.itemsize, len(wide) // high
    most, depth, strip = strips
    for n in range(images[0], images[1]):
        for top in range(0, most, depth):
            _fill(image, n, layout, top, scratch, _NONE, height * width)
            begin = at_w = 0
            for part in range(len(targets)):
                taps, rows, columns = targets[part, 0], targets[part, 1], targets[part, 2]
                row_step, column_step = targets[part, 4], targets[part, 6]
                corner = targets[part, 3] * broad + targets[part, 5]
                for above in range(top, min(top + depth, rows), strip):
                    lines = min(strip, min(top + depth, rows) - above)
                    length = (lines - 1) * width + columns
                    for done in range(0, filters, high):
                        at, i = at_w + done * taps, 0
                        while i < length:
                            left, at_x = length - i, (above - top) * width + i
                            if high == FLAT:
                                _flat(w, at, FLAT, 1, scratch, at_x, lanes, offsets, begin, taps, wide, i, room)
                                i += MOST * lanes
                            elif left <= 2 * lanes or 3 * lanes < left <= 4 * lanes:  # not 3 vectors and 1
                                _tile_2(w, at, ROWS, 1, scratch, at_x, lanes, offsets, begin, taps, wide, i, room)
                                i += 2 * lanes
                            else:
                                _tile_3(w, at, ROWS, 1, scratch, at_x, lanes, offsets, begin, taps, wide, i, room)
                                i += VECTORS * lanes
                        for m in range(min(high, filters - done)):
                            o = first + done + m
                            to = (n * every + o) * tall * broad + corner + above * row_step * broad
                            for p in range(lines):
                                _move(wide, m * room + p * width, 1, y, to, column_step, columns, bias[o])
                                to += row_step * broad
                begin, at_w = begin + taps, at_w + (filters + high - 1) // high * high * taps


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
            _fill(image, n + b, layout, _NONE, scratch, b * image_x, height * width)
            _fill(gradient, n + b, (_NONE, _NONE, _ONE, _ONE, rows, width), _NONE, gradients, b * image_g, plane)
        for i in range(0, plane, most):
            vectors = min(most, plane - i) // lanes
            for o in range(0, padded, ROWS):
                at_g = o * plane + i
                for k in range(0, taps, VECTORS):
                    at = o * taps + k
                    _tile_dots(gradients, at_g, plane, image_g, scratch, i, image_x, offsets, k, count, vectors, out, at, taps)  # fmt: skip


@simd.inner
def _to_channels_last(image, n, begin, count, left, width, out, depth):
    """Rows of image n, from `begin` on, with the channels side by side, into rows of `width` cells of `depth` elements.

    There are `left` cells before each; rows that the image does not have are zeros. Up to a vector of cells behind each row, and
    `depth` up to whole vectors, are written, too: zeros, and channels again.
    """
    x, (_, every, rows, columns), first, channels = image
    lanes, row = BYTES // x.itemsize, width * depth
    top = min(max(begin, 0), begin + count)
    bottom = max(min(begin + count, rows), top)
    _clear(out, 0, (top - begin) * row)
    for c in range(0, channels, lanes):
        last = min(lanes, channels - c) - 1
        for h in range(top, bottom):
            line, to = ((n * every + first + c) * rows + h) * columns, (h - begin) * row + left * depth + c
            for i in range(0, columns, lanes):
                _transpose(x, line + i, rows * columns, last, columns - i, out, to + i * depth, depth)
    _clear(out, (bottom - begin) * row, (begin + count - bottom) * row)


@simd.inner
def _from_channels_last(cells, depth, width, left, begin, count, result, n):
    """The other way round: `count` rows of cells to image n's rows from `begin` on, where it has them."""
    y, (_, every, rows, columns), first, channels = result
    lanes = BYTES // y.itemsize
    for c in range(0, channels, lanes):
        last = min(lanes, channels - c) - 1
        for h in range(max(begin, 0), min(begin + count, rows)):
            line, at = ((n * every + first + c) * rows + h) * columns, ((h - begin) * width + left) * depth + c
            for i in range(0, columns, lanes):
                there = min(lanes, columns - i)
                _transpose_back(cells, at + i * depth, depth, y, line + i, rows * columns, last, there)


@simd.compiled
def winograd(image, result, images, blocks, edge, patches, back, widths, u, steps, bias, scratch):
    """`correlate` for kernels of 3 by 3 one step apart, with 16 products for every 2 by 2 results instead of 36.

    With `back` its transpose: from the result's gradient as `image` to that by the image, without a bias. `edge` is (top, left),
    `patches` (rows, columns), `blocks` how many images, or rows of patches of one, are taken at once. `widths` is (channels of
    `image`, of `result`), both up to whole vectors: `scratch` is (cells, v, m, wide), where the channels stand side by side in
    the image's rows, zeros, in the patches (16, patches, channels) before and after the products, and in the result's rows. `u`
    (16, vectors of the result's channels, channels of `image`, a vector) has the weights as ``G w G'``; `steps` says where there
    each channel of `image` begins.
    """
    (wide_x, wide_y), (cells, v, m, wide) = widths, scratch
    step_u, step_v, step_m = len(u) // 16, len(v) // 16, len(m) // 16
    lanes, channels = BYTES // u.itemsize, len(steps)
    depth_u = channels * lanes
    over_x, over_y = (0, 2) if back else (2, 0)  # cells by which 4 by 4 patches reach over the next ones
    top_x, top_y = (_NONE, edge[0]) if back else (edge[0], _NONE)
    left_x, left_y = (_NONE, edge[1]) if back else (edge[1], _NONE)
    across_x, across_y = 2 * patches[1] + over_x, 2 * patches[1] + over_y
    down_x, down_y = across_x * wide_x, across_y * wide_y
    for n in range(images[0], images[1], blocks[0]):
        size = min(blocks[0], images[1] - n)
        for above in range(0, patches[0], blocks[1]):
            lines, t = min(blocks[1], patches[0] - above), 0
            for b in range(size):
                _to_channels_last(image, n + b, 2 * above - top_x, 2 * lines + over_x, left_x, across_x, cells, wide_x)
                for p in range(lines):
                    if back:
                        _spread(cells, 2 * p * down_x, wide_x, down_x, patches[1], v, t * wide_x, step_v)
                    else:
                        _patch(cells, 2 * p * down_x, wide_x, down_x, patches[1], v, t * wide_x, step_v)
                    t += patches[1]
            for f in range(16):
                for i in range(0, wide_y, 2 * lanes):
                    for r in range(0, t, TALL):
                        at_v, at_u, at_m = (
                            f * step_v + r * wide_x,
                            f * step_u + i * channels,
                            f * step_m + r * wide_y + i,
                        )
                        if i + lanes < wide_y:
                            _tall_2(v, at_v, 1, wide_x, u, at_u, depth_u, steps, 0, channels, m, at_m, wide_y)
                        else:
                            _tall_1(v, at_v, 1, wide_x, u, at_u, depth_u, steps, 0, channels, m, at_m, wide_y)
            t, first, last = 0, above == 0, above + lines == patches[0]
            for b in range(size):
                if back and first:
                    _clear(wide, 0, 2 * down_y)
                if back:
                    _clear(wide, 2 * down_y, 2 * lines * down_y)
                for p in range(lines):
                    if back:
                        _overlap(m, t * wide_y, step_m, patches[1], bias, wide, 2 * p * down_y, wide_y, down_y)
                    else:
                        _unpatch(m, t * wide_y, step_m, patches[1], bias, wide, 2 * p * down_y, wide_y, down_y)
                    t += patches[1]
                done = 2 * lines + (over_y if last else 0)
                _from_channels_last(wide, wide_y, across_y, left_y, 2 * above - top_y, done, result, n + b)
                if back and not last:  # the next patches are added to these two rows, too
                    _move(wide, 2 * lines * down_y, 1, wide, 0, 1, 2 * down_y, u.dtype.type(0))


@simd.compiled
def winograd_weight(gradient, image, images, blocks, edge, patches, widths, steps, scratch, out):
    """The gradient of `winograd` by the weight, as ``G w G'`` has it: added to `out` (16, filters, channels).

    `widths` is (filters, channels), `scratch` (cells of the gradient, cells of the image, patches of either), as there; `steps` says where
    each patch of an image is.
    """
    (wide_g, wide_x), (cells_g, cells_x, w, v) = widths, scratch
    step_w, step_v, lanes = len(w) // 16, len(v) // 16, BYTES // out.itemsize
    across_g, across_x = 2 * patches[1], 2 * patches[1] + 2
    down_g, down_x = across_g * wide_g, across_x * wide_x
    for n in range(images[0], images[1], blocks[0]):
        size = min(blocks[0], images[1] - n)
        for above in range(0, patches[0], blocks[1]):
            lines, t = min(blocks[1], patches[0] - above), 0
            for b in range(size):
                _to_channels_last(gradient, n + b, 2 * above, 2 * lines, _NONE, across_g, cells_g, wide_g)
                _to_channels_last(image, n + b, 2 * above - edge[0], 2 * lines + 2, edge[1], across_x, cells_x, wide_x)
                for p in range(lines):
                    _spread(cells_g, 2 * p * down_g, wide_g, down_g, patches[1], w, t * wide_g, step_w)
                    _patch(cells_x, 2 * p * down_x, wide_x, down_x, patches[1], v, t * wide_x, step_v)
                    t += patches[1]
            for f in range(16):
                for o in range(0, wide_g, ROWS):
                    for i in range(0, wide_x, 2 * lanes):
                        at_w, at_v, at = f * step_w + o, f * step_v + i, (f * wide_g + o) * wide_x + i
                        if i + lanes < wide_x:
                            _add_2(w, at_w, wide_g, 1, v, at_v, lanes, steps, 0, t, out, at, wide_x)
                        else:
                            _add_1(w, at_w, wide_g, 1, v, at_v, lanes, steps, 0, t, out, at, wide_x)
