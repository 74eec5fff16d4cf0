"""Attention: each query's sum of values, weighed by how well it agrees with their keys."""

import math

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import came, describe, op
from nnscratch.kernels.attention.definition import allowed_by_place
from nnscratch.kernels.dropout.definition import mask as dropout_mask
from nnscratch.ops.activation import softmax
from nnscratch.ops.elementwise import common_dtype, multiply, where
from nnscratch.ops.families import floating
from nnscratch.ops.linear import matmul
from nnscratch.ops.operands import backend_of, floating_point, raw
from nnscratch.ops.reduce import sum
from nnscratch.ops.shape import concatenate, expand_dims, on_device_of, reshape, swapaxes
from nnscratch.sample_inputs import Case, mask, normal


def _checked(name, query, key, value, mask, *results):
    """The arrays in one dtype, where their shapes fit; further ones have to be of the result's."""
    q, k, v = shapes = [np.shape(a) for a in (query, key, value)]

    def given():
        return f"query {describe(query)}, key {describe(key)}, value {describe(value)}"

    if min(map(len, shapes)) < 2:
        raise ValueError(f"{name}: expected (..., length, width) each, got {given()}; add the missing axes")
    if q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(
            f"{name}: expected keys as wide as queries, and as many values as keys, got {given()}; check the lengths"
        )
    try:
        leading = np.broadcast_shapes(q[:-2], k[:-2], v[:-2])
    except ValueError:
        raise ValueError(f"{name}: the axes before the last two do not broadcast in {given()}; reshape one") from None
    if mask is not None:
        mask = _checked_mask(name, mask, (*leading, q[-2], k[-2]))
    for a in results:
        if a is not None and np.shape(a) != (*leading, q[-2], v[-1]):
            raise ValueError(
                f"{name}: got {describe(a)} for {given()}, expected the shape of the result {(*leading, q[-2], v[-1])}; "
                f"pass one of that shape"
            )
    query, key, value, *results = common_dtype(*map(floating, (query, key, value)), *results)
    if mask is not None and mask.dtype != bool:
        mask = mask.astype(query.dtype, copy=False)
    return query, key, value, mask, *results


def _checked_mask(name, mask, shape):
    """A mask of at least two axes that broadcasts to the shape of the weights."""
    kind = getattr(getattr(mask, "dtype", None), "kind", None)
    if kind not in ("b", "f"):
        raise TypeError(
            f"{name}: mask is {describe(mask)}, expected booleans, True where a query may attend to a key, or floating-point "
            f"numbers that are added; convert it with .astype(bool)"
        )
    fits = len(mask.shape) <= len(shape) and all(
        n in (1, m) for n, m in zip(mask.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"{name}: mask is {describe(mask)}, which does not broadcast to the weights {shape}, queries by keys; reshape it"
        )
    return mask if len(mask.shape) >= 2 else mask.reshape((1,) * (2 - len(mask.shape)) + tuple(mask.shape))


_QUERY, _KEY, _VALUE = normal(2, 4, 3), normal(2, 5, 3), normal(2, 5, 2)
_NOTHING = np.array([[True] * 5, [False] * 5, [True, False, False, True, True], [False, False, True, False, False]])


@op(
    formula=r"y_i = \sum_j p_{ij}\, v_j, \quad p = \operatorname{softmax}_j(\text{scale}\; q_i \cdot k_j + \text{mask}_{ij})",
    derivative=r"\text{scale}\; S k, \quad \text{scale}\; S^\top q, \quad p^\top g, \quad S,"
    r" \quad S = p \odot (d - \textstyle\sum_j p_{ij} d_{ij}),\; d = g v^\top",
    document="Vaswani et al., 2017; Dao et al., 2022",
    outputs=("values", "logsumexp"),
    constant_outputs=("logsumexp",),
    kernel="attention.attention",
    samples=(
        Case(_QUERY, _KEY, _VALUE),
        Case(_QUERY, _KEY, _VALUE, normal(4, 5), 0.5),
        Case(_QUERY, _KEY, _VALUE, mask(2, 4, 5), 0.5),
        Case(_QUERY, _KEY, _VALUE, _NOTHING, 0.5, False, 0.3, 7),
        Case(normal(2, 3), normal(5, 3), normal(5, 2), None, 1.0, True),
        Case(normal(2, 1, 4, 3), normal(2, 3), normal(3, 2, 2), normal(3, 1, 2), 1.0, True),
    ),
)
def attention(query, key, value, mask=None, scale=1.0, causal=False, dropout=0.0, seed=0):
    """The sums of values, each weighed by the softmax of its key's product with the query; 0 where a query attends to nothing.

    Parameters
    ----------
    query : (..., L, E)
        Tensor or array.
    key, value : (..., S, E), (..., S, D)
        The axes before the last two broadcast.
    mask : (..., L, S), optional
        Booleans, True where a query may attend to a key; or numbers that are added to the scaled products.
    scale : float
    causal : bool
        Query i attends to keys up to the i-th alone.
    dropout : float
        Weights are 0 with this probability, else divided by 1 - dropout.
    seed : int
        Decides which: it is drawn before, so that the result depends on the arguments alone.

    Returns
    -------
    values
        (..., L, D), in the dtype of the first three.
    logsumexp
        (..., L), in float64: of each query's scores, the logarithm of their exponentials' sum. It stands for the weights, which are
        not kept, and has no gradient of its own.

    Raises
    ------
    TypeError, ValueError
        Where shapes or dtypes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch.ops.attention import attention
    >>> values, logsumexp = attention(ns.tensor([[0.0]]), ns.tensor([[1.0], [1.0]]), ns.tensor([[2.0], [4.0]]))
    >>> values.item(), round(logsumexp.item(), 6)
    (3.0, 0.693147)
    """
    query, key, value, mask = _checked("attention", query, key, value, mask)
    return attention.kernel(query, key, value, mask, scale, causal, dropout, seed)


@attention.rule("query", "key", "value")
def _(g_values, query, key, value, mask, scale, causal, dropout, seed, values, logsumexp):
    return attention_gradients(g_values, query, key, value, mask, scale, causal, dropout, seed, values, logsumexp)


@attention.rule("mask")
def _(g_values, query, key, value, mask, scale, causal, dropout, seed):
    weights = attention_weights(query, key, mask, scale, causal)
    return _through_softmax(weights, _dropped(matmul(g_values, _transposed(value)), dropout, seed))


@op(
    formula=r"\text{the gradients of attention by query, key and value}",
    derivative=r"\text{with the weights all at once, by the rules of products and softmax}",
    outputs=("by_query", "by_key", "by_value"),
    constant=("values", "logsumexp"),
    kernel="attention.attention_gradients",
    samples=(
        Case(normal(2, 4, 2), _QUERY, _KEY, _VALUE),
        Case(normal(2, 4, 2), _QUERY, _KEY, _VALUE, normal(4, 5), 0.5),
        Case(normal(2, 4, 2), _QUERY, _KEY, _VALUE, _NOTHING, 0.5, False, 0.3, 7),
        Case(normal(2, 3, 4, 2), normal(2, 1, 4, 3), normal(2, 3), normal(3, 2, 2), normal(3, 1, 2), 1.0, True),
    ),
)
def attention_gradients(
    d, query, key, value, mask=None, scale=1.0, causal=False, dropout=0.0, seed=0, values=None, logsumexp=None
):
    """The gradients of the values that `attention` gives by query, key and value, where that by them is `d`.

    Parameters
    ----------
    d : (..., L, D)
        Tensor or array.
    query, key, value, mask, scale, causal, dropout, seed
        As in `attention`.
    values, logsumexp : optional
        What `attention` found, so that it is not computed again. They stand for functions of the other arguments, and the
        derivatives go through them.

    Returns
    -------
    by_query, by_key, by_value
        In the shapes of query, key and value.

    Raises
    ------
    TypeError, ValueError
        Where shapes or dtypes do not fit.
    """
    name = "attention_gradients"
    query, key, value, mask, d, values = _checked(name, query, key, value, mask, d, values)
    if logsumexp is None or values is None:
        values, logsumexp = attention(query, key, value, mask, scale, causal, dropout, seed)
    return attention_gradients.kernel(d, query, key, value, values, logsumexp, mask, scale, causal, dropout, seed)


@attention_gradients.rule("d", "query", "key", "value", "mask")
def _(g_by_query, g_by_key, g_by_value, d, query, key, value, mask, scale, causal, dropout, seed):
    # Where S = p (e - Σ p e), e = d vᵀ, is the gradient by the scores, the results are scale S k, scale Sᵀ q and pᵀ d. X is
    # the gradient by S, P that by p; what they give back through the softmax is U.
    a, b, c = g_by_query, g_by_key, g_by_value
    weights = attention_weights(query, key, mask, scale, causal)
    e = _dropped(matmul(d, _transposed(value)), dropout, seed)
    slope = _through_softmax(weights, e)
    x = _total(a, lambda a: matmul(a, _transposed(key)), b, lambda b: matmul(query, _transposed(b)))
    by_d = by_value = by_weights = None
    if x is not None:
        x = multiply(x, scale)
        by_weights = e * (x - sum(weights * x, -1, True)) - x * sum(weights * e, -1, True)
        through = _dropped(_through_softmax(weights, x), dropout, seed)
        by_d, by_value = matmul(through, value), matmul(_transposed(through), d)
    if came(c):
        by_d = _sum_of(by_d, matmul(_dropped(weights, dropout, seed), c))
        by_weights = _sum_of(by_weights, _dropped(matmul(d, _transposed(c)), dropout, seed))
    by_scores = _through_softmax(weights, by_weights)
    by_query, by_key = matmul(by_scores, key), matmul(_transposed(by_scores), query)
    if came(b):
        by_query = by_query + matmul(slope, b)
    if came(a):
        by_key = by_key + matmul(_transposed(slope), a)
    return by_d, by_query * scale, by_key * scale, by_value, by_scores


def _sum_of(a, b):
    return b if a is None else a if b is None else a + b


def _total(a, of_a, b, of_b):
    """The sum of functions of two gradients, of those that came; None of none."""
    return _sum_of(of_a(a) if came(a) else None, of_b(b) if came(b) else None)


def _transposed(x):
    return swapaxes(x, -1, -2)


def _through_softmax(weights, d):
    """The gradient by what softmax was taken of, where that by the weights it gave is `d`."""
    return weights * (d - sum(weights * d, -1, True))


def _dropped(x, dropout, seed):
    """Times dropout's mask, as the kernels draw it."""
    return multiply(x, dropout_mask(tuple(x.shape), x.dtype, dropout, seed, like=raw(x))) if dropout else x


def attention_weights(query, key, mask=None, scale=1.0, causal=False):
    """The weights of `attention`, (..., L, S), all at once, by operations of their own; rows that attend to nothing are 0."""
    scores = matmul(query, _transposed(key)) * scale
    allowed = None
    if mask is not None and mask.dtype == bool:
        allowed = raw(mask)
    elif mask is not None:
        allowed = raw(mask) > -math.inf
        scores = scores + where(allowed, mask, 0.0)
    if causal:
        by_place = allowed_by_place(raw(query), query.shape[-2], key.shape[-2])
        allowed = by_place if allowed is None else allowed & by_place
    if not scores.shape[-1]:
        return scores
    if allowed is None:
        return softmax(scores)
    # a row without anything to attend to would be nan: it is left as it is, and its weights are 0 afterwards
    taken = allowed | ~allowed.any(axis=-1, keepdims=True)
    return where(allowed, softmax(where(taken, scores, -math.inf)), 0.0)


def _seed():
    return int(backend.cpu.rng.integers(2**63))


def attend(query, key, value, mask, scale, causal, dropout):
    """The values of `attention`, with a seed drawn for its dropout, on the CPU, and so the same on every device."""
    seed = backend_of(query).anew(_seed) if dropout else 0
    share = backend.random.current().share if dropout else None
    if share is not None:  # this one's rows are a part of those of all ranks
        place = share.place((*query.shape[:-1], key.shape[-2]))
        seed += (math.prod(place[0][1:]) * place[1].start if place else share.start) << 64
    return attention(query, key, value, mask, scale, causal, dropout, seed)[0]


@op(
    formula=r"x = (q, k, v)",
    derivative=r"(g_q, g_k, g_v)",
    outputs=("query", "key", "value"),
    samples=(Case(normal(2, 6)), Case(normal(2, 3, 3))),
)
def thirds(x):
    """The three parts of the last axis: what a layer of neurons makes of a token for attention's query, key and value.

    Parameters
    ----------
    x : (..., 3 E)
        Tensor or array.

    Returns
    -------
    query, key, value
        (..., E), views of the same memory.

    Raises
    ------
    ValueError
        Where the last axis has no three equal parts.
    """
    shape = np.shape(x)
    if not shape or shape[-1] % 3:
        raise ValueError(f"thirds: got {describe(x)}, expected a last axis of three equal parts; check its length")
    width = shape[-1] // 3
    return x[..., :width], x[..., width : 2 * width], x[..., 2 * width :]


@thirds.rule("x")
def _(g_query, g_key, g_value, x_shape):
    given = (g_query, g_key, g_value)
    like = raw(next(g for g in given if came(g)))
    nothing = np.zeros_like(like) if not all(map(came, given)) else None
    return concatenate([g if came(g) else nothing for g in given], -1)


# What users call


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    r"""Each query's mean of the values, weighed by how well it agrees with their keys (Vaswani et al., 2017).

    .. math:: \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{E}} + \text{mask}\right) V

    The weights are not kept: memory grows with the lengths, not with their product.

    Parameters
    ----------
    query : (..., L, E)
        Tensor or array, floating point.
    key, value : (..., S, E), (..., S, D)
        The axes before the last two broadcast.
    attn_mask : (..., L, S), optional
        Booleans, True where a query may attend to a key; or numbers that are added, which may ask for a gradient. A query that
        may attend to nothing gets 0.
    dropout_p : float
        From 0 up to below 1: weights are 0 with this probability, else divided by 1 - p, whether anything is trained or not.
    is_causal : bool
        Query i attends to keys up to the i-th alone (the first query to the first key), and there is no mask.
    scale : float, optional
        Instead of 1 / √E.
    enable_gqa : bool
        Groups of heads share keys and values: axis -3 of `query` has a multiple of the heads of `key` and `value`.

    Returns
    -------
    (..., L, D), in the dtype of the first three.

    Raises
    ------
    TypeError, ValueError
        Where shapes or dtypes do not fit, or a setting is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> query, key, value = ns.tensor([[0.0, 0.0]]), ns.tensor([[1.0, 2.0], [3.0, 4.0]]), ns.tensor([[2.0], [4.0]])
    >>> ns.functional.scaled_dot_product_attention(query, key, value)
    tensor([[3.]])
    """
    name = "scaled_dot_product_attention"
    query, key, value = (
        floating_point(name, what, a) for what, a in (("query", query), ("key", key), ("value", value))
    )
    dropout = arguments.number(name, "dropout_p", dropout_p, 0, 1, "[)")
    causal = arguments.flag(name, "is_causal", is_causal)
    if attn_mask is not None and causal:
        raise ValueError(f"{name}: got attn_mask and is_causal=True, expected one of them; make the mask causal itself")
    if isinstance(attn_mask, list | tuple):
        attn_mask = np.asarray(attn_mask)
    query, key, value, shape = _grouped(name, query, key, value, arguments.flag(name, "enable_gqa", enable_gqa))
    attn_mask = _as_mask(name, attn_mask, query, shape)
    _checked(name, raw(query), raw(key), raw(value), raw(attn_mask))
    scale = 1 / math.sqrt(max(1, shape[-1])) if scale is None else arguments.number(name, "scale", scale)
    values = attend(query, key, value, attn_mask, scale, causal, dropout)
    return reshape(values, (*values.shape[:-4], *shape[-3:-1], value.shape[-1])) if enable_gqa else values


def _grouped(name, query, key, value, enable_gqa):
    """The arrays, and where they are to be, the heads of the query in groups that share a key and a value; the query's shape."""
    shape = query.shape
    if not enable_gqa:
        return query, key, value, shape
    given = f"query {describe(query)}, key {describe(key)}, value {describe(value)}"
    if min(query.ndim, key.ndim, value.ndim) < 3 or key.shape[-3] != value.shape[-3] or shape[-3] % key.shape[-3]:
        raise ValueError(
            f"{name}: enable_gqa=True expects (..., heads, length, width), the heads of the query a multiple of those of key and "
            f"value, got {given}; check the heads"
        )
    shared = key.shape[-3]
    query = reshape(query, (*shape[:-3], shared, shape[-3] // shared, *shape[-2:]))
    return query, expand_dims(key, -3), expand_dims(value, -3), shape


def _as_mask(name, mask, query, shape):
    """A mask in the query's dtype, if it is one of numbers, and its axis of heads in the query's groups, if there are any."""
    if isinstance(mask, list | tuple):
        mask = on_device_of(raw(query), np.asarray(mask))
    if getattr(getattr(mask, "dtype", None), "kind", None) == "f":
        mask = mask.astype(query.dtype)
    if mask is None or len(query.shape) == len(shape) or np.ndim(mask) < 3:
        return mask
    if mask.shape[-3] not in (1, shape[-3]):
        raise ValueError(
            f"{name}: attn_mask is {describe(mask)}, expected {shape[-3]} heads as in the query; reshape it"
        )
    heads = (1, 1) if mask.shape[-3] == 1 else query.shape[-4:-2]
    return reshape(mask, (*mask.shape[:-3], *heads, *mask.shape[-2:]))
