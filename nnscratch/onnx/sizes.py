"""How numbers follow from the lengths of axes that are left open: found by running a module with several lengths."""

import math
from typing import NamedTuple


class Axis(NamedTuple):
    """An axis that is left open: its name, the inputs and their places where it is, its length in the first run and in its own."""

    name: str
    places: tuple
    length: int
    other: int


class Size(NamedTuple):
    """``factor`` times the lengths of some axes, plus ``offset``."""

    factor: int
    axes: tuple
    offset: int


def solve(values, axes):
    """What a number is made of, by its value in the first run and in that of each axis; None where that cannot be said.

    Examples
    --------
    >>> n, t = Axis("N", (("x", 0),), 2, 3), Axis("T", (("x", 1),), 5, 7)
    >>> solve([40, 60, 56], (n, t)) == Size(4, (n, t), 0), solve([7, 7, 9], (n, t)) == Size(1, (t,), 2)
    (True, True)
    """
    first, *others = values
    changed = {axis: value for axis, value in zip(axes, others, strict=True) if value != first}
    factor, rest = divmod(first, math.prod(axis.length for axis in changed))
    if not rest and all(value * axis.length == first * axis.other for axis, value in changed.items()):
        return Size(factor, tuple(changed), 0)
    if len(changed) == 1:
        ((axis, value),) = changed.items()
        if value - first == axis.other - axis.length:
            return Size(1, (axis,), first - axis.length)
    return None
