"""Running CUDA C++ without a GPU: the kernels' sources, compiled for the CPU as they stand.

`load` compiles a source by g++ with `device.h` before it, which says what CUDA C++ has beyond C++; `scheduler.cpp` runs the
threads of a block as fibres. So it is the real source that computes, with its indices, barriers and shuffles. It shows, as an
`EmulatorError` that says where: accesses outside of an array, vectors that are not aligned, barriers and shuffles that not all
threads come to, arguments of another size than the kernel declares. A race shows as another result when the threads run
`backwards`, and memory that was never written as nan.

It does not show what depends on the machine: speed, limits on registers, an order of warps that neither of the two runs has.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

FOLDER = pathlib.Path(__file__).parent
FLAGS = ["-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-fno-exceptions", "-fno-stack-protector", "-U_FORTIFY_SOURCE"]
# A trap, and not a message, so that no library of the sanitizer is needed.
CHECKS = ["-fsanitize=alignment,bounds", "-fsanitize-undefined-trap-on-error", "-ftrivial-auto-var-init=pattern"]
KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(')
DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")

_backwards = False


class EmulatorError(Exception):
    """A kernel did what it must not do, or does not compile."""


@functools.cache
def compiler():
    """GCC's C++ compiler, 12 or later (it knows _Float16), on Linux; else None. The environment variable CXX may name it."""
    found = shutil.which(os.environ.get("CXX", "g++")) if sys.platform.startswith("linux") else None
    if not found:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"\) (\d+)\.", said)
    return found if "Free Software Foundation" in said and version and int(version[1]) >= 12 else None


@contextlib.contextmanager
def backwards(on=True):
    """Run blocks and threads in the reverse order, or else (`on` False) forwards, within this context."""
    global _backwards
    before, _backwards = _backwards, on
    try:
        yield
    finally:
        _backwards = before


@functools.cache
def _contraction():
    """Let products and sums merge, as nvcc does, where this processor has the instruction."""
    flags = pathlib.Path("/proc/cpuinfo")
    has = flags.exists() and re.search(r"^flags.*\bfma\b", flags.read_text(), re.MULTILINE)
    return ["-mavx2", "-mfma", "-ffp-contract=fast"] if has else ["-ffp-contract=off"]


def _build(text, name, flags):
    """The shared library of a C++ text, made once for every text, compiler and set of flags."""
    if not compiler():
        raise EmulatorError(
            "the emulator needs GCC 12 or later on Linux; install g++ or name it in the environment variable CXX"
        )
    flags = [*FLAGS, *_contraction(), *flags]
    header = (FOLDER / "device.h").read_text()
    key = hashlib.sha256(repr((text, header, flags, compiler())).encode()).hexdigest()[:32]
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    path = home / "nnscratch" / "cuda_emulator" / f"{name}-{key}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            source, made = pathlib.Path(folder, f"{name}.cpp"), pathlib.Path(folder, "made.so")
            source.write_text(text)
            command = [compiler(), *flags, f"-I{FOLDER}", str(source), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise EmulatorError(f"{name} does not compile: {done.stderr[:4000]}")
            os.replace(made, path)
    return path


@functools.cache
def _scheduler():
    path = _build((FOLDER / "scheduler.cpp").read_text(), "scheduler", [])
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    return library.emulate


@functools.cache
def load(source, options=()):
    """A CUDA C++ text, compiled.

    Parameters
    ----------
    source : str
        The text itself; its kernels are declared ``extern "C" __global__ void``.
    options : tuple of str
        As for NVRTC; all but definitions (``-DT=float``) are left out.

    Raises
    ------
    EmulatorError
        Where there is no compiler, or it does not compile.
    """
    _scheduler()
    names = KERNEL.findall(source)
    body = DYNAMIC.sub(r"\1 *\2 = (\1 *)emulator::state.shared;", source)
    # After the header, whose own names they would change.
    defined = [o[2:].partition("=") for o in options if o.startswith("-D")]
    constants = "".join(f"#define {name} {value if given else 1}\n" for name, given, value in defined)
    text = f'#include "device.h"\n{constants}#line 1 "source"\n{body}\n' + "".join(
        f'extern "C" void emulated_{n}(void **args) {{ emulator::call(::{n}, args); }}\n'
        f'extern "C" int arguments_{n}(int *kinds) {{ return emulator::describe(::{n}, kinds); }}\n'
        for n in names
    )
    text += (
        'extern "C" __attribute__((weak)) char __start_emulated_shared[], __stop_emulated_shared[];\n'
        'extern "C" void emulated_bounds(char **out) { out[0] = __start_emulated_shared; out[1] = __stop_emulated_shared; }\n'
    )
    return Module(ctypes.CDLL(str(_build(text, "kernels", CHECKS))), names)


class Module:
    """What `load` returns."""

    def __init__(self, library, names):
        self.names = names
        self._library = library
        self._kinds = {}
        for name in names:
            kinds = (ctypes.c_int * 128)()
            self._kinds[name] = list(kinds[: getattr(library, f"arguments_{name}")(kinds)])
        self._bounds = (ctypes.c_void_p * 2)()
        library.emulated_bounds(self._bounds)

    def launch(self, name, grid, block, shared, args):
        """Run a kernel to its end.

        Parameters
        ----------
        name : str
        grid, block : tuple of 3 ints
        shared : int
            Bytes of dynamic shared memory.
        args : sequence
            NumPy arrays where the kernel takes pointers (``numpy.uint64`` is an address), NumPy scalars elsewhere.

        Raises
        ------
        EmulatorError
            Where the arguments do not fit the kernel, or it does what it must not do.
        """
        if name not in self._kinds:
            raise EmulatorError(f"there is no kernel {name!r}, only {', '.join(self.names)}")
        threads = block[0] * block[1] * block[2]
        if not 0 < threads <= 1024 or block[2] > 64 or min(grid) < 1 or max(grid[1:]) > 65535 or grid[0] > 2**31 - 1:
            raise EmulatorError(f"{name}: no GPU runs a grid of {grid} blocks of {block} threads")
        if shared > 227 * 1024:
            raise EmulatorError(f"{name}: {shared} bytes of shared memory are more than a block can have")
        kinds = self._kinds[name]
        if len(args) != len(kinds):
            raise EmulatorError(f"{name}: takes {len(kinds)} arguments, got {len(args)}")
        values = [_value(name, i, a, kind) for i, (a, kind) in enumerate(zip(args, kinds, strict=True))]
        n = len(values)
        addresses = (ctypes.c_void_p * n)(*(v.ctypes.data for v in values))
        sizes = (ctypes.c_size_t * n)(*(a.nbytes if isinstance(a, np.ndarray) else 0 for a in args))
        shape = (ctypes.c_uint * 6)(*grid, *block)
        memory = np.empty(shared + 16, np.uint8)
        start = memory.ctypes.data + -memory.ctypes.data % 16
        error = ctypes.create_string_buffer(400)
        body = ctypes.cast(getattr(self._library, f"emulated_{name}"), ctypes.c_void_p)
        begin, end = map(ctypes.c_void_p, self._bounds)
        dynamic = ctypes.c_void_p(start), ctypes.c_size_t(shared)
        _scheduler()(body, addresses, sizes, n, shape, *dynamic, begin, end, int(_backwards), error)
        if error.value:
            raise EmulatorError(f"{name}: {error.value.decode()}")


def _value(kernel, place, a, kind):
    """The bytes that the kernel gets for one argument, as an array that has them."""
    if isinstance(a, np.ndarray):
        if kind != -1:
            raise EmulatorError(f"{kernel}: argument {place} is an array, where the kernel takes {kind} bytes by value")
        if not a.flags.c_contiguous:
            raise EmulatorError(f"{kernel}: argument {place} is not contiguous, and a kernel gets no strides")
        return np.array([a.ctypes.data], np.uint64)
    value = np.array([a])
    if not isinstance(a, np.generic) or value.itemsize != (8 if kind == -1 else kind):
        takes = "a pointer" if kind == -1 else f"{kind} bytes"
        raise EmulatorError(f"{kernel}: argument {place} is {a!r} ({type(a).__name__}), where the kernel takes {takes}")
    return value
