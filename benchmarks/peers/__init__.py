"""The frameworks that are measured, a module each, all with the same functions.

``start(threads)`` imports the framework, sets it to that many threads and returns its version; ``wait(result)`` returns
when a step's result is there; ``array(value)`` is a result as a NumPy array. ``train(...)``, where a framework has it,
makes of a network, a loss and an optimiser a function that does one training step the way that framework's users do.
"""

import importlib
from itertools import cycle

NAMES = ("nnscratch", "numpy", "torch", "jax", "dezero", "tinygrad")

LIBRARIES = ("OPENBLAS", "OMP", "MKL", "NUMBA", "VECLIB")


def load(name):
    """The module of a peer; the framework itself is imported by its `start`."""
    return importlib.import_module(f"benchmarks.peers.{name}")


def training_step(model, loss, optimizer):
    """A function of inputs and targets that does a training step: nnscratch's and PyTorch's words for it are the same."""

    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return (value,)

    return step


def stepping(model, loss, optimizer, batches):
    """A function that does one training step, on each of `batches` in turn."""
    queue, step = cycle(batches), training_step(model, loss, optimizer)
    return lambda: step(*next(queue))


def environment(threads):
    """The variables that hold every framework to `threads` threads; they must be set before it is imported.

    Examples
    --------
    >>> environment(2)["OMP_NUM_THREADS"]
    '2'
    """
    limits = {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}
    limits["VECLIB_MAXIMUM_THREADS"] = limits.pop("VECLIB_NUM_THREADS")
    xla = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()} intra_op_parallelism_threads={threads}"
    tinygrad = {"DEV": "CPU", "NUM_CPU_THREADS": str(threads), "THREADS": str(int(threads > 1))}
    return {**limits, **tinygrad, "XLA_FLAGS": xla, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
