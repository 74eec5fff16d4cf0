"""Embeddings and bags of them: known values, gradients, and PyTorch's results where that is installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(6, 3))
IDS = np.array([[1, 3, 0], [1, 1, 5]])


def table(dtype="float64"):
    return ns.tensor(TABLE.astype(dtype), requires_grad=True)


# --- One vector for each number


@pytest.mark.parametrize("padding_idx", [1, -5])
def test_padding_has_no_gradient_of_any_order(padding_idx):
    weight = table()
    y = F.embedding(IDS, weight, padding_idx=padding_idx)
    np.testing.assert_array_equal(y.numpy(), TABLE[IDS])
    (g,) = ns.grad((y**3).sum(), [weight], create_graph=True)
    expected = 3 * TABLE**2
    expected[[1, 2, 4]] = 0
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-14)
    (second,) = ns.grad(g.sum(), [weight])
    expected = 6 * TABLE
    expected[[1, 2, 4]] = 0
    np.testing.assert_allclose(second.numpy(), expected, rtol=1e-14)


def test_a_layers_padding_begins_as_zeros_and_stays_so():
    layer = nn.Embedding(5, 2, padding_idx=-1)
    assert layer.padding_idx == 4 and not layer.weight.numpy()[4].any() and layer.weight.numpy()[:4].all()
    optimizer = ns.optim.Adam(layer.parameters(), lr=0.1)
    ((layer([[0, 4, 4]]) - 1) ** 2).sum().backward()
    optimizer.step()
    assert not layer.weight.numpy()[4].any() and repr(layer) == "Embedding(5, 2, padding_idx=4)"


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0])
def test_rows_that_are_looked_up_are_scaled_for_good(norm_type):
    layer = nn.Embedding(6, 3, max_norm=0.5, norm_type=norm_type, dtype="float64")
    before = layer.weight.numpy().copy()
    y = layer(IDS)
    norms = np.linalg.norm(before, norm_type, axis=1)
    assert (norms > 0.5).all()
    scaled = before * (0.5 / (norms + 1e-7))[:, None]
    scaled[[2, 4]] = before[[2, 4]]
    np.testing.assert_allclose(layer.weight.numpy(), scaled, rtol=1e-12)
    np.testing.assert_allclose(y.numpy(), scaled[IDS], rtol=1e-12)
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [1, 3, 0, 1, 0, 1])
    again = layer.weight.numpy().copy()
    layer(IDS)
    np.testing.assert_array_equal(layer.weight.numpy(), again)


def test_rows_that_are_short_enough_stay_bit_for_bit():
    weight = TABLE.copy()
    F.embedding(IDS, weight, max_norm=100.0)
    np.testing.assert_array_equal(weight, TABLE)


def test_a_weight_scaled_between_is_an_error_rather_than_a_wrong_gradient():
    layer = nn.Embedding(6, 3, max_norm=0.1)
    y = (layer.weight * layer.weight).sum()
    layer([0])
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("cls", [nn.Embedding, nn.EmbeddingBag])
def test_given_vectors_are_copied_and_frozen(cls):
    vectors = TABLE.astype("float32")
    layer = cls.from_pretrained(vectors, padding_idx=0)
    np.testing.assert_array_equal(layer.weight.numpy(), vectors)  # row 0, too
    assert not layer.weight.requires_grad and not layer(IDS).requires_grad
    layer.weight.data[0] = 9
    assert vectors[0, 0] != 9
    free = cls.from_pretrained(TABLE, freeze=False, max_norm=1.0)
    assert free.weight.requires_grad and free.weight.dtype == np.float64 and free.max_norm == 1
    assert cls.from_pretrained([[1.0, 2.0]]).weight.dtype == np.float32
    model = nn.Sequential(layer, nn.Linear(3, 1))
    assert sum(p.requires_grad for p in model.parameters()) == 2


def test_settings_are_shown():
    assert repr(nn.Embedding(3, 2, max_norm=1, norm_type=1)) == "Embedding(3, 2, max_norm=1.0, norm_type=1.0)"
    assert repr(nn.EmbeddingBag(3, 2, padding_idx=1)) == "EmbeddingBag(3, 2, padding_idx=1, mode='mean')"


# --- Bags


def by_hand(rows, mode):
    """What a bag's rows, weighted already, become."""
    if not len(rows):
        return np.zeros(TABLE.shape[1])
    return {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, axis=0)


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=5),
    st.sampled_from(["sum", "mean", "max"]),
    st.none() | st.integers(-6, 5),
    st.booleans(),
    st.booleans(),
)
def test_bags_are_joined_as_by_hand(bags, mode, padding_idx, weighted, last):
    indices = np.array([i for bag in bags for i in bag], np.int64)
    offsets = np.cumsum([0, *map(len, bags)])[: None if last else -1]
    factors = np.linspace(0.5, 2, len(indices)) if weighted and mode == "sum" else None
    settings = {"mode": mode, "per_sample_weights": factors, "padding_idx": padding_idx, "include_last_offset": last}
    y = F.embedding_bag(indices, TABLE, offsets, **settings)
    rows = TABLE[indices] * (1 if factors is None else factors[:, None])
    counted = indices != (None if padding_idx is None else padding_idx % 6)
    ends = np.cumsum([*map(len, bags)])
    expected = [by_hand(rows[e - len(b) : e][counted[e - len(b) : e]], mode) for b, e in zip(bags, ends, strict=True)]
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-15)
    assert y.shape == (len(bags), 3) and y.dtype == np.float64


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_rows_of_indices_are_bags(mode):
    y = F.embedding_bag(IDS, TABLE, mode=mode)
    np.testing.assert_allclose(y, [by_hand(TABLE[ids], mode) for ids in IDS], rtol=1e-14)
    flat = F.embedding_bag(IDS.reshape(-1), TABLE, [0, 3], mode=mode)
    np.testing.assert_array_equal(flat, y)
    assert F.embedding_bag(np.zeros((2, 0), int), TABLE, mode=mode).tolist() == [[0] * 3] * 2
    assert F.embedding_bag([], TABLE, [0, 0], mode=mode).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_derivatives_of_bags(mode):
    factors = [np.linspace(0.5, 2, 6)] if mode == "sum" else []

    def bag(weight, *factors):
        given = {"per_sample_weights": factors[0]} if factors else {}
        return F.embedding_bag([1, 3, 0, 1, 1, 5], weight, [0, 0, 4, 6], mode=mode, **given) ** 2

    assert ns.gradcheck(bag, [TABLE, *factors], order=2).error <= 1e-7


def test_of_equal_values_the_first_has_the_gradient():
    weight = ns.tensor([[1.0, 2.0], [1.0, 3.0]], requires_grad=True)
    F.embedding_bag([[0, 1], [1, 0]], weight, mode="max").sum().backward()
    assert weight.grad.tolist() == [[1, 0], [1, 2]]
    nan = F.embedding_bag([[0, 1]], np.array([[np.nan, 1], [0, 2.0]]), mode="max")
    np.testing.assert_array_equal(nan, [[np.nan, 2]])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_padding_in_a_bag_has_no_gradient(mode):
    layer = nn.EmbeddingBag(4, 2, mode=mode, padding_idx=0)
    y = layer([[0, 1, 2], [0, 0, 0]])
    assert y.tolist()[1] == [0, 0]
    (y**2).sum().backward()
    assert not layer.weight.grad.numpy()[[0, 3]].any() and layer.weight.grad.numpy()[1:3].any()


@pytest.mark.parametrize("device", ["standin", "cuda"], indirect=True)
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_on_a_device_as_on_the_host(device, mode):
    layer = nn.EmbeddingBag(6, 3, mode=mode, padding_idx=1, max_norm=1.0)
    there = nn.EmbeddingBag.from_pretrained(layer.weight, freeze=False, mode=mode, padding_idx=1, max_norm=1.0).to(
        device
    )
    offsets = [0, 0, 4]
    for ids in (IDS.reshape(-1), ns.tensor(IDS.reshape(-1), device=device)):
        expected, y = layer(IDS.reshape(-1), offsets), there(ids, offsets)
        assert y.device == device
        np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-6)
        there.zero_grad(), layer.zero_grad()
        expected.sum().backward(), y.sum().backward()
        np.testing.assert_allclose(there.weight.grad.numpy(), layer.weight.grad.numpy(), rtol=1e-6)
        np.testing.assert_allclose(there.weight.numpy(), layer.weight.numpy(), rtol=1e-6)


# --- Beside PyTorch


@given(
    st.integers(0, 999),
    st.none() | st.integers(-6, 5),
    st.none() | st.sampled_from([0.0, 0.5, 1.5]),
    st.sampled_from([1.0, 2.0, 2.5]),
)
def test_embeddings_are_pytorchs(seed, padding_idx, max_norm, norm_type):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    rng = np.random.default_rng(seed)
    weight, ids, g = rng.normal(size=(6, 3)), rng.integers(0, 6, (2, 4)), rng.normal(size=(2, 4, 3))
    settings = {"padding_idx": padding_idx, "max_norm": max_norm, "norm_type": norm_type}
    theirs = torch.nn.Embedding.from_pretrained(torch.tensor(weight), freeze=False, **settings)
    ours = nn.Embedding.from_pretrained(weight, freeze=False, **settings)
    a, b = theirs(torch.tensor(ids)), ours(ids)
    np.testing.assert_allclose(b.numpy(), a.detach().numpy(), rtol=1e-12, atol=1e-12)
    a.backward(torch.tensor(g)), b.backward(ns.tensor(g))
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert ours.padding_idx == theirs.padding_idx


@given(
    st.integers(0, 999),
    st.sampled_from(["sum", "mean", "max"]),
    st.none() | st.integers(-6, 5),
    st.none() | st.just(1.0),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_bags_are_pytorchs(seed, mode, padding_idx, max_norm, weighted, last, flat):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    rng = np.random.default_rng(seed)
    weight, ids = rng.normal(size=(6, 3)), rng.integers(0, 6, (3, 4))
    factors = rng.normal(size=ids.shape) if weighted and mode == "sum" else None
    offsets = None
    if flat:
        ids, factors = ids.reshape(-1), None if factors is None else factors.reshape(-1)
        offsets = np.sort(rng.integers(0, 13, 4))
        offsets[0] = 0
        offsets[-1] = 12 if last else offsets[-1]
    settings = {"mode": mode, "padding_idx": padding_idx, "max_norm": max_norm, "include_last_offset": last and flat}
    theirs = torch.nn.EmbeddingBag.from_pretrained(torch.tensor(weight), freeze=False, **settings)
    ours = nn.EmbeddingBag.from_pretrained(weight, freeze=False, **settings)
    parts = [(torch.tensor(p).requires_grad_(p.dtype.kind == "f"), ns.tensor(p, requires_grad=p.dtype.kind == "f")) if p is not None else (None, None) for p in (ids, offsets, factors)]  # fmt: skip
    a, b = theirs(*(p[0] for p in parts)), ours(*(p[1] for p in parts))
    np.testing.assert_allclose(b.numpy(), a.detach().numpy(), rtol=1e-12, atol=1e-12)
    g = rng.normal(size=b.shape)
    a.backward(torch.tensor(g)), b.backward(ns.tensor(g))
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-12, atol=1e-12)
    if factors is not None:
        np.testing.assert_allclose(parts[2][1].grad.numpy(), parts[2][0].grad.numpy(), rtol=1e-12, atol=1e-12)


# --- What is refused

BAG = "embedding_bag: "
REFUSED = {
    "padding": (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "Embedding: padding_idx is 3 with 3 entries"),
    "negative padding": (lambda: nn.Embedding(3, 2, padding_idx=-4), ValueError, "Embedding: padding_idx is -4"),
    "padding's kind": (lambda: nn.EmbeddingBag(3, 2, padding_idx=0.0), TypeError, "EmbeddingBag: padding_idx is 0.0"),
    "max_norm": (lambda: nn.Embedding(3, 2, max_norm=-1), ValueError, "Embedding: max_norm is -1"),
    "norm_type": (lambda: nn.Embedding(3, 2, norm_type=0), ValueError, "Embedding: norm_type is 0"),
    "num_embeddings": (lambda: nn.Embedding(0, 2), ValueError, "Embedding: num_embeddings is 0"),
    "no matrix": (lambda: nn.Embedding.from_pretrained([1.0]), ValueError, "Embedding: vectors are of shape (1,)"),
    "whole numbers": (lambda: nn.Embedding.from_pretrained([[1]]), ValueError, "Embedding: vectors are of shape (1, 1) and dtype int64"),
    "no vectors": (lambda: nn.EmbeddingBag.from_pretrained(np.zeros((0, 2))), ValueError, "EmbeddingBag: vectors are of shape (0, 2)"),
    "text": (lambda: nn.Embedding.from_pretrained([["a"]]), TypeError, "Embedding: vectors is a list"),
    "freeze": (lambda: nn.Embedding.from_pretrained([[1.0]], freeze=1), TypeError, "Embedding: freeze is 1"),
    "function's padding": (lambda: F.embedding([0], TABLE, padding_idx=6), ValueError, "embedding: padding_idx is 6"),
    "scaled out of range": (lambda: F.embedding([6], TABLE, max_norm=1.0), IndexError, "embedding: index 6 is out of range"),
    "weight": (lambda: F.embedding([0], TABLE[0]), ValueError, "embedding: weight must have shape (num_embeddings"),
    "mode": (lambda: nn.EmbeddingBag(3, 2, mode="min"), ValueError, "EmbeddingBag: mode is 'min'"),
    "function's mode": (lambda: F.embedding_bag(IDS, TABLE, mode=None), ValueError, BAG + "mode is None"),
    "last": (lambda: nn.EmbeddingBag(3, 2, include_last_offset=1), TypeError, "EmbeddingBag: include_last_offset is 1"),
    "out of range": (lambda: nn.EmbeddingBag(3, 2)([[3]]), IndexError, BAG + "index 3 is out of range for 3 entries"),
    "fractions": (lambda: nn.EmbeddingBag(3, 2)([[0.5]]), TypeError, BAG + "indices must be whole numbers"),
    "no offsets": (lambda: nn.EmbeddingBag(3, 2)([1, 2]), ValueError, BAG + "indices have shape (2,), expected (bags, n)"),
    "no indices": (lambda: nn.EmbeddingBag(3, 2)([]), ValueError, BAG + "indices have shape (0,), expected (bags, n)"),
    "three axes": (lambda: nn.EmbeddingBag(3, 2)([[[1]]], [0]), ValueError, BAG + "indices have shape (1, 1, 1)"),
    "both": (lambda: nn.EmbeddingBag(3, 2)([[1]], [0]), ValueError, BAG + "indices (1, 1) have a bag in each row"),
    "first offset": (lambda: nn.EmbeddingBag(3, 2)([1], [1]), ValueError, BAG + "offsets are [1], expected where"),
    "order": (lambda: nn.EmbeddingBag(3, 2)([1, 1], [0, 2, 1]), ValueError, BAG + "offsets are [0, 2, 1]"),
    "offset beyond": (lambda: nn.EmbeddingBag(3, 2)([1], [0, 2]), IndexError, BAG + "index 2 is out of range for 2"),
    "offsets' kind": (lambda: nn.EmbeddingBag(3, 2)([1], [0.0]), TypeError, BAG + "indices must be whole numbers"),
    "last offset": (lambda: F.embedding_bag([1, 1], TABLE, [0, 1], include_last_offset=True), ValueError, BAG + "the last offset is 1"),
    "weights' mode": (lambda: nn.EmbeddingBag(3, 2)([[1]], None, [[1.0]]), ValueError, BAG + "per_sample_weights go with mode 'sum'"),
    "weights' shape": (lambda: nn.EmbeddingBag(3, 2, mode="sum")([[1]], None, [1.0]), ValueError, BAG + "per_sample_weights are"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_in_one_sentence(name):
    call, kind, beginning = REFUSED[name]
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind and str(error.value).startswith(beginning) and "\n" not in str(error.value)
    assert "; " in str(error.value)


@pytest.mark.parametrize("ids", [[[9]], [[0.5]], [[-1]]])
def test_a_model_names_the_layer(ids):
    model = nn.Sequential(nn.Embedding(3, 2), nn.Flatten())
    with pytest.raises((IndexError, TypeError), match=r"^Sequential 0 \(Embedding\): embedding: ind"):
        model(ids)
