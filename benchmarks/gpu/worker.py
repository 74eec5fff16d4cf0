"""The process that one framework runs in; `benchmarks.gpu.runner` talks to it, a line of JSON each way.

An order is a list: a method of `Worker` and its arguments. The answer is its ``value``, or why it cannot be: ``missing``
where the framework or the device is not there, ``failed`` for all else.
"""

import json
import statistics
import sys
from time import perf_counter

import numpy as np

from benchmarks.gpu import peers, workloads
from benchmarks.worker import Missing, line

CACHE = 256 << 20  # bytes that no GPU's cache holds
MOST = 512  # sets of inputs at most
CHUNK = 5e-3  # seconds that are timed as one, between two events


class Measured:
    """An entry of a workload on the device."""

    def __init__(self, peer, workload, entry, arrays):
        self.peer, self.entry, self.chunk, self.turn = peer, entry, 1, 0
        with peer.settings(entry):
            self.run = workload.builders[entry](peer, *arrays)
        self.sets = list(self.run.sets)

    def step(self):
        """One step, on the next set of inputs."""
        result = self.run.step(*self.sets[self.turn])
        self.turn = (self.turn + 1) % len(self.sets)
        return result

    def check(self, steps):
        """Some numbers of the results of the first steps, as `Workload.truth` has them."""
        with self.peer.settings(self.entry):
            return [[workloads.picked(self.peer.array(a)) for a in self.step()] for _ in range(steps)]

    def warm(self, seconds):
        """Run steps for a while, on so many inputs that none is in a cache when its turn comes; find how many make a chunk."""
        size = sum(self.peer.nbytes(a) for one in self.run.sets for a in one)
        while len(self.sets) < MOST and size * len(self.sets) // len(self.run.sets) < CACHE:
            source = self.run.sets[len(self.sets) % len(self.run.sets)]
            self.sets.append(tuple(map(self.peer.copy, source)))
        with self.peer.settings(self.entry):
            start, took = perf_counter(), []
            while len(took) < 3 or perf_counter() - start < seconds:
                took.append(self.peer.timed(self.step, 1))
            once = statistics.median(took[1:])
            self.chunk = max(1, round(CHUNK / once)) if once > 0 else 1
            self.peer.timed(self.step, self.chunk)

    def burst(self, seconds):
        """The median of the seconds a step, over chunks for so long."""
        with self.peer.settings(self.entry):
            start, times = perf_counter(), []
            while not times or perf_counter() - start < seconds:
                times.append(self.peer.timed(self.step, self.chunk) / self.chunk)
            return statistics.median(times)


class Worker:
    """What the orders are given to."""

    def __init__(self, process, command):
        self.peer = peers.PROCESSES[process]()
        self.workloads = workloads.load(command)
        self.measured = {}
        self.arrays = None

    def facts(self):
        """The peer's version, and what it knows of the device."""
        return {"version": self.peer.version, "facts": self.peer.facts()}

    def peaks(self, seconds, n, megabytes):
        """The device's measured rate of float32 products (flops per second), and its bandwidth when copying (bytes per second)."""
        xp, rates = self.peer.backend.xp, {}
        a, b = (xp.asarray(x) for x in workloads.normal(0, (n, n), (n, n)))
        source = xp.zeros(megabytes << 18, "float32")
        target = xp.empty_like(source)
        for name, step, work in (
            ("rate", lambda: xp.matmul(a, b), 2 * n**3),
            ("bandwidth", lambda: xp.copyto(target, source), 2 * source.nbytes),
        ):
            self.peer.timed(step, 1)
            start, times = perf_counter(), []
            while len(times) < 3 or perf_counter() - start < seconds:
                times.append(self.peer.timed(step, 3) / 3)
            rates[name] = work / statistics.median(times)
        return rates

    def operations(self):
        """The names of nnscratch's operations."""
        import nnscratch.functional  # noqa: F401  (registers them all)
        from nnscratch.autograd import OPS

        return list(OPS)

    def operation(self, name):
        """What `check_operation` finds: results against 50 digits, derivatives against differences, other types against float64."""
        from nnscratch.autograd import OPS
        from nnscratch.testing import check_operation

        with self.peer.settings(""):
            found = check_operation(OPS[name], properties=["forward", "derivatives", "dtypes"])
        return {key: getattr(found, key) for key in ("operation", "forward", "first", "second", "problems", "seconds")}

    def build(self, workload, entry, steps):
        """Make an entry of a workload; returns some numbers of its first steps."""
        chosen = self.workloads[workload]
        if self.arrays is None or self.arrays[0] != workload:
            self.arrays = workload, chosen.arrays()
        self.measured[entry] = Measured(self.peer, chosen, entry, self.arrays[1])
        return self.measured[entry].check(steps)

    def warm(self, entry, seconds):
        """See `Measured.warm`."""
        return self.measured[entry].warm(seconds)

    def burst(self, entry, seconds):
        """See `Measured.burst`."""
        return self.measured[entry].burst(seconds)

    def alive(self):
        """Whether the device still computes: after some errors it does not, until the process ends."""
        return self.peer.array(self.peer.put(np.ones(2, np.float32)) + 1).tolist() == [2.0, 2.0]

    def drop(self, entry):
        """Forget an entry, and its arrays on the device."""
        self.measured.pop(entry, None)

    def obey(self, order, *arguments):
        """Do what an order says; returns the answer, which says what went wrong where something did."""
        try:
            return {"value": getattr(self, order)(*arguments)}
        except Missing as error:
            return {"missing": str(error)}
        except Exception as error:
            words = str(error).strip().splitlines()
            return {"failed": f"{type(error).__name__}: {words[0] if words else ''}"}


def main():
    """Answer orders until there are no more."""
    say, task = line(), json.loads(sys.argv[1])
    try:
        worker = Worker(task["process"], task["command"])
    except Missing as error:
        say(missing=str(error))
        return
    say(**worker.obey("facts"))
    for words in sys.stdin:
        say(**worker.obey(*json.loads(words)))


if __name__ == "__main__":
    main()
