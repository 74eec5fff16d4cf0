"""What an object shows in a notebook: a little HTML, readable on light and dark pages, and values in few words."""

import html

import numpy as np


def table(headings, rows, left=1):
    """An HTML table; cells are strings (escaped here), the first `left` columns aligned left, the others right.

    Examples
    --------
    >>> table(("name", "n"), [("a<b", "3")])[:60]
    "<table><thead><tr><th style='text-align:left'>name</th><th s"
    """

    def row(cells, tag):
        return "".join(
            f"<{tag} style='text-align:{'left' if i < left else 'right'}'>{html.escape(str(c))}</{tag}>"
            for i, c in enumerate(cells)
        )

    body = "".join(f"<tr>{row(r, 'td')}</tr>" for r in rows)
    return f"<table><thead><tr>{row(headings, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def values(array, most=12, digits=4):
    """An array's values in one line; where there are more than `most`, the first and the last of them in a row.

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
        return f"{part:.{digits}g}" if part.dtype.kind == "f" else str(part)

    if array.size > most:
        return f"[{', '.join(map(each, array.flat[:3]))}, …, {each(array.flat[-1])}]"
    return each(array)
