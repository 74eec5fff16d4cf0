"""Chinese texts, which have no blanks between words, as signs, with the one after each where the two often stand together."""

from collections import Counter
from itertools import pairwise

from nnscratch import arguments


def frequent_pairs(texts, least=10):
    """Pairs of signs that often stand side by side: most Chinese words are two signs.

    Parameters
    ----------
    texts : iterable of str
    least : int
        How often a pair has to stand there.

    Returns
    -------
    set of str
        Of letters, signs and digits alone.

    Raises
    ------
    TypeError, ValueError
        If `least` is no number of at least 1.

    Examples
    --------
    >>> sorted(frequent_pairs(["很好，很好", "不好"], least=2))
    ['很好']
    """
    least = arguments.count("frequent_pairs", "least", least)
    counts = Counter(first + second for text in texts for first, second in pairwise(text))
    return {pair for pair, count in counts.items() if count >= least and pair.isalnum()}


def sign_pairs(text, known):
    """Each sign of a text, with the sign after it where the two are known.

    Parameters
    ----------
    text : str
    known : set or dict
        The pairs, as `frequent_pairs` finds them; or a tokenizer's ``word_index``, which holds them.

    Returns
    -------
    list of str
        As many as signs.

    Examples
    --------
    >>> sign_pairs("我很好。", {"很好"})
    ['我', '很好', '好', '。']
    """
    return [text[i : i + 2] if text[i : i + 2] in known else sign for i, sign in enumerate(text)]
