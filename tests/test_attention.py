"""Attention: the operation in blocks, the layers made of it, positions, the cache; beside PyTorch where it is installed."""

import copy
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import compiled
from nnscratch.kernels.attention import cpu, definition

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn
from nnscratch.nn import one_token

RNG = np.random.default_rng(0)


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def plain(query, key, value, allowed=None, scale=None, added=0.0):
    """Attention by NumPy's own functions in float64; rows of `allowed` may be all False."""
    query, key, value = (a.astype(float) for a in (query, key, value))
    scores = query @ np.swapaxes(key, -1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale) + added
    e = np.exp(scores) if allowed is None else np.where(allowed, np.exp(scores), 0)
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ value


# The operation


def test_two_keys_by_hand():
    # scores ln 3 and 0: weights 3/4 and 1/4
    query, key = np.array([[np.log(3.0), 0.0]]), np.eye(2)
    y = F.scaled_dot_product_attention(query, key, np.array([[4.0], [8.0]]), scale=1.0)
    np.testing.assert_allclose(y, [[5.0]], rtol=1e-15)
    y = F.scaled_dot_product_attention(query, key, np.array([[4.0], [8.0]]), np.array([[False, True]]))
    assert y.tolist() == [[8.0]]


SHAPES = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 9), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5)
)


@st.composite
def problems(draw):
    """Arrays and settings of the operation, with leading axes that broadcast in all ways."""
    n, heads, length, keys, width, wide = draw(SHAPES)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    dtype = draw(st.sampled_from(["float32", "float64"]))

    def leading():
        return draw(st.sampled_from([(n, heads), (1, heads), (n, 1), (heads,), (1,), ()]))

    arrays = [
        rng.standard_normal((*leading(), *tail)).astype(dtype)
        for tail in ((length, width), (keys, width), (keys, wide))
    ]
    kind = draw(st.sampled_from(["none", "bool", "numbers", "infinities"]))
    shape = (*leading(), *draw(st.sampled_from([(length, keys), (1, keys), (length, 1)])))
    mask = (
        None
        if kind == "none"
        else rng.random(shape) < 0.6
        if kind == "bool"
        else rng.standard_normal(shape).astype(dtype)
    )
    if kind == "infinities":
        mask[rng.random(shape) < 0.5] = -np.inf
    dropout = draw(st.sampled_from([0.0, 0.0, 0.4]))
    return (*arrays, mask, 0.7, draw(st.booleans()), dropout, 11)


def transposed_heads(x):
    """The same values, the axes in memory as a layer's heads have them."""
    return np.ascontiguousarray(x.swapaxes(-2, -3)).swapaxes(-2, -3) if x.ndim > 2 else x


@settings(max_examples=150)
@given(problem=problems(), block=st.sampled_from([1, 12, 40, 1 << 16]), heads_inside=st.booleans(), loops=st.booleans())
def test_blocks_are_the_definition(problem, block, heads_inside, loops):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cpu, "BLOCK", block)
        patched.setattr(cpu, "LONG", 3)
        patched.setattr(compiled, "LEAST", 1 if loops else 1 << 14)
        laid_out = [transposed_heads(a) if heads_inside else a for a in problem[:3]]
        found = cpu.attention(*laid_out, *problem[3:])
        d = np.random.default_rng(1).standard_normal(found[0].shape).astype(found[0].dtype)
        gradients = cpu.attention_gradients(d, *laid_out, *found, *problem[3:])
    expected = definition.attention(*problem)
    expected_gradients = definition.attention_gradients(d, *problem[:3], *expected, *problem[3:])
    tolerance = 200 * np.finfo(d.dtype).eps
    for a, b in zip((*found, *gradients), (*expected, *expected_gradients), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@settings(max_examples=60)
@given(problem=problems())
def test_the_definition_is_what_numpy_says(problem):
    query, key, value, mask, scale, causal, *_ = problem
    allowed, added = np.True_, 0.0
    if mask is not None:
        allowed, added = (mask, 0.0) if mask.dtype == bool else (mask > -np.inf, np.where(mask > -np.inf, mask, 0))
    if causal:
        allowed = allowed & np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    expected = plain(query, key, value, allowed, scale, added)
    found = definition.attention(*problem[:6])[0]
    tolerance = 200 * np.finfo(found.dtype).eps
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=tolerance, atol=tolerance)


def test_a_row_that_may_attend_to_nothing_is_0_and_has_no_gradient():
    mask = np.array([[True, False, True], [False, False, False]])
    for m in (mask, np.where(mask, 0.0, -np.inf)):
        tensors = [ns.tensor(normal(*shape), requires_grad=True) for shape in ((2, 4), (3, 4), (3, 5))]
        y = F.scaled_dot_product_attention(*tensors, m)
        assert y.numpy()[1].tolist() == [0.0] * 5
        (y * y + y).sum().backward()
        gradients = [t.grad.numpy() for t in tensors]
        assert all(np.isfinite(g).all() for g in gradients)
        assert gradients[0][1].tolist() == [0.0] * 4 and not gradients[1][1].any() and not gradients[2][1].any()
        by_query = ns.grad(F.scaled_dot_product_attention(*tensors, m).sum(), tensors[0], create_graph=True)
        assert np.isfinite(ns.grad((by_query * by_query).sum(), tensors[0]).numpy()).all()


@pytest.mark.parametrize("settings", [{}, {"is_causal": True}, {"scale": 0.3}, {"dropout_p": 0.4}], ids=str)
def test_derivatives_of_both_orders(settings):
    def value(query, key, value):
        ns.manual_seed(3)
        return F.scaled_dot_product_attention(query, key, value, **settings)

    assert ns.gradcheck(value, [normal(2, 4, 3), normal(2, 5, 3), normal(2, 5, 2)], order=2).passed


def test_derivatives_by_a_mask_that_is_learned_and_with_groups_of_heads():
    def value(query, key, value, mask):
        return F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)

    arrays = [normal(2, 4, 3, 3), normal(2, 2, 5, 3), normal(2, 2, 5, 2)]
    assert ns.gradcheck(value, [*arrays, normal(4, 3, 5)], order=2).passed
    assert ns.gradcheck(value, [*arrays, normal(1, 3, 5)]).passed


@pytest.mark.parametrize("kind", ["none", "bool", "numbers"])
def test_long_rows_of_float32_are_as_good_as_the_definition_in_float64(kind):
    rng = np.random.default_rng(0)
    arrays = [3 * rng.standard_normal((2, 300, 16)).astype("float32") for _ in range(4)]
    masks = {
        "none": None,
        "bool": rng.random((300, 300)) < 0.7,
        "numbers": rng.standard_normal((1, 300)).astype("float32"),
    }
    mask, others = masks[kind], (0.25, kind != "none", 0.3, 5)
    found = cpu.attention(*arrays[:3], mask, *others)
    gradients = cpu.attention_gradients(arrays[3], *arrays[:3], *found, mask, *others)
    *wide, mask = (a if a is None or a.dtype == bool else a.astype(float) for a in (*arrays, mask))
    expected = definition.attention(*wide[:3], mask, *others)
    expected_gradients = definition.attention_gradients(wide[3], *wide[:3], *expected, mask, *others)
    for a, b in zip((*found, *gradients), (*expected, *expected_gradients), strict=True):
        finite = np.isfinite(b)
        np.testing.assert_array_equal(np.isfinite(a), finite)
        np.testing.assert_allclose(a[finite], b[finite], rtol=0, atol=1e-5 * np.abs(b[finite]).max())


def test_nan_stays_nan_and_infinite_scores_are_nan():
    for dtype in ("float32", "float64"):
        query, key, value = (np.ones((200, 2), dtype) for _ in "qkv")
        query[3], key[5, 0], query[7] = np.nan, 1, np.inf
        y = F.scaled_dot_product_attention(query, key, value)
        assert np.isnan(y[3]).all() and np.isnan(y[7]).all() and np.isfinite(np.delete(y, [3, 7], 0)).all()


def test_groups_of_heads_share_keys_and_values():
    query, key, value = normal(2, 6, 4, 3), normal(2, 2, 5, 3), normal(2, 2, 5, 3)
    for mask in (None, RNG.random((4, 5)) < 0.7, RNG.random((2, 1, 4, 5)) < 0.7, RNG.random((6, 4, 5)) < 0.7):
        found = F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
        expected = F.scaled_dot_product_attention(query, key.repeat(3, 1), value.repeat(3, 1), mask)
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


def test_dropout_is_decided_by_the_seed_and_keeps_the_mean():
    query, key, value = np.zeros((400, 1)), np.zeros((50, 1)), np.ones((50, 1))

    def drawn():
        return F.scaled_dot_product_attention(query, key, value, dropout_p=0.3)

    ns.manual_seed(4)
    first, second = drawn(), drawn()
    ns.manual_seed(4)
    np.testing.assert_array_equal(drawn(), first)
    assert (first != second).any()
    kept = first * 0.7 * 50  # how many of 50 keys each query kept
    assert abs(kept.mean() - 35) < 4 * np.sqrt(50 * 0.21 / 400) and 2.5 < kept.std() < 4
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-9)


def test_the_backward_pass_has_the_dropout_of_the_forward_pass():
    value = ns.tensor(normal(6, 3), requires_grad=True)
    y = F.scaled_dot_product_attention(normal(5, 2), normal(6, 2), value, dropout_p=0.5)
    y.sum().backward()
    np.testing.assert_allclose((value.grad * value).sum().item(), y.sum().item(), rtol=1e-12)  # y is linear in value


@pytest.mark.parametrize("causal", [False, True])
def test_memory_grows_with_the_length_and_not_its_square(causal):
    length, width = 4096, 32
    rng = np.random.default_rng(0)
    query, key, value = (
        ns.tensor(rng.standard_normal((length, width)), dtype="float32", requires_grad=True) for _ in "qkv"
    )
    F.scaled_dot_product_attention(query[:8], key, value).sum().backward()  # whatever is loaded once
    tracemalloc.start()
    try:
        F.scaled_dot_product_attention(query, key, value, is_causal=causal).sum().backward()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.15 * 4 * length**2
    assert peak > 0.01 * 4 * length**2  # it was seen at all: results and gradients are a hundredth


X = ns.tensor(np.zeros((4, 6)))
REFUSED = [
    (lambda: F.scaled_dot_product_attention([1.0], X, X), ValueError, r"expected \(\.\.\., length, width\) each"),
    (lambda: F.scaled_dot_product_attention(X, X[:, :5], X), ValueError, "keys as wide as queries"),
    (lambda: F.scaled_dot_product_attention(X, X, X[:3]), ValueError, "as many values as keys"),
    (
        lambda: F.scaled_dot_product_attention(np.zeros((2, 4, 6)), np.zeros((3, 4, 6)), X),
        ValueError,
        "do not broadcast",
    ),
    (
        lambda: F.scaled_dot_product_attention(X, X, X, np.ones((4, 5), bool)),
        ValueError,
        r"mask is \(4, 5\) bool, which does not",
    ),
    (
        lambda: F.scaled_dot_product_attention(X, X, X, np.ones((4, 4), int)),
        TypeError,
        r"mask is \(4, 4\) int64, expected booleans",
    ),
    (
        lambda: F.scaled_dot_product_attention(X, X, X, np.ones((4, 4), bool), is_causal=True),
        ValueError,
        "expected one of them",
    ),
    (lambda: F.scaled_dot_product_attention(X, X, X, dropout_p=1.0), ValueError, "dropout_p is 1.0"),
    (lambda: F.scaled_dot_product_attention(X, X, X, scale="large"), TypeError, "scale is 'large'"),
    (lambda: F.scaled_dot_product_attention(X, X, X, enable_gqa=True), ValueError, "enable_gqa=True expects"),
    (
        lambda: F.scaled_dot_product_attention(np.zeros((3, 4, 6)), *[np.zeros((2, 4, 6))] * 2, enable_gqa=True),
        ValueError,
        "the heads of the query a multiple",
    ),
    (
        lambda: F.scaled_dot_product_attention(*[np.zeros((2, 4, 6))] * 3, np.ones((3, 4, 4), bool), enable_gqa=True),
        ValueError,
        "expected 2 heads as in the query",
    ),
    (lambda: F.scaled_dot_product_attention(X.astype("int64"), X, X), TypeError, "query must be floating point"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_the_function_refuses(call, error, words):
    with pytest.raises(error, match=f"^scaled_dot_product_attention: .*{words}") as found:
        call()
    assert "\n" not in str(found.value)


# Layers

D = {"dtype": "float64"}


def by_hand(layer, query, key, value, allowed=None):
    """Multi-head attention, head by head, of sequences (N, L, E)."""
    e, width = layer.embed_dim, layer.head_dim
    if layer.in_proj_weight is not None:
        weights = np.split(layer.in_proj_weight.numpy(), 3)
    else:
        weights = [layer.q_proj_weight.numpy(), layer.k_proj_weight.numpy(), layer.v_proj_weight.numpy()]
    biases = np.zeros((3, e)) if layer.in_proj_bias is None else layer.in_proj_bias.numpy().reshape(3, e)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), weights, biases, strict=True))
    parts = [slice(i, i + width) for i in range(0, e, width)]
    heads = [plain(q[..., p], k[..., p], v[..., p], allowed) for p in parts]
    y = np.concatenate(heads, -1) @ layer.out_proj.weight.numpy().T
    return y if layer.out_proj.bias is None else y + layer.out_proj.bias.numpy()


def with_random_biases(module):
    rng = np.random.default_rng(5)
    with ns.no_grad():
        for p in module.parameters():
            if p.ndim == 1:
                p[...] = rng.standard_normal(p.shape)
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("widths", [{}, {"kdim": 3, "vdim": 5}], ids=str)
def test_multihead_attention_head_by_head(bias, batch_first, need_weights, widths):
    layer = with_random_biases(nn.MultiheadAttention(6, 2, bias=bias, batch_first=batch_first, **widths, **D))
    query, key, value = normal(2, 4, 6), normal(2, 5, layer.kdim), normal(2, 5, layer.vdim)
    ignored = np.array([[False, False, True, False, True], [False] * 5])
    blocked = np.triu(np.ones((4, 5), bool), 2)
    arrays = [a if batch_first else a.swapaxes(0, 1) for a in (query, key, value)]
    y, weights = layer(*arrays, ignored, need_weights, blocked)
    allowed = ~(ignored[:, None, :] | blocked)
    np.testing.assert_allclose(
        y.numpy() if batch_first else y.numpy().swapaxes(0, 1), by_hand(layer, query, key, value, allowed), rtol=1e-12
    )
    assert (weights is None) == (not need_weights)
    if need_weights:
        assert weights.shape == (2, 4, 5)
        np.testing.assert_allclose(weights.numpy().sum(-1), 1, rtol=1e-12)
        assert not weights.numpy()[~np.broadcast_to(allowed, weights.shape)].any()


def test_multihead_attention_without_a_batch_and_with_a_mask_for_each_head():
    layer = with_random_biases(nn.MultiheadAttention(6, 2, **D))
    x = normal(4, 6)
    y, weights = layer(x, x, x, average_attn_weights=False)
    assert y.shape == (4, 6) and weights.shape == (2, 4, 4)
    np.testing.assert_allclose(y.numpy(), by_hand(layer, x, x, x), rtol=1e-12)
    masks = np.random.default_rng(0).random((2, 4, 4)) < 0.3
    masks[:, :, 0] = False
    _, weights = layer(x, x, x, attn_mask=masks, average_attn_weights=False)
    np.testing.assert_array_equal(weights.numpy() == 0, masks)
    batch_first = copy.deepcopy(layer)
    batch_first.batch_first = True
    np.testing.assert_allclose(batch_first(x, x, x)[0].numpy(), y.numpy(), rtol=1e-12)


def test_masks_of_numbers_and_of_booleans_say_the_same():
    layer = nn.MultiheadAttention(6, 2, batch_first=True, **D)
    x, ignored, blocked = (
        normal(2, 4, 6),
        np.array([[False, False, False, True], [False] * 4]),
        np.triu(np.ones((4, 4), bool), 1),
    )
    expected = layer(x, x, x, ignored, False, blocked)[0].numpy()
    infinite = [np.where(m, -np.inf, 0.0) for m in (ignored, blocked)]
    for a, b in ((infinite[0], infinite[1]), (ignored, infinite[1]), (infinite[0], ns.tensor(blocked))):
        np.testing.assert_allclose(layer(x, x, x, a, False, b)[0].numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(layer(x, x, x, ignored, False, is_causal=True)[0].numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(layer(x, x, x, ignored, True, is_causal=True)[0].numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("need_weights", [False, True])
def test_a_token_that_may_attend_to_nothing_gets_0_from_all_heads(need_weights):
    layer = with_random_biases(nn.MultiheadAttention(6, 2, **D))
    x, blocked = normal(3, 6), np.array([[False, True, True], [True] * 3, [False, True, False]])
    y, weights = layer(x, x, x, need_weights=need_weights, attn_mask=blocked)
    np.testing.assert_allclose(y.numpy()[1], layer.out_proj.bias.numpy())
    y.sum().backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parameters())
    assert weights is None or weights.numpy()[1].tolist() == [0.0] * 3


@pytest.mark.parametrize(
    "layer",
    [
        nn.MultiheadAttention(4, 2, **D),
        nn.MultiheadAttention(4, 2, rotary=nn.RotaryEmbedding(2), **D),
        nn.TransformerEncoderLayer(4, 2, 5, 0.0, "gelu", **D),
        nn.TransformerEncoderLayer(4, 2, 5, 0.2, "gelu", norm_first=True, bias=False, **D),
    ],
    ids=["attention", "rotary", "block", "norm first"],
)
def test_layers_have_derivatives_of_both_orders(layer):
    def value(x):
        ns.manual_seed(1)
        return (
            layer(x, x, x, need_weights=False)[0]
            if isinstance(layer, nn.MultiheadAttention)
            else layer(x, is_causal=True)
        )

    assert ns.gradcheck(value, [normal(3, 2, 4)], order=2).passed
    x = ns.tensor(normal(3, 2, 4), requires_grad=True)
    value(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_dropout_is_for_training():
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.5, **D)
    x = normal(5, 3, 8)
    assert (layer(x).numpy() != layer(x).numpy()).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x).numpy(), layer(x).numpy())


def test_stacks_are_their_blocks_in_turn():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, **D), 2, nn.LayerNorm(8, **D)).eval()
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, **D), 2).eval()
    x, y = normal(5, 3, 8), normal(4, 3, 8)
    memory = encoder(x)
    np.testing.assert_array_equal(memory.numpy(), encoder.norm(encoder.layers[1](encoder.layers[0](x))).numpy())
    np.testing.assert_array_equal(
        decoder(y, memory).numpy(), decoder.layers[1](decoder.layers[0](y, memory), memory).numpy()
    )
    assert encoder.layers[0].linear1.weight is not encoder.layers[1].linear1.weight


def test_the_whole_transformer_is_encoder_and_decoder_and_begins_with_different_layers():
    model = nn.Transformer(8, 2, 2, 2, 16, batch_first=True, **D).eval()
    source, target = normal(3, 5, 8), normal(3, 4, 8)
    mask = model.generate_square_subsequent_mask(4)
    found = model(source, target, tgt_mask=mask)
    np.testing.assert_array_equal(found.numpy(), model.decoder(target, model.encoder(source), tgt_mask=mask).numpy())
    np.testing.assert_allclose(found.numpy(), model(source, target, tgt_is_causal=True).numpy(), rtol=1e-12)
    first, second = (layer.linear1.weight.numpy() for layer in model.encoder.layers)
    assert (first != second).any()
    own = nn.Transformer(8, 2, custom_encoder=model.encoder, custom_decoder=model.decoder, batch_first=True)
    np.testing.assert_array_equal(own(source, target, tgt_mask=mask).numpy(), found.numpy())


# Generation


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(1, 6)), rotary=st.booleans(), batch_first=st.booleans(), weights=st.booleans())
def test_token_by_token_with_a_cache_is_the_whole_at_once(cuts, rotary, batch_first, weights):
    turn = nn.RotaryEmbedding(4) if rotary else None
    layer = nn.MultiheadAttention(8, 2, batch_first=batch_first, rotary=turn, **D).eval()
    x, cache = normal(7, 7, 8), nn.KeyValueCache()
    axis = 1 if batch_first else 0
    with ns.no_grad():
        expected = layer(x, x, x, is_causal=True)[0].numpy()
        parts = np.split(x, sorted(cuts), axis)
        found = [layer(p, p, p, need_weights=weights, is_causal=True, cache=cache)[0].numpy() for p in parts]
    np.testing.assert_allclose(np.concatenate(found, axis), expected, rtol=1e-12, atol=1e-14)
    assert cache.length == 7


def test_stacks_with_a_cache_are_the_whole_at_once():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, **D), 2).eval()
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, **D), 2).eval()
    x, memory = normal(6, 3, 8), ns.tensor(normal(5, 3, 8))
    calls = []
    project = nn.MultiheadAttention._part
    with ns.no_grad(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(nn.MultiheadAttention, "_part", lambda self, x, k: calls.append(k) or project(self, x, k))
        expected = encoder(x, is_causal=True).numpy(), decoder(x, memory, tgt_is_causal=True).numpy()
        calls.clear()
        caches = nn.KeyValueCache(), nn.KeyValueCache()
        found = [
            (
                encoder(x[t : t + 1], is_causal=True, cache=caches[0]),
                decoder(x[t : t + 1], memory, tgt_is_causal=True, cache=caches[1]),
            )
            for t in range(6)
        ]
    for whole, parts in zip(expected, zip(*found, strict=True), strict=True):
        np.testing.assert_allclose(np.concatenate([p.numpy() for p in parts]), whole, rtol=1e-12, atol=1e-14)
    assert calls.count(0) == 12 and calls.count(1) == calls.count(2) == 2  # the memory's keys and values once a layer


def test_another_memory_is_projected_anew():
    layer = nn.MultiheadAttention(4, 2, **D).eval()
    x, cache = normal(3, 1, 4), nn.KeyValueCache()
    with ns.no_grad():
        for memory in (ns.tensor(normal(5, 1, 4)), ns.tensor(normal(6, 1, 4))):
            for _ in range(2):
                found = layer(x, memory, memory, cache=cache)[0]
            np.testing.assert_array_equal(found.numpy(), layer(x, memory, memory)[0].numpy())


# Positions


def test_waves_by_their_formula():
    y = nn.SinusoidalPositions(6, batch_first=True)(ns.tensor(np.zeros((2, 9, 6))))
    for p in range(9):
        for i in range(3):
            angle = p / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(y.numpy()[1, p, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-15)
    assert nn.SinusoidalPositions(5)(ns.tensor(np.zeros((3, 5)))).shape == (3, 5)


@pytest.mark.parametrize(
    "make", [lambda **k: nn.SinusoidalPositions(4, **k), lambda **k: nn.LearnedPositions(9, 4, **D, **k)]
)
def test_added_positions_go_along_the_sequence_from_an_offset_on(make):
    x = ns.tensor(normal(7, 2, 4))
    ns.manual_seed(0)
    layer = make()
    ns.manual_seed(0)
    other = make(batch_first=True)
    whole = layer(x).numpy()
    np.testing.assert_array_equal(layer(x[3:], 3).numpy(), whole[3:])
    np.testing.assert_array_equal(layer(x[:, 0]).numpy(), whole[:, 0])
    np.testing.assert_array_equal(other(x.swapaxes(0, 1)).numpy(), whole.swapaxes(0, 1))


def test_learned_positions_are_learned():
    layer = nn.LearnedPositions(5, 3, **D)
    layer(ns.tensor(np.zeros((2, 3))), 1).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[0.0] * 3, [1.0] * 3, [1.0] * 3, [0.0] * 3, [0.0] * 3])


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_of_rotated_vectors_depend_on_distances_alone(interleaved):
    query, key = normal(1, 6), normal(1, 6) + 1

    def product(p, r):
        return (F.rotary(query, p, interleaved=interleaved) @ F.rotary(key, r, interleaved=interleaved).T).item()

    np.testing.assert_allclose([product(9, 4), product(1005, 1000)], product(5, 0), rtol=1e-9)
    np.testing.assert_allclose(product(3, 3), (query @ key.T).item(), rtol=1e-12)
    assert abs(product(3, 0) - product(5, 0)) > 1e-3


def test_rotation_by_hand():
    x = np.array([[1.0, 0.0, 0.0, 1.0]])
    c, s = np.cos(2.0), np.sin(2.0)
    slow, turn = np.cos(0.02), np.sin(0.02)
    np.testing.assert_allclose(F.rotary(x, 2), [[c, -turn, s, slow]], rtol=1e-12)
    np.testing.assert_allclose(F.rotary(x, 2, interleaved=True), [[c, s, -turn, slow]], rtol=1e-12)


# A weight used twice


class Tied(nn.Module):
    """A table of vectors that is also the last layer's weight."""

    def __init__(self):
        self.table = nn.Embedding(5, 4, **D)
        self.head = nn.Linear(4, 5, bias=False, **D)
        self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(self.table(tokens))


def test_a_tied_weight_is_one_parameter_with_both_gradients_and_one_update():
    model, tokens = Tied(), np.array([1, 3])
    assert [name for name, _ in model.named_parameters()] == ["table.weight"]
    before = model.table.weight.numpy().copy()
    optimiser = ns.optim.SGD(model.parameters(), 0.1)
    (model(tokens) * normal(2, 5)).sum().backward()
    rows = before[tokens]
    expected = normal(2, 5).T @ rows
    expected[tokens] += normal(2, 5) @ before
    np.testing.assert_allclose(model.table.weight.grad.numpy(), expected, rtol=1e-12)
    optimiser.step()
    np.testing.assert_allclose(model.head.weight.numpy(), before - 0.1 * expected, rtol=1e-12)


def test_a_tied_weight_is_saved_once_and_loaded_from_either_name_or_both():
    model, other = Tied(), Tied()
    state = model.state_dict()
    assert list(state) == ["table.weight"]
    weight = state["table.weight"]
    for saved in (state, {"head.weight": weight}, {"table.weight": weight, "head.weight": weight.copy()}):
        other.head.weight.data[...] = 0
        other.load_state_dict(saved)
        assert other.head.weight is other.table.weight
        np.testing.assert_array_equal(other.table.weight.numpy(), weight)
    with pytest.raises(ValueError, match="table.weight and head.weight are one parameter and differ"):
        other.load_state_dict({"table.weight": weight, "head.weight": weight + 1})
    with pytest.raises(ValueError, match="table.weight is missing"):
        other.load_state_dict({})


# What is refused

LAYER = nn.MultiheadAttention(6, 2)
T = ns.tensor(np.zeros((4, 3, 6)), dtype="float32")


def of_another_batch():
    cache = nn.KeyValueCache()
    with ns.no_grad():
        LAYER(T, T, T, cache=cache)
        x = T[:, :2]
        LAYER(x, x, x, cache=cache)


WRONG = [
    (lambda: nn.MultiheadAttention(6, 4), ValueError, "MultiheadAttention: 4 heads do not divide embed_dim 6"),
    (lambda: nn.MultiheadAttention(6, 2, add_bias_kv=True), ValueError, "MultiheadAttention: add_bias_kv is True, which there is not"),
    (lambda: nn.MultiheadAttention(6, 2, add_zero_attn=True), ValueError, "add_zero_attn is True"),
    (lambda: nn.MultiheadAttention(6, 2, dropout=1), ValueError, "dropout is 1"),
    (lambda: nn.MultiheadAttention(6, 2, rotary=nn.RotaryEmbedding(2)), ValueError, "expected a RotaryEmbedding of 3"),
    (lambda: LAYER(T, T[..., :5], T), ValueError, r"MultiheadAttention: got .* expected widths \(6, 6, 6\)"),
    (lambda: LAYER(T, T[:, :2], T[:, :2]), ValueError, "MultiheadAttention: got .* expected one batch"),
    (lambda: LAYER(T, T, T[:2]), ValueError, "as many values as keys"),
    (lambda: LAYER(T[None], T[None], T[None]), ValueError, "or all without N"),
    (lambda: LAYER(T, T, T, attn_mask=np.zeros((4, 5), bool)), ValueError, r"attn_mask is \(4, 5\) bool, expected \(4, 4\) or \(6, 4, 4\)"),
    (lambda: LAYER(T, T, T, attn_mask=np.zeros((4, 4), int)), TypeError, r"attn_mask is \(4, 4\) int64, expected booleans"),
    (lambda: LAYER(T, T, T, np.zeros((4, 3), bool)), ValueError, r"key_padding_mask is \(4, 3\) bool, expected \(3, 4\)"),
    (lambda: LAYER(T, T, T, "all"), TypeError, "key_padding_mask is 'all', expected booleans"),
    (of_another_batch, ValueError, r"KeyValueCache: holds keys and values of a batch \(3, 2, 4, 3\) float32, got \(2, 2, 4, 3\)"),
    (lambda: LAYER(T, T, T, cache=nn.KeyValueCache()), RuntimeError, "KeyValueCache: keeps no graph"),
    (lambda: nn.LearnedPositions(5, 6)(ns.tensor(np.zeros((6, 6)))), ValueError, "has positions 0 to 5, there are 5"),
    (lambda: nn.LearnedPositions(5, 6)(T, 2), ValueError, "has positions 2 to 5, there are 5"),
    (lambda: nn.LearnedPositions(5, 4)(T), ValueError, r"LearnedPositions: x is \(4, 3, 6\) float32, expected \(L, N, 4\)"),
    (lambda: nn.SinusoidalPositions(6)(T, -1), ValueError, "offset is -1"),
    (lambda: nn.RotaryEmbedding(3), ValueError, "RotaryEmbedding: dim is 3, expected an even number"),
    (lambda: nn.RotaryEmbedding(4)(T), ValueError, r"RotaryEmbedding: x is \(4, 3, 6\) float32, expected \(\.\.\., L, 4\)"),
    (lambda: F.rotary(np.zeros((2, 3))), ValueError, "rotary: x is .* of an even width"),
    (lambda: nn.TransformerEncoderLayer(6, 4), ValueError, "TransformerEncoderLayer: 4 heads do not divide d_model 6"),
    (lambda: nn.TransformerEncoderLayer(6, 2, activation="tan"), ValueError, "TransformerEncoderLayer: activation is 'tan'"),
    (lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2), 0), ValueError, "TransformerDecoder: num_layers is 0"),
    (lambda: nn.TransformerEncoder("block", 2), TypeError, "TransformerEncoder: got 'block', expected a module"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_what_the_layers_refuse(call, error, words):
    with pytest.raises(error, match=words) as found:
        call()
    assert "\n" not in str(found.value)


# A network


class TinyGPT(nn.Module):
    """A decoder of its own text: tokens and positions, blocks with a causal mask, and the table of tokens once more."""

    def __init__(self, tokens, width, heads, blocks, length):
        self.tokens = nn.Embedding(tokens, width, init="glorot_uniform")
        self.positions = nn.LearnedPositions(length, width, batch_first=True, init="glorot_uniform")
        block = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, blocks, nn.LayerNorm(width))
        self.head = nn.Linear(width, tokens, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, text, cache=None):
        x = self.positions(self.tokens(text), 0 if cache is None else cache.length)
        return self.head(self.blocks(x, is_causal=True, cache=cache))


def test_two_blocks_learn_to_copy_and_generate_with_a_cache_what_they_do_without():
    rng, half = np.random.default_rng(0), 5
    ns.manual_seed(0)
    model = TinyGPT(8, 32, 4, 2, 2 * half)
    optimiser = ns.optim.Adam(model.parameters(), 0.005)
    for _ in range(200):
        words = rng.integers(0, 8, (32, half))
        text = np.concatenate([words, words], 1)
        scores = model(text[:, :-1])[:, half - 1 :]
        optimiser.zero_grad()
        F.cross_entropy(scores.reshape(-1, 8), text[:, half:].reshape(-1), from_logits=True).backward()
        optimiser.step()
    words, cache = rng.integers(0, 8, (50, half)), nn.KeyValueCache()
    made, without = words, words
    model.eval()
    with ns.no_grad():
        for _ in range(half):
            new = made if not cache.length else made[:, -1:]
            made = np.concatenate([made, model(new, cache).numpy()[:, -1:].argmax(-1)], 1)
            without = np.concatenate([without, model(without).numpy()[:, -1:].argmax(-1)], 1)
    np.testing.assert_array_equal(made, without)
    assert (made[:, half:] == words).mean() > 0.95


# Beside PyTorch


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs PyTorch")


def same(ours, theirs):
    """Within 1e-12 of PyTorch's in float64, relative to the greatest."""
    ours, theirs = np.asarray(ours.numpy() if isinstance(ours, ns.Tensor) else ours), theirs.detach().numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12 * max(1.0, np.abs(theirs).max(initial=0)))


def with_gradients(torch, arrays):
    return (
        [ns.tensor(a, requires_grad=True) for a in arrays],
        [torch.tensor(a, requires_grad=True) for a in arrays],
    )


def same_gradients(torch, ours, theirs, y, z):
    """The gradients of results `y` and `z` by tensors of both, from the same gradient of the result."""
    g = np.random.default_rng(3).standard_normal(y.shape)
    y.backward(g)
    z.backward(torch.tensor(g))
    for a, b in zip(ours, theirs, strict=True):
        same(a.grad, b.grad)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_function_is_pytorchs(torch, data):
    n, heads, length, keys, width, wide = data.draw(st.tuples(*[st.integers(1, 6)] * 6))
    groups = data.draw(st.sampled_from([1, 1, 2]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    shapes = (n, heads * groups, length, width), (n, heads, keys, width), (n, heads, keys, wide)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    kind = data.draw(st.sampled_from(["none", "causal", "bool", "numbers"]))
    shape = data.draw(
        st.sampled_from([(length, keys), (n, 1, length, keys), (n, heads * groups, length, keys), (n, 1, 1, keys)])
    )
    mask = rng.random(shape) < 0.6 if kind == "bool" else rng.standard_normal(shape) if kind == "numbers" else None
    given = {"is_causal": kind == "causal", "scale": data.draw(st.sampled_from([None, 0.3])), "enable_gqa": groups > 1}
    ours, theirs = with_gradients(torch, [*arrays, *([mask] if kind == "numbers" else [])])
    masks = (ours[3], theirs[3]) if kind == "numbers" else (mask, None if mask is None else torch.tensor(mask))
    y = F.scaled_dot_product_attention(*ours[:3], masks[0], **given)
    z = torch.nn.functional.scaled_dot_product_attention(*theirs[:3], masks[1], **given)
    same(y, z)
    same_gradients(torch, ours, theirs, y, z)


def loaded(torch, theirs, ours):
    """Our module with the weights of PyTorch's; both in float64."""
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.tensor(np.random.default_rng(p.numel()).standard_normal(p.shape) * 0.5))
    ours.load_state_dict({name: p.numpy() for name, p in theirs.state_dict().items()})
    return ours


def same_parameters(ours, theirs):
    found = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        same(p.grad, found[name].grad)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_multihead_attention_is_pytorchs(torch, data):
    heads, width, n = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    length, itself = data.draw(st.integers(1, 5)), data.draw(st.booleans())
    keys = length if itself else data.draw(st.integers(1, 5))
    own = {} if itself or data.draw(st.booleans()) else {"kdim": 5, "vdim": 3}
    made = {"bias": data.draw(st.booleans()), "batch_first": data.draw(st.booleans()), **own}
    e = heads * width
    theirs = torch.nn.MultiheadAttention(e, heads, dtype=torch.float64, **made)
    ours = loaded(torch, theirs, nn.MultiheadAttention(e, heads, dtype="float64", **made))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))

    def sequences(length, width):
        return rng.standard_normal((n, length, width) if made["batch_first"] else (length, n, width))

    arrays = (
        [sequences(length, e)]
        if itself
        else [sequences(length, e), sequences(keys, own.get("kdim", e)), sequences(keys, own.get("vdim", e))]
    )
    x, z = with_gradients(torch, arrays)
    given = {"need_weights": data.draw(st.booleans()), "average_attn_weights": data.draw(st.booleans())}
    numbers = data.draw(st.booleans())
    masks = {}
    if data.draw(st.booleans()):
        masks["key_padding_mask"] = rng.random((n, keys)) < 0.3
    if data.draw(st.booleans()):
        masks["attn_mask"] = rng.random(data.draw(st.sampled_from([(length, keys), (n * heads, length, keys)]))) < 0.3
    for mask in masks.values():
        mask[..., 0] = False  # a row without anything is nan there
    if numbers:
        masks = {name: np.where(mask, -1.5, rng.standard_normal(mask.shape)) for name, mask in masks.items()}
    y, weights = ours(*x * (3 if itself else 1), **masks, **given)
    w, expected = theirs(
        *z * (3 if itself else 1), **{name: torch.tensor(mask) for name, mask in masks.items()}, **given
    )
    same(y, w)
    assert (weights is None) == (expected is None)
    if weights is not None:
        same(weights, expected)
        y, w = y.sum() + (weights * weights).sum(), w.sum() + (expected * expected).sum()
    same_gradients(torch, x, z, y, w)
    same_parameters(ours, theirs)


BLOCKS = st.fixed_dictionaries(
    {
        "dropout": st.just(0.0),
        "activation": st.sampled_from(["relu", "gelu"]),
        "batch_first": st.booleans(),
        "norm_first": st.booleans(),
        "bias": st.booleans(),
        "layer_norm_eps": st.sampled_from([1e-5, 1e-3]),
    }
)


@settings(max_examples=40, deadline=None)
@given(made=BLOCKS, decoder=st.booleans(), padded=st.booleans(), causal=st.booleans())
def test_blocks_and_stacks_are_pytorchs(torch, made, decoder, padded, causal):
    theirs = torch.nn.TransformerEncoderLayer(6, 2, 10, dtype=torch.float64, **made)
    ours = nn.TransformerEncoderLayer(6, 2, 10, dtype="float64", **made)
    norms = torch.nn.LayerNorm(6, dtype=torch.float64), nn.LayerNorm(6, dtype="float64")
    if decoder:
        theirs = torch.nn.TransformerDecoderLayer(6, 2, 10, dtype=torch.float64, **made)
        ours = nn.TransformerDecoderLayer(6, 2, 10, dtype="float64", **made)
        theirs, ours = torch.nn.TransformerDecoder(theirs, 2, norms[0]), nn.TransformerDecoder(ours, 2, norms[1])
    else:
        theirs = torch.nn.TransformerEncoder(theirs, 2, norms[0], enable_nested_tensor=False)
        ours = nn.TransformerEncoder(ours, 2, norms[1])
    loaded(torch, theirs, ours)
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal((3, n, 6) if made["batch_first"] else (n, 3, 6)) for n in ((4, 5) if decoder else (4,))
    ]
    x, z = with_gradients(torch, arrays)
    prefix = "tgt_" if decoder else ""
    given = {prefix + "mask": np.triu(np.ones((4, 4), bool), 1)} if causal else {}
    if padded:
        given["tgt_key_padding_mask" if decoder else "src_key_padding_mask"] = np.array(
            [[False] * 4, [False] * 3 + [True], [False] * 4]
        )
        if decoder:
            given["memory_key_padding_mask"] = np.array([[False] * 5, [False, True] * 2 + [False], [False] * 5])
    tensors = {name: torch.tensor(mask) for name, mask in given.items()}
    y, w = ours(*x, **given), theirs(*z, **tensors)
    same(y, w)
    same_gradients(torch, x, z, y, w)
    same_parameters(ours, theirs)
    if causal and not padded:
        same(ours(*x, **{prefix + "is_causal": True}), w)


@pytest.mark.parametrize(
    "settings", [{}, {"batch_first": True, "norm_first": True, "activation": "gelu"}, {"bias": False}], ids=str
)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_the_whole_transformer_is_pytorchs(torch, settings):
    sizes = {
        "d_model": 8,
        "nhead": 2,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "dim_feedforward": 12,
        **settings,
    }
    theirs = torch.nn.Transformer(**sizes, dtype=torch.float64).eval()
    ours = loaded(torch, theirs, nn.Transformer(**sizes, dtype="float64")).eval()
    source, target = ((3, 5, 8), (3, 4, 8)) if settings.get("batch_first") else ((5, 3, 8), (4, 3, 8))
    x, z = with_gradients(torch, [normal(*source), normal(*target)])
    mask = torch.nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    np.testing.assert_array_equal(ours.generate_square_subsequent_mask(4).numpy(), mask.numpy())
    y, w = ours(*x, tgt_mask=ours.generate_square_subsequent_mask(4)), theirs(*z, tgt_mask=mask)
    same(y, w)
    same_gradients(torch, x, z, y, w)
    same_parameters(ours, theirs)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_names_shapes_and_defaults_are_pytorchs(torch):
    for name, args in (
        ("MultiheadAttention", (6, 2)),
        ("TransformerEncoderLayer", (6, 2)),
        ("TransformerDecoderLayer", (6, 2)),
        ("Transformer", (6, 2, 1, 2)),
    ):
        ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
        shapes = {n: tuple(p.shape) for n, p in theirs.state_dict().items()}
        assert {n: p.shape for n, p in ours.state_dict().items()} == shapes
        assert {n: p.dtype for n, p in ours.state_dict().items()} == dict.fromkeys(shapes, np.float32)
        theirs.load_state_dict({n: torch.tensor(p) for n, p in ours.state_dict().items()})
    block = nn.TransformerEncoderLayer(6, 2)
    found = block.dropout.p, block.norm1.eps, block.norm_first, block.activation, block.self_attn.batch_first
    assert found == (0.1, 1e-5, False, F.relu, False) and block.linear1.out_features == 2048


def test_a_row_without_anything_is_0_as_pytorchs_function_has_it(torch):
    mask = np.array([[True, False], [False, False]])
    ours, theirs = with_gradients(torch, [normal(2, 3), normal(2, 3), normal(2, 4)])
    y = F.scaled_dot_product_attention(*ours, mask)
    z = torch.nn.functional.scaled_dot_product_attention(*theirs, torch.tensor(mask))
    same(y, z)
    same_gradients(torch, ours, theirs, y, z)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("norm_first", "activation"), [(False, "relu"), (True, "gelu"), (True, F.silu)])
def test_a_block_that_gets_token_after_token_is_one_that_gets_all(batch_first, norm_first, activation, monkeypatch):
    ns.manual_seed(0)
    settings = {"batch_first": batch_first, "norm_first": norm_first, "activation": activation, "dtype": "float64"}
    block = nn.TransformerEncoderLayer(8, 2, 16, **settings).eval()
    x = ns.tensor(np.random.default_rng(0).standard_normal((3, 3, 8)))
    taken = []
    step = one_token.step
    monkeypatch.setattr(one_token, "step", lambda *arguments: taken.append(1) or step(*arguments))
    with ns.no_grad():
        at_once, cache, found = block(x, is_causal=True).numpy(), nn.KeyValueCache(), []
        for i in range(3):
            found.append(block(x[:, i : i + 1] if batch_first else x[i : i + 1], is_causal=True, cache=cache).numpy())
        np.testing.assert_allclose(np.concatenate(found, int(batch_first)), at_once, rtol=1e-12, atol=1e-14)
        assert len(taken) == 3 and cache.length == 3
        for padding, mode in ((np.zeros((3, 1), bool), False), (None, True)):  # what it is not for
            block.train(mode)(x[:, :1] if batch_first else x[:1], None, padding, cache=nn.KeyValueCache())
    assert len(taken) == 3


def test_a_block_with_another_part_gets_token_after_token_through_that_part():
    class Twice(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dtype="float64").eval()
    block.linear1 = Twice(8, 16, dtype="float64")
    x = ns.tensor(np.random.default_rng(0).standard_normal((2, 3, 8)))
    with ns.no_grad():
        cache = nn.KeyValueCache()
        found = [block(x[:, i : i + 1], cache=cache).numpy() for i in range(3)]
        np.testing.assert_allclose(np.concatenate(found, 1), block(x, is_causal=True).numpy(), rtol=1e-12, atol=1e-14)
