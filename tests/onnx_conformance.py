"""The page docs/conformance.md: the ONNX standard's own cases for single operators, run by nnscratch.

``python tests/onnx_conformance.py`` prints it, ``--write`` writes it and ``--check`` says whether the file is current.
"""

import argparse
import functools
import sys
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from nnscratch.onnx.loading import from_proto
from nnscratch.onnx.operators import OPERATORS
from nnscratch.onnx.table import Unsupported

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"


@functools.cache
def cases():
    """The standard's cases, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what making them says is not about nnscratch
        from onnx.backend.test.case.node import collect_testcases

        return {case.name: case for case in collect_testcases(None)}


def operator_of(name):
    """The operator that a case is about: where its body is spelt out (``_expanded``), that of the case it was made from."""
    direct = cases().get(name.split("_expanded")[0])
    return cases()[name].model.graph.node[0].op_type if direct is None else direct.model.graph.node[0].op_type


def as_array(value):
    """An input or output of a case as an array."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def check(case):
    """Run a case and compare: AssertionError where a result differs from the standard's, Unsupported where it cannot be."""
    model = from_proto(case.model)
    for inputs, outputs in case.data_sets:
        outputs = [as_array(o) for o in outputs]
        results = model(*(as_array(i) for i in inputs))
        results = results if isinstance(results, tuple) else (results,)
        assert len(results) == len(outputs)
        for result, expected in zip(results, outputs, strict=True):
            assert result.dtype == expected.dtype, f"dtype {result.dtype}, expected {expected.dtype}"
            assert result.shape == expected.shape, f"shape {result.shape}, expected {expected.shape}"
            np.testing.assert_allclose(result.numpy(), expected, rtol=case.rtol, atol=case.atol)


@functools.cache
def outcomes():
    """What became of each case: ``("passed", "")``, ``("failed", what differs)`` or ``("not applicable", reason)``."""
    found = {}
    for name, case in cases().items():
        try:
            check(case)
            found[name] = ("passed", "")
        except Unsupported as error:
            found[name] = ("not applicable", error.reason)
        except Exception as error:  # whatever goes wrong is a failure to report
            found[name] = ("failed", f"{type(error).__name__}: {error}".strip())
    return found


def page():
    """The whole page as Markdown."""
    counts = Counter(outcome for outcome, _ in outcomes().values())
    by_operator = defaultdict(list)
    for name in outcomes():
        by_operator[operator_of(name)].append(name)
    names = {name.rpartition("::")[2] for name in OPERATORS}
    known = {o: n for o, n in by_operator.items() if o in names}
    rest = {o: n for o, n in by_operator.items() if o not in names}
    through = {o: n for o, n in rest.items() if any(outcomes()[name][0] != "not applicable" for name in n)}
    parts = [
        _INTRODUCTION.format(
            total=len(cases()), version=onnx.__version__, passed=counts["passed"], failed=counts["failed"]
        ),
        "## Operators that nnscratch has",
        _table(["operator", "passed", "failed", "not applicable"], [_row(o, known[o]) for o in sorted(known)]),
        _COMPOSED,
        _table(["operator", "passed", "failed", "not applicable"], [_row(o, through[o]) for o in sorted(through)]),
        _MISSING.format(
            operators=len(rest) - len(through), cases=sum(len(n) for o, n in rest.items() if o not in through)
        ),
        ", ".join(f"{o} ({len(rest[o])})" for o in sorted(rest) if o not in through),
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# Conformance to ONNX

Made by `python tests/onnx_conformance.py --write` from onnx {version}; do not edit it by hand.

**Of the standard's {total} cases for single operators {passed} pass and {failed} fail.**

The ONNX standard has cases of its own for each operator (`onnx.backend.test.case.node`): a graph, inputs, and the outputs that it
must give, in shape, dtype and value within the case's tolerance. Each goes the way of `ns.onnx.load`. Many operators also have cases
in which their body is spelt out in simpler operators (named `..._expanded`); they are counted with the operator that they spell out.
A case that asks for something nnscratch does not have is not applicable, and the reason is computed from the case."""

_COMPOSED = """## Operators that nnscratch has only spelt out

These have no function of their own in nnscratch, and are computed by the operators in which the standard spells them out."""

_MISSING = """## Operators that nnscratch does not have

{operators} operators with {cases} cases (in brackets):"""


def _row(operator, names):
    found = [outcomes()[name] for name in names]
    counts = Counter(outcome for outcome, _ in found)
    reasons = defaultdict(list)
    for outcome, reason in found:
        if outcome == "not applicable":
            what, missing, which = reason.partition("no dtype ")
            reasons[what + missing].append(which)
    why = [f"{len(which)}: {what}{', '.join(sorted(set(which)))}" for what, which in sorted(reasons.items())]
    return [operator, str(counts["passed"]), str(counts["failed"]), "; ".join(why)]


def _table(head, rows):
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def main(arguments=None):
    """Print the page; with ``--write`` write it, with ``--check`` compare: 0, or 1 where the file is stale or a case fails."""
    parser = argparse.ArgumentParser(description="Make docs/conformance.md from the ONNX standard's cases.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="write the page into docs/")
    choice.add_argument("--check", action="store_true", help="exit with 1 where the page in docs/ is stale")
    options = parser.parse_args(arguments)
    failed = {name: what for name, (outcome, what) in outcomes().items() if outcome == "failed"}
    for name, what in failed.items():
        print(f"{name}: {what}", file=sys.stderr)
    if options.write:
        PAGE.write_text(page(), encoding="utf-8")
    elif options.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
            print("docs/conformance.md is stale; run python tests/onnx_conformance.py --write", file=sys.stderr)
            return 1
        print("docs/conformance.md is current")
    else:
        print(page(), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
