"""The derivatives of a function by one of its variables, compared: along a random direction, or element by element."""

import warnings
from contextlib import suppress

import numpy as np

from nnscratch.gradcheck.difference import (
    EPS,
    NORMAL,
    START,
    TINY,
    Verdict,
    along,
    blurred,
    differentiate,
    jumps,
    norm,
    projected,
    sizes,
    weights,
)
from nnscratch.gradcheck.functions import ArrayFunction
from nnscratch.gradcheck.report import Row, element

#: How many elements with a kink are looked for before the whole variable is given up.
MOST_KINKS = 24

#: A difference smaller than this share of the function's size may be the rules' own rounding.
ROUNDING = 1e-8
#: A right rule is closer than this, unless rounding explains it; what is not is asked along another direction, too.
CLOSE = 1e-10
#: Elements and results whose share of a derivative is less than so many tolerances are compared again without the others.
HIDDEN = 10
#: How often that is done.
LAYERS = 5

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
    unclear : list of str
        What could not be measured, why, and what to do, in words.
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
        self.unclear: list = []
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

    def _verdict(self, analytic, d, scale, more=0.0, **known):
        return Verdict(analytic, d, scale, self.settings.rtol, self.settings.atol + more, **known)

    def _judge(self, verdict, d, line):
        """The status of each derivative, kinks told apart from mistakes; and the jumps."""
        right = np.where(verdict.seen, _RIGHT, _UNCLEAR)
        status = np.where(verdict.wrong, np.where(verdict.measured, _WRONG, _UNCLEAR), right)
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
        tried, lost = [], []
        for w in self._directions():
            w = w if mask is None else w * mask
            found = self._along(w, seeds, gradient)
            row = found.row
            if row.status == "right" and row.error > CLOSE and abs(row.analytic - row.numeric) > 4 * row.uncertainty:
                # errors of both signs may cancel along a direction, but hardly along two
                w = np.abs(w) * weights(w.shape, self.settings.rng)
                found = self._along(w, seeds, gradient)
                row = found.row
            tried.append((found, w))
            if found.kink and first:
                continue
            if row.status == "wrong":
                element_row, near = self._worst_element(w, seeds, gradient)
                if near:
                    continue  # each element is right when its step is small enough
                if element_row is None:
                    lost.append((row, w))  # which may be the step's fault, too: no part of it is wrong
                    continue
                self._found_wrong(row, element_row, w)
                return
            if row.status == "right":
                self.rows.append(row)
                whole = norm(gradient[np.isfinite(gradient)])
                self._hidden(w, seeds, gradient, found.tolerance, whole, LAYERS)
                return
        if lost:
            self._found_wrong(lost[0][0], None, lost[0][1])
            return
        found, w = tried[0]
        row = found.row
        if row.status == "wrong":
            row.status = "unclear"
        if not (first and row.status == "kink" and self._around_kinks(w)):
            self.rows.append(row)
            if row.status == "unclear":
                self.unclear.append(f"{self.name}, {found.why}")

    def _along(self, w, seeds, gradient, around=0.0):
        """What is found along one direction; the rules' rounding is at least `around`."""
        analytic, scale = along(gradient, w)
        line, length = self._projected(w, seeds), norm(w) or 1.0
        d = differentiate(line, self.settings.start, 1e-12 * scale)
        verdict, method = self._verdict(analytic, d, scale), "differences"
        if isinstance(self.function, ArrayFunction) and self._complex_step(w, seeds, d, verdict, analytic):
            method = "complex step"
        d.uncertainty = d.uncertainty + around
        verdict = self._verdict(analytic, d, scale, least=length)
        if verdict.wrong[0] and (d.value[0] == 0 or abs(analytic - d.value[0]) <= ROUNDING * d.magnitude[0]):
            # where a gradient saturates nothing moves, and its derivative is still a difference of numbers of its size
            least = 1e-12 * d.magnitude[0] if self.settings.order > 1 else 0.0
            more = 10 * max(least, self._rounding(w, seeds, analytic))
            verdict = self._verdict(analytic, d, scale, more, least=length)
        if not (verdict.wrong[0] or verdict.seen[0]) and scale > 0:
            # rules that give nothing but rounding say that there is no derivative
            nothing = 100 * self._rounding(w, seeds, analytic)
            verdict = self._verdict(analytic, d, scale, least=length, nothing=nothing)
        status, jump = self._judge(verdict, d, line)
        row = self._row(status, analytic, d, verdict, 0, length, method)
        return _Found(row, bool(jump[0] > 0), float(verdict.tolerance[0]), self._why(d, scale, length))

    def _rounding(self, w, seeds, analytic):
        """The rounding in the rules' derivative: how far it moves when each input does by its last digit."""
        most = 0.0
        for _ in range(3):
            moved = [x + EPS * self.settings.rng.choice([-2, 2], x.shape) * x for x in self.function.variables]
            with suppress(ValueError, ArithmeticError):  # the edge of the domain may be that close
                pull = self.function.record(moved)[1]
                most = max(most, abs(along(pull(seeds)[self.place], w)[0] - analytic))
        return most

    def _why(self, d, scale, length, k=0):
        """Why a derivative could not be measured, and what to do."""
        size, unsure, rounding = float(d.magnitude[k]), float(d.uncertainty[k]), float(d.rounding[k])
        if not np.isfinite(size) or (size > 1e290 and not np.isfinite(unsure)):
            return "too large to tell: values overflow on the way; scale the inputs or the result down"
        if 0 < size < TINY or 0 < scale < TINY:
            return f"too small to tell: numbers of {min(size, scale):.1g} lose their digits; scale the inputs or the result up"
        if unsure <= 8 * rounding + EPS * size:
            said = f"a derivative of {scale / length:.2g}" if scale else "a derivative"
            return (
                f"too rough to tell: {said} drowns in the rounding of values of {size:.2g}, beside which less than "
                f"{unsure / length:.1g} cannot be seen; check the part that changes without what is added to it"
            )
        return (
            f"too rough to tell: differences with several steps are {unsure / length:.1g} apart; choose other inputs, set a step, or "
            f"let the function lose fewer digits (differences of large numbers, float32 on the way)"
        )

    # What larger derivatives hide

    def _hidden(self, w, seeds, gradient, tolerance, whole, layers):
        """Compare by themselves the elements, and the results, in which a mistake would be too small to be seen along `w`.

        `whole` is the size of the gradient that the rules have added up, whose rounding no part of it is without.
        """
        if not layers:
            return
        share = np.abs(np.where(w == 0, 0.0, gradient) * w)
        small = (w != 0) & ~(share > HIDDEN * tolerance)
        if small.any() and not small[w != 0].all():
            self._alone(small, seeds, gradient, whole, layers)
        if sum(s.size for s in seeds) > 1:
            up, down = (self._each(w)(t)[0] for t in (self.settings.start, -self.settings.start))
            flat = np.concatenate([np.ravel(s) for s in seeds])
            share = np.abs(flat * (up - down)) / (2 * self.settings.start)
            small = (flat != 0) & ~(share > HIDDEN * tolerance)
            if small.any() and not small[flat != 0].all():
                seeds = _split(np.where(small, flat, 0.0), self.shapes)
                gradient = self.pull(seeds)[self.place]
                # a rule may well subtract gradients of the results themselves, as large as these
                whole = min(whole, max(norm(flat[small]), norm(gradient[np.isfinite(gradient)])))
                self._alone(w != 0, seeds, gradient, whole, layers)

    def _alone(self, mask, seeds, gradient, whole, layers):
        """Compare along a direction through the elements in `mask`, for results weighted by `seeds`."""
        r = np.zeros(self.x.shape)
        r[mask] = weights((int(mask.sum()),), self.settings.rng)
        own = np.zeros(self.x.shape)
        own[mask] = sizes(self.x[mask])
        # The rules may have added up much larger numbers, of which these are what is left.
        rounding = 16 * EPS * whole
        lost = []
        for w in (r * own, r * np.maximum(own, 1.0)):
            found = self._along(w, seeds, gradient, rounding * norm(w))
            if found.row.status == "wrong":
                element_row, near = self._worst_element(w, seeds, gradient)
                if near:
                    continue
                if element_row is None:
                    lost.append((found.row, w))
                    continue
                self.rows.clear()  # what was right as a whole
                self._found_wrong(found.row, element_row, w)
                return
            if found.row.status == "right":
                self._hidden(w, seeds, gradient, found.tolerance, whole, layers - 1)
                return
        if lost:
            self.rows.clear()
            self._found_wrong(lost[0][0], None, lost[0][1])
            return
        if found.kink:
            found.why = "no derivative is seen: the function has a kink there or close by; choose other inputs, or check them alone"
        unseen = np.flatnonzero(mask)
        largest = float(np.max(np.abs(gradient[mask]), initial=0.0))
        if largest or found.row.uncertainty > 1e-9 * whole:
            shown = ", ".join(element(self.name, self._index(k)) for k in unseen[:3])
            more = f" and {unseen.size - 3} more" if unseen.size > 3 else ""
            self.unclear.append(f"{shown}{more}, small beside the others: {found.why}")

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
        together = np.zeros(self.x.shape)
        together[mask == 0] = sizes(self.x[mask == 0])
        gradient = self.pull(self.seeds)[self.place]
        found = self._along(together, self.seeds, gradient)
        if not found.kink and found.row.status == "wrong":
            self._found_wrong(found.row, None, together)
        elif mask.any():
            self.along_a_direction(mask=mask)
        elif not found.kink:
            self.rows.append(found.row)
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

    def _complex_step(self, w, seeds, d, verdict, analytic):
        """Put a complex step, which has no rounding, in the place of the difference where the function takes one.

        It is believed where the differences measured the same: abs and the like take complex numbers, too, and give something
        else. Where they could not measure, it may only bear the rules out.
        """
        found = [self._imaginary(w, seeds, h) for h in (1e-30, 0.7e-30, 0.3e-30)]
        if None in found:
            return False
        value = found[0]
        # by how much steps of other lengths differ are the powers of the step, the derivative's own where it is 0, and rounding
        rounding = 8 * EPS * abs(value) + 8 * float(np.ptp(found))
        if verdict.measured[0]:
            believed = abs(value - d.value[0]) <= 4 * d.uncertainty[0] + 1e-7 * abs(value)
            rounding = min(rounding + 4 * EPS * d.magnitude[0], d.uncertainty[0])
        else:
            believed = value != 0 and abs(value - analytic) <= self.settings.rtol * abs(value)
            believed = believed and not abs(value - d.value[0]) > 4 * d.uncertainty[0]
        if not believed and d.value[0] == 0 and abs(value) > rounding:
            d.uncertainty = np.array([abs(value)])  # the steps may have been too small to move the values at all
        if believed:
            d.value, d.uncertainty = np.array([value]), np.array([rounding])
        return believed

    def _imaginary(self, w, seeds, h):
        """The derivative along `w` by an imaginary step of the length h, or None where the function takes none."""
        moved = list(self.function.variables)
        moved[self.place] = self.x + (1j * h) * w
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                results = self.function.complex_values(moved)
        except Exception:  # whatever it says, it takes none
            return None
        if [r.shape for r in results] != self.shapes or any(r.dtype.kind != "c" for r in results):
            return None
        value = sum(float(np.sum(s * r.imag)) for s, r in zip(seeds, results, strict=True)) / h
        return value if np.isfinite(value) else None

    # Element by element

    def in_full(self):
        """Compare the derivative of every result by every element; the worst becomes the row."""
        worst, kinks = None, []
        total = sum(int(np.prod(s)) for s in self.shapes)
        jacobian = np.array([self.pull(_unit(m, self.shapes))[self.place].ravel() for m in range(total)])
        finite = jacobian[np.isfinite(jacobian)]
        size = norm(finite) / np.sqrt(finite.size) if finite.size else 0.0
        steps = np.maximum(sizes(self.x), 1e-3).ravel()
        own = np.abs(self.x.ravel())
        for k in range(self.x.size):
            found = self._by_element(k, steps[k], jacobian[:, k], size)
            for step in (max(own[k], 1.0), own[k]):
                if found[0] > 1 and NORMAL <= step != steps[k]:
                    again = self._by_element(k, step, jacobian[:, k], size)
                    still = again[0] == np.inf and again[2].numeric == 0 and found[0] < np.inf
                    # with a wider step the values may move that stand still with a smaller, but kinks beside the point come in, too
                    if (step < steps[k] and not still) or 0 <= again[0] <= 1:
                        found = again
            rank, kink, row, w, why = found
            kinks += [self._element(k)] if kink else []
            if worst is None or rank > worst[0]:
                worst = (rank, row, w, why)
        if kinks:
            self.kinks.append("at " + ", ".join(kinks[:4]) + (f" and {len(kinks) - 4} more" if len(kinks) > 4 else ""))
        _, row, w, why = worst
        self.rows.append(row)
        if row.status == "unclear":
            self.unclear.append(f"{row.output} by {element(self.name, row.index)}, {why}")
        if row.status == "wrong":
            self.faults.append((row, w))

    def _by_element(self, k, step, column, size):
        """Compare one column of the Jacobian: how bad its worst entry is, whether it has a kink, that entry's row, and why it is unclear."""
        w = np.zeros(self.x.size)
        w[k] = step
        w = w.reshape(self.x.shape)
        analytic = column * step
        line = self._each(w)
        d = differentiate(line, self.settings.start, 1e-12 * np.abs(analytic))
        # an entry that cancels to nearly nothing holds the rounding of its neighbours
        rounding = 1e-12 * size * step
        verdict = self._verdict(analytic, d, np.abs(analytic), rounding, least=step, nothing=rounding)
        verdict.error = np.minimum(verdict.error, np.abs(analytic - d.value) / max(1e-3 * size * step, 1e-300))
        status, jump = self._judge(verdict, d, line)
        # what is more than a few of those roundings is no more than let pass
        more = (np.abs(analytic - d.value) > 64 * EPS * size * step) & self._verdict(
            analytic, d, np.abs(analytic)
        ).wrong
        status = np.where((status == _RIGHT) & more, _UNCLEAR, status)
        # On a kink any derivative between those of the two sides will do.
        beyond = np.isfinite(jump) & ~(np.abs(analytic - d.value) <= jump / 2 + verdict.tolerance)
        status = np.where((status == _KINK) & beyond & verdict.measured, _WRONG, status)
        # at the edge of the domain a rule may well divide 0 by 0
        status = np.where(np.isinf(jump).any() & ~np.isfinite(analytic), _KINK, status)
        rank = np.select([status == _WRONG, status == _UNCLEAR, status == _RIGHT], [np.inf, 2.0, verdict.units], -1.0)
        m = int(np.argmax(rank))
        row = self._row(status, analytic, d, verdict, m, step, "differences")
        row.index, row.output = self._index(k), self._output(m)
        return rank[m], bool((status == _KINK).any()), row, w, self._why(d, abs(float(analytic[m])), step, m)

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
        part = _part(np.where(self.x == 0, np.clip(w, -1.0, 1.0), self.x), a, b)
        step = part.ravel()[a]
        off, analytic, d, verdict = compared(part)
        wider = np.sign(part) * np.maximum(np.abs(part), part != 0)
        if not off or (np.any(wider != part) and compared(wider)[3].right[0]):
            return None, True
        if self._may_be_a_kink(part, seeds, analytic, d):
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

    def _may_be_a_kink(self, part, seeds, analytic, d):
        """Whether there is a kink, or may be one that is lost in rounding: the rules' derivative lies between those of the two sides."""
        line, t = self._projected(part, seeds), self.settings.start
        if jumps(line).any():
            return True
        if abs(analytic - d.value[0]) > blurred(d.magnitude[0]):
            return False
        here, up, down = (line(s)[0][0] for s in (0.0, t, -t))
        low, high = sorted([(up - here) / t, (here - down) / t])
        return bool(low - 4 * d.uncertainty[0] <= analytic <= high + 4 * d.uncertainty[0])

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
            source="your gradient" if isinstance(self.function, ArrayFunction) else "the rules",
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


class _Found:
    """What was found along a direction: its row, whether there is a kink, the tolerance, and why it would be unclear."""

    __slots__ = ("kink", "row", "tolerance", "why")

    def __init__(self, row, kink, tolerance, why):
        self.row, self.kink, self.tolerance, self.why = row, kink, tolerance, why


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
