"""Data sets of sequences, and batches of those that are about as long as each other."""

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_samples, check_lengths
from nnscratch.data.batching import DataLoader
from nnscratch.data.datasets import Dataset
from nnscratch.data.text.sequences import as_sequence, pad_sequences


class SequenceDataset(Dataset):
    """Sequences of different lengths, with or without targets; a batch of them is padded to its longest.

    Parameters
    ----------
    sequences : sequence of array_like
        Each (T,) of whole numbers, such as a tokenizer's, or (T, ...) of numbers; of at least one element.
    *targets : array_like
        Of as many samples along axis 0.
    maxlen : int, optional
        What is longer is cut to this length.
    padding, truncating : str
        As in `pad_sequences`, but both at the end by default, as layers with ``lengths=`` expect them.

    Attributes
    ----------
    lengths : numpy.ndarray
        int64 (N,): the length of each, as it is cut.

    Raises
    ------
    TypeError
        If a sequence or a target does not hold numbers.
    ValueError
        If there are none, one is empty, or there are as many targets of another number.

    Examples
    --------
    >>> dataset = SequenceDataset([[1, 2, 3], [4], [5, 6]], [0, 1, 1])
    >>> x, lengths, y = dataset.batch([1, 2])
    >>> x.tolist(), lengths.tolist(), y.tolist()
    ([[4, 0], [5, 6]], [1, 2], [1, 1])
    """

    def __init__(self, sequences, *targets, maxlen=None, padding="post", truncating="post"):
        name = type(self).__name__
        self.maxlen = None if maxlen is None else arguments.count(name, "maxlen", maxlen)
        self.padding, self.truncating = padding, truncating
        self.sequences = [as_sequence(f"{name}: sequence {i}", s) for i, s in enumerate(sequences)]
        empty = [i for i, sequence in enumerate(self.sequences) if not len(sequence)]
        if empty or not self.sequences:
            got = f"sequence {empty[0]} of {len(self.sequences)} is empty" if empty else "there are no sequences"
            raise ValueError(f"{name}: {got}, expected at least one token in each; leave it out, or use an oov_token")
        self.targets = tuple(as_samples(f"{name}: target {i}", target) for i, target in enumerate(targets))
        check_lengths(name, (self.sequences, *self.targets))
        lengths = np.array([len(sequence) for sequence in self.sequences])
        self.lengths = lengths if maxlen is None else np.minimum(lengths, self.maxlen)
        whole = all(sequence.dtype.kind in "iu" for sequence in self.sequences)
        self._dtype = np.dtype(np.int32 if whole else np.float32)
        self.batch([0])  # refuses a wrong setting

    def __len__(self):
        return len(self.sequences)

    def __getitem__(self, index):
        """``(sequence, length, *targets)`` of one sample, uncut by others."""
        return tuple(part[0] for part in self.batch([index]))

    def batch(self, indices):
        """``(padded, lengths, *targets)``: (N, T) or (N, T, ...), the longest of these T long; int64 (N,); the targets' rows."""
        numbers = np.arange(len(self))[indices]
        chosen = [self.sequences[i] for i in numbers]
        lengths = self.lengths[numbers]
        settings = {"padding": self.padding, "truncating": self.truncating, "dtype": self._dtype}
        padded = pad_sequences(chosen, int(lengths.max()), **settings)
        return padded, lengths, *(target[numbers] for target in self.targets)


class BucketLoader(DataLoader):
    """Batches of sequences of similar length, so that little is padded.

    Samples are put in random order, sorted by length, so that equal lengths stay in that order, and cut into batches, and the
    batches are gone through in random order. All of it comes from `generator`: the same seed gives the same batches.

    Parameters
    ----------
    dataset : SequenceDataset
        Or anything with ``lengths`` beside ``__getitem__`` and ``__len__``.
    batch_size : int
    shuffle : bool
        Without it batches come by length, the shortest first, the same in each pass.
    **settings
        As in `DataLoader`.

    Yields
    ------
    tuple of numpy.ndarray
        ``(padded, lengths, *targets)``.

    Raises
    ------
    TypeError
        If `dataset` has no lengths, or a setting is not such.
    ValueError
        If no batch would be left.

    Examples
    --------
    >>> dataset = SequenceDataset([[1], [2, 2, 2], [3], [4, 4, 4], [5, 5]])
    >>> for x, lengths in BucketLoader(dataset, batch_size=2, shuffle=False):
    ...     print(x.tolist())
    [[1], [3]]
    [[5, 5, 0], [2, 2, 2]]
    [[4, 4, 4]]
    """

    def __init__(self, dataset, batch_size=64, shuffle=True, **settings):
        if not hasattr(dataset, "lengths"):
            raise TypeError(
                f"{type(self).__name__}: dataset is a {type(dataset).__name__} without lengths, expected a SequenceDataset; make one"
            )
        super().__init__(dataset, batch_size, shuffle, **settings)

    def _order(self):
        """By length, cut into batches, of which the one that is not whole stands last, whichever lengths it has."""
        lengths = np.asarray(self.dataset.lengths)
        if not self.shuffle:
            return np.argsort(lengths, kind="stable")
        order = self.generator.permutation(len(lengths))
        order = order[np.argsort(lengths[order], kind="stable")]
        whole, rest = divmod(len(order), self.batch_size)
        start = int(self.generator.integers(whole + 1)) * self.batch_size
        short = order[start : start + rest]
        batches = np.delete(order, np.s_[start : start + rest]).reshape(whole, self.batch_size)
        return np.concatenate([batches[self.generator.permutation(whole)].reshape(-1), short])
