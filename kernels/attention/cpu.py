"""Attention on the CPU, a block of weights at a time: arguments and results are those of `nnscratch.kernels.attention.definition`.

Why it is fast: a block is some queries with all keys that they may attend to, or small matrices of weights of several heads, few
enough that they stay in the processor's cache between the products (BLAS) and the exponentials. The backward pass computes the
weights of a block again, from the logarithms of the sums that were kept. So memory grows with the length, not with its square.
"""

import itertools
import math

import numpy as np

from .. import blas, compiled, threads
from ..dropout.definition import mask as dropout_mask
from . import definition
from .definition import transposed

#: Weights in a block.
BLOCK = 1 << 17
#: Keys from which on they are copied to be multiplied.
LONG = 128
#: Queries of a block are a multiple of this, where there are so many.
ROWS = 16


class Heads:
    """The arguments of both kernels with their leading axes broadcast, and the blocks that the weights are divided into."""

    def __init__(self, query, key, value, mask, scale, causal, dropout, seed):
        self.scale, self.causal, self.dropout = scale, causal, dropout
        self.seed, self.first = seed & (1 << 64) - 1, seed >> 64
        self.dtype = query.dtype
        self.shapes = query.shape, key.shape, value.shape
        query, key, value, mask = definition.wide(query, key, value, mask)
        self.queries, self.keys = query.shape[-2], key.shape[-2]
        within = () if mask is None else mask.shape[:-2]
        self.leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2], within)
        self.query, self.key, self.value = map(self.whole, (query, key, value))
        #: The compiled loops, where there is enough to do for them; their numbers are float32.
        self.loops = None
        if self.weights >= compiled.LEAST and query.dtype == np.float32 and scale > 0:
            self.loops = compiled.module_for("attention.loops", query.dtype)
        self.mask = None if mask is None else np.broadcast_to(mask, (*self.leading, self.queries, self.keys))

    def whole(self, x):
        """An array with all leading axes."""
        return np.broadcast_to(x, (*self.leading, *x.shape[-2:]))

    @property
    def weights(self):
        """How many there are."""
        return math.prod(self.leading) * self.queries * self.keys

    @property
    def heads(self):
        """Indices of leading axes, each of one head or of as many in turn as make up a block."""
        each = max(1, self.queries * self.keys)
        several = max(1, BLOCK // each)
        axis = len(self.leading)
        while axis and math.prod(self.leading[axis:]) * self.leading[axis - 1] <= several:
            axis -= 1
        if not axis:
            return [()]
        step = max(1, several // math.prod(self.leading[axis:]))
        slices = [slice(start, start + step) for start in range(0, self.leading[axis - 1], step)]
        return list(itertools.product(*map(range, self.leading[: axis - 1]), slices))

    def blocks(self):
        """The first and the last query of each block, and how many keys they attend to at most; the last queries first."""
        rows = max(1, BLOCK // max(1, self.keys))
        rows = rows // ROWS * ROWS or rows
        for begin in reversed(range(0, self.queries, rows)):
            end = min(begin + rows, self.queries)
            yield begin, end, min(end, self.keys) if self.causal else self.keys

    def each(self, run):
        """Call ``run(index, rooms)`` for all heads, some side by side; the rooms are memory for two blocks."""
        heads = self.heads
        width = self.query.shape[-1] + self.value.shape[-1]
        work = self.weights * (width + threads.WORK_OF_AN_ELEMENT)

        def part(begin, end):
            rooms = [np.empty(0, self.query.dtype)], [np.empty(0, self.query.dtype)]
            with np.errstate(all="ignore"):
                for index in heads[begin:end]:
                    run(index, rooms)

        with blas.one_thread():
            threads.split(len(heads), work, part)

    def masked(self, s, index, begin, end):
        """The products with the mask, in place, and the factor that is still to come: the scale, unless numbers were added."""
        scale = s.dtype.type(self.scale)
        if self.mask is None:
            return scale
        mask = self.mask[index][..., begin:end, : s.shape[-1]]
        if mask.dtype == bool:
            np.copyto(s, -np.inf, where=~mask)
            return scale
        s *= scale
        s += mask
        return s.dtype.type(1)

    def scores(self, s, index, begin, end):
        """The products made scores, in place: scaled, masked, and -inf for keys after a query's own place."""
        s *= self.masked(s, index, begin, end)
        keys = s.shape[-1]
        if self.causal and keys > begin:  # keys before `begin` are allowed to all of these queries
            np.copyto(s[..., begin:], -np.inf, where=~np.tri(end - begin, keys - begin, dtype=bool))

    def weigh(self, s, index, begin, end):
        """Replace products by weights, 0 in rows without anything to attend to; returns the logarithms of the exponentials' sums."""
        logsumexp = np.empty(s.shape[:-1])
        if self.loops is not None:
            scale = self.masked(s, index, begin, end)
            self.loops.weigh(_rows(s), scale, end - begin, begin if self.causal else -1, logsumexp.reshape(-1))
            return logsumexp
        self.scores(s, index, begin, end)
        most = s.max(axis=-1, keepdims=True)
        most[most == -np.inf] = 0
        s -= most
        np.exp(s, out=s)
        total = s.sum(axis=-1, keepdims=True)
        s /= np.where(total == 0, 1, total)
        return (np.log(total) + most)[..., 0]

    def slopes(self, s, slope, kept, logsumexp, mean, index, begin, end):
        """Replace products by weights, times what dropout kept, and the gradients by weights by those by products."""
        if self.loops is not None:
            scale = self.masked(s, index, begin, end)
            none = np.empty((0, 1), s.dtype)
            rows = _rows(s), _rows(slope), none if kept is None else _rows(kept)
            first = begin if self.causal else -1
            each = np.ascontiguousarray(logsumexp).reshape(-1), np.ascontiguousarray(mean).reshape(-1)
            self.loops.slopes(*rows, scale, s.dtype.type(self.scale), end - begin, first, *each)
            return
        self.scores(s, index, begin, end)
        s -= logsumexp[..., None]
        np.exp(s, out=s)
        if kept is not None:
            slope *= kept
        slope -= mean[..., None]
        slope *= s
        slope *= s.dtype.type(self.scale)
        if kept is not None:
            s *= kept

    def kept(self, index, begin, end, keys):
        """What dropout multiplies the weights of a block by, a part of the mask of all weights; None without dropout."""
        if not self.dropout:
            return None
        heads = np.arange(math.prod(self.leading)).reshape(self.leading)[index]
        out = np.empty((*heads.shape, end - begin, keys), self.query.dtype)
        bounds = np.float32(self.dropout), out.dtype.type(1 / (1 - self.dropout))
        rows = out.reshape(heads.size, -1) if keys == self.keys else out.reshape(-1, keys)
        starts = heads.reshape(-1, 1) * self.queries + np.arange(begin, end)[: len(rows) // heads.size]
        for row, start in zip(rows, (starts * self.keys + self.first).reshape(-1).tolist(), strict=True):
            if self.loops is not None:
                self.loops.kept(row, start, *bounds, np.uint64(self.seed))
            else:
                numbers = (start % 4 + row.size,), out.dtype, self.dropout, self.seed, start // 4
                row[:] = dropout_mask(*numbers, like=out)[start % 4 :]
        return out


def turned(x):
    """Transposed matrices; where they are large side by side in memory, by which BLAS multiplies twice as fast."""
    return np.ascontiguousarray(transposed(x)) if x.shape[-2] > LONG else transposed(x)


def product(a, b, room):
    """``a @ b`` in the memory of `room`."""
    out = in_room(room, (*a.shape[:-1], b.shape[-1]))
    return np.matmul(a, b, out=out)


def _rows(x):
    return x.reshape(-1, x.shape[-1])


def in_room(room, shape):
    """An array of a shape in the memory of `room`, a list that holds it: larger memory, where it is too small."""
    size = math.prod(shape)
    if room[0].size < size:
        room[0] = np.empty(size, room[0].dtype)
    return room[0][:size].reshape(shape)


def attention(query, key, value, mask=None, scale=1.0, causal=False, dropout=0.0, seed=0):
    """The values, weighed, and the logarithms of the sums of exponentials, as the definition."""
    heads = Heads(query, key, value, mask, scale, causal, dropout, seed)
    value = heads.value
    values, logsumexp = empty(heads.query, value.shape[-1]), np.empty(heads.query.shape[:-1])

    def run(index, rooms):
        turned_key = turned(heads.key[index])
        for begin, end, keys in heads.blocks():
            rows = (..., slice(begin, end), slice(None))
            s = product(heads.query[index][rows], turned_key[..., :keys], rooms[0])
            if not s.size:
                values[index][rows], logsumexp[index][..., begin:end] = 0, -np.inf
                continue
            logsumexp[index][..., begin:end] = heads.weigh(s, index, begin, end)
            if heads.dropout:
                s *= heads.kept(index, begin, end, keys)
            np.matmul(s, value[index][..., :keys, :], out=values[index][rows])

    heads.each(run)
    return values.astype(heads.dtype, copy=False), logsumexp


def empty(x, last=None):
    """An empty array in the shape of `x`, or of another last axis; its axes in memory in the order of those of `x`."""
    shape = x.shape if last is None else (*x.shape[:-1], last)
    return np.empty(shape, x.dtype) if 0 in x.strides else np.empty_like(x, shape=shape)


def attention_gradients(d, query, key, value, values, logsumexp, mask, scale, causal, dropout, seed):
    """The gradients by query, key and value, as the definition."""
    heads = Heads(query, key, value, mask, scale, causal, dropout, seed)
    query, key, value = heads.query, heads.key, heads.value
    d, values = definition.wide(d, values)
    found = tuple(map(empty, (query, key, value)))
    logsumexp = np.where(logsumexp == -np.inf, 0, logsumexp).astype(query.dtype)

    def run(index, rooms):
        by_query, by_key, by_value = (x[index] for x in found)
        first = True
        turned_key, turned_value = turned(key[index]), turned(value[index])
        for begin, end, keys in heads.blocks():
            rows = (..., slice(begin, end), slice(None))
            g, q = d[index][rows], query[index][rows]
            weights = product(q, turned_key[..., :keys], rooms[0])
            slope = product(g, turned_value[..., :keys], rooms[1])
            mean = np.einsum("...i,...i->...", g, values[index][rows])
            kept = heads.kept(index, begin, end, keys)
            heads.slopes(weights, slope, kept, logsumexp[index][..., begin:end], mean, index, begin, end)
            np.matmul(slope, key[index][..., :keys, :], out=by_query[rows])
            for total, a, b in ((by_key, slope, q), (by_value, weights, g)):
                if first:  # these queries attend to more keys than those before
                    np.matmul(transposed(a), b, out=total[..., :keys, :])
                    total[..., keys:, :] = 0
                else:
                    total[..., :keys, :] += np.matmul(transposed(a), b)
            first = False
        if first:
            by_key[...] = by_value[...] = 0

    heads.each(run)
    return tuple(
        definition.summed_to(x, shape).astype(heads.dtype, copy=False)
        for x, shape in zip(found, heads.shapes, strict=True)
    )
