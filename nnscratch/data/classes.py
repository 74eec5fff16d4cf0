"""Class labels: one-hot rows, and what to do where classes are unbalanced (000 App. Q5)."""

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_labels, as_samples, check_lengths, label_vector
from nnscratch.backend import generator


def one_hot(labels, classes, dtype=np.float32):
    """Turn class labels into rows with a 1 at the label and 0 elsewhere.

    Parameters
    ----------
    labels : array_like of int
        Labels in 0..classes-1, of any shape.
    classes : int
        The number of classes.
    dtype : dtype
        The result's dtype.

    Returns
    -------
    numpy.ndarray
        Shape ``labels.shape + (classes,)``.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If a label is out of range.

    Examples
    --------
    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    classes = arguments.count("one_hot", "classes", classes)
    labels = as_labels("one_hot: labels", labels, classes)
    try:
        with arguments.in_memory("one_hot"):
            result = np.zeros(labels.shape + (classes,), dtype)
    except TypeError:
        raise TypeError(f"one_hot: dtype is {dtype!r}, wants a NumPy dtype; pass numpy.float32") from None
    np.put_along_axis(result, labels[..., None], 1, axis=-1)
    return result


def class_weights(labels, classes=None):
    """Weigh classes so that each counts alike in a loss: weight of class c = N / (classes * count of c).

    The mean weight over the samples is 1. After King and Zeng, Logistic Regression in Rare Events Data, 2001.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        The training labels.
    classes : int, optional
        The number of classes; the largest label plus one if not given.

    Returns
    -------
    numpy.ndarray
        float32, shape (classes,).

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If there are no labels, one is out of range, or a class does not occur.

    Examples
    --------
    >>> class_weights([0, 0, 0, 1])
    array([0.6666667, 2.       ], dtype=float32)
    """
    if classes is not None:
        classes = arguments.count("class_weights", "classes", classes)
    labels = label_vector("class_weights: labels", labels, classes)
    if classes is None:
        classes = int(labels.max()) + 1
    present, counts = np.unique(labels, return_counts=True)
    if len(present) < classes:
        missing = next(c for c in range(classes) if c >= len(present) or present[c] != c)
        got = f"class {missing} of {classes} has no samples"
        raise ValueError(f"class_weights: {got}, wants at least one of each; add some or renumber the classes")
    return (len(labels) / (classes * counts)).astype(np.float32)


def oversample(x, y, seed=0):
    """Repeat samples at random until each class that occurs has as many as the largest.

    Parameters
    ----------
    x : array_like
        Samples along axis 0.
    y : array_like of int, shape (N,)
        Their class labels.
    seed : int, numpy.random.Generator or None
        Where the choice and the new order come from.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Samples and labels (int64) in random order: every old sample, and the repeated ones.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If there are no samples or the lengths differ.

    Examples
    --------
    >>> x, y = oversample([10, 11, 12, 13], [0, 0, 0, 1])
    >>> np.bincount(y), sorted(x.tolist())
    (array([3, 3]), [10, 11, 12, 13, 13, 13])
    """
    return _resample("oversample", x, y, seed)


def undersample(x, y, seed=0):
    """Leave out samples at random until each class that occurs has as few as the smallest.

    Parameters, result and errors are those of `oversample`; no sample is repeated.

    Examples
    --------
    >>> x, y = undersample([10, 11, 12, 13], [0, 0, 0, 1])
    >>> np.bincount(y)
    array([1, 1])
    """
    return _resample("undersample", x, y, seed)


def _resample(operation, x, y, seed):
    x = as_samples(f"{operation}: x", x)
    y = label_vector(f"{operation}: y", y)
    check_lengths(operation, [x, y])
    random = generator(operation, seed)
    members = [np.flatnonzero(y == label) for label in np.unique(y)]
    sizes = [len(indices) for indices in members]
    if operation == "oversample":
        chosen = [np.append(i, random.choice(i, max(sizes) - len(i))) for i in members]
    else:
        chosen = [random.choice(i, min(sizes), replace=False) for i in members]
    order = random.permutation(np.concatenate(chosen))
    return x[order], y[order]
