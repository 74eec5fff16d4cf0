"""``python -m benchmarks COMMAND``: ``import``, ``cpu``, ``distributed``, ``gpu`` or ``cpu-vs-gpu``."""

import argparse
import sys

from benchmarks import cpu, distributed, import_time
from benchmarks.gpu import command as gpu


def main(arguments):
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measurements of nnscratch.")
    parser.add_argument(
        "command",
        choices=["import", "cpu", "distributed", "gpu", "cpu-vs-gpu"],
        help="how long importing takes; nnscratch beside others on the CPU; steps of several ranks; on a GPU; CPU against GPU",
    )
    command = parser.parse_args(arguments[:1]).command
    if command == "import":
        return import_time.main()
    if command == "distributed":
        return distributed.main(arguments[1:])
    return cpu.main(arguments[1:]) if command == "cpu" else gpu.main(command, arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
