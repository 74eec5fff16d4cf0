"""The ONNX standard's own cases for single operators, and the page that counts them."""

import importlib
import sys
from pathlib import Path

import onnx
import pytest

import nnscratch as ns

sys.path.insert(0, str(Path(__file__).parent))
conformance = importlib.import_module("onnx_conformance")
adapter = importlib.import_module("onnx_adapter")

APPLICABLE = [name for name, case in conformance.cases().items() if adapter.obstacle(case.model) is None]


@pytest.mark.parametrize("name", APPLICABLE)
def test_case(name):
    try:
        conformance.check(conformance.cases()[name])
    except adapter.NotApplicable as reason:
        pytest.skip(str(reason))


def test_enough_cases_pass_and_none_fails():
    found = conformance.outcomes().values()
    assert sum(outcome == "passed" for outcome, _ in found) >= 1000
    assert [what for outcome, what in found if outcome == "failed"] == []


def test_the_page_in_docs_is_current():
    text = conformance.PAGE.read_text(encoding="utf-8")
    if f"from onnx {onnx.__version__};" not in text:
        pytest.skip("the page was made from another version of onnx, with other cases")
    assert text == conformance.page(), "run python tests/onnx_conformance.py --write"


def test_a_wrong_result_fails(monkeypatch):
    wrong = {
        "Relu": ns.abs,
        "Exp": lambda x: ns.astype(ns.exp(x), "float64"),
        "Concat": lambda *x, axis: x[0],
    }
    for operator, function in wrong.items():
        monkeypatch.setitem(adapter.OPERATORS, operator, function)
    for name, words in (("relu", "Not equal to tolerance"), ("exp", "dtype float64"), ("concat_2d_axis_0", "shape")):
        with pytest.raises(AssertionError, match=words):
            conformance.check(conformance.cases()[f"test_{name}"])


def test_what_cannot_be_run_says_why():
    for name, reason in (
        ("lstm_defaults", "no operator LSTM"),
        ("maxpool_3d_default", "3 spatial axes"),
        ("cast_FLOAT_to_BFLOAT16", "no dtype bfloat16"),
        ("clip_min_greater_than_max", "ns.clip refuses"),
        ("equal_string", "no dtype string"),
    ):
        with pytest.raises(adapter.NotApplicable, match=reason):
            conformance.check(conformance.cases()[f"test_{name}"])


def test_the_command_prints_writes_and_checks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(conformance, "PAGE", tmp_path / "conformance.md")
    assert conformance.main(["--check"]) == 1 and "--write" in capsys.readouterr().err
    assert conformance.main(["--write"]) == 0 and conformance.main(["--check"]) == 0
    assert conformance.main([]) == 0
    assert conformance.PAGE.read_text(encoding="utf-8") in capsys.readouterr().out
