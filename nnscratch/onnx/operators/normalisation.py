"""Operators that normalise, and dropout."""

from nnscratch import functional as F
from nnscratch.onnx.table import need, operator
from nnscratch.ops import elementwise, reduce, shape


@operator("BatchNormalization")
def _(
    x, scale, b, mean, var, *, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1, is_test=1, consumed_inputs=None, at,
):  # fmt: skip
    need(spatial or x.ndim == 2, "batch normalisation of each place by itself")
    if not training_mode:
        return F.batch_norm(x, mean, var, scale, b, at.training, 1 - momentum, epsilon)
    # the standard's running variance is of n, nnscratch's (as PyTorch's) of n - 1
    y = F.batch_norm(x, None, None, scale, b, training=True, eps=epsilon)
    axes = (0, *range(2, x.ndim))
    running = [momentum * old + (1 - momentum) * of(x, axes) for old, of in ((mean, reduce.mean), (var, reduce.var))]
    return y, *running


@operator("InstanceNormalization")
def _(x, scale, b, *, epsilon=1e-5):
    return F.instance_norm(x, scale, b, epsilon)


@operator("GroupNormalization")
def _(x, scale, b, *, num_groups, epsilon=1e-5, stash_type=1, at):
    if at.opset < 21:  # where groups have scales, and not channels
        scale, b = (
            shape.reshape(shape.broadcast_to(shape.expand_dims(a, 1), (num_groups, x.shape[1] // num_groups)), (-1,))
            for a in (scale, b)
        )
    return F.group_norm(x, num_groups, scale, b, epsilon)


@operator("LRN")
def _(x, *, size, alpha=1e-4, beta=0.75, bias=1.0):
    need(size % 2, "an even number of channels, which the standard centres otherwise")
    return F.local_response_norm(x, size, alpha, beta, bias)


@operator("LayerNormalization")
def _(x, scale, b=None, *, axis=-1, epsilon=1e-5, stash_type=1, at):
    axes = tuple(range(axis % x.ndim, x.ndim))
    y = F.layer_norm(x, scale, b, axes, epsilon)
    if at.outputs == 1:
        return y
    deviation = elementwise.sqrt(reduce.var(x, axes, keepdims=True) + epsilon)
    return y, reduce.mean(x, axes, True), elementwise.reciprocal(deviation)


@operator("RMSNormalization")
def _(x, scale, *, axis=-1, epsilon=1e-5, stash_type=1):
    return F.rms_norm(x, scale, tuple(range(axis % x.ndim, x.ndim)), epsilon)


@operator("LpNormalization")
def _(x, *, axis=-1, p=2):
    return F.normalize(x, p, axis)


@operator("MeanVarianceNormalization")
def _(x, *, axes=(0, 2, 3)):
    return F.layer_norm(x, axis=tuple(axes), eps=1e-9)


@operator("Dropout")
def _(x, ratio_input=None, training=None, *, ratio=0.5, seed=None, is_test=1, at):
    ratio = ratio if ratio_input is None else ratio_input.item()
    asked = training is not None and bool(training)
    need(not asked or ratio == 0 or at.training, "the random numbers of another generator")
    y = F.dropout(x, ratio, asked or at.training)
    if at.outputs == 1:
        return y
    mask = elementwise.equal(x, x)
    return y, mask if at.opset >= 10 else elementwise.astype(mask, x.dtype)
