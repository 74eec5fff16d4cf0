"""Pooling. Where several cells of a window tie for the maximum, the first in row-major order gets the gradient."""

import functools

import numpy as np

from nnscratch.arguments import in_memory
from nnscratch.autograd import arguments_of, describe, is_grad_enabled, op, record_as
from nnscratch.kernels import windows as sliding_windows
from nnscratch.ops.activation import relu
from nnscratch.ops.conv import geometry, once, padding_edges, pair, row_padding
from nnscratch.ops.families import floating
from nnscratch.ops.index import index_array, put_along_axis, whole_indices
from nnscratch.ops.linear import matmul
from nnscratch.ops.shape import constant_on_device_of, expand_dims, operand, reshape, squeeze
from nnscratch.sample_inputs import Case, apart, normal


def _windows(name, x_shape, kernel, stride, padding, dilation, ceil_mode=False):
    """The settings as the kernels take them (the stride is the kernel's size where left out)."""
    return once(_checked_windows, name, x_shape, kernel, stride, padding, dilation, ceil_mode)


@functools.lru_cache(maxsize=1024, typed=True)
def _checked_windows(name, x_shape, kernel, stride, padding, dilation, ceil_mode):
    kernel = pair(name, "kernel_size", kernel, 1)
    if len(x_shape) != 4:
        raise ValueError(f"{name}: expected x (N, C, H, W), got shape {tuple(x_shape)}; add the missing axes")
    stride, padding, dilation, _ = geometry(
        name, x_shape[2:], kernel, kernel if stride is None else stride, padding, dilation, ceil_mode
    )
    if np.any(padding) and not sliding_windows.window_counts(x_shape[2:], kernel, stride, padding, dilation).all():
        raise ValueError(
            f"{name}: the padding {padding} lets windows of kernel {kernel} and dilation {dilation} lie outside x {tuple(x_shape)}; lower it"
        )
    return kernel, stride, padding, dilation


@op(
    formula=r"y_{ncij} = \max_{u,v} x_{n,\,c,\,i s + u d - p,\,j s + v d - p}",
    derivative=r"[\text{first cell that attains the maximum}]",
    document="the layers of 000 §3; 003 §5.2",
    outputs=("values", "index"),
    kernel="pool.max_pool2d",
    name="max_pool2d",
    samples=(
        Case(apart(2, 2, 4, 6), 2),
        Case(apart(1, 2, 5, 5), (3, 2), (2, 1), 1),
        Case(apart(1, 1, 7, 5), 2, 2, 0, (2, 1)),
        Case(apart(1, 1, 6, 4), 3, 2, "same_lower"),
        Case(apart(1, 1, 5, 6), 2, (2, 3), 0, 1, True),
    ),
)
def _max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """`max_pool2d`, and the number of the cell in its window, row by row, that each value was found in: of the first of several."""
    shape = getattr(x, "shape", ())
    return _max_pool2d.kernel(x, *_windows("max_pool2d", shape, kernel_size, stride, padding, dilation, ceil_mode))


@_max_pool2d.rule("x")
def _(g_values, index, x_shape, kernel_size, stride, padding, dilation, ceil_mode):
    windows = _windows("max_pool2d", x_shape, kernel_size, stride, padding, dilation, ceil_mode)
    return pool_scatter(g_values, index, x_shape[2:], *windows)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The greatest value in each window; at a tie the first in row-major order gets the gradient.

    Parameters
    ----------
    x : (N, C, H, W)
    kernel_size, stride, dilation : int or pair
        The stride is the kernel's size where it is left out.
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"
        Cells of -inf set around `x`, so few that no window lies outside `x`.
    ceil_mode : bool
        Whether cells that are left over at the end, too few for a window, get one that reaches beyond the edge.

    Returns
    -------
    (N, C, OH, OW), in the dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.max_pool2d(ns.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    tensor([[[[4.]]]])
    """
    settings = kernel_size, stride, padding, dilation, ceil_mode
    made = arguments_of(x, relu) if is_grad_enabled() else None
    if made is None:
        return _max_pool2d(x, *settings)[0]
    # The maximum of rectified values is the rectified maximum, bit for bit, and so are the gradients: a backward pass has fewer
    # values to look at where it takes the rectifier after the pooling.
    values, index = _max_pool2d(made[0], *settings)
    return record_as(_max_pool2d, (x, *settings), relu(values), index.data)


def _check_windows(name, what, value, x_shape, windows):
    """Refuse a value that is not one for each window of something of `x_shape`."""
    expected = (*x_shape[:2], *sliding_windows.output_sizes(x_shape[2:], *windows))
    if value.shape != expected:
        raise ValueError(
            f"{name}: {what} has shape {value.shape}, expected {expected}, one for each window; check the settings"
        )


_INDEX = np.array([[[[0, 3, 1], [2, 2, 0]]]], dtype=np.uint8)


@op(
    formula=r"\operatorname{argmax}_{h,w} \text{ over each window, as } h W + w",
    constant=True,
    samples=(Case(apart(2, 2, 4, 6), 2), Case(apart(1, 2, 5, 5), (3, 2), (2, 1), 1, 1, True)),
)
def max_pool2d_indices(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Where in its image each of `max_pool2d`'s values stands, for `max_unpool2d`; settings as there.

    Parameters
    ----------
    x : (N, C, H, W)
        Floating point.
    kernel_size, stride, padding, dilation, ceil_mode
        Those of `max_pool2d`.

    Returns
    -------
    (N, C, OH, OW) of int64, without a gradient: the first of a window's greatest values, as row times W plus column.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.max_pool2d_indices(ns.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    tensor([[[[2]]]], dtype=int64)
    """
    x = floating(x)
    windows = _windows("max_pool2d_indices", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    cell = _max_pool2d(x, *windows)[1].astype(np.int64)
    (_, across), (down, right), ((top, _), (left, _)), (dilated, sideways) = windows
    i, j = (constant_on_device_of(cell, n) for n in np.ogrid[: cell.shape[2], : cell.shape[3]])
    rows = i * down - top + cell // across * dilated
    return rows * x.shape[3] + j * right - left + cell % across * sideways


def max_unpool2d(x, indices, size):
    """Each value at the place that an index names, 0 elsewhere: pooling undone (Zeiler & Fergus, 2014).

    Parameters
    ----------
    x : (N, C, H, W)
    indices : (N, C, H, W) of whole numbers
        As `max_pool2d_indices` gives them.
    size : int or pair
        Of the images to be made, (OH, OW).

    Returns
    -------
    (N, C, OH, OW), in the dtype of `x`. Of values for one place the last stays.

    Raises
    ------
    IndexError, TypeError, ValueError
        Where shapes do not fit, or indices lie outside the image or are no whole numbers.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.max_unpool2d(ns.tensor([[[[4.0]]]]), [[[[2]]]], 2)
    tensor([[[[0., 0.],
              [4., 0.]]]])
    """
    name, x, indices = "max_unpool2d", operand(x), index_array(indices)
    height, width = pair(name, "size", size, 1)
    if x.ndim != 4 or indices.shape != x.shape:
        raise ValueError(
            f"{name}: expected x and indices (N, C, H, W), got {describe(x)} and {describe(indices)}; give both one shape"
        )
    images, cells = x.shape[:2], x.shape[2] * x.shape[3]
    places = whole_indices(name, indices, height * width, least=0).reshape(*images, cells)
    flat = put_along_axis(
        constant_on_device_of(x, np.zeros((*images, height * width), x.dtype)), places, reshape(x, places.shape), 2
    )
    return reshape(flat, (*images, height, width))


@op(
    formula=r"y = \text{the cell of each window that an index names}",
    derivative=r"\text{pool\_scatter}",
    constant=("index",),
    kernel="pool.pool_gather",
    samples=(Case(normal(1, 1, 4, 6), _INDEX, 2, 2, 0, 1), Case(normal(1, 1, 3, 4), _INDEX, 2, 1, 0, 1)),
)
def pool_gather(x, index, kernel_size, stride, padding, dilation):
    """From each window of `x` the cell that `index` numbers, in row-major order; 0 from the padding."""
    windows = _windows("pool_gather", x.shape, kernel_size, stride, padding, dilation)
    _check_windows("pool_gather", "index", index, x.shape, windows)
    return pool_gather.kernel(x, index, *windows)


@pool_gather.rule("x")
def _(g, x_shape, index, kernel_size, stride, padding, dilation):
    return pool_scatter(g, index, x_shape[2:], kernel_size, stride, padding, dilation)


@op(
    formula=r"x \text{ added into the cells that an index names}",
    derivative=r"\text{pool\_gather}",
    constant=("index",),
    kernel="pool.pool_scatter",
    samples=(
        Case(normal(1, 1, 2, 3), _INDEX, (4, 6), 2, 2, 0, 1),
        Case(normal(1, 1, 2, 3), _INDEX, (3, 4), 2, 1, 0, 1),
    ),
)
def pool_scatter(x, index, size, kernel_size, stride, padding, dilation):
    """The transpose of `pool_gather`: zeros of height and width `size` with `x` added into the cells that `index` names."""
    shape = (*x.shape[:2], *size)
    windows = _windows("pool_scatter", shape, kernel_size, stride, padding, dilation)
    for name, value in (("x", x), ("index", index)):
        _check_windows("pool_scatter", name, value, shape, windows)
    return pool_scatter.kernel(x, index, tuple(size), *windows)


@pool_scatter.rule("x")
def _(g, index, kernel_size, stride, padding, dilation):
    return pool_gather(g, index, kernel_size, stride, padding, dilation)


@op(
    formula=r"y_{ncij} = \sum_{u,v} x_{n,\,c,\,i s + u d - p,\,j s + v d - p}",
    derivative=r"\text{sum\_unpool2d}",
    kernel="pool.sum_pool2d",
    samples=(
        Case(normal(2, 2, 4, 6), 2),
        Case(normal(1, 2, 5, 5), (3, 2), (2, 1), 1),
        Case(normal(1, 1, 7, 5), 2, 2, ((0, 1), (1, 0)), (2, 1)),
    ),
)
def sum_pool2d(x, kernel_size, stride=None, padding=0, dilation=1):
    """The sum over each window."""
    windows = _windows("avg_pool2d", getattr(x, "shape", ()), kernel_size, stride, padding, dilation)
    return sum_pool2d.kernel(x, *windows)


@sum_pool2d.rule("x")
def _(g, x_shape, kernel_size, stride, padding, dilation):
    return sum_unpool2d(g, x_shape[2:], kernel_size, stride, padding, dilation)


@op(
    formula=r"\text{each value added into its whole window}",
    derivative=r"\text{sum\_pool2d}",
    kernel="pool.sum_unpool2d",
    samples=(
        Case(normal(2, 2, 2, 3), (4, 6), 2),
        Case(normal(1, 2, 3, 6), (5, 5), (3, 2), (2, 1), 1),
        Case(normal(1, 1, 3, 3), (7, 5), 2, 2, ((0, 1), (1, 0)), (2, 1)),
    ),
)
def sum_unpool2d(x, size, kernel_size, stride=None, padding=0, dilation=1):
    """The transpose of `sum_pool2d`, to height and width `size`."""
    shape = (*x.shape[:2], *size)
    windows = _windows("sum_unpool2d", shape, kernel_size, stride, padding, dilation)
    _check_windows("sum_unpool2d", "x", x, shape, windows)
    return sum_unpool2d.kernel(x, tuple(size), *windows)


@sum_unpool2d.rule("x")
def _(g, kernel_size, stride, padding, dilation):
    return sum_pool2d(g, kernel_size, stride, padding, dilation)


def avg_pool2d(x, kernel_size, stride=None, padding=0, count_include_pad=True, ceil_mode=False, dilation=1):
    """The mean of each window.

    Parameters
    ----------
    x : (N, C, H, W)
    kernel_size, stride, dilation : int or pair
        The stride is the kernel's size where it is left out.
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"
        Zeros set around `x`, so few that no window lies outside `x`.
    count_include_pad : bool
        Whether those zeros count in the mean.
    ceil_mode : bool
        Whether cells that are left over at the end, too few for a window, get one that reaches beyond the edge; what
        lies beyond does not count in the mean.

    Returns
    -------
    (N, C, OH, OW)

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.avg_pool2d(ns.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    tensor([[[[2.5]]]])
    """
    name, x = "avg_pool2d", operand(x)
    windows = _windows(name, x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    y = sum_pool2d(x, *windows)
    kernel, stride, edges, dilation = windows
    if not (count_include_pad or np.any(edges)) or (count_include_pad and not ceil_mode):
        return y / (kernel[0] * kernel[1])
    size = x.shape[2:]
    if count_include_pad:
        # cells of the padding asked for count, those that ceil_mode added to it do not
        spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        own = padding_edges(name, size, spans, stride, padding)
        size = tuple(n + before + after for n, (before, after) in zip(size, own, strict=True))
        edges = tuple((0, after - usual) for (_, after), (_, usual) in zip(edges, own, strict=True))
    counts = sliding_windows.window_counts(size, kernel, stride, edges, dilation)
    return y / constant_on_device_of(y, counts.astype(y.dtype))


def adaptive_avg_pool2d(x, output_size):
    """Means over as many windows as asked for: cell i averages from ⌊i·H/OH⌋ up to ⌈(i+1)·H/OH⌉, likewise across.

    Parameters
    ----------
    x : (N, C, H, W)
    output_size : int or pair
        (OH, OW).

    Returns
    -------
    (N, C, OH, OW)

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.adaptive_avg_pool2d(ns.tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    tensor([[[[1.5, 2.5]]]])
    """
    name = "adaptive_avg_pool2d"
    x = operand(x, name)
    out = pair(name, "output_size", output_size, 1)
    if np.ndim(x) != 4 or 0 in x.shape[2:]:
        raise ValueError(
            f"{name}: expected x (N, C, H, W) with at least one cell, got {describe(x)}; add the missing axes"
        )
    with in_memory(name):
        down, across = (
            constant_on_device_of(x, _averages(n, o).astype(x.dtype)) for n, o in zip(x.shape[2:], out, strict=True)
        )
    return matmul(matmul(down, x), across.T)


def _averages(n, out):
    """The (out, n) matrix whose rows average the windows."""
    start = np.arange(out) * n // out
    stop = -(-(np.arange(out) + 1) * n // out)
    cells = np.arange(n)
    inside = (cells >= start[:, None]) & (cells < stop[:, None])
    return inside / inside.sum(1, keepdims=True)


def _as_rows(name, x):
    """A sequence (N, C, L) as images of height 1."""
    x = operand(x)
    if x.ndim != 3:
        raise ValueError(f"{name}: expected x (N, C, L), got {describe(x)}; add the missing axes")
    return expand_dims(x, 2)


def max_pool1d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The greatest value in each window of x (N, C, L): `max_pool2d` on images of height 1.

    Parameters
    ----------
    x : (N, C, L)
    kernel_size, stride, dilation : int
        The stride is the kernel's size where it is left out.
    padding : int, (before, after), "same", "same_lower" or "valid"
        Cells of -inf set around `x`.
    ceil_mode : bool
        Whether cells that are left over at the end, too few for a window, get one that reaches beyond the edge.

    Returns
    -------
    (N, C, OL), in the dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.max_pool1d(ns.tensor([[[1.0, 3.0, 2.0, 4.0]]]), 2)
    tensor([[[3., 4.]]])
    """
    stride = kernel_size if stride is None else stride
    x = _as_rows("max_pool1d", x)
    return squeeze(max_pool2d(x, (1, kernel_size), (1, stride), row_padding(padding), (1, dilation), ceil_mode), 2)


def avg_pool1d(x, kernel_size, stride=None, padding=0, count_include_pad=True, ceil_mode=False, dilation=1):
    """The mean of each window of x (N, C, L): `avg_pool2d` on images of height 1.

    Parameters
    ----------
    x : (N, C, L)
        Floating point.
    kernel_size, stride, dilation : int
        The stride is the kernel's size where it is left out.
    padding : int, (before, after), "same", "same_lower" or "valid"
        Zeros set around `x`.
    count_include_pad : bool
        Whether the padding's zeros count in the mean.
    ceil_mode : bool
        Whether cells that are left over at the end, too few for a window, get one that reaches beyond the edge.

    Returns
    -------
    (N, C, OL), in the dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes or settings do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.avg_pool1d(ns.tensor([[[1.0, 3.0, 2.0, 4.0]]]), 2)
    tensor([[[2., 3.]]])
    """
    stride = kernel_size if stride is None else stride
    settings = ((1, kernel_size), (1, stride), row_padding(padding), count_include_pad, ceil_mode, (1, dilation))
    return squeeze(avg_pool2d(_as_rows("avg_pool1d", x), *settings), 2)
