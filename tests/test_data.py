"""Batches, splits, folds, scaling, one-hot rows, class weights and resampling."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.class_weight import compute_class_weight

from nnscratch.data import (
    MinMax,
    Standardize,
    batches,
    class_weights,
    k_fold,
    one_hot,
    oversample,
    split,
    undersample,
)

labels_strategy = st.lists(st.integers(0, 3), min_size=1, max_size=40)


class TensorLike:
    """What the data functions need of a Tensor."""

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


# --- batches


@settings(deadline=None)
@given(n=st.integers(1, 30), size=st.integers(1, 35), shuffle=st.booleans(), drop=st.booleans())
def test_batches_hold_each_sample_once(n, size, shuffle, drop):
    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    y = np.arange(n)
    if drop and size > n:
        with pytest.raises(ValueError, match="^batches: .*drop_last=True"):
            batches(x, y, size, shuffle, seed=0, drop_last=drop)
        return
    loader = batches(x, y, size, shuffle, seed=0, drop_last=drop)
    found = list(loader)
    assert len(found) == len(loader)
    assert all(len(xb) == len(yb) == size for xb, yb in found[: n // size])
    taken = np.concatenate([yb for _, yb in found])
    np.testing.assert_array_equal(np.concatenate([xb for xb, _ in found]), x[taken])
    assert len(set(taken.tolist())) == len(taken) == (n // size * size if drop else n)
    if not shuffle:
        np.testing.assert_array_equal(taken, np.arange(len(taken)))


def test_batches_shuffle_from_the_seed():
    def orders(seed):
        loader = batches(np.arange(50), batch_size=50, shuffle=True, seed=seed)
        return [next(iter(loader)).tolist() for _ in range(3)]

    first = orders(3)
    assert first == orders(3) == orders(np.random.default_rng(3)) != orders(4)
    assert first[0] != first[1] != first[2] != first[0]
    assert orders(None) != orders(None)


def test_batches_keep_structure_and_dtype():
    a, b, y = np.arange(4, dtype=np.uint8), np.arange(8.0).reshape(4, 2), np.arange(4)
    (xa, xb), yb = next(iter(batches((a, b), y, batch_size=3)))
    assert (xa.dtype, xb.dtype, yb.dtype) == (np.uint8, np.float64, np.int64)
    assert xa.shape == (3,) and xb.shape == (3, 2)
    assert len(next(iter(batches((a, b), (y, y))))) == 2
    assert isinstance(next(iter(batches((a,)))), tuple)
    assert np.shares_memory(next(iter(batches(a))), a)
    assert next(iter(batches([[0.5], [1]]))).dtype == np.float32
    assert next(iter(batches(TensorLike(b)))).dtype == np.float64


# --- splits and folds


@settings(deadline=None)
@given(
    labels=labels_strategy,
    test=st.floats(0.05, 0.5),
    validation=st.sampled_from([0.0, 0.1, 0.25, 0.4]),
    stratified=st.booleans(),
)
@example(labels=[0] * 3 + [1] * 6, test=0.25, validation=0.25, stratified=True)
def test_split_deals_every_sample_out_in_proportion(labels, test, validation, stratified):
    y = np.array(labels)
    places = np.arange(len(y))
    shares = [share for share in (1 - test - validation, validation, test) if share]
    try:
        parts = split(places, y, test=test, validation=validation, stratify=y if stratified else None)
    except ValueError as error:
        rarest = np.unique(y, return_counts=True)[1].min()
        few = rarest < len(shares) and "has" in str(error)
        assert (stratified and few) or "wants none empty" in str(error)
        return
    assert len(parts) == len(shares)
    assert sorted(np.concatenate([p for p, _ in parts]).tolist()) == places.tolist()
    for (part, part_labels), share in zip(parts, shares, strict=True):
        np.testing.assert_array_equal(part_labels, y[part])
        if stratified:
            for label in np.unique(y):
                assert abs((part_labels == label).sum() - share * (y == label).sum()) < 1
        else:
            assert abs(len(part) - share * len(y)) < 1


@pytest.mark.parametrize("n", [10, 100, 1000, 60000])
@pytest.mark.parametrize("test", [0.1, 0.2, 0.3, 0.7])
def test_split_sizes_are_exact_where_the_shares_are(n, test):
    train, held = split(np.arange(n), test=test)
    assert (len(train), len(held)) == (round(n * (1 - test)), round(n * test))


def test_split_is_random_and_repeatable():
    x = np.arange(1000)
    train, test = split(x)
    again, _ = split(x, seed=0)
    other, _ = split(x, seed=1)
    np.testing.assert_array_equal(train, again)
    assert not np.array_equal(train, other)
    # A fair draw of 200 from 0..999 has mean 499.5 with a deviation of 18.3.
    assert abs(test.mean() - 499.5) < 4 * 18.3
    _, stratified = split(x, stratify=x // 500)
    # The classes come mixed: 200 fair draws change class about 100 times, with a deviation of 7.
    assert abs(np.count_nonzero(np.diff(stratified // 500)) - 100) < 4 * 7


@settings(deadline=None)
@given(labels=labels_strategy, k=st.integers(2, 6), shuffle=st.booleans(), stratified=st.booleans())
def test_folds_are_disjoint_and_cover_all(labels, k, shuffle, stratified):
    y = np.array(labels)
    rarest = np.unique(y, return_counts=True)[1].min()
    if k > len(y) or (stratified and rarest < k):
        with pytest.raises(ValueError, match="^k_fold: .*use a smaller k"):
            k_fold(y, k, shuffle, stratified)
        return
    folds = list(k_fold(y, k, shuffle, stratified))
    assert len(folds) == k
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(len(y)))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    for train, test in folds:
        assert np.array_equal(np.union1d(train, test), np.arange(len(y))) and len(train) + len(test) == len(y)
        for label in np.unique(y) if stratified else ():
            assert abs((y[test] == label).sum() - (y == label).sum() / k) < 1


def test_folds_follow_the_seed():
    def folds(seed):
        return [test.tolist() for _, test in k_fold(20, seed=seed)]

    assert folds(0) == folds(0) != folds(1)
    assert [test.tolist() for _, test in k_fold(4, k=2, shuffle=False)] == [[0, 2], [1, 3]]


# --- scaling


@settings(deadline=None)
@given(
    x=arrays(np.float64, (7, 3), elements=st.integers(-(10**9), 10**9).map(lambda v: v / 1000)),
    scaler=st.sampled_from([Standardize, MinMax]),
    axis=st.sampled_from([0, 1, (0,), (0, 1), None]),
)
def test_scaling_follows_its_formula(x, scaler, axis):
    before = x.copy()
    fitted = scaler(axis).fit(x)
    low, high = x.min(axis, keepdims=True), x.max(axis, keepdims=True)
    if scaler is Standardize:
        offset, spread = x.mean(axis, keepdims=True), x.std(axis, keepdims=True)
    else:
        offset, spread = low, high - low
    expected = np.where(low == high, 0, (x - offset) / np.where(low == high, 1, spread))
    np.testing.assert_allclose(fitted.transform(x), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fitted.inverse(fitted.transform(x)), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(x, before)


def test_scaling_knows_the_training_data_only():
    train, test = np.array([[0.0], [2.0]]), np.array([[4.0]])
    np.testing.assert_array_equal(Standardize().fit(train).transform(test), [[3.0]])
    np.testing.assert_array_equal(MinMax().fit(train).transform(test), [[2.0]])


def test_scaling_images_by_channel():
    x = np.random.default_rng(0).normal(3, 2, (20, 2, 5, 6)).astype(np.float32)
    z = Standardize(axis=(0, 2, 3)).fit(x).transform(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(z.std((0, 2, 3)), 1, atol=1e-6)
    assert Standardize(axis=(0, 2, 3)).fit(x).transform(x[:1, :, :2]).shape == (1, 2, 2, 6)


@pytest.mark.parametrize("scaler", [Standardize, MinMax])
@pytest.mark.parametrize("value", [0.1, -7, 1e30])
def test_a_constant_feature_becomes_zero_and_comes_back(scaler, value):
    x = np.full((10, 1), value, np.float32)
    fitted = scaler().fit(x)
    assert fitted.scale.item() == 1
    np.testing.assert_array_equal(fitted.transform(x), np.zeros((10, 1)))
    np.testing.assert_array_equal(fitted.inverse(fitted.transform(x)), x)


def test_a_constant_feature_becomes_zero_even_where_its_mean_is_rounded():
    x = np.full((3, 1), 0.1)
    assert x.mean(axis=0) != 0.1
    assert not Standardize().fit(x).transform(x).any()


@pytest.mark.parametrize(("dtype", "result"), [("u1", "f4"), ("i8", "f4"), ("f2", "f2"), ("f4", "f4"), ("f8", "f8")])
def test_scaling_dtypes(dtype, result):
    x = np.array([[0, 10], [100, 30]]).astype(dtype)
    z = MinMax().fit(x).transform(x)
    np.testing.assert_array_equal(z, [[0, 0], [1, 1]])
    assert z.dtype == result


def test_scaling_one_feature_is_not_taken_for_many():
    with pytest.raises(ValueError, match=r"x has shape \(2, 3\), was fitted to \(any, 1\)"):
        Standardize().fit(np.array([[0.0], [1.0]])).transform(np.zeros((2, 3)))


def test_a_fit_in_float64_serves_float32():
    fitted = MinMax().fit(np.array([[0.0], [1e-50]]))
    np.testing.assert_array_equal(fitted.transform(np.zeros((1, 1), np.float32)), [[0]])


def test_a_failed_fit_changes_nothing():
    fitted = MinMax().fit(np.array([[0.0], [2.0]]))
    with pytest.raises(ValueError, match="nan"):
        fitted.fit(np.array([[np.nan]]))
    np.testing.assert_array_equal(fitted.transform(np.array([[1.0]])), [[0.5]])


# --- classes


def test_one_hot_by_hand():
    np.testing.assert_array_equal(one_hot([[1], [0]], 2), [[[0, 1]], [[1, 0]]])
    assert one_hot(np.array([], int), 3).shape == (0, 3)
    assert one_hot(np.uint8(2), 3, np.int64).tolist() == [0, 0, 1]


@given(labels=labels_strategy)
def test_class_weights_agree_with_scikit_learn(labels):
    y = np.unique(labels, return_inverse=True)[1]
    expected = compute_class_weight("balanced", classes=np.unique(y), y=y)
    weights = class_weights(y)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights.dtype == np.float32
    assert weights[y].mean() == pytest.approx(1, rel=1e-6)


@settings(deadline=None)
@given(labels=labels_strategy, seed=st.integers(0, 9))
def test_resampling_evens_the_classes_out(labels, seed):
    y = np.array(labels)
    x = np.arange(len(y))
    classes, counts = np.unique(y, return_counts=True)
    more_x, more_y = oversample(x, y, seed)
    np.testing.assert_array_equal(np.unique(more_y, return_counts=True), [classes, [counts.max()] * len(classes)])
    np.testing.assert_array_equal(more_y, y[more_x])
    assert set(more_x.tolist()) == set(x.tolist())
    fewer_x, fewer_y = undersample(x, y, seed)
    np.testing.assert_array_equal(np.unique(fewer_y, return_counts=True), [classes, [counts.min()] * len(classes)])
    np.testing.assert_array_equal(fewer_y, y[fewer_x])
    assert len(set(fewer_x.tolist())) == len(fewer_x)


@pytest.mark.parametrize("resample", [oversample, undersample])
def test_resampling_follows_the_seed(resample):
    y = np.repeat([0, 1], [30, 70])
    x = np.arange(100)
    np.testing.assert_array_equal(resample(x, y, 5), resample(x, y, np.random.default_rng(5)))
    assert not np.array_equal(resample(x, y, 5), resample(x, y, 6))


# --- bad inputs

X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 0, 0, 0, 1, 1])
NAN = np.array([[1.0], [np.nan]])
FITTED = Standardize().fit(X)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: batches(X, Y[:5]), ValueError, ["batches", "[6, 5]"]),
        (lambda: batches(np.zeros((0, 3))), ValueError, ["batches: x", "(0, 3)"]),
        (lambda: batches(np.float32(1)), ValueError, ["batches: x", "()"]),
        (lambda: batches(X, batch_size=0), ValueError, ["batch_size", "0", "at least 1"]),
        (lambda: batches(X, batch_size=2.5), TypeError, ["batch_size", "2.5"]),
        (lambda: batches(X, batch_size=True), TypeError, ["batch_size", "True"]),
        (lambda: batches(X, shuffle=True, seed="a"), TypeError, ["batches: seed", "'a'"]),
        (lambda: batches(X, shuffle=True, seed=-1), ValueError, ["batches: seed", "-1"]),
        (lambda: batches(()), ValueError, ["batches: x", "empty tuple"]),
        (lambda: batches([[1, 2], [3]]), ValueError, ["batches: x", "differ in length"]),
        (lambda: batches(np.array(["a", "b"])), TypeError, ["batches: x", "<U1"]),
        (lambda: batches([None]), TypeError, ["batches: x", "object"]),
        (lambda: split(), TypeError, ["split", "no arrays"]),
        (lambda: split(X, Y[:3]), ValueError, ["split", "[6, 3]"]),
        (lambda: split(X, test=0), ValueError, ["split", "test=0"]),
        (lambda: split(X, test=1.0), ValueError, ["split", "test=1"]),
        (lambda: split(X, test=-0.1), ValueError, ["split: test", "-0.1"]),
        (lambda: split(X, test=float("nan")), ValueError, ["split: test", "nan"]),
        (lambda: split(X, test=2), ValueError, ["split: test", "2"]),
        (lambda: split(X, test="half"), TypeError, ["split: test", "'half'"]),
        (lambda: split(X, test=0.6, validation=0.5), ValueError, ["test=0.6", "validation=0.5"]),
        (lambda: split(X, test=0.7, validation=0.3), ValueError, ["split", "training"]),
        (lambda: split(X[:1]), ValueError, ["split", "1 samples", "empty"]),
        (lambda: split(X, stratify=True), TypeError, ["split: stratify", "stratify=y"]),
        (lambda: split(X, stratify=Y[:4]), ValueError, ["split", "[6, 4]"]),
        (lambda: split(X, stratify=Y * 0.5), TypeError, ["split: stratify", "float64"]),
        (lambda: split(X, stratify=[0, 0, 0, 0, 0, 1]), ValueError, ["class 1", "1 sample"]),
        (lambda: k_fold(6, k=1), ValueError, ["k_fold: k", "1"]),
        (lambda: k_fold(6, k=7), ValueError, ["k_fold", "7", "6"]),
        (lambda: k_fold(1), ValueError, ["k_fold", "1"]),
        (lambda: k_fold(6.0), TypeError, ["k_fold", "6.0"]),
        (lambda: k_fold(6, k=2, stratified=True), TypeError, ["k_fold", "labels"]),
        (lambda: k_fold(Y, k=3, stratified=True), ValueError, ["class 1", "2 sample"]),
        (lambda: k_fold(X, k=3), TypeError, ["k_fold: labels", "float64"]),
        (lambda: Standardize().transform(X), ValueError, ["Standardize.transform", "fit first"]),
        (lambda: MinMax().inverse(X), ValueError, ["MinMax.inverse", "fit first"]),
        (lambda: Standardize().fit(NAN), ValueError, ["Standardize.fit: x", "nan", "(1, 0)"]),
        (lambda: MinMax().fit(np.array([[np.inf]])), ValueError, ["MinMax.fit: x", "inf"]),
        (lambda: FITTED.transform(np.array([[1.0, np.nan]])), ValueError, ["transform: x", "nan", "(0, 1)"]),
        (lambda: FITTED.transform(np.zeros((2, 3))), ValueError, ["(2, 3)", "(any, 2)"]),
        (lambda: FITTED.inverse(np.zeros(2)), ValueError, ["(2,)", "(any, 2)"]),
        (lambda: Standardize().fit(np.zeros((0, 2))), ValueError, ["Standardize.fit: x", "(0, 2)"]),
        (lambda: Standardize(axis=3).fit(X), ValueError, ["axis=3", "(6, 2)"]),
        (lambda: Standardize(axis=()), TypeError, ["axis", "()"]),
        (lambda: Standardize(axis="rows"), TypeError, ["axis", "'rows'"]),
        (lambda: MinMax().fit(np.array([[-1e308], [1e308]])), ValueError, ["spread", "float64"]),
        (lambda: Standardize().fit(X * 1e-200), ValueError, ["spread 0", "float64"]),
        (
            lambda: MinMax().fit(X * 1e-30).transform(np.full((1, 2), 3e38, "f4")),
            ValueError,
            ["float32", "inf"],
        ),
        (lambda: one_hot([0, 3], 3), ValueError, ["one_hot: labels", "3"]),
        (lambda: one_hot([0, -1], 3), ValueError, ["one_hot: labels", "-1"]),
        (lambda: one_hot([0.0, 1.0], 3), TypeError, ["one_hot: labels", "float64"]),
        (lambda: one_hot([0], 0), ValueError, ["one_hot: classes", "0"]),
        (lambda: one_hot([0], 2, "floaty"), TypeError, ["one_hot: dtype", "'floaty'"]),
        (lambda: one_hot(np.array([2**64 - 1], np.uint64), 3), ValueError, ["18446744073709551615"]),
        (lambda: class_weights([0, 2]), ValueError, ["class_weights", "class 1"]),
        (lambda: class_weights([0, 1], classes=3), ValueError, ["class_weights", "class 2"]),
        (lambda: class_weights([0, 5], classes=3), ValueError, ["class_weights", "5"]),
        (lambda: class_weights([-1, 0]), ValueError, ["class_weights", "-1"]),
        (lambda: class_weights([]), ValueError, ["class_weights", "(0,)"]),
        (lambda: class_weights([0.5]), TypeError, ["class_weights", "float64"]),
        (lambda: class_weights([[0], [1]]), ValueError, ["class_weights", "(2, 1)"]),
        (lambda: oversample(X, Y[:2]), ValueError, ["oversample", "[6, 2]"]),
        (lambda: undersample(X, Y * 1.0), TypeError, ["undersample: y", "float64"]),
        (lambda: oversample(X, Y, seed=1.5), TypeError, ["oversample: seed", "1.5"]),
    ],
)
def test_bad_input(call, error, words):
    x, y = X.copy(), Y.copy()
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    # No second traceback from deeper down.
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    np.testing.assert_array_equal(X, x)
    np.testing.assert_array_equal(Y, y)
