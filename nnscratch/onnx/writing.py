"""From traces of a module to the protocol buffers of a file."""

from collections import Counter

import numpy as np
from onnx import helper, numpy_helper

from nnscratch.onnx.dtypes import number_of
from nnscratch.onnx.exports import EXPORTS
from nnscratch.onnx.sizes import solve
from nnscratch.onnx.tracing import Ref

#: The least number that float32, and any larger floating-point dtype, has.
LOWEST = float(np.finfo(np.float32).min)


class Writer:
    """Collects nodes and constants.

    Parameters
    ----------
    traces : list of Trace
        The first, and one for each axis that is left open.
    axes : tuple of Axis
    opset : int
    """

    def __init__(self, traces, axes, opset):
        self.traces, self.axes, self.opset = traces, axes, opset
        self.nodes: list = []
        #: What is trained, beside the module's own parameters; and what stands in the graph as it is.
        self.weights: dict = {}
        self.constants: dict = {}
        self._counts: Counter = Counter()
        self._sizes: dict = {}
        self.path = self.doc = ""

    def write(self):
        """The nodes of all calls."""
        for calls in zip(*(trace.calls for trace in self.traces), strict=True):
            first = calls[0]
            if len({(c.kind, c.path) for c in calls}) > 1:
                raise ValueError(
                    f"{first.path or 'the module'} calls {first.kind} or something else, as the lengths of the input are; write it so that "
                    f"it does the same for all lengths, or pass dynamic={{}}"
                )
            if first.kind not in EXPORTS:
                raise ValueError(
                    f"{first.path or 'the module'} uses {first.kind}, which has no counterpart in ONNX here; compute it otherwise, "
                    f"or outside of the module"
                )
            self.path = first.path
            op = first.operation
            self.doc = (
                f"{op.formula} ({op.document})"
                if op is not None and op.document
                else op.formula
                if op is not None
                else ""
            )
            EXPORTS[first.kind](Written(self, calls))

    def name(self, what):
        """A name that is not taken, within the module that is being written."""
        base = f"{self.path}.{what}" if self.path else what
        self._counts[base] += 1
        return base if self._counts[base] == 1 else f"{base}_{self._counts[base] - 1}"

    def node(self, kind, inputs, outputs=1, **attributes):
        """Add a node; returns its result's name, or the list of several. `outputs` is their number, or their names."""
        name = self.name(kind)
        if isinstance(outputs, int):
            outputs = [f"{name}:{k}" if outputs > 1 else f"{name}:out" for k in range(outputs)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(
            helper.make_node(kind, list(inputs), list(outputs), name, doc_string=self.doc or None, **attributes)
        )
        return outputs[0] if len(outputs) == 1 else list(outputs)

    def constant(self, array, what="constant"):
        """A constant; equal ones are one."""
        array = np.asarray(array)
        for name, other in self.constants.items():
            if (
                other.dtype == array.dtype
                and other.shape == array.shape
                and other.size < 64
                and np.array_equal(other, array, equal_nan=array.dtype.kind == "f")
            ):
                return name
        name = self.name(what)
        self.constants[name] = array
        return name

    def weight(self, array, what):
        """What is trained, made of the module's parameters."""
        name = self.name(what)
        self.weights[name] = array
        return name

    def whole(self, *numbers):
        """Whole numbers as a constant."""
        return self.constant(np.array(numbers, np.int64), "shape")

    # Lengths

    def lengths(self, rows, like=()):
        """A list of lengths, each given for all runs, as the name of an int64 vector.

        `like` are values by name, of which an axis may have such a length.
        """
        parts, fixed = [], []
        for values in rows:
            if len(set(values)) == 1:
                fixed.append(int(values[0]))
                continue
            if fixed:
                parts.append(self.whole(*fixed))
                fixed = []
            parts.append(self._length(tuple(values), like))
        if fixed or not parts:
            parts.append(self.whole(*fixed))
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, axis=0)

    def _length(self, values, like):
        if values in self._sizes:
            return self._sizes[values]
        found = solve(values, self.axes)
        if found is None:
            for name in like:
                shapes = [trace.shapes[name] for trace in self.traces]
                for k in range(len(shapes[0])):
                    if all(len(s) > k and s[k] == v for s, v in zip(shapes, values, strict=True)):
                        return self.node("Shape", [name], start=k, end=k + 1)
            names = ", ".join(axis.name for axis, v in zip(self.axes, values[1:], strict=True) if v != values[0])
            raise ValueError(
                f"{self.path or 'the module'} makes a length of {names} in a way that cannot be told; pass dynamic={{}} for fixed lengths"
            )
        name = None
        for axis in found.axes:
            if axis.name not in self._sizes:
                source, place = axis.places[0]
                self._sizes[axis.name] = self.node("Shape", [source], start=place, end=place + 1)
            length = self._sizes[axis.name]
            name = length if name is None else self.node("Mul", [name, length])
        if found.factor != 1:
            name = self.node("Mul", [name, self.whole(found.factor)])
        if found.offset:
            name = self.node("Add", [name, self.whole(found.offset)])
        self._sizes[values] = name
        return name


class Written:
    """A call that is being written: its arguments, by name, in all runs, and the names of its results.

    Parameters
    ----------
    writer : Writer
    calls : sequence of Call
    """

    def __init__(self, writer, calls):
        self.writer, self.calls, self.kind = writer, calls, calls[0].kind
        self.node, self.whole, self.opset = writer.node, writer.whole, writer.opset
        self.module = calls[0].module
        self.outputs = [ref.name for ref in calls[0].results]
        self.out = self.outputs[0]

    def has(self, name):
        """Whether an argument was given, and is not None."""
        return self.calls[0].given.get(name) is not None

    def every(self, name):
        """An argument's values in all runs."""
        return [call.given.get(name) for call in self.calls]

    def setting(self, name):
        """An argument that has to be the same in all runs."""
        first, *others = self.every(name)
        if any(other != first for other in others):
            raise ValueError(
                f"{self.writer.path or 'the module'} calls {self.kind} with another {name} for inputs of other lengths; pass dynamic={{}} "
                f"for fixed lengths"
            )
        return first

    def shape(self, value):
        """The shape of an argument in the first run, by its name or as it is."""
        return self.shapes(value)[0]

    def shapes(self, name):
        """The shapes of an argument in all runs."""
        return [
            trace.shapes[v.name] if isinstance(v, Ref) else np.shape(v)
            for trace, v in zip(self.writer.traces, self.every(name), strict=True)
        ]

    def dtype(self, name):
        """An argument's dtype; None of a number, which takes that of the others."""
        value = self.calls[0].given.get(name) if isinstance(name, str) else name
        if isinstance(value, Ref):
            return self.writer.traces[0].dtypes[value.name]
        return getattr(value, "dtype", None)

    @property
    def out_dtype(self):
        """The first result's dtype."""
        return self.writer.traces[0].dtypes[self.out]

    def out_shapes(self, k=0):
        """The shapes of a result in all runs."""
        return [trace.shapes[call.results[k].name] for trace, call in zip(self.writer.traces, self.calls, strict=True)]

    def value(self, name, dtype=None):
        """An argument as the name of a value in the graph, in a dtype, if one is asked for."""
        return self.named(self.every(name), dtype)

    def named(self, values, dtype=None):
        """A value, given for all runs, as the name of one in the graph."""
        first = values[0]
        if isinstance(first, Ref):
            if any(v != first for v in values):
                raise ValueError(
                    f"{self.writer.path or 'the module'} takes something else, as the lengths of the input are; pass dynamic={{}}"
                )
            if dtype is not None and self.dtype(first) != dtype:
                return self.node("Cast", [first.name], to=number_of(dtype))
            return first.name
        arrays = [np.asarray(v, dtype) for v in values]
        longest = max(arrays, key=lambda a: a.size)
        name = self.writer.constant(longest)
        if all(a.shape == longest.shape and np.array_equal(a, longest, equal_nan=a.dtype.kind == "f") for a in arrays):
            return name
        if any(a.ndim != longest.ndim or not np.array_equal(a, longest[tuple(map(slice, a.shape))]) for a in arrays):
            raise ValueError(
                f"{self.writer.path or 'the module'} gives {self.kind} an array that was made of the inputs, or of their lengths, by other "
                f"means than nnscratch's operations; make it by these"
            )
        shapes = [a.shape for a in arrays]
        axes = [k for k in range(longest.ndim) if len({s[k] for s in shapes}) > 1]
        ends = self.writer.lengths([[s[k] for s in shapes] for k in axes])
        return self.node("Slice", [name, self.whole(*[0] * len(axes)), ends, self.whole(*axes)])

    def array(self, name):
        """An argument that is a parameter or constant, as an array."""
        value = self.setting(name)
        return self.writer.traces[0].constants[value.name].numpy() if isinstance(value, Ref) else np.asarray(value)

    def write(self, kind, inputs, **attributes):
        """Add a node whose result is the call's."""
        return self.node(kind, inputs, self.outputs[:1], **attributes)


def as_tensor(name, array):
    """An array as the file has it."""
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.shape(array)), name)


def as_node(name, array):
    """A constant as a node, which says that it is not trained."""
    return helper.make_node("Constant", [], [name], name, value=as_tensor(name, array))
