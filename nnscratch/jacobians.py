"""Derivatives of functions as wholes: all first ones, all second ones, and those along a direction."""

import numpy as np

from nnscratch.autograd import describe, enable_grad, grad
from nnscratch.ops.operands import array_of
from nnscratch.ops.shape import reshape, stack
from nnscratch.tensor import Tensor


def _leaves(owner, inputs):
    """Whether there is a single input, and new leaves with the inputs' values."""
    single = not isinstance(inputs, tuple | list)
    given = [inputs] if single else list(inputs)
    if not given:
        raise ValueError(f"{owner}: got no inputs; pass at least one")
    for i, x in enumerate(given):
        if not isinstance(x, Tensor):
            raise TypeError(f"{owner}: input {i} is {describe(x)}, expected a tensor; make it one with ns.tensor")
        if x.dtype.kind != "f":
            raise TypeError(
                f"{owner}: input {i} is {describe(x)}, which has no derivative; convert it to floating point"
            )
    return single, [x.detach().requires_grad_() for x in given]


def _result(owner, function, leaves):
    if not callable(function):
        raise TypeError(f"{owner}: function is {describe(function)}, expected a function of tensors; pass one")
    with enable_grad():
        y = function(*leaves)
    if not isinstance(y, Tensor):
        raise TypeError(f"{owner}: the function returned {describe(y)}, expected a tensor; return one")
    return y


def _row(y, i, leaves, create_graph=False):
    """The gradient of an element of `y` by each leaf."""
    if not y.requires_grad:
        return [Tensor(np.zeros_like(x.data)) for x in leaves]
    seed = np.zeros_like(y.data)
    seed.reshape(-1)[i] = 1
    return grad(y, leaves, Tensor(seed), create_graph)


def _rows(y, leaves):
    """All derivatives of `y` by each leaf, of the shape of `y` followed by the leaf's."""
    rows = [_row(y, i, leaves) for i in range(y.data.size)]
    if not rows:
        return [Tensor(np.zeros_like(x.data, shape=(*y.shape, *x.shape))) for x in leaves]
    return [
        reshape(stack(column), (*y.shape, *x.shape)) for column, x in zip(zip(*rows, strict=True), leaves, strict=True)
    ]


def jacobian(function, inputs):
    r"""All derivatives of a function's result by its inputs, an ordinary backward pass for each element of the result.

    .. math:: J_{ij} = \frac{\partial y_i}{\partial x_j}

    Parameters
    ----------
    function : callable
        Takes Tensors and returns a Tensor.
    inputs : Tensor or tuple of Tensor
        Floating point.

    Returns
    -------
    Tensor or tuple of Tensor
        For each input, of the shape of the result followed by the input's.

    Raises
    ------
    TypeError, ValueError
        Where an input or the result is no such tensor.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.jacobian(lambda x: x * x, ns.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    single, leaves = _leaves("jacobian", inputs)
    found = _rows(_result("jacobian", function, leaves), leaves)
    return found[0] if single else tuple(found)


def hessian(function, inputs):
    r"""All second derivatives of a function whose result is a single number.

    .. math:: H_{ij} = \frac{\partial^2 y}{\partial x_i \, \partial x_j}

    Parameters
    ----------
    function : callable
        Takes Tensors and returns a Tensor of one element.
    inputs : Tensor or tuple of Tensor
        Floating point.

    Returns
    -------
    Tensor, or tuple of tuples of Tensor
        For each pair of inputs, of the shape of the first followed by the second's.

    Raises
    ------
    TypeError, ValueError
        Where an input or the result is no such tensor.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.hessian(lambda x: (x**3).sum(), ns.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    single, leaves = _leaves("hessian", inputs)
    y = _result("hessian", function, leaves)
    if y.data.size != 1:
        raise ValueError(f"hessian: the function returned {describe(y)}, expected a single number; reduce it by .sum()")
    found = tuple(tuple(_rows(slope, leaves)) for slope in _row(y, 0, leaves, create_graph=True))
    return found[0][0] if single else found


def jvp(function, inputs, vectors):
    r"""A function's result, and its derivative along a direction, without the other derivatives.

    .. math:: y = f(x), \quad \dot y = J v

    It is the gradient of the gradient: Jᵀu is linear in u, and its derivative by u along v is Jv.

    Parameters
    ----------
    function : callable
        Takes Tensors and returns a Tensor.
    inputs : Tensor or tuple of Tensor
        x, floating point.
    vectors : Tensor, array or tuple of such
        v, in the inputs' shapes.

    Returns
    -------
    Tensor, Tensor
        Both of the result's shape.

    Raises
    ------
    TypeError, ValueError
        Where an input or the result is no such tensor, or the vectors do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.jvp(lambda x: x * x, ns.tensor([1.0, 2.0]), ns.tensor([1.0, 0.5]))
    (tensor([1., 4.]), tensor([2., 2.]))
    """
    single, leaves = _leaves("jvp", inputs)
    vectors = [vectors] if single else list(vectors)
    vectors = [
        v if isinstance(v, Tensor) else Tensor(array_of("jvp: vectors", v), x.dtype, x.device)
        for v, x in zip(vectors, leaves, strict=False)
    ]
    if [v.shape for v in vectors] != [x.shape for x in leaves]:
        raise ValueError(
            f"jvp: the vectors have shapes {[v.shape for v in vectors]}, the inputs {[x.shape for x in leaves]}; pass one like each input"
        )
    y = _result("jvp", function, leaves)
    result = y.detach()
    if not y.requires_grad:
        return result, Tensor(np.zeros_like(y.data))
    u = Tensor(np.zeros_like(y.data), requires_grad=True)
    with enable_grad():
        slopes = grad(y, leaves, u, create_graph=True)
        along = sum((slope * v.detach()).sum() for slope, v in zip(slopes, vectors, strict=True))
    return result, grad(along, u)
