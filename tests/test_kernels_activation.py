"""Activation functions and their gradients as compiled loops against their formulas in float64, which no loop takes."""

import numpy as np
import pytest
from nnscratch.kernels import compiled, threads
from nnscratch.kernels.activation import cpu

import nnscratch as ns
from nnscratch import functional as F
from nnscratch.ops import fused

EPS = np.finfo(np.float32).eps
SIZE = compiled.LEAST + 5  # not a whole number of vectors

FUNCTIONS = {
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "relu": F.relu,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, "tanh"),
    "silu": F.silu,
    "leaky_relu": F.leaky_relu,
    "leaky_relu, steep": lambda x: F.leaky_relu(x, 3),
    "elu": F.elu,
    "elu, alpha": lambda x: F.elu(x, 0.3),
    "selu": F.selu,
    "selu, alpha, gamma": lambda x: F.selu(x, 2.0, 3.0),
    "celu": F.celu,
    "celu, alpha": lambda x: F.celu(x, 0.3),
    "hardsigmoid": F.hardsigmoid,
    "hardsigmoid, alpha, beta": lambda x: F.hardsigmoid(x, 0.3, 0.4),
    "hardswish": F.hardswish,
    "mish": F.mish,
}


@pytest.fixture(autouse=True)
def taken(monkeypatch):
    """The names of the loops that ran."""
    assert compiled.module_for("activation.loops", np.dtype("f")) is not None, "numba is not installed"
    names, by_loop = [], cpu._by_loop

    def noted(name, *args):
        result = by_loop(name, *args)
        names.extend([name] if result is not None else [])
        return result

    monkeypatch.setattr(cpu, "_by_loop", noted)
    return names


def values(rng, dtype="float32"):
    """Some of every size, 0, and the smallest there are."""
    x = rng.normal(0, 4, SIZE)
    x[:4000] = np.linspace(-13, 13, 4000)
    x[4000:4100] = np.geomspace(1e-45, 1e4, 100)
    x[4100:4200] = -np.geomspace(1e-45, 1e4, 100)
    x[4200:4204] = 0.0, -0.0, 1e38, -1e38
    return x.astype("float32").astype(dtype)


def both(function, x, g):
    x = ns.tensor(x, requires_grad=True)
    y = function(x)
    y.backward(ns.tensor(g))
    return y.numpy(), x.grad.numpy()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_compute_the_formulas(name, taken):
    rng = np.random.default_rng(0)
    x, g = values(rng), rng.standard_normal(SIZE).astype("float32")
    found = both(FUNCTIONS[name], x, g)
    assert len(taken) == (1 if name in ("tanh", "relu") else 2)  # NumPy's own go forward
    y, d = both(FUNCTIONS[name], x.astype("float64"), g.astype("float64"))
    assert len(taken) <= 2 and all(a.dtype == np.float32 for a in found)
    normal = np.abs(x) < 1e30  # beyond, float32's x² has no number
    # A straight line's digits cancel where it meets 0; others lose theirs only where a factor is below float32's normal numbers.
    np.testing.assert_allclose(found[0], y, rtol=8 * EPS, atol=4 * EPS if "hard" in name else 1e-37)
    # Where the terms of a slope cancel, what is left has their digits.
    np.testing.assert_allclose(found[1][normal], d[normal], rtol=8 * EPS, atol=8 * EPS)
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_know_infinities_and_nan(name):
    x = np.resize(np.array([np.inf, -np.inf, np.nan, 1.0], "float32"), SIZE)
    g = np.ones(SIZE, "float32")
    found = both(FUNCTIONS[name], x, g)
    with np.errstate(all="ignore"):
        expected = both(FUNCTIONS[name], x[:4].copy(), g[:4].copy())
    for a, b in zip(found, expected, strict=True):
        limits = np.isnan(b) & np.isinf(x[:4]) & (name == "mish")  # 0 times infinity in the formula, and 1 in the loop
        np.testing.assert_allclose(a[:4][~limits], b[~limits], rtol=8 * EPS)
        np.testing.assert_array_equal(a, np.resize(a[:4], SIZE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_of_large_arrays(name):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, SIZE).astype("float32")
    slopes = []
    for dtype in ("float32", "float64"):
        t = ns.tensor(x.astype(dtype), requires_grad=True)
        (slope,) = ns.grad(FUNCTIONS[name](t).sum(), [t], create_graph=True)
        if not slope.requires_grad:  # of straight lines
            return
        slopes.append(ns.grad((slope * slope).sum(), t).numpy())
    np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_threads_layouts_and_lengths_change_no_bit(name, monkeypatch):
    function, rng = FUNCTIONS[name], np.random.default_rng(0)
    x, g = (rng.normal(0, 3, (SIZE, 2)).astype("float32") for _ in range(2))
    expected = both(function, x, g)
    for a, b in ((np.asfortranarray(x), g), (x, np.asfortranarray(g)), (x[::-1].copy()[::-1], g)):
        for left, right in zip(both(function, a, b), expected, strict=True):
            np.testing.assert_array_equal(left, right)
    monkeypatch.setattr(threads, "parts", lambda length, work: 3)
    for left, right in zip(both(function, x, g), expected, strict=True):
        np.testing.assert_array_equal(left, right)
    for more in range(1, 9):
        part = slice(0, SIZE // 2 + more)
        for left, right in zip(both(function, x[part], g[part]), expected, strict=True):
            np.testing.assert_array_equal(left, right[part])


def test_loops_write_nothing_beside_their_target():
    loops = compiled.module_for("activation.loops", np.dtype("f"))
    for length in range(cpu.VECTOR, cpu.VECTOR + 33):
        x, out = np.ones(length, "float32"), np.full(length + 64, 7, "float32")
        loops.sigmoid(x, out[32:-32])
        assert (out[:32] == 7).all() and (out[-32:] == 7).all() and (out[32:-32] == out[32]).all()


def test_what_loops_do_not_take(taken):
    x, small = np.ones(SIZE, "float32"), np.ones(compiled.LEAST - 1, "float32")
    for a in (small, x.astype("float64"), x.astype("float16"), x.astype(">f4")):
        F.silu(a)
    both(F.silu, small, small)
    F.leaky_relu(x, np.full(SIZE, 0.5, "float32"))
    cpu.silu_gradient(np.ones(1, "float32"), x)
    assert cpu.sigmoid_gradient(x, x[:-1]) is None
    with pytest.raises(ValueError, match="gelu: approximate 'erf' is unknown"):
        F.gelu(x, "erf")
    with pytest.raises(ValueError, match="celu: alpha is 0"):
        F.celu(x, 0)
    assert taken == []
    F.silu(x)
    assert taken == ["silu"]


def test_no_time_is_lost_by_asking_for_small_arrays():
    """An operation asks from as many elements on as the loops take."""
    assert fused.SMALL == compiled.LEAST


def test_the_exponential_of_numbas_own_loops():
    import numba
    from nnscratch.kernels import simd
    from nnscratch.kernels.elementary import exponential_of

    @numba.njit(**simd.SETTINGS)
    def each(x, y):
        for i in range(x.size):
            y[i] = exponential_of(x[i])

    x = np.concatenate([np.linspace(-720, 720, 5000), [0, np.inf, -np.inf, np.nan, 1e300, -1e300]])
    y = np.empty_like(x)
    each(x, y)
    with np.errstate(over="ignore"):
        expected = np.exp(x)
    there = (np.abs(x) < 708) | ~np.isfinite(x)
    np.testing.assert_allclose(y[there], expected[there], rtol=3e-10)
    assert (y[x < -710] == 0).all() and (y[x > 710] == np.inf).all()
