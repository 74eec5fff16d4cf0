"""BERT: an encoder that reads a text in both directions (Devlin et al., 2018); and ALBERT, whose layers share one set of weights."""

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import describe, recording
from nnscratch.nn.containers import ModuleList
from nnscratch.nn.embedding import Embedding
from nnscratch.nn.layers import Dropout, Identity, Linear
from nnscratch.nn.models.pretrained import Pretrained, activation
from nnscratch.nn.module import Module, Parameter
from nnscratch.nn.normalisation import LayerNorm
from nnscratch.nn.positions import LearnedPositions
from nnscratch.nn.transformer import TransformerEncoderLayer
from nnscratch.ops.elementwise import astype, equal, sqrt, tanh
from nnscratch.ops.operands import raw
from nnscratch.ops.reduce import sum
from nnscratch.ops.shape import expand_dims, on_device_of


class Embeddings(Module):
    """A token's vector: that of its piece, of its position and of the text it belongs to, added and normalised.

    Examples
    --------
    >>> Embeddings(10, 4, 8, 2, 0, 0.0, 1e-12, "float32")(np.array([[1, 2]]), None).shape
    (1, 2, 4)
    """

    def __init__(self, pieces, width, positions, types, padding, dropout, eps, dtype):
        super().__init__()
        self.words = Embedding(pieces, width, padding, dtype=dtype)
        self.positions = LearnedPositions(positions, width, batch_first=True, dtype=dtype)
        self.types = Embedding(types, width, dtype=dtype)
        self.norm = LayerNorm(width, eps, dtype=dtype)
        self.dropout = Dropout(dropout)

    def forward(self, input_ids, token_type_ids):
        """(N, L), (N, L) or None -> (N, L, width)"""
        types = self.types.weight[0] if token_type_ids is None else self.types(token_type_ids)
        return self.dropout(self.norm(self.positions(self.words(input_ids) + types)))


class MaskedHead(Module):
    """What tells which piece stood where [MASK] is: a layer of neurons, and the product with all pieces' vectors.

    Examples
    --------
    >>> words = Embedding(10, 3)
    >>> MaskedHead(4, 3, 10, F.gelu, 1e-12, "float32")(np.ones((1, 2, 4), "float32"), words.weight).shape
    (1, 2, 10)
    """

    def __init__(self, hidden, width, pieces, act, eps, dtype):
        super().__init__()
        self.dense = Linear(hidden, width, dtype=dtype)
        self.act = act
        self.norm = LayerNorm(width, eps, dtype=dtype)
        self.bias = Parameter(np.zeros(pieces, dtype))

    def forward(self, x, words):
        """(N, L, hidden), (pieces, width) -> (N, L, pieces), logits"""
        return F.linear(self.norm(self.act(self.dense(x))), words, self.bias)


class Bert(Pretrained):
    """BERT's encoder: embeddings, blocks of the Transformer, and a layer that sums a text up in one vector.

    Its settings have the names, and the defaults, of transformers' ``BertConfig``.

    Parameters
    ----------
    vocab_size : int
        How many pieces there are.
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int
        The width of a token, the number of blocks and of heads in each, and the width within.
    hidden_act : str
        "gelu", "gelu_new", "gelu_pytorch_tanh", "relu" or "silu".
    hidden_dropout_prob, attention_probs_dropout_prob : float
    max_position_embeddings : int
        The longest text.
    type_vocab_size : int
        How many texts there may be in a sequence.
    initializer_range : float or None
        The deviation of the matrices' first values; None leaves those of the layers.
    layer_norm_eps : float
    pad_token_id : int or None
        The number of padding, whose vector has no gradient.
    head : bool
        Whether there is a head for masked pieces; see `logits`. Its matrix is that of the embedding.
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> bert = ns.nn.models.Bert(100, 8, 2, 2, 16, max_position_embeddings=10)
    >>> bert([[2, 17, 5, 3]]).shape, bert.sentence_vectors([[2, 17, 3, 0]], [[1, 1, 1, 0]]).shape
    ((1, 4, 8), (1, 8))
    """

    _kind, _prefix = "bert", "bert."
    _fixed = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}  # noqa: RUF012
    _aliases = {  # noqa: RUF012
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    _optional = ("pooler",)
    _heads: tuple = ("cls.", "classifier.", "qa_outputs.")
    _constants = ("embeddings.position_ids", "embeddings.token_type_ids")

    def __init__(
        self,
        vocab_size=30522,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=512,
        type_vocab_size=2,
        initializer_range=0.02,
        layer_norm_eps=1e-12,
        pad_token_id=0,
        head=False,
        dtype="float32",
    ):
        super().__init__()
        self._make(
            vocab_size, hidden_size, hidden_size, num_hidden_layers, False, num_attention_heads, intermediate_size, hidden_act,
            hidden_dropout_prob, attention_probs_dropout_prob, max_position_embeddings, type_vocab_size, initializer_range,
            layer_norm_eps, pad_token_id, head, dtype,
        )  # fmt: skip

    def _make(
        self, pieces, width, hidden, layers, shared, heads, within, act, dropout, attention_dropout, positions, types, deviation,
        eps, padding, head, dtype,
    ):  # fmt: skip
        name = type(self).__name__
        act = activation(name, act)
        self.embeddings = Embeddings(pieces, width, positions, types, padding, dropout, eps, dtype)
        self.projection = Linear(width, hidden, dtype=dtype) if width != hidden else Identity()

        def block():
            made = TransformerEncoderLayer(hidden, heads, within, dropout, act, eps, batch_first=True, dtype=dtype)
            made.dropout = Identity()  # BERT has none within the two layers of neurons
            made.self_attn.dropout = arguments.number(
                name, "attention_probs_dropout_prob", attention_dropout, 0, 1, "[)"
            )
            return made

        layers = arguments.count(name, "num_hidden_layers", layers)
        self.layers = ModuleList([block()] * layers if shared else [block() for _ in range(layers)])
        self.pooler = Linear(hidden, hidden, dtype=dtype)
        self.head = MaskedHead(hidden, width, pieces, act, eps, dtype) if arguments.flag(name, "head", head) else None
        self._draw(deviation)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        """(N, L) of whole numbers -> (N, L, hidden_size): each token's vector in its text

        Parameters
        ----------
        input_ids : Tensor or array
        attention_mask : (N, L), optional
            1 or True for tokens, 0 or False for padding, which no token attends to.
        token_type_ids : (N, L), optional
            The text that each token belongs to; by default all to the first.

        Raises
        ------
        TypeError, ValueError
            Where shapes do not fit, numbers are beyond the vocabulary, or the text is longer than there are positions.
        """
        padding = self._padding(input_ids, attention_mask)
        x = self.projection(self.embeddings(input_ids, token_type_ids))
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return x

    def _padding(self, input_ids, mask):
        """Where there is padding, as `nn.MultiheadAttention` takes it; None where there is none."""
        if mask is None:
            return None
        mask = np.asarray(mask) if isinstance(mask, list | tuple) else raw(mask)
        if np.shape(mask) != np.shape(input_ids) or mask.dtype.kind not in "biuf":
            raise ValueError(
                f"{type(self).__name__}: attention_mask is {describe(mask)}, expected {np.shape(input_ids)} as input_ids, 1 for "
                f"tokens and 0 for padding; make it of them"
            )
        padding = equal(mask, 0)
        return padding if recording.state.tracing or padding.any() else None

    def pooled(self, hidden):
        """(N, L, hidden_size) -> (N, hidden_size): what sums a text up, made of its first token's vector

        Raises
        ------
        ValueError
            Where the checkpoint had no such layer.
        """
        if self.pooler is None:
            raise ValueError(
                f"{type(self).__name__}: the checkpoint has no pooler, which sums a text up; take sentence_vectors, or train a new "
                f"nn.Linear as .pooler"
            )
        return tanh(self.pooler(hidden[:, 0]))

    def sentence_vectors(self, input_ids, attention_mask=None, token_type_ids=None):
        """(N, L) -> (N, hidden_size): the means of the tokens' vectors, without padding's, of unit length

        Arguments and errors are those of `forward`. The product of two is the cosine of the angle between them.
        """
        mean = mean_of_tokens(self(input_ids, attention_mask, token_type_ids), attention_mask)
        return mean / sqrt(sum(mean * mean, -1, True))

    def logits(self, hidden):
        """(N, L, hidden_size) -> (N, L, vocab_size): how well each piece fits in each place

        Raises
        ------
        ValueError
            Where the network was made without its head.
        """
        if self.head is None:
            raise ValueError(f"{type(self).__name__}: has no head for masked pieces; make it with head=True")
        return self.head(hidden, self.embeddings.words.weight)

    def tied(self, alias):
        return self.head is not None

    def names(self):
        found = _layer_norm("embeddings.norm", "embeddings.LayerNorm") | {
            "embeddings.words.weight": ("embeddings.word_embeddings.weight",),
            "embeddings.positions.weight": ("embeddings.position_embeddings.weight",),
            "embeddings.types.weight": ("embeddings.token_type_embeddings.weight",),
        }
        for i in range(len(self.layers)):
            here, there = f"layers.{i}", f"encoder.layer.{i}"
            found |= _attention(f"{here}.self_attn", f"{there}.attention.self", f"{there}.attention.output.dense")
            found |= _layer_norm(f"{here}.norm1", f"{there}.attention.output.LayerNorm")
            found |= _linear(f"{here}.linear1", f"{there}.intermediate.dense")
            found |= _linear(f"{here}.linear2", f"{there}.output.dense")
            found |= _layer_norm(f"{here}.norm2", f"{there}.output.LayerNorm")
        found |= _linear("pooler", "pooler.dense")
        return found | self._head_names("cls.predictions.transform.", "cls.predictions.bias")

    def _head_names(self, there, bias):
        if self.head is None:
            return {}
        return (
            _linear("head.dense", f"{there}dense")
            | _layer_norm("head.norm", f"{there}LayerNorm")
            | {"head.bias": (bias,)}
        )


class Albert(Bert):
    """ALBERT (Lan et al., 2019): BERT with one set of weights for all its blocks, and narrower embeddings.

    Its settings have the names, and the defaults, of transformers' ``AlbertConfig``.

    Parameters
    ----------
    vocab_size, embedding_size : int
        How many pieces there are, and the width of their vectors.
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, hidden_act, hidden_dropout_prob, \
attention_probs_dropout_prob, max_position_embeddings, type_vocab_size, initializer_range, layer_norm_eps, pad_token_id, head, dtype
        As in `Bert`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> albert = ns.nn.models.Albert(100, 4, 8, 12, 2, 16, max_position_embeddings=10)
    >>> albert([[2, 17, 5, 3]]).shape, len(list(albert.parameters()))
    ((1, 4, 8), 21)
    """

    _kind, _prefix = "albert", "albert."
    _fixed = Bert._fixed | {"num_hidden_groups": 1, "inner_group_num": 1}
    _aliases = {  # noqa: RUF012
        "predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    }
    _heads = ("predictions.", "sop_classifier.", "classifier.", "qa_outputs.")

    def __init__(
        self,
        vocab_size=30000,
        embedding_size=128,
        hidden_size=4096,
        num_hidden_layers=12,
        num_attention_heads=64,
        intermediate_size=16384,
        hidden_act="gelu_new",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=512,
        type_vocab_size=2,
        initializer_range=0.02,
        layer_norm_eps=1e-12,
        pad_token_id=0,
        head=False,
        dtype="float32",
    ):
        Pretrained.__init__(self)
        self._make(
            vocab_size, embedding_size, hidden_size, num_hidden_layers, True, num_attention_heads, intermediate_size, hidden_act,
            hidden_dropout_prob, attention_probs_dropout_prob, max_position_embeddings, type_vocab_size, initializer_range,
            layer_norm_eps, pad_token_id, head, dtype,
        )  # fmt: skip

    def names(self):
        found = {name: names for name, names in Bert.names(self).items() if name.startswith("embeddings.")}
        if isinstance(self.projection, Linear):
            found |= _linear("projection", "encoder.embedding_hidden_mapping_in")
        here, there = "layers.0", "encoder.albert_layer_groups.0.albert_layers.0"
        found |= _attention(f"{here}.self_attn", f"{there}.attention", f"{there}.attention.dense")
        found |= _layer_norm(f"{here}.norm1", f"{there}.attention.LayerNorm")
        found |= _linear(f"{here}.linear1", f"{there}.ffn") | _linear(f"{here}.linear2", f"{there}.ffn_output")
        found |= _layer_norm(f"{here}.norm2", f"{there}.full_layer_layer_norm") | _linear("pooler", "pooler")
        return found | self._head_names("predictions.", "predictions.bias")


def mean_of_tokens(hidden, attention_mask=None):
    """The mean of each text's tokens, without padding.

    Parameters
    ----------
    hidden : (N, L, E)
        Tensor or array; what `Bert.forward` returns.
    attention_mask : (N, L), optional
        As there.

    Returns
    -------
    (N, E)

    Examples
    --------
    >>> mean_of_tokens(np.array([[[1.0], [3.0], [8.0]]]), [[1, 1, 0]])
    array([[2.]])
    """
    if attention_mask is None:
        return sum(hidden, 1) / hidden.shape[1]
    mask = raw(attention_mask) if hasattr(attention_mask, "dtype") else np.asarray(attention_mask)
    mask = on_device_of(raw(hidden), expand_dims(astype(mask, hidden.dtype), -1))
    return sum(hidden * mask, 1) / sum(mask, 1)


# A file's names


def _linear(here, there):
    return {f"{here}.{part}": (f"{there}.{part}",) for part in ("weight", "bias")}


_layer_norm = _linear


def _attention(here, there, out):
    """Three layers that are one here, and the one after them."""
    parts = {
        f"{here}.in_proj_{p}": tuple(f"{there}.{name}.{p}" for name in ("query", "key", "value"))
        for p in ("weight", "bias")
    }
    return parts | _linear(f"{here}.out_proj", out)
