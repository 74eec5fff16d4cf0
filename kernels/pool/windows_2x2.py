"""Pooling by windows of 2 by 2, side by side, as vector kernels: what `nnscratch.kernels.pool.cpu` does for all other windows.

They take C-contiguous arrays of float32 or float64, all channels of all images as one axis, and the images `begin` to `end`
of it. Rows or columns that no whole window is left for are passed over, and get no gradient.
"""

from llvmlite import ir

from .. import simd


def _lanes_of_pairs(code, count):
    """Which lanes of two vectors are among `count` pairs of elements."""
    twice = code.multiply(count, 2)
    return code.first(twice), code.first(code.builder.sub(twice, code.number(code.lanes)))


def _corners(code, start, width, lanes):
    """The corners of the windows that begin at `start`: a vector for each of the four, row by row."""
    rows = [
        (code.load_some(row, lanes[0]), code.load_some(code.at(row, code.lanes), lanes[1]))
        for row in (start, code.at(start, width))
    ]
    return [corner for row in rows for corner in code.separate(*row)]


def _second_wins(code, a, b):
    """Where b is the maximum, and not a, which stands before it: where b is greater, or nan and a is not."""
    not_a_number = code.builder.and_(code.builder.fcmp_unordered("uno", b, b), code.builder.fcmp_ordered("ord", a, a))
    return code.builder.or_(code.builder.fcmp_ordered(">", b, a), not_a_number)


@simd.kernel
def _maxima(code, x, at, width, values, index, to, count):
    """The maximum of each of `count` windows, and its place, 0 to 3."""
    byte = ir.VectorType(ir.IntType(8), code.lanes)

    def greater(a, b):
        wins = _second_wins(code, a[0], b[0])
        return [code.builder.select(wins, y, x) for x, y in zip(a, b, strict=True)]

    def piece(i, lanes):
        start, left = code.at(x, at, code.multiply(i, 2)), code.builder.sub(count, i)
        corners = _corners(code, start, width, _lanes_of_pairs(code, left))
        a, b, c, d = ((corner, ir.Constant(byte, [k] * code.lanes)) for k, corner in enumerate(corners))
        value, place = greater(greater(a, b), greater(c, d))
        code.store_some(value, code.at(values, to, i), lanes)
        code.store_some(place, code.at(index, to, i), lanes)

    code.pieces(count, piece)


@simd.kernel
def _scattered(code, g, at, index, out, to, width, count):
    """Each g to the corner of its window that the index names, 0 to the others."""
    byte = ir.VectorType(ir.IntType(8), code.lanes)

    def piece(i, lanes):
        values, places = code.load_some(code.at(g, at, i), lanes), code.load_bytes(code.at(index, at, i), lanes)
        corners = [
            code.builder.select(
                code.builder.icmp_unsigned("==", places, ir.Constant(byte, [k] * code.lanes)), values, code.zero
            )
            for k in range(4)
        ]
        inside = _lanes_of_pairs(code, code.builder.sub(count, i))
        for row in range(2):
            start = code.at(out, to, code.multiply(i, 2), code.multiply(width, row))
            for half, vector in enumerate(code.interleave(*corners[2 * row : 2 * row + 2])):
                code.store_some(vector, code.at(start, half * code.lanes), inside[half])

    code.pieces(count, piece)


@simd.compiled
def maxima(x, values, index, begin, end):
    """The first maximum (or first nan) of every window of x (M, H, W), and its place, 0 to 3 row by row: (M, H // 2, W // 2)."""
    rows, columns = values.shape[1:]
    source, target, places, width = x.reshape(-1), values.reshape(-1), index.reshape(-1), x.shape[2]
    for n in range(begin, end if columns else begin):
        for p in range(rows):
            start, to = (n * x.shape[1] + 2 * p) * width, (n * rows + p) * columns
            _maxima(source, start, width, target, places, to, columns)


@simd.compiled
def scatter(g, index, out, begin, end):
    """Every g (M, OH, OW) to the element of its window of out (M, H, W) that the index names, and 0 to all others."""
    rows, columns = g.shape[1:]
    source, places, target, width = g.reshape(-1), index.reshape(-1), out.reshape(-1), out.shape[2]
    for n in range(begin, end):
        first = n * out.shape[1] * width
        for p in range(rows if columns else 0):
            _scattered(source, (n * rows + p) * columns, places, target, first + 2 * p * width, width, columns)
        for p in range(2 * rows):
            for i in range(2 * columns, width):
                target[first + p * width + i] = 0
        for i in range(2 * rows * width, out.shape[1] * width):
            target[first + i] = 0
