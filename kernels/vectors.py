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

    def fill_lanes(self, number, vector):
        """A vector of that type with a number in all lanes."""
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.IntType(32)(0))
        return self.shuffle(first, undefined, [0] * self.lanes)

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

    def shuffle(self, a, b, order):
        """The lanes of a and, counted on, of b that `order` names."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), list(order)))

    def interleave(self, a, b):
        """The first and the second half of a[0], b[0], a[1], b[1] ..."""
        order = [i // 2 + i % 2 * self.lanes for i in range(2 * self.lanes)]
        return [self.shuffle(a, b, order[: self.lanes]), self.shuffle(a, b, order[self.lanes :])]

    def load_pairs(self, pointer):
        """The elements at even and at odd places of two vectors."""
        a, b = self.load(pointer), self.load(self.at(pointer, self.lanes))
        return [self.shuffle(a, b, range(first, 2 * self.lanes, 2)) for first in (0, 1)]

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

    The rows of w are `step` elements apart, those of `out` `row`.
    """

    @intrinsic
    def kernel(typing, w, at_w, step, x, at_x, offsets, count, out, at_out, row):
        def generate(context, builder, signature, args):
            code = _Code(context, builder, signature, args)
            _, at_w, step, _, at_x, _, count, _, at_out, row = args
            w, x = code.at(code.pointer(0), at_w), code.at(code.pointer(3), at_x)
            offsets, out = code.pointer(5), code.at(code.pointer(7), at_out)

            def body(k, sums):
                run = code.at(x, builder.load(code.at(offsets, k)))
                values = [code.load(code.at(run, v * code.lanes)) for v in range(vectors)]
                weights = [
                    code.fill_lanes(builder.load(code.at(w, builder.mul(k, step), m)), code.vector) for m in range(rows)
                ]
                terms = [(weight, value) for weight in weights for value in values]
                return [builder.call(code.fma, [*term, s]) for term, s in zip(terms, sums, strict=True)]

            sums = code.loop(count, [code.zero] * (rows * vectors), body)
            for i, s in enumerate(sums):
                code.store(s, code.at(out, builder.mul(row, _index(i // vectors)), i % vectors * code.lanes))
            return context.get_dummy_value()

        return numba.types.void(w, at_w, step, x, at_x, offsets, count, out, at_out, row), generate

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


# The matrices of Winograd's F(2 x 2, 3 x 3): y = A [(G w G') * (B d B')] A' for patches d of 4 by 4 (Lavin and Gray 2016).
WINOGRAD_B = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
WINOGRAD_A = ((1, 1, 1, 0), (0, 1, -1, -1))
WINOGRAD_G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))


def _patch(beside):
    """The kernel ``out[16] = B d B'`` of 4 by 4 patches d, neighbours in the lanes, whose rows are at `rows`.

    Neighbours are patches that begin two columns apart or, with `beside`, channels, which stand side by side in each cell.
    """

    @intrinsic
    def kernel(typing, x, at_x, rows, across, out, at_out, step):
        def generate(context, builder, signature, args):
            code = _Code(context, builder, signature, args)
            _, at_x, _, across, _, at_out, step = args
            x, rows, out = code.at(code.pointer(0), at_x), code.pointer(2), code.at(code.pointer(4), at_out)
            grid = []
            for i in range(4):
                row = code.at(x, builder.load(code.at(rows, i)))
                if beside:
                    grid.append([code.load(code.at(row, builder.mul(across, _index(j)))) for j in range(4)])
                else:
                    grid.append([*code.load_pairs(row), *code.load_pairs(code.at(row, 2))])
            for i, v in enumerate(code.both_ways(WINOGRAD_B, grid)):
                code.store(v, code.at(out, builder.mul(step, _index(i))))
            return context.get_dummy_value()

        return numba.types.void(x, at_x, rows, across, out, at_out, step), generate

    return kernel


@intrinsic
def _unpatch(typing, x, at_x, step, out, at_out, row):
    """Two rows of ``A x A'``, each patch's two results of a row side by side."""

    def generate(context, builder, signature, args):
        code = _Code(context, builder, signature, args)
        x, out = code.at(code.pointer(0), args[1]), code.at(code.pointer(3), args[4])
        cells = [code.load(code.at(x, builder.mul(args[2], _index(i)))) for i in range(16)]
        y = code.both_ways(WINOGRAD_A, [cells[i : i + 4] for i in range(0, 16, 4)])
        for i in range(2):
            for half, v in enumerate(code.interleave(y[2 * i], y[2 * i + 1])):
                code.store(v, code.at(out, builder.mul(args[5], _index(i)), half * code.lanes))
        return context.get_dummy_value()

    return numba.types.void(x, at_x, step, out, at_out, row), generate


@intrinsic
def _spread(typing, g, at_g, across, down, out, at_out, step):
    """``out[16] = A' g A`` of 2 by 2 gradients g, whose columns are `across` and whose rows are `down` elements apart."""

    def generate(context, builder, signature, args):
        code = _Code(context, builder, signature, args)
        g, out = code.at(code.pointer(0), args[1]), code.at(code.pointer(4), args[5])
        rows = [g, code.at(g, args[3])]
        grid = [[code.load(row), code.load(code.at(row, args[2]))] for row in rows]
        for i, v in enumerate(code.both_ways(tuple(zip(*WINOGRAD_A, strict=True)), grid)):
            code.store(v, code.at(out, builder.mul(args[6], _index(i))))
        return context.get_dummy_value()

    return numba.types.void(g, at_g, across, down, out, at_out, step), generate


_many_1, _many_2, _many_3 = (_products(ROWS, v) for v in (1, 2, 3))
_few_1, _few_2, _few_3 = (_products(FEW, v) for v in (1, 2, 3))
_many_dots, _few_dots = _dots(ROWS, VECTORS), _dots(FEW, VECTORS)


@intrinsic
def _copy(typing, source, at, target, to, count, plus):
    """``target[to + i] = source[at + i] + plus`` for `count` i, at least 1: in vectors, of which the last is cut off."""

    def generate(context, builder, signature, args):
        code = _Code(context, builder, signature, args)
        _, at, _, to, count, plus = args
        source, target = code.at(code.pointer(0), at), code.at(code.pointer(2), to)
        whole = ir.VectorType(ir.IntType(32), code.lanes)
        mask = ir.VectorType(ir.IntType(1), code.lanes)
        kind = f"v{code.lanes}f{8 * code.align}.p0"
        pointer, align = code.vector.as_pointer(), ir.IntType(32)
        load = code.function(f"llvm.masked.load.{kind}", code.vector, [pointer, align, mask, code.vector])
        store = code.function(f"llvm.masked.store.{kind}", ir.VoidType(), [code.vector, pointer, align, mask])
        plus = code.fill_lanes(plus, code.vector)

        def body(k, nothing):
            i = builder.mul(k, _index(code.lanes))
            left = code.fill_lanes(builder.trunc(builder.sub(count, i), ir.IntType(32)), whole)
            inside = builder.icmp_signed("<", ir.Constant(whole, list(range(code.lanes))), left)
            here, there = (builder.bitcast(code.at(p, i), pointer) for p in (source, target))
            values = builder.call(load, [here, align(code.align), inside, code.zero])
            builder.call(store, [builder.fadd(values, plus), there, align(code.align), inside])
            return nothing

        vectors = builder.sdiv(builder.add(count, _index(code.lanes - 1)), _index(code.lanes))
        code.loop(vectors, [], body)
        return context.get_dummy_value()

    return numba.types.void(source, at, target, to, count, plus), generate


@_compile
def _move(source, at, step, target, to, stride, count, plus):
    """``target[to + i * stride] = source[at + i * step] + plus`` for `count` i."""
    if count <= 0:
        return
    if step == 1 and stride == 1:
        _copy(source, at, target, to, count, plus)
    else:  # indices without a sign are not looked at
        at, to, step, stride = np.uint64(at), np.uint64(to), np.uint64(step), np.uint64(stride)
        for i in range(np.uint64(count)):
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
def _multiply(many, vectors, w, at_w, step, x, at_x, offsets, out, at_out, row):
    """One tile of products."""
    taps = len(offsets)
    if many and vectors == 3:
        _many_3(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif many and vectors == 2:
        _many_2(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif many:
        _many_1(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif vectors == 3:
        _few_3(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    elif vectors == 2:
        _few_2(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)
    else:
        _few_1(w, at_w, step, x, at_x, offsets, taps, out, at_out, row)


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
                step = ROWS if many else FEW
                for i in range(0, length, VECTORS * lanes):
                    vectors, at = min(VECTORS, (length - i + lanes - 1) // lanes), above * width + i
                    _multiply(many, vectors, w, done * taps, step, scratch, at, offsets, sums, i, wide.shape[1])
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


_patch_of_columns, _patch_of_channels = _patch(beside=False), _patch(beside=True)


@_compile
def winograd(
    x,
    begin,
    end,
    first,
    channels,
    source,
    offsets,
    u,
    steps,
    bias,
    y,
    first_filter,
    filters,
    patches,
    room,
    scratch,
    v,
    m,
    wide,
):
    """`correlate` for kernels of 3 by 3 one step apart, with 16 products for every 2 by 2 results instead of 36.

    `source` divides rows into even and odd ones, `offsets` has the rows of a channel's first patch, `u`
    (16, blocks of filters) the weights as ``G w G'`` in blocks as in `correlate`, `steps` where each channel's patches are in
    v, and `patches` is (rows, columns) of them. `v` (16, channels times any `room`), `m` (16, ROWS times that) and `wide` (ROWS, 4 times that)
    are for so many rows of patches as are taken at once; longer ones keep the 16 out of each other's way in the cache.
    """
    top, left, down, right, height, width = source
    patch_rows, patch_columns = patches
    rows, columns = y.shape[2:]
    results, lanes, step_v, step_m = y.reshape(-1), BYTES // x.itemsize, v.shape[1], m.shape[1]
    flat_u, flat_v, flat_m, flat_wide = u.reshape(-1), v.reshape(-1), m.reshape(-1), wide.reshape(-1)
    strip = (room - patch_columns) * 2 // width + 1
    for n in range(begin, end):
        _fill(x, n, first, channels, top, left, down, right, height, width, scratch, 0, height * width)
        for above in range(0, patch_rows, strip):
            lines = min(strip, patch_rows - above)
            length = (lines - 1) * (width // 2) + patch_columns
            for c in range(channels):
                for i in range(0, length, lanes):
                    at = 2 * c * height * width + above * width + 2 * i
                    _patch_of_columns(scratch, at, offsets, 1, flat_v, c * room + i, step_v)
            for done in range(0, filters, ROWS):
                many = filters - done > FEW
                step = ROWS if many else FEW
                for f in range(16):
                    at_u, at_v, at_m = f * u.shape[1] + done * channels, f * step_v, f * step_m
                    for i in range(0, length, VECTORS * lanes):
                        vectors = min(VECTORS, (length - i + lanes - 1) // lanes)
                        _multiply(many, vectors, flat_u, at_u, step, flat_v, at_v + i, steps, flat_m, at_m + i, room)
                for k in range(min(ROWS, filters - done)):
                    o = first_filter + done + k
                    for i in range(0, length, lanes):
                        _unpatch(flat_m, k * room + i, step_m, flat_wide, k * 4 * room + 2 * i, 2 * room)
                    at, to = k * 4 * room, ((n * y.shape[1] + o) * rows + 2 * above) * columns
                    for p in range(2 * above, min(2 * (above + lines), rows), 2):
                        _move(flat_wide, at, 1, results, to, 1, columns, bias[o])
                        if p + 1 < rows:
                            _move(flat_wide, at + 2 * room, 1, results, to + columns, 1, columns, bias[o])
                        at, to = at + width, to + 2 * columns


@_compile
def _turn(x, n, first, channels, top, left, width, out, beside):
    """Image n's channels from `first` on side by side: to out[row + top, column + left] in rows of `width` cells of `beside`."""
    every, rows, columns = x.shape[1:]
    source, zero = x.reshape(-1), x.dtype.type(0)
    for h in range(rows):
        to = ((top + h) * width + left) * beside
        for c in range(channels):
            _move(source, ((n * every + first + c) * rows + h) * columns, 1, out, to + c, beside, columns, zero)


@_compile
def winograd_weight(
    g,
    x,
    begin,
    end,
    first,
    channels,
    edge,
    offsets,
    steps,
    first_filter,
    filters,
    patches,
    turned_x,
    turned_g,
    v,
    w,
    tile,
    out,
):
    """The gradient of `winograd` by the weight, as ``G w G'`` has it: added to `out` (16, filters, channels), each up to whole vectors.

    Of an image (`turned_x`, zeros, with `edge` = (top, left) around it) and of its result's gradient (`turned_g`) the channels
    stand side by side, and so they do in `v` (16, patches of some images and one more, channels) and `w` (16, those patches, filters).
    """
    patch_rows, patch_columns = patches
    count, wide_x, wide_g = patch_rows * patch_columns, v.shape[2], w.shape[2]
    across_x, across_g = 2 * patch_columns + 2, 2 * patch_columns
    block, lanes = (v.shape[1] - 1) // count, BYTES // x.itemsize
    flat_v, flat_w, flat_tile = v.reshape(-1), w.reshape(-1), tile.reshape(-1)
    sums = out.reshape(-1)
    for n in range(begin, end, block):
        images = min(block, end - n)
        for b in range(images):
            _turn(x, n + b, first, channels, edge[0], edge[1], across_x, turned_x, wide_x)
            _turn(g, n + b, first_filter, filters, 0, 0, across_g, turned_g, wide_g)
            for p in range(patch_rows):
                for q in range(patch_columns):
                    t = b * count + p * patch_columns + q
                    for i in range(0, wide_x, lanes):
                        at = (2 * p * across_x + 2 * q) * wide_x + i
                        _patch_of_channels(turned_x, at, offsets, wide_x, flat_v, t * wide_x + i, v.shape[1] * wide_x)
                    for i in range(0, wide_g, lanes):
                        at = (2 * p * across_g + 2 * q) * wide_g + i
                        _spread(turned_g, at, wide_g, across_g * wide_g, flat_w, t * wide_g + i, w.shape[1] * wide_g)
        taken = steps[: images * count]
        for f in range(16):
            for o in range(0, wide_g, ROWS):
                at_w = f * w.shape[1] * wide_g + o
                for c in range(0, wide_x, VECTORS * lanes):
                    at_v = f * v.shape[1] * wide_x + c
                    vectors = min(VECTORS, (wide_x - c) // lanes)
                    _multiply(True, vectors, flat_w, at_w, wide_g, flat_v, at_v, taken, flat_tile, 0, VECTORS * lanes)
                    for m in range(ROWS):
                        to = np.uint64((f * wide_g + o + m) * wide_x + c)
                        for i in range(np.uint64(vectors * lanes)):
                            sums[to + i] += flat_tile[np.uint64(m * VECTORS * lanes) + i]
