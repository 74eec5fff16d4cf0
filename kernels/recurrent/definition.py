"""One direction of one recurrent layer, in terms of array functions: what the fast kernels mean, on the arrays of any device.

The batch is packed (see `nnscratch.ops.sequences`): ``batch_sizes`` says how many rows each step has. The input's product
is one for all steps, and so are the gradients of the weights; between them stands a step after the other: a product with the
state, and a pass over gates and state, which a `Cell` states. On a GPU this is what runs.
"""

import functools

import numpy as np

from ..activation.definition import sigmoid, tanh


@functools.lru_cache(maxsize=256)
def walk(batch_sizes, reverse):
    """The steps in their order: (first row, rows, first row of the step before, how many of the rows have one).

    Examples
    --------
    >>> walk((3, 2), False), walk((3, 2), True)
    (((0, 3, 0, 0), (3, 2, 0, 2)), ((3, 2, 0, 0), (0, 3, 3, 2)))
    """
    first = np.cumsum((0, *batch_sizes)).tolist()
    steps, before, count = [], 0, 0
    for t in reversed(range(len(batch_sizes))) if reverse else range(len(batch_sizes)):
        rows = batch_sizes[t]
        steps.append((first[t], rows, before, min(rows, count)))
        before, count = first[t], rows
    return tuple(steps)


@functools.lru_cache(maxsize=256)
def last_rows(batch_sizes, reverse):
    """Where each sequence's last step in this direction is: a slice, or an array of rows."""
    if reverse or len(batch_sizes) == 1:
        return slice(0, batch_sizes[0])
    rows = sum(batch_sizes)
    if batch_sizes[-1] == batch_sizes[0]:
        return slice(rows - batch_sizes[0], rows)
    lengths = (np.array(batch_sizes) > np.arange(batch_sizes[0])[:, None]).sum(1)
    return np.cumsum((0, *batch_sizes))[lengths - 1] + np.arange(batch_sizes[0])


@functools.lru_cache(maxsize=256)
def neighbours(batch_sizes, reverse):
    """The rows that have a step before them, and the rows of those steps: slices, or arrays of rows."""
    rows, first = sum(batch_sizes), batch_sizes[0]
    later = slice(first, rows)
    if batch_sizes[-1] == first:
        earlier = slice(0, rows - first)
    else:
        pairs = [np.arange(before, before + count) for _, _, before, count in walk(batch_sizes, False) if count]
        earlier = np.concatenate(pairs)
    return (earlier, later) if reverse else (later, earlier)


@functools.lru_cache(maxsize=256)
def beginnings(batch_sizes, reverse):
    """Where each sequence's first step in this direction is."""
    return last_rows(batch_sizes, not reverse)


def previous(states, begin, before, count, rows):
    """The state before a step: of `count` rows what a step before left, of the others what they begin with; None: all 0."""
    if count == rows:
        return states[before : before + rows]
    if begin is None:
        if count == 0:
            return None
        start = np.zeros_like(states, shape=(rows - count, states.shape[1]))
    else:
        start = begin[count:rows]
    return start if count == 0 else np.concatenate([states[before : before + count], start])


class Cell:
    """What a kind of layer does in one step, and its gradient.

    Attributes
    ----------
    groups : int
        How many groups of rows the weights have.
    states : int
        How many states go from step to step, the output first.
    inner : int
        How many arrays, of the shape of a state, a step keeps for its gradient, beside its gates.
    """

    groups, states, inner = 1, 1, 0

    def product(self, a, b):
        """``a @ b``"""
        return a @ b

    def column_sums(self, a):
        """The sums over the rows."""
        return np.sum(a, axis=0)

    def bias(self, bias_ih, bias_hh):
        """What is added to the products, or None."""
        return None if bias_ih is None else bias_ih + bias_hh

    def step(self, z, recurrent, bias, before, after, inner):
        """The input's product `z` turned into the gates, in place; the states `after` written from those `before`.

        What is 0 is None: the product with the state, the states before.
        """
        raise NotImplementedError

    def step_gradient(self, d, d_recurrent, d_after, d_others, gates, before, after, inner):
        """The gradients by the products, `d` and `d_recurrent` (one array but for a GRU), written.

        `d_after` is the gradient by the output and `d_others` that by the other states after the step; the latter are made into
        those before it. Returns the part of the gradient by the state before that does not go through the product, or None.
        """
        raise NotImplementedError

    def steps(self, z, weight_hh, bias, begin, batch_sizes, reverse, states, inner):
        """All steps, each written to its rows of `states`, `z` and `inner`."""
        across = weight_hh.T
        for first, n, earlier, count in walk(batch_sizes, reverse):
            here = slice(first, first + n)
            before = [previous(s, b, earlier, count, n) for s, b in zip(states, begin, strict=True)]
            recurrent = None if before[0] is None else self.product(before[0], across)
            self.step(z[here], recurrent, bias, before, [s[here] for s in states], [a[here] for a in inner])

    def step_gradients(
        self, d, d_recurrent, d_states, g_output, weight_hh, begin, batch_sizes, reverse, states, gates, inner
    ):
        """All steps' gradients, from the last to the first; `d_states` become those by the states to begin with."""
        for first, n, earlier, count in reversed(walk(batch_sizes, reverse)):
            here = slice(first, first + n)
            before = [previous(s, b, earlier, count, n) for s, b in zip(states, begin, strict=True)]
            d_after = d_states[0][:n]
            if g_output is not None:
                d_after += g_output[here]
            others, after = [s[:n] for s in d_states[1:]], [s[here] for s in states]
            arguments = others, gates[here], before, after, [a[here] for a in inner]
            rest = self.step_gradient(d[here], d_recurrent[here], d_after, *arguments)
            if before[0] is None:
                continue  # it would be the gradient by zeros
            through = self.product(d_recurrent[here], weight_hh)
            if rest is not None:
                through += rest
            if n == len(d_states[0]):
                d_states[0] = through
            else:
                d_after[...] = through


class Tanh(Cell):
    """``tanh(z + recurrent)``"""

    def step(self, z, recurrent, bias, before, after, inner):
        after[0][...] = self.activation(_sum(z, recurrent, bias))

    def step_gradient(self, d, d_recurrent, d_after, d_others, gates, before, after, inner):
        d[...] = d_after * self.slope(after[0])

    def activation(self, x):
        """The function."""
        return tanh(x)

    def slope(self, y):
        """Its derivative, from its value."""
        return 1 - y * y


class ReLU(Tanh):
    """``max(z + recurrent, 0)``"""

    def activation(self, x):
        """The function."""
        return np.maximum(x, 0)

    def slope(self, y):
        """Its derivative, from its value."""
        return y > 0


class LSTM(Cell):
    """``c' = σ(f) c + σ(i) tanh(g)``, ``h' = σ(o) tanh(c')``"""

    groups, states = 4, 2

    def step(self, z, recurrent, bias, before, after, inner):
        n = after[0].shape[1]
        z[...] = _sum(z, recurrent, bias)
        i, f, g, o = (z[:, k * n : (k + 1) * n] for k in range(4))
        i[...], f[...], g[...], o[...] = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        after[1][...] = i * g if before[1] is None else f * before[1] + i * g
        after[0][...] = o * tanh(after[1])

    def step_gradient(self, d, d_recurrent, d_after, d_others, gates, before, after, inner):
        n = after[0].shape[1]
        i, f, g, o = (gates[:, k * n : (k + 1) * n] for k in range(4))
        d_i, d_f, d_g, d_o = (d[:, k * n : (k + 1) * n] for k in range(4))
        t = tanh(after[1])
        (d_c,) = d_others
        d_c += d_after * o * (1 - t * t)
        d_o[...] = d_after * t * (o * (1 - o))
        d_i[...] = d_c * g * (i * (1 - i))
        d_g[...] = d_c * i * (1 - g * g)
        d_f[...] = 0 if before[1] is None else d_c * before[1] * (f * (1 - f))
        d_c *= f


class GRU(Cell):
    """``n = tanh(z_n + σ(r) recurrent_n)``, ``h' = (1 - σ(u)) n + σ(u) h``; what is kept beside r, u, n is recurrent_n."""

    groups, inner = 3, 1

    def bias(self, bias_ih, bias_hh):
        """Those of the two gates together, then the two of the new value."""
        if bias_ih is None:
            return None
        n = 2 * bias_ih.shape[0] // 3
        return np.concatenate([bias_ih[:n] + bias_hh[:n], bias_ih[n:], bias_hh[n:]])

    def step(self, z, recurrent, bias, before, after, inner):
        n = after[0].shape[1]
        r, u, new = (z[:, k * n : (k + 1) * n] for k in range(3))
        both, last = (0, 0) if recurrent is None else (recurrent[:, : 2 * n], recurrent[:, 2 * n :])
        z[:, : 2 * n] = sigmoid(_sum(z[:, : 2 * n], both, None if bias is None else bias[: 2 * n]))
        inner[0][...] = last if bias is None else last + bias[3 * n :]
        new[...] = tanh(_sum(new, r * inner[0], None if bias is None else bias[2 * n : 3 * n]))
        after[0][...] = (1 - u) * new if before[0] is None else (1 - u) * new + u * before[0]

    def step_gradient(self, d, d_recurrent, d_after, d_others, gates, before, after, inner):
        n = after[0].shape[1]
        r, u, new = (gates[:, k * n : (k + 1) * n] for k in range(3))
        d_new = d_after * (1 - u) * (1 - new * new)
        d[:, :n] = d_new * inner[0] * (r * (1 - r))
        d[:, n : 2 * n] = d_after * (-new if before[0] is None else before[0] - new) * (u * (1 - u))
        d[:, 2 * n :] = d_new
        d_recurrent[:, : 2 * n] = d[:, : 2 * n]
        d_recurrent[:, 2 * n :] = d_new * r
        return d_after * u


def _sum(z, recurrent, bias):
    total = z if recurrent is None else z + recurrent
    return total if bias is None else total + bias


def forward(cell, x, weight_ih, weight_hh, bias_ih, bias_hh, begin, batch_sizes, reverse):
    """A layer in one direction.

    Parameters
    ----------
    cell : Cell
    x : (rows, in)
    weight_ih, weight_hh : (groups H, in), (groups H, H)
    bias_ih, bias_hh : (groups H,) or None
    begin : list of (N, H) or None
        The states to begin with; None: zeros.
    batch_sizes : tuple of int
    reverse : bool

    Returns
    -------
    states : list of (rows, H)
        Those after each step, the output first.
    final : list of (N, H)
        Those after each sequence's last step.
    gates : (rows, groups H)
    inner : list of (rows, H)
    """
    rows, hidden = x.shape[0], weight_hh.shape[1]
    gates = cell.product(x, weight_ih.T)
    states = [np.empty_like(x, shape=(rows, hidden)) for _ in range(cell.states)]
    inner = [np.empty_like(x, shape=(rows, hidden)) for _ in range(cell.inner)]
    cell.steps(gates, weight_hh, cell.bias(bias_ih, bias_hh), begin, batch_sizes, reverse, states, inner)
    last = last_rows(batch_sizes, reverse)
    return states, [s[last].copy() if type(last) is slice else s[last] for s in states], gates, inner


def backward(
    cell, g_output, g_final, x, weight_ih, weight_hh, begin, batch_sizes, reverse, states, gates, inner, wanted
):
    """The gradients of `forward`.

    Parameters
    ----------
    g_output, g_final : (rows, H) and list of (N, H)
        The gradients by the output and by the final states; None: 0.
    wanted : set of str
        Which gradients are wanted.
    cell, x, weight_ih, weight_hh, begin, batch_sizes, reverse, states, gates, inner
        As `forward` got and returned them.

    Returns
    -------
    dict of str to array
        The gradients by "x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h_0" and "c_0", those that are wanted.
    """
    d = np.empty_like(gates)
    d_recurrent = d if cell.inner == 0 else np.empty_like(gates)
    size = (batch_sizes[0], weight_hh.shape[1])
    d_states = [np.zeros_like(x, shape=size) if g is None else g.copy() for g in g_final]
    cell.step_gradients(
        d, d_recurrent, d_states, g_output, weight_hh, begin, batch_sizes, reverse, states, gates, inner
    )
    found = {}
    if "x" in wanted:
        found["x"] = cell.product(d, weight_ih)
    if "weight_ih" in wanted:
        found["weight_ih"] = cell.product(d.T, x)
    if "weight_hh" in wanted:
        rows, earlier = neighbours(batch_sizes, reverse)
        found["weight_hh"] = cell.product(d_recurrent[rows].T, states[0][earlier])
        if begin[0] is not None:
            found["weight_hh"] += cell.product(d_recurrent[beginnings(batch_sizes, reverse)].T, begin[0])
    if "bias_ih" in wanted or "bias_hh" in wanted:
        found["bias_ih"] = found["bias_hh"] = cell.column_sums(d)
        if d_recurrent is not d:
            found["bias_hh"] = cell.column_sums(d_recurrent)
    return found | {name: s for name, s in zip(("h_0", "c_0"), d_states, strict=False) if name in wanted}


TANH, RELU, LSTM_CELL, GRU_CELL = Tanh(), ReLU(), LSTM(), GRU()


def in_float32(kernel):
    """A kernel that computes with float16 as float32: sums of float16 have too few digits."""

    def narrowed(value, dtype):
        if isinstance(value, tuple):
            return tuple(narrowed(v, dtype) for v in value)
        return value.astype(dtype) if hasattr(value, "dtype") else value

    @functools.wraps(kernel)
    def computed(*arguments):
        if not any(getattr(a, "dtype", None) == np.float16 for a in arguments):
            return kernel(*arguments)
        return narrowed(kernel(*(narrowed(a, np.float32) for a in arguments)), np.float16)

    return computed


def kernels(tanh_cell, relu_cell, lstm_cell, gru_cell):
    """The kernels for such cells: `rnn`, `lstm`, `gru` and their gradients, as the operations of these names take them."""

    @in_float32
    def rnn(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse, nonlinearity):
        cell = relu_cell if nonlinearity == "relu" else tanh_cell
        arrays = x, weight_ih, weight_hh, bias_ih, bias_hh
        (output,), (h_n,), _, _ = forward(cell, *arrays, [h_0], batch_sizes, reverse)
        return output, h_n

    @in_float32
    def rnn_gradients(
        g_output, g_h_n, x, weight_ih, weight_hh, h_0, batch_sizes, reverse, nonlinearity, output, *wanted
    ):
        cell, gates = relu_cell if nonlinearity == "relu" else tanh_cell, output
        given = g_output, [g_h_n], x, weight_ih, weight_hh, [h_0], batch_sizes, reverse
        found = backward(cell, *given, [output], gates, [], wanted)
        return tuple(found.get(name) for name in NAMES[:6])

    @in_float32
    def lstm(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, c_0, batch_sizes, reverse):
        arrays = x, weight_ih, weight_hh, bias_ih, bias_hh
        (output, cells), (h_n, c_n), gates, _ = forward(lstm_cell, *arrays, [h_0, c_0], batch_sizes, reverse)
        return output, h_n, c_n, gates, cells

    @in_float32
    def lstm_gradients(
        g_output, g_h_n, g_c_n, x, weight_ih, weight_hh, h_0, c_0, batch_sizes, reverse, output, gates, cells, *wanted
    ):
        given = g_output, [g_h_n, g_c_n], x, weight_ih, weight_hh, [h_0, c_0], batch_sizes, reverse
        found = backward(lstm_cell, *given, [output, cells], gates, [], wanted)
        return tuple(found.get(name) for name in NAMES)

    @in_float32
    def gru(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse):
        arrays = x, weight_ih, weight_hh, bias_ih, bias_hh
        (output,), (h_n,), gates, (inner,) = forward(gru_cell, *arrays, [h_0], batch_sizes, reverse)
        return output, h_n, gates, inner

    @in_float32
    def gru_gradients(
        g_output, g_h_n, x, weight_ih, weight_hh, h_0, batch_sizes, reverse, output, gates, inner, *wanted
    ):
        given = g_output, [g_h_n], x, weight_ih, weight_hh, [h_0], batch_sizes, reverse
        found = backward(gru_cell, *given, [output], gates, [inner], wanted)
        return tuple(found.get(name) for name in NAMES[:6])

    return rnn, rnn_gradients, lstm, lstm_gradients, gru, gru_gradients


#: The inputs that have gradients, in the order of the results of the gradients' kernels.
NAMES = ("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h_0", "c_0")

#: The kernels' names, in the order in which `kernels` returns them.
KERNELS = ("rnn", "rnn_gradients", "lstm", "lstm_gradients", "gru", "gru_gradients")

rnn, rnn_gradients, lstm, lstm_gradients, gru, gru_gradients = kernels(TANH, RELU, LSTM_CELL, GRU_CELL)
