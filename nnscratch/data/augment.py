"""Augmentation of images (N, C, H, W): exact transformations, and random ones for training.

Positions are in pixels, rows downwards and columns to the right; turning and scaling keep the centre
((H - 1) / 2, (W - 1) / 2) in place. A value between pixels is read by bilinear interpolation; beyond the edge
all is 0. Nothing here changes its input.
"""

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_array, as_data, check_finite
from nnscratch.backend import generator
from nnscratch.data.seeding import drawn_from


def shift(images, down=0.0, right=0.0):
    """Move images by a number of pixels, filling with 0.

    Parameters
    ----------
    images : array_like, float, shape (N, C, H, W)
        The images.
    down, right : float or array_like, shape (N,)
        Pixels to move by, for all images or for each; negative is up or left, fractions interpolate.

    Returns
    -------
    numpy.ndarray
        The same shape and dtype.

    Raises
    ------
    TypeError
        If the images are not floating numbers.
    ValueError
        If they are not (N, C, H, W), are empty, or hold nan or infinity.

    Examples
    --------
    >>> shift(np.ones((1, 1, 2, 3), np.float32), right=1)
    array([[[[0., 1., 1.],
             [0., 1., 1.]]]], dtype=float32)
    """
    images = _check_images("shift", images)
    down, right = _each("shift: down", down, images), _each("shift: right", right, images)
    rows, columns = _grid(images)
    return _read(images, rows - down, columns - right)


def rotate(images, degrees=0.0):
    """Turn images counter-clockwise about their centre, filling with 0; 90 degrees is `numpy.rot90` if H = W.

    Parameters
    ----------
    images : array_like, float, shape (N, C, H, W)
        The images.
    degrees : float or array_like, shape (N,)
        The angle, for all images or for each.

    Returns
    -------
    numpy.ndarray
        The same shape and dtype.

    Raises
    ------
    TypeError, ValueError
        As in `shift`.

    Examples
    --------
    >>> rotate(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), 90)
    array([[[[2., 4.],
             [1., 3.]]]])
    """
    images = _check_images("rotate", images)
    angle = np.deg2rad(_each("rotate: degrees", degrees, images))
    (rows, columns), (middle_row, middle_column) = _grid(images), _centre(images)
    y, x = rows - middle_row, columns - middle_column
    cos, sin = np.cos(angle), np.sin(angle)
    return _read(images, y * cos + x * sin + middle_row, x * cos - y * sin + middle_column)


def scale(images, factor=1.0):
    """Enlarge (factor above 1) or shrink (below 1) what the images show, about their centre, filling with 0.

    Parameters
    ----------
    images : array_like, float, shape (N, C, H, W)
        The images.
    factor : float or array_like, shape (N,)
        From 1e-6 to 1e6, for all images or for each.

    Returns
    -------
    numpy.ndarray
        The same shape and dtype.

    Raises
    ------
    TypeError, ValueError
        As in `shift`, or if a factor is below 1e-6.

    Examples
    --------
    >>> scale(np.array([[[[0.0, 1.0, 0.0]]]]), 2)
    array([[[[0.5, 1. , 0.5]]]])
    """
    images = _check_images("scale", images)
    factor = _each("scale: factor", factor, images)
    if factor.min() < 1e-6:
        raise ValueError(f"scale: factor is {factor.min():g}, wants a number of at least 1e-6; 1 keeps the size")
    (rows, columns), (middle_row, middle_column) = _grid(images), _centre(images)
    return _read(images, (rows - middle_row) / factor + middle_row, (columns - middle_column) / factor + middle_column)


def crop(images, top, left, height, width):
    """Cut a rectangle out of images.

    Parameters
    ----------
    images : array_like, float, shape (N, C, H, W)
        The images.
    top, left : int or array_like of int, shape (N,)
        The first row and column, for all images or for each.
    height, width : int
        The rectangle's size; it must lie inside the images.

    Returns
    -------
    numpy.ndarray
        Shape (N, C, height, width), a copy with the same dtype.

    Raises
    ------
    TypeError
        If the images are not floating numbers, or a place or size is not whole.
    ValueError
        If the rectangle is not inside the images, or as in `shift`.

    Examples
    --------
    >>> crop(np.arange(9.0).reshape(1, 1, 3, 3), top=1, left=0, height=2, width=2)
    array([[[[3., 4.],
             [6., 7.]]]])
    """
    images = _check_images("crop", images)
    height, width = arguments.count("crop", "height", height), arguments.count("crop", "width", width)
    top, left = _each("crop: top", top, images), _each("crop: left", left, images)
    if (top % 1).any() or (left % 1).any():
        raise TypeError("crop: top or left holds a fraction, wants whole pixels; round them or use shift")
    h, w = images.shape[2:]
    if min(top.min(), left.min()) < 0 or top.max() + height > h or left.max() + width > w:
        got = f"{height} x {width} at top {top.min():g} to {top.max():g}, left {left.min():g} to {left.max():g}"
        raise ValueError(f"crop: {got} is not inside images of {h} x {w}; choose a smaller size or another place")
    n = np.arange(len(images))[:, None, None, None]
    channel = np.arange(images.shape[1])[:, None, None]
    rows = top.astype(int)[..., None] + np.arange(height)[:, None]
    columns = left.astype(int)[..., None] + np.arange(width)
    return images[n, channel, rows, columns]


def flip(images, axis=-1):
    """Mirror images: left to right (axis -1) or top to bottom (axis -2). A mirrored digit is none.

    Parameters
    ----------
    images : array_like, float, shape (N, C, H, W)
        The images.
    axis : int
        -1 or 3 for the columns, -2 or 2 for the rows.

    Returns
    -------
    numpy.ndarray
        A copy with the same shape and dtype.

    Raises
    ------
    TypeError, ValueError
        As in `shift`, or for another axis.

    Examples
    --------
    >>> flip(np.array([[[[1.0, 2.0]]]]))
    array([[[[2., 1.]]]])
    """
    images = _check_images("flip", images)
    return np.flip(images, _check_axis("flip", axis)).copy()


class _Random:
    """A transformation with random parameters, drawn anew for each image: from a seed, a Generator, or (None) what `ns.manual_seed` seeds.

    While a DataLoader makes a batch they are drawn from that batch's generator: see `ns.data.generator`.
    """

    def __init__(self, seed):
        self._own = generator(type(self).__name__, seed)

    @property
    def _generator(self):
        return drawn_from(self._own)

    def _check(self, images):
        return _check_images(type(self).__name__, images)


class RandomShift(_Random):
    """Move each image by up to ``pixels`` each way, as `shift` does; by whole pixels only if ``whole``.

    Parameters
    ----------
    pixels : float
        At least 0.
    whole : bool
    seed : int, numpy.random.Generator or None
        Where the random numbers come from; None: what `ns.manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> RandomShift(2, seed=0)(np.ones((5, 1, 28, 28), np.float32)).shape
    (5, 1, 28, 28)
    """

    def __init__(self, pixels, whole=False, seed=None):
        super().__init__(seed)
        self.pixels = arguments.number("RandomShift", "pixels", pixels, 0, 1e6)
        self.whole = whole

    def __call__(self, images):
        """Return moved copies of the images (N, C, H, W)."""
        images = self._check(images)
        if self.whole:
            limit = int(self.pixels)
            down, right = self._generator.integers(-limit, limit + 1, (2, len(images)))
        else:
            down, right = self._generator.uniform(-self.pixels, self.pixels, (2, len(images)))
        return shift(images, down, right)


class RandomRotate(_Random):
    """Turn each image by up to ``degrees`` either way, as `rotate` does.

    Parameters
    ----------
    degrees : float
        From 0 to 360.
    seed : int, numpy.random.Generator or None
        Where the random numbers come from; None: what `ns.manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> RandomRotate(10, seed=0)(np.ones((5, 1, 28, 28), np.float32)).dtype
    dtype('float32')
    """

    def __init__(self, degrees, seed=None):
        super().__init__(seed)
        self.degrees = arguments.number("RandomRotate", "degrees", degrees, 0, 360)

    def __call__(self, images):
        """Return turned copies of the images (N, C, H, W)."""
        images = self._check(images)
        return rotate(images, self._generator.uniform(-self.degrees, self.degrees, len(images)))


class RandomScale(_Random):
    """Scale each image by a factor between ``low`` and ``high``, as `scale` does.

    Parameters
    ----------
    low, high : float
        Above 0; `high` at least `low`.
    seed : int, numpy.random.Generator or None
        Where the random numbers come from; None: what `ns.manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> RandomScale(0.9, 1.1, seed=0)(np.ones((5, 1, 28, 28), np.float32)).shape
    (5, 1, 28, 28)
    """

    def __init__(self, low, high, seed=None):
        super().__init__(seed)
        self.low = arguments.number("RandomScale", "low", low, 1e-6, 1e6)
        self.high = arguments.number("RandomScale", "high", high, self.low, 1e6)

    def __call__(self, images):
        """Return scaled copies of the images (N, C, H, W)."""
        images = self._check(images)
        return scale(images, self._generator.uniform(self.low, self.high, len(images)))


class RandomCrop(_Random):
    """Cut a rectangle out of each image at a random place, after adding ``padding`` zeros on every side.

    Parameters
    ----------
    height, width : int
        Of the rectangle, in pixels.
    padding : int
    seed : int, numpy.random.Generator or None
        Where the random numbers come from; None: what `ns.manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> RandomCrop(28, 28, padding=2, seed=0)(np.ones((5, 1, 28, 28), np.float32)).shape
    (5, 1, 28, 28)
    """

    def __init__(self, height, width, padding=0, seed=None):
        super().__init__(seed)
        self.height = arguments.count("RandomCrop", "height", height)
        self.width = arguments.count("RandomCrop", "width", width)
        self.padding = arguments.count("RandomCrop", "padding", padding, 0)

    def __call__(self, images):
        """Return rectangles (N, C, height, width) out of the images (N, C, H, W)."""
        images = self._check(images)
        p = self.padding
        padded = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p)))
        free_rows, free_columns = padded.shape[2] - self.height, padded.shape[3] - self.width
        if min(free_rows, free_columns) < 0:
            got = f"{self.height} x {self.width} out of images of {images.shape[2]} x {images.shape[3]}"
            raise ValueError(f"RandomCrop: {got} with padding {p} does not fit; choose a smaller size")
        top = self._generator.integers(0, free_rows + 1, len(images))
        left = self._generator.integers(0, free_columns + 1, len(images))
        return crop(padded, top, left, self.height, self.width)


class RandomFlip(_Random):
    """Mirror each image with probability ``p``, as `flip` does.

    Parameters
    ----------
    p : float
        From 0 to 1.
    axis : int
        -1 mirrors left and right, -2 top and bottom.
    seed : int, numpy.random.Generator or None
        Where the random numbers come from; None: what `ns.manual_seed` seeds.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> RandomFlip(p=1, seed=0)(np.array([[[[1.0, 2.0]]]]))
    array([[[[2., 1.]]]])
    """

    def __init__(self, p=0.5, axis=-1, seed=None):
        super().__init__(seed)
        self.p = arguments.number("RandomFlip", "p", p, 0, 1)
        self.axis = _check_axis("RandomFlip", axis)

    def __call__(self, images):
        """Return copies of the images (N, C, H, W), some of them mirrored."""
        images = self._check(images)
        chosen = self._generator.random(len(images)) < self.p
        return np.where(chosen[:, None, None, None], np.flip(images, self.axis), images)


class Compose:
    """Apply transformations one after the other.

    Parameters
    ----------
    transformations : sequence of callables
        Each takes images and returns images.

    Raises
    ------
    TypeError
        If one of them cannot be called.

    Examples
    --------
    >>> both = Compose([flip, lambda images: shift(images, right=1)])
    >>> both(np.array([[[[1.0, 2.0]]]]))
    array([[[[0., 2.]]]])
    """

    def __init__(self, transformations):
        if callable(transformations) or isinstance(transformations, (str, bytes)):
            transformations = [None]
        self.transformations = list(transformations)
        for transformation in self.transformations:
            if not callable(transformation):
                got = f"got {transformation!r} as a transformation"
                raise TypeError(f"Compose: {got}, wants a list of callables; call it as Compose([a, b])")

    def __call__(self, images):
        """Return the images after all transformations."""
        for transformation in self.transformations:
            images = transformation(images)
        return images


def _check_images(operation, images):
    images = as_data(f"{operation}: images", images)
    if images.dtype.kind != "f":
        raise TypeError(f"{operation}: images have dtype {images.dtype}, wants floats; use images / numpy.float32(255)")
    if images.ndim != 4 or images.size == 0:
        raise ValueError(f"{operation}: images have shape {images.shape}, wants (N, C, H, W), none 0; reshape them")
    check_finite(f"{operation}: images", images)
    return images


def _check_axis(operation, axis):
    if isinstance(axis, bool) or axis not in (-1, -2, 2, 3):
        raise ValueError(f"{operation}: axis is {axis!r}, wants -1 (left to right) or -2 (top to bottom); pass one")
    return axis


def _each(what, value, images):
    """Return a parameter as float64 of shape (N, 1, 1) or (1, 1, 1), to go with rows and columns."""
    value = as_array(what, value).astype(np.float64)
    if not (np.abs(value) <= 1e6).all():
        raise ValueError(f"{what} holds {value.min():g} to {value.max():g}, wants finite numbers up to 1e6; check them")
    if value.shape not in ((), (len(images),)):
        raise ValueError(f"{what} has shape {value.shape}, wants one number or ({len(images)},); pass one per image")
    return value.reshape(-1, 1, 1)


def _grid(images):
    height, width = images.shape[2:]
    return np.arange(height)[:, None], np.arange(width)


def _centre(images):
    return (images.shape[2] - 1) / 2, (images.shape[3] - 1) / 2


def _read(images, rows, columns):
    """Read the images at positions of shape (N or 1, H, W), between pixels by bilinear interpolation."""
    n, c, height, width = images.shape
    # Rounded, so that rounding noise in a position on a pixel cannot mix in that pixel's neighbour.
    rows, columns = np.broadcast_arrays(*(np.round(np.broadcast_to(p, (n, height, width)), 9) for p in (rows, columns)))
    top, left = np.floor(rows), np.floor(columns)
    down, right = rows - top, columns - left
    flat = images.reshape(n, c, height * width)
    result = np.zeros(flat.shape, images.dtype)
    for row, row_weight in ((top, 1 - down), (top + 1, down)):
        for column, column_weight in ((left, 1 - right), (left + 1, right)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = np.where(inside, row * width + column, 0).astype(np.intp).reshape(n, 1, -1)
            weight = np.where(inside, row_weight * column_weight, 0).astype(images.dtype).reshape(n, 1, -1)
            result += weight * np.take_along_axis(flat, place, axis=2)
    return result.reshape(images.shape)
