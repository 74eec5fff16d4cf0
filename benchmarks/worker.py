"""The process that one framework runs one workload in; `benchmarks.runner` talks to it, a line of JSON each way.

It starts from a line ``{"entry": "torch NCHW", "workload": "s2", "threads": 1, "quick": false}`` on its command line, and
answers with what it is, or with why it cannot be measured. Then it does what it is told: ``check``, ``warm``, ``burst``,
``close``.
"""

import json
import os
import resource
import statistics
import sys
from time import perf_counter

import numpy as np

from benchmarks import peers, roofline, workloads

CHUNK = 0.002  # seconds that are timed as one, so that the clock does not count and steps may overlap where they can
SAMPLES = 16  # elements that stand for a large array in a comparison


class Measured:
    """A workload in this process's framework."""

    def __init__(self, entry, workload, threads, quick):
        entry = peers.Entry.read(entry)
        self.peer = peers.load(entry.peer)
        self.began = perf_counter()
        try:
            self.version = self.peer.start(threads)
        except Exception as error:
            raise Missing(f"{error}" or type(error).__name__) from error
        self.workload = workload
        self.peak = _memory("VmHWM")
        _forget_peak()
        self.memory = _memory("VmRSS")
        run = workload.builders[entry.builder](*workload.arrays(quick))
        self.run = run if isinstance(run, workloads.Run) else workloads.Run(run)
        self.chunk, self.first = 1, None

    def check(self, steps):
        """What the first `steps` give, as numbers that stand for it."""
        if self.run.check is None:
            # Each is read before the next, which may write into the same memory.
            return [[fingerprint(a) for a in self.step()] for _ in range(steps)]
        found = [fingerprint(a) for a in self.run.check()]
        self.first = perf_counter() - self.began
        return [found]

    def step(self):
        """One step, waited for; its arrays as NumPy's."""
        result = self.run.step() if self.run.before is None else self.run.step(self.run.before())
        self.peer.wait(result)
        if self.first is None:
            self.first = perf_counter() - self.began
        return self.run.show(result) if self.run.show else [self.peer.array(a) for a in result]

    def warm(self, seconds):
        """Run steps for a while, and find how many make a chunk."""
        start, count = perf_counter(), 0
        while count < 2 or (perf_counter() - start < seconds and count < 10_000):
            took = self.time()
            count += 1
        if self.run.before is None:
            self.chunk = max(1, round(CHUNK / took))

    def time(self):
        """Seconds a step, over one chunk of them."""
        step, wait, before = self.run.step, self.peer.wait, self.run.before
        if before is not None:
            prepared = before()
            start = perf_counter()
            wait(step(prepared))
            return perf_counter() - start
        start = perf_counter()
        for _ in range(self.chunk):
            result = step()
        wait(result)
        return (perf_counter() - start) / self.chunk

    def burst(self, seconds):
        """Time chunks for a while; the median of their seconds a step."""
        took = self.time()  # refills the caches, which counts only where it is short beside the step
        if took > seconds:
            return took
        start, times = perf_counter(), []
        while not times or perf_counter() - start < seconds:
            times.append(self.time())
        return statistics.median(times)

    def close(self):
        """Peaks of memory in bytes, of the process and above what it had before the workload was built; and notes."""
        peak = _memory("VmHWM")
        return {
            "memory": max(0, peak - self.memory),
            "process": max(peak, self.peak),
            "first": self.first,
            "notes": self.run.notes() if self.run.notes else {},
        }


class Missing(Exception):
    """The framework cannot be run here."""


def fingerprint(array):
    """Numbers that stand for an array: itself where it is small, else mean, root mean square and some elements."""
    values = np.asarray(array, np.float64).reshape(-1)
    if values.size <= SAMPLES:
        return values.tolist()
    some = values[np.linspace(0, values.size - 1, SAMPLES - 2).astype(int)]
    return [float(values.mean()), float(np.sqrt((values**2).mean())), *some.tolist()]


def _forget_peak():
    """Let the kernel count the peak of memory from now, where it can."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _memory(field):
    """Bytes of memory now (VmRSS) or at most (VmHWM); where there is no /proc, at most in both cases."""
    try:
        with open("/proc/self/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith(field))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def line():
    """A function that sends its arguments to the runner; what frameworks print goes to the errors from here on."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer):
        out.write(json.dumps(answer) + "\n")
        out.flush()

    return say


def main():
    """Answer lines until there are no more."""
    say = line()
    task = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task["threads"]])
    try:
        if task["workload"] == "roofline":
            measured = roofline.Rates(task["quick"])
        else:
            measured = Measured(task["entry"], workloads.load()[task["workload"]], task["threads"], task["quick"])
        say(version=measured.version)
        for words in sys.stdin:
            order, *settings = json.loads(words)
            say(value=getattr(measured, order)(*settings))
    except Missing as error:
        say(missing=str(error))
    except Exception as error:
        import traceback

        traceback.print_exc()
        say(failed=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
