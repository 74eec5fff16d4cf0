#!/usr/bin/env bash
# An int of a class derived from int is not weak: a float32 array divided by it is float64, divided by the same plain int float32. So a
# library that gives its lengths a class of their own (an IntEnum, a size that can be called) widens all arithmetic with them, silently.
# A bool, which is derived from int, too, is weak.
#
# Guess before: whatever isinstance(x, int) finds is a Python number, and promotes nothing. Seen with NumPy 2.4.6.
# What follows for nnscratch: `Tensor.size` is a plain int, although a class of its own could say what PyTorch's `x.size(0)` is called here;
# modules and data sets add that to the error instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet numpy==2.4.6
found=$("$folder/environment/bin/python" - <<'PROGRAM'
import enum

import numpy as np


class Size(int):
    pass


class Kind(enum.IntEnum):
    TWO = 2


print("numpy", np.__version__)
a = np.ones(3, np.float32)
for two in (2, True, Size(2), Kind.TWO):
    print(f"float32 / {type(two).__name__}:", (a / two).dtype)
PROGRAM
)
expected='numpy 2.4.6
float32 / int: float32
float32 / bool: float32
float32 / Size: float64
float32 / Kind: float64'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
