"""Learning rates that change as training goes on.

A schedule is a function of the number of steps made, ``rate(base, step)``, where `base` is the rate that a
group of the optimiser had when the schedule was made. It holds nothing else, so a resumed schedule goes on
exactly.
"""

import math

from nnscratch import arguments
from nnscratch.autograd import describe
from nnscratch.optim.optimizer import Optimizer


class LRScheduler:
    """What all schedules have in common; a new one writes `rate`.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' present rates are the schedule's base; the rate of step 0 is set at once.
    base : list of float, optional
        The base of each group, in place of its present rate.

    Raises
    ------
    TypeError
        Where it is no optimiser.

    Examples
    --------
    >>> import nnscratch as ns
    >>> class Halving(ns.optim.lr_scheduler.LRScheduler):
    ...     def rate(self, base, step):
    ...         return base / 2**step
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=0.5)
    >>> schedule = Halving(optimizer)
    >>> schedule.step()
    >>> optimizer.lr
    0.25
    """

    def __init__(self, optimizer, base=None):
        self.optimizer = optimizer
        self._base = [group["lr"] for group in optimizer.param_groups] if base is None else base
        self._step = 0
        self._apply()

    def rate(self, base, step):
        """The learning rate at a step, of a group whose rate was `base`."""
        raise NotImplementedError

    def _apply(self):
        self._set(self.last_lr)

    def _set(self, rates):
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def step(self):
        """Count a step (of a batch or an epoch, whichever the schedule is meant for), and set the rates."""
        self._step += 1
        self._apply()

    @property
    def last_lr(self):
        """The rate last set for each group, a list."""
        return [self.rate(base, self._step) for base in self._base]

    def state_dict(self):
        """All that later rates depend on, fit for JSON, beside the settings it was made with.

        Returns
        -------
        dict
            ``"scheduler"`` (its name), ``"step"`` and ``"base"`` (a rate for each group).

        Examples
        --------
        >>> import nnscratch as ns
        >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=0.1)
        >>> ns.optim.lr_scheduler.StepLR(optimizer, 10).state_dict()
        {'scheduler': 'StepLR', 'step': 0, 'base': [0.1]}
        """
        return {"scheduler": type(self).__name__, "step": self._step, "base": list(self._base)}

    def load_state_dict(self, state):
        """Take over what `state_dict` returned, and set the rates.

        Parameters
        ----------
        state : dict
            Of a schedule of the same kind, for as many groups.

        Raises
        ------
        TypeError
            Where `state` is no dict.
        ValueError
            Where it does not fit; then nothing is changed.

        Examples
        --------
        >>> import nnscratch as ns
        >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=0.1)
        >>> schedule = ns.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        >>> schedule.load_state_dict({"scheduler": "ExponentialLR", "step": 1, "base": [0.5]})
        >>> optimizer.lr
        0.25
        """
        name = type(self).__name__
        what = f"{name}.load_state_dict"
        if not isinstance(state, dict):
            raise TypeError(f"{what}: got {describe(state)}, expected a dict; pass what state_dict() returned")
        if state.get("scheduler") != name:
            raise ValueError(
                f"{what}: the state is of {arguments.shown(state.get('scheduler', 'no schedule'))}; "
                f"load it into a schedule of that kind"
            )
        try:
            step = arguments.count(what, "step", state["step"], 0)
            base = [arguments.number(what, "base", b, 0) for b in state["base"]]
            rates = [arguments.number(what, "a rate", self.rate(b, step), 0) for b in base]
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{what}: the state is damaged ({error}); pass what state_dict() returned") from error
        if len(base) != len(self._base):
            raise ValueError(
                f"{what}: the state is for {len(base)} groups, the optimiser has {len(self._base)}; use the same groups"
            )
        self._step, self._base = step, base
        self._set(rates)


def _optimizer(owner, optimizer):
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{owner}: got {describe(optimizer)}, expected an optimiser; pass for example ns.optim.SGD(...)"
        )
    return optimizer


class StepLR(LRScheduler):
    r"""The rate multiplied by γ after every s steps.

    .. math:: \alpha_t = \alpha_0\, \gamma^{\lfloor t / s \rfloor}

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
        s.
    gamma : float
        γ, above 0.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    >>> for _ in range(5):
    ...     schedule.step()
    >>> optimizer.lr
    0.25
    """

    def __init__(self, optimizer, step_size, gamma=0.1):
        self.step_size = arguments.count("StepLR", "step_size", step_size)
        self.gamma = arguments.number("StepLR", "gamma", gamma, 0, math.inf, "()")
        super().__init__(_optimizer("StepLR", optimizer))

    def rate(self, base, step):
        return base * self.gamma ** (step // self.step_size)


class ExponentialLR(LRScheduler):
    r"""The rate multiplied by γ after every step.

    .. math:: \alpha_t = \alpha_0\, \gamma^t

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
        γ, above 0.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    >>> schedule.step()
    >>> optimizer.lr
    0.5
    """

    def __init__(self, optimizer, gamma):
        self.gamma = arguments.number("ExponentialLR", "gamma", gamma, 0, math.inf, "()")
        super().__init__(_optimizer("ExponentialLR", optimizer))

    def rate(self, base, step):
        return base * self.gamma**step


class CosineLR(LRScheduler):
    r"""Half a cosine from the first rate down to the least, which it keeps (Loshchilov & Hutter, 2017).

    .. math::
        \alpha_t = \alpha_\min + \tfrac12 (\alpha_0 - \alpha_\min) \left( 1 + \cos \frac{\pi t}{T} \right)

    Parameters
    ----------
    optimizer : Optimizer
    steps : int
        T, after which the least rate is reached.
    minimum : float
        The least rate, zero or greater.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or the least rate exceeds the first.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.CosineLR(optimizer, 4)
    >>> for _ in range(4):
    ...     schedule.step()
    >>> optimizer.lr
    0.0
    """

    def __init__(self, optimizer, steps, minimum=0.0):
        self.steps = arguments.count("CosineLR", "steps", steps)
        self.minimum = arguments.number("CosineLR", "minimum", minimum, 0)
        least = min(group["lr"] for group in _optimizer("CosineLR", optimizer).param_groups)
        if self.minimum > least:
            raise ValueError(
                f"CosineLR: minimum is {minimum}, the optimiser's rate {least}; choose one that is not above it"
            )
        super().__init__(optimizer)

    def rate(self, base, step):
        if step >= self.steps:
            return self.minimum
        return self.minimum + (base - self.minimum) * (1 + math.cos(math.pi * step / self.steps)) / 2


class LinearWarmup(LRScheduler):
    r"""A straight line up to the full rate, then another schedule or that rate (Goyal et al., 2017, §2.2).

    .. math:: \alpha_t = \alpha_0 \left( f + (1 - f) \frac{t}{T} \right) \text{ for } t < T

    Parameters
    ----------
    optimizer : Optimizer
    steps : int
        T.
    then : LRScheduler, optional
        Made for the same optimiser, which counts from 0 after the warm-up; call ``step`` of this one only.
    start : float
        f, from 0 to 1. At 0 the very first step changes nothing: where steps are epochs, rather give 0.1.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> then = ns.optim.lr_scheduler.CosineLR(optimizer, 4)
    >>> schedule = ns.optim.lr_scheduler.LinearWarmup(optimizer, 2, then)
    >>> rates = []
    >>> for _ in range(7):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, optimizer, steps, then=None, start=0.0):
        name = "LinearWarmup"
        self.steps = arguments.count(name, "steps", steps)
        self.start = arguments.number(name, "start", start, 0, 1, "[]")
        _optimizer(name, optimizer)
        if then is not None and (not isinstance(then, LRScheduler) or then.optimizer is not optimizer):
            raise TypeError(
                f"{name}: then is {describe(then)}, expected a schedule made for the same optimiser; pass one"
            )
        self.then = then
        super().__init__(optimizer, None if then is None else list(then._base))

    def rate(self, base, step):
        if step < self.steps:
            return base * (self.start + (1 - self.start) * step / self.steps)
        return base if self.then is None else self.then.rate(base, step - self.steps)
