"""Scaling of features, fitted on training data only."""

import numpy as np

from nnscratch.arguments import as_samples, check_finite


class _Scaler:
    """A map x -> (x - offset) / scale for each feature; a subclass says how both follow from the data."""

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
        constant = low == high
        with np.errstate(over="ignore", invalid="ignore"):
            offset, scale = self._statistics(x, low.astype(np.float64), high.astype(np.float64))
            # A constant feature becomes exactly 0 and does not divide by 0.
            offset, scale = np.where(constant, low, offset), np.where(constant, 1.0, scale)
            fits = np.isfinite(offset) & np.isfinite(scale.astype(dtype)) & (scale.astype(dtype) > 0)
        if not fits.all():
            got = f"the spread {scale[~fits][0]:g} of a feature does not fit {dtype}"
            raise ValueError(f"{self._name}.fit: {got}, wants a positive finite one; rescale or use float64")
        axes = range(x.ndim) if self.axis is None else np.arange(x.ndim)[np.atleast_1d(self.axis)]
        self._features = tuple(None if i in axes else n for i, n in enumerate(x.shape))
        self._dtype, self.offset, self.scale = dtype, offset, scale
        return self

    def transform(self, x):
        """Return ``(x - offset) / scale``; floating dtypes are kept, integers become float32."""
        return self._apply("transform", x, lambda x, offset, scale: (x - offset) / scale)

    def inverse(self, x):
        """Return ``x * scale + offset``, which undoes `transform` up to rounding."""
        return self._apply("inverse", x, lambda x, offset, scale: x * scale + offset)

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
        working = np.promote_types(self._dtype, _working_dtype(x))
        with np.errstate(over="ignore", invalid="ignore"):
            result = formula(x.astype(working, copy=False), *(p.astype(working) for p in (self.offset, self.scale)))
            result = result.astype(x.dtype if x.dtype.kind == "f" else np.float32, copy=False)
        check_finite(f"{self._name}.{method}: the result in {result.dtype}", result)
        return result

    def _check(self, method, x):
        what = f"{self._name}.{method}: x"
        x = as_samples(what, x)
        check_finite(what, x)
        return x


def _working_dtype(x):
    """Return the dtype to compute in: float16 is too coarse, and integers become float32."""
    return np.dtype(np.float64 if x.dtype == np.float64 else np.float32)


class Standardize(_Scaler):
    """Scale each feature to mean 0 and standard deviation 1: ``(x - mean) / std`` of the training data.

    The deviation is the population's, ``sqrt(mean((x - mean)**2))``. A constant feature keeps scale 1.

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

    def _statistics(self, x, low, high):
        mean = x.mean(axis=self.axis, keepdims=True, dtype=np.float64)
        return mean, x.std(axis=self.axis, keepdims=True, dtype=np.float64, mean=mean)


class MinMax(_Scaler):
    """Scale each feature to [0, 1]: ``(x - min) / (max - min)``, both from the training data.

    Other data may fall outside [0, 1]: nothing is clipped. A constant feature keeps scale 1 and becomes 0.

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

    def _statistics(self, x, low, high):
        return low, high - low
