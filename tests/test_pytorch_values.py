"""What is called as in PyTorch gives PyTorch's numbers, kept in tests/pytorch/values.json, in float64."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location("pytorch_cases", Path(__file__).parent / "pytorch" / "cases.py")
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)
VALUES = json.loads(cases.VALUES.read_text())


def test_there_are_values_for_all_cases():
    assert list(VALUES) == list(cases.CASES)


@pytest.mark.parametrize("name", cases.CASES)
@pytest.mark.cpu
def test_the_numbers_are_pytorchs(name):
    np.testing.assert_allclose(cases.CASES[name](cases.of_nnscratch()), VALUES[name], rtol=1e-12, atol=1e-14)
