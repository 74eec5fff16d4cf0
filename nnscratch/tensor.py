"""Tensor: an array with a place in the graph."""

import html
import inspect

import numpy as np

from nnscratch import arguments, autograd, backend, hints, markup
from nnscratch.autograd import OPS, handles, recording


def _wrap(array, version=None, new=object.__new__):
    """Wrap an array in a Tensor without looking at it: the engine's way."""
    t = new(Tensor)
    t.data = array
    t.grad = t._node = t._origin = None
    t.requires_grad = False
    t._version = version or [0]
    return t


class Tensor:
    """An array that remembers how it was computed.

    Parameters
    ----------
    data : array, Tensor, number or nested list
        An array's memory is shared (`ns.tensor` copies it); Python numbers and lists become float32.
    dtype : str or dtype, optional
        float16, float32, float64, an integer type or bool.
    device : str, optional
        Where it is to live; see `ns.devices`.
    requires_grad : bool
        Whether ``backward()`` shall leave a gradient in ``.grad``; for floating-point data only.

    Attributes
    ----------
    data : array
        The values. Changing them through this attribute goes unseen by the graph: assign with ``t[...] = v`` instead.
    grad : Tensor or None
        The gradient, in the same shape and dtype, after ``backward()``.
    requires_grad : bool
        Whether this tensor takes part in derivatives.

    Raises
    ------
    TypeError
        For data that are not real numbers, or integers with ``requires_grad=True``.
    ValueError
        For nested lists that are not rectangular, or a device that is not there.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([[2., 4.],
            [6., 8.]])
    """

    __slots__ = ("data", "grad", "requires_grad", "_node", "_version", "_origin", "__weakref__")
    _of = staticmethod(_wrap)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        handles.TYPES.add(cls)

    def __init__(self, data, dtype=None, device=None, requires_grad=False):
        if isinstance(data, Tensor):
            data = data.data
        self.data = backend.asarray(data, dtype, device)
        self.grad = None
        self._node = None
        self._version = [0]
        self._origin = None
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    # What it is

    @property
    def shape(self):
        """Its lengths along each axis, a tuple."""
        return self.data.shape

    @property
    def ndim(self):
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self):
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self):
        """The type of its elements."""
        return self.data.dtype

    @property
    def device(self):
        """The name of the device it lives on."""
        return backend.of(self.data).name

    @property
    def is_leaf(self):
        """Whether it was given, rather than computed from tensors that require gradients."""
        return self._node is None

    @property
    def T(self):
        """The axes in reverse order."""
        return OPS["transpose"](self)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len: a tensor of shape () has no length; it is a single number")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=200, edgeitems=3)
        if self.size == 0:
            text += f", shape={self.shape}"
        if self.dtype != np.float32:
            text += f", dtype={self.dtype}"
        if type(self.data) is not np.ndarray:
            text += f", device={self.device!r}"
        if self._node is not None:
            text += f", op={self._node.op.name}"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def _repr_html_(self):
        """What a notebook shows: the values, what they are and where they come from, and the gradient where there is one."""
        kind = f"shape {self.shape}, {self.dtype}, on {self.device}"
        if self._node is not None:
            kind += f", made by <b>{html.escape(self._node.op.name)}</b>"
        elif self.requires_grad:
            kind += ", requires a gradient"
        text = f"<div><code>{type(self).__name__}</code> {kind}{markup.grid(self.numpy())}"
        if self.grad is not None:
            text += f"<div>gradient{markup.grid(self.grad.numpy())}</div>"
        return text + "</div>"

    def __format__(self, spec):
        if not spec:
            return repr(self)
        if self.size != 1:
            raise TypeError(f"format: {spec!r} is for one number, the tensor has shape {self.shape}; index it first")
        return format(self.item(), spec)

    def __bool__(self):
        if self.size != 1:
            raise ValueError(
                f"bool: a tensor of shape {self.shape} is neither true nor false; use .numpy().any() or .numpy().all()"
            )
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.size != 1 or self.dtype.kind not in "iu":
            raise TypeError(f"index: only an integer tensor of one element is an index, got {autograd.describe(self)}")
        return int(self.item())

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """NumPy's elementwise functions of Tensors, and its operators with an array on the left, are our operations."""
        name = _OUR_UFUNCS.get(ufunc.__name__, ufunc.__name__)
        if method == "__call__" and name in OPS and not kwargs:
            return OPS[name](*inputs)
        call = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if method != "__call__" or name not in OPS:
            instead = "is no operation of nnscratch; write it with those that are, or with ns.op"
        elif "out" in kwargs:
            instead = f"cannot write a tensor's result into an array; assign what ns.{name} returns"
        else:
            instead = f"takes no {next(iter(kwargs))} where a tensor is given; use ns.{name}"
        raise TypeError(f"{call}: it {instead}, or pass tensor.numpy() where no gradient shall go through")

    def __array_function__(self, function, classes, args, kwargs):
        """NumPy's functions take Tensors as arrays; of those in a graph they are the operation of that name, or are refused."""
        if function in _PROPERTIES:
            return getattr(args[0], function.__name__)
        found: list = []
        arrays = _as_arrays(args, found), _as_arrays(kwargs, found)
        recorded = autograd.is_grad_enabled() and any(t.requires_grad for t in found)
        name = function.__name__
        if name in _IN_PLACE:
            away = next((t.device for t in found if t.device != "cpu"), None)
            if recorded or away:
                raise TypeError(
                    f"np.{name}: it changes its argument, and a tensor given to it {f'is on {away}' if away else 'requires a gradient'}; use "
                    f"{_IN_PLACE[name]}, or change a leaf by x[...] = values inside ns.no_grad()"
                )
            found[0]._version[0] += 1
        elif recorded and name in OPS and OPS[name].outputs is None:
            return _by_operation(function, args, kwargs)
        result = function(*arrays[0], **arrays[1])
        if recorded and any(
            np.asarray(r).dtype.kind == "f" for r in (result if isinstance(result, tuple) else [result])
        ):
            instead = _INSTEAD.get(name, "the operations of ns, or ns.op for one of your own")
            raise TypeError(
                f"np.{name}: NumPy computes without a graph, and a tensor given to it requires a gradient; use {instead}, or pass "
                f"tensor.detach() where no gradient shall go through"
            )
        return result

    def __dlpack__(self, **asked):
        """The memory itself, for `from_dlpack` of other libraries; see https://dmlc.github.io/dlpack."""
        if self.requires_grad:
            raise BufferError(
                f"Tensor.__dlpack__: this tensor {self.shape} requires a gradient, which another library would lose; pass tensor.detach()"
            )
        return self.data.__dlpack__(**{name: value for name, value in asked.items() if value is not None})

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __copy__(self):
        t = _wrap(self.data, self._version)
        t.__class__ = type(self)
        t.grad, t.requires_grad, t._node = self.grad, self.requires_grad, self._node
        return t

    def __reduce_ex__(self, protocol):
        if self._node is not None:
            raise TypeError(
                f"copy: this tensor {self.shape} is a result of {self._node.op.name}, and a graph cannot be copied or pickled; "
                f"copy tensor.detach(), or the leaves that it was computed from"
            )
        return super().__reduce_ex__(protocol)

    __hash__ = object.__hash__

    # Its values elsewhere

    def item(self):
        """The value of a tensor of one element as a Python number.

        Raises
        ------
        ValueError
            Where there is not exactly one element.
        """
        if self.size != 1:
            raise ValueError(f"item: the tensor has shape {self.shape}, expected one element; index it first")
        return self.numpy().item()

    def numpy(self):
        """The values as a NumPy array (the memory itself, where it lives on the CPU)."""
        return backend.of(self.data).to_numpy(self.data)

    def tolist(self):
        """The values as nested Python lists."""
        return self.numpy().tolist()

    def to(self, device):
        """This tensor on `device` (itself, where it is there already); its gradient comes back to where it was.

        Raises
        ------
        ValueError
            Where there is no such device here.
        """
        here, there = self.device, backend.get(device).name
        return self if here == there else OPS["transfer"](self, there, here)

    def astype(self, dtype):
        """A copy in another dtype; its gradient comes back in this one's."""
        return OPS["astype"](self, dtype)

    def copy(self):
        """A copy with a place in the graph."""
        return OPS["copy"](self)

    def detach(self):
        """The same values (and memory) outside the graph."""
        return Tensor._of(self.data, self._version)

    # Derivatives

    def requires_grad_(self, requires_grad=True):
        """Ask for gradients (or no longer), in place; returns the tensor.

        Raises
        ------
        TypeError
            Where the data are not floating-point numbers.
        RuntimeError
            Where the tensor was computed from others, and so cannot choose.
        """
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: only floating-point tensors have gradients, got {self.dtype}; pass dtype='float32'"
            )
        if not requires_grad and self._node is not None:
            raise RuntimeError(
                "requires_grad: this tensor was computed from others that require gradients; use .detach() to leave the graph"
            )
        self.requires_grad = bool(requires_grad) or self._node is not None
        return self

    def backward(self, gradient=None, create_graph=False):
        """Add to ``.grad`` of every leaf that this tensor depends on the gradient by it.

        Gradients add up: a second pass, over this graph or another, adds to the first.

        Parameters
        ----------
        gradient : Tensor or array, optional
            The gradient by this tensor, in its shape; 1 for a tensor of one element.
        create_graph : bool
            Let the gradients have graphs of their own (`ns.grad` does so without the cycle leaf → .grad → leaf).

        Raises
        ------
        RuntimeError
            Where nothing it depends on requires a gradient, or a value that a rule needs was changed in place.
        ValueError
            Where it has several elements and no `gradient` of its shape was given.

        Examples
        --------
        >>> import nnscratch as ns
        >>> x = ns.tensor(3.0, requires_grad=True)
        >>> y = x**2
        >>> y.backward()
        >>> x.grad
        tensor(6.)
        """
        autograd.backward(self, gradient, create_graph)

    # Indexing and assignment

    def __getitem__(self, index):
        return OPS["getitem"](self, _plain_index(index))

    def __setitem__(self, index, value):
        if autograd.is_grad_enabled():
            if self.requires_grad:
                what = (
                    "is a leaf that requires gradients"
                    if self._node is None
                    else f"is a result of {self._node.op.name}"
                )
                raise RuntimeError(
                    f"assignment: this tensor {self.shape} {what} and so part of a graph; "
                    f"build a new one with ns.where, or change a leaf inside ns.no_grad()"
                )
            if isinstance(value, Tensor) and value.requires_grad:
                raise RuntimeError(
                    "assignment: the value requires gradients, which an assignment would lose; use ns.where or "
                    "ns.concatenate, or assign value.detach()"
                )
        value = value.data if isinstance(value, Tensor) else value
        here = backend.of(self.data)
        if backend.is_array(value) and backend.of(value) is not here:
            raise ValueError(
                f"assignment: the tensor is on {here.name}, the value on {backend.of(value).name}; move it by .to({here.name!r})"
            )
        index = _plain_index(index)
        try:
            if isinstance(value, list | tuple):
                value = here.as_result(np.asarray(value, self.dtype))
            if here.name == "cpu" or arguments.is_basic(index):
                self.data[index] = value
            else:  # a GPU lets indices out of range pass, and values for one place in any order
                self.data[...] = OPS["put"](self.data, index, value)
        except (ValueError, IndexError, TypeError) as error:
            raise type(error)(f"assignment: {error} (into {autograd.describe(self)})") from None
        self._version[0] += 1

    # Operators

    def __add__(self, other):
        return OPS["add"](self, other)

    def __radd__(self, other):
        return OPS["add"](other, self)

    def __sub__(self, other):
        return OPS["subtract"](self, other)

    def __rsub__(self, other):
        return OPS["subtract"](other, self)

    def __mul__(self, other):
        return OPS["multiply"](self, other)

    def __rmul__(self, other):
        return OPS["multiply"](other, self)

    def __truediv__(self, other):
        return OPS["divide"](self, other)

    def __rtruediv__(self, other):
        return OPS["divide"](other, self)

    def __mod__(self, other):
        return OPS["remainder"](self, other)

    def __rmod__(self, other):
        return OPS["remainder"](other, self)

    def __pow__(self, other):
        return OPS["power"](self, other)

    def __rpow__(self, other):
        return OPS["power"](other, self)

    def __matmul__(self, other):
        return OPS["matmul"](self, other)

    def __rmatmul__(self, other):
        return OPS["matmul"](other, self)

    def __neg__(self):
        return OPS["negative"](self)

    def __pos__(self):
        return self

    def __abs__(self):
        return OPS["abs"](self)

    def __invert__(self):
        return OPS["logical_not"](self)

    def __and__(self, other):
        return OPS["logical_and"](self, other)

    __rand__ = __and__

    def __or__(self, other):
        return OPS["logical_or"](self, other)

    __ror__ = __or__

    def __xor__(self, other):
        return OPS["logical_xor"](self, other)

    __rxor__ = __xor__

    def __eq__(self, other):
        return OPS["equal"](self, other)

    def __ne__(self, other):
        return OPS["not_equal"](self, other)

    def __lt__(self, other):
        return OPS["less"](self, other)

    def __le__(self, other):
        return OPS["less_equal"](self, other)

    def __gt__(self, other):
        return OPS["greater"](self, other)

    def __ge__(self, other):
        return OPS["greater_equal"](self, other)

    def _in_place(self, name, other):
        if autograd.is_grad_enabled():
            if self.requires_grad and self._node is None:
                raise RuntimeError(
                    f"{name}: this tensor {self.shape} is a leaf that requires gradients, which cannot change where it is "
                    f"recorded; write x = x + ... for a new tensor, or change it inside ns.no_grad()"
                )
            if self.requires_grad or (isinstance(other, Tensor) and other.requires_grad):
                return OPS[name](self, other)  # what is in a graph stays as it is: the name gets a new tensor
        result = OPS[name](self, other)
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise TypeError(
                f"{name}: {result.dtype} results do not fit into a tensor of {self.dtype}; convert it first"
            )
        self[...] = result
        return self

    def __iadd__(self, other):
        return self._in_place("add", other)

    def __isub__(self, other):
        return self._in_place("subtract", other)

    def __imul__(self, other):
        return self._in_place("multiply", other)

    def __itruediv__(self, other):
        return self._in_place("divide", other)

    # NumPy's methods; what they do not know of the operation says what is known, and what PyTorch's is called here

    def sum(self, axis=None, keepdims=False, **others):
        """The sum over `axis` (all by default); see `ns.sum`."""
        return OPS["sum"](self, axis, keepdims, **others)

    def mean(self, axis=None, keepdims=False, **others):
        """The mean over `axis`; see `ns.mean`."""
        return OPS["mean"](self, axis, keepdims, **others)

    def max(self, axis=None, keepdims=False, **others):
        """The greatest value over `axis`; see `ns.max`."""
        return OPS["max"](self, axis, keepdims, **others)

    def min(self, axis=None, keepdims=False, **others):
        """The least value over `axis`; see `ns.min`."""
        return OPS["min"](self, axis, keepdims, **others)

    def prod(self, axis=None, keepdims=False, **others):
        """The product over `axis`; see `ns.prod`."""
        return OPS["prod"](self, axis, keepdims, **others)

    def var(self, axis=None, ddof=0, keepdims=False, **others):
        """The variance over `axis`; see `ns.var`."""
        return OPS["var"](self, axis, ddof, keepdims, **others)

    def std(self, axis=None, ddof=0, keepdims=False, **others):
        """The standard deviation over `axis`; see `ns.std`."""
        return OPS["std"](self, axis, ddof, keepdims, **others)

    def cumsum(self, axis=None, **others):
        """The running sum along `axis`; see `ns.cumsum`."""
        return OPS["cumsum"](self, axis, **others)

    def argmax(self, axis=None, keepdims=False, **others):
        """The index of the (first) greatest value along `axis`; see `ns.argmax`."""
        return OPS["argmax"](self, axis, keepdims, **others)

    def argmin(self, axis=None, keepdims=False, **others):
        """The index of the (first) least value along `axis`; see `ns.argmin`."""
        return OPS["argmin"](self, axis, keepdims, **others)

    def reshape(self, *shape):
        """The same elements in another shape; see `ns.reshape`."""
        return OPS["reshape"](self, shape[0] if len(shape) == 1 else shape)

    def flatten(self, start_axis=0):
        """The axes from `start_axis` on made one; see `ns.flatten`."""
        return OPS["reshape"](self, arguments.flat_shape("flatten", self.shape, start_axis))

    def transpose(self, *axes):
        """The axes in another order (reversed by default); see `ns.transpose`."""
        return OPS["transpose"](self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None)

    def swapaxes(self, axis1, axis2):
        """Two axes exchanged; see `ns.swapaxes`."""
        return OPS["swapaxes"](self, axis1, axis2)

    def squeeze(self, axis=None, **others):
        """Without axes of length 1; see `ns.squeeze`."""
        return OPS["squeeze"](self, axis, **others)

    def clip(self, low=None, high=None, **others):
        """Values held within [low, high]; see `ns.clip`."""
        return OPS["clip"](self, low, high, **others)

    def exp(self):
        """e to the power of each element."""
        return OPS["exp"](self)

    def log(self):
        """The natural logarithm of each element."""
        return OPS["log"](self)

    def sqrt(self):
        """The square root of each element."""
        return OPS["sqrt"](self)

    def abs(self):
        """The absolute value of each element."""
        return OPS["abs"](self)


hints.lead(Tensor, "Tensor.")
handles.Tensor, handles.wrap = Tensor, _wrap
handles.TYPES.add(Tensor)


#: What NumPy's elementwise functions are called here, where that differs.
_OUR_UFUNCS = {
    "absolute": "abs",
    "fabs": "abs",
    "bitwise_and": "logical_and",  # an operator's name with an array on its left
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "invert": "logical_not",
    **{f"arc{name}": f"a{name}" for name in ("cos", "cosh", "sin", "sinh", "tan", "tanh")},
}
#: NumPy's functions that are a property of the tensor, wherever it lives.
_PROPERTIES = (np.shape, np.ndim, np.size)
#: What NumPy's functions call an argument, and what our operations call it.
_OUR_NAMES = {
    "a": "x",
    "arr": "x",
    "array": "x",
    "m": "x",
    "x": "a",
    "y": "b",
    "a_min": "low",
    "a_max": "high",
    "ord": "p",
    "pad_width": "widths",
    "constant_values": "value",
}
#: Functions of NumPy's that change their argument, which no operation does, and what makes a new array instead.
_IN_PLACE = {
    **dict.fromkeys(("put", "place", "putmask", "copyto"), "ns.where"),
    "put_along_axis": "ns.put_along_axis",
    "fill_diagonal": "ns.where",
}
#: What does the same as a function of NumPy's that is no operation's name.
_INSTEAD = {
    **dict.fromkeys(("dot", "inner", "vdot", "vecdot", "matvec", "vecmat", "multi_dot"), "ns.matmul"),
    **dict.fromkeys(("outer", "tensordot", "trace", "diagonal", "kron"), "ns.einsum"),
    **dict.fromkeys(("vstack", "hstack", "dstack", "column_stack", "append", "block"), "ns.concatenate"),
    **dict.fromkeys(("array_split", "vsplit", "hsplit", "dsplit"), "ns.split"),
    **dict.fromkeys(("repeat", "roll", "compress", "extract", "choose"), "ns.take"),
    **dict.fromkeys(("ravel", "matrix_transpose", "moveaxis", "rollaxis"), "ns.reshape or ns.transpose"),
    **dict.fromkeys(("fliplr", "flipud", "rot90"), "ns.flip"),
    **dict.fromkeys(("diff", "ediff1d", "gradient"), "ns.subtract of slices"),
    **{name: f"ns.{name}" for name in ("sort", "split", "stack", "tile")},
    "average": "ns.mean",
    "median": "ns.sort",
    "ptp": "ns.max and ns.min",
}


def _by_operation(function, args, kwargs):
    """A function of NumPy's computed by the operation of its name."""
    operation, signature = OPS[function.__name__], inspect.signature(function)
    arrays, given = [], {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL or name == "arrays":
            arrays += value
        elif value is not parameter.default:
            for key, item in value.items() if parameter.kind is parameter.VAR_KEYWORD else [(name, value)]:
                given[key if key in operation.names else _OUR_NAMES.get(key, key)] = item
    unknown = [name for name in given if name not in operation.names]
    if unknown:
        raise TypeError(
            f"np.{function.__name__}: for a tensor in a graph it is ns.{operation.name}, which has no argument {unknown[0]!r}; "
            f"leave it out"
        )
    return operation(*arrays, **given)


def _as_arrays(value, found):
    """An argument with its Tensors, which `found` gathers, as arrays; those in tuples, lists and dicts included."""
    if isinstance(value, Tensor):
        found.append(value)
        return value.numpy()
    if isinstance(value, dict):
        return {key: _as_arrays(v, found) for key, v in value.items()}
    return type(value)(_as_arrays(v, found) for v in value) if type(value) in (list, tuple) else value


def _plain_index(index):
    """An index without Tensors in it."""
    if isinstance(index, Tensor):
        return index.data
    if isinstance(index, tuple):
        return tuple(_plain_index(i) for i in index)
    return index


def forget_gradients(tensors, set_to_none=True):
    """Let ``.grad`` of each be None; or, where `set_to_none` is False, 0 where there is one.

    Raises
    ------
    TypeError
        Where `set_to_none` is neither True nor False.

    Examples
    --------
    >>> x = tensor(1.0, requires_grad=True)
    >>> (x * x).backward()
    >>> forget_gradients([x], set_to_none=False)
    >>> x.grad
    tensor(0.)
    """
    to_none, tensors = arguments.flag("zero_grad", "set_to_none", set_to_none), list(tensors)
    if to_none and recording.state.recorder is not None:
        recording.state.recorder.forget(tensors)
    for t in tensors:
        t.grad = None if to_none or t.grad is None else _wrap(np.zeros_like(t.grad.data))


def tensor(data, dtype=None, device=None, requires_grad=False):
    """A new Tensor holding a copy of `data`.

    Parameters
    ----------
    data : array, Tensor, number or nested list
        Python numbers and lists become float32 (bool lists stay bool); arrays keep their dtype.
    dtype : str or dtype, optional
        float16, float32, float64, an integer type or bool.
    device : str, optional
        Where it is to live; see `ns.devices`.
    requires_grad : bool
        Whether ``backward()`` shall leave a gradient in ``.grad``; for floating-point data only.

    Returns
    -------
    Tensor
        In the shape of `data`.

    Raises
    ------
    TypeError
        For data that are not real numbers, or integers with ``requires_grad=True``.
    ValueError
        For nested lists that are not rectangular, or a device that is not there.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.tensor([1, 2, 3])
    tensor([1., 2., 3.])
    >>> ns.tensor([0, 2], dtype="int64")
    tensor([0, 2], dtype=int64)
    """
    if isinstance(data, Tensor):
        data = data.data
    elif isinstance(data, list | tuple):
        data = _plain_list(data)
    t = Tensor(data, dtype, device)
    if t.data is data or t.data.base is not None:
        t.data = t.data.copy()
    return t.requires_grad_() if requires_grad else t


def _plain_list(data):
    """Nested lists without Tensors in them."""
    return [_plain_list(d) if isinstance(d, list | tuple) else d.data if isinstance(d, Tensor) else d for d in data]
