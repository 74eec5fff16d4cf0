"""docs/documents.md has a place for every citation, and what cites leads there."""

import ast
import importlib
import io
import re
import tokenize
from pathlib import Path

import pytest

import nnscratch as ns
from nnscratch import documents, formulas, systems
from nnscratch.autograd import OPS

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md"]
PAGES = [page for page in PAGES if "_build" not in page.parts]
SOURCES = [*ROOT.glob("nnscratch/**/*.py"), *ROOT.glob("kernels/**/*.py"), *ROOT.glob("kernels/**/*.cu")]


def headings():
    return re.findall(r"^#+ (.*)$", formulas.documents_page(), re.M)


def words(path):
    """What a file says: a page without its code and formulas, of a program its strings and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return [documents._NO_WORDS.sub(lambda m: re.match(r"\[?([^\]`$]*)", m[0])[1] + "\n\n", text)]
    if path.suffix == ".cu":
        return re.findall(r"//.*|/\*.*?\*/", text, re.S)
    strings = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [*strings, *(token.string for token in tokens if token.type == tokenize.COMMENT)]


def cited(text):
    return [key for _, _, key in documents.citations(text)]


def test_citations_are_found():
    assert cited("F1: 001 §1, §2; 002 §4.1–4.2; 004 §2.2.3") == [
        "F1",
        "001 §1",
        "001 §2",
        "002 §4.1",
        "002 §4.2",
        "004 §2.2.3",
    ]
    assert cited("004 (§2.2.4, §2.3.4 and §4.4.1)") == ["004", "004 §2.2.4", "004 §2.3.4", "004 §4.4.1"]
    assert cited("000 App. Q3, 001 §5, 002 App. 3,\n    003 §9.4.") == [
        "000 App. Q3",
        "001 §5",
        "002 App. 3",
        "003 §9.4",
    ]
    assert cited("000 §4's code, and 001 (point 1), 000\n§3") == ["000 §4", "001", "000 §3"]
    assert cited("(E1, E2), S12; W3. F1–F14") == ["E1", "E2", "S12", "W3", "F1", "F14"]


@pytest.mark.parametrize(
    "text",
    ["0.001 and 10,000 images", "Goyal et al., 2017, §2.2", "its F1 score", "noqa: E402, F401", "W1ᵀ, W1b, F1.x, 2112.001",
     "000 §4 states it. Another has it in §3", "1–4", "in 1000"],
)  # fmt: skip
def test_what_is_no_citation_is_none(text):
    assert [key for key in cited(text) if key != "000 §4"] == []


def test_what_the_documents_have_not_is_no_right_citation():
    wrong = ["000 §99", "F15", "S14", "W4", "E10", "004 §3", "003 App. Q1"]
    assert [cited(key) for key in wrong] == [[key] for key in wrong]
    assert [key for key in wrong if key in documents.PLACES] == []


def test_every_place_has_its_anchor():
    assert [h for h in headings() if h in documents.PLACES] == list(documents.PLACES)
    anchors = [documents.anchor(key) for key in documents.PLACES]
    assert len(set(anchors)) == len(anchors)
    wanted = [f"{letter}{i}" for letter, n in (("F", 14), ("S", 13), ("W", 3), ("E", 9)) for i in range(1, n + 1)]
    assert [key for key in wanted if key not in documents.PLACES] == []


def test_every_citation_of_operations_optimisers_and_systems_leads_to_a_place():
    stated = [o.document for o in (*OPS.values(), ns.optim.SGD, ns.optim.Adam)]
    stated += [text for s in systems.every() for text in (s.document, s.id)]
    stated += [row[2] for row in formulas.NOT_OPERATIONS]
    keys = [key for text in stated for key in cited(text)]
    assert len(keys) > 60
    assert [key for key in keys if key not in documents.PLACES] == []


def test_the_texts_cite_nothing_that_has_no_place():
    keys = {}
    for path in (*PAGES, *SOURCES):
        for text in words(path):
            found = documents.citations(text)
            for _, _, key in found:
                keys.setdefault(key, path)
            for match in re.finditer(r"(?<![\w.,])\d{3} (?:§|App\.)", text):
                assert any(start == match.start() for start, _, _ in found), (path, match[0])
    assert len(keys) > 80
    assert {key: path for key, path in keys.items() if key not in documents.PLACES} == {}


def test_systems_are_those_of_the_package():
    page = formulas.documents_page()
    for system in systems.every():
        (text,) = re.findall(rf"^### {system.id}\n(.*?)(?=^##)", page, re.M | re.S)
        assert f"`nnscratch train {system.name}`" in text
        assert set(cited(system.document)) <= set(cited(documents.SYSTEMS[system.id].text))
    assert page.count("still to come in nnscratch") == len(documents.SYSTEMS) - len(systems.every())


def test_links_leave_code_formulas_headings_and_links_alone():
    text = "# F1\n`F2` $F_3 F4$ $`F5`$ [F6](x.md)\n```\nF7\n```\n<a title='F8'> F9"
    assert documents.linked(text, "documents.md") == text[:-2] + "[F9](documents.md#f9)"
    assert documents.linked("F9", "d.md", titles=True) == '[F9](d.md#f9 "F9: backpropagation")'


def test_explain_and_graph_say_what_a_citation_names():
    x = ns.tensor([0.5], requires_grad=True)
    y = ns.functional.sigmoid(x)
    assert f"<abbr title='{documents.meaning('000 §4')}'>000 §4</abbr>" in ns.explain(y)._repr_html_()
    assert documents.meaning("004 §4.4.2") in ns.graph(y)._repr_html_()


def test_a_site_whose_citations_lead_nowhere_is_not_built(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # for the package `docs`
    site = importlib.import_module("docs.__main__")
    (tmp_path / "docs" / "api").mkdir(parents=True)
    (tmp_path / "docs" / "documents.html").write_text('<span id="000-4"></span><a href="#f1"></a>')
    (tmp_path / "docs" / "api" / "nn.html").write_text(
        '<a href="../documents.html#000-4"></a><a href="../documents.html#f2"></a>'
    )
    assert site.astray(tmp_path) == ["#f1", "#f2"]
