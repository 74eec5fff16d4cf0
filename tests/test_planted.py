"""The gradient checker against `planted`: it refuses what is wrong and names the operation, and passes what is right.

NNSCRATCH_SEEDS sets from how many seeds; `python tests/planted.py` prints the table for 200.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import nnscratch as ns

_spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
planted = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(planted)

SEEDS = range(int(os.environ.get("NNSCRATCH_SEEDS", "3")))
#: The kinds of faults that people plant without meaning to; `planted` holds others beside them.
KINDS = {
    "sign",
    "missing transpose",
    "missing factor",
    "wrong axis summed",
    "broadcasting not undone",
    "gradient of the wrong input",
    "stale saved value",
    "off by one in padding",
    "dilation ignored",
    "ties counted twice",
    "mean for sum",
    "mask inverted",
    "dtype changed",
    "detached branch",
    "in-place change",
    "wrong only for strided input",
    "wrong in one corner element",
    "small beside large",
    "squares overflow",
    "squares sink to 0",
    "at 0",
    "a cache",
    "second derivative by hand",
    "second derivative at 0",
    "power at 0",
}


def by_name(table):
    return [pytest.param(p, id=p.name) for p in table]


def test_every_kind_of_fault_is_planted():
    kinds = {p.kind for p in planted.FAULTS}
    assert kinds >= KINDS
    assert any(kind.startswith("second derivative") for kind in kinds)
    names = [p.name for p in planted.FAULTS + planted.RIGHT]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("fault", by_name(planted.FAULTS))
def test_fault_is_caught_and_its_operation_named(fault):
    for seed in SEEDS:
        caught, named, said = fault.verdict(seed)
        assert caught and named, f"seed {seed}: {said}"


@pytest.mark.parametrize("right", by_name(planted.RIGHT))
def test_right_rules_pass(right):
    for seed in SEEDS:
        passed, nothing_named, said = right.verdict(seed)
        assert passed and nothing_named, f"seed {seed}: {said}"


@pytest.mark.parametrize("fault", by_name(p for p in planted.FAULTS if p.kind.startswith("second derivative")))
def test_wrong_second_derivatives_have_right_first_ones(fault):
    for seed in SEEDS:
        assert fault.check(seed, order=1).passed


def test_right_gradients_at_0_and_at_tiny_and_huge_points_are_not_called_wrong():
    checks, said, alarms = planted.point_alarms(SEEDS)
    assert checks > 100 * len(SEEDS) and said["right"] > 0.8 * checks
    assert not alarms, alarms[0]


@pytest.mark.parametrize(
    ("name", "x", "mode"),
    [
        # steps wider than the elements themselves cross the kink beside them
        ("relu", [1e-310, 1e-310], "projection"),
        ("relu", [-1e-310, -1e-310], "projection"),
        # steps by the elements' own size, at which the values stand still
        ("tanh^3", [1e30, 1e-8, -1e100], "full"),
        ("1 - cos", [-1e-30, -1e-30], "full"),
        ("1 - cos", [1e-200, -1e-30, -5e-324], "full"),
        ("x^4", [1e-200, 1e-8], "full"),
    ],
)
def test_steps_that_are_too_small_or_too_wide_for_a_point_convict_nobody(name, x, mode):
    curve, slope = planted.CURVES[name]
    for seed in range(4):
        settings = {"seed": seed, "mode": mode}
        assert ns.gradcheck(curve, [np.array(x)], gradient=lambda x, g: g * slope(x), **settings).passed
        assert ns.gradcheck(lambda x: np.sum(curve(x)), [np.array(x)], gradient=slope, **settings).passed


@pytest.mark.parametrize(
    ("x", "seed"), [([-1e-310, -1e30, 1e-30], 132), ([-1e30, -1e30], 141), ([-1e-8, 1e30, 1e-8], 142)]
)
@pytest.mark.parametrize("beside", [0.0, 10.0, 100.0, 1e6])
@pytest.mark.parametrize("mode", ["projection", "full"])
def test_steps_that_skip_whole_waves_convict_nobody(x, seed, beside, mode):
    x = np.array(x)
    for k in (seed, 0, 1):
        report = ns.gradcheck(lambda x: np.sum(beside - np.cos(x)), [x], gradient=np.sin, seed=k, mode=mode)
        assert report.passed
        assert ns.gradcheck(
            lambda x: beside - np.cos(x), [x], gradient=lambda x, g: g * np.sin(x), seed=k, mode=mode
        ).passed


@pytest.mark.parametrize("height", [0.0, 1e-12, 1e-8])
@pytest.mark.parametrize("mode", ["projection", "full"])
def test_a_gradient_of_what_does_not_change_is_wrong_though_there_is_noise(height, mode):
    for slope in (0.5, 50.0):
        for seed in range(3):
            x = np.random.default_rng(seed).normal(size=3)
            with pytest.raises(ns.GradientError):
                ns.gradcheck(
                    lambda x: np.sum(1 + height * np.sin(1e13 * x)),
                    [x],
                    gradient=lambda x, slope=slope: slope * x,
                    seed=seed,
                    mode=mode,
                )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", ["projection", "full"])
def test_a_gradient_of_what_does_not_change_is_wrong_though_the_function_rounds_to_float32(seed, mode):
    def total(x):
        e = np.exp(np.float32(x))
        return np.sum(e / e.sum()).astype(float)  # 1, but for rounding

    x = np.random.default_rng(seed).normal(size=4)
    for factor in (1, 50, 1e6):
        with pytest.raises(ns.GradientError):
            ns.gradcheck(total, [x], gradient=lambda x, factor=factor: factor * x, seed=seed, mode=mode)


def test_a_derivative_that_is_all_rounding_is_unclear_and_nothing_else_is_let_pass_so():
    (saturated,) = (p for p in planted.RIGHT if p.name == "saturated tangents")
    assert {row.status for row in saturated.check(103).rows} == {"unclear"}
    assert saturated.verdict(103)[0]
    drowned = planted.Planted("", "", lambda x: 1e10 + ns.sum(x * 1e-9), [planted.normal(3)], 1)
    assert {row.status for row in drowned.check(0).rows} == {"unclear"}
    assert not drowned.verdict(0)[0]


@pytest.mark.parametrize("x", [[-1e-3, 0.2], [0.5, 1e-8]])
def test_a_missing_gradient_is_still_wrong_where_only_wide_steps_move_the_values(x):
    curve, slope = planted.CURVES["1 - cos"]
    with pytest.raises(ns.GradientError):
        ns.gradcheck(curve, [np.array(x)], gradient=lambda x, g: g * slope(x) * (np.abs(x) < 0.1), mode="full")
    with pytest.raises(ns.GradientError):
        ns.gradcheck(curve, [np.array(x)], gradient=lambda x, g: g * (slope(x) + 0.1 * (np.abs(x) < 0.1)), mode="full")


@pytest.mark.parametrize("name", planted.CURVES)
@given(data=st.data(), seed=st.integers(0, 99), mode=st.sampled_from(["projection", "full"]))
def test_right_gradients_are_not_called_wrong_anywhere(name, data, seed, mode):
    curve, slope = planted.CURVES[name]
    number = st.sampled_from(planted.SIZES) | st.floats(-1e100, 1e100) | st.floats(-3, 3)
    x = np.array(data.draw(st.lists(number, min_size=1, max_size=4)))
    with np.errstate(all="ignore"):
        assume(np.isfinite(curve(x)).all())
        assert ns.gradcheck(curve, [x], gradient=lambda x, g: g * slope(x), seed=seed, mode=mode).passed
        if np.isfinite(np.sum(curve(x))):
            assert ns.gradcheck(lambda x: np.sum(curve(x)), [x], gradient=slope, seed=seed, mode=mode).passed


@pytest.mark.parametrize("fault", by_name(p for p in planted.FAULTS if p.order == 1))
def test_faults_are_caught_element_by_element(fault):
    with pytest.raises(ns.GradientError) as caught:
        fault.check(0, mode="full")
    assert caught.value.report.operation == fault.operation
