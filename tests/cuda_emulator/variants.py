"""The sets of constants that the kernels' Python side compiles each source with."""

import re

import numpy as np
from nnscratch.kernels.conv import cuda as conv
from nnscratch.kernels.cuda import runtime
from nnscratch.kernels.scatter import cuda as scatter
from nnscratch.kernels.steps import cuda as steps

HALF, SINGLE, DOUBLE = (np.dtype(t) for t in ("float16", "float32", "float64"))
FLOATS = [HALF, SINGLE, DOUBLE]

UINT8, UINT16, INT64 = (np.dtype(t) for t in ("uint8", "uint16", "int64"))

VARIANTS = {
    "elementwise.cu": [{"ELEMENT": t} for t in FLOATS],
    "normalise.cu": [{"ELEMENT": t, "TEAM": team} for t in FLOATS for team in (32, 256)],
    "rows.cu": [{"ELEMENT": t, "TEAM": team} for t in FLOATS for team in (32, 256)],
    "pool.cu": [{"ELEMENT": t, "INDEX": UINT8} for t in [*FLOATS, INT64]]
    + [{"ELEMENT": DOUBLE, "INDEX": i} for i in (UINT16, INT64)],
    "bounds.cu": [{"ELEMENT": t} for t in [*FLOATS, INT64]],
    "steps.cu": [{"ELEMENT": t, "CHUNK": steps.CHUNK} for t in FLOATS],
    "dropout.cu": [{"ELEMENT": t} for t in FLOATS],
    "scatter.cu": [{"ELEMENT": t, "CHUNK": scatter.CHUNK} for t in [*FLOATS, INT64]],
    "matmul.cu": [{"ELEMENT": t, "ACTIVATION": a} for t in FLOATS for a in range(3)],
}


def _convolutions(dtype):
    small = [(t, few) for t in (*conv.TILES[2:], conv.NARROW) for few in (0, 1)]
    large = [(t, 0) for t in conv.TILES[:2]] if dtype != DOUBLE else []
    names = "BM", "BN", "TM", "TN"
    return [{"ELEMENT": dtype, **dict(zip(names, tile, strict=True)), "FEW": few} for tile, few in large + small]


VARIANTS["conv.cu"] = [v for t in FLOATS for v in _convolutions(t)]


def name(constants):
    """A set of constants as a test's name."""
    return "-".join(f"{k}={v}" for k, v in constants.items())


def kernels(source):
    """The names of a source's kernels."""
    pattern = r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\('
    return re.findall(pattern, runtime.text(source))
