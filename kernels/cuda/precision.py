"""In which precision products of float32 arrays are computed on a GPU: a setting of each thread."""

import threading

import numpy as np

#: What `nnscratch.use_precision` takes.
PRECISIONS = ("float32", "tf32", "float16", "bfloat16")


class _Setting(threading.local):
    name = "float32"


setting = _Setting()


def chosen(*arrays):
    """The precision that the operands of a product are rounded to, or None where they are multiplied as they are, as on the CPU.

    Examples
    --------
    >>> chosen(np.zeros(2, np.float32)) is None
    True
    """
    if (
        setting.name == "float32"
        or isinstance(arrays[0], np.ndarray)
        or any(getattr(a, "dtype", None) != np.float32 or type(a) is not type(arrays[0]) for a in arrays)
    ):
        return None  # arrays of two devices are refused by the product itself
    return setting.name
