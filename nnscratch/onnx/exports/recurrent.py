"""Recurrent layers: a node for each layer, of both directions."""

import numpy as np

from nnscratch.onnx.exports.table import exports

#: Where the standard's gates stand among ours: its i, o, f, c; z, r, h.
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


@exports("LSTM", "GRU", "RNN")
def _(c):
    m, kind = c.module, c.kind
    batched = len(c.shape("x")) == 3
    x, directions = c.value("x"), 1 + m.bidirectional
    if not batched:
        x = c.node("Unsqueeze", [x, c.whole(1)])
    elif m.batch_first:
        x = c.node("Transpose", [x], perm=[1, 0, 2])
    lengths = c.value("lengths", np.dtype(np.int32)) if c.has("lengths") else ""
    begin = _begin(c, m, batched)
    finals = []
    for k in range(m.num_layers):
        suffixes = m._suffixes[k * directions : (k + 1) * directions]
        weights = [
            c.writer.weight(
                np.stack([_ordered(getattr(m, f"{name}{s}").numpy(), kind) for s in suffixes]), f"{what}_l{k}"
            )
            for what, name in (("W", "weight_ih"), ("R", "weight_hh"))
        ]
        biases = ""
        if m.bias:
            rows = [
                np.concatenate([_ordered(getattr(m, f"{n}{s}").numpy(), kind) for n in ("bias_ih", "bias_hh")])
                for s in suffixes
            ]
            biases = c.writer.weight(np.stack(rows), f"B_l{k}")
        settings = {"hidden_size": m.hidden_size, "direction": "bidirectional" if m.bidirectional else "forward"}
        if kind == "GRU":
            settings["linear_before_reset"] = 1
        if kind == "RNN":
            settings["activations"] = [m.nonlinearity.capitalize()] * directions
        inputs = [x, *weights, biases, lengths, *begin[k]]
        while inputs[-1] == "":
            inputs.pop()
        y, *last = c.node(kind, inputs, 3 if kind == "LSTM" else 2, **settings)
        finals.append(last)
        if directions == 2:
            x = c.node("Reshape", [c.node("Transpose", [y], perm=[0, 2, 1, 3]), c.whole(0, 0, -1)])
        else:
            x = c.node("Squeeze", [y, c.whole(1)])
    if not batched:
        c.node("Squeeze", [x, c.whole(1)], c.outputs[:1])
    elif m.batch_first:
        c.node("Transpose", [x], c.outputs[:1], perm=[1, 0, 2])
    else:
        c.node("Identity", [x], c.outputs[:1])
    for out, states in zip(c.outputs[1:], zip(*finals, strict=True), strict=True):
        every = states[0] if len(states) == 1 else c.node("Concat", states, axis=0)
        c.node(*(("Identity", [every]) if batched else ("Squeeze", [every, c.whole(1)])), [out])


def _begin(c, m, batched):
    """For each layer the names of the states to begin with, "" where there are none."""
    states = 2 if c.kind == "LSTM" else 1
    if not c.has("hx"):
        return [[""] * states for _ in range(m.num_layers)]
    every = c.every("hx")
    given = [c.named(values) for values in zip(*every, strict=True)] if states == 2 else [c.named(every)]
    if not batched:
        given = [c.node("Unsqueeze", [name, c.whole(1)]) for name in given]
    if m.num_layers == 1:
        return [given]
    d = 1 + m.bidirectional
    return [
        [c.node("Slice", [name, c.whole(k * d), c.whole((k + 1) * d), c.whole(0)]) for name in given]
        for k in range(m.num_layers)
    ]


def _ordered(rows, kind):
    """A weight's blocks of rows in the standard's order."""
    blocks = np.split(rows, len(ORDER[kind]))
    return np.concatenate([blocks[k] for k in ORDER[kind]])


@exports("lstm_layer", "gru_layer", "rnn_layer")
def _(c):
    # a cell's step, or a direction of a layer whose sequences are all of one length
    sizes = c.every("batch_sizes")
    if any(len(set(s)) > 1 for s in sizes) or c.setting("reverse"):
        raise ValueError(
            f"{c.writer.path or 'the module'} packs sequences by itself; give them to nn.{c.kind[:-6].upper()} with lengths"
        )
    kind = c.kind[:-6].upper()
    steps = c.writer.lengths([[len(s) for s in sizes]])
    x = c.node("Reshape", [c.value("x"), c.node("Concat", [steps, c.whole(-1, c.shape("x")[1])], axis=0)])
    weights = [
        c.writer.weight(_ordered(c.array(n), kind)[None], what) for n, what in (("weight_ih", "W"), ("weight_hh", "R"))
    ]
    biases = ""
    if c.has("bias_ih"):
        rows = [_ordered(c.array(n), kind) for n in ("bias_ih", "bias_hh")]
        biases = c.writer.weight(np.concatenate(rows)[None], "B")
    begin = [
        c.node("Unsqueeze", [c.value(n), c.whole(0)]) if c.has(n) else ""
        for n in ("h_0", "c_0")[: 2 if kind == "LSTM" else 1]
    ]
    settings = {"hidden_size": c.shape("weight_hh")[1]}
    if kind == "GRU":
        settings["linear_before_reset"] = 1
    if kind == "RNN":
        settings["activations"] = [c.setting("nonlinearity").capitalize()]
    inputs = [x, *weights, biases, "", *begin]
    while inputs[-1] == "":
        inputs.pop()
    y, *last = c.node(kind, inputs, 3 if kind == "LSTM" else 2, **settings)
    c.node("Reshape", [y, c.whole(-1, settings["hidden_size"])], c.outputs[:1])
    for out, state in zip(c.outputs[1:], last, strict=False):
        c.node("Squeeze", [state, c.whole(0)], [out])
