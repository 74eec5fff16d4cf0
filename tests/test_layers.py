"""Imports run downwards only: the contracts of setup.cfg hold, and they notice when somebody breaks them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def lint(folder):
    """Run import-linter on the package in `folder`; returns whether the contracts hold, and what was said."""
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'); {command}", ROOT / "setup.cfg"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def package(tmp_path):
    """The package as a wheel lays it out, kernels inside."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "nnscratch", tmp_path / "nnscratch", ignore=ignore)
    shutil.copytree(ROOT / "kernels", tmp_path / "nnscratch" / "kernels", ignore=ignore)
    return tmp_path


def test_the_contracts_hold(package):
    kept, report = lint(package)
    assert kept, report
    assert "2 kept, 0 broken" in report


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("kernels/conv/cpu.py", "from nnscratch import backend", "nnscratch.kernels.conv.cpu -> nnscratch.backend"),
        ("kernels/conv/cpu.py", "import nnscratch", "nnscratch.kernels.conv.cpu -> nnscratch"),
        ("backend/cpu.py", "from nnscratch.tensor import Tensor", "nnscratch.backend.cpu -> nnscratch.tensor"),
        ("autograd/rule.py", "def late():\n    import nnscratch.ops", "nnscratch.autograd.rule -> nnscratch.ops"),
        ("ops/linear.py", "from nnscratch.nn import Linear", "nnscratch.ops.linear -> nnscratch.nn"),
        ("ops/linear.py", "import nnscratch as ns", "nnscratch.ops.linear -> nnscratch"),
        ("nn/__init__.py", "from nnscratch import optim", "nnscratch.nn -> nnscratch.optim"),
        ("data/idx.py", "from nnscratch.metrics import accuracy", "nnscratch.data.idx -> nnscratch.metrics"),
        ("extra.py", "", "nnscratch.extra"),
    ],
)
def test_a_breach_is_noticed(package, file, line, words):
    with (package / "nnscratch" / file).open("a") as out:
        out.write(f"\n{line}\n")
    kept, report = lint(package)
    assert not kept
    assert words in " ".join(report.split()), report
