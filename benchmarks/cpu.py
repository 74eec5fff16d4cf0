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
    return peers.with_kept(entry for entry in workload.builders if peers.Entry.read(entry).peer in keep)


def threads(wanted):
    """The thread counts to run: those wanted, or of 1 and 2 those that this machine has cores for.

    Raises
    ------
    ValueError
        Where more are wanted than there are cores.
    """
    cores = report.cores()
    if wanted is None:
        return [count for count in (1, 2) if count <= cores]
    if max(wanted) > cores:
        has = f"{cores} core{'s' * (cores > 1)}"
        raise ValueError(
            f"benchmarks cpu: --threads {max(wanted)} is more than the {has} of this machine; use at most {cores}"
        )
    return wanted


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
    parser.add_argument("--threads", type=_counts, help="thread counts with commas between (1,2)")
    parser.add_argument("--rounds", type=int, help="bursts of each framework (11)")
    parser.add_argument(
        "--quick", action="store_true", help="few short rounds of the smaller sizes, to see that it works"
    )
    parser.add_argument(
        "--targets", action="store_true", help="say too whether nnscratch is where its own project wants it"
    )
    parser.add_argument(
        "--out", type=Path, help="the folder for the results (benchmarks/results, results/quick if quick)"
    )
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}, expected at least 1")
    try:
        counts = threads(options.threads)
        chosen = choose(list(workloads.load().values()), options.workloads, options.quick)
        plan = {workload: entries(workload, options.peers) for workload in chosen}
    except ValueError as error:
        parser.error(str(error))
    settings = runner.Settings(options.rounds, options.quick)
    facts = {
        "environment": report.environment(),
        "rounds": settings.rounds,
        "quick": settings.quick,
        "targets": options.targets,
        "rates": {},
        "versions": {},
    }
    rows = []
    try:
        for workload, own in plan.items():
            done = []
            for count in counts:
                done += runner.run(workload, own, count, settings)
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
    if options.targets:
        print(*report.verdict_lines(chosen, rows), sep="\n")
    out = options.out or (RESULTS / "quick" if options.quick else RESULTS)
    print(f"\nresults in {out}: {', '.join(report.write(out, chosen, rows, facts))}")
    return 0
