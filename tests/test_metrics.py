"""The metrics of F14, against scikit-learn, the definitions written out, and values by hand."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from nnscratch.metrics import (
    accuracy,
    auc,
    confusion_matrix,
    confusion_table,
    f1,
    precision,
    recall,
    roc_curve,
)


def pairs(high):
    """Two label lists of one length, labels from 0 to ``high``."""
    label = st.integers(0, high)
    return st.lists(st.tuples(label, label), min_size=1, max_size=30).map(lambda rows: np.array(rows).T)


# Few distinct scores, so that ties are common.
scored = (
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=2, max_size=30)
    .map(lambda rows: (np.array([s for s, _ in rows]) / 4, np.array([t for _, t in rows])))
    .filter(lambda pair: len(set(pair[1].tolist())) == 2)
)


class TensorLike:
    """What the metrics need of a Tensor."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def numpy(self):
        return self.array


@settings(deadline=None)
@given(pair=pairs(4), spare=st.integers(1, 2))
def test_agrees_with_scikit_learn(pair, spare):
    predicted, true = pair
    classes = pair.max() + 1
    assert accuracy(predicted, true) == sk.accuracy_score(true, predicted)
    labels = np.arange(classes + spare)
    matrix = confusion_matrix(predicted, true, classes + spare)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(true, predicted, labels=labels))
    np.testing.assert_array_equal(confusion_matrix(predicted, true), matrix[:classes, :classes])
    for ours, theirs in ((precision, sk.precision_score), (recall, sk.recall_score), (f1, sk.f1_score)):
        for average in ("macro", "micro"):
            expected = theirs(true, predicted, average=average, zero_division=0)
            assert ours(predicted, true, average, classes + spare) == pytest.approx(expected, rel=1e-14)
        expected = theirs(true, predicted, average=None, labels=labels, zero_division=0)
        np.testing.assert_allclose(ours(predicted, true, None, classes + spare), expected, rtol=1e-14)


@settings(deadline=None)
@given(pair=pairs(1))
def test_binary_agrees_with_scikit_learn(pair):
    predicted, true = pair
    for ours, theirs in ((precision, sk.precision_score), (recall, sk.recall_score), (f1, sk.f1_score)):
        expected = theirs(true, predicted, zero_division=0)
        assert ours(predicted, true) == pytest.approx(expected, rel=1e-14)
        assert ours(predicted == 1, true == 1) == ours(predicted, true)


@settings(deadline=None)
@given(pair=scored)
def test_roc_agrees_with_scikit_learn(pair):
    scores, target = pair
    for ours, theirs in zip(
        roc_curve(scores, target), sk.roc_curve(target, scores, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    assert auc(scores, target) == pytest.approx(sk.roc_auc_score(target, scores), rel=1e-13)


@settings(deadline=None)
@given(pair=scored)
def test_auc_is_mann_whitneys_share_of_pairs(pair):
    scores, target = pair
    wins = [(p > n) + (p == n) / 2 for p in scores[target == 1].tolist() for n in scores[target == 0].tolist()]
    assert auc(scores, target) == sum(wins) / len(wins)


def test_values_by_hand():
    # 3 hits, 1 false alarm, 2 misses, 4 rightly left.
    predicted = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    true = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(confusion_matrix(predicted, true), [[4, 1], [2, 3]])
    assert accuracy(predicted, true) == 0.7
    assert precision(predicted, true) == 0.75
    assert recall(predicted, true) == 0.6
    assert f1(predicted, true) == pytest.approx(2 / (1 / 0.75 + 1 / 0.6), rel=1e-15)
    assert precision(predicted, true, "micro") == recall(predicted, true, "micro") == 0.7
    assert recall(predicted, true, "macro") == pytest.approx((0.8 + 0.6) / 2, rel=1e-15)


def test_zero_divided_by_zero_is_zero():
    assert precision([0, 0], [0, 1]) == recall([0, 1], [0, 0]) == f1([0, 0], [0, 0]) == 0
    assert precision([0, 0], [0, 0], average=None, classes=3).tolist() == [1, 0, 0]
    # Class 1 does not occur, so the mean does not count it.
    assert f1([0, 2], [0, 2], average="macro") == 1


def test_perfect_reversed_and_constant_scores():
    target = [0, 0, 1, 1, 1]
    assert auc([1, 2, 3, 4, 5], target) == 1
    assert auc([5, 4, 3, 2, 1], target) == 0
    assert auc([7, 7, 7, 7, 7], target) == 0.5
    fpr, tpr, thresholds = roc_curve([7.0] * 5, target)
    assert fpr.tolist() == tpr.tolist() == [0, 1] and thresholds.tolist() == [np.inf, 7]
    assert auc([-1e308, 1e308], [0, 1]) == 1
    assert auc(np.array([0, 200, 255], np.uint8), [0, 1, 1]) == 1
    assert auc([False, True], [False, True]) == 1


@pytest.mark.parametrize(
    "prediction",
    [
        [1, 0, 1],
        [True, False, True],
        np.array([1, 0, 1], np.uint8),
        [0.9, 0.5, 0.6],
        [[0.9], [0.5], [0.6]],
        [[1], [0], [1]],
        [1.0, 0.0, 1.0],
        [[0.1, 0.9], [0.5, 0.5], [0.4, 0.6]],
        [[-3.0, 7.0], [2.0, 1.0], [-9.0, -8.0]],
    ],
)
@pytest.mark.parametrize("target", [[1, 0, 1], [1.0, 0.0, 1.0], [[1], [0], [1]], [True, False, True]])
@pytest.mark.parametrize("wrap", [np.array, TensorLike])
def test_every_kind_of_prediction_and_target(prediction, target, wrap):
    assert accuracy(wrap(prediction), wrap(target)) == 1
    assert accuracy(wrap(prediction), 1 - np.array(target, float)) == 0
    np.testing.assert_array_equal(confusion_matrix(prediction, wrap(target)), [[1, 0], [0, 2]])


def test_more_axes_and_one_hot_targets():
    scores = np.random.default_rng(0).normal(size=(4, 5, 3))
    best = scores.argmax(-1)
    assert accuracy(scores, best) == accuracy(best, best) == accuracy(scores, np.eye(3)[best]) == 1
    assert accuracy(scores, np.eye(3, dtype=int)[(best + 1) % 3]) == 0
    assert confusion_matrix(scores, best).shape == (3, 3)
    # Scores tell the number of classes, even where the last never occurs.
    assert confusion_matrix([[0.7, 0.2, 0.1]], [0]).shape == (3, 3)


def test_results_are_plain():
    assert type(accuracy([1], [1])) is type(f1([1], [1])) is type(auc([0, 1], [0, 1])) is float
    assert confusion_matrix([1], [1]).dtype == np.int64
    assert precision([0, 1], [0, 1], average=None).dtype == np.float64


def test_table_by_hand():
    expected = [
        "true \\ predicted       0       1  recall",
        "               0     980       .  100.0%",
        "               1      20       .    0.0%",
        "       precision   98.0%       -   98.0%",
    ]
    lines = confusion_table([[980, 0], [20, 0]]).split("\n")
    assert [line.split() for line in lines] == [line.split() for line in expected]
    assert len({len(line) for line in lines}) == 1
    assert confusion_table(confusion_matrix([0, 1], [0, 1], 3), "abc").split("\n")[3].split() == [
        "c",
        ".",
        ".",
        ".",
        "-",
    ]


Y = np.array([0, 1, 1])
S = np.array([0.2, 0.7, 0.6])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: accuracy([], []), ValueError, ["accuracy", "(0,)", "at least one"]),
        (lambda: accuracy([0, 1], Y), ValueError, ["accuracy", "(2,)", "(3,)"]),
        (lambda: accuracy(np.zeros((3, 2)), np.zeros((3, 4))), ValueError, ["(3, 2)", "(3, 4)"]),
        (lambda: accuracy(np.eye(3, dtype=int), Y), ValueError, ["(3, 3) (int64)", "(3,)"]),
        (lambda: accuracy([0.1, np.nan, 0.3], Y), ValueError, ["accuracy: prediction", "nan"]),
        (lambda: accuracy(Y, [0, np.nan, 1]), ValueError, ["accuracy: target", "nan"]),
        (lambda: accuracy([-2.0, 3.0, 0.5], Y), ValueError, ["-2 to 3", "sigmoid"]),
        (lambda: accuracy([0.0, 1.0, 2.0], Y), ValueError, ["0 to 2", "int"]),
        (lambda: accuracy(Y, [0, 0.5, 1]), ValueError, ["accuracy: target", "0.5"]),
        (lambda: accuracy(Y, [0, 1e300, 1]), ValueError, ["accuracy: target", "1e+300"]),
        (lambda: accuracy(Y, [0, -1, 1]), ValueError, ["accuracy: target", "-1"]),
        (lambda: accuracy([0, -1, 1], Y), ValueError, ["accuracy: prediction", "-1"]),
        (lambda: accuracy(["cat"], ["cat"]), TypeError, ["accuracy: prediction", "<U3"]),
        (lambda: accuracy(None, Y), TypeError, ["accuracy: prediction", "NoneType"]),
        (lambda: accuracy(np.eye(3), np.ones((3, 3))), ValueError, ["accuracy: target", "one-hot"]),
        (lambda: confusion_matrix([0, 3], [0, 1], classes=3), ValueError, ["prediction", "3"]),
        (lambda: confusion_matrix([0, 1], [0, 3], classes=3), ValueError, ["target", "3"]),
        (lambda: confusion_matrix(np.zeros((2, 3)), [0, 3]), ValueError, ["target", "3"]),
        (lambda: confusion_matrix(Y, Y, classes=0), ValueError, ["classes", "0"]),
        (lambda: confusion_matrix(Y, Y, classes="ten"), TypeError, ["classes", "'ten'"]),
        (lambda: confusion_matrix([10**12], [0]), ValueError, ["1000000000001 classes"]),
        (lambda: precision([0, 2], [0, 1]), ValueError, ["precision", "3 classes", "macro"]),
        (lambda: recall(Y, Y, average="weighted"), ValueError, ["recall", "'weighted'", "macro"]),
        (lambda: recall(Y, Y, average=["macro"]), ValueError, ["recall", "['macro']"]),
        (lambda: f1(Y, Y[:2]), ValueError, ["f1", "(3,)", "(2,)"]),
        (lambda: roc_curve(S, [1, 1, 1]), ValueError, ["roc_curve", "only class 1"]),
        (lambda: auc(S, [0, 0, 0]), ValueError, ["auc", "only class 0"]),
        (lambda: auc(S, [0, 1, 2]), ValueError, ["auc: target", "2"]),
        (lambda: auc(S, [-1, 1, 1]), ValueError, ["auc: target", "-1"]),
        (lambda: auc([0.1, np.nan, 0.2], Y), ValueError, ["auc: scores", "nan"]),
        (lambda: auc([0.1, np.inf, 0.2], Y), ValueError, ["auc: scores", "inf"]),
        (lambda: roc_curve(S, Y[:2]), ValueError, ["roc_curve", "(3,)", "(2,)"]),
        (lambda: roc_curve([], []), ValueError, ["roc_curve", "(0,)"]),
        (lambda: roc_curve(np.ones((3, 2)), Y), ValueError, ["roc_curve", "(3, 2)"]),
        (lambda: confusion_table([[1, 2]]), ValueError, ["confusion_table", "(1, 2)"]),
        (lambda: confusion_table([[0.5]]), TypeError, ["confusion_table", "float64"]),
        (lambda: confusion_table([[-1]]), ValueError, ["confusion_table", "-1"]),
        (lambda: confusion_table([[1]], ["a", "b"]), ValueError, ["confusion_table", "2 labels"]),
        (lambda: confusion_table([[1]], 7), TypeError, ["confusion_table", "7"]),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words) and "\n" not in message, message
    np.testing.assert_array_equal(Y, [0, 1, 1])
    np.testing.assert_array_equal(S, [0.2, 0.7, 0.6])
