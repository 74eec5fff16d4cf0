"""BLAS's products are the same whoever's threads run, and its threads are given back."""

import doctest

import numpy as np
import pytest
from nnscratch.kernels import blas, threads


@pytest.fixture
def numbers(monkeypatch):
    """BLAS's number of threads as it is set, 2 at the beginning; and our threads running, whatever the size."""
    found = [2]
    monkeypatch.setattr(blas, "_number_of_threads", lambda: (found.append, lambda: found[-1]))
    monkeypatch.setattr(threads, "parts_to_do", object())
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
    monkeypatch.undo()
    monkeypatch.setattr(blas, "_number_of_threads", lambda: pytest.fail("no threads of ours"))
    monkeypatch.setattr(threads, "parts_to_do", None)
    assert blas.dot(np.ones((2, 3)), np.ones((3, 4))).shape == (2, 4)
    assert numbers == [2]


def test_of_very_small_products_blas_decides_itself(numbers, monkeypatch):
    monkeypatch.setattr(blas, "LEAST", 6 * 12)
    assert blas.dot(np.ones((2, 3)), np.ones((3, 4))).shape == (2, 4)
    assert numbers == [2]
    assert blas.dot(np.ones((2, 3)), np.ones((3, 5))).shape == (2, 5)
    assert numbers == [2, 1, 2]


def test_another_blas(monkeypatch):
    monkeypatch.setattr(threads, "parts_to_do", object())
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
