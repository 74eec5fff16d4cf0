"""Sums by index on a GPU, in the same order at every run: `put_add`, and `add_rows` for an embedding's gradient; `one_hot`.

``scatter.cu`` says how they are computed and why they are fast.
"""

import math

import numpy as np

from ..cuda import runtime

#: How many sorted rows a thread adds up.
CHUNK = 64


def put_add(x, shape, index):
    """Zeros of `shape` with `x` added into the places `index`, as `nnscratch.put_add`.

    Parameters
    ----------
    x : ndarray
    shape : tuple of int
    index : whatever an array of that shape takes
        Slices, None, Ellipsis, whole numbers, boolean arrays, and whole-number arrays (the device's or NumPy's).

    Returns
    -------
    ndarray of that shape and x's dtype
    """
    xp = runtime.xp()
    if getattr(index, "dtype", np.dtype(bool)).kind in "iu" and getattr(index, "ndim", 0):
        width = math.prod(shape[1:])
        rows = xp.ascontiguousarray(xp.broadcast_to(x, (*index.shape, *shape[1:])))
        return add_rows(rows.reshape(index.size, width), xp.asarray(index).ravel(), shape[0]).reshape(shape)
    # The places as numbers, picked by the same index: whatever that is.
    places = xp.arange(math.prod(shape)).reshape(shape)[index]
    rows = xp.ascontiguousarray(xp.broadcast_to(x, places.shape))
    return add_rows(rows.reshape(places.size, 1), places.ravel(), math.prod(shape)).reshape(shape)


def add_rows(rows, places, count):
    """The sums of the rows that have the same place.

    Parameters
    ----------
    rows : ndarray (n, width)
    places : integer ndarray (n,)
        From ``-count`` up to below `count`; a negative one counts from the end, and one beyond wraps around.
    count : int

    Returns
    -------
    ndarray (count, width) of rows' dtype, 0 where no row has its place
    """
    xp, (n, width) = runtime.xp(), rows.shape
    dtype, wide = rows.dtype, np.dtype(np.float32) if rows.dtype == np.float16 else rows.dtype
    out = xp.zeros((count, width), wide)
    if not n or not width:
        return out.astype(dtype)
    # Within the memory, whatever is wrong with them and not found yet.
    places = places.astype(np.int64, copy=False) % count
    # Place and row in one number: no two are equal, so that the order does not depend on how they are sorted.
    keys = xp.sort(places * n + xp.arange(n))
    places, order = keys // n, keys % n
    rows = xp.ascontiguousarray(rows)
    while True:
        chunks = runtime.blocks(n, CHUNK)
        edges, edge_places = xp.empty((2 * chunks, width), wide), xp.empty(2 * chunks, np.int64)
        sources = (rows, places) if order is None else (rows, order, places)
        args = *sources, np.int64(n), width, out, edges, edge_places
        grid = min(runtime.blocks(chunks * width), 1 << 20)
        name = "add_edges" if order is None else "add_rows"
        runtime.launch("scatter.cu", name, grid, runtime.THREADS, args, ELEMENT=dtype, CHUNK=CHUNK)
        if chunks == 1:
            return out.astype(dtype)
        rows, places, order, n = edges, edge_places, None, 2 * chunks


def one_hot(labels, classes, dtype):
    """Rows of zeros with a 1 in the place that a label names, as `nnscratch.kernels.scatter.definition.one_hot`; nan for what is no class."""
    rows = runtime.xp().empty((*labels.shape, classes), dtype)
    labels = runtime.xp().ascontiguousarray(labels.astype(np.int64, copy=False))
    grid = min(runtime.blocks(rows.size), 1 << 20)
    args = labels, rows, np.int64(rows.size), classes
    runtime.launch("scatter.cu", "one_hot", grid, runtime.THREADS, args, ELEMENT=rows.dtype, CHUNK=CHUNK)
    return rows
