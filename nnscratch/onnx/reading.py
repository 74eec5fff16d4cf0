"""From the protocol buffers of a file to graphs that can be run."""

import heapq
import inspect
from collections import Counter

import onnx
from onnx import AttributeProto

from nnscratch.arguments import named, several
from nnscratch.onnx.dtypes import as_array, number_of
from nnscratch.onnx.graph import Graph, Step
from nnscratch.onnx.operators import OPERATORS
from nnscratch.onnx.table import PLAIN, Unsupported, need, parameters_of
from nnscratch.tensor import tensor

MOST_DEPTH = 30  # of functions within functions
_VALUES = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
}


class Reader:
    """Reads the graphs of a model, one within the other, and notes which operators are missing.

    Parameters
    ----------
    proto : onnx.ModelProto
    external : callable or None
        Gives the bytes of a tensor that are in another file.
    """

    def __init__(self, proto, external=None):
        self._external = external
        self._opsets = _opsets(proto.opset_import)
        self._functions = {(f.domain, f.name, f.overload): f for f in proto.functions}
        self.missing: Counter = Counter()
        #: The attributes of the functions that are being read, the innermost last, and how deep that is.
        self._given: list = []

    def refuse_missing(self):
        """Refuse a model with operators that there are not.

        Raises
        ------
        Unsupported
            Lists them all.
        """
        if self.missing:
            found = [f"{named(name)} ({count})" for name, count in sorted(self.missing.items())]
            raise Unsupported(f"the operators {several(found, 40)}")

    def graph(self, proto, opsets=None):
        """A graph of an ``onnx.GraphProto``."""
        need(not proto.sparse_initializer, "sparse tensors")
        constants = {}
        for value in proto.initializer:
            if value.name in constants:
                raise ValueError(f"two tensors are called {named(value.name)}")
            constants[value.name] = tensor(as_array(value, self._external))
        inputs = [value.name for value in proto.input if value.name not in constants]
        outputs = [value.name for value in proto.output]
        return self._arranged(proto.node, inputs, outputs, constants, opsets or self._opsets)

    def _arranged(self, nodes, inputs, outputs, constants, opsets):
        """A graph of nodes, in an order in which each comes after what it needs."""
        steps, literals = [], set()
        made = dict.fromkeys((*inputs, *constants))
        if len(made) < len(inputs) + len(constants):
            raise ValueError("two inputs have one name")
        for number, node in enumerate(nodes):
            step = self._step(node, number, opsets)
            for name in filter(None, node.output):
                if name in made:
                    raise ValueError(f"{named(name)} is made twice, the second time by {_label(node, number)}")
                made[name] = None if step is None else len(steps)
            if step is None:
                continue
            if step.kind == "Constant" and not step.graphs:
                constants[step.outputs[0]] = step.function(**step.settings)
                made[step.outputs[0]] = None
                literals.add(step.outputs[0])
            else:
                steps.append(step)
        return Graph(tuple(inputs), tuple(outputs), constants, _sorted(steps, made), literals)

    def _step(self, node, number, opsets):
        """A node as a step; None where its operator is missing."""
        label, domain = _label(node, number), "" if node.domain == "ai.onnx" else node.domain
        kind = f"{domain}::{node.op_type}" if domain else node.op_type
        function = self._functions.get((node.domain, node.op_type, node.overload))
        opset = opsets.get(domain, 1)
        if function is None and (kind not in OPERATORS or not PLAIN.get(kind, bool)(node)):
            return self._spelt_out(node, label, kind, domain, opset, opsets)
        if function is not None:
            return self._call(node, label, kind, function, opsets)
        settings = {a.name: self._value(a, opsets) for a in self._attributes(node)}
        known, placed = parameters_of(OPERATORS[kind])
        for name in settings:
            need(name in known, f"the attribute {named(name)} of {kind}")
        _check_arity(OPERATORS[kind], label, node, settings, placed)
        return Step(label, kind, OPERATORS[kind], settings, tuple(node.input), tuple(node.output), opset, placed)

    # Functions: operators that are spelt out in others

    def _call(self, node, label, kind, function, opsets, defaults=()):
        """A node of a function: its body is a graph of its own, in which the attributes are put in."""
        if len(self._given) > MOST_DEPTH:
            raise ValueError(f"{label} is a function that calls itself")
        if len(node.input) > len(function.input) or len(node.output) > len(function.output):
            raise ValueError(f"{label} has more inputs or outputs than its function")
        attributes = {a.name: a for a in (*defaults, *function.attribute_proto, *self._attributes(node))}
        self._given.append(attributes)
        try:
            own = {**opsets, **_opsets(function.opset_import)}
            asked = [name if out else "" for name, out in zip(function.output, node.output, strict=False)]
            body = self._arranged(function.node, list(function.input), asked, {}, own)
        finally:
            self._given.pop()
        if body.captured and not self.missing:
            raise ValueError(f"{label}: {named(min(body.captured))} is asked for, and made by no node")

        def run(*inputs, at):
            return body.run((*inputs, *(None,) * (len(body.inputs) - len(inputs))), at.training)

        return Step(label, kind, run, {}, tuple(node.input), tuple(node.output), opsets.get("", 1), True)

    def _spelt_out(self, node, label, kind, domain, opset, opsets):
        """A node whose operator the standard itself spells out in others; None, and a note, where it does not."""
        try:
            schema = onnx.defs.get_schema(node.op_type, min(opset, onnx.defs.onnx_opset_version()), domain)
        except (onnx.defs.SchemaError, TypeError, UnicodeDecodeError):
            schema = None
        if schema is None or not (schema.has_function or schema.has_context_dependent_function):
            self.missing[kind] += 1
            return None
        defaults = [a.default_value for a in schema.attributes.values() if a.default_value.name]
        if schema.has_function:
            function = onnx.FunctionProto()
            function.ParseFromString(schema.function_body.SerializeToString())
            return self._call(node, label, kind, function, {**opsets, "": opset}, defaults)
        return self._by_types(node, label, kind, schema, opset, opsets, defaults)

    def _by_types(self, node, label, kind, schema, opset, opsets, defaults):
        """A node whose body depends on its inputs' dtypes and ranks, and is made when these are known."""
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        del plain.attribute[:]
        plain.attribute.extend(self._attributes(node))
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        bodies: dict = {}

        def run(*inputs, at):
            types = tuple(None if x is None else (str(x.dtype), x.ndim) for x in inputs)
            if types not in bodies:
                described = [b"" if t is None else _type(*t).SerializeToString() for t in types]
                content = schema.get_context_dependent_function_with_opset_version(
                    max(versions, default=opset), plain.SerializeToString(), described
                )
                function = onnx.FunctionProto()
                function.ParseFromString(content)
                need(function.node, f"the operators {kind} (1)")
                reader = Reader(onnx.ModelProto(), self._external)
                step = reader._call(plain, label, kind, function, {**opsets, "": opset}, defaults)
                reader.refuse_missing()
                bodies[types] = step.function
            return bodies[types](*inputs, at=at)

        return Step(label, kind, run, {}, tuple(node.input), tuple(node.output), opset, True)

    # Attributes

    def _attributes(self, node):
        """A node's attributes; those that name an attribute of the function around the node are that."""
        found = []
        for a in node.attribute:
            if a.ref_attr_name:
                given = self._given[-1].get(a.ref_attr_name) if self._given else None
                if given is None:
                    continue
                own = AttributeProto()
                own.CopyFrom(given)
                own.name = a.name
                a = own
            found.append(a)
        return found

    def _value(self, a, opsets):
        """The value of an attribute: a number, a text, a list of them, a Tensor or a graph."""
        if a.type in _VALUES:
            value = getattr(a, _VALUES[a.type])
            return value if isinstance(value, int | float) else list(value)
        if a.type == AttributeProto.STRING:
            return a.s.decode("utf-8", "replace")
        if a.type == AttributeProto.STRINGS:
            return [s.decode("utf-8", "replace") for s in a.strings]
        if a.type == AttributeProto.TENSOR:
            return tensor(as_array(a.t, self._external))
        need(
            a.type == AttributeProto.GRAPH, f"the attribute {named(a.name)}, which is no number, text, tensor or graph"
        )
        return self.graph(a.g, opsets)


def _label(node, number):
    """What a node is called in errors."""
    return f"onnx: {named(node.op_type, 60)} {named(node.name, 60) if node.name else f'(node {number})'}"


def _opsets(imports):
    """The versions by domain."""
    return {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in imports}


def _type(dtype, rank):
    """The type of a tensor as the standard writes it."""
    return onnx.helper.make_tensor_type_proto(number_of(dtype), [None] * rank)


def _check_arity(function, label, node, settings, placed):
    """Refuse a node with too few or too many inputs, or without an attribute that it needs."""
    try:
        given = {**settings, "at": None} if placed else settings
        inspect.signature(function).bind(*node.input, **given)
    except TypeError as error:
        raise ValueError(f"{label} has not what its operator takes ({error})") from None


def _sorted(steps, made):
    """The steps in an order in which each comes after those that make what it takes: theirs, where that is one."""
    needs, followers = [], [[] for _ in steps]
    for k, step in enumerate(steps):
        names = {*step.inputs, *(name for graph in step.graphs for name in graph.captured)}
        before = {made[name] for name in names if made.get(name) is not None}
        needs.append(len(before))
        for other in before:
            followers[other].append(k)
    ready, order = [k for k, count in enumerate(needs) if not count], []
    heapq.heapify(ready)
    while ready:
        k = heapq.heappop(ready)
        order.append(steps[k])
        for other in followers[k]:
            needs[other] -= 1
            if not needs[other]:
                heapq.heappush(ready, other)
    if len(order) < len(steps):
        stuck = next(step for step, count in zip(steps, needs, strict=True) if count)
        raise ValueError(f"{stuck.label.removeprefix('onnx: ')} needs its own result: the graph goes in a circle")
    return order
