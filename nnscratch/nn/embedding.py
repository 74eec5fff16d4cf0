"""Tables of vectors that are looked up by number: one for each number, or joined in bags."""

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.nn import init as initialisers
from nnscratch.nn.module import Module, Parameter
from nnscratch.ops.embedding import MODES, row_of


class Embedding(Module):
    """A table of vectors, looked up by number.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        How many vectors, and how long each is.
    padding_idx : int, optional
        A row that begins as zeros and stays as it is: its gradient is 0. A negative one counts from the end.
    max_norm : float, optional
        Rows that are looked up and whose norm is larger are scaled to this norm, for good.
    norm_type : float
        The p of that norm.
    init : str or callable
        See `nnscratch.nn.init`.
    dtype : str or dtype
        Of the weight (num_embeddings, embedding_dim).

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Embedding(1000, 16, padding_idx=0)([[1, 2, 0]]).shape
    (1, 3, 16)
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        init="standard_normal",
        dtype="float32",
    ):
        super().__init__()
        layer = type(self).__name__
        self.num_embeddings = arguments.count(layer, "num_embeddings", num_embeddings)
        self.embedding_dim = arguments.count(layer, "embedding_dim", embedding_dim)
        self._set(padding_idx, max_norm, norm_type)
        shape = (self.num_embeddings, self.embedding_dim)
        weight = initialisers.make(layer, "init", init, shape, shape, arguments.floating(layer, dtype))
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        self.weight = Parameter(weight)

    def _set(self, padding_idx, max_norm, norm_type):
        layer = type(self).__name__
        self.padding_idx = None if padding_idx is None else row_of(layer, padding_idx, self.num_embeddings)
        self.max_norm = None if max_norm is None else arguments.number(layer, "max_norm", max_norm, 0)
        self.norm_type = arguments.number(layer, "norm_type", norm_type, 0, np.inf, "()")

    @classmethod
    def from_pretrained(cls, vectors, freeze=True, **settings):
        """A layer with given vectors, such as those that `WordVectors.matrix` returns.

        Parameters
        ----------
        vectors : array_like (num_embeddings, embedding_dim)
            Copied; a row of padding stays as it is given.
        freeze : bool
            Whether training leaves them as they are.
        **settings
            The layer's others, such as `padding_idx`.

        Raises
        ------
        TypeError, ValueError
            Where the vectors are no matrix of floating-point numbers, or a setting is not such.

        Examples
        --------
        >>> import nnscratch as ns
        >>> layer = ns.nn.Embedding.from_pretrained([[0.0, 0.0], [1.0, 2.0]], padding_idx=0)
        >>> layer([1, 0]), layer.weight.requires_grad
        (tensor([[1., 2.],
                [0., 0.]]), False)
        """
        vectors = arguments.as_data(f"{cls.__name__}: vectors", vectors)
        if vectors.ndim != 2 or not vectors.size or vectors.dtype.kind != "f":
            raise ValueError(
                f"{cls.__name__}: vectors are of shape {vectors.shape} and dtype {vectors.dtype}, expected a matrix of "
                f"floating-point numbers; pass a row for each number"
            )
        layer = cls(*vectors.shape, init="zeros", dtype=vectors.dtype, **settings)
        layer.weight = Parameter(vectors, requires_grad=not arguments.flag(cls.__name__, "freeze", freeze))
        return layer

    def forward(self, indices):
        """(...) of whole numbers -> (..., embedding_dim)"""
        return F.embedding(indices, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    def extra_repr(self):
        shown = {"padding_idx": self.padding_idx, "max_norm": self.max_norm}
        shown |= {"norm_type": None if self.norm_type == 2 else self.norm_type}
        given = [f"{name}={value}" for name, value in shown.items() if value is not None]
        return ", ".join([f"{self.num_embeddings}, {self.embedding_dim}", *given])


class EmbeddingBag(Embedding):
    """A table of vectors, looked up in bags of numbers: the sum, mean or largest values of each bag's vectors.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
    max_norm : float, optional
    norm_type : float
    mode : str
        "sum", "mean" or "max".
    include_last_offset : bool
        Whether offsets have one more, which is where the last bag ends.
    padding_idx : int, optional
        A number that is left out of its bag.
    init, dtype
        These and the others as in `Embedding`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> bag = ns.nn.EmbeddingBag.from_pretrained([[0.0, 0.0], [1.0, 2.0], [3.0, 0.0]], padding_idx=0)
    >>> bag([[1, 2, 0]])
    tensor([[2., 1.]])
    >>> bag([1, 2, 2], offsets=[0, 1])
    tensor([[1., 2.],
            [3., 0.]])
    """

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        max_norm=None,
        norm_type=2.0,
        mode="mean",
        include_last_offset=False,
        padding_idx=None,
        init="standard_normal",
        dtype="float32",
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, init, dtype)
        if mode not in MODES:
            raise ValueError(f"EmbeddingBag: mode is {mode!r}, expected 'sum', 'mean' or 'max'; pass one of them")
        self.mode = mode
        self.include_last_offset = arguments.flag("EmbeddingBag", "include_last_offset", include_last_offset)

    def forward(self, indices, offsets=None, per_sample_weights=None):
        """(bags, n) of whole numbers, or (n,) with offsets (bags,) -> (bags, embedding_dim)"""
        return F.embedding_bag(
            indices,
            self.weight,
            offsets,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
            max_norm=self.max_norm,
            norm_type=self.norm_type,
        )

    def extra_repr(self):
        return f"{super().extra_repr()}, mode={self.mode!r}"
