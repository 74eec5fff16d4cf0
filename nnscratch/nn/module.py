"""Module, the base of every layer and network, and the tensors it owns: parameters and buffers."""

import contextlib
import functools
from collections import deque
from collections.abc import Mapping
from weakref import ref

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import describe, no_grad, recording
from nnscratch.hints import hinting, lead
from nnscratch.nn.hooks import Hooks
from nnscratch.nn.place import MISFITS, name_layer
from nnscratch.nn.summary import contents, summarise
from nnscratch.tensor import Tensor, forget_gradients

#: How often an attribute of any module was assigned: while that is the same, so are all modules.
changes = [0]
#: What a module looks into for its parts.
CONTAINERS = (list, tuple, dict, set, frozenset, deque)


class Parameter(Tensor):
    """A tensor that a module owns and training changes: as a module's attribute it is among its `parameters`.

    Parameters
    ----------
    data : array, Tensor, number or nested list
        Copied, so that training changes nobody else's array.
    requires_grad : bool
        False freezes it.
    dtype, device : optional
        As in `ns.tensor`.

    Raises
    ------
    TypeError
        Where the data are not floating-point numbers.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Parameter([1.0, 2.0])
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=True, *, dtype=None, device=None):
        super().__init__(data, dtype, device)
        self.data = self.data.copy()
        self.requires_grad_(requires_grad)


class Buffer(Tensor):
    """A tensor that a module owns and no optimiser changes, such as running statistics; saved with it.

    Parameters
    ----------
    data : array, Tensor, number or nested list
        Copied.
    requires_grad : False
        A buffer has no gradient.
    dtype, device : optional
        As in `ns.tensor`.

    Raises
    ------
    TypeError, ValueError
        As `ns.tensor`; and where a gradient is asked for.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Buffer([1.0, 2.0])
    tensor([1., 2.])
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=False, *, dtype=None, device=None):
        super().__init__(data, dtype, device)
        self.data = self.data.copy()
        if requires_grad:
            raise ValueError("Buffer: a buffer has no gradient; use nn.Parameter for what is to be trained")


class Module:
    """A layer or a network: write ``forward``, and assign its parameters and layers as attributes.

    Whatever `Parameter`, `Buffer` or `Module` is assigned to an attribute belongs to the module; there is
    nothing to register, and it makes no difference whether ``super().__init__()`` is called. So does what is in lists, tuples
    and dicts that are attributes, or within each other, whenever it was put there: ``self.layers.append(...)``. In its path
    stand its number or key, as in a `ModuleList` or `ModuleDict`.

    Attributes
    ----------
    training : bool
        Whether dropout and batch normalisation behave as in training; `train` and `eval` set it. While a Trainer trains or measures
        it is what that needs, in its own thread; all other threads see the module's own.

    Examples
    --------
    >>> import nnscratch as ns
    >>> class Scale(ns.nn.Module):
    ...     def __init__(self):
    ...         self.factor = ns.nn.Parameter(2.0)
    ...
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(ns.tensor([1.0, 3.0])).numpy()
    array([2., 6.], dtype=float32)
    >>> [name for name, _ in scale.named_parameters()]
    ['factor']
    """

    @property
    def training(self):
        """Whether it behaves as in training, here and now."""
        modes = recording.state.modes
        own = vars(self).get("training", True)
        return own if modes is None else modes.get(id(self), own)

    @training.setter
    def training(self, mode):
        modes = recording.state.modes
        changes[0] += 1
        if modes is not None and id(self) in modes:
            modes[id(self)] = mode
        else:
            vars(self)["training"] = mode

    def forward(self, *inputs):
        """Compute the result; every module writes its own.

        Raises
        ------
        NotImplementedError
            Where it has not been written.
        """
        name = type(self).__name__
        raise NotImplementedError(f"{name}: has no forward; write `def forward(self, x)` in the class {name}")

    def __call__(self, *inputs, **settings):
        state = recording.state
        outer = state.scope
        state.scope = outer, ref(self)
        try:
            if "_hooks" in self.__dict__:
                return self._hooks.call(self, inputs, settings)
            return self.forward(*inputs, **settings) if settings else self.forward(*inputs)
        except MISFITS as error:
            name_layer(error, state.scope)
            raise
        finally:
            state.scope = outer

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        if "__init__" in vars(cls) and cls.__module__.startswith("nnscratch."):
            cls.__init__ = _in_memory(hinting(cls.__init__))
        for name, value in vars(cls).items():
            if isinstance(value, Module | Parameter | Buffer):
                raise TypeError(
                    f"{cls.__name__}: {name} is made in the class, so that all its instances would share it; assign it to "
                    f"self.{name} in __init__"
                )

    def __setattr__(self, name, value):
        changes[0] += 1
        self._check_attribute(name, value)
        old = vars(self).get(name)
        if isinstance(value, Tensor) and not isinstance(value, Parameter | Buffer):
            if isinstance(old, Parameter):
                raise TypeError(
                    f"{type(self).__name__}: {name} is a Parameter, got a plain tensor {describe(value)}, "
                    f"which training would not see; assign nn.Parameter(...), or new values with "
                    f"`{name}[...] = values` inside ns.no_grad()"
                )
            if isinstance(old, Buffer):
                value = Buffer(value)
        object.__setattr__(self, name, value)

    def _check_attribute(self, name, value):
        owner = type(self).__name__
        found = [item for _, item in within(owner, name, value, Module | Parameter | Buffer)]
        if not found:
            return
        if any(m is self for item in found if isinstance(item, Module) for m in item.modules()):
            raise ValueError(
                f"{owner}: the module assigned to {name} contains this one, and none can contain itself; build it anew"
            )
        if name == "training" or callable(getattr(type(self), name, None)):
            raise ValueError(f"{owner}: {name!r} is already a part of every {owner}; choose another name")

    def register_buffer(self, name, tensor):
        """Make `tensor` (copied) a buffer called `name`; the same as ``self.name = nn.Buffer(tensor)``.

        Parameters
        ----------
        name : str
            An identifier.
        tensor : Tensor or array

        Raises
        ------
        ValueError
            Where the name is no identifier, or taken.

        Examples
        --------
        >>> import nnscratch as ns
        >>> m = ns.nn.Module()
        >>> m.register_buffer("mean", ns.tensor([0.0]))
        >>> m.mean
        tensor([0.])
        """
        if not isinstance(name, str) or not name.isidentifier() or name in vars(self):
            raise ValueError(f"register_buffer: {name!r} is taken or no identifier; choose another name")
        setattr(self, name, Buffer(tensor))

    # What it consists of

    def _own(self, kind):
        """The pairs (path, value) of its own attributes of a kind, in the order they were first assigned, and of what is of that
        kind in those that are containers.
        """
        found = []
        for name, value in vars(self).items():
            if isinstance(value, kind):
                found.append((name, value))
            elif isinstance(value, CONTAINERS):
                found += within(type(self).__name__, name, value, kind)
        return found

    def _all(self, kind):
        seen = set()
        for path, value in self._every(kind):
            if id(value) not in seen:
                seen.add(id(value))
                yield path, value

    def _every(self, kind, path=""):
        """The pairs (path, value) of a kind here and in all modules within, those that are shared under each of their names."""
        for name, value in self._own(kind):
            yield path + name, value
        for name, module in self._own(Module):
            yield from module._every(kind, f"{path}{name}.")

    def named_modules(self):
        """The pairs (path, module) of this module and all within it, each module once.

        Examples
        --------
        >>> import nnscratch as ns
        >>> [path for path, _ in ns.nn.Sequential(ns.nn.ReLU(), ns.nn.Tanh()).named_modules()]
        ['', '0', '1']
        """
        seen = set()
        stack = [("", self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            stack += [(f"{path}.{name}" if path else name, m) for name, m in reversed(module._own(Module))]

    def modules(self):
        """This module and all within it, each once."""
        return (m for _, m in self.named_modules())

    def named_children(self):
        """The pairs (name, module) of the modules directly within, each module once."""
        seen = set()
        for name, module in self._own(Module):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self):
        """The modules directly within, each once."""
        return (m for _, m in self.named_children())

    def named_parameters(self):
        """The pairs (path, parameter) of this module and all within it; a shared parameter once.

        Examples
        --------
        >>> import nnscratch as ns
        >>> [name for name, _ in ns.nn.Sequential(ns.nn.Linear(3, 1)).named_parameters()]
        ['0.weight', '0.bias']
        """
        return self._all(Parameter)

    def parameters(self):
        """The parameters of this module and all within it, each once: what an optimiser takes."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self):
        """The pairs (path, buffer) of this module and all within it; a shared buffer once."""
        return self._all(Buffer)

    def buffers(self):
        """The buffers of this module and all within it, each once."""
        return (b for _, b in self.named_buffers())

    # Its state

    def train(self, mode=True):
        """Set the training mode here and in all modules within; returns the module.

        Raises
        ------
        TypeError
            Where `mode` is neither True nor False.
        """
        if not isinstance(mode, bool):
            raise TypeError(f"train: mode is {mode!r}, expected True or False; pass False or call eval() to leave it")
        for m in self.modules():
            m.training = mode
        return self

    def eval(self):
        """Leave the training mode here and in all modules within; returns the module."""
        return self.train(False)

    def zero_grad(self, set_to_none=True):
        """Forget all gradients: ``.grad`` of each parameter becomes None; with False those that are there become 0."""
        forget_gradients(self.parameters(), set_to_none)

    def apply(self, function):
        """Call a function with each module within, the innermost first, and last with this one; returns the module.

        Parameters
        ----------
        function : callable
            Takes a module, such as one that sets its initial weights; what it returns is not used.

        Examples
        --------
        >>> import nnscratch as ns
        >>> def begin(module):
        ...     if isinstance(module, ns.nn.Linear):
        ...         ns.nn.init.zeros_(module.weight)
        >>> ns.nn.Sequential(ns.nn.Linear(2, 1)).apply(begin)[0].weight
        tensor([[0., 0.]], requires_grad=True)
        """
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    # What is called beside its forward

    def _hooked(self, kind, hook):
        changes[0] += 1
        if "_hooks" not in self.__dict__:
            vars(self)["_hooks"] = Hooks()
        return self._hooks.add(kind, hook)

    def register_forward_pre_hook(self, hook):
        """Have ``hook(module, inputs)`` called before each ``forward``; what it returns, unless None, takes the inputs' place.

        Parameters
        ----------
        hook : callable
            Takes the module and the tuple of its inputs.

        Returns
        -------
        Handle
            Its ``remove()`` ends that.

        Raises
        ------
        TypeError
            Where it cannot be called.

        Examples
        --------
        >>> import nnscratch as ns
        >>> layer = ns.nn.ReLU()
        >>> handle = layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
        >>> layer(ns.tensor([-2.0, 1.0]))
        tensor([0., 2.])
        """
        return self._hooked("before", hook)

    def register_forward_hook(self, hook):
        """Have ``hook(module, inputs, result)`` called after each ``forward``; what it returns, unless None, takes the result's place.

        Parameters
        ----------
        hook : callable
            Takes the module, the tuple of its inputs, and the result.

        Returns
        -------
        Handle
            Its ``remove()`` ends that.

        Raises
        ------
        TypeError
            Where it cannot be called.

        Examples
        --------
        >>> import nnscratch as ns
        >>> shapes = []
        >>> net = ns.nn.Sequential(ns.nn.Linear(3, 2), ns.nn.ReLU())
        >>> handle = net[0].register_forward_hook(lambda module, inputs, result: shapes.append(result.shape))
        >>> y = net(ns.tensor([[1.0, 2.0, 3.0]]))
        >>> handle.remove()
        >>> y = net(ns.tensor([[1.0, 2.0, 3.0]]))
        >>> shapes
        [(1, 2)]
        """
        return self._hooked("after", hook)

    def register_full_backward_hook(self, hook):
        """Have ``hook(module, grad_inputs, grad_results)`` called when a backward pass has the gradients by the module's inputs.

        Parameters
        ----------
        hook : callable
            Takes the module and two tuples of gradients, by its positional inputs and by its results, None where there is none. Of a
            module whose inputs need no gradient it is called once those by its results are there. What it returns, unless None, is a tuple
            that takes the place of the gradients by the inputs; for a module with one such input.

        Returns
        -------
        Handle
            Its ``remove()`` ends that.

        Raises
        ------
        TypeError
            Where it cannot be called; and where a result of the module's is neither a Tensor nor a tuple or list.

        Examples
        --------
        >>> import nnscratch as ns
        >>> layer = ns.nn.ReLU()
        >>> handle = layer.register_full_backward_hook(lambda module, inputs, results: print(inputs[0], results[0]))
        >>> x = ns.tensor([-1.0, 2.0], requires_grad=True)
        >>> layer(x).sum().backward()
        tensor([0., 1.]) tensor([1., 1.])
        """
        return self._hooked("backward", hook)

    def requires_grad_(self, requires_grad=True):
        """Freeze (False) or free all parameters; returns the module.

        Examples
        --------
        >>> import nnscratch as ns
        >>> any(p.requires_grad for p in ns.nn.Linear(2, 1).requires_grad_(False).parameters())
        False
        """
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def to(self, device):
        """Move all parameters, gradients and buffers to `device`, in place; returns the module.

        Raises
        ------
        ValueError
            Where there is no such device here.
        """
        backend.get(device)
        for t in (*self.parameters(), *self.buffers()):
            t.data = backend.asarray(t.data, device=device)
            if t.grad is not None:
                t.grad = t.grad.detach().to(device)
        return self

    def state_dict(self):
        """Copies of all parameters and buffers as NumPy arrays, by path.

        Returns
        -------
        dict of str to array

        Examples
        --------
        >>> import nnscratch as ns
        >>> {name: a.shape for name, a in ns.nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return {name: np.array(t.numpy()) for name, t in (*self.named_parameters(), *self.named_buffers())}

    def load_state_dict(self, state, strict=True):
        """Take over the values of all parameters and buffers, in place; all is checked before any changes.

        Parameters
        ----------
        state : dict of str to array or Tensor
            In the parameters' and buffers' shapes and dtypes, by path, as `state_dict` gives it. What is shared may stand there under
            any of its names, or, with the same values, under several.
        strict : bool
            Refuse paths that are missing or unknown; with False they are left out.

        Raises
        ------
        TypeError
            Where `state` is no dict.
        ValueError
            Where paths, shapes or dtypes do not fit; the message lists all that do not.

        Examples
        --------
        >>> import nnscratch as ns
        >>> a, b = ns.nn.Linear(3, 2), ns.nn.Linear(3, 2)
        >>> b.load_state_dict(a.state_dict())
        >>> bool((a.weight.numpy() == b.weight.numpy()).all())
        True
        """
        with no_grad():
            for t, value in self._fitting(state, strict):
                t[...] = value

    def _fitting(self, state, strict=True):
        """The pairs (parameter or buffer, its array in a state) that `load_state_dict` will assign; all that does not fit is refused."""
        if not isinstance(state, Mapping):
            raise TypeError(
                f"load_state_dict: got {describe(state)}, expected a dict from names to arrays; "
                f"pass what state_dict() returned"
            )
        names: dict = {}
        every = dict((*self._every(Parameter), *self._every(Buffer)))
        for name, t in every.items():
            names.setdefault(id(t), []).append(name)
        #: Of each parameter and buffer the name that it has in the state, else its first.
        own = {next((n for n in found if n in state), found[0]): every[found[0]] for found in names.values()}
        wrong = []
        if strict:
            wrong += [f"{name} is missing" for name in own if name not in state]
            wrong += [f"{arguments.named(name)} is unexpected" for name in state if name not in every]
        values = {}
        for name in (name for name in every if name in state):
            value, t = state[name], every[name]
            value = value.data if isinstance(value, Tensor) else value
            if not backend.is_array(value) or (value.shape, value.dtype) != (t.shape, t.dtype):
                wrong.append(f"{name} is {describe(value)}, expected {describe(t)}")
            else:
                values[name] = value
        for found in names.values():
            first, *others = [name for name in found if name in values] or found[:1]
            wrong += [
                f"{first} and {name} are one parameter and differ"
                for name in others
                if not _same(values[first], values[name])
            ]
        if wrong:
            raise ValueError(
                f"load_state_dict: the state does not fit this {type(self).__name__}: {arguments.several(wrong)}; "
                f"load it into the network it was saved from"
            )
        return [(t, backend.asarray(values[name], device=t.device)) for name, t in own.items() if name in values]

    # For people

    def summary(self, *inputs, dtype=None):
        """A table of the layers that an input passes through: their results' shapes and their parameters.

        An example batch, or one sample of zeros, is run through the module, in evaluation mode and without recording;
        nothing of the module, its modes and the random numbers is changed. Where it does not fit some layer, the table ends there,
        and says why.

        Parameters
        ----------
        *inputs : array, Tensor or tuple of int
            An example batch (floating-point numbers in any precision); or the shape of one sample, without the axis of the
            batch. One for each argument of ``forward``.
        dtype : str or dtype, optional
            Of the input; by default that of the module's first parameter. An `Embedding` needs ``"int64"``.

        Returns
        -------
        Summary
            Prints as the table; see `nnscratch.nn.summary.Summary`.

        Raises
        ------
        TypeError
            Where something is neither an array nor a tuple of whole numbers.

        Examples
        --------
        >>> import nnscratch as ns
        >>> ns.nn.Sequential(ns.nn.Linear(3, 4), ns.nn.ReLU()).summary((3,))
        Layer  Type    Output  Parameters
        0      Linear  (N, 4)          16
        1      ReLU    (N, 4)           0
        16 parameters: 16 trainable, 0 not; 64 bytes, with the 0 values in buffers
        >>> ns.nn.Sequential(ns.nn.Linear(3, 4), ns.nn.Linear(5, 2)).summary((3,))
        Layer  Type    Output  Parameters
        0      Linear  (N, 4)          16
        1      Linear  fails           12
        28 parameters: 28 trainable, 0 not; 112 bytes, with the 0 values in buffers
        Sequential 1 (Linear): linear: x has 4 features, weight expects 5 (x: (1, 4) float32, weight: (2, 5) float32); check in_features
        >>> ns.nn.Embedding(5, 2).summary(ns.data.iris()[1][:10]).rows
        [('-', 'Embedding', '(N, 2)', 10)]
        """
        return summarise(self, inputs, dtype)

    def extra_repr(self):
        """The module's settings, as its printed form shows them in brackets; every layer writes its own."""
        return ""

    def __repr__(self):
        name = type(self).__name__
        settings = self.extra_repr()
        lines = [f"({key}): {module!r}" for key, module in self._own(Module)]
        if not lines:
            return f"{name}({settings})"
        body = "\n".join(([settings] if settings else []) + lines).replace("\n", "\n  ")
        return f"{name}(\n  {body}\n)"

    def _repr_html_(self):
        """What a notebook shows: the layers, with the shapes and the number of their parameters."""
        return contents(self)


lead(Module, "nn.Module.")


def _in_memory(init):
    """A layer's ``__init__`` that says in one sentence where its parameters do not fit into memory."""

    @functools.wraps(init)
    def made(self, *args, **kwargs):
        with arguments.in_memory(type(self).__name__):
            init(self, *args, **kwargs)

    return made


@contextlib.contextmanager
def modes(chosen):
    """Within this block, and in this thread alone, modules are in training or evaluation mode as is said here.

    What is assigned to their ``training`` within the block holds until it ends.

    Parameters
    ----------
    chosen : iterable of (Module, bool)

    Examples
    --------
    >>> import nnscratch as ns
    >>> layer = ns.nn.Dropout(0.5)
    >>> with modes([(layer, False)]):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    state, chosen = recording.state, list(chosen)  # which keeps the modules, so that nothing else gets their ids
    before = state.modes
    state.modes = {**(before or {}), **{id(module): mode for module, mode in chosen}}
    try:
        yield
    finally:
        state.modes = before


def _same(a, b):
    """Whether two arrays of a state are equal."""
    return np.array_equal(backend.to_numpy(a), backend.to_numpy(b), equal_nan=True)


def within(owner, path, value, kind, around=()):
    """The pairs (path, item) of a kind of a value: of itself, or of the containers it is made of.

    Raises
    ------
    TypeError
        Where they would be in a set, which has no order, or two keys of a dict have one name.

    Examples
    --------
    >>> within("Net", "blocks", [[1, 2.0], {"a": 3.0}], float)
    [('blocks.0.1', 2.0), ('blocks.1.a', 3.0)]
    """
    if isinstance(value, kind):
        return [(path, value)]
    if not isinstance(value, CONTAINERS) or any(value is outer for outer in around):
        return []
    items = value.values() if isinstance(value, dict) else value
    if not any(issubclass(t, kind) or issubclass(t, CONTAINERS) for t in set(map(type, items))):  # long lists are data
        return []
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    found = [hit for key, v in items for hit in within(owner, f"{path}.{key}", v, kind, (*around, value))]
    if found and isinstance(value, set | frozenset):
        raise TypeError(f"{owner}: {path} is a set of modules or parameters, which has no order; use a list")
    if len({name for name, _ in found}) < len(found):
        keys = ", ".join(map(repr, dict(items)))
        raise TypeError(f"{owner}: two of the keys {keys} of {path} have one name; choose others")
    return found
