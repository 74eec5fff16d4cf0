"""Pooling over sliding windows on a GPU: the names, arguments and results of `nnscratch.kernels.pool`.

``pool.cu`` says how they are computed and why they are fast.
"""

import math

import numpy as np

from .. import pool as cpu
from ..windows import output_sizes
from . import runtime


def _pooled(name, shape, dtype, arrays, size, windows, geometry, value=(), **constants):
    """The result (N, C, *shape) of a kernel of ``pool.cu``; `arrays` have (N, C) in front, too."""
    xp = runtime.xp()
    kernel, stride, ((top, _), (left, _)), dilation = geometry
    result = xp.empty((*arrays[0].shape[:2], *shape), dtype)
    planes = np.int64(math.prod(result.shape[:2]))
    numbers = planes, *size, *windows, *kernel, *stride, top, left, *dilation
    args = *map(xp.ascontiguousarray, arrays), result, *value, *numbers
    grid = min(runtime.blocks(result.size), 1 << 20)
    constants.setdefault("INDEX", np.dtype(np.uint8))
    runtime.launch("pool.cu", name, grid, runtime.THREADS, args, ELEMENT=arrays[0].dtype, **constants)
    return result


def _least(dtype):
    return (dtype.type(cpu._least(dtype)),)


def max_pool2d(x, kernel, stride, padding, dilation):
    """The largest element of every window, as `nnscratch.kernels.pool.max_pool2d`."""
    geometry = kernel, stride, padding, dilation
    windows = output_sizes(x.shape[2:], *geometry)
    return _pooled("max_pool2d", windows, x.dtype, [x], x.shape[2:], windows, geometry, _least(x.dtype))


def max_pool2d_index(x, kernel, stride, padding, dilation):
    """The place of each window's first maximum, or first nan, as `nnscratch.kernels.pool.max_pool2d_index`."""
    geometry = kernel, stride, padding, dilation
    windows = output_sizes(x.shape[2:], *geometry)
    dtype = np.min_scalar_type(kernel[0] * kernel[1] - 1)
    return _pooled(
        "max_pool2d_index", windows, dtype, [x], x.shape[2:], windows, geometry, _least(x.dtype), INDEX=dtype
    )


def pool_gather(x, index, kernel, stride, padding, dilation):
    """From every window the element that `index` names, as `nnscratch.kernels.pool.pool_gather`."""
    geometry, windows = (kernel, stride, padding, dilation), index.shape[2:]
    return _pooled("pool_gather", windows, x.dtype, [x, index], x.shape[2:], windows, geometry, INDEX=index.dtype)


def pool_scatter(g, index, size, kernel, stride, padding, dilation):
    """The transpose of `pool_gather`, as `nnscratch.kernels.pool.pool_scatter`."""
    geometry = kernel, stride, padding, dilation
    return _pooled("pool_scatter", size, g.dtype, [g, index], size, g.shape[2:], geometry, INDEX=index.dtype)


def sum_pool2d(x, kernel, stride, padding, dilation):
    """The sum of every window, as `nnscratch.kernels.pool.sum_pool2d`."""
    geometry = kernel, stride, padding, dilation
    windows = output_sizes(x.shape[2:], *geometry)
    return _pooled("sum_pool2d", windows, x.dtype, [x], x.shape[2:], windows, geometry)


def sum_unpool2d(g, size, kernel, stride, padding, dilation):
    """The transpose of `sum_pool2d`, as `nnscratch.kernels.pool.sum_unpool2d`."""
    geometry = kernel, stride, padding, dilation
    return _pooled("sum_unpool2d", size, g.dtype, [g], size, g.shape[2:], geometry)


def window_counts(size, kernel, stride, padding, dilation):
    """How many elements each window covers, as `nnscratch.kernels.pool.window_counts`; computed on the CPU."""
    return runtime.xp().asarray(cpu.window_counts(size, kernel, stride, padding, dilation))
