"""``python -m benchmarks cpu``: nnscratch beside other frameworks on this machine's CPU."""

import argparse
from pathlib import Path

from benchmarks import peers, report, runner, workloads

RESULTS = Path(__file__).parent / "results"


def choose(found, wanted, quick=False):
    """The workloads of these names or groups (all, without any).

    Raises
    ------
    ValueError
        Where there is no such workload or group.
    """
    for name in wanted:
        if not any(name in (w.name, w.group) for w in found):
            groups = ", ".join(dict.fromkeys(w.group for w in found))
            raise ValueError(f"benchmarks cpu: no workload or group is called {name!r}; choose among {groups}")
    return [w for w in found if (not wanted or {w.name, w.group} & set(wanted)) and (w.quick or not quick)]


def entries(workload, wanted):
    """The builders of a workload whose framework is wanted (all, without any), nnscratch and NumPy always among them.

    Raises
    ------
    ValueError
        Where there is no such framework.
    """
    for name in wanted:
        if name not in peers.NAMES:
            raise ValueError(
                f"benchmarks cpu: no peer is called {name!r}; choose among {', '.join(peers.NAMES)} with commas between"
            )
    keep = {"nnscratch", "numpy", *(wanted or peers.NAMES)}
    return [entry for entry in workload.builders if entry.partition(" ")[0] in keep]


def _words(text):
    return [word for word in text.split(",") if word]


def _counts(text):
    counts = [int(word) for word in _words(text)]
    if not counts or min(counts) < 1:
        raise ValueError(text)
    return counts


_counts.__name__ = "list of thread counts"


def main(arguments):
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks cpu", description=__doc__)
    parser.add_argument(
        "--workloads", type=_words, default=[], help="names or groups with commas between; all if left out"
    )
    parser.add_argument("--peers", type=_words, default=[], help="frameworks to run beside nnscratch; all if left out")
    parser.add_argument("--threads", type=_counts, default=[1, 2], help="thread counts with commas between (1,2)")
    parser.add_argument("--rounds", type=int, help="bursts of each framework (11)")
    parser.add_argument(
        "--quick", action="store_true", help="few short rounds of the smaller sizes, to see that it works"
    )
    parser.add_argument(
        "--out", type=Path, help="the folder for the results (benchmarks/results, results/quick if quick)"
    )
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}, expected at least 1")
    try:
        chosen = choose(list(workloads.load().values()), options.workloads, options.quick)
        plan = {workload: entries(workload, options.peers) for workload in chosen}
    except ValueError as error:
        parser.error(str(error))
    settings = runner.Settings(options.rounds, options.quick)
    facts = {
        "environment": report.environment(),
        "rounds": settings.rounds,
        "quick": settings.quick,
        "rates": {},
        "versions": {},
    }
    rows = []
    try:
        for workload, own in plan.items():
            done = []
            for threads in options.threads:
                done += runner.run(workload, own, threads, settings)
            rows += done
            facts["versions"] |= {row["peer"]: row["version"] for row in done if "version" in row}
            if workload.size is None:
                print(*report.section(workload, done), sep="\n")
            else:
                print(f"{workload.name}: {', '.join(report.brief(row) for row in done)}")
    except KeyboardInterrupt:
        print("stopped: what follows is what there is until now")
    for name, family in report.families(chosen).items():
        print("", *report.family_section(name, family, rows), sep="\n")
    print(*report.verdict_lines(chosen, rows), sep="\n")
    out = options.out or (RESULTS / "quick" if options.quick else RESULTS)
    print(f"\nresults in {out}: {', '.join(report.write(out, chosen, rows, facts))}")
    return 0
