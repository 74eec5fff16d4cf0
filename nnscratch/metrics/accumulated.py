"""Metrics that take their samples in batches, and keep counts and sums: their memory does not grow with the samples."""

import copy
import math

import numpy as np

from nnscratch import arguments
from nnscratch.arguments import as_array
from nnscratch.metrics import classifier

#: Of predictions and targets that a `FunctionMetric` keeps until it calls its function on them all together.
MOST_BYTES = 1 << 24
#: Beyond it the exponential is infinite.
MOST_EXPONENT = math.log(np.finfo(np.float64).max)


class Metric:
    """A measure taken batch by batch; a new one writes `reset`, `update` and `compute`, and has a `name`.

    Attributes
    ----------
    name : str
        What the Trainer's history calls it.
    higher_is_better : bool or None
        Whether more of it is better, which callbacks that look for the best epoch ask; with None they go by its name.

    Examples
    --------
    >>> class Largest(Metric):
    ...     name = "largest"
    ...
    ...     def reset(self):
    ...         self.value = 0.0
    ...
    ...     def update(self, prediction, target):
    ...         self.value = max(self.value, prediction.max())
    ...
    ...     def compute(self):
    ...         return self.value
    >>> largest = Largest().new()
    >>> for batch in ([1.0, 5.0], [2.0]):
    ...     largest.update(np.array(batch), None)
    >>> float(largest.compute())
    5.0
    """

    name = "metric"
    higher_is_better: bool | None = None
    #: Whether `compute` costs so little that a progress bar may ask after each batch.
    quick = True
    #: The attributes that batches are added up in, by which two of the same settings are joined.
    sums: tuple = ()

    def reset(self):
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__}: has no reset; write `def reset(self)` in the class")

    def update(self, *values):
        """Take a batch: NumPy arrays of predictions and targets, or what else a training step hands on under its name."""
        raise NotImplementedError(f"{type(self).__name__}: has no update; write `def update(self, ...)` in the class")

    def compute(self):
        """The value over all batches since `reset`."""
        raise NotImplementedError(f"{type(self).__name__}: has no compute; write `def compute(self)` in the class")

    def state(self):
        """What `merge` takes: here the attributes that `sums` names; for `Trainer(..., distributed=...)`.

        Raises
        ------
        NotImplementedError
            Where there are none.
        """
        if not self.sums:
            raise NotImplementedError(
                f"{type(self).__name__}: several processes cannot join it; name the attributes that add up in `sums`, or write "
                f"`def state(self)` and `def merge(self, state)` in the class"
            )
        return {name: getattr(self, name) for name in self.sums}

    def merge(self, state):
        """Take the batches of another of the same settings: what its `state` returned."""
        for name, value in state.items():
            setattr(self, name, getattr(self, name) + value)

    def new(self):
        """One of the same settings that has seen no batch."""
        other = copy.copy(self)
        other.reset()
        return other


class Mean(Metric):
    r"""The mean of values that are means themselves, each weighed by what it counts, such as a batch's loss.

    .. math:: \bar v = \frac{\sum_b n_b v_b}{\sum_b n_b}

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> mean = Mean()
    >>> mean.update(1.0, 30)
    >>> mean.update(4.0, 10)
    >>> mean.compute()
    1.75
    """

    sums = ("total", "count")

    def __init__(self, name="mean"):
        self.name = name
        self.reset()

    def reset(self):
        self.total = self.count = 0.0

    def update(self, value, count=1):
        """Take a value (a number, or an array of one) that is the mean over `count` samples; one of 0 samples is left out."""
        count = float(count)
        if count:
            self.total += float(value.item() if hasattr(value, "item") else value) * count
            self.count += count

    def compute(self):
        """The mean.

        Raises
        ------
        ValueError
            Where nothing was counted.
        """
        if not self.count:
            raise ValueError(
                f"{self.name}: nothing was counted, so there is no mean; pass data in which something counts"
            )
        return self.total / self.count


class _Counting(Metric):
    """A metric of class labels, whose batches are all of one kind."""

    ignore_index: int | None = None
    _rows: bool | None = None  # whether whole numbers were one-hot rows

    def reset(self):
        self._rows = None

    def _counted(self, prediction, target):
        """Prediction and target as arrays, without the samples whose label is the one ignored."""
        name, ignored = self.name, self.ignore_index
        prediction, target = as_array(f"{name}: prediction", prediction), as_array(f"{name}: target", target)
        if prediction.dtype.kind != "f" and prediction.ndim > 1 and target.size:
            rows = classifier.one_hot_both(prediction, target)
            if self._rows not in (None, rows):
                raise ValueError(
                    f"{name}: one batch has one-hot rows of whole numbers, another has not, so that labels cannot be told from "
                    f"rows; pass class labels, which argmax(axis=-1) makes of rows"
                )
            self._rows = rows
        if ignored is None or target.shape != prediction.shape[: target.ndim]:
            return prediction, target
        counts = target != ignored
        return prediction[counts], target[counts]


class Accuracy(_Counting):
    """The share of predictions that are right, over all batches: `accuracy`.

    Parameters
    ----------
    ignore_index : int, optional
        A label whose samples do not count.

    Examples
    --------
    >>> metric = Accuracy()
    >>> metric.update([2, 0, 1], [2, 0, 0])
    >>> metric.update([1], [1])
    >>> metric.compute()
    0.75
    """

    name = "accuracy"
    sums = ("right", "count")

    def __init__(self, ignore_index=None):
        self.ignore_index = ignore_index
        self.reset()

    def reset(self):
        super().reset()
        self.right = self.count = 0

    def update(self, prediction, target):
        """Take a batch, as `accuracy` does."""
        prediction, target = self._counted(prediction, target)
        if target.size:
            predicted, true, _ = classifier.predicted_and_true(self.name, prediction, target)
            self.right += int(np.count_nonzero(predicted == true))
            self.count += predicted.size

    def compute(self):
        """The accuracy, from 0 to 1; 0 where nothing was counted."""
        return self.right / max(self.count, 1)


class Perplexity(_Counting):
    r"""How many classes a model guesses among, on average: 1 where it is always sure and right.

    .. math:: e^{-\frac{1}{n} \sum_i \ln \hat y_{i, y_i}}

    Parameters
    ----------
    ignore_index : int, optional
        A label whose samples do not count.

    Examples
    --------
    >>> metric = Perplexity()
    >>> metric.update([[0.5, 0.5], [0.25, 0.75]], [0, 0])
    >>> round(metric.compute(), 6)
    2.828427
    """

    name = "perplexity"
    higher_is_better = False
    sums = ("total", "count")

    def __init__(self, ignore_index=None):
        self.ignore_index = ignore_index
        self.reset()

    def reset(self):
        super().reset()
        self.total, self.count = 0.0, 0

    def update(self, prediction, target):
        """Take a batch: probabilities (..., classes), and labels (...)."""
        prediction, target = self._counted(prediction, target)
        if prediction.shape[:-1] != target.shape or prediction.dtype.kind != "f":
            raise ValueError(
                f"perplexity: got predictions {prediction.shape} {prediction.dtype} and labels {target.shape}, expected "
                f"probabilities (..., classes) and labels (...); pass those"
            )
        if target.size:
            of_truth = np.take_along_axis(prediction, target[..., None].astype(np.int64), -1)
            with np.errstate(divide="ignore"):
                self.total -= float(np.log(of_truth, dtype=np.float64).sum())
            self.count += target.size

    def compute(self):
        """The perplexity; infinite where a true class had the probability 0, 1 where nothing was counted."""
        mean = self.total / max(self.count, 1)
        return math.exp(mean) if mean < MOST_EXPONENT else math.inf


class ConfusionMatrix(_Counting):
    """Counts by true class (row) and predicted class (column), over all batches: `confusion_matrix`.

    Parameters
    ----------
    classes : int, optional
        The number of classes; if not given, it grows with the labels that come.
    ignore_index : int, optional
        A label whose samples do not count.

    Raises
    ------
    TypeError, ValueError
        Where `classes` is no number of classes.

    Examples
    --------
    >>> metric = ConfusionMatrix()
    >>> metric.update([0, 1], [0, 1])
    >>> metric.update([1, 2], [2, 2])
    >>> metric.compute()
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """

    name = "confusion_matrix"

    def __init__(self, classes=None, ignore_index=None):
        self.classes = None if classes is None else arguments.count(type(self).__name__, "classes", classes)
        self.ignore_index = ignore_index
        self.reset()

    def reset(self):
        super().reset()
        self.matrix = np.zeros((self.classes or 0,) * 2, np.int64)

    def update(self, prediction, target):
        """Take a batch, as `confusion_matrix` does."""
        prediction, target = self._counted(prediction, target)
        if target.size:
            self.merge({"matrix": classifier.confusion_matrix_of(self.name, prediction, target, self.classes)})

    def state(self):
        """The counts."""
        return {"matrix": self.matrix}

    def merge(self, state):
        """Add counts, of more classes or fewer."""
        found = state["matrix"]
        size = max(len(found), len(self.matrix))
        self.matrix = sum(np.pad(m, (0, size - len(m))) for m in (self.matrix, found))

    def compute(self):
        """The matrix, int64, of shape (classes, classes)."""
        return self.matrix


class Precision(ConfusionMatrix):
    """The share of the samples predicted as a class that are of it, over all batches: `precision`.

    Parameters
    ----------
    average : {"binary", "macro", "micro", None}
        As for `precision`.
    classes, ignore_index : int, optional
        As for `ConfusionMatrix`.

    Raises
    ------
    TypeError, ValueError
        Where a setting is not such.

    Examples
    --------
    >>> metric = Precision()
    >>> metric.update([1, 1], [1, 0])
    >>> metric.update([0, 1], [0, 1])
    >>> metric.compute()
    0.6666666666666666
    """

    name = "precision"

    def __init__(self, average="binary", classes=None, ignore_index=None):
        classifier.check_average(type(self).__name__, average)
        self.average = average
        super().__init__(classes, ignore_index)

    def compute(self):
        """The value of all counts together, as the function of that name returns it."""
        return classifier.share(self.name, self.matrix, self.average)


class Recall(Precision):
    """The share of the samples of a class that are predicted as it, over all batches: `recall`.

    Parameters and errors are those of `Precision`.

    Examples
    --------
    >>> metric = Recall()
    >>> metric.update([1, 0], [1, 0])  # a batch without class 1 does not count as 0
    >>> metric.update([0, 0], [0, 0])
    >>> metric.compute()
    1.0
    """

    name = "recall"


class F1(Precision):
    """The harmonic mean of precision and recall, over all batches: `f1`.

    Parameters and errors are those of `Precision`.

    Examples
    --------
    >>> metric = F1(average="macro")
    >>> metric.update([0, 1, 2], [0, 1, 1])
    >>> round(metric.compute(), 4)
    0.5556
    """

    name = "f1"


class FunctionMetric(Metric):
    """A plain function of predictions and targets, both NumPy arrays, as a metric.

    The function is called on all samples together as long as these take no more than 16 MiB; where there are more, on parts of
    about that size, and the value is the mean over the parts weighed by their samples. So it is exact for few samples, and for
    functions that are means over samples for any number. Batches whose shapes (beyond the first axis) differ are parts of
    their own. For a value over any number of samples that is no mean, write a `Metric`.

    Parameters
    ----------
    function : callable
        Of prediction and target, that returns a number.
    name : str, optional
        By default the function's ``__name__``.
    higher_is_better : bool, optional
        Whether more of it is better; by default its name tells, if it can.

    Examples
    --------
    >>> metric = FunctionMetric(lambda prediction, target: np.abs(prediction - target).max(), name="worst")
    >>> metric.update(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    >>> metric.update(np.array([1.0]), np.array([1.5]))
    >>> metric.compute()
    2.0
    """

    quick = False

    def __init__(self, function, name=None, higher_is_better=None):
        self.function, self.higher_is_better = function, higher_is_better
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.reset()

    def reset(self):
        self._kept, self._size, self._mean = [], 0, Mean(self.name)

    def update(self, prediction, target):
        """Keep a batch, or call the function on what was kept."""
        batch = prediction, target
        if self._kept and [a.shape[1:] for a in batch] != [a.shape[1:] for a in self._kept[0]]:
            self._call()
        self._kept.append(batch)
        self._size += sum(a.nbytes for a in batch)
        if self._size >= MOST_BYTES:
            self._call()

    def state(self):
        """The batches that were kept, and the mean of the others."""
        return {"kept": self._kept, "mean": self._mean.state()}

    def merge(self, state):
        """Take batches, and the mean of others."""
        self._mean.merge(state["mean"])
        for batch in state["kept"]:
            self.update(*batch)

    def _call(self):
        prediction, target = (np.concatenate(arrays) for arrays in zip(*self._kept, strict=True))
        self._kept, self._size = [], 0
        value = number(self.name, self.function(prediction, target))
        if differ_in_ones(prediction.shape, target.shape):
            self._check_not_broadcast(value, prediction, target)
        self._mean.update(value, len(target))

    def _check_not_broadcast(self, value, prediction, target):
        """Refuse a function's value that is another where prediction and target have one shape."""
        try:
            other = number(self.name, self.function(prediction, target.reshape(prediction.shape)))
        except Exception:
            return
        if not np.isclose(value, other, rtol=1e-5, atol=1e-8, equal_nan=True):
            raise ValueError(
                f"metric {self.name}: prediction has shape {prediction.shape}, target {target.shape}, which it broadcasts against "
                f"each other: {value:g}, with one shape {other:g}; reshape the targets, or correct it"
            )

    def compute(self):
        """The function's value, a float.

        Raises
        ------
        TypeError
            Where it is no number.
        """
        if self._kept:
            self._call()
        return self._mean.compute()


def number(name, value):
    """What a metric returned, as a float.

    Raises
    ------
    TypeError
        Where it is no number.

    Examples
    --------
    >>> number("f1", np.float32(0.5))
    0.5
    """
    if np.size(value) != 1 or not isinstance(value, int | float | np.number | np.ndarray):
        raise TypeError(f"metric {name}: it returned {value!r}, expected a number; correct it")
    return float(np.asarray(value).item())


def differ_in_ones(a, b):
    """Whether two shapes are the same but for axes of length 1, so that arrays of them may be broadcast by mistake.

    Examples
    --------
    >>> differ_in_ones((5, 1), (5,)), differ_in_ones((5,), (5,))
    (True, False)
    """
    return a != b and [n for n in a if n != 1] == [n for n in b if n != 1]
