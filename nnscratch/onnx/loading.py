"""Reading an ONNX file: what stands in it is checked, and refused in one sentence where it does not hold together."""

import onnx
from google.protobuf.message import DecodeError

from nnscratch.arguments import named
from nnscratch.files import as_path, read_bytes
from nnscratch.onnx.external import Beside
from nnscratch.onnx.model import Model, declared
from nnscratch.onnx.reading import Reader
from nnscratch.onnx.table import Unsupported, need
from nnscratch.onnx.weights import take_weights


def load(path):
    """A network from an ONNX file, as a module: it computes, is trained further, drawn and explained as any other.

    What layers of neurons, convolutions, recurrent layers and the like multiply by, and what is added to their results, become
    parameters, with the names that the file has for them; running statistics become buffers. The module is in evaluation mode.

    Parameters
    ----------
    path : str or os.PathLike
        Values that are too many for the file itself are read from files in its folder, and from nowhere else.

    Returns
    -------
    Model

    Raises
    ------
    FileNotFoundError, OSError
        Where it cannot be read.
    ValueError
        Where it is no ONNX file, does not hold together, or asks for what nnscratch does not have: all missing operators are listed.

    Examples
    --------
    >>> import nnscratch as ns, onnx.parser, tempfile
    >>> text = '<ir_version: 8, opset_import: ["": 17]> g (float[n, 2] x) => (float[n, 2] y) {y = Relu(x)}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(onnx.parser.parse_model(text), f"{folder}/relu.onnx")
    ...     model = ns.onnx.load(f"{folder}/relu.onnx")
    >>> model(ns.tensor([[-1.0, 2.0]]))
    tensor([[0., 2.]])
    """
    path = as_path("onnx.load", path)
    return from_proto(parsed(read_bytes("onnx.load", path), path), path, Beside(path))


def parsed(content, path):
    """The ``onnx.ModelProto`` of a file's bytes.

    Raises
    ------
    ValueError
        Where they are none.

    Examples
    --------
    >>> parsed(b"no model", "a.txt")
    Traceback (most recent call last):
    ValueError: onnx.load: a.txt is no ONNX file, or damaged; export it anew
    """
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except (DecodeError, ValueError, RecursionError):
        raise ValueError(f"onnx.load: {path} is no ONNX file, or damaged; export it anew") from None
    return proto


def from_proto(proto, path="the model", external=None):
    """The module of an ``onnx.ModelProto``; see `load`.

    Parameters
    ----------
    proto : onnx.ModelProto
    path : str
        What errors call it.
    external : callable, optional
        Gives the bytes of a tensor that are in another file.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        As `load`.

    Examples
    --------
    >>> import onnx.parser
    >>> text = '<ir_version: 8, opset_import: ["": 17]> g (float x) => (float y) {y = Exp(x)}'
    >>> from_proto(onnx.parser.parse_model(text))(0.0)
    tensor(1.)
    """
    try:
        if not proto.HasField("graph"):
            raise ValueError("it has no graph")
        reader = Reader(proto, external)
        graph = reader.graph(proto.graph)
        reader.refuse_missing()
        missing = graph.captured
        if missing:
            raise ValueError(f"{named(min(missing))} is asked for, and made by no node")
        values = {value.name: value for value in proto.graph.input}
        inputs = [declared(values[name]) for name in graph.inputs]
        for value in proto.graph.output:
            need(value.type.WhichOneof("value") in (None, "tensor_type"), "sequences and optional values")
        return Model(graph, inputs, take_weights(graph))
    except Unsupported as reason:
        text = f"onnx.load: {path} asks for what nnscratch does not have: {reason}; export the network without it"
        raise Unsupported(text, reason.reason) from None
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        kind = MemoryError if isinstance(error, MemoryError) else ValueError
        text = named(" ".join(str(error).split()), 600)
        raise kind(f"onnx.load: {path} does not hold together: {text}; export it anew") from None
