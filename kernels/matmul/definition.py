"""Matrix products in terms of array functions: what the fast kernels mean, on the arrays of any device."""

import math

import numpy as np

from ..cuda.precision import chosen
from ..subscripts import spelt_out


def rounded(x, precision):
    """float32 numbers rounded to the nearest of a precision, ties to even; float32 still, and nan stays nan.

    Examples
    --------
    >>> rounded(np.array([1 + 2**-9, 1 + 3 * 2**-9], np.float32), "bfloat16")
    array([1.       , 1.0078125], dtype=float32)
    """
    if precision == "float16":
        return x.astype(np.float16).astype(np.float32)
    dropped = {"tf32": 13, "bfloat16": 16}[precision]  # of the 23 bits of float32's mantissa
    bits = x.view(np.uint32)
    # Half of the last place that stays, less one where the number would stay even.
    bits = bits + ((1 << dropped - 1) - 1) + (bits >> dropped & 1)
    return np.where(np.isnan(x), x, (bits >> dropped << dropped).view(np.float32))


def matmul(a, b):
    """The matrix product over the last two axes, with broadcasting over the others; vectors as in NumPy.

    On a GPU operands are rounded as `nnscratch.use_precision` says.

    Examples
    --------
    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    precision = chosen(a, b)
    return np.matmul(a, b) if precision is None else np.matmul(rounded(a, precision), rounded(b, precision))


def linear(x, weight, bias=None, activation=None):
    """A layer of neurons: ``activation(x @ weight.T + bias)``.

    Parameters
    ----------
    x : ndarray (..., in)
    weight : ndarray (out, in)
    bias : ndarray (out,), or None
    activation : None, "relu" or "tanh"

    Returns
    -------
    ndarray (..., out)

    Examples
    --------
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    y = matmul(x, weight.T)
    y = y if bias is None else y + bias
    return np.maximum(y, 0) if activation == "relu" else np.tanh(y) if activation == "tanh" else y


def channel_sums(x, axis):
    """The sum over all axes but one.

    Parameters
    ----------
    x : ndarray
    axis : int
        The one that stays, from 0.

    Returns
    -------
    ndarray (x.shape[axis],)

    Examples
    --------
    >>> channel_sums(np.array([[1.0, 2.0], [3.0, 4.0]]), 1)
    array([4., 6.])
    """
    return np.sum(x, axis=tuple(a for a in range(x.ndim) if a != axis))


def einsum(first, subscripts, *others):
    """Einstein's sum, in NumPy's notation; within `nnscratch.use_precision` two arrays' sum of products is a `matmul` on a GPU.

    Parameters
    ----------
    first : ndarray
        The first operand.
    subscripts : str
    *others : ndarray

    Returns
    -------
    ndarray

    Examples
    --------
    >>> einsum(np.array([[1.0, 2.0], [3.0, 4.0]]), "ij,j->i", np.array([1.0, 1.0]))
    array([3., 7.])
    """
    return einsum_by(matmul, first, subscripts, *others)


def einsum_by(product, first, subscripts, *others):
    """`einsum` by a matrix product of one's own, where a precision is chosen."""
    y = _as_product(product, first, subscripts, *others) if len(others) == 1 and chosen(first, *others) else None
    if y is not None:
        return y
    operands = (first, *others)
    if any(a.dtype == np.float16 for a in operands) and np.result_type(*operands) == np.float16:
        # which NumPy adds up in float16
        return np.einsum(subscripts, *(a.astype(np.float32) for a in operands)).astype(np.float16)
    return np.einsum(subscripts, *operands)


def _as_product(product, a, subscripts, b):
    """Two arrays' einsum by a product of matrices, or None where it is not one."""
    (left, right), result, _ = spelt_out(subscripts, [a.ndim, b.ndim])
    if len(left) != a.ndim or len(right) != b.ndim:
        return None
    lengths = dict(zip(left, a.shape, strict=True)), dict(zip(right, b.shape, strict=True))
    both = [c for c in lengths[0] if c in lengths[1]]
    summed = [c for c in both if c not in result]
    if not summed or any(lengths[0][c] != lengths[1][c] for c in both):
        return None
    batch = [c for c in both if c in result]
    rows, columns = ([c for c in found if c in result and c not in both] for found in lengths)
    sizes = lengths[0] | lengths[1]

    def arranged(term, operand, *groups):
        """An operand with the batch's axes and one for each group of others; what else it has is summed."""
        found = np.einsum(term + "->" + "".join([*batch, *groups[0], *groups[1]]), operand)
        return found.reshape([sizes[c] for c in batch] + [math.prod(sizes[c] for c in group) for group in groups])

    y = product(arranged(left, a, rows, summed), arranged(right, b, summed, columns))
    letters = [*batch, *rows, *columns]
    return np.einsum("".join(letters) + "->" + result, y.reshape([sizes[c] for c in letters]))
