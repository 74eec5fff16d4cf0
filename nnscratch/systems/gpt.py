"""S7: a Transformer that writes text token after token (002 §5.2)."""

from types import MappingProxyType

import numpy as np

from nnscratch import Trainer, manual_seed, nn, optim
from nnscratch.systems.blocks import Blocks
from nnscratch.systems.language import TOKENS, LanguageSystem
from nnscratch.systems.text_generator import Writer

CONTEXT = 64


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
    """The text gives no sizes beside the heads: 3 blocks of width 128 see 64 tokens here; Adam with bias correction, the rate a cosine."""

    name = "gpt"
    id = "S7"
    title = "GPT that writes like Shakespeare, character after character"
    document = "002 §5.2"
    epochs, batch_size, lr = 10, 32, 2e-3
    options = MappingProxyType({"tokens": TOKENS | {"default": "characters"}})
    window, stride, read = CONTEXT, CONTEXT // 2, CONTEXT // 2

    def model(self):
        return Gpt(self.tokenizer.vocabulary_size)

    def optimizer(self, parameters, lr):
        return optim.Adam(parameters, lr=lr, betas=(0.9, 0.99), bias_correction=True)

    def scheduler(self, optimizer, epochs):
        cosine = optim.lr_scheduler.CosineLR(optimizer, epochs)
        return optim.lr_scheduler.LinearWarmup(optimizer, 1, cosine, start=0.3)

    def rivals(self, trainer, train):
        """The text generator's network, of about as many numbers, trained as long on the same windows."""
        manual_seed(0)
        model = Writer(self.tokenizer.vocabulary_size, 128, 256)
        other = Trainer(model, self.loss, optim.Adam(model.parameters(), lr=self.lr), self.metrics)
        other.fit(*train, epochs=trainer.history.epochs, batch_size=self.batch_size, verbose=False)
        return {"lstm": ("an LSTM", self.perplexity(other))}


SYSTEM = GptSystem()
