"""Kernels that go over rows of float32 several times, as softmax does: to the largest element, to a sum, to the results.

They are written as generators (see `Row`), from which `side_by_side` makes the instructions for one row or for several at once.
"""

import contextlib
import math

from llvmlite import ir

from .elementary import Vector, choose, exponential, exponential_by, nearest_power, size

_DOUBLE = ir.DoubleType()


class Row:
    """The vectors of a row, or of as many columns as a vector has lanes, for the instructions of one kernel.

    What is computed of it is written as a generator. It yields ``carried, body``, is sent what a loop over the vectors has carried to
    its end, and so on. ``carried, result = body(load, lanes, carried)``, where ``load(pointer)`` is the vector of an array, `lanes`
    are those that count, or None for all, and a result that is not None is stored.
    """

    def __init__(self, code, n, step, across, at):
        self.code, self.build = code, code.builder
        self.n, self.step, self.across, self.at = code.number(n), step, across, at
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

    def exponentials(self, x, m, keep):
        """Of the elements that are not the largest, m, the sum of exp(x - m), as `total` gives it.

        Returns
        -------
        others : Vector
            That sum.
        scale : Vector
            It makes exp(x - m) of the numbers that are stored where the loop is to `keep` them.
        """
        taken, power = from_largest(m)

        def body(load, lanes, carried):
            v = load(x)
            e = exponential_by(v - taken, power)
            same = self.build.fcmp_ordered("==", v.value, m.value)
            ties = same if lanes is None else self.build.and_(same, lanes)
            ties = self.build.sub(carried[1], self.build.sext(ties, self.count.type))
            others = self.where(lanes, choose(same, 0.0, e))
            return [(others.wide() + self.made(carried[0])).value, ties], e if keep else None

        s, ties = yield [self.zero, self.count], body
        s, ties = self.total(s), self.total(self.build.sitofp(ties, self.wide))
        scale = exponential(self.one(power).wide() * math.log(2) - self.one(m - taken).wide()) * 2.0**-64
        return s * scale + (ties - 1.0), scale


def side_by_side(code, rows, out, computed):
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


def from_largest(m):
    """What is taken from the elements of a row with the largest m, so that no digit is lost, and the power of two near e^m then.

    Of elements that are so far below 256 or more that their exponential does not count, no other's distance to m is rounded.
    """
    taken = choose(size(m) < 256.0, 0.0, m)
    return taken, nearest_power(m - taken)
