"""Standardising values over axes with NumPy, and in compiled loops where arrays are large.

Why it is fast: large arrays go through memory once, in compiled loops (``jit.py``) that are done with a set of values, with its
moments and with what follows from them, before they turn to the next. Their rounding is their own, and an array's size alone
decides whether they are taken; all others are computed as the definitions say.
"""

import math

import numpy as np

from .. import compiled, threads
from . import definition
from .layout import repeats, sets

#: The sums of `standardize_weight` are divided into parts of at most so many sets, and into so many parts where there are as
#: many sets, however many threads there are.
SETS, PARTS = 64, 8


def _inner(shape, sets, weight):
    """How many elements of a run in turn have the same weight, where weights of that shape are as the loops take them; or None.

    Examples
    --------
    >>> _inner((2, 3, 4, 5), (2, 3, 20), (1, 3, 1, 1)), _inner((6, 20), (1, 6, 20), (20,))
    (20, 1)
    """
    found = repeats(shape, weight)
    if found is None:
        return None
    inner, count = found
    if count == 1:
        return sets[2]
    return (
        inner
        if inner <= sets[2] and count * inner % sets[2] == 0 and sets[1] * sets[2] % (count * inner) == 0
        else None
    )


def _loops(x, axes, others=(), affine=()):
    """The compiled loops, (N, C, L) and how many elements have the same weight, where they can do it; else None."""
    if x.size < compiled.LEAST:
        return None
    found, shapes = sets(x.shape, axes), {a.shape for a in affine if a is not None} or {()}
    if found is None or len(shapes) > 1:
        return None
    inner = _inner(x.shape, found, shapes.pop())
    loops = compiled.module("normalise.jit", x, *others, *(a for a in affine if a is not None))
    return (loops, found, inner) if inner and loops else None


def _flat(a):
    return compiled.contiguous(a).reshape(-1)


def _are_columns(sets):
    return sets[0] > sets[2] == 1


def _each(x, count, run):
    """Run a loop on all sets or parts, some side by side."""
    threads.split(count, x.size * threads.WORK_OF_AN_ELEMENT, run)


def standardize(x, axes, eps, weight=None, bias=None, centred=True):
    """x̂, times the weight, plus the bias; and the mean and the variance of each set, as the definition."""
    found = _loops(x, axes, (), (weight, bias))
    if not found:
        return definition.standardize(x, axes, eps, weight, bias, centred)
    loops, sets, inner = found
    given = weight if weight is not None else bias
    many = 1 if given is None else given.size
    weight = np.ones(many, x.dtype) if weight is None else _flat(weight)
    bias = np.zeros(many, x.dtype) if bias is None else _flat(bias)
    mean, variance = np.empty((2, sets[1]))
    y, kept, x = np.empty(x.shape, x.dtype), _kept(x.shape, axes), _flat(x)
    args = x, sets, centred, eps
    if _are_columns(sets):
        args += np.resize(weight, sets[1]), np.resize(bias, sets[1]), y.reshape(-1), mean, variance
        _each(x, sets[1], lambda *part: loops.standardize_columns(*args, *part))
    else:
        args += weight, bias, inner, y.reshape(-1), mean, variance
        _each(x, sets[1], lambda *part: loops.standardize(*args, *part))
    return y, mean.reshape(kept), variance.reshape(kept)


def _kept(shape, axes):
    return [1 if i in axes else n for i, n in enumerate(shape)]


def _gradients(found, d, x, mean, variance, eps, weight, shape, centred, input_too, affine_too):
    """The gradients of `standardize` by x, and by weight and bias of that shape, where they are asked for, in loops."""
    loops, sets, inner = found
    weight = np.ones(math.prod(shape), x.dtype) if weight is None else _flat(weight)
    out = np.empty(x.shape if input_too else 0, x.dtype)
    d, x, flat = _flat(d), _flat(x), out.reshape(-1)
    mean, variance = _flat(mean), _flat(variance)
    if _are_columns(sets):
        wide, sums = np.resize(weight, sets[1]), np.zeros((2, sets[1]))
        _each(
            x,
            sets[1],
            lambda *part: loops.column_gradients(d, x, sets, mean, variance, centred, eps, wide, flat, *sums, *part),
        )
        sums = sums.reshape(2, -1, weight.size)
        return out, *(s.sum(axis=0).astype(x.dtype).reshape(shape) for s in sums)
    parts = min(max(PARTS, -(-sets[1] // SETS)), sets[1])
    sums = np.zeros((2, parts, weight.size if affine_too else 0), x.dtype)

    args = d, x, sets, mean, variance, centred, eps, weight, inner, flat, *sums
    _each(x, parts, lambda *part: loops.gradients(*args, *part))
    return out, *(s.sum(axis=0, dtype=np.float64).astype(x.dtype).reshape(shape) if affine_too else None for s in sums)


def standardize_input(d, x, mean, variance, axes, eps, weight=None, centred=True):
    """The gradient of the values that `standardize` gives by x, where that by them is d, as the definition."""
    found = _loops(x, axes, (d,), (weight,))
    if not found:
        return definition.standardize_input(d, x, mean, variance, axes, eps, weight, centred)
    shape = () if weight is None else weight.shape
    return _gradients(found, d, x, mean, variance, eps, weight, shape, centred, True, False)[0]


def standardize_weight(d, x, mean, variance, shape, axes, eps):
    """The gradient of the values that `standardize` gives by a weight of that shape, where that by them is d, as the definition."""
    found = _loops(x, axes, (d,), (np.empty(shape, x.dtype),))
    if not found:
        return definition.standardize_weight(d, x, mean, variance, shape, axes, eps)
    return _gradients(found, d, x, mean, variance, eps, None, shape, True, False, True)[1]


def standardize_gradients(x, d, along_mean, along_variance, axes, eps, weight, bias, centred, mean, variance, wanted):
    """The gradients by x, weight and bias, where several are wanted and none came by the moments, in one go; else None."""
    if (
        type(d) is not np.ndarray
        or np.ndim(along_mean)
        or np.ndim(along_variance)
        or len(wanted) < 2
        or "x" not in wanted
    ):
        return None
    found = _loops(x, axes, (d,), (weight, bias))
    if not found:
        return None
    shape = (bias if weight is None else weight).shape
    return _gradients(found, d, x, mean, variance, eps, weight, shape, centred, True, True)
