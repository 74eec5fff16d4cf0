"""The recorder: what a step computes, as a list of instructions on numbered arrays; and the device that its arrays live on."""

import contextlib
import functools
import os
import sys
from dataclasses import dataclass, field

import numpy as np

from nnscratch import backend
from nnscratch.autograd import OPS, Op, handles
from nnscratch.autograd.recording import state
from nnscratch.backend.cpu import CPU
from nnscratch.kernels.activation.cpu import LITTLE
from nnscratch.kernels.blas import LEAST
from nnscratch.program.traced import Number, Traced

#: Creation of arrays whose values follow from a shape.
LIKE = {np.zeros_like, np.ones_like, np.full_like}
#: Kernels that are a few of NumPy's functions where their arrays are small, and when: those are written down instead, and get buffers.
SMALL = {
    "matmul.matmul": lambda a, b: a.size * b.size <= LEAST,
    "matmul.linear": lambda x, weight, bias=None: x.size * weight.size <= LEAST,
    "matmul.channel_sums": lambda x, axis: x.size**2 <= LEAST,
    "activation.sigmoid": lambda x: 0 < x.size <= LITTLE and x.itemsize < 8,
}


#: Modules whose lines say nothing to those who wrote the step, and those of ours that are steps and networks themselves.
OURS, EXAMPLES = ("nnscratch", "numpy", "contextlib", "functools"), ("nnscratch.systems", "nnscratch.nn.models")


class CaptureError(RuntimeError):
    """What a step does cannot be written down as a program.

    Parameters
    ----------
    message : str

    Examples
    --------
    >>> import nnscratch as ns
    >>> program = ns.capture(lambda x: x * 2 if x.sum().item() > 0 else x)
    >>> try:
    ...     program(ns.tensor([1.0]))
    ... except ns.CaptureError as error:
    ...     print(str(error)[:46])
    capture: the step asks for values (at doctest.
    """

    __module__ = "nnscratch.program"  # where people find it

    def __init__(self, message):
        super().__init__(message)


class Ref(int):
    """The number of an array, among an instruction's arguments and results."""

    __slots__ = ()

    __str__ = int.__repr__

    def __repr__(self):
        return f"%{self}"


@dataclass
class Slot:
    """What is known of a numbered array: where it comes from, what it is, and in whose memory it lies."""

    kind: str  # "input", "state", "constant" or "computed"
    shape: tuple
    dtype: np.dtype
    strides: tuple
    root: int
    scalar: bool = False  # whether it is one of NumPy's scalars
    value: object = None  # of a state its array, of a constant the array itself
    made: int = -1  # the instruction that computes it


@dataclass
class Instruction:
    """One call of a function of arrays."""

    function: object
    args: tuple
    kwargs: dict
    results: object  # a Ref, a tuple or list of them, or None
    writes: tuple = ()
    effect: bool = False
    name: str = ""
    errors: dict = field(default_factory=dict)  # what NumPy is to do about division by zero and its like
    op: str = ""
    line: str = ""

    def shown(self):
        """What it calls, in a word."""
        return self.name or getattr(self.function, "__name__", type(self.function).__name__).lstrip("_")

    def refs(self):
        """The numbers of the arrays that it reads or writes."""
        return refs_in((self.args, tuple(self.kwargs.values())))

    def made(self):
        """The numbers of the arrays that it computes."""
        return refs_in(self.results)


def refs_in(tree):
    """The numbers of arrays in a tree."""
    if type(tree) is Ref:
        return [tree]
    if isinstance(tree, tuple | list):
        return [r for part in tree for r in refs_in(part)]
    if isinstance(tree, slice):
        return refs_in((tree.start, tree.stop, tree.step))
    return refs_in(tuple(tree.values())) if isinstance(tree, dict) else []


def mapped(tree, function):
    """A tree of tuples, lists, dicts and slices with each leaf changed by a function."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(part, function) for part in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(mapped(part, function) for part in tree)
    if isinstance(tree, dict):
        return {key: mapped(part, function) for key, part in tree.items()}
    if isinstance(tree, slice):
        return slice(*(mapped(part, function) for part in (tree.start, tree.stop, tree.step)))
    return function(tree)


class Recorder:
    """Writes down what is computed with the arrays that it has handed out.

    Attributes
    ----------
    slots : list of Slot
    instructions : list of Instruction
    """

    def __init__(self):
        self.slots: list = []
        self.instructions: list = []
        self._known: dict = {}  # by the ids of true arrays, those arrays and what stands for them
        self.forgotten: set = set()  # the ids of Tensors
        self.errors = np.geterr()
        self._drawn = backend.cpu.rng.bit_generator.state
        self._trusting = False
        self._effects = contextlib.nullcontext
        self._ops: dict = {}  # names by the ids of code, None where several operations share it
        for op in OPS.values():
            code = id(op.forward.__code__)
            self._ops[code] = None if code in self._ops else op.name
        for op in OPS.values():
            for name, rule in op.rules.items():
                self._ops.setdefault(id(rule.function.__code__), f"{op.name} by {name}")

    # The arrays

    def given(self, value, kind):
        """An array that is not computed here: an input, a state, or a constant."""
        found = self._known.get(id(value))
        if found is not None:
            return found[1]
        traced = self._new(value, kind)
        self.slots[traced.slot].value = value
        if kind != "constant":
            self._known[id(value)] = value, traced
        return traced

    def _new(self, value, kind, base=None, made=-1):
        number = len(self.slots)
        root = number if base is None else self.slots[base.slot].root
        there = value if isinstance(value, np.ndarray | np.generic) else np.float64(value)
        self.slots.append(
            Slot(kind, there.shape, there.dtype, there.strides, root, isinstance(value, np.generic), made=made)
        )
        return (Traced if there is value else Number)(value, self, number, base)

    def values(self, tree):
        """The true arrays in the places of what stands for them."""
        return mapped(tree, lambda leaf: leaf.value if isinstance(leaf, Number) else leaf)

    def _numbered(self, leaf):
        if isinstance(leaf, Number):
            return Ref(leaf.slot)
        if isinstance(leaf, np.ndarray):
            known = self._known.get(id(leaf))
            if known is not None:
                return Ref(known[1].slot)
            if self._trusting or self._made_by_an_operation():
                return Ref(self.given(leaf, "constant").slot)
            raise self.foreign(leaf)
        return leaf

    def _made_by_an_operation(self):
        """Whether an operation or a rule that is running has no array but the recorder's to make others of: what it has beside follows
        from settings."""
        frame = sys._getframe(1)
        while frame is not None:
            if id(frame.f_code) in self._ops:
                code, caller = frame.f_code, frame.f_back
                names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4)]
                given = [frame.f_locals.get(name) for name in names]
                if (
                    caller is not None and caller.f_code is Op.__call__.__code__
                ):  # the function may have renamed its own
                    given = [*caller.f_locals["args"], *caller.f_locals["kwargs"].values()]
                arrays = _arrays([a.data if isinstance(a, handles.Tensor) else a for a in given])
                if all(isinstance(a, Number) or id(a) in self._known for a in arrays):
                    return True
            frame = frame.f_back
        return False

    # The instructions

    def call(self, function, args, kwargs=None, writes=(), effect=False, name=""):
        """Call a function of arrays, and write that down."""
        kwargs = kwargs or {}
        numbered = mapped(args, self._numbered), mapped(kwargs, self._numbered)
        real = self.values(args), self.values(kwargs)
        with self._around() if effect else contextlib.nullcontext():
            result = function(*real[0], **real[1])
        return self._write_down(function, numbered, (args, kwargs), result, writes, effect, name)

    @contextlib.contextmanager
    def _around(self):
        """Within this block the step's things are as they really are, and random numbers may be drawn."""
        self.look_at_draws()
        with self._effects():
            yield
        self._drawn = backend.cpu.rng.bit_generator.state

    def look_at_draws(self):
        """Refuse a step that has drawn random numbers by itself, which would be frozen."""
        if backend.cpu.rng.bit_generator.state != self._drawn:
            _, line = self._where()
            raise CaptureError(
                f"capture: the step draws random numbers by itself (before {line.removeprefix('at ')}), which would be frozen; draw them by "
                f"an operation such as F.dropout, by nnscratch.program.drawn, or outside the step"
            )

    def _write_down(self, function, numbered, given, result, writes, effect, name):
        op, line = self._where()
        made = Instruction(
            function, *numbered, None, tuple(Ref(w.slot) for w in writes), effect, name, np.geterr(), op, line
        )
        inputs = [a for a in _arrays(given) if isinstance(a, Number)]
        if any(result is w.value for w in writes):
            result = None  # it returned what it wrote
        wrapped = self._wrapped(result, inputs, len(self.instructions), effect)
        if isinstance(wrapped, Number) and any(wrapped is a for a in inputs) and not effect:
            return wrapped  # an array that was given is given back
        made.results = mapped(wrapped, lambda leaf: Ref(leaf.slot) if isinstance(leaf, Number) else leaf)
        self.instructions.append(made)
        return wrapped

    def _wrapped(self, result, inputs, number, fresh):
        if isinstance(result, tuple | list):
            return type(result)(self._wrapped(part, inputs, number, fresh) for part in result)
        if result is None:
            return None
        if not isinstance(result, np.ndarray | np.generic | int | float):
            return result
        base = None
        for a in inputs:
            if result is a.value and not fresh:
                return a
            if isinstance(result, np.ndarray) and isinstance(a.value, np.ndarray) and _root(result) is _root(a.value):
                base = a
        return self._new(result, "computed", base, number)

    def effect(self, function, *args):
        """Call a function that does something beside computing, with the step's things as they really are, in each run of the program."""
        return self.call(function, args, effect=True)

    def kernel(self, name, function, args, kwargs):
        """Call a device's kernel; as one instruction, unless it does no more than a few functions of NumPy would."""
        if name in SMALL and SMALL[name](*args, **kwargs):
            before, self._trusting = self._trusting, True
            try:
                return function(*args, **kwargs)
            finally:
                self._trusting = before
        numbered = mapped(args, self._numbered), mapped(kwargs, self._numbered)
        result = function(*self.values(args), **self.values(kwargs))
        if result is None:
            return None  # it declines, and the formula is computed as it stands
        return self._write_down(function, numbered, (args, kwargs), result, (), False, name)

    def forget(self, tensors):
        """Note that gradients from before the step are forgotten before any are added to them."""
        self.forgotten |= {id(t) for t in tensors if t.grad is None or self.slots[t.grad.data.slot].kind == "input"}

    # What cannot be

    def unknown(self, what):
        """The error for a step that asks for what no program knows before it runs."""
        _, line = self._where()
        return CaptureError(
            f"capture: the step asks for {what} ({line}), which a program does not know before it runs, and what depends on it would be "
            f"frozen; compute it by operations such as ns.where, or outside the step"
        )

    def foreign(self, array):
        """The error for an array that would be frozen."""
        op, line = self._where()
        names = self._argument(array)
        what = f"{op or 'an operation'} ({line}) is given {names or 'an array'} {array.shape} {array.dtype}"
        return CaptureError(
            f"capture: {what}, which is neither an argument of the step nor a parameter or buffer that it can reach, and would be frozen; "
            f"pass it as an argument, or make it an nn.Buffer"
        )

    def as_an_array(self):
        """The error where one of the arrays is asked to be NumPy's: beside one that is, which would be frozen, or for its values."""
        frame = sys._getframe(1)
        while frame is not None:
            if id(frame.f_code) in self._ops:
                for value in frame.f_locals.values():
                    if isinstance(value, np.ndarray) and id(value) not in self._known:
                        return self.foreign(value)
            frame = frame.f_back
        return self.unknown("its values")

    def _argument(self, array):
        """What the operation that is running calls an array."""
        frame = sys._getframe(1)
        while frame is not None:
            if id(frame.f_code) in self._ops:
                for name, value in frame.f_locals.items():
                    if value is array:
                        return f"as {name} an array"
            frame = frame.f_back
        return ""

    def _where(self):
        """The operation that is running, and the line of the user's that it comes from."""
        frame, op = sys._getframe(1), ""
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            if not op and id(frame.f_code) in self._ops:
                op = self._ops[id(frame.f_code)] or getattr(frame.f_back.f_locals.get("self"), "name", "")
            if not module.startswith(OURS) or module.startswith(EXAMPLES):
                return op, f"at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            frame = frame.f_back
        return op, "at an unknown line"


def _arrays(tree):
    if isinstance(tree, tuple | list):
        return [a for part in tree for a in _arrays(part)]
    if isinstance(tree, dict):
        return _arrays(tuple(tree.values()))
    return [tree] if isinstance(tree, Number | np.ndarray) else []


def _root(a):
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


class Tracing(CPU):
    """The device of a step's arrays while it is recorded: that of NumPy's, with a recorder that listens."""

    array = Traced  # type: ignore[assignment]

    @property
    def recorder(self):
        """This thread's."""
        return state.recorder

    def kernel(self, name):  # found anew at each call, of which there are few
        """A kernel of the CPU's, that is written down when it is called."""
        function = backend.cpu.kernel(name)
        return lambda *args, **kwargs: self.recorder.kernel(name, function, args, kwargs)

    def asarray(self, data, dtype=None):
        """Data as an array here."""
        if not isinstance(data, Traced):
            data = (
                self.as_result(data) if isinstance(data, np.ndarray) else self.constant(CPU.asarray(self, data, dtype))
            )
        if dtype is None or data.dtype == dtype:
            return data
        return data.astype(CPU.asarray(self, np.empty(0, data.dtype), dtype).dtype)

    def as_result(self, value):
        """What a NumPy function returned, as an array."""
        if isinstance(value, Number):
            return value if isinstance(value.value, np.ndarray) else self.recorder.call(np.asarray, (value,))
        known = self.recorder._known.get(id(value))
        if known is not None:
            return known[1]
        if isinstance(value, np.ndarray) and not (self.recorder._trusting or self.recorder._made_by_an_operation()):
            raise self.recorder.foreign(value)
        return self.constant(np.asarray(value))

    def constant(self, array):
        """An array that follows from shapes and settings alone."""
        return array if isinstance(array, Traced) else self.recorder.given(array, "constant")

    def to_numpy(self, array):
        """Refused, as values are not known."""
        raise self.recorder.unknown("values")

    def number(self, value):
        """A single number that was computed here, in float64."""
        return self.recorder.call(float, (value,)) if isinstance(value, Traced) else float(value)

    def zeros(self, shape, dtype):
        """An array of zeros."""
        return self.recorder.call(np.zeros, (shape, dtype))

    def arange(self, n):
        """The whole numbers from 0 to n - 1."""
        return self.constant(np.arange(n))

    def anew(self, function, *arguments):
        """Called in each run anew."""
        return self.recorder.effect(function, *arguments)

    def dropout_mask(self, shape, dtype, p):
        """Drawn in each run anew."""
        return self.recorder.effect(backend.cpu.dropout_mask, shape, dtype, p)

    def check(self, array, low, high, error):
        """Checked in each run anew."""
        self.recorder.effect(backend.cpu.check, array, low, high, error)


def drawn(function, *arguments):
    """What a function makes of these arguments and of a generator of random numbers; in a captured step it is drawn in each run anew.

    Parameters
    ----------
    function : callable
        Of the arguments and a `numpy.random.Generator`, the one that `ns.manual_seed` seeds; returns an array.
    *arguments
        None of them an array of the step's.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import nnscratch as ns
    >>> noisy = ns.capture(lambda x: x + drawn(lambda shape, random: random.normal(size=shape).astype("float32"), x.shape))
    >>> x = ns.tensor([0.0])
    >>> noisy(x).item() == noisy(x).item()
    False
    """
    draw = functools.partial(_draw, function)
    return handles.wrap(draw(*arguments) if state.recorder is None else state.recorder.effect(draw, *arguments))


def _draw(function, *arguments):
    return np.asarray(function(*arguments, backend.cpu.rng))


tracing = Tracing()
backend.RAW_TYPES.add(Number)
