"""Recurrent layers: S4's training step, small layers, sequences of different lengths, and words generated one after another."""

from functools import partial

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import BATCHES, Run, Workload, glorot

#: S4: words, the lengths of an embedding and of the state, steps, batch.
WORDS, EMBEDDING, HIDDEN, STEPS, BATCH = 1000, 256, 512, 20, 64
#: Small layers, where an engine's own work counts, and sequences of 5 to 50 steps.
SMALL, SMALL_STEPS, SMALL_BATCH = 64, 50, 16
UNEVEN, SEQUENCES, SHORTEST = 128, 32, 5
GENERATED = 200


def layer_weights(rng, groups, inputs, hidden):
    """A recurrent layer's weights and biases."""
    matrices = [glorot(rng, (groups * hidden, n)) for n in (inputs, hidden)]
    return [*matrices, *(np.zeros(groups * hidden, np.float32) for _ in range(2))]


def generator_weights(rng):
    """S4's weights."""
    embedding = rng.standard_normal((WORDS, EMBEDDING), dtype=np.float32)
    dense = [glorot(rng, (WORDS, HIDDEN)), np.zeros(WORDS, np.float32)]
    return [embedding, *layer_weights(rng, 4, EMBEDDING, HIDDEN), *dense]


def generator_arrays(quick):
    """Words in no order, and those that follow them."""
    rng = np.random.default_rng(20)
    batches = [rng.integers(0, WORDS, (BATCH, STEPS + 1)) for _ in range(BATCHES)]
    return generator_weights(rng), [(b[:, :-1].copy(), b[:, 1:].reshape(-1)) for b in batches]


def layer_arrays(quick, groups, hidden, steps, batch, shortest):
    """A normal input, the gradient of the output, weights, and the lengths, the longest first, or None where all are equal."""
    rng = np.random.default_rng(21)
    x, gradient = (rng.standard_normal((steps, batch, hidden), dtype=np.float32) for _ in range(2))
    lengths = None
    if shortest < steps:
        lengths = np.sort(rng.integers(shortest, steps + 1, batch))[::-1].tolist()
        lengths[0] = steps
    return layer_weights(rng, groups, hidden, hidden), x, gradient, lengths


def network(nn):
    """S4 by the layers of nnscratch or of PyTorch, whose names are the same: words (N, steps) to logits (N x steps, words)."""

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(WORDS, EMBEDDING)
            self.lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
            self.dense = nn.Linear(HIDDEN, WORDS)

        def forward(self, words):
            return self.dense(self.lstm(self.embedding(words))[0]).reshape(-1, WORDS)

    return Generator()


def generator_in_nnscratch(weights, batches):
    from nnscratch import functional as F
    from nnscratch import nn, optim

    peer = peers.load("nnscratch")
    model = peer.fill(network(nn), weights)
    optimizer = optim.Adam(model.parameters(), lr=0.001, bias_correction=True)
    return peer.train(model, partial(F.cross_entropy, from_logits=True), optimizer, batches)


def generator_in_torch(weights, batches):
    from torch import nn, optim

    peer = peers.load("torch")
    model = peer.fill(network(nn), weights)
    optimizer = optim.Adam(model.parameters(), lr=0.001, fused=True)
    return peer.train(model, nn.functional.cross_entropy, optimizer, batches)


def layer_in_nnscratch(weights, x, gradient, lengths, kind):
    import nnscratch as ns

    hidden = x.shape[2]
    layer = peers.load("nnscratch").fill(getattr(ns.nn, kind)(hidden, hidden), weights)
    x, gradient = ns.tensor(x, requires_grad=True), ns.tensor(gradient)

    def step():
        layer.zero_grad()
        x.grad = None
        output, _ = layer(x, lengths=lengths)
        output.backward(gradient)
        return output, x.grad, layer.weight_hh_l0.grad

    return step


def layer_in_torch(weights, x, gradient, lengths, kind):
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    hidden = x.shape[2]
    layer = peers.load("torch").fill(getattr(torch.nn, kind)(hidden, hidden), weights)
    x, gradient = torch.tensor(x, requires_grad=True), torch.tensor(gradient)

    def step():
        layer.zero_grad()
        x.grad = None
        if lengths is None:
            output, _ = layer(x)
        else:
            output, _ = pad_packed_sequence(layer(pack_padded_sequence(x, lengths))[0])
        output.backward(gradient)
        return output, x.grad, layer.weight_hh_l0.grad

    return step


def words_in_nnscratch(weights, first):
    import nnscratch as ns

    embedding, lstm, dense = _parts(ns.nn, weights, "nnscratch")

    def step():
        word, state, words = ns.tensor(first), None, []
        with ns.no_grad():
            for _ in range(GENERATED):
                output, state = lstm(embedding(word), state)
                word = ns.tensor(dense(output[0]).numpy().argmax(-1)[None])
                words.append(word)
        return (ns.concatenate(words),)

    return Run(step)


def words_in_torch(weights, first):
    import torch

    embedding, lstm, dense = _parts(torch.nn, weights, "torch")

    def step():
        word, state, words = torch.tensor(first), None, []
        with torch.inference_mode():
            for _ in range(GENERATED):
                output, state = lstm(embedding(word), state)
                word = dense(output[0]).argmax(-1)[None]
                words.append(word)
        return (torch.cat(words),)

    return Run(step)


def _parts(nn, weights, framework):
    model = peers.load(framework).fill(network(nn), weights)
    lstm = peers.load(framework).fill(nn.LSTM(EMBEDDING, HIDDEN), weights[1:5])
    return model.embedding, lstm, model.dense


def words_arrays(quick):
    """S4's weights, and the word to begin with."""
    return generator_weights(np.random.default_rng(22)), np.zeros((1, 1), np.int64)


def _layer(rows, steps, groups, inputs, hidden):
    """Forward and backward: the input's and the state's product, and the pass over the gates."""
    batch = rows // steps
    across = roofline.product(batch, hidden, groups * hidden)
    gates = roofline.elementwise(rows * hidden, reads=groups + 1, writes=groups + 2, flops=10)
    return [
        *[roofline.product(rows, inputs, groups * hidden)] * 3,
        *[across] * (2 * steps),
        roofline.product(hidden, rows, groups * hidden),
        gates,
        gates,
    ]


def _one_layer(name, title, kind, hidden, steps, batch, shortest):
    groups = {"LSTM": 4, "GRU": 3}[kind]
    mean = (steps + shortest) // 2
    return Workload(
        f"recurrent-{name}",
        title,
        partial(layer_arrays, groups=groups, hidden=hidden, steps=steps, batch=batch, shortest=shortest),
        {"nnscratch": partial(layer_in_nnscratch, kind=kind), "torch": partial(layer_in_torch, kind=kind)},
        _layer(mean * batch, mean, groups, hidden, hidden),
    )


_ROWS = BATCH * STEPS
_PARAMETERS = WORDS * EMBEDDING + 4 * HIDDEN * (EMBEDDING + HIDDEN + 2) + WORDS * (HIDDEN + 1)

WORKLOADS = [
    Workload(
        "recurrent-s4",
        f"S4 training step: {WORDS} words, embedding {EMBEDDING}, LSTM {HIDDEN}, {STEPS} steps, batch {BATCH}, Adam",
        generator_arrays,
        {"nnscratch": generator_in_nnscratch, "torch": generator_in_torch},
        [
            *_layer(_ROWS, STEPS, 4, EMBEDDING, HIDDEN),
            *roofline.linear(_ROWS, HIDDEN, WORDS),
            *roofline.loss(_ROWS * WORDS),
            *roofline.adam(_PARAMETERS),
        ],
    ),
    _one_layer("lstm", f"LSTM {SMALL}: forward and backward", "LSTM", SMALL, SMALL_STEPS, SMALL_BATCH, SMALL_STEPS),
    _one_layer("gru", f"GRU {SMALL}: forward and backward", "GRU", SMALL, SMALL_STEPS, SMALL_BATCH, SMALL_STEPS),
    _one_layer(
        "lengths",
        f"LSTM {UNEVEN}, {SEQUENCES} sequences of {SHORTEST} to {SMALL_STEPS} steps: forward and backward",
        "LSTM",
        UNEVEN,
        SMALL_STEPS,
        SEQUENCES,
        SHORTEST,
    ),
    Workload(
        "recurrent-words",
        f"S4: {GENERATED} words, one after another",
        words_arrays,
        {"nnscratch": words_in_nnscratch, "torch": words_in_torch},
        [
            *[roofline.product(1, EMBEDDING + HIDDEN, 4 * HIDDEN)] * GENERATED,
            *[roofline.product(1, HIDDEN, WORDS)] * GENERATED,
        ],
    ),
]
