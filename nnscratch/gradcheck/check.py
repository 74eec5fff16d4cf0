"""The check itself: a function's derivative against differences of its values, variable by variable."""

import time
from contextlib import suppress

import numpy as np

from nnscratch.autograd import GradientError
from nnscratch.gradcheck import blame
from nnscratch.gradcheck.blame import projected
from nnscratch.gradcheck.difference import EPS, START, Verdict, differentiate, exact, jumps, sizes, weights
from nnscratch.gradcheck.functions import ArrayFunction, other_layout
from nnscratch.gradcheck.report import Report, Row, element

#: How many elements with a kink are looked for before the whole input is given up.
MOST_KINKS = 24


def check(function, order, mode, step, rtol, atol, seed):
    """Check the derivatives of a function (see `functions`) up to `order`; returns the `Report` or raises with it."""
    report = Report(mode, seed)
    begun = time.perf_counter()
    points, before = 0, []
    for k in range(1, order + 1):
        part = _Check(function, k, mode, step, rtol, atol, np.random.default_rng([seed, k]), report, before)
        try:
            part.run()
        finally:
            points += function.points
            report.points, report.seconds = points, time.perf_counter() - begun
        if not report.passed:
            raise GradientError(str(report), report=report)
        if k < order:
            function, before = function.gradient(np.random.default_rng([seed, k, 1])), part.outputs
    return report


class _Check:
    def __init__(self, function, order, mode, step, rtol, atol, rng, report, before):
        self.function, self.order, self.mode, self.rng, self.report = function, order, mode, rng, report
        self.start = START if step is None else step
        self.rtol, self.atol = rtol, atol
        self.tensors = not isinstance(function, ArrayFunction)
        self.before = before

    def run(self):
        function, rng = self.function, self.rng
        variables = function.variables
        try:
            results, self.pull, *graph = function.record(variables)
            self.outputs = graph[0] if graph else []
            self._same_again(results)
            self._elsewhere()
            self.seeds = [weights(r.shape, rng) for r in results]
            kept = [s.copy() for s in self.seeds]
            self.gradients = self.pull(self.seeds)
            for s, k in zip(self.seeds, kept, strict=True):
                s[...] = k
        except GradientError as error:
            if error.operation:
                self.report.operations.append(error.operation)
            self.report.problems.append(str(error))
            return
        self.audit = blame.Audit(self.outputs, rng) if self.tensors else None
        compare = self._full if self.mode == "full" else self._projection
        for place, x in enumerate(variables):
            if x.size and sum(r.size for r in results):
                compare(place)
            elif self.gradients[place].shape == x.shape:
                self.report.rows.append(self._row(place, 0.0, 0.0, "right"))
        if self.tensors:
            if not any(r.status == "wrong" for r in self.report.rows):
                self._layouts()
            self._find_operations()

    # What every function is asked first

    def _same_again(self, results):
        again = self.function.values(self.function.variables)
        for r, b in zip(results, again, strict=False):
            bad = np.flatnonzero(~np.isfinite(r))
            if bad.size:
                where = element("result", np.unravel_index(bad[0], r.shape))
                raise ValueError(
                    f"gradcheck: {where} is {r.ravel()[bad[0]]} at these inputs, and has no derivative; choose inputs where the function is defined"
                )
            if r.shape != b.shape or not np.array_equal(r, b):
                raise ValueError(
                    "gradcheck: the function gives different results for the same inputs, so differences mean nothing; "
                    "let it draw the same random numbers each time (ns.manual_seed within it), or call .eval() on the module"
                )
        if len(results) != len(again):
            raise ValueError(
                "gradcheck: the function returned another number of results the second time; return as many each time"
            )

    def _elsewhere(self):
        """Call the function at another point before its derivative is taken, as any use does that has two calls."""
        with np.errstate(all="ignore"):
            with suppress(ValueError, ArithmeticError):
                self.function.values([x + self.start / 8 * sizes(x) for x in self.function.variables])

    def _layouts(self):
        """The gradient must not depend on where the inputs lie in memory."""
        function = self.function
        given = function.arguments
        function.arguments = [other_layout(a) if isinstance(a, np.ndarray) and a.size else a for a in given]
        try:
            _, pull, outputs = function.record(function.variables)
            found = pull(self.seeds)
        finally:
            function.arguments = given
        for name, a, b in zip(function.names, self.gradients, found, strict=True):
            scale = np.max(np.abs(a), initial=0.0)
            if not np.max(np.abs(a - b), initial=0.0) <= self.rtol * scale + self.atol + 1e-300:
                self.report.problems.append(
                    f"the gradient by {name} depends on the memory layout of the inputs; let the rule not rely on strides"
                )
                self.audit = blame.Audit(outputs, self.rng)
                return

    # Comparing

    def _line(self, place, w, reduce):
        function = self.function

        def line(t):
            moved = [x + t * w if j == place else x for j, x in enumerate(function.variables)]
            if t == 0:
                return reduce(function.values(moved))
            try:
                return reduce(function.values(moved))
            except (ValueError, ArithmeticError) as error:  # outside of where the function is defined
                self.refused = error
                nothing = reduce([np.full(s.shape, np.nan) for s in self.seeds])
                return nothing

        return line

    def _directions(self, x):
        """Directions to try: steps by each element's own size, then by 1 where the elements are small."""
        r = weights(x.shape, self.rng)
        yield exact(sizes(x) * r, x)
        yield exact(np.maximum(np.abs(x), 1.0) * r, x)
        yield exact(sizes(x, 1e-3) * r, x)

    def _projection(self, place, seeds=None, mask=None):
        """Compare along a random direction through all elements of a variable (or those in `mask`)."""
        x, name = self.function.variables[place], self.function.names[place]
        gradient = self.gradients[place] if seeds is None else self.pull(seeds)[place]
        seeds = self.seeds if seeds is None else seeds
        for w in self._directions(x):
            w = w if mask is None else w * mask
            self.refused = None
            line = self._line(place, w, lambda values: projected(values, seeds))
            analytic = float(np.sum(gradient * w))
            scale = float(np.sqrt(np.sum((gradient * w) ** 2)))
            d = differentiate(line, self.start, 1e-12 * scale)
            method = "differences"
            verdict = Verdict(np.array([analytic]), d, scale, self.rtol, self.atol)
            if verdict.measured[0]:
                break
        if self.refused is not None and not np.isfinite(d.uncertainty[0]):
            raise ValueError(f"gradcheck: the function cannot be called near these inputs ({name}): {self.refused}")
        if not self.tensors and self._complex(place, w, seeds, d):
            method = "complex step"
            verdict = Verdict(np.array([analytic]), d, scale, self.rtol, self.atol)
        row = self._row(place, analytic, float(d.value[0]), "right", verdict, d, method, length=np.sqrt(np.sum(w * w)))
        jump = float(np.abs(jumps(line))[0]) if verdict.wrong[0] or d.jump[0] or not verdict.measured[0] else 0.0
        if not verdict.wrong[0] and not jump:
            row.status = "right" if verdict.measured[0] else "unclear"
        elif jump == 0:
            row.status = "wrong" if verdict.measured[0] else "unclear"
        elif mask is not None or seeds is not self.seeds:
            row.status = "wrong" if self._beyond(analytic, d, jump, verdict) else "kink"
        else:
            self._around_kinks(place, w, row, self._beyond(analytic, d, jump, verdict))
            return
        self._add(row, place, seeds, w)

    @staticmethod
    def _beyond(analytic, d, jump, verdict):
        """Whether a derivative lies outside of those that the function has on the two sides of its kink."""
        return bool(abs(analytic - d.value[0]) > jump / 2 + verdict.tolerance[0])

    def _around_kinks(self, place, w, row, beyond):
        """Leave out what is not differentiable, results first and else elements of the variable, and compare the rest."""
        x, name = self.function.variables[place], self.function.names[place]
        each = self._line(place, w, _flat)
        rough = np.abs(jumps(each)) > 0
        if not rough.all():
            shapes = [s.shape for s in self.seeds]
            smooth = [np.where(r, 0.0, s) for r, s in zip(_split(rough, shapes), self.seeds, strict=True)]
            self._describe_kinks(
                f"by {name}, element {int(np.flatnonzero(rough)[0])} of the result" if rough.any() else f"by {name}"
            )
            self._projection(place, seeds=smooth)
            return
        elements = self._rough_elements(place, w)
        if elements is None or len(elements) == x.size:
            row.status = "wrong" if beyond else "kink"
            self._describe_kinks(f"at these values of {name}")
            self._add(row, place, self.seeds, w)
            return
        mask = np.ones(x.size)
        mask[elements] = 0.0
        shown = ", ".join(f"{element(name, np.unravel_index(k, x.shape))} = {x.ravel()[k]:.6g}" for k in elements[:4])
        self._describe_kinks(f"at {shown}" + (f" and {len(elements) - 4} more" if len(elements) > 4 else ""))
        self._projection(place, mask=mask.reshape(x.shape))

    def _rough_elements(self, place, w):
        """The positions of the elements along which there is a kink, or None where they are too many."""
        found, stack = [], [(0, w.size)]
        while stack:
            a, b = stack.pop()
            part = np.zeros(w.size)
            part[a:b] = w.ravel()[a:b]
            if not np.any(jumps(self._line(place, part.reshape(w.shape), lambda v: projected(v, self.seeds)))):
                continue
            if b - a == 1:
                found.append(a)
            else:
                stack += [((a + b) // 2, b), (a, (a + b) // 2)]
            if len(found) + len(stack) > MOST_KINKS:
                return None
        return found

    def _describe_kinks(self, place):
        operations = blame.kinks(self.outputs, self.rng) if self.tensors and self.outputs else []
        for text in operations or [place]:
            if text not in self.report.kinks:
                self.report.kinks.append(text)

    def _complex(self, place, w, seeds, d):
        """Replace the difference by a complex step, which has no rounding, where the function takes complex numbers."""
        h = 1e-30
        moved = [x + (1j * h) * w if j == place else x for j, x in enumerate(self.function.variables)]
        try:
            with np.errstate(all="ignore"):
                import warnings

                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    results = self.function.complex_values(moved)
        except Exception:  # whatever it says, it does not take them
            return False
        if any(r.dtype.kind != "c" or r.shape != s.shape for r, s in zip(results, seeds, strict=False)):
            return False
        value = sum(float(np.sum(s * r.imag)) for s, r in zip(seeds, results, strict=True)) / h
        # abs and the like take complex numbers too, and give something else
        if not abs(value - d.value[0]) <= 10 * d.uncertainty[0] + 1e-7 * abs(value):
            return False
        d.value, d.uncertainty = np.array([value]), np.array([8 * EPS * abs(value)])
        return True

    def _full(self, place):
        """Compare every element of the result with every element of a variable."""
        x, name = self.function.variables[place], self.function.names[place]
        shapes = [s.shape for s in self.seeds]
        analytic = self._jacobian(place, shapes)
        norm = float(np.sqrt(np.mean(analytic * analytic)))
        worst = None
        for k in range(x.size):
            w = np.zeros(x.size)
            w[k] = exact(np.maximum(sizes(x), 1e-3), x).ravel()[k]
            w = w.reshape(x.shape)
            length = float(w.ravel()[k])
            self.refused = None
            line = self._line(place, w, _flat)
            column = analytic[:, k] * length
            d = differentiate(line, self.start, 1e-12 * np.abs(column))
            if self.refused is not None and not np.isfinite(d.uncertainty).any():
                raise ValueError(f"gradcheck: the function cannot be called near these inputs ({name}): {self.refused}")
            verdict = Verdict(column, d, np.abs(column), self.rtol, self.atol + 1e-12 * norm * length)
            verdict.error = np.abs(column - d.value) / np.maximum(
                np.maximum(np.abs(column), np.abs(d.value)), 1e-3 * norm * length + 1e-300
            )
            jump = np.zeros(len(column))
            if verdict.wrong.any() or d.jump.any() or not verdict.measured.all():
                jump = np.abs(jumps(line))
            status = np.where(verdict.wrong, np.where(verdict.measured, 3, 1), np.where(verdict.measured, 2, 1))
            beyond = np.abs(column - d.value) > jump / 2 + verdict.tolerance
            status = np.where(jump > 0, np.where(beyond, 3, 0), status)
            if np.any(jump > 0):
                at = f"{element(name, np.unravel_index(k, x.shape))} = {x.ravel()[k]:.6g}"
                self._describe_kinks(f"at {at}")
            units = np.where(status >= 2, verdict.units, -1.0)
            m = int(np.argmax(np.where(status == 3, np.inf, units)))
            key = (status[m] == 3, units[m])
            if worst is None or key > worst[0]:
                names = {0: "kink", 1: "unclear", 2: "right", 3: "wrong"}
                row = self._row(
                    place, column[m], d.value[m], names[int(status[m])], verdict, d, "differences", length, m
                )
                row.index = tuple(int(i) for i in np.unravel_index(k, x.shape))
                row.output = _output(m, shapes)
                worst = (key, row, w)
        self._add(worst[1], place, None, worst[2])

    def _jacobian(self, place, shapes):
        rows = []
        total = sum(int(np.prod(s)) for s in shapes)
        for k in range(total):
            one = np.zeros(total)
            one[k] = 1.0
            rows.append(self.pull(_split(one, shapes))[place].ravel())
        return np.array(rows)

    # Reporting

    def _row(self, place, analytic, numeric, status, verdict=None, d=None, method="differences", length=1.0, m=0):
        x = self.function.variables[place]
        length = float(length) or 1.0
        return Row(
            order=self.order,
            input=self.function.names[place],
            shape=x.shape,
            index=None,
            output=None,
            analytic=float(analytic) / length,
            numeric=float(numeric) / length,
            error=float(verdict.error[m]) if verdict else 0.0,
            units=float(verdict.units[m]) if verdict else 0.0,
            uncertainty=float(d.uncertainty[m]) / length if d else 0.0,
            method=method,
            status=status,
        )

    def _add(self, row, place, seeds, w):
        self.report.rows.append(row)
        if row.status != "wrong":
            return
        self.fault = getattr(self, "fault", None) or (place, w, (row.numeric - row.analytic))
        if row.index is None and seeds is not None:
            row = self._worst_element(place, seeds, w) or row
            if row is not self.report.rows[-1]:
                self.report.rows.append(row)
        by = element(row.input, row.index) if row.index is not None else f"{row.input} along a random direction"
        of = f"of {row.output} " if row.output else ""
        second = "the gradient's derivative " if self.order > 1 else "the derivative "
        self.report.problems.append(
            f"{second}{of}by {by} is {row.analytic:.9g} by the rules and {row.numeric:.9g} numerically ({row.units:.2g} times the tolerance)"
        )

    def _worst_element(self, place, seeds, w):
        """Halve the direction, and then the results, towards the largest disagreement."""
        x = self.function.variables[place]
        gradient = self.pull(seeds)[place]

        def off(part):
            line = self._line(place, part, lambda values: projected(values, seeds))
            analytic = np.array([np.sum(gradient * part)])
            d = differentiate(line, self.start, 1e-9 * np.abs(analytic))
            verdict = Verdict(analytic, d, np.sqrt(np.sum((gradient * part) ** 2)), self.rtol, self.atol)
            return abs(analytic[0] - d.value[0]) if verdict.wrong[0] else 0.0

        a, b = 0, x.size
        while b - a > 1:
            middle = (a + b) // 2
            halves = []
            for c, e in ((a, middle), (middle, b)):
                part = np.zeros(x.size)
                part[c:e] = w.ravel()[c:e]
                halves.append((off(part.reshape(x.shape)), c, e))
            size, c, e = max(halves, key=lambda h: h[0])
            if not size:
                return None
            a, b = c, e
        part = np.zeros(x.size)
        part[a] = w.ravel()[a]
        part = part.reshape(x.shape)
        d = differentiate(self._line(place, part, _flat), self.start, 0.0)
        shapes = [s.shape for s in seeds]
        column = self._column(place, a, part, d, shapes)
        verdict = Verdict(column, d, np.abs(column), self.rtol, self.atol)
        m = int(np.argmax(np.where(verdict.wrong, np.abs(column - d.value), -1.0)))
        if not verdict.wrong[m]:
            return None
        row = self._row(place, column[m], d.value[m], "wrong", verdict, d, "differences", part.ravel()[a], m)
        row.index = tuple(int(i) for i in np.unravel_index(a, x.shape))
        row.output = _output(m, shapes)
        return row

    def _column(self, place, k, part, d, shapes):
        """The derivatives of the results by one element: of the most suspicious of them, where they are many."""
        total = d.value.size
        length = part.ravel()[k]
        column = np.array(d.value)
        seeds = np.concatenate([s.ravel() for s in self.seeds])
        low, high = 0, total
        while high - low > 1:  # halve towards the results that disagree
            middle = (low + high) // 2
            part_of = np.zeros(total)
            part_of[low:middle] = seeds[low:middle]
            analytic = self.pull(_split(part_of, shapes))[place].ravel()[k] * length
            numeric = np.sum(part_of * d.value)
            rest = np.zeros(total)
            rest[middle:high] = seeds[middle:high]
            other = self.pull(_split(rest, shapes))[place].ravel()[k] * length
            if abs(analytic - numeric) >= abs(other - np.sum(rest * d.value)):
                high = middle
            else:
                low = middle
        one = np.zeros(total)
        one[low] = 1.0
        column[low] = self.pull(_split(one, shapes))[place].ravel()[k] * length
        return column

    def _find_operations(self):
        """Name the operations at fault: what no numbers need to convict, then what disagrees by itself."""
        report, rng = self.report, self.rng
        faults = list(self.audit.faults)
        if report.problems:
            faults += blame.wrong_rules(self.audit, rng, self.rtol)
            if not faults and self.order > 1:
                faults += blame.wrong_second_rules(self.before, rng, self.rtol)
            if not faults and hasattr(self, "fault"):
                place, w, mismatch = self.fault
                length = float(np.sqrt(np.sum(w * w)))
                faults += blame.detached(self.function, self.outputs, self.seeds, mismatch * length, place, w)
            if not faults:
                report.problems.append(
                    "each operation in the graph is right by itself; look at what stands between them"
                )
        for operation, sentence in faults:
            if operation not in report.operations:
                report.operations.append(operation)
                report.problems.append(sentence)


def _flat(values):
    flat = np.concatenate([np.ravel(v) for v in values])
    return flat, np.abs(flat)


def _split(flat, shapes):
    parts = np.split(flat, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
    return [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]


def _output(m, shapes):
    """The name of the m-th number among all results."""
    for i, shape in enumerate(shapes):
        size = int(np.prod(shape))
        if m < size:
            name = "result" if len(shapes) == 1 else f"result {i}"
            return element(name, np.unravel_index(m, shape))
        m -= size
    raise AssertionError
