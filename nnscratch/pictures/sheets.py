"""Many images of one size in one picture."""

import numpy as np

from nnscratch import arguments
from nnscratch.pictures import style


def as_images(owner, images):
    """Images as an array of finite numbers.

    Raises
    ------
    TypeError, ValueError
        Where they are none, or there is not one.

    Examples
    --------
    >>> as_images("sheet", [[[0.0, 1.0]]]).shape
    (1, 1, 2)
    """
    images = arguments.as_array(f"{owner}: images", images)
    if images.ndim not in (3, 4) or images.size == 0:
        raise ValueError(f"{owner}: images has shape {images.shape}, expected (N, C, H, W) or (N, H, W); reshape them")
    arguments.check_finite(f"{owner}: images", images)
    return images


def pixels_of(images, shown):
    """The images of these numbers as (n, h, w) of brightness or (n, h, w, 3) of colour, and the range of brightness.

    Examples
    --------
    >>> pixels_of(np.zeros((3, 1, 2, 2)), [0, 2])[0].shape
    (2, 2, 2)
    """
    low, high = min(0.0, float(images.min())), max(1.0, float(images.max()))
    if images.ndim == 4 and images.shape[1] == 3:
        return (images[shown].transpose(0, 2, 3, 1).astype(np.float64) - low) / (high - low), {}
    images = images[shown].astype(np.float64)
    return images.mean(1) if images.ndim == 4 else images, {"vmin": low, "vmax": high}


def sheet(images, texts=None, columns=None, title=""):
    """Draw images side by side, in rows.

    Parameters
    ----------
    images : array_like, shape (N, C, H, W) or (N, H, W)
        Three channels are drawn as red, green and blue, others by their mean.
    texts : sequence of str, optional
        What stands above each.
    columns : int, optional
        How many stand in a row; by default about as many as there are rows.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        Where there is no image, they hold nan, or there is not a text for each.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> figure = ns.pictures.sheet(np.zeros((4, 1, 8, 8)), ["a", "b", "c", "d"], columns=2)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['a', 'b', 'c', 'd']
    """
    images = as_images("sheet", images)
    columns = arguments.count("sheet", "columns", columns) if columns is not None else int(np.ceil(len(images) ** 0.5))
    texts = [""] * len(images) if texts is None else list(texts)
    arguments.check_lengths("sheet: of images and texts", [images, texts])
    pixels, scale = pixels_of(images, range(len(images)))
    tiles = style.Tiles(pixels, texts, tall=0.5, wide=8.5, gap=0.04, columns=columns)
    with style.picture(max(2.0, tiles.width), tiles.height + 0.3 * bool(title)) as figure:
        axes = figure.subplots()
        tiles.draw(axes, cmap=style.BRIGHTNESS, **scale)
        axes.set_title(title, size=9)
    return figure
