"""tinygrad: a whole step is one TinyJit, compiled by clang."""

from itertools import cycle


def start(threads):
    """Import it; its threads are limited by the environment."""
    import importlib.metadata
    import shutil

    import tinygrad  # noqa: F401

    if shutil.which("clang") is None:
        raise ImportError("tinygrad compiles with clang, which is not installed")
    return importlib.metadata.version("tinygrad")


def wait(result):
    """Steps return before they are done."""
    from tinygrad import Device

    Device[Device.DEFAULT].synchronize()


def array(value):
    """A tensor as a NumPy array."""
    return value.numpy()


def weights(arrays):
    """Trainable tensors that hold these arrays."""
    from tinygrad import Tensor

    return [Tensor(a).contiguous().realize() for a in arrays]


def train(model, parameters, loss, optimizer, batches):
    """A function that does one training step, on each of `batches` (arrays) in turn.

    `model` is a function of parameters (a list) and inputs.
    """
    from tinygrad import Tensor, TinyJit
    from tinygrad.helpers import Context

    @TinyJit
    def whole(x, y):
        optimizer.zero_grad()
        value = loss(model(parameters, x), y)
        value.backward()
        return value.realize(*optimizer.schedule_step())

    queue = cycle([tuple(Tensor(a).realize() for a in batch) for batch in batches])

    def step():
        with Context(TRAINING=1):
            return (whole(*next(queue)),)

    return step
