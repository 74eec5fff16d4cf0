"""Layers without a geometry: linear, dropout, and those that only change shapes."""

import math

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import describe
from nnscratch.nn import init as initialisers
from nnscratch.nn.module import Module, Parameter
from nnscratch.ops.shape import reshape


class Weighted(Module):
    """What layers with a weight and a bias have in common: how these are made."""

    def _make(self, shape, fans, outputs, bias, init, bias_init, dtype):
        layer = type(self).__name__
        dtype = arguments.floating(layer, dtype)
        self.weight = Parameter(initialisers.make(layer, "init", init, shape, fans, dtype))
        self.bias = None
        if arguments.flag(layer, "bias", bias):
            self.bias = Parameter(initialisers.make(layer, "bias_init", bias_init, (outputs,), fans, dtype))


class Linear(Weighted):
    r"""A layer of neurons before its activation (F1: 001 §1, §2; 002 §4.1; 004 §2.2.3).

    .. math:: y = x W^\top + b

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        Whether there is a b.
    init, bias_init : str or callable
        See `nnscratch.nn.init`; by default Glorot's uniform weights and a bias of 0, as in the documents'
        Keras code.
    dtype : str or dtype
        Of weight (out_features, in_features) and bias (out_features,).

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Linear(3, 2)(ns.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    def __init__(self, in_features, out_features, bias=True, init="glorot_uniform", bias_init="zeros", dtype="float32"):
        super().__init__()
        self.in_features = arguments.count("Linear", "in_features", in_features)
        self.out_features = arguments.count("Linear", "out_features", out_features)
        fans = (self.in_features, self.out_features)
        self._make(fans[::-1], fans, self.out_features, bias, init, bias_init, dtype)

    def forward(self, x):
        """(..., in_features) -> (..., out_features)"""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")


class Dropout(Module):
    """In training each value is 0 with probability `p`, else divided by 1 - p (Srivastava et al., 2014).

    Parameters
    ----------
    p : float
        From 0 up to below 1.

    Raises
    ------
    TypeError, ValueError
        Where `p` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Dropout(0.5).eval()(ns.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    function = staticmethod(F.dropout)

    def __init__(self, p=0.5):
        super().__init__()
        self.p = arguments.number(type(self).__name__, "p", p, 0, 1, "[)")

    def forward(self, x):
        """(...) -> (...)"""
        return self.function(x, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}"


class Dropout1d(Dropout):
    """In training each channel of a sequence (N, C, L) is 0 with probability `p`, else divided by 1 - p (Tompson et al., 2015).

    Parameters
    ----------
    p : float
        From 0 up to below 1.

    Raises
    ------
    TypeError, ValueError
        Where `p` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Dropout1d(0.5).eval()(ns.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 2.]]])
    """

    function = staticmethod(F.dropout1d)


class Dropout2d(Dropout):
    """In training each channel of an image (N, C, H, W) is 0 with probability `p`, else divided by 1 - p (Tompson et al., 2015).

    Parameters
    ----------
    p : float
        From 0 up to below 1.

    Raises
    ------
    TypeError, ValueError
        Where `p` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Dropout2d(0.5).eval()(ns.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 2.]]]])
    """

    function = staticmethod(F.dropout2d)


class Upsample(Module):
    """Sequences or images made larger, or smaller: the layer of `F.interpolate`.

    Parameters
    ----------
    size : int or tuple of int, optional
        The lengths of the result's axes after the channels; or `scale_factor`.
    scale_factor : float or tuple of float, optional
    mode : "nearest", "linear" or "bilinear"
    align_corners : bool

    Raises
    ------
    TypeError, ValueError
        Where both sizes are given, or none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Upsample(scale_factor=2)(ns.tensor([[[1.0, 3.0]]]))
    tensor([[[1., 1., 3., 3.]]])
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=False):
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError(
                f"Upsample: size is {arguments.shown(size)} and scale_factor {arguments.shown(scale_factor)}; pass one of them"
            )
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, x):
        """(N, C, L) -> (N, C, OL), or (N, C, H, W) -> (N, C, OH, OW)"""
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self):
        size = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{size}, mode={self.mode!r}"


class Identity(Module):
    """Its input, unchanged.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Identity()(ns.tensor([1.0]))
    tensor([1.])
    """

    def forward(self, x):
        """(...) -> (...)"""
        return x


class Flatten(Module):
    """All axes from `start_axis` on made one; by default all but the batch's.

    Parameters
    ----------
    start_axis : int
        Zero or more.

    Raises
    ------
    TypeError, ValueError
        Where `start_axis` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Flatten()(ns.tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4)
    """

    def __init__(self, start_axis=1):
        super().__init__()
        self.start_axis = arguments.count("Flatten", "start_axis", start_axis, least=0)

    def forward(self, x):
        """(N, ...) -> (N, the product of the rest)

        Raises
        ------
        ValueError
            Where `x` has no axis to start at.
        """
        start, shape = self.start_axis, np.shape(x)
        if len(shape) <= start:
            raise ValueError(f"Flatten: x is {describe(x)}, expected an axis {start} to start at; lower start_axis")
        # The product rather than -1, which NumPy cannot resolve for an empty batch.
        return reshape(x, (*shape[:start], math.prod(shape[start:])))

    def extra_repr(self):
        return "" if self.start_axis == 1 else f"start_axis={self.start_axis}"


class Reshape(Module):
    """Each sample given another shape.

    Parameters
    ----------
    *shape : int
        Of a sample, without the batch.

    Raises
    ------
    TypeError, ValueError
        Where it is no shape.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Reshape(1, 2, 2)(ns.tensor([[1.0, 2.0, 3.0, 4.0]])).shape
    (1, 1, 2, 2)
    """

    def __init__(self, *shape):
        super().__init__()
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        self.shape = tuple(arguments.count("Reshape", "a length", n) for n in shape)

    def forward(self, x):
        """``(N, ...) -> (N, *shape)``

        Raises
        ------
        ValueError
            Where a sample has another number of values.
        """
        shape = np.shape(x)
        if not shape or math.prod(shape[1:]) != math.prod(self.shape):
            raise ValueError(
                f"Reshape: x is {describe(x)}, its samples do not have the {math.prod(self.shape)} values "
                f"of {self.shape}; check the shape"
            )
        return reshape(x, (shape[0], *self.shape))

    def extra_repr(self):
        return ", ".join(map(str, self.shape))
