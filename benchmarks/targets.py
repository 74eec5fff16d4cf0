"""What nnscratch's figures are to show, and whether they do: for `--targets`, and the kept results."""

import operator

from benchmarks.workloads import epoch, matmul


class Target:
    """One bound on one figure of nnscratch's row.

    Parameters
    ----------
    figure : str
        ``"time"``, the median; ``"memory"`` or ``"process"``, its peaks; or the name of one of the workload's notes.
    limit : float
    baseline : str, optional
        A peer, or ``"roofline"``: the figure is divided by that of the peer's best row, or by the roofline's seconds.
        Without it, times are in microseconds.
    strict : bool
        Whether the figure must be below the limit, not just at it.
    """

    def __init__(self, figure, limit, baseline=None, strict=False):
        self.figure, self.limit, self.baseline, self.strict = figure, limit, baseline, strict

    def __str__(self):
        sense = "below" if self.strict else "at most"
        if self.baseline:
            what = self.figure if self.baseline == "roofline" else f"{self.figure} ÷ {self.baseline}'s"
            return f"{'time ÷ roofline' if self.baseline == 'roofline' else what} {sense} {self.limit:g}"
        return f"{self.figure}{' (µs)' if self.figure == 'time' else ''} {sense} {self.limit:g}"

    def met(self, value):
        """Whether a value is within the limit."""
        return (operator.lt if self.strict else operator.le)(value, self.limit)


#: By the name of a workload, or of a group.
WANTED = {
    "overhead-forward": [Target("time", 2.5)],
    "overhead-backward": [Target("time", 4.0)],
    "s1": [Target("time", 0.35, "torch"), Target("time", 0.35, "dezero"), Target("time", 0.35, "tinygrad")],
    "mlp": [
        Target("time", 0.55, "torch"),
        Target("time", 1.0, "jax"),
        Target("time", 0.15, "dezero"),
        Target("time", 0.15, "tinygrad"),
    ],
    "s2": [
        Target("time", 0.7, "torch"),
        Target("time", 0.15, "dezero"),
        Target("time", 0.15, "tinygrad"),
        Target("time", 1.7, "roofline"),
        Target("memory", 1.0, "torch", strict=True),
        Target("process", 1.0, "torch", strict=True),
    ],
    "conv": [Target("time", 0.9, "torch")],
    "operations": [Target("time", 0.9, "torch")],
    "recurrent-s4": [Target("time", 1.0, "torch"), Target("time", 1.15, "roofline")],
    "recurrent-lstm": [Target("time", 0.6, "torch")],
    "recurrent-gru": [Target("time", 0.6, "torch")],
    "recurrent-lengths": [Target("time", 0.7, "torch")],
    "recurrent-words": [Target("time", 0.5, "torch")],
    "gpt-step": [Target("time", 0.85, "torch")],
    "gpt-words": [Target("time", 0.5, "torch")],
    "minilm": [Target("time", 0.9, "torch"), Target("time", 1.2, "onnxruntime")],
    "matmul": [Target(matmul.OVER, 3.0)],
    "epoch": [Target(epoch.OUTSIDE, 0.05)],
}


def of(workload):
    """The targets of a workload."""
    return WANTED.get(workload.name) or WANTED.get(workload.group, [])


def verdicts(workload, rows):
    """What the rows of one workload at one thread count say about its targets.

    Returns
    -------
    list of (Target, float or None, bool or None)
        The figure, and whether it is met; None where it could not be had.
    """
    found = []
    for target in of(workload):
        value = _figure(target, rows)
        found.append((target, value, None if value is None else target.met(value)))
    return found


def best(rows, peer):
    """The row of a peer with the least median, None where it has none."""
    own = [row for row in rows if row["peer"] == peer and row["status"] == "ok"]
    return min(own, key=lambda row: row["median"], default=None)


def _figure(target, rows):
    row = best(rows, "nnscratch")
    if row is None:
        return None
    key = {"time": "median", "memory": "memory", "process": "process"}.get(target.figure)
    value = row["notes"].get(target.figure) if key is None else row[key]
    if target.baseline == "roofline":
        return value / row["roofline"] if row["roofline"] else None
    if target.baseline:
        other = [r for r in rows if r["peer"] == target.baseline and r["status"] == "ok"]
        return value / min(r[key] for r in other) if other and value is not None else None
    return value * 1e6 if target.figure == "time" else value
