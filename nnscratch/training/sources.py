"""What `fit`, `evaluate` and `predict` may be given: arrays, a data set, or any iterable of batches."""

import itertools

from nnscratch.arguments import check_lengths
from nnscratch.data.batching import DataLoader
from nnscratch.data.datasets import Dataset, IterableDataset, TensorDataset
from nnscratch.training.inventory import unchanged


class Source:
    """Batches of tuples of checked arrays, pass after pass.

    Parameters
    ----------
    what : str
        What asks, which begins errors.
    x, y
        As `Trainer.fit` takes them.
    convert : callable
        ``convert(what, value)`` is `value` as an array.

    Attributes
    ----------
    arrays : tuple of numpy.ndarray or None
        All data, where they are arrays.
    samples : int or None
        In a pass, where that is known.
    with_targets : bool
        Whether the last part of a batch is a target, as it is but where arrays are given alone.
    data
        Where they are no arrays, what was given.

    Examples
    --------
    >>> import numpy as np
    >>> source = Source("fit", [(np.zeros(2), np.ones(2)), (np.zeros(1), np.ones(1))], None, lambda what, a: a)
    >>> [len(x) for x, y in source.batches()], source.arrays is None
    ([2, 1], True)
    """

    def __init__(self, what, x, y, convert):
        self.what, self._convert = what, convert
        self.arrays = self.samples = self.data = None
        self.with_targets = y is not None or not _are_arrays(x)
        if type(x) is TensorDataset:
            x, y = x.tensors, None
        if y is not None or _are_arrays(x):
            named = _named(x, y)
            arrays = tuple(convert(f"{what}: {name}", value) for name, value in named)
            check_lengths(what, arrays)
            self._set(arrays)
        elif isinstance(x, Dataset | IterableDataset) or hasattr(x, "__iter__") or callable(x):
            self.data = x
            if isinstance(x, Dataset):
                self.samples = len(x)
            elif isinstance(x, DataLoader) and not isinstance(x.dataset, IterableDataset):
                self.samples = len(x) * x.batch_size if x.drop_last else len(x.dataset)
        else:
            raise TypeError(
                f"{what}: got a {type(x).__name__} as data, expected arrays, a Dataset, or an iterable of batches such as a "
                f"DataLoader; pass one of these"
            )

    def _set(self, arrays):
        self.arrays, self.samples = arrays, len(arrays[0])

    @property
    def once(self):
        """Whether there is only one pass: the data are an iterator, which is used up by it."""
        return self.data is not None and hasattr(self.data, "__next__")

    @property
    def settings(self):
        """What cuts a loader's batches; none for arrays."""
        loader = self.data
        names = ("batch_size", "shuffle", "drop_last") if isinstance(loader, DataLoader) else ()
        return {name: getattr(loader, name) for name in names}

    def split(self, share):
        """Keep all but the last samples, and return a source of these: `share` of all."""
        if self.arrays is None:
            raise ValueError(f"{self.what}: validation_split is for arrays; pass held-out data as validation_data")
        held_out = round(self.samples * share)
        if not 0 < held_out < self.samples:
            raise ValueError(
                f"{self.what}: validation_split {share} leaves {self.samples - held_out} of {self.samples} samples "
                f"for training, expected at least one and fewer than all; choose another share"
            )
        last = Source.__new__(Source)
        last.__dict__.update(vars(self))
        last._set(tuple(a[-held_out:] for a in self.arrays))
        self._set(tuple(a[:-held_out] for a in self.arrays))
        return last

    @property
    def own_batches(self):
        """Whether the data come in batches already."""
        return self.arrays is None and not isinstance(self.data, Dataset | IterableDataset)

    def single(self, batch_size, drop_last):
        """The last sample as a batch, where the last batch will have that alone, as far as is known without going through the data."""
        loader = self.data
        if isinstance(loader, list):
            return next((self._batch(n, b) for n, b in enumerate(loader, 1) if _first_length(b) == 1), None)
        if isinstance(loader, DataLoader):
            batch_size, drop_last, dataset = loader.batch_size, loader.drop_last, loader.dataset
        else:
            dataset = loader if self.arrays is None else TensorDataset(*self.arrays)
        if self.samples is None or isinstance(dataset, IterableDataset):
            return None
        samples = len(dataset)
        if batch_size > 1 and (samples % batch_size != 1 or (drop_last and samples > 1)):
            return None
        with unchanged(loader):
            (batch,) = itertools.islice(DataLoader(dataset, 1, collate_fn=getattr(loader, "collate_fn", None)), 1)
        return self._batch(samples, batch)

    def batches(self, batch_size=256, shuffle=False, drop_last=False, join_single=False):
        """A pass: an iterator of tuples of arrays. The order of arrays and data sets is drawn as this is called."""
        data = self.data if self.arrays is None else TensorDataset(*self.arrays)
        if isinstance(data, Dataset):
            data = DataLoader(data, batch_size, shuffle, drop_last=drop_last)
            data._join_single = join_single
            if self.arrays is not None:
                return iter(data) if shuffle else map(_copies, iter(data))
        elif isinstance(data, IterableDataset):
            data = DataLoader(data, batch_size, drop_last=drop_last)
        elif not hasattr(data, "__iter__"):
            data = data()
        return map(self._batch, itertools.count(1), iter(data))

    def _batch(self, number, batch):
        what = f"{self.what}: batch {number}"
        parts = batch if isinstance(batch, tuple | list) else (batch,)
        arrays = tuple(self._convert(f"{what}, part {i}", part) for i, part in enumerate(parts, 1))
        if not arrays:
            raise ValueError(f"{what} is an empty tuple, expected arrays such as (x, y); correct the loader")
        check_lengths(what, arrays)
        return _copies(arrays)


def _first_length(batch):
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    return len(first) if hasattr(first, "__len__") else None


def _copies(arrays):
    """Arrays that a model or an augmentation may change in place without changing the caller's, whose views they may be."""
    return tuple(a.copy() for a in arrays)


def held_out(what, data, convert, pair):
    """The source of validation data: a pair (x, y), or, where `pair` does not ask for that, arrays of any number; or batches.

    Raises
    ------
    TypeError
        Where a pair is asked for, and arrays are none.
    """
    if isinstance(data, tuple | list) and not (isinstance(data, list) and data and isinstance(data[0], tuple)):
        if len(data) == 2:
            return Source(what, *data, convert)
        if not pair:
            return Source(what, tuple(data), None, convert)
    if pair and (hasattr(data, "shape") or isinstance(data, tuple)):
        raise TypeError(f"{what} is no pair of inputs and targets; pass (x, y)")
    return Source(what, data, None, convert)


def _are_arrays(x):
    """Whether data are an array, a list of numbers, or a tuple of arrays, rather than batches."""
    if isinstance(x, list):
        return not (x and isinstance(x[0], tuple))
    return isinstance(x, tuple | str | int | float) or hasattr(x, "shape")


def _named(x, y):
    """The parts of data with their names: x may be a tuple of several inputs."""
    several = isinstance(x, tuple) and all(hasattr(part, "shape") and len(part.shape) for part in x)
    inputs = (
        [(f"x[{i}]", part) for i, part in enumerate(x)] if several and len(x) > 1 else [("x", x[0] if several else x)]
    )
    return inputs if y is None else [*inputs, ("y", y)]
