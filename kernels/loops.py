"""Kernels as loops, compiled by Numba: for arrays so large that NumPy's many passes through memory are what costs.

Each loop visits its arrays once. They take C-contiguous arrays of float32 or float64 and write into arrays that the
caller made; `nnscratch.kernels.compiled` decides when they are worth it. The machine code is kept on disk, beside this file or
in the user's cache folder, so that only the first process compiles.
"""

import math

import numba

_compile = numba.njit(cache=True, error_model="numpy", nogil=True)


@_compile
def max_of_halves(x, y):
    """The maximum of every 2 by 2 window of x (M, H, W) to y (M, H // 2, W // 2); nan wins."""
    images, rows, columns = y.shape
    for n in range(images):
        for p in range(rows):
            for q in range(columns):
                a, b = x[n, 2 * p, 2 * q], x[n, 2 * p, 2 * q + 1]
                c, d = x[n, 2 * p + 1, 2 * q], x[n, 2 * p + 1, 2 * q + 1]
                a = a if a > b or a != a else b
                c = c if c > d or c != c else d
                y[n, p, q] = a if a > c or a != a else c


@_compile
def index_of_halves(x, index):
    """The place, 0 to 3 row by row, of the first maximum (or first nan) in every 2 by 2 window of x."""
    images, rows, columns = index.shape
    for n in range(images):
        for p in range(rows):
            for q in range(columns):
                a, b = x[n, 2 * p, 2 * q], x[n, 2 * p, 2 * q + 1]
                c, d = x[n, 2 * p + 1, 2 * q], x[n, 2 * p + 1, 2 * q + 1]
                right = (b > a) | ((b != b) & (a == a))
                other = (d > c) | ((d != d) & (c == c))
                top = b if right else a
                bottom = d if other else c
                below = (bottom > top) | ((bottom != bottom) & (top == top))
                index[n, p, q] = 2 + other if below else right


@_compile
def scatter_to_halves(g, index, out):
    """Every g (M, OH, OW) to the element of its 2 by 2 window of out (M, H, W), zeros, that the index names."""
    images, rows, columns = g.shape
    for n in range(images):
        for p in range(rows):
            for q in range(columns):
                at = index[n, p, q]
                if at < 4:
                    out[n, 2 * p + (at >> 1), 2 * q + (at & 1)] = g[n, p, q]


@_compile
def adam(p, g, m, v, keep1, take1, keep2, take2, scale1, scale2, lr, eps, decay, shrink):
    """Adam on flat arrays: ``m = keep1 m + take1 g``, ``v = keep2 v + take2 g²``, ``p -= lr (m / scale1) / (√(v / scale2) + eps)``.

    The scalars have the arrays' dtype; first ``decay p`` is added to g, or ``shrink p`` taken from p.
    """
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
        p[k] = value - first / scale1 * lr / (math.sqrt(second / scale2) + eps)
