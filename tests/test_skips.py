"""Every reason for which a test may be skipped is explained in docs/testing.md, and the page explains no others."""

import ast
import re
from pathlib import Path

import pytest

import nnscratch as ns

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "testing.md").read_text(encoding="utf-8")

#: What the reasons begin with that are computed: by the file, and by what is passed on.
COMPUTED = {
    ("conftest.py", "str(error)"): "device: 'cuda' is not available",
    ("test_cuda_readable.py", "str(error)"): "device: 'cuda' is not available",
    ("test_device.py", "str(error)"): "device: 'cuda' is not available",
    ("test_device_deferred.py", "str(error)"): "device: 'cuda' is not available",
    ("test_graph.py", "run.stderr.strip()"): "browser: ",
}


def explained():
    """The reasons in the table's first column, each with the number in its last."""
    rows = re.findall(r"^\| `(.*?)` \|(?: [^|]+\|){2} ([\d,]+) \|$", PAGE, re.M)
    assert len(rows) == len(dict(rows)) == PAGE.count("\n| `")
    return {reason: int(number.replace(",", "")) for reason, number in rows}


def reasons(name, text):
    """The reasons for which a source may skip a test: text, or what they begin with."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("pytest."):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in ("skip", "skipif", "importorskip", "xfail", "skip_module"):
            named = {k.arg: k.value for k in node.keywords}
            reason = named.get("reason") or (node.args[0] if called == "skip" and node.args else None)
            assert reason is not None, f"{name}, line {node.lineno}: {called} without a reason"
            if isinstance(reason, ast.Constant):
                yield reason.value
            else:
                yield COMPUTED[name, ast.unparse(reason)]


def test_every_reason_is_in_the_table_and_the_table_has_no_other():
    found = {r for path in TESTS.rglob("*.py") for r in reasons(path.name, path.read_text(encoding="utf-8"))}
    assert sorted(found) == sorted(explained())


def test_the_tables_numbers_add_up_to_what_the_page_says():
    (total,) = re.findall(r"about ([\d,]+) of [\d,]+ tests", PAGE)
    assert abs(sum(explained().values()) - int(total.replace(",", ""))) <= 50


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("pytest.skip('no reason at all')", ["no reason at all"]),
        ("@pytest.mark.skipif(True, reason='never')\ndef f(): pass", ["never"]),
        ("pytest.importorskip('torch', reason='it is large')", ["it is large"]),
        ("try: pass\nexcept ValueError as error:\n pytest.skip(str(error))", ["device: 'cuda' is not available"]),
        ("text.skip()", []),
    ],
)
def test_reasons_are_found(source, found):
    assert list(reasons("conftest.py", source)) == found


@pytest.mark.parametrize("source", ["pytest.importorskip('torch')", "pytest.skip()", "pytest.mark.skipif(True)"])
def test_a_skip_without_a_reason_is_refused(source):
    with pytest.raises(AssertionError, match="without a reason"):
        list(reasons("conftest.py", source))


def test_a_computed_reason_that_nobody_knows_is_refused():
    with pytest.raises(KeyError):
        list(reasons("test_new.py", "pytest.skip(str(error))"))


def test_computed_reasons_begin_as_the_table_says():
    if "cuda" not in ns.devices():
        with pytest.raises(ValueError, match="^device: 'cuda' is not available"):
            ns.backend.get("cuda")
    browser = (TESTS / "browser.py").read_text(encoding="utf-8")
    assert re.findall(r'print\(f?"(browser: ).*file=sys.stderr', browser) == ["browser: "]
