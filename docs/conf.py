"""How Sphinx builds the site: `python -m docs` runs it. The repository's root is the source folder.

The pages are written to be read on GitHub, too; where Sphinx wants something else, `_read` changes it as it reads.
"""

import contextlib
import hashlib
import html
import inspect
import io
import re
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from latex2mathml.converter import convert
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

import nnscratch as ns
from docs import reference
from nnscratch import cli, documents, formulas
from nnscratch.autograd import OPS, Op

ROOT = Path(__file__).parent.parent

project = "nnscratch"
release = version = ns.__version__
html_title = f"nnscratch {version}"

root_doc = "docs/README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "docs/*.md",
    "docs/api/*.md",
    "docs/notebooks/*.md",
    "benchmarks/README.md",
    "benchmarks/results/cpu.md",
    "benchmarks/results/distributed.md",
    "nnscratch/data/*.md",
]
exclude_patterns = ["docs/_build", ".*", "**/__pycache__"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_execution_show_tb = True  # a cell that fails is a warning, and so stops the build
nb_output_stderr = "error"
nb_merge_streams = True
nb_code_prompt_show = "Show the solutions"

autodoc_member_order = "bysource"
autosummary_generate = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # no links from their names to others of that name
default_role = "py:obj"
toc_object_entries = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


# The pages as GitHub has them


def _read(app, page, source):
    text = source[0]
    if page == root_doc:
        text += _contents(text)
    text = re.sub(r"\$`([^`]+)`\$", r"{math}`\1`", text)
    text = re.sub(r"\[([^\]]+)\]\((?:documents\.md)?#([^)]+)\)", _unlinked, text)
    source[0] = re.sub(r"\[([^\]]+)\]\(([^)\s#]+)\)", lambda link: _link(page, link), text)


def _unlinked(link):
    """The words of a citation that is a link on GitHub: `Citations` makes all of them."""
    return link[1] if link[2] in map(documents.anchor, documents.PLACES) else link[0]


def _contents(text):
    """The table of contents: the first page's sections, and the pages that each lists."""
    tables = []
    for heading, section in re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", text, re.M):
        pages = re.findall(r"^(?:-|(\d+\.)) \[([^\]]+)\]\(([^)\s#]+\.md)\)", section, re.M)
        entries = [f"{number} {title} <{page}>".lstrip() for number, title, page in pages]
        tables.append("\n".join(["```{toctree}", ":hidden:", f":caption: {heading}", "", *entries, "```"]))
    return "\n" + "\n\n".join(tables) + "\n"


def _link(page, link):
    """A link as it was, unless it leads to a folder: the site has none, and the folder's name stays."""
    target = (ROOT / page).parent.joinpath(link[2]).resolve()
    return f"`{target.relative_to(ROOT)}/`" if "://" not in link[2] and target.is_dir() else link[0]


# The API pages


class Public(SphinxDirective):
    """All public names of a module; with `:from:` those that come from the modules it lists."""

    required_arguments = 1
    option_spec: ClassVar = {"from": directives.unchanged}

    def run(self):
        sources = self.options.get("from", "").split()
        shown = reference.public(self.arguments[0])
        shown = {name: value for name, value in shown.items() if not sources or value.__module__ in sources}
        lines = [".. autosummary::", "   :nosignatures:", "", *(f"   ~{name}" for name in shown), ""]
        for name, value in shown.items():
            lines += _entry(name, value)
        return self.parse_text_to_nodes("\n".join(lines))


def _entry(name, value):
    if not isinstance(value, type):
        return [f".. autofunction:: {name}", ""]
    if reference.alias(name, value):
        return [f".. py:class:: {name}", "", f"   The same as `{reference.alias(name, value)}`.", ""]
    bases = ["   :show-inheritance:"] if value.__base__ in reference.every().values() else []
    # scikit-learn puts methods of its own into the classes derived from its
    theirs = [n for n, member in vars(value).items() if type(member).__module__.startswith("sklearn.")]
    left_out = [f"   :exclude-members: {', '.join(theirs)}"] if theirs else []
    return [f".. autoclass:: {name}", "   :members:", *left_out, *bases, ""]


def _operation(value, name):
    """The operation behind a public name, where it is one or is a function that applies the one of its name."""
    if isinstance(value, Op):
        return value
    called = {given: OPS[own] for own, given in formulas.CALLED.items()}
    short = name.replace("nnscratch.functional.", "F.")
    return called.get(short) or (
        OPS.get(value.__name__) if short.startswith("F.") and hasattr(value, "__name__") else None
    )


def _add_formula(app, what, name, value, options, lines):
    """Put an operation's formula, derivative and source, where they are not told yet, under a docstring's first paragraph."""
    op = _operation(value, name)
    if op is None or not op.formula:
        return
    text, added = "\n".join(lines), []
    at = _after(lines, 0)
    if ".. math::" in text:
        at = _after(lines, next(i for i, line in enumerate(lines) if ".. math::" in line))
    else:
        added += [f".. math:: {op.formula}", ""]
    if op.derivative and op.constant is not True:
        # What the operation calls prediction and target may have other names in the function that applies it.
        given = dict(zip(op.positional, inspect.signature(value).parameters, strict=False))
        inputs = ", ".join(f"``{given.get(n, n)}``" for n in op.rules)
        added += [f"Derivative by {inputs}:", "", f".. math:: {op.derivative}", ""]
    number = re.match(r"F\d+", op.document)
    if op.document and not (number and number[0] in text):
        added += [f"Source: {op.document}.", ""]
    lines[at:at] = added


def _after(lines, start):
    """Where the paragraph that begins at a line has ended, and the empty line after it."""
    end = next((i for i in range(start, len(lines)) if not lines[i].strip()), None)
    if end is None:
        lines.append("")
        end = len(lines) - 1
    return end + 1


class Help(SphinxDirective):
    """What the command `nnscratch` and each of its commands print with --help."""

    def run(self):
        text = []
        for command in ["", *re.findall(r"^    (\w+) ", _help(""), re.M)]:
            lines = _help(command).rstrip().splitlines()
            text += [".. code-block:: text", "", *(f"   {line}" for line in lines), ""]
        return self.parse_text_to_nodes("\n".join(text))


def _help(command):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main([*command.split(), "--help"])
    return out.getvalue()


def _resolve(app, environment, node, content):
    """Lead `ns.exp` and `F.relu` in a docstring to what they are short for."""
    short = {"ns": "nnscratch", "F": "nnscratch.functional", "nn": "nnscratch.nn", "optim": "nnscratch.optim"}
    first, point, rest = node.get("reftarget", "").partition(".")
    if node.get("refdomain") == "py" and point and first in short:
        domain = environment.get_domain("py")
        node["reftarget"] = f"{short[first]}.{rest}"
        return domain.resolve_xref(
            environment, node["refdoc"], app.builder, node["reftype"], node["reftarget"], node, content
        )


# Citations of the documents, as links that say what they lead to


class Citations(SphinxPostTransform):
    """Each citation in words becomes a link to its place on the page of the documents, which a pointer tells the title of."""

    default_priority = 900  # the other links are made by then
    PAGE = "docs/documents"

    def run(self, **kwargs):
        page = self.app.builder.get_relative_uri(self.env.docname, self.PAGE) if self.env.docname != self.PAGE else ""
        for text in list(self.document.findall(nodes.Text)):
            if not self._inside(text):
                text.parent.replace(text, list(self._parts(text.astext(), page)))

    def _parts(self, words, page):
        for part, key in documents.pieces(words):
            if key:
                link = {"refuri": f"{page}#{documents.anchor(key)}", "reftitle": documents.meaning(key)}
                yield nodes.reference("", part, internal=True, **link)
            elif part:
                yield nodes.Text(part)

    def _inside(self, node):
        """Whether a text is part of what holds no citations: headings, links, code, formulas."""
        kinds = nodes.title, nodes.reference, nodes.FixedTextElement, nodes.literal, nodes.math, nodes.raw
        while node.parent is not None:
            node = node.parent
            if isinstance(node, kinds):
                return True
        return False


def _anchor(app, document):
    """The page of the documents has the anchors that GitHub gives it, which Sphinx would number."""
    if app.env.docname == Citations.PAGE:
        for section in document.findall(nodes.section):
            key = section.next_node(nodes.title).astext()
            if key in documents.PLACES:
                section["ids"].append(documents.anchor(key))


# Formulas, as MathML: browsers typeset it by themselves, without a script from elsewhere


def _mathml(latex, display="inline"):
    text = convert(latex.replace(r"\_", "_").replace("{aligned}", "{align*}"), display=display)
    # A function's name stands off from an argument without brackets, as in TeX.
    name = "<mi>[a-z]{2,}</mi>"
    alone = rf"<msup>{name}<mn>\d+</mn></msup>|(?<!<msup>)(?<!<msub>){name}"
    return re.sub(rf"({alone})(?=<m(?!o))", r'\1<mspace width="0.17em"/>', text)


_WORDS = r"\\text\{(?:[^{}$\\]|\\_)*\}"


def _inline(latex):
    """A formula in a line, which may end at a wide space and, where words stand between formulas, within the words."""
    for between in (rf"(\\quad\s|{_WORDS})", r"(\\quad\s)"):
        parts = [part for part in re.split(between, latex) if part.strip()]
        if all(map(_whole, parts)):
            return "".join(map(_part, parts))
    return _mathml(latex)


def _whole(latex):
    return latex.count("{") == latex.count("}") and len(re.findall(r"\\(?:left|right)\b", latex)) % 2 == 0


def _part(latex):
    if latex.startswith(r"\quad"):
        return "&emsp; "
    if re.fullmatch(_WORDS, latex):
        return html.escape(latex[len(r"\text{") : -1].replace(r"\_", "_"))
    return _mathml(latex)


def _visit_math(self, node):
    self.body.append(_inline(node.astext()))
    raise nodes.SkipNode


def _visit_math_block(self, node):
    self.body.append(f'<div class="math">{_mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app):
    sources = sorted(p for folder in ("nnscratch", "kernels") for p in (ROOT / folder).rglob("*.py"))
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
    app.add_config_value("package_digest", digest, "env", str)  # another package: all pages and notebooks are made anew
    app.config.package_digest = digest
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _add_formula, priority=400)  # before napoleon reads the sections
    app.connect("missing-reference", _resolve)
    app.connect("doctree-read", _anchor)
    app.add_post_transform(Citations)
    app.add_directive("public", Public)
    app.add_directive("command-help", Help)
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


html_math_renderer = "mathml"
