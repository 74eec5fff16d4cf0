"""Recurrent operators: a layer, in one direction or both, as the standard states it.

What nnscratch's own layers compute goes there; other activations, peepholes, a clip, and a reset gate before the product go step by
step through the standard's formulas.
"""

import numpy as np

from nnscratch import functional as F
from nnscratch.onnx.table import need, operator
from nnscratch.ops import elementwise as e
from nnscratch.ops import linear, shape
from nnscratch.tensor import tensor

#: Functions of (x, alpha, beta), with their alpha and beta where a node says none.
_ACTIVATIONS = {
    "Relu": (lambda x, a, b: F.relu(x), 0.0, 0.0),
    "Tanh": (lambda x, a, b: e.tanh(x), 0.0, 0.0),
    "Sigmoid": (lambda x, a, b: F.sigmoid(x), 0.0, 0.0),
    "Affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "LeakyRelu": (lambda x, a, b: F.leaky_relu(x, a), 0.01, 0.0),
    "ThresholdedRelu": (lambda x, a, b: e.where(x > a, x, 0), 1.0, 0.0),
    "ScaledTanh": (lambda x, a, b: a * e.tanh(b * x), 1.0, 1.0),
    "HardSigmoid": (lambda x, a, b: F.hardsigmoid(x, a, b), 0.2, 0.5),
    "Elu": (lambda x, a, b: F.elu(x, a), 1.0, 0.0),
    "Softsign": (lambda x, a, b: F.softsign(x), 0.0, 0.0),
    "Softplus": (lambda x, a, b: F.softplus(x), 0.0, 0.0),
}


def _functions(names, alphas, betas):
    """The activations of a node, each with its own alpha and beta."""
    functions, alphas, betas = [], list(alphas or ()), list(betas or ())
    for name in names:
        known = {key.lower(): key for key in _ACTIVATIONS}.get(name.lower())
        need(known, f"the activation {name}")
        function, alpha, beta = _ACTIVATIONS[known]
        if alpha or beta:
            alpha = alphas.pop(0) if alphas else alpha
            beta = betas.pop(0) if beta and betas else beta
        functions.append(lambda x, f=function, a=alpha, b=beta: f(x, a, b))
    return functions


def _blocks(weight, order):
    """The blocks of rows of a weight, one of each gate, in another order."""
    parts = shape.split(weight, len(order))
    return shape.concatenate([parts[k] for k in order])


def _backwards(x, lengths):
    """Each sequence of (steps, N, ...) from its own end to its beginning; padding stays behind."""
    if lengths is None:
        return shape.flip(x, 0)
    step = np.arange(x.shape[0])[:, None]
    return x[np.where(step < lengths, lengths - 1 - step, step), np.arange(x.shape[1])[None]]


def _by_steps(step, x, state, lengths, clip):
    """The outputs (steps, N, H) and the last states of a layer, by a function of a step's input and the states."""
    outputs = []
    for t in range(x.shape[0]):
        new = step(x[t], *state)
        if lengths is not None:
            goes_on = (t < lengths)[:, None]
            outputs.append(e.where(goes_on, new[0], 0))
            state = [e.where(goes_on, a, b) for a, b in zip(new, state, strict=True)]
        else:
            outputs.append(new[0])
            state = new
    return shape.stack(outputs), state


def _directions(x, lengths, direction, layout, arrays, states, layer):
    """All directions of a layer: Y and the last states, as the operators return them.

    ``layer(k, x, arrays, states)`` is one of them, given its own part of the arrays and states.
    """
    need(direction in ("forward", "reverse", "bidirectional"), f"the direction {direction}")
    lengths = None if lengths is None else lengths.numpy().astype(np.int64)
    if layout:
        x, states = shape.swapaxes(x, 0, 1), [s if s is None else shape.swapaxes(s, 0, 1) for s in states]
    if lengths is not None and (lengths == x.shape[0]).all():
        lengths = None
    outputs, finals = [], []
    for k, backwards in enumerate({"forward": (False,), "reverse": (True,)}.get(direction, (False, True))):
        own = [a if a is None else a[k] for a in arrays]
        begin = [s if s is None else s[k] for s in states]
        y, final = layer(k, _backwards(x, lengths) if backwards else x, lengths, own, begin)
        outputs.append(_backwards(y, lengths) if backwards else y)
        finals.append(final)
    y = shape.stack(outputs, 1)
    last = [shape.stack(s) for s in zip(*finals, strict=True)]
    if layout:
        y, last = shape.transpose(y, (2, 0, 1, 3)), [shape.swapaxes(s, 0, 1) for s in last]
    return (y, *last)


def _usual(lengths):
    """Whether nnscratch's layers take such lengths: they refuse an empty sequence."""
    return lengths is None or bool((lengths > 0).all())


def _begun(x, states, hidden):
    """The states to begin with, zeros where there are none."""
    return [tensor(np.zeros((x.shape[1], hidden), x.dtype)) if s is None else s for s in states]


def _own_layer(function, x, lengths, weights, biases, states, **settings):
    """One of nnscratch's layers: its output and the list of its last states."""
    given = None if states[0] is None else tuple(shape.expand_dims(s, 0) for s in states)
    if given is not None and len(given) == 1:
        (given,) = given
    y, last = function(x, given, [*weights, *biases], bool(biases), lengths=lengths, **settings)
    return y, [s[0] for s in (last if isinstance(last, tuple) else (last,))]


def _chosen(activations, alphas, betas, k, usual):
    """The names of a direction's activations and the functions; the names are None where they are not plain."""
    each = len(usual)
    names = list(activations or usual * (k + 1))[k * each : (k + 1) * each]
    need(len(names) == each, "fewer activations than gates")
    plain = not alphas and not betas
    return names if plain else None, _functions(names, *(list(a or ())[k * each :] for a in (alphas, betas)))


@operator("LSTM")
def _(
    x, w, r, b=None, lengths=None, h_0=None, c_0=None, peepholes=None, *, hidden_size=None, direction="forward",
    activations=None, activation_alpha=None, activation_beta=None, clip=None, input_forget=0, layout=0,
):  # fmt: skip
    def layer(k, x, lengths, arrays, states):
        w, r, b, p = arrays
        hidden = r.shape[-1]
        names, (f, g, h) = _chosen(activations, activation_alpha, activation_beta, k, ["Sigmoid", "Tanh", "Tanh"])
        if names == ["Sigmoid", "Tanh", "Tanh"] and p is None and clip is None and not input_forget and _usual(lengths):
            order = (0, 2, 3, 1)  # from i, o, f, c to i, f, c, o
            biases = () if b is None else [_blocks(part, order) for part in shape.split(b, 2)]
            begin = _partly(x, states, hidden)
            return _own_layer(F.lstm, x, lengths, [_blocks(a, order) for a in (w, r)], biases, begin)
        p_i, p_o, p_f = shape.split(p, 3) if p is not None else (0, 0, 0)

        def step(x, h_before, c):
            sums = linear.linear(x, w) + linear.linear(h_before, r)
            i, o, forget, new = shape.split(sums if b is None else sums + _summed(b), 4, axis=1)
            i = f(_clipped(i + p_i * c, clip))
            forget = 1 - i if input_forget else f(_clipped(forget + p_f * c, clip))
            c = forget * c + i * g(_clipped(new, clip))
            return [f(_clipped(o + p_o * c, clip)) * h(c), c]

        return _by_steps(step, x, _begun(x, states, hidden), lengths, clip)

    return _directions(x, lengths, direction, layout, [w, r, b, peepholes], [h_0, c_0], layer)


@operator("GRU")
def _(
    x, w, r, b=None, lengths=None, h_0=None, *, hidden_size=None, direction="forward", activations=None,
    activation_alpha=None, activation_beta=None, clip=None, linear_before_reset=0, layout=0,
):  # fmt: skip
    def layer(k, x, lengths, arrays, states):
        w, r, b = arrays
        names, (f, g) = _chosen(activations, activation_alpha, activation_beta, k, ["Sigmoid", "Tanh"])
        if names == ["Sigmoid", "Tanh"] and clip is None and linear_before_reset and _usual(lengths):
            order = (1, 0, 2)  # from z, r, h to r, z, h
            biases = () if b is None else [_blocks(part, order) for part in shape.split(b, 2)]
            return _own_layer(F.gru, x, lengths, [_blocks(a, order) for a in (w, r)], biases, states)
        hidden = r.shape[-1]
        b_x, b_h = (None, None) if b is None else shape.split(b, 2)
        r_gates, r_new = r[: 2 * hidden], r[2 * hidden :]
        b_gates, b_new = (None, None) if b is None else (b_h[: 2 * hidden], b_h[2 * hidden :])

        def step(x, h):
            z_x, r_x, n_x = shape.split(linear.linear(x, w, b_x), 3, axis=1)
            z_h, r_h = shape.split(linear.linear(h, r_gates, b_gates), 2, axis=1)
            z, reset = f(_clipped(z_x + z_h, clip)), f(_clipped(r_x + r_h, clip))
            inner = (
                reset * linear.linear(h, r_new, b_new)
                if linear_before_reset
                else linear.linear(reset * h, r_new, b_new)
            )
            return [(1 - z) * g(_clipped(n_x + inner, clip)) + z * h]

        return _by_steps(step, x, _begun(x, states, hidden), lengths, clip)

    return _directions(x, lengths, direction, layout, [w, r, b], [h_0], layer)


@operator("RNN")
def _(
    x, w, r, b=None, lengths=None, h_0=None, *, hidden_size=None, direction="forward", activations=None,
    activation_alpha=None, activation_beta=None, clip=None, layout=0,
):  # fmt: skip
    def layer(k, x, lengths, arrays, states):
        w, r, b = arrays
        names, (f,) = _chosen(activations, activation_alpha, activation_beta, k, ["Tanh"])
        if names in (["Tanh"], ["Relu"]) and clip is None and _usual(lengths):
            biases = () if b is None else shape.split(b, 2)
            return _own_layer(F.rnn, x, lengths, [w, r], biases, states, nonlinearity=names[0].lower())

        def step(x, h):
            sums = linear.linear(x, w) + linear.linear(h, r)
            return [f(_clipped(sums if b is None else sums + _summed(b), clip))]

        return _by_steps(step, x, _begun(x, states, r.shape[-1]), lengths, clip)

    return _directions(x, lengths, direction, layout, [w, r, b], [h_0], layer)


def _partly(x, states, hidden):
    """The two states of an LSTM: none where neither is given, else zeros for the one that is missing."""
    return states if all(s is None for s in states) else _begun(x, states, hidden)


def _summed(b):
    """The sum of the two biases that stand in one array."""
    first, second = shape.split(b, 2)
    return first + second


def _clipped(x, clip):
    return x if clip is None else e.clip(x, -clip, clip)
