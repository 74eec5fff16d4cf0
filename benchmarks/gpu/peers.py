"""What is measured on a device, a class each: how it keeps arrays there, and how it times steps.

All have the same methods. They are made in a process of their own, and import their framework there.
"""

import contextlib
from time import perf_counter

import numpy as np

from benchmarks.worker import Missing

#: What an entry's name may end with.
PRECISIONS = ("tf32", "float16", "bfloat16")


def precision(entry):
    """The precision that an entry's name ends with, or None.

    Examples
    --------
    >>> precision("torch tf32"), precision("torch")
    ('tf32', None)
    """
    last = entry.rpartition(" ")[2]
    return last if last in PRECISIONS else None


class NNScratch:
    """nnscratch on a device, with CuPy's arrays and the kernels that take them where the device is a GPU."""

    def __init__(self, device):
        import nnscratch as ns

        self.device = device
        try:
            self.backend = ns.backend.get(device)
        except ValueError as error:  # says why, and what to do
            raise Missing(str(error)) from None
        self.version = ns.__version__

    def facts(self):
        """The device and the versions, as a dict of words."""
        return dict(self.backend.describe()) if self.device == "cuda" else {}

    def put(self, array):
        """NumPy's array on the device, by the device's array library."""
        return self.backend.asarray(array)

    def copy(self, value):
        """The same on other memory."""
        import nnscratch as ns

        return ns.tensor(value.data.copy()) if isinstance(value, ns.Tensor) else value.copy()

    def nbytes(self, value):
        """Its bytes."""
        return getattr(value, "data", value).nbytes if hasattr(value, "requires_grad") else value.nbytes

    def array(self, value):
        """A result as NumPy's array."""
        return value.numpy() if hasattr(value, "requires_grad") else np.asarray(self.backend.to_numpy(value))

    @contextlib.contextmanager
    def settings(self, name):
        """Within this context steps are computed in the precision that the entry's name says, or in float32."""
        import nnscratch as ns

        with ns.use_device(self.device), ns.use_precision(precision(name) or "float32"):
            yield

    def timed(self, step, count):
        """Seconds that `count` calls take, on the device from the first call's start to the last one's end."""
        if self.device == "cpu":
            return _timed(step, count)
        cuda = self.backend.xp.cuda
        start, end = cuda.Event(), cuda.Event()
        start.record()
        for _ in range(count):
            step()
        end.record()
        end.synchronize()
        return cuda.get_elapsed_time(start, end) / 1e3


class Torch:
    """PyTorch, with cuDNN's fastest algorithm for each shape; in float32 where the entry names no other precision."""

    def __init__(self, device):
        try:
            import torch
        except ImportError as error:
            raise Missing(str(error)) from None
        if device == "cuda" and not torch.cuda.is_available():
            raise Missing(f"PyTorch {torch.__version__} finds no GPU")
        self.torch, self.device, self.version = torch, device, torch.__version__
        torch.backends.cudnn.benchmark = True

    def facts(self):
        """Versions of what PyTorch brings, as a dict of words."""
        return {"cuDNN": str(self.torch.backends.cudnn.version()), "PyTorch's CUDA": str(self.torch.version.cuda)}

    def put(self, array):
        """NumPy's array as a tensor on the device."""
        return self.torch.tensor(array, device=self.device)

    def copy(self, value):
        """The same on other memory."""
        return value.clone()

    def nbytes(self, value):
        """Its bytes."""
        return value.element_size() * value.nelement()

    def array(self, value):
        """A result as NumPy's array."""
        return value.detach().float().cpu().numpy()  # NumPy has no bfloat16

    @contextlib.contextmanager
    def settings(self, name):
        """Within this context steps are computed in the precision that the entry's name says, or in float32.

        float16 and bfloat16 are PyTorch's autocast, which rounds results, too.
        """
        backends, chosen = self.torch.backends, precision(name)
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = chosen == "tf32"
        half = chosen in ("float16", "bfloat16")
        with self.torch.autocast(self.device, getattr(self.torch, chosen)) if half else contextlib.nullcontext():
            yield

    def timed(self, step, count):
        """Seconds that `count` calls take, on the device from the first call's start to the last one's end."""
        if self.device == "cpu":
            return _timed(step, count)
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(count):
            step()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3


def _timed(step, count):
    start = perf_counter()
    for _ in range(count):
        step()
    return perf_counter() - start


#: For each process by its name: what makes its peer. An entry's first word says which process has it.
PROCESSES = {
    "nnscratch": lambda: NNScratch("cuda"),
    "torch": lambda: Torch("cuda"),
    "CPU": lambda: NNScratch("cpu"),
}
WHERE = {
    "nnscratch": "nnscratch",
    "CuPy": "nnscratch",
    "Numba": "nnscratch",
    "GPU": "nnscratch",
    "torch": "torch",
    "CPU": "CPU",
}


def process(entry):
    """The process that an entry is measured in.

    Examples
    --------
    >>> process("Numba blocked"), process("torch tf32"), process("CPU")
    ('nnscratch', 'torch', 'CPU')
    """
    return WHERE[entry.split()[0]]
