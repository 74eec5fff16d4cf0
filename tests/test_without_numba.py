"""Everything on the CPU runs on NumPy alone, where Numba is missing, broken or switched off, and says so once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: What Python runs first: an import of Numba that fails as where it is not installed, and as where it is too old for this Python.
MISSING = 'import sys; sys.modules["numba"] = sys.modules["llvmlite"] = None'
BROKEN = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numba":
            raise SystemError("initialization of _internal failed\\nwithout raising an exception")
sys.meta_path.insert(0, Finder())
"""
WAYS = {
    "missing": (MISSING, {}, "Numba does not load (import of numba halted; None in sys.modules)"),
    "broken": (BROKEN, {}, "Numba does not load (initialization of _internal failed without raising an exception)"),
    "switched off": ("", {"NNSCRATCH_COMPILED": "0"}, "NNSCRATCH_COMPILED is 0"),
    "Numba's own switch": ("", {"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT is set"),
}


def run(way, folder, *command):
    """Run Python without Numba; returns what it wrote, and what to stderr."""
    first, environment, _ = WAYS[way]
    (folder / "sitecustomize.py").write_text(first)
    paths = os.pathsep.join(filter(None, [str(folder), str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **environment, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, done.stderr


def said(way):
    return f"nnscratch: {WAYS[way][2]}, so NumPy alone does the work of the CPU, more slowly\n"


def test_operations_and_layers(tmp_path):
    files = [ROOT / "tests" / name for name in ("test_ops.py", "test_nn_layers.py", "test_optim.py")]
    # derivatives are those of the rules, which are the same, and of operations, whose values are compared
    on_cpu = "not standin and not cuda and not emulated and not derivatives"
    out, _ = run(
        "missing", tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", on_cpu, "-v", *files
    )
    passed = int(re.search(r"(\d+) passed", out)[1])
    assert passed > 1000, out[-3000:]


def test_training_by_the_command(tmp_path):
    out, err = run("missing", tmp_path, "-m", "nnscratch", "train", "--epochs", "1", "--out", tmp_path / "out")
    accuracy = re.search(r"^test accuracy (\S+)$", out, re.MULTILINE)
    assert float(accuracy[1]) > 0.9
    assert err.count(said("missing")) == 1


#: A step on arrays that compiled kernels would take: convolution of either kind, pooling, normalisation, activation, Adam.
STEP = """
import warnings; warnings.simplefilter("error")
import numpy as np
import nnscratch as ns
from nnscratch import nn
model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.GELU(), nn.MaxPool2d(2),
                      nn.Conv2d(16, 16, 3), nn.Flatten(),
                      nn.Linear(16 * 11 * 11, 10))
optimizer = ns.optim.Adam(model.parameters())
images = ns.tensor(np.random.default_rng(0).standard_normal((16, 1, 28, 28)).astype("float32"))
losses = []
for _ in range(2):
    loss = ns.functional.cross_entropy(model(images), np.arange(16) % 10, from_logits=True)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(losses[1] < losses[0])
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_step_of_training_and_the_one_line(way, tmp_path):
    out, err = run(way, tmp_path, "-c", STEP)
    assert (out, err) == ("True\n", said(way))
