"""Standardising values over axes: less their mean, divided by their spread; what all normalisation layers are made of.

Why it is fast: large arrays go through memory once, in compiled loops (`nnscratch.kernels.normalise_loops`) that are done with
a set of values, with its moments and with what follows from them, before they turn to the next. Their rounding is their
own, and an array's size alone decides whether they are taken.

In all kernels `axes` is a sorted tuple of the axes (none of them negative) normalised over, `weight` and `bias` (or None)
broadcast to x, all arrays have one dtype, and x̂ is ``(x - mean) / sqrt(variance + eps)``, or, where it is not to be
`centred`, ``x / sqrt(mean of squares + eps)``.
"""

import functools
import itertools
import math

import numpy as np

from . import compiled, threads
from .float16 import through_float32

#: The sums of `standardize_weight` are divided into parts of at most so many sets, and into so many parts where there are as
#: many sets, however many threads there are.
SETS, PARTS = 64, 8


@functools.lru_cache(maxsize=256)
def _sets(shape, axes):
    """(N, C, L), so that in an array viewed in that shape each of C sets has its elements along the other axes; or None.

    Examples
    --------
    >>> _sets((2, 3, 4, 5), (0, 2, 3)), _sets((2, 3, 4, 5), (2, 3)), _sets((2, 3, 4), (1,))
    ((2, 3, 20), (1, 6, 20), None)
    """
    lengths = [(i in axes, n) for i, n in enumerate(shape) if n != 1]
    runs = [(over, math.prod(n for _, n in run)) for over, run in itertools.groupby(lengths, key=lambda pair: pair[0])]
    if len(runs) == 1 or not runs or not runs[0][0]:
        runs.insert(0, (True, 1))
    if runs[1:] and runs[1][0]:
        runs.insert(1, (False, 1))
    return tuple(n for _, n in [*runs, (True, 1), (True, 1)][:3]) if len(runs) <= 3 else None


@functools.lru_cache(maxsize=256)
def _repeats(shape, sets, weight):
    """How many elements of a run in turn have the same weight, where weights of that shape are as the loops take them; or None.

    Examples
    --------
    >>> _repeats((2, 3, 4, 5), (2, 3, 20), (1, 3, 1, 1)), _repeats((6, 20), (1, 6, 20), (20,))
    (20, 1)
    """
    own = [i for i, n in enumerate(weight, len(shape) - len(weight)) if n != 1]
    if not own:
        return sets[2]
    first, last = own[0], own[-1]
    inner, count = math.prod(shape[last + 1 :]), math.prod(weight)
    fits = count == math.prod(shape[first : last + 1]) and inner <= sets[2]
    return inner if fits and count * inner % sets[2] == 0 and sets[1] * sets[2] % (count * inner) == 0 else None


def _loops(x, axes, others=(), affine=()):
    """The compiled loops, (N, C, L) and how many elements have the same weight, where they can do it; else None."""
    if x.size < compiled.LEAST:
        return None
    sets, shapes = _sets(x.shape, axes), {a.shape for a in affine if a is not None} or {()}
    if sets is None or len(shapes) > 1:
        return None
    inner = _repeats(x.shape, sets, shapes.pop())
    loops = compiled.module("normalise_loops", x, *others, *(a for a in affine if a is not None))
    return (loops, sets, inner) if inner and loops else None


def _flat(a):
    return compiled.contiguous(a).reshape(-1)


def _are_columns(sets):
    return sets[0] > sets[2] == 1


def _each(x, count, run):
    """Run a loop on all sets or parts, some side by side."""
    threads.split(count, x.size * threads.WORK_OF_AN_ELEMENT, run)


def _standardized(x, axes, eps, centred):
    """x̂, and the root that it was divided by."""
    d = x - np.mean(x, axes, keepdims=True) if centred else x
    root = np.sqrt(np.mean(d * d, axes, keepdims=True) + eps)
    return d / root, root


@through_float32
def standardize(x, axes, eps, weight=None, bias=None, centred=True):
    """x̂, times the weight, plus the bias.

    Parameters
    ----------
    x : ndarray, floating point

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> standardize(np.array([[1.0, 3.0]]), (1,), 0.0, np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    array([[-0.5,  2.5]])
    """
    if found := _loops(x, axes, (), (weight, bias)):
        loops, sets, inner = found
        given = weight if weight is not None else bias
        many = 1 if given is None else given.size
        weight = np.ones(many, x.dtype) if weight is None else _flat(weight)
        bias = np.zeros(many, x.dtype) if bias is None else _flat(bias)
        y, x = np.empty(x.shape, x.dtype), _flat(x)
        flat = y.reshape(-1)
        if _are_columns(sets):
            wide = np.resize(weight, sets[1]), np.resize(bias, sets[1])
            _each(x, sets[1], lambda *part: loops.standardize_columns(x, sets, centred, eps, *wide, flat, *part))
        else:
            _each(x, sets[1], lambda *part: loops.standardize(x, sets, centred, eps, weight, bias, inner, flat, *part))
        return y
    y, _ = _standardized(x, axes, eps, centred)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def _gradients(found, d, x, eps, weight, shape, centred, wanted):
    """The gradients of `standardize` by x and by weight and bias of that shape, which are (or either is) wanted, in loops."""
    loops, sets, inner = found
    weight = np.ones(math.prod(shape), x.dtype) if weight is None else _flat(weight)
    out = np.empty(x.shape if "x" in wanted else 0, x.dtype)
    d, x, flat = _flat(d), _flat(x), out.reshape(-1)
    if _are_columns(sets):
        wide, sums = np.resize(weight, sets[1]), np.zeros((2, sets[1]))
        _each(x, sets[1], lambda *part: loops.column_gradients(d, x, sets, centred, eps, wide, flat, *sums, *part))
        sums = sums.reshape(2, -1, weight.size)
        return out, *(s.sum(axis=0).astype(x.dtype).reshape(shape) for s in sums)
    parts = min(max(PARTS, -(-sets[1] // SETS)), sets[1])
    bounds = [sets[1] * i // parts for i in range(parts + 1)]
    sums = np.zeros((2, parts, weight.size if "weight" in wanted else 0), x.dtype)

    def run(begin, end):
        for i in range(begin, end):
            loops.gradients(d, x, sets, centred, eps, weight, inner, flat, *sums[:, i], bounds[i], bounds[i + 1])

    _each(x, parts, run)
    return out, *(s.sum(axis=0, dtype=np.float64).astype(x.dtype).reshape(shape) for s in sums if "weight" in wanted)


def _sum_to(terms, shape):
    extra = terms.ndim - len(shape)
    return terms.sum(tuple(i for i in range(terms.ndim) if i < extra or shape[i - extra] == 1)).reshape(shape)


@through_float32
def standardize_input(d, x, axes, eps, weight=None, centred=True):
    """The gradient of `standardize` by x, where that by its result is d: its transpose.

    With h = d weight it is ``(h - mean of h - x̂ mean of h x̂) / sqrt(variance + eps)``, the first mean only where it is `centred`.

    Examples
    --------
    >>> standardize_input(np.array([[3.0, 0.0, 0.0]]), np.array([[-1.0, 0.0, 1.0]]), (1,), 1 / 3)
    array([[ 1., -1.,  0.]])
    """
    if found := _loops(x, axes, (d,), (weight,)):
        shape = () if weight is None else weight.shape
        return _gradients(found, d, x, eps, weight, shape, centred, ("x",))[0]
    y, root = _standardized(x, axes, eps, centred)
    h = d if weight is None else d * weight
    out = h - y * np.mean(h * y, axes, keepdims=True)
    if centred:
        out -= np.mean(h, axes, keepdims=True)
    out /= root
    return out


@through_float32
def standardize_weight(d, x, shape, axes, eps, centred=True):
    """The gradient of `standardize` by a weight of that shape, where that by its result is d: the sums of d x̂.

    Examples
    --------
    >>> standardize_weight(np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([[1.0, 3.0], [7.0, 5.0]]), (2,), (1,), 0.0)
    array([-1., -1.])
    """
    if found := _loops(x, axes, (d,), (np.empty(shape, x.dtype),)):
        return _gradients(found, d, x, eps, None, shape, centred, ("weight",))[1]
    return _sum_to(d * _standardized(x, axes, eps, centred)[0], shape)


def moments(x, axes):
    """The means over axes, and the variances (over n); both without those axes.

    Examples
    --------
    >>> moments(np.array([[1.0, 3.0], [5.0, 5.0]]), (1,))
    (array([2., 5.]), array([1., 0.]))
    """
    if found := _loops(x, axes):
        loops, sets, _ = found
        mean, variance = np.empty((2, sets[1]))
        flat, loop = _flat(x), loops.column_moments if _are_columns(sets) else loops.moments
        _each(x, sets[1], lambda *part: loop(flat, sets, mean, variance, *part))
        kept = [n for i, n in enumerate(x.shape) if i not in axes]
        return mean.astype(x.dtype).reshape(kept), variance.astype(x.dtype).reshape(kept)
    return np.mean(x, axes), np.var(x, axes)
