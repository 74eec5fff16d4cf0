"""How all pictures look: their colours, lines and maps, and the figure they are drawn on."""

import contextlib
import io

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

# Okabe & Ito (2008), "Color Universal Design". Each has a dash and a marker of its own, for printing in grey.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: Lines: of training, of validation, and what they are compared with.
TRAINING = {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 3.5}
VALIDATION = {"color": VERMILLION, "linestyle": "--", "marker": "s", "markersize": 3.5, "markerfacecolor": "white"}
REFERENCE = {"color": "0.35", "linestyle": ":", "linewidth": 1.2}
#: Maps whose lightness grows evenly: of shares and of sizes; of brightness; and of signed values, white at 0.
SHARES, SIZES, BRIGHTNESS, SIGNED = "Blues", "viridis", "gray_r", "RdBu_r"

_STYLE = [
    "default",  # whatever style is in use elsewhere
    {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "grid.alpha": 0.3,
        "legend.fontsize": "small",
    },
]


class Picture(Figure):
    """A figure that a notebook shows even where pyplot, whose import would teach it to, was never imported.

    Examples
    --------
    >>> Picture().png()[:4]
    b'\\x89PNG'
    """

    def draw(self, renderer):
        """Draw it in its own style: ticks are made, and sizes worked out, only here."""
        with matplotlib.style.context(_STYLE):
            super().draw(renderer)

    def png(self, dpi=100):
        """The picture as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_png_(self):
        return self.png()


@contextlib.contextmanager
def picture(width, height):
    """A new figure of so many inches, to be drawn on within the block, where the style holds.

    Examples
    --------
    >>> with picture(4, 3) as figure:
    ...     axes = figure.subplots()
    >>> axes.spines["top"].get_visible()
    False
    """
    with matplotlib.style.context(_STYLE):
        yield Picture(figsize=(width, height), layout="constrained")


class Tiles:
    """Images of one size side by side in one array, each with room for a text above: far faster than one axes for each.

    Parameters
    ----------
    images : (n, h, w) or (n, h, w, 3) array
    texts : sequence of str
        One for each image.
    tall : float
        An image's height in inches.
    wide : float
        The width in inches that all of them may take.
    gap : float
        The distance between images in inches.
    columns : int, optional
        How many images stand in a row; by default as many as find room.

    Attributes
    ----------
    width, height : float
        Of them all, in inches.

    Examples
    --------
    >>> tiles = Tiles(np.zeros((3, 28, 28)), ["a", "b", "c"], tall=0.7, wide=2)
    >>> tiles.columns, tiles.rows
    (2, 2)
    """

    SIZE = 6.5  # of the texts, in points
    LETTER = 0.6 * SIZE / 72  # an average letter's width in inches

    def __init__(self, images, texts, tall, wide, gap=0.08, columns=None):
        lines = [line for text in texts for line in text.split("\n")]
        # Small images are enlarged, so that a text's height is a whole number of pixels.
        self.scale = -(-24 // min(images.shape[1:3]))
        self.images = images.repeat(self.scale, 1).repeat(self.scale, 2)
        self.texts = texts
        pixels = self.images.shape[1] / tall  # in an inch
        room = max(map(len, lines), default=0) * self.LETTER * pixels - self.images.shape[2]
        self.side = max(int(np.ceil(gap / 2 * pixels)), int(np.ceil(room / 2)))
        above = max((1 + text.count("\n") for text in texts if text), default=0)
        self.head = int(np.ceil((above * 1.3 * self.SIZE / 72 + gap / 2) * pixels))
        self.tile = self.images.shape[1] + self.head, self.images.shape[2] + 2 * self.side
        self.columns = min(columns or max(1, int(wide * pixels / self.tile[1])), max(1, len(images)))
        self.rows = max(1, -(-len(images) // self.columns))
        self.height, self.width = self.rows * self.tile[0] / pixels, self.columns * self.tile[1] / pixels

    def corner(self, k):
        """The row and column at which image k begins."""
        return k // self.columns * self.tile[0] + self.head, k % self.columns * self.tile[1] + self.side

    def draw(self, axes, **settings):
        """Draw them all; returns the image that was drawn."""
        images = self.images
        sheet = np.full((self.rows * self.tile[0], self.columns * self.tile[1], *images.shape[3:]), np.nan)
        if images.ndim == 4:
            sheet[...] = 1  # white: where colours are given outright, nan is black
        for k, (image, text) in enumerate(zip(images, self.texts, strict=True)):
            top, left = self.corner(k)
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
            middle = left + image.shape[1] / 2 - 0.5
            axes.text(middle, top - 1 - 0.03 * self.head, text, size=self.SIZE, ha="center", va="bottom", linespacing=1)
        axes.axis("off")
        return axes.imshow(sheet, interpolation="nearest", **settings)


def colour_bar(figure, drawn, axes, label):
    """Say beside `axes` what the colours mean."""
    return figure.colorbar(drawn, ax=axes, label=label, fraction=0.05, pad=0.02, aspect=25)


def limit(values):
    """The bound v of a map from -v to v that holds all values; never 0.

    Examples
    --------
    >>> limit(np.array([-3.0, 1.0])), limit(np.zeros(2))
    (3.0, 1.0)
    """
    return float(np.nanmax(np.abs(values), initial=0)) or 1.0
