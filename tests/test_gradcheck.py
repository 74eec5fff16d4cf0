"""The gradient checker: what it compares, what it refuses, what its report says. Wrong rules are in test_planted.py."""

import inspect
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch.gradcheck.difference import differentiate, jumps

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")

F = ns.functional
nn = ns.nn


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def statuses(report):
    return [row.status for row in report.rows]


# Numerical derivatives


def single(f):
    """A function of one number as a line."""

    def line(t):
        y = np.array([f(t)])
        return y, np.abs(y)

    return line


CURVES = {
    "exponential": (np.exp, 1.0),
    "fast wave": (lambda t: np.sin(300 * t), 300.0),
    "steep": (lambda t: np.exp(300 * t), 300.0),
    "polynomial": (lambda t: 3 * t - t**5, 3.0),
    "flat": (lambda t: t**4 + 2, 0.0),
    "constant": (lambda t: 7.0, 0.0),
    "kink nearby": (lambda t: abs(t - 1e-5), -1.0),
    "domain ends nearby": (lambda t: np.log(t + 0.01), 100.0),
    "great constant": (lambda t: 1e6 + np.sin(t), 1.0),
    "cancelling": (lambda t: (1e8 + t) - 1e8, 1.0),
    "computed in float32": (lambda t: float(np.float32(1 + t) ** 2), 2.0),
    "rounded": (lambda t: np.round(t + 0.3, 6), 1.0),
    "constant between its jumps": (lambda t: np.floor(30 * t + 0.5), 0.0),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_uncertainty_of_a_difference_holds(name):
    f, derivative = CURVES[name]
    for shift in np.linspace(0.7, 1.3, 20):  # of the scale, so that no luck with rounding counts
        d = differentiate(single(lambda t, s=shift: f(s * t)))
        assert abs(d.value[0] - shift * derivative) <= d.uncertainty[0] + 1e-300
        assert d.uncertainty[0] <= 1e-4 * max(1.0, abs(derivative))


@pytest.mark.parametrize("name", ["exponential", "fast wave", "steep", "polynomial"])
def test_differences_of_smooth_functions_have_ten_digits(name):
    f, derivative = CURVES[name]
    d = differentiate(single(f))
    assert abs(d.value[0] - derivative) <= 1e-10 * derivative


@pytest.mark.parametrize(
    ("f", "jump"),
    [
        (abs, 2.0),
        (lambda t: max(3 * t, t), 2.0),
        (lambda t: min(3 * t, t) + np.cos(t), -2.0),
        (lambda t: 1e-5 * abs(t) + 1, 2e-5),
        (lambda t: float(t > 0), np.inf),
        (lambda t: np.sqrt(t), np.inf),
        (np.exp, 0.0),
        (lambda t: t**2, 0.0),
        (lambda t: t * abs(t), 0.0),
        (lambda t: abs(t - 1e-4), 0.0),
        (lambda t: np.sin(1000 * t), 0.0),
        (lambda t: 3.0, 0.0),
    ],
)
def test_kinks_are_told_from_curves(f, jump):
    with np.errstate(invalid="ignore"):
        assert jumps(single(f))[0] == pytest.approx(jump, rel=0.01)


# What it compares


def test_a_report_says_what_was_compared():
    report = ns.gradcheck(lambda x, w: F.tanh(x @ w), [normal(3, 4), normal(4, 2)], order=2)
    assert report.passed and report.error <= 1e-11
    assert [(r.order, r.input, r.shape) for r in report.rows] == [
        (1, "x", (3, 4)),
        (1, "w", (4, 2)),
        (2, "x", (3, 4)),
        (2, "w", (4, 2)),
        (2, "g", (3, 2)),
    ]
    assert report.worst in report.rows and report.worst.units == max(r.units for r in report.rows)
    assert report.points > 0 and report.seconds > 0 and report.operation is None and not report.kinks


def test_full_mode_looks_at_every_element():
    x, w = normal(3, 2), normal(2, 2)
    report = ns.gradcheck(lambda x, w: F.tanh(x @ w), [x, w], mode="full")
    assert report.passed and report.error <= 1e-9
    assert all(r.index is not None and r.output.startswith("result[") for r in report.rows)
    # 26 halvings at most, two calls each, for each of ten elements
    assert report.points >= 2 * (x.size + w.size)


def test_the_cost_of_a_projection_does_not_grow_with_the_size():
    few = ns.gradcheck(ns.exp, [normal(3)]).points
    assert ns.gradcheck(ns.exp, [normal(30000)]).points <= few + 8


def test_the_same_seed_gives_the_same_report():
    a, b, c = (ns.gradcheck(ns.exp, [normal(5)], seed=s).rows[0].numeric for s in (1, 1, 2))
    assert a == b != c


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-8, 1e-3, 1.0, 1e3, 1e8]))
def test_steps_are_scaled_to_the_inputs(seed, scale):
    x = np.random.default_rng(seed).uniform(0.5, 2.0, 4) * scale
    assert ns.gradcheck(ns.log, [x]).error <= 1e-9
    assert ns.gradcheck(lambda x: ns.sin(x / scale) * x, [x], order=2).error <= 1e-9


def test_sizes_of_elements_may_differ():
    assert ns.gradcheck(ns.log, [10.0 ** np.arange(-12, 13)], order=2).error <= 1e-9
    assert ns.gradcheck(lambda x: 1 / x, [10.0 ** np.arange(-3, 4)], mode="full").error <= 1e-9


def test_operations_with_several_results():
    @ns.op(outputs=("values", "places", "spread"), constant_outputs=("spread",))
    def ordered(x):
        return np.sort(x), np.argsort(x), np.ptp(x)

    ordered.rule("x")(lambda g_values, places, x_shape: ns.put_add(g_values, x_shape, places))
    report = ns.gradcheck(ordered, [normal(4)], order=2)
    assert [(r.order, r.input) for r in report.rows] == [(1, "x"), (2, "x"), (2, "g_values")]
    for fn in (lambda x: ordered(x)[:2], lambda x: ns.exp(ordered(x)[0]), lambda x: {"a": ordered(x)[0]}):
        assert ns.gradcheck(fn, [normal(4)], order=2).passed
    with pytest.raises(TypeError, match="the function returned int64, which has no derivative"):
        ns.gradcheck(lambda x: ordered(x)[1], [normal(4)])


@pytest.mark.parametrize("mode", ["projection", "full"])
def test_a_fault_names_the_result(mode):
    sincos = ns.op(lambda x: (np.sin(x), np.cos(x)), outputs=("sine", "cosine"), name="sincos")
    sincos.rule("x")(lambda g_sine, g_cosine, x: g_sine * ns.cos(x) + g_cosine * ns.sin(x))
    report = ns.gradcheck(sincos, [normal(3)], mode=mode, raises=False)
    assert report.operation == "sincos" and report.worst.output.startswith("cosine[")
    assert report.causes[0].startswith("sincos: its rule for x, of its result cosine alone, gives")
    pole = ns.op(lambda x: (x, 1 / x), outputs=("same", "inverse"), name="pole")
    pole.rule("x")(lambda g_same: g_same)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"gradcheck: inverse\[1\] is inf at these inputs"):
        ns.gradcheck(pole, [np.array([1.0, 0.0])], mode=mode)


def test_several_inputs_and_results():
    def fn(x, i, y):
        return {"a": ns.take(x, i) * y, "b": (x.sum(), 3 * i)[0], "c": ns.exp(y)}

    report = ns.gradcheck(fn, [normal(4), np.array([0, 3, 3]), normal(3)], order=2)
    assert [r.input for r in report.rows if r.order == 1] == ["x", "y"]
    assert [r.input for r in report.rows if r.order == 2] == ["x", "y", "g_a", "g_b", "g_c"]
    assert ns.gradcheck(lambda x: (x, [1])[0], normal(2)).passed
    assert ns.gradcheck(lambda x: x**2, 3.0).passed
    assert ns.gradcheck(lambda x: x**2, ns.tensor([1.0, 2.0], dtype="float64")).passed
    assert ns.gradcheck(lambda *xs: ns.concatenate(xs), [normal(2), normal(3)]).rows[1].input == "xs[1]"


def test_inputs_of_odd_shapes():
    assert ns.gradcheck(lambda a, b: a * b, [normal(2, 1, 3), normal(4, 1)], order=2).passed
    assert ns.gradcheck(lambda x: x * 2, [np.ones((0, 3))], order=2).passed
    assert ns.gradcheck(lambda x, y: x * 2 + y, [np.ones((0, 3)), np.ones(3)], order=2).passed
    assert ns.gradcheck(lambda x: x @ x.T, [normal(6, 8)[::-2, ::3]], order=2).passed
    assert ns.gradcheck(lambda x: x.sum(), [np.broadcast_to(normal(3), (2, 3))]).passed


def test_constants_have_the_derivative_zero():
    report = ns.gradcheck(lambda x, y: x * 0 + 3, [normal(3), normal(2)], order=2)
    assert statuses(report) == ["right"] * len(report.rows)
    assert ns.gradcheck(lambda x: x**3, [np.zeros(3)], order=2).passed
    assert ns.gradcheck(lambda x: F.softmax(x).sum(), [normal(4)], order=2).passed


def test_inputs_are_left_as_they_are():
    x = normal(3)
    x.flags.writeable = False
    t = ns.tensor(normal(3), requires_grad=True)
    before = t.data.copy()
    ns.gradcheck(lambda x, y: x * y, [x, t], order=2)
    assert t.grad is None and np.array_equal(t.data, before)


# Modules and parameters


def test_a_module_is_checked_with_its_parameters_and_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 2))
    before = {name: t.data for name, t in [*model.named_parameters(), *model.named_buffers()]}
    copies = {name: a.copy() for name, a in before.items()}
    report = ns.gradcheck(model, [normal(5, 4)], order=2)
    assert report.passed
    assert {r.input for r in report.rows} == {"x", "g", *dict(model.named_parameters())}
    for name, t in [*model.named_parameters(), *model.named_buffers()]:
        assert t.data is before[name] and np.array_equal(t.data, copies[name]) and t.grad is None


def test_frozen_parameters_are_left_out():
    assert [r.input for r in ns.gradcheck(nn.Linear(3, 2).requires_grad_(False), [normal(2, 3)]).rows] == ["x"]


def test_parameters_that_a_function_closes_over():
    model = nn.Linear(3, 2)

    def loss(x):
        return F.mse_loss(model(x), ns.tensor(np.zeros((4, 2))))

    for parameters in (model, dict(model.named_parameters())):
        report = ns.gradcheck(loss, [normal(4, 3)], parameters=parameters)
        assert [r.input for r in report.rows] == ["x", "weight", "bias"]
    report = ns.gradcheck(loss, [normal(4, 3)], parameters=model.parameters())
    assert [r.input for r in report.rows] == ["x", "parameter 0", "parameter 1"]
    assert ns.gradcheck(lambda: (model.weight**2).sum(), [], parameters=model).passed


def test_a_module_with_a_wrong_rule_names_the_parameter():
    class Wrong(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(normal(3))

        def forward(self, x):
            return x * self.weight * self.weight.detach()

    with pytest.raises(ns.GradientError) as caught:
        ns.gradcheck(Wrong(), [normal(2, 3)])
    report = caught.value.report
    assert report.worst.input == "weight" and report.operation == "multiply"
    assert "detach" in report.causes[0]


# Plain NumPy


def loss(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


def gradient(w, x):
    z = np.tanh(x @ w)
    d = 2 * z * (1 - z * z)
    return x.T @ d, d @ w.T


W, X = normal(4, 2), normal(5, 4, seed=1)


def test_a_numpy_pair_goes_by_complex_steps():
    report = ns.gradcheck(loss, [W, X], gradient=gradient)
    assert report.passed and report.error <= 1e-14
    assert [(r.input, r.method) for r in report.rows] == [("w", "complex step"), ("x", "complex step")]
    assert ns.gradcheck(loss, [W, X], gradient=gradient, mode="full").error <= 1e-9


def test_a_numpy_function_that_is_not_analytic_goes_by_differences():
    report = ns.gradcheck(lambda x: np.abs(x).sum(), [np.array([1.0, -2.0])], gradient=np.sign)
    assert [r.method for r in report.rows] == ["differences"]


def test_gradients_come_in_several_forms():
    def one(w):
        return loss(w, X)

    for form in (
        lambda w: gradient(w, X)[0],
        lambda w: [gradient(w, X)[0]],
        lambda w: {"w": gradient(w, X)[0]},
        lambda w: ns.tensor(gradient(w, X)[0]),
    ):
        assert ns.gradcheck(one, W, gradient=form).passed
    assert ns.gradcheck(
        lambda x, k: np.sum(x[k] ** 2),
        [normal(4), np.array([1, 1])],
        gradient=lambda x, k: (np.bincount(k, minlength=4) * 2 * x, None),
    ).passed


def test_a_layer_has_the_gradient_of_its_result_as_a_further_argument():
    report = ns.gradcheck(lambda w, x: x @ w, [W, X], gradient=lambda w, x, g: (x.T @ g, g @ w.T))
    assert report.passed
    several = ns.gradcheck(lambda x: (x**2, x.sum()), [normal(3)], gradient=lambda x, gs: 2 * x * gs[0] + gs[1], seed=3)
    assert several.passed


def test_a_wrong_numpy_gradient_names_the_element():
    def wrong(w, x):
        a, b = gradient(w, x)
        a[2, 1] *= 2
        return a, b

    with pytest.raises(ns.GradientError) as caught:
        ns.gradcheck(loss, [W, X], gradient=wrong)
    report = caught.value.report
    assert (report.worst.input, report.worst.index) == ("w", (2, 1))
    assert report.worst.analytic == pytest.approx(2 * report.worst.numeric)
    assert "w[2, 1]" in str(report)


# Points without a derivative


@pytest.mark.parametrize(
    ("fn", "x", "operation"),
    [
        (F.relu, [0.0, 0.0], "relu"),
        (ns.abs, [0.0], "abs"),
        (lambda x: ns.max(x), [2.0, 1.0, 2.0], "max"),
        (lambda x: F.relu(x).sum(), [-1.0, 0.0, 2.0], "relu"),
        (lambda x: ns.maximum(x, 1.0), [1.0, 3.0], "maximum"),
        (lambda x: ns.clip(x, 0, 1), [1.0, 0.5], "clip"),
        (ns.sqrt, [0.0, 4.0], "sqrt"),
        (lambda x: F.max_pool2d(x.reshape((1, 1, 2, 2)), 2), [1.0, 1.0, 0.0, 0.0], "max_pool2d"),
        (lambda x: F.l1_loss(x, ns.tensor([0.0, 0.0], dtype="float64")), [0.0, 1.0], "l1_loss"),
    ],
)
@pytest.mark.parametrize("mode", ["projection", "full"])
def test_kinks_are_recognised(fn, x, operation, mode):
    for seed in range(20):
        report = ns.gradcheck(fn, [np.array(x)], mode=mode, seed=seed)
        assert report.passed
        assert any(text.startswith(operation) for text in report.kinks), str(report)
        assert "not differentiable" in str(report)


def test_what_is_not_at_a_kink_is_still_compared():
    x = normal(40)
    x[[3, 17]] = 0.0

    @ns.op
    def rectify(x):
        return np.maximum(x, 0)

    @rectify.rule("x")
    def _(g, x):
        d = g * (x > 0)
        if not isinstance(d, ns.Tensor):
            d[5] = 1.0
        return d

    assert statuses(ns.gradcheck(lambda x: F.relu(x).sum(), [x])) == ["right"]
    for fn in (rectify, lambda x: rectify(x).sum()):
        with pytest.raises(ns.GradientError) as caught:
            ns.gradcheck(fn, [x])
        assert caught.value.report.worst.index == (5,) and caught.value.report.operation == "rectify"


@pytest.mark.parametrize("slope", [-0.5, 1.5])
def test_a_derivative_beyond_both_sides_of_a_kink_is_wrong(slope):
    def wrong(x):
        return np.where(x == 0, slope, x > 0)

    with pytest.raises(ns.GradientError):
        ns.gradcheck(lambda x: np.maximum(x, 0).sum(), [np.array([0.0])], gradient=wrong, mode="full")


def test_ties_counted_twice_are_wrong_though_each_side_is_a_derivative():
    def greatest(x):
        return np.max(x)

    def twice(x):
        return (x == x.max()) * 1.0

    def shared(x):
        return twice(x) / twice(x).sum()

    x = np.array([2.0, 5.0, 5.0, 1.0])
    assert ns.gradcheck(greatest, [x], gradient=shared).passed
    with pytest.raises(ns.GradientError):
        ns.gradcheck(greatest, [x], gradient=twice)


def test_the_edge_of_the_domain_is_left_out():
    p = np.array([[1.0, 0.0], [0.3, 0.7]])
    report = ns.gradcheck(lambda p: F.cross_entropy(p, [0, 1]), [p])
    assert statuses(report) == ["right"] and "p[0, 0] = 1" in report.kinks[0]
    with pytest.raises(ValueError, match="cannot be called near these inputs, only at them .p.: cross_entropy"):
        ns.gradcheck(lambda p: F.cross_entropy(p, [0]), [p[:1]])


def test_nothing_is_claimed_of_rough_functions():
    noise = np.random.default_rng(0).standard_normal(2**16)

    def rough(x):  # the same at the same place, and unlike anywhere else
        return np.sum(x) * 0 + noise[hash(x.tobytes()) % len(noise)]

    report = ns.gradcheck(rough, [normal(3)], gradient=np.zeros_like)
    assert statuses(report) in (["unclear"], ["kink"])
    assert "no derivative was compared" in str(report)


# What cannot be measured


def energies(constant, factor):
    """c + x², as an operation whose rule is off by a factor."""
    energy = ns.op(lambda x: constant + x * x, name="energy")
    energy.rule("x")(lambda g, x: factor * 2 * g * x)
    return energy


@given(
    exponent=st.floats(0, 22),
    factor=st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
    size=st.sampled_from([1e-3, 1.0, 30.0]),
    seed=st.integers(0, 9),
    mode=st.sampled_from(["projection", "full"]),
)
def test_a_wrong_rule_beside_a_large_constant_is_never_called_right(exponent, factor, size, seed, mode):
    x = size * np.array([0.7, 1.3])
    report = ns.gradcheck(energies(10.0**exponent, factor), [x], seed=seed, mode=mode, raises=False)
    assert "right" not in statuses(report)
    assert report.passed == (statuses(report) == ["unclear"]) == bool(report.unclear)
    assert report.operation in (None, "energy")


@given(exponent=st.floats(0, 22), seed=st.integers(0, 9))
def test_a_right_rule_beside_a_large_constant_is_never_called_wrong(exponent, seed):
    report = ns.gradcheck(energies(10.0**exponent, 1.0), [np.array([0.7, 1.3])], seed=seed)
    assert statuses(report) == (["right"] if exponent < 9 else statuses(report))


UNCLEAR = {
    "a large constant": (
        lambda x: 1e15 + np.sum(np.abs(x) ** 2),
        np.ones(2),
        lambda x: -2 * x,
        "drowns in the rounding of values of 1",
    ),
    "a constant beyond all digits": (lambda x: 1e19 + np.sum(x), np.ones(2), lambda x: 0 * x, "drowns"),
    "a large constant taken off": (lambda x: np.sum((x + 3e16) - 3e16), np.full(2, 0.3), np.zeros_like, "too rough"),
    "a sum that overflows": (lambda x: x * 1.5e308, np.ones(4), lambda x, g: g, "values overflow"),
    "numbers that sink to 0": (lambda x: np.sum(x**2), np.full(2, 1e-200), lambda x: 3 * x, "too small to tell"),
    "waves finer than any step": (
        lambda x: np.sum(np.cos(x)),
        np.full(2, 1e25),
        lambda x: np.ones_like(x),
        "too rough",
    ),
}


@pytest.mark.cpu
@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_not_measured_is_unclear_and_says_why(name):
    fn, x, wrong, words = UNCLEAR[name]
    report = ns.gradcheck(fn, [x], gradient=wrong, raises=False)
    assert statuses(report) == ["unclear"] and report.passed and not report.compared
    assert words in report.unclear[0] and ";" in report.unclear[0]
    assert f"not measured: {report.unclear[0]}" in str(report) and "none could be measured" in report.headline()


@given(
    spread=st.floats(0, 12),
    missing=st.integers(0, 3),
    factor=st.sampled_from([0.0, -1.0, 2.0]),
    seed=st.integers(0, 9),
    mode=st.sampled_from(["projection", "full"]),
)
def test_a_wrong_element_beside_larger_ones_is_found_or_named_as_not_seen(spread, missing, factor, seed, mode):
    features = normal(20, 4) * 10.0 ** (spread * np.array([0.0, 0.3, 0.7, 1.0]))
    w = np.random.default_rng(seed).uniform(0.1, 1.0, 4)
    factors = np.ones(4)
    factors[missing] = factor

    def squares(w):
        return np.mean((features @ w - 1) ** 2)

    def slope(w):
        return 2 * features.T @ (features @ w - 1) / 20

    wrong = ns.gradcheck(squares, [w], gradient=lambda w: slope(w) * factors, seed=seed, mode=mode, raises=False)
    if wrong.passed:
        assert spread > 6 and (f"w[{missing}]" in " ".join(wrong.unclear))
    else:
        assert wrong.worst.index == (missing,)
    assert ns.gradcheck(squares, [w], gradient=slope, seed=seed, mode=mode).passed


def test_a_wrong_result_beside_larger_ones_is_found():
    def fn(x):
        return 1e9 * np.sin(x), np.cos(x), 1e-6 * np.exp(x)

    def slope(x, g, factors):
        parts = 1e9 * np.cos(x) * g[0], -np.sin(x) * g[1], 1e-6 * np.exp(x) * g[2]
        return sum(f * p for f, p in zip(factors, parts, strict=True))

    assert ns.gradcheck(fn, [normal(3)], gradient=lambda x, g: slope(x, g, [1, 1, 1])).passed
    for k in range(3):
        factors = [0.0 if j == k else 1.0 for j in range(3)]
        report = ns.gradcheck(fn, [normal(3)], gradient=lambda x, g, f=factors: slope(x, g, f), raises=False)
        assert not report.passed and report.worst.output.startswith(f"result {k}")


@pytest.mark.parametrize("x", [[300.0, 1.0], [0.0, 1e-30, 300.0], [300.0, 5e-324]])
def test_what_a_rule_subtracts_from_itself_is_rounding(x):
    """A log-probability of -1e-130 has all its digits, but 1 - p none."""
    assert ns.gradcheck(F.log_softmax, [np.array(x)], order=2, seed=range(5)).passed


# Layers with a cache


class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, g):
        return g * (1 - self.y**2)


class Affine:
    """Keeps a stack of its inputs, as a layer used twice does."""

    def __init__(self):
        self.inputs = []

    def forward(self, x, w):
        self.inputs.append((x, w))
        return x @ w

    def backward(self, g):
        x, w = self.inputs.pop()
        return g @ w.T, x.T @ g


class Loss:
    """One number; forgets what it kept once that was used."""

    def forward(self, z):
        self.p = 1 / (1 + np.exp(-z))
        return -np.mean(np.log(self.p))

    def backward(self):
        p, self.p = self.p, None
        return (p - 1) / p.size


class Twice:
    def __init__(self):
        self.layers = Tanh(), Tanh()

    def forward(self, x):
        return self.layers[1].forward(2 * self.layers[0].forward(x))

    def backward(self, g):
        return self.layers[0].backward(2 * self.layers[1].backward(g))


@pytest.mark.parametrize("mode", ["projection", "full"])
@pytest.mark.parametrize("factor", [1, 1.01, -1])
@pytest.mark.parametrize(
    ("layer", "inputs", "backward"),
    [
        (Tanh, [normal(4, 3)], lambda layer, x, g: layer.backward(g)),
        (Affine, [W, normal(2, 3)], lambda layer, x, w, g: layer.backward(g)),
        (Loss, [normal(5)], lambda layer, z: layer.backward()),
        (Twice, [normal(2, 3)], lambda layer, x, g: layer.backward(g)),
    ],
)
def test_a_layer_that_keeps_what_its_backward_needs(layer, inputs, backward, factor, mode):
    made = layer()

    def slope(*given):
        found = backward(made, *given)
        return tuple(factor * d for d in found) if isinstance(found, tuple) else factor * found

    if len(inputs) == 1:
        chosen = (lambda x: slope(x)) if layer is Loss else (lambda x, g: slope(x, g))
    else:
        chosen = lambda x, w, g: slope(x, w, g)  # noqa: E731
    report = ns.gradcheck(made.forward, inputs, gradient=chosen, mode=mode, raises=False)
    assert report.passed == (factor == 1), str(report)
    assert len(report.compared) == len(report.rows)


# The second order by hand, and several seeds


SECOND = {
    "one number": (lambda x: np.sum(x**3), [lambda x: 3 * x**2, lambda x, v: 6 * x * v], [normal(3)]),
    "two inputs": (
        lambda x, w: np.sum(x * w**2),
        [lambda x, w: (w**2, 2 * x * w), lambda x, w, v: (2 * w * v[1], 2 * w * v[0] + 2 * x * v[1])],
        [normal(3), normal(3, seed=1)],
    ),
    "an array": (
        lambda x: np.sin(x),
        [lambda x, g: np.cos(x) * g, lambda x, g, v: (-np.sin(x) * g * v, np.cos(x) * v)],
        [normal(2, 3)],
    ),
    "two results": (
        lambda x: (x**2, np.sin(x)),
        [
            lambda x, g: 2 * x * g[0] + np.cos(x) * g[1],
            lambda x, g, v: ((2 * g[0] - np.sin(x) * g[1]) * v, (2 * x * v, np.cos(x) * v)),
        ],
        [normal(4)],
    ),
    "labels beside": (
        lambda x, k: np.sum(x[k] ** 2),
        [
            lambda x, k: (2 * np.bincount(k, minlength=4) * x, None),
            lambda x, k, v: (2 * np.bincount(k, minlength=4) * v, None),
        ],
        [normal(4), np.array([0, 2, 2])],
    ),
}


@pytest.mark.parametrize("mode", ["projection", "full"])
@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_by_hand(name, mode):
    fn, (first, second), inputs = SECOND[name]
    report = ns.gradcheck(fn, inputs, 2, mode, gradient=[first, second])
    assert len(report.compared) == len(report.rows) and {r.order for r in report.rows} == {1, 2}

    def doubled(*given):
        found = second(*given)
        one = found[0] if isinstance(found, tuple) else found
        return (2 * one, *found[1:]) if isinstance(found, tuple) else 2 * one

    wrong = ns.gradcheck(fn, inputs, 2, mode, gradient=[first, doubled], raises=False)
    assert not wrong.passed and wrong.worst.order == 2 and wrong.worst.input == "x"
    assert "the derivative of order 2" in wrong.headline()


def test_several_seeds_make_one_report():
    report = ns.gradcheck(lambda x: F.relu(x).sum(), [np.array([-1.0, 0.0, 2.0])], seed=range(4))
    assert report.passed and report.seed == (0, 1, 2, 3) and len(report.rows) == 4 and len(report.kinks) == 1
    assert "seed (0, 1, 2, 3)" in str(report)
    single = [ns.gradcheck(ns.exp, [normal(3)], seed=s).rows[0].numeric for s in (5, 6)]
    assert [r.numeric for r in ns.gradcheck(ns.exp, [normal(3)], seed=[5, 6]).rows] == single
    wrong = ns.gradcheck(lambda x: np.sum(x**2), [normal(3)], gradient=lambda x: x, seed=(7, 8), raises=False)
    assert not wrong.passed and wrong.seed == 7


# Tensors of other libraries


def test_tensors_and_modules_of_other_libraries_are_sent_to_the_recipe():
    def kind(module, name, **attributes):
        return type(name, (), {"__module__": module, **attributes})

    tensor = kind("torch", "Tensor", dtype="torch.float64", shape=(2,))()
    module = type("Mine", (kind("torch.nn.modules.module", "Module", named_parameters=None, __call__=None),), {})()
    array = kind("jaxlib._jax", "ArrayImpl", dtype=np.dtype("float64"), shape=(2,))()
    for call, words in (
        (lambda: ns.gradcheck(loss, [tensor]), "w is PyTorch's Tensor"),
        (lambda: ns.gradcheck(loss, [array, X], gradient=gradient), "w is JAX's ArrayImpl"),
        (lambda: ns.gradcheck(module, [X]), "fn is PyTorch's Mine"),
    ):
        with pytest.raises(TypeError, match=f"{words}.*docs/gradcheck.md, 'Check a function of PyTorch or JAX'"):
            call()


def recipes(library):
    """The blocks of the recipe's section in docs/gradcheck.md that are of one library."""
    page = Path(__file__).parent.parent / "docs" / "gradcheck.md"
    section = re.search(
        r"^## Check a function of PyTorch or JAX$(.*?)^## ", page.read_text(encoding="utf-8"), re.M | re.S
    )[1]
    blocks = [textwrap.dedent(b) for b in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", section, re.M)]
    return [b for b in blocks if library in b]


@pytest.mark.cpu
@pytest.mark.parametrize(("library", "checks"), [("torch", 2), ("jax", 1)])
def test_the_recipes_for_other_libraries(library, checks):
    pytest.importorskip(library, reason="the recipe is for another framework, which is not installed")
    reports = []

    class Watched:
        @staticmethod
        def gradcheck(*args, gradient, **kwargs):
            reports.append(ns.gradcheck(*args, gradient=gradient, **kwargs))

            def doubled(*given):
                first, *others = gradient(*given)
                return (2 * first, *others)

            signature = inspect.signature(gradient)
            doubled.__signature__ = signature
            with pytest.raises(ns.GradientError, match="by your gradient"):
                ns.gradcheck(*args, gradient=doubled, **kwargs)

    names = {"ns": Watched, "np": np}
    for block in recipes(library):
        exec(compile(block, "docs/gradcheck.md", "exec"), names)
    assert len(reports) == checks
    assert all(r.passed and len(r.compared) == len(r.rows) for r in reports)


@pytest.mark.cpu
def test_the_recipes_are_there():
    assert len(recipes("torch")) == 2 and len(recipes("jax")) == 1
    for block in recipes("torch") + recipes("jax"):
        compile(block, "docs/gradcheck.md", "exec")


# Bad use


def in_place(x):
    x.data[...] += 1
    return x * 2


calls = iter(range(10**6))


def adding_up():
    total = np.zeros_like(W)

    def added(w, x):
        total[...] += gradient(w, x)[0]
        return total.copy(), gradient(w, x)[1]

    return added


class Stepping:
    """A layer whose backward pass changes its weight."""

    weight = 1.0

    def forward(self, x):
        return np.sum(x) * self.weight

    def backward(self, x):
        self.weight *= 0.5
        return np.ones_like(x)


STEPPING = Stepping()

BAD = {
    "float32": (lambda: ns.gradcheck(F.relu, [np.ones(3, np.float32)]), TypeError, "digits are too few"),
    "float16": (lambda: ns.gradcheck(F.relu, [np.ones(3, np.float16)]), TypeError, "digits are too few"),
    "float32 inside": (
        lambda: ns.gradcheck(lambda x: ns.astype(ns.astype(x, "float32") * 2, "float64"), [np.ones(3)]),
        TypeError,
        "astype gives float32 within the function",
    ),
    "float32 result": (lambda: ns.gradcheck(lambda x: ns.tensor([1.0]), [np.ones(3)]), TypeError, "returned float32"),
    "complex": (lambda: ns.gradcheck(F.relu, [np.ones(3, complex)]), TypeError, "real and imaginary parts"),
    "nan": (lambda: ns.gradcheck(F.relu, [np.array([[1.0, np.nan]])]), ValueError, r"x \(1, 2\).* nan at \(0, 1\)"),
    "inf": (lambda: ns.gradcheck(F.relu, [np.array([np.inf])]), ValueError, "inf at"),
    "nan in a parameter": (
        lambda: ns.gradcheck(lambda: ns.tensor(0.0), [], parameters={"w": ns.tensor([np.nan], requires_grad=True)}),
        ValueError,
        "w .* nan",
    ),
    "nan as result": (lambda: ns.gradcheck(ns.log, [np.array([1.0, 0.0])]), ValueError, r"result\[1\] is -inf"),
    "no result": (lambda: ns.gradcheck(lambda x: None, [np.ones(3)]), TypeError, "returned NoneType"),
    "array as result": (lambda: ns.gradcheck(lambda x: x.numpy(), [np.ones(3)]), TypeError, "expected a Tensor"),
    "NumPy without a gradient": (
        lambda: ns.gradcheck(lambda x: np.sum(np.cbrt(x)), [np.ones(3)]),
        TypeError,
        "does not take Tensors .* pass gradient=",
    ),
    "integers as result": (lambda: ns.gradcheck(ns.argmax, [np.ones(3)]), TypeError, "returned int64"),
    "nothing to check": (lambda: ns.gradcheck(F.relu, [np.ones(3, int)]), ValueError, "nothing to check"),
    "text": (lambda: ns.gradcheck(F.relu, "abc"), ValueError, "nothing to check"),
    "no function": (lambda: ns.gradcheck(None, [np.ones(3)]), TypeError, "expected a function"),
    "order": (lambda: ns.gradcheck(F.relu, [np.ones(3)], order=0), ValueError, "order is 0"),
    "mode": (lambda: ns.gradcheck(F.relu, [np.ones(3)], mode="fast"), ValueError, "'projection' or 'full'"),
    "step": (lambda: ns.gradcheck(F.relu, [np.ones(3)], step=0), ValueError, "step is 0"),
    "rtol": (lambda: ns.gradcheck(F.relu, [np.ones(3)], rtol=-1), ValueError, "rtol is -1"),
    "changes its input": (lambda: ns.gradcheck(in_place, [np.ones(3)]), ValueError, "changes its argument 0"),
    "changes its array": (
        lambda: ns.gradcheck(lambda x: (x.sort(), x.sum())[1], [np.array([2.0, 1.0])], gradient=np.ones_like),
        ValueError,
        "changes its argument 0",
    ),
    "differs between calls": (
        lambda: ns.gradcheck(lambda x: F.dropout(x), [np.ones(50)]),
        ValueError,
        "different results for the same inputs",
    ),
    "dropout in a module": (
        lambda: ns.gradcheck(nn.Sequential(nn.Linear(3, 30), nn.Dropout(0.5)), [np.ones((2, 3))]),
        ValueError,
        r"call .eval\(\)",
    ),
    "counts its calls": (
        lambda: ns.gradcheck(lambda x: np.sum(x) + next(calls), [np.ones(2)], gradient=np.ones_like),
        ValueError,
        "different results",
    ),
    "no scalar": (lambda: ns.gradcheck(lambda x: x * 2, [W], gradient=np.ones_like), ValueError, "single number"),
    "shape of a gradient": (
        lambda: ns.gradcheck(loss, [W, X], gradient=lambda w, x: [d.T for d in gradient(w, x)]),
        ValueError,
        r"returned shape \(2, 4\) for w, expected \(4, 2\)",
    ),
    "count of gradients": (
        lambda: ns.gradcheck(loss, [W, X], gradient=lambda w, x: gradient(w, x)[0]),
        ValueError,
        "returned 1 gradients, expected 2",
    ),
    "gradient of text": (
        lambda: ns.gradcheck(loss, [W, X], gradient=lambda w, x: ("a", "b")),
        TypeError,
        "returned <U1",
    ),
    "no gradient": (lambda: ns.gradcheck(loss, [W, X], gradient=lambda w, x: (None, None)), TypeError, "object for w"),
    "gradient in float32": (
        lambda: ns.gradcheck(loss, [W, X], gradient=lambda w, x: [d.astype("f4") for d in gradient(w, x)]),
        TypeError,
        "float32 for w",
    ),
    "order 2 of a pair": (
        lambda: ns.gradcheck(loss, [W, X], 2, gradient=gradient),
        ValueError,
        "order 2 needs 2 gradient functions, got 1; pass gradient=.first, second.",
    ),
    "two gradients of order 1": (lambda: ns.gradcheck(loss, W, gradient=[gradient] * 2), ValueError, "order 1 needs 1"),
    "seed": (lambda: ns.gradcheck(F.relu, [np.ones(3)], seed="a"), ValueError, "seed is 'a'"),
    "no seeds": (lambda: ns.gradcheck(F.relu, [np.ones(3)], seed=[]), ValueError, "range"),
    "a gradient that adds up": (
        lambda: ns.gradcheck(loss, [W, X], gradient=adding_up()),
        ValueError,
        "something else for w the second time.*let it start from 0",
    ),
    "a gradient that takes a step": (
        lambda: ns.gradcheck(STEPPING.forward, [np.ones(3)], gradient=STEPPING.backward),
        ValueError,
        "different results once gradient was called",
    ),
    "gradient is no function": (lambda: ns.gradcheck(loss, [W, X], gradient=W), TypeError, "gradient is"),
    "parameters of a pair": (
        lambda: ns.gradcheck(loss, [W, X], gradient=gradient, parameters=[]),
        ValueError,
        "pass them as inputs",
    ),
    "parameter that is none": (
        lambda: ns.gradcheck(F.relu, [np.ones(2)], parameters=[np.ones(2)]),
        TypeError,
        "expected a Tensor",
    ),
}


@pytest.mark.cpu
@pytest.mark.parametrize("name", BAD)
def test_bad_use_has_one_clear_sentence(name):
    call, error, words = BAD[name]
    with pytest.raises(error, match=words) as caught:
        call()
    assert str(caught.value).startswith("gradcheck: ") and "\n" not in str(caught.value)


def test_a_mistake_leaves_the_module_as_it_was():
    model = nn.Linear(3, 2)
    before = model.weight.data
    with pytest.raises(ValueError, match="nan"):
        ns.gradcheck(model, [np.full((2, 3), np.nan)])
    with pytest.raises(ZeroDivisionError):
        ns.gradcheck(lambda x: model(x) * (1 // 0), [np.ones((2, 3))], parameters=model)
    assert model.weight.data is before and before.dtype == np.float32


# The report


def wrong_report():
    @ns.op
    def doubled(x):
        return 2 * x

    @doubled.rule("x")
    def _(g):
        return 3 * g

    with pytest.raises(ns.GradientError) as caught:
        ns.gradcheck(lambda x: ns.sin(doubled(ns.exp(x))).sum(), [normal(3)])
    return caught.value


def test_a_failure_carries_its_report():
    error = wrong_report()
    report = error.report
    assert not report.passed and error.operation == report.operation == "doubled"
    assert report.worst.index is not None and report.worst.units > 1e5
    assert report.worst.analytic == pytest.approx(1.5 * report.worst.numeric)
    text = str(error)
    assert text == str(report) and text.startswith("gradcheck: the derivative of result by x[")
    assert "cause: doubled: its rule for x gives" in text


def test_a_report_shows_itself():
    report = ns.gradcheck(F.relu, [np.array([-1.0, 0.0, 2.0])], seed=7)
    lines = str(report).split("\n")
    assert lines[0] == "gradcheck: 1 derivative right"
    assert lines[1].split()[:3] == ["order", "by", "shape"]
    assert "seed 7" in lines[-1]
    assert repr(report).startswith("<Report gradcheck: 1 derivative right")
    assert repr(report.rows[0]).startswith("<Row x: ")


def test_html_is_well_formed_and_escaped():
    from xml.etree import ElementTree

    for report in (wrong_report().report, ns.gradcheck(lambda *arrays: arrays[0] * 1, [normal(2), normal(3)])):
        root = ElementTree.fromstring(report._repr_html_())
        assert len(root.findall(".//tbody/tr")) == len(report.rows)
    assert "#c0392b" in wrong_report().report._repr_html_()
    report.rows[0].input = "<script>"
    assert "<script>" not in report._repr_html_()


def test_a_report_says_by_what_and_relative_to_what():
    by_hand = ns.gradcheck(loss, [W, X], gradient=gradient)
    assert "by your gradient" in str(by_hand) and "by the rules" not in str(by_hand)
    assert by_hand.rows[0].source == "your gradient" and "by your gradient" in repr(by_hand.rows[0])
    wrong = ns.gradcheck(loss, [W, X], gradient=lambda w, x: (gradient(w, x)[0], 0 * x), raises=False)
    assert "by your gradient and" in wrong.headline() and "of its size apart" in wrong.headline()
    assert "your gradient" in wrong._repr_html_()
    rules = str(ns.gradcheck(ns.exp, [X]))
    assert "by the rules" in rules and "relative error: of the derivative's size (along a direction" in rules


def test_a_failed_check_can_be_returned():
    report = ns.gradcheck(lambda x: x * x, [np.array([1.0, 2.0])], gradient=lambda x, g: g * x, raises=False)
    assert not report.passed and report.worst.input == "x"
    assert ns.gradcheck(ns.exp, [np.array([1.0])], raises=False).passed
    with pytest.raises(ValueError, match="pass one of them"):
        ns.gradcheck(ns.exp, [np.array([1.0])], mode="half", raises=False)


def test_float32_tensors_that_are_not_checked_are_not_blamed():
    first, last = ns.nn.Linear(3, 4), ns.nn.Linear(4, 2)

    @ns.op
    def twice(x):
        return x * 2

    @twice.rule("x")
    def _(g):
        return 3 * g

    x = np.random.default_rng(0).standard_normal((5, 3))
    right = ns.gradcheck(lambda x: last(first(x)), [x], raises=False)
    assert right.passed, right
    wrong = ns.gradcheck(lambda x: last(twice(first(x))), [x], raises=False)
    assert not wrong.passed and wrong.operations == ["twice"], wrong
