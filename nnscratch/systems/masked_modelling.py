"""Learning from texts without labels: some tokens are hidden, and a network says which they were (Devlin et al., 2019)."""

import numpy as np

from nnscratch import data, nn
from nnscratch import functional as F
from nnscratch.metrics import Accuracy
from nnscratch.ops.elementwise import astype, divide, equal, logical_not, maximum
from nnscratch.ops.operands import raw
from nnscratch.ops.reduce import sum
from nnscratch.ops.shape import expand_dims
from nnscratch.systems.blocks import Blocks
from nnscratch.tensor import Tensor
from nnscratch.training import Step

PADDING = 0


def hide(tokens, generator, mask, first=1, share=0.15):
    """Hide some tokens of each row, by BERT's recipe: a seventh of them, at least one, at random places.

    Of these 80 % become `mask`, 10 % another token at random and 10 % stay, so that no token can be relied on.

    Parameters
    ----------
    tokens : array (N, T) of whole numbers
        Padded with 0.
    generator : numpy.random.Generator
    mask : int
        The number of the mask, above those of tokens.
    first : int
        The least number of those that come at random.
    share : float
        How many of a row's tokens are to be found again, rounded.

    Returns
    -------
    hidden : array (N, T)
        What the network reads.
    places : array (n,)
        Where in the rows, one after another, the tokens stand that are to be found again.

    Examples
    --------
    >>> tokens = np.array([[1, 2, 3, 4, 5, 0]] * 2000)
    >>> hidden, places = hide(tokens, np.random.default_rng(0), mask=6)
    >>> found, before = hidden.reshape(-1)[places], tokens.reshape(-1)[places]
    >>> len(places), float((found == 6).mean().round(1)), float((found == before).mean().round(1)), int(before.min())
    (2000, 0.8, 0.1, 1)
    """
    count = (tokens != PADDING).sum(1)
    wanted = np.minimum(count, np.maximum(1, np.rint(share * count)))
    order = np.argsort(np.where(tokens != PADDING, generator.random(tokens.shape), 2), axis=1)
    chosen = np.zeros(tokens.shape, bool)
    np.put_along_axis(chosen, order, np.arange(tokens.shape[1]) < wanted[:, None], 1)
    how = generator.random(tokens.shape)
    instead = np.where(how < 0.8, mask, generator.integers(first, mask, tokens.shape))
    return np.where(chosen & (how < 0.9), instead, tokens), np.flatnonzero(chosen)


class Reader(nn.Module):
    """A Transformer that sees all tokens: says which hidden ones were, and of the mean of their vectors the probabilities of classes.

    Parameters
    ----------
    vocabulary, longest : int
        How many tokens there are, the mask beside them, and how many a row has at most.
    width, classes : int
    **settings
        The others of `Blocks`.

    Examples
    --------
    >>> reader = Reader(10, 4, width=16)
    >>> reader([[1, 2, 0, 0]]).shape, reader.words(np.array([[1, 10, 0, 0]]), [1]).shape
    ((1, 2), (1, 11))
    """

    def __init__(self, vocabulary, longest, width=64, classes=2, **settings):
        self.mask = vocabulary
        self.blocks = Blocks(vocabulary + 1, longest, width, **settings)
        self.bias = nn.Parameter(np.zeros(vocabulary + 1, np.float32))
        self.linear = nn.Linear(width, classes)
        self.softmax = nn.Softmax()

    def words(self, tokens, places):
        """The logits of the tokens at some places, by the table that tokens are looked up in."""
        x = self.blocks(tokens, src_key_padding_mask=_padding(tokens))
        return F.linear(x.reshape(-1, x.shape[-1])[places], self.blocks.embedding.weight, self.bias)

    def forward(self, tokens):
        padding = _padding(tokens)
        x = self.blocks(tokens, src_key_padding_mask=padding)
        there = astype(logical_not(padding), x.dtype)
        share = divide(there, maximum(sum(there, 1, True), 1))
        return self.softmax(self.linear((x * expand_dims(share, -1)).sum(1)))


def _padding(tokens):
    """Where there is no token, on the tokens' device."""
    return equal(raw(tokens) if hasattr(tokens, "dtype") else np.asarray(tokens), PADDING)


class MaskedModelling(Step):
    """Learning to find hidden tokens: a batch is of rows of their numbers, and of labels that nobody looks at.

    Parameters
    ----------
    model : nn.Module
        ``words(tokens, places)`` are logits of the tokens at some places; ``mask`` is the number of the mask.
    optimizer : optim.Optimizer

    Examples
    --------
    >>> import nnscratch as ns
    >>> class Neighbours(ns.nn.Module):
    ...     mask = 5
    ...
    ...     def __init__(self):
    ...         self.table = ns.nn.Embedding(6, 5)
    ...
    ...     def words(self, tokens, places):
    ...         return self.table(tokens.reshape(-1)[places - 1])
    >>> ns.manual_seed(0)
    >>> model = Neighbours()
    >>> step = MaskedModelling(model, ns.optim.Adam(model.parameters(), lr=0.1))
    >>> history = ns.Trainer(step).fit(np.array([[1, 2, 3, 4]] * 64), epochs=10, verbose=False)
    >>> list(history), history["accuracy"][-1] > 0.9
    (['loss', 'accuracy', 'lr', 'seconds'], True)
    """

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer
        self.metrics = {"accuracy": Accuracy()}

    def update(self, tokens, labels=None):
        loss, values = self._found(tokens, data.generator())
        self.minimize(loss, self.optimizer, values["loss"][1])
        return values

    def measure(self, tokens, labels=None):
        """The same, with the same places hidden in every epoch."""
        return self._found(tokens, np.random.default_rng(0))[1]

    def _found(self, tokens, generator):
        hidden, places = hide(tokens.numpy(), generator, self.model.mask)
        wanted = Tensor(tokens.numpy().reshape(-1)[places], device=tokens.device)
        logits = self.model.words(Tensor(hidden, device=tokens.device), places)
        loss = F.cross_entropy(logits, wanted, from_logits=True)
        return loss, {"loss": (loss, len(places)), "accuracy": (logits, wanted)}
