"""S11: a generator and a discriminator trained in turn on handwritten digits (003 §3.2, §4.2; 004 §2.3.2)."""

from types import MappingProxyType

import numpy as np

import nnscratch as ns
from nnscratch import data, nn, optim
from nnscratch.systems import likeness
from nnscratch.systems.adversarial import Adversarial, Pair, Wasserstein
from nnscratch.systems.made_images import Samples, draw, pixels, write_images
from nnscratch.systems.system import System

NOISE, SHOWN, MEASURED = 64, 64, 1000


def dense(dropout):
    def generator():
        layers = [nn.Linear(NOISE, 256), nn.BatchNorm1d(256), nn.ReLU()]
        layers += [nn.Linear(256, 512), nn.BatchNorm1d(512), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(512, 784), nn.Tanh(), nn.Reshape(1, 28, 28))

    layers = [nn.Flatten(), nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Dropout(dropout)]
    layers += [nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(256, 1)]
    return Pair(generator, nn.Sequential(*layers), NOISE)


def convolutional(dropout):
    def generator():
        layers = [nn.Linear(NOISE, 64 * 49), nn.BatchNorm1d(64 * 49), nn.ReLU(), nn.Reshape(64, 7, 7)]
        layers += [nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU()]
        return nn.Sequential(*layers, nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh())

    layers = [nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2)]
    layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear(64 * 49, 1)]
    return Pair(generator, nn.Sequential(*layers), NOISE)


class Gan(System):
    """Two networks of dense layers, images as 784 units; or, by the option `convolutional`, of convolutions.

    The texts state no sizes; batch normalisation in the generator, tanh, and Adam's first momentum are those of Radford et al. (2016).
    """

    name = "gan"
    id = "S11"
    title = "generator and discriminator trained in turn, on handwritten digits"
    document = "003 §3.2, §4.2; 004 §2.3.2"
    epochs, batch_size, lr = 52, 64, 8e-4
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
        networks = convolutional if self.chosen["convolutional"] else dense
        return networks(0.3 if self.chosen["loss"] == "goodfellow" else 0.0)

    def data(self, full):
        parts = data.fashion_mnist() if self.chosen["data"] == "fashion" else data.mnist(sample=not full)
        return tuple((2 * x - 1, y) for x, y in parts)  # from -1 to 1, as tanh

    def example(self, train):
        return (np.zeros((1, NOISE), np.float32),)

    def trainer(self, model, settings):
        step = Wasserstein if self.chosen["loss"] == "wasserstein" else Adversarial
        networks = model.discriminator, model.generator
        return ns.Trainer(step(model, *(self.optimizer(n.parameters(), settings["lr"]) for n in networks)))

    def optimizer(self, parameters, lr):
        return optim.Adam(parameters, lr=lr, betas=(0.5, 0.999), bias_correction=True)

    def callbacks(self, settings, out):
        return [Samples(np.random.default_rng(settings["seed"]).standard_normal((SHOWN, NOISE)), out)]

    def generate(self, model, count=SHOWN, seed=0, folder="."):
        """Write new images as a sheet, and as an IDX file; returns a sentence that says where."""
        return write_images(pixels(model, np.random.default_rng([seed, 1]).standard_normal((count, NOISE))), folder)

    def report(self, trainer, train, test, out):
        noise = np.random.default_rng([trainer.history.epochs, 2]).standard_normal((MEASURED, NOISE))
        train, test = (((x + 1) / 2, y) for x, y in (train, test))
        images, before = (pixels(model, noise) for model in (trainer.model, self.model()))
        draw(trainer, noise[:10], images[:20], train[0], out)
        found = likeness.compare(images, before, train, test)
        return f"taken for a class {found['taken']:.3f}, the rarest {min(found['taken_for_each']):.3f}", found


SYSTEM = Gan()
