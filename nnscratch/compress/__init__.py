"""Smaller networks: their weights in fewer bits, fewer weights or channels, or a small network that learns from a large one."""

from nnscratch.compress.channels import multiplications, prune_channels
from nnscratch.compress.distillation import Distillation
from nnscratch.compress.folding import fold_batch_norm
from nnscratch.compress.int8 import Quantize, QuantizedConv2d, QuantizedLinear, QuantizedMaxPool2d
from nnscratch.compress.pruning import GradualPruning, Masks
from nnscratch.compress.quantisation import quantization_aware, quantize
from nnscratch.compress.storage import WAYS, pack, restore, unpack

__all__ = [
    "WAYS",
    "Distillation",
    "GradualPruning",
    "Masks",
    "Quantize",
    "QuantizedConv2d",
    "QuantizedLinear",
    "QuantizedMaxPool2d",
    "fold_batch_norm",
    "multiplications",
    "pack",
    "prune_channels",
    "quantization_aware",
    "quantize",
    "restore",
    "unpack",
]
