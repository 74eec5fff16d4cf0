"""Depthwise convolution by its compiled loops against its definition, at many shapes, strides and dtypes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import compiled, threads
from nnscratch.kernels.conv import cpu as conv
from nnscratch.kernels.conv import definition, depthwise

from tests.test_kernels_conv import arrays


@st.composite
def layers(draw):
    """(N, C, size, O, kernel, stride, padding, dilation, C) with at least one window, narrower than a vector or not."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride, dilation = (draw(st.tuples(st.integers(1, 4), st.integers(1, 4))) for _ in range(2))
    edge = st.tuples(st.integers(0, 5), st.integers(0, 5))
    padding = draw(st.tuples(edge, edge))
    least = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(n + draw(st.integers(0, 30)) for n in least)
    channels, each, images = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 11))
    return images, channels, size, channels * each, kernel, stride, padding, dilation, channels


def loops(dtype):
    found = compiled.module_for("conv.depthwise_loops", np.dtype(dtype))
    assert found is not None, "numba is not installed"
    return found


def three(x, w, bias, g, geometry):
    """The convolution and its two gradients."""
    *settings, groups = geometry
    return (
        depthwise.conv2d(loops(x.dtype), x, w, bias, *settings),
        depthwise.conv2d_input(loops(x.dtype), g, w, x.shape[2:], *settings, groups),
        depthwise.conv2d_weight(loops(x.dtype), g, x, w.shape[2:], *settings),
    )


def three_by_definition(x, w, bias, g, geometry):
    return (
        definition.conv2d(x, w, bias, *geometry),
        definition.conv2d_input(g, w, x.shape[2:], *geometry),
        definition.conv2d_weight(g, x, w.shape[2:], *geometry),
    )


@given(layers(), st.sampled_from([("float64", 1e-12), ("float32", 1e-4)]))
@settings(max_examples=200, deadline=None)
def test_agrees_with_the_definition(layer, precision):
    dtype, tolerance = precision
    *given, geometry = arrays(layer, dtype)
    found = three(*given, geometry)
    for a, b in zip(found, three_by_definition(*(a.astype(float) for a in given), geometry), strict=True):
        assert a.dtype == dtype and a.base is None
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + abs(b).max(initial=0)))


@given(layers(), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
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


@given(layers(), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_what_is_infinite_reaches_what_it_belongs_to_and_nothing_else(layer, seed):
    x, w, bias, g, geometry = arrays(layer)
    rng = np.random.default_rng(seed)
    for a in (x, g):
        if a.size:
            a.reshape(-1)[rng.integers(a.size)] = np.inf
    with np.errstate(invalid="ignore"):
        pairs = zip(three(x, w, bias, g, geometry), three_by_definition(x, w, bias, g, geometry), strict=True)
        for a, b in pairs:
            np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))


def test_which_convolutions_it_is_for(monkeypatch):
    least, single = depthwise.LEAST, np.dtype("float32")
    assert depthwise.compiled_loops(single, least, (8, 1, 3, 3), 8) is loops(single)
    assert depthwise.compiled_loops(single, least, (24, 1, 3, 3), 8) is loops(single)
    assert depthwise.compiled_loops(single, least - 1, (8, 1, 3, 3), 8) is None, "too small"
    assert depthwise.compiled_loops(single, least, (32, 1, 3, 3), 8) is None, "four filters for a channel"
    assert depthwise.compiled_loops(single, least, (8, 2, 3, 3), 4) is None, "two channels for a filter"
    assert depthwise.compiled_loops(np.dtype("float16"), least, (8, 1, 3, 3), 8) is None
    x, w, bias, g, geometry = arrays((2, 3, (9, 8), 6, (3, 2), (2, 1), ((1, 0), (0, 1)), (1, 1), 3), "float32")
    expected, ways = three(x, w, bias, g, geometry), []
    for name in ("conv2d", "conv2d_input", "conv2d_weight"):
        way = getattr(depthwise, name)
        monkeypatch.setattr(depthwise, name, lambda *a, way=way: ways.append(way.__name__) or way(*a))
    monkeypatch.setattr(depthwise, "LEAST", 0)
    found = (
        conv.conv2d(x, w, bias, *geometry),
        conv.conv2d_input(g, w, x.shape[2:], *geometry),
        conv.conv2d_weight(g, x, w.shape[2:], *geometry),
    )
    assert ways == ["conv2d", "conv2d_input", "conv2d_weight"]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_arrays_that_are_locked_strided_or_not_aligned_take_no_other_machine_code():
    *given, geometry = arrays((4, 6, (9, 8), 12, (3, 2), (1, 2), ((1, 0), (0, 1)), (1, 1), 6), "float32")
    expected, module = three(*given, geometry), loops("float32")
    functions = module.correlate, module.correlate_input, module.correlate_weight
    before = [len(f.signatures) for f in functions]

    def locked(a):
        a = a.copy()
        a.flags.writeable = False
        return a

    def shifted(a):
        view = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        view[...] = a
        return view

    for odd in (locked, shifted, np.asfortranarray, lambda a: a[::-1][::-1]):
        for a, b in zip(three(*map(odd, given), geometry), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert [len(f.signatures) for f in functions] == before
