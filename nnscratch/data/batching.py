"""Batches of a data set, in order or shuffled from a seed."""

from nnscratch import checks
from nnscratch.backend import generator
from nnscratch.checks import as_samples, check_lengths


class batches:  # used as a function, like `range`
    """Cut a data set into batches along axis 0.

    Parameters
    ----------
    x : array_like or tuple of array_like
        Samples along axis 0; a tuple holds several inputs of one length.
    y : array_like or tuple of array_like, optional
        Targets, as many as samples.
    batch_size : int
        Samples in a batch; the last batch may be smaller.
    shuffle : bool
        Whether each pass takes the samples in a new random order.
    seed : int, numpy.random.Generator or None
        Where the orders come from: the same seed gives the same orders, pass after pass; None gives others
        each time. A Generator is drawn from once at the start of each pass.
    drop_last : bool
        Whether to leave out a last batch that is smaller than the others.

    Yields
    ------
    x or (x, y)
        Batches of the arrays, with their dtypes; a tuple stays a tuple. Without shuffling they are views.

    Raises
    ------
    TypeError
        If an array does not hold numbers, or ``batch_size`` or ``seed`` is not a whole number.
    ValueError
        If there are no samples, the lengths differ, ``batch_size`` is below 1, or no batch would be left.

    Examples
    --------
    >>> import numpy as np
    >>> for x, y in batches(np.arange(5), np.arange(5) * 10, batch_size=2):
    ...     print(x, y)
    [0 1] [ 0 10]
    [2 3] [20 30]
    [4] [40]
    >>> len(batches(np.zeros((100, 3)), batch_size=64, drop_last=True))
    1
    """

    def __init__(self, x, y=None, batch_size=64, shuffle=False, seed=None, drop_last=False):
        self._x = _as_tuple("batches: x", x)
        self._y = () if y is None else _as_tuple("batches: y", y)
        check_lengths("batches", self._x + self._y)
        self._pack_x = isinstance(x, tuple)
        self._pack_y = isinstance(y, tuple)
        self.batch_size = checks.count("batches", "batch_size", batch_size)
        self._generator = generator("batches", seed) if shuffle else None
        self._drop_last = drop_last
        if len(self) == 0:
            got = f"{len(self._x[0])} samples make no whole batch of {self.batch_size}"
            raise ValueError(f"batches: {got}, and drop_last=True drops the rest; use a smaller batch_size")

    def __len__(self):
        """Return the number of batches in a pass."""
        samples = len(self._x[0])
        return samples // self.batch_size if self._drop_last else -(-samples // self.batch_size)

    def __iter__(self):
        """Start a pass, drawing its order."""
        order = None if self._generator is None else self._generator.permutation(len(self._x[0]))
        return (self._batch(order, i * self.batch_size) for i in range(len(self)))

    def _batch(self, order, start):
        chosen = slice(start, start + self.batch_size)
        if order is not None:
            chosen = order[chosen]
        x = tuple(array[chosen] for array in self._x)
        y = tuple(array[chosen] for array in self._y)
        x = x if self._pack_x else x[0]
        if not self._y:
            return x
        return x, y if self._pack_y else y[0]


def _as_tuple(what, value):
    values = value if isinstance(value, tuple) else (value,)
    if not values:
        raise ValueError(f"{what} is an empty tuple, wants at least one array; pass an array or a tuple of arrays")
    return tuple(as_samples(what, array) for array in values)
