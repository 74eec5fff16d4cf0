"""A learning rate by trying: the range test of Smith (2017, "Cyclical learning rates for training neural networks", §3.3)."""

import contextlib
import itertools
import math

import numpy as np

from nnscratch import arguments
from nnscratch.training.inventory import unchanged
from nnscratch.training.step import DivergedError
from nnscratch.training.totals import Totals

SMOOTHING = 0.9  # of a running mean of the losses
DIVERGED = 4.0  # times the least smoothed loss: the search ends there


class RateSearch:
    """What `find_lr` found.

    Parameters
    ----------
    rates, losses : sequence of float
        The rate of each step, and the loss of its batch before it.

    Attributes
    ----------
    smoothed : list of float
        The losses' running mean, weighed towards the latest.
    suggestion : float
        The rate where the smoothed loss falls most steeply over the logarithm of the rate; the first tenth, in which it is the mean
        of few, does not count, nor what comes after its least value.

    Raises
    ------
    ValueError
        Where there are fewer than 3 rates, or not as many losses.

    Examples
    --------
    >>> found = RateSearch([1e-3, 1e-2, 1e-1, 1.0], [1.0, 0.95, 0.1, 5.0])
    >>> found.suggestion
    0.01
    """

    def __init__(self, rates, losses):
        self.rates, self.losses = list(rates), list(losses)
        if len(self.rates) != len(self.losses) or len(self.rates) < 3:
            raise ValueError(
                f"RateSearch: got {len(self.rates)} rates and {len(self.losses)} losses, expected as many of both, at least 3; "
                f"begin at a lower rate, or take more steps"
            )
        self.smoothed = list(_smoothed(self.losses))

    @property
    def suggestion(self):
        """A rate to begin with."""
        first = len(self.rates) // 10
        end = first + int(np.argmin(self.smoothed[first:])) + 1
        slopes = np.gradient(self.smoothed, np.log(self.rates))
        return self.rates[first + int(np.argmin(slopes[first:end]))]

    def __repr__(self):
        return f"RateSearch of {len(self.rates)} rates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}: suggests {self.suggestion:.3g}"

    def plot(self):
        """The losses over the rates: `nnscratch.pictures.learning_rates` of this.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from nnscratch.pictures import learning_rates

        return learning_rates(self)


def _smoothed(losses):
    """The running mean of losses, as if it had begun with the first."""
    mean = 0.0
    for i, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        yield mean / (1 - SMOOTHING**i)


def find_lr(trainer, source, batch_size=32, low=1e-7, high=10.0, steps=100, accumulate=1):
    """Train for some steps with rates that grow from each to the next by one factor, and restore everything.

    The search ends where the smoothed loss is four times the least so far, or no longer finite. Modules, optimisers, gradients and
    random numbers are afterwards as before, bit for bit. Metrics, callbacks and schedules take no part in it.

    Parameters
    ----------
    trainer : Trainer
    source : Source
        What is gone through again if it has not batches enough.
    batch_size : int
    low, high : float
        The first and the last rate; all groups of all optimisers get it.
    steps : int
        How many, at least 3.
    accumulate : int
        As for `Trainer.fit`.

    Returns
    -------
    RateSearch

    Raises
    ------
    TypeError, ValueError
        Where data or settings do not fit, or the loss is not finite before there are 3 rates.
    """
    batch_size = arguments.count("find_lr", "batch_size", batch_size)
    low = arguments.number("find_lr", "low", low, 0, math.inf, "()")
    high = arguments.number("find_lr", "high", high, low, math.inf, "()")
    steps, accumulate = (
        arguments.count("find_lr", "steps", steps, 3),
        arguments.count("find_lr", "accumulate", accumulate),
    )
    if source.once:
        raise ValueError("find_lr: got an iterator, which it would use up; pass arrays, or an ns.data.DataLoader")
    if source.arrays is not None:
        trainer.step.check_data(source.arrays, True)
    rates = np.geomspace(low, high, steps).tolist()
    join_single = trainer._joins_single(source, batch_size, False)
    with _restored(trainer, source.data):
        losses = _losses(trainer, lambda: source.batches(batch_size, True, False, join_single), rates, accumulate)
    return RateSearch(rates[: len(losses)], losses)


class _Growing:
    """A schedule that goes through the rates, for all optimisers."""

    def __init__(self, optimizers, rates):
        self._optimizers, self._rates = optimizers, iter(rates)
        self.step()

    def step(self):
        rate = next(self._rates, None)
        for optimizer in self._optimizers if rate is not None else ():
            optimizer.lr = rate


def _losses(trainer, batches, rates, accumulate):
    """The loss before the step at each of the rates, up to where it diverges."""
    trainer.scheduler, trainer.scheduler_step = _Growing(trainer.step.optimizers.values(), rates), "batch"
    totals = Totals("update", trainer.step, complete=True)
    name = trainer.step.names[0]
    again = itertools.chain.from_iterable(iter(lambda: _pass(batches()), None))
    losses: list = []
    with trainer.step.mode(True), contextlib.suppress(DivergedError):
        updates = trainer._updates(totals, again, "find_lr", accumulate)
        for number, flat in enumerate(itertools.islice(updates, len(rates) * accumulate), 1):
            totals.add(next(iter(trainer.backend.readback([flat]))))  # whoever wants to know waits
            if number % accumulate:
                continue
            losses.append(totals.compute()[name])
            totals.restart()
            *_, last = smoothed = list(_smoothed(losses))
            if len(losses) >= 3 and last > DIVERGED * min(smoothed):
                break
    return losses


def _pass(batches):
    first = next(batches, None)
    if first is None:
        raise ValueError("find_lr: there was no batch; pass data that are not empty")
    return itertools.chain([first], batches)


@contextlib.contextmanager
def _restored(trainer, data):
    """After this block everything is as before."""
    before = dict(vars(trainer))
    state = trainer.step.state_dict()
    gradients = [(p, p.grad) for p in trainer.step.parameters()]
    try:
        with unchanged([trainer.step, data]):
            yield
    finally:
        vars(trainer).clear()
        vars(trainer).update(before)
        trainer.step.load_state_dict(state)
        for p, g in gradients:
            p.grad = g
