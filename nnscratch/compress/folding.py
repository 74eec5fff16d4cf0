"""Batch normalisation taken into the layer before it, which a trained network does not need apart."""

import copy
import itertools

import numpy as np

from nnscratch.autograd import no_grad
from nnscratch.nn import Conv2d, Identity, Linear, Module, Parameter, Sequential
from nnscratch.nn.normalisation import BatchNorm1d


def fold_batch_norm(model):
    """A copy of a network in which each batch normalisation right behind a layer, in a `Sequential`, is a part of that layer.

    It computes the same in evaluation mode, but for rounding; the layer gets a bias where it had none.

    Parameters
    ----------
    model : nn.Module
        Left as it is.

    Returns
    -------
    nn.Module

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch import nn
    >>> fold_batch_norm(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU()))
    Sequential(
      (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    """
    model = copy.deepcopy(model)
    for part in list(model.modules()):
        if type(part) is Sequential:
            items = part._own(Module)
            for (_, layer), (name, norm) in itertools.pairwise(items):
                if isinstance(layer, Conv2d | Linear) and isinstance(norm, BatchNorm1d):
                    _fold(layer, norm)
                    setattr(part, name, Identity())
    return model


def _fold(layer, norm):
    values = (norm.running_mean, norm.running_var, norm.weight, norm.bias, layer.bias)
    mean, variance, weight, shift, bias = (None if t is None else t.numpy().astype(np.float64) for t in values)
    scale = (1 if weight is None else weight) / np.sqrt(variance + norm.eps)
    wide = scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    with no_grad():
        layer.weight[...] = (layer.weight.numpy() * wide).astype(layer.weight.dtype)
    bias = ((0 if bias is None else bias) - mean) * scale + (0 if shift is None else shift)
    layer.bias = Parameter(bias.astype(layer.weight.dtype), device=layer.weight.device)
