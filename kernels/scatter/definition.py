"""Numbers put into places of an array, in terms of array functions: what the fast kernels mean, on the arrays of any device."""

import numpy as np


def put_add(x, shape, index):
    """Zeros of a shape, with x added into the places of an index; those named twice get both.

    They are added one after the other, on the host: a GPU's order would show.

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
    out = np.zeros(shape, x.dtype)
    np.add.at(out, tuple(map(_on_host, index)) if isinstance(index, tuple) else _on_host(index), _on_host(x))
    return np.asarray(out, like=x)


def _on_host(a):
    return a.get() if hasattr(a, "get") else a


def one_hot(labels, classes, dtype):
    """Rows of zeros with a 1 in the place that a label names, and of nan for what is no class.

    Parameters
    ----------
    labels : integer ndarray
        From 0 to ``classes - 1``.
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
    places = np.cumsum(np.ones_like(labels, shape=(classes,))) - 1
    known = (labels >= 0) & (labels < classes)
    return np.where(known[..., None], labels[..., None] == places, np.nan).astype(dtype)
