"""Losses as modules, under PyTorch's names and with its arguments: each is its function in `nnscratch.functional`."""

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import recording
from nnscratch.nn.module import Buffer, Module
from nnscratch.ops.activation import softplus
from nnscratch.ops.loss import check_reduction, compared, reduce
from nnscratch.ops.operands import array_of, raw
from nnscratch.ops.shape import reshape, transpose
from nnscratch.tensor import Tensor


class _Loss(Module):
    """A loss with a reduction; `settings` are the names of what else its function takes, kept as attributes."""

    function: object = None
    settings: tuple = ()
    reductions: tuple = ()

    def __init__(self, reduction="mean"):
        super().__init__()
        if not (isinstance(reduction, str) and reduction in self.reductions):
            check_reduction(type(self).__name__, reduction)
        self.reduction = reduction

    def forward(self, prediction, target):
        """(...), (...) -> a single number, or (...) where the reduction is "none" """
        settings = {name: getattr(self, name) for name in self.settings}
        return self.function(prediction, target, reduction=self.reduction, **settings)

    def extra_repr(self):
        shown = [f"{name}={value!r}" for name in self.settings if (value := getattr(self, name)) is not None]
        return ", ".join(shown + ([f"reduction={self.reduction!r}"] if self.reduction != "mean" else []))


class MSELoss(_Loss):
    """The loss of `F.mse_loss`.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        Where there is no such reduction.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.MSELoss()(ns.tensor([1.0, 3.0]), ns.tensor([0.0, 0.0]))
    tensor(5.)
    """

    function = staticmethod(F.mse_loss)


class L1Loss(_Loss):
    """The loss of `F.l1_loss`.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        Where there is no such reduction.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.L1Loss(reduction="sum")(ns.tensor([1.0, 3.0]), ns.tensor([0.0, 0.0]))
    tensor(4.)
    """

    function = staticmethod(F.l1_loss)


class SmoothL1Loss(_Loss):
    """The loss of `F.smooth_l1_loss`.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
    beta : float
        Up to which difference it is squared, zero or greater.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.SmoothL1Loss()(ns.tensor([1.0, 3.0]), ns.tensor([0.0, 0.0]))
    tensor(1.5)
    """

    function = staticmethod(F.smooth_l1_loss)
    settings = ("beta",)

    def __init__(self, reduction="mean", beta=1.0):
        super().__init__(reduction)
        self.beta = arguments.number("SmoothL1Loss", "beta", beta, 0)


class HuberLoss(_Loss):
    """The loss of `F.huber_loss`.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
    delta : float
        Up to which difference it is squared, above 0.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.HuberLoss(delta=2.0)(ns.tensor([1.0, 3.0]), ns.tensor([0.0, 0.0]))
    tensor(2.25)
    """

    function = staticmethod(F.huber_loss)
    settings = ("delta",)

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction)
        self.delta = arguments.number("HuberLoss", "delta", delta, 0, ends="(]")


class KLDivLoss(_Loss):
    """The loss of `F.kl_div`.

    Parameters
    ----------
    reduction : "mean", "batchmean", "sum" or "none"
    log_target : bool
        Whether the target holds logarithms, too.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or unknown.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.KLDivLoss("batchmean")(ns.log(ns.tensor([[0.5, 0.5]])), ns.tensor([[1.0, 0.0]]))
    tensor(0.6931472)
    """

    function = staticmethod(F.kl_div)
    settings = ("log_target",)
    reductions = ("batchmean",)

    def __init__(self, reduction="mean", log_target=False):
        super().__init__(reduction)
        self.log_target = arguments.flag("KLDivLoss", "log_target", log_target)


class CosineEmbeddingLoss(_Loss):
    """The loss of `F.cosine_embedding_loss`.

    Parameters
    ----------
    margin : float
        From -1 to 1.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.CosineEmbeddingLoss()(ns.tensor([[3.0, 4.0]]), ns.tensor([[1.0, 0.0]]), [1])
    tensor(0.4)
    """

    settings = ("margin",)

    def __init__(self, margin=0.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = arguments.number("CosineEmbeddingLoss", "margin", margin, -1, 1)

    def forward(self, x1, x2, target):
        """(N, D), (N, D), (N) of 1 and -1 -> a single number, or (N) where the reduction is "none" """
        return F.cosine_embedding_loss(x1, x2, target, self.margin, self.reduction)


class TripletMarginLoss(_Loss):
    """The loss of `F.triplet_margin_loss`.

    Parameters
    ----------
    margin : float
        Above 0.
    p : float
        Of the norm, at least 1.
    eps : float
        Added to each difference, zero or greater.
    swap : bool
        Whether the distance of positive and negative counts where it is the smaller one.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> a, p, n = ns.tensor([[0.0, 0.0]]), ns.tensor([[3.0, 4.0]]), ns.tensor([[6.0, 8.0]])
    >>> ns.nn.TripletMarginLoss(margin=7.0, eps=0.0)(a, p, n)
    tensor(2.)
    """

    settings = ("margin", "p", "eps", "swap")

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
        super().__init__(reduction)
        name = "TripletMarginLoss"
        self.margin = arguments.number(name, "margin", margin, 0, ends="(]")
        self.p = arguments.number(name, "p", p, 1)
        self.eps = arguments.number(name, "eps", eps, 0)
        self.swap = arguments.flag(name, "swap", swap)

    def forward(self, anchor, positive, negative):
        """(N, D), (N, D), (N, D) -> a single number, or (N) where the reduction is "none" """
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


def _factors(loss, what, values):
    """Factors as a buffer of their own; None for none."""
    if values is None or isinstance(values, Tensor):
        return values if values is None else Buffer(values)
    return Buffer(array_of(f"{type(loss).__name__}: {what}", values))


class ByClass(_Loss):
    """A loss over classes, which lie on axis 1 of the prediction: what `CrossEntropyLoss` and `NLLLoss` have in common."""

    def __init__(self, weight, ignore_index, reduction):
        super().__init__(reduction)
        self.weight = _factors(self, "weight", weight)
        self.ignore_index = arguments.count(type(self).__name__, "ignore_index", ignore_index, -(2**62))

    def _by_class(self, prediction, target, reduction):
        """Prediction and target with the classes last, and what else the function takes."""
        prediction = prediction if hasattr(prediction, "ndim") else array_of(type(self).__name__, prediction)
        target = target if hasattr(target, "ndim") else np.asarray(target)
        if prediction.ndim > 2:
            order = (0, *range(2, prediction.ndim), 1)
            target = transpose(target, order) if target.ndim == prediction.ndim else target
            prediction = transpose(prediction, order)
        settings = {"reduction": reduction, "weight": self.weight}
        if self._is_ignored(target):
            settings["ignore_index"] = self.ignore_index
        return prediction, target, settings

    def _is_ignored(self, target):
        """Whether there may be a label that does not count. Looking for the default one would make a GPU wait, and a captured step
        has no values: there it has to be said which one it is.
        """
        array = raw(target)
        if array.dtype.kind not in "iu" or (self.ignore_index == -100 and recording.state.recorder is not None):
            return False
        return self.ignore_index != -100 or type(array) is not np.ndarray or bool((array == -100).any())

    def _one_sample(self, prediction, target):
        """Whether there is a single sample without an axis of its own; and both with one."""
        if np.ndim(prediction) != 1:
            return False, prediction, target
        target = target if hasattr(target, "ndim") else np.asarray(target)
        return True, reshape(prediction, (1, -1)), reshape(target, (1, *target.shape))

    def forward(self, prediction, target):
        """(N, C, ...), (N, ...) of labels or (N, C, ...) of probabilities -> a single number, or (N, ...)"""
        return self.reduced(prediction, target, self.reduction)

    def reduced(self, prediction, target, reduction):
        """The same by another reduction."""
        single, prediction, target = self._one_sample(prediction, target)
        result = self._loss(*self._by_class(prediction, target, reduction))
        return reshape(result, ()) if single and reduction == "none" else result

    def extra_repr(self):
        ignored = [] if self.ignore_index == -100 else [f"ignore_index={self.ignore_index}"]
        return ", ".join(filter(None, [super().extra_repr(), *ignored]))


class CrossEntropyLoss(ByClass):
    """Cross-entropy of labels with the softmax of logits: `F.cross_entropy` with ``from_logits=True``, the classes on axis 1.

    Parameters
    ----------
    weight : (C,) array, optional
        A factor for each class.
    ignore_index : int
        A label that does not count; `ns.capture` knows of it only where it is not the default.
    reduction : "mean", "sum" or "none"
    label_smoothing : float
        From 0 up to below 1.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.CrossEntropyLoss()(ns.tensor([[2.0, 0.0], [0.0, 3.0]]), [0, 1])
    tensor(0.08775769)
    """

    settings = ("label_smoothing",)

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = arguments.number("CrossEntropyLoss", "label_smoothing", label_smoothing, 0, 1, "[)")

    def _loss(self, prediction, target, settings):
        return F.cross_entropy(prediction, target, from_logits=True, label_smoothing=self.label_smoothing, **settings)


class NLLLoss(ByClass):
    """The loss of `F.nll_loss`, of the logarithms of probabilities, the classes on axis 1.

    Parameters
    ----------
    weight : (C,) array, optional
        A factor for each class.
    ignore_index : int
        A label that does not count.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.NLLLoss()(ns.tensor([[-0.5, -1.0], [-0.3, -2.0]]), [1, 0])
    tensor(0.65)
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        super().__init__(weight, ignore_index, reduction)

    def _loss(self, prediction, target, settings):
        return F.nll_loss(prediction, target, **settings)


class _Binary(_Loss):
    """Cross-entropy of two outcomes, each value's with a factor."""

    def __init__(self, weight, reduction):
        super().__init__(reduction)
        self.weight = _factors(self, "weight", weight)

    def _weighed(self, losses):
        return reduce(losses if self.weight is None else losses * self.weight, self.reduction)


class BCELoss(_Binary):
    """The loss of `F.binary_cross_entropy`, of probabilities.

    Parameters
    ----------
    weight : array, optional
        A factor for each value, broadcast to their shape.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or unknown.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.BCELoss()(ns.tensor([0.5, 0.5]), ns.tensor([0.0, 1.0]))
    tensor(0.6931472)
    """

    def __init__(self, weight=None, reduction="mean"):
        super().__init__(weight, reduction)

    def forward(self, prediction, target):
        """(...), (...) -> a single number, or (...) where the reduction is "none" """
        if self.weight is None:
            return F.binary_cross_entropy(prediction, target, reduction=self.reduction)
        return self._weighed(F.binary_cross_entropy(prediction, target, reduction="none"))


class BCEWithLogitsLoss(_Binary):
    """The loss of `F.binary_cross_entropy` with ``from_logits=True``.

    Parameters
    ----------
    weight : array, optional
        A factor for each value, broadcast to their shape.
    reduction : "mean", "sum" or "none"
    pos_weight : array, optional
        A factor for outcome 1, broadcast to the values' shape.

    Raises
    ------
    TypeError, ValueError
        Where a setting is of the wrong kind or unknown.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.nn.BCEWithLogitsLoss()(ns.tensor([0.0, 0.0]), ns.tensor([0.0, 1.0]))
    tensor(0.6931472)
    """

    def __init__(self, weight=None, reduction="mean", pos_weight=None):
        super().__init__(weight, reduction)
        self.pos_weight = _factors(self, "pos_weight", pos_weight)

    def forward(self, prediction, target):
        """(...), (...) -> a single number, or (...) where the reduction is "none" """
        if self.weight is self.pos_weight is None:
            return F.binary_cross_entropy(prediction, target, True, self.reduction)
        if self.pos_weight is None:
            return self._weighed(F.binary_cross_entropy(prediction, target, True, "none"))
        z, y = compared("BCEWithLogitsLoss", prediction, target, self.reduction)
        return self._weighed((1 - y) * z + (1 + (self.pos_weight - 1) * y) * softplus(-z))
