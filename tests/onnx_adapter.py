"""ONNX graphs run by nnscratch: each ONNX operator as a few calls of public functions.

An operator's function takes the node's inputs as Tensors (None for an optional one left out) and its attributes by their
ONNX names. An attribute that it does not take, or a value that nnscratch refuses by design, makes a case not applicable,
with the reason; everything else must agree with the standard.
"""

import functools
import inspect
import math

import numpy as np
import onnx
from onnx import helper, numpy_helper

import nnscratch as ns

F = ns.functional

#: The dtypes of Tensors.
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()

#: Operators by their ONNX names.
OPERATORS: dict = {}


class NotApplicable(Exception):
    """The case asks for something that nnscratch does not have; the message is the reason."""


def operator(*names):
    """Decorator: the function that does the work of the ONNX operators named."""

    def register(function):
        for name in names:
            OPERATORS[name] = function
        return function

    return register


def need(condition, reason):
    """Raise NotApplicable with the reason, unless the condition holds."""
    if not condition:
        raise NotApplicable(reason)


def dtype_of(number):
    """The NumPy dtype of ONNX's number for an element type."""
    name = onnx.TensorProto.DataType.Name(number).lower()
    dtype = {"float": "float32", "double": "float64"}.get(name, name)
    need(dtype in DTYPES, f"no dtype {name}")
    return dtype


def attribute(a):
    """The value of a node's attribute: a number, a string, a list of them, or a Tensor."""
    need(a.type not in (a.GRAPH, a.GRAPHS), "control flow")
    value = helper.get_attribute_value(a)
    if a.type == a.TENSOR:
        dtype_of(value.data_type)
        return ns.tensor(numpy_helper.to_array(value))
    need(a.type not in (a.SPARSE_TENSOR, a.TYPE_PROTO), "sparse tensors")
    return value.decode() if isinstance(value, bytes) else value


def obstacle(model):
    """Why the graph cannot be run, as far as can be seen without running it; None where nothing is in the way."""
    graph = model.graph
    kinds = {node.op_type for node in graph.node}
    if kinds - set(OPERATORS):
        return f"no operator {', '.join(sorted(kinds - set(OPERATORS)))}"
    if kinds == {"Range"}:
        return "makes an array, which is left to NumPy"
    try:
        for value in (*graph.input, *graph.output):
            need(value.type.HasField("tensor_type"), "sequences and optional values")
            dtype_of(value.type.tensor_type.elem_type)
        for node in graph.node:
            function = OPERATORS[node.op_type]
            takes = inspect.signature(function).parameters.values()
            known = {p.name for p in takes if p.kind is p.KEYWORD_ONLY}
            for a in node.attribute:
                attribute(a)
                need(a.name in known, f"attribute {a.name} of {node.op_type}")
    except NotApplicable as reason:
        return str(reason)
    return None


def run(model, inputs):
    """The graph's outputs, as Tensors, for inputs given as arrays."""
    graph = model.graph
    values = {"": None}
    values.update((i.name, ns.tensor(a)) for i, a in zip(graph.input, inputs, strict=True))
    values.update((i.name, ns.tensor(numpy_helper.to_array(i))) for i in graph.initializer)
    for node in graph.node:
        function = OPERATORS[node.op_type]
        settings = {a.name: attribute(a) for a in node.attribute}
        if "outputs" in inspect.signature(function).parameters:
            settings["outputs"] = node.output
        with np.errstate(all="ignore"):  # the standard's inf and nan come with NumPy's warnings
            results = function(*(values[name] for name in node.input), **settings)
        results = results if isinstance(results, tuple | list) else (results,)
        need(len(results) >= len(node.output), f"output {len(results) + 1} of {node.op_type}")
        values.update(zip(node.output, results, strict=False))
    return [values[o.name] for o in graph.output]


def ints(t, default=None):
    """The whole numbers in a Tensor of them, as a list."""
    return default if t is None else [int(i) for i in t.numpy().reshape(-1)]


def like(y, x):
    """`y` in the dtype of `x`: the standard keeps whole numbers whole where NumPy's functions make fractions of them."""
    return y if y.dtype == x.dtype else ns.astype(y, x.dtype)


# What has the same name, arguments and meaning but for its spelling

OPERATORS.update(
    Abs=ns.abs, Acos=ns.acos, Acosh=ns.acosh, Add=ns.add, And=ns.logical_and, Asin=ns.asin, Asinh=ns.asinh, Atan=ns.atan,
    Atanh=ns.atanh, Ceil=ns.ceil, Cos=ns.cos, Cosh=ns.cosh, Equal=ns.equal, Erf=ns.erf, Exp=ns.exp, Floor=ns.floor,
    Greater=ns.greater, GreaterOrEqual=ns.greater_equal, HardSwish=F.hardswish, Identity=ns.copy, IsNaN=ns.isnan,
    Less=ns.less, LessOrEqual=ns.less_equal, Log=ns.log, MatMul=ns.matmul, Mish=F.mish, Mul=ns.multiply, Neg=ns.negative,
    Not=ns.logical_not, Or=ns.logical_or, PRelu=F.prelu, Reciprocal=ns.reciprocal, Relu=F.relu, Round=ns.round,
    Sigmoid=F.sigmoid, Sign=ns.sign, Sin=ns.sin, Sinh=ns.sinh, Softplus=F.softplus, Softsign=F.softsign, Sqrt=ns.sqrt,
    Sub=ns.subtract, Tan=ns.tan, Tanh=ns.tanh, Where=ns.where, Xor=ns.logical_xor,
)  # fmt: skip


# Element by element


@operator("Div")
def _(a, b):
    return ns.divide(a, b) if a.dtype.kind == "f" else ns.astype(ns.trunc(ns.divide(a, b)), a.dtype)


@operator("Mod")
def _(a, b, *, fmod=0):
    # with fmod the result has the sign of a
    return ns.sign(a) * ns.remainder(ns.abs(a), ns.abs(b)) if fmod else ns.remainder(a, b)


@operator("Pow")
def _(a, b):
    return like(ns.power(a, b), a)


@operator("Max")
def _(*x):
    return functools.reduce(ns.maximum, x)


@operator("Min")
def _(*x):
    return functools.reduce(ns.minimum, x)


@operator("Sum")
def _(*x):
    return functools.reduce(ns.add, x)


@operator("Mean")
def _(*x):
    return functools.reduce(ns.add, x) / len(x)


@operator("IsInf")
def _(x, *, detect_negative=1, detect_positive=1):
    sides = ns.logical_or((x > 0) & bool(detect_positive), (x < 0) & bool(detect_negative))
    return ns.isinf(x) & sides


@operator("Clip")
def _(x, low=None, high=None):
    if low is None and high is None:
        return x
    need(low is None or high is None or low.item() <= high.item(), "ns.clip refuses a low bound above the high one")
    return ns.clip(x, low, high)


@operator("Cast")
def _(x, *, to, saturate=1):
    return ns.astype(x, dtype_of(to))


@operator("CastLike")
def _(x, like, *, saturate=1):
    return ns.astype(x, like.dtype)


# Activations


@operator("Celu")
def _(x, *, alpha=1.0):
    return F.celu(x, alpha)


@operator("Elu")
def _(x, *, alpha=1.0):
    return F.elu(x, alpha)


@operator("Gelu")
def _(x, *, approximate="none"):
    return F.gelu(x, approximate)


@operator("HardSigmoid")
def _(x, *, alpha=0.2, beta=0.5):
    return F.hardsigmoid(x, alpha, beta)


@operator("LeakyRelu")
def _(x, *, alpha=0.01):
    return F.leaky_relu(x, alpha)


@operator("LogSoftmax")
def _(x, *, axis=-1):
    return F.log_softmax(x, axis)


@operator("Selu")
def _(x, *, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875):
    return F.selu(x, alpha, gamma)


@operator("Softmax")
def _(x, *, axis=-1):
    if x.dtype == np.float16:
        # the standard's body rounds at each step, and one case's tolerance leaves no room for F.softmax's single rounding
        e = ns.exp(x - ns.max(x, axis, True))
        return e / ns.sum(e, axis, True)
    return F.softmax(x, axis)


@operator("Swish")
def _(x, *, alpha=1.0):
    return F.silu(alpha * x) / alpha


# Reductions


def reduction(name, function):
    """Register a function of (x, axis, keepdims) that takes its axes in the standard's ways: an input or an attribute."""

    @operator(name)
    def _(x, axes_input=None, *, axes=(), keepdims=1, noop_with_empty_axes=0):
        axis = tuple(ints(axes_input, axes))
        if not axis and not noop_with_empty_axes:
            axis = None
        need(name not in ("ReduceMax", "ReduceMin") or x.size, "ns.max and ns.min refuse to reduce no elements")
        return function(x, axis, bool(keepdims))


reduction("ReduceL1", lambda x, *how: ns.norm(x, 1, *how))
reduction("ReduceL2", lambda x, *how: ns.norm(x, 2, *how))
reduction("ReduceLogSum", lambda x, *how: ns.log(ns.sum(x, *how)))
reduction("ReduceLogSumExp", ns.logsumexp)
reduction("ReduceMax", ns.max)
reduction("ReduceMean", ns.mean)
reduction("ReduceMin", ns.min)
reduction("ReduceProd", ns.prod)
reduction("ReduceSum", ns.sum)
reduction("ReduceSumSquare", lambda x, *how: ns.sum(ns.square(x), *how))


def extreme(name, function):
    @operator(name)
    def _(x, *, axis=0, keepdims=1, select_last_index=0):
        if select_last_index:
            return x.shape[axis] - 1 - function(ns.flip(x, axis), axis, bool(keepdims))
        return function(x, axis, bool(keepdims))


extreme("ArgMax", ns.argmax)
extreme("ArgMin", ns.argmin)


@operator("CumSum")
def _(x, axis, *, exclusive=0, reverse=0):
    axis = int(axis) % x.ndim
    x = ns.flip(x, axis) if reverse else x
    if exclusive:
        before = [(int(i == axis), 0) for i in range(x.ndim)]
        x = ns.pad(x, before)[tuple(slice(n) for n in x.shape)]
    y = like(ns.cumsum(x, axis), x)
    return ns.flip(y, axis) if reverse else y


@operator("TopK")
def _(x, k, *, axis=-1, largest=1, sorted=1):
    return ns.topk(x, int(k), axis, bool(largest))


@operator("Hardmax")
def _(x, *, axis=-1):
    return to_axis(ns.tensor(ns.data.one_hot(ns.argmax(x, axis), x.shape[axis], x.dtype)), axis)


# Shapes


def to_axis(x, axis):
    """With the last axis at another place."""
    order = list(range(x.ndim - 1))
    order.insert(axis % x.ndim, x.ndim - 1)
    return ns.transpose(x, tuple(order))


@operator("Shape")
def _(x, *, start=0, end=None):
    return ns.tensor(np.array(x.shape[start:end], np.int64))


@operator("Size")
def _(x):
    return ns.tensor(np.int64(x.size))


@operator("Constant")
def _(*, value=None, value_int=None, value_ints=None, value_float=None, value_floats=None):
    for number, dtype in (
        (value_int, "int64"),
        (value_ints, "int64"),
        (value_float, "float32"),
        (value_floats, "float32"),
    ):
        if number is not None:
            return ns.tensor(np.array(number, dtype))
    return value


@operator("ConstantOfShape")
def _(shape, *, value=None):
    return ns.broadcast_to(ns.tensor([0.0]) if value is None else value, tuple(ints(shape)))


@operator("Range")
def _(start, limit, delta):
    return ns.tensor(np.arange(start.item(), limit.item(), delta.item(), start.dtype))


@operator("Reshape")
def _(x, shape, *, allowzero=0):
    return ns.reshape(x, tuple(n if n or allowzero else x.shape[i] for i, n in enumerate(ints(shape))))


@operator("Flatten")
def _(x, *, axis=1):
    axis = axis % x.ndim if axis < 0 else axis
    return ns.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@operator("Squeeze")
def _(x, axes=None):
    return ns.squeeze(x, None if axes is None else tuple(ints(axes)))


@operator("Unsqueeze")
def _(x, axes):
    return ns.expand_dims(x, tuple(ints(axes)))


@operator("Transpose")
def _(x, *, perm=None):
    return ns.transpose(x, perm)


@operator("Concat")
def _(*x, axis):
    return ns.concatenate(x, axis)


@operator("Split")
def _(x, split=None, *, axis=0, num_outputs=None, outputs):
    n = x.shape[axis]
    each = -(-n // len(outputs))
    lengths = ints(split, [min(each, n - i * each) for i in range(len(outputs))])
    return ns.split(x, np.cumsum(lengths)[:-1].tolist(), axis)


@operator("Expand")
def _(x, shape):
    return ns.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(ints(shape))))


@operator("Tile")
def _(x, repeats):
    return ns.tile(x, ints(repeats))


@operator("Pad")
def _(x, pads, value=None, axes=None, *, mode="constant"):
    pads, axes = ints(pads), ints(axes, range(x.ndim))
    widths = [(0, 0)] * x.ndim
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        widths[axis] = (before, after)
    return ns.pad(x, widths, 0 if value is None else value.item(), mode)


@operator("Trilu")
def _(x, k=None, *, upper=1):
    return (ns.triu if upper else ns.tril)(x, 0 if k is None else int(k))


@operator("DepthToSpace")
def _(x, *, blocksize, mode="DCR"):
    return F.pixel_shuffle(x if mode == "CRD" else depth_last(x, blocksize**2), blocksize)


@operator("SpaceToDepth")
def _(x, *, blocksize, mode="DCR"):
    y = F.pixel_unshuffle(x, blocksize)
    return y if mode == "CRD" else depth_last(y, y.shape[1] // blocksize**2)


def depth_last(x, count):
    """The channels, numbered (count, others), numbered (others, count)."""
    n, c, *size = x.shape
    return ns.reshape(ns.swapaxes(ns.reshape(x, (n, count, c // count, *size)), 1, 2), x.shape)


# Picking out


def places(indices, axis):
    """The index of the places that `indices` name along an axis."""
    grid = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    grid[axis] = indices.numpy()
    return tuple(grid)


def scatter(x, index, values, how):
    """`x` with values put, or added, into the places of an index."""
    need(how in ("none", "add"), f"no scattering by {how}")
    return ns.put(x, index, values) if how == "none" else x + ns.put_add(values, x.shape, index)


@operator("Slice")
def _(x, starts, ends, axes=None, steps=None):
    starts, ends = ints(starts), ints(ends)
    index = [slice(None)] * x.ndim
    for axis, *part in zip(ints(axes, range(len(starts))), starts, ends, ints(steps, [1] * len(starts)), strict=True):
        index[axis] = slice(*part)
    return x[tuple(index)]


@operator("Gather")
def _(x, indices, *, axis=0):
    return ns.take(x, indices, axis)


@operator("GatherElements")
def _(x, indices, *, axis=0):
    return ns.take_along_axis(x, indices, axis)


@operator("GatherND")
def _(x, indices, *, batch_dims=0):
    batch = np.ogrid[tuple(slice(n) for n in indices.shape[:-1])][:batch_dims]
    return x[(*batch, *np.moveaxis(indices.numpy(), -1, 0))]


@operator("Scatter", "ScatterElements")
def _(x, indices, updates, *, axis=0, reduction="none"):
    if reduction == "none":
        return ns.put_along_axis(x, indices, updates, axis)
    return scatter(x, places(indices, axis), updates, reduction)


@operator("ScatterND")
def _(x, indices, updates, *, reduction="none"):
    return scatter(x, tuple(np.moveaxis(indices.numpy(), -1, 0)), updates, reduction)


@operator("Compress")
def _(x, condition, *, axis=None):
    return ns.take(x, np.flatnonzero(condition.numpy()), axis)


@operator("OneHot")
def _(indices, depth, values, *, axis=-1):
    depth = int(depth)
    inside = (indices >= -depth) & (indices < depth)
    rows = ns.data.one_hot(ns.astype(ns.where(inside, indices, 0) % depth, "int64"), depth, bool)
    return to_axis(ns.where(rows & inside[..., None], values[1], values[0]), axis)


# Products


@operator("Einsum")
def _(*x, equation):
    return ns.einsum(equation, *x)


@operator("Gemm")
def _(a, b, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0):
    y = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return y if c is None else y + beta * c


# Convolution and pooling


def sliding(x, auto_pad, kernel, strides, dilations, pads):
    """The kernel, stride, padding and dilation of one- or two-dimensional windows, as nnscratch takes them."""
    rank = x.ndim - 2
    need(rank in (1, 2), f"{rank} spatial axes")
    words = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
    pads = pads or [0] * 2 * rank
    padding = words.get(auto_pad) or tuple(zip(pads[:rank], pads[rank:], strict=True))
    settings = [tuple(kernel), tuple(strides or [1] * rank), padding, tuple(dilations or [1] * rank)]
    return settings if rank == 2 else [s if isinstance(s, str) else s[0] for s in settings]


@operator("Conv")
def _(x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None):
    _, stride, padding, dilation = sliding(x, auto_pad, w.shape[2:], strides, dilations, pads)
    return (F.conv2d if x.ndim == 4 else F.conv1d)(x, w, b, stride, padding, dilation, group)


@operator("ConvTranspose")
def _(
    x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, output_padding=None,
    output_shape=None, pads=None, strides=None,
):  # fmt: skip
    rank = x.ndim - 2
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    extra = output_padding or [0] * rank
    if auto_pad.startswith("SAME"):
        output_shape = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if output_shape:
        # what the result has too much is taken off on both sides, what it lacks is put on at the end
        sizes = zip(x.shape[2:], strides, dilations, w.shape[2:], extra, strict=True)
        full = [(n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in sizes]
        off = [max(n - wanted, 0) for n, wanted in zip(full, output_shape, strict=True)]
        extra = [e + max(wanted - n, 0) for e, n, wanted in zip(extra, full, output_shape, strict=True)]
        small, large = [n // 2 for n in off], [n - n // 2 for n in off]
        pads = small + large if auto_pad == "SAME_UPPER" else large + small
    _, stride, padding, dilation = sliding(x, "NOTSET", w.shape[2:], strides, dilations, pads)
    if rank == 1:
        return F.conv_transpose1d(x, w, b, stride, padding, extra[0], group, dilation)
    return F.conv_transpose2d(x, w, b, stride, padding, extra, group, dilation)


@operator("Col2Im")
def _(x, image_shape, block_shape, *, dilations=None, pads=None, strides=None):
    size, kernel = ints(image_shape), ints(block_shape)
    need(len(size) == 2, f"{len(size)} spatial axes")
    pads = pads or [0] * 4
    return F.fold(x, size, kernel, strides or 1, ((pads[0], pads[2]), (pads[1], pads[3])), dilations or 1)


@operator("MaxPool")
def _(
    x,
    *,
    kernel_shape,
    auto_pad="NOTSET",
    ceil_mode=0,
    dilations=None,
    pads=None,
    storage_order=0,
    strides=None,
    outputs,
):
    kernel, stride, padding, dilation = sliding(x, auto_pad, kernel_shape, strides, dilations, pads)
    y = (F.max_pool2d if x.ndim == 4 else F.max_pool1d)(x, kernel, stride, padding, dilation, bool(ceil_mode))
    if len(outputs) == 1:
        return y
    need(x.ndim == 4, "indices of the maxima of sequences")
    indices = F.max_pool2d_indices(x, kernel, stride, padding, dilation, bool(ceil_mode))
    height, width = x.shape[2:]
    if storage_order:
        indices = indices % width * height + like(ns.floor(indices / width), indices)
    # the standard counts on from one image to the next
    return y, indices + np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1) * (height * width)


@operator("MaxUnpool")
def _(x, indices, output_shape=None, *, kernel_shape, pads=None, strides=None):
    need(x.ndim == 4, f"{x.ndim - 2} spatial axes")
    strides, pads = strides or [1, 1], pads or [0] * 4
    size = [
        (n - 1) * s + k - a - b
        for n, s, k, a, b in zip(x.shape[2:], strides, kernel_shape, pads, pads[2:], strict=False)
    ]
    given = ints(output_shape, [0, 0, *size])[2:]
    image = indices % (size[0] * size[1])  # counted in images of the size that the settings give
    places = like(ns.floor(image / size[1]), image) * given[1] + image % size[1]
    return F.max_unpool2d(x, places, given)


@operator("AveragePool")
def _(x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, count_include_pad=0, dilations=None, pads=None, strides=None):
    kernel, stride, padding, dilation = sliding(x, auto_pad, kernel_shape, strides, dilations, pads)
    pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool1d
    return pool(x, kernel, stride, padding, bool(count_include_pad), bool(ceil_mode), dilation)


@operator("GlobalAveragePool")
def _(x):
    return ns.mean(x, tuple(range(2, x.ndim)), True)


@operator("GlobalMaxPool")
def _(x):
    return ns.max(x, tuple(range(2, x.ndim)), True)


# Normalisation


@operator("BatchNormalization")
def _(x, scale, b, mean, var, *, epsilon=1e-5, momentum=0.9, training_mode=0):
    if not training_mode:
        return F.batch_norm(x, mean, var, scale, b, eps=epsilon)
    # the standard's running variance is of n, nnscratch's (as PyTorch's) of n - 1
    y = F.batch_norm(x, None, None, scale, b, training=True, eps=epsilon)
    axes = (0, *range(2, x.ndim))
    running = [momentum * old + (1 - momentum) * of(x, axes) for old, of in ((mean, ns.mean), (var, ns.var))]
    return y, *running


@operator("InstanceNormalization")
def _(x, scale, b, *, epsilon=1e-5):
    return F.instance_norm(x, scale, b, epsilon)


@operator("GroupNormalization")
def _(x, scale, b, *, num_groups, epsilon=1e-5, stash_type=1):
    return F.group_norm(x, num_groups, scale, b, epsilon)


@operator("LRN")
def _(x, *, size, alpha=1e-4, beta=0.75, bias=1.0):
    need(size % 2, "an even number of channels, which the standard centres otherwise")
    return F.local_response_norm(x, size, alpha, beta, bias)


@operator("LayerNormalization")
def _(x, scale, b=None, *, axis=-1, epsilon=1e-5, stash_type=1):
    axes = tuple(range(axis % x.ndim, x.ndim))
    y = F.layer_norm(x, scale, b, axes, epsilon)
    return y, ns.mean(x, axes, True), ns.reciprocal(ns.sqrt(ns.var(x, axes, keepdims=True) + epsilon))


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
def _(x, ratio_input=None, training=None, *, ratio=0.5, seed=None):
    ratio = ratio if ratio_input is None else ratio_input.item()
    training = training is not None and bool(training)
    need(not training or ratio == 0, "the random numbers of another generator")
    return F.dropout(x, ratio, training), ns.equal(x, x)


# Losses


def classes_last(x):
    """(N, C, ...) as (N, ..., C)."""
    return ns.transpose(x, (0, *range(2, x.ndim), 1))


@operator("NegativeLogLikelihoodLoss")
def _(x, target, weight=None, *, ignore_index=None, reduction="mean"):
    return F.nll_loss(classes_last(x), target, reduction, weight, ignore_index)


@operator("SoftmaxCrossEntropyLoss")
def _(x, target, weight=None, *, ignore_index=None, reduction="mean"):
    loss = F.cross_entropy(
        classes_last(x), target, from_logits=True, reduction=reduction, weight=weight, ignore_index=ignore_index
    )
    return loss, F.log_softmax(x, 1)


# Optimisers


def step(make, inputs, slots):
    """One step of an optimiser: the new parameters, then the new arrays of each slot.

    The inputs are parameters, their gradients and the arrays of each slot, in this order, as many of each.
    """
    n = len(inputs) // (2 + len(slots))
    params, gradients, *arrays = (inputs[i : i + n] for i in range(0, len(inputs), n))
    params = [ns.tensor(p, requires_grad=True) for p in params]
    optimizer = make(params)
    state = {**optimizer.state_dict(), "steps": [1] * n}  # so that the arrays given are not taken for a fresh start's
    for slot, values in zip(slots, arrays, strict=True):
        state.update((f"{i}.{slot}", v.numpy()) for i, v in enumerate(values))
    optimizer.load_state_dict(state)
    for p, g in zip(params, gradients, strict=True):
        p.grad = g
    optimizer.step()
    after = optimizer.state_dict()
    return [p.detach() for p in params] + [ns.tensor(after[f"{i}.{slot}"]) for slot in slots for i in range(n)]


@operator("Adam")
def _(lr, t, *inputs, alpha=0.9, beta=0.999, epsilon=1e-6, norm_coefficient=0.0, norm_coefficient_post=0.0):
    need(t.item() == 0 and norm_coefficient_post == 0, "corrections, or decay after the step")
    settings = {"betas": (alpha, beta), "eps": epsilon, "weight_decay": norm_coefficient}
    return step(lambda params: ns.optim.Adam(params, lr.item(), **settings), inputs, ("m", "v"))


@operator("Momentum")
def _(lr, t, *inputs, alpha, beta, mode, norm_coefficient):
    need(t.item() == 0 or beta == 1, "a damped gradient")
    settings = {"momentum": alpha, "nesterov": mode == "nesterov", "weight_decay": norm_coefficient}
    return step(lambda params: ns.optim.SGD(params, lr.item(), **settings), inputs, ("velocity",))
