"""Picking elements out by slices, masks and indices; the rule of each is the sum of a gradient back into those places."""

import numpy as np

from nnscratch import backend
from nnscratch.arguments import count, is_basic
from nnscratch.autograd import describe, op
from nnscratch.hints import hinting
from nnscratch.ops.elementwise import where
from nnscratch.ops.shape import normalise_axis, on_device_of, operand
from nnscratch.sample_inputs import Case, apart, integers, normal


@op(
    formula=r"y = x[\text{index}]",
    derivative=r"g \text{ added into those places}",
    constant=("index",),
    samples=(
        Case(normal(4, 5), (slice(1, 3), slice(None, None, 2))),
        Case(normal(4, 5), (Ellipsis, None, -1)),
        Case(normal(4, 5), integers(6, high=4)),
        Case(normal(4, 5), (integers(3, high=4), integers(3, high=5))),
        Case(normal(2, 3), np.array([[True, False, True], [False, True, True]])),
        Case(normal(5), slice(None, None, -2)),
        Case(normal(4), 2),
    ),
)
def getitem(x, index):
    """``x[index]``: slices, new axes, booleans and whole-number arrays, as in NumPy; a place picked twice gets both gradients.

    Parameters
    ----------
    x : Tensor or array
    index : int, slice, None, Ellipsis, array of int or bool, or a tuple of these

    Returns
    -------
    The dtype of `x`, in the shape that NumPy's rules give; slices are views of the same memory.

    Raises
    ------
    IndexError
        Where an index is out of range, or no index at all.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.tensor([1.0, 2.0, 3.0])[::-2]
    tensor([3., 1.])
    """
    if isinstance(index, list):
        index = np.asarray(index, dtype=None if index else int)
    if isinstance(x, list | float | int):
        x = backend.asarray(x)
    return x[_placed("getitem", index, x) if backend.several() and not is_basic(index) else index]


@getitem.rule("x")
def _(g, x_shape, index):
    return put_add(g, x_shape, index)


def index_array(indices):
    """Indices as an array: itself, where it is one of any device, and that of a Tensor."""
    if backend.is_array(indices):
        return indices
    return indices.data if hasattr(indices, "_node") else np.asarray(indices)


def _placed(name, index, x):
    """An index whose arrays are where `x` is; on a GPU, where what is out of range wraps around, they are checked."""
    here = backend.of(x)
    parts = list(index) if isinstance(index, tuple) else [index]
    if here.name == "cpu":
        parts = [backend.to_numpy(i) if backend.is_array(i) and backend.of(i) is not here else i for i in parts]
    else:
        parts = [np.asarray(i, dtype=None if i else int) if isinstance(i, list) else i for i in parts]
        taken = sum(map(_axes, parts))
        axis = 0
        for k, i in enumerate(parts):
            if backend.is_array(i):
                if i.dtype.kind != "b" and axis < x.ndim:
                    whole_indices(name, i, x.shape[axis])
                parts[k] = backend.asarray(i, device=here.name)
            axis += x.ndim - taken if i is Ellipsis else _axes(i)
    return tuple(parts) if isinstance(index, tuple) else parts[0]


def _axes(part):
    """How many axes a part of an index is for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if getattr(part, "dtype", None) == np.bool_ else 1


@op(
    formula=r"y = 0, \quad y[\text{index}] \mathrel{+}= x",
    derivative=r"g[\text{index}]",
    kernel="scatter.put_add",
    constant=("index",),
    samples=(Case(normal(3, 2), (5, 2), integers(3, high=5)), Case(normal(2), (4,), slice(1, 3))),
)
def put_add(x, shape, index):
    """Zeros of `shape` with `x` added into the places `index`; places named twice add up.

    Parameters
    ----------
    x : Tensor or array
    shape : tuple of int
        The result's.
    index : as in ``y[index]``
        Of the shape of `x`, in an array of `shape`.

    Returns
    -------
    That shape, in the dtype of `x`.

    Raises
    ------
    IndexError
        Where an index is out of range.
    ValueError
        Where `x` does not broadcast to ``y[index]``.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.put_add(ns.tensor([1.0, 2.0]), (3,), [0, 0])
    tensor([3., 0., 0.])
    """
    if not is_basic(index):
        return put_add.kernel(x, tuple(shape), index)
    out = backend.of(x).zeros(shape, x.dtype)
    out[index] = x
    return out


@put_add.rule("x")
def _(g, index):
    return getitem(g, index)


@op(
    formula=r"y = x, \quad y[\text{index}] = \text{values}",
    derivative=r"g \text{ outside those places}, \quad g[\text{index}]",
    constant=("index",),
    samples=(
        Case(normal(4, 5), (slice(1, 3), slice(None, None, 2)), normal(2, 3)),
        Case(normal(4, 5), (integers(3, high=4), integers(3, high=5)), normal(3)),
        Case(normal(4, 5), integers(6, high=4), normal(6, 5)),
        Case(normal(2, 3), np.array([[True, False, True], [False, True, True]]), 0.5),
        Case(normal(4), 2, normal()),
    ),
)
def put(x, index, values):
    """A copy of `x` with ``[index]`` replaced by `values`: an assignment with a place in the graph.

    Where an index names a place twice, the last of its values stays there, and that one has the gradient.

    Parameters
    ----------
    x : Tensor or array
    index : as in ``x[index]``
    values : Tensor, array or number
        Whatever broadcasts to the shape of ``x[index]``.

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    IndexError
        Where an index is out of range, or no index at all.
    TypeError
        Where the values are floating-point numbers and `x` holds whole ones.
    ValueError
        Where the values do not broadcast to ``x[index]``.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.put(ns.tensor([1.0, 2.0, 3.0]), slice(0, 2), 7)
    tensor([7., 7., 3.])
    """
    out = np.copy(x)
    if out.dtype.kind != "f" and (values if hasattr(values, "dtype") else np.asarray(values)).dtype.kind == "f":
        raise TypeError(
            f"put: values are {describe(values)}, x is {describe(x)}, which has no fractions; convert x with .astype('float32')"
        )
    index = _placed("put", index, out) if backend.several() else index
    if backend.of(out).name == "cpu" or is_basic(index):
        out[index] = values
        return out
    places, writers = _last_writers(out, index)
    flat = out.reshape(-1)
    flat[places] = np.broadcast_to(backend.of(out).as_result(values), out[index].shape).reshape(-1)[writers]
    return flat.reshape(out.shape)


def _last_writers(x, index):
    """The places (of x in one row) that an index with arrays names, each once, and which of its elements comes to each last."""
    here = backend.of(x)
    named = here.arange(x.size).reshape(x.shape)[index].reshape(-1)
    order = np.argsort(named, kind="stable")
    named = named[order]
    last = np.concatenate([named[1:] != named[:-1], np.ones_like(named[:1], dtype=bool)])
    return named[last], order[last]


@put.rule("x")
def _(g, index):
    return put(g, index, 0)


@put.rule("values")
def _(g, index):
    picked = g[index]
    if is_basic(index):
        return picked
    raw = g if backend.is_array(g) else g.data
    _, writers = _last_writers(raw, _placed("put", index, raw))
    stays = backend.of(raw).zeros((picked.size,), bool)
    stays[writers] = True
    return where(stays.reshape(picked.shape), picked, 0)


def whole_indices(name, indices, n, least=None):
    """Indices as whole numbers, refused where they are none or out of range: below `least` (-n by default) or n or more.

    Those that lie on a GPU may be found out of range only when it is next waited for.
    """
    indices = index_array(indices)
    if indices.size == 0:
        return indices.astype(np.int64)
    if indices.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: indices must be whole numbers, got {indices.dtype}; convert them with .astype('int64')"
        )
    if n == 0:
        raise IndexError(f"{name}: there are no entries for {indices.size} indices; pass an array that has some")

    def error(value):
        return IndexError(f"{name}: index {value} is out of range for {n} entries; pass indices from 0 to {n - 1}")

    backend.of(indices).check(indices, -n if least is None else least, n - 1, error)
    return indices


@op(
    formula=r"y_j = x_{i_j}",
    derivative=r"g \text{ added into those places}",
    constant=("indices",),
    samples=(
        Case(normal(4, 3), integers(2, 3, high=4), 0),
        Case(normal(4, 3), integers(5, high=3), 1),
        Case(normal(4, 3), integers(5, high=12)),
    ),
)
def take(x, indices, axis=None):
    """The slices of `x` at `indices` along an axis (None: elements in row-major order).

    Parameters
    ----------
    x : Tensor or array
    indices : array of int
        Any shape; negative ones count from the end.
    axis : int or None
        Along which axis; None: of all elements, in row-major order.

    Returns
    -------
    The dtype of `x`, with the axes of `indices` in the place of `axis`.

    Raises
    ------
    IndexError
        Where an index is out of range.
    TypeError
        Where the indices are not whole numbers.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.take(ns.tensor([10.0, 20.0, 30.0]), [2, 0])
    tensor([30., 10.])
    """
    shape = np.shape(x)
    n = np.size(x) if axis is None else shape[normalise_axis(axis, len(shape), "take")[0]]
    return np.take(x, on_device_of(x, whole_indices("take", indices, n)), axis)


@take.rule("x")
def _(g, x_shape, indices, axis):
    indices = index_array(indices)
    if axis is None:
        n = int(np.prod(x_shape, dtype=int))
        return put_add(g, (n,), indices).reshape(x_shape)
    axis = axis % len(x_shape)
    return put_add(g, x_shape, (*(slice(None),) * axis, indices))


@op(
    formula=r"y_{ij} = x_{i\,k_{ij}}",
    derivative=r"g \text{ added into those places}",
    constant=("indices",),
    samples=(Case(normal(4, 3), integers(4, 2, high=3), 1), Case(normal(4, 3), integers(5, 3, high=4), 0)),
)
def take_along_axis(x, indices, axis):
    """One element of `x` for each of `indices` along an axis, matched elsewhere (PyTorch calls it gather).

    Parameters
    ----------
    x : Tensor or array
    indices : array of int
        In the shape of `x` but along `axis`.
    axis : int

    Returns
    -------
    The shape of `indices`, in the dtype of `x`.

    Raises
    ------
    IndexError
        Where an index is out of range.
    TypeError
        Where the indices are not whole numbers.
    ValueError
        Where the indices do not match `x` along the other axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.take_along_axis(ns.tensor([[1.0, 2.0], [3.0, 4.0]]), [[1], [0]], axis=1)
    tensor([[2.],
            [3.]])
    """
    indices, axis = _along_axis("take_along_axis", np.shape(x), indices, axis)
    return np.take_along_axis(x, on_device_of(x, indices), axis)


def _along_axis(name, shape, indices, axis):
    """Indices along an axis of an array of `shape`, and the axis, checked."""
    (axis,) = normalise_axis(axis, len(shape), name)
    indices = index_array(indices)
    if indices.ndim != len(shape):
        raise ValueError(f"{name}: indices have {indices.ndim} axes, x has {len(shape)}; give both the same number")
    if any(n != m for i, (n, m) in enumerate(zip(indices.shape, shape, strict=True)) if i != axis):
        raise ValueError(
            f"{name}: indices of shape {indices.shape} and x of shape {tuple(shape)} must agree but along axis {axis}; broadcast one"
        )
    return whole_indices(name, indices, shape[axis]), axis


@take_along_axis.rule("x")
def _(g, x_shape, indices, axis):
    return put_add(g, x_shape, _grid(indices, axis))


def _grid(indices, axis):
    """The index of the places that `indices` name along an axis, each beside its own place along the others."""
    indices = index_array(indices)
    grid = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    grid[axis] = indices
    return tuple(grid)


def put_along_axis(x, indices, values, axis):
    """A copy of `x` with one element for each of `indices` along an axis replaced (PyTorch calls it scatter).

    Parameters
    ----------
    x : Tensor or array
    indices : array of whole numbers
        In the shape of `x` but along `axis`.
    values : Tensor, array or number
        Whatever broadcasts to the shape of `indices`.
    axis : int

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    IndexError
        Where an index is out of range.
    TypeError
        Where the indices are not whole numbers.
    ValueError
        Where the indices do not match `x` along the other axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.put_along_axis(ns.tensor([[1.0, 2.0], [3.0, 4.0]]), [[1], [0]], 0, axis=1)
    tensor([[1., 0.],
            [0., 4.]])
    """
    x = operand(x)
    indices, axis = _along_axis("put_along_axis", x.shape, indices, axis)
    return put(x, _grid(indices, axis), values)


@op(
    formula=r"y_i = x_{\pi(i)}, \quad y_i \le y_{i+1}",
    derivative=r"g_{\pi^{-1}(i)}",
    outputs=("values", "indices"),
    name="sort",
    samples=(Case(apart(3, 4)), Case(apart(3, 4), 0), Case(apart(5))),
)
def _sort(x, axis=-1):
    """`sort`, and where each element stood."""
    (axis,) = normalise_axis(axis, np.ndim(x), "sort")
    indices = argsort(x, axis)
    return np.take_along_axis(x, indices, axis), indices


@_sort.rule("x")
def _(g_values, indices, x_shape, axis):
    return put_add(g_values, x_shape, _grid(indices, axis))


@hinting
def sort(x, axis=-1):
    """The elements in ascending order along an axis, nan last; each has the gradient of the place it came to.

    Parameters
    ----------
    x : Tensor or array
    axis : int
        Along which axis.

    Returns
    -------
    The same shape and dtype.

    Raises
    ------
    ValueError
        Where there is no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.sort(ns.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return _sort(x, axis)[0]


@op(
    formula=r"\pi \text{ with } x_{\pi(i)} \le x_{\pi(i+1)}",
    constant=True,
    samples=(Case(apart(3, 4)), Case(apart(3, 4), 0)),
)
def argsort(x, axis=-1):
    """The indices that put the elements in ascending order along an axis, equal ones as they stand: int64, without a gradient.

    Parameters
    ----------
    x : Tensor or array
    axis : int
        Along which axis.

    Returns
    -------
    The same shape, int64.

    Raises
    ------
    ValueError
        Where there is no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.argsort(ns.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0], dtype=int64)
    """
    (axis,) = normalise_axis(axis, np.ndim(x), "argsort")
    return np.argsort(x, axis, kind="stable")


@op(
    formula=r"y_i = x_{\pi(i)}, \quad y_1 \ge \dots \ge y_k \text{ the greatest}",
    derivative=r"g \text{ added into those places}",
    outputs=("values", "indices"),
    samples=(Case(apart(3, 4), 2), Case(apart(3, 4), 1, 0), Case(apart(5), 3, -1, False)),
)
def topk(x, k, axis=-1, largest=True):
    """The `k` greatest elements along an axis, the greatest first, and their indices.

    Parameters
    ----------
    x : Tensor or array
    k : int
        From 0 to the length of the axis.
    axis : int
    largest : bool
        Or else the `k` least, the least first. Equal elements keep their order.

    Returns
    -------
    values, indices : a pair of the shape of `x`, but `k` long along the axis; the indices int64 and without a gradient

    Raises
    ------
    ValueError
        Where there is no such axis, or it has fewer elements.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.topk(ns.tensor([3.0, 1.0, 2.0]), 2)
    (tensor([3., 2.]), tensor([0, 2], dtype=int64))
    """
    (axis,) = normalise_axis(axis, len(x.shape), "topk")
    n = x.shape[axis]
    if count("topk", "k", k, 0) > n:
        raise ValueError(f"topk: k is {k}, axis {axis} has only {n} elements; lower it")
    # backwards twice, a stable ascending order is a stable descending one
    order = np.flip(n - 1 - argsort(np.flip(x, axis), axis), axis) if largest else argsort(x, axis)
    indices = order[(*(slice(None),) * axis, slice(k))]
    return np.take_along_axis(x, indices, axis), indices


@topk.rule("x")
def _(g_values, indices, x_shape, axis):
    return put_add(g_values, x_shape, _grid(indices, axis))
