"""Activation functions as layers: each is its function in `nnscratch.functional`."""

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import describe
from nnscratch.nn.module import Module, Parameter
from nnscratch.ops.shape import reshape


class _Activation(Module):
    function: object = None
    #: Names of the settings, kept as attributes and passed on to the function after x.
    settings: tuple = ()

    def __init__(self):  # which says of an argument that it has none
        super().__init__()

    def forward(self, x):
        """(...) -> (...), each value (for softmax: each row) by the function"""
        settings = self.settings
        return self.function(x, *[getattr(self, name) for name in settings]) if settings else self.function(x)

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

    Parameters
    ----------
    approximate : "none" or "tanh"

    Raises
    ------
    ValueError
        Where the approximation is unknown.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.GELU()(ns.tensor([0.0]))
    tensor([0.])
    """

    function = staticmethod(F.gelu)
    settings = ("approximate",)

    def __init__(self, approximate="none"):
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is {approximate!r}, expected 'none' or 'tanh'; pass one of them")
        self.approximate = approximate

    def extra_repr(self):
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class Mish(_Activation):
    """The layer of `F.mish`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Mish()(ns.tensor([0.0]))
    tensor([0.])
    """

    function = staticmethod(F.mish)


class Softsign(_Activation):
    """The layer of `F.softsign`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Softsign()(ns.tensor([3.0]))
    tensor([0.75])
    """

    function = staticmethod(F.softsign)


class Hardsigmoid(_Activation):
    """The layer of `F.hardsigmoid`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Hardsigmoid()(ns.tensor([-4.0, 0.0]))
    tensor([0. , 0.5])
    """

    function = staticmethod(F.hardsigmoid)


class Hardswish(_Activation):
    """The layer of `F.hardswish`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Hardswish()(ns.tensor([1.5]))
    tensor([1.125])
    """

    function = staticmethod(F.hardswish)


class SELU(_Activation):
    """The layer of `F.selu`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.SELU()(ns.tensor([2.0]))
    tensor([2.101402])
    """

    function = staticmethod(F.selu)


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
        self.axis = arguments.count(type(self).__name__, "axis", axis, least=-32)


class Softmax(_AlongAxis):
    """The layer of `F.softmax` over `axis`.

    Parameters
    ----------
    axis : int
        The axis over which probabilities sum to 1.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.Softmax()(ns.tensor([[0.0, 0.0]]))
    tensor([[0.5, 0.5]])
    """

    function = staticmethod(F.softmax)


class LogSoftmax(_AlongAxis):
    """The layer of `F.log_softmax` over `axis`.

    Parameters
    ----------
    axis : int
        The axis over which probabilities sum to 1.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.LogSoftmax()(ns.tensor([[0.0, 0.0]]))
    tensor([[-0.6931472, -0.6931472]])
    """

    function = staticmethod(F.log_softmax)


class LeakyReLU(_Activation):
    """The layer of `F.leaky_relu`.

    Parameters
    ----------
    slope : float
        Below 0.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

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
        self.slope = arguments.number("LeakyReLU", "slope", slope)


class ELU(_Activation):
    """The layer of `F.elu`.

    Parameters
    ----------
    alpha : float
        Results come near ``-alpha`` far below 0.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

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
        self.alpha = arguments.number("ELU", "alpha", alpha)


class CELU(_Activation):
    """The layer of `F.celu`.

    Parameters
    ----------
    alpha : float
        Above 0; results come near ``-alpha`` far below 0.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.CELU()(ns.tensor([2.0]))
    tensor([2.])
    """

    function = staticmethod(F.celu)
    settings = ("alpha",)

    def __init__(self, alpha=1.0):
        super().__init__()
        self.alpha = arguments.number("CELU", "alpha", alpha, 0, ends="(]")


class PReLU(Module):
    """The layer of `F.prelu`: the rectifier with a slope below 0 that is learnt.

    Parameters
    ----------
    num_parameters : int
        1 for one slope, or the number of channels, the input's second axis, for one each.
    init : float
        The slopes to begin with.
    dtype : str or dtype
        Of `weight` (num_parameters,).

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.PReLU()(ns.tensor([[-1.0, 2.0]]))
    tensor([[-0.25,  2.  ]], op=prelu)
    """

    def __init__(self, num_parameters=1, init=0.25, dtype="float32"):
        super().__init__()
        self.num_parameters = arguments.count("PReLU", "num_parameters", num_parameters)
        self.weight = Parameter(
            np.full(self.num_parameters, arguments.number("PReLU", "init", init), arguments.floating("PReLU", dtype))
        )

    def forward(self, x):
        """(N, C, ...) -> the same; with one slope any shape

        Raises
        ------
        ValueError
            Where the second axis of `x` is not that of the slopes.
        """
        if self.num_parameters == 1:
            return F.prelu(x, reshape(self.weight, ()))
        if np.ndim(x) < 2 or np.shape(x)[1] != self.num_parameters:
            raise ValueError(
                f"PReLU: x is {describe(x)}, expected (N, {self.num_parameters}, ...); check num_parameters"
            )
        return F.prelu(x, reshape(self.weight, (-1, *(1,) * (np.ndim(x) - 2))))

    def extra_repr(self):
        return str(self.num_parameters)
