"""Faults of ranks: ``python tests/rank_faults.py [COUNT] [SEED]`` plants so many, one a run, and says which did not end as they should.

Each run has 3 ranks, one of which raises an exception, runs out of memory, gets weights that are nan, or is killed, after some batch.
The run has to end within 20 seconds with another status than 0, its messages have to name the rank, and the checkpoint of its last whole
epoch has to load. Of a killed rank MPI tells a process: MPICH's mpiexec says that one was killed, and names at times another, that it
has ended itself; so it is counted how often it was the right one. `tests/test_distributed.py` runs a fault.
"""

import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from nnscratch.state_files import read_checkpoint

PROGRAM = pathlib.Path(__file__).with_name("ranks.py")
RANKS, BATCHES, PER_EPOCH, LIMIT = 3, 20, 5, 20.0
KINDS = "exception", "memory", "nan", "kill"
#: Of each killed rank whether MPI named its process.
RIGHT: list = []


def fault(mpiexec, kind, rank, batch):
    """What was wrong with the end of a run in which a rank failed after a batch, in a word, or None; and the seconds until then."""
    with tempfile.TemporaryDirectory() as folder:
        command = [mpiexec, "-n", str(RANKS), sys.executable, PROGRAM, "fault", folder, kind, str(rank), str(batch)]
        start = time.perf_counter()
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT + 20)
        except subprocess.TimeoutExpired:
            return "it hangs", LIMIT + 20
        seconds = time.perf_counter() - start
        said = ended.stdout + ended.stderr
        process = re.search(rf"rank {rank} is process (\d+)", said)
        named = f"rank {rank} of {RANKS}: " in said
        if kind == "kill":
            named = bool(process) and "Killed (signal 9)" in said
            RIGHT.append(bool(process) and f"PID {process[1]} " in said)
        whole = (batch - 1) // PER_EPOCH  # epochs; of the batch that ends one the fault comes before the checkpoint
        path = pathlib.Path(folder, "checkpoint")
        epochs = len(read_checkpoint(path)[1]["history"]["loss"]) if path.exists() else 0
        faults = {
            "it took too long": seconds > LIMIT,
            "its status is 0": ended.returncode == 0,
            "its messages do not name the rank": not named,
            f"its checkpoint has {epochs} epochs of {whole}": not whole - 1 <= epochs <= whole + (kind == "nan"),
        }
        return next((name for name, found in faults.items() if found), None), seconds


def main(count=100, seed=0):
    """Plant so many; returns how many did not end as they should."""
    draw, mpiexec = random.Random(seed), shutil.which("mpiexec")
    slowest, wrong = 0.0, 0
    for i in range(count):
        kind, rank, batch = KINDS[i % len(KINDS)], draw.randrange(RANKS), draw.randint(1, BATCHES - 1)
        found, seconds = fault(mpiexec, kind, rank, batch)
        slowest, wrong = max(slowest, seconds), wrong + bool(found)
        if found:
            print(f"{kind} on rank {rank} after batch {batch}: {found} ({seconds:.1f} s)", flush=True)
    print(f"{count - wrong} of {count} ended as they should; the slowest took {slowest:.1f} s")
    print(f"of {len(RIGHT)} killed ranks MPI named the right process {sum(RIGHT)} times")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
