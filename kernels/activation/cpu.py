"""Elementary functions with NumPy: the definitions piece by piece, in fewer passes where there are any to save.

No kernel here gives a NumPy warning.
"""

import numpy as np

from ..pieces import by_pieces
from . import definition
from .definition import erf_near, erfc_positive

ONE = np.ones(())  # NumPy takes it more quickly than the number.

_wide_sigmoid = by_pieces(definition.sigmoid)
softplus = by_pieces(definition.softplus)


def sigmoid(x):
    """``1 / (1 + exp(-x))``, as the definition; of shorter numbers than float64 by fewer steps.

    Examples
    --------
    >>> sigmoid(np.array([-800.0, -2.0, 0.0, 800.0], np.float32))
    array([0.        , 0.11920292, 0.5       , 1.        ], dtype=float32)
    """
    if x.itemsize == 8:
        return _wide_sigmoid(x)
    return _small_sigmoid(x) if 0 < x.size <= LITTLE else _short_sigmoid(x)


#: Elements up to which it is quicker to keep exponentials finite than to tell NumPy not to warn of them.
LITTLE = 1 << 10
#: Beyond, the exponential of float64 is infinite; float32's sigmoid is 0 long before.
LOWEST = np.array(-700.0)


def _small_sigmoid(x):
    y = x.astype(np.float64)
    np.maximum(y, LOWEST, out=y)
    np.negative(y, y)
    np.exp(y, y)
    y += ONE
    return np.divide(ONE, y, y).astype(x.dtype)


@by_pieces
def _short_sigmoid(x):
    """Where exp(-x) is infinite in float64 the result is 0 in float32."""
    y = np.negative(x)
    np.exp(y, y)
    y += ONE
    return np.divide(ONE, y, y)


def _choose(condition, x, yes, no):
    """yes(x) where the condition holds, no(x) elsewhere: each computed only where it is used."""
    y = np.empty_like(x)
    y[condition] = yes(x[condition])
    y[~condition] = no(x[~condition])
    return y


@by_pieces
def erf(x):
    """The error function, as the definition, each of its two formulas only where it counts."""

    def far(x):
        return np.copysign(1 - erfc_positive(np.abs(x)), x)

    return _choose(np.abs(x) < 1, x, erf_near, far)


@by_pieces
def erfc(x):
    """``1 - erf(x)``, as the definition, each of its two formulas only where it counts."""

    def far(x):
        y = erfc_positive(np.abs(x))
        return np.where(x < 0, 2 - y, y)

    return _choose((x > -1) & (x < 0.5), x, lambda x: 1 - erf_near(x), far)
