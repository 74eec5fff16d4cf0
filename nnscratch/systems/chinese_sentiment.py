"""S6: BERT that tells praise from blame in Chinese sentences (001 §5.1–5.3)."""

import copy

import numpy as np

from nnscratch import data, nn, optim
from nnscratch.systems.system import TextClassifier

LONGEST = 128
UNKNOWN = 1  # the number of [UNK]
PIECES = 15000  # that have numbers of their own: of the full data, all that occur more than once
#: A BERT that learns from the sentences alone.
SMALL = {"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL |= {"intermediate_size": 128, "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.0}
SMALL |= {"max_position_embeddings": LONGEST, "type_vocab_size": 1}
ENCODER = {"metavar": "DIR", "default": None, "help": "a BERT or ALBERT to go on from, such as bert-base-chinese"}


class SentimentNetwork(nn.Module):
    """An encoder, and a linear layer on the mean of its tokens' vectors."""

    def __init__(self, encoder, classes=2):
        self.encoder = encoder
        self.dropout = nn.Dropout(0.3)
        self.linear = nn.Linear(encoder.config["hidden_size"], classes)
        self.softmax = nn.Softmax()

    def forward(self, tokens, mask):
        mean = nn.models.mean_of_tokens(self.encoder(tokens, mask), mask)
        return self.softmax(self.linear(self.dropout(mean)))


class ChineseSentiment(TextClassifier):
    """Sentences as rows of at most 128 pieces with a mask; by the option `encoder` a trained BERT or ALBERT goes on learning.

    The text names bert-base-chinese, and has two sentences as data. Without `encoder` a small BERT begins with random weights, and a
    piece is a sign, with the one after it where the two often stand together. The text's network takes what BERT makes of its first
    token; the mean of all learns sooner where nothing is trained before.
    """

    name = "chinese-sentiment"
    id = "S6"
    title = "BERT that tells praise from blame in Chinese"
    document = "001 §5.1–5.3"
    epochs, batch_size, lr = 3, 16, 1.2e-4
    full = True
    loss = "cross_entropy"
    classes = ("blame", "praise")
    options = {"encoder": ENCODER}  # noqa: RUF012
    encoder = None

    def choose(self, settings):
        super().choose(settings)
        # beginning from nothing, the few sentences that ship have to be read more often, and in larger steps
        few = not (settings.get("full") or self.chosen["encoder"])
        self.epochs, self.lr = (15, 1e-3) if few else (3, 5e-5 if self.chosen["encoder"] else 1.2e-4)

    def data(self, full):
        (texts, y), (texts_test, y_test) = data.chinese_reviews(sample=not full)
        self.texts = texts, texts_test
        if self.chosen["encoder"]:
            self.encoder = nn.models.from_pretrained(self.chosen["encoder"]).train()
            self.tokenizer = self.encoder.tokenizer
            if self.tokenizer is None:
                raise ValueError(f"train: there is no vocabulary in {self.chosen['encoder']}; put its vocab.txt there")
            self.config = self.encoder.config
        else:
            self.encoder = None
            known = data.text.frequent_pairs(texts)
            self.tokenizer = data.text.Tokenizer(PIECES, oov_token="[UNK]")
            self.tokenizer.fit_on_texts([data.text.sign_pairs(text, known) for text in texts])
            self.config = SMALL | {"vocab_size": self.tokenizer.vocabulary_size}
        return (self.numbers(texts), y), (self.numbers(texts_test), y_test)

    def model(self):
        encoder = nn.models.from_config(self.config) if self.encoder is None else copy.deepcopy(self.encoder)
        return SentimentNetwork(encoder)

    def scheduler(self, optimizer, epochs):
        return optim.lr_scheduler.CosineLR(optimizer, epochs)

    def numbers(self, texts):
        """Texts as a pair: rows of numbers, padded at their ends and cut to 128, and the mask, 1 where they are not padding."""
        if isinstance(self.tokenizer, data.text.PieceTokenizer):
            rows, mask, _ = self.tokenizer(texts, max_length=LONGEST)
            return rows, mask.astype(np.int64)
        split = [data.text.sign_pairs(text, self.tokenizer.word_index) for text in texts]
        sequences = [numbers[:LONGEST] or [UNKNOWN] for numbers in self.tokenizer.texts_to_sequences(split)]
        rows = data.text.pad_sequences(sequences, None, "int64", "post")
        return rows, (rows > 0).astype(np.int64)


SYSTEM = ChineseSentiment()
