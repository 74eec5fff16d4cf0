"""The Transformer's blocks and stacks (Vaswani et al., 2017), with PyTorch's names and weights."""

import copy

import numpy as np

from nnscratch import arguments, backend
from nnscratch import functional as F
from nnscratch.autograd import no_grad
from nnscratch.nn import init as initialisers
from nnscratch.nn import one_token
from nnscratch.nn.attention import MultiheadAttention
from nnscratch.nn.containers import ModuleList
from nnscratch.nn.layers import Dropout, Linear
from nnscratch.nn.module import Module
from nnscratch.nn.normalisation import LayerNorm
from nnscratch.tensor import Tensor

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


def _activation(layer, activation):
    """A function, given itself or by name."""
    found = ACTIVATIONS.get(activation, activation) if isinstance(activation, str) else activation
    if not callable(found):
        raise ValueError(f"{layer}: activation is {activation!r}, expected 'relu', 'gelu' or a function; pass one")
    return found


class _Block(Module):
    """What the blocks of encoder and decoder have in common."""

    #: How many parts there are; the second of three is attention to the encoder's result.
    _parts = 2

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation="relu",
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        dtype="float32",
    ):
        super().__init__()
        layer = type(self).__name__
        d_model = arguments.count(layer, "d_model", d_model)
        nhead = arguments.count(layer, "nhead", nhead)
        hidden = arguments.count(layer, "dim_feedforward", dim_feedforward)
        if d_model % nhead:
            raise ValueError(f"{layer}: {nhead} heads do not divide d_model {d_model}; choose a divisor")
        dropout = arguments.number(layer, "dropout", dropout, 0, 1, "[)")
        self.norm_first = arguments.flag(layer, "norm_first", norm_first)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
        if self._parts == 3:
            self.multihead_attn = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
            )
        self.linear1 = Linear(d_model, hidden, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(hidden, d_model, bias, dtype=dtype)
        for k in range(1, self._parts + 1):
            setattr(self, f"norm{k}", _norm(d_model, layer_norm_eps, bias, dtype))
        for k in range(1, self._parts + 1):
            setattr(self, f"dropout{k}", Dropout(dropout))
        self.activation = _activation(layer, activation)

    def _feed_forward(self, x):
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _through(self, x, parts):
        """Each part's result added to its input, which is standardised before the part or after the sum."""
        for norm, part, dropout in parts:
            x = x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))
        return x


def _norm(d_model, eps, bias, dtype):
    norm = LayerNorm(d_model, eps, dtype=dtype)
    if not bias:
        norm.bias = None
    return norm


class TransformerEncoderLayer(_Block):
    r"""A block of the Transformer's encoder: self-attention, then two layers of neurons for each token (Vaswani et al., 2017).

    .. math:: y = \operatorname{norm}(x + \operatorname{attention}(x)), \quad
        z = \operatorname{norm}(y + W_2\, a(W_1 y + b_1) + b_2)

    With `norm_first` each part's input is standardised, and not the sum. With a causal mask it is a block of a GPT.

    Parameters
    ----------
    d_model : int
        The width of a token.
    nhead : int
        How many heads; a divisor of `d_model`.
    dim_feedforward : int
        The width between the two layers of neurons.
    dropout : float
        Of attention's weights, between the layers, and of each part's result.
    activation : "relu", "gelu" or callable
    layer_norm_eps : float
    batch_first : bool
        Whether sequences are (N, L, E), and not (L, N, E).
    norm_first : bool
    bias : bool
        Whether its layers have biases.
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.TransformerEncoderLayer(8, 2)(ns.tensor(np.ones((5, 3, 8)), dtype="float32")).shape
    (5, 3, 8)
    """

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False, cache=None):
        """(L, N, E) -> the same

        Parameters
        ----------
        src : Tensor or array
        src_mask, src_key_padding_mask, is_causal, cache
            As `attn_mask`, `key_padding_mask`, `is_causal` and `cache` of `MultiheadAttention`.
        """
        if src_mask is None and src_key_padding_mask is None and one_token.fits(self, src, cache):
            return one_token.step(self, src, cache)

        def attend(x):
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal, cache=cache)[0]

        parts = (self.norm1, attend, self.dropout1), (self.norm2, self._feed_forward, self.dropout2)
        return self._through(src, parts)


class TransformerDecoderLayer(_Block):
    r"""A block of the Transformer's decoder: self-attention, attention to the encoder's result, two layers of neurons.

    .. math:: y = \operatorname{norm}(x + \operatorname{attention}(x)), \quad
        z = \operatorname{norm}(y + \operatorname{attention}(y, m)), \quad
        w = \operatorname{norm}(z + W_2\, a(W_1 z + b_1) + b_2)

    Parameters and errors are those of `TransformerEncoderLayer`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x, memory = ns.tensor(np.ones((5, 3, 8)), dtype="float32"), ns.tensor(np.ones((7, 3, 8)), dtype="float32")
    >>> ns.nn.TransformerDecoderLayer(8, 2)(x, memory).shape
    (5, 3, 8)
    """

    _parts = 3

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=False,
        memory_is_causal=False,
        cache=None,
    ):
        """(L, N, E), (S, N, E) -> (L, N, E)

        Parameters
        ----------
        tgt, memory : Tensor or array
            The block's input, and the encoder's result.
        tgt_mask, tgt_key_padding_mask, tgt_is_causal, cache
            As `attn_mask`, `key_padding_mask`, `is_causal` and `cache` of `MultiheadAttention`, for self-attention.
        memory_mask, memory_key_padding_mask, memory_is_causal
            The same for the attention to `memory`.
        """

        def attend(x):
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal, cache=cache)[
                0
            ]

        def attend_to_memory(x):
            settings = {"is_causal": memory_is_causal, "cache": cache}
            return self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask, **settings)[0]

        parts = (
            (self.norm1, attend, self.dropout1),
            (self.norm2, attend_to_memory, self.dropout2),
            (self.norm3, self._feed_forward, self.dropout3),
        )
        return self._through(tgt, parts)


class _Stack(Module):
    """What encoder and decoder have in common: copies of a block, one after the other."""

    def _make(self, block, num_layers, norm):
        layer = type(self).__name__
        if not isinstance(block, Module) or not (norm is None or isinstance(norm, Module)):
            wrong = norm if isinstance(block, Module) else block
            raise TypeError(
                f"{layer}: got {wrong!r}, expected a module; pass a block, and a layer to normalise by or None"
            )
        self.num_layers = arguments.count(layer, "num_layers", num_layers, most=arguments.MOST_LAYERS)
        self.layers = ModuleList([copy.deepcopy(block) for _ in range(self.num_layers)])
        self.norm = norm

    def _end(self, x):
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """Copies of a block, one after the other, and a last normalisation.

    Parameters
    ----------
    encoder_layer : Module
        Is copied; all copies begin with its weights, as in PyTorch.
    num_layers : int
    norm : Module, optional
    enable_nested_tensor, mask_check : bool
        PyTorch's, which nothing depends on here.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> encoder = ns.nn.TransformerEncoder(ns.nn.TransformerEncoderLayer(8, 2), 2)
    >>> encoder(ns.tensor(np.ones((5, 3, 8)), dtype="float32")).shape
    (5, 3, 8)
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self._make(encoder_layer, num_layers, norm)

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None, cache=None):
        """(L, N, E) -> the same; arguments as those of `TransformerEncoderLayer`"""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal), cache)
        return self._end(src)


class TransformerDecoder(_Stack):
    """Copies of a block that also attends to the encoder's result, one after the other, and a last normalisation.

    Parameters
    ----------
    decoder_layer : Module
        Is copied; all copies begin with its weights, as in PyTorch.
    num_layers : int
    norm : Module, optional

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> decoder = ns.nn.TransformerDecoder(ns.nn.TransformerDecoderLayer(8, 2), 2)
    >>> x, memory = ns.tensor(np.ones((5, 3, 8)), dtype="float32"), ns.tensor(np.ones((7, 3, 8)), dtype="float32")
    >>> decoder(x, memory).shape
    (5, 3, 8)
    """

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self._make(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=None,
        memory_is_causal=False,
        cache=None,
    ):
        """(L, N, E), (S, N, E) -> (L, N, E); arguments as those of `TransformerDecoderLayer`"""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
                cache,
            )
        return self._end(tgt)


def _drawn_anew(module):
    """A stack whose layers do not begin alike: its weights drawn once more."""
    with no_grad():
        for p in module.parameters():
            if p.ndim > 1:
                drawn = initialisers.make("Transformer", "init", "glorot_uniform", p.shape, p.shape[::-1], p.dtype)
                p[...] = backend.asarray(drawn, device=p.device)
    return module


class Transformer(Module):
    """An encoder that reads a sequence, and a decoder that attends to what it made of it (Vaswani et al., 2017).

    Parameters
    ----------
    d_model, nhead : int
        The width of a token, and the number of heads.
    num_encoder_layers, num_decoder_layers : int
    dim_feedforward, dropout, activation
        As those of `TransformerEncoderLayer`.
    custom_encoder, custom_decoder : Module, optional
        In the place of those that it would make; their weights stay.
    layer_norm_eps, batch_first, norm_first, bias, dtype
        As those of `TransformerEncoderLayer`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Transformer(8, 2, 1, 1, 16)
    >>> source, target = ns.tensor(np.ones((7, 3, 8)), dtype="float32"), ns.tensor(np.ones((5, 3, 8)), dtype="float32")
    >>> model(source, target, tgt_is_causal=True).shape
    (5, 3, 8)
    """

    def __init__(
        self,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        activation="relu",
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        dtype="float32",
    ):
        super().__init__()
        settings = dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype
        made = (
            (custom_encoder, TransformerEncoder, TransformerEncoderLayer, num_encoder_layers),
            (custom_decoder, TransformerDecoder, TransformerDecoderLayer, num_decoder_layers),
        )
        self.encoder, self.decoder = (
            _drawn_anew(stack(block(d_model, nhead, *settings), count, _norm(d_model, layer_norm_eps, bias, dtype)))
            if own is None
            else own
            for own, stack, block, count in made
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """(S, N, E), (L, N, E) -> (L, N, E); arguments as those of `TransformerDecoderLayer`, and of the encoder's blocks"""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz, dtype="float32"):
        """A mask (sz, sz) to add: 0 up to each token's own place, -inf after it.

        Examples
        --------
        >>> import nnscratch as ns
        >>> ns.nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        sz = arguments.count("generate_square_subsequent_mask", "sz", sz, 0)
        return Tensor(np.where(np.tri(sz, dtype=bool), 0, -np.inf).astype(dtype))
