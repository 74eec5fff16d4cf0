"""Pooling. Where several cells of a window tie for the maximum, the first in row-major order gets the gradient."""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import describe, op
from nnscratch.ops.conv import geometry, pair
from nnscratch.ops.linear import matmul
from nnscratch.ops.shape import operand, reshape
from nnscratch.samples import Case, apart, normal


def _windows(name, x_shape, kernel, stride, padding, dilation):
    """The settings as the kernels take them (the stride is the kernel's size where left out), and the result's size."""
    kernel = pair(name, "kernel_size", kernel, 1)
    if len(x_shape) != 4:
        raise ValueError(f"{name}: expected x (N, C, H, W), got shape {tuple(x_shape)}; add the missing axes")
    stride, padding, dilation, out = geometry(
        name, x_shape[2:], kernel, kernel if stride is None else stride, padding, dilation
    )
    # With a dilation a window can step over all of x however little padding there is.
    outside = (
        any(max(edge) > k / 2 for edge, k in zip(padding, kernel, strict=True))
        if dilation == (1, 1)
        else (
            np.any(padding)
            and not backend.cpu.kernels.window_counts(x_shape[2:], kernel, stride, padding, dilation).all()
        )
    )
    if outside:
        raise ValueError(
            f"{name}: the padding {padding} lets windows of kernel {kernel} and dilation {dilation} lie outside x {tuple(x_shape)}; lower it"
        )
    return kernel, stride, padding, dilation, out


@op(
    formula=r"y_{ncij} = \max_{u,v} x_{n,\,c,\,i s + u d - p,\,j s + v d - p}",
    derivative=r"[\text{first cell that attains the maximum}]",
    document="the layers of 000 §3; 003 §5.2",
    samples=(
        Case(apart(2, 2, 4, 6), 2),
        Case(apart(1, 2, 5, 5), (3, 2), (2, 1), 1),
        Case(apart(1, 1, 7, 5), 2, 2, 0, (2, 1)),
    ),
)
def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1):
    """The greatest value in each window; at a tie the first in row-major order gets the gradient.

    Parameters
    ----------
    x : (N, C, H, W)
    kernel_size, stride, dilation : int or pair
        The stride is the kernel's size where it is left out.
    padding : int, pair, ((top, bottom), (left, right)), "same" or "valid"
        Cells of -inf set around `x`, at most half of the kernel, so that no window lies outside `x`.

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
    windows = _windows("max_pool2d", np.shape(x), kernel_size, stride, padding, dilation)[:4]
    return backend.of(x).kernels.max_pool2d(x, *windows)


@max_pool2d.rule("x")
def _(g, x, kernel_size, stride, padding, dilation):
    windows = _windows("max_pool2d", x.shape, kernel_size, stride, padding, dilation)[:4]
    x = x if isinstance(x, np.ndarray) else x.data
    return pool_scatter(g, backend.of(x).kernels.max_pool2d_index(x, *windows), x.shape[2:], *windows)


_INDEX = np.array([[[[0, 3, 1], [2, 2, 0]]]], dtype=np.uint8)


@op(
    formula=r"y = \text{the cell of each window that an index names}",
    derivative=r"\text{pool\_scatter}",
    constant=("index",),
    samples=(Case(normal(1, 1, 4, 6), _INDEX, 2, 2, 0, 1), Case(normal(1, 1, 3, 4), _INDEX, 2, 1, 0, 1)),
)
def pool_gather(x, index, kernel_size, stride, padding, dilation):
    """From each window of `x` the cell that `index` numbers, in row-major order; 0 from the padding."""
    windows = _windows("pool_gather", x.shape, kernel_size, stride, padding, dilation)[:4]
    return backend.of(x).kernels.pool_gather(x, index, *windows)


@pool_gather.rule("x")
def _(g, x_shape, index, kernel_size, stride, padding, dilation):
    return pool_scatter(g, index, x_shape[2:], kernel_size, stride, padding, dilation)


@op(
    formula=r"x \text{ added into the cells that an index names}",
    derivative=r"\text{pool\_gather}",
    constant=("index",),
    samples=(
        Case(normal(1, 1, 2, 3), _INDEX, (4, 6), 2, 2, 0, 1),
        Case(normal(1, 1, 2, 3), _INDEX, (3, 4), 2, 1, 0, 1),
    ),
)
def pool_scatter(x, index, size, kernel_size, stride, padding, dilation):
    """The transpose of `pool_gather`: zeros of height and width `size` with `x` added into the cells that `index` names."""
    windows = _windows("pool_scatter", (*x.shape[:2], *size), kernel_size, stride, padding, dilation)[:4]
    return backend.of(x).kernels.pool_scatter(x, index, tuple(size), *windows)


@pool_scatter.rule("x")
def _(g, index, kernel_size, stride, padding, dilation):
    return pool_gather(g, index, kernel_size, stride, padding, dilation)


@op(
    formula=r"y_{ncij} = \sum_{u,v} x_{n,\,c,\,i s + u - p,\,j s + v - p}",
    derivative=r"\text{sum\_unpool2d}",
    samples=(Case(normal(2, 2, 4, 6), 2), Case(normal(1, 2, 5, 5), (3, 2), (2, 1), 1)),
)
def sum_pool2d(x, kernel_size, stride=None, padding=0):
    """The sum over each window."""
    windows = _windows("avg_pool2d", np.shape(x), kernel_size, stride, padding, 1)[:4]
    return backend.of(x).kernels.sum_pool2d(x, *windows)


@sum_pool2d.rule("x")
def _(g, x_shape, kernel_size, stride, padding):
    return sum_unpool2d(g, x_shape[2:], kernel_size, stride, padding)


@op(
    formula=r"\text{each value added into its whole window}",
    derivative=r"\text{sum\_pool2d}",
    samples=(Case(normal(2, 2, 2, 3), (4, 6), 2), Case(normal(1, 2, 3, 6), (5, 5), (3, 2), (2, 1), 1)),
)
def sum_unpool2d(x, size, kernel_size, stride=None, padding=0):
    """The transpose of `sum_pool2d`, to height and width `size`."""
    windows = _windows("sum_unpool2d", (*x.shape[:2], *size), kernel_size, stride, padding, 1)[:4]
    return backend.of(x).kernels.sum_unpool2d(x, tuple(size), *windows)


@sum_unpool2d.rule("x")
def _(g, kernel_size, stride, padding):
    return sum_pool2d(g, kernel_size, stride, padding)


def avg_pool2d(x, kernel_size, stride=None, padding=0, count_include_pad=True):
    """The mean of each window.

    Parameters
    ----------
    x : (N, C, H, W)
    kernel_size, stride : int or pair
        The stride is the kernel's size where it is left out.
    padding : int, pair, ((top, bottom), (left, right)), "same" or "valid"
        Zeros set around `x`, at most half of the kernel.
    count_include_pad : bool
        Whether those zeros count in the mean.

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
    x = operand(x)
    y = sum_pool2d(x, kernel_size, stride, padding)
    kernel, stride, padding, dilation, _ = _windows("avg_pool2d", x.shape, kernel_size, stride, padding, 1)
    if count_include_pad:
        return y / (kernel[0] * kernel[1])
    counts = backend.cpu.kernels.window_counts(x.shape[2:], kernel, stride, padding, dilation)
    return y / counts.astype(y.dtype)


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
    name, x = "adaptive_avg_pool2d", operand(x)
    out = pair(name, "output_size", output_size, 1)
    if np.ndim(x) != 4 or 0 in x.shape[2:]:
        raise ValueError(
            f"{name}: expected x (N, C, H, W) with at least one cell, got {describe(x)}; add the missing axes"
        )
    down, across = (_averages(n, o).astype(x.dtype) for n, o in zip(x.shape[2:], out, strict=True))
    return matmul(matmul(down, x), across.T)


def _averages(n, out):
    """The (out, n) matrix whose rows average the windows."""
    start = np.arange(out) * n // out
    stop = -(-(np.arange(out) + 1) * n // out)
    cells = np.arange(n)
    inside = (cells >= start[:, None]) & (cells < stop[:, None])
    return inside / inside.sum(1, keepdims=True)


def max_pool1d(x, kernel_size, stride=None, padding=0, dilation=1):
    """The greatest value in each window of x (N, C, L): `max_pool2d` on images of height 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.max_pool1d(ns.tensor([[[1.0, 3.0, 2.0, 4.0]]]), 2)
    tensor([[[3., 4.]]])
    """
    x = operand(x)
    if x.ndim != 3:
        raise ValueError(f"max_pool1d: expected x (N, C, L), got {describe(x)}; add the missing axes")
    stride = kernel_size if stride is None else stride
    y = max_pool2d(
        reshape(x, (*x.shape[:2], 1, x.shape[2])), (1, kernel_size), (1, stride), (0, padding), (1, dilation)
    )
    return reshape(y, (*y.shape[:2], y.shape[3]))


def avg_pool1d(x, kernel_size, stride=None, padding=0, count_include_pad=True):
    """The mean of each window of x (N, C, L): `avg_pool2d` on images of height 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.avg_pool1d(ns.tensor([[[1.0, 3.0, 2.0, 4.0]]]), 2)
    tensor([[[2., 3.]]])
    """
    x = operand(x)
    if x.ndim != 3:
        raise ValueError(f"avg_pool1d: expected x (N, C, L), got {describe(x)}; add the missing axes")
    stride = kernel_size if stride is None else stride
    y = avg_pool2d(
        reshape(x, (*x.shape[:2], 1, x.shape[2])), (1, kernel_size), (1, stride), (0, padding), count_include_pad
    )
    return reshape(y, (*y.shape[:2], y.shape[3]))
