"""Callbacks that show or keep what happens in a training run, and change nothing."""

import sys
import time

from nnscratch import arguments
from nnscratch.files import as_path, writable_file, write_bytes
from nnscratch.training.callbacks import Callback


class CSVLogger(Callback):
    """Write the history to a file of comma-separated values, anew after each epoch: whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike

    Raises
    ------
    TypeError
        Where `path` is none.
    OSError
        At the start of `fit`, where the folder cannot be written in; later, where the file cannot.

    Examples
    --------
    >>> import tempfile, nnscratch as ns
    >>> from pathlib import Path
    >>> x, y = ns.data.iris()
    >>> model = ns.nn.Sequential(ns.nn.Linear(4, 3), ns.nn.Softmax())
    >>> trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "history.csv"
    ...     history = trainer.fit(x, y, epochs=2, verbose=False, callbacks=[ns.training.CSVLogger(path)])
    ...     print(path.read_text().splitlines()[0])
    epoch,loss,lr,seconds
    """

    def __init__(self, path):
        self.path = as_path("CSVLogger", path)

    def on_fit_begin(self, trainer):
        writable_file("CSVLogger", self.path)

    def on_epoch_end(self, trainer, epoch, logs):
        history = trainer.history
        rows = [["epoch", *history], *zip(range(1, epoch + 1), *(history[name] for name in history), strict=True)]
        text = "".join(",".join(map(str, row)) + "\n" for row in rows)
        write_bytes("CSVLogger", self.path, text.encode())


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
        self.every = arguments.number("LiveCurves", "every", every, 0)

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
        Where `most` is no whole number of at least 1; and at the start of `fit`, where a step has no ``model``.

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
        self.most = arguments.count("Snapshots", "most", most)
        self.states: dict = {}
        self._model = None

    def on_fit_begin(self, trainer):
        if trainer.model is None:
            raise ValueError(
                "Snapshots: the step has no attribute 'model'; give it that name, as pictures show one network"
            )
        self._model = trainer.model
        self.states = {0: self._model.state_dict()}

    def on_epoch_end(self, trainer, epoch, logs):
        before = max(self.states)
        if before % -(-trainer.epochs // self.most):
            del self.states[before]
        self.states[epoch] = trainer.model.state_dict()

    def state_dict(self):
        return {f"{epoch}/{name}": a for epoch, state in self.states.items() for name, a in state.items()}

    def load_state_dict(self, state):
        states: dict = {}
        for key, a in state.items():
            epoch, _, name = key.partition("/")
            states.setdefault(int(epoch), {})[name] = a
        if 0 not in states:
            raise ValueError("Snapshots: the state has no weights of epoch 0, with which it begins")
        for own in states.values() if self._model is not None else ():
            self._model._fitting(own)
        self.states = dict(sorted(states.items()))
