"""Checkpointing: what a function computes on its way is dropped, and computed again when the backward pass comes to it."""

import functools

from nnscratch import backend
from nnscratch.autograd import handles
from nnscratch.autograd.graph import Node, Result, node_of
from nnscratch.autograd.operation import Op, next_in_sequence
from nnscratch.autograd.recording import state


def checkpoint(function):
    r"""A function that keeps what it was given and what it returned, and computes what lies between again in the backward pass.

    Memory for time (Chen et al., 2016): of :math:`n` layers, in parts of :math:`\sqrt n` each, there are never more than about
    :math:`2 \sqrt n` layers' results at a time, and the forward pass is computed once more.

    The function is called once, and it is the operations it recorded that compute their results again, from the same arrays.
    So gradients have the same bits, dropout the same masks (drawn again from the state that the random numbers had),
    a batch normalisation counts a batch once, and derivatives of higher order are right, too. A value that was changed in place in
    the meantime is an error that names the operation. Under `ns.no_grad` the function is called as it is. It is ``backward()`` that
    drops results as it goes; `ns.grad` keeps what it computed again, as it keeps its whole graph.

    Parameters
    ----------
    function : callable
        Of Tensors, or an nn.Module. Of checkpoints within each other the outermost counts.

    Returns
    -------
    callable
        Takes the same arguments, and returns the same.

    Raises
    ------
    TypeError
        Where `function` is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> block = ns.nn.Sequential(ns.nn.Linear(2, 8), ns.nn.Tanh(), ns.nn.Dropout(0.5), ns.nn.Linear(8, 1))
    >>> x = ns.tensor([[1.0, 2.0]])
    >>> ns.manual_seed(0)
    >>> kept = ns.grad(block(x).sum(), block[0].weight)
    >>> ns.manual_seed(0)
    >>> again = ns.grad(ns.checkpoint(block)(x).sum(), block[0].weight)
    >>> bool((kept.numpy() == again.numpy()).all())
    True
    """
    if not callable(function):
        raise TypeError(
            f"checkpoint: got {handles.describe(function)}, expected a function; pass the function or module, and its "
            f"arguments to what comes back: checkpoint(function)(x)"
        )

    @functools.wraps(function, updated=())
    def checkpointed(*args, **kwargs):
        if (
            not state.recording or state.recomputing or state.recorder is not None
        ):  # whose program has its own ways with memory
            return function(*args, **kwargs)
        begin = next_in_sequence()
        state.recomputing = True
        try:
            result = function(*args, **kwargs)
        finally:
            state.recomputing = False
        _keep(_tensors((args, kwargs)))
        _drop([t._node for t in _tensors(result)], begin)
        return result

    return checkpointed


def _tensors(value):
    """The Tensors of a graph in a value, however nested."""
    if isinstance(value, handles.Tensor):
        return [] if value._node is None else [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [t for item in items for t in _tensors(item)]


def _keep(tensors):
    """Let the nodes of these hold their results, from which others are computed again."""
    for t in tensors:
        if type(t._node) is Result:
            t._node.node.data[t._node.index] = t.data
        else:
            t._node.data = t.data


def _drop(ends, begin):
    """Drop what the nodes behind some results hold, down to those that were there before the function."""
    kept = {id(node_of(end)) for end in ends}
    seen: set = set()
    stack = list(ends)
    while stack:
        node = node_of(stack.pop())
        if node is None or node.sequence < begin or id(node) in seen:
            continue
        seen.add(id(node))
        if id(node) in kept:
            kept.add(id(node_of(node.fused)))
        else:
            node.data = None if node.op.outputs is None else [None] * len(node.op.outputs)
        stack += node.args
        stack.append(node.fused)


def masked(operation, x, device, p):
    """``operation(x, mask)`` with dropout's mask; within `checkpoint` the mask is not kept either, but drawn again.

    Parameters
    ----------
    operation : Op
    x : Tensor or array
    device : backend
        Where `x` lives.
    p : float
        As the backend's ``dropout_mask`` takes it.

    Examples
    --------
    >>> import nnscratch as ns
    >>> masked(ns.multiply, ns.tensor([2.0]), backend.cpu, 0.0)
    tensor([2.])
    """
    if not state.recomputing:
        return operation(x, device.dropout_mask(x.shape, x.dtype, p))
    begun = device.rng.bit_generator.state
    mask = handles.wrap(device.dropout_mask(x.shape, x.dtype, p))
    mask._node = node = Node()
    node.op, node.args, node.versions, node.plan = _MASK, [], [], ((), (), (), ())
    node.kwargs = {"device": device, "shape": x.shape, "dtype": x.dtype, "p": p, "begun": begun}
    node.data, node.shape, node.dtype = mask.data, mask.data.shape, mask.data.dtype
    node.version, node.made, node.sequence = mask._version, mask._version[0], next_in_sequence()
    node.scope, node.fused = state.scope, None
    y = operation(x, mask)
    if isinstance(y, handles.Tensor) and y._node is not None:
        keep, keep_results, active, pairs = y._node.plan
        y._node.plan = keep, keep_results, active, tuple((i, _DroppingMask(rule, node)) for i, rule in pairs)
    return y


def _draw_again(device, shape, dtype, p, begun):
    with backend.same_random():
        device.rng.bit_generator.state = begun
        return device.dropout_mask(shape, dtype, p)


_MASK = Op(_draw_again, formula=r"m_i = 0 \text{ or } \tfrac{1}{1 - p}", constant=True, name="dropout_mask")


class _DroppingMask:
    """A rule after which a mask that was drawn again is dropped: no gradient comes to it, with which it would be."""

    def __init__(self, rule, mask):
        self._rule, self._mask, self.gradients = rule, mask, rule.gradients

    def on_arrays(self, node, i, g):
        d = self._rule.on_arrays(node, i, g)
        self._mask.data = None
        return d

    def on_tensors(self, node, i, g):
        return self._rule.on_tensors(node, i, g)
