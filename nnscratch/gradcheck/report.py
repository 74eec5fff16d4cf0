"""What a gradient check found: `Report`, and its rows."""

import html

from nnscratch import markup


def headings(source):
    """The table's first row."""
    return ("order", "by", "shape", "where", f"by {source}", "numerically", "relative error", "of tolerance", "")


class Row:
    """One derivative, by the rules and numerically.

    Attributes
    ----------
    order : int
        1 for a first derivative, 2 for the derivative of a derivative.
    input : str
        The name of the input or parameter it is by.
    shape : tuple of int
        Of that input.
    index : tuple of int or None
        The element it is by; None for a random direction through all of them.
    output : str or None
        The element of the result, where a single one is meant, else None: a random combination of all.
    source : str
        "the rules", or "your gradient" where that was given.
    analytic, numeric : float
        The derivative by the rules or your gradient, and numerically.
    error : float
        Their difference, relative to the size of the derivative, or to 1e-5 of the function's own where that is more. Along a
        direction the size is the root of the sum of squares of what each element adds.
    units : float
        Their difference in units of the tolerance: more than 1 is wrong.
    uncertainty : float
        How far the numerical derivative may be off, by its own estimate.
    method : str
        "differences" or "complex step".
    status : str
        "right", "wrong", "kink" (not differentiable here) or "unclear" (it could not be measured; `Report.unclear` says why).

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> row = ns.gradcheck(ns.exp, [np.array([0.5, 1.0])]).rows[0]
    >>> row.order, row.input, row.shape, row.status
    (1, 'x', (2,), 'right')
    """

    __slots__ = (
        "source",
        "order",
        "input",
        "shape",
        "index",
        "output",
        "analytic",
        "numeric",
        "error",
        "units",
        "uncertainty",
        "method",
        "status",
    )

    def __init__(self, **values):
        for name in self.__slots__:
            setattr(self, name, values[name])

    def __repr__(self):
        return (
            f"<Row {self.input}: {self.analytic:.9g} by {self.source}, {self.numeric:.9g} numerically, {self.status}>"
        )

    def cells(self):
        """What the table shows of it."""
        where = "a random direction" if self.index is None else "element " + element("", self.index)
        if self.output is not None:
            where += f" of {self.output}"
        status = {"kink": "not differentiable", "unclear": "unclear"}.get(self.status, self.status)
        units = f"{self.units:.2g}" if self.units < 1e4 else f"{self.units:.1e}"
        return (
            str(self.order),
            self.input,
            str(self.shape),
            where,
            f"{self.analytic:.9g}",
            f"{self.numeric:.9g}",
            f"{self.error:.1e}",
            units,
            status,
        )


class Report:
    """What `ns.gradcheck` found; printed, or shown in a notebook, it is a table.

    Attributes
    ----------
    passed : bool
        Whether nothing disagreed (what could not be compared is in `kinks` and `unclear`).
    rows : list of Row
        The derivatives that were compared: one for each input and order.
    worst : Row or None
        That with the largest error in units of its tolerance; of a failed check that of an element, where one was found.
    error : float
        The largest relative error; 0 where nothing was compared.
    kinks : list of str
        The places at which the function is not differentiable; they were left out.
    unclear : list of str
        What could not be measured, why, and what to do.
    problems : list of str
        What is wrong, in words.
    causes : list of str
        Why: a sentence for each operation at fault.
    operation : str or None
        The operation whose rule is at fault, where one could be told.
    operations : list of str
        All of them.
    points : int
        How often the function was called.
    seconds : float
    mode : str
        "projection" or "full".
    seed : int, or tuple of int
        Of the random directions.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> report = ns.gradcheck(ns.exp, [np.array([0.5, 1.0])])
    >>> report.passed, report.worst.input, report.error < 1e-9
    (True, 'x', True)
    """

    def __init__(self, mode, seed):
        self.mode = mode
        self.seed = seed
        self.rows: list = []
        self.kinks: list = []
        self.unclear: list = []
        self.problems: list = []
        self.causes: list = []
        self.operations: list = []
        self.points = 0
        self.seconds = 0.0

    @property
    def passed(self):
        """Whether nothing disagreed."""
        return not (self.problems or self.causes)

    @property
    def operation(self):
        """The operation whose rule is at fault, where one could be told."""
        return self.operations[0] if self.operations else None

    @property
    def compared(self):
        """The rows whose derivatives could be compared."""
        return [r for r in self.rows if r.status in ("right", "wrong")]

    @property
    def worst(self):
        """The row with the largest error in units of its tolerance, if there is one."""
        return max(self.compared, key=lambda r: (r.status == "wrong" and r.index is not None, r.units), default=None)

    @property
    def error(self):
        """The largest relative error."""
        return max((r.error for r in self.compared), default=0.0)

    def headings(self):
        """The first row of the table."""
        return headings(self.rows[0].source)

    def headline(self):
        """The first line: what came out."""
        if not self.passed:
            return f"gradcheck: {(self.problems + self.causes)[0]}"
        compared = len(self.compared)
        if not compared and self.rows:
            why = "the function is not differentiable here" if self.kinks else "none could be measured"
            return f"gradcheck: no derivative was compared, because {why}"
        text = f"gradcheck: {compared} derivative{'s' if compared != 1 else ''} right"
        return f"{text}, {len(self.rows) - compared} not compared" if compared < len(self.rows) else text

    def notes(self):
        """The lines under the table."""
        lines = [f"also: {p}" for p in self.problems[1:]]
        lines += [f"cause: {c}" for c in self.causes]
        shown = self.kinks[:8] + ([f"and {len(self.kinks) - 8} more places"] if len(self.kinks) > 8 else [])
        lines += [f"not differentiable: {k}" for k in shown]
        worst = self.worst
        if worst is not None and self.passed:
            lines.append(f"worst: {worst.input}, {worst.units:.1e} of its tolerance, relative error {worst.error:.1e}")
        if self.compared:
            direction = (
                ""
                if self.mode == "full"
                else " (along a direction, of the root of the sum of squares of what its elements add)"
            )
            lines.append(f"relative error: of the derivative's size{direction}")
        what = "random directions" if self.mode == "projection" else "all elements"
        lines += [f"not measured: {u}" for u in self.unclear[:8]]
        if len(self.unclear) > 8:
            lines.append(f"not measured: {len(self.unclear) - 8} more")
        lines.append(f"{what}, seed {self.seed}, {self.points} calls of the function, {self.seconds:.2g} s")
        return lines

    def __str__(self):
        table = [self.headings(), *(r.cells() for r in self.rows)] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(c.ljust(n) for c, n in zip(row, widths, strict=True)).rstrip() for row in table]
        return "\n".join([self.headline(), *("  " + line for line in lines), *("  " + line for line in self.notes())])

    def __repr__(self):
        return f"<Report {self.headline()}>"

    def _repr_html_(self):
        colours = {"wrong": "#c0392b", "kink": "#8a6d00", "unclear": "#8a6d00"}
        styles = [f"color:{colours[r.status]};font-weight:bold" if r.status in colours else "" for r in self.rows]
        cells = [r.cells() for r in self.rows]
        table = markup.table(self.headings(), cells, left=len(self.headings()), styles=styles) if cells else ""
        notes = "".join(f"<div>{html.escape(line)}</div>" for line in self.notes())
        return f"<div><b>{html.escape(self.headline())}</b>{table}<small>{notes}</small></div>"


def joined(reports):
    """One report of several checks that passed, from different seeds."""
    whole = Report(reports[0].mode, tuple(r.seed for r in reports))
    for r in reports:
        whole.rows += r.rows
        whole.kinks += [k for k in r.kinks if k not in whole.kinks]
        whole.unclear += [u for u in r.unclear if u not in whole.unclear]
        whole.points += r.points
        whole.seconds += r.seconds
    return whole


def element(name, index):
    """An element as it is written in Python: ``x[0, 2]``, or the bare name of a single number."""
    return f"{name}[{', '.join(str(int(i)) for i in index)}]" if len(index) else (name or "()")
