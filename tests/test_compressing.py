"""The commands `compress` and `evaluate`: what they write and say, and what they refuse."""

import json

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import cli, data, systems
from nnscratch.systems import compressing


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A run of the convolutional network with its first weights; 120 images to learn on with, and 64 for tests."""
    (x, y), (x_test, y_test) = data.mnist(sample=True)
    monkeypatch.setattr(data, "mnist", lambda sample: ((x[:120], y[:120]), (x_test[:64], y_test[:64])))
    monkeypatch.setattr(compressing, "REPEATS", 1)
    monkeypatch.setattr(compressing, "INPUTS", (1, 16))
    return written(tmp_path / "run", "mnist-cnn", lr=1e-3, batch_size=64, full=False)


def written(folder, name, **settings):
    """What `nnscratch train` writes for others to read."""
    ns.manual_seed(0)
    folder.mkdir()
    ns.save(systems.get(name).model(), folder / "model.safetensors")
    (folder / "metrics.json").write_text(json.dumps({"system": name, "settings": settings}))
    return folder


WAYS = {
    "int8": (["--quantise", "int8"], 0.27),
    "float16": (["--quantise", "float16"], 0.52),
    "sparse": (["--prune", "0.9"], 0.25),
    "channels": (["--prune", "0.5", "--channels"], 0.85),
    "distilled": (["--distil", "mnist-cnn-small"], 6.0),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_smaller_network_is_written_and_measured_again(run, way, capsys):
    options, most = WAYS[way]
    assert cli.main(["compress", str(run), *options, "--epochs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    out = run.with_name(f"run-{way}")
    results = json.loads((out / "metrics.json").read_text())
    before, after = results["before"], results["after"]
    assert results["compressed"] == way
    assert after["bytes on disk"] == (out / "model.safetensors").stat().st_size <= most * before["bytes on disk"]
    table = next(i for i, line in enumerate(lines) if line.split() == ["before", "after"])
    assert [line.split("  ")[0] for line in lines[table + 1 : table + 7]] == list(before)
    assert f"{after['bytes on disk']:,}" in lines[table + 2]

    assert cli.main(["evaluate", str(out)]) == 0
    again = capsys.readouterr().out.splitlines()
    for line, row in zip(again[1:5], lines[table + 1 : table + 5], strict=True):
        assert line.split() == [*row.split()[:-2], row.split()[-1]]
    if way == "sparse":
        assert after["of them not 0"] < 0.11 * before["parameters"]
    if way == "channels":
        assert after["parameters"] < 0.85 * before["parameters"]


def test_commands_refuse_in_a_sentence(run, tmp_path, capsys):
    written(tmp_path / "other", "worked-2-3-1")
    for arguments, said in (
        (
            [run, "--channels", "--quantise", "int8"],
            "compress: --channels says how --prune does it; add --prune, or leave",
        ),
        ([run], "compress: expected one of --quantise, --prune and --distil; pass one"),
        (
            [run, "--prune", "0.5", "--quantise", "int8"],
            "compress: expected one of --quantise, --prune and --distil; pass one",
        ),
        (
            [run, "--prune", "1"],
            "compress: GradualPruning: amount is 1.0, expected a finite number in [0, 1); choose one there",
        ),
        (
            [run, "--distil", "binary-classifier"],
            "compress: binary-classifier does not tell the classes of mnist-cnn apart; pass",
        ),
        (
            [tmp_path / "other", "--quantise", "int8"],
            "is a run of worked-2-3-1, which is not measured so; pass one of mnist-cnn",
        ),
        ([tmp_path / "none", "--quantise", "int8"], "there is no complete run in"),
    ):
        assert cli.main(["compress", *map(str, arguments)]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    with pytest.raises(SystemExit):
        cli.main(["compress", str(run), "--quantise", "int4"])
    assert "there is no way 'int4'; " in capsys.readouterr().err


def test_a_damaged_run_is_refused(run, capsys):
    results = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(results | {"compressed": "zip"}))
    assert cli.main(["evaluate", str(run)]) == 1
    assert "compressed in an unknown way; compress it again" in capsys.readouterr().err
    (run / "metrics.json").write_text(json.dumps(results | {"compressed": "int8"}))
    assert cli.main(["evaluate", str(run)]) == 1
    assert "the state does not fit" in capsys.readouterr().err
    ns.save({"a": np.ones(2)}, run / "model.safetensors")
    (run / "metrics.json").write_text(json.dumps(results))
    assert cli.main(["evaluate", str(run)]) == 1
    assert "the state does not fit" in capsys.readouterr().err
