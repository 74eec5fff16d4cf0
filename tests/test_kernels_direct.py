"""The compiled convolution against its definition, at many shapes, strides and dtypes."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import compiled, threads
from nnscratch.kernels.conv import cpu as conv
from nnscratch.kernels.conv import definition, direct

from tests.test_kernels_conv import arrays


@st.composite
def layers(draw):
    """(N, C, size, O, kernel, stride, padding, dilation, groups) with at least one window, larger than a tile or not."""
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    edge = st.tuples(st.integers(0, 4), st.integers(0, 4))
    padding = draw(st.tuples(edge, edge))
    least = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(n + draw(st.integers(0, 30)) for n in least)
    groups = draw(st.integers(1, 2))
    channels, filters = draw(st.integers(1, 5)), draw(st.integers(1, 14))
    images = draw(st.integers(0, 11))
    return images, groups * channels, size, groups * filters, kernel, stride, padding, dilation, groups


def compiled_vectors(dtype):
    found = compiled.module_for("conv.vectors", np.dtype(dtype))
    assert found is not None, "numba is not installed"
    return found


def three(x, w, bias, g, geometry):
    """The convolution and its two gradients."""
    vectors = compiled_vectors(x.dtype)
    return (
        direct.conv2d(vectors, x, w, bias, *geometry),
        direct.conv2d_input(vectors, g, w, x.shape[2:], *geometry),
        direct.conv2d_weight(vectors, g, x, w.shape[2:], *geometry),
    )


@given(
    layers(),
    st.sampled_from([("float64", 1e-12), ("float32", 2e-4)]),
    st.sampled_from([7, 1024]),
    st.sampled_from([1, 1000, 1 << 18]),
)
@settings(max_examples=150, deadline=None)
def test_agrees_with_the_definition(layer, precision, strip, cells):
    dtype, tolerance = precision
    x, w, bias, g, geometry = arrays(layer, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "STRIP", strip)
        patch.setattr(direct, "CELLS", cells)
        found = three(x, w, bias, g, geometry)
    wide = [a.astype(np.float64) for a in (x, w, bias, g)]
    expected = (
        definition.conv2d(*wide[:3], *geometry),
        definition.conv2d_input(wide[3], wide[1], x.shape[2:], *geometry),
        definition.conv2d_weight(wide[3], wide[0], w.shape[2:], *geometry),
    )
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + abs(b).max(initial=0)))


@given(layers(), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_threads_change_no_bit(layer, count):
    x, w, bias, g, geometry = arrays(layer, "float32")
    alone = three(x, w, bias, g, geometry)
    threads.forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "count", lambda: count)
        patch.setattr(threads, "LEAST", 1)
        together = three(x, w, bias, g, geometry)
    threads.forget()
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_which_convolutions_it_is_for():
    single = np.dtype("float32")
    assert direct.compiled_vectors(1 << 20, (11, 11), single) is compiled_vectors("float32")
    assert direct.compiled_vectors((1 << 20) - 1, (11, 11), single) is None, "too little work"
    assert direct.compiled_vectors(1 << 30, (3, 5), single) is None, "too few windows"
    assert direct.compiled_vectors(1 << 30, (30, 30), np.dtype("float16")) is None


@pytest.mark.parametrize("least", [1 << 10, 1 << 60])
def test_both_ways_agree(least, monkeypatch):
    x, w, bias, g, geometry = arrays((8, 8, (12, 13), 16, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1), "float32")
    expected, ways = three(x, w, bias, g, geometry), []
    for name in ("conv2d", "conv2d_input", "conv2d_weight"):
        way = getattr(direct, name)
        monkeypatch.setattr(direct, name, lambda *a, way=way: ways.append(way.__name__) or way(*a))
    monkeypatch.setattr(direct, "LEAST", least)
    found = (
        conv.conv2d(x, w, bias, *geometry),
        conv.conv2d_input(g, w, x.shape[2:], *geometry),
        conv.conv2d_weight(g, x, w.shape[2:], *geometry),
    )
    assert ways == (["conv2d", "conv2d_input", "conv2d_weight"] if least < 1 << 60 else [])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_an_image_of_infinities_stays_where_it_is():
    x, w, bias, _, geometry = arrays((2, 3, (20, 20), 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1))
    x[0, 1, 5, 19] = np.inf
    y = direct.conv2d(compiled_vectors("float64"), x, w, bias, *geometry)
    reached = np.zeros(y.shape, bool)
    reached[0, :, 4:7, 18:20] = True
    np.testing.assert_array_equal(~np.isfinite(y), reached)


def test_work_is_divided(monkeypatch):
    calls = []
    monkeypatch.setattr(threads, "count", lambda: 3)
    threads.forget()
    threads.split(10, 2 * threads.LEAST, lambda *part: calls.append(part))
    assert sorted(calls) == [(0, 5), (5, 10)]
    with pytest.raises(ZeroDivisionError):
        threads.split(10, 3 * threads.LEAST, lambda begin, end: 1 // begin)
    threads.forget()
    for variable, value, expected in [("NNSCRATCH_THREADS", "3", 3), ("OMP_NUM_THREADS", "2,1", 2)]:
        monkeypatch.undo()
        monkeypatch.setenv(variable, value)
        threads.count.cache_clear()
        assert threads.count() == expected
    for wrong in ("two", "0", "-1"):
        monkeypatch.setenv("NNSCRATCH_THREADS", wrong)
        threads.count.cache_clear()
        with pytest.raises(ValueError, match=f"NNSCRATCH_THREADS is '{wrong}', expected a whole number from 1 to 1024"):
            threads.count()
    monkeypatch.undo()
    threads.count.cache_clear()


@pytest.mark.parametrize("module", [direct, threads])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def test_arrays_that_are_locked_strided_or_not_aligned_take_no_other_machine_code():
    layer = (4, 6, (9, 8), 10, (3, 2), (1, 1), ((1, 0), (0, 1)), (1, 1), 2)
    *given, geometry = arrays(layer, "float32")
    expected = three(*given, geometry)
    vectors = compiled_vectors("float32")
    before = [len(f.signatures) for f in (vectors.correlate, vectors.correlate_weight)]

    def shifted(a):
        memory = np.zeros(a.nbytes + 1, np.uint8)[1:]
        view = memory.view(a.dtype).reshape(a.shape)
        view[...] = a
        return view

    def locked(a):
        a = a.copy()
        a.flags.writeable = False
        return a

    for odd in (shifted, locked, np.asfortranarray):
        for a, b in zip(three(*map(odd, given), geometry), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert [len(f.signatures) for f in (vectors.correlate, vectors.correlate_weight)] == before


def test_work_within_a_part_is_not_divided_again(monkeypatch):
    monkeypatch.setattr(threads, "count", lambda: 2)
    threads.forget()
    calls = []

    def run(begin, end):
        threads.split(8, 8 * threads.LEAST, lambda *part: calls.append((begin, *part)))

    threads.split(2, 2 * threads.LEAST, run)
    assert sorted(calls) == [(0, 0, 8), (1, 0, 8)]
    threads.split(2, 2 * threads.LEAST, lambda *part: calls.append(part))
    assert sorted(calls[2:]) == [(0, 1), (1, 2)]
    threads.forget()


@pytest.mark.parametrize("layer", [(6, 2, (9, 8), 5), (5, 6, (5, 5), 3)])
def test_a_gradient_by_columns_is_divided_among_threads(layer, monkeypatch):
    images, channels, size, filters = layer
    _, w, _, g, geometry = arrays((images, channels, size, filters, (3, 3), (1, 1), ((1, 1), (0, 1)), (1, 1), 1))
    monkeypatch.setattr(direct, "LEAST", 1 << 60)
    alone = conv.conv2d_input(g, w, size, *geometry)
    threads.forget()
    monkeypatch.setattr(threads, "count", lambda: 3)
    monkeypatch.setattr(threads, "LEAST", 1)
    np.testing.assert_array_equal(conv.conv2d_input(g, w, size, *geometry), alone)
    threads.forget()
