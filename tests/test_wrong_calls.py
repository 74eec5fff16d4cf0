"""Numbers that are no sizes, and other wrong arguments: one sentence that names the function; `python tests/wrong_calls.py` makes 20,000."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import nn
from nnscratch.environment import VARIABLES, check, faults

pytestmark = pytest.mark.cpu
F = ns.functional
_spec = importlib.util.spec_from_file_location("wrong_calls", Path(__file__).with_name("wrong_calls.py"))
program = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(program)
# sizes that only a limit of memory refuses are for the program, which has one
SMALL = [v for v in program.NASTY if not isinstance(v, int) or abs(v) < 2**31 or abs(v) > 2**62]


@settings(max_examples=300, deadline=None, database=None)
@given(st.randoms(use_true_random=False))
def test_wrong_calls_name_the_function(draw):
    _, what, fault = program.wrong(draw, CALLS, SMALL)
    assert not fault, what


CALLS = list(program.calls())


def test_there_are_many_right_calls_and_they_are_right():
    assert len(CALLS) > 400
    assert {name for name, *_ in CALLS} >= {"Linear", "LSTM", "Adam", "k_fold", "matmul", "conv2d"}
    for name, function, args, kwargs in CALLS[:: len(CALLS) // 40]:
        assert function(*args, **kwargs) is not None or name == "manual_seed"


X = ns.tensor(np.ones((2, 3), np.float32))
P, LABELS = ns.tensor([[0.5, 0.5], [0.2, 0.8]]), ns.tensor([0, 1], dtype="int64")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: F.adaptive_avg_pool2d(np.ones((1, 1, 4, 4)), 2**63), ValueError, "adaptive_avg_pool2d: output_size must be a whole number"),
        (lambda: F.adaptive_avg_pool2d(np.ones((1, 1, 4, 4)), 2**62), MemoryError, "adaptive_avg_pool2d: arrays of these sizes do not fit"),
        (lambda: list(ns.data.k_fold(2**63)), ValueError, "k_fold: the number of samples is 9223372036854775808, expected one of at most"),
        (lambda: list(ns.data.k_fold(10, 2**63)), ValueError, "k_fold: k is 9223372036854775808, expected one of at most"),
        (lambda: nn.Linear(2**62, 2), MemoryError, "Linear: arrays of these sizes do not fit into memory"),
        (lambda: nn.Linear(2**40, 2**40), MemoryError, "Linear: arrays of these sizes do not fit into memory"),
        (lambda: nn.LSTM(3, 10**400), ValueError, "LSTM: hidden_size is a whole number of 1329 bits, expected one of at most"),
        (lambda: nn.Dropout(10**400), ValueError, "Dropout: p is inf, expected a finite number"),
        (lambda: F.cross_entropy(P, LABELS, weight=np.array([-1, 2])), ValueError, "cross_entropy: weight must hold a factor of at least 0"),
        (lambda: F.cross_entropy(P, LABELS, weight=[-1.0, 2.0]), ValueError, "cross_entropy: weight must hold a factor of at least 0"),
        (lambda: ns.sum_to(None, (2,)), ValueError, "sum_to: an argument is not of the kind it takes"),
        (lambda: F.dropout(X, 0.5, np.array([True, False])), TypeError, "dropout: training is an array"),
        (lambda: F.relu([1, [2]]), ValueError, "relu: x: the nested lists have rows of different lengths"),
        (lambda: ns.optim.SGD(np.array(2.0), lr=0.1), TypeError, "SGD: params is"),
        (lambda: ns.data.DataLoader(np.array(2)), TypeError, "DataLoader: dataset is a ndarray, expected a Dataset"),
        (lambda: ns.einsum("\x1b[31m", X), ValueError, "einsum: "),
    ],
)  # fmt: skip
def test_one_sentence(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "call",
    [
        lambda n: F.leaky_relu(X, n(0.1)),
        lambda n: F.leaky_relu(X, slope=n(0.1)),
        lambda n: F.elu(X, n(0.1)),
        lambda n: ns.clip(X, n(-0.5), n(0.5)),
        lambda n: F.celu(X, n(0.5)),
    ],
)
def test_an_array_of_no_axes_as_a_setting_is_a_number(call):
    for kind in (np.array, np.float64):
        y = call(kind)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y.numpy(), call(float).numpy())


def test_large_whole_numbers_are_checked_as_numbers():
    """Weights of a whole-number type beyond any limit."""
    here = ns.backend.cpu

    def error(value):
        return ValueError(f"it is {value}")

    here.check(np.array([0, 2**62]), 0, np.inf, error)
    for values in ([-1, 5], [5, -(2**63)]):
        with pytest.raises(ValueError, match="it is -"):
            here.check(np.array(values), 0, np.inf, error)


def test_an_explanation_has_a_limit():
    y = x = ns.tensor(1.0, requires_grad=True)
    for _ in range(1001):
        y = y * x
    with pytest.raises(
        ValueError,
        match=r"^explain: 1,001 steps would be told, and at most 1,000 can be read; fold modules with unfold=1",
    ):
        ns.explain(y)


def test_a_table_has_a_limit():
    model = nn.Sequential(*(nn.ReLU() for _ in range(1500)))
    shown = model._repr_html_()
    assert shown.count("<tr>") == 1 + 1000 + 1
    assert "… and 500 more" in shown


# The environment


def test_variables_that_are_misspelt_are_named(caplog, monkeypatch):
    monkeypatch.setenv("NNSCRATCH_THREAD", "2")
    monkeypatch.setenv("NNSCRATCH_COMPILED", "no\x1b[2J")
    monkeypatch.setenv("NNSCRATCH_XYZ", "")
    check()
    said = [r.getMessage() for r in caplog.records]
    assert (
        "nnscratch: there is no variable NNSCRATCH_THREAD, which is passed over; did you mean NNSCRATCH_THREADS?"
        in said
    )
    assert "nnscratch: NNSCRATCH_COMPILED is 'no?[2J', which is passed over; set it to 0 or 1, or unset it" in said
    assert any(line.startswith("nnscratch: there is no variable NNSCRATCH_XYZ, ") for line in said)
    assert faults({"PATH": "", "NNSCRATCH_THREADS": "2", "NNSCRATCH_COMPILED": ""}) == []


def test_every_variable_is_known():
    import re

    root = Path(__file__).parents[1]
    files = [p for folder in ("nnscratch", "kernels", "benchmarks", "tests") for p in (root / folder).rglob("*.py")]
    named = {
        name
        for p in files
        if p.name != "test_wrong_calls.py"
        for name in re.findall(r"environ[^\n]*?\"(NNSCRATCH_[A-Z_]+)\"", p.read_text("utf-8"))
    }
    assert named and named <= set(VARIABLES)


def test_a_python_without_its_lock_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(ImportError, match="^nnscratch: this Python runs without its global lock"):
        check()
