"""Modules made of modules."""

import numpy as np

from nnscratch.nn.module import Module, Parameter
from nnscratch.ops.elementwise import add


class ModuleList(Module):
    """Modules in a row, to be used by the ``forward`` of the module that owns the list; a plain list does the same.

    Parameters
    ----------
    modules : sequence or dict of Module
        A dict gives them names, which stand in parameters' paths in place of their numbers.

    Raises
    ------
    TypeError
        Where something is no module.
    ValueError
        Where a name is no identifier or number, or taken.

    Examples
    --------
    >>> import nnscratch as ns
    >>> layers = ns.nn.ModuleList([ns.nn.ReLU(), ns.nn.Tanh()])
    >>> len(layers), layers[-1]
    (2, Tanh())
    """

    def __init__(self, modules=()):
        super().__init__()
        for name, module in modules.items() if hasattr(modules, "items") else enumerate(modules):
            self._put(str(name), module)

    def _put(self, name, module):
        owner = type(self).__name__
        _check_module(owner, name, module)
        if not (name.isidentifier() or name.isdecimal()) or name in vars(self):
            raise ValueError(
                f"{owner}: the name {name!r} is taken, or neither an identifier nor a number; choose another"
            )
        setattr(self, name, module)

    def append(self, module):
        """Put a module at the end; returns the list."""
        number = len(self)
        while str(number) in vars(self):  # a slice keeps its modules' numbers
            number += 1
        self._put(str(number), module)
        return self

    def extend(self, modules):
        """Put several modules at the end; returns the list."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self):
        return len(self._own(Module))

    def __iter__(self):
        return (module for _, module in self._own(Module))

    def __getitem__(self, index):
        """The module at a place or of a name; for a slice a list of the same kind, in which names stay."""
        own = self._own(Module)
        if isinstance(index, slice):
            return type(self)(dict(own[index]))
        if isinstance(index, str) and index in dict(own):
            return dict(own)[index]
        try:
            return own[index][1]
        except (IndexError, TypeError):
            raise IndexError(
                f"{type(self).__name__}: has no module {index!r}, "
                f"only {', '.join(n for n, _ in own) or 'none at all'}; use one of those"
            ) from None


def _check_module(owner, name, module):
    if not isinstance(module, Module):
        if isinstance(module, type) and issubclass(module, Module):
            hint = f"write {module.__name__}(), with its settings between the brackets"
        else:
            hint = "pass layers, such as nn.ReLU() for F.relu"
        raise TypeError(f"{owner}: item {name} is {module!r}, expected a module; {hint}")


class _Named(Module):
    """Items by name, each an attribute of this module: what `ModuleDict` and `ParameterDict` have in common."""

    def __init__(self, items=None):
        super().__init__()
        self.update({} if items is None else items)

    def _checked(self, name, value):
        """A value that fits; refuses others."""
        raise NotImplementedError

    def _items(self):
        return {name: value for name, value in vars(self).items() if isinstance(value, Module | Parameter)}

    def __setitem__(self, name, value):
        owner = type(self).__name__
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{owner}: the name {name!r} is no text without a point; choose another")
        setattr(self, name, self._checked(name, value))

    def __getitem__(self, name):
        found = self._items()
        if name not in found:
            raise KeyError(
                f"{type(self).__name__}: has no {name!r}, only {', '.join(found) or 'none'}; use one of those"
            )
        return found[name]

    def __delitem__(self, name):
        self.pop(name)

    def __contains__(self, name):
        return name in self._items()

    def __len__(self):
        return len(self._items())

    def __iter__(self):
        return iter(self._items())

    def keys(self):
        """The names."""
        return self._items().keys()

    def values(self):
        """What has the names."""
        return self._items().values()

    def items(self):
        """The pairs of both."""
        return self._items().items()

    def pop(self, name):
        """Take one out, and return it."""
        value = self[name]
        delattr(self, name)
        return value

    def update(self, items):
        """Put in those of a dict, or of pairs of names and values."""
        for name, value in items.items() if hasattr(items, "items") else items:
            self[name] = value


class ModuleDict(_Named):
    """Modules by name, to be used by the ``forward`` of the module that owns them; a plain dict does the same.

    Parameters
    ----------
    items : dict of str to Module, or pairs of these, optional
        A name stands in parameters' paths; it is text without a point.

    Raises
    ------
    TypeError
        Where something is no module.
    ValueError
        Where a name is none, or a part of every module.

    Examples
    --------
    >>> import nnscratch as ns
    >>> heads = ns.nn.ModuleDict({"left": ns.nn.Linear(2, 1)})
    >>> heads["right"] = ns.nn.Linear(2, 3, bias=False)
    >>> list(heads), [name for name, _ in heads.named_parameters()]
    (['left', 'right'], ['left.weight', 'left.bias', 'right.weight'])
    """

    def _checked(self, name, value):
        _check_module(type(self).__name__, name, value)
        return value


class ParameterDict(_Named):
    """Parameters by name; what is no `Parameter` becomes one. A plain dict of parameters does the same.

    Parameters
    ----------
    items : dict of str to Parameter or array, or pairs of these, optional
        A name stands in the parameters' paths; it is text without a point.

    Raises
    ------
    TypeError
        Where something is no floating-point array.
    ValueError
        Where a name is none, or a part of every module.

    Examples
    --------
    >>> import nnscratch as ns
    >>> weights = ns.nn.ParameterDict({"a": [1.0, 2.0]})
    >>> weights["b"] = ns.nn.Parameter([3.0])
    >>> {name: p.shape for name, p in weights.named_parameters()}
    {'a': (2,), 'b': (1,)}
    """

    def _checked(self, name, value):
        return value if isinstance(value, Parameter) else Parameter(value)


class ParameterList(Module):
    """Parameters in a row; what is no `Parameter` becomes one. A plain list of parameters does the same.

    Parameters
    ----------
    parameters : sequence of Parameter or array

    Raises
    ------
    TypeError
        Where something is no floating-point array.

    Examples
    --------
    >>> import nnscratch as ns
    >>> scales = ns.nn.ParameterList([[1.0], [2.0]]).append([3.0])
    >>> [name for name, _ in scales.named_parameters()], scales[-1]
    (['0', '1', '2'], tensor([3.], requires_grad=True))
    """

    def __init__(self, parameters=()):
        super().__init__()
        self.extend(parameters)

    def append(self, parameter):
        """Put a parameter at the end; returns the list."""
        setattr(self, str(len(self)), parameter if isinstance(parameter, Parameter) else Parameter(parameter))
        return self

    def extend(self, parameters):
        """Put several parameters at the end; returns the list."""
        for parameter in parameters:
            self.append(parameter)
        return self

    def __len__(self):
        return len(self._own(Parameter))

    def __iter__(self):
        return (parameter for _, parameter in self._own(Parameter))

    def __getitem__(self, index):
        """The parameter at a place."""
        return [parameter for _, parameter in self._own(Parameter)][index]


class Sequential(ModuleList):
    """Modules one after another, each given the result of the one before.

    Parameters
    ----------
    *modules : Module, or one sequence or dict of Module
        A dict gives them names.

    Raises
    ------
    TypeError
        Where something is no module.
    ValueError
        Where a name is no identifier or number, or taken.

    Examples
    --------
    >>> import nnscratch as ns
    >>> net = ns.nn.Sequential(ns.nn.Linear(3, 5), ns.nn.Sigmoid(), ns.nn.Linear(5, 1))
    >>> net
    Sequential(
      (0): Linear(3, 5)
      (1): Sigmoid()
      (2): Linear(5, 1)
    )
    >>> net(ns.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 1)
    >>> len(net[:2])
    2
    """

    def __init__(self, *modules):
        if len(modules) == 1 and isinstance(modules[0], list | tuple | dict):
            (modules,) = modules
        super().__init__(modules)

    def forward(self, x):
        """(the first module's input) -> (the last one's result)"""
        for module in vars(self).values():
            if isinstance(module, Module):
                x = module(x)
        return x


class Residual(Module):
    """A module and a way around it: f(x) + x (He, Zhang, Ren & Sun, 2016; the residual connection of 001).

    Parameters
    ----------
    module : Module
        f.
    shortcut : Module, optional
        Applied to x on the way around, where f changes the shape: a convolution with a 1 × 1 kernel, say.

    Raises
    ------
    TypeError
        Where one is no module.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Residual(ns.nn.ReLU())(ns.tensor([-1.0, 2.0])).numpy()
    array([-1.,  4.], dtype=float32)
    """

    def __init__(self, module, shortcut=None):
        super().__init__()
        for what, value in (("module", module), ("shortcut", shortcut)):
            if not isinstance(value, Module) and (value is not None or what == "module"):
                raise TypeError(
                    f"Residual: {what} is {value!r}, expected a module; pass a layer or an nn.Sequential of layers"
                )
        self.module = module
        self.shortcut = shortcut

    def forward(self, x):
        """(N, ...) -> the same shape, or the shortcut's

        Raises
        ------
        ValueError
            Where the two ways end in different shapes.
        """
        y = self.module(x)
        around = x if self.shortcut is None else self.shortcut(x)
        ours, theirs = np.shape(y), np.shape(around)
        if ours != theirs:
            mend = "pass a shortcut that gives" if self.shortcut is None else "make the shortcut give"
            raise ValueError(
                f"Residual: the module gives {ours}, the way around it {theirs} (x: {np.shape(x)}); "
                f"{mend} the module's shape"
            )
        return add(y, around)
