"""The innermost loops of layers on codes of 8 bits, as vectors of the processor's own width.

Codes are widened to 16 bits, less their zero, and multiplied in pairs of neighbours, whose two products one instruction adds up in
32 bits: twice as many multiplications an instruction as float32 has, and none of the sums of 16 bits that quicker instructions
for 8 bits would overflow. A tile of results stays in registers while all pairs pass by. `nnscratch.kernels.quantise.cpu` says how images lie.
"""

import platform

import numpy as np
from llvmlite import ir

from .. import simd
from ..simd import BYTES, features

#: Results of a tile, in positions; and vectors of outputs: of 16 registers 12 hold sums.
ROWS, VECTORS = 6, 2
#: Outputs in a tile.
WIDE = VECTORS * BYTES // 4

_BYTE, _SHORT, _INT, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
_SUMS, _PAIRS = ir.VectorType(_INT, BYTES // 4), ir.VectorType(_SHORT, BYTES // 2)


def _instruction():
    """What LLVM calls the processor's instruction for products of pairs; None where it has none."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    names = {
        64: ("avx512bw", "llvm.x86.avx512.pmaddw.d.512"),
        32: ("avx2", "llvm.x86.avx2.pmadd.wd"),
        16: ("sse2", "llvm.x86.sse2.pmadd.wd"),
    }
    feature, name = names[BYTES]
    return name if features.get(feature, False) else None


INSTRUCTION = _instruction()


def _multiplied(code, a, b):
    """The sums of two products each, of neighbours among whole numbers of 16 bits."""
    if INSTRUCTION is not None:
        return code.builder.call(code.function(INSTRUCTION, _SUMS, [_PAIRS, _PAIRS]), [a, b])
    wide = ir.VectorType(_INT, BYTES // 2)
    products = code.builder.mul(code.builder.sext(a, wide), code.builder.sext(b, wide))
    undefined = ir.Constant(wide, ir.Undefined)
    even, odd = (code.shuffle(products, undefined, range(first, BYTES // 2, 2)) for first in (0, 1))
    return code.builder.add(even, odd)


def _products(rows):
    """The kernel ``out[m, v] = sum over k of x[starts[m] + offsets[k]] * w[k, v]``, each x and w a pair: m of `rows`, v in two vectors."""

    @simd.kernel
    def products(code, x, starts, at, offsets, count, w, at_w, out, to):
        runs = [code.at(x, code.builder.load(code.at(starts, at, m))) for m in range(rows)]
        w, out = code.at(w, at_w), code.at(out, to)

        def body(k, sums):
            offset, line = code.builder.load(code.at(offsets, k)), code.at(w, code.multiply(k, 2 * WIDE))
            right = [_load(code, code.at(line, v * BYTES // 2), _PAIRS, 2) for v in range(VECTORS)]
            after = []
            for m, run in enumerate(runs):
                pair = code.builder.bitcast(code.at(run, offset), _INT.as_pointer())
                left = code.builder.bitcast(_everywhere(code, code.builder.load(pair, align=2)), _PAIRS)
                terms = [_multiplied(code, left, b) for b in right]
                after += [code.builder.add(s, t) for s, t in zip(sums[m * VECTORS :], terms, strict=False)]
            return after

        zero = ir.Constant(_SUMS, [0] * (BYTES // 4))
        for i, s in enumerate(code.loop_if_any(count, [zero] * (rows * VECTORS), body)):
            _store(code, s, code.at(out, i * BYTES // 4), 4)

    return products


def _everywhere(code, pair):
    """A pair in all lanes of 32 bits."""
    one = code.builder.insert_element(ir.Constant(_SUMS, ir.Undefined), pair, _INT(0))
    return code.shuffle(one, ir.Constant(_SUMS, ir.Undefined), [0] * (BYTES // 4))


def _load(code, pointer, vector, align):
    return code.builder.load(code.builder.bitcast(pointer, vector.as_pointer()), align=align)


def _store(code, vector, pointer, align):
    code.builder.store(vector, code.builder.bitcast(pointer, vector.type.as_pointer()), align=align)


_several, _single = _products(ROWS), _products(1)


def _as_codes(code, y, zero, low):
    """Vectors of numbers as codes; nan gets the lowest one."""
    zero, low = (code.fill(code.builder.sitofp(n, _FLOAT)) for n in (zero, low))
    high = ir.Constant(code.vector, [127.0] * code.lanes)
    y = code.builder.call(code.function(f"llvm.rint.v{code.lanes}f32", code.vector, [code.vector]), [y])
    y = code.builder.fadd(y, zero)
    y = code.builder.select(code.builder.fcmp_ordered(">", y, low), y, low)
    y = code.builder.select(code.builder.fcmp_ordered("<", y, high), y, high)
    whole = code.builder.fptosi(y, ir.VectorType(_INT, code.lanes))
    return code.builder.trunc(whole, ir.VectorType(_BYTE, code.lanes))


def _put(code, codes, pointer, lanes):
    if lanes is None:
        _store(code, codes, pointer, 1)
    else:
        code.store_some(codes, pointer, lanes)


def _finish(rows):
    """The kernel ``y[to + i] = code of (sums[at + i] + bias[first + i]) * factor[first + i]`` for `count` i, of the greatest of `rows` sums."""

    @simd.kernel
    def finish(code, factor, sums, at, bias, first, zero, low, y, to, count):
        sums, bias, factor, y = code.at(sums, at), code.at(bias, first), code.at(factor, first), code.at(y, to)

        def body(i, lanes):
            whole, *others = (_load(code, code.at(sums, m * WIDE, i), _SUMS, 4) for m in range(rows))
            for other in others:
                whole = code.builder.select(code.builder.icmp_signed(">", other, whole), other, whole)
            whole = code.builder.add(whole, _load(code, code.at(bias, i), _SUMS, 4))
            numbers = code.builder.fmul(code.builder.sitofp(whole, code.vector), code.load(code.at(factor, i)))
            _put(code, _as_codes(code, numbers, zero, low), code.at(y, i), lanes)

        code.vectors_and_rest(count, body)

    return finish


_finish_one, _finish_four = _finish(1), _finish(4)


@simd.kernel
def _encode(code, x, at, scale, zero, low, y, count):
    """``y[at + i] = code of x[at + i] / scale[0]`` for `count` i."""
    x, y, scale = code.at(x, at), code.at(y, at), code.fill(code.builder.load(scale))

    def body(i, lanes):
        numbers = code.load(code.at(x, i)) if lanes is None else code.load_some(code.at(x, i), lanes)
        _put(code, _as_codes(code, code.builder.fdiv(numbers, scale), zero, low), code.at(y, i), lanes)

    code.vectors_and_rest(count, body)


@simd.kernel
def _widen(code, out, to, x, at, zero, count):
    """``out[to + i] = x[at + i] - zero`` in 16 bits for `count` i, which fill a vector at least."""
    out, x, narrow = code.at(out, to), code.at(x, at), ir.VectorType(_BYTE, BYTES // 2)
    zero = code.fill(code.builder.trunc(zero, _SHORT))

    def body(i):
        wide = code.builder.sext(_load(code, code.at(x, i), narrow, 1), _PAIRS)
        _store(code, code.builder.sub(wide, zero), code.at(out, i), 2)

    code.vectors(count, body)


# The loops. Arrays are flat, and images have their channels side by side.


@simd.inner
def _fill(x, n, size, padded, edges, zero, scratch):
    """An image's codes in 16 bits, less their zero, into the middle of scratch, around which there are zeros."""
    height, width, channels = size
    long = width * channels
    for h in range(height):
        to, at = ((h + edges[0]) * padded + edges[1]) * channels, (n * height + h) * long
        if long >= BYTES // 2:
            _widen(scratch, to, x, at, zero, long)
        else:
            for i in range(long):
                scratch[to + i] = x[at + i] - zero


@simd.inner
def _tile(scratch, places, p, window, weight, block, out):
    """The sums of some whole windows of positions into `out`; where they begin, and how many positions they have."""
    starts, offsets = places
    count, at_w = len(offsets), block * len(offsets) * 2 * WIDE
    rows = ROWS if window == 1 else 2 * ROWS
    if len(starts) < rows:
        for m in range(window):
            _single(scratch, starts, p + m, offsets, count, weight, at_w, out, m * WIDE)
        return p, window
    at = min(p, len(starts) - rows)
    for m in range(0, rows, ROWS):
        _several(scratch, starts, at + m, offsets, count, weight, at_w, out, m * WIDE)
    return at, rows


@simd.compiled
def codes(
    x, images, size, padded, edges, x_zero, places, window, weight, filters, bias, factor, zero, low, scratch, out, y
):
    """A layer's codes for the images from `images[0]` up to `images[1]`: y (N, positions / window, filters).

    `size` is (height, width, channels), `padded` the width with padding, `edges` (top, left); `places` the pair (starts, offsets): where
    in scratch each position begins, and how far from there each pair of its terms is. Of every `window` positions, 1 or 4, the greatest is
    kept. `weight` has blocks of WIDE outputs, each (pairs, WIDE, 2), `bias` and `factor` as many outputs; `out` is room for two tiles.
    """
    positions = len(places[0])
    for n in range(images[0], images[1]):
        _fill(x, n, size, padded, edges, x_zero, scratch)
        for block in range(-(-filters // WIDE)):
            first, p = block * WIDE, np.int64(0)
            left = min(WIDE, filters - first)
            while p < positions:
                at, rows = _tile(scratch, places, p, window, weight, block, out)
                for m in range(0, rows, window):
                    to = (n * positions + at + m) // window * filters + first
                    if window == 1:
                        _finish_one(factor, out, m * WIDE, bias, first, zero, low, y, to, left)
                    else:
                        _finish_four(factor, out, m * WIDE, bias, first, zero, low, y, to, left)
                p = at + rows


@simd.compiled
def sums(x, images, size, padded, edges, x_zero, places, weight, filters, bias, scratch, out, y):
    """The same without the end: y (N, positions, filters) has the sums with their biases, as whole numbers of 32 bits."""
    positions = len(places[0])
    for n in range(images[0], images[1]):
        _fill(x, n, size, padded, edges, x_zero, scratch)
        for block in range(-(-filters // WIDE)):
            first, p = block * WIDE, np.int64(0)
            left = min(WIDE, filters - first)
            while p < positions:
                at, rows = _tile(scratch, places, p, 1, weight, block, out)
                for m in range(rows):
                    to = (n * positions + at + m) * filters + first
                    for i in range(left):
                        y[to + i] = out[m * WIDE + i] + bias[first + i]
                p = at + rows


@simd.compiled
def encode(x, begin, end, scale, zero, y):
    """``y = codes of x / scale[0]`` from `begin` up to `end`."""
    _encode(x, begin, scale, zero, -128, y, end - begin)
