"""What a run found, as JSON, as a Markdown table and as plots."""

import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from benchmarks import targets

#: Of each framework: a colour that differs from the others' in lightness too, and a marker, for prints without colour.
LOOKS = {
    "nnscratch": ("#000000", "o"),
    "roofline": ("#7f7f7f", "|"),
    "numpy": ("#b3b3b3", "x"),
    "torch": ("#c1272d", "s"),
    "jax": ("#1f5fa8", "^"),
    "dezero": ("#e8a33d", "D"),
    "tinygrad": ("#5ab4a0", "v"),
}
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def environment():
    """What the figures depend on beside the code: machine, versions and what else the machine was doing."""
    blas = np.show_config("dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": f"{np.__version__} ({blas.get('name', 'BLAS')} {blas.get('version', '')})",
        "load average before": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def _cpu():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def seconds(value):
    """A time to read, of three digits.

    Examples
    --------
    >>> seconds(0.0123456), seconds(2.5e-6), seconds(75.0)
    ('12.3 ms', '2.50 µs', '75.0 s')
    """
    size, unit = next(((s, u) for s, u in UNITS if value >= s), UNITS[-1])
    return f"{_digits(value / size)} {unit}"


def _digits(value):
    """Three digits, without an exponent."""
    return f"{value:.{max(0, 2 - max(0, int(np.floor(np.log10(value)))))}f}" if value > 0 else "0"


def table(heads, lines):
    """Lines of a Markdown table, in columns that are straight in plain text too.

    Examples
    --------
    >>> print(*table(["a", "b"], [["1", "22"]]), sep="\\n")
    | a |  b |
    |---|---:|
    | 1 | 22 |
    """
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]

    def row(cells):
        aligned = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(aligned)} |"

    rule = "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    return [row(heads), f"|{rule}|", *map(row, lines)]


def section(workload, rows):
    """The lines of one workload: its title, and a table of its rows at all thread counts."""
    part = f" (a {workload.parts}th of it)" if workload.parts > 1 else ""
    heads = ["framework", "threads", "median", "quartiles", "nnscratch ÷ it", "÷ roofline", "peak memory", "first step"]
    lines, remarks = [], []
    for row in rows:
        name = f"{row['peer']} {row['layout']}".strip()
        threads = str(row["threads"])
        if row["status"] != "ok":
            lines.append([name, threads, row["status"], *[""] * 5])
            remark = f"{name}: {row['status']}: {row['why']}"
            remarks += [remark] if remark not in remarks else []
            continue
        own = targets.best([r for r in rows if r["threads"] == row["threads"]], "nnscratch")
        ratio = f"{own['median'] / row['median']:.2f}" if own and row is not own else ""
        lines.append(
            [
                name,
                threads,
                seconds(row["median"]),
                f"{seconds(row['q1'])} – {seconds(row['q3'])}",
                ratio,
                f"{row['median'] / row['roofline']:.2f}" if row["roofline"] else "",
                f"{row['memory'] / 2**20:.1f} MiB",
                seconds(row["first"]),
            ]
        )
        if row["notes"]:
            notes = ", ".join(f"{key} {value:.4g}" for key, value in row["notes"].items())
            remarks.append(f"{name}, {threads} thread{'s' * (row['threads'] > 1)}: {notes}")
    return [f"## {workload.title}{part}", "", *table(heads, lines), "", *[f"- {r}" for r in remarks], ""]


def verdict_lines(workloads, rows):
    """The lines of the table of targets."""
    lines = []
    for workload in workloads:
        for threads in sorted({row["threads"] for row in rows}):
            own = [r for r in rows if r["workload"] == workload.name and r["threads"] == threads]
            if not own:
                continue
            for target, value, met in targets.verdicts(workload, own):
                figure = "not measured" if value is None else f"{value:.3g}"
                lines.append([workload.name, str(threads), str(target), figure, {None: "", True: "yes"}.get(met, "no")])
    return table(["workload", "threads", "wanted", "measured", "met"], lines) if lines else []


def markdown(workloads, rows, facts):
    """The whole page."""
    lines = ["# Benchmark on the CPU", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items()]
    wanted = verdict_lines(workloads, rows)
    if wanted:
        lines += ["", "## What it must show", "", *wanted]
    lines.append("")
    for workload in workloads:
        if workload.size is None:
            lines += section(workload, [r for r in rows if r["workload"] == workload.name])
    return "\n".join(lines).rstrip() + "\n"


def write(folder, workloads, rows, facts):
    """Write ``cpu.json``, ``cpu.md`` and ``cpu.png`` into a folder; returns their names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    (folder / "cpu.md").write_text(markdown(workloads, rows, facts), encoding="utf-8")
    names = ["cpu.json", "cpu.md"]
    figure = plot([w for w in workloads if w.size is None], rows)
    if figure is not None:
        figure.savefig(folder / "cpu.png", dpi=120)
        names.append("cpu.png")
    return names


def plot(workloads, rows):
    """For each workload the frameworks' times in units of nnscratch's, on a logarithmic scale; None without any.

    Returns
    -------
    matplotlib.figure.Figure or None
    """
    from matplotlib.figure import Figure

    threads = sorted({row["threads"] for row in rows})
    shown = [w for w in workloads if targets.best([r for r in rows if r["workload"] == w.name], "nnscratch")]
    if not shown:
        return None
    figure = Figure(figsize=(5.5 * len(threads) + 2, 0.32 * len(shown) + 1.8), layout="constrained")
    for axes, count in zip(figure.subplots(1, len(threads), sharey=True, squeeze=False)[0], threads, strict=True):
        points = {}
        for y, workload in enumerate(shown):
            own = [r for r in rows if r["workload"] == workload.name and r["threads"] == count]
            unit = targets.best(own, "nnscratch")
            if unit is None:
                continue
            for peer in LOOKS:
                row = targets.best(own, peer)
                if row is not None:
                    points.setdefault(peer, []).append((row["median"] / unit["median"], y))
            if unit["roofline"]:
                points.setdefault("roofline", []).append((unit["roofline"] / unit["median"], y))
        for peer, places in points.items():
            colour, marker = LOOKS[peer]
            axes.plot(*zip(*places, strict=True), marker, color=colour, label=peer, markersize=6)
        axes.set_xscale("log")
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_yticks(range(len(shown)), [w.name for w in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(alpha=0.3)
        axes.set_title(f"{count} thread{'s' * (count > 1)}")
        axes.set_xlabel("time of a step ÷ nnscratch's (right of 1: slower than nnscratch)")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
