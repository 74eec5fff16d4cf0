"""The graph that operations leave behind.

A `Node` is one application of an operation. It holds its inputs and, while some rule will ask for it, its result's
array; it never holds its result's Tensor, so a graph has no reference cycles and is freed with its last Tensor. Of an
operation with several results the node holds a list for each, and a Tensor of one of them refers to the node by a
`Result`. The backward pass drops arrays as it goes; a second pass over the same graph computes what it needs of them
again, which is why a forward function must be a pure function of its arguments.
"""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import handles


class Node:
    """One application of an operation: its inputs, and its result's array while a rule needs it.

    Where the operation has several results, `data`, `shape`, `dtype`, `version` and `made` are lists with an entry for each.
    """

    __slots__ = (
        "op",  # the operation
        "args",  # its arguments: a Node or Result (made by an operation), a Tensor (a leaf or a constant) or anything else
        "kwargs",
        "plan",  # what its rules need: see Op._plan
        "data",  # the result's array, or None while no rule needs it
        "shape",
        "dtype",
        "version",  # the counter that the result's Tensor and its views share
        "made",  # what that counter said when this node was made
        "versions",  # for each argument that is a Tensor or comes from one the pair of its counter and what that said
        "sequence",
        "scope",  # in which modules it was made: see _State
        "fused",  # a node that computes the same from an earlier input, or None: see `record_as`
        "__weakref__",
    )

    #: Whether a gradient by it can be asked for, as it can by whatever is recorded, but for some of several results.
    has_gradient = True

    @property
    def active(self):
        """The positions in `args` whose gradient somebody may want."""
        return self.plan[2]

    @property
    def results(self):
        """What stands for its results among other nodes' arguments: itself, or a `Result` for each of several."""
        return [self] if self.op.outputs is None else [Result(self, k) for k in range(len(self.op.outputs))]

    def __repr__(self):
        return f"<Node {self.op.name} -> {self.shape} {self.dtype}>"


class Result:
    """One of several results of a node, as a Tensor and other nodes' arguments refer to it."""

    __slots__ = ("node", "index", "__weakref__")

    def __init__(self, node, index):
        self.node, self.index = node, index

    @property
    def op(self):
        return self.node.op

    @property
    def name(self):
        """What the operation calls this result."""
        return self.node.op.outputs[self.index]

    @property
    def has_gradient(self):
        """Whether a gradient by it can be asked for."""
        return self.op._has_gradient(self.index, self.dtype)

    @property
    def sequence(self):
        return self.node.sequence

    @property
    def data(self):
        return self.node.data[self.index]

    @property
    def shape(self):
        return self.node.shape[self.index]

    @property
    def dtype(self):
        return self.node.dtype[self.index]

    @property
    def version(self):
        return self.node.version[self.index]

    def __repr__(self):
        return f"<Result {self.name} of {self.node!r}>"


def identity(a):
    """What tells an argument in a graph from all others: equal for two `Result`s that mean the same."""
    return (id(a.node), a.index) if type(a) is Result else id(a)


def node_of(a):
    """The node that made an argument of another, or None where no operation did."""
    return a if type(a) is Node else a.node if type(a) is Result else None


def nodes_of(roots):
    """The nodes behind some nodes and results (a None among them is passed over), in the order of their making."""
    found, stack = {}, list(roots)
    while stack:
        node = node_of(stack.pop())
        if node is not None and id(node) not in found:
            found[id(node)] = node
            stack += node.args
    return sorted(found.values(), key=lambda n: n.sequence)


def shape(a):
    return a.shape if isinstance(a, Node | Result | handles.Tensor) else np.shape(a)


def raw(a):
    """A kept argument as an array."""
    if type(a) is Node or type(a) is Result:
        if a.data is None:
            _restore(a)
        return a.data
    return a.data if isinstance(a, handles.Tensor) else a


def kept_array(node, k):
    """One of several results of a node as an array."""
    if node.data[k] is None:
        _restore(Result(node, k))
    return node.data[k]


def handle(a):
    """A kept argument as a Tensor with its place in the graph, so that a rule's own operations are recorded."""
    if type(a) is not Node and type(a) is not Result:
        return a
    if not a.has_gradient:
        return raw(a)
    tensor = handles.wrap(raw(a), a.version)
    tensor._node = a
    tensor.requires_grad = True
    return tensor


def _restore(a):
    """Compute a dropped result again, and those it came from."""
    stack = [a]
    while stack:
        last = stack[-1]
        node = node_of(last)
        # what another node computed in this one's place has the same numbers, and is needed anyway: see `record_as`
        around = node.fused if last is node or last.index == 0 else None
        missing = [
            b for b in (node.args if around is None else [around]) if type(b) in (Node, Result) and b.data is None
        ]
        if last.data is None and missing:
            stack += missing
            continue
        if last.data is None and around is None:
            check_versions(node, range(len(node.args)))
            out = node.op.forward(*map(raw, node.args), **node.kwargs)
            node.data = as_result(out) if node.op.outputs is None else list(map(as_result, out))
        elif last.data is None and last is node:
            node.data = around.data
        elif last.data is None:
            node.data[0] = around.data
        stack.pop()


def as_result(value):
    """What a function of arrays returned, as an array: reductions of NumPy's return scalars."""
    return value if type(value) is np.ndarray else backend.of(value).as_result(value)


def check_versions(node, positions):
    """Refuse to go on where an argument at one of these positions was changed in place after the node was made."""
    for i in positions:
        version = node.versions[i]
        if version is not None and version[0][0] != version[1]:
            raise RuntimeError(
                f"{node.op.name}: its input {node.op._input_name(i)} {shape(node.args[i])} was changed in place after the "
                f"operation used it, so its gradient cannot be computed; change a copy, or call backward first"
            )


def check_results(node, positions):
    """The same for its results."""
    several = node.op.outputs is not None
    for k in positions:
        version, made = (node.version[k], node.made[k]) if several else (node.version, node.made)
        if version[0] != made:
            result = node.results[k]
            what = f"its result {result.name}" if several else "its result"
            raise RuntimeError(
                f"{node.op.name}: {what} {result.shape} was changed in place, and its gradient needs the old "
                f"values; change a copy, or call backward first"
            )
