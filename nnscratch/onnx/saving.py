"""Writing an ONNX file: a module is run with its example, and again with other lengths of the axes that are left open."""

import contextlib
import inspect
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from nnscratch import arguments
from nnscratch.autograd import describe, handles
from nnscratch.files import as_path, write_bytes
from nnscratch.nn.module import Module, modes
from nnscratch.onnx.dtypes import number_of
from nnscratch.onnx.sizes import Axis, solve
from nnscratch.onnx.tracing import Ref, Trace
from nnscratch.onnx.writing import Writer, as_node, as_tensor

#: The last is the newest that onnxruntime 1.32 runs.
OLDEST, NEWEST = 17, min(28, onnx.defs.onnx_opset_version())
#: Beyond so many bytes weights go into a file beside, as a protocol buffer holds two gigabytes at most.
INSIDE = 1_500_000_000
#: How much longer than the example the input may be where arrays, such as angles of positions, are made for its length.
FURTHER = 512
#: Layers that are written whole.
LAYERS = ("LSTM", "GRU", "RNN", "BatchNorm1d", "BatchNorm2d", "Conv1d", "ConvTranspose2d", "AdaptiveAvgPool2d")


def save(model, path, example, *, opset=NEWEST, dynamic=None):
    """Write a module into an ONNX file, which onnxruntime and others run.

    What is written is what the module computes of the example in evaluation mode: its operations, and its layers as the standard's own
    operators. Parameters keep their names; nodes are called by the module they stand in. Whatever the module computes by other means
    than nnscratch's operations is refused, where it depends on the input.

    Parameters
    ----------
    model : nn.Module
    path : str or os.PathLike
    example : array, Tensor, or tuple of them
        An input, or one for each argument of ``forward``: two or more samples that differ.
    opset : int
        The version of the standard's operators, from 17 on.
    dynamic : dict of str to (dict of int to str), optional
        Which axes may have other lengths: by input, for axes a name; one name means one length. By default the first axis of every
        input is the batch, and the second of whole numbers in rows the length. An empty one fixes all.

    Returns
    -------
    None

    Raises
    ------
    TypeError, ValueError
        Where something cannot be written, or an argument is not such.
    OSError
        Where the file cannot be written.

    Examples
    --------
    >>> import nnscratch as ns, tempfile
    >>> model = ns.nn.Sequential(ns.nn.Linear(2, 3), ns.nn.ReLU())
    >>> x = ns.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ns.onnx.save(model, f"{folder}/model.onnx", x)
    ...     again = ns.onnx.load(f"{folder}/model.onnx")
    >>> again, bool((again(x).numpy() == model(x).numpy()).all())
    (Model(x: (?, 2) float32 -> output), True)
    """
    path = as_path("onnx.save", path)
    proto = to_proto(model, example, opset=opset, dynamic=dynamic)
    if proto.ByteSize() < INSIDE:
        write_bytes("onnx.save", path, proto.SerializeToString())
        return
    beside = f"{os.path.basename(path)}.data"
    onnx.save_model(proto, path, save_as_external_data=True, location=beside, size_threshold=1024)


def to_proto(model, example, *, opset=NEWEST, dynamic=None):
    """The ``onnx.ModelProto`` that `save` writes; arguments and errors are its.

    Returns
    -------
    onnx.ModelProto

    Examples
    --------
    >>> import nnscratch as ns
    >>> proto = to_proto(ns.nn.Linear(2, 3), np.ones((2, 2), "float32"))
    >>> [(node.op_type, list(node.input)) for node in proto.graph.node]
    [('Gemm', ['x', 'weight', 'bias'])]
    """
    if not isinstance(model, Module):
        raise TypeError(f"onnx.save: model is {arguments.shown(model)}, expected a module; pass an nn.Module")
    opset = arguments.count("onnx.save", "opset", opset, OLDEST, NEWEST)
    inputs = _inputs(model, example)
    axes = _axes(inputs, dynamic)
    try:
        with modes([(m, False) for m in model.modules()]), np.errstate(all="ignore"):
            traces = _traces(model, inputs, axes)
        writer = Writer(traces[: 1 + len(axes)], axes, opset)
        writer.write()
    except ValueError as error:
        raise ValueError(f"onnx.save: {error}") from None
    return _proto(model, writer, inputs)


def _inputs(model, example):
    """The example's arrays by the names of the arguments."""
    given = example if isinstance(example, tuple) else (example,)
    names = [
        p.name for p in inspect.signature(type(model).forward).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD
    ][1:]
    if getattr(model, "inputs", None) and hasattr(model, "_graph"):  # that was read from a file
        names = [i.name for i in model.inputs]
    names += [f"input_{k}" for k in range(len(names), len(given))]
    found = {}
    for name, value in zip(names, given, strict=False):
        array = value.data if isinstance(value, handles.Tensor) else value
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"onnx.save: the example's {name} is {describe(value)}, expected an array on the CPU; pass one"
            )
        found[name] = array
    return found


def _axes(inputs, dynamic):
    """The axes that are left open."""
    if dynamic is None:
        dynamic = {name: {0: "batch"} for name, a in inputs.items() if a.ndim}
        for name, a in inputs.items():
            if a.ndim == 2 and a.dtype.kind in "iu":
                dynamic[name][1] = "length"
    where: dict = {}
    if not isinstance(dynamic, Mapping) or not all(isinstance(v, Mapping) for v in dynamic.values()):
        raise TypeError(
            f"onnx.save: dynamic is {arguments.shown(dynamic)}, expected a dict of dicts; pass {{'x': {{0: 'batch'}}}}"
        )
    for name, named in dynamic.items():
        if name not in inputs:
            raise ValueError(
                f"onnx.save: dynamic names the input {name!r}, there are {', '.join(inputs)}; name one of them"
            )
        for place, symbol in named.items():
            place = arguments.count("onnx.save", f"an axis of {name}", place, 0, inputs[name].ndim - 1)
            where.setdefault(str(symbol), []).append((name, place))
    found = []
    for symbol, places in where.items():
        lengths = {inputs[name].shape[place] for name, place in places}
        if len(lengths) > 1:
            raise ValueError(
                f"onnx.save: {symbol} has the lengths {sorted(lengths)} in the example; give it one, or two names"
            )
        length = max(2, *lengths)
        found.append(Axis(symbol, tuple(places), length, length + 1))
    return found


def _traces(model, inputs, axes):
    """Runs with the example, with each axis in another length, and with the samples in another order."""
    base = dict(inputs)
    for axis in axes:
        base = _resized(base, axis.places, axis.length)
    traces = [Trace(model, _copies(base), _is_whole)]
    for k, axis in enumerate(axes):
        for other in (axis.length + 1, axis.length - 1):  # which is less where the module takes no more
            try:
                traces.append(Trace(model, _copies(_resized(base, axis.places, other)), _is_whole))
            except (ValueError, IndexError):
                if other < axis.length:
                    raise
                continue
            axes[k] = axis._replace(other=other)
            break
        if axes[k].other > axis.length and _grows(traces[0], traces[-1]):
            with contextlib.suppress(ValueError, IndexError):
                more = axis.length + FURTHER
                traces[-1] = Trace(model, _copies(_resized(base, axis.places, more)), _is_whole)
                axes[k] = axis._replace(other=more)
    if axes:
        rolled = dict(base)
        for name, place in axes[0].places:
            rolled[name] = np.flip(base[name], place)
        _refuse_frozen(traces[0], Trace(model, _copies(rolled), _is_whole))
    return traces


def _is_whole(module):
    """Whether a layer is written whole, as one operator of the standard's."""
    kind = type(module)
    if not kind.__module__.startswith("nnscratch.nn.") or kind.__name__ not in LAYERS:
        return False
    return kind.__name__ != "AdaptiveAvgPool2d" or module.output_size == (1, 1)


def _grows(trace, longer):
    """Whether an array that is no result becomes longer with the input, such as what says where tokens stand."""
    return any(
        np.shape(value) != np.shape(b.given.get(name))
        for a, b in zip(trace.calls, longer.calls, strict=False)
        for name, value in a.given.items()
        if isinstance(value, np.ndarray)
    )


def _copies(inputs):
    return {name: np.array(a) for name, a in inputs.items()}


def _resized(inputs, places, length):
    """The inputs with an axis of another length: repeated from its beginning, or cut."""
    found = dict(inputs)
    for name, place in places:
        a = inputs[name]
        found[name] = np.take(a, np.arange(length) % max(1, a.shape[place]), place)
    return found


def _refuse_frozen(trace, other):
    """Refuse arrays among the arguments that are others where the samples are in another order: they were made of the input."""
    for a, b in zip(trace.calls, other.calls, strict=False):
        for name, value in a.given.items():
            if _differ(value, b.given.get(name)):
                raise ValueError(
                    f"{a.path or 'the module'} gives {a.kind} a {name} that was made of the input by other means than nnscratch's "
                    f"operations; make it by these"
                )


def _differ(a, b):
    if isinstance(a, tuple) and not isinstance(a, Ref) and isinstance(b, tuple):
        return len(a) != len(b) or any(map(_differ, a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return isinstance(a, np.ndarray) != isinstance(b, np.ndarray)


def _proto(model, writer, inputs):
    """The file's content."""
    trace, axes = writer.traces[0], writer.axes
    outputs = _named_outputs(writer)
    nodes = _needed(writer.nodes, outputs)
    used = {name for node in nodes for name in node.input}
    weights = {name: t.numpy() for name, t in trace.constants.items()} | writer.weights
    nodes = [as_node(name, a) for name, a in writer.constants.items() if name in used] + nodes
    given = []
    for name, array in inputs.items():
        lengths: list = list(array.shape)
        for axis in axes:
            for owner, place in axis.places:
                if owner == name:
                    lengths[place] = axis.name
        given.append(helper.make_tensor_value_info(name, number_of(array.dtype), lengths))
    made = [helper.make_tensor_value_info(name, number_of(dtype), lengths) for name, dtype, lengths in outputs]
    initializers = [as_tensor(name, a) for name, a in weights.items() if name in used]
    graph = helper.make_graph(nodes, type(model).__name__, given, made, initializers)
    imports = [helper.make_opsetid("", writer.opset)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports))
    version = sys.modules["nnscratch"].__version__
    proto.producer_name, proto.producer_version = "nnscratch", version
    operations = {call.kind: call.operation for call in trace.calls if call.operation is not None}
    formulas = {
        name: {"formula": op.formula, "source": op.document} for name, op in sorted(operations.items()) if op.formula
    }
    helper.set_model_props(proto, {"nnscratch": version, "formulas": json.dumps(formulas, ensure_ascii=False)})
    return proto


def _named_outputs(writer):
    """Name the results "output", or of several "output_0" and so on; returns name, dtype and lengths of each."""
    traces, found = writer.traces, []
    writer.path = writer.doc = ""
    several = len(traces[0].outputs) > 1
    makers = {name: node for node in writer.nodes for name in node.output}
    uses = Counter(name for node in writer.nodes for name in node.input)
    uses.update(out.name for out in traces[0].outputs if isinstance(out, Ref))
    for k, values in enumerate(zip(*(t.outputs for t in traces), strict=True)):
        name = f"output_{k}" if several else "output"
        first = values[0]
        if isinstance(first, Ref):
            shapes = [t.shapes[v.name] for t, v in zip(traces, values, strict=True)]
            dtype, source = traces[0].dtypes[first.name], first.name
        else:
            shapes = [np.shape(v) for v in values]
            first = np.asarray(first)
            dtype, source = first.dtype, writer.constant(first)
        if source in makers and uses[source] == 1:
            made = makers[source].output
            made[list(made).index(source)] = name
        else:
            writer.node("Identity", [source], [name])
        found.append((name, dtype, [_length(values, writer.axes) for values in zip(*shapes, strict=True)]))
    return found


def _length(values, axes):
    """A length of a result as the file states it: a number, the name of an axis, or None."""
    if len(set(values)) == 1:
        return int(values[0])
    size = solve(values, axes)
    return (
        size.axes[0].name if size is not None and (size.factor, size.offset) == (1, 0) and len(size.axes) == 1 else None
    )


def _needed(nodes, outputs):
    """The nodes that results depend on."""
    wanted, kept = {name for name, _, _ in outputs}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]
