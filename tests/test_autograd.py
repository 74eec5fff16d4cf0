"""The engine: the graph, the backward pass, and what protects them."""

import asyncio
import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import nnscratch as ns
from nnscratch.autograd import Node

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def collector_off():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def leaf(*values, dtype="float64"):
    return ns.tensor(list(values), dtype=dtype, requires_grad=True)


# Depth and memory


def test_a_hundred_thousand_operations_go_forward_and_back(collector_off):
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = y * 1.00001 + 1e-6
    y.sum().backward()
    assert x.grad.item() == pytest.approx(1.00001**50_000, rel=1e-9)
    g = ns.grad(y.sum(), x)
    assert g.item() == pytest.approx(1.00001**50_000, rel=1e-9)
    probe = weakref.ref(y)
    del y
    assert probe() is None


def test_graphs_are_freed_by_reference_counts_alone(collector_off):
    before = sum(isinstance(o, ns.Tensor | Node) for o in gc.get_objects())
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = ns.functional.sigmoid(x * w + x[::-1])
    loss = ns.functional.mse_loss(h, ns.tensor([0.0, 1.0], dtype="float64")) + (w**2).mean()
    probes = [weakref.ref(h), weakref.ref(loss), weakref.ref(loss._node), weakref.ref(h.data)]
    loss.backward()
    (g,) = ns.grad(loss, [x], create_graph=True)
    (g * g).sum().backward()
    del h, loss, g, x, w
    assert [p() for p in probes] == [None] * 4
    assert sum(isinstance(o, ns.Tensor | Node) for o in gc.get_objects()) == before


def test_backward_drops_arrays_as_it_goes():
    x = leaf(*range(1, 6))
    h = ns.exp(x)
    probe = weakref.ref(h.data)
    y = (h * h).sum()
    del h
    assert probe() is not None
    y.backward()
    assert probe() is None, "the backward pass kept an array although y only needs it again on demand"


def test_only_what_a_rule_names_is_kept():
    x = leaf(1.0, 2.0)
    h = x * 2  # its rule needs neither x nor the result
    z = h + 1
    assert h._node.data is None and z._node.data is None
    ns.exp(z)
    assert z._node.data is None
    ns.square(z)
    assert z._node.data is z.data


def test_unneeded_gradients_are_not_computed():
    calls = []

    @ns.op
    def pair(a, b):
        return a * b

    @pair.rule("a")
    def _(g, b):
        calls.append("a")
        return g * b

    @pair.rule("b")
    def _(g, a):
        calls.append("b")
        return g * a

    data, weight = ns.tensor([1.0, 2.0]), leaf(3.0, 4.0, dtype="float32")
    pair(data, weight).sum().backward()
    assert calls == ["b"]
    other = leaf(1.0, 1.0, dtype="float32")
    calls.clear()
    ns.grad(pair(other, weight).sum(), [other])
    assert calls == ["a"]


# Sums and orders


def test_two_backward_passes_add_up():
    x = leaf(2.0, 3.0)
    h = x * x
    y = (h * h).sum()  # x**4; interior gradients must not be counted twice
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.numpy() ** 3)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 8 * x.numpy() ** 3)
    (x * 5).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 8 * x.numpy() ** 3 + 5)


def test_a_second_pass_through_dropped_values_and_shared_parts():
    x = leaf(0.3, 0.7)
    h = ns.functional.tanh(ns.exp(x))
    a, b = (h * h).sum(), (h * 3).sum()
    a.backward()
    b.backward()
    expected = ns.grad((ns.functional.tanh(ns.exp(x)) ** 2 + 3 * ns.functional.tanh(ns.exp(x))).sum(), x)
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-14)


def test_third_and_fifth_derivatives():
    x = leaf(0.5)
    y = ns.sin(x) * ns.exp(x)  # derivatives: e^x (sin + cos), 2 e^x cos, 2 e^x (cos - sin), -4 e^x sin, ...
    for _ in range(3):
        y = ns.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(2 * np.exp(0.5) * (np.cos(0.5) - np.sin(0.5)), rel=1e-13)
    for _ in range(2):
        y = ns.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(-4 * np.exp(0.5) * (np.sin(0.5) + np.cos(0.5)), rel=1e-13)


def test_derivatives_that_vanish_are_zero():
    x = leaf(2.0)
    y = x * x
    for expected in (4.0, 2.0, 0.0, 0.0):
        y = ns.grad(y, x, create_graph=True)
        assert y.item() == expected
    unrelated = leaf(1.0, 2.0)
    assert ns.grad(x * x, [x, unrelated])[1].tolist() == [0.0, 0.0]


def test_hessian_vector_product():
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    x, v = leaf(1.0, -1.0), np.array([0.5, 2.0])
    g = ns.grad(0.5 * x @ (ns.tensor(a) @ x), x, create_graph=True)
    np.testing.assert_allclose(ns.grad(g, x, v).numpy(), a @ v)


def test_backward_with_create_graph_leaves_differentiable_gradients():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    (x.grad**2).backward()
    # d/dx (3x²)² = 36x³, added to the first gradient 3x²
    assert x.grad.item() == 12 + 36 * 8
    x.grad = None


def test_gradient_by_an_interior_tensor():
    x = leaf(1.0, 2.0)
    h = x * 3
    y = (h * h).sum()
    gh, gx = ns.grad(y, [h, x])
    np.testing.assert_allclose(gh.numpy(), 2 * h.numpy())
    np.testing.assert_allclose(gx.numpy(), 6 * h.numpy())
    assert x.grad is None and h.grad is None


def test_backward_from_a_gradient_passed_in():
    x = leaf(1.0, 2.0)
    (x * x).backward(ns.tensor([1.0, 10.0], dtype="float64"))
    assert x.grad.tolist() == [2.0, 40.0]


def test_gradients_share_no_memory():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    start = np.ones(2)
    (x + w).backward(start)
    x.grad.data[...] = 7
    assert w.grad.tolist() == [1.0, 1.0] and start.tolist() == [1.0, 1.0]
    a, b = ns.grad((x + w).sum(), [x, w])
    a.data[...] = 7
    assert b.tolist() == [1.0, 1.0]


def test_repeated_input_and_diamond():
    x = leaf(3.0)
    h = x * x
    (h + h * x + x).backward()
    assert x.grad.item() == 2 * 3 + 3 * 9 + 1


# Recording


def test_no_grad_and_enable_grad():
    x = leaf(1.0)
    with ns.no_grad():
        assert not (x * 2).requires_grad
        with ns.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @ns.no_grad()
    def predict(t):
        return t * 2

    assert not predict(x).requires_grad and predict.__name__ == "predict"
    with pytest.raises(ZeroDivisionError), ns.no_grad():
        raise ZeroDivisionError
    assert ns.is_grad_enabled()


def test_recording_is_per_thread():
    import threading

    seen = []
    with ns.no_grad():
        thread = threading.Thread(target=lambda: seen.append(ns.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_detach_and_constants():
    x = leaf(2.0)
    (x.detach() * x).backward()
    assert x.grad.item() == 2.0
    assert not (ns.tensor([1.0]) * 2).requires_grad


@pytest.mark.cpu
def test_raw_arrays_in_raw_arrays_out():
    out = ns.functional.relu(np.array([-1.0, 1.0], np.float32))
    assert type(out) is np.ndarray and out.dtype == np.float32
    mixed = np.array([1.0, 2.0], np.float32) * ns.tensor([3.0, 4.0])
    assert isinstance(mixed, ns.Tensor) and mixed.tolist() == [3.0, 8.0]


def test_lists_are_operands_like_any_other():
    x = ns.tensor([[1.0, 2.0]], requires_grad=True)
    for y in (x @ [[3.0], [4.0]], x * [3.0, 4.0], (x * (3.0, 4.0)), ns.functional.linear(x, [[3.0, 4.0]])):
        assert y.dtype == np.float32
        assert ns.grad(y.sum(), x, create_graph=True).tolist() == [[3.0, 4.0]]


# Dtypes


def test_dtypes_do_not_drift():
    for dtype in ("float16", "float32", "float64"):
        t = ns.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
        for y in (t + 1, 2.5 * t, t / 3, t**2, 1 - t, t.mean(), t.var(), t[0], ns.where(t > 1, t, 0), 1 / t, 2**t):
            assert y.dtype == dtype
        for y in (t * np.sqrt(2), np.float64(2) * t, np.sqrt(2) - t, ns.maximum(t, np.float64(0))):
            assert y.dtype == dtype and ns.grad(y.sum(), t, create_graph=True).dtype == dtype
    wide, narrow = ns.tensor([1.0], dtype="float64", requires_grad=True), ns.tensor([1.0], requires_grad=True)
    y = wide * narrow
    assert y.dtype == np.float64
    y.sum().backward()
    assert wide.grad.dtype == np.float64 and narrow.grad.dtype == np.float32


def test_lists_become_float32_and_arrays_keep_their_dtype():
    assert ns.tensor([1, 2]).dtype == np.float32
    assert ns.tensor(3).dtype == np.float32
    assert ns.tensor([True, False]).dtype == bool
    assert ns.tensor(np.array([1, 2])).dtype == np.int64
    assert ns.tensor([np.float64(1)]).dtype == np.float32
    assert ns.tensor([0, 1], dtype="int64").dtype == np.int64
    assert ns.add([1.0], [2.0]).dtype == np.float32
    source = np.zeros(2)
    ns.tensor(source).data[0] = 1
    assert source[0] == 0


# In-place changes


def test_a_saved_value_changed_in_place_is_refused():
    x, c = leaf(1.0, 2.0), ns.tensor([3.0, 4.0], dtype="float64")
    y = (x * c).sum()
    c[0] = 9
    with pytest.raises(RuntimeError, match="multiply: its input b .* changed in place"):
        y.backward()


def test_a_change_through_a_view_or_detached_tensor_is_seen():
    for view in (lambda t: t[:1], lambda t: t.detach(), lambda t: t.reshape(2, 1), lambda t: t.T):
        x, c = leaf(1.0, 2.0), ns.tensor([3.0, 4.0], dtype="float64")
        y = (x * c).sum()
        view(c)[...] = 9
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()


def test_a_changed_result_is_refused():
    x = leaf(1.0, 2.0)
    y = ns.exp(x)
    with ns.no_grad():
        y[0] = 0
    with pytest.raises(RuntimeError, match="exp: its result"):
        y.sum().backward()


def test_a_change_that_no_rule_minds_is_allowed():
    x, c = leaf(1.0, 2.0), ns.tensor([3.0, 4.0], dtype="float64")
    y = (x + c).sum()
    c[0] = 9
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_step_between_two_passes_is_refused_where_values_must_be_computed_again():
    x = leaf(1.0, 2.0)
    y = (ns.exp(x * x)).sum()
    y.backward()
    with ns.no_grad():
        x[...] = 0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_assignment_into_a_graph_is_refused():
    x = leaf(1.0, 2.0)
    h = x * 2
    with pytest.raises(RuntimeError, match="is a leaf that requires gradients"):
        x[0] = 1
    with pytest.raises(RuntimeError, match="is a result of multiply"):
        h[0] = 1
    with pytest.raises(RuntimeError, match="an assignment would lose"):
        ns.tensor([1.0, 2.0])[0] = h[0]
    assert x.tolist() == [1.0, 2.0]


def test_augmented_assignment():
    w = leaf(1.0, 2.0)
    shared = w.data
    (w * w).sum().backward()
    with ns.no_grad():
        w -= 0.5 * w.grad
    assert w.data is shared and w.tolist() == [0.0, 0.0] and w.is_leaf and w.requires_grad
    with pytest.raises(RuntimeError, match="is a leaf that requires gradients"):
        w += 1
    total = 0
    for t in (w * 2, w + 1):
        total += t.sum()
    total *= 3
    total.backward()
    assert w.grad.tolist() == [2.0 + 9.0, 4.0 + 9.0]
    count = ns.tensor([1.0, 2.0])
    view = count[:1]
    count /= 2
    assert view.tolist() == [0.5]
    whole = ns.tensor([1, 2], dtype="int64")
    with pytest.raises(TypeError, match="float64 results do not fit into a tensor of int64"):
        whole += ns.tensor([0.5, 0.5], dtype="float64")
    with pytest.raises(ValueError, match="assignment"):
        count += ns.tensor(np.ones((2, 2), np.float32))


def test_an_augmented_assignment_is_seen_by_the_graph():
    x, c = leaf(1.0, 2.0), ns.tensor([3.0, 4.0], dtype="float64")
    y = (x * c).sum()
    c += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_copies_of_leaves_are_independent():
    x = leaf(1.0, 2.0)
    x.grad = ns.tensor([5.0, 5.0], dtype="float64")
    twin = copy.deepcopy(x)
    with ns.no_grad():
        twin[0] = 9
    assert x.tolist() == [1.0, 2.0] and twin.tolist() == [9.0, 2.0] and twin.requires_grad
    assert pickle.loads(pickle.dumps(x)).tolist() == [1.0, 2.0]


# Users' operations


def test_a_user_operation_with_two_inputs_and_a_setting():
    @ns.op(formula="a b^n")
    def scaled(a, b, n=1):
        return a * b**n

    @scaled.rule("a")
    def _(g, b, n):
        return g * b**n

    @scaled.rule("b")
    def _(g, a, b, n):
        return g * a * n * b ** (n - 1)

    assert ns.gradcheck(lambda a, b: scaled(a, b, n=3), [np.array([1.0, 2.0]), np.array([0.5])], order=2).passed
    t = leaf(2.0)
    assert scaled(b=t, a=3.0, n=2).item() == 12.0
    assert scaled(np.ones(2), np.ones(2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda op: op.rule("z"), ValueError, "no input is called 'z'"),
        (lambda op: op.rule("a")(lambda g, q: g), TypeError, "the parameter 'q' is none of"),
        (lambda op: op(leaf(1.0), 2), TypeError, "no rule for the gradient by a"),
        (lambda op: op(1, 2, 3), TypeError, "f: .*argument"),
        (lambda op: op(1, c=2), TypeError, "no argument 'c'"),
        (lambda op: op(1, a=2), TypeError, "given twice|missing"),
    ],
)
def test_mistakes_in_defining_and_calling_operations(build, error, words):
    @ns.op
    def f(a, b):
        return a * b

    with pytest.raises(error, match=words):
        build(f)


def test_reserved_names_are_refused():
    with pytest.raises(TypeError, match="called y or g"):

        @ns.op
        def f(x, y):
            return x


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda g: g.sum(), None),
        (lambda g: np.zeros((5,)), r"shape \(5,\), expected \(3,\)"),
        (lambda g: np.zeros((3, 1)), r"shape \(3, 1\)"),
        (lambda g: np.zeros(3, int), "dtype int64"),
        (lambda g: np.zeros(3, complex), "dtype complex128"),
    ],
)
def test_a_rule_of_the_wrong_shape_or_dtype_names_the_operation(returned, words):
    @ns.op
    def f(x):
        return x * 1.0

    @f.rule("x")
    def _(g):
        return returned(g)

    x = leaf(1.0, 2.0, 3.0)
    with pytest.raises(ns.GradientError, match=r"f: its rule for x returned.*" + (words or r"shape \(\)")):
        f(x).sum().backward()
    assert x.grad is None


# Mistakes


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: leaf(1.0, 2.0).backward(), ValueError, "only a scalar"),
        (lambda: ns.tensor([1.0]).sum().backward(), RuntimeError, "does not depend on any tensor"),
        (lambda: (leaf(1.0, 2.0) * 2).backward(np.ones(3)), ValueError, r"shape \(3,\), the output \(2,\)"),
        (lambda: ns.grad(leaf(1.0), ns.tensor([1.0])), ValueError, "does not require a gradient"),
        (lambda: ns.grad(1.0, leaf(1.0)), TypeError, "expected Tensors, got float"),
        (lambda: ns.tensor([1, 2], dtype="int64", requires_grad=True), TypeError, "only floating-point"),
        (lambda: (leaf(1.0) * 2).requires_grad_(False), RuntimeError, "use .detach"),
        (lambda: ns.tensor([[1.0], [1.0, 2.0]]), ValueError, "different lengths"),
        (lambda: ns.tensor("abc"), TypeError, "expected real numbers"),
        (lambda: ns.tensor([1j]), TypeError, "expected real numbers"),
        (lambda: ns.tensor([None]), TypeError, "expected real numbers"),
        (lambda: ns.tensor([1.0], dtype="str"), TypeError, "dtype must be"),
        (lambda: ns.tensor([1.0], dtype="nonsense"), TypeError, "dtype must be"),
        (lambda: ns.tensor([1.0], device="cudas"), ValueError, "'cudas' is not available"),
        (lambda: ns.tensor([1.0]).to("tpu"), ValueError, "'tpu' is not available"),
        (lambda: ns.manual_seed(-1), ValueError, "manual_seed: seed is -1"),
        (lambda: ns.manual_seed(0.5), TypeError, "manual_seed: seed is 0.5"),
        (lambda: ns.tensor([1.0, 2.0]).item(), ValueError, "expected one element"),
        (lambda: f"{ns.tensor([1.0, 2.0]):.2f}", TypeError, "is for one number"),
        (lambda: bool(ns.tensor([1.0, 2.0])), ValueError, "neither true nor false"),
        (lambda: len(ns.tensor(1.0)), TypeError, "has no length"),
        (lambda: range(3)[ns.tensor([1.5])], TypeError, "only an integer tensor"),
        (lambda: ns.tensor([1.0]).__setitem__(5, 1.0), IndexError, r"assignment: .*\(into \(1,\) float32\)"),
        (lambda: ns.tensor([1.0]).__setitem__(0, [1.0, 2.0]), ValueError, "assignment: "),
        (lambda: ns.gradcheck(lambda x: x, [np.ones(2, np.float32)]), TypeError, "pass float64"),
        (lambda: ns.gradcheck(lambda x: x, [np.ones(2, int)]), ValueError, "nothing to check"),
        (lambda: ns.gradcheck(lambda x: 1.0, [np.ones(2)]), TypeError, "expected a Tensor"),
        (lambda: ns.gradcheck(lambda x: x, [np.ones(2)], order=0), ValueError, "expected 1 or more"),
        (lambda: ns.nothing, AttributeError, "has no attribute 'nothing'"),
    ],
)
def test_mistakes_have_one_clear_sentence(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.cpu
def test_conversions():
    t = ns.tensor([[1.0, 2.0]])
    assert float(t[0, 1]) == 2.0 and int(t[0, 0]) == 1 and t.tolist() == [[1.0, 2.0]]
    np.testing.assert_array_equal(np.asarray(t), t.numpy())
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert [row.shape for row in t] == [(1 + 1,)]
    assert t.device == "cpu" and t.to("cpu") is t and t.ndim == 2 and t.size == 2 and len(t) == 1
    assert repr(ns.tensor([1.0], requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert repr(leaf(1.0) * 2) == "tensor([2.], dtype=float64, op=multiply)"
    assert {t: 1}[t] == 1
    assert f"{t[0, 1]:.2f} {ns.tensor(3.5):5.1f}" == "2.00   3.5" and f"{t}" == repr(t)


def test_one_block_may_be_entered_twice():
    quiet, x = ns.no_grad(), leaf(1.0)
    with quiet:
        with quiet, ns.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert ns.is_grad_enabled() and (x * 2).requires_grad


def test_one_block_may_be_entered_by_two_threads_in_turn():
    quiet, seen, turns = ns.no_grad(), [], [threading.Event() for _ in range(3)]

    def other():
        turns[0].wait()
        with quiet:
            turns[1].set()
            turns[2].wait()
        seen.append(ns.is_grad_enabled())

    thread = threading.Thread(target=other)
    thread.start()
    with quiet:
        turns[0].set()
        turns[1].wait()
    seen.append(ns.is_grad_enabled())
    turns[2].set()
    thread.join()
    assert seen == [True, True]


def test_no_grad_decorates_functions_generators_and_coroutines():
    x = leaf(1.0)

    @ns.no_grad
    def function():
        return (x * 2).requires_grad

    @ns.no_grad()
    def generator(n):
        got = []
        try:
            for _ in range(n):
                got.append((yield (x * 2).requires_grad))
        finally:
            got.append((x * 2).requires_grad)
        return got

    @ns.no_grad()
    async def coroutine():
        before = (x * 2).requires_grad
        await asyncio.sleep(0)
        return before or (x * 2).requires_grad

    async def both():
        recorded = (x * 2).requires_grad
        return recorded, await asyncio.gather(coroutine(), coroutine())

    assert function() is False
    running = generator(2)
    assert next(running) is False and ns.is_grad_enabled()
    assert running.send("a") is False
    with pytest.raises(StopIteration) as end:
        running.send("b")
    assert end.value.value == ["a", "b", False]
    thrown = generator(2)
    next(thrown)
    with pytest.raises(KeyError):
        thrown.throw(KeyError("x"))
    generator(1).close()
    assert asyncio.run(both()) == (True, [False, False])
    assert ns.is_grad_enabled()


def test_no_grad_decorates_nothing_else():
    async def ticks():
        yield 1

    for what in (3, ticks):
        with pytest.raises(
            TypeError, match=r"^no_grad: got .*, expected a function; within an asynchronous generator write"
        ):
            ns.no_grad()(what)


@pytest.mark.parametrize(
    "output",
    [
        lambda w: (w * w).sum().detach(),
        lambda w: ns.tensor(float(w.numpy().sum())),
        lambda w: ns.round(w).sum(),
        lambda w: ns.grad((w**3).sum(), w).sum(),
        lambda w: ns.argmax(w),
    ],
)
def test_the_gradient_of_what_has_no_graph_is_refused_by_grad_and_backward(output):
    w = leaf(1.0, 2.0)
    y = output(w)
    for ask in (lambda: ns.grad(y, w), lambda: y.backward()):
        with pytest.raises(RuntimeError, match="does not depend on any tensor with requires_grad=True"):
            ask()


def test_a_constant_gradient_has_a_derivative_of_zero():
    x, g = leaf(1.0, 2.0), ns.tensor([1.0, 1.0])
    slope = ns.grad(x + x, x, g, create_graph=True)
    assert ns.grad(slope.sum(), x).tolist() == [0.0, 0.0]
    assert not g.requires_grad


def test_threads_add_their_gradients_to_one_parameter():
    w = leaf(*np.zeros(50_000))

    def work():
        for _ in range(20):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert np.unique(w.grad.numpy()).tolist() == [80.0]


def test_results_are_neither_pickled_nor_copied_deeply():
    w = leaf(2.0)
    w.grad = ns.tensor([3.0])
    y = w * w
    for way in (copy.deepcopy, pickle.dumps, lambda t: copy.deepcopy([t])):
        with pytest.raises(
            TypeError, match=r"^copy: this tensor \(1,\) is a result of multiply, and a graph cannot be copied"
        ):
            way(y)
    for way in (copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        again = way(w)
        assert again.requires_grad and again.tolist() == [2.0] and again.grad.tolist() == [3.0]
        again.data[...] = 0
        assert w.item() == 2.0
    shallow = copy.copy(y)
    shallow.backward()
    assert w.grad.tolist() == [7.0]
    parameter = copy.copy(ns.nn.Parameter([1.0]))
    assert type(parameter) is ns.nn.Parameter and parameter.requires_grad


NUMPY_CALLS = {
    "sum": (lambda t: np.sum(t, axis=0), lambda t: ns.sum(t, 0)),
    "mean": (lambda t: np.mean(t, 1, keepdims=True), lambda t: ns.mean(t, 1, True)),
    "std": (lambda t: np.std(t, 0, ddof=1), lambda t: ns.std(t, 0, 1)),
    "norm": (np.linalg.norm, ns.norm),
    "norm of rows": (lambda t: np.linalg.norm(t, 1, axis=-1), lambda t: ns.norm(t, 1, -1)),
    "concatenate": (lambda t: np.concatenate([t, t], axis=1), lambda t: ns.concatenate([t, t], axis=1)),
    "where": (lambda t: np.where(t.numpy() > 0, t, 0.5), lambda t: ns.where(t.numpy() > 0, t, 0.5)),
    "clip": (lambda t: np.clip(t, -0.5, 0.5), lambda t: ns.clip(t, -0.5, 0.5)),
    "clip by name": (lambda t: np.clip(t, a_min=0, a_max=None), lambda t: ns.clip(t, 0)),
    "reshape": (lambda t: np.reshape(t, -1), lambda t: ns.reshape(t, -1)),
    "transpose": (np.transpose, ns.transpose),
    "einsum": (lambda t: np.einsum("ij,kj->ik", t, t), lambda t: ns.einsum("ij,kj->ik", t, t)),
    "cumsum": (lambda t: np.cumsum(t, 1), lambda t: ns.cumsum(t, 1)),
    "take": (lambda t: np.take(t, [1, 0], axis=1), lambda t: ns.take(t, [1, 0], 1)),
    "max": (lambda t: np.max(t, axis=1), lambda t: ns.max(t, 1)),
    "pad": (lambda t: np.pad(t, 1, constant_values=2.0), lambda t: ns.pad(t, 1, 2.0)),
}


@pytest.mark.cpu
@pytest.mark.parametrize("call", NUMPY_CALLS)
def test_numpy_functions_of_a_tensor_in_a_graph_are_our_operations(call):
    numpys, ours = NUMPY_CALLS[call]
    x = ns.tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
    found, expected = numpys(x), ours(x)
    assert isinstance(found, ns.Tensor) and found._node.op is expected._node.op
    np.testing.assert_array_equal(ns.grad(found.sum(), x).numpy(), ns.grad(expected.sum(), x).numpy())


def test_numpy_functions_that_would_leave_the_graph_are_refused():
    x = leaf(1.0, 2.0)
    for call, instead in (
        (lambda: np.dot(x, x), "ns.matmul"),
        (lambda: np.outer(x, x), "ns.einsum"),
        (lambda: np.stack([x, x]), "ns.stack"),
        (lambda: np.sort(x), "ns.sort"),
        (lambda: np.vstack([x, x]), "ns.concatenate"),
        (lambda: np.gradient(x), "ns.subtract of slices"),
        (lambda: np.linalg.det(x[:, None] * x), "the operations of ns, or ns.op for one of your own"),
    ):
        with pytest.raises(
            TypeError, match=r"^np\.\w+: NumPy computes without a graph, and a tensor given to it requires"
        ) as caught:
            call()
        assert f" a gradient; use {instead}, or pass tensor.detach()" in str(caught.value)
    for call in (
        lambda: np.put(x, 0, 9.0),
        lambda: np.copyto(x, 9.0),
        lambda: np.put_along_axis(x, np.array([0]), 9.0, 0),
    ):
        with pytest.raises(
            TypeError, match=r"^np\.\w+: it changes its argument, and a tensor .*; use ns\.\w+, or change a leaf by"
        ):
            call()
    assert x.tolist() == [1.0, 2.0]
    if x.device == "cpu":
        y = (x * x).sum()
        with ns.no_grad():
            np.copyto(x, 9.0)
        with pytest.raises(RuntimeError, match="in place"):
            y.backward()
        x = leaf(1.0, 2.0)
    with pytest.raises(
        TypeError, match=r"^np\.sum: for a tensor in a graph it is ns\.sum, which has no argument 'initial'"
    ):
        np.sum(x, initial=1.0)
    assert np.shape(x) == (2,) and np.ndim(x) == 1 and np.size(x) == 2
    assert np.array_equal(x, [1.0, 2.0]) and np.allclose(x, x)
    assert np.dot(x.detach(), x.detach()) == 5.0
    with ns.no_grad():
        assert np.dot(x, x) == 5.0


UFUNCS = [np.exp, np.sin, np.arctan, np.absolute, np.sqrt, np.square, np.negative, np.tanh, np.log1p]


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_numpys_elementwise_functions_of_a_tensor_are_our_operations(ufunc):
    x = ns.tensor([0.25, 0.5], dtype="float64", requires_grad=True)
    y = ufunc(x)
    assert isinstance(y, ns.Tensor) and y.requires_grad
    np.testing.assert_allclose(y.numpy(), ufunc(np.array([0.25, 0.5])), rtol=1e-15)
    ns.gradcheck(ufunc, [np.array([0.25, 0.5])])


@pytest.mark.cpu
def test_arrays_on_the_left_of_a_tensor():
    a, x = np.array([2.0, 4.0]), leaf(1.0, 3.0)
    for found, name in (
        (a + x, "add"),
        (a - x, "subtract"),
        (a / x, "divide"),
        (a**x, "power"),
        (np.maximum(a, x), "maximum"),
    ):
        assert found._node.op.name == name
    assert (a[None] @ x).item() == 14.0 and (np.float64(2) * x).tolist() == [2.0, 6.0]
    assert (a > x).tolist() == [True, True] and ((a > 3) & (x > 2)).tolist() == [False, True]
    assert ((a > 3) | (x > 9)).tolist() == [False, True] and ((a > 3) ^ (x > 2)).tolist() == [False, False]
    with pytest.raises(
        TypeError, match=r"^np\.add: it cannot write a tensor's result into an array; assign what ns\.add returns"
    ):
        a += x
    with pytest.raises(TypeError, match=r"^np\.add\.reduce: it is no operation of nnscratch"):
        np.add.reduce(x)
    with pytest.raises(TypeError, match=r"^np\.cbrt: it is no operation of nnscratch; write it with those that are"):
        np.cbrt(x)
    with pytest.raises(TypeError, match=r"^np\.exp: it takes no where where a tensor is given; use ns\.exp"):
        np.exp(x, where=np.array([True, False]))
