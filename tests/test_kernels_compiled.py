"""The compiled loops against the NumPy kernels that they stand in for, to the last bit."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnscratch.kernels import compiled
from nnscratch.kernels.pool import cpu as pool
from nnscratch.kernels.pool import definition
from nnscratch.kernels.scatter import cpu as scatter
from nnscratch.kernels.scatter import definition as scatter_definition
from nnscratch.kernels.steps import cpu as steps

SIDE_BY_SIDE = ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))


def adam_loop(*arrays):
    return compiled.module("steps.adam_loop", *arrays)


@pytest.fixture(autouse=True)
def small_arrays_too(monkeypatch):
    assert compiled._loaded("steps.adam_loop") is not None, "numba is not installed"
    monkeypatch.setattr(compiled, "LEAST", 0)


def test_small_arrays_other_dtypes_and_switching_off(monkeypatch):
    a = np.zeros(10)
    assert adam_loop(a) is not None
    assert adam_loop(a.astype(np.float16)) is None and adam_loop(a.astype(int)) is None
    assert adam_loop(a, a.astype(np.float32)) is None
    assert adam_loop(a.astype(a.dtype.newbyteorder())) is None
    compiled._loaded.cache_clear()
    monkeypatch.setattr(compiled, "LEAST", 11)
    assert adam_loop(a) is None and adam_loop(np.zeros(11)) is not None
    assert adam_loop(a) is not None, "once they are loaded, small arrays use them, too"
    compiled._loaded.cache_clear()
    compiled._available.cache_clear()
    monkeypatch.setenv("NNSCRATCH_COMPILED", "0")
    assert adam_loop(np.zeros(11)) is None
    compiled._loaded.cache_clear()
    compiled._available.cache_clear()


@settings(max_examples=100)
@given(
    shape=st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)),
    dtype=st.sampled_from(["float32", "float64"]),
    unusual=st.sampled_from([0.0, 0.2, 0.7]),
    reverse=st.booleans(),
    geometry=st.sampled_from(
        [SIDE_BY_SIDE] * 3
        + [
            ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 2)),
            ((2, 2), (2, 2), ((1, 0), (0, 1)), (1, 1)),
            ((2, 2), (1, 2), ((0, 0), (0, 0)), (1, 1)),
            ((1, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
        ]
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_pooling_with_and_without_vectors(shape, dtype, unusual, reverse, geometry, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, shape).astype(dtype)  # with ties
    odd = rng.random(shape) < unusual
    x[odd] = rng.choice([np.nan, np.inf, -np.inf, -0.0], odd.sum())
    x = x[:, :, ::-1] if reverse else x
    values, index = pool.max_pool2d(x, *geometry)
    for found, expected in zip((values, index), definition.max_pool2d(x, *geometry), strict=True):
        np.testing.assert_array_equal(found, expected)
    g = rng.standard_normal(index.shape).astype(dtype)
    g.ravel()[:1] = np.inf
    scattered = pool.pool_scatter(g, index, shape[2:], *geometry)
    assert scattered.dtype == dtype and index.dtype == np.uint8
    np.testing.assert_array_equal(scattered, definition.pool_scatter(g, index, shape[2:], *geometry))


def test_an_index_outside_of_the_window_names_nothing():
    index = np.full((1, 1, 2, 2), 200, np.uint8)
    assert not pool.pool_scatter(np.ones((1, 1, 2, 2)), index, (4, 4), *SIDE_BY_SIDE).any()


@settings(max_examples=60)
@given(
    dtype=st.sampled_from(["float32", "float64"]),
    correct=st.booleans(),
    decay=st.sampled_from([0.0, 0.01]),
    decoupled=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_adam_is_numpys_to_the_last_bit(dtype, correct, decay, decoupled, seed):
    rng = np.random.default_rng(seed)
    p, g, m, v = (rng.standard_normal((5, 7)).astype(dtype) for _ in range(4))
    p[0, :2] = np.inf, np.nan
    states = [(p.copy(), g, m.copy(), np.abs(v)), (p.copy(order="F"), g, m.copy(order="F"), np.abs(v))]
    for step in range(1, 4):
        for state in states:  # the second in column-major order, which NumPy does
            with np.errstate(all="ignore"):
                steps.adam([state], 0.01, 0.9, 0.999, 1e-8, step, correct, decay, decoupled)
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


WHOLE = slice(None)


@settings(max_examples=100)
@given(
    dtype=st.sampled_from(["float32", "float64"]),
    kind=st.sampled_from(["rows", "axis", "behind", "pair", "pair of an axis", "number", "columns"]),
    count=st.integers(0, 9),
    reverse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_are_added_in_numpys_order(dtype, kind, count, reverse, seed):
    rng = np.random.default_rng(seed)
    shape = (4, 3, 5)
    rows = rng.integers(-3, 3, count)
    index = {
        "rows": rows,
        "axis": (WHOLE, rows),
        "behind": (WHOLE, rows, WHOLE),
        "pair": (rng.integers(-4, 4, (2, count)), rows),
        "pair of an axis": (WHOLE, rows.astype(np.int8), rng.integers(-5, 5, (2, 1))),
        "number": (rows, 2),
        "columns": (WHOLE, WHOLE, rows.astype(np.uint8) % 5),
    }[kind]
    x = rng.standard_normal(np.zeros(shape)[index].shape).astype(dtype)
    x = x[..., ::-1] if reverse else x
    assert scatter._rows(shape, index) is not None
    found = scatter.put_add(x, shape, index)
    np.testing.assert_array_equal(found, scatter_definition.put_add(x, shape, index), strict=True)
    assert found.base is None


@pytest.mark.parametrize(
    "index", [np.array([0, 3]), (WHOLE, np.array([-5])), (np.array([0, 1]), np.array([0, 9])), [0, 0, 0]]
)
def test_rows_that_are_not_there_or_do_not_fit_are_refused_as_ever(index):
    x = np.zeros((7, 1))
    with pytest.raises((IndexError, ValueError)) as slow:
        scatter_definition.put_add(x, (3, 4), index)
    with pytest.raises(slow.type) as fast:
        scatter.put_add(x, (3, 4), index)
    assert str(fast.value) == str(slow.value)


def test_machine_code_is_kept_in_the_users_cache_and_not_beside_the_source(tmp_path):
    """What stays in the package's folder after an uninstall would hide a later editable install."""
    script = "from nnscratch import backend; backend.cpu.prepare(1 << 20); import numba; print(numba.config.CACHE_DIR)"
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"XDG_CACHE_HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "\n", "other people's loops stay where they were"
    kept = [p.name for p in tmp_path.glob("nnscratch/numba/*/*/*.nbi")]
    assert any(name.startswith("adam_loop.adam") for name in kept), kept


def test_a_line_tells_what_is_compiled_for_long_and_none_where_it_is_kept(tmp_path):
    script = (
        "import numpy as np, sys; from nnscratch import backend; backend.cpu.prepare(1 << 20)\n"
        "from nnscratch.kernels import notice; from nnscratch.kernels.scatter import cpu; notice.PATIENCE = float(sys.argv[1])\n"
        "cpu.put_add(np.ones((2, 3)), (4, 3), np.array([0, 1]))\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def told(patience, first=""):
        command = [sys.executable, "-c", first + script, str(patience)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr

    silent = "import logging; logging.getLogger('nnscratch').setLevel('ERROR')\n"
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "quiet")
    assert told(0, silent) == ""
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "told")
    expected = f"once; later runs find them in {tmp_path / 'told'}\n"
    line = told(0)
    assert line.startswith("nnscratch: compiling loops") and line.endswith(expected) and line.count("\n") == 1
    assert told(0) == "", "all of it is kept"
