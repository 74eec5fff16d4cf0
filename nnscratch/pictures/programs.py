"""Where the time of a captured step goes."""

import numpy as np

from nnscratch.pictures import style

#: Instructions that get a line of their own: those that take longest.
MOST = 30


def timeline(program):
    """Draw when each instruction of a program ran, from the first to the last, and how long it took.

    Of many instructions those that take longest have lines of their own, and the others share the last one.

    Parameters
    ----------
    program : nnscratch.program.Program
        Of a captured step whose ``measure`` was called.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        Where it is no program.
    ValueError
        Where no times were taken yet.

    Examples
    --------
    >>> import nnscratch as ns
    >>> fast = ns.capture(lambda x: ns.exp(x) @ x)
    >>> x = ns.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> _ = fast(x), fast.measure(x)
    >>> [label.get_text() for label in ns.pictures.timeline(fast.program).axes[0].get_yticklabels()]
    ['exp', 'dot']
    """
    if not hasattr(program, "instructions"):
        raise TypeError(
            f"timeline: program is a {type(program).__name__}, expected one of a captured step; pass ns.capture(step).program"
        )
    if not program.seconds:
        raise ValueError("timeline: the program was not measured yet; call the captured step's measure with a batch")
    taken = 1e6 * np.array(program.seconds)
    begins = np.cumsum(taken) - taken
    own = np.sort(np.argsort(-taken, kind="stable")[:MOST])
    own = [i for i in own if taken[i] > 0]
    rest = [i for i in range(len(taken)) if taken[i] > 0 and i not in own]
    lines = [(program.instructions[i].shown(), [i]) for i in own]
    if rest:
        lines.append((f"{len(rest)} others", rest))
    with style.picture(7, 1.2 + 0.22 * len(lines)) as figure:
        axes = figure.subplots()
        for row, (_, members) in enumerate(lines):
            axes.broken_barh(
                [(begins[i], taken[i]) for i in members],
                (row - 0.35, 0.7),
                color=style.COLOURS[row % len(style.COLOURS)],
            )
        axes.set_yticks(range(len(lines)), [name for name, _ in lines], fontsize="x-small")
        axes.set(xlabel="µs from the beginning", ylim=(len(lines) - 0.5, -0.5), xlim=(0, taken.sum() or 1))
        axes.grid(axis="x")
    return figure
