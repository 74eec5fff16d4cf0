"""What a network sees: the filters of its first layer, and what a layer makes of an image."""

import math

import numpy as np

from nnscratch import arguments, nn
from nnscratch.nn import activation
from nnscratch.pictures import style
from nnscratch.pictures.running import as_input, check_model, evaluating

MOST_TILES = 512
MOST_MARKS = 3000
BETWEEN = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.Dropout, nn.Identity, nn.Sequential)


def filters(model, shape=None):
    """Draw the weights of a first layer as images, one for each filter.

    Parameters
    ----------
    model : nn.Module
        An `nn.Conv2d`, or a network, of which the first is taken; with `shape` an `nn.Linear`, or a network, of
        which the first with so many inputs is taken.
    shape : tuple of int, optional
        The image (H, W) or (C, H, W) that a dense layer's inputs are, such as ``(28, 28)``.

    Returns
    -------
    matplotlib.figure.Figure
        A tile for each filter, with its channels side by side; white is 0, and negative weights of small filters have
        a minus sign, for printing in grey.

    Raises
    ------
    TypeError
        Where it is no module.
    ValueError
        Where there is no such layer, its inputs are no image of that shape, or weights are not finite.

    Examples
    --------
    >>> import nnscratch as ns
    >>> figure = ns.pictures.filters(ns.nn.Conv2d(1, 4, 3))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '1', '2', '3']
    >>> ns.pictures.filters(ns.nn.Linear(784, 10), shape=(28, 28)).axes[0].get_title()
    'weights of 10 units for images of 28 × 28'
    """
    check_model("filters", model)
    if shape is None:
        layer = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
        if layer is None:
            raise ValueError(
                "filters: the model has no Conv2d; for a Linear pass the shape of its images, such as shape=(28, 28)"
            )
        weight = layer.weight.numpy()
        what, per = "filter", "channels" if weight.shape[1] > 1 else ""
    else:
        shape = _image_shape(shape)
        layer = next(
            (m for m in model.modules() if isinstance(m, nn.Linear) and m.in_features == math.prod(shape)), None
        )
        if layer is None:
            raise ValueError(
                f"filters: the model has no Linear of {math.prod(shape)} inputs, as images of shape {shape} have; "
                f"pass another shape"
            )
        weight = layer.weight.numpy().reshape(-1, *shape)
        what, per = "unit", "channels" if shape[0] > 1 else ""
    weight = weight.astype(np.float64)
    arguments.check_finite("filters: the weight", weight)
    n, channels, h, w = weight.shape
    kept = weight[: max(1, MOST_TILES // channels)]
    # The channels of a filter stand side by side, a little apart.
    apart = max(1, w // 8)
    strips = np.full((len(kept), h, channels * (w + apart) - apart), np.nan)
    for c in range(channels):
        strips[:, :, c * (w + apart) : c * (w + apart) + w] = kept[:, c]
    v = style.limit(kept)
    # A strip of many channels has smaller tiles, so that it does not leave the page.
    tall = min(0.7 if h < 12 else 0.9, 9 * h / strips.shape[2])
    tiles = style.Tiles(strips, [str(k) for k in range(len(kept))], tall, 9, gap=0.3 if channels > 1 else 0.08)
    with style.picture(max(4.0, tiles.width + 0.9), tiles.height + 0.5) as figure:
        axes = figure.subplots()
        drawn = tiles.draw(axes, cmap=style.SIGNED, vmin=-v, vmax=v)
        if kept.size <= MOST_MARKS and h <= 11:
            _mark_negative(axes, tiles, strips, v)
        few = f"the first {len(kept)} of {n}" if len(kept) < n else n
        size = f"{h} × {w}" + (f", {channels} {per} side by side" if per else "")
        axes.set_title(
            f"weights of {few} {what}{'s' if n > 1 else ''} {'for images ' if shape else ''}of {size}", size=9
        )
        style.colour_bar(figure, drawn, axes, "weight")
    return figure


def _image_shape(shape):
    """(H, W) or (C, H, W) as (C, H, W)."""
    if not isinstance(shape, tuple | list) or len(shape) not in (2, 3):
        raise TypeError(f"filters: shape is {shape!r}, expected that of an image; pass a tuple such as (28, 28)")
    return (1,) * (3 - len(shape)) + tuple(arguments.count("filters", "shape", n) for n in shape)


def _mark_negative(axes, tiles, strips, v):
    """A minus sign on each negative weight, white where the map is dark."""
    corners, k = np.array([tiles.corner(i) for i in range(len(strips))]), tiles.scale
    for where, colour in ((strips < -0.6 * v, "white"), ((strips < 0) & (strips >= -0.6 * v), "black")):
        at = np.argwhere(where)
        y, x = (corners[at[:, 0]] + at[:, 1:] * k + (k - 1) / 2).T
        axes.plot(x, y, linestyle="", marker="_", markersize=3.5, markeredgewidth=0.7, color=colour)


def activations(model, image, layer=None):
    """Draw an image, and beside it what a layer makes of it: a map for each channel, or a bar for each unit.

    Parameters
    ----------
    model : nn.Module
        Run in evaluation mode, without a graph; modes, buffers and random numbers stay as they are.
    image : array_like, shape (C, H, W), (1, C, H, W) or (H, W)
        One image.
    layer : str or nn.Module, optional
        The layer, or its path, such as ``"3"`` (see ``model.summary``). By default the first Conv2d that runs or,
        where an activation module comes after it, that activation.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        Where an argument is of the wrong kind.
    ValueError
        Where the image does not fit, holds nan, or the layer is not of this model, did not run, or gives no numbers of
        a shape that can be drawn.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> model = ns.nn.Sequential(ns.nn.Conv2d(1, 6, 3), ns.nn.ReLU(), ns.nn.Flatten(), ns.nn.Linear(216, 10))
    >>> figure = ns.pictures.activations(model, np.eye(8))
    >>> figure.axes[1].get_title()
    'layer 1, ReLU: 6 maps of 6 × 6'
    """
    check_model("activations", model)
    image = arguments.as_array("activations: image", image)
    batch = image.reshape((1,) * (4 - image.ndim) + image.shape) if 2 <= image.ndim <= 4 else image
    if batch.ndim != 4 or len(batch) != 1 or batch.size == 0:
        raise ValueError(f"activations: image has shape {image.shape}, expected one image (C, H, W); pass x[0], say")
    arguments.check_finite("activations: image", batch)
    chosen = None if layer is None else _find(model, layer)
    name, kind, found = _pick(_run(model, batch), chosen, layer)
    if found.ndim not in (2, 4) or found.size == 0:
        raise ValueError(
            f"activations: layer {name} gives shape {found.shape}, expected maps (1, C, H, W) or units (1, F); "
            f"choose another layer"
        )
    arguments.check_finite(f"activations: the result of layer {name}", found)
    found = found[0].astype(np.float64)
    maps = found.ndim == 3
    where = f"layer {name}, {kind}" if name else kind
    if maps:
        tall = min(1.1, max(0.5, found.shape[1] * 0.04))
        few = found[:MOST_TILES]
        tiles = style.Tiles(few, [str(c) for c in range(len(few))], tall=tall, wide=7)
        width, height = max(3.5, tiles.width), max(1.8, tiles.height + 0.5)
    else:
        width, height = 5.5, 2.6
    shown = batch[0].astype(np.float64)
    with style.picture(2.4 + width + 0.9, height) as figure:
        before, after = figure.subplots(1, 2, width_ratios=(1.9, width + 0.9))
        if len(shown) == 3:
            low, high = min(0.0, shown.min()), max(1.0, shown.max())
            before.imshow((shown.transpose(1, 2, 0) - low) / (high - low))
        else:
            before.imshow(shown.mean(0), cmap=style.BRIGHTNESS)
        before.set_title("image", size=9)
        before.axis("off")
        if maps:
            v = style.limit(few)
            signed = few.min() < 0
            settings = {"cmap": style.SIGNED, "vmin": -v} if signed else {"cmap": style.SIZES, "vmin": 0}
            drawn = tiles.draw(after, vmax=v, **settings)
            style.colour_bar(figure, drawn, after, "activation")
            dark = int((~found.any((1, 2))).sum())
            count = f"the first {len(few)} of {len(found)}" if len(few) < len(found) else len(found)
            title = f"{where}: {count} maps of {found.shape[1]} × {found.shape[2]}" + (
                f", {dark} all 0" if dark else ""
            )
        else:
            after.bar(range(len(found)), found, color=style.BLUE, width=0.8 if len(found) < 60 else 1.0)
            after.axhline(0, color="0.35", linewidth=0.8)
            after.set(xlabel="unit", ylabel="activation")
            if len(found) <= 20:
                after.set_xticks(range(len(found)))
            title = f"{where}: {len(found)} units"
        after.set_title(title, size=9)
    return figure


def _find(model, layer):
    """A module of the model, given itself or by its path."""
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        chosen = next((m for m in modules.values() if m is layer), None)
    elif isinstance(layer, str):
        chosen = modules.get(layer)
    else:
        raise TypeError(f"activations: layer is {layer!r}, expected a module or its path; pass a string such as '0'")
    if chosen is None:
        paths = ", ".join(path for path in modules if path) or "none"
        got = repr(layer) if isinstance(layer, str) else f"this {type(layer).__name__}"
        raise ValueError(f"activations: the model has no layer {got}, only {paths}; pass one of them")
    return chosen


def _run(model, batch):
    """All modules that ran, in the order in which they ended, as (path, module, result)."""
    ran = []

    def watched(path, m, inner):
        def forward(*inputs, **settings):
            result = inner(*inputs, **settings)
            ran.append((path, m, result))
            return result

        return forward

    own = [(m, dict(vars(m))) for m in model.modules()]
    try:
        for path, m in model.named_modules():
            vars(m)["forward"] = watched(path, m, m.forward)
        with evaluating(model):
            model(as_input(model, batch))
    finally:
        for m, attributes in own:
            vars(m).pop("forward", None)
            if "forward" in attributes:
                vars(m)["forward"] = attributes["forward"]
    return ran


def _pick(ran, chosen, layer):
    """The path, the kind and the result of the module to be drawn."""
    if chosen is not None:
        found = next(((path, m, y) for path, m, y in ran if m is chosen), None)
        if found is None:
            raise ValueError(f"activations: layer {layer!r} did not run; choose one that the model's forward calls")
    else:
        at = next((i for i, (_, m, _) in enumerate(ran) if isinstance(m, nn.Conv2d)), None)
        if at is None:
            raise ValueError("activations: no Conv2d ran; pass the layer to be drawn, such as layer='0'")
        found = ran[at]
        for entry in ran[at + 1 :]:
            if _is_activation(entry[1]):
                found = entry
            if not isinstance(entry[1], BETWEEN):
                break
    path, module, result = found
    if not hasattr(result, "numpy"):
        raise ValueError(
            f"activations: layer {path} gives a {type(result).__name__}, expected a Tensor; choose another"
        )
    return path, type(module).__name__, result.numpy()


def _is_activation(module):
    return type(module).__module__ == activation.__name__
