"""Softmax, its logarithm and their gradients of float32 arrays, compiled by Numba: what ``cpu.py`` does for large ones.

An array is there as (outer, n, inner), normalised over n. Where inner is 1 the lanes of a vector are elements of one row, which a
kernel takes from its largest element to its results while the first-level cache holds it. Else they are neighbouring columns. Sums and
differences of the results' own size are float64; exponentials are `nnscratch.kernels.elementary`'s of float32, of elements from which
nothing is taken that would round them. So no result is more than 4 units in the last place off.
"""

import numpy as np

from .. import simd
from ..elementary import exponential, exponential_by, log_of_one_and
from ..sweeps import Row, from_largest, side_by_side


def _kernels(compute, several=False):
    """The kernels of what ``compute(row, a, b, y)`` says, of arrays a and b and to y: of a row, or of two, and of columns.

    Rows begin at `first` and `second`, which may be the same; elements of a column are `step` apart.
    """

    def of(across):
        @simd.kernel
        def kernel(code, a, b, y, first, second, n, step):
            places = (first, second) if several and not across else (first,)
            rows = [Row(code, n, step, across, at) for at in places]
            side_by_side(code, rows, y, lambda row: compute(row, a, b, y))

        return kernel

    return of(False), of(True)


def _softmax(row, x, _, y):
    taken, power = from_largest((yield from row.largest(x)))

    def exponentials(load, lanes, carried):
        e = row.where(lanes, exponential_by(load(x) - taken, power))
        return [(e.wide() + row.made(carried[0])).value], e

    (s,) = yield [row.zero], exponentials
    scale = row.all((1.0 / row.total(s)).narrow())
    yield [], lambda load, lanes, carried: (carried, load(y) * scale)


def _log_softmax(row, x, _, y):
    m = yield from row.largest(x)
    others, _ = yield from row.exponentials(x, m, keep=False)
    log, wide = row.all(log_of_one_and(others)), m.wide()
    yield [], lambda load, lanes, carried: (carried, (load(x).wide() - wide - log).narrow())


def _softmax_gradient(row, g, y, out):
    def terms(load, lanes, carried):
        return [((load(g) * load(y)).wide() + row.made(carried[0])).value], None

    (s,) = yield [row.zero], terms
    s = row.all(row.total(s).narrow())
    yield [], lambda load, lanes, carried: (carried, load(y) * (load(g) - s))


def _log_softmax_gradient(row, g, y, out):
    (s,) = yield [row.zero], lambda load, lanes, carried: ([(load(g).wide() + row.made(carried[0])).value], None)
    s = row.all(row.total(s).narrow())
    yield [], lambda load, lanes, carried: (carried, load(g) - exponential(load(y)) * s)


_softmax_rows, _softmax_columns = _kernels(_softmax)
_log_rows, _log_columns = _kernels(_log_softmax, True)
_gradient_rows, _gradient_columns = _kernels(_softmax_gradient)
_log_gradient_rows, _log_gradient_columns = _kernels(_log_softmax_gradient)


def width_of(n):
    """How many columns are copied side by side at once, so that they stay in the cache, and are in different places of it."""
    return max(2 * simd.BYTES // 4, min(64, 1 << 14 >> n.bit_length()) // 16 * 16)


@simd.inner
def _move_rows(x, at, step, out, to, stride, count, n):
    for k in range(n):
        simd.copy(x, at + k * step, out, to + k * stride, count)


# Each is for the rows `begin` to `end` of arrays a and b, or for those columns of all outer rows, `width` at once. Arrays are flat.


def _rows(kernel, several=1):
    @simd.inner
    def rows(a, b, y, n, begin, end):
        for row in range(begin, end, several):
            kernel(a, b, y, row * n, min(row + 1, end - 1) * n, n, 1)

    return rows


def _columns(kernel, two):
    @simd.inner
    def columns(a, b, y, n, inner, width, begin, end):
        first = np.zeros(n * width, y.dtype)
        second = np.zeros(n * width, y.dtype) if two else first
        for outer in range(y.size // (n * inner)):
            for i in range(begin, end, width):
                at, count = outer * n * inner + i, min(width, end - i)
                _move_rows(a, at, inner, first, 0, width, count, n)
                if two:
                    _move_rows(b, at, inner, second, 0, width, count, n)
                for k in range(0, count, simd.BYTES // 4):
                    kernel(first, second, first, k, k, n, width)
                _move_rows(first, 0, width, y, at, inner, count, n)

    return columns


_softmax_by_rows, _softmax_by_columns = _rows(_softmax_rows), _columns(_softmax_columns, False)
_log_by_rows, _log_by_columns = _rows(_log_rows, 2), _columns(_log_columns, False)
_gradient_by_rows, _gradient_by_columns = _rows(_gradient_rows), _columns(_gradient_columns, True)
_log_gradient_by_rows, _log_gradient_by_columns = _rows(_log_gradient_rows), _columns(_log_gradient_columns, True)


@simd.compiled
def softmax(a, b, y, n, begin, end):
    _softmax_by_rows(a, b, y, n, begin, end)


@simd.compiled
def softmax_columns(a, b, y, n, inner, width, begin, end):
    _softmax_by_columns(a, b, y, n, inner, width, begin, end)


@simd.compiled
def log_softmax(a, b, y, n, begin, end):
    _log_by_rows(a, b, y, n, begin, end)


@simd.compiled
def log_softmax_columns(a, b, y, n, inner, width, begin, end):
    _log_by_columns(a, b, y, n, inner, width, begin, end)


@simd.compiled
def softmax_gradient(a, b, y, n, begin, end):
    _gradient_by_rows(a, b, y, n, begin, end)


@simd.compiled
def softmax_gradient_columns(a, b, y, n, inner, width, begin, end):
    _gradient_by_columns(a, b, y, n, inner, width, begin, end)


@simd.compiled
def log_softmax_gradient(a, b, y, n, begin, end):
    _log_gradient_by_rows(a, b, y, n, begin, end)


@simd.compiled
def log_softmax_gradient_columns(a, b, y, n, inner, width, begin, end):
    _log_gradient_by_columns(a, b, y, n, inner, width, begin, end)
