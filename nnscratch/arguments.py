"""What functions ask of their settings and data, each question written once."""

import contextlib
import math
import reprlib

import numpy as np

#: Layers of one kind that a module may be asked for: of many more, making them alone takes minutes.
MOST_LAYERS = 10_000

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 80


def shown(value, most=80):
    """A value as an error shows it: on one line, shortened, without control characters, and of an array what it is.

    Examples
    --------
    >>> shown(10**9999), shown(np.zeros((2, 3))), len(shown("x" * 10**6))
    ('a whole number of 33216 bits', 'an array (2, 3) float64', 80)
    """
    if hasattr(value, "shape") and hasattr(value, "dtype") and getattr(value, "ndim", 1):
        return f"an array {tuple(value.shape)} {value.dtype}"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = " ".join(_brief.repr(value).split())
    except Exception:  # an object's own repr, or one that holds such a number
        text = f"a {type(value).__name__}"
    return named(text, most)


def named(text, most=120):
    """A name from a file, or another text, as an error shows it: shortened, and without control characters.

    Examples
    --------
    >>> named("layers.0" + chr(27) + "[31m"), len(named("x" * 10**6))
    ('layers.0?[31m', 120)
    """
    text = "".join(c if c.isprintable() else "?" for c in str(text)[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"


#: What NumPy says of arrays that no memory could hold.
TOO_LARGE = ("array is too big", "Maximum allowed dimension", "Maximum allowed size", "array dimension")


@contextlib.contextmanager
def in_memory(owner):
    """Within this block arrays that do not fit into memory are told by one sentence of the owner's.

    Raises
    ------
    MemoryError
        In their place.

    Examples
    --------
    >>> with in_memory("Linear"):
    ...     np.empty(2**62)
    Traceback (most recent call last):
    MemoryError: Linear: arrays of these sizes do not fit into memory (array is too big); pass smaller sizes
    """
    try:
        yield
    except (MemoryError, OverflowError, ValueError) as error:
        said = str(error)
        if isinstance(error, ValueError) and not any(words in said for words in TOO_LARGE):
            raise
        if said.startswith(f"{owner}: "):
            raise
        why = next((words for words in TOO_LARGE if words in said), named(said))
        raise MemoryError(
            f"{owner}: arrays of these sizes do not fit into memory ({why}); pass smaller sizes"
        ) from None


def several(faults, most=10):
    """Some faults as a list in an error, of which the first few stand for all.

    Examples
    --------
    >>> several(["a is missing", "b is missing", "c is missing"], most=2)
    'a is missing, b is missing and 1 more'
    """
    more = f" and {len(faults) - most} more" if len(faults) > most else ""
    return ", ".join(faults[:most]) + more


def count(owner, what, value, least=1, most=2**63 - 1):
    """A whole number of at least `least`, and at most `most`, as an int.

    Raises
    ------
    TypeError
        Where it is no whole number.
    ValueError
        Where it is too small or too large.

    Examples
    --------
    >>> count("Linear", "in_features", 3)
    3
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{owner}: {what} is {shown(value)}, expected a whole number of at least {least}; pass an int")
    if value < least:
        raise ValueError(
            f"{owner}: {what} is {shown(value)}, expected a whole number of at least {least}; pass a larger one"
        )
    if value > most:
        raise ValueError(f"{owner}: {what} is {shown(value)}, expected one of at most {most}; pass a smaller one")
    return int(value)


def number(owner, what, value, low=-math.inf, high=math.inf, ends="[]"):
    """A finite number from `low` to `high`, as a float; `ends` says which ends belong, as in [0, 1).

    Raises
    ------
    TypeError
        Where it is no number.
    ValueError
        Where it is nan, infinite or out of range.

    Examples
    --------
    >>> number("Dropout", "p", 0.5, 0, 1, "[)")
    0.5
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{owner}: {what} is {shown(value)}, expected a number; pass a float")
    if isinstance(value, int) and value.bit_length() > 1023:  # which is no float
        value = math.inf if value > 0 else -math.inf
    above = value >= low if ends[0] == "[" else value > low
    below = value <= high if ends[1] == "]" else value < high
    if not (above and below and math.isfinite(value)):
        wanted = "a finite number" + ("" if math.isinf(low) else f" in {ends[0]}{low:g}, {high:g}{ends[1]}")
        raise ValueError(f"{owner}: {what} is {value}, expected {wanted}; choose one there")
    return float(value)


def flat_shape(owner, shape, start):
    """A shape with the axes from `start` on made one.

    Raises
    ------
    TypeError, ValueError
        Where there is no axis `start`, or it is no whole number.

    Examples
    --------
    >>> flat_shape("flatten", (2, 3, 4), 1), flat_shape("flatten", (0, 3, 4), 1)
    ((2, 12), (0, 12))
    """
    start = count(owner, "start_axis", start, -len(shape))
    start += len(shape) if start < 0 else 0
    if start and len(shape) <= start:
        raise ValueError(f"{owner}: x has shape {shape}, expected an axis {start} to start at; lower start_axis")
    # The product rather than -1, which NumPy cannot resolve for an empty batch.
    return (*shape[:start], math.prod(shape[start:]))


def is_basic(index):
    """Whether an index is made of whole numbers, slices, new axes and an ellipsis alone: no array, no list.

    Examples
    --------
    >>> is_basic((0, slice(None), None)), is_basic([0])
    (True, False)
    """
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, slice | int) for p in parts)


def floating(owner, dtype):
    """A floating-point dtype.

    Raises
    ------
    TypeError
        Where it is none.

    Examples
    --------
    >>> floating("Linear", "float32")
    dtype('float32')
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if dtype is None or found is None or found.kind != "f" or found.itemsize > 8:
        raise TypeError(
            f"{owner}: dtype is {shown(dtype)}, expected a floating-point type; pass 'float16', 'float32' or 'float64'"
        )
    return found


def one_of(owner, what, value, known):
    """A word, one of those known.

    Raises
    ------
    ValueError
        Where it is none of them.

    Examples
    --------
    >>> one_of("interpolate", "mode", "nearest", ("nearest", "linear"))
    'nearest'
    """
    if not isinstance(value, str) or value not in known:
        words = [repr(word) for word in known]
        raise ValueError(
            f"{owner}: {what} is {shown(value)}, expected {', '.join(words[:-1])} or {words[-1]}; pass one of them"
        )
    return value


def flag(owner, what, value):
    """True or False.

    Raises
    ------
    TypeError
        Where it is neither.

    Examples
    --------
    >>> flag("Linear", "bias", True)
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: {what} is {shown(value)}, expected True or False; pass one of them")
    return bool(value)


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
    elif hasattr(value, "__cuda_array_interface__"):  # an array of CuPy's, which NumPy does not take by itself
        value = value.get()
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{what} is a nested list whose rows differ in length; pass rows of one length") from None
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
        raise ValueError(f"{what} has shape {array.shape}, wants at least one sample along axis 0; pass a full array")
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
            raise ValueError(f"{what} holds {lowest}, wants labels from 0 up; number the classes 0, 1, 2, ...")
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
        raise ValueError(f"{what} has shape {labels.shape}, wants labels of shape (N,) with N >= 1; reshape them")
    return labels


def check_finite(what, array):
    """Raise ValueError if a floating ``array`` holds nan or an infinity.

    Examples
    --------
    >>> check_finite("Standardize: x", np.array([1.0, 2.0]))
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{what} holds {array[where]} at index {where}, wants finite numbers; clean the data first")


def check_lengths(operation, arrays):
    """Raise ValueError unless all arrays have as many samples along axis 0 as the first.

    Examples
    --------
    >>> check_lengths("split", [np.zeros(3), np.zeros((3, 2))])
    """
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"{operation}: the arrays have {lengths} samples along axis 0; pass arrays of one length")
