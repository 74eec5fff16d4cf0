"""What a step can reach beside its arguments: parameters, buffers and other arrays, each with the way to look it up anew."""

import functools
import inspect
import os
import sys
import types

import numpy as np

from nnscratch import arguments
from nnscratch.autograd import Op
from nnscratch.nn import Module
from nnscratch.optim.optimizer import Optimizer
from nnscratch.tensor import Tensor

#: The folder of this package, whose functions have no variables that a step could change.
OURS = os.path.dirname(arguments.__file__) + os.sep
#: What is compared by value when a program is chosen, where a function's own variables hold it.
SCALARS = (bool, int, float, str, bytes, type(None))
#: Items of a dict or list up to which those that are numbers or words are taken for settings, which may change.
FEW = 64


class State:
    """The things that a function reaches through its own variables, arguments bound to it, and their attributes.

    Attributes
    ----------
    tensors : dict
        Tensors by their ids.
    arrays : list of (array, holder, key)
        Arrays that no Tensor holds, and where they are.
    modules, optimizers : list
    objects : list
        Others whose attributes were looked at.
    variables : list of (holder, key, value)
        A function's own variables.
    """

    def __init__(self, function):
        self.tensors: dict = {}
        self.arrays: list = []
        self.modules: list = []
        self.optimizers: list = []
        self.objects: list = []
        self.variables: list = []
        self._seen: dict = {}
        self._walk(function)

    def _walk(self, root):
        stack = [root]
        while stack:
            value = stack.pop()
            if id(value) in self._seen or isinstance(value, SCALARS):
                continue
            self._seen[id(value)] = value  # which keeps it, so that its id stays its own
            stack += self._parts(value)

    def _parts(self, value):
        """What to look at behind a thing."""
        if isinstance(value, Tensor):
            self.tensors[id(value)] = value
            return []
        if isinstance(value, Optimizer):
            self.optimizers.append(value)
            return value._params()
        if isinstance(value, types.FunctionType):
            return self._variables(value)
        if isinstance(value, types.MethodType):
            return [value.__self__, value.__func__]
        if isinstance(value, functools.partial):
            return [value.func, *self._held(None, dict(enumerate(value.args)) | value.keywords)]
        if isinstance(value, dict):
            return self._settings(value, value)
        if isinstance(value, list):
            return self._settings(value, dict(enumerate(value)))
        if isinstance(value, tuple | set | frozenset):
            return self._held(None, dict(enumerate(value)))
        if not _is_open(value):
            return []
        (self.modules if isinstance(value, Module) else self.objects).append(value)
        return self._held(vars(value), vars(value))

    def _held(self, holder, items):
        for key, value in items.items():
            if isinstance(value, np.ndarray):
                self.arrays.append((value, holder, key))
        return list(items.values())

    def _settings(self, holder, items):
        """The same for a dict or list, whose numbers and words a step may read."""
        if len(items) <= FEW:
            self.variables += [(holder, key, value) for key, value in items.items() if isinstance(value, SCALARS)]
        return self._held(holder, items)

    def _variables(self, function):
        """The parts of a function: what it closes over, its defaults, and the globals that it names."""
        if function.__code__.co_filename.startswith(OURS):
            return list(_cells(function).values())
        own = [(cell, "cell_contents", value) for cell, value in _contents(function)]
        named = _names(function.__code__)
        own += [
            (function.__globals__, name, function.__globals__[name]) for name in named if name in function.__globals__
        ]
        for holder, key, value in own:
            if isinstance(value, types.ModuleType | type):
                continue
            self.variables.append((holder, key, value))
            if isinstance(value, np.ndarray):
                self.arrays.append((value, holder, key))
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        return [value for _, _, value in own if not isinstance(value, types.ModuleType | type)] + defaults


def same(holder, key, value):
    """Whether a holder (a dict, a list or a function's cell) has what it had: the same number or word, or the same thing."""
    now = (
        holder.cell_contents
        if type(holder) is types.CellType
        else holder.get(key)
        if isinstance(holder, dict)
        else holder[key]
        if key < len(holder)
        else None
    )
    return now is value or (isinstance(value, SCALARS) and type(now) is type(value) and now == value)


def _contents(function):
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append((cell, cell.cell_contents))
        except ValueError:  # which is still empty
            continue
    return found


def _cells(function):
    return {id(cell): value for cell, value in _contents(function)}


def _names(code):
    """The names that a function's code and the code within it use."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if inspect.iscode(constant):
            found |= _names(constant)
    return found


def _is_open(value):
    """Whether an object's attributes are looked at: those of people's own classes, and of networks and steps."""
    if (
        isinstance(value, Op)
        or not hasattr(value, "__dict__")
        or isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | np.generic)
    ):
        return False
    package = type(value).__module__.partition(".")[0]
    if package == "nnscratch":
        return True
    return package not in sys.stdlib_module_names and package not in ("numpy", "tqdm", "numba")
