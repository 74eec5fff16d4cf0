"""Optimisers, learning-rate schedules, gradient clipping and penalties."""

from nnscratch.hints import guide
from nnscratch.optim import lr_scheduler
from nnscratch.optim.adaptive import Adagrad, NAdam, RMSprop
from nnscratch.optim.clipping import clip_grad_norm, clip_grad_value
from nnscratch.optim.optimizer import Optimizer
from nnscratch.optim.optimizers import SGD, Adam, AdamW
from nnscratch.optim.penalties import l1_penalty, l2_penalty
from nnscratch.optim.scaler import LossScaler

__all__ = [
    "Adagrad",
    "Adam",
    "AdamW",
    "LossScaler",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "SGD",
    "clip_grad_norm",
    "clip_grad_value",
    "l1_penalty",
    "l2_penalty",
    "lr_scheduler",
]

guide(__name__)
