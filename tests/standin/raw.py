"""CuPy's ``RawModule``: kernels in CUDA C++, run by `tests.cuda_emulator`."""

import functools
import importlib
import pathlib
import pickle

from . import cuda


class RawModule:
    """Kernels of one source."""

    def __init__(self, *, code=None, path=None, options=(), backend="nvrtc"):
        if path is not None:
            code, options = pickle.loads(pathlib.Path(path).read_bytes())
        self.source, self.options = code, tuple(o for o in options if not o.startswith(("-arch", "-I")))

    @functools.cached_property
    def _emulated(self):
        return importlib.import_module("tests.cuda_emulator").load(self.source, self.options)

    def get_function(self, name):
        """A kernel by its name."""
        return Kernel(self, name)


class Kernel:
    """A kernel that can be launched."""

    max_dynamic_shared_size_bytes = 48 * 1024

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        from .core import ndarray

        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: more shared memory than the kernel may have")
        cuda.log.append(("launch", self.name, cuda.get_current_stream()))
        plain = tuple(a._a if isinstance(a, ndarray) else a for a in args)
        self.module._emulated.launch(self.name, tuple(grid), tuple(block), shared_mem, plain)
