"""Adam as one loop, compiled by Numba: for arrays so large that NumPy's many passes through memory are what costs.

It visits its arrays once. They are C-contiguous, of float32 or float64; `nnscratch.kernels.compiled` decides when it is
worth it. The machine code is kept in the user's cache folder, so that only the first process compiles.
"""

import math

from .. import simd


@simd.compiled
def adam(p, g, m, v, scalars):
    """Adam on flat arrays: ``m = keep1 m + take1 g``, ``v = keep2 v + take2 g²``, ``p -= lr (m / scale1) / (√(v / scale2) + eps)``.

    The scalars are an array of these ten, in the arrays' dtype; first ``decay p`` is added to g, or ``shrink p`` taken from p.
    """
    keep1, take1, keep2, take2, scale1, scale2, lr, eps, decay, shrink = scalars
    for k in range(p.size):
        value, h = p[k], g[k]
        if decay != 0:  # 0 times an infinite parameter is not a number
            h = h + decay * value
        if shrink != 0:
            value = value - shrink * value
        first = m[k] * keep1 + h * take1
        second = v[k] * keep2 + h * h * take2
        m[k] = first
        v[k] = second
        if scale1 != 1:  # asked once, outside the compiled loop: a division each is worth it
            first = first / scale1
        if scale2 != 1:
            second = second / scale2
        p[k] = value - first * lr / (math.sqrt(second) + eps)
