"""Softmax, its logarithm and their gradients of float32 arrays, compiled by Numba: what ``cpu.py`` does for large ones.

An array is there as (outer, n, inner), normalised over n. Where inner is 1 the lanes of a vector are elements of one row, which a
kernel takes from its largest element to its results while the first-level cache holds it. Else they are neighbouring columns. Sums and
differences of the results' own size are float64; exponentials are `nnscratch.kernels.elementary`'s of float32, of elements from which
nothing is taken that would round them. So no result is more than 4 units in the last place off.
"""

import contextlib
import math

import numpy as np
from llvmlite import ir

from .. import simd
from ..elementary import Vector, choose, exponential, exponential_by, log_of_one_and, nearest_power, size

_DOUBLE = ir.DoubleType()


class _Row:
    """The vectors of a row, or of as many columns as a vector has lanes, for the instructions of one kernel.

    What is computed of it is written as a generator. It yields ``carried, body``, is sent what a loop over the vectors has carried to
    its end, and so on. ``carried, result = body(load, lanes, carried)``, where ``load(pointer)`` is the vector of an array, `lanes`
    are those that count, or None for all, and a result that is not None is stored.
    """

    def __init__(self, code, n, step, across, at):
        self.code, self.build, self.n, self.step, self.across, self.at = (
            code,
            code.builder,
            code.number(n),
            step,
            across,
            at,
        )
        self.wide = ir.VectorType(_DOUBLE, code.lanes)
        self.zero = ir.Constant(self.wide, [0.0] * code.lanes)
        self.count = ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), [0] * code.lanes)

    def made(self, value):
        return Vector(self.build, value)

    def largest(self, x):
        """The largest element, in all lanes; nan is passed over."""
        least = ir.Constant(self.code.vector, [-math.inf] * self.code.lanes)

        def body(load, lanes, carried):
            v = load(x)
            if lanes is not None:
                v = choose(lanes, v, -math.inf)
            return [choose(v > self.made(carried[0]), v, self.made(carried[0])).value], None

        (m,) = yield [least], body
        if not self.across:
            m = self.code.fill(self._reduced("fmax", m, self.code.kind))
        return self.made(m)

    def total(self, vector):
        """The sum of the lanes where they are one row's, as a number; else the vector."""
        return self.made(vector if self.across else self._reduced("fadd", vector, _DOUBLE))

    def one(self, vector):
        """What all lanes have, as `total` gives it."""
        return vector if self.across else self.made(self.build.extract_element(vector.value, ir.IntType(32)(0)))

    def all(self, number):
        """The vector of what `total` gave, in that or in its own precision."""
        wide = number.value.type == _DOUBLE
        return number if self.across else self.made(self.code.fill(number.value, self.wide if wide else None))

    def _reduced(self, what, vector, kind):
        name = f"llvm.vector.reduce.{what}.v{self.code.lanes}f{64 if kind == _DOUBLE else 32}"
        first = [ir.Constant(kind, 0.0)] if what == "fadd" else []
        function = self.code.function(name, kind, [a.type for a in first] + [vector.type])
        return self.build.call(function, [*first, vector], fastmath=("reassoc",))

    def where(self, lanes, vector):
        """The vector, with 0 in lanes that do not count."""
        return vector if lanes is None else choose(lanes, vector, 0.0)


def _side_by_side(code, rows, out, computed):
    """The instructions of what is ``computed`` of each of the rows, of one length: while one waits for a sum, others go on."""
    n, step, across = rows[0].n, rows[0].step, rows[0].across
    if not across:
        whole = code.builder.sdiv(n, code.number(code.lanes))
        head = code.builder.sub(n, code.multiply(whole, code.lanes))
        first = code.first(head)

    def part(bodies, counts, i, lanes, carried):
        places = [code.builder.add(code.number(row.at), i) for row in rows]
        pieces = [carried[sum(counts[:k]) : sum(counts[: k + 1])] for k in range(len(rows))]

        def load_at(place):
            def load(pointer):
                place_ = code.at(pointer, place)
                return Vector(code.builder, code.load(place_) if lanes is None else code.load_some(place_, lanes))

            return load

        done = [body(load_at(place), lanes, piece) for body, place, piece in zip(bodies, places, pieces, strict=True)]
        for place, (_, result) in zip(places, done, strict=True):
            if result is not None and lanes is None:
                code.store(result.value, code.at(out, place))
            elif result is not None:
                code.store_some(result.value, code.at(out, place), lanes)
        return [value for values, _ in done for value in values]

    def loop(bodies, carried):
        counts = [len(values) for values in carried]
        carried = [value for values in carried for value in values]
        if across:
            carried = code.loop_if_any(
                n, carried, lambda k, values: part(bodies, counts, code.multiply(k, step), None, values)
            )
        else:
            # what does not fill a vector comes first
            any_part = code.builder.zext(code.greater(head, 0), head.type)
            carried = code.loop_if_any(
                any_part, carried, lambda k, values: part(bodies, counts, code.number(0), first, values)
            )

            def vector(k, values):
                return part(bodies, counts, code.builder.add(head, code.multiply(k, code.lanes)), None, values)

            carried = code.loop_if_any(whole, carried, vector)
        return [carried[sum(counts[:k]) : sum(counts[: k + 1])] for k in range(len(rows))]

    running = [computed(row) for row in rows]
    asked = [next(one) for one in running]
    while asked:
        found = loop([body for _, body in asked], [carried for carried, _ in asked])
        asked = []
        for one, values in zip(running, found, strict=True):
            with contextlib.suppress(StopIteration):
                asked.append(one.send(values))


def _kernels(compute, several=False):
    """The kernels of what ``compute(row, a, b, y)`` says, of arrays a and b and to y: of a row, or of two, and of columns.

    Rows begin at `first` and `second`, which may be the same; elements of a column are `step` apart.
    """

    def of(across):
        @simd.kernel
        def kernel(code, a, b, y, first, second, n, step):
            places = (first, second) if several and not across else (first,)
            rows = [_Row(code, n, step, across, at) for at in places]
            _side_by_side(code, rows, y, lambda row: compute(row, a, b, y))

        return kernel

    return of(False), of(True)


def _from_largest(m):
    """What is taken from the elements of a row with the largest m, so that no digit is lost, and the power of two near e^m then.

    Of elements that are so far below 256 or more that their exponential does not count, no other's distance to m is rounded.
    """
    taken = choose(size(m) < 256.0, 0.0, m)
    return taken, nearest_power(m - taken)


def _softmax(row, x, _, y):
    taken, power = _from_largest((yield from row.largest(x)))

    def exponentials(load, lanes, carried):
        e = row.where(lanes, exponential_by(load(x) - taken, power))
        return [(e.wide() + row.made(carried[0])).value], e

    (s,) = yield [row.zero], exponentials
    scale = row.all((1.0 / row.total(s)).narrow())
    yield [], lambda load, lanes, carried: (carried, load(y) * scale)


def _log_softmax(row, x, _, y):
    m = yield from row.largest(x)
    taken, power = _from_largest(m)

    def others(load, lanes, carried):
        v = load(x)
        same = row.build.fcmp_ordered("==", v.value, m.value)
        e = row.where(lanes, choose(same, 0.0, exponential_by(v - taken, power)))
        ties = same if lanes is None else row.build.and_(same, lanes)
        ties = row.build.sub(carried[1], row.build.sext(ties, row.count.type))
        return [(e.wide() + row.made(carried[0])).value, ties], None

    s, ties = yield [row.zero, row.count], others
    s, ties = row.total(s), row.total(row.build.sitofp(ties, row.wide))
    near = exponential(row.one(power).wide() * math.log(2) - row.one(m - taken).wide()) * 2.0**-64
    log = row.all(log_of_one_and(s * near + (ties - 1.0)))
    wide = m.wide()
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
