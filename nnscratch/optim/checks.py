"""What optimisers and schedules ask of their settings, each question written once."""

import math

import numpy as np


def number(owner, what, value, low=0.0, high=math.inf, ends="[)"):
    """A finite number from `low` to `high`, as a float; `ends` says which ends belong, as in [0, 1).

    Raises
    ------
    TypeError
        Where it is no number.
    ValueError
        Where it is nan, infinite or out of range.

    Examples
    --------
    >>> number("SGD", "lr", 1)
    1.0
    """
    wanted = f"a finite number in {ends[0]}{low:g}, {high:g}{ends[1]}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{owner}: {what} is {value!r}, expected {wanted}; pass a float")
    above = value >= low if ends[0] == "[" else value > low
    below = value <= high if ends[1] == "]" else value < high
    if not (above and below):
        raise ValueError(f"{owner}: {what} is {value}, expected {wanted}; choose one there")
    return float(value)


def count(owner, what, value, least=1):
    """A whole number of at least `least`, as an int.

    Raises
    ------
    TypeError
        Where it is no whole number.
    ValueError
        Where it is too small.

    Examples
    --------
    >>> count("StepLR", "step_size", 10)
    10
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"{owner}: {what} is {value!r}, expected a whole number of at least {least}; pass an int"
        )
    if value < least:
        raise ValueError(f"{owner}: {what} is {value}, expected at least {least}; pass a larger number")
    return int(value)


def flag(owner, what, value):
    """True or False.

    Raises
    ------
    TypeError
        Where it is neither.

    Examples
    --------
    >>> flag("SGD", "nesterov", False)
    False
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: {what} is {value!r}, expected True or False; pass one of them")
    return bool(value)
