"""nnscratch from a wheel, from an editable install and from the repository's root; what importing it pulls in."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nnscratch

ROOT = Path(__file__).parent.parent
SITE = Path(np.__file__).parent.parent

TRY_KERNELS = (
    "import nnscratch, nnscratch.kernels; from nnscratch.kernels.conv import cpu; "
    "print(nnscratch.__file__); print(nnscratch.kernels.__file__)"
)


def python(program, *options, cwd, **environment):
    """Run a program in a fresh interpreter; returns the lines it prints."""
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from the files that a checkout has."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("nnscratch", "kernels"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("LICENSE", "README.md", "pyproject.toml", "pytest_nnscratch.py", "setup.cfg"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", out, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("nnscratch-*.whl"))


def test_the_wheel_holds_the_package_and_its_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(archive.read(n).decode() for n in names if n.endswith("entry_points.txt"))
    expected = {f"nnscratch/{p.relative_to(ROOT / 'nnscratch').as_posix()}" for p in (ROOT / "nnscratch").rglob("*.py")}
    kernels = [p for p in (ROOT / "kernels").rglob("*") if p.suffix in (".py", ".cu", ".h")]
    expected |= {f"nnscratch/kernels/{p.relative_to(ROOT / 'kernels').as_posix()}" for p in kernels}
    data = [p for p in (ROOT / "nnscratch" / "data").iterdir() if p.suffix in (".csv", ".md", ".npz", ".tsv", ".txt")]
    assert len(data) >= 2
    expected |= {f"nnscratch/data/{p.name}" for p in data} | {"nnscratch/py.typed", "pytest_nnscratch.py"}
    assert {n for n in names if ".dist-info/" not in n} == expected
    assert "nnscratch = nnscratch.cli:main" in entry_points
    assert "[pytest11]\nnnscratch = pytest_nnscratch" in entry_points


def test_installed_from_the_wheel_it_works_in_any_folder(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target, wheel]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    program = (
        f"import sys; sys.path.insert(0, {str(target)!r}); "
        + TRY_KERNELS
        + "; import nnscratch.data as d; print(d.mnist(sample=True)[0][0].shape)"
    )
    package, kernels, shape = python(program, "-I", cwd=elsewhere)
    assert Path(package) == target / "nnscratch" / "__init__.py"
    assert Path(kernels) == target / "nnscratch" / "kernels" / "__init__.py"
    assert shape == "(10000, 1, 28, 28)"


def test_in_the_repositorys_root_it_works_without_an_install():
    # -S: no site-packages, so neither an installed nnscratch nor an editable one is found; NumPy's folder is put back.
    package, kernels = python(TRY_KERNELS, "-S", cwd=ROOT, PYTHONPATH=str(SITE))
    assert Path(package).resolve() == ROOT / "nnscratch" / "__init__.py"
    assert Path(kernels).resolve() == ROOT / "kernels" / "__init__.py"


def test_it_is_found_from_an_empty_folder_as_it_is_installed_here(tmp_path):
    assert len(python(TRY_KERNELS, cwd=tmp_path)) == 2


def test_the_metadata_have_the_packages_version():
    assert importlib.metadata.version("nnscratch") == nnscratch.__version__


def test_importing_nnscratch_imports_nothing_that_it_can_do_without(tmp_path):
    heavy = {"argparse", "cupy", "hypothesis", "matplotlib", "numba", "safetensors", "scipy", "tqdm", "urllib.request"}
    heavy |= {"nnscratch.data", "nnscratch.nn", "nnscratch.optim", "nnscratch.systems", "nnscratch.training"}
    program = "import numpy, sys; before = set(sys.modules); import nnscratch; print(*set(sys.modules) - before)"
    loaded = set(python(program, cwd=tmp_path)[0].split())
    assert "nnscratch.tensor" in loaded
    assert loaded & heavy == set()
