"""Layers: their values against plain arithmetic, their derivatives against central differences, their settings."""

import copy

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")

F = ns.functional


def normal(*shape):
    return np.random.default_rng(7).standard_normal(shape)


def apart(*shape):
    """Values that keep clear of ties and of the kinks at 0."""
    n = int(np.prod(shape))
    return ((np.random.default_rng(7).permutation(n) - n // 2 + 0.5) * 0.3).reshape(shape)


# Derivatives

D = {"dtype": "float64"}
LAYERS = [
    (nn.Linear(3, 4, **D), normal(2, 3)),
    (nn.Linear(3, 4, bias=False, **D), normal(2, 2, 3)),
    (nn.Conv1d(2, 4, 3, stride=2, padding=(1, 0), dilation=2, groups=2, **D), normal(2, 2, 9)),
    (nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=((1, 0), (0, 2)), groups=2, **D), normal(2, 2, 5, 4)),
    (nn.Conv2d(1, 2, 3, padding="same", **D), normal(1, 1, 4, 3)),
    (nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2, **D), normal(1, 4, 2, 3)),
    (nn.MaxPool2d(2, stride=1, padding=1), apart(1, 2, 4, 3)),
    (nn.MaxPool1d(3, stride=2), apart(2, 1, 7)),
    (nn.AvgPool2d((2, 3), padding=1, count_include_pad=False), normal(1, 2, 4, 5)),
    (nn.AvgPool1d(2), normal(1, 2, 6)),
    (nn.AdaptiveAvgPool2d((2, 3)), normal(1, 2, 5, 4)),
    (nn.Flatten(), normal(2, 3, 2)),
    (nn.Reshape(3, 2), normal(2, 6)),
    (nn.Identity(), normal(2, 3)),
    (nn.Residual(nn.Sequential(nn.Linear(3, 3, **D), nn.Tanh())), normal(2, 3)),
    (nn.Dropout(0.4), normal(3, 4)),
    (nn.BatchNorm1d(3, **D), normal(5, 3)),
    (nn.BatchNorm1d(3, affine=False, **D).eval(), normal(2, 3, 4)),
    (nn.BatchNorm2d(2, **D), normal(3, 2, 2, 3)),
    (nn.BatchNorm2d(2, **D).eval(), normal(3, 2, 2, 3)),
    (nn.LayerNorm((3, 4), **D), normal(2, 3, 4)),
    (nn.LayerNorm(4, affine=False, **D), normal(2, 4)),
    (nn.RMSNorm((3, 4), **D), normal(2, 3, 4)),
    (nn.RMSNorm(4, affine=False, **D), normal(2, 4)),
    (nn.GroupNorm(2, 4, **D), normal(2, 4, 3)),
    (nn.GroupNorm(4, 4, affine=False, **D), normal(2, 4, 2, 2)),
    (nn.MaxPool2d(2, 3, ceil_mode=True), apart(1, 1, 5, 4)),
    (nn.AvgPool2d(2, 3, 1, True, True, (2, 1)), normal(1, 1, 5, 4)),
    (nn.AvgPool1d(2, 3, ceil_mode=True), normal(1, 1, 5)),
    *((activation, apart(3, 4)) for activation in (
        nn.Sigmoid(), nn.ReLU(), nn.Tanh(), nn.Softmax(), nn.Softmax(0), nn.LogSoftmax(), nn.GELU(), nn.SiLU(),
        nn.LeakyReLU(0.2), nn.ELU(0.5), nn.Softplus(), nn.GELU("tanh"), nn.Mish(), nn.Softsign(), nn.Hardsigmoid(),
        nn.Hardswish(), nn.SELU(), nn.CELU(2.0), nn.PReLU(**D), nn.PReLU(4, 0.5, **D),
    )),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "x"), LAYERS, ids=lambda v: repr(v).split("\n")[0] if isinstance(v, nn.Module) else ""
)
def test_derivatives_agree_with_central_differences(layer, x, device):
    x, layer = ns.tensor(x, requires_grad=True), copy.deepcopy(layer).to(device)
    weights = ns.tensor(normal(*layer(x).shape))

    def value():
        ns.manual_seed(3)
        return (layer(x) * weights).sum()

    layer.zero_grad()
    x.grad = None
    value().backward()
    for name, t in (("x", x), *layer.named_parameters()):
        assert t.grad.dtype == np.float64
        for i in np.ndindex(t.shape):
            old, h = t.data[i].item(), 1e-5
            t.data[i] = old + h
            above = value().item()
            t.data[i] = old - h
            below = value().item()
            t.data[i] = old
            assert t.grad.data[i].item() == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-8), (name, i)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_are_kept(dtype):
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, dtype=dtype), nn.BatchNorm2d(2, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(8, 3, dtype=dtype), nn.LayerNorm(3, dtype=dtype), nn.Softmax(),
    )  # fmt: skip
    y = net(ns.tensor(normal(2, 1, 6, 6), dtype=dtype))
    assert y.dtype == dtype
    F.cross_entropy(y, [0, 1]).backward()
    assert {p.dtype for p in net.parameters()} == {p.grad.dtype for p in net.parameters()} == {np.dtype(dtype)}
    assert {b.dtype for b in net.buffers()} == {np.dtype(dtype)}


# Values


def test_linear_by_hand():
    layer = nn.Linear(2, 1, init=nn.init.constant(3), bias_init=nn.init.constant(0.5))
    assert layer(ns.tensor([[1.0, 2.0]])).item() == 9.5


def test_convolution_by_hand():
    x = ns.tensor(np.arange(9, dtype="float32").reshape(1, 1, 3, 3))
    layer = nn.Conv2d(1, 1, 2, init=lambda shape, fans, rng, dtype: np.array([[[[1, 2], [3, 4]]]]), bias_init="ones")
    np.testing.assert_array_equal(layer(x).numpy(), [[[[28, 38], [58, 68]]]])
    back = nn.ConvTranspose2d(1, 1, 2, stride=2, init="ones", bias=False)
    np.testing.assert_array_equal(back(x[..., :1, :2]).numpy(), [[[[0, 0, 1, 1], [0, 0, 1, 1]]]])


def test_one_axis_layers_are_two_axis_layers_of_height_one():
    x = ns.tensor(normal(2, 4, 9))
    conv = nn.Conv1d(4, 2, 3, stride=2, padding=1, groups=2, **D)
    wide = F.conv2d(x[:, :, None], conv.weight[:, :, None], conv.bias, (1, 2), (0, 1), 1, 2)
    np.testing.assert_array_equal(conv(x).numpy(), wide[:, :, 0].numpy())
    np.testing.assert_array_equal(
        nn.MaxPool1d(3, 2, 1)(x).numpy(), F.max_pool2d(x[:, :, None], (1, 3), (1, 2), (0, 1))[:, :, 0].numpy()
    )


def test_dropout_keeps_the_mean_and_does_nothing_in_evaluation():
    x = np.ones((200, 200), "float32")
    layer = nn.Dropout(0.3)
    y = layer(x)
    kept = y != 0
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / x.size)
    np.testing.assert_allclose(y[kept], 1 / 0.7, rtol=1e-6)
    assert layer.eval()(x) is x
    ns.manual_seed(5)
    a = layer.train()(x)
    ns.manual_seed(5)
    np.testing.assert_array_equal(layer(x), a)


@pytest.mark.cpu
@pytest.mark.parametrize(("layer", "shape", "axes"), [
    (nn.BatchNorm1d(3, momentum=0.25, **D), (6, 3), (0,)),
    (nn.BatchNorm1d(3, momentum=0.25, **D), (6, 3, 4), (0, 2)),
    (nn.BatchNorm2d(3, momentum=0.25, **D), (4, 3, 2, 5), (0, 2, 3)),
])  # fmt: skip
def test_batch_norm_and_its_running_statistics(layer, shape, axes):
    mean, var = np.zeros(3), np.ones(3)
    wide = (1, 3) + (1,) * (len(shape) - 2)
    for i in range(3):
        x = normal(*shape) * (i + 1) + i
        y = layer(x).numpy()
        expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
        mean, var = 0.75 * mean + 0.25 * x.mean(axes), 0.75 * var + 0.25 * x.var(axes, ddof=1)
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-13)
        np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-13)
    layer.eval()
    np.testing.assert_allclose(
        layer(x).numpy(), (x - mean.reshape(wide)) / np.sqrt(var.reshape(wide) + 1e-5), rtol=1e-12
    )
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-13)
    assert not any(b.requires_grad for b in layer.buffers())


def test_layer_norm_by_definition():
    x, layer = normal(3, 4, 5), nn.LayerNorm((4, 5), eps=0.1, **D)
    with ns.no_grad():
        layer.weight[...], layer.bias[...] = ns.tensor(normal(4, 5)), 2.0
    expected = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 0.1) * normal(4, 5) + 2
    np.testing.assert_allclose(layer(ns.tensor(x)).numpy(), expected, rtol=1e-12)


def test_embedding_looks_rows_up_and_adds_their_gradients():
    layer = nn.Embedding(4, 2)
    y = layer(np.array([[1, 3], [1, 1]]))
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[[[1, 3], [1, 1]]])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[0, 0], [3, 3], [0, 0], [1, 1]])


@pytest.mark.parametrize("n", [0, 3])
def test_shapes_with_an_empty_batch(n):
    x = ns.tensor(np.ones((n, 2, 3, 4), "float32"))
    assert nn.Flatten()(x).shape == (n, 24)
    assert nn.Flatten(2)(x).shape == (n, 2, 12)
    assert nn.Reshape(4, 6)(x).shape == (n, 4, 6)
    assert nn.Sequential(nn.Flatten(), nn.Linear(24, 2))(x).shape == (n, 2)


def test_lists_are_float32():
    net = nn.Sequential(nn.Flatten(), nn.LayerNorm(4), nn.Residual(nn.Linear(4, 4)), nn.BatchNorm1d(4), nn.ReLU())
    y = net([[[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]]])
    assert y.shape == (2, 4)
    assert y.dtype == np.float32
    assert nn.Residual(nn.Reshape(2, 2))([[[1, 2], [3, 4]]]).dtype == np.float32


def test_softmax_layers_are_recognised_by_the_loss():
    # far out, the probability itself rounds to 0 and only its logits tell the loss
    z = ns.tensor([[200.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(nn.Sequential(nn.Softmax())(z), [1])
    assert loss.item() == 200


@pytest.mark.parametrize(("layer", "function"), [
    (nn.Sigmoid(), F.sigmoid), (nn.ReLU(), F.relu), (nn.Tanh(), F.tanh), (nn.GELU(), F.gelu), (nn.SiLU(), F.silu),
    (nn.Softplus(), F.softplus), (nn.Softmax(0), lambda x: F.softmax(x, 0)), (nn.LogSoftmax(), F.log_softmax),
    (nn.LeakyReLU(0.3), lambda x: F.leaky_relu(x, 0.3)), (nn.ELU(2), lambda x: F.elu(x, 2.0)),
])  # fmt: skip
def test_activations_are_their_functions(layer, function):
    np.testing.assert_array_equal(layer(normal(3, 4)), function(normal(3, 4)))


# Initial values


def test_the_default_is_glorot_uniform_with_a_bias_of_zero():
    for layer, a in ((nn.Linear(300, 200), np.sqrt(6 / 500)), (nn.Conv2d(30, 20, 3), np.sqrt(6 / (9 * 50)))):
        assert not layer.bias.data.any()
        w = layer.weight.numpy()
        assert 0.999 * a < abs(w).max() <= np.float32(a)
        assert abs(w.var() / (a * a / 3) - 1) < 0.03


@pytest.mark.parametrize(("name", "mean", "variance"), [
    ("glorot_uniform", 0, 2 / 700), ("glorot_normal", 0, 2 / 700), ("he_uniform", 0, 2 / 400), ("he_normal", 0, 2 / 400),
    ("standard_normal", 0, 1), ("uniform01", 0.5, 1 / 12), ("zeros", 0, 0), ("ones", 1, 0),
])  # fmt: skip
def test_initialisers_have_the_moments_of_their_formulas(name, mean, variance):
    w = getattr(nn.init, name)((300, 400), dtype="float64")
    assert w.dtype == np.float64
    assert abs(w.mean() - mean) <= 5 * np.sqrt(variance / w.size)
    # the variance of a sample's variance is at most 2 sigma^4 / n for these
    assert abs(w.var() - variance) <= 5 * variance * np.sqrt(2 / w.size)
    kurtosis = {
        "glorot_normal": 3,
        "he_normal": 3,
        "standard_normal": 3,
        "glorot_uniform": 1.8,
        "he_uniform": 1.8,
        "uniform01": 1.8,
    }
    if name in kurtosis:
        assert abs(((w - mean) ** 4).mean() / variance**2 - kurtosis[name]) < 0.1
    assert nn.init.NAMED[name] is getattr(nn.init, name)


LINEAR_MAPS = [
    (nn.Linear, (6, 4), (6,), ()),
    (nn.Conv1d, (6, 4, 3), (6, 9), (4,)),
    (nn.Conv2d, (6, 4, (3, 2)), (6, 7, 7), (3, 3)),
    (nn.Conv2d, (6, 4, (3, 2), 1, 0, 1, 2), (6, 7, 7), (3, 3)),
    (nn.ConvTranspose2d, (6, 4, (3, 2)), (6, 7, 7), (3, 3)),
    (nn.ConvTranspose2d, (6, 4, (3, 2), 1, 0, 0, 2), (6, 7, 7), (3, 3)),
]


@pytest.mark.parametrize(("kind", "settings", "shape", "middle"), LINEAR_MAPS)
def test_fans_are_what_each_unit_is_connected_to(kind, settings, shape, middle):
    fans = []

    def ones(shape, own, rng, dtype):
        fans.append(own)
        return np.ones(shape)

    layer = kind(*settings, bias=False, init=ones)
    x = np.zeros((1, *shape), "float32")
    x[(0, 0, *middle)] = 1
    x = ns.tensor(x, requires_grad=True)
    y = layer(x)
    fan_out = np.count_nonzero(y.numpy())  # the outputs that one input goes into
    y[(0, 0, *middle)].backward()
    fan_in = np.count_nonzero(x.grad.numpy())  # the inputs that one output adds up
    assert fans == [(fan_in, fan_out)]
    if kind is not nn.ConvTranspose2d and len(settings) < 7:
        assert nn.init.fans_of(layer.weight.shape) == (fan_in, fan_out)


def test_the_seed_decides_and_dtypes_start_alike():
    ns.manual_seed(4)
    a = nn.Linear(5, 3)
    ns.manual_seed(4)
    b = nn.Linear(5, 3, dtype="float64")
    np.testing.assert_array_equal(a.weight.numpy(), b.weight.numpy().astype("float32"))
    rng = np.random.default_rng(0)
    assert not np.array_equal(nn.init.he_normal((2, 2), rng=rng), nn.init.he_normal((2, 2), rng=rng))


@pytest.mark.parametrize("init", ["he_normal", nn.init.he_normal])
def test_initialisers_by_name_or_function(init):
    ns.manual_seed(1)
    expected = nn.init.he_normal((3, 5))
    ns.manual_seed(1)
    np.testing.assert_array_equal(nn.Linear(5, 3, init=init).weight.numpy(), expected)


def test_the_bias_has_the_layers_fans():
    bias = nn.Linear(400, 10000, init="zeros", bias_init="he_normal").bias.numpy()
    assert abs(bias.var() * 200 - 1) < 0.1


# Mistakes


@pytest.mark.parametrize(("make", "error", "words"), [
    (lambda: nn.Linear(0, 1), ValueError, "Linear: in_features is 0"),
    (lambda: nn.Linear(2, -1), ValueError, "Linear: out_features is -1"),
    (lambda: nn.Linear(2.0, 1), TypeError, "in_features is 2.0, expected a whole number"),
    (lambda: nn.Linear(True, 1), TypeError, "in_features is True"),
    (lambda: nn.Linear(2, 1, bias=0), TypeError, "bias is 0, expected True or False"),
    (lambda: nn.Linear(2, 1, dtype="int32"), TypeError, "Linear: dtype is 'int32'"),
    (lambda: nn.Linear(2, 1, dtype="real"), TypeError, "dtype is 'real'"),
    (lambda: nn.Linear(2, 1, dtype=None), TypeError, "dtype is None"),
    (lambda: nn.Linear(2, 1, init="xavier"), ValueError, "init is 'xavier', expected .*'glorot_uniform'"),
    (lambda: nn.Linear(2, 1, init=3), ValueError, "init is 3"),
    (lambda: nn.Linear(2, 1, init=lambda s: np.ones(s)), TypeError, r"takes \(shape, fans, rng, dtype\)"),
    (lambda: nn.Linear(2, 1, init=lambda *a: np.ones(3)), ValueError, r"returned \(3,\) float64, expected numbers of shape \(1, 2\)"),
    (lambda: nn.Linear(2, 1, bias_init="one"), ValueError, "bias_init is 'one'"),
    (lambda: nn.Conv2d(3, 4, 0), ValueError, "kernel_size must be a whole number of at least 1"),
    (lambda: nn.Conv2d(3, 4, (1, 2, 3)), ValueError, "kernel_size"),
    (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "stride"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), ValueError, "padding"),
    (lambda: nn.Conv2d(3, 4, 3, padding="big"), ValueError, "padding 'big' is unknown"),
    (lambda: nn.Conv2d(3, 4, 3, dilation=0.5), ValueError, "dilation"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "2 groups do not divide 3 input and 4 output"),
    (lambda: nn.Conv2d(0, 4, 3), ValueError, "in_channels is 0"),
    (lambda: nn.Conv1d(1, 1, (3,)), TypeError, r"kernel_size is \(3,\)"),
    (lambda: nn.Conv1d(1, 1, 3, padding=-1), ValueError, "padding"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"), ValueError, "'same' has no meaning here"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, output_padding=1), ValueError, "output_padding 1 must be less than the stride"),
    (lambda: nn.MaxPool2d(0), ValueError, "kernel_size"),
    (lambda: nn.MaxPool2d(2, stride=-1), ValueError, "stride"),
    (lambda: nn.MaxPool1d((2, 2)), TypeError, "kernel_size is"),
    (lambda: nn.AvgPool1d(2, padding="same"), TypeError, "padding is 'same'"),
    (lambda: nn.AvgPool2d(2, count_include_pad=1), TypeError, "count_include_pad is 1"),
    (lambda: nn.AdaptiveAvgPool2d(0), ValueError, "output_size"),
    (lambda: nn.Dropout(1), ValueError, r"Dropout: p is 1, expected a finite number in \[0, 1\)"),
    (lambda: nn.Dropout(-0.1), ValueError, "p is -0.1"),
    (lambda: nn.Dropout(float("nan")), ValueError, "p is nan"),
    (lambda: nn.Dropout("half"), TypeError, "p is 'half'"),
    (lambda: nn.BatchNorm1d(0), ValueError, "num_features is 0"),
    (lambda: nn.BatchNorm2d(3, eps=0), ValueError, "BatchNorm2d: eps is 0"),
    (lambda: nn.BatchNorm2d(3, momentum=1.5), ValueError, "momentum is 1.5"),
    (lambda: nn.BatchNorm2d(3, dtype="int8"), TypeError, "dtype"),
    (lambda: nn.LayerNorm(()), ValueError, "at least one length"),
    (lambda: nn.LayerNorm((3, 0)), ValueError, "normalized_shape is 0"),
    (lambda: nn.Embedding(10, 0), ValueError, "embedding_dim is 0"),
    (lambda: nn.Flatten(-1), ValueError, "start_axis is -1"),
    (lambda: nn.Reshape(2, -1), ValueError, "a length is -1"),
    (lambda: nn.Softmax("last"), TypeError, "axis is 'last'"),
    (lambda: nn.LeakyReLU(float("inf")), ValueError, "slope is inf"),
    (lambda: nn.ELU(None), TypeError, "alpha is None"),
    (lambda: nn.CELU(0), ValueError, "CELU: alpha is 0"),
    (lambda: nn.GELU("erf"), ValueError, "GELU: approximate is 'erf'"),
    (lambda: nn.PReLU(0), ValueError, "num_parameters is 0"),
    (lambda: nn.PReLU(init="small"), TypeError, "init is 'small'"),
    (lambda: nn.GroupNorm(3, 4), ValueError, "3 groups do not divide 4 channels"),
    (lambda: nn.RMSNorm(0), ValueError, "RMSNorm: normalized_shape is 0"),
    (lambda: nn.MaxPool2d(2, ceil_mode=1), TypeError, "ceil_mode is 1"),
    (lambda: nn.init.glorot_uniform((3,)), ValueError, "does not show its fans"),
    (lambda: nn.init.constant("one"), TypeError, "value is 'one'"),
])  # fmt: skip
def test_settings_that_make_no_sense(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("layer", "x", "error", "words"), [
    (nn.Linear(3, 2), np.ones((1, 4), "float32"), ValueError, "x has 4 features, weight expects 3"),
    (nn.Conv2d(3, 2, 3), np.ones((1, 1, 5, 5), "float32"), ValueError, "x has 1 channels, weight expects 3"),
    (nn.Conv2d(1, 2, 3), np.ones((5, 5), "float32"), ValueError, "expected x"),
    (nn.Conv2d(1, 2, 3), np.ones((1, 1, 2, 2), "float32"), ValueError, "kernel reaches over"),
    (nn.BatchNorm1d(3), np.ones((2, 4), "float32"), ValueError, "4 channels"),
    (nn.BatchNorm1d(3), np.ones((1, 3), "float32"), ValueError, "at least two values"),
    (nn.BatchNorm1d(3), np.ones((2, 3, 2, 2), "float32"), ValueError, "expected 2 or 3 axes"),
    (nn.BatchNorm2d(3), np.ones((2, 3), "float32"), ValueError, "expected 4 axes, the second of 3"),
    (nn.LayerNorm(3), np.ones((2, 4), "float32"), ValueError, r"expected its last axes to be \(3,\)"),
    (nn.RMSNorm(3), np.ones((2, 4), "float32"), ValueError, r"RMSNorm: .* expected its last axes to be \(3,\)"),
    (nn.GroupNorm(1, 3), np.ones((2, 4), "float32"), ValueError, r"expected \(N, 3, ...\); check num_channels"),
    (nn.PReLU(3), np.ones((2, 4), "float32"), ValueError, r"expected \(N, 3, ...\); check num_parameters"),
    (nn.Embedding(3, 2), [[0, 3]], IndexError, "index 3 is out of range for 3 entries"),
    (nn.Embedding(3, 2), [[-1]], IndexError, "index -1"),
    (nn.Embedding(3, 2), [0.5], TypeError, "whole numbers"),
    (nn.Flatten(2), np.ones((2, 3), "float32"), ValueError, "expected an axis 2"),
    (nn.Reshape(2, 2), np.ones((1, 3), "float32"), ValueError, r"do not have the 4 values of \(2, 2\)"),
    (nn.Softmax(2), np.ones((1, 3), "float32"), ValueError, "softmax"),
    (nn.MaxPool2d(3, padding=3), np.ones((1, 1, 5, 5), "float32"), ValueError, "lie outside x"),
])  # fmt: skip
def test_inputs_that_do_not_fit(layer, x, error, words):
    with pytest.raises(error, match=words):
        layer(x)
