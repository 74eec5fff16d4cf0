"""The table that `Module.summary` returns."""

import html

import numpy as np

from nnscratch import backend, markup
from nnscratch.autograd import no_grad
from nnscratch.nn.place import MISFITS
from nnscratch.tensor import Tensor

_HEADINGS = ("Layer", "Type", "Output", "Parameters")


class Summary:
    """A network's layers in the order they ran, and its totals; prints as an aligned table.

    Attributes
    ----------
    rows : list of (path, type, shape, parameters)
        Strings, but for the number of parameters of its own (those of an earlier row are not counted again).
    total, trainable : int
        Numbers of parameters.
    buffered : int
        The number of values in buffers.
    memory : int
        The size of all parameters and buffers in bytes.
    fault : str
        Why the table ends before the network does; "" where it does not.

    Examples
    --------
    >>> import nnscratch as ns
    >>> summary = ns.nn.Sequential(ns.nn.Linear(2, 3), ns.nn.ReLU()).summary((2,))
    >>> summary.total, summary.memory
    (9, 36)
    """

    def __init__(self, module, rows, fault=""):
        self.fault = fault
        parameters, buffers = list(module.parameters()), list(module.buffers())
        self.rows = rows
        self.total = sum(p.size for p in parameters)
        self.trainable = sum(p.size for p in parameters if p.requires_grad)
        self.buffered = sum(b.size for b in buffers)
        self.memory = sum(t.size * t.dtype.itemsize for t in (*parameters, *buffers))

    def __repr__(self):
        table = [_HEADINGS, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(n) for cell, n in zip(row[:3], widths, strict=False)) + "  " + row[3].rjust(widths[3])
            for row in table
        ]
        return "\n".join([*lines, self._totals(), *filter(None, [self.fault])])

    def _repr_html_(self):
        fault = f"<div><b>{html.escape(self.fault)}</b></div>" if self.fault else ""
        return f"<div>{markup.table(_HEADINGS, self._cells(), left=3)}<small>{self._totals()}</small>{fault}</div>"

    def _cells(self):
        return [(*row[:3], f"{row[3]:,}") for row in self.rows]

    def _totals(self):
        return (
            f"{self.total:,} parameters: {self.trainable:,} trainable, {self.total - self.trainable:,} not; "
            f"{_size(self.memory)}, with the {self.buffered:,} values in buffers"
        )


def contents(module):
    """A module's layers as an HTML table: path, layer, the shapes of the tensors it owns itself, the number of its parameters."""
    left = {id(p): p for p in module.parameters()}
    total = sum(p.size for p in left.values())
    frozen = sum(p.size for p in left.values() if not p.requires_grad)
    rows = []
    for path, m in module.named_modules():
        own = m._own(Tensor)
        if own or next(iter(m.children()), None) is None:
            size = sum(left.pop(id(v)).size for _, v in own if id(v) in left)
            layer = f"{type(m).__name__}({m.extra_repr()})"
            rows.append((path or "-", layer, ", ".join(f"{name} {v.shape}" for name, v in own), f"{size:,}"))
    note = f", {frozen:,} of them frozen" if frozen else ""
    head = f"<code>{html.escape(type(module).__name__)}</code> of {total:,} parameters{note}"
    return f"<div>{head}{markup.table(('Layer', 'Type', 'Shapes', 'Parameters'), rows, left=3)}</div>"


def _size(n):
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"


def summarise(module, inputs, dtype):
    """See `Module.summary`."""
    paths = {id(m): path for path, m in module.named_modules()}
    parameters = {id(p): p for p in module.parameters()}
    attributes = [(m, dict(vars(m))) for m in module.modules()]
    buffers = [(b, b.data.copy()) for b in module.buffers()]
    rows: list = []
    counted: set = set()
    fault = ""

    def own(m):
        return {id(v) for _, v in m._own(Tensor)} & parameters.keys()

    def recording(m, inner):
        def forward(*arguments, **settings):
            shape, before = "fails", len(rows)
            try:
                result = inner(*arguments, **settings)
                shape = _shape(result)
                return result
            finally:
                if shape != "fails" or [row[2] for row in rows[before:]][-1:] != [
                    "fails"
                ]:  # which a layer within has said
                    fresh = own(m) - counted
                    counted.update(fresh)
                    size = sum(parameters[p].size for p in fresh)
                    rows.append((paths[id(m)] or "-", type(m).__name__, shape, size))

        return forward

    inputs = _batch(module, inputs, dtype)
    try:
        module.eval()
        for m in module.modules():
            if own(m) or next(iter(m.children()), None) is None:
                vars(m)["forward"] = recording(m, m.forward)
        with no_grad(), backend.same_random():
            module(*inputs)
    except MISFITS as error:
        fault = str(error)
    finally:
        for m, before in attributes:
            vars(m).clear()
            vars(m).update(before)
        for buffer, values in buffers:
            buffer.data[...] = values
    return Summary(module, rows, fault)


def _batch(module, inputs, dtype):
    """The arguments of the module: an example batch as it is, for each shape one sample of zeros."""
    if not inputs:
        raise TypeError(
            "summary: got no shape; pass that of one sample without its batch, such as (1, 28, 28), or an example batch"
        )
    first = next(module.parameters(), None)
    dtype = np.float32 if dtype is None and first is None else first.dtype if dtype is None else dtype
    device = None if first is None else first.device
    batch = []
    for given in inputs:
        if isinstance(given, tuple | list) and all(isinstance(n, int | np.integer) and n >= 0 for n in given):
            batch.append(Tensor(np.zeros((1, *given), np.int8), dtype, device))
        elif len(getattr(given, "shape", ())):
            example = Tensor(given, dtype if given.dtype.kind == "f" else None, device)
            batch.append(Tensor(example.data.copy()))  # which a layer may change in place
        else:
            raise TypeError(
                f"summary: got {given!r}, expected the shape of one sample without its batch; "
                f"pass a tuple such as (1, 28, 28), or an example batch"
            )
    return batch


def _shape(result):
    """A result's shape, the batch shown as N."""
    if isinstance(result, tuple | list):
        return ", ".join(map(_shape, result))
    shape = np.shape(result) if not hasattr(result, "shape") else result.shape
    if not shape:
        return "()"
    return "(" + ", ".join(["N", *map(str, shape[1:])]) + ("," if len(shape) == 1 else "") + ")"
