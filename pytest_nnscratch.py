"""pytest's plugin for gradient checks: the fixture `gradcheck`, failures that show the report alone, a line of summary.

It stands outside of the package: pytest loads plugins before any conftest.py, and importing nnscratch would load NumPy,
whose number of threads a conftest.py may still have to set.
"""

import argparse
import functools
import inspect
import itertools

import pytest

_TALLY = pytest.StashKey[dict]()


def pytest_addoption(parser):
    parser.getgroup("nnscratch", "gradient checks").addoption(
        "--gradcheck-seed",
        type=_seeds,
        default=0,
        metavar="N",
        help="seed of the checks that tests make with the fixture gradcheck, where they set none, or several: 0,3 or 0-9 "
        "(default: 0)",
    )


def _seeds(text):
    """A seed, or a list of several."""
    try:
        seeds = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
        return seeds if len(seeds) > 1 else seeds[0]
    except (ValueError, IndexError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no seed; give a whole number, or several as 0,3 or 0-9"
        ) from None


@pytest.fixture(scope="session")  # a test under hypothesis may use it, too
def gradcheck(pytestconfig):
    """gradcheck(fn, inputs, ...): nnscratch.gradcheck, with the seed of --gradcheck-seed where the test sets none."""
    import nnscratch

    before_seed = list(inspect.signature(nnscratch.gradcheck).parameters).index("seed")

    @functools.wraps(nnscratch.gradcheck)
    def check(*args, **kwargs):
        if len(args) <= before_seed:
            kwargs.setdefault("seed", pytestconfig.getoption("--gradcheck-seed"))
        try:
            report = nnscratch.gradcheck(*args, **kwargs)
        except nnscratch.GradientError:
            _add(pytestconfig, checks=1, failed=1)
            raise
        _add(pytestconfig, checks=1, derivatives=len(report.compared), error=report.error)
        return report

    return check


# The traceback of a failed check


def pytest_runtest_makereport(item, call):
    if call.excinfo is None or item.config.getoption("fulltrace", False):
        return
    errors, seen = [call.excinfo.value], set()
    while errors:
        error = errors.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            _leave_out_the_checker(error)
            errors += [error.__cause__, error.__context__]
            errors += error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    # The frames may have been listed before, as those of a unittest.TestCase are.
    call.excinfo.traceback = type(call.excinfo.traceback)(call.excinfo.tb)


def _leave_out_the_checker(error):
    """Take the checker's frames, and those of what it calls in nnscratch, out of a traceback; the test's own stay."""
    kept, frame, inside = [], error.__traceback__, False
    while frame is not None:
        module = frame.tb_frame.f_globals.get("__name__", "")
        if module == __name__ or module.startswith("nnscratch.gradcheck"):
            inside = True
        elif module.partition(".")[0] != "nnscratch":
            inside = False
        if not inside:
            kept.append(frame)
        frame = frame.tb_next
    for frame, following in itertools.pairwise([*kept, None]):
        frame.tb_next = following


# The summary, which xdist's workers hand to the process that prints it


def pytest_configure(config):
    config.stash[_TALLY] = {"checks": 0, "failed": 0, "derivatives": 0, "error": 0.0}


def _add(config, **found):
    tally = config.stash[_TALLY]
    for name, number in found.items():
        tally[name] = max(tally[name], number) if name == "error" else tally[name] + number


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["gradcheck"] = session.config.stash[_TALLY]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    _add(node.config, **getattr(node, "workeroutput", {}).get("gradcheck", {}))


def pytest_terminal_summary(terminalreporter, config):
    tally = config.stash[_TALLY]
    if tally["checks"]:
        terminalreporter.write_line(
            "gradcheck: {checks} checks, {failed} failed, derivatives right: {derivatives} (relative error at most {error:.1e}), "
            "seed {seed}".format(**tally, seed=str(config.getoption("--gradcheck-seed")).strip("[]"))
        )
