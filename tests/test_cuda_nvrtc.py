"""Every CUDA C++ source compiles to machine code for compute capability 8.0 and 9.0, with every set of constants that is used.

NVIDIA's own compiler does it, without a GPU: the package nvidia-cuda-nvrtc holds NVRTC as a shared library, which is called
by ctypes. The sources need no header of CUDA's (kernels/cuda/common.h says how float16 does without), so that no folder of
headers has to be found.
"""

import ctypes
import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
from nnscratch.kernels.cuda import runtime

sys.path.insert(0, str(Path(__file__).parents[1]))
variants = importlib.import_module("tests.cuda_emulator.variants")

ARCHITECTURES = ["sm_80", "sm_90"]


def _library():
    """NVRTC, from nvidia-cuda-nvrtc (for CUDA 13 or 12); None where that is not installed."""
    found = importlib.util.find_spec("nvidia")
    for folder in found.submodule_search_locations if found else ():
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            if "alt" not in path.name:
                return ctypes.CDLL(str(path))
    return None


NVRTC = _library()
needs_nvrtc = pytest.mark.skipif(NVRTC is None, reason="needs NVRTC: pip install nvidia-cuda-nvrtc")


def compiled(code, options):
    """(Whether it compiles, the machine code, what the compiler said)."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert NVRTC.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"source.cu", 0, None, None) == 0
    given = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    status = NVRTC.nvrtcCompileProgram(program, len(options), given)

    def read(what):
        getattr(NVRTC, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        getattr(NVRTC, f"nvrtcGet{what}")(program, text)
        return text.raw

    log, cubin = read("ProgramLog").rstrip(b"\0").decode(), read("CUBIN") if status == 0 else b""
    NVRTC.nvrtcDestroyProgram(ctypes.byref(program))
    return status == 0, cubin, log


def _cases():
    return [(s, c) for s in sorted(variants.VARIANTS) for c in variants.VARIANTS[s]]


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("source", "constants"), _cases(), ids=lambda v: v if isinstance(v, str) else variants.name(v))
def test_compiles(source, constants, architecture):
    options = f"-arch={architecture}", *runtime.options(constants), "-Xptxas=-v"
    ok, cubin, log = compiled(runtime.text(source), options)
    assert ok, log
    assert cubin[:4] == b"\x7fELF"
    assert "warning" not in log, log
    spilled = [
        line
        for line in log.splitlines()
        if "spill" in line and " 0 bytes spill stores, 0 bytes spill loads" not in line
    ]
    assert not spilled, log  # registers that do not fit would live in memory
    for kernel in variants.kernels(source):
        assert kernel.encode() in cubin


@needs_nvrtc
def test_what_is_wrong_is_refused():
    ok, _, log = compiled('extern "C" __global__ void k(float *x) { x[0] = unknown; }', ["-arch=sm_80"])
    assert not ok and "unknown" in log


def test_every_source_is_listed():
    assert set(variants.VARIANTS) == {path.name for path in runtime.FOLDER.rglob("*.cu")}
