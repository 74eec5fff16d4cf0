"""The pytest plugin: pytest runs a small suite in a process of its own, and what it prints is looked at."""

import os
import re
import subprocess
import sys

import pytest

SUITE = """
import unittest
import numpy as np
from hypothesis import given, settings
import nnscratch as ns
from nnscratch import testing

X = np.array([1.0, 2.0])

@ns.op
def halved(x):
    return 2 * x**2

@halved.rule("x")
def _(g, x):
    return g * 2 * x

def test_right(gradcheck):
    report = gradcheck(lambda x, y: ns.exp(x) * y, [X, X])
    assert report.passed
    print("seed of the report:", report.seed)

def test_seeds_of_its_own(gradcheck):
    assert gradcheck(ns.exp, [X], seed=11).seed == 11
    assert gradcheck(ns.exp, [X], 1, "projection", None, None, None, 12).seed == 12

def test_wrong(gradcheck):
    gradcheck(lambda t: halved(3 * t), [X])  # the test's line

def helper():
    return ns.gradcheck(halved, [X])  # the helper's line

def test_direct():
    helper()  # the test's line

@settings(deadline=None, derandomize=True, database=None)
@given(testing.arrays(2, kind="positive"))
def test_drawn(gradcheck, x):
    gradcheck(halved, [x])  # the test's line

class TestUnit(unittest.TestCase):
    def test_unit(self):
        ns.gradcheck(halved, [X])  # the test's line

def test_several():
    errors = []
    for x in (X, -X):
        try:
            ns.gradcheck(halved, [x])  # the test's line
        except ns.GradientError as error:
            errors.append(error)
    raise ExceptionGroup("both", errors)

def test_chained():
    try:
        ns.gradcheck(halved, [X])
    except ns.GradientError as error:
        raise AssertionError("not as it should be") from error  # the test's line

def test_homework(gradcheck):
    gradcheck(lambda x: np.sum(x**3), [X], gradient=lambda x: x**2)  # the test's line

def test_bad_use(gradcheck):
    gradcheck(ns.exp, [X.astype("float32")])  # the test's line

def test_broken_function(gradcheck):
    def fn(x):
        raise RuntimeError("broken")  # the function's line

    gradcheck(fn, [X])  # the test's line
"""
WRONG = ["test_wrong", "test_direct", "test_drawn", "TestUnit.test_unit", "test_several", "test_chained"]
CHECKER = re.compile(r"nnscratch[/\\]gradcheck|pytest_nnscratch\.py")


def run(folder, suite, *options, **environment):
    """Run pytest on a suite; returns all that it prints."""
    (folder / "test_suite.py").write_text(suite, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *options, "test_suite.py"],
        cwd=folder,
        env={**inherited, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("suite"), SUITE, "-rP")


def part(printed, test):
    """What is printed of one test."""
    return re.search(rf"^_+ {re.escape(test)} _+$\n(.*?)(?=^(?:_{{5,}}|={{5,}}) \w|\Z)", printed, re.M | re.S)[1]


@pytest.mark.parametrize("test", WRONG)
def test_a_failed_check_shows_the_tests_line_and_the_report_and_nothing_of_the_checker(printed, test):
    text = part(printed, test)
    assert "# the test's line" in text
    assert re.search("GradientError: gradcheck: the derivative .* by the rules and .* numerically", text)
    assert re.search("order +by +shape", text)
    assert "halved: its rule for x" in text
    assert "seed 0" in text
    assert not CHECKER.search(text)


def test_the_lines_between_the_test_and_the_check_are_shown(printed):
    assert "# the helper's line" in part(printed, "test_direct")


def test_the_failing_example_is_shown_with_the_report(printed):
    assert re.search(r"x=array\(\[0\.5, 0\.5\]\)", part(printed, "test_drawn"))


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("test_homework", "GradientError: gradcheck: the derivative"),
        ("test_bad_use", "TypeError: gradcheck: x is float32"),
        ("test_broken_function", "RuntimeError: broken"),
    ],
)
def test_nor_does_any_other_failure_show_the_checker(printed, test, words):
    text = part(printed, test)
    assert "# the test's line" in text
    assert words in text
    assert not CHECKER.search(text)


def test_the_checked_functions_own_lines_stay(printed):
    assert re.search("^> .*# the function's line", part(printed, "test_broken_function"), re.M)


def test_a_single_line_names_the_tests_line(tmp_path):
    printed = run(tmp_path, SUITE, "--tb=line", "-k", "test_wrong or test_direct or test_unit")
    places = re.findall(r"^(\S+):\d+: nnscratch.autograd.GradientError", printed, re.M)
    assert [os.path.basename(place) for place in places] == ["test_suite.py"] * 3


def test_the_seed_is_0_where_neither_the_option_nor_the_test_gives_one(printed):
    assert "seed of the report: 0" in part(printed, "test_right")
    assert re.search(r"^=+ \d+ failed, 2 passed", printed, re.M)


def tally(printed):
    """The figures of the summary line."""
    pattern = (
        r"^gradcheck: (\d+) checks, (\d+) failed, derivatives right: (\d+) \(relative error at most (.*)\), seed (\d+)$"
    )
    return [float(number) for number in re.search(pattern, printed, re.M).groups()]


def test_the_summary_counts_what_the_fixture_checked(tmp_path):
    suite = SUITE.replace("test_drawn", "not_now").replace("test_bad_use", "not_now").replace("test_broken", "not_now")
    checks, failed, derivatives, error, seed = tally(run(tmp_path, suite))
    assert (checks, failed, derivatives, seed) == (5, 2, 4, 0)
    assert 0 < error < 1e-9


def test_workers_of_xdist_get_the_seed_and_add_to_the_summary(tmp_path):
    pytest.importorskip("xdist", reason="needs pytest-xdist")
    suite = "".join(
        f"def test_{i}(gradcheck):\n"
        f"    import numpy, nnscratch\n"
        f"    assert gradcheck(nnscratch.exp, [numpy.ones({i + 1})]).seed == 7\n"
        for i in range(4)
    )
    printed = run(tmp_path, suite, "-n", "2", "--gradcheck-seed", "7")
    assert "4 passed" in printed
    checks, failed, derivatives, _, seed = tally(printed)
    assert (checks, failed, derivatives, seed) == (4, 0, 4, 7)


def test_a_suite_without_checks_gets_no_summary(tmp_path):
    assert "gradcheck" not in run(tmp_path, "def test_nothing(): pass\n")


def test_the_full_trace_shows_the_checker(tmp_path):
    assert CHECKER.search(run(tmp_path, SUITE, "--full-trace", "-k", "test_direct"))


def test_the_plugin_can_be_left_out(tmp_path):
    printed = run(tmp_path, SUITE, "-p", "no:nnscratch", "-k", "test_direct or test_right")
    assert "fixture 'gradcheck' not found" in printed
    assert "halved: its rule for x" in printed
    assert CHECKER.search(printed)


def test_loading_it_loads_neither_numpy_nor_the_package(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import sys\nassert 'pytest_nnscratch' in sys.modules\nassert not {'numpy', 'nnscratch'} & set(sys.modules)\n"
    )
    options = ("-p", "pytest_nnscratch")
    printed = run(tmp_path, "def test_it(): pass\n", *options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "1 passed" in printed


def test_the_fixture_and_the_option_are_told(tmp_path):
    assert re.search(
        r"^gradcheck \[session scope\].*\n +gradcheck\(fn, inputs, ...\)", run(tmp_path, SUITE, "--fixtures"), re.M
    )
    assert re.search(r"^ *--gradcheck-seed=N", run(tmp_path, SUITE, "--help"), re.M)


def test_a_seed_that_is_no_number_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--gradcheck-seed", "x"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 4
    assert "argument --gradcheck-seed: 'x' is no seed; give a whole number, or several as 0,3 or 0-9" in done.stderr


def test_several_seeds_check_each_in_turn(tmp_path):
    suite = (
        "def test_it(gradcheck):\n"
        "    import numpy, nnscratch\n"
        "    report = gradcheck(nnscratch.exp, [numpy.ones(3)])\n"
        "    assert report.seed == (0, 4, 5, 6) and len(report.compared) == 4\n"
    )
    printed = run(tmp_path, suite, "--gradcheck-seed", "0,4-6")
    assert "1 passed" in printed and "derivatives right: 4 " in printed and "seed 0, 4, 5, 6" in printed
