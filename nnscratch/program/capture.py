"""`capture`: a step that is recorded from one run, and run as a program from then on."""

import contextlib
import functools
import inspect
import threading
import types

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import describe, handles, is_grad_enabled
from nnscratch.autograd.nans import detecting
from nnscratch.autograd.recording import state as here
from nnscratch.nn import Module
from nnscratch.nn.module import changes
from nnscratch.program.program import Program
from nnscratch.program.recorder import CaptureError, Recorder, tracing
from nnscratch.program.state import SCALARS, State, same
from nnscratch.program.traced import Number
from nnscratch.tensor import Tensor

#: How many programs, of different shapes and modes, one captured step keeps.
MOST = 32


class Captured:
    """What `capture` returns; see there."""

    def __init__(self, step, static):
        self.step = step
        self._function = step.update if hasattr(step, "update") and not isinstance(step, Module) else step
        self._static = static
        self._programs: list = []
        self._lock = threading.RLock()
        functools.update_wrapper(self, self._function, updated=())

    def __call__(self, *args, **kwargs):
        if here.recorder is not None or detecting():
            return self._function(*args, **kwargs)
        leaves, arrays = _leaves(args, kwargs)
        for one in self._programs:
            if one.fits(leaves, arrays):
                if one is not self._programs[0]:
                    self._programs.remove(one)
                    self._programs.insert(0, one)
                return one.run(arrays)
        with self._lock:
            return self._record(args, kwargs, leaves, arrays)

    @property
    def program(self):
        """The program that ran last.

        Raises
        ------
        RuntimeError
            Where none did.
        """
        if not self._programs:
            raise RuntimeError("capture: nothing was recorded yet; call it once with a batch")
        return self._programs[0].program

    @property
    def programs(self):
        """All programs there are, the one that ran last first."""
        return [one.program for one in self._programs]

    def measure(self, *args, **kwargs):
        """A run in which each instruction's time is taken; returns what the step returns. The table shows the times.

        It is a real step, as any other.
        """
        leaves, arrays = _leaves(args, kwargs)
        for one in self._programs:
            if one.fits(leaves, arrays):
                return one.run(arrays, one.program.measure)
        return self(*args, **kwargs)

    def __repr__(self):
        return repr(self.program) if self._programs else f"<captured {_name(self.step)}, not recorded yet>"

    def _repr_html_(self):
        return self.program._repr_html_() if self._programs else f"<code>{_name(self.step)}</code>, not recorded yet"

    def _record(self, args, kwargs, leaves, arrays):
        one = Recording(self._function, self._static, args, kwargs, leaves, arrays)
        if len(self._programs) >= MOST:
            del self._programs[-1]
        self._programs.insert(0, one)
        return one.first


def _name(step):
    return getattr(step, "__qualname__", type(step).__name__)


def _is_plain(a):
    return type(a) is Tensor


def _leaves(args, kwargs):
    """What a call is known by beside its arrays, and the arrays."""
    if not kwargs and all(map(_is_plain, args)):
        return [a.requires_grad for a in args], [a.data for a in args]
    leaves: list = []
    arrays: list = []
    _flatten((args, kwargs), leaves, arrays)
    return leaves, arrays


def _flatten(tree, leaves, arrays):
    """Put arrays, and what else there is, in the order in which they stand, into lists."""
    kind = type(tree)
    if kind in handles.TYPES:
        arrays.append(tree.data)
        leaves.append(tree.requires_grad)
    elif kind is np.ndarray:
        arrays.append(tree)
        leaves.append(None)
    elif kind is tuple or kind is list:
        leaves.append((kind, len(tree)))
        for part in tree:
            _flatten(part, leaves, arrays)
    elif kind is dict:
        leaves.append((kind, tuple(tree)))
        for part in tree.values():
            _flatten(part, leaves, arrays)
    else:
        leaves.append(tree)


class Guard:
    """Questions that have to be answered with yes, written as one function: a loop over them would cost as much as a small step."""

    def __init__(self):
        self._names: dict = {"same": same}
        self._questions: list = []

    def name(self, value):
        """A name for a thing in the questions."""
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name

    def ask(self, question, *values):
        """A question, with places for things."""
        self._questions.append(question.format(*map(self.name, values)))

    def ask_same(self, holder, key, value):
        """Whether a holder has what it had."""
        there = self.name(holder)
        now = f"{there}.cell_contents" if isinstance(holder, types.CellType) else f"{there}[{key!r}]"
        if isinstance(holder, dict):
            now = f"{there}.get({key!r})"
        if isinstance(value, SCALARS):
            self.ask(f"same({there}, {{}}, {{}})", key, value)
        else:
            self.ask(f"{now} is {{}}", value)

    def function(self):
        """The function of the arguments' arrays."""
        asked = "".join(f"    if not ({question}):\n        return False\n" for question in self._questions)
        exec(f"def holds(arrays):\n{asked}    return True\n", self._names)
        return self._names["holds"]


class Recording:
    """A program together with when it may run, and what its outputs are made into."""

    def __init__(self, function, static, args, kwargs, leaves, arrays):
        _check_arguments(function, static, args, kwargs)
        self._leaves, self._kinds = leaves, [(a.shape, a.dtype, a.strides) for a in arrays]
        self._grad_enabled = is_grad_enabled()
        found = State(function)
        self._tensors = list(found.tensors.values())
        if any(type(a) is not np.ndarray for a in (*arrays, *(t.data for t in self._tensors))):
            raise CaptureError(
                "capture: there are arrays that are not on the CPU, where programs run; move them, or run the step as it is"
            )
        hooked = next((m for m in found.modules if "_hooks" in vars(m)), None)
        if hooked is not None:
            raise CaptureError(
                f"capture: a {type(hooked).__name__} has had hooks, which a program would not call; build the module anew, or run the step as it "
                f"is"
            )
        before = [t.grad for t in self._tensors]
        recorder = Recorder()
        with _recording(recorder, found, arrays) as (given, gradients):
            handed = iter(given)
            args, kwargs = _unflattened((args, kwargs), handed)
            result = function(*args, **kwargs)
            recorder.look_at_draws()
            grads = [t.grad for t in self._tensors]
            moved = [t for t, a in zip(self._tensors, recorder.states, strict=True) if t.data is not a]
            if moved:
                raise CaptureError(
                    f"capture: the step assigns the .data of a tensor {moved[0].shape}; write into it by `tensor[...] = values` within "
                    f"ns.no_grad()"
                )
        outputs: list = []
        self._result = _template(result, outputs, {id(t) for t in self._tensors}, recorder)
        # What is left in .grad: of each Tensor None, an output, or what was there.
        self._left = []
        for t, old, new, own in zip(self._tensors, before, grads, gradients, strict=True):
            if new is None:
                self._left += [(t, None)] if old is not None or id(t) in recorder.forgotten else []
            elif new is not old and new.data is not own:
                self._left.append((t, len(outputs)))
                outputs.append(new.data)
        inputs = [a.slot for a in (*given, *(g for g in gradients if g is not None))]
        self.program = Program(recorder, inputs, [a.slot for a in outputs])
        used, written = self.program.used(), self.program.written()
        self._given_gradients = [t for t, g in zip(self._tensors, gradients, strict=True) if g is not None]
        self._guards(recorder, found, used, gradients)
        self._versions = [t._version for t, a in zip(self._tensors, recorder.states, strict=True) if a.slot in written]
        self.first = self._made(
            [np.asarray(a.value) if self.program.slots[a.slot].scalar else a.value for a in outputs]
        )

    def _guards(self, recorder, found, used, gradients):
        """Keep what has to be as it was for the program to be right, as a function that looks at it: it runs before each step."""
        self._modules = [(m, m.training, dict(vars(m))) for m in found.modules]
        self._changes, self._modes = changes[0], here.modes
        guard = Guard()
        for i, (shape, dtype, strides) in enumerate(self._kinds):
            guard.ask(f"arrays[{i}].shape == {{}}", shape)
            guard.ask(f"arrays[{i}].dtype is {{0}} or arrays[{i}].dtype == {{0}}", dtype)
            guard.ask(f"arrays[{i}].strides == {{}}", strides)
        for t, a, g in zip(self._tensors, recorder.states, gradients, strict=True):
            tensor = guard.name(t)
            guard.ask(f"{tensor}.data is {{}}", a.value)
            guard.ask(f"{tensor}.requires_grad is {{}}", t.requires_grad)
            unread = id(t) in recorder.forgotten or g is not None
            if not unread or (g is not None and g.slot in used):
                guard.ask(f"({tensor}.grad is None) is {g is None}")
        elsewhere = [(holder, key, array) for array, holder, key in found.arrays if holder is not None]
        own = [(vars(o), key, value) for o in found.objects for key, value in vars(o).items()]
        for holder, key, value in (*found.variables, *elsewhere, *own):
            guard.ask_same(holder, key, value)
        for o in found.objects:
            guard.ask(f"len({{}}) == {len(vars(o))}", vars(o))
        for optimizer in found.optimizers:  # to which parameters may be added
            guard.ask(f"len({{}}._steps) == {len(optimizer._steps)}", optimizer)
        self._holds = guard.function()

    def fits(self, leaves, arrays):
        """Whether it is the program for these arguments, as things are now."""
        if leaves != self._leaves or self._grad_enabled is not is_grad_enabled() or not self._holds(arrays):
            return False
        return (changes[0] == self._changes and here.modes is self._modes) or self._modules_are_the_same()

    def _modules_are_the_same(self):
        for m, training, then in self._modules:
            now = vars(m)
            if m.training is not training or len(now) != len(then):
                return False
            if not all(key == "training" or same(now, key, value) for key, value in then.items()):
                return False
        self._changes, self._modes = changes[0], here.modes
        return True

    def run(self, arrays, how=None):
        """Run the program, and make of its outputs what the step returns."""
        for t in self._given_gradients:
            arrays.append(None if t.grad is None else t.grad.data)
        outputs = self.program.run(arrays) if how is None else how(arrays)
        for version in self._versions:
            version[0] += 1
        return self._made(outputs)

    def _made(self, outputs):
        for t, k in self._left:
            t.grad = None if k is None else handles.wrap(outputs[k])
        return _filled(self._result, outputs)


class _Leaf:
    """In the place of an output among what a step returned: which, and whether it was a Tensor."""

    __slots__ = ("number", "tensor")

    def __init__(self, number, tensor):
        self.number, self.tensor = number, tensor


def _template(tree, outputs, states, recorder):
    """What a step returned, with leaves in the places of what was computed."""
    if isinstance(tree, Tensor):
        if id(tree) in states:
            return tree
        if not isinstance(tree.data, Number):
            raise recorder.foreign(tree.data)
        outputs.append(tree.data)
        return _Leaf(len(outputs) - 1, True)
    if isinstance(tree, Number):
        outputs.append(tree)
        return _Leaf(len(outputs) - 1, False)
    if isinstance(tree, np.ndarray):
        raise recorder.foreign(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_template(part, outputs, states, recorder) for part in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(_template(part, outputs, states, recorder) for part in tree)
    if isinstance(tree, dict):
        return {key: _template(part, outputs, states, recorder) for key, part in tree.items()}
    return tree


def _filled(tree, outputs):
    kind = type(tree)
    if kind is _Leaf:
        value = outputs[tree.number]
        return handles.wrap(value) if tree.tensor else value
    if kind is tuple or kind is list:
        return kind([_filled(part, outputs) for part in tree])
    if isinstance(tree, tuple):
        return kind(*(_filled(part, outputs) for part in tree))
    if kind is dict:
        return {key: _filled(part, outputs) for key, part in tree.items()}
    return tree


def _unflattened(tree, arrays):
    """The arguments with what stands for their arrays."""
    if isinstance(tree, Tensor):
        made = handles.wrap(next(arrays))
        made.requires_grad = tree.requires_grad
        return made
    if isinstance(tree, np.ndarray):
        return next(arrays)
    if type(tree) in (tuple, list):
        return type(tree)(_unflattened(part, arrays) for part in tree)
    if type(tree) is dict:
        return {key: _unflattened(part, arrays) for key, part in tree.items()}
    return tree


@contextlib.contextmanager
def _recording(recorder, found, arrays):
    """Within this block the arrays that a step can reach are those of a recorder; where it is refused, all are as they were."""
    tensors = list(found.tensors.values())
    real = [(t, t.data, t.grad) for t in tensors]
    ways_back = [(t.data, t.data.copy()) for t in tensors]
    optimizers = [
        (o, [{k: a.copy() for k, a in s.items()} for s in o._state], list(o._steps)) for o in found.optimizers
    ]
    stream = backend.cpu.rng.bit_generator
    drawn = stream.state
    recorder.states = [recorder.given(t.data, "state") for t in tensors]
    for array, _, _ in found.arrays:
        recorder.given(array, "state")
    seen = set(recorder._known)
    given = []
    for a in arrays:  # each with a name of its own, also where it is given twice
        own = a.view() if id(a) in seen else a
        seen.add(id(own))
        given.append(recorder.given(own, "input"))
    gradients = [None if t.grad is None else recorder.given(t.grad.data.view(), "input") for t in tensors]

    def enter():
        for t, a in zip(tensors, recorder.states, strict=True):
            t.data = a

    @contextlib.contextmanager
    def effects():
        for t, array, _ in real:
            t.data = array
        here.recorder = None
        try:
            yield
        finally:
            here.recorder = recorder
            enter()

    recorder._effects = effects
    here.recorder = recorder
    enter()
    for t, g in zip(tensors, gradients, strict=True):
        if g is not None:
            t.grad = handles.wrap(g)
    done = False
    try:
        with backend.joined(tracing):
            yield given, gradients
        done = True
    finally:
        here.recorder = None
        for t, array, grad in real:
            t.data, t.grad = array, grad
        if not done:
            for array, values in ways_back:
                if array.flags.writeable:
                    array[...] = values
            for optimizer, state, steps in optimizers:
                optimizer._state, optimizer._steps = state, steps
            stream.state = drawn


def _check_arguments(function, static, args, kwargs):
    """Refuse numbers among the arguments that were not said to be settings."""
    try:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        given = {**dict(enumerate(args)), **kwargs}
    for name, value in given.items():
        if (type(value) in (int, float) or isinstance(value, np.number)) and name not in static:
            raise CaptureError(
                f"capture: the argument {name} is the number {value}, for each value of which there would be a program; pass an array or a "
                f"tensor, or say static=({name!r},)"
            )


def capture(step, *, static=()):
    """A step recorded from one run, and run from then on as a program: the same bits without the engine.

    Parameters
    ----------
    step : callable
        A function of batches (Tensors or arrays; also tuples, lists and dicts of them), a module, or a `training.Step`, whose
        ``update`` is meant. It may do what it likes with parameters, buffers and optimisers that it can reach. What Python decides in it
        is decided once: where that depends on a value, it is refused.
    static : str or sequence of str
        Arguments that are numbers, for each value of which there is a program.

    Returns
    -------
    Captured
        Called like the step, and returns what it returns, Tensors without a graph. Its first call with arguments of some shapes, dtypes
        and modes is recorded; ``program`` is what it runs, which prints as a table of instructions.

    Raises
    ------
    TypeError
        Where `step` cannot be called.
    CaptureError
        At a call: where the step asks for a value, uses an array that is neither an argument nor a state, or where a number
        among the arguments is not said to be static. All is as it was then.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    >>> model = ns.nn.Linear(2, 1)
    >>> optimizer = ns.optim.SGD(model.parameters(), lr=0.01)
    >>> def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = ns.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> fast = ns.capture(step)
    >>> x, y = ns.tensor([[1.0, 2.0], [3.0, 4.0]]), ns.tensor([[1.0], [2.0]])
    >>> losses = [fast(x, y).item() for _ in range(100)]
    >>> losses[-1] < losses[0]
    True
    """
    if not callable(step) and not hasattr(step, "update"):
        raise TypeError(f"capture: got {describe(step)}, expected a function, a module or a training.Step; pass one")
    static = (static,) if isinstance(static, str) else tuple(static)
    if not all(isinstance(name, str) for name in static):
        raise TypeError(
            f"capture: static is {arguments.shown(static)}, expected names of arguments; pass for example ('n',)"
        )
    return Captured(step, static)
