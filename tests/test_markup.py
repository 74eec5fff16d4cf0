"""What objects show in a notebook: well-formed, escaped, and with the numbers they hold."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

import nnscratch as ns
from nnscratch import markup
from nnscratch.testing import arrays


def cells(text):
    return [[cell.text or "" for cell in row] for row in ElementTree.fromstring(text).iter("tr")]


@given(arrays(hnp.array_shapes(min_dims=0, min_side=0, max_dims=4)))
def test_values_are_one_short_line_that_begins_and_ends_as_the_array_does(a):
    text = markup.values(a)
    assert "\n" not in text and len(text) < 200
    numbers = text.strip("[]").replace("[", "").replace("]", "")
    shown = [float(n) for n in numbers.split(", ") if n not in ("", "…")]
    flat = a.reshape(-1)
    some = flat if a.size <= 12 else np.append(flat[:3], flat[-1])
    assert shown == pytest.approx([float(f"{v:.4g}") for v in some], nan_ok=True)


def test_a_table_escapes_and_aligns():
    assert cells(markup.table(("a", "<b>"), [("x&y", "1")])) == [["a", "<b>"], ["x&y", "1"]]
    styled = ElementTree.fromstring(markup.table(("a",), [("1",), ("2",)], styles=["", "color:red"]))
    assert [row.get("style") for row in styled.iter("tr")] == [None, None, "color:red"]


def test_a_grid_leaves_the_middle_out():
    rows = cells(markup.grid(np.arange(200).reshape(20, 10)))
    assert len(rows) == 8 and [r[0] for r in rows] == ["0", "10", "20", "30", "40", "50", "⋮", "190"]
    assert rows[0] == ["0", "1", "2", "3", "4", "5", "…", "9"]
    assert cells(markup.grid(np.array([[1.5, -2.0], [1 / 3, 0]]))) == [["1.5", "-2"], ["0.3333", "0"]]


def test_a_tensor_shows_its_values_its_kind_its_operation_and_its_gradient():
    w = ns.tensor([[1.0, 2.0]], requires_grad=True)
    y = ns.sum(w * 3)
    y.backward()
    shown, made = w._repr_html_(), y._repr_html_()
    assert cells(shown) == [["1", "2"], ["3", "3"]]
    assert "(1, 2), float32, on cpu, requires a gradient" in "".join(ElementTree.fromstring(shown).itertext())
    assert "shape (), float32, on cpu, made by sum" in "".join(ElementTree.fromstring(made).itertext())
    assert "9" in made


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0, 1), (3, 4, 5)])
def test_every_shape_shows_itself(shape):
    ElementTree.fromstring(ns.tensor(np.zeros(shape), requires_grad=True)._repr_html_())


def test_a_module_shows_its_layers_with_shapes_and_counts():
    shared = ns.nn.Linear(2, 2)
    model = ns.nn.Sequential(shared, ns.nn.ReLU(), ns.nn.Sequential(ns.nn.BatchNorm1d(2)))
    model[2].requires_grad_(False)
    root = ElementTree.fromstring(model._repr_html_())
    assert "".join(root.itertext()).startswith("Sequential of 10 parameters, 4 of them frozen")
    rows = [[c.text or "" for c in row] for row in root.iter("tr")][1:]
    assert [(r[0], r[3]) for r in rows] == [("0", "6"), ("1", "0"), ("2.0", "4")]
    assert rows[0][1:3] == ["Linear(2, 2)", "weight (2, 2), bias (2,)"]


def test_a_summary_shows_its_table():
    summary = ns.nn.Sequential(ns.nn.Linear(2, 3)).summary((2,))
    assert cells(summary._repr_html_())[1:] == [["0", "Linear", "(N, 3)", "9"]]
