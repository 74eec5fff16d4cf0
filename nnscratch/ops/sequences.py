"""Sequences of different lengths: padded to one array and back, and packed, so that no step is spent on padding.

A packed batch holds the rows of all steps one after another: of the first step those of all sequences, the longest
first, of each later step those that are not at their end. So what belongs to a step lies together, and the sequences
that go on are always the first rows of the step before.
"""

import functools
import itertools

import numpy as np

from nnscratch import backend
from nnscratch.arguments import count
from nnscratch.autograd import describe
from nnscratch.ops.index import put, put_add, take
from nnscratch.ops.operands import backend_of, raw
from nnscratch.ops.shape import concatenate, operand, reshape


class PackedSequence:
    """A batch of sequences without its padding: what `pack_padded_sequence` returns, and recurrent layers take.

    Parameters
    ----------
    data : (rows, ...) Tensor or array
        The steps of all sequences, step by step, and in each step the longest sequence first.
    batch_sizes : sequence of int
        How many sequences have a first, a second, a third ... step; it never grows.
    sorted_indices, unsorted_indices : array of int, optional
        Which sequence of the batch is the longest, the second longest ...; and the other way round. None: they were sorted.

    Raises
    ------
    ValueError
        Where the sizes grow, are below 1, or do not add up to the number of rows.

    Examples
    --------
    >>> import nnscratch as ns
    >>> packed = ns.nn.utils.rnn.pack_padded_sequence(ns.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]]), [3, 2])
    >>> packed.data, packed.batch_sizes
    (tensor([1., 2., 3., 4., 5.]), (2, 2, 1))
    """

    def __init__(self, data, batch_sizes, sorted_indices=None, unsorted_indices=None):
        data = operand(data)
        self.data = data
        #: A tuple, so that an operation can have it as a setting.
        self.batch_sizes = batch_sizes if type(batch_sizes) is tuple else tuple(int(n) for n in raw(batch_sizes))
        check_batch_sizes("PackedSequence", data, self.batch_sizes)
        self.sorted_indices = None if sorted_indices is None else np.asarray(raw(sorted_indices))
        if unsorted_indices is None and sorted_indices is not None:
            unsorted_indices = np.argsort(self.sorted_indices)
        self.unsorted_indices = None if unsorted_indices is None else np.asarray(raw(unsorted_indices))

    def __repr__(self):
        return f"PackedSequence({describe(self.data)}, batch_sizes={self.batch_sizes})"

    def with_data(self, data):
        """The same sequences with other values for their steps."""
        return PackedSequence(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)


@functools.lru_cache(maxsize=256)
def _add_up(batch_sizes, rows):
    """Whether whole numbers are from 1 up, never grow and add up to so many rows."""
    falls = all(a >= b for a, b in itertools.pairwise(batch_sizes))
    return bool(batch_sizes) and falls and batch_sizes[-1] >= 1 and sum(batch_sizes) == rows


def check_batch_sizes(name, data, batch_sizes):
    """See that they are those of a packed batch of so many rows."""
    rows = data.shape[0] if len(data.shape) else 0
    if not all(type(n) is int for n in batch_sizes) or not _add_up(batch_sizes, rows):
        raise ValueError(
            f"{name}: batch_sizes are {describe(list(batch_sizes))}, expected whole numbers from 1 up that never grow and add up "
            f"to the {rows} rows of the data ({describe(data)}); take those of pack_padded_sequence"
        )


def checked_lengths(name, lengths, batch, steps):
    """Lengths as an array of int64, a length from 1 to `steps` for each of the sequences of a batch."""
    given = np.asarray(backend.to_numpy(raw(lengths)))
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise TypeError(
            f"{name}: lengths are {describe(given if given.ndim else lengths)}, expected a whole number for each sequence; "
            f"pass a list of int"
        )
    if len(given) != batch:
        raise ValueError(
            f"{name}: got {len(given)} lengths for a batch of {batch} sequences; pass one for each, or check batch_first"
        )
    wrong = np.flatnonzero((given < 1) | (given > steps))
    if wrong.size:
        n = int(given[wrong[0]])
        advice = "leave empty sequences out" if n < 1 else "pad the batch further, or check batch_first"
        raise ValueError(
            f"{name}: the length of sequence {wrong[0]} is {n}, expected 1 to {steps}, the steps of the batch; {advice}"
        )
    return given.astype(np.int64)


def _places(lengths, order, steps, batch, batch_first):
    """Where the rows of a packed batch lie among the (steps x batch) rows of the padded one, and its batch sizes."""
    lengths = lengths[order]
    there = np.arange(int(lengths[0]))[:, None] < lengths
    step, n = np.nonzero(there)
    n = order[n]
    return n * steps + step if batch_first else step * batch + n, tuple(there.sum(1).tolist())


def _padded_shape(name, x, batch_first):
    """The steps and the sequences of a padded batch, and what each step has."""
    if len(x.shape) < 2:
        words = "(batch, steps, ...)" if batch_first else "(steps, batch, ...)"
        raise ValueError(f"{name}: got {describe(x)}, expected {words}; add the axis that is missing")
    steps, batch = (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
    return steps, batch, tuple(x.shape[2:])


def pack_padded_sequence(x, lengths, batch_first=False, enforce_sorted=True):
    """A padded batch without its padding.

    Parameters
    ----------
    x : (steps, batch, ...) Tensor or array
        Or (batch, steps, ...) with `batch_first`.
    lengths : sequence of int
        How many steps of each sequence are no padding, 1 or more.
    batch_first : bool
    enforce_sorted : bool
        Refuse sequences that are not in order, the longest first; with False they are put in order, and the result remembers how.

    Returns
    -------
    PackedSequence

    Raises
    ------
    TypeError
        Where the lengths are not whole numbers.
    ValueError
        Where a length is 0 or greater than the number of steps, there are more or fewer than sequences, or they grow.

    Examples
    --------
    >>> import nnscratch as ns
    >>> batch = ns.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0], [5.0, 6.0, 0.0]])
    >>> packed = ns.nn.utils.rnn.pack_padded_sequence(batch, [3, 1, 2], batch_first=True, enforce_sorted=False)
    >>> packed.data, packed.batch_sizes, packed.sorted_indices
    (tensor([1., 5., 4., 2., 6., 3.]), (3, 2, 1), array([0, 2, 1]))
    """
    return packed(operand(x), lengths, batch_first, enforce_sorted, "pack_padded_sequence")


def packed(x, lengths, batch_first, enforce_sorted, name):
    """`pack_padded_sequence` for a function called `name`."""
    steps, batch, rest = _padded_shape(name, x, batch_first)
    lengths = checked_lengths(name, lengths, batch, steps)
    if batch == 0:
        raise ValueError(f"{name}: the batch has no sequences ({describe(x)}); pass at least one")
    if enforce_sorted:
        order = np.arange(batch)
        if (np.diff(lengths) > 0).any():
            raise ValueError(
                f"{name}: the lengths {describe(lengths.tolist())} are not sorted, the longest first; sort the batch, or pass "
                f"enforce_sorted=False"
            )
    else:
        order = np.argsort(-lengths, kind="stable")
    places, sizes = _places(lengths, order, steps, batch, batch_first)
    data = take(reshape(x, (steps * batch, *rest)), places, 0)
    return PackedSequence(data, sizes, None if enforce_sorted else order)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """A packed batch with its padding, and the lengths: the inverse of `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
    batch_first : bool
        (batch, steps, ...) in the place of (steps, batch, ...).
    padding_value : float
        What stands after the end of each sequence.
    total_length : int, optional
        How many steps the result has; by default those of the longest sequence.

    Returns
    -------
    padded : Tensor or array
        Of the packed data's dtype, the sequences in the order in which they were packed.
    lengths : array of int64

    Raises
    ------
    TypeError
        Where it is no packed batch.
    ValueError
        Where `total_length` is less than the steps of the longest sequence.

    Examples
    --------
    >>> import nnscratch as ns
    >>> packed = ns.nn.utils.rnn.PackedSequence(ns.tensor([1.0, 2.0, 3.0]), [2, 1])
    >>> ns.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1., 3.],
            [2., 0.]]), array([2, 1]))
    """
    name = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{name}: got {describe(sequence)}, expected a PackedSequence; pack_padded_sequence makes one")
    sizes = np.array(sequence.batch_sizes)
    batch, longest = int(sizes[0]), len(sizes)
    steps = longest if total_length is None else count(name, "total_length", total_length)
    if steps < longest:
        raise ValueError(
            f"{name}: total_length is {steps}, and the longest sequence has {longest} steps; pass that or more"
        )
    order = np.arange(batch) if sequence.sorted_indices is None else sequence.sorted_indices
    lengths = np.empty(batch, np.int64)
    lengths[order] = (sizes > np.arange(batch)[:, None]).sum(1)
    places, _ = _places(lengths, order, steps, batch, batch_first)
    return _placed(sequence.data, places, steps, batch, batch_first, padding_value), lengths


def _placed(rows, places, steps, batch, batch_first, padding_value):
    """Rows put into their places in a padded batch."""
    rest, places = tuple(rows.shape[1:]), backend_of(rows).asarray(places)
    if padding_value == 0 and rows.dtype.kind == "f":
        padded = put_add(rows, (steps * batch, *rest), places)
    else:
        padded = put(backend_of(rows).asarray(np.full((steps * batch, *rest), padding_value, rows.dtype)), places, rows)
    return reshape(padded, ((batch, steps) if batch_first else (steps, batch)) + rest)


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences of different lengths as one array.

    Parameters
    ----------
    sequences : list of Tensor or array
        Each (its length, ...), equal in all other axes.
    batch_first : bool
        (batch, steps, ...) in the place of (steps, batch, ...).
    padding_value : float
    padding_side : "right" or "left"
        Where the padding stands.

    Returns
    -------
    In the dtype they promote to, with as many steps as the longest.

    Raises
    ------
    ValueError
        Where there are none, or they differ in other axes than the first.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.utils.rnn.pad_sequence([ns.tensor([1.0, 2.0, 3.0]), ns.tensor([4.0])], batch_first=True)
    tensor([[1., 2., 3.],
            [4., 0., 0.]])
    """
    name = "pad_sequence"
    sequences = [operand(s) for s in sequences]
    shapes = [tuple(s.shape) for s in sequences]
    if not shapes or not all(shapes) or len({shape[1:] for shape in shapes}) > 1:
        raise ValueError(
            f"{name}: got sequences of shapes {describe(shapes)}, expected at least one, and shapes (length, ...) that are equal "
            f"but for the length; check what each step holds"
        )
    if padding_side not in ("right", "left"):
        raise ValueError(f"{name}: padding_side is {padding_side!r}; pass 'right' or 'left'")
    lengths = np.array([shape[0] for shape in shapes])
    steps, batch = int(lengths.max()), len(lengths)
    n, step = np.nonzero(np.arange(steps) < lengths[:, None])
    if padding_side == "left":
        step = step + (steps - lengths)[n]
    places = n * steps + step if batch_first else step * batch + n
    return _placed(concatenate(sequences), places, steps, batch, batch_first, padding_value)
