"""S4: a network that writes text word after word (000 §5.2)."""

import numpy as np

from nnscratch import data, metrics, nn, no_grad
from nnscratch.systems import play
from nnscratch.systems.sampling import draw
from nnscratch.systems.system import TextSystem

WINDOW = 20
TEMPERATURES = (0.5, 0.8, 1.0)


class Writer(nn.Module):
    """Embedding, LSTM and a dense softmax: at each place the probabilities of what comes next."""

    def __init__(self, vocabulary, embedding=256, hidden=512):
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.dense = nn.Linear(hidden, vocabulary)
        self.softmax = nn.Softmax()

    def forward(self, tokens):
        return self.follow(tokens, None)[0]

    def follow(self, tokens, state):
        """The probabilities after each token, and the state that goes on from the last."""
        y, state = self.lstm(self.embedding(tokens), state)
        return self.softmax(self.dense(y)), state


class TextGenerator(TextSystem):
    """The 999 most frequent words and marks of Hamlet; a target is what follows in the text (E8). Each tenth of its lines is held out.

    Other words are left out, as the text's tokenizer does. Its training data, lists of sentences padded to one length, are a
    running text here, cut into windows of 20 tokens.
    """

    name = "text-generator"
    id = "S4"
    title = "LSTM that writes like Shakespeare, word after word"
    document = "000 §5.2"
    epochs, batch_size, lr = 10, 64, 1e-3
    full = True
    loss = "cross_entropy"
    metrics = (metrics.Perplexity(),)
    vocabulary = 1000

    def model(self):
        return Writer(self.tokenizer.vocabulary_size)

    def data(self, full):
        train, test = (play.tokens("".join(lines)) for lines in play.split_play(full))
        self.tokenizer = data.text.Tokenizer(self.vocabulary)
        self.tokenizer.fit_on_texts([train])
        sequences = self.tokenizer.texts_to_sequences([train, test])
        train, test = (data.text.windows(sequence, WINDOW) for sequence in sequences)
        self.alone = play.frequency_perplexity(train[1], test[1], self.tokenizer.vocabulary_size)
        return train, test

    def validation_data(self, test):
        return test

    def before(self, model, train):
        print(f"baseline, the words' frequencies alone: held-out perplexity {self.alone:.1f}\n")

    def report(self, trainer, train, test, out):
        perplexity = trainer.evaluate(*test)["perplexity"]
        samples = {str(t): self.generate(trainer.model, "to be", temperature=t) for t in TEMPERATURES}
        for temperature, text in samples.items():
            print(f"\nat temperature {temperature}:\n{text}")
        return f"held-out perplexity {perplexity:.1f}, {perplexity / self.alone:.2f} of that by frequencies alone", {
            "test_perplexity": perplexity,
            "baseline_perplexity": self.alone,
            "samples": samples,
        }

    def generate(self, model, prompt="the", length=50, temperature=0.8, seed=0):
        """The prompt and `length` tokens that the network draws after it, each from what it makes of all before."""
        tokens = self.tokenizer.texts_to_sequences([play.tokens(prompt)])[0]
        if not tokens:
            raise ValueError(f"generate: the network knows no word of {prompt!r}; begin with others")
        generator, given, state = np.random.default_rng(seed), tokens, None
        model.eval()
        with no_grad():
            for _ in range(length):
                p, state = model.follow(np.array([given]), state)
                given = [draw(p.numpy()[0, -1], generator, temperature, exclude=[0])]
                tokens = tokens + given
        return play.join([self.tokenizer.index_word[n] for n in tokens])


SYSTEM = TextGenerator()
