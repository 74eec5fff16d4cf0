"""Training: the Trainer, the history it returns, and callbacks."""

from nnscratch.training.callbacks import Callback, Checkpoint, EarlyStopping, LiveCurves, Snapshots
from nnscratch.training.history import History
from nnscratch.training.trainer import Trainer

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "History", "LiveCurves", "Snapshots", "Trainer"]
