"""Cross-entropy, of probabilities and of what becomes probabilities. A target may be differentiated, too."""

import math

import numpy as np

from nnscratch import backend
from nnscratch.autograd import arguments_of, came, describe, op, record_as
from nnscratch.hints import hinting
from nnscratch.ops.activation import log_softmax, sigmoid, softmax
from nnscratch.ops.elementwise import equal, log, where
from nnscratch.ops.loss import check_reduction, compared, divisor, each, reduce, refuse_none, scale
from nnscratch.ops.operands import backend_of, floating_point, raw
from nnscratch.ops.reduce import sum
from nnscratch.ops.shape import broadcast_to
from nnscratch.sample_inputs import Case, integers, normal, rows, unit
from nnscratch.tensor import Tensor

#: The least number above 0.
SMALLEST = math.ulp(0.0)


def _log_or_zero(p, q):
    """log p, and 0 where q is: 0 log 0 counts as 0."""
    return log(where(equal(q, 0), 1, p))


@op(
    formula=r"L = -\frac{1}{n} \sum_i y_i \ln \hat y_i",
    derivative=r"-\frac{1}{n} \frac{y_i}{\hat y_i}",
    document="F7: 000 §4; 001 §4. With a sum, F8: 002 §4.2; 003 §4.1; 004 §4.2.2 (W2)",
    samples=(
        Case(rows(4, 3), rows(4, 3), "mean", 4),
        Case(rows(4, 3), rows(4, 3), "sum", 4),
        Case(rows(4, 3), rows(4, 3), "none", 4),
        Case(unit(3), unit(3), "mean", 3),
        Case(rows(4, 3), integers(4, high=3), "mean", 4),
    ),
)
def probability_cross_entropy(p, q, reduction, n):
    """Cross-entropy of the distributions `q`, or labels, with the predicted ones `p`, over the last axis; the mean divides by `n`."""
    if np.ndim(p) == 0:
        raise ValueError("p is a single number, expected the probabilities of at least one class; pass a vector")
    if _are_labels(q, p):
        _check_target("p", p, q)
    q = distributions(p, q)
    with np.errstate(divide="ignore"):  # log 0 = -inf is the true value
        losses = -np.sum(q * np.log(np.where(np.equal(q, 0), 1, p)), -1)
    return reduce(losses, reduction, n)


@probability_cross_entropy.rule("p")
def _(g, p, q, reduction, n):
    q = distributions(p, q)
    return each(g, reduction, n) * (-q / where(equal(q, 0), 1, p))


@probability_cross_entropy.rule("q")
def _(g, p, q, reduction, n):
    return each(g, reduction, n) * -_log_or_zero(p, q)


@op(
    formula=r"y_{ic} = [c = q_i]",
    constant=True,
    kernel="scatter.one_hot",
    samples=(Case(integers(4, high=3), 3, "float64"), Case(integers(2, 2, high=3), 4)),
)
def one_hot(labels, classes, dtype="float32"):
    """For each label a row that is 1 in the label's place, and else 0."""
    return one_hot.kernel(labels, classes, np.dtype(dtype))


def distributions(p, q):
    """`q` as distributions in the shape of `p`: labels are sure of their class."""
    return one_hot(q, p.shape[-1], p.dtype) if _are_labels(q, p) else q


@op(
    formula=r"L = -\frac{1}{n} \sum_i y_i \ln \operatorname{softmax}(z)_i",
    derivative=r"\frac{1}{n} (\hat y_i \textstyle\sum_j y_j - y_i)",
    document="F8 with F5: 002 §4.2",
    outputs=("loss", "errors"),
    kernel="loss.cross_entropy",
    samples=(
        Case(normal(4, 3), rows(4, 3), "mean", 4),
        Case(normal(4, 3), rows(4, 3), "sum", 4),
        Case(normal(4, 3), rows(4, 3), "none", 4),
        Case(normal(3), unit(3), "mean", 3),
        Case(normal(4, 3), integers(4, high=3), "mean", 4),
        Case(normal(2, 2, 3), integers(2, 2, high=3), "none", 4),
    ),
)
def softmax_cross_entropy(z, q, reduction, n):
    """Cross-entropy of the distributions `q` with softmax(z), over the last axis, without computing the softmax apart.

    Labels, whole numbers in one axis less than `z` has, stand for the distributions that are sure of them. The second result is
    the gradient of each row's loss by its logits.
    """
    _check_target("z", z, q)
    if reduction == "mean":
        refuse_none(z)
    return softmax_cross_entropy.kernel(z, q, {"mean": n, "sum": 1, "none": None}[reduction])


def _are_labels(q, z):
    return len(q.shape) < len(z.shape)


def _check_target(name, z, q):
    labels = _are_labels(q, z)
    if q.shape != (z.shape[:-1] if labels else z.shape) or (labels and not z.shape[-1]):
        raise ValueError(
            f"{name} has shape {z.shape}, q {q.shape}; give both one shape, or for each row the label of one of its classes"
        )


@softmax_cross_entropy.rule("z")
def _(g_loss, g_errors, z, q, errors, reduction, n):
    d = each(g_loss, reduction, n) * errors if came(g_loss) else 0
    if came(g_errors):
        p = softmax(z)
        through = g_errors if _are_labels(q, z) else g_errors * sum(q, -1, True)
        d = d + p * (through - sum(through * p, -1, True))
    return d


@softmax_cross_entropy.rule("q")
def _(g_loss, g_errors, z, reduction, n):
    d = each(g_loss, reduction, n) * -log_softmax(z) if came(g_loss) else 0
    return d + sum(g_errors * softmax(z), -1, True) - g_errors if came(g_errors) else d


@op(
    formula=r"L = -\frac{1}{n} \sum_i \left( y_i \ln \hat y_i + (1 - y_i) \ln(1 - \hat y_i) \right)",
    derivative=r"\frac{1}{n} \frac{\hat y_i - y_i}{\hat y_i (1 - \hat y_i)}",
    document="F7 over the two outcomes of each value: 000 §4; 001 §4",
    samples=(
        Case(unit(3, 4), unit(3, 4)),
        Case(unit(3, 4), unit(3, 4), "sum"),
        Case(unit(5), unit(5), "none"),
    ),
)
def probability_binary_cross_entropy(p, q, reduction="mean"):
    """Cross-entropy of the two outcomes of each value, `p` being the predicted probability and `q` the true one."""
    with np.errstate(divide="ignore"):  # log 0 = -inf is the true value
        losses = -(q * np.log(np.where(np.equal(q, 0), 1, p)) + (1 - q) * np.log1p(-np.where(np.equal(q, 1), 0, p)))
    return reduce(losses, reduction)


@probability_binary_cross_entropy.rule("p")
def _(g, p, q, reduction):
    zero, one = equal(q, 0), equal(q, 1)
    d = (1 - q) / where(one, 1, 1 - p) - q / where(zero, 1, p)
    return scale(g, reduction, d.size) * d


@probability_binary_cross_entropy.rule("q")
def _(g, p, q, reduction):
    d = _log_or_zero(1 - p, 1 - q) - _log_or_zero(p, q)
    return scale(g, reduction, d.size) * d


@op(
    formula=r"L = \frac{1}{n} \sum_i \left( \ln(1 + e^{z_i}) - y_i z_i \right)",
    derivative=r"\frac{1}{n} (\sigma(z_i) - y_i)",
    document="F7 with F2: 000 §4; 001 §4",
    kernel="loss.binary_cross_entropy_logits",
    samples=(
        Case(normal(3, 4), unit(3, 4)),
        Case(normal(3, 4), unit(3, 4), "sum"),
        Case(normal(5), unit(5), "none"),
    ),
)
def sigmoid_binary_cross_entropy(z, q, reduction="mean"):
    """Cross-entropy of the two outcomes of each value, sigmoid(z) being the predicted probability and `q` the true one."""
    return reduce(sigmoid_binary_cross_entropy.kernel(z, q), reduction)


@sigmoid_binary_cross_entropy.rule("z")
def _(g, z, q, reduction):
    d = sigmoid(z) - q
    return scale(g, reduction, d.size) * d


@sigmoid_binary_cross_entropy.rule("q")
def _(g, z, q_shape, reduction):
    d = broadcast_to(-z, np.broadcast_shapes(z.shape, q_shape))
    return scale(g, reduction, d.size) * d


# What users call


@hinting
def cross_entropy(
    prediction, target, from_logits=False, reduction="mean", weight=None, label_smoothing=0.0, ignore_index=None
):
    r"""Cross-entropy of predicted and true distributions over classes.

    .. math:: L = -\frac{1}{n} \sum_i y_i \ln \hat y_i

    (F7: 000 §4; 001 §4). Rows of probabilities: the sum over the classes of each row, averaged over the n rows.
    A single vector of probabilities with a target of the same length: the sum divided by that length. With
    ``reduction="sum"`` there is no 1/n (F8: 002 §4.2; 003 §4.1; 004 §4.2.2).

    Parameters
    ----------
    prediction : (..., classes) Tensor or array
        Probabilities; with ``from_logits`` the values before softmax, in a form that loses no digits. (Where
        ``F.softmax`` over the last axis gave the probabilities, loss and gradient are computed from its input: the same formula,
        but right also where a probability is too small for its dtype.)
    target : (...) of whole numbers, or (..., classes)
        Labels, or for each class its true probability (one-hot, say).
    from_logits : bool
    reduction : "mean", "sum" or "none"
    weight : (classes,), optional
        A factor for each class; the mean then divides by the sum of the labels' weights.
    label_smoothing : float
        Mixes the target with the uniform distribution (Szegedy et al., 2016), from 0 up to below 1.
    ignore_index : int, optional
        A label, no class perhaps, that does not count: its loss is 0, and the mean leaves it out.

    Returns
    -------
    A single number, or one for each row where the reduction is "none".

    Raises
    ------
    ValueError
        Where shapes do not fit, probabilities lie outside [0, 1], a label is no class, a setting is unknown, or no
        label is left for the mean. Values that lie on a GPU are refused when it is next waited for, as everywhere.
    TypeError
        Where labels are not whole numbers.

    Examples
    --------
    004 §4.5.2, whose print (0.229) does not follow from its formula:

    >>> import nnscratch as ns
    >>> p, y = ns.tensor([0.8, 0.2, 0.9], dtype="float64"), ns.tensor([1, 0, 1], dtype="float64")
    >>> round(ns.functional.cross_entropy(p, y, reduction="sum").item(), 12)
    0.328504066972
    >>> z = ns.tensor([[2.0, 0.0], [0.0, 3.0]])
    >>> ns.functional.cross_entropy(z, [0, 1], from_logits=True)
    tensor(0.08775769)
    """
    name = "cross_entropy"
    check_reduction(name, reduction)
    prediction = floating_point(name, "prediction", prediction)
    q, n = _target(name, prediction, target, reduction, weight, label_smoothing, ignore_index)
    if from_logits:
        _refuse_probabilities(name, prediction, softmax)
        _check_nan(name, prediction)
        return softmax_cross_entropy(prediction, q, reduction, n)[0]
    logits = logits_before(prediction, softmax)
    if logits is None:
        _check_probabilities(name, prediction)
        return probability_cross_entropy(prediction, q, reduction, n)
    _check_nan(name, logits)
    result, _ = softmax_cross_entropy(logits, q, reduction, n)
    return record_as(probability_cross_entropy, (prediction, q, reduction, n), result)


def logits_before(prediction, activation):
    """What `activation` made a prediction of, over its last axis, where it did; else None.

    With it a loss is right also where a probability is too small for its dtype.
    """
    made = arguments_of(prediction, activation)
    return made[0] if made and made[1:] in ((), (-1,), (prediction.ndim - 1,)) else None


def _refuse_probabilities(name, prediction, activation):
    """Say so where values that are to be logits come from the activation that a loss of logits applies itself."""
    if arguments_of(prediction, activation):
        raise ValueError(
            f"{name}: prediction is a result of {activation.name}, which from_logits=True would apply a second time; leave "
            f"from_logits out, or pass the values before {activation.name}"
        )


@hinting
def nll_loss(log_probability, target, reduction="mean", weight=None, ignore_index=None):
    r"""The negative logarithm of the probability given to each true class.

    .. math:: L = -\frac{1}{n} \sum_i y_i \ln \hat y_i

    (F7 from the logarithms, as `log_softmax` gives them.)

    Parameters
    ----------
    log_probability : (..., classes) Tensor or array
        The logarithms of probabilities.
    target, reduction, weight, ignore_index
        As for `cross_entropy`.

    Returns
    -------
    A single number, or one for each row where the reduction is "none".

    Raises
    ------
    TypeError, ValueError
        As for `cross_entropy`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.nll_loss(ns.tensor([[-0.5, -1.0], [-0.3, -2.0]]), [1, 0])
    tensor(0.65)
    """
    name = "nll_loss"
    check_reduction(name, reduction)
    log_probability = floating_point(name, "log_probability", log_probability)
    q, n = _target(name, log_probability, target, reduction, weight, 0.0, ignore_index)
    _check_nan(name, log_probability)
    q = distributions(log_probability, q)
    # 0 log 0 counts as 0
    losses = -sum(where(equal(q, 0), 0, log_probability) * q, -1)
    if reduction == "none":
        return losses
    return sum(losses) / divisor(n, losses.dtype) if reduction == "mean" else sum(losses)


def _target(name, prediction, target, reduction, weight, smoothing, ignored):
    """The target as (weighted) distributions in the prediction's shape, or as labels, and what a mean is divided by.

    The latter is a number, or an array of a GPU where it depends on values there.
    """
    shape, dtype = prediction.shape, prediction.dtype
    if prediction.ndim == 0 or prediction.size == 0:
        raise ValueError(
            f"{name}: prediction has shape {shape}, expected (..., classes) with at least one; pass some predictions"
        )
    classes = shape[-1]
    if not 0 <= smoothing < 1:
        raise ValueError(
            f"{name}: label_smoothing is {smoothing!r}, expected a number from 0 up to below 1; pass for example 0.1"
        )
    here = backend_of(prediction)
    if weight is not None:
        weight = _class_weights(name, weight, classes, dtype, here)
    _check_device(name, prediction, target)
    values = target if isinstance(target, Tensor) or backend.is_array(target) else np.asarray(target)
    if values.shape == shape:
        if values.dtype.kind not in "biuf":
            raise TypeError(f"{name}: target has dtype {values.dtype}, expected labels or probabilities; convert it")
        if ignored is not None:
            raise ValueError(
                f"{name}: ignore_index {ignored} is for labels, target holds probabilities {shape}; pass labels of shape {shape[:-1]}"
            )
        if values.dtype != dtype:
            values = values.astype(dtype)
        values = values if isinstance(values, Tensor) else here.as_result(values)

        def no_probability(value):
            return ValueError(
                f"{name}: target of shape {shape} holds values outside [0, 1] or nan, expected probabilities; pass labels of shape {shape[:-1]} or one-hot rows"
            )

        here.check(raw(values), 0, 1, no_probability)
        if smoothing:
            values = values * (1 - smoothing) + raw(values).sum(-1, keepdims=True) * (smoothing / classes)
        # F7 divides a single vector's sum by its length, rows' sums by the number of rows
        rows = classes if len(shape) == 1 else prediction.size // classes
        return values if weight is None else values * weight, rows
    labels, counted = _labels(name, values, shape[:-1], classes, ignored)
    labels = here.as_result(labels)
    if not smoothing and weight is None and ignored is None:
        return labels, labels.size
    q = one_hot(labels, classes, dtype)
    if smoothing:
        q = q * dtype.type(1 - smoothing) + dtype.type(smoothing / classes)
    n = labels.size
    if ignored is not None:
        counted = here.as_result(counted)
        q *= counted[..., None]
        n = counted.sum()
    if weight is not None:
        q *= weight
        n = np.sum(weight[labels] * counted, dtype=np.float64)
    n = here.number(n)

    def nothing(value):
        return ValueError(
            f"{name}: the weights of all labels given are 0, or all are ignore_index, so their mean has no meaning; "
            f"give a class that occurs a weight, or pass reduction='sum'"
        )

    if reduction == "mean" and (weight is not None or ignored is not None):
        here.check(here.as_result(n), SMALLEST, math.inf, nothing)
    return q, n


def _class_weights(name, weight, classes, dtype, here):
    """A factor for each class, as an array of the backend `here`."""
    weight = raw(weight)
    if not isinstance(weight, here.array):
        weight = np.asarray(backend.to_numpy(weight))
        weight = here.as_result(weight) if here.name == "cpu" else weight  # of a GPU's the host looks at it, at once
    what = describe(weight)

    def error(value=None):
        return ValueError(
            f"{name}: weight must hold a factor of at least 0 for each of {classes} classes, got {what}; pass {classes} of them"
        )

    if weight.shape != (classes,):
        raise error()
    backend.of(weight).check(weight, 0, math.inf, error)
    return here.as_result(weight.astype(dtype, copy=False))


def _labels(name, values, shape, classes, ignored):
    """Labels as whole numbers in range (0 for the one ignored), and which of them count (True: all)."""
    values = raw(values)
    if not shape:
        raise ValueError(
            f"{name}: prediction is one vector of {classes}, so target must be one of that length, got shape "
            f"{values.shape}; for one label pass prediction[None] and [label]"
        )
    if values.shape != shape:
        raise ValueError(
            f"{name}: target has shape {values.shape}, expected labels {shape} or probabilities {(*shape, classes)} "
            f"for this prediction; reshape it"
        )
    here, dtype = backend.of(values), values.dtype

    def no_label(value=None):
        return TypeError(f"{name}: labels must be whole numbers, got {dtype}; convert them with .astype('int64')")

    if dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            here.check(values - np.floor(values), 0, 0, no_label)
            values = values.astype(np.int64)
    if values.dtype.kind not in "iu":
        raise no_label()
    counted = True
    if ignored is not None:
        counted = values != ignored
        values = np.where(counted, values, 0)

    def no_class(value):
        return ValueError(
            f"{name}: label {value} is out of range for {classes} {'class' if classes == 1 else 'classes'}; pass labels from 0 "
            f"to {classes - 1}{', or use binary_cross_entropy for a single output' if classes == 1 else ''}"
        )

    labels = values.astype(np.intp, copy=False)
    here.check(labels, 0, classes - 1, no_class)
    return labels, counted


@hinting
def binary_cross_entropy(prediction, target, from_logits=False, reduction="mean"):
    r"""Cross-entropy of the two outcomes of each value.

    .. math:: L = -\frac{1}{n} \sum_i \left( y_i \ln \hat y_i + (1 - y_i) \ln(1 - \hat y_i) \right)

    (F7 over both outcomes: 000 §4; 001 §4.)

    Parameters
    ----------
    prediction : Tensor or array
        The probability of outcome 1; with ``from_logits`` the values before sigmoid, in a form that loses no digits
        (where ``F.sigmoid`` gave the probabilities, its input is used).
    target : Tensor or array
        The outcomes, 0 or 1, or their probabilities, in the same shape.
    from_logits : bool
    reduction : "mean", "sum" or "none"

    Returns
    -------
    A single number, or one for each value where the reduction is "none".

    Raises
    ------
    ValueError
        Where the shapes differ, values lie outside [0, 1], there are none, or the reduction is unknown.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.binary_cross_entropy(ns.tensor([0.5, 0.5]), ns.tensor([0.0, 1.0]))
    tensor(0.6931472)
    """
    name = "binary_cross_entropy"
    _check_device(name, prediction, target)
    prediction, target = compared(name, prediction, target, reduction)

    def no_probability(value):
        return ValueError(
            f"{name}: target holds values outside [0, 1] or nan; pass 0 and 1 or probabilities between them"
        )

    backend_of(target).check(raw(target), 0, 1, no_probability)
    if from_logits:
        _refuse_probabilities(name, prediction, sigmoid)
        _check_nan(name, prediction)
        return sigmoid_binary_cross_entropy(prediction, target, reduction)
    logits = logits_before(prediction, sigmoid)
    if logits is None:
        _check_probabilities(name, prediction)
        return probability_binary_cross_entropy(prediction, target, reduction)
    _check_nan(name, logits)
    result = sigmoid_binary_cross_entropy(logits, target, reduction)
    return record_as(probability_binary_cross_entropy, (prediction, target, reduction), result)


def _check_device(name, prediction, target):
    """See that the target is where the prediction is, unless it is no array yet."""
    ours, theirs = raw(prediction), raw(target)
    if type(ours) is type(theirs) or not backend.is_array(theirs):
        return
    here, there = backend.of(ours), backend.of(theirs)
    if there is not here:
        raise ValueError(
            f"{name}: prediction is on {here.name}, target on {there.name}, expected one device; move the target, for "
            f"example by ns.tensor(target, device={here.name!r})"
        )


def _check_probabilities(name, prediction):
    def error(value):
        if np.isnan(value):
            return _holds_nan(name)
        return ValueError(
            f"{name}: prediction holds {value:.6g}, which is outside [0, 1], expected probabilities; for values before softmax or "
            f"sigmoid pass from_logits=True"
        )

    backend_of(prediction).check(raw(prediction), 0, 1, error)


def _check_nan(name, prediction):
    backend_of(prediction).check(raw(prediction), -math.inf, math.inf, lambda value: _holds_nan(name))


def _holds_nan(name):
    return ValueError(f"{name}: prediction holds nan; look for it in the data, or lower the learning rate")
