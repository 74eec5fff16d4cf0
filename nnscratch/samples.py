"""Sample arguments for operations: what the tests and `nnscratch check` run each of them with.

A `Case` is a description that costs nothing at import: arrays are drawn when `Case.make` is called.
"""

import numpy as np

#: The kinds of arrays that keep a dtype of their own, and have no derivative.
FIXED = {"integers": np.int64, "mask": bool}


class Array:
    """An array to be drawn: its shape, and which values suit the operation."""

    def __init__(self, kind, shape, **details):
        self.kind, self.shape, self.details = kind, shape, details

    def __repr__(self):
        return f"{self.kind}{self.shape}"

    def make(self, rng, dtype=np.float64):
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


def normal(*shape):
    """Standard normal numbers."""
    return Array("normal", shape)


def positive(*shape):
    """Numbers from 0.5 to 2."""
    return Array("positive", shape)


def unit(*shape):
    """Numbers inside (0, 1)."""
    return Array("unit", shape)


def apart(*shape, shift=0.0):
    """Numbers that keep clear of each other and of 0, for operations with kinks and ties; a shift of 0.15 clears a second set of the first."""
    return Array("apart", shape, shift=shift)


def rows(*shape):
    """Positive rows that sum to 1."""
    return Array("rows", shape)


def integers(*shape, high):
    """Whole numbers from 0 to high - 1."""
    return Array("integers", shape, high=high)


def mask(*shape):
    """Booleans."""
    return Array("mask", shape)


class Case:
    """One set of arguments of an operation."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

    def __repr__(self):
        parts = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return ", ".join(parts)

    def make(self, rng, dtype=np.float64):
        """Draw the arrays: (args, kwargs)."""

        def draw(a):
            if isinstance(a, Array):
                return a.make(rng, dtype)
            return tuple(map(draw, a)) if type(a) is tuple else a

        return [draw(a) for a in self.args], {k: draw(v) for k, v in self.kwargs.items()}
