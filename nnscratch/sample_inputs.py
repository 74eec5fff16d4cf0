"""Sample arguments for operations: what the tests and `nnscratch check` run each of them with.

A `Case` is a description that costs nothing at import: arrays are drawn when `Case.make` is called.
"""

import numpy as np

#: The kinds of arrays that keep a dtype of their own, and have no derivative.
FIXED = {"integers": np.int64, "mask": bool}


class Array:
    """An array to be drawn: its shape, and which values suit the operation. Made by `normal` and the other functions here.

    Attributes
    ----------
    kind : str
        The name of that function.
    shape : tuple of int
    details : dict
        Its settings.

    Examples
    --------
    >>> array = normal(2, 3)
    >>> array, array.make(np.random.default_rng(0), np.float32).dtype
    (normal(2, 3), dtype('float32'))
    """

    def __init__(self, kind, shape, **details):
        self.kind, self.shape, self.details = kind, shape, details

    def __repr__(self):
        return f"{self.kind}{self.shape}"

    def make(self, rng, dtype=np.float64):
        """Draw it, in that dtype where it has none of its own."""
        return getattr(self, "_" + self.kind)(rng, **self.details).astype(FIXED.get(self.kind, dtype))

    def _normal(self, rng):
        return rng.standard_normal(self.shape)

    def _positive(self, rng):
        return rng.uniform(0.5, 2.0, self.shape)

    def _unit(self, rng):
        return rng.uniform(0.05, 0.95, self.shape)

    def _apart(self, rng, shift):
        # Values at least 0.1 apart and away from 0: clear of every tie and kink.
        n = int(np.prod(self.shape, dtype=int))
        values = (rng.permutation(n) - n // 2 + 0.5) * 0.3 + shift + rng.uniform(-0.05, 0.05, n)
        return values.reshape(self.shape)

    def _rows(self, rng):
        p = rng.uniform(0.1, 1.0, self.shape)
        return p / p.sum(-1, keepdims=True)

    def _integers(self, rng, high):
        return rng.integers(0, high, self.shape)

    def _mask(self, rng):
        return rng.random(self.shape) < 0.5

    def _given(self, rng, values):
        return values


def normal(*shape):
    """Standard normal numbers.

    Parameters
    ----------
    *shape : int
        Its lengths along each axis.

    Returns
    -------
    An `Array`, to be drawn by its ``make(rng)``.

    Examples
    --------
    >>> normal(2, 3).make(np.random.default_rng(0)).shape
    (2, 3)
    """
    return Array("normal", shape)


def positive(*shape):
    """Numbers from 0.5 to 2.

    Parameters
    ----------
    *shape : int
        Its lengths along each axis.

    Returns
    -------
    An `Array`, to be drawn by its ``make(rng)``.

    Examples
    --------
    >>> bool(positive(9).make(np.random.default_rng(0)).min() >= 0.5)
    True
    """
    return Array("positive", shape)


def unit(*shape):
    """Numbers inside (0, 1).

    Parameters
    ----------
    *shape : int
        Its lengths along each axis.

    Returns
    -------
    An `Array`, to be drawn by its ``make(rng)``.

    Examples
    --------
    >>> bool(unit(9).make(np.random.default_rng(0)).max() < 1)
    True
    """
    return Array("unit", shape)


def apart(*shape, shift=0.0):
    """Numbers that keep clear of each other and of 0, for operations with kinks and ties; a shift of 0.15 clears a second set of the first.

    Parameters
    ----------
    *shape : int
        Its lengths along each axis.
    shift : float
        Added to all of them.

    Returns
    -------
    An `Array`, to be drawn by its ``make(rng)``.

    Examples
    --------
    >>> x = apart(9).make(np.random.default_rng(0))
    >>> bool(np.diff(np.sort(x)).min() > 0.1 and np.abs(x).min() > 0.09)
    True
    """
    return Array("apart", shape, shift=shift)


def rows(*shape):
    """Positive rows that sum to 1.

    Parameters
    ----------
    *shape : int
        Its lengths along each axis.

    Returns
    -------
    An `Array`, to be drawn by its ``make(rng)``.

    Examples
    --------
    >>> rows(2, 3).make(np.random.default_rng(0)).sum(axis=1).round(12)
    array([1., 1.])
    """
    return Array("rows", shape)


def integers(*shape, high):
    """Whole numbers from 0 to high - 1; no gradient is asked for them.

    Parameters
    ----------
    *shape : int
        Its lengths along each axis.
    high : int

    Returns
    -------
    An `Array`, to be drawn by its ``make(rng)``.

    Examples
    --------
    >>> integers(4, high=3).make(np.random.default_rng(0)).dtype
    dtype('int64')
    """
    return Array("integers", shape, high=high)


def mask(*shape):
    """Booleans; no gradient is asked for them.

    Parameters
    ----------
    *shape : int
        Its lengths along each axis.

    Returns
    -------
    An `Array`, to be drawn by its ``make(rng)``.

    Examples
    --------
    >>> mask(4).make(np.random.default_rng(0)).dtype
    dtype('bool')
    """
    return Array("mask", shape)


class Case:
    """One set of arguments of an operation: arrays to be drawn, arrays as they are, and settings.

    Parameters
    ----------
    *args, **kwargs
        What the operation is called with: arrays to be drawn, arrays as they are, and settings.

    Examples
    --------
    >>> case = Case(normal(2, 3), axis=1)
    >>> case
    normal(2, 3), axis=1
    >>> args, kwargs = case.make(np.random.default_rng(0))
    >>> args[0].shape, kwargs
    ((2, 3), {'axis': 1})
    """

    def __init__(self, *args, **kwargs):
        self.args = tuple(map(_described, args))
        self.kwargs = {k: _described(v) for k, v in kwargs.items()}

    def __repr__(self):
        return ", ".join([*map(_short, self.args), *(f"{k}={_short(v)}" for k, v in self.kwargs.items())])

    def make(self, rng, dtype=np.float64):
        """Draw the arrays: (args, kwargs)."""

        def draw(a):
            if isinstance(a, Array):
                return a.make(rng, dtype)
            return tuple(map(draw, a)) if type(a) is tuple else a

        return [draw(a) for a in self.args], {k: draw(v) for k, v in self.kwargs.items()}


def _short(value):
    return f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else repr(value)


def _described(value):
    """A floating-point array given as it is can be differentiated as the drawn ones are."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return Array("given", value.shape, values=value)
    return value
