"""What is done to gradients between backward and step."""

import math

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import recording
from nnscratch.optim.optimizer import gradients, tensors
from nnscratch.tensor import Tensor


def _norm(g):
    """The root of the sum of squares in float64, without overflow on the way."""
    top = float(np.max(np.abs(g)))
    if top == 0 or not math.isfinite(top):
        return top
    return top * math.sqrt(np.sum(np.square(np.divide(g, top, dtype=np.float64))))


def _shrunk(gradients, max_norm, infinite):
    """The norm of gradients, and copies of them that are shrunk where it is above `max_norm`."""
    norm = math.hypot(*map(_norm, gradients))
    if not math.isfinite(norm):
        raise infinite(norm)
    return norm, [g * (max_norm / norm) if norm > max_norm else g.copy() for g in gradients]


def _replace(p, g):
    # A new array, since a gradient may share its memory with the graph of a higher derivative.
    p.grad = Tensor._of(backend.of(g).as_result(g))


def _clip_in_queue(found, max_norm, infinite):
    """`clip_grad_norm` of gradients on a GPU, without waiting for it."""
    here = backend.of(found[0][1])
    with np.errstate(all="ignore"):
        top = np.max(np.stack([np.max(np.abs(g)).astype(np.float64) for _, g in found]))
        scale = np.where(top > 0, top, 1.0)
        squares = [np.sum(np.square(np.divide(g, scale, dtype=np.float64))) for _, g in found]
        norm = np.where(np.isfinite(top), top * np.sqrt(np.sum(np.stack(squares))), top)
        factor = np.where(np.isfinite(norm) & (norm > max_norm), max_norm / norm, 1.0)
    here.check(norm, 0, np.finfo(np.float64).max, infinite)
    for p, g in found:
        _replace(p, g * factor.astype(g.dtype))
    return Tensor._of(norm)


def clip_grad_norm(params, max_norm):
    r"""Shrink all gradients by one factor, so that their norm is at most `max_norm` (Pascanu et al., 2013).

    .. math:: g \leftarrow g \min(1, c / \lVert g \rVert), \quad \lVert g \rVert = \sqrt{\textstyle\sum g_i^2}

    Parameters
    ----------
    params : iterable of Tensor
        Those without a gradient count 0.
    max_norm : float
        c, above 0.

    Returns
    -------
    float
        The norm before; on a GPU a Tensor of one element, since a number would have to be waited for.

    Raises
    ------
    TypeError
        Where something is no Tensor, or `max_norm` no number.
    ValueError
        Where `max_norm` is out of range, or a gradient holds nan or an infinity; then nothing is changed. On a GPU
        that is found when it is next waited for, and until then optimisers' steps do nothing.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x / 2).sum().backward()
    >>> ns.optim.clip_grad_norm([x], 1.0)
    5.0
    >>> x.grad
    tensor([0.6, 0.8])
    """
    owner = "clip_grad_norm"
    max_norm = arguments.number(owner, "max_norm", max_norm, 0, math.inf, "()")
    found = [(p, g) for p, g in gradients(owner, tensors(owner, params)) if g.size]

    def infinite(norm):
        return ValueError(
            f"{owner}: the gradients' norm is {norm}; look for nan in the data, or lower the learning rate"
        )

    if found and not any(backend.of(g).name == "cpu" for _, g in found):
        return _clip_in_queue(found, max_norm, infinite)
    if recording.state.recorder is not None:
        norm, shrunk = recording.state.recorder.effect(_shrunk, [g for _, g in found], max_norm, infinite)
        for (p, _), g in zip(found, shrunk, strict=True):
            _replace(p, g)
        return norm
    norm = math.hypot(*(_norm(g) for _, g in found))
    if not math.isfinite(norm):
        raise infinite(norm)
    if norm > max_norm:
        for p, g in found:
            _replace(p, g * (max_norm / norm))
    return norm


def clip_grad_value(params, limit):
    """Hold every element of all gradients within [-limit, limit].

    Parameters
    ----------
    params : iterable of Tensor
    limit : float
        Above 0.

    Raises
    ------
    TypeError
        Where something is no Tensor, or `limit` no number.
    ValueError
        Where `limit` is out of range, or a gradient holds nan; then nothing is changed. On a GPU a
        nan is found when it is next waited for, and until then optimisers' steps do nothing.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([3.0, 0.5], requires_grad=True)
    >>> (x * x / 2).sum().backward()
    >>> ns.optim.clip_grad_value([x], 1.0)
    >>> x.grad
    tensor([1. , 0.5])
    """
    owner = "clip_grad_value"
    limit = arguments.number(owner, "limit", limit, 0, math.inf, "()")
    found = gradients(owner, tensors(owner, params))
    for p, g in found:
        words = f"{owner}: a gradient of shape {p.shape} holds nan; look for it in the data, or lower the learning rate"
        backend.of(g).check(g, -math.inf, math.inf, lambda value, words=words: ValueError(words))
    for p, g in found:
        _replace(p, np.clip(g, -limit, limit))
