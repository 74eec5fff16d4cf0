"""Every notebook runs; its exercises fail when empty and pass when solved; it is built as a notebook that teaches is."""

import ast
import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
reference = importlib.import_module("docs.reference")

PATHS = sorted(ROOT.glob("docs/notebooks/*.md"))
SHORT = {"F": "functional", **{name: name for name in ("nn", "optim", "data", "metrics", "pictures")}}
PUBLIC = set(reference.MODULES) | set(reference.every()) | {"nnscratch.__version__"}

each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(text):
    return jupytext.reads(text, fmt="md:myst")


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def code(notebook):
    """The code of all cells; lines that only a notebook understands are left out."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", text, flags=re.M)


# Each of these lists what is wrong with a notebook.


def faults_of_structure(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    lines = [line for line in text.splitlines() if line]
    if not lines or not re.match(r"# \S", lines[0]):
        yield "it does not begin with a title"
    if sum(line.startswith("# ") for line in lines) != 1:
        yield "it needs one heading of the first level: its title"
    before = text.partition("\n## ")[0]
    if not re.search(r"^After this notebook you can:?\n\n?(?:- .+\n?(?:  .+\n?)*){3,6}", before, re.M):
        yield "before the first section it does not say `After this notebook you can` with a list of 3 to 6 things"
    if len(re.findall(r"^## ", text, re.M)) < 4 or "## Solutions" not in lines:
        yield "it needs sections, the last of them `## Solutions`"


def faults_of_exercises(notebook):
    kinds = [k for cell in notebook.cells for k in cell.metadata.get("tags", ()) if k in ("exercise", "check")]
    if kinds != ["exercise", "check"] * (len(kinds) // 2) or not 6 <= len(kinds) <= 10:
        yield f"it needs 3 to 5 exercises, each a cell tagged exercise and then one tagged check; it has {kinds}"
    solutions = tagged(notebook, "solution")
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if len(solutions) != 1 or solutions[0] is not code_cells[-1] or "hide-cell" not in solutions[0].metadata.tags:
        yield "its last code cell, and only that one, is tagged solution and hide-cell"
    for i, cell in enumerate(tagged(notebook, "check"), 1):
        if not re.search(rf"^@ns\.testing\.exercise\ndef exercise_{i}\(\):", cell.source, re.M):
            yield f"check {i} does not define exercise_{i} with @ns.testing.exercise"


def faults_of_names(notebook):
    """What it imports of nnscratch, and which of its names it uses, other than the public ones."""
    known = {}
    tree = ast.parse(code(notebook))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "nnscratch" and alias.asname == "ns":
                    known["ns"] = "nnscratch"
                elif alias.name.startswith("nnscratch"):
                    yield f"import {alias.name}: write `import nnscratch as ns`"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nnscratch"):
            for alias in node.names:
                short = alias.asname or alias.name
                if node.module == "nnscratch" and SHORT.get(short) == alias.name:
                    known[short] = f"nnscratch.{alias.name}"
                else:
                    yield f"from {node.module} import {alias.name} as {short}: not one of {', '.join(SHORT)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if re.match(r"_(?!_\w+__$)", node.attr):
                yield f".{node.attr} is private"
            path = []
            while isinstance(node, ast.Attribute):
                path.insert(0, node.attr)
                node = node.value
            full = known.get(node.id) if isinstance(node, ast.Name) else None
            while path and full in reference.MODULES:  # what a class has of its own is not looked at
                full = f"{full}.{path.pop(0)}"
            if full and full not in PUBLIC:
                yield f"{full} is not public"


def execute(notebook, folder):
    """Run all cells in a kernel of its own that starts in `folder`, without a user's settings; a cell's error is one here."""
    resources = {"metadata": {"path": folder}}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources)
    return client.execute(env=os.environ | {"IPYTHONDIR": str(folder / "ipython"), "NNSCRATCH_QUIET": "1"})


def printed(cell):
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def faults_of_outputs(notebook):
    """What an executed notebook shows that it should not, and lacks that it should show."""
    for cell in notebook.cells:
        for out in cell.get("outputs", ()):
            if out.output_type == "stream" and out.name == "stderr":
                yield f"stderr: {out.text}"
    solutions = "".join(printed(cell) for cell in tagged(notebook, "solution"))
    for i, cell in enumerate(tagged(notebook, "check"), 1):
        if not re.fullmatch(rf"exercise {i}: not yet\. (?!Your answer raises|an assertion without).+\n", printed(cell)):
            yield f"exercise {i} should give a hint for the empty answer; it prints: {printed(cell)}"
        if f"exercise {i}: right\n" not in solutions:
            yield f"exercise {i} does not call its solution right; the solutions print: {solutions}"


def test_there_are_fourteen():
    assert [path.stem[:2] for path in PATHS] == [f"{i:02}" for i in range(1, 15)]


FAULTS = (faults_of_structure, faults_of_exercises, faults_of_names)


@each_notebook
def test_is_built_as_a_notebook_that_teaches(path):
    notebook = read(path.read_text(encoding="utf-8"))
    assert [fault for faults in FAULTS for fault in faults(notebook)] == []


@each_notebook
def test_runs_and_its_exercises_tell_an_empty_answer_from_a_right_one(path, tmp_path):
    notebook = execute(read(path.read_text(encoding="utf-8")), tmp_path)
    assert list(faults_of_outputs(notebook)) == []


# The checks above find what they look for.

HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""

SAMPLE = (
    HEADER
    + """
# Doubling

A notebook in few words.

After this notebook you can

- double a number,
- double it again,
  and see what comes out,
- stop.

## Doubles

```{code-cell} ipython3
import nnscratch as ns
from nnscratch import functional as F, nn

print(F.relu(ns.tensor([1.0, -1.0])))
```
"""
    + "".join(
        f"""
## Exercise {i}

```{{code-cell}} ipython3
:tags: [exercise]

answer_{i} = None
```

```{{code-cell}} ipython3
:tags: [check]

@ns.testing.exercise
def exercise_{i}():
    assert answer_{i} is not None, "write your answer in the cell above"
    assert answer_{i} == {2 * i}, "double {i}"
```
"""
        for i in (1, 2, 3)
    )
    + """
## Solutions

```{code-cell} ipython3
:tags: [solution, hide-cell]

answer_1, answer_2, answer_3 = 2, 4, 6
exercise_1(), exercise_2(), exercise_3();
```
"""
)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("", "", None),
        ("# Doubling", "Doubling", "it does not begin with a title"),
        ("## Doubles", "# Doubles", "one heading of the first level"),
        ("- double a number,\n", "", "a list of 3 to 6"),
        ("After this notebook you can", "You will learn to", "a list of 3 to 6"),
        ("## Solutions", "## Answers", "the last of them `## Solutions`"),
        (":tags: [exercise]", ":tags: [check]", "a cell tagged exercise and then one tagged check"),
        (":tags: [exercise]", "", "3 to 5 exercises"),
        (":tags: [solution, hide-cell]", ":tags: [solution]", "tagged solution and hide-cell"),
        ("@ns.testing.exercise", "", "does not define exercise_1"),
        ("import nnscratch as ns", "import nnscratch", "import nnscratch: write"),
        ("as F, nn", "as F, autograd", "from nnscratch import autograd as autograd: not one of"),
        (
            "from nnscratch import functional",
            "from nnscratch.ops import activation",
            "from nnscratch.ops import activation",
        ),
        ("print(F.relu", "print(F.no_such", "nnscratch.functional.no_such is not public"),
        ("print(F.relu", "print(ns.autograd.grad", "nnscratch.autograd is not public"),
        ("print(F.relu(", "print(ns._os.getcwd(", "_os is private"),
        ("])))", "])._node))", "_node is private"),
    ],
)
def test_faults_are_found(before, after, fault):
    changed = SAMPLE.replace(before, after, 1)
    found = [fault for faults in FAULTS for fault in faults(read(changed))]
    assert found == [] if fault is None else any(fault in each for each in found)


@pytest.mark.parametrize(
    ("before", "after", "faults"),
    [
        ("", "", []),
        ("print(", "import sys; sys.stderr.write('careful'); print(", ["stderr: careful"]),
        ("answer_2 = None", "answer_2 = 4", ["exercise 2 should give a hint"]),
        ("assert answer_2 is not None", "assert answer_2 + 1", ["exercise 2 should give a hint"]),
        ("= 2, 4, 6", "= 2, 4, 7", ["exercise 3 does not call its solution right"]),
    ],
    ids=["none", "stderr", "no empty answer", "raises", "wrong solution"],
)
def test_faults_of_outputs_are_found(before, after, faults, tmp_path):
    notebook = execute(read(SAMPLE.replace(before, after, 1)), tmp_path)
    found = list(faults_of_outputs(notebook))
    assert len(found) == len(faults)
    assert all(map(str.startswith, found, faults))


def test_an_error_in_a_cell_stops_a_notebook(tmp_path):
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        execute(read(SAMPLE.replace("print(", "print(1 / 0, ")), tmp_path)


# What a reader gets of them


@pytest.fixture
def site(tmp_path, monkeypatch):
    """`python -m docs`, among notebooks and in a folder of its own."""
    module = importlib.import_module("docs.__main__")
    (tmp_path / "docs" / "notebooks").mkdir(parents=True)
    (tmp_path / "docs" / "formulas.md").touch()
    (tmp_path / "docs" / "documents.md").touch()
    text = SAMPLE.replace(
        "A notebook in few words.", "See [formulas](../formulas.md#f1) and [this](01-sample.md), by F3."
    )
    (tmp_path / "docs" / "notebooks" / "01-sample.md").write_text(text)
    monkeypatch.setattr(module, "HERE", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    return module


def test_notebooks_are_written_as_files_that_run(site, tmp_path, capsys):
    assert site.main(["notebooks"]) == 0
    assert capsys.readouterr().out == "notebooks/01-sample.ipynb is written.\n"
    notebook = jupytext.read(tmp_path / "notebooks" / "01-sample.ipynb")
    assert "[formulas](../docs/formulas.md#f1) and [this](01-sample.ipynb)" in notebook.cells[0].source
    assert 'by [F3](../docs/documents.md#f3 "F3: ReLU").' in notebook.cells[0].source
    folded = [cell.metadata["jupyter"] for cell in notebook.cells if "jupyter" in cell.metadata]
    assert folded == [{"source_hidden": True}] == [cell.metadata["jupyter"] for cell in tagged(notebook, "solution")]
    assert list(faults_of_outputs(execute(notebook, tmp_path))) == []


def test_a_notebook_that_its_reader_has_changed_is_never_overwritten(site, tmp_path, capsys):
    path, source = tmp_path / "notebooks" / "01-sample.ipynb", tmp_path / "docs" / "notebooks" / "01-sample.md"

    def rewrite(file, before, after):
        file.write_text(file.read_text().replace(before, after))

    def said():
        assert site.main(["notebooks"]) == 0
        return capsys.readouterr().out.removeprefix("notebooks/01-sample.ipynb ")

    assert said() == "is written.\n"
    # The results of running it are no change: they stay while the text is current, and go with an older text.
    notebook = jupytext.read(path)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="right")]
    jupytext.write(notebook, path)
    assert said() == "is there, and current.\n"
    assert jupytext.read(path).cells[-1].outputs
    rewrite(source, "- stop.", "- stop in time.")
    assert said() == "is written.\n"
    assert "stop in time" in path.read_text()

    rewrite(path, "answer_1 = None", "answer_1 = 2")
    kept = path.read_text()
    for _ in range(2):
        assert said() == "has been changed, and stays as it is; move it away to get a new one.\n"
        assert path.read_text() == kept
        rewrite(source, "stop in time", "go on")


def test_a_missing_package_is_a_sentence(site, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for arguments in ([], ["notebooks"]):
        assert site.main(arguments) == 1
        assert capsys.readouterr().err == "docs: needs packages that are not installed; run pip install -e '.[docs]'\n"
