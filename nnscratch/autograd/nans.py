"""`detect_nan`: which operation made the first nan, in the forward pass or in the backward pass, and which line called it."""

import contextlib
import os
import sys
import threading

import numpy as np

from nnscratch import backend
from nnscratch.autograd import handles
from nnscratch.autograd.operation import Op

#: Where nnscratch's own code stands; the line that is named is the first one outside.
OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Here(threading.local):
    #: Within a block, and not within an operation, whose parts are not looked at by themselves.
    looking = False
    #: The first infinity, in words, which is often where the first nan comes of.
    infinity = ""


_here = _Here()
_lock = threading.Lock()
_blocks = 0
_call = Op.__call__


@contextlib.contextmanager
def detect_nan():
    """Within this block the operation that makes the first nan is an error, in the forward pass and in the backward pass.

    It holds for the operations that this thread calls within the block, and for a backward pass through them, whenever that is. Each
    result is looked at, so everything takes longer; outside such blocks nothing does.

    Raises
    ------
    FloatingPointError
        In the block: it names the operation and the line that called it; and, where an infinity came before, what made that.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([0.0], requires_grad=True)
    >>> with ns.detect_nan():
    ...     y = ns.sqrt(ns.mean(x * x))
    >>> try:
    ...     with np.errstate(all="ignore"):
    ...         y.backward()
    ... except FloatingPointError as error:
    ...     print(str(error).partition(", called")[0])
    detect_nan: the gradient of multiply by a is the first nan
    """
    global _blocks
    with _lock:
        _blocks += 1
        Op.__call__ = _looked_at  # so that calls cost no more where nobody looks
    before, _here.looking = _here.looking, True
    _here.infinity = ""
    try:
        yield
    finally:
        _here.looking = before
        with _lock:
            _blocks -= 1
            if not _blocks:
                Op.__call__ = _call


def detecting():
    """Whether this thread is within such a block."""
    return _here.looking


def _looked_at(op, *args, **kwargs):
    """An operation's call, its result looked at."""
    if not _here.looking:
        return _call(op, *args, **kwargs)
    _here.looking = False
    try:
        out = _call(op, *args, **kwargs)
    finally:
        _here.looking = True
    line = _line()
    results = out if isinstance(out, tuple) else (out,)
    _look(f"the result of {op.name}", line, results, (*args, *kwargs.values()))
    for result in results:
        node = getattr(getattr(result, "_node", None), "node", getattr(result, "_node", None))
        if node is not None and node.op is op:
            keep, keep_results, active, pairs = node.plan
            node.plan = keep, keep_results, active, tuple((i, _Watched(rule, line)) for i, rule in pairs)
    return out


class _Watched:
    """A rule whose gradients are looked at."""

    def __init__(self, rule, line):
        self._rule, self._line = rule, line
        self.gradients = rule.gradients

    def on_arrays(self, node, i, g):
        return self._seen(self._rule.on_arrays(node, i, g), node, i, g)

    def on_tensors(self, node, i, g):
        before, _here.looking = _here.looking, False
        try:
            return self._seen(self._rule.on_tensors(node, i, g), node, i, g)
        finally:
            _here.looking = before

    def _seen(self, d, node, i, g):
        what = f"the gradient of {node.op.name} by {node.op._input_name(i)}"
        _look(what, self._line, (d,), g if isinstance(g, list) else (g,))
        return d


def _look(what, line, results, given):
    """Raise where results have nan and nothing that was given has; note the first infinity."""
    if not any(map(_is_nan, results)):
        if not _here.infinity and any(map(_is_infinite, results)):
            _here.infinity = f"; the first infinity was {what}, called at {line}"
        return
    if not any(map(_is_nan, given)):
        raise FloatingPointError(
            f"detect_nan: {what} is the first nan, called at {line}{_here.infinity}; keep its argument in the range where it has a value"
        )


def _array(value):
    value = value.data if isinstance(value, handles.Tensor) else value
    array = backend.to_numpy(value) if backend.is_array(value) else value
    return array if isinstance(array, np.ndarray | np.generic | float) and np.asarray(array).dtype.kind == "f" else None


def _is_nan(value):
    array = _array(value)
    return array is not None and bool(np.isnan(array).any())


def _is_infinite(value):
    array = _array(value)
    return array is not None and bool(np.isinf(array).any())


def _line():
    """The file and line of the first caller outside nnscratch."""
    frame = sys._getframe(2)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(OWN):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
