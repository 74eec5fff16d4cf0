"""Where a token stands in its sequence, told to attention: by waves that are added, or by turning queries and keys."""

import functools

import numpy as np

from nnscratch import arguments
from nnscratch.autograd import describe, op
from nnscratch.ops.operands import floating_point, raw
from nnscratch.ops.shape import constant_on_device_of
from nnscratch.sample_inputs import Case, normal


@functools.lru_cache(maxsize=64)
def angles(begin, end, width, base):
    """The angle by which position p turns pair i of `width` numbers, ``p / base ** (2 i / width)``: (end - begin, pairs).

    Examples
    --------
    >>> angles(1, 3, 4, 100.0)
    array([[1. , 0.1],
           [2. , 0.2]])
    """
    rates = base ** (-np.arange(0, width, 2) / width)
    found = np.arange(begin, end)[:, None] * rates
    found.flags.writeable = False
    return found


@functools.lru_cache(maxsize=64)
def waves(begin, end, width, base, dtype):
    """Sines and cosines of the angles in turn, (end - begin, width) (Vaswani et al., 2017).

    Examples
    --------
    >>> waves(0, 2, 2, 10000.0, "float64").round(4)
    array([[0.    , 1.    ],
           [0.8415, 0.5403]])
    """
    a = angles(begin, end, width, base)
    found = np.empty((end - begin, width), dtype)
    found[:, 0::2], found[:, 1::2] = np.sin(a), np.cos(a[:, : width // 2])
    found.flags.writeable = False
    return found


@functools.lru_cache(maxsize=64)
def _turns(begin, end, width, base, dtype):
    a = angles(begin, end, width, base)
    return np.cos(a).astype(dtype), np.sin(a).astype(dtype)


@op(
    formula=r"(x_a, x_b) \mapsto (x_a \cos\theta - x_b \sin\theta,\; x_b \cos\theta + x_a \sin\theta)",
    derivative=r"\text{the same by } -\theta",
    document="Su et al., 2021",
    constant=("cosine", "sine"),
    samples=(
        Case(
            normal(2, 3, 4), np.cos([[0.0, 0.0], [1.0, 0.1], [2.0, 0.2]]), np.sin([[0.0, 0.0], [1.0, 0.1], [2.0, 0.2]])
        ),
        Case(
            normal(3, 4),
            np.cos([[0.0, 0.0], [1.0, 0.1], [2.0, 0.2]]),
            np.sin([[0.0, 0.0], [1.0, 0.1], [2.0, 0.2]]),
            True,
        ),
    ),
)
def rotate_pairs(x, cosine, sine, interleaved=False):
    """Pairs of numbers of the last axis turned by angles of which the cosine and the sine are given.

    Parameters
    ----------
    x : (..., length, width)
        Tensor or array.
    cosine, sine : (length, width / 2)
    interleaved : bool
        Pairs are neighbours; otherwise number i and number width / 2 + i are one.

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where the shapes do not fit.
    """
    shape = np.shape(x)
    wanted = (*shape[-2:-1], shape[-1] // 2) if len(shape) > 1 and shape[-1] % 2 == 0 else None
    if wanted is None or np.shape(cosine) != wanted or np.shape(sine) != wanted:
        raise ValueError(
            f"rotate_pairs: got x {describe(x)}, cosine {describe(cosine)}, sine {describe(sine)}, expected "
            f"(..., length, width) of an even width and (length, width / 2) twice; check the width"
        )
    y = np.empty_like(x, np.result_type(x.dtype, cosine.dtype, sine.dtype))
    (a, b), (u, v) = _pairs(x, interleaved), _pairs(y, interleaved)
    u[...], v[...] = a * cosine - b * sine, b * cosine + a * sine
    return y


@rotate_pairs.rule("x")
def _(g, cosine, sine, interleaved):
    return rotate_pairs(g, cosine, -sine, interleaved)


def _pairs(x, interleaved):
    half = x.shape[-1] // 2
    return (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])


def rotary(x, offset=0, base=10000.0, interleaved=False):
    r"""Queries or keys turned by their positions, so that their products depend on distances alone (Su et al., 2021).

    .. math:: \theta_{p i} = p\, b^{-2 i / E}

    Parameters
    ----------
    x : (..., L, E)
        Tensor or array, floating point; E is even.
    offset : int
        The position of the first of the L.
    base : float
        b, above 0.
    interleaved : bool
        Pairs are neighbours, as in the paper; otherwise number i and number E / 2 + i are one, as in most pre-trained networks.

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where the last axis has no pairs, or a setting is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.rotary(ns.tensor([[1.0, 0.0], [1.0, 0.0]])).numpy().round(4)
    array([[1.    , 0.    ],
           [0.5403, 0.8415]], dtype=float32)
    """
    x = floating_point("rotary", "x", x)
    offset = arguments.count("rotary", "offset", offset, 0)
    base = arguments.number("rotary", "base", base, 0, ends="(]")
    interleaved = arguments.flag("rotary", "interleaved", interleaved)
    if x.ndim < 2 or x.shape[-1] % 2:
        raise ValueError(f"rotary: x is {describe(x)}, expected (..., length, width) of an even width; check the width")
    turns = _turns(offset, offset + x.shape[-2], x.shape[-1], base, x.dtype)
    return rotate_pairs(x, *(constant_on_device_of(raw(x), a) for a in turns), interleaved)
