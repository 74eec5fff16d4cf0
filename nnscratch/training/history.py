"""What training leaves behind: a value for each epoch of the loss, the metrics, the rate and the time."""


def ascending(monitor):
    """Whether more of a value is better: not of a loss or an error.

    Examples
    --------
    >>> ascending("val_accuracy"), ascending("val_loss")
    (True, False)
    """
    return monitor.removeprefix("val_") in ("accuracy", "precision", "recall", "f1", "auc")


class History:
    """Lists of values, one for each epoch; prints as a table, and plots its curves.

    Examples
    --------
    >>> history = History()
    >>> history.append({"loss": 0.5, "val_loss": 0.75})
    >>> history.append({"loss": 0.25, "val_loss": 1.0})
    >>> history["loss"]
    [0.5, 0.25]
    >>> history.epochs, history.best()
    (2, 1)
    >>> history
    epoch    loss  val_loss
        1  0.5000    0.7500  best val_loss
        2  0.2500    1.0000
    """

    def __init__(self, lists=None):
        self._lists = {name: list(values) for name, values in (lists or {}).items()}

    def append(self, values):
        """Add an epoch's values, a dict of the same names each time."""
        for name, value in values.items():
            self._lists.setdefault(name, []).append(value)

    @property
    def epochs(self):
        """The number of epochs trained."""
        return len(next(iter(self._lists.values()), ()))

    def keys(self):
        """The names of the lists."""
        return self._lists.keys()

    def items(self):
        """The pairs (name, list)."""
        return self._lists.items()

    def __iter__(self):
        return iter(self._lists)

    def __contains__(self, name):
        return name in self._lists

    def __getitem__(self, name):
        if name not in self._lists:
            raise ValueError(f"history: it has no {name!r}; use one of {', '.join(self._lists) or 'none yet'}")
        return self._lists[name]

    def best(self, monitor=None):
        """The epoch, counted from 1, in which a value was best (the first of equals).

        Parameters
        ----------
        monitor : str, optional
            A name of the history; by default ``"val_loss"``, or ``"loss"`` where nothing was held out.

        Raises
        ------
        ValueError
            Where there is no such name, or no epoch yet.
        """
        values = self[monitor or self._monitor()]
        pick = max if ascending(monitor or self._monitor()) else min
        return values.index(pick(values)) + 1

    def _monitor(self):
        return "val_loss" if "val_loss" in self else "loss"

    def __repr__(self):
        if not self.epochs:
            return "History of no epochs"
        columns = [["epoch", *map(str, range(1, self.epochs + 1))]]
        columns += [[name, *(_number(name, v) for v in values)] for name, values in self.items()]
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in zip(*columns, strict=True)
        ]
        if self._monitor() in self:
            lines[self.best()] += f"  best {self._monitor()}"
        return "\n".join(lines)

    def plot(self):
        """Draw the curves of loss and metrics, of training and of validation.

        Returns
        -------
        matplotlib.figure.Figure
            With axes for the loss and for each metric; write it with ``.savefig(path)``.

        Raises
        ------
        ValueError
            Where there is no epoch yet.
        """
        from matplotlib.figure import Figure

        if not self.epochs:
            raise ValueError("History.plot: there is no epoch to draw; call fit first")
        names = [n for n in self if n not in ("lr", "seconds") and not n.startswith("val_")]
        figure = Figure(figsize=(5 * len(names), 3.8), layout="constrained")
        epochs = range(1, self.epochs + 1)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            axes.plot(epochs, self[name], marker=".", label="training")
            if f"val_{name}" in self:
                axes.plot(epochs, self[f"val_{name}"], marker=".", label="validation")
            axes.set(xlabel="epoch", ylabel=name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            axes.legend()
        return figure


def _number(name, value):
    return f"{value:.1f}" if name == "seconds" else f"{value:.3g}" if name == "lr" else f"{value:.4f}"
