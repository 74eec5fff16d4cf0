"""Networks on codes of 8 bits, and networks that learn to be such."""

import contextlib
import copy

import numpy as np

from nnscratch import arguments
from nnscratch import functional as F
from nnscratch.autograd import describe, no_grad
from nnscratch.compress.folding import fold_batch_norm
from nnscratch.compress.int8 import (
    Quantize,
    QuantizedConv2d,
    QuantizedLinear,
    QuantizedMaxPool2d,
    codes_of,
    scale_of,
    weight_scale,
)
from nnscratch.nn import Conv2d, Dropout, Flatten, Identity, Linear, MaxPool2d, Module, ReLU, Sequential
from nnscratch.nn.module import Buffer, modes
from nnscratch.ops.elementwise import abs, greater, where
from nnscratch.ops.reduce import max
from nnscratch.tensor import Tensor

#: Samples that are observed at once.
SAMPLES = 256


def quantize(model, calibration=None, per_channel=True, bits=8):
    """A copy of a trained network with its weights, or all that it computes, in few bits; no training takes part.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    calibration : array or Tensor, optional
        Inputs such as it will be given, some hundred, by which the ranges of all activations are known. With them `Conv2d` and
        `Linear` compute on codes of 8 bits, and in a `Sequential` what stands between them does, too: `ReLU`, `MaxPool2d`, `Flatten`. Batch
        normalisation behind a layer becomes a part of it. Without them the weights alone are rounded, those of all
        layers but vectors; they are floating-point numbers still, and `compress.pack` stores them as codes.
    per_channel : bool
        Whether each output's weights have a scale of their own.
    bits : int
        Of the weights, from 2 to 8; where activations are quantised, too, 8.

    Returns
    -------
    nn.Module
        In evaluation mode.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, the network does not take the calibration data, or they are no finite numbers.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch import nn
    >>> ns.manual_seed(0)
    >>> x = np.random.default_rng(0).random((8, 4), dtype="float32")
    >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> small = quantize(model, x)
    >>> [type(part).__name__ for part in small]
    ['Quantize', 'QuantizedLinear', 'QuantizedLinear']
    >>> bool(np.abs(small(ns.tensor(x)).numpy() - model(ns.tensor(x)).numpy()).max() < 0.02)
    True
    """
    _check_model("quantize", model)
    arguments.count("quantize", "bits", bits, 2, 8)
    if calibration is None:
        return _rounded(model, per_channel, bits)
    if bits != 8:
        raise ValueError(
            f"quantize: with calibration bits is {bits}, expected 8; leave it out, or leave out calibration"
        )
    folded = fold_batch_norm(model).eval()
    ranges = _observed("quantize", folded, calibration)
    return _converted(folded, ranges, per_channel).eval()


def skeleton(model, per_channel=True):
    """What `quantize` makes of a network, with ranges that mean nothing yet: to load the state of a quantised one into.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch import nn
    >>> make = lambda: nn.Sequential(nn.Linear(4, 3))
    >>> small = quantize(make(), np.ones((2, 4), "float32"))
    >>> again = skeleton(make())
    >>> again.load_state_dict(small.state_dict())
    >>> bool((again(ns.tensor(np.ones((1, 4), "float32"))).numpy() == small(ns.tensor(np.ones((1, 4), "float32"))).numpy()).all())
    True
    """
    folded = fold_batch_norm(model).eval()
    unknown = np.array([[-1, 1], [-1, 1]])
    return _converted(folded, {id(part): unknown for part in folded.modules()}, per_channel).eval()


def quantization_aware(model, calibration, per_channel=True, bits=8):
    """A copy of a network that computes as if its layers were quantised, and learns so (Jacob et al., 2018, §3).

    Its `Conv2d` and `Linear` round their inputs and weights by `F.fake_quantize`, through which gradients pass as if nothing were
    rounded. Train it for an epoch or two, and give it to `quantize`.

    Parameters
    ----------
    model, calibration, per_channel, bits
        As for `quantize`; here `bits` may be fewer, of weights and activations. Batch normalisation becomes a part of the layer before it.

    Returns
    -------
    nn.Module

    Raises
    ------
    TypeError, ValueError
        As for `quantize`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch import nn
    >>> x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    >>> aware = quantization_aware(nn.Sequential(nn.Linear(3, 2)), x, bits=4)
    >>> trainer = ns.Trainer(aware, "mse", ns.optim.SGD(aware.parameters(), lr=0.1))
    >>> losses = trainer.fit(x, y, epochs=20, verbose=False)["loss"]
    >>> losses[-1] < losses[0]
    True
    """
    name = "quantization_aware"
    _check_model(name, model)
    arguments.count(name, "bits", bits, 2, 8)
    aware = fold_batch_norm(model)
    with modes((part, False) for part in aware.modules()):
        ranges = _observed(name, aware, calibration)
    for part in list(aware.modules()):
        if type(part) in AWARE:
            part.__class__ = AWARE[type(part)]
            low, high = ranges[id(part)][0]
            part.settings = per_channel, bits
            step, _ = scale_of(low, high)
            step = step * np.float32(255 / (2**bits - 1))
            part.range = Buffer(np.array([step, np.rint(-(2 ** (bits - 1)) - min(low, 0) / step)], np.float32))
    return aware


class _Aware(Module):
    """A layer that rounds its input and its weights as if they were codes."""

    settings: tuple
    range: Buffer

    def _rounded(self, x):
        per_channel, bits = self.settings
        half, weight = 2 ** (bits - 1), self.weight
        sizes = abs(weight.detach()).reshape(len(weight) if per_channel else 1, -1)
        scale = max(sizes, axis=1) / (half - 1)  # `weight_scale` by operations, so that a step can be captured
        scale = where(greater(scale, 0), scale, 1).reshape(-1, *(1,) * (weight.ndim - 1))
        weight = F.fake_quantize(weight, scale, 0, 1 - half, half - 1)
        return F.fake_quantize(x, self.range[0], self.range[1], -half, half - 1), weight


class AwareLinear(_Aware, Linear):
    """`Linear` that learns to be quantised; see `quantization_aware`.

    Examples
    --------
    >>> isinstance(quantization_aware(Linear(2, 1), np.ones((1, 2), "float32")), AwareLinear)
    True
    """

    def forward(self, x):
        """(..., in_features) -> (..., out_features)"""
        return F.linear(*self._rounded(x), self.bias)


class AwareConv2d(_Aware, Conv2d):
    """`Conv2d` that learns to be quantised; see `quantization_aware`.

    Examples
    --------
    >>> isinstance(quantization_aware(Conv2d(1, 2, 1), np.ones((1, 1, 2, 2), "float32")), AwareConv2d)
    True
    """

    def forward(self, x):
        """(N, in, H, W) -> (N, out, OH, OW)"""
        return F.conv2d(*self._rounded(x), self.bias, self.stride, self.padding, self.dilation, self.groups)


AWARE = {Linear: AwareLinear, Conv2d: AwareConv2d}
#: What computes on codes, and what passes codes on.
LAYERS = {
    Conv2d: QuantizedConv2d,
    Linear: QuantizedLinear,
    AwareConv2d: QuantizedConv2d,
    AwareLinear: QuantizedLinear,
}
PASSING = (MaxPool2d, Flatten)
#: What is nothing in evaluation mode.
NOTHING = (Dropout, Identity)


def _check_model(name, model):
    if not isinstance(model, Module):
        raise TypeError(f"{name}: model is {describe(model)}, expected an nn.Module; pass a network")


def _rounded(model, per_channel, bits):
    model = copy.deepcopy(model).eval()
    with no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p[...] = through_codes(p.numpy(), per_channel, bits).astype(p.dtype)
    return model


def through_codes(weight, per_channel=True, bits=8):
    """Weights as the numbers that their codes mean.

    Examples
    --------
    >>> through_codes(np.array([[12.7, 1.04]]))
    array([[12.7,  1. ]], dtype=float32)
    """
    scale = weight_scale(weight, per_channel, bits)
    return codes_of(weight, scale, bits) * scale.reshape(-1, *(1,) * (weight.ndim - 1))


def _observed(name, model, calibration):
    """For each layer, by its id, the least and the greatest of what it is given and of what it gives: (2, 2)."""
    data = calibration.numpy() if isinstance(calibration, Tensor) else np.asarray(calibration)
    if not data.size or data.dtype.kind != "f" or not np.isfinite(data).all():
        raise ValueError(
            f"{name}: the calibration data are {describe(data)}, expected finite floating-point numbers, at least one sample; pass "
            f"inputs such as those of training"
        )
    found: dict = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(no_grad())
        for part in model.modules():
            if type(part) in LAYERS:
                stack.enter_context(_observing(part, found))
        device = next(model.parameters()).device
        for begin in range(0, len(data), SAMPLES):
            try:
                model(Tensor(data[begin : begin + SAMPLES], device=device))
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"{name}: the network does not take the calibration data {describe(data)} ({error}); pass inputs such as those of "
                    f"training"
                ) from None
    return {id(part): found.get(id(part), np.zeros((2, 2))) for part in model.modules()}


@contextlib.contextmanager
def _observing(layer, found):
    """Within this block a layer's `forward` notes the ranges of its inputs and results."""
    forward = layer.forward

    def noting(x):
        y = forward(x)
        now = np.array([[float(t.data.min()), float(t.data.max())] for t in (x, y)])
        before = found.get(id(layer), now)
        found[id(layer)] = np.stack([np.minimum(now, before)[:, 0], np.maximum(now, before)[:, 1]], 1)
        return y

    vars(layer)["forward"] = noting
    try:
        yield
    finally:
        del vars(layer)["forward"]


def _converted(module, ranges, per_channel):
    """A module with its layers on codes, where it has such."""
    if type(module) in LAYERS:
        return Sequential(_chain([("layer", module)], ranges, per_channel))
    if type(module) is Sequential:
        return Sequential(_converted_items(module._own(Module), ranges, per_channel))
    for name, part in module._own(Module):
        if name in vars(module):
            setattr(module, name, _converted(part, ranges, per_channel))
    return module


def _converted_items(items, ranges, per_channel):
    made: dict = {}
    items = [(name, part) for name, part in items if type(part) not in NOTHING]
    while items:
        end = _end(items)
        if end:
            made |= _chain(items[:end], ranges, per_channel)
        else:
            name, part = items[0]
            made[name] = _converted(part, ranges, per_channel)
        items = items[end or 1 :]
    return made


def _end(items):
    """How many of some modules, from the first on, make a chain of layers on codes that ends with a layer; 0 where there is none."""
    end = 0
    for i, (_, part) in enumerate(items):
        before = type(items[i - 1][1]) if i else None
        if type(part) in LAYERS:
            end = i + 1
        elif not end or not (type(part) in PASSING or (type(part) is ReLU and before in LAYERS)):
            break
    return end


def _chain(items, ranges, per_channel):
    """Modules by name: codes are made, and passed on up to the last layer, which gives numbers."""
    layers = [i for i, (_, part) in enumerate(items) if type(part) in LAYERS]
    first = items[0]
    codes = scale_of(*ranges[id(first[1])][0])
    made: dict = {f"quantize_{first[0]}": Quantize(codes)}
    last = None
    for i, (name, part) in enumerate(items):
        if type(part) in LAYERS:
            rectified = i + 1 < len(items) and type(items[i + 1][1]) is ReLU
            low, high = ranges[id(part)][1]
            after = None if i == layers[-1] else scale_of(0 if rectified else low, high)
            made[name] = LAYERS[type(part)](part, codes, after, rectified, per_channel)
            codes, behind = after, items[i + 1 + rectified :]
            if behind and type(part) in (Conv2d, AwareConv2d) and _side_by_side(behind[0][1]):
                made[name].pooled = True
        elif type(part) is MaxPool2d and not (_side_by_side(part) and last in (Conv2d, AwareConv2d)):
            made[name] = QuantizedMaxPool2d(part)
        elif type(part) is Flatten:
            made[name] = part
        last = last if type(part) is ReLU else type(part)
    return made


def _side_by_side(part):
    """Whether a module is a pooling of windows of 2 by 2, side by side, which a convolution does on the way."""
    return type(part) is MaxPool2d and repr(part) == repr(MaxPool2d(2))
