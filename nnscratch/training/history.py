"""What training leaves behind: a value for each epoch of the loss, the metrics, the rate and the time."""

import base64
import math
import re

from nnscratch import markup
from nnscratch.arguments import shown

MOST_ROWS = 20  # of a history's table
#: Words at the end of a value's name that tell which of its values are better, and words that turn that round, or may do so.
HIGHER_IS_BETTER = set("accuracy acc precision recall f1 auc auroc r2 iou mcc bleu psnr ssim".split())
LOWER_IS_BETTER = set("loss error mse rmse mae mape nll perplexity".split())
NEGATIONS = {"neg", "negative", "negated", "minus", "inverse", "no", "non", "not"}


def sign_of(owner, monitor, mode="auto", modes=()):
    """1 where more of a value is better, -1 where less is.

    Parameters
    ----------
    owner : str
        Who asks, which begins errors.
    monitor : str
        The value's name.
    mode : {"auto", "min", "max"}
        With "auto" what `modes` say, else the last word of the name, or the one before "score" or "rate": "loss" and "error" of
        less, "accuracy", "f1" and "r2" of more, and the like.
    modes : dict of str to {"min", "max"}
        What is known of values by their names, without ``"val_"``.

    Raises
    ------
    ValueError
        Where `mode` is none, or nothing tells.

    Examples
    --------
    >>> sign_of("History.best", "val_macro_f1"), sign_of("History.best", "val_loss")
    (1, -1)
    """
    if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
        raise ValueError(f"{owner}: mode is {shown(mode)}; pass 'auto', 'min' or 'max'")
    if mode == "auto":
        mode = dict(modes).get(str(monitor).removeprefix("val_")) or told_by(monitor)
    if mode is None:
        raise ValueError(
            f"{owner}: whether more or less of {monitor!r} is better is not told by its name; pass mode='max' or mode='min'"
        )
    return 1 if mode == "max" else -1


def told_by(name):
    """The mode that a name's last word says, "max" or "min", else None.

    Examples
    --------
    >>> told_by("val_roc_auc"), told_by("brier_score")
    ('max', None)
    """
    words = re.findall(r"[a-z]+[0-9]*", str(name).lower())
    if len(words) > 1 and words[-1] in ("score", "rate"):
        words.pop()
    if not words or NEGATIONS & set(words):
        return None
    if words[-2:] == ["cross", "entropy"]:
        return "min"
    return "max" if words[-1] in HIGHER_IS_BETTER else "min" if words[-1] in LOWER_IS_BETTER else None


def best_of(values, sign):
    """The place of the best of some values, the first of equals; None where there is nothing but nan.

    Examples
    --------
    >>> best_of([float("nan"), 1.0, 2.0, 2.0], 1)
    2
    """
    found = [(sign * value, -i) for i, value in enumerate(values) if not math.isnan(value)]
    return -max(found)[1] if found else None


class History:
    """Lists of values, one for each epoch; prints as a table, and in a notebook shows its curves above it.

    The table has 20 rows at most: of more epochs the first, the best, the last and some between.

    Parameters
    ----------
    lists : dict of str to sequence of float, optional
        Values by name, all of one length; `fit` writes "loss", the metrics, those of validation with ``"val_"``, "lr"
        and "seconds".
    modes : dict of str to {"min", "max"}, optional
        Which of a value's values are better, by its name without ``"val_"``, where the name does not tell; `fit` takes them from
        metrics' `higher_is_better`.

    Raises
    ------
    ValueError
        Where the lists differ in length.

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

    def __init__(self, lists=None, modes=None):
        self.modes = dict(modes or {})
        self._lists = {name: list(values) for name, values in (lists or {}).items()}
        lengths = {name: len(values) for name, values in self._lists.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"History: the lists have lengths {lengths}, expected one value for each epoch; complete them"
            )

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

    def best(self, monitor=None, mode="auto"):
        """The epoch, counted from 1, in which a value was best (the first of equals; nan is never best).

        Parameters
        ----------
        monitor : str, optional
            A name of the history; by default ``"val_loss"``, or ``"loss"`` where nothing was held out.
        mode : {"auto", "min", "max"}
            Which values are better; "auto" goes by the metric or by the name, as in `EarlyStopping`.

        Raises
        ------
        ValueError
            Where there is no such name, no epoch yet, or nothing but nan; or where it is not known which values are better.
        """
        monitor = monitor or self._monitor()
        best = best_of(self[monitor], sign_of("history", monitor, mode, self.modes))
        if best is None:
            raise ValueError(f"history: there is no epoch with a {monitor!r} that is a number; call fit first")
        return 1 + best

    def _monitor(self):
        return "val_loss" if "val_loss" in self else "loss"

    def _table(self):
        """Headings and rows of strings: the epoch, the values, and "best ..." in the best one's row; and a note."""
        monitor = self._monitor()
        best = self.best() if any(not math.isnan(v) for v in self._lists.get(monitor, ())) else None
        shown, n = range(1, self.epochs + 1), self.epochs
        if n > MOST_ROWS:
            between = MOST_ROWS - 2  # that many steps from the first to the last, and the best
            shown = sorted({1 + k * (n - 1) // between for k in range(between + 1)} | ({best} if best else set()))
        rows = [
            [str(e), *(_number(name, v[e - 1]) for name, v in self.items()), f"best {monitor}" if e == best else ""]
            for e in shown
        ]
        return ["epoch", *self, ""], rows, f"{len(rows)} of {n} epochs" if len(rows) < n else ""

    def __repr__(self):
        if not self.epochs:
            return "History of no epochs"
        headings, rows, note = self._table()
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        lines = ["  ".join(c.rjust(n) for c, n in zip(row, widths, strict=True)).rstrip() for row in (headings, *rows)]
        return "\n".join([*lines, note] if note else lines)

    def _repr_html_(self):
        if not self.epochs:
            return f"<pre>{self!r}</pre>"
        headings, rows, note = self._table()
        image = base64.b64encode(self.plot().png()).decode()
        picture = f"<img alt='loss and metrics over the epochs' src='data:image/png;base64,{image}'>"
        return f"<div>{picture}{markup.table(headings, rows, left=0)}<small>{note}</small></div>"

    def plot(self):
        """The curves of loss and metrics, of training and of validation: `nnscratch.pictures.curves` of this history.

        Returns
        -------
        matplotlib.figure.Figure
            With axes for the loss and for each metric; write it with ``.savefig(path)``.

        Raises
        ------
        ValueError
            Where there is no epoch yet.
        """
        from nnscratch.pictures import curves

        return curves(self)


def _number(name, value):
    return f"{value:.1f}" if name == "seconds" else f"{value:.3g}" if name == "lr" else f"{value:.4f}"
