"""Pooling over sliding windows on a GPU: the names, arguments and results of `nnscratch.kernels.pool.definition`.

``pool.cu`` says how they are computed and why they are fast.
"""

import math

import numpy as np

from ..cuda import runtime
from ..windows import output_sizes
from .definition import least

#: The type of the numbers of a window's cells, up to 256 of them.
BYTE = np.dtype(np.uint8)


def _pooled(name, shape, dtypes, arrays, size, windows, geometry, value=(), index=BYTE):
    """The results (N, C, *shape) of a kernel of ``pool.cu``, one for each dtype; `arrays` have (N, C) in front, too."""
    xp = runtime.xp()
    kernel, stride, ((top, _), (left, _)), dilation = geometry
    results = [xp.empty((*arrays[0].shape[:2], *shape), dtype) for dtype in dtypes]
    planes = np.int64(math.prod(arrays[0].shape[:2]))
    numbers = planes, *size, *windows, *kernel, *stride, top, left, *dilation
    args = *map(xp.ascontiguousarray, arrays), *results, *value, *numbers
    grid = min(runtime.blocks(results[0].size), 1 << 20)
    runtime.launch("pool.cu", name, grid, runtime.THREADS, args, ELEMENT=arrays[0].dtype, INDEX=index)
    return results


def max_pool2d(x, kernel, stride, padding, dilation):
    """The largest element of every window and its number, as `nnscratch.kernels.pool.definition.max_pool2d`."""
    geometry = kernel, stride, padding, dilation
    windows, index = output_sizes(x.shape[2:], *geometry), np.min_scalar_type(kernel[0] * kernel[1] - 1)
    value = (x.dtype.type(least(x.dtype)),)
    dtypes = x.dtype, index
    values, index = _pooled("max_pool2d", windows, dtypes, [x], x.shape[2:], windows, geometry, value, index)
    return values, index


def pool_gather(x, index, kernel, stride, padding, dilation):
    """From every window the element that `index` names, as `nnscratch.kernels.pool.definition.pool_gather`."""
    geometry, windows = (kernel, stride, padding, dilation), index.shape[2:]
    (picked,) = _pooled(
        "pool_gather", windows, [x.dtype], [x, index], x.shape[2:], windows, geometry, index=index.dtype
    )
    return picked


def pool_scatter(g, index, size, kernel, stride, padding, dilation):
    """The transpose of `pool_gather`, as `nnscratch.kernels.pool.definition.pool_scatter`."""
    geometry = kernel, stride, padding, dilation
    (dx,) = _pooled("pool_scatter", size, [g.dtype], [g, index], size, g.shape[2:], geometry, index=index.dtype)
    return dx


def sum_pool2d(x, kernel, stride, padding, dilation):
    """The sum of every window, as `nnscratch.kernels.pool.definition.sum_pool2d`."""
    geometry = kernel, stride, padding, dilation
    windows = output_sizes(x.shape[2:], *geometry)
    (total,) = _pooled("sum_pool2d", windows, [x.dtype], [x], x.shape[2:], windows, geometry)
    return total


def sum_unpool2d(g, size, kernel, stride, padding, dilation):
    """The transpose of `sum_pool2d`, as `nnscratch.kernels.pool.definition.sum_unpool2d`."""
    geometry = kernel, stride, padding, dilation
    (dx,) = _pooled("sum_unpool2d", size, [g.dtype], [g], size, g.shape[2:], geometry)
    return dx
