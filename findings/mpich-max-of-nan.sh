#!/usr/bin/env bash
# MPICH's Allreduce of MAX leaves four ranks with different results where one of them has a nan; SUM gives nan on all. float16 is accepted and
# added up in float16 (2048, 1, 0 and 1 make 2048), and an array in Fortran's order is taken into one in C's and comes out in another order.
#
# Guess before: MAX gives nan on all ranks, as np.max does, or the greatest number on all. Neither is so: a comparison
# with nan is false, so what is kept depends on the order of the operands, which is another on each rank. float16 was guessed to be refused, as
# MPI's standard has no such type; mpi4py and MPICH know one. The last was guessed to be refused, too.
# Seen with mpi4py 4.1.2 and mpich 5.0.2. What follows for nnscratch: whether a gradient is finite is counted and gathered, never asked by MAX;
# gradients are sent as float32, in one axis.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet numpy==2.4.6 mpi4py==4.1.2 mpich==5.0.2
cat > "$folder/program.py" <<'PROGRAM'
import numpy as np
from mpi4py import MPI

ranks = MPI.COMM_WORLD
own = np.array([np.nan if ranks.rank == 0 else ranks.rank], np.float64)
found = {}
for name in ("MAX", "SUM"):
    whole = np.empty_like(own)
    ranks.Allreduce(own, whole, getattr(MPI, name))
    found[name] = ranks.gather(whole.item())
half = np.array([(2048, 1, 0, 1)[ranks.rank]], np.float16)
whole = np.empty_like(half)
ranks.Allreduce(half, whole)
fortran, c = np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.empty((2, 3))
ranks.Allreduce(fortran, c, MPI.MAX)
if ranks.rank == 0:
    for name, values in found.items():
        print(name, *values)
    print("float16", whole.item(), "Fortran's order", *c.reshape(-1))
PROGRAM
found=$("$folder/environment/bin/mpiexec" -n 4 "$folder/environment/bin/python" "$folder/program.py")
expected='MAX 3.0 3.0 3.0 nan
SUM nan nan nan nan
float16 2048.0 Fortran'"'"'s order 0.0 3.0 1.0 4.0 2.0 5.0'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
