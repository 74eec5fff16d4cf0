"""Data sets, and all that is done to data before training."""

from nnscratch.data.augment import (
    Compose,
    RandomCrop,
    RandomFlip,
    RandomRotate,
    RandomScale,
    RandomShift,
    crop,
    flip,
    rotate,
    scale,
    shift,
)
from nnscratch.data.batching import batches
from nnscratch.data.classes import class_weights, one_hot, oversample, undersample
from nnscratch.data.digits import mnist
from nnscratch.data.idx import read_idx, write_idx
from nnscratch.data.scaling import MinMax, Standardize
from nnscratch.data.splitting import k_fold, split
from nnscratch.data.tabular import breast_cancer, iris

__all__ = [
    "Compose",
    "MinMax",
    "RandomCrop",
    "RandomFlip",
    "RandomRotate",
    "RandomScale",
    "RandomShift",
    "Standardize",
    "batches",
    "breast_cancer",
    "class_weights",
    "crop",
    "flip",
    "iris",
    "k_fold",
    "mnist",
    "one_hot",
    "oversample",
    "read_idx",
    "rotate",
    "scale",
    "shift",
    "split",
    "undersample",
    "write_idx",
]
