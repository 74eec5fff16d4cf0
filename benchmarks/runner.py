"""Runs workloads: a process for each framework, and rounds in which each in turn does a burst of steps."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import peers, roofline

ROOT = Path(__file__).parent.parent
PAUSE = 0.03  # seconds between two bursts, in which the threads of the last one stop spinning
STEPS = 5  # that are compared between the frameworks
PATIENCE = 600  # seconds to wait for one answer


class Settings:
    """How long to measure: rounds, and the seconds of a burst and of warming up."""

    def __init__(self, rounds=None, quick=False):
        self.quick = quick
        self.rounds = rounds or (3 if quick else 11)
        self.burst, self.warm = (0.02, 0.02) if quick else (0.1, 0.1)


class Ended(Exception):
    """A worker said that it cannot go on, or went without a word; the message says why."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Worker:
    """One process of `benchmarks.worker`."""

    def __init__(self, entry, workload, threads, quick):
        task = {"entry": entry, "workload": workload, "threads": threads, "quick": quick}
        self._start("benchmarks.worker", task, peers.environment(threads, peers.Entry.read(entry).kept))

    def _start(self, module, task, environment):
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `stop`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(task)],
            cwd=ROOT,
            env={k: v for k, v in {**os.environ, **environment}.items() if v is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def answer(self):
        """The next line it says.

        Raises
        ------
        Ended
            Where there is none, or none within `PATIENCE`.
        """
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise Ended("failed", self._last_words() if ready else f"no answer within {PATIENCE} s")
        answer = json.loads(line)
        for status in ("missing", "failed"):
            if status in answer:
                raise Ended(status, answer[status])
        return answer

    def ask(self, *order):
        """What it answers to an order."""
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise Ended("failed", self._last_words()) from None
        return self.answer()["value"]

    def _last_words(self):
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with status {code}" + (f": {lines[-1]}" if lines else "")

    def stop(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def run(workload, entries, threads, settings, say=print):
    """Measure one workload at one thread count.

    Parameters
    ----------
    workload : benchmarks.workloads.Workload
    entries : sequence of str
        Those of its builders to run.
    threads : int
    settings : Settings
    say : callable
        Told what could not be measured.

    Returns
    -------
    list of dict
        A `row` for each entry.
    """
    rows = {entry: row(workload, entry, threads) for entry in entries}
    workers, found = {}, []
    machine = Worker("numpy", "roofline", threads, settings.quick)

    def end(entry, status, why):
        rows[entry].update(status=status, why=why)
        say(f"  {entry}: {status}: {why}")
        if entry in workers:
            workers.pop(entry).stop()

    def tell(order, *details, pause=0.0):
        """Give an order to each worker in turn; returns the answers of those that can go on."""
        answers = {}
        for entry in list(workers):
            try:
                answers[entry] = workers[entry].ask(order, *details)
            except Ended as ended:
                end(entry, ended.status, str(ended))
            time.sleep(pause)
        return answers

    try:
        machine.answer()
        steps = {}
        for entry in entries:
            workers[entry] = Worker(entry, workload.name, threads, settings.quick)
            try:
                rows[entry]["version"] = workers[entry].answer()["version"]
                steps[entry] = workers[entry].ask("check", STEPS if len(entries) > 1 else 1)
            except Ended as ended:
                end(entry, ended.status, str(ended))
        for entry, why in disagreements(steps, workload.tolerance).items():
            end(entry, "differs", why)
        if workload.warm:
            tell("warm", settings.warm)
        for _ in range(min(settings.rounds, workload.rounds or settings.rounds)):
            for entry, seconds in tell("burst", settings.burst, pause=PAUSE if len(workers) > 1 else 0).items():
                rows[entry]["rounds"].append(seconds / workload.parts)
            found.append(machine.ask("burst"))
            time.sleep(PAUSE)
        rates = {key: float(np.median([one[key] for one in found])) for key in ("rate", "bandwidth")}
        for entry, answer in tell("close").items():
            rows[entry].update(answer, **rates, **quartiles(rows[entry]["rounds"]))
            rows[entry]["roofline"] = roofline.seconds(workload.operations, **rates)
    finally:
        for worker in (machine, *workers.values()):
            worker.stop()
    return list(rows.values())


def row(workload, entry, threads):
    """What is known of an entry before it is run.

    Its ``status`` is "ok", or "missing", "differs" or "failed" with the reason in ``why``. A row that is ok gets the seconds
    of its ``rounds``, their ``median`` and quartiles ``q1`` and ``q3``; the peak of ``memory`` in bytes above the framework's
    own, and that of the whole ``process``; the seconds from the framework's import to the end of the ``first`` step; the
    machine's ``rate`` and ``bandwidth`` beside it, and the ``roofline`` in seconds that they make; and ``notes``.
    """
    return {
        "workload": workload.name, "threads": threads, **peers.Entry.read(entry)._asdict(), "status": "ok", "rounds": []
    }  # fmt: skip


def quartiles(times):
    """The median and the quartiles.

    Examples
    --------
    >>> quartiles([5.0, 1.0, 2.0])
    {'q1': 1.5, 'median': 2.0, 'q3': 3.5}
    """
    q1, median, q3 = (float(v) for v in np.quantile(times, (0.25, 0.5, 0.75)))
    return {"q1": q1, "median": median, "q3": q3}


def disagreements(found, tolerance):
    """Whose numbers differ from nnscratch's (or the first's, without it), and by how much.

    Parameters
    ----------
    found : dict
        For each entry the numbers of each step and array, see `benchmarks.worker.fingerprint`.
    tolerance : float
        In units of the largest number of an array.

    Returns
    -------
    dict
        A sentence for each entry that differs.
    """
    reference = next((entry for entry in found if entry == "nnscratch"), next(iter(found), None))
    sentences = {}
    for entry, steps in found.items():
        gaps = [
            max(gap(a, b) for a, b in zip(step, expected, strict=True))
            for step, expected in zip(steps, found[reference], strict=True)
        ]
        worst = max(gaps)
        if worst > tolerance:
            where = f"step {gaps.index(worst) + 1} differs from {reference}'s"
            sentences[entry] = f"{where} by {worst:.1e}, at most {tolerance:g} allowed"
    return sentences


def gap(ours, theirs):
    """The largest difference of two lists of numbers in units of the largest of `theirs`.

    It is infinite where there is no comparing them: numbers that are not finite, or lists that are not of one length.

    Examples
    --------
    >>> gap([1.0, 3.0], [1.0, 4.0]), gap([1.0], [float("nan")])
    (0.25, inf)
    """
    a, b = np.array(ours), np.array(theirs)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1.0))
