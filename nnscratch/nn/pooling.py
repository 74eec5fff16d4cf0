"""Pooling layers: each is its function in `nnscratch.functional`, with settings checked when it is made."""

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.nn.convolution import LARGE
from nnscratch.nn.module import Module
from nnscratch.ops.conv import geometry, pair


class _Pool(Module):
    function: object = None
    axes = 2
    #: The function's settings after the padding, and their usual values.
    more: tuple = ()

    def _setup(self, kernel_size, stride, padding, *more):
        layer = type(self).__name__
        stride = kernel_size if stride is None else stride
        settings = dict(zip(dict(self.more), more, strict=True))
        for name in settings.keys() - {"dilation"}:
            arguments.flag(layer, name, settings[name])
        dilation = settings["dilation"]
        if self.axes == 1:
            for what, value, least in (
                ("kernel_size", kernel_size, 1),
                ("stride", stride, 1),
                ("padding", padding, 0),
                ("dilation", dilation, 1),
            ):
                arguments.count(layer, what, value, least)
        geometry(layer, LARGE, pair(layer, "kernel_size", kernel_size, 1), stride, padding, dilation)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        for name, value in settings.items():
            setattr(self, name, value)

    def forward(self, x):
        """(N, C, ...) -> (N, C, ...), one value for each window"""
        more = (getattr(self, name) for name, _ in self.more)
        return type(self).function(x, self.kernel_size, self.stride, self.padding, *more)

    def extra_repr(self):
        text = f"kernel_size={self.kernel_size}, stride={self.stride}"
        for name, usual in (("padding", 0), *self.more):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)!r}"
        return text


class MaxPool2d(_Pool):
    """The greatest value in each window; see `F.max_pool2d`.

    Parameters
    ----------
    kernel_size, stride, dilation : int or pair
        The stride is the kernel's size where it is left out.
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"
    ceil_mode : bool
        Whether cells left over at the end get a window, too.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.MaxPool2d(2)
    MaxPool2d(kernel_size=2, stride=2)
    """

    function = staticmethod(F.max_pool2d)
    more = (("dilation", 1), ("ceil_mode", False))

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        super().__init__()
        self._setup(kernel_size, stride, padding, dilation, ceil_mode)


class MaxPool1d(MaxPool2d):
    """The greatest value in each window of a sequence; see `F.max_pool1d`.

    Parameters
    ----------
    kernel_size, stride, dilation : int
        The stride is the kernel's size where it is left out.
    padding : int, (before, after), "same", "same_lower" or "valid"
    ceil_mode : bool
        Whether cells left over at the end get a window, too.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.MaxPool1d(2)(ns.tensor([[[1.0, 3.0, 2.0, 4.0]]]))
    tensor([[[3., 4.]]])
    """

    function = staticmethod(F.max_pool1d)
    axes = 1


class AvgPool2d(_Pool):
    """The mean of each window; see `F.avg_pool2d`.

    Parameters
    ----------
    kernel_size, stride, dilation : int or pair
        The stride is the kernel's size where it is left out.
    padding : int, pair, ((top, bottom), (left, right)), "same", "same_lower" or "valid"
    count_include_pad : bool
        Whether the padding's zeros count in the mean.
    ceil_mode : bool
        Whether cells left over at the end get a window, too.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.AvgPool2d(2)(ns.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]))
    tensor([[[[2.5]]]])
    """

    function = staticmethod(F.avg_pool2d)
    more = (("count_include_pad", True), ("ceil_mode", False), ("dilation", 1))

    def __init__(self, kernel_size, stride=None, padding=0, count_include_pad=True, ceil_mode=False, dilation=1):
        super().__init__()
        self._setup(kernel_size, stride, padding, count_include_pad, ceil_mode, dilation)


class AvgPool1d(AvgPool2d):
    """The mean of each window of a sequence; see `F.avg_pool1d`.

    Parameters
    ----------
    kernel_size, stride, dilation : int
        The stride is the kernel's size where it is left out.
    padding : int, (before, after), "same", "same_lower" or "valid"
    count_include_pad : bool
        Whether the padding's zeros count in the mean.
    ceil_mode : bool
        Whether cells left over at the end get a window, too.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.AvgPool1d(2)(ns.tensor([[[1.0, 3.0, 2.0, 4.0]]]))
    tensor([[[2., 3.]]])
    """

    function = staticmethod(F.avg_pool1d)
    axes = 1


class AdaptiveAvgPool2d(Module):
    """Means over as many windows as asked for; see `F.adaptive_avg_pool2d`.

    Parameters
    ----------
    output_size : int or pair

    Raises
    ------
    ValueError
        Where it is no such thing.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.AdaptiveAvgPool2d(1)(ns.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[2.]]]])
    """

    def __init__(self, output_size):
        super().__init__()
        self.output_size = pair("AdaptiveAvgPool2d", "output_size", output_size, 1)

    def forward(self, x):
        """``(N, C, H, W) -> (N, C, *output_size)``"""
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return str(self.output_size)
