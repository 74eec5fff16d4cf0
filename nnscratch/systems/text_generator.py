"""S4: a network that writes text word after word (000 §5.2)."""

from nnscratch import nn
from nnscratch.systems.language import LanguageSystem


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


class TextGenerator(LanguageSystem):
    """The text's training data, lists of sentences padded to one length, are a running text here, cut into windows of 20 tokens."""

    name = "text-generator"
    id = "S4"
    title = "LSTM that writes like Shakespeare, word after word"
    document = "000 §5.2"
    epochs, batch_size, lr = 10, 64, 1e-3

    def model(self):
        return Writer(self.tokenizer.vocabulary_size)


SYSTEM = TextGenerator()
