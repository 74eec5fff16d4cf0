"""Strategies for hypothesis: shapes, arrays and arguments that fit together by construction.

Everything drawn is small and shrinks to what is simplest: small shapes, zeros, C order, stride 1. Values come from short
tables, and each takes two bytes of what hypothesis draws, so that arrays cost little and shrink element by element.
"""

import itertools
import math

import numpy as np

from nnscratch import arguments

try:
    import hypothesis.extra.numpy as extra
    from hypothesis import note
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "nnscratch.testing: its strategies need hypothesis, which is not installed; pip install hypothesis"
    ) from error

#: The most elements of one array; a few such arrays fit into what hypothesis draws for one example.
LARGEST = 1024


def _nearest_zero_first(values):
    """Values in the order in which a shrinking example tries them."""
    return np.array(sorted(values, key=lambda v: (abs(v), v < 0)))


#: Multiples of 1/64, which are exact in every floating-point dtype.
VALUES = {
    "normal": _nearest_zero_first(np.arange(-256, 257) / 64),
    "positive": np.arange(32, 129) / 64,
    "unit": np.arange(1, 64) / 64,
}

#: Where an axis may start in its buffer, and by which step it may run.
LAYOUTS = [(start, step) for start in (0, 1) for step in (1, -1, 2, -2)]


def _shapes(owner, shape, check=None):
    """A strategy of shapes from an int, a tuple or a strategy of either; `check` may refuse some more."""

    def checked(drawn):
        sides = drawn if isinstance(drawn, tuple | list) else (drawn,)
        sides = tuple(arguments.count(owner, "a side of the shape", side, 0) for side in sides)
        if math.prod(sides) > LARGEST:
            raise ValueError(
                f"{owner}: the shape {sides} has {math.prod(sides)} elements, expected at most {LARGEST}; "
                f"draw a seed, and the array from numpy.random.default_rng(seed)"
            )
        if check is not None:
            check(sides)
        return sides

    return shape.map(checked) if isinstance(shape, st.SearchStrategy) else st.just(checked(shape))


def _bits(size):
    """So many whole numbers from 0 to 65535."""
    return st.binary(min_size=2 * size, max_size=2 * size).map(lambda b: np.frombuffer(b, ">u2").astype(np.intp))


def _scaled(bits, count):
    """The numbers of `_bits` as numbers below `count`."""
    return bits * count >> 16


def _from_table(shapes, values):
    """Arrays of the values of a table."""
    return shapes.flatmap(
        lambda shape: _bits(math.prod(shape)).map(lambda bits: values[_scaled(bits, len(values))].reshape(shape))
    )


def broadcastable_shapes(count=2, max_dims=4, max_side=4, min_side=1):
    """Shapes that broadcast together.

    Parameters
    ----------
    count : int
        How many.
    max_dims, max_side, min_side : int
        Bounds of each shape; with ``min_side=0`` some are empty.

    Returns
    -------
    strategy of tuple of `count` shapes

    Raises
    ------
    TypeError, ValueError
        Where a bound is no whole number, too small, or below another that it should not be below.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> sorted(find(testing.broadcastable_shapes(), lambda shapes: shapes[0] != shapes[1]))
    [(), (1,)]
    """
    owner = "broadcastable_shapes"
    count = arguments.count(owner, "count", count)
    max_dims = arguments.count(owner, "max_dims", max_dims, 0)
    min_side = arguments.count(owner, "min_side", min_side, 0)
    max_side = arguments.count(owner, "max_side", max_side, min_side)
    shapes = extra.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=min_side, max_side=max_side
    )
    return shapes.map(lambda drawn: drawn.input_shapes)


def arrays(shape, dtype=np.float64, kind="normal"):
    """Floating-point arrays of moderate values, the same in every dtype.

    Parameters
    ----------
    shape : int, tuple or strategy of them
        At most 1,024 elements.
    dtype : dtype
        float16, float32 or float64.
    kind : "normal", "positive" or "unit"
        Multiples of 1/64 from -4 to 4, from 0.5 to 2, or inside (0, 1).

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError, ValueError
        Where the shape is no shape or too large, the dtype not floating-point, or the kind unknown.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> find(testing.arrays((2, 2)), lambda x: x[1, 1] < -1)
    array([[ 0.      ,  0.      ],
           [ 0.      , -1.015625]])
    """
    if kind not in VALUES:
        raise ValueError(
            f"arrays: kind is {kind!r}, expected one of {', '.join(map(repr, VALUES))}; choose one of them"
        )
    return _from_table(_shapes("arrays", shape), VALUES[kind].astype(arguments.floating("arrays", dtype)))


def away_from_kinks(shape, gap=0.1, kinks=(0.0,), apart=False, dtype=np.float64):
    """Arrays whose values keep clear of kinks, and on request of each other, so that differences do not cross them.

    Parameters
    ----------
    shape : int, tuple or strategy of them
        At most 1,024 elements.
    gap : float
        How near a value may come to a kink, and with `apart` to another value of its array.
    kinks : sequence of float
        Where the function to be checked is not differentiable: (0,) for relu and abs, (0, 6) for relu6, () for none.
        There are values on both sides of each, and between those that are more than 2.25 gaps apart.
    apart : bool
        Let no two values tie or nearly tie, for max, sort and max-pooling.
    dtype : dtype
        float16, float32 or float64.

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError, ValueError
        Where an argument is of the wrong type or out of range, or the dtype too coarse for so many values that far apart.

    Examples
    --------
    >>> from hypothesis import given
    >>> from nnscratch import testing
    >>> import nnscratch as ns
    >>> @given(testing.away_from_kinks((2, 3), apart=True))
    ... def test_greatest_magnitude(x):
    ...     ns.gradcheck(lambda t: ns.max(ns.abs(t), axis=1), [x])
    >>> @given(testing.away_from_kinks(4, kinks=(0, 6)))
    ... def test_relu6(x):
    ...     ns.gradcheck(lambda t: ns.clip(t, 0, 6), [x])
    >>> test_relu6()
    """
    owner = "away_from_kinks"
    gap = arguments.number(owner, "gap", gap, 0, ends="()")
    if not np.iterable(kinks):
        raise TypeError(f"{owner}: kinks is {kinks!r}, expected a sequence of numbers; pass for example (0,)")
    kinks = sorted({arguments.number(owner, "a kink", kink) for kink in kinks})
    apart, dtype = arguments.flag(owner, "apart", apart), arguments.floating(owner, dtype)
    return _clear(_shapes(owner, shape), gap, kinks, apart, dtype)


@st.composite
def _clear(draw, shapes, gap, kinks, apart, dtype):
    shape = draw(shapes)
    size = math.prod(shape)
    places, freedom = _places(max(size, 4) if apart else 4, gap, kinks, dtype)
    if apart:
        chosen = np.argsort(draw(_bits(len(places))), kind="stable")[:size]
    else:
        chosen = _scaled(draw(_bits(size)), len(places))
    values = places[chosen] + freedom[chosen] * (draw(_bits(size)) >> 10) / 64
    return values.astype(dtype).reshape(shape)


def _places(count, gap, kinks, dtype):
    """At least `count` values clear of the kinks and of each other, and how far each may move with all still clear."""
    wide = 1.125 * gap  # what is more than the gap is for rounding to the dtype
    reach = max(4.0, 1.5 * wide * count)
    stretches = [(a + wide, b - a - 2 * wide) for a, b in itertools.pairwise(kinks) if b - a > 2 * wide]
    low, high = (kinks[0] - wide, kinks[-1] + wide) if kinks else (-2 * wide, 0.0)
    stretches += [(high, reach), (low, -reach)]
    farthest = max(abs(low), abs(high)) + reach
    if gap < 4 * np.finfo(dtype).eps * farthest or farthest > np.finfo(dtype).max:
        raise ValueError(
            f"away_from_kinks: {dtype} cannot keep values {gap:g} apart as far out as {farthest:g}, where some would lie; "
            f"pass dtype='float64', a smaller shape or nearer kinks"
        )
    places, freedom = [], []
    for start, length in stretches:
        most = int(np.clip(abs(length) // (2 * wide), 1, 2 * count))
        places.append(start + length / most * np.arange(most))
        freedom.append(np.full(most, np.clip(length, -0.75 * wide, 0.75 * wide)))
    order = np.argsort(np.abs(np.concatenate(places)), kind="stable")
    return np.concatenate(places)[order], np.concatenate(freedom)[order]


def strided(arrays):
    """The arrays of another strategy in any memory layout: their values and shapes stay.

    Axes lie in memory in any order, with every element or every second, forwards or backwards, at the start of the
    buffer or after it. What lies between is nan (-1 for whole numbers), so that reading it shows. The simplest layout is
    C order; for any other the failing example says what its strides are.

    Parameters
    ----------
    arrays : strategy of ndarray

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError
        Where `arrays` is no strategy, or draws something that is no array of numbers.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> backwards = find(testing.strided(testing.arrays((2, 3))), lambda x: x.strides[1] < 0)
    >>> backwards.shape, backwards.strides
    ((2, 3), (24, -8))
    """
    if not isinstance(arrays, st.SearchStrategy):
        raise TypeError(
            f"strided: got {type(arrays).__name__}, expected a strategy of arrays; pass for example arrays((2, 3))"
        )
    return _laid_out(arrays)


@st.composite
def _laid_out(draw, arrays):
    values = draw(arrays)
    if not isinstance(values, np.ndarray) or values.dtype.hasobject:
        got = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"strided: the strategy drew {got}, expected arrays of numbers; pass a strategy of such arrays")
    order = draw(st.permutations(range(values.ndim)))
    axes = [draw(st.sampled_from(LAYOUTS)) for _ in order]
    lengths = [start + abs(step) * n for (start, step), n in zip(axes, values.shape, strict=True)]
    place = [order.index(axis) for axis in range(values.ndim)]
    # The bits of nan, of -1, and of True.
    between = np.full(math.prod(lengths) * values.itemsize, 1 if values.dtype == bool else 255, np.uint8)
    buffer = between.view(values.dtype).reshape([lengths[axis] for axis in order]).transpose(place)
    forwards = buffer[(..., *[slice(start, None, abs(step)) for start, step in axes])]
    view = forwards[(..., *[slice(None, None, 1 if step > 0 else -1) for _, step in axes])]
    view[...] = values
    if not view.flags.c_contiguous:
        note(f"strided: shape {view.shape} {view.dtype} with strides of {view.strides} bytes")
    return view


def empty_arrays(dtype=np.float64, max_dims=4, max_side=4):
    """Arrays without elements: at least one axis has length 0.

    Parameters
    ----------
    dtype : dtype
    max_dims, max_side : int
        Bounds of the shape.

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError, ValueError
        Where the dtype is none, or a bound is no whole number or too small.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> find(testing.empty_arrays("float32"), lambda x: x.ndim == 2).shape
    (0, 0)
    """
    owner = "empty_arrays"
    max_dims = arguments.count(owner, "max_dims", max_dims)
    max_side = arguments.count(owner, "max_side", max_side, 0)
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"empty_arrays: {dtype!r} is no dtype; pass for example 'float32'") from None

    def emptied(shape):
        return st.integers(0, len(shape) - 1).map(lambda axis: np.zeros((*shape[:axis], 0, *shape[axis + 1 :]), dtype))

    return extra.array_shapes(min_dims=1, max_dims=max_dims, min_side=0, max_side=max_side).flatmap(emptied)


def labels(count, classes):
    """Class labels: int64 arrays (count,) of whole numbers from 0 to classes - 1.

    Parameters
    ----------
    count : int, tuple or strategy of them
        How many, or their shape.
    classes : int

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError, ValueError
        Where an argument is no whole number or too small.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> find(testing.labels(4, classes=3), lambda y: y[3] == 2)
    array([0, 0, 0, 2])
    """
    return _labels("labels", count, classes)


def _labels(owner, count, classes):
    return _from_table(_shapes(owner, count), np.arange(arguments.count(owner, "classes", classes), dtype=np.int64))


def one_hot(count, classes, dtype=np.float64):
    """Rows with a single 1, the rest 0: arrays (count, classes).

    Parameters
    ----------
    count : int, tuple or strategy of them
        How many rows, or their shape.
    classes : int
    dtype : dtype
        float16, float32 or float64.

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError, ValueError
        Where a number is no whole number or too small, or the dtype not floating-point.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> find(testing.one_hot(2, classes=3), lambda rows: rows[1, 2] == 1)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    dtype = arguments.floating("one_hot", dtype)
    return _labels("one_hot", count, classes).map(lambda drawn: np.eye(classes, dtype=dtype)[drawn])


def probabilities(shape, least=0.01, dtype=np.float64):
    """Distributions: positive numbers that sum to 1 over the last axis.

    Parameters
    ----------
    shape : int, tuple or strategy of them
        The last axis holds a distribution's probabilities; it must not be empty.
    least : float
        The smallest probability allowed, which keeps clear of the pole of a logarithm.
    dtype : dtype
        float16, float32 or float64.

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError, ValueError
        Where there is no last axis, `least` is out of range or too large for so many, or the dtype not floating-point.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> find(testing.probabilities((2, 4)), lambda p: True)
    array([[0.25, 0.25, 0.25, 0.25],
           [0.25, 0.25, 0.25, 0.25]])
    """
    owner = "probabilities"
    least, dtype = arguments.number(owner, "least", least, 0, 1), arguments.floating(owner, dtype)

    def has_rows(shape):
        if not shape or shape[-1] == 0 or shape[-1] * least > 1:
            raise ValueError(
                f"{owner}: rows of the shape {shape} cannot hold probabilities of at least {least:g} that sum to 1; "
                f"give it a last axis that is not empty, or lower least"
            )

    def share(weights):
        rows = weights / weights.sum(-1, keepdims=True)
        return (least + (1 - weights.shape[-1] * least) * rows).astype(dtype)

    return _from_table(_shapes(owner, shape, has_rows), 2.0 ** np.arange(0, 8, 1 / 8)).map(share)


def binary_targets(shape, dtype=np.float64):
    """Outcomes: arrays of 0 and 1.

    Parameters
    ----------
    shape : int, tuple or strategy of them
    dtype : dtype
        float16, float32 or float64.

    Returns
    -------
    strategy of ndarray

    Raises
    ------
    TypeError, ValueError
        Where the shape is no shape or too large, or the dtype not floating-point.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> find(testing.binary_targets(3), lambda y: y[2] == 1)
    array([0., 0., 1.])
    """
    values = np.arange(2).astype(arguments.floating("binary_targets", dtype))
    return _from_table(_shapes("binary_targets", shape), values)


def _setting(most, plain):
    """A kernel's size, stride or dilation as users write it: a whole number or, unless plain, a pair."""
    number = st.integers(1, most)
    return number if plain else number | st.tuples(number, number)


def _padding(most, plain):
    """Padding of at most so many rows and columns, as users write it."""
    number = st.integers(0, min(most))
    if plain:
        return number
    pair = st.tuples(*[st.integers(0, cells) for cells in most])
    edges = st.tuples(*[st.tuples(st.integers(0, cells), st.integers(0, cells)) for cells in most])
    return number | pair | edges | st.sampled_from(["valid", "same", "same_lower"])


def _both(setting):
    return setting if isinstance(setting, tuple) else (setting, setting)


def _sizes(kernel, padding, dilation, overlap):
    """Heights and widths into which a window fits, and with `overlap` too large for any to lie in the padding alone."""
    sizes = []
    for axis in (0, 1):
        step = _both(dilation)[axis]
        span = step * (_both(kernel)[axis] - 1) + 1
        named = {"valid": 0, "same": span, "same_lower": span}
        added = named[padding] if isinstance(padding, str) else sum(_both(_both(padding)[axis]))
        least = max(span - added, step if overlap else 1)
        sizes.append(st.integers(least, least + 3))
    return st.tuples(*sizes)


def _frame(owner, dtype, plain, layouts, min_batch):
    """What the arguments of convolution and pooling share: dtype, plain, memory layout, and the batch's sizes."""
    layout = strided if arguments.flag(owner, "layouts", layouts) else lambda drawn: drawn
    least = arguments.count(owner, "min_batch", min_batch, 0)
    return (
        arguments.floating(owner, dtype),
        arguments.flag(owner, "plain", plain),
        layout,
        st.integers(least, max(least, 2)),
    )


def conv2d_arguments(
    dtype=np.float64,
    *,
    plain=False,
    layouts=False,
    min_batch=1,
    max_kernel=3,
    max_stride=3,
    max_padding=2,
    max_dilation=2,
    max_groups=2,
):
    """Arguments of a two-dimensional convolution that fit together, for ``F.conv2d(**arguments)``.

    Parameters
    ----------
    dtype : dtype
        float16, float32 or float64.
    plain : bool
        Give every setting as one whole number, with square kernels. Otherwise they may also be pairs, and the padding
        different at each edge, "same", "same_lower" or "valid".
    layouts : bool
        Lay the arrays out in memory as `strided` does.
    min_batch : int
        With 0 some batches are empty.
    max_kernel, max_stride, max_padding, max_dilation, max_groups : int
        Bounds of the settings; the least are 1, the padding's 0.

    Returns
    -------
    strategy of dict
        x (N, groups·C, H, W), weight (groups·O, C, kh, kw), bias (groups·O,) or None, stride, padding, dilation, groups;
        N, C and O are 1 or 2, H and W at most 3 more than the least that fit.

    Raises
    ------
    TypeError, ValueError
        Where a bound is no whole number or too small, or the dtype not floating-point.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> found = find(testing.conv2d_arguments(), lambda drawn: drawn["stride"] == 2 and drawn["bias"] is not None)
    >>> {name: getattr(value, "shape", value) for name, value in found.items()}
    {'x': (1, 1, 1, 1), 'weight': (1, 1, 1, 1), 'bias': (1,), 'stride': 2, 'padding': 0, 'dilation': 1, 'groups': 1}
    """
    owner = "conv2d_arguments"
    dtype, plain, layout, batches = _frame(owner, dtype, plain, layouts, min_batch)
    kernels = _setting(arguments.count(owner, "max_kernel", max_kernel), plain)
    strides = _setting(arguments.count(owner, "max_stride", max_stride), plain)
    paddings = _padding([arguments.count(owner, "max_padding", max_padding, 0)] * 2, plain)
    dilations = _setting(arguments.count(owner, "max_dilation", max_dilation), plain)
    parts = st.integers(1, arguments.count(owner, "max_groups", max_groups))
    channels = st.integers(1, 2)

    @st.composite
    def drawn_arguments(draw):
        kernel, padding, dilation, groups = draw(kernels), draw(paddings), draw(dilations), draw(parts)
        size, each, out = (
            draw(_sizes(kernel, padding, dilation, overlap=False)),
            draw(channels),
            groups * draw(channels),
        )
        return {
            "x": draw(layout(arrays((draw(batches), groups * each, *size), dtype))),
            "weight": draw(layout(arrays((out, each, *_both(kernel)), dtype))),
            "bias": draw(st.none() | layout(arrays(out, dtype))),
            "stride": draw(strides),
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
        }

    return drawn_arguments()


def pool2d_arguments(
    function="max_pool2d",
    dtype=np.float64,
    *,
    plain=False,
    layouts=False,
    min_batch=1,
    max_kernel=3,
    max_stride=3,
    max_dilation=2,
):
    """Arguments of two-dimensional pooling that fit together, for ``F.max_pool2d(**arguments)`` or ``F.avg_pool2d``.

    No window lies in the padding alone, and for the maximum no two values tie.

    Parameters
    ----------
    function : "max_pool2d" or "avg_pool2d"
    dtype : dtype
        float16, float32 or float64.
    plain : bool
        Give every setting as one whole number, with ceil_mode off. Otherwise they may also be pairs, the stride left to
        its default (None), and the padding different at each edge, "same", "same_lower" or "valid".
    layouts : bool
        Lay the array out in memory as `strided` does.
    min_batch : int
        With 0 some batches are empty.
    max_kernel, max_stride, max_dilation : int
        Bounds of the settings; the least are 1. The padding is at most half of the kernel.

    Returns
    -------
    strategy of dict
        x (N, C, H, W), kernel_size, stride, padding, dilation, ceil_mode, and for the mean count_include_pad; N and C
        are 1 or 2, H and W at most 3 more than the least that fit.

    Raises
    ------
    TypeError, ValueError
        Where the function is unknown, a bound no whole number or too small, or the dtype not floating-point.

    Examples
    --------
    >>> from hypothesis import find
    >>> from nnscratch import testing
    >>> found = find(testing.pool2d_arguments(), lambda drawn: drawn["kernel_size"] == 2 and drawn["padding"] == 0)
    >>> {name: getattr(value, "shape", value) for name, value in found.items()}
    {'x': (1, 1, 2, 2), 'kernel_size': 2, 'stride': None, 'padding': 0, 'dilation': 1, 'ceil_mode': False}
    """
    owner = "pool2d_arguments"
    if function not in ("max_pool2d", "avg_pool2d"):
        raise ValueError(f"{owner}: function is {function!r}, expected 'max_pool2d' or 'avg_pool2d'; pass one of them")
    greatest = function == "max_pool2d"
    dtype, plain, layout, batches = _frame(owner, dtype, plain, layouts, min_batch)
    kernels = _setting(arguments.count(owner, "max_kernel", max_kernel), plain)
    strides = _setting(arguments.count(owner, "max_stride", max_stride), plain)
    dilations = _setting(arguments.count(owner, "max_dilation", max_dilation), plain)

    @st.composite
    def drawn_arguments(draw):
        kernel, dilation = draw(kernels), draw(dilations)
        padding = draw(_padding([k // 2 for k in _both(kernel)], plain))
        shape = (draw(batches), draw(st.integers(1, 2)), *draw(_sizes(kernel, padding, dilation, overlap=True)))
        # In float64, as float16 is too coarse for a gap that is promised, though not for the values to differ.
        values = away_from_kinks(shape, kinks=(), apart=True) if greatest else arrays(shape)
        return {
            "x": draw(layout(values.map(lambda x: x.astype(dtype)))),
            "kernel_size": kernel,
            "stride": draw(strides if plain else st.none() | strides),
            "padding": padding,
            "dilation": dilation,
            "ceil_mode": not plain and draw(st.booleans()),
            **({} if greatest else {"count_include_pad": draw(st.booleans())}),
        }

    return drawn_arguments()
