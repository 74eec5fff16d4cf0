"""Rounding to the codes of few bits, as if it were none: what networks learn with that will be quantised."""

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import op
from nnscratch.ops.elementwise import clip, greater_equal, less_equal, logical_and, where
from nnscratch.ops.elementwise import round as nearest
from nnscratch.ops.operands import floating_point
from nnscratch.sample_inputs import Case

_VALUES = np.array([[-1.3, 0.23, 0.74], [2.4, -0.61, 0.08]])


@op(
    formula=r"y = s\,(c - z), \quad c = \min(\max(\lfloor x / s \rceil + z, l), h)",
    derivative=r"\text{by } x\text{: } [l \le \lfloor x / s \rceil + z \le h], \quad "
    r"\text{by } s\text{: } \lfloor x / s \rceil - x / s \text{ there, } c - z \text{ elsewhere}",
    document="Bengio et al., 2013, §2.3; Jacob et al., 2018, §3; by s: Esser et al., 2020, §2.1",
    kernel="quantise.quantize",
    surrogate=("x", "scale"),
    constant=("zero",),
    samples=(Case(_VALUES, 0.1, 3, -8, 7), Case(_VALUES, np.array([[0.02], [0.3]]))),
)
def fake_quantize(x, scale, zero=0, low=-128, high=127):
    """Numbers rounded to those that have a code, with gradients as if nothing had been rounded (the straight-through rule).

    The gradient goes through where the code lies in the range, its ends included, before it is clipped to it.

    Parameters
    ----------
    x : Tensor or array
        Floating-point numbers.
    scale : number, Tensor or array
        s, above 0, in a shape that broadcasts: how far two codes are apart.
    zero : int, Tensor or array
        z, the code of 0; an array holds whole numbers in a shape that broadcasts.
    low, high : int
        l and h, the range of the codes.

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where `x` holds no floating-point numbers, a scale is not above 0, or the range is empty.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([0.26, 0.75, 99.0], requires_grad=True)
    >>> y = ns.functional.fake_quantize(x, 0.5, low=-8, high=7)
    >>> y, ns.grad(y.sum(), x)
    (tensor([0.5, 1. , 3.5], op=fake_quantize), tensor([1., 1., 0.]))
    """
    name = "fake_quantize"
    x = floating_point(name, "x", x)
    for what, value in (("zero", zero), ("low", low), ("high", high)):
        if what != "zero" or not backend.is_array(zero):
            arguments.count(name, what, value, least=-(2**23), most=2**23)
    if low >= high:
        raise ValueError(f"{name}: the codes go from {low} to {high}, expected more than one; pass low below high")
    if backend.is_array(scale):
        backend.of(scale).check(scale, np.finfo(scale.dtype).tiny, np.inf, _no_scale)
        scale = scale.astype(np.float32 if x.dtype == np.float16 else x.dtype)
    else:
        arguments.number(name, "scale", scale, 0, ends="()")
    codes = fake_quantize.kernel(x, scale, zero, low, high)
    return ((codes - zero) * scale).astype(x.dtype)


def _no_scale(value):
    return ValueError(f"fake_quantize: scale holds {value:.6g}, expected numbers above 0; pass how far codes are apart")


def _inside(x, scale, zero, low, high):
    """The nearest code before it is clipped, and whether that changes nothing."""
    code = nearest(x / scale) + zero
    return code, logical_and(greater_equal(code, low), less_equal(code, high))


@fake_quantize.rule("x")
def _(g, x, scale, zero, low, high):
    return where(_inside(x, scale, zero, low, high)[1], g, 0)


@fake_quantize.rule("scale")
def _(g, x, scale, zero, low, high):
    code, inside = _inside(x, scale, zero, low, high)
    return g * where(inside, code - zero - x / scale, clip(code, low, high) - zero)
