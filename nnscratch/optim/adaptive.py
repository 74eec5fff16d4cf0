"""Optimisers beside the documents' that measure each parameter's step by the gradients that it had: RMSprop, Adagrad, NAdam."""

import math

import numpy as np

from nnscratch import arguments
from nnscratch.optim.optimizer import Optimizer
from nnscratch.optim.optimizers import checked_betas


def _decayed(p, g, weight_decay):
    """The gradient with what a weight decay adds to it."""
    return g + weight_decay * p if weight_decay else g


class RMSprop(Optimizer):
    r"""The gradient divided by the root of its mean square (Tieleman & Hinton, 2012).

    .. math:: v_t = \alpha v_{t-1} + (1 - \alpha) (\nabla J)^2, \quad
        \theta \leftarrow \theta - \eta \frac{\nabla J}{\sqrt{v_t} + \varepsilon}

    `centered` takes the square of the gradient's own mean from the mean square, so that its variance is under the root (Graves, 2013).
    With momentum μ the step is along :math:`b \leftarrow \mu b + \nabla J / (\sqrt{v_t} + \varepsilon)`.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to change; see `Optimizer`.
    lr : float
        η, zero or greater.
    alpha : float
        α, from 0 up to below 1.
    eps : float
        ε, above 0.
    weight_decay : float
        Zero or greater; its product with θ is added to the gradient.
    momentum : float
        μ, from 0 up to below 1.
    centered : bool

    Raises
    ------
    TypeError, ValueError
        Where parameters or settings are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([1.0], requires_grad=True)
    >>> optimizer = ns.optim.RMSprop([x], lr=0.1, alpha=0.75)
    >>> (x**2).sum().backward()
    >>> optimizer.step()
    >>> x
    tensor([0.8], requires_grad=True)
    """

    slots = ("v", "mean", "velocity")
    fading = ("mean", "velocity")

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
        settings = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "momentum": momentum, "centered": centered})

    def _used(self, group):
        return ("v", *("mean",) * group["centered"], *("velocity",) * bool(group["momentum"]))

    def _check(self, settings):
        return {
            "lr": arguments.number("RMSprop", "lr", settings["lr"], 0),
            "alpha": arguments.number("RMSprop", "alpha", settings["alpha"], 0, 1, "[)"),
            "eps": arguments.number("RMSprop", "eps", settings["eps"], 0, math.inf, "()"),
            "weight_decay": arguments.number("RMSprop", "weight_decay", settings["weight_decay"], 0),
            "momentum": arguments.number("RMSprop", "momentum", settings["momentum"], 0, 1, "[)"),
            "centered": arguments.flag("RMSprop", "centered", settings["centered"]),
        }

    def _update(self, p, g, state, step, group):
        g, alpha, v = _decayed(p, g, group["weight_decay"]), group["alpha"], state["v"]
        v[...] = alpha * v + (1 - alpha) * (g * g)
        spread = v
        if group["centered"]:
            mean = state["mean"]
            mean[...] = alpha * mean + (1 - alpha) * g
            spread = np.maximum(v - mean * mean, 0)  # which rounding may take below 0
        update = g / (np.sqrt(spread) + group["eps"])
        if group["momentum"]:
            velocity = state["velocity"]
            velocity[...] = group["momentum"] * velocity + update
            update = velocity
        p -= group["lr"] * update


class Adagrad(Optimizer):
    r"""The gradient divided by the root of the sum of all its squares (Duchi, Hazan & Singer, 2011).

    .. math:: s_t = s_{t-1} + (\nabla J)^2, \quad
        \theta \leftarrow \theta - \frac{\eta}{1 + (t - 1) \gamma} \frac{\nabla J}{\sqrt{s_t} + \varepsilon}

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to change; see `Optimizer`.
    lr : float
        η, zero or greater.
    lr_decay : float
        γ, zero or greater.
    weight_decay : float
        Zero or greater; its product with θ is added to the gradient.
    initial_accumulator_value : float
        s before the first step, zero or greater.
    eps : float
        ε, above 0.

    Raises
    ------
    TypeError, ValueError
        Where parameters or settings are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([1.0], requires_grad=True)
    >>> optimizer = ns.optim.Adagrad([x], lr=0.1)
    >>> (x**2).sum().backward()
    >>> optimizer.step()
    >>> x
    tensor([0.9], requires_grad=True)
    """

    slots = ("sum",)

    def __init__(self, params, lr=0.01, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
        settings = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "initial_accumulator_value": initial_accumulator_value, "eps": eps})

    def _check(self, settings):
        zero_or_more = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value")
        found = {name: arguments.number("Adagrad", name, settings[name], 0) for name in zero_or_more}
        return {**found, "eps": arguments.number("Adagrad", "eps", settings["eps"], 0, math.inf, "()")}

    def _update(self, p, g, state, step, group):
        g, total = _decayed(p, g, group["weight_decay"]), state["sum"]
        if step == 1:
            total[...] = group["initial_accumulator_value"]
        total += g * g
        p -= group["lr"] / (1 + (step - 1) * group["lr_decay"]) * g / (np.sqrt(total) + group["eps"])


class NAdam(Optimizer):
    r"""Adam that looks ahead by Nesterov's momentum, with bias correction (Dozat, 2016).

    .. math:: \theta \leftarrow \theta - \alpha \left( \frac{(1 - \mu_t) \nabla J}{1 - \prod_{i \le t} \mu_i} +
        \frac{\mu_{t+1} m_t}{1 - \prod_{i \le t+1} \mu_i} \right) \Big/
        \left( \sqrt{\frac{v_t}{1 - \beta_2^t}} + \varepsilon \right), \quad \mu_t = \beta_1 (1 - \tfrac12\, 0.96^{t \psi})

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to change; see `Optimizer`.
    lr : float
        α, zero or greater.
    betas : (float, float)
        β₁ and β₂, from 0 up to below 1.
    eps : float
        ε, above 0.
    weight_decay : float
        λ, zero or greater: λθ is added to the gradient or, with `decoupled_weight_decay`, first αλθ taken from θ.
    momentum_decay : float
        ψ, zero or greater.
    decoupled_weight_decay : bool

    Raises
    ------
    TypeError, ValueError
        Where parameters or settings are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([1.0], requires_grad=True)
    >>> optimizer = ns.optim.NAdam([x], lr=0.1, momentum_decay=0.0)
    >>> (x**2).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 4)
    0.8944
    """

    slots = ("m", "v")
    fading = ("m",)

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
    ):
        #: By β₁ and ψ the products of all μ up to each step, which follow from these alone.
        self._products: dict = {}
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        settings |= {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, settings)

    def _check(self, settings):
        decoupled = settings["decoupled_weight_decay"]
        return {
            "lr": arguments.number("NAdam", "lr", settings["lr"], 0),
            "betas": checked_betas("NAdam", settings["betas"]),
            "eps": arguments.number("NAdam", "eps", settings["eps"], 0, math.inf, "()"),
            "weight_decay": arguments.number("NAdam", "weight_decay", settings["weight_decay"], 0),
            "momentum_decay": arguments.number("NAdam", "momentum_decay", settings["momentum_decay"], 0),
            "decoupled_weight_decay": arguments.flag("NAdam", "decoupled_weight_decay", decoupled),
        }

    def _product(self, beta, decay, step):
        """The product of all μ up to a step."""
        products = self._products.setdefault((beta, decay), [1.0])
        while len(products) <= step:
            products.append(products[-1] * _momentum(beta, decay, len(products)))
        return products[step]

    def _update(self, p, g, state, step, group):
        (beta1, beta2), decay, lr = group["betas"], group["momentum_decay"], group["lr"]
        m, v = state["m"], state["v"]
        if group["decoupled_weight_decay"]:
            p -= lr * group["weight_decay"] * p
        else:
            g = _decayed(p, g, group["weight_decay"])
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * (g * g)
        divisor = np.sqrt(v / (1 - beta2**step)) + group["eps"]
        now, ahead = _momentum(beta1, decay, step), _momentum(beta1, decay, step + 1)
        p -= lr * (1 - now) / (1 - self._product(beta1, decay, step)) * g / divisor
        p -= lr * ahead / (1 - self._product(beta1, decay, step + 1)) * m / divisor


def _momentum(beta, decay, step):
    """μ at a step."""
    return beta * (1 - 0.5 * 0.96 ** (step * decay))
