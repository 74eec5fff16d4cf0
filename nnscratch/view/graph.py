"""`graph`: the computation behind a tensor, drawn."""

import re

from nnscratch import autograd, markup
from nnscratch.files import as_path, write_bytes
from nnscratch.tensor import Tensor
from nnscratch.view import drawing, formula
from nnscratch.view.computation import Computation
from nnscratch.view.folding import Group, Uses, gathered
from nnscratch.view.printing import printed
from nnscratch.view.svg import valid_in_xml

#: How many boxes are drawn at most.
MOST = 2000

#: Folded modules that a notebook shows below the drawing, those in them included.
UNFOLDED = 60


class Graph:
    """The computation behind a tensor: a drawing in a notebook, a list in a terminal. Made by `graph`.

    Attributes
    ----------
    notes : list of str
        What stands below the drawing: what could not be told, and what a reader may wonder about.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = ns.tensor([1.0, 2.0], requires_grad=True)
    >>> print(ns.graph(ns.sum(w * w), {"w": w}))
    The computation of y, 2 operations
    <BLANKLINE>
    variable  w  (2,)  [1, 2]
    <BLANKLINE>
    1  h1 = multiply(w, w)  (2,)    a · b    [1, 4]
    2  y = sum(h1)          number  Σ_i x_i  5
    """

    def __init__(self, y, names=None, gradients=None, unfold=None, values=True):
        self._computation = computation = _computation(y, names, gradients)
        self.notes = list(computation.notes)
        if computation.stale:
            self.notes.append(
                f"Some values can no longer be told, and are left out: {computation.stale.partition(', so its')[0]}. "
                f"Draw the graph before the optimiser's step, or compute {computation.output.name} anew."
            )
        self._uses = Uses(computation)
        self._group = gathered(computation.steps, unfold)
        self._unfold = unfold
        self._values = values
        many = _boxes(self._group)
        if many > MOST:
            raise ValueError(
                f"graph: {many:,} boxes would be drawn, and at most {MOST:,} can be read; fold modules with unfold=1 or "
                f"unfold=False, or pass an earlier result, or the loss of a smaller batch or a shorter sequence"
            )

    def _drawn(self, group, notes=(), legend=True):
        told = drawing.Settings(
            self._values,
            any(v.gradient is not None for v in self._computation.values),
            self._computation.output.dtype,
            drawing.tags(group),
        )
        return drawing.drawn(group, told, self._uses, notes, legend)

    def svg(self):
        """The drawing as an SVG element.

        Returns
        -------
        str

        Examples
        --------
        >>> import nnscratch as ns
        >>> x = ns.tensor(2.0, requires_grad=True)
        >>> ns.graph(x * x).svg()[:42]
        '<svg xmlns="http://www.w3.org/2000/svg" ro'
        """
        return self._drawn(self._group, self.notes)[0]

    def _repr_html_(self):
        """What a notebook shows: the drawing and, below it, the folded modules, to be opened by a click."""
        svg, pen = self._drawn(self._group, self.notes)
        left = [UNFOLDED]
        return (
            '<div class="nnscratch-graph" style="background:#fff;color:#222;max-height:1600px;overflow:auto;'
            f'padding:4px;border:1px solid #ddd">{svg}{self._unfolded(pen.folded, left)}</div>'
        )

    def _unfolded(self, groups, left):
        """Each folded module, drawn to be opened."""
        parts = []
        for group in groups:
            if not left[0]:
                parts.append("<div>Further modules are not shown here; name them in unfold.</div>")
                break
            left[0] -= 1
            inside = gathered(group.steps, None, _depth(group), None)
            svg, pen = self._drawn(inside, legend=False)
            parts.append(
                f'<details style="margin:2px 0 2px 12px"><summary style="cursor:pointer;font:12px {drawing.FONTS}">'
                f"{drawing.clean(group.name)}</summary>{svg}{self._unfolded(pen.folded, left)}</details>"
            )
        return "".join(parts)

    def __str__(self):
        return "\n".join(_listing(self._computation, self._uses, self._values)) + "".join(
            f"\n\n{note}" for note in self.notes
        )

    __repr__ = __str__

    def mermaid(self):
        """The graph in Mermaid's notation, as the documents write their flow charts.

        Returns
        -------
        str

        Examples
        --------
        >>> import nnscratch as ns
        >>> x = ns.tensor(2.0, requires_grad=True)
        >>> print(ns.graph(x * x, {"x": x}).mermaid())
        graph TD
            v1(["x<br/>number"])
            s1["1 · multiply<br/>a · b"]
            v1 -->|"x"| s1
            v1 -->|"x"| s1
            y["y<br/>number"]
            s1 -->|"y number"| y
        """
        return "\n".join(_Mermaid(self._computation, self._uses, self._group).lines)

    def save(self, path):
        """Write the graph to a file, whole or not at all.

        Parameters
        ----------
        path : str or os.PathLike
            Its ending says how: .svg, .html, .png and .pdf (the drawing), .mmd (Mermaid), .txt (the list).

        Raises
        ------
        OSError
            If it cannot be written.
        TypeError
            If `path` is no path.
        ValueError
            For another ending.

        Examples
        --------
        >>> import os, tempfile
        >>> import nnscratch as ns
        >>> x = ns.tensor(2.0, requires_grad=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ns.graph(x * x).save(folder + "/square.svg")
        ...     os.listdir(folder)
        ['square.svg']
        """
        path = as_path("graph", path)
        ways = {".svg": self.svg, ".html": self._page, ".mmd": self.mermaid, ".txt": self.__str__}
        ways |= {f".{kind}": lambda kind=kind: printed(self.svg(), kind) for kind in ("png", "pdf")}
        ending = re.search(r"(\.\w+)?$", path.lower()).group()
        if ending not in ways:
            raise ValueError(
                f"graph: cannot write {path}, its ending is {ending or 'missing'}; end it with {', '.join(ways)}"
            )
        content = ways[ending]()
        write_bytes("graph", path, content if isinstance(content, bytes) else f"{content}\n".encode())

    def _page(self):
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>The computation of '
            f"{drawing.clean(self._computation.output.name)}</title><style>.nnscratch-graph{{max-height:none!important}}"
            f".folded[data-opens]{{cursor:pointer}}</style></head><body>{self._repr_html_()}<script>{_SCRIPT}</script></body></html>"
        )


# A click on a folded module opens it in the list below the drawing.
_SCRIPT = """
document.querySelectorAll(".folded").forEach(box => box.addEventListener("click", () => {
  const opened = box.closest("svg").parentElement.querySelectorAll(":scope > details")[box.dataset.opens];
  if (opened) { opened.open = true; opened.scrollIntoView(); }
}));
"""


def graph(y, names=None, gradients=None, unfold=None, values=True):
    """Draw the computation behind a tensor.

    Inputs, parameters and constants, the operations with their formulas, and what they made, with shapes and values; after a
    backward pass the gradient beside each. In a notebook it shows itself; ``print`` lists it; ``.save(path)`` writes it.

    Parameters
    ----------
    y : Tensor
        Computed from tensors that require gradients.
    names : dict of str to Tensor, optional
        What to call tensors: ``locals()`` will do. Parameters are called as their modules call them.
    gradients : bool, optional
        Whether to show the gradient of `y`, a single number, by each value. None: where some tensor behind `y` has a ``.grad``.
        They are computed anew; no ``.grad`` is touched.
    unfold : bool, int, str or list of str, optional
        Which modules to draw with what is in them: all (True) or none (False), so many levels, or those of these paths. None:
        as many levels as stay readable.
    values : bool
        Whether to show numbers, or names and shapes alone.

    Returns
    -------
    Graph

    Raises
    ------
    TypeError
        Where `y` is no Tensor, `names` no dict, or `unfold` something else.
    ValueError
        Where nothing was recorded behind `y`, gradients are wanted of several numbers, no module has such a path, or more would
        be drawn than can be read.
    RuntimeError
        Where ``gradients=True`` and something was changed in place since.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w, x = ns.tensor([0.5, -0.25], requires_grad=True), ns.tensor([2.0, 4.0])
    >>> y = ns.sum(w * x)
    >>> y.backward()
    >>> print(ns.graph(y, locals()))
    The computation of y, 2 operations
    <BLANKLINE>
    variable  w  (2,)  [0.5, -0.25]  ∇ [2, 4]
    input     x  (2,)  [2, 4]
    <BLANKLINE>
    1  h1 = multiply(w, x)  (2,)    a · b    [1, -1]  ∇ [1, 1]
    2  y = sum(h1)          number  Σ_i x_i  0        ∇ 1
    """
    return Graph(y, names, gradients, unfold, values)


def _computation(y, names, gradients):
    """The computation, with gradients where they are wanted and can be had."""
    wanted = gradients
    if gradients is None:
        wanted = isinstance(y, Tensor) and y._node is not None and y.size == 1 and _has_gradients(y)
    computation = Computation(y, names, gradients=bool(wanted), what="graph")
    if gradients and computation.stale:
        raise RuntimeError(
            f"graph: {computation.stale.partition(', so its')[0]}, so its gradients can no longer be told; leave gradients out, "
            f"or compute the tensor anew"
        )
    return computation


def _has_gradients(y):
    """Whether a backward pass has left its gradient in some leaf."""
    return any(isinstance(a, Tensor) and a.grad is not None for node in autograd.nodes_of([y._node]) for a in node.args)


def _boxes(group):
    """How many boxes a group is drawn with."""
    return sum(_boxes(item) if isinstance(item, Group) and item.opened else 1 for item in group.items)


def _depth(group):
    """How many modules lie around what is in a folded group, itself included."""
    frames = group.steps[0].frames
    return frames.index(group.frame) + 1


def _listing(computation, uses, values):
    """The lines of the list."""
    steps = computation.steps
    yield f"The computation of {computation.output.name}, {len(steps)} operation{'s' * (len(steps) > 1)}"
    leaves = [v for v in computation.values if v.kind != "result"]
    rows = [[v.kind, v.name, *_row(v, values)] for v in leaves]
    if rows:
        yield ""
        yield from _aligned(rows)
    rows = []
    for s in steps:
        made = ", ".join(v.name for v in s.results)
        inputs = ", ".join(v.name for _, _, v in s.inputs)
        several = len(s.results) > 1
        shape, *told = ["", "", ""] if several else _row(s.result, values)
        rows.append([str(s.number), f"{made} = {s.op.name}({inputs})", shape, s.where, formula.text(s.formula), *told])
        for v in s.results if several else ():
            shape, *told = _row(v, values)
            rows.append(["", f"  {v.name}", shape, "", "unused" if uses.unused(v) else "", *told])
    yield ""
    yield from _aligned(rows)


def _row(value, values):
    """Shape, value and gradient in a list's columns."""
    numbers = "" if not values or value.array is None else markup.values(value.array)
    gradient = "" if value.gradient is None else f"∇ {markup.values(value.gradient)}"
    return [drawing._shape(value), numbers, gradient]


def _aligned(rows):
    """Rows with their columns below each other; empty columns are left out."""
    columns = [c for c in zip(*rows, strict=True) if any(c)]
    widths = [max(map(len, c)) for c in columns]
    for row in zip(*columns, strict=True):
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


class _Mermaid:
    """Writes a graph in Mermaid's notation."""

    def __init__(self, computation, uses, group):
        self.uses, self.lines = uses, ["graph TD"]
        self.sources: dict = {}
        self.folded = self.leaves = self.unused = 0
        self._group(group, "    ")
        output = computation.output
        self.lines.append(f'    y["{_escaped(output.name)}<br/>{drawing._shape(output)}"]')
        self._arrow(output, "y", "    ")

    def _group(self, group, indent):
        for item in group.items:
            if isinstance(item, Group) and item.opened:
                inner: list = []
                self.lines, outer = inner, self.lines
                self._group(item, indent + "    ")
                self.lines = outer
                number = item.steps[0].number
                self.lines.append(f'{indent}subgraph m{number}_{len(item.steps)}["{_escaped(item.name)}"]')
                self.lines += [*inner, f"{indent}end"]
            elif isinstance(item, Group):
                self.folded += 1
                name = f"f{self.folded}"
                many = len(item.steps)
                label = f"{_escaped(item.name)}<br/>{many} operation{'s' * (many > 1)}"
                own = {id(v) for v in self.uses.own(item.steps)}
                self._box(
                    name, f'[["{label}"]]', [v for v in self.uses.entering(item.steps) if id(v) not in own], indent
                )
                self.sources |= {id(v): name for v in self.uses.leaving(item.steps)}
            else:
                name = f"s{item.number}"
                said = formula.text(item.formula)
                label = _escaped(f"{item.number} · {item.op.name}") + (f"<br/>{_escaped(said)}" if said else "")
                self._box(name, f'["{label}"]', [v for _, _, v in item.inputs], indent)
                self.sources |= {id(v): name for v in item.results}
                for v in filter(self.uses.unused, item.results):
                    self.unused += 1
                    self.lines.append(f'{indent}u{self.unused}["{_escaped(v.name)}<br/>{drawing._shape(v)}"]')
                    self._arrow(v, f"u{self.unused}", indent, "-.->")

    def _box(self, name, shape, inputs, indent):
        for v in inputs:
            if id(v) not in self.sources:
                self.leaves += 1
                self.sources[id(v)] = leaf = f"v{self.leaves}"
                left, right = {"variable": ("([", "])"), "parameter": ("[/", "/]")}.get(v.kind, ("(", ")"))
                self.lines.append(f'{indent}{leaf}{left}"{_escaped(v.name)}<br/>{drawing._shape(v)}"{right}')
        self.lines.append(f"{indent}{name}{shape}")
        for v in inputs:
            self._arrow(v, name, indent)

    def _arrow(self, value, to, indent, arrow="-->"):
        leaf = self.sources[id(value)].startswith("v")
        label = value.name if leaf else f"{value.name} {drawing._shape(value)}"
        self.lines.append(f'{indent}{self.sources[id(value)]} {arrow}|"{_escaped(label)}"| {to}')


def _escaped(words):
    """Words for a label in quotes: what Mermaid or HTML would read is written by its number."""
    return re.sub(r"[^\w\s.,:;=+*/()\-\u0080-\U0010ffff]", lambda c: f"#{ord(c.group())};", valid_in_xml(words))
