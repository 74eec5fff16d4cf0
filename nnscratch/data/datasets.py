"""Data sets: samples by number, whole arrays of them, parts of them, and samples that come one after another."""

import contextlib

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_data, as_samples, check_lengths
from nnscratch.backend import generator as as_generator
from nnscratch.hints import of_size
from nnscratch.tensor import Tensor


class Dataset:
    """Samples by number; a new one writes ``__getitem__`` and ``__len__``.

    A sample is a number, an array, or a tuple of these, such as (input, target). Where there are Tensors among them, so are a batch's
    parts.

    Examples
    --------
    >>> class Squares(Dataset):
    ...     def __getitem__(self, index):
    ...         return float(index), float(index**2)
    ...
    ...     def __len__(self):
    ...         return 4
    >>> Squares().batch([1, 3])
    (array([1., 3.], dtype=float32), array([1., 9.], dtype=float32))
    """

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__}: has no samples; write `def __getitem__(self, index)`")

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__}: has no length; write `def __len__(self)`")

    def batch(self, indices):
        """The samples of some numbers (a slice, or a sequence of whole numbers) as one batch.

        A data set that has its samples in arrays writes this to take them all at once.
        """
        return collate(samples(self, indices))


class TensorDataset(Dataset):
    """Arrays of one length: sample i is the tuple of their i-th rows.

    Parameters
    ----------
    *tensors : array_like or Tensor
        Of as many samples along axis 0; kept as NumPy arrays.

    Attributes
    ----------
    tensors : tuple of numpy.ndarray

    Raises
    ------
    TypeError
        If there is none, or one does not hold numbers.
    ValueError
        If the lengths differ, or there are no samples.

    Examples
    --------
    >>> dataset = TensorDataset([[0.5], [1.5], [2.5]], [0, 1, 1])
    >>> len(dataset), dataset[1]
    (3, (array([1.5], dtype=float32), np.int64(1)))
    """

    def __init__(self, *tensors):
        if not tensors:
            raise TypeError("TensorDataset: got no arrays, expected at least one; pass for example x, y")
        self.tensors = tuple(as_samples(f"TensorDataset: array {i}", array) for i, array in enumerate(tensors))
        check_lengths("TensorDataset", self.tensors)

    def __getitem__(self, index):
        return tuple(array[index] for array in self.tensors)

    def __len__(self):
        return len(self.tensors[0])

    def batch(self, indices):
        """The rows of some numbers of each array: views for a slice, else copies."""
        return self[indices]


class Subset(Dataset):
    """The samples of a data set with certain numbers.

    Parameters
    ----------
    dataset : Dataset
    indices : sequence of int

    Attributes
    ----------
    indices : numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        If `indices` are no numbers of samples.

    Examples
    --------
    >>> part = Subset(TensorDataset([10, 20, 30, 40]), [3, 0])
    >>> len(part), part[0], part.batch([0, 1])
    (2, (np.int64(40),), (array([40, 10]),))
    """

    def __init__(self, dataset, indices):
        size = length("Subset", dataset)
        self.dataset = dataset
        self.indices = np.asarray(indices)
        if self.indices.ndim != 1 or (self.indices.size and self.indices.dtype.kind not in "iu"):
            raise TypeError(f"Subset: indices is {type(indices).__name__}, expected whole numbers; pass a list of them")
        if self.indices.size and not -size <= self.indices.min() <= self.indices.max() < size:
            raise ValueError(
                f"Subset: indices go beyond the data set's {size} samples; pass numbers from 0 to {size - 1}"
            )

    def __getitem__(self, index):
        return self.dataset[int(self.indices[index])]

    def __len__(self):
        return len(self.indices)

    def batch(self, indices):
        """The samples of some numbers as one batch, made by the data set itself."""
        return batch(self.dataset, self.indices[indices])


class IterableDataset:
    """Samples that come one after another, of a number that may be unknown; a new one writes ``__iter__``.

    Examples
    --------
    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(5))
    >>> from nnscratch.data import DataLoader
    >>> [batch.tolist() for batch in DataLoader(Count(), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__}: has no samples; write `def __iter__(self)`")


def random_split(dataset, lengths, generator=None):
    """Divide a data set at random into parts that do not overlap.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int or of float
        The parts' numbers of samples; or their shares, which add up to 1 (what rounding down leaves goes to the first parts,
        one sample each).
    generator : int, numpy.random.Generator or None
        Where the random order comes from; None is the generator that `ns.manual_seed` seeds.

    Returns
    -------
    list of Subset

    Raises
    ------
    TypeError, ValueError
        If an argument is not such, or the parts do not make the whole.

    Examples
    --------
    >>> parts = random_split(TensorDataset(np.arange(10)), [0.7, 0.3], generator=0)
    >>> [len(part) for part in parts]
    [7, 3]
    """
    size = length("random_split", dataset)
    lengths = [arguments.number("random_split", "a length", n, 0) for n in lengths]
    if abs(sum(lengths) - 1) < 1e-9 and size != 1:
        shares, lengths = lengths, [int(size * share + 1e-9) for share in lengths]
        for i in range(size - sum(lengths)):
            lengths[i % len(shares)] += 1
    if sum(lengths) != size or any(n != int(n) for n in lengths):
        raise ValueError(
            f"random_split: the lengths {lengths} do not make the {size} samples; pass whole numbers with that sum, or shares "
            f"with the sum 1"
        )
    order = as_generator("random_split", generator).permutation(size)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(lengths)[:-1].astype(int))]


def length(owner, dataset):
    """The number of a data set's samples.

    Raises
    ------
    TypeError
        Where it is no data set with numbered samples.

    Examples
    --------
    >>> length("Subset", [5, 6])
    2
    """
    sized = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and getattr(dataset, "shape", None) != ()
    if not sized or isinstance(dataset, str | dict):
        raise TypeError(
            f"{owner}: dataset is a {type(dataset).__name__}, expected a Dataset; pass for example "
            f"ns.data.TensorDataset(x, y), or write __getitem__ and __len__"
        )
    with _sizes():
        return len(dataset)


def samples(dataset, indices):
    """The samples of some numbers (a slice, or a sequence), as a list."""
    numbers = range(len(dataset))[indices] if isinstance(indices, slice) else indices
    with _sizes():
        return [dataset[int(i)] for i in numbers]


@contextlib.contextmanager
def _sizes():
    """Within this block errors of a user's code that calls a tensor's size say what PyTorch's method is called here."""
    try:
        yield
    except TypeError as error:
        of_size(error)
        raise


def batch(dataset, indices):
    """A data set's batch of some numbers, also of a data set that is no `Dataset`, such as a list."""
    return dataset.batch(indices) if isinstance(dataset, Dataset) else collate(samples(dataset, indices))


def collate(samples):
    """Samples as one batch: each part of theirs stacked along a new first axis; Tensors where there are such among the parts.

    Raises
    ------
    TypeError
        Where samples are neither numbers, arrays nor tuples of these.
    ValueError
        Where they differ in shape or in their number of parts.

    Examples
    --------
    >>> collate([([1.0, 2.0], 0), ([3.0, 4.0], 1)])
    (array([[1., 2.],
           [3., 4.]], dtype=float32), array([0, 1]))
    """
    if not isinstance(samples[0], tuple):
        arrays = [as_data("DataLoader: a sample", sample) for sample in samples]
        if len({array.shape for array in arrays}) > 1:
            shapes = sorted({array.shape for array in arrays})
            raise ValueError(
                f"DataLoader: samples of one batch have shapes {shapes[0]} and {shapes[1]}; pass a collate_fn that makes a "
                f"batch of them"
            )
        return Tensor(np.stack(arrays)) if isinstance(samples[0], Tensor) else np.stack(arrays)
    sizes = sorted({len(sample) if isinstance(sample, tuple) else 0 for sample in samples})
    if len(sizes) > 1:
        raise ValueError(f"DataLoader: samples of one batch have {sizes[0]} and {sizes[1]} parts; give all as many")
    parts = [collate(list(part)) for part in zip(*samples, strict=True)]
    if any(isinstance(part, Tensor) for part in parts):
        parts = [part if isinstance(part, Tensor | tuple) else Tensor(part) for part in parts]
    return tuple(parts)
