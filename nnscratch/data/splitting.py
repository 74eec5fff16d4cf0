"""Splits of a data set: training, validation and test parts, and the folds of cross-validation."""

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_samples, check_lengths, label_vector
from nnscratch.backend import generator


def split(*arrays, test=0.2, validation=0.0, stratify=None, seed=0):
    """Split arrays at random into a training part, a validation part if asked for, and a test part.

    Parameters
    ----------
    *arrays : array_like
        Arrays with the same number of samples along axis 0, such as ``x, y``.
    test, validation : float
        The share of each part, in [0, 1); 0 leaves the part out. The rest is for training.
    stratify : array_like of int, shape (N,), optional
        Class labels: each class is then shared out alike, to within one sample in each part.
    seed : int, numpy.random.Generator or None
        Where the random order comes from; the same seed gives the same split.

    Returns
    -------
    tuple
        ``(training, validation, test)`` without the parts of share 0. Each part is a tuple of arrays, one for
        each of ``arrays``, or a single array if only one was given; all are copies.

    Raises
    ------
    TypeError
        If no arrays are given, they do not hold numbers, or the labels are not integers.
    ValueError
        If the lengths differ, a share is out of range, or there are too few samples for a part.

    Examples
    --------
    >>> x, y = np.arange(10), np.arange(10) % 2
    >>> (x_train, y_train), (x_test, y_test) = split(x, y, test=0.2, stratify=y)
    >>> len(x_train), len(x_test), int(y_test.sum())
    (8, 2, 1)
    >>> [len(part) for part in split(x, test=0.2, validation=0.1)]
    [7, 1, 2]
    """
    if not arrays:
        raise TypeError("split: got no arrays, wants at least one; call it as split(x, y)")
    data = [as_samples("split: an array", array) for array in arrays]
    check_lengths("split", data)
    test = arguments.number("split", "test", test, 0, 1)
    validation = arguments.number("split", "validation", validation, 0, 1)
    # Rounded, as 1 - 0.7 - 0.3 must be 0.
    training = round(1 - test - validation, 9)
    if training <= 0 or test + validation == 0:
        got = f"test={test:g} and validation={validation:g}"
        raise ValueError(f"split: got {got}, wants shares above 0 that leave some for training; choose others")
    shares = [share for share in (training, validation, test) if share > 0]
    if stratify is None:
        labels = np.zeros(len(data[0]), np.int64)
    else:
        if isinstance(stratify, (bool, np.bool_)):
            raise TypeError(f"split: stratify is {stratify}, wants the class labels; pass stratify=y")
        labels = label_vector("split: stratify", stratify)
        check_lengths("split", [data[0], labels])
    return tuple(
        tuple(array[part] for array in data) if len(data) > 1 else data[0][part]
        for part in _parts(labels, shares, stratify is not None, generator("split", seed))
    )


def _parts(labels, shares, stratified, random):
    """Deal each class's samples out to the parts; what rounding leaves goes where most is owed so far."""
    order = random.permutation(len(labels))
    dealt = [[] for _ in shares]
    owed = np.zeros(len(shares))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        if stratified and len(members) < len(shares):
            got = f"class {label} has {len(members)} sample(s) for {len(shares)} parts"
            raise ValueError(f"split: {got}, wants one for each; add samples or leave out stratify")
        # Rounded, as 0.7 * 10 must be 7 and not 6.999….
        due = np.round(np.array(shares) * len(members), 9)
        sizes = np.floor(due)
        owed += due - sizes
        # Only a part with a fraction due may get one more: so each share stays within one sample.
        candidates = np.where(due > sizes, owed, -np.inf)
        extra = np.argsort(-candidates, kind="stable")[: len(members) - int(sizes.sum())]
        sizes[extra] += 1
        owed[extra] -= 1
        for part, chosen in zip(dealt, np.split(members, np.cumsum(sizes)[:-1].astype(int)), strict=True):
            part.append(chosen)
    parts = [np.concatenate(part) for part in dealt]
    if min(len(part) for part in parts) == 0:
        sizes = [len(part) for part in parts]
        raise ValueError(f"split: {len(labels)} samples give parts of {sizes}, wants none empty; use larger shares")
    return [random.permutation(part) for part in parts] if stratified else parts


def k_fold(samples, k=5, shuffle=True, stratified=False, seed=0):
    """Make the folds of k-fold cross-validation (000 App. Q5): each sample is in the test part of one fold.

    Parameters
    ----------
    samples : int or array_like of int, shape (N,)
        The number of samples, or their class labels.
    k : int
        The number of folds, from 2 to the number of samples; their sizes differ by at most one.
    shuffle : bool
        Whether samples go to folds at random; otherwise they are dealt out in turn.
    stratified : bool
        Whether each class is shared out alike over the folds, to within one sample; needs labels.
    seed : int, numpy.random.Generator or None
        Where the random order comes from.

    Returns
    -------
    iterator of (numpy.ndarray, numpy.ndarray)
        Indices (int64, ascending) of the training and the test part of each fold.

    Raises
    ------
    TypeError
        If ``k`` is no whole number, or ``stratified`` is asked for without labels.
    ValueError
        If ``k`` is out of range, or a class has fewer than ``k`` samples.

    Examples
    --------
    >>> for train, test in k_fold(5, k=2, shuffle=False):
    ...     print(train, test)
    [1 3] [0 2 4]
    [0 2 4] [1 3]
    """
    labels = None
    if not isinstance(samples, list | tuple) and np.ndim(samples) == 0:
        count = arguments.count("k_fold", "the number of samples", samples, 2)
    else:
        labels = label_vector("k_fold: labels", samples)
        count = len(labels)
    k = arguments.count("k_fold", "k", k, 2)
    if k > count:
        raise ValueError(f"k_fold: k is {k} with {count} sample(s), wants a sample for each fold; use a smaller k")
    if stratified and labels is None:
        raise TypeError(f"k_fold: stratified=True got {samples} as a count, wants class labels; pass the labels")
    random = generator("k_fold", seed)
    with arguments.in_memory("k_fold"):
        order = random.permutation(count) if shuffle else np.arange(count)
    if stratified:
        classes, sizes = np.unique(labels, return_counts=True)
        if sizes.min() < k:
            got = f"class {classes[sizes.argmin()]} has {sizes.min()} sample(s) for {k} folds"
            raise ValueError(f"k_fold: {got}, wants one for each; use a smaller k or stratified=False")
        order = order[np.argsort(labels[order], kind="stable")]
    return ((np.sort(np.delete(order, np.s_[i::k])), np.sort(order[i::k])) for i in range(k))
