"""The derivatives of a function by one of its variables, compared: along a random direction, or element by element."""

import warnings

import numpy as np

from nnscratch.gradcheck.difference import EPS, START, Verdict, along, differentiate, jumps, projected, sizes, weights
from nnscratch.gradcheck.functions import ArrayFunction
from nnscratch.gradcheck.report import Row, element

#: How many elements with a kink are looked for before the whole variable is given up.
MOST_KINKS = 24

#: A difference smaller than this share of the function's size may be the rules' own rounding.
ROUNDING = 1e-8
#: A right rule is closer than this, unless rounding explains it; what is not is asked along another direction, too.
CLOSE = 1e-10

_STATUS = np.array(["right", "wrong", "kink", "unclear"])
_RIGHT, _WRONG, _KINK, _UNCLEAR = range(4)


class Settings:
    """What a check is to go by: the largest step, the tolerances, the order and the random numbers."""

    __slots__ = ("atol", "order", "rng", "rtol", "start")

    def __init__(self, step, rtol, atol, order, rng):
        self.start = START if step is None else step
        self.rtol = 1e-7 if rtol is None else rtol
        self.atol = 0.0 if atol is None else atol
        self.order = order
        self.rng = rng


class Comparison:
    """The derivative of `function` by the variable at `place`; `pull` is the rules' answer, `seeds` weight the results.

    Attributes
    ----------
    rows : list of Row
    kinks : list of str
        Where the function is not differentiable, in words.
    faults : list of (Row, array)
        The derivatives found wrong, each with the direction it was found along.
    """

    def __init__(self, function, place, pull, seeds, settings):
        self.function, self.place, self.pull, self.seeds = function, place, pull, seeds
        self.x, self.name = function.variables[place], function.names[place]
        self.shapes = [s.shape for s in seeds]
        self.settings = settings
        self.rows: list = []
        self.kinks: list = []
        self.faults: list = []
        self.refused = None

    # Seeing the function along a line

    def _line(self, w, reduce):
        """The function along `w` as `reduce` sums it up; nan where it refuses its arguments."""

        def line(t):
            moved = list(self.function.variables)
            moved[self.place] = self.x + t * w
            try:
                values = self.function.values(moved)
            except (ValueError, ArithmeticError) as error:
                if t == 0:
                    raise
                self.refused = error
                values = [np.full(shape, np.nan) for shape in self.shapes]
            return reduce(values)

        return line

    def _projected(self, w, seeds):
        return self._line(w, lambda values: projected(values, seeds, self.function.floors))

    def _each(self, w):
        """Every result along `w`, in one row."""

        def reduce(values):
            flat = np.concatenate([np.ravel(v) for v in values])
            floors = self.function.floors or [0.0] * len(values)
            return flat, np.maximum(np.abs(flat), np.repeat(floors, [v.size for v in values]))

        return self._line(w, reduce)

    def _verdict(self, analytic, d, scale, more=0.0):
        return Verdict(analytic, d, scale, self.settings.rtol, self.settings.atol + more)

    def _judge(self, verdict, d, line):
        """The status of each derivative, kinks told apart from mistakes; and the jumps."""
        status = np.where(verdict.measured, np.where(verdict.wrong, _WRONG, _RIGHT), _UNCLEAR)
        jump = np.zeros(status.shape)
        if (status != _RIGHT).any() or d.jump.any():
            jump = np.abs(jumps(line))
            status = np.where(jump > 0, _KINK, status)
        return status, jump

    # Random directions

    def _directions(self):
        """Directions to try: by each element's size; by 1, where that is tiny; by its very own size, where sizes differ."""
        r = weights(self.x.shape, self.settings.rng)
        yield r * sizes(self.x)
        yield r * np.maximum(np.abs(self.x), 1.0)
        yield r * sizes(self.x, least=0)

    def along_a_direction(self, seeds=None, mask=None):
        """Compare along a random direction, through all elements of the variable or those in `mask`."""
        first = seeds is None and mask is None
        seeds = self.seeds if seeds is None else seeds
        gradient = self.pull(seeds)[self.place]
        tried = []
        for w in self._directions():
            w = w if mask is None else w * mask
            row, kink = self._along(w, seeds, gradient)
            if row.status == "right" and row.error > CLOSE and abs(row.analytic - row.numeric) > 4 * row.uncertainty:
                # errors of both signs may cancel along a direction, but hardly along two
                w = np.abs(w) * weights(w.shape, self.settings.rng)
                row, kink = self._along(w, seeds, gradient)
            tried.append((row, w))
            if kink and first:
                continue
            if row.status == "wrong":
                found, near = self._worst_element(w, seeds, gradient)
                if near:
                    continue  # each element is right when its step is small enough
                self._found_wrong(row, found, w)
                return
            if row.status == "right":
                self.rows.append(row)
                return
        row, w = tried[0]
        if row.status == "wrong":
            row.status = "unclear"
        if not (first and row.status == "kink" and self._around_kinks(w)):
            self.rows.append(row)

    def _along(self, w, seeds, gradient):
        """The row for one direction, and whether there is a kink."""
        analytic, scale = along(gradient, w)
        line = self._projected(w, seeds)
        d = differentiate(line, self.settings.start, 1e-12 * scale)
        verdict, method = self._verdict(analytic, d, scale), "differences"
        # only what was measured can tell whether a complex step is to be believed
        if isinstance(self.function, ArrayFunction) and verdict.measured[0] and self._complex_step(w, seeds, d):
            verdict, method = self._verdict(analytic, d, scale), "complex step"
        if verdict.wrong[0] and abs(analytic - d.value[0]) <= ROUNDING * d.magnitude[0]:
            verdict = self._verdict(analytic, d, scale, 10 * self._rounding(w, seeds, analytic, d))
        status, jump = self._judge(verdict, d, line)
        return self._row(status, analytic, d, verdict, 0, np.sqrt(np.sum(w * w)), method), jump[0] > 0

    def _rounding(self, w, seeds, analytic, d):
        """The rounding in the rules' derivative: how far it moves when each input does by its last digit."""
        # where a gradient saturates nothing moves, and its derivative is still a difference of numbers of its size
        most = 1e-12 * d.magnitude[0] if self.settings.order > 1 else 0.0
        for _ in range(3):
            moved = [x + EPS * self.settings.rng.choice([-2, 2], x.shape) * x for x in self.function.variables]
            pull = self.function.record(moved)[1]
            most = max(most, abs(along(pull(seeds)[self.place], w)[0] - analytic))
        return most

    def _around_kinks(self, w):
        """Leave out what is not differentiable, whole results or else elements of the variable, and compare the rest."""
        rough = jumps(self._each(w)) != 0
        if not rough.any():
            return False
        if not rough.all():
            self.kinks.append(f"{self._output(int(np.flatnonzero(rough)[0]))}, by {self.name}")
            smooth = [np.where(r, 0.0, s) for r, s in zip(_split(rough, self.shapes), self.seeds, strict=True)]
            self.along_a_direction(smooth, np.isfinite(self.pull(smooth)[self.place]))
            return True
        elements = self._rough_elements(w)
        if elements is None or (len(elements) == self.x.size and self.refused is not None):
            if self.refused is not None:
                raise ValueError(
                    f"gradcheck: the function cannot be called near these inputs, only at them ({self.name}): {self.refused}"
                )
            self.kinks.append(f"at these values of {self.name}")
            return False
        shown = ", ".join(self._element(k) for k in elements[:4])
        self.kinks.append(f"at {shown}" + (f" and {len(elements) - 4} more" if len(elements) > 4 else ""))
        mask = np.ones(self.x.size)
        mask[elements] = 0.0
        mask = mask.reshape(self.x.shape)
        # Tied elements that move together have a derivative again.
        together = sizes(self.x) * (1 - mask)
        gradient = self.pull(self.seeds)[self.place]
        row, kink = self._along(together, self.seeds, gradient)
        if not kink and row.status == "wrong":
            self._found_wrong(row, None, together)
        elif mask.any():
            self.along_a_direction(mask=mask)
        elif not kink:
            self.rows.append(row)
        else:
            return False
        return True

    def _rough_elements(self, w):
        """The positions of the elements along which there is a kink, or None where they are too many."""
        found, stack = [], [(0, w.size)]
        while stack:
            a, b = stack.pop()
            if not jumps(self._projected(_part(w, a, b), self.seeds)).any():
                continue
            if b - a == 1:
                found.append(a)
            else:
                stack += [((a + b) // 2, b), (a, (a + b) // 2)]
            if len(found) + len(stack) > MOST_KINKS:
                return None
        return found

    def _element(self, k):
        return f"{element(self.name, np.unravel_index(k, self.x.shape))} = {self.x.ravel()[k]:.6g}"

    def _complex_step(self, w, seeds, d):
        """Put a complex step, which has no rounding, in the place of the difference where the function takes one."""
        h = 1e-30
        moved = list(self.function.variables)
        moved[self.place] = self.x + (1j * h) * w
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                results = self.function.complex_values(moved)
        except Exception:  # whatever it says, it takes none
            return False
        if [r.shape for r in results] != self.shapes or any(r.dtype.kind != "c" for r in results):
            return False
        value = sum(float(np.sum(s * r.imag)) for s, r in zip(seeds, results, strict=True)) / h
        # abs and the like take complex numbers, too, and give something else
        if not abs(value - d.value[0]) <= 4 * d.uncertainty[0] + 1e-7 * abs(value):
            return False
        d.value, d.uncertainty = np.array([value]), np.array([8 * EPS * abs(value)])
        return True

    # Element by element

    def in_full(self):
        """Compare the derivative of every result by every element; the worst becomes the row."""
        worst, kinks = None, []
        total = sum(int(np.prod(s)) for s in self.shapes)
        jacobian = np.array([self.pull(_unit(m, self.shapes))[self.place].ravel() for m in range(total)])
        finite = jacobian[np.isfinite(jacobian)]
        norm = float(np.sqrt(np.mean(finite * finite))) if finite.size else 0.0
        steps = np.maximum(sizes(self.x), 1e-3).ravel()
        own = np.abs(self.x.ravel())
        for k in range(self.x.size):
            found = self._by_element(k, steps[k], jacobian[:, k], norm)
            if found[0] > 1 and 0 < own[k] < steps[k]:
                found = self._by_element(k, own[k], jacobian[:, k], norm)
            rank, kink, row, w = found
            kinks += [self._element(k)] if kink else []
            if worst is None or rank > worst[0]:
                worst = (rank, row, w)
        if kinks:
            self.kinks.append("at " + ", ".join(kinks[:4]) + (f" and {len(kinks) - 4} more" if len(kinks) > 4 else ""))
        _, row, w = worst
        self.rows.append(row)
        if row.status == "wrong":
            self.faults.append((row, w))

    def _by_element(self, k, step, column, norm):
        """Compare one column of the Jacobian: how bad its worst entry is, whether it has a kink, that entry's row."""
        w = np.zeros(self.x.size)
        w[k] = step
        w = w.reshape(self.x.shape)
        analytic = column * step
        line = self._each(w)
        d = differentiate(line, self.settings.start, 1e-12 * np.abs(analytic))
        # an entry that cancels to nearly nothing holds the rounding of its neighbours
        verdict = self._verdict(analytic, d, np.abs(analytic), 1e-12 * norm * step)
        verdict.error = np.minimum(verdict.error, np.abs(analytic - d.value) / max(1e-3 * norm * step, 1e-300))
        status, jump = self._judge(verdict, d, line)
        # On a kink any derivative between those of the two sides will do.
        beyond = np.isfinite(jump) & ~(np.abs(analytic - d.value) <= jump / 2 + verdict.tolerance)
        status = np.where((status == _KINK) & beyond & verdict.measured, _WRONG, status)
        # at the edge of the domain a rule may well divide 0 by 0
        status = np.where(np.isinf(jump).any() & ~np.isfinite(analytic), _KINK, status)
        rank = np.select([status == _WRONG, status == _UNCLEAR, status == _RIGHT], [np.inf, 2.0, verdict.units], -1.0)
        m = int(np.argmax(rank))
        row = self._row(status, analytic, d, verdict, m, step, "differences")
        row.index, row.output = self._index(k), self._output(m)
        return rank[m], bool((status == _KINK).any()), row, w

    # Towards the element at fault

    def _found_wrong(self, row, element_row, w):
        """Note a wrong derivative along `w`, and that of an element behind it."""
        self.rows.append(row)
        self.faults.append((row, w))
        if element_row is not None:
            self.rows.append(element_row)
            self.faults.insert(0, (element_row, w))

    def _worst_element(self, w, seeds, gradient):
        """Halve the direction, and then the results, towards the largest disagreement.

        Returns the row of the element, or None where it is lost on the way; and whether the element is right by itself.
        """

        def compared(part):
            analytic, scale = along(gradient, part)
            d = differentiate(self._projected(part, seeds), self.settings.start, 1e-9 * scale)
            verdict = self._verdict(analytic, d, scale)
            off = np.nan_to_num(abs(analytic - d.value[0]), nan=np.inf) if verdict.wrong[0] else 0.0
            return off, analytic, d, verdict

        a, b = 0, self.x.size
        while b - a > 1:
            middle = (a + b) // 2
            left, right = compared(_part(w, a, middle))[0], compared(_part(w, middle, b))[0]
            if not max(left, right):
                return None, False
            a, b = (a, middle) if left >= right else (middle, b)
        part = _part(np.where(self.x == 0, w, self.x), a, b)
        step = part.ravel()[a]
        off, analytic, d, verdict = compared(part)
        if not off:
            return None, True
        wrong = np.array([_WRONG])
        row = self._row(wrong, analytic, d, verdict, 0, step, "differences")
        d = differentiate(self._each(part), self.settings.start)
        m = self._worst_output(part, d, seeds)
        analytic = np.array(d.value)
        analytic[m], _ = along(self.pull(_unit(m, self.shapes))[self.place], part)
        verdict = self._verdict(analytic, d, np.abs(analytic))
        if verdict.wrong[m]:
            row = self._row(np.repeat(wrong, len(analytic)), analytic, d, verdict, m, step, "differences")
            row.output = self._output(m)
        row.index = self._index(a)
        return row, False

    def _worst_output(self, part, d, seeds):
        flat = np.concatenate([s.ravel() for s in seeds])

        def off(c, e):
            some = np.zeros(flat.size)
            some[c:e] = flat[c:e]
            analytic, _ = along(self.pull(_split(some, self.shapes))[self.place], part)
            return np.nan_to_num(abs(analytic - np.sum(some * d.value)), nan=np.inf)

        low, high = 0, flat.size
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if off(low, middle) >= off(middle, high) else (middle, high)
        return low

    def _output(self, m):
        """What the m-th number of the results is called."""
        for name, shape in zip(self.function.results, self.shapes, strict=True):
            size = int(np.prod(shape))
            if m < size:
                return element(name, np.unravel_index(m, shape))
            m -= size
        raise IndexError(m)

    def _index(self, k):
        return tuple(int(i) for i in np.unravel_index(k, self.x.shape))

    def _row(self, status, analytic, d, verdict, m, length, method):
        length = float(length) or 1.0
        return Row(
            order=self.settings.order,
            input=self.name,
            shape=self.x.shape,
            index=None,
            output=None,
            analytic=float(np.ravel(analytic)[m]) / length,
            numeric=float(d.value[m]) / length,
            error=float(verdict.error[m]),
            units=float(verdict.units[m]),
            uncertainty=float(d.uncertainty[m]) / length,
            method=method,
            status=str(_STATUS[status[m]]),
        )


def _part(w, a, b):
    """`w` with all elements 0 but those from `a` up to `b`."""
    part = np.zeros(w.size)
    part[a:b] = w.ravel()[a:b]
    return part.reshape(w.shape)


def _split(flat, shapes):
    parts = np.split(flat, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
    return [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]


def _unit(m, shapes):
    """Arrays of these shapes that are 1 at the m-th of their numbers and 0 elsewhere."""
    one = np.zeros(sum(int(np.prod(s)) for s in shapes))
    one[m] = 1.0
    return _split(one, shapes)
