"""The command: what it prints, its exit status, and one sentence for every mistake."""

import json
import re
import subprocess
import sys

import pytest

import nnscratch as ns
from nnscratch import cli, documents, systems


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
    monkeypatch.setattr(type(systems.get("mnist-cnn")), "run", lambda self, **settings: seen.update(settings))
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
        "distributed": None,
        "capture": False,
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
    *lines, empty, hint = lines
    assert (empty, hint) == ("", documents.HINT)
    assert [line.split()[0] for line in lines] == ["name", *systems.NAMES]
    assert lines[1].startswith("mnist-cnn          S2     000 §3  ")


def test_documents_says_what_a_citation_names(capsys):
    assert run("documents", "000", "§4", "W2,", "E3", "F5", "S2") == 0
    out = capsys.readouterr().out
    for words in (
        "The formulas: activations, losses",
        "prints about 0.229",
        "δ^(L) = σ′(z) (y - ŷ)",
        "In nnscratch: What differentiation",
    ):
        assert words in out
    assert (
        "- F.softmax: e^(z_i) / (Σ_j e^(z_j)) (002 §4.1; F13: 003 §4.1)" in out and "nnscratch train mnist-cnn." in out
    )
    assert max(map(len, out.splitlines())) <= 120 and not re.search(r"[$`*]|\]\(", out)
    assert run("documents") == 0
    assert re.findall(r"^(\d{3})$", capsys.readouterr().out, re.MULTILINE) == ["000", "001", "002", "003", "004"]
    assert run("documents", "003") == 0
    assert documents.meaning("003 §5.2") in capsys.readouterr().out


def test_every_place_of_the_documents_can_be_asked_for(capsys):
    assert run("documents", *documents.PLACES) == 0
    parts = capsys.readouterr().out.split("\n\n")
    assert [part.partition("\n")[0] for part in parts[:-1]] == list(documents.PLACES)
    assert all(len(part) > 20 for part in parts)


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


def test_check_prints_a_line_for_each_operation_and_a_summary(capsys):
    assert run("check", "relu", "conv2d", "isnan", "--seed", "7") == 0
    head, relu, conv, isnan, blank, hint, summary = capsys.readouterr().out.splitlines()
    assert head.split() == "operation documents forward, ulp first second pass formula".split()
    assert re.match(r"relu +F3: 000 §4; .* \d\.\d\d +\d\.\de-1\d +\d\.\de-1\d +yes +f\(x\) = max\(0, x\)", relu)
    assert conv.startswith("conv2d ") and blank == "" and hint == documents.HINT
    assert re.search(r" 0\.00 +- +- +yes ", isnan)
    assert re.fullmatch(
        r"3 of 3 operations pass, \d+ rows; worst relative error of a first derivative \S+, of a second \S+; \S+ s",
        summary,
    )


def test_check_fits_the_line_and_writes_formulas_as_text(capsys, monkeypatch):
    for names in (["standardize", "conv2d"], ["linear", "softmax_cross_entropy", "dropped"]):
        assert run("check", *names) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines[: len(names) + 1])) <= 120 and "\\" not in "".join(lines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    assert run("check", "standardize", "conv2d") == 0
    assert max(map(len, capsys.readouterr().out.splitlines()[:3])) == 70


def test_check_fails_where_an_operation_does(monkeypatch, capsys, tmp_path):
    from nnscratch.autograd.rule import Rule
    from nnscratch.ops import activation

    monkeypatch.setitem(activation.sigmoid.rules, "x", Rule(activation.sigmoid, "x", lambda g: g))
    monkeypatch.setattr(activation.sigmoid, "_plans", {})  # what is recorded from now on asks the new rule
    file = tmp_path / "figures.json"
    assert run("check", "sigmoid", "exp", "--json", str(file)) == 1
    out = capsys.readouterr().out
    assert re.search(r"^sigmoid .* NO ", out, re.MULTILINE) and re.search(r"^exp .* yes ", out, re.MULTILINE)
    assert re.search(r"^sigmoid: .*derivative .* by the rules and .* numerically", out, re.MULTILINE)
    assert "\n1 of 2 operations pass" in out
    sigmoid, exp = json.loads(file.read_text(encoding="utf-8"))
    assert (sigmoid["operation"], sigmoid["passed"], exp["passed"]) == ("sigmoid", False, True)
    assert sigmoid["problems"] and exp["problems"] == []
    assert exp["first"] <= 1e-9 and exp["second"] <= 1e-7 and exp["forward"] < 1


def test_check_alone_checks_every_operation(monkeypatch, capsys):
    from nnscratch.autograd import OPS
    from nnscratch.testing import operations

    seen = []

    def check_operation(op, seed):
        seen.append((op.name, seed))
        return operations.OperationCheck(op)

    monkeypatch.setattr(operations, "check_operation", check_operation)
    assert run("check") == 0
    assert seen == [(name, 0) for name in OPS]


def test_check_cuts_its_lines_where_it_prints_to_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("check", "conv2d") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines[1]) == 60 and lines[1].endswith("…")


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
        "print([m for m in ('matplotlib', 'mpmath', 'tqdm', 'safetensors', 'nnscratch.testing', 'nnscratch.training', 'nnscratch.nn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "nnscratch: there is no command 'trian'; did you mean train?"),
        (
            ["xyz"],
            "nnscratch: there is no command 'xyz'; choose one of train, generate, predict, compress, evaluate, check, systems, documents, info",
        ),
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
            "nnscratch train: argument --device: 'cuda:99' is not available",
        ),
        (["train", "mnist-cnn", "again"], "nnscratch: unrecognized arguments: again"),
        (["train", "--full=yes"], "nnscratch train: argument --full: ignored explicit argument 'yes'"),
        (["check", "sigmod"], "nnscratch check: argument OP: there is no operation 'sigmod'; did you mean sigmoid"),
        (["check", "transformer"], "nnscratch check: argument OP: there is no operation 'transformer'; "),
        (["check", "--seed", "x"], "nnscratch check: argument --seed: got 'x'"),
        (["check", "--sead", "1"], "nnscratch check: there is no option '--sead'; did you mean --seed?"),
        (["info", "--all"], "nnscratch info: there is no option '--all'"),
        (
            ["documents", "000", "§44"],
            "nnscratch documents: the documents have no place '000 §44'; choose such as 000, ",
        ),
        (["documents", "mice"], "nnscratch documents: the documents have no place 'mice'; "),
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
            KeyboardInterrupt("the same command with --resume goes on from the last complete epoch"),
            130,
            "nnscratch train: interrupted; the same command with --resume goes on from the last complete epoch\n",
        ),
    ],
)
def test_what_ends_training_gives_one_sentence(monkeypatch, capsys, error, status, message):
    def fail(self, **settings):
        raise error

    monkeypatch.setattr(type(systems.get("mnist-cnn")), "run", fail)
    assert run("train") == status
    assert capsys.readouterr().err.startswith(message)


def test_an_interrupted_check_promises_no_resuming(monkeypatch, capsys):
    from nnscratch.testing import operations

    def interrupted(op, seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(operations, "check_operation", interrupted)
    assert run("check", "exp") == 130
    assert capsys.readouterr().err == "nnscratch check: interrupted\n"


def test_figures_that_cannot_be_written_give_one_sentence(tmp_path, capsys):
    assert run("check", "isnan", "--json", str(tmp_path / "none" / "figures.json")) == 1
    assert re.fullmatch(r"nnscratch check: cannot write .*figures\.json \(.*\n", capsys.readouterr().err)


def test_mistakes_of_our_own_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(type(systems.get("mnist-cnn")), "run", lambda self, **settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("train")


def test_a_reader_that_goes_away_is_no_error():
    code = "import sys; from nnscratch.cli import main; sys.exit(main(['systems']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 1
