r"""The numbers put in: for one element of a result or of a gradient, the operation's formula with its numbers, as LaTeX.

Each operation whose sums can be written out has a line for its result in `RESULTS` and one for each input in
`GRADIENTS`; an operation that works element by element needs none, as its own formula says it.
"""

import re

import numpy as np

from nnscratch.autograd import OPS
from nnscratch.ops.cross_entropy import distributions

#: How many products of a sum are written before the rest becomes an ellipsis.
TERMS = 4

RESULTS: dict = {}
GRADIENTS: dict = {}


#: What stands between the formulas of several results, and between the derivatives by several inputs.
BETWEEN = r"[,;] \\quad "


def result(step, index, which=0):
    r"""The formula of one element of a step's result with the numbers put in, or "" where none can be written.

    Of several results `which` is meant; their formulas stand one after another in the operation's.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch.view.computation import Computation
    >>> w = ns.tensor([0.5, -0.25], requires_grad=True)
    >>> steps = Computation(ns.mean(w * ns.tensor([2.0, 4.0]))).steps
    >>> print(result(steps[0], (1,)), "and", result(steps[1], ()))
    -0.25 \cdot 4 and \frac{1}{2} (1 + (-1))
    """
    x = _inputs(step)
    if any(a is None for a in x.values()) or step.results[which].array is None:
        return ""
    if step.op.name in RESULTS and which == 0:
        return _plain_start(RESULTS[step.op.name](x, index, step))
    numbers = _element(step, x, index, which)
    formulas = re.split(BETWEEN, step.op.formula) if step.op.outputs else [step.op.formula]
    if numbers is None or len(formulas) != len(step.results):
        return ""
    return _put_in(formulas[which].split("=", 1)[-1], numbers)


def gradient(step, position, index):
    """The rule for one element of the gradient by an input with the numbers put in, or ""."""
    x = _inputs(step)
    came = [v.gradient for v in step.results]
    g = came[0]
    if any(a is None for a in x.values()) or all(d is None for d in came):
        return ""
    by = step.op._input_name(position)
    if step.op.name in GRADIENTS and all(d is None for d in came[1:]):
        rules = GRADIENTS[step.op.name]
        return _plain_start(rules[by](x, g, index, step)) if by in rules else ""
    numbers = _element(step, x, index)
    rules = derivatives(step.op)
    if numbers is None or by not in rules or any(v.shape != x[by].shape for v in step.results):
        return ""
    rule, _, remark = rules[by].partition(r"\quad")
    if "=" in remark:  # a letter of its own is explained there
        return ""
    if step.op.outputs:  # the gradients by its results stand in the rule
        letters = {name: chr(0x4E00 + k) for k, name in enumerate(step.op.outputs)}
        numbers |= {letters[n]: 0 if d is None else d[index] for n, d in zip(step.op.outputs, came, strict=True)}
        return _plain_start(_put_in(_with_letters(rule.strip().split(" = ")[0], letters), numbers))
    inner = _put_in(rule.strip().split(" = ")[0], numbers)
    return _plain_start(rf"{number(g[index])} \cdot {_bracketed(inner)}")


def derivatives(op, derivative=None):
    r"""An operation's derivative by each input that has a rule, where its text tells them apart; else {}.

    Examples
    --------
    >>> import nnscratch as ns
    >>> for name, text in derivatives(ns.divide).items():
    ...     print(name, text)
    a \frac{1}{b}
    b -\frac{a}{b^2}
    """
    derivative = op.derivative if derivative is None else derivative
    parts = re.split(BETWEEN, derivative)
    names = [name for name in op.names if name in op.rules]
    return dict(zip(names, parts, strict=True)) if len(parts) == len(names) and derivative else {}


def with_gradients(latex, names):
    r"""A rule in which the gradients by several results, ``g_h`` or ``g_{sine}``, are called by other names.

    Examples
    --------
    >>> print(with_gradients(r"g_{sine} \cos x", {"sine": "∂y/∂a"}))
    \text{∂y/∂a}\, \cos x
    """
    return _with_letters(latex, {name: rf"\text{{{said}}}\," for name, said in names.items()})


def _with_letters(latex, letters):
    """A rule with something else in the place of the gradients by several results."""
    if not letters:
        return latex
    names = "|".join(map(re.escape, letters))
    return re.sub(
        rf"(?<![a-zA-Z\\])g_(?:\{{({names})\}}|({names})(?![a-zA-Z]))", lambda m: letters[m[1] or m[2]], latex
    )


def number(value):
    r"""A number as LaTeX, in six digits; a negative one in brackets.

    Examples
    --------
    >>> print(number(0.1), number(-2.0), number(1.5e-7))
    0.1 (-2) 1.5 \cdot 10^{-7}
    """
    text = f"{float(value) + 0.0:.6g}"  # -0 is 0
    if text in ("nan", "inf", "-inf"):
        return {"nan": r"\text{nan}", "inf": r"\infty", "-inf": r"(-\infty)"}[text]
    if "e" in text:
        digits, power = text.split("e")
        text = rf"{digits} \cdot 10^{{{int(power)}}}"
    return f"({text})" if text[0] == "-" else text


def total(terms):
    r"""A sum of LaTeX terms; where they are many the first ones and an ellipsis.

    Examples
    --------
    >>> print(total(["1", "2"]), "and", total(list("123456")))
    1 + 2 and 1 + 2 + 3 + \ldots + 6
    """
    terms = list(terms)
    if len(terms) > TERMS + 1:
        terms = [*terms[: TERMS - 1], r"\ldots", terms[-1]]
    return " + ".join(terms) if terms else "0"


def product(*factors):
    """A product of numbers as LaTeX."""
    return r" \cdot ".join(number(f) for f in factors)


def _plain_start(latex):
    """Without the brackets of a negative number that comes first."""
    return re.sub(r"^\((-[\d.]+)\)(?!\^)", r"\1", latex)


def _bracketed(latex):
    return latex if re.fullmatch(r"[\d.]+|\([^()]*\)|\[[^][]*\]", latex) else f"({latex})"


def _inputs(step):
    return {name: value.array for name, _, value in step.inputs} | {
        name: np.asarray(value) for name, value in step.settings.items() if isinstance(value, int | float)
    }


def _element(step, x, index, which=0):
    """What an operation's letters stand for at one element, where it works element by element; else None."""
    result = step.results[which]
    names = [name for name in step.op.names if name in x]
    if "_" in step.op.formula or not step.op.formula or r"\text" in step.op.formula or set(step.settings) - set(x):
        return None
    try:
        at = {name: np.broadcast_to(x[name], result.shape)[index] for name in names}
        alone = step.op.forward(*(np.asarray(at[name]) for name in names))
        alone = alone[which] if step.op.outputs else alone
    except Exception:  # not made for single elements
        return None
    y = result.array[index]
    if np.shape(alone) != () or not np.allclose(alone, y, 1e-4, 1e-6, equal_nan=True):
        return None
    if step.op.outputs:
        others = zip(step.op.outputs, step.results, strict=True)
        return at | {name: v.array[index] for name, v in others if v.shape == result.shape}
    return {**at, "f(x)": y, "y": y}


def _put_in(latex, numbers):
    """A formula with its letters replaced by numbers; those in the names of commands are no letters."""
    letters = "|".join(re.escape(name) for name in sorted(numbers, key=len, reverse=True))

    def replace(m):
        if m[1]:
            return m[1]
        before = re.sub(r"(\\,|\s)+$", "", latex[: m.start()])
        text = number(numbers[m[2]])
        if before[-1:] in ("^", "_"):
            return "{" + text.strip("()") + "}"
        if text[0] == "(" and before[-1:] in ("", "{", "(", "|", ",") and latex[m.end() : m.end() + 1] != "^":
            return text[1:-1]
        factor = re.search(r"[\w)\]}]$", before) and not re.search(r"\\[a-zA-Z]+(\{\w+\}|\^\d)?$", before)
        return rf"\cdot {text}" if factor else text

    put = re.sub(rf"(\\[a-zA-Z]+)|(?<![a-zA-Z])({letters})(?![a-zA-Z(])", replace, latex).strip()
    return re.sub(r"(\\,|\s)+\\cdot", r" \\cdot", put)


# Sums that the operations' formulas leave to indices


def _pairs(a, b):
    return total(product(p, q) for p, q in zip(np.ravel(a), np.ravel(b), strict=True))


def _linear(x, index, step):
    *row, o = index
    text = _pairs(x["x"][tuple(row)], x["weight"][o])
    return f"{text} + {number(x['bias'][o])}" if "bias" in x else text


def _matmul(x, index, step):
    a, b = x["a"], x["b"]
    return _pairs(a[index[0]], b[:, index[1]]) if a.ndim == b.ndim == 2 else ""


def _rows(a):
    """An array with its leading axes taken together, as rows."""
    return a.reshape(-1, a.shape[-1])


GRADIENTS["linear"] = {
    "x": lambda x, g, index, step: _pairs(g[index[:-1]], x["weight"][:, index[-1]]),
    "weight": lambda x, g, index, step: _pairs(_rows(g)[:, index[0]], _rows(x["x"])[:, index[1]]),
    "bias": lambda x, g, index, step: total(map(number, _rows(g)[:, index[0]])),
}
RESULTS["linear"] = _linear
RESULTS["matmul"] = _matmul
GRADIENTS["matmul"] = {
    "a": lambda x, g, index, step: _pairs(g[index[0]], x["b"][index[1]]) if g.ndim == x["b"].ndim == 2 else "",
    "b": lambda x, g, index, step: _pairs(x["a"][:, index[0]], g[:, index[1]]) if g.ndim == x["a"].ndim == 2 else "",
}


def _share(step, n):
    """The factor 1/n of a mean over n, and nothing for a sum."""
    return rf"\frac{{1}}{{{n:g}}} " if step.settings.get("reduction", "mean") == "mean" else ""


def _summed(step, terms, n):
    if step.settings.get("reduction") == "none":
        return ""
    share = _share(step, n)
    return f"{share}({total(terms)})" if share else total(terms)


def _difference(a, b):
    return f"({number(a)} - {number(b)})"


def _both(a, b):
    """The elements of two arrays in pairs."""
    return zip(*(v.flat for v in np.broadcast_arrays(a, b)), strict=True)


def _negative(text):
    return f"-{text}" if text[:1] in ("\\", "(") else f"-({text})" if text else ""


def _of_loss(step, g, n, *factors):
    """The product of the loss's own gradient, the share of a mean over n, and factors."""
    return r" \cdot ".join(filter(None, (number(g), _share(step, n).strip(), *factors))) if np.ndim(g) == 0 else ""


RESULTS["mse_loss"] = lambda x, index, step: _summed(
    step,
    (f"{_difference(y, p)}^2" for p, y in _both(x["prediction"], x["target"])),
    x["prediction"].size,
)
GRADIENTS["mse_loss"] = {
    "prediction": lambda x, g, index, step: (
        _of_loss(step, g, x["prediction"].size, "2", _difference(x["prediction"][index], x["target"][index]))
        if x["prediction"].shape == x["target"].shape
        else ""
    ),
}


RESULTS["probability_cross_entropy"] = lambda x, index, step: _entropy(step, x["p"], _distributions(x))
RESULTS["softmax_cross_entropy"] = lambda x, index, step: _entropy(step, OPS["softmax"](x["z"]), _distributions(x))


def _distributions(x):
    """What a loss was told to be true, where it was told by labels as well."""
    return distributions(x["p"] if "p" in x else x["z"], x["q"])


def _entropy(step, p, q):
    terms = [rf"{number(y)} \cdot \ln {number(a)}" for a, y in _both(p, q) if y]
    return _negative(_summed(step, terms, step.settings["n"]))


def _of_probability(x, g, index, step):
    return _of_loss(
        step, g, step.settings["n"], rf"(-\frac{{{number(_distributions(x)[index])}}}{{{number(x['p'][index])}}})"
    )


def _of_logit(x, g, index, step):
    p, q = OPS["softmax"](x["z"]), _distributions(x)
    return _of_loss(step, g, step.settings["n"], f"({product(p[index], q[index[:-1]].sum())} - {number(q[index])})")


GRADIENTS["probability_cross_entropy"] = {"p": _of_probability}
GRADIENTS["softmax_cross_entropy"] = {"z": _of_logit}


def _two_outcomes(x, index, step):
    if not np.all((x["p"] > 0) & (x["p"] < 1)):  # 0 log 0 counts as 0, which the line could not say
        return ""
    terms = (
        rf"{number(y)} \cdot \ln {number(p)} + {number(1 - y)} \cdot \ln {number(1 - p)}"
        for p, y in _both(x["p"], x["q"])
    )
    return _negative(_summed(step, terms, x["p"].size))


def _of_outcome(x, g, index, step):
    p, y = x["p"][index], x["q"][index]
    ratio = rf"\frac{{{number(p)} - {number(y)}}}{{{number(p)} \cdot {number(1 - p)}}}"
    return _of_loss(step, g, x["p"].size, ratio) if 0 < p < 1 else ""


def _binary_logits(x, index, step):
    terms = (rf"\ln(1 + e^{{{f'{z:.6g}'}}}) - {product(y, z)}" for z, y in _both(x["z"], x["q"]))
    return _summed(step, terms, x["z"].size)


RESULTS["probability_binary_cross_entropy"] = _two_outcomes
GRADIENTS["probability_binary_cross_entropy"] = {"p": _of_outcome}
RESULTS["sigmoid_binary_cross_entropy"] = _binary_logits
GRADIENTS["sigmoid_binary_cross_entropy"] = {
    "z": lambda x, g, index, step: _of_loss(
        step, g, x["z"].size, _difference(OPS["sigmoid"](x["z"][index]), x["q"][index])
    )
}


def _softmax(x, index, step):
    if step.settings.get("axis", -1) not in (-1, x["x"].ndim - 1):
        return ""
    powers = [f"e^{{{z:.6g}}}" for z in x["x"][index[:-1]]]
    return rf"\frac{{{powers[index[-1]]}}}{{{total(powers)}}}"


RESULTS["softmax"] = _softmax
RESULTS["sum"] = lambda x, index, step: total(map(number, x["x"].flat)) if "axis" not in step.settings else ""
RESULTS["mean"] = lambda x, index, step: (
    rf"\frac{{1}}{{{x['x'].size}}} ({total(map(number, x['x'].flat))})" if "axis" not in step.settings else ""
)
GRADIENTS["sum"] = {"x": lambda x, g, index, step: number(g) if g.ndim == 0 else ""}
GRADIENTS["mean"] = {"x": lambda x, g, index, step: rf"\frac{{{number(g)}}}{{{x['x'].size}}}" if g.ndim == 0 else ""}


def _window(step, x, kernel, index):
    """The part of the images that one element of a convolution or pooling looks at, where nothing is padded; else None."""
    stride = step.settings.get("stride", 1)
    if any(np.any(step.settings.get(name, 0)) for name in ("padding", "ceil_mode")) or np.any(
        np.asarray(step.settings.get("dilation", 1)) != 1
    ):
        return None
    (top, left), (height, width) = np.asarray(index[2:]) * stride, np.broadcast_to(kernel, 2)
    return x[index[0], :, top : top + height, left : left + width]


def _conv2d(x, index, step):
    weight = x["weight"][index[1]]
    window = _window(step, x["x"], weight.shape[1:], index)
    if window is None or window.shape != weight.shape:
        return ""
    text = _pairs(window, weight)
    return f"{text} + {number(x['bias'][index[1]])}" if "bias" in x else text


def _max_pool2d(x, index, step):
    window = _window(step, x["x"], step.settings["kernel_size"], index)
    return "" if window is None else rf"\max({', '.join(f'{v:.6g}' for v in window[index[1]].flat)})"


RESULTS["conv2d"] = _conv2d
RESULTS["max_pool2d"] = _max_pool2d
