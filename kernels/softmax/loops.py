"""Softmax, its logarithm and their gradients of float32 arrays, compiled by Numba: what ``cpu.py`` does for large ones.

An array is there as (outer, n, inner), normalised over n. Where inner is 1 the lanes of a vector are elements of one row, which a
kernel takes from its largest element to its results while the first-level cache holds it. Else they are neighbouring columns. Sums and
differences of the results' own size are float64; exponentials are `nnscratch.kernels.elementary`'s of float32, for which what rounding took
from ``x - max`` is made good. So no result is more than 4 units in the last place off.
"""

import math

import numpy as np
from llvmlite import ir

from .. import simd
from ..elementary import Vector, choose, exponential

_DOUBLE = ir.DoubleType()


class _Row:
    """The vectors of a row, or of as many columns as a vector has lanes, for the instructions of one kernel."""

    def __init__(self, code, n, step, across):
        self.code, self.build, self.n, self.step, self.across = code, code.builder, code.number(n), step, across
        self.wide = ir.VectorType(_DOUBLE, code.lanes)
        self.zero = ir.Constant(self.wide, [0.0] * code.lanes)
        if not across:
            self.whole = self.build.sdiv(self.n, code.number(code.lanes))
            self.head = self.build.sub(self.n, code.multiply(self.whole, code.lanes))
            self.lanes = code.first(self.head)

    def loop(self, carried, body):
        """``carried = body(load, store, lanes, carried)`` for each vector; `lanes` are those that count, or None for all.

        ``load(pointer)`` is the vector of an array, ``store(vector, pointer)`` puts it there.
        """
        code = self.code
        if self.across:

            def column(k, carried):
                i = code.multiply(k, self.step)
                return body(lambda p: self._made(code.load(code.at(p, i))), self._store(i, None), None, carried)

            return code.loop_if_any(self.n, carried, column)

        def part(k, carried):
            put = self._store(code.number(0), self.lanes)
            return body(lambda p: self._made(code.load_some(p, self.lanes)), put, self.lanes, carried)

        def vector(k, carried):
            i = self.build.add(self.head, code.multiply(k, code.lanes))
            return body(lambda p: self._made(code.load(code.at(p, i))), self._store(i, None), None, carried)

        # what does not fill a vector comes first
        any_part = self.build.zext(code.greater(self.head, 0), self.head.type)
        return code.loop_if_any(self.whole, code.loop_if_any(any_part, carried, part), vector)

    def _made(self, value):
        return Vector(self.build, value)

    def _store(self, i, lanes):
        def store(vector, pointer):
            place = self.code.at(pointer, i)
            if lanes is None:
                self.code.store(vector.value, place)
            else:
                self.code.store_some(vector.value, place, lanes)

        return store

    def largest(self, x):
        """The largest element, in all lanes; nan is passed over."""
        least = ir.Constant(self.code.vector, [-math.inf] * self.code.lanes)

        def body(load, store, lanes, carried):
            v = load(x)
            if lanes is not None:
                v = choose(lanes, v, -math.inf)
            return [choose(v > self._made(carried[0]), v, self._made(carried[0])).value]

        (m,) = self.loop([least], body)
        if not self.across:
            m = self.code.fill(self._reduced("fmax", m, self.code.kind))
        return self._made(m)

    def total(self, vector):
        """The sum of the lanes in all of them where they are one row's."""
        if self.across:
            return self._made(vector)
        return self._made(self.code.fill(self._reduced("fadd", vector, _DOUBLE), self.wide))

    def _reduced(self, what, vector, kind):
        name = f"llvm.vector.reduce.{what}.v{self.code.lanes}f{64 if kind == _DOUBLE else 32}"
        first = [ir.Constant(kind, 0.0)] if what == "fadd" else []
        function = self.code.function(name, kind, [a.type for a in first] + [vector.type])
        return self.build.call(function, [*first, vector], fastmath=("reassoc",))

    def where(self, lanes, vector):
        """The vector, with 0 in lanes that do not count."""
        return vector if lanes is None else choose(lanes, vector, 0.0)


def _exponential(x, m):
    """exp(x - m) of float32, m at least x."""
    d = x - m
    near = d + m
    lacks = (x - near) - (m + (d - near))  # as `nnscratch.kernels.double_double.two_sum` has it
    e = exponential(d)
    return e + e * choose(d < -110.0, 0.0, lacks)  # there it is 0, and infinite ones lack no number


def _both_ways(write):
    """The kernels of `write`: of a row, and of columns whose rows are `step` elements apart."""
    return tuple(write(across) for across in (False, True))


def _softmax(across):
    @simd.kernel
    def softmax(code, x, at, y, to, n, step):
        x, y, row = code.at(x, at), code.at(y, to), _Row(code, n, step, across)
        m = row.largest(x)

        def exponentials(load, store, lanes, carried):
            e = row.where(lanes, _exponential(load(x), m))
            store(e, y)
            return [(e.wide() + Vector(code.builder, carried[0])).value]

        (s,) = row.loop([row.zero], exponentials)
        scale = (1.0 / row.total(s)).narrow()

        def scaled(load, store, lanes, carried):
            store(load(y) * scale, y)
            return carried

        row.loop([], scaled)

    return softmax


def _sums(across):
    """The kernel of what `_log_softmax` takes: the largest element, and the sum of the others' exponentials, of a row or of each column."""

    @simd.kernel
    def sums(code, x, at, largest, others, n, step):
        x, row = code.at(x, at), _Row(code, n, step, across)
        m = row.largest(x)

        def exponentials(load, store, lanes, carried):
            v = load(x)
            same = code.builder.fcmp_ordered("==", v.value, m.value)
            e = choose(same, 0.0, _exponential(v, m))
            one = choose(same, 1.0, Vector(code.builder, code.zero))
            e, one = row.where(lanes, e), row.where(lanes, one)
            s, ties = (Vector(code.builder, value) for value in carried)
            return [(e.wide() + s).value, (one.wide() + ties).value]

        s, ties = (row.total(v) for v in row.loop([row.zero, row.zero], exponentials))
        code.store(m.value, largest)
        place = code.builder.bitcast(others, row.wide.as_pointer())
        code.builder.store((s + (ties - 1.0)).value, place, align=8)

    return sums


def _log_softmax(across):
    @simd.kernel
    def log_softmax(code, x, at, largest, logs, y, to, n, step):
        x, y, row = code.at(x, at), code.at(y, to), _Row(code, n, step, across)
        m = Vector(code.builder, code.load(largest))
        log = Vector(code.builder, code.builder.load(code.builder.bitcast(logs, row.wide.as_pointer()), align=8))

        def results(load, store, lanes, carried):
            store((load(x).wide() - m.wide() - log).narrow(), y)
            return carried

        row.loop([], results)

    return log_softmax


def _gradient(of_logarithm):
    def write(across):
        @simd.kernel
        def gradient(code, g, y, at, out, n, step):
            g, y, out, row = code.at(g, at), code.at(y, at), code.at(out, at), _Row(code, n, step, across)

            def terms(load, store, lanes, carried):
                term = load(g) if of_logarithm else load(g) * load(y)
                return [(term.wide() + Vector(code.builder, carried[0])).value]

            s = row.total(row.loop([row.zero], terms)[0]).narrow()

            def results(load, store, lanes, carried):
                d, v = load(g), load(y)
                store(d - exponential(v) * s if of_logarithm else v * (d - s), out)
                return carried

            row.loop([], results)

        return gradient

    return write


_softmax_row, _softmax_columns = _both_ways(_softmax)
_sums_row, _sums_columns = _both_ways(_sums)
_log_row, _log_columns = _both_ways(_log_softmax)
_gradient_row, _gradient_columns = _both_ways(_gradient(False))
_log_gradient_row, _log_gradient_columns = _both_ways(_gradient(True))


def width_of(n):
    """How many columns are copied side by side at once, so that they stay in the cache, and are in different places of it."""
    return max(2 * simd.BYTES // 4, min(64, 1 << 14 >> n.bit_length()) // 16 * 16)


@simd.inner
def _move_rows(x, at, step, out, to, stride, count, n):
    for k in range(n):
        simd.copy(x, at + k * step, out, to + k * stride, count)


# Each is for the rows `begin` to `end`, or for those columns of all outer rows, `width` at once. Arrays are flat.


@simd.compiled
def softmax(x, y, n, begin, end):
    for row in range(begin, end):
        _softmax_row(x, row * n, y, row * n, n, 1)


@simd.compiled
def softmax_columns(x, y, n, inner, width, begin, end):
    room = np.zeros(n * width, x.dtype)
    for outer in range(x.size // (n * inner)):
        for i in range(begin, end, width):
            at, count = outer * n * inner + i, min(width, end - i)
            _move_rows(x, at, inner, room, 0, width, count, n)
            for k in range(0, count, simd.BYTES // 4):
                _softmax_columns(room, k, room, k, n, width)
            _move_rows(room, 0, width, y, at, inner, count, n)


@simd.compiled
def log_softmax(x, y, n, begin, end):
    largest, logs = np.empty(simd.BYTES // 4, x.dtype), np.empty(simd.BYTES // 4)
    for row in range(begin, end):
        _sums_row(x, row * n, largest, logs, n, 1)
        logs[:] = math.log1p(logs[0])
        _log_row(x, row * n, largest, logs, y, row * n, n, 1)


@simd.compiled
def log_softmax_columns(x, y, n, inner, width, begin, end):
    largest, logs, room = np.empty(simd.BYTES // 4, x.dtype), np.empty(simd.BYTES // 4), np.zeros(n * width, x.dtype)
    for outer in range(x.size // (n * inner)):
        for i in range(begin, end, width):
            at, count = outer * n * inner + i, min(width, end - i)
            _move_rows(x, at, inner, room, 0, width, count, n)
            for k in range(0, count, simd.BYTES // 4):
                _sums_columns(room, k, largest, logs, n, width)
                for lane in range(logs.size):
                    logs[lane] = math.log1p(logs[lane])
                _log_columns(room, k, largest, logs, room, k, n, width)
            _move_rows(room, 0, width, y, at, inner, count, n)


@simd.compiled
def softmax_gradient(g, y, out, n, begin, end):
    for row in range(begin, end):
        _gradient_row(g, y, row * n, out, n, 1)


@simd.compiled
def softmax_gradient_columns(g, y, out, n, inner, width, begin, end):
    room, other = np.zeros(n * width, g.dtype), np.zeros(n * width, g.dtype)
    for outer in range(g.size // (n * inner)):
        for i in range(begin, end, width):
            at, count = outer * n * inner + i, min(width, end - i)
            _move_rows(g, at, inner, room, 0, width, count, n)
            _move_rows(y, at, inner, other, 0, width, count, n)
            for k in range(0, count, simd.BYTES // 4):
                _gradient_columns(room, other, k, room, n, width)
            _move_rows(room, 0, width, out, at, inner, count, n)


@simd.compiled
def log_softmax_gradient(g, y, out, n, begin, end):
    for row in range(begin, end):
        _log_gradient_row(g, y, row * n, out, n, 1)


@simd.compiled
def log_softmax_gradient_columns(g, y, out, n, inner, width, begin, end):
    room, other = np.zeros(n * width, g.dtype), np.zeros(n * width, g.dtype)
    for outer in range(g.size // (n * inner)):
        for i in range(begin, end, width):
            at, count = outer * n * inner + i, min(width, end - i)
            _move_rows(g, at, inner, room, 0, width, count, n)
            _move_rows(y, at, inner, other, 0, width, count, n)
            for k in range(0, count, simd.BYTES // 4):
                _log_gradient_columns(room, other, k, room, n, width)
            _move_rows(room, 0, width, out, at, inner, count, n)
