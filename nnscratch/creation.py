"""Tensors made of nothing but a shape: constants, ranges and random numbers."""

import numpy as np

from nnscratch import arguments, backend
from nnscratch.hints import hinting
from nnscratch.tensor import Tensor


def _shape(owner, shape):
    """A shape given as numbers or as one tuple."""
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        (shape,) = shape
    return tuple(arguments.count(owner, "a length", n, 0) for n in shape)


def _made(owner, make, shape, dtype, device, requires_grad):
    """A Tensor of what ``make(shape)`` returns; errors name the function."""
    requires_grad = arguments.flag(owner, "requires_grad", requires_grad)
    try:
        with arguments.in_memory(owner):
            return Tensor(make(_shape(owner, shape)), dtype, device, requires_grad)
    except TypeError as error:
        raise TypeError(f"{owner}: {str(error).removeprefix('tensor: ').removeprefix(f'{owner}: ')}") from None


@hinting
def zeros(*shape, dtype="float32", device=None, requires_grad=False):
    """Zeros.

    Parameters
    ----------
    *shape : int, or one tuple
    dtype : str or dtype
    device : str, optional
        Where it is to live; see `ns.devices`.
    requires_grad : bool

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError, ValueError
        Where it is no shape, no dtype, or no device.
    MemoryError
        Where it does not fit into memory.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.zeros(2, 3).shape
    (2, 3)
    """
    return _made("zeros", np.zeros, shape, dtype, device, requires_grad)


@hinting
def ones(*shape, dtype="float32", device=None, requires_grad=False):
    """Ones.

    Parameters and results are those of `zeros`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.ones(2)
    tensor([1., 1.])
    """
    return _made("ones", np.ones, shape, dtype, device, requires_grad)


@hinting
def eye(n, m=None, dtype="float32", device=None, requires_grad=False):
    """A matrix of ones on the diagonal and zeros elsewhere.

    Parameters
    ----------
    n, m : int
        Its rows, and its columns, as many by default.
    dtype : str or dtype
    device : str, optional
    requires_grad : bool

    Returns
    -------
    Tensor, (n, m)

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.
    MemoryError
        Where it does not fit into memory.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _made("eye", lambda shape: np.eye(*shape), (n, n if m is None else m), dtype, device, requires_grad)


@hinting
def arange(start, stop=None, step=1, dtype=None, device=None, requires_grad=False):
    """Numbers from `start` up to below `stop`.

    Parameters
    ----------
    start, stop, step : float
        With one number: from 0 up to below that.
    dtype : str or dtype, optional
        int64 where all three are whole numbers, else float32.
    device : str, optional
    requires_grad : bool

    Returns
    -------
    Tensor, (n,)

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or `step` is 0.
    MemoryError
        Where it does not fit into memory.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.arange(3), ns.arange(0, 1, 0.5)
    (tensor([0, 1, 2], dtype=int64), tensor([0. , 0.5]))
    """
    start, stop = (0, start) if stop is None else (start, stop)
    for what, value in (("start", start), ("stop", stop), ("step", step)):
        arguments.number("arange", what, value, -(2**63), 2**63)
    if step == 0:
        raise ValueError("arange: step is 0, expected another number; pass one")
    if dtype is None:
        dtype = "int64" if all(isinstance(value, int | np.integer) for value in (start, stop, step)) else "float32"
    return _made("arange", lambda shape: np.arange(start, stop, step), (), dtype, device, requires_grad)


@hinting
def rand(*shape, dtype="float32", device=None, requires_grad=False):
    """Uniform random numbers from 0 up to below 1, from the generator that `ns.manual_seed` seeds.

    Parameters and results are those of `zeros`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.rand(100)
    >>> bool((x.numpy() >= 0).all() and (x.numpy() < 1).all())
    True
    """
    return _made("rand", _drawn("random", dtype), shape, dtype, device, requires_grad)


@hinting
def randn(*shape, dtype="float32", device=None, requires_grad=False):
    """Normal random numbers of mean 0 and variance 1, from the generator that `ns.manual_seed` seeds.

    Parameters and results are those of `zeros`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.randn(2, 3).shape
    (2, 3)
    """
    return _made("randn", _drawn("standard_normal", dtype), shape, dtype, device, requires_grad)


def _drawn(distribution, dtype):
    """Draws an array; in float32 at once, since a rounded float64 could be 1."""
    drawn = np.float64 if np.dtype(dtype) == np.float64 else np.float32
    return lambda shape: getattr(backend.cpu.rng, distribution)(shape, drawn)


@hinting
def randint(low, high=None, size=(), dtype="int64", device=None):
    """Random whole numbers from `low` up to below `high`, from the generator that `ns.manual_seed` seeds.

    Parameters
    ----------
    low, high : int
        With one number: from 0 up to below that.
    size : tuple of int
    dtype : str or dtype
    device : str, optional

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or `high` is not above `low`.
    MemoryError
        Where it does not fit into memory.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.randint(3, 4, (2,))
    tensor([3, 3], dtype=int64)
    """
    if isinstance(high, tuple | list):  # PyTorch's randint(high, size)
        high, size = None, high
    low, high = (0, low) if high is None else (low, high)
    low = arguments.count("randint", "low", low, -(2**63))
    high = arguments.count("randint", "high", high, low + 1)
    draw = backend.cpu.rng.integers
    return _made("randint", lambda shape: draw(low, high, shape), (size,), dtype, device, False)


@hinting
def randperm(n, dtype="int64", device=None):
    """The numbers from 0 up to below `n` in random order, from the generator that `ns.manual_seed` seeds.

    Parameters
    ----------
    n : int
    dtype : str or dtype
    device : str, optional

    Returns
    -------
    Tensor, (n,)

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.
    MemoryError
        Where it does not fit into memory.

    Examples
    --------
    >>> import nnscratch as ns
    >>> sorted(ns.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    n = arguments.count("randperm", "n", n, 0)
    return _made("randperm", lambda shape: backend.cpu.rng.permutation(n), (), dtype, device, False)
