"""Shakespeare's text for the systems that write: its tokens, and what of it is held out."""

import re

import numpy as np

from nnscratch import data

#: A word with its apostrophes, a mark, or the end of a line.
TOKEN = re.compile(r"[\w']+|[^\w\s]|\n")
#: Blocks of so many lines, of which every tenth is held out.
BLOCK = 40
#: Marks before which there is no blank, and those behind which there is none.
CLOSING, OPENING = set(".,;:!?)]\n"), set("([\n")


def split_lines(text):
    """The lines to learn from, and those held out: the last of every ten blocks of 40 lines.

    Examples
    --------
    >>> train, test = split_lines("line\\n" * 800)
    >>> len(train), len(test)
    (720, 80)
    """
    lines = text.splitlines(keepends=True)
    return tuple(
        [line for n, line in enumerate(lines) if (n // BLOCK % 10 == 9) == held_out] for held_out in (False, True)
    )


def split_play(full):
    """The lines of Hamlet, or of all works, without what stands before the first act."""
    text = data.shakespeare(sample=not full)
    return split_lines(text if full else text[text.index("ACT I.") :])


def tokens(text):
    r"""Words, marks and ends of lines, in small letters.

    Examples
    --------
    >>> tokens("To be, or\nnot to be!")
    ['to', 'be', ',', 'or', '\n', 'not', 'to', 'be', '!']
    """
    return TOKEN.findall(text.lower())


def join(words):
    r"""A text of tokens, with blanks where there usually are some.

    Examples
    --------
    >>> join(tokens("To be, or\nnot to be!"))
    'to be, or\nnot to be!'
    """
    text = ""
    for word in words:
        text += word if not text or word in CLOSING or text[-1] in OPENING else f" {word}"
    return text


def frequency_perplexity(train, test, vocabulary):
    r"""How many tokens one guesses among, on average, by their frequencies alone.

    .. math:: e^{-\frac{1}{n} \sum_i \ln p(y_i)}, \qquad p(y) = \frac{c_y + 1/2}{\sum_k (c_k + 1/2)}

    with the counts c in `train`; half is added so that a token that is new in `test` is possible.

    Examples
    --------
    >>> round(frequency_perplexity(np.array([0, 1] * 500), np.array([0, 1]), 2), 6)
    2.0
    """
    counts = np.bincount(train.ravel(), minlength=vocabulary) + 0.5
    return float(np.exp(-np.log(counts / counts.sum())[test.ravel()].mean()))


def markov_perplexity(train, test, order, vocabulary):
    r"""How many tokens a Markov chain guesses among, on average, which looks back `order` tokens.

    .. math:: p_k(y) = \frac{c_{k, y} + t_k\, p_{k - 1}(y)}{\sum_z c_{k, z} + t_k}, \qquad p_{-1}(y) = 1 / V

    with the counts c of what came in `train` after the last k tokens, and t of how many different ones (Witten & Bell, 1991).

    Examples
    --------
    >>> train = np.array([1, 2, 1, 3] * 250)
    >>> round(markov_perplexity(train, train, 0, 4), 3), round(markov_perplexity(train, train, 2, 4), 3)
    (2.831, 1.001)
    """
    p, before = np.full(len(test), 1 / vocabulary), [np.zeros(len(tokens), np.int64) for tokens in (train, test)]
    for k in range(order + 1):
        for codes, tokens in zip(before, (train, test), strict=True):
            if k:  # 0 stands for what is before the beginning
                codes[k:] += tokens[:-k].astype(np.int64) * vocabulary ** (k - 1)
        after = [codes * vocabulary + tokens for codes, tokens in zip(before, (train, test), strict=True)]
        pairs, counts = np.unique(after[0], return_counts=True)
        contexts, begins, types = np.unique(pairs // vocabulary, return_index=True, return_counts=True)
        count = _found(pairs, counts, after[1])
        total, types = (_found(contexts, values, before[1]) for values in (np.add.reduceat(counts, begins), types))
        p = np.where(total > 0, (count + types * p) / np.maximum(total + types, 1), p)
    return float(np.exp(-np.log(p).mean()))


def _found(keys, values, wanted):
    """The values of the keys that are wanted, 0 where there is none; the keys are in order."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
