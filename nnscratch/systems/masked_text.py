"""S10: a network that first finds hidden words in texts without labels, and then learns to tell praise from blame (003 §2.1, §3.2)."""

import os
from types import MappingProxyType

from nnscratch import Trainer, data, optim, save
from nnscratch.systems.masked_modelling import MaskedModelling, Reader
from nnscratch.systems.system import MODEL, TextSystem

LONGEST = 24  # words of a sentence; what comes later is cut off
TUNING = {"epochs": 12, "batch_size": 32}  # with labels


class MaskedText(TextSystem):
    """Words of review sentences; the 2,000 most frequent of the training sentences, and one number for all others.

    All training sentences are read without their labels; then, as in the text, there are labels for few. The same network learns
    from these beside it, from new weights.
    """

    name = "masked-text"
    id = "S10"
    title = "Transformer that finds hidden words, then tells praise from blame"
    document = "003 §2.1, §3.2"
    epochs, batch_size, lr = 60, 64, 3e-3
    full = True
    vocabulary = 2000
    classes = ("blame", "praise")
    options = MappingProxyType(
        {
            "labels": {
                "default": 400,
                "choices": (100, 200, 400, 800),
                "type": int,
                "help": "how many sentences have labels",
            }
        }
    )

    def model(self):
        return Reader(self.tokenizer.vocabulary_size, LONGEST, blocks=2)

    def data(self, full):
        (texts, y), (texts_test, y_test) = data.reviews(sample=not full)
        self.tokenizer = data.text.Tokenizer(self.vocabulary, oov_token="[UNK]")
        self.tokenizer.fit_on_texts(map(data.text.clean, texts))
        return (self.numbers(texts), y), (self.numbers(texts_test), y_test)

    def numbers(self, texts):
        """Texts as rows of word numbers, padded at their ends."""
        sequences = self.tokenizer.texts_to_sequences(map(data.text.clean, texts))
        return data.text.pad_sequences(sequences, LONGEST, padding="post", truncating="post")

    def trainer(self, model, settings):
        optimizer = self.optimizer(model.parameters(), settings["lr"])
        return Trainer(MaskedModelling(model, optimizer))

    def optimizer(self, parameters, lr):
        return optim.Adam(parameters, lr=lr, bias_correction=True)

    def validation_data(self, test):
        return test

    def report(self, trainer, train, test, out):
        found = trainer.history["val_accuracy"][-1]
        chosen = data.generator().permutation(len(train[1]))[: self.chosen["labels"]]
        models = {"test": trainer.model, "scratch": self.model()}
        accuracy = {name: self.tune(model, *(part[chosen] for part in train), test) for name, model in models.items()}
        save(trainer.model, os.path.join(out, MODEL))
        print(f"\nof the hidden words of other sentences it finds {found:.3f}; then, with {len(chosen)} labels:")
        last = "test accuracy {test:.4f}, from new weights {scratch:.4f}".format(**accuracy)
        return last, {"found": found} | {f"{name}_accuracy": value for name, value in accuracy.items()}

    def tune(self, model, x, y, test):
        """The accuracy on the test sentences after the network has learnt from labels."""
        trainer = Trainer(model, "cross_entropy", self.optimizer(model.parameters(), 1e-3), ["accuracy"])
        trainer.fit(x, y, **TUNING, verbose=False)
        return trainer.evaluate(*test)["accuracy"]

    def predict(self, model, text):
        """The class of a text with its probability."""
        p = model(self.numbers([text])).numpy()[0]
        return f"{self.classes[p.argmax()]} ({p.max():.2f})"


SYSTEM = MaskedText()
