"""A computation drawn as SVG: values and operations as boxes, modules as frames, and the wires between them."""

import hashlib
import math

from nnscratch import documents, markup
from nnscratch.view import formula
from nnscratch.view.folding import Group
from nnscratch.view.layout import Box, Edge, arrange
from nnscratch.view.svg import FONTS, Formula, Line, clean, course, measure, rectangle

# Okabe and Ito's colours, which the colour-blind tell apart, paler as grounds; borders and dashes differ, too, for grey prints.
STYLES = {
    "parameter": {"fill": "#e3f0f9", "stroke": "#0072b2", "thick": 1.6, "radius": 2},
    "variable": {"fill": "#e2f4ee", "stroke": "#009e73", "thick": 1.2, "radius": 14},
    "input": {"fill": "#f6f6f6", "stroke": "#555", "thick": 1, "radius": 2},
    "constant": {"fill": "#f6f6f6", "stroke": "#777", "thick": 1, "radius": 2, "dashes": "4 3"},
    "operation": {"fill": "#fdf3d8", "stroke": "#8a6d00", "thick": 1, "radius": 6},
    "result": {"fill": "#fff", "stroke": "#ccc", "thick": 0.8, "radius": 3},
    "output": {"fill": "#fff", "stroke": "#222", "thick": 2.4, "radius": 3},
    "unused result": {"fill": "#fafafa", "stroke": "#bbb", "thick": 0.8, "radius": 3, "dashes": "2 3"},
    "module": {"fill": "#f1edf6", "stroke": "#7a5a9e", "thick": 1.2, "radius": 6},
}
FRAMES = ("#faf8fc", "#f3eff8")
GRADIENT = "#b34700"
WIRE = "#666"
PAD, STEM, SLOT = 7, 11, 12
WIDE = 300


class Pen:
    """Takes down SVG, and what was drawn where.

    Attributes
    ----------
    labels : list of (float, float, float, float, str)
        Every line of words and every formula: left, top, width, height, text.
    boxes : list of (float, float, float, float, str)
        Every rectangle: left, top, width, height, kind.
    edges : list of (Edge, float, float)
        Every wire, and where the corner lies that its points are counted from.
    folded : list of Group
        The modules drawn as one box.
    """

    def __init__(self):
        self.parts: list = []
        self.heads: list = []
        self.defined: dict = {}
        self.labels: list = []
        self.boxes: list = []
        self.edges: list = []
        self.folded: list = []

    def use(self, markup):
        """A reference to a piece of SVG that the drawing holds once."""
        key = "f" + hashlib.sha1(markup.encode(), usedforsecurity=False).hexdigest()[:12]
        self.defined[key] = markup
        return f'<use href="#{key}"/>'

    def label(self, item, x, y):
        """Draw a line or a formula."""
        words = item.words if isinstance(item, Line) else item.outline.text
        self.labels.append((x, y, item.width, item.height, words))
        self.parts.append(item.draw(x, y) if isinstance(item, Line) else item.draw(x, y, self.use))

    def box(self, x, y, width, height, kind, **style):
        """Draw a rectangle."""
        self.boxes.append((x, y, width, height, kind))
        self.parts.append(rectangle(x, y, width, height, **{**STYLES.get(kind, {}), **style}))

    def wires(self, edges, x, y):
        """Draw wires; what several share is drawn once."""
        courses: dict = {}
        drawn: dict = {}  # how many layers of a trunk
        for e in edges:
            self.edges.append((e, x, y))
            after = min(drawn.get(id(e.trunk), 0), e.passed)
            drawn[id(e.trunk)] = max(after, drawn.get(id(e.trunk), 0), e.passed)
            for (px, py), (qx, qy) in e.pieces(after):
                courses[(px + x, py + y), (qx + x, qy + y)] = None
        if courses:
            path = "".join(course(pair) for pair in courses)
            self.parts.append(f'<path d="{path}" fill="none" stroke="{WIRE}" stroke-width="1.2"/>')

    def head(self, x, y):
        """The head of an arrow that comes from above."""
        self.heads.append(f"M{x:.1f} {y:.1f}l-3.6 -7h7.2z")


class _Stack:
    """Lines of words and formulas, one above the other, in a rectangle."""

    def __init__(self, lines, kind, title=""):
        self.lines, self.kind, self.title = lines, kind, title
        self.width = max(line.width for line in lines) + 2 * PAD + (4 if kind == "variable" else 0)
        self.height = sum(line.height for line in lines) + 2 * PAD - 3

    def draw(self, pen, x, y, width=None):
        width = width or self.width
        pen.parts.append("<g>")
        if self.title:
            pen.parts.append(f"<title>{clean(self.title)}</title>")
        pen.box(x, y, width, self.height, self.kind)
        if self.kind == "output":
            pen.parts.append(rectangle(x + 3, y + 3, width - 6, self.height - 6, "none", "#222", 0.6, 2))
        at = y + PAD - 2
        for line in self.lines:
            pen.label(line, x + (width - line.width) / 2, at)
            at += line.height
        pen.parts.append("</g>")


class _Leaf:
    """A value that nothing here computes."""

    def __init__(self, value, settings):
        self.stack = _Stack(_telling(value, settings), value.kind, _in_full(value))
        self.box = Box(self.stack.width, self.stack.height, leaf=True)

    def draw(self, pen, x, y):
        self.stack.draw(pen, x, y)


class _Operation:
    """A step, and under it what it made; where that is several results, each under its own name for it."""

    def __init__(self, step, settings, uses):
        self.ports = {}
        names = step.op.outputs or ()
        self.outlets = {id(v): _port(name) for name, v in zip(names, step.results, strict=bool(names))}
        lines = [Line(f"{step.number} · {step.op.name}", 12, bold=True, most=WIDE)]
        if step.settings:
            given = ", ".join(step.written_settings())
            lines.append(Line(given, 9.5, colour="#555", most=WIDE))
        if settings.tags.get(id(step)):
            lines.insert(0, Line(settings.tags[id(step)], 9.5, italic=True, colour="#5f4480", most=WIDE))
        lines += _formula(step.formula)
        self.stack = _Stack(lines, "operation", _about(step))
        self.plates = _Plates(step.results, settings, uses, self.outlets)
        slots = {i: float(SLOT) for _, i, _ in step.inputs}
        if len(step.inputs) > 1:
            self.ports = {i: _port(name) for name, i, _ in step.inputs}
            slots = {i: line.width + 8 for i, line in self.ports.items()}
        self.above = 11 if self.ports else 0
        self.tall = self.above + self.stack.height + (11 if self.outlets else 0)
        width = max(self.stack.width, self.plates.width, sum(slots.values()))
        self.box = Box(width, self.tall + self.plates.height, exits=self.plates.exits(width), slots=slots)

    def draw(self, pen, x, y):
        middle = x + self.box.width / 2
        pen.box(x, y, self.box.width, self.tall, "operation")
        for i, line in self.ports.items():
            pen.label(line, x + self.box.entries[i] - line.width / 2, y + 2)
        for key, line in self.outlets.items():
            pen.label(line, x + self.box.exits[key] - line.width / 2, y + self.tall - line.height - 1)
        inner = self.stack
        at = y + self.above + PAD - 2
        pen.parts.append(f"<g><title>{clean(inner.title)}</title>")
        for line in inner.lines:
            pen.label(line, middle - line.width / 2, at)
            at += line.height
        pen.parts.append("</g>")
        self.plates.draw(pen, x, y + self.tall, self.box)


def _port(name):
    """What an operation calls an input or a result, at its edge."""
    return Line(name, 8.5, colour="#777", most=90)


class _Plates:
    """Results side by side, each on the arrow that leaves what made it.

    Parameters
    ----------
    values : list of Value
    outlets : dict of int to Line
        What stands above an arrow, by the value's id.
    """

    def __init__(self, values, settings, uses, outlets=()):
        self.stacks, self.used, self.room = {}, {}, {}
        for v in values:
            self.used[id(v)] = not uses.unused(v)
            kind = "output" if v is uses.output else "result" if self.used[id(v)] else "unused result"
            self.stacks[id(v)] = stack = _Stack(_telling(v, settings), kind, _in_full(v))
            self.room[id(v)] = max([stack.width, *(outlets[key].width for key in outlets if key == id(v))])
        self.width = sum(self.room.values()) + 14 * (len(self.room) - 1)
        self.height = STEM + max((s.height for s in self.stacks.values()), default=0)

    def exits(self, width):
        """Where they leave a box of a width, by the values' ids."""
        found, at = {}, (width - self.width) / 2
        for key, room in self.room.items():
            found[key] = at + room / 2
            at += room + 14
        return found

    def draw(self, pen, x, y, box):
        for key, stack in self.stacks.items():
            middle, low = x + box.exits[key], y + self.height
            pen.parts.append("<g>" if self.used[key] else '<g opacity="0.65">')
            pen.parts.append(
                f'<path d="M{middle:.1f} {y:.1f}v{STEM - 2:.1f}" fill="none" stroke="{WIRE}" stroke-width="1.2"/>'
            )
            pen.head(middle, y + STEM)
            stack.draw(pen, middle - stack.width / 2, y + STEM)
            short = self.height - STEM - stack.height
            if short > 0.5 and self.used[key]:  # its wire begins where the tallest plate ends
                pen.parts.append(
                    f'<path d="M{middle:.1f} {low - short:.1f}V{low:.1f}" stroke="{WIRE}" stroke-width="1.2"/>'
                )
            pen.parts.append("</g>")


class _Folded:
    """A module as one box, and under it what leaves it."""

    def __init__(self, group, settings, uses, depth):
        steps = group.steps
        self.group = group
        parameters = [v for v in uses.own(steps) if v.kind == "parameter"]
        many = len(steps)
        lines = [
            Line(group.name, 12, bold=True, most=WIDE),
            Line(f"{many} operation{'s' * (many > 1)} folded", 9.5, colour="#555"),
        ]
        lines += [Line(f"{_last(v.name, group)} {_shape(v)}", 9.5, most=WIDE) for v in parameters[:4]]
        if parameters:
            total = sum(math.prod(v.shape) for v in parameters)
            more = f"{len(parameters) - 4} more; " if len(parameters) > 4 else ""
            lines.append(Line(f"{more}{total:,} parameters", 9.5, colour="#0072b2"))
        self.stack = _Stack(lines, "module", ", ".join(s.op.name for s in steps))
        self.plates = _Plates(uses.leaving(steps), settings, uses)
        slots = {id(v): float(SLOT) for v in _from_outside(group, uses)}
        width = max(self.stack.width, self.plates.width, sum(slots.values()))
        self.box = Box(width, self.stack.height + self.plates.height, exits=self.plates.exits(width), slots=slots)

    def draw(self, pen, x, y):
        pen.parts.append(f'<g class="folded" data-opens="{len(pen.folded)}">')
        pen.folded.append(self.group)
        self.stack.draw(pen, x, y, self.box.width)
        pen.parts.append("</g>")
        self.plates.draw(pen, x, y + self.stack.height, self.box)


class _Port:
    """Where a wire passes the edge of a frame."""

    def __init__(self, pin=""):
        self.box = Box(float(SLOT), 0.0, pin=pin)

    def draw(self, pen, x, y):
        pass


class _Corner:
    """The name of a frame, in its upper left corner."""

    def __init__(self, group):
        self.line = Line(group.name, 10.5, bold=True, colour="#5f4480", most=WIDE)
        self.box = Box(self.line.width, self.line.height, pin="corner")

    def draw(self, pen, x, y):
        pen.label(self.line, x, y)


class Level:
    """What stands in one frame (or outside all), laid out."""

    def __init__(self, group, settings, uses, depth=0):
        self.settings, self.uses, self.depth = settings, uses, depth
        self.blocks: list = []
        self.edges: list = []
        self.sources: dict = {}  # where each value comes from: the block and its exit
        self.pointed: list = []  # the edges that end in an arrow's head
        self.ins, self.outs = {}, {}
        framed = group.frame is not None
        self.pad = 9 if framed else 0
        if framed:
            self.blocks.append(_Corner(group))
        for v in _from_outside(group, uses) if framed else ():
            self.ins[id(v)] = port = _Port()
            self.blocks.append(port)
            self.sources[id(v)] = (port, "")
        for item in group.items:
            self._add(item)
        for v in uses.leaving(group.steps) if framed else ():
            self.outs[id(v)] = port = _Port("last")
            self._join(v, port, "")
            self.blocks.append(port)
        wide, tall = arrange([b.box for b in self.blocks], self.edges)
        middle = float(SLOT) / 2
        self.box = Box(
            wide + 2 * self.pad,
            tall + 2 * self.pad,
            {key: self.pad + port.box.x + middle for key, port in self.ins.items()},
            {key: self.pad + port.box.x + middle for key, port in self.outs.items()},
        )

    def _add(self, item):
        if isinstance(item, Group):
            kind = Level if item.opened else _Folded
            block = kind(item, self.settings, self.uses, self.depth + 1)
            needed = [(id(v), v) for v in _from_outside(item, self.uses)]
            made = self.uses.leaving(item.steps)
        else:
            block = _Operation(item, self.settings, self.uses)
            needed, made = [(i, v) for _, i, v in item.inputs], item.results
        for key, v in needed:
            self._join(v, block, key)
        self.blocks.append(block)
        self.sources |= {id(v): (block, id(v)) for v in made}

    def _join(self, value, block, entry):
        if id(value) not in self.sources:  # nothing here makes it
            self.sources[id(value)] = leaf, _ = _Leaf(value, self.settings), ""
            self.blocks.append(leaf)
        source, exit = self.sources[id(value)]
        edge = Edge(source.box, exit, block.box, entry)
        self.edges.append(edge)
        if not isinstance(block, Level | _Port):
            self.pointed.append(edge)

    def draw(self, pen, x, y):
        if self.pad:
            ground = FRAMES[self.depth % 2]
            pen.box(x, y, self.box.width, self.box.height, "frame", fill=ground, stroke="#b7a5cc", radius=8)
        inner = (x + self.pad, y + self.pad)
        stubs = [(px, y, y + self.pad + self.ins[k].box.y) for k, px in self.box.entries.items()]
        stubs += [(px, y + self.pad + self.outs[k].box.y, y + self.box.height) for k, px in self.box.exits.items()]
        pen.wires(self.edges, *inner)
        for edge in self.pointed:
            px, py = edge.points[-1]
            pen.head(inner[0] + px, inner[1] + py)
        for px, top, low in stubs:
            pen.parts.append(
                f'<path d="M{x + px:.1f} {top:.1f}V{low:.1f}" stroke="{WIRE}" stroke-width="1.2" fill="none"/>'
            )
        for block in self.blocks:
            left = 0 if isinstance(block, _Corner) else block.box.x  # nothing stands left of a corner
            block.draw(pen, inner[0] + left, inner[1] + block.box.y)


def _from_outside(group, uses):
    """The values that come to a group from where it stands."""
    own = {id(v) for v in uses.own(group.steps)}
    return [v for v in uses.entering(group.steps) if id(v) not in own]


class Settings:
    """How values are told.

    Parameters
    ----------
    values, gradients : bool
    dtype : dtype
        The usual one, which is not written.
    tags : dict of int to str
        The module that a step stands for, by the step's id.
    """

    def __init__(self, values, gradients, dtype, tags):
        self.values, self.gradients, self.dtype, self.tags = values, gradients, dtype, tags


def tags(group):
    """What to write above the steps whose module is drawn as the step alone."""
    found = {}
    for item in group.items:
        if isinstance(item, Group):
            found |= tags(item)
        elif item.frames and (group.frame is None or item.frames[-1] is not group.frame):
            frame = item.frames[-1]
            found[id(item)] = f"{frame.path} · {frame.kind}" if frame.path else frame.kind
    return found


def drawn(group, settings, uses, notes=(), legend=True):
    """The SVG of a group, and the pen that drew it.

    Returns
    -------
    (str, Pen)
    """
    pen = Pen()
    margin = 12
    top = Level(Group(None, group.items, True), settings, uses)
    top.draw(pen, margin, margin)
    width, height = top.box.width, top.box.height + 2 * margin
    under = max(width, 460)
    if legend:
        height = _legend(pen, margin, height, under)
    for note in notes:
        for words in wrapped(note, 10.5, under):
            pen.label(Line(words, 10.5, colour="#444", most=under + 20), margin, height)
            height += 15
        height += 4
    width = math.ceil(max(width, max((x + w for x, _, w, _, _ in pen.labels), default=0) - margin) + 2 * margin)
    height = math.ceil(height + margin / 2)
    pen.parts.append(f'<path d="{"".join(pen.heads)}" fill="{WIRE}"/>' if pen.heads else "")
    defined = "".join(f'<g id="{key}">{markup}</g>' for key, markup in pen.defined.items())
    label = f"The computation of {uses.output.name}: {len(group.steps)} operations"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{clean(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONTS}" style="max-width:none;background:#fff"><defs>{defined}</defs>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(pen.parts)}</svg>'
    )
    return svg, pen


def _legend(pen, margin, y, width):
    """What the boxes mean, for the kinds that are there."""
    there = {kind for *_, kind in pen.boxes}
    samples = [kind for kind in STYLES if kind in there]
    x, high = float(margin), 16.0
    y += 6
    entries = [(kind, Line(kind + (" (folded)" if kind == "module" else ""), 9.5, colour="#444")) for kind in samples]
    if any(words.startswith("∇") for *_, words in pen.labels):
        entries.append(("", Line("∇ gradient of the output by it", 9.5, bold=True, colour=GRADIENT)))
    for kind, line in entries:
        wide = line.width + (26 if kind else 0)
        if x > margin and x + wide > margin + width:
            x, y = float(margin), y + high + 3
        if kind:
            pen.parts.append(rectangle(x, y + 1, 20, 11, **{**STYLES[kind], "radius": min(STYLES[kind]["radius"], 5)}))
        pen.label(line, x + (26 if kind else 0), y)
        x += wide + 18
    return y + high + 8


def wrapped(words, size, width):
    """Words in lines no wider than that.

    Examples
    --------
    >>> wrapped("one two three four", 10, 60)
    ['one two', 'three four']
    """
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and measure(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _telling(value, settings):
    """The lines that tell a value: its name and shape, its numbers, its gradient."""
    kind = "" if value.dtype == settings.dtype else f" {value.dtype}"
    lines = [_Named(value.name, f"{_shape(value)}{kind}")]
    if settings.values and value.array is not None:
        lines += _rows(value.array)
    if settings.gradients and value.gradient is not None:
        lines += _rows(value.gradient, "∇ ", bold=True, colour=GRADIENT)
    return lines


def _rows(array, before="", **style):
    """The lines of an array below each other, their left ends in a line."""
    rows = shown(array)
    lines = [Line((before if i == 0 else "") + words, 10, **style) for i, words in enumerate(rows)]
    indent = measure(before + "[", 10, style.get("bold", False)) / 1.05 if len(rows) > 1 else 0
    for line in lines[1:]:
        line.indent = indent
    wide = max(line.width + line.indent for line in lines)
    for line in lines:
        line.width = wide
    return lines


class _Named(Line):
    """A name in bold letters, and the shape behind it."""

    def __init__(self, name, shape):
        super().__init__(name, 11, bold=True, most=200)
        self.shape = shape
        self.first = self.width
        self.width += measure("  " + shape, 9.5)
        self.name = self.words
        self.words = f"{self.words} {shape}"

    def draw(self, x, y):
        title = f"<title>{clean(self.title)}</title>" if self.title else ""
        return (
            f'<text x="{x:.1f}" y="{y + self.size:.1f}" font-size="{self.size:g}" fill="#222">'
            f'<tspan font-weight="bold">{clean(self.name)}</tspan>'
            f'<tspan dx="4" font-size="9.5" fill="#555">{clean(self.shape)}</tspan>{title}</text>'
        )


def _shape(value):
    return f"({', '.join(map(str, value.shape))}{',' * (len(value.shape) == 1)})" if value.shape else "number"


def shown(array):
    """An array in a few lines: small tables row by row, longer ones by their first and last values.

    Examples
    --------
    >>> import numpy as np
    >>> shown(np.eye(2)), shown(np.arange(100.0)), shown(np.zeros((0, 3)))
    (['[[1, 0],', '[0, 1]]'], ['[0, 1, 2, …, 99]'], ['[]'])
    """
    if array.size == 0:
        return ["[]"]
    if array.ndim == 2 and 1 < array.shape[0] <= 5 and array.shape[1] <= 5:
        for digits in (4, 3, 2):
            rows = [markup.values(row, digits) for row in array]
            if max(measure(r, 10, bold=True) for r in rows) <= 230:
                return ["[" * (i == 0) + r + ("]" if i == len(rows) - 1 else ",") for i, r in enumerate(rows)]
    words = markup.values(array)
    if measure(words, 10) > 230:
        flat = array.reshape(-1)
        words = f"[{', '.join(markup.values(v) for v in flat[:3])}, …, {markup.values(flat[-1])}]"
    return [words]


def _in_full(value):
    """What a pointer held over a value tells."""
    return f"{value.kind} {value.name}: shape {value.shape}, {value.dtype}"


def _about(step):
    """What a pointer held over an operation tells."""
    lines = [f"step {step.number}: {step.title}"]
    for what in ("formula", "derivative"):
        if getattr(step.op, what):
            lines.append(f"{what}: {formula.text(getattr(step.op, what))}")
    if step.op.document:
        lines.append(f"source: {step.op.document}")
        lines += [f"  {documents.meaning(key)}" for _, key in documents.pieces(step.op.document) if key]
    return "\n".join(lines)


def _last(name, group):
    """A parameter's name within its module."""
    prefix = f"{group.frame.path}."
    return name.removeprefix(prefix) if group.frame.path else name


def _formula(latex):
    """An operation's formula in one line or, where it has parts, in several."""
    if not latex:
        return []
    parts = latex.split(r", \quad ")
    if any(p.count("{") != p.count("}") for p in parts):
        parts = [latex]
    return [Formula(p, 13, WIDE) for p in parts]
