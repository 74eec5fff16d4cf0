"""The table of ONNX operators: a name stands for a function of the node's inputs, with its attributes by their ONNX names.

An input that is left out is None. A function that has a parameter called ``at`` is also told where it is called: see `Place`.
"""

import inspect
import math
from typing import NamedTuple

from nnscratch import arguments
from nnscratch.ops.elementwise import astype

#: The functions by the names of their operators; those of another domain than the standard's are called ``domain::name``.
OPERATORS: dict = {}

#: Whether a node asks for what the function above computes, where that is not all of the operator: the rest is spelt out.
PLAIN: dict = {}

#: The most elements of an array whose sizes are numbers of the file.
MOST_ELEMENTS = 2**26

#: The dtypes of Tensors.
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()


class Unsupported(ValueError):
    """A graph asks for something that nnscratch does not have.

    Attributes
    ----------
    reason : str
        What it is; the message says where, too, once that is known.
    """

    def __init__(self, message, reason=None):
        super().__init__(message)
        self.reason = message if reason is None else reason
        self.placed = reason is not None


class Place(NamedTuple):
    """What an operator may want to know of the node, beside inputs and attributes.

    Attributes
    ----------
    opset : int
        The version of the standard that the graph is written in.
    outputs : int
        How many of its results are asked for.
    training : bool
        Whether the module is in training mode.
    run : callable
        ``run(graph, inputs)`` gives the results of a graph that is an attribute.
    """

    opset: int
    outputs: int
    training: bool
    run: object


def operator(*names):
    """Decorator: the function that does the work of the ONNX operators named."""

    def register(function):
        for name in names:
            OPERATORS[name] = function
        return function

    return register


def parameters_of(function):
    """The attributes that an operator's function takes, and whether it wants to know its place.

    Examples
    --------
    >>> parameters_of(lambda x, *, axis=0, at: x)
    ({'axis'}, True)
    """
    takes = inspect.signature(function).parameters.values()
    names = {p.name for p in takes if p.kind is p.KEYWORD_ONLY}
    return names - {"at"}, "at" in names


def need(condition, reason):
    """Raise Unsupported with the reason, unless the condition holds."""
    if not condition:
        raise Unsupported(reason)


def affordable(shape):
    """A shape that a file's numbers ask for, unless it has more elements than any network's.

    Raises
    ------
    ValueError
        Where it has.

    Examples
    --------
    >>> affordable((2, 3))
    (2, 3)
    """
    if math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(
            f"asks for an array of {arguments.shown(math.prod(shape))} elements, and {MOST_ELEMENTS} are the most; lower its sizes"
        )
    return shape


def ints(t, default=None):
    """The whole numbers in a Tensor of them, as a list."""
    return default if t is None else [int(i) for i in t.numpy().reshape(-1)]


def like(y, x):
    """`y` in the dtype of `x`: the standard keeps whole numbers whole where NumPy's functions make fractions of them."""
    return y if y.dtype == x.dtype else astype(y, x.dtype)
