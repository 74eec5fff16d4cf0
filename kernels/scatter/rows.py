"""Rows added into the places of a larger array, one after the other, as a loop that Numba compiles.

Each sum is taken in the order of the rows, as ``np.add.at`` takes it, so the results are its own to the last bit.
"""

from .. import simd


@simd.compiled
def add_rows(x, places, out):
    """``out[o, places[i]] += x[o, i]`` for every i in turn; the first i whose place is not there, or -1.

    Parameters
    ----------
    x : (outer, rows, width), C-contiguous
    places : int64 (rows,)
        From ``-count`` to ``count - 1``.
    out : (outer, count, width), C-contiguous
        Written over: zeros where no row comes.
    """
    outer, count, width = out.shape
    for i in range(places.size):
        if not -count <= places[i] < count:
            return i
    for o in range(outer):
        target, source = out[o], x[o]
        target[:] = 0
        for i in range(places.size):
            row, more = target[places[i]], source[i]
            for k in range(width):
                row[k] += more[k]
    return -1
