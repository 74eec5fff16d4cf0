"""When operations leave a graph behind: `no_grad`, `enable_grad`, and what a thread knows of it."""

import functools
import inspect
import threading
import types
from typing import Any


class State(threading.local):
    recording = True
    #: Whether a function is running whose operations are to compute their results again, see `checkpoint`.
    recomputing = False
    #: The modules whose forward is running, as nested pairs (the outer ones, a weak reference), or None outside all.
    scope = None
    #: Modes that modules have in this thread alone, by their ids, or None; see `nnscratch.nn.module.modes`.
    modes: dict | None = None
    #: What writes down the step that is running, or None: see `nnscratch.program.recorder`.
    recorder: Any = None
    #: Whether what a module computes is being written down: then it must be the same for all values of its input.
    tracing = False

    def __init__(self):
        #: What `recording` was around each block that has been entered.
        self.before: list = []


state = State()


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
        state.before.append(state.recording)
        state.recording = self._to
        return self

    def __exit__(self, *exception):
        state.recording = state.before.pop()

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
    return state.recording
