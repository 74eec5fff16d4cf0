"""Learning without labels: a part of each image is hidden, and a network draws it from what is left."""

import numpy as np

from nnscratch.ops.elementwise import where
from nnscratch.program import drawn
from nnscratch.training import Step

GREY = 0.35  # how what is hidden looks


def squares(n, height, width, side, random):
    """Where a square lies in each of n images, at a random place: booleans (n, 1, height, width).

    Examples
    --------
    >>> squares(1, 3, 3, 2, np.random.default_rng(0))[0, 0].astype(int)
    array([[0, 0, 0],
           [0, 1, 1],
           [0, 1, 1]])
    """
    top, left = (random.integers(0, size - side + 1, (n, 1, 1, 1)) for size in (height, width))
    rows, columns = np.arange(height)[:, None], np.arange(width)
    return (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)


def filled(predict, images, side):
    """Where squares are hidden, the same in every call, and what is drawn of images without them.

    Examples
    --------
    >>> hidden, drawn = filled(lambda images: 2 * images, np.ones((1, 1, 3, 3)), 2)
    >>> drawn[0, 0].astype(int)
    array([[2, 2, 2],
           [2, 0, 0],
           [2, 0, 0]])
    """
    hidden = squares(len(images), *images.shape[2:], side, np.random.default_rng(0))
    return hidden, predict(np.where(hidden, 0, images))


def rows(images, hidden, drawn):
    """Images with a part hidden, then with what was drawn there, then as they are.

    Examples
    --------
    >>> images = np.ones((2, 1, 3, 3))
    >>> rows(images, images > 0, images / 2)[:, 0, 0, 0]
    array([0.35, 0.35, 0.5 , 0.5 , 1.  , 1.  ])
    """
    return np.concatenate([np.where(hidden, GREY, images), np.where(hidden, drawn, images), images])


class Filling(Step):
    r"""A network draws images of which a square is hidden, and only what it draws there counts.

    .. math:: L = \frac{1}{n s^2} \sum_{i \text{ hidden}} (\hat{x}_i - x_i)^2

    (for n images with squares of s pixels; that only what is hidden counts is the choice of Devlin et al., 2019, for words, and of He
    et al., 2022, for images.) A batch is of images, and of their labels, which nobody looks at.

    Parameters
    ----------
    model : nn.Module
        Makes images of images.
    optimizer : optim.Optimizer
    side : int
        Of the square, in pixels.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Conv2d(1, 1, 3, padding=1)
    >>> step = Filling(model, ns.optim.SGD(model.parameters(), lr=0.1), 2)
    >>> history = ns.Trainer(step).fit(np.ones((8, 1, 4, 4)), epochs=2, verbose=False)
    >>> list(history)
    ['loss', 'lr', 'seconds']
    """

    def __init__(self, model, optimizer, side):
        self.model, self.optimizer, self.side = model, optimizer, side

    def update(self, images, labels=None):
        loss = self.loss(images)
        self.minimize(loss, self.optimizer, len(images))
        return {"loss": loss}

    def measure(self, images, labels=None):
        return {"loss": self.loss(images)}

    def predict(self, images):
        return self.model(images)

    def loss(self, images):
        n, _, height, width = images.shape
        hidden = drawn(squares, n, height, width, self.side).to(images.device)
        wrong = where(hidden, self.model(where(hidden, 0, images)) - images, 0)
        return (wrong * wrong).sum() / (n * self.side**2)
