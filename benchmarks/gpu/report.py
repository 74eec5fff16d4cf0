"""What a run on a GPU found, as JSON, as a Markdown page and as plots."""

import json
from pathlib import Path

from benchmarks.gpu.peers import precision
from benchmarks.gpu.runner import crossing
from benchmarks.report import seconds, table

NAMES = {"gpu": "Benchmark on a GPU", "cpu-vs-gpu": "CPU against GPU"}
#: Of each precision but float32 the line; its markers are hollow.
LINES = {None: "-", "tf32": "--", "float16": ":", "bfloat16": "-."}
#: Of each entry a colour and a marker.
LOOKS = {
    "nnscratch": ("#000000", "o"),
    "CuPy": ("#7f7f7f", "x"),
    "Numba naive": ("#e8a33d", "v"),
    "Numba tiled": ("#5ab4a0", "D"),
    "Numba blocked": ("#1f5fa8", "^"),
    "Numba direct": ("#e8a33d", "v"),
    "torch": ("#c1272d", "s"),
    "torch compiled": ("#8a4fb0", "*"),
}


def ok(rows, workload, entry):
    """The row of an entry of a workload, None where it was not measured."""
    found = [r for r in rows if (r["workload"], r["entry"], r["status"]) == (workload.name, entry, "ok")]
    return found[0] if found else None


def facts_lines(facts):
    """What the figures depend on, a line each."""
    lines = [f"- {key}: {value}" for key, value in facts["device"].items()]
    lines += [f"- {key}: {value}" for key, value in facts["environment"].items() if value is not None]
    lines += [f"- {name}: {version}" for name, version in facts["versions"].items()]
    lines.append(f"- rounds: {facts['rounds']}{', quick: no figures to quote' if facts['quick'] else ''}")
    peaks = facts["peaks"]
    lines.append(
        f"- measured peaks: float32 products {peaks['rate'] / 1e12:.1f} Tflop/s, copying {peaks['bandwidth'] / 1e9:.0f} GB/s"
    )
    return lines


def correctness_lines(checks):
    """What was found of nnscratch's operations, in sentences."""
    if not checks:
        return []
    wrong = [problem for check in checks for problem in check["problems"]]
    worst = {
        key: max((c[key] for c in checks if c[key] is not None), default=None) for key in ("forward", "first", "second")
    }
    figures = [
        f"{words} {worst[key]:.2g}"
        for key, words in (
            ("forward", "the greatest error of a float64 result, in units in the last place,"),
            ("first", "the greatest relative error of a first derivative"),
            ("second", "and of a second"),
        )
        if worst[key] is not None
    ]
    right = sum(not check["problems"] for check in checks)
    return [
        f"{right} of {len(checks)} operations are right on this GPU: {', '.join(figures)}.",
        "",
        *[f"- {p}" for p in wrong],
    ]


def target_lines(workloads, rows):
    """The lines of the table of targets."""
    lines = []
    for workload in workloads:
        own = [r for r in rows if r["workload"] == workload.name]
        for target in workload.targets if own else ():
            value = target.value(own)
            met = "" if value is None else "yes" if target.met(value) else "no"
            lines.append([workload.name, str(target), "not measured" if value is None else f"{value:.3g}", met])
    return table(["workload", "wanted", "measured", "met"], lines) if lines else []


def group_lines(workloads, rows):
    """The lines of a table of some workloads, and below it of what was not measured."""
    heads = ["workload", "entry", "median", "quartiles", "Tflop/s", "of the peak", "nnscratch's speed ÷ its", "error"]
    lines, remarks = [], []
    for workload in workloads:
        own = ok(rows, workload, "nnscratch")
        for row in (r for r in rows if r["workload"] == workload.name):
            if row["status"] != "ok":
                remarks.append(f"- {workload.name}, {row['entry']}: {row['status']}: {row['why']}")
                continue
            lines.append(
                [
                    workload.name,
                    row["entry"],
                    seconds(row["median"]),
                    f"{seconds(row['q1'])} – {seconds(row['q3'])}",
                    f"{row['flops'] / row['median'] / 1e12:.3g}",
                    f"{row['roofline'] / row['median']:.2f}" if row["roofline"] else "",
                    f"{row['median'] / own['median']:.2f}" if own and row is not own else "",
                    f"{row['error']:.0e}",
                ]
            )
    titles = [f"- {w.name}: {w.title}" for w in workloads]
    return [*(table(heads, lines) if lines else []), "", *remarks, *([""] if remarks else []), *titles, ""]


def families(workloads):
    """The workloads by what comes before their size or, without one, before the first hyphen."""
    found = {}
    for workload in workloads:
        name = workload.group if workload.size is None else workload.name.rpartition("-")[0]
        found.setdefault(name, []).append(workload)
    return found


def pairs(family, rows):
    """Sizes of a family, and the seconds of CPU and GPU, where both were measured."""
    found = [(w.size, ok(rows, w, "CPU"), ok(rows, w, "GPU")) for w in family]
    return [(size, cpu["median"], gpu["median"]) for size, cpu, gpu in found if cpu and gpu]


def crossing_lines(name, family, rows):
    """A table of CPU and GPU by size, and from which size on the GPU is the faster."""
    both = pairs(family, rows)
    lines = [[str(n), seconds(cpu), seconds(gpu), f"{cpu / gpu:.2f}"] for n, cpu, gpu in both]
    if not both:
        return [f"{name} was not measured on both.", ""]
    size, meeting = crossing(*map(list, zip(*both, strict=True)))
    if size is None:
        words = f"Up to the largest size, {both[-1][0]}, the CPU is the faster."
    elif meeting is None:
        words = f"The GPU is the faster from the smallest size, {size}, on."
    else:
        words = f"The GPU is the faster from {size} on; the lines meet at about {meeting:.3g}."
    return [*table(["size", "CPU", "GPU", "GPU's speed ÷ CPU's"], lines), "", words, ""]


def markdown(command, workloads, rows, checks, facts):
    """The whole page."""
    lines = [f"# {NAMES[command]}: {facts['device'].get('GPU', 'unknown')}", "", *facts_lines(facts), ""]
    found = correctness_lines(checks)
    if found:
        lines += ["## Whether it is right", "", *found, ""]
    wanted = target_lines(workloads, rows) if facts["targets"] else []
    if wanted:
        lines += ["## What it must show", "", *wanted, ""]
    for name, family in families(workloads).items():
        lines += [f"## {name}", ""]
        lines += crossing_lines(name, family, rows) if command == "cpu-vs-gpu" else []
        lines += group_lines(family, rows)
    return "\n".join(lines).rstrip() + "\n"


def _axes(figure, count):
    return figure.subplots(1, count, squeeze=False)[0]


def _measured(workloads, rows, sized):
    """The families with sizes, or those without, of which anything was measured."""
    there = {row["workload"] for row in rows if row["status"] == "ok"}
    found = families([w for w in workloads if (w.size is not None) == sized])
    return {name: family for name, family in found.items() if any(w.name in there for w in family)}


def _draw(axes, entry, points, **more):
    if points:
        chosen = precision(entry)
        colour, marker = LOOKS[entry.removesuffix(f" {chosen}")]
        hollow = {"markerfacecolor": "none"} if chosen else {}
        axes.plot(*zip(*points, strict=True), marker, color=colour, label=entry, markersize=5, **hollow, **more)


def plot_sizes(workloads, rows, facts):
    """The rates of what has sizes.

    Returns
    -------
    matplotlib.figure.Figure or None
    """
    from matplotlib.figure import Figure

    shown = _measured(workloads, rows, sized=True)
    if not shown:
        return None
    figure = Figure(figsize=(5.5 * len(shown), 5), layout="constrained")
    for axes, (name, family) in zip(_axes(figure, len(shown)), shown.items(), strict=True):
        axes.set(xscale="log", yscale="log", title=name, xlabel="size", ylabel="Tflop/s")
        for entry in dict.fromkeys(e for w in family for e in w.builders):
            found = [(w.size, ok(rows, w, entry)) for w in family]
            points = [(size, row["flops"] / row["median"] / 1e12) for size, row in found if row]
            _draw(axes, entry, points, linestyle=LINES[precision(entry)])
        axes.set_xticks([w.size for w in family], [str(w.size) for w in family])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.suptitle(facts["device"].get("GPU", ""), fontsize=9)
    return figure


def plot_beside(workloads, rows, facts):
    """The others' speed beside nnscratch's, for each convolution.

    Returns
    -------
    matplotlib.figure.Figure or None
    """
    from matplotlib.figure import Figure

    shown = [w for family in _measured(workloads, rows, sized=False).values() for w in family]
    if not shown:
        return None
    figure = Figure(figsize=(8, 0.16 * len(shown) + 2), layout="constrained")
    (axes,) = _axes(figure, 1)
    for entry in dict.fromkeys(e for w in shown for e in w.builders if e != "nnscratch"):
        found = [(ok(rows, w, "nnscratch"), ok(rows, w, entry), y) for y, w in enumerate(shown)]
        _draw(axes, entry, [(own["median"] / row["median"], y) for own, row, y in found if own and row], linestyle="")
    axes.axvline(1, color="black", linewidth=0.8, label="nnscratch")
    axes.set(
        xscale="log", ylim=(len(shown) - 0.5, -0.5), xlabel="speed ÷ nnscratch's (right of 1: faster than nnscratch)"
    )
    axes.set_yticks(range(len(shown)), [w.name for w in shown], fontsize=6)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, fontsize=7, title=facts["device"].get("GPU", ""))
    return figure


def plot_versus(workloads, rows, facts):
    """The time of CPU and GPU by size, on logarithmic scales.

    Returns
    -------
    matplotlib.figure.Figure or None
    """
    from matplotlib.figure import Figure

    shown = {name: pairs(family, rows) for name, family in families(workloads).items() if pairs(family, rows)}
    if not shown:
        return None
    figure = Figure(figsize=(5.5 * len(shown), 4.5), layout="constrained")
    for axes, (name, both) in zip(_axes(figure, len(shown)), shown.items(), strict=True):
        sizes, cpu, gpu = map(list, zip(*both, strict=True))
        axes.loglog(sizes, cpu, "o-", color="black", label="CPU")
        axes.loglog(sizes, gpu, "s-", color="#c1272d", label="GPU")
        _, meeting = crossing(sizes, cpu, gpu)
        if meeting is not None:
            axes.axvline(meeting, linestyle=":", color="#7f7f7f", label=f"they meet at {meeting:.3g}")
        axes.set_title(name)
        axes.set_xlabel("batch")
        axes.set_ylabel("seconds a step")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"{facts['device'].get('GPU', '')}; {facts['environment'].get('cpu', '')}", fontsize=8)
    return figure


PLOTS = {
    "gpu": {"gpu.png": plot_sizes, "gpu-convolutions.png": plot_beside},
    "cpu-vs-gpu": {"cpu-vs-gpu.png": plot_versus},
}


def write_words(folder, command, workloads, rows, checks, facts):
    """Write the command's results into a folder as JSON and Markdown; returns the files' names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    whole = {**facts, "operations": checks, "rows": rows}
    (folder / f"{command}.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    (folder / f"{command}.md").write_text(markdown(command, workloads, rows, checks, facts), encoding="utf-8")
    return [f"{command}.json", f"{command}.md"]


def write(folder, command, workloads, rows, checks, facts):
    """`write_words`, and plots of what there is to plot."""
    names = write_words(folder, command, workloads, rows, checks, facts)
    for name, plot in PLOTS[command].items():
        figure = plot(workloads, rows, facts)
        if figure is not None:
            figure.savefig(Path(folder) / name, dpi=120)
            names.append(name)
    return names
