"""How the sets that are standardised, and their weights, lie in memory."""

import functools
import itertools
import math


@functools.lru_cache(maxsize=256)
def sets(shape, axes):
    """(N, C, L), so that in an array viewed in that shape each of C sets has its elements along the other axes; or None.

    Examples
    --------
    >>> sets((2, 3, 4, 5), (0, 2, 3)), sets((2, 3, 4, 5), (2, 3)), sets((2, 3, 4), (1,))
    ((2, 3, 20), (1, 6, 20), None)
    """
    lengths = [(i in axes, n) for i, n in enumerate(shape) if n != 1]
    runs = [(over, math.prod(n for _, n in run)) for over, run in itertools.groupby(lengths, key=lambda pair: pair[0])]
    if len(runs) == 1 or not runs or not runs[0][0]:
        runs.insert(0, (True, 1))
    if runs[1:] and runs[1][0]:
        runs.insert(1, (False, 1))
    return tuple(n for _, n in [*runs, (True, 1), (True, 1)][:3]) if len(runs) <= 3 else None


@functools.lru_cache(maxsize=256)
def repeats(shape, weight):
    """(inner, count), so that element e of an array has weight ``e // inner % count``; None where weights do not lie so.

    Examples
    --------
    >>> repeats((2, 3, 4, 5), (1, 3, 1, 1)), repeats((6, 20), (20,)), repeats((2, 3), ()), repeats((2, 3, 4), (2, 1, 4))
    ((20, 3), (1, 20), (6, 1), None)
    """
    own = [i for i, n in enumerate(weight, len(shape) - len(weight)) if n != 1]
    if not own:
        return max(1, math.prod(shape)), 1
    first, last = own[0], own[-1]
    count = math.prod(weight)
    return (math.prod(shape[last + 1 :]), count) if count == math.prod(shape[first : last + 1]) else None
