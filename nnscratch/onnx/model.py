"""A network that was read from an ONNX file."""

from typing import NamedTuple

import numpy as np

from nnscratch import backend
from nnscratch.arguments import named
from nnscratch.autograd import describe
from nnscratch.nn.module import Module
from nnscratch.onnx.dtypes import dtype_of
from nnscratch.onnx.table import need
from nnscratch.tensor import Tensor


class Input(NamedTuple):
    """What a file says of an input: dtype None means any, shape None any, and a length None any."""

    name: str
    dtype: str | None
    shape: tuple | None

    def __str__(self):
        lengths = (
            "any shape" if self.shape is None else f"({', '.join('?' if n is None else str(n) for n in self.shape)})"
        )
        return f"{lengths} {self.dtype or 'of any dtype'}"


def declared(value):
    """What an ``onnx.ValueInfoProto`` says; names of lengths say nothing, as real files use one for two lengths.

    Examples
    --------
    >>> from onnx import helper
    >>> print(declared(helper.make_tensor_value_info("x", 1, ["N", 3])))
    (?, 3) float32
    """
    need(value.type.WhichOneof("value") in (None, "tensor_type"), "sequences and optional values")
    kind = value.type.tensor_type
    dtype = dtype_of(kind.elem_type) if kind.elem_type else None
    if not kind.HasField("shape"):
        return Input(value.name, dtype, None)
    return Input(value.name, dtype, tuple(d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim))


class Model(Module):
    """A network from an ONNX file, which `nnscratch.onnx.load` returns.

    Its parameters and buffers have the names that the file has for them. In training mode batch normalisation and dropout
    behave as in training; it begins in evaluation mode.

    Attributes
    ----------
    inputs : tuple of Input
        Name, dtype and shape of each.
    outputs : tuple of str

    Examples
    --------
    >>> import onnx.parser
    >>> from nnscratch.onnx.loading import from_proto
    >>> text = '<ir_version: 8, opset_import: ["": 17]> g (float[n] x) => (float[n] y) <float[2] w = {1, 2}> {y = Mul(x, w)}'
    >>> model = from_proto(onnx.parser.parse_model(text))
    >>> model, [name for name, _ in model.named_parameters()], model(np.ones(2, "float32"))
    (Model(x: (?) float32 -> y), ['w'], tensor([1., 2.], op=multiply))
    """

    def __init__(self, graph, inputs, weights):
        super().__init__()
        self._graph, self._weights = graph, weights
        self.inputs, self.outputs = tuple(inputs), tuple(graph.outputs)
        self.training = False

    def to(self, device):
        """Stays on the CPU; returns the module.

        Raises
        ------
        ValueError
            Where another device is asked for, or there is none of that name.
        """
        if backend.get(device) is not backend.cpu:
            raise ValueError(f"onnx.Model: a network from a file computes on the CPU, got {device!r}; leave it there")
        return self

    def _own(self, kind):
        return [(name, value) for name, value in self._weights.items() if isinstance(value, kind)]

    def forward(self, *inputs, **by_name):
        """The graph's inputs, in their order or by name -> its result, or the tuple of its results

        Raises
        ------
        TypeError, ValueError
            Where inputs are missing or too many, or are not of the dtype and shape that the file says.
        """
        names = [i.name for i in self.inputs]
        given = dict(zip(names, inputs, strict=False))
        if len(inputs) > len(names) or given.keys() & by_name.keys() or {*given, *by_name} != set(names):
            got = ", ".join([*([f"{len(inputs)} in order"] if inputs else []), *map(named, by_name)])
            raise TypeError(
                f"onnx.Model: got {got or 'nothing'}, expected the inputs {', '.join(names)}; pass each once"
            )
        given |= by_name
        with np.errstate(all="ignore"):  # the standard's inf and nan come with NumPy's warnings
            results = self._graph.run([_checked(i, given[i.name]) for i in self.inputs], self.training)
        return results[0] if len(results) == 1 else tuple(results)

    def extra_repr(self):
        return f"{', '.join(f'{named(i.name)}: {i}' for i in self.inputs)} -> {', '.join(map(named, self.outputs))}"


def _checked(declared, value):
    """An input as a Tensor, of the dtype and shape that the file says."""
    if not isinstance(value, Tensor):
        value = Tensor(value if hasattr(value, "dtype") else np.asarray(value, declared.dtype))
    fits = declared.dtype is None or value.dtype == declared.dtype
    if declared.shape is not None:
        fits &= len(declared.shape) == value.ndim
        fits &= all(n in (None, m) for n, m in zip(declared.shape, value.shape, strict=False))
    if not fits:
        raise ValueError(
            f"onnx.Model: the input {named(declared.name)} is {describe(value)}, expected {declared}; convert or reshape it"
        )
    return value
