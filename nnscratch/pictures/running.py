"""A model run for a picture: in evaluation mode, without a graph, and left as it was."""

import contextlib

import numpy as np

from nnscratch import backend
from nnscratch.autograd import describe, no_grad
from nnscratch.nn import Module
from nnscratch.nn.module import modes
from nnscratch.tensor import Tensor

BATCH = 4096


def check_model(owner, model):
    """A module is returned as it is; anything else is refused.

    Raises
    ------
    TypeError
        Where it is none.

    Examples
    --------
    >>> check_model("filters", 3)
    Traceback (most recent call last):
    TypeError: filters: model is a int, expected an nn.Module; pass a network
    """
    if not isinstance(model, Module):
        raise TypeError(f"{owner}: model is a {type(model).__name__}, expected an nn.Module; pass a network")
    return model


@contextlib.contextmanager
def evaluating(model):
    """Run a model within this block; then its modes, buffers and random numbers are as they were.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Dropout(0.5)
    >>> with evaluating(model):
    ...     print(model.training)
    False
    >>> model.training
    True
    """
    buffers = [(b, b.data.copy()) for b in model.buffers()]
    try:
        with modes((m, False) for m in model.modules()), backend.same_random(), no_grad():
            yield
    finally:
        for buffer, values in buffers:
            buffer.data[...] = values


def outputs(owner, model, x):
    """What a model makes of samples, in batches.

    Parameters
    ----------
    owner : str
    model : nn.Module
    x : (N, ...) array

    Returns
    -------
    numpy.ndarray, shape (N, ...)

    Raises
    ------
    ValueError
        Where the model returns no tensor with a row for each sample, or nan.

    Examples
    --------
    >>> import nnscratch as ns
    >>> outputs("curves", ns.nn.ReLU(), np.array([[-1.0, 2.0]], np.float32))
    array([[0., 2.]], dtype=float32)
    """
    results = []
    with evaluating(model), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(x), BATCH):
            batch = x[start : start + BATCH]
            y = model(as_input(model, batch))
            if not isinstance(y, Tensor) or y.shape[:1] != (len(batch),):
                raise ValueError(
                    f"{owner}: the model returned {describe(y)} for {len(batch)} samples, expected a Tensor "
                    f"({len(batch)}, ...); correct its forward"
                )
            results.append(y.numpy())
    result = np.concatenate(results)
    if not np.isfinite(result).all():
        raise ValueError(
            f"{owner}: the model's results are no finite numbers; train it anew with a lower learning rate"
        )
    return result


def as_input(model, x):
    """An array as a tensor of the dtype and on the device of a model's parameters."""
    first = next(model.parameters(), None)
    return Tensor(x) if first is None else Tensor(x, first.dtype, first.device)
