"""What the systems that write have in common: running texts cut into windows, what is known of the held-out one, and new ones drawn."""

import functools
import math
from types import MappingProxyType

import numpy as np

from nnscratch import Trainer, data, metrics, no_grad
from nnscratch import functional as F
from nnscratch.systems import play
from nnscratch.systems.sampling import draw
from nnscratch.systems.system import TextSystem

TEMPERATURES = (0.5, 0.8, 1.0)
PADDING = 0
#: How many tokens the Markov chain looks back.
ORDER = {"characters": 5, "words": 2}
TOKENS = {"default": "words", "choices": tuple(ORDER), "help": "of what a text consists"}


class LanguageSystem(TextSystem):
    """Predicts at every place of a window what follows in Shakespeare's text (E8). Each tenth of its lines is held out.

    Tokens are all characters; or the 999 most frequent words and marks, and others are left out, as the text's tokenizer does.
    The network has ``follow(tokens, state)``, which returns the probabilities after each token, and the state that goes on from
    the last one.

    Attributes
    ----------
    window, stride : int
        How many tokens a window has, and how many lie from the beginning of one to that of the next.
    read : int
        How many tokens of a held-out window are not counted, since what was before them is cut off.

    Examples
    --------
    >>> import nnscratch as ns
    >>> [isinstance(ns.systems.get(name), LanguageSystem) for name in ("text-generator", "gpt")]
    [True, True]
    """

    full = True
    loss = "cross_entropy"
    metrics = (metrics.Perplexity(),)
    options = MappingProxyType({"tokens": TOKENS})
    vocabulary = 1000
    window = stride = 20
    read = 0

    @property
    def characters(self):
        """Whether tokens are characters."""
        return self.chosen["tokens"] == "characters"

    def data(self, full):
        train, test = ("".join(lines) for lines in play.split_play(full))
        settings = {"char_level": True, "lower": False} if self.characters else {"num_words": self.vocabulary}
        self.tokenizer = data.text.Tokenizer(**settings)
        self.tokenizer.fit_on_texts([self.tokens(train)])
        train, self.held_out = (np.array(self.numbers(text)) for text in (train, test))
        texts, size = (train, self.held_out), self.tokenizer.vocabulary_size
        self.baselines = {
            "baseline": ("frequencies alone", play.frequency_perplexity(*texts, size)),
            "markov": (
                f"a Markov chain of {ORDER[self.chosen['tokens']]}",
                play.markov_perplexity(*texts, ORDER[self.chosen["tokens"]], size),
            ),
        }
        windows = data.text.windows(train, self.window, self.stride)
        self.windows = len(windows[0])
        return windows, data.text.windows(self.held_out, self.window)

    def tokens(self, text):
        """The tokens of a text, those without a number among them."""
        return list(text) if self.characters else play.tokens(text)

    def numbers(self, text):
        """The numbers of a text's tokens."""
        return self.tokenizer.texts_to_sequences([self.tokens(text)])[0]

    def validation_data(self, test):
        return test

    def before(self, model, train):
        print(f"held out, by {self.compared(self.baselines)}\n")

    def compared(self, perplexities):
        """A phrase for each of some perplexities, by what they are of."""
        return ", ".join(f"{what} {self.said(value)}" for what, value in perplexities.values())

    def said(self, perplexity):
        """A perplexity, of characters in bits."""
        return f"{math.log2(perplexity):.3f} bits per character" if self.characters else f"perplexity {perplexity:.1f}"

    def perplexity(self, trainer):
        """That of the held-out text, each token after at least `read` others."""
        x, y = data.text.windows(self.held_out, self.window, self.window - self.read)
        y[1:, : self.read] = PADDING  # which the first window alone counts
        loss = functools.partial(F.cross_entropy, ignore_index=PADDING)
        measure = Trainer(trainer.model, loss, trainer.optimizer, [metrics.Perplexity(ignore_index=PADDING)])
        return measure.evaluate(x, y)["perplexity"]

    def rivals(self, trainer, train):
        """What further networks come to, as `baselines`."""
        return {}

    def report(self, trainer, train, test, out):
        found = self.baselines | self.rivals(trainer, train) | {"test": ("the network", self.perplexity(trainer))}
        samples = {str(t): self.generate(trainer.model, temperature=t) for t in TEMPERATURES}
        for temperature, text in samples.items():
            print(f"\nat temperature {temperature}:\n{text}")
        results = {f"{name}_perplexity": value for name, (_, value) in found.items()}
        return f"held out: {self.compared(found)}", {**results, "samples": samples}

    def generate(self, model, prompt="To be", length=None, temperature=0.8, top_k=None, top_p=1.0, seed=0):
        """The prompt and `length` tokens that the network draws after it, each from what it makes of all before."""
        read = tokens = self.numbers(prompt)
        if not tokens:
            raise ValueError(
                f"generate: the network knows no {self.chosen['tokens'][:-1]} of {prompt!r}; begin with others"
            )
        generator, state = np.random.default_rng(seed), None
        model.eval()
        with no_grad():
            for _ in range(length or (300 if self.characters else 50)):
                p, state = model.follow(np.array([read]), state)
                read = [draw(p.numpy()[0, -1], generator, temperature, [PADDING], top_k, top_p)]
                tokens = tokens + read
        words = [self.tokenizer.index_word[n] for n in tokens]
        return "".join(words) if self.characters else play.join(words)
