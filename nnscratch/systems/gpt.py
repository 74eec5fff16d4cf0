"""S7: a Transformer that writes text token after token (002 §5.2)."""

from types import MappingProxyType

import numpy as np

from nnscratch import Trainer, manual_seed, nn, optim
from nnscratch.systems.blocks import Blocks
from nnscratch.systems.language import TOKENS, LanguageSystem
from nnscratch.systems.text_generator import Writer

CONTEXT = 64
WARMUP = 100  # steps


class Gpt(nn.Module):
    """Embedding, causal Transformer blocks of 4 heads and a dense softmax: at each place the probabilities of what comes next."""

    def __init__(self, vocabulary, context=CONTEXT, width=128, **settings):
        self.blocks = Blocks(vocabulary, context, width, **settings)
        self.dense = nn.Linear(width, vocabulary)
        self.softmax = nn.Softmax()

    def forward(self, tokens, cache=None):
        return self.softmax(self.dense(self.blocks(tokens, cache, is_causal=True)))

    def follow(self, tokens, state):
        """The probabilities after each token, and the state that goes on from the last: keys and values, and what they are of.

        Where there are no positions left, it begins anew with the last tokens, half as many as there are positions.
        """
        cache, read = state or (nn.KeyValueCache(), tokens[:, :0])
        read = np.concatenate([read, tokens], 1)
        context = self.blocks.positions.max_len
        if read.shape[1] > context:
            cache, read = nn.KeyValueCache(), read[:, -(context // 2) :]
            tokens = read
        return self(tokens, cache), (cache, read)


class GptSystem(LanguageSystem):
    """The text gives no sizes beside the heads: 3 blocks of width 128 see 64 tokens here; Adam's rate is a cosine."""

    name = "gpt"
    id = "S7"
    title = "GPT that writes like Shakespeare, character after character"
    document = "002 §5.2"
    epochs, batch_size, lr = 10, 32, 2e-3
    options = MappingProxyType({"tokens": TOKENS | {"default": "characters"}})
    window, read = CONTEXT, CONTEXT // 2

    def choose(self, settings):
        super().choose(settings)
        self.epochs = 2 if settings.get("full") else 10
        self.stride = CONTEXT if settings.get("full") else CONTEXT // (2 if self.characters else 8)

    def model(self):
        return Gpt(self.tokenizer.vocabulary_size)

    def trainer(self, model, settings):
        optimizer = optim.Adam(model.parameters(), settings["lr"], betas=(0.9, 0.99), bias_correction=True)
        steps = settings["epochs"] * -(-self.windows // settings["batch_size"])
        cosine = optim.lr_scheduler.CosineLR(optimizer, steps, settings["lr"] / 20)
        scheduler = optim.lr_scheduler.LinearWarmup(optimizer, WARMUP, cosine, start=0.01)
        return Trainer(model, self.loss, optimizer, self.metrics, scheduler, "batch")

    def rivals(self, trainer, train):
        """The text generator's network, of about as many numbers, at its best in half as many epochs; it soon learns by heart."""
        manual_seed(0)
        model, found = Writer(self.tokenizer.vocabulary_size, 128, 256), []
        other = Trainer(model, self.loss, optim.Adam(model.parameters(), self.lr), self.metrics)
        for _ in range(max(1, trainer.history.epochs // 2)):
            other.fit(*train, batch_size=self.batch_size, verbose=False)
            found.append(self.perplexity(other))
        return {"lstm": ("an LSTM", min(found))}


SYSTEM = GptSystem()
