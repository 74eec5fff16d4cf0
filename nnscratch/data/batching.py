"""Batches of a data set, in order or shuffled from a seed, and made by threads ahead of their use."""

import collections
import contextlib
import functools
import itertools
from concurrent.futures import ThreadPoolExecutor

from nnscratch import arguments
from nnscratch.arguments import as_samples, check_lengths
from nnscratch.backend import generator as as_generator
from nnscratch.data.datasets import IterableDataset, Subset, TensorDataset, batch, collate, length, samples
from nnscratch.data.seeding import batch_generator
from nnscratch.hints import hinting


class DataLoader:
    """A data set's batches, pass after pass, made by threads ahead of their use if asked for.

    A batch is what the samples are, stacked: a tuple of arrays for samples that are tuples, else an array; Tensors for Tensors. Arrays of a
    `TensorDataset` are cut as a whole. The order of samples, and all numbers drawn by `ns.data.generator` or by the
    augmentations of `ns.data` while a batch is made, are the same whatever the number of threads.

    Parameters
    ----------
    dataset : Dataset, IterableDataset, or anything with ``__getitem__`` and ``__len__``
    batch_size : int
        Samples in a batch; the last batch may be smaller.
    shuffle : bool
        Whether each pass takes the samples in a new random order.
    num_workers : int
        How many threads make batches ahead of their use; with 0 each is made when it is asked for. Threads help where samples
        are read from files, or made by functions of NumPy's on large arrays. An `IterableDataset` is gone through by one.
    collate_fn : callable, optional
        Makes a batch of a list of samples; by default their parts are stacked.
    drop_last : bool
        Whether to leave out a last batch that is smaller than the others.
    generator : int, numpy.random.Generator or None
        Where orders, and the generators of batches, come from; None is the generator that `ns.manual_seed` seeds. It is drawn
        from at the start of each pass.
    prefetch_factor : int
        How many batches each thread may be ahead.

    Yields
    ------
    numpy.ndarray or tuple of numpy.ndarray
        Without shuffling, views of a `TensorDataset`'s arrays.

    Raises
    ------
    TypeError
        If an argument is not such.
    ValueError
        If there are no samples, no batch would be left, or an `IterableDataset` is to be shuffled.

    Examples
    --------
    >>> import numpy as np
    >>> dataset = TensorDataset(np.arange(5), np.arange(5) * 10)
    >>> for x, y in DataLoader(dataset, batch_size=2, num_workers=2):
    ...     print(x, y)
    [0 1] [ 0 10]
    [2 3] [20 30]
    [4] [40]
    """

    @hinting
    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=False,
        *,
        num_workers=0,
        collate_fn=None,
        drop_last=False,
        generator=None,
        prefetch_factor=2,
    ):
        name = type(self).__name__
        self.dataset = dataset
        self.batch_size = arguments.count(name, "batch_size", batch_size)
        self.shuffle, self.drop_last = (
            arguments.flag(name, "shuffle", shuffle),
            arguments.flag(name, "drop_last", drop_last),
        )
        self.num_workers = arguments.count(name, "num_workers", num_workers, 0)
        self.prefetch_factor = arguments.count(name, "prefetch_factor", prefetch_factor)
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"{name}: collate_fn is {collate_fn!r}, expected a function of a list of samples; pass one")
        self.collate_fn = collate_fn
        self.generator = as_generator(name, generator)
        #: Whether a last batch of a single sample is joined to the batch before, for a Trainer whose model cannot learn from one.
        self._join_single = False
        self._in_sequence = isinstance(dataset, IterableDataset)
        if self._in_sequence and shuffle:
            raise ValueError(f"{name}: an IterableDataset has one order; pass shuffle=False, or shuffle within it")
        if not self._in_sequence:
            size = length(name, dataset)
            if not _number_of_batches(size, self.batch_size, drop_last):
                rest = ", and drop_last=True drops the rest; use a smaller batch_size" if size else "; add some"
                raise ValueError(f"{name}: {size} samples make no whole batch of {self.batch_size}{rest}")

    def __len__(self):
        """Return the number of batches in a pass."""
        if self._in_sequence:
            raise TypeError(
                f"{type(self).__name__}: the length of an IterableDataset is unknown; count while it is used"
            )
        return _number_of_batches(len(self.dataset), self.batch_size, self.drop_last)

    def __iter__(self):
        """Start a pass, drawing its order."""
        order = self._order()
        # Rows of arrays are taken without drawing anything.
        seed = None if self.collate_fn is None and _in_arrays(self.dataset) else int(self.generator.integers(2**63))
        if self._in_sequence:
            coming = iter(self.dataset)
            tasks = (functools.partial(self._next, coming, seed, n) for n in itertools.count())
        else:
            chosen = enumerate(_chosen(len(self.dataset), self.batch_size, self.drop_last, order, self._join_single))
            tasks = (functools.partial(self._take, indices, seed, n) for n, indices in chosen)
        if not self.num_workers:
            made = (task() for task in tasks)
        else:  # by one thread where each batch begins where the one before ended
            workers = 1 if self._in_sequence else self.num_workers
            made = _made_ahead(tasks, workers, self.num_workers * self.prefetch_factor)
        return _until_none(made)

    def _order(self):
        """The order of the samples in a pass; None for that in which they stand."""
        return self.generator.permutation(len(self.dataset)) if self.shuffle else None

    def _take(self, indices, seed, number):
        """The batch of some samples."""
        with contextlib.nullcontext() if seed is None else batch_generator([seed, number]):
            if self.collate_fn is None:
                return batch(self.dataset, indices)
            return self.collate_fn(samples(self.dataset, indices))

    def _next(self, coming, seed, number):
        """The batch of the samples that come next; None at the end."""
        with batch_generator([seed, number]):
            found = list(itertools.islice(coming, self.batch_size))
            if not found or (self.drop_last and len(found) < self.batch_size):
                return None
            return (self.collate_fn or collate)(found)


def _number_of_batches(samples, batch_size, drop_last):
    return samples // batch_size if drop_last else -(-samples // batch_size)


def _chosen(samples, batch_size, drop_last, order, join_single=False):
    """Which samples each batch has: slices, or parts of an order."""
    batches = _number_of_batches(samples, batch_size, drop_last)
    joined = join_single and not drop_last and batches > 1 and samples % batch_size == 1
    for i in range(batches - joined):
        chosen = slice(i * batch_size, (i + 1) * batch_size + (joined and i == batches - 2))
        yield chosen if order is None else order[chosen]


def _in_arrays(dataset):
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return type(dataset) is TensorDataset


def _made_ahead(tasks, workers, most):
    """What tasks return, in their order, computed by threads, with at most so many tasks under way.

    What a task raises is raised here; when the loop over this ends, however it ends, so do the threads.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="DataLoader") as pool:
        waiting: collections.deque = collections.deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(task))
                if len(waiting) == most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _until_none(made):
    """What comes before the first None; the rest is given up at once."""
    with contextlib.closing(made):
        for found in made:
            if found is None:
                return
            yield found


class batches(DataLoader):  # used as a function, like `range`
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
        inputs = _as_tuple("batches: x", x)
        targets = () if y is None else _as_tuple("batches: y", y)
        check_lengths("batches", inputs + targets)
        self._inputs, self._pack_x, self._pack_y = len(inputs), isinstance(x, tuple), isinstance(y, tuple)
        seed = as_generator("batches", seed) if shuffle else None
        super().__init__(
            TensorDataset(*inputs, *targets), batch_size, bool(shuffle), drop_last=bool(drop_last), generator=seed
        )

    def __iter__(self):
        """Start a pass, drawing its order."""
        return map(self._packed, super().__iter__())

    def _packed(self, arrays):
        x, y = arrays[: self._inputs], arrays[self._inputs :]
        x = x if self._pack_x else x[0]
        if not y:
            return x
        return x, y if self._pack_y else y[0]


def _as_tuple(what, value):
    values = value if isinstance(value, tuple) else (value,)
    if not values:
        raise ValueError(f"{what} is an empty tuple, wants at least one array; pass an array or a tuple of arrays")
    return tuple(as_samples(what, array) for array in values)
