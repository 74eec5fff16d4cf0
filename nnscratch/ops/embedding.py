"""Rows of a table looked up by number, one for each or joined in bags; the gradient of a row is the sum of what came of it."""

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import describe, no_grad, op
from nnscratch.ops.index import index_array, put_add, whole_indices
from nnscratch.ops.operands import raw
from nnscratch.ops.shape import on_device_of, operand
from nnscratch.sample_inputs import Case, integers, normal

MODES = ("sum", "mean", "max")


@op(
    formula=r"y_j = W_{i_j}",
    derivative=r"g \text{ added into those rows, but not into that of padding}",
    constant=("indices", "padding_idx"),
    name="embedding",
    samples=(
        Case(normal(4, 3), integers(2, 3, high=4)),
        Case(normal(4, 3), integers(5, high=3), 3),
        Case(normal(2, 5), 1),
    ),
)
def _embedding(weight, indices, padding_idx=None):
    """`embedding` with what its names mean settled."""
    indices = whole_indices("embedding", indices, weight.shape[0], least=0)
    return np.take(weight, on_device_of(weight, indices), 0)


@_embedding.rule("weight")
def _(g, weight_shape, indices, padding_idx):
    indices = index_array(indices)
    if padding_idx is not None:
        counted = indices != padding_idx
        g, indices = g[counted], indices[counted]
    return put_add(g, weight_shape, indices)


def embedding(indices, weight, padding_idx=None, max_norm=None, norm_type=2.0):
    """The rows of `weight` at `indices`: a vector for each.

    Parameters
    ----------
    indices : (...) of whole numbers
    weight : (num_embeddings, embedding_dim)
    padding_idx : int, optional
        A row whose gradient is 0, whatever is looked up there; a negative one counts from the end. Where it is looked up that is
        not the derivative, as `ns.gradcheck` will say.
    max_norm : float, optional
        Rows that are looked up and whose norm is larger are first scaled to this norm, in `weight` itself and without a gradient.
    norm_type : float
        The p of that norm.

    Returns
    -------
    (..., embedding_dim)

    Raises
    ------
    IndexError
        Where an index is out of range.
    TypeError
        Where the indices are not whole numbers.
    ValueError
        Where `weight` is no matrix, or a setting is out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.embedding([1, 1], ns.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [3., 4.]])
    """
    weight, padding_idx = _table("embedding", weight, padding_idx)
    if max_norm is not None:
        _scale_rows("embedding", weight, indices, max_norm, norm_type)
    return _embedding(weight, raw(indices), padding_idx)


def embedding_bag(
    indices,
    weight,
    offsets=None,
    *,
    mode="mean",
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
):
    r"""The rows of `weight` at each bag of indices joined into one: their sum, mean or largest values.

    .. math:: y_b = \sum_{j \in b} s_j W_{i_j}, \quad \frac{1}{|b|} \sum_{j \in b} W_{i_j} \quad\text{or}\quad \max_{j \in b} W_{i_j}

    An empty bag gives zeros. Of equal values the first is the largest, and has the gradient.

    Parameters
    ----------
    indices : (bags, n) of whole numbers, or (n,) with `offsets`
    weight : (num_embeddings, embedding_dim)
    offsets : (bags,) of whole numbers, optional
        Where in `indices` each bag begins; the first is 0.
    mode : str
        "sum", "mean" or "max".
    per_sample_weights : of the shape of `indices`, optional
        Factors s, in the mode "sum" only.
    include_last_offset : bool
        Whether `offsets` has one more, which is where the last bag ends.
    padding_idx : int, optional
        An index that is left out of its bag, so that its row has no gradient.
    max_norm, norm_type : float
        As in `embedding`.

    Returns
    -------
    (bags, embedding_dim)

    Raises
    ------
    IndexError
        Where an index is out of range.
    TypeError
        Where indices or offsets are not whole numbers.
    ValueError
        Where shapes or settings do not go together.

    Examples
    --------
    >>> import nnscratch as ns
    >>> weight = ns.tensor([[1.0, 2.0], [3.0, 0.0]])
    >>> ns.functional.embedding_bag([[0, 1], [1, 1]], weight)
    tensor([[2., 1.],
            [3., 0.]])
    >>> ns.functional.embedding_bag([0, 1, 1], weight, offsets=[0, 1], mode="sum")
    tensor([[1., 2.],
            [6., 0.]])
    """
    name = "embedding_bag"
    if mode not in MODES:
        raise ValueError(f"{name}: mode is {mode!r}, expected 'sum', 'mean' or 'max'; pass one of them")
    weight, padding_idx = _table(name, weight, padding_idx)
    indices = whole_indices(name, raw(indices), weight.shape[0], least=0)
    if max_norm is not None:
        _scale_rows(name, weight, indices, max_norm, norm_type)
    bags, count = _bags(name, indices, offsets, include_last_offset)
    shape, indices = indices.shape, indices.reshape(-1)
    if per_sample_weights is not None:
        if mode != "sum":
            raise ValueError(f"{name}: per_sample_weights go with mode 'sum', got {mode!r}; leave them out")
        per_sample_weights = operand(per_sample_weights)
        if per_sample_weights.shape != shape:
            raise ValueError(
                f"{name}: per_sample_weights are {describe(per_sample_weights)}, expected the shape {shape} of the indices; "
                f"pass one for each"
            )
        per_sample_weights = per_sample_weights.reshape(-1)
    if padding_idx is not None:
        counted = backend.to_numpy(indices) != padding_idx
        indices, bags = indices[counted], bags[counted]
        per_sample_weights = None if per_sample_weights is None else per_sample_weights[counted]
    rows = _embedding(weight, indices)
    if mode == "max":
        return _largest(rows, bags, count)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    total = put_add(rows, (count, weight.shape[1]), on_device_of(raw(weight), bags))
    if mode == "sum":
        return total
    sizes = np.maximum(np.bincount(bags, minlength=count), 1).astype(weight.dtype)
    return total / on_device_of(raw(weight), sizes[:, None])


def _table(name, weight, padding_idx):
    """Weight and the row of padding, checked."""
    weight = operand(weight)
    if weight.ndim != 2:
        raise ValueError(
            f"{name}: weight must have shape (num_embeddings, embedding_dim), got {describe(weight)}; reshape it"
        )
    return weight, None if padding_idx is None else row_of(name, padding_idx, weight.shape[0])


def row_of(name, padding_idx, entries):
    """The row that `padding_idx` means, from 0, of so many.

    Examples
    --------
    >>> row_of("embedding", -1, 5)
    4
    """
    padding_idx = arguments.count(name, "padding_idx", padding_idx, -entries)
    if padding_idx >= entries:
        raise ValueError(f"{name}: padding_idx is {padding_idx} with {entries} entries; pass one of their numbers")
    return padding_idx % entries


def _scale_rows(name, weight, indices, max_norm, norm_type):
    """Scale rows of the weight in place to a norm of at most `max_norm`, with PyTorch's 1e-7 beside the norm."""
    max_norm = arguments.number(name, "max_norm", max_norm, 0)
    norm_type = arguments.number(name, "norm_type", norm_type, 0, np.inf, "()")
    indices = whole_indices(name, raw(indices), weight.shape[0], least=0)
    rows = on_device_of(raw(weight), np.unique(backend.to_numpy(indices)))
    values = raw(weight)[rows]
    norms = (abs(values) ** norm_type).sum(1) ** (1 / norm_type)
    factors = np.where(norms > max_norm, max_norm / (norms + 1e-7), 1).astype(values.dtype)
    with no_grad():
        weight[rows] = values * factors[:, None]


def _bags(name, indices, offsets, include_last_offset):
    """The bag of each index, in the order of reading, and the number of bags; both on the host."""
    if indices.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{name}: indices {indices.shape} have a bag in each row; leave out offsets")
        return np.repeat(np.arange(indices.shape[0]), indices.shape[1]), indices.shape[0]
    if indices.ndim != 1 or offsets is None:
        raise ValueError(
            f"{name}: indices have shape {indices.shape}, expected (bags, n), or (n,) and offsets; pass one of these"
        )
    offsets = backend.to_numpy(whole_indices(name, raw(offsets), indices.size + 1, least=0))
    ends = (
        offsets[1:]
        if arguments.flag(name, "include_last_offset", include_last_offset)
        else [*offsets[1:], indices.size]
    )
    if offsets.ndim != 1 or not len(offsets) or offsets[0] or np.any(np.diff(offsets) < 0):
        raise ValueError(
            f"{name}: offsets are {offsets.tolist()}, expected where each bag begins, from 0 on; sort them"
        )
    if include_last_offset and offsets[-1] != indices.size:
        raise ValueError(
            f"{name}: the last offset is {offsets[-1]}, expected the number of indices, {indices.size}; append it"
        )
    sizes = np.asarray(ends, np.int64) - offsets[: len(ends)]
    return np.repeat(np.arange(len(ends)), sizes), len(ends)


def _largest(rows, bags, count):
    """The largest of each bag's rows, element by element, and zeros for a bag without."""
    values = backend.to_numpy(raw(rows))
    full, starts = np.unique(bags, return_index=True)
    shape = (count, rows.shape[1])
    if not full.size:
        return put_add(rows, shape, on_device_of(raw(rows), bags))
    largest = np.maximum.reduceat(values, starts)[np.searchsorted(full, bags)]
    places = np.arange(len(bags))[:, None]
    first = np.minimum.reduceat(np.where((values == largest) | np.isnan(values), places, len(bags)), starts)
    here = raw(rows)
    chosen = rows[on_device_of(here, first), on_device_of(here, np.arange(shape[1]))]
    return chosen if full.size == count else put_add(chosen, shape, on_device_of(here, full))
