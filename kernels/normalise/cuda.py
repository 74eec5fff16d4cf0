"""Standardising values over axes on a GPU: the names, arguments and results of the definitions.

``normalise.cu`` says how they are computed and why they are fast. What belongs together, a set, has to be evenly spread over
the array, as (runs, sets, length); where the axes make it otherwise, the array is transposed first.
"""

import functools
import math

import numpy as np

from ..cuda import runtime
from ..loss.cuda import accurate_sum
from .layout import repeats, sets

#: A row up to this length is one warp's.
SHORT = 1024
#: Rows that are longer than this, and fewer than keep a GPU busy, are taken in parts.
LONG, BUSY = 4096, 264
#: The least elements (or rows of a column) of a part, and the most parts: one thread merges them.
PART, ROWS, PARTS = 4096, 64, 256


def _affine(shape, *weights):
    """The weights (arrays or None) side by side in memory, and their (inner, count)."""
    xp = runtime.xp()
    shapes = {w.shape for w in weights if w is not None}
    found = repeats(shape, shapes.pop()) if len(shapes) == 1 else None if shapes else (1, 1)
    if found is None:
        weights = [None if w is None else xp.broadcast_to(w, shape) for w in weights]
        found = 1, max(1, math.prod(shape))
    return *(None if w is None else xp.ascontiguousarray(w) for w in weights), found


def _evenly(kernel):
    """Let a kernel of (arrays of x's shape, sets, ...) take any axes, by transposing where it must; its first result is put back."""

    @functools.wraps(kernel)
    def wrapper(arrays, axes, weights, *settings):
        xp, shape = runtime.xp(), arrays[0].shape
        found = sets(shape, axes)
        if found:
            return kernel([xp.ascontiguousarray(a) for a in arrays], found, weights, *settings)
        order = [i for i in range(len(shape)) if i not in axes] + list(axes)
        arrays = [xp.ascontiguousarray(a.transpose(order)) for a in arrays]
        weights = [None if w is None else xp.broadcast_to(w, shape).transpose(order) for w in weights]
        found = sets(arrays[0].shape, tuple(range(len(shape) - len(axes), len(shape))))
        y, *more = kernel(arrays, found, weights, *settings)
        return y.transpose(np.argsort(order).tolist()), *more

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


def _found_stats(x, sets, eps, centred):
    """Mean, variance and ``1 / sqrt(variance + eps)`` of each set, as a float64 array (3, sets)."""
    runs, count, length = sets
    parts = _in_parts("moments", (x,), sets, (centred,), x.dtype)
    stats = runtime.xp().empty((3, count), np.float64)
    args = parts, stats, count, parts.shape[1], np.int64(runs * length), float(eps)
    _launch("merge_moments", _elements(count), runtime.THREADS, args, x.dtype)
    return stats


def _kept_stats(mean, variance, eps, dtype):
    """The same of means and variances that were kept."""
    xp = runtime.xp()
    stats = xp.empty((3, mean.size), np.float64)
    args = xp.ascontiguousarray(mean), xp.ascontiguousarray(variance), stats, mean.size, float(eps)
    _launch("kept_moments", _elements(mean.size), runtime.THREADS, args, dtype)
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
def _standardize(arrays, sets, weights, eps, centred):
    (x,) = arrays
    xp = runtime.xp()
    *weights, affine = _affine(x.shape, *weights)
    y = xp.empty(x.shape, x.dtype)
    if _are_rows(sets):
        stats = xp.empty((2, sets[1]), np.float64)
        args = x, y, *weights, stats, np.int64(sets[1]), sets[2], *affine, float(eps), centred
        _launch_rows("standardize_rows", args, sets, x.dtype)
    else:
        stats = _found_stats(x, sets, eps, centred)
        args = x, y, *weights, stats, np.int64(x.size), *sets[1:], *affine
        _launch("standardize_all", _elements(x.size), runtime.THREADS, args, x.dtype)
    return y, stats


def standardize(x, axes, eps, weight=None, bias=None, centred=True):
    """x̂, times the weight, plus the bias; and the mean and the variance of each set, as the definition."""
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    if not x.size:
        return x.copy(), *(runtime.xp().full(kept, math.nan, np.float64) for _ in range(2))
    y, stats = _standardize([x], axes, [weight, bias], eps, centred)
    return y, stats[0].reshape(kept), stats[1].reshape(kept)


@_evenly
def _standardize_input(arrays, sets, weights, mean, variance, eps, centred):
    d, x = arrays
    xp = runtime.xp()
    weight, affine = _affine(x.shape, *weights)
    dx = xp.empty(x.shape, x.dtype)
    if _are_rows(sets):
        kept = xp.ascontiguousarray(mean), xp.ascontiguousarray(variance)
        args = d, x, dx, weight, *kept, np.int64(sets[1]), sets[2], *affine, float(eps), centred
        _launch_rows("standardize_input_rows", args, sets, x.dtype)
    else:
        stats = _kept_stats(mean, variance, eps, x.dtype)
        sums, _ = _products(d, x, weight, affine, stats, sets, sets)
        size = float(sets[0] * sets[2])
        args = d, x, dx, weight, stats, sums, np.int64(x.size), *sets[1:], *affine, size, centred
        _launch("standardize_input_all", _elements(x.size), runtime.THREADS, args, x.dtype)
    return (dx,)


def standardize_input(d, x, mean, variance, axes, eps, weight=None, centred=True):
    """The gradient of the values that `standardize` gives by x, where that by them is d, as the definition."""
    return _standardize_input([d, x], axes, [weight], mean, variance, eps, centred)[0] if x.size else x.copy()


def standardize_weight(d, x, mean, variance, shape, axes, eps):
    """The gradient of the values that `standardize` gives by a weight of that shape, where that by them is d, as the definition."""
    xp = runtime.xp()
    found, own = repeats(x.shape, tuple(shape)), sets(x.shape, axes)
    if not x.size:
        return xp.zeros(shape, x.dtype)
    if found and own:
        d, x = xp.ascontiguousarray(d), xp.ascontiguousarray(x)
        inner, count = found
        stats, same = _kept_stats(mean, variance, eps, x.dtype), (x.size // (inner * count), count, inner)
        return _products(d, x, None, (1, 1), stats, same, own)[1].reshape(shape)
    terms = d * ((x - mean) / xp.sqrt(variance + eps))
    extra = x.ndim - len(shape)
    over = tuple(i for i in range(x.ndim) if i < extra or shape[i - extra] == 1)
    return (accurate_sum(terms, over) if over else terms).reshape(shape).astype(x.dtype)
