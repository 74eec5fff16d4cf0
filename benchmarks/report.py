"""What a run found, as JSON, as a Markdown table and as plots."""

import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from benchmarks import peers, targets

#: Of each framework: a colour that differs from the others' in lightness too, and a marker, for prints without colour.
LOOKS = {
    "nnscratch": ("#000000", "o"),
    "roofline": ("#7f7f7f", "|"),
    "numpy": ("#b3b3b3", "x"),
    "torch": ("#c1272d", "s"),
    "jax": ("#1f5fa8", "^"),
    "dezero": ("#e8a33d", "D"),
    "tinygrad": ("#5ab4a0", "v"),
    "onnxruntime": ("#7a4fa3", "P"),
}
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def environment():
    """What the figures depend on beside the code: machine, versions and what else the machine was doing."""
    blas = np.show_config("dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": f"{np.__version__} ({blas.get('name', 'BLAS')} {blas.get('version', '')})",
        "load average before": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def mebibytes(value):
    """Bytes to read.

    Examples
    --------
    >>> mebibytes(3 * 2**19)
    '1.5 MiB'
    """
    return f"{value / 2**20:.1f} MiB"


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


def count(threads):
    """How many threads, in words.

    Examples
    --------
    >>> count(1), count(2)
    ('1 thread', '2 threads')
    """
    return f"{threads} thread{'s' * (threads > 1)}"


def brief(row):
    """A row in a few words."""
    return f"{count(row['threads'])} {seconds(row['median']) if row['status'] == 'ok' else row['status']}"


def section(workload, rows):
    """The lines of one workload: its title, and a table of its rows at all thread counts."""
    heads = [
        "framework",
        "threads",
        "median",
        "quartiles",
        "nnscratch ÷ it",
        "÷ roofline",
        "memory",
        "process",
        "first step",
    ]
    lines, remarks = [], []
    for row in rows:
        name = str(peers.Entry(row["peer"], row["layout"], row["kept"]))
        threads = str(row["threads"])
        if row["status"] != "ok":
            lines.append([name, threads, row["status"], *[""] * 6])
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
                mebibytes(row["memory"]),
                mebibytes(row["process"]),
                seconds(row["first"]),
            ]
        )
        if row["notes"]:
            notes = ", ".join(f"{key} {value:.4g}" for key, value in row["notes"].items())
            remarks.append(f"{name}, {threads} thread{'s' * (row['threads'] > 1)}: {notes}")
    return [f"## {workload.name}: {workload.title}", "", *table(heads, lines), "", *[f"- {r}" for r in remarks], ""]


def families(workloads):
    """The workloads of several sizes, by what they have in common."""
    found = {}
    for workload in workloads:
        if workload.size is not None:
            found.setdefault(workload.name.rpartition("-")[0], []).append(workload)
    return found


def growth(values, sizes):
    """From each size to the next, by how much more than the size a value grew: 1 is in proportion.

    Examples
    --------
    >>> growth([1.0, 3.0, 6.0], [1, 2, 4])
    [1.5, 1.0]
    """
    pairs = zip(values, values[1:], sizes, sizes[1:], strict=False)
    return [(after / before) / (larger / smaller) for before, after, smaller, larger in pairs]


def sizes_of(family, rows, threads):
    """The measured sizes of a family at a thread count, and the rows that go with them."""
    sizes = {w.name: w.size for w in family}
    own = [r for r in rows if r["workload"] in sizes and r["threads"] == threads and r["status"] == "ok"]
    return [sizes[r["workload"]] for r in own], own


def family_section(name, family, rows):
    """The lines of a family of sizes: a table, and the largest step from a size to the next."""
    lines, remarks = [], []
    for threads in sorted({row["threads"] for row in rows}):
        sizes, own = sizes_of(family, rows, threads)
        times, memory = ([row[key] for row in own] for key in ("median", "memory"))
        steps = {"time": growth(times, sizes), "memory": growth(memory, sizes)}
        for i, row in enumerate(own):
            grown = [f"{found[i - 1]:.2f}" if i else "" for found in steps.values()]
            cells = [str(sizes[i]), str(threads), seconds(times[i]), grown[0], mebibytes(memory[i]), grown[1]]
            lines.append([*cells, mebibytes(row["process"])])
        for what, found in steps.items():
            if found:
                i = int(np.argmax(found))
                remarks.append(
                    f"{count(threads)}: the largest step in {what} is {found[i]:.2f} times "
                    f"the size's, from {sizes[i]} to {sizes[i + 1]}"
                )
    title = family[0].title.rpartition(" ")[0]
    heads = ["size", "threads", "time", "growth ÷ size's", "memory", "growth ÷ size's", "process"]
    return [f"## {name}: {title}", "", *(table(heads, lines) if lines else []), "", *[f"- {r}" for r in remarks], ""]


def plot_families(found, rows):
    """Time and memory of each family by its size, on logarithmic scales; None without any.

    Returns
    -------
    matplotlib.figure.Figure or None
    """
    from matplotlib.figure import Figure

    if not found:
        return None
    figure = Figure(figsize=(5.5 * len(found), 8), layout="constrained")
    grid = figure.subplots(2, len(found), squeeze=False)
    for column, (name, family) in enumerate(found.items()):
        for axes, key, unit in zip(grid[:, column], ("median", "memory"), (1.0, 2**20), strict=True):
            for threads, look in zip(
                sorted({row["threads"] for row in rows}), ("o-", "s--", "^:", "v-."), strict=False
            ):
                sizes, own = sizes_of(family, rows, threads)
                values = [row[key] / unit for row in own]
                axes.loglog(sizes, values, look, color="black", label=count(threads), alpha=0.7)
                if values:
                    line = [values[-1] * size / sizes[-1] for size in sizes]
                    axes.loglog(sizes, line, ":", color="#7f7f7f", linewidth=0.8)
            axes.set_xlabel(name)
            axes.set_ylabel("seconds a step" if key == "median" else "MiB above the framework's own")
            axes.grid(alpha=0.3)
            axes.legend(title="(dotted: in proportion)")
    return figure


def facts_lines(facts, rows):
    """What the figures depend on, a line each."""
    lines = [f"- {key}: {value}" for key, value in facts["environment"].items() if value is not None]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines.append(f"- frameworks: {versions}")
    lines.append(f"- rounds: {facts['rounds']}{', quick' if facts['quick'] else ''}")
    for threads in sorted({row["threads"] for row in rows}):
        own = [row for row in rows if row["threads"] == threads and row["status"] == "ok"]
        if own:
            rate, bandwidth = (np.median([row[key] for row in own]) / 1e9 for key in ("rate", "bandwidth"))
            lines.append(f"- {count(threads)}: sgemm {rate:.1f} Gflop/s, copying {bandwidth:.1f} GB/s")
    return lines


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
    lines += facts_lines(facts, rows)
    wanted = verdict_lines(workloads, rows) if facts["targets"] else []
    if wanted:
        lines += ["", "## What it must show", "", *wanted]
    lines.append("")
    for workload in workloads:
        if workload.size is None:
            lines += section(workload, [r for r in rows if r["workload"] == workload.name])
    for name, family in families(workloads).items():
        lines += family_section(name, family, rows)
    return "\n".join(lines).rstrip() + "\n"


def write(folder, workloads, rows, facts):
    """Write ``cpu.json``, ``cpu.md`` and the plots ``cpu.png`` and ``scaling.png`` into a folder; returns their names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    (folder / "cpu.md").write_text(markdown(workloads, rows, facts), encoding="utf-8")
    names = ["cpu.json", "cpu.md"]
    plots = {"cpu.png": plot([w for w in workloads if w.size is None], rows)}
    plots["scaling.png"] = plot_families(families(workloads), rows)
    for name, figure in plots.items():
        if figure is not None:
            figure.savefig(folder / name, dpi=120)
            names.append(name)
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
    for axes, number in zip(figure.subplots(1, len(threads), sharey=True, squeeze=False)[0], threads, strict=True):
        points = {}
        for y, workload in enumerate(shown):
            own = [r for r in rows if r["workload"] == workload.name and r["threads"] == number]
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
        axes.set_title(count(number))
        axes.set_xlabel("time of a step ÷ nnscratch's (right of 1: slower than nnscratch)")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
