r"""Elementary functions and losses, accurate to 4 units in the last place over all finite inputs.

How: float16 and float32 are computed in float64 by formulas that lose no digits and rounded once. float64 has
nothing wider to go to, so what a plain formula would lose is carried along: the rounding error of ``x - max``
and of the sums. Only where the answer of `logsumexp` is the small difference of larger numbers is
`double_double` called in.

The formulas avoid cancellation: with m the largest of x, d = x - m <= 0 and s the sum of exp(d) *without* the
largest term, ``softmax = exp(d) / (1 + s)`` and ``log_softmax = d - log1p(s)``, whose two terms have the same
sign.

Large arrays go through in pieces that stay in the processor's cache. No kernel here gives a NumPy warning.
"""

import functools
import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .blas import ones
from .double_double import exact_sum, exponential, sum_levels, two_sum

PIECE = 1 << 14  # Elements at a time: a few float64 temporaries of this size fit a 1 MB cache.
RESCUE = 64  # Powers of two by which sums near underflow are lifted.
ONE = np.ones(())  # NumPy takes it more quickly than the number.
LN2 = math.log(2)
LN2_ERROR = 2.3190468138462996e-17  # ln 2 less its float64.


def _elementwise(function):
    """Let a float64 function of arrays work on any float dtype, piece by piece."""

    @functools.wraps(function)
    @np.errstate(all="ignore")
    def wrapper(*args):
        if len(args) > 1:
            args = np.broadcast_arrays(*args)
        first = args[0]
        if first.size <= PIECE and first.ndim:
            return function(*[a.astype(np.float64, copy=False) for a in args]).astype(first.dtype, copy=False)
        y = np.empty(args[0].shape, args[0].dtype)
        flat, flats = y.reshape(-1), [a.reshape(-1) for a in args]
        for start in range(0, y.size, PIECE):
            piece = slice(start, start + PIECE)
            flat[piece] = function(*(a[piece].astype(np.float64, copy=False) for a in flats))
        return y

    return wrapper


def sigmoid(x):
    """``1 / (1 + exp(-x))``.

    Parameters
    ----------
    x : ndarray of float16, float32 or float64

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> sigmoid(np.array([-800.0, -2.0, 0.0, 800.0]))
    array([0.        , 0.11920292, 0.5       , 1.        ])
    """
    return _sigmoid(x) if x.dtype == np.float64 else _short_sigmoid(x)


@_elementwise
def _sigmoid(x):
    e = np.exp(-np.abs(x))
    # The numerator is e below 0 and 1 from 0 on; a maximum is faster than a choice.
    return np.maximum(e, x >= 0) / (1 + e)


@_elementwise
def _short_sigmoid(x):
    """Where exp(-x) is infinite in float64 the result is 0 in float32."""
    y = np.negative(x)
    np.exp(y, y)
    y += ONE
    return np.divide(ONE, y, y)


def tanh(x):
    """The hyperbolic tangent, ``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``: NumPy's own is within 2 ulp.

    Examples
    --------
    >>> tanh(np.array([-1000.0, 0.0, 0.5]))
    array([-1.        ,  0.        ,  0.46211716])
    """
    return np.asarray(np.tanh(x))


@_elementwise
def softplus(x):
    """``log(1 + exp(x)) = max(x, 0) + log1p(exp(-abs(x)))``.

    Examples
    --------
    >>> softplus(np.array([-50.0, 0.0, 1e300]))
    array([1.92874985e-022, 6.93147181e-001, 1.00000000e+300])
    """
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@_elementwise
def binary_cross_entropy_logits(z, y):
    """``-y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z))``, elementwise.

    As ``abs(z) * (1 - y if z > 0 else y) + log1p(exp(-abs(z)))``, whose terms are both positive. A weight of
    0 makes its term 0 even at infinite z.

    Parameters
    ----------
    z : ndarray
        Logits.
    y : ndarray, broadcastable with z, z's dtype
        Between 0 and 1.

    Returns
    -------
    ndarray of z's dtype

    Examples
    --------
    >>> binary_cross_entropy_logits(np.array([40.0, -1000.0, 0.0]), np.array([1.0, 1.0, 0.0]))
    array([4.24835426e-18, 1.00000000e+03, 6.93147181e-01])
    """
    size, weight = np.abs(z), np.where(z > 0, 1 - y, y)
    return np.where(weight == 0, 0.0, size * weight) + np.log1p(np.exp(-size))


# Polynomials made with 60 digits of mpmath from the Chebyshev series of f: with a_k = pi (k + 1/2) / 80,
#     c_n = (2 - (n == 0)) / 80 * sum(f(cos(a_k)) * cos(n a_k) for k in range(80)),
# cut after the last c_n above 1e-18, written out in powers of t and rounded to float64 at the end.
# f(t) = erf(x) / x with t = 2 x**2 - 1, for abs(x) <= 1.
ERF_NEAR = (
    0.9654687386698673,
    -0.1405360890227171,
    0.019852496688983708,
    -0.0022854855611441132,
    0.00021751715604160108,
    -1.7537169441124826e-05,
    1.223382738352401e-06,
    -7.51156928660089e-08,
    4.11580059766496e-09,
    -2.035228404899467e-10,
    9.167606746069445e-12,
    -3.8078827395263415e-13,
    1.454817075960679e-14,
)
# f(t) = (1 + 2 x) exp(x**2) erfc(x), t = (x - 4) / (x + 4), for x >= 0 (Shepherd and Laframboise 1981).
ERFC_FAR = (
    1.2329951186255526,
    -0.1396211168405625,
    0.015379652102620026,
    0.0680970542546904,
    -0.10103906603632413,
    0.09373283499843826,
    -0.06633036581166812,
    0.03716751553592911,
    -0.016197734065728945,
    0.005031969992669933,
    -0.0007577732210512849,
    -0.0001992567757633648,
    0.00015062131406268513,
    -2.4398944545280832e-05,
    -1.1220772697788498e-05,
    5.709206053072183e-06,
    2.9094470866632674e-07,
    -8.249198427508354e-07,
    7.888177117406594e-08,
    1.1009737295274889e-07,
    -2.1868462576141457e-08,
    -1.4709550868669278e-08,
    3.950879254166685e-09,
    1.7903326159489847e-09,
    -5.377133821031794e-10,
    -1.374652989001164e-10,
    4.180821739675544e-11,
)


def _polynomial(coefficients, t):
    """The sum of coefficients[n] * t**n, by Horner's rule."""
    y = np.full_like(t, coefficients[-1])
    for c in coefficients[-2::-1]:
        y *= t
        y += c
    return y


def _erf_near(x):
    """erf where abs(x) <= 1."""
    return x * _polynomial(ERF_NEAR, 2 * x * x - 1)


def _erfc_positive(x):
    """erfc where x >= 0."""
    x = np.minimum(x, 30.0)
    # The rounding error of x*x counts 700-fold in the exponential, so the square is taken in two parts: one
    # exact, the other so small that three terms of its exponential will do.
    high = np.rint(x * 2.0**20) * 2.0**-20
    rest = (high - x) * (high + x)
    y = np.exp(-high * high) * (_polynomial(ERFC_FAR, (x - 4) / (x + 4)) / (1 + 2 * x))
    return y + y * (rest * (1 + rest * (0.5 + rest / 6)))


def _choose(condition, x, yes, no):
    """yes(x) where the condition holds, no(x) elsewhere: each computed only where it is used."""
    y = np.empty_like(x)
    y[condition] = yes(x[condition])
    y[~condition] = no(x[~condition])
    return y


@_elementwise
def erf(x):
    """The error function, ``2/sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to x.

    Examples
    --------
    >>> erf(np.array([-np.inf, 0.0, 0.5, 2.0]))
    array([-1.        ,  0.        ,  0.52049988,  0.99532227])
    """

    def far(x):
        return np.copysign(1 - _erfc_positive(np.abs(x)), x)

    return _choose(np.abs(x) < 1, x, _erf_near, far)


@_elementwise
def erfc(x):
    """``1 - erf(x)``, without cancellation.

    Examples
    --------
    >>> erfc(np.array([-10.0, 0.0, 1.0, 20.0]))
    array([2.00000000e+000, 1.00000000e+000, 1.57299207e-001, 5.39586561e-176])
    """

    def far(x):
        y = _erfc_positive(np.abs(x))
        return np.where(x < 0, 2 - y, y)

    return _choose((x > -1) & (x < 0.5), x, lambda x: 1 - _erf_near(x), far)


def _as_rows(x, axis):
    """x as a matrix whose rows hold the elements of `axis` (int, tuple or None: all); those axes, sorted."""
    last = x.ndim - 1
    if x.ndim and isinstance(axis, int) and axis in (-1, last):  # as it stands, and most often
        return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), [last]
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    axes = sorted(axes)
    others = [a for a in range(x.ndim) if a not in axes]
    shape = math.prod(x.shape[a] for a in others), math.prod(x.shape[a] for a in axes)
    return x.transpose(others + axes).reshape(shape), axes


def _from_rows(rows, shape, axes):
    """Undo `_as_rows`: an array of this shape again."""
    if axes == [len(shape) - 1]:
        return rows.reshape(shape)
    order = [a for a in range(len(shape)) if a not in axes] + axes
    moved = rows.reshape([shape[a] for a in order])
    return np.ascontiguousarray(moved.transpose(np.argsort(order))).reshape(shape)


def _reduced(values, shape, axes, keepdims=False):
    """One value for each row of `_as_rows`, in the shape that NumPy's reductions give."""
    kept = [1 if a in axes else n for a, n in enumerate(shape) if keepdims or a not in axes]
    return values.reshape(kept)


def _pieces(rows):
    """Slices of rows, about PIECE elements each; none where there is nothing to do."""
    count, length = rows.shape
    step = max(1, PIECE // max(1, length))
    return (slice(start, start + step) for start in range(0, count if length else 0, step))


def _exponentials(x, whole=False):
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
        s = _sum_rows(e)
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
    return np.ldexp(_sum_rows(e), -RESCUE)


def _sum_rows(x):
    """Row sums (rows, 1) with their rounding errors made good."""
    total, errors = exact_sum(x)
    better = total + errors.sum(axis=-1)
    return np.where(np.isfinite(better), better, total)[:, None]


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
    rows, axes = _as_rows(x, axis)
    y = np.empty(rows.shape, rows.dtype)
    for piece in _pieces(rows):
        _, _, e, s = _exponentials(rows[piece], whole=True)
        s += ONE
        e /= s
        y[piece] = e
    return _from_rows(y, x.shape, axes)


@np.errstate(all="ignore")
def log_softmax(x, axis):
    """``x - log(sum(exp(x)))`` along an axis (or a tuple of axes, or None for all).

    Examples
    --------
    >>> log_softmax(np.array([0.0, -20.0]), axis=0)
    array([-2.06115362e-09, -2.00000000e+01])
    """
    rows, axes = _as_rows(x, axis)
    y = np.empty(rows.shape, rows.dtype)
    for piece in _pieces(rows):
        _, d, _, s = _exponentials(rows[piece])
        y[piece] = d - np.log1p(s)
    return _from_rows(y, x.shape, axes)


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
    rows, axes = _as_rows(x, axis)
    y = np.full(len(rows), -np.inf, rows.dtype)
    limit = 2.0 if rows.dtype == np.float64 else 2.0**-24
    for piece in _pieces(rows):
        m, _, _, s = _exponentials(rows[piece])
        m, log = m[:, 0], np.log1p(s[:, 0])
        result = np.where(np.isinf(m), m, m + log)
        cancels = (m < 0) & (np.abs(result) < limit * log)
        if cancels.any():
            near = rows[piece][cancels].astype(np.float64, copy=False)
            result[cancels] = _logsumexp_near_zero(near, log[cancels])
        y[piece] = result
    return _reduced(y, x.shape, axes, keepdims)


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


@np.errstate(all="ignore")
def cross_entropy_logits(z, q):
    """``-sum(q * log_softmax(z))`` over the last axis.

    Parameters
    ----------
    z : ndarray (..., classes) of float16, float32 or float64
        Logits.
    q : ndarray of z's shape and dtype
        Weights that are not negative, mostly probabilities. Where one is 0 its term is 0, even at a logit of
        -inf.

    Returns
    -------
    ndarray (...) of z's dtype

    Examples
    --------
    >>> cross_entropy_logits(np.array([[0.0, -20.0], [0.0, 1e300]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    array([2.06115362e-009, 1.00000000e+300])
    """
    rows, axes = _as_rows(z, -1)
    weights, _ = _as_rows(q, -1)
    y = np.zeros(len(rows), rows.dtype)
    for piece in _pieces(rows):
        x, w = rows[piece], weights[piece].astype(np.float64, copy=False)
        m, d, _, s = _exponentials(x)
        losses = np.log1p(s) - d
        if rows.dtype == np.float64:
            # The difference of two finite logits may overflow where its weighted share does not.
            over = np.isinf(d) & np.isfinite(x)
            terms = np.where(over, w * (m / 2 - x / 2) * 2, w * losses)
            y[piece] = _sum_rows(np.where(w == 0, 0.0, terms))[:, 0]
        else:
            total = (w * losses).dot(ones((w.shape[1], 1), np.float64))[:, 0]
            if np.isnan(total.sum()):
                total = np.where(w == 0, 0.0, w * losses).sum(axis=1)
            y[piece] = total
    return _reduced(y, z.shape, axes)


@np.errstate(all="ignore")
def mean_cross_entropy_logits(z, q, n):
    """The sum of `cross_entropy_logits` divided by `n`; of few short numbers in fewer steps.

    Examples
    --------
    >>> float(mean_cross_entropy_logits(np.zeros((2, 4), np.float32), np.eye(2, 4, dtype=np.float32), 2.0))
    1.3862943649291992
    """
    if z.dtype != np.float64 and 0 < z.size <= PIECE:
        rows, weights = _as_rows(z, -1)[0], _as_rows(q, -1)[0].astype(np.float64)
        _, d, _, s = _exponentials(rows)
        # sum(w * (log1p(s) - d)), of which no part is negative
        total = np.vdot(weights.dot(ones((rows.shape[1], 1), np.float64)), np.log1p(s)) - np.vdot(weights, d)
        if not np.isnan(total):
            return np.asarray((total / n).astype(z.dtype))
    return mean_of_losses(cross_entropy_logits(z, q), n)


def _is_plain(x, wide):
    """Whether float64 adds up x as well as anything: its numbers have fewer digits, and none cancel."""
    return x.itemsize < 8 and x.size > 0 and wide.min() >= 0


@np.errstate(all="ignore")
def accurate_sum(x, axis=None):
    """The sum over an axis (a tuple of axes, or None for all), as if in twice float64's digits.

    Examples
    --------
    >>> float(accurate_sum(np.array([1e16, 1.0, -1e16])))
    1.0
    """
    rows, axes = _as_rows(x, axis)
    wide = rows.astype(np.float64, copy=False)
    total = wide.sum(axis=1) if _is_plain(rows, wide) else _sum_rows(wide)
    return _reduced(total.astype(rows.dtype), x.shape, axes)


@np.errstate(all="ignore")
def mean_of_losses(v, n=None):
    """The sum of all elements divided by `n`, their number by default; finite wherever the true mean is, and nan for no elements.

    Parameters
    ----------
    v : ndarray of float16, float32 or float64
    n : float, optional

    Returns
    -------
    ndarray () of v's dtype

    Examples
    --------
    >>> float(mean_of_losses(np.array([1.5e308, 1.5e308])))
    1.5e+308
    """
    v = np.asarray(v)
    n = v.size if n is None else n
    wide = v.astype(np.float64, copy=False)
    if _is_plain(v, wide):
        return np.asarray((wide.sum() / n).astype(v.dtype))
    # Scaling by a power of two is exact, and done only where numbers that it makes vanish cannot count.
    scale = v.size.bit_length() if v.size and np.abs(wide).max() > 1e290 else 0
    total = accurate_sum(np.ldexp(wide, -scale)) / np.float64(n)
    return np.asarray(np.ldexp(total, scale).astype(v.dtype))


def mean_of_squares(v):
    """The mean of the squares of all elements, as `mean_of_losses` gives it; float64 adds up those of shorter numbers.

    Examples
    --------
    >>> float(mean_of_squares(np.array([1.0, -2.0, 4.0])))
    7.0
    """
    if v.dtype == np.float64:
        with np.errstate(all="ignore"):
            return mean_of_losses(v * v)
    wide = v.astype(np.float64)
    mean = np.vdot(wide, wide) / v.size
    if 1e-4 < mean < 6e4:  # in the range of every dtype
        return np.array(mean, v.dtype)
    with np.errstate(all="ignore"):
        return np.array(mean, v.dtype)
