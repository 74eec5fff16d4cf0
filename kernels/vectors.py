"""Convolution's innermost loops as vectors of the processor's own width, which compilers do not find by themselves.

A tile of results stays in registers while all taps pass by: each vector of neighbouring windows that is loaded serves all
filters of the tile, and each weight all its vectors. `nnscratch.kernels.direct` says how convolutions become such products.
The machine code is kept on disk, as that of `nnscratch.kernels.loops`.
"""

import platform

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

_compile = numba.njit(cache=True, error_model="numpy", nogil=True)

_features = llvmlite.binding.get_host_cpu_features()
_WIDE = _features.get("avx512f", False)
#: Bytes in a vector.
BYTES = 64 if _WIDE else 32 if _features.get("avx", False) else 16
#: Filters in a tile, and in the last where no more are left: of 32 registers 24 hold sums, of 16 12.
ROWS, FEW = (8, 4) if _WIDE or platform.machine().lower() in ("aarch64", "arm64") else (4, 2)
#: Vectors in a tile.
VECTORS = 3
#: Vectors of a row of results that are taken at once for the gradient by the weight: 8 rows then fit the first-level cache.
CHUNK = 48

_index = ir.IntType(64)


class _Code:
    """A few words for the instructions of one kernel: arrays are pointers here, and vectors are loaded unaligned."""

    def __init__(self, context, builder, signature, args):
        self.context, self.builder, self.types, self.args = context, builder, signature.args, args
        kind = signature.args[0].dtype
        self.kind = context.get_value_type(kind)
        self.lanes = BYTES * 8 // kind.bitwidth
        self.align = kind.bitwidth // 8
        self.vector = ir.VectorType(self.kind, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        name = f"llvm.fma.v{self.lanes}f{kind.bitwidth}"
        self.fma = self.function(name, self.vector, [self.vector] * 3)
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f{kind.bitwidth}"
        self.sum = self.function(name, self.kind, [self.kind, self.vector])

    def function(self, name, result, arguments):
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)

    def pointer(self, position):
        """Where the elements of an argument that is an array begin."""
        array = self.context.make_array(self.types[position])
        return array(self.context, self.builder, self.args[position]).data

    def at(self, pointer, *steps):
        for step in steps:
            pointer = self.builder.gep(pointer, [_index(step) if isinstance(step, int) else step])
        return pointer

    def load(self, pointer):
        """A vector."""
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.align)

    def store(self, vector, pointer):
        self.builder.store(vector, self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.align)

    def spread(self, pointer):
        """A number in all lanes."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, self.builder.load(pointer), ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def loop(self, count, carried, body):
        """``for k in range(count): carried = body(k, carried)`` for a count above 0; the last `carried`."""
        before = self.builder.block
        start = self.builder.append_basic_block()
        self.builder.branch(start)
        self.builder.position_at_end(start)
        k = self.builder.phi(_index)
        phis = [self.builder.phi(self.vector) for _ in carried]
        after = body(k, phis)
        end = self.builder.block
        following = self.builder.add(k, _index(1))
        for phi, first, last in zip([k, *phis], [_index(0), *carried], [following, *after], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(last, end)
        done = self.builder.append_basic_block()
        self.builder.cbranch(self.builder.icmp_signed("<", following, count), start, done)
        self.builder.position_at_end(done)
        return after


def _products(rows, vectors):
    """The kernel ``out[m, v] = sum over k of w[k, m] * x[offsets[k] + v]``: m of `rows`, v in `vectors` vectors.

    The rows of `out` are `row` elements apart.
    """

    @intrinsic
    def kernel(typing, w, at_w, x, at_x, offsets, count, out, at_out, row):
        def generate(context, builder, signature, args):
            code = _Code(context, builder, signature, args)
            w, x = code.at(code.pointer(0), args[1]), code.at(code.pointer(2), args[3])
            offsets, out = code.pointer(4), code.at(code.pointer(6), args[7])

            def body(k, sums):
                run = code.at(x, builder.load(code.at(offsets, k)))
                values = [code.load(code.at(run, v * code.lanes)) for v in range(vectors)]
                weights = [code.spread(code.at(w, builder.mul(k, _index(rows)), m)) for m in range(rows)]
                terms = [(weight, value) for weight in weights for value in values]
                return [builder.call(code.fma, [*term, s]) for term, s in zip(terms, sums, strict=True)]

            sums = code.loop(args[5], [code.zero] * (rows * vectors), body)
            for i, s in enumerate(sums):
                code.store(s, code.at(out, builder.mul(args[8], _index(i // vectors)), i % vectors * code.lanes))
            return context.get_dummy_value()

        return numba.types.void(w, at_w, x, at_x, offsets, count, out, at_out, row), generate

    return kernel


def _dots(rows, taps):
    """The kernel ``out[m, k] += sum over n and i of g[n, m, i] * x[n, offsets[k] + i]``: m of `rows`, k of `taps`.

    The sum is over `images` images n, and over `vectors` vectors i in each.
    """

    @intrinsic
    def kernel(typing, g, at_g, plane, image_g, x, at_x, image_x, offsets, at_k, images, vectors, out, at_out, row):
        def generate(context, builder, signature, args):
            code = _Code(context, builder, signature, args)
            _, at_g, plane, image_g, _, at_x, image_x, _, at_k, images, vectors, _, at_out, row = args
            g, x, out = (
                code.at(code.pointer(0), at_g),
                code.at(code.pointer(4), at_x),
                code.at(code.pointer(11), at_out),
            )
            offsets = [builder.load(code.at(code.pointer(7), at_k, k)) for k in range(taps)]

            def image(n, sums):
                here_g, here_x = code.at(g, builder.mul(n, image_g)), code.at(x, builder.mul(n, image_x))
                planes = [code.at(here_g, builder.mul(plane, _index(m))) for m in range(rows)]
                runs = [code.at(here_x, offset) for offset in offsets]

                def body(v, sums):
                    i = builder.mul(v, _index(code.lanes))
                    values = [code.load(code.at(run, i)) for run in runs]
                    gradients = [code.load(code.at(p, i)) for p in planes]
                    terms = [(gradient, value) for gradient in gradients for value in values]
                    return [builder.call(code.fma, [*term, s]) for term, s in zip(terms, sums, strict=True)]

                return code.loop(vectors, sums, body)

            sums = code.loop(images, [code.zero] * (rows * taps), image)
            for i, s in enumerate(sums):
                place = code.at(out, builder.mul(row, _index(i // taps)), i % taps)
                total = builder.call(code.sum, [ir.Constant(code.kind, 0.0), s], fastmath=("reassoc",))
                builder.store(builder.fadd(builder.load(place), total), place)
            return context.get_dummy_value()

        types = g, at_g, plane, image_g, x, at_x, image_x, offsets, at_k, images, vectors, out, at_out, row
        return numba.types.void(*types), generate

    return kernel


_many_1, _many_2, _many_3 = (_products(ROWS, v) for v in (1, 2, 3))
_few_1, _few_2, _few_3 = (_products(FEW, v) for v in (1, 2, 3))
_many_dots, _few_dots = _dots(ROWS, VECTORS), _dots(FEW, VECTORS)


@_compile
def _move(source, at, step, target, to, stride, count, plus):
    """``target[to + i * stride] = source[at + i * step] + plus`` for `count` i: without a sign, indices are not looked at."""
    at, to, count = np.uint64(at), np.uint64(to), np.uint64(count)
    if step == 1 and stride == 1:
        for i in range(count):
            target[to + i] = source[at + i] + plus
    else:
        step, stride = np.uint64(step), np.uint64(stride)
        for i in range(count):
            target[to + i * stride] = source[at + i * step] + plus


@_compile
def _fill(x, n, first, channels, top, left, down, right, height, width, scratch, at, plane):
    """Image n's channels from `first` on into scratch[at:], as (channels, down, right) planes of (height, width)."""
    every, rows, columns = x.shape[1:]
    source, zero = x.reshape(-1), x.dtype.type(0)
    for c in range(channels):
        for a in range(down):
            above = (a - top) % down
            for b in range(right):
                beside = (b - left) % right
                line = ((n * every + first + c) * rows + above) * columns + beside
                to = (
                    at + ((c * down + a) * right + b) * plane + (top + above) // down * width + (left + beside) // right
                )
                count = (columns - beside + right - 1) // right
                for _ in range(above, rows, down):
                    _move(source, line, right, scratch, to, 1, count, zero)
                    line, to = line + down * columns, to + width


@numba.njit(inline="always")
def _multiply(many, vectors, w, at_w, scratch, at_scratch, offsets, out, at_out, row):
    """One tile of products."""
    taps = len(offsets)
    if many and vectors == 3:
        _many_3(w, at_w, scratch, at_scratch, offsets, taps, out, at_out, row)
    elif many and vectors == 2:
        _many_2(w, at_w, scratch, at_scratch, offsets, taps, out, at_out, row)
    elif many:
        _many_1(w, at_w, scratch, at_scratch, offsets, taps, out, at_out, row)
    elif vectors == 3:
        _few_3(w, at_w, scratch, at_scratch, offsets, taps, out, at_out, row)
    elif vectors == 2:
        _few_2(w, at_w, scratch, at_scratch, offsets, taps, out, at_out, row)
    else:
        _few_1(w, at_w, scratch, at_scratch, offsets, taps, out, at_out, row)


@_compile
def correlate(
    x, begin, end, first, channels, source, w, offsets, bias, y, first_filter, filters, target, scratch, wide
):
    """Every filter's sums over the taps of the images `begin` to `end` of x, and its bias, into y.

    Of x the `channels` from `first` on are taken, of y the `filters` from `first_filter` on are written. `source` is
    (top, left, down, right, height, width) for `_fill`. `target` is (rows, columns, row, row_step, column, column_step): how
    many windows there are, and where in y they are put. `w` holds blocks of `ROWS` filters, and one of `FEW` where that
    is enough at the end, as (taps, filters of the block). `scratch` has room for the planes and a tile's length more, all
    zeros, and `wide` (`ROWS`, any length) for so many rows of windows as are taken at once and a
    vector more.
    """
    top, left, down, right, height, width = source
    rows, columns, row, row_step, column, column_step = target
    results, sums, taps = y.reshape(-1), wide.reshape(-1), len(offsets)
    lanes = BYTES // x.itemsize
    strip = (wide.shape[1] - lanes) // width
    for n in range(begin, end):
        _fill(x, n, first, channels, top, left, down, right, height, width, scratch, 0, height * width)
        for above in range(0, rows, strip):
            lines = min(strip, rows - above)
            length = (lines - 1) * width + columns
            for done in range(0, filters, ROWS):
                many = filters - done > FEW
                for i in range(0, length, VECTORS * lanes):
                    vectors = min(VECTORS, (length - i + lanes - 1) // lanes)
                    _multiply(
                        many, vectors, w, done * taps, scratch, above * width + i, offsets, sums, i, wide.shape[1]
                    )
                for m in range(min(ROWS, filters - done)):
                    o = first_filter + done + m
                    for p in range(lines):
                        to = ((n * y.shape[1] + o) * y.shape[2] + row + (above + p) * row_step) * y.shape[3] + column
                        _move(sums, m * wide.shape[1] + p * width, 1, results, to, column_step, columns, bias[o])


@_compile
def correlate_weight(
    g, x, begin, end, first, channels, source, offsets, first_filter, filters, block, gradients, scratch, out
):
    """For each filter and tap the sum over the windows of the images `begin` to `end` of g times x, added to `out`.

    `block` images are taken at once, for which there is room in `scratch` and, for filters up to a multiple of `FEW`
    and rows as far apart as in the scratch, in `gradients`: zeros. `out` (filters up to that multiple, taps) has
    a multiple of `VECTORS` taps.
    """
    top, left, down, right, height, width = source
    rows = g.shape[2]
    padded, taps = out.shape
    sums = out.reshape(-1)
    plane, image_g = len(gradients) // (block * padded), len(gradients) // block
    image_x = channels * down * right * height * width
    lanes = BYTES // g.itemsize
    most = max(1, CHUNK // block) * lanes
    for n in range(begin, end, block):
        count = min(block, end - n)
        for b in range(count):
            _fill(
                x, n + b, first, channels, top, left, down, right, height, width, scratch, b * image_x, height * width
            )
            _fill(g, n + b, first_filter, filters, 0, 0, 1, 1, rows, width, gradients, b * image_g, plane)
        for i in range(0, plane, most):
            vectors = min(most, plane - i) // lanes
            for o in range(0, padded, ROWS):
                for k in range(0, taps, VECTORS):
                    at_g, at_out = o * plane + i, o * taps + k
                    if padded - o > FEW:
                        _many_dots(
                            gradients,
                            at_g,
                            plane,
                            image_g,
                            scratch,
                            i,
                            image_x,
                            offsets,
                            k,
                            count,
                            vectors,
                            sums,
                            at_out,
                            taps,
                        )
                    else:
                        _few_dots(
                            gradients,
                            at_g,
                            plane,
                            image_g,
                            scratch,
                            i,
                            image_x,
                            offsets,
                            k,
                            count,
                            vectors,
                            sums,
                            at_out,
                            taps,
                        )
