"""What the engine knows of Tensors, which stand a floor higher: their class, and how an array becomes one."""

from collections.abc import Callable

from nnscratch.arguments import shown

#: The Tensor class, and its way to wrap an array without looking at it; set by `nnscratch.tensor`.
Tensor: type = type(None)
wrap: Callable = type(None)
#: The classes of Tensors, which may be derived from it.
TYPES: set = set()


def describe(value):
    """A value in a few words, for messages: ``(32, 784) float32`` for an array."""
    if isinstance(value, Tensor):
        value = value.data
    if hasattr(value, "dtype"):
        return f"{value.shape} {value.dtype}"
    return shown(value, 40)
