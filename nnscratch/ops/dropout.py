"""Dropout: values set to 0 at random while a network is trained."""

import numpy as np

from nnscratch.arguments import flag, shown
from nnscratch.autograd import describe, masked, op
from nnscratch.hints import hinting
from nnscratch.ops.operands import backend_of, floating_point
from nnscratch.sample_inputs import Case, normal


@op(
    formula=r"y = x \odot m, \quad m_i = 0 \text{ or } \tfrac{1}{1 - p}",
    derivative=r"m",
    document="Srivastava et al., 2014",
    constant=("mask",),
    samples=(Case(normal(3, 2), np.array([[0.0, 2.0], [2.0, 2.0], [0.0, 0.0]])),),
)
def dropped(x, mask):
    """Values times the mask that was drawn for them, of their shape.

    The mask is an argument, so that a backward pass has the one of the forward pass, however often it computes it again.
    """
    if np.shape(x) != np.shape(mask):
        raise ValueError(f"mask has shape {np.shape(mask)}, x {np.shape(x)}; draw one of the shape of x")
    return np.multiply(x, mask)


@dropped.rule("x")
def _(g, mask):
    return g * mask


@hinting
def dropout(x, p=0.5, training=True):
    r"""Each value 0 with probability `p`, else divided by 1 - p (Srivastava et al., 2014); outside training `x` itself.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    p : float
        From 0 up to below 1.
    training : bool

    Returns
    -------
    The same shape and dtype; drawn from the generator that `ns.manual_seed` seeds.

    Raises
    ------
    ValueError
        Where `p` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    >>> ns.functional.dropout(ns.tensor([1.0, 1.0, 1.0, 1.0]))
    tensor([2., 2., 2., 0.])
    """
    return _dropped("dropout", x, p, training)


@hinting
def dropout1d(x, p=0.5, training=True):
    r"""Each channel of a sequence 0 with probability `p`, else divided by 1 - p (Tompson et al., 2015); outside training `x` itself.

    Parameters
    ----------
    x : (N, C, L) Tensor or array
        Floating point.
    p : float
        From 0 up to below 1.
    training : bool

    Returns
    -------
    The same shape and dtype; drawn from the generator that `ns.manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where `x` has another number of axes, or `p` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    >>> ns.functional.dropout1d(ns.tensor([[[1.0, 1.0], [1.0, 1.0]]]))
    tensor([[[2., 2.],
             [2., 2.]]])
    """
    return _dropped("dropout1d", x, p, training, 3)


@hinting
def dropout2d(x, p=0.5, training=True):
    r"""Each channel of an image 0 with probability `p`, else divided by 1 - p (Tompson et al., 2015); outside training `x` itself.

    Parameters
    ----------
    x : (N, C, H, W) Tensor or array
        Floating point.
    p : float
        From 0 up to below 1.
    training : bool

    Returns
    -------
    The same shape and dtype; drawn from the generator that `ns.manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where `x` has another number of axes, or `p` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    >>> ns.functional.dropout2d(ns.tensor([[[[1.0]], [[1.0]], [[1.0]], [[1.0]]]])).numpy().ravel()
    array([2., 2., 2., 0.], dtype=float32)
    """
    return _dropped("dropout2d", x, p, training, 4)


def _dropped(name, x, p, training, axes=None):
    """Dropout; of an `x` of so many axes a value for each channel, the second of them, is drawn."""
    if not isinstance(p, int | float) or not 0 <= p < 1:
        raise ValueError(f"{name}: p is {shown(p)}, expected a number from 0 up to below 1; pass for example 0.5")
    x = floating_point(name, "x", x)
    if axes is not None and x.ndim != axes:
        raise ValueError(f"{name}: x is {describe(x)}, expected {axes} axes, samples and channels first; reshape it")
    if not flag(name, "training", training) or p == 0:
        return x
    if axes is None:
        return masked(dropped, x, backend_of(x), p)
    mask = backend_of(x).dropout_mask((*x.shape[:2], *(1,) * (axes - 2)), x.dtype, p)
    return dropped(x, np.broadcast_to(mask, x.shape))
