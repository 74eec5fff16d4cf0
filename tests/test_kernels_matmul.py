"""The kernels for products of matrices and for placing numbers, against their definitions, and those against single sums."""

import doctest

import numpy as np
import pytest
from nnscratch.kernels import subscripts
from nnscratch.kernels.matmul import definition
from nnscratch.kernels.scatter import definition as scatter_definition

from tests.topic import on_cpu

matmul, scatter = on_cpu("matmul"), on_cpu("scatter")
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


def draw(*shapes):
    return [np.random.default_rng(len(shapes)).standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 2))]
)
def test_products_are_sums_of_products(a, b):
    a, b = draw(a, b)
    columns = b.T if b.ndim > 1 else b
    expected = np.array(
        [[sum(x * y for x, y in zip(r, c, strict=True)) for c in np.atleast_2d(columns)] for r in a.reshape(-1, 4)]
    )
    for kernels in (matmul, definition):
        np.testing.assert_allclose(kernels.matmul(a, b).ravel(), expected.ravel(), **CLOSE)


@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 3, 4), (0, 4)])
def test_a_layer_of_neurons(shape):
    x, w, b = draw(shape, (3, 4), (3,))
    for kernels in (matmul, definition):
        np.testing.assert_allclose(kernels.linear(x, w, b), (x[..., None, :] * w).sum(-1) + b, **CLOSE)
        np.testing.assert_allclose(kernels.linear(x, w), (x[..., None, :] * w).sum(-1), **CLOSE)
    np.testing.assert_array_equal(definition.linear(x, w, b, "relu"), np.maximum(definition.linear(x, w, b), 0))


@pytest.mark.parametrize("axis", range(4))
def test_sums_of_channels(axis):
    (x,) = draw((2, 3, 4, 5))
    expected = [np.take(x, i, axis).sum() for i in range(x.shape[axis])]
    for kernels in (matmul, definition):
        np.testing.assert_allclose(kernels.channel_sums(x, axis), expected, **CLOSE)


@pytest.mark.parametrize("kernels", [scatter, scatter_definition], ids=["cpu", "definition"])
def test_numbers_are_put_into_their_places(kernels):
    x, index = np.arange(6.0).reshape(3, 2), np.array([1, 3, 1])
    expected = np.zeros((4, 2))
    for row, place in zip(x, index, strict=True):
        expected[place] += row
    np.testing.assert_array_equal(kernels.put_add(x, (4, 2), index), expected)
    np.testing.assert_array_equal(kernels.put_add(x, (4, 2), (index, slice(None))), expected)
    labels = np.array([[2, 0], [1, 1]])
    rows = kernels.one_hot(labels, 3, np.dtype("float32"))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, np.eye(3)[labels])


@pytest.mark.parametrize("module", [definition, scatter_definition, subscripts])
def test_examples(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
