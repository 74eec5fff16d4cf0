"""Optimisers, learning-rate schedules, gradient clipping and penalties."""

from nnscratch.optim import lr_scheduler
from nnscratch.optim.clipping import clip_grad_norm, clip_grad_value
from nnscratch.optim.optimizer import Optimizer
from nnscratch.optim.optimizers import SGD, Adam, AdamW
from nnscratch.optim.penalties import l1_penalty, l2_penalty
from nnscratch.optim.scaler import LossScaler

__all__ = [
    "Adam",
    "AdamW",
    "LossScaler",
    "Optimizer",
    "SGD",
    "clip_grad_norm",
    "clip_grad_value",
    "l1_penalty",
    "l2_penalty",
    "lr_scheduler",
]
