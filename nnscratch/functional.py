"""What users call on tensors and arrays: activations, layers, losses (imported as ``F``).

Each function accepts Tensors and raw arrays alike; given raw arrays alone it returns a raw array.
"""

import math

import numpy as np

from nnscratch import backend
from nnscratch.arguments import count
from nnscratch.autograd import describe
from nnscratch.ops import activation, loss
from nnscratch.ops.activation import (
    celu,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    log_softmax,
    mish,
    normal_cdf,
    prelu,
    relu,
    selu,
    silu,
    softplus,
    softsign,
)
from nnscratch.ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d, fold, unfold
from nnscratch.ops.elementwise import equal, maximum, square, tanh, where
from nnscratch.ops.index import take, whole_indices
from nnscratch.ops.linear import linear
from nnscratch.ops.loss import REDUCTIONS, log_likelihood
from nnscratch.ops.normalise import standardize
from nnscratch.ops.pool import (
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    max_pool2d_indices,
    max_unpool2d,
    sum_pool2d,
)
from nnscratch.ops.reduce import logsumexp, norm, sum
from nnscratch.ops.shape import operand, reshape, transpose
from nnscratch.tensor import Tensor

#: The least number above 0.
SMALLEST = math.ulp(0.0)

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "celu",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gelu",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "instance_norm",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_likelihood",
    "log_softmax",
    "logsumexp",
    "max_pool1d",
    "max_pool2d",
    "max_pool2d_indices",
    "max_unpool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normal_cdf",
    "normalize",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "rms_norm",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "unfold",
]


def sigmoid(x):
    y = activation.sigmoid(x)
    if isinstance(y, Tensor):
        y._logits = (sigmoid, x)
    return y


def softmax(x, axis=-1):
    y = activation.softmax(x, axis)
    if isinstance(y, Tensor) and axis in (-1, y.ndim - 1):
        y._logits = (softmax, x)
    return y


sigmoid.__doc__ = activation.sigmoid.__doc__
softmax.__doc__ = activation.softmax.__doc__


# Losses


def mse_loss(prediction, target, reduction="mean"):
    prediction, target = _same_shape("mse_loss", prediction, target, reduction)
    return loss.mse_loss(prediction, target, reduction)


def l1_loss(prediction, target, reduction="mean"):
    prediction, target = _same_shape("l1_loss", prediction, target, reduction)
    return loss.l1_loss(prediction, target, reduction)


mse_loss.__doc__ = loss.mse_loss.__doc__
l1_loss.__doc__ = loss.l1_loss.__doc__


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
        Probabilities; with ``from_logits`` the values before softmax, in a form that loses no digits. (What
        ``F.softmax`` over the last axis returned is recognised, and its input used: the same formula, but right
        also where a probability is too small for its dtype. The graph then goes around the softmax.)
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
    _check_reduction(name, reduction)
    prediction = _floating(name, "prediction", prediction)
    logits = prediction if from_logits else _logits_behind(prediction, softmax)
    given = reduction, weight, label_smoothing, ignore_index
    q, n = _distributions(name, prediction, target, *given, labels_will_do=logits is not None)
    if logits is None:
        _check_probabilities(name, prediction)
        return loss.probability_cross_entropy(prediction, q, reduction, n)
    _check_nan(name, logits)
    return loss.softmax_cross_entropy(logits, q, reduction, n)


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
    _check_reduction(name, reduction)
    log_probability = _floating(name, "log_probability", log_probability)
    q, n = _distributions(name, log_probability, target, reduction, weight, 0.0, ignore_index)
    _check_nan(name, log_probability)
    # 0 log 0 counts as 0
    losses = -sum(where(equal(q, 0), 0, log_probability) * q, -1)
    if reduction == "none":
        return losses
    return sum(losses) / loss.divisor(n, losses.dtype) if reduction == "mean" else sum(losses)


def _distributions(name, prediction, target, reduction, weight, smoothing, ignored, labels_will_do=False):
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
    here = _backend(prediction)
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
        raw = _raw(values)

        def no_probability(value):
            return ValueError(
                f"{name}: target of shape {shape} holds values outside [0, 1] or nan, expected probabilities; pass labels of shape {shape[:-1]} or one-hot rows"
            )

        here.check(raw, 0, 1, no_probability)
        if smoothing:
            values = values * (1 - smoothing) + raw.sum(-1, keepdims=True) * (smoothing / classes)
        # F7 divides a single vector's sum by its length, rows' sums by the number of rows
        rows = classes if len(shape) == 1 else prediction.size // classes
        return values if weight is None else values * weight, rows
    labels, counted = _labels(name, values, shape[:-1], classes, ignored)
    labels = here.as_result(labels)
    if labels_will_do and not smoothing and weight is None and ignored is None:
        return labels, labels.size
    q = here.kernels.one_hot(labels, classes, dtype)
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
    n = float(n) if here is backend.cpu or isinstance(n, int) else n.astype(np.float64)

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
    weight = _raw(weight)
    if not isinstance(weight, here.array):
        weight = np.asarray(backend.to_numpy(weight))
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
    values = _raw(values)
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


def binary_cross_entropy(prediction, target, from_logits=False, reduction="mean"):
    r"""Cross-entropy of the two outcomes of each value.

    .. math:: L = -\frac{1}{n} \sum_i \left( y_i \ln \hat y_i + (1 - y_i) \ln(1 - \hat y_i) \right)

    (F7 over both outcomes: 000 §4; 001 §4.)

    Parameters
    ----------
    prediction : Tensor or array
        The probability of outcome 1; with ``from_logits`` the values before sigmoid, in a form that loses no digits
        (what ``F.sigmoid`` returned is recognised, and its input used).
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
    prediction, target = _same_shape(name, prediction, target, reduction)

    def no_probability(value):
        return ValueError(
            f"{name}: target holds values outside [0, 1] or nan; pass 0 and 1 or probabilities between them"
        )

    _backend(target).check(_raw(target), 0, 1, no_probability)
    if not from_logits:
        logits = _logits_behind(prediction, sigmoid)
        if logits is None:
            _check_probabilities(name, prediction)
            return loss.probability_binary_cross_entropy(prediction, target, reduction)
        prediction = logits
    _check_nan(name, prediction)
    return loss.sigmoid_binary_cross_entropy(prediction, target, reduction)


def _logits_behind(prediction, activation):
    """What `activation` was given to make `prediction`, where it was."""
    made = prediction._logits if isinstance(prediction, Tensor) else None
    return made[1] if made is not None and made[0] is activation else None


def _floating(name, what, value):
    if not isinstance(value, Tensor) and not backend.is_array(value):
        value = backend.asarray(value)
    if value.dtype.kind != "f":
        raise TypeError(
            f"{name}: {what} must be floating point, got {describe(value)}; convert it with .astype('float32')"
        )
    return value


def _check_reduction(name, reduction):
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction {reduction!r} is unknown; pass 'mean', 'sum' or 'none'")


def _same_shape(name, prediction, target, reduction):
    _check_reduction(name, reduction)
    prediction = _floating(name, "prediction", prediction)
    _check_device(name, prediction, target)
    if not isinstance(target, Tensor) and not backend.is_array(target):
        target = _backend(prediction).as_result(backend.cpu.asarray(target))
    ours, theirs = map(_raw, (prediction, target))
    if ours.shape != theirs.shape:
        raise ValueError(
            f"{name}: prediction has shape {ours.shape}, target {theirs.shape}; reshape one, as they are compared value by value"
        )
    if ours.size == 0:
        raise ValueError(
            f"{name}: prediction and target of shape {ours.shape} hold nothing to compare; pass at least one value"
        )
    return prediction, target if theirs.dtype == ours.dtype else target.astype(ours.dtype)


def _check_device(name, prediction, target):
    """See that the target is where the prediction is, unless it is no array yet."""
    ours, theirs = _raw(prediction), _raw(target)
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

    _backend(prediction).check(_raw(prediction), 0, 1, error)


def _check_nan(name, prediction):
    _backend(prediction).check(_raw(prediction), -math.inf, math.inf, lambda value: _holds_nan(name))


def _holds_nan(name):
    return ValueError(f"{name}: prediction holds nan; look for it in the data, or lower the learning rate")


def _raw(value):
    return value.data if isinstance(value, Tensor) else value


def _backend(value):
    return backend.of(_raw(value))


# Layers


def dropout(x, p=0.5, training=True):
    r"""Each value 0 with probability `p`, else divided by 1 - p (Srivastava et al., 2014); outside training `x` itself.

    Parameters
    ----------
    x : Tensor or array
        Any shape, floating point.
    p : float
        From 0 up to below 1.
    training : bool

    Returns
    -------
    The same shape and dtype; drawn from the generator that `ns.manual_seed` seeds.

    Raises
    ------
    ValueError
        Where `p` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    >>> ns.functional.dropout(ns.tensor([1.0, 1.0, 1.0, 1.0]))
    tensor([2., 2., 2., 0.])
    """
    if not isinstance(p, int | float) or not 0 <= p < 1:
        raise ValueError(f"dropout: p is {p!r}, expected a number from 0 up to below 1; pass for example 0.5")
    x = _floating("dropout", "x", x)
    if not training or p == 0:
        return x
    raw = _raw(x)
    return x * backend.of(raw).dropout_mask(raw.shape, raw.dtype, p)


def embedding(indices, weight):
    """The rows of `weight` at `indices`: a vector for each.

    Parameters
    ----------
    indices : (...) of whole numbers
    weight : (entries, width)

    Returns
    -------
    (..., width)

    Raises
    ------
    IndexError
        Where an index is out of range.
    TypeError
        Where the indices are not whole numbers.
    ValueError
        Where `weight` is no matrix.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.embedding([1, 1], ns.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [3., 4.]])
    """
    weight = operand(weight)
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight must have shape (entries, width), got {describe(weight)}; reshape it")
    return take(weight, whole_indices("embedding", _raw(indices), weight.shape[0], least=0), 0)


def batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    r"""Each channel standardised over the batch, or by running statistics outside training (Ioffe & Szegedy, 2015).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    running_mean, running_var : (C,), optional
        Replaced in training by (1 - momentum) times themselves + momentum times the batch's (its variance over n - 1).
    weight, bias : (C,), optional
        γ and β.
    training : bool
        Standardise by the batch itself, over all axes but the second (its variance over n).
    momentum, eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit, a training batch has one value a channel, or statistics are missing outside training.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.batch_norm(ns.tensor([[1.0], [3.0]]), training=True)
    tensor([[-0.999995],
            [ 0.999995]])
    """
    name = "batch_norm"
    x = _floating(name, "x", x)
    if x.ndim < 2:
        raise ValueError(f"{name}: expected x (N, C, ...), got {describe(x)}; add the missing axes")
    channels = x.shape[1]
    statistics = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_shapes(name, (channels,), f"x {x.shape} has {channels} channels; check num_features", **statistics)
    axes = (0, *range(2, x.ndim))
    wide = (1, channels, *(1,) * (x.ndim - 2))
    if training:
        n = x.size // channels if channels else 0
        if n < 2:
            raise ValueError(
                f"{name}: training needs at least two values a channel, x {x.shape} has {n}; use a larger batch, or eval()"
            )
        if running_mean is not None:
            raw = _raw(x)
            mean, variance = backend.of(raw).kernels.moments(raw, axes)
            for running, batch in ((running_mean, mean), (running_var, variance * (n / (n - 1)))):
                running[...] = (1 - momentum) * (
                    running.data if isinstance(running, Tensor) else running
                ) + momentum * batch
        return standardize(x, axes, eps, *(a if a is None else reshape(a, wide) for a in (weight, bias)))
    if running_mean is None or running_var is None:
        raise ValueError(
            f"{name}: outside training running_mean and running_var are needed; pass them, or training=True"
        )
    scale = (running_var + eps) ** -0.5
    y = (x - reshape(running_mean, wide)) * reshape(scale if weight is None else scale * weight, wide)
    return y if bias is None else y + reshape(bias, wide)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    r"""Each sample standardised over each of some groups of its channels (Wu & He, 2018).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : (N, C) or (N, C, ...)
    groups : int
        A divisor of C.
    weight, bias : (C,), optional
        γ and β.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit, or the groups do not divide the channels.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.group_norm(ns.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-0.999995,  0.999995, -1.      ,  1.      ]])
    """
    return _grouped("group_norm", x, groups, weight, bias, eps)


def instance_norm(x, weight=None, bias=None, eps=1e-5):
    r"""Each channel of each sample standardised by itself (Ulyanov et al., 2016).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : (N, C, ...)
    weight, bias : (C,), optional
        γ and β.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.instance_norm(ns.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
    tensor([[[-0.999995,  0.999995],
             [-1.      ,  1.      ]]])
    """
    return _grouped("instance_norm", x, None, weight, bias, eps)


def _grouped(name, x, groups, weight, bias, eps):
    """Group normalisation, each channel a group where `groups` is None."""
    x = _floating(name, "x", x)
    least = 2 if groups is not None else 3
    if x.ndim < least or 0 in x.shape[1:]:
        raise ValueError(f"{name}: expected x (N, C{', ...' * (least - 2)}), got {describe(x)}; add the missing axes")
    channels = x.shape[1]
    groups = channels if groups is None else count(name, "groups", groups)
    if channels % groups:
        raise ValueError(
            f"{name}: {groups} groups do not divide the {channels} channels of x {x.shape}; choose a divisor"
        )
    _check_shapes(
        name, (channels,), f"x {x.shape} has {channels} channels; check num_channels", weight=weight, bias=bias
    )
    each = channels // groups
    affine = (a if a is None else reshape(a, (groups, each, 1)) for a in (weight, bias))
    return reshape(standardize(reshape(x, (x.shape[0], groups, each, -1)), (2, 3), eps, *affine), x.shape)


def layer_norm(x, weight=None, bias=None, axis=-1, eps=1e-5):
    r"""Each sample standardised over its features (Ba, Kiros & Hinton, 2016).

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}}\, \gamma + \beta

    Parameters
    ----------
    x : Tensor or array
        At least one axis, floating point.
    weight, bias : in the shape of the axes normalised over, optional
        γ and β.
    axis : int or tuple of int
        The axes of the features, at the end of `x` where there is a weight or a bias.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.layer_norm(ns.tensor([[1.0, 3.0]]))
    tensor([[-0.999995,  0.999995]])
    """
    x, axes = _features("layer_norm", x, axis, weight, bias)
    return standardize(x, axes, eps, weight, bias)


def rms_norm(x, weight=None, axis=-1, eps=1e-5):
    r"""Each sample divided by the root mean square of its features (Zhang & Sennrich, 2019).

    .. math:: y = \frac{x}{\sqrt{\mathrm{E}[x^2] + \varepsilon}}\, \gamma

    Parameters
    ----------
    x : Tensor or array
        At least one axis, floating point.
    weight : in the shape of the axes normalised over, optional
        γ.
    axis : int or tuple of int
        The axes of the features, at the end of `x` where there is a weight.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.rms_norm(ns.tensor([[1.0, 7.0]]), eps=0.0)
    tensor([[0.2, 1.4]])
    """
    x, axes = _features("rms_norm", x, axis, weight)
    return standardize(x, axes, eps, weight, None, False)


def normalize(x, p=2, axis=-1, eps=1e-12):
    r"""Vectors divided by their p-norms, or by `eps` where those are smaller.

    .. math:: y = \frac{x}{\max(\lVert x \rVert_p, \varepsilon)}

    Parameters
    ----------
    x : Tensor or array
        Floating point.
    p : float
        At least 1.
    axis : int or tuple of int
        Along which the vectors lie.
    eps : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where there is no such axis, or `p` is no number of at least 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.normalize(ns.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    x = _floating("normalize", "x", x)
    return x / maximum(norm(x, p, axis, True), eps)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    r"""Each value divided by a power of the squares of its neighbours in other channels (Krizhevsky et al., 2012).

    .. math:: y_c = \frac{x_c}{\left( k + \frac{\alpha}{n} \sum_{j = c - \lfloor n/2 \rfloor}^{c + \lfloor (n-1)/2 \rfloor} x_j^2 \right)^\beta}

    Parameters
    ----------
    x : (N, C, ...)
    size : int
        n, how many channels are neighbours.
    alpha, beta, k : float

    Returns
    -------
    The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit, or the size is no whole number of at least 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.local_response_norm(ns.tensor([[[3.0], [1.0]]]), 1, alpha=1.0, beta=0.5, k=0.0)
    tensor([[[1.],
             [1.]]])
    """
    name = "local_response_norm"
    x, n = _floating(name, "x", x), count(name, "size", size)
    if x.ndim < 3:
        raise ValueError(f"{name}: expected x (N, C, ...), got {describe(x)}; add the missing axes")
    # a window over the channels, as if they were the rows of an image
    rows = reshape(square(x), (x.shape[0], 1, x.shape[1], math.prod(x.shape[2:])))
    squares = reshape(sum_pool2d(rows, (n, 1), 1, ((n // 2, (n - 1) // 2), (0, 0))), x.shape)
    return x / (k + alpha / n * squares) ** beta


def _features(name, x, axis, weight, bias=None):
    """The checked input of a normalisation over features, and their axes."""
    x = _floating(name, "x", x)
    axes = axis if isinstance(axis, tuple) else (axis,)
    if x.ndim < len(axes):
        raise ValueError(f"{name}: expected at least {len(axes)} axes, got {describe(x)}; add the missing ones")
    features = x.shape[x.ndim - len(axes) :]
    _check_shapes(
        name, features, f"x {x.shape} has features {features}; check normalized_shape", weight=weight, bias=bias
    )
    return x, axes


def _check_shapes(name, shape, why, **values):
    for what, value in values.items():
        if value is not None and np.shape(value) != shape:
            raise ValueError(f"{name}: {what} has shape {np.shape(value)}, {why}")


# Images


def pixel_shuffle(x, factor):
    r"""Channels laid out as finer pixels (Shi et al., 2016).

    .. math:: y_{n,\,c,\,hr + i,\,wr + j} = x_{n,\,cr^2 + ir + j,\,h,\,w}

    Parameters
    ----------
    x : (N, C r², H, W)
    factor : int
        r.

    Returns
    -------
    (N, C, H r, W r)

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.pixel_shuffle(ns.tensor([[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]), 2)
    tensor([[[[1., 2.],
              [3., 4.]]]])
    """
    x, r = operand(x), count("pixel_shuffle", "factor", factor)
    if x.ndim != 4 or x.shape[1] % r**2:
        raise ValueError(
            f"pixel_shuffle: expected x (N, C * {r**2}, H, W), got {describe(x)}; check the channels and the factor"
        )
    n, c, h, w = x.shape
    fine = transpose(reshape(x, (n, c // r**2, r, r, h, w)), (0, 1, 4, 2, 5, 3))
    return reshape(fine, (n, c // r**2, h * r, w * r))


def pixel_unshuffle(x, factor):
    r"""Finer pixels laid out as channels: `pixel_shuffle` undone.

    .. math:: y_{n,\,cr^2 + ir + j,\,h,\,w} = x_{n,\,c,\,hr + i,\,wr + j}

    Parameters
    ----------
    x : (N, C, H r, W r)
    factor : int
        r.

    Returns
    -------
    (N, C r², H, W)

    Raises
    ------
    TypeError, ValueError
        Where shapes do not fit.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.functional.pixel_unshuffle(ns.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2).shape
    (1, 4, 1, 1)
    """
    x, r = operand(x), count("pixel_unshuffle", "factor", factor)
    if x.ndim != 4 or x.shape[2] % r or x.shape[3] % r:
        raise ValueError(
            f"pixel_unshuffle: expected x (N, C, H * {r}, W * {r}), got {describe(x)}; check the size and the factor"
        )
    n, c, h, w = x.shape
    coarse = transpose(reshape(x, (n, c, h // r, r, w // r, r)), (0, 1, 3, 5, 2, 4))
    return reshape(coarse, (n, c * r**2, h // r, w // r))
