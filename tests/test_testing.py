"""What nnscratch.testing draws fits, keeps its promises, and ranges over all it should; simplest things are simple."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from hypothesis.extra.numpy import array_shapes

import nnscratch as ns
from nnscratch import testing

F = ns.functional
SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
DTYPES = st.sampled_from(["float16", "float32", "float64"])
STRATEGIES = sorted(name for name, where in testing._LAZY.items() if ".strategies:" in where)


def occurs(strategy, condition):
    """Whether something with a property is drawn soon; it is not shrunk."""
    try:
        find(strategy, condition, settings=settings(max_examples=1000, phases=[Phase.generate]))
    except NoSuchExample:
        return False
    return True


# Shapes and arrays


@given(count=st.integers(1, 4), min_side=st.integers(0, 1), data=st.data())
def test_shapes_broadcast_together(count, min_side, data):
    shapes = data.draw(testing.broadcastable_shapes(count, max_dims=3, max_side=3, min_side=min_side))
    assert len(shapes) == count
    assert len(np.broadcast_shapes(*shapes)) <= 3
    assert all(min_side <= side <= 3 for shape in shapes for side in shape)


@pytest.mark.parametrize(
    "feature",
    [
        lambda a, b, result: a == b and a != (),
        lambda a, b, result: a == () and b != (),
        lambda a, b, result: len(a) > len(b) > 0,
        lambda a, b, result: a != result and b != result,
        lambda a, b, result: 0 in result and 1 in a,
    ],
    ids=["equal", "a number", "fewer axes", "both stretched", "empty"],
)
def test_shapes_of_every_relation_occur(feature):
    strategy = testing.broadcastable_shapes(2, min_side=0)
    assert occurs(strategy, lambda shapes: feature(*shapes, np.broadcast_shapes(*shapes)))


BOUNDS = {"normal": (-4, 4), "positive": (0.5, 2), "unit": (1 / 64, 63 / 64)}


@given(shape=SHAPES, dtype=DTYPES, kind=st.sampled_from(sorted(BOUNDS)), data=st.data())
def test_arrays_are_as_asked_for(shape, dtype, kind, data):
    x = data.draw(testing.arrays(shape, dtype, kind))
    low, high = BOUNDS[kind]
    assert x.shape == shape
    assert x.dtype == dtype
    assert np.all((low <= x) & (x <= high))
    np.testing.assert_array_equal(x * 64, np.round(x * 64))
    assert x.flags.writeable


@pytest.mark.parametrize("kind", sorted(BOUNDS))
def test_arrays_range_over_all_their_values(kind):
    low, high = BOUNDS[kind]
    near = (high - low) / 10
    assert occurs(testing.arrays(8, kind=kind), lambda x: x.min() < low + near and x.max() > high - near)
    assert occurs(testing.arrays(8, kind=kind), lambda x: len(set(x)) == 8)


def test_shapes_are_ints_tuples_or_strategies():
    assert find(testing.arrays(3), lambda x: True).shape == (3,)
    assert find(testing.arrays(st.integers(1, 3)), lambda x: True).shape == (1,)
    assert find(testing.arrays(array_shapes(min_dims=2)), lambda x: True).shape == (1, 1)
    assert find(testing.labels(st.just((2, 3)), classes=4), lambda y: True).shape == (2, 3)


KINKS = st.lists(st.integers(-80, 80).map(lambda n: n / 10), max_size=3)


@given(shape=SHAPES, gap=st.sampled_from([0.001, 0.1, 0.5, 3.0]), kinks=KINKS, apart=st.booleans(), data=st.data())
def test_values_keep_clear_of_kinks(shape, gap, kinks, apart, data):
    x = data.draw(testing.away_from_kinks(shape, gap, kinks, apart))
    assert x.shape == shape
    for kink in kinks:
        assert np.all(np.abs(x - kink) >= gap)
    if apart:
        assert np.all(np.diff(np.sort(x, axis=None)) >= gap)


@given(dtype=st.sampled_from(["float16", "float32"]), kinks=KINKS, apart=st.booleans(), data=st.data())
def test_rounding_does_not_close_the_gap(dtype, kinks, apart, data):
    x = data.draw(testing.away_from_kinks(20, 0.1, kinks, apart, dtype))
    assert x.dtype == dtype
    exact = x.astype(np.float64)
    assert all(np.all(np.abs(exact - kink) >= 0.1) for kink in kinks)
    assert not apart or np.all(np.diff(np.sort(exact)) >= 0.1)


@pytest.mark.parametrize("apart", [False, True])
def test_values_lie_on_both_sides_of_each_kink_and_between(apart):
    strategy = testing.away_from_kinks(6, kinks=(0, 6), apart=apart)
    assert occurs(strategy, lambda x: np.any(x < 0) and np.any((x > 0) & (x < 6)) and np.any(x > 6))
    # Between kinks there are values wherever there is room for them.
    strategy = testing.away_from_kinks(6, gap=0.1, kinks=(0, 0.3, 0.6), apart=apart)
    assert occurs(strategy, lambda x: np.any((x > 0) & (x < 0.3)) and np.any((x > 0.3) & (x < 0.6)))


@pytest.mark.parametrize("kinks", [(), (0,)])
def test_values_that_need_not_be_apart_may_tie(kinks):
    assert occurs(testing.away_from_kinks(8, kinks=kinks), lambda x: len(set(x)) < 8)


def layout(x):
    """What is special in an array's place in memory."""
    steps = [abs(s) for s, n in zip(x.strides, x.shape, strict=True) if n > 1]
    return {
        "C order": x.flags.c_contiguous,
        "Fortran order": x.flags.f_contiguous and not x.flags.c_contiguous,
        "backwards": any(s < 0 for s in x.strides),
        "gaps": not x.flags.c_contiguous and min(steps, default=0) > x.itemsize,
        "axes in another order": steps != sorted(steps, reverse=True),
        "not at the buffer's start": x.base is not None and x.ctypes.data > lowest(x.base),
    }


def lowest(base):
    while base.base is not None:
        base = base.base
    return base.ctypes.data


LAYOUTS = sorted(layout(np.zeros((2, 2))))


@given(shape=SHAPES, dtype=DTYPES, data=st.data())
def test_strided_arrays_have_the_same_values(shape, dtype, data):
    drawn = []
    x = data.draw(testing.strided(testing.arrays(shape, dtype).map(lambda a: drawn.append(a.copy()) or a)))
    np.testing.assert_array_equal(x, drawn[-1])
    assert x.dtype == dtype
    assert x.flags.writeable


@pytest.mark.parametrize("feature", LAYOUTS)
def test_every_layout_occurs(feature):
    assert occurs(testing.strided(testing.arrays((2, 3))), lambda x: layout(x)[feature])


@pytest.mark.parametrize("values", [testing.labels((2, 3), 4), testing.arrays((2, 3)).map(lambda x: x > 0)])
def test_whole_numbers_and_booleans_are_strided_too(values):
    assert occurs(testing.strided(values), lambda x: not x.flags.c_contiguous)


def test_what_lies_between_strided_values_shows_when_read():
    def base(strategy):
        x = find(strategy, lambda x: x.strides[0] == 2 * x.itemsize)
        while x.base is not None:
            x = x.base
        return x.view(x.dtype if x.dtype != np.uint8 else np.float64)

    assert np.isnan(base(testing.strided(testing.arrays(3)))[1::2]).all()


def test_a_fault_with_strides_shrinks_to_the_simplest_layout_and_is_told():
    @settings(database=None)
    @given(testing.strided(testing.arrays((2, 3))))
    def wrong(x):
        assert x.flags.c_contiguous

    with pytest.raises(AssertionError) as caught:
        wrong()
    assert any(note.startswith("strided: shape (2, 3) float64 with strides of (") for note in caught.value.__notes__)


@given(dtype=st.sampled_from(["float32", "int64", "bool"]), data=st.data())
def test_empty_arrays_are_empty(dtype, data):
    x = data.draw(testing.empty_arrays(dtype, max_dims=3, max_side=2))
    assert x.size == 0
    assert 1 <= x.ndim <= 3
    assert max(x.shape) <= 2
    assert x.dtype == dtype


@pytest.mark.parametrize("feature", [lambda s: s[0] == 0 and s[-1] > 0, lambda s: s[-1] == 0 and s[0] > 0])
def test_any_axis_may_be_the_empty_one(feature):
    assert occurs(testing.empty_arrays(), lambda x: feature(x.shape))


# Labels and probabilities


@given(classes=st.integers(1, 5), count=st.integers(0, 6), dtype=DTYPES, data=st.data())
def test_labels_and_one_hot_rows(classes, count, dtype, data):
    y = data.draw(testing.labels(count, classes))
    assert y.shape == (count,)
    assert y.dtype == np.int64
    assert set(y.tolist()) <= set(range(classes))
    rows = data.draw(testing.one_hot(count, classes, dtype))
    assert rows.shape == (count, classes)
    assert rows.dtype == dtype
    assert np.all((rows == 0) | (rows == 1))
    np.testing.assert_array_equal(rows.sum(1), np.ones(count))


def test_every_class_occurs():
    assert occurs(testing.labels(4, 4), lambda y: set(y.tolist()) == {0, 1, 2, 3})
    assert occurs(testing.one_hot(3, 3), lambda rows: np.all(rows.sum(0) == 1))


@given(
    shape=array_shapes(max_dims=3, max_side=5), least=st.sampled_from([0.0, 0.01, 0.2]), dtype=DTYPES, data=st.data()
)
def test_probabilities_sum_to_one(shape, least, dtype, data):
    p = data.draw(testing.probabilities(shape, least, dtype))
    assert p.shape == shape
    assert p.dtype == dtype
    assert np.all(p >= p.dtype.type(least)) and np.all(p > 0)
    np.testing.assert_allclose(p.astype(np.float64).sum(-1), 1, rtol=0, atol=2 * np.finfo(dtype).eps)


def test_probabilities_are_neither_all_equal_nor_all_but_certain():
    assert occurs(testing.probabilities(3), lambda p: p.max() > 0.9)
    assert occurs(testing.probabilities(3), lambda p: len(set(p)) == 3)


@given(dtype=DTYPES, data=st.data())
def test_binary_targets_are_outcomes(dtype, data):
    y = data.draw(testing.binary_targets((2, 3), dtype))
    assert y.shape == (2, 3)
    assert y.dtype == dtype
    assert np.all((y == 0) | (y == 1))


def test_both_outcomes_occur():
    assert occurs(testing.binary_targets(2), lambda y: set(y) == {0.0, 1.0})


@given(
    logits=testing.arrays((3, 4)), y=testing.labels(3, 4), rows=testing.one_hot(3, 4), p=testing.probabilities((3, 4))
)
def test_losses_take_them(logits, y, rows, p):
    np.testing.assert_allclose(F.cross_entropy(p, y), -np.log(p[np.arange(3), y]).mean())
    assert F.cross_entropy(logits, rows, from_logits=True) >= 0
    assert F.cross_entropy(p, p) <= F.cross_entropy(np.full_like(p, 0.25), p)


# Convolution and pooling

POOLING = ["max_pool2d", "avg_pool2d"]


def gradcheck(function, arguments):
    """Check the function's derivative by those of its arguments that are floating-point arrays."""
    arrays = {k: v for k, v in arguments.items() if isinstance(v, np.ndarray)}
    rest = {k: v for k, v in arguments.items() if k not in arrays}
    ns.gradcheck(lambda *tensors: function(**dict(zip(arrays, tensors, strict=True)), **rest), list(arrays.values()))


@given(arguments=testing.conv2d_arguments(layouts=True, min_batch=0))
def test_convolution_takes_its_arguments(arguments):
    y = F.conv2d(**arguments)
    assert min(y.shape[1:]) >= 1
    gradcheck(F.conv2d, arguments)


@pytest.mark.parametrize("function", POOLING)
@given(data=st.data())
def test_pooling_takes_its_arguments(function, data):
    arguments = data.draw(testing.pool2d_arguments(function, layouts=True, min_batch=0))
    y = getattr(F, function)(**arguments)
    assert min(y.shape[1:]) >= 1
    assert np.isfinite(y).all()  # a window in the padding alone would have -inf, or nan
    gradcheck(getattr(F, function), arguments)


@given(dtype=DTYPES, data=st.data())
def test_arguments_have_the_dtype_asked_for(dtype, data):
    arguments = data.draw(testing.conv2d_arguments(dtype))
    assert F.conv2d(**arguments).dtype == dtype
    arguments = data.draw(testing.pool2d_arguments("max_pool2d", dtype))
    assert F.max_pool2d(**arguments).dtype == dtype
    assert len(np.unique(arguments["x"])) == arguments["x"].size, "values tie"


@given(arguments=testing.conv2d_arguments(plain=True), pooling=testing.pool2d_arguments(plain=True))
def test_plain_settings_are_whole_numbers(arguments, pooling):
    for drawn in (arguments, pooling):
        assert all(isinstance(v, np.ndarray | int | None) for v in drawn.values())
    assert arguments["weight"].shape[2] == arguments["weight"].shape[3]


@given(arguments=testing.conv2d_arguments(max_kernel=1, max_stride=1, max_padding=0, max_dilation=1, max_groups=1))
def test_bounds_are_kept(arguments):
    assert arguments["weight"].shape[2:] == (1, 1)
    assert arguments["stride"] in (1, (1, 1))
    assert arguments["padding"] in (0, (0, 0), ((0, 0), (0, 0)), "valid", "same", "same_lower")
    assert arguments["dilation"] in (1, (1, 1))
    assert arguments["groups"] == 1


def across(setting):
    """What a setting says of rows of cells."""
    return setting[1] if isinstance(setting, tuple) else setting


def columns_left_over(arguments):
    """How many columns no window reaches, without padding."""
    kernel = arguments["weight"].shape[3] if "weight" in arguments else across(arguments["kernel_size"])
    stride = kernel if arguments["stride"] is None else across(arguments["stride"])
    span = across(arguments["dilation"]) * (kernel - 1) + 1
    return (arguments["x"].shape[3] - span) % stride if arguments["padding"] in (0, "valid") else 0


def pads(arguments):
    return arguments["padding"] not in (0, (0, 0), ((0, 0), (0, 0)), "valid")


BOTH = {
    "stride of a pair": lambda a: isinstance(a["stride"], tuple) and a["stride"][0] != a["stride"][1],
    "stride beyond the kernel": lambda a: a["stride"] == 3,
    "padding at one edge": lambda a: np.shape(a["padding"]) == (2, 2) and a["padding"][1] == (1, 0),
    "padding as a number": lambda a: a["padding"] == 1,
    "padding by name": lambda a: a["padding"] == "same" and a["x"].size > 1,
    "padding by another name": lambda a: a["padding"] == "same_lower" and a["x"].size > 1,
    "batch": lambda a: a["x"].shape[0] == 2,
    "no batch": lambda a: a["x"].shape[0] == 0,
    "image that is not square": lambda a: a["x"].shape[2] != a["x"].shape[3],
    "last column left over": lambda a: columns_left_over(a) > 0,
}
CONVOLUTION = {
    "groups": lambda a: a["groups"] == 2,
    "several channels in each group": lambda a: a["groups"] == 2 and a["weight"].shape[1] == 2,
    "more channels out than in": lambda a: a["weight"].shape[0] > a["x"].shape[1],
    "dilation": lambda a: a["dilation"] == 2 and a["weight"].shape[2] > 1,
    "no bias": lambda a: a["bias"] is None,
    "kernel that is not square": lambda a: a["weight"].shape[2] != a["weight"].shape[3],
    "kernel larger than the image": lambda a: a["weight"].shape[2] > a["x"].shape[2],
    "image of one row, kernel of three": lambda a: a["x"].shape[2] == 1 and a["weight"].shape[2] == 3,
    "backwards in memory": lambda a: a["weight"].strides[3] < 0,
}
POOL = {
    "stride by default": lambda a: a["stride"] is None,
    "overlapping windows": lambda a: a["stride"] is not None and across(a["kernel_size"]) > across(a["stride"]),
    "dilation with padding": lambda a: across(a["dilation"]) == 2 == across(a["kernel_size"]) and pads(a),
    "last window beyond the image": lambda a: a["ceil_mode"] and columns_left_over(a) > 0,
}


def some(strategy):
    """A few hundred drawn."""
    drawn = []

    @settings(max_examples=400, database=None)
    @given(strategy)
    def draw(one):
        drawn.append(one)

    draw()
    return drawn


@pytest.fixture(scope="module")
def convolutions():
    return some(testing.conv2d_arguments(layouts=True, min_batch=0))


@pytest.fixture(scope="module")
def poolings():
    return some(testing.pool2d_arguments(min_batch=0))


@pytest.mark.parametrize("feature", [*BOTH, *CONVOLUTION])
def test_every_geometry_of_convolution_occurs(convolutions, feature):
    assert any(map({**BOTH, **CONVOLUTION}[feature], convolutions))


@pytest.mark.parametrize("feature", [*BOTH, *POOL])
def test_every_geometry_of_pooling_occurs(poolings, feature):
    assert any(map({**BOTH, **POOL}[feature], poolings))


def test_the_mean_counts_its_padding_or_not():
    for counted in (False, True):
        arguments = testing.pool2d_arguments("avg_pool2d")
        assert occurs(arguments, lambda a, counted=counted: a["count_include_pad"] is counted and a["padding"] == 1)


# The whole


SIMPLEST = {
    "arrays": (testing.arrays((2, 2)), np.zeros((2, 2))),
    "strided": (testing.strided(testing.arrays(2)), np.zeros(2)),
    "labels": (testing.labels(2, 3), np.zeros(2)),
    "one_hot": (testing.one_hot(1, 3), np.array([[1, 0, 0]])),
    "probabilities": (testing.probabilities(4), np.full(4, 0.25)),
    "binary_targets": (testing.binary_targets(2), np.zeros(2)),
    "away_from_kinks": (testing.away_from_kinks(2), np.array([0.1125, 0.1125])),
}


@pytest.mark.parametrize("name", SIMPLEST)
def test_what_shrinks_ends_at_the_simplest(name):
    strategy, simplest = SIMPLEST[name]
    np.testing.assert_allclose(find(strategy, lambda drawn: True), simplest)


def test_arguments_shrink_to_single_cells():
    found = find(testing.conv2d_arguments(layouts=True), lambda a: True)
    assert (found["x"].shape, found["weight"].shape, found["bias"]) == ((1, 1, 1, 1), (1, 1, 1, 1), None)
    assert (found["stride"], found["padding"], found["dilation"], found["groups"]) == (1, 0, 1, 1)
    found = find(testing.pool2d_arguments(), lambda a: True)
    assert (found["x"].shape, found["kernel_size"], found["padding"]) == ((1, 1, 1, 1), 1, 0)


def test_elements_shrink_one_by_one():
    found = find(testing.arrays((3, 4)), lambda x: x[1, 2] > 1)
    assert found[1, 2] == 1 + 1 / 64
    assert np.count_nonzero(found) == 1


def draw_one(strategy):
    """Draw: what a strategy refuses only when it draws is raised."""
    find(strategy, lambda drawn: True)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: testing.arrays((2, -1)), ValueError, "arrays: a side of the shape is -1"),
        (lambda: testing.arrays(2.5), TypeError, "arrays: a side of the shape is 2.5"),
        (lambda: testing.arrays((64, 64)), ValueError, "has 4096 elements, expected at most 1024; draw a seed"),
        (lambda: draw_one(testing.arrays(st.just((64, 64)))), ValueError, "has 4096 elements"),
        (lambda: testing.arrays(2, "int64"), TypeError, "arrays: dtype is 'int64'"),
        (lambda: testing.arrays(2, kind="even"), ValueError, "arrays: kind is 'even', expected one of 'normal'"),
        (lambda: testing.broadcastable_shapes(0), ValueError, "broadcastable_shapes: count is 0"),
        (lambda: testing.broadcastable_shapes(min_side=5), ValueError, "max_side is 4, expected a whole number of at least 5"),
        (lambda: testing.away_from_kinks(2, gap=0), ValueError, "away_from_kinks: gap is 0"),
        (lambda: testing.away_from_kinks(2, kinks=(np.nan,)), ValueError, "away_from_kinks: a kink is nan"),
        (lambda: testing.away_from_kinks(2, kinks=0.0), TypeError, "away_from_kinks: kinks is 0.0, expected a sequence"),
        (lambda: testing.away_from_kinks(2, apart=1), TypeError, "away_from_kinks: apart is 1"),
        (
            lambda: draw_one(testing.away_from_kinks(300, apart=True, dtype="float16")),
            ValueError,
            "float16 cannot keep values 0.1 apart as far out as 50",
        ),
        (lambda: testing.strided(np.zeros(3)), TypeError, "strided: got ndarray, expected a strategy of arrays"),
        (lambda: draw_one(testing.strided(st.just([1.0]))), TypeError, "strided: the strategy drew list"),
        (lambda: draw_one(testing.strided(st.just(np.array([None])))), TypeError, "strided: the strategy drew object"),
        (lambda: testing.empty_arrays("floaty"), TypeError, "empty_arrays: 'floaty' is no dtype"),
        (lambda: testing.empty_arrays(max_dims=0), ValueError, "empty_arrays: max_dims is 0"),
        (lambda: testing.labels(3, 0), ValueError, "labels: classes is 0"),
        (lambda: testing.one_hot(3, 2.0), TypeError, "one_hot: classes is 2.0"),
        (lambda: testing.probabilities((3, 0)), ValueError, "rows of the shape (3, 0) cannot hold probabilities"),
        (lambda: testing.probabilities(()), ValueError, "give it a last axis that is not empty"),
        (lambda: testing.probabilities(4, least=0.3), ValueError, "at least 0.3 that sum to 1"),
        (lambda: testing.conv2d_arguments(max_kernel=0), ValueError, "conv2d_arguments: max_kernel is 0"),
        (lambda: testing.conv2d_arguments(plain="yes"), TypeError, "conv2d_arguments: plain is 'yes'"),
        (lambda: testing.pool2d_arguments("pool"), ValueError, "pool2d_arguments: function is 'pool', expected 'max_pool2d'"),
        (lambda: testing.pool2d_arguments(min_batch=-1), ValueError, "pool2d_arguments: min_batch is -1"),
    ],
)  # fmt: skip
def test_bad_use_is_refused_in_one_sentence(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert words in message
    assert "\n" not in message and "; " in message


def test_strategies_are_found_in_the_namespace_and_documented():
    assert {"arrays", "away_from_kinks", "broadcastable_shapes", "conv2d_arguments", "strided"} <= set(STRATEGIES)
    for name in STRATEGIES:
        assert ">>> " in getattr(testing, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        testing.nothing  # noqa: B018


def test_without_hypothesis_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from nnscratch import testing\n"
        "try: testing.arrays(3)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "nnscratch.testing: its strategies need hypothesis, which is not installed; pip install hypothesis\n"
    )
