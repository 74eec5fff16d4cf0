"""Formulas that have a kernel of their own: what they compute from large arrays in one pass, and from all else one operation at a time."""

import functools

import numpy as np

from nnscratch import backend
from nnscratch.autograd import on_arrays
from nnscratch.backend.cpu import DEFINITIONS

#: Elements below which the CPU has no kernel that takes an array (`nnscratch.kernels.compiled.LEAST`): no time is lost by asking.
SMALL = 1 << 14


def fused(kernel):
    """Give a formula of operations a kernel, ``"topic.function"``: above an operation's function or a rule, below `op` and `rule`.

    Arrays go to the kernel of their device. Where that returns None, as for small arrays, or the device has none, and for Tensors,
    whose graph is to have derivatives of every order, the formula is computed as it stands: it is what the kernel means.

    Examples
    --------
    >>> import nnscratch as ns
    >>> @fused("activation.of_an_example")
    ... def slope(g, x):
    ...     return g * (ns.exp(x) * (1 + x + ns.exp(x)) / (1 + ns.exp(x)) ** 2)
    >>> float(slope(np.ones(()), np.zeros(())))
    0.5
    """

    def decorate(formula):
        # Written as source, since operations and rules are called by the names of their parameters.
        code = formula.__code__
        given = code.co_varnames[: code.co_argcount]
        names, arrays = ", ".join(given), [name for name in given if name in ("g", "x", "y")]
        small = " and ".join([f"type({name}) is array" for name in arrays] + [f"{given[0]}.size < {SMALL}"])
        source = f"lambda {names}: (fused.small if {small} else fused)({names})"
        names = {"__name__": formula.__module__, "fused": _Fused(kernel, formula), "array": np.ndarray}
        function = eval(source, names)
        function.__defaults__ = formula.__defaults__
        return functools.update_wrapper(function, formula)

    return decorate


class _Fused:
    """A formula and its kernel; a number, or a Tensor anywhere among its arguments, is for the formula."""

    def __init__(self, kernel, formula):
        self.kernel, self.formula = kernel, formula
        DEFINITIONS[kernel] = formula

    @functools.cached_property
    def small(self):
        """The formula for arrays, made when all names in it are known."""
        return on_arrays(self.formula)

    def __call__(self, first, *others):
        device = backend.BY_TYPE.get(type(first))
        if device is None or not hasattr(first, "dtype") or any(hasattr(a, "requires_grad") for a in others):
            return self.formula(first, *others)
        result = device.kernel(self.kernel)(first, *others)
        return self.small(first, *others) if result is None else result
