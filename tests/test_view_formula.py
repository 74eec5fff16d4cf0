"""Formulas as text and as outlines: every formula of the package, known texts, and fractions that keep their value."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch.autograd import OPS
from nnscratch.formulas import NOT_OPERATIONS
from nnscratch.view.formula import outline, text

OURS = sorted(
    {f for o in OPS.values() for f in (o.formula, o.derivative)}
    | {f for row in NOT_OPERATIONS for f in row[:2]}
    | {ns.optim.SGD.formula, ns.optim.Adam.formula}
)

KNOWN = {
    r"\frac{1}{1 + e^{-x}}": "1 / (1 + e^(-x))",
    r"\frac{e^{z_i}}{\sum_j e^{z_j}}": "e^(z_i) / (Σ_j e^(z_j))",
    r"L = -\frac{1}{n} \sum_i y_i \ln \hat y_i": "L = -(1 / n) Σ_i y_i ln ŷ_i",
    r"y = x W^\top + b": "y = x Wᵀ + b",
    r"\tfrac12 \ln \frac{1 + x}{1 - x}": "½ ln((1 + x) / (1 - x))",
    r"2\tfrac12": "2 (1 / 2)",
    r"\sqrt{x} + \sqrt{x + 1} + \sqrt{x^2} + \sqrt x^2 + \sqrt[3]{x}": "√x + √(x + 1) + √(x²) + (√x)² + ³√x",
    r"\frac{1}{n - d} \sum_i (x_i - \bar x)^2": "(1 / (n - d)) Σ_i (x_i - x̄)²",
    r"\left( \sum_i |x_i|^p \right)^{1/p}": "(Σ_i |x_i|^p)^(1/p)",
    r"a - b \lfloor \tfrac{a}{b} \rfloor": "a - b ⌊a / b⌋",
    r"y = 0, \quad y[\text{index}] \mathrel{+}= x": "y = 0,  y[index] += x",
    r"\operatorname{sign} x \quad (0 \text{ at } 0)": "sign x  (0 at 0)",
    r"\delta^{(l)} = W^{(l+1)\top} \delta^{(l+1)}": "δ^(l) = W^(l+1)ᵀ δ^(l+1)",
    r"\tfrac{\partial J}{\partial a^{(L)}} \odot \sigma'(z)": "(∂J / ∂a^(L)) ⊙ σ′(z)",
    r"\frac{\partial^2 f}{\partial x^2}": "∂²f / ∂x²",
    r"\frac{\frac{a}{b}}{\frac{c}{d}}": "(a / b) / (c / d)",
    r"\sum_{k \ge i} g_k \le \max_{u,v} x_{ij}": "Σ_(k ≥ i) g_k ≤ max_(u,v) x_ij",
    r"\frac{\ln x}{2} \frac{\prod_i x_i}{n}": "((ln x) / 2) ((Π_i x_i) / n)",
    r"x_i^{10} e^x y a^bc m_{t-1} y_ij": "x_i¹⁰ e^x y a^b c m_(t-1) y_i j",
    r"\overline{x^2} \vec{ab} \tilde x": "overline(x²) vec(ab) x̃",
    r"\text{by } x\text{: conv2d\_input, or } \text{not}": "by x: conv2d_input, or not",
    r"P(x \mid y) = P(x | y) \mathbf{w}": "P(x | y) = P(x | y) w",
    r"\lambda + \varepsilon \Omega \to \infty": "λ + ε Ω → ∞",
}
KNOWN[r"\frac{a}{b} / c \cdot \frac{d}{e}"] = "(a / b) / c · (d / e)"


@pytest.mark.parametrize("latex", KNOWN)
def test_known_texts(latex):
    assert text(latex) == KNOWN[latex]


def test_every_formula_of_the_package_has_a_text_without_latex_and_an_outline():
    for latex in OURS:
        said, drawn = text(latex), outline(latex)
        assert not re.search(r"[\\{}]", said), (latex, said)
        assert "  " not in said.replace(",  ", "").replace(";  ", "").replace("  (", "").replace("  t", ""), said
        assert not latex or (drawn.width > 1 and drawn.height > 4 and drawn.depth >= 0)
        assert drawn.text == said and drawn.latex == latex
        assert not latex or drawn.markup.startswith("<path"), latex
        ElementTree.fromstring(drawn.svg())


def test_mathtext_sets_every_formula_of_the_package(monkeypatch):
    """None is drawn as its text: that would be one line, where mathtext stacks fractions and raises powers."""
    from matplotlib import textpath

    def set_as_text(prop, s, ismath=False):
        assert s[0] == s[-1] == "$", s
        return original(prop, s, ismath)

    original = textpath.text_to_path.get_text_path
    monkeypatch.setattr(textpath.text_to_path, "get_text_path", set_as_text)
    outline.cache_clear()
    for latex in OURS:
        outline(latex, 13)


@pytest.mark.parametrize("latex", ["\\", "{", "x^", "\\frac{1}", "\\begin{cases} a & b \\end{cases}", "a } b", "\\left( x",
                                   "\\unheard{x}", "$", "\\text{", "x_", "\\sqrt", "{" * 3000, "100%", "\\frac", "&<>\"'"])  # fmt: skip
def test_what_cannot_be_read_is_shown_as_it_is(latex):
    assert text(latex) == latex
    drawn = outline(latex[:80])
    assert drawn.width > 0 and ElementTree.fromstring(drawn.svg()) is not None


@given(st.text(alphabet=r"\{}^_xy12()[]|/+-=,' $%&fracsqrtlehigt", max_size=30))
def test_no_formula_fails(latex):
    assert isinstance(text(latex), str)
    ElementTree.fromstring(outline(latex).svg())


def test_letters_that_the_fonts_lack_are_left_to_the_page():
    drawn = outline(r"\text{损失} = x")
    assert drawn.text == "损失 = x" and "<text" in drawn.svg() and drawn.width >= 4 * 14 * 0.75


def test_the_fonts_of_a_user_are_not_looked_at():
    import matplotlib

    plain = outline("x^2 + 1", 17).markup
    outline.cache_clear()
    with matplotlib.rc_context({"mathtext.fontset": "cm", "font.family": "monospace", "text.usetex": True}):
        assert outline("x^2 + 1", 17).markup == plain


NAMES = {"x": 1.7, "y": 0.6, "a": 2.3, "n": 3.1}


def combined(inner):
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda p: (rf"\frac{{{p[0][0]}}}{{{p[1][0]}}}", lambda: p[0][1]() / p[1][1]())),
        two.map(lambda p: (rf"\tfrac{{{p[0][0]}}}{{{p[1][0]}}}", lambda: p[0][1]() / p[1][1]())),
        two.map(lambda p: (rf"\left( {p[0][0]} + {p[1][0]} \right)", lambda: p[0][1]() + p[1][1]())),
        two.map(lambda p: (rf"({p[0][0]} - {p[1][0]})", lambda: p[0][1]() - p[1][1]())),
        two.map(lambda p: (rf"{p[0][0]} {p[1][0]}", lambda: p[0][1]() * p[1][1]())),
        two.map(lambda p: (rf"{p[0][0]} \cdot {p[1][0]}", lambda: p[0][1]() * p[1][1]())),
        inner.map(lambda p: (rf"\sqrt{{{p[0]}}}", lambda: math.sqrt(abs(p[1]())))),
        inner.map(lambda p: (rf"\left({p[0]}\right)^2", lambda: p[1]() ** 2)),
        inner.map(lambda p: (rf"e^{{{p[0]}}}", lambda: math.exp(min(p[1](), 50)))),
        inner.map(lambda p: (rf"\tan({p[0]})", lambda: math.tan(p[1]()))),
    )


LEAVES = st.sampled_from(sorted(NAMES)).map(lambda name: (name, lambda: NAMES[name])) | st.just(
    (r"\tfrac12", lambda: 0.5)
)


def evaluated(said, tight):
    """The value of a text as a reader may take it: a product without a sign holds as `/` does, or tighter."""
    for mark, stands in {"²": "^(2)", "·": "*", "½": "(0.5)"}.items():
        said = said.replace(mark, stands)
    tokens = re.findall(r"tan|[a-z]|[\d.]+|[-+*/^()√]", said)
    at = 0

    def peek():
        return tokens[at] if at < len(tokens) else ""

    def take():
        nonlocal at
        at += 1
        return tokens[at - 1]

    def total():
        value = product()
        while peek() in ("+", "-"):
            value = value + product() if take() == "+" else value - product()
        return value

    def product():
        value = beside()
        while peek() not in ("", ")", "+", "-"):
            sign = take() if peek() in "*/" else "*"
            value = value / beside() if sign == "/" else value * beside()
        return value

    def beside():
        value = power()
        while tight and peek() not in ("", ")", "+", "-", "*", "/"):
            value *= power()
        return value

    def power():
        base = factor()
        if peek() == "^":
            take()
            return math.exp(min(factor(), 50)) if base is math.e else base ** factor()
        return base

    def factor():
        token = take()
        if token == "(":
            value = total()
            assert take() == ")"
            return value
        if token == "√":
            return math.sqrt(abs(power()))
        if token == "tan":
            return math.tan(factor())
        return math.e if token == "e" else NAMES[token] if token in NAMES else float(token)

    value = total()
    assert at == len(tokens), said
    return value


@pytest.mark.parametrize("tight", [False, True])
@given(expression=st.recursive(LEAVES, combined, max_leaves=8))
def test_fractions_keep_their_value_in_a_line(expression, tight):
    latex, value = expression
    try:
        expected = value()
    except (OverflowError, ZeroDivisionError):
        return
    assert evaluated(text(latex), tight) == pytest.approx(expected, rel=1e-6), (latex, text(latex))
