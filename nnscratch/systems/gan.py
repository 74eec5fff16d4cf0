"""S11: a generator and a discriminator trained in turn on handwritten digits (003 §3.2, §4.2; 004 §2.3.2)."""

import functools
import os
from types import MappingProxyType

import numpy as np

import nnscratch as ns
from nnscratch import data, nn, optim
from nnscratch.files import write_bytes
from nnscratch.systems import likeness
from nnscratch.systems.adversarial import Adversarial, Pair, Samples, Wasserstein, pixels
from nnscratch.systems.system import DPI, System

NOISE = 64
SHOWN, ROWS, MEASURED = 64, 10, 1000


def dense_generator():
    layers = [
        nn.Linear(NOISE, 256),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, 512),
        nn.BatchNorm1d(512),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, nn.Linear(512, 784), nn.Tanh(), nn.Reshape(1, 28, 28))


def dense_discriminator(dropout):
    layers = [nn.Flatten(), nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(256, 1))


def convolutional_generator():
    layers = [nn.Linear(NOISE, 64 * 49), nn.BatchNorm1d(64 * 49), nn.ReLU(), nn.Reshape(64, 7, 7)]
    layers += [nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1)]
    return nn.Sequential(*layers, nn.Tanh())


def convolutional_discriminator(dropout):
    layers = [nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(64 * 49, 1))


class Gan(System):
    """Two networks of dense layers, images as 784 units; or, by the option `convolutional`, of convolutions.

    The texts state no sizes. The form here is that of Radford et al. (2016): batch normalisation in the generator, tanh, Adam with a
    first momentum of 0.5.
    """

    name = "gan"
    id = "S11"
    title = "generator and discriminator trained in turn, on handwritten digits"
    document = "003 §3.2, §4.2; 004 §2.3.2"
    epochs, batch_size, lr = 50, 64, 8e-4
    full = True
    options = MappingProxyType(
        {
            "convolutional": {"default": False, "action": "store_true", "help": "convolutions instead of dense layers"},
            "loss": {"default": "goodfellow", "choices": ("goodfellow", "wasserstein"), "help": "which game is played"},
            "data": {"default": "digits", "choices": ("digits", "fashion"), "help": "what images; fashion is Debian's"},
        }
    )

    def choose(self, settings):
        super().choose(settings)
        if self.chosen["convolutional"]:
            self.epochs, self.lr = 16, 1e-3

    def model(self):
        dropout = 0.3 if self.chosen["loss"] == "goodfellow" else 0.0
        if self.chosen["convolutional"]:
            return Pair(convolutional_generator, convolutional_discriminator(dropout), NOISE)
        return Pair(dense_generator, dense_discriminator(dropout), NOISE)

    def data(self, full):
        load = (
            data.fashion_mnist if self.chosen["data"] == "fashion" else functools.partial(data.mnist, sample=not full)
        )
        return tuple((2 * x - 1, y) for x, y in load())  # from -1 to 1, as tanh

    def example(self, train):
        return (np.zeros((1, NOISE), np.float32),)

    def trainer(self, model, settings):
        step = Wasserstein if self.chosen["loss"] == "wasserstein" else Adversarial
        networks = model.discriminator, model.generator
        return ns.Trainer(step(model, *(self.optimizer(n.parameters(), settings["lr"]) for n in networks)))

    def optimizer(self, parameters, lr):
        return optim.Adam(parameters, lr=lr, betas=(0.5, 0.999), bias_correction=True)

    def callbacks(self, settings, out):
        noise = np.random.default_rng(settings["seed"]).standard_normal((SHOWN, NOISE))
        return [
            Samples(noise, lambda epoch, images: _write(out, "samples", images / 255, title=f"after epoch {epoch}"))
        ]

    def generate(self, model, count=SHOWN, seed=0, folder="."):
        """Write new images as a sheet, and as an IDX file; returns a sentence that says where."""
        images = pixels(model, np.random.default_rng([seed, 1]).standard_normal((count, NOISE)))
        _write(folder, "generated", images)
        path = os.path.join(folder, "generated-idx3-ubyte")
        data.write_idx(path, np.rint(255 * images[:, 0]).astype(np.uint8))
        return f"{count} images in {os.path.join(folder, 'generated.png')} and {path}"

    def report(self, trainer, train, test, out):
        random = np.random.default_rng([trainer.history.epochs, 2])
        model, noise = trainer.model, random.standard_normal((MEASURED, NOISE))
        (x, y), (x_test, y_test) = (((x + 1) / 2, y) for x, y in (train, test))
        images = pixels(model, noise)
        self._draw_learning(trainer, out)
        self._draw_walk(model, noise, out)
        which, far = likeness.nearest(images, x)
        usual = float(np.percentile(likeness.nearest(x_test, x)[1], 1))
        pairs = np.stack([images[:20].reshape(2, 10, *x.shape[1:]), x[which[:20]].reshape(2, 10, *x.shape[1:])], 1)
        _write(
            out,
            "nearest",
            pairs.reshape(40, *x.shape[1:]),
            columns=10,
            title="samples, and under each the nearest image",
        )
        judge = likeness.classifier(x, y)
        shares = likeness.taken(judge, images)
        known, accuracy = likeness.taken(judge, x_test).sum(), judge.evaluate(x_test, y_test)["accuracy"]
        before = likeness.taken(judge, pixels(self.model(), noise)).sum()
        print(
            f"\na classifier of accuracy {accuracy:.4f} takes {known:.3f} of the test images for a class with more than 0.9,"
        )
        print("of the samples " + ", ".join(f"{share:.3f} for {c}" for c, share in enumerate(shares)))
        print(f"nearest training image at {far.min():.2f}; of test images the nearest hundredth is at {usual:.2f}")
        print(f"baseline, the generator before training: {before:.3f}")
        return f"taken for a class {shares.sum():.3f}, the rarest {shares.min():.3f}", {
            "taken": float(shares.sum()),
            "taken_for_each": shares.tolist(),
            "taken_before_training": float(before),
            "taken_of_test_images": float(known),
            "classifier_accuracy": accuracy,
            "nearest": float(far.min()),
            "nearest_of_test_images": usual,
        }

    def _draw_learning(self, trainer, out):
        kept = next(c for c in trainer._callbacks if isinstance(c, Samples)).images
        epochs = sorted({*list(kept)[:: -(-len(kept) // ROWS)], max(kept)})
        strip = np.concatenate([kept[epoch][:10] for epoch in epochs]) / 255
        texts = [f"epoch {epoch}" if i == 0 else "" for epoch in epochs for i in range(len(kept[epoch][:10]))]
        _write(out, "learning", strip, texts, 10, "the same noise, epoch by epoch")

    def _draw_walk(self, model, noise, out):
        angle = np.linspace(0, np.pi / 2, 12)[:, None]  # on a circle, where the noise keeps its variance
        walks = [np.cos(angle) * a + np.sin(angle) * b for a, b in noise[:10].reshape(5, 2, NOISE)]
        _write(out, "walk", pixels(model, np.concatenate(walks)), columns=12, title="from one noise to another")


def _write(out, name, *sheet, **settings):
    write_bytes("train", os.path.join(out, f"{name}.png"), ns.pictures.sheet(*sheet, **settings).png(DPI))


SYSTEM = Gan()
