"""Fewer bits: products computed from operands of half as many, beside weights of all of them."""

import contextlib
import threading

import numpy as np

from nnscratch.arguments import shown
from nnscratch.autograd import OPS, Op, op
from nnscratch.backend import precision
from nnscratch.kernels.matmul.definition import rounded as round_to
from nnscratch.tensor import Tensor

PRECISIONS = ("bfloat16", "float16")

#: For each operation what becomes of it within `autocast`, and which operations PyTorch treats so on CUDA devices
#: (https://docs.pytorch.org/docs/stable/amp.html). "lower": operands and results are rounded, sums are float32. "float32": as without
#: it. What is in no row is computed in float32 here, since arrays stay float32; PyTorch takes the type that comes.
TABLE = (
    ("linear", "lower", "linear, addmm, addmv"),
    ("matmul", "lower", "matmul, mm, mv, bmm, chain_matmul, baddbmm, addbmm"),
    ("einsum", "lower", "einsum, by bmm"),
    ("conv2d", "lower", "conv1d, conv2d, conv3d"),
    ("conv2d_input", "lower", "conv_transpose1d, conv_transpose2d, conv_transpose3d"),
    ("attention", "lower", "scaled_dot_product_attention; its softmax in float32"),
    ("rnn_layer", "lower", "rnn_tanh, rnn_relu, RNNCell"),
    ("lstm_layer", "lower", "lstm, LSTMCell; the cells' states in float32 here"),
    ("gru_layer", "lower", "gru, GRUCell"),
    ("prelu", "float32", "(lower in PyTorch) prelu"),
    ("exp", "float32", "exp, expm1"),
    ("log", "float32", "log, log10, log2, log1p"),
    ("power", "float32", "pow, rsqrt, reciprocal"),
    ("sinh", "float32", "sinh, cosh, tan, acos, asin"),
    ("softmax", "float32", "softmax, log_softmax, softmin"),
    ("softplus", "float32", "softplus"),
    ("standardize", "float32", "layer_norm, group_norm; batch_norm as it comes, with float32 moments"),
    ("norm", "float32", "norm, renorm, dist, cdist, pdist, cosine_similarity"),
    ("sum", "float32", "sum, prod, cumsum, cumprod"),
    ("softmax_cross_entropy", "float32", "cross_entropy, nll_loss, kl_div"),
    ("mse_loss", "float32", "mse_loss, l1_loss, smooth_l1_loss, huber_loss, poisson_nll_loss"),
    (
        "probability_binary_cross_entropy",
        "float32",
        "binary_cross_entropy (refused there), binary_cross_entropy_with_logits",
    ),
)


class _Here(threading.local):
    name: str | None = None


_here = _Here()
_lock = threading.Lock()
_blocks = 0


@op(formula=r"\operatorname{round}(x)", derivative=r"1")
def rounded(x, precision):
    """float32 numbers rounded to the nearest of a precision, and float32 still; the gradient is rounded, too, and else as it comes."""
    with np.errstate(over="ignore"):
        return round_to(x, precision)


@rounded.rule("x")
def _(g, precision):
    return rounded(g, precision)


class Lowered(Op):
    """An operation that computes from rounded operands within `autocast`."""

    def __call__(self, *args, **kwargs):
        name = _here.name
        if name is None:
            return super().__call__(*args, **kwargs)
        if kwargs:
            args = self._place(args, kwargs)
        args = [_lower(a, name) if self._is_input(i) else a for i, a in enumerate(args)]
        found = super().__call__(*args, **kwargs)
        if not isinstance(found, tuple):
            return _lower(found, name)
        return tuple(
            y if output in self.constant_outputs else _lower(y, name)
            for output, y in zip(self.outputs, found, strict=True)
        )


def _lower(value, name):
    """An array or a Tensor of float32 rounded; all else as it is."""
    there = getattr(value, "dtype", None) == np.float32 and (isinstance(value, Tensor) or hasattr(value, "ndim"))
    return rounded(value, name) if there and value.ndim else value


@contextlib.contextmanager
def autocast(name):
    """Within this block this thread computes products of float32 from operands that are rounded to a precision of 16 bits.

    Operands and results of `matmul`, `linear`, convolutions, `einsum`, attention and recurrent layers are rounded to the nearest
    number of that precision, and so are the gradients that come to them, wherever the backward pass runs; sums are float32, as they
    are on tensor cores. All else is computed in float32, weights stay float32, and so do all arrays:
    ``nnscratch.casting.TABLE`` has the operations, beside PyTorch's. On a GPU these products take the tensor cores' ways; on the CPU the
    numbers are the same, and nothing is faster.

    Parameters
    ----------
    name : "bfloat16" or "float16"
        float16 has three more bits of digits and less range: what is beyond 65504 is infinite, and gradients below 6e-8 are 0. Losses
        are multiplied for it by `nnscratch.optim.LossScaler`.

    Raises
    ------
    ValueError
        Where there is no such precision.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = ns.tensor([[1.0, 2.0**-10]], requires_grad=True)
    >>> with ns.autocast("bfloat16"):
    ...     y = ns.functional.linear(ns.tensor([[1.0, 1.0]]), w)
    >>> y.item(), w.dtype
    (1.0, dtype('float32'))
    """
    if name not in PRECISIONS:
        raise ValueError(f"autocast: got {shown(name)}, expected 'bfloat16' or 'float16'; pass one of those")
    _enter(1)
    before = _here.name, precision.name
    _here.name = precision.name = name
    try:
        yield
    finally:
        _here.name, precision.name = before
        _enter(-1)


def _enter(count):
    """Count those within such blocks: while there are some, and no longer, calls of operations cost more."""
    global _blocks
    with _lock:
        _blocks += count
        for operation, way, _ in TABLE:
            if way == "lower":
                OPS[operation].__class__ = Lowered if _blocks else Op
