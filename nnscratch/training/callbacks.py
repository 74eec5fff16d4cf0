"""What can be done between the epochs of a training run."""

import glob
import os
import sys
import time

from nnscratch import checks
from nnscratch.files import as_path, writable_folder
from nnscratch.training.history import ascending


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
        Which values are better; "auto" takes "max" for accuracy, precision, recall, f1 and auc.
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
        Where an argument is not such; and at the start of `fit`, where nothing of that name is measured.

    Examples
    --------
    >>> EarlyStopping(patience=0)
    Traceback (most recent call last):
    ValueError: EarlyStopping: patience is 0, expected a whole number of at least 1; pass a larger one
    """

    def __init__(self, monitor="val_loss", patience=3, min_delta=0.0, mode="auto", restore_best=True):
        self.monitor = monitor
        self.patience = checks.count("EarlyStopping", "patience", patience)
        self.min_delta = checks.number("EarlyStopping", "min_delta", min_delta, 0)
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"EarlyStopping: mode is {mode!r}; pass 'auto', 'min' or 'max'")
        self._sign = -1 if mode == "min" or (mode == "auto" and not ascending(str(monitor))) else 1
        self.restore_best = restore_best
        self._begin()

    def _begin(self):
        self.best, self.best_epoch, self._weights = None, 0, None

    def on_fit_begin(self, trainer):
        _check_monitor("EarlyStopping", self.monitor, trainer)
        self._begin()

    def on_epoch_end(self, trainer, epoch, logs):
        value = logs[self.monitor]
        if self.best is None or self._sign * (value - self.best) > self.min_delta:
            self.best, self.best_epoch = value, epoch
            if self.restore_best:
                self._weights = trainer.model.state_dict()
        elif epoch - self.best_epoch >= self.patience:
            trainer.stop_training = True

    def on_fit_end(self, trainer):
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self):
        weights = {f"weights/{name}": a for name, a in (self._weights or {}).items()}
        return {"best": self.best, "best_epoch": self.best_epoch, **weights}

    def load_state_dict(self, state):
        weights = {k.removeprefix("weights/"): a for k, a in state.items() if k.startswith("weights/")}
        self.best, self.best_epoch, self._weights = state["best"], state["best_epoch"], weights or None


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
        The name of a value in the history: write only where it is better than ever before.
    notes : dict, optional
        Of what JSON can hold, kept in the file (see `nnscratch.checkpoint.read_checkpoint`).

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such; and at the start of `fit`, where nothing called `monitor` is measured.
    OSError
        At the start of `fit`, where the folder cannot be written in; later, where the file cannot.

    Examples
    --------
    >>> Checkpoint("run/checkpoint.safetensors", every=0)
    Traceback (most recent call last):
    ValueError: Checkpoint: every is 0, expected a whole number of at least 1; pass a larger one
    """

    def __init__(self, path, every=1, monitor=None, notes=None):
        self.path = as_path("Checkpoint", path)
        self.every = checks.count("Checkpoint", "every", every)
        self.monitor = monitor
        self.notes = notes

    def on_fit_begin(self, trainer):
        if self.monitor is not None:
            _check_monitor("Checkpoint", self.monitor, trainer)
        if os.path.isdir(self.path):
            raise OSError(f"Checkpoint: {self.path} is a folder, expected a file; add a name to it")
        writable_folder("Checkpoint", os.path.dirname(self.path) or ".")
        for left in glob.glob(glob.escape(self.path) + ".????????.part"):  # by a run that was killed
            os.remove(left)

    def on_epoch_end(self, trainer, epoch, logs):
        last = epoch == trainer.epochs or trainer.stop_training
        due = last or epoch % self.every == 0
        if self.monitor is not None:
            due = trainer.history.best(self.monitor) == epoch
        if due:
            trainer.save_checkpoint(self.path, self.notes)


class LiveCurves(Callback):
    """Draw the curves of loss and metrics while `fit` runs in a notebook, each time in place of the ones before.

    Where there is no notebook (a plain terminal, a script), it draws and prints nothing.

    Parameters
    ----------
    every : float
        The seconds to wait, at least, between two drawings; the last epoch's is always drawn.

    Raises
    ------
    TypeError, ValueError
        Where `every` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x, y = ns.data.iris()
    >>> model = ns.nn.Sequential(ns.nn.Linear(4, 3), ns.nn.Softmax())
    >>> trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()))
    >>> history = trainer.fit(x, y, epochs=2, verbose=False, callbacks=[ns.training.LiveCurves(every=1)])
    """

    def __init__(self, every=2.0):
        self.every = checks.number("LiveCurves", "every", every, 0)

    def on_fit_begin(self, trainer):
        self._place, self._drawn, self._next = None, 0, 0.0

    def on_epoch_end(self, trainer, epoch, logs):
        if time.monotonic() >= self._next:
            self._draw(trainer)

    def on_fit_end(self, trainer):
        if self._drawn < trainer.history.epochs:
            self._draw(trainer)

    def _draw(self, trainer):
        display = _notebook_display()
        if display is None:
            return
        figure = trainer.history.plot()
        if self._place is None:
            self._place = display(figure, display_id=True)
        else:
            self._place.update(figure)
        self._drawn = trainer.history.epochs
        self._next = time.monotonic() + self.every  # from here, so that slow drawing leaves time for training


def _notebook_display():
    """IPython's display where it can show pictures, else None."""
    ipython = sys.modules.get("IPython")  # whoever runs in a notebook has it imported
    shell = ipython and ipython.get_ipython()
    if not shell or "image/png" not in shell.display_formatter.active_types:
        return None
    return ipython.display.display


class Snapshots(Callback):
    """Keep the weights at several times of training, for `nnscratch.pictures.decision_animation`.

    Parameters
    ----------
    most : int
        About how many to keep, evenly spread over the epochs; those before the first and after the last epoch are
        always among them.

    Attributes
    ----------
    states : dict of int to dict
        The model's `state_dict` by epoch; that of epoch 0 is from before training.

    Raises
    ------
    TypeError, ValueError
        Where `most` is no whole number of at least 1.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x, y = ns.data.iris()
    >>> model = ns.nn.Sequential(ns.nn.Linear(4, 3), ns.nn.Softmax())
    >>> trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()))
    >>> snapshots = ns.training.Snapshots(most=3)
    >>> history = trainer.fit(x, y, epochs=8, verbose=False, callbacks=[snapshots])
    >>> list(snapshots.states)
    [0, 3, 6, 8]
    """

    def __init__(self, most=40):
        self.most = checks.count("Snapshots", "most", most)
        self.states: dict = {}

    def on_fit_begin(self, trainer):
        self.states = {0: trainer.model.state_dict()}

    def on_epoch_end(self, trainer, epoch, logs):
        before = max(self.states)
        if before % -(-trainer.epochs // self.most):
            del self.states[before]
        self.states[epoch] = trainer.model.state_dict()

    def state_dict(self):
        return {f"{epoch}/{name}": a for epoch, state in self.states.items() for name, a in state.items()}

    def load_state_dict(self, state):
        self.states = {}
        for key, a in state.items():
            epoch, _, name = key.partition("/")
            self.states.setdefault(int(epoch), {})[name] = a
        self.states = dict(sorted(self.states.items()))


def _check_monitor(name, monitor, trainer):
    if monitor not in trainer.monitors:
        raise ValueError(
            f"{name}: monitor is {monitor!r}, and this training measures {', '.join(trainer.monitors)}; "
            f"choose one of them, or hold out validation data"
        )
