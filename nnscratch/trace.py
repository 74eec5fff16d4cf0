"""A graph walked at leisure: the values and gradients at every step of it, which an ordinary backward pass drops."""

from nnscratch import autograd, backend
from nnscratch.autograd import Node, nodes_of


class Trace:
    """A backward pass that keeps what it sees; the numbers are those of the engine's own, in the same order of sums.

    Parameters
    ----------
    outputs : sequence of Tensor
        Where it starts; each was computed from tensors that require gradients.
    seeds : sequence of array
        The gradients there, in the outputs' shapes.

    Attributes
    ----------
    nodes : list of Node
        In the order of their making.
    given : dict
        From the id of a node to the gradient by its result.
    returned : dict
        From (a node's id, position) to the gradient by that argument, of this one use of it.
    leaves : dict
        From the id of a leaf to the gradient by it, all its uses together.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> x = ns.tensor([1.0, 2.0], requires_grad=True)
    >>> y = ns.sum(x * x)
    >>> trace = Trace([y], [np.float32(1)])
    >>> [(node.op.name, trace.given[id(node)].tolist()) for node in trace.nodes]
    [('multiply', [1.0, 1.0]), ('sum', 1.0)]
    >>> trace.leaves[id(x)]
    array([2., 4.], dtype=float32)
    """

    def __init__(self, outputs, seeds):
        self.nodes = nodes_of(y._node for y in outputs)
        self.given: dict = {}
        self.returned: dict = {}
        self.leaves: dict = {}
        for y, seed in zip(outputs, seeds, strict=True):
            self._give(y if y._node is None else y._node, backend.of(y.data).asarray(seed))
        for node in reversed(self.nodes):
            for i in node.active if id(node) in self.given else ():
                d = self._ask(node, i, self.given[id(node)])
                if d is not None:
                    self.returned[id(node), i] = d
                    self._give(node.args[i], d)

    def _give(self, to, d):
        place = self.given if type(to) is Node else self.leaves
        place[id(to)] = place[id(to)] + d if id(to) in place else d

    def _ask(self, node, i, g):
        """The gradient by one argument of a node, as its rule gives it; None for none."""
        name = node.op._input_name(i)
        d = node.op.rules[name](node, i, g, autograd._raw)
        return None if d is None else autograd._fit(d, node.args[i], node.op, name)
