"""docs/contributing.md can be followed: what it adds is added to a copy of the package, in the files that it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")


def section(title):
    return re.search(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def block(title, start):
    """The one python block of a section that begins so."""
    (found,) = [b for b in re.findall(r"^```python\n(.*?)^```$", section(title), re.M | re.S) if b.startswith(start)]
    return found


@pytest.fixture
def package(tmp_path):
    """A copy of the package, and a function that runs a program with it and returns what it printed."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("nnscratch", "kernels"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)

    def run(program):
        command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{program}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return tmp_path, run


ELEMENTWISE = """
import doctest
import nnscratch as ns
from nnscratch import formulas
from nnscratch.autograd import OPS
from nnscratch.ops import elementwise
from nnscratch.testing import check_operation
from nnscratch.testing.references import sqrt

assert elementwise.__file__.startswith(sys.path[0])
op = ns.hypot
assert OPS["hypot"] is op and op.__module__ == "nnscratch.ops.elementwise"
check = check_operation(op, reference=lambda a, b: sqrt(a * a + b * b))
assert check.passed and check.rows == len(op.samples), check.problems
assert check.first < 1e-10 and check.second < 1e-10 and check.forward <= 4, check
(example,) = [t for t in doctest.DocTestFinder().find(elementwise) if t.name.endswith(".hypot")]
print(doctest.DocTestRunner().run(example))
assert "| `ns.hypot` |" in formulas.page()
x = ns.tensor([3.0, 5.0], requires_grad=True)
op(x, [4.0, 0.0]).sum().backward()
print(ns.explain(op(x, 4.0)), x.grad)
"""


def test_an_elementwise_operation_is_a_row(package):
    folder, run = package
    file = folder / "nnscratch" / "ops" / "elementwise.py"
    assert str(file.relative_to(folder)) in section("An elementwise operation")
    before, end, after = file.read_text().partition("# fmt: on\n")
    assert end
    file.write_text(before + block("An elementwise operation", "hypot") + end + after)
    said = run(ELEMENTWISE)
    assert "TestResults(failed=0, attempted=2)" in said
    assert "y = hypot(a, b=4)\n       √(a² + b²)" in said
    assert "tensor([0.6, 1. ])" in said


def test_a_wrong_rule_in_the_row_is_found(package):
    folder, run = package
    file = folder / "nnscratch" / "ops" / "elementwise.py"
    row = block("An elementwise operation", "hypot")
    wrong = row.replace("g * b / y", "g * b * y")
    assert wrong != row
    file.write_text(file.read_text().replace("# fmt: on\n", wrong + "# fmt: on\n"))
    said = run("import nnscratch as ns\nprint(*ns.testing.check_operation(ns.hypot).problems, sep='\\n')")
    assert "by b[0, 0]" in said
