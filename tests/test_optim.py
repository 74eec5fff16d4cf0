"""Optimisers against plain transcriptions of their formulas, their state, gradient clipping, penalties, mistakes."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import nn, optim

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")


def parameter(values, grad=None, dtype="float64"):
    p = ns.tensor(values, dtype=dtype, requires_grad=True)
    if grad is not None:
        p.grad = ns.tensor(grad, dtype=dtype)
    return p


def run(make, steps=100, shape=(3, 5), dtype="float64", seed=0):
    """Random steps by an optimiser; returns the start, the gradients and the end."""
    rng = np.random.default_rng(seed)
    p = parameter(rng.standard_normal(shape), dtype=dtype)
    start, gradients = p.numpy().copy(), []
    optimizer = make([p])
    for _ in range(steps):
        g = (rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 4)).astype(dtype)
        p.grad = ns.tensor(g)
        optimizer.step()
        gradients.append(g)
    return start, gradients, p.numpy()


# Adam


@pytest.mark.parametrize("shape", [(3, 5), (), (0, 2), (1000,)])
@pytest.mark.parametrize("settings", [{}, {"lr": 0.1, "betas": (0.5, 0.75), "eps": 1e-3}])
def test_adams_default_is_f11_to_the_last_bit(shape, settings):
    p, gradients, end = run(lambda params: optim.Adam(params, **settings), shape=shape)
    lr, (b1, b2), eps = settings.get("lr", 1e-3), settings.get("betas", (0.9, 0.999)), settings.get("eps", 1e-8)
    m, v = np.zeros(shape), np.zeros(shape)
    for g in gradients:
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        p = p - lr * m / (np.sqrt(v) + eps)
    assert end.tobytes() == p.tobytes()


def test_adams_first_step_by_hand():
    p = parameter([1.0], [2.0])
    optim.Adam([p], lr=0.5).step()
    # m = 0.2, v = 0.004: no bias correction
    assert p.item() == pytest.approx(1 - 0.5 * 0.2 / (math.sqrt(0.004) + 1e-8), rel=1e-15)
    p = parameter([1.0], [2.0])
    optim.Adam([p], lr=0.5, bias_correction=True).step()
    assert p.item() == pytest.approx(1 - 0.5 * 2 / (2 + 1e-8), rel=1e-15)


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize(("decay", "decoupled"), [(0.0, False), (0.1, False), (0.1, True)])
def test_adam_of_kingma_and_ba_and_its_decays(correct, decay, decoupled):
    settings = {"lr": 0.01, "bias_correction": correct, "weight_decay": decay, "decoupled": decoupled}
    p, gradients, end = run(lambda params: optim.Adam(params, **settings))
    m = v = np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        if decoupled:
            p = p - 0.01 * decay * p
        else:
            g = g + decay * p
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        m_hat, v_hat = (m / (1 - 0.9**t), v / (1 - 0.999**t)) if correct else (m, v)
        p = p - 0.01 * m_hat / (np.sqrt(v_hat) + 1e-8)
    np.testing.assert_allclose(end, p, rtol=1e-12)


def test_adamw_is_adam_with_decoupled_decay():
    a = run(lambda params: optim.AdamW(params, lr=0.1, bias_correction=True))[2]
    b = run(lambda params: optim.Adam(params, lr=0.1, bias_correction=True, weight_decay=0.01, decoupled=True))[2]
    assert a.tobytes() == b.tobytes()
    assert a.tobytes() != run(lambda params: optim.Adam(params, lr=0.1, bias_correction=True))[2].tobytes()


# Gradient descent


def test_sgd_is_f10_to_the_last_bit():
    p, gradients, end = run(lambda params: optim.SGD(params, 0.1))
    for g in gradients:
        p = p - 0.1 * g
    assert end.tobytes() == p.tobytes()


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_sgd_with_momentum_nesterov_and_decay(momentum, nesterov, decay):
    p, gradients, end = run(lambda params: optim.SGD(params, 0.1, momentum, nesterov, decay))
    v = np.zeros_like(p)
    for g in gradients:
        g = g + decay * p
        v = momentum * v + g
        p = p - 0.1 * (g + momentum * v if nesterov else v)
    np.testing.assert_allclose(end, p, rtol=1e-12)


def test_nesterov_is_the_form_of_sutskever():
    # their look-ahead point x + mu u is what we keep; on f = x²/2 · c the two must tell the same story
    lr, mu, c = 0.1, 0.8, 1.7
    x, u = 3.0, 0.0
    p = parameter([x])
    optimizer = optim.SGD([p], lr, momentum=mu, nesterov=True)
    for _ in range(20):
        u = mu * u - lr * c * (x + mu * u)
        x = x + u
        p.grad = p.detach() * c
        optimizer.step()
        assert p.item() == pytest.approx(x + mu * u, rel=1e-10)


# What a step does besides


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1, momentum=0.9), optim.Adam, optim.AdamW])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_step_is_in_place_and_keeps_dtypes(make, dtype):
    p, idle = parameter([1.0, 2.0], [0.5, 0.25], dtype), parameter([1.0], dtype=dtype)
    array, g, version = p.data, p.grad.numpy().copy(), p._version[0]
    optimizer = make([p, idle])
    for _ in range(3):
        optimizer.step()
    assert p.data is array
    assert p.dtype == dtype
    assert p._version[0] == version + 3
    assert idle._version[0] == 0
    assert idle.item() == 1
    np.testing.assert_array_equal(p.grad.numpy(), g)
    assert np.isfinite(p.numpy()).all()
    assert (p.numpy() < [1, 2]).all()


@pytest.mark.parametrize(
    ("make", "slot"), [(lambda p: optim.SGD(p, 0.1, momentum=0.9), "velocity"), (optim.Adam, "m"), (optim.AdamW, "m")]
)
def test_means_of_gradients_that_stay_0_do_not_end_in_subnormal_numbers(make, slot):
    p = parameter([1.0, 2.0, 3.0], [1.0, -1.0, 1.0], "float32")
    optimizer = make([p])
    optimizer.step()
    p.grad = ns.tensor([0.0, 0.0, 1.0])
    for _ in range(1000):
        optimizer.step()
    np.testing.assert_array_equal(optimizer.state_dict()[f"0.{slot}"] != 0, [False, False, True])
    assert np.isfinite(p.numpy()).all()


def test_each_parameter_counts_its_own_steps():
    late, whole = parameter([1.0], [1.0]), parameter([1.0], [1.0])
    a, b = (
        optim.Adam([late, parameter([1.0])], 0.1, bias_correction=True),
        optim.Adam([whole], 0.1, bias_correction=True),
    )
    for grad in (None, ns.tensor([2.0], dtype="float64"), None, ns.tensor([-1.0], dtype="float64")):
        late.grad = whole.grad = grad
        a.step()
        if grad is not None:
            b.step()
    assert a.state_dict()["steps"] == [2, 0]
    assert late.item() == whole.item()


def test_half_precision_steps_in_float32_and_is_rounded_once():
    p, gradients, end = run(lambda params: optim.Adam(params, 0.01), 20, dtype="float16")
    m, v = np.zeros(p.shape, "float32"), np.zeros(p.shape, "float32")
    for g in gradients:
        wide = g.astype("float32")
        m = 0.9 * m + (1 - 0.9) * wide
        v = 0.999 * v + (1 - 0.999) * wide**2
        p = (p.astype("float32") - 0.01 * m / (np.sqrt(v) + 1e-8)).astype("float16")
    assert end.tobytes() == p.tobytes()


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.5), lambda p: optim.Adam(p, 0.5)])
def test_a_single_number_is_a_parameter_too(make):
    p = parameter(1.0, 2.0)
    make([p]).step()
    assert ns.backend.is_array(p.data)
    assert p.shape == ()
    assert p.item() < 1


def test_a_step_between_forward_and_backward_is_noticed():
    p = parameter([2.0], [1.0])
    y = (p * p).sum()
    optim.SGD([p], 0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_zero_grad_and_training_to_the_minimum():
    ns.manual_seed(0)
    net = nn.Linear(2, 1)
    x = np.random.default_rng(0).standard_normal((32, 2)).astype("float32")
    y = x @ np.float32([[2.0], [-3.0]]) + 0.5
    optimizer = optim.SGD(net.parameters(), lr=0.2, momentum=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        ns.functional.mse_loss(net(ns.tensor(x)), ns.tensor(y)).backward()
        optimizer.step()
    np.testing.assert_allclose(net.weight.numpy(), [[2, -3]], atol=1e-4)
    optimizer.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_groups_have_settings_of_their_own():
    a, b = parameter([1.0], [1.0]), parameter([1.0], [1.0])
    optimizer = optim.SGD([{"params": [a], "lr": 0.5}, {"params": iter([b])}], lr=0.1)
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.9)
    assert optimizer.lr == 0.5
    assert repr(optimizer).count("group") == 2
    optimizer.lr = 0.0
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.9)


def test_the_formulas_are_stated():
    assert optim.SGD.document.startswith("F10: 000 §4")
    assert optim.Adam.document.startswith("F11: 000 §4")
    assert optim.SGD.formula == r"\theta \leftarrow \theta - \alpha \nabla J(\theta)"
    assert r"\sqrt{v_t} + \varepsilon" in optim.Adam.formula


# State

MAKERS = {
    "plain": lambda p: optim.SGD(p, 0.1),
    "momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, 0.1, betas=(0.8, 0.9)),
    "kingma": lambda p: optim.Adam(p, 0.1, bias_correction=True),
    "adamw": lambda p: optim.AdamW(p, 0.1),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_resumed_optimiser_goes_on_to_the_last_bit(name):
    def steps(optimizer, params, first, last):
        for i in range(first, last):
            for j, p in enumerate(params):
                # the second parameter has no gradient at every other step
                p.grad = None if (i + j) % 2 and j else ns.tensor(np.sin(p.numpy() * (i + 1)))
            optimizer.step()

    straight = [parameter(np.arange(6.0)), parameter([[0.5]])]
    optimizer = MAKERS[name](straight)
    steps(optimizer, straight, 0, 5)
    saved = optimizer.state_dict()
    arrays = {k: v for k, v in saved.items() if isinstance(v, np.ndarray)}
    rest = json.loads(json.dumps({k: v for k, v in saved.items() if k not in arrays}))
    resumed = [parameter(p.numpy()) for p in straight]
    steps(optimizer, straight, 5, 10)
    other = type(optimizer)([{"params": resumed}], lr=7.0)
    other.load_state_dict({**rest, **arrays})
    assert other.lr == 0.1
    assert repr(other) == repr(optimizer)
    steps(other, resumed, 5, 10)
    for a, b in zip(straight, resumed, strict=True):
        assert a.data.tobytes() == b.data.tobytes()


def test_state_holds_copies_on_both_sides():
    p = parameter([1.0], [1.0])
    optimizer = optim.Adam([p])
    optimizer.step()
    state = optimizer.state_dict()
    assert set(state) == {"optimizer", "groups", "steps", "0.m", "0.v"}
    kept = state["0.m"].copy()
    optimizer.load_state_dict(state)
    optimizer.step()
    np.testing.assert_array_equal(state["0.m"], kept)


def damaged(**changes):
    return lambda state: {k: v for k, v in {**state, **changes}.items() if v is not ...}


@pytest.mark.parametrize(("damage", "error", "words"), [
    (lambda s: None, TypeError, "expected a dict"),
    (lambda s: {}, ValueError, "'no optimiser'"),
    (damaged(optimizer="SGD"), ValueError, "state is of 'SGD'"),
    (damaged(groups=...), ValueError, "damaged"),
    (damaged(steps=...), ValueError, "damaged"),
    (damaged(steps=[1, 1.5]), ValueError, "damaged"),
    (damaged(steps=[1]), ValueError, "build it with the same parameters"),
    (damaged(**{"0.m": ...}), ValueError, r"0\.m is missing"),
    (damaged(**{"1.v": np.zeros((2, 2))}), ValueError, r"1\.v is \(2, 2\) float64, expected \(1,\) float64"),
    (damaged(**{"1.v": np.zeros(1, "float32")}), ValueError, "float32, expected"),
    (damaged(**{"1.v": [0.0]}), ValueError, r"1\.v is \[0\.0\]"),
    (damaged(**{"2.m": np.zeros(1)}), ValueError, r"2\.m is unexpected"),
    (damaged(**{"0.velocity": np.zeros(2)}), ValueError, "unexpected"),
    (damaged(extra=1), ValueError, "extra is unexpected"),
    (lambda s: {**s, "groups": s["groups"] * 2}, ValueError, r"groups with \[2, 2\] parameters, this optimiser has \[2\]"),
    (lambda s: {**s, "groups": [{**s["groups"][0], "lr": -1}]}, ValueError, "damaged"),
    (lambda s: {**s, "groups": [{**s["groups"][0], "betas": [0.9]}]}, ValueError, "damaged"),
])  # fmt: skip
def test_a_state_that_does_not_fit_changes_nothing(damage, error, words):
    params = [parameter([1.0, 2.0], [1.0, 1.0]), parameter([3.0], [1.0])]
    other = optim.Adam(params, lr=0.5)
    other.step()
    state = other.state_dict()
    optimizer = optim.Adam(params, lr=0.25)
    optimizer.step()
    before = json.dumps(optimizer.state_dict(), default=lambda a: a.tolist())
    with pytest.raises(error, match=words) as caught:
        optimizer.load_state_dict(damage(state))
    assert "\n" not in str(caught.value)
    assert json.dumps(optimizer.state_dict(), default=lambda a: a.tolist()) == before


# Gradients and penalties


@given(
    st.lists(st.lists(st.floats(-1e150, 1e150), min_size=0, max_size=4), min_size=1, max_size=4), st.floats(1e-3, 1e3)
)
def test_clip_grad_norm(rows, limit):
    params = [parameter(np.zeros(len(row)), row) for row in rows]
    flat = np.concatenate([np.asarray(row, dtype=np.float64) for row in rows])
    exact = math.hypot(*flat)
    norm = optim.clip_grad_norm(iter(params), limit)
    assert float(norm) == pytest.approx(exact, rel=1e-14)
    clipped = np.concatenate([p.grad.numpy() for p in params])
    np.testing.assert_allclose(clipped, flat * min(1, limit / exact) if exact else flat, rtol=1e-13, atol=1e-300)
    assert math.hypot(*clipped) <= limit * (1 + 1e-13)


def waited(function, *args):
    """Call a function, and wait until all that it refuses is found."""
    function(*args)
    ns.backend.get().synchronize()


def test_clipping_of_single_numbers_and_none():
    p, idle = parameter(1.0, -8.0, "float32"), parameter([1.0])
    shared = p.grad.data
    assert optim.clip_grad_norm([p, idle], 2.0) == 8
    assert p.grad.item() == -2
    assert p.grad.dtype == np.float32
    assert shared == -8  # whoever else holds it
    optim.clip_grad_value([p, idle], 0.5)
    assert p.grad.item() == -0.5
    assert ns.backend.is_array(p.grad.data)
    assert idle.grad is None
    assert optim.clip_grad_norm([idle], 1.0) == 0
    assert optim.clip_grad_norm([parameter([3.0], [1e300], "float64")], 1e301) == 1e300


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clip_grad_norm_refuses_what_is_not_finite(bad):
    a, b = parameter([1.0], [9.0]), parameter([1.0], [bad])
    with pytest.raises(ValueError, match=f"clip_grad_norm: the gradients' norm is {bad}"):
        waited(optim.clip_grad_norm, [a, b], 1.0)
    assert a.grad.item() == 9


def test_clip_grad_value_refuses_nan_and_holds_infinities():
    a, b = parameter([1.0], [9.0]), parameter([1.0, 1.0], [np.nan, 1.0])
    with pytest.raises(ValueError, match="clip_grad_value: .* holds nan"):
        waited(optim.clip_grad_value, [a, b], 1.0)
    assert a.grad.item() == (9 if a.device == "cpu" else 1)  # a GPU's was clipped before the nan was found
    c = parameter([1.0], [-np.inf])
    optim.clip_grad_value([c], 1.0)
    assert c.grad.item() == -1


def test_penalties_and_their_gradients():
    a, b = parameter([1.0, -2.0]), parameter([[3.0]])
    optim.l1_penalty([a, b], 0.5).backward()
    np.testing.assert_array_equal(a.grad.numpy(), [0.5, -0.5])
    a.grad = b.grad = None
    penalty = optim.l2_penalty(iter([a, b]), 0.5)
    assert penalty.item() == 7
    penalty.backward()
    np.testing.assert_array_equal(a.grad.numpy(), [1, -2])
    np.testing.assert_array_equal(b.grad.numpy(), [[3]])
    assert optim.l1_penalty([a, b], 0).item() == 0
    assert optim.l1_penalty([parameter([1.0], dtype="float32")], 0.1).dtype == np.float32


def test_an_l2_penalty_is_half_a_weight_decay():
    p, q = parameter([1.0, -2.0]), parameter([1.0, -2.0])
    optim.l2_penalty([p], 0.1).backward()
    optim.SGD([p], 0.5).step()
    q.grad = ns.tensor(np.zeros(2))
    optim.SGD([q], 0.5, weight_decay=0.2).step()
    np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-15)


# Mistakes


def used_up():
    generator = nn.Linear(2, 1).parameters()
    list(generator)
    return generator


def result():
    return parameter([1.0]) * 2


def read_only():
    p = parameter([1.0])
    p.data.flags.writeable = False
    return p


P = [parameter([1.0])]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: optim.SGD(nn.Linear(2, 1), 0.1), TypeError, r"SGD: got a Linear.*pass model\.parameters\(\)"),
    (lambda: optim.SGD(P[0], 0.1), TypeError, r"single tensor .*pass \[tensor\]"),
    (lambda: optim.SGD([], 0.1), ValueError, "got no parameters"),
    (lambda: optim.SGD(used_up(), 0.1), ValueError, "a generator can be used only once"),
    (lambda: optim.SGD(3, 0.1), TypeError, "params is 3"),
    (lambda: optim.SGD(None, 0.1), TypeError, "params is None"),
    (lambda: optim.SGD([np.ones(3)], 0.1), TypeError, r"parameter 0 is \(3,\) float64, expected a tensor"),
    (lambda: optim.SGD(nn.Linear(2, 1).named_parameters(), 0.1), TypeError, r"pass model\.parameters\(\)"),
    (lambda: optim.SGD([ns.tensor([1.0])], 0.1), ValueError, "does not require a gradient"),
    (lambda: optim.SGD([result()], 0.1), ValueError, "is a result of multiply"),
    pytest.param(lambda: optim.SGD([read_only()], 0.1), ValueError, "cannot be written to", marks=pytest.mark.cpu),
    (lambda: optim.SGD(P + P, 0.1), ValueError, "parameter 1 .* is given twice"),
    (lambda: optim.SGD([{"params": P}, {"params": P}], 0.1), ValueError, "given twice"),
    (lambda: optim.SGD([{"params": P}, P[0]], 0.1), TypeError, "group 1 is .*expected a dict with 'params'"),
    (lambda: optim.SGD([{"lr": 0.1}], 0.1), TypeError, "group 0"),
    (lambda: optim.SGD([{"params": []}], 0.1), ValueError, "got no parameters"),
    (lambda: optim.SGD([{"params": P, "rate": 1}], 0.1), ValueError, "no setting 'rate'; use lr, momentum"),
    (lambda: optim.SGD([{"params": P, "lr": -1}], 0.1), ValueError, "lr is -1"),
    (lambda: optim.SGD(P, -0.1), ValueError, r"SGD: lr is -0.1, expected a finite number in \[0, inf\]"),
    (lambda: optim.SGD(P, float("nan")), ValueError, "lr is nan"),
    (lambda: optim.SGD(P, float("inf")), ValueError, "lr is inf"),
    (lambda: optim.SGD(P, "fast"), TypeError, "lr is 'fast'"),
    (lambda: optim.SGD(P, True), TypeError, "lr is True"),
    (lambda: optim.SGD(P, 0.1, momentum=1), ValueError, "momentum is 1"),
    (lambda: optim.SGD(P, 0.1, nesterov=True), ValueError, "nesterov is True and momentum 0"),
    (lambda: optim.SGD(P, 0.1, nesterov="yes"), TypeError, "nesterov is 'yes'"),
    (lambda: optim.SGD(P, 0.1, weight_decay=-1), ValueError, "weight_decay is -1"),
    (lambda: optim.Adam(P, betas=0.9), TypeError, "Adam: betas is 0.9, expected a pair"),
    (lambda: optim.Adam(P, betas=(0.9, 1.0)), ValueError, r"betas\[1\] is 1.0"),
    (lambda: optim.Adam(P, eps=0), ValueError, r"eps is 0, expected a finite number in \(0, inf\)"),
    (lambda: optim.Adam(P, bias_correction=1), TypeError, "bias_correction is 1"),
    (lambda: optim.Adam(P, decoupled=None), TypeError, "decoupled is None"),
    (lambda: optim.AdamW(P, lr=None), TypeError, "AdamW: lr is None"),
    (lambda: setattr(optim.SGD(P, 0.1), "lr", -1), ValueError, "lr is -1"),
    (lambda: optim.clip_grad_norm(nn.Linear(2, 1), 1.0), TypeError, r"clip_grad_norm: .*\.parameters\(\)"),
    (lambda: optim.clip_grad_norm(P, 0), ValueError, "max_norm is 0"),
    (lambda: optim.clip_grad_norm(P, "1"), TypeError, "max_norm is '1'"),
    (lambda: optim.clip_grad_value(P, -1), ValueError, "limit is -1"),
    (lambda: optim.l1_penalty(P[0], 1), TypeError, "l1_penalty: got a single tensor"),
    (lambda: optim.l2_penalty(P, -1), ValueError, "factor is -1"),
    (lambda: optim.l2_penalty([], 1), ValueError, "l2_penalty: got no parameters"),
])  # fmt: skip
def test_mistakes(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("grad", "error", "words"), [
    (np.ones(1), TypeError, r"SGD: \.grad of parameter 1 is \(1,\) float64, expected a Tensor"),
    (ns.tensor([[1.0]], dtype="float64"), ValueError, r"its \.grad \(1, 1\) float64"),
    (ns.tensor([1.0]), ValueError, "its .grad .* float32"),
])  # fmt: skip
def test_a_wrong_gradient_changes_nothing(grad, error, words):
    a, b = parameter([1.0], [1.0]), parameter([1.0])
    b.grad = grad
    optimizer = optim.SGD([a, b], 0.1, momentum=0.9)
    with pytest.raises(error, match=words):
        optimizer.step()
    assert a.item() == 1
    assert optimizer.state_dict()["steps"] == [0, 0]
