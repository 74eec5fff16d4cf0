"""Elementary functions on a GPU: the formulas and the accuracy of the definitions (``elementwise.cu``)."""

import numpy as np

from ..cuda import runtime


def elementwise(name, *arrays):
    """Launch a kernel of ``elementwise.cu``: arrays of one dtype, broadcast, and a new one for the result."""
    xp = runtime.xp()
    if len(arrays) > 1:
        arrays = xp.broadcast_arrays(*arrays)
    y = xp.empty(arrays[0].shape, arrays[0].dtype)
    arrays = [xp.ascontiguousarray(a) for a in arrays]
    grid = min(runtime.blocks(y.size), 1 << 20)
    runtime.launch("elementwise.cu", name, grid, runtime.THREADS, (*arrays, y, np.int64(y.size)), ELEMENT=y.dtype)
    return y


def sigmoid(x):
    """``1 / (1 + exp(-x))``."""
    return elementwise("sigmoid", x)


def tanh(x):
    """The hyperbolic tangent."""
    return elementwise("hyperbolic_tangent", x)


def softplus(x):
    """``log(1 + exp(x))``."""
    return elementwise("softplus", x)


def erf(x):
    """The error function."""
    return elementwise("error_function_of", x)


def erfc(x):
    """``1 - erf(x)`` without cancellation."""
    return elementwise("complement_of", x)
