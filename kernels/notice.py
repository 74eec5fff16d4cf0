"""A line that tells people what they wait for, where Numba compiles loops for long."""

import contextlib
import logging
import os
import sys
import threading

from numba.core import event

#: Seconds of compiling after which the line is written.
PATIENCE = 0.5


class _Notice(event.Listener):
    """Hears of each function that Numba compiles; what the cache on disk has is not among them."""

    def __init__(self):
        self.inside, self.timer, self.written = 0, None, False

    def on_start(self, happens):
        self.inside += 1
        function = happens.data["dispatcher"].py_func
        if self.inside == 1 and not self.written and function.__module__.startswith("nnscratch.kernels."):
            self.timer = threading.Timer(PATIENCE, self._write, [function.__module__.split(".")[2]])
            self.timer.daemon = True
            with contextlib.suppress(RuntimeError):  # where the system starts no more threads, nothing is said
                self.timer.start()

    def on_end(self, happens):
        self.inside -= 1
        if not self.inside and self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _write(self, topic):
        if self.written or os.environ.get("NNSCRATCH_QUIET") == "1":
            return
        self.written = True
        bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
        # A progress bar makes room for the line, and is drawn again below it.
        with bars.external_write_mode(file=sys.stderr) if bars is not None else contextlib.nullcontext():
            logging.getLogger("nnscratch").warning(
                "nnscratch: compiling loops for this processor (%s)%s",
                topic,
                f", once; later runs find them in {_folder}" if _folder else "",
            )


_notice = _Notice()
_folder = None


def install(folder):
    """Write a line of the log `nnscratch`, once a process, when compiling takes longer than `PATIENCE`."""
    global _folder
    _folder = folder
    event.register("numba:compile", _notice)
