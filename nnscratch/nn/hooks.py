"""Functions of a user's that are called beside a module's forward and backward pass: to look at what goes through it, or to change it."""

import functools

from nnscratch import backend
from nnscratch.autograd import is_grad_enabled, op
from nnscratch.tensor import Tensor


class Handle:
    """What registering a hook returns: its `remove` ends that the hook is called.

    Examples
    --------
    >>> import nnscratch as ns
    >>> isinstance(ns.nn.ReLU().register_forward_hook(print), Handle)
    True
    """

    def __init__(self, hooks, hook):
        self._hooks, self._hook = hooks, hook

    def remove(self):
        """Have the hook called no more."""
        self._hooks[:] = [hook for hook in self._hooks if hook is not self._hook]


class Hooks:
    """The hooks of one module, by when they are called.

    Examples
    --------
    >>> Hooks().add("around", print)
    Traceback (most recent call last):
    KeyError: 'around'
    """

    def __init__(self):
        self.kinds = {"before": [], "after": [], "backward": []}

    def add(self, kind, hook):
        """Have a hook called from now on; returns its `Handle`."""
        if not callable(hook):
            raise TypeError(f"Module: the hook is {hook!r}, expected a function; pass one")
        hook = functools.partial(hook)  # so that the same function, registered twice, is removed once
        self.kinds[kind].append(hook)
        return Handle(self.kinds[kind], hook)

    def call(self, module, inputs, settings):
        """What a module's forward returns, with all of its hooks."""
        for hook in list(self.kinds["before"]):
            changed = hook(module, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        gradients = None
        if self.kinds["backward"] and is_grad_enabled():
            gradients = _Gradients(module, list(self.kinds["backward"]), inputs)
            inputs = gradients.watched_inputs(inputs)
        result = module.forward(*inputs, **settings)
        for hook in list(self.kinds["after"]):
            changed = hook(module, inputs, result)
            result = result if changed is None else changed
        return result if gradients is None else gradients.watched_results(result)


@op(formula="x", derivative="1")
def hook(x, told):
    """`x` itself; ``told(g)`` is called with the gradient by it, and returns what goes on."""
    return x


@hook.rule("x")
def _(g, told):
    return told(g)


class _Gradients:
    """The gradients of one call of a module, as a backward pass comes to them."""

    def __init__(self, module, hooks, inputs):
        self.module, self.hooks = module, hooks
        self.inputs = [_wants_gradient(x) for x in inputs]
        self.results: list = []
        self._begin()

    def _begin(self):
        self.by_inputs, self.by_results = [None] * len(self.inputs), [None] * len(self.results)

    def watched_inputs(self, inputs):
        return tuple(self._watched(x, self._input, i) for i, x in enumerate(inputs))

    def watched_results(self, result):
        if not isinstance(result, Tensor | tuple | list):
            raise TypeError(
                f"{type(self.module).__name__}: a backward hook is for modules that return a Tensor or a tuple of such, this one "
                f"returned a {type(result).__name__}; register it on another"
            )
        results = [result] if isinstance(result, Tensor) else list(result)
        self.results = list(map(_wants_gradient, results))
        self._begin()
        watched = [self._watched(y, self._result, k) for k, y in enumerate(results)]
        return watched[0] if isinstance(result, Tensor) else type(result)(watched)

    def _watched(self, x, told, i):
        return hook(x, functools.partial(told, i)) if _wants_gradient(x) else x

    def _result(self, k, g):
        self.by_results[k] = _as_tensor(g)
        if not any(self.inputs) and all(
            d is not None for d, wanted in zip(self.by_results, self.results, strict=True) if wanted
        ):
            self._call()
        return g

    def _input(self, i, g):
        self.by_inputs[i] = _as_tensor(g)
        if any(d is None for d, wanted in zip(self.by_inputs, self.inputs, strict=True) if wanted):
            return g
        changed = self._call()
        if changed is None:
            return g
        if sum(self.inputs) > 1 or not isinstance(changed, tuple) or len(changed) != len(self.inputs):
            raise ValueError(
                f"{type(self.module).__name__}: a backward hook returned {type(changed).__name__} for {len(self.inputs)} inputs, expected a "
                f"tuple as long, and one input alone that has a gradient; return None to change nothing"
            )
        return changed[i] if isinstance(g, Tensor) else changed[i].data

    def _call(self):
        """Call the hooks; returns what they made of the gradients by the inputs, None where they left them."""
        by_inputs, by_results, changed = tuple(self.by_inputs), tuple(self.by_results), None
        self._begin()  # for a further pass through the same graph
        for each in self.hooks:
            new = each(self.module, by_inputs if changed is None else changed, by_results)
            changed = changed if new is None else new
        return changed


def _wants_gradient(x):
    return isinstance(x, Tensor) and x.requires_grad


def _as_tensor(g):
    return g if isinstance(g, Tensor) else Tensor._of(backend.of(g).as_result(g))
