"""Normalisation layers."""

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import describe
from nnscratch.nn.module import Buffer, Module, Parameter


class BatchNorm1d(Module):
    r"""Each feature standardised over the batch, then scaled and shifted (Ioffe & Szegedy, 2015).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    In training E and Var are the batch's, and `running_mean` and `running_var` follow them; in evaluation
    they are those. See `F.batch_norm`.

    Parameters
    ----------
    num_features : int
        C, for inputs (N, C) or (N, C, L).
    eps : float
        ε, above 0.
    momentum : float
        How much of a batch's statistics goes into the running ones, from 0 to 1.
    affine : bool
        Whether there are γ (`weight`, starting at 1) and β (`bias`, at 0).
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> norm = ns.nn.BatchNorm1d(1)
    >>> norm(ns.tensor([[1.0], [3.0]])).numpy().round(3)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> norm.running_mean
    tensor([0.2])
    """

    axes: tuple = (2, 3)

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, dtype="float32"):
        super().__init__()
        layer = type(self).__name__
        self.num_features = arguments.count(layer, "num_features", num_features)
        self.eps = arguments.number(layer, "eps", eps, 0, np.inf, "()")
        self.momentum = arguments.number(layer, "momentum", momentum, 0, 1)
        dtype = arguments.floating(layer, dtype)
        self.affine = arguments.flag(layer, "affine", affine)
        self.weight = Parameter(np.ones(self.num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(self.num_features, dtype)) if affine else None
        self.running_mean = Buffer(np.zeros(self.num_features, dtype))
        self.running_var = Buffer(np.ones(self.num_features, dtype))

    def forward(self, x):
        """The input's shape, whose second axis is the features

        Raises
        ------
        ValueError
            Where `x` has too few or too many axes, or in training one value a feature.
        """
        if np.ndim(x) not in self.axes:
            wanted = " or ".join(map(str, self.axes))
            raise ValueError(
                f"{type(self).__name__}: x is {describe(x)}, expected {wanted} axes, "
                f"the second of {self.num_features}; reshape it"
            )
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )

    def extra_repr(self):
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}" + (
            "" if self.affine else ", affine=False"
        )


class BatchNorm2d(BatchNorm1d):
    """Each channel of images (N, C, H, W) standardised over batch and image.

    Settings are those of `BatchNorm1d`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.BatchNorm2d(3)
    BatchNorm2d(3, eps=1e-05, momentum=0.1)
    """

    axes = (4,)


class GroupNorm(Module):
    r"""Each sample standardised over groups of its channels, then scaled and shifted (Wu & He, 2018).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    With a group for each channel it is instance normalisation. See `F.group_norm`.

    Parameters
    ----------
    num_groups : int
        A divisor of the channels.
    num_channels : int
        C, for inputs (N, C) or (N, C, ...).
    eps : float
        ε, above 0.
    affine : bool
        Whether there are γ (`weight`, starting at 1) and β (`bias`, at 0), one for each channel.
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.GroupNorm(2, 4)(ns.tensor([[1.0, 3.0, 10.0, 30.0]])).numpy().round(3)
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, dtype="float32"):
        super().__init__()
        layer = "GroupNorm"
        self.num_groups = arguments.count(layer, "num_groups", num_groups)
        self.num_channels = arguments.count(layer, "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise ValueError(f"{layer}: {num_groups} groups do not divide {num_channels} channels; choose a divisor")
        self.eps = arguments.number(layer, "eps", eps, 0, np.inf, "()")
        dtype = arguments.floating(layer, dtype)
        self.affine = arguments.flag(layer, "affine", affine)
        self.weight = Parameter(np.ones(self.num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(self.num_channels, dtype)) if affine else None

    def forward(self, x):
        """(N, C, ...) -> the same

        Raises
        ------
        ValueError
            Where the second axis of `x` is not that of the channels.
        """
        if np.ndim(x) < 2 or np.shape(x)[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm: x is {describe(x)}, expected (N, {self.num_channels}, ...); check num_channels"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}" + ("" if self.affine else ", affine=False")


class LayerNorm(Module):
    r"""Each sample standardised over its last axes, then scaled and shifted (Ba, Kiros & Hinton, 2016).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The lengths of the axes to normalise over, the input's last.
    eps : float
        ε, above 0.
    affine : bool
        Whether there are γ (`weight`, starting at 1) and β (`bias`, at 0), both of `normalized_shape`.
    dtype : str or dtype

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.LayerNorm(2)(ns.tensor([[1.0, 3.0]])).numpy().round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    shifts = True

    def __init__(self, normalized_shape, eps=1e-5, affine=True, dtype="float32"):
        super().__init__()
        layer = type(self).__name__
        shape = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        self.normalized_shape = tuple(arguments.count(layer, "normalized_shape", n) for n in shape)
        if not shape:
            raise ValueError(
                f"{layer}: normalized_shape is {normalized_shape!r}, expected at least one length; "
                f"pass the number of features"
            )
        self.eps = arguments.number(layer, "eps", eps, 0, np.inf, "()")
        dtype = arguments.floating(layer, dtype)
        self.affine = arguments.flag(layer, "affine", affine)
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if affine and self.shifts else None

    def forward(self, x):
        """``(..., *normalized_shape)`` -> the same

        Raises
        ------
        ValueError
            Where the last axes of `x` have other lengths.
        """
        n = len(self.normalized_shape)
        if np.shape(x)[-n:] != self.normalized_shape:
            raise ValueError(
                f"{type(self).__name__}: x is {describe(x)}, expected its last axes to be {self.normalized_shape}; "
                f"check normalized_shape"
            )
        return self._normalise(x, tuple(range(-n, 0)))

    def _normalise(self, x, axes):
        return F.layer_norm(x, self.weight, self.bias, axes, self.eps)

    def extra_repr(self):
        shape = self.normalized_shape
        return f"{shape[0] if len(shape) == 1 else shape}, eps={self.eps}" + ("" if self.affine else ", affine=False")


class RMSNorm(LayerNorm):
    r"""Each sample divided by the root mean square of its last axes, then scaled (Zhang & Sennrich, 2019).

    .. math:: y = \frac{x}{\sqrt{\mathrm{E}[x^2] + \varepsilon}}\, \gamma

    Settings are those of `LayerNorm`; there is no β. See `F.rms_norm`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.RMSNorm(2)(ns.tensor([[1.0, 7.0]])).numpy().round(3)
    array([[0.2, 1.4]], dtype=float32)
    """

    shifts = False

    def _normalise(self, x, axes):
        return F.rms_norm(x, self.weight, axes, self.eps)
