"""Operations that shape, join, cut, pick and sum."""

import numpy as np

from nnscratch.onnx.exports.table import EXPORTS, exports
from nnscratch.onnx.tracing import Ref


@exports("reshape")
def _(c):
    before, after = c.shapes("x"), c.out_shapes()
    lengths: list = []
    for k, values in enumerate(zip(*after, strict=True)):
        there = [s[k] if k < len(s) else None for s in before]
        # 0 keeps a length, which works for all
        lengths.append(
            0 if len(set(values)) > 1 and list(values) == there else values[0] if len(set(values)) == 1 else values
        )
    if 0 not in after[0] and sum(isinstance(n, tuple) for n in lengths) == 1:
        lengths = [-1 if isinstance(n, tuple) else n for n in lengths]
    if not any(isinstance(n, tuple) for n in lengths):
        c.write("Reshape", [c.value("x"), c.whole(*lengths)])
        return
    rows = [n if isinstance(n, tuple) else (n,) * len(after) for n in lengths]
    c.write("Reshape", [c.value("x"), c.writer.lengths(rows, _named(c, "x"))])


def _named(c, *names):
    """The arguments that are values of the graph, by name."""
    return [v.name for name in names if isinstance(v := c.calls[0].given[name], Ref)]


@exports("broadcast_to")
def _(c):
    c.write("Expand", [c.value("x"), c.writer.lengths(list(zip(*c.out_shapes(), strict=True)), _named(c, "x"))])


@exports("transpose")
def _(c):
    axes, rank = c.setting("axes"), len(c.shape("x"))
    c.write("Transpose", [c.value("x")], perm=[a % rank for a in axes] if axes is not None else list(range(rank))[::-1])


@exports("swapaxes")
def _(c):
    order = list(range(len(c.shape("x"))))
    a, b = c.setting("axis1"), c.setting("axis2")
    order[a], order[b] = order[b], order[a]
    c.write("Transpose", [c.value("x")], perm=order)


@exports("squeeze")
def _(c):
    axis = c.setting("axis")
    axes = [k for k, n in enumerate(c.shape("x")) if n == 1] if axis is None else _axes(axis)
    c.write("Squeeze", [c.value("x"), c.whole(*axes)])


@exports("expand_dims")
def _(c):
    c.write("Unsqueeze", [c.value("x"), c.whole(*_axes(c.setting("axis")))])


def _axes(axis):
    return list(axis) if isinstance(axis, tuple) else [axis]


@exports("concatenate")
def _(c):
    parts = [c.named(values, c.out_dtype) for values in zip(*c.every("arrays"), strict=True)]
    c.write("Concat", parts, axis=c.setting("axis"))


@exports("flip")
def _(c):
    axis = c.setting("axis")
    axes = list(range(len(c.shape("x")))) if axis is None else _axes(axis)
    far = -(2**62)
    c.write(
        "Slice",
        [
            c.value("x"),
            c.whole(*[-1] * len(axes)),
            c.whole(*[far] * len(axes)),
            c.whole(*axes),
            c.whole(*[-1] * len(axes)),
        ],
    )


@exports("pad")
def _(c):
    widths, mode, rank = c.setting("widths"), c.setting("mode"), len(c.shape("x"))
    if mode == "symmetric":
        raise ValueError(f"{c.writer.path or 'the module'} pads by mode 'symmetric', which ONNX has not; use 'reflect'")
    pairs = (
        np.broadcast_to(np.array(widths), (rank, 2)) if np.ndim(widths) < 2 or len(widths) != rank else np.array(widths)
    )
    value = [c.value("value", c.out_dtype)] if mode == "constant" else []
    c.write("Pad", [c.value("x"), c.whole(*pairs[:, 0], *pairs[:, 1]), *value], mode=mode)


def _triangle(upper):
    def write(c):
        c.write("Trilu", [c.value("x"), c.named([np.array(c.setting("k"), np.int64)])], upper=upper)

    return write


EXPORTS["triu"], EXPORTS["tril"] = _triangle(1), _triangle(0)


@exports("thirds")
def _(c):
    parts = {"num_outputs": 3} if c.opset >= 18 else {}
    c.node("Split", [c.value("x")], c.outputs, axis=-1, **parts)


# Picking out


@exports("getitem")
def _(c):
    indices = [i if isinstance(i, tuple) else (i,) for i in c.every("index")]
    rank, first = len(c.shape("x")), indices[0]
    taken = sum(part is not None and part is not Ellipsis for part in first)
    at = next((k for k, part in enumerate(first) if part is Ellipsis), len(first))
    filled = [[*i[:at], *[slice(None)] * (rank - taken), *i[at + 1 :]] for i in indices]
    x, slices, gathers, squeezed, wider = c.value("x"), [], [], [], []
    axis = place = 0
    for parts in zip(*filled, strict=True):
        part = parts[0]
        if part is None:
            wider.append(place)
        elif isinstance(part, slice):
            if part != slice(None):
                slices.append((axis, parts))
            axis += 1
        elif isinstance(part, int | np.integer) and not isinstance(part, bool):
            slices.append((axis, [slice(int(i), None if i == -1 else int(i) + 1) for i in parts]))
            squeezed.append(axis)
            axis, place = axis + 1, place - 1
        else:
            gathers.append((axis, parts))
            axis += 1
        place += 1
    for axis, parts in gathers:
        dtype = c.dtype(parts[0])
        if len(gathers) > 1 or squeezed or wider or dtype is None or dtype.kind not in "iu":
            raise ValueError(
                f"{c.writer.path or 'the module'} picks elements by several indices or by conditions; use ns.take or ns.where"
            )
        x = c.node("Gather", [x, c.named(parts)], axis=axis)
    if slices:
        x = _sliced(c, x, slices)
    if squeezed:
        x = c.node("Squeeze", [x, c.whole(*squeezed)])
    if wider:
        x = c.node("Unsqueeze", [x, c.whole(*wider)])
    c.write("Identity", [x])


def _sliced(c, x, slices):
    """A Slice by slices for all runs along some axes."""
    starts, ends, steps = [], [], []
    for _, parts in slices:
        step = parts[0].step or 1
        starts.append([p.start if p.start is not None else 0 if step > 0 else -1 for p in parts])
        ends.append([p.stop if p.stop is not None else 2**62 if step > 0 else -(2**62) for p in parts])
        steps.append(step)
    names = _named(c, "x")
    inputs = [x, c.writer.lengths(starts, names), c.writer.lengths(ends, names), c.whole(*(axis for axis, _ in slices))]
    return c.node("Slice", [*inputs, c.whole(*steps)] if set(steps) != {1} else inputs)


@exports("take")
def _(c):
    x, axis = c.value("x"), c.setting("axis")
    if axis is None:
        x, axis = c.node("Reshape", [x, c.whole(-1)]), 0
    c.write("Gather", [x, c.value("indices", None if isinstance(c.every("indices")[0], Ref) else np.int64)], axis=axis)


@exports("take_along_axis")
def _(c):
    c.write("GatherElements", [c.value("x"), c.value("indices")], axis=c.setting("axis"))


@exports("embedding")
def _(c):
    c.write("Gather", [c.value("weight"), c.value("indices")], axis=0)


# Sums and the like


def _reduction(kind, by_input):
    def write(c):
        axis, keepdims = c.setting("axis"), int(c.setting("keepdims"))
        axes = list(range(len(c.shape("x")))) if axis is None else _axes(axis)
        x = c.value("x", c.out_dtype)
        if c.opset >= by_input:
            c.write(kind, [x, c.whole(*axes)], keepdims=keepdims)
        else:
            c.write(kind, [x], axes=axes, keepdims=keepdims)

    return write


for _name, _kind in {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd",
                     "logsumexp": "ReduceLogSumExp"}.items():  # fmt: skip
    EXPORTS[_name] = _reduction(_kind, 13 if _name == "sum" else 18)


@exports("var", "std")
def _(c):
    axis, rank, ddof = c.setting("axis"), len(c.shape("x")), c.setting("ddof")
    axes = list(range(rank)) if axis is None else _axes(axis)
    if ddof:
        raise ValueError(
            f"{c.writer.path or 'the module'} takes a variance with ddof={ddof}, which is not written; use ddof=0"
        )

    def mean(x, keepdims):
        return (
            c.node("ReduceMean", [x, c.whole(*axes)], keepdims=keepdims)
            if c.opset >= 18
            else c.node("ReduceMean", [x], axes=axes, keepdims=keepdims)
        )

    centred = c.node("Sub", [c.value("x"), mean(c.value("x"), 1)])
    variance = mean(c.node("Mul", [centred, centred]), int(c.setting("keepdims")))
    c.write("Sqrt" if c.kind == "std" else "Identity", [variance])


@exports("argmax", "argmin")
def _(c):
    axis, x = c.setting("axis"), c.value("x")
    if axis is None:
        x, axis = c.node("Reshape", [x, c.whole(-1)]), 0
    c.write(
        "ArgMax" if c.kind == "argmax" else "ArgMin",
        [x],
        axis=axis,
        keepdims=int(c.setting("keepdims") and c.setting("axis") is not None),
    )


@exports("cumsum")
def _(c):
    x, axis = c.value("x"), c.setting("axis")
    if axis is None:
        x, axis = c.node("Reshape", [x, c.whole(-1)]), 0
    c.write("CumSum", [x, c.named([np.array(axis, np.int64)])])


@exports("norm")
def _(c):
    kind = {1: "ReduceL1", 2: "ReduceL2"}.get(c.setting("p"))
    if kind is None:
        raise ValueError(
            f"{c.writer.path or 'the module'} takes a {c.setting('p')}-norm, and ONNX has those of 1 and 2"
        )
    _reduction(kind, 18)(c)


@exports("sort", "argsort", "topk")
def _(c):
    axis = c.setting("axis")
    if c.kind == "topk":
        count, largest = c.whole(c.setting("k")), int(c.setting("largest"))
    else:
        count, largest = c.writer.lengths([[shape[axis] for shape in c.shapes("x")]], _named(c, "x")), 0
    unused = [c.writer.name("unused")]
    outputs = [*unused, *c.outputs] if c.kind == "argsort" else c.outputs
    c.node("TopK", [c.value("x"), count], outputs, axis=axis, largest=largest)
