"""Runs workloads on a device: a process for each framework, and rounds in which each entry in turn does a burst of steps."""

import numpy as np

from benchmarks import roofline, runner
from benchmarks.gpu import peers

Ended = runner.Ended


class Settings:
    """How long to measure: rounds, and the seconds of a burst and of warming up."""

    def __init__(self, rounds=None, quick=False):
        self.rounds = rounds or (3 if quick else 5)
        self.burst, self.warm = (0.01, 0.01) if quick else (0.05, 0.1)


class Process(runner.Worker):
    """A process of `benchmarks.gpu.worker`."""

    def __init__(self, process, command):
        self._start("benchmarks.gpu.worker", {"process": process, "command": command}, {})


class Team:
    """The processes, which are started when first asked, and again after one has failed.

    Parameters
    ----------
    command : str
    start : callable
        ``start(process, command)``: makes one, which has the methods of `Process`.
    """

    def __init__(self, command, start=Process):
        self.command, self.start = command, start
        self.known, self.facts, self.missing = {}, {}, {}

    def ask(self, process, *order):
        """What a process answers.

        Raises
        ------
        Ended
            Where it cannot. Its process is ended, too, where the framework or the device is missing or computes no longer.
        """
        if process in self.missing:
            raise Ended("missing", self.missing[process])
        try:
            if process not in self.known:
                self.known[process] = self.start(process, self.command)
                self.facts[process] = self.known[process].answer()["value"]
            return self.known[process].ask(*order) if order else None
        except Ended as ended:
            if process not in self.facts and ended.status == "missing":
                self.missing[process] = str(ended)
            if process in self.missing or not self._is_alive(process):
                self.stop(process)
            raise

    def _is_alive(self, process):
        try:
            return self.known[process].ask("alive")
        except Ended:
            return False

    def stop(self, *names):
        """End these processes, or all."""
        for name in names or list(self.known):
            if name in self.known:
                self.known.pop(name).stop()


def run(team, workload, entries, peaks, settings, say=print):
    """Measure one workload.

    Parameters
    ----------
    team : Team
    workload : benchmarks.gpu.workloads.Workload
    entries : sequence of str
    peaks : dict
        The device's ``rate`` and ``bandwidth``.
    settings : Settings
    say : callable
        Told what could not be measured.

    Returns
    -------
    list of dict
        For each entry its ``status``: "ok", or "missing", "differs" or "failed" with the reason in ``why``. One that is ok has
        its ``error``, the seconds of its ``rounds``, their ``median`` and quartiles, the step's ``flops``, and on a GPU the
        ``roofline`` in seconds.
    """
    rows = {entry: {"workload": workload.name, "entry": entry, "status": "ok", "rounds": []} for entry in entries}
    truth = workload.truth(*workload.arrays())

    def end(entry, status, why):
        rows[entry].update(status=status, why=why)
        rows[entry].pop("built", None)
        say(f"  {workload.name}, {entry}: {status}: {why}")

    def tell(entry, *order):
        """What an entry's process answers; None where the entry cannot go on."""
        process = peers.process(entry)
        try:
            return team.ask(process, *order)
        except Ended as ended:
            end(entry, ended.status, str(ended))
        if process not in team.known:
            for other in [e for e, row in rows.items() if row.get("built") and peers.process(e) == process]:
                end(other, "failed", f"its process ended with {entry}")
        elif order[0] != "drop":
            tell(entry, "drop", entry)
        return None

    for entry in entries:
        found = tell(entry, "build", workload.name, entry, len(truth))
        if found is None:
            continue
        rows[entry]["built"] = True
        rows[entry]["error"] = error = distance(found, truth)
        if error > workload.allowed(entry):
            why = f"it is {error:.1e} from float64 on the CPU, at most {workload.allowed(entry):g} allowed"
            tell(entry, "drop", entry)
            end(entry, "differs", why)
        else:
            tell(entry, "warm", entry, settings.warm)
    for _ in range(settings.rounds):
        for entry in entries:
            if rows[entry].get("built"):
                seconds = tell(entry, "burst", entry, settings.burst)
                if seconds is not None:
                    rows[entry]["rounds"].append(seconds)
    for entry in entries:
        if rows[entry].get("built"):
            tell(entry, "drop", entry)
    for entry, row in rows.items():
        if row.pop("built", False):
            work = None if peers.process(entry) == "CPU" else roofline.seconds(workload.operations, **peaks)
            row.update(runner.quartiles(row["rounds"]), roofline=work, flops=sum(f for f, _ in workload.operations))
    return list(rows.values())


def distance(found, truth):
    """The largest difference of any result of any step, in units of the largest number of that result.

    Examples
    --------
    >>> distance([[[1.0, 3.0]]], [[[1.0, 4.0]]])
    0.25
    """
    return max(
        runner.gap(a, b)
        for step, expected in zip(found, truth, strict=True)
        for a, b in zip(step, expected, strict=True)
    )


def check_operations(team, say=print):
    """Every operation of nnscratch on the GPU, see `benchmarks.gpu.worker.Worker.operation`: a list of dicts."""
    found = []
    for name in team.ask("nnscratch", "operations"):
        try:
            found.append(team.ask("nnscratch", "operation", name))
        except Ended as ended:
            empty = dict.fromkeys(("forward", "first", "second", "seconds"))
            found.append({"operation": name, **empty, "problems": [f"{name}: {ended}"]})
        for problem in found[-1]["problems"]:
            say(f"  {problem}")
    return found


def crossing(sizes, cpu, gpu):
    """From which size on the GPU is the faster for good: (the measured size, where the lines meet on logarithmic scales).

    Both are None where the CPU is faster at the largest size; where the GPU is faster from the first, the lines meet nowhere.

    Examples
    --------
    >>> crossing([1, 2, 4], [1.0, 2.0, 4.0], [2.0, 2.0, 2.0])
    (4, 2.0)
    >>> crossing([1, 2], [1.0, 2.0], [2.0, 3.0]), crossing([1, 2], [1.0, 2.0], [0.5, 0.5])
    ((None, None), (1, None))
    """
    slower = np.log(np.array(gpu) / np.array(cpu))  # of the GPU: below 0 it is faster
    first = len(sizes)
    while first and slower[first - 1] < 0:
        first -= 1
    if first == len(sizes):
        return None, None
    if first == 0:
        return sizes[0], None
    share = slower[first - 1] / (slower[first - 1] - slower[first])
    return sizes[first], float(sizes[first - 1] * (sizes[first] / sizes[first - 1]) ** share)
