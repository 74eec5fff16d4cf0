"""Scalers beside exact fractions: no digit is lost that the data have, and what is constant but for rounding is constant."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnscratch.data import MinMax, Standardize

pytestmark = pytest.mark.cpu


def exact(scaler, column):
    """The scaled column by fractions, rounded once."""
    values = [Fraction(v.item()) for v in column]
    if scaler is MinMax:
        low, spread = min(values), max(values) - min(values)
    else:
        low = sum(values) / len(values)
        spread = Fraction(float(sum((v - low) ** 2 for v in values) / len(values)) ** 0.5)
    return np.array([float((v - low) / spread) for v in values])


@given(
    dtype=st.sampled_from([np.int64, np.int32, np.uint64, np.float64, np.float32]),
    base=st.sampled_from([0, 3, 1000, 10**7, 2**31 - 400]),
    steps=arrays(np.int64, 9, elements=st.integers(0, 300)),
    scaler=st.sampled_from([Standardize, MinMax]),
)
def test_scaled_values_are_exact_to_the_last_digits(dtype, base, steps, scaler):
    base = base * (2**31 if dtype in (np.int64, np.uint64) else 1)  # up to whole numbers that float64 cannot hold
    x = (np.uint64(base) + steps.astype(np.uint64)).astype(dtype)[:, None]
    if x.min() == x.max():
        assert not scaler().fit(x).transform(x).any()
        return
    z = scaler().fit(x).transform(x)[:, 0]
    eps = np.finfo(z.dtype).eps
    np.testing.assert_allclose(z, exact(scaler, x[:, 0]), rtol=4 * eps, atol=16 * np.finfo(np.float64).eps)


@given(
    dtype=st.sampled_from([np.float64, np.float32, np.float16]),
    value=st.floats(0.01, 100).filter(lambda v: v % 1),
    places=arrays(np.int64, (50, 1), elements=st.integers(-1, 1)),
    scaler=st.sampled_from([Standardize, MinMax]),
)
def test_what_is_constant_but_for_rounding_is_constant(dtype, value, places, scaler):
    value = dtype(value)
    places = np.maximum(places, 0) if dtype is np.float16 else places
    x = np.where(
        places > 0, np.nextafter(value, dtype(np.inf)), np.where(places < 0, np.nextafter(value, dtype(0)), value)
    )
    if (x % 1 == 0).all():
        return
    fitted = scaler().fit(x)
    assert fitted.scale.item() == 1
    assert np.abs(fitted.transform(x)).max() < 4 * np.finfo(dtype).eps * abs(float(value)) + np.finfo(dtype).tiny


@pytest.mark.parametrize(
    "x",
    [
        np.array([10_000_001, 10_000_002, 10_000_003], np.float32),
        np.array([2019, 2020, 2021], np.float16),
        np.array([2**60, 2**60 + 1, 2**60 + 2]),
        np.array([2**63 + 1, 2**63 + 2, 2**63 + 3], np.uint64),
        np.array([-(2**62), -(2**62) + 1, -(2**62) + 2]),
    ],
)
def test_whole_numbers_that_differ_are_not_constant(x):
    z = Standardize().fit(x[:, None]).transform(x[:, None]).ravel()
    np.testing.assert_allclose(z, np.array([-1, 0, 1]) * 1.5**0.5, rtol=1e-3 if x.dtype == np.float16 else 1e-6)
    np.testing.assert_array_equal(MinMax().fit(x[:, None]).transform(x[:, None]).ravel(), [0, 0.5, 1])


def test_float32_data_of_a_great_mean_keep_their_digits():
    x = (1e6 + np.arange(64) / 16).astype(np.float32)[:, None]
    np.testing.assert_allclose(Standardize().fit(x).transform(x)[:, 0], exact(Standardize, x[:, 0]), rtol=1e-6)


def test_integers_are_scaled_by_what_was_fitted_to_fractions():
    fitted = Standardize().fit(np.array([[0.5], [1.5], [3.25]]))
    x = np.array([[0], [1], [7]])
    np.testing.assert_allclose(fitted.transform(x), fitted.transform(x.astype(float)), rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, (0, 1), None])
def test_many_rows_are_scaled_as_few(axis, monkeypatch):
    x = np.random.default_rng(0).normal(5, 2, size=(37, 4)).astype(np.float32)
    whole = Standardize(axis).fit(x).transform(x)
    monkeypatch.setattr("nnscratch.data.scaling.BLOCK", 20)
    np.testing.assert_array_equal(Standardize(axis).fit(x).transform(x), whole)
    np.testing.assert_allclose(Standardize(axis).fit(x).inverse(whole), x, rtol=1e-6)
