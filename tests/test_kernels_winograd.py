"""Winograd's convolution against the direct one in twice the precision."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import compiled, threads
from nnscratch.kernels.conv import cpu as conv
from nnscratch.kernels.conv import definition, direct, winograd

from tests.test_kernels_conv import arrays


@st.composite
def layers(draw):
    """(N, C, size, O, kernel, stride, padding, dilation, groups) of 3 by 3 windows one step apart."""
    edge = st.tuples(st.integers(0, 6), st.integers(0, 6))
    padding = draw(st.tuples(edge, edge))
    size = tuple(max(1, 3 - sum(p)) + draw(st.integers(0, 20)) for p in padding)
    groups = draw(st.integers(1, 2))
    channels, filters = (groups * draw(st.integers(1, 40)) for _ in range(2))
    return draw(st.integers(0, 9)), channels, size, filters, (3, 3), (1, 1), padding, (1, 1), groups


def three(x, w, bias, g, geometry):
    """The convolution and its two gradients."""
    vectors, (_, padding, _, groups) = compiled.module_for("conv.vectors", x.dtype), geometry
    assert winograd.covers(x.shape[2:], g.shape[2:], padding)
    return (
        winograd.conv2d(vectors, x, w, bias, padding, g.shape[2:], groups),
        winograd.conv2d_input(vectors, g, w, x.shape[2:], padding, groups),
        winograd.conv2d_weight(vectors, g, x, padding, groups),
    )


def sums(module, x, w, bias, g, geometry):
    """The same by another way."""
    first = (compiled.module_for("conv.vectors", x.dtype),) if module is direct else ()
    return (
        module.conv2d(*first, x, w, bias, *geometry),
        module.conv2d_input(*first, g, w, x.shape[2:], *geometry),
        module.conv2d_weight(*first, g, x, w.shape[2:], *geometry),
    )


def size_of(a):
    return np.sqrt(np.mean(np.square(a), dtype=float)) if a.size else 0.0


@given(layers(), st.sampled_from([1, 16, 120]))
@settings(max_examples=60, deadline=None)
def test_agrees_in_any_blocks(layer, strip):
    single = arrays(layer, "float32")
    *double, geometry = [a.astype(float) if isinstance(a, np.ndarray) else a for a in single]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "STRIP", strip)
        found = three(*single)
    for a, b in zip(found, sums(direct, *double, geometry), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * size_of(b))


def test_agrees_with_the_definition():
    single = arrays((2, 5, (6, 7), 9, (3, 3), (1, 1), ((1, 0), (0, 2)), (1, 1), 1), "float32")
    for a, b in zip(three(*single), sums(definition, *single), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mean", [0.0, 5.0, -1.0])
def test_rounding_errors_are_those_of_sums_by_blas(mean, monkeypatch):
    """At most three times BLAS's root mean square error, against float64, also where all values have one sign."""
    *single, geometry = arrays((16, 32, (13, 14), 48, (3, 3), (1, 1), ((1, 1), (1, 0)), (1, 1), 1), "float32")
    single = [a + np.float32(mean) for a in single]
    exact = sums(direct, *(a.astype(float) for a in single), geometry)
    found = three(*single, geometry)
    monkeypatch.setattr(direct, "LEAST", 1 << 60)
    for a, b, e in zip(found, sums(conv, *single, geometry), exact, strict=True):
        assert size_of(a - e) <= 3 * size_of(b - e)


@given(layers(), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_threads_change_no_bit(layer, count):
    *given, geometry = arrays(layer, "float32")
    alone = three(*given, geometry)
    threads.forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "count", lambda: count)
        patch.setattr(threads, "LEAST", 1)
        together = three(*given, geometry)
    threads.forget()
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_which_convolutions_it_is_for(monkeypatch):
    single, weight, one = np.dtype("float32"), (64, 32, 3, 3), (1, 1)
    assert winograd.suits(single, weight, one, one, 1)
    assert not winograd.suits(np.dtype("float64"), weight, one, one, 1)
    assert not winograd.suits(single, (64, 32, 3, 5), one, one, 1)
    assert not winograd.suits(single, weight, (2, 1), one, 1)
    assert not winograd.suits(single, weight, one, (1, 2), 1)
    assert not winograd.suits(single, weight, one, one, 8)
    assert not winograd.suits(single, (64, 3, 3, 3), one, one, 1)
    *given, geometry = arrays((8, 16, (12, 13), 16, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1), "float32")
    for a, b in zip(sums(conv, *given, geometry), three(*given, geometry), strict=True):
        np.testing.assert_array_equal(a, b)
    monkeypatch.setattr(winograd, "LEAST", 17)
    for a, b in zip(sums(conv, *given, geometry), sums(direct, *given, geometry), strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_and_columns_that_no_patch_reaches_are_left_to_the_direct_way():
    """Gradients by an input with more behind its last window than a patch reaches over: those get 0."""
    *_, g, geometry = arrays((2, 16, (9, 8), 16, (3, 3), (1, 1), ((1, 0), (0, 1)), (1, 1), 1), "float32")
    w = arrays((1, 16, (3, 3), 16, (3, 3), *geometry), "float32")[1]
    assert winograd.covers((9, 8), g.shape[2:], geometry[1])
    assert not winograd.covers((11, 8), g.shape[2:], geometry[1])
    assert not winograd.covers((9, 13), g.shape[2:], geometry[1])
    for size in ((9, 8), (11, 8), (9, 13), (12, 14)):
        expected = definition.conv2d_input(g, w, size, *geometry)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(direct, "LEAST", 1)
            found = conv.conv2d_input(g, w, size, *geometry)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * size_of(expected))


def test_examples():
    assert doctest.testmod(winograd).failed == 0
