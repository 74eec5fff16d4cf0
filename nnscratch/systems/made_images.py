"""What a generator makes, as images and as pictures of many: epoch by epoch, between two noises, and beside given images."""

import os

import numpy as np

from nnscratch import data
from nnscratch.systems.likeness import nearest
from nnscratch.systems.system import write_sheet
from nnscratch.training import Callback

ROWS, COLUMNS, STEPS = 10, 10, 12


class Samples(Callback):
    """Keep what the generator makes of the same noise after each epoch, in whole numbers from 0 to 255.

    Parameters
    ----------
    noise : array
    out : str, optional
        A folder, into which they are drawn after each epoch.

    Attributes
    ----------
    images : dict of int to array
        By epoch.

    Examples
    --------
    >>> Samples(np.zeros((2, 3))).images
    {}
    """

    def __init__(self, noise, out=None):
        self.noise, self._out, self.images = noise, out, {}

    def on_fit_begin(self, trainer):
        self.images = {}

    def on_epoch_end(self, trainer, epoch, logs):
        self.images[epoch] = np.rint(255 * pixels(trainer.model, self.noise)).astype(np.uint8)
        if self._out is not None:
            write_sheet(self._out, "samples", self.images[epoch] / 255, title=f"after epoch {epoch}")

    def state_dict(self):
        return {str(epoch): images for epoch, images in self.images.items()}

    def load_state_dict(self, state):
        self.images = {int(epoch): images for epoch, images in sorted(state.items(), key=lambda item: int(item[0]))}


def pixels(model, noise):
    """The images (n, 1, 28, 28) that a pair makes of noise, from 0 to 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch.systems.adversarial import Pair
    >>> pixels(Pair(lambda: ns.nn.Linear(2, 784), ns.nn.Linear(784, 1), 2), np.zeros((3, 2))).shape
    (3, 1, 28, 28)
    """
    from nnscratch.pictures.running import outputs

    return (outputs("gan", model.averaged, noise.astype(np.float32)).reshape(-1, 1, 28, 28).clip(-1, 1) + 1) / 2


def draw(trainer, noise, images, given, out):
    """Draw how the generator has learnt, what it makes between pairs of noises, and given images that are nearest to made ones."""
    draw_learning(trainer, out)
    draw_walk(trainer.model, noise, out)
    draw_nearest(images, given, out)


def draw_learning(trainer, out):
    """Draw what the `Samples` of a run kept: a row for each epoch, or of many epochs for some of them."""
    kept = next(c for c in trainer._callbacks if isinstance(c, Samples)).images
    epochs = sorted({*list(kept)[:: -(-len(kept) // ROWS)], max(kept)})
    strip = np.concatenate([kept[epoch][:COLUMNS] for epoch in epochs]) / 255
    texts = [f"epoch {epoch}" if i == 0 else "" for epoch in epochs for i in range(len(kept[epoch][:COLUMNS]))]
    write_sheet(out, "learning", strip, texts, COLUMNS, "the same noise, epoch by epoch")


def draw_walk(model, noise, out):
    """Draw what lies between pairs of noises, which follow each other in an array."""
    angle = np.linspace(0, np.pi / 2, STEPS)[:, None]  # on a circle, where the noise keeps its variance
    walks = [np.cos(angle) * a + np.sin(angle) * b for a, b in noise.reshape(-1, 2, model.noise)]
    write_sheet(out, "walk", pixels(model, np.concatenate(walks)), columns=STEPS, title="from one noise to another")


def draw_nearest(images, given, out):
    """Draw rows of images, and under each the nearest of given ones."""
    found = given[nearest(images, given)[0]]
    pairs = np.stack([a.reshape(-1, COLUMNS, *a.shape[1:]) for a in (images, found)], 1)
    title = "samples, and under each the nearest image"
    write_sheet(out, "nearest", pairs.reshape(-1, *images.shape[1:]), columns=COLUMNS, title=title)


def write_images(images, folder):
    """Write images as a sheet and as an IDX file; returns a sentence that says where."""
    write_sheet(folder, "generated", images)
    path = os.path.join(folder, "generated-idx3-ubyte")
    data.write_idx(path, np.rint(255 * images[:, 0]).astype(np.uint8))
    return f"{len(images)} images in {os.path.join(folder, 'generated.png')} and {path}"
