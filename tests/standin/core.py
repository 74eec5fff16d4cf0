"""The array of the stand-in, and how NumPy's functions become its own."""

import functools
import importlib
import operator
import types

import numpy as np

from . import cuda, lacking

SCALARS = (bool, int, float, complex, np.generic)


class ndarray:
    """An array of a device: NumPy's, kept from NumPy."""

    __slots__ = ("_a", "base", "__weakref__")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float, order="C"):
        self._a, self.base = np.empty(shape, dtype, order), None

    # What it is

    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape)
    strides = property(lambda self: self._a.strides)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    T = property(lambda self: self.transpose())
    device = property(lambda self: cuda.Device(0))

    @property
    def data(self):
        """The memory, whose ``ptr`` a kernel is given."""
        return types.SimpleNamespace(ptr=self._a.ctypes.data, device=self.device)

    @property
    def __cuda_array_interface__(self):
        """What other libraries find the memory by."""
        shape, strides = self._a.shape, self._a.strides
        return {
            "shape": shape,
            "typestr": self.dtype.str,
            "data": (self.data.ptr, False),
            "strides": strides,
            "version": 3,
        }

    @property
    def flags(self):
        """Whether it is contiguous: CuPy's flags know no ``writeable`` and no ``carray``."""
        f = self._a.flags
        return types.SimpleNamespace(
            c_contiguous=f.c_contiguous, f_contiguous=f.f_contiguous, owndata=self.base is None
        )

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return repr(self.get())

    __str__ = __repr__

    def __format__(self, spec):
        return format(self.get(), spec)

    def __bool__(self):
        if self.size != 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()"
            )
        return bool(self.item())

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __reduce__(self):
        return _module().array, (self.get(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    # To and from the host

    def get(self, stream=None, order="C", out=None):
        """A copy in the host's memory."""
        cuda.log.append(("get", self.shape))
        if out is None:
            return self._a.copy(order)
        out[...] = self._a
        return out

    def set(self, arr, stream=None):
        """Copy from the host's memory."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(f"{arr.dtype}{arr.shape} array cannot be set to {self.dtype}{self.shape} array")
        cuda.log.append(("set", self.shape, cuda.get_current_stream() if stream is None else stream))
        self._a[...] = arr

    def item(self):
        """The only element, as a Python number."""
        return self.get().item()

    def tolist(self):
        """Nested lists of Python numbers."""
        return self.get().tolist()

    def tobytes(self, order="C"):
        """The elements' bytes."""
        return self.get().tobytes(order)

    # Indexing

    def __getitem__(self, index):
        if any(
            isinstance(i, ndarray) and i.dtype.kind == "b" for i in (index if isinstance(index, tuple) else (index,))
        ):
            cuda.log.append(("get", self.shape))  # the host has to know how many there are
        return wrap(self._a[_index(index, self.shape)], (self,))

    def __setitem__(self, index, value):
        index = _index(index, self.shape)
        value = unwrap(value)
        if _is_advanced(index):
            # of several values for one place CuPy keeps any: here it is the first, and in NumPy the last
            places = np.arange(self.size).reshape(self.shape)[index]
            value = np.broadcast_to(value, places.shape).reshape(-1)[::-1]
            self._a[np.unravel_index(places.reshape(-1)[::-1], self.shape)] = value
        else:
            self._a[index] = value

    # NumPy's protocols

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or not hasattr(_module(), ufunc.__name__):
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        for x in (*inputs, *([kwargs["out"]] if "out" in kwargs else [])):
            if not isinstance(x, (ndarray, np.ndarray, *SCALARS)):
                return NotImplemented
        return getattr(_module(), ufunc.__name__)(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        module = _module()
        try:
            for part in [*function.__module__.split(".")[1:], function.__name__]:
                module = getattr(module, part)
        except AttributeError:
            return NotImplemented
        if module is function or any(t not in (ndarray, np.ndarray) for t in types):
            return NotImplemented
        return module(*args, **kwargs)


def _module():
    return importlib.import_module(__package__)


def _root(a):
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def wrap(result, inputs=()):
    """NumPy's result as ours; a view of an input has that for its base."""
    if isinstance(result, tuple | list):
        return type(result)(wrap(r, inputs) if isinstance(r, np.ndarray | np.generic) else r for r in result)
    if not isinstance(result, np.ndarray | np.generic):
        return result
    for x in inputs:
        if result is x._a:
            return x
    made = object.__new__(ndarray)
    made._a, made.base = np.asarray(result), None
    for x in inputs:
        if isinstance(result, np.ndarray) and _root(result) is _root(x._a):
            made.base = x if x.base is None else x.base
    return made


def unwrap(x):
    """Ours as NumPy's; NumPy's own arrays are refused."""
    if isinstance(x, ndarray):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, tuple | list):
        return type(x)(map(unwrap, x))
    return x


def ours(values):
    """The arrays of ours among arguments and in their sequences."""
    for v in values:
        if isinstance(v, ndarray):
            yield v
        elif isinstance(v, tuple | list):
            yield from ours(v)


def _is_advanced(index):
    """Whether an index can name a place twice."""
    return any(isinstance(i, np.ndarray) and i.dtype != bool for i in (index if isinstance(index, tuple) else (index,)))


def _index(index, shape):
    """An index for NumPy, with whole numbers in arrays wrapped around as CuPy does."""
    parts = list(index) if isinstance(index, tuple) else [index]
    for k, i in enumerate(parts):
        if isinstance(i, ndarray):
            parts[k] = i._a
        elif isinstance(i, list):
            parts[k] = np.asarray(i, dtype=None if i else int)
    arrays = [i for i in parts if isinstance(i, np.ndarray)]
    if sum(i.dtype == bool for i in arrays) > 1:
        raise ValueError("Currently, CuPy only handles one boolean array in an index")
    taken = sum(
        i.ndim if isinstance(i, np.ndarray) and i.dtype == bool else 1
        for i in parts
        if i is not None and i is not Ellipsis
    )
    axis = 0
    for k, i in enumerate(parts):
        if i is None:
            continue
        if i is Ellipsis:
            axis += len(shape) - taken
        elif isinstance(i, np.ndarray) and i.dtype == bool:
            axis += i.ndim
        else:
            if isinstance(i, np.ndarray) and axis < len(shape) and shape[axis]:
                if i.dtype.kind not in "iu":
                    raise IndexError("arrays used as indices must be of integer (or boolean) type")
                parts[k] = i.astype(np.int64) % shape[axis]
            axis += 1
    return tuple(parts) if isinstance(index, tuple) else parts[0]


def _operator(name):
    function = getattr(operator, name)

    def method(self, other):
        if isinstance(other, np.ndarray):
            raise TypeError(f"Unsupported type {type(other)}")
        if not isinstance(other, (ndarray, *SCALARS)):
            return NotImplemented
        return wrap(np.asarray(function(self._a, unwrap(other))))

    def reflected(self, other):
        if not isinstance(other, SCALARS):
            return NotImplemented
        return wrap(np.asarray(function(other, self._a)))

    def in_place(self, other):
        self._a[...] = function(self._a, unwrap(other)).astype(self.dtype, casting="same_kind")
        return self

    return method, reflected, in_place


for _name in "add sub mul truediv floordiv mod pow lshift rshift and or xor matmul".split():
    _method, _reflected, _in_place = _operator(f"__{_name}__")
    setattr(ndarray, f"__{_name}__", _method)
    setattr(ndarray, f"__r{_name}__", _reflected)
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _in_place)
for _name in "lt le eq ne gt ge".split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__")[0])


def _unary(name):
    function = getattr(operator, name)
    return lambda self: wrap(np.asarray(function(self._a)), (self,))


for _name in "neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", _unary(f"__{_name}__"))


def _checked(name, kwargs):
    for keyword in kwargs:
        if keyword in lacking.KEYWORDS.get(name, ()):
            raise TypeError(f"{name}() got an unexpected keyword argument '{keyword}'")


def function_like(name, function):
    """NumPy's function as CuPy has it."""

    @functools.wraps(function, updated=())
    def wrapped(*args, **kwargs):
        _checked(name, kwargs)
        if name in lacking.SIZED:
            cuda.log.append(("get", name))
        out = kwargs.get("out")
        inputs = tuple(ours([*args, *kwargs.values()]))
        result = function(*map(unwrap, args), **{k: unwrap(v) for k, v in kwargs.items()})
        if out is not None:
            return out
        if name in lacking.PLAIN:
            return result
        return wrap(np.asarray(result) if isinstance(result, bool) else result, inputs)

    return wrapped


def ufunc_like(name, function):
    def wrapped(*args, **kwargs):
        unknown = kwargs.keys() - {"out", "dtype", "casting"}
        if unknown:
            raise TypeError(f"{name}: unexpected keyword arguments {sorted(unknown)}")
        out = kwargs.get("out")
        for a in args:
            if not isinstance(a, (ndarray, *SCALARS)):
                raise TypeError(f"Unsupported type {type(a)}")
        result = function(*map(unwrap, args), **{k: unwrap(v) for k, v in kwargs.items()})
        return wrap(result) if out is None else out

    wrapped.__name__ = name
    return wrapped


def _method(name):
    function = getattr(np.ndarray, name)

    def method(self, *args, **kwargs):
        _checked(name, kwargs)
        if name in lacking.SIZED:
            cuda.log.append(("get", name))
        inputs = (self, *ours([*args, *kwargs.values()]))
        result = function(self._a, *map(unwrap, args), **{k: unwrap(v) for k, v in kwargs.items()})
        if kwargs.get("out") is not None:
            return kwargs["out"]
        return wrap(np.asarray(result) if name not in ("nonzero", "fill", "sort") else result, inputs)

    method.__name__ = name
    return method


for _name in lacking.METHODS:
    setattr(ndarray, _name, _method(_name))
