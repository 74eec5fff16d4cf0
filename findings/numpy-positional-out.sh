#!/usr/bin/env bash
# A third positional argument of np.maximum and np.minimum, the output, is deprecated; of all other ufuncs of two arrays, fmax and fmin
# among them, it is taken without a word. A kernel that writes `np.maximum(a, b, a)` beside `np.add(a, b, a)` fails under -W error.
#
# Guess before: all ufuncs take the output as a positional argument alike. Seen with NumPy 2.4.6, and the same with 2.5.5.
# What follows for nnscratch: its kernels write `out=` for those two.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet numpy==2.4.6
found=$("$folder/environment/bin/python" - <<'PROGRAM'
import warnings

import numpy as np

print("numpy", np.__version__)
a, out = np.ones(3), np.zeros(3)
names = [n for n in dir(np) if isinstance(u := getattr(np, n), np.ufunc) and u.nin == 2 and u.nout == 1 and u.signature is None and "dd->d" in u.types]
warned = []
for name in names:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        getattr(np, name)(a, a, out)
    warned += [name] if any(w.category is DeprecationWarning for w in seen) else []
print("of", len(names), "ufuncs of two arrays, deprecated:", *warned)
PROGRAM
)
expected='numpy 2.4.6
of 24 ufuncs of two arrays, deprecated: maximum minimum'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
