"""The package's types as a user's mypy sees them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLE = Path(__file__).with_name("typing_example.py").read_text()


MISTAKES = {
    "def f(x: ns.Tensor) -> None:\n    x.backwards()\n": '"Tensor" has no attribute "backwards"',
    "F.mse_lost\n": 'Module has no attribute "mse_lost"',
}


def test_mypy_finds_the_mistakes_and_nothing_else(tmp_path):
    (tmp_path / "program.py").write_text(EXAMPLE + "".join(MISTAKES))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            ROOT / "setup.cfg",
            "--cache-dir",
            tmp_path / "cache",
            "program.py",
        ],
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    for complaint in (*MISTAKES.values(), f"Found {len(MISTAKES)} errors in 1 file"):
        assert complaint in done.stdout, done.stdout + done.stderr


def test_the_example_runs():
    program = {}
    exec(EXAMPLE, program)
    assert program["slope"](lambda x: x**3, 2.0) == 12.0
    ns = program["ns"]
    x = ns.tensor([[1.0], [2.0]])
    losses = program["steps"](ns.nn.Linear(1, 1), x, 3 * x, 20)
    assert losses[-1] < losses[0]
