"""Checking derivatives against central differences: `gradcheck`, also for functions that never saw a Tensor."""

from collections.abc import Iterable

import numpy as np

from nnscratch import backend
from nnscratch.autograd import GradientError, describe
from nnscratch.tensor import Tensor


def gradcheck(
    fn,
    inputs,
    order=1,
    mode="projection",
    step=None,
    rtol=None,
    atol=None,
    seed=0,
    *,
    gradient=None,
    parameters=None,
    raises=True,
):
    """Check the derivatives of a function against central differences of its values, in float64.

    Derivatives are taken along random directions: each result is weighted by random numbers, and for each input one
    random unit direction is gone, so that the cost does not depend on the inputs' size. The differences are extrapolated
    (Richardson's scheme) over steps that start at an eighth of each element's own size and are halved until rounding
    takes over; how far they may still be off is estimated, and allowed for. A plain NumPy function that takes complex
    numbers is checked by a complex step, which has no rounding error.

    Where the function has a kink (relu at 0, a tie under a maximum) the elements at it are left out, and the report says
    so. A derivative found wrong is traced to an element, and to the operation whose rule disagrees by itself.

    Parameters
    ----------
    fn : callable, Op or Module
        Takes as many Tensors as there are inputs and returns a Tensor of any shape, or several (tuple, list, dict). Of
        several, those of whole numbers or booleans are passed over, and those that an operation declares constant. A
        module's parameters that require gradients are checked with its inputs: in float64, to which float32 parameters
        are lifted as long as the check lasts. With `gradient`, a function of plain NumPy arrays.
    inputs : array, Tensor, or a sequence of them
        Numbers and lists become float64 arrays. Arrays of float64 are differentiated; integers, booleans and whatever is
        no array are passed on as they are.
    order : int
        Check the derivatives up to this order: with 2 also those of the gradient, by the inputs and by the gradient that
        it starts from (called ``g`` in the report; of several results ``g0`` and so on, or ``g_h``
        for one that an operation, a dict or a named tuple calls h).
    mode : {"projection", "full"}
        Random directions, or every element of the Jacobian (its cost grows with the number of inputs and results).
    step : float, optional
        The largest step as a share of each element's size; 1/8 by default.
    rtol : float, optional
        The relative error allowed; 1e-7 by default.
    atol : float, optional
        An absolute error allowed beside it, for derivatives near 0; by default only what rounding explains.
    seed : int or sequence of int
        Of the random numbers. With several, such as ``range(10)``, the check is made from each, and the report has the
        rows of all.
    gradient : callable or sequence of callables, optional
        The gradient of `fn` on plain arrays. Where `fn` returns one number: ``gradient(*inputs)`` returns the gradient by
        each of the float64 inputs, in their shapes (an array, a tuple in their order, or a dict by name; None in the
        place of other inputs is fine). Where it returns an array: ``gradient(*inputs, g)``, with the gradient of that.
        `fn` is called at the same inputs just before each call of it, so that it may use what that has kept.
        For ``order=2`` two functions, ``[first, second]``: ``second(*inputs, v)`` returns the gradient by each input of the
        sum of v times what ``first(*inputs)`` returns (v is a tuple where there are several float64 inputs), and
        ``second(*inputs, g, v)`` that by g, too.
    parameters : dict, Module or iterable of Tensor, optional
        Tensors that `fn` uses beside its inputs, to be checked too.
    raises : bool
        False returns the report of a failed check too, instead of raising it: its ``passed`` says which it is.

    Returns
    -------
    Report
        What was compared; it prints as a table.

    Raises
    ------
    GradientError
        Where a derivative is wrong, unless `raises` is False; its ``report`` names the element, both values and, where it can be told, the operation.
    TypeError, ValueError
        Where nothing can be checked: float32 inputs (seven digits are too few), nan, no inputs, a function that changes its
        inputs or gives different results for the same, a gradient of another shape than its input.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> report = ns.gradcheck(lambda x: (x * ns.exp(x)).sum(), [np.array([0.5, 1.0])], order=2)
    >>> report.passed, report.error < 1e-9
    (True, True)

    A gradient written by hand, without the transpose it needs:

    >>> def loss(w, x):
    ...     return np.sum((w @ x) ** 2)
    >>> def gradient(w, x):
    ...     return 2 * (w @ x) @ x, 2 * w.T @ (w @ x)
    >>> inputs = [np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]])]
    >>> report = ns.gradcheck(loss, inputs, gradient=gradient, raises=False)
    >>> report.passed, report.worst.input
    (False, 'w')
    """
    if not raises:
        try:
            return gradcheck(fn, inputs, order, mode, step, rtol, atol, seed, gradient=gradient, parameters=parameters)
        except GradientError as error:
            if error.report is None:
                raise
            return error.report
    seeds = _seeds(seed)
    if len(seeds) > 1:
        settings = (order, mode, step, rtol, atol)
        found = [gradcheck(fn, inputs, *settings, s, gradient=gradient, parameters=parameters) for s in seeds]
        from nnscratch.gradcheck.report import joined

        return joined(found)

    from nnscratch.gradcheck.check import check
    from nnscratch.gradcheck.functions import ArrayFunction, TensorFunction, argument_names

    _check_settings(fn, order, mode, step, rtol, atol, gradient, parameters)
    given = inputs if isinstance(inputs, list | tuple) else [inputs]
    arguments = _arrays(given)
    names = argument_names(fn, len(arguments))
    for name, a in zip(names, arguments, strict=False):
        if _library(a):
            raise TypeError(f"gradcheck: {name} is {_library(a)}, expected an array; {_RECIPE}")
        if isinstance(a, np.ndarray):
            _check_values(name, a)
    tensors = _parameters(fn, parameters)
    if not tensors and not any(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arguments):
        raise ValueError(
            "gradcheck: no input is of a floating-point dtype, so there is nothing to check; pass float64 arrays"
        )
    there = next((t.device for t in (*tensors.values(), *given) if isinstance(t, Tensor)), None)
    settings = (order, mode, step, rtol, atol, seeds[0])
    if gradient is not None:
        first, *later = gradient if isinstance(gradient, list | tuple) else [gradient]
        return check(ArrayFunction(fn, arguments, names, first, later), *settings)
    before = [(t, t.data) for t in (*tensors.values(), *getattr(fn, "buffers", tuple)())]
    try:
        for name, t in tensors.items():
            t.data = t.data.astype(np.float64)
            _check_values(name, t.numpy())
        for t in getattr(fn, "buffers", tuple)():
            t.data = t.data.copy()
        return check(TensorFunction(fn, arguments, names, tensors, there), *settings)
    finally:
        for t, data in before:
            t.data = data


#: What to do with a function of another library's tensors.
_RECIPE = (
    "pass a function of NumPy arrays that makes tensors of them, with gradient=..., as in docs/gradcheck.md, "
    "'Check a function of PyTorch or JAX'"
)


_LIBRARIES = {"torch": "PyTorch", "jax": "JAX", "jaxlib": "JAX", "tensorflow": "TensorFlow"}


def _library(a):
    """What a floating-point tensor or a module of another library is called; "" for anything else."""
    if not hasattr(a, "named_parameters") and "float" not in str(getattr(a, "dtype", "")):
        return ""
    libraries = {base.__module__.partition(".")[0] for base in type(a).__mro__} & _LIBRARIES.keys()
    return f"{_LIBRARIES[libraries.pop()]}'s {type(a).__name__}" if libraries else ""


def _seeds(seed):
    """The seeds as a list: of one, or of as many as were given."""
    seeds = [seed] if isinstance(seed, int | np.integer) else list(seed) if isinstance(seed, Iterable) else []
    if not seeds or not all(isinstance(s, int | np.integer) and s >= 0 for s in seeds):
        raise ValueError(f"gradcheck: seed is {seed!r}, expected a whole number or several; pass for example range(10)")
    return seeds


def _check_settings(fn, order, mode, step, rtol, atol, gradient, parameters):
    if _library(fn):
        raise TypeError(f"gradcheck: fn is {_library(fn)}, whose graph is its own; {_RECIPE}")
    gradients = gradient if isinstance(gradient, list | tuple) else [] if gradient is None else [gradient]
    for what, f in (("fn", fn), *(("gradient", g) for g in gradients)):
        if not callable(f):
            raise TypeError(f"gradcheck: {what} is {describe(f)}, expected a function; pass one")
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"gradcheck: order is {order!r}, expected 1 or more; pass order=1 for first derivatives")
    if mode not in ("projection", "full"):
        raise ValueError(f"gradcheck: mode is {mode!r}, expected 'projection' or 'full'; pass one of them")
    for what, value in (("step", step), ("rtol", rtol), ("atol", atol)):
        if value is not None and not (
            isinstance(value, int | float) and 0 <= value < np.inf and (value or what != "step")
        ):
            raise ValueError(
                f"gradcheck: {what} is {value!r}, expected a positive number; leave it out for the default"
            )
    if gradient is not None and order != len(gradients):
        raise ValueError(
            f"gradcheck: order {order} needs {order} gradient functions, got {len(gradients)}; pass gradient=[first, second] for "
            f"order=2, where second(*inputs, v) is the gradient of the sum of v times what first(*inputs) returns"
        )
    if gradient is not None and parameters is not None:
        raise ValueError(
            "gradcheck: parameters are Tensors, and gradient is for functions of arrays; pass them as inputs"
        )


def _arrays(inputs):
    arguments = [
        t.numpy() if isinstance(t, Tensor) else backend.to_numpy(t) if backend.is_array(t) else t for t in inputs
    ]
    return [np.asarray(a) if isinstance(a, int | float | list | np.generic) else a for a in arguments]


def _check_values(name, a):
    if a.dtype.kind == "f" and a.dtype != np.float64:
        raise TypeError(f"gradcheck: {name} is {a.dtype}, whose digits are too few for differences; pass float64")
    if a.dtype.kind == "c":
        raise TypeError(f"gradcheck: {name} is {a.dtype}; pass its real and imaginary parts as two inputs")
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
        raise ValueError(
            f"gradcheck: {name} {describe(a)} holds {a[index]} at {index}; choose finite numbers, around which differences can be taken"
        )


def _parameters(fn, parameters):
    """The Tensors to be checked beside the inputs, by name."""
    named: dict = {}
    for source in (fn, parameters):
        if hasattr(source, "named_parameters"):
            named.update(source.named_parameters())
    if isinstance(parameters, dict):
        named.update(parameters)
    elif parameters is not None and not hasattr(parameters, "named_parameters"):
        named.update((f"parameter {i}", t) for i, t in enumerate(parameters))
    for name, t in named.items():
        if not isinstance(t, Tensor) or not t.is_leaf:
            raise TypeError(
                f"gradcheck: {name} is {'a result' if isinstance(t, Tensor) else type(t).__name__}, expected a Tensor that was given; pass parameters alone"
            )
    return {name: t for name, t in named.items() if t.requires_grad}
