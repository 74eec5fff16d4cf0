"""Batch normalisation whose moments are those of all ranks' samples."""

import contextlib
import threading

import numpy as np

from nnscratch import backend
from nnscratch.autograd import op
from nnscratch.ops.elementwise import multiply, sqrt, square
from nnscratch.ops.normalise import standardizing
from nnscratch.ops.operands import raw
from nnscratch.ops.reduce import sum


class _Here(threading.local):
    messages = None


_here = _Here()


@op(formula=r"\sum_r x_r", derivative=r"\sum_r g_r")
def sum_over_ranks(x):
    """The sum of all ranks' arrays, which each of them gets; so the gradient is the sum of all ranks', too."""
    whole = np.array(backend.to_numpy(x), np.promote_types(x.dtype, np.float32)).reshape(-1)
    _here.messages.start_sum(whole, aside=True).wait()
    return backend.of(x).asarray(whole.reshape(x.shape).astype(x.dtype))


@sum_over_ranks.rule("x")
def _(g):
    return sum_over_ranks(g)


@contextlib.contextmanager
def over(ranks, counts):
    """Within this block batch normalisation takes its moments over `ranks`, this one's samples with them where they count."""
    if ranks is None:
        yield
        return
    before = _here.messages, standardizing.way
    _here.messages = ranks.messages

    def standardize(x, axes, eps, weight, bias):
        n = float(x.size // x.shape[1]) * counts
        total = float(sum_over_ranks(np.array([n]))[0])
        mean = sum_over_ranks(multiply(sum(x, axes, True), float(counts))) / total
        centred = x - mean
        variance = sum_over_ranks(multiply(sum(square(centred), axes, True), float(counts))) / total
        y = centred / sqrt(variance + eps)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias, raw(mean), raw(variance), total

    standardizing.way = standardize
    try:
        yield
    finally:
        _here.messages, standardizing.way = before
