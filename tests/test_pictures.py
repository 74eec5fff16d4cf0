"""Pictures: what is on them, what they refuse, that they can be told apart, and that models stay as they were."""

import itertools
import json
import subprocess
import sys

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn, pictures
from nnscratch.pictures import style
from nnscratch.training import History, RateSearch, Snapshots


def texts(axes):
    return [text.get_text() for text in axes.texts]


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3), nn.Softmax()
    )


def plane(outputs=3, last=None):
    return nn.Sequential(nn.Linear(2, outputs), last or nn.Softmax())


def state(model):
    """All that a picture must not change."""
    return (
        {name: (a.dtype, a.tobytes()) for name, a in model.state_dict().items()},
        [(m.training, "forward" in vars(m)) for m in model.modules()],
        [p.grad is None for p in model.parameters()],
        repr(ns.backend.get().rng.bit_generator.state),
    )


CLOUD = np.random.default_rng(0).normal(size=(30, 2))
OF = np.arange(30) % 3


# All pictures


def every():
    """Each function once, as a call."""
    history = History({"loss": [2.0, 1.0, 0.5], "val_loss": [2.0, 0.5, 1.0]})
    trained = nn.Linear(3, 2)
    trained(ns.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    images = np.random.default_rng(0).random((4, 1, 6, 6))
    return {
        "curves": lambda: pictures.curves(history),
        "filters": lambda: pictures.filters(cnn()),
        "activations": lambda: pictures.activations(cnn(), np.eye(8)),
        "attention": lambda: pictures.attention(np.full((5, 3, 3), 1 / 3), ["a", "long one", "b"]),
        "confusion": lambda: pictures.confusion([0, 1, 1], [0, 1, 0]),
        "roc": lambda: pictures.roc([0.1, 0.9, 0.3], [0, 1, 1]),
        "mistakes": lambda: pictures.mistakes(images, [0, 1, 1, 0], [1, 1, 0, 0]),
        "histograms": lambda: pictures.histograms(trained),
        "learning_rates": lambda: pictures.learning_rates(RateSearch([1e-3, 1e-2, 0.1, 1.0], [1.0, 0.9, 0.2, 5.0])),
        "decision_boundary": lambda: pictures.decision_boundary(plane(), CLOUD, OF),
        "timeline": lambda: pictures.timeline(measured(plane())),
    }


def unmeasured():
    fast = ns.capture(plane())
    fast(ns.tensor(CLOUD, dtype="float32"))
    return fast.program


def measured(model):
    """The program of a model, with the times of its instructions."""
    fast = ns.capture(model)
    for run in (fast, fast.measure):
        run(ns.tensor(CLOUD, dtype="float32"))
    return fast.program


@pytest.mark.parametrize("name", every())
def test_each_is_a_figure_that_shows_itself_on_white(name):
    figure = every()[name]()
    assert isinstance(figure, matplotlib.figure.Figure)
    png = figure._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert figure.get_facecolor() == (1, 1, 1, 1)


@pytest.mark.parametrize("name", every())
def test_nothing_that_is_written_is_cut_off_or_covered_by_other_writing(name):
    figure = every()[name]()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    found = [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text().strip()]
    # Tick labels beyond an axis' ends are made, but not drawn.
    ends = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    drawn = {id(t) for axis in ends if axis.axes.axison for t in axis._update_ticks()}
    hidden = {
        id(label) for axis in ends for t in axis.majorTicks if id(t) not in drawn for label in (t.label1, t.label2)
    }
    found = [t for t in found if id(t) not in hidden]
    assert len(found) >= 3
    boxes = [t.get_window_extent(renderer) for t in found]
    page = figure.bbox
    for text, box in zip(found, boxes, strict=True):
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1, text
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1, text
    for (a, one), (b, two) in itertools.combinations(zip(found, boxes, strict=True), 2):
        overlap = min(one.x1, two.x1) - max(one.x0, two.x0), min(one.y1, two.y1) - max(one.y0, two.y0)
        assert min(overlap) < 1.5, (a, b)


def test_the_style_is_ours_whatever_is_in_use():
    import matplotlib as mpl

    history = History({"loss": [1.0, 0.5]})
    ours = pictures.curves(history).png()
    with mpl.rc_context({"axes.facecolor": "black", "text.color": "white", "font.size": 30, "lines.linewidth": 9}):
        assert pictures.curves(history).png() == ours


def test_neither_pyplot_nor_any_figure_is_left_behind():
    program = (
        "import sys, nnscratch as ns; print('matplotlib' in sys.modules); ns.pictures; print('matplotlib' in sys.modules);"
        "ns.pictures.roc([0, 1], [0, 1]).png(); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="^module 'nnscratch.pictures' has no attribute 'curve'$"):
        pictures.curve  # noqa: B018
    assert set(every()) | {"decision_animation"} <= set(dir(pictures))


# Colours


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear sRGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


#: Machado, Oliveira & Fernandes (2009), complete colour-blindness.
BLIND = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("colours", [style.COLOURS, (style.BLUE, style.VERMILLION), (style.GREEN, style.VERMILLION)])
def test_the_colour_blind_tell_colours_apart(kind, colours):
    seen = [lab(np.array(BLIND[kind]) @ linear(c)) for c in colours]
    # A difference of 2.3 is just noticeable (Mahy et al., 1994).
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 10


def test_in_grey_lines_and_points_differ_in_form():
    assert len({line["linestyle"] for line in (style.TRAINING, style.VALIDATION, style.REFERENCE)}) == 3
    assert len(set(style.MARKERS)) == len(style.MARKERS) == len(style.COLOURS) == len(set(style.COLOURS))
    for line in (style.TRAINING, style.VALIDATION):
        light = linear(line["color"]) @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (light + 0.05) > 3  # contrast with white that WCAG 2.1 asks of graphics


@pytest.mark.parametrize("name", [style.SHARES, style.SIZES, style.BRIGHTNESS])
def test_the_lightness_of_maps_goes_one_way(name):
    import matplotlib as mpl

    steps = np.diff([lab(linear(matplotlib.colors.to_hex(c)))[0] for c in mpl.colormaps[name](np.linspace(0, 1, 30))])
    assert (steps > 0).all() or (steps < 0).all()


# curves


def test_curves_show_the_history():
    lists = {"loss": [2.0, 1.0, 1.5], "accuracy": [0.1, 0.5, 0.6], "val_loss": [2.0, 1.75, 1.5], "lr": [1, 1, 1]}
    figure = pictures.curves(History({**lists, "val_f1": [0.0, 0.5, np.nan], "seconds": [1, 1, 1]}))
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "f1"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    training, validation, best = figure.axes[0].lines
    assert list(training.get_xdata()) == [1, 2, 3]
    assert list(training.get_ydata()) == lists["loss"]
    assert list(validation.get_ydata()) == lists["val_loss"]
    assert list(best.get_xdata()) == [3, 3]
    assert [line.get_label() for line in figure.axes[2].lines] == ["validation", "best val_loss: epoch 3"]


def test_curves_of_nothing_but_nan_have_no_best_epoch():
    figure = pictures.curves(History({"loss": [np.nan, np.nan]}))
    assert [line.get_label() for line in figure.axes[0].lines] == ["training"]


@pytest.mark.parametrize(
    ("lists", "wide", "high"),
    [
        ({"loss": [0.7]}, (0.5, 1.5), (0, 0.77)),
        ({"loss": [1.0, 1.0]}, None, (0, 1.1)),
        ({"loss": [-2.0], "val_loss": [-2.0]}, (0.5, 1.5), (-2.2, 0)),
        ({"loss": [0.0, np.nan, 0.0]}, None, (-1, 1)),
    ],
)
def test_curves_of_one_epoch_or_of_one_value_are_not_enlarged(lists, wide, high):
    (axes,) = pictures.curves(History(lists)).axes
    assert axes.get_ylim() == pytest.approx(high)
    assert wide is None or axes.get_xlim() == wide
    shown = [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    assert shown == list(range(1, len(lists["loss"]) + 1))


# filters


def test_filters_are_the_weights():
    model = cnn()
    model[0].weight.data[0, 0, 0, 0] = 2.0
    figure = pictures.filters(model)
    sheet = figure.axes[0].images[0].get_array()
    shown = sheet.compressed() if hasattr(sheet, "compressed") else sheet[~np.isnan(sheet)]
    weight = model[0].weight.numpy()
    assert set(np.unique(shown)) == set(np.unique(weight.astype(float)))
    assert texts(figure.axes[0]) == ["0", "1", "2", "3"]
    assert figure.axes[0].get_title() == "weights of 4 filters of 3 × 3"
    assert figure.axes[0].images[0].get_clim() == (-2, 2)
    assert figure.axes[1].get_ylabel() == "weight"
    marks = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    assert marks == (weight < 0).sum()
    # Each mark stands on a negative weight.
    for line in figure.axes[0].lines:
        for x, y in zip(*line.get_data(), strict=True):
            assert sheet[int(y), int(x)] < 0


def test_filters_of_many_channels_are_the_first():
    figure = pictures.filters(nn.Conv2d(64, 20, 3))
    assert figure.axes[0].get_title() == "weights of the first 8 of 20 filters of 3 × 3, 64 channels side by side"
    assert len(figure.axes[0].texts) == 8


def test_filters_of_a_dense_layer_are_images():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    figure = pictures.filters(model, shape=(3, 4))
    assert figure.axes[0].get_title() == "weights of 2 units for images of 3 × 4"
    tiles = style.Tiles(model[1].weight.numpy().reshape(2, 3, 4), ["0", "1"], 0.7, 9)
    top, left = tiles.corner(1)
    sheet, k = figure.axes[0].images[0].get_array(), tiles.scale
    np.testing.assert_allclose(
        sheet[top : top + 3 * k : k, left : left + 4 * k : k], model[1].weight.numpy()[1].reshape(3, 4)
    )
    rgb = pictures.filters(model, shape=[3, 2, 2])
    assert rgb.axes[0].get_title() == "weights of 2 units for images of 2 × 2, 3 channels side by side"


# activations


def test_activations_are_those_of_the_model_in_evaluation_mode():
    model, image = cnn(), np.random.default_rng(1).random((1, 8, 8), np.float32)
    model(ns.tensor(image[None]))  # running statistics that are not the first ones
    expected = model[:3].eval()(ns.tensor(image[None])).numpy()[0]
    model.train()
    before = state(model)
    figure = pictures.activations(model, image)
    assert state(model) == before
    assert figure.axes[0].get_title() == "image"
    assert figure.axes[1].get_title() == "layer 2, ReLU: 4 maps of 6 × 6"
    sheet = figure.axes[1].images[0].get_array()
    top, left = style.Tiles(expected, list("0123"), 0.5, 7).corner(0)
    k = 4
    np.testing.assert_allclose(sheet[top : top + 6 * k : k, left : left + 6 * k : k], expected[0], rtol=1e-6)
    assert figure.axes[1].images[0].get_clim() == (0, pytest.approx(expected.max()))


@pytest.mark.parametrize("layer", ["0", "module"])
def test_activations_of_a_chosen_layer(layer):
    model = cnn()
    figure = pictures.activations(model, np.eye(8), model[0] if layer == "module" else layer)
    assert figure.axes[1].get_title() == "layer 0, Conv2d: 4 maps of 6 × 6"
    low, high = figure.axes[1].images[0].get_clim()
    assert low == -high < 0


def test_activations_of_units_are_bars():
    model = cnn().eval()
    image = np.eye(8, dtype=np.float32)[None, None]
    figure = pictures.activations(model, image, "6")
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(heights, model(ns.tensor(image)).numpy()[0], rtol=1e-6)
    assert (figure.axes[1].get_xlabel(), figure.axes[1].get_ylabel()) == ("unit", "activation")


def test_activations_count_the_maps_that_are_0():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.MaxPool2d(2))
    model[0].weight.data[...] = 1
    model[0].weight.data[1] = -1
    figure = pictures.activations(model, np.ones((3, 4, 4)))
    assert figure.axes[1].get_title() == "layer 1, ReLU: 3 maps of 4 × 4, 1 all 0"
    assert figure.axes[0].images[0].get_array().shape == (4, 4, 3)


def test_what_a_model_draws_and_counts_while_it_is_looked_at_is_taken_back():
    class Counting(nn.Module):
        def __init__(self):
            self.calls = nn.Buffer([0.0])
            self.factor = nn.Parameter(1.0)

        def forward(self, x):
            self.calls[...] = self.calls + 1
            return F.softmax(x * self.factor + ns.backend.get().rng.normal())

    model = Counting()
    before = state(model)
    pictures.decision_boundary(model, CLOUD, OF % 2)
    assert state(model) == before
    assert model.training


def test_an_error_on_the_way_leaves_the_model_as_it_was():
    model = cnn()
    before = state(model)
    with pytest.raises(ValueError, match=r"^Sequential 5 \(Linear\): linear"):
        pictures.activations(model, np.eye(9))
    assert state(model) == before


# confusion, roc


def test_confusion_shows_counts_and_shares():
    predicted, true = [0, 1, 1, 2, 0, 0], [0, 1, 2, 2, 0, 1]
    figure = pictures.confusion(predicted, true, ["a", "b", "c", "d"])
    axes = figure.axes[0]
    matrix = ns.metrics.confusion_matrix(predicted, true, 4)
    assert texts(axes) == [str(n) for n in matrix.ravel()]
    shares = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(axes.images[0].get_array(), shares)
    assert axes.images[0].get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c", "d"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_title() == "4 of 6 right (66.7%)"
    assert [text.get_weight() for text in axes.texts[:2]] == ["bold", "normal"]
    # Writing on dark cells is white.
    assert (axes.texts[0].get_color(), axes.texts[4].get_color()) == ("white", "black")


def test_confusion_takes_scores_and_many_classes():
    scores = np.eye(30)[np.arange(60) % 30]
    axes = pictures.confusion(scores, np.arange(60) % 30).axes[0]
    assert texts(axes) == ["2"] * 30  # zeros of so many classes are left out


def test_roc_is_the_curve_of_the_metrics():
    scores, target = np.random.default_rng(0).random(50), np.arange(50) % 2
    axes = pictures.roc(scores, target).axes[0]
    false, true, _ = ns.metrics.roc_curve(scores, target)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), false)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), true)
    assert axes.lines[0].get_label() == f"classifier: AUC {ns.metrics.auc(scores, target):.3f}"
    assert list(axes.lines[1].get_ydata()) == [0, 1]
    assert axes.get_xlabel().startswith("false-positive rate")
    assert axes.get_ylabel().startswith("true-positive rate")


# mistakes


@pytest.mark.parametrize(("wrong", "title"), [(0, "0 of 250 wrong"), (7, "7 of 250"), (250, "the first 200")])
def test_mistakes_show_both_labels(wrong, title):
    x, truth = np.zeros((250, 1, 4, 4), np.float32), np.zeros(250, int)
    labels = np.where(np.arange(250) < wrong, 1, 0)
    figure = pictures.mistakes(x, labels, truth, ("cat", "dog"), count=200)
    assert title in figure.axes[0].get_title()
    assert texts(figure.axes[0]) == ["dog\nis cat"] * min(wrong, 200)
    assert len(figure.axes[0].images) == 1


def test_the_most_wrongly_classified_come_first():
    x = np.arange(4)[:, None, None] * np.ones((4, 30, 30))
    p = [[0.1, 0.9, 0.0], [0.4, 0.0, 0.6], [0.3, 0.5, 0.2], [0.0, 0.25, 0.75]]
    figure = pictures.mistakes(x, p, [0, 0, 1, 1], count=2)
    assert texts(figure.axes[0]) == ["1 (90%)\nis 0", "2 (75%)\nis 1"]
    assert figure.axes[0].get_title() == "3 of 4 wrong (predicted, is true), the surest 2"
    sheet = figure.axes[0].images[0].get_array()
    assert [v for v in np.unique(np.asarray(sheet)) if v == v] == [0, 3]
    one = pictures.mistakes(x, np.array([[0.2], [0.9], [0.4], [0.8]]), [1, 0, 1, 1])
    assert texts(one.axes[0]) == ["1 (90%)\nis 0", "0 (80%)\nis 1", "0 (60%)\nis 1"]


def test_mistakes_are_shown_in_colour_and_channels_by_their_mean():
    x = np.random.default_rng(0).random((3, 3, 30, 30))
    sheet = pictures.mistakes(x, [0, 1, 1], [1, 1, 0]).axes[0].images[0].get_array()
    top, left = style.Tiles(np.zeros((2, 30, 30)), ["0\nis 1", "1\nis 0"], 0.7, 8.5).corner(1)
    np.testing.assert_allclose(sheet[top : top + 30, left : left + 30], x[2].transpose(1, 2, 0))
    sheet = pictures.mistakes(x[:, :2], [0, 1, 1], [1, 1, 0]).axes[0].images[0].get_array()
    np.testing.assert_allclose(sheet[top : top + 30, left : left + 30], x[2, :2].mean(0))


# histograms


def deep(activation, scale=1.0, loss=1.0):
    """Eight layers, after a backward pass."""
    layers = [layer for _ in range(8) for layer in (nn.Linear(20, 20), activation())]
    model = nn.Sequential(*layers, nn.Linear(20, 3), nn.Softmax())
    for p in model.parameters():
        p.data *= scale
    x = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
    (loss * F.cross_entropy(model(ns.tensor(x)), ns.tensor(np.arange(64) % 3))).backward()
    return model


def verdicts(model):
    """The titles of weights' gradients."""
    figure = pictures.histograms(model)
    return [axes.get_title("left") for axes in figure.axes[1::4]]


def test_histograms_count_all_elements():
    model = deep(nn.Tanh)
    figure = pictures.histograms(model)
    parameters = dict(model.named_parameters())
    assert len(figure.axes) == 2 * len(parameters)
    for (name, p), left, right in zip(parameters.items(), figure.axes[::2], figure.axes[1::2], strict=True):
        assert left.get_title("left") == f"{name} {p.shape}"
        for axes, many in ((left, p.size), (right, np.count_nonzero(p.grad.numpy()))):
            (drawn,) = axes.patches
            assert drawn.get_data().values.sum() == many
        assert right.get_xscale() == "log"
        assert right.get_xlim() == figure.axes[1].get_xlim()
    assert [axes.get_xlabel() for axes in figure.axes[-2:]] == ["value", "size of the loss's gradient |∂L/∂w|"]


def test_gradients_of_a_network_that_learns_are_not_marked():
    assert not any(
        word in text for text in verdicts(deep(nn.Tanh)) for word in ("VANISHING", "EXPLODING", "DEAD", "ZERO")
    )


def test_vanishing_gradients_are_marked_in_the_layers_far_from_the_output():
    found = ["VANISHING" in text for text in verdicts(deep(nn.Sigmoid))]
    assert found[0]
    assert found == sorted(found, reverse=True)
    assert not any(found[-2:])


def test_exploding_gradients_are_marked():
    assert all("EXPLODING" in text for text in verdicts(deep(nn.Identity, 6.0)))
    # Beside the last one, where none is large in itself; just below and just above a hundred times of it.
    for factor, exploding in ((99, False), (101, True)):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        for layer, size in ((model[0], 1e-3 * factor), (model[1], 1e-3)):
            layer.weight.grad = layer.weight.detach() * size
        assert ["EXPLODING" in text for text in verdicts(model)] == [exploding, False]
    model = nn.Sequential(nn.Linear(2, 2))
    for factor, exploding in ((10.0, False), (1e5, True)):  # alone it has nothing to be compared with but itself
        model.zero_grad()
        (factor * model(ns.tensor([[1.0, 2.0]])).sum()).backward()
        assert ("EXPLODING" in verdicts(model)[0]) is exploding
    model[0].weight.grad.data[0, 0] = np.nan
    assert verdicts(model)[0] == "gradient: EXPLODING, 1 not finite"


def test_dead_units_are_named_and_so_is_what_has_no_gradient():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), nn.ReLU(), nn.Linear(1, 1))
    for p in model.parameters():
        p.data[...] = 1
    model[0].bias.data[...] = [0, -100, 0]
    model[2].weight.requires_grad_(False)
    model(ns.tensor([[1.0, 2.0]])).sum().backward()
    titles = [axes.get_title("left") for axes in pictures.histograms(model).axes[1::2]]
    assert titles[0].endswith("DEAD 1 of 3 units (1)")
    assert titles[1] == "gradient, 33% are 0"
    assert titles[2] == "gradient: none, frozen"
    model[0].weight.grad = None
    model[4].weight.grad.data[...] = 0
    titles = [axes.get_title("left") for axes in pictures.histograms(model).axes[1::2]]
    assert titles[0] == "gradient: none, no backward pass reached it"
    assert titles[4] == "gradient, ‖g‖/‖w‖ = 0: ALL ZERO"


def test_weights_that_are_nan_are_counted():
    model = nn.Linear(2, 2)
    model(ns.tensor([[1.0, 2.0]])).sum().backward()
    model.weight.data[0, 0] = np.nan
    assert pictures.histograms(model).axes[0].get_title("left") == "weight (2, 2), 1 not finite"


# decision boundaries


def test_the_boundary_is_where_the_prediction_changes():
    model = plane(1, nn.Sigmoid())
    model[0].weight.data[...] = [[4, 0]]  # class 1 to the right of 0.5
    model[0].bias.data[...] = -2
    x = np.array([[0.0, 0.0], [1.0, 1.0], [0.2, 0.5]])
    before = state(model)
    figure = pictures.decision_boundary(model, x, [[0.0], [1.0], [1.0]], ["no", "yes"], ["width / cm", "height / cm"])
    assert state(model) == before
    axes = figure.axes[0]
    assert axes.get_title() == "66.7% of 3 samples right"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width / cm", "height / cm")
    no, yes, line = axes.collections
    np.testing.assert_array_equal(no.get_offsets(), x[:1])
    np.testing.assert_array_equal(yes.get_offsets(), x[1:])
    assert (no.get_label(), yes.get_label()) == ("no", "yes")
    np.testing.assert_allclose(line.get_paths()[0].vertices[:, 0], 0.5, atol=1e-3)
    colours = axes.images[0].get_array().astype(int)
    assert colours[100, 0, 2] > colours[100, 0, 0]  # blue on the left
    assert colours[100, -1, 0] > colours[100, -1, 2]  # orange on the right
    assert colours[100, 0].sum() < colours[100, 90].sum()  # deeper where it is surer


def test_logits_and_probabilities_give_the_same_boundary():
    logits = nn.Sequential(nn.Linear(2, 3))
    both = nn.Sequential(logits[0], nn.Softmax())
    a = pictures.decision_boundary(logits, CLOUD, OF, from_logits=True)
    b = pictures.decision_boundary(both, CLOUD, OF)
    different = a.axes[0].images[0].get_array() != b.axes[0].images[0].get_array()
    assert different.mean() < 0.001  # by rounding, at the steps
    assert len(a.axes[0].collections) == len(b.axes[0].collections)
    one = nn.Sequential(nn.Linear(2, 1))
    assert pictures.decision_boundary(one, CLOUD, OF % 2, from_logits=True).axes[0].get_title().endswith("right")


def fitted(epochs=6, **settings):
    model = plane()
    snapshots = Snapshots(**settings)
    trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters(), lr=0.1))
    trainer.fit(CLOUD, OF, epochs=epochs, verbose=False, callbacks=[snapshots])
    return model, snapshots


def test_the_animation_shows_each_snapshot(tmp_path):
    model, snapshots = fitted(3)
    model[0].weight.data[...] += 1
    before = state(model)
    animation = pictures.decision_animation(model, CLOUD, OF, snapshots)
    assert state(model) == before
    assert isinstance(animation, matplotlib.animation.Animation)
    animation.save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 4
        frames = []
        for i in range(4):
            gif.seek(i)
            frames.append(np.array(gif.convert("RGB")))
    assert all((a != b).any() for a, b in itertools.pairwise(frames))


def test_the_animation_is_the_boundary_of_each_time():
    model, snapshots = fitted(3)
    animation = pictures.decision_animation(model, CLOUD, OF, list(snapshots.states.values()))
    axes = animation._fig.axes[0]
    seen = []
    for frame in animation.new_frame_seq():
        animation._draw_frame(frame)
        seen.append((axes.get_title(), axes.images[0].get_array().copy(), len(axes.collections)))
    for epoch, weights in snapshots.states.items():
        model.load_state_dict(weights)
        expected = pictures.decision_boundary(model, CLOUD, OF).axes[0]
        title, colours, collections = seen[epoch]
        assert title == f"epoch {epoch}: {expected.get_title()}"
        np.testing.assert_array_equal(colours, expected.images[0].get_array())
        assert collections == len(expected.collections)
    animation._draw_was_started = True  # it warns where it was never shown


def test_the_animation_shows_itself_without_a_network():
    model, snapshots = fitted(2)
    page = pictures.decision_animation(model, CLOUD, OF, snapshots)._repr_html_()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page
    assert "fa-" not in page
    assert "▶" in page


# What is refused


def boundary(**change):
    settings = {"model": plane(), "x": CLOUD, "y": OF, **change}
    return pictures.decision_boundary(**settings)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: pictures.curves({"loss": [1.0]}), TypeError, "curves: history is a dict, expected a History"),
        (lambda: pictures.curves(History()), ValueError, "curves: there is no epoch to draw; call fit first"),
        (lambda: pictures.filters(3), TypeError, "filters: model is a int, expected an nn.Module"),
        (lambda: pictures.filters(nn.Linear(4, 2)), ValueError, "filters: the model has no Conv2d"),
        (lambda: pictures.filters(nn.Linear(4, 2), (3, 3)), ValueError, "filters: the model has no Linear of 9 inputs"),
        (lambda: pictures.filters(nn.Linear(4, 2), 4), TypeError, "filters: shape is 4, expected that of an image"),
        (lambda: pictures.filters(nn.Linear(4, 2), (0, 3)), ValueError, "filters: shape is 0, expected a whole number"),
        (lambda: pictures.activations(3, np.eye(8)), TypeError, "activations: model is a int"),
        (lambda: pictures.activations(cnn(), np.zeros((2, 1, 8, 8))), ValueError, r"activations: image has shape \(2,"),
        (lambda: pictures.activations(cnn(), np.full((8, 8), np.nan)), ValueError, "activations: image holds nan"),
        (lambda: pictures.activations(cnn(), np.eye(8), "9"), ValueError, "activations: the model has no layer '9'"),
        (lambda: pictures.activations(cnn(), np.eye(8), nn.ReLU()), ValueError, "activations: the model has no layer"),
        (lambda: pictures.activations(cnn(), np.eye(8), 0), TypeError, "activations: layer is 0, expected a module"),
        (lambda: pictures.activations(nn.Flatten(), np.eye(8)), ValueError, "activations: no Conv2d ran"),
        (lambda: pictures.attention(np.ones(3)), ValueError, r"attention: weights has shape \(3,\), expected \(heads, L, S\)"),
        (lambda: pictures.attention(np.ones((2, 1, 3, 3))), ValueError, r"attention: weights has shape \(2, 1, 3, 3\)"),
        (lambda: pictures.attention([[2.0, -1.0]]), ValueError, "attention: weights go from -1 to 2, expected shares"),
        (lambda: pictures.attention([[np.nan]]), ValueError, "attention: weights holds nan"),
        (lambda: pictures.attention([[0.5, 0.5]], ["a", "b"]), ValueError, "attention: tokens holds 2, and the weights are of 1"),
        (lambda: pictures.attention([[0.5, 0.5]], ["a"], ["b"]), ValueError, "attention: keys holds 1, and the weights are of 2"),
        (lambda: pictures.attention(np.ones((65, 1, 1))), ValueError, r"attention: weights has shape \(65, 1, 1\), and one"),
        (lambda: pictures.confusion([0, 3], [0, 1], ["a", "b"]), ValueError, "confusion: 2 labels for 4 classes"),
        (lambda: pictures.confusion(np.eye(3), [0, 1, 2], list("abcd")), ValueError, "confusion: 4 labels for 3"),
        (lambda: pictures.confusion([0, 1], [0, 1], "ab"), TypeError, "confusion: labels is 'ab'"),
        (lambda: pictures.confusion([0, 1], [0]), ValueError, "confusion: prediction has shape"),
        (lambda: pictures.confusion([0, 100], [0, 1]), ValueError, "confusion: there are 101 classes"),
        (lambda: pictures.confusion([[0.5, np.nan]], [0]), ValueError, "confusion: prediction holds nan"),
        (lambda: pictures.roc([0.1, 0.9], [1, 1]), ValueError, "roc_curve: target holds only class 1"),
        (lambda: pictures.roc([0.1, np.nan], [0, 1]), ValueError, "roc_curve: scores holds nan"),
        (lambda: pictures.mistakes(np.zeros(3), [0] * 3, [0] * 3), ValueError, r"mistakes: images has shape \(3,\)"),
        (lambda: pictures.mistakes(np.zeros((3, 4, 4)), [0], [0]), ValueError, "mistakes: of images, prediction"),
        (lambda: pictures.mistakes(np.zeros((1, 4, 4)), [5], [0], "ab"), TypeError, "mistakes: labels is 'ab'"),
        (lambda: pictures.mistakes(np.zeros((1, 4, 4)), [5], [0], ["a"]), ValueError, "mistakes: 1 labels for 6"),
        (lambda: pictures.mistakes(np.zeros((1, 4, 4)), [[3.0, -1.0]], [1]), ValueError, "mistakes: prediction holds numbers"),
        (lambda: pictures.mistakes(np.full((1, 4, 4), np.nan), [0], [1]), ValueError, "mistakes: images holds nan"),
        (lambda: pictures.mistakes(np.zeros((1, 4, 4)), [0], [1], count=0), ValueError, "mistakes: count is 0"),
        (lambda: pictures.histograms(nn.Linear(2, 2)), ValueError, "histograms: no parameter has a gradient"),
        (lambda: pictures.histograms([]), TypeError, "histograms: model is a list"),
        (lambda: boundary(model=None), TypeError, "decision_boundary: model is a NoneType"),
        (lambda: boundary(x=np.zeros((30, 4))), ValueError, r"decision_boundary: x has shape \(30, 4\), expected two"),
        (lambda: boundary(x=CLOUD * np.nan), ValueError, "decision_boundary: x holds nan"),
        (lambda: boundary(y=OF[:9]), ValueError, "decision_boundary: the arrays have|decision_boundary: x and y: the arrays"),
        (lambda: boundary(y=OF + 1), ValueError, "decision_boundary: y holds 3, wants labels below 3"),
        (lambda: boundary(y=np.eye(3)[OF]), ValueError, r"decision_boundary: y has shape \(30, 3\)"),
        (lambda: boundary(labels=["a", "b"]), ValueError, "decision_boundary: 2 labels for 3 classes"),
        (lambda: boundary(features="ab"), ValueError, "decision_boundary: features is 'ab'"),
        (lambda: boundary(model=nn.Linear(2, 3)), ValueError, "decision_boundary: the model gives numbers from .*from_logits"),
        (lambda: boundary(model=plane(9)), ValueError, "decision_boundary: the model has 9 classes, and 8 colours"),
        (lambda: boundary(from_logits=1), TypeError, "decision_boundary: from_logits is 1"),
        (lambda: pictures.decision_animation(plane(), CLOUD, OF, 3), TypeError, "decision_animation: snapshots is a int"),
        (lambda: pictures.decision_animation(plane(), CLOUD, OF, Snapshots()), ValueError, "decision_animation: there are 0"),
        (
            lambda: pictures.decision_animation(plane(), CLOUD, OF, [nn.Linear(1, 1).state_dict()]),
            ValueError,
            "load_state_dict: the state does not fit",
        ),
        (lambda: pictures.timeline(3), TypeError, "timeline: program is a int, expected one of a captured step"),
        (lambda: pictures.timeline(unmeasured()), ValueError, "timeline: the program was not measured yet"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence(call, kind, message):
    with pytest.raises(kind, match=f"^({message})") as caught:
        call()
    assert "\n" not in str(caught.value)


def test_models_whose_results_are_no_numbers_are_refused():
    model = plane()
    model[0].weight.data[...] = np.nan
    before = state(model)
    with pytest.raises(ValueError, match="^decision_boundary: the model's results are no finite numbers"):
        pictures.decision_boundary(model, CLOUD, OF)
    assert state(model) == before
    conv = nn.Conv2d(1, 1, 2)
    conv.weight.data[...] = np.nan
    with pytest.raises(ValueError, match="^filters: the weight holds nan"):
        pictures.filters(conv)


# Signs that matplotlib's own font lacks


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


@pytest.fixture
def chinese(tmp_path, monkeypatch):
    """A font that has 你 and 好, and no other."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib import font_manager

    def square():
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for corner in ((800, 0), (800, 800), (0, 800)):
            pen.lineTo(corner)
        pen.closePath()
        return pen.glyph()

    names = [".notdef", "you", "good"]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord("你"): "you", ord("好"): "good"})
    builder.setupGlyf({name: square() for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Two Signs", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "two.ttf")
    own = [f for f in font_manager.fontManager.ttflist if f.name.startswith("DejaVu")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    return lambda: font_manager.fontManager.addfont(tmp_path / "two.ttf")


@pytest.mark.filterwarnings("error")
def test_chinese_signs_are_drawn_by_a_font_that_has_them_and_else_the_picture_says_so(chinese):
    figure = pictures.attention(np.eye(2), ["你", "好"])
    assert labels(figure) == ["U+4F60", "U+597D"]
    assert figure.get_supxlabel() == "no font of this machine has 2 of the characters; they are shown by number"
    figure.png()
    chinese()
    figure = pictures.attention(np.eye(2), ["你", "好"])
    assert labels(figure) == ["你", "好"]
    assert figure.get_supxlabel() == ""
    assert figure.axes[0].get_yticklabels()[0].get_fontname() == "Two Signs"
    figure.png()


def test_a_picture_of_attention_has_a_part_for_each_head():
    weights = np.random.default_rng(0).dirichlet(np.ones(4), (3, 2))
    figure = pictures.attention(weights[None], ["a", "b"], list("wxyz"), ["one", "two", "three"])
    heads = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in heads] == ["one", "two", "three"]
    for axes, shares in zip(heads, weights, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), shares)
        assert texts(axes) == [f"{share:.2f}" for share in shares.ravel()]
        assert [label.get_text() for label in axes.get_xticklabels()] == list("wxyz")


# In a notebook


def test_a_history_shows_its_curves_and_its_best_epoch():
    history = History({"loss": [0.5, 0.25, 0.125], "val_loss": [0.5, 0.25, 0.375]})
    page = history._repr_html_()
    assert "src='data:image/png;base64,iVBOR" in page
    row = page[page.index(">2</td>") :]
    assert row.index("best val_loss") < row.index("</tr>")
    assert page.count("best val_loss") == 1
    assert "no epochs" in History()._repr_html_()


def test_no_notebook_is_needed_to_import_the_package():
    program = "import json, sys, nnscratch.training, nnscratch.pictures.boundaries; print(json.dumps('IPython' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False


def test_an_explosion_at_the_end_does_not_press_the_curve_of_a_rate_search_flat():
    def height(losses):
        low, high = pictures.learning_rates(RateSearch(np.geomspace(1e-3, 1, len(losses)), losses)).axes[0].get_ylim()
        return low, high

    low, high = height([2.4, 2.3, 1.2, 1.0, 60.0])
    assert 0.8 < low < 1.0 and 2.4 < high < 4
    low, high = height([2.4, 2.3, 1.2, 1.0, 1.1])
    assert low < 1.0 and 2.4 < high < 3.2
    low, high = height([1.0, 1.0, 1.0])
    assert low < 1.0 < high
