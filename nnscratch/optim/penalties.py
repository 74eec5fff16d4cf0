"""Penalties on weights, to be added to a loss."""

from nnscratch import arguments
from nnscratch.ops import elementwise
from nnscratch.optim.optimizer import tensors


def _penalty(owner, params, factor, measure):
    factor = arguments.number(owner, "factor", factor, 0)
    total = None
    for p in tensors(owner, params):
        term = measure(p).sum()
        total = term if total is None else total + term
    return total * factor


def l1_penalty(params, factor):
    r"""A penalty on the weights' size, to be added to a loss; it drives weights to 0 (Tibshirani, 1996).

    .. math:: \lambda \sum_i \lvert w_i \rvert

    Parameters
    ----------
    params : iterable of Tensor
        Usually the weights without the biases.
    factor : float
        λ, zero or greater.

    Returns
    -------
    Tensor
        A single number.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.optim.l1_penalty([ns.tensor([1.0, -2.0])], 0.5)
    tensor(1.5)
    """
    return _penalty("l1_penalty", params, factor, elementwise.abs)


def l2_penalty(params, factor):
    r"""A penalty on the weights' squares, to be added to a loss (Hoerl & Kennard, 1970).

    .. math:: \lambda \sum_i w_i^2

    Parameters
    ----------
    params : iterable of Tensor
        Usually the weights without the biases.
    factor : float
        λ, zero or greater. Its gradient is that of a weight decay of 2λ.

    Returns
    -------
    Tensor
        A single number.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.optim.l2_penalty([ns.tensor([1.0, -2.0])], 0.5)
    tensor(2.5)
    """
    return _penalty("l2_penalty", params, factor, elementwise.square)
