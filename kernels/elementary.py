"""Elementary functions of vectors, for loops of float32: formulas on float64 that lose no digits, without a branch and without a table.

Every function here is within 3e-10 of the true value, relative to it; a result that is rounded to float32 at the end is therefore
within 0.51 units in the last place. They take and give a `Vector`, with which formulas are written as they stand in books; they also
work on single numbers (`exponential_of` is such a one, for Numba's own loops).

The polynomials were made with 40 digits of mpmath from the Chebyshev series of the function named beside each, as those in
``activation/definition.py`` are, cut after the degree that they have here and rounded to float64 at the end.
"""

import math

import numba
from llvmlite import ir
from numba.extending import intrinsic

#: (e^r - 1 - r) / r² for abs(r) <= ln(2) / 2.
EXP = (
    0.5000000013462218,
    0.16666666719007714,
    0.041666464976127526,
    0.008333298480356209,
    0.0013933643522487942,
    0.00019899276222384887,
)
#: 2 artanh(s) / s in powers of s², for s from 0 to 1/3.
LOG = (
    1.9999999998040103,
    0.6666667925329474,
    0.39998694812089935,
    0.28620623401342543,
    0.2139426743760365,
    0.2440940336584708,
)
#: (1 - Φ(t)) exp(t²/2) / w in powers of w = 1 / (1 + t/3.5), for t from 0 to 15.
TAIL = (
    0.11398197322645237,
    0.11402861990439206,
    0.10408900342807514,
    0.09060160862985173,
    0.03765723508016211,
    0.11094410571089747,
    -0.1823411500844541,
    0.31196471923420066,
    -0.37618206334011817,
    0.24778477326403053,
    -0.08444155339122324,
    0.011912728349280415,
)


class Vector:
    """A vector, or a number, of LLVM's: arithmetic with others of its kind and with Python's numbers writes the instructions.

    Where the processor can, a product that is added to something is rounded with the sum. Comparisons give bits, for `choose`.
    """

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def other(self, value):
        """LLVM's value of another, or of a number in all lanes."""
        if isinstance(value, Vector):
            return value.value
        kind = self.value.type
        return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)

    def _made(self, instruction, a, b, *flags):
        return Vector(self.builder, instruction(self.other(a), self.other(b), flags=flags))

    def __add__(self, other):
        return self._made(self.builder.fadd, self, other, "contract")

    def __sub__(self, other):
        return self._made(self.builder.fsub, self, other, "contract")

    def __rsub__(self, other):
        return self._made(self.builder.fsub, other, self, "contract")

    def __mul__(self, other):
        return self._made(self.builder.fmul, self, other, "contract")

    def __truediv__(self, other):
        return self._made(self.builder.fdiv, self, other)

    def __rtruediv__(self, other):
        return self._made(self.builder.fdiv, other, self)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return Vector(self.builder, self.builder.fneg(self.value))

    def __lt__(self, other):
        return self.builder.fcmp_ordered("<", self.value, self.other(other))

    def __gt__(self, other):
        return self.builder.fcmp_ordered(">", self.value, self.other(other))

    def wide(self):
        """In float64."""
        return Vector(self.builder, self.builder.fpext(self.value, self._of(ir.DoubleType())))

    def narrow(self):
        """Rounded to float32."""
        return Vector(self.builder, self.builder.fptrunc(self.value, self._of(ir.FloatType())))

    def _of(self, kind):
        vector = isinstance(self.value.type, ir.VectorType)
        return ir.VectorType(kind, self.value.type.count) if vector else kind


def choose(bits, a, b):
    """Lanes of a where there is a bit, of b elsewhere; one of the two may be a number."""
    builder, one = (a.builder, a) if isinstance(a, Vector) else (b.builder, b)
    return Vector(builder, builder.select(bits, one.other(a), one.other(b)))


def at_most(x, bound):
    """The lesser of both; nan stays."""
    return choose(x > bound, bound, x)


def at_least(x, bound):
    """The greater of both; nan stays."""
    return choose(x < bound, bound, x)


def size(x):
    """The absolute value."""
    return at_least(x, -x)


def polynomial(coefficients, x):
    """The sum of coefficients[n] * x**n, by Horner's rule."""
    *others, total = coefficients
    for c in reversed(others):
        total = total * x + c
    return total


#: Added to a number it leaves the nearest whole one in the last bits.
WHOLE = 1.5 * 2.0**52


def _in_parts(x):
    """2^n and m for which e^x = 2^n (1 + m), m as good as e^x - 1 is: 2^n is 0 below -709, and infinite above 709."""
    x = at_most(at_least(x, -1023 * math.log(2)), 1024 * math.log(2))
    bits = x * (1 / math.log(2)) + WHOLE
    n = bits - WHOLE
    r = x - n * math.log(2)
    # The exponent's bits; they are all 0 in 0, which n = -1023 gives, and all 1 in infinity, which n = 1024 gives.
    whole = bits._of(ir.IntType(64))
    one, shift = (ir.Constant(whole, [v] * whole.count if isinstance(whole, ir.VectorType) else v) for v in (1023, 52))
    build = x.builder
    exponent = build.shl(build.add(build.bitcast(bits.value, whole), one), shift)
    return Vector(build, build.bitcast(exponent, bits.value.type)), r + r * r * polynomial(EXP, r)


def exponential(x):
    """e^x of float64; 0 below -709, infinite above 709."""
    power, m = _in_parts(x)
    return power * (1 + m)


def exponential_less_one(x):
    """e^x - 1 of float64, x at most 700."""
    power, m = _in_parts(x)
    return (power - 1) + power * m


def log_of_one_more(x):
    """ln(1 + x) of float64, x from 0 to 1."""
    s = x / (x + 2)
    return s * polynomial(LOG, s * s)


def normal(x):
    """Φ(x), the normal distribution function, and its density, of float64 that are exact in float32."""
    t = size(x)
    e = exponential(t * t * -0.5)
    w = 1 / (at_most(t, 15.0) * (1 / 3.5) + 1)
    tail = e * (w * polynomial(TAIL, w))
    return choose(x < 0, tail, 1 - tail), e * (1 / math.sqrt(2 * math.pi))


@intrinsic
def exponential_of(typing, x):
    """`exponential` of a number, for loops that Numba compiles."""

    def generate(context, builder, signature, args):
        return exponential(Vector(builder, args[0])).value

    return numba.types.float64(numba.types.float64), generate
