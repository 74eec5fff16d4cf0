"""The operator Attention, in its plain form; what it can do beside is computed as the standard spells it out."""

import numpy as np

from nnscratch.onnx.table import OPERATORS, PLAIN
from nnscratch.ops import shape
from nnscratch.ops.attention import attention
from nnscratch.ops.index import take


def _is_plain(node):
    """Whether a node asks for nothing but heads, a mask, and that it is causal."""
    settings = {"scale", "is_causal", "q_num_heads", "kv_num_heads"}
    return {a.name for a in node.attribute} <= settings and not any(node.input[4:]) and not any(node.output[1:])


def _attention(query, key, value, mask=None, *, scale=None, is_causal=0, q_num_heads=None, kv_num_heads=None):
    in_rows = query.ndim == 3
    if in_rows:  # (N, L, heads x width)
        counts = (q_num_heads, kv_num_heads, kv_num_heads)
        query, key, value = (
            shape.transpose(shape.reshape(a, (*a.shape[:2], heads, -1)), (0, 2, 1, 3))
            for a, heads in zip((query, key, value), counts, strict=True)
        )
    if query.shape[1] != key.shape[1]:  # several heads share keys and values
        order = np.repeat(np.arange(key.shape[1]), query.shape[1] // key.shape[1])
        key, value = take(key, order, 1), take(value, order, 1)
    if mask is not None and mask.shape[-1] < key.shape[-2]:  # what it does not speak of is not attended to
        nothing = False if mask.dtype.kind == "b" else -np.inf
        mask = shape.pad(mask, ((0, 0),) * (mask.ndim - 1) + ((0, key.shape[-2] - mask.shape[-1]),), nothing)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    y = attention(query, key, value, mask, scale, bool(is_causal))[0]
    return shape.reshape(shape.transpose(y, (0, 2, 1, 3)), (y.shape[0], y.shape[2], -1)) if in_rows else y


OPERATORS["Attention"], PLAIN["Attention"] = _attention, _is_plain
