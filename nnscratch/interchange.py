"""Arrays and weights of other libraries: by DLPack without a copy where both can, and PyTorch's by their names."""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import describe
from nnscratch.tensor import Tensor

#: DLPack's numbers for where an array lives.
_CPU, _CUDA = (1, 3), (2, 13)


def from_dlpack(x):
    """A Tensor of another library's array, in the same memory.

    Parameters
    ----------
    x : object with ``__dlpack__`` and ``__dlpack_device__``
        An array of NumPy's, PyTorch's, JAX's, CuPy's or others', of floating-point numbers, whole numbers or booleans. What is
        changed through it goes unseen by the graph.

    Returns
    -------
    Tensor
        Without a gradient; read-only where the array is, or where its library cannot say.

    Raises
    ------
    TypeError
        Where it is no such array, its numbers are of a kind that is not here (complex, bfloat16, float8), or it requires a gradient.
    ValueError
        Where it lives on a device that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> a = np.array([1.0, 2.0])
    >>> t = ns.from_dlpack(a)
    >>> a[0] = 5.0
    >>> t
    tensor([5., 2.], dtype=float64)
    """
    if isinstance(x, Tensor):
        return x.detach()
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(
            f"from_dlpack: got {describe(x)}, expected an array with __dlpack__; pass one, or use ns.tensor"
        )
    kind = int(x.__dlpack_device__()[0])
    if kind not in (*_CPU, *_CUDA):
        raise ValueError(
            f"from_dlpack: the array lives on a device of DLPack's kind {kind}; move it to the CPU or to CUDA"
        )
    try:
        if kind in _CPU:
            array = np.from_dlpack(x)
        else:
            array = backend.get("cuda").xp.from_dlpack(x)
        return Tensor(array)
    except (BufferError, RuntimeError, TypeError) as error:
        said = " ".join(str(error).split()).removeprefix("tensor: ").rstrip(".")
        raise TypeError(
            f"from_dlpack: {type(x).__module__.partition('.')[0]}'s {type(x).__name__} cannot be taken over ({said}); detach or convert it "
            f"before, for example to float32"
        ) from None


def from_torch(source):
    """PyTorch's weights as `Module.load_state_dict` takes them.

    Layers have the same names and shapes here, so that a network made of the same parts takes them as they are. PyTorch itself is
    not needed for it.

    Parameters
    ----------
    source : torch.nn.Module, or dict of str to torch.Tensor or array
        A module, or its ``state_dict()``.

    Returns
    -------
    dict of str to numpy.ndarray
        Copies; bfloat16 becomes float32, and batch normalisation's count of batches, which nothing here depends on, is left out.

    Raises
    ------
    TypeError
        Where it is no such thing.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> layer = ns.nn.Linear(2, 1)
    >>> layer.load_state_dict(ns.from_torch({"weight": np.ones((1, 2), "float32"), "bias": np.zeros(1, "float32")}))
    >>> layer.weight
    tensor([[1., 1.]], requires_grad=True)
    """
    state = source.state_dict() if callable(getattr(source, "state_dict", None)) else source
    if not hasattr(state, "items"):
        raise TypeError(
            f"from_torch: got {describe(source)}, expected a module of PyTorch's or its state_dict(); pass one"
        )
    return {name: _array(name, value) for name, value in state.items() if not name.endswith("num_batches_tracked")}


def _array(name, value):
    if isinstance(value, np.ndarray):
        return value.copy()
    if not hasattr(value, "detach"):
        raise TypeError(f"from_torch: {name} is {describe(value)}, expected a tensor; pass what state_dict() returned")
    value = value.detach()
    if isinstance(value, Tensor):
        return value.numpy().copy()
    value = value.cpu()
    return np.array((value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy())


def to_torch(source):
    """Weights as PyTorch's ``load_state_dict`` takes them.

    Parameters
    ----------
    source : nn.Module, or dict of str to array or Tensor
        A module, or its ``state_dict()``.

    Returns
    -------
    dict of str to torch.Tensor
        Copies, on the CPU.

    Raises
    ------
    ImportError
        Where PyTorch is not installed.
    TypeError
        Where it is no such thing.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.to_torch([1.0])
    Traceback (most recent call last):
    TypeError: to_torch: got [1.0], expected a module or its state_dict(); pass one
    """
    state = source.state_dict() if callable(getattr(source, "state_dict", None)) else source
    if not hasattr(state, "items"):
        raise TypeError(f"to_torch: got {describe(source)}, expected a module or its state_dict(); pass one")
    try:
        import torch
    except ImportError:
        raise ImportError(
            "to_torch: PyTorch is not installed; install it, for example by `pip install torch`"
        ) from None
    return {name: torch.from_numpy(_array(name, value)) for name, value in state.items()}
