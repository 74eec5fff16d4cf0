"""NVIDIA GPUs: CuPy's arrays, and the CUDA kernels. CuPy is loaded by `load`, when a GPU is first asked for."""

import importlib
import importlib.util

import numpy as np

from nnscratch.backend.cpu import CPU, Kernels
from nnscratch.backend.deferred import Deferred

#: What turns a host's data into arrays, and complains about those that are none.
_CPU = CPU()

INSTALL = "install nnscratch[gpu] (for CUDA 12, nnscratch[gpu-cu12])"


def load():
    """The backend of this machine's GPU.

    Raises
    ------
    ValueError
        Where there is none that can be used; the message says why, and what to do.
    """
    try:
        xp = importlib.import_module("cupy")
    except ImportError as error:
        if importlib.util.find_spec("cupy") is None:
            raise _unavailable("CuPy is not installed", INSTALL) from None
        raise _unavailable(f"CuPy does not load ({_first_line(error)})", f"{INSTALL} anew") from None
    runtime = xp.cuda.runtime
    try:
        runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise _no_gpu(runtime, error) from None
    try:  # CUDA's libraries load when they are first used: here, and not within somebody's training
        xp.cuda.nvrtc.getVersion()
        xp.matmul(xp.zeros((1, 1), np.float32), xp.zeros((1, 1), np.float32))
    except (MemoryError, runtime.CUDARuntimeError) as error:
        raise _unavailable(
            f"the GPU refuses to work ({_first_line(error)})", "see by `nvidia-smi` whether another process has it"
        ) from None
    except (ImportError, OSError, RuntimeError) as error:
        raise _unavailable(
            f"a CUDA library is missing or does not load ({_first_line(error)})",
            'install CUDA\'s libraries, for example by pip install "cupy-cuda13x[ctk]"',
        ) from None
    return CUDA(xp)


def _no_gpu(runtime, error):
    """Why CUDA's runtime finds no GPU."""
    driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        return _unavailable("there is no NVIDIA driver", "install one, or stay on 'cpu'")
    if driver // 1000 < needed // 1000:
        older = f", or install nnscratch[gpu-cu{driver // 1000}]" if driver // 1000 == 12 else ""
        return _unavailable(
            f"the NVIDIA driver knows CUDA {_version(driver)}, CuPy was built for {_version(needed)}",
            f"update the driver{older}",
        )
    return _unavailable(
        f"there is no GPU ({_first_line(error)})",
        "look at `nvidia-smi` and at the environment variable CUDA_VISIBLE_DEVICES, or stay on 'cpu'",
    )


def _unavailable(why, mend):
    return ValueError(f"device: 'cuda' is not available, as {why}; {mend}")


def _first_line(error):
    lines = [line for line in str(error).splitlines() if line.strip(" =")]
    return lines[0].strip() if lines else type(error).__name__


def _version(number):
    return f"{number // 1000}.{number % 1000 // 10}"


class CUDA(Kernels, Deferred):
    """CuPy as a backend: kernels, transfer, random numbers, sync. It is CuPy's current GPU, the first by default."""

    name = "cuda"
    #: Whether kernels' definitions are to stand in for the CUDA kernels, as some tests want them to.
    definitions = False

    def __init__(self, xp):
        super().__init__()
        self.xp = xp
        self.array = xp.ndarray

    def new_rng(self, seed):
        """A generator from a seed."""
        return Generator(seed)

    def asarray(self, data, dtype=None):
        """Data as an array here; Python numbers and lists become float32."""
        if not isinstance(data, self.array):
            return self.xp.asarray(_CPU.asarray(data, dtype))
        if dtype is None and data.dtype.kind in "biuf":
            return data
        # an empty array of NumPy's has the same complaints about types
        wanted = _CPU.asarray(np.empty(0, data.dtype), dtype).dtype
        return data.astype(wanted, copy=False)

    def as_result(self, value):
        """What a function of arrays returned, as an array here."""
        return value if isinstance(value, self.array) else self.xp.asarray(value)

    def constant(self, array):
        """An array of NumPy's that follows from shapes and settings alone, as one from here."""
        return self.as_result(array)

    def number(self, value):
        """A single number that was computed here, in float64: still an array, as a number would have to be waited for."""
        return value.astype(np.float64) if isinstance(value, self.array) else float(value)

    def to_numpy(self, array):
        """A copy in the host's memory; waits for what is still being computed, and raises what was found wrong till now."""
        copy = array.get()
        self._look()
        return copy

    def zeros(self, shape, dtype):
        """An array of zeros."""
        return self.xp.zeros(shape, dtype)

    def arange(self, n):
        """The whole numbers from 0 to n - 1."""
        return self.xp.arange(n)

    def draw_mask(self, shape, dtype, p):
        """`dropout_mask` for a batch that is computed here alone."""
        rng = self.rng
        made = self.kernel("dropout.mask")(shape, dtype, p, rng.seed & (2**64 - 1), rng.drawn)
        rng.drawn += -(-made.size // 4)  # a number of the counter stands for four random ones
        return made

    def draw_seed(self):
        """A seed for random numbers aside."""
        rng = self.rng
        rng.drawn += 1
        return (rng.seed << 32) + rng.drawn

    def prefetch(self, batches):
        """Batches (tuples of the CPU's arrays), each with its copies here.

        While the caller computes with one batch the next is copied, from pinned memory (which the GPU reads by itself) on a
        stream of its own.
        """
        stream = self.xp.cuda.Stream(non_blocking=True)
        waiting = None
        for arrays in batches:
            started = arrays, *self._start_copies(arrays, stream)
            if waiting is not None:
                yield self._finish_copies(*waiting)
            waiting = started
        if waiting is not None:
            yield self._finish_copies(*waiting)

    def _start_copies(self, arrays, stream):
        """New arrays here whose values are on their way; what the way needs; and the event that ends it."""
        cuda, here, pinned = self.xp.cuda, [], []
        for a in arrays:
            a = np.ascontiguousarray(a)
            memory = np.frombuffer(cuda.alloc_pinned_memory(a.nbytes), a.dtype, a.size).reshape(a.shape)
            memory[...] = a
            pinned.append(memory)
            here.append(self.xp.empty(a.shape, a.dtype))
        # Their memory may be that of arrays which are freed, and which the work asked for before is still reading.
        stream.wait_event(cuda.get_current_stream().record())
        for array, memory in zip(here, pinned, strict=True):
            array.set(memory, stream=stream)
        return tuple(here), pinned, stream.record()

    def _finish_copies(self, arrays, here, pinned, copied):
        """Let the work that follows wait for the copies; the pinned memory is not given up before they are done."""
        self.xp.cuda.get_current_stream().wait_event(copied)
        copied.synchronize()
        return arrays, here

    def prepare(self, size):
        """Nothing: kernels are compiled when they are first used, and kept."""

    def synchronize(self):
        """Wait until everything that was asked of the GPU is done, and raise what was found wrong till now."""
        self.xp.cuda.Device().synchronize()
        self._look()

    def describe(self):
        """Versions and properties, as pairs of words."""
        runtime, device = self.xp.cuda.runtime, self.xp.cuda.Device()
        properties = runtime.getDeviceProperties(device.id)
        free, whole = runtime.memGetInfo()
        capability = f"{device.compute_capability[:-1]}.{device.compute_capability[-1]}"
        return [
            ("GPU", f"{properties['name'].decode()}, compute capability {capability}"),
            ("GPU memory", f"{free / 2**30:.1f} GiB of {whole / 2**30:.1f} GiB free"),
            ("CuPy", f"{self.xp.__version__}, built for CUDA {_version(runtime.runtimeGetVersion())}"),
            ("NVIDIA driver", f"up to CUDA {_version(runtime.driverGetVersion())}"),
        ]

    @property
    def versions(self):
        """The modules of a topic in which a kernel is looked for."""
        return ("definition",) if self.definitions else ("cuda", "definition")


class Generator:
    """Random numbers of a GPU, by a counter: the same from the same seed on every GPU, and the state is two numbers."""

    def __init__(self, seed=0):
        self.seed, self.drawn = seed, 0

    @property
    def bit_generator(self):
        """What holds the state, as NumPy's generators have it."""
        return self

    @property
    def state(self):
        """The seed and how many counters were used."""
        return {"seed": self.seed, "drawn": self.drawn}

    @state.setter
    def state(self, state):
        self.seed, self.drawn = state["seed"], state["drawn"]
