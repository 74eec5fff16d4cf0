"""The commands ``gpu`` and ``cpu-vs-gpu``."""

import argparse
from pathlib import Path

from benchmarks import report as cpu_report
from benchmarks.gpu import report, runner, workloads

RESULTS = Path(__file__).parent.parent / "results"
DESCRIPTIONS = {
    "gpu": "nnscratch's operations and kernels on this machine's GPU: whether they are right, and how fast, beside PyTorch.",
    "cpu-vs-gpu": "nnscratch's training steps on this machine's CPU and GPU over batch sizes, and where the GPU overtakes.",
}


def choose(found, wanted, quick):
    """The workloads of these names, groups or families (all, without any).

    Raises
    ------
    ValueError
        Where there is none of a name.
    """
    groups = report.families(found)
    names = {w.name: {w.name, w.group, name} for name, family in groups.items() for w in family}
    for word in wanted:
        if not any(word in own for own in names.values()):
            raise ValueError(f"no workload or group is called {word!r}; choose among {', '.join(groups)}")
    return [w for w in found if (not wanted or names[w.name] & set(wanted)) and (w.quick or not quick)]


def found_out(team):
    """The versions of what was started until now, and what it knows of the device."""
    device = {key: value for found in team.facts.values() for key, value in found["facts"].items()}
    return {"device": device, "versions": {n: found["version"] for n, found in team.facts.items() if n != "CPU"}}


def main(command, arguments, start=runner.Process):
    """Run a command; returns the exit status, which is 1 without a GPU, and where an operation is wrong on it."""
    parser = argparse.ArgumentParser(f"python -m benchmarks {command}", description=DESCRIPTIONS[command])
    words = lambda text: [word for word in text.split(",") if word]  # noqa: E731
    parser.add_argument(
        "--workloads", type=words, default=[], help="names or groups with commas between; all if left out"
    )
    parser.add_argument("--no-operations", action="store_true", help="do not check every operation before")
    parser.add_argument("--rounds", type=int, help="bursts of each entry (5)")
    parser.add_argument("--quick", action="store_true", help="few short rounds of some sizes, to see that it works")
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
        chosen = choose(list(workloads.load(command).values()), options.workloads, options.quick)
    except ValueError as error:
        parser.error(str(error))
    settings = runner.Settings(options.rounds, options.quick)
    team = runner.Team(command, start)
    out = options.out or (RESULTS / "quick" if options.quick else RESULTS)
    rows, checks = [], []
    facts = {
        "environment": cpu_report.environment(),
        "rounds": settings.rounds,
        "quick": options.quick,
        "targets": options.targets,
    }
    try:
        try:
            facts["peaks"] = team.ask("nnscratch", "peaks", *((0.05, 1024, 64) if options.quick else (1.0, 8192, 1024)))
        except runner.Ended as ended:
            print(f"benchmarks {command}: {ended}")
            return 1
        facts |= found_out(team)
        print(*report.facts_lines(facts), "", sep="\n")
        try:
            if not options.no_operations:
                checks = runner.check_operations(team)
                print(*report.correctness_lines(checks)[:1], sep="\n")
            for workload in chosen:
                done = runner.run(team, workload, list(workload.builders), facts["peaks"], settings)
                rows += done
                facts |= found_out(team)
                brief = (f"{r['entry']} {cpu_report.seconds(r['median'])}" for r in done if r["status"] == "ok")
                print(f"{workload.name}: {', '.join(brief)}", flush=True)
                report.write_words(out, command, chosen, rows, checks, facts)  # for those who are ended from outside
        except KeyboardInterrupt:
            print("stopped: what follows is what there is until now")
    finally:
        team.stop()
    if options.targets:
        print("", *report.target_lines(chosen, rows), sep="\n")
    names = report.write(out, command, chosen, rows, checks, facts)
    print(f"\nresults in {out}: {', '.join(names)}")
    return int(any(check["problems"] for check in checks) or any(row["status"] == "differs" for row in rows))
