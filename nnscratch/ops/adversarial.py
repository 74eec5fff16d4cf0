"""The losses of networks that compete, one to make samples, the other to tell them from given ones."""

import math

import numpy as np

from nnscratch import arguments, backend
from nnscratch.autograd import describe, op
from nnscratch.ops.activation import sigmoid, softplus
from nnscratch.ops.elementwise import equal, where
from nnscratch.ops.loss import mean_of_losses
from nnscratch.ops.operands import floating_point
from nnscratch.ops.reduce import norm
from nnscratch.ops.shape import broadcast_to, reshape
from nnscratch.sample_inputs import Case, normal

_PAIRS = (Case(normal(4, 1), normal(4, 1)), Case(normal(5), normal(3)), Case(normal(1), normal(2, 3)))


@op(
    formula=r"L_D = -\frac{1}{n} \sum_i \left( s \ln \sigma(d_i) + (1 - s) \ln(1 - \sigma(d_i)) \right) "
    r"- \frac{1}{m} \sum_j \ln(1 - \sigma(f_j))",
    derivative=r"\frac{\sigma(d_i) - s}{n}, \quad \frac{\sigma(f_j)}{m}",
    document="S11: 003 §3.2, §4.2; 004 §2.3.2",
    samples=(*_PAIRS, Case(normal(4, 1), normal(4, 1), 0.9)),
)
def discriminator_loss(real, fake, true=1.0):
    """What a discriminator loses that takes given samples for made ones, and made for given (Goodfellow et al., 2014, algorithm 1).

    Parameters
    ----------
    real, fake : Tensor or array
        What it says, as logits, of given samples (d), and of those that a generator made (f).
    true : float
        The label s of given samples; a little below 1, such as 0.9, it keeps the discriminator from being too sure (one-sided
        label smoothing: Salimans et al., 2016, §3.4).

    Returns
    -------
    A single number.

    Raises
    ------
    TypeError, ValueError
        Where they hold no floating-point numbers or none at all, or `true` does not lie between 0 and 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.discriminator_loss(ns.tensor([0.0]), ns.tensor([0.0]))  # twice the logarithm of 2
    tensor(1.3862944)
    """
    arguments.number("discriminator_loss", "true", true, 0, 1, "[]")
    real, fake = _said("discriminator_loss", "real", real), _said("discriminator_loss", "fake", fake)
    losses = true * softplus(-real) + (1 - true) * softplus(real)
    return mean_of_losses(losses, losses.size) + mean_of_losses(softplus(fake), fake.size)


@discriminator_loss.rule("real")
def _(g, real, true):
    return g / real.size * ((1 - true) * sigmoid(real) - true * sigmoid(-real))


@discriminator_loss.rule("fake")
def _(g, fake):
    return g / fake.size * sigmoid(fake)


@op(
    formula=r"L_G = -\frac{1}{m} \sum_j \ln \sigma(f_j)",
    derivative=r"\frac{\sigma(f_j) - 1}{m}",
    document="S11: 003 §3.2, §4.2; 004 §2.3.2",
    samples=(Case(normal(4, 1)), Case(normal(5)), Case(normal(1))),
)
def generator_loss(fake):
    """What a generator loses whose samples are not taken for given ones, in the form that does not saturate (Goodfellow et al., 2014, §3).

    It falls with the discriminator's log-odds where the two-player loss, ln(1 − σ(f)), is flat because the discriminator is sure.

    Parameters
    ----------
    fake : Tensor or array
        What the discriminator says of made samples (f), as logits.

    Returns
    -------
    A single number.

    Raises
    ------
    TypeError, ValueError
        Where it holds no floating-point numbers, or none at all.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.generator_loss(ns.tensor([-10.0, 10.0]))
    tensor(5.0000453)
    """
    fake = _said("generator_loss", "fake", fake)
    return mean_of_losses(softplus(-fake), fake.size)


@generator_loss.rule("fake")
def _(g, fake):
    return -g / fake.size * sigmoid(-fake)


@op(
    formula=r"L_C = \frac{1}{m} \sum_j f_j - \frac{1}{n} \sum_i d_i",
    derivative=r"-\frac{1}{n}, \quad \frac{1}{m}",
    samples=_PAIRS,
)
def critic_loss(real, fake):
    """What a critic loses that puts made samples above given ones; its negative estimates how far apart they are (Arjovsky et al., 2017).

    That is the Wasserstein distance, where the critic changes nowhere faster than its input: see `gradient_penalty`. The generator's
    loss is ``-fake.mean()``.

    Parameters
    ----------
    real, fake : Tensor or array
        What the critic says of given samples (d), and of made ones (f): any numbers.

    Returns
    -------
    A single number.

    Raises
    ------
    TypeError, ValueError
        Where they hold no floating-point numbers, or none at all.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.critic_loss(ns.tensor([2.0, 4.0]), ns.tensor([1.0]))
    tensor(-2.)
    """
    real, fake = _said("critic_loss", "real", real), _said("critic_loss", "fake", fake)
    if backend.mixed([real, fake]):  # single numbers of two devices might be added
        raise ValueError("got two devices")
    total = np.sum(fake, dtype=np.float64) / fake.size - np.sum(real, dtype=np.float64) / real.size
    return total.astype(real.dtype)


@critic_loss.rule("real")
def _(g, real_shape):
    return broadcast_to(-g / math.prod(real_shape), real_shape)


@critic_loss.rule("fake")
def _(g, fake_shape):
    return broadcast_to(g / math.prod(fake_shape), fake_shape)


@op(
    formula=r"P = \frac{1}{n} \sum_i (r_i - 1)^2, \quad r_i = \sqrt{\sum_j \nabla_{ij}^2}",
    derivative=r"\frac{2}{n} (1 - \frac{1}{r_i}) \nabla_i, \quad 0 \text{ at } 0",
    samples=(Case(normal(4, 3)), Case(normal(3, 1, 2, 2)), Case(normal(5))),
)
def gradient_penalty(gradients):
    """By how much the gradients of a critic differ from 1 in length, squared: the penalty of Gulrajani et al. (2017), equation 3.

    There the gradients are those of what the critic says by its inputs, at points drawn between given and made samples, and the
    penalty counts ten times. Its own gradients are second derivatives of the critic: ``ns.grad(..., create_graph=True)``.

    Parameters
    ----------
    gradients : Tensor or array, shape (n, ...)
        One for each sample.

    Returns
    -------
    A single number.

    Raises
    ------
    TypeError, ValueError
        Where it holds no floating-point numbers, or none at all.

    Examples
    --------
    >>> import nnscratch as ns
    >>> points = ns.tensor([[3.0, 4.0]], requires_grad=True)
    >>> said = ns.norm(points, axis=1) ** 2 / 2
    >>> ns.functional.gradient_penalty(ns.grad(said.sum(), points, create_graph=True)).item()
    16.0
    """
    gradients = _said("gradient_penalty", "gradients", gradients)
    if not gradients.ndim:
        raise ValueError(
            "gradient_penalty: gradients is a single number, expected one gradient for each sample; reshape it"
        )
    away = norm(reshape(gradients, (len(gradients), -1)), axis=1) - 1
    return mean_of_losses(away * away, away.size)


@gradient_penalty.rule("gradients")
def _(g, gradients):
    n = gradients.shape[0]
    flat = reshape(gradients, (n, -1))
    length = norm(flat, axis=1, keepdims=True)
    nothing = equal(length, 0)
    return reshape(2 * g / n * where(nothing, 0, (length - 1) * flat / where(nothing, 1, length)), gradients.shape)


def _said(name, what, value):
    """What a network said, as floating-point numbers, and at least one."""
    value = floating_point(name, what, value)
    if not value.size:
        raise ValueError(f"{name}: {what} is {describe(value)}, which holds nothing; pass at least one sample")
    return value
