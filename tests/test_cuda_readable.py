"""The readable Numba kernels: `tests/cuda_readable.py` in a process that has Numba's simulator, or a GPU."""

import os
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest
from nnscratch.kernels.cuda import readable

import nnscratch as ns
from tests.standin.instead import standing_in

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("simulated", [True, False], ids=["simulator", "GPU"])
def test_kernels(simulated):
    if not simulated:
        try:
            ns.tensor([0.0], device="cuda")
        except ValueError as error:
            pytest.skip(str(error))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        str(HERE / "cuda_readable.py"),
    ]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": str(int(simulated))}
    done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_a_process_without_numba_s_simulator_says_how_to_have_it():
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        pytest.skip("this process has the simulator")
    with pytest.raises(ValueError, match="cupy.asarray of them, or set NUMBA_ENABLE_CUDASIM=1"):
        readable.matmul(np.ones((2, 2)), np.ones((2, 2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: readable.matmul(np.ones((2, 2)), np.ones((2, 2)), "fast"),
            "no kernel 'fast'; choose among naive, tiled",
        ),
        (lambda: readable.matmul(np.ones(2), np.ones((2, 2))), r"a has shape \(2,\), expected 2 axes"),
        (lambda: readable.matmul(np.ones((2, 3)), np.ones((2, 2))), "a has 3 columns, b has 2 rows"),
        (
            lambda: readable.matmul(np.ones((2, 2)), np.ones((2, 2), int)),
            "a is float64 and b is int64, expected float32",
        ),
        (lambda: readable.conv2d(np.ones((1, 2, 3, 3)), np.ones((1, 3, 2, 2))), "x has 2 channels, weight expects 3"),
        (
            lambda: readable.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), stride=0),
            "strides and dilations are at",
        ),
        (lambda: readable.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 4, 4))), "has no place in images"),
    ],
)
def test_what_does_not_fit_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_on_a_gpu_kernels_follow_cupy_s_stream_and_wait_for_nothing(monkeypatch):
    """All but the launch itself: what Numba is given."""
    from nnscratch.kernels.cuda.readable import products
    from numba import cuda

    given = []

    class Kernel:
        def __getitem__(self, launch):
            warnings.warn("a small grid", stacklevel=1)
            return lambda *arrays: given.append((launch, arrays))

    monkeypatch.setattr(cuda, "as_cuda_array", lambda a, sync: (a, sync))
    monkeypatch.setattr(cuda, "external_stream", lambda pointer: f"stream {pointer}")
    monkeypatch.setattr(products, "plan", lambda kernel, *arrays: (Kernel(), (1, 1), 256, 0, arrays))
    with standing_in() as cupy:
        a = cupy.ones((2, 2), "float32")
        for pointer in (7, 0):
            monkeypatch.setattr(cupy.cuda.Stream, "ptr", pointer, raising=False)
            result = readable.matmul(a, a)
    assert [launch for launch, _ in given] == [((1, 1), 256, "stream 7", 0), ((1, 1), 256, 0, 0)]
    (_, arrays), *_ = given[1:]
    assert [sync for _, sync in arrays] == [False] * 3
    assert arrays[0][0] is a and arrays[2][0] is result


def test_every_kernel_says_what_limits_it():
    from nnscratch.kernels.cuda.readable import convolutions, products

    assert tuple(products.KERNELS) == readable.KERNELS["matmul"]
    assert tuple(convolutions.KERNELS) == readable.KERNELS["conv2d"]
    kernels = [kernel for kernel, _, _ in products.KERNELS.values()] + list(convolutions.KERNELS.values())
    for kernel in kernels:
        assert "*Bytes.*" in kernel.__doc__ and "*Limit.*" in kernel.__doc__
