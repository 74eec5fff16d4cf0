"""Matrix products on the CPU, by BLAS: arguments and results are those of `nnscratch.kernels.matmul.definition`."""

import math

import numpy as np

from .. import blas
from ..blas import LEAST, dot, ones


def matmul(a, b):
    """The matrix product over the last two axes, with broadcasting over the others.

    Examples
    --------
    >>> import numpy as np
    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    if a.ndim < 3 and b.ndim < 3:
        return a.dot(b) if a.size * b.size <= LEAST else dot(a, b)
    if b.ndim == 2 and a.size:  # one product of all rows is quicker than one for each matrix
        return dot(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])
    return blas.matmul(a, b)


def linear(x, weight, bias=None):
    """A layer of neurons: ``x @ weight.T + bias``."""
    out = matmul(x, weight.T)
    if bias is None:
        return out
    if out.dtype != bias.dtype:
        return out + bias
    out += bias
    return out


def channel_sums(x, axis):
    """The sum over all axes but one, as products with ones, which BLAS takes quicker than NumPy's own sum."""
    rows = x
    if x.ndim == 2 and axis == 1 and x.size <= LEAST:
        return np.dot(ones(x.shape[:1], x.dtype), x)
    if x.ndim != 2 or axis != 1:
        before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
        rows = x.reshape(before * x.shape[axis], after)
        rows = (rows if after == 1 else dot(rows, ones((after,), x.dtype))).reshape(before, x.shape[axis])
    return dot(ones(rows.shape[:1], x.dtype), rows)
