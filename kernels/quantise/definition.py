"""Quantisation, and layers on quantised numbers, in terms of array functions: what the fast kernels mean.

A number x is kept as a code, ``rint(x / scale) + zero`` clipped to a range of whole numbers. Codes of 8 bits are multiplied and
added up as whole numbers of 32 bits, without any rounding, so that the order of the terms does not matter; what a sum means is
known by one factor for each output. These are the formulas of ONNX's QLinearConv, with weights whose zero is 0.
"""

import numpy as np

from ..windows import output_sizes, pad, taps


def quantize(x, scale, zero=0, low=-128, high=127):
    """Numbers as codes: ``clip(rint(x / scale) + zero, low, high)``, halves to even; nan gets the lowest code.

    It is a division, not a product with the reciprocal, which rounds to another code now and then.

    Parameters
    ----------
    x : ndarray, floating point
    scale : float or ndarray that broadcasts
    zero : int or ndarray that broadcasts
    low, high : int

    Returns
    -------
    ndarray of x's shape and dtype, whole numbers (of float32 for float16)

    Examples
    --------
    >>> quantize(np.array([-9.0, 0.5, 1.5, np.inf, np.nan], np.float32), np.float32(1.0), 3)
    array([  -6.,    3.,    5.,  127., -128.], dtype=float32)
    """
    x = x.astype(np.float32) if x.dtype == np.float16 else x
    codes = np.clip(np.rint(x / scale) + zero, low, high)
    return np.where(np.isnan(codes), x.dtype.type(low), codes)


def to_codes(x, scale, zero):
    """The same for one scale and codes of 8 bits.

    Parameters
    ----------
    x : ndarray, float32
    scale : float32
    zero : int

    Returns
    -------
    ndarray of int8

    Examples
    --------
    >>> to_codes(np.array([-1.0, 0.0, 9.0], np.float32), np.float32(0.5), -10)
    array([-12, -10,   8], dtype=int8)
    """
    return quantize(x, np.float32(scale), np.float32(zero)).astype(np.int8)


def pack(weight, bias, factor, groups=1):
    """What `conv2d` and `linear` take as their weight: made once, used often.

    Parameters
    ----------
    weight : ndarray of int8, (O, C / groups, kh, kw) or (O, K)
    bias : ndarray of int32, (O,)
    factor : ndarray of float32, (O,)
        What sums are multiplied by, above 0.
    groups : int

    Returns
    -------
    object
    """
    return weight, bias, factor, groups


def finished(sums, factor, zero, low):
    """Sums of 32 bits as codes, or, where `zero` is None, as the numbers that they mean.

    Parameters
    ----------
    sums : ndarray of int32, (..., O)
    factor : ndarray of float32, (O,)
        What a sum is multiplied by.
    zero : int or None
    low : int
        The lowest code: -128, or `zero` for what a rectifier gives.

    Returns
    -------
    ndarray of int8, or of float32

    Examples
    --------
    >>> finished(np.array([[-90, 90, 900]]), np.full(3, 0.1, np.float32), 10, -128)
    array([[  1,  19, 100]], dtype=int8)
    """
    y = sums.astype(np.float32) * factor
    if zero is None:
        return y
    return np.clip(np.rint(y) + np.float32(zero), low, 127).astype(np.int8)


def conv2d(x, packed, x_zero, zero, low, stride, padding, dilation, pooled=False):
    """Cross-correlation of codes: sums of ``(x - x_zero) * weight`` and the bias, `finished`.

    Parameters
    ----------
    x : ndarray of int8, (N, C, H, W)
    packed : object
        A weight (O, C / groups, kh, kw) with its bias and factor, by `pack`.
    x_zero : int
        The code of 0, which is also what the padding is.
    zero, low
        As for `finished`.
    stride, padding, dilation
        As in `nnscratch.kernels.windows`.
    pooled : bool
        Whether of each window of 2 by 2 results, side by side, the greatest is returned; for codes alone.

    Returns
    -------
    ndarray (N, O, OH, OW) of int8 or float32

    Examples
    --------
    >>> x, w = np.full((1, 1, 2, 2), 3, np.int8), np.full((1, 1, 2, 2), 2, np.int8)
    >>> packed = pack(w, np.zeros(1, np.int32), np.ones(1, np.float32))
    >>> conv2d(x, packed, 1, 0, -128, (1, 1), ((0, 0), (0, 0)), (1, 1))
    array([[[[16]]]], dtype=int8)
    """
    weight, bias, factor, groups = packed
    filters, each, *kernel = weight.shape
    windows = output_sizes(x.shape[2:], tuple(kernel), stride, padding, dilation)
    padded = pad(x.astype(np.int32) - x_zero, padding)
    sums = np.zeros((len(x), groups, filters // groups, *windows), np.int32)
    matrices = weight.astype(np.int32).reshape(groups, filters // groups, each, -1)
    for k, tap in enumerate(taps(padded, tuple(kernel), stride, dilation, windows)):
        grouped = tap.reshape(len(x), groups, each, *windows)
        sums += np.einsum("ngcij,gfc->ngfij", grouped, matrices[..., k])
    sums = np.moveaxis(sums.reshape(len(x), filters, *windows), 1, -1) + bias
    y = np.moveaxis(finished(sums, factor, zero, low), -1, 1)
    return max_pool2d(y, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)) if pooled else y


def linear(x, packed, x_zero, zero, low):
    """A layer of neurons on codes: sums of ``(x - x_zero) * weight`` and the bias, `finished`.

    Parameters
    ----------
    x : ndarray of int8, (N, K)
    packed : object
        A weight (O, K) with its bias and factor, by `pack`.
    x_zero, zero, low
        As for `conv2d`.

    Returns
    -------
    ndarray (N, O) of int8 or float32

    Examples
    --------
    >>> x, w = np.array([[1, 2]], np.int8), np.array([[3, 4]], np.int8)
    >>> linear(x, pack(w, np.array([5], np.int32), np.ones(1, np.float32)), 0, None, -128)
    array([[16.]], dtype=float32)
    """
    weight, bias, factor, _ = packed
    sums = (x.astype(np.int32) - x_zero) @ weight.T.astype(np.int32) + bias
    return finished(sums, factor, zero, low)


def max_pool2d(x, kernel, stride, padding, dilation):
    """The greatest code of each window, which is the code of the greatest number.

    Parameters
    ----------
    x : ndarray of int8, (N, C, H, W)
    kernel, stride, padding, dilation
        As in `nnscratch.kernels.windows`.

    Returns
    -------
    ndarray of int8

    Examples
    --------
    >>> max_pool2d(np.array([[[[1, 2], [4, -3]]]], np.int8), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    array([[[[4]]]], dtype=int8)
    """
    windows = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    first, *others = taps(pad(x, padding, -128), kernel, stride, dilation, windows)
    y = first.copy()
    for tap in others:
        np.maximum(y, tap, out=y)
    return y
