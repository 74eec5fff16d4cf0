"""Damaged ONNX files: `python tests/damaged_onnx.py [COUNT] [SEED]` loads and runs so many, and says what did not hold.

What is refused has to be refused by one sentence of ours; nothing may crash, go on for ever, or take more memory than there is.
`tests/test_onnx_load.py` runs a few.
"""

import contextlib
import json
import random
import resource
import sys
import time
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import nnscratch as ns
from nnscratch.onnx.loading import from_proto, parsed

SENTENCES = (ValueError, TypeError, MemoryError)
#: What stands in a file in place of what belongs there.
NUMBERS = (0, -1, 1, 2, 3, 7, 2**31, 2**62, -(2**62))
TEXTS = ("", "x", "h0", "y", "NOTSET", "SAME_UPPER", "\x1b[31m", "é" * 50, "reverse", "linear")
SLOWEST = 20.0  # seconds of the processor


def _value(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes, inputs, outputs, constants, opset=17):
    tensors = [numpy_helper.from_array(a, name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def models():
    """Models with their inputs, to be damaged: images, sequences, graphs within graphs, whole numbers, and what is spelt out."""
    rng, n = np.random.default_rng(0), helper.make_node

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    images = _model(
        [
            n("Conv", ["x", "w", "b"], ["h0"], pads=[1, 1, 1, 1]), n("BatchNormalization", ["h0", "s", "s", "s", "s"], ["h1"]),
            n("Relu", ["h1"], ["h2"]), n("MaxPool", ["h2"], ["h3"], kernel_shape=[2, 2], strides=[2, 2]),
            n("Resize", ["h3", "", "scales"], ["h4"], mode="linear"), n("ConvTranspose", ["h4", "t"], ["h5"]),
            n("Reshape", ["h5", "shape"], ["h6"]), n("Gemm", ["h6", "v"], ["h7"], transB=1), n("Softmax", ["h7"], ["y"]),
        ],
        [_value("x", shape=["N", 1, 4, 4])], [_value("y", shape=["N", 3])],
        {"w": normal(2, 1, 3, 3), "b": normal(2), "s": np.ones(2, "f4"), "scales": np.float32([1, 1, 2, 2]), "t": normal(2, 1, 1, 1),
         "shape": np.array([0, -1]), "v": normal(3, 16)},
    )  # fmt: skip
    sequences = _model(
        [
            n("Gather", ["table", "x"], ["h0"]), n("LSTM", ["h0", "w", "r", "b"], ["h1", "h2", "h3"], hidden_size=3),
            n("GRU", ["h0", "gw", "gr"], ["h4"], hidden_size=3), n("Add", ["h1", "h4"], ["h5"]),
            n("Transpose", ["h5"], ["h6"], perm=[2, 0, 1, 3]), n("LayerNormalization", ["h6", "s"], ["h7"]),
            n("Slice", ["h7", "zero", "two", "one"], ["h8"]), n("Concat", ["h7", "h8"], ["h9"], axis=1), n("TopK", ["h9", "one"], ["y", "k"]),
        ],
        [_value("x", TensorProto.INT64, ["T", "N"])], [_value("y"), _value("k", TensorProto.INT64)],
        {"table": normal(5, 2), "w": normal(1, 12, 2), "r": normal(1, 12, 3), "b": normal(1, 24), "gw": normal(1, 9, 2),
         "gr": normal(1, 9, 3), "s": normal(3), "zero": np.array([0]), "one": np.array([1]), "two": np.array([2])},
    )  # fmt: skip
    body = helper.make_graph(
        [n("Add", ["a", "x"], ["c"]), n("Identity", ["go"], ["on"])], "body",
        [_value("i", TensorProto.INT64), _value("go", TensorProto.BOOL), _value("a")], [_value("on", TensorProto.BOOL), _value("c")],
    )  # fmt: skip
    then = helper.make_graph([n("Mul", ["x", "w"], ["t"])], "then", [], [_value("t")])
    other = helper.make_graph([n("Expand", ["w", "shape"], ["e"])], "else", [], [_value("e")])
    nested = _model(
        [
            n("Loop", ["n", "yes", "x"], ["h0"], body=body), n("ReduceSum", ["h0", "axes"], ["h1"]), n("Greater", ["h1", "low"], ["h2"]),
            n("ReduceMax", ["h2i"], ["h3"], keepdims=0), n("Cast", ["h2"], ["h2i"], to=6), n("Cast", ["h3"], ["h4"], to=9),
            n("If", ["h4"], ["h5"], then_branch=then, else_branch=other), n("QuantizeLinear", ["h5", "low", "zp"], ["h6"]),
            n("DequantizeLinear", ["h6", "low", "zp"], ["y"]),
        ],
        [_value("x", shape=[2, 3])], [_value("y")],
        {"n": np.array(3), "yes": np.array(True), "axes": np.array([1]), "low": np.float32(0.5), "w": normal(3), "shape": np.array([2, 3]),
         "zp": np.uint8(10)},
    )  # fmt: skip
    spelt = _model(  # operators that the standard spells out in others
        [
            n("Attention", ["x", "x", "x", "m"], ["h0"], softcap=2.0, is_causal=1), n("Attention", ["h0", "x", "x"], ["h1"], scale=0.5),
            n("CenterCropPad", ["h1", "shape"], ["h2"], axes=[2, 3]), n("HammingWindow", ["four"], ["h3"]), n("Mul", ["h2", "h3"], ["h4"]),
            n("ReduceSum", ["h4", "axes"], ["y"]),
        ],
        [_value("x", shape=["N", 2, 3, 4])], [_value("y")],
        {"m": normal(3, 3), "shape": np.array([3, 4]), "four": np.array(4), "axes": np.array([1])}, 23,
    )  # fmt: skip
    return [
        (spelt, [normal(2, 2, 3, 4)]),
        (images, [normal(2, 1, 4, 4)]),
        (sequences, [np.array([[1, 2], [3, 4], [0, 1]])]),
        (nested, [normal(2, 3)]),
    ]


def messages(message):
    """A message of a protocol buffer and all within it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if _several(field) else [value]:
                yield from messages(part)


def _several(field):
    return getattr(field, "is_repeated", None) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def mangle(draw, proto):
    """Change one to three things of a model's content."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        message = draw.choice(list(messages(proto)))
        fields = [field for field, _ in message.ListFields()]
        with contextlib.suppress(IndexError, ValueError):  # nothing to change, or a number that a field does not hold
            _change(draw, message, draw.choice(fields))


def _change(draw, message, field):
    value = getattr(message, field.name)
    if field.message_type is not None:
        if _several(field):
            at, what = draw.randrange(len(value)), draw.random()
            if what < 0.4:
                del value[at]
            elif what < 0.7:
                value.append(value[at])
            else:
                value[at].CopyFrom(value[draw.randrange(len(value))])
        elif draw.random() < 0.5:
            message.ClearField(field.name)
        return
    new = _drawn(draw, field, value)
    if _several(field):
        what = draw.random()
        if what < 0.3:
            del value[draw.randrange(len(value))]
        elif what < 0.5:
            value.append(new)
        else:
            value[draw.randrange(len(value))] = new
    else:
        setattr(message, field.name, new)


def _drawn(draw, field, value):
    """Something else for a field that is no message."""
    sample = (value[0] if len(value) else 0) if _several(field) else value
    if isinstance(sample, bytes):
        content = bytearray(sample or b"x")
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        return bytes(content[: draw.choice((len(content), len(content), len(content) - 1))])
    if isinstance(sample, str):
        return draw.choice((*TEXTS, "Conv", "Loop", "Attention", "Resize", "MatMul", "w", "x", "h1"))
    if isinstance(sample, float):
        return draw.choice((0.0, -1.0, float("nan"), float("inf"), 1e30))
    if field.enum_type is not None:
        return draw.choice([v.number for v in field.enum_type.values])
    return draw.choice([*NUMBERS, *range(24)]) if field.name == "data_type" else draw.choice(NUMBERS)


def corrupt(draw, content):
    """Change some bytes of a file, or leave some out."""
    content, what = bytearray(content), draw.randrange(4)
    at = draw.randrange(len(content))
    if what == 0:
        del content[at:]
    elif what == 1:
        del content[at : at + draw.randrange(1, 9)]
    elif what == 2:
        content[at:at] = draw.randbytes(draw.randrange(1, 9))
    else:
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def is_sentence(error):
    """Whether an error is one sentence of ours."""
    message = str(error)
    head, _, rest = message.partition(": ")
    return (
        isinstance(error, SENTENCES)
        and bool(rest)
        and head.startswith("onnx")
        and message.isprintable()
        and len(message) < 2000
    )


def trial(draw, proto, inputs):
    """Try one damage: how far it came, and what did not hold, or None."""
    content = proto.SerializeToString()
    if draw.random() < 0.4:
        content = corrupt(draw, content)
    else:
        damaged = onnx.ModelProto.FromString(content)
        mangle(draw, damaged)
        content = damaged.SerializeToString()
    begin = time.process_time()
    reached = "refused"
    try:
        model = from_proto(parsed(content, "a.onnx"))
        reached = "loaded"
        with ns.no_grad():
            model(*inputs)
        reached = "run"
    except Exception as error:
        if not is_sentence(error):
            return reached, f"{type(error).__name__}: {str(error)[:300]!r}"
    seconds = time.process_time() - begin
    return reached, f"it took {seconds:.0f} seconds" if seconds > SLOWEST else None


def trials(count, seed):
    """Many trials: how many were refused when loaded, when run, and not at all; and what did not hold, by what it says."""
    draw, wrong, figures = random.Random(seed), {}, {"refused": 0, "loaded": 0, "run": 0}
    made = models()
    for i in range(count):
        reached, found = trial(draw, *draw.choice(made))
        figures[reached] += 1
        if found is not None:
            wrong.setdefault(found, i)
    return figures, wrong


if __name__ == "__main__":
    warnings.simplefilter("error")
    memory = 8 << 30
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    figures, wrong = trials(
        int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0
    )
    figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps(figures))
    for text, at in sorted(wrong.items())[:40]:
        print(f"trial {at}: {text}")
    sys.exit(bool(wrong))
