"""Adding into places of an array that an index names, places named twice included."""

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
