"""Optimisers' steps on the CPU, which write a parameter and its state in place: `nnscratch.kernels.steps.definition`'s.

Why they are fast: each array operation writes into an array that is already there, with one or two
temporaries of the parameter's size for the whole step; for large parameters Adam is one compiled loop. The order of
operations is that of the formula, so that in float64 the result equals the plain NumPy transcription to the last bit.
Scalars are Python floats or have the parameter's dtype, so float32 stays float32.
"""

import functools

import numpy as np

from .. import compiled


def sgd(rows, lr, momentum, nesterov, weight_decay):
    """One step of gradient descent for each parameter, as `nnscratch.kernels.steps.definition.sgd`."""
    dtype = None
    for p, g, velocity in rows:
        if p.dtype is not dtype:
            dtype, rate = p.dtype, _scalar(lr, p.dtype)
        update = g + weight_decay * p if weight_decay else g
        if velocity is not None:
            velocity *= momentum
            velocity += update
            update = update + momentum * velocity if nesterov else velocity
        p -= rate * update


@functools.lru_cache(maxsize=16)
def _scalar(value, dtype):
    """An array of a number, which NumPy takes more quickly than the number."""
    return np.array(value, dtype)


def adam(rows, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled):
    """One step of Adam for each parameter, as `nnscratch.kernels.steps.definition.adam`."""
    settings = lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled
    dtype = None
    for p, g, m, v in rows:
        loop = compiled.module("steps.adam_loop", p, g, m, v)
        if loop and g.flags.carray and p.flags.carray and m.flags.carray and v.flags.carray:
            if p.dtype is not dtype:
                dtype, scalars = p.dtype, _adam_scalars(p.dtype, *settings)
            loop.adam(p.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1), scalars)
        else:
            _adam(p, g, m, v, *settings)


def _adam(p, g, m, v, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled):
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
