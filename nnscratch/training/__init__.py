"""Training: what one update does (`Step`, `Supervised`), the loop (`Trainer`), its history, and callbacks."""

from nnscratch.training.callbacks import Callback, Checkpoint, EarlyStopping, ReduceLROnPlateau
from nnscratch.training.history import History
from nnscratch.training.lr_finder import RateSearch
from nnscratch.training.monitoring import MLflow, TensorBoard
from nnscratch.training.recorders import CSVLogger, LiveCurves, Snapshots
from nnscratch.training.step import Step, Supervised
from nnscratch.training.trainer import Trainer

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "LiveCurves",
    "MLflow",
    "RateSearch",
    "ReduceLROnPlateau",
    "Snapshots",
    "Step",
    "Supervised",
    "TensorBoard",
    "Trainer",
]
