"""Gradient descent and Adam."""

import math

import numpy as np

from nnscratch import arguments, backend
from nnscratch.optim.optimizer import Optimizer


def checked_betas(name, betas):
    """A pair of numbers from 0 up to below 1.

    Raises
    ------
    TypeError, ValueError
        Where it is none.

    Examples
    --------
    >>> checked_betas("Adam", [0.9, 0.999])
    (0.9, 0.999)
    """
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise TypeError(
            f"{name}: betas is {arguments.shown(betas)}, expected a pair of numbers; pass for example (0.9, 0.999)"
        )
    return tuple(arguments.number(name, f"betas[{i}]", b, 0, 1, "[)") for i, b in enumerate(betas))


class SGD(Optimizer):
    r"""Gradient descent on batches (F10), with momentum if wanted.

    .. math:: \theta \leftarrow \theta - \alpha \nabla J(\theta)

    With momentum μ (Polyak, 1964) the step is along the velocity :math:`v \leftarrow \mu v + \nabla J`, with
    `nesterov` along :math:`\nabla J + \mu v` (Sutskever et al., 2013, in the form that takes the gradient where
    the parameters are). Weight decay λ adds :math:`\lambda \theta` to the gradient. With `dampening` d the velocity, which begins as the
    first gradient, takes :math:`(1 - d) \nabla J` of each later one.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to change; see `Optimizer`.
    lr : float
        α, zero or greater.
    momentum : float
        μ, from 0 up to below 1.
    nesterov : bool
        Needs a momentum above 0.
    weight_decay : float
        λ, zero or greater.
    dampening : float
        d, from 0 to 1.

    Raises
    ------
    TypeError, ValueError
        Where parameters or settings are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([1.0], requires_grad=True)
    >>> optimizer = ns.optim.SGD([x], lr=0.25)
    >>> (x**2).sum().backward()
    >>> optimizer.step()
    >>> x
    tensor([0.5], requires_grad=True)
    """

    formula = r"\theta \leftarrow \theta - \alpha \nabla J(\theta)"
    document = "F10: 000 §4; 001 §3; 003 §4.1; 004 §4.3.1"
    slots = fading = ("velocity",)
    since = (("dampening", 0.0),)

    def __init__(self, params, lr, momentum=0.0, nesterov=False, weight_decay=0.0, dampening=0.0):
        settings = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "dampening": dampening})

    def _used(self, group):
        return self.slots if group["momentum"] else ()

    def _check(self, settings):
        lr = arguments.number("SGD", "lr", settings["lr"], 0)
        momentum = arguments.number("SGD", "momentum", settings["momentum"], 0, 1, "[)")
        nesterov = arguments.flag("SGD", "nesterov", settings["nesterov"])
        if nesterov and not momentum:
            raise ValueError(
                "SGD: nesterov is True and momentum 0, expected one above 0; pass for example momentum=0.9"
            )
        weight_decay = arguments.number("SGD", "weight_decay", settings["weight_decay"], 0)
        dampening = arguments.number("SGD", "dampening", settings["dampening"], 0, 1)
        if dampening and (nesterov or not momentum):
            raise ValueError(
                f"SGD: dampening is {dampening}, which is for a momentum above 0 without nesterov; leave it out"
            )
        found = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        return {**found, "dampening": dampening}

    def _update(self, p, g, state, step, group):  # with dampening
        velocity = state["velocity"]
        h = g + group["weight_decay"] * p if group["weight_decay"] else g
        velocity[...] = h if step == 1 else group["momentum"] * velocity + (1 - group["dampening"]) * h
        p -= group["lr"] * velocity

    def _update_all(self, rows, step, group):
        if group["dampening"]:
            return super()._update_all(rows, step, group)
        momentum = group["momentum"]
        rows = [(p, g, state["velocity"]) if momentum else (p, g, None) for p, g, state in rows]
        backend.of(rows[0][0]).kernel("steps.sgd")(
            rows, group["lr"], momentum, group["nesterov"], group["weight_decay"]
        )


class Adam(Optimizer):
    r"""Adam in the documents' form (F11), which has no bias correction; that of Kingma & Ba is an option.

    .. math::
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) \nabla J, \quad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) (\nabla J)^2, \quad
        \theta \leftarrow \theta - \alpha \frac{m_t}{\sqrt{v_t} + \varepsilon}

    With `bias_correction` the step is made of :math:`\hat m = m_t / (1 - \beta_1^t)` and
    :math:`\hat v = v_t / (1 - \beta_2^t)` (Kingma & Ba, 2015, algorithm 1). Weight decay λ adds
    :math:`\lambda \theta` to the gradient or, `decoupled`, first takes :math:`\alpha \lambda \theta` from the
    parameter (Loshchilov & Hutter, 2019). With `amsgrad` the greatest of all :math:`v_t` so far stands under the root (Reddi, Kale &
    Kumar, 2018).

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
    bias_correction : bool
    weight_decay : float
        λ, zero or greater.
    decoupled : bool
    amsgrad : bool

    Raises
    ------
    TypeError, ValueError
        Where parameters or settings are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor([1.0], requires_grad=True)
    >>> optimizer = ns.optim.Adam([x], lr=0.1, bias_correction=True)
    >>> (x**2).sum().backward()
    >>> optimizer.step()
    >>> x
    tensor([0.9], requires_grad=True)
    """

    formula = (
        r"m_t = \beta_1 m_{t-1} + (1 - \beta_1) \nabla J, \quad "
        r"v_t = \beta_2 v_{t-1} + (1 - \beta_2) (\nabla J)^2, \quad "
        r"\theta \leftarrow \theta - \alpha \frac{m_t}{\sqrt{v_t} + \varepsilon}"
    )
    document = "F11: 000 §4; 004 §4.3.2"
    slots = ("m", "v", "v_max")
    fading = ("m",)
    since = (("amsgrad", False),)

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        bias_correction=False,
        weight_decay=0.0,
        decoupled=False,
        amsgrad=False,
    ):
        settings = {"lr": lr, "betas": betas, "eps": eps, "bias_correction": bias_correction}
        super().__init__(params, {**settings, "weight_decay": weight_decay, "decoupled": decoupled, "amsgrad": amsgrad})

    def _used(self, group):
        return self.slots if group["amsgrad"] else ("m", "v")

    def _check(self, settings):
        name = type(self).__name__
        return {
            "lr": arguments.number(name, "lr", settings["lr"], 0),
            "betas": checked_betas(name, settings["betas"]),
            "eps": arguments.number(name, "eps", settings["eps"], 0, math.inf, "()"),
            "bias_correction": arguments.flag(name, "bias_correction", settings["bias_correction"]),
            "weight_decay": arguments.number(name, "weight_decay", settings["weight_decay"], 0),
            "decoupled": arguments.flag(name, "decoupled", settings["decoupled"]),
            "amsgrad": arguments.flag(name, "amsgrad", settings["amsgrad"]),
        }

    def _update(self, p, g, state, step, group):  # with amsgrad
        m, v, v_max = (state[slot] for slot in self.slots)
        beta1, beta2 = group["betas"]
        scales = (1 - beta1**step, 1 - beta2**step) if group["bias_correction"] else (1.0, 1.0)
        if group["decoupled"]:
            p -= group["lr"] * group["weight_decay"] * p
        elif group["weight_decay"]:
            g = g + group["weight_decay"] * p
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * (g * g)
        np.maximum(v_max, v, out=v_max)
        p -= group["lr"] * (m / scales[0]) / (np.sqrt(v_max / scales[1]) + group["eps"])

    def _update_all(self, rows, step, group):
        if group["amsgrad"]:
            return super()._update_all(rows, step, group)
        correction, decay, decoupled = group["bias_correction"], group["weight_decay"], group["decoupled"]
        settings = group["lr"], *group["betas"], group["eps"], step, correction, decay, decoupled
        rows = [(p, g, state["m"], state["v"]) for p, g, state in rows]
        backend.of(rows[0][0]).kernel("steps.adam")(rows, *settings)


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov & Hutter, 2019): first θ ← θ - αλθ, then Adam's step.

    Parameters
    ----------
    params, lr, betas, eps, bias_correction, weight_decay, amsgrad
        As for `Adam`, whose default of no bias correction it shares.

    Raises
    ------
    TypeError, ValueError
        Where parameters or settings are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.optim.AdamW([ns.tensor([1.0], requires_grad=True)]).param_groups[0]["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        bias_correction=False,
        weight_decay=0.01,
        amsgrad=False,
    ):
        super().__init__(params, lr, betas, eps, bias_correction, weight_decay, True, amsgrad)
