"""The loops of `nnscratch.kernels.conv.depthwise`, compiled by Numba.

Arrays are flat. A plane is a channel of an image; planes are numbered image by image. In `scratch` one stands with its padding
(zeros from the start, which stay) as `layout` has it: (top, left, height, width), its first cell and the size with all padding.
"""

import numpy as np

from .. import simd
from ..simd import BYTES

#: Rows of a tile of results, one vector wide: 8 sums and a weight fit 16 registers.
ROWS = 8
#: Taps whose sums are taken at once for the gradient by the weight: all of the commonest kernel.
TAPS = 9


@simd.kernel
def _tile(code, w, at_w, x, at_x, width, offsets, taps, bias, out, at_out, step, last, count):
    """``out[r * step + i] = bias + sum over k of w[k] * x[offsets[k] + r * width + i]``: r up to `last`, `count` i, a vector at most."""
    w, x, out = code.at(w, at_w), code.at(x, at_x), code.at(out, at_out)
    rows = [code.minimum(r, last) for r in range(ROWS)]  # what is done twice has the same result
    starts = [code.at(x, code.multiply(row, width)) for row in rows]

    def body(k, sums):
        weight, offset = code.fill(code.builder.load(code.at(w, k))), code.builder.load(code.at(offsets, k))
        return [code.fma(weight, code.load(code.at(x, offset)), s) for x, s in zip(starts, sums, strict=True)]

    sums = code.loop(taps, [code.fill(bias)] * ROWS, body)
    places = [code.at(out, code.multiply(row, step)) for row in rows]
    with code.builder.if_else(code.greater(code.lanes, count)) as (some, whole):
        with some:
            for s, place in zip(sums, places, strict=True):
                code.store_some(s, place, code.first(count))
        with whole:
            for s, place in zip(sums, places, strict=True):
                code.store(s, place)


def _tap_sums(whole):
    """The kernel ``out[k] += sum over r of g[r * step + i] * x[offsets[k] + r * width + i]``, vectors of i, for TAPS k.

    All of its i where they are a `whole` vector, else the first `count`: nothing beside them is looked at, which could be infinite.
    """

    @simd.kernel
    def tap_sums(code, g, at_g, step, x, at_x, width, offsets, at_k, rows, count, out, at_out):
        g, x, out, offsets = code.at(g, at_g), code.at(x, at_x), code.at(out, at_out), code.at(offsets, at_k)
        lanes = None if whole else code.first(count)

        def load(place):
            return code.load(place) if whole else code.load_some(place, lanes)

        starts = [code.at(x, code.builder.load(code.at(offsets, k))) for k in range(TAPS)]

        def body(r, sums):
            gradient, down = load(code.at(g, code.multiply(r, step))), code.multiply(r, width)
            return [code.fma(gradient, load(code.at(x, down)), s) for x, s in zip(starts, sums, strict=True)]

        places = [code.at(out, k * code.lanes) for k in range(TAPS)]
        for s, place in zip(code.loop(rows, [code.load(place) for place in places], body), places, strict=True):
            code.store(s, place)

    return tap_sums


_whole_sums, _some_sums = _tap_sums(True), _tap_sums(False)


@simd.kernel
def _copy_every(code, x, at, step, out, to, stride, count):
    """``out[to + i * stride] = x[at + i * step]`` for `count` i."""
    x, out = code.at(x, at), code.at(out, to)

    def one(i, nothing):
        value = code.builder.load(code.at(x, code.multiply(i, step)))
        code.builder.store(value, code.at(out, code.multiply(i, stride)))
        return nothing

    with code.builder.if_then(code.greater(count, 0)):
        code.loop(count, [], one)


@simd.kernel
def _copy_halves(code, x, at, out, to_even, to_odd, count):
    """``out[to_even + i], out[to_odd + i] = x[at + 2 * i], x[at + 2 * i + 1]`` for `count` i."""
    x, even, odd = code.at(x, at), code.at(out, to_even), code.at(out, to_odd)

    def vector(i, lanes):
        start = code.at(x, code.multiply(i, 2))
        if lanes is None:
            pair = code.separate(code.load(start), code.load(code.at(start, code.lanes)))
            for half, vector in zip((even, odd), pair, strict=True):
                code.store(vector, code.at(half, i))
        else:
            left = code.multiply(code.builder.sub(count, i), 2)
            second = code.first(code.builder.sub(left, code.number(code.lanes)))
            pair = code.separate(
                code.load_some(start, code.first(left)), code.load_some(code.at(start, code.lanes), second)
            )
            for half, vector in zip((even, odd), pair, strict=True):
                code.store_some(vector, code.at(half, i), lanes)

    code.vectors_and_rest(count, vector)


@simd.inner
def _lay_out(x, plane, size, stride, layout, scratch):
    """A plane of x into `scratch`, where every stride-th row and column stand together, as so many arrays of the layout's size."""
    rows, columns = size
    top, left, height, width = layout
    down, right = stride
    row, phase = top, 0
    for h in range(rows):
        at, to = (plane * rows + h) * columns, (phase * right * height + row) * width + left
        if right == 1:
            simd.copy(x, at, scratch, to, columns)
        elif right == 2:
            pairs = columns // 2
            _copy_halves(x, at, scratch, to, to + height * width, pairs)
            _copy_every(x, at + 2 * pairs, 1, scratch, to + pairs, 1, columns - 2 * pairs)
        else:
            for first in range(right):
                _copy_every(x, at + first, right, scratch, to, 1, (columns - first + right - 1) // right)
                to += height * width
        phase += 1
        if phase == down:
            row, phase = row + 1, 0


@simd.compiled
def correlate(x, begin, end, size, stride, layout, w, offsets, each, bias, y, windows, scratch):
    """The planes `begin` to `end` of x with the taps of `each` filters of w for a channel, as planes of y."""
    rows, columns = windows
    width, taps, filters, lanes = layout[3], offsets.size, bias.size, BYTES // y.itemsize
    for plane in range(begin, end):
        _lay_out(x, plane, size, stride, layout, scratch)
        for result in range(plane * each, (plane + 1) * each):
            o, at = result % filters, result * rows * columns
            for p in range(0, rows, ROWS):
                last = min(ROWS, rows - p) - 1
                for i in range(0, columns, lanes):
                    to = at + p * columns + i
                    _tile(w, o * taps, scratch, p * width + i, width, offsets, taps, bias[o], y, to, columns, last, columns - i)  # fmt: skip


@simd.compiled
def correlate_input(g, begin, end, windows, stride, layout, w, offsets, each, dx, size, channels, scratch):
    """The planes `begin` to `end` of the gradient by the input: the taps of w with the gradient, spread out by the stride."""
    rows, columns = size
    (top, left, height, width), (down, right) = layout, stride
    taps, lanes, zero = offsets.size, BYTES // g.itemsize, g.dtype.type(0)
    for plane in range(begin, end):
        for j in range(each):
            for p in range(windows[0]):
                at = ((plane * each + j) * windows[0] + p) * windows[1]
                to = (j * height + top + p * down) * width + left
                if right == 1:
                    simd.copy(g, at, scratch, to, windows[1])
                else:
                    _copy_every(g, at, 1, scratch, to, right, windows[1])
        at_w = plane % channels * taps
        for p in range(0, rows, ROWS):
            last = min(ROWS, rows - p) - 1
            for i in range(0, columns, lanes):
                to = (plane * rows + p) * columns + i
                _tile(w, at_w, scratch, p * width + i, width, offsets, taps, zero, dx, to, columns, last, columns - i)


@simd.compiled
def correlate_weight(g, windows, x, begin, end, size, stride, layout, offsets, each, bounds, dw, scratch):
    """The gradient by the weight of the channels `begin` to `end`, of `each` filters: dw (filters, taps).

    The images of a part, from one of `bounds` to the next, are added up in vectors, the parts in float64. `offsets` are those of the taps
    up to a multiple of TAPS.
    """
    (rows, columns), width, parts, padded = windows, layout[3], bounds.size - 1, offsets.size
    filters, taps = dw.shape
    lanes, channels = BYTES // g.itemsize, filters // each
    sums = np.empty(each * parts * padded * lanes, g.dtype)
    for c in range(begin, end):
        sums[:] = 0
        for part in range(parts):
            for n in range(bounds[part], bounds[part + 1]):
                _lay_out(x, n * channels + c, size, stride, layout, scratch)
                for j in range(each):
                    at = ((n * channels + c) * each + j) * rows * columns
                    for k in range(0, padded, TAPS):
                        to = ((j * parts + part) * padded + k) * lanes
                        for i in range(0, columns, lanes):
                            if columns - i < lanes:
                                _some_sums(g, at + i, columns, scratch, i, width, offsets, k, rows, columns - i, sums, to)  # fmt: skip
                            else:
                                _whole_sums(g, at + i, columns, scratch, i, width, offsets, k, rows, lanes, sums, to)
        for j in range(each):
            for k in range(taps):
                total = 0.0
                for part in range(parts):
                    at = ((j * parts + part) * padded + k) * lanes
                    for lane in range(lanes):
                        total += sums[at + lane]
                dw[c * each + j, k] = total
