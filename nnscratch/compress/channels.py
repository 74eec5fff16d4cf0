"""Pruning by channel: whole filters and neurons are taken out, so that the network has smaller shapes and less to compute.

Who loses a channel decides for others: the batch normalisation behind it, the layers that read it (behind a flattening all columns of
it), and whatever is added to it by a residual connection, which has to lose the same one. So each channel of each result gets
a number, the numbers are followed through the graph of one forward pass, and where an addition joins two of them they become one.
"""

import copy
import math

import numpy as np

from nnscratch import arguments
from nnscratch.autograd import describe, enable_grad, node_of, nodes_of
from nnscratch.kernels import threads
from nnscratch.nn import AdaptiveAvgPool2d, Conv2d, Linear, Module, Parameter
from nnscratch.nn.module import Buffer, modes
from nnscratch.nn.normalisation import BatchNorm1d
from nnscratch.tensor import Tensor

#: Modules in which every value goes on in its own channel, and those of them whose own tensors have an element for each.
WITHIN = (BatchNorm1d, AdaptiveAvgPool2d)
#: Operations of which the same is true where their result has the input's shape, or of pooling a smaller one.
ELEMENTWISE = ("nnscratch.ops.elementwise", "nnscratch.ops.activation", "nnscratch.ops.dropout")
POOLING = ("max_pool2d", "sum_pool2d")
MIXING = ("softmax", "log_softmax", "prelu")
#: In how many steps at most a layer's channels go.
STEPS = 32
#: Added to how much a channel weighs, so that shares of nothing are none.
TINY = 1e-12


class _Numbers:
    """The numbers of channels, of which some turn out to be one, and some to be of channels that have to stay."""

    def __init__(self):
        self._parent: list = []
        self._staying: set = set()

    def new(self, n):
        first = len(self._parent)
        self._parent += range(first, first + n)
        return np.arange(first, first + n)

    def find(self, numbers):
        """For each number the one that stands for it and all that are one with it."""
        return np.array([self._root(i) for i in numbers], int)

    def _root(self, i):
        while self._parent[i] != i:
            self._parent[i] = i = self._parent[self._parent[i]]
        return i

    def join(self, a, b):
        for i, j in zip(a, b, strict=True):
            self._parent[self._root(i)] = self._root(j)

    def stay(self, numbers):
        self._staying.update(numbers)

    def staying(self):
        return set(self.find(self._staying).tolist())


class _Channels:
    """What one forward pass says of a network's channels.

    Attributes
    ----------
    axes : dict
        By the id of a parameter or buffer the numbers along each of its axes, None where the axis is left alone.
    products : list
        For each convolution or linear layer its weight, and how many times it is applied to a sample.
    """

    def __init__(self, model, inputs):
        self.numbers, self.axes, self.products = _Numbers(), {}, []
        self._found: dict = {}  # by the id of a node the axis of its channels and their numbers
        self._owners = {id(p): p for p in (*model.parameters(), *model.buffers())}
        with enable_grad():
            y = model(*inputs)
        if not isinstance(y, Tensor) or y._node is None:
            raise ValueError(
                f"prune_channels: the model returned {describe(y)}, expected a Tensor; correct its forward"
            )
        for node in nodes_of([y._node]):
            found = self._of(node)
            if found is None or node.shape is None:
                self._leave(node)
            else:
                self._found[id(node)] = found
        last = self._found.get(id(node_of(y._node)))
        if last is not None:
            self.numbers.stay(last[1])
        find = self.numbers.find
        self.axes = {key: [None if n is None else find(n) for n in axes] for key, axes in self.axes.items()}

    def _of(self, node):
        """The axis and the numbers of a node's result; None where they cannot be followed."""
        name, inputs = node.op.name, [self._found.get(id(node_of(a))) for a in node.args]
        scope = node.scope[1]() if node.scope else None
        if name in ("conv2d", "linear"):
            return self._product(node, name, inputs[0])
        first = next((found for found in inputs if found is not None), None)
        if first is None:
            return None
        shape = node.shape[0] if node.op.outputs else node.shape
        if isinstance(scope, WITHIN):
            if isinstance(scope, BatchNorm1d):
                for t in (*scope.parameters(), *scope.buffers()):
                    self._set(t, 0, first[1])
            return first
        if name in POOLING:
            return first
        if name == "reshape":
            return self._flattened(first, shape, node.args[0].shape)
        if node.op.__module__ in ELEMENTWISE and name not in MIXING:
            return self._joined(node, inputs, first, shape)
        return None

    def _product(self, node, name, before):
        weight, bias = node.args[1], node.args[2] if len(node.args) > 2 else None
        groups = node.args[6] if len(node.args) > 6 else 1
        if id(weight) not in self._owners or groups != 1:
            return None
        axis = 1 if name == "conv2d" else len(node.shape) - 1
        if before is not None and before[0] == axis:
            self._set(weight, 1, before[1])
        elif before is not None:
            self.numbers.stay(before[1])
        own = self.axes.get(id(weight), [None])[0]
        own = self.numbers.new(weight.shape[0]) if own is None else own
        for t in (weight, bias):
            if t is not None:
                self._set(t, 0, own)
        self.products.append((weight, math.prod(node.shape[1:]) // node.shape[axis]))
        return axis, own

    def _flattened(self, first, shape, before):
        """Channels, each with all of its cells, in one axis."""
        axis, numbers = first
        if axis != 1 or shape != (before[0], math.prod(before[1:])):
            return None
        return 1, np.repeat(numbers, math.prod(before[2:]))

    def _joined(self, node, inputs, first, shape):
        """Of an elementwise operation: all inputs that have channels have the same ones."""
        axis, numbers = first
        for a, found in zip(node.args, inputs, strict=True):
            size = a.shape if hasattr(a, "shape") else ()
            if found is not None:
                if found[0] != axis or size != shape:
                    return None
                self.numbers.join(found[1], numbers)
            elif len(size) >= len(shape) - axis and size[axis - len(shape)] != 1:
                return None  # something that has values of its own for each channel
        return first

    def _leave(self, node):
        """All channels that reach a node stay."""
        for a in node.args:
            found = self._found.get(id(node_of(a)))
            if found is not None:
                self.numbers.stay(found[1])

    def _set(self, tensor, axis, numbers):
        known = self.axes.setdefault(id(tensor), [None] * tensor.ndim)
        if known[axis] is None:
            known[axis] = numbers
        else:
            self.numbers.join(known[axis], numbers)

    def importance(self):
        """For each number the mean over layers of how large its filters are: sums of absolute values, beside the layer's mean."""
        sums: dict = {}
        for weight, _ in self.products:
            size = np.abs(weight.numpy().reshape(len(weight), -1)).sum(1, dtype=np.float64)
            for i, value in zip(self.axes[id(weight)][0], size / (size.mean() or 1), strict=True):
                sums.setdefault(int(i), []).append(float(value))
        return {i: sum(values) / len(values) for i, values in sums.items()}

    def groups(self):
        """The numbers that can go, each group those of one layer, or of several that have to agree."""
        staying, seen, found = self.numbers.staying(), set(), []
        for weight, _ in self.products:
            group = [int(i) for i in dict.fromkeys(self.axes[id(weight)][0].tolist())]
            group = [i for i in group if i not in staying and i not in seen]
            seen.update(group)
            if group:
                found.append((weight, group))
        return found

    def left(self, tensor, gone):
        """For each axis of a tensor which places are left without those numbers; None for all."""
        axes = self.axes.get(id(tensor), [None] * tensor.ndim)
        return [None if n is None else ~np.isin(n, gone) for n in axes]

    def work(self, gone=()):
        """How many multiplications a sample takes without those numbers, and how many results there are."""
        total = results = 0
        for weight, times in self.products:
            left = self.left(weight, list(gone))
            sizes = [n if k is None else int(k.sum()) for n, k in zip(weight.shape, left, strict=True)]
            total, results = total + times * math.prod(sizes), results + times * sizes[0]
        return total, results


def prune_channels(model, example, amount=None, multiplications=None, multiple=1):
    """A smaller network without the channels whose filters are smallest (Li, Kadav, Durdanovic, Samet & Graf, 2017).

    Filters of convolutions and neurons of linear layers go with their biases and batch normalisation, and so do the weights
    of the layers that read them; what was added to them by a residual connection goes, too. What a pruned channel gave, such as
    relu(bias) where all its weights were small, is gone: let the network learn on for an epoch or two. Outputs stay; so do the channels of layers with groups, and those
    that reach an operation which is not followed here: only `Conv2d`, `Linear`, `BatchNorm`, pooling, flattening, dropout,
    elementwise functions and sums are.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    example : array, Tensor or tuple of these
        A batch for each input, of any number of samples.
    amount : float
        Which share of its channels each layer loses, from 0 up to below 1; or, in its place:
    multiplications : float
        Which share of the multiplications is to be left, above 0 and at most 1; the amount follows from it.
    multiple : int
        What is left of a layer's channels is a multiple of this number: vectors of 8 are filled by 8.

    Returns
    -------
    nn.Module

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, both shares or none are given, there is nothing to prune, or nothing would be left of a layer.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10))
    >>> smaller = ns.compress.prune_channels(model, np.ones((1, 1, 6, 6), "float32"), amount=0.5)
    >>> smaller[0].weight.shape, smaller[1].running_mean.shape, smaller[4].weight.shape
    ((4, 1, 3, 3), (4,), (10, 64))
    """
    name = "prune_channels"
    if not isinstance(model, Module):
        raise TypeError(f"{name}: model is {describe(model)}, expected an nn.Module; pass a network")
    if (amount is None) == (multiplications is None):
        raise ValueError(f"{name}: pass either amount or multiplications, a share from 0 to 1")
    multiple = arguments.count(name, "multiple", multiple)
    smaller, channels = _followed(model, example)
    if not channels.groups():
        raise ValueError(f"{name}: no channel of this {type(model).__name__} can go; pass a network with inner layers")
    if amount is not None:
        gone = _smallest(channels, arguments.number(name, "amount", amount, 0, 1, "[)"), multiple)
        _refuse_nothing(channels, gone, amount)
    else:
        share = arguments.number(name, "multiplications", multiplications, 0, 1, "(]")
        gone = _within(channels, share, multiple)
    _cut(smaller, channels, gone)
    for p, old in zip(smaller.parameters(), model.parameters(), strict=True):
        p.requires_grad_(old.requires_grad)
    return smaller


def multiplications(model, example):
    """How many multiplications the convolutions and linear layers of a network take for a sample.

    Parameters
    ----------
    model : nn.Module
    example : array, Tensor or tuple of these
        A batch for each input.

    Returns
    -------
    int

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.compress.multiplications(ns.nn.Linear(3, 2), np.ones((1, 3), "float32"))
    6
    """
    return _followed(model, example)[1].work()[0]


def _followed(model, example):
    """A copy of a network, and what is known of its channels."""
    again = copy.deepcopy(model).requires_grad_(True)
    device = next(again.parameters()).device
    inputs = example if isinstance(example, tuple) else (example,)
    with modes((part, False) for part in again.modules()):
        return again, _Channels(again, [Tensor(x, device=device) for x in inputs])


def _smallest(channels, amount, multiple):
    """The numbers of the channels that go where each group loses that share."""
    importance, gone = channels.importance(), []
    for _, group in channels.groups():
        left = -(-round(len(group) * (1 - amount)) // multiple) * multiple
        gone += sorted(group, key=importance.__getitem__)[: max(0, len(group) - left)]
    return gone


def _within(channels, share, multiple):
    """Those that go so that at most that share of the multiplications is left.

    Step by step some channels of that layer go which loses least, as a share of what it has, for what is saved: multiplications, and
    results, which take time on their way to memory and back.
    """
    importance, gone = channels.importance(), []
    groups = [sorted(group, key=importance.__getitem__) for _, group in channels.groups()]
    steps = [max(1, len(group) // STEPS) for group in groups]
    before = channels.work()
    most = share * before[0]
    while before[0] > most:
        choices = []
        for group, step in zip(groups, steps, strict=True):
            # up to the next multiple, or some of them, but never all
            count = len(group) - max(multiple, (len(group) - step) // multiple * multiple)
            if count > 0:
                values = np.array([importance[i] + TINY for i in group])
                lost = np.log(values.sum() / values[count:].sum())
                after = channels.work(gone + group[:count])
                saved = before[0] - after[0] + threads.WORK_OF_AN_ELEMENT * (before[1] - after[1])
                choices.append((lost / saved, len(choices), group, count, after))
        if not choices:
            raise ValueError(
                f"prune_channels: {share:g} of the multiplications is less than what {multiple} channels of each layer take "
                f"({before[0] / channels.work()[0]:.2g}); pass a larger share"
            )
        _, _, group, count, before = min(choices)
        gone += group[:count]
        del group[:count]
    return gone


def _refuse_nothing(channels, gone, amount):
    for weight, _ in channels.products:
        left = channels.left(weight, gone)[0]
        if left is not None and not left.any():
            raise ValueError(
                f"prune_channels: with amount {amount:g} nothing would be left of a layer with {len(left)} channels; pass less"
            )


def _cut(model, channels, gone):
    """Let a network have smaller tensors."""
    for module in model.modules():
        for name, t in list(vars(module).items()):
            if isinstance(t, Parameter | Buffer):
                array, left = t.data, channels.left(t, gone)
                for axis, places in enumerate(left):
                    if places is not None:
                        array = array.compress(places, axis)
                resize(module, name, array)


def resize(module, name, array):
    """Give a layer a parameter or buffer of another shape, and its settings the sizes that follow."""
    old = getattr(module, name)
    if old.shape != array.shape:
        setattr(module, name, type(old)(array, device=old.device))
    if name == "weight":
        if isinstance(module, Linear):
            module.out_features, module.in_features = array.shape
        elif isinstance(module, Conv2d):
            module.out_channels, module.in_channels = len(array), array.shape[1] * module.groups
        elif isinstance(module, BatchNorm1d):
            module.num_features = len(array)
