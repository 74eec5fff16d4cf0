"""Words for loops on vectors of the processor's own width: kernels written as LLVM's instructions, which Numba compiles."""

import functools
import inspect

import llvmlite.binding
import numba
from llvmlite import ir
from numba.extending import intrinsic

#: How every loop is compiled.
SETTINGS = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
#: The decorators of loops that call kernels, and of those that only such loops call: without wrappers there is less to compile.
compiled = numba.njit(cache=True, **SETTINGS)
inner = numba.njit(no_cpython_wrapper=True, **SETTINGS)

features = llvmlite.binding.get_host_cpu_features()
#: Bytes in a vector.
BYTES = 64 if features.get("avx512f", False) else 32 if features.get("avx", False) else 16

_INDEX, _INT, _BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)


def kernel(write):
    """Make a function, for compiled loops to call, of ``write(code, ...)``, which writes its instructions.

    Its arguments are those after `code`; arrays (contiguous, the first of them of floating-point numbers) are there as
    pointers to their first element.
    """

    def define(typing, *types):
        def generate(context, builder, signature, args):
            code = Code(context, builder, types[0].dtype)
            pairs = zip(types, args, strict=True)
            write(code, *(code.pointer(t, a) if isinstance(t, numba.types.Array) else a for t, a in pairs))
            return context.get_dummy_value()

        return numba.types.void(*types), generate

    define.__name__, define.__doc__ = write.__name__, write.__doc__
    define.__signature__ = inspect.signature(write)  # Numba reads the arguments' names
    return intrinsic(define)


class Code:
    """The instructions of one kernel, for vectors of one kind of number. Whole numbers are Python's or of 64 bits."""

    def __init__(self, context, builder, kind):
        self.context, self.builder = context, builder
        self.bytes = kind.bitwidth // 8
        self.lanes = BYTES // self.bytes
        self.kind = context.get_value_type(kind)
        self.vector = ir.VectorType(self.kind, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    # Whole numbers and pointers

    def pointer(self, array, value):
        """Where the elements of an array begin."""
        return self.context.make_array(array)(self.context, self.builder, value).data

    def number(self, n):
        return _INDEX(n) if isinstance(n, int) else n

    def multiply(self, a, b):
        return self.builder.mul(self.number(a), self.number(b))

    def equal(self, a, b):
        return self.builder.icmp_signed("==", self.number(a), self.number(b))

    def greater(self, a, b):
        return self.builder.icmp_signed(">", self.number(a), self.number(b))

    def minimum(self, a, b):
        return self.builder.select(self.greater(a, b), self.number(b), self.number(a))

    def at(self, pointer, *steps):
        """The pointer so many elements further on."""
        for step in steps:
            pointer = self.builder.gep(pointer, [self.number(step)])
        return pointer

    # Vectors in memory, where they need not be aligned

    def _as_vector(self, pointer, vector=None):
        return self.builder.bitcast(pointer, (vector or self.vector).as_pointer())

    def load(self, pointer):
        return self.builder.load(self._as_vector(pointer), align=self.bytes)

    def store(self, vector, pointer):
        self.builder.store(vector, self._as_vector(pointer), align=self.bytes)

    def first(self, count):
        """Which lanes are among the first `count`, as a vector of bits."""
        whole = ir.VectorType(_INT, self.lanes)
        count = self.fill(self.builder.trunc(self.number(count), _INT), whole)
        return self.builder.icmp_signed("<", _lanes(tuple(range(self.lanes))), count)

    def load_some(self, pointer, lanes):
        """The elements in those lanes (a vector of bits), 0 in the others; memory beside them is not touched."""
        function = self._masked("load", self.vector, self.vector)
        return self.builder.call(function, [self._as_vector(pointer), _INT(self.bytes), lanes, self.zero])

    def load_bytes(self, pointer, lanes):
        """As `load_some`, whole numbers of 8 bits, one for each lane."""
        bytes_ = ir.VectorType(ir.IntType(8), self.lanes)
        function, zero = self._masked("load", bytes_, bytes_), ir.Constant(bytes_, [0] * self.lanes)
        return self.builder.call(function, [self._as_vector(pointer, bytes_), _INT(1), lanes, zero])

    def store_some(self, vector, pointer, lanes):
        """Store those lanes (a vector of bits) alone."""
        function = self._masked("store", vector.type, ir.VoidType())
        align = _INT(self.bytes if vector.type == self.vector else 1)
        self.builder.call(function, [vector, self._as_vector(pointer, vector.type), align, lanes])

    def _masked(self, what, vector, result):
        bits = ir.VectorType(_BIT, self.lanes)
        if what == "load":
            arguments = [vector.as_pointer(), _INT, bits, vector]
        else:
            arguments = [vector, vector.as_pointer(), _INT, bits]
        return self.function(f"llvm.masked.{what}.{_name(vector)}.p0", result, arguments)

    # Vectors

    def function(self, name, result, arguments):
        """One of LLVM's own functions."""
        return _function(self.builder, name, result, arguments)

    def fma(self, a, b, c):
        """a b + c, rounded once."""
        return fma(self.builder, a, b, c)

    def sum(self, vector):
        """The sum of the lanes."""
        function = self.function(f"llvm.vector.reduce.fadd.{_name(self.vector)}", self.kind, [self.kind, self.vector])
        return self.builder.call(function, [ir.Constant(self.kind, 0.0), vector], fastmath=("reassoc",))

    def fill(self, number, vector=None):
        """A vector with a number in all lanes."""
        undefined = ir.Constant(vector or self.vector, ir.Undefined)
        return self.shuffle(self.builder.insert_element(undefined, number, _INT(0)), undefined, [0] * self.lanes)

    def shuffle(self, a, b, order):
        """The lanes of a and, counted on, of b that `order` names."""
        return self.builder.shuffle_vector(a, b, _lanes(tuple(order)))

    def interleave(self, a, b):
        """Two vectors: the first and the second half of a[0], b[0], a[1], b[1] ..."""
        order = [i // 2 + i % 2 * self.lanes for i in range(2 * self.lanes)]
        return [self.shuffle(a, b, order[: self.lanes]), self.shuffle(a, b, order[self.lanes :])]

    def separate(self, a, b):
        """The other way round: the lanes at even places of a and b, and those at odd ones."""
        return [self.shuffle(a, b, range(first, 2 * self.lanes, 2)) for first in (0, 1)]

    def transpose(self, rows):
        """The columns of a square of as many vectors as they have lanes."""
        half = self.lanes // 2
        for _ in range(self.lanes.bit_length() - 1):
            rows = [v for a, b in zip(rows[:half], rows[half:], strict=True) for v in self.interleave(a, b)]
        return rows

    def combine(self, signs, vectors):
        """Sums of vectors: for each row of `signs` those where it has 1, less those where it has -1."""
        sums = []
        for row in signs:
            terms = [(sign, vector) for sign, vector in zip(row, vectors, strict=True) if sign]
            (sign, total), *others = sorted(terms, key=lambda term: -term[0])
            if sign < 0:
                total = self.builder.fneg(total)
            for sign, vector in others:
                total = (self.builder.fadd if sign > 0 else self.builder.fsub)(total, vector)
            sums.append(total)
        return sums

    def both_ways(self, signs, grid):
        """``signs @ grid @ signs.T`` for a square grid of vectors, as a list row by row."""
        half = [self.combine(signs, column) for column in zip(*grid, strict=True)]
        return [v for row in zip(*half, strict=True) for v in self.combine(signs, row)]

    # Loops

    def vectors(self, count, body):
        """``body(begin)`` for vectors that make up `count` elements, which fill one at least; the last may overlap the one before."""

        def vector(k, nothing):
            body(self.minimum(self.multiply(k, self.lanes), last))
            return nothing

        last = self.builder.sub(count, _INDEX(self.lanes))
        whole = self.builder.add(count, _INDEX(self.lanes - 1))
        self.loop(self.builder.sdiv(whole, _INDEX(self.lanes)), [], vector)

    def vectors_and_rest(self, count, body):
        """``body(begin, None)`` for each whole vector of `count` elements; for what is left ``body(begin, lanes)``, as `pieces`."""
        whole = self.builder.sdiv(self.number(count), self.number(self.lanes))
        with self.builder.if_then(self.greater(whole, 0)):
            self.loop(whole, [], lambda k, nothing: body(self.multiply(k, self.lanes), None) or nothing)
        done = self.multiply(whole, self.lanes)
        with self.builder.if_then(self.greater(count, done)):
            body(done, self.first(self.builder.sub(count, done)))

    def loop(self, count, carried, body):
        """``for k in range(count): carried = body(k, carried)`` for a count above 0; the last `carried`."""
        before = self.builder.block
        start = self.builder.append_basic_block()
        self.builder.branch(start)
        self.builder.position_at_end(start)
        k = self.builder.phi(_INDEX)
        phis = [self.builder.phi(self.vector) for _ in carried]
        after = body(k, phis)
        end = self.builder.block
        following = self.builder.add(k, _INDEX(1))
        for phi, first, last in zip([k, *phis], [_INDEX(0), *carried], [following, *after], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(last, end)
        done = self.builder.append_basic_block()
        self.builder.cbranch(self.builder.icmp_signed("<", following, self.number(count)), start, done)
        self.builder.position_at_end(done)
        return after

    def loop_if_any(self, count, carried, body):
        """`loop` for a count that may be 0, and for whatever vectors or numbers; the last `carried`."""
        before, test, inside, done = self.builder.block, *(self.builder.append_basic_block() for _ in range(3))
        self.builder.branch(test)
        self.builder.position_at_end(test)
        k, *phis = (self.builder.phi(kind) for kind in [_INDEX, *(v.type for v in carried)])
        self.builder.cbranch(self.builder.icmp_signed("<", k, self.number(count)), inside, done)
        self.builder.position_at_end(inside)
        after = body(k, phis)
        following, end = self.builder.add(k, _INDEX(1)), self.builder.block
        self.builder.branch(test)
        for phi, first, last in zip([k, *phis], [_INDEX(0), *carried], [following, *after], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(last, end)
        self.builder.position_at_end(done)
        return phis

    def pieces(self, count, body):
        """``body(begin, lanes)`` for each vector of `count` elements, above 0: where it begins, and which lanes there are."""

        def piece(k, nothing):
            begin = self.multiply(k, self.lanes)
            body(begin, self.first(self.builder.sub(count, begin)))
            return nothing

        whole = self.builder.add(count, _INDEX(self.lanes - 1))
        self.loop(self.builder.sdiv(whole, _INDEX(self.lanes)), [], piece)


def fma(builder, a, b, c):
    """a b + c, rounded once, of vectors or of numbers."""
    kind = a.type
    return builder.call(_function(builder, f"llvm.fma.{_name(kind)}", kind, [kind] * 3), [a, b, c])


def _function(builder, name, result, arguments):
    module = builder.module
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)


@functools.cache
def _lanes(order):
    """Numbers as a constant vector, made once: the text of each costs as much as several instructions."""
    return ir.Constant(ir.VectorType(_INT, len(order)), list(order))


def _name(vector):
    """What LLVM's functions call a type of vector, or of number."""
    several = isinstance(vector, ir.VectorType)
    kind = vector.element if several else vector
    letter, bits = ("i", kind.width) if isinstance(kind, ir.IntType) else ("f", 32 if kind == ir.FloatType() else 64)
    return f"v{vector.count}{letter}{bits}" if several else f"{letter}{bits}"


@kernel
def copy(code, x, at, out, to, count):
    """``out[to + i] = x[at + i]`` for `count` i."""
    x, out = code.at(x, at), code.at(out, to)

    def vector(i, lanes):
        if lanes is None:
            code.store(code.load(code.at(x, i)), code.at(out, i))
        else:
            code.store_some(code.load_some(code.at(x, i), lanes), code.at(out, i), lanes)

    code.vectors_and_rest(count, vector)
