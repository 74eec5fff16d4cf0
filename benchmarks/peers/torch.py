"""PyTorch, in eager mode, with its fused optimisers."""

from benchmarks import peers


def start(threads):
    """Import it and set its threads."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return torch.__version__


def wait(result):
    """Results are there when a step returns."""


def array(value):
    """A tensor as a NumPy array."""
    return value.detach().numpy()


def fill(model, weights):
    """The model, with the arrays `weights` as its parameters, in their order."""
    import torch

    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(weight))
    return model


def train(model, loss, optimizer, batches, layout=None):
    """A function that does one training step, on each of `batches` (arrays) in turn.

    With ``layout="channels_last"`` the model's weights and the images are kept in that order of memory.
    """
    import torch

    batches = [tuple(torch.tensor(a) for a in batch) for batch in batches]
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        batches = [(x.to(memory_format=torch.channels_last), y) for x, y in batches]
    return peers.stepping(model, loss, optimizer, batches)
