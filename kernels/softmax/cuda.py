"""Softmax and its like on a GPU: the formulas and the accuracy of the definitions (``rows.cu``).

One thing is not done here: where `logsumexp` is below about 2**-58 although its inputs are not small, its last digits are lost
(on the CPU decimal arithmetic finds them).
"""

import functools
import math

import numpy as np

from .. import double_double
from ..cuda import runtime
from ..rows import as_rows, from_rows, reduced

#: The longest row for which a warp is enough.
SHORT = 1024


def team_for(n):
    return 32 if n <= SHORT else 256


def launch_rows(name, rows, team, args, dtype):
    """Launch a kernel of ``rows.cu`` with one team for each of so many rows."""
    teams = runtime.THREADS // team
    runtime.launch("rows.cu", name, runtime.blocks(rows, teams), runtime.THREADS, args, ELEMENT=dtype, TEAM=team)


def contiguous_rows(x, axis):
    """`as_rows`, side by side in memory."""
    rows, axes = as_rows(x, axis)
    return runtime.xp().ascontiguousarray(rows), axes


def _of_rows(name, x, axis):
    rows, axes = contiguous_rows(x, axis)
    y = runtime.xp().empty(rows.shape, rows.dtype)
    if y.size:
        launch_rows(name, len(rows), team_for(rows.shape[1]), (rows, y, np.int64(len(rows)), rows.shape[1]), x.dtype)
    return from_rows(y, x.shape, axes)


def softmax(x, axis):
    """``exp(x) / sum(exp(x))`` along axes."""
    return _of_rows("softmax", x, axis)


def log_softmax(x, axis):
    """``x - log(sum(exp(x)))`` along axes."""
    return _of_rows("log_softmax", x, axis)


def logsumexp(x, axis, keepdims=False):
    """``log(sum(exp(x)))`` over axes."""
    rows, axes = contiguous_rows(x, axis)
    y = runtime.xp().full(len(rows), -math.inf, x.dtype)
    if rows.size:
        args = rows, y, np.int64(len(rows)), rows.shape[1], _constants()
        launch_rows("logsumexp", len(rows), team_for(rows.shape[1]), args, x.dtype)
    return reduced(y, x.shape, axes, keepdims)


def _constants():
    return _constants_on(runtime.xp(), runtime._device())


@functools.cache
def _constants_on(xp, device):
    """What `add_exponential` of ``rows.cu`` takes, on a device."""
    logs, table, factorials = double_double._constants()
    return xp.asarray(np.concatenate([logs, np.ravel(factorials), np.ravel(table)]))
