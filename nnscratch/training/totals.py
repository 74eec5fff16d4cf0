"""The values of one pass over data: what a step returned of each batch, accumulated by metrics."""

from nnscratch import metrics
from nnscratch.autograd import describe
from nnscratch.metrics.accumulated import number
from nnscratch.tensor import Tensor


class Totals:
    """Takes what `Step.update` or `Step.measure` returned, and has the values over all batches.

    Parameters
    ----------
    owner : str
        The method that returns the values, for errors.
    step : Step
    complete : bool
        Whether each name of the step's has to be there.

    Examples
    --------
    >>> import nnscratch as ns
    >>> import numpy as np
    >>> from nnscratch.training import Step
    >>> totals = Totals("update", Step(), True)
    >>> for value, x in (1.0, np.zeros(3)), (2.0, np.zeros(1)):
    ...     totals.add(totals.flat({"loss": value}, [ns.tensor(x)], [x]))
    >>> totals.compute()
    {'loss': 1.25}
    """

    def __init__(self, owner, step, complete):
        self._owner, self._step, self._complete = f"{type(step).__name__}.{owner}", step, complete
        self._pattern = None
        self.samples = 0

    def flat(self, values, tensors, arrays):
        """What has to be read of one batch's values: a tuple of arrays, for a backend's `readback`.

        The batch's own Tensors are not read back: the arrays they were made of are here.
        """
        here = {id(t): a for t, a in zip(tensors, arrays, strict=True)}
        samples = len(arrays[0])
        places: dict = {}  # the same tuple, such as (prediction, target), for several metrics is read once
        pattern, flat = [], [samples]
        for name, value in values.items():
            if id(value) not in places:
                arguments = self._arguments(name, value, samples)
                places[id(value)] = len(flat), len(flat) + len(arguments)
                flat += [here.get(id(a), a.data) if isinstance(a, Tensor) else a for a in arguments]
            pattern.append((name, *places[id(value)]))
        if self._pattern is None:
            self._begin(pattern)
        elif pattern != self._pattern:
            names, before = ([name for name, *_ in p] for p in (pattern, self._pattern))
            raise ValueError(f"{self._owner}: returned {names} after {before}; return the same for each batch")
        return tuple(flat)

    def _arguments(self, name, value, samples):
        if isinstance(value, tuple):
            return value
        if name in self._step.metrics:
            raise TypeError(
                f"{self._owner}: returned {describe(value)} as {name!r}, expected what that metric takes; pass a tuple"
            )
        return value, samples

    def _begin(self, pattern):
        found, own = [name for name, *_ in pattern], [*self._step.names, *self._step.metrics]
        wrong = set(found) ^ set(own) if self._complete else set(found) - set(own)
        if wrong:
            raise ValueError(
                f"{self._owner}: returned values of {', '.join(found) or 'nothing'}, expected {', '.join(own)}; return a dict of "
                f"these, and say what there is in the attributes names and metrics"
            )
        self._pattern = pattern
        self.restart()

    def restart(self):
        """Forget all batches."""
        own, names = self._step.metrics, [name for name, *_ in self._pattern]
        self._metrics = {name: own[name].new() if name in own else metrics.Mean(name) for name in names}
        self.samples = 0

    def add(self, flat):
        """Take what `flat` returned, read."""
        self.samples += flat[0]
        for name, start, stop in self._pattern:
            self._metrics[name].update(*flat[start:stop])

    def join(self, ranks):
        """Take the batches of all ranks, in the order of the ranks, so that each has the same values."""
        own = None if self._pattern is None else {name: m.state() for name, m in self._metrics.items()}
        found = [row for row in ranks.gather((self._pattern, self.samples, own)) if row[0] is not None]
        if not found:
            return
        self._pattern = found[0][0]
        self.restart()
        for _, samples, states in found:
            self.samples += samples
            for name, metric in self._metrics.items():
                metric.merge(states[name])

    def running(self):
        """The values so far, of metrics that are quick."""
        return {name: number(name, m.compute()) for name, m in self._metrics.items() if m.quick}

    def compute(self):
        """The values over all batches: a dict of floats."""
        return {name: number(name, m.compute()) for name, m in self._metrics.items()}
