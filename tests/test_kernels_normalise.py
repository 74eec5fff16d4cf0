"""The normalisation kernels against their definition in float64, in compiled loops and without."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import compiled, threads
from nnscratch.kernels.normalise import cpu as normalise
from nnscratch.kernels.normalise import definition as definitions

import nnscratch as ns
from nnscratch import functional as F

#: Shape, axes and the shape of the weight: whether the loops take it.
LAYOUTS = {
    "layer": ((6, 40), (1,), (40,), True),
    "layer of two axes": ((3, 5, 4, 9), (2, 3), (4, 9), True),
    "one set": ((70,), (0,), (70,), True),
    "batch of images": ((4, 3, 5, 7), (0, 2, 3), (3, 1, 1), True),
    "batch of one": ((1, 3, 5, 7), (0, 2, 3), (1, 3, 1, 1), True),
    "instances": ((4, 3, 5, 7), (2, 3), (3, 1, 1), True),
    "groups": ((3, 2, 4, 30), (2, 3), (2, 4, 1), True),
    "groups of vectors": ((5, 2, 9, 1), (2, 3), (2, 9, 1), True),
    "a number": ((6, 40), (1,), (), True),
    "a set of one": ((6, 1), (1,), (1,), True),
    "more than a piece": ((2, 3000), (1,), (3000,), True),
    "more than a part": ((150, 6), (1,), (6,), True),
    "a batch of vectors": ((9, 4), (0,), (4,), True),
    "a batch of groups of vectors": ((9, 3, 4), (0,), (4,), True),
    "the middle": ((3, 5, 4), (1,), (5, 1), False),
    "a weight for each sample": ((4, 3, 5), (0, 2), (4, 1, 1), False),
    "a weight across sets": ((4, 3, 5), (2,), (4, 1, 5), False),
}


def close(computed, wide, terms):
    """Within what a float32 or float64 sum of terms of that size may lose."""
    assert computed.shape == wide.shape
    tolerance = 64 * np.finfo(computed.dtype).eps
    np.testing.assert_allclose(computed, wide, rtol=tolerance, atol=tolerance * max(terms, 1e-30))


def definition(x, d, axes, eps, weight, bias, centred):
    """The result, the gradients by x and the weight, the mean and the variance."""
    mean = x.mean(axes, keepdims=True) * centred
    x = x - mean
    variance = (x * x).mean(axes, keepdims=True)
    root = np.sqrt(variance + eps)
    y, h = x / root, d * weight
    middle = h.mean(axes, keepdims=True) if centred else 0.0
    out = (h - middle - y * (h * y).mean(axes, keepdims=True)) / root
    over = tuple(i for i, n in enumerate((1,) * (x.ndim - weight.ndim) + weight.shape) if n == 1)
    return y * weight + bias, out, (d * y).sum(over).reshape(weight.shape), mean, variance


def computed(x, d, axes, eps, weight, bias, centred, kernels=None):
    kernels = kernels or normalise
    y, mean, variance = kernels.standardize(x, axes, eps, weight, bias, centred)
    return (
        y,
        kernels.standardize_input(d, x, mean, variance, axes, eps, weight, centred),
        kernels.standardize_weight(d, x, mean, variance, weight.shape, axes, eps),
        mean,
        variance,
    )


def drawn(layout, dtype, seed=0, shift=3.0):
    shape, axes, weight, _ = LAYOUTS[layout]
    rng = np.random.default_rng(seed)
    x, d = (rng.standard_normal(shape) * 2 + shift).astype(dtype), rng.standard_normal(shape).astype(dtype)
    return x, d, axes, 0.01, *(rng.standard_normal(weight).astype(dtype) for _ in range(2))


@pytest.fixture
def small_arrays_too(monkeypatch):
    monkeypatch.setattr(compiled, "LEAST", 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_which_layouts_the_loops_take(layout, small_arrays_too):
    x, d, axes, _, weight, bias = drawn(layout, "float32")
    assert (normalise._loops(x, axes, (d,), (weight, bias)) is not None) == LAYOUTS[layout][3]
    assert normalise._loops(x, axes, (d,), (weight.astype(float),)) is None
    assert normalise._loops(x, axes, (), (weight, np.ones(x.shape, x.dtype))) is None or weight.shape == x.shape


@settings(max_examples=300, deadline=None)
@given(
    layout=st.sampled_from(list(LAYOUTS)),
    dtype=st.sampled_from(["float32", "float64"]),
    centred=st.booleans(),
    least=st.sampled_from([0, 1 << 60]),
    turned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_kernels_are_their_definition(layout, dtype, centred, least, turned, seed):
    x, d, axes, eps, weight, bias = drawn(layout, dtype, seed)
    expected = definition(
        x.astype(float), d.astype(float), axes, eps, weight.astype(float), bias.astype(float), centred
    )
    if turned:  # what is not contiguous
        x, d = np.asfortranarray(x), np.repeat(d, 2, axis=0)[::2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "LEAST", least)
        for kernels in (normalise, definitions):
            results = computed(x, d, axes, eps, weight, bias, centred, kernels)
            for a, b in zip(results[:3], expected[:3], strict=True):
                assert a.dtype == dtype
                close(a, b, np.abs(b).max() + np.sqrt(x.size))
            for a, b in zip(results[3:], expected[3:], strict=True):
                assert a.dtype == np.float64
                assert a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=64 * np.finfo(dtype).eps, atol=1e-30)


@pytest.mark.parametrize("layout", ["layer", "batch of images", "groups", "a batch of groups of vectors"])
def test_weight_and_bias_may_be_left_out(layout, small_arrays_too):
    x, d, axes, eps, weight, bias = drawn(layout, "float64")
    bare, mean, variance = normalise.standardize(x, axes, eps)
    np.testing.assert_allclose(normalise.standardize(x, axes, eps, weight)[0], bare * weight, rtol=1e-13)
    np.testing.assert_allclose(normalise.standardize(x, axes, eps, None, bias)[0], bare + bias, rtol=1e-13, atol=1e-13)
    by_ones = normalise.standardize_input(d, x, mean, variance, axes, eps, np.ones_like(weight))
    np.testing.assert_allclose(
        normalise.standardize_input(d, x, mean, variance, axes, eps), by_ones, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("layout", ["layer", "batch of images", "groups", "more than a piece", "a batch of vectors"])
def test_a_great_mean_costs_no_digits_beyond_those_of_the_input(layout, small_arrays_too):
    """The mean in float32 lacks up to 2e-3 of values about 30000: without what makes that good y would lack as much."""
    x, d, axes, eps, weight, bias = drawn(layout, "float32", shift=30000.0)
    expected = definition(x.astype(float), d.astype(float), axes, eps, weight.astype(float), bias.astype(float), True)
    for a, b in zip(computed(x, d, axes, eps, weight, bias, True), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


def test_equal_and_extreme_values(small_arrays_too):
    ones = np.ones((3, 40), np.float32)
    np.testing.assert_array_equal(normalise.standardize(ones * 1e4, (1,), 1e-5)[0], 0 * ones)
    for size in (1e-30, 1e18, 1e30):  # whose squares float32 does not hold
        x = np.random.default_rng(0).standard_normal((3, 40))
        y = normalise.standardize(x * size, (1,), 0.0)[0]
        np.testing.assert_allclose(y, (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), rtol=1e-11)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_set(bad, small_arrays_too):
    x, d, axes, eps, weight, bias = drawn("layer", "float32")
    expected = computed(x, d, axes, eps, weight, bias, True)[:2]
    x[2, 5] = bad
    for a, b in zip(computed(x, d, axes, eps, weight, bias, True)[:2], expected, strict=True):
        assert np.isnan(a[2]).all()
        np.testing.assert_array_equal(np.delete(a, 2, 0), np.delete(b, 2, 0))


@pytest.mark.parametrize("layout", [name for name, (*_, taken) in LAYOUTS.items() if taken])
def test_any_number_of_threads_gives_the_same_bits(layout, small_arrays_too, monkeypatch):
    arguments = drawn(layout, "float32")
    expected = computed(*arguments, True)
    for count in (2, 3):
        with monkeypatch.context() as patch:
            patch.setattr(threads, "LEAST", 1)
            patch.setattr(threads, "count", lambda count=count: count)
            threads.forget()
            for a, b in zip(computed(*arguments, True), expected, strict=True):
                np.testing.assert_array_equal(a, b)
    threads.forget()


def test_the_size_alone_decides():
    small, large = np.ones((127, 128), np.float32), np.ones((128, 128), np.float32)
    assert normalise._loops(large, (1,)) is not None
    assert normalise._loops(small, (1,)) is None, "the loops are loaded, and still not for it"
    assert normalise._loops(large.astype(np.float16), (1,)) is None


def test_locked_arrays_are_taken(small_arrays_too):
    arguments = drawn("layer", "float32")
    expected = computed(*arguments, True)
    for a in arguments:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    for a, b in zip(computed(*arguments, True), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision_is_computed_in_single():
    x = np.array([[300.0, -300.0, 300.0, -300.0]], np.float16)  # whose squares float16 does not hold
    y = normalise.standardize(x, (1,), 0.0)[0]
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, np.sign(x))


LAYERS = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, w, b, (-2, -1)), (3, 4, 5), (4, 5)),
    "rms_norm": (lambda x, w, b: F.rms_norm(x, w) + b, (3, 5), (5,)),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, weight=w, bias=b, training=True), (3, 4, 2, 3), (4,)),
    "batch_norm of vectors": (lambda x, w, b: F.batch_norm(x, weight=w, bias=b, training=True), (6, 4), (4,)),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (3, 4, 2, 2), (4,)),
    "group_norm of vectors": (lambda x, w, b: F.group_norm(x, 2, w, b), (3, 6), (6,)),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, w, b), (3, 2, 6), (2,)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_first_and_second_derivatives_of_the_loops(name, small_arrays_too):
    layer, shape, weights = LAYERS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in (shape, weights, weights)]
    for order in (1, 2):
        assert ns.gradcheck(layer, arrays, order=order)


@pytest.mark.parametrize("name", LAYERS)
def test_large_arrays_follow_small_ones(name, monkeypatch):
    """A hundred copies of the axes that are not normalised over, or of the batch, in float32."""
    layer, shape, weights = LAYERS[name]
    rng = np.random.default_rng(0)
    arrays = [np.tile(rng.standard_normal(shape), (400, *(1,) * (len(shape) - 1))), *rng.standard_normal((2, *weights))]
    results = []
    for dtype, least in (("float32", compiled.LEAST), ("float64", 1 << 60)):
        monkeypatch.setattr(compiled, "LEAST", least)
        tensors = [ns.tensor(a, dtype=dtype, requires_grad=True) for a in arrays]
        y = layer(*tensors)
        results.append([y, *ns.grad(y, tensors, np.sin(np.arange(y.size)).reshape(y.shape))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=2e-5 * np.abs(b.numpy()).max())


def test_running_statistics_of_large_batches():
    x = np.random.default_rng(0).standard_normal((40, 3, 20, 20), dtype=np.float32) + 2
    mean, var = np.zeros(3, np.float32), np.ones(3, np.float32)
    F.batch_norm(ns.tensor(x), mean, var, training=True)
    wide = x.astype(float)
    np.testing.assert_allclose(mean, 0.1 * wide.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(var, 0.9 + 0.1 * wide.var((0, 2, 3), ddof=1), rtol=1e-6)
