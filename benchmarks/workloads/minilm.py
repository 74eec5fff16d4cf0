"""A trained encoder at work: MiniLM's sizes (6 layers of 384, 12 heads), texts of 128 pieces, without a graph, on 1 text and on 32."""

from functools import partial

import numpy as np

from benchmarks import peers, roofline
from benchmarks.workloads import Workload

SIZES = 1, 32
LENGTH, WIDTH, HEADS, LAYERS, WITHIN = 128, 384, 12, 6, 1536
PIECES = 1000  # fewer than MiniLM's 30,522: only those that are looked up count
EPS = 1e-12


def arrays(quick, batch):
    """Weights large enough that attention is not even, in the order of the encoder's parameters, and pieces in no order."""
    rng = np.random.default_rng(30)

    def linear(outputs, inputs):
        return [
            rng.normal(0, 0.1, (outputs, inputs)).astype(np.float32),
            rng.normal(0, 0.1, outputs).astype(np.float32),
        ]

    norm = [np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)]
    weights = [rng.standard_normal((n, WIDTH), dtype=np.float32) for n in (PIECES, LENGTH, 1)] + norm
    for _ in range(LAYERS):
        weights += [
            *linear(3 * WIDTH, WIDTH),
            *linear(WIDTH, WIDTH),
            *linear(WITHIN, WIDTH),
            *linear(WIDTH, WITHIN),
            *norm,
            *norm,
        ]
    return weights, rng.integers(0, PIECES, (batch, LENGTH))


def in_nnscratch(weights, pieces):
    import nnscratch as ns

    sizes = {"vocab_size": PIECES, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    sizes |= {"intermediate_size": WITHIN, "max_position_embeddings": LENGTH, "type_vocab_size": 1}
    model = ns.nn.models.Bert(**sizes, layer_norm_eps=EPS, initializer_range=None).eval()
    model.pooler = None  # a sentence's vector is the mean of its tokens'
    model = peers.load("nnscratch").fill(model, weights)

    def step():
        with ns.no_grad():
            return (model(pieces),)

    return step


def torch_network(weights):
    """The same by PyTorch's own layers."""
    import torch
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.positions, self.types = (nn.Embedding(n, WIDTH) for n in (PIECES, LENGTH, 1))
            self.norm = nn.LayerNorm(WIDTH, EPS)
            block = nn.TransformerEncoderLayer(WIDTH, HEADS, WITHIN, 0.0, "gelu", EPS, batch_first=True)
            self.layers = nn.TransformerEncoder(block, LAYERS)

        def forward(self, pieces):
            return self.layers(self.norm(self.words(pieces) + self.positions.weight + self.types.weight[0]))

    with torch.no_grad():
        return peers.load("torch").fill(Encoder(), weights).eval()


def in_torch(weights, pieces, fused):
    """With the kernel that PyTorch has for whole blocks in evaluation, or with `scaled_dot_product_attention` in each."""
    import torch

    torch.backends.mha.set_fastpath_enabled(fused)
    model, pieces = torch_network(weights), torch.tensor(pieces)

    def step():
        with torch.inference_mode():
            return (model(pieces),)

    return step


def in_onnxruntime(weights, pieces):
    """The network as PyTorch exports it, with all of onnxruntime's simplifications."""
    import io
    import os

    import onnxruntime
    import torch

    torch.backends.mha.set_fastpath_enabled(False)
    file, settings = io.BytesIO(), onnxruntime.SessionOptions()
    names = {"input_names": ["pieces"], "output_names": ["hidden"], "opset_version": 17, "dynamo": False}
    torch.onnx.export(torch_network(weights), (torch.tensor(pieces),), file, **names)
    settings.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(file.getvalue(), settings, providers=["CPUExecutionProvider"])
    return lambda: tuple(session.run(["hidden"], {"pieces": pieces}))


def _operations(batch):
    """Products, and what is read and written between them."""
    rows = batch * LENGTH
    block = [
        roofline.product(rows, n, m) for n, m in ((WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, WITHIN), (WITHIN, WIDTH))
    ]
    for shape in ((LENGTH, WIDTH // HEADS, LENGTH), (LENGTH, LENGTH, WIDTH // HEADS)):
        flops, moved = roofline.product(*shape)
        block.append((batch * HEADS * flops, batch * HEADS * moved))
    block += [
        roofline.elementwise(rows * WITHIN, flops=10),
        *[roofline.elementwise(rows * WIDTH, reads=2, flops=10)] * 2,
    ]
    return block * LAYERS


WORKLOADS = [
    Workload(
        f"minilm-{n}",
        f"MiniLM forward alone, {LENGTH} pieces, batch {n}",
        partial(arrays, batch=n),
        {
            "nnscratch": in_nnscratch,
            "torch fused": partial(in_torch, fused=True),
            "torch sdpa": partial(in_torch, fused=False),
            "onnxruntime": in_onnxruntime,
        },
        _operations(n),
        quick=n == 1,
    )
    for n in SIZES
]
