"""Operations with several results: what rules are given, what is kept, every order of derivatives, and what is refused."""

import gc
import weakref

import numpy as np
import pytest

import nnscratch as ns
from nnscratch.autograd import Node, Result


@ns.op(outputs=("sine", "cosine"))
def sincos(x):
    return np.sin(x), np.cos(x)


ASKED: list = []


@sincos.rule("x")
def _(g_sine, g_cosine, sine, cosine):
    ASKED.append((g_sine, g_cosine))
    return g_sine * cosine - g_cosine * sine


@ns.op(outputs=("h", "c", "gate"))
def cell(x, c_before, w):
    gate = np.tanh(x * w)
    c = c_before + gate
    return np.tanh(c), c, gate


@cell.rule("x")
def _(g_h, g_c, g_gate, h, gate, w):
    return (g_h * (1 - h * h) + g_c + g_gate) * (1 - gate * gate) * w


@cell.rule("c_before")
def _(g_h, g_c, h):
    return g_h * (1 - h * h) + g_c


@cell.rule("w")
def _(g_h, g_c, g_gate, h, gate, x):
    return (g_h * (1 - h * h) + g_c + g_gate) * (1 - gate * gate) * x


@ns.op(outputs=("values", "places"))
def ordered(x):
    return np.sort(x), np.argsort(x)


@ordered.rule("x")
def _(g_values, places, x_shape):
    return ns.put_add(g_values, x_shape, places)


def inputs(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [ns.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


def test_called_with_arrays_it_returns_arrays():
    sine, cosine = sincos(np.array([0.0, 1.0]))
    assert type(sine) is type(cosine) is np.ndarray
    np.testing.assert_array_equal(cosine, np.cos([0.0, 1.0]))


def test_results_are_a_tuple_of_tensors_of_one_node():
    (x,) = inputs((3,))
    sine, cosine = sincos(x)
    assert sine.requires_grad and cosine.requires_grad
    assert sine._node.node is cosine._node.node
    assert [r.name for r in sine._node.node.results] == ["sine", "cosine"]
    assert [r.shape for r in sine._node.node.results] == [(3,), (3,)]


def twice(x, c, w):
    for _ in range(2):
        h, c, gate = cell(x, c, w)
        x = h
    return h, c, gate


USED = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)]


def weighed(used):
    return lambda *arguments: sum(
        t * (k + 2) for k, (t, u) in enumerate(zip(twice(*arguments), used, strict=True)) if u
    )


@pytest.mark.parametrize("used", USED)
def test_first_and_second_derivatives(used):
    rng = np.random.default_rng(1)
    ns.gradcheck(weighed(used), [rng.standard_normal(2) for _ in range(3)], order=2)


@pytest.mark.parametrize("used", USED)
def test_third_derivatives(used):
    rng = np.random.default_rng(1)

    def slope(x, c, w):
        return ns.grad(weighed(used)(x, c, w).sum(), w, create_graph=True)

    ns.gradcheck(slope, [rng.standard_normal(2) for _ in range(3)], order=2)


def test_a_result_that_nobody_used_costs_nothing_and_counts_as_zero():
    (x,) = inputs((4,))
    ASKED.clear()
    sine, _ = sincos(x)
    sine.sum().backward()
    ((g_sine, g_cosine),) = ASKED
    assert type(g_cosine) is int and g_cosine == 0 and type(g_sine) is np.ndarray
    np.testing.assert_array_equal(x.grad.numpy(), np.cos(x.numpy()))


def test_a_rule_is_not_asked_where_no_gradient_came_that_it_names():
    x, c, w = inputs((2,), (2,), (2,))
    _, _, gate = cell(x, c, w)
    gate.sum().backward()
    assert c.grad is None and x.grad is not None and w.grad is not None


def test_gradients_of_several_uses_add_up():
    (x,) = inputs((3,))
    sine, cosine = sincos(x)
    (2 * sine + 3 * sine + cosine * sine).sum().backward()
    s, c = np.sin(x.numpy()), np.cos(x.numpy())
    np.testing.assert_allclose(x.grad.numpy(), 5 * c + c * c - s * s)


def test_gradients_by_a_result():
    (x,) = inputs((3,))
    sine, cosine = sincos(x)
    y = (sine * cosine * cosine).sum()
    by_sine, by_cosine, by_x = ns.grad(y, [sine, cosine, x], create_graph=True)
    np.testing.assert_allclose(by_sine.numpy(), cosine.numpy() ** 2)
    np.testing.assert_allclose(by_cosine.numpy(), 2 * sine.numpy() * cosine.numpy())
    (again,) = ns.grad(by_cosine.sum(), [x])
    np.testing.assert_allclose(again.numpy(), 2 * np.cos(2 * x.numpy()))
    assert not ns.grad(sine.sum(), cosine).numpy().any()
    assert by_x.shape == x.shape


def test_a_result_starts_a_backward_pass():
    (x,) = inputs(())
    _, cosine = sincos(x)
    cosine.backward()
    np.testing.assert_allclose(x.grad.item(), -np.sin(x.item()))


def test_whole_numbers_have_no_gradient():
    (x,) = inputs((5,))
    values, places = ordered(x)
    assert values.requires_grad and not places.requires_grad and places.is_leaf
    ns.gradcheck(lambda x: ordered(x)[0] ** 2, [np.random.default_rng(0).standard_normal(5)], order=2)


def test_constant_outputs_have_no_gradient():
    @ns.op(outputs=("kept", "mask"), constant_outputs=("mask",))
    def positive_part(x):
        mask = np.where(x > 0, 1.0, 0.0)
        return x * mask, mask

    @positive_part.rule("x")
    def _(g_kept, mask):
        return g_kept * mask

    (x,) = inputs((4,))
    kept, mask = positive_part(x)
    assert not mask.requires_grad
    (slope,) = ns.grad((kept * kept).sum(), [x], create_graph=True)
    np.testing.assert_array_equal(ns.grad(slope.sum(), x).numpy(), 2 * mask.numpy())


def test_dropped_results_are_computed_again():
    (x,) = inputs((3,))
    sine, cosine = sincos(x)
    y = (sine * cosine).sum()
    y.backward()
    node = sine._node.node
    assert node.data == [None, None]
    x.grad = None
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos(2 * x.numpy()))


def test_only_what_rules_name_is_kept():
    (x,) = inputs((5,))
    values, _ = ordered(x)
    assert values._node.node.data[0] is None and values._node.node.data[1] is not None


def test_a_kept_result_changed_in_place_is_refused():
    (x,) = inputs((3,))
    sine, cosine = sincos(x)
    with ns.no_grad():
        cosine[...] = 0
    with pytest.raises(RuntimeError, match="sincos: its result cosine .* was changed in place"):
        sine.sum().backward()


def test_an_argument_that_is_a_result_changed_in_place_is_refused():
    (x,) = inputs((3,))
    sine, _ = sincos(x)
    y = sine * sine
    with ns.no_grad():
        sine[...] = 0
    with pytest.raises(RuntimeError, match="multiply: its input a .* was changed in place"):
        y.sum().backward()


def test_a_graph_has_no_cycles():
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(o, Node | Result) for o in gc.get_objects())
        (x,) = inputs((3,))
        y = sum(sincos(x)).sum()
        probes = [weakref.ref(y._node), weakref.ref(y)]
        y.backward()
        del y
        assert all(p() is None for p in probes)
        assert sum(isinstance(o, Node | Result) for o in gc.get_objects()) == before
    finally:
        gc.enable()


def test_what_is_not_declared_is_refused():
    @ns.op
    def pair(x):
        return x + 1, x - 1

    @ns.op(outputs=("a", "b"))
    def three(x):
        return x, x, x

    @ns.op(outputs=("a", "b"))
    def single(x):
        return x

    for argument in (ns.tensor([1.0]), np.ones(1)):
        with pytest.raises(TypeError, match=r'pair: its forward function returned 2 results .* outputs=\("y1", "y2"\)'):
            pair(argument)
        with pytest.raises(TypeError, match=r"three: .* returned 3 results, expected the 2 results .* \(a, b\)"):
            three(argument)
        with pytest.raises(TypeError, match=r"single: .* returned \(1,\) float\d\d, expected the 2 results"):
            single(argument)


@pytest.mark.parametrize("outputs", [("x", "a"), ("a", "a"), ("a",), ("g", "a"), ("y", "a")])
def test_names_that_are_taken_are_refused(outputs):
    with pytest.raises(ValueError, match="op: forward has outputs"):

        @ns.op(outputs=outputs)
        def forward(x):
            return x, x


def test_names_that_are_none_are_refused():
    with pytest.raises(TypeError, match="expected names"):
        ns.op(lambda x: x, outputs="ab")
    with pytest.raises(ValueError, match="has no output 'c'"):
        ns.op(lambda x: (x, x), outputs=("a", "b"), constant_outputs=("c",))


def test_rules_that_ask_for_what_is_not_there_are_refused():
    for parameters in ("g", "y", "g_tangent", "tangent"):
        with pytest.raises(
            TypeError, match=f"the parameter '{parameters}' is none of g_sine, g_cosine, sine, cosine, x"
        ):
            sincos.rule("x")(eval(f"lambda {parameters}: None"))
    with pytest.raises(TypeError, match="names none of the results' gradients g_sine, g_cosine"):
        sincos.rule("x")(lambda x: x)
