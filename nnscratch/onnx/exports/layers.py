"""Products, convolutions, pooling, normalisation and attention."""

import numpy as np

from nnscratch.onnx.exports.table import exports


@exports("linear")
def _(c):
    x, weight, has_bias = c.value("x"), c.value("weight"), c.has("bias")
    if len(c.shape("x")) == 2:
        c.write("Gemm", [x, weight, *([c.value("bias")] if has_bias else [])], transB=1)
        return
    product = [x, c.node("Transpose", [weight], perm=[1, 0])]
    if has_bias:
        c.write("Add", [c.node("MatMul", product), c.value("bias")])
    else:
        c.write("MatMul", product)


@exports("matmul")
def _(c):
    c.write("MatMul", [c.value("a", c.out_dtype), c.value("b", c.out_dtype)])


@exports("einsum")
def _(c):
    operands = [c.named(values, c.out_dtype) for values in zip(*c.every("operands"), strict=True)]
    c.write("Einsum", operands, equation=c.setting("subscripts"))


def _pair(value):
    return [int(n) for n in value] if isinstance(value, tuple | list) else [int(value)] * 2


def _edges(padding):
    """The padding of images as nodes state it: a word, or all beginnings before all ends."""
    if isinstance(padding, str):
        return {"auto_pad": {"same": "SAME_UPPER", "same_lower": "SAME_LOWER", "valid": "VALID"}[padding]}
    pairs = np.broadcast_to(np.array(padding).reshape(-1, 1) if np.ndim(padding) < 2 else np.array(padding), (2, 2))
    return {"pads": [int(n) for n in (*pairs[:, 0], *pairs[:, 1])]}


def _windows(c, **names):
    """The attributes of windows that slide over images."""
    found = {key: _pair(c.setting(name if c.has(name) else "kernel_size")) for key, name in names.items()}
    return {**found, **_edges(c.setting("padding"))}


@exports("conv2d")
def _(c):
    inputs = [c.value("x"), c.value("weight"), *([c.value("bias")] if c.has("bias") else [])]
    settings = _windows(c, strides="stride", dilations="dilation")
    c.write("Conv", inputs, group=int(c.setting("groups")), kernel_shape=list(c.shape("weight")[2:]), **settings)


@exports("Conv1d")
def _(c):
    m = c.module
    edges = _edges(m.padding) if isinstance(m.padding, str) else {"pads": _pair(m.padding)}  # before and after
    settings = {"kernel_shape": list(m.kernel_size), "strides": [m.stride], "dilations": [m.dilation], **edges}
    c.write("Conv", [c.value("x"), *_own(c, "weight", "bias")], group=m.groups, **settings)


@exports("ConvTranspose2d")
def _(c):
    m = c.module
    settings = {"strides": _pair(m.stride), "dilations": _pair(m.dilation), "output_padding": _pair(m.output_padding)}
    inputs = [c.value("x"), *_own(c, "weight", "bias")]
    c.write(
        "ConvTranspose", inputs, group=m.groups, kernel_shape=list(m.weight.shape[2:]), **settings, **_edges(m.padding)
    )


def _own(c, *names):
    """The names of a layer's own parameters, of those that it has."""
    path = f"{c.calls[0].path}." if c.calls[0].path else ""
    return [f"{path}{name}" for name in names if getattr(c.module, name) is not None]


@exports("conv2d_input")
def _(c):
    # the transposed convolution: its padding is what is taken off, and its size settles what is put on at the end
    weight, before, after = c.shape("weight"), c.shapes("d"), c.out_shapes()
    stride, dilation = _pair(c.setting("stride")), _pair(c.setting("dilation"))
    pads = _edges(c.setting("padding"))["pads"]
    extra = []
    for k in range(2):
        sizes = {
            a[2 + k] - ((b[2 + k] - 1) * stride[k] - pads[k] - pads[k + 2] + dilation[k] * (weight[2 + k] - 1) + 1)
            for a, b in zip(after, before, strict=True)
        }
        extra.append(min(sizes))
    attributes = {"strides": stride, "dilations": dilation, "pads": pads, "output_padding": extra}
    c.write(
        "ConvTranspose",
        [c.value("d"), c.value("weight")],
        group=int(c.setting("groups")),
        kernel_shape=list(weight[2:]),
        **attributes,
    )


@exports("max_pool2d")
def _(c):
    settings = _windows(c, kernel_shape="kernel_size", strides="stride", dilations="dilation")
    c.write("MaxPool", [c.value("x")], ceil_mode=int(c.setting("ceil_mode")), **settings)


@exports("sum_pool2d")
def _(c):
    kernel = _pair(c.setting("kernel_size"))
    settings = _windows(c, kernel_shape="kernel_size", strides="stride", dilations="dilation")
    if set(settings.pop("dilations")) != {1}:
        raise ValueError(f"{c.writer.path or 'the module'} pools averages of dilated windows, which are not written")
    mean = c.node("AveragePool", [c.value("x")], count_include_pad=1, **settings)
    c.write("Mul", [mean, c.named([float(kernel[0] * kernel[1])], c.out_dtype)])


@exports("AdaptiveAvgPool2d")
def _(c):
    c.write("GlobalAveragePool", [c.value("x")])


@exports("BatchNorm1d", "BatchNorm2d")
def _(c):
    m = c.module
    channels, dtype = m.running_mean.shape, m.running_mean.dtype
    affine = _own(c, "weight", "bias") or [c.writer.constant(np.full(channels, value, dtype)) for value in (1, 0)]
    statistics = _own(c, "running_mean", "running_var")
    c.write(
        "BatchNormalization", [c.value("x"), *affine, *statistics], epsilon=float(m.eps), momentum=float(1 - m.momentum)
    )


@exports("standardize")
def _(c):
    x, axis, rank, eps = c.value("x"), c.setting("axis"), len(c.shape("x")), float(c.setting("eps"))
    axes = sorted(a % rank for a in (axis if isinstance(axis, tuple) else (axis,)))
    features = c.shape("x")[axes[0] :]
    fits = c.shape("weight") == features if c.has("weight") else len({s[axes[0] :] for s in c.shapes("x")}) == 1
    last = axes == list(range(axes[0], rank)) and fits
    if last and c.setting("centred"):
        weight = c.value("weight") if c.has("weight") else c.writer.constant(np.ones(features, c.out_dtype))
        bias = [c.value("bias")] if c.has("bias") else []
        c.write("LayerNormalization", [x, weight, *bias], axis=axes[0] - rank, epsilon=eps)
        return
    if last and c.opset >= 23 and c.has("weight"):
        c.write("RMSNormalization", [x, c.value("weight")], axis=axes[0] - rank, epsilon=eps)
        return

    def mean(x):
        return c.node("ReduceMean", [x, c.whole(*axes)]) if c.opset >= 18 else c.node("ReduceMean", [x], axes=axes)

    centred = c.node("Sub", [x, mean(x)]) if c.setting("centred") else x
    deviation = c.node("Sqrt", [c.node("Add", [mean(c.node("Mul", [centred, centred])), c.named([eps], c.out_dtype)])])
    y = c.node("Div", [centred, deviation])
    y = c.node("Mul", [y, c.value("weight")]) if c.has("weight") else y
    y = c.node("Add", [y, c.value("bias")]) if c.has("bias") else y
    c.write("Identity", [y])


@exports("rotate_pairs")
def _(c):
    x, cos, sin = c.value("x"), c.value("cosine"), c.value("sine")
    width = c.shape("x")[-1]
    if c.setting("interleaved"):
        order = np.arange(width) ^ 1
        signs = np.where(np.arange(width) % 2, 1, -1)
        spread = np.arange(width) // 2
    else:
        order = (np.arange(width) + width // 2) % width
        signs = np.where(np.arange(width) < width // 2, -1, 1)
        spread = np.arange(width) % (width // 2)
    cos, sin = (c.node("Gather", [a, c.whole(*spread)], axis=-1) for a in (cos, sin))
    turned = c.node("Mul", [c.node("Gather", [x, c.whole(*order)], axis=-1), c.named([signs.astype(c.out_dtype)])])
    c.write("Add", [c.node("Mul", [x, cos]), c.node("Mul", [turned, sin])])


@exports("attention")
def _(c):
    query, key, value = (c.value(name, c.out_dtype) for name in ("query", "key", "value"))
    scale, causal = float(c.setting("scale")), bool(c.setting("causal"))
    ranks = {len(c.shape(name)) for name in ("query", "key", "value")}
    mask = c.value("mask") if c.has("mask") else None
    if c.opset >= 23 and ranks == {4} and len({c.shape(name)[:2] for name in ("query", "key", "value")}) == 1:
        if mask and c.shape("mask")[-2] == 1:  # onnxruntime's wants a row for each query at opset 23
            rows = c.node("Concat", [c.whole(1, 1), c.node("Shape", [query], start=-2, end=-1), c.whole(1)], axis=0)
            mask = c.node("Expand", [mask, rows])
        c.write("Attention", [query, key, value, *([mask] if mask else [])], scale=scale, is_causal=int(causal))
        return
    rank = max(ranks)
    scores = c.node("MatMul", [query, c.node("Transpose", [key], perm=[*range(rank - 2), rank - 1, rank - 2])])
    scores = c.node("Mul", [scores, c.named([scale], c.out_dtype)])
    allowed = mask if mask and c.dtype("mask").kind == "b" else None
    if mask and allowed is None:
        scores = c.node("Add", [scores, c.node("Cast", [mask], to=1) if c.dtype("mask") != c.out_dtype else mask])
    if causal:
        lengths = [c.node("Shape", [query], start=-2, end=-1), c.node("Shape", [key], start=-2, end=-1)]
        every = c.node("Expand", [c.named([np.array(1, np.int64)]), c.node("Concat", lengths, axis=0)])
        places = c.node("Cast", [c.node("Trilu", [every], upper=0)], to=9)
        allowed = places if allowed is None else c.node("And", [allowed, places])
    if allowed is None:
        weights = c.node("Softmax", [scores], axis=-1)
    else:
        lowest = c.named([np.finfo(c.out_dtype).min], c.out_dtype)
        weights = c.node("Softmax", [c.node("Where", [allowed, scores, lowest])], axis=-1)
        weights = c.node(
            "Where", [allowed, weights, c.named([0.0], c.out_dtype)]
        )  # a query that attends to nothing gets 0
    c.write("MatMul", [weights, value])
