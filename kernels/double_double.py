"""Arithmetic beyond float64: sums and products with their rounding errors, an exponential of 110 bits.

A number is kept as an unevaluated sum of float64 arrays, largest first (Dekker 1971; Shewchuk 1997).
Everything here takes and returns float64 arrays. Infinities and nan are not meant to come here; where they
do, errors come out as nan.
"""

import functools
import math

import numpy as np

SPLITTER = 2.0**27 + 1


def two_sum(a, b):
    """a + b rounded, and its rounding error: their sum is exactly a + b (Knuth, TAOCP 2, 4.2.2).

    Examples
    --------
    >>> two_sum(1.0, 2.0**-60) == (1.0, 2.0**-60)
    True
    """
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def two_product(a, b):
    """a * b rounded, and its rounding error (Dekker 1971); exact between 2**-960 and 2**990.

    Examples
    --------
    >>> two_product(1 + 2.0**-30, 1 - 2.0**-30) == (1.0, -(2.0**-60))
    True
    """
    product = a * b
    high_a, high_b = SPLITTER * a, SPLITTER * b
    high_a, high_b = high_a - (high_a - a), high_b - (high_b - b)
    low_a, low_b = a - high_a, b - high_b
    return product, ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


def add(a, b):
    """The sum of two pairs (high, low), as a pair."""
    high, low = two_sum(a[0], b[0])
    return two_sum(high, low + (a[1] + b[1]))


def multiply(a, b):
    """The product of two pairs (high, low), as a pair."""
    high, low = two_product(a[0], b[0])
    return two_sum(high, low + (a[0] * b[1] + a[1] * b[0]))


def exact_sum(x):
    """Add the last axis in a tree, keeping every rounding error.

    Parameters
    ----------
    x : float64 ndarray (..., n)

    Returns
    -------
    total : ndarray (...)
    errors : ndarray (..., m)
        ``total`` plus the sum of these is exactly the sum of x.

    Examples
    --------
    >>> total, errors = exact_sum(np.array([1e100, 1.0, -1e100]))
    >>> float(total + errors.sum())
    1.0
    """
    errors = [x[..., :0]]
    if x.shape[-1] == 0:
        return x.sum(axis=-1), errors[0]
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        pairs, error = two_sum(x[..., :half], x[..., half : 2 * half])
        x = np.concatenate([pairs, x[..., 2 * half :]], axis=-1)
        errors.append(error)
    return x[..., 0], np.concatenate(errors, axis=-1)


def sum_rows(x):
    """The sum of each row of a matrix, with its rounding errors made good, on any device.

    Examples
    --------
    >>> sum_rows(np.array([[1e16, 1.0, -1e16]]))
    array([1.])
    """
    total, errors = exact_sum(x)
    better = total + errors.sum(axis=-1)
    return np.where(np.isfinite(better), better, total)


def sum_levels(*levels):
    """Add the last axes of arrays of falling size, as a pair: as if in 53 bits for each of them.

    Examples
    --------
    >>> high, low = sum_levels(np.array([1.0, -1.0]), np.array([2.0**-80]))
    >>> float(high + low) == 2.0**-80
    True
    """
    *levels, last = levels
    total = []
    errors = np.zeros((*last.shape[:-1], 0))
    for level in levels:
        high, errors = exact_sum(np.concatenate([level, errors], axis=-1))
        total.append(high)
    total.append(last.sum(axis=-1) + errors.sum(axis=-1))
    high, low = total[0], total[1]
    high, low = two_sum(high, low)
    for more in total[2:]:
        high, low = add((high, low), (more, 0.0))
    return high, low


STEP = 256  # The table's steps in one unit: small enough that a short series is left for the rest.
TERMS = 12
DOUBLE_TERMS = 5  # Later terms of the series are below 2**-61, so float64 holds them to 2**-113.


@functools.cache
def _constants():
    """ln 2 in three parts, exp(j/STEP) in three float64 columns, 1/n! as pairs; from 60 digits."""
    from decimal import Decimal, localcontext  # Here, since few programs ever need it.

    with localcontext() as context:
        context.prec = 60

        def parts(value, count):
            out = []
            for _ in range(count):
                out.append(float(value))
                value -= Decimal(out[-1])
            return out

        two = Decimal(2)
        ln2 = two.ln()
        # The first two parts have 40 bits, so that a multiple of up to 2**13 is exact.
        first = (ln2 * two**40).to_integral_value() / two**40
        second = ((ln2 - first) * two**80).to_integral_value() / two**80
        logs = float(first), float(second), float(ln2 - first - second)
        reach = STEP // 2
        table = np.array([parts((Decimal(j) / STEP).exp(), 3) for j in range(-reach, reach + 1)])
        factorials = [parts(1 / Decimal(math.factorial(n)), 2) for n in range(TERMS)]
    return logs, table, factorials


def exponential(x, shift=0):
    """exp(x) * 2**shift as five float64 arrays whose sum is right to about 2**-110 of it.

    ``x = k ln 2 + j/256 + r`` with integers k and j; the last two parts are a table's value times expm1(r),
    so for tiny x the sum less 1 keeps its digits.

    Parameters
    ----------
    x : float64 ndarray, at most 700

    Returns
    -------
    tuple of 5 ndarrays, first the largest

    Examples
    --------
    >>> [float(part) for part in exponential(np.array(0.0))]
    [1.0, 0.0, 0.0, 0.0, 0.0]
    """
    (log_first, log_second, log_third), table, factorials = _constants()
    x = np.maximum(x, -2000.0)
    k = np.rint(x / math.log(2))
    r, low = two_sum(x, -k * log_first)
    j = np.rint(r * STEP)
    r, error = two_sum(r - j / STEP, -k * log_second)
    r = two_sum(r, low + error - k * log_third)

    tail = np.zeros_like(x)
    for n in reversed(range(DOUBLE_TERMS + 1, TERMS)):
        tail = tail * r[0] + factorials[n][0]
    series = multiply((tail, 0.0), r)
    for n in reversed(range(2, DOUBLE_TERMS + 1)):
        series = multiply(add(series, factorials[n]), r)
    less_one = add(r, multiply(series, r))

    first, second, third = np.moveaxis(table[j.astype(np.intp) + STEP // 2], -1, 0)
    high, low = two_product(first, less_one[0])
    low = low + (first * less_one[1] + second * less_one[0])
    exponent = k.astype(np.intp) + shift
    return tuple(np.ldexp(part, exponent) for part in (first, second, third, high, low))
