"""Large arrays a piece at a time, so that what is computed in between stays in the processor's cache."""

import functools

import numpy as np

PIECE = 1 << 14  # Elements at a time: a few float64 temporaries of this size fit a 1 MB cache.


def by_pieces(function):
    """Let a float64 function of arrays work on any float dtype, piece by piece, rounding its results once.

    Examples
    --------
    >>> by_pieces(np.negative)(np.ones(2, np.float16))
    array([-1., -1.], dtype=float16)
    """

    @functools.wraps(function)
    @np.errstate(all="ignore")
    def wrapper(*args):
        if len(args) > 1:
            args = np.broadcast_arrays(*args)
        first = args[0]
        if first.size <= PIECE and first.ndim:
            return function(*[a.astype(np.float64, copy=False) for a in args]).astype(first.dtype, copy=False)
        y = np.empty(args[0].shape, args[0].dtype)
        flat, flats = y.reshape(-1), [a.reshape(-1) for a in args]
        for start in range(0, y.size, PIECE):
            piece = slice(start, start + PIECE)
            flat[piece] = function(*(a[piece].astype(np.float64, copy=False) for a in flats))
        return y

    return wrapper


def of_rows(rows):
    """Slices of rows, about `PIECE` elements each; none where there is nothing to do.

    Examples
    --------
    >>> list(of_rows(np.zeros((3, 10000))))
    [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    """
    count, length = rows.shape
    step = max(1, PIECE // max(1, length))
    return (slice(start, start + step) for start in range(0, count if length else 0, step))
