"""The command: what it prints, its exit status, and one sentence for every mistake."""

import re
import subprocess
import sys

import pytest

import nnscratch as ns
from nnscratch import cli, systems


def run(*arguments):
    """The command in this process: its exit status."""
    try:
        return cli.main(arguments)
    except SystemExit as leaving:
        return leaving.code


def test_training_writes_its_files(tmp_path, capsys):
    assert (
        run(
            "train",
            "binary-classifier",
            "--epochs",
            "2",
            "--batch-size",
            "20",
            "--lr",
            "0.01",
            "--out",
            str(tmp_path),
        )
        == 0
    )
    out = capsys.readouterr().out
    assert re.fullmatch(r"test accuracy 0\.\d{4}", out.splitlines()[-1])
    assert (tmp_path / "metrics.json").exists()
    assert run("train", "binary-classifier", "--resume", "--epochs", "3", "--out", str(tmp_path)) == 0
    assert "epoch 3/3" in capsys.readouterr().out


def test_mnist_cnn_is_the_default_and_options_reach_it(monkeypatch):
    seen = {}
    monkeypatch.setattr(systems.get("mnist-cnn"), "run", seen.update)
    assert run("train") == 0
    assert seen == {
        "epochs": None,
        "batch_size": None,
        "lr": None,
        "seed": None,
        "device": "cpu",
        "full": False,
        "resume": False,
        "out": None,
    }
    assert run("train", "mnist-cnn", "--full", "--resume", "--seed=7", "--device", "cpu", "--out", "x") == 0
    assert (seen["full"], seen["resume"], seen["seed"], seen["out"]) == (True, True, 7, "x")


def test_results_go_to_runs_by_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("train", "worked-2-3-1") == 0
    assert (tmp_path / "runs" / "worked-2-3-1" / "metrics.json").exists()


def test_systems_lists_all_with_their_documents(capsys):
    assert run("systems") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *systems.NAMES]
    assert lines[1].startswith("mnist-cnn          S2     000 §3  ")


def test_info_shows_versions_devices_and_threads(capsys):
    import numpy as np

    assert run("info") == 0
    out = capsys.readouterr().out
    for words in (
        f"nnscratch +{ns.__version__}",
        f"NumPy +{np.__version__}",
        "Python +3",
        "devices +cpu",
        "BLAS +",
        "BLAS threads +",
    ):
        assert re.search(f"^{words}", out, re.MULTILINE)


def test_version_and_help(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"nnscratch {ns.__version__}\n"
    assert run() == 0
    assert "train" in capsys.readouterr().out
    assert run("train", "--help") == 0
    assert "--batch-size" in capsys.readouterr().out


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "nnscratch", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"nnscratch {ns.__version__}\n"
    done = subprocess.run([sys.executable, "-m", "nnscratch", "trane"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nnscratch: there is no command 'trane'; did you mean train?\n"


def test_starting_loads_nothing_heavy():
    code = (
        "import sys; from nnscratch import cli; cli._parse(['systems']); "
        "print([m for m in ('matplotlib', 'tqdm', 'safetensors', 'nnscratch.training', 'nnscratch.nn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "nnscratch: there is no command 'trian'; did you mean train?"),
        (["xyz"], "nnscratch: there is no command 'xyz'; choose one of train, systems, info"),
        (["--verison"], "nnscratch: there is no option '--verison'; did you mean --version?"),
        (
            ["train", "mnist-cn"],
            "nnscratch train: argument SYSTEM: there is no system 'mnist-cn'; did you mean mnist-cnn",
        ),
        (["train", "bert"], "nnscratch train: argument SYSTEM: there is no system 'bert'; choose one of"),
        (["train", "--epoch", "3"], "nnscratch train: there is no option '--epoch'; did you mean --epochs?"),
        (["train", "--epochs"], "nnscratch train: argument --epochs: expected one argument"),
        (
            ["train", "--epochs", "0"],
            "nnscratch train: argument --epochs: got '0', expected a whole number of at least 1",
        ),
        (["train", "--epochs", "2.5"], "nnscratch train: argument --epochs: got '2.5'"),
        (["train", "--batch-size", "many"], "nnscratch train: argument --batch-size: got 'many'"),
        (["train", "--batch-size", "-3"], "nnscratch train: argument --batch-size: got '-3'"),
        (["train", "--lr", "0"], "nnscratch train: argument --lr: got '0', expected a number above 0"),
        (["train", "--lr", "nan"], "nnscratch train: argument --lr: got 'nan'"),
        (["train", "--lr", "inf"], "nnscratch train: argument --lr: got 'inf'"),
        (["train", "--lr", "fast"], "nnscratch train: argument --lr: got 'fast'"),
        (["train", "--seed", "-1"], "nnscratch train: argument --seed: got '-1'"),
        (
            ["train", "--device", "cuda:99"],
            "nnscratch train: argument --device: device: 'cuda:99' is not available",
        ),
        (["train", "mnist-cnn", "again"], "nnscratch: unrecognized arguments: again"),
        (["train", "--full=yes"], "nnscratch train: argument --full: ignored explicit argument 'yes'"),
        (["info", "--all"], "nnscratch info: there is no option '--all'"),
    ],
)
def test_wrong_arguments_give_one_sentence_and_status_2(arguments, message, capsys):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_what_is_missing_or_unwritable_gives_one_sentence_and_status_1(tmp_path, monkeypatch, capsys):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NNSCRATCH_DATA", str(tmp_path))
    for arguments, message in (
        (
            ["mnist-cnn", "--full", "--out", str(tmp_path / "a")],
            "nnscratch train: mnist: .*lacks train-images",
        ),
        (["--out", str(tmp_path / "file")], "nnscratch train: cannot write in the folder"),
        (["--resume", "--out", str(tmp_path / "b")], "nnscratch train: there is no .*to resume"),
        (
            ["worked-2-3-1", "--full", "--out", str(tmp_path / "c")],
            "nnscratch train: worked-2-3-1 has no larger data set",
        ),
    ):
        assert run("train", *arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert re.match(message, err)
        assert err.count("\n") == 1
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (
            RuntimeError("fit: epoch 1, batch 2: the loss"),
            1,
            "nnscratch train: fit: epoch 1, batch 2: the loss\n",
        ),
        (
            KeyboardInterrupt(),
            130,
            "nnscratch train: interrupted; the same command with --resume goes on from",
        ),
    ],
)
def test_what_ends_training_gives_one_sentence(monkeypatch, capsys, error, status, message):
    def fail(**settings):
        raise error

    monkeypatch.setattr(systems.get("mnist-cnn"), "run", fail)
    assert run("train") == status
    assert capsys.readouterr().err.startswith(message)


def test_mistakes_of_our_own_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(systems.get("mnist-cnn"), "run", lambda **settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("train")


def test_a_reader_that_goes_away_is_no_error():
    code = "import sys; from nnscratch.cli import main; sys.exit(main(['systems']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 1
