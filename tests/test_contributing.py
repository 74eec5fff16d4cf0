"""docs/contributing.md can be followed: what it adds is added to a copy of the package, in the files that it says, and in no more."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import cuda_emulator

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")

TABLE, MODULE = "nnscratch/ops/elementwise.py", "nnscratch/nn/activation.py"
ON_CPU, ON_GPU, SOURCE = (f"kernels/activation/{file}" for file in ("cpu.py", "cuda.py", "elementwise.cu"))


def section(title):
    return re.search(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def block(title, start, language="python"):
    """The one block of a section that begins so."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.M | re.S)
    (found,) = [b for b in blocks if b.startswith(start)]
    return found


class Copy:
    """A copy of the package, in which the page's sections are followed."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("nnscratch", "kernels"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def changed(self):
        """The files that are not as in the package."""
        files = (p for name in ("nnscratch", "kernels") for p in (self.folder / name).rglob("*") if p.is_file())
        found = {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in files if p.suffix != ".pyc"}
        return {n for n, b in found.items() if not (ROOT / n).exists() or (ROOT / n).read_bytes() != b}

    def replace(self, file, before, after):
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1
        path.write_text(text.replace(before, after), encoding="utf-8")

    def append(self, title, file, start, language="python"):
        """Put a block of a section to the end of a file that the section names."""
        assert file in section(title)
        with (self.folder / file).open("a", encoding="utf-8") as out:
            out.write(f"\n\n{block(title, start, language)}")

    def add_operation(self, change=lambda row: row):
        title = "An elementwise operation"
        assert TABLE in section(title)
        row = block(title, "logaddexp")
        self.replace(TABLE, "# fmt: on\n", change(row) + "# fmt: on\n")

    def add_kernel(self):
        title = "A fast kernel on the CPU"
        row = block("An elementwise operation", "logaddexp")
        (line,) = re.findall(r"`(kernel=.*?)`", section(title))
        self.replace(TABLE, row, row.removesuffix(")\n") + f"    {line}\n)\n")
        self.append(title, ON_CPU, "@by_pieces")

    def add_kernel_on_gpu(self):
        self.append("A kernel on GPUs", SOURCE, 'extern "C"', "cuda")
        self.append("A kernel on GPUs", ON_GPU, "def")

    def add_layer(self):
        (statement,) = re.findall(r"`(from [\w.]+ import \w+)`", section("A layer"))
        self.replace(MODULE, "from nnscratch.ops.shape", f"{statement}\nfrom nnscratch.ops.shape")
        self.append("A layer", MODULE, "class")
        (name,) = re.findall(r"^class (\w+)", block("A layer", "class"))
        package = "nnscratch/nn/__init__.py"
        assert package.replace("_", r"\_").split("/", 1)[1] in section("A layer")
        self.replace(package, "    Softplus,\n", f"    {name},\n    Softplus,\n")
        self.replace(package, '    "Softplus",\n', f'    "{name}",\n    "Softplus",\n')

    def run(self, *command):
        """Run Python with this package, and what is below `tests` of the other; returns what it printed."""
        paths = os.pathsep.join([str(self.folder), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-P", *command], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def package(tmp_path):
    return Copy(tmp_path)


ELEMENTWISE = """
import doctest, os
import mpmath
import numpy as np
import nnscratch as ns
from nnscratch import formulas
from nnscratch.autograd import OPS
from nnscratch.ops import elementwise
from nnscratch.testing import check_operation

assert elementwise.__file__.startswith(os.getcwd())
op = ns.logaddexp
assert OPS["logaddexp"] is op and op.__module__ == "nnscratch.ops.elementwise"
exp, log = (np.frompyfunc(f, 1, 1) for f in (mpmath.exp, mpmath.log))
check = check_operation(op, reference=lambda a, b: log(exp(a) + exp(b)))
assert check.passed and check.rows == len(op.samples), check.problems
assert check.first < 1e-10 and check.second < 1e-10 and check.forward <= 4, check
(example,) = [t for t in doctest.DocTestFinder().find(elementwise) if t.name.endswith(".logaddexp")]
print(doctest.DocTestRunner().run(example))
assert "| `ns.logaddexp` |" in formulas.page()
x = ns.tensor([0.0, 3.0], requires_grad=True)
op(x, [0.0, 3.0]).sum().backward()
print(ns.explain(op(x, 4.0)), x.grad)
"""


def test_an_elementwise_operation_is_a_row(package):
    package.add_operation()
    assert package.changed() == {TABLE}
    said = package.run("-c", ELEMENTWISE)
    assert "TestResults(failed=0, attempted=2)" in said
    assert "y = logaddexp(a, b=4)\n       ln(e^a + e^b)" in said
    assert "tensor([0.5, 0.5])" in said


def test_a_wrong_rule_in_the_row_is_found(package):
    package.add_operation(lambda row: row.replace("g * exp(b - y)", "g * exp(b + y)"))
    said = package.run(
        "-c", "import nnscratch as ns\nprint(*ns.testing.check_operation(ns.logaddexp).problems, sep='\\n')"
    )
    assert "by b[0]" in said


# Every dtype that a row may meet comes to the kernel as floating point, and a Python number as whatever the array is.
KERNEL = """
import doctest
import nnscratch as ns
from nnscratch import backend
from nnscratch.kernels.activation import cpu

kernel = cpu.logaddexp
assert backend.cpu.kernel("activation.logaddexp") is kernel is ns.logaddexp.kernel
(example,) = [t for t in doctest.DocTestFinder().find(cpu) if t.name.endswith(".logaddexp")]
print(doctest.DocTestRunner().run(example))
half, whole = np.ones((2, 1), np.float16), np.arange(3)
for a, b, dtype in (half, 2, "float16"), (half, whole, "float64"), (2.0, half, "float16"), (whole, 1, "float64"):
    y = ns.logaddexp(a, b)
    assert y.dtype == dtype, (a, b, y)
    np.testing.assert_allclose(y, np.logaddexp(a, b), rtol=2e-3)
"""


def test_a_fast_kernel_is_one_more_file(package):
    package.add_operation()
    before = package.changed()
    package.add_kernel()
    assert package.changed() - before == {ON_CPU}
    test = block("A fast kernel on the CPU", "values")
    program = f"import numpy as np\n{KERNEL}\nlogaddexp = kernel\n{test}"
    assert "TestResults(failed=0, attempted=1)" in package.run("-c", program)
    package.run("-c", ELEMENTWISE)


def test_a_wrong_kernel_is_found(package):
    package.add_operation()
    package.add_kernel()
    package.replace(ON_CPU, "np.where(a == b, 0, a - b)", "a - b")
    test = block("A fast kernel on the CPU", "values")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        package.run("-c", f"import numpy as np\nfrom nnscratch.kernels.activation.cpu import logaddexp\n{test}")


def test_where_there_is_no_fast_kernel_the_rows_function_serves(package):
    """On a device without one, as the stand-in is here."""
    package.add_operation()
    package.add_kernel()
    package.run("-c", f"import sys\nsys.path.append({str(ROOT)!r})\n{WITHOUT}")


WITHOUT = """
import numpy as np
import nnscratch as ns
from nnscratch import backend
from tests.standin.instead import standing_in

with standing_in(definitions=False):
    assert backend.get("cuda").kernel("activation.logaddexp") is np.logaddexp
    x = ns.tensor([0.0, 1.0], device="cuda")
    np.testing.assert_allclose(ns.logaddexp(2.0, x).numpy(), np.logaddexp(2.0, [0.0, 1.0]), rtol=1e-6)
"""


@pytest.fixture
def on_gpu(package):
    package.add_operation()
    package.add_kernel()
    before = package.changed()
    package.add_kernel_on_gpu()
    assert package.changed() - before == {ON_GPU, SOURCE}
    return package


def test_a_kernel_on_gpus_is_two_more_files(on_gpu):
    if not cuda_emulator.compiler():
        pytest.skip("the emulator of CUDA needs g++ 12 or later on Linux")
    tests = on_gpu.folder / "tests"
    tests.mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tests)
    test = block("A kernel on GPUs", "import pytest")
    (tests / "test_logaddexp.py").write_text(f"import numpy as np\n{test}", encoding="utf-8")
    options = "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tests, "--import-mode=importlib", "-q"
    said = on_gpu.run("-m", "pytest", *options, tests / "test_logaddexp.py")
    passed = re.search(r"(\d+) passed", said)
    assert passed and int(passed[1]) >= 6, said  # on the stand-in and by the emulator; without a GPU three are skipped


COMPILES = """
from nnscratch.kernels.cuda import runtime
from tests import test_cuda_nvrtc as nvrtc

for architecture in nvrtc.ARCHITECTURES:
    for constants in nvrtc.variants.VARIANTS["elementwise.cu"]:
        ok, code, log = nvrtc.compiled(
            runtime.text("elementwise.cu"), (f"-arch={architecture}", *runtime.options(constants))
        )
        assert ok and b"sum_of_exponentials" in code, log
"""


def test_the_kernel_compiles_for_gpus(on_gpu):
    from tests.test_cuda_nvrtc import NVRTC

    if NVRTC is None:
        pytest.skip("needs NVRTC: pip install nvidia-cuda-nvrtc")
    on_gpu.run("-c", f"import sys\nsys.path.append({str(ROOT)!r})\n{COMPILES}")


LAYER = """
import doctest, pytest
import numpy as np
import nnscratch as ns
from nnscratch.nn import activation
from tests.test_api import faults

layer = ns.nn.SmoothMaxout
assert "SmoothMaxout" in ns.nn.__all__ and not list(faults(layer))
(example,) = [t for t in doctest.DocTestFinder().find(activation) if t.name.endswith(".SmoothMaxout")]
print(doctest.DocTestRunner().run(example))
model = ns.nn.Sequential(ns.nn.Linear(3, 4), layer(), ns.nn.Linear(2, 1))
x = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
hidden = model[0](x).numpy()
np.testing.assert_allclose(layer()(hidden), np.logaddexp(hidden[:, :2], hidden[:, 2:]), rtol=1e-6)
assert ns.gradcheck(layer(), [np.random.default_rng(1).standard_normal((3, 4))], order=2).passed
with pytest.raises(ValueError, match="SmoothMaxout: got .* expected a last axis of even length; pass two halves"):
    layer()(ns.tensor([1.0, 2.0, 3.0]))
print(model.summary(x))
"""


def test_a_layer_is_two_files(package):
    package.add_operation()
    before = package.changed()
    package.add_layer()
    assert package.changed() - before == {MODULE, "nnscratch/nn/__init__.py"}
    said = package.run("-c", f"import sys\nsys.path.append({str(ROOT)!r})\n{LAYER}")
    assert "TestResults(failed=0, attempted=2)" in said and "SmoothMaxout" in said


def test_the_table_names_the_files_that_the_sections_change(package):
    named = [set(re.findall(r"`([\w/]+\.\w+)`", line)) for line in re.findall(r"^\| an? .*$", PAGE, re.M)]
    before, counted = set(), []
    for add in (package.add_operation, package.add_kernel, package.add_kernel_on_gpu, package.add_layer):
        add()
        counted.append(package.changed() - before)
        before = package.changed()
    assert counted == named
    assert [len(files) for files in counted] == [1, 1, 2, 2]
