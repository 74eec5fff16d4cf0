"""The pooling kernels against their definitions, those against one window after the other, and against each other as transposes."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import windows
from nnscratch.kernels.pool import definition

from nnscratch.testing import by_window
from tests.topic import on_cpu

pool = on_cpu("pool")

TWO = ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))


@st.composite
def inputs(draw):
    """(x, g, size, geometry): x with many ties, some nan if drawn."""
    small = st.integers(1, 3)
    pair = st.tuples(small, small)
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    edge = st.tuples(st.integers(0, 2), st.integers(0, 2))
    padding = draw(st.tuples(edge, edge))
    least = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(n + draw(st.integers(0, 4)) for n in least)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.integers(-2, 3, (draw(st.integers(0, 2)), 2, *size)).astype(float)
    x[rng.random(x.shape) < draw(st.sampled_from([0.0, 0.1]))] = np.nan
    g = rng.standard_normal((*x.shape[:2], *windows.output_sizes(size, kernel, stride, padding, dilation)))
    return x, g, size, (kernel, stride, padding, dilation)


@given(inputs())
@settings(max_examples=150, deadline=None)
def test_maxima_agree_with_the_definition(drawn):
    x, _, _, geometry = drawn
    found, expected = pool.max_pool2d(x, *geometry), definition.max_pool2d(x, *geometry)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    index = found[1]
    np.testing.assert_array_equal(pool.pool_gather(x, index, *geometry), definition.pool_gather(x, index, *geometry))


@given(inputs())
@settings(max_examples=100, deadline=None)
def test_the_definitions_take_one_window_after_the_other(drawn):
    x, g, size, geometry = drawn
    values, index = definition.max_pool2d(x, *geometry)
    for a, b in zip((values, index), by_window.max_pool2d(x, *geometry), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        definition.pool_gather(x, index, *geometry), by_window.pool_gather(x, index, *geometry)
    )
    x, close = np.nan_to_num(x, nan=7.0), {"rtol": 1e-12, "atol": 1e-12}
    for name, arguments in (
        ("pool_scatter", (g, index, size)),
        ("sum_unpool2d", (g, size)),
        ("sum_pool2d", (x,)),
    ):
        expected = getattr(by_window, name)(*arguments, *geometry)
        np.testing.assert_allclose(getattr(definition, name)(*arguments, *geometry), expected, **close)


@given(inputs())
@settings(max_examples=150, deadline=None)
def test_sums_and_scattering_agree_with_the_definition_and_are_transposes(drawn):
    x, g, size, geometry = drawn
    index = pool.max_pool2d(x, *geometry)[1]
    x = np.nan_to_num(x, nan=7.0)
    close = {"rtol": 1e-12, "atol": 1e-12}
    scattered, unpooled = pool.pool_scatter(g, index, size, *geometry), pool.sum_unpool2d(g, size, *geometry)
    np.testing.assert_allclose(scattered, definition.pool_scatter(g, index, size, *geometry), **close)
    np.testing.assert_allclose(unpooled, definition.sum_unpool2d(g, size, *geometry), **close)
    np.testing.assert_allclose(pool.sum_pool2d(x, *geometry), definition.sum_pool2d(x, *geometry), **close)
    np.testing.assert_allclose(np.vdot(pool.pool_gather(x, index, *geometry), g), np.vdot(x, scattered), **close)
    np.testing.assert_allclose(np.vdot(pool.sum_pool2d(x, *geometry), g), np.vdot(x, unpooled), **close)


def test_ties_go_to_the_first():
    assert pool.max_pool2d(np.zeros((1, 1, 2, 2)), *TWO)[1].item() == 0
    assert pool.max_pool2d(np.array([[[[0.0, 1.0], [1.0, 1.0]]]]), *TWO)[1].item() == 1


def test_nan_and_infinities():
    x = np.array([[[[1.0, np.nan], [np.nan, 9.0]]]])
    values, index = pool.max_pool2d(x, *TWO)
    assert np.isnan(values).all() and index.item() == 1
    x = np.array([[[[-np.inf, 1.0], [np.inf, 9.0]]]])
    index = pool.max_pool2d(x, *TWO)[1]
    assert index.item() == 2 and pool.pool_gather(x, index, *TWO).item() == np.inf
    scattered = pool.pool_scatter(np.full((1, 1, 1, 1), np.inf), index, (2, 2), *TWO)
    np.testing.assert_array_equal(scattered, [[[[0, 0], [np.inf, 0]]]])


def test_padding_never_wins_over_negative_numbers():
    geometry = ((2, 2), (2, 2), ((1, 1), (1, 1)), (1, 1))
    x = -np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    values, index = pool.max_pool2d(x, *geometry)
    np.testing.assert_array_equal(values, x)
    np.testing.assert_array_equal(index, [[[[3, 2], [1, 0]]]])


def test_large_windows_get_wider_numbers():
    x = np.zeros((1, 1, 20, 20))
    x[..., 19, 19] = 1
    index = pool.max_pool2d(x, (20, 20), (1, 1), ((0, 0), (0, 0)), (1, 1))[1]
    assert index.dtype == np.uint16 and index.item() == 399


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_keeps_dtype_inputs_and_takes_any_strides(dtype):
    geometry = ((2, 2), (1, 1), ((1, 0), (0, 1)), (1, 1))
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 8)).astype(dtype)
    view, copy, before = x[:, ::-1, :, ::-2], x[:, ::-1, :, ::-2].copy(), x.copy()
    values, index = pool.max_pool2d(copy, *geometry)
    for a, b in zip(pool.max_pool2d(view, *geometry), (values, index), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    total = pool.sum_pool2d(view, *geometry)
    np.testing.assert_array_equal(total, pool.sum_pool2d(copy, *geometry), strict=True)
    assert values.dtype == total.dtype == dtype
    np.testing.assert_array_equal(pool.pool_gather(view, index, *geometry), values, strict=True)
    ones = np.broadcast_to(dtype(1), index.shape)
    for back in (
        pool.pool_scatter(ones, index, (5, 4), *geometry),
        pool.sum_unpool2d(ones, (5, 4), *geometry),
    ):
        assert back.dtype == dtype and back.shape == copy.shape
    assert pool.pool_scatter(ones, index, (5, 4), *geometry).sum() == ones.sum()
    np.testing.assert_array_equal(x, before)


@given(inputs())
@settings(max_examples=50, deadline=None)
def test_counts_leave_padding_out(drawn):
    _, _, size, geometry = drawn
    expected = by_window.sum_pool2d(np.ones((1, 1, *size)), *geometry)[0, 0]
    np.testing.assert_array_equal(windows.window_counts(size, *geometry), expected)


def test_examples_in_the_documentation():
    result = doctest.testmod(definition)
    assert result.attempted and not result.failed
