"""Optimiser steps on a GPU, as `nnscratch.kernels.steps.definition` has them: of all parameters in one launch.

``steps.cu`` says how they are computed and why they are fast.
"""

import functools

import numpy as np

from ..cuda import runtime

#: The elements of a parameter that one block does, in one launch for all.
CHUNK = 1 << 12


def _constants(dtype):
    return {"ELEMENT": dtype, "CHUNK": CHUNK}


def _arithmetic(dtype):
    """The type that the kernels compute in."""
    return np.float32 if dtype == np.float16 else dtype.type


def _descent(dtype, lr, momentum, nesterov, weight_decay):
    number = _arithmetic(dtype)
    return number(lr), number(momentum), number(weight_decay), bool(nesterov)


def _adam(dtype, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled):
    scales = (1 - beta1**step, 1 - beta2**step) if bias_correction else (1.0, 1.0)
    decays = (0.0, lr * weight_decay) if decoupled else (weight_decay, 0.0)
    return tuple(map(_arithmetic(dtype), (beta1, 1 - beta1, beta2, 1 - beta2, *scales, lr, eps, *decays)))


@functools.lru_cache(maxsize=32)
def _table(xp, device, sizes, addresses):
    """What tells a block its share, on the device; kept, since memory is mostly given out again where it was."""
    blocks = [runtime.blocks(n, CHUNK) for n in sizes]
    starts = np.cumsum([0, *blocks])
    rows = np.column_stack([np.array(sizes, np.int64), np.array(addresses, np.uint64).view(np.int64)])
    return xp.asarray(np.concatenate([starts, rows.ravel()])), int(starts[-1])


def _address(array):
    return 0 if array is None else array.data.ptr


def _step(name, rows, written, scalars):
    """Launch once for each dtype; in a row, the columns `written` are written."""
    xp = runtime.xp()
    for dtype in dict.fromkeys(row[0].dtype for row in rows):
        chosen = [row for row in rows if row[0].dtype == dtype and row[0].size]
        flat = [[None if a is None else xp.ascontiguousarray(a) for a in row] for row in chosen]
        sizes = tuple(row[0].size for row in flat)
        addresses = tuple(tuple(map(_address, row)) for row in flat)
        if sizes:
            table, blocks = _table(xp, runtime._device(), sizes, addresses)
            args = table, len(sizes), runtime.word(), *scalars(dtype)
            runtime.launch("steps.cu", name, blocks, runtime.THREADS, args, **_constants(dtype))
        for row, contiguous in zip(chosen, flat, strict=True):
            for i in written:
                if row[i] is not None and not row[i].flags.c_contiguous:
                    row[i][...] = contiguous[i]


def sgd(rows, lr, momentum, nesterov, weight_decay):
    """One step of gradient descent, in one launch for each dtype; nothing while a check has failed (``bounds.cu``)."""

    def scalars(dtype):
        return _descent(dtype, lr, momentum, nesterov, weight_decay)

    _step("sgd", rows, (0, 2), scalars)


def adam(rows, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled):
    """One step of Adam, as `sgd` does it."""

    def scalars(dtype):
        return _adam(dtype, lr, beta1, beta2, eps, step, bias_correction, weight_decay, decoupled)

    _step("adam", rows, (0, 2, 3), scalars)
