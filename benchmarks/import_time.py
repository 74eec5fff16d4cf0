"""How long `import nnscratch` takes beside `import numpy`: medians over fresh processes, one of each in turn."""

import statistics
import subprocess
import sys

ROUNDS = 21
LIMIT = 1.5


def seconds(module):
    """The time one import takes in a fresh process, without the interpreter's own start."""
    program = f"from time import perf_counter; t = perf_counter(); import {module}; print(perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def measure(rounds=ROUNDS):
    """The median times of both imports, in seconds (nnscratch's includes NumPy's)."""
    times = [(seconds("numpy"), seconds("nnscratch")) for _ in range(rounds + 1)]
    return [
        statistics.median(column) for column in zip(*times[1:], strict=True)
    ]  # the first round warms the disk's cache


def main():
    """Print both medians and their ratio."""
    numpy, nnscratch = measure()
    print(f"import numpy      {numpy * 1000:6.1f} ms")
    print(f"import nnscratch  {nnscratch * 1000:6.1f} ms  ({nnscratch / numpy:.2f} times; at most {LIMIT} wanted)")


if __name__ == "__main__":
    main()
