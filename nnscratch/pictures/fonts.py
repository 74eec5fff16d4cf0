"""Signs that matplotlib's own font lacks, such as Chinese ones: a font of the machine that has them, or their numbers."""

import functools

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

#: Has a sign for every character, which says of what script it would be.
PLACEHOLDERS = "Last Resort"


def of(texts):
    """The texts as they can be drawn, a font for them, and what is to be said where there is none.

    Parameters
    ----------
    texts : sequence of str

    Returns
    -------
    texts : list of str
        With ``U+4F60`` for a character that no font has.
    font : matplotlib.font_manager.FontProperties
    note : str
        "", or that characters are shown by their numbers.

    Examples
    --------
    >>> texts, font, note = of(["a", "é"])
    >>> texts, note
    (['a', 'é'], '')
    """
    texts = list(map(str, texts))
    characters = frozenset("".join(texts)) - set("\n\t")
    font, missing = _font(characters, tuple(sorted(f.fname for f in font_manager.fontManager.ttflist)))
    for character in missing:
        texts = [text.replace(character, f"U+{ord(character):04X}") for text in texts]
    note = f"no font of this machine has {len(missing)} of the characters; they are shown by number" if missing else ""
    return texts, font, note


@functools.lru_cache
def _font(characters, files):
    """A font that has these characters, matplotlib's own where it does or no other has them all, and those that it lacks."""
    own = font_manager.FontProperties()
    missing = _missing(characters, font_manager.findfont(own))
    for file in files if missing else ():
        if PLACEHOLDERS.replace(" ", "") not in file and not _missing(characters, file):
            return font_manager.FontProperties(fname=file), ()
    return own, tuple(sorted(missing))


@functools.lru_cache(512)
def _missing(characters, file):
    try:
        names = FT2Font(file)
    except (OSError, RuntimeError):  # a font that cannot be read has nothing
        return characters
    if names.family_name.startswith(PLACEHOLDERS):
        return characters
    return characters - set(map(chr, names.get_charmap()))
