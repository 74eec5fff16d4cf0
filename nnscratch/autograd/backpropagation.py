"""The backward pass, which takes the nodes of a graph from the latest to the earliest, and what starts it: `grad`, `backward`."""

import threading
from heapq import heappop, heappush

import numpy as np

from nnscratch import backend
from nnscratch.autograd import handles
from nnscratch.autograd.graph import Node, Result, check_results, check_versions, identity, node_of, nodes_of, raw
from nnscratch.autograd.operation import OPS
from nnscratch.autograd.rule import GradientError, Gradients

#: Held while a gradient is added to a leaf's, which several threads may do at once.
_accumulating = threading.Lock()


def fused_of(node, g):
    """The node that goes another way to a node's (first) result, see `record_as`, and the gradient by its result or results."""
    fused, g = node.fused, g if node.op.outputs is None else g[0]
    return node_of(fused), g if type(fused) is Node else [
        g if r.index == fused.index else None for r in fused.node.results
    ]


def _needed(root, wanted):
    """The identities of the results and leaves through which `root` depends on `wanted` (a set of such), `wanted` included."""
    needed = set(wanted)
    nodes = nodes_of([root])
    ways_around = [node.fused for node in nodes if node.fused is not None]  # see `record_as`
    for node in nodes_of([root, *ways_around]) if ways_around else nodes:
        if any(identity(node.args[i]) in needed for i in node.active):
            needed.update(map(identity, node.results))
    return needed


def _leaves(root):
    """The pairs of the number of the first node that uses a leaf, after which its gradient is complete, and the leaf; in that order."""
    first: dict = {}
    for node in nodes_of([root]):
        for i in node.active:
            if node_of(node.args[i]) is None:
                first.setdefault(id(node.args[i]), (node.sequence, node.args[i]))
    return list(first.values())


def pull(root, seed, create_graph=False, wanted=None, retain=False, ready=None):
    """The backward pass from `root` (a Node, a Result or a leaf), where the gradient is `seed`.

    Returns the gradients as a dict from the identity of each leaf (or of each in `wanted`) to the pair of it and its
    gradient: arrays, or Tensors with a graph of their own under `create_graph`. ``ready(pairs)`` is called after each node with the
    pairs, often none, of leaves and gradients that are complete by now.
    """
    needed = None if wanted is None else _needed(root, wanted)
    leaves = _leaves(root) if ready is not None else ()
    found: dict = {}
    if node_of(root) is None:
        return {id(root): (root, seed)} if needed is None or id(root) in needed else found
    # Nodes by their sequence numbers, the latest first, with the gradient of the result or a list of them.
    pending: dict = {}
    heap: list = []
    if type(root) is Node:
        pending[-root.sequence] = (root, seed)
        heap.append(-root.sequence)
    else:
        _give(root, seed, pending, heap)
    while heap:
        node, g = pending.pop(heappop(heap))
        if wanted is not None:
            for result, d in zip(node.results, [g] if node.op.outputs is None else g, strict=True):
                if d is not None and identity(result) in wanted:
                    found[identity(result)] = (result, d)
        if node.fused is not None and (wanted is None or identity(node.args[0]) not in wanted):
            if not retain:
                node.data = None if node.op.outputs is None else [None] * len(g)
            node, g = fused_of(node, g)
        operation = node.op
        several = operation.outputs is not None
        args = node.args
        keep, keep_results, _, pairs = node.plan
        versions = node.versions
        for i in keep:
            version = versions[i]
            if version is not None and version[0][0] != version[1]:
                check_versions(node, keep)
        if keep_results and (several or node.version[0] != node.made):
            check_results(node, keep_results)
        for i, rule in pairs:
            parent = args[i]
            if needed is not None and identity(parent) not in needed:
                continue
            if several and all(g[k] is None for k in rule.gradients):
                continue
            d = rule.on_tensors(node, i, g) if create_graph else rule.on_arrays(node, i, g)
            if d is None:
                continue
            kind = type(parent)
            like = parent if kind is Node or kind is Result else parent.data
            if type(d) is not np.ndarray or d.shape != like.shape or d.dtype is not like.dtype:
                d = fit(d, node, i)
            if kind is Node:
                at = -parent.sequence
                if at in pending:
                    d = pending[at][1] + d
                else:
                    heappush(heap, at)
                pending[at] = (parent, d)
            elif kind is Result:
                _give(parent, d, pending, heap)
            else:
                if id(parent) in found:
                    d = found[id(parent)][1] + d
                found[id(parent)] = (parent, d)
        if not retain:
            node.data = [None] * len(g) if several else None
        if ready is not None:
            to_come, complete = -heap[0] if heap else -1, []
            while leaves and leaves[-1][0] > to_come:
                leaf = leaves.pop()[1]
                if id(leaf) in found:
                    complete.append(found[id(leaf)])
            ready(complete)
    return found


def ask_rule(node, i, g, create_graph=False):
    """What the rule for argument `i` of a node returns, where the gradient by its result (or a list of those by its results) is `g`.

    None where nothing comes of it. With `create_graph` the gradients are Tensors.
    """
    rule = node.op.rules[node.op._input_name(i)]
    if node.op.outputs is not None and all(g[k] is None for k in rule.gradients):
        return None
    return (rule.on_tensors if create_graph else rule.on_arrays)(node, i, g)


def _give(result, d, pending, heap):
    """Add to the gradient of one of several results of a node that is to come."""
    at = -result.sequence
    if at not in pending:
        heappush(heap, at)
        pending[at] = (result.node, Gradients(len(result.op.outputs)))
    gradients = pending[at][1]
    before = gradients[result.index]
    gradients[result.index] = d if before is None else before + d


def fit(d, node, i):
    """`_fit` for what the rule for argument `i` of a node returned."""
    return _fit(d, node.args[i], node.op, node.op._input_name(i))


def _fit(d, parent, operation, name):
    """Give a gradient its input's shape (by summing what was broadcast) and dtype, or say that the rule is wrong."""
    shape, dtype = parent.shape, parent.dtype
    given = getattr(d, "shape", None)
    if given is None:
        d = backend.asarray(d, dtype)
        given = d.shape
    if given != shape:
        extra = len(given) - len(shape)
        if extra < 0 or any(s not in (1, n) for s, n in zip(shape, given[extra:], strict=True)):
            raise GradientError(
                f"{operation.name}: its rule for {name} returned a gradient of shape {given}, expected {shape} or a shape "
                f"that {shape} broadcasts to; correct the rule",
                operation=operation.name,
            )
        d = OPS["sum_to"](d, shape)
    if d.dtype != dtype:
        if not np.issubdtype(d.dtype, np.floating):
            raise GradientError(
                f"{operation.name}: its rule for {name} returned a gradient of dtype {d.dtype}, expected {dtype}; correct the rule",
                operation=operation.name,
            )
        d = OPS["astype"](d, dtype)
    return d


def _seed(output, grad, what, create_graph):
    if grad is None:
        if output.size != 1:
            raise ValueError(
                f"{what}: the output has shape {output.shape} and only a scalar starts a backward pass by itself; "
                f"reduce it with .sum() or .mean() first, or pass a gradient of that shape"
            )
        like = output.data
        seed = np.ones(like.shape, like.dtype) if type(like) is np.ndarray else np.ones_like(like)
    else:
        seed = grad.data if isinstance(grad, handles.Tensor) else backend.of(output.data).asarray(grad, output.dtype)
        if seed.shape != output.shape:
            raise ValueError(
                f"{what}: the gradient passed in has shape {seed.shape}, the output {output.shape}; pass one of the output's shape"
            )
        if backend.of(seed) is not backend.of(output.data):
            raise ValueError(
                f"{what}: the gradient passed in is on {grad.device}, the output on {output.device}; "
                f"move the gradient by .to({output.device!r})"
            )
        seed = seed.astype(output.dtype, copy=False)
    if create_graph:
        return grad if isinstance(grad, handles.Tensor) and grad.dtype == output.dtype else handles.wrap(seed)
    return seed


def _require_graph(what, output):
    if not output.requires_grad:
        raise RuntimeError(
            f"{what}: this tensor {output.shape} does not depend on any tensor with requires_grad=True; "
            f"set it on the inputs or parameters before computing (and not inside no_grad)"
        )


def backward(output, gradient=None, create_graph=False, ready=None):
    """Add to ``.grad`` of every leaf the gradient of `output` by it; see `Tensor.backward`, and of `ready` `pull`."""
    _require_graph("backward", output)
    root = output if output._node is None else output._node
    seed = _seed(output, gradient, "backward", create_graph)
    handed = {id(raw(seed))}
    found = pull(root, seed, create_graph, retain=create_graph, ready=ready).values()
    with _accumulating:
        for leaf, d in found:
            if not create_graph:
                # No two leaves, and nothing of the caller's, may share a gradient's memory: people change .grad in place.
                if type(d) is not np.ndarray:
                    d = backend.of(d).as_result(d)
                if d.base is not None or id(d) in handed or d is leaf.data:
                    d = d.copy()
                handed.add(id(d))
                d = handles.wrap(d)
            if leaf.grad is None:
                leaf.grad = d
            elif create_graph:
                leaf.grad = leaf.grad + d
            else:
                leaf.grad = handles.wrap(leaf.grad.data + d.data)


def grad(output, inputs, grad_output=None, create_graph=False):
    r"""The gradient of `output` by each of `inputs`, without touching any ``.grad``.

    Parameters
    ----------
    output : Tensor
        Usually a scalar.
    inputs : Tensor or sequence of Tensor
        Leaves or results of operations.
    grad_output : Tensor or array, optional
        The gradient of something further on by `output`, in its shape: the result is then the vector-Jacobian
        product. Needed where `output` has more than one element.
    create_graph : bool
        Record the backward pass too, so that the result can be differentiated again, to any order.

    Returns
    -------
    Tensor or tuple of Tensor
        In the inputs' shapes and dtypes; zero where `output` does not depend on an input.

    Raises
    ------
    TypeError
        Where an argument is no Tensor.
    RuntimeError
        Where `output` depends on nothing that requires a gradient, or a value that a rule needs was changed in place.
    ValueError
        Where `output` has several elements and no `grad_output` of its shape was given.

    Examples
    --------
    The third derivative of x⁴ is 24x:

    >>> import nnscratch as ns
    >>> x = ns.tensor(2.0, requires_grad=True)
    >>> y = x**4
    >>> for _ in range(3):
    ...     y = ns.grad(y, x, create_graph=True)
    >>> y.item()
    48.0
    """
    single = isinstance(inputs, handles.Tensor)
    inputs = (inputs,) if single else tuple(inputs)
    for t in (output, *inputs):
        if not isinstance(t, handles.Tensor):
            raise TypeError(
                f"grad: expected Tensors, got {type(t).__name__}; wrap it with ns.tensor(..., requires_grad=True)"
            )
    for i, t in enumerate(inputs):
        if not t.requires_grad:
            raise ValueError(f"grad: input {i} {t.shape} does not require a gradient; make it with requires_grad=True")
    _require_graph("grad", output)
    seed = _seed(output, grad_output, "grad", create_graph)
    ends = [t if t._node is None else t._node for t in inputs]
    root = output if output._node is None else output._node
    found = pull(root, seed, create_graph, wanted=set(map(identity, ends)), retain=True)
    results = []
    for t, end in zip(inputs, ends, strict=True):
        d = found[identity(end)][1] if identity(end) in found else np.zeros_like(t.data)
        if not isinstance(d, handles.Tensor):
            d = backend.of(d).as_result(d)
            d = handles.wrap(d.copy() if d.base is not None or d is seed else d)
        if create_graph and not d.requires_grad:
            # Constant, so that its derivative is zero; without a graph it could not be asked for.
            d = handles.wrap(d.data, d._version).requires_grad_()
        results.append(d)
    return results[0] if single else tuple(results)
