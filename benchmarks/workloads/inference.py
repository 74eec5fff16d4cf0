"""S2 forward alone, without a graph, on 1 image and on 256."""

from functools import partial
from itertools import cycle

from benchmarks import peers, roofline
from benchmarks.workloads import Workload, s2

SIZES = 1, 256


def arrays(quick, batch):
    """S2's weights and images."""
    weights, batches = s2.arrays(quick, batch)
    return weights, [x for x, _ in batches]


def in_nnscratch(weights, images, captured=False):
    import nnscratch as ns

    model = peers.load("nnscratch").fill(s2.network(ns.nn), weights).eval()
    model = ns.capture(model) if captured else model
    queue = cycle([ns.tensor(x) for x in images])

    def step():
        with ns.no_grad():
            return (model(next(queue)),)

    return step


def in_torch(weights, images, layout):
    import torch

    order = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = peers.load("torch").fill(s2.network(torch.nn), weights).eval().to(memory_format=order)
    queue = cycle([torch.tensor(x).to(memory_format=order) for x in images])

    def step():
        with torch.inference_mode():
            return (model(next(queue)),)

    return step


def in_jax(weights, images, layout):
    import jax
    import jax.numpy as jnp

    parameters = [jnp.array(w) for w in s2.jax_weights(weights, layout)]
    model = jax.jit(s2.jax_network(layout))
    queue = cycle([jnp.array(s2.jax_images(x, layout)) for x in images])
    return lambda: (model(parameters, next(queue)),)


def in_dezero(weights, images):
    import dezero

    model, queue = s2.dezero_network(weights), cycle(images)

    def step():
        with dezero.no_grad(), dezero.test_mode():
            return (model(next(queue)),)

    return step


def in_tinygrad(weights, images):
    from tinygrad import Tensor, TinyJit

    parameters = peers.load("tinygrad").weights(weights)
    model = TinyJit(lambda x: s2.tinygrad_network(parameters, x).realize())
    queue = cycle([Tensor(x).realize() for x in images])
    return lambda: (model(next(queue)),)


WORKLOADS = [
    Workload(
        f"inference-{n}",
        f"S2 forward alone, batch {n}",
        partial(arrays, batch=n),
        {
            "nnscratch": in_nnscratch,
            "nnscratch captured": partial(in_nnscratch, captured=True),
            "torch channels_last": partial(in_torch, layout="channels_last"),
            "torch NCHW": partial(in_torch, layout="NCHW"),
            "jax NCHW": partial(in_jax, layout="NCHW"),
            "jax NHWC": partial(in_jax, layout="NHWC"),
            "dezero": in_dezero,
            "tinygrad": in_tinygrad,
        },
        roofline.forward_only(s2.layers(n)),
    )
    for n in SIZES
]
