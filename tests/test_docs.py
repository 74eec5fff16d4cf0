"""Every code block in README and docs runs and prints what it says; every link leads somewhere; README's commands are CI's."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("nnscratch/data/*.md")]
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
INSTALL = "python -m pip install"


def blocks(page):
    """The fenced blocks of a page: (language, text)."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page):
    return [line for language, text in blocks(page) if language == "bash" for line in text.splitlines()]


def anchors(page):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_are_of_a_kind_that_is_checked(page):
    kinds = [language for language, _ in blocks(page)]
    assert set(kinds) <= {"python", "text", "bash"}
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


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_readme_begins_with_two_commands_the_second_of_which_ci_runs():
    first, second = commands(ROOT / "README.md")[:2]
    assert first.startswith(f"{INSTALL} . && nnscratch train")
    assert second.startswith(f"{INSTALL} -e '.[test]' && python -m pytest")
    script = (ROOT / ".ci" / "run").read_text()
    extract = re.search(r"\$\((awk .* README\.md)\)", script)[1]
    found = subprocess.run(["bash", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found == second + "\n"


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
                    assert arguments[3:] in (["."], ["-e", ".[test]"])
                elif arguments[:2] == ["-m", "pytest"]:
                    options = [sys.executable, "-m", "pytest", *arguments[2:], "--collect-only", "tests/test_docs.py"]
                    subprocess.run(options, cwd=ROOT, capture_output=True, check=True)
                else:
                    assert program == "nnscratch", f"{page.name}: {line}"
                    monkeypatch.chdir(tmp_path)
                    assert cli.main(arguments) == 0
                tried += 1
    assert tried >= 4
