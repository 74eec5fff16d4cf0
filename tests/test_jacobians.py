"""Jacobians, Hessians and derivatives along a direction, against their formulas."""

import numpy as np
import pytest

import nnscratch as ns

A = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])


def vector(*values):
    return ns.tensor(np.array(values))


def test_the_jacobian_of_a_product_is_the_matrix():
    x = vector(1.0, 2.0, 3.0)
    np.testing.assert_array_equal(ns.jacobian(lambda v: ns.matmul(A, v), x).numpy(), A)
    assert not x.requires_grad and x.grad is None


def test_jacobians_of_several_inputs_have_both_shapes():
    w, x = ns.tensor(A), vector(1.0, -1.0, 2.0)
    by_w, by_x = ns.jacobian(lambda w, x: ns.matmul(w, x), (w, x))
    assert (by_w.shape, by_x.shape) == ((2, 2, 3), (2, 3))
    np.testing.assert_array_equal(by_x.numpy(), A)
    np.testing.assert_array_equal(by_w.numpy(), np.einsum("ij,k->ijk", np.eye(2), x.numpy()))


def test_the_hessian_of_a_quadratic_form_is_its_matrix():
    m = A.T @ A
    x = vector(0.5, 0.25, -1.0)
    np.testing.assert_allclose(ns.hessian(lambda v: (v * ns.matmul(m, v)).sum() / 2, x).numpy(), m, rtol=1e-14)
    blocks = ns.hessian(lambda a, b: (a * b).sum() + (b**3).sum(), (x, x))
    expected = (np.zeros((3, 3)), np.eye(3), np.eye(3), 6 * np.diag(x.numpy()))
    for found, wanted in zip((*blocks[0], *blocks[1]), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-14)


def test_the_derivative_along_a_direction_is_the_jacobian_times_it():
    def function(v):
        return ns.exp(ns.matmul(A, v)) * v[0]

    x, v = vector(0.5, 0.25, -1.0), np.array([1.0, -0.5, 2.0])
    y, along = ns.jvp(function, x, v)
    np.testing.assert_array_equal(y.numpy(), function(x).numpy())
    np.testing.assert_allclose(along.numpy(), ns.jacobian(function, x).numpy() @ v, rtol=1e-14)
    with ns.no_grad():
        y, along = ns.jvp(lambda a, b: a * b, (x, x), (x, vector(0.0, 0.0, 0.0)))
    np.testing.assert_allclose(along.numpy(), x.numpy() ** 2, rtol=1e-15)


def test_what_depends_on_nothing_has_zeros():
    x = vector(1.0, 2.0)
    constant = vector(3.0)
    assert ns.jacobian(lambda v: constant, x).tolist() == [[0.0, 0.0]]
    assert ns.hessian(lambda v: v.sum(), x).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert ns.jvp(lambda v: constant, x, x)[1].tolist() == [0.0]
    assert ns.jacobian(lambda v: v[:0], x).shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: ns.jacobian(lambda v: v, 3.0), TypeError, r"jacobian: input 0 is 3\.0, expected a tensor"),
        (lambda x: ns.jacobian(lambda v: v, ()), ValueError, "jacobian: got no inputs"),
        (
            lambda x: ns.jacobian(lambda v: 1.0, x),
            TypeError,
            r"jacobian: the function returned 1\.0, expected a tensor",
        ),
        (lambda x: ns.hessian(lambda v: v, x), ValueError, "hessian: the function returned .* reduce it by .sum"),
        (lambda x: ns.hessian(lambda v: v, ns.arange(2)), TypeError, "which has no derivative"),
        (lambda x: ns.jvp(lambda v: v, x, np.ones(3)), ValueError, r"jvp: the vectors have shapes \[\(3,\)\]"),
    ],
)
def test_mistakes(call, error, words):
    with pytest.raises(error, match=words):
        call(vector(1.0, 2.0))
