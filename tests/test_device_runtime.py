"""Compiling and launching CUDA sources: what is compiled when, where it is kept, and what a launch refuses."""

import importlib
import os
import pickle

import numpy as np
import pytest
from nnscratch.kernels.cuda import runtime

from tests.standin import raw
from tests.standin.instead import standing_in

SOURCE = 'extern "C" __global__ void twice(T *x, int n) { if (threadIdx.x < n) x[threadIdx.x] *= 2; }'


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """The stand-in, sources in a folder of their own, and an empty cache."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "twice.cu").write_text(SOURCE)
    monkeypatch.setattr(runtime, "FOLDER", tmp_path / "sources")
    monkeypatch.setenv("NNSCRATCH_CUDA_CACHE", str(tmp_path / "cache"))
    with standing_in() as module:
        yield module


@pytest.fixture
def launched(standin, monkeypatch):
    """What would be launched, as tuples, without running it."""
    calls = []

    def call(self, grid, block, args, *, shared_mem):
        calls.append((self, grid, block, args))

    monkeypatch.setattr(raw.Kernel, "__call__", call)
    return calls


def compiled(standin):
    """How many programs were compiled so far."""
    return len(standin.cuda.nvrtc._programs)


def twice(standin, dtype="float32", n=3, **settings):
    x = standin.asarray(np.arange(n, dtype=dtype))
    runtime.launch("twice.cu", "twice", 1, 32, (x, n), T=x.dtype, **settings)
    return x


def files(tmp_path):
    return sorted((tmp_path / "cache").iterdir())


def test_headers_are_written_into_a_source_once(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "FOLDER", tmp_path)
    (tmp_path / "a.h").write_text("int a;")
    (tmp_path / "b.h").write_text('#include "a.h"\nint b;')
    (tmp_path / "c.cu").write_text('#include "a.h"\n#include "b.h" // and b\n#include <other>\nint c;')
    assert runtime.text("c.cu").split() == "int a; int b; #include <other> int c;".split()


def test_a_source_is_compiled_once_for_each_set_of_constants_and_kept_on_disk(standin, launched, tmp_path):
    before = compiled(standin)
    for dtype in ("float32", "float32", "float64"):
        twice(standin, dtype)
    assert compiled(standin) == before + 2 and len(files(tmp_path)) == 2 and len(launched) == 3
    runtime.forget()  # as in another process
    twice(standin)
    assert compiled(standin) == before + 2
    source, options = pickle.loads(files(tmp_path)[0].read_bytes())
    assert source == SOURCE and options[0] == "-arch=sm_90" and set(options) & {"-DT=float", "-DT=double"}
    (runtime.FOLDER / "twice.cu").write_text(SOURCE + "// changed")
    runtime.forget()
    twice(standin)
    assert compiled(standin) == before + 3
    standin.__version__, version = "another", standin.__version__
    try:
        runtime.forget()
        twice(standin)
    finally:
        standin.__version__ = version
    assert compiled(standin) == before + 4 and len(files(tmp_path)) == 4


def test_an_architecture_that_the_compiler_does_not_know_gets_ptx(standin, launched, tmp_path, monkeypatch):
    monkeypatch.setattr(standin.cuda.nvrtc, "getSupportedArchs", lambda: (75, 80))
    twice(standin)
    (file,) = files(tmp_path)
    assert file.suffix == ".ptx" and pickle.loads(file.read_bytes())[1][0] == "-arch=compute_80"


def test_a_source_that_does_not_compile_says_what_the_compiler_said(standin, monkeypatch, tmp_path):
    nvrtc = standin.cuda.nvrtc

    def fail(program, options):
        raise RuntimeError("NVRTC_ERROR_COMPILATION")

    monkeypatch.setattr(nvrtc, "compileProgram", fail)
    monkeypatch.setattr(nvrtc, "getProgramLog", lambda program: "line 1: T is undefined")
    with pytest.raises(RuntimeError, match=r"^twice.cu: does not compile with -arch=sm_90 .*: line 1: T is undefined"):
        twice(standin)
    assert files(tmp_path) == []


def test_who_may_not_write_the_cache_compiles_for_this_process(standin, launched, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NNSCRATCH_CUDA_CACHE", str(tmp_path / "file" / "cache"))
    before = compiled(standin)
    twice(standin, "int32")
    runtime.forget()
    twice(standin, "int32")
    assert compiled(standin) <= before + 1
    assert os.listdir(runtime._kept_for_this_process())


def test_a_launch_hands_over_c_types_and_refuses_what_a_kernel_would_misread(standin, launched):
    x = standin.asarray(np.zeros((3, 4), "float32"))
    runtime.launch("twice.cu", "twice", (2, 3), 32, (x, 5, True, 0.5, None, np.int64(7)), T=x.dtype)
    ((_, grid, block, args),) = launched
    assert (grid, block) == ((2, 3, 1), (32, 1, 1)) and args[0] is x
    assert [a.dtype.name for a in args[1:]] == ["int32", "bool", "float64", "uint64", "int64"]
    with pytest.raises(ValueError, match=r"launch: an array of shape \(4, 3\) is not C-contiguous"):
        runtime.launch("twice.cu", "twice", 1, 32, (x.T, 3), T=x.dtype)
    with pytest.raises(OverflowError):
        runtime.launch("twice.cu", "twice", 1, 32, (x, 2**31), T=x.dtype)
    runtime.launch("twice.cu", "twice", runtime.blocks(0), 32, (x, 3), T=x.dtype)
    assert len(launched) == 1


def test_more_shared_memory_is_asked_for_where_a_kernel_needs_it(standin, launched):
    twice(standin, shared=100 << 10)
    assert launched[0][0].max_dynamic_shared_size_bytes == 100 << 10


def test_a_kernel_runs_on_the_device(standin):
    emulator = importlib.import_module("tests.cuda_emulator")
    if not emulator.compiler():
        pytest.skip("the emulator of CUDA needs g++ 12 or later on Linux")
    assert twice(standin, "float64").get().tolist() == [0, 2, 4]
