"""Every code block in README and docs runs and prints what it says; every link leads somewhere; README's commands are CI's.

The cells of the notebooks are run by test_notebooks.py, the examples in docstrings by test_doctests.py.
"""

import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for the package `docs`
FOLDERS = (".", "docs", "docs/api", "benchmarks", "nnscratch/data")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md"))
# The pages with links alone: a notebook's blocks are cells, a table of results has none.
LINKED = [*PAGES, *sorted(ROOT.glob("docs/notebooks/*.md")), *sorted(ROOT.glob("benchmarks/results/*.md"))]
INSTALL = "python -m pip install"
# Pages elsewhere are not fetched: their addresses have to look like some, and be few.
EXTERNAL = r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w.~%/#?=&+-]*)?"


def blocks(page):
    """The fenced blocks of a page: (language, text)."""
    return re.findall(r"^```([\w{}-]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page):
    return [line for language, text in blocks(page) if language == "bash" for line in text.splitlines()]


def anchors(page):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_are_of_a_kind_that_is_checked(page):
    kinds = [language for language, _ in blocks(page)]
    # `python -m docs` makes the API pages' blocks into the names of the docstrings.
    assert set(kinds) <= ({"{eval-rst}"} if page.parent.name == "api" else {"python", "text", "bash", "cuda"})
    for before, kind in zip(["", *kinds], kinds, strict=False):
        assert kind != "text" or before == "python", "a text block is the output of the python block before it"
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(kinds)


@pytest.mark.parametrize("page", [p for p in PAGES if any(k == "python" for k, _ in blocks(p))], ids=lambda p: p.name)
def test_python_blocks_print_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    names = {"__name__": "page"}
    for i, (language, text) in enumerate(found):
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, f"{page.name}, block {i + 1}", "exec"), names)
            said = found[i + 1][1] if i + 1 < len(found) and found[i + 1][0] == "text" else ""
            assert out.getvalue() == said


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            assert re.fullmatch(EXTERNAL, link), link
        else:
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_table_of_contents():
    """The first page's lists are the site's table of contents; a page that is in none cannot be found."""
    front = ROOT / "docs" / "README.md"
    found = re.findall(r"\]\(([^)\s#]+\.md)\)", front.read_text(encoding="utf-8"))
    listed = {(front.parent / file).resolve() for file in found}
    assert [page for page in LINKED if page not in listed | {front}] == []


def test_readme_begins_with_two_commands_the_second_of_which_ci_runs():
    first, second = commands(ROOT / "README.md")[:2]
    assert first.startswith(f"{INSTALL} . && nnscratch train")
    assert second.startswith(f"{INSTALL} -e '.[test]' && python -m pytest")
    script = (ROOT / ".ci" / "run").read_text()
    extract = re.search(r"\$\((awk .* README\.md)\)", script)[1]
    found = subprocess.run(["bash", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found == second + "\n"


def test_the_part_to_read_in_an_afternoon_has_as_many_lines_as_readme_says():
    """By README's own command, to the hundred; where this fails, the number or the sentence is to change."""
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    said, command = re.search(
        r"in an afternoon: .*? about (\d+) lines, docstrings included, counted by `([^`]*)`", text
    ).groups()
    counted = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not counted.stderr
    assert abs(int(counted.stdout) - int(said)) <= 100 and int(said) < 4000


def test_every_command_of_the_pages_works(tmp_path, monkeypatch):
    """Installing is what CI and a newcomer do; what comes after it is tried here, training on a few images."""
    from nnscratch import cli, data

    train, test = data.mnist(sample=True)
    few = tuple(a[:300] for a in train), tuple(a[:100] for a in test)
    monkeypatch.setattr(data, "mnist", lambda sample=False: few)
    tried = 0
    for page in PAGES:
        for line in commands(page):
            for part in line.split(" && "):
                program, *arguments = shlex.split(part)
                if part.startswith(INSTALL):
                    assert arguments[3:] in (["."], ["-e", ".[test]"], ["-e", ".[docs]"], ["jupyterlab"])
                elif part == "jupyter lab notebooks":
                    pass  # it would serve until somebody ends it
                elif arguments[:2] == ["-m", "docs"]:
                    site = importlib.import_module("docs.__main__")
                    monkeypatch.chdir(tmp_path)
                    monkeypatch.setattr(site, "build", lambda run: 0)  # CI builds the site after the tests
                    assert site.main(arguments[2:]) == 0
                elif arguments[:2] == ["-m", "pytest"]:
                    options = [sys.executable, "-m", "pytest", *arguments[2:], "--collect-only", "tests/test_docs.py"]
                    subprocess.run(options, cwd=ROOT, capture_output=True, check=True)
                else:
                    assert program == "nnscratch", f"{page.name}: {line}"
                    monkeypatch.chdir(tmp_path)
                    assert cli.main(arguments) == 0
                tried += 1
    assert tried >= 4
