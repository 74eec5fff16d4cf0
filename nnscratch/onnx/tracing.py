"""What a module computes, as a list of calls: of operations, and of layers that are written whole.

While a module is traced, each operation that its thread calls is noted, with what it was given: results of calls before, inputs,
parameters and buffers by name, all else as it is.
"""

import contextlib
import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nnscratch.autograd import handles, no_grad
from nnscratch.autograd.operation import Op
from nnscratch.autograd.recording import state


class Ref(NamedTuple):
    """A value by its name."""

    name: str


@dataclass
class Call:
    """What was called with what, and what came out."""

    kind: str  # the operation's name, or the layer's class
    module: object  # the layer, where one is written whole
    path: str  # of the module in whose forward it happened
    given: dict  # by the names of the parameters; several inputs as a tuple
    results: list  # Refs
    operation: Op | None


class _Here(threading.local):
    trace = None


_here = _Here()
_lock = threading.RLock()


class Trace:
    """A run of a module.

    Parameters
    ----------
    module : nn.Module
    inputs : dict of str to array
    is_whole : callable
        Whether a layer is written whole.

    Attributes
    ----------
    calls : list of Call
    outputs : list of Ref or array
    shapes, dtypes : dict
        Of each named value.
    constants : dict of str to Tensor
        Parameters and buffers.
    """

    def __init__(self, module, inputs, is_whole):
        self.calls: list = []
        self.shapes: dict = {}
        self.dtypes: dict = {}
        self.constants = dict((*module.named_parameters(), *module.named_buffers()))
        self._names: dict = {}
        self._kept: list = []  # so that no array has the id of an earlier one
        self._paths = {id(m): path for path, m in module.named_modules()}
        for name, array in inputs.items():
            self._name(array, name)
        for name, value in self.constants.items():
            self._name(value.data, name)
        whole = list(filter(is_whole, module.modules()))
        for m in whole:
            vars(m)["forward"] = self._whole(m, m.forward)
        try:
            with no_grad(), _noting(self):
                out = module(*map(handles.wrap, inputs.values()))
        finally:
            for m in whole:
                del vars(m)["forward"]
        self.outputs = [self._seen(value) for value in _flat(out)]

    def _name(self, array, name):
        self._names[id(array)] = name
        self._kept.append(array)
        self.shapes[name], self.dtypes[name] = array.shape, array.dtype

    def _seen(self, value):
        """A value with all that has a name as a Ref, and Tensors as arrays."""
        if isinstance(value, handles.Tensor):
            value = value.data
        if isinstance(value, np.ndarray):
            name = self._names.get(id(value))
            return value if name is None else Ref(name)
        if type(value) in (list, tuple):
            return tuple(map(self._seen, value))
        if isinstance(value, slice):
            return slice(*map(self._seen, (value.start, value.stop, value.step)))
        return value

    def _whole(self, m, forward):
        """A layer's forward, of which nothing within is noted."""
        names = forward.__code__.co_varnames[1 : forward.__code__.co_argcount]

        def noted(*args, **settings):
            if _here.trace is not self:
                return forward(*args, **settings)
            _here.trace = None
            try:
                out = forward(*args, **settings)
            finally:
                _here.trace = self
            self.note(type(m).__name__, m, {**dict(zip(names, args, strict=False)), **settings}, out, None)
            return out

        return noted

    def note(self, kind, module, given, out, operation):
        """Note a call, unless nothing that has a name went in, or nothing new came out."""
        given = {name: self._seen(value) for name, value in given.items()}
        arrays = [value.data if isinstance(value, handles.Tensor) else value for value in _flat(out)]
        known = not any(map(_has_ref, given.values()))
        if known or all(id(a) in self._names for a in arrays):
            return
        path = self._paths.get(id(module), "") if module is not None else self._path()
        results = []
        for a in arrays:
            name = f"{path}/{kind}:{len(self._kept)}" if path else f"{kind}:{len(self._kept)}"
            self._name(a if isinstance(a, np.ndarray) else np.asarray(a), name)
            results.append(Ref(name))
        self.calls.append(Call(kind, module, path, given, results, operation))

    def _path(self):
        scope = state.scope
        while scope is not None:
            path = self._paths.get(id(scope[1]()))
            if path is not None:
                return path
            scope = scope[0]
        return ""


@contextlib.contextmanager
def _noting(trace):
    """Within this block the operations that this thread calls are noted."""
    with _lock:
        call = Op.__call__

        def noted(op, *args, **settings):
            if _here.trace is not trace:
                return call(op, *args, **settings)
            _here.trace = None
            try:
                out = call(op, *args, **settings)
            finally:
                _here.trace = trace
            trace.note(op.name, None, _bound(op, args, settings), out, op)
            return out

        Op.__call__ = noted
        _here.trace, state.tracing = trace, True
        try:
            yield
        finally:
            _here.trace, state.tracing = None, False
            Op.__call__ = call


def _bound(op, args, settings):
    """An operation's arguments by name, with its defaults."""
    if op.variadic:
        return {**op.defaults, op.variadic: tuple(args), **settings}
    return {**op.defaults, **dict(zip(op.positional, args, strict=False)), **settings}


def _flat(value):
    return [a for part in value for a in _flat(part)] if isinstance(value, tuple | list) else [value]


def _has_ref(value):
    if isinstance(value, slice):
        value = (value.start, value.stop, value.step)
    return isinstance(value, Ref) or (type(value) is tuple and any(map(_has_ref, value)))
