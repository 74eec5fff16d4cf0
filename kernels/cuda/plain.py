"""Every kernel of the table in terms of array functions alone: what the CUDA kernels are tested against.

NumPy's functions hand arrays of CuPy on to CuPy, so that all of this runs on either; `nnscratch.backend.cuda` takes a kernel
from here where there is none in CUDA C++. Names, arguments and results are those of `nnscratch.kernels`.
"""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..double_double import two_sum
from ..float16 import through_float32
from ..numerics import ERF_NEAR, ERFC_FAR
from ..scatter.definition import one_hot

# Normalisation


def _standardized(x, axes, eps, centred):
    d = x - np.mean(x, axes, keepdims=True) if centred else x
    root = np.sqrt(np.mean(d * d, axes, keepdims=True) + eps)
    return d / root, root


def moments(x, axes):
    """Means and variances over axes."""
    return np.mean(x, axes), np.var(x, axes)


@through_float32
def standardize(x, axes, eps, weight=None, bias=None, centred=True):
    """Standardised values, times the weight, plus the bias."""
    y, _ = _standardized(x, axes, eps, centred)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@through_float32
def standardize_input(d, x, axes, eps, weight=None, centred=True):
    """The gradient of `standardize` by x."""
    y, root = _standardized(x, axes, eps, centred)
    h = d if weight is None else d * weight
    out = h - y * np.mean(h * y, axes, keepdims=True)
    return (out - np.mean(h, axes, keepdims=True) if centred else out) / root


@through_float32
def standardize_weight(d, x, shape, axes, eps, centred=True):
    """The gradient of `standardize` by a weight of that shape."""
    terms = d * _standardized(x, axes, eps, centred)[0]
    extra = terms.ndim - len(shape)
    over = tuple(i for i in range(terms.ndim) if i < extra or shape[i - extra] == 1)
    return terms.sum(over).reshape(shape)


# Functions and losses: short numbers are computed in float64 and rounded once, as on the CPU


def _wide(x):
    return x.astype(np.float64, copy=False)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    e = np.exp(-np.abs(_wide(x)))
    return (np.where(x >= 0, 1.0, e) / (1 + e)).astype(x.dtype, copy=False)


def tanh(x):
    """The hyperbolic tangent."""
    return np.tanh(x)


def softplus(x):
    """log(1 + exp(x))."""
    wide = _wide(x)
    return (np.maximum(wide, 0) + np.log1p(np.exp(-np.abs(wide)))).astype(x.dtype, copy=False)


def _polynomial(coefficients, t):
    y = np.full_like(t, coefficients[-1])
    for c in coefficients[-2::-1]:
        y = y * t + c
    return y


def _erf_near(x):
    x = np.clip(x, -1, 1)
    return x * _polynomial(ERF_NEAR, 2 * x * x - 1)


def _erfc_positive(x):
    x = np.minimum(np.abs(x), 30.0)
    high = np.rint(x * 2.0**20) * 2.0**-20
    rest = (high - x) * (high + x)
    y = np.exp(-high * high) * (_polynomial(ERFC_FAR, (x - 4) / (x + 4)) / (1 + 2 * x))
    return y + y * (rest * (1 + rest * (0.5 + rest / 6)))


def erf(x):
    """The error function."""
    wide = _wide(x)
    y = np.where(np.abs(wide) < 1, _erf_near(wide), np.copysign(1 - _erfc_positive(wide), wide))
    return np.where(np.isnan(wide), wide, y).astype(x.dtype, copy=False)


def erfc(x):
    """1 - erf(x), without cancellation."""
    wide = _wide(x)
    far = _erfc_positive(wide)
    y = np.where((wide > -1) & (wide < 0.5), 1 - _erf_near(wide), np.where(wide < 0, 2 - far, far))
    return np.where(np.isnan(wide), wide, y).astype(x.dtype, copy=False)


def _as_rows(x, axis):
    """x as a matrix whose rows hold the elements of some axes, and those axes."""
    axes = sorted(normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim))
    others = [a for a in range(x.ndim) if a not in axes]
    shape = math.prod(x.shape[a] for a in others), math.prod(x.shape[a] for a in axes)
    return x.transpose(others + axes).reshape(shape), axes


def _from_rows(rows, shape, axes):
    order = [a for a in range(len(shape)) if a not in axes] + axes
    back = [order.index(a) for a in range(len(shape))]
    return rows.reshape([shape[a] for a in order]).transpose(back).copy()


def _reduced(values, shape, axes, keepdims=False):
    return values.reshape([1 if a in axes else n for a, n in enumerate(shape) if keepdims or a not in axes])


def _exponentials(rows):
    """The greatest element of each row, x less it with the rounding error, exp of that, and their sum without the first of the greatest."""
    x = _wide(rows)
    largest = np.argmax(x, axis=1)[:, None]
    m = np.take_along_axis(x, largest, 1)
    d, error = two_sum(x, -m)
    error = np.where(np.isfinite(error), error, 0.0)
    e = np.exp(d)
    e = e + e * error
    places = np.cumsum(np.ones_like(largest, shape=(1, x.shape[1])), axis=1) - 1
    rest = np.where(places == largest, 0.0, e)
    return m, d, e, _sum_rows(rest)[:, None]


def _sum_rows(x):
    """Row sums with their rounding errors made good: pairs are added in a tree, and what each loses is kept."""
    errors = np.zeros_like(x, shape=(len(x),))
    if x.shape[1] == 0:
        return errors
    while x.shape[1] > 1:
        half = x.shape[1] // 2
        pairs, lost = two_sum(x[:, :half], x[:, half : 2 * half])
        x = np.concatenate([pairs, x[:, 2 * half :]], axis=1)
        errors = errors + lost.sum(axis=1)
    better = x[:, 0] + errors
    return np.where(np.isfinite(better), better, x[:, 0])


def softmax(x, axis):
    """exp(x) / sum(exp(x))."""
    rows, axes = _as_rows(x, axis)
    if x.size:
        _, _, e, s = _exponentials(rows)
        rows = (e / (1 + s)).astype(x.dtype, copy=False)
    return _from_rows(rows, x.shape, axes)


def log_softmax(x, axis):
    """x - log(sum(exp(x)))."""
    rows, axes = _as_rows(x, axis)
    if x.size:
        _, d, _, s = _exponentials(rows)
        rows = (d - np.log1p(s)).astype(x.dtype, copy=False)
    return _from_rows(rows, x.shape, axes)


def logsumexp(x, axis, keepdims=False):
    """log(sum(exp(x))); of nothing, -inf."""
    rows, axes = _as_rows(x, axis)
    if not rows.shape[1]:
        return _reduced(np.full_like(x, -np.inf, shape=(len(rows),)), x.shape, axes, keepdims)
    m, _, _, s = _exponentials(rows)
    result = np.where(np.isinf(m), m, m + np.log1p(s))
    return _reduced(result.astype(x.dtype, copy=False), x.shape, axes, keepdims)


def cross_entropy_logits(z, q):
    """-sum(q * log_softmax(z)) over the last axis."""
    rows, axes = _as_rows(z, -1)
    weights = _wide(_as_rows(q, -1)[0])
    if not rows.shape[1]:
        return np.zeros_like(z, shape=(len(rows),)).reshape(z.shape[:-1])
    m, d, _, s = _exponentials(rows)
    wide = _wide(rows)
    over = np.isinf(d) & np.isfinite(wide)
    terms = np.where(over, weights * (m / 2 - wide / 2) * 2, weights * (np.log1p(s) - d))
    total = _sum_rows(np.where(weights == 0, 0.0, terms))
    return _reduced(total.astype(z.dtype, copy=False), z.shape, axes)


def mean_cross_entropy_logits(z, q, n):
    """The sum of `cross_entropy_logits` divided by n."""
    return mean_of_losses(cross_entropy_logits(_wide(z), _wide(q)), n).astype(z.dtype, copy=False)


def label_losses(z, labels, n=None):
    """The cross-entropy with labels: of each row, or with `n` the sum divided by it."""
    q = one_hot(labels, z.shape[-1], z.dtype)
    return cross_entropy_logits(z, q) if n is None else mean_cross_entropy_logits(z, q, n)


def label_errors(z, labels):
    """softmax(z), less 1 at each label."""
    return softmax(z, -1) - one_hot(labels, z.shape[-1], z.dtype)


def binary_cross_entropy_logits(z, y):
    """-y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z)), elementwise."""
    wide, target = _wide(z), _wide(y)
    size, weight = np.abs(wide), np.where(wide > 0, 1 - target, target)
    return (np.where(weight == 0, 0.0, size * weight) + np.log1p(np.exp(-size))).astype(z.dtype, copy=False)


def accurate_sum(x, axis=None):
    """The sum over axes, as if in twice float64's digits."""
    rows, axes = _as_rows(x, axis)
    return _reduced(_sum_rows(_wide(rows)).astype(x.dtype, copy=False), x.shape, axes)


def mean_of_losses(v, n=None):
    """The sum of all elements divided by n, their number by default; finite wherever the true mean is."""
    n = v.size if n is None else n
    if not v.size:
        return np.full_like(v, np.nan, shape=(1,)).reshape(())
    scale = 2.0 ** -v.size.bit_length()  # exact but for numbers that cannot count beside those near overflow
    wide = _wide(v)
    scale = np.where(np.max(np.abs(wide)) > 1e290, scale, 1.0)
    return (accurate_sum(wide * scale) / n / scale).astype(v.dtype, copy=False)


def mean_of_squares(v):
    """The mean of the squares of all elements."""
    wide = _wide(v)
    return mean_of_losses(wide * wide).astype(v.dtype, copy=False)


# Random numbers


def mask(shape, dtype, p, seed, offset=0):
    """What dropout multiplies by: 0 where a random number is below p, else 1 / (1 - p).

    Number i is the first 24 bits of word i % 4 of Philox 4x32-10 (Salmon et al., 2011) of counter offset + i // 4.
    """
    from .runtime import xp

    n = math.prod(shape)
    words = np.stack(_philox(xp().arange(offset, offset + -(-n // 4), dtype=np.uint64), seed), axis=1).reshape(-1)[:n]
    numbers = (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    return ((numbers >= np.float32(p)) * dtype.type(1 / (1 - p))).reshape(shape)


def _philox(counter, seed):
    """The four words, as uint64, of each counter."""
    low = np.uint64(0xFFFFFFFF)
    x = [counter & low, counter >> np.uint64(32), np.zeros_like(counter), np.zeros_like(counter)]
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        a, b = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        x = [
            (b >> np.uint64(32)) ^ x[1] ^ np.uint64(key[0]),
            b & low,
            (a >> np.uint64(32)) ^ x[3] ^ np.uint64(key[1]),
            a & low,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return x
