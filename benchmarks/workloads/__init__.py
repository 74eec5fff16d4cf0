"""What is measured: a module for each group of workloads, and what every workload says of itself.

A module has ``WORKLOADS``, a list. A workload names its data and initial weights (arrays, made by NumPy from a seed, so
that all processes have the same) and, for every framework that has it, a function that builds from them what is run.
"""

import importlib

import numpy as np

GROUPS = (
    "overhead",
    "s1",
    "mlp",
    "s2",
    "conv",
    "operations",
    "matmul",
    "cross_entropy",
    "norm",
    "adam",
    "inference",
    "minilm",
    "recurrent",
    "gpt",
    "epoch",
    "scaling",
)

BATCHES = 4  # that the training workloads take in turn


class Run:
    """What a builder returns; a plain function counts as its `step`.

    Parameters
    ----------
    step : callable
        What is timed. It returns a tuple of the framework's arrays; a training step returns its loss.
    before : callable, optional
        Called before each step, not timed; the step gets what it returns.
    show : callable, optional
        The step's result as NumPy arrays of the order of axes that all frameworks share.
    check : callable, optional
        The arrays to compare with the other frameworks', by default those of the first 5 steps.
    notes : callable, optional
        Called after everything is timed; returns further figures, a dict of name to number.
    """

    def __init__(self, step, before=None, show=None, check=None, notes=None):
        self.step, self.before, self.show, self.check, self.notes = step, before, show, check, notes


class Workload:
    """One row group of the table.

    Parameters
    ----------
    name : str
        As ``--workloads`` takes it; a group's name stands for all whose names begin with it and a hyphen.
    title : str
    arrays : callable
        ``arrays(quick)``: a tuple, what the builders are called with.
    builders : dict
        For each framework, or framework and layout (``"torch channels_last"``), a function of those arrays that returns
        a `Run` or a step.
    operations : sequence of (flops, bytes), optional
        Of one step; see `benchmarks.roofline`.
    parts : int
        How many equal parts a step has, such as operations in a chain: times are those of a part.
    rounds, warm : int, optional
        Rounds, and whether there are steps before them, where they are not the usual.
    tolerance : float
        By how much the frameworks' results may differ, in units of the largest of them.
    size : int, optional
        Of a workload that is one of several sizes of the same.
    quick : bool
        Whether it is among what ``--quick`` runs.
    """

    def __init__(
        self, name, title, arrays, builders, operations=(), parts=1, rounds=None, warm=True, tolerance=1e-4, size=None,
        quick=True,
    ):  # fmt: skip
        self.name, self.title, self.arrays, self.builders = name, title, arrays, builders
        self.operations, self.parts, self.rounds, self.warm = operations, parts, rounds, warm
        self.tolerance, self.size, self.quick = tolerance, size, quick

    @property
    def group(self):
        """The name of its module."""
        return self.name.split("-")[0]


def load():
    """All workloads by name, in the order of the table.

    Examples
    --------
    >>> load()["s1"].group
    's1'
    """
    found = {}
    for group in GROUPS:
        module = importlib.import_module(f"benchmarks.workloads.{group}")
        found |= {w.name: w for w in module.WORKLOADS}
    return found


def glorot(rng, shape):
    """Uniform float32 weights (Glorot & Bengio, 2010), as nnscratch's layers begin with."""
    fans = (shape[0] + shape[1]) * int(np.prod(shape[2:]))
    limit = (6 / fans) ** 0.5
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def labelled(rng, images, classes=10, count=BATCHES):
    """Batches of the same images in several orders, with labels that contradict each other.

    So the loss keeps away from 0 however many steps are timed, and no gradient sinks into numbers that are slow.
    """
    n = len(images)
    return [(images[rng.permutation(n)], rng.integers(0, classes, n)) for _ in range(count)]
