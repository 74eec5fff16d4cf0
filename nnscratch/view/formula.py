"""Formulas, which stand beside operations as LaTeX, as text for a terminal and as outlines for a page.

The text is our own: of the libraries on PyPI that write LaTeX in Unicode, pylatexenc and flatlatex lose the brackets around
fractions (``\\frac{a}{b c}`` as ``a/b c``, ``\\frac{a+1}{b} x`` as ``(a+1)/bx``), and unicodeit has no fractions.
"""

import functools
import html
import math
import re
import unicodedata


def _pairs(words):
    words = words.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_GREEK = _pairs("lambda λ epsilon ϵ varepsilon ε phi ϕ varphi φ vartheta ϑ varrho ϱ")
_SYMBOLS = _pairs(
    "infty ∞ ell ℓ top ᵀ prime ′ ldots … dots … cdots ⋯ vdots ⋮ emptyset ∅ hbar ħ circ ° % % $ $ # # & & _ _"
)
_RELATIONS = _pairs(
    "le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ approx ≈ equiv ≡ sim ~ leftarrow ← gets ← rightarrow → to → mapsto ↦ Rightarrow ⇒ "
    "propto ∝ iff ⇔ in ∈ notin ∉ subset ⊂ ll ≪ gg ≫ mid | colon :"
)
_SUMS = _pairs("pm ± mp ∓ oplus ⊕ cup ∪ wedge ∧ land ∧ vee ∨ lor ∨")
_PRODUCTS = _pairs("cdot · times × odot ⊙ otimes ⊗ div ÷ ast * star ⋆ cap ∩")
_PREFIXES = _pairs("partial ∂ nabla ∇ neg ¬ lnot ¬ Delta Δ forall ∀ exists ∃")
_BIG = _pairs("sum Σ prod Π int ∫ oint ∮ bigcup ⋃ bigcap ⋂")
_WORDS = set(
    "arccos arcsin arctan arg cos cosh cot det dim erf exp gcd inf lim ln log max min mod sec sin sinh sup tan tanh".split()
)
_OPEN = _pairs("lfloor ⌊ lceil ⌈ langle ⟨ lvert | lVert ‖ { { lbrack [")
_CLOSE = _pairs("rfloor ⌋ rceil ⌉ rangle ⟩ rvert | rVert ‖ } } rbrack ]")
_ACCENTS = {  # combining signs
    **dict.fromkeys(("hat", "widehat"), "\u0302"),
    **dict.fromkeys(("bar", "overline"), "\u0304"),
    **dict.fromkeys(("tilde", "widetilde"), "\u0303"),
    "vec": "\u20d7",
    "dot": "\u0307",
    "ddot": "\u0308",
    "check": "\u030c",
}
_FONTS = set("mathbf mathit boldsymbol bm mathbb mathcal mathsf mathfrak mathnormal".split())
_BLANK, _THIN, _WIDE = 1, 2, 3
_SPACES = {"quad": _WIDE, "qquad": _WIDE, ",": _THIN, ";": _THIN, ":": _THIN, " ": _THIN, "!": 0, ">": _THIN}
_NOTHING = set("textstyle displaystyle scriptstyle limits nolimits big Big bigg Bigg bigl bigr Bigl Bigr".split())
_HALVES = {("1", "2"): "½", ("1", "4"): "¼", ("3", "4"): "¾"}
_SUPERSCRIPTS = str.maketrans("-+0123456789", "⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@functools.lru_cache(2048)
def text(latex):
    """A formula as a line of Unicode text, with the brackets that a fraction needs in a line.

    Parameters
    ----------
    latex : str

    Returns
    -------
    str
        What cannot be read comes back as it is.

    Examples
    --------
    >>> text(r"\\frac{1}{1 + e^{-x}}"), text(r"\\frac{1}{n} \\sum_i (y_i - \\hat y_i)^2")
    ('1 / (1 + e^(-x))', '(1 / n) Σ_i (y_i - ŷ_i)²')
    """
    try:
        return unicodedata.normalize("NFC", _written(_Reader(latex).pieces()).strip())
    except (_UnreadableError, RecursionError):
        return latex


class _UnreadableError(Exception):
    pass


class _Piece:
    """A part of a formula: its text and what it is to its neighbours.

    Kinds: atom (a bracket, too), group, fraction, root, word (a function's), big (Σ and the like), prefix, sum and product (their
    signs), relation, comma, text, space. `script` is "^" or "_" where it ends in one that a letter behind it would seem part of.
    """

    def __init__(self, text, kind, script="", parts=()):
        self.text, self.kind, self.script, self.parts = text, kind, script, parts


class _Reader:
    """Reads LaTeX into pieces."""

    def __init__(self, latex):
        self.tokens = re.findall(r"\\(?:[A-Za-z]+|.)|\s+|.", latex, re.DOTALL)
        self.at = 0
        self.tight = 0  # in how many scripts

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self):
        token = self.peek()
        if token is None:
            raise _UnreadableError
        self.at += 1
        return token

    def skip(self):
        while (self.peek() or "x").isspace():
            self.at += 1

    def pieces(self, until=None):
        """The pieces up to a token that `until` holds for, which is read, or to the end."""
        pieces: list = []
        while self.peek() is not None:
            if until and until(self):
                return pieces
            piece = self.piece()
            if piece is not None:
                pieces.append(piece)
        if until:
            raise _UnreadableError
        return pieces

    def piece(self):
        token = self.next()
        if token.isspace():
            return _Piece(_BLANK, "space")
        if token == "~":
            return _Piece(_THIN, "space")
        if token in "^_":
            raise _UnreadableError  # a script of nothing
        piece = self.command(token[1:]) if token[0] == "\\" else self.primary(token)
        return piece if piece is None or piece.kind == "space" else self.scripts(piece)

    def primary(self, token):
        if token == "{":
            inside = self.pieces(lambda reader: reader.take("}"))
            return inside[0] if len(inside) == 1 else _Piece(_written(inside), "group", parts=inside)
        if token in "([":
            return self.bracket(token)
        if token == "|":
            return self.bars()
        if token in ")]}&#%$\\":
            raise _UnreadableError
        if token in "+-−":
            return _Piece(token, "sum")
        if token in "=<>:;":
            return _Piece(token, "relation")
        if token == ",":
            return _Piece(token, "comma")
        if token in "*/·×":
            return _Piece(token, "product")
        if token.isdecimal():
            while re.fullmatch(r"\d|\.", self.peek() or ""):
                token += self.next()
        return _Piece(token, "atom")

    def command(self, name):
        if name in ("frac", "tfrac", "dfrac", "cfrac"):
            return self.fraction()
        if name == "sqrt":
            return self.root()
        if name in ("text", "textrm", "textit", "textbf", "mbox"):
            return _Piece(self.words(), "text")
        if name in ("operatorname", "mathrm", "mathop"):
            word = _written(self.argument(), True).strip()
            return _Piece(word, "word" if len(word) > 1 else "atom")
        if name in ("mathrel", "mathbin"):
            return _Piece(_written(self.argument(), True).strip(), "relation")
        if name in _FONTS:
            return _Piece(_written(self.argument()), "atom")
        if name in _ACCENTS:
            base = _written(self.argument())
            accented = unicodedata.normalize("NFC", base + _ACCENTS[name])
            return _Piece(accented if len(base) == 1 else f"{name}({base})", "atom")
        if name == "left":
            return self.bracket(self.delimiter(), paired=True)
        if name in _OPEN:
            return self.bracket(_OPEN[name])
        if name in _SPACES:
            return _Piece(_SPACES[name], "space")
        if name in _NOTHING:
            return None
        for kind, table in _TABLES.items():
            if name in table:
                self.skip()
                self.at -= kind != "prefix" and self.tokens[self.at - 1].isspace()
                return _Piece(table[name], kind)
        if name in _WORDS:
            return _Piece(name, "word")
        return _Piece(_letter(name), "atom")

    def scripts(self, piece):
        """A piece with what stands below and above it."""
        below = above = ""
        start = self.at
        while True:
            self.skip()
            if (self.peek() or "x") not in "^_'":
                break
            mark = self.next()
            if mark == "'":
                piece.text += "′"
            else:
                self.tight += 1
                if mark == "_":
                    below += _below(_written(self.argument(), True))
                else:
                    above += self.above()
                self.tight -= 1
            start = self.at
        self.at = start
        if (below or above) and piece.kind in ("fraction", "root", "group"):
            piece = _Piece(f"({piece.text})", "atom")
        piece.text += below + above
        piece.script = "^" if above[:1] == "^" else "_" if below[:1] == "_" else piece.script
        return piece

    def above(self):
        pieces = self.argument()
        transposed = "".join(pieces.pop().text for _ in range(bool(pieces) and pieces[-1].text == "ᵀ"))
        inner = _written(pieces, True)
        if re.fullmatch(r"[-+]?\d+", inner):
            return inner.translate(_SUPERSCRIPTS) + transposed
        bracket = (
            inner[:1] + inner[-1:] == "()" and len(pieces) == 1 and pieces[0].kind == "atom" and not pieces[0].script
        )
        alone = len(inner) == 1 or bracket
        return (f"^{inner}" if alone else f"^({inner})" if inner else "") + transposed

    def argument(self):
        """The pieces of what a command or a script takes: a group, or one token."""
        self.skip()
        token = self.next()
        if token == "{":
            return self.pieces(lambda reader: reader.take("}"))
        if token[0] == "\\":
            piece = self.command(token[1:])
            return [] if piece is None else [piece]
        return [_Piece(token, "atom") if token.isdecimal() else self.primary(token)]

    def take(self, wanted):
        found = self.peek() == wanted
        self.at += found
        return found

    def words(self):
        self.skip()
        if self.next() != "{":
            raise _UnreadableError
        depth, said = 1, ""
        while True:
            token = self.next()
            depth += (token == "{") - (token == "}")
            if not depth:
                return said
            if token == "$":  # mathematics within words
                said += _written(self.pieces(lambda reader: reader.take("$")))
            elif token[0] == "\\":
                said += (
                    " "
                    if token[1:] in _SPACES
                    else _SYMBOLS.get(token[1:]) or {"{": "{", "}": "}"}.get(token[1:], token)
                )
            elif token not in "{}":
                said += " " if token.isspace() or token == "~" else token

    def delimiter(self):
        self.skip()
        token = self.next()
        name = token[1:] if token[0] == "\\" else token
        return "" if name == "." else _OPEN.get(name, _CLOSE.get(name, name))

    def bracket(self, opening, paired=False):
        closing = ""

        def closes(reader):
            nonlocal closing
            token = reader.peek()
            if paired:
                if token == "\\right":
                    reader.next()
                    closing = reader.delimiter()
                    return True
            elif token in (")", "]") or (token[1:] in _CLOSE and token[0] == "\\"):
                closing = reader.delimiter()
                return True
            return False

        inside = _written(self.pieces(closes), self.tight > 0).strip()
        return _Piece(f"{opening}{inside}{closing}", "atom")

    def bars(self):
        """|x| is a bracket; a bar that none follows is that of a condition."""
        start = self.at
        try:
            inside = _written(self.pieces(lambda reader: reader.take("|"))).strip()
            return _Piece(f"|{inside}|", "atom")
        except _UnreadableError:
            self.at = start
            return _Piece("|", "relation")

    def fraction(self):
        over, under = self.argument(), self.argument()
        a, b = _written(over).strip(), _written(under).strip()
        if (a, b) in _HALVES:
            return _Piece(_HALVES[a, b], "fraction", parts=(a, b))
        a = f"({a})" if _binds(over) not in ("atom", "product") else a
        b = b if _binds(under) == "atom" else f"({b})"
        return _Piece(f"{a} / {b}", "fraction", parts=(a, b))

    def root(self):
        degree = ""
        if self.take("["):
            degree = _written(self.pieces(lambda reader: reader.take("]")), True).translate(_SUPERSCRIPTS)
        pieces = self.argument()
        inner = _written(pieces).strip()
        simple = len(pieces) == 1 and pieces[0].kind == "atom" and pieces[0].script != "^" and "²" not in inner
        simple = simple and not any(mark in inner for mark in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ")
        return _Piece(f"{degree}√{inner}" if simple else f"{degree}√({inner})", "root")


_TABLES = {"relation": _RELATIONS, "sum": _SUMS, "product": _PRODUCTS, "prefix": _PREFIXES, "big": _BIG}


def _letter(name):
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    if name in _GREEK:
        return _GREEK[name]
    size = "SMALL" if name.islower() else "CAPITAL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name.upper()}")
    except KeyError:
        raise _UnreadableError from None


def _below(inner):
    if inner.isdecimal():
        return inner.translate(_SUBSCRIPTS)
    return f"_{inner}" if inner.isalnum() and inner[-1] not in "₀₁₂₃₄₅₆₇₈₉" else f"_({inner})" if inner else ""


def _binds(pieces):
    """How tightly a line of pieces holds together: as an atom, a product, or less."""
    pieces = [p for p in pieces if p.kind != "space"]
    kinds = [p.kind for p in pieces]
    if len(pieces) == 1 and kinds[0] == "group":
        return _binds(pieces[0].parts)
    if len(pieces) == 1 and (kinds[0] in ("atom", "root", "word") or re.fullmatch(r"\w+", pieces[0].text)):
        return "atom"
    if kinds == ["prefix", "atom"] or (kinds == ["word", "atom"] and pieces[1].text[0] == "("):
        return "atom"
    plain = all(k in ("atom", "root", "product", "prefix", "group") for k in kinds if k != "text")
    worded = all(re.fullmatch(r"[\w\s]*", p.text) for p in pieces if p.kind == "text")
    loose = any(p.kind == "group" and _binds(p.parts) not in ("atom", "product") for p in pieces)
    return "product" if plain and worded and not loose else "sum"


def _written(pieces, tight=False):
    """Pieces in a line; `tight` keeps the source's spaces about operators, as in a script."""
    out, before, gap, wanted = "", None, 0, None
    for i, p in enumerate(pieces):
        if p.kind == "space":
            gap = max(gap, p.text)
            continue
        infix, after = False, None
        if p.kind in ("sum", "relation", "product") and not tight and p.text not in ("*", "/", ":", ";"):
            infix = before is not None and before.kind not in ("sum", "comma", "product", "big", "prefix", "word")
            infix = p.kind != "sum" or (infix and before.kind != "relation" and gap != _WIDE)
            after = " " if infix else ""
        elif p.kind == "prefix" or (p.kind == "comma" and not tight):
            after = "" if p.kind == "prefix" else " "
        said = p.text
        if p.kind == "fraction":
            following = next((q for q in pieces[i + 1 :] if q.kind != "space" or q.text == _WIDE), None)
            said = _beside(p, None if gap == _WIDE else before, following)
        if before is None or not said:
            between = ""
        elif gap == _WIDE:
            between = "  "
        elif p.kind == "comma" or before.kind == p.kind == "relation" or " " in (said[0], out[-1:]):
            between = ""
        elif infix or wanted is not None:
            between = " " if infix else wanted
        else:
            between = " " * _apart(before, p, said, gap)
        joins = before is not None and before.kind == p.kind == "relation"
        out = (out.rstrip() if joins else out) + between + said
        before, gap, wanted = p, 0, after
    return out


def _apart(before, piece, said, gap):
    """Whether a space stands between two pieces: as the source has it, or as telling them apart needs it."""
    alphanumeric = said[0].isalnum() and before.text[-1:].isalnum()
    if "text" in (before.kind, piece.kind) and gap == _BLANK:
        return alphanumeric  # TeX passes a blank over
    if before.kind == "word" and piece.kind == "fraction" and not before.script:
        return False
    if gap or "fraction" in (before.kind, piece.kind):
        return True
    if piece.kind in ("sum", "product", "relation", "comma", "text") or before.kind in ("sum", "product", "relation"):
        return False
    runs_on = alphanumeric and (before.script or "word" in (before.kind, piece.kind))
    return bool(runs_on) or before.script == "^" or before.kind == "big"


def _beside(fraction, before, after):
    """A fraction in its place: in brackets beside a factor or under a function."""
    held = ("atom", "fraction", "root", "word", "big", "product", "prefix", "group")
    if len(fraction.text) == 1:
        mixed = before is not None and before.kind != "big" and before.kind in held
        return "({} / {})".format(*fraction.parts) if mixed else fraction.text
    beside = any(p is not None and p.kind in held for p in (before, after))
    return f"({fraction.text})" if beside else fraction.text


class Outline:
    """A formula typeset as the outlines of its signs, which look the same on every page and need no font.

    Attributes
    ----------
    latex, text : str
        The formula, and what `text` makes of it.
    width, height, depth : float
        In pixels: the height is above the line on which the formula stands, the depth below it.
    markup : str
        SVG that draws it in the current colour, from the left end of that line as its origin.
    """

    def __init__(self, latex, said, width, height, depth, markup):
        self.latex, self.text, self.markup = latex, said, markup
        self.width, self.height, self.depth = width, height, depth

    def svg(self):
        """A whole ``<svg>`` to stand in a line of HTML, in the colour and on the line of the words around it."""
        w, h, d = self.width, self.height, self.depth
        label = html.escape(self.text)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{w:g}" height="{h + d:g}" '
            f'viewBox="0 {-h:g} {w:g} {h + d:g}" style="vertical-align:{-d:g}px"><title>{label}</title>{self.markup}</svg>'
        )


@functools.lru_cache(2048)
def outline(latex, size=14):
    """A formula typeset by matplotlib's mathtext.

    Parameters
    ----------
    latex : str
        What mathtext cannot set is drawn as its `text`; signs that its fonts lack make it an SVG ``<text>``.
    size : float
        Of the letters, in pixels.

    Returns
    -------
    Outline

    Examples
    --------
    >>> fraction = outline(r"\\frac{1}{1 + e^{-x}}", 14)
    >>> fraction.text, fraction.width > 40, fraction.depth > 5
    ('1 / (1 + e^(-x))', True, True)
    """
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    said = text(latex)
    if not said.strip():
        return Outline(latex, said, 0, 0, 0, "")
    font = FontProperties(family="DejaVu Sans", math_fontfamily="stix")
    # A user's settings must not reach in: usetex needs a LaTeX, and another font may lack what this one has.
    with matplotlib.rc_context({"text.usetex": False, "mathtext.fallback": "stixsans"}):
        try:
            path = TextPath((0, 0), f"${_for_mathtext(latex)}$", size=size, prop=font) if _has(said, font) else None
        except (ValueError, RuntimeError, RecursionError):
            path = TextPath((0, 0), said.replace("$", r"\$"), size=size, prop=font)
    if path is None or not len(path.vertices):
        wide = sum(1.1 if unicodedata.east_asian_width(c) in "WF" else 0.75 for c in said) * size
        markup = f'<text font-family="DejaVu Sans, Verdana, sans-serif" font-size="{size:g}" fill="currentColor">'
        return Outline(latex, said, math.ceil(wide), size, 0.3 * size, f"{markup}{html.escape(said)}</text>")
    (left, low), (right, high) = path.get_extents().get_points()
    drawn = "".join(
        "Z"
        if code == path.CLOSEPOLY
        else "MLQC"[code - 1] + " ".join(f"{-v if i % 2 else v - left:.4g}" for i, v in enumerate(at))
        for at, code in path.iter_segments(simplify=False)
    )
    return Outline(
        latex,
        said,
        math.ceil(right - left),
        math.ceil(max(high, 0) + 1),
        math.ceil(max(-low, 0) + 1),
        f'<path fill="currentColor" d="{drawn}"/>',
    )


#: What mathtext calls otherwise or does not know.
_MATHTEXT = [
    (r"\\frac(?![A-Za-z])", r"\\dfrac"),
    (r"\\tfrac(?![A-Za-z])", r"\\frac"),
    (r"\\le(?![A-Za-z])", r"\\leq"),
    (r"\\ge(?![A-Za-z])", r"\\geq"),
    (r"\\ne(?![A-Za-z])", r"\\neq"),
    (r"\\gets(?![A-Za-z])", r"\\leftarrow"),
    (r"\\(?:textstyle|displaystyle|limits|nolimits)(?![A-Za-z])", ""),
    (r"\\math(?:rel|bin)\{([^{}]*)\}(=?)", r"{\1}{\2}"),
    (r"\\top(?![A-Za-z])", r"\\mathsf{T}"),
    (r"\\bm(?![A-Za-z])", r"\\boldsymbol"),
    (r"\\lvert|\\rvert", "|"),
    # Arguments in braces, as mathtext wants them.
    (r"\\(d?frac)\s*(\d)\s*(\d)", r"\\\1{\2}{\3}"),
    (r"\\sqrt\s*(\\[A-Za-z]+|\w)", r"\\sqrt{\1}"),
]


def _for_mathtext(latex):
    for pattern, instead in _MATHTEXT:
        latex = re.sub(pattern, instead, latex)
    return latex


def _has(said, font):
    """Whether the font has a sign for every letter."""
    from matplotlib.font_manager import findfont, get_font

    return all(ord(c) in get_font(findfont(font)).get_charmap() for c in said if not c.isspace())
