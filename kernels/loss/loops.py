"""Cross-entropy of softmax with labels, of float32 arrays, compiled by Numba: what ``cpu.py`` does for large ones.

With m a row's largest logit and s the sum of exp(z - m) of its others, the loss of label l is ``m - z_l + log1p(s)``, neither part of
which is negative, and its gradient ``exp(z - m) / (1 + s)``, for l itself less by 1: the odds against it over 1 + s.
"""

from .. import simd
from ..elementary import Vector, choose, log_of_one_and
from ..sweeps import Row, side_by_side


@simd.kernel
def _row(code, z, errors, losses, at, label, row, n):
    build = code.builder

    def number(pointer):
        return Vector(build, build.load(pointer)).wide()

    def compute(row_):
        m = yield from row_.largest(z)
        others, scale = yield from row_.exponentials(z, m, keep=True)
        own = code.at(errors, at, label)
        largest, logit, e = row_.one(m).wide(), number(code.at(z, at, label)), number(own) * scale
        odds = choose(build.fcmp_ordered("==", logit.value, largest.value), others, others + (1.0 - e))
        factor = 1.0 / (others + 1.0)
        by = row_.all((factor * scale).narrow())
        yield [], lambda load, lanes, carried: (carried, load(errors) * by)
        build.store((-(odds * factor)).narrow().value, own)
        build.store((largest - logit + log_of_one_and(others)).value, code.at(losses, row))

    side_by_side(code, [Row(code, n, 1, False, at)], errors, compute)


@simd.compiled
def cross_entropy(z, labels, errors, losses, begin, end):
    """The losses, in float64, and their gradients, for the rows `begin` to `end`; not finite where logits are not."""
    n = z.size // labels.size
    for row in range(begin, end):
        _row(z, errors, losses, row * n, labels[row], row, n)
