"""Callbacks, which are called in the course of a training run: those that steer it, and those that keep it."""

import math

from nnscratch import arguments
from nnscratch.files import as_path, writable_file
from nnscratch.training.history import best_of, sign_of, told_by


class Callback:
    """Base of all callbacks: write the methods that are wanted.

    Examples
    --------
    >>> class Print(Callback):
    ...     def on_epoch_end(self, trainer, epoch, logs):
    ...         print(epoch, logs["loss"])
    >>> Print().on_epoch_end(None, 1, {"loss": 0.5})
    1 0.5
    """

    def on_fit_begin(self, trainer):
        """Called before anything is trained; what is raised here stops `fit` with nothing changed."""

    def on_epoch_begin(self, trainer, epoch):
        """Called before epoch number `epoch`, from 1."""

    def on_batch_end(self, trainer, batch, logs):
        """Called when the values of the epoch's batch number `batch`, from 1, are known, with those of the epoch so far.

        On the CPU that is after its step; on a GPU, which is read every tenth of a second, some steps later.
        """

    def on_epoch_end(self, trainer, epoch, logs):
        """Called after epoch number `epoch` (from 1) with its values; ``trainer.stop_training = True`` ends
        `fit`."""

    def on_fit_end(self, trainer):
        """Called when all epochs are over."""

    def state_dict(self):
        """What a checkpoint has to keep, a dict of arrays and of what JSON can hold; None if nothing."""

    def load_state_dict(self, state):
        """Take over what `state_dict` returned."""


class EarlyStopping(Callback):
    """End training when a value has not become better for some epochs (early stopping: Prechelt, 1998).

    Parameters
    ----------
    monitor : str
        The name of a value in the history.
    patience : int
        How many epochs without a better value are waited for.
    min_delta : float
        By how much a value must be better to count, at least 0.
    mode : {"auto", "min", "max"}
        Which values are better. With "auto" the metric says it, or the last word of the name: "loss", "error" and the like mean
        "min", "accuracy", "f1", "auc", "r2" and the like "max". Where neither does, the mode is asked for.
    restore_best : bool
        Whether the model goes back to its best epoch when `fit` ends, early or not.

    Attributes
    ----------
    best : float or None
        The best value so far.
    best_epoch : int
        Its epoch, 0 before the first.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such; and at the start of `fit`, where nothing of that name is measured, or it is not known which
        of its values are better.

    Examples
    --------
    >>> EarlyStopping(patience=0)
    Traceback (most recent call last):
    ValueError: EarlyStopping: patience is 0, expected a whole number of at least 1; pass a larger one
    """

    def __init__(self, monitor="val_loss", patience=3, min_delta=0.0, mode="auto", restore_best=True):
        self.monitor = monitor
        self.patience = arguments.count("EarlyStopping", "patience", patience)
        self.min_delta = arguments.number("EarlyStopping", "min_delta", min_delta, 0)
        self.mode, self._sign = _mode("EarlyStopping", mode, monitor)
        self.restore_best = restore_best
        self._modules: dict = {}
        self._begin()

    def _begin(self):
        self.best, self.best_epoch, self._weights = None, 0, None

    def on_fit_begin(self, trainer):
        self._sign = _sign_at_fit("EarlyStopping", self, trainer)
        self._modules = trainer.step.modules
        self._begin()

    def on_epoch_end(self, trainer, epoch, logs):
        value = logs[self.monitor]
        if math.isnan(value):  # never the best; before there is any number, nothing is waited for
            better = False
            self.best_epoch = epoch if self.best is None else self.best_epoch
        else:
            better = self.best is None or self._sign * (value - self.best) > self.min_delta
        if better:
            self.best, self.best_epoch = value, epoch
            if self.restore_best:
                self._weights = {name: module.state_dict() for name, module in trainer.step.modules.items()}
        elif epoch - self.best_epoch >= self.patience:
            trainer.stop_training = True

    def on_fit_end(self, trainer):
        for name, weights in (self._weights or {}).items():
            trainer.step.modules[name].load_state_dict(weights)

    def state_dict(self):
        weights = {f"weights/{m}/{name}": a for m, own in (self._weights or {}).items() for name, a in own.items()}
        return {"best": self.best, "best_epoch": self.best_epoch, **weights}

    def load_state_dict(self, state):
        weights: dict = {}
        for key, a in state.items():
            if key.startswith("weights/"):
                _, module, name = key.split("/", 2)
                weights.setdefault(module, {})[name] = a
        best, epoch = (
            _best("EarlyStopping", state),
            arguments.count("EarlyStopping", "best_epoch", state["best_epoch"], 0),
        )
        for name, own in weights.items():
            self._modules[name]._fitting(own)  # which refuses what could not be loaded when `fit` ends
        self.best, self.best_epoch, self._weights = best, epoch, weights or None


class ReduceLROnPlateau(Callback):
    """Lower the learning rate when a value has not become better for some epochs.

    Parameters
    ----------
    monitor : str
        The name of a value in the history.
    factor : float
        What each rate is multiplied by, between 0 and 1.
    patience : int
        How many epochs without a better value are waited for, since the best or since the last reduction.
    min_delta : float
        By how much a value must be better to count, at least 0.
    mode : {"auto", "min", "max"}
        Which values are better. With "auto" the metric says it, or the last word of the name: "loss", "error" and the like mean
        "min", "accuracy", "f1", "auc", "r2" and the like "max". Where neither does, the mode is asked for.
    min_lr : float
        The least rate, at least 0.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such; and at the start of `fit`, where nothing of that name is measured, it is not known which of
        its values are better, or the Trainer has a schedule, which would set other rates.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x, y = ns.data.iris()
    >>> model = ns.nn.Sequential(ns.nn.Linear(4, 3), ns.nn.Softmax())
    >>> trainer = ns.Trainer(model, "cross_entropy", ns.optim.SGD(model.parameters(), lr=0.1))
    >>> plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=9)
    >>> trainer.fit(x, y, epochs=4, verbose=False, callbacks=[plateau])["lr"]
    [0.1, 0.1, 0.05, 0.025]
    """

    def __init__(self, monitor="val_loss", factor=0.1, patience=3, min_delta=0.0, mode="auto", min_lr=0.0):
        name = "ReduceLROnPlateau"
        self.monitor = monitor
        self.factor = arguments.number(name, "factor", factor, 0, 1, "()")
        self.patience = arguments.count(name, "patience", patience)
        self.min_delta = arguments.number(name, "min_delta", min_delta, 0)
        self.min_lr = arguments.number(name, "min_lr", min_lr, 0)
        self.mode, self._sign = _mode(name, mode, monitor)
        self._begin()

    def _begin(self):
        self._best, self._waited = None, 0

    def on_fit_begin(self, trainer):
        self._sign = _sign_at_fit("ReduceLROnPlateau", self, trainer)
        if trainer.scheduler is not None:
            raise ValueError("ReduceLROnPlateau: the Trainer has a scheduler, which would undo it; use one of them")
        self._begin()

    def on_epoch_end(self, trainer, epoch, logs):
        value = logs[self.monitor]
        if not math.isnan(value) and (self._best is None or self._sign * (value - self._best) > self.min_delta):
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._waited = 0
            for optimizer in trainer.step.optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = min(group["lr"], max(group["lr"] * self.factor, self.min_lr))

    def state_dict(self):
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state):
        best, waited = (
            _best("ReduceLROnPlateau", state),
            arguments.count("ReduceLROnPlateau", "waited", state["waited"], 0),
        )
        self._best, self._waited = best, waited


class Checkpoint(Callback):
    """Write all that is needed to go on after an epoch to one file, from which ``fit(..., resume=path)``
    continues.

    It is written whole or not at all; whatever happens, the file there is that of a complete epoch. All other
    callbacks are called before it, so that the file holds what they have decided.

    Parameters
    ----------
    path : str or os.PathLike
    every : int
        Write after each so many epochs, and after the last.
    monitor : str, optional
        The name of a value in the history: write only where it is better than ever before. Nan never is.
    notes : dict, optional
        Of what JSON can hold, kept in the file (see `nnscratch.state_files.read_checkpoint`).
    mode : {"auto", "min", "max"}
        Which values of `monitor` are better, as for `EarlyStopping`.

    Attributes
    ----------
    written : int
        The epoch that the present run has last written, 0 before the first.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such; and at the start of `fit`, where nothing called `monitor` is measured, or it is not known
        which of its values are better.
    OSError
        At the start of `fit`, where the folder cannot be written in; later, where the file cannot.

    Examples
    --------
    >>> Checkpoint("run/checkpoint.safetensors", every=0)
    Traceback (most recent call last):
    ValueError: Checkpoint: every is 0, expected a whole number of at least 1; pass a larger one
    """

    def __init__(self, path, every=1, monitor=None, notes=None, mode="auto"):
        self.path = as_path("Checkpoint", path)
        self.every = arguments.count("Checkpoint", "every", every)
        self.monitor = monitor
        self.mode, self._sign = _mode("Checkpoint", mode, monitor)
        self.notes = notes
        self.written = 0

    def on_fit_begin(self, trainer):
        self.written = 0
        if self.monitor is not None:
            self._sign = _sign_at_fit("Checkpoint", self, trainer)
        writable_file("Checkpoint", self.path)

    def on_epoch_end(self, trainer, epoch, logs):
        last = epoch == trainer.epochs or trainer.stop_training
        due = last or epoch % self.every == 0
        if self.monitor is not None:
            due = best_of(trainer.history[self.monitor], self._sign) == epoch - 1
        if due:
            trainer.save_checkpoint(self.path, self.notes)
            self.written = epoch


def _best(name, state):
    """The best value of a callback's state: a number, or None."""
    best = state["best"]
    if best is not None and (not isinstance(best, int | float) or isinstance(best, bool) or math.isnan(best)):
        raise ValueError(f"{name}: the best value is {arguments.shown(best)}, expected a number or None")
    return best


def _mode(name, mode, monitor):
    """A callback's mode, checked, and its sign as far as that is known before `fit` knows the metric: 0 where it is not."""
    open_yet = isinstance(mode, str) and mode == "auto" and not told_by(monitor)
    return mode, 0 if open_yet else sign_of(name, monitor, mode)


def _sign_at_fit(name, callback, trainer):
    """1 where more of what a callback monitors is better, -1 where less is."""
    monitor = callback.monitor
    if monitor not in trainer.monitors:
        raise ValueError(
            f"{name}: monitor is {monitor!r}, and this training measures {', '.join(trainer.monitors)}; "
            f"choose one of them, or hold out validation data"
        )
    return sign_of(name, monitor, callback.mode, trainer.history.modes)


def ordered(callbacks):
    """The callbacks, those that write checkpoints last."""
    if isinstance(callbacks, Callback):
        raise TypeError("fit: callbacks is a single callback, expected a sequence; pass [callback]")
    callbacks = list(callbacks)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"fit: got {callback!r} as a callback, expected a training.Callback; derive it from that")
    return sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))
