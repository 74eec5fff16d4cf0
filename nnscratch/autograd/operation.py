"""Operations: a forward function on arrays and one rule for each input.

A rule is written once, with operators and other operations, and so works on raw arrays (the ordinary backward pass) and on
Tensors (``create_graph=True``, which is how derivatives of every order come about).
"""

import functools
import itertools
import keyword
import weakref

import numpy as np

from nnscratch import backend
from nnscratch.arguments import named
from nnscratch.autograd import handles
from nnscratch.autograd.graph import Node, Result, as_result
from nnscratch.autograd.handles import describe
from nnscratch.autograd.recording import state
from nnscratch.autograd.rule import Rule
from nnscratch.hints import of_argument

#: Every operation of the modules of `nnscratch.ops` that have been imported (`nnscratch.functional` imports them all), by
#: name. Users' own operations are not listed.
OPS: dict = {}

#: What an operation takes as it is.
_RAW_TYPES = backend.RAW_TYPES
_TENSOR_TYPES = handles.TYPES
_sequence = itertools.count()
next_in_sequence = _sequence.__next__
#: Errors that arguments which do not fit are met with, and those that say as much where they come of an operation of ours.
EXPLAINED = (ValueError, TypeError, IndexError, OverflowError, MemoryError)
UNEXPECTED = (AttributeError, KeyError, ZeroDivisionError, RecursionError)


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
    surrogate : tuple of str
        Inputs whose rules are no derivatives, but stand in for ones that are 0 nearly everywhere.

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
        surrogate=(),
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
        self.constant, self.surrogate = constant, surrogate
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

    def rule(self, *names):
        """Decorator that gives the operation its rule for the input `name`, or for several inputs at once.

        The rule's parameters say what it needs: ``g`` (the gradient of the result), ``y`` (the result), any of the
        operation's arguments by name, or an argument's shape as ``x_shape``; for an operation of any number of
        arrays also ``index``, which of them is meant. Of an operation with several results, ``g_h`` is the gradient
        of that called h (the number 0, where nobody used it), and ``h`` the result. Only what a rule names is kept for it, and
        a rule of which no gradient came is not asked. The rule returns the gradient by that input, in its shape or
        broadcast from it (the engine sums what was broadcast).

        A rule for several inputs, which an operation with several results may have, returns a tuple of their gradients, None for
        one that is 0; a backward pass asks it once. Its parameter ``wanted`` is the set of the inputs' names whose gradient somebody
        may want.

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
        for name in names:
            if name not in self.positional and name != self.variadic:
                raise ValueError(
                    f"{self.name}.rule: no input is called {name!r}; "
                    f"its inputs are {', '.join(self.positional) or self.variadic}"
                )
        if len(names) != 1 and (not names or self.outputs is None or self.variadic in names):
            raise ValueError(
                f"{self.name}.rule: a rule is for one input, or for several of an operation with outputs=(...), got "
                f"{', '.join(map(repr, names)) or 'none'}; name one"
            )

        def register(function):
            for k, name in enumerate(names):
                self.rules[name] = Rule(self, name, function, k if len(names) > 1 else None)
            self._plans.clear()
            return function

        return register

    @functools.cached_property
    def kernel(self):
        """The operation's kernel, a function of arrays: that of the device where the first of them lives.

        While the CPU is the only device in use it is the CPU's function itself, so that finding it costs nothing.
        """
        name = self.kernel_name
        _bound.add(self)
        if not backend.several():
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
                if kind is np.ndarray:
                    unusual = unusual or (not a.shape and not self._is_input(len(raw)))
                elif kind not in _RAW_TYPES:
                    unusual = unusual or kind is np.float64 or isinstance(a, np.integer) or self._is_input(len(raw))
                raw.append(a)
                kept.append(a)
                versions.append(None)
        if unusual:
            args = self._unusual(args, raw, wrap)
            kept = [k if version else a for k, version, a in zip(kept, versions, args, strict=True)]
        try:
            out = self.forward(*raw, **kwargs) if kwargs else self.forward(*raw)
        except EXPLAINED as error:
            raise self._explain(error, raw) from None
        except UNEXPECTED as error:
            if not self.__module__.startswith("nnscratch."):  # whose author wants to see where
                raise
            raise self._explain(error, raw) from error
        if type(out) is not np.ndarray or self.outputs is not None:
            out = self._declared(out, wrap)
        if not wrap:
            return out
        record = active and state.recording and self.constant is not True
        if self.outputs is not None:
            results: list = []
            for y in out:
                results.append(self._wrap(y, [*args, *results]))
            if record:
                self._record_several(results, raw, kept, versions, kwargs, active)
            return tuple(results)
        result = handles.wrap(out) if out.base is None and out is not raw[0] else self._wrap(out, args)
        if self.keeps_arguments and isinstance(args[0], handles.Tensor):
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
                    return handles.wrap(out, a._version)
        return handles.wrap(out)

    def _declared(self, out, as_array):
        """What the forward function returned: one result, or the tuple of those declared; else an error.

        NumPy's reductions return scalars, of which `as_array` makes arrays.
        """
        several = isinstance(out, tuple | list)
        if self.outputs is None and not several:
            return as_result(out) if as_array else out
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
        return tuple(map(as_result, out)) if as_array else out

    def _unusual(self, args, raw, wrap):
        """Make arrays of lists among the inputs, and refuse what is neither; changes `raw`, returns the arguments."""
        args = list(args)
        for i, a in enumerate(args):
            kind = type(a)
            if kind is np.ndarray and not a.shape and not self._is_input(i):  # a setting, which is a number
                args[i] = raw[i] = a.item()
            elif wrap and (kind is np.float64 or isinstance(a, np.integer)):
                # np.sqrt(2) and np.prod(shape) are as weak as Python's numbers: they must not turn float32 into float64
                args[i] = raw[i] = a.item()
            elif kind is list or kind is tuple:
                if self._input_name(i) in self.rules:
                    there = next((backend.of(r).name for r in raw if backend.is_array(r)), None)
                    try:
                        args[i] = raw[i] = backend.asarray(a, device=there)
                    except (TypeError, ValueError) as error:
                        said = str(error).removeprefix("tensor: ")
                        raise type(error)(f"{self.name}: {self._input_name(i)}: {said}") from None
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
        node.scope = state.scope
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
            hint = of_argument(name, self.names)
            raise TypeError(f"{self.name}: has no argument {name!r}; it takes {', '.join(self.names)}{hint}")
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
            if isinstance(value, handles.Tensor):
                value = kwargs[name] = value.data
            if type(value) is np.ndarray and not value.shape:
                kwargs[name] = value.item()
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
            return error if message.replace("\n", " ").isprintable() else type(error)(named(message, 500))
        if isinstance(error, AttributeError | KeyError):
            message = f"an argument is not of the kind it takes ({message}); pass arrays, and settings of the kinds that its page names"
        if isinstance(error, MemoryError):
            message = f"out of memory ({message}); pass fewer samples at a time"
        message = message.split("\n")[0].replace(f"{self.forward.__name__}()", f"{self.name}()")
        given = ", ".join(f"{self._input_name(i) or '?'}: {describe(a)}" for i, a in enumerate(raw))
        kind = next((k for k in (ValueError, TypeError, IndexError, MemoryError) if isinstance(error, k)), ValueError)
        return kind(f"{self.name}: {named(message, 500)} ({given})")


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


#: The operations whose kernel has been found.
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
    surrogate : tuple of str, optional
        Inputs whose rules are no derivatives, but stand in for ones that are 0 nearly everywhere, as of rounding; they are not
        compared with differences.
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


def _overlap(a, b):
    """Whether one of two arrays lies in the other's memory, or both in that of a third."""
    if a is b or a.base is b or a is b.base:
        return True
    if a.base is None or a.base is not b.base:
        return False
    return type(a) is not np.ndarray or np.may_share_memory(a, b)


def arguments_of(result, operation):
    """What `operation` was given to make `result`; None where it did not, or where result or first input were changed since.

    The operation has to be one whose results keep their arguments; whether anything is recorded does not matter.
    """
    origin = result._origin if isinstance(result, handles.Tensor) else None
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
    same = handles.wrap(result.data)
    tensors = [a if isinstance(a, handles.Tensor) else None for a in args]
    raw = [a if t is None else t.data for a, t in zip(args, tensors, strict=True)]
    inputs = [a if t is None or t._node is None else t._node for a, t in zip(args, tensors, strict=True)]
    versions = [None if t is None else (t._version, t._version[0]) for t in tensors]
    active = tuple(i for i, t in enumerate(tensors) if t is not None and t.requires_grad)
    if operation.outputs is None:
        operation._record(same, raw, inputs, versions, {}, active)
        node, kept = same._node, same.data
    else:
        operation._record_several((same, *map(handles.wrap, others)), raw, inputs, versions, {}, active)
        node, kept = same._node.node, [same.data, *(None for _ in others)]
    node.fused, node.data = result._node, kept
    return same
