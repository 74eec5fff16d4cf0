"""docs/formulas.md: current, complete, and with the right values in it; docs/documents.md is test_documents.py's."""

import re

import pytest

import nnscratch as ns
from nnscratch import formulas
from nnscratch.autograd import OPS


@pytest.fixture(scope="module")
def page():
    return formulas.page()


@pytest.mark.parametrize(("name", "made"), [("formulas", formulas.page), ("documents", formulas.documents_page)])
def test_the_pages_in_docs_are_current(name, made):
    stored = (formulas.FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert stored == made(), "run python -m nnscratch.formulas --write"


def test_every_number_has_its_row(page):
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    first = {n for row in rows for n in row[0].removeprefix("| ").split(", ")}
    wanted = [f"{letter}{i}" for letter, count in (("F", 14), ("W", 3)) for i in range(1, count + 1)]
    first = {re.sub(r"\[(\w+)\].*", r"\1", n) for n in first}
    assert [n for n in wanted if n not in first] == []


def test_every_operation_is_there(page):
    for o in OPS.values():
        assert formulas._math(o.formula) in page, o.name
        assert f"`{formulas._called(o)}`" in page, o.name


def test_every_operation_says_what_it_computes_and_its_derivative():
    assert [o.name for o in OPS.values() if not o.formula] == []
    assert [o.name for o in OPS.values() if o.constant is not True and not o.derivative] == []


def test_the_names_in_the_documents_table_are_there(page):
    table = page.split("## Ties and kinks")[0]
    names = re.findall(r"\| `((?:F|ns|optim|metrics|Tensor)\.\w+)", table)
    assert len(names) > 15
    where = {"F": ns.functional, "ns": ns, "optim": ns.optim, "metrics": ns.metrics, "Tensor": ns.Tensor}
    for name in names:
        group, attribute = name.split(".")
        assert callable(getattr(where[group], attribute)), name


def test_several_results_are_named(monkeypatch):
    cell = ns.op(
        lambda x, w: (x * w, x + w),
        name="cell",
        outputs=("h", "c"),
        formula=r"h = x w, \quad c = x + w",
        derivative=r"g_h w + g_c, \quad g_h x + g_c",
    )
    cell.rule("x")(lambda g_h, g_c, w: g_h * w + g_c)
    cell.rule("w")(lambda g_h, g_c, x: g_h * x + g_c)
    cell.__module__ = "nnscratch.ops.elementwise"
    monkeypatch.setitem(OPS, "cell", cell)
    (row,) = (line for line in formulas.page().splitlines() if "ops.elementwise.cell" in line)
    assert row == (
        r"| `ops.elementwise.cell` → `h`, `c` | $`h = x w, \quad c = x + w`$ | $`g_h w + g_c`$ by `x`, $`g_h x + g_c`$ by `w` "
        "| `x`, `w` |  |"
    )


def test_no_formula_breaks_a_table(page):
    for block in re.findall(r"(?:^\|.*\n)+", page, re.M):
        rows = block.splitlines()
        assert len({row.count("|") for row in rows}) == 1, rows[0]
    assert page.count("$`") == page.count("`$")


def test_the_worked_examples_have_the_right_values(page):
    worked = {row[3:5]: row for row in page.splitlines() if row.startswith("| [W")}
    assert "**1**" in worked["W1"]
    assert "**0.328504066972**" in worked["W2"]
    assert "**0.109501355657**" in worked["W2"]
    assert "W3" in worked
    for quantity, text, right in (
        ("z_h = W_h x + b_h", "0.5, 0.5, 0.7", "0.7, 0.7, 0.8"),
        ("z_o = W_o a_h + b_o", "1.6", "1.7"),
        ("softmax(z_o)", "1", "1"),
        ("L = -y log softmax(z_o)", "0", "0"),
        ("dL/dW_h", "not stated", "0, 0, 0, 0, 0, 0"),
    ):
        assert f"| `{quantity}` | {text} | **{right}** |" in page


def test_check_says_whether_the_file_is_current(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(formulas, "FOLDER", tmp_path)
    assert formulas.main(["--check"]) == 1
    assert formulas.main(["--write"]) == 0
    assert formulas.main(["--check"]) == 0
    for name in ("formulas.md", "documents.md", "from-pytorch.md"):
        (tmp_path / name).write_text("stale")
        capsys.readouterr()
        assert formulas.main(["--check"]) == 1
        out, err = capsys.readouterr()
        assert f"docs/{name} is stale; run python -m nnscratch.formulas --write" in err
        assert "is current" in out
        assert formulas.main(["--write"]) == 0


def test_without_a_choice_the_pages_are_printed(page, capsys):
    assert formulas.main([]) == 0
    assert capsys.readouterr().out == page + formulas.documents_page() + formulas.hints.page()
