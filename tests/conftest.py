"""Settings of the whole suite."""

import contextlib
import importlib
import os
import pathlib
import sys

# Tests run side by side; more BLAS threads than cores would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Where `tests.standin` and the emulator are found, whatever folder pytest runs in.
sys.path.append(str(pathlib.Path(__file__).parent.parent))

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", parent=settings.get_profile("ci"), max_examples=1000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts from the same random numbers."""
    import nnscratch as ns

    ns.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _compiled_kernels(tmp_path_factory):
    """What is compiled here, and for the stand-in, goes to a folder of its own."""
    os.environ["NNSCRATCH_CUDA_CACHE"] = str(tmp_path_factory.mktemp("cuda"))


def pytest_configure(config):
    """Name the suite's own marks."""
    config.addinivalue_line("markers", "cpu: about NumPy's arrays or the CPU alone, so not run on other devices")


def pytest_collection_modifyitems(config, items):
    """Leave out what is about the CPU alone where it would run on another device."""
    aside = [i for i in items if i.get_closest_marker("cpu") and _device_of(i) not in (None, "cpu")]
    if aside:
        config.hook.pytest_deselected(items=aside)
        items[:] = [i for i in items if i not in set(aside)]


def _device_of(item):
    return getattr(item, "callspec", None) and item.callspec.params.get("device")


DEVICES = ("cpu", "standin", "cuda")


@pytest.fixture(params=DEVICES)
def device(request):
    """The name of each device in turn, on which everything is made that names none: a GPU's where there is one.

    "standin" is the device "cuda" with `tests.standin` in CuPy's place, its kernels being their definitions;
    "emulated", which a test has to ask for, is the same with the kernels in CUDA C++, by the emulator.
    """
    import nnscratch as ns
    from tests.standin.instead import standing_in

    if request.param == "cuda":
        try:
            ns.backend.get("cuda")
        except ValueError as error:
            pytest.skip(str(error))
    if request.param == "emulated" and not importlib.import_module("tests.cuda_emulator").compiler():
        pytest.skip("the emulator of CUDA needs g++ 12 or later on Linux")
    instead = {"standin": standing_in(definitions=True), "emulated": standing_in(definitions=False)}
    with instead.get(request.param, contextlib.nullcontext()):
        name = "cpu" if request.param == "cpu" else "cuda"
        with ns.use_device(name):
            ns.manual_seed(0)
            yield name
