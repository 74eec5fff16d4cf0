"""Operators that make one value of many: sums, extremes and their places, running sums."""

from nnscratch.onnx.table import ints, like, need, operator
from nnscratch.ops import elementwise, index, reduce, shape


def _reduction(name, function):
    """Register a function of (x, axis, keepdims) that takes its axes in the standard's ways: an input or an attribute."""

    @operator(name)
    def _(x, axes_input=None, *, axes=(), keepdims=1, noop_with_empty_axes=0):
        axis = tuple(ints(axes_input, axes))
        if not axis and not noop_with_empty_axes:
            axis = None
        need(name not in ("ReduceMax", "ReduceMin") or x.size, "ns.max and ns.min refuse to reduce no elements")
        return function(x, axis, bool(keepdims))


_reduction("ReduceL1", lambda x, *how: reduce.norm(x, 1, *how))
_reduction("ReduceL2", lambda x, *how: reduce.norm(x, 2, *how))
_reduction("ReduceLogSum", lambda x, *how: elementwise.log(reduce.sum(x, *how)))
_reduction("ReduceLogSumExp", reduce.logsumexp)
_reduction("ReduceMax", reduce.max)
_reduction("ReduceMean", reduce.mean)
_reduction("ReduceMin", reduce.min)
_reduction("ReduceProd", reduce.prod)
_reduction("ReduceSum", reduce.sum)
_reduction("ReduceSumSquare", lambda x, *how: reduce.sum(elementwise.square(x), *how))


def _extreme(name, function):
    @operator(name)
    def _(x, *, axis=0, keepdims=1, select_last_index=0):
        if select_last_index:
            return x.shape[axis] - 1 - function(shape.flip(x, axis), axis, bool(keepdims))
        return function(x, axis, bool(keepdims))


_extreme("ArgMax", reduce.argmax)
_extreme("ArgMin", reduce.argmin)


@operator("CumSum")
def _(x, axis, *, exclusive=0, reverse=0):
    axis = int(axis) % x.ndim
    x = shape.flip(x, axis) if reverse else x
    if exclusive:
        before = [(int(i == axis), 0) for i in range(x.ndim)]
        x = shape.pad(x, before)[tuple(slice(n) for n in x.shape)]
    y = like(reduce.cumsum(x, axis), x)
    return shape.flip(y, axis) if reverse else y


@operator("TopK")
def _(x, k_input=None, *, k=None, axis=-1, largest=1, sorted=1):
    return index.topk(x, int(k if k_input is None else k_input), axis, bool(largest))
