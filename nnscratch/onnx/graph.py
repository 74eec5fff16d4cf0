"""A graph of operators, ready to be run: its constants, and its nodes in an order in which each has what it needs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from nnscratch.arguments import named
from nnscratch.onnx.table import Place, Unsupported


@dataclass
class Step:
    """A node: what it is called in errors, its operator's name and function, and the names of what it takes and makes."""

    label: str
    kind: str
    function: Callable
    settings: dict
    inputs: tuple
    outputs: tuple
    opset: int
    placed: bool  # whether the function wants to know its place

    @property
    def graphs(self):
        """The graphs among its attributes."""
        return [value for value in self.settings.values() if isinstance(value, Graph)]


@dataclass(eq=False)
class Graph:
    """Steps in the order of their running, with the names of what goes in and comes out.

    Attributes
    ----------
    inputs, outputs : tuple of str
    constants : dict of str to Tensor
        Weights among them.
    steps : list of Step
    literals : set of str
        Those of the constants that stand in nodes.
    """

    inputs: tuple
    outputs: tuple
    constants: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    literals: set = field(default_factory=set)

    @property
    def defined(self):
        """The names that have a value of its own."""
        return {*self.inputs, *self.constants, *(name for step in self.steps for name in step.outputs)}

    @property
    def captured(self):
        """The names that it takes from the graphs around it."""
        needed = {name for step in self.steps for name in step.inputs if name}
        needed.update(name for step in self.steps for graph in step.graphs for name in graph.captured)
        return (needed | set(self.outputs)) - self.defined - {""}

    def run(self, inputs, training=False, around=None):
        """The results, by the values of the inputs in their order.

        Parameters
        ----------
        inputs : sequence of Tensor
        training : bool
        around : dict, optional
            The values of the graph around it.

        Raises
        ------
        TypeError, ValueError, IndexError, MemoryError
            Where a node's inputs do not fit it.
        """
        values = {"": None, **(around or {}), **self.constants}
        values.update(zip(self.inputs, inputs, strict=False))
        for step in self.steps:
            settings = step.settings
            if step.placed:

                def run(graph, given):
                    return graph.run(given, training, values)

                settings = {**settings, "at": Place(step.opset, len(step.outputs), training, run)}
            try:
                results = step.function(*(values[name] for name in step.inputs), **settings)
            except Exception as error:
                raise _told(error, step) from error
            results = results if isinstance(results, tuple | list) else (results,)
            if len(results) < len(step.outputs):
                raise _told(Unsupported(f"output {len(results) + 1} of {step.kind}"), step)
            values.update((name, y) for name, y in zip(step.outputs, results, strict=False) if name)
        return [values[name] for name in self.outputs]


class NodeError(ValueError):
    """What went wrong in a node, as a sentence."""


def _told(error, step):
    """An error of a node's function as one that names the node."""
    if isinstance(error, NodeError) or (isinstance(error, Unsupported) and error.placed):
        return error
    if isinstance(error, Unsupported):
        where = f"{step.label}: {error}, which nnscratch does not have; export the network without it"
        return Unsupported(where, error.reason)
    text = named(" ".join(str(error).split()), 400)
    if isinstance(error, MemoryError):
        if text.startswith("onnx: "):  # which a node within has said
            return error
        return MemoryError(f"{step.label}: {text or 'out of memory'}; pass fewer samples at a time")
    if isinstance(error, TypeError | ValueError | IndexError):
        return NodeError(f"{step.label}: {text}")
    return NodeError(
        f"{step.label}: its inputs or attributes do not fit the operator ({type(error).__name__} {text}); export it anew"
    )
