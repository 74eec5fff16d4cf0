"""Operations that move elements about: shapes, axes, joining, splitting, padding. Each one's rule is another of them."""

import itertools

import numpy as np

from nnscratch import backend
from nnscratch.arguments import count, flat_shape
from nnscratch.autograd import OPS, op
from nnscratch.hints import hinting
from nnscratch.ops.operands import array_of
from nnscratch.sample_inputs import Case, normal


def operand(x, owner="tensor"):
    """`x` as something with a shape: itself, where it is a Tensor or an array, else an array of it, whose errors begin with `owner`."""
    return x if hasattr(x, "shape") else array_of(owner, x)


def on_device_of(x, array):
    """An array of any device on that of `x`, a Tensor or an array."""
    here = backend.of(x if backend.is_array(x) else x.data)
    return array if backend.of(array) is here else here.as_result(backend.to_numpy(array))


def constant_on_device_of(x, array):
    """An array of NumPy's that follows from shapes and settings alone, on the device of `x`, a Tensor or an array."""
    return backend.of(x if backend.is_array(x) else x.data).constant(array)


def in_float32(function, x, **details):
    """A reduction of NumPy's, of float16 numbers computed in float32 and rounded once: NumPy adds most of them up in float16."""
    if getattr(x, "dtype", None) != np.float16:
        return function(x, **details)
    return function(x.astype(np.float32), **details).astype(np.float16)


def normalise_axis(axis, ndim, name):
    """Axes as a sorted tuple of non-negative numbers (None: all of them)."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    out = []
    for a in axes:
        if isinstance(a, bool) or not hasattr(a, "__index__"):
            raise TypeError(f"{name}: axis must be whole numbers, got {axis!r}; pass an int or a tuple of ints")
        a = a.__index__()
        if not -ndim <= a < ndim:
            raise ValueError(f"{name}: axis {a} is out of range for {ndim} axes; pass one from {-ndim} to {ndim - 1}")
        out.append(a % ndim)
    if len(set(out)) != len(out):
        raise ValueError(f"{name}: axis {axis!r} names one axis twice; name each once")
    return tuple(sorted(out))


@op(
    formula=r"\text{the same elements in another shape}",
    derivative=r"\text{reshape back}",
    samples=(Case(normal(2, 6), (3, 4)), Case(normal(2, 3), (-1,)), Case(normal(), (1, 1)), Case(normal(0, 3), (3, 0))),
)
def reshape(x, shape):
    """The same elements, in row-major order, in another shape; one length may be -1.

    Parameters
    ----------
    x : Tensor or array
    shape : int or tuple of int
        One length may be -1: what remains for it.

    Returns
    -------
    The same elements and dtype.

    Raises
    ------
    ValueError
        Where the number of elements differs.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.reshape(ns.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    tensor([[1., 2.],
            [3., 4.]])
    """
    return np.reshape(x, shape)


@reshape.rule("x")
def _(g, x_shape):
    return reshape(g, x_shape)


@op(
    formula=r"y_{i_0 i_1 \ldots} = x \text{ with its axes in another order}",
    derivative=r"\text{the order undone}",
    samples=(Case(normal(2, 3, 4), (2, 0, 1)), Case(normal(2, 3)), Case(normal(4)), Case(normal(2, 3, 4), (0, -1, 1))),
)
def transpose(x, axes=None):
    """The axes in another order (reversed by default).

    Parameters
    ----------
    x : Tensor or array
    axes : tuple of int, optional
        Which axis of `x` comes at each place; by default the last first.

    Returns
    -------
    The same dtype.

    Raises
    ------
    ValueError
        Where `axes` is no order of all the axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.transpose(ns.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """
    return np.transpose(x, axes)


@transpose.rule("x")
def _(g, axes):
    if axes is None:
        return transpose(g)
    n = len(axes)
    return transpose(g, tuple(int(i) for i in np.argsort([a % n for a in axes])))


@op(
    formula=r"\text{two axes exchanged}",
    derivative=r"\text{exchanged back}",
    samples=(Case(normal(2, 3, 4), 0, 2), Case(normal(2, 3), -1, -2)),
)
def swapaxes(x, axis1, axis2):
    """Two axes exchanged.

    Parameters
    ----------
    x : Tensor or array
    axis1, axis2 : int
        Which two.

    Returns
    -------
    The same dtype.

    Raises
    ------
    ValueError
        Where there is no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.swapaxes(ns.tensor([[1.0, 2.0, 3.0]]), 0, 1).shape
    (3, 1)
    """
    return np.swapaxes(x, axis1, axis2)


@swapaxes.rule("x")
def _(g, axis1, axis2):
    return swapaxes(g, axis1, axis2)


@hinting
def flatten(x, start_axis=0):
    """The axes from `start_axis` on made one, by default all.

    Parameters
    ----------
    x : Tensor or array
    start_axis : int
        1 keeps the samples of a batch apart.

    Returns
    -------
    The same elements and dtype.

    Raises
    ------
    TypeError, ValueError
        Where `x` has no such axis.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.flatten(ns.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 1).shape
    (1, 4)
    """
    x = operand(x, "flatten")
    return reshape(x, flat_shape("flatten", x.shape, start_axis))


@op(
    formula=r"\text{axes of length 1 left out}",
    derivative=r"\text{put back}",
    samples=(Case(normal(2, 1, 3, 1)), Case(normal(2, 1, 3, 1), 1), Case(normal(1, 3, 1), (0, 2))),
)
def squeeze(x, axis=None):
    """Without the axes of length 1 (all of them, or those named).

    Parameters
    ----------
    x : Tensor or array
    axis : int, tuple of int or None
        Which; None: all of length 1.

    Returns
    -------
    The same elements and dtype.

    Raises
    ------
    ValueError
        Where an axis named is longer than 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.squeeze(ns.tensor([[[1.0, 2.0]]])).shape
    (2,)
    """
    return np.squeeze(x, axis)


@squeeze.rule("x")
def _(g, x_shape):
    return reshape(g, x_shape)


@op(
    formula=r"\text{axes of length 1 put in}",
    derivative=r"\text{taken out}",
    samples=(Case(normal(2, 3), 0), Case(normal(2, 3), (0, -1)), Case(normal(), 0)),
)
def expand_dims(x, axis):
    """With axes of length 1 at the places named (in the result's numbering).

    Parameters
    ----------
    x : Tensor or array
    axis : int or tuple of int
        Where, in the result's numbering.

    Returns
    -------
    The same elements and dtype.

    Raises
    ------
    ValueError
        Where there is no such place, or one is named twice.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.expand_dims(ns.tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """
    return np.expand_dims(x, tuple(axis) if isinstance(axis, list) else axis)


@expand_dims.rule("x")
def _(g, x_shape):
    return reshape(g, x_shape)


@op(
    formula=r"x \text{ repeated to a shape}",
    derivative=r"\text{the sum over what was repeated}",
    samples=(Case(normal(3, 1), (2, 3, 4)), Case(normal(), (3,)), Case(normal(3), (3,))),
)
def broadcast_to(x, shape):
    """The elements repeated, by NumPy's rules, to a shape: a read-only view of the same memory.

    Parameters
    ----------
    x : Tensor or array
    shape : tuple of int

    Returns
    -------
    That shape, in the dtype of `x`.

    Raises
    ------
    ValueError
        Where `x` does not broadcast to that shape.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.broadcast_to(ns.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    return np.broadcast_to(x, shape)


@broadcast_to.rule("x")
def _(g):
    return g  # the engine sums what was broadcast


@op(
    formula=r"\text{the sum over the axes along which } x \text{ was broadcast from a shape}",
    derivative=r"\text{broadcast back}",
    samples=(Case(normal(2, 3, 4), (3, 1)), Case(normal(3, 4), ()), Case(normal(3, 4), (3, 4))),
)
def sum_to(x, shape):
    """The sum over the axes along which something of `shape` was broadcast to `x`: broadcasting undone.

    Parameters
    ----------
    x : Tensor or array
    shape : tuple of int

    Returns
    -------
    That shape, in the dtype of `x`.

    Raises
    ------
    ValueError
        Where `shape` does not broadcast to that of `x`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.sum_to(ns.tensor([[1.0, 2.0], [3.0, 4.0]]), (2,))
    tensor([4., 6.])
    """
    extra = np.ndim(x) - len(shape)
    if extra < 0 or any(s not in (1, n) for s, n in zip(shape, x.shape[extra:], strict=True)):
        raise ValueError(f"sum_to: the shape {shape} does not broadcast to {x.shape}; pass one that does")
    axes = [*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1)]
    return in_float32(np.sum, x, axis=tuple(axes)).reshape(shape)


@sum_to.rule("x")
def _(g, x_shape):
    # g has kept every axis of the target shape, so it broadcasts as it stands
    return broadcast_to(g, x_shape)


def _check_join(name, arrays):
    if not arrays:
        raise ValueError(f"{name}: got no arrays; pass at least one")


@op(
    formula=r"\text{arrays one after another along an axis}",
    derivative=r"\text{each array's part of } g",
    samples=(
        Case(normal(2, 3), normal(2, 1), normal(2, 2), axis=1),
        Case(normal(3), normal(0), axis=0),
        Case(normal(2, 3), normal(4, 3), axis=-2),
    ),
    name="concatenate",
)
def join(*arrays, axis=0):
    """Arrays one after another along an axis; `concatenate` takes them as a sequence."""
    _check_join("concatenate", arrays)
    return np.concatenate(arrays, axis)


@join.rule("arrays")
def _(g, index, arrays_shape, axis):
    start = sum(s[axis] for s in arrays_shape[:index])
    place = [slice(None)] * len(arrays_shape[0])
    place[axis] = slice(start, start + arrays_shape[index][axis])
    return g[tuple(place)]


@hinting
def concatenate(arrays, axis=0):
    """Arrays one after another along an axis they have.

    Parameters
    ----------
    arrays : sequence of Tensor or array
        Equal in shape but for that axis.
    axis : int
        Which one.

    Returns
    -------
    The dtype they promote to; as long along the axis as all together.

    Raises
    ------
    ValueError
        Where there are none, or their other lengths differ.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.concatenate([ns.tensor([1.0]), ns.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    return join(*arrays, axis=axis)


@hinting
def stack(arrays, axis=0):
    """Arrays of one shape along a new axis.

    Parameters
    ----------
    arrays : sequence of Tensor or array
        All of one shape.
    axis : int
        The new axis's place in the result.

    Returns
    -------
    The dtype they promote to, with an axis more than they have.

    Raises
    ------
    ValueError
        Where there are none, or their shapes differ.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.stack([ns.tensor([1.0, 2.0]), ns.tensor([3.0, 4.0])])
    tensor([[1., 2.],
            [3., 4.]])
    """
    arrays = tuple(map(operand, arrays))
    _check_join("stack", arrays)
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        raise ValueError(f"stack: the arrays have different shapes {sorted(shapes)}; give them one shape first")
    return join(*(expand_dims(a, axis) for a in arrays), axis=axis)


@hinting
def split(x, sections, axis=0):
    """Parts of `x` along an axis, as a list.

    Parameters
    ----------
    x : Tensor or array
    sections : int or sequence of int
        How many equal parts, or the indices at which to cut.
    axis : int
        Along which axis.

    Returns
    -------
    A list of Tensors or arrays in the dtype of `x`.

    Raises
    ------
    ValueError
        Where equal parts do not come out even.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.split(ns.tensor([1.0, 2.0, 3.0, 4.0]), 2)
    [tensor([1., 2.]), tensor([3., 4.])]
    """
    x = operand(x)
    (axis,) = normalise_axis(axis, len(x.shape), "split")
    n = x.shape[axis]
    if hasattr(sections, "__index__"):
        count = sections.__index__()
        if count < 1 or n % count:
            raise ValueError(
                f"split: {n} elements along axis {axis} do not make {count} equal parts; pass the indices to cut at"
            )
        cuts = list(range(0, n + 1, n // count)) if n else [0] * (count + 1)
    else:
        cuts = [0, *sections, n]
    before = (slice(None),) * axis
    return [x[(*before, slice(a, b))] for a, b in itertools.pairwise(cuts)]


#: How `pad` continues an array beyond its edge: by a value, by the elements mirrored (without and with the outermost one
#: repeated), by the outermost element, by the elements from the other end.
PAD_MODES = ("constant", "reflect", "symmetric", "edge", "wrap")


@op(
    formula=r"x \text{ with } \text{value} \text{, or its own elements again, set around it}",
    derivative=r"g \text{ without the edge, or with the edge added into its elements' places}",
    samples=(
        Case(normal(2, 3), ((1, 2), (0, 1))),
        Case(normal(3), ((2, 0),), 1.5),
        Case(normal(2, 0), ((1, 1), (0, 0))),
        Case(normal(2, 3), ((1, 0), (2, 2)), 0, "reflect"),
        Case(normal(3), (2, 3), 0, "symmetric"),
        Case(normal(2, 3), 1, 0, "edge"),
        Case(normal(3), (5, 1), 0, "wrap"),
    ),
)
def pad(x, widths, value=0, mode="constant"):
    """With something set around: ``widths`` is a pair (before, after) for each axis, or one pair or number for all.

    Parameters
    ----------
    x : Tensor or array
    widths : pairs of int
        How many elements to put before and after, along each axis.
    value : float
        What the mode "constant" puts there.
    mode : "constant", "reflect", "symmetric", "edge" or "wrap"
        The other modes continue `x`: mirrored at its outermost elements, mirrored behind them, by its outermost
        elements, or from its other end.

    Returns
    -------
    The same dtype; each axis longer by its two widths.

    Raises
    ------
    ValueError
        Where the widths do not fit the axes, one is negative, the mode is unknown, or there are no elements to continue.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.pad(ns.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    >>> ns.pad(ns.tensor([1.0, 2.0, 3.0]), 2, mode="reflect")
    tensor([3., 2., 1., 2., 3., 2., 1.])
    """
    if mode not in PAD_MODES:
        raise ValueError(f"pad: mode {mode!r} is unknown; pass one of {', '.join(map(repr, PAD_MODES))}")
    pairs = _pad_widths(widths, np.ndim(x))
    if mode == "constant":
        return np.pad(x, pairs, constant_values=value)
    return x[_pad_sources(np.shape(x), pairs, mode)]


@pad.rule("x")
def _(g, x_shape, widths, mode):
    pairs = _pad_widths(widths, len(x_shape))
    if mode == "constant":
        return g[tuple(slice(before, before + n) for (before, _), n in zip(pairs, x_shape, strict=True))]
    return OPS["put_add"](g, x_shape, _pad_sources(x_shape, pairs, mode))


def _pad_sources(shape, pairs, mode):
    """The index that picks each element of the padded array from an array of `shape`."""
    return np.ix_(*(np.pad(np.arange(n), pair, mode=mode) for n, pair in zip(shape, pairs, strict=True)))


def _pad_widths(widths, ndim):
    try:
        pairs = np.broadcast_to(np.asarray(widths), (ndim, 2))
    except ValueError:
        pairs = None
    if pairs is None or pairs.dtype.kind not in "iu" or (pairs < 0).any():
        raise ValueError(
            f"pad: widths {widths!r} do not fit {ndim} axes; pass a pair of whole numbers, zero or more, for each axis"
        )
    return pairs.tolist()


@op(
    formula=r"\text{the order along axes reversed}",
    derivative=r"\text{reversed back}",
    samples=(Case(normal(2, 3)), Case(normal(2, 3), 1), Case(normal(2, 3, 4), (0, 2))),
)
def flip(x, axis=None):
    """The order along the axes named (all by default) reversed.

    Parameters
    ----------
    x : Tensor or array
    axis : int, tuple of int or None
        Along which axes; None: along all.

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
    >>> ns.flip(ns.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    return np.flip(x, tuple(axis) if isinstance(axis, list) else axis)


@flip.rule("x")
def _(g, axis):
    return flip(g, axis)


@op(formula="x", derivative="1", samples=(Case(normal(3, 4), "cpu", "cpu"),))
def transfer(x, device, source):
    """A copy on another device; its gradient goes back to the device it came from. `Tensor.to` calls it.

    Parameters
    ----------
    x : Tensor or array
    device, source : str
        Where it is to live, and where it lives; see `ns.devices`.

    Returns
    -------
    The same values, shape and dtype.

    Raises
    ------
    ValueError
        Where there is no such device here.

    Examples
    --------
    >>> import nnscratch as ns
    >>> transfer(ns.tensor([1.0]), "cpu", "cpu")
    tensor([1.])
    """
    return np.copy(x) if device == source else backend.asarray(x, device=device)


@transfer.rule("x")
def _(g, device, source):
    return transfer(g, source, device)


def tile(x, repeats):
    """`x` again and again along each axis.

    Parameters
    ----------
    x : Tensor or array
    repeats : int or tuple of int
        How often along each axis, counted from the last; `x` gets further axes in front where there are more numbers.

    Returns
    -------
    The same dtype; each axis as many times longer.

    Raises
    ------
    TypeError, ValueError
        Where a number of repeats is none, or negative.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.tile(ns.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2., 1., 2.],
            [1., 2., 1., 2.]])
    """
    x = operand(x)
    repeats = repeats if isinstance(repeats, tuple | list) else (repeats,)
    repeats = tuple(count("tile", "repeats", r, 0) for r in repeats)
    ndim = len(x.shape) if len(x.shape) > len(repeats) else len(repeats)
    shape = (1,) * (ndim - len(x.shape)) + tuple(x.shape)
    repeats = (1,) * (ndim - len(repeats)) + repeats
    # each axis beside a new one of length 1, which is repeated and then joined to it
    apart = reshape(x, tuple(itertools.chain(*((1, n) for n in shape))))
    again = broadcast_to(apart, tuple(itertools.chain(*zip(repeats, shape, strict=True))))
    return reshape(again, tuple(r * n for r, n in zip(repeats, shape, strict=True)))


def _triangle(name, function, symbol, side):
    def forward(x, k=0):
        if np.ndim(x) < 2:
            raise ValueError(f"{name}: expected at least two axes, got shape {np.shape(x)}; add the missing ones")
        return function(x, k)

    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = f"""The elements on and {side} the diagonal of the last two axes, 0 elsewhere; `k` moves it to the right.

    Parameters
    ----------
    x : (..., rows, columns)
    k : int
        Which diagonal: 0 the main one, 1 the next to its right, -1 the next to its left.

    Returns
    -------
    The same shape and dtype.

    Raises
    ------
    ValueError
        Where there are fewer than two axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.{name}(ns.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor({np.array2string(function(np.array([[1.0, 2.0], [3.0, 4.0]])), separator=", ", prefix=" " * 11)})
    """
    samples = (Case(normal(3, 4)), Case(normal(2, 3, 3), 1), Case(normal(4, 3), -1), Case(normal(0, 2)))
    triangle = op(formula=rf"[j - i {symbol} k]\, x_{{ij}}", derivative=rf"[j - i {symbol} k]", samples=samples)(
        forward
    )

    @triangle.rule("x")
    def _(g, k):
        return triangle(g, k)

    return triangle


tril = _triangle("tril", np.tril, r"\le", "below")
triu = _triangle("triu", np.triu, r"\ge", "above")
