"""S13: a 784-100-10 network that first learns to fill in hidden parts of images, then to tell the digits (003 §4.2)."""

from types import MappingProxyType

import numpy as np

import nnscratch as ns
from nnscratch import data, nn
from nnscratch.systems.masking import Filling, filled, rows
from nnscratch.systems.system import System, write_sheet

SIDE, HIDDEN, DROPOUT, SHOWN = 14, 100, 0.5, 12
DRAWS, TUNING = 5, {"epochs": 20, "batch_size": 20}  # how often labels are drawn, and how a network learns from them
LABELS = {"default": 200, "type": int, "choices": (50, 100, 200, 500, 1000), "help": "how many it learns from"}


def classifier():
    """The 784-100-10 network of the text."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10), nn.Softmax())


class Digits(nn.Module):
    """A layer that sees an image and one that draws it again; and the classifier, which is to begin with the first."""

    def __init__(self):
        self.see = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT))
        self.draw = nn.Sequential(nn.Linear(HIDDEN, 784), nn.Sigmoid(), nn.Reshape(1, 28, 28))
        self.classifier = classifier()

    def forward(self, images):
        return self.draw(self.see(images))


class MaskedDigits(System):
    """A square of 14 × 14 pixels is hidden, anywhere in an image, and only what is drawn there counts; no label is looked at.

    Then the classifier learns from few labels, by cross-entropy and Adam, beginning with the layer that has learnt to see; and beside
    it one from new weights, with the same labels. How much is hidden, and how many labels there are, the text does not say.
    """

    name = "masked-digits"
    id = "S13"
    title = "784-100-10 network that fills in hidden parts of digits, then tells them"
    document = "003 §4.2"
    epochs, batch_size, lr = 20, 64, 1e-3
    full = True
    options = MappingProxyType({"labels": LABELS})

    def model(self):
        return Digits()

    def data(self, full):
        return data.mnist(sample=not full)

    def trainer(self, model, settings):
        learnt = [*model.see.parameters(), *model.draw.parameters()]
        return ns.Trainer(Filling(model, self.optimizer(learnt, settings["lr"]), SIDE))

    def validation_data(self, test):
        return test

    def train(self, trainer, train, test, settings, out, resume=False, verbose=True):
        super().train(trainer, train, test, settings, out, resume, verbose)
        (x, y), self.right = train, []
        for _ in range(DRAWS):
            few = data.generator().permutation(len(x))[: self.chosen["labels"]]
            both = [self.tuned(layer, x[few], y[few]) for layer in (None, trainer.model.see[1])]
            self.right.append([tuned.evaluate(*test)["accuracy"] for tuned in both])
        trainer.model.classifier.load_state_dict(both[-1].model.state_dict())

    def tuned(self, layer, x, y):
        """The Trainer of a classifier that has learnt from these images; `layer` is what it begins with, None for new weights."""
        model = classifier()
        if layer is not None:
            model[1].load_state_dict(layer.state_dict())
        trainer = ns.Trainer(model, "cross_entropy", self.optimizer(model.parameters(), self.lr), ["accuracy"])
        trainer.fit(x, y, **TUNING, verbose=False)
        return trainer

    def report(self, trainer, train, test, out):
        x, labels, (new, begun) = test[0], self.chosen["labels"], np.transpose(self.right)
        hidden, drawn = filled(trainer.predict, x, SIDE)
        error, usual_error = (float(np.mean((found - x)[hidden] ** 2)) for found in (drawn, train[0].mean(0)))
        sheet = rows(x[:SHOWN], hidden[:SHOWN], drawn[:SHOWN])
        write_sheet(out, "filled", sheet, columns=SHOWN, title="a part hidden, what was drawn there, and the image")
        print(f"\nhidden pixels: mean squared error {error:.4f}; baseline, the mean image: {usual_error:.4f}")
        print(f"test accuracy with {labels} labels, drawn {DRAWS} times: {begun.round(4)}")
        print(f"baseline, the same from new weights: {new.round(4)}, on average {new.mean():.4f}")
        return f"test accuracy with {labels} labels {begun.mean():.4f}", {
            "test_accuracy": float(begun.mean()),
            "baseline_accuracy": float(new.mean()),
            "test_accuracies": begun.tolist(),
            "baseline_accuracies": new.tolist(),
            "hidden_error": error,
            "hidden_error_of_mean_image": usual_error,
        }


SYSTEM = MaskedDigits()
