r"""Softmax and its like with NumPy, a few rows at a time, which stay in the processor's cache.

How: float16 and float32 are computed in float64 and rounded once. float64 has nothing wider to go to, so what a plain formula
would lose is carried along: the rounding error of ``x - max`` and of the sums. Only where the answer of `logsumexp` is the small
difference of larger numbers is `double_double` called in. Large arrays of float32 go to compiled loops (``loops.py``), along one axis.
No kernel here gives a NumPy warning.
"""

import math

import numpy as np

from .. import compiled, pieces, threads
from ..blas import ones
from ..double_double import exponential, sum_levels, sum_rows, two_sum
from ..rows import as_rows, from_rows, reduced

RESCUE = 64  # Powers of two by which sums near underflow are lifted.
ONE = np.ones(())  # NumPy takes it more quickly than the number.
LN2 = math.log(2)
LN2_ERROR = 2.3190468138462996e-17  # ln 2 less its float64.


#: The work of an element, in multiplications, its way from memory and back included (see `threads.WORK_OF_AN_ELEMENT`).
WORK = 64
#: Columns side by side from which on they are not copied to stand as rows: a vector has no more lanes.
COLUMNS = 16


def _by_loop(name, axis, *arrays):
    """What the loop of that name makes of the arrays, or None where it does not take them: other dtypes, small ones, several axes.

    The size alone decides, so that results do not depend on what has run before.
    """
    x = arrays[0]
    if x.size < compiled.LEAST or x.dtype.char != "f" or not isinstance(axis, int):
        return None
    if any(type(a) is not np.ndarray or a.shape != x.shape for a in arrays):
        return None
    loops = compiled.module("softmax.loops", *arrays)
    if loops is None:
        return None
    axis %= x.ndim
    n, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    if 1 < inner < COLUMNS:
        back = _by_loop(name, -1, *(np.moveaxis(a, axis, -1) for a in arrays))
        return np.ascontiguousarray(np.moveaxis(back, -1, axis))
    y = np.empty(x.shape, x.dtype)
    flat = [compiled.contiguous(a).reshape(-1) for a in arrays]
    flat = flat[0], flat[-1], y.reshape(-1)
    if inner == 1:
        loop = getattr(loops, name)
        threads.split(x.size // n, x.size * WORK, lambda begin, end: loop(*flat, n, begin, end))
    else:
        loop, width = getattr(loops, f"{name}_columns"), loops.width_of(n)

        def run(begin, end):
            loop(*flat, n, inner, width, begin * width, min(end * width, inner))

        threads.split(-(-inner // width), x.size * WORK, run)
    return y


def exponentials(x, whole=False):
    """What every function of a row's exponentials needs, in float64.

    Returns
    -------
    m : (rows, 1)
        The largest element.
    d : (rows, n)
        x - m, rounded.
    e : (rows, n)
        exp(x - m), for float64 with the rounding error of x - m made good; 0 at m itself unless it is to be `whole`.
    s : (rows, 1)
        The sum of e without the (first) largest element's.
    """
    wide = x.dtype == np.float64
    x = x.astype(np.float64, order="C", copy=False)
    largest = x.argmax(axis=1)
    at = largest + np.arange(0, x.size, x.shape[1])
    m = x.reshape(-1)[at][:, None]
    if not wide:
        d = x - m
        e = np.exp(d)
    else:
        d, error = two_sum(x, -m)
        error[~np.isfinite(error)] = 0
        e = np.exp(d)
        e += e * error
    flat = e.reshape(-1)
    kept = flat[at] if whole else 0
    flat[at] = 0
    if not wide:
        s = e.dot(ones((x.shape[1], 1), np.float64))
    else:
        s = sum_rows(e)[:, None]
        tiny = (s < 1e-290)[:, 0]
        if tiny.any():
            s[tiny] = _sum_near_underflow(d[tiny], error[tiny], largest[tiny])
    if whole:
        flat[at] = kept
    return m, d, e, s


def _sum_near_underflow(d, error, largest):
    """The sum of exp(d) without one element a row, where the terms are too small to keep their digits."""
    lifted, more = two_sum(d, RESCUE * LN2)
    more[~np.isfinite(more)] = 0
    e = np.exp(lifted)
    e += e * (more + error + RESCUE * LN2_ERROR)
    e[np.arange(len(d)), largest] = 0
    return np.ldexp(sum_rows(e)[:, None], -RESCUE)


@np.errstate(all="ignore")
def softmax(x, axis):
    """``exp(x) / sum(exp(x))`` along an axis (or a tuple of axes, or None for all).

    Parameters
    ----------
    x : ndarray of float16, float32 or float64
        -inf gives 0; rows of -inf alone, or with inf, give nan.
    axis : int, tuple of int or None

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [1e308, -1e308]]), axis=1)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    y = _by_loop("softmax", axis, x)
    if y is not None:
        return y
    rows, axes = as_rows(x, axis)
    y = np.empty(rows.shape, rows.dtype)
    for piece in pieces.of_rows(rows):
        _, _, e, s = exponentials(rows[piece], whole=True)
        s += ONE
        e /= s
        y[piece] = e
    return from_rows(y, x.shape, axes)


@np.errstate(all="ignore")
def log_softmax(x, axis):
    """``x - log(sum(exp(x)))`` along an axis (or a tuple of axes, or None for all).

    Examples
    --------
    >>> log_softmax(np.array([0.0, -20.0]), axis=0)
    array([-2.06115362e-09, -2.00000000e+01])
    """
    y = _by_loop("log_softmax", axis, x)
    if y is not None:
        return y
    rows, axes = as_rows(x, axis)
    y = np.empty(rows.shape, rows.dtype)
    for piece in pieces.of_rows(rows):
        _, d, _, s = exponentials(rows[piece])
        y[piece] = d - np.log1p(s)
    return from_rows(y, x.shape, axes)


def softmax_gradient(g, y, axis):
    return _by_loop("softmax_gradient", axis, g, y)


def log_softmax_gradient(g, y, axis):
    return _by_loop("log_softmax_gradient", axis, g, y)


@np.errstate(all="ignore")
def logsumexp(x, axis, keepdims=False):
    """``log(sum(exp(x)))`` over an axis (or a tuple of axes, or None for all); of nothing, -inf.

    Where the result is near 0 although x is not, as of [-log 2, -log 2], the sum is taken with about 110
    bits, and where not even they are enough, with as many as it needs.

    Parameters
    ----------
    x : ndarray of float16, float32 or float64
    axis : int, tuple of int or None
    keepdims : bool

    Returns
    -------
    ndarray of x's dtype

    Examples
    --------
    >>> logsumexp(np.array([[0.0, 0.0], [-1e5, -np.inf]]), axis=1)
    array([ 6.93147181e-01, -1.00000000e+05])
    >>> float(logsumexp(np.array([-0.6931471805599453] * 2), axis=0))
    2.3190468138462996e-17
    """
    rows, axes = as_rows(x, axis)
    y = np.full(len(rows), -np.inf, rows.dtype)
    limit = 2.0 if rows.dtype == np.float64 else 2.0**-24
    for piece in pieces.of_rows(rows):
        m, _, _, s = exponentials(rows[piece])
        m, log = m[:, 0], np.log1p(s[:, 0])
        result = np.where(np.isinf(m), m, m + log)
        cancels = (m < 0) & (np.abs(result) < limit * log)
        if cancels.any():
            near = rows[piece][cancels].astype(np.float64, copy=False)
            result[cancels] = _logsumexp_near_zero(near, log[cancels])
        y[piece] = result
    return reduced(y, x.shape, axes, keepdims)


def _logsumexp_near_zero(x, size):
    """log of the sum of exp of each row, where that is less than about `size` and no element is above 0."""
    parts = exponential(x, RESCUE)
    first = np.concatenate([parts[0], np.full((len(x), 1), -(2.0**RESCUE))], axis=1)
    second = np.concatenate([parts[1], parts[3]], axis=1)
    third = np.concatenate([parts[2], parts[4]], axis=1)
    high, low = sum_levels(first, second, third)
    less_one, rest = np.ldexp(high, -RESCUE), np.ldexp(low, -RESCUE)
    whole, part = two_sum(1.0, less_one)
    result = np.where(
        np.abs(less_one) < 0.5,
        np.log1p(less_one) + rest / (1 + less_one),
        np.log(whole) + (part + rest) / whole,
    )
    # The error is at most about 2**-113, and less where all but the largest element's term is small.
    for row in np.flatnonzero(np.abs(result) < np.minimum(1, size * 1024) * 2.0**-58):
        result[row] = _logsumexp_nearer_zero(x[row])
    return result


def _logsumexp_nearer_zero(row):
    """The same of one row in decimal arithmetic, with more digits until they are enough; rarely needed."""
    from decimal import Context, Decimal, localcontext

    digits = 80
    # It ends: by Lindemann and Weierstrass no such sum is exactly 1 where no element is 0.
    while True:
        with localcontext(Context(prec=digits, traps=[])):
            less_one = sum((Decimal(x).exp() for x in row.tolist()), Decimal(-1))
            if abs(less_one) > Decimal(10) ** (40 - digits):
                return float(less_one - less_one * less_one / 2)
        digits *= 2
