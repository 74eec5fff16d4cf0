"""`python -m docs` builds the site; `python -m docs notebooks` writes the notebooks for JupyterLab and VS Code."""

import argparse
import functools
import hashlib
import importlib.util
import logging
import os
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = HERE / "_build"
HTML = BUILD / "html"
LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)")


def build(run=True):
    """Build the site into docs/_build/html, warnings as errors, and see that it has every public name and citation.

    Unless the notebooks are to `run`, their pages show what they say alone.
    """
    from sphinx.cmd.build import main as sphinx

    prepare()
    os.environ["NNSCRATCH_QUIET"] = "1"  # a line on what is compiled is no part of a page
    doctrees = BUILD / "doctrees"
    options = ["-b", "html", "-c", HERE, "-d", doctrees, "-j", "2", "-W", "--keep-going", "-q"]
    options += [] if run else ["-D", "nb_execution_mode=off"]
    if sphinx([str(o) for o in [*options, ROOT, HTML]]):
        shutil.rmtree(doctrees, ignore_errors=True)  # a page that was read once would not be complained of again
        return 1
    lacking = missing()
    for name in lacking:
        print(f"docs: {name} is public and on no API page; name its module in a `public` directive", file=sys.stderr)
    lost = astray(HTML)
    for link in lost:
        print(f"docs: a citation leads to {link}, which the page of the documents has not", file=sys.stderr)
    if lacking or lost:
        return 1
    first = HTML / "index.html"
    first.write_text('<!doctype html><meta http-equiv="refresh" content="0; url=docs/README.html">\n')
    print(f"The site is built; open {os.path.relpath(first)} in a browser.")
    return 0


def prepare():
    """Let the notebooks' kernels start alike on all machines, without a user's own settings, and say nothing but errors."""
    settings = BUILD / "ipython" / "profile_default" / "ipython_kernel_config.py"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("c.IPKernelApp.log_level = 40\n")
    os.environ["IPYTHONDIR"] = str(BUILD / "ipython")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two notebooks run side by side
    os.environ["COLUMNS"] = "100"  # of the command's help
    logging.getLogger("traitlets").setLevel(logging.WARNING)  # nbclient names each notebook that it runs


def missing():
    """The public names that the built site's index has not."""
    from sphinx.util.inventory import InventoryFile

    from docs import reference

    with (HTML / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, uri: uri)
    shown = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    return [name for name in reference.names() if name not in shown]


def astray(html):
    """The links to places that the built page of the documents has not."""
    page = (html / "docs" / "documents.html").read_text(encoding="utf-8")
    places = set(re.findall(r'id="([^"]+)"', page))
    links = re.findall(r'href="(#[^"]+)"', page)
    for other in html.rglob("*.html"):
        links += re.findall(r'href="[^"]*documents\.html(#[^"]+)"', other.read_text(encoding="utf-8"))
    return sorted({link for link in links if link[1:] not in places})


def write_notebooks(folder):
    """Write each notebook into a folder as .ipynb, where there is none or one that its reader has not changed."""
    import jupytext

    from nnscratch import documents

    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted((HERE / "notebooks").glob("*.md")):
        notebook = jupytext.read(source)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cited = documents.linked(cell.source, "../documents.md", titles=True)
                cell.source = LINK.sub(functools.partial(_from, folder, source.parent), cited)
            elif "hide-cell" in cell.metadata.get("tags", ()):
                cell.metadata["jupyter"] = {"source_hidden": True}
        digest = _digest(notebook)
        notebook.metadata["nnscratch"] = {"written": digest}
        path = folder / f"{source.stem}.ipynb"
        name = os.path.relpath(path)
        if path.exists():
            there = jupytext.read(path)
            if _digest(there) == digest:
                print(f"{name} is there, and current.")
                continue
            if _digest(there) != there.metadata.get("nnscratch", {}).get("written"):
                print(f"{name} has been changed, and stays as it is; move it away to get a new one.")
                continue
        jupytext.write(notebook, path)
        print(f"{name} is written.")
    return 0


def _from(folder, home, match):
    """A notebook's link, as it is from the folder that the notebook is written into."""
    target = home / match[1]
    path = f"{target.stem}.ipynb" if target.resolve().parent == home else os.path.relpath(target, folder)
    return f"]({Path(path).as_posix()}"


def _digest(notebook):
    """What changes with a notebook's text, and not with the results of running it."""
    text = "\0".join(f"{cell.cell_type} {cell.source}" for cell in notebook.cells)
    return hashlib.sha256(text.encode()).hexdigest()


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m docs", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="notebooks [DIR]")
    notebooks = commands.add_parser("notebooks", help="write the notebooks as .ipynb files")
    notebooks.add_argument("folder", nargs="?", type=Path, default=Path("notebooks"), metavar="DIR")
    parser.add_argument(
        "--no-run", action="store_true", help="build the site without running the notebooks, which the tests run"
    )
    options = parser.parse_args(arguments)
    needed = ["jupytext"] if options.command else ["sphinx", "myst_nb", "furo", "latex2mathml", "hypothesis", "sklearn"]
    if any(importlib.util.find_spec(name) is None for name in needed):
        print("docs: needs packages that are not installed; run pip install -e '.[docs]'", file=sys.stderr)
        return 1
    return write_notebooks(options.folder) if options.command else build(not options.no_run)


if __name__ == "__main__":
    sys.exit(main())
