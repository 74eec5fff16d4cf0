"""The frameworks that are measured, a module each, all with the same functions.

``start(threads)`` imports the framework, sets it to that many threads and returns its version; ``wait(result)`` returns
when a step's result is there; ``array(value)`` is a result as a NumPy array. ``train(...)``, where a framework has it,
makes of a network, a loss and an optimiser a function that does one training step the way that framework's users do.
"""

import importlib
import sys
from itertools import cycle
from typing import NamedTuple

NAMES = ("nnscratch", "numpy", "torch", "jax", "dezero", "tinygrad", "onnxruntime")

LIBRARIES = ("OPENBLAS", "OMP", "MKL", "NUMBA", "VECLIB")

#: What nnscratch tells glibc when it is used (`nnscratch.backend.cpu`), as environment variables that tell it the same.
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
    "MALLOC_TOP_PAD_": str(1 << 24),
}
#: The frameworks whose arrays come from the C library's malloc, and who do not tell it to keep what is freed.
#: tinygrad takes its own from the system, and keeps it.
TELLABLE = ("numpy", "torch", "jax", "dezero")


class Entry(NamedTuple):
    """Who runs: ``"torch"``, ``"torch NCHW"`` or ``"torch NCHW, memory kept"``.

    Examples
    --------
    >>> Entry.read("torch NCHW, memory kept")
    Entry(peer='torch', layout='NCHW', kept=True)
    >>> str(_), str(Entry("jax"))
    ('torch NCHW, memory kept', 'jax')
    """

    peer: str
    layout: str = ""
    kept: bool = False

    @classmethod
    def read(cls, text):
        """The entry that is written so."""
        name, _, kept = text.partition(", ")
        peer, _, layout = name.partition(" ")
        return cls(peer, layout, bool(kept))

    @property
    def builder(self):
        """What a workload's builder of it is called."""
        return f"{self.peer} {self.layout}".strip()

    def __str__(self):
        return self.builder + ", memory kept" * self.kept


def with_kept(entries):
    """The entries, each that can be told to keep memory a second time so, where the C library can be told.

    Examples
    --------
    >>> with_kept(["nnscratch", "tinygrad"])
    ['nnscratch', 'tinygrad']
    """
    found = []
    for entry in entries:
        found.append(entry)
        if can_keep() and Entry.read(entry).peer in TELLABLE:
            found.append(str(Entry.read(entry)._replace(kept=True)))
    return found


def can_keep():
    """Whether the C library is glibc, which can be told to keep memory."""
    import ctypes

    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt")


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


def environment(threads, kept=False):
    """The variables that hold every framework to `threads` threads, and tell the C library whether to keep memory.

    They must be set before it is imported; those that are None must not be set.

    Examples
    --------
    >>> environment(2)["OMP_NUM_THREADS"]
    '2'
    """
    limits = {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}
    limits["VECLIB_MAXIMUM_THREADS"] = limits.pop("VECLIB_NUM_THREADS")
    xla = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()} intra_op_parallelism_threads={threads}"
    tinygrad = {"DEV": "CPU", "NUM_CPU_THREADS": str(threads), "THREADS": str(int(threads > 1))}
    memory = KEEPING if kept else dict.fromkeys(KEEPING)
    return {**limits, **tinygrad, **memory, "XLA_FLAGS": xla, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
