"""Texts written one way: one form of each character, one kind of blank, of quotation mark and of dash."""

import html
import re
import unicodedata

from nnscratch import arguments

#: What the bytes of Windows-1252 were that, read as Latin-1, are controls; nothing for those that it leaves free.
WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
_ASCII = dict.fromkeys(map(ord, "‘’‚‛′"), "'") | dict.fromkeys(map(ord, "“”„‟″«»"), '"')
_ASCII |= dict.fromkeys(map(ord, "‐‑‒–—―−"), "-") | {ord("…"): "..."}
#: Signs that are not seen: controls that are no white space, soft hyphen, blank of no width, byte-order mark.
_UNSEEN = dict.fromkeys([c for c in (*range(0x20), 0x7F) if not chr(c).isspace()] + [0xAD, 0x200B, 0x2060, 0xFEFF])
#: What is joined to a word by an apostrophe, as the Penn Treebank parts it (Marcus et al., 1993).
_CONTRACTION = re.compile(r"(?<=\w)(n't|'(?:s|m|d|re|ve|ll))\b", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.DOTALL)


def clean(text, lower=False, accents=True, markup=False, contractions=False):
    r"""A text with one form of each character, one kind of quotation mark and dash, and single blanks.

    Characters are composed (Unicode's form NFC). Quotation marks, apostrophes and dashes become ``"``, ``'`` and ``-``, an ellipsis
    three points: "don’t" and "don't" are one word. Controls that come of text in Windows-1252 read as Latin-1 become what they
    were, others are left out, and so are soft hyphens and byte-order marks. White space of any kind and length, ends of lines
    among it, becomes one blank, and none at the ends.

    Parameters
    ----------
    text : str
    lower : bool
        Whether to make all letters small.
    accents : bool
        Whether to keep what stands above and below letters; without, é becomes e.
    markup : bool
        Whether the text has HTML's tags, which become blanks, and entities such as ``&amp;``, which become their characters.
    contractions : bool
        Whether to part them as those texts were on which word vectors such as GloVe's were trained: "don't" becomes "do n't", and
        "it's" becomes "it 's".

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If `text` is no str, or a setting is neither True nor False.

    Examples
    --------
    >>> clean("  “Don’t”\r\n stop \x96 caf\u0065\u0301 ")
    '"Don\'t" stop - café'
    >>> clean("Good<br />&amp; Più", lower=True, accents=False, markup=True)
    'good & piu'
    """
    if not isinstance(text, str):
        raise TypeError(f"clean: text is a {type(text).__name__}, expected a str; clean one text at a time")
    if arguments.flag("clean", "markup", markup):
        text = html.unescape(_TAG.sub(" ", text))
    text = text.translate(WINDOWS).translate(_ASCII).translate(_UNSEEN)
    if not arguments.flag("clean", "accents", accents):
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    if arguments.flag("clean", "lower", lower):
        text = text.lower()
    if arguments.flag("clean", "contractions", contractions):
        text = _CONTRACTION.sub(r" \1", text)
    return " ".join(unicodedata.normalize("NFC", text).split())
