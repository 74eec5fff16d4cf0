"""A computation told step by step: what each operation did with which numbers, and how the gradient came back."""

import html
from dataclasses import dataclass, field

import numpy as np

from nnscratch import documents, markup
from nnscratch.autograd import OPS
from nnscratch.files import as_path, write_bytes
from nnscratch.tensor import Tensor
from nnscratch.view import formula, working
from nnscratch.view.computation import Computation
from nnscratch.view.folding import Group, Uses, gathered

#: Up to how many elements of a result each get a line of their own; of a larger one the element that is largest in size gets one.
ELEMENTS = 4
#: How many steps are told at most.
MOST = 1000
DIGITS = 6

#: Of typeset formulas, in pixels.
SIZE = 15
FONT = "system-ui,sans-serif"
CODE = "font-family:ui-monospace,monospace;font-size:0.92em"
#: Forward and backward: blue and vermilion, which the colour-blind tell apart.
COLOURS = ("#0072b2", "#d55e00")

#: The fused losses and what they compute on the way without writing it down.
INSIDE = {"softmax_cross_entropy": "softmax", "sigmoid_binary_cross_entropy": "sigmoid"}

#: What a reader may wonder about arrays that operations were given and nobody passed.
DRAWN = {("dropped", "mask"): "drawn at random: 0 for what is left out, else 1 / (1 - p)"}

FOLDED = "Modules are folded where a line says so: unfold=True opens all of them, and unfold='PATH' that of a path."
BACKWARD = "From the last step to the first. g (or G) is the gradient by the step's result; a derivative written without it is multiplied by it."


@dataclass
class Entry:
    """An array in the telling: its name, its values as the engine has them, and the lines that put numbers in.

    Attributes
    ----------
    name : str
    array : numpy.ndarray
    lines : list of (str, str, number)
        The element, its formula with the numbers put in as LaTeX, and what the engine has there.
    note : str
        What else is to be said, in words.
    """

    name: str
    array: np.ndarray
    lines: list = field(default_factory=list)
    note: str = ""


@dataclass
class Part:
    """A step of the forward or of the backward pass.

    Attributes
    ----------
    title : str
        What is done.
    where : str
        In which module, or "".
    formula : str
        The operation's formula, as LaTeX.
    document : str
        Where it is stated, or "".
    rules : list of (str, str)
        In the backward pass: the input, and the derivative by it as LaTeX.
    given, found : list of Entry
    """

    title: str
    where: str
    formula: str
    document: str
    rules: list = field(default_factory=list)
    given: list = field(default_factory=list)
    found: list = field(default_factory=list)


class Explanation:
    """The steps behind a tensor; a table of formulas and numbers in a notebook, text in a terminal. Made by `explain`.

    Attributes
    ----------
    forward, backward : list of Part
        In the order of the computation, and of the backward pass (empty where there is none).
    notes : list of str
        What a reader may wonder about.

    Examples
    --------
    >>> import nnscratch as ns
    >>> x = ns.tensor(2.0, requires_grad=True)
    >>> explanation = ns.explain(x * x)
    >>> [part.title for part in explanation.backward], float(explanation.backward[0].found[0].array)
    (['back through y = multiply(a, a)'], 2.0)
    """

    def __init__(self, y, names=None, element=None, unfold=None):
        single = isinstance(y, Tensor) and y.size == 1
        self._computation = computation = Computation(y, names, gradients=single, what="explain")
        if computation.stale:
            raise RuntimeError(
                f"explain: {computation.stale.partition(', so its')[0]}; compute the tensor anew, and explain it before the "
                f"parameters change"
            )
        self.notes = list(computation.notes)
        self._places = _places(computation.values, element)
        self._used = Uses(computation)
        if unfold is None and element is not None:
            unfold = True  # what was asked for may lie anywhere
        told = gathered(computation.steps, unfold, owner="explain").told
        if len(told) > MOST:
            raise ValueError(
                f"explain: {len(told):,} steps would be told, and at most {MOST:,} can be read; fold modules with unfold=1, explain an "
                f"earlier result, detach what is not of interest, or take a smaller batch or a shorter sequence"
            )
        if any(isinstance(item, Group) for item in told):
            self.notes.append(FOLDED)
        self.forward = [self._folded(t) if isinstance(t, Group) else self._forward(t) for t in told]
        self.backward: list = []
        if single:
            left = self._uses()
            self.backward = [
                self._folded_backward(t, left) if isinstance(t, Group) else self._backward(t, left)
                for t in reversed(told)
                if any(step.gradients for step in (t.steps if isinstance(t, Group) else [t]))
            ]
        else:
            self.notes.append(
                f"There is no backward pass here: it begins at a single number, and this tensor has the shape {y.shape}. "
                f"Reduce it with .sum() or .mean() first."
            )

    def _forward(self, step):
        found = [
            Entry(
                v.name,
                v.array,
                self._elements(v, v.array, v.name, lambda i, k=k: working.result(step, i, k)),
                f"not used on the way to {self._computation.output.name}" if self._used.unused(v) else "",
            )
            for k, v in enumerate(step.results)
        ]
        drawn = {id(v): DRAWN.get((step.op.name, name), "") for name, _, v in step.inputs}
        given = [Entry(v.name, v.array, note=drawn[id(v)]) for v in _once(step)]
        inside = OPS.get(INSIDE.get(step.op.name, ""))
        if inside is not None:
            z = step.inputs[0][2].array
            given.append(Entry("ŷ", inside(z), note=f"{inside.name}({step.inputs[0][2].name}), of {inside.document}"))
        return Part(step.title, step.where, step.formula, step.op.document, given=given, found=found)

    def _backward(self, step, left):
        y = self._computation.output.name
        rules = working.derivatives(step.op, step.derivative)
        shown = [
            (name, latex)
            for name, latex in rules.items()
            if any(n == name for n, i, _ in step.inputs if i in step.gradients)
        ]
        given = []
        for k, v in enumerate(step.results):
            if step.has_gradient(k):
                note = "where the backward pass begins" if v is self._computation.output else ""
                came = v.gradient is not None
                given.append(
                    Entry(
                        _slope(y, v.name),
                        v.gradient if came else np.zeros(()),
                        note=note if came else f"not used on the way to {y}",
                    )
                )
        found = []
        for name, position, value in step.inputs:
            if position not in step.gradients:
                continue
            d = step.gradients[position]
            found.append(
                Entry(
                    _slope(y, value.name),
                    d,
                    self._elements(value, d, _slope(y, value.name), lambda i, p=position: working.gradient(step, p, i)),
                    f"by {name}" if len(step.gradients) > 1 and name != value.name else "",
                )
            )
            left[id(value)] -= 1
            if self._many[id(value)] > 1:
                found[-1].note = "from this use"
            if self._many[id(value)] > 1 and not left[id(value)]:
                found.append(Entry(_slope(y, value.name), value.gradient, note="all uses together"))
        whole = [("", step.derivative)] if step.derivative and not rules else shown
        slopes = {name: _slope(y, v.name) for name, v in zip(step.op.outputs or (), step.results, strict=False)}
        whole = [(name, working.with_gradients(latex, slopes)) for name, latex in whole]
        return Part(f"back through {step.title}", step.where, step.formula, step.op.document, whole, given, found)

    def _called(self, group):
        """A folded module as a call, what it is, and the values that come in."""
        given = [v for v in self._used.entering(group.steps) if v.kind != "parameter"]
        made = ", ".join(v.name for v in self._used.leaving(group.steps))
        called = group.frame.path or group.frame.kind
        many = len(group.steps)
        where = f"{group.frame.kind}, {many} operation{'s' * (many > 1)} folded"
        return f"{made} = {called}({', '.join(v.name for v in given)})", where, given

    def _folded(self, group):
        title, where, given = self._called(group)
        found = [Entry(v.name, v.array) for v in self._used.leaving(group.steps)]
        return Part(title, where, "", "", given=[Entry(v.name, v.array) for v in given], found=found)

    def _folded_backward(self, group, left):
        title, where, _ = self._called(group)
        y = self._computation.output.name
        came = [v for v in self._used.leaving(group.steps) if v.gradient is not None]
        found = []
        for value in self._used.entering(group.steps):
            uses = [
                step.gradients[position]
                for step in group.steps
                for _, position, v in step.inputs
                if v is value and position in step.gradients
            ]
            if not uses:
                continue
            left[id(value)] -= len(uses)
            alone = self._many[id(value)] == len(uses)
            found.append(Entry(_slope(y, value.name), sum(uses), note="" if alone else "from this use"))
            if not alone and not left[id(value)]:
                found.append(Entry(_slope(y, value.name), value.gradient, note="all uses together"))
        given = [Entry(_slope(y, v.name), v.gradient) for v in came]
        return Part(f"back through {title}", where, "", "", given=given, found=found)

    def _elements(self, value, array, name, written):
        """The lines for elements of a value or of its gradient: those asked for, else all or the largest, where they can be written."""
        asked = self._places.get(id(value))
        if asked is not None:
            places = [asked]
        elif array.size > ELEMENTS:
            places = [np.unravel_index(np.argmax(np.abs(array)), array.shape)]
        else:
            places = np.ndindex(array.shape)
        lines = []
        for index in places:
            index = tuple(map(int, index))
            latex = written(index)
            if latex.strip("()") == f"{array[index]:.6g}":
                latex = ""
            if latex or asked is not None:
                at = f"{name}[{', '.join(map(str, index))}]" if index else name
                lines.append((at, latex, array[index]))
        return lines

    def _uses(self):
        """How many gradients each value is still to be given."""
        left: dict = {}
        for step in self._computation.steps:
            for _, position, value in step.inputs:
                if position in step.gradients:
                    left[id(value)] = left.get(id(value), 0) + 1
        self._many = dict(left)
        return left

    # As text

    def __repr__(self):
        return str(self)

    def __str__(self):
        lines = []
        for title, parts in (("Forward", self.forward), ("Backward", self.backward)):
            if parts:
                lines += [title, *([BACKWARD] if parts is self.backward else []), ""]
            for number, part in enumerate(parts, 1):
                lines += [*_part_text(number, part), ""]
        cites = any(part.document for part in (*self.forward, *self.backward))
        return "\n".join([*lines, *self.notes, *[documents.HINT] * cites]).rstrip()

    # As a page

    def _repr_html_(self):
        text = "".join(
            f"<h4 style='margin:0.8em 0 0.2em'>{title}</h4>"
            + (f"<div>{BACKWARD}</div>" if parts is self.backward else "")
            + "".join(_part_html(number, part, parts is self.backward) for number, part in enumerate(parts, 1))
            for title, parts in (("Forward", self.forward), ("Backward", self.backward))
            if parts
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<div style='background:#fff;color:#1a1a1a;padding:0.5em 1em;overflow-x:auto;font-family:{FONT}'>{text}{notes}</div>"

    def save(self, path):
        """Write it to a file: a page (``.html``) or text (``.txt``).

        Raises
        ------
        ValueError
            Where the name ends otherwise.
        OSError
            Where the file cannot be written.
        """
        path = as_path("explain", path)
        ending = path.rpartition(".")[2].lower()
        if ending not in ("html", "txt"):
            raise ValueError(f"explain: {path!r} ends in neither .html nor .txt; choose one of them")
        page = f"<!doctype html><meta charset='utf-8'><title>nnscratch</title>{self._repr_html_()}\n"
        write_bytes("explain", path, (page if ending == "html" else f"{self}\n").encode())


def explain(y, names=None, element=None, unfold=None):
    """Tell how a tensor was computed, and how its gradient goes back, step by step with the numbers.

    Parameters
    ----------
    y : Tensor
        Computed from tensors that require gradients; the backward pass is told where it has one element.
    names : dict of str to Tensor, optional
        What to call the tensors in it, such as ``locals()``. A module's parameters have its names for them.
    element : tuple of int, or dict of str to tuple of int, optional
        The element to put the numbers in for: of every array that has it, and its gradient, or by the arrays' names. By default
        each of a few elements, and of many the one that is largest in size.
    unfold : bool, int, str or list of str, optional
        Which modules to tell step by step: all (True) or none (False), so many levels, or those of these paths; of others only what
        goes in and comes out. None: as `ns.graph` does, as many levels as stay readable; or all, where an `element` is asked for.

    Returns
    -------
    Explanation
        Shows itself in a notebook with typeset formulas, prints as text, and is written to a file by ``.save(path)``.

    Raises
    ------
    TypeError
        Where `y` is no Tensor, `names` no dict, `element` no index, or `unfold` something else.
    ValueError
        Where nothing was recorded behind `y`, no array has that element or name, or no module that path.
    RuntimeError
        Where something it came from was changed in place since, by an optimiser's step, say.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w, x = ns.tensor([0.5, -0.25], requires_grad=True), ns.tensor([2.0, 4.0])
    >>> explanation = ns.explain(ns.sum(w * x), {"w": w, "x": x})
    >>> print(str(explanation).partition("Backward")[0].rstrip())
    Forward
    <BLANKLINE>
      1  h1 = multiply(w, x)
           a · b
           w = [0.5, -0.25]
           x = [2, 4]
           h1[0] = 0.5 · 2 = 1
           h1[1] = -0.25 · 4 = -1
         → h1 = [1, -1]
    <BLANKLINE>
      2  y = sum(h1)
           Σ_i x_i
           h1 = [1, -1]
           y = 1 + (-1) = 0
    """
    return Explanation(y, names, element, unfold)


def _once(step):
    """The values that went in, each once."""
    return list({id(v): v for _, _, v in step.inputs}.values())


def _slope(y, name):
    return f"∂{y}/∂{name}"


def _places(values, element):
    """The element asked for, by the id of each value that it is meant of."""
    if element is None:
        return {}
    if not isinstance(element, dict):
        index = _index(element)
        found = {id(v): at for v in values if (at := _within(v, index)) is not None}
        if not found:
            raise ValueError(
                f"explain: element is {element!r}, and no array here has it; pass one of {_shapes(values)}, or a dict from names "
                f"to elements"
            )
        return found
    named = {v.name: v for v in values}
    found = {}
    for name, index in element.items():
        if name not in named:
            raise ValueError(
                f"explain: element names {name!r}, and no array here is called so; choose from {', '.join(named)}"
            )
        found[id(named[name])] = at = _within(named[name], _index(index))
        if at is None:
            raise ValueError(
                f"explain: element {index!r} lies outside {name}, of shape {named[name].shape}; pass an index within"
            )
    return found


def _index(element):
    """An index as a tuple."""
    index = element if isinstance(element, tuple | list) else (element,)
    if not all(hasattr(i, "__index__") and not isinstance(i, bool) for i in index):
        raise TypeError(f"explain: element is {element!r}, expected whole numbers; pass a tuple such as (0, 1)")
    return tuple(i.__index__() for i in index)


def _within(value, index):
    """An index counted from the beginning, or None where the value has no such element."""
    if len(index) != len(value.shape) or not all(-n <= i < n for i, n in zip(index, value.shape, strict=True)):
        return None
    return tuple(i % n for i, n in zip(index, value.shape, strict=True))


def _shapes(values):
    return ", ".join(f"{v.name} {v.shape}" for v in values[:6])


def _numbers(array):
    return markup.values(array, digits=DIGITS)


def _part_text(number, part):
    head = f"{number:3}  {part.title}"
    lines = [f"{head}    [{part.where}]" if part.where else head]
    stated = f"    ({part.document})" if part.document else ""
    if part.rules:
        lines += [
            f"       derivative{f' by {name}' if name else ''}: {formula.text(latex)}" for name, latex in part.rules
        ]
    elif part.formula:
        lines.append(f"       {formula.text(part.formula)}{stated}")
    width = max((len(e.name) for e in part.given), default=0)
    lines += [f"       {e.name:{width}} = {_numbers(e.array)}{_remark(e)}" for e in part.given]
    for e in part.found:
        lines += [
            f"       {at}{' = ' * bool(latex)}{formula.text(latex)} = {_numbers(value)}" for at, latex, value in e.lines
        ]
        if len(e.lines) != 1 or np.ndim(e.array):
            lines.append(f"     → {e.name} = {_numbers(e.array)}{_remark(e)}")
    return lines


def _remark(entry):
    return f"    ({_note(entry)})" if _note(entry) else ""


def _note(entry):
    """What stands beside an array: its shape, where not all of it is shown, and what is to be said of it."""
    shape = "×".join(map(str, np.shape(entry.array))) if np.size(entry.array) > markup.MOST else ""
    return ", ".join(filter(None, (shape, entry.note)))


def _part_html(number, part, back):
    where = f" <span style='color:#666'>{html.escape(part.where)}</span>" if part.where else ""
    stated = f" <small style='color:#666'>{documents.marked(part.document)}</small>" if part.document else ""
    lines = [f"<div><b>{number}.</b> <code>{html.escape(part.title)}</code>{where}</div>"]
    if part.rules:
        lines += [
            f"<div>derivative{f' by <code>{html.escape(name)}</code>' if name else ''}: {_typeset(latex)}</div>"
            for name, latex in part.rules
        ]
    elif part.formula:
        lines.append(f"<div>{_typeset(part.formula)}{stated}</div>")
    rows = [_row(e.name, _numbers(e.array), _note(e)) for e in part.given]
    for e in part.found:
        rows += [
            _row(
                at,
                f"{_typeset(latex) + ' = ' if latex else ''}<span style='{CODE}'>{_numbers(value)}</span>",
                typeset=True,
            )
            for at, latex, value in e.lines
        ]
        if len(e.lines) != 1 or np.ndim(e.array):
            rows.append(_row(e.name, _numbers(e.array), _note(e), strong=True))
    lines.append(f"<table style='border-collapse:collapse;margin:0.1em 0 0 1em'><tbody>{''.join(rows)}</tbody></table>")
    return (
        f"<div style='border-left:3px solid {COLOURS[back]};padding:0.2em 0.8em;margin:0.5em 0'>{''.join(lines)}</div>"
    )


def _row(name, text, note="", typeset=False, strong=False):
    cell = "border:none;padding:0.1em 0.4em;vertical-align:middle;text-align:left;background:#fff;color:#1a1a1a"
    inside = text if typeset else f"<span style='{CODE}'>{html.escape(text)}</span>"
    inside = f"<b>{inside}</b>" if strong else inside
    after = f" <small style='color:#666'>{html.escape(note)}</small>" if note else ""
    name = f"<span style='{CODE}'>{html.escape(name)}</span>"
    return f"<tr><td style='{cell};white-space:nowrap'>{name}</td><td style='{cell};white-space:nowrap'>= {inside}{after}</td></tr>"


def _typeset(latex):
    return formula.outline(latex, SIZE).svg()
