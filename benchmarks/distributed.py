"""Steps of 1 to 4 ranks on this machine: what computes, what is sent, what of that is hidden; and a model of many more, fitted to it."""

import argparse
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

RESULTS = pathlib.Path(__file__).parent / "results"
RANKS = (1, 2, 4)
BATCH = 64
MOST = 1024
SYSTEMS = ("mnist-cnn", "gpt", "review-classifier")
#: Bytes of a message, for its latency and bandwidth.
SIZES = (8, 1 << 12, 1 << 16, 1 << 20, 1 << 22)
#: What the model assumes beside what is fitted; drawn with it.
ASSUMPTIONS = (
    "a rank's batch keeps its size, so the whole batch grows with the ranks",
    "each rank has a core of its own; a step's compute is that of one rank here",
    "taking part costs what it costs a rank that is alone (copies into buckets and back), and no rank is late",
    "a sum over R ranks takes 2 log2 R latencies and moves 2 (R - 1) / R of its bytes",
    "latency and bandwidth are those of this machine's memory: a network's are put in their place by --latency and --bandwidth",
    "the share of the backward pass that messages hide in is what 2 ranks showed here",
)


# What a rank measures


def worker(names, rounds):
    """Measure on all ranks; rank 0 prints a JSON object. Seconds are of the wall, since waiting is what is asked about."""
    import nnscratch as ns

    ranks = ns.distributed.mpi()
    found = {"ranks": ranks.size, "messages": [message(ranks, size, rounds) for size in SIZES], "systems": {}}
    for name in names:
        found["systems"][name] = system(ns, ranks, name, rounds)
    every = ranks.gather(found)
    if ranks.rank == 0:
        print(json.dumps(found | {"others": every[1:]}))


def message(ranks, size, rounds):
    """The median seconds of a sum of so many bytes that nothing hides."""
    array, seconds = np.zeros(size // 4, np.float32), []
    for _ in range(rounds + 1):
        ranks.gather(0)
        start = time.perf_counter()
        ranks.messages.start_sum(array, aside=True).wait()
        seconds.append(time.perf_counter() - start)
    return size, statistics.median(seconds[1:])


def system(ns, ranks, name, rounds):
    """A system's training step with a batch of `BATCH` on each rank: alone, and with the others; and what is sent."""
    ns.manual_seed(0)
    found = ns.systems.get(name)
    train, _ = found.data(False)
    model = found.model()
    arrays = [
        np.asarray(a)[: BATCH * ranks.size] for part in train for a in (part if isinstance(part, tuple) else (part,))
    ]
    optimizer = ns.optim.Adam(model.parameters())
    step = ns.training.Supervised(model, found.loss, optimizer)
    size = sum(p.size for p in model.parameters()) * 4
    begin = ranks.rank * BATCH
    own = [a[begin : begin + BATCH] for a in arrays]
    share = ns.backend.random.Share(own, begin, BATCH, BATCH * ranks.size)

    def one(together):
        tensors = [ns.tensor(a) for a in own]
        ranks.gather(0)
        before, start = dict(ranks.seconds), time.perf_counter()
        with step.mode(True):
            if not together:
                step.update(*tensors)
            else:
                step.ranks = ranks
                with step.accumulating(1), ranks.computing(share):
                    step.update(*tensors)
                step.ranks = None
        return time.perf_counter() - start, *(ranks.seconds[k] - before[k] for k in ("late", "waited"))

    rows = [(one(False)[0], *one(True)) for _ in range(rounds + 2)][2:]
    alone, together, late, waited = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "bytes": size,
        "alone": alone,
        "together": together,
        "late": late,
        "waited": waited,
        "message": message(ranks, size, rounds)[1],
    }


# What becomes of it


def started(size, names, rounds):
    """What so many ranks measure, one thread each."""
    mpiexec = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit("distributed: there is no mpiexec; pip install 'nnscratch[mpi]' brings one")
    threads = dict.fromkeys(("NNSCRATCH_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [mpiexec, "-n", str(size), sys.executable, "-m", "benchmarks", "distributed", "--worker"]
    command += ["--systems", ",".join(names), "--rounds", str(rounds)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads})
    if ended.returncode:
        sys.exit(f"distributed: {size} ranks ended with {ended.stderr.strip()}")
    return json.loads(ended.stdout.splitlines()[-1])


def fitted(messages, ranks):
    """Latency and bandwidth of the sums of some ranks: seconds a hop, bytes a second, by least squares of relative errors."""
    sizes, seconds = np.array(messages, float).T
    hops, moved = 2 * math.log2(ranks), 2 * (ranks - 1) / ranks * sizes
    terms = np.stack([np.full(len(sizes), hops), moved], 1) / seconds[:, None]
    latency, per_byte = np.linalg.lstsq(terms, np.ones(len(sizes)), rcond=None)[0]
    return max(latency, 1e-9), 1 / max(per_byte, 1e-15)


def predicted(alone, part, size, ranks, latency, bandwidth, hidden):
    """The seconds of a step of so many ranks, each with a batch as large as one has alone; taking `part` costs some seconds."""
    if ranks == 1:
        return alone
    sent = 2 * math.log2(ranks) * latency + 2 * (ranks - 1) / ranks * size / bandwidth
    return alone + part + sent - min(hidden * sent, 2 / 3 * alone)  # a backward pass is about two thirds of a step


def report(found, latency=None, bandwidth=None):
    """Lines of what was measured and what the model says of many ranks."""
    own = fitted(found[2]["messages"], 2)
    latency, bandwidth = latency or own[0], bandwidth or own[1]
    lines = [
        f"{os.cpu_count()} cores; a hop takes {own[0] * 1e6:.1f} us, and {own[1] / 1e9:.2f} GB/s move (2 ranks)",
        "",
    ]
    lines += [
        "| system | ranks | alone, ms | together, ms | late, ms | message, ms | waited, ms | hidden |",
        "|---|---|---|---|---|---|---|---|",
    ]
    curves = {}
    for name in found[1]["systems"]:
        for size, row in ((n, f["systems"][name]) for n, f in found.items()):
            hidden = 1 - row["waited"] / row["message"] if size > 1 else math.nan
            cells = (row[k] * 1e3 for k in ("alone", "together", "late", "message", "waited"))
            lines.append(
                f"| {name} | {size} | "
                + " | ".join(f"{c:.2f}" for c in cells)
                + (f" | {hidden:.0%} |" if size > 1 else " | |")
            )
        one, two = (found[n]["systems"][name] for n in (1, 2))
        part = max(one["together"] - one["alone"], 0.0)
        hidden = min(max(1 - two["waited"] / two["message"], 0.0), 1.0)
        counts = [2**k for k in range(int(math.log2(MOST)) + 1)]
        curves[name] = [predicted(one["alone"], part, one["bytes"], n, latency, bandwidth, hidden) for n in counts]
        measured = two["together"] / two["alone"]
        lines.append(
            f"| {name} | 2, model | | {curves[name][1] * 1e3:.2f} | | | | a step is {measured:.2f} of one alone, by the model {curves[name][1] / curves[name][0]:.2f} |"
        )
    lines += ["", "Assumptions of the model:", "", *(f"- {line}" for line in ASSUMPTIONS)]
    return lines, counts, curves


def draw(path, counts, curves, found):
    """Draw what share of a step of R ranks is one rank's compute, up to `MOST` ranks, and what was measured."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    for name, seconds in curves.items():
        (line,) = axes.plot(counts, [seconds[0] / s for s in seconds], label=f"{name}, model")
        rows = {n: f["systems"][name] for n, f in found.items()}
        axes.plot(
            [*rows],
            [r["alone"] / r["together"] for r in rows.values()],
            "o",
            color=line.get_color(),
            label=f"{name}, here",
        )
    axes.set_xscale("log", base=2)
    axes.set(
        xlabel="ranks",
        ylabel="time of a step alone / with the others",
        ylim=(0, 1.1),
        title="Efficiency at a fixed batch for each rank",
    )
    axes.legend()
    figure.supxlabel("\n".join(ASSUMPTIONS), fontsize=7)
    figure.savefig(path, dpi=100)


def main(arguments):
    """Measure, fit and draw; returns the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks distributed")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which, by commas")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--latency", type=float, help="of a network's hop, in seconds, in place of this machine's")
    parser.add_argument("--bandwidth", type=float, help="of a network, in bytes a second")
    parser.add_argument("--out", default=str(RESULTS), help="where distributed.md, .json and .png go")
    given = parser.parse_args(arguments)
    names = given.systems.split(",")
    if given.worker:
        worker(names, given.rounds)
        return 0
    found = {n: started(n, names, given.rounds) for n in RANKS}
    lines, counts, curves = report(found, given.latency, given.bandwidth)
    out = pathlib.Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "distributed.md").write_text("# Steps of several ranks\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (out / "distributed.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    draw(out / "distributed.png", counts, curves, found)
    print("\n".join(lines))
    return 0
