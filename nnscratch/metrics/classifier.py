"""Measures of a classifier (F14): accuracy, confusion matrix, precision, recall, F1 score, ROC curve and AUC.

What a prediction may be, decided by its dtype and shape; N samples may also be of more axes, such as (N, T):

=====================  =========  ==================================================================
prediction             dtype      is read as
=====================  =========  ==================================================================
same shape as target   int, bool  class labels
(N, C), C >= 2         float      probabilities or logits of C classes: the largest wins, the first of equals
(N,) or (N, 1)         float      probability of class 1, in [0, 1]: above 0.5 is class 1, else class 0
=====================  =========  ==================================================================

A target is class labels 0, 1, 2, … of shape (N,) or (N, 1), integers or whole floats, or one-hot rows
(N, C) beside a prediction (N, C). Predictions and targets that both are one-hot in every row are taken for rows of classes also
where they are whole numbers. Tensors are taken as arrays are.
"""

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_array, as_labels, check_finite

# A confusion matrix of more classes than this is a sign of labels that are not 0, 1, 2, ….
MOST_CLASSES = 10_000


def accuracy(prediction, target):
    r"""Return the share of predictions that are right.

    .. math:: \text{accuracy} = \frac{\text{right predictions}}{\text{predictions}}

    Source: F14; 000 App. Q3, 001 §5, 002 App. 3, 003 §9.4, 004 §2.3.6.

    Parameters
    ----------
    prediction : array_like
        Class labels, scores of classes, or probabilities of class 1 (see the table above).
    target : array_like
        The true labels, or one-hot rows.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    TypeError
        If they do not hold numbers.
    ValueError
        If they are empty, their shapes do not go together, or they hold nan or no valid labels.

    Examples
    --------
    >>> accuracy([2, 0, 1, 1], [2, 0, 1, 0])
    0.75
    >>> accuracy([[0.2, 0.8], [0.9, 0.1]], [1, 1])
    0.5
    >>> accuracy([0.7, 0.2], [1, 0])
    1.0
    """
    predicted, true, _ = predicted_and_true("accuracy", prediction, target)
    return float(np.mean(predicted == true))


def confusion_matrix(prediction, target, classes=None):
    """Count samples by true class (row) and predicted class (column).

    Parameters
    ----------
    prediction, target : array_like
        As in `accuracy`.
    classes : int, optional
        The number of classes; if not given, the number of score columns, or the largest label plus one.

    Returns
    -------
    numpy.ndarray
        int64, shape (classes, classes); its sum is N and its diagonal are the right predictions.

    Raises
    ------
    TypeError, ValueError
        As in `accuracy`, or if a label is not below ``classes``.

    Examples
    --------
    >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2])
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    return confusion_matrix_of("confusion_matrix", prediction, target, classes)


def precision(prediction, target, average="binary", classes=None):
    r"""Return the share of the samples predicted as a class that are of it.

    .. math:: \text{precision} = \frac{TP}{TP + FP}

    with TP the samples rightly, FP those wrongly predicted as the class. Source: F14; 001 §5, 002 App. 3,
    004 §2.3.6.

    Parameters
    ----------
    prediction, target : array_like
        As in `accuracy`.
    average : {"binary", "macro", "micro", None}
        "binary": of class 1, where labels are 0 and 1; "macro": the mean over the classes that occur in
        prediction or target; "micro": of the counts summed over classes; None: each class by itself.
    classes : int, optional
        As in `confusion_matrix`.

    Returns
    -------
    float or numpy.ndarray
        From 0 to 1; for ``average=None`` float64, shape (classes,). Where the formula divides 0 by 0 it is 0.

    Raises
    ------
    TypeError, ValueError
        As in `confusion_matrix`, or for an unknown average, or "binary" with labels above 1.

    Examples
    --------
    >>> precision([1, 1, 1, 0], [1, 0, 1, 1])
    0.6666666666666666
    >>> precision([0, 2, 2, 2], [0, 1, 2, 2], average=None)
    array([1.        , 0.        , 0.66666667])
    """
    return share("precision", confusion_matrix_of("precision", prediction, target, classes), average)


def recall(prediction, target, average="binary", classes=None):
    r"""Return the share of the samples of a class that are predicted as it.

    .. math:: \text{recall} = \frac{TP}{TP + FN}

    with FN the samples of the class that are predicted as another. Source: F14; 000 App. Q3, 001 §5,
    002 App. 3, 003 §9.4, 004 §2.3.6. Parameters, result and errors are those of `precision`.

    Examples
    --------
    >>> recall([1, 1, 1, 0], [1, 0, 1, 1])
    0.6666666666666666
    >>> recall([0, 2, 2, 2], [0, 1, 2, 2], average="macro")
    0.6666666666666666
    """
    return share("recall", confusion_matrix_of("recall", prediction, target, classes), average)


def f1(prediction, target, average="binary", classes=None):
    r"""Return the harmonic mean of precision and recall.

    .. math:: F_1 = \frac{2}{1 / \text{precision} + 1 / \text{recall}} = \frac{2\,TP}{2\,TP + FP + FN}

    Source: F14; 000 App. Q3 (where precision is "accuracy"), 001 §5, 002 App. 3, 003 §9.4,
    004 §2.3.6. "macro" is the mean of the classes' F1 scores. Parameters, result, errors: those of `precision`.

    Examples
    --------
    >>> f1([1, 1, 1, 0], [1, 0, 1, 0])
    0.8
    """
    return share("f1", confusion_matrix_of("f1", prediction, target, classes), average)


def roc_curve(scores, target):
    r"""Return the true-positive rate over the false-positive rate, for every threshold on the scores.

    .. math:: \text{TPR} = \frac{TP}{TP + FN}, \qquad \text{FPR} = \frac{FP}{FP + TN}

    Source: F14; 000 App. Q3, 001 §5, 002 App. 3.

    Parameters
    ----------
    scores : array_like, shape (N,) or (N, 1)
        Scores of class 1: probabilities, logits, or any finite numbers that grow with it.
    target : array_like, shape (N,) or (N, 1)
        The true labels, 0 or 1; both must occur.

    Returns
    -------
    fpr, tpr, thresholds : numpy.ndarray
        A point for each distinct score, from (0, 0) to (1, 1); a sample counts as positive where its score
        is at least the threshold. Rates are float64; the first threshold is infinity, the others descend.

    Raises
    ------
    TypeError
        If they do not hold numbers.
    ValueError
        If they are empty, differ in length, hold nan or infinity, or the target does not hold both
        0 and 1 and nothing else.

    Examples
    --------
    >>> fpr, tpr, thresholds = roc_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> fpr, tpr
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    >>> thresholds
    array([ inf, 0.8 , 0.4 , 0.35, 0.1 ])
    """
    false_positives, true_positives, thresholds = _roc_counts("roc_curve", scores, target)
    return false_positives / false_positives[-1], true_positives / true_positives[-1], thresholds


def auc(scores, target):
    r"""Return the area under the ROC curve.

    It is the chance that a sample of class 1 scores above one of class 0, ties counting half (Mann-Whitney):

    .. math:: \text{AUC} = \frac{1}{PN} \sum_{t_i = 1} \sum_{t_j = 0} [s_i > s_j] + \frac{1}{2} [s_i = s_j]

    with P and N the numbers of samples of class 1 and 0. Source: F14; 000 App. Q3, 001 §5, 002 App. 3.
    Parameters and errors are those of `roc_curve`.

    Returns
    -------
    float
        From 0 to 1; 0.5 is chance.

    Examples
    --------
    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    false_positives, true_positives, _ = _roc_counts("auc", scores, target)
    # Trapezia in whole numbers: the sum is exact.
    twice = np.sum(np.diff(false_positives) * (true_positives[1:] + true_positives[:-1]))
    return float(twice / (2 * false_positives[-1] * true_positives[-1]))


def confusion_table(matrix, labels=None):
    """Draw a confusion matrix for the terminal, with recall beside each row and precision below each column.

    Parameters
    ----------
    matrix : array_like of int, shape (C, C)
        Counts, as `confusion_matrix` returns them.
    labels : sequence, optional
        The classes' names; 0, 1, 2, … if not given.

    Returns
    -------
    str
        The lines of the table; a count of 0 is a dot, and a share of no samples a dash.

    Raises
    ------
    TypeError
        If the counts are not integers.
    ValueError
        If the matrix is not square, holds a negative count, or the names are not as many as the classes.

    Examples
    --------
    >>> print(confusion_table([[8, 2], [0, 5]], ["cat", "dog"]))
    true \\ predicted     cat    dog  recall
                 cat       8      2   80.0%
                 dog       .      5  100.0%
           precision  100.0%  71.4%   86.7%
    """
    matrix = as_labels("confusion_table: matrix", matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        got = f"matrix has shape {matrix.shape}"
        raise ValueError(f"confusion_table: {got}, wants (C, C) with C >= 1; pass a result of confusion_matrix")
    if labels is not None and not hasattr(labels, "__iter__"):
        raise TypeError(f"confusion_table: labels is {labels!r}, wants the classes' names; pass a list")
    names = [str(label) for label in (range(len(matrix)) if labels is None else labels)]
    if len(names) != len(matrix):
        got = f"{len(names)} labels for {len(matrix)} classes"
        raise ValueError(f"confusion_table: {got}, wants one for each class; check labels")
    hits = matrix.diagonal()
    rows = [["true \\ predicted", *names, "recall"]]
    for name, row, hit in zip(names, matrix, hits, strict=True):
        rows.append([name, *(str(count) if count else "." for count in row), _percent(hit, row.sum())])
    precisions = [_percent(hit, total) for hit, total in zip(hits, matrix.sum(axis=0), strict=True)]
    rows.append(["precision", *precisions, _percent(hits.sum(), matrix.sum())])
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows)


def _percent(part, whole):
    return f"{part / whole:.1%}" if whole else "-"


def predicted_and_true(operation, prediction, target):
    """Return predicted and true labels as flat int64 arrays, and the number of classes if scores tell it."""
    prediction = as_array(f"{operation}: prediction", prediction)
    target = as_array(f"{operation}: target", target)
    if prediction.size == 0 or target.size == 0:
        got = f"prediction has shape {prediction.shape}, target {target.shape}"
        raise ValueError(f"{operation}: {got}, wants at least one sample; pass full arrays")
    check_finite(f"{operation}: prediction", prediction)
    check_finite(f"{operation}: target", target)
    shapes = f"prediction has shape {prediction.shape} ({prediction.dtype}), target {target.shape}"
    scores = prediction.ndim >= 2 and prediction.shape[-1] >= 2
    scores = scores and (prediction.dtype.kind == "f" or one_hot_both(prediction, target))
    if scores and target.shape == prediction.shape:
        if not (((target == 0) | (target == 1)).all() and (target.sum(axis=-1) == 1).all()):
            raise ValueError(
                f"{operation}: target of shape {target.shape} is not one-hot, wants a single 1 in each row"
            )
        target = target.argmax(axis=-1)
    classes = prediction.shape[-1] if scores else None
    if scores:
        prediction = prediction.argmax(axis=-1)
    elif prediction.ndim == 2 and prediction.shape[1] == 1:
        prediction = prediction[:, 0]
    if target.ndim == 2 and target.shape[1] == 1 and prediction.ndim == 1:
        target = target[:, 0]
    if prediction.shape != target.shape:
        raise ValueError(f"{operation}: {shapes}, wants (N, C) scores or (N,) labels beside (N,) targets; reshape them")
    return _predicted(operation, prediction), true_labels(operation, target), classes


def one_hot_both(prediction, target):
    """Whether whole numbers are one-hot rows, of prediction and target alike, rather than labels.

    Examples
    --------
    >>> one_hot_both(np.eye(3, dtype=int), np.eye(3, dtype=int)), one_hot_both(np.ones((2, 2), int), np.eye(2))
    (True, False)
    """
    if (
        prediction.dtype.kind == "f"
        or prediction.shape != target.shape
        or prediction.ndim < 2
        or prediction.shape[-1] < 2
    ):
        return False
    return all(((a == 0) | (a == 1)).all() and (a.sum(axis=-1) == 1).all() for a in (prediction, target))


def _predicted(operation, prediction):
    """Return labels, taking what is still floating as the probability of class 1."""
    if prediction.dtype.kind == "f":
        if prediction.min() < 0 or prediction.max() > 1:
            got = f"prediction holds {prediction.min():g} to {prediction.max():g} as probabilities of class 1"
            raise ValueError(f"{operation}: {got}, wants [0, 1]; apply a sigmoid to logits, or cast labels to int")
        prediction = prediction > 0.5
    return as_labels(f"{operation}: prediction", prediction).ravel()


def true_labels(operation, target):
    if target.dtype.kind == "f":
        whole = (target % 1 == 0) & (np.abs(target) < 2**53)
        if not whole.all():
            got = f"target holds {target[~whole][0]:g}"
            raise ValueError(f"{operation}: {got}, wants class labels 0, 1, 2, ...; pass whole numbers")
        target = target.astype(np.int64)
    return as_labels(f"{operation}: target", target).ravel()


def confusion_matrix_of(operation, prediction, target, classes):
    """`confusion_matrix` for an operation of that name, which errors begin with."""
    predicted, true, columns = predicted_and_true(operation, prediction, target)
    if classes is None:
        classes = columns or int(max(predicted.max(), true.max())) + 1
    classes = arguments.count(operation, "classes", classes)
    if classes > MOST_CLASSES:
        got = f"the labels make {classes} classes"
        raise ValueError(f"{operation}: {got}, wants at most {MOST_CLASSES}; number the classes 0, 1, 2, ...")
    as_labels(f"{operation}: prediction", predicted, classes)
    as_labels(f"{operation}: target", true, classes)
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def share(operation, matrix, average):
    """The precision, recall or f1 of a confusion matrix: of class 1, of the counts in all, or of each class."""
    check_average(operation, average)
    if average == "binary":
        if len(matrix) > 2:
            got = f'average="binary" got {len(matrix)} classes'
            raise ValueError(f'{operation}: {got}, wants labels 0 and 1; pass average="macro", "micro" or None')
        matrix = np.pad(matrix, (0, 2 - len(matrix)))
    counts = np.stack([matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)])
    if average == "micro":
        counts = counts.sum(axis=1)
    elif average == "binary":
        counts = counts[:, 1]
    hits, predicted, true = counts
    part, whole = {"precision": (hits, predicted), "recall": (hits, true), "f1": (2 * hits, predicted + true)}[
        operation
    ]
    shares = part / np.maximum(whole, 1)  # 0 for 0 / 0
    if average == "macro":
        shares = shares[predicted + true > 0].mean() if matrix.any() else 0.0
    return shares if average is None else float(shares)


def check_average(operation, average):
    """Refuse an average that is none."""
    if average not in ("binary", "macro", "micro", None):
        wanted = '"binary", "macro", "micro" or None'
        raise ValueError(f"{operation}: average is {average!r}, wants {wanted}; pass one of them")


def _roc_counts(operation, scores, target):
    """Return false and true positives at each threshold, as whole numbers, and the thresholds."""
    scores, target = as_array(f"{operation}: scores", scores), as_array(f"{operation}: target", target)
    scores, target = (a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for a in (scores, target))
    if scores.ndim != 1 or scores.shape != target.shape or scores.size == 0:
        got = f"scores have shape {scores.shape}, target {target.shape}"
        raise ValueError(f"{operation}: {got}, wants (N,) for both, N >= 1; pass the scores of class 1 alone")
    check_finite(f"{operation}: scores", scores)
    check_finite(f"{operation}: target", target)
    target = true_labels(operation, target)
    as_labels(f"{operation}: target", target, 2)
    if target.min() == target.max():
        raise ValueError(
            f"{operation}: target holds only class {target[0]}, wants both 0 and 1; add samples of the other"
        )
    order = np.argsort(scores, kind="stable")[::-1]
    scores, positive = scores[order], target[order]
    # Samples of equal score pass the threshold together.
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    true_positives = np.append(0, np.cumsum(positive)[last])
    false_positives = np.append(0, np.cumsum(1 - positive)[last])
    return false_positives, true_positives, np.append(np.inf, scores[last])
