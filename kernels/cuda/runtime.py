"""Where CUDA kernels come from: CuPy, sources compiled once for each device, and launches.

A source is a file of CUDA C++ in the folder of its topic, and known by its name alone. What a kernel is specialised for (the element type, tile sizes) is written
in capitals in the source and defined when it is compiled, so that a source is compiled once for each set of constants:

    launch("steps.cu", "sgd", blocks(p.size), THREADS, (p, g, p.size, np.float32(lr)), ELEMENT=p.dtype)

compiles steps.cu with ``-DELEMENT=float`` and launches its
``extern "C" __global__ void sgd(ELEMENT*, const ELEMENT*, int, float)``.
"""

import functools
import hashlib
import importlib
import os
import pathlib
import re
import sys
import tempfile

import numpy as np

from .. import folders

#: Where sources and headers are found, at any depth.
FOLDER = pathlib.Path(__file__).parent.parent

#: The threads of a block where a kernel has no reason for another number: enough to fill a multiprocessor.
THREADS = 256

#: What NumPy's element types are called in CUDA C++.
C_TYPES = {
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long",
    "uint64": "unsigned long long",
    "float16": "__half",
    "float32": "float",
    "float64": "double",
}

#: What `word` says while no check has failed.
CLEAR = 2**64 - 1

#: Bytes of dynamic shared memory that a kernel may have without asking for more.
_SHARED = 48 * 1024


def xp():
    """CuPy, which is loaded here and nowhere else."""
    return sys.modules.get("cupy") or importlib.import_module("cupy")


def blocks(n, threads=THREADS):
    """How many blocks of so many threads give each of `n` elements a thread.

    Examples
    --------
    >>> blocks(257), blocks(0)
    (2, 0)
    """
    return -(-n // threads)


def text(source):
    """The CUDA C++ of a source, its headers written into it (each once).

    Whoever compiles it needs no path to them, and whoever keeps what was compiled sees by the text alone that it changed.
    """
    return _expand(source, set())


def _expand(source, seen):
    seen.add(source)

    def include(match):
        name = match[1]
        return "" if name in seen else _expand(name, seen)

    return re.sub(
        r'^[ \t]*#include "([^"]+)".*$', include, next(FOLDER.rglob(source)).read_text("utf-8"), flags=re.MULTILINE
    )


def options(constants):
    """The compiler's options for a dict of constants: numbers as they are, element types by their names in C++.

    Examples
    --------
    >>> import numpy as np
    >>> options({"T": np.dtype("float32"), "TILE": 64, "RELU": True})
    ('-std=c++17', '-DRELU=1', '-DT=float', '-DTILE=64')
    """
    return ("-std=c++17", *(f"-D{name}={_in_c(value)}" for name, value in sorted(constants.items())))


def _in_c(value):
    if isinstance(value, np.dtype | type) and not isinstance(value, str):
        return C_TYPES[np.dtype(value).name]
    return int(value) if isinstance(value, bool) else value


def launch(source, kernel, grid, block, args, shared=0, **constants):
    """Start a kernel on the current stream; returns before it has ended.

    Parameters
    ----------
    source : str
        The file's name.
    kernel : str
        Its name there, declared ``extern "C" __global__``.
    grid, block : int or tuple of int
        Blocks, and threads in each. Nothing is started where there are no blocks.
    args : sequence
        Arrays (C-contiguous: a kernel gets the address of the first element), NumPy scalars as they are, Python's ``int``
        as C's ``int``, ``bool`` as ``bool``, ``float`` as ``double``, None as a null pointer.
    shared : int
        Bytes of dynamic shared memory for each block.
    **constants
        What the source is compiled for: numbers and dtypes.

    Raises
    ------
    OverflowError
        Where a Python int does not fit C's ``int``; pass ``np.int64`` for a ``long long``.
    ValueError
        Where an array is not C-contiguous.
    """
    grid, block = _three(grid), _three(block)
    if 0 in grid:
        return
    function = _function(xp(), _device(), source, kernel, tuple(constants.items()))
    if shared > _SHARED:
        function.max_dynamic_shared_size_bytes = shared
    function(grid, block, tuple(map(_argument, args)), shared_mem=shared)


def _three(n):
    return (n, 1, 1) if type(n) is int else (*n, 1, 1)[:3]


#: How Python's values are handed to a kernel.
_IN_C = {bool: np.bool_, int: np.int32, float: np.float64, type(None): lambda _: np.uint64(0)}


def _argument(a):
    convert = _IN_C.get(type(a))
    if convert is not None:
        return convert(a)
    if not isinstance(a, np.generic) and not a.flags.c_contiguous:
        raise ValueError(f"launch: an array of shape {a.shape} is not C-contiguous; pass xp().ascontiguousarray of it")
    return a


def _device():
    return xp().cuda.runtime.getDevice()


def forget():
    """Drop what was compiled: for tests that put something else in CuPy's place."""
    _function.cache_clear()
    _module.cache_clear()
    _word.cache_clear()


def word():
    """The current device's word for what checks find (``bounds.cu``), an array of one; also in the way of optimisers' steps."""
    return _word(xp(), _device())


@functools.cache
def _word(namespace, device):
    return namespace.full(1, np.uint64(CLEAR), np.uint64)


@functools.cache
def _function(namespace, device, source, kernel, constants):
    return _module(namespace, device, source, tuple(sorted(constants))).get_function(kernel)


@functools.cache
def _module(namespace, device, source, constants):
    return namespace.RawModule(path=str(_cubin(namespace, source, options(dict(constants)))))


def _cubin(namespace, source, chosen):
    """The file of machine code for the current device, compiled where it is not there from before.

    CuPy would compile a source, too, but always with ``-ftz=true``, and then numbers below 1e-38 were 0. Machine code for
    the exact architecture loads with any driver of the compiler's major version; where the compiler does not know the
    architecture yet, PTX for the last one that it knows has to do.
    """
    nvrtc = namespace.cuda.nvrtc
    own, known = int(namespace.cuda.Device().compute_capability), nvrtc.getSupportedArchs()
    exact = own in known
    chosen = (f"-arch=sm_{own}" if exact else f"-arch=compute_{max(known)}", *chosen)
    code = text(source)
    made_by = namespace.__name__, namespace.__version__, nvrtc.getVersion()
    key = hashlib.sha256(repr((code, chosen, made_by)).encode()).hexdigest()
    path = _cache() / f"{source}-{key[:32]}.{'cubin' if exact else 'ptx'}"
    if not path.exists():
        program = nvrtc.createProgram(code, source, [], [])
        try:
            nvrtc.compileProgram(program, chosen)
        except Exception as error:
            raise RuntimeError(
                f"{source}: does not compile with {' '.join(chosen)}: {nvrtc.getProgramLog(program)}"
            ) from error
        # written elsewhere and moved, so that no other process finds half a file
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as out:
            made = nvrtc.getCUBIN(program) if exact else nvrtc.getPTX(program)
            out.write(made if isinstance(made, bytes) else made.encode())
        os.replace(out.name, path)
    return path


def _cache():
    """Where compiled kernels are kept: the environment variable NNSCRATCH_CUDA_CACHE, or nnscratch/cuda in the user's cache."""
    chosen = os.environ.get("NNSCRATCH_CUDA_CACHE")
    folder = pathlib.Path(chosen) if chosen else folders.cache("cuda")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return _kept_for_this_process()
    return folder if os.access(folder, os.W_OK) else _kept_for_this_process()


@functools.cache
def _kept_for_this_process():
    """A folder for one who may not write where compiled kernels are kept."""
    return pathlib.Path(tempfile.mkdtemp(prefix="nnscratch-cuda-"))
