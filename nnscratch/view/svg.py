"""The parts of an SVG drawing: words with their widths, lines of them, rectangles and wires."""

import functools
import html
import re
import unicodedata

from nnscratch.view.formula import outline

#: DejaVu Sans is measured; Verdana was drawn to the same widths, and what else a system has is narrower.
FONTS = "DejaVu Sans, Verdana, Geneva, sans-serif"


def valid_in_xml(words):
    """Words without the signs that XML does not know."""
    return re.sub("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\ufffe\uffff]", "\ufffd", words)


def clean(words):
    """Words as they may stand in XML: escaped, and without the signs that it does not know.

    Examples
    --------
    >>> clean('a < "b" \\x00')
    'a &lt; &quot;b&quot; �'
    """
    return html.escape(valid_in_xml(words))


def measure(words, size, bold=False):
    """The width of words in pixels, with a margin for fonts that are not quite the one measured.

    Examples
    --------
    >>> 20 < measure("sigmoid", 10) < measure("sigmoid", 10, bold=True) < 60
    True
    """
    return 1.05 * size * sum(_advance(c, bold) for c in words)


@functools.cache
def _advance(letter, bold):
    """The width of a letter, the size being 1."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.textpath import text_to_path

    if unicodedata.combining(letter):
        return 0.0
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=100)
    if ord(letter) in get_font(findfont(font)).get_charmap():
        return text_to_path.get_text_width_height_descent(letter, font, False)[0] / 100
    return 1.3 if unicodedata.east_asian_width(letter) in "WF" else 1.1


def shortened(words, size, most, bold=False):
    """Words cut to a width, with … where something is missing.

    Examples
    --------
    >>> shortened("a very long name", 10, 60)
    'a very lo…'
    """
    if measure(words, size, bold) <= most:
        return words
    while words and measure(words + "…", size, bold) > most:
        words = words[:-1]
    return words + "…"


class Line:
    """Words in one line of a box.

    Parameters
    ----------
    words : str
    size : float
    bold, italic : bool
    colour : str
    title : str
        What a pointer held over it tells.
    """

    def __init__(self, words, size=11, bold=False, italic=False, colour="#222", title="", most=340):
        self.words, self.size = shortened(words, size, most, bold), size
        self.bold, self.italic, self.colour = bold, italic, colour
        self.title = title or (words if self.words != words else "")
        self.width, self.height = measure(self.words, size, bold), 1.3 * size
        self.indent = 0.0

    def draw(self, x, y):
        """SVG with the line's upper left corner there."""
        style = (' font-weight="bold"' if self.bold else "") + (' font-style="italic"' if self.italic else "")
        title = f"<title>{clean(self.title)}</title>" if self.title else ""
        return (
            f'<text x="{x + self.indent:.1f}" y="{y + self.size:.1f}" font-size="{self.size:g}" fill="{self.colour}"{style}>'
            f"{clean(self.words)}{title}</text>"
        )


class Formula:
    """A typeset formula in one line of a box, drawn smaller where it would be wider than `most`."""

    def __init__(self, latex, size=13, most=340):
        self.outline = outline(latex, size)
        self.scale = min(1.0, most / max(self.outline.width, 1))
        self.width = self.outline.width * self.scale
        self.height = (self.outline.height + self.outline.depth) * self.scale + 3

    def draw(self, x, y, use):
        """SVG with its upper left corner there; `use` draws the outline's markup, of which a drawing needs one copy."""
        scale = f" scale({self.scale:.3f})" if self.scale < 1 else ""
        at = y + 1.5 + self.outline.height * self.scale
        return (
            f'<g class="formula" color="#222" transform="translate({x:.1f} {at:.1f}){scale}" role="img" '
            f'aria-label="{clean(self.outline.text)}">{use(self.outline.markup)}</g>'
        )


def rectangle(x, y, width, height, fill="#fff", stroke="none", thick=1.0, radius=3.0, dashes=""):
    """A rectangle with round corners.

    Examples
    --------
    >>> rectangle(0, 0, 10, 5)
    '<rect x="0.0" y="0.0" width="10.0" height="5.0" rx="3" fill="#fff" stroke="none" stroke-width="1"/>'
    """
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="{thick:g}"{dashed}/>'
    )


def course(points):
    """The path of a wire: straight where two points stand above each other, else a curve that leaves and arrives upright.

    Examples
    --------
    >>> course([(0, 0), (0, 10), (20, 30)])
    'M0 0V10C0 20 20 20 20 30'
    """
    (x, y), *rest = points
    path = f"M{_short(x)} {_short(y)}"
    for to, down in rest:
        middle = _short((y + down) / 2)
        if abs(to - x) < 0.05:
            path += f"V{_short(down)}"
        else:
            path += f"C{_short(x)} {middle} {_short(to)} {middle} {_short(to)} {_short(down)}"
        x, y = to, down
    return path


def _short(number):
    return f"{number:.1f}".removesuffix(".0")
