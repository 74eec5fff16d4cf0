"""Images of another size: channels laid out as pixels, and back; pixels between pixels."""

import math

import numpy as np

from nnscratch.arguments import count, flag, in_memory, number, one_of, shown
from nnscratch.autograd import describe
from nnscratch.ops.index import take
from nnscratch.ops.operands import floating_point
from nnscratch.ops.shape import constant_on_device_of, operand, reshape, transpose


def pixel_shuffle(x, factor):
    r"""Channels laid out as finer pixels (Shi et al., 2016).

    .. math:: y_{n,\,c,\,hr + i,\,wr + j} = x_{n,\,cr^2 + ir + j,\,h,\,w}

    Parameters
    ----------
    x : (N, C r², H, W)
    factor : int
        r.

    Returns
    -------
    (N, C, H r, W r)

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.pixel_shuffle(ns.tensor([[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]), 2)
    tensor([[[[1., 2.],
              [3., 4.]]]])
    """
    x, r = operand(x), count("pixel_shuffle", "factor", factor)
    if x.ndim != 4 or x.shape[1] % r**2:
        raise ValueError(
            f"pixel_shuffle: expected x (N, C * {r**2}, H, W), got {describe(x)}; check the channels and the factor"
        )
    n, c, h, w = x.shape
    fine = transpose(reshape(x, (n, c // r**2, r, r, h, w)), (0, 1, 4, 2, 5, 3))
    return reshape(fine, (n, c // r**2, h * r, w * r))


def pixel_unshuffle(x, factor):
    r"""Finer pixels laid out as channels: `pixel_shuffle` undone.

    .. math:: y_{n,\,cr^2 + ir + j,\,h,\,w} = x_{n,\,c,\,hr + i,\,wr + j}

    Parameters
    ----------
    x : (N, C, H r, W r)
    factor : int
        r.

    Returns
    -------
    (N, C r², H, W)

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.pixel_unshuffle(ns.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2).shape
    (1, 4, 1, 1)
    """
    x, r = operand(x), count("pixel_unshuffle", "factor", factor)
    if x.ndim != 4 or x.shape[2] % r or x.shape[3] % r:
        raise ValueError(
            f"pixel_unshuffle: expected x (N, C, H * {r}, W * {r}), got {describe(x)}; check the size and the factor"
        )
    n, c, h, w = x.shape
    coarse = transpose(reshape(x, (n, c, h // r, r, w // r, r)), (0, 1, 3, 5, 2, 4))
    return reshape(coarse, (n, c * r**2, h // r, w // r))


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=False):
    """Sequences or images in another size.

    Parameters
    ----------
    x : (N, C, L) or (N, C, H, W) Tensor or array
        Floating point.
    size : int or tuple of int, optional
        The lengths of the result's axes after the channels; or `scale_factor`.
    scale_factor : float or tuple of float, optional
        By how much each is longer, rounded down.
    mode : "nearest", "linear" or "bilinear"
        Whether each value is that of the nearest one before it, or lies on a straight line between the two around it ("linear" for
        sequences, "bilinear" for images).
    align_corners : bool
        For the straight lines: whether the first and last values stay where they are, or the edges of the area that each fills.

    Returns
    -------
    The dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.interpolate(ns.tensor([[[1.0, 3.0]]]), 4, mode="linear")
    tensor([[[1. , 1.5, 2.5, 3. ]]])
    >>> ns.functional.interpolate(ns.tensor([[[1.0, 3.0]]]), scale_factor=2)
    tensor([[[1., 1., 3., 3.]]])
    """
    name = "interpolate"
    x = floating_point(name, "x", x)
    linear = {"linear": 3, "bilinear": 4}
    if one_of(name, "mode", mode, ("nearest", *linear)) != "nearest" and linear[mode] != x.ndim:
        raise ValueError(
            f"{name}: mode is {shown(mode)} and x {describe(x)}; pass 'nearest', 'linear' for (N, C, L), or 'bilinear' for (N, C, H, W)"
        )
    if x.ndim not in (3, 4) or x.size == 0:
        raise ValueError(f"{name}: x is {describe(x)}, expected (N, C, L) or (N, C, H, W) with some values; reshape it")
    if flag(name, "align_corners", align_corners) and mode == "nearest":
        raise ValueError(f"{name}: align_corners is for 'linear' and 'bilinear', mode is 'nearest'; leave it out")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}: got size {shown(size)} and scale_factor {shown(scale_factor)}; pass one of them")
    axes = range(2, x.ndim)
    given = size if scale_factor is None else scale_factor
    each = list(given) if isinstance(given, tuple | list) else [given] * len(axes)
    if len(each) != len(axes):
        raise ValueError(f"{name}: got {shown(given)} for {len(axes)} axes; pass one number, or one for each")
    for axis, wanted in zip(axes, each, strict=True):
        before = x.shape[axis]
        if scale_factor is None:
            after = count(name, "size", wanted)
            step = before / after
        else:
            factor = number(name, "scale_factor", wanted, 0, ends="(]")
            after, step = math.floor(before * factor), 1 / factor
        with in_memory(name):
            x = _resampled(x, axis, count(name, "the result's length", after), step, mode, align_corners)
    return x


def _resampled(x, axis, length, step, mode, align_corners):
    """`x` with so many values along an axis, of which each is `step` of the old ones further on."""
    before, places = x.shape[axis], np.arange(length)
    if mode == "nearest":
        indices = np.minimum(np.floor(places * step).astype(np.int64), before - 1)
        return take(x, constant_on_device_of(x, indices), axis)
    if align_corners:
        places = places * ((before - 1) / (length - 1) if length > 1 else 0.0)
    else:
        places = np.maximum((places + 0.5) * step - 0.5, 0)
    left = np.minimum(places.astype(np.int64), before - 1)
    right = np.minimum(left + 1, before - 1)
    part = (places - left).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    a, b = (take(x, constant_on_device_of(x, indices), axis) for indices in (left, right))
    part = constant_on_device_of(x, part)
    return a * (1 - part) + b * part
