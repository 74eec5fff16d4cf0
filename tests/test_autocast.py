"""`ns.autocast` and `optim.LossScaler`: rounding, what stays float32, and a scaler that goes on."""

import numpy as np
import pytest
from nnscratch.kernels.matmul.definition import rounded

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn
from nnscratch.autograd import OPS
from nnscratch.casting import PRECISIONS, TABLE
from nnscratch.optim import LossScaler
from nnscratch.training import Checkpoint

pytestmark = pytest.mark.cpu
RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.normal(size=shape).astype("f")


@pytest.mark.parametrize("name", PRECISIONS)
def test_operands_results_and_gradients_are_rounded(name):
    x, w, b = (ns.tensor(random(*s), requires_grad=True) for s in ((5, 7), (3, 7), (3,)))
    with ns.autocast(name):
        y = F.linear(x, w, b)
    near = [rounded(t.numpy(), name) for t in (x, w, b)]
    np.testing.assert_array_equal(y.numpy(), rounded(near[0] @ near[1].T + near[2], name))
    g = random(5, 3)
    y.backward(g)  # outside the block, as PyTorch has it
    np.testing.assert_array_equal(w.grad.numpy(), rounded(rounded(g, name).T @ near[0], name))
    assert y.dtype == x.grad.dtype == np.float32
    np.testing.assert_allclose(F.linear(x, w, b).numpy(), x.numpy() @ w.numpy().T + b.numpy(), rtol=1e-5)


def test_every_lower_operation_is_rounded_and_the_others_are_not():
    lower = {operation for operation, way, _ in TABLE if way == "lower"}
    assert {operation for operation, *_ in TABLE} <= set(OPS)
    x = ns.tensor(random(2, 3, 8, 8))
    rows = ns.tensor(random(4, 6))
    lstm, attention = nn.LSTM(6, 3), nn.MultiheadAttention(6, 2)
    calls = {
        "linear": lambda: F.linear(rows, rows),
        "matmul": lambda: rows @ rows.T,
        "einsum": lambda: ns.einsum("ij,kj->ik", rows, rows),
        "conv2d": lambda: F.conv2d(x, ns.tensor(random(4, 3, 3, 3))),
        "conv2d_input": lambda: F.conv_transpose2d(x, ns.tensor(random(3, 2, 3, 3))),
        "attention": lambda: F.scaled_dot_product_attention(rows, rows, rows),
        "lstm_layer": lambda: lstm(rows)[0],
        "rnn_layer": lambda: nn.RNN(6, 3)(rows)[0],
        "gru_layer": lambda: nn.GRU(6, 3)(rows)[0],
    }
    assert calls.keys() == lower
    for operation, call in calls.items():
        with ns.autocast("bfloat16"):
            y = call().numpy()
        np.testing.assert_array_equal(y, rounded(y, "bfloat16"), err_msg=operation)
    with ns.autocast("bfloat16"):
        for kept in (F.softmax(rows), ns.exp(rows), F.layer_norm(rows), ns.sum(rows, 0)):
            assert (kept.numpy() != rounded(kept.numpy(), "bfloat16")).any()
        doubled = ns.tensor(np.ones((2, 2))) @ ns.tensor(np.full((2, 2), 1 + 2.0**-20))
    assert doubled.numpy()[0, 0] == 2 + 2.0**-19
    assert attention is not None


def test_weights_that_change_are_rounded_anew():
    def losses(outside):
        w = ns.tensor([[1.0, -2.0]], requires_grad=True)
        x, found = ns.tensor([[1.5, 0.5]]), []
        optimizer = ns.optim.SGD([w], lr=0.1)
        if outside:
            for _ in range(5):
                with ns.autocast("bfloat16"):
                    loss = ns.sum(ns.square(F.linear(x, w) - 3.0))
                found.append(step(loss, optimizer))
        else:
            with ns.autocast("bfloat16"):
                for _ in range(5):
                    found.append(step(ns.sum(ns.square(F.linear(x, w) - 3.0)), optimizer))
        return found

    def step(loss, optimizer):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    assert losses(True) == losses(False)
    assert len(set(losses(True))) == 5


def test_autocast_is_the_threads_and_refuses_other_names():
    x = ns.tensor(random(3, 3))
    plain = (x @ x).numpy()
    with ns.autocast("float16"), ns.autocast("bfloat16"):
        inner = (x @ x).numpy()
    np.testing.assert_array_equal(inner, rounded(inner, "bfloat16"))
    np.testing.assert_array_equal((x @ x).numpy(), plain)
    with (
        pytest.raises(ValueError, match="autocast: got 'float8', expected 'bfloat16' or 'float16'"),
        ns.autocast("float8"),
    ):
        pass
    with pytest.raises(ValueError, match="Trainer: autocast is 'half'"):
        trainer(autocast="half")


def test_checkpointed_parts_are_computed_again_in_as_many_bits():
    layers = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    x = ns.tensor(random(4, 6))

    def gradients(way):
        with ns.autocast("bfloat16"):
            loss = ns.sum(ns.square(way(layers)(x)))
        return [g.numpy() for g in ns.grad(loss, list(layers.parameters()))]

    for a, b in zip(gradients(lambda f: f), gradients(ns.checkpoint), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_scaler_skips_what_overflows_counts_anew_and_has_a_floor():
    w = ns.tensor([1.0], requires_grad=True)
    scaler, optimizer = LossScaler(8.0, interval=2, least=2.0), ns.optim.SGD([w], lr=1.0)

    def step(factor):
        optimizer.zero_grad()
        with np.errstate(over="ignore"):
            scaler.multiply((w * factor).sum()).backward()
        return scaler.step(optimizer)

    assert step(0.25) and w.item() == 0.75 and (scaler.scale, scaler.good) == (8, 1)
    assert not step(3e38) and w.item() == 0.75 and (scaler.scale, scaler.good, scaler.skipped) == (4, 0, 1)
    assert step(0.25) and step(0.25) and (scaler.scale, scaler.good) == (8, 0)
    assert not step(3e38) and not step(3e38) and scaler.scale == 2
    with pytest.raises(FloatingPointError, match="not finite at the least scale, 2"):
        step(3e38)
    with pytest.raises(ValueError, match="in .2, "):
        scaler.load_state_dict({"scale": 0.5, "good": 0, "skipped": 0})


def trainer(**settings):
    ns.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax())
    made = ns.Trainer(
        model,
        "cross_entropy",
        ns.optim.Adam(model.parameters(), lr=0.02, bias_correction=True),
        ["accuracy"],
        **settings,
    )
    return made


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_in_float16_goes_on_bit_for_bit_with_its_scaler(tmp_path, accumulate):
    x, y = ns.data.iris()
    settings = {"batch_size": 32, "verbose": False, "accumulate": accumulate}

    def run(epochs, **more):
        made = trainer(autocast="float16")
        made.step.scaler.interval = 7
        made.fit(x, y, epochs, **settings, **more)
        return made

    whole = run(12, callbacks=[Checkpoint(tmp_path / "whole")])
    run(6, callbacks=[Checkpoint(tmp_path / "half")])
    resumed = run(12, resume=tmp_path / "half", callbacks=[Checkpoint(tmp_path / "resumed")])
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert whole.step.scaler.state_dict() == resumed.step.scaler.state_dict()
    assert whole.step.scaler.skipped and whole.history["loss"][-1] < whole.history["loss"][0]
