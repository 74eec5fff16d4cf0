"""Convolution: `conv2d`, its gradient by input and its gradient by weight are three operations, each the others' rule.

Images are (N, C, H, W) and weights (out, in / groups, kh, kw), as in PyTorch and ONNX. Each setting is a number or a
pair (vertical, horizontal); padding may also be ``((top, bottom), (left, right))``, ``"same"``, ``"same_lower"`` or
``"valid"``: "same" gives as many results as there are cells (divided by the stride, rounded up) and puts an odd cell of
padding after, "same_lower" before.
"""

import functools

import numpy as np

from nnscratch.arguments import shown
from nnscratch.autograd import describe, op
from nnscratch.kernels import windows as sliding_windows
from nnscratch.ops.elementwise import common_dtype
from nnscratch.ops.linear import channel_sums
from nnscratch.ops.shape import constant_on_device_of, expand_dims, operand, pad, reshape, squeeze
from nnscratch.sample_inputs import Case, normal


def once(check, *arguments):
    """What a cached function makes of some shapes and settings; lists among them, which no cache takes, are looked at each time."""
    try:
        return check(*arguments)
    except TypeError:
        return check.__wrapped__(*arguments)


def pair(name, what, value, least):
    """A setting as (vertical, horizontal) whole numbers of at least `least`."""
    both = value if isinstance(value, tuple | list) else (value, value)
    whole = [_whole(v) for v in both]
    if len(both) != 2 or not all(n is not None and least <= n < 2**63 for n in whole):
        raise ValueError(
            f"{name}: {what} must be a whole number of at least {least} or a pair of them, got {shown(value)}; correct it"
        )
    return tuple(whole)


def _whole(value):
    """A whole number as an int, else None."""
    try:
        return None if isinstance(value, bool) else value.__index__()
    except (AttributeError, TypeError):
        return None


def geometry(name, size, kernel, stride, padding, dilation, ceil_mode=False):
    """Settings as the kernels take them: stride, ((top, bottom), (left, right)), dilation; and the result's size.

    With `ceil_mode` the padding after is made longer where a window begins before it and reaches beyond it.
    """
    size, kernel = tuple(size), tuple(kernel)
    stride = pair(name, "stride", stride, 1)
    dilation = pair(name, "dilation", dilation, 1)
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    edges = padding_edges(name, size, spans, stride, padding)
    if ceil_mode:
        edges = tuple(map(_longer, size, spans, stride, edges))
    out = sliding_windows.output_sizes(size, kernel, stride, edges, dilation)
    if min(out) < 1:
        padded = tuple(n + before + after for n, (before, after) in zip(size, edges, strict=True))
        raise ValueError(
            f"{name}: the kernel reaches over {spans}, the padded input is only {padded}; use a smaller kernel or dilation, or more padding"
        )
    return stride, edges, dilation, out


_geometry = functools.lru_cache(maxsize=1024, typed=True)(geometry)


def padding_edges(name, size, spans, stride, padding):
    """Padding as ((top, bottom), (left, right)), for windows that reach over `spans`."""
    if not isinstance(padding, str):
        if (
            isinstance(padding, tuple | list)
            and len(padding) == 2
            and all(isinstance(p, tuple | list) for p in padding)
        ):
            return tuple(pair(name, "padding", p, 0) for p in padding)
        return tuple((p, p) for p in pair(name, "padding", padding, 0))
    if padding == "valid":
        return ((0, 0), (0, 0))
    if padding not in ("same", "same_lower"):
        raise ValueError(
            f"{name}: padding {padding!r} is unknown; pass numbers, or for conv2d and pooling 'same', 'same_lower' or 'valid'"
        )
    need = [max((-(-n // s) - 1) * s + span - n, 0) for n, s, span in zip(size, stride, spans, strict=True)]
    edges = tuple((n // 2, n - n // 2) for n in need)
    return edges if padding == "same" else tuple((before, after) for after, before in edges)


def _longer(n, span, stride, edge):
    """The edge (before, after) of an axis, long enough for one more window where that begins in x or before it."""
    before, after = edge
    begin = n + before + after - span
    missing = -begin % stride
    return (before, after + missing) if begin + missing < n + before else edge


def row_padding(padding):
    """The padding of a sequence, a number, a pair (before, after) or a word, as that of an image of height 1."""
    if isinstance(padding, str):
        return padding
    return ((0, 0), padding if isinstance(padding, tuple | list) else (padding, padding))


def extra_padding(name, output_padding, stride, dilation):
    """The output padding of a transposed convolution as a pair, less than the stride or the dilation."""
    extra = pair(name, "output_padding", output_padding, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{name}: output_padding {output_padding!r} must be less than the stride {stride} "
            f"or the dilation {dilation}; lower it"
        )
    return extra


@functools.lru_cache(maxsize=1024, typed=True)
def _settings(x, weight, bias, stride, padding, dilation, groups):
    """conv2d's settings as its kernel takes them, checked, and the dtype to compute in where the arrays have several.

    The arrays are (shape, dtype), the bias perhaps None.
    """
    name, (shape, filters) = "conv2d", (x[0], weight[0])
    shapes = f"x: {shape} {x[1]}, weight: {filters} {weight[1]}"
    if len(shape) != 4 or len(filters) != 4:
        raise _not_images(name, shapes)
    groups, _ = pair(name, "groups", (groups, groups), 1)
    channels, out, each = shape[1], filters[0], filters[1]
    if channels % groups or out % groups:
        raise ValueError(
            f"{name}: {groups} groups do not divide {channels} input and {out} output channels; choose a divisor of both"
        )
    if each * groups != channels:
        raise ValueError(
            f"{name}: x has {channels} channels, weight expects {each * groups} ({shapes}); check in_channels and groups"
        )
    if 0 in filters[2:]:
        raise ValueError(f"{name}: the kernel {filters[2:]} is empty; give it at least one cell")
    if bias is not None and bias[0] != (out,):
        raise ValueError(
            f"{name}: bias has shape {bias[0]}, expected ({out},), one for each output channel; check out_channels"
        )
    stride, padding, dilation, _ = geometry(name, shape[2:], filters[2:], stride, padding, dilation)
    dtypes = {a[1] for a in (x, weight, bias) if a is not None}
    alike = len(dtypes) == 1 and x[1].kind == "f"
    return stride, padding, dilation, groups, None if alike else np.result_type(*dtypes, np.float16)


def _not_images(name, shapes):
    return ValueError(
        f"{name}: expected x (N, C, H, W) and weight (out, in / groups, kh, kw), got {shapes}; add the missing axes"
    )


@op(
    formula=r"y_{n o i j} = b_o + \sum_{c,u,v} w_{o c u v}\, x_{n,\,c,\,i s + u d - p,\,j s + v d - p}",
    derivative=r"\text{by } x\text{: conv2d\_input, by } w\text{: conv2d\_weight, by } b\text{: } \textstyle\sum_{nij} g",
    document="the layers of 000 §3; 003 §5.2",
    kernel="conv.conv2d",
    samples=(
        Case(normal(2, 3, 5, 6), normal(4, 3, 3, 2), normal(4)),
        Case(normal(2, 2, 6, 5), normal(3, 2, 3, 3), normal(3), 2, 1),
        Case(normal(1, 4, 7, 6), normal(6, 2, 2, 3), None, (2, 1), ((1, 0), (2, 1)), (2, 1), 2),
        Case(normal(2, 3, 4, 4), normal(3, 1, 3, 3), None, 1, "same", 1, 3),
        Case(normal(2, 3, 4, 4), normal(2, 3, 1, 1), normal(2)),
    ),
)
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Two-dimensional cross-correlation, which networks call convolution.

    Parameters
    ----------
    x : (N, C, H, W)
    weight : (out, C / groups, kh, kw)
    bias : (out,), optional
    stride, dilation : int or pair
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"
        How many zeros are set around `x`.
    groups : int
        Into how many independent parts the channels are divided.

    Returns
    -------
    (N, out, OH, OW), in the inputs' dtype, with OH = (H + padding - dilation (kh - 1) - 1) // stride + 1.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> w = ns.tensor([[[[1.0, -1.0]]]])
    >>> ns.functional.conv2d(x, w)
    tensor([[[[-1., -1.]]]])
    """
    try:
        arrays = (x.shape, x.dtype), (weight.shape, weight.dtype)
    except AttributeError:  # a number
        raise _not_images("conv2d", f"x: {describe(x)}, weight: {describe(weight)}") from None
    last = None if bias is None else (getattr(bias, "shape", ()), getattr(bias, "dtype", None))
    stride, padding, dilation, groups, dtype = once(_settings, *arrays, last, stride, padding, dilation, groups)
    if dtype is not None:
        x, weight, bias = (a if a is None else a.astype(dtype, copy=False) for a in (x, weight, bias))
    return conv2d.kernel(x, weight, bias, stride, padding, dilation, groups)


@conv2d.rule("x")
def _(g, weight, x_shape, stride, padding, dilation, groups):
    return conv2d_input(g, weight, x_shape[2:], stride, padding, dilation, groups)


@conv2d.rule("weight")
def _(g, x, weight_shape, stride, padding, dilation, groups):
    return conv2d_weight(g, x, weight_shape[2:], stride, padding, dilation, groups)


@conv2d.rule("bias")
def _(g):
    return channel_sums(g, 1)


@op(
    formula=r"\text{the gradient of conv2d by its input}",
    derivative=r"\text{conv2d, conv2d\_weight}",
    kernel="conv.conv2d_input",
    samples=(
        Case(normal(2, 4, 3, 5), normal(4, 3, 3, 2), (5, 6)),
        Case(normal(2, 3, 3, 3), normal(3, 1, 3, 3), (6, 5), 2, 1, 1, 3),
    ),
)
def conv2d_input(d, weight, size, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv2d` by its input of height and width `size`, where that by its result is `d`: its transpose.

    Parameters
    ----------
    d : (N, out, OH, OW)
    weight : (out, C / groups, kh, kw)
    size : (H, W)

    Returns
    -------
    (N, C, H, W)

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.
    """
    stride, padding, dilation, out = once(_geometry, "conv2d_input", size, weight.shape[2:], stride, padding, dilation)
    if d.shape[1] != weight.shape[0] or d.shape[2:] != out or d.shape[1] % groups:
        raise ValueError(
            f"conv2d_input: d is {describe(d)}, expected (N, {weight.shape[0]}, {out[0]}, {out[1]}) for weight {describe(weight)}; check the channels"
        )
    if d.dtype is not weight.dtype or d.dtype.kind != "f":
        d, weight = common_dtype(d, weight)
    return conv2d_input.kernel(d, weight, tuple(size), stride, padding, dilation, groups)


@conv2d_input.rule("d")
def _(g, weight, stride, padding, dilation, groups):
    return conv2d(g, weight, None, stride, padding, dilation, groups)


@conv2d_input.rule("weight")
def _(g, d, weight_shape, stride, padding, dilation, groups):
    return conv2d_weight(d, g, weight_shape[2:], stride, padding, dilation, groups)


@op(
    formula=r"\text{the gradient of conv2d by its weight}",
    derivative=r"\text{conv2d, conv2d\_input}",
    kernel="conv.conv2d_weight",
    samples=(
        Case(normal(2, 4, 3, 5), normal(2, 3, 5, 6), (3, 2)),
        Case(normal(2, 3, 3, 3), normal(2, 3, 6, 5), (3, 3), 2, 1, 1, 3),
    ),
)
def conv2d_weight(d, x, kernel, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv2d` by its weight with a kernel of height and width `kernel`, where that by its result is `d`.

    Parameters
    ----------
    d : (N, out, OH, OW)
    x : (N, C, H, W)
    kernel : (kh, kw)

    Returns
    -------
    (out, C / groups, kh, kw)

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.
    """
    stride, padding, dilation, out = once(_geometry, "conv2d_weight", x.shape[2:], kernel, stride, padding, dilation)
    if d.shape[0] != x.shape[0] or d.shape[2:] != out or d.shape[1] % groups or x.shape[1] % groups:
        raise ValueError(
            f"conv2d_weight: d is {describe(d)}, expected ({x.shape[0]}, out, {out[0]}, {out[1]}) for x {describe(x)}; check the settings"
        )
    if d.dtype is not x.dtype or d.dtype.kind != "f":
        d, x = common_dtype(d, x)
    return conv2d_weight.kernel(d, x, tuple(kernel), stride, padding, dilation, groups)


@conv2d_weight.rule("d")
def _(g, x, stride, padding, dilation, groups):
    return conv2d(x, g, None, stride, padding, dilation, groups)


@conv2d_weight.rule("x")
def _(g, d, x_shape, stride, padding, dilation, groups):
    return conv2d_input(d, g, x_shape[2:], stride, padding, dilation, groups)


def unfold(x, kernel_size, stride=1, padding=0, dilation=1):
    """The windows of images as columns: a convolution is the product of its weight, a row for each filter, with them.

    Parameters
    ----------
    x : (N, C, H, W)
    kernel_size, stride, dilation : int or pair
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"

    Returns
    -------
    (N, C kh kw, windows), channel by channel, each channel's cells and the windows row by row.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.unfold(ns.tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    tensor([[[1., 2.],
             [2., 3.]]])
    """
    x, kernel = operand(x), pair("unfold", "kernel_size", kernel_size, 1)
    if x.ndim != 4:
        raise ValueError(f"unfold: expected x (N, C, H, W), got {describe(x)}; add the missing axes")
    y = conv2d(x, _one_cell_each(x, x.shape[1], kernel), None, stride, padding, dilation, x.shape[1])
    return reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))


def fold(x, size, kernel_size, stride=1, padding=0, dilation=1):
    """Columns added up as the windows of images, where they overlap too: the transpose of `unfold`.

    Parameters
    ----------
    x : (N, C kh kw, windows)
    size : int or pair
        (H, W).
    kernel_size, stride, dilation : int or pair
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"

    Returns
    -------
    (N, C, H, W)

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.fold(ns.tensor([[[1.0, 2.0], [2.0, 3.0]]]), (1, 3), (1, 2))
    tensor([[[[1., 4., 3.]]]])
    """
    name, x = "fold", operand(x)
    size, kernel = pair(name, "size", size, 1), pair(name, "kernel_size", kernel_size, 1)
    cells = kernel[0] * kernel[1]
    stride, padding, dilation, out = geometry(name, size, kernel, stride, padding, dilation)
    if x.ndim != 3 or x.shape[1] % cells or x.shape[2] != out[0] * out[1]:
        raise ValueError(
            f"{name}: expected x (N, C * {cells}, {out[0] * out[1]}), got {describe(x)}; check the settings"
        )
    channels = x.shape[1] // cells
    d = reshape(x, (*x.shape[:2], *out))
    return conv2d_input(d, _one_cell_each(x, channels, kernel), size, stride, padding, dilation, channels)


def _one_cell_each(x, channels, kernel):
    """The weight that gives each cell of each channel's windows a channel of its own."""
    cells = kernel[0] * kernel[1]
    return constant_on_device_of(
        x, np.tile(np.eye(cells, dtype=x.dtype).reshape(cells, 1, *kernel), (channels, 1, 1, 1))
    )


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """One-dimensional cross-correlation: `conv2d` on images of height 1.

    Parameters
    ----------
    x : (N, C, L)
    weight : (out, C / groups, k)
    bias : (out,), optional
    stride, dilation, groups : int
    padding : int, (before, after), "same", "same_lower" or "valid"

    Returns
    -------
    (N, out, OL)

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.conv1d(ns.tensor([[[1.0, 2.0, 4.0]]]), ns.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    if np.ndim(x) != 3 or np.ndim(weight) != 3:
        raise ValueError(
            f"conv1d: expected x (N, C, L) and weight (out, in / groups, k), got x: {describe(x)}, weight: {describe(weight)}; add the missing axes"
        )
    y = conv2d(
        expand_dims(x, 2), expand_dims(weight, 2), bias, (1, stride), row_padding(padding), (1, dilation), groups
    )
    return squeeze(y, 2)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution: what `conv2d` does to a gradient on its way back to the input.

    Parameters
    ----------
    x : (N, C, H, W)
    weight : (C, out / groups, kh, kw)
    bias : (out,), optional
    stride, dilation : int or pair
    padding : int, pair or ((top, bottom), (left, right))
        Rows and columns taken off the result.
    output_padding : int or pair
        Rows and columns put on at its bottom and right, fewer than the stride or the dilation.
    groups : int

    Returns
    -------
    (N, out, OH, OW), with OH = (H - 1) stride - padding + dilation (kh - 1) + output_padding + 1.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.conv_transpose2d(ns.tensor([[[[1.0, 2.0]]]]), ns.tensor([[[[1.0, 10.0]]]]))
    tensor([[[[ 1., 12., 20.]]]])
    """
    name = "conv_transpose2d"
    x, weight = operand(x), operand(weight)
    if np.ndim(x) != 4 or np.ndim(weight) != 4 or x.shape[1] != weight.shape[0]:
        raise ValueError(
            f"{name}: expected x (N, C, H, W) and weight (C, out / groups, kh, kw), got x: {describe(x)}, weight: {describe(weight)}; check in_channels"
        )
    stride, dilation = pair(name, "stride", stride, 1), pair(name, "dilation", dilation, 1)
    extra = extra_padding(name, output_padding, stride, dilation)
    if x.shape[1] % groups:
        raise ValueError(f"{name}: {groups} groups do not divide {x.shape[1]} input channels; choose a divisor")
    out = weight.shape[1] * groups
    if bias is not None and np.shape(bias) != (out,):
        raise ValueError(
            f"{name}: bias has shape {np.shape(bias)}, expected ({out},), one for each output channel; check out_channels"
        )
    if isinstance(padding, str):
        raise ValueError(
            f"{name}: padding {padding!r} has no meaning here; pass the numbers of rows and columns to take off"
        )
    edges = padding_edges(name, None, None, stride, padding)
    size = tuple(
        (n - 1) * s - before - after + d * (k - 1) + o + 1
        for n, s, (before, after), d, k, o in zip(
            x.shape[2:], stride, edges, dilation, weight.shape[2:], extra, strict=True
        )
    )
    if min(size) < 1:
        raise ValueError(f"{name}: the padding {padding!r} leaves nothing of the result; lower it")
    if extra[0] >= stride[0] or extra[1] >= stride[1]:  # so long that conv2d would have further windows there
        x = pad(x, ((0, 0), (0, 0), *((0, o // s) for o, s in zip(extra, stride, strict=True))))
    y = conv2d_input(x, weight, size, stride, edges, dilation, groups)
    return y if bias is None else y + reshape(bias, (1, -1, 1, 1))


def conv_transpose1d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """One-dimensional transposed convolution: `conv_transpose2d` on images of height 1.

    Parameters
    ----------
    x : (N, C, L)
    weight : (C, out / groups, k)
    bias : (out,), optional
    stride, output_padding, groups, dilation : int
    padding : int or (before, after)
        Elements taken off the result.

    Returns
    -------
    (N, out, OL), with OL = (L - 1) stride - padding + dilation (k - 1) + output_padding + 1.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.conv_transpose1d(ns.tensor([[[1.0, 2.0]]]), ns.tensor([[[1.0, 10.0]]]))
    tensor([[[ 1., 12., 20.]]])
    """
    x, weight = operand(x), operand(weight)
    if x.ndim != 3 or weight.ndim != 3:
        raise ValueError(
            f"conv_transpose1d: expected x (N, C, L) and weight (C, out / groups, k), got x: {describe(x)}, weight: {describe(weight)}; add the missing axes"
        )
    y = conv_transpose2d(
        expand_dims(x, 2),
        expand_dims(weight, 2),
        bias,
        (1, stride),
        row_padding(padding),
        (0, output_padding),
        groups,
        (1, dilation),
    )
    return squeeze(y, 2)
