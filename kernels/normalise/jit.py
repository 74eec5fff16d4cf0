"""Normalisation as loops, compiled by Numba: what ``cpu.py`` does for large arrays.

An array is there flat, as if of shape (N, C, L): each of the C sets that are normalised, `begin` to `end` of them, is N runs
of L elements, so short that what was just read is still in the processor's cache when it is read again. Weights are
repeated: set c takes them from ``c * S`` on, S = L / inner of them, each for `inner` elements of a run.

Sums are taken in an order of LLVM's own choice, by which it has them in vectors of the array's own numbers; what `PIECE`
elements add up to goes into a sum in float64. Runs of one element, the columns of a matrix (N, C), are all taken side by side.
"""

import math

import numba
import numpy as np

from .. import simd
from ..elementary import Vector

PIECE = 1024

_compile = numba.njit(fastmath={"contract"}, cache=True, **simd.SETTINGS)
_inner = numba.njit(fastmath={"contract"}, no_cpython_wrapper=True, **simd.SETTINGS)
_sums = numba.njit(fastmath={"contract", "reassoc"}, cache=True, **simd.SETTINGS)


@_sums
def _total(x):
    total = 0.0
    for at in range(0, x.size, PIECE):
        piece, part = x[at : at + PIECE], x.dtype.type(0)
        for i in range(piece.size):
            part += piece[i]
        total += part
    return total


@_sums
def _spread(x, near):
    """The sums of x - near and of its square."""
    first = second = 0.0
    for at in range(0, x.size, PIECE):
        piece, part, square = x[at : at + PIECE], x.dtype.type(0), x.dtype.type(0)
        for i in range(piece.size):
            part += piece[i] - near
            square += (piece[i] - near) * (piece[i] - near)
        first += part
        second += square
    return first, second


@_sums
def _products(d, x, near):
    """The sums of d and of d (x - near)."""
    first = second = 0.0
    for at in range(0, x.size, PIECE):
        g, piece, part, product = d[at : at + PIECE], x[at : at + PIECE], x.dtype.type(0), x.dtype.type(0)
        for i in range(piece.size):
            part += g[i]
            product += g[i] * (piece[i] - near)
        first += part
        second += product
    return first, second


@_sums
def _weighted_products(d, weight, x, near):
    """The sums of d weight and of d weight (x - near)."""
    first = second = 0.0
    for at in range(0, x.size, PIECE):
        g, w, piece = d[at : at + PIECE], weight[at : at + PIECE], x[at : at + PIECE]
        part, product = x.dtype.type(0), x.dtype.type(0)
        for i in range(piece.size):
            part += g[i] * w[i]
            product += g[i] * w[i] * (piece[i] - near)
        first += part
        second += product
    return first, second


@_compile
def _moments(x, shape, c, centred):
    """The mean of a set in x's own numbers (0 where it is not wanted), what that lacks, and the mean square distance."""
    runs, sets, length = shape
    total = first = second = 0.0
    if centred:
        for n in range(runs):
            at = (n * sets + c) * length
            total += _total(x[at : at + length])
    near = x.dtype.type(total / (runs * length))
    for n in range(runs):
        at = (n * sets + c) * length
        sums = _spread(x[at : at + length], near)
        first += sums[0]
        second += sums[1]
    lack = first / (runs * length) if centred else 0.0
    return near, lack, second / (runs * length) - lack * lack


@_compile
def _scaled(x, mean, variance, eps):
    """What makes x̂ = (x - near) scale + shift: near is the mean in x's own numbers."""
    near, scale = x.dtype.type(mean), 1 / math.sqrt(variance + eps)
    return near, scale, (near - mean) * scale


@_compile
def standardize(x, shape, centred, eps, weight, bias, inner, y, mean, variance, begin, end):
    """y = x̂ weight + bias; and the mean and the variance of each set."""
    runs, sets, length = shape
    each, kind = length // inner, x.dtype.type
    for c in range(begin, end):
        near, lack, variance[c] = _moments(x, shape, c, centred)
        mean[c] = near + lack
        near, scale, shift = _scaled(x, mean[c], variance[c], eps)
        scale, shift = kind(scale), kind(shift)
        first = c * each % weight.size
        w, b = weight[first : first + each], bias[first : first + each]
        for n in range(runs):
            at = (n * sets + c) * length
            if inner == 1:
                source, target = x[at : at + length], y[at : at + length]
                for i in range(length):
                    target[i] = ((source[i] - near) * scale + shift) * w[i] + b[i]
            else:
                for j in range(each):
                    start = at + j * inner
                    source, target, by, to = x[start : start + inner], y[start : start + inner], w[j], b[j]
                    for i in range(inner):
                        target[i] = ((source[i] - near) * scale + shift) * by + to


def _finishing(gives, adds):
    """The kernel of what `gradients` does with a run, in one go, when the sums over its set are known.

    LLVM would have to look whether one of so many arrays overlaps another, and then does not make vectors of such a loop at all.
    """

    @simd.kernel
    def finish(code, d, x, weight, out, scales, shifts, at, length, near, by, more, slope, middle):
        near, by, more, slope, middle = (Vector(code.builder, code.fill(v)) for v in (near, by, more, slope, middle))

        def vector(i, lanes):
            def load(pointer):
                pointer = code.at(pointer, i)
                return Vector(code.builder, code.load(pointer) if lanes is None else code.load_some(pointer, lanes))

            def store(vector, pointer):
                pointer = code.at(pointer, i)
                code.store(vector.value, pointer) if lanes is None else code.store_some(vector.value, pointer, lanes)

            g, y = load(code.at(d, at)), (load(code.at(x, at)) - near) * by + more
            if gives:
                store((g * load(weight) - middle - y * slope) * by, code.at(out, at))
            if adds:
                store(load(scales) + g * y, scales)
                store(load(shifts) + g, shifts)

        code.vectors_and_rest(length, vector)

    return finish


_input_gradient, _add_products, _both = _finishing(True, False), _finishing(False, True), _finishing(True, True)


@_inner
def _gradients(d, x, shape, mean, variance, centred, eps, weight, inner, out, scales, shifts, begin, end):
    """out = scale (h - mean of h - x̂ mean of h x̂) for h = d weight, of a part of the sets; d x̂ and d are added to scales and shifts.

    The scales and shifts have one number for each weight. Where they, or out, have none they are not wanted.
    """
    runs, sets, length = shape
    each, count, kind = length // inner, runs * length, x.dtype.type
    for c in range(begin, end):
        near, scale, shift = _scaled(x, mean[c], variance[c], eps)
        by, more = kind(scale), kind(shift)
        first = c * each % weight.size
        w, s, t = weight[first : first + each], scales[first : first + each], shifts[first : first + each]
        total = product = 0.0
        for n in range(runs):
            at = (n * sets + c) * length
            if inner == 1:
                g, source = d[at : at + length], x[at : at + length]
                if out.size:
                    sums = _weighted_products(g, w, source, near)
                    total += sums[0]
                    product += sums[1]
            else:
                for j in range(each):
                    start = at + j * inner
                    sums = _products(d[start : start + inner], x[start : start + inner], near)
                    total += w[j] * sums[0]
                    product += w[j] * sums[1]
                    if scales.size:
                        s[j] += sums[1] * scale + sums[0] * shift
                        t[j] += sums[0]
        slope = kind((product * scale + total * shift) / count)
        middle = kind(total / count if centred else 0.0)
        for n in range(runs):
            at = (n * sets + c) * length
            if inner == 1 and out.size and scales.size:
                _both(d, x, w, out, s, t, at, length, near, by, more, slope, middle)
            elif inner == 1 and out.size:
                _input_gradient(d, x, w, out, s, t, at, length, near, by, more, slope, middle)
            elif inner == 1:
                _add_products(d, x, w, out, s, t, at, length, near, by, more, slope, middle)
            elif out.size:
                for j in range(each):
                    start, u = at + j * inner, w[j]
                    stop = start + inner
                    g, source, target = d[start:stop], x[start:stop], out[start:stop]
                    for i in range(inner):
                        target[i] = (g[i] * u - middle - ((source[i] - near) * by + more) * slope) * by


@_compile
def gradients(d, x, shape, mean, variance, centred, eps, weight, inner, out, scales, shifts, begin, end):
    """What `_gradients` gives for parts of the sets, `begin` to `end` of as many as there are rows of scales and of shifts."""
    parts, sets = scales.shape[0], shape[1]
    for i in range(begin, end):
        of = sets * i // parts, sets * (i + 1) // parts
        _gradients(d, x, shape, mean, variance, centred, eps, weight, inner, out, scales[i], shifts[i], *of)


@_compile
def _column_moments(x, shape, centred, begin, end):
    """What `_moments` gives, for all columns."""
    rows, columns, _ = shape
    near, first, second = np.zeros(end - begin, x.dtype), np.zeros(end - begin), np.zeros(end - begin)
    if centred:
        for n in range(rows):
            row = x[n * columns + begin : n * columns + end]
            for i in range(row.size):
                first[i] += row[i]
        for i in range(near.size):
            near[i] = first[i] / rows
            first[i] = 0
    for n in range(rows):
        row = x[n * columns + begin : n * columns + end]
        for i in range(row.size):
            difference = row[i] - near[i]
            first[i] += difference
            second[i] += difference * difference
    for i in range(near.size):
        first[i] = first[i] / rows if centred else 0.0
        second[i] = second[i] / rows - first[i] * first[i]
    return near, first, second


@_compile
def standardize_columns(x, shape, centred, eps, weight, bias, y, mean, variance, begin, end):
    """What `standardize` gives."""
    rows, columns, _ = shape
    near, lack, variance[begin:end] = _column_moments(x, shape, centred, begin, end)
    mean[begin:end] = near + lack
    scale, shift = np.empty_like(near), np.empty_like(near)
    for i in range(near.size):
        near[i], scale[i], shift[i] = _scaled(x, mean[begin + i], variance[begin + i], eps)
    w, b = weight[begin:end], bias[begin:end]
    for n in range(rows):
        source, target = x[n * columns + begin : n * columns + end], y[n * columns + begin : n * columns + end]
        for i in range(source.size):
            target[i] = ((source[i] - near[i]) * scale[i] + shift[i]) * w[i] + b[i]


@_compile
def column_gradients(d, x, shape, mean, variance, centred, eps, weight, out, scales, shifts, begin, end):
    """What `gradients` gives; the scales and shifts are in float64, and always wanted."""
    rows, columns, _ = shape
    near = mean[begin:end].astype(x.dtype)
    total, product = shifts[begin:end], scales[begin:end]
    for n in range(rows):
        g, source = d[n * columns + begin : n * columns + end], x[n * columns + begin : n * columns + end]
        for i in range(source.size):
            total[i] += g[i]
            product[i] += g[i] * (source[i] - near[i])
    scale, shift = np.empty_like(near), np.empty_like(near)
    slope, middle = np.empty_like(near), np.empty_like(near)
    w = weight[begin:end]
    for i in range(near.size):
        _, by, more = _scaled(x, mean[begin + i], variance[begin + i], eps)
        scale[i], shift[i] = by, more
        product[i] = product[i] * by + total[i] * more
        slope[i] = product[i] * w[i] / rows
        middle[i] = total[i] * w[i] / rows if centred else 0.0
    for n in range(rows if out.size else 0):
        at, to = n * columns + begin, n * columns + end
        g, source, target = d[at:to], x[at:to], out[at:to]
        for i in range(source.size):
            y = (source[i] - near[i]) * scale[i] + shift[i]
            target[i] = (g[i] * w[i] - middle[i] - y * slope[i]) * scale[i]
