"""GPT-2: a network that goes on with a text, piece after piece (Radford et al., 2019)."""

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.nn.containers import ModuleList
from nnscratch.nn.embedding import Embedding
from nnscratch.nn.layers import Dropout, Identity
from nnscratch.nn.models.pretrained import Pretrained, activation
from nnscratch.nn.normalisation import LayerNorm
from nnscratch.nn.positions import LearnedPositions
from nnscratch.nn.transformer import TransformerEncoderLayer


class Gpt2(Pretrained):
    """GPT-2: embeddings, blocks of the Transformer in which no token attends to later ones, and the product with all pieces' vectors.

    Its settings have the names, and the defaults, of transformers' ``GPT2Config``.

    Parameters
    ----------
    vocab_size : int
        How many pieces there are.
    n_positions : int
        The longest text.
    n_embd, n_layer, n_head : int
        The width of a token, the number of blocks, and of heads in each.
    n_inner : int, optional
        The width within a block; by default four times `n_embd`.
    activation_function : str
        As ``hidden_act`` of `Bert`.
    resid_pdrop, embd_pdrop, attn_pdrop : float
        Dropout of each part's result, of the embeddings, and of attention's weights.
    layer_norm_epsilon : float
    initializer_range : float or None
        The deviation of the matrices' first values; None leaves those of the layers.
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> gpt = ns.nn.models.Gpt2(50, n_positions=16, n_embd=8, n_layer=2, n_head=2).eval()
    >>> at_once, cache = gpt([[3, 1, 4]]), ns.nn.KeyValueCache()
    >>> with ns.no_grad():
    ...     one_by_one = [gpt([[n]], cache=cache) for n in (3, 1, 4)]
    >>> at_once.shape, abs(at_once[:, 2] - one_by_one[2][:, 0]).max().item() < 1e-5
    ((1, 3, 50), True)
    """

    _kind, _prefix = "gpt2", "transformer."
    _fixed = {  # noqa: RUF012
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "tie_word_embeddings": True,
    }
    _aliases = {"lm_head.weight": "wte.weight"}  # noqa: RUF012
    _heads = ("score.", "multiple_choice_head.")
    _constants = ("attn.bias", "attn.masked_bias")
    _turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")

    def __init__(
        self,
        vocab_size=50257,
        n_positions=1024,
        n_embd=768,
        n_layer=12,
        n_head=12,
        n_inner=None,
        activation_function="gelu_new",
        resid_pdrop=0.1,
        embd_pdrop=0.1,
        attn_pdrop=0.1,
        layer_norm_epsilon=1e-5,
        initializer_range=0.02,
        dtype="float32",
    ):
        super().__init__()
        within = 4 * arguments.count("Gpt2", "n_embd", n_embd) if n_inner is None else n_inner
        act = activation("Gpt2", activation_function)
        self.words = Embedding(vocab_size, n_embd, dtype=dtype)
        self.positions = LearnedPositions(n_positions, n_embd, batch_first=True, dtype=dtype)
        self.dropout = Dropout(embd_pdrop)

        def block():
            settings = {"batch_first": True, "norm_first": True, "dtype": dtype}
            made = TransformerEncoderLayer(n_embd, n_head, within, resid_pdrop, act, layer_norm_epsilon, **settings)
            made.dropout = Identity()  # GPT-2 has none within the two layers of neurons
            made.self_attn.dropout = arguments.number("Gpt2", "attn_pdrop", attn_pdrop, 0, 1, "[)")
            return made

        self.layers = ModuleList([block() for _ in range(arguments.count("Gpt2", "n_layer", n_layer))])
        self.norm = LayerNorm(n_embd, layer_norm_epsilon, dtype=dtype)
        self._draw(initializer_range)

    def forward(self, input_ids, cache=None):
        """(N, L) of whole numbers -> (N, L, vocab_size): logits of the piece after each

        Parameters
        ----------
        input_ids : Tensor or array
        cache : KeyValueCache, optional
            The pieces come after those that it holds.

        Raises
        ------
        TypeError, ValueError
            Where numbers are beyond the vocabulary, or the text is longer than there are positions.
        """
        x = self.dropout(self.positions(self.words(input_ids), 0 if cache is None else cache.length))
        for layer in self.layers:
            x = layer(x, is_causal=True, cache=cache)
        return F.linear(self.norm(x), self.words.weight)

    def names(self):
        found = {"words.weight": ("wte.weight",), "positions.weight": ("wpe.weight",)}
        parts = {
            "norm1": "ln_1",
            "self_attn.in_proj_": "attn.c_attn.",
            "self_attn.out_proj": "attn.c_proj",
            "norm2": "ln_2",
            "linear1": "mlp.c_fc",
            "linear2": "mlp.c_proj",
        }
        pairs = [
            (f"layers.{i}.{here}", f"h.{i}.{there}") for i in range(len(self.layers)) for here, there in parts.items()
        ]
        for here, there in [*pairs, ("norm", "ln_f")]:
            for part in ("weight", "bias"):
                found[f"{here}{'' if here.endswith('_') else '.'}{part}"] = (
                    f"{there}{'' if there.endswith('.') else '.'}{part}",
                )
        return found
