"""Operators that change how many places an axis has: each axis is a product with a matrix of weights."""

import math

import numpy as np

from nnscratch.onnx.table import affordable, ints, need, operator
from nnscratch.ops import linear, shape
from nnscratch.ops.elementwise import where
from nnscratch.ops.index import take

#: Which of two neighbours is the nearest, by how the place between them is rounded.
_NEAREST = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
#: Before opset 11: towards the input's end where it is made smaller, as onnxruntime has it.
_SIMPLE = "simple"


def _places(n, size, scale, how, roi):
    """Where the places of the result lie among the `n` of the input."""
    i, scale = np.arange(size, dtype=np.float32), np.float32(scale)  # in whose rounding the nearest is meant
    if how == "asymmetric":
        return i / scale
    if how == "align_corners":
        return i * (n - 1) / (scale * n - 1) if size > 1 else i * 0.0
    if how == "pytorch_half_pixel":
        return (i + 0.5) / scale - 0.5 if size > 1 else i * 0.0
    if how == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if how == "tf_crop_and_resize":
        start, end = roi
        if size == 1:
            return 0.5 * (start + end) * (n - 1) + i
        return start * (n - 1) + i * (end - start) * (n - 1) / (size - 1)
    centre = (n / 2) * (1 - size / (scale * n)) if how == "half_pixel_symmetric" else 0.0
    need(how in ("half_pixel", "half_pixel_symmetric"), f"the coordinates {how}")
    return centre + (i + 0.5) / scale - 0.5


def _weights(n, places, scale, mode, coefficient, exclude_outside, antialias):
    """The matrix (result, input) of linear or cubic interpolation; what lies outside is the value at the edge."""
    stretch = min(scale, 1.0) if antialias else 1.0
    reach = (1 if mode == "linear" else 2) / stretch
    first = np.floor(places - reach).astype(int) + 1
    taps = first[:, None] + np.arange(2 * math.ceil(reach))
    away = np.abs(taps - places[:, None]) * stretch
    if mode == "linear":
        value = np.maximum(1 - away, 0)
    else:
        a = coefficient
        near = (a + 2) * away**3 - (a + 3) * away**2 + 1
        far = a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a
        value = np.where(away <= 1, near, np.where(away < 2, far, 0))
    outside = (taps < 0) | (taps >= n)
    if exclude_outside or antialias:
        value = np.where(outside, 0, value) if exclude_outside else value
        value = value / value.sum(1, keepdims=True)
    matrix = np.zeros((len(places), n))
    np.add.at(matrix, (np.arange(len(places))[:, None], np.clip(taps, 0, n - 1)), value)
    return matrix


def _along(x, axis, matrix):
    """The product of a matrix with each line along an axis."""
    y = linear.matmul(shape.swapaxes(x, axis, -1), np.ascontiguousarray(matrix.T).astype(x.dtype))
    return shape.swapaxes(y, axis, -1)


@operator("Resize")
def _(
    x, roi=None, scales=None, sizes=None, *, antialias=0, axes=None, coordinate_transformation_mode=None,
    cubic_coeff_a=-0.75, exclude_outside=0, extrapolation_value=0.0, keep_aspect_ratio_policy="stretch", mode="nearest",
    nearest_mode=None, at,
):  # fmt: skip
    if at.opset < 11:  # where the second input is what the third is now
        return resized(x, list(range(x.ndim)), roi.numpy(), None, mode, "asymmetric", _SIMPLE)
    axes = [axis % x.ndim for axis in (range(x.ndim) if axes is None else axes)]
    lengths = [x.shape[axis] for axis in axes]
    if sizes is not None and sizes.size:
        sizes = ints(sizes)
        factors = [m / n for m, n in zip(sizes, lengths, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            factor = min(factors) if keep_aspect_ratio_policy == "not_larger" else max(factors)
            factors = [factor] * len(axes)
            sizes = [math.floor(n * factor + 0.5) for n in lengths]
    else:
        factors, sizes = [float(s) for s in scales.numpy()], None
    regions = None if roi is None or not roi.size else roi.numpy().reshape(2, -1).T
    how = coordinate_transformation_mode or "half_pixel"
    settings = cubic_coeff_a, exclude_outside, antialias, extrapolation_value, regions
    return resized(x, axes, factors, sizes, mode, how, nearest_mode or "round_prefer_floor", *settings)


@operator("Upsample")
def _(x, scales_input=None, *, scales=None, mode="nearest"):
    factors = scales if scales_input is None else scales_input.numpy()
    return resized(x, list(range(x.ndim)), factors, None, mode, "asymmetric", _SIMPLE)


def resized(
    x, axes, scales, sizes, mode, how, nearest, coefficient=-0.75, exclude_outside=0, antialias=0, extrapolation=0.0,
    regions=None,
):  # fmt: skip
    """`x` with other lengths along some axes."""
    beyond = []
    for k, axis in enumerate(axes):
        n, scale = x.shape[axis], float(scales[k])
        size = math.floor(n * scale) if sizes is None else sizes[k]
        affordable((x.size // max(1, n), size))
        affordable((n, size))
        if size == n and scale == 1.0 and how != "tf_crop_and_resize":
            continue
        places = _places(n, size, scale, how, None if regions is None else regions[k])
        if how == "tf_crop_and_resize":
            beyond.append((axis, (places < 0) | (places > n - 1)))
        if mode == "nearest":
            rounded = _NEAREST[nearest if nearest != _SIMPLE else "ceil" if scale < 1 else "floor"]
            x = take(x, np.clip(rounded(places), 0, n - 1).astype(int), axis)
        else:
            need(mode in ("linear", "cubic"), f"the interpolation {mode}")
            matrix = _weights(n, places, scale, mode, coefficient, exclude_outside, antialias)
            x = _along(x, axis, matrix)
    for axis, outside in beyond:
        if outside.any():
            x = where(outside.reshape(-1, *(1,) * (x.ndim - 1 - axis)), np.array(extrapolation, x.dtype), x)
    return x
