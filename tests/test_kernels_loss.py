"""Cross-entropy with labels against 60-digit arithmetic, and against the kernels for distributions."""

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mpmath import mpf
from nnscratch.kernels.loss import cpu as loss
from nnscratch.kernels.softmax import cpu as softmax

mpmath.mp.dps = 60
DTYPES = [np.float16, np.float32, np.float64]


def finite(dtype):
    return st.floats(width=np.finfo(dtype).bits, allow_nan=False, allow_infinity=False)


def exact(row, label):
    """The loss, and its gradient by each logit, without cancelling."""
    row = [mpf(float(z)) for z in row]
    largest = max(range(len(row)), key=row.__getitem__)
    e = [mpmath.exp(z - row[largest]) for z in row]
    rest = mpmath.fsum(e[:largest] + e[largest + 1 :])
    errors = [p / (1 + rest) for p in e]
    errors[label] = -mpmath.fsum(e[:label] + e[label + 1 :]) / (1 + rest)
    return row[largest] - row[label] + mpmath.log1p(rest), errors


def close(computed, true, dtype, floor=0.0):
    """Within 4 spacings of the true value; where it is subnormal, or less than `floor`, of those there."""
    with np.errstate(over="ignore"):
        rounded = dtype(float(max(abs(true), mpf(floor))))
    if np.isinf(rounded):
        return True
    spacing = np.spacing(min(rounded, np.nextafter(np.finfo(dtype).max, dtype(0))))
    return bool(np.isfinite(computed)) and abs(mpf(float(computed)) - true) <= 4 * mpf(float(spacing))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_row_anywhere(dtype):
    @given(st.lists(finite(dtype), min_size=1, max_size=6).map(lambda row: np.array(row, dtype)), st.data())
    @settings(max_examples=200, deadline=None)
    @example(np.array([0, -60000], dtype), None)
    @example(np.array([0, 60000, 59999], dtype), None)
    @example(np.array([30, -30], dtype), None)
    @example(np.array([np.finfo(dtype).max, -np.finfo(dtype).max], dtype), None)
    def check(row, data):
        chosen = [0, len(row) - 1] if data is None else [data.draw(st.integers(0, len(row) - 1))]
        for label in chosen:
            true, errors = exact(row, label)
            z, own = row[None], np.array([label])
            assert close(loss.cross_entropy(z, own)[0][0], true, dtype)
            for j, computed in enumerate(loss.cross_entropy(z, own)[1][0]):
                assert close(computed, errors[j], dtype, floor=1.0 if j == label else 0.0)

    check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7, 3), (2, 3, 4), (1, 1), (200, 100), (3, 40000)])
def test_rows_are_as_their_distributions_say(dtype, shape):
    rng = np.random.default_rng(0)
    z, own = rng.normal(0, 3, shape).astype(dtype), rng.integers(0, shape[-1], shape[:-1])
    q = (own[..., None] == np.arange(shape[-1])).astype(dtype)
    eps = np.finfo(dtype).eps
    losses = loss.cross_entropy(z, own)[0]
    assert losses.dtype == dtype
    np.testing.assert_allclose(losses, loss.cross_entropy(z, q)[0], rtol=4 * eps)
    mean = loss.cross_entropy(z, own, 5)[0]
    assert mean.dtype == dtype and mean.shape == ()
    np.testing.assert_allclose(mean, loss.cross_entropy(z, q, 5)[0], rtol=4 * eps)
    errors = loss.cross_entropy(z, own)[1]
    assert errors.dtype == dtype and errors.shape == shape
    np.testing.assert_allclose(errors, softmax.softmax(z, -1) - q, rtol=4 * eps, atol=eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_is_finite_where_the_sum_would_not_be(dtype):
    great = dtype(np.finfo(dtype).max / 2)
    z = np.array([[0, great]] * 4, dtype)
    assert loss.cross_entropy(z, np.zeros(4, int), 4)[0] == great
    assert loss.cross_entropy(z, np.array([0, 1, 1, 1]), 4)[0] == great / 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts(dtype):
    z = np.random.default_rng(0).normal(size=(5, 8)).astype(dtype)
    own = np.array([1, 0, 3, 2, 1])
    for other in (np.asfortranarray(z), np.repeat(z, 2, 1)[:, ::2]):
        np.testing.assert_array_equal(loss.cross_entropy(other, own)[0], loss.cross_entropy(z, own)[0])
        np.testing.assert_array_equal(loss.cross_entropy(other, own.astype(np.int32))[1], loss.cross_entropy(z, own)[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan(dtype):
    inf, nan = np.inf, np.nan
    z = np.array([[0, -inf, 0], [0, -inf, 0], [inf, 0, 0], [-inf, -inf, -inf], [nan, 0, 0], [0, nan, 0]], dtype)
    own = np.array([0, 1, 0, 0, 1, 1])
    with np.errstate(all="raise"):
        losses, errors = loss.cross_entropy(z, own)
        one_by_one = [loss.cross_entropy(z[i : i + 1], own[i : i + 1])[0][0] for i in range(len(z))]
    np.testing.assert_array_equal(losses, [dtype(np.log(2)), inf, nan, nan, nan, nan])
    np.testing.assert_array_equal(one_by_one, losses)
    np.testing.assert_array_equal(errors[:2], [[-0.5, 0, 0.5], [0.5, -1, 0.5]])
    assert np.isnan(errors[2, 0]) and np.isnan(errors[3:]).all()


def test_a_label_that_is_almost_certain_keeps_its_digits():
    """By softmax(z) - 1 the error would be 0."""
    z = np.array([[0, -20], [0, -80]], np.float32)
    small = np.exp([-20.0, -80.0]).astype(np.float32)
    np.testing.assert_allclose(loss.cross_entropy(z, np.array([0, 0]))[1][:, 0], -small, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_distribution_that_is_almost_certain_keeps_its_digits(dtype):
    z, q = np.array([[0, -9], [-12, 0]], dtype), np.eye(2, dtype=dtype)
    errors = loss.cross_entropy(z, q)[1]
    np.testing.assert_allclose(errors, loss.cross_entropy(z, np.array([0, 1]))[1], rtol=8 * np.finfo(dtype).eps)
    assert (errors[[0, 1], [0, 1]] < 0).all()
