"""What the layers ask of their settings, each question written once."""

import math

import numpy as np


def count(layer, what, value, least=1):
    """A whole number of at least `least`, as an int.

    Raises
    ------
    TypeError
        Where it is no whole number.
    ValueError
        Where it is too small.

    Examples
    --------
    >>> count("Linear", "in_features", 3)
    3
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"{layer}: {what} is {value!r}, expected a whole number of at least {least}; pass an int"
        )
    if value < least:
        raise ValueError(
            f"{layer}: {what} is {value}, expected a whole number of at least {least}; pass a larger one"
        )
    return int(value)


def number(layer, what, value, low=-math.inf, high=math.inf, ends="[]"):
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
        raise TypeError(f"{layer}: {what} is {value!r}, expected a number; pass a float")
    above = value >= low if ends[0] == "[" else value > low
    below = value <= high if ends[1] == "]" else value < high
    if not (above and below and math.isfinite(value)):
        wanted = (
            "a finite number" if math.isinf(low) else f"a finite number in {ends[0]}{low}, {high}{ends[1]}"
        )
        raise ValueError(f"{layer}: {what} is {value}, expected {wanted}; choose one there")
    return float(value)


def floating(layer, dtype):
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
            f"{layer}: dtype is {dtype!r}, expected a floating-point type; "
            f"pass 'float16', 'float32' or 'float64'"
        )
    return found


def flag(layer, what, value):
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
        raise TypeError(f"{layer}: {what} is {value!r}, expected True or False; pass one of them")
    return bool(value)
