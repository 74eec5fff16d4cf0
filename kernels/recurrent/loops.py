"""One step's pass over gates and state, and its gradient, as loops of float32 that Numba compiles.

Each goes through its arrays once, a vector at a time. Arrays are C-contiguous with a row for each sequence; ``z`` and ``gates`` hold
the groups of a row one after another.
"""

import numpy as np

from .. import simd
from ..elementary import Vector, at_least, at_most, exponential, exponential_less_one


def _sigmoid(x):
    """Within 1e-7 of the true value, as gates need it; beyond 40 it is as good as 0 or 1."""
    return 1 / (1 + exponential(at_most(-x, 40.0)))


def _tanh(x):
    """Without a loss of digits near 0; beyond 10 it is 1 in float32."""
    t = exponential_less_one(at_most(at_least(x, -10.0), 10.0) * 2.0)
    return t / (t + 2.0)


def _columns(code, hidden, body):
    """``body(begin, load, store)`` for vectors that make up a row of `hidden` numbers, the last of which may be shorter."""
    build = code.builder
    whole = build.sdiv(hidden, code.number(code.lanes))
    rest = build.sub(hidden, code.multiply(whole, code.lanes))

    def at(pointer, *steps):
        return code.at(pointer, *steps)

    def one(k, nothing):
        def load(*place):
            return Vector(build, code.load(at(*place)))

        def store(vector, *place):
            code.store(vector.value, at(*place))

        body(code.multiply(k, code.lanes), load, store)
        return nothing

    with build.if_then(code.greater(whole, 0)):
        code.loop(whole, [], one)
    with build.if_then(code.greater(rest, 0)):
        lanes = code.first(rest)

        def load(*place):
            return Vector(build, code.load_some(at(*place), lanes))

        def store(vector, *place):
            code.store_some(vector.value, at(*place), lanes)

        body(code.multiply(whole, code.lanes), load, store)


@simd.kernel
def _tanh_row(code, z, recurrent, bias, output, row, hidden):
    first = code.multiply(row, hidden)

    def body(j, load, store):
        total = load(z, first, j) + load(recurrent, first, j) + load(bias, j)
        store(_tanh(total), output, first, j)

    _columns(code, hidden, body)


@simd.compiled
def tanh_step(z, recurrent, bias, output):
    for row in range(output.shape[0]):
        _tanh_row(z, recurrent, bias, output, row, output.shape[1])


@simd.kernel
def _lstm_row(code, z, recurrent, bias, c_before, output, cells, row, here, earlier, hidden):
    first, past = code.multiply(row, hidden), code.multiply(earlier, hidden)
    wide, across = code.multiply(first, 4), code.multiply(code.multiply(here, hidden), 4)

    def body(j, load, store):
        def total(group):
            skip = code.multiply(hidden, group)
            return load(z, wide, skip, j) + load(recurrent, across, skip, j) + load(bias, skip, j)

        i, f, g, o = _sigmoid(total(0)), _sigmoid(total(1)), _tanh(total(2)), _sigmoid(total(3))
        c = f * load(c_before, past, j) + i * g
        for group, gate in enumerate((i, f, g, o)):
            store(gate, z, wide, code.multiply(hidden, group), j)
        store(c, cells, first, j)
        store(o * _tanh(c), output, first, j)

    _columns(code, hidden, body)


@simd.compiled
def lstm_step(z, recurrent, bias, c_before, output, cells):
    for row in range(output.shape[0]):
        _lstm_row(z, recurrent, bias, c_before, output, cells, row, row, row, output.shape[1])


@simd.kernel
def _lstm_gradient_row(code, d, d_after, d_c, gates, c_before, cells, row, here, earlier, hidden):
    first, past, own = (code.multiply(k, hidden) for k in (row, earlier, here))
    wide = code.multiply(first, 4)

    def body(j, load, store):
        i, f, g, o = (load(gates, wide, code.multiply(hidden, group), j) for group in range(4))
        t, above = _tanh(load(cells, first, j)), load(d_after, own, j)
        by_c = load(d_c, own, j) + above * o * (1 - t * t)
        for group, gradient in enumerate(
            (
                by_c * g * (i * (1 - i)),
                by_c * load(c_before, past, j) * (f * (1 - f)),
                by_c * i * (1 - g * g),
                above * t * (o * (1 - o)),
            )
        ):
            store(gradient, d, wide, code.multiply(hidden, group), j)
        store(by_c * f, d_c, own, j)

    _columns(code, hidden, body)


@simd.compiled
def lstm_step_gradient(d, d_after, d_c, gates, c_before, cells):
    for row in range(cells.shape[0]):
        _lstm_gradient_row(d, d_after, d_c, gates, c_before, cells, row, row, row, cells.shape[1])


@simd.kernel
def _gru_row(code, z, recurrent, bias, h_before, output, inner, row, here, earlier, hidden):
    first, past = code.multiply(row, hidden), code.multiply(earlier, hidden)
    wide, across = code.multiply(first, 3), code.multiply(code.multiply(here, hidden), 3)
    second, third, fourth = (code.multiply(hidden, group) for group in (1, 2, 3))

    def body(j, load, store):
        r = _sigmoid(load(z, wide, j) + load(recurrent, across, j) + load(bias, j))
        u = _sigmoid(load(z, wide, second, j) + load(recurrent, across, second, j) + load(bias, second, j))
        last = load(recurrent, across, third, j) + load(bias, fourth, j)
        new = _tanh(load(z, wide, third, j) + load(bias, third, j) + r * last)
        store(r, z, wide, j)
        store(u, z, wide, second, j)
        store(new, z, wide, third, j)
        store(last, inner, first, j)
        store(new + u * (load(h_before, past, j) - new), output, first, j)

    _columns(code, hidden, body)


@simd.compiled
def gru_step(z, recurrent, bias, h_before, output, inner):
    for row in range(output.shape[0]):
        _gru_row(z, recurrent, bias, h_before, output, inner, row, row, row, output.shape[1])


@simd.kernel
def _gru_gradient_row(code, d, d_recurrent, rest, d_after, gates, h_before, inner, row, here, earlier, hidden):
    first, past, own = (code.multiply(k, hidden) for k in (row, earlier, here))
    wide = code.multiply(first, 3)
    second, third = code.multiply(hidden, 1), code.multiply(hidden, 2)

    def body(j, load, store):
        r, u, new = load(gates, wide, j), load(gates, wide, second, j), load(gates, wide, third, j)
        above = load(d_after, own, j)
        by_new = above * (1 - u) * (1 - new * new)
        by_r = by_new * load(inner, first, j) * (r * (1 - r))
        by_u = above * (load(h_before, past, j) - new) * (u * (1 - u))
        for target in (d, d_recurrent):
            store(by_r, target, wide, j)
            store(by_u, target, wide, second, j)
        store(by_new, d, wide, third, j)
        store(by_new * r, d_recurrent, wide, third, j)
        store(above * u, rest, own, j)

    _columns(code, hidden, body)


@simd.compiled
def gru_step_gradient(d, d_recurrent, rest, d_after, gates, h_before, inner):
    for row in range(rest.shape[0]):
        _gru_gradient_row(d, d_recurrent, rest, d_after, gates, h_before, inner, row, row, row, rest.shape[1])


# All steps in one call, for layers so small that calls are what costs. Their products are not BLAS's: the weight is packed once, in
# panels of a few vectors' columns, and a block of `TALL` rows times a panel stays in the processor's registers.

TALL, VECTORS = 6, 2


def pack(weight, width):
    """A matrix (depth, columns) in panels: (columns / width, depth, width)."""
    depth, columns = weight.shape
    return np.ascontiguousarray(weight.reshape(depth, columns // width, width).transpose(1, 0, 2))


def panel_width():
    """The columns of a panel of float32."""
    return VECTORS * simd.BYTES // 4


def _block(tall):
    """The kernel that multiplies so many rows of a matrix by a panel."""

    def block(code, a, a_at, row_step, step, depth, panels, panel_at, out, out_at, columns):
        wide = code.lanes * VECTORS

        def one(k, sums):
            weights = [
                code.load(code.at(panels, panel_at, code.multiply(k, wide), v * code.lanes)) for v in range(VECTORS)
            ]
            after = []
            for r in range(tall):
                value = code.fill(
                    code.builder.load(code.at(a, a_at, code.multiply(row_step, r), code.multiply(step, k)))
                )
                after += [code.fma(value, w, s) for w, s in zip(weights, sums[r * VECTORS :], strict=False)]
            return after

        sums = code.loop(depth, [code.zero] * (tall * VECTORS), one)
        for r in range(tall):
            for v in range(VECTORS):
                code.store(sums[r * VECTORS + v], code.at(out, out_at, code.multiply(columns, r), v * code.lanes))

    return simd.kernel(block)


_block1, _block2, _block3, _block4, _block5, _block6 = (_block(tall) for tall in range(1, TALL + 1))


@simd.inner
def _strided_product(a, a_first, row_step, step, depth, panels, out, out_row, columns, rows):
    width = panels.shape[2]
    for panel in range(panels.shape[0]):
        at = panel * depth * width
        for r in range(0, rows, TALL):
            a_at, out_at, tall = a_first + r * row_step, (out_row + r) * columns + panel * width, rows - r
            if tall >= 6:
                _block6(a, a_at, row_step, step, depth, panels, at, out, out_at, columns)
            elif tall == 5:
                _block5(a, a_at, row_step, step, depth, panels, at, out, out_at, columns)
            elif tall == 4:
                _block4(a, a_at, row_step, step, depth, panels, at, out, out_at, columns)
            elif tall == 3:
                _block3(a, a_at, row_step, step, depth, panels, at, out, out_at, columns)
            elif tall == 2:
                _block2(a, a_at, row_step, step, depth, panels, at, out, out_at, columns)
            else:
                _block1(a, a_at, row_step, step, depth, panels, at, out, out_at, columns)


@simd.inner
def _product(a, a_row, depth, panels, out, out_row, columns, rows):
    """Rows of `a` (each of `depth`) times a packed weight, to as many rows of `out`."""
    _strided_product(a, a_row * depth, depth, 1, depth, panels, out, out_row, columns, rows)


@simd.compiled
def product(a, row_step, step, panels, out):
    """A matrix, whose rows and columns are so many elements apart, times a packed one."""
    _strided_product(a, 0, row_step, step, panels.shape[1], panels, out, 0, out.shape[1], out.shape[0])


@simd.inner
def _products(walk, k, output, h_0, begins, panels, recurrent):
    """The products with the state before step k."""
    hidden, columns = output.shape[1], recurrent.shape[1]
    n, earlier, count = walk[k, 1], walk[k, 2], walk[k, 3]
    _product(output, earlier, hidden, panels, recurrent, 0, columns, count)
    if begins:
        _product(h_0, count, hidden, panels, recurrent, count, columns, n - count)
    else:
        recurrent[count:n] = 0


@simd.compiled
def lstm_steps(walk, z, panels, bias, h_0, c_0, begins, output, cells, recurrent):
    hidden = output.shape[1]
    for k in range(walk.shape[0]):
        _products(walk, k, output, h_0, begins, panels, recurrent)
        first, n, earlier, count = walk[k]
        for row in range(count):
            _lstm_row(z, recurrent, bias, cells, output, cells, first + row, row, earlier + row, hidden)
        for row in range(count, n):
            _lstm_row(z, recurrent, bias, c_0, output, cells, first + row, row, row, hidden)


@simd.compiled
def gru_steps(walk, z, panels, bias, h_0, begins, output, inner, recurrent):
    hidden = output.shape[1]
    for k in range(walk.shape[0]):
        _products(walk, k, output, h_0, begins, panels, recurrent)
        first, n, earlier, count = walk[k]
        for row in range(count):
            _gru_row(z, recurrent, bias, output, output, inner, first + row, row, earlier + row, hidden)
        for row in range(count, n):
            _gru_row(z, recurrent, bias, h_0, output, inner, first + row, row, row, hidden)


@simd.inner
def _add_rows(target, source, first, n):
    if source.shape[0]:
        for row in range(n):
            for j in range(target.shape[1]):
                target[row, j] += source[first + row, j]


@simd.compiled
def lstm_step_gradients(walk, d, d_h, d_c, g_output, panels, c_0, begins, cells, gates):
    hidden = cells.shape[1]
    for k in range(walk.shape[0] - 1, -1, -1):
        first, n, earlier, count = walk[k]
        _add_rows(d_h, g_output, first, n)
        for row in range(count):
            _lstm_gradient_row(d, d_h, d_c, gates, cells, cells, first + row, row, earlier + row, hidden)
        for row in range(count, n):
            _lstm_gradient_row(d, d_h, d_c, gates, c_0, cells, first + row, row, row, hidden)
        _product(d, first, d.shape[1], panels, d_h, 0, hidden, n if begins else count)


@simd.compiled
def gru_step_gradients(walk, d, d_recurrent, rest, d_h, g_output, panels, h_0, begins, output, gates, inner):
    hidden = output.shape[1]
    for k in range(walk.shape[0] - 1, -1, -1):
        first, n, earlier, count = walk[k]
        _add_rows(d_h, g_output, first, n)
        for row in range(count):
            _gru_gradient_row(d, d_recurrent, rest, d_h, gates, output, inner, first + row, row, earlier + row, hidden)
        for row in range(count, n):
            _gru_gradient_row(d, d_recurrent, rest, d_h, gates, h_0, inner, first + row, row, row, hidden)
        onward = n if begins else count
        _product(d_recurrent, first, d.shape[1], panels, d_h, 0, hidden, onward)
        _add_rows(d_h, rest, 0, onward)
