"""Where a classifier of two features draws the line, and how the line moves while it learns."""

import re

import numpy as np
from matplotlib.animation import FuncAnimation

from nnscratch import arguments
from nnscratch.metrics.classifier import true_labels
from nnscratch.pictures import style
from nnscratch.pictures.classes import class_names
from nnscratch.pictures.running import check_model, outputs

GRID = 200  # points along each axis
KEY = "points: true class\nregions: predicted,\ndeeper = surer"
MARGIN = 0.12  # around the samples, as a share of their range
MOST_FRAMES = 400
#: The buttons of an animation, by the names of the icons that matplotlib fetches for them.
ICONS = {
    "minus": "−",
    "fast-backward": "|◀◀",
    "step-backward": "|◀",
    "play fa-flip-horizontal": "◀",
    "pause": "❚❚",
    "play": "▶",
    "step-forward": "▶|",
    "fast-forward": "▶▶|",
    "plus": "+",
}
STEP = 0.05  # between two tints


def decision_boundary(model, x, y, labels=None, features=("feature 1", "feature 2"), from_logits=False):
    """Draw the regions in which a classifier of two features predicts each class, and samples with their true classes.

    A region's colour is the deeper the more probable the class is there, and a line runs where the prediction changes.

    Parameters
    ----------
    model : nn.Module
        From (N, 2) to probabilities of classes (N, C), or of class 1 (N, 1) or (N,). Run in evaluation mode, without a
        graph.
    x : array_like, shape (N, 2)
    y : array_like, shape (N,) or (N, 1)
        The true classes, 0, 1, 2, …; 8 at most.
    labels : sequence of str, optional
        The classes' names; 0, 1, 2, … if not given.
    features : pair of str
        What the axes are, with their units.
    from_logits : bool
        Whether the model gives logits.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        Where samples, classes or names do not go together, there are not two features, or the model gives no
        probabilities.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x, y = ns.data.iris()
    >>> model = ns.nn.Sequential(ns.nn.Linear(2, 3), ns.nn.Softmax())
    >>> names = ["setosa", "versicolor", "virginica"]
    >>> figure = ns.pictures.decision_boundary(model, x[:, 2:], y, names, ["petal length / cm", "petal width / cm"])
    >>> figure.axes[0].get_xlabel()
    'petal length / cm'
    """
    scene = _Scene("decision_boundary", model, x, y, labels, features, from_logits)
    with style.picture(5.6, 4.4) as figure:
        scene.draw(figure)
        scene.show(scene.look())
    return figure


def decision_animation(model, x, y, snapshots, labels=None, features=("feature 1", "feature 2"), from_logits=False):
    """Show how the regions of `decision_boundary` form while a classifier learns.

    Parameters
    ----------
    model : nn.Module
        Its weights are exchanged for those of the snapshots, and are put back.
    x, y, labels, features, from_logits
        As for `decision_boundary`.
    snapshots : nnscratch.training.Snapshots, or dict of int to state_dict
        The weights by epoch, 400 of them at most; a list counts as epochs 0, 1, 2, ….

    Returns
    -------
    matplotlib.animation.Animation
        In a notebook it shows itself, with buttons; ``.save("name.gif")`` writes it, and ``.to_jshtml()`` gives the page.

    Raises
    ------
    TypeError, ValueError
        As for `decision_boundary`, and where there are no snapshots, too many, or those of another network.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x, y = ns.data.iris()
    >>> model = ns.nn.Sequential(ns.nn.Linear(2, 3), ns.nn.Softmax())
    >>> trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters(), lr=0.1))
    >>> snapshots = ns.training.Snapshots()
    >>> history = trainer.fit(x[:, 2:], y, epochs=3, verbose=False, callbacks=[snapshots])
    >>> animation = ns.pictures.decision_animation(model, x[:, 2:], y, snapshots)
    >>> animation.save("learning.gif")
    """
    owner = "decision_animation"
    scene = _Scene(owner, model, x, y, labels, features, from_logits)
    states = getattr(snapshots, "states", snapshots)
    states = dict(enumerate(states)) if isinstance(states, list | tuple) else states
    if not hasattr(states, "items"):
        raise TypeError(
            f"{owner}: snapshots is a {type(snapshots).__name__}, expected ns.training.Snapshots; "
            f"pass the one that fit was given as a callback"
        )
    if not 0 < len(states) <= MOST_FRAMES:
        raise ValueError(
            f"{owner}: there are {len(states)} snapshots, expected 1 to {MOST_FRAMES}; pass fit callbacks=[snapshots]"
        )
    before = model.state_dict()
    try:
        frames = []
        for epoch, state in states.items():
            model.load_state_dict(state)
            frames.append((f"epoch {epoch}", *scene.look()))
    finally:
        model.load_state_dict(before)
    with style.picture(5.6, 4.4) as figure:
        scene.draw(figure)
        scene.show(frames[-1][1:], frames[-1][0])
    return Animation(
        figure, lambda frame: scene.show(frame[1:], frame[0]), frames, interval=max(80, min(400, 6000 // len(frames)))
    )


class Animation(FuncAnimation):
    """matplotlib's animation that shows itself in a notebook, and that needs no program beside Python to be saved."""

    def __init__(self, figure, draw, frames, interval):
        super().__init__(figure, draw, frames, interval=interval, cache_frame_data=False)

    def save(self, filename, writer="pillow", **settings):
        """Write it, by default as GIF; `settings` are those of matplotlib's ``Animation.save``."""
        super().save(filename, writer, **settings)

    def to_jshtml(self, fps=None, embed_frames=True, default_mode=None):
        """The page with buttons, as matplotlib makes it: every frame is in it, and nothing is fetched from elsewhere."""
        page = super().to_jshtml(fps, embed_frames, default_mode or "once")
        page = re.sub(r"<link rel=.stylesheet.*?>", "", page, flags=re.S)  # a font of icons, from the network
        return re.sub(r'<i class="fa fa-(.*?)"></i>', lambda found: ICONS.get(found[1], found[1]), page)

    def _repr_html_(self):
        return self.to_jshtml()


class _Scene:
    """The plane with its samples, on which a model's regions are drawn."""

    def __init__(self, owner, model, x, y, labels, features, from_logits):
        self.owner, self.model = owner, check_model(owner, model)
        self.x = arguments.as_samples(f"{owner}: x", x)
        if self.x.ndim != 2 or self.x.shape[1] != 2:
            raise ValueError(
                f"{owner}: x has shape {self.x.shape}, expected two features (N, 2); choose two, such as x[:, :2], "
                f"and train a model on them"
            )
        self.x = self.x.astype(np.float64)
        arguments.check_finite(f"{owner}: x", self.x)
        y = arguments.as_array(f"{owner}: y", y)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        arguments.check_finite(f"{owner}: y", y)
        self.y = arguments.label_vector(f"{owner}: y", true_labels(owner, y).reshape(y.shape))
        arguments.check_lengths(f"{owner}: x and y", [self.x, self.y])
        self.from_logits = arguments.flag(owner, "from_logits", from_logits)
        if not isinstance(features, list | tuple) or len(features) != 2:
            raise ValueError(f"{owner}: features is {features!r}, expected the names of two; pass a pair")
        self.features = features
        low, high = self.x.min(0), self.x.max(0)
        margin = MARGIN * np.where(high > low, high - low, 1)
        self.low, self.high = low - margin, high + margin
        self.axis = [np.linspace(self.low[i], self.high[i], GRID) for i in (0, 1)]
        self.grid = np.stack(np.meshgrid(*self.axis), -1).reshape(-1, 2)
        self.labels = labels
        self.names = None

    def probabilities(self, points):
        """(N, C) of the classes at (N, 2) points."""
        p = outputs(self.owner, self.model, points).astype(np.float64)
        if p.ndim == 1:
            p = p[:, None]
        if p.ndim != 2:
            raise ValueError(f"{self.owner}: the model gives shape {p.shape}, expected (N, C); correct its forward")
        if self.from_logits:
            p = np.concatenate([np.zeros_like(p), p], 1) if p.shape[1] == 1 else p
            p = np.exp(p - p.max(1, keepdims=True))
            return p / p.sum(1, keepdims=True)
        if p.min() < 0 or p.max() > 1:
            raise ValueError(
                f"{self.owner}: the model gives numbers from {p.min():.3g} to {p.max():.3g}, expected probabilities; "
                f"pass from_logits=True where it gives logits"
            )
        return np.concatenate([1 - p, p], 1) if p.shape[1] == 1 else p

    def look(self):
        """The regions of the model as it is now: colours (GRID, GRID, 3), each class's lead over the others
        (C, GRID, GRID), and the share of samples that it gets right."""
        p = self.probabilities(self.grid)
        classes = p.shape[1]
        if classes > len(style.COLOURS):
            raise ValueError(
                f"{self.owner}: the model has {classes} classes, and {len(style.COLOURS)} colours can be told apart; "
                f"train one of fewer classes"
            )
        self.names = class_names(self.owner, self.labels, classes, exactly=True)
        arguments.as_labels(f"{self.owner}: y", self.y, classes)
        ordered = np.sort(p, 1)
        lead = np.where(p == ordered[:, -1:], p - ordered[:, -2:-1], p - ordered[:, -1:])
        best = p.argmax(1)
        colours = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in style.COLOURS])[best]
        # From a tint where the class has no lead to half of its colour where it is certain.
        # In steps, which show in grey as contours do.
        strength = 0.12 + 0.43 * (ordered[:, -1] - 1 / classes)[:, None] / (1 - 1 / classes)
        tints = 1 - np.ceil(strength / STEP) * STEP * (1 - colours)
        right = float(np.mean(self.probabilities(self.x).argmax(1) == self.y))
        tints = (255 * tints).round().astype(np.uint8).reshape(GRID, GRID, 3)
        return tints, lead.T.reshape(classes, GRID, GRID).astype(np.float32), right

    def draw(self, figure):
        """Make the axes, and all on them that stays."""
        self.look()  # names the classes
        self.axes = axes = figure.subplots()
        extent = (self.low[0], self.high[0], self.low[1], self.high[1])
        blank = np.full((GRID, GRID, 3), 255, np.uint8)
        self.regions = axes.imshow(blank, extent=extent, origin="lower", aspect="auto", interpolation="nearest")
        self.title, self.lines = axes.set_title(" "), []
        for k in np.unique(self.y):
            points = self.x[self.y == k]
            axes.scatter(
                *points.T, s=26, color=style.COLOURS[k], marker=style.MARKERS[k], label=self.names[k],
                edgecolors="black", linewidths=0.6, zorder=3,
            )  # fmt: skip
        axes.set(xlabel=self.features[0], ylabel=self.features[1], xlim=extent[:2], ylim=extent[2:])
        figure.legend(
            *axes.get_legend_handles_labels(),
            title=KEY,
            loc="outside right upper",
            frameon=False,
            title_fontsize="small",
        )

    def show(self, found, when=""):
        """Show what `look` found."""
        tints, lead, right = found
        self.regions.set_data(tints)
        for line in self.lines:
            line.remove()
        # Of two classes one line is enough: it is the other's, too.
        shown = lead[1:] if len(lead) == 2 else lead
        self.lines = [
            self.axes.contour(*self.axis, level, [0], colors="black", linewidths=1.1)
            for level in shown
            if level.min() < 0 < level.max()
        ]
        self.title.set_text(f"{when}{': ' if when else ''}{right:.1%} of {len(self.x)} samples right")
        return [self.regions]
