"""A backward pass at leisure: the gradient at every step of a graph, which an ordinary backward pass drops."""

from nnscratch import autograd, backend
from nnscratch.autograd import identity, node_of, nodes_of


class BackwardPass:
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
        From the identity of a node's result to the gradient by it.
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
    >>> seen = BackwardPass([y], [np.float32(1)])
    >>> [(node.op.name, seen.gradient(node).tolist()) for node in seen.nodes]
    [('multiply', [1.0, 1.0]), ('sum', 1.0)]
    >>> seen.leaves[id(x)]
    array([2., 4.], dtype=float32)
    """

    def __init__(self, outputs, seeds):
        self.nodes = nodes_of(y._node for y in outputs)
        self.given: dict = {}
        self.returned: dict = {}
        self.leaves: dict = {}
        #: What of `given` goes on by the node's own rules, and what `autograd.record_as` lets go around them, by a node's id.
        self._own: dict = {}
        self._around: dict = {}
        for y, seed in zip(outputs, seeds, strict=True):
            self._give(y if y._node is None else y._node, backend.of(y.data).asarray(seed))
        for node in reversed(self.nodes):
            self._through(node)

    def gradient(self, node):
        """The gradient by a node's result, or a list of those by each of several; None where none came."""
        return _gradient(self.given, node)

    def _through(self, node):
        g = _gradient(self._own, node)
        for i in node.active:
            around = self._around.get(id(node)) if i == 0 else None
            d = around if g is None else self._ask(node, i, g)
            if d is None:
                continue
            self.returned[id(node), i] = d if g is None or around is None else d + around
            joined = i == 0 and node.fused is not None
            if joined:
                self._go_around(node, g)
            self._give(node.args[i], self.returned[id(node), i], joined)

    def _go_around(self, node, g):
        """What reaches the first input of the node before this one by the fused node, and not by the rules of the two."""
        before = node.args[0]
        start, end = g if node.op.outputs is None else g[0], identity(before.args[0])
        d = autograd.pull(node.fused, start, wanted={end}, retain=True)[end][1]
        self._around[id(before)] = self._around[id(before)] + d if id(before) in self._around else d

    def _give(self, to, d, shown_alone=False):
        if node_of(to) is None:
            _add(self.leaves, to, d)
        else:
            _add(self.given, to, d)
            if not shown_alone:
                _add(self._own, to, d)

    def _ask(self, node, i, g):
        """The gradient by one argument of a node, as its rule gives it; None for none."""
        d = autograd.ask_rule(node, i, g)
        return None if d is None else autograd.fit(d, node, i)


def _gradient(given, node):
    if node.op.outputs is None:
        return given.get(id(node))
    gradients = [given.get(identity(result)) for result in node.results]
    return gradients if any(g is not None for g in gradients) else None


def _add(given, to, d):
    key = identity(to)
    given[key] = given[key] + d if key in given else d
