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


def shared_memory():
    """Operations whose results lie in one memory, or in an input's: what they return, and which result is then changed."""

    def twice(x):
        y = x * 2
        return y, y

    def overlapping(x):
        both = np.concatenate([x, x])
        return both[: len(x) + 1], both[len(x) - 1 :]

    return [twice, overlapping, lambda x: (x, x + 1), lambda x: (x[:2], x[1:])]


@pytest.mark.parametrize("forward", shared_memory())
def test_a_change_of_memory_that_results_share_is_seen_by_all(forward):
    both = ns.op(forward, outputs=("a", "b"), name="both")
    both.rule("x")(lambda g_a, g_b, x: 0 * x)
    (x,) = inputs((3,))
    a, b = both(x)
    y = (a * a).sum() + (b * b).sum()
    with ns.no_grad():
        a[...] = 0
    with pytest.raises(RuntimeError, match="was changed in place"):
        y.backward()


def test_results_apart_in_one_buffer_are_changed_apart():
    @ns.op(outputs=("a", "b"))
    def halves(x):
        both = np.concatenate([x, 2 * x])
        return both[: len(x)], both[len(x) :]

    halves.rule("x")(lambda g_a, g_b: g_a + 2 * g_b)
    (x,) = inputs((3,))
    a, b = halves(x)
    y = (b * b).sum()
    with ns.no_grad():
        a[...] = 0
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 8 * x.numpy())


def test_an_operation_that_returns_its_input_shares_its_memory():
    identity = ns.op(lambda x: x, name="identity")
    identity.rule("x")(lambda g: g)
    (x,) = inputs((3,))
    y = identity(x)
    z = (y * y).sum()
    with ns.no_grad():
        x[...] = 0
    with pytest.raises(RuntimeError, match="multiply: its input a .* was changed in place"):
        z.backward()


def test_a_rule_may_give_back_the_number_that_stands_for_no_gradient():
    @ns.op(outputs=("a", "b"))
    def pair(x, w):
        return x + 1, w * 2

    pair.rule("x")(lambda g_a: g_a)
    pair.rule("w")(lambda g_a, g_b: 2.0 * g_b)
    x, w = inputs((3,), (3,))
    a, _ = pair(x, w)
    a.sum().backward()
    assert w.grad is None and x.grad.tolist() == [1, 1, 1]
    assert ns.grad(pair(x, w)[0].sum(), w, create_graph=True).tolist() == [0, 0, 0]


def test_a_rule_that_cannot_do_without_a_gradient_is_named():
    @ns.op(outputs=("total", "doubled"))
    def both(x):
        return x.sum(), 2 * x

    both.rule("x")(
        lambda g_total, g_doubled, x_shape: ns.broadcast_to(g_total, x_shape) + 2 * g_doubled.reshape(x_shape)
    )
    (x,) = inputs((3,))
    sum(t.sum() for t in both(x)).backward()
    assert x.grad.tolist() == [3, 3, 3]
    with pytest.raises(
        ns.GradientError,
        match=r"both: its rule for x fails where nobody used the result doubled and g_doubled is the number 0 \('int' object",
    ):
        both(x)[0].backward()


def test_any_number_of_inputs():
    @ns.op(outputs=("total", "product"))
    def folded(*arrays):
        return sum(arrays), np.prod(arrays, axis=0)

    @folded.rule("arrays")
    def _(g_total, g_product, product, arrays, index):
        return g_total + g_product * product / arrays[index]

    given = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 0.5])]
    for used in (lambda y: y, lambda y: y[0], lambda y: y[1]):
        ns.gradcheck(lambda *a, used=used: used(folded(*a)), given, order=2)


def test_a_named_tuple_is_one_and_numbers_become_arrays():
    @ns.op(outputs=("values", "vectors"))
    def eigen(x):
        return np.linalg.eigh(x)

    @ns.op(outputs=("least", "greatest"))
    def extremes(x):
        return x.min(), x.max()

    extremes.rule("x")(lambda g_least, least, x: g_least * ns.equal(x, least))
    assert [t.shape for t in eigen(ns.tensor(np.eye(2)))] == [(2,), (2, 2)]
    (x,) = inputs((3,))
    least, _ = extremes(x)
    assert least.shape == () and type(least.data) is np.ndarray
    least.backward()
    assert x.grad.tolist() == (x.numpy() == x.numpy().min()).tolist()


def test_deep_chains():
    @ns.op(outputs=("a", "b"))
    def turned(x, w):
        return (x + w) / 2**0.5, (x - w) / 2**0.5

    turned.rule("x")(lambda g_a, g_b: (g_a + g_b) / 2**0.5)
    turned.rule("w")(lambda g_a, g_b: (g_a - g_b) / 2**0.5)
    x, w = inputs((), ())
    a, b = x, w
    for _ in range(100_000):
        a, b = turned(a, b)
    (a + b).backward()
    assert x.grad.item() == pytest.approx(1) and w.grad.item() == pytest.approx(1)
    del a, b  # freed without recursion, too


def test_a_graph_has_no_cycles():
    gc.collect()
    gc.disable()
    try:
        before = sum(type(o) in (Node, Result) for o in gc.get_objects())
        (x,) = inputs((3,))
        y = sum(sincos(x)).sum()
        probes = [weakref.ref(y._node), weakref.ref(y)]
        y.backward()
        del y
        assert all(p() is None for p in probes)
        assert sum(type(o) in (Node, Result) for o in gc.get_objects()) == before
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

    @ns.op(outputs=("a", "b"))
    def listed(x):
        return [x, x]

    @ns.op(outputs=("a", "b"))
    def nothing(x):
        return x, None

    @ns.op
    def undeclared(x):
        return np.linalg.eigh(x.reshape(1, 1))

    for argument in (ns.tensor([1.0]), np.ones(1)):
        with pytest.raises(TypeError, match=r"listed: .* returned a list, expected the 2 results .* return a tuple"):
            listed(argument)
        with pytest.raises(TypeError, match=r"nothing: .* returned None for its result b, expected an array"):
            nothing(argument)
        with pytest.raises(TypeError, match=r"undeclared: .* returned 2 results and declares one"):
            undeclared(argument)
        with pytest.raises(TypeError, match=r'pair: its forward function returned 2 results .* outputs=\("y1", "y2"\)'):
            pair(argument)
        with pytest.raises(TypeError, match=r"three: .* returned 3 results, expected the 2 results .* \(a, b\)"):
            three(argument)
        with pytest.raises(TypeError, match=r"single: .* returned \(1,\) float\d\d, expected the 2 results"):
            single(argument)


TAKEN = [("x", "a"), ("a", "a"), ("a",), ("g", "a"), ("y", "a"), ("x_shape", "a"), ("a", "g_a"), ("lambda", "a")]


@pytest.mark.parametrize("outputs", [*TAKEN, ("index", "a"), ("arrays", "a"), ("arrays_shape", "a")])
def test_names_that_are_taken_are_refused(outputs):
    with pytest.raises(ValueError, match="op: forward has outputs"):

        @ns.op(outputs=outputs)
        def forward(x, *arrays):
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


# Rules for several inputs at once


def product_and_sum():
    """An operation with a rule for both of its inputs, and how often that was asked."""
    asked = []

    @ns.op(outputs=("product", "total"))
    def product_and_sum(a, b):
        return a * b, a + b

    @product_and_sum.rule("a", "b")
    def _(g_product, g_total, a, b):
        asked.append(type(g_product))
        return g_product * b + g_total, g_product * a + g_total

    return product_and_sum, asked


def test_a_rule_for_several_inputs_is_asked_once_in_a_backward_pass_of_every_order():
    operation, asked = product_and_sum()
    a, b = inputs((3,), (3,))
    assert ns.gradcheck(operation, [a.numpy(), b.numpy()], order=2).passed
    asked.clear()
    product, total = operation(a, b)
    y = (product * product + total).sum()
    y.backward()
    assert asked == [np.ndarray]
    np.testing.assert_allclose(a.grad.numpy(), (2 * a * b * b + 1).numpy(), rtol=1e-13)
    np.testing.assert_allclose(b.grad.numpy(), (2 * a * a * b + 1).numpy(), rtol=1e-13)
    y.backward()
    assert asked == [np.ndarray] * 2
    ns.grad(operation(a, b)[0].sum(), [a, b], create_graph=True)
    assert asked[2:] == [ns.Tensor]


def test_what_a_rule_for_several_inputs_found_does_not_outlive_the_pass():
    operation, _ = product_and_sum()
    (a, b), seed = inputs((3,), (3,)), np.ones(3)
    product, _ = operation(a, b)
    by_a = ns.grad(product, a, grad_output=ns.tensor(seed))
    seed *= 2
    by_b = ns.grad(product, b, grad_output=ns.tensor(seed))
    np.testing.assert_array_equal(by_a.numpy(), b.numpy())
    np.testing.assert_array_equal(by_b.numpy(), 2 * a.numpy())


def test_a_rule_for_several_inputs_may_leave_some_without_a_gradient():
    @ns.op(outputs=("first", "second"))
    def pair(a, b):
        return a * 1.0, b * 1.0

    @pair.rule("a", "b")
    def _(g_first, g_second):
        return g_first, None

    a, b = inputs((2,), (2,))
    first, second = pair(a, b)
    (first + second).sum().backward()
    assert a.grad.numpy().tolist() == [1.0, 1.0] and b.grad is None


def test_a_rule_for_several_inputs_is_told_which_are_wanted():
    told = []

    @ns.op(outputs=("first", "second"))
    def pair(a, b):
        return a * 1.0, b * 1.0

    @pair.rule("a", "b")
    def _(g_first, g_second, wanted):
        told.append(wanted)
        return g_first, g_second

    a, b = inputs((2,), (2,))
    for second in (b, b.detach()):
        pair(a, second)[0].sum().backward()
    assert told == [{"a", "b"}, {"a"}]


def test_a_rule_for_several_inputs_is_for_operations_with_several_results():
    @ns.op
    def times(a, b):
        return a * b

    for names in (("a", "b"), ()):
        with pytest.raises(
            ValueError, match=r"^times.rule: a rule is for one input, or for several of an operation with outputs"
        ):
            times.rule(*names)
    with pytest.raises(ValueError, match="no input is called 'c'"):
        times.rule("a", "c")
