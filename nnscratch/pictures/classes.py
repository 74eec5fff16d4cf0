"""How well classes are told apart: confusion matrix, ROC curve, and the images taken for another class."""

import numpy as np

from nnscratch import arguments, metrics
from nnscratch.metrics.classifier import predicted_and_true
from nnscratch.pictures import style
from nnscratch.pictures.sheets import as_images, pixels_of

MOST_CLASSES = 100


def class_names(owner, labels, classes, exactly):
    """The classes' names: those given, or their numbers.

    Raises
    ------
    TypeError
        Where `labels` is no sequence.
    ValueError
        Where there are too few, or too many and there must be `exactly` as many as classes.

    Examples
    --------
    >>> class_names("roc", None, 2, True), class_names("roc", ["cat", "dog"], 2, True)
    (['0', '1'], ['cat', 'dog'])
    """
    if labels is not None and (isinstance(labels, str) or not hasattr(labels, "__iter__")):
        raise TypeError(f"{owner}: labels is {labels!r}, expected the classes' names; pass a list")
    names = [str(label) for label in (range(classes) if labels is None else labels)]
    if len(names) < classes or (exactly and len(names) > classes):
        raise ValueError(f"{owner}: {len(names)} labels for {classes} classes, expected one for each; check labels")
    return names


def _classes(owner, prediction, target, labels):
    """Predicted and true classes as vectors, and the classes' names."""
    predicted, true, columns = predicted_and_true(owner, prediction, target)
    classes = columns or int(max(predicted.max(), true.max())) + 1
    names = class_names(owner, labels, classes, exactly=bool(columns))
    arguments.as_labels(f"{owner}: target", true, len(names))
    return predicted, true, names


def confusion(prediction, target, labels=None):
    """Draw a confusion matrix: counts by true class (row) and predicted class (column), and in colour the row's shares.

    Parameters
    ----------
    prediction : array_like
        Class labels (N,), scores of classes (N, C), or probabilities of class 1 (N,), as in `nnscratch.metrics`.
    target : array_like
        The true labels (N,), or one-hot rows.
    labels : sequence, optional
        The classes' names; 0, 1, 2, … if not given.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        Where the arrays do not hold labels or scores that go together, the names are not as many as the classes,
        or there are more than 100 classes.

    Examples
    --------
    >>> import nnscratch as ns
    >>> figure = ns.pictures.confusion([0, 1, 1, 1], [0, 1, 0, 1], ["cat", "dog"])
    >>> figure.axes[0].get_title()
    '3 of 4 right (75.0%)'
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '0', '2']
    """
    predicted, true, names = _classes("confusion", prediction, target, labels)
    n = len(names)
    if n > MOST_CLASSES:
        raise ValueError(f"confusion: there are {n} classes, and one picture holds {MOST_CLASSES}; draw some of them")
    matrix = metrics.confusion_matrix(predicted, true, n)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    digits, letters = len(str(matrix.max())), max(map(len, names))
    cell = min(max(0.42, 0.09 * digits, 0.075 * letters if n <= 4 else 0), 12 / n)  # in inches
    small = min(9, 72 * cell / max(1.5, 0.7 * digits))  # the size of a letter in points
    turned = letters > 3 and n > 4
    room = 0.8 + 0.011 * small * letters
    with style.picture(max(3.6, room + 1.1 + cell * n), max(2.8, 0.9 + cell * n + room * turned)) as figure:
        axes = figure.subplots()
        drawn = axes.imshow(shares, cmap=style.SHARES, vmin=0, vmax=1)
        for i, j in np.ndindex(n, n):
            if n > 20 and not matrix[i, j]:
                continue
            dark = shares[i, j] > 0.55
            colour = "white" if dark else "0.6" if matrix[i, j] == 0 else "black"
            weight = "bold" if i == j else "normal"
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=colour, weight=weight, size=small)
        axes.set_xticks(range(n), names, rotation=90 if turned else 0)
        axes.set_yticks(range(n), names)
        axes.tick_params(length=0, labelsize=small)
        for edge in range(1, n):
            axes.axhline(edge - 0.5, color="0.85", linewidth=0.6)
            axes.axvline(edge - 0.5, color="0.85", linewidth=0.6)
        axes.spines[:].set_visible(True)
        hits = int(matrix.diagonal().sum())
        axes.set(
            xlabel="predicted class", ylabel="true class", title=f"{hits} of {len(true)} right ({hits / len(true):.1%})"
        )
        style.colour_bar(figure, drawn, axes, "share of the true class's samples")
    return figure


def roc(scores, target):
    """Draw the ROC curve of a classifier of two classes, with its area (AUC).

    Parameters
    ----------
    scores : array_like, shape (N,) or (N, 1)
        Scores of class 1: probabilities, logits, or any finite numbers that grow with it.
    target : array_like, shape (N,) or (N, 1)
        The true labels, 0 or 1; both must occur.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        As in `nnscratch.metrics.roc_curve`.

    Examples
    --------
    >>> import nnscratch as ns
    >>> figure = ns.pictures.roc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['classifier: AUC 0.750', 'guessing: AUC 0.5']
    """
    false, true, _ = metrics.roc_curve(scores, target)
    with style.picture(4.4, 4.2) as figure:
        axes = figure.subplots()
        axes.plot(
            false, true, color=style.BLUE, label=f"classifier: AUC {metrics.auc(scores, target):.3f}", clip_on=False
        )
        axes.plot([0, 1], [0, 1], label="guessing: AUC 0.5", **style.REFERENCE)
        axes.set(
            xlabel="false-positive rate (share of class 0)",
            ylabel="true-positive rate (share of class 1)",
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
        )
        axes.grid()
        axes.legend(loc="lower right")
    return figure


def mistakes(images, prediction, target, labels=None, count=60):
    """Draw the images that were taken for another class, those taken for it most surely first.

    Parameters
    ----------
    images : array_like, shape (N, C, H, W) or (N, H, W)
        Three channels are drawn as red, green and blue, others by their mean.
    prediction : array_like
        Probabilities of classes (N, C), or of class 1 (N,) or (N, 1): images are ordered by the probability given to
        the wrong class, which is written above them. Or class labels (N,): images stay in their order.
    target : array_like
        The true labels (N,), or one-hot rows.
    labels : sequence, optional
        The classes' names; 0, 1, 2, … if not given.
    count : int
        The most images to draw.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        Where shapes, labels or names do not go together, images hold nan, or the prediction holds no probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> images = np.zeros((3, 1, 8, 8))
    >>> figure = ns.pictures.mistakes(images, [[0.4, 0.6], [0.1, 0.9], [0.2, 0.8]], [0, 0, 1], ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['dog (90%)\\nis cat', 'dog (60%)\\nis cat']
    """
    images = as_images("mistakes", images)
    count = arguments.count("mistakes", "count", count)
    prediction = arguments.as_array("mistakes: prediction", prediction)
    predicted, true, names = _classes("mistakes", prediction, target, labels)
    arguments.check_lengths("mistakes: of images, prediction and target", [images, predicted, true])
    arguments.as_labels("mistakes: prediction", predicted, len(names))
    wrong = np.flatnonzero(predicted != true)
    given = None
    if prediction.dtype.kind == "f":
        given = _given(prediction, predicted)
        wrong = wrong[np.argsort(-given[wrong], kind="stable")]
    shown = wrong[:count]
    texts = [
        names[predicted[i]] + (f" ({given[i]:.0%})" if given is not None else "") + f"\nis {names[true[i]]}"
        for i in shown
    ]
    pixels, scale = pixels_of(images, shown)
    tiles = style.Tiles(pixels, texts, tall=0.7, wide=8.5)
    with style.picture(max(4.0, tiles.width), tiles.height + 0.4) as figure:
        axes = figure.subplots()
        tiles.draw(axes, cmap=style.BRIGHTNESS, **scale)
        few = f", {'the surest' if given is not None else 'the first'} {len(shown)}" if len(shown) < len(wrong) else ""
        axes.set_title(f"{len(wrong)} of {len(images)} wrong (predicted, is true){few}", size=9)
    return figure


def _given(prediction, predicted):
    """The probability given to the predicted class."""
    if prediction.ndim == 2 and prediction.shape[1] > 1:
        low, high, total = prediction.min(), prediction.max(), prediction.sum(1)
        if low < 0 or high > 1 or np.abs(total - 1).max() > 0.01:
            got = f"from {low:.3g} to {high:.3g}, with rows that sum to {total.min():.3g} to {total.max():.3g}"
            raise ValueError(
                f"mistakes: prediction holds numbers {got}, expected probabilities; apply ns.functional.softmax to logits"
            )
        return np.take_along_axis(prediction, predicted[:, None], 1)[:, 0]
    one = prediction.reshape(-1)
    return np.where(predicted == 1, one, 1 - one)
