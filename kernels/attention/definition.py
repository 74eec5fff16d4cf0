"""Attention in terms of array functions: what the fast kernels mean, on the arrays of any device.

All weights are there at once, one for each query and key; the kernels of the CPU have a block of them at a time. On a GPU this
is what runs.
"""

import numpy as np

from ..dropout.definition import mask as dropout_mask
from ..matmul.definition import matmul


def wide(*arrays):
    """Arrays with float16 made float32: their products and exponentials have too few digits in float16."""
    return [a.astype(np.float32) if a is not None and a.dtype == np.float16 else a for a in arrays]


def transposed(x):
    """The matrices of the last two axes, transposed."""
    return x.swapaxes(-1, -2)


def allowed_by_place(like, queries, keys):
    """Which keys stand at a query's own place or before it, as an array (queries, keys) where `like` lives."""
    places = np.cumsum(np.ones_like(like, np.int64, shape=(max(queries, keys),)))
    return places[:queries, None] >= places[None, :keys]


def with_all_heads(query, key, value, mask):
    """The query with the leading axes of all."""
    others = [a.shape[:-2] for a in (query, key, value, mask) if a is not None]
    return np.broadcast_to(query, (*np.broadcast_shapes(*others), *query.shape[-2:]))


def scores(query, key, mask, scale, causal):
    """``query @ key.T * scale``, plus the mask; -inf where a query may not attend to a key."""
    s = matmul(query, transposed(key)) * scale
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if causal:
        s = np.where(allowed_by_place(s, *s.shape[-2:]), s, -np.inf)
    return s.astype(query.dtype, copy=False)


def logsumexps(s):
    """The logarithm of the sum of each row's exponentials, (..., queries, 1); -inf where all are 0."""
    if not s.shape[-1]:
        return np.full_like(s, -np.inf, shape=(*s.shape[:-1], 1))
    most = np.max(s, axis=-1, keepdims=True)
    most = np.where(most == -np.inf, 0, most)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.sum(np.exp(s - most), axis=-1, keepdims=True)) + most


def weights_of(s, logsumexp):
    """The exponentials divided by their sums: softmax; 0 in rows without anything to attend to."""
    with np.errstate(invalid="ignore"):
        return np.exp(s - np.where(logsumexp == -np.inf, 0, logsumexp).astype(s.dtype, copy=False))


def drop(x, dropout, seed):
    """Weights, or gradients by them, times dropout's mask, which is the same for both."""
    if not dropout:
        return x
    return x * dropout_mask(x.shape, x.dtype, dropout, seed, like=x)


def attention(query, key, value, mask=None, scale=1.0, causal=False, dropout=0.0, seed=0):
    """The sum of the values, each times its weight: the softmax over the keys of ``query @ key.T * scale + mask``.

    Parameters
    ----------
    query : ndarray (..., L, E)
    key, value : ndarray (..., S, E), (..., S, D)
        Of the dtype of `query`; the leading axes broadcast.
    mask : ndarray (..., L, S), optional
        Booleans, True where a query may attend to a key; or numbers that are added.
    scale : float
    causal : bool
        Whether query i attends to keys up to the i-th alone.
    dropout : float
        The probability with which a weight is 0; the others are divided by 1 - dropout.
    seed : int
        Decides which they are.

    Returns
    -------
    values : ndarray (..., L, D)
        0 for a query that may attend to nothing.
    logsumexp : ndarray of float64 (..., L)
        The logarithm of the sum of the exponentials, from which the backward pass has the weights again.

    Examples
    --------
    >>> values, logsumexp = attention(np.zeros((1, 2)), np.zeros((2, 2)), np.array([[1.0], [3.0]]))
    >>> values, logsumexp
    (array([[2.]]), array([0.69314718]))
    """
    dtype = query.dtype
    query, key, value, mask = wide(query, key, value, mask)
    s = scores(with_all_heads(query, key, value, mask), key, mask, scale, causal)
    logsumexp = logsumexps(s)
    values = matmul(drop(weights_of(s, logsumexp), dropout, seed), value)
    return values.astype(dtype, copy=False), logsumexp[..., 0].astype(np.float64)


def summed_to(x, shape):
    """Undo a broadcast of the leading axes: what was repeated is summed."""
    x = x.sum(axis=tuple(range(x.ndim - len(shape))))
    repeated = tuple(i for i, (n, m) in enumerate(zip(x.shape, shape, strict=True)) if n != m)
    return x.sum(axis=repeated, keepdims=True) if repeated else x


def attention_gradients(d, query, key, value, values, logsumexp, mask, scale, causal, dropout, seed):
    """The gradients of the values that `attention` gives by query, key and value, where that by them is d.

    With P the weights, dP = d Vᵀ and D the sum of P dP over each row, which is that of d times the values, the gradient by
    the scores is P (dP - D).

    Parameters
    ----------
    d : ndarray (..., L, D)
    query, key, value, mask, scale, causal, dropout, seed
        As those of `attention`.
    values, logsumexp : ndarray
        What it returned.

    Returns
    -------
    Three arrays, of the shapes of query, key and value.
    """
    dtype, shapes = query.dtype, (query.shape, key.shape, value.shape)
    d, query, key, value, values, mask = wide(d, query, key, value, values, mask)
    query = with_all_heads(query, key, value, mask)
    weights = weights_of(scores(query, key, mask, scale, causal), logsumexp[..., None])
    by_weights = drop(matmul(d, transposed(value)), dropout, seed)
    slope = weights * (by_weights - np.sum(d * values, axis=-1, keepdims=True)) * scale
    found = (
        matmul(slope, key),
        matmul(transposed(slope), query),
        matmul(transposed(drop(weights, dropout, seed)), d),
    )
    return tuple(summed_to(a, shape).astype(dtype, copy=False) for a, shape in zip(found, shapes, strict=True))
