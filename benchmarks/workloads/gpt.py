"""A small GPT: its training step, and tokens generated one after another with the keys and values of those before kept."""

from functools import partial

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import BATCHES, Run, Workload, glorot

WIDTH, HEADS, BLOCKS, TOKENS = 128, 4, 2, 1000
STEPS, BATCH = 64, 32
GENERATED = 200
PER_BLOCK = 12 * WIDTH * WIDTH


def weights(rng, context):
    """In the order of both networks' parameters; the blocks' results are small beside the embedding, as after training."""
    found = [rng.standard_normal((n, WIDTH), dtype=np.float32) for n in (TOKENS, context)]
    for _ in range(BLOCKS):
        for rows, columns in ((3 * WIDTH, WIDTH), (WIDTH, WIDTH), (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)):
            found += [glorot(rng, (rows, columns)), np.zeros(rows, np.float32)]
        found += [np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)] * 2
    found += [np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)]
    return [*found, glorot(rng, (TOKENS, WIDTH)), np.zeros(TOKENS, np.float32)]


def step_arrays(quick):
    """Tokens in no order, and those that follow them."""
    rng = np.random.default_rng(30)
    batches = [rng.integers(0, TOKENS, (BATCH, STEPS + 1)) for _ in range(BATCHES)]
    return weights(rng, STEPS), [(b[:, :-1].copy(), b[:, 1:].reshape(-1)) for b in batches]


def words_arrays(quick):
    """The weights, and the token to begin with."""
    return weights(np.random.default_rng(31), GENERATED), np.zeros((1, 1), np.int64)


def network(nn, context):
    """By nnscratch's layers: tokens (N, T) to logits (N T, tokens)."""

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(TOKENS, WIDTH)
            self.positions = nn.LearnedPositions(context, WIDTH, batch_first=True)
            settings = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
            self.blocks = nn.ModuleList(
                nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, **settings) for _ in range(BLOCKS)
            )
            self.norm = nn.LayerNorm(WIDTH)
            self.dense = nn.Linear(WIDTH, TOKENS)

        def forward(self, tokens, cache=None):
            x = self.positions(self.embedding(tokens), 0 if cache is None else cache.length)
            for block in self.blocks:
                x = block(x, is_causal=True, cache=cache)
            return self.dense(self.norm(x)).reshape(-1, TOKENS)

    return Gpt()


def torch_network(context):
    """By PyTorch, its fused attention called by itself; ``cache`` is for each block a pair of arrays for keys and values."""
    import torch
    from torch import nn
    from torch.nn.functional import scaled_dot_product_attention

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.linear1, self.linear2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.gelu = nn.GELU()

        def forward(self, x, at, cache):
            n, length, _ = x.shape
            parts = self.into(self.norm1(x)).view(n, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            query, key, value = parts.unbind(0)
            if cache is None:
                y = scaled_dot_product_attention(query, key, value, is_causal=True)
            else:
                keys, values = cache
                keys[:, :, at : at + length], values[:, :, at : at + length] = key, value
                y = scaled_dot_product_attention(query, keys[:, :, : at + length], values[:, :, : at + length])
            x = x + self.out(y.transpose(1, 2).reshape(n, length, WIDTH))
            return x + self.linear2(self.gelu(self.linear1(self.norm2(x))))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.positions = nn.Embedding(TOKENS, WIDTH), nn.Embedding(context, WIDTH)
            self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
            self.norm, self.dense = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS)

        def forward(self, tokens, at=0, caches=(None,) * BLOCKS):
            x = self.embedding(tokens) + self.positions.weight[at : at + tokens.shape[1]]
            for block, cache in zip(self.blocks, caches, strict=True):
                x = block(x, at, cache)
            return self.dense(self.norm(x)).view(-1, TOKENS)

        def room(self):
            shape = 1, HEADS, context, WIDTH // HEADS
            return [(torch.zeros(shape), torch.zeros(shape)) for _ in range(BLOCKS)]

    return Gpt()


def step_in_nnscratch(weights, batches):
    from nnscratch import functional as F
    from nnscratch import nn, optim

    peer = peers.load("nnscratch")
    model = peer.fill(network(nn, STEPS), weights)
    optimizer = optim.Adam(model.parameters(), lr=0.001, bias_correction=True)
    return peer.train(model, partial(F.cross_entropy, from_logits=True), optimizer, batches)


def step_in_torch(weights, batches):
    from torch import nn, optim

    peer = peers.load("torch")
    model = peer.fill(torch_network(STEPS), weights)
    optimizer = optim.Adam(model.parameters(), lr=0.001, fused=True)
    return peer.train(model, nn.functional.cross_entropy, optimizer, batches)


def words_in_nnscratch(weights, first):
    import nnscratch as ns

    model = peers.load("nnscratch").fill(network(ns.nn, GENERATED), weights).eval()

    def step():
        token, cache, tokens = first, ns.nn.KeyValueCache(), []
        with ns.no_grad():
            for _ in range(GENERATED):
                token = model(token, cache).numpy().argmax(-1)[None]
                tokens.append(token)
        return (ns.tensor(np.concatenate(tokens)),)

    return Run(step)


def words_in_torch(weights, first):
    import torch

    model = peers.load("torch").fill(torch_network(GENERATED), weights).eval()

    def step():
        token, caches, tokens = torch.tensor(first), model.room(), []
        with torch.inference_mode():
            for at in range(GENERATED):
                token = model(token, at, caches).argmax(-1)[None]
                tokens.append(token)
        return (torch.cat(tokens),)

    return Run(step)


_ROWS = BATCH * STEPS
_PARAMETERS = WIDTH * (2 * TOKENS + STEPS) + BLOCKS * (PER_BLOCK + 13 * WIDTH) + 2 * WIDTH + TOKENS


def _block(rows, heads, steps):
    """A block's layers forward and backward: products, attention's two forward and five backward, gelu, sums and normalisations."""
    inner = roofline.product(steps, WIDTH // HEADS, steps)
    return [
        *roofline.linear(rows, WIDTH, 3 * WIDTH),
        *roofline.linear(rows, WIDTH, WIDTH),
        *roofline.linear(rows, WIDTH, 4 * WIDTH),
        *roofline.linear(rows, 4 * WIDTH, WIDTH),
        *[inner] * (7 * heads),
        *roofline.activation(4 * rows * WIDTH),
        *[roofline.elementwise(rows * WIDTH, reads=2, flops=4)] * 8,
    ]


WORKLOADS = [
    Workload(
        "gpt-step",
        f"GPT training step: {BLOCKS} blocks of width {WIDTH}, {HEADS} heads, {STEPS} of {TOKENS} tokens, batch {BATCH}, Adam",
        step_arrays,
        {"nnscratch": step_in_nnscratch, "torch": step_in_torch},
        [
            *_block(_ROWS, BATCH * HEADS, STEPS) * BLOCKS,
            *roofline.linear(_ROWS, WIDTH, TOKENS),
            *roofline.loss(_ROWS * TOKENS),
            *roofline.adam(_PARAMETERS),
        ],
    ),
    Workload(
        "gpt-words",
        f"the same GPT: {GENERATED} tokens, one after another, with cached keys and values",
        words_arrays,
        {"nnscratch": words_in_nnscratch, "torch": words_in_torch},
        [roofline.product(1, 1, BLOCKS * PER_BLOCK + WIDTH * TOKENS)] * GENERATED,
    ),
]
