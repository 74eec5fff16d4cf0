"""Derivatives from values alone: central differences, extrapolated, with an estimate of their own error.

A function is seen along a line, ``line(t)``, where t = 1 moves every element by about its own size. The steps t are powers
of two, and the directions are rounded so that x + t·w is exact: the differences then hold no error of the step itself.
"""

import numpy as np

EPS = float(np.finfo(np.float64).eps)

#: The largest step, as a share of each element's size, and how often it may be halved.
START = 0.125
HALVINGS = 26
#: Columns of the extrapolation: each cancels one more even power of the step in the error.
COLUMNS = 6
#: Steps at which a kink is told from a curve: small, and yet far above rounding.
CLOSE = START * 2.0**-11


class Difference:
    """Numerical derivatives along a line, with what is known of their error; arrays of one shape."""

    __slots__ = (
        "value",  # the derivatives
        "uncertainty",  # how far they may be off: what the extrapolation left, and rounding
        "jump",  # by how much the one-sided derivatives differ; 0 where they do not
        "magnitude",  # the size of the function's values
    )


def weights(shape, rng):
    """Random numbers of both signs, none near 0 so that no element escapes a weighted sum."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape))


def sizes(x, least=0.1):
    """Each element's size: its magnitude, at least `least` of the root mean square (1 where all are zero)."""
    rms = np.sqrt(np.mean(x * x)) if x.size else 1.0
    return np.maximum(np.abs(x), least * rms) if rms > 0 else np.ones_like(x)


def exact(w, x):
    """`w` rounded so that x + t·w has no rounding error for the steps t in use."""
    with np.errstate(invalid="ignore"):
        unit = np.spacing(np.maximum(np.abs(x), np.abs(w))) * 2.0**29
        return np.where(unit > 0, np.rint(w / unit) * unit, w)


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
    best = Difference()
    best.value, best.uncertainty = np.zeros_like(here), np.full(here.shape, np.inf)
    best.magnitude = size
    before: list = []
    bends: list = []
    with np.errstate(all="ignore"):
        for halving in range(HALVINGS):
            t = start * 0.5**halving
            (up, more), (down, less) = line(t), line(-t)
            rounding = 2 * EPS * np.maximum(np.maximum(more, less), size) / t
            row = [(up - down) / (2 * t)]
            for column, last in enumerate(before[: COLUMNS - 1]):
                row.append(row[column] + (row[column] - last) / (4.0 ** (column + 1) - 1))
            for column in range(1, len(row)):
                off = np.maximum(np.abs(row[column] - row[column - 1]), np.abs(row[column] - before[column - 1]))
                off = np.where(np.isfinite(off), off + rounding, np.inf)
                better = off < best.uncertainty
                best.value = np.where(better, row[column], best.value)
                best.uncertainty = np.where(better, off, best.uncertainty)
            before = row
            bends.append((up - 2 * here + down) / t)
            if np.all(best.uncertainty <= np.maximum(enough, 2 * rounding)):
                break
        best.jump = _steady(bends[-3:], rounding)
    return best


def jumps(line, start=CLOSE):
    """By how much the one-sided derivatives of `line` at 0 differ; 0 where they do not."""
    here, size = line(0.0)
    bends = []
    with np.errstate(all="ignore"):
        for t in (start, start / 2, start / 4):
            (up, _), (down, _) = line(t), line(-t)
            bends.append((up - 2 * here + down) / t)
        return _steady(bends, 2 * EPS * size / t)


def _steady(bends, rounding):
    """The limit of the bend (f(t) - 2 f(0) + f(-t)) / t as t is halved, where it has one that is not 0."""
    if len(bends) < 3:
        return np.zeros_like(bends[0])
    first, second, third = bends
    limit = 2 * third - second
    # A curve's bend halves with the step and its limit vanishes; that of a kink stays, that of a step doubles.
    steady = (np.abs(third - second) <= 0.25 * np.abs(third)) & (np.abs(second - first) <= 0.25 * np.abs(third))
    doubles = (np.abs(third) > 1.8 * np.abs(second)) & (np.abs(second) > 1.8 * np.abs(first))
    seen = np.isfinite(third) & (np.abs(third) > 200 * rounding)
    return np.where(seen & steady, limit, np.where(seen & doubles, np.inf, 0.0))


class Verdict:
    """How derivatives by the rules and numerical ones compare; arrays of one shape."""

    __slots__ = ("error", "measured", "tolerance", "units", "wrong")

    def __init__(self, analytic, d, scale, rtol, atol):
        off = np.abs(analytic - d.value)
        scale = np.maximum(scale, np.abs(d.value))
        self.tolerance = rtol * scale + atol + 10 * d.uncertainty
        with np.errstate(all="ignore"):
            self.units = np.where(off > 0, off / self.tolerance, 0.0)
            self.error = np.where(off > 0, off / np.maximum(scale, 10 * d.uncertainty), 0.0)
        self.units = np.where(np.isnan(self.units), np.inf, self.units)
        self.error = np.where(np.isnan(self.error), np.inf, self.error)
        self.wrong = self.units > 1
        # A derivative is measured where its uncertainty is small beside it, or beside the function itself.
        self.measured = (d.uncertainty <= 1e-4 * scale) | (d.uncertainty <= 1e-7 * d.magnitude)
