"""Tensors made of a shape, and initial values written in place: shapes, dtypes, distributions, one stream of random numbers."""

import math

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn

init = nn.init


@pytest.mark.parametrize("shape", [(2, 3), ((2, 3),), ([2, 3],)])
@pytest.mark.parametrize("make", [ns.zeros, ns.ones, ns.rand, ns.randn])
def test_a_shape_is_numbers_or_one_tuple(make, shape):
    x = make(*shape)
    assert (x.shape, x.dtype, x.requires_grad) == ((2, 3), np.float32, False)
    y = make(*shape, dtype="float64", requires_grad=True)
    assert (y.dtype, y.requires_grad) == (np.float64, True)
    assert make().shape == ()


def test_their_values():
    assert ns.zeros(2).tolist() == [0, 0] and ns.ones(1, dtype="int64").tolist() == [1]
    assert ns.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]] and ns.eye(2).shape == (2, 2)
    for numbers in ((3,), (1, 4), (5, 0, -2)):
        assert ns.arange(*numbers).tolist() == list(range(*numbers))
        assert ns.arange(*numbers).dtype == np.int64
    assert ns.arange(0.0, 1.0, 0.25).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert ns.arange(2.5).dtype == np.float32
    assert sorted(ns.randperm(5).tolist()) == list(range(5))
    whole = ns.randint(-2, 3, (1000,))
    assert whole.dtype == np.int64 and set(whole.tolist()) == {-2, -1, 0, 1, 2}
    assert set(ns.randint(3, (100,)).tolist()) == {0, 1, 2}


def test_random_numbers_come_from_the_stream_that_is_seeded():
    ns.manual_seed(3)
    first = [ns.rand(2).tolist(), ns.randn(2).tolist(), ns.randint(9, (2,)).tolist(), ns.randperm(4).tolist()]
    ns.manual_seed(3)
    assert first == [ns.rand(2).tolist(), ns.randn(2).tolist(), ns.randint(9, (2,)).tolist(), ns.randperm(4).tolist()]
    with ns.Generator(3):
        assert ns.rand(2).tolist() == first[0]
    x, z = ns.rand(20000).numpy(), ns.randn(20000).numpy()
    assert (x >= 0).all() and (x < 1).all() and abs(x.mean() - 0.5) < 0.01
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: ns.zeros(-1), ValueError, "zeros: a length is -1"),
    (lambda: ns.zeros(2.5), TypeError, "zeros: a length is 2.5"),
    (lambda: ns.ones(2**40, 2**40), MemoryError, "ones: arrays of these sizes do not fit into memory"),
    (lambda: ns.rand(2, dtype="complex64"), TypeError, "dtype must be a float"),
    (lambda: ns.arange(0, 3, 0), ValueError, "arange: step is 0"),
    (lambda: ns.arange("3"), TypeError, "arange: stop is '3'"),
    (lambda: ns.randint(3, 3), ValueError, "randint: high is 3, expected a whole number of at least 4"),
    (lambda: ns.randperm(-1), ValueError, "randperm: n is -1"),
    (lambda: ns.flatten(ns.zeros(2, 3), 2), ValueError, "flatten: x has shape .2, 3., expected an axis 2 to start at"),
    (lambda: init.uniform_(ns.zeros(2), 1.0, 0.0), ValueError, "uniform_: b is 0.0"),
    (lambda: init.zeros_(np.zeros(2)), TypeError, "zeros_: got .* expected a tensor to write into"),
    (lambda: init.eye_(ns.zeros(2)), ValueError, "eye_: the tensor has shape .2,., expected a matrix"),
    (lambda: init.xavier_uniform_(ns.zeros(2)), ValueError, "does not show its fans"),
    (lambda: init.kaiming_normal_(ns.zeros(2, 2), mode="fan"), ValueError, "mode is 'fan', expected 'fan_in' or 'fan_out'"),
    (lambda: init.calculate_gain("gelu"), ValueError, "nonlinearity is 'gelu', expected 'leaky_relu'"),
    (lambda: init.trunc_normal_(ns.zeros(2), a=5.0, b=6.0), ValueError, "too few lie from 5.0 to 6.0; choose wider bounds"),
])  # fmt: skip
def test_mistakes(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_flatten():
    x = ns.zeros(2, 3, 4)
    assert ns.flatten(x).shape == x.flatten().shape == (24,)
    assert ns.flatten(x, 1).shape == x.flatten(1).shape == (2, 12)
    assert ns.flatten(x, -2).shape == (2, 12)
    assert ns.flatten(ns.zeros(0, 3, 2), 1).shape == (0, 6)
    assert ns.flatten(ns.tensor(1.0)).shape == (1,)


#: Initialisers in place, by what the values of a weight (64, 32, 3, 3) have to be: their standard deviation, their greatest size.
FAN_IN, FAN_OUT = 32 * 9, 64 * 9
RELU, LEAKY = math.sqrt(2), math.sqrt(2 / 1.25)
DRAWN = {
    "uniform_": (lambda w: init.uniform_(w, -0.3, 0.3), 0.3 / math.sqrt(3), 0.3),
    "normal_": (lambda w: init.normal_(w, 0.0, 0.3), 0.3, 2.0),
    "trunc_normal_": (lambda w: init.trunc_normal_(w, std=0.5, a=-1.0, b=1.0), 0.8796 * 0.5, 1.0),
    "xavier_uniform_": (lambda w: init.xavier_uniform_(w, 2.0), 2 * math.sqrt(2 / (FAN_IN + FAN_OUT)), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "xavier_normal_": (lambda w: init.xavier_normal_(w, 2.0), 2 * math.sqrt(2 / (FAN_IN + FAN_OUT)), 1.0),
    "kaiming_uniform_": (lambda w: init.kaiming_uniform_(w, 0.5), LEAKY / math.sqrt(FAN_IN), LEAKY * math.sqrt(3 / FAN_IN)),
    "kaiming_normal_": (
        lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), RELU / math.sqrt(FAN_OUT), 1.0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_initialisers_in_place_have_their_spread(name):
    call, deviation, greatest = DRAWN[name]
    ns.manual_seed(0)
    weight = nn.Parameter(np.zeros((64, 32, 3, 3), "float32"))
    assert call(weight) is weight
    assert weight.requires_grad and weight.is_leaf
    values = weight.numpy()
    assert values.dtype == np.float32
    assert values.std() == pytest.approx(deviation, rel=0.02)
    assert abs(values.mean()) < 0.02 * deviation
    assert abs(values).max() <= greatest * (1 + 1e-6)


def test_other_initialisers_in_place():
    assert init.constant_(ns.zeros(2), 1.5).tolist() == [1.5, 1.5]
    assert init.ones_(init.zeros_(ns.rand(2))).tolist() == [1, 1]
    w = init.orthogonal_(ns.zeros(3, 5, dtype="float64"), 2.0).numpy()
    np.testing.assert_allclose(w @ w.T, 4 * np.eye(3), atol=1e-12)
    assert [init.calculate_gain(n) for n in ("linear", "tanh", "selu")] == [1.0, 5 / 3, 0.75]
    assert init.calculate_gain("leaky_relu", 0.5) == pytest.approx(LEAKY)


@pytest.mark.parametrize(("make", "shape"), [(nn.Dropout1d, (20, 50, 4)), (nn.Dropout2d, (20, 50, 2, 3))])
def test_dropout_by_channels(make, shape):
    ns.manual_seed(0)
    layer, x = make(0.25), ns.ones(*shape, requires_grad=True)
    y = layer(x)
    channels = y.numpy().reshape(*shape[:2], -1)
    assert (channels == channels[..., :1]).all()
    assert set(np.unique(channels).tolist()) == {0.0, np.float32(1 / 0.75).item()}
    assert abs((channels[..., 0] == 0).mean() - 0.25) < 0.05
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert layer.eval()(x) is x
    with pytest.raises(ValueError, match=rf"expected {len(shape)} axes, samples and channels first"):
        layer(ns.ones(3, 4))


@pytest.mark.parametrize(("settings", "shape", "words"), [
    ({}, (1, 1, 2), "pass one of them"),
    ({"size": 2, "scale_factor": 2}, (1, 1, 2), "pass one of them"),
    ({"size": 2, "mode": "cubic"}, (1, 1, 2), "mode is 'cubic'"),
    ({"size": 2, "mode": "bilinear"}, (1, 1, 2), "'bilinear' for"),
    ({"size": 2, "align_corners": True}, (1, 1, 2), "align_corners is for"),
    ({"size": (2, 2)}, (1, 1, 2), "for 1 axes"),
    ({"size": 2}, (2, 2), "expected .N, C, L. or"),
    ({"scale_factor": 0.1}, (1, 1, 2), "the result's length is 0"),
])  # fmt: skip
def test_mistakes_of_interpolate(settings, shape, words):
    with pytest.raises(ValueError, match=words):
        ns.functional.interpolate(ns.zeros(*shape), **settings)
