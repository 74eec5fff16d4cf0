"""Numbers put into places of an array: added where an index names them, places named twice included, and 1 for each label."""

import functools

import numpy as np


def put_add(x, shape, index):
    """Zeros of a shape, with x added into the places of an index; those named twice get both.

    Parameters
    ----------
    x : ndarray
        Whatever broadcasts to the shape of ``zeros[index]``.
    shape : tuple of int
    index : as in ``array[index]``, with arrays of whole numbers or booleans in it

    Returns
    -------
    ndarray of that shape, x's dtype

    Examples
    --------
    >>> put_add(np.array([1.0, 2.0, 4.0]), (3,), np.array([0, 2, 0]))
    array([5., 0., 2.])
    """
    out = np.zeros_like(x, shape=shape)
    np.add.at(out, index, x)
    return out


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
    """Rows of zeros with a 1 in the place that a label names.

    Parameters
    ----------
    labels : integer ndarray
        From 0 to ``classes - 1``; on a GPU the row of another one becomes nan.
    classes : int
    dtype : floating point

    Returns
    -------
    ndarray (*labels.shape, classes) of that dtype

    Examples
    --------
    >>> one_hot(np.array([1, 0]), 2, np.float32)
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    rows = np.zeros((*labels.shape, classes), dtype)
    rows.reshape(-1)[places_of_labels(labels.reshape(-1), classes)] = 1
    return rows
