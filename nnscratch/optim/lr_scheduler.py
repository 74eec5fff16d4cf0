"""Learning rates that change as training goes on.

A schedule is a function of the number of steps made, ``rate(base, step)``, where `base` is the rate that a
group of the optimiser had when the schedule was made. It holds nothing else, so a resumed schedule goes on
exactly. `ReduceLROnPlateau` alone depends on more: on the values that it is shown.
"""

import bisect
import math

from nnscratch import arguments
from nnscratch.autograd import describe
from nnscratch.hints import guide, hinting
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

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = hinting(cls.__init__)

    def __init__(self, optimizer, base=None):
        self.optimizer = optimizer
        if base is None:
            base = [group["lr"] for group in optimizer.param_groups]
            rates, before = getattr(optimizer, "_scheduled", (None, None))
            base = (
                before if base == rates else base
            )  # a schedule that has made no step yet has changed nothing for good
        self._base = list(base)
        self._step = 0
        self._apply()
        optimizer._scheduled = [group["lr"] for group in optimizer.param_groups], list(self._base)

    def rate(self, base, step):
        """The learning rate at a step, of a group whose rate was `base`."""
        raise NotImplementedError

    def _rates(self, base, step):
        """The rates at a step, of groups whose rates were those of `base`."""
        return [self.rate(b, step) for b in base]

    def _apply(self):
        groups = self.optimizer.param_groups
        self._base = self._base + [group["lr"] for group in groups[len(self._base) :]]  # which were added later
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
        return self._rates(self._base, self._step)

    def get_last_lr(self):
        """`last_lr`, as PyTorch's schedules give it."""
        return self.last_lr

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
            rates = [arguments.number(what, "a rate", rate, 0) for rate in self._rates(base, step)]
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
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


class MultiStepLR(LRScheduler):
    r"""The rate multiplied by γ at each of some steps.

    .. math:: \alpha_t = \alpha_0\, \gamma^{|\{ m \in M : m \le t \}|}

    Parameters
    ----------
    optimizer : Optimizer
    milestones : sequence of int
        M.
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
    >>> schedule = ns.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3], gamma=0.5)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(optimizer.lr)
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer, milestones, gamma=0.1):
        self.milestones = _milestones("MultiStepLR", milestones)
        self.gamma = arguments.number("MultiStepLR", "gamma", gamma, 0, math.inf, "()")
        super().__init__(_optimizer("MultiStepLR", optimizer))

    def rate(self, base, step):
        return base * self.gamma ** bisect.bisect_right(self.milestones, step)


def _milestones(owner, milestones):
    """Numbers of steps as a list, in their order."""
    if not isinstance(milestones, list | tuple):
        raise TypeError(
            f"{owner}: milestones is {describe(milestones)}, expected a list of steps; pass for example [30, 80]"
        )
    return sorted(arguments.count(owner, "a milestone", m, 0) for m in milestones)


class CosineAnnealingLR(LRScheduler):
    r"""A cosine between the first rate and the least, down and up again; `CosineLR` stays at the least instead.

    .. math::
        \alpha_t = \alpha_\min + \tfrac12 (\alpha_0 - \alpha_\min) \left( 1 + \cos \frac{\pi t}{T} \right)

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
        T, the steps of one way.
    eta_min : float
        The least rate, zero or greater.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.0, 0.5, 1.0]
    """

    def __init__(self, optimizer, T_max, eta_min=0.0):
        self.T_max = arguments.count("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = arguments.number("CosineAnnealingLR", "eta_min", eta_min, 0)
        super().__init__(_optimizer("CosineAnnealingLR", optimizer))

    def rate(self, base, step):
        return _cosine(base, self.eta_min, step / self.T_max)


def _cosine(start, end, part):
    """How far half a cosine has come from `start` to `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    r"""Half a cosine from the first rate down to the least, again and again, each longer than the one before (Loshchilov & Hutter, 2017).

    .. math::
        \alpha_t = \alpha_\min + \tfrac12 (\alpha_0 - \alpha_\min) \left( 1 + \cos \frac{\pi T_\text{cur}}{T_i} \right), \quad
        T_{i+1} = T_i\, T_\text{mult}

    Parameters
    ----------
    optimizer : Optimizer
    T_0 : int
        The steps of the first.
    T_mult : int
        By how much each is longer.
    eta_min : float
        The least rate, zero or greater.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0):
        name = "CosineAnnealingWarmRestarts"
        self.T_0 = arguments.count(name, "T_0", T_0)
        self.T_mult = arguments.count(name, "T_mult", T_mult)
        self.eta_min = arguments.number(name, "eta_min", eta_min, 0)
        super().__init__(_optimizer(name, optimizer))

    def rate(self, base, step):
        length = self.T_0
        if self.T_mult == 1:
            step %= length
        while step >= length:
            step, length = step - length, length * self.T_mult
        return _cosine(base, self.eta_min, step / length)


class LinearLR(LRScheduler):
    r"""A straight line from one part of the rate to another, which it keeps.

    .. math:: \alpha_t = \alpha_0 \left( a + (b - a) \min(t / T, 1) \right)

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float
        a, above 0 and at most 1.
    end_factor : float
        b, from 0 to 1.
    total_iters : int
        T.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(optimizer.lr)
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, optimizer, start_factor=1 / 3, end_factor=1.0, total_iters=5):
        self.start_factor = arguments.number("LinearLR", "start_factor", start_factor, 0, 1, "(]")
        self.end_factor = arguments.number("LinearLR", "end_factor", end_factor, 0, 1)
        self.total_iters = arguments.count("LinearLR", "total_iters", total_iters)
        super().__init__(_optimizer("LinearLR", optimizer))

    def rate(self, base, step):
        part = min(step, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class LambdaLR(LRScheduler):
    r"""The rate times a function of the number of steps.

    .. math:: \alpha_t = \alpha_0\, f(t)

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or a sequence with one for each group
        f: takes the number of steps made, an int, and returns a factor, zero or greater. A state has none of it: make the schedule
        with the same functions.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    >>> schedule.step()
    >>> optimizer.lr
    0.5
    """

    def __init__(self, optimizer, lr_lambda):
        groups = _optimizer("LambdaLR", optimizer).param_groups
        functions = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * len(groups)
        if len(functions) != len(groups) or not all(map(callable, functions)):
            raise TypeError(
                f"LambdaLR: lr_lambda is {arguments.shown(lr_lambda)}, expected a function of the number of steps, or a list of one for "
                f"each of {len(groups)} groups; pass such"
            )
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def _rates(self, base, step):
        each = self.lr_lambda
        functions = each if isinstance(each, list | tuple) else [each] * len(base)
        return [b * function(step) for b, function in zip(base, functions, strict=True)]


class OneCycleLR(LRScheduler):
    r"""Up to the greatest rate and down to far below the first, with momentum the other way round (Smith & Topin, 2019).

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or a sequence with one for each group
        The greatest rate; the optimiser's own is not used.
    total_steps : int, optional
        How many steps there will be; or `epochs` times `steps_per_epoch`.
    epochs, steps_per_epoch : int, optional
    pct_start : float
        The part of the steps that go up, from 0 to 1.
    anneal_strategy : "cos" or "linear"
        Whether the ways are half a cosine or a straight line.
    cycle_momentum : bool
        Whether the optimiser's momentum, or β₁, goes from `max_momentum` down to `base_momentum` and back.
    base_momentum, max_momentum : float
        From 0 up to below 1.
    div_factor : float
        What the greatest rate is divided by for the first.
    final_div_factor : float
        What the first rate is divided by for the last.
    three_phase : bool
        Whether it first comes down to the first rate, in as many steps as it goes up.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such; and at a step after the last.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = ns.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=5, pct_start=0.6, div_factor=4, anneal_strategy="linear")
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append((round(optimizer.lr, 4), round(optimizer.param_groups[0]["momentum"], 2)))
    ...     schedule.step()
    >>> rates
    [(0.25, 0.95), (0.625, 0.9), (1.0, 0.85), (0.5, 0.9), (0.0, 0.95)]
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps=None,
        epochs=None,
        steps_per_epoch=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
    ):
        name = "OneCycleLR"
        groups = _optimizer(name, optimizer).param_groups
        if total_steps is None:
            epochs = arguments.count(name, "total_steps is None and epochs", epochs)
            total_steps = epochs * arguments.count(name, "total_steps is None and steps_per_epoch", steps_per_epoch)
        self.total_steps = arguments.count(name, "total_steps", total_steps)
        self.pct_start = arguments.number(name, "pct_start", pct_start, 0, 1)
        self.anneal_strategy = arguments.one_of(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.cycle_momentum = arguments.flag(name, "cycle_momentum", cycle_momentum)
        if self.cycle_momentum and not any(k in groups[0] for k in ("momentum", "betas")):
            raise ValueError(
                f"{name}: {type(optimizer).__name__} has neither momentum nor betas; pass cycle_momentum=False"
            )
        self.base_momentum = arguments.number(name, "base_momentum", base_momentum, 0, 1, "[)")
        self.max_momentum = arguments.number(name, "max_momentum", max_momentum, 0, 1, "[)")
        self.div_factor = arguments.number(name, "div_factor", div_factor, 0, math.inf, "()")
        self.final_div_factor = arguments.number(name, "final_div_factor", final_div_factor, 0, math.inf, "()")
        self.three_phase = arguments.flag(name, "three_phase", three_phase)
        greatest = list(max_lr) if isinstance(max_lr, list | tuple) else [max_lr] * len(groups)
        if len(greatest) != len(groups):
            raise ValueError(
                f"{name}: max_lr has {len(greatest)} rates, the optimiser {len(groups)} groups; pass one each"
            )
        super().__init__(optimizer, [arguments.number(name, "max_lr", rate, 0) for rate in greatest])

    def _way(self, step):
        """Of the places 0 (first), 1 (greatest) and 2 (last): where the way at a step begins and ends, and how much of it is done."""
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {step} is after the last of total_steps={self.total_steps}; make it with more, and call step once "
                f"for each batch"
            )
        ends = [(0, 1, self.pct_start * self.total_steps - 1)]
        if self.three_phase:
            ends.append((1, 0, 2 * self.pct_start * self.total_steps - 2))
        ends.append((ends[-1][1], 2, self.total_steps - 1))
        begin = 0.0
        for start, end, last in ends:
            if step <= last or end == 2:
                return start, end, (step - begin) / (last - begin) if last != begin else 1.0
            begin = last

    def _between(self, start, end, part):
        return _cosine(start, end, part) if self.anneal_strategy == "cos" else start + (end - start) * part

    def rate(self, base, step):
        start, end, part = self._way(step)
        first = base / self.div_factor
        places = first, base, first / self.final_div_factor
        return max(self._between(places[start], places[end], part), 0.0)

    def _set(self, rates):
        super()._set(rates)
        if not self.cycle_momentum:
            return
        start, end, part = self._way(self._step)
        places = self.max_momentum, self.base_momentum, self.max_momentum
        momentum = self._between(places[start], places[end], min(part, 1.0))  # after the last step, too, it is one
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


class SequentialLR(LRScheduler):
    """Schedules one after another, each of which counts its steps from 0.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : sequence of LRScheduler
        Made for the same optimiser, before it has made a step; call ``step`` of this one only.
    milestones : sequence of int
        The steps at which the second and each further one begins.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, or a schedule sets more than rates, or has none that follow from steps alone.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> up = ns.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> down = ns.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    >>> schedule = ns.optim.lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[2])
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append(optimizer.lr)
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer, schedulers, milestones):
        name = "SequentialLR"
        _optimizer(name, optimizer)
        self.milestones = _milestones(name, milestones)
        if not isinstance(schedulers, list | tuple):
            raise TypeError(f"{name}: schedulers is {describe(schedulers)}, expected a list of schedules; pass one")
        self.schedulers = list(schedulers)
        for schedule in self.schedulers:
            if not isinstance(schedule, LRScheduler) or schedule.optimizer is not optimizer:
                raise TypeError(
                    f"{name}: got {describe(schedule)}, expected schedules made for the same optimiser; pass such"
                )
            if isinstance(schedule, OneCycleLR | ReduceLROnPlateau):
                raise ValueError(
                    f"{name}: {type(schedule).__name__} sets more than rates that follow from steps; use it by itself"
                )
        if not self.schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"{name}: got {len(self.schedulers)} schedules and {len(self.milestones)} milestones, expected one fewer of these; "
                f"pass the step at which each but the first begins"
            )
        super().__init__(optimizer, list(self.schedulers[0]._base))

    def _rates(self, base, step):
        at = bisect.bisect_right(self.milestones, step)
        return self.schedulers[at]._rates(base, step - (self.milestones[at - 1] if at else 0))


class ReduceLROnPlateau(LRScheduler):
    """The rate lowered where a value has not become better for more than some steps; for loops of one's own.

    A Trainer takes the callback `nnscratch.training.ReduceLROnPlateau` instead, which knows what is measured.

    Parameters
    ----------
    optimizer : Optimizer
    mode : "min" or "max"
        Which values are better.
    factor : float
        What each rate is multiplied by, between 0 and 1.
    patience : int
        After more steps than this without a better value the rates are lowered.
    threshold : float
        By how much a value must be better to count: by that part of the best, or, with `threshold_mode` "abs", by that much.
    threshold_mode : "rel" or "abs"
    cooldown : int
        Steps after a reduction during which nothing is counted.
    min_lr : float, or a sequence with one for each group
        The least rate, at least 0.
    eps : float
        A change of a rate by no more than this is left out.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> optimizer = ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ns.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.5
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0.0,
        eps=1e-8,
    ):
        name = "ReduceLROnPlateau"
        self.mode = arguments.one_of(name, "mode", mode, ("min", "max"))
        self.threshold_mode = arguments.one_of(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.factor = arguments.number(name, "factor", factor, 0, 1, "()")
        self.patience = arguments.count(name, "patience", patience, 0)
        self.threshold = arguments.number(name, "threshold", threshold, 0)
        self.cooldown = arguments.count(name, "cooldown", cooldown, 0)
        self.eps = arguments.number(name, "eps", eps, 0)
        groups = _optimizer(name, optimizer).param_groups
        least = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * len(groups)
        if len(least) != len(groups):
            raise ValueError(
                f"{name}: min_lr has {len(least)} rates, the optimiser {len(groups)} groups; pass one each"
            )
        self.min_lr = [arguments.number(name, "min_lr", rate, 0) for rate in least]
        self._best, self._bad, self._cooling = None, 0, 0
        super().__init__(optimizer)

    def _rates(self, base, step):
        return [group["lr"] for group in self.optimizer.param_groups]

    def _is_better(self, value):
        if self._best is None:
            return not math.isnan(value)
        sign = 1 if self.mode == "max" else -1
        margin = sign * self.threshold
        return sign * value > sign * (
            self._best * (1 + margin) if self.threshold_mode == "rel" else self._best + margin
        )

    def step(self, metrics):
        """Look at the present value, and lower the rates where it is time to.

        Parameters
        ----------
        metrics : float or Tensor of one element

        Raises
        ------
        TypeError, ValueError
            Where it is no number.
        """
        value = float(metrics)
        self._step += 1
        if self._is_better(value):
            self._best, self._bad = value, 0
        else:
            self._bad += 1
        if self._cooling > 0:
            self._cooling, self._bad = self._cooling - 1, 0
        if self._bad > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lr, strict=True):
                lower = max(group["lr"] * self.factor, least)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self._cooling, self._bad = self.cooldown, 0

    def state_dict(self):
        """All that later reductions depend on, fit for JSON, beside the settings it was made with and the optimiser's rates.

        Returns
        -------
        dict
        """
        return {**super().state_dict(), "best": self._best, "bad": self._bad, "cooling": self._cooling}

    def load_state_dict(self, state):
        """Take over what `state_dict` returned; the rates are the optimiser's, whose own state has them.

        Raises
        ------
        TypeError, ValueError
            Where it does not fit; then nothing is changed.
        """
        what = "ReduceLROnPlateau.load_state_dict"
        if isinstance(state, dict) and state.get("scheduler") == "ReduceLROnPlateau":
            try:
                best = None if state["best"] is None else arguments.number(what, "best", state["best"])
                bad, cooling = (arguments.count(what, name, state[name], 0) for name in ("bad", "cooling"))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{what}: the state is damaged ({error}); pass what state_dict() returned") from error
        super().load_state_dict(state)
        self._best, self._bad, self._cooling = best, bad, cooling


guide(__name__)
