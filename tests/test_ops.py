"""The table of operations: every operation × property of `nnscratch.testing.operations`, and draws that range wider."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import autograd
from nnscratch.autograd import OPS
from nnscratch.backend.cpu import find_kernel
from nnscratch.sample_inputs import Case, apart, normal
from nnscratch.testing.operations import PROPERTIES, Row, check_operation
from nnscratch.testing.references import REFERENCES

F = ns.functional  # which imports all operations
DIFFERENTIABLE = [
    (op, case)
    for op in OPS.values()
    if op.constant is not True and set(op.rules) - set(op.surrogate)
    for case in op.samples
]


@pytest.mark.parametrize("name", OPS)
def test_the_table_says_everything_of_an_operation(name):
    op = OPS[name]
    assert op.samples and op.formula and op.__doc__ and name in REFERENCES
    if op.constant is not True:
        assert op.derivative
        compared = {op._input_name(i) for case in op.samples for i in Row(op, case).inputs}
        assert compared == set(op.rules) - set(op.surrogate)


def test_no_reference_is_left_over():
    assert set(REFERENCES) <= set(OPS)


@pytest.mark.parametrize("property", PROPERTIES)
@pytest.mark.parametrize("name", OPS)
def test_operation(name, property, device):
    assert check_operation(OPS[name], properties=[property]).problems == []


def calls_kernels(op):
    """Whether an operation or one of its rules takes a kernel that is written in CUDA C++."""
    functions = (op.forward, *(rule.function for rule in op.rules.values()))
    named = re.findall(r'kernel\("([\w.]+)"\)', "".join(map(inspect.getsource, functions)))
    return any(find_kernel(name, "cuda") for name in (*named, op.kernel_name or "none.none"))


@pytest.mark.parametrize("device", ["emulated"], indirect=True)
@pytest.mark.parametrize("property", PROPERTIES)
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if calls_kernels(op)])
def test_operation_by_the_cuda_kernels(name, property, device):
    assert check_operation(OPS[name], properties=[property]).problems == []


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


@pytest.mark.parametrize("half", [0, 1])
@settings(max_examples=120)
@given(data=st.data())
def test_derivatives_from_other_draws_and_layouts(half, data):
    op, case = data.draw(st.sampled_from(DIFFERENTIABLE[half::2]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    row = Row(op, case, seed)
    layouts = [data.draw(st.sampled_from([ns.copy, backwards, fortran, spread])) for _ in row.inputs]

    def laid_out(*tensors):
        results = row.results(row.call(*(layout(t) for layout, t in zip(layouts, tensors, strict=True))))
        return tuple(y for name, y in zip(op.outputs or "y", results, strict=True) if name not in op.constant_outputs)

    assert ns.gradcheck(laid_out, [row.args[i] for i in row.inputs], order=2, seed=seed).passed


# What the checks find in operations with a fault


def product(forward=lambda x, a: x * a, rule=lambda g, a: g * a, reference=None):
    """A user's operation of two inputs, to plant faults in, and its reference."""
    op = ns.op(forward, samples=[Case(apart(3, 4), normal(3, 4)), Case(apart(2, 3), normal(3))], name="product")
    op.rule("x")(rule)
    op.rule("a")(lambda g, x: g * x)
    return op, reference or (lambda x, a: x * a)


def impure(x, a):
    y = x * a
    x += 1
    return y


def depends_on_the_graph(g, a):
    return g * a * (2 if isinstance(g, ns.Tensor) else 1)


def from_the_first_row(g, a):
    return g[:3] * a[:3]


def both(
    forward=lambda x, a: (x * a, x + a, np.argsort(x * a)),
    rule=lambda g_product, g_total, a: g_product * a + g_total,
    reference=None,
):
    """The same with a second result to plant faults in, and a third of whole numbers."""
    samples = [Case(apart(3, 4), normal(3, 4)), Case(apart(2, 3), normal(3))]
    op = ns.op(forward, samples=samples, name="product", outputs=("product", "total", "order"))
    op.rule("x")(rule)
    op.rule("a")(lambda g_product, g_total, x: g_product * x + g_total)
    return op, reference or (lambda x, a: (x * a, x + a, np.argsort(x * a)))


FAULTS = {
    "forward": product(reference=lambda x, a: x * a * (1 + 1e-12)),
    "derivatives": product(rule=lambda g, a: g * a * (1 + 1e-6)),
    "broadcasting": product(lambda x, a: x * a / (x * a).size, lambda g, a, x: g * a / x.size),
    "layouts": product(rule=lambda g, a, x: g * np.resize(a.ravel("K"), x.shape)),
    "empty_and_0d": product(rule=lambda g, a, x: g * a * (x.shape[0] // x.shape[0])),
    "wrong_shapes": product(rule=from_the_first_row),
    "dtypes": product(lambda x, a: x * a * np.ones(1)),
    "purity": product(impure),
    "repeatability": product(lambda x, a: x * a * (1 + 1e-15 * np.random.default_rng().random())),
    "create_graph": product(rule=depends_on_the_graph),
    "unused_results": both(rule=lambda g_product, g_total, a: g_total if np.ndim(g_total) else g_product * a),
    "bad_arguments": product(lambda x=1.0, a=1.0: x * a),
}

# The same faults in the second of several results.
FAULTS_OF_SEVERAL = {
    "forward": both(reference=lambda x, a: (x * a, x + a + 1e-12, np.argsort(x * a))),
    "forward, whole numbers": both(reference=lambda x, a: (x * a, x + a, np.argsort(-x * a))),
    "derivatives": both(rule=lambda g_product, g_total, a: g_product * a + g_total * (1 + 1e-6)),
    "broadcasting": both(
        lambda x, a: (x * a, (x + a) / (x * a).size, np.argsort(x * a)),
        lambda g_product, g_total, a, x: g_product * a + g_total / x.size,
    ),
    "layouts": both(rule=lambda g_product, g_total, a, x: g_product * a + g_total * np.resize(x.ravel("K"), x.shape)),
    "empty_and_0d": both(rule=lambda g_product, g_total, a, x: g_product * a + g_total * (x.shape[0] // x.shape[0])),
    "wrong_shapes": both(rule=lambda g_product, g_total, a: (g_product * a + g_total)[:3]),
    "dtypes": both(lambda x, a: (x * a, (x + a) * np.ones(1), np.argsort(x * a))),
    "dtypes, whole numbers": both(lambda x, a: (x * a, x + a, np.argsort(x * a).astype(f"i{x.itemsize}"))),
    "purity": both(lambda x, a: (x * a, np.add(x, a, out=x), np.argsort(x * a))),
    "repeatability": both(lambda x, a: (x * a, x + a + 1e-15 * np.random.default_rng().random(), np.argsort(x * a))),
    "create_graph": both(
        rule=lambda g_product, g_total, a: g_product * a + g_total * (1 + isinstance(g_total, ns.Tensor))
    ),
    "unused_results": both(rule=lambda g_product, g_total, a: (g_product * a + g_total).sum()),
    "unused_results, fails": both(rule=lambda g_product, g_total, a: g_product * a + g_total.reshape(a.shape)),
}


def test_every_property_has_its_fault():
    assert FAULTS.keys() == PROPERTIES.keys()


@pytest.mark.parametrize("property", FAULTS)
def test_a_property_finds_its_fault(property):
    op, reference = FAULTS[property]
    found = check_operation(op, reference=reference, properties=[property])
    assert not found.passed
    assert all(p.startswith("product: ") and "\n" not in p for p in found.problems)
    assert repr(found).startswith(f"<product: {len(found.problems)} problem")


@pytest.mark.parametrize("fault", FAULTS_OF_SEVERAL)
def test_a_property_finds_its_fault_in_one_of_several_results(fault):
    op, reference = FAULTS_OF_SEVERAL[fault]
    found = check_operation(op, reference=reference, properties=[fault.partition(",")[0]])
    assert not found.passed
    if fault in ("forward", "dtypes", "repeatability"):
        assert all("its result total " in p for p in found.problems), found.problems
    if "whole numbers" in fault:
        assert all("its result order " in p for p in found.problems), found.problems


def test_a_reference_of_several_results_returns_as_many():
    op, _ = both()
    found = check_operation(op, reference=lambda x, a: x * a, properties=["forward"])
    assert "its reference does not return the 3 results product, total, order" in found.problems[0]


@pytest.mark.parametrize("made", [product, both])
def test_a_right_operation_of_ones_own_passes(made):
    op, reference = made()
    found = check_operation(op, reference=reference)
    assert found.problems == []
    assert found.forward <= 0.5 and found.first <= 1e-9 and found.second <= 1e-7
    assert check_operation(op).forward is None


def test_a_check_needs_an_operation_with_rows_and_known_properties():
    with pytest.raises(TypeError, match=r"check_operation: got <built-in function len>, expected an operation"):
        check_operation(len)
    with pytest.raises(ValueError, match="check_operation: seed is -1, expected a whole number of at least 0"):
        check_operation(ns.exp, -1)
    with pytest.raises(ValueError, match="check_operation: there is no property 'strides'; choose from forward, "):
        check_operation(ns.exp, properties=["strides"])
    assert check_operation(ns.op(lambda x: x, name="bare")).problems == [
        "bare: it has no sample rows; give it samples=[Case(...)]"
    ]


def test_an_operation_that_fails_in_any_way_is_a_problem_and_no_traceback():
    op = ns.op(lambda x: x.no_such_thing, samples=[Case(normal(2))], name="broken")
    found = check_operation(op, properties=["layouts"])
    assert [p.split(": ")[:2] for p in found.problems] == [
        ["broken", "fails with AttributeError on its own row (normal(2,))"]
    ]


def test_a_row_at_a_kink_is_not_passed_over():
    op = ns.op(lambda x: np.maximum(x, 0), samples=[Case(np.array([-1.0, 0.0, 2.0]))], name="hinge")
    op.rule("x")(lambda g, x: g * (x > 0))
    found = check_operation(op)
    assert found.first < 1e-9
    assert any("the row is not clear of its kinks (hinge" in p for p in found.problems)


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
