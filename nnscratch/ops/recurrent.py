"""Recurrent layers: what one step does to the state, as formulas, and a layer as its steps one after another.

A layer works on a packed batch (see `nnscratch.ops.sequences`): the rows of a step lie together, and sequences that are
at their end are not among them. The two directions differ in the order of the steps alone: backwards, a sequence joins at its
own last step.
"""

from functools import partial

import numpy as np

from nnscratch.arguments import count, flag, number
from nnscratch.autograd import came, describe, enable_grad, grad, op
from nnscratch.ops.activation import relu, sigmoid
from nnscratch.ops.dropout import dropout as drop
from nnscratch.ops.elementwise import tanh
from nnscratch.ops.index import take
from nnscratch.ops.linear import linear
from nnscratch.ops.operands import backend_of, floating_point
from nnscratch.ops.sequences import PackedSequence, check_batch_sizes, packed, pad_packed_sequence
from nnscratch.ops.shape import concatenate, expand_dims, reshape, split, squeeze, stack, swapaxes
from nnscratch.sample_inputs import Case, normal
from nnscratch.tensor import Tensor

# One step: the definition. Each takes the rows of a step, the state before and the weights, and returns the state after.


def rnn_step(x, h, weight_ih, weight_hh, bias_ih=None, bias_hh=None, nonlinearity="tanh"):
    """The formula of `rnn_cell`."""
    f = {"tanh": tanh, "relu": relu}[nonlinearity]
    return (f(linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)),)


def lstm_step(x, h, c, weight_ih, weight_hh, bias_ih=None, bias_hh=None):
    """The formula of `lstm_cell`."""
    i, f, g, o = split(linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh), 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_step(x, h, weight_ih, weight_hh, bias_ih=None, bias_hh=None):
    """The formula of `gru_cell`."""
    r_x, z_x, n_x = split(linear(x, weight_ih, bias_ih), 3, axis=1)
    r_h, z_h, n_h = split(linear(h, weight_hh, bias_hh), 3, axis=1)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = tanh(n_x + r * n_h)
    return ((1 - z) * n + z * h,)


# A layer, step by step


def by_steps(step, x, state, weights, batch_sizes, reverse):
    """One direction of one layer: a step for the rows of each in a packed batch.

    Parameters
    ----------
    step : callable
        `rnn_step`, `lstm_step` or `gru_step`.
    x : (rows, in)
    state : list of (N, H)
    weights : list
    batch_sizes : tuple of int
    reverse : bool
        From the last step to the first.

    Returns
    -------
    output : (rows, H)
    state : list of (N, H)
        That of each sequence after its last step in this direction.
    """
    rows = split(x, np.cumsum(batch_sizes)[:-1].tolist())
    outputs = list(rows)
    for t in reversed(range(len(rows))) if reverse else range(len(rows)):
        n = batch_sizes[t]
        new = step(rows[t], *(s if n == len(s) else s[:n] for s in state), *weights)
        outputs[t] = new[0]
        # the others are at their end, or have not begun
        state = [a if n == len(s) else concatenate([a, s[n:]]) for a, s in zip(new, state, strict=True)]
    return concatenate(outputs), state


# A cell: one step of one layer


def rnn_cell(x, hx, weight_ih, weight_hh, bias_ih=None, bias_hh=None, nonlinearity="tanh"):
    r"""One step of a plain recurrent layer (Elman, 1990).

    .. math:: h' = \tanh(x W_{ih}^\top + b_{ih} + h W_{hh}^\top + b_{hh})

    Parameters
    ----------
    x : (N, in) or (in,)
    hx : (N, H) or (H,), or None
        The state before, h; None: zeros.
    weight_ih, weight_hh : (H, in), (H, H)
    bias_ih, bias_hh : (H,), optional
    nonlinearity : "tanh" or "relu"

    Returns
    -------
    h', in the shape of h.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> one = ns.tensor([[1.0]])
    >>> ns.functional.rnn_cell(one, one * 0, one * 0.5, one)
    tensor([[0.4621172]])
    """
    kind = _plain("rnn_cell", nonlinearity)
    (h,) = _one_step("rnn_cell", kind, x, None if hx is None else (hx,), weight_ih, weight_hh, bias_ih, bias_hh)
    return h


def lstm_cell(x, hx, weight_ih, weight_hh, bias_ih=None, bias_hh=None):
    r"""One step of a layer of long short-term memory (Hochreiter & Schmidhuber, 1997; Gers et al., 2000).

    .. math::

        i, f, g, o &= \text{the quarters of } x W_{ih}^\top + b_{ih} + h W_{hh}^\top + b_{hh} \\
        c' &= \sigma(f) \odot c + \sigma(i) \odot \tanh(g) \\
        h' &= \sigma(o) \odot \tanh(c')

    Parameters
    ----------
    x : (N, in) or (in,)
    hx : (h, c), (N, H) or (H,) each, or None
        The state before: what the layer put out, and its memory. None: zeros.
    weight_ih, weight_hh : (4 H, in), (4 H, H)
        The rows of the input gate, of the forget gate, of the new value and of the output gate, in this order.
    bias_ih, bias_hh : (4 H,), optional

    Returns
    -------
    h', c', in the shape of h and c.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> one, four = ns.tensor([[1.0]]), ns.tensor([[0.0]] * 4)
    >>> ns.functional.lstm_cell(one, (one, one), four, four)
    (tensor([[0.2310586]]), tensor([[0.5]]))
    """
    return _one_step("lstm_cell", _LSTM, x, hx, weight_ih, weight_hh, bias_ih, bias_hh)


def gru_cell(x, hx, weight_ih, weight_hh, bias_ih=None, bias_hh=None):
    r"""One step of a layer of gated recurrent units (Cho et al., 2014), the reset gate after the product, as in cuDNN.

    .. math::

        r &= \sigma(x W_{ir}^\top + b_{ir} + h W_{hr}^\top + b_{hr}) \\
        z &= \sigma(x W_{iz}^\top + b_{iz} + h W_{hz}^\top + b_{hz}) \\
        n &= \tanh(x W_{in}^\top + b_{in} + r \odot (h W_{hn}^\top + b_{hn})) \\
        h' &= (1 - z) \odot n + z \odot h

    Parameters
    ----------
    x : (N, in) or (in,)
    hx : (N, H) or (H,), or None
        The state before, h; None: zeros.
    weight_ih, weight_hh : (3 H, in), (3 H, H)
        The rows of the reset gate, of the update gate and of the new value, in this order.
    bias_ih, bias_hh : (3 H,), optional

    Returns
    -------
    h', in the shape of h.

    Raises
    ------
    TypeError, ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> one, three = ns.tensor([[1.0]]), ns.tensor([[0.0]] * 3)
    >>> ns.functional.gru_cell(one, one, three, three)
    tensor([[0.5]])
    """
    (h,) = _one_step("gru_cell", _GRU, x, None if hx is None else (hx,), weight_ih, weight_hh, bias_ih, bias_hh)
    return h


def _one_step(name, kind, x, hx, *weights):
    """The tuple of the states after one step."""
    x = floating_point(name, "x", x)
    batched = len(x.shape) == 2
    if len(x.shape) not in (1, 2) or 0 in x.shape[:-1]:
        raise ValueError(f"{name}: x is {describe(x)}, expected (N, in), or (in,) for one sample; reshape it")
    rows = PackedSequence(x if batched else expand_dims(x, 0), (x.shape[0] if batched else 1,))
    (weights,) = _by_layer(name, [w for w in weights if w is not None], 1, 4 if weights[2] is not None else 2)
    hidden = _check_weights(name, kind.groups, rows.data, [weights], None)
    shape = (rows.batch_sizes[0], hidden) if batched else (hidden,)
    hx = _begin(name, hx, kind.states, shape, "batch, hidden" if batched else "hidden", rows.data)
    if not batched:
        hx = [s if s is None else expand_dims(s, 0) for s in hx]
    _, state = kind.layer(rows.data, hx, weights, rows.batch_sizes, False, True)
    return tuple(state if batched else (squeeze(s, 0) for s in state))


# A layer in one direction as one operation. Its second derivatives are those of its steps one after another.


def _samples(groups, states, *settings):
    """Sample rows: with everything; with a batch whose sequences end at different steps; without biases and states."""
    weights, biases = (normal(groups * 2, 3), normal(groups * 2, 2)), (normal(groups * 2), normal(groups * 2))
    begin = [normal(2, 2) for _ in range(states)]
    return (
        Case(normal(4, 3), *weights, *biases, *begin, (2, 2), False, *settings),
        Case(normal(3, 3), *weights, *biases, *begin, (2, 1), True, *settings),
        Case(normal(3, 3), *weights, None, None, *(None for _ in range(states)), (2, 1), False, *settings),
    )


def _check_layer(name, groups, x, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, *begin):
    """See that the arrays of a layer fit each other."""
    given = {"x": x, "weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": bias_ih, "bias_hh": bias_hh}
    given |= dict(zip(("h_0", "c_0"), begin, strict=False))
    for what in ("x", "weight_ih", "weight_hh"):
        if len(getattr(given[what], "shape", ())) != 2:
            raise ValueError(f"{name}: {what} is {describe(given[what])}, expected a matrix; reshape it")
    if not isinstance(batch_sizes, tuple):
        raise TypeError(f"{name}: batch_sizes are {describe(batch_sizes)}, expected a tuple of int; pass tuple(...)")
    check_batch_sizes(name, x, batch_sizes)
    hidden = weight_hh.shape[1]
    wanted = {
        "x": (x.shape[0], x.shape[1]),
        "weight_ih": (groups * hidden, x.shape[1]),
        "weight_hh": (groups * hidden, hidden),
        "bias_ih": (groups * hidden,),
        "bias_hh": (groups * hidden,),
        "h_0": (batch_sizes[0], hidden),
        "c_0": (batch_sizes[0], hidden),
    }
    for what, value in given.items():
        if value is None:
            continue
        if getattr(value, "shape", None) != wanted[what] or value.dtype != x.dtype or x.dtype.kind != "f":
            raise ValueError(
                f"{name}: {what} is {describe(value)}, expected {wanted[what]} in one floating-point dtype, for {hidden} states and "
                f"{x.shape[1]} features; check the shapes, or convert with .astype"
            )
    if (bias_ih is None) != (bias_hh is None):
        raise ValueError(f"{name}: got one of the two biases; pass both, or None for both")


def _is_recorded(*values):
    """Whether a rule was handed Tensors: then its own operations are to be recorded."""
    return any(isinstance(v, Tensor) for v in values)


def _through_steps(step, gradients, x, state, weights, batch_sizes, reverse):
    """The gradients by x, the weights and the states, in the order in which an operation has them, as Tensors with a graph of their own.

    They are taken of the steps one after another, each of their inputs entering by a node of its own: gradients by one must not go
    through what another was made of.
    """
    inputs = [x, *weights, *state]
    entered = [reshape(v, v.shape) if isinstance(v, Tensor) else v for v in inputs]
    with enable_grad():
        own_weights, own_state = entered[1 : 1 + len(weights)], entered[1 + len(weights) :]
        if own_state[0] is None:
            zeros = backend_of(x).zeros((batch_sizes[0], weights[1].shape[1]), x.dtype)
            own_state = [zeros] * len(own_state)
        output, final = by_steps(step, entered[0], own_state, own_weights, batch_sizes, reverse)
        total = sum((y * g).sum() for y, g in zip((output, *final), gradients, strict=True) if came(g))
        asked = [k for k, v in enumerate(entered) if isinstance(v, Tensor) and v.requires_grad]
        found = dict(zip(asked, grad(total, [entered[k] for k in asked], create_graph=True), strict=True))
    return tuple(found.get(k) for k in range(len(inputs)))


def _given(*gradients):
    """Gradients for a kernel, None where none came."""
    return [g if came(g) else None for g in gradients]


@op(
    outputs=("output", "h_n"),
    formula=r"output_t = h_t = f(x_t W_{ih}^\top + b_{ih} + h_{t-1} W_{hh}^\top + b_{hh}), \quad f = \tanh \text{ or } \mathrm{relu}",
    derivative=r"\delta W_{ih} \text{ for } \delta_t = (g_{output} + \delta_{t+1} W_{hh}) \odot f', \quad \delta^\top x, \quad "
    r"\textstyle\sum_t \delta_t^\top h_{t-1}, \quad \sum_t \delta_t, \quad \sum_t \delta_t, \quad \delta_1 W_{hh}",
    document="Elman, 1990; through time: Werbos, 1990",
    kernel="recurrent.rnn",
    samples=(*_samples(1, 1), _samples(1, 1, "relu")[1]),
)
def rnn_layer(
    x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse=False, nonlinearity="tanh",
):  # fmt: skip
    """One direction of a plain recurrent layer, over the steps of a packed batch; see `rnn_cell` for the formula.

    Parameters
    ----------
    x : (rows, in)
        The rows of all steps one after another.
    weight_ih, weight_hh : (H, in), (H, H)
    bias_ih, bias_hh : (H,) or None
    h_0 : (N, H) or None
    batch_sizes : tuple of int
        How many rows each step has; never more than the one before.
    reverse : bool
        From the last step to the first.
    nonlinearity : "tanh" or "relu"

    Returns
    -------
    output : (rows, H)
    h_n : (N, H)

    Raises
    ------
    TypeError, ValueError
        Where shapes, dtypes or settings do not fit.
    """
    _check_layer("rnn_layer", 1, x, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, h_0)
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"rnn_layer: nonlinearity is {nonlinearity!r}; pass 'tanh' or 'relu'")
    return rnn_layer.kernel(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse, nonlinearity)


@rnn_layer.rule("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h_0")
def _(
    g_output, g_h_n, x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse, nonlinearity, output, wanted
):
    if _is_recorded(g_output, g_h_n):
        step, weights = partial(rnn_step, nonlinearity=nonlinearity), [weight_ih, weight_hh, bias_ih, bias_hh]
        return _through_steps(step, (g_output, g_h_n), x, [h_0], weights, batch_sizes, reverse)
    kernel = backend_of(x).kernel("recurrent.rnn_gradients")
    settings = batch_sizes, reverse, nonlinearity
    return kernel(*_given(g_output, g_h_n), x, weight_ih, weight_hh, h_0, *settings, output, *wanted)


@op(
    outputs=("output", "h_n", "c_n", "gates", "cells"),
    constant_outputs=("gates", "cells"),
    formula=r"i, f, g, o = \sigma, \sigma, \tanh, \sigma \text{ of } x_t W_{ih}^\top + b_{ih} + h_{t-1} W_{hh}^\top + b_{hh}, \quad "
    r"c_t = f \odot c_{t-1} + i \odot g, \quad output_t = h_t = o \odot \tanh c_t",
    derivative=r"\delta W_{ih} \text{ for } \delta_t \text{ by the gates' sums, from } g_{output} + \delta_{t+1} W_{hh} \text{ and } "
    r"f_{t+1} \odot g_{c,t+1}, \quad \delta^\top x, \quad \textstyle\sum_t \delta_t^\top h_{t-1}, \quad \sum_t \delta_t, \quad "
    r"\sum_t \delta_t, \quad \delta_1 W_{hh}, \quad f_1 \odot g_{c,1}",
    document="Hochreiter & Schmidhuber, 1997; Gers, Schmidhuber & Cummins, 2000",
    kernel="recurrent.lstm",
    samples=_samples(4, 2),
)
def lstm_layer(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, c_0, batch_sizes, reverse=False):
    """One direction of a layer of long short-term memory, over the steps of a packed batch; see `lstm_cell` for the formula.

    Parameters
    ----------
    x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse
        As for `rnn_layer`, the weights with 4 H rows.
    c_0 : (N, H) or None

    Returns
    -------
    output : (rows, H)
    h_n, c_n : (N, H)
    gates, cells : (rows, 4 H), (rows, H)
        i, f, g, o and c of each row, which the gradient needs.

    Raises
    ------
    TypeError, ValueError
        Where shapes or dtypes do not fit.
    """
    _check_layer("lstm_layer", 4, x, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, h_0, c_0)
    return lstm_layer.kernel(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, c_0, batch_sizes, reverse)


@lstm_layer.rule("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h_0", "c_0")
def _(
    g_output, g_h_n, g_c_n, x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, c_0, batch_sizes, reverse, output, gates,
    cells, wanted,
):  # fmt: skip
    if _is_recorded(g_output, g_h_n, g_c_n):
        weights = [weight_ih, weight_hh, bias_ih, bias_hh]
        return _through_steps(lstm_step, (g_output, g_h_n, g_c_n), x, [h_0, c_0], weights, batch_sizes, reverse)
    kernel = backend_of(x).kernel("recurrent.lstm_gradients")
    arrays, kept = (x, weight_ih, weight_hh, h_0, c_0), (output, gates, cells)
    return kernel(*_given(g_output, g_h_n, g_c_n), *arrays, batch_sizes, reverse, *kept, *wanted)


@op(
    outputs=("output", "h_n", "gates", "inner"),
    constant_outputs=("gates", "inner"),
    formula=r"r, z = \sigma \text{ of } x_t W_{i\cdot}^\top + b_{i\cdot} + h_{t-1} W_{h\cdot}^\top + b_{h\cdot}, \quad "
    r"n = \tanh(x_t W_{in}^\top + b_{in} + r \odot (h_{t-1} W_{hn}^\top + b_{hn})), \quad "
    r"output_t = h_t = (1 - z) \odot n + z \odot h_{t-1}",
    derivative=r"\delta W_{ih} \text{ for } \delta_t, \varepsilon_t \text{ by the sums of x and of h, from } g_{output} + "
    r"z_{t+1} \odot g_{h,t+1} + \varepsilon_{t+1} W_{hh}, \quad \delta^\top x, \quad \textstyle\sum_t \varepsilon_t^\top h_{t-1}, "
    r"\quad \sum_t \delta_t, \quad \sum_t \varepsilon_t, \quad z_1 \odot g_{h,1} + \varepsilon_1 W_{hh}",
    document="Cho et al., 2014; the reset gate after the product: Appleyard et al., 2016 (cuDNN)",
    kernel="recurrent.gru",
    samples=_samples(3, 1),
)
def gru_layer(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse=False):
    """One direction of a layer of gated recurrent units, over the steps of a packed batch; see `gru_cell` for the formula.

    Parameters
    ----------
    x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse
        As for `rnn_layer`, the weights with 3 H rows.

    Returns
    -------
    output : (rows, H)
    h_n : (N, H)
    gates, inner : (rows, 3 H), (rows, H)
        r, z, n and the product within n, of each row, which the gradient needs.

    Raises
    ------
    TypeError, ValueError
        Where shapes or dtypes do not fit.
    """
    _check_layer("gru_layer", 3, x, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, h_0)
    return gru_layer.kernel(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse)


@gru_layer.rule("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h_0")
def _(
    g_output, g_h_n, x, weight_ih, weight_hh, bias_ih, bias_hh, h_0, batch_sizes, reverse, output, gates, inner, wanted
):
    if _is_recorded(g_output, g_h_n):
        weights = [weight_ih, weight_hh, bias_ih, bias_hh]
        return _through_steps(gru_step, (g_output, g_h_n), x, [h_0], weights, batch_sizes, reverse)
    kernel = backend_of(x).kernel("recurrent.gru_gradients")
    arrays, kept = (x, weight_ih, weight_hh, h_0), (output, gates, inner)
    return kernel(*_given(g_output, g_h_n), *arrays, batch_sizes, reverse, *kept, *wanted)


class _Kind:
    """A kind of layer: its step, its operation, and what they are called with beside arrays."""

    def __init__(self, groups, states, step, operation, *settings):
        self.groups, self.states, self.step, self.operation, self.settings = groups, states, step, operation, settings

    def layer(self, x, state, weights, batch_sizes, reverse, fused):
        """One direction: output and states, by the operation, or by steps where it is not to be `fused`."""
        if len(weights) == 2:
            weights = [*weights, None, None]
        if fused:
            output, *final = self.operation(x, *weights, *state, batch_sizes, reverse, *self.settings)
            return output, final[: self.states]
        if state[0] is None:
            zeros = backend_of(x).zeros((batch_sizes[0], weights[1].shape[1]), x.dtype)
            state = [zeros] * self.states
        return by_steps(self.step, x, state, weights, batch_sizes, reverse)


_TANH = _Kind(1, 1, rnn_step, rnn_layer)
_RELU = _Kind(1, 1, partial(rnn_step, nonlinearity="relu"), rnn_layer, "relu")
_LSTM = _Kind(4, 2, lstm_step, lstm_layer)
_GRU = _Kind(3, 1, gru_step, gru_layer)


def _plain(name, nonlinearity):
    """The kind of plain layer with that function."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'; pass one of them")
    return _RELU if nonlinearity == "relu" else _TANH


# Layers upon each other, in both directions


def rnn(
    x, hx, weights, has_biases=True, num_layers=1, dropout=0.0, training=False, bidirectional=False, batch_first=False,
    lengths=None, nonlinearity="tanh", fused=True,
):  # fmt: skip
    """Plain recurrent layers upon each other: `rnn_cell` for each step; arguments and results as for `lstm`, the state is h alone.

    Parameters
    ----------
    x, hx, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths, fused
        As for `lstm`; `hx` is one array, and the weights have H rows.
    nonlinearity : "tanh" or "relu"

    Returns
    -------
    output, h_n

    Raises
    ------
    TypeError, ValueError
        Where shapes, lengths or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> weights = [np.ones((2, 3)), np.ones((2, 2)), np.zeros(2), np.zeros(2)]
    >>> output, h_n = ns.functional.rnn(ns.tensor(np.ones((5, 1, 3))), None, weights)
    >>> output.shape, h_n.shape
    ((5, 1, 2), (1, 1, 2))
    """
    kind = _plain("rnn", nonlinearity)
    settings = has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths, fused
    output, states = _stacked("rnn", kind, x, None if hx is None else (hx,), weights, *settings)
    return output, states[0]


def lstm(
    x, hx, weights, has_biases=True, num_layers=1, dropout=0.0, training=False, bidirectional=False, batch_first=False,
    lengths=None, fused=True,
):  # fmt: skip
    """Layers of long short-term memory upon each other: `lstm_cell` for each step of each layer.

    Parameters
    ----------
    x : (steps, N, in), (N, steps, in) with `batch_first`, (steps, in) for one sequence, or PackedSequence
        Tensor or array of floating-point numbers.
    hx : (h_0, c_0) or None
        The states to begin with, (layers x directions, N, H) each, without N for one sequence; None: zeros.
    weights : list of Tensor or array
        For each layer, and in it for each direction: weight_ih (4 H, in), weight_hh (4 H, H), and with `has_biases` bias_ih and
        bias_hh (4 H,). A further layer's input is the output of the layer below, of both directions.
    has_biases : bool
    num_layers : int
    dropout : float
        The probability with which a value is dropped after each layer but the last, in training.
    training, bidirectional, batch_first : bool
    lengths : sequence of int, optional
        How many steps of each sequence are no padding: none is computed of the others, the output there is 0, the backward
        direction begins at each sequence's own end, and the final state is that after its last step.
    fused : bool
        Each direction of each layer as one operation; False: every step as its operations, which `ns.graph` and `ns.explain` then
        show in the order of time. The values are the same but for rounding.

    Returns
    -------
    output
        (steps, N, directions x H), or as `x` is laid out; a PackedSequence for one.
    (h_n, c_n)
        The states after the last step, of the shape of `hx`.

    Raises
    ------
    TypeError, ValueError
        Where shapes, lengths or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> weights = [np.ones((8, 3)), np.ones((8, 2)), np.zeros(8), np.zeros(8)]
    >>> output, (h_n, c_n) = ns.functional.lstm(ns.tensor(np.ones((5, 1, 3))), None, weights)
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 1, 2), (1, 1, 2), (1, 1, 2))
    """
    settings = has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths, fused
    return _stacked("lstm", _LSTM, x, hx, weights, *settings)


def gru(
    x, hx, weights, has_biases=True, num_layers=1, dropout=0.0, training=False, bidirectional=False, batch_first=False,
    lengths=None, fused=True,
):  # fmt: skip
    """Layers of gated recurrent units upon each other: `gru_cell` for each step; arguments and results as for `lstm`, the state is h alone.

    Parameters
    ----------
    x, hx, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths, fused
        As for `lstm`; `hx` is one array, and the weights have 3 H rows.

    Returns
    -------
    output, h_n

    Raises
    ------
    TypeError, ValueError
        Where shapes, lengths or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> weights = [np.ones((6, 3)), np.ones((6, 2)), np.zeros(6), np.zeros(6)]
    >>> output, h_n = ns.functional.gru(ns.tensor(np.ones((5, 1, 3))), None, weights)
    >>> output.shape, h_n.shape
    ((5, 1, 2), (1, 1, 2))
    """
    settings = has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths, fused
    output, states = _stacked("gru", _GRU, x, None if hx is None else (hx,), weights, *settings)
    return output, states[0]


def _stacked(
    name, kind, x, hx, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths, fused,
):  # fmt: skip
    """Layers upon each other: the output, and the tuple of the states."""
    num_layers, dropout = count(name, "num_layers", num_layers), number(name, "dropout", dropout, 0, 1, "[)")
    directions = 1 + flag(name, "bidirectional", bidirectional)
    weights = _by_layer(name, weights, num_layers * directions, 4 if has_biases else 2)
    sequences, laid_out, batched = _as_rows(name, x, batch_first, lengths)
    rows, sizes = sequences.data, sequences.batch_sizes
    hidden = _check_weights(name, kind.groups, rows, weights, directions)
    shape, words = (len(weights), sizes[0], hidden), "layers x directions, batch, hidden"
    if not batched:
        shape, words = (len(weights), hidden), "layers x directions, hidden"
    hx = _begin(name, hx, kind.states, shape, words, rows)
    if not batched and hx[0] is not None:
        hx = [expand_dims(s, 1) for s in hx]
    if sequences.sorted_indices is not None and hx[0] is not None:
        hx = [take(s, sequences.sorted_indices, 1) for s in hx]

    final = []
    for k in range(num_layers):
        outputs = []
        for d in range(directions):
            place = k * directions + d
            begin = [s if s is None else s[place] for s in hx]
            output, state = kind.layer(rows, begin, weights[place], sizes, d == 1, fused)
            outputs.append(output)
            final.append(state)
        rows = outputs[0] if directions == 1 else concatenate(outputs, axis=1)
        if dropout and k < num_layers - 1:
            rows = drop(rows, dropout, training)
    final = [stack(s) if len(s) > 1 else expand_dims(s[0], 0) for s in zip(*final, strict=True)]
    if sequences.unsorted_indices is not None:
        final = [take(s, sequences.unsorted_indices, 1) for s in final]
    return laid_out(rows), tuple(final if batched else (squeeze(s, 1) for s in final))


def _by_layer(name, weights, places, each):
    """The list of weights in groups, one for each layer and direction."""
    if not isinstance(weights, list | tuple) or len(weights) != places * each:
        given = len(weights) if isinstance(weights, list | tuple) else describe(weights)
        raise ValueError(
            f"{name}: weights are {given}, expected a list of {places * each} arrays, {each} for each layer and direction; "
            f"check num_layers, bidirectional and has_biases"
        )
    weights = [floating_point(name, "a weight", w) for w in weights]
    return [weights[k : k + each] for k in range(0, len(weights), each)]


def _as_rows(name, x, batch_first, lengths):
    """The input as a packed batch, the function that lays the output out as the input was, and whether it is a batch."""
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise ValueError(f"{name}: got lengths for a PackedSequence, which has its own; leave them out")
        floating_point(name, "x", x.data)
        return x, x.with_data, True
    x = floating_point(name, "x", x)
    batched = len(x.shape) == 3
    if len(x.shape) not in (2, 3) or 0 in x.shape[:-1]:
        words = "(N, steps, in)" if batch_first else "(steps, N, in)"
        raise ValueError(
            f"{name}: x is {describe(x)}, expected {words}, or (steps, in) for one sequence, with at least one step; reshape it"
        )
    if not batched:
        x = expand_dims(x, 0 if batch_first else 1)
    steps, batch = (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
    if lengths is not None:
        sequences = packed(x, lengths, batch_first, False, name)

        def laid_out(rows):
            y, _ = pad_packed_sequence(sequences.with_data(rows), batch_first, total_length=steps)
            return y if batched else squeeze(y, 0 if batch_first else 1)

        return sequences, laid_out, batched

    def by_step(rows):
        y = reshape(rows, (steps, batch, rows.shape[1]))
        y = swapaxes(y, 0, 1) if batch_first else y
        return y if batched else squeeze(y, 0 if batch_first else 1)

    x = swapaxes(x, 0, 1) if batch_first else x
    return PackedSequence(reshape(x, (steps * batch, x.shape[2])), (batch,) * steps), by_step, batched


def _check_weights(name, gates, rows, weights, directions):
    """See that the weights fit each other and the input; returns the length of the state. A cell has no `directions`."""
    hidden = weights[0][1].shape[-1] if len(weights[0][1].shape) else 0
    for place, (weight_ih, _, *biases) in enumerate(weights):
        layer, reverse = divmod(place, directions or 1)
        suffix = f"_l{layer}" + "_reverse" * reverse if directions else ""
        features = rows.shape[1] if layer == 0 else directions * hidden
        if layer == 0 and len(weight_ih.shape) == 2 and weight_ih.shape[1] != features:
            raise ValueError(
                f"{name}: x has {features} features, weight_ih{suffix} expects {weight_ih.shape[1]} (x: {describe(rows)} in rows, "
                f"weight_ih{suffix}: {describe(weight_ih)}); check input_size"
            )
        wanted = {"weight_ih": (gates * hidden, features), "weight_hh": (gates * hidden, hidden)}
        wanted |= {"bias_ih": (gates * hidden,), "bias_hh": (gates * hidden,)} if biases else {}
        for (what, shape), w in zip(wanted.items(), weights[place], strict=True):
            if w.shape != shape or w.dtype != rows.dtype:
                raise ValueError(
                    f"{name}: {what}{suffix} is {describe(w)}, expected {shape} {rows.dtype}, for {gates} x {hidden} rows and "
                    f"the dtype of x; check the weights, or convert with .astype"
                )
    return hidden


def _begin(name, hx, states, shape, axes, rows):
    """The states to begin with, each None where none are given."""
    if hx is None:
        return [None] * states
    names = ("h_0", "c_0")[:states]
    if not isinstance(hx, tuple | list) or len(hx) != states:
        raise ValueError(f"{name}: hx is {describe(hx)}, expected the pair (h_0, c_0); pass both, or None for zeros")
    hx = [floating_point(name, what, s) for what, s in zip(names, hx, strict=True)]
    for what, s in zip(names, hx, strict=True):
        if s.shape != shape or s.dtype != rows.dtype:
            raise ValueError(
                f"{name}: {what} is {describe(s)}, expected {shape} {rows.dtype} ({axes}); pass such a state, or None for zeros"
            )
    return hx
