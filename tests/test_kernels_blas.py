"""How BLAS computes a product depends on its shape and the settings, and its threads are given back."""

import doctest
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from nnscratch.kernels import blas


@pytest.fixture
def numbers(monkeypatch):
    """BLAS's number of threads as it is set, 2 at the beginning, for products of any size."""
    found = [2]
    monkeypatch.setattr(blas, "_number_of_threads", lambda: (found.append, lambda: found[-1]))
    monkeypatch.setattr(blas, "LEAST", 0)
    return found


def test_a_small_product_has_one_thread(numbers):
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(blas.dot(a, b), a @ b)
    np.testing.assert_array_equal(blas.dot(a, b[:, 0]), a @ b[:, 0])
    assert numbers == [2, 1, 2, 1, 2]


def test_threads_are_given_back_after_an_error(numbers):
    with pytest.raises(ValueError, match="shapes"):
        blas.dot(np.ones((2, 3)), np.ones((2, 3)))
    assert numbers == [2, 1, 2]


def test_left_alone(numbers, monkeypatch):
    monkeypatch.setattr(blas, "MOST", 23)
    assert blas.dot(np.ones((2, 3)), np.ones((3, 4))).shape == (2, 4), "a product too large"
    assert numbers == [2]


def test_the_last_thread_to_leave_sets_the_number_back(numbers):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with blas.one_thread():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    with blas.one_thread():
        pass
    assert numbers == [2, 1]
    leave.set()
    thread.join()
    assert numbers == [2, 1, 2]


ORDERS = """
import sys
import numpy as np
import nnscratch as ns

F = ns.functional
rng = np.random.default_rng(0)
pairs = [(rng.standard_normal((n, k)).astype("f4"), rng.standard_normal((m, k)).astype("f4"))
         for n, k, m in ((64, 784, 128), (100, 300, 77), (256, 512, 256), (33, 1000, 50), (512, 640, 333))]
if sys.argv[1] == "after":  # something that our threads are started for
    F.max_pool2d(ns.tensor(np.zeros((64, 32, 32, 32), "f4")), 2)
    F.conv2d(ns.tensor(np.ones((32, 16, 24, 24), "f4")), ns.tensor(np.ones((32, 16, 3, 3), "f4")))
for x, w in pairs:
    print(F.linear(ns.tensor(x), ns.tensor(w)).numpy().tobytes().hex()[:4000])
    print((ns.tensor(x).T @ ns.tensor(x)).numpy().tobytes().hex()[:4000])
"""


def test_a_product_has_the_same_bits_whatever_ran_before():
    printed = {
        order: subprocess.run(
            [sys.executable, "-c", ORDERS, order],
            env=dict(os.environ, OPENBLAS_NUM_THREADS="2", NNSCRATCH_THREADS="2"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for order in ("before", "after")
    }
    assert printed["before"] and printed["before"] == printed["after"]


def test_of_very_small_products_blas_decides_itself(numbers, monkeypatch):
    monkeypatch.setattr(blas, "LEAST", 6 * 12)
    assert blas.dot(np.ones((2, 3)), np.ones((3, 4))).shape == (2, 4)
    assert numbers == [2]
    assert blas.dot(np.ones((2, 3)), np.ones((3, 5))).shape == (2, 5)
    assert numbers == [2, 1, 2]


def test_another_blas(monkeypatch):
    monkeypatch.setattr(blas, "_number_of_threads", lambda: None)
    monkeypatch.setattr(blas, "LEAST", 0)
    assert blas.dot(np.ones((2, 3)), np.ones((3, 4))).shape == (2, 4)


def test_this_blas():
    found = blas._number_of_threads()
    if found is None:
        pytest.skip("NumPy has another BLAS than OpenBLAS")
    set_number, number = found
    before = number()
    set_number(1)
    assert number() == 1
    set_number(before)
    assert number() == before


def test_examples():
    assert doctest.testmod(blas).failed == 0
