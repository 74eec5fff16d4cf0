"""Checking derivatives against central differences."""

import numpy as np

from nnscratch.autograd import GradientError, grad
from nnscratch.tensor import Tensor

# Central differences at these parts of the step, and the weights that cancel their error terms of order 2 and 4.
_RICHARDSON = ((1.0, 1 / 45), (0.5, -20 / 45), (0.25, 64 / 45))


def gradcheck(fn, inputs, order=1, step=None, rtol=1e-7, atol=1e-9, seed=0):
    """Check the derivatives of a function against central differences, along random directions, in float64.

    Directional derivatives are taken along one random direction for each input, with Richardson extrapolation of three
    central differences (error of sixth order in the step). For order 2 the gradient itself is checked as a function
    of the inputs and of the gradient that it starts from.

    Parameters
    ----------
    fn : callable
        Takes as many Tensors as there are inputs and returns one Tensor.
    inputs : sequence of array or Tensor
        Those of dtype float64 are differentiated, integers and booleans passed on as they are.
    order : int
        Check the derivatives up to this order.
    step : float, optional
        The largest step along the unit direction; 0.01 by default.
    rtol, atol : float
        The relative error allowed, and an absolute one for derivatives near 0.
    seed : int
        Of the directions.

    Returns
    -------
    float
        The largest relative error found.

    Raises
    ------
    GradientError
        Where a derivative is wrong: which order and input, and both values.
    TypeError, ValueError
        Where nothing can be checked: float32 inputs (seven digits are too few), no inputs, a result that is no Tensor.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> error = ns.gradcheck(lambda x: (x * ns.exp(x)).sum(), [np.array([0.5, 1.0])], order=2)
    >>> error < 1e-7
    True
    """
    arrays = [t.data if isinstance(t, Tensor) else np.asarray(t) for t in inputs]
    for i, a in enumerate(arrays):
        if a.dtype.kind == "f" and a.dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {a.dtype}, whose digits are too few for differences; pass float64"
            )
    variable = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    if not variable:
        raise ValueError(
            "gradcheck: no input is of a floating-point dtype, so there is nothing to check; pass float64 arrays"
        )
    if order < 1:
        raise ValueError(f"gradcheck: order is {order}, expected 1 or more; pass order=1 for first derivatives")
    rng = np.random.default_rng(seed)
    step = 0.01 if step is None else step

    def run(values):
        tensors = [Tensor(a.copy(), requires_grad=i in variable) for i, a in enumerate(values)]
        y = fn(*tensors)
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck: the function returned {type(y).__name__}, expected a Tensor; return one")
        return tensors, y

    tensors, y = run(arrays)
    u = _direction(rng, y.shape)
    gradients = grad(y, [tensors[i] for i in variable], Tensor(u)) if y.requires_grad else [None] * len(variable)
    worst = 0.0
    for i, g in zip(variable, gradients, strict=True):
        v = _direction(rng, arrays[i].shape)
        analytic = 0.0 if g is None else float(np.sum(g.data * v))
        numeric = 0.0
        for part, weight in _RICHARDSON:
            h = step * part
            up, down = (run([a + s * h * v if j == i else a for j, a in enumerate(arrays)])[1].data for s in (1, -1))
            numeric += weight * float(np.sum(u * (up - down))) / (2 * h)
        scale = max(abs(analytic), abs(numeric))
        error = abs(analytic - numeric)
        if not error <= rtol * scale + atol:
            raise GradientError(
                f"gradcheck: the derivative by input {i} {arrays[i].shape} along a random direction is {analytic:.12g} by the rules, "
                f"{numeric:.12g} by central differences; correct the rule"
            )
        worst = max(worst, error / max(scale, atol / rtol))
    if order == 1:
        return worst

    def gradient(*tensors):
        """The gradient, as one vector, of the inputs and of the gradient that it starts from."""
        *tensors, start = tensors
        y = fn(*tensors)
        wanted = [tensors[i] for i in variable]
        if not y.requires_grad:
            return start.sum() * 0
        parts = grad(y, wanted, start, create_graph=True)
        total = None
        for i, part in zip(variable, parts, strict=True):
            term = (part * weights[i]).sum()
            total = term if total is None else total + term
        return total

    weights = {i: _direction(rng, arrays[i].shape) for i in variable}
    start = np.asarray(rng.standard_normal(y.shape))
    try:
        return max(worst, gradcheck(gradient, [*arrays, start], order - 1, step, rtol, atol, seed + 1))
    except GradientError as error:
        raise GradientError(
            f"{error} (a derivative of order {order}; the last input is the gradient it starts from)"
        ) from None


def _direction(rng, shape):
    """A random direction of length 1."""
    v = np.asarray(rng.standard_normal(shape))
    return v / max(float(np.sqrt(np.sum(v * v))), 1e-300)
