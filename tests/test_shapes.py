"""First and second derivatives over drawn shapes: broadcasts, reductions, products, convolutions, pooling."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes
from nnscratch.kernels.windows import window_counts

import nnscratch as ns
from nnscratch import testing
from nnscratch.autograd import OPS
from nnscratch.ops.conv import geometry
from nnscratch.sample_inputs import apart, normal, positive

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")

F = ns.functional
SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
SEEDS = st.integers(0, 2**32 - 1)


def check(fn, inputs, seed):
    ns.gradcheck(fn, inputs, order=2, seed=seed)


def draw(seed, *arrays):
    rng = np.random.default_rng(seed)
    return [a.make(rng) for a in arrays]


@settings(max_examples=300)
@given(
    name=st.sampled_from(["add", "subtract", "multiply", "divide", "power", "maximum", "minimum"]),
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3),
    seed=SEEDS,
)
def test_two_operands_of_any_shapes_that_broadcast(name, shapes, seed):
    a, b = shapes.input_shapes
    arrays = (positive(*a), positive(*b)) if name in ("divide", "power") else (apart(*a), apart(*b, shift=0.15))
    inputs = draw(seed, *arrays)
    check(OPS[name], inputs, seed)
    assert OPS[name](*map(ns.tensor, inputs)).shape == shapes.result_shape


@settings(max_examples=100)
@given(shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3), seed=SEEDS)
def test_where_of_any_shapes_that_broadcast(shapes, seed):
    c, a, b = shapes.input_shapes
    condition = np.random.default_rng(seed).random(c) < 0.5
    check(lambda a, b: ns.where(ns.tensor(condition), a, b), draw(seed, normal(*a), normal(*b)), seed)


#: The operations that are not defined, or have poles, somewhere among the numbers of `apart`.
SOMEWHERE = ("acos", "acosh", "asin", "atanh", "log", "log1p", "sqrt", "tan")
ONE = sorted(
    name
    for name, op in OPS.items()
    if op.positional == ("x",) and op.constant is not True and name not in (*SOMEWHERE, "copy", "thirds")
)


@settings(max_examples=200)
@given(name=st.sampled_from(ONE), shape=SHAPES, seed=SEEDS)
def test_one_operand_of_any_shape(name, shape, seed):
    check(OPS[name], draw(seed, apart(*shape)), seed)


def axes(ndim):
    """An axis, several, or None."""
    if ndim == 0:
        return st.none()
    one = st.integers(-ndim, ndim - 1)
    several = st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True).map(tuple)
    return st.one_of(st.none(), one, several)


@settings(max_examples=300)
@given(
    name=st.sampled_from(["sum", "mean", "max", "min", "prod", "logsumexp", "var", "std"]),
    shape=array_shapes(min_dims=0, max_dims=4, max_side=4),
    keepdims=st.booleans(),
    seed=SEEDS,
    data=st.data(),
)
def test_reductions_over_any_axes(name, shape, keepdims, seed, data):
    axis = data.draw(axes(len(shape)))
    (x,) = draw(seed, apart(*shape))
    assume(name != "prod" or x.size <= 64)  # whose product is finite
    if name == "std":
        assume(x.size and np.var(x, axis=axis).min() > 0)

    def fn(t):
        return OPS[name](t, axis=axis, keepdims=keepdims)

    check(fn, [x * 0.5], seed)
    reference = {
        "max": np.max,
        "min": np.min,
        "sum": np.sum,
        "mean": np.mean,
        "prod": np.prod,
        "var": np.var,
        "std": np.std,
    }
    if name in reference:
        np.testing.assert_allclose(
            fn(ns.tensor(x)).numpy(), reference[name](x, axis=axis, keepdims=keepdims), rtol=1e-12, atol=1e-12
        )


@settings(max_examples=150)
@given(data=st.data(), n=st.integers(0, 3), k=st.integers(1, 3), m=st.integers(0, 3), seed=SEEDS)
def test_matmul_of_any_batches(data, n, k, m, seed):
    batches = data.draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=0, max_side=2)).input_shapes
    left = data.draw(st.sampled_from([(*batches[0], n, k), (k,)]))
    right = data.draw(st.sampled_from([(*batches[1], k, m), (k,)]))
    inputs = draw(seed, normal(*left), normal(*right))
    check(ns.matmul, inputs, seed)
    np.testing.assert_allclose(ns.matmul(*map(ns.tensor, inputs)).numpy(), np.matmul(*inputs))


PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
EDGES = st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)


@settings(max_examples=150)
@given(arguments=testing.conv2d_arguments(layouts=True, min_batch=0), seed=SEEDS)
def test_convolution_of_any_geometry(arguments, seed):
    settings = {name: arguments[name] for name in ("stride", "padding", "dilation", "groups")}
    arrays = [arguments[name] for name in ("x", "weight", "bias") if arguments[name] is not None]
    check(lambda x, w, b=None: F.conv2d(x, w, b, **settings), arrays, seed)


@settings(max_examples=200)
@given(
    name=st.sampled_from(["max_pool2d", "avg_pool2d"]), size=st.tuples(st.integers(1, 6), st.integers(1, 6)), kernel=PAIRS, stride=PAIRS,
    dilation=PAIRS, padding=st.one_of(EDGES, st.sampled_from(["same", "same_lower", "valid"])), ceil_mode=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_pooling_of_any_geometry(name, size, kernel, stride, dilation, padding, ceil_mode, seed):
    try:
        stride, edges, dilation, out = geometry(name, size, kernel, stride, padding, dilation, ceil_mode)
    except ValueError:
        assume(False)
    extra = (dilation, ceil_mode) if name == "max_pool2d" else (False, ceil_mode, dilation)

    def pool(x):
        return getattr(F, name)(x, kernel, stride, padding, *extra)

    if window_counts(size, kernel, stride, edges, dilation).min() == 0:
        with pytest.raises(ValueError, match="lie outside x"):
            pool(np.ones((2, 1, *size)))
        return
    (x,) = draw(seed, apart(2, 1, *size))
    check(pool, [x], seed)
    assert pool(x).shape[2:] == out


@settings(max_examples=150)
@given(shape=array_shapes(min_dims=1, max_dims=3, max_side=4), seed=SEEDS, data=st.data())
def test_any_index(shape, seed, data):
    from hypothesis.extra.numpy import basic_indices, integer_array_indices

    index = data.draw(st.one_of(basic_indices(shape, allow_newaxis=True), integer_array_indices(shape)))
    (x,) = draw(seed, normal(*shape))
    check(lambda t: ns.square(t[index]), [x], seed)
    np.testing.assert_array_equal(ns.tensor(x)[index].numpy(), x[index])


@settings(max_examples=100)
@given(
    shape=array_shapes(min_dims=1, max_dims=3, max_side=4),
    parts=st.integers(1, 3),
    seed=SEEDS,
    data=st.data(),
)
def test_joining_and_moving_axes(shape, parts, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    order = data.draw(st.permutations(range(len(shape))))
    arrays = draw(seed, *[normal(*shape)] * parts)

    def fn(*tensors):
        joined = ns.concatenate([ns.square(t) for t in tensors], axis)
        stacked = ns.stack(tensors, axis)
        return ns.transpose(ns.flip(joined, axis), tuple(order)).sum() * stacked + ns.cumsum(stacked, axis)

    check(fn, arrays, seed)


@pytest.mark.parametrize("kind", ["softmax", "log_softmax"])
@settings(max_examples=60)
@given(shape=array_shapes(min_dims=1, max_dims=3, max_side=4), seed=SEEDS, data=st.data())
def test_softmax_along_any_axis(kind, shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(lambda t: getattr(F, kind)(t, axis), draw(seed, normal(*shape)), seed)
