"""What an object shows in a notebook: a little HTML, readable on light and dark pages, and values in few words."""

import html
from itertools import zip_longest

import numpy as np

#: How many rows of a table are shown.
MOST_ROWS = 1000


def table(headings, rows, left=1, styles=()):
    """An HTML table of strings, escaped here; of more than `MOST_ROWS` rows the first, and how many more there are.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequence of str
    left : int
        How many of the first columns are aligned left; the others are aligned right.
    styles : sequence of str, optional
        CSS for each row.

    Examples
    --------
    >>> print(table(("name", "n"), [("a<b", "3")]).partition("</thead>")[2])
    <tbody><tr><td style='text-align:left'>a&lt;b</td><td style='text-align:right'>3</td></tr></tbody></table>
    """

    def row(cells, tag, style=""):
        inside = "".join(
            f"<{tag} style='text-align:{'left' if i < left else 'right'}'>{html.escape(str(c))}</{tag}>"
            for i, c in enumerate(cells)
        )
        return f"<tr style='{style}'>{inside}</tr>" if style else f"<tr>{inside}</tr>"

    rows = list(rows)
    body = "".join(row(r, "td", style) for r, style in zip_longest(rows[:MOST_ROWS], styles[:MOST_ROWS], fillvalue=""))
    if len(rows) > MOST_ROWS:
        body += row([f"… and {len(rows) - MOST_ROWS:,} more", *[""] * (len(headings) - 1)], "td")
    return f"<table><thead>{row(headings, 'th')}</thead><tbody>{body}</tbody></table>"


#: How many values of an array stand in a line.
MOST = 12


def values(array, digits=4):
    """An array's values in one line; where there are more than `MOST`, the first and the last of them in a row.

    Examples
    --------
    >>> import numpy as np
    >>> values(np.array([[1.0, 0.25], [1 / 3, 0.0]])), values(np.arange(1000)), values(np.float32(0.1))
    ('[[1, 0.25], [0.3333, 0]]', '[0, 1, 2, …, 999]', '0.1')
    """
    array = np.asarray(array)

    def each(part):
        if part.ndim:
            return f"[{', '.join(map(each, part))}]"
        return f"{part + 0.0:.{digits}g}" if part.dtype.kind == "f" else str(part)  # -0 is 0

    if array.size > MOST:
        return f"[{', '.join(map(each, array.flat[:3]))}, …, {each(array.flat[-1])}]"
    return each(array)


def grid(array, most=8, digits=4):
    """An array's values as an HTML table of rows and columns, or in one line where it has more than two axes.

    Examples
    --------
    >>> import numpy as np
    >>> grid(np.array([[1.0, 2.0]])).count("<td"), grid(np.zeros((2, 2, 2)))
    (2, '<div><code>[[[0, 0], [0, 0]], [[0, 0], [0, 0]]]</code></div>')
    """
    array = np.asarray(array)
    if array.ndim not in (1, 2) or array.size == 0:
        return f"<div><code>{html.escape(values(array, digits=digits))}</code></div>"

    def shown(n):
        return list(range(n)) if n <= most else [*range(most - 2), None, n - 1]

    def cell(r, c):
        if r is None or c is None:
            return "…" if r is not None else "⋮"
        return values(rows[r, c], digits=digits)

    rows = array.reshape(-1, array.shape[-1])
    style = "text-align:right;font-variant-numeric:tabular-nums"
    body = "".join(
        "<tr>" + "".join(f"<td style='{style}'>{cell(r, c)}</td>" for c in shown(rows.shape[1])) + "</tr>"
        for r in shown(len(rows))
    )
    return f"<table><tbody>{body}</tbody></table>"
