"""The emulator of CUDA C++: right kernels compute, and each kind of wrong kernel is found out."""

import contextlib
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
emulator = importlib.import_module("tests.cuda_emulator")

pytestmark = pytest.mark.skipif(not emulator.compiler(), reason="the emulator of CUDA needs g++ 12 or later on Linux")
I32, F32 = np.int32, np.float32

SOURCE = r"""
extern "C" __global__ void __launch_bounds__(256) reversed(const float *x, float *y, int n) {
    __shared__ float tile[256];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < n ? x[i] : -1;
    BARRIER
    if (i < n) y[i] = tile[blockDim.x - 1 - threadIdx.x];
}
// A block's sum by shuffles and dynamic shared memory; LANES of them are added.
extern "C" __global__ void row_sums(const float *x, float *y, int n) {
    extern __shared__ float part[];
    float s = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) s += x[blockIdx.x * n + i];
    for (int by = 16; by; by >>= 1) s += __shfl_xor_sync(~0u, s, by);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = s;
    __syncthreads();
    if (threadIdx.x) return;
    for (int i = 1; i < blockDim.x / 32; ++i) s += part[i];
    y[blockIdx.x] = s;
}
extern "C" __global__ void where_am_i(int *out) {
    int i = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + i] = 1000 * block + i;
}
extern "C" __global__ void shuffles(int *out) {
    int i = threadIdx.x;
    out[i] = __shfl_sync(~0u, i, 5);
    out[32 + i] = __shfl_up_sync(~0u, i, 1);
    out[64 + i] = __shfl_down_sync(~0u, i, 2, 8);
    out[96 + i] = (int)__ballot_sync(~0u, i % 3 == 0);
    if (i < 16) out[128 + i] = __shfl_xor_sync(0xffffu, i, 1);  // the others do not take part
    else out[128 + i] = __shfl_xor_sync(0xffff0000u, i, 8);
}
extern "C" __global__ void vectors(const float4 *x, float *y) { y[threadIdx.x] = x[threadIdx.x].w; }
extern "C" __global__ void unwritten(float *y) { __shared__ float s[4]; y[threadIdx.x] = s[threadIdx.x]; }
extern "C" __global__ void half_waits() { if (threadIdx.x < 32) __syncthreads(); }
extern "C" __global__ void two_barriers() { if (threadIdx.x % 2) __syncthreads(); else
    __syncthreads(); }
extern "C" __global__ void before(float *y) { y[0] = y[-1]; }
// Two sums of a block, one after the other, through one shared array.
extern "C" __global__ void two_sums(const float *x, float *y) {
    __shared__ float part[4];
    for (int turn = 0; turn < 2; ++turn) {
        float s = (turn + 1) * x[threadIdx.x];
        for (int by = 16; by; by >>= 1) s += __shfl_xor_sync(~0u, s, by);
        if (turn) { BARRIER }  // all have read the last sum's parts
        if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = s;
        __syncthreads();
        y[turn * 128 + threadIdx.x] = part[0] + part[1] + part[2] + part[3];
    }
}
extern "C" __global__ void counted(int *y) { atomicAdd(y, 1); }
"""


def module(barrier="__syncthreads();"):
    return emulator.load(SOURCE, (f"-DBARRIER={barrier}",))


def launch(name, grid, block, args, shared=0, **constants):
    module(**constants).launch(name, (grid, 1, 1), (block, 1, 1), shared, args)


@pytest.mark.parametrize("order", [contextlib.nullcontext, emulator.backwards])
def test_barriers_make_the_order_not_matter(order):
    x = np.arange(512, dtype=F32)
    y = np.zeros_like(x)
    with order():
        launch("reversed", 2, 256, (x, y, I32(512)))
    np.testing.assert_array_equal(y, x.reshape(2, 256)[:, ::-1].ravel())


def test_a_missing_barrier_shows_in_either_order():
    x = np.arange(512, dtype=F32)
    forth, back = np.zeros((2, 512), F32)
    launch("reversed", 2, 256, (x, forth, I32(512)), barrier="")
    with emulator.backwards():
        launch("reversed", 2, 256, (x, back, I32(512)), barrier="")
    assert np.isnan(forth).any() and np.isnan(back).any()


def test_a_shuffle_is_no_barrier_for_other_warps():
    x = np.arange(128, dtype=F32)
    results = []
    for order in (contextlib.nullcontext, emulator.backwards):
        for barrier in ("__syncthreads();", ""):
            y = np.zeros((2, 128), F32)
            with order():
                launch("two_sums", 1, 128, (x, y), barrier=barrier)
            results.append((y == x.sum() * np.array([[1], [2]])).all())
    assert results == [True, False, True, False]


def test_shuffles_and_dynamic_shared_memory():
    x = np.random.default_rng(0).integers(0, 99, (5, 301)).astype(F32)
    y = np.zeros(5, F32)
    launch("row_sums", 5, 96, (x, y, I32(301)), shared=12)
    np.testing.assert_array_equal(y, x.sum(axis=1))
    out = np.zeros(160, I32)
    launch("shuffles", 1, 32, (out,))
    i = np.arange(32)
    np.testing.assert_array_equal(out[:32], 5)
    np.testing.assert_array_equal(out[32:64], np.maximum(i - 1, 0))
    np.testing.assert_array_equal(out[64:96], np.where(i % 8 < 6, i + 2, i))
    np.testing.assert_array_equal(out[96:128].view(np.uint32), sum(1 << int(k) for k in i if k % 3 == 0))
    np.testing.assert_array_equal(out[128:], np.where(i < 16, i ^ 1, i ^ 8))


def test_three_axes():
    out = np.zeros(2 * 3 * 4 * 5 * 6 * 2, I32)
    module().launch("where_am_i", (2, 3, 4), (5, 6, 2), 0, (out,))
    np.testing.assert_array_equal(out.reshape(24, 60), 1000 * np.arange(24)[:, None] + np.arange(60))


def test_one_array_given_twice_is_one_array():
    x = np.arange(256, dtype=F32)
    launch("reversed", 1, 256, (x, x, I32(256)))
    np.testing.assert_array_equal(x, np.arange(256)[::-1])


def test_atomics():
    n = np.zeros(1, I32)
    launch("counted", 7, 33, (n,))
    assert n[0] == 7 * 33


@pytest.mark.parametrize("floats", [508, 509, 511])
def test_access_behind_an_array(floats):
    x, y = np.zeros(512, F32), np.zeros(floats, F32)
    with pytest.raises(emulator.EmulatorError, match="array 1, which has"):
        launch("reversed", 2, 256, (x, y, I32(512)))
    launch("reversed", 2, 256, (x, y, I32(floats)))  # and the next run is none the worse


def test_access_before_an_array():
    with emulator.backwards(), pytest.raises(emulator.EmulatorError, match="touches byte -4 of array 0"):
        launch("before", 1, 1, (np.zeros(4, F32),))


def test_access_outside_of_a_shared_array():
    y = np.zeros(8, F32)
    with pytest.raises(emulator.EmulatorError, match=r"thread \(4, 0, 0\): the thread leaves a shared"):
        launch("unwritten", 1, 8, (y,))
    launch("unwritten", 1, 4, (y,))
    assert np.isnan(y[:4]).all()


def test_vectors_must_be_aligned():
    x, y = np.arange(64, dtype=F32), np.zeros(4, F32)
    start = x.ctypes.data + -x.ctypes.data % 16
    launch("vectors", 1, 4, (np.uint64(start), y))
    assert (np.diff(y) == 4).all()
    with pytest.raises(emulator.EmulatorError, match="aligned"):
        launch("vectors", 1, 4, (np.uint64(start + 4), y))


@pytest.mark.parametrize("name", ["half_waits", "two_barriers"])
def test_barriers_that_not_all_threads_come_to(name):
    with pytest.raises(emulator.EmulatorError, match="not all threads come to one barrier"):
        launch(name, 1, 64, ())


def test_a_lane_that_gives_nothing():
    with pytest.raises(emulator.EmulatorError, match="reads the value of lane 16, which gave none"):
        launch("row_sums", 1, 48, (np.zeros(48, F32), np.zeros(1, F32), I32(48)), shared=8)


X = np.zeros(4, F32)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((X, X), "takes 3 arguments, got 2"),
        ((X, X, np.int64(4)), "argument 2 is np.int64"),
        ((X, X, 4), "argument 2 is 4 "),
        ((X, X, X), "argument 2 is an array"),
        ((X, I32(1), I32(4)), "takes a pointer"),
        ((X, X[::2], I32(2)), "argument 1 is not contiguous"),
        ((X[:3], X[1:], I32(2)), "overlap"),
    ],
)
def test_arguments_that_do_not_fit(args, words):
    with pytest.raises(emulator.EmulatorError, match=words):
        launch("reversed", 1, 256, args)


def test_launches_that_no_gpu_takes():
    for grid, block, shared in [
        ((1, 1, 1), (1025, 1, 1), 0),
        ((1, 65536, 1), (1, 1, 1), 0),
        ((1, 1, 1), (1, 1, 1), 1 << 18),
    ]:
        with pytest.raises(emulator.EmulatorError):
            module().launch("counted", grid, block, shared, (np.zeros(1, I32),))


def test_a_source_that_does_not_compile():
    with pytest.raises(emulator.EmulatorError, match="does not compile"):
        emulator.load('extern "C" __global__ void k() { unknown(); }', ())
    with pytest.raises(emulator.EmulatorError, match="there is no kernel 'other'"):
        module().launch("other", (1, 1, 1), (1, 1, 1), 0, ())
