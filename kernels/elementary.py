"""Elementary functions of vectors, for loops of float32: formulas without a branch and without a table.

They take and give a `Vector`, with which formulas are written as they stand in books, of float64 or float32, and work on single numbers
as well (`exponential_of` is for Numba's own loops). In float64 all are within 3e-10 of the true value, relative to it, so that a
result that is rounded to float32 at the end is within 0.51 units in the last place (ulp). On float32 the exponential is within 1.5 ulp
and the normal distribution function within 4, or 7 where it is below 1e-10.

The polynomials were made with 40 digits of mpmath from the Chebyshev series of the function named beside each, as those in
``activation/definition.py`` are, cut after the degree that they have here and rounded to float64 at the end.
"""

import math

from llvmlite import ir
from numba.extending import intrinsic

from . import simd

#: (e^r - 1 - r) / r² for abs(r) <= ln(2) / 2.
EXP = (
    0.5000000013462218,
    0.16666666719007714,
    0.041666464976127526,
    0.008333298480356209,
    0.0013933643522487942,
    0.00019899276222384887,
)
#: The same with what is enough for float32.
SHORT_EXP = (0.5000000013462218, 0.16666577003160282, 0.041666464976127526, 0.008363175565468195, 0.0013933643522487942)
#: 2 artanh(s) / s in powers of s², for s from 0 to 1/3.
LOG = (
    1.9999999998040103,
    0.6666667925329474,
    0.39998694812089935,
    0.28620623401342543,
    0.2139426743760365,
    0.2440940336584708,
)
#: (1 - Φ(t)) exp(t²/2) / w in powers of w - 5/8, w = 1 / (1 + t/4), for t from 0 to 14.5.
TAIL = (
    0.23365302882517217,
    0.42016860154316427,
    0.5506204597078328,
    0.5006634401167219,
    0.26288868484393674,
    0.003294033480832368,
    -0.09227324797666205,
    -0.02880143183702393,
    0.030146787584173124,
    0.015465231353319354,
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
        return _same(self.value.type, value)

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


def fma(a, b, c):
    """a b + c, rounded once; b and c may be numbers."""
    return Vector(a.builder, simd.fma(a.builder, a.value, a.other(b), a.other(c)))


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


class _Format:
    """What the exponential has to know of a format: its digits, and ln 2 in parts whose products with whole numbers are exact enough.

    float32's powers of two have 2^64 more, which is taken away at the end, since their own do not reach down to its least numbers.
    """

    def __init__(self, bits, digits, bias, spare, parts, coefficients):
        self.whole, self.digits, self.bias, self.spare = ir.IntType(bits), digits, bias + spare, spare
        self.parts, self.coefficients = parts, coefficients
        #: Added to a number, it leaves the nearest whole one in the last bits.
        self.rounder = 1.5 * 2.0**digits
        #: From where on the exponent's bits are all 0, as in 0, and all 1, as in infinity.
        self.least, self.greatest = -self.bias * math.log(2), (bias + 1 - spare) * math.log(2)


_FORMATS = {
    ir.DoubleType(): _Format(64, 52, 1023, 0, (math.log(2),), EXP),
    ir.FloatType(): _Format(32, 23, 127, 64, (0.693359375, -2.12194440054690583e-4), SHORT_EXP),
}


def _format(x):
    """The format of x's numbers, and the type of as many whole ones."""
    vector = isinstance(x.value.type, ir.VectorType)
    form = _FORMATS[x.value.type.element if vector else x.value.type]
    return form, ir.VectorType(form.whole, x.value.type.count) if vector else form.whole


def _same(kind, number):
    """A constant, in all lanes."""
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


def nearest_power(x):
    """The whole number n for which 2^n is nearest to e^x, as a number of x's kind."""
    rounder = _format(x)[0].rounder
    return x * (1 / math.log(2)) + rounder - rounder


def _in_parts(x, n=None):
    """2^(k - n) (times what the format has to spare) and m for which e^x = 2^k (1 + m), m as good as e^x - 1 is; k - n is at most 0.

    Where there is no n it is 0, and k as great as the format allows.
    """
    build, (form, whole) = x.builder, _format(x)
    bias, digits = _same(whole, form.bias), _same(whole, form.digits)
    if n is None:
        x = at_most(at_least(x, form.least), form.greatest)
    else:
        x = at_least(x, (n - form.bias) * math.log(2))
        bias = build.sub(bias, build.bitcast((n + form.rounder).value, whole))
    bits = x * (1 / math.log(2)) + form.rounder
    k = bits - form.rounder
    r = x
    for part in form.parts:
        r = r - k * part
    power = build.bitcast(build.shl(build.add(build.bitcast(bits.value, whole), bias), digits), x.value.type)
    return Vector(build, power), r + r * r * polynomial(form.coefficients, r), form


def exponential(x):
    """e^x: of float64 0 below -709 and infinite above 709; of float32 for x of at most 40."""
    power, m, form = _in_parts(x)
    e = power * (1 + m)
    return e * 2.0**-form.spare if form.spare else e


def exponential_by(x, n):
    """2^(64 - n) e^x of float32, for x up to (n + 1/2) ln 2 and whole numbers n up to 500; 0 from (n - 190) ln 2 down."""
    power, m, _ = _in_parts(x, n)
    return power + power * m


def exponential_less_one(x):
    """e^x - 1: of float64 for x of at most 700, of float32 of at most 40."""
    power, m, form = _in_parts(x)
    power = power * 2.0**-form.spare if form.spare else power
    return (power - 1) + power * m


def log_of_one_more(x):
    """ln(1 + x) of float64, x from 0 to 1."""
    s = x / (x + 2)
    return s * polynomial(LOG, s * s)


def log_of_one_and(x):
    """ln(1 + x) of float64, x not negative: that of 2^k (1 + f), where k is 0 and f is x below 1; nan of nan."""
    build, (form, whole) = x.builder, _format(x)
    digits, low, one, shifted = (
        _same(whole, v)
        for v in (form.digits, 2**form.digits - 1, form.bias << form.digits, (form.bias + form.digits) << form.digits)
    )
    y = x + 1
    bits = build.bitcast(y.value, whole)
    k = Vector(build, build.bitcast(build.or_(build.lshr(bits, digits), shifted), x.value.type)) - (
        2.0**form.digits + form.bias
    )
    f = Vector(build, build.bitcast(build.or_(build.and_(bits, low), one), x.value.type)) - 1.0
    return k * math.log(2) + log_of_one_more(choose(y > 1.99, f, x))


def normal(x):
    """Φ(x), the normal distribution function, and its density, of float32.

    The rounding error of x² counts 100-fold in the exponential, and those of a quotient threefold in the polynomial, so both are
    computed, too, and taken away.
    """
    t = at_most(size(x), 14.5)  # where float32's density is 0
    square = t * t
    e = exponential(square * -0.5)
    e = e - e * (fma(t, t, -square) * 0.5)
    below = fma(t, 0.25, 1.0)
    w = 1 / below
    error = fma(w, below, -1.0) + w * fma(t, 0.25, 1.0 - below)
    tail = e * ((w - w * error) * polynomial(TAIL, (w - 0.625) - w * error))
    return choose(x < 0, tail, 1 - tail), e * (1 / math.sqrt(2 * math.pi))


@intrinsic
def exponential_of(typing, x):
    """`exponential` of a float32 or float64 number, for loops that Numba compiles."""

    def generate(context, builder, signature, args):
        return exponential(Vector(builder, args[0])).value

    return x(x), generate
