"""The optimiser steps against plain transcriptions of their formulas, to the last bit of float64."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nnscratch.kernels.steps import cpu as steps
from nnscratch.kernels.steps import definition

FLOATS = st.floats(-1e3, 1e3)
VECTORS = st.lists(FLOATS, min_size=3, max_size=3).map(np.array)
SMALL = st.floats(0, 0.99)


@given(VECTORS, st.lists(VECTORS, min_size=1, max_size=4), st.floats(1e-6, 1))
def test_plain_descent(p, gradients, lr):
    expected = p.copy()
    for g in gradients:
        steps.sgd([(p, g, None)], lr, 0.0, False, 0.0)
        expected = expected - lr * g
    np.testing.assert_array_equal(p, expected)


@given(VECTORS, st.lists(VECTORS, min_size=1, max_size=4), st.floats(1e-6, 1), SMALL, st.booleans(), SMALL)
def test_momentum_and_decay(p, gradients, lr, momentum, nesterov, decay):
    expected, velocity, v = p.copy(), np.zeros(3), np.zeros(3)
    for g in gradients:
        before = g.copy()
        steps.sgd([(p, g, velocity)], lr, momentum, nesterov, decay)
        np.testing.assert_array_equal(g, before)
        h = g + decay * expected
        v = momentum * v + h
        expected = expected - lr * (h + momentum * v if nesterov else v)
    np.testing.assert_array_equal(p, expected)
    np.testing.assert_array_equal(velocity, v)


@given(
    VECTORS,
    st.lists(VECTORS, min_size=1, max_size=4),
    st.floats(1e-6, 1),
    SMALL,
    SMALL,
    st.floats(1e-10, 1e-3),
)
def test_adam_is_f11_to_the_last_bit(p, gradients, lr, b1, b2, eps):
    expected, m, v = p.copy(), np.zeros(3), np.zeros(3)
    state = np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, start=1):
        steps.adam([(p, g, *state)], lr, b1, b2, eps, t, False, 0.0, False)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        expected = expected - lr * m / (np.sqrt(v) + eps)
    for computed, plain in zip((p, *state), (expected, m, v), strict=True):
        np.testing.assert_array_equal(computed, plain)


@given(VECTORS, st.lists(VECTORS, min_size=1, max_size=4), SMALL, st.booleans(), st.booleans())
def test_adam_with_correction_and_decay(p, gradients, decay, correction, decoupled):
    lr, b1, b2, eps = 0.01, 0.9, 0.999, 1e-8
    expected, m, v = p.copy(), np.zeros(3), np.zeros(3)
    state = np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, start=1):
        before = g.copy()
        steps.adam([(p, g, *state)], lr, b1, b2, eps, t, correction, decay, decoupled)
        np.testing.assert_array_equal(g, before)
        if decoupled:
            expected = expected - lr * decay * expected
        else:
            g = g + decay * expected
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        mean, square = (m / (1 - b1**t), v / (1 - b2**t)) if correction else (m, v)
        expected = expected - lr * mean / (np.sqrt(square) + eps)
    np.testing.assert_allclose(p, expected, rtol=1e-12, atol=1e-14)


@given(VECTORS, VECTORS, SMALL, st.booleans(), st.booleans(), st.integers(1, 3))
def test_the_definitions_are_those_formulas(p, g, decay, flag, other, step):
    """To the last bit where products and sums are taken in the same order."""
    for name, settings, state in [
        ("sgd", (0.1, 0.9, flag, decay), 1),
        ("adam", (0.1, 0.9, 0.999, 1e-8, step, flag, decay, other), 2),
    ]:
        found, expected = ([p.copy(), g.copy(), *(abs(p) for _ in range(state))] for _ in range(2))
        getattr(definition, name)([tuple(found)], *settings)
        getattr(steps, name)([tuple(expected)], *settings)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-14)


def test_first_corrected_step_has_length_lr():
    p = np.zeros(2)
    steps.adam([(p, np.array([3.0, -0.01]), np.zeros(2), np.zeros(2))], 0.1, 0.9, 0.999, 0.0, 1, True, 0.0, False)
    np.testing.assert_allclose(p, [-0.1, 0.1], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_shape_and_place_stay(dtype):
    rng = np.random.default_rng(0)
    for shape in [(), (0,), (3, 4)]:
        g = np.asarray(rng.standard_normal(shape), dtype)
        p, m, v = (np.asarray(rng.random(shape), dtype) for _ in range(3))
        start = p.copy()
        steps.sgd([(p, g, m)], 0.1, 0.9, True, 0.01)
        steps.adam([(p, g, m, v)], 0.1, 0.9, 0.999, 1e-8, 3, True, 0.01, True)
        assert all(a.dtype == dtype and a.shape == shape for a in (p, m, v))
        assert p.size == 0 or not np.array_equal(p, start)
    transposed = np.ones((4, 3), dtype).T
    steps.sgd([(transposed, np.ones((3, 4), dtype), None)], 0.5, 0.0, False, 0.0)
    np.testing.assert_array_equal(transposed.base, np.full((4, 3), 0.5))


def test_single_precision_is_not_computed_in_double():
    """A temporary of float64 would round the float32 step differently from this transcription."""
    g = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    p, m, v = (np.zeros(1000, np.float32) for _ in range(3))
    steps.adam([(p, g, m, v)], 0.001, 0.9, 0.999, 1e-8, 1, False, 0.0, False)
    single = np.float32
    first, second = single(1 - 0.9) * g, single(1 - 0.999) * (g * g)
    np.testing.assert_array_equal(p, -(single(0.001) * first / (np.sqrt(second) + single(1e-8))))


def test_examples_in_the_documentation():
    result = doctest.testmod(definition)
    assert result.attempted and not result.failed
