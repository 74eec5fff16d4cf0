"""Optimiser steps that write a parameter and its state in place.

Why they are fast: each array operation writes into an array that is already there, with one or two
temporaries of the parameter's size for the whole step; for large parameters Adam is one compiled loop. The order of
operations is that of the formula, so that in float64 the result equals the plain NumPy transcription to the last bit.
Scalars are Python floats or have the parameter's dtype, so float32 stays float32.
"""

import functools

import numpy as np

from . import compiled


def sgd(rows, lr, momentum, nesterov, weight_decay):
    """One step of gradient descent for each parameter: ``p <- p - lr * u``.

    With ``h = g + weight_decay * p``: without momentum u = h; with it ``velocity <- momentum * velocity + h``
    and u is the velocity, or, with Nesterov's look ahead, ``h + momentum * velocity`` (Sutskever et al.
    2013).

    Parameters
    ----------
    rows : sequence of tuple
        For each parameter: p, an array of float32 or float64, written; its gradient, of the same shape and dtype, only read; and
        the velocity, such an array, written, or None where momentum is 0.
    lr, momentum, weight_decay : float
    nesterov : bool

    Examples
    --------
    >>> p, g = np.array([1.0, 2.0]), np.array([10.0, 0.0])
    >>> sgd([(p, g, None)], lr=0.5, momentum=0.0, nesterov=False, weight_decay=0.0)
    >>> p
    array([-4.,  2.])
    """
    for p, g, velocity in rows:
        update = g + weight_decay * p if weight_decay else g
        if velocity is not None:
            velocity *= momentum
            velocity += update
            update = update + momentum * velocity if nesterov else velocity
        p -= _scalar(lr, p.dtype) * update


@functools.lru_cache(maxsize=16)
def _scalar(value, dtype):
    """An array of a number, which NumPy takes more quickly than the number."""
    return np.array(value, dtype)


def adam(rows, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled):
    """One step of Adam for each parameter: ``p <- p - lr * m / (sqrt(v) + eps)``.

    ``m <- beta1 * m + (1 - beta1) * g`` and ``v <- beta2 * v + (1 - beta2) * g**2``. Without bias correction
    that is the documents' F11. With it, m and v are divided by ``1 - beta1**step`` and ``1 - beta2**step``
    before use (Kingma and Ba 2015). Weight decay adds ``weight_decay * p`` to g or, decoupled, first takes
    ``lr * weight_decay * p`` from p (AdamW: Loshchilov and Hutter 2019).

    Parameters
    ----------
    rows : sequence of tuple
        For each parameter: p, an array of float32 or float64, written; its gradient g, of the same shape and dtype, only read; and
        such arrays with the running means of g and of g**2, written.
    lr, beta1, beta2, eps, weight_decay : float
    step : int
        1 at the first step.
    bias_correction, decoupled : bool

    Examples
    --------
    >>> p, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam([(p, np.array([2.0]), m, v)], lr=0.1, beta1=0.5, beta2=0.75, eps=0.0, step=1, bias_correction=True,
    ...      weight_decay=0.0, decoupled=False)
    >>> p, m, v
    (array([0.9]), array([1.]), array([1.]))
    """
    settings = lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled
    for row in rows:
        _adam(*row, *settings)


def _adam(p, g, m, v, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled):
    loops = compiled.loops(p, g, m, v)
    if loops and g.flags.carray and p.flags.carray and m.flags.carray and v.flags.carray:
        scalars = _adam_scalars(p.dtype, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled)
        loops.adam(p.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1), scalars)
        return
    if weight_decay:
        if decoupled:
            p -= (lr * weight_decay) * p
        else:
            g = g + weight_decay * p

    scratch, divisor = np.empty_like(p), np.empty_like(p)
    np.multiply(g, 1 - beta1, out=scratch)
    m *= beta1
    m += scratch
    np.square(g, out=scratch)
    scratch *= 1 - beta2
    v *= beta2
    v += scratch

    if bias_correction:
        np.divide(v, 1 - beta2**step, out=divisor)
        np.sqrt(divisor, out=divisor)
        np.divide(m, 1 - beta1**step, out=scratch)
        scratch *= lr
    else:
        np.sqrt(v, out=divisor)
        np.multiply(m, lr, out=scratch)
    divisor += eps
    scratch /= divisor
    p -= scratch


@functools.lru_cache(maxsize=16)
def _adam_scalars(dtype, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled):
    """What the compiled loop takes beside arrays, the same for all parameters of a step."""
    scales = (1 - beta1**step, 1 - beta2**step) if bias_correction else (1.0, 1.0)
    decays = (0.0, lr * weight_decay) if decoupled else (weight_decay, 0.0)
    return np.array([beta1, 1 - beta1, beta2, 1 - beta2, *scales, lr, eps, *decays], dtype)
