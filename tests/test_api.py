"""Every public name says what it is, what it takes, returns and refuses, with an example; the API pages miss none.

What is public is said by docs/reference.py, from which the pages are made; `python -m docs` compares their index with it, too.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from pathlib import Path

import pytest

import nnscratch as ns
from nnscratch.autograd import Op

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
reference = importlib.import_module("docs.reference")

# What the public modules are built on; users meet some of it through them.
INTERNAL = set(
    "__main__ arguments autograd backend backward_pass casting cli creation documents environment files formulas gradcheck hints interchange "
    "jacobians kernels lazy markup ops program pytorch_names state_files tensor view".split()
)
# Old names of modules, kept for one version.
RENAMED = {"samples"}


def own_docstring(value):
    """A class's own docstring: an inherited one is about its base."""
    return (vars(value).get("__doc__") if isinstance(value, type) else value.__doc__) or ""


def section(text, title):
    """The lines of a docstring's section, or None."""
    found = re.search(rf"^ *{title}\n *-+\n(.*?)(?=\n *\n *[A-Z]\w*\n *---|\Z)", text, re.M | re.S)
    return found and found[1]


def faults(value):
    """What a docstring lacks that the code asks for."""
    text = own_docstring(value)
    if section(text, "Examples") is None or ">>> " not in text:
        yield "an example"
    if re.search(r"those of\s+`[\w.]+`", text):
        return  # the parameters, results and errors of another name, which is looked at, too
    made = isinstance(value, type) and section(text, "Attributes") is not None
    function = (
        value.forward if isinstance(value, Op) else vars(value).get("__init__") if isinstance(value, type) else value
    )
    parameters = [p.name for p in inspect.signature(value).parameters.values() if p.kind is not p.VAR_KEYWORD]
    if parameters and not made:
        named = re.findall(r"^ *((?:\*{0,2}\w+(?:, )?)+)(?: :.*)?$", section(text, "Parameters") or "", re.M)
        named = {name.strip("* ") for names in named for name in names.split(",")}
        yield from (f"the parameter {name}" for name in parameters if name not in named)
    code = ast.parse(textwrap.dedent(inspect.getsource(function))) if function else ast.Module([])
    returns = any(isinstance(node, ast.Return) and node.value for node in ast.walk(code))
    if (
        parameters
        and returns
        and not isinstance(value, type)
        and not (section(text, "Returns") or section(text, "Yields"))
    ):
        yield "what it returns"
    if any(map(_refuses, ast.walk(code))) and not section(text, "Raises") and not re.search(r"Made\s+by `", text):
        yield "what it raises"


def _refuses(node):
    """Whether code raises an error, or lets nnscratch.arguments do so."""
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.Raise) or (
        isinstance(called, ast.Attribute) and ast.unparse(called.value) == "arguments"
    )


@pytest.mark.parametrize("module", reference.MODULES)
def test_docstrings_say_what_the_code_asks_for(module):
    names = reference.public(module)
    assert names
    assert {name: found for name, value in names.items() if (found := list(faults(value)))} == {}


@pytest.mark.parametrize("module", reference.MODULES)
def test_methods_and_properties_say_what_they_are(module):
    silent = []
    for name, value in reference.public(module).items():
        for member in reference.members(value) if isinstance(value, type) else ():
            # getdoc finds what the base says of a method that is written anew
            if len((inspect.getdoc(getattr(value, member)) or "").split()) < 2:
                silent.append(f"{name}.{member}")
    assert silent == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("", "", []),
        (">>> both(1, 2)", "both(1, 2)", ["an example"]),
        ("a, b : int", "a : int", ["the parameter b"]),
        ("Parameters\n    ----------", "", ["the parameter a", "the parameter b"]),
        ("Returns\n    -------", "", ["what it returns"]),
        ("Raises\n    ------", "", ["what it raises"]),
        ("Raises\n    ------", "Errors are those of `neither`.", []),
    ],
)
def test_faults_of_docstrings_are_found(before, after, fault, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(PLANTED.replace(before, after, 1))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "planted", raising=False)
    importlib.invalidate_caches()
    assert list(faults(importlib.import_module("planted").both)) == fault


PLANTED = '''
def both(a, b):
    """Both.

    Parameters
    ----------
    a, b : int

    Returns
    -------
    A pair.

    Raises
    ------
    ValueError
        Where they are one.

    Examples
    --------
    >>> both(1, 2)
    (1, 2)
    """
    if a is b:
        raise ValueError("both: got one")
    return a, b
'''


def test_every_public_module_is_known():
    found = {module.name for module in pkgutil.iter_modules(ns.__path__[:1])}
    public = {name.split(".")[1] for name in reference.MODULES if "." in name}
    assert not public & INTERNAL
    assert found - INTERNAL - RENAMED == public


def test_the_old_names_of_modules_work_and_say_the_new_one():
    with pytest.warns(DeprecationWarning, match="now nnscratch.sample_inputs; import Case from there"):
        from nnscratch.samples import Case
    assert Case is ns.sample_inputs.Case
    with pytest.warns(DeprecationWarning, match="import normal from there"):
        assert ns.samples.normal is ns.sample_inputs.normal


def test_the_pages_show_every_public_name():
    shown = set()
    for page in (ROOT / "docs" / "api").glob("*.md"):
        for module, sources in re.findall(r"^\.\. public:: (\S+)(?:\n   :from: (.*))?$", page.read_text(), re.M):
            names = reference.public(module).items()
            shown |= {name for name, value in names if not sources or value.__module__ in sources.split()}
    assert set(reference.every()) - shown == set()


def test_the_names_that_users_rely_on_are_there():
    for name in (
        "Tensor tensor op grad graph explain no_grad manual_seed devices gradcheck GradientError save load Trainer "
        "functional.sigmoid functional.relu functional.tanh functional.softmax functional.log_softmax functional.mse_loss "
        "functional.cross_entropy functional.binary_cross_entropy functional.linear functional.conv2d functional.max_pool2d "
        "functional.avg_pool2d functional.dropout functional.embedding "
        "nn.Module nn.Sequential nn.Linear nn.Conv1d nn.Conv2d nn.ConvTranspose2d nn.Flatten nn.Dropout nn.BatchNorm1d nn.BatchNorm2d "
        "nn.LayerNorm nn.Embedding nn.Residual optim.SGD optim.Adam optim.AdamW optim.lr_scheduler.StepLR "
        "optim.lr_scheduler.ExponentialLR optim.lr_scheduler.CosineLR optim.lr_scheduler.LinearWarmup optim.clip_grad_norm "
        "data.mnist data.read_idx data.batches data.split data.k_fold data.class_weights "
        "metrics.accuracy metrics.precision metrics.recall metrics.f1 metrics.confusion_matrix metrics.roc_curve metrics.auc"
    ).split():
        value = ns
        for part in name.split("."):
            value = getattr(value, part)
        assert callable(value), name
