"""Sequences of numbers as arrays: padded to one length, cut into windows, and beside themselves moved on by one."""

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_array

SIDES = ("pre", "post")


def pad_sequences(sequences, maxlen=None, dtype="int32", padding="pre", truncating="pre", value=0):
    """Sequences of different lengths as one array: what is short is padded, what is long is cut, both at the front by default.

    As Keras's function of that name, which the code of 000 §5.2 uses, but that nothing is rounded on the way.

    Parameters
    ----------
    sequences : sequence of array_like
        Each of shape (T,), or (T, ...) where all agree in the rest; T may be 0.
    maxlen : int, optional
        The length of the result; None for that of the longest.
    dtype : str or dtype
        Of the result.
    padding, truncating : str
        "pre" or "post": whether to pad, and to cut, at the front or at the end.
    value : number
        What to pad with.

    Returns
    -------
    numpy.ndarray
        (N, maxlen) or (N, maxlen, ...).

    Raises
    ------
    TypeError
        If a sequence holds no numbers, or fractions where `dtype` is a whole number's.
    ValueError
        If there are no sequences, they disagree in shape, a number does not fit `dtype`, or a setting is not such.

    Examples
    --------
    >>> pad_sequences([[1, 2, 3], [4], []], maxlen=2)
    array([[2, 3],
           [0, 4],
           [0, 0]], dtype=int32)
    """
    dtype = _numbers(dtype)
    for what, side in (("padding", padding), ("truncating", truncating)):
        if side not in SIDES:
            raise ValueError(f"pad_sequences: {what} is {side!r}, expected 'pre' or 'post'; pass one of them")
    if isinstance(sequences, str) or not hasattr(sequences, "__len__"):
        raise TypeError(
            f"pad_sequences: sequences is a {type(sequences).__name__}, expected a list of sequences; pass one"
        )
    if not len(sequences):
        raise ValueError("pad_sequences: there are no sequences, expected at least one; pass some")
    arrays = [as_sequence(f"pad_sequences: sequence {i}", s) for i, s in enumerate(sequences)]
    longest = max(map(len, arrays))
    length = longest if maxlen is None else arguments.count("pad_sequences", "maxlen", maxlen)
    first = next((array for array in arrays if len(array)), arrays[0])
    out = np.full((len(arrays), length, *first.shape[1:]), _fitting("value", np.asarray(value), dtype), dtype)
    for i, (row, array) in enumerate(zip(out, arrays, strict=True)):
        if not len(array):
            continue
        if array.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"pad_sequences: sequence {i} has elements of shape {array.shape[1:]}, others {first.shape[1:]}; give all one"
            )
        kept = array[-length:] if truncating == "pre" else array[:length]
        kept = _fitting(f"sequence {i}", kept, dtype)
        if padding == "pre":
            row[length - len(kept) :] = kept
        else:
            row[: len(kept)] = kept
    return out


def _numbers(dtype):
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "iuf":
        raise TypeError(f"pad_sequences: dtype is {dtype!r}, expected that of numbers; pass for example 'int32'")
    return found


def as_sequence(what, value):
    """A sequence as an array of at least one axis; `what` begins the errors."""
    array = as_array(what, value)
    if not array.ndim:
        raise ValueError(f"{what} is the number {array}, expected a sequence; pass a list of sequences")
    return array


def _fitting(what, array, dtype):
    """Numbers in a dtype that holds them."""
    if not array.size or array.dtype == dtype:
        return array
    if dtype.kind in "iu":
        if array.dtype.kind == "f":
            whole = np.isfinite(array).all() and (array == np.trunc(array)).all()
            if not whole:
                raise TypeError(
                    f"pad_sequences: {what} holds fractions, expected whole numbers for {dtype}; pass dtype='float32'"
                )
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        if array.min() < least or array.max() > most:
            raise ValueError(f"pad_sequences: {what} holds numbers beyond {dtype}; pass dtype='int64'")
    return array.astype(dtype)


def next_step(sequences):
    """Inputs and targets for predicting each next token: the target is the input moved on by one (E8).

    Parameters
    ----------
    sequences : array_like (N, T)
        Tokens, padded at the front as by `pad_sequences`, or not at all.

    Returns
    -------
    (x, y)
        Views (N, T - 1): all but the last tokens, and all but the first.

    Raises
    ------
    TypeError
        If they are no whole numbers.
    ValueError
        If they are no matrix, or shorter than 2.

    Examples
    --------
    >>> next_step([[0, 1, 2, 3]])
    (array([[0, 1, 2]]), array([[1, 2, 3]]))
    """
    array = _tokens("next_step", "sequences", sequences)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(
            f"next_step: sequences have shape {array.shape}, expected (N, T) with T of at least 2; pad them first"
        )
    return array[:, :-1], array[:, 1:]


def windows(tokens, length, step=None):
    """A running text cut into windows, and the same windows moved on by one: what follows each token (E8).

    Parameters
    ----------
    tokens : array_like (T,)
        Of whole numbers.
    length : int
        Of each window.
    step : int, optional
        From the beginning of one window to that of the next; by default `length`, so that they do not overlap.

    Returns
    -------
    (x, y)
        (N, length) each. What is left over at the end is left out.

    Raises
    ------
    TypeError
        If the tokens are no whole numbers.
    ValueError
        If there are too few for one window and the token after it.

    Examples
    --------
    >>> x, y = windows([1, 2, 3, 4, 5, 6], length=2)
    >>> x.tolist(), y.tolist()
    ([[1, 2], [3, 4]], [[2, 3], [4, 5]])
    """
    length = arguments.count("windows", "length", length)
    step = length if step is None else arguments.count("windows", "step", step)
    tokens = _running("windows", tokens, length + 1, f"for a window of {length} and what follows it")
    cut = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::step]
    return cut[:, :-1].copy(), cut[:, 1:].copy()


def streams(tokens, rows, length):
    """A running text cut for carrying states over: each row of a batch goes on where that row of the batch before ended.

    The text is parted into as many streams as there are rows, which are read side by side (truncated back-propagation through
    time: Williams & Peng, 1990).

    Parameters
    ----------
    tokens : array_like (T,)
        Of whole numbers.
    rows : int
        Of a batch.
    length : int
        How many tokens of each stream a batch has.

    Returns
    -------
    (x, y)
        (batches, rows, length) each, y the tokens that follow; ``zip(x, y)`` goes through the batches. What is left over at the
        end is left out.

    Raises
    ------
    TypeError
        If the tokens are no whole numbers.
    ValueError
        If there are too few for one batch.

    Examples
    --------
    >>> x, y = streams([1, 2, 3, 4, 5, 6, 7, 8, 9], rows=2, length=2)
    >>> x.tolist()
    [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    >>> y[1].tolist()
    [[4, 5], [8, 9]]
    """
    rows, length = arguments.count("streams", "rows", rows), arguments.count("streams", "length", length)
    tokens = _running(
        "streams", tokens, rows * length + 1, f"for a batch of {rows} rows of {length} and what follows it"
    )
    batches = (len(tokens) - 1) // (rows * length)

    def cut(tokens):
        parts = tokens[: batches * rows * length].reshape(rows, batches, length)
        return np.ascontiguousarray(parts.swapaxes(0, 1))

    return cut(tokens[:-1]), cut(tokens[1:])


def _tokens(operation, what, value):
    array = as_array(f"{operation}: {what}", value)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{operation}: {what} are of dtype {array.dtype}, expected whole numbers; pass a tokenizer's")
    return array


def _running(operation, value, least, purpose):
    array = _tokens(operation, "tokens", value)
    if array.ndim != 1:
        raise ValueError(
            f"{operation}: tokens have shape {array.shape}, expected a running text (T,); join the sequences"
        )
    if len(array) < least:
        raise ValueError(f"{operation}: there are {len(array)} tokens, expected at least {least} {purpose}; pass more")
    return array
