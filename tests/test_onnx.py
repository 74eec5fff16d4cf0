"""The ONNX standard's own cases for single operators, and the page that counts them."""

import importlib
import sys
from pathlib import Path

import onnx
import pytest

import nnscratch as ns
from nnscratch.onnx.operators import OPERATORS
from nnscratch.onnx.table import Unsupported

sys.path.insert(0, str(Path(__file__).parent))
conformance = importlib.import_module("onnx_conformance")


def test_enough_cases_pass_and_none_fails():
    found = conformance.outcomes()
    assert sum(outcome == "passed" for outcome, _ in found.values()) >= 1400
    assert {name: what for name, (outcome, what) in found.items() if outcome == "failed"} == {}


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
        monkeypatch.setitem(OPERATORS, operator, function)
    for name, words in (("relu", "Not equal to tolerance"), ("exp", "dtype float64"), ("concat_2d_axis_0", "shape")):
        with pytest.raises(AssertionError, match=words):
            conformance.check(conformance.cases()[f"test_{name}"])


def test_what_cannot_be_run_says_why():
    for name, reason in (
        ("nonmaxsuppression_limit_output_size", "the operators NonMaxSuppression"),
        ("maxpool_3d_default", "3 spatial axes"),
        ("cast_FLOAT_to_BFLOAT16", "no dtype bfloat16"),
        ("clip_min_greater_than_max", "ns.clip refuses"),
        ("equal_string", "no dtype string"),
    ):
        with pytest.raises(Unsupported, match=reason):
            conformance.check(conformance.cases()[f"test_{name}"])


def test_the_command_prints_writes_and_checks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(conformance, "PAGE", tmp_path / "conformance.md")
    assert conformance.main(["--check"]) == 1 and "--write" in capsys.readouterr().err
    assert conformance.main(["--write"]) == 0 and conformance.main(["--check"]) == 0
    assert conformance.main([]) == 0
    assert conformance.PAGE.read_text(encoding="utf-8") in capsys.readouterr().out
