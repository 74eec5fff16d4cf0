"""Networks into ONNX files: layers and all systems, read again here and run by onnxruntime."""

import importlib
import json
import sys

import numpy as np
import onnx
import pytest

import nnscratch as ns
from nnscratch import nn
from nnscratch.onnx.loading import from_proto
from nnscratch.onnx.saving import NEWEST, OLDEST, to_proto
from nnscratch.systems.chinese_sentiment import SMALL, SentimentNetwork
from nnscratch.systems.gan import convolutional, dense
from nnscratch.systems.gpt import Gpt
from nnscratch.systems.masked_digits import Digits
from nnscratch.systems.masked_modelling import Reader
from nnscratch.systems.review_classifier import ReviewNetwork
from nnscratch.systems.text_generator import Writer

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def tokens(n, length=6, vocabulary=20, padded=False):
    rows = RNG.integers(1, vocabulary, (n, length))
    if padded:
        for k, row in enumerate(rows):
            row[2 + k % (length - 1) :] = 0
    return rows


def padded(n, length=6):
    return tokens(n, length, padded=True)


def with_mask(n, length=6):
    rows = tokens(n, length, padded=True)
    return rows, (rows > 0).astype(np.int64)


def with_lengths(n, length=6):
    rows = tokens(n, length, padded=True)
    return rows, (rows > 0).sum(1)


class WithAttention(nn.Module):
    def __init__(self):
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, rotary=nn.RotaryEmbedding(4))

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False, is_causal=True)[0]


class WithStates(nn.Module):
    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, h):
        return self.layer(x, h)


class Glue(nn.Module):
    """Shapes, indices and sums of all kinds."""

    def forward(self, x):
        a = x[:, 1:, ::2].reshape(x.shape[0], -1)
        b = ns.concatenate([a, ns.flip(a, 1)], 1).mean(1, keepdims=True) + x[:, 0, -1:]
        c = ns.where(x > 0, ns.clip(x, -1, 1), 2 * x).max(-1) / (1 + ns.abs(x).sum(2))
        d = ns.stack([ns.var(x, (1, 2)), ns.square(x[:, 1, 1])], 1)
        e = ns.norm(ns.sort(x, 1), axis=2) + ns.topk(x, 2, 1)[0].sum(1, keepdims=True).mean(2)
        return (
            ns.pad(b, ((0, 0), (1, 0))) + e[:, :2],
            ns.argsort(ns.trunc(10 * x)),
            c @ ns.swapaxes(c, 0, 1),
            ns.broadcast_to(d[:, None], (x.shape[0], 3, 2)),
        )


ACTIVATIONS = "ELU CELU SELU SiLU Mish Hardswish Hardsigmoid LeakyReLU Softplus Softsign LogSoftmax Tanh".split()


def images():
    layers = [nn.Conv2d(2, 4, 3, 2, 1, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [
        nn.ConvTranspose2d(4, 3, 3, 2, 1, 1),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return nn.Sequential(*layers)


def edges():
    layers = [
        nn.Conv2d(2, 2, 3, padding=(1, 2)),
        nn.Conv2d(2, 2, 3, 2, padding=((1, 0), (2, 1))),
        nn.Conv2d(2, 2, 4, padding="same"),
    ]
    layers += [nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)]
    layers += [
        nn.Flatten(),
        nn.Reshape(2, 12),
        nn.Conv1d(2, 2, 3, padding=(2, 1), dilation=2),
        nn.Conv1d(2, 2, 4, padding="same"),
    ]
    return nn.Sequential(*layers)


LAYERS = {
    "edges": (edges, lambda n: normal(n, 2, 20, 24)),
    "linear": (lambda: nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 2, bias=False), nn.Softmax()), lambda n: normal(n, 5, 6)),
    "activations": (lambda: nn.Sequential(nn.PReLU(3), *(getattr(nn, name)() for name in ACTIVATIONS)), lambda n: normal(n, 3, 5)),
    "images": (images, lambda n: normal(n, 2, 9, 9)),
    "signals": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.MaxPool1d(2), nn.AvgPool1d(2)), lambda n: normal(n, 2, 12)),
    "norms": (lambda: nn.Sequential(nn.LayerNorm((3, 4)), nn.RMSNorm(4), nn.LayerNorm(4, affine=False)), lambda n: normal(n, 3, 4)),
    "lstm": (lambda: nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True), lambda n: normal(n, 5, 3)),
    "gru": (lambda: nn.GRU(3, 4, bias=False, batch_first=True), lambda n: normal(n, 5, 3)),
    "rnn": (lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True), lambda n: normal(n, 5, 3)),
    "cell": (lambda: WithStates(nn.GRUCell(3, 4)), lambda n: (normal(n, 3), normal(n, 4))),
    "attention": (WithAttention, lambda n: normal(n, 5, 8)),
    "transformer": (lambda: nn.Sequential(nn.SinusoidalPositions(8, batch_first=True), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)), lambda n: normal(n, 5, 8)),
    "glue": (Glue, lambda n: normal(n, 3, 4)),
}  # fmt: skip


def classifier(name, *shape, dtype="float32"):
    return (lambda: ns.systems.get(name).model(), lambda n: normal(n, *shape).astype(dtype))


SYSTEMS = {
    "mnist-cnn": classifier("mnist-cnn", 1, 28, 28),
    "mnist-cnn-small": classifier("mnist-cnn-small", 1, 28, 28),
    "regression-3-5-1": classifier("regression-3-5-1", 3),
    "hand-written-mlp": classifier("hand-written-mlp", 10, dtype="float64"),
    "worked-2-3-1": classifier("worked-2-3-1", 2, dtype="float64"),
    "binary-classifier": (lambda: ns.systems.get("binary-classifier").model(), None),
    "text-generator": (lambda: Writer(20, 6, 8), tokens),
    "review-classifier": (lambda: ReviewNetwork(normal(20, 6), 8), with_lengths),
    "chinese-sentiment": (lambda: SentimentNetwork(nn.models.from_config(SMALL | {"vocab_size": 20, "hidden_size": 8})), with_mask),
    "gan": (lambda: dense(0.3), lambda n: normal(n, 64)),
    "gan, convolutional": (lambda: convolutional(0.3), lambda n: normal(n, 64)),
    "gpt": (lambda: Gpt(20, 8, width=16, blocks=2), tokens),
    "masked-text": (lambda: Reader(20, 8, width=16, blocks=2), padded),
    "masked-digits": (Digits, lambda n: normal(n, 1, 28, 28)),
}  # fmt: skip


def case(name):
    """A module in evaluation mode, its example, and other inputs: of another batch, and another length where there is one."""
    ns.manual_seed(0)
    make, draw = (LAYERS | SYSTEMS)[name]
    module = make().eval()
    if draw is None:
        features = next(module.parameters()).shape[1]
        draw = lambda n: normal(n, features)  # noqa: E731
    as_tuple = lambda a: a if isinstance(a, tuple) else (a,)  # noqa: E731
    example = as_tuple(draw(3))
    others = [as_tuple(draw(n)) for n in (1, 5)]
    if example[0].dtype == np.int64:
        others.append(as_tuple(draw(2, 4)))
    return module, example, others


def flat(value):
    return [a for part in value for a in flat(part)] if isinstance(value, tuple) else [value]


def gradients(module, inputs):
    for p in module.parameters():
        p.grad = None
    inputs = [ns.tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
    out = [y for y in flat(module(*inputs)) if y.dtype.kind == "f"]
    total = sum((y * np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)).sum() for y in out)
    total.backward()
    every = {**dict(module.named_parameters()), **{f"input {k}": x for k, x in enumerate(inputs)}}
    return {name: p.grad.numpy() for name, p in every.items() if p.grad is not None}


@pytest.mark.parametrize("name", [*LAYERS, *SYSTEMS])
def test_what_is_written_and_read_computes_the_same(name):
    module, example, others = case(name)
    proto = to_proto(module, example)
    onnx.checker.check_model(proto, full_check=True)
    again = from_proto(onnx.ModelProto.FromString(proto.SerializeToString()))
    for inputs in (example, *others):
        with ns.no_grad():
            expected, found = flat(module(*map(ns.tensor, inputs))), flat(again(*inputs))
        assert len(expected) == len(found)
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
    ours, theirs = gradients(module, example), gradients(again, example)
    if not any("_l0" in key or "cell" in name for key in ours):  # recurrent weights have the standard's order
        assert set(theirs) == set(ours)
    for key in ours.keys() & theirs.keys():
        np.testing.assert_allclose(theirs[key], ours[key], rtol=1e-4, atol=1e-4 * max(1, abs(ours[key]).max()))


#: What is written in another way in between.
VERSIONS = [(name, opset) for name in (*LAYERS, *SYSTEMS) for opset in (OLDEST, NEWEST)]
VERSIONS += [
    (name, n) for name in ("attention", "masked-text", "norms", "activations", "glue") for n in (18, 20, 21, 23)
]


@pytest.mark.parametrize(("name", "opset"), VERSIONS)
def test_onnxruntime_agrees(name, opset):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    module, example, others = case(name)
    session = runtime.InferenceSession(to_proto(module, example, opset=opset).SerializeToString())
    for inputs in (example, *others):
        found = session.run(None, dict(zip([i.name for i in session.get_inputs()], inputs, strict=True)))
        with ns.no_grad():
            expected = flat(module(*map(ns.tensor, inputs)))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-5)


def test_every_system_is_written():
    assert {name.partition(",")[0] for name in SYSTEMS} == set(ns.systems.NAMES)


def test_nodes_are_the_standards_and_named_by_modules():
    module, example, _ = case("review-classifier")
    graph = to_proto(module, example).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("LSTM") == 2 and kinds.count("Gemm") == 1 and kinds.count("Softmax") == 1
    names = {node.op_type: node.name for node in graph.node}
    assert names["Gemm"] == "linear.Gemm" and names["Softmax"] == "softmax.Softmax"
    assert {"embedding.weight", "linear.weight", "linear.bias"} <= {t.name for t in graph.initializer}
    shapes = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.input}
    assert shapes == {"tokens": ["batch", "length"], "lengths": ["batch"]}


def test_the_file_says_what_it_was_made_of(tmp_path):
    module, example, _ = case("mnist-cnn-small")
    ns.onnx.save(module, tmp_path / "m.onnx", example, opset=18)
    proto = onnx.load(tmp_path / "m.onnx")
    properties = {p.key: p.value for p in proto.metadata_props}
    assert (proto.producer_name, proto.producer_version) == ("nnscratch", ns.__version__)
    assert proto.opset_import[0].version == 18 and "W" in json.loads(properties["formulas"])["linear"]["formula"]
    np.testing.assert_allclose(ns.onnx.load(tmp_path / "m.onnx")(*example).numpy(), module(*example).numpy(), atol=1e-6)


def test_axes_are_fixed_or_named():
    module, x = nn.LSTM(3, 4), normal(5, 2, 3)
    fixed = from_proto(to_proto(module, x, dynamic={}))
    with pytest.raises(ValueError, match=r"expected \(5, 2, 3\)"):
        fixed(normal(5, 3, 3))
    named = from_proto(to_proto(module, x, dynamic={"x": {0: "time", 1: "batch"}}))
    y = normal(7, 3, 3)
    np.testing.assert_allclose(named(y)[0].numpy(), module(y)[0].numpy(), atol=1e-6)


def test_positions_go_further_than_the_example():
    ns.manual_seed(0)
    module = nn.Sequential(nn.SinusoidalPositions(8, batch_first=True), WithAttention()).eval()
    again = from_proto(to_proto(module, normal(2, 5, 8), dynamic={"x": {0: "batch", 1: "length"}}))
    for length in (1, 4, 300):
        x = normal(3, length, 8)
        np.testing.assert_allclose(again(x).numpy(), module(x).numpy(), atol=1e-5)


def test_weights_may_stand_in_a_file_beside(tmp_path, monkeypatch):
    monkeypatch.setattr("nnscratch.onnx.saving.INSIDE", 1000)
    module, x = nn.Linear(30, 20), normal(2, 30)
    ns.onnx.save(module, tmp_path / "m.onnx", x)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx").stat().st_size < 2400 <= (tmp_path / "m.onnx.data").stat().st_size
    np.testing.assert_array_equal(ns.onnx.load(tmp_path / "m.onnx")(x).numpy(), module(x).numpy())


def test_without_the_package_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "nnscratch.onnx")
    with pytest.raises(ImportError, match=r"^nnscratch\.onnx: the package onnx, .* pip install 'nnscratch\[onnx\]'$"):
        importlib.import_module("nnscratch.onnx")


class Numpys(nn.Module):
    def forward(self, x):
        return x * np.sign(x.numpy())


class Branching(nn.Module):
    def forward(self, x):
        return ns.exp(x) if len(x) == 3 else ns.log(x)


class Putting(nn.Module):
    def forward(self, x):
        return ns.put(x, 0, 1.0)


@pytest.mark.parametrize(
    ("module", "example", "settings", "words"),
    [
        (Numpys(), normal(3, 2), {}, "made of the input by other means than nnscratch's operations"),
        (Branching(), abs(normal(3, 2)), {}, "something else, as the lengths of the input are"),
        (Putting(), normal(3, 2), {}, "which has no counterpart in ONNX here"),
        (nn.ReLU(), normal(3, 2), {"opset": 16}, "opset"),
        (nn.ReLU(), normal(3, 2), {"dynamic": {"z": {0: "n"}}}, "there are x; name one of them"),
        (nn.ReLU(), [[1.0]], {}, "expected an array"),
        ("model", normal(3, 2), {}, "expected a module"),
    ],
)
def test_what_cannot_be_written_is_said(module, example, settings, words):
    with pytest.raises((TypeError, ValueError), match=f"^onnx.save: .*{words}"):
        to_proto(module, example, **settings)
