"""The elementary functions against 60-digit arithmetic, over all finite floats, in ulp."""

import doctest
import importlib
import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from mpmath import mpf
from nnscratch.kernels import compiled, double_double

from tests.topic import on_cpu

mpmath.mp.dps = 60
activation, softmax, loss = map(on_cpu, ("activation", "softmax", "loss"))
FLOATS = [np.float32, np.float64]
LIMIT = 4  # ulp


def ulp_error(computed, exact, dtype):
    """The distance from the true value in spacings of that value rounded to dtype; 0 where it overflows."""
    with np.errstate(over="ignore"):
        rounded = dtype(float(abs(exact)))
    if np.isinf(rounded):
        return 0.0
    if not np.isfinite(computed):
        return math.inf
    # np.spacing of the very largest number overflows; the one below it has the same spacing.
    spacing = np.spacing(min(rounded, np.nextafter(np.finfo(dtype).max, dtype(0))))
    return float(abs(mpf(float(computed)) - exact) / mpf(float(spacing)))


def exact(values):
    return [mpf(float(v)) for v in values]


def mp_softplus(x):
    return max(x, mpf(0)) + mpmath.log1p(mpmath.exp(-abs(x)))


def mp_sigmoid(x):
    e = mpmath.exp(-abs(x))
    return (1 if x >= 0 else e) / (1 + e)


def mp_erfc(x):
    return mpmath.erfc(x) if x < 1e4 else mpf(0)


ELEMENTWISE = {
    "sigmoid": mp_sigmoid,
    "tanh": lambda x: mpmath.sign(x) if abs(x) > 1e3 else mpmath.tanh(x),
    "softplus": mp_softplus,
    "erf": lambda x: mpmath.sign(x) if abs(x) > 1e4 else mpmath.erf(x),
    "erfc": mp_erfc,
}


def mp_shifted(row):
    """m, and the sum of exp(x - m) less 1, which is exact for however small a sum."""
    row = sorted(exact(row))
    return row[-1], mpmath.fsum(mpmath.exp(x - row[-1]) for x in row[:-1])


def mp_log_softmax(row):
    m, rest = mp_shifted(row)
    return [(x - m) - mpmath.log1p(rest) for x in exact(row)]


def mp_softmax(row):
    m, rest = mp_shifted(row)
    return [mpmath.exp(x - m) / (1 + rest) for x in exact(row)]


def mp_logsumexp(row):
    m, rest = mp_shifted(row)
    with mpmath.workdps(400):
        return m + mpmath.log1p(rest)


def mp_cross_entropy(z, q):
    return -mpmath.fsum(w * v for w, v in zip(exact(q), mp_log_softmax(z), strict=True))


def mp_binary(z, y):
    z, y = mpf(float(z)), mpf(float(y))
    return max(z, mpf(0)) - z * y + mpmath.log1p(mpmath.exp(-abs(z)))


def floats(dtype):
    """All finite floats of dtype, half of them of a size that matters to exponentials."""
    width = np.finfo(dtype).bits
    whole = st.floats(width=width, allow_nan=False, allow_infinity=False)
    return st.one_of(whole, st.floats(-128, 128, width=width)).map(dtype)


def extremes(dtype):
    info = np.finfo(dtype)
    sizes = [
        0,
        info.smallest_subnormal,
        info.tiny,
        info.eps,
        0.5,
        0.49999,
        1,
        2,
        5.9,
        18,
        26.5,
        27.3,
        37,
        88,
        104,
    ]
    sizes += [math.log(2), 708.3, 709.7, 744.5, 745.1, 746, 1e4, 1e30, info.max / 2, info.max]
    return np.array(sizes + [-v for v in sizes], dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, dtype):
    """On extremes, and on 400 points spread evenly over where the function does something."""
    x = np.concatenate([extremes(dtype), np.linspace(-40, 40, 400).astype(dtype)])
    worst = [
        ulp_error(c, ELEMENTWISE[name](v), dtype) for c, v in zip(getattr(activation, name)(x), exact(x), strict=True)
    ]
    assert max(worst) <= LIMIT, x[np.argmax(worst)]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_of_large_arrays(name):
    """The same points, as often as the compiled loops want them, and others for each place in a vector."""
    x = np.concatenate([extremes(np.float32), np.linspace(-40, 40, 401).astype(np.float32)])
    y = getattr(activation, name)(np.resize(x, compiled.LEAST + 1))
    first, second = y[: x.size], y[x.size : 2 * x.size]
    np.testing.assert_array_equal(first, second)
    worst = [ulp_error(c, ELEMENTWISE[name](v), np.float32) for c, v in zip(first, exact(x), strict=True)]
    assert max(worst) <= LIMIT, x[np.argmax(worst)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_anywhere(name, dtype):
    @given(floats(dtype))
    @settings(max_examples=100, deadline=None)
    def check(x):
        y = getattr(activation, name)(np.array([x]))
        assert ulp_error(y[0], ELEMENTWISE[name](mpf(float(x))), dtype) <= LIMIT

    check()


def rows(dtype):
    """Rows of up to 8 logits: of all sizes, close together, or log-probabilities that nearly sum to 1."""
    free = st.lists(floats(dtype), min_size=1, max_size=8)
    near = st.tuples(floats(dtype), st.lists(st.floats(-40, 40), min_size=1, max_size=8)).map(
        lambda pair: [
            dtype(np.clip(float(pair[0]) + v, *[float(np.finfo(dtype).max) * s for s in (-1, 1)])) for v in pair[1]
        ]
    )
    shares = st.lists(st.floats(1e-6, 1), min_size=1, max_size=8).map(
        lambda p: [dtype(v) for v in np.log(np.array(p) / sum(p))]
    )
    return st.one_of(free, near, shares).map(lambda row: np.array(row, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_anywhere(dtype):
    @given(rows(dtype))
    @settings(max_examples=300, deadline=None)
    @example(np.array([0, -20], dtype))
    @example(np.array([-math.log(2)] * 2, dtype))
    @example(np.array([-math.log(10)] * 10, dtype))
    @example(np.array([-1e-10, -23.0258509], dtype))
    @example(np.array([-1e-30, -69.07755278982137, -80], dtype))
    @example(np.array([-1e-300, -690.7755278982137], dtype))
    @example(np.array([0] + [-745.2] * 7, dtype))
    @example(np.array([0] + [-746] * 7, dtype))
    @example(np.array([700, -12.5, 0.1], dtype))
    @example(np.array([np.finfo(dtype).max, -np.finfo(dtype).max], dtype))
    def check(row):
        for computed, true in zip(softmax.softmax(row, 0), mp_softmax(row), strict=True):
            assert ulp_error(computed, true, dtype) <= LIMIT
        for computed, true in zip(softmax.log_softmax(row, 0), mp_log_softmax(row), strict=True):
            assert ulp_error(computed, true, dtype) <= LIMIT
        assert ulp_error(softmax.logsumexp(row, 0), mp_logsumexp(row), dtype) <= LIMIT
        true = mp_log_softmax(row)
        for hot in range(len(row)):
            q = np.zeros_like(row)
            q[hot] = 1
            assert ulp_error(loss.cross_entropy(row, q)[0], -true[hot], dtype) <= LIMIT

    check()


@pytest.mark.parametrize("dtype", FLOATS)
def test_soft_targets_anywhere(dtype):
    @given(rows(dtype), st.data())
    @settings(max_examples=200, deadline=None)
    def check(row, data):
        width = np.finfo(dtype).bits
        q = np.array([data.draw(st.floats(0, 1, width=width, allow_subnormal=False)) for _ in row], dtype)
        assert ulp_error(loss.cross_entropy(row, q)[0], mp_cross_entropy(row, q), dtype) <= LIMIT

    check()


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize("scale", [0, 1e-4, 1, 200])
def test_means_of_squares(dtype, scale):
    v = (scale * np.random.default_rng(0).standard_normal((9, 5))).astype(dtype)
    exact = float(np.mean(np.square(v.astype(np.float64))))
    computed = loss.mean_of_squares(v)
    assert computed.dtype == dtype and computed.shape == ()
    np.testing.assert_allclose(computed, exact, rtol=2 * np.finfo(dtype).eps, atol=np.finfo(dtype).smallest_subnormal)


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
def test_a_mean_of_squares_that_is_too_great_is_infinite_without_a_warning(dtype):
    great = np.full(3, np.finfo(dtype).max)
    with np.errstate(all="raise"):
        assert loss.mean_of_squares(great) == np.inf
        assert np.isnan(loss.mean_of_squares(np.array([1, np.nan], dtype)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_mean_of_cross_entropies_is_that_of_the_rows(dtype):
    rng = np.random.default_rng(0)
    z, q = rng.normal(0, 30, (50, 7)), rng.dirichlet(np.ones(7), 50)
    z[0], q[0] = [0, -20, -30, -40, -50, -60, -np.inf], [1, 0, 0, 0, 0, 0, 0]
    for rows in (slice(0, 1), slice(1, 50), slice(0, 50)):
        pair = z[rows].astype(dtype), q[rows].astype(dtype)
        wide = loss.cross_entropy(*(a.astype(np.float64) for a in pair))[0]
        computed = loss.cross_entropy(*pair, 3.0)[0]
        assert computed.dtype == dtype and computed.shape == ()
        np.testing.assert_allclose(computed, wide.sum() / 3, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_share_of_an_overflowing_loss_is_finite(dtype):
    largest = np.finfo(dtype).max
    z, q = np.array([largest, -largest, 0], dtype), np.array([0.5, 0.25, 0.25], dtype)
    assert ulp_error(loss.cross_entropy(z, q)[0], mp_cross_entropy(z, q), dtype) <= LIMIT


@pytest.mark.parametrize("dtype", FLOATS)
def test_binary_anywhere(dtype):
    @given(floats(dtype), st.floats(0, 1, width=np.finfo(dtype).bits).map(dtype))
    @settings(max_examples=300, deadline=None)
    @example(dtype(40), dtype(1))
    @example(dtype(-40), dtype(0))
    @example(dtype(np.finfo(dtype).max), dtype(0.25))
    def check(z, y):
        computed = loss.binary_cross_entropy_logits(np.array([z]), np.array([y]))[0]
        assert ulp_error(computed, mp_binary(z, y), dtype) <= LIMIT

    check()


@pytest.mark.parametrize("dtype", FLOATS)
def test_long_rows(dtype):
    x = np.random.default_rng(0).normal(0, 10, (3, 1000)).astype(dtype)
    for row, soft, log, total in zip(
        x, softmax.softmax(x, 1), softmax.log_softmax(x, 1), softmax.logsumexp(x, 1), strict=True
    ):
        assert ulp_error(total, mp_logsumexp(row), dtype) <= LIMIT
        assert max(map(lambda c, t: ulp_error(c, t, dtype), soft, mp_softmax(row))) <= LIMIT
        assert max(map(lambda c, t: ulp_error(c, t, dtype), log, mp_log_softmax(row))) <= LIMIT
    tiny = np.array([0] + [-745.2] * 999)
    assert ulp_error(softmax.log_softmax(tiny, 0)[0], mp_log_softmax(tiny)[0], np.float64) <= LIMIT


@pytest.mark.parametrize("dtype", FLOATS)
def test_normalised_rows_sum_to_nearly_one(dtype):
    """Long rows whose logsumexp is only the rounding errors of their elements."""
    x = softmax.log_softmax(np.random.default_rng(1).normal(0, 3, (6, 50)).astype(dtype), 1)
    for row, total in zip(x, softmax.logsumexp(x, 1), strict=True):
        assert ulp_error(total, mp_logsumexp(row), dtype) <= LIMIT


def test_sums_that_cancel_beyond_double_double():
    """Of many normalised rows those whose logsumexp is smallest: an error of 2**-113 would show."""
    x = np.log(np.random.default_rng(5).dirichlet([1, 1], 200_000))
    y = softmax.logsumexp(x, 1)
    smallest = np.argsort(np.abs(y))[:50]
    assert np.abs(y[smallest]).max() < 1e-19
    for row, total in zip(x[smallest], y[smallest], strict=True):
        assert ulp_error(total, mp_logsumexp(row), np.float64) <= 1


@given(st.lists(st.floats(-1e150, 1e150), max_size=20))
@settings(max_examples=200, deadline=None)
def test_sums_keep_their_digits(values):
    size = mpmath.fsum(exact(values), absolute=True)
    true = mpmath.fsum(exact(values))
    error = abs(mpf(float(loss.accurate_sum(np.array(values, float)))) - true)
    assert error <= abs(true) * mpf(2) ** -53 + size * len(values) ** 2 * mpf(2) ** -104


@pytest.mark.parametrize("dtype", FLOATS)
def test_means(dtype):
    @given(st.lists(floats(dtype).map(abs), min_size=1, max_size=20))
    @settings(max_examples=200, deadline=None)
    def check(values):
        true = mpmath.fsum(exact(values)) / len(values)
        computed = loss.mean_of_losses(np.array(values, dtype))
        assert computed.shape == () and computed.dtype == dtype
        assert ulp_error(computed, true, dtype) <= 2

    check()
    assert np.isnan(loss.mean_of_losses(np.zeros(0, dtype)))
    assert loss.mean_of_losses(np.array([1, np.inf], dtype)) == np.inf


def test_infinities_and_nan():
    inf, nan = np.inf, np.nan
    same = np.testing.assert_array_equal
    same(activation.sigmoid(np.array([-inf, inf, nan])), [0, 1, nan])
    same(activation.tanh(np.array([-inf, inf, nan])), [-1, 1, nan])
    same(activation.softplus(np.array([-inf, inf, nan])), [0, inf, nan])
    same(activation.erf(np.array([-inf, inf, nan])), [-1, 1, nan])
    same(activation.erfc(np.array([-inf, inf, nan])), [2, 0, nan])
    for dtype in (np.float16, np.float32, np.float64):
        row = np.array([0, -inf, 0], dtype)
        same(softmax.softmax(row, 0), [0.5, 0, 0.5])
        assert softmax.log_softmax(row, 0)[1] == -inf
        lines = np.array([[-inf, -inf], [inf, 0], [inf, -inf], [nan, 0], [0, -inf]], dtype)
        same(softmax.logsumexp(lines, 1), [-inf, inf, inf, nan, 0])
        same(loss.cross_entropy(row, np.array([1, 0, 0], dtype))[0], dtype(math.log(2)))
        same(loss.cross_entropy(row, np.array([0, 1, 0], dtype))[0], inf)
        for function in (softmax.softmax, softmax.log_softmax):
            assert np.isnan(function(np.array([nan, 1], dtype), 0)).all()
            assert np.isnan(function(np.array([nan], dtype), 0)).all()
        z, y = np.array([inf, -inf, inf, -inf], dtype), np.array([1, 0, 0, 1], dtype)
        same(loss.binary_cross_entropy_logits(z, y), [0, 0, inf, inf])


def test_empty():
    empty = np.zeros((3, 0), np.float32)
    np.testing.assert_array_equal(softmax.logsumexp(empty, 1), [-np.inf] * 3)
    assert softmax.logsumexp(empty, 0).shape == (0,)
    assert softmax.softmax(empty, 1).shape == softmax.log_softmax(empty, 0).shape == (3, 0)
    np.testing.assert_array_equal(loss.cross_entropy(empty, empty)[0], [0, 0, 0])
    assert activation.sigmoid(empty).shape == (3, 0)
    assert loss.accurate_sum(empty) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (2, 1), None])
def test_axes_strides_and_dtypes(dtype, axis):
    x = np.random.default_rng(0).normal(0, 3, (4, 5, 6)).astype(dtype)
    before, view = x.copy(), x[::-1, :, ::-2]
    wide = view.astype(np.longdouble)
    total = np.exp(wide).sum(axis=axis, keepdims=True)
    tolerance = {"rtol": 8 * float(np.finfo(dtype).eps), "atol": 8 * float(np.finfo(dtype).eps)}
    for computed, expected in (
        (softmax.softmax(view, axis), np.exp(wide) / total),
        (softmax.log_softmax(view, axis), wide - np.log(total)),
        (softmax.logsumexp(view, axis, keepdims=True), np.log(total)),
        (softmax.logsumexp(view, axis), np.log(total[..., :]).reshape(np.exp(wide).sum(axis=axis).shape)),
        (loss.accurate_sum(view, axis), wide.sum(axis=axis)),
    ):
        assert computed.dtype == dtype and computed.shape == expected.shape
        np.testing.assert_allclose(computed, expected.astype(np.float64), **tolerance)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_large_strided_scalar_and_half(name):
    function = getattr(activation, name)
    x = np.linspace(-9, 9, 60_000).astype(np.float32)
    np.testing.assert_array_equal(function(x.reshape(200, 300)[:, ::-2]), function(x).reshape(200, 300)[:, ::-2])
    half = x.astype(np.float16)
    np.testing.assert_array_equal(function(half), function(half.astype(np.float64)).astype(np.float16), strict=True)
    scalar = function(np.array(0.5, np.float32))
    assert scalar.shape == () and scalar.dtype == np.float32 and isinstance(scalar, np.ndarray)


@given(st.floats(-700, 700))
@settings(max_examples=200, deadline=None)
@example(-1e-300)
@example(2.0**-9)
def test_the_long_exponential(x):
    parts = double_double.exponential(np.array(x))
    true = mpmath.exp(mpf(x))
    assume(x > -500)
    assert abs(mpmath.fsum(exact(parts)) / true - 1) < mpf(2) ** -109
    if 1e-200 < abs(x) < 1e-3:
        with mpmath.workprec(2200):
            less_one = mpmath.fsum([*exact(parts), mpf(-1)])
        assert abs(less_one / mpmath.expm1(mpf(x)) - 1) < mpf(2) ** -100


@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100))
def test_error_free_arithmetic(a, b):
    total, error = double_double.two_sum(a, b)
    with mpmath.workprec(2200):
        assert mpf(a) + mpf(b) == mpf(total) + mpf(error)
    assume(0 in (a, b) or abs(a * b) > 1e-250)
    product, error = double_double.two_product(a, b)
    with mpmath.workprec(2200):
        assert mpf(a) * mpf(b) == mpf(product) + mpf(error)


@given(st.lists(st.floats(-1e300, 1e300), max_size=9))
def test_exact_sums_lose_nothing(values):
    total, errors = double_double.exact_sum(np.array(values, float))
    with mpmath.workprec(2200):
        assert mpmath.fsum(exact(values)) == mpmath.fsum(exact([total, *errors]))


DEFINITIONS = {
    "activation": (activation, ELEMENTWISE),
    "softmax": (softmax, ["softmax", "log_softmax", "logsumexp"]),
    "loss": (
        loss,
        ["cross_entropy", "binary_cross_entropy_logits", "accurate_sum", "mean_of_losses", "mean_of_squares"],
    ),
}


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize(
    ("topic", "name"), [(topic, name) for topic, (_, names) in DEFINITIONS.items() for name in names]
)
def test_the_fast_kernels_do_what_the_definitions_say(topic, name, dtype):
    rng = np.random.default_rng(0)
    fast, slow = (
        getattr(DEFINITIONS[topic][0], name),
        getattr(importlib.import_module(f"nnscratch.kernels.{topic}.definition"), name),
    )
    for shape in [(7, 5), (3, 20000), (1, 1)]:
        x = rng.normal(0, 4, shape).astype(dtype)
        rows = rng.dirichlet(np.ones(shape[1]), shape[0]).astype(dtype)
        more = {
            "cross_entropy": [
                (rows,),
                (rows, 3.0),
                (rng.integers(0, shape[1], shape[0]),),
                (rng.integers(0, shape[1], shape[0]), 3.0),
            ],
            "binary_cross_entropy_logits": [(rng.random(shape).astype(dtype),)],
        }.get(name, [(axis,) for axis in (-1, 0, None)] if topic == "softmax" else [()])
        for args in more:
            results = [f(x, *args) for f in (fast, slow)]
            for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in results), strict=True):
                assert a.dtype == b.dtype == dtype and a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)


@pytest.mark.parametrize(
    "name",
    [
        "double_double",
        "pieces",
        *(f"{topic}.{module}" for topic in ("activation", "softmax", "loss") for module in ("cpu", "definition")),
    ],
)
def test_examples_in_the_documentation(name):
    result = doctest.testmod(importlib.import_module(f"nnscratch.kernels.{name}"))
    assert result.failed == 0


@pytest.fixture
def compiled_rows(monkeypatch):
    monkeypatch.setattr(compiled, "LEAST", 0)
    assert compiled.module("softmax.loops", np.zeros(1, np.float32)) is not None, "numba is not installed"


@pytest.mark.usefixtures("compiled_rows")
def test_compiled_rows_and_columns_anywhere():
    @given(st.integers(1, 20), st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 10.0, 40.0, 1e4, 1e38]))
    @settings(max_examples=40, deadline=None)
    def check(n, seed, scale):
        rng = np.random.default_rng(seed)
        x = (rng.standard_normal((2, n)) * scale).clip(-3e38, 3e38).astype(np.float32)
        x[:, rng.integers(0, n)] = x[:, 0]  # ties
        columns = np.repeat(x.T[:, :, None], 9, axis=2).reshape(1, n, 18)
        for function, true in ((softmax.softmax, mp_softmax), (softmax.log_softmax, mp_log_softmax)):
            found = function(x, 1)
            for row, results in zip(x, found, strict=True):
                assert max(map(lambda c, t: ulp_error(c, t, np.float32), results, true(row))) <= LIMIT
            again = function(columns, 1).reshape(n, 2, 9).transpose(1, 2, 0)
            for row, results in zip(x, again, strict=True):
                assert (results == results[0]).all()
                assert max(map(lambda c, t: ulp_error(c, t, np.float32), results[0], true(row))) <= LIMIT
        labels = rng.integers(0, n, 2)
        losses, errors = loss.cross_entropy(x, labels)
        for row, label, found, error in zip(x, labels, losses, errors, strict=True):
            assert ulp_error(found, -mp_log_softmax(row)[label], np.float32) <= LIMIT
            shares = mp_softmax(row)
            shares[label] = -mpmath.fsum(s for i, s in enumerate(shares) if i != label)
            assert max(map(lambda c, t: ulp_error(c, t, np.float32), error, shares)) <= LIMIT

    check()


@pytest.mark.usefixtures("compiled_rows")
def test_compiled_losses_of_what_is_not_finite():
    z = np.zeros((4, 3), np.float32)
    z[0], z[1, 1], z[2, 2] = -np.inf, np.nan, -np.inf
    losses, errors = loss.cross_entropy(z, np.array([0, 0, 2, 1]))
    np.testing.assert_array_equal(losses, np.array([np.nan, np.nan, np.inf, np.log(3)], np.float32))
    np.testing.assert_allclose(errors[2:], [[0.5, 0.5, -1], [1 / 3, -2 / 3, 1 / 3]], rtol=1e-6)


@pytest.mark.usefixtures("compiled_rows")
def test_compiled_rows_are_the_definitions():
    test_infinities_and_nan()
    test_axes_strides_and_dtypes(np.float32, -1)
    test_axes_strides_and_dtypes(np.float32, 0)
    test_long_rows(np.float32)


@pytest.mark.parametrize("shape", [(3, 7), (5, 64), (2, 9, 18), (3, 5, 4)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.usefixtures("compiled_rows")
def test_compiled_gradients(name, shape):
    rng = np.random.default_rng(0)
    axis = 1
    x, g = rng.standard_normal((2, *shape)).astype(np.float32)
    y = getattr(softmax, name)(x, axis)
    wide, slope = y.astype(float), g.astype(float)
    if name == "softmax":
        expected = wide * (slope - (slope * wide).sum(axis, keepdims=True))
    else:
        expected = slope - np.exp(wide) * slope.sum(axis, keepdims=True)
    found = getattr(softmax, f"{name}_gradient")(g, y, axis)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
