"""A Transformer's block for one new token whose predecessors are in a cache: on arrays, since there is no graph and nothing to check anew."""

import math

import numpy as np

from nnscratch import backend
from nnscratch.autograd import is_grad_enabled
from nnscratch.nn.attention import MultiheadAttention
from nnscratch.nn.layers import Linear
from nnscratch.nn.normalisation import LayerNorm
from nnscratch.tensor import Tensor

#: Of what kind the parts of a block have to be; others may compute something else.
PARTS = {"self_attn": MultiheadAttention, "linear1": Linear, "linear2": Linear, "norm1": LayerNorm, "norm2": LayerNorm}


def fits(block, x, cache):
    """Whether `step` may stand for the block: one token on the CPU, no graph, nothing dropped, all weights there, parts of their own kind."""
    if cache is None or block.training or is_grad_enabled() or not isinstance(x, Tensor) or x.ndim != 3:
        return False
    if any(type(getattr(block, name)) is not kind for name, kind in PARTS.items()):
        return False
    attention = block.self_attn
    return (
        x.shape[1 if attention.batch_first else 0] == 1
        and x.shape[2] == attention.embed_dim
        and backend.of(x.data) is backend.cpu
        and attention.rotary is None
        and attention.in_proj_bias is not None
        and all(x.dtype == p.dtype for p in (attention.in_proj_weight, block.linear1.weight, block.norm1.weight))
    )


def step(block, x, cache):
    """What `nn.TransformerEncoderLayer` makes of one token (N, 1, E) or (1, N, E) that attends to itself and all in the cache.

    Examples
    --------
    >>> import nnscratch as ns
    >>> block = ns.nn.TransformerEncoderLayer(8, 2, batch_first=True).eval()
    >>> x, cache = ns.tensor(np.ones((1, 3, 8)), dtype="float32"), ns.nn.KeyValueCache()
    >>> with ns.no_grad():
    ...     at_once = block(x, is_causal=True).numpy()
    ...     each = [step(block, x[:, i : i + 1], cache).numpy() for i in range(3)]
    >>> bool(np.allclose(np.concatenate(each, 1), at_once, atol=1e-6))
    True
    """
    rows = x.data.reshape(-1, x.shape[2])
    for part, norm in ((_attend, block.norm1), (_feed_forward, block.norm2)):
        if block.norm_first:
            rows = rows + part(block, _standardized(rows, norm), cache)
        else:
            rows = _standardized(rows + part(block, rows, cache), norm)
    return Tensor._of(rows.reshape(x.shape))


def _linear(x, layer):
    return x.dot(layer.weight.data.T) + layer.bias.data


def _standardized(x, norm):
    x = x - np.add.reduce(x, -1, keepdims=True) / x.shape[-1]
    variance = np.einsum("ij,ij->i", x, x)[:, None] / x.shape[-1]
    return x / np.sqrt(variance + x.dtype.type(norm.eps)) * norm.weight.data + norm.bias.data


def _attend(block, x, cache):
    layer = block.self_attn
    parts = x.dot(layer.in_proj_weight.data.T) + layer.in_proj_bias.data
    query, key, value = parts.reshape(len(x), 3, layer.num_heads, 1, layer.head_dim).swapaxes(0, 1)
    keys, values = cache.grow(layer, key, value)
    scores = np.matmul(query, keys.swapaxes(-1, -2)) * x.dtype.type(1 / math.sqrt(layer.head_dim))
    scores = np.exp(scores - np.maximum.reduce(scores, -1, keepdims=True))
    scores /= np.add.reduce(scores, -1, keepdims=True)
    return _linear(np.matmul(scores, values).reshape(x.shape), layer.out_proj)


def _feed_forward(block, x, cache):
    inside = block.activation(Tensor._of(_linear(x, block.linear1)))  # which may be a function of the user's
    return _linear(inside.data, block.linear2)
