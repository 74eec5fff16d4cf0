"""DeZero, whose last version is older than NumPy 1.24."""

from itertools import cycle


def start(threads):
    """Import it; its threads are BLAS's, which the environment limits."""
    import numpy as np

    setattr(np, "int", int)  # noqa: B010  taken out of NumPy, and used by DeZero when it is imported
    import dezero

    return dezero.__version__


def wait(result):
    """Results are there when a step returns."""


def array(value):
    """A variable as a NumPy array."""
    return value.data


def fill(model, weights):
    """The model, with the arrays `weights` (of each layer weight and bias) in its layers ``l0``, ``l1``, ….

    Dense weights are (in, out) there.
    """
    for i in range(len(weights) // 2):
        w, b = weights[2 * i : 2 * i + 2]
        layer = getattr(model, f"l{i}")
        layer.W.data, layer.b.data = (w.T if w.ndim == 2 else w).copy(), b.copy()
    return model


def train(model, loss, optimizer, batches):
    """A function that does one training step, on each of `batches` (arrays) in turn."""
    optimizer.setup(model)
    queue = cycle([tuple(a.copy() for a in batch) for batch in batches])

    def step():
        x, y = next(queue)
        model.cleargrads()
        value = loss(model(x), y)
        value.backward()
        optimizer.update()
        return (value,)

    return step
