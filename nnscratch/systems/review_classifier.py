"""S9: a network that tells praise from blame (002 §5.2–5.4)."""

import numpy as np

from nnscratch import Trainer, concatenate, data, manual_seed, nn, optim
from nnscratch.systems.system import TextClassifier

LONGEST = 60  # words of a sentence; what comes later is cut off


class ReviewNetwork(nn.Module):
    """Word vectors, a bidirectional LSTM of two layers, and a linear layer on its last states of both directions."""

    def __init__(self, vectors, hidden=128, classes=2):
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=0)
        self.lstm = nn.LSTM(vectors.shape[1], hidden, 2, batch_first=True, dropout=0.5, bidirectional=True)
        self.linear = nn.Linear(2 * hidden, classes)
        self.softmax = nn.Softmax()

    def forward(self, tokens, lengths):
        _, (h, _) = self.lstm(self.embedding(tokens), lengths=lengths)
        return self.softmax(self.linear(concatenate([h[-2], h[-1]], 1)))


class ReviewClassifier(TextClassifier):
    """Sentences of reviews as rows of word numbers with their lengths; GloVe's vectors; Adam and cross-entropy.

    The text's linear layer takes the states of both directions, its code only the last one; here it gets both. Sentences end at
    their lengths, so that no direction reads padding.
    """

    name = "review-classifier"
    id = "S9"
    title = "bidirectional LSTM that tells praise from blame"
    document = "002 §5.2–5.4"
    epochs, batch_size, lr = 10, 64, 1e-3
    full = True
    loss = "cross_entropy"
    classes = ("blame", "praise")

    def model(self):
        return ReviewNetwork(self.vectors)

    def data(self, full):
        (texts, y), (texts_test, y_test) = data.reviews(sample=not full)
        texts, texts_test = (
            [data.text.clean(text, contractions=True) for text in part] for part in (texts, texts_test)
        )
        self.tokenizer = data.text.Tokenizer()
        self.tokenizer.fit_on_texts(texts)
        self.vectors, self.share = data.glove(sample=not full, words=self.tokenizer.word_index).matrix(self.tokenizer)
        self.texts = texts, texts_test
        return (self.numbers(texts), y), (self.numbers(texts_test), y_test)

    def restore(self, state):
        self.vectors = state["embedding.weight"]

    def numbers(self, texts):
        """Texts as a pair: rows of word numbers, padded at their ends, and their lengths; a text without a known word is one 0."""
        sequences = [s or [0] for s in self.tokenizer.texts_to_sequences(texts)]
        rows = data.text.pad_sequences(
            sequences, min(LONGEST, max(map(len, sequences))), padding="post", truncating="post"
        )
        return rows, np.array([min(len(s), rows.shape[1]) for s in sequences])

    def before(self, model, train):
        print(
            f"{self.share:.0%} of {len(self.tokenizer.word_index)} words have a vector of {self.vectors.shape[1]} numbers\n"
        )

    def report(self, trainer, train, test, out):
        last, found = super().report(trainer, train, test, out)
        bag = self.bag_of_words(train[1], test[1])
        print(f"baseline, logistic regression on which words occur: accuracy {bag:.4f}")
        return last, found | {"bag_of_words_accuracy": bag}

    def bag_of_words(self, y, y_test):
        """The accuracy of a linear model of which words a sentence has."""
        manual_seed(0)
        x, x_test = map(self.tokenizer.texts_to_matrix, self.texts)
        model = nn.Sequential(nn.Linear(x.shape[1], 1), nn.Sigmoid())
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        trainer = Trainer(model, "binary_cross_entropy", optimizer, ["accuracy"])
        trainer.fit(x, y[:, None], epochs=10, verbose=False)
        return trainer.evaluate(x_test, y_test[:, None])["accuracy"]


SYSTEM = ReviewClassifier()
