"""How a network learns: curves over the epochs, and its weights and gradients by layer."""

import numpy as np

from nnscratch import nn
from nnscratch.pictures import style
from nnscratch.pictures.running import check_model

# In the documents' networks, before and while they learn, gradients relative to their weights were measured to lie within a factor
# of 30 of the last layer's; in six dense layers with sigmoids the first's is 2500 times smaller.
FAR = 100
MOST_ROWS = 100
BINS = 50


def curves(history):
    """Draw the curves of loss and metrics over the epochs, of training and of validation, with the best epoch marked.

    Parameters
    ----------
    history : nnscratch.training.History
        What `fit` returned, or ``trainer.history``.

    Returns
    -------
    matplotlib.figure.Figure
        With axes for the loss and for each metric.

    Raises
    ------
    TypeError
        Where it is no history.
    ValueError
        Where there is no epoch yet.

    Examples
    --------
    >>> import nnscratch as ns
    >>> history = ns.training.History({"loss": [0.9, 0.4, 0.2], "val_loss": [0.8, 0.5, 0.6]})
    >>> figure = ns.pictures.curves(history)
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['training', 'validation', 'best val_loss: epoch 2']
    """
    if not hasattr(history, "epochs") or not hasattr(history, "best"):
        raise TypeError(
            f"curves: history is a {type(history).__name__}, expected a History; pass what fit returned, "
            f"or ns.training.History(lists)"
        )
    names = list(dict.fromkeys(n.removeprefix("val_") for n in history if n not in ("lr", "seconds")))
    if not history.epochs or not names:
        raise ValueError("curves: there is no epoch to draw; call fit first")
    epochs = range(1, history.epochs + 1)
    monitor = "val_loss" if "val_loss" in history else "loss"
    found = monitor in history and np.isfinite(history[monitor]).any()
    best = history.best(monitor) if found else None
    marked = max(1, history.epochs // 20)
    with style.picture(4.6 * len(names), 3.5) as figure:
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for key, label, line in (
                (name, "training", style.TRAINING),
                (f"val_{name}", "validation", style.VALIDATION),
            ):
                if key in history:
                    axes.plot(epochs, history[key], label=label, markevery=marked, **line)
            if best is not None:
                axes.axvline(best, label=f"best {monitor}: epoch {best}", zorder=1, **style.REFERENCE)
            axes.set(xlabel="epoch", ylabel=name)
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            if history.epochs == 1:  # around which matplotlib would enlarge thousandths
                axes.set_xlim(0.5, 1.5)
            drawn = np.array([v for key in (name, f"val_{name}") if key in history for v in history[key]], float)
            drawn = drawn[np.isfinite(drawn)]
            if drawn.size and drawn.min() == drawn.max():
                axes.set_ylim(*sorted((0.0, 1.1 * drawn[0])) if drawn[0] else (-1, 1))
            axes.grid()
            axes.legend()
    return figure


def learning_rates(search):
    """Draw the losses that a search for the learning rate met, over the rates, with the rate it suggests.

    Parameters
    ----------
    search : nnscratch.training.RateSearch
        What ``trainer.find_lr(...)`` returned.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        Where it is no such search.

    Examples
    --------
    >>> import nnscratch as ns
    >>> search = ns.training.RateSearch([1e-3, 1e-2, 1e-1, 1.0], [1.0, 0.95, 0.1, 5.0])
    >>> ns.pictures.learning_rates(search).axes[0].get_legend_handles_labels()[1]
    ['each batch', 'smoothed', 'suggestion: 0.01']
    """
    if not hasattr(search, "suggestion"):
        raise TypeError(
            f"learning_rates: search is a {type(search).__name__}, expected a RateSearch; pass what find_lr returned"
        )
    with style.picture(5.5, 3.5) as figure:
        axes = figure.subplots()
        axes.plot(search.rates, search.losses, label="each batch", linewidth=0.8, color=style.VALIDATION["color"])
        axes.plot(search.rates, search.smoothed, label="smoothed", color=style.TRAINING["color"])
        axes.axvline(search.suggestion, label=f"suggestion: {search.suggestion:.2g}", zorder=1, **style.REFERENCE)
        axes.set(xlabel="learning rate", ylabel="loss", xscale="log")
        # The explosion at the end leaves the picture: it would press the fall before it flat.
        before = search.losses[: int(np.argmin(search.smoothed)) + 1]
        least, most = min(search.losses), max(before)
        if most > least:
            axes.set_ylim(top=min(axes.get_ylim()[1], most + 0.5 * (most - least)), bottom=least - 0.1 * (most - least))
        axes.grid()
        axes.legend()
    return figure


def histograms(model):
    r"""Draw the distribution of each parameter's values and gradients, and mark gradients that vanish or explode.

    A weight's gradient is measured by the weight: :math:`s = \lVert g \rVert / \lVert w \rVert`, the ratio that
    You, Gitman and Ginsburg (2017) take the step from. As vanishing and exploding are changes on the way back from
    the output (Bengio, Simard & Frasconi, 1994; Pascanu, Mikolov & Bengio, 2013), each s is compared with that of
    the last weight whose gradient is not 0, in the order of ``named_parameters()``:

    - *vanishing*: s is less than a hundredth of the last one;
    - *exploding*: s is more than a hundred times the last one, or above 100 in itself (a step of plain gradient descent
      at the rate 0.01 is then longer than the weight), or the gradient holds nan or an infinity;
    - *all zero*: no element of the gradient differs from 0;
    - *dead*: units of a dense layer or a convolution whose weights all have the gradient 0, as those of a ReLU that is
      never above 0, on the samples of this backward pass.

    Parameters that are vectors, such as biases, begin at 0, so their s says nothing: for them only the last two marks, and
    nan, are given. A hundred is a convention, like any other number here; s is written beside each gradient.

    Parameters
    ----------
    model : nn.Module
        After a backward pass; `fit` leaves the gradients of its last batch.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each parameter: values on the left, sizes of the gradient's elements on the right, where all rows
        have one logarithmic axis and zeros are counted in the title.

    Raises
    ------
    TypeError
        Where it is no module.
    ValueError
        Where no parameter has a gradient, or there are more than 100 parameters.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Sequential(ns.nn.Linear(3, 8), ns.nn.ReLU(), ns.nn.Linear(8, 2))
    >>> model(ns.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    >>> figure = ns.pictures.histograms(model)
    >>> len(figure.axes)
    8
    """
    parameters = list(check_model("histograms", model).named_parameters())
    if not any(p.grad is not None for _, p in parameters):
        raise ValueError("histograms: no parameter has a gradient; call loss.backward(), or fit, first")
    if len(parameters) > MOST_ROWS:
        raise ValueError(
            f"histograms: the model has {len(parameters)} parameters, and one picture holds {MOST_ROWS}; "
            f"pass a part of it, such as model[0]"
        )
    units = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)}
    rows = [_measure(name, p, id(p) in units) for name, p in parameters]
    last = next((r["ratio"] for r in reversed(rows) if r["ratio"]), None)
    sizes = np.concatenate([r["sizes"] for r in rows])
    high = sizes.max(initial=0) or 1.0
    low = max(sizes.min(initial=high), high * 1e-9)
    edges = np.geomspace(low / 1.5, high * 1.5, BINS + 1)
    with style.picture(10, 0.4 + 1.15 * len(rows)) as figure:
        grid = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(1, 1.15))
        for (left, right), row in zip(grid, rows, strict=True):
            _stairs(left, row["values"], BINS, style.BLUE)
            left.set_title(f"{row['name']} {row['shape']}{row['note']}", loc="left", size=8)
            text, bad = _verdict(row, last)
            # What is below the axis counts in its first bin.
            _stairs(right, np.maximum(row["sizes"], low), edges, style.VERMILLION if bad else style.GREEN)
            warned = {"color": style.VERMILLION, "weight": "bold"} if bad else {}
            right.set_title(text, loc="left", size=8, **warned)
            right.set(xscale="log", xlim=(edges[0], edges[-1]))
            right.xaxis.minorticks_off()  # they take most of the time
            for axes in (left, right):
                axes.set_ylabel("elements", size=8)
                axes.tick_params(labelsize=7)
                axes.yaxis.get_major_locator().set_params(integer=True, nbins=3)
            right.yaxis.set_visible(row["gradient"] is not None)
            if row is not rows[-1]:
                right.tick_params(labelbottom=False)
        left.set_xlabel("value")
        right.set_xlabel("size of the loss's gradient |∂L/∂w|")
    return figure


def _measure(name, p, has_units):
    """What one row shows of a parameter."""
    values = p.numpy().astype(np.float64).ravel()
    finite = np.isfinite(values)
    row = {
        "name": name,
        "shape": tuple(p.shape),
        "values": values[finite],
        "note": "" if finite.all() else f", {np.sum(~finite)} not finite",
        "sizes": np.empty(0),
        "gradient": None,
        "ratio": None,
        "dead": [],
        "frozen": not p.requires_grad,
    }
    if p.grad is not None:
        g = row["gradient"] = p.grad.numpy().astype(np.float64)
        row["sizes"] = np.abs(g[np.isfinite(g) & (g != 0)])
        length = np.linalg.norm(values)
        if p.ndim >= 2 and length > 0 and np.isfinite(length) and np.isfinite(g).all():
            row["ratio"] = float(np.linalg.norm(g) / length)
        if has_units:
            row["dead"] = np.flatnonzero(~g.reshape(len(g), -1).any(1)).tolist()
    return row


def _verdict(row, last):
    """What is said of a gradient, and whether it is a warning."""
    g, ratio, dead = row["gradient"], row["ratio"], row["dead"]
    if g is None:
        return ("gradient: none, frozen" if row["frozen"] else "gradient: none, no backward pass reached it"), False
    said = "gradient" if ratio is None else f"gradient, ‖g‖/‖w‖ = {ratio:.2g}"
    if not np.isfinite(g).all():
        return f"{said}: EXPLODING, {np.sum(~np.isfinite(g))} not finite", True
    if not g.any():
        return f"{said}: ALL ZERO", True
    zeros = np.mean(g == 0)
    marks = []
    if ratio and ratio < last / FAR:
        marks.append("VANISHING")
    if ratio and ratio > FAR * min(last, 1):
        marks.append("EXPLODING")
    if dead:
        few = ", ".join(map(str, dead[:4])) + (", …" if len(dead) > 4 else "")
        marks.append(f"DEAD {len(dead)} of {len(g)} units ({few})")
    if marks:
        return f"{said}: {', '.join(marks)}", True
    return said + (f", {zeros:.0%} are 0" if zeros else ""), False


def _stairs(axes, values, bins, colour):
    counts, edges = np.histogram(values, bins)
    axes.stairs(counts, edges, fill=True, color=colour)
    axes.set_ylim(0, max(1, counts.max()) * 1.08)
