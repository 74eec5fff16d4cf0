"""Picking elements out by slices, masks and indices; the rule of each is the sum of a gradient back into those places."""

import numpy as np

from nnscratch import backend
from nnscratch.autograd import op
from nnscratch.ops.shape import normalise_axis
from nnscratch.samples import Case, integers, normal


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
    return x[index]


@getitem.rule("x")
def _(g, x_shape, index):
    return put_add(g, x_shape, index)


def _is_basic(index):
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, slice | int) for p in parts)


@op(
    formula=r"y = 0, \quad y[\text{index}] \mathrel{+}= x",
    derivative=r"g[\text{index}]",
    constant=("index",),
    samples=(Case(normal(3, 2), (5, 2), integers(3, high=5)), Case(normal(2), (4,), slice(1, 3))),
)
def put_add(x, shape, index):
    """Zeros of `shape` with `x` added into the places `index`; places named twice add up.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.put_add(ns.tensor([1.0, 2.0]), (3,), [0, 0])
    tensor([3., 0., 0.])
    """
    out = np.zeros_like(x, shape=shape)
    if _is_basic(index):
        out[index] = x
    else:
        np.add.at(out, index, x)
    return out


@put_add.rule("x")
def _(g, index):
    return getitem(g, index)


def whole_indices(name, indices, n, least=None):
    """Indices as whole numbers, refused where they are none or out of range: below `least` (-n by default) or n or more."""
    indices = np.asarray(indices)
    if indices.size == 0:
        return indices.astype(np.int64)
    if indices.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: indices must be whole numbers, got {indices.dtype}; convert them with .astype('int64')"
        )
    least = -n if least is None else least
    if indices.min() < least or indices.max() >= n:
        bad = indices.min() if indices.min() < least else indices.max()
        raise IndexError(f"{name}: index {bad} is out of range for {n} entries; pass indices from 0 to {n - 1}")
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
    return np.take(x, whole_indices("take", indices, n), axis)


@take.rule("x")
def _(g, x_shape, indices, axis):
    indices = np.asarray(indices)
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
    axis = normalise_axis(axis, np.ndim(x), "take_along_axis")[0]
    indices = np.asarray(indices)
    if indices.ndim != np.ndim(x):
        raise ValueError(
            f"take_along_axis: indices have {indices.ndim} axes, x has {np.ndim(x)}; give both the same number"
        )
    return np.take_along_axis(x, whole_indices("take_along_axis", indices, np.shape(x)[axis]), axis)


@take_along_axis.rule("x")
def _(g, x_shape, indices, axis):
    indices = np.asarray(indices)
    axis = axis % len(x_shape)
    grid = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
    grid[axis] = indices
    return put_add(g, x_shape, tuple(grid))
