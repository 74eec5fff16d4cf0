"""What functions that check their arguments ask of Tensors and arrays, each question written once."""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import describe
from nnscratch.tensor import Tensor


def raw(value):
    """A Tensor's array; all else as it is."""
    return value.data if isinstance(value, Tensor) else value


def backend_of(value):
    """The backend that a Tensor or an array lives on."""
    return backend.of(raw(value))


def array_of(owner, value):
    """An array of a list or a number; what is said of others begins with `owner`."""
    try:
        return backend.asarray(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{owner}: {str(error).removeprefix('tensor: ')}") from None


def floating_point(name, what, value):
    """A Tensor or an array of floating-point numbers: lists and numbers become one, other dtypes are refused."""
    if not isinstance(value, Tensor) and not backend.is_array(value):
        value = array_of(f"{name}: {what}", value)
    if value.dtype.kind != "f":
        raise TypeError(
            f"{name}: {what} must be floating point, got {describe(value)}; convert it with .astype('float32')"
        )
    return value


def check_shapes(name, shape, why, **values):
    """See that each of the values, by name, is None or of one shape; `why` ends the sentence."""
    for what, value in values.items():
        if value is not None and np.shape(value) != shape:
            raise ValueError(f"{name}: {what} has shape {np.shape(value)}, {why}")
