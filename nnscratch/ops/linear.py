"""Matrix products: matmul, einsum, and the neuron's z = W·x + b."""

import math

import numpy as np

from nnscratch.autograd import describe, op
from nnscratch.kernels import subscripts as letters
from nnscratch.ops.elementwise import multiply
from nnscratch.ops.shape import broadcast_to, constant_on_device_of, expand_dims, normalise_axis, reshape, swapaxes
from nnscratch.sample_inputs import Case, normal


@op(
    formula=r"Y = A B",
    derivative=r"G B^\top, \quad A^\top G",
    kernel="matmul.matmul",
    samples=(
        Case(normal(3, 4), normal(4, 2)),
        Case(normal(2, 3, 4), normal(4, 2)),
        Case(normal(5, 1, 3, 4), normal(2, 4, 2)),
        Case(normal(4), normal(4, 2)),
        Case(normal(3, 4), normal(4)),
        Case(normal(4), normal(4)),
        Case(normal(2, 3, 4), normal(4)),
        Case(normal(4), normal(2, 4, 3)),
        Case(normal(0, 4), normal(4, 2)),
    ),
)
def matmul(a, b):
    """The matrix product over the last two axes, with broadcasting over the others; vectors as in NumPy.

    Parameters
    ----------
    a : (..., n, k) or (k,)
        Tensor or array; a vector stands for a row.
    b : (..., k, m) or (k,)
        Tensor or array; a vector stands for a column.

    Returns
    -------
    (..., n, m), without the axis that a vector has not; in the dtype they promote to.

    Raises
    ------
    ValueError
        Where the inner lengths differ, or an operand is a single number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.tensor([[1.0, 2.0]]) @ ns.tensor([[3.0], [4.0]])
    tensor([[11.]])
    """
    left, right = getattr(a, "shape", ()), getattr(b, "shape", ())
    if not left or not right or left[-1] != right[-2:][0]:
        raise _unmatched(a, b, left, right)
    return matmul.kernel(a, b)


def _unmatched(a, b, left, right):
    """What is wrong with the shapes of two arrays that are to be multiplied."""
    if not left or not right:
        return ValueError(
            f"matmul: needs at least one axis each, got a: {describe(a)}, b: {describe(b)}; use * for numbers"
        )
    return ValueError(
        f"matmul: a has {left[-1]} columns, b has {right[-2:][0]} rows (a: {describe(a)}, b: {describe(b)}); "
        f"transpose one or check the sizes"
    )


@matmul.rule("a")
def _(g, b, a_shape):
    if len(a_shape) == 1:
        # (n) @ (..., n, m): the row that a stands for
        if len(b.shape) == 1:
            return g * b
        return matmul(b, expand_dims(g, -1))[..., 0]
    if len(b.shape) == 1:
        return multiply(expand_dims(g, -1), b)
    return matmul(g, swapaxes(b, -1, -2))


@matmul.rule("b")
def _(g, a, b_shape):
    if len(b_shape) == 1:
        if len(a.shape) == 1:
            return g * a
        return matmul(swapaxes(a, -1, -2), expand_dims(g, -1))[..., 0]
    if len(a.shape) == 1:
        return multiply(expand_dims(a, -1), expand_dims(g, -2))
    return matmul(swapaxes(a, -1, -2), g)


@op(
    formula=r"y = x W^\top + b",
    derivative=r"G W, \quad G^\top x, \quad \textstyle\sum_n G_n",
    document="F1: 001 §1, §2; 002 §4.1–4.2; 004 §2.2.3",
    kernel="matmul.linear",
    samples=(
        Case(normal(5, 4), normal(3, 4), normal(3)),
        Case(normal(5, 4), normal(3, 4)),
        Case(normal(4), normal(3, 4), normal(3)),
        Case(normal(2, 5, 4), normal(3, 4), normal(3)),
        Case(normal(0, 4), normal(3, 4), normal(3)),
    ),
)
def linear(x, weight, bias=None):
    """A layer of neurons before its activation: x Wᵀ + b, for each row of `x`.

    Parameters
    ----------
    x : (..., in)
    weight : (out, in)
    bias : (out,), optional

    Returns
    -------
    (..., out), in the inputs' dtype.

    Raises
    ------
    ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.linear(ns.tensor([[1.0, 2.0]]), ns.tensor([[3.0, 4.0]]), ns.tensor([0.5]))
    tensor([[11.5]])
    """
    shape = getattr(weight, "shape", ())
    if getattr(x, "shape", ())[-1:] != shape[1:] or len(shape) != 2 or (bias is not None and bias.shape != shape[:1]):
        raise _misfit(x, weight, bias)
    return linear.kernel(x, weight, bias)


def _misfit(x, weight, bias):
    """What is wrong with the shapes of a layer's arrays."""
    features, shape = np.shape(x), np.shape(weight)
    if len(shape) != 2:
        return ValueError(f"linear: weight must have shape (out, in), got {describe(weight)}; reshape it")
    if features[-1:] != shape[1:]:
        found = f"{features[-1]} features" if features else "no axes"
        return ValueError(
            f"linear: x has {found}, weight expects {shape[1]} "
            f"(x: {describe(x)}, weight: {describe(weight)}); check in_features"
        )
    return ValueError(
        f"linear: bias has shape {np.shape(bias)}, weight {shape} expects {shape[:1]}; check out_features"
    )


def in_rows(x):
    """`x` as a matrix of all its rows, however many axes they have."""
    return x if len(x.shape) == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


@linear.rule("x")
def _(g, weight):
    return matmul(g, weight)


@linear.rule("weight")
def _(g, x):
    return matmul(g.T, x) if len(x.shape) == 2 else matmul(in_rows(g).T, in_rows(x))


@linear.rule("bias")
def _(g):
    return channel_sums(g, len(g.shape) - 1)


@op(
    formula=r"y_c = \sum_n x_{n c}",
    derivative=r"g_c",
    kernel="matmul.channel_sums",
    samples=(
        Case(normal(5, 3), 1),
        Case(normal(3), 0),
        Case(normal(2, 4, 3), -1),
        Case(normal(2, 3, 4, 2), 1),
        Case(normal(0, 3), 1),
    ),
)
def channel_sums(x, axis):
    """The sum over all axes but one: the gradient by a bias, which each sample adds to.

    Parameters
    ----------
    x : Tensor or array
        Floating point.
    axis : int
        The axis that stays.

    Returns
    -------
    (x.shape[axis],), in x's dtype.

    Raises
    ------
    ValueError
        Where there is no such axis.
    """
    if type(axis) is not int or not 0 <= axis < len(getattr(x, "shape", ())):
        (axis,) = normalise_axis(axis, np.ndim(x), "channel_sums")
    return channel_sums.kernel(x, axis)


@channel_sums.rule("x")
def _(g, x_shape, axis):
    lengths = [1] * len(x_shape)
    lengths[axis] = x_shape[axis]
    return broadcast_to(reshape(g, tuple(lengths)), x_shape)


@op(
    formula=r"y_{\text{out}} = \sum \prod_k (x_k)_{\text{in}_k}",
    derivative=r"\text{the same sum with } g \text{ in the input's place}",
    kernel="matmul.einsum",
    samples=(
        Case("ij,jk->ik", normal(2, 3), normal(3, 4)),
        Case("bij,bjk->bik", normal(2, 2, 3), normal(2, 3, 2)),
        Case("i,j", normal(2), normal(3)),
        Case("ij->ji", normal(2, 3)),
        Case("ij->", normal(2, 3)),
        Case("ii->i", normal(3, 3)),
        Case("ii", normal(3, 3)),
        Case("...ij,...jk->...ik", normal(4, 2, 3), normal(3, 2)),
        Case("ij,jk,kl->il", normal(2, 3), normal(3, 2), normal(2, 4)),
        Case("iij,j->i", normal(2, 2, 3), normal(3)),
    ),
)
def einsum(subscripts, *operands):
    """Einstein's sum, in NumPy's notation.

    Parameters
    ----------
    subscripts : str
        A letter for each axis of each operand, ``->``, and the letters to keep; ``...`` for any further axes.
    *operands : Tensor or array

    Returns
    -------
    The axes that the subscripts keep, in the dtype the operands promote to.

    Raises
    ------
    TypeError
        Where the subscripts are no string.
    ValueError
        Where the subscripts and the operands do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.einsum("ij,j->i", ns.tensor([[1.0, 2.0], [3.0, 4.0]]), ns.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            f"einsum: the subscripts come first, as a string such as 'ij,jk->ik', got {describe(subscripts)}"
        )
    if subscripts.split("->")[0].count(",") + 1 != len(operands):
        raise ValueError(
            f"einsum: {subscripts!r} names {subscripts.split('->')[0].count(',') + 1} operands, got {len(operands)}; "
            f"write one group of letters for each"
        )
    out = einsum.kernel(operands[0], subscripts, *operands[1:])
    if any(0 in np.shape(o) for o in operands):  # where NumPy does not compare lengths
        _sizes(letters.spelt_out(subscripts, list(map(np.ndim, operands)))[0], operands)
    return out


def _sizes(terms, operands):
    """The length that each letter stands for: any operand's, but 1 where another has more (or none)."""
    sizes = {}
    for term, o in zip(terms, operands, strict=True):
        for letter, n in zip(term, np.shape(o), strict=True):
            if n != 1 and sizes.get(letter, 1) not in (1, n):
                raise ValueError(
                    f"einsum: {letter!r} stands for axes of {sizes[letter]} and of {n}; give them one length"
                )
            if n != 1 or letter not in sizes:
                sizes[letter] = n
    return sizes


@einsum.rule("operands")
def _(g, index, operands, subscripts):
    terms, result, spare = letters.spelt_out(subscripts, [len(o.shape) for o in operands])
    sizes = _sizes(terms, operands)
    given = [result, *(t for i, t in enumerate(terms) if i != index)]
    arrays = [g, *(o for i, o in enumerate(operands) if i != index)]
    target = ""
    for letter in terms[index]:
        if letter in target:  # a diagonal: the gradient lies on it, and 0 elsewhere
            fresh = spare.pop()
            given.append(letter + fresh)
            arrays.append(constant_on_device_of(g, np.eye(sizes[letter], dtype=g.dtype)))
            letter = fresh
        target += letter
    known = "".join(given)
    # letters that only this operand has were summed out alone: the gradient is the same all along them
    present = "".join(c for c in target if c in known)
    d = einsum(",".join(given) + "->" + present, *arrays)
    lengths = iter(d.shape)
    spread = reshape(d, tuple(next(lengths) if c in known else 1 for c in target))
    return broadcast_to(spread, tuple(sizes[c] for c in terms[index]))
