"""The subscripts of Einstein's sums."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def spelt_out(subscripts, ndims):
    """The operands' and the result's letters, with ``...`` spelt out and the result's put in where left out; and letters to spare.

    Parameters
    ----------
    subscripts : str
    ndims : sequence of int
        How many axes each operand has.

    Examples
    --------
    >>> spelt_out("...ij,j", [3, 1])[:2]
    (['Aij', 'j'], 'Ai')
    """
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        letters = left.replace(",", "").replace("...", "")
        right = "..." * ("..." in left) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    spare = [c for c in LETTERS if c not in subscripts]
    extra = [n - len(t) + 3 if "..." in t else 0 for t, n in zip(terms, ndims, strict=True)]
    dots = "".join(spare[: max(extra)])
    terms = [t.replace("...", dots[len(dots) - e :]) for t, e in zip(terms, extra, strict=True)]
    return terms, right.replace("...", dots), spare[len(dots) :]
