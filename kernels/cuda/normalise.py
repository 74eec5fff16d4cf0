"""Standardising values over axes on a GPU: the names, arguments and results of `nnscratch.kernels.normalise`.

``normalise.cu`` says how they are computed and why they are fast. What belongs together, a set, has to be evenly spread over
the array, as (runs, sets, length); where the axes make it otherwise, the array is transposed first.
"""

import functools
import math

import numpy as np

from ..normalise import _sets
from . import numerics, runtime

#: A row up to this length is one warp's.
SHORT = 1024
#: Rows that are longer than this, and fewer than keep a GPU busy, are taken in parts.
LONG, BUSY = 4096, 264
#: The least elements (or rows of a column) of a part, and the most parts: one thread merges them.
PART, ROWS, PARTS = 4096, 64, 256


@functools.lru_cache(maxsize=256)
def _repeats(shape, weight):
    """(inner, count), so that element e of an array has weight ``e // inner % count``; None where weights do not lie so.

    Examples
    --------
    >>> _repeats((2, 3, 4, 5), (1, 3, 1, 1)), _repeats((6, 20), (20,)), _repeats((2, 3), ()), _repeats((2, 3, 4), (2, 1, 4))
    ((20, 3), (1, 20), (6, 1), None)
    """
    own = [i for i, n in enumerate(weight, len(shape) - len(weight)) if n != 1]
    if not own:
        return max(1, math.prod(shape)), 1
    first, last = own[0], own[-1]
    count = math.prod(weight)
    return (math.prod(shape[last + 1 :]), count) if count == math.prod(shape[first : last + 1]) else None


def _affine(shape, *weights):
    """The weights (arrays or None) side by side in memory, and their (inner, count)."""
    xp = runtime.xp()
    shapes = {w.shape for w in weights if w is not None}
    found = _repeats(shape, shapes.pop()) if len(shapes) == 1 else None if shapes else (1, 1)
    if found is None:
        weights = [None if w is None else xp.broadcast_to(w, shape) for w in weights]
        found = 1, max(1, math.prod(shape))
    return *(None if w is None else xp.ascontiguousarray(w) for w in weights), found


def _evenly(kernel):
    """Let a kernel of (arrays of x's shape, axes, weights) take any axes, by transposing where it must."""

    @functools.wraps(kernel)
    def wrapper(arrays, axes, eps, weights, centred):
        xp, shape = runtime.xp(), arrays[0].shape
        sets = _sets(shape, axes)
        if sets:
            return kernel([xp.ascontiguousarray(a) for a in arrays], sets, eps, weights, centred)
        order = [i for i in range(len(shape)) if i not in axes] + list(axes)
        arrays = [xp.ascontiguousarray(a.transpose(order)) for a in arrays]
        weights = [None if w is None else xp.broadcast_to(w, shape).transpose(order) for w in weights]
        sets = _sets(arrays[0].shape, tuple(range(len(shape) - len(axes), len(shape))))
        return kernel(arrays, sets, eps, weights, centred).transpose(np.argsort(order).tolist())

    return wrapper


def _launch(name, grid, block, args, dtype, team=256):
    runtime.launch("normalise.cu", name, grid, block, args, ELEMENT=dtype, TEAM=team)


def _elements(n):
    return min(runtime.blocks(n), 1 << 20)


def _are_rows(sets):
    return sets[0] == 1 and (sets[2] <= LONG or sets[1] >= BUSY)


def _launch_rows(name, args, sets, dtype):
    team = 32 if sets[2] <= SHORT else 256
    _launch(name, runtime.blocks(sets[1], runtime.THREADS // team), runtime.THREADS, args, dtype, team)


def _in_parts(name, before, sets, after, dtype):
    """Launch a kernel for parts of sets, or of columns; returns the parts (sets, parts, 2)."""
    runs, count, length = sets
    columns = length == 1 and runs > 1
    across = runtime.blocks(count, 32) if columns else count
    parts = max(1, min(runs // ROWS if columns else runs * length // PART, 4 * BUSY // across, PARTS))
    out = runtime.xp().empty((count, parts, 2), np.float64)
    kind = "columns" if columns else "parts"
    _launch(f"{name}_of_{kind}", (across, parts), (32, 8) if columns else 256, (*before, out, *sets, *after), dtype)
    return out


def _stats(x, sets, eps, centred):
    """Mean, variance and ``1 / sqrt(variance + eps)`` of each set, as a float64 array (3, sets)."""
    runs, count, length = sets
    parts = _in_parts("moments", (x,), sets, (centred,), x.dtype)
    stats = runtime.xp().empty((3, count), np.float64)
    args = parts, stats, count, parts.shape[1], np.int64(runs * length), float(eps)
    _launch("merge_moments", _elements(count), runtime.THREADS, args, x.dtype)
    return stats


def _products(d, x, weight, affine, stats, sets, own):
    """Over each of the sets, the sums of h = d weight and of h x̂: (sets, 2) in float64, and the latter in x's dtype."""
    xp = runtime.xp()
    parts = _in_parts("products", (d, x, weight, stats), sets, (*affine, *own[1:]), x.dtype)
    sums, products = xp.empty((sets[1], 2), np.float64), xp.empty(sets[1], x.dtype)
    args = parts, sums, products, sets[1], parts.shape[1]
    _launch("merge_products", _elements(sets[1]), runtime.THREADS, args, x.dtype)
    return sums, products


@_evenly
def _standardize(arrays, sets, eps, weights, centred):
    (x,) = arrays
    *weights, affine = _affine(x.shape, *weights)
    y = runtime.xp().empty(x.shape, x.dtype)
    if _are_rows(sets):
        args = x, y, *weights, np.int64(sets[1]), sets[2], *affine, float(eps), centred
        _launch_rows("standardize_rows", args, sets, x.dtype)
    else:
        args = x, y, *weights, _stats(x, sets, eps, centred), np.int64(x.size), *sets[1:], *affine
        _launch("standardize_all", _elements(x.size), runtime.THREADS, args, x.dtype)
    return y


def standardize(x, axes, eps, weight=None, bias=None, centred=True):
    """x̂, times the weight, plus the bias, as `nnscratch.kernels.normalise.standardize`."""
    return _standardize([x], axes, eps, [weight, bias], centred) if x.size else x.copy()


@_evenly
def _standardize_input(arrays, sets, eps, weights, centred):
    d, x = arrays
    weight, affine = _affine(x.shape, *weights)
    dx = runtime.xp().empty(x.shape, x.dtype)
    if _are_rows(sets):
        args = d, x, dx, weight, np.int64(sets[1]), sets[2], *affine, float(eps), centred
        _launch_rows("standardize_input_rows", args, sets, x.dtype)
    else:
        stats = _stats(x, sets, eps, centred)
        sums, _ = _products(d, x, weight, affine, stats, sets, sets)
        size = float(sets[0] * sets[2])
        args = d, x, dx, weight, stats, sums, np.int64(x.size), *sets[1:], *affine, size, centred
        _launch("standardize_input_all", _elements(x.size), runtime.THREADS, args, x.dtype)
    return dx


def standardize_input(d, x, axes, eps, weight=None, centred=True):
    """The gradient of `standardize` by x, as `nnscratch.kernels.normalise.standardize_input`."""
    return _standardize_input([d, x], axes, eps, [weight], centred) if x.size else x.copy()


def standardize_weight(d, x, shape, axes, eps, centred=True):
    """The gradient of `standardize` by a weight of that shape, as `nnscratch.kernels.normalise.standardize_weight`."""
    xp = runtime.xp()
    found, sets = _repeats(x.shape, tuple(shape)), _sets(x.shape, axes)
    if not x.size:
        return xp.zeros(shape, x.dtype)
    if found and sets:
        d, x = xp.ascontiguousarray(d), xp.ascontiguousarray(x)
        inner, count = found
        stats, same = _stats(x, sets, eps, centred), (x.size // (inner * count), count, inner)
        return _products(d, x, None, (1, 1), stats, same, sets)[1].reshape(shape)
    terms = d * standardize(x, axes, eps, None, None, centred)
    extra = x.ndim - len(shape)
    over = tuple(i for i in range(x.ndim) if i < extra or shape[i - extra] == 1)
    return (numerics.accurate_sum(terms, over) if over else terms).reshape(shape)


def moments(x, axes):
    """The means over axes, and the variances, as `nnscratch.kernels.normalise.moments`."""
    xp = runtime.xp()
    kept = [n for i, n in enumerate(x.shape) if i not in axes]
    if not x.size:
        return xp.full(kept, math.nan, x.dtype), xp.full(kept, math.nan, x.dtype)
    sets = _sets(x.shape, axes)
    if not sets:
        x = x.transpose([i for i in range(x.ndim) if i not in axes] + list(axes))
        sets = _sets(x.shape, tuple(range(len(kept), x.ndim)))
    stats = _stats(xp.ascontiguousarray(x), sets, 0.0, True)
    return tuple(stats[i].astype(x.dtype).reshape(kept) for i in range(2))
