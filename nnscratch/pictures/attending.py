"""What attention looks at: its weights, head by head."""

import numpy as np

from nnscratch import arguments
from nnscratch.pictures import fonts, style

MOST_HEADS, MOST_TOKENS = 64, 200
#: Up to so many tokens each weight is written, too.
WRITTEN = 8


def attention(weights, tokens=None, keys=None, titles=None):
    """Draw attention's weights, a picture for each head: a row for each token that asks, a column for each that is looked at.

    Parameters
    ----------
    weights : array_like, shape (heads, L, S), (1, heads, L, S) or (L, S)
        Of one sequence, from 0 to 1, such as `nn.MultiheadAttention` returns with ``average_attn_weights=False``.
    tokens : sequence of str, optional
        The L tokens that ask; their numbers if not given.
    keys : sequence of str, optional
        The S tokens that are looked at, where they are others than `tokens`. Signs that matplotlib's font lacks, such as Chinese
        ones, are drawn by a font of the machine that has them; where there is none they are shown by number, and the picture says so.
    titles : sequence of str, optional
        One for each head.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        Where the weights are of another shape or no shares, there is not a token for each row and column, or there are more than
        64 heads or 200 tokens.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> figure = ns.pictures.attention([[[1.0, 0.0], [0.25, 0.75]]], ["to", "be"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1.00', '0.00', '0.25', '0.75']
    """
    weights = _as_heads(weights)
    heads, rows, columns = weights.shape
    keys = tokens if keys is None and rows == columns else keys
    tokens, keys = _names("tokens", tokens, rows), _names("keys", keys, columns)
    titles = [f"head {k}" for k in range(heads)] if titles is None else list(titles)
    arguments.check_lengths("attention: of heads and titles", [weights, titles])
    across = min(heads, 4 if max(rows, columns) <= 16 else 2)
    down = -(-heads // across)
    written, font, note = fonts.of([*tokens, *keys])
    tokens, keys = written[:rows], written[rows:]
    turned = max(map(len, keys)) > 2
    cell = min(0.42 if max(rows, columns) <= WRITTEN else 0.24, 9 / across / columns)  # in inches
    letter = 0.085 * max(map(len, tokens)) + 0.2
    wide, tall = letter + cell * columns, 0.4 + cell * rows + (0.085 * max(map(len, keys)) if turned else 0.2)
    with style.picture(max(3.0, across * wide + 0.8), max(1.6, down * tall + 0.3 * bool(note))) as figure:
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes, shares, title in zip(grid, weights, titles, strict=False):
            drawn = axes.imshow(shares, cmap=style.SHARES, vmin=0, vmax=1)
            size = min(8, 72 * cell * 0.8)
            axes.set_xticks(range(columns), keys, rotation=90 if turned else 0, font=font, size=size)
            axes.set_yticks(range(rows), tokens, font=font, size=size)
            axes.tick_params(length=0)
            axes.set_title(title, size=9)
            if max(rows, columns) <= WRITTEN:
                for i, j in np.ndindex(rows, columns):
                    colour = "white" if shares[i, j] > 0.55 else "black"
                    axes.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", color=colour, size=0.85 * size)
        for axes in grid[heads:]:
            axes.axis("off")
        style.colour_bar(figure, drawn, grid[:heads].tolist(), "weight")
        if note:
            figure.supxlabel(note, size=7)
    return figure


def _as_heads(weights):
    """Weights as an array (heads, L, S) of shares."""
    weights = arguments.as_array("attention: weights", weights)
    shape = weights.shape
    if weights.ndim == 4 and len(weights) == 1:
        weights = weights[0]
    weights = weights[None] if weights.ndim == 2 else weights
    if weights.ndim != 3 or not weights.size:
        raise ValueError(
            f"attention: weights has shape {shape}, expected (heads, L, S) of one sequence; pass weights[0], with average_attn_weights=False"
        )
    arguments.check_finite("attention: weights", weights)
    if weights.min() < 0 or weights.max() > 1 + 1e-3:
        raise ValueError(
            f"attention: weights go from {weights.min():.4g} to {weights.max():.4g}, expected shares from 0 to 1; take the softmax of "
            f"scores first"
        )
    if len(weights) > MOST_HEADS or max(weights.shape[1:]) > MOST_TOKENS:
        raise ValueError(
            f"attention: weights has shape {shape}, and one picture holds {MOST_HEADS} heads of {MOST_TOKENS} tokens; draw some of them"
        )
    return weights.astype(np.float64)


def _names(what, given, n):
    names = [str(name) for name in (range(n) if given is None else given)]
    if len(names) != n:
        raise ValueError(
            f"attention: {what} holds {len(names)}, and the weights are of {n}; pass one for each row (tokens) or column (keys)"
        )
    return names
