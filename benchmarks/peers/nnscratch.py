"""nnscratch, by its public names, as a user who wants speed writes it."""

from itertools import cycle

from benchmarks import peers


def start(threads):
    """Import it; its threads are BLAS's, which the environment limits."""
    import nnscratch
    import nnscratch.functional
    import nnscratch.nn
    import nnscratch.optim

    return nnscratch.__version__


def wait(result):
    """Results are there when a step returns."""


def array(value):
    """A Tensor as a NumPy array."""
    return value.numpy()


def fill(model, weights):
    """The model, with the arrays `weights` as its parameters, in their order."""
    model.load_state_dict(dict(zip(model.state_dict(), weights, strict=True)))
    return model


def train(model, loss, optimizer, batches, captured=False):
    """A function that does one training step, on each of `batches` (arrays) in turn; captured, as a program."""
    import nnscratch as ns

    step = peers.training_step(model, loss, optimizer)
    queue = cycle([tuple(ns.tensor(a) for a in batch) for batch in batches])
    step = ns.capture(step) if captured else step
    return lambda: step(*next(queue))
