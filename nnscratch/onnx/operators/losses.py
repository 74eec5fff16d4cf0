"""Operators that measure how wrong a prediction is."""

from nnscratch import functional as F
from nnscratch.onnx.table import operator
from nnscratch.ops.shape import transpose


def _classes_last(x):
    """(N, C, ...) as (N, ..., C)."""
    return transpose(x, (0, *range(2, x.ndim), 1))


@operator("NegativeLogLikelihoodLoss")
def _(x, target, weight=None, *, ignore_index=None, reduction="mean"):
    return F.nll_loss(_classes_last(x), target, reduction, weight, ignore_index)


@operator("SoftmaxCrossEntropyLoss")
def _(x, target, weight=None, *, ignore_index=None, reduction="mean", at):
    loss = F.cross_entropy(
        _classes_last(x), target, from_logits=True, reduction=reduction, weight=weight, ignore_index=ignore_index
    )
    return loss if at.outputs == 1 else (loss, F.log_softmax(x, 1))
