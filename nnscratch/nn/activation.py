"""Activation functions as layers: each is its function in `nnscratch.functional`."""

from nnscratch import checks
from nnscratch import functional as F
from nnscratch.nn.module import Module


class _Activation(Module):
    function: object = None
    #: Names of the settings, kept as attributes and passed on to the function after x.
    settings: tuple = ()

    def forward(self, x):
        """(...) -> (...), each value (for softmax: each row) by the function"""
        return type(self).function(x, *(getattr(self, name) for name in self.settings))

    def extra_repr(self):
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.settings)


class Sigmoid(_Activation):
    """The layer of `F.sigmoid`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Sigmoid()(ns.tensor([0.0]))
    tensor([0.5])
    """

    function = staticmethod(F.sigmoid)


class ReLU(_Activation):
    """The layer of `F.relu`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.ReLU()(ns.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = staticmethod(F.relu)


class Tanh(_Activation):
    """The layer of `F.tanh`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Tanh()(ns.tensor([0.0]))
    tensor([0.])
    """

    function = staticmethod(F.tanh)


class GELU(_Activation):
    """The layer of `F.gelu`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.GELU()(ns.tensor([0.0]))
    tensor([0.])
    """

    function = staticmethod(F.gelu)


class SiLU(_Activation):
    """The layer of `F.silu`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.SiLU()(ns.tensor([0.0]))
    tensor([0.])
    """

    function = staticmethod(F.silu)


class Softplus(_Activation):
    """The layer of `F.softplus`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Softplus()(ns.tensor([100.0]))
    tensor([100.])
    """

    function = staticmethod(F.softplus)


class _AlongAxis(_Activation):
    settings = ("axis",)

    def __init__(self, axis=-1):
        super().__init__()
        self.axis = checks.count(type(self).__name__, "axis", axis, least=-32)


class Softmax(_AlongAxis):
    """The layer of `F.softmax` over `axis`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Softmax()(ns.tensor([[0.0, 0.0]]))
    tensor([[0.5, 0.5]])
    """

    function = staticmethod(F.softmax)


class LogSoftmax(_AlongAxis):
    """The layer of `F.log_softmax` over `axis`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.LogSoftmax()(ns.tensor([[0.0, 0.0]]))
    tensor([[-0.6931472, -0.6931472]])
    """

    function = staticmethod(F.log_softmax)


class LeakyReLU(_Activation):
    """The layer of `F.leaky_relu`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.LeakyReLU(0.1)(ns.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    function = staticmethod(F.leaky_relu)
    settings = ("slope",)

    def __init__(self, slope=0.01):
        super().__init__()
        self.slope = checks.number("LeakyReLU", "slope", slope)


class ELU(_Activation):
    """The layer of `F.elu`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.ELU()(ns.tensor([2.0]))
    tensor([2.])
    """

    function = staticmethod(F.elu)
    settings = ("alpha",)

    def __init__(self, alpha=1.0):
        super().__init__()
        self.alpha = checks.number("ELU", "alpha", alpha)
