"""Scaling of features, fitted on training data only."""

import numpy as np

from nnscratch.arguments import as_samples, check_finite

#: By how many times eps (of a dtype of so many bytes) a constant feature may vary: what some rounded operations leave.
LAST_PLACES = {2: 1, 4: 8, 8: 8}
BLOCK = 1 << 22  # values that are scaled at a time


class _Scaler:
    """A map x -> (x - offset) / scale for each feature; a subclass says how both follow from the data.

    Whole numbers are subtracted exactly, floating-point ones in float64, and the result is rounded once to its dtype.
    """

    def __init__(self, axis=0):
        axes = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
        if axis == () or any(isinstance(a, bool) or not isinstance(a, (int, np.integer)) for a in axes):
            wanted = "an int, a tuple of ints or None"
            raise TypeError(f"{self._name}: axis is {axis!r}, wants {wanted}; pass axis=0")
        self.axis = axis
        self.offset = self.scale = None

    @property
    def _name(self):
        return type(self).__name__

    def fit(self, x):
        """Learn offset and scale from training data, and return self.

        Parameters
        ----------
        x : array_like
            Finite numbers; the statistics are taken over ``axis`` in float64.

        Raises
        ------
        ValueError
            If ``x`` is empty, holds nan or infinity, has no such axis, or its spread does not fit its dtype.
        """
        x = self._check("fit", x)
        try:
            low = x.min(axis=self.axis, keepdims=True)
            high = x.max(axis=self.axis, keepdims=True)
        except ValueError:
            got = f"axis={self.axis} does not fit x of shape {x.shape}"
            raise ValueError(f"{self._name}.fit: {got}, wants different axes of x; choose others") from None
        dtype = _working_dtype(x)
        with np.errstate(over="ignore", invalid="ignore"):
            pivot = x.mean(axis=self.axis, keepdims=True, dtype=np.float64)
            if x.dtype.kind != "f":
                pivot = np.rint(pivot)
            rest, scale = self._statistics(_difference(x, pivot))
            # A constant feature becomes exactly 0 and does not divide by 0.
            rest = np.where(low == high, _difference(low, pivot), rest)
            scale = np.where(self._constant(x, low, high), 1.0, scale)
            offset = np.where(low == high, low, pivot + rest)
            fits = np.isfinite(offset) & np.isfinite(scale.astype(dtype)) & (scale.astype(dtype) > 0)
        if not fits.all():
            got = f"the spread {scale[~fits][0]:g} of a feature does not fit {dtype}"
            raise ValueError(f"{self._name}.fit: {got}, wants a positive finite one; rescale or use float64")
        axes = range(x.ndim) if self.axis is None else np.arange(x.ndim)[np.atleast_1d(self.axis)]
        self._features = tuple(None if i in axes else n for i, n in enumerate(x.shape))
        # The offset in two parts, the second of which has the digits that the first has no room for.
        self._pivot, self._rest = pivot, rest
        self.offset, self.scale = offset, scale
        return self

    def _constant(self, x, low, high):
        """Whether a feature's values differ by no more than rounding: not at all, or, where they are not whole numbers, by units of
        the last place.
        """
        if x.dtype.kind != "f":
            return low == high
        whole = (x == np.rint(x)).all(axis=self.axis, keepdims=True)
        room = (
            LAST_PLACES[x.dtype.itemsize]
            * np.finfo(x.dtype).eps
            * np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
        )
        return (low == high) | (~whole & (high.astype(np.float64) - low <= room))

    def transform(self, x):
        """Return ``(x - offset) / scale``; floating dtypes are kept, integers become float32."""
        return self._apply("transform", x, lambda x, pivot, rest, scale: (_difference(x, pivot) - rest) / scale)

    def inverse(self, x):
        """Return ``x * scale + offset``, which undoes `transform` up to rounding."""
        return self._apply("inverse", x, lambda x, pivot, rest, scale: (x * scale.astype(np.float64) + rest) + pivot)

    def _apply(self, method, x, formula):
        x = self._check(method, x)
        if self.offset is None:
            got = "nothing is fitted yet"
            raise ValueError(f"{self._name}.{method}: {got}, wants fit first; call fit(training data)")
        features = self._features
        if x.ndim != len(features) or any(f not in (None, n) for f, n in zip(features, x.shape, strict=True)):
            wanted = "(" + ", ".join("any" if f is None else str(f) for f in features) + ")"
            got = f"x has shape {x.shape}, was fitted to {wanted}"
            raise ValueError(f"{self._name}.{method}: {got}; pass the same features")
        result = np.empty(x.shape, x.dtype if x.dtype.kind == "f" else np.float32)
        parts = self._pivot, self._rest, self.scale
        with np.errstate(over="ignore", invalid="ignore"):
            step = max(1, BLOCK // max(1, x[:1].size))
            for start in range(0, len(x), step):  # whose float64 copies are small
                rows = slice(start, start + step)
                result[rows] = formula(x[rows], *(p if len(p) == 1 else p[rows] for p in parts))
        check_finite(f"{self._name}.{method}: the result in {result.dtype}", result)
        return result

    def _check(self, method, x):
        what = f"{self._name}.{method}: x"
        x = as_samples(what, x)
        check_finite(what, x)
        return x


def _difference(x, pivot):
    """``x - pivot`` in float64; of whole numbers what is whole is subtracted exactly."""
    if x.dtype.kind == "f":
        return x.astype(np.float64, copy=False) - pivot
    if x.size and np.isfinite(pivot).all():
        whole = np.floor(pivot)
        ends = [int(x.min()), int(x.max()), int(whole.min()), int(whole.max())]
        if max(ends) - min(ends) < 2**63:  # so that what is left modulo 2**64 is the difference
            modulo = np.array([int(v) % 2**64 for v in whole.flat], np.uint64).reshape(pivot.shape)
            exact = (x.astype(np.int64 if x.dtype.kind == "i" else np.uint64).view(np.uint64) - modulo).view(np.int64)
            return exact - (pivot - whole)
    return x.astype(np.float64) - pivot


def _working_dtype(x):
    """Return the dtype that a spread has to fit: float16 is too coarse, and integers become float32."""
    return np.dtype(np.float64 if x.dtype == np.float64 else np.float32)


class Standardize(_Scaler):
    """Scale each feature to mean 0 and standard deviation 1: ``(x - mean) / std`` of the training data.

    The deviation is the population's, ``sqrt(mean((x - mean)**2))``. A constant feature keeps scale 1, also one that is constant but
    for rounding: whose values are no whole numbers and differ by 8 eps of their dtype at most (float16: 1 eps).

    Parameters
    ----------
    axis : int, tuple of int or None
        The axes the statistics are taken over: 0 for a table (N, F), (0, 2, 3) for each channel of images
        (N, C, H, W), None for one mean and deviation in all.

    Attributes
    ----------
    offset, scale : numpy.ndarray or None
        Mean and deviation, float64, with the reduced axes kept as 1; None before `fit`.

    Raises
    ------
    TypeError
        If ``axis`` or the data are of the wrong type.
    ValueError
        If data hold nan or infinity, have other features than were fitted, or nothing is fitted yet.

    Examples
    --------
    >>> train = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler = Standardize().fit(train)
    >>> scaler.transform(train)
    array([[-1.,  0.],
           [ 1.,  0.]])
    >>> scaler.inverse(scaler.transform(train))
    array([[1., 5.],
           [3., 5.]])
    """

    def _statistics(self, x):
        mean = x.mean(axis=self.axis, keepdims=True)
        return mean, x.std(axis=self.axis, keepdims=True, mean=mean)


class MinMax(_Scaler):
    """Scale each feature to [0, 1]: ``(x - min) / (max - min)``, both from the training data.

    Other data may fall outside [0, 1]: nothing is clipped. A constant feature keeps scale 1 and becomes 0, as in `Standardize`.

    Parameters
    ----------
    axis : int, tuple of int or None
        The axes the extremes are taken over, as in `Standardize`.

    Attributes
    ----------
    offset, scale : numpy.ndarray or None
        Minimum and range, float64, with the reduced axes kept as 1; None before `fit`.

    Raises
    ------
    TypeError
        If ``axis`` or the data are of the wrong type.
    ValueError
        If data hold nan or infinity, have other features than were fitted, or nothing is fitted yet.

    Examples
    --------
    >>> scaler = MinMax().fit([[0.0], [4.0]])
    >>> scaler.transform([[1.0], [8.0]])
    array([[0.25],
           [2.  ]], dtype=float32)
    """

    def _statistics(self, x):
        low = x.min(axis=self.axis, keepdims=True)
        return low, x.max(axis=self.axis, keepdims=True) - low
