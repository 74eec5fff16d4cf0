"""CuPy's ``cupy.cuda``, of a machine with one GPU, or with what `runtime` is told: no driver, an old one, no GPU."""

import contextlib
import threading
import types

import numpy as np

from . import cublas, nvrtc, runtime  # noqa: F401
from .runtime import CUDARuntimeError

#: The calls whose order matters, as tuples that begin with a name.
log: list = []

memory = types.SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {}))


def is_available():
    """Whether there is a GPU that can be used."""
    try:
        return runtime.getDeviceCount() > 0
    except CUDARuntimeError:
        return False


class Device:
    """A GPU by its number."""

    def __init__(self, id=0):
        self.id = id

    compute_capability = "90"
    mem_info = (60 << 30, 80 << 30)

    def synchronize(self):
        """Wait for all work."""
        log.append(("synchronize",))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


class Stream:
    """A queue of work; nothing here is ever late."""

    null = None

    def __init__(self, null=False, non_blocking=False):
        self.non_blocking = non_blocking

    def __enter__(self):
        _current.stack.append(self)
        return self

    def __exit__(self, *exception):
        _current.stack.pop()

    def synchronize(self):
        """Wait for the work in this queue."""
        log.append(("stream.synchronize", self))

    def record(self, event=None):
        """Put an event into the queue."""
        event = event or Event()
        log.append(("record", self, event))
        return event

    def wait_event(self, event):
        """Let the work that follows in this queue wait for an event."""
        log.append(("wait", self, event))


class Event:
    """A mark in a queue."""

    def __init__(self, block=False, disable_timing=False):
        pass

    def record(self, stream=None):
        """Put it into a queue."""
        log.append(("record", stream or get_current_stream(), self))

    def synchronize(self):
        """Wait for it."""
        log.append(("event.synchronize", self))


def get_elapsed_time(start, end):
    """Milliseconds from one event to another: none."""
    return 0.0


class _Current(threading.local):
    def __init__(self):
        self.stack = [Stream.null]


Stream.null = Stream()
_current = _Current()


def get_current_stream():
    """The queue that work is put into."""
    return _current.stack[-1]


def get_cublas_handle():
    """What cuBLAS is called with."""
    return cublas.HANDLE


def alloc_pinned_memory(n):
    """Memory of the host that a GPU copies from by itself."""
    log.append(("pin", n))
    return np.empty(max(n, 1), np.uint8)


@contextlib.contextmanager
def using_allocator(allocator=None):
    """As it is: there is no memory of its own."""
    yield
