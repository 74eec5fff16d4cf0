"""Optimisers' steps in terms of array functions: what the fast kernels mean, on the arrays of any device."""

import numpy as np

from ..bounds.definition import unless_failed


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
        with unless_failed(p, velocity):
            update = g + weight_decay * p if weight_decay else g
            if velocity is not None:
                velocity[...] = momentum * velocity + update
                update = update + momentum * velocity if nesterov else velocity
            p -= lr * update


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
    for p, g, m, v in rows:
        with unless_failed(p, m, v):
            if weight_decay and decoupled:
                p -= (lr * weight_decay) * p
            elif weight_decay:
                g = g + weight_decay * p
            m[...] = beta1 * m + (1 - beta1) * g
            v[...] = beta2 * v + (1 - beta2) * (g * g)
            if bias_correction:
                p -= lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)
            else:
                p -= lr * m / (np.sqrt(v) + eps)
