"""`ns.checkpoint`: what is computed again is what was computed, bit for bit, and takes less memory."""

import gc
import tracemalloc

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn

pytestmark = pytest.mark.cpu


def conv():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 3), nn.Softmax()
    )


def dense():
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 3))


class Attending(nn.Module):
    def __init__(self):
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)

    def forward(self, x):
        return self.block(x)


class Reading(nn.Module):
    def __init__(self):
        self.lstm = nn.LSTM(6, 5, 2, batch_first=True, dropout=0.5, bidirectional=True)

    def forward(self, x):
        out, (h, c) = self.lstm(x)
        return {"out": out, "states": [h, c]}


CASES = {
    "conv": (conv, (4, 1, 8, 8)),
    "dense": (dense, (5, 6)),
    "attention": (Attending, (3, 4, 8)),
    "lstm": (Reading, (3, 4, 6)),
}


def total(y):
    """A number of all results, each weighed otherwise."""
    results = [y["out"], *y["states"]] if isinstance(y, dict) else [y]
    return ns.sum(ns.stack([ns.sum(ns.square(r + 0.1) * (i + 1)) for i, r in enumerate(results)]))


def gradients(name, wrap):
    """The loss, all gradients, and what the buffers and the random numbers are afterwards."""
    made, shape = CASES[name]
    ns.manual_seed(3)
    model = made()
    x = ns.tensor(np.random.default_rng(0).normal(size=shape).astype("f"), requires_grad=True)
    loss = total(wrap(model)(x * 1.0))
    loss.backward()
    found = [loss, x.grad, *(p.grad for p in model.parameters()), *model.buffers()]
    return [t.numpy() for t in found] + [np.array(ns.backend.cpu.rng.random())]


@pytest.mark.parametrize("name", CASES)
def test_gradients_masks_and_statistics_have_the_same_bits(name):
    for kept, again in zip(gradients(name, lambda f: f), gradients(name, ns.checkpoint), strict=True):
        np.testing.assert_array_equal(kept, again)


def test_parts_in_a_row_and_within_each_other():
    ns.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3), nn.Tanh()) for _ in range(6)]
    x = ns.tensor(np.ones((2, 4), "f"))

    def through(x, parts):
        for layer in parts:
            x = layer(x)
        return x

    def run(way):
        ns.manual_seed(1)
        loss = ns.sum(ns.square(way(x)))
        return [g.numpy() for g in ns.grad(loss, [p for m in layers for p in m.parameters()])]

    whole = run(lambda x: through(x, layers))
    in_a_row = run(lambda x: ns.checkpoint(through)(ns.checkpoint(through)(x, layers[:3]), parts=layers[3:]))
    within = run(lambda x: ns.checkpoint(lambda x: through(ns.checkpoint(through)(x, layers[:3]), layers[3:]))(x))
    for found in (in_a_row, within):
        for a, b in zip(whole, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_second_derivatives_are_right():
    x = ns.tensor(np.array([0.3, -0.7]), requires_grad=True)

    def second(way):
        slope = ns.grad(ns.sum(way(lambda x: ns.tanh(ns.exp(x) * x))(x)), x, create_graph=True)
        return ns.grad(ns.sum(ns.square(slope)), x).numpy()

    np.testing.assert_array_equal(second(ns.checkpoint), second(lambda f: f))


def test_operations_are_called_again_once_and_the_function_is_not():
    calls, ran = [], []

    @ns.op
    def counted(x):
        calls.append(1)
        return x * x

    @counted.rule("x")
    def _(g, x):
        return 2 * g * x

    def function(x):
        ran.append(1)
        return counted(counted(counted(x)))

    x = ns.tensor([2.0], requires_grad=True)
    y = ns.checkpoint(function)(x)
    assert len(calls) == 3
    y.backward()
    assert x.grad.numpy() == 8 * 2**7
    assert (len(calls), len(ran)) == (5, 1)  # the result of the last is not needed


def test_a_parameter_changed_in_the_meantime_is_refused():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    loss = ns.sum(ns.checkpoint(layer)(ns.tensor(np.ones((1, 2), "f"))))
    with ns.no_grad():
        layer[0].weight[...] = 0.0
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_without_a_graph_it_is_the_function_itself():
    with ns.no_grad():
        assert ns.checkpoint(F.relu)(ns.tensor([-1.0, 2.0])).numpy().tolist() == [0, 2]
    with pytest.raises(TypeError, match=r"checkpoint: got .* expected a function"):
        ns.checkpoint(3)


def test_a_deep_network_takes_a_third_of_the_memory():
    ns.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(32, 32), nn.LayerNorm(32), nn.Dropout(0.1), nn.Tanh()) for _ in range(48)]
    x = ns.tensor(np.random.default_rng(0).normal(size=(512, 32)).astype("f"))

    def part(x, begin):
        for layer in layers[begin : begin + 6]:
            x = layer(x)
        return x

    def gradient(way):
        ns.manual_seed(1)
        y = x
        for begin in range(0, 48, 6):
            y = way(part)(y, begin)
        for layer in layers:
            layer.zero_grad()
        ns.sum(ns.square(y)).backward()
        return layers[0][0].weight.grad.numpy()

    def peak(way):
        gradient(way)
        gc.collect()
        tracemalloc.start()
        found = gradient(way)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most, found

    (kept, a), (again, b) = peak(lambda f: f), peak(ns.checkpoint)
    np.testing.assert_array_equal(a, b)
    assert again < 0.3 * kept
