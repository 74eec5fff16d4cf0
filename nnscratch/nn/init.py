r"""Initial values of weights.

An initialiser is a function ``f(shape, fans=None, rng=None, dtype="float32")`` that returns a new array:

* ``fans`` is the pair (fan_in, fan_out): how many inputs each output of the layer adds up, and how many
  outputs each of its inputs goes into. Layers pass theirs; without it `fans_of` reads it off the shape of a
  linear or convolution weight.
* ``rng`` is a `numpy.random.Generator`; without it the one that `ns.manual_seed` seeds.

Layers take an initialiser, one of your own included, or the name of one of these as ``init=``. The functions whose names end in _
are PyTorch's: they write into a tensor that is there, and return it.
"""

import math

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import describe, no_grad
from nnscratch.hints import guide, hinting
from nnscratch.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "eye_",
    "fans_of",
    "forget_gate_bias",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "standard_normal",
    "trunc_normal_",
    "uniform01",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros",
    "zeros_",
]


def fans_of(shape):
    """The fans (fan_in, fan_out) of a weight ``(out, in)`` or ``(out, in, *kernel)``.

    Parameters
    ----------
    shape : tuple of int
        Of at least two axes.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        Where there are fewer axes.

    Examples
    --------
    >>> fans_of((64, 32, 3, 3))
    (288, 576)
    """
    if len(shape) < 2:
        raise ValueError(f"init: a weight of shape {tuple(shape)} does not show its fans; pass fans=(fan_in, fan_out)")
    cells = math.prod(shape[2:])
    return shape[1] * cells, shape[0] * cells


def _uniform(limit, shape, rng, dtype):
    return _draw("uniform", shape, rng, dtype, -limit, limit)


def _normal(deviation, shape, rng, dtype):
    return _draw("normal", shape, rng, dtype, 0.0, deviation)


def _draw(distribution, shape, rng, dtype, *settings):
    """Draw in float64 and round, so that a float32 and a float64 network start from the same numbers."""
    rng = backend.cpu.rng if rng is None else rng
    return np.asarray(getattr(rng, distribution)(*settings, size=shape)).astype(dtype)


def glorot_uniform(shape, fans=None, rng=None, dtype="float32"):
    r"""Uniform values that keep the variance of signals and of gradients (Glorot & Bengio, 2010, eq. 16).

    .. math:: w \sim U(-a, a), \quad a = \sqrt{6 / (\text{fan}_\text{in} + \text{fan}_\text{out})}

    Parameters
    ----------
    shape : tuple of int
    fans : (int, int), optional
    rng : numpy.random.Generator, optional
    dtype : str or dtype

    Returns
    -------
    array

    Raises
    ------
    ValueError
        Where neither `fans` nor the shape says the fans.

    Examples
    --------
    >>> bool((abs(glorot_uniform((2, 4))) <= 1).all())
    True
    """
    return _uniform(math.sqrt(6 / max(sum(fans or fans_of(shape)), 1)), shape, rng, dtype)


def glorot_normal(shape, fans=None, rng=None, dtype="float32"):
    r"""Normal values that keep the variance of signals and of gradients (Glorot & Bengio, 2010, eq. 12).

    .. math:: w \sim N(0, s^2), \quad s = \sqrt{2 / (\text{fan}_\text{in} + \text{fan}_\text{out})}

    Parameters and results are those of `glorot_uniform`.

    Examples
    --------
    >>> glorot_normal((2, 4)).shape
    (2, 4)
    """
    return _normal(math.sqrt(2 / max(sum(fans or fans_of(shape)), 1)), shape, rng, dtype)


def he_uniform(shape, fans=None, rng=None, dtype="float32"):
    r"""Uniform values of variance 2 / fan_in, which keep signals through ReLU (He et al., 2015, eq. 10).

    .. math:: w \sim U(-a, a), \quad a = \sqrt{6 / \text{fan}_\text{in}}

    Parameters and results are those of `glorot_uniform`.

    Examples
    --------
    >>> bool((abs(he_uniform((2, 6))) <= 1).all())
    True
    """
    return _uniform(math.sqrt(6 / max((fans or fans_of(shape))[0], 1)), shape, rng, dtype)


def he_normal(shape, fans=None, rng=None, dtype="float32"):
    r"""Normal values of variance 2 / fan_in, which keep signals through ReLU (He et al., 2015, eq. 10).

    .. math:: w \sim N(0, s^2), \quad s = \sqrt{2 / \text{fan}_\text{in}}

    Parameters and results are those of `glorot_uniform`.

    Examples
    --------
    >>> he_normal((2, 6)).shape
    (2, 6)
    """
    return _normal(math.sqrt(2 / max((fans or fans_of(shape))[0], 1)), shape, rng, dtype)


def orthogonal(shape, fans=None, rng=None, dtype="float32"):
    r"""A matrix whose rows, or columns where these are fewer, are orthogonal and of length 1 (Saxe et al., 2014).

    It is Q of the decomposition ``Q R`` of a matrix of normal numbers, each column with the sign of its number in R's diagonal, so
    that all orthogonal matrices are equally likely (Mezzadri, 2007). Repeated multiplication by it makes nothing vanish or explode,
    which is what recurrent weights begin with. Of a convolution's weight all axes but the first count as columns.

    .. math:: W W^\top = 1 \;\text{ or }\; W^\top W = 1

    Parameters and results are those of `glorot_uniform`; `fans` have no part in it.

    Raises
    ------
    ValueError
        Where the shape has fewer than two axes.

    Examples
    --------
    >>> w = orthogonal((3, 5), dtype="float64")
    >>> bool(np.allclose(w @ w.T, np.eye(3)))
    True
    """
    if len(shape) < 2:
        raise ValueError(f"orthogonal: got shape {tuple(shape)}, expected a matrix; use another initialiser for it")
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(_draw("normal", (max(rows, columns), min(rows, columns)), rng, "float64", 0.0, 1.0))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return (q.T if rows < columns else q).reshape(shape).astype(dtype)


def forget_gate_bias(layer, value=1.0):
    """Set the bias of an LSTM's forget gates, so that it remembers at first (Gers et al., 2000; Jozefowicz et al., 2015: 1).

    `nn.LSTM` and `nn.LSTMCell` do so when they are made (``forget_bias=1.0``); this is for one that is there, such as one of a
    larger network. The value goes to bias_ih, and that of bias_hh, which is added to it, becomes 0.

    Parameters
    ----------
    layer : nn.LSTM or nn.LSTMCell
    value : float

    Returns
    -------
    The layer.

    Raises
    ------
    TypeError
        Where it is none of these layers.
    ValueError
        Where it has no bias, or `value` is not finite.

    Examples
    --------
    >>> import nnscratch as ns
    >>> lstm = ns.nn.init.forget_gate_bias(ns.nn.LSTM(1, 2), 3.0)
    >>> lstm.bias_ih_l0.numpy()
    array([0., 0., 3., 3., 0., 0., 0., 0.], dtype=float32)
    """
    value = arguments.number("forget_gate_bias", "value", value)
    set_bias = getattr(layer, "_set_forget_gate_bias", None)
    if set_bias is None:
        raise TypeError(
            f"forget_gate_bias: got {type(layer).__name__}, expected an LSTM or LSTMCell; pass one of these"
        )
    set_bias(value)
    return layer


def standard_normal(shape, fans=None, rng=None, dtype="float32"):
    r"""Normal values of mean 0 and variance 1, as the code of 000 §4 draws them; `fans` have no part in it.

    .. math:: w \sim N(0, 1)

    Parameters and results are those of `glorot_uniform`.

    Examples
    --------
    >>> standard_normal((2, 3)).dtype
    dtype('float32')
    """
    return _normal(1.0, shape, rng, dtype)


def normal(deviation):
    """The initialiser that draws normal values of mean 0 and this standard deviation, such as 0.02, of BERT and GPT-2.

    Parameters
    ----------
    deviation : float
        0 or above.

    Returns
    -------
    An initialiser, with the parameters and results of `glorot_uniform`.

    Raises
    ------
    TypeError, ValueError
        Where it is no such number.

    Examples
    --------
    >>> bool((abs(normal(0.02)((3, 2))) < 0.2).all())
    True
    """
    deviation = arguments.number("normal", "deviation", deviation, 0)

    def draw(shape, fans=None, rng=None, dtype="float32"):
        return _normal(deviation, shape, rng, dtype)

    draw.__name__ = f"normal({deviation})"
    return draw


def uniform01(shape, fans=None, rng=None, dtype="float32"):
    r"""Uniform values from 0 to 1, as the code of 001 §5 draws them; `fans` have no part in it.

    .. math:: w \sim U(0, 1)

    Parameters and results are those of `glorot_uniform`.

    Examples
    --------
    >>> w = uniform01((2, 3))
    >>> bool((w >= 0).all() and (w <= 1).all())
    True
    """
    return _draw("uniform", shape, rng, dtype, 0.0, 1.0)


def constant(value):
    """The initialiser that sets every weight to `value`.

    Parameters
    ----------
    value : float

    Returns
    -------
    An initialiser, with the parameters and results of `glorot_uniform`.

    Raises
    ------
    TypeError, ValueError
        Where it is no finite number.

    Examples
    --------
    >>> constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """
    value = arguments.number("constant", "value", value)

    def fill(shape, fans=None, rng=None, dtype="float32"):
        return np.full(shape, value, dtype)

    fill.__name__ = f"constant({value})"
    return fill


def zeros(shape, fans=None, rng=None, dtype="float32"):
    """Zeros.

    Parameters and results are those of `glorot_uniform`.

    Examples
    --------
    >>> zeros((2,))
    array([0., 0.], dtype=float32)
    """
    return np.zeros(shape, dtype)


def ones(shape, fans=None, rng=None, dtype="float32"):
    """Ones.

    Parameters and results are those of `glorot_uniform`.

    Examples
    --------
    >>> ones((2,))
    array([1., 1.], dtype=float32)
    """
    return np.ones(shape, dtype)


NAMED = {
    f.__name__: f
    for f in (glorot_normal, glorot_uniform, he_normal, he_uniform, ones, orthogonal, standard_normal, uniform01, zeros)
}


def make(layer, what, initialiser, shape, fans, dtype):
    """What an initialiser, given itself or by name, makes for a layer, checked."""
    if isinstance(initialiser, str) and initialiser in NAMED:
        initialiser = NAMED[initialiser]
    if not callable(initialiser):
        raise ValueError(
            f"{layer}: {what} is {initialiser!r}, expected a function (shape, fans, rng, dtype) or one of "
            f"{', '.join(map(repr, NAMED))}; pass one of those"
        )
    try:
        array = np.asarray(initialiser(shape, fans, backend.cpu.rng, dtype))
    except TypeError as error:
        raise TypeError(
            f"{layer}: {what} failed ({error}); an initialiser takes (shape, fans, rng, dtype) and returns an array"
        ) from error
    if array.shape != shape or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{layer}: {what} returned {array.shape} {array.dtype}, expected numbers of shape {shape}; "
            f"correct the initialiser"
        )
    return array.astype(dtype)


# In place, under PyTorch's names


def _write(owner, tensor, make):
    """Write what ``make(shape, dtype)`` returns into a tensor, and return it."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{owner}: got {describe(tensor)}, expected a tensor to write into; pass a layer's weight")
    values = make(tensor.shape, tensor.dtype)
    with no_grad():
        tensor[...] = backend.asarray(values, device=tensor.device)
    return tensor


def uniform_(tensor, a=0.0, b=1.0):
    r"""Uniform values from `a` to `b`, written into a tensor.

    .. math:: w \sim U(a, b)

    Parameters
    ----------
    tensor : Tensor
    a, b : float

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or b below a.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = uniform_(ns.nn.Linear(2, 3).weight, -0.5, 0.5)
    >>> bool((abs(w.numpy()) <= 0.5).all())
    True
    """
    a = arguments.number("uniform_", "a", a)
    b = arguments.number("uniform_", "b", b, a)
    return _write("uniform_", tensor, lambda shape, dtype: _draw("uniform", shape, None, dtype, a, b))


def normal_(tensor, mean=0.0, std=1.0):
    r"""Normal values, written into a tensor.

    .. math:: w \sim N(m, s^2)

    Parameters
    ----------
    tensor : Tensor
    mean : float
    std : float
        The standard deviation, 0 or above.

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> normal_(ns.zeros(2), mean=3.0, std=0.0)
    tensor([3., 3.])
    """
    mean, std = arguments.number("normal_", "mean", mean), arguments.number("normal_", "std", std, 0)
    return _write("normal_", tensor, lambda shape, dtype: _draw("normal", shape, None, dtype, mean, std))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
    r"""Normal values of which those outside [a, b] are drawn again, written into a tensor.

    Parameters
    ----------
    tensor : Tensor
    mean, std : float
        Of the normal distribution; `std` above 0.
    a, b : float
        The least and the greatest value; they have to be likely enough to be drawn.

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or less than one value in a thousand would lie between the bounds.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = trunc_normal_(ns.zeros(100))
    >>> bool((abs(w.numpy()) <= 2).all())
    True
    """
    name = "trunc_normal_"
    mean, std = arguments.number(name, "mean", mean), arguments.number(name, "std", std, 0, ends="(]")
    a, b = arguments.number(name, "a", a), arguments.number(name, "b", b)
    below = [0.5 * (1 + math.erf((bound - mean) / (std * math.sqrt(2)))) for bound in (a, b)]
    if below[1] - below[0] < 1e-3:
        raise ValueError(
            f"{name}: of normal values with mean {mean} and std {std} too few lie from {a} to {b}; choose wider bounds"
        )

    def make(shape, dtype):
        values = np.asarray(backend.cpu.rng.normal(mean, std, shape))
        while (outside := (values < a) | (values > b)).any():
            values[outside] = backend.cpu.rng.normal(mean, std, int(outside.sum()))
        return values.astype(dtype)

    return _write(name, tensor, make)


def constant_(tensor, val):
    """One value, written everywhere into a tensor.

    Parameters
    ----------
    tensor : Tensor
    val : float

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> constant_(ns.zeros(2), 0.5)
    tensor([0.5, 0.5])
    """
    val = arguments.number("constant_", "val", val)
    return _write("constant_", tensor, lambda shape, dtype: np.full(shape, val, dtype))


def zeros_(tensor):
    """Zeros, written into a tensor.

    Parameters
    ----------
    tensor : Tensor

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError
        Where it is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> zeros_(ns.ones(2))
    tensor([0., 0.])
    """
    return _write("zeros_", tensor, np.zeros)


def ones_(tensor):
    """Ones, written into a tensor.

    Parameters
    ----------
    tensor : Tensor

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError
        Where it is none.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ones_(ns.zeros(2))
    tensor([1., 1.])
    """
    return _write("ones_", tensor, np.ones)


def eye_(tensor):
    """Ones on the diagonal of a matrix and zeros elsewhere, written into a tensor.

    Parameters
    ----------
    tensor : Tensor
        Of two axes.

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where it is none, or no matrix.

    Examples
    --------
    >>> import nnscratch as ns
    >>> eye_(ns.zeros(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """

    def make(shape, dtype):
        if len(shape) != 2:
            raise ValueError(f"eye_: the tensor has shape {shape}, expected a matrix; pass one")
        return np.eye(*shape, dtype=dtype)

    return _write("eye_", tensor, make)


def orthogonal_(tensor, gain=1.0):
    """A matrix whose rows, or columns where these are fewer, are orthonormal times `gain`, written into a tensor (Saxe et al., 2014).

    Parameters
    ----------
    tensor : Tensor
        Of at least two axes; those after the first count as one.
    gain : float

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or the tensor has fewer axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = orthogonal_(ns.zeros(2, 3), gain=2.0).numpy()
    >>> bool(np.allclose(w @ w.T, 4 * np.eye(2), atol=1e-5))
    True
    """
    gain = arguments.number("orthogonal_", "gain", gain)
    return _write("orthogonal_", tensor, lambda shape, dtype: (gain * orthogonal(shape, dtype="float64")).astype(dtype))


#: By what an activation function shrinks the standard deviation of its input.
_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
_GAINS |= dict.fromkeys(("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"), 1.0)


def calculate_gain(nonlinearity, param=None):
    """What weights are multiplied by before an activation function, so that values keep their variance.

    Parameters
    ----------
    nonlinearity : str
        "linear", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
    param : float, optional
        The slope below 0 of "leaky_relu".

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    return _gain("calculate_gain", nonlinearity, param)


def _gain(owner, nonlinearity, param):
    arguments.one_of(owner, "nonlinearity", nonlinearity, ("leaky_relu", *_GAINS))
    if nonlinearity != "leaky_relu":
        return _GAINS[nonlinearity]
    slope = 0.01 if param is None else arguments.number(owner, "param", param)
    return math.sqrt(2) / math.hypot(1, slope)  # whose square might be no float


def xavier_uniform_(tensor, gain=1.0):
    """`glorot_uniform` times a gain, written into a tensor.

    Parameters
    ----------
    tensor : Tensor
        Of at least two axes.
    gain : float

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or the tensor has fewer axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = xavier_uniform_(ns.zeros(2, 4))
    >>> bool((abs(w.numpy()) <= 1).all())
    True
    """
    return _glorot("xavier_uniform_", tensor, gain, _uniform, math.sqrt(6))


def xavier_normal_(tensor, gain=1.0):
    """`glorot_normal` times a gain, written into a tensor.

    Parameters
    ----------
    tensor : Tensor
        Of at least two axes.
    gain : float

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or the tensor has fewer axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> xavier_normal_(ns.zeros(2, 4), gain=0.0)
    tensor([[0., 0., 0., 0.],
            [0., 0., 0., 0.]])
    """
    return _glorot("xavier_normal_", tensor, gain, _normal, math.sqrt(2))


def _glorot(owner, tensor, gain, draw, factor):
    gain = arguments.number(owner, "gain", gain, 0)

    def make(shape, dtype):
        return draw(gain * factor / math.sqrt(max(sum(fans_of(shape)), 1)), shape, None, dtype)

    return _write(owner, tensor, make)


@hinting
def kaiming_uniform_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    r"""Uniform values that keep the variance of signals through rectifiers, written into a tensor (He et al., 2015).

    .. math:: w \sim U(-b, b), \quad b = \text{gain} \sqrt{3 / \text{fan}}

    Parameters
    ----------
    tensor : Tensor
        Of at least two axes.
    a : float
        The slope below 0 of "leaky_relu".
    mode : "fan_in" or "fan_out"
        Whether the variance is kept forward or backward.
    nonlinearity : str
        See `calculate_gain`.

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or the tensor has fewer axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = kaiming_uniform_(ns.zeros(2, 6), nonlinearity="relu")
    >>> bool((abs(w.numpy()) <= 1).all())
    True
    """
    return _he("kaiming_uniform_", tensor, a, mode, nonlinearity, _uniform, math.sqrt(3))


@hinting
def kaiming_normal_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    r"""Normal values that keep the variance of signals through rectifiers, written into a tensor (He et al., 2015).

    .. math:: w \sim N(0, s^2), \quad s = \text{gain} / \sqrt{\text{fan}}

    Parameters
    ----------
    tensor : Tensor
        Of at least two axes.
    a : float
        The slope below 0 of "leaky_relu".
    mode : "fan_in" or "fan_out"
        Whether the variance is kept forward or backward.
    nonlinearity : str
        See `calculate_gain`.

    Returns
    -------
    The tensor.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or the tensor has fewer axes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> kaiming_normal_(ns.zeros(2, 6)).shape
    (2, 6)
    """
    return _he("kaiming_normal_", tensor, a, mode, nonlinearity, _normal, 1.0)


def _he(owner, tensor, a, mode, nonlinearity, draw, factor):
    arguments.one_of(owner, "mode", mode, ("fan_in", "fan_out"))
    gain = _gain(owner, nonlinearity, arguments.number(owner, "a", a))

    def make(shape, dtype):
        fan = fans_of(shape)[mode == "fan_out"]
        return draw(gain * factor / math.sqrt(max(fan, 1)), shape, None, dtype)

    return _write(owner, tensor, make)


guide(__name__)
