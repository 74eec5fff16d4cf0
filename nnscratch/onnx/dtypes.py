"""ONNX's numbers for element types, and the tensors of a file as arrays."""

import math

import numpy as np
from onnx import TensorProto

from nnscratch.arguments import named
from nnscratch.onnx.table import DTYPES, need

#: Where a tensor has its elements, if not as bytes: the field by dtype.
_FIELDS = {"float32": "float_data", "float64": "double_data", "int64": "int64_data"}
_FIELDS |= {"uint32": "uint64_data", "uint64": "uint64_data"}


def dtype_of(number):
    """The NumPy dtype of ONNX's number for an element type.

    Examples
    --------
    >>> dtype_of(1), dtype_of(7)
    ('float32', 'int64')
    """
    name = TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else str(number)
    dtype = {"float": "float32", "double": "float64"}.get(name, name)
    need(dtype in DTYPES, f"no dtype {dtype}")
    return dtype


def number_of(dtype):
    """ONNX's number for a NumPy dtype.

    Examples
    --------
    >>> number_of("float32")
    1
    """
    name = {"float32": "FLOAT", "float64": "DOUBLE"}.get(str(dtype), str(dtype).upper())
    return TensorProto.DataType.Value(name)


def as_array(tensor, external=None):
    """A tensor of a file as an array.

    Parameters
    ----------
    tensor : onnx.TensorProto
    external : callable, optional
        Gives the bytes of a tensor that are in another file.

    Raises
    ------
    ValueError
        Where its elements are not as many as its shape says.

    Examples
    --------
    >>> from onnx import helper
    >>> as_array(helper.make_tensor("a", 1, [2], [1.0, 2.0]))
    array([1., 2.], dtype=float32)
    """
    dtype, shape = np.dtype(dtype_of(tensor.data_type)), tuple(tensor.dims)
    name = named(tensor.name or "without a name")
    if len(shape) > 64 or min(shape, default=0) < 0:
        raise ValueError(f"the tensor {name} has a shape that there is not; export it anew")
    count = math.prod(shape)
    if tensor.data_location == TensorProto.EXTERNAL:
        if external is None:
            raise ValueError(f"the tensor {name} has its values in another file, where none can be; put them inside")
        values = np.frombuffer(external(tensor, count * dtype.itemsize), dtype.newbyteorder("<"))
    elif tensor.HasField("raw_data"):
        if len(tensor.raw_data) != count * dtype.itemsize:
            raise ValueError(
                f"the tensor {name} has {len(tensor.raw_data)} bytes, expected {count} elements of {dtype}; export it anew"
            )
        values = np.frombuffer(tensor.raw_data, dtype.newbyteorder("<"))
    else:
        field = getattr(tensor, _FIELDS.get(dtype.name, "int32_data"))
        if len(field) != count:
            raise ValueError(f"the tensor {name} has {len(field)} elements, expected {count}; export it anew")
        if dtype == np.float16:  # as the numbers of its bits
            values = np.array(field, np.int32).astype(np.uint16).view(np.float16)
        else:
            values = np.array(field).astype(dtype)
    return values.astype(dtype).reshape(shape)
