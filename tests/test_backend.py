"""What the backend does beside computing."""

import ctypes
import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import nnscratch as ns

ns.optim.SGD([ns.tensor([0.0], requires_grad=True)], lr=0.1)
for step in range(23):
    if step == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(1 << 19) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def fresh_pages(**environment):
    """How many pages of memory 20 steps with 8 arrays of 4 MB each take from the system after an optimiser was made."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc's mallopt"
)
def test_freed_memory_is_kept_for_the_next_step():
    kept, returned = fresh_pages(), fresh_pages(NNSCRATCH_KEEP_MEMORY="0")
    assert kept < 100 < returned


@pytest.mark.parametrize(("width", "loaded"), [(16, False), (256, True)])
def test_an_optimiser_for_large_parameters_loads_the_compiled_loops(width, loaded):
    code = f"""
import sys, nnscratch as ns
optimizer = ns.optim.Adam(ns.nn.Linear({width}, {width}).parameters())
print("numba" in sys.modules, "nnscratch.kernels.conv.vectors" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(loaded)] * 2
