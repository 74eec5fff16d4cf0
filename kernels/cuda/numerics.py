"""Elementary functions and losses on a GPU: the formulas and the accuracy of `nnscratch.kernels.numerics`.

``elementwise.cu`` and ``rows.cu`` say how they are computed and why they are fast. One thing is not done here: where
`logsumexp` is below about 2**-58 although its inputs are not small, its last digits are lost (on the CPU decimal arithmetic
finds them).
"""

import functools
import math

import numpy as np

from .. import double_double
from ..numerics import _as_rows, _reduced
from . import runtime

#: The longest row for which a warp is enough.
SHORT = 1024
#: How many elements a team adds up before another one is worth its launch.
CHUNK = 1 << 13
#: More parts than this no GPU works on at the same time.
MOST_PARTS = 1024


def _elementwise(name, *arrays):
    """Launch a kernel of ``elementwise.cu``: arrays of one dtype, broadcast, and a new one for the result."""
    xp = runtime.xp()
    if len(arrays) > 1:
        arrays = xp.broadcast_arrays(*arrays)
    y = xp.empty(arrays[0].shape, arrays[0].dtype)
    arrays = [xp.ascontiguousarray(a) for a in arrays]
    grid = min(runtime.blocks(y.size), 1 << 20)
    runtime.launch("elementwise.cu", name, grid, runtime.THREADS, (*arrays, y, np.int64(y.size)), ELEMENT=y.dtype)
    return y


def sigmoid(x):
    """``1 / (1 + exp(-x))``, as `nnscratch.kernels.numerics.sigmoid`."""
    return _elementwise("sigmoid", x)


def tanh(x):
    """The hyperbolic tangent, as `nnscratch.kernels.numerics.tanh`."""
    return _elementwise("hyperbolic_tangent", x)


def softplus(x):
    """``log(1 + exp(x))``, as `nnscratch.kernels.numerics.softplus`."""
    return _elementwise("softplus", x)


def erf(x):
    """The error function, as `nnscratch.kernels.numerics.erf`."""
    return _elementwise("error_function_of", x)


def erfc(x):
    """``1 - erf(x)`` without cancellation, as `nnscratch.kernels.numerics.erfc`."""
    return _elementwise("complement_of", x)


def binary_cross_entropy_logits(z, y):
    """``-y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z))``, as `nnscratch.kernels.numerics.binary_cross_entropy_logits`."""
    return _elementwise("binary_cross_entropy", z, y)


def _team(n):
    return 32 if n <= SHORT else 256


def _launch_rows(name, rows, team, args, dtype):
    """Launch a kernel of ``rows.cu`` with one team for each of so many rows."""
    teams = runtime.THREADS // team
    runtime.launch("rows.cu", name, runtime.blocks(rows, teams), runtime.THREADS, args, ELEMENT=dtype, TEAM=team)


def _rows(x, axis):
    """`_as_rows`, side by side in memory."""
    rows, axes = _as_rows(x, axis)
    return runtime.xp().ascontiguousarray(rows), axes


def _from_rows(rows, shape, axes):
    """Undo `_rows`."""
    order = [a for a in range(len(shape)) if a not in axes] + list(axes)
    moved = rows.reshape([shape[a] for a in order])
    back = [order.index(a) for a in range(len(shape))]
    return moved if order == sorted(order) else runtime.xp().ascontiguousarray(moved.transpose(back))


def _of_rows(name, x, axis):
    rows, axes = _rows(x, axis)
    y = runtime.xp().empty(rows.shape, rows.dtype)
    if y.size:
        _launch_rows(name, len(rows), _team(rows.shape[1]), (rows, y, np.int64(len(rows)), rows.shape[1]), x.dtype)
    return _from_rows(y, x.shape, axes)


def softmax(x, axis):
    """``exp(x) / sum(exp(x))`` along axes, as `nnscratch.kernels.numerics.softmax`."""
    return _of_rows("softmax", x, axis)


def log_softmax(x, axis):
    """``x - log(sum(exp(x)))`` along axes, as `nnscratch.kernels.numerics.log_softmax`."""
    return _of_rows("log_softmax", x, axis)


def logsumexp(x, axis, keepdims=False):
    """``log(sum(exp(x)))`` over axes, as `nnscratch.kernels.numerics.logsumexp`."""
    rows, axes = _rows(x, axis)
    y = runtime.xp().full(len(rows), -math.inf, x.dtype)
    if rows.size:
        args = rows, y, np.int64(len(rows)), rows.shape[1], _constants()
        _launch_rows("logsumexp", len(rows), _team(rows.shape[1]), args, x.dtype)
    return _reduced(y, x.shape, axes, keepdims)


def _constants():
    return _constants_on(runtime.xp(), runtime._device())


@functools.cache
def _constants_on(xp, device):
    """What `add_exponential` of ``rows.cu`` takes, on a device."""
    logs, table, factorials = double_double._constants()
    return xp.asarray(np.concatenate([logs, np.ravel(factorials), np.ravel(table)]))


def _cross_entropy(name, z, q, dtype):
    """Launch the kernel that computes the losses of all rows, as an array of that dtype."""
    xp = runtime.xp()
    y = xp.empty(z.shape[:-1], dtype) if z.size else xp.zeros(z.shape[:-1], dtype)
    if z.size:
        args = xp.ascontiguousarray(z), xp.ascontiguousarray(q), y, np.int64(y.size), z.shape[-1]
        _launch_rows(name, y.size, _team(z.shape[-1]), args, z.dtype)
    return y


def cross_entropy_logits(z, q):
    """``-sum(q * log_softmax(z))`` over the last axis, as `nnscratch.kernels.numerics.cross_entropy_logits`."""
    return _cross_entropy("cross_entropy", z, q, z.dtype)


def mean_cross_entropy_logits(z, q, n):
    """The sum of `cross_entropy_logits`, rounded once, divided by `n` (a number, or an array of one in float64)."""
    losses = _cross_entropy("wide_cross_entropy", z, q, np.float64)
    return _sums(losses.reshape(1, losses.size), n, dtype=z.dtype).reshape(())


def _sums(rows, divisor=1.0, squares=False, dtype=None):
    """The sums of rows, divided; in their own dtype by default."""
    xp, (count, n) = runtime.xp(), rows.shape
    y = xp.empty(count, rows.dtype if dtype is None else dtype)
    parts = max(1, min(n // CHUNK, MOST_PARTS))
    sums = xp.empty((count, parts, 2, 2), np.float64)
    args = rows, sums, np.int64(count), np.int64(n), parts, squares
    _launch_rows("sum_parts", count * parts, _team(n), args, rows.dtype)
    number, array = (1.0, divisor) if isinstance(divisor, xp.ndarray) else (float(divisor), None)
    _launch_rows("sum_of_parts", count, 32, (sums, y, np.int64(count), parts, number, array), y.dtype)
    return y


def accurate_sum(x, axis=None):
    """The sum over axes as if in twice float64's digits, as `nnscratch.kernels.numerics.accurate_sum`."""
    rows, axes = _rows(x, axis)
    return _reduced(_sums(rows), x.shape, axes)


def mean_of_losses(v, n=None):
    """The sum of all elements divided by `n`, as `nnscratch.kernels.numerics.mean_of_losses`; `n` may be an array of one."""
    if n is None and not v.size:
        return runtime.xp().full((), math.nan, v.dtype)
    return _sums(runtime.xp().ascontiguousarray(v).reshape(1, v.size), v.size if n is None else n).reshape(())


def mean_of_squares(v):
    """The mean of the squares of all elements, as `nnscratch.kernels.numerics.mean_of_squares`."""
    if not v.size:
        return runtime.xp().full((), math.nan, v.dtype)
    return _sums(runtime.xp().ascontiguousarray(v).reshape(1, v.size), v.size, squares=True).reshape(())
