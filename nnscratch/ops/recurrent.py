"""Recurrent layers: what one step does to the state, as formulas, and a layer as its steps one after another.

A layer works on a packed batch (see `nnscratch.ops.sequences`): the rows of a step lie together, and sequences that are
at their end are not among them. The two directions differ in the order of the steps alone: backwards, a sequence joins at its
own last step.
"""

from functools import partial

import numpy as np

from nnscratch.arguments import count, flag, number
from nnscratch.autograd import describe
from nnscratch.ops.activation import relu, sigmoid
from nnscratch.ops.dropout import dropout as drop
from nnscratch.ops.elementwise import tanh
from nnscratch.ops.index import take
from nnscratch.ops.linear import linear
from nnscratch.ops.operands import backend_of, floating_point
from nnscratch.ops.sequences import PackedSequence, packed, pad_packed_sequence
from nnscratch.ops.shape import concatenate, expand_dims, reshape, split, squeeze, stack, swapaxes

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
        new = step(rows[t], *(s[:n] for s in state), *weights)
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
    layer = _rnn_layer(nonlinearity, "rnn_cell")
    (h,) = _one_step("rnn_cell", layer, 1, 1, x, None if hx is None else (hx,), weight_ih, weight_hh, bias_ih, bias_hh)
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
    return _one_step("lstm_cell", _lstm_layer, 4, 2, x, hx, weight_ih, weight_hh, bias_ih, bias_hh)


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
    (h,) = _one_step(
        "gru_cell", _gru_layer, 3, 1, x, None if hx is None else (hx,), weight_ih, weight_hh, bias_ih, bias_hh
    )
    return h


def _one_step(name, layer, gates, states, x, hx, *weights):
    """The tuple of the states after one step."""
    x = floating_point(name, "x", x)
    batched = len(x.shape) == 2
    if len(x.shape) not in (1, 2) or 0 in x.shape[:-1]:
        raise ValueError(f"{name}: x is {describe(x)}, expected (N, in), or (in,) for one sample; reshape it")
    rows = PackedSequence(x if batched else expand_dims(x, 0), (x.shape[0] if batched else 1,))
    (weights,) = _by_layer(name, [w for w in weights if w is not None], 1, 4 if weights[2] is not None else 2)
    hidden = _check_weights(name, gates, rows.data, [weights], None)
    shape = (rows.batch_sizes[0], hidden) if batched else (hidden,)
    hx = _begin(name, hx, states, shape, "batch, hidden" if batched else "hidden", rows.data)
    _, state = layer(rows.data, hx if batched else [expand_dims(s, 0) for s in hx], weights, rows.batch_sizes, False)
    return tuple(state if batched else (squeeze(s, 0) for s in state))


# A layer in one direction: (rows, state, weights, batch sizes, reverse) -> output, state


def _rnn_layer(nonlinearity, name):
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'; pass one of them")
    return partial(by_steps, partial(rnn_step, nonlinearity=nonlinearity))


_lstm_layer = partial(by_steps, lstm_step)
_gru_layer = partial(by_steps, gru_step)


# Layers upon each other, in both directions


def rnn(
    x, hx, weights, has_biases=True, num_layers=1, dropout=0.0, training=False, bidirectional=False, batch_first=False,
    lengths=None, nonlinearity="tanh",
):  # fmt: skip
    """Plain recurrent layers upon each other: `rnn_cell` for each step; arguments and results as for `lstm`, the state is h alone.

    Parameters
    ----------
    x, hx, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths
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
    layer = _rnn_layer(nonlinearity, "rnn")
    settings = has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths
    output, states = _stacked("rnn", layer, 1, 1, x, None if hx is None else (hx,), weights, *settings)
    return output, states[0]


def lstm(
    x, hx, weights, has_biases=True, num_layers=1, dropout=0.0, training=False, bidirectional=False, batch_first=False,
    lengths=None,
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
    settings = has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths
    return _stacked("lstm", _lstm_layer, 4, 2, x, hx, weights, *settings)


def gru(
    x, hx, weights, has_biases=True, num_layers=1, dropout=0.0, training=False, bidirectional=False, batch_first=False,
    lengths=None,
):  # fmt: skip
    """Layers of gated recurrent units upon each other: `gru_cell` for each step; arguments and results as for `lstm`, the state is h alone.

    Parameters
    ----------
    x, hx, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths
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
    settings = has_biases, num_layers, dropout, training, bidirectional, batch_first, lengths
    output, states = _stacked("gru", _gru_layer, 3, 1, x, None if hx is None else (hx,), weights, *settings)
    return output, states[0]


def _stacked(
    name, layer, gates, states, x, hx, weights, has_biases, num_layers, dropout, training, bidirectional, batch_first,
    lengths,
):  # fmt: skip
    """Layers upon each other: the output, and the tuple of the states."""
    num_layers, dropout = count(name, "num_layers", num_layers), number(name, "dropout", dropout, 0, 1, "[)")
    directions = 1 + flag(name, "bidirectional", bidirectional)
    weights = _by_layer(name, weights, num_layers * directions, 4 if has_biases else 2)
    sequences, laid_out, batched = _as_rows(name, x, batch_first, lengths)
    rows, sizes = sequences.data, sequences.batch_sizes
    hidden = _check_weights(name, gates, rows, weights, directions)
    shape, words = (len(weights), sizes[0], hidden), "layers x directions, batch, hidden"
    if not batched:
        shape, words = (len(weights), hidden), "layers x directions, hidden"
    hx = _begin(name, hx, states, shape, words, rows)
    if not batched:
        hx = [expand_dims(s, 1) for s in hx]
    if sequences.sorted_indices is not None:
        hx = [take(s, sequences.sorted_indices, 1) for s in hx]

    final = []
    for k in range(num_layers):
        outputs = []
        for d in range(directions):
            place = k * directions + d
            output, state = layer(rows, [s[place] for s in hx], weights[place], sizes, d == 1)
            outputs.append(output)
            final.append(state)
        rows = outputs[0] if directions == 1 else concatenate(outputs, axis=1)
        if dropout and k < num_layers - 1:
            rows = drop(rows, dropout, training)
    final = [stack(s) for s in zip(*final, strict=True)]
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
    """The states to begin with, zeros where none are given."""
    if hx is None:
        return [backend_of(rows).zeros(shape, rows.dtype) for _ in range(states)]
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
