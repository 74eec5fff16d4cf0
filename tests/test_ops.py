"""Every operation, from its row in the table: derivatives, broadcasting, strides, dtypes, purity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import autograd
from nnscratch.autograd import OPS
from nnscratch.samples import FIXED, Array, apart

F = ns.functional  # which imports all operations
ROWS = [pytest.param(name, i, id=f"{name}-{case}") for name, op in OPS.items() for i, case in enumerate(op.samples)]
DIFFERENTIABLE = [p for p in ROWS if OPS[p.values[0]].constant is not True]
#: float16 holds three digits: what is summed of them differs by as much.
CLOSE = {"float16": 2e-2, "float32": 1e-5, "float64": 0.0}


def arguments(name, i, seed=0, dtype=np.float64):
    """The drawn arguments of a row, and which of them are differentiated."""
    op = OPS[name]
    case = op.samples[i]
    args, kwargs = case.make(np.random.default_rng(seed), dtype)
    inputs = (
        [
            j
            for j, spec in enumerate(case.args)
            if isinstance(spec, Array) and spec.kind not in FIXED and op._input_name(j) not in op.constant
        ]
        if op.constant is not True
        else []
    )
    return op, args, kwargs, inputs


def strided(a):
    """The same values in a memory layout that skips and runs backwards."""
    wide = np.zeros([2 * n for n in a.shape], a.dtype)
    view = wide[tuple(slice(None, None, -2) for _ in a.shape)] if a.ndim else wide
    view[...] = a
    return view


def call(name, i, seed=0):
    """The operation as a function of its differentiable inputs, and those inputs."""
    op, args, kwargs, inputs = arguments(name, i, seed)

    def fn(*tensors):
        filled = list(args)
        for j, t in zip(inputs, tensors, strict=True):
            filled[j] = t
        return op(*filled, **kwargs)

    return fn, [args[j] for j in inputs]


def test_every_operation_has_a_row_and_a_rule_for_every_input():
    for name, op in OPS.items():
        assert op.samples or name == "astype", f"{name} has no sample inputs"
        assert op.formula and op.__doc__, f"{name} has no formula or docstring"
        if op.constant is not True:
            assert op.derivative, f"{name} does not state its derivative"
            assert op.rules, f"{name} has no rule"


@pytest.mark.parametrize(("name", "i"), DIFFERENTIABLE)
def test_first_and_second_derivatives(name, i):
    fn, inputs = call(name, i)
    assert ns.gradcheck(fn, inputs, order=2).error <= 1e-7


def backwards(t):
    """The same values, through the graph, in memory that runs backwards."""
    return ns.flip(ns.copy(ns.flip(t)))


def fortran(t):
    """The same values, through the graph, in column-major memory."""
    return ns.transpose(ns.copy(ns.transpose(t)))


def spread(t):
    """The same values, through the graph, in every second place of a larger array."""
    every_second = tuple(slice(None, None, 2) for _ in t.shape)
    return ns.put_add(t, tuple(2 * n for n in t.shape), every_second)[every_second] if t.ndim else t


@settings(max_examples=400)
@given(data=st.data())
def test_derivatives_from_other_draws_and_layouts(data):
    name, i = data.draw(st.sampled_from([p.values for p in DIFFERENTIABLE]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    fn, inputs = call(name, i, seed)
    layouts = [data.draw(st.sampled_from([ns.copy, backwards, fortran, spread])) for _ in inputs]

    def laid_out(*tensors):
        return fn(*(layout(t) for layout, t in zip(layouts, tensors, strict=True)))

    ns.gradcheck(laid_out, inputs, order=2, seed=seed)


@pytest.mark.parametrize(("name", "i"), ROWS)
def test_strides_do_not_matter_and_inputs_stay(name, i):
    op, args, kwargs, _ = arguments(name, i)
    plain = op(*args, **kwargs)
    tricky = [strided(a) if isinstance(a, np.ndarray) else a for a in args]
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in tricky]
    again = op(*tricky, **kwargs)
    np.testing.assert_allclose(again, plain, rtol=1e-13, atol=1e-13)
    for a, b in zip(tricky, before, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("name", "i"), ROWS)
def test_tensors_and_arrays_give_the_same_bits_twice(name, i):
    op, args, kwargs, inputs = arguments(name, i)
    raw = np.asarray(op(*args, **kwargs))
    wrapped = [ns.tensor(a) if j in inputs else a for j, a in enumerate(args)]
    first = op(*wrapped, **kwargs)
    if inputs:
        assert isinstance(first, ns.Tensor)
        np.testing.assert_array_equal(first.data, raw)
        np.testing.assert_array_equal(op(*wrapped, **kwargs).data, first.data)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("name", "i"), DIFFERENTIABLE)
def test_dtype_is_kept_forward_and_backward(name, i, dtype):
    op, args, kwargs, inputs = arguments(name, i, dtype=np.dtype(dtype))
    tensors = [ns.tensor(a, requires_grad=True) if j in inputs else a for j, a in enumerate(args)]
    y = op(*tensors, **kwargs)
    assert y.dtype == dtype
    exact_args = [a.astype(np.float64) if j in inputs else a for j, a in enumerate(args)]
    exact = op(*exact_args, **kwargs)
    scale = max(1.0, float(np.max(np.abs(exact), initial=0)))
    np.testing.assert_allclose(y.data.astype(np.float64), exact, atol=CLOSE[dtype] * scale, rtol=CLOSE[dtype])
    y.backward(np.ones_like(y.data))
    for j in inputs:
        assert tensors[j].grad.dtype == dtype
        assert tensors[j].grad.shape == tensors[j].shape
        (second,) = ns.grad(op(*tensors, **kwargs), [tensors[j]], np.ones_like(y.data), create_graph=True)
        assert second.dtype == dtype


@pytest.mark.parametrize(("name", "i"), DIFFERENTIABLE)
def test_gradient_is_the_same_with_and_without_create_graph(name, i):
    fn, inputs = call(name, i)
    tensors = [ns.tensor(a, requires_grad=True) for a in inputs]
    y = fn(*tensors)
    start = np.ones_like(y.data)
    plain = ns.grad(fn(*tensors), tensors, start)
    graphed = ns.grad(y, tensors, start, create_graph=True)
    for a, b in zip(plain, graphed, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-14, atol=1e-14)


def test_a_planted_wrong_rule_is_caught():
    @ns.op
    def wrong(x):
        return x**2

    @wrong.rule("x")
    def _(g, x):
        return g * x

    with pytest.raises(ns.GradientError, match="numerically"):
        ns.gradcheck(wrong, [np.array([1.0, 2.0])])

    @ns.op
    def wrong_second(x):
        return x**3

    @wrong_second.rule("x")
    def _(g, x):
        return g * 3 * (x.detach() if isinstance(x, ns.Tensor) else x) ** 2

    assert ns.gradcheck(wrong_second, [np.array([1.0, 2.0])]).passed
    with pytest.raises(ns.GradientError, match="derivative of its rule"):
        ns.gradcheck(wrong_second, [np.array([1.0, 2.0])], order=2)


# Conventions at ties and kinks


def gradient(fn, *values):
    tensors = [ns.tensor(v, dtype="float64", requires_grad=True) for v in values]
    return [g.tolist() for g in ns.grad(fn(*tensors).sum(), tensors)]


def test_ties_and_kinks():
    assert gradient(F.relu, [-1.0, 0.0, 2.0]) == [[0, 0, 1]]
    assert gradient(ns.abs, [-1.0, 0.0, 2.0]) == [[-1, 0, 1]]
    assert gradient(ns.max, [3.0, 1.0, 3.0]) == [[0.5, 0, 0.5]]
    assert gradient(ns.min, [3.0, 1.0, 1.0]) == [[0, 0.5, 0.5]]
    assert gradient(ns.maximum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == [[0, 0.5, 1], [1, 0.5, 0]]
    assert gradient(ns.minimum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == [[1, 0.5, 0], [0, 0.5, 1]]
    assert gradient(lambda x: ns.clip(x, 0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [[0, 1, 1, 1, 0]]
    assert gradient(ns.std, [2.0, 2.0]) == [[0, 0]]
    assert gradient(lambda x: F.leaky_relu(x, 0.1), [0.0]) == [[0.1]]
    assert gradient(lambda x: F.elu(x, 0.5), [0.0]) == [[0.5]]
    assert gradient(lambda x: x**0, [0.0]) == [[0]]
    assert gradient(lambda x: F.max_pool2d(ns.reshape(x, (1, 1, 2, 2)), 2), [1.0, 3.0, 3.0, 0.0]) == [[0, 1, 0, 0]]
    assert gradient(lambda x: F.l1_loss(x, np.array([1.0, 1.0])), [1.0, 3.0]) == [[0, 0.5]]


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_prod_has_its_derivatives_at_zeros(zeros):
    x = np.array([2.0, -3.0, 0.5, 4.0])
    x[:zeros] = 0
    expected = [np.prod(np.delete(x, i)) for i in range(4)]
    t = ns.tensor(x, requires_grad=True)
    g = ns.grad(ns.prod(t), t, create_graph=True)
    np.testing.assert_allclose(g.data, expected)
    hessian_row = ns.grad(g[0], t)
    np.testing.assert_allclose(hessian_row.data, [0, *(np.prod(np.delete(x, [0, i])) for i in range(1, 4))])


@given(
    shapes=st.sampled_from(
        [((3, 4), (4,)), ((2, 1, 4), (3, 1)), ((), (2, 3)), ((1,), (1, 1)), ((0, 2), (1, 2)), ((3,), (3,))]
    ),
    name=st.sampled_from(["add", "subtract", "multiply", "divide", "maximum", "minimum"]),
    seed=st.integers(0, 1000),
)
def test_broadcasting_is_undone(shapes, name, seed):
    rng = np.random.default_rng(seed)
    a, b = apart(*shapes[0]).make(rng), apart(*shapes[1], shift=0.15).make(rng)
    if name == "divide":
        b = np.abs(b) + 0.5
    ta, tb = ns.tensor(a, requires_grad=True), ns.tensor(b, requires_grad=True)
    (OPS[name](ta, tb) * 1.5).sum().backward()
    assert ta.grad.shape == a.shape and tb.grad.shape == b.shape
    ns.gradcheck(OPS[name], [a, b], order=2)


def test_users_operations_do_not_enter_the_table():
    before = dict(autograd.OPS)

    @ns.op
    def add(a, b):
        return a + b

    assert before == autograd.OPS
