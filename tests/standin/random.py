"""CuPy's generator: the few distributions that CuPy draws on the device."""

import numpy as np

from .core import wrap


class Generator:
    """Random numbers drawn on the device, from a seed."""

    def __init__(self, seed=None):
        self._rng = np.random.default_rng(seed)

    def random(self, size=None, dtype=np.float64):
        """Uniform numbers in [0, 1)."""
        return wrap(np.asarray(self._rng.random(size, dtype)))

    def standard_normal(self, size=None, dtype=np.float64):
        """Standard normal numbers."""
        return wrap(np.asarray(self._rng.standard_normal(size, dtype)))

    def integers(self, low, high=None, size=None, dtype=np.int64):
        """Whole numbers from low up to below high."""
        return wrap(np.asarray(self._rng.integers(low, high, size, dtype)))


def default_rng(seed=None):
    """A generator from a seed."""
    return Generator(seed)
