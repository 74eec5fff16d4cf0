"""Convolution layers: weights (out, in / groups, *kernel), the transposed one's (in, out / groups, *kernel)."""

import math

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.nn.layers import Weighted
from nnscratch.ops.conv import extra_padding, geometry, pair, row_padding

#: An input so large that every kernel fits, for checking settings before there is an input.
LARGE = (2**40, 2**40)


class _Conv(Weighted):
    def _setup(self, in_channels, out_channels, kernel, stride, padding, dilation, groups):
        """Check and keep the settings; `kernel` has become a tuple."""
        layer = type(self).__name__
        self.in_channels = arguments.count(layer, "in_channels", in_channels)
        self.out_channels = arguments.count(layer, "out_channels", out_channels)
        self.groups = arguments.count(layer, "groups", groups)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{layer}: {self.groups} groups do not divide {self.in_channels} input and "
                f"{self.out_channels} output channels; choose a divisor of both"
            )
        self.kernel_size, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation

    def _weights(self, transposed, bias, init, bias_init, dtype):
        inputs, outputs = self.in_channels // self.groups, self.out_channels // self.groups
        cells = math.prod(self.kernel_size)
        shape = (self.in_channels, outputs) if transposed else (self.out_channels, inputs)
        fans = (inputs * cells, outputs * cells)
        self._make((*shape, *self.kernel_size), fans, self.out_channels, bias, init, bias_init, dtype)

    def extra_repr(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, usual in (
            ("padding", (0, (0, 0))),
            ("output_padding", ((0, 0),)),
            ("dilation", (1, (1, 1))),
            ("groups", (1,)),
        ):
            if getattr(self, name, usual[0]) not in usual:
                text += f", {name}={getattr(self, name)!r}"
        return text + ("" if self.bias is not None else ", bias=False")


class Conv2d(_Conv):
    """Two-dimensional convolution; see `F.conv2d` for the formula and the settings.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"
    groups : int
    bias : bool
        Whether there is one value to add for each output channel.
    init, bias_init : str or callable
        See `nnscratch.nn.init`; by default Glorot's uniform weights and a bias of 0, as in the documents'
        Keras code.
    dtype : str or dtype
        Of weight (out, in / groups, kh, kw) and bias (out,).

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> conv = ns.nn.Conv2d(1, 32, 3)
    >>> conv
    Conv2d(1, 32, kernel_size=(3, 3), stride=(1, 1))
    >>> conv.weight.shape
    (32, 1, 3, 3)
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
        init="glorot_uniform", bias_init="zeros", dtype="float32",
    ):  # fmt: skip
        super().__init__()
        kernel = pair("Conv2d", "kernel_size", kernel_size, 1)
        geometry("Conv2d", LARGE, kernel, stride, padding, dilation)
        stride, dilation = pair("Conv2d", "stride", stride, 1), pair("Conv2d", "dilation", dilation, 1)
        self._setup(in_channels, out_channels, kernel, stride, padding, dilation, groups)
        self._weights(False, bias, init, bias_init, dtype)

    def forward(self, x):
        """(N, in, H, W) -> (N, out, OH, OW)"""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """One-dimensional convolution; see `F.conv1d`.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, dilation, groups : int
    padding : int, (before, after), "same", "same_lower" or "valid"
    bias, init, bias_init, dtype
        As for `Conv2d`; the weight is (out, in / groups, kernel_size).

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Conv1d(2, 4, 3, padding="same")(ns.tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4, 2)
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
        init="glorot_uniform", bias_init="zeros", dtype="float32",
    ):  # fmt: skip
        super().__init__()
        kernel, stride, dilation = (
            arguments.count("Conv1d", what, value)
            for what, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
        )
        geometry("Conv1d", LARGE, (1, kernel), 1, row_padding(padding), 1)
        self._setup(in_channels, out_channels, (kernel,), stride, padding, dilation, groups)
        self._weights(False, bias, init, bias_init, dtype)

    def forward(self, x):
        """(N, in, L) -> (N, out, OL)"""
        return F.conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(_Conv):
    """Transposed convolution, which enlarges; see `F.conv_transpose2d` for the result's size.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair
    padding : int, pair or ((top, bottom), (left, right))
    output_padding : int or pair
    groups : int
    bias, init, bias_init, dtype
        As for `Conv2d`; the weight is (in, out / groups, kh, kw).

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.ConvTranspose2d(1, 2, 2, stride=2)(ns.tensor([[[[1.0, 2.0]]]])).shape
    (1, 2, 2, 4)
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1,
        bias=True, dilation=1, init="glorot_uniform", bias_init="zeros", dtype="float32",
    ):  # fmt: skip
        super().__init__()
        layer = "ConvTranspose2d"
        if isinstance(padding, str):
            raise ValueError(
                f"{layer}: padding {padding!r} has no meaning here; pass the numbers of rows and columns to take off"
            )
        kernel = pair(layer, "kernel_size", kernel_size, 1)
        geometry(layer, LARGE, kernel, stride, padding, dilation)
        stride, dilation = pair(layer, "stride", stride, 1), pair(layer, "dilation", dilation, 1)
        self.output_padding = extra_padding(layer, output_padding, stride, dilation)
        self._setup(in_channels, out_channels, kernel, stride, padding, dilation, groups)
        self._weights(True, bias, init, bias_init, dtype)

    def forward(self, x):
        """(N, in, H, W) -> (N, out, OH, OW)"""
        return F.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )
