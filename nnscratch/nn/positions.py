"""Layers that tell attention where each token stands."""

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import describe
from nnscratch.nn import init as initialisers
from nnscratch.nn.module import Module, Parameter
from nnscratch.ops.operands import floating_point, raw
from nnscratch.ops.positions import waves
from nnscratch.ops.shape import constant_on_device_of, reshape


class _Added(Module):
    """What layers have in common that add a vector for each position."""

    def forward(self, x, offset=0):
        """The input's shape, (L, N, E), or (N, L, E) with `batch_first`; without the axis of the batch, too

        Parameters
        ----------
        x : Tensor or array
        offset : int
            The position of the first token.

        Raises
        ------
        ValueError
            Where `x` has another width, or positions that there are not.
        """
        layer = type(self).__name__
        x = floating_point(layer, "x", x)
        offset = arguments.count(layer, "offset", offset, 0)
        if x.ndim not in (2, 3) or x.shape[-1] != self.embed_dim:
            raise ValueError(
                f"{layer}: x is {describe(x)}, expected {'(N, L' if self.batch_first else '(L, N'}, {self.embed_dim}) or (L, "
                f"{self.embed_dim}); check embed_dim"
            )
        length = x.shape[1 if self.batch_first and x.ndim == 3 else 0]
        vectors = self._vectors(offset, offset + length, x)
        between = (length, 1, self.embed_dim) if x.ndim == 3 and not self.batch_first else (length, self.embed_dim)
        return x + reshape(vectors, between)


class SinusoidalPositions(_Added):
    r"""Adds waves of the position to each token (Vaswani et al., 2017).

    .. math:: y_{p, 2i} = x_{p, 2i} + \sin\frac{p}{b^{2 i / E}}, \quad y_{p, 2i + 1} = x_{p, 2i + 1} + \cos\frac{p}{b^{2 i / E}}

    Parameters
    ----------
    embed_dim : int
        E, the width of a token.
    batch_first : bool
        Whether sequences are (N, L, E), and not (L, N, E).
    base : float
        b, above 0.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.SinusoidalPositions(2)(ns.tensor([[0.0, 0.0], [0.0, 0.0]])).numpy().round(4)
    array([[0.    , 1.    ],
           [0.8415, 0.5403]], dtype=float32)
    """

    def __init__(self, embed_dim, batch_first=False, base=10000.0):
        super().__init__()
        self.embed_dim = arguments.count("SinusoidalPositions", "embed_dim", embed_dim)
        self.batch_first = arguments.flag("SinusoidalPositions", "batch_first", batch_first)
        self.base = arguments.number("SinusoidalPositions", "base", base, 0, ends="(]")

    def _vectors(self, begin, end, x):
        return constant_on_device_of(raw(x), waves(begin, end, self.embed_dim, self.base, x.dtype))

    def extra_repr(self):
        return str(self.embed_dim)


class LearnedPositions(_Added):
    """Adds to each token a vector of its position, which training changes, as in BERT and GPT.

    Parameters
    ----------
    max_len : int
        How many positions there are.
    embed_dim : int
        E, the width of a token.
    batch_first : bool
        Whether sequences are (N, L, E), and not (L, N, E).
    init : str or callable
        See `nnscratch.nn.init`.
    dtype : str or dtype
        Of the weight (max_len, embed_dim).

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.LearnedPositions(10, 4)(ns.tensor([[0.0, 0.0, 0.0, 0.0]])).shape
    (1, 4)
    """

    def __init__(self, max_len, embed_dim, batch_first=False, init="standard_normal", dtype="float32"):
        super().__init__()
        layer = "LearnedPositions"
        self.max_len = arguments.count(layer, "max_len", max_len)
        self.embed_dim = arguments.count(layer, "embed_dim", embed_dim)
        self.batch_first = arguments.flag(layer, "batch_first", batch_first)
        shape = (self.max_len, self.embed_dim)
        self.weight = Parameter(initialisers.make(layer, "init", init, shape, shape, arguments.floating(layer, dtype)))

    def _vectors(self, begin, end, x):
        if end > self.max_len:
            raise ValueError(
                f"LearnedPositions: x {np.shape(x)} has positions {begin} to {end - 1}, there are {self.max_len}; cut the "
                f"sequence, or raise max_len"
            )
        return self.weight[begin:end]

    def extra_repr(self):
        return f"{self.max_len}, {self.embed_dim}"


class RotaryEmbedding(Module):
    r"""Turns queries and keys by their positions; `MultiheadAttention` takes one as `rotary` (Su et al., 2021).

    .. math:: \theta_{p i} = p\, b^{-2 i / E}

    Parameters
    ----------
    dim : int
        E, the width of a head, even.
    base : float
        b, above 0.
    interleaved : bool
        Pairs are neighbours, as in the paper; otherwise number i and number E / 2 + i are one. See `F.rotary`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.RotaryEmbedding(2)(ns.tensor([[1.0, 0.0], [1.0, 0.0]])).numpy().round(4)
    array([[1.    , 0.    ],
           [0.5403, 0.8415]], dtype=float32)
    """

    def __init__(self, dim, base=10000.0, interleaved=False):
        super().__init__()
        self.dim = arguments.count("RotaryEmbedding", "dim", dim, 2)
        if self.dim % 2:
            raise ValueError(
                f"RotaryEmbedding: dim is {dim}, expected an even number; heads of an odd width have no pairs"
            )
        self.base = arguments.number("RotaryEmbedding", "base", base, 0, ends="(]")
        self.interleaved = arguments.flag("RotaryEmbedding", "interleaved", interleaved)

    def forward(self, x, offset=0):
        """(..., L, dim) -> the same

        Parameters
        ----------
        x : Tensor or array
        offset : int
            The position of the first token.

        Raises
        ------
        ValueError
            Where `x` has another width.
        """
        if np.ndim(x) < 2 or np.shape(x)[-1] != self.dim:
            raise ValueError(f"RotaryEmbedding: x is {describe(x)}, expected (..., L, {self.dim}); check dim")
        return F.rotary(x, offset, self.base, self.interleaved)

    def extra_repr(self):
        return str(self.dim)
