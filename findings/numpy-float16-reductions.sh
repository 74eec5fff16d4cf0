#!/usr/bin/env bash
# NumPy's reductions of float16 over another axis than the last add up in float16, all but mean's: the average of 5000 ones by equal
# weights is 0.41, and numbers that are 1 and 3 in turn have the mean 2 and the variance 0.82.
#
# Guess before: sum stops at 2048 there, and var, which needs the mean, is as right as mean. The first is so, the second is not: mean
# adds float16 up in float32, var and std take that mean and then add the squares up in float16; average takes a sum of weights that is
# right (one axis, so pairwise) and a sum of products that is not. PyTorch 2.13.0 and JAX 0.10.2 give 5000, 1, 1 and 70.69 for sum, var,
# std and norm on the CPU.
# Seen with NumPy 2.4.6, and the same with 2.5.5. What follows for nnscratch: its reductions of float16 go by float32 and are rounded once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet numpy==2.4.6
found=$("$folder/environment/bin/python" - <<'PROGRAM'
import numpy as np

ones = np.ones((5000, 3), np.float16)
turns = np.where(np.arange(5000)[:, None] % 2, 3, 1).astype(np.float16) * np.ones(3, np.float16)
print("numpy", np.__version__)
print("sum", np.sum(ones, axis=0)[0], "of the other axis", np.sum(ones.T.copy(), axis=1)[0])
print("mean", np.mean(turns, axis=0)[0], "var", np.var(turns, axis=0)[0], "std", np.std(turns, axis=0)[0])
print("average", np.average(ones, axis=0, weights=np.ones(5000, np.float16))[0])
print("norm", np.linalg.norm(ones, axis=0)[0], "cumsum", np.cumsum(ones, axis=0)[-1, 0], "einsum", np.einsum("ij->j", ones)[0])
PROGRAM
)
expected='numpy 2.4.6
sum 2.048e+03 of the other axis 5e+03
mean 2.0 var 0.8193 std 0.9053
average 0.4097
norm 45.25 cumsum 2.048e+03 einsum 2.048e+03'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
