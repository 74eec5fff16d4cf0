"""Losses, layers and compositions: the documents' formulas against independent arithmetic, derivatives, mistakes."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")

F = ns.functional
mpmath.mp.dps = 50


def close(value, exact, dtype="float64"):
    value = value.item() if isinstance(value, ns.Tensor) else float(value)
    assert abs(value - float(exact)) <= 4 * np.spacing(np.dtype(dtype).type(abs(float(exact)))), (value, exact)


# The worked examples


def test_w1_mse_of_004():
    for y in ([2.0, 4.0, 3.0], np.array([2.0, 4.0, 3.0])):
        assert float(F.mse_loss(y, [3.0, 5.0, 4.0])) == 1.0


def test_w2_cross_entropy_of_004():
    p, y = ns.tensor([0.8, 0.2, 0.9], dtype="float64"), ns.tensor([1.0, 0.0, 1.0], dtype="float64")
    exact = -(mpmath.log(mpmath.mpf(0.8)) + mpmath.log(mpmath.mpf(0.9)))
    close(F.cross_entropy(p, y, reduction="sum"), exact)  # F8
    close(F.cross_entropy(p, y), exact / 3)  # F7
    assert f"{F.cross_entropy(p, y, reduction='sum').item():.12f}" == "0.328504066972"
    assert f"{F.cross_entropy(p, y).item():.12f}" == "0.109501355657"


def test_w3_the_network_of_002():
    # 2-3-1, weights as listed, one input row; softmax over one value is 1, so the loss and every gradient are 0
    x = ns.tensor([[1.0, 1.0]], dtype="float64")
    w1 = ns.tensor([[0.1, 0.2], [0.1, 0.2], [0.1, 0.3]], dtype="float64", requires_grad=True)
    b1 = ns.tensor([0.4, 0.4, 0.4], dtype="float64", requires_grad=True)
    w2 = ns.tensor([[0.5, 0.5, 0.5]], dtype="float64", requires_grad=True)
    b2 = ns.tensor([0.6], dtype="float64", requires_grad=True)
    h = F.relu(F.linear(x, w1, b1))
    z = F.linear(h, w2, b2)
    np.testing.assert_allclose(h.numpy(), [[0.7, 0.7, 0.8]], rtol=1e-15)
    assert z.item() == pytest.approx(1.7, rel=1e-15)
    p = F.softmax(z)
    loss = F.cross_entropy(p, [[1.0]])
    assert p.item() == 1.0 and loss.item() == 0.0
    loss.backward()
    for t in (w1, b1, w2, b2):
        assert not t.grad.data.any()


# The formulas, F1 to F13, against 50-digit arithmetic


@pytest.mark.parametrize("x", [-750.0, -30.5, -1.0, 0.0, 1e-9, 0.3, 2.0, 40.0, 710.0])
def test_f2_f3_f4(x):
    m = mpmath.mpf(x)
    close(F.sigmoid(np.array(x)), 1 / (1 + mpmath.exp(-m)))
    assert F.relu(np.array(x)) == max(0.0, x)
    close(F.tanh(np.array(x)), (mpmath.exp(m) - mpmath.exp(-m)) / (mpmath.exp(m) + mpmath.exp(-m)))


ROWS = st.lists(st.floats(-700, 700, allow_subnormal=False), min_size=1, max_size=6)


@given(z=ROWS)
def test_f5_softmax_and_f13_normalisation(z):
    exps = [mpmath.exp(mpmath.mpf(v)) for v in z]
    total = mpmath.fsum(exps)
    for value, e in zip(F.softmax(np.array(z)), exps, strict=True):
        close(value, e / total)
    assert abs(float(F.softmax(np.array(z)).sum()) - 1) < 1e-14


@given(rows=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=8))
def test_f6_mse(rows):
    a, b = np.array(rows).T
    d = [mpmath.mpf(float(x - y)) for x, y in zip(a, b, strict=True)]
    exact = mpmath.fsum(v * v for v in d) / len(d)
    if exact > 1e-290:
        close(F.mse_loss(a, b), exact)


def test_f7_f8_rows_and_reductions():
    rng = np.random.default_rng(1)
    p, q = rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.ones(4), 3)
    rows = [
        -mpmath.fsum(mpmath.mpf(b) * mpmath.log(mpmath.mpf(a)) for a, b in zip(u, v, strict=True))
        for u, v in zip(p, q, strict=True)
    ]
    close(F.cross_entropy(p, q), mpmath.fsum(rows) / 3)
    close(F.cross_entropy(p, q, reduction="sum"), mpmath.fsum(rows))
    for value, exact in zip(F.cross_entropy(p, q, reduction="none"), rows, strict=True):
        close(value, exact)
    labels = np.array([0, 3, 1])
    close(F.cross_entropy(p, labels), -mpmath.fsum(mpmath.log(mpmath.mpf(p[i, k])) for i, k in enumerate(labels)) / 3)
    z = rng.standard_normal((3, 4))
    exact = [
        mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(v)) for v in row)) - mpmath.mpf(row[k])
        for row, k in zip(z, labels, strict=True)
    ]
    close(F.cross_entropy(z, labels, from_logits=True), mpmath.fsum(exact) / 3)


def test_f9_backpropagation_as_the_documents_state_it():
    """δ(L) by differentiation of F6 (E3), δ(l) = (W(l+1)ᵀ δ(l+1)) ⊙ σ'(z(l)), ∂J/∂W = δ aᵀ, ∂J/∂b = δ."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 1)), rng.uniform(0.2, 0.8, (2, 1))
    w = [rng.standard_normal((4, 3)), rng.standard_normal((5, 4)), rng.standard_normal((2, 5))]
    b = [rng.standard_normal((n, 1)) for n in (4, 5, 2)]
    a = [x]
    for wl, bl in zip(w, b, strict=True):
        a.append(1 / (1 + np.exp(-(wl @ a[-1] + bl))))
    delta = 2 / y.size * (a[3] - y) * a[3] * (1 - a[3])
    by_hand = []
    for layer in (2, 1, 0):
        by_hand.insert(0, (delta @ a[layer].T, delta))
        if layer:
            delta = (w[layer].T @ delta) * a[layer] * (1 - a[layer])
    ws = [ns.tensor(v, requires_grad=True) for v in w]
    bs = [ns.tensor(v[:, 0], requires_grad=True) for v in b]
    h = ns.tensor(x.T)
    for wl, bl in zip(ws, bs, strict=True):
        h = F.sigmoid(F.linear(h, wl, bl))
    F.mse_loss(h, ns.tensor(y.T)).backward()
    for (dw, db), wl, bl in zip(by_hand, ws, bs, strict=True):
        np.testing.assert_allclose(wl.grad.numpy(), dw, rtol=1e-12)
        np.testing.assert_allclose(bl.grad.numpy(), db[:, 0], rtol=1e-12)


def test_f12_log_likelihood():
    p = np.array([0.5, 0.25, 0.9, 1e-300])
    close(F.log_likelihood(p), mpmath.fsum(mpmath.log(mpmath.mpf(v)) for v in p))
    assert float(F.log_likelihood(np.array([0.0, 1.0]))) == -math.inf


def test_softmax_with_cross_entropy_has_the_gradient_prediction_minus_target():
    rng = np.random.default_rng(2)
    z = ns.tensor(rng.standard_normal((4, 3)), requires_grad=True)
    labels = np.array([0, 2, 1, 1])
    expected, target = (F.softmax(z.numpy()) - np.eye(3)[labels]) / 4, ns.tensor(labels)
    for loss in (
        F.cross_entropy(F.softmax(z), target),  # recognised, and computed from z
        F.cross_entropy(F.softmax(z) * 1.0, target),  # not recognised
        F.cross_entropy(z, target, from_logits=True),
    ):
        np.testing.assert_allclose(ns.grad(loss, z).numpy(), expected, rtol=1e-12, atol=1e-15)


def test_a_saturated_softmax_still_learns():
    z = ns.tensor([[200.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(F.softmax(z), [1])
    assert loss.item() == 200.0
    assert ns.grad(loss, z).tolist() == [[1.0, -1.0]]
    s = ns.tensor([200.0], requires_grad=True)
    loss = F.binary_cross_entropy(F.sigmoid(s), [0.0])
    assert loss.item() == 200.0 and ns.grad(loss, s).tolist() == [1.0]


def test_class_weights_and_label_smoothing():
    rng = np.random.default_rng(3)
    z, labels, weight = rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0]), np.array([1.0, 2.0, 0.5])
    logp = F.log_softmax(z)
    each = -weight[labels] * logp[np.arange(5), labels]
    np.testing.assert_allclose(
        F.cross_entropy(z, labels, from_logits=True, weight=weight), each.sum() / weight[labels].sum(), rtol=1e-14
    )
    np.testing.assert_allclose(
        F.cross_entropy(z, labels, from_logits=True, weight=weight, reduction="sum"), each.sum(), rtol=1e-14
    )
    smooth = 0.9 * np.eye(3)[labels] + 0.1 / 3
    np.testing.assert_allclose(
        F.cross_entropy(z, labels, from_logits=True, label_smoothing=0.1), -(smooth * logp).sum() / 5, rtol=1e-14
    )
    np.testing.assert_allclose(
        F.cross_entropy(z, np.eye(3)[labels], from_logits=True, label_smoothing=0.1),
        -(smooth * logp).sum() / 5,
        rtol=1e-14,
    )


def test_losses_at_certain_predictions():
    p = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert F.cross_entropy(p, [0, 1]) == 0.0
    assert F.cross_entropy(p, [1, 1]) == math.inf
    assert F.binary_cross_entropy(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0.0
    assert F.binary_cross_entropy(np.array([0.0]), np.array([1.0])) == math.inf


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "softplus", "softmax", "log_softmax", "logsumexp", "gelu", "silu", "normal_cdf"]
)
def test_whole_numbers_are_computed_in_floating_point(name):
    whole = np.array([1, 2])
    fn = getattr(F, name)
    np.testing.assert_array_equal(fn(whole), fn(whole.astype(np.float64)))
    if name not in ("softmax", "log_softmax"):
        assert float(fn(1)) == float(fn(np.array(1.0)))


def test_mixed_dtypes_promote_as_in_numpy():
    x, w = (
        ns.tensor(np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)),
        ns.tensor(np.ones((1, 1, 2, 2), np.float32), requires_grad=True),
    )
    y = F.conv2d(x, w)
    assert y.dtype == np.float32 and y.data[0, 0, 0, 0] == 10
    wide = F.conv2d(x.astype("float64"), w)
    assert wide.dtype == np.float64
    wide.sum().backward()
    assert w.grad.dtype == np.float32


# Derivatives of what is composed of operations


def composed(rng):
    x4 = rng.standard_normal((2, 4, 5, 6))
    z = rng.standard_normal((4, 3))
    labels = np.array([0, 2, 1, 1])
    return {
        "concatenate": (
            lambda a, b: ns.concatenate([a, b, a], axis=1),
            [rng.standard_normal((2, 3)), rng.standard_normal((2, 1))],
        ),
        "stack": (lambda a, b: ns.stack([a, b], axis=1), [rng.standard_normal((2, 3)), rng.standard_normal((2, 3))]),
        "split": (lambda a: (p := ns.split(a, [1, 3], axis=1))[0] * p[2] + p[1].sum(), [rng.standard_normal((2, 4))]),
        "conv1d": (
            lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=(1, 2), dilation=2, groups=2),
            [rng.standard_normal((2, 4, 9)), rng.standard_normal((6, 2, 3)), rng.standard_normal(6)],
        ),
        "conv_transpose2d": (
            lambda x, w, b: F.conv_transpose2d(x, w, b, stride=(2, 1), padding=1, output_padding=(1, 0), groups=2),
            [x4, rng.standard_normal((4, 3, 3, 2)), rng.standard_normal(6)],
        ),
        "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), [x4]),
        "avg_pool2d_with_padding": (lambda x: F.avg_pool2d(x, 3, 2, 1), [x4]),
        "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)), [x4]),
        "avg_pool1d": (lambda x: F.avg_pool1d(x, 2), [rng.standard_normal((2, 3, 6))]),
        "embedding": (lambda w: F.embedding([[1, 1], [0, 2]], w), [rng.standard_normal((3, 2))]),
        "batch_norm": (
            lambda x, w, b: F.batch_norm(x, weight=w, bias=b, training=True),
            [x4, rng.standard_normal(4), rng.standard_normal(4)],
        ),
        "batch_norm_running": (
            lambda x, w, b: F.batch_norm(x, ns.tensor(np.zeros(4)), ns.tensor(np.ones(4)), w, b),
            [x4, rng.standard_normal(4), rng.standard_normal(4)],
        ),
        "layer_norm": (
            lambda x, w, b: F.layer_norm(x, w, b, axis=(-2, -1)),
            [x4, rng.standard_normal((5, 6)), rng.standard_normal((5, 6))],
        ),
        "cross_entropy_weighted": (
            lambda z: F.cross_entropy(
                z, ns.tensor(labels), from_logits=True, weight=[1.0, 2.0, 0.5], label_smoothing=0.1
            ),
            [z],
        ),
        "cross_entropy_of_softmax": (lambda z: F.cross_entropy(F.softmax(z), ns.tensor(labels)), [z]),
        "binary_cross_entropy_of_sigmoid": (
            lambda z: F.binary_cross_entropy(F.sigmoid(z), ns.tensor(np.full((4, 3), 0.3))),
            [z],
        ),
        "cross_entropy_ignoring": (
            lambda z: F.cross_entropy(z, ns.tensor(labels), from_logits=True, ignore_index=1),
            [z],
        ),
        "nll_loss": (
            lambda z: F.nll_loss(F.log_softmax(z), ns.tensor(labels), weight=[1.0, 2.0, 0.5], ignore_index=2),
            [z],
        ),
        "group_norm": (
            lambda x, w, b: F.group_norm(x, 2, w, b),
            [x4, rng.standard_normal(4), rng.standard_normal(4)],
        ),
        "instance_norm": (
            lambda x, w, b: F.instance_norm(x, w, b),
            [x4, rng.standard_normal(4), rng.standard_normal(4)],
        ),
        "rms_norm": (lambda x, w: F.rms_norm(x, w, (-2, -1)), [x4, rng.standard_normal((5, 6))]),
        "normalize": (lambda x: F.normalize(x, 3, (1, 2)), [x4]),
        "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.5), [x4]),
        "unfold": (lambda x: ns.square(F.unfold(x, (2, 3), 2, 1, (1, 2))), [x4]),
        "fold": (lambda x: ns.square(F.fold(x, (3, 4), 2)), [rng.standard_normal((2, 8, 6))]),
        "max_unpool2d": (
            lambda x: ns.square(F.max_unpool2d(x, [[[[0, 3], [8, 8]]]], 3)),
            [rng.standard_normal((1, 1, 2, 2))],
        ),
        "pixel_shuffle": (lambda x: ns.square(F.pixel_shuffle(x, 2)), [x4]),
        "pixel_unshuffle": (lambda x: ns.square(F.pixel_unshuffle(x[:, :, :4], 2)), [x4]),
        "max_pool1d": (lambda x: F.max_pool1d(x, 2), [rng.permutation(24).reshape(2, 2, 6) * 0.3]),
    }


@pytest.mark.parametrize("name", composed(np.random.default_rng(0)))
def test_derivatives_of_compositions(name):
    fn, inputs = composed(np.random.default_rng(0))[name]
    assert ns.gradcheck(fn, inputs, order=2).error <= 1e-7


def test_lists_are_taken_everywhere():
    image, row = [[[[1.0, 2.0], [3.0, 4.0]]]], [[[1.0, 2.0, 4.0]]]
    results = {
        "conv_transpose2d": F.conv_transpose2d(image, [[[[1.0]]]]),
        "conv2d": F.conv2d(image, [[[[1.0]]]]),
        "conv1d": F.conv1d(row, [[[1.0]]]),
        "max_pool2d": F.max_pool2d(image, 1),
        "avg_pool2d": F.avg_pool2d(image, 1, count_include_pad=False),
        "adaptive_avg_pool2d": F.adaptive_avg_pool2d(image, 2),
        "max_pool1d": F.max_pool1d(row, 1),
        "avg_pool1d": F.avg_pool1d(row, 1),
    }
    for name, result in results.items():
        assert result.dtype == np.float32, name
        np.testing.assert_array_equal(ns.backend.to_numpy(result), row if name.endswith("1d") else image, name)
    assert F.embedding([1], [[1.0], [2.0]]).tolist() == [[2.0]]
    assert ns.stack([[1.0], [2.0]]).tolist() == [[1.0], [2.0]]
    assert F.batch_norm([[1.0], [3.0]], training=True).shape == F.layer_norm([[1.0], [3.0]]).shape == (2, 1)


def test_nll_loss_is_cross_entropy_after_log_softmax():
    rng = np.random.default_rng(0)
    z, labels = ns.tensor(rng.standard_normal((2, 4, 3))), ns.tensor(rng.integers(0, 3, (2, 4)))
    for settings in (
        {"weight": [1.0, 0.5, 2.0]},
        {"ignore_index": 1},
        {"weight": [1.0, 0.5, 2.0], "ignore_index": 0},
        {"reduction": "none", "ignore_index": 2},
        {"reduction": "sum"},
    ):
        expected = F.cross_entropy(z, labels, from_logits=True, **settings)
        np.testing.assert_allclose(
            F.nll_loss(F.log_softmax(z), labels, **settings).numpy(), expected.numpy(), rtol=1e-13
        )
    assert F.nll_loss(ns.tensor([[0.0, -np.inf]]), [0]).item() == 0


def test_ignored_labels_neither_count_nor_have_a_gradient():
    z = ns.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]], requires_grad=True)
    for ignored in (-100, 7, 1):
        loss = F.cross_entropy(z, [0, ignored, 0], from_logits=True, ignore_index=ignored)
        assert loss.item() == F.cross_entropy(z[[0, 2]], [0, 0], from_logits=True).item()
        (g,) = ns.grad(loss, [z])
        assert g[1].tolist() == [0, 0] and np.all(g.numpy()[[0, 2]] != 0)
        each = F.cross_entropy(z, [0, ignored, 0], from_logits=True, ignore_index=ignored, reduction="none")
        assert each.numpy()[1] == 0 and np.all(each.numpy()[[0, 2]] > 0)
    smooth = F.cross_entropy(z, [0, -1, 0], from_logits=True, ignore_index=-1, label_smoothing=0.2)
    assert smooth.item() == F.cross_entropy(z[[0, 2]], [0, 0], from_logits=True, label_smoothing=0.2).item()
    assert F.cross_entropy(z, [5, 5, 5], from_logits=True, ignore_index=5, reduction="sum").item() == 0


def test_group_norm_has_layer_and_instance_norm_as_its_ends():
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 5))
    np.testing.assert_allclose(F.group_norm(x, 1), F.layer_norm(x, axis=(1, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(F.group_norm(x, 4), F.instance_norm(x), atol=1e-12)
    np.testing.assert_allclose(F.rms_norm(x - x.mean(-1, keepdims=True)), F.layer_norm(x), rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(F.normalize(x), axis=-1), 1)
    assert (F.normalize(np.zeros((2, 3))) == 0).all()


def test_convolution_is_a_product_with_the_unfolded_windows():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((4, 3, 2, 3))
    settings = {"stride": (2, 1), "padding": ((1, 0), (1, 2)), "dilation": (2, 1)}
    columns = F.unfold(x, (2, 3), **settings)
    y = F.conv2d(x, w, **settings)
    np.testing.assert_allclose(w.reshape(4, -1) @ columns, y.reshape(2, 4, -1), rtol=1e-12)
    counts = F.fold(np.ones_like(columns), (6, 5), (2, 3), **settings)
    np.testing.assert_allclose(F.fold(columns, (6, 5), (2, 3), **settings), x * counts, rtol=1e-12)


def test_max_unpooling_puts_the_maxima_back():
    x = np.random.default_rng(0).permutation(2 * 3 * 5 * 6).reshape(2, 3, 5, 6) + 1.0
    for settings in ((2,), (3, 2, 1), (2, 3, ((0, 1), (1, 0)), (2, 1)), (2, 2, 0, 1, True)):
        y, places = F.max_pool2d(x, *settings), F.max_pool2d_indices(x, *settings)
        back = F.max_unpool2d(y, places, (5, 6))
        np.testing.assert_array_equal(back, np.where(back > 0, x, 0))
        assert set(back[back > 0]) == set(y.ravel())
    assert F.max_unpool2d(ns.tensor([[[[1.0, 2.0]]]]), ns.tensor([[[[3, 3]]]], dtype="int64"), 2).tolist() == [
        [[[0, 0], [0, 2]]]
    ]


def test_local_response_norm_by_hand():
    x = np.arange(1.0, 5.0).reshape(1, 4, 1)
    near = [5.0, 14.0, 29.0, 25.0]  # of three channels, 1² + 2², 1² + 2² + 3², ...
    expected = x[0, :, 0] / (2 + 0.5 / 3 * np.array(near)) ** 0.75
    np.testing.assert_allclose(F.local_response_norm(x, 3, 0.5, k=2.0)[0, :, 0], expected)


def test_pixel_shuffle_and_its_inverse():
    x = np.arange(2 * 8 * 2 * 3.0).reshape(2, 8, 2, 3)
    y = F.pixel_shuffle(x, 2)
    assert y.shape == (2, 2, 4, 6)
    for i, j in np.ndindex(2, 2):
        np.testing.assert_array_equal(y[:, :, i::2, j::2], x[:, 2 * i + j :: 4])
    np.testing.assert_array_equal(F.pixel_unshuffle(y, 2), x)


def test_conv_transpose_is_the_transpose_of_conv():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 7, 6)), rng.standard_normal((3, 2, 3, 2))
    y = F.conv2d(x, w, stride=2, padding=1)
    g = rng.standard_normal(y.shape)
    extra = (7 - ((y.shape[2] - 1) * 2 - 2 + 3), 6 - ((y.shape[3] - 1) * 2 - 2 + 2))
    back = F.conv_transpose2d(g, w, stride=2, padding=1, output_padding=extra)
    assert back.shape == x.shape
    assert np.sum(back * x) == pytest.approx(np.sum(g * y), rel=1e-12)


@pytest.mark.parametrize("stride", [1, 2, (1, 3)])
@pytest.mark.parametrize("dilation", [2, 3, (4, 2)])
@pytest.mark.parametrize("padding", [0, 1, ((0, 2), (1, 0))])
def test_output_padding_may_be_as_long_as_the_stride_below_the_dilation(stride, dilation, padding):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 2, 3, 4)), rng.standard_normal((2, 3, 2, 3))
    down, right = np.broadcast_to(stride, 2), np.broadcast_to(dilation, 2)
    extra = [int(max(s, d)) - 1 for s, d in zip(down, right, strict=True)]
    size = [(n - 1) * s + d * k + e + 1 for n, s, d, k, e in zip((3, 4), down, right, (1, 2), extra, strict=True)]
    whole = np.zeros((2, 3, *size))
    for i, j, u, v in np.ndindex(3, 4, 2, 3):
        whole[:, :, i * down[0] + u * right[0], j * down[1] + v * right[1]] += x[:, :, i, j] @ w[:, :, u, v]
    (top, low), (left, end) = padding if isinstance(padding, tuple) else ((padding,) * 2,) * 2
    expected = whole[:, :, top : whole.shape[2] - low, left : whole.shape[3] - end]
    settings = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation}
    np.testing.assert_allclose(F.conv_transpose2d(x, w, **settings), expected, rtol=1e-12, atol=1e-12)
    ns.gradcheck(lambda x, w: F.conv_transpose2d(x, w, **settings), [x[:1], w])


def test_a_sequences_output_padding_may_be_as_long_as_the_stride():
    y = F.conv_transpose1d(ns.tensor([[[1.0, 2.0, 3.0]]]), [[[1.0, 10.0]]], output_padding=1, dilation=2)
    assert y.tolist() == [[[1, 2, 13, 20, 30, 0]]]


def test_padding_same_keeps_the_size():
    x = np.ones((1, 1, 5, 6), np.float32)
    for kernel, dilation in (((3, 3), 1), ((2, 4), 1), ((3, 2), 2)):
        assert F.conv2d(x, np.ones((1, 1, *kernel), np.float32), padding="same", dilation=dilation).shape == x.shape
    assert F.conv2d(x, np.ones((1, 1, 3, 3), np.float32), padding="same", stride=2).shape == (1, 1, 3, 3)
    assert F.conv2d(x, np.ones((1, 1, 3, 3), np.float32), padding="valid").shape == (1, 1, 3, 4)


def test_average_pool_counts():
    x = np.ones((1, 1, 3, 3))
    assert F.avg_pool2d(x, 2, 1, 1).ravel()[0] == 0.25
    assert (F.avg_pool2d(x, 2, 1, 1, count_include_pad=False) == 1).all()
    np.testing.assert_allclose(F.adaptive_avg_pool2d(x, 2), 1)


def test_batch_norm_statistics():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 3, 2))
    mean, var = ns.tensor(np.zeros(3)), ns.tensor(np.ones(3))
    y = F.batch_norm(ns.tensor(x), mean, var, training=True)
    np.testing.assert_allclose(y.numpy().mean((0, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(mean.numpy(), 0.1 * x.mean((0, 2)))
    np.testing.assert_allclose(var.numpy(), 0.9 + 0.1 * x.var((0, 2), ddof=1))
    before = mean.numpy().copy()
    F.batch_norm(ns.tensor(x), mean, var)
    np.testing.assert_array_equal(mean.numpy(), before)


def test_dropout():
    x = ns.tensor(np.ones(20_000, np.float32), requires_grad=True)
    ns.manual_seed(3)
    y = F.dropout(x, 0.25)
    ns.manual_seed(3)
    np.testing.assert_array_equal(F.dropout(x, 0.25).numpy(), y.numpy())
    values, counts = np.unique(y.numpy(), return_counts=True)
    np.testing.assert_allclose(values, [0, 4 / 3], rtol=1e-6)
    assert abs(counts[0] / 20_000 - 0.25) < 0.015 and y.dtype == np.float32
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert F.dropout(x, 0.25, training=False) is x and F.dropout(x, 0) is x


# Mistakes: one clear sentence each, and nothing changed

T = ns.tensor
IMAGE, KERNEL = T(np.zeros((2, 3, 8, 8), np.float32)), T(np.zeros((4, 3, 3, 3), np.float32))
Z = T(np.zeros((4, 3), np.float32))
MISTAKES = {
    "add": (lambda: T([1.0, 2.0]) + T([1.0, 2.0, 3.0]), ValueError, r"add: .*\(2,\) float32.*\(3,\) float32"),
    "matmul": (lambda: T([[1.0, 2.0]]) @ T([[1.0, 2.0]]), ValueError, "matmul: a has 2 columns, b has 1 rows"),
    "matmul number": (lambda: T([1.0]) @ T(2.0), ValueError, "at least one axis each"),
    "linear": (lambda: F.linear(T(np.zeros((32, 784))), T(np.zeros((10, 64)))), ValueError, r"x has 784 features, weight expects 64 \(x: \(32, 784\) float64, weight: .*\); check in_features"),
    "linear weight": (lambda: F.linear(Z, T([1.0])), ValueError, r"weight must have shape \(out, in\)"),
    "linear bias": (lambda: F.linear(Z, T(np.zeros((2, 3))), T([1.0])), ValueError, "bias has shape"),
    "reshape": (lambda: Z.reshape(5, 5), ValueError, "reshape: cannot reshape array of size 12"),
    "transpose": (lambda: Z.transpose(0, 0), ValueError, "transpose: "),
    "axis": (lambda: Z.sum(axis=7), ValueError, "sum: axis 7 is out of range for 2 axes"),
    "axis type": (lambda: Z.max(axis=1.5), TypeError, "max: axis must be whole numbers"),
    "squeeze": (lambda: Z.squeeze(0), ValueError, "squeeze: "),
    "broadcast": (lambda: ns.broadcast_to(Z, (4, 2)), ValueError, "broadcast_to: "),
    "concatenate": (lambda: ns.concatenate([Z, T([[1.0]])]), ValueError, "concatenate: "),
    "concatenate none": (lambda: ns.concatenate([]), ValueError, "got no arrays"),
    "stack": (lambda: ns.stack([Z, T([1.0])]), ValueError, "stack: the arrays have different shapes"),
    "stack none": (lambda: ns.stack([]), ValueError, "got no arrays"),
    "split": (lambda: ns.split(Z, 3), ValueError, "do not make 3 equal parts"),
    "pad": (lambda: ns.pad(Z, ((1, 2, 3),)), ValueError, "pad: widths"),
    "pad negative": (lambda: ns.pad(Z, -1), ValueError, "zero or more"),
    "index": (lambda: Z[7], IndexError, "getitem: index 7 is out of bounds"),
    "index type": (lambda: Z[1.5], IndexError, "getitem: "),
    "mask": (lambda: Z[T([True, False])], IndexError, "getitem: boolean index"),
    "take": (lambda: ns.take(Z, [9], 0), IndexError, "take: index 9 is out of range for 4"),
    "take type": (lambda: ns.take(Z, [0.5], 0), TypeError, "take: indices must be whole numbers"),
    "take axis": (lambda: ns.take(Z, [0], 5), ValueError, "take: axis 5 is out of range"),
    "take_along_axis": (lambda: ns.take_along_axis(Z, [0], 0), ValueError, "give both the same number"),
    "einsum": (lambda: ns.einsum("ij,jk->ik", Z), ValueError, "names 2 operands, got 1"),
    "einsum sizes": (lambda: ns.einsum("ij,jk->ik", Z, Z), ValueError, "einsum: "),
    "einsum order": (lambda: ns.einsum(Z, "ij->i"), TypeError, "einsum: operands is 'ij->i', expected a Tensor"),
    "einsum subscripts": (lambda: ns.einsum(Z, Z), TypeError, "subscripts come first"),
    "clip": (lambda: ns.clip(Z), ValueError, "both bounds are None"),
    "clip order": (lambda: ns.clip(Z, 2, 1), ValueError, "low 2 exceeds high 1"),
    "mean empty": (lambda: T(np.zeros((0, 3))).mean(axis=0), ValueError, "nothing to reduce"),
    "max empty": (lambda: T(np.zeros((0, 3))).max(), ValueError, "max: nothing to reduce"),
    "argmax empty": (lambda: ns.argmax(T(np.zeros(0))), ValueError, "nothing to reduce"),
    "var ddof": (lambda: T([1.0]).var(ddof=1), ValueError, "do not suffice for ddof=1"),
    "string": (lambda: ns.exp("a"), TypeError, "exp: "),
    "none": (lambda: ns.add(Z, None), TypeError, "add: "),
    "astype": (lambda: Z.astype("str"), TypeError, "dtype must be"),
    "conv channels": (lambda: F.conv2d(T(np.zeros((2, 1, 8, 8))), KERNEL), ValueError, "x has 1 channels, weight expects 3"),
    "conv axes": (lambda: F.conv2d(T(np.zeros((3, 8, 8))), KERNEL), ValueError, r"expected x \(N, C, H, W\)"),
    "conv kernel": (lambda: F.conv2d(T(np.zeros((2, 3, 2, 2))), KERNEL), ValueError, r"kernel reaches over \(3, 3\), the padded input is only \(2, 2\)"),
    "conv stride": (lambda: F.conv2d(IMAGE, KERNEL, stride=0), ValueError, "stride must be a whole number of at least 1"),
    "conv dilation": (lambda: F.conv2d(IMAGE, KERNEL, dilation=(1, 2, 3)), ValueError, "dilation must be"),
    "conv padding": (lambda: F.conv2d(IMAGE, KERNEL, padding=-1), ValueError, "padding must be"),
    "conv padding word": (lambda: F.conv2d(IMAGE, KERNEL, padding="full"), ValueError, "'full' is unknown"),
    "conv groups": (lambda: F.conv2d(IMAGE, KERNEL, groups=2), ValueError, "2 groups do not divide 3 input"),
    "conv groups type": (lambda: F.conv2d(IMAGE, KERNEL, groups=0), ValueError, "groups must be"),
    "conv bias": (lambda: F.conv2d(IMAGE, KERNEL, T([1.0])), ValueError, r"expected \(4,\)"),
    "conv1d": (lambda: F.conv1d(IMAGE, KERNEL), ValueError, r"expected x \(N, C, L\)"),
    "transposed conv": (lambda: F.conv_transpose2d(IMAGE, KERNEL), ValueError, "check in_channels"),
    "transposed conv output": (lambda: F.conv_transpose2d(T(np.zeros((1, 4, 2, 2))), KERNEL, output_padding=1), ValueError, "must be less than the stride"),
    "transposed conv padding": (lambda: F.conv_transpose2d(T(np.zeros((1, 4, 1, 1))), KERNEL, padding=2), ValueError, "leaves nothing"),
    "pool size": (lambda: F.max_pool2d(IMAGE, 9), ValueError, "kernel reaches over"),
    "pool padding": (lambda: F.max_pool2d(IMAGE, 2, padding=2), ValueError, "lie outside x"),
    "pool axes": (lambda: F.avg_pool2d(Z, 2), ValueError, r"expected x \(N, C, H, W\)"),
    "pool kernel": (lambda: F.max_pool2d(IMAGE, 0), ValueError, "kernel_size must be"),
    "adaptive": (lambda: F.adaptive_avg_pool2d(IMAGE, 0), ValueError, "output_size must be"),
    "softmax number": (lambda: F.softmax(T(1.0)), ValueError, "softmax: got a single number"),
    "softmax axis": (lambda: F.softmax(Z, 2), ValueError, "softmax: axis 2 is out of range"),
    "mse shapes": (lambda: F.mse_loss(T([1.0, 2.0]), T([[1.0], [2.0]])), ValueError, r"prediction has shape \(2,\), target \(2, 1\)"),
    "mse empty": (lambda: F.mse_loss(T([]), T([])), ValueError, "nothing to compare"),
    "mse reduction": (lambda: F.mse_loss(Z, Z, "average"), ValueError, "reduction 'average' is unknown"),
    "mse integers": (lambda: F.mse_loss(np.array([1]), np.array([1])), TypeError, "must be floating point"),
    "logits": (lambda: F.cross_entropy(T([[2.0, -1.0]]), [0]), ValueError, "pass from_logits=True"),
    "label": (lambda: F.cross_entropy(Z, [0, 1, 2, 3], from_logits=True), ValueError, "label 3 is out of range for 3 classes"),
    "label negative": (lambda: F.cross_entropy(Z, [0, 1, 2, -1], from_logits=True), ValueError, "label -1"),
    "label fraction": (lambda: F.cross_entropy(Z, [0.5, 1, 2, 0], from_logits=True), TypeError, "labels must be whole numbers"),
    "label count": (lambda: F.cross_entropy(Z, [0, 1], from_logits=True), ValueError, r"target has shape \(2,\), expected labels \(4,\)"),
    "label for a vector": (lambda: F.cross_entropy(T([0.5, 0.5]), 1), ValueError, r"prediction\[None\]"),
    "distribution": (lambda: F.cross_entropy(Z, np.full((4, 3), 2.0), from_logits=True), ValueError, "outside \\[0, 1\\]"),
    "class weights": (lambda: F.cross_entropy(Z, [0, 1, 2, 0], from_logits=True, weight=[1.0]), ValueError, "each of 3 classes"),
    "class weights zero": (lambda: F.cross_entropy(Z, [0, 0, 0, 0], from_logits=True, weight=[0.0, 1.0, 1.0]), ValueError, "weights of all labels"),
    "all ignored": (lambda: F.cross_entropy(Z, [9, 9, 9, 9], from_logits=True, ignore_index=9), ValueError, "all are ignore_index"),
    "ignored distribution": (lambda: F.cross_entropy(Z, np.full((4, 3), 0.5), from_logits=True, ignore_index=1), ValueError, "ignore_index 1 is for labels"),
    "nll_loss nan": (lambda: F.nll_loss(T([[math.nan, 1.0]]), [0]), ValueError, "nll_loss: prediction holds nan"),
    "nll_loss label": (lambda: F.nll_loss(Z, [0, 1, 2, 3]), ValueError, "nll_loss: label 3 is out of range"),
    "smoothing": (lambda: F.cross_entropy(Z, [0, 1, 2, 0], from_logits=True, label_smoothing=1.0), ValueError, "label_smoothing is 1.0"),
    "nan": (lambda: F.cross_entropy(T([[math.nan, 1.0]]), [0], from_logits=True), ValueError, "prediction holds nan"),
    "nan probability": (lambda: F.cross_entropy(T([[math.nan, 1.0]]), [0]), ValueError, "prediction holds nan"),
    "empty": (lambda: F.cross_entropy(T(np.zeros((0, 3))), [], from_logits=True), ValueError, "with at least one"),
    "binary logits": (lambda: F.binary_cross_entropy(T([2.0]), T([1.0])), ValueError, "from_logits=True"),
    "binary target": (lambda: F.binary_cross_entropy(T([0.5]), T([2.0])), ValueError, "target holds values outside"),
    "likelihood": (lambda: F.log_likelihood(T([-0.5])), ValueError, "negative probability"),
    "dropout": (lambda: F.dropout(Z, 1.0), ValueError, "p is 1.0"),
    "embedding": (lambda: F.embedding([5], Z), IndexError, "embedding: index 5 is out of range for 4"),
    "embedding negative": (lambda: F.embedding([-1], Z), IndexError, "embedding: index -1"),
    "embedding type": (lambda: F.embedding([0.5], Z), TypeError, "embedding: indices must be whole numbers"),
    "batch_norm channels": (lambda: F.batch_norm(Z, weight=T([1.0]), training=True), ValueError, "check num_features"),
    "batch_norm one": (lambda: F.batch_norm(Z[:1], training=True), ValueError, "at least two values a channel"),
    "batch_norm statistics": (lambda: F.batch_norm(Z), ValueError, "outside training"),
    "layer_norm": (lambda: F.layer_norm(Z, T([1.0])), ValueError, "check normalized_shape"),
    "rms_norm": (lambda: F.rms_norm(Z, T([1.0])), ValueError, "rms_norm: weight .* check normalized_shape"),
    "group_norm groups": (lambda: F.group_norm(IMAGE, 2), ValueError, "2 groups do not divide the 3 channels"),
    "group_norm weight": (lambda: F.group_norm(IMAGE, 1, T([1.0])), ValueError, "group_norm: weight .* check num_channels"),
    "instance_norm axes": (lambda: F.instance_norm(Z), ValueError, r"instance_norm: expected x \(N, C, ...\)"),
    "normalize p": (lambda: F.normalize(Z, 0), ValueError, "p is 0, expected"),
    "normalize integers": (lambda: F.normalize(np.array([1])), TypeError, "normalize: x must be floating point"),
    "unfold": (lambda: F.unfold(Z, 2), ValueError, r"unfold: expected x \(N, C, H, W\)"),
    "fold": (lambda: F.fold(T(np.zeros((1, 8, 5))), (3, 4), 2), ValueError, r"fold: expected x \(N, C \* 4, 6\)"),
    "max_unpool2d": (lambda: F.max_unpool2d(IMAGE, [[[[0]]]], 9), ValueError, "max_unpool2d: expected x and indices"),
    "max_unpool2d index": (lambda: F.max_unpool2d(T([[[[1.0]]]]), [[[[4]]]], 2), IndexError, "max_unpool2d: index 4 is out of range for 4"),
    "local_response_norm": (lambda: F.local_response_norm(IMAGE, 0), ValueError, "size is 0"),
    "pixel_shuffle": (lambda: F.pixel_shuffle(IMAGE, 2), ValueError, r"expected x \(N, C \* 4, H, W\)"),
    "pixel_unshuffle": (lambda: F.pixel_unshuffle(IMAGE, 0), ValueError, "factor is 0"),
}  # fmt: skip


@pytest.mark.cpu  # the tensors were made when this file was read
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_have_one_clear_sentence(name):
    call, error, words = MISTAKES[name]
    before = [t.data.copy() for t in (IMAGE, KERNEL, Z)]
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert caught.value.__cause__ is None
    for t, b in zip((IMAGE, KERNEL, Z), before, strict=True):
        np.testing.assert_array_equal(t.numpy(), b)


# Losses of what softmax or sigmoid gave


LOSSES = {
    "softmax": (F.softmax, lambda p, **k: F.cross_entropy(p, [1, 0], **k)),
    "softmax over rows of probabilities": (
        lambda z: F.softmax(z, 1),
        lambda p, **k: F.cross_entropy(p, [[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]], **k),
    ),
    "weighted": (
        F.softmax,
        lambda p, **k: F.cross_entropy(p, [1, 0], weight=[1.0, 2.0, 0.5], label_smoothing=0.1, **k),
    ),
    "none": (F.softmax, lambda p, **k: F.cross_entropy(p, [1, 0], reduction="none", **k).sum()),
    "sigmoid": (F.sigmoid, lambda p, **k: F.binary_cross_entropy(p, [[0.0, 1.0, 0.3], [1.0, 1.0, 0.0]], **k)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_a_loss_by_probabilities_and_by_what_made_them(name):
    activation, loss = LOSSES[name]
    z = ns.tensor([[1.0, 2.0, 0.5], [-1.0, 0.3, 0.0]], dtype="float64", requires_grad=True)
    p = activation(z)
    found = loss(p)
    apart = ns.tensor(p.numpy(), requires_grad=True)
    plain = loss(apart)
    assert found.item() == pytest.approx(plain.item(), rel=1e-14)
    (by_p,) = ns.grad(found, [p])
    np.testing.assert_allclose(by_p.numpy(), ns.grad(plain, apart).numpy(), rtol=1e-13)
    by_z = ns.grad(found, z).numpy()
    np.testing.assert_allclose(by_z, ns.grad(p, z, by_p).numpy(), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(by_z, ns.grad(found, [p, z])[1].numpy(), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(by_z, ns.grad(loss(z, from_logits=True), z).numpy(), rtol=1e-12, atol=1e-16)
    found.backward()
    np.testing.assert_allclose(z.grad.numpy(), by_z, rtol=1e-15)
    node = found._node if name != "none" else found._node.args[0]
    assert node.op.name.startswith("probability") and node.args[0] is p._node
    assert ns.gradcheck(lambda z: loss(activation(z)), [z.numpy()], order=2)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_probabilities_used_elsewhere_as_well(name):
    activation, loss = LOSSES[name]
    z = ns.tensor([[1.0, 2.0, 0.5], [-1.0, 0.3, 0.0]], dtype="float64", requires_grad=True)
    p = activation(z)
    total = loss(p) + (p * p).sum() + loss(p)
    expected = 2 * ns.grad(loss(p), z).numpy() + ns.grad((p * p).sum(), z).numpy()
    for _ in range(2):  # the second pass computes again what the first dropped
        z.grad = None
        total.backward()
        np.testing.assert_allclose(z.grad.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_probability_too_small_for_its_dtype(name):
    activation, loss = LOSSES[name]
    z = ns.tensor([[300.0, 0.0, 0.0], [0.0, 300.0, -300.0]], requires_grad=True)
    found = loss(activation(z))
    found.backward()
    assert np.isfinite(found.item()) and np.isfinite(z.grad.numpy()).all() and np.abs(z.grad.numpy()).max() > 0.1
    assert found.item() == pytest.approx(loss(ns.tensor(z.numpy(), dtype="float64"), from_logits=True).item(), rel=1e-6)
    with ns.no_grad():
        assert loss(activation(z)).item() == found.item()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("changed", ["logits", "probabilities", "a view of them"])
@pytest.mark.parametrize("recorded", [True, False])
def test_what_was_changed_in_place_is_what_the_loss_is_of(name, changed, recorded):
    activation, loss = LOSSES[name]
    z = ns.tensor([[1.0, 2.0, 0.5], [-1.0, 0.3, 0.0]], dtype="float64", requires_grad=recorded)
    p = activation(z)
    if changed == "logits":
        z.detach()[...] = 0.0
    else:
        (p.detach() if changed == "probabilities" else p.detach()[:, ::-1])[...] = [[0.1, 0.7, 0.2]] * 2
    assert loss(p).item() == pytest.approx(loss(ns.tensor(p.numpy())).item(), rel=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_an_activation_is_not_applied_twice(name):
    activation, loss = LOSSES[name]
    for requires_grad in (True, False):
        p = activation(ns.tensor([[1.0, 2.0, 0.5], [-1.0, 0.3, 0.0]], requires_grad=requires_grad))
        with pytest.raises(
            ValueError, match="cross_entropy: prediction is a result of (softmax|sigmoid), .* second time"
        ):
            loss(p, from_logits=True)


def test_a_softmax_over_another_axis_is_none_over_classes():
    z = ns.tensor([[1.0, 2.0], [-1.0, 0.3]], dtype="float64", requires_grad=True)
    p = F.softmax(z, 0)
    assert F.cross_entropy(p, [1, 0]).item() == pytest.approx(-(np.log(p.numpy()[0, 1]) + np.log(p.numpy()[1, 0])) / 2)
    assert ns.gradcheck(lambda z: F.cross_entropy(F.softmax(z, 0), [1, 0]), [z.numpy()], order=2)
