"""Arrays that write down what is computed with them: NumPy's functions, operators and methods as instructions of a recorder.

While a step is recorded its arrays are of the class `Traced`: to the engine and to operations the arrays of another device, which is
how a step can be recorded that knows nothing of it. Each holds the true array, with which everything is computed at once.
"""

import operator

import numpy as np

from nnscratch.autograd import handles

#: NumPy's functions that look at shapes and dtypes alone.
OF_SHAPES = {np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.may_share_memory, np.shares_memory}
#: Those whose results have lengths that depend on values.
OF_VALUES = {
    np.nonzero,
    np.flatnonzero,
    np.argwhere,
    np.unique,
    np.extract,
    np.compress,
    np.trim_zeros,
    np.union1d,
    np.intersect1d,
}
#: Functions and methods that write their first argument.
WRITES = {
    np.copyto,
    np.put_along_axis,
    np.put,
    np.place,
    np.putmask,
    np.fill_diagonal,
    np.ndarray.fill,
    np.ndarray.sort,
}
#: Methods whose results are no arrays: they tell values, which a program cannot ask for.
TELL = ("nonzero", "compress", "item", "tolist", "tobytes", "tofile", "dump", "dumps")
METHODS = (
    "all any argmax argmin argsort astype choose clip conj copy cumprod cumsum diagonal dot fill flatten max mean min "
    "prod ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take trace transpose var view"
).split()


class Number:
    """A number that was computed while a step is recorded, such as a mean's divisor."""

    __slots__ = ("base", "recorder", "slot", "value", "__weakref__")
    __array_priority__ = 1000
    __hash__ = None  # type: ignore[assignment] # as of NumPy's arrays

    def __init__(self, value, recorder, slot, base=None):
        self.value, self.recorder, self.slot, self.base = value, recorder, slot, base

    def __repr__(self):
        return f"<number {self.slot} of a program>"

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return Traced.__array_ufunc__(self, ufunc, method, *inputs, **kwargs)

    def __array__(self, dtype=None, copy=None):
        raise self.recorder.as_an_array()

    def __bool__(self):
        raise self.recorder.unknown("whether a value is true")

    def __index__(self):
        raise self.recorder.unknown("a value as a whole number")

    def __int__(self):
        raise self.recorder.unknown("a value as a whole number")

    def __float__(self):
        raise self.recorder.unknown("a value as a number")


class Traced(Number):
    """An array while a step is recorded: the array itself, the recorder, and the number by which instructions name it.

    Parameters
    ----------
    value : ndarray or NumPy scalar
    recorder : nnscratch.program.recorder.Recorder
    slot : int
    base : Traced, optional
        The array in whose memory this one lies.
    """

    __slots__ = ()

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    itemsize = property(lambda self: self.value.itemsize)
    nbytes = property(lambda self: self.value.nbytes)
    strides = property(lambda self: self.value.strides)
    flags = property(lambda self: self.value.flags)
    T = property(lambda self: self.transpose())

    def __repr__(self):
        return f"<array {self.slot} of a program, {self.shape} {self.dtype}>"

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        if any(isinstance(i, Traced) and i.dtype == bool for i in (index if isinstance(index, tuple) else (index,))):
            raise self.recorder.unknown("how many elements a mask picks")
        return self.recorder.call(operator.getitem, (self, index))

    def __setitem__(self, index, value):
        self.recorder.call(operator.setitem, (self, index, value), writes=(self,))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if any(isinstance(a, handles.Tensor) for a in inputs):
            return NotImplemented
        writes = ()
        if kwargs.get("out") is not None:
            writes = tuple(a for a in kwargs["out"] if a is not None)
            if len(kwargs["out"]) == 1:
                (kwargs["out"],) = kwargs["out"]
        elif method == "at":
            writes = inputs[:1]
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        result = self.recorder.call(function, inputs, kwargs, writes)
        return kwargs["out"] if kwargs.get("out") is not None else result

    def __array_function__(self, function, types, args, kwargs):
        if any(issubclass(t, handles.Tensor) for t in types):
            return NotImplemented
        if function in OF_VALUES or (function is np.where and len(args) + len(kwargs) == 1):
            raise self.recorder.unknown(f"how many elements np.{function.__name__} finds")
        if function in OF_SHAPES:
            return function(*self.recorder.values(args), **self.recorder.values(kwargs))
        out = kwargs.get("out")
        result = self.recorder.call(
            function, args, kwargs, args[:1] if function in WRITES else () if out is None else (out,)
        )
        return result if out is None else out

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()


def _method(name):
    functions = getattr(np.ndarray, name), getattr(np.generic, name, None)

    def method(self, *args, **kwargs):
        function = functions[isinstance(self.value, np.generic)]
        writes = (self,) if function in WRITES else () if kwargs.get("out") is None else (kwargs["out"],)
        result = self.recorder.call(function, (self, *args), kwargs, writes)
        return result if kwargs.get("out") is None else kwargs["out"]

    return method


def _telling(name):
    def method(self, *args, **kwargs):
        raise self.recorder.unknown(f"values by {name}")

    return method


def _operator(ufunc):
    def method(self, other):
        return NotImplemented if isinstance(other, handles.Tensor) else ufunc(self, other)

    def reflected(self, other):
        return NotImplemented if isinstance(other, handles.Tensor) else ufunc(other, self)

    def in_place(self, other):
        return ufunc(self, other, out=self)

    return method, reflected, in_place


def _power(self, other):  # which NumPy's operator computes otherwise than its function, for some exponents
    return NotImplemented if isinstance(other, handles.Tensor) else self.recorder.call(operator.pow, (self, other))


def _power_of(self, other):
    return NotImplemented if isinstance(other, handles.Tensor) else self.recorder.call(operator.pow, (other, self))


def _power_in_place(self, other):
    self[...] = _power(self, other)
    return self


for _name in METHODS:
    setattr(Traced, _name, _method(_name))
for _name in TELL:
    setattr(Traced, _name, _telling(_name))


def _of_numbers(function):
    """An operator of numbers, which Python computes; with an array it is NumPy's."""

    def method(self, other):
        return NotImplemented if isinstance(other, Traced) else self.recorder.call(function, (self, other))

    def reflected(self, other):
        return self.recorder.call(function, (other, self))

    return method, reflected


for _name in ("add", "sub", "mul", "truediv", "lt", "le", "eq", "ne", "gt", "ge"):
    _pair = _of_numbers(getattr(operator, _name))
    setattr(Number, f"__{_name}__", _pair[0])
    if _name in ("add", "sub", "mul", "truediv"):
        setattr(Number, f"__r{_name}__", _pair[1])
for _name, _ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "matmul": np.matmul, "lshift": np.left_shift, "rshift": np.right_shift, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor,
}.items():  # fmt: skip
    for _prefix, _function in zip(("", "r", "i"), _operator(_ufunc), strict=True):
        setattr(Traced, f"__{_prefix}{_name}__", _function)
for _prefix, _function in zip(("", "r", "i"), (_power, _power_of, _power_in_place), strict=True):
    setattr(Traced, f"__{_prefix}pow__", _function)
for _name, _ufunc in {
    "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal, "gt": np.greater, "ge": np.greater_equal,
}.items():  # fmt: skip
    setattr(Traced, f"__{_name}__", _operator(_ufunc)[0])
for _name, _ufunc in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(Traced, f"__{_name}__", lambda self, ufunc=_ufunc: ufunc(self))
