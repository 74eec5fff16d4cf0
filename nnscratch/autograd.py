"""The engine: operations, the graph they leave behind, and the backward pass.

An operation (`Op`) is a forward function on arrays and one rule for each input. A rule is written once, with operators
and other operations, and so works on raw arrays (the ordinary backward pass) and on Tensors (``create_graph=True``,
which is how derivatives of every order come about).

A `Node` is one application of an operation. It holds its inputs and, while some rule will ask for it, its result's
array; it never holds its result's Tensor, so a graph has no reference cycles and is freed with its last Tensor. Of an
operation with several results the node holds a list for each, and a Tensor of one of them refers to the node by a
`Result`. The backward pass drops arrays as it goes; a second pass over the same graph computes what it needs of them
again, which is why a forward function must be a pure function of its arguments.
"""

import functools
import inspect
import itertools
import keyword
import threading
import types
import weakref
from collections.abc import Callable
from heapq import heappop, heappush

import numpy as np

from nnscratch import backend

#: Every operation of the modules of `nnscratch.ops` that have been imported (`nnscratch.functional` imports them all), by
#: name. Users' own operations are not listed.
OPS: dict = {}

#: The Tensor class, and its way to wrap an array without looking at it; set by `nnscratch.tensor`, which stands a floor higher.
Tensor: type = type(None)
_wrap: Callable = type(None)


class GradientError(Exception):
    """A rule returned something that cannot be its input's gradient, or a gradient check failed.

    Examples
    --------
    >>> import nnscratch as ns
    >>> @ns.op
    ... def first(x):
    ...     return x[:1]
    >>> @first.rule("x")
    ... def _(g):
    ...     return g[:0]
    >>> x = ns.tensor([1.0, 2.0], requires_grad=True)
    >>> try:
    ...     first(x).backward()
    ... except ns.GradientError as error:
    ...     print(str(error)[:60])
    first: its rule for x returned a gradient of shape (0,), exp

    Attributes
    ----------
    report : nnscratch.gradcheck.report.Report or None
        What a gradient check found.
    operation : str or None
        The operation whose rule is at fault, where it is known.
    """

    def __init__(self, message, report=None, operation=None):
        super().__init__(message)
        self.report = report
        self.operation = operation if report is None else report.operation


#: What an operation takes as it is (see `backend.RAW_TYPES`), and the classes of Tensors.
_RAW_TYPES = backend.RAW_TYPES
_TENSOR_TYPES: set = set()


class _State(threading.local):
    recording = True
    #: The modules whose forward is running, as nested pairs (the outer ones, a weak reference), or None outside all.
    scope = None

    def __init__(self):
        #: What `recording` was around each block that has been entered.
        self.before: list = []


_state = _State()
_sequence = itertools.count()
#: Held while a gradient is added to a leaf's, which several threads may do at once.
_accumulating = threading.Lock()


class no_grad:
    """Within this block, or in the function it decorates, operations leave no graph behind.

    A decorated generator or coroutine runs so whenever it goes on, and whoever waits for it does not.

    Parameters
    ----------
    function : callable, optional
        What is decorated, by ``@ns.no_grad`` as by ``@ns.no_grad()``.

    Raises
    ------
    TypeError
        Where it decorates something else than a function, or an asynchronous generator.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([1.0, 2.0], requires_grad=True)
    >>> with ns.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    _to = False

    def __new__(cls, function=None):
        return object.__new__(cls) if function is None else object.__new__(cls)(function)

    def __enter__(self):
        # What was before is the thread's to remember: one object may be entered twice, and by several threads.
        _state.before.append(_state.recording)
        _state.recording = self._to
        return self

    def __exit__(self, *exception):
        _state.recording = _state.before.pop()

    def __call__(self, function):
        if not callable(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__}: got {function!r}, expected a function; within an asynchronous generator write "
                f"`with ns.{type(self).__name__}():` around what is computed"
            )

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        @functools.wraps(function)
        def generator(*args, **kwargs):
            return self._step_by_step(function(*args, **kwargs))

        @functools.wraps(function)
        async def coroutine(*args, **kwargs):
            return await types.coroutine(self._step_by_step)(function(*args, **kwargs))

        if inspect.iscoroutinefunction(function):
            return coroutine
        return generator if inspect.isgeneratorfunction(function) else wrapped

    def _step_by_step(self, running):
        """A generator or coroutine, each part of which runs within this block."""
        go_on, value = running.send, None
        while True:
            try:
                with self:
                    value = go_on(value)
            except StopIteration as end:
                return end.value
            try:
                go_on, value = running.send, (yield value)
            except GeneratorExit:
                with self:
                    running.close()
                raise
            except BaseException as error:
                go_on, value = running.throw, error


class enable_grad(no_grad):
    """Within this block, or in the function it decorates, operations are recorded again, even inside `no_grad`.

    Parameters
    ----------
    function : callable, optional
        What is decorated; see `no_grad`.

    Raises
    ------
    TypeError
        Where that is no function.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor(1.0, requires_grad=True)
    >>> with ns.no_grad(), ns.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    _to = True


def is_grad_enabled():
    """Whether operations are being recorded in this thread.

    Examples
    --------
    >>> import nnscratch as ns
    >>> with ns.no_grad():
    ...     ns.is_grad_enabled()
    False
    """
    return _state.recording


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


class Op:
    """An operation: a forward function on arrays, and one rule for each input. Made by `op`.

    Attributes
    ----------
    name : str
    formula, derivative : str
        LaTeX, for people: what it computes, and its derivative by each input in turn.
    document : str
        Where the formula is stated.
    outputs : tuple of str or None
        The names of its results, where it has several.
    forward : callable
        The function on arrays.
    rules : dict
        The rules by the names of their inputs.
    samples : sequence of nnscratch.sample_inputs.Case
        Arguments to check it with.
    constant : tuple of str, or True
        Inputs that have no gradient by their nature; True: the result has none at all.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.exp.name, ns.exp.formula, list(ns.exp.rules)
    ('exp', 'e^x', ['x'])
    """

    def __init__(
        self,
        forward,
        *,
        formula="",
        derivative="",
        document="",
        samples=(),
        constant=(),
        outputs=None,
        constant_outputs=(),
        kernel=None,
        keeps_arguments=False,
        name=None,
    ):
        code = forward.__code__
        self.forward = forward
        self.name = name or forward.__name__
        self.formula, self.derivative, self.document = formula, derivative, document
        self.samples = samples
        self.rules: dict = {}
        functools.update_wrapper(self, forward)
        count = code.co_argcount
        self.names = code.co_varnames[: count + code.co_kwonlyargcount]
        defaults = forward.__defaults__ or ()
        self.defaults = dict(zip(code.co_varnames[count - len(defaults) : count], defaults, strict=True))
        self.defaults.update(forward.__kwdefaults__ or {})
        self.positional = code.co_varnames[:count]
        #: The name of ``*arrays`` where the operation takes any number of inputs, else None.
        self.variadic = code.co_varnames[len(self.names)] if code.co_flags & 4 else None
        self.constant = constant
        #: The name of its kernel in `nnscratch.kernels`, "topic.function".
        self.kernel_name = kernel
        self._plans: dict = {}
        self.outputs = None if outputs is None else _checked_outputs(self, outputs)
        unknown = set(constant_outputs) - set(self.outputs or ())
        if unknown:
            raise ValueError(f"op: {self.name} has no output {sorted(unknown)[0]!r}; name it in outputs=(...)")
        self.constant_outputs = tuple(constant_outputs)
        self.keeps_arguments = keeps_arguments
        if "y" in self.names or "g" in self.names:
            raise TypeError(
                f"op: {self.name} has an input called y or g; a rule means the result and its gradient by them"
            )
        if self.__module__.startswith("nnscratch.ops."):
            OPS[self.name] = self

    def __repr__(self):
        return f"<op {self.name}({', '.join(self.names)})>"

    def rule(self, name):
        """Decorator that gives the operation its rule for the input `name`.

        The rule's parameters say what it needs: ``g`` (the gradient of the result), ``y`` (the result), any of the
        operation's arguments by name, or an argument's shape as ``x_shape``; for an operation of any number of
        arrays also ``index``, which of them is meant. Of an operation with several results, ``g_h`` is the gradient
        of that called h (the number 0, where nobody used it), and ``h`` the result. Only what a rule names is kept for it, and
        a rule of which no gradient came is not asked. The rule returns the gradient by that input, in its shape or
        broadcast from it (the engine sums what was broadcast).

        Examples
        --------
        >>> import nnscratch as ns
        >>> @ns.op
        ... def cube(x):
        ...     return x**3
        >>> @cube.rule("x")
        ... def _(g, x):
        ...     return 3 * g * x**2
        >>> x = ns.tensor(2.0, requires_grad=True)
        >>> cube(x).backward()
        >>> x.grad.item()
        12.0
        """
        if name not in self.positional and name != self.variadic:
            raise ValueError(
                f"{self.name}.rule: no input is called {name!r}; its inputs are {', '.join(self.positional) or self.variadic}"
            )

        def register(function):
            self.rules[name] = Rule(self, name, function)
            self._plans.clear()
            return function

        return register

    @functools.cached_property
    def kernel(self):
        """The operation's kernel, a function of arrays: that of the device where the first of them lives.

        While the CPU is the only device in use it is the CPU's function itself, so that finding it costs nothing.
        """
        name = self.kernel_name
        if not backend.several():
            _bound.add(self)
            return backend.cpu.kernel(name)

        def kernel(array, *arguments):
            return backend.of(array).kernel(name)(array, *arguments)

        return kernel

    def __call__(self, *args, **kwargs):
        if kwargs:
            args = self._place(args, kwargs)
        # What the forward function gets, what the node keeps of each argument, and what in-place changes are seen by.
        raw: list = []
        kept: list = []
        versions: list = []
        active = ()
        wrap = unusual = False
        for a in args:
            kind = type(a)
            if kind in _TENSOR_TYPES:
                wrap = True
                if a.requires_grad:
                    active += (len(raw),)
                raw.append(a.data)
                kept.append(a if a._node is None else a._node)
                counter = a._version
                versions.append((counter, counter[0]))
            else:
                if kind not in _RAW_TYPES:
                    unusual = unusual or kind is np.float64 or isinstance(a, np.integer) or self._is_input(len(raw))
                raw.append(a)
                kept.append(a)
                versions.append(None)
        if unusual:
            args = self._unusual(args, raw, wrap)
            kept = [k if version else a for k, version, a in zip(kept, versions, args, strict=True)]
        try:
            out = self.forward(*raw, **kwargs) if kwargs else self.forward(*raw)
        except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
            raise self._explain(error, raw) from None
        if type(out) is not np.ndarray or self.outputs is not None:
            out = self._declared(out, wrap)
        if not wrap:
            return out
        record = active and _state.recording and self.constant is not True
        if self.outputs is not None:
            results: list = []
            for y in out:
                results.append(self._wrap(y, [*args, *results]))
            if record:
                self._record_several(results, raw, kept, versions, kwargs, active)
            return tuple(results)
        result = _wrap(out) if out.base is None and out is not raw[0] else self._wrap(out, args)
        if self.keeps_arguments and isinstance(args[0], Tensor):
            result._origin = self, args, args[0]._version[0], result._version[0]
        if record:
            self._record(result, raw, kept, versions, kwargs, active)
        return result

    def _wrap(self, out, others):
        """An array as a Tensor; it shares the counter of one in whose memory it lies, so that a change of either is seen by both."""
        base = out.base
        for a in others:
            if type(a) in _TENSOR_TYPES:
                array = a.data
                if array is out or array.base is out or (base is not None and _overlap(out, array)):
                    return _wrap(out, a._version)
        return _wrap(out)

    def _declared(self, out, as_array):
        """What the forward function returned: one result, or the tuple of those declared; else an error.

        NumPy's reductions return scalars, of which `as_array` makes arrays.
        """
        several = isinstance(out, tuple | list)
        if self.outputs is None and not several:
            return _as_result(out) if as_array else out
        got = f"{len(out)} results" if several else describe(out)
        if self.outputs is None:
            names = ", ".join(f'"y{i}"' for i in range(1, max(len(out), 1) + 1))
            raise TypeError(
                f"{self.name}: its forward function returned {got} and declares one; "
                f"declare them by outputs=({names}), or return one array"
            )
        if not isinstance(out, tuple) or len(out) != len(self.outputs):
            got = "a list" if isinstance(out, list) else got
            raise TypeError(
                f"{self.name}: its forward function returned {got}, expected the {len(self.outputs)} results it declares "
                f"({', '.join(self.outputs)}); return a tuple of them, or correct outputs=(...)"
            )
        for name, result in zip(self.outputs, out, strict=True):
            if (
                type(result) is not np.ndarray
                and not hasattr(result, "dtype")
                and type(result) not in (int, float, bool)
            ):
                raise TypeError(
                    f"{self.name}: its forward function returned {describe(result)} for its result {name}, expected an array; "
                    f"return one, an empty one where there is nothing"
                )
        return tuple(map(_as_result, out)) if as_array else out

    def _unusual(self, args, raw, wrap):
        """Make arrays of lists among the inputs, and refuse what is neither; changes `raw`, returns the arguments."""
        args = list(args)
        for i, a in enumerate(args):
            kind = type(a)
            if wrap and (kind is np.float64 or isinstance(a, np.integer)):
                # np.sqrt(2) and np.prod(shape) are as weak as Python's numbers: they must not turn float32 into float64
                args[i] = raw[i] = a.item()
            elif kind is list or kind is tuple:
                if self._input_name(i) in self.rules:
                    there = next((backend.of(r).name for r in raw if backend.is_array(r)), None)
                    args[i] = raw[i] = backend.asarray(a, device=there)
            elif kind not in _RAW_TYPES and not hasattr(a, "dtype") and self._is_input(i):
                raise TypeError(
                    f"{self.name}: {self._input_name(i)} is {describe(a)}, expected a Tensor, an array or a number; "
                    f"make it one with ns.tensor"
                )
        return args

    def _record(self, result, raw, kept, versions, kwargs, active):
        plan = self._plans.get((active, len(kept))) or self._plan(active, len(kept))
        keep, keep_result, active, _ = plan
        if not active:
            return
        node = Node()
        out = result.data
        node.op = self
        node.args = kept
        node.versions = versions
        node.kwargs = kwargs
        node.plan = plan
        node.data = out if keep_result else None
        node.shape = out.shape
        node.dtype = out.dtype
        node.version = counter = result._version
        node.made = counter[0]
        node.sequence = next(_sequence)
        node.scope = _state.scope
        node.fused = None
        for i in keep:
            a = kept[i]
            if type(a) is Node:
                a.data = raw[i]
            elif type(a) is Result:
                a.node.data[a.index] = raw[i]
        result._node = node
        result.requires_grad = True

    def _record_several(self, results, raw, kept, versions, kwargs, active):
        """`_record` for an operation with several results: one node, of which each result that has a gradient is one."""
        self._record(results[0], raw, kept, versions, kwargs, active)
        node = results[0]._node
        if node is None:
            return
        keep_results = node.plan[1]
        arrays = [t.data for t in results]
        node.data = [a if k in keep_results else None for k, a in enumerate(arrays)]
        node.shape = [a.shape for a in arrays]
        node.dtype = [a.dtype for a in arrays]
        node.version = [t._version for t in results]
        node.made = [version[0] for version in node.version]
        for k, t in enumerate(results):
            t.requires_grad = self._has_gradient(k, arrays[k].dtype)
            t._node = Result(node, k) if t.requires_grad else None

    def _has_gradient(self, k, dtype):
        """Whether a gradient by one of several results can be asked for: not of whole numbers, nor of what is constant by its nature."""
        return dtype.kind == "f" and self.outputs[k] not in self.constant_outputs

    def _plan(self, active, count):
        """What to keep when the inputs at `active` want a gradient: arguments, results; and those that get one."""
        keep = set()
        keep_results = set()
        names = {}
        for i in active:
            name = self._input_name(i)
            if name in self.constant:
                continue
            if name not in self.rules:
                raise TypeError(
                    f"{self.name}: has no rule for the gradient by {name}; detach it with .detach(), "
                    f"or give the operation one with @{self.name}.rule({name!r})"
                )
            names[i] = name
            self.rules[name].bind()
            needs = self.rules[name].needs
            keep |= {j for j in range(count) if self._input_name(j) in needs}
            keep_results |= {k for k, output in enumerate(self.outputs or ("y",)) if output in needs}
        pairs = tuple((i, self.rules[name]) for i, name in names.items())
        plan = tuple(sorted(keep)), tuple(sorted(keep_results)), tuple(names), pairs
        self._plans[active, count] = plan
        return plan

    def _is_input(self, i):
        """Whether an argument is an array, and not a setting."""
        name = self._input_name(i)
        return name in self.rules or (self.constant is True and name not in self.defaults)

    def _input_name(self, i):
        return self.positional[i] if i < len(self.positional) else self.variadic

    def _place(self, args, kwargs):
        """Move arguments given by name into their places (a Tensor or an input must stand there)."""
        for name in [n for n in kwargs if n not in self.names]:
            raise TypeError(f"{self.name}: has no argument {name!r}; it takes {', '.join(self.names)}")
        args = list(args)
        for i in range(len(args), len(self.positional)):
            name = self.positional[i]
            if name in kwargs:
                args.append(kwargs.pop(name))
            elif not any(n in kwargs for n in self.positional[i:]):
                break
            elif name in self.defaults:
                args.append(self.defaults[name])
            else:
                raise TypeError(f"{self.name}: the argument {name!r} is missing")
        for name, value in kwargs.items():
            if name in self.positional:
                raise TypeError(f"{self.name}: the argument {name!r} was given twice")
            if isinstance(value, Tensor):
                kwargs[name] = value.data
        return args

    def _explain(self, error, raw):
        """The same error, as one sentence that names the operation and what it was given."""
        devices = backend.mixed(raw)
        if devices:
            held = ", ".join(
                f"{self._input_name(i)} on {backend.of(a).name}" for i, a in enumerate(raw) if backend.is_array(a)
            )
            return ValueError(
                f"{self.name}: got {held}, expected one device; move one, for example by .to({devices[0]!r})"
            )
        message = str(error).strip()
        if message.startswith(f"{self.name}:"):
            return error
        if isinstance(error, MemoryError):
            message = f"out of memory ({message}); pass fewer samples at a time"
        message = message.split("\n")[0].replace(f"{self.forward.__name__}()", f"{self.name}()")
        given = ", ".join(f"{self._input_name(i) or '?'}: {describe(a)}" for i, a in enumerate(raw))
        kind = next((k for k in (ValueError, TypeError, IndexError, MemoryError) if isinstance(error, k)), ValueError)
        return kind(f"{self.name}: {message} ({given})")


def _checked_outputs(op, outputs):
    """The names of several results, which rules can tell from all else."""
    if isinstance(outputs, str) or not all(isinstance(name, str) and name.isidentifier() for name in outputs):
        raise TypeError(f'op: {op.name} has outputs={outputs!r}, expected names; pass for example outputs=("h", "c")')
    outputs = tuple(outputs)
    inputs = (*op.names, op.variadic) if op.variadic else op.names
    taken = {"g", "y", *inputs, *(f"{n}_shape" for n in inputs), *(f"g_{n}" for n in outputs), *keyword.kwlist}
    taken |= {"index"} if op.variadic else set()
    clashes = [n for n in outputs if n in taken or f"g_{n}" in inputs or outputs.count(n) > 1]
    if len(outputs) < 2 or clashes:
        why = f"{clashes[0]!r} is taken" if clashes else "several results have at least two names"
        raise ValueError(f"op: {op.name} has outputs={outputs!r}, and {why}; choose other names")
    return outputs


class Rule:
    """The gradient of an operation by one input: the function that states it, and what it needs.

    Attributes
    ----------
    function : callable
    needs : set of str
        Of the operation's inputs and results those whose values it asks for.
    gradients : set of int
        Which of several results it asks the gradients of.
    on_arrays, on_tensors : callable
        The function of (node, position of the argument, gradient of the result): it looks up its parameters there, as arrays
        or as Tensors with their places in the graph. They are written as source, since a loop over the parameters would cost
        each call as much as a small kernel.
    """

    __slots__ = ("_source", "defaults", "function", "gradients", "needs", "on_arrays", "on_tensors")

    def __init__(self, op, name, function):
        self.function, self.defaults, self.needs, self.gradients = function, op.defaults, set(), set()
        given = []
        code = function.__code__
        for parameter in code.co_varnames[: code.co_argcount]:
            source = self._look_up(op, parameter)
            if source is None:
                raise TypeError(
                    f"{op.name}.rule({name!r}): the parameter {parameter!r} is none of "
                    f"{', '.join(_given_to_rules(op))}, {', '.join(op.names)} "
                    f"or a shape such as {op.names[0] if op.names else op.variadic}_shape"
                )
            given.append(source)
        if op.outputs and not self.gradients:
            raise TypeError(
                f"{op.name}.rule({name!r}): it names none of the results' gradients "
                f"{', '.join(f'g_{output}' for output in op.outputs)}; take one of them"
            )
        self._source = f"lambda node, i, g: function({', '.join(given)})"

    def _look_up(self, op, parameter):
        """The source that looks up a parameter of the function; None where there is no such thing."""
        base = parameter.removesuffix("_shape")
        if parameter == "g" and not op.outputs:
            return "g"
        if parameter.startswith("g_") and parameter[2:] in (op.outputs or ()):
            k = op.outputs.index(parameter[2:])
            self.gradients.add(k)
            return f"0 if g[{k}] is None else g[{k}]"
        if parameter == "index" and op.variadic:
            return f"i - {len(op.positional)}"
        if parameter == op.variadic:
            source = f"tuple(map(value, node.args[{len(op.positional)}:]))"
        elif base == op.variadic:
            return f"tuple(map(shape, node.args[{len(op.positional)}:]))"
        elif parameter == "y" and not op.outputs:
            source = "value(node)"
        elif parameter in (op.outputs or ()):
            source = f"kept(node, {op.outputs.index(parameter)})"
        elif parameter in op.positional:
            place = op.positional.index(parameter)
            source = f"value(node.args[{place}])"
            if parameter in op.defaults:
                source = f"{source} if len(node.args) > {place} else defaults[{parameter!r}]"
        elif parameter in op.names:
            source = f"node.kwargs[{parameter!r}] if {parameter!r} in node.kwargs else defaults[{parameter!r}]"
        elif base in op.positional:
            return f"shape(node.args[{op.positional.index(base)}])"
        else:
            return None
        self.needs.add(parameter)
        return source

    def bind(self):
        """Make `on_arrays` and `on_tensors`, when the rule is first needed."""
        code = compile(self._source, "<rule>", "eval")
        common = {"shape": _shape, "defaults": self.defaults}
        arrays = {"function": _on_arrays(self.function), "value": _raw, "kept": _kept_array}
        tensors = {"function": self.function, "value": _handle, "kept": lambda node, k: _handle(Result(node, k))}
        self.on_arrays, self.on_tensors = eval(code, common | arrays), eval(code, common | tensors)
        if self.gradients:
            self.on_arrays, self.on_tensors = self._of_several(self.on_arrays), self._of_several(self.on_tensors)

    def _of_several(self, rule):
        """A rule for which the number 0 stands in the place of gradients that did not come: it may return that, which is none."""

        def call(node, i, g):
            try:
                d = rule(node, i, g)
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                unused = [node.op.outputs[k] for k in sorted(self.gradients) if g[k] is None]
                if not unused:
                    raise
                name = node.op.name
                raise GradientError(
                    f"{name}: its rule for {node.op._input_name(i)} fails where nobody used the result {unused[0]} and "
                    f"g_{unused[0]} is the number 0 ({error}); let it do without",
                    operation=name,
                ) from error
            return None if type(d) in (int, float) and d == 0 else d

        return call


def _given_to_rules(op):
    """What a rule may ask for beside the operation's inputs."""
    return [*(f"g_{output}" for output in op.outputs), *op.outputs] if op.outputs else ["g", "y"]


def _on_arrays(function):
    """A rule of our own for arrays: it calls the operations' forward functions at once, as on arrays an operation does no more."""
    names = function.__globals__
    if not names["__name__"].startswith("nnscratch.ops."):
        return function  # a notebook may still change what its names mean
    at_once = {name: value.forward if isinstance(value, Op) else value for name, value in names.items()}
    return types.FunctionType(
        function.__code__, at_once, function.__name__, function.__defaults__, function.__closure__
    )


#: The operations whose kernel is the CPU's function itself.
_bound: weakref.WeakSet = weakref.WeakSet()


def _forget_kernels():
    while _bound:
        vars(_bound.pop()).pop("kernel", None)


backend.WHEN_ADDED.append(_forget_kernels)


def op(forward=None, **details):
    r"""Make an operation of a function on arrays; its rules follow with ``@name.rule("input")``.

    Parameters
    ----------
    forward : callable
        A pure function of its arguments: arrays first, settings after them.
    formula, derivative : str, optional
        LaTeX, for people: what it computes, and its derivative.
    document : str, optional
        Where the formula is stated.
    samples : sequence of `nnscratch.sample_inputs.Case`, optional
        Arguments to test it with.
    constant : tuple of str, or True
        Inputs that have no gradient by their nature (indices, conditions); True: the result has none at all.
    outputs : tuple of str, optional
        The names of its results, where it has several: the forward function then returns a tuple of as many arrays.
    constant_outputs : tuple of str, optional
        Those of them that have no gradient by their nature; those of whole numbers and booleans never have one.
    kernel : str, optional
        The array function that does the work, as ``"topic.function"`` of `nnscratch.kernels`: the forward function
        calls it as ``name.kernel(x, ...)``, and gets the one of the device where `x` lives.
    keeps_arguments : bool, optional
        Whether a result keeps, as long as its Tensor lives, what it was made of: see `arguments_of`.

    Returns
    -------
    Op
        Called with raw arrays it returns a raw array, called with a Tensor among them a Tensor; where it has several
        results, a tuple of them.

    Raises
    ------
    TypeError
        Where an input is called ``g`` or ``y``, which mean the result's gradient and the result in a rule.
    ValueError
        Where the name of a result is taken.

    Examples
    --------
    >>> import nnscratch as ns
    >>> @ns.op(formula=r"f(x) = x^2", derivative=r"f'(x) = 2x")
    ... def square(x):
    ...     return x * x
    >>> @square.rule("x")
    ... def _(g, x):
    ...     return 2 * g * x
    >>> x = ns.tensor([1.0, 3.0], requires_grad=True)
    >>> square(x).sum().backward()
    >>> x.grad.numpy()
    array([2., 6.], dtype=float32)

    Several results, of which the rule asks for what it needs by name:

    >>> import numpy as np
    >>> @ns.op(outputs=("sine", "cosine"))
    ... def sincos(x):
    ...     return np.sin(x), np.cos(x)
    >>> @sincos.rule("x")
    ... def _(g_sine, g_cosine, sine, cosine):
    ...     return g_sine * cosine - g_cosine * sine
    >>> x = ns.tensor(0.0, requires_grad=True)
    >>> sine, cosine = sincos(x)
    >>> (sine + 2 * cosine).backward()
    >>> x.grad
    tensor(1.)
    """
    if forward is None:
        return functools.partial(Op, **details)
    return Op(forward, **details)


def describe(value):
    """A value in a few words, for messages: ``(32, 784) float32`` for an array."""
    if isinstance(value, Tensor):
        value = value.data
    if hasattr(value, "dtype"):
        return f"{value.shape} {value.dtype}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def is_basic(index):
    """Whether an index is made of whole numbers, slices, new axes and an ellipsis alone: no array, no list.

    Examples
    --------
    >>> is_basic((0, slice(None), None)), is_basic([0])
    (True, False)
    """
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, slice | int) for p in parts)


def _as_result(value):
    """What a function of arrays returned, as an array: reductions of NumPy's return scalars."""
    return value if type(value) is np.ndarray else backend.of(value).as_result(value)


def _overlap(a, b):
    """Whether one of two arrays lies in the other's memory, or both in that of a third."""
    if a is b or a.base is b or a is b.base:
        return True
    if a.base is None or a.base is not b.base:
        return False
    return type(a) is not np.ndarray or np.may_share_memory(a, b)


def _shape(a):
    return a.shape if isinstance(a, Node | Result | Tensor) else np.shape(a)


def _raw(a):
    """A kept argument as an array."""
    if type(a) is Node or type(a) is Result:
        if a.data is None:
            _restore(node_of(a))
        return a.data
    return a.data if isinstance(a, Tensor) else a


def _kept_array(node, k):
    """One of several results of a node as an array."""
    if node.data[k] is None:
        _restore(node)
    return node.data[k]


def _handle(a):
    """A kept argument as a Tensor with its place in the graph, so that a rule's own operations are recorded."""
    if type(a) is not Node and type(a) is not Result:
        return a
    if not a.has_gradient:
        return _raw(a)
    tensor = _wrap(_raw(a), a.version)
    tensor._node = a
    tensor.requires_grad = True
    return tensor


def _restore(node):
    """Compute a dropped result again, and those it came from."""
    stack = [node]
    while stack:
        last = stack[-1]
        missing = [node_of(a) for a in last.args if type(a) in (Node, Result) and a.data is None]
        if missing:
            stack += missing
            continue
        _check_versions(last, range(len(last.args)))
        out = last.op.forward(*map(_raw, last.args), **last.kwargs)
        last.data = _as_result(out) if last.op.outputs is None else list(map(_as_result, out))
        stack.pop()


def came(g):
    """Whether a gradient by one of several results came to a rule, which gets the number 0 where nobody used it.

    Examples
    --------
    >>> came(0), came(np.zeros(2))
    (False, True)
    """
    return type(g) is not int


def arguments_of(result, operation):
    """What `operation` was given to make `result`; None where it did not, or where result or first input were changed since.

    The operation has to be one whose results keep their arguments; whether anything is recorded does not matter.
    """
    origin = result._origin if isinstance(result, Tensor) else None
    if origin is None or origin[0] is not operation:
        return None
    _, args, before, after = origin
    return args if args[0]._version[0] == before and result._version[0] == after else None


def record_as(operation, args, result, *others):
    """`result` recorded as if `operation` had made it of `args`, where another operation made the same of an earlier input.

    Graphs and explanations show the operation. A backward pass goes the way of the node that `result` came with, and so passes
    over what made the first of the arguments, unless somebody asks for the gradient by that one.

    Parameters
    ----------
    operation : Op
    args : sequence
        The first is the result, a Tensor, of an operation on what `result` was made of.
    result : Tensor
    *others : array
        Of the shapes and dtypes of the operation's other results, where it has several; those are computed when they are needed.

    Returns
    -------
    Tensor
    """
    if result._node is None:
        return result
    same = _wrap(result.data)
    tensors = [a if isinstance(a, Tensor) else None for a in args]
    raw = [a if t is None else t.data for a, t in zip(args, tensors, strict=True)]
    inputs = [a if t is None or t._node is None else t._node for a, t in zip(args, tensors, strict=True)]
    versions = [None if t is None else (t._version, t._version[0]) for t in tensors]
    active = tuple(i for i, t in enumerate(tensors) if t is not None and t.requires_grad)
    if operation.outputs is None:
        operation._record(same, raw, inputs, versions, {}, active)
        node, kept = same._node, same.data
    else:
        operation._record_several((same, *map(_wrap, others)), raw, inputs, versions, {}, active)
        node, kept = same._node.node, [same.data, *(None for _ in others)]
    node.fused, node.data = result._node, kept
    return same


def fused_of(node, g):
    """The node that goes another way to a node's (first) result, see `record_as`, and the gradient by its result or results."""
    fused, g = node.fused, g if node.op.outputs is None else g[0]
    return node_of(fused), g if type(fused) is Node else [
        g if r.index == fused.index else None for r in fused.node.results
    ]


def _check_versions(node, positions):
    """Refuse to go on where an argument at one of these positions was changed in place after the node was made."""
    for i in positions:
        version = node.versions[i]
        if version is not None and version[0][0] != version[1]:
            raise RuntimeError(
                f"{node.op.name}: its input {node.op._input_name(i)} {_shape(node.args[i])} was changed in place after the "
                f"operation used it, so its gradient cannot be computed; change a copy, or call backward first"
            )


def _check_results(node, positions):
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


def nodes_of(roots):
    """The nodes behind some nodes and results (a None among them is passed over), in the order of their making."""
    found, stack = {}, list(roots)
    while stack:
        node = node_of(stack.pop())
        if node is not None and id(node) not in found:
            found[id(node)] = node
            stack += node.args
    return sorted(found.values(), key=lambda n: n.sequence)


def _needed(root, wanted):
    """The identities of the results and leaves through which `root` depends on `wanted` (a set of such), `wanted` included."""
    needed = set(wanted)
    nodes = nodes_of([root])
    ways_around = [node.fused for node in nodes if node.fused is not None]  # see `record_as`
    for node in nodes_of([root, *ways_around]) if ways_around else nodes:
        if any(identity(node.args[i]) in needed for i in node.active):
            needed.update(map(identity, node.results))
    return needed


def _pull(root, seed, create_graph=False, wanted=None, retain=False):
    """The backward pass from `root` (a Node, a Result or a leaf), where the gradient is `seed`.

    Returns the gradients as a dict from the identity of each leaf (or of each in `wanted`) to the pair of it and its
    gradient: arrays, or Tensors with a graph of their own under `create_graph`.
    """
    needed = None if wanted is None else _needed(root, wanted)
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
                _check_versions(node, keep)
        if keep_results and (several or node.version[0] != node.made):
            _check_results(node, keep_results)
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
        pending[at] = (result.node, [None] * len(result.op.outputs))
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
        seed = grad.data if isinstance(grad, Tensor) else backend.of(output.data).asarray(grad, output.dtype)
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
        return grad if isinstance(grad, Tensor) and grad.dtype == output.dtype else _wrap(seed)
    return seed


def _require_graph(what, output):
    if not output.requires_grad:
        raise RuntimeError(
            f"{what}: this tensor {output.shape} does not depend on any tensor with requires_grad=True; "
            f"set it on the inputs or parameters before computing (and not inside no_grad)"
        )


def backward(output, gradient=None, create_graph=False):
    """Add to ``.grad`` of every leaf the gradient of `output` by it; see `Tensor.backward`."""
    _require_graph("backward", output)
    root = output if output._node is None else output._node
    seed = _seed(output, gradient, "backward", create_graph)
    handed = {id(_raw(seed))}
    found = _pull(root, seed, create_graph, retain=create_graph).values()
    with _accumulating:
        for leaf, d in found:
            if not create_graph:
                # No two leaves, and nothing of the caller's, may share a gradient's memory: people change .grad in place.
                if type(d) is not np.ndarray:
                    d = backend.of(d).as_result(d)
                if d.base is not None or id(d) in handed or d is leaf.data:
                    d = d.copy()
                handed.add(id(d))
                d = _wrap(d)
            if leaf.grad is None:
                leaf.grad = d
            elif create_graph:
                leaf.grad = leaf.grad + d
            else:
                leaf.grad = _wrap(leaf.grad.data + d.data)


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
    single = isinstance(inputs, Tensor)
    inputs = (inputs,) if single else tuple(inputs)
    for t in (output, *inputs):
        if not isinstance(t, Tensor):
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
    found = _pull(root, seed, create_graph, wanted=set(map(identity, ends)), retain=True)
    results = []
    for t, end in zip(inputs, ends, strict=True):
        d = found[identity(end)][1] if identity(end) in found else np.zeros_like(t.data)
        if not isinstance(d, Tensor):
            d = backend.of(d).as_result(d)
            d = _wrap(d.copy() if d.base is not None or d is seed else d)
        if create_graph and not d.requires_grad:
            # Constant, so that its derivative is zero; without a graph it could not be asked for.
            d = _wrap(d.data, d._version).requires_grad_()
        results.append(d)
    return results[0] if single else tuple(results)
