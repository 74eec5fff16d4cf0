"""Derivatives from values alone: central differences, extrapolated, with an estimate of their own error.

A function is seen along a line, ``line(t)``, where t = 1 moves every element by about its own size.
"""

import math

import numpy as np

EPS = float(np.finfo(np.float64).eps)
#: The least number of full digits; below the other differences lose theirs.
NORMAL = float(np.finfo(np.float64).tiny)
TINY = NORMAL / EPS
#: The distance between the least numbers.
_LEAST = 5e-324
#: Rules are called wrong, or right, where the uncertainty is at most this share of the derivative.
CONVICTS, ACQUITS = 1e-4, 1e-2

#: The largest step, as a share of each element's size, and how often it may be halved.
START = 0.125
HALVINGS = 26
#: The smallest steps, in which a function that is seen well hardly changes any more.
_LAST = 4
#: Columns of the extrapolation: each cancels one more even power of the step in the error.
COLUMNS = 6
#: Steps at which a kink is told from a curve: the smaller tell more kinks from what is beside them, the larger see more.
NEAR, FAR, FARTHER = START * 2.0**-21, START * 2.0**-11, START * 2.0**-5
#: How far above rounding a bend must be to count.
_SEEN = 200


class Difference:
    """Numerical derivatives along a line, with what is known of their error; arrays of one shape."""

    __slots__ = (
        "value",  # the derivatives
        "uncertainty",  # how far they may be off: what the extrapolation left, and rounding
        "jump",  # by how much the one-sided derivatives differ; 0 where they do not, inf at a step or the edge of the domain
        "magnitude",  # the size of the function's values
        "rounding",  # the part of the uncertainty that their last digits explain
        "unrest",  # by how much values still change at the smallest steps; 0 where larger ones were enough
    )


def norm(a):
    """The root of the sum of squares, of which none overflows or sinks to 0."""
    greatest = float(np.max(np.abs(a), initial=0.0))
    if greatest == 0 or not np.isfinite(greatest):
        return greatest
    return greatest * float(np.sqrt(np.sum(np.square(np.divide(a, greatest)))))


def weights(shape, rng):
    """Random numbers of both signs, none near 0 so that no element escapes a weighted sum."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape))


def sizes(x, least=0.1):
    """Each element's size: its magnitude, at least `least` of the root mean square, and never 0."""
    magnitude = np.abs(x)
    if not magnitude.any():
        return np.ones_like(x)
    rms = norm(magnitude) / math.sqrt(magnitude.size)
    # a share of the least of all numbers would be 0
    return np.maximum(magnitude, max(_LEAST, least * rms if least else float(np.min(magnitude[magnitude > 0]))))


def differentiate(line, start=START, enough=0.0):
    """The derivative of `line` at 0.

    Parameters
    ----------
    line : callable
        Takes t and returns (values, magnitudes): arrays of shape (K,), the second for the size of what was added up.
    start : float
        The largest step.
    enough : float or (K,)
        The uncertainty at which to stop.

    Returns
    -------
    Difference
    """
    here, size = line(0.0)
    entries: list = []  # of the extrapolation: (halving, value, how far off it may be, size of the function, no change)
    roughness: list = []  # at each step, the least that it differs from the step before, times the step
    bends: list = []
    reached: list = []
    before: list = []
    unrest: list = []
    changed = np.zeros(here.shape, bool)
    with np.errstate(all="ignore"):
        for halving in range(HALVINGS):
            t = start * _step(halving)
            (up, more), (down, less) = line(t), line(-t)
            magnitude = np.fmax(size, np.fmax(more, less))
            rounding = _rounding(magnitude, up, down, t)
            sunk = changed & (up == down)
            changed |= up != down
            row = [(up - down) / (2 * t)]
            for column, last in enumerate(before[: COLUMNS - 1]):
                ratio = _step(halving - column - 1) / _step(halving)
                row.append(row[column] + (row[column] - last) / (ratio**2 - 1))
            least = np.full(here.shape, np.inf)
            for column in range(1, len(row)):
                off = np.maximum(np.abs(row[column] - row[column - 1]), np.abs(row[column] - before[column - 1]))
                least = np.fmin(least, off)
                off = np.where(np.isfinite(off), off + rounding, np.inf)
                entries.append((halving, row[column], off, magnitude, sunk))
            roughness.append(np.where(np.isfinite(least), least, 0.0) * t)
            before = row
            bends.append(((up - here) + (down - here)) / t)
            unrest.append(np.fmax(np.abs(up - here), np.abs(down - here)))
            # what is expected of the derivative counts only where there is one of about that size
            asked = np.fmin(enough, 1e-6 * np.abs(row[-1]))
            reached.append(np.all(least + rounding <= np.fmax(asked, 2 * rounding)))
            if reached[-2:] == [True, True]:  # once may be chance
                unrest = [np.zeros(here.shape)]
                break
        else:
            # Of the last steps nothing tells whether they are noise.
            entries = [e for e in entries if e[0] < HALVINGS - _LAST]
        best = Difference()
        best.unrest = np.max(unrest[-_LAST:], axis=0)
        best.value, best.uncertainty = np.zeros_like(here), np.full(here.shape, np.inf)
        best.magnitude = np.array(size)
        best.rounding = np.full(here.shape, np.inf)
        noise = np.zeros_like(here)
        # Where values change steadily and then no more, the step has sunk below their digits, and says nothing.
        steady = np.zeros(here.shape, bool)
        for _, value, off, _, sunk in entries:
            steady |= ~sunk & (off <= 0.01 * np.abs(value))
        for halving, value, off, magnitude, sunk in reversed(entries):
            # what smaller steps still differ by is noise, and this step has its share of it
            noise = np.maximum(noise, roughness[halving + 1]) if halving + 1 < len(roughness) else noise
            off = np.where(sunk & steady, np.inf, off + noise / (start * _step(halving)))
            better = off < best.uncertainty
            best.value = np.where(better, value, best.value)
            best.uncertainty = np.where(better, off, best.uncertainty)
            best.magnitude = np.where(better, magnitude, best.magnitude)
            best.rounding = np.where(
                better, 2 * np.fmax(EPS * magnitude, _LEAST) / (start * _step(halving)), best.rounding
            )
        best.jump = _steady(here, bends[-3:], rounding)
    return best


def _rounding(magnitude, up, down, t):
    """What rounding does to a difference: that of the function's values, and that of x + t·w."""
    return 2 * np.fmax(EPS * (magnitude + np.abs(up - down) / (2 * t)), _LEAST) / t


def _step(k):
    """The k-th step as a share of the first: about halved each time, but not just so, or rounding errors would repeat."""
    return 0.5 ** (k + 0.25 * math.sin(k))


def jumps(line):
    """By how much the one-sided derivatives of `line` at 0 differ; 0 where they do not, inf where there are none."""
    jump, visible = _jumps_at(line, NEAR)
    for step in (FAR, FARTHER):
        wider, seen = _jumps_at(line, step)
        # What small steps would have shown, and did not, is a kink beside the point.
        jump = np.where((jump == 0) & (np.abs(wider) <= visible), wider, jump)
        visible = np.fmin(visible, seen)
    return jump


def blurred(magnitude):
    """How large a jump between one-sided derivatives may be without being seen, where values have this magnitude."""
    return _SEEN * 2 * EPS * magnitude / (FARTHER / 4)


def _jumps_at(line, step):
    here, size = line(0.0)
    bends = []
    with np.errstate(all="ignore"):
        for t in (step, step / 2, step / 4):
            (up, _), (down, _) = line(t), line(-t)
            bends.append(((up - here) + (down - here)) / t)
        rounding = _rounding(size, up, down, t)
        return _steady(here, bends, rounding), _SEEN * rounding


def _steady(here, bends, rounding):
    """The limit of the bend (f(t) - 2 f(0) + f(-t)) / t as t is halved, where it has one that is not 0."""
    if len(bends) < 3:
        return np.zeros_like(bends[0])
    first, second, third = bends
    # A curve's bend halves with the step and its limit vanishes; that of a kink stays, that of a step doubles.
    steady = (np.abs(third - second) <= 0.25 * np.abs(third)) & (np.abs(second - first) <= 0.25 * np.abs(third))
    doubles = (np.abs(third) > 1.6 * np.abs(second)) & (np.abs(second) > 1.6 * np.abs(first))
    seen = np.abs(third) > _SEEN * rounding
    jump = np.where(seen & steady, 2 * third - second, np.where(seen & doubles, np.inf, 0.0))
    # Not even defined on both sides; but where the sum at the point overflows, that tells nothing of them.
    return np.where(np.isfinite(third), jump, np.where(np.isfinite(here), np.inf, 0.0))


class Verdict:
    """How derivatives by the rules and numerical ones compare; arrays of one shape.

    Attributes
    ----------
    error, units : array
        The difference relative to the derivative's size, and in units of the tolerance.
    tolerance : array
    wrong : array of bool
        Whether they differ by more than that.
    measured : array of bool
        Whether the difference is well enough known to call the rules wrong: beside the derivative, or the function itself.
    seen : array of bool
        Whether it is known well enough to call them right: beside what they say, or, where they say 0, beside `least`.
    """

    __slots__ = ("error", "measured", "seen", "tolerance", "units", "wrong")

    @property
    def right(self):
        """Whether they agree, as far as is known well enough."""
        return self.seen & ~self.wrong

    def __init__(self, analytic, d, scale, rtol, atol, least=np.inf, nothing=0.0):
        off = np.abs(analytic - d.value)
        off = np.where(np.isnan(off), np.inf, off)
        own = np.where(np.isfinite(scale), scale, 0.0)
        scale = np.maximum(own, np.abs(d.value))
        self.tolerance = rtol * scale + atol + 4 * d.uncertainty
        with np.errstate(all="ignore"):
            self.units = np.where(off > 0, off / self.tolerance, 0.0)
            # a derivative that is next to nothing beside the function itself is taken relative to that
            self.error = np.where(off > 0, off / np.maximum(scale, 1e-5 * d.magnitude), 0.0)
        self.units, self.error = (np.where(np.isnan(v), np.inf, v) for v in (self.units, self.error))
        self.wrong = self.units > 1
        known = np.isfinite(d.uncertainty) & np.isfinite(d.magnitude)
        # Steps that are too wide for the function's waves and bends see as much noise as function; by symmetry, or beside a large
        # constant, it is less. Waves as high as this noise are as steep as the rules say where they are finer than the smallest
        # step, or, if float32 explains the noise, finer than the last digit.
        finest = np.where(d.unrest > 1e-5 * d.magnitude, START * _step(HALVINGS - 1), EPS)
        waves = (d.unrest > 0.01 * d.magnitude) | ((own * finest > d.unrest) & (d.unrest > 8 * EPS * d.magnitude))
        resolved = (
            (d.uncertainty <= CONVICTS * np.abs(d.value))
            | (d.uncertainty <= 8 * d.rounding)
            | ((d.uncertainty <= 0.1 * d.magnitude) & ~waves)
        )
        near = d.uncertainty <= CONVICTS * scale
        beside = d.uncertainty <= 1e-7 * d.magnitude
        self.measured = known & resolved & (near | beside)
        # no derivative is as good as any that is smaller than can be seen, which is no matter where that is next to nothing
        near = d.uncertainty <= ACQUITS * scale
        self.seen = known & (near | ((own <= nothing) & (d.uncertainty <= 1e-4 * least)))


def projected(values, seeds, floors=None):
    """One number of several arrays: their sum weighted by `seeds`, and the size of what was added; arrays of shape (1,)."""
    parts = [s * v for s, v in zip(seeds, values, strict=True)]
    total = sum(float(np.sum(p)) for p in parts)
    size = norm(np.array([norm(p) for p in parts]))
    return np.array([total]), np.array([max(size, *floors) if floors else size])


def along(gradient, w):
    """The derivative along `w` by a gradient, and the size of what it adds up."""
    moved = np.where(w == 0, 0.0, gradient)
    parts = moved * w
    # what sinks to 0 on the way is not the same as no derivative
    return float(np.sum(parts)), norm(parts) or (_LEAST if moved.any() else 0.0)
