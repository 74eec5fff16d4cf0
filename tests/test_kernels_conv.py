"""The convolution kernels against their definitions, those against sums over one window after the other, and against each other as transposes."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import windows
from nnscratch.kernels.conv import cpu as conv
from nnscratch.kernels.conv import definition

from nnscratch.testing import by_window

PLAIN = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)


@st.composite
def layers(draw):
    """(N, C, size, O, kernel, stride, padding, dilation, groups) with at least one window."""
    small = st.integers(1, 3)
    pair = st.tuples(small, small)
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    edge = st.tuples(st.integers(0, 2), st.integers(0, 2))
    padding = draw(st.tuples(edge, edge))
    least = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(n + draw(st.integers(0, 4)) for n in least)
    groups = draw(small)
    return (
        draw(st.integers(0, 3)),
        groups * draw(small),
        size,
        groups * draw(small),
        kernel,
        stride,
        padding,
        dilation,
        groups,
    )


def arrays(layer, dtype=np.float64, seed=0):
    """x, w, bias, g and the geometry of a layer."""
    images, channels, size, filters, kernel, stride, padding, dilation, groups = layer
    rng = np.random.default_rng(seed)
    outputs = windows.output_sizes(size, kernel, stride, padding, dilation)
    shapes = (
        (images, channels, *size),
        (filters, channels // groups, *kernel),
        (filters,),
        (images, filters, *outputs),
    )
    return *(rng.standard_normal(s).astype(dtype) for s in shapes), (stride, padding, dilation, groups)


@given(layers(), st.sampled_from([16, 512, 1 << 20]))
@settings(max_examples=150, deadline=None)
def test_agrees_with_the_definition_and_transposes_agree(layer, block_bytes):
    x, w, bias, g, geometry = arrays(layer)
    size, kernel = x.shape[2:], w.shape[2:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "BLOCK_BYTES", block_bytes)
        y = conv.conv2d(x, w, bias, *geometry)
        dx = conv.conv2d_input(g, w, size, *geometry)
        dw = conv.conv2d_weight(g, x, kernel, *geometry)
    np.testing.assert_allclose(y, definition.conv2d(x, w, bias, *geometry), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, definition.conv2d_input(g, w, size, *geometry), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dw, definition.conv2d_weight(g, x, kernel, *geometry), rtol=1e-12, atol=1e-12)
    product = np.vdot(y - bias[:, None, None], g)
    np.testing.assert_allclose([np.vdot(x, dx), np.vdot(w, dw)], product, rtol=1e-10, atol=1e-10)


@given(layers())
@settings(max_examples=100, deadline=None)
def test_the_definition_is_the_sum_over_each_window(layer):
    x, w, bias, g, geometry = arrays(layer)
    size, kernel, close = x.shape[2:], w.shape[2:], {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(
        definition.conv2d(x, w, bias, *geometry), by_window.conv2d(x, w, bias, *geometry), **close
    )
    for name, arguments in (("conv2d_input", (g, w, size)), ("conv2d_weight", (g, x, kernel))):
        expected = getattr(by_window, name)(*arguments, *geometry)
        np.testing.assert_allclose(getattr(definition, name)(*arguments, *geometry), expected, **close)


def test_worked_by_hand():
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    w = np.array([[[[1.0, 10.0]]], [[[0.0, -1.0]]]])
    y = conv.conv2d(x, w, np.array([0.5, 0.0]), *PLAIN)
    np.testing.assert_array_equal(y, [[[[21.5, 32.5], [54.5, 65.5]], [[-2, -3], [-5, -6]]]])
    flipped_if_convolved = conv.conv2d(x, w[:1, :, :, ::-1], None, *PLAIN)
    np.testing.assert_array_equal(flipped_if_convolved, [[[[12, 23], [45, 56]]]])


@given(layers(), st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=100, deadline=None)
def test_gradient_by_a_larger_input(layer, more_rows, more_columns):
    """Rows and columns that no window touches, as a transposed convolution's output padding makes them."""
    x, w, _, g, geometry = arrays(layer)
    size = x.shape[2] + more_rows, x.shape[3] + more_columns
    expected = definition.conv2d_input(g, w, size, *geometry)
    np.testing.assert_allclose(conv.conv2d_input(g, w, size, *geometry), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_keeps_dtype_and_inputs(dtype):
    x, w, bias, g, geometry = arrays((2, 4, (6, 5), 6, (3, 2), (2, 1), ((1, 0), (0, 2)), (1, 2), 2), dtype)
    copies = [a.copy() for a in (x, w, bias, g)]
    results = (
        conv.conv2d(x, w, bias, *geometry),
        conv.conv2d_input(g, w, (6, 5), *geometry),
        conv.conv2d_weight(g, x, (3, 2), *geometry),
        definition.im2col(x, (3, 2), *geometry[:3]),
    )
    assert all(r.dtype == dtype for r in results)
    for before, after in zip(copies, (x, w, bias, g), strict=True):
        np.testing.assert_array_equal(before, after)


def test_half_precision_is_rounded_once():
    x, w, bias, g, geometry = arrays((2, 16, (8, 8), 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1), np.float16)
    single = [a.astype(np.float32) for a in (x, w, bias, g)]
    expected = conv.conv2d(*single[:3], *geometry).astype(np.float16)
    np.testing.assert_array_equal(conv.conv2d(x, w, bias, *geometry), expected)
    expected = conv.conv2d_weight(single[3], single[0], (3, 3), *geometry).astype(np.float16)
    np.testing.assert_array_equal(conv.conv2d_weight(g, x, (3, 3), *geometry), expected)


def awkward(a):
    """The same numbers in a view with a negative and a large stride."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    view = wide[..., ::-2]
    view[...] = a
    return view


@pytest.mark.parametrize("kernel", [(3, 2), (1, 1)])
def test_any_strides(kernel):
    x, w, bias, g, geometry = arrays((2, 4, (6, 5), 6, kernel, (1, 1), ((0, 0), (0, 0)), (1, 1), 2))
    np.testing.assert_array_equal(
        conv.conv2d(awkward(x), awkward(w), awkward(bias), *geometry), conv.conv2d(x, w, bias, *geometry)
    )
    np.testing.assert_array_equal(
        conv.conv2d_input(awkward(g), awkward(w), (6, 5), *geometry),
        conv.conv2d_input(g, w, (6, 5), *geometry),
    )
    np.testing.assert_array_equal(
        conv.conv2d_weight(awkward(g), awkward(x), kernel, *geometry),
        conv.conv2d_weight(g, x, kernel, *geometry),
    )
    ones = np.broadcast_to(1.0, g.shape)
    np.testing.assert_array_equal(
        conv.conv2d_input(ones, w, (6, 5), *geometry), conv.conv2d_input(ones.copy(), w, (6, 5), *geometry)
    )


def test_im2col_times_the_weights_is_the_convolution():
    x, w, _, g, geometry = arrays((2, 3, (6, 5), 4, (3, 2), (2, 1), ((1, 0), (0, 2)), (1, 2), 1))
    columns = definition.im2col(x, (3, 2), *geometry[:3])
    assert columns.shape == (2, 18, g.shape[2] * g.shape[3])
    np.testing.assert_allclose(
        (w.reshape(4, -1) @ columns).reshape(g.shape), conv.conv2d(x, w, None, *geometry), rtol=1e-13
    )


def test_results_own_their_memory():
    x, w, _, g, geometry = arrays((2, 2, (5, 5), 2, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1))
    assert not np.shares_memory(conv.conv2d(x, w, None, *geometry), x)
    assert not np.shares_memory(conv.conv2d_input(g, w, (5, 5), *geometry), g)


def test_output_size_counts_windows():
    for size, kernel, stride, pad, dilation in np.ndindex(7, 3, 3, 2, 3):
        kernel, stride, dilation = kernel + 1, stride + 1, dilation + 1
        starts = range(0, size + pad - dilation * (kernel - 1), stride)
        assert max(0, windows.output_size(size, kernel, stride, (pad, 0), dilation)) == len(starts)


@pytest.mark.parametrize("module", [definition, windows])
def test_examples_in_the_documentation(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
