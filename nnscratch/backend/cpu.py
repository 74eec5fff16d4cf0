"""The CPU: NumPy arrays and the NumPy kernels."""

import functools
import importlib
import importlib.util
import math
import os
import sys

import numpy as np

from nnscratch.backend import random


def find_kernel(name, *modules):
    """The array function ``"topic.function"`` of the first of these modules of ``nnscratch.kernels.topic`` that has it, or None."""
    topic, _, function = name.partition(".")
    if importlib.util.find_spec(f"nnscratch.kernels.{topic}") is None:
        return None
    for module in modules:
        path = f"nnscratch.kernels.{topic}.{module}"
        if importlib.util.find_spec(path) is not None:
            found = getattr(importlib.import_module(path), function, None)
            if found is not None:
                return found
    return None


#: Definitions that stand with an operation, and not in a topic's definition.py: functions of arrays by the names of their kernels.
DEFINITIONS: dict = {}


class Kernels:
    """The part of a backend that finds kernels, and the thread's random numbers."""

    @property
    def rng(self):
        """The generator of the random numbers that this thread draws here: see `nnscratch.backend.random`."""
        return random.current().of(self)

    def anew(self, function, *arguments):
        """What a function returns that draws random numbers: in each run of a captured step it is called again."""
        return function(*arguments)

    def dropout_mask(self, shape, dtype, p):
        """What dropout multiplies by: 0 with probability `p`, else 1 / (1 - p).

        Where several processes compute a batch each has its rows of the mask that one would draw for all; of an array that is not
        one of rows, a mask of its own.
        """
        share = random.current().share
        if share is None:
            return self.draw_mask(shape, dtype, p)
        place = share.place(shape)
        if place is not None:
            return self.draw_mask(place[0], dtype, p)[place[1]]
        with random.Generator(self.draw_seed() + share.start):
            return self.draw_mask(shape, dtype, p)

    @functools.cached_property
    def kernel(self):
        """``kernel("topic.function")``: an array function of `nnscratch.kernels`, the fast one of this device or else its definition.

        Each is looked for once.
        """
        return functools.cache(self._find_kernel)

    def _find_kernel(self, name):
        found = find_kernel(name, *self.versions) or DEFINITIONS.get(name)
        if found is None:
            raise LookupError(
                f"kernel: nnscratch.kernels has no {name!r}; give it a definition.py in a folder of that topic, or correct the name"
            )
        return found


@functools.cache
def _keep_memory():
    """Have the C library keep freed memory, where it would hand it back and get it zeroed again; whether that was done.

    Each step of training makes and frees the same large arrays, which would get fresh pages every time. It holds for
    the whole process, up to 256 MB of free memory, on Linux with glibc; the environment variable NNSCRATCH_KEEP_MEMORY=0
    leaves everything as it is.
    """
    import ctypes

    if os.environ.get("NNSCRATCH_KEEP_MEMORY") == "0" or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # M_MMAP_THRESHOLD, whose greatest value this is; M_TRIM_THRESHOLD; M_TOP_PAD
    return mallopt is not None and all([mallopt(-3, 1 << 25), mallopt(-1, 1 << 28), mallopt(-2, 1 << 24)])


class CPU(Kernels):
    """NumPy as a backend: kernels, transfer, random numbers."""

    name = "cpu"
    #: The modules of a topic in which a kernel is looked for.
    versions = ("cpu", "definition")
    array = np.ndarray

    def new_rng(self, seed):
        """A generator from a seed."""
        return np.random.default_rng(seed)

    def asarray(self, data, dtype=None):
        """Data as an array here, sharing memory where it can; Python numbers and lists become float32."""
        try:
            array = np.asarray(data)
        except ValueError:
            raise ValueError(
                "tensor: the nested lists have rows of different lengths; pass a rectangular array"
            ) from None
        if dtype is None and not hasattr(data, "dtype") and array.dtype.kind in "iuf":
            dtype = np.float32
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"tensor: got data of type {array.dtype} ({type(data).__name__}), expected real numbers; convert it first"
            )
        if dtype is not None:
            try:
                dtype = np.dtype(dtype)
            except TypeError:
                dtype = None
            if dtype is None or dtype.kind not in "biuf":
                raise TypeError(
                    "tensor: dtype must be a float, int or bool type such as 'float32' or 'int64'; pass one of those"
                )
            array = array.astype(dtype, copy=False)
        return array

    def as_result(self, value):
        """What a NumPy function returned, as an array: reductions return scalars."""
        return np.asarray(value)

    def constant(self, array):
        """An array of NumPy's that follows from shapes and settings alone, as one from here."""
        return array

    def number(self, value):
        """A single number that was computed here, in float64."""
        return float(value)

    def to_numpy(self, array):
        """The array itself."""
        return array

    def zeros(self, shape, dtype):
        """An array of zeros."""
        return np.zeros(shape, dtype)

    def arange(self, n):
        """The whole numbers from 0 to n - 1."""
        return np.arange(n)

    def draw_mask(self, shape, dtype, p):
        """`dropout_mask` for a batch that is computed here alone."""
        return (self.rng.random(shape, np.float32) >= p) * dtype.type(1 / (1 - p))

    def draw_seed(self):
        """A seed for random numbers aside."""
        return int(self.rng.integers(2**63))

    def check(self, array, low, high, error):
        """Raise what ``error(value)`` returns if a value is not from `low` to `high`, as nan never is."""
        if not array.size:
            return
        if array.size == 1:
            least = most = array.item()
        elif -low == high == math.inf:
            least = most = np.vdot(array, array)  # squares do not cancel, so only nan makes it nan
        elif low <= 0 and array.dtype == np.intp and high < 2**63:
            least, most = 0, array.view(np.uintp).max()  # negative ones are great without a sign
        else:
            least, most = array.min(), array.max()
        if not (least >= low and most <= high):
            least, most = array.min(), array.max()
            if not (least >= low and most <= high):
                raise error(most if least >= low else least)

    def readback(self, results):
        """Tuples of results as they are computed: they can be read at once."""
        return results

    def synchronize(self):
        """Nothing: what is asked of the CPU is done when the call returns."""

    def prefetch(self, batches):
        """Batches (tuples of arrays), each with itself: here they need no moving."""
        return ((arrays, arrays) for arrays in batches)

    def prepare(self, size):
        """Do what the first step of training, of at most so many values a parameter, would have to wait for."""
        _keep_memory()
        compiled = importlib.import_module("nnscratch.kernels.compiled")
        if compiled.prepare(size):
            self.kernel("steps.adam")([np.zeros((4, 1), np.float32)], 0.0, 0.0, 0.0, 1.0, 1, False, 0.0, False)
