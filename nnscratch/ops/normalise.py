"""Standardising values over axes, on which batch and layer normalisation are built."""

import numpy as np

from nnscratch.autograd import op
from nnscratch.ops.elementwise import power
from nnscratch.ops.reduce import mean, refuse_empty, var
from nnscratch.samples import Case, normal


@op(
    formula=r"\hat x = \frac{x - \bar x}{\sqrt{\operatorname{var} x + \varepsilon}}",
    derivative=r"\frac{1}{\sqrt{\operatorname{var} x + \varepsilon}} \left( g - \bar g - \hat x\, \overline{g \hat x} \right)",
    document="Ioffe & Szegedy, 2015; Ba, Kiros & Hinton, 2016",
    samples=(Case(normal(4, 3), (0,)), Case(normal(3, 5), (-1,)), Case(normal(2, 3, 2, 2), (0, 2, 3), 0.1)),
)
def standardize(x, axis, eps=1e-5):
    """Values less their mean over `axis`, divided by the root of their variance (over n) plus `eps`."""
    refuse_empty("standardize", x, axis)
    d = x - np.mean(x, axis, keepdims=True)
    return d / np.sqrt(np.mean(d * d, axis, keepdims=True) + eps)


@standardize.rule("x")
def _(g, x, y, axis, eps):
    scale = power(var(x, axis, 0, True) + eps, -0.5)
    return scale * (g - mean(g, axis, True) - y * mean(g * y, axis, True))
