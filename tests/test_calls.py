"""How many Python functions a layer runs through on the way to its kernel and within it."""

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn
from nnscratch.ops.conv import conv2d_input, conv2d_weight
from tests.calls import calls, count_calls


@pytest.mark.parametrize(("channels", "filters", "size"), [(1, 32, 28), (32, 64, 13), (3, 4, 8)])
def test_a_convolution_of_the_mnist_network(channels, filters, size):
    layer, x = nn.Conv2d(channels, filters, 3), ns.tensor(np.zeros((64, channels, size, size), np.float32))
    found = calls(layer.forward, x)
    assert len(found) <= 30, found


def test_a_layer_of_neurons_and_pooling():
    x = ns.tensor(np.zeros((64, 1600), np.float32))
    assert count_calls(nn.Linear(1600, 64).forward, x) <= 8
    x = ns.tensor(np.zeros((64, 32, 26, 26), np.float32), requires_grad=True)
    assert count_calls(nn.MaxPool2d(2).forward, x) <= 60


def test_what_is_counted():
    def outer():
        return inner() + sum([1, 2])

    def inner():
        return 1

    assert count_calls(outer) == 2
    assert [name.rpartition(".")[2] for name in calls(outer)] == ["outer", "inner"]


def test_settings_are_looked_at_again_for_each_kind_of_value():
    """What is kept by shapes and settings must not let a wrong setting through that equals a right one."""
    x, w = ns.tensor(np.zeros((1, 1, 4, 4), np.float32)), ns.tensor(np.zeros((1, 1, 2, 2), np.float32))
    assert ns.functional.conv2d(x, w, stride=1).shape == ns.functional.conv2d(x, w, stride=[1, 1]).shape == (1, 1, 3, 3)
    back = conv2d_input(np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 2, 2)), [4, 4], [1, 1])
    assert back.shape == (1, 1, 4, 4)
    assert conv2d_weight(np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 4, 4)), [2, 2], [1, 1]).shape == (1, 1, 2, 2)
    for wrong in (True, 1.0):
        with pytest.raises(ValueError, match="stride must be a whole number"):
            ns.functional.conv2d(x, w, stride=wrong)
        with pytest.raises(ValueError, match="stride must be a whole number"):
            ns.functional.max_pool2d(x, 2, stride=wrong)
