"""Two-dimensional convolution with a bias: forward, and backward to the input, the weight and the bias."""

from functools import partial

import numpy as np

from benchmarks import roofline
from benchmarks.workloads import Run, Workload, glorot

# Input, weight, stride and padding.
SHAPES = {
    "conv-1x28": ((64, 1, 28, 28), (32, 1, 3, 3), 1, 0),
    "conv-32x13": ((64, 32, 13, 13), (64, 32, 3, 3), 1, 0),
    "conv-64x32": ((32, 64, 32, 32), (64, 64, 3, 3), 1, 0),
    "conv-3x224": ((16, 3, 224, 224), (64, 3, 7, 7), 2, 3),
}
DEPTHWISE = (8, 64, 32, 32), (64, 1, 3, 3), 1, 1, 64  # and groups


def result_shape(x, weight, stride, padding):
    """The shape of the convolution's result."""
    return x[0], weight[0], *((n + 2 * padding - k) // stride + 1 for n, k in zip(x[2:], weight[2:], strict=True))


def arrays(quick, x, weight, stride, padding, groups):
    """Input, weight, bias and the result's gradient, normal."""
    rng = np.random.default_rng(5)
    y = result_shape(x, weight, stride, padding)
    draw = partial(rng.standard_normal, dtype=np.float32)
    return draw(x), glorot(rng, weight), draw(weight[0]), draw(y)


def in_nnscratch(x, weight, bias, gradient, **settings):
    import nnscratch as ns

    leaves = [ns.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    gradient = ns.tensor(gradient)

    def step():
        for leaf in leaves:
            leaf.grad = None
        y = ns.functional.conv2d(*leaves, **settings)
        y.backward(gradient)
        return y, *(leaf.grad for leaf in leaves)

    return step


def in_torch(x, weight, bias, gradient, layout, **settings):
    import torch

    def tensor(a):
        t = torch.tensor(a)
        return t.to(memory_format=torch.channels_last) if layout == "channels_last" and t.ndim == 4 else t

    leaves = [tensor(a).requires_grad_() for a in (x, weight, bias)]
    gradient = tensor(gradient)

    def step():
        for leaf in leaves:
            leaf.grad = None
        y = torch.nn.functional.conv2d(*leaves, **settings)
        y.backward(gradient)
        return y, *(leaf.grad for leaf in leaves)

    return step


def in_jax(x, weight, bias, gradient, stride, padding, groups, layout):
    import jax
    import jax.numpy as jnp

    order = ("NCHW", "OIHW", "NCHW") if layout == "NCHW" else ("NHWC", "HWIO", "NHWC")

    def conv(x, w, b):
        y = jax.lax.conv_general_dilated(
            x, w, (stride,) * 2, [(padding,) * 2] * 2, dimension_numbers=order, feature_group_count=groups
        )
        return y + (b[:, None, None] if layout == "NCHW" else b)

    @jax.jit
    def whole(x, w, b, g):
        y, back = jax.vjp(conv, x, w, b)
        return y, *back(g)

    if layout == "NHWC":
        x, gradient = (a.transpose(0, 2, 3, 1) for a in (x, gradient))
        weight = weight.transpose(2, 3, 1, 0)
    inputs = [jnp.array(a) for a in (x, weight, bias, gradient)]

    def show(result):
        y, gx, gw, gb = (np.asarray(a) for a in result)
        if layout == "NHWC":
            y, gx, gw = y.transpose(0, 3, 1, 2), gx.transpose(0, 3, 1, 2), gw.transpose(3, 2, 0, 1)
        return y, gx, gw, gb

    return Run(lambda: whole(*inputs), show=show)


def workload(name, x, weight, stride, padding, groups=1):
    settings = {"stride": stride, "padding": padding, "groups": groups}
    usual = {"stride": 1, "padding": 0, "groups": 1}
    extra = "".join(f", {key} {value}" for key, value in settings.items() if value != usual[key])
    return Workload(
        name,
        f"conv2d {x} to {weight[0]} channels, {weight[2]}×{weight[3]}{extra}: forward and backward",
        partial(arrays, x=x, weight=weight, **settings),
        {
            "nnscratch": partial(in_nnscratch, **settings),
            "torch channels_last": partial(in_torch, **settings, layout="channels_last"),
            "torch NCHW": partial(in_torch, **settings, layout="NCHW"),
            "jax NCHW": partial(in_jax, **settings, layout="NCHW"),
            "jax NHWC": partial(in_jax, **settings, layout="NHWC"),
        },
        roofline.convolution(x, weight, result_shape(x, weight, stride, padding)),
    )


WORKLOADS = [*(workload(name, *shape) for name, shape in SHAPES.items()), workload("conv-depthwise", *DEPTHWISE)]
