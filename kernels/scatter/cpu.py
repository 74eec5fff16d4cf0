"""Sums by index and rows of labels on the CPU."""

import functools
import math

import numpy as np

from .. import compiled
from . import definition


def put_add(x, shape, index):
    """Zeros of a shape, with x added into the places of an index, as `nnscratch.kernels.scatter.definition.put_add`.

    Where the index names whole rows, as that of an embedding does, large ones are added by a compiled loop.
    """
    loops = compiled.module("scatter.rows", x)
    rows = _rows(shape, index) if loops else None
    if rows is None or x.shape != rows[2]:
        return definition.put_add(x, shape, index)
    sizes, places, _ = rows
    out, source = np.empty(shape, x.dtype), compiled.contiguous(x).reshape(sizes[0], places.size, sizes[2])
    if loops.add_rows(source, places, out.reshape(sizes)) >= 0:
        return definition.put_add(x, shape, index)  # which tells what is out of range
    return out


def _rows(shape, index):
    """What an index of arrays of whole numbers, with whole slices before and after them, names rows by; None for all others.

    Returns
    -------
    sizes : (outer, count, width)
        What an array of that shape is for it: so many matrices of so many rows.
    places : int64 (rows,)
        Of which row each of the index's numbers is.
    whole : tuple of int
        The shape of the array with that index.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    first = next((i for i, part in enumerate(parts) if not _is_whole(part)), len(parts))
    while _is_whole(parts[-1]) and len(parts) > first:
        parts.pop()
    arrays, last = [np.asarray(part) for part in parts[first:]], len(parts)
    if not arrays or last > len(shape) or any(a.dtype.kind not in "iu" for a in arrays):
        return None
    lengths = shape[first:last]
    if len(arrays) == 1:
        places = arrays[0]
    else:
        try:
            arrays = np.broadcast_arrays(*arrays)
            wrapped = [np.where(a < 0, a + n, a) for a, n in zip(arrays, lengths, strict=True)]
            places = np.ravel_multi_index(wrapped, lengths)
        except ValueError:  # out of range, which the definition tells
            return None
    sizes = math.prod(shape[:first]), math.prod(lengths), math.prod(shape[last:])
    return sizes, places.reshape(-1).astype(np.int64, copy=False), (*shape[:first], *places.shape, *shape[last:])


def _is_whole(part):
    return isinstance(part, slice) and part == slice(None)


@functools.lru_cache(maxsize=16)
def _beginnings(rows, length):
    return np.arange(0, rows * length, length)


def places_of_labels(labels, classes):
    """Where the elements that labels name stand, in a matrix with a row for each that is read row by row.

    Examples
    --------
    >>> places_of_labels(np.array([1, 0]), 3)
    array([1, 3])
    """
    return labels + _beginnings(labels.size, classes)


def one_hot(labels, classes, dtype):
    """Rows of zeros with a 1 in the place that a label names, as `nnscratch.kernels.scatter.definition.one_hot`."""
    rows = np.zeros((*labels.shape, classes), dtype)
    rows.reshape(-1)[places_of_labels(labels.reshape(-1), classes)] = 1
    return rows
