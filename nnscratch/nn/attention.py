"""Multi-head attention, and the cache of keys and values that generation keeps."""

import math

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import describe, is_grad_enabled
from nnscratch.nn import init as initialisers
from nnscratch.nn.layers import Linear
from nnscratch.nn.module import Module, Parameter
from nnscratch.ops.attention import attend, attention_weights, thirds
from nnscratch.ops.elementwise import astype, logical_and, logical_not, where
from nnscratch.ops.linear import matmul
from nnscratch.ops.operands import floating_point, raw
from nnscratch.ops.reduce import mean
from nnscratch.ops.shape import constant_on_device_of, on_device_of, reshape, transpose


class KeyValueCache:
    """The keys and values that attention layers have made, so that generation makes those of each token once.

    One object is passed to every call of a network while one batch of sequences grows; each layer keeps its own in it. It keeps
    no graph: generate within ``ns.no_grad()``.

    Attributes
    ----------
    length : int
        How many tokens self-attention has seen: the position of the next one.

    Examples
    --------
    >>> import nnscratch as ns
    >>> layer, cache = ns.nn.MultiheadAttention(4, 2).eval(), ns.nn.KeyValueCache()
    >>> x = ns.tensor(np.ones((3, 1, 4)), dtype="float32")
    >>> with ns.no_grad():
    ...     at_once, _ = layer(x, x, x, is_causal=True)
    ...     for token in (x[:2], x[2:]):
    ...         y, _ = layer(token, token, token, is_causal=True, cache=cache)
    >>> cache.length, bool(np.allclose(y.numpy(), at_once.numpy()[2:]))
    (3, True)
    """

    def __init__(self):
        #: By the layer: memory for keys and for values, (N, heads, room, width) each, and how much of it is used.
        self._growing: dict = {}
        #: By the layer: what keys and values were made of, and these.
        self._fixed: dict = {}

    @property
    def length(self):
        """How many tokens self-attention has seen."""
        return next((used for _, _, used in self._growing.values()), 0)

    def __repr__(self):
        return f"<KeyValueCache of {self.length} tokens, {len(self._growing) + len(self._fixed)} layers>"

    def past(self, layer):
        """How many tokens a layer has seen."""
        return self._growing[layer][2] if layer in self._growing else 0

    def grow(self, layer, key, value):
        """A layer's keys and values (N, heads, length, width) with new ones put behind them.

        Raises
        ------
        RuntimeError
            Where they belong to a graph, which a cache does not keep.
        ValueError
            Where they are of another batch than those that are there.
        """
        _refuse_graph(key, value)
        new = raw(key), raw(value)
        *rooms, used = self._growing.get(layer, (*(a[..., :0, :] for a in new), 0))
        end = used + new[0].shape[-2]
        for k, a in enumerate(new):
            if a.shape[:-2] != rooms[k].shape[:-2] or a.dtype != rooms[k].dtype:
                raise ValueError(
                    f"KeyValueCache: holds keys and values of a batch {describe(rooms[k][..., :used, :])}, got {describe(a)}; "
                    f"make a new cache for another batch"
                )
            if end > rooms[k].shape[-2]:
                larger = np.empty_like(
                    a, shape=(*a.shape[:-2], max(end, 2 * rooms[k].shape[-2]), a.shape[-1]), order="C"
                )
                larger[..., :used, :] = rooms[k][..., :used, :]
                rooms[k] = larger
            rooms[k][..., used:end, :] = a
        self._growing[layer] = (*rooms, end)
        return tuple(room[..., :end, :] for room in rooms)

    def fixed(self, layer, source, make):
        """A layer's keys and values of a source that stays, made by ``make()`` where it is another than last time."""
        if layer not in self._fixed or self._fixed[layer][0] is not source:
            key, value = make()
            _refuse_graph(key, value)
            self._fixed[layer] = source, key, value
        return self._fixed[layer][1:]


def _refuse_graph(*tensors):
    if is_grad_enabled() and any(getattr(t, "requires_grad", False) for t in tensors):
        raise RuntimeError("KeyValueCache: keeps no graph, got keys that have one; generate within ns.no_grad()")


class MultiheadAttention(Module):
    r"""Attention by several heads, each with its own projections of queries, keys and values (Vaswani et al., 2017).

    .. math:: \operatorname{concat}(h_1, \dots, h_n) W_O^\top + b_O, \quad
        h_i = \operatorname{softmax}\!\left(\frac{Q_i K_i^\top}{\sqrt{d}}\right) V_i

    Its parameters have PyTorch's names and shapes: `in_proj_weight` (3 E, E), or where keys or values have a width of their own
    `q_proj_weight`, `k_proj_weight` and `v_proj_weight`; `in_proj_bias` (3 E); `out_proj`.

    Parameters
    ----------
    embed_dim : int
        E, of queries and results.
    num_heads : int
        A divisor of E.
    dropout : float
        The probability with which, in training, a weight is 0.
    bias : bool
        Whether the projections have biases, which start at 0.
    add_bias_kv, add_zero_attn : False
        What PyTorch has here is refused: no network of today has it.
    kdim, vdim : int, optional
        The widths of keys and values; by default E.
    batch_first : bool
        Whether sequences are (N, L, E), and not (L, N, E).
    rotary : RotaryEmbedding, optional
        Turns each head's queries and keys by their positions; of width E / num_heads.
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor(np.ones((5, 2, 8)), dtype="float32")
    >>> y, weights = ns.nn.MultiheadAttention(8, 2)(x, x, x)
    >>> y.shape, weights.shape, weights[0, 0].numpy()
    ((5, 2, 8), (2, 5, 5), array([0.2, 0.2, 0.2, 0.2, 0.2], dtype=float32))
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        rotary=None,
        dtype="float32",
    ):
        super().__init__()
        layer = "MultiheadAttention"
        self.embed_dim = arguments.count(layer, "embed_dim", embed_dim)
        self.num_heads = arguments.count(layer, "num_heads", num_heads)
        self.kdim = self.embed_dim if kdim is None else arguments.count(layer, "kdim", kdim)
        self.vdim = self.embed_dim if vdim is None else arguments.count(layer, "vdim", vdim)
        if self.embed_dim % self.num_heads:
            raise ValueError(f"{layer}: {num_heads} heads do not divide embed_dim {embed_dim}; choose a divisor")
        for what, value in (("add_bias_kv", add_bias_kv), ("add_zero_attn", add_zero_attn)):
            if value is not False:
                raise ValueError(f"{layer}: {what} is {value!r}, which there is not here; leave it False")
        self.dropout = arguments.number(layer, "dropout", dropout, 0, 1, "[)")
        self.batch_first = arguments.flag(layer, "batch_first", batch_first)
        self.head_dim = self.embed_dim // self.num_heads
        dtype, width = arguments.floating(layer, dtype), self.embed_dim
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == width:
            self.in_proj_weight = _drawn((3 * width, width), dtype)
        else:
            self.q_proj_weight = _drawn((width, width), dtype)
            self.k_proj_weight = _drawn((width, self.kdim), dtype)
            self.v_proj_weight = _drawn((width, self.vdim), dtype)
        self.in_proj_bias = Parameter(np.zeros(3 * width, dtype)) if arguments.flag(layer, "bias", bias) else None
        self.out_proj = Linear(width, width, bias, dtype=dtype)
        if rotary is not None and getattr(rotary, "dim", None) != self.head_dim:
            raise ValueError(
                f"{layer}: rotary is {rotary!r}, expected a RotaryEmbedding of {self.head_dim}, embed_dim / num_heads; pass that"
            )
        self.rotary = rotary

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
        cache=None,
    ):
        """(L, N, E), (S, N, kdim), (S, N, vdim) -> (L, N, E) and the weights (N, L, S) or None; without the axis of the batch, too.

        Parameters
        ----------
        query, key, value : Tensor or array
        key_padding_mask : (N, S), optional
            Booleans, True for keys that nobody attends to (the opposite of `F.scaled_dot_product_attention`'s mask); or numbers
            that are added.
        need_weights : bool
            Without the weights it is faster, and takes less memory.
        attn_mask : (L, S) or (N * num_heads, L, S), optional
            Booleans, True where a query may not attend to a key; or numbers that are added. A query that may attend to nothing
            gets 0 from all heads.
        average_attn_weights : bool
            Whether the weights are the heads' mean; otherwise they are (N, num_heads, L, S).
        is_causal : bool
            Queries attend to keys up to their own place alone. Beside an `attn_mask` it is a hint that this says so, too.
        cache : KeyValueCache, optional
            Where key and value are the query they are put behind what it holds, and all that is attended to; masks are then of
            that length. Other keys and values are kept, and not projected again while they are the same tensors.

        Raises
        ------
        TypeError, ValueError
            Where shapes or dtypes do not fit.
        """
        itself = key is query and value is query
        query, key, value, batched = self._inputs(query, key, value)
        past = 0
        if cache is not None and itself:
            q, k, v = self._projected(query, key, value)
            past = cache.past(self)
            q, k = self._turned(q, past), self._turned(k, past)
            k, v = cache.grow(self, k, v)
        elif cache is not None:
            q = self._turned(self._heads(self._part(query, 0)))
            k, v = cache.fixed(
                self, key, lambda: (self._turned(self._heads(self._part(key, 1))), self._heads(self._part(value, 2)))
            )
        else:
            q, k, v = self._projected(query, key, value)
            q, k = self._turned(q), self._turned(k)
        causal = bool(is_causal) and attn_mask is None
        mask = self._mask(q, k, key_padding_mask, attn_mask)
        if causal and past:
            # what is new comes after all that the cache held
            allowed = constant_on_device_of(raw(q), np.tri(q.shape[-2], k.shape[-2], past, bool))
            mask, causal = _both(allowed, mask), False
        scale, dropout = 1 / math.sqrt(self.head_dim), self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = F.dropout(attention_weights(q, k, mask, scale, causal), dropout)
            y = matmul(weights, v)
            weights = mean(weights, 1) if average_attn_weights else weights
        else:
            y = attend(q, k, v, mask, scale, causal, dropout)
        y = transpose(y, (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        y = self.out_proj(reshape(y, (*y.shape[:2], self.embed_dim)))
        if batched:
            return y, weights
        return y[0] if self.batch_first else y[:, 0], None if weights is None else weights[0]

    def _inputs(self, query, key, value):
        """The checked inputs with an axis of the batch, and whether they had it."""
        name, wanted = "MultiheadAttention", (self.embed_dim, self.kdim, self.vdim)
        given = {"query": query, "key": key, "value": value}
        found = [floating_point(name, what, a) for what, a in given.items()]
        if key is query:
            found[1] = found[0]
        if value is query or value is key:
            found[2] = found[0] if value is query else found[1]

        def described():
            return ", ".join(f"{what} {describe(a)}" for what, a in zip(given, found, strict=True))

        if {a.ndim for a in found} not in ({2}, {3}) or tuple(a.shape[-1] for a in found) != wanted:
            raise ValueError(
                f"{name}: got {described()}, expected widths {wanted} and {'(N, length, width)' if self.batch_first else '(length, N, width)'}"
                f", or all without N; check embed_dim, kdim and vdim"
            )
        batched, batch = found[0].ndim == 3, 0 if self.batch_first else 1
        if found[1].shape[:-1] != found[2].shape[:-1] or (batched and found[0].shape[batch] != found[1].shape[batch]):
            raise ValueError(
                f"{name}: got {described()}, expected one batch, and as many values as keys; check the lengths and batch_first"
            )
        if not batched:
            index = (None,) if self.batch_first else (slice(None), None)
            wider = {id(a): a[index] for a in found}
            found = [wider[id(a)] for a in found]
        return *found, batched

    def _part(self, x, k):
        """The projection of queries (0), keys (1) or values (2)."""
        width = self.embed_dim
        part = slice(k * width, (k + 1) * width)
        weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[k]
        weight = self.in_proj_weight[part] if weight is None else weight
        return F.linear(x, weight, None if self.in_proj_bias is None else self.in_proj_bias[part])

    def _projected(self, query, key, value):
        """Queries, keys and values of all heads, (N, heads, length, width) each."""
        if key is query and value is query and self.in_proj_weight is not None:
            parts = thirds(F.linear(query, self.in_proj_weight, self.in_proj_bias))
        else:
            parts = (self._part(x, k) for k, x in enumerate((query, key, value)))
        return tuple(map(self._heads, parts))

    def _heads(self, x):
        x = reshape(x, (*x.shape[:2], self.num_heads, self.head_dim))
        return transpose(x, (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _turned(self, x, offset=0):
        return x if self.rotary is None else self.rotary(x, offset)

    def _mask(self, query, key, key_padding_mask, attn_mask):
        """Both masks as one of `attention`'s: booleans, True where a query may attend to a key, or numbers to add."""
        (n, heads, length), keys = query.shape[:3], key.shape[2]
        found = None
        if key_padding_mask is not None:
            mask = _as_mask("key_padding_mask", key_padding_mask, query, [(n, keys), *([(keys,)] * (n == 1))])
            found = reshape(mask, (n, 1, 1, keys))
        if attn_mask is not None:
            mask = _as_mask("attn_mask", attn_mask, query, [(length, keys), (n * heads, length, keys)])
            found = _both(reshape(mask, (n, heads, length, keys)) if mask.ndim == 3 else mask, found)
        return found

    def extra_repr(self):
        return f"{self.embed_dim}, {self.num_heads}" + (f", dropout={self.dropout}" if self.dropout else "")


def _drawn(shape, dtype):
    made = initialisers.make("MultiheadAttention", "init", "glorot_uniform", shape, shape[::-1], dtype)
    return Parameter(made)


def _as_mask(what, mask, query, shapes):
    """A mask as PyTorch's layers take it, of one of these shapes, as `attention` takes it: what is True there is False here."""
    mask = np.asarray(mask) if isinstance(mask, list | tuple) else mask
    kind = getattr(getattr(mask, "dtype", None), "kind", None)
    if kind not in ("b", "f"):
        raise TypeError(
            f"MultiheadAttention: {what} is {describe(mask)}, expected booleans, True where nothing is attended to, or "
            f"floating-point numbers that are added; convert it with .astype(bool)"
        )
    if mask.shape not in shapes:
        raise ValueError(
            f"MultiheadAttention: {what} is {describe(mask)}, expected {' or '.join(map(str, dict.fromkeys(shapes)))}; reshape it"
        )
    mask = on_device_of(raw(query), mask) if mask is raw(mask) else mask
    return logical_not(raw(mask)) if kind == "b" else astype(mask, query.dtype)


def _both(a, b):
    """Two of `attention`'s masks as one."""
    if a is None or b is None:
        return b if a is None else a
    if a.dtype == bool and b.dtype == bool:
        return logical_and(a, b)
    a, b = (astype(where(m, 0.0, -math.inf), o.dtype) if m.dtype == bool else m for m, o in ((a, b), (b, a)))
    return a + b
