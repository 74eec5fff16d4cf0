"""Odd places: devices, pipes and links to write to; homes and caches where nothing can be kept; environments that are otherwise."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import nnscratch as ns
from nnscratch.files import writable_file, write_bytes

pytestmark = [pytest.mark.cpu, pytest.mark.skipif(os.name != "posix", reason="devices, links and modes are POSIX's")]
ROOT = Path(__file__).parents[1]


# What is written to


def test_a_link_is_followed_and_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_bytes("save", link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    target.unlink()
    write_bytes("save", link, b"made by a link to nothing")
    assert link.is_symlink() and target.read_bytes() == b"made by a link to nothing"
    assert os.listdir(tmp_path / "there") == ["target"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o755])
def test_the_mode_stays(mode, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(mode)
    ns.save({"w": np.zeros(2)}, path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert ns.load(path)["w"].tolist() == [0, 0]


def test_a_private_file_is_never_open_to_others(tmp_path, monkeypatch):
    path, modes = tmp_path / "a", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda f: (modes.append(stat.S_IMODE(os.fstat(f).st_mode)), fsync(f)))
    monkeypatch.setattr(os, "fchmod", lambda f, mode: modes.append(stat.S_IMODE(os.fstat(f).st_mode)))
    write_bytes("save", path, b"new")
    assert modes[:2] == [0o600, 0o600]


def test_the_owner_stays(tmp_path, monkeypatch):
    path, given = tmp_path / "a", []
    path.write_bytes(b"old")
    status = os.stat(path)
    monkeypatch.setattr(
        os, "stat", lambda p, *a, **k: _owned(status, 12345) if os.fspath(p) == str(path) else STAT(p, *a, **k)
    )
    monkeypatch.setattr(os, "fchown", lambda *arguments: given.append(arguments[1:]))
    write_bytes("save", path, b"new")
    assert given == [(12345, status.st_gid)]

    def refuses(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuses)
    inode = status.st_ino
    path.write_bytes(b"old, and longer than what comes")
    inode = STAT(path).st_ino
    write_bytes("save", path, b"newer")
    assert path.read_bytes() == b"newer"
    assert STAT(path).st_ino == inode, "the file itself, which nobody but its owner could make anew"
    assert os.listdir(tmp_path) == ["a"]


STAT = os.stat


def _owned(status, user):
    values = list(status)
    values[stat.ST_UID] = user
    return os.stat_result(values)


def test_devices_are_written_to(tmp_path):
    write_bytes("save", "/dev/null", b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    ns.save(ns.nn.Linear(2, 1), "/dev/null")
    writable_file("Checkpoint", "/dev/null")
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_bytes("save", link, b"gone")
    assert link.is_symlink()


def test_a_named_pipe_is_written_to(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_bytes("write_idx", pipe, b"through it")
    reader.join(60)
    assert read == [b"through it"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


@pytest.mark.parametrize("to", ["a pipe", "a file"])
def test_the_standard_output_is_written_to(to, tmp_path):
    script = "from nnscratch.files import write_bytes\nprint('before')\nwrite_bytes('check', '/dev/stdout', b'{}')\nprint('after')"
    with open(tmp_path / "out", "w+b") as file:
        ran = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE if to == "a pipe" else file, check=True
        )
        file.seek(0)
        assert (ran.stdout or file.read()).split() == [b"before", b"{}after"]


def test_a_checkpoint_may_go_where_a_link_shows(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "run")
    model = ns.nn.Linear(2, 1)
    trainer = ns.Trainer(model, "mse", ns.optim.SGD(model.parameters(), lr=0.1))
    x = np.ones((4, 2), np.float32)
    for place in (tmp_path / "run", "/dev/null"):
        trainer.fit(
            x,
            x[:, :1],
            epochs=2,
            verbose=False,
            callbacks=[ns.training.Checkpoint(place), ns.training.CSVLogger("/dev/null")],
        )
    assert (tmp_path / "run").is_symlink()
    trainer.fit(x, x[:, :1], epochs=3, verbose=False, resume=tmp_path / "run")
    assert trainer.history.epochs == 3


# Where nothing can be kept

LARGE = """
import sys
import numpy as np
from nnscratch.kernels.scatter import cpu
print(cpu.put_add(np.ones((1 << 14, 2)), (4, 2), np.arange(1 << 14) % 4).sum())
"""


def run(script, *options, limit=None, **environment):
    """A process of its own: its output and what it said."""
    plain = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME")}
    given = {k: v for k, v in (plain | environment).items() if v is not None}
    ran = subprocess.run(
        [sys.executable, *options, "-c", script],
        env=given,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        cwd=ROOT,
        timeout=300,
    )
    return ran.returncode, ran.stdout, ran.stderr


def unkept(folder):
    return sorted(
        p.relative_to(folder) for p in Path(folder).rglob("*") if p.suffix in (".nbi", ".nbc") and p.stat().st_size
    )


def test_without_a_home_loops_are_compiled_and_not_kept():
    before = unkept(ROOT / "kernels")
    code, out, said = run(LARGE, HOME="/dev/null")
    assert (code, out) == (0, "32768.0\n"), said
    assert said.startswith("nnscratch: compiled loops cannot be kept in /dev/null/.cache/nnscratch/numba/")
    assert "so each run compiles them anew; set XDG_CACHE_HOME" in said
    assert said.count("cannot be kept") == 1 and "Traceback" not in said
    assert unkept(ROOT / "kernels") == before, "nothing beside the sources"


def test_what_is_kept_may_be_damaged(tmp_path):
    assert run(LARGE, XDG_CACHE_HOME=str(tmp_path))[:2] == (0, "32768.0\n")
    kept = list(tmp_path.rglob("*.nbi"))
    assert kept
    for path in kept:
        path.write_bytes(b"")  # as a power cut leaves it
    code, out, said = run(LARGE, XDG_CACHE_HOME=str(tmp_path))
    assert (code, out) == (0, "32768.0\n"), said
    assert said.startswith("nnscratch: what was kept of compiled loops in ")
    assert said.count("is damaged, so they are compiled again\n") == 1 and "Traceback" not in said
    assert run(LARGE, XDG_CACHE_HOME=str(tmp_path)) == (0, "32768.0\n", "")


def test_a_full_disk_keeps_nothing(tmp_path):
    import resource

    code, out, said = run(
        LARGE, XDG_CACHE_HOME=str(tmp_path), limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    )
    assert (code, out) == (0, "32768.0\n"), said
    assert "compiled loops cannot be kept in" in said and "Traceback" not in said
    assert not unkept(tmp_path)


# Other environments: a command ends with its last line, or with one sentence

TRAIN = "import sys; from nnscratch.cli import main; sys.exit(main(['train', 'binary-classifier', '--epochs', '1', '--out', sys.argv[1]]))"


@pytest.mark.parametrize("kind", ["-OO", "ASCII", "no output"])
def test_the_command_trains(kind, tmp_path):
    if kind == "no output":
        code, out, said = run(
            "import os; os.close(1)\n"
            + TRAIN.replace("sys.argv[1]", repr(str(tmp_path))).replace("import sys;", "import sys; sys.stdout = None;")
        )
    elif kind == "ASCII":
        code, out, said = run(
            TRAIN.replace("sys.argv[1]", repr(str(tmp_path))), LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii"
        )
    else:
        code, out, said = run(TRAIN.replace("sys.argv[1]", repr(str(tmp_path))), kind)
    assert code == 0, said
    assert (tmp_path / "metrics.json").exists()
    assert kind == "no output" or out.splitlines()[-1].startswith("test accuracy 0.")


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        (
            {"NNSCRATCH_THREADS": "100000"},
            1,
            "systems: NNSCRATCH_THREADS is '100000', expected a whole number from 1 to 1024; correct it",
        ),
        (
            {"NNSCRATCH_THREADS": "two"},
            1,
            "systems: NNSCRATCH_THREADS is 'two', expected a whole number from 1 to 1024; correct it",
        ),
        ({"NNSCRATCH_THREAD": "2"}, 0, "did you mean NNSCRATCH_THREADS?"),
    ],
)
def test_wrong_variables_are_one_sentence(environment, code, words):
    got, _, said = run("import sys; from nnscratch.cli import main; sys.exit(main(['systems']))", **environment)
    assert got == code
    assert words in said and said.count("\n") == 1


def test_numba_that_does_not_compile_is_numpy_alone():
    code, out, said = run(LARGE, NUMBA_DISABLE_JIT="1")
    assert (code, out) == (0, "32768.0\n")
    assert said == "nnscratch: NUMBA_DISABLE_JIT is set, so NumPy alone does the work of the CPU, more slowly\n"
