"""What single operations do beyond what the table's tests ask: conventions, repeated places, errors."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import nnscratch as ns
from nnscratch.autograd import OPS

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")

F = ns.functional


def gradients(fn, *values):
    """The gradients of the weighted sum 1 y_0 + 2 y_1 + ... of a function's result."""
    tensors = [ns.tensor(v, dtype="float64", requires_grad=True) for v in values]
    y = fn(*tensors)
    return [g.tolist() for g in ns.grad(y, tensors, np.arange(1.0, y.size + 1).reshape(y.shape))]


def test_put_keeps_the_last_value_and_gives_it_the_gradient():
    y = ns.put(ns.tensor([1.0, 2.0, 3.0]), [0, 0, 2], ns.tensor([5.0, 6.0, 7.0]))
    assert y.tolist() == [6, 2, 7]
    found = gradients(lambda x, v: ns.put(x, [0, 0, 2], v), [1.0, 2.0, 3.0], [5.0, 6.0, 7.0])
    assert found == [[0, 2, 0], [0, 1, 3]]


def test_put_refuses_what_would_lose_digits():
    with pytest.raises(TypeError, match=r"put: values are .* which has no fractions; convert x"):
        ns.put(ns.tensor([1, 2], dtype="int64"), 0, 0.5)
    with pytest.raises(IndexError, match="put: index 5 is out of bounds"):
        ns.put(ns.tensor([1.0, 2.0]), 5, 0)


def test_put_along_axis_is_take_along_axis_undone():
    x = np.random.default_rng(0).standard_normal((3, 4))
    order = np.argsort(x, 1)
    np.testing.assert_array_equal(ns.put_along_axis(x, order, np.sort(x, 1), 1), x)
    with pytest.raises(ValueError, match="put_along_axis: indices have 1 axes, x has 2"):
        ns.put_along_axis(x, [0], 0, 1)
    with pytest.raises(IndexError, match="put_along_axis: index 4 is out of range"):
        ns.put_along_axis(x, [[4], [0], [0]], 0, 1)


def test_sorting_keeps_equal_elements_in_order():
    x = ns.tensor([2.0, 1.0, 2.0, 1.0])
    assert ns.argsort(x).tolist() == [1, 3, 0, 2]
    for largest, indices in ((True, [0, 2, 1]), (False, [1, 3, 0])):
        values, found = ns.topk(x, 3, largest=largest)
        assert found.tolist() == indices and values.tolist() == x.numpy()[indices].tolist()
    with pytest.raises(ValueError, match="topk: k is 5, axis 0 has only 4 elements"):
        ns.topk(x, 5)
    assert gradients(lambda x: ns.topk(x, 2)[0], [1.0, 3.0, 2.0]) == [[0, 1, 2]]
    assert gradients(ns.sort, [1.0, 3.0, 2.0]) == [[1, 3, 2]]


@given(shape=array_shapes(max_dims=3, max_side=3), repeats=st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_tile_is_numpys(shape, repeats):
    x = np.arange(np.prod(shape, dtype=float)).reshape(shape)
    np.testing.assert_array_equal(ns.tile(x, tuple(repeats)), np.tile(x, repeats))
    np.testing.assert_array_equal(ns.tile(x, repeats[0]), np.tile(x, repeats[0]))
    ns.gradcheck(lambda t: ns.square(ns.tile(t, repeats)), [x])


def test_tile_refuses_what_is_no_count():
    with pytest.raises(ValueError, match="tile: repeats is -1"):
        ns.tile([1.0], -1)
    with pytest.raises(TypeError, match="tile: repeats is 1.5"):
        ns.tile([1.0], (1.5, 1))


@given(
    shape=array_shapes(max_dims=3, max_side=4),
    mode=st.sampled_from(["constant", "reflect", "symmetric", "edge", "wrap"]),
    data=st.data(),
)
def test_padding_is_numpys_in_every_mode(shape, mode, data):
    widths = data.draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=len(shape), max_size=len(shape))
    )
    x = np.arange(np.prod(shape, dtype=float)).reshape(shape)
    np.testing.assert_array_equal(ns.pad(x, widths, mode=mode), np.pad(x, widths, mode=mode))
    ns.gradcheck(lambda t: ns.square(ns.pad(t, widths, 0, mode)), [x])


def test_padding_refuses_modes_and_empty_axes():
    with pytest.raises(ValueError, match=r"pad: mode 'mirror' is unknown; pass one of 'constant', 'reflect'"):
        ns.pad([1.0], 1, mode="mirror")
    with pytest.raises(ValueError, match="pad: can't extend empty axis 0"):
        ns.pad(np.zeros((0, 2)), 1, mode="edge")


def test_triangles_need_two_axes():
    for name in ("tril", "triu"):
        with pytest.raises(ValueError, match=f"{name}: expected at least two axes, got shape \\(3,\\)"):
            getattr(ns, name)(np.ones(3))


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_norms_of_large_small_and_no_numbers(p, dtype):
    for size in (np.finfo(dtype).max / 4, np.finfo(dtype).tiny * 4):
        x = np.array([3, -4, 0], dtype) * np.asarray(size / 4, dtype)
        expected = float(np.sum(np.abs(np.array([3.0, 4.0]) / 4) ** p) ** (1 / p)) * float(size)
        assert float(ns.norm(x, p)) == pytest.approx(
            expected, rel=2 * float(np.finfo(dtype).eps) + 1e-3 * (dtype == "float16")
        )
    assert ns.norm(np.zeros(0, dtype), p) == 0
    assert gradients(lambda x: ns.norm(x, p), [0.0, 0.0]) == [[0, 0]]


def test_norm_passes_on_nan_and_infinities_and_refuses_a_p_below_1():
    assert np.isnan(ns.norm([1.0, np.nan])) and ns.norm([-np.inf, 1.0]) == np.inf
    with pytest.raises(ValueError, match=r"norm: p is 0.5, expected a finite number in \[1, inf\]"):
        ns.norm([1.0], 0.5)


def test_arguments_of_extremes_keep_axes_on_request():
    x = ns.tensor([[1.0, 5.0], [7.0, 3.0]])
    assert x.argmax(1, keepdims=True).tolist() == [[1], [0]] and x.argmin(1, keepdims=True).tolist() == [[0], [1]]
    assert ns.argmin(x, 0, True).tolist() == [[0, 1]] and ns.argmax(x, keepdims=True).shape == (1, 1)


def test_remainder_has_the_derivative_of_its_own_quotient():
    assert 1.0 / 0.1 == 10 and gradients(ns.remainder, [1.0, 5.0, -5.0], [0.1, 3.0, 3.0]) == [[1, 2, 3], [-9, -2, 6]]


def test_remainder_and_xor_are_operators_too():
    x = ns.tensor([5.0, -5.0])
    assert (x % 3).tolist() == [2, 1] and (7 % ns.tensor([4.0])).tolist() == [3]
    assert (ns.tensor([True, True]) ^ ns.tensor([True, False])).tolist() == [False, True]


def test_rounding_of_halves_and_negatives():
    x = ns.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    assert ns.round(x).tolist() == [-2, 0, 0, 2, 2]
    assert ns.floor(x).tolist() == [-2, -1, 0, 1, 2] and ns.ceil(x).tolist() == [-1, 0, 1, 2, 3]
    assert ns.trunc(x).tolist() == [-1, 0, 0, 1, 2]
    assert not ns.round(ns.tensor([0.5], requires_grad=True)).requires_grad


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["gelu", "hardswish", "mish", "selu", "celu", "softsign"])
def test_activations_and_their_gradients_are_finite_far_out(name, dtype):
    x = ns.tensor([-3e4, -300.0, 300.0, 3e4], dtype=dtype, requires_grad=True)
    settings = [{}, {"approximate": "tanh"}] if name == "gelu" else [{}]
    for setting in settings:
        y = getattr(F, name)(x, **setting)
        (g,) = ns.grad(y, [x], np.ones(4, dtype))
        assert np.isfinite(y.numpy()).all() and np.isfinite(g.numpy()).all()
        if name in ("gelu", "hardswish", "mish"):
            assert y.tolist() == pytest.approx([0, 0, *x.tolist()[2:]]) and g.tolist() == pytest.approx([0, 0, 1, 1])


def test_corners_of_the_new_activations():
    assert gradients(F.hardsigmoid, [-3.0, 3.0]) == [[0, 0]]
    assert gradients(F.hardswish, [-3.0, 3.0]) == [[0, 2]]
    assert gradients(lambda x: F.selu(x, 2, 3), [0.0]) == [[6]]
    assert gradients(F.prelu, [0.0, -1.0], [0.5, 0.5]) == [[0.5, 1.0], [0, -2]]


def test_activations_refuse_wrong_settings():
    with pytest.raises(ValueError, match="celu: alpha is 0, expected a number above 0"):
        F.celu([1.0], 0)
    with pytest.raises(ValueError, match="gelu: approximate 'erf' is unknown; pass 'none' or 'tanh'"):
        F.gelu([1.0], "erf")
    with pytest.raises(
        ValueError, match=r"prelu: weight \(2,\) float64 does not broadcast to the shape of x \(3, 1\) float64"
    ):
        F.prelu(np.ones((3, 1)), np.ones(2))


def windows_along(n, kernel, stride, edge, dilation, ceil_mode):
    """For each window along an axis its places, counted from x's first, that lie in x or the padding asked for."""
    before, after = edge
    starts = range(-before, n + after, stride)
    spans = [range(start, start + dilation * (kernel - 1) + 1, dilation) for start in starts]
    whole = [s for s in spans if s[-1] < n + after]
    if ceil_mode and whole and len(whole) < len(spans) and whole[-1][-1] < n + after - 1:
        beyond = spans[len(whole)]
        whole += [beyond] if beyond[0] < n else []
    return [[i for i in s if i < n + after] for s in whole]


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    edges=st.tuples(*[st.tuples(st.integers(0, 1), st.integers(0, 1))] * 2),
    ceil_mode=st.booleans(),
    include=st.booleans(),
)
def test_pooling_follows_its_windows(size, stride, dilation, edges, ceil_mode, include):
    x = np.random.default_rng(0).standard_normal(size)
    rows, columns = (
        windows_along(n, 2, s, e, dilation, ceil_mode) for n, s, e in zip(size, stride, edges, strict=True)
    )
    assume(rows and columns)
    inside = [[[(i, j) for i in r if 0 <= i < size[0] for j in c if 0 <= j < size[1]] for c in columns] for r in rows]
    assume(all(cells for row in inside for cells in row))
    greatest = [[max(x[i] for i in cells) for cells in row] for row in inside]
    np.testing.assert_array_equal(F.max_pool2d(x[None, None], 2, stride, edges, dilation, ceil_mode)[0, 0], greatest)
    means = [
        [
            sum(x[i] for i in cells) / (len(r) * len(c) if include else len(cells))
            for c, cells in zip(columns, row, strict=True)
        ]
        for r, row in zip(rows, inside, strict=True)
    ]
    y = F.avg_pool2d(x[None, None], 2, stride, edges, include, ceil_mode, dilation)
    np.testing.assert_allclose(y[0, 0], means, rtol=1e-13, atol=1e-15)


def test_same_lower_puts_the_odd_cell_before():
    x = np.arange(1.0, 5.0).reshape(1, 1, 4)
    w = np.ones((1, 1, 2))
    assert F.conv1d(x, w, padding="same")[0, 0].tolist() == [3, 5, 7, 4]
    assert F.conv1d(x, w, padding="same_lower")[0, 0].tolist() == [1, 3, 5, 7]
    assert F.max_pool1d(x, 2, 1, "same_lower")[0, 0].tolist() == [1, 2, 3, 4]
    assert F.avg_pool1d(x, 2, 1, (1, 0), False)[0, 0].tolist() == [1, 1.5, 2.5, 3.5]


def test_max_pooling_takes_whole_numbers():
    x = np.array([[[[3, 1], [2, 200]]]], np.uint8)
    y = F.max_pool2d(x, 2, 1, 1)
    assert y.dtype == np.uint8 and y[0, 0].tolist() == [[3, 3, 1], [3, 200, 200], [2, 200, 200]]


def test_conv_transpose1d_is_conv1d_turned_round():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 9)), rng.standard_normal((6, 2, 3))
    y = F.conv1d(x, w, None, 2, (1, 2), 2, 2)
    d = rng.standard_normal(y.shape)
    back = F.conv_transpose1d(d, w, None, 2, (1, 2), 1, 2, 2)
    assert np.vdot(y, d) == pytest.approx(np.vdot(x, back), rel=1e-12)
    with pytest.raises(ValueError, match=r"conv_transpose1d: expected x \(N, C, L\)"):
        F.conv_transpose1d(np.ones((1, 1)), w)
    with pytest.raises(ValueError, match="conv_transpose2d: padding 'same' has no meaning here"):
        F.conv_transpose1d(d, w, padding="same", groups=2)
    ns.gradcheck(lambda d, w: F.conv_transpose1d(d, w, None, 2, 1, 1, 2), [d, w], order=2)


def test_einsum_stretches_lengths_of_1_and_refuses_others():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 1)), rng.standard_normal((3, 4))
    ns.gradcheck(lambda a, b: ns.einsum("ij,jk->ik", a, b), [a, b], order=2)
    np.testing.assert_allclose(ns.einsum("ij,jk->ik", a, b), np.broadcast_to(a, (2, 3)) @ b)
    with pytest.raises(ValueError, match="einsum: 'i' stands for axes of 0 and of 3; give them one length"):
        ns.einsum("ii->i", np.ones((0, 3)))


def test_indices_must_match_the_other_axes():
    with pytest.raises(
        ValueError, match=r"take_along_axis: indices of shape \(4, 2\) and x of shape \(1, 3\) must agree"
    ):
        ns.take_along_axis(np.ones((1, 3)), np.zeros((4, 2), int), 1)


@pytest.mark.parametrize("name", ["probability_binary_cross_entropy", "sigmoid_binary_cross_entropy"])
def test_losses_of_stretched_operands_have_their_gradients(name):
    rng = np.random.default_rng(0)
    inputs = [rng.uniform(0.1, 0.9, (3, 1)), rng.uniform(0.1, 0.9, (1, 4))]
    ns.gradcheck(OPS[name], inputs, order=2)
    with pytest.raises(ValueError, match=f"{name}: nothing to take the mean of"):
        OPS[name](np.ones((0, 4)), np.ones((0, 4)))


def test_empty_products_and_layers_have_gradients():
    assert gradients(ns.prod, np.ones((3, 0)))[0] == [[], [], []]
    x, w = np.ones((0, 4)), np.ones((0, 4))
    assert [np.shape(g) for g in gradients(F.linear, x, w)] == [(0,), (0,)]


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in ("layer_norm", "group_norm") for shape in ((0, 4), (0, 4, 3), (0, 4, 2, 5))]
    + [("instance_norm", (0, 4, 3)), ("instance_norm", (0, 4, 2, 5))],
)
def test_normalising_an_empty_batch_gives_an_empty_result_and_parameters_gradients_of_0(name, shape):
    features = shape[-1:] if name == "layer_norm" else (4,)
    x = ns.tensor(np.ones(shape), requires_grad=True)
    affine = [ns.tensor(np.ones(features), requires_grad=True) for _ in range(2)]
    y = getattr(F, name)(x, *([2] if name == "group_norm" else []), *affine)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    assert all(not p.grad.numpy().any() and p.grad.shape == features for p in affine)


def test_numpys_axis_of_a_single_number_is_refused():
    for name in ("sum", "prod", "mean", "max", "logsumexp"):
        with pytest.raises(ValueError, match=f"{name}: axis 0 is out of range for 0 axes"):
            getattr(ns, name)(np.float32(1), 0)


def test_functions_of_numbers_refuse_words():
    for fn in (F.tanh, F.sigmoid, F.gelu, ns.erf, ns.reciprocal, ns.norm):
        with pytest.raises(TypeError, match="got data of type <U4, expected real numbers; convert them first"):
            fn(np.array("five"))


def second_derivative(fn, values, index):
    """The gradient of one element of the gradient."""
    x = ns.tensor(values, dtype="float64", requires_grad=True)
    return ns.grad(ns.grad(fn(x), x, create_graph=True)[index], x).numpy()


@pytest.mark.parametrize(
    ("p", "values", "index", "expected"),
    [
        (2, [0.0, 3.0], 0, [1 / 3, 0]),
        (2, [0.0, 3.0, 4.0], 2, [0, -0.096, 0.072]),
        (1.5, [0.0, 3.0, 4.0], 1, [0, 0.07405759, -0.0555432]),
        (3, [0.0, 2.0, 2.0], 1, [0, 0.31498026, -0.31498026]),
        (1, [0.0, -2.0], 1, [0, 0]),
        (2, [0.0, 0.0], 0, [0, 0]),
    ],
)
def test_second_derivatives_of_a_norm_where_an_element_is_0(p, values, index, expected):
    # of sign(x_i) (|x_i| / y)^(p-1) by x_j, by hand; infinite ones, and those where y is 0, are taken as 0
    np.testing.assert_allclose(second_derivative(lambda x: ns.norm(x, p), values, index), expected, atol=1e-7)


@pytest.mark.parametrize("value", [-np.inf, np.inf, 0.0, 1e308])
def test_maximum_and_minimum_of_equal_values_share_the_gradient(value):
    for fn in (ns.maximum, ns.minimum):
        assert gradients(fn, [value, value], [value, value]) == [[0.5, 1.0], [0.5, 1.0]]
        assert gradients(lambda x, fn=fn: fn(x, value), [value]) == [[0.5]]


def test_powers_of_0_and_by_exponents_of_0():
    assert gradients(lambda c: ns.sum(ns.tensor([0.0, 1.0, 2.0], dtype="float64") ** c), 0.0)[0] == np.log(2.0)
    assert gradients(ns.power, [0.0, 0.0], [2.0, 0.0]) == [[0.0, 0.0], [0.0, 0.0]]
    a, b = (ns.tensor(v, dtype="float64", requires_grad=True) for v in (2.0, 0.0))
    by_a, by_b = ns.grad(a**b, [a, b], create_graph=True)
    assert ns.grad(by_a, b).item() == 0.5 and ns.grad(by_b, a).item() == 0.5  # of b a^(b-1) and of a^b ln a


@pytest.mark.parametrize(
    ("a", "b", "slope"), [(0.5, -np.inf, 1.0), (0.5, np.inf, 0.0), (-0.5, np.inf, 1.0), (-0.5, -np.inf, 0.0)]
)
def test_remainders_by_an_infinite_divisor(a, b, slope):
    assert gradients(ns.remainder, a, b) == [1.0, slope]


@pytest.mark.parametrize("axis", [0, 1, None])
def test_float16_is_added_up_in_float32(axis):
    x = np.ones((3000, 3), np.float16) if axis != 1 else np.ones((3, 3000), np.float16)
    n = 9000 if axis is None else 3000
    alternating = np.where(np.arange(3000) % 2, 3, 1).astype(np.float16)
    spread = np.stack([alternating] * 3, 1 if axis != 1 else 0)
    for found, expected in (
        (ns.sum(x, axis), n),
        (ns.norm(x, 2, axis), n**0.5),
        (ns.cumsum(x, axis).reshape(-1)[-1], n),
        (ns.var(spread, axis), 1),
        (ns.std(spread, axis), 1),
        (ns.mean(spread, axis), 2),
    ):
        assert found.dtype == np.float16
        np.testing.assert_allclose(np.asarray(found, float), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij->j", [(5000, 3)]),
        ("ijk->j", [(50, 3, 100)]),
        ("ij,ij->j", [(5000, 3)] * 2),
        ("ij,i->j", [(5000, 3), (5000,)]),
    ],
)
def test_einsum_adds_float16_up_in_float32(subscripts, shapes):
    y = ns.einsum(subscripts, *(ns.tensor(np.ones(shape), dtype="float16") for shape in shapes))
    assert y.dtype == np.float16 and y.tolist() == [5000, 5000, 5000]


def test_a_float16_bias_gets_the_gradient_of_all_samples():
    b = ns.tensor(np.zeros(3), dtype="float16", requires_grad=True)
    (ns.tensor(np.ones((5000, 3)), dtype="float16") + b).sum().backward()
    assert b.grad.tolist() == [5000.0] * 3


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint16, np.float64, int])
def test_numpys_numbers_promote_nothing(kind):
    x = ns.tensor([1.0, 2.0], requires_grad=True)
    for fn in (ns.add, ns.multiply, ns.divide, ns.power, ns.maximum, ns.remainder, lambda a, b: ns.where(a > 1, a, b)):
        assert fn(x, kind(3)).dtype == np.float32
        assert ns.grad(fn(x, kind(3)).sum(), x).dtype == np.float32
    assert ns.sum(x, kind(0) if kind is not np.float64 else 0).dtype == np.float32
