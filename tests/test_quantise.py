"""Codes of few bits: the straight-through rule, layers on codes beside their definition, and networks of them."""

import numpy as np
import pytest
from nnscratch.kernels.quantise import cpu, definition

import nnscratch as ns
from nnscratch import compress, nn
from nnscratch import functional as F
from nnscratch.compress.int8 import scale_of


def rng(seed=0):
    return np.random.default_rng(seed)


def said(model, x):
    with ns.no_grad():
        return model(ns.tensor(x)).numpy()


# Codes


def test_codes_are_of_quotients_and_not_of_products_with_the_reciprocal():
    """Half-way between two codes they differ: in 60 of these 240."""
    s = np.float32(0.003)
    x = ((np.arange(-120, 120) + 0.5) * s).astype(np.float32)
    codes = definition.to_codes(x, s, 0)
    np.testing.assert_array_equal(codes, np.rint(x / s))
    assert (codes != np.rint(x * (np.float32(1) / s))).sum() == 60


def test_numbers_that_are_none_have_codes():
    x = np.tile(np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.25, 0.75], np.float32), 4000)
    for kernels in (definition, cpu):
        codes = kernels.to_codes(x, np.float32(0.5), 5)
        np.testing.assert_array_equal(codes[:7], [-128, 127, -128, 127, -128, 5, 7])
        np.testing.assert_array_equal(codes, np.tile(codes[:7], 4000))


def test_compiled_codes_are_the_definition_s():
    x = (rng().standard_normal(100_003) * 40).astype(np.float32)
    np.testing.assert_array_equal(cpu.to_codes(x, np.float32(0.37), -7), definition.to_codes(x, np.float32(0.37), -7))


def test_gradients_go_straight_through_where_the_code_lies_in_the_range():
    x = ns.tensor([-1.06, -1.0, -0.04, 0.62, 0.74, 0.76, np.nan], dtype="float64", requires_grad=True)
    s = ns.tensor(0.1, dtype="float64", requires_grad=True)
    y = F.fake_quantize(x, s, 2, -8, 9)  # codes -8, -8, 2, 8, 9, 10 and none
    np.testing.assert_allclose(y.numpy(), [-1.0, -1.0, 0.0, 0.6, 0.7, 0.7, -1.0])
    np.testing.assert_array_equal(ns.grad(y.sum(), x).numpy(), [0, 1, 1, 1, 1, 0, 0])
    by_s = ns.grad(F.fake_quantize(x.numpy()[:6], s, 2, -8, 9).sum(), s)
    assert by_s.item() == pytest.approx(-10 + 0 + 0.4 - 0.2 - 0.4 + 7)


def test_scales_of_channels_have_gradients_of_their_own():
    x, s = rng().normal(size=(3, 50)), np.array([[0.1], [0.02], [0.5]])
    scales = ns.tensor(s, requires_grad=True)
    found = ns.grad(F.fake_quantize(ns.tensor(x), scales, 0, -7, 7).sum(), scales).numpy()
    for row, scale, gradient in zip(x, s, found, strict=True):
        one = ns.tensor(scale, requires_grad=True)
        expected = ns.grad(F.fake_quantize(ns.tensor(row), one, 0, -7, 7).sum(), one).numpy()
        np.testing.assert_allclose(gradient, expected)


def test_fake_quantisation_refuses_what_has_no_codes():
    for scale in (0.0, -1.0, np.array([0.1, 0.0]), np.array([np.nan])):
        with pytest.raises(ValueError, match="fake_quantize: scale .*expected"):
            F.fake_quantize(np.ones(2), scale)
    with pytest.raises(ValueError, match="the codes go from 3 to 3, expected more than one"):
        F.fake_quantize(np.ones(2), 0.1, 0, 3, 3)
    with pytest.raises(TypeError, match="x must be floating point"):
        F.fake_quantize(np.ones(2, int), 0.1)
    assert F.fake_quantize(np.ones(2, np.float16), 0.3).dtype == np.float16


# Layers on codes


def codes(*shape, seed=0):
    return rng(seed).integers(-128, 128, shape).astype(np.int8)


def packed(w, groups=1):
    """A weight with a bias and factors, for the loops and for the definition."""
    bias = rng(2).integers(-9999, 9999, len(w)).astype(np.int32)
    factor = (rng(3).random(len(w)) * 1e-3 + 1e-4).astype(np.float32)
    return [kernels.pack(w, bias, factor, groups) for kernels in (cpu, definition)]


CONVOLUTIONS = [
    # x, weight, stride, padding, dilation, groups
    ((9, 1, 28, 28), (32, 1, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((5, 32, 13, 13), (64, 32, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 5, 12, 9), (10, 5, 3, 2), (2, 1), ((1, 0), (2, 1)), (1, 1), 1),
    ((3, 6, 12, 9), (17, 6, 3, 3), (1, 2), ((1, 1), (1, 1)), (2, 2), 1),
    ((2, 3, 12, 9), (9, 3, 3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 1),
    ((2, 8, 9, 9), (12, 4, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    ((40, 16, 3, 3), (24, 16, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
]


@pytest.mark.parametrize(
    ("zero", "low", "pooled"), [(None, -128, False), (-3, -128, False), (5, 5, False), (-3, -128, True)]
)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_of_codes_are_their_definition_to_the_last_bit(case, zero, low, pooled):
    x_shape, w_shape, *settings, groups = case
    x, (ours, plain) = codes(*x_shape), packed(codes(*w_shape, seed=1).clip(-127, 127), groups)
    args = -11, zero, low, *settings, pooled
    expected = definition.conv2d(x, plain, *args)
    for given in (x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)):
        np.testing.assert_array_equal(cpu.conv2d(given, ours, *args), expected, strict=True)


@pytest.mark.parametrize("zero", [None, -3])
@pytest.mark.parametrize(("rows", "width", "filters"), [(1, 1600, 64), (50, 333, 10), (256, 64, 10), (97, 40, 40)])
def test_linear_layers_of_codes_are_their_definition_to_the_last_bit(rows, width, filters, zero):
    x, (ours, plain) = codes(rows, width), packed(codes(filters, width, seed=1).clip(-127, 127))
    expected = definition.linear(x, plain, 4, zero, -128)
    np.testing.assert_array_equal(cpu.linear(x, ours, 4, zero, -128), expected, strict=True)


def test_sums_are_of_32_bits_however_large_the_codes_are():
    """Sums of 16 bits, which quicker instructions have, would overflow at the second product."""
    x, w = np.full((8, 1600), -128, np.int8), np.full((16, 1600), -127, np.int8)
    y = cpu.linear(x, cpu.pack(w, np.zeros(16, np.int32), np.ones(16, np.float32)), 127, None, -128)
    assert (y == 1600 * 255 * 127).all()


def test_maxima_of_codes():
    x = codes(3, 5, 7, 8)
    y = definition.max_pool2d(x, (3, 2), (2, 2), ((1, 0), (0, 0)), (1, 1))
    expected = F.max_pool2d(x.astype(np.float64), (3, 2), 2, ((1, 0), (0, 0)))
    np.testing.assert_array_equal(y, expected)


# Networks


def network():
    ns.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 10), nn.Softmax(),
    )  # fmt: skip
    with ns.no_grad():
        model[1].running_mean[...] = rng(1).normal(size=8).astype("f4") * 0.1
        model[1].running_var[...] = rng(2).random(8, dtype="f4") + 0.5
    return model.eval()


def digits(n=60):
    return rng().random((n, 1, 14, 14), dtype=np.float32)


def test_batch_normalisation_becomes_a_part_of_the_layer():
    model = network()
    folded = compress.fold_batch_norm(model)
    np.testing.assert_allclose(said(folded, digits()), said(model, digits()), atol=1e-6)
    assert type(folded[1]) is nn.Identity
    assert type(model[1]) is nn.BatchNorm2d


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_network_on_codes_says_almost_the_same(per_channel):
    model, x = network(), digits()
    small = compress.quantize(model, x, per_channel)
    assert [type(part).__name__ for part in small] == [
        "Quantize", "QuantizedConv2d", "QuantizedConv2d", "QuantizedMaxPool2d", "Flatten", "QuantizedLinear", "QuantizedLinear",
        "Softmax",
    ]  # fmt: skip
    assert small[1].pooled
    assert not small[2].pooled
    assert {t.dtype.name for _, t in small.named_buffers()} == {"int8", "int32", "float32"}
    np.testing.assert_allclose(said(small, x), said(model, x), atol=0.01 if per_channel else 0.02)


def test_every_step_is_a_formula_in_numpy():
    """The chain, code by code, as `definition` has it."""
    model, x = network(), digits(7)
    small = compress.quantize(model, x)
    found = []
    h = ns.tensor(x)
    for part in small:
        h = part(h)
        found.append(h.numpy())
    scale, zero = small[0].output.numpy()
    np.testing.assert_array_equal(found[0], np.clip(np.rint(x / scale) + zero, -128, 127))
    layer = small[1]
    (x_scale, x_zero), (y_scale, y_zero) = layer.input.numpy(), layer.output.numpy()
    sums = np.rint(said_convolution(found[0].astype(float) - x_zero, layer.weight.numpy().astype(float)))
    sums = np.moveaxis(sums + layer.bias.numpy()[:, None, None], 1, -1).astype(np.float32)
    expected = np.clip(np.rint(sums * (x_scale * layer.scale.numpy() / y_scale)) + y_zero, y_zero, 127)
    np.testing.assert_array_equal(found[1], F.max_pool2d(np.moveaxis(expected, -1, 1), 2))


def said_convolution(x, w):
    return F.conv2d(x, w)


def test_layers_inside_other_modules_are_quantised_one_by_one():
    ns.manual_seed(0)
    model = nn.Sequential(nn.Residual(nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))), nn.Linear(6, 2))
    x = rng().normal(size=(40, 5, 6)).astype(np.float32)
    small = compress.quantize(model, x)
    assert [type(m).__name__ for m in small.modules()].count("QuantizedLinear") == 3
    np.testing.assert_allclose(said(small, x), said(model, x), atol=0.1)


def test_weights_alone_in_few_bits():
    model, x = network(), digits()
    worst = []
    for bits in (8, 4, 2):
        rounded = compress.quantize(model, bits=bits)
        assert all(len(np.unique(row)) < 2**bits for row in rounded[4].weight.numpy().reshape(12, -1))
        worst.append(np.abs(said(rounded, x) - said(model, x)).max())
    assert worst[0] < worst[1] < worst[2]
    again = compress.unpack(compress.pack(rounded.state_dict(), "bfloat16"))
    assert again.keys() == rounded.state_dict().keys()


def test_learning_to_be_quantised_helps():
    """At 3 bits a network that was trained so fits better than one that is rounded afterwards."""
    ns.manual_seed(0)
    x = rng().normal(size=(200, 4)).astype(np.float32)
    y = np.sin(x.sum(1, keepdims=True))
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    ns.Trainer(model, "mse", ns.optim.Adam(model.parameters(), lr=0.01)).fit(x, y, epochs=40, verbose=False)
    aware = compress.quantization_aware(model, x, bits=3)
    trainer = ns.Trainer(aware, "mse", ns.optim.Adam(aware.parameters(), lr=0.01))
    before = trainer.evaluate(x, y)["loss"]
    trainer.fit(x, y, epochs=40, verbose=False)
    assert trainer.evaluate(x, y)["loss"] < 0.7 * before
    small = compress.quantize(aware, x)
    assert type(small[1]) is compress.QuantizedLinear


@pytest.mark.parametrize("way", ["int8-weights", "int8-weights-per-tensor", "float16", "bfloat16", "sparse"])
def test_what_is_stored_comes_back(way, tmp_path):
    model = network()
    compress.Masks(model, by_layer=True).prune(0.9)
    ns.save(compress.pack(model.state_dict(), way), tmp_path / "small")
    again = compress.restore(network(), ns.load(tmp_path / "small"))
    np.testing.assert_allclose(said(again, digits()), said(model, digits()), atol=0.01)
    most = {"float16": 0.5, "bfloat16": 0.5}.get(way, 0.31) * sum(a.nbytes for a in model.state_dict().values())
    assert sum(a.nbytes for a in ns.load(tmp_path / "small").values()) <= most
    if way == "sparse":
        assert all((again.state_dict()[name] == a).all() for name, a in model.state_dict().items())


@pytest.mark.parametrize("per_channel", [True, False])
def test_networks_on_codes_are_saved_and_come_back_to_the_last_bit(per_channel, tmp_path):
    smaller = compress.prune_channels(
        network(), digits(1), amount=0.5
    )  # of other shapes than the network they are loaded into
    small = compress.quantize(smaller, digits(), per_channel)
    ns.save(small, tmp_path / "a")
    again = compress.restore(network(), ns.load(tmp_path / "a"), "int8" if per_channel else "int8-per-tensor")
    np.testing.assert_array_equal(said(again, digits()), said(small, digits()))


def test_what_cannot_be_quantised_is_refused_in_a_sentence():
    model = network()
    with pytest.raises(
        ValueError, match=r"the network does not take the calibration data \(2, 3, 14, 14\) float32 .*pass inputs"
    ):
        compress.quantize(model, np.ones((2, 3, 14, 14), np.float32))
    for wrong in (np.ones((0, 1, 14, 14), np.float32), np.ones((1, 1, 14, 14), int), np.full((1, 1, 14, 14), np.nan)):
        with pytest.raises(ValueError, match="the calibration data are .*expected finite floating-point numbers"):
            compress.quantize(model, wrong)
    with pytest.raises(ValueError, match="with calibration bits is 4, expected 8"):
        compress.quantize(model, digits(), bits=4)
    with pytest.raises(TypeError, match="model is 3, expected an nn.Module"):
        compress.quantize(3)
    small = compress.quantize(model, digits())
    with pytest.raises(
        TypeError, match=r"x is \(1, 1, 14, 14\) float32, expected codes of int8; put a Quantize before it"
    ):
        small[1](ns.tensor(digits(1)))
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\); check in_channels"):
        small[1](ns.tensor(np.zeros((1, 2, 9, 9), np.int8)))
    with pytest.raises(ValueError, match=r"expected \(..., 48\); check in_features"):
        small[5](ns.tensor(np.zeros((1, 9), np.int8)))
    with pytest.raises(TypeError, match="Quantize: x must be floating point"):
        small[0](ns.tensor(np.zeros((1, 9), np.int8)))
    with pytest.raises(
        ValueError, match="each output adds up 70000 products, expected at most 66310, which 32 bits hold"
    ):
        compress.quantize(nn.Linear(70000, 1), np.ones((1, 70000), np.float32))
    with pytest.raises(ValueError, match="there is no way 'int4'; choose one of int8-weights"):
        compress.pack({}, "int4")
    with pytest.raises(ValueError, match="w has values beyond float16's 65504; store it as bfloat16"):
        compress.pack({"w": np.array([1e6], np.float32)}, "float16")
    with pytest.raises(ValueError, match="what is stored of w does not fit"):
        compress.unpack({"w/codes": np.ones((2, 2), np.int8)})


def test_ranges_have_0_among_their_codes():
    for low, high in ((0.0, 1.0), (-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 0.0)):
        scale, zero = scale_of(low, high)
        assert zero == np.rint(zero)
        assert -128 <= zero <= 127
        assert definition.to_codes(np.zeros(1, np.float32), scale, zero)[0] == zero
        for x in (low, high):
            assert (
                abs((definition.to_codes(np.array([x], np.float32), scale, zero)[0] - zero) * scale - x)
                <= scale * 0.501
            )


@pytest.mark.parametrize("per_channel", [True, False])
def test_onnxruntime_says_the_same_to_the_last_bit(per_channel):
    """Of the same graph, where its products do not saturate; before softmax, whose last digit is each one's own."""
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    from tests.qdq import model_of, session

    small, x = compress.quantize(network(), digits(200), per_channel), digits(200)
    made = model_of(list(small)[:-1], x.shape[1:])
    (found,) = session(made).run(None, {"x": x})
    np.testing.assert_array_equal(found, said(small[:-1], x))
