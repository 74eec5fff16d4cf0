"""A drawing of `nnscratch.view.drawing` as pixels or on a page: its SVG, element by element, by matplotlib."""

import io
import re
import warnings
from xml.etree import ElementTree

import numpy as np

#: Pixels to one of the drawing's, and how many a side may have.
SHARPNESS, MOST_PIXELS = 2.0, 32_000

_SVG = "{http://www.w3.org/2000/svg}"
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"


def printed(svg, kind):
    """The drawing as the bytes of a file.

    Parameters
    ----------
    svg : str
        With what our drawings consist of: groups, rectangles, paths, words and uses.
    kind : {"png", "pdf"}

    Examples
    --------
    >>> from nnscratch.view.svg import rectangle
    >>> svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">' + rectangle(1, 1, 5, 5) + "</svg>"
    >>> printed(svg, "png")[:4], printed(svg, "pdf")[:4]
    (b'\\x89PNG', b'%PDF')
    """
    import matplotlib
    from matplotlib.figure import Figure

    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    settings = {"text.usetex": False, "pdf.fonttype": 42, "font.family": ["DejaVu Sans"], "text.parse_math": False}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands there instead
        figure = Figure((width / 72, height / 72), dpi=72)  # a pixel of the drawing is a point
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        _Press(axes, {e.get("id"): e for e in root.iter() if e.get("id")}).group(root, (0, 0, 1), {})
        buffer = io.BytesIO()
        dpi = 72 * min(SHARPNESS, MOST_PIXELS / max(width, height))
        made = {"CreationDate": None} if kind == "pdf" else None  # the same drawing, the same file
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=made)
    return buffer.getvalue()


class _Press:
    """Puts elements on axes; `at` is where they are counted from and how much larger they are, `style` what they inherit."""

    def __init__(self, axes, named):
        self.axes, self.named = axes, named

    def group(self, element, at, style):
        style = style | {k: element.get(k) for k in ("color", "opacity") if element.get(k)}
        move = re.findall(_NUMBER, element.get("transform", ""))
        if move:
            x, y, scale = at
            at = (x + scale * float(move[0]), y + scale * float(move[1]), scale * float((*move, 1)[2]))
        for child in element:
            kind = child.tag.removeprefix(_SVG)
            if kind == "use":
                self.group(self.named[child.get("href")[1:]], at, style)
            elif kind != "defs" and hasattr(self, kind):
                getattr(self, kind)(child, at, style)

    g = group

    def rect(self, element, at, style):
        from matplotlib.patches import FancyBboxPatch

        x, y, width, height, radius = (float(element.get(k, 0)) for k in ("x", "y", "width", "height", "rx"))
        corners = f"round,pad=0,rounding_size={radius}" if radius else "square,pad=0"
        self._add(FancyBboxPatch((x, y), width, height, boxstyle=corners, **_inks(element, style)), at)

    def path(self, element, at, style):
        from matplotlib.patches import PathPatch

        self._add(PathPatch(_path(element.get("d")), **_inks(element, style)), at)

    def _add(self, patch, at):
        from matplotlib.transforms import Affine2D

        x, y, scale = at
        patch.set_transform(Affine2D().scale(scale).translate(x, y) + self.axes.transData)
        self.axes.add_artist(patch)

    def text(self, element, at, style):
        spans = [e for e in element if e.tag == f"{_SVG}tspan"] or [element]
        x, y, scale = at
        left = x + scale * float(element.get("x", 0))
        for span in spans:
            look = element.attrib | span.attrib
            left += scale * float(span.get("dx", 0))
            words = span.text or ""
            said = self.axes.text(
                left,
                y + scale * float(element.get("y", 0)),
                words,
                size=scale * float(look["font-size"]),
                color=_colour(look.get("fill", "#000"), style),
                weight=look.get("font-weight", "normal"),
                style=look.get("font-style", "normal"),
                alpha=float(style.get("opacity", 1)),
                ha="left",
                va="baseline",
            )
            if len(spans) > 1:
                left += said.get_window_extent().width


def _inks(element, style):
    """The colours and lines of a shape."""
    fill, stroke = (_colour(element.get(k, d), style) for k, d in (("fill", "#000"), ("stroke", "none")))
    dashes = element.get("stroke-dasharray")
    thick = float(element.get("stroke-width", 1))
    line = (0, [float(n) / thick for n in dashes.split()]) if dashes else "-"
    return {
        "facecolor": fill,
        "edgecolor": stroke,
        "linewidth": thick if stroke != "none" else 0,
        "linestyle": line,
        "alpha": float(style["opacity"]) if "opacity" in style else None,
    }


def _colour(name, style):
    return style.get("color", "#000") if name == "currentColor" else name


def _path(d):
    """A path, of the commands that our drawings use: M, L, H, V, Q, C and Z, and small letters for distances.

    Examples
    --------
    >>> _path("M1 2h3v4z").vertices.tolist()
    [[1.0, 2.0], [4.0, 2.0], [4.0, 6.0], [1.0, 2.0]]
    """
    from matplotlib.path import Path

    codes = {"M": Path.MOVETO, "L": Path.LINETO, "H": Path.LINETO, "V": Path.LINETO, "Q": Path.CURVE3, "C": Path.CURVE4}
    points, kinds, at, start = [], [], np.zeros(2), np.zeros(2)
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-df-z]*)", d):
        values, command = [float(n) for n in re.findall(_NUMBER, numbers)], letter.upper()
        if command == "Z":
            points.append(start)
            kinds.append(Path.CLOSEPOLY)
            at = start
            continue
        origin = at if letter.islower() else np.zeros(2)
        if command in "HV":
            across, down = at - origin
            values = [values[0], down] if command == "H" else [across, values[0]]
        found = list(np.reshape(values, (-1, 2)) + origin)
        points += found
        kinds += [codes[command]] * len(found)
        at = found[-1]
        start = at if command == "M" else start
    return Path(points, kinds)
