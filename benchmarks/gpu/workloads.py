"""What is measured on a GPU: products, convolutions in each direction, and training steps.

A workload has its arrays from a seed, so that all processes have the same, and the truth about some of its results, in
float64 on the CPU: whoever is further from it than `tolerance` is not timed.
"""

import functools
from math import prod

import numpy as np

from benchmarks import roofline
from benchmarks.gpu.peers import PRECISIONS, precision
from benchmarks.gpu.targets import Target
from benchmarks.workloads import conv as cpu_conv
from benchmarks.workloads import labelled, mlp, s2

PICKS = 64  # elements of a result that are compared
STEPS = 3  # of a training that are compared
#: What rounding the operands may cost: 10 bits of their mantissas are kept, or 7.
ROUNDED = {"tf32": 5e-3, "float16": 5e-3, "bfloat16": 4e-2}
SIZES = tuple(2**k for k in range(8, 14))
BATCHES = tuple(2**k for k in range(13))

#: ResNet-50's convolutions (He et al., 2016; strides in the 3×3 ones), each shape once: channels, size of the image, filters,
#: size of the kernel, stride.
RESNET50 = (
    (3, 224, 64, 7, 2),
    (64, 56, 64, 1, 1), (64, 56, 64, 3, 1), (64, 56, 256, 1, 1), (256, 56, 64, 1, 1),
    (256, 56, 128, 1, 1), (128, 56, 128, 3, 2), (128, 28, 512, 1, 1), (256, 56, 512, 1, 2), (512, 28, 128, 1, 1),
    (128, 28, 128, 3, 1),
    (512, 28, 256, 1, 1), (256, 28, 256, 3, 2), (256, 14, 1024, 1, 1), (512, 28, 1024, 1, 2), (1024, 14, 256, 1, 1),
    (256, 14, 256, 3, 1),
    (1024, 14, 512, 1, 1), (512, 14, 512, 3, 2), (512, 7, 2048, 1, 1), (1024, 14, 2048, 1, 2), (2048, 7, 512, 1, 1),
    (512, 7, 512, 3, 1),
)  # fmt: skip


class Run:
    """What a builder returns.

    Parameters
    ----------
    step : callable
        What is timed: takes a set of inputs, returns a tuple of results.
    sets : sequence of tuple
        Sets of inputs, which the steps take in turn; copies are added until no cache holds them.
    """

    def __init__(self, step, sets):
        self.step, self.sets = step, sets


class Workload:
    """A group of rows.

    Parameters
    ----------
    name, title : str
    arrays : callable
        Returns what the builders are called with, beside their peer.
    truth : callable
        From these arrays, for each of the first steps a list of numbers for each result: `picks` of it, in float64.
    builders : dict
        For each entry a function of a peer and the arrays, which returns a `Run`.
    operations : sequence of (flops, bytes)
        Of one step; see `benchmarks.roofline`.
    tolerance : float
        By how much a result may differ from the truth, in units of the largest number.
    size : int, optional
        Where it is one of a family of sizes.
    command : str
        Which command measures it.
    quick : bool
        Whether ``--quick`` does, too.
    targets : sequence of `benchmarks.gpu.targets.Target`
    """

    def __init__(
        self, name, title, arrays, truth, builders, operations, tolerance=1e-4, size=None, command="gpu", quick=False,
        targets=(),
    ):  # fmt: skip
        self.name, self.title, self.arrays, self.truth, self.builders = name, title, arrays, truth, builders
        self.operations, self.tolerance, self.size = operations, tolerance, size
        self.command, self.quick, self.targets = command, quick, targets

    @property
    def group(self):
        """What comes before the first hyphen."""
        return self.name.partition("-")[0]

    def allowed(self, entry):
        """By how much an entry may differ from the truth."""
        return max(ROUNDED.get(precision(entry), 0), self.tolerance)


@functools.lru_cache(maxsize=1)
def normal(seed, *shapes):
    """Normal float32 arrays. Large ones repeat a million numbers, since drawing takes longer than what is measured."""
    rng = np.random.default_rng(seed)
    return tuple(np.resize(rng.standard_normal(min(prod(s), 2**20 - 3), dtype=np.float32), s) for s in shapes)


def picks(count):
    """Places in a result of `count` elements, all of them where they are few.

    Examples
    --------
    >>> picks(3).tolist(), len(picks(10**6))
    ([0, 1, 2], 64)
    """
    if count <= PICKS:
        return np.arange(count)
    return np.sort(np.random.default_rng(count).choice(count, PICKS, replace=False))


def picked(array):
    """The numbers of a result at its `picks`, as a list."""
    return np.asarray(array, np.float64).reshape(-1)[picks(np.size(array))].tolist()


# Products


def true_product(a, b):
    """Some elements of a @ b."""
    rows, columns = np.unravel_index(picks(len(a) * b.shape[1]), (len(a), b.shape[1]))
    return [[np.einsum("pk,kp->p", a[rows].astype(float), b[:, columns].astype(float)).tolist()]]


def product_in_nnscratch(peer, a, b):
    import nnscratch as ns

    return Run(lambda x, y: (ns.matmul(x, y),), [(ns.tensor(a), ns.tensor(b))])


def product_in_cupy(peer, a, b):
    xp = peer.backend.xp
    return Run(lambda x, y: (xp.matmul(x, y),), [(peer.put(a), peer.put(b))])


def product_in_numba(kernel, peer, a, b):
    from nnscratch.kernels.cuda import readable

    return Run(lambda x, y: (readable.matmul(x, y, kernel),), [(peer.put(a), peer.put(b))])


def product_in_torch(peer, a, b):
    return Run(lambda x, y: (peer.torch.matmul(x, y),), [(peer.put(a), peer.put(b))])


def product(n):
    targets = []
    if n >= 1024:
        targets.append(Target(["nnscratch"], ["torch"], 0.97))
    if n == 4096:
        targets.append(Target(["Numba naive", "Numba tiled", "Numba blocked"], ["CuPy"], 0.5))
    return Workload(
        f"matmul-{n}",
        f"product of {n}×{n} matrices",
        functools.partial(normal, 6, (n, n), (n, n)),
        true_product,
        {
            "nnscratch": product_in_nnscratch,
            "CuPy": product_in_cupy,
            **{f"Numba {k}": functools.partial(product_in_numba, k) for k in ("naive", "tiled", "blocked")},
            "torch": product_in_torch,
            **{f"nnscratch {p}": product_in_nnscratch for p in PRECISIONS},
            **{f"torch {p}": product_in_torch for p in PRECISIONS},
        },
        [roofline.product(n, n, n)],
        size=n,
        quick=n <= 512,
        targets=targets,
    )


# Convolutions: x with weight, and the two gradients for a gradient g of the result


def true_convolution(direction, stride, padding, x, weight, g):
    """Some elements of the convolution's result (from x and weight) or gradient (from g and one of these)."""
    kernel, sizes, windows = weight.shape[2:], x.shape[2:], g.shape[2:]
    taps = [np.arange(k) for k in kernel]

    def seen(places):
        """For a window, the rows and columns of x, and which taps they are under."""
        found = []
        for place, tap, size in zip(places, taps, sizes, strict=True):
            rows = place * stride - padding + tap
            found.append((rows[(rows >= 0) & (rows < size)], tap[(rows >= 0) & (rows < size)]))
        return found

    def windows_over(place, axis):
        """For a row or column of x, the windows that it is in, and under which tap."""
        starts = place + padding - taps[axis]
        inside = (starts % stride == 0) & (starts >= 0) & (starts // stride < windows[axis])
        return starts[inside] // stride, taps[axis][inside]

    def over(tap, axis):
        """For a tap, the windows in which it is over an element of x, and that element's row or column."""
        rows = np.arange(windows[axis]) * stride - padding + tap
        inside = (rows >= 0) & (rows < sizes[axis])
        return np.flatnonzero(inside), rows[inside]

    def element(place):
        if direction == "forward":
            n, o, *window = place
            (rows, i), (columns, j) = seen(window)
            return x[n][:, rows][:, :, columns], weight[o][:, i][:, :, j]
        if direction == "input":
            n, c, *pixel = place
            (p, i), (q, j) = (windows_over(v, axis) for axis, v in enumerate(pixel))
            return g[n][:, p][:, :, q], weight[:, c][:, i][:, :, j]
        o, c, *tap = place
        (p, rows), (q, columns) = (over(v, axis) for axis, v in enumerate(tap))
        return g[:, o][:, p][:, :, q], x[:, c][:, rows][:, :, columns]

    shape = {"forward": g, "input": x, "weight": weight}[direction].shape
    places = zip(*np.unravel_index(picks(prod(shape)), shape), strict=True)
    return [[[float((a.astype(float) * b).sum()) for a, b in map(element, places)]]]


def geometry(stride, padding):
    """Stride, padding and dilation as nnscratch's kernels take them."""
    return (stride, stride), ((padding, padding), (padding, padding)), (1, 1)


def convolution_in_nnscratch(direction, stride, padding, peer, x, weight, g):
    kernel, settings = peer.backend.kernel, geometry(stride, padding)
    x, weight, g = map(peer.put, (x, weight, g))
    if direction == "forward":
        return Run(lambda x, w: (kernel("conv.conv2d")(x, w, None, *settings, 1),), [(x, weight)])
    if direction == "input":
        size = x.shape[2:]
        return Run(lambda g, w: (kernel("conv.conv2d_input")(g, w, size, *settings, 1),), [(g, weight)])
    taps = weight.shape[2:]
    return Run(lambda g, x: (kernel("conv.conv2d_weight")(g, x, taps, *settings, 1),), [(g, x)])


def convolution_in_numba(kernel, stride, padding, peer, x, weight, g):
    from nnscratch.kernels.cuda import readable

    step = functools.partial(readable.conv2d, kernel=kernel, stride=stride, padding=padding)
    return Run(lambda x, w: (step(x, w),), [(peer.put(x), peer.put(weight))])


def convolution_in_torch(direction, stride, padding, peer, x, weight, g):
    torch = peer.torch
    x, weight, g = map(peer.put, (x, weight, g))
    if direction == "forward":
        return Run(lambda x, w: (torch.nn.functional.conv2d(x, w, None, stride, padding),), [(x, weight)])
    wanted = [direction == "input", direction == "weight", False]

    def gradient(g, other):
        pair = (x, other) if direction == "input" else (other, weight)
        found = torch.ops.aten.convolution_backward(
            g, *pair, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, wanted
        )
        return (found[wanted.index(True)],)

    return Run(gradient, [(g, weight if direction == "input" else x)])


def convolution(name, x, weight, stride, padding, direction, quick=False):
    y = cpu_conv.result_shape(x, weight, stride, padding)
    given = direction, stride, padding
    builders = {e: functools.partial(convolution_in_nnscratch, *given) for e in ("nnscratch", "nnscratch tf32")}
    if direction == "forward":
        for kernel in ("direct", "tiled"):
            builders[f"Numba {kernel}"] = functools.partial(convolution_in_numba, kernel, stride, padding)
    for entry in ("torch", "torch tf32"):
        builders[entry] = functools.partial(convolution_in_torch, *given)
    extra = f", stride {stride}" * (stride > 1) + f", padding {padding}" * (padding > 0)
    what = {"forward": "forward", "input": "gradient by input", "weight": "gradient by weight"}[direction]
    return Workload(
        f"{name}-{direction}",
        f"conv2d {x} to {weight[0]} channels, {weight[2]}×{weight[3]}{extra}: {what}",
        functools.partial(normal, 5, x, weight, y),
        functools.partial(true_convolution, *given),
        builders,
        [roofline.convolution(x, weight, y)[0]],
        tolerance=5e-4,
        quick=quick,
        targets=[Target(["nnscratch"], ["torch"], 0.8)],
    )


def convolutions():
    """Those of `python -m benchmarks cpu`, and ResNet-50's at batch 64."""
    shapes = dict(cpu_conv.SHAPES)
    for c, n, o, k, stride in RESNET50:
        shapes[f"resnet-{c}x{n}-{o}-{k}x{k}"] = (64, c, n, n), (o, c, k, k), stride, k // 2
    return [
        convolution(name, *shape, direction, quick=name in ("conv-1x28", "conv-32x13"))
        for name, shape in shapes.items()
        for direction in ("forward", "input", "weight")
    ]


# Training steps by Adam


@functools.cache
def true_losses(module, batch):
    """The losses of the first steps in float64 on the CPU."""
    import nnscratch as ns

    def wide(arrays):
        return [a.astype(float) if a.dtype.kind == "f" else a for a in arrays]

    weights, batches = training_arrays(module, batch)
    with ns.use_device("cpu"):
        step, sets = training(module, wide(weights), [wide(b) for b in batches])
        return [[[step(*sets[i % len(sets)])[0].item()]] for i in range(STEPS)]


def training_arrays(module, batch):
    """Weights, and batches of images, of values from 0 to 1, and labels."""
    weights, [(x, _), *_] = module.arrays(True)
    (images,) = normal(3, (batch, *x.shape[1:]))
    return weights, labelled(np.random.default_rng(3), images % 1)


def training(module, weights, batches):
    """nnscratch's training step on the device in use, and its batches."""
    import nnscratch as ns
    from benchmarks import peers

    model = module.network(ns.nn).to(ns.tensor(0.0).device)
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.data = ns.tensor(weight).data
    adam = ns.optim.Adam(model.parameters(), lr=module.RATE, bias_correction=True)
    loss = functools.partial(ns.functional.cross_entropy, from_logits=True)
    return peers.training_step(model, loss, adam), [tuple(ns.tensor(a) for a in b) for b in batches]


def training_in_nnscratch(module, peer, weights, batches):
    return Run(*training(module, weights, batches))


def training_in_torch(module, compiled, peer, weights, batches):
    from benchmarks import peers

    torch = peer.torch
    model = peers.load("torch").fill(module.network(torch.nn), weights).to(peer.device)
    adam = torch.optim.Adam(model.parameters(), lr=module.RATE, fused=True)
    called = torch.compile(model) if compiled else model
    step = peers.training_step(called, torch.nn.functional.cross_entropy, adam)
    return Run(step, [tuple(map(peer.put, b)) for b in batches])


def mlp_operations(n):
    """The operations of a training step of the MLP with a batch of `n`."""
    layers = [roofline.linear(n, 784, 128, first=True), roofline.activation(n * 128), roofline.linear(n, 128, 10)]
    return [o for layer in layers for o in layer] + roofline.loss(n * 10) + roofline.adam(784 * 128 + 128 + 1290)


OPERATIONS = {s2: s2.operations, mlp: mlp_operations}


def step(module, name, batch, builders, **more):
    return Workload(
        f"{name}-{batch}",
        f"{name.split('-')[0]}, a training step by Adam, batch {batch}",
        functools.partial(training_arrays, module, batch),
        lambda *arrays: true_losses(module, batch),
        builders,
        OPERATIONS[module](batch),
        tolerance=1e-3,  # of the loss: Adam's first steps go by the sign of gradients that may be almost nothing
        size=batch,
        **more,
    )


def s2_step(batch):
    targets = {64: [Target(["nnscratch"], ["torch"], 1.0)], 4096: [Target(["nnscratch"], ["torch"], 0.9)]}
    builders = {
        "nnscratch": functools.partial(training_in_nnscratch, s2),
        "torch": functools.partial(training_in_torch, s2, False),
        "torch compiled": functools.partial(training_in_torch, s2, True),
    }
    return step(s2, "s2", batch, builders, quick=batch == 64, targets=targets.get(batch, ()))


def both(module, name, batch):
    builders = {entry: functools.partial(training_in_nnscratch, module) for entry in ("CPU", "GPU")}
    return step(module, f"{name}-step", batch, builders, command="cpu-vs-gpu", quick=batch in (16, 64))


WORKLOADS = [
    *map(product, SIZES),
    *convolutions(),
    *map(s2_step, (64, 512, 4096)),
    *(both(module, name, batch) for module, name in ((s2, "s2"), (mlp, "mlp")) for batch in BATCHES),
]


def load(command):
    """The workloads of a command by name.

    Examples
    --------
    >>> list(load("cpu-vs-gpu"))[:2]
    ['s2-step-1', 's2-step-2']
    """
    return {w.name: w for w in WORKLOADS if w.command == command}
