"""What the systems with a Transformer have in common: its blocks, from the tokens on."""

from nnscratch import nn


class Blocks(nn.Module):
    """Embedding, learned positions and Transformer blocks whose parts have their inputs standardised: for each token a vector.

    Parameters
    ----------
    vocabulary, context : int
        How many tokens and how many positions there are.
    width, heads, blocks : int
    dropout : float

    Examples
    --------
    >>> Blocks(10, 8, width=16)([[1, 2, 3]]).shape
    (1, 3, 16)
    """

    def __init__(self, vocabulary, context, width=128, heads=4, blocks=3, dropout=0.1):
        # small ones, beside which what the blocks add counts from the beginning
        self.embedding = nn.Embedding(vocabulary, width, init="glorot_normal")
        self.positions = nn.LearnedPositions(context, width, batch_first=True, init="glorot_normal")
        self.dropout = nn.Dropout(dropout)
        settings = {"dropout": dropout, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, **settings) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens, cache=None, **masks):
        """(N, T) -> (N, T, width); `cache` and `masks` as `nn.TransformerEncoderLayer` takes them"""
        x = self.dropout(self.positions(self.embedding(tokens), 0 if cache is None else cache.length))
        for block in self.blocks:
            x = block(x, cache=cache, **masks)
        return self.norm(x)
