"""What every data function asks of its arguments, each question written once."""

import numpy as np


def as_array(what, value):
    """Return ``value`` (array, Tensor, list or number) as an ndarray of numbers.

    Parameters
    ----------
    what : str
        The operation and the argument, such as ``"split: x"``; it starts the error message.
    value : array_like
        Anything `numpy.asarray` takes, or an object with a ``numpy()`` method, such as a Tensor.

    Raises
    ------
    TypeError
        If the values are not numbers.
    ValueError
        If the rows of a nested list differ in length.

    Examples
    --------
    >>> as_array("split: x", [1, 2]).dtype.kind
    'i'
    """
    to_numpy = getattr(value, "numpy", None)
    if callable(to_numpy):
        value = to_numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{what} is a nested list whose rows differ in length; pass rows of one length"
        ) from None
    if array.dtype.kind not in "biuf":
        got = f"{type(value).__name__} of dtype {array.dtype}"
        raise TypeError(f"{what} is a {got}, wants an array of numbers; convert it with numpy.array first")
    return array


def as_data(what, value):
    """Return ``value`` as `as_array` does, Python's floats becoming float32 as in ``nnscratch.tensor``.

    Examples
    --------
    >>> as_data("split: x", [0.5, 2]).dtype
    dtype('float32')
    """
    array = as_array(what, value)
    if array.dtype == np.float64 and isinstance(value, (list, tuple, float)):
        array = array.astype(np.float32)
    return array


def as_samples(what, value):
    """Return ``value`` as `as_data` does, with at least one sample along axis 0.

    Examples
    --------
    >>> as_samples("split: x", [[1], [2]]).shape
    (2, 1)
    """
    array = as_data(what, value)
    if array.ndim == 0 or array.size == 0:
        raise ValueError(
            f"{what} has shape {array.shape}, wants at least one sample along axis 0; pass a full array"
        )
    return array


def as_labels(what, value, classes=None):
    """Return class labels as an int64 array, refusing all that is not in 0..classes-1.

    Raises
    ------
    TypeError
        If the labels are not integers (or booleans).
    ValueError
        If a label is negative, or not below ``classes``.

    Examples
    --------
    >>> as_labels("one_hot: labels", [0, 2], 3)
    array([0, 2])
    """
    array = as_array(what, value)
    if array.size and array.dtype.kind == "f":
        raise TypeError(f"{what} has dtype {array.dtype}, wants integer class labels; use labels.astype(int)")
    if array.size:
        lowest, highest, limit = int(array.min()), int(array.max()), 2**63 if classes is None else classes
        if lowest < 0:
            raise ValueError(
                f"{what} holds {lowest}, wants labels from 0 up; number the classes 0, 1, 2, ..."
            )
        if highest >= limit:
            raise ValueError(f"{what} holds {highest}, wants labels below {limit}; check labels and classes")
    return array.astype(np.int64)


def label_vector(what, value, classes=None):
    """Return class labels as `as_labels` does, as a vector (N,) with at least one label.

    Examples
    --------
    >>> label_vector("split: stratify", [0, 1])
    array([0, 1])
    """
    labels = as_labels(what, value, classes)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            f"{what} has shape {labels.shape}, wants labels of shape (N,) with N >= 1; reshape them"
        )
    return labels


def check_finite(what, array):
    """Raise ValueError if a floating ``array`` holds nan or an infinity.

    Examples
    --------
    >>> check_finite("Standardize: x", np.array([1.0, 2.0]))
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{what} holds {array[where]} at index {where}, wants finite numbers; clean the data first"
        )


def check_lengths(operation, arrays):
    """Raise ValueError unless all arrays have as many samples along axis 0 as the first.

    Examples
    --------
    >>> check_lengths("split", [np.zeros(3), np.zeros((3, 2))])
    """
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"{operation}: the arrays have {lengths} samples along axis 0; pass arrays of one length"
        )


def check_count(what, value, minimum=1):
    """Return ``value`` as an int that is at least ``minimum``.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is below ``minimum``.

    Examples
    --------
    >>> check_count("batches: batch_size", np.int64(8))
    8
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{what} is {value!r}, wants a whole number; pass an int")
    if value < minimum:
        raise ValueError(f"{what} is {value}, wants at least {minimum}; pass a larger number")
    return int(value)


def check_real(what, value, low, high):
    """Return ``value`` as a float in [low, high].

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is nan or outside the range.

    Examples
    --------
    >>> check_real("RandomFlip: p", 0.5, 0, 1)
    0.5
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{what} is {value!r}, wants a number from {low} to {high}; pass a float")
    if not low <= value <= high:
        raise ValueError(f"{what} is {value}, wants a number from {low} to {high}; choose one in that range")
    return float(value)


def generator(operation, seed):
    """Return a `numpy.random.Generator`: ``seed`` itself, or a new one; None is fresh entropy.

    Examples
    --------
    >>> int(generator("batches", 0).integers(100)) == int(generator("batches", 0).integers(100))
    True
    """
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(None if seed is None else check_count(f"{operation}: seed", seed, minimum=0))
