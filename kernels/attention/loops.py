"""The exponentials of attention as loops on float32, compiled by Numba: what ``cpu.py`` does between two products.

A block of weights is there as rows side by side, one for each query; of causal attention row i of each head's `length` rows has
only its first keys. Scores become weights where they lie.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from .. import simd
from ..elementary import exponential_of

_compile = numba.njit(fastmath={"contract"}, cache=True, **simd.SETTINGS)
_sums = numba.njit(fastmath={"contract", "reassoc"}, cache=True, **simd.SETTINGS)


def _bitcast(to):
    @intrinsic
    def bitcast(typing, x):
        def generate(context, builder, signature, args):
            return builder.bitcast(args[0], ir.FloatType() if to is numba.float32 else ir.IntType(32))

        return to(x), generate

    return bitcast


_bits, _number = _bitcast(numba.int32), _bitcast(numba.float32)


@intrinsic
def _order(typing, x):
    """Whole numbers of 32 bits in the order of the float32 numbers that have these bits, and the other way round; nan is above all."""

    def generate(context, builder, signature, args):
        word = ir.IntType(32)
        sign = builder.ashr(args[0], word(31))
        return builder.xor(args[0], builder.and_(sign, word(0x7FFFFFFF)))

    return numba.int32(numba.int32), generate


@_compile
def _greatest(row):
    """The greatest of a row, as whole numbers: of these LLVM compares many at once."""
    most = _order(_bits(np.float32(-np.inf)))
    for i in range(row.size):
        one = _order(_bits(row[i]))
        most = one if one > most else most
    return _number(_order(most))


@_sums
def _total(row):
    total = np.float32(0)
    for i in range(row.size):
        total += row[i]
    return total


@_compile
def _exponentials_of(row, scale, shift):
    for i in range(row.size):
        row[i] = exponential_of(row[i] * scale - shift)


@_compile
def weigh(s, scale, length, first, logsumexp):
    """Replace scores, times a scale above 0, by weights; and the logarithm of the sum of each row's exponentials.

    Row i of a head has its first ``first + i + 1`` keys, where `first` is not negative, and 0 for the others.
    """
    for r in range(s.shape[0]):
        row = s[r]
        if first >= 0:
            row[first + r % length + 1 :] = 0
            row = row[: first + r % length + 1]
        greatest = _greatest(row) * scale
        greatest = greatest if greatest != -np.inf else np.float32(0)
        _exponentials_of(row, scale, greatest)
        total = _total(row)
        logsumexp[r] = math.log(total) + greatest
        each = 1 / total if total != 0 else np.float32(0)
        for i in range(row.size):
            row[i] *= each


@_compile
def _weights_and_slopes(row, slope, factor, scale, logsumexp, mean):
    for i in range(row.size):
        p = exponential_of(row[i] * factor - logsumexp)
        row[i] = p
        slope[i] = p * (slope[i] - mean) * scale


@_compile
def _dropped_weights_and_slopes(row, slope, kept, factor, scale, logsumexp, mean):
    for i in range(row.size):
        p = exponential_of(row[i] * factor - logsumexp)
        row[i] = p * kept[i]
        slope[i] = p * (slope[i] * kept[i] - mean) * scale


@_compile
def slopes(s, slope, kept, factor, scale, length, first, logsumexp, mean):
    """Replace scores, times a factor, by weights, times what dropout kept, and the gradients by weights by those by products.

    Without dropout `kept` has no rows. `first` is as in `weigh`.
    """
    for r in range(s.shape[0]):
        row, out = s[r], slope[r]
        if first >= 0:
            count = first + r % length + 1
            row[count:] = 0
            out[count:] = 0
            row, out = row[:count], out[:count]
        if kept.shape[0]:
            _dropped_weights_and_slopes(row, out, kept[r], factor, scale, logsumexp[r], mean[r])
        else:
            _weights_and_slopes(row, out, factor, scale, logsumexp[r], mean[r])


_WORD, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@_compile
def kept(out, start, least, factor, seed):
    """Numbers `start` on of dropout's mask, as ``dropout/definition.py`` has it: 0 where the random one is below `least`, else `factor`."""
    place, end = start // 4, start + out.size
    at = place * 4
    while at < end:
        x0, x1, x2, x3 = np.uint64(place) & _WORD, np.uint64(place) >> _HALF, np.uint64(0), np.uint64(0)
        k0, k1 = seed & _WORD, seed >> _HALF
        for _ in range(10):
            a, b = x0 * np.uint64(0xD2511F53), x2 * np.uint64(0xCD9E8D57)
            x0, x1, x2, x3 = (b >> _HALF) ^ x1 ^ k0, b & _WORD, (a >> _HALF) ^ x3 ^ k1, a & _WORD
            k0, k1 = (k0 + np.uint64(0x9E3779B9)) & _WORD, (k1 + np.uint64(0xBB67AE85)) & _WORD
        for word in (x0, x1, x2, x3):
            if start <= at < end:
                number = np.float32(word >> np.uint64(8)) * np.float32(2.0**-24)
                out[at - start] = factor if number >= least else np.float32(0)
            at += 1
        place += 1
