"""Data sets, and all that is done to data before training."""

from nnscratch.data import text
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
from nnscratch.data.batching import DataLoader, batches
from nnscratch.data.classes import class_weights, one_hot, oversample, undersample
from nnscratch.data.corpora import chinese_reviews, reviews, shakespeare
from nnscratch.data.datasets import Dataset, IterableDataset, Subset, TensorDataset, random_split
from nnscratch.data.digits import fashion_mnist, mnist
from nnscratch.data.idx import read_idx, write_idx
from nnscratch.data.scaling import MinMax, Standardize
from nnscratch.data.seeding import generator
from nnscratch.data.splitting import k_fold, split
from nnscratch.data.tabular import breast_cancer, iris
from nnscratch.data.vectors import WordVectors, glove
from nnscratch.hints import guide

__all__ = [
    "Compose",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "MinMax",
    "RandomCrop",
    "RandomFlip",
    "RandomRotate",
    "RandomScale",
    "RandomShift",
    "Standardize",
    "Subset",
    "TensorDataset",
    "WordVectors",
    "batches",
    "breast_cancer",
    "chinese_reviews",
    "class_weights",
    "crop",
    "fashion_mnist",
    "flip",
    "generator",
    "glove",
    "iris",
    "k_fold",
    "mnist",
    "one_hot",
    "oversample",
    "random_split",
    "read_idx",
    "reviews",
    "rotate",
    "scale",
    "shakespeare",
    "shift",
    "split",
    "text",
    "undersample",
    "write_idx",
]

guide(__name__)
