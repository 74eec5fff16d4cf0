r"""The numbers put in: for one element of a result or of a gradient, the operation's formula with its numbers, as LaTeX.

Each operation whose sums can be written out has a line for its result in `RESULTS` (for a further one of several results under
"operation.result") and one for each input in `GRADIENTS`; an operation that works element by element needs none, as its own formula says it.
"""

import re

import numpy as np

from nnscratch.autograd import OPS
from nnscratch.ops.cross_entropy import distributions
from nnscratch.ops.shape import normalise_axis
from nnscratch.view.windows import Windows

#: How many products of a sum are written before the rest becomes an ellipsis.
TERMS = 4

#: How many digits numbers have.
DIGITS = 6

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
    written = RESULTS.get(f"{step.op.name}.{step.op.outputs[which]}" if which else step.op.name)
    if written is not None:
        return _plain_start(written(x, index, step))
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
    text = f"{float(value) + 0.0:.{DIGITS}g}"  # -0 is 0
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
    return _series(len(terms), terms.__getitem__)


def _series(n, term, between=" + "):
    """What `n` terms come to in writing, of which only those that are written are asked for."""
    if n > TERMS + 1:
        return between.join([*map(term, range(TERMS - 1)), r"\ldots", term(n - 1)])
    return between.join(map(term, range(n))) or "0"


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
    a, b = np.ravel(a), np.ravel(b)
    return _series(len(a), lambda i: product(a[i], b[i]))


def _all(a):
    """The sum of an array's elements."""
    a = np.ravel(a)
    return _series(len(a), lambda i: number(a[i]))


def _linear(x, index, step):
    *row, o = index
    text = _pairs(x["x"][tuple(row)], x["weight"][o])
    return f"{text} + {number(x['bias'][o])}" if "bias" in x else text


def _matrices(a):
    """Two arrays as stacks of matrices with the same leading axes, or None where one is a vector."""
    if any(len(v.shape) < 2 for v in a):
        return None
    leading = np.broadcast_shapes(*(v.shape[:-2] for v in a))
    return [np.broadcast_to(v, leading + v.shape[-2:]) for v in a]


def _matmul(x, index, step):
    found = _matrices((x["a"], x["b"]))
    if found is None:
        return ""
    (a, b), (*batch, i, j) = found, index
    return _pairs(a[(*batch, i)], b[tuple(batch)][:, j])


def _by_factor(x, g, index, name):
    """The gradient by one factor of a product of matrices, where that is as often there as the product."""
    found = _matrices((x["a"], x["b"]))
    if found is None or x[name].shape[:-2] != g.shape[:-2]:
        return ""
    (a, b), (*batch, i, j) = found, index
    batch = tuple(batch)
    return _pairs(g[batch][i], b[batch][j]) if name == "a" else _pairs(a[batch][:, i], g[batch][:, j])


def _rows(a):
    """An array with its leading axes taken together, as rows."""
    return a.reshape(-1, a.shape[-1])


GRADIENTS["linear"] = {
    "x": lambda x, g, index, step: _pairs(g[index[:-1]], x["weight"][:, index[-1]]),
    "weight": lambda x, g, index, step: _pairs(_rows(g)[:, index[0]], _rows(x["x"])[:, index[1]]),
    "bias": lambda x, g, index, step: _all(_rows(g)[:, index[0]]),
}
RESULTS["linear"] = _linear
RESULTS["matmul"] = _matmul
GRADIENTS["matmul"] = {
    "a": lambda x, g, index, step: _by_factor(x, g, index, "a"),
    "b": lambda x, g, index, step: _by_factor(x, g, index, "b"),
}
RESULTS["dropped"] = lambda x, index, step: product(x["x"][index], x["mask"][index])
GRADIENTS["dropped"] = {"x": lambda x, g, index, step: product(g[index], x["mask"][index])}


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
    terms = (rf"\ln(1 + e^{{{f'{z:.{DIGITS}g}'}}}) - {product(y, z)}" for z, y in _both(x["z"], x["q"]))
    return _summed(step, terms, x["z"].size)


RESULTS["probability_binary_cross_entropy"] = _two_outcomes
GRADIENTS["probability_binary_cross_entropy"] = {"p": _of_outcome}
RESULTS["sigmoid_binary_cross_entropy"] = _binary_logits
GRADIENTS["sigmoid_binary_cross_entropy"] = {
    "z": lambda x, g, index, step: _of_loss(
        step, g, x["z"].size, _difference(OPS["sigmoid"](x["z"][index]), x["q"][index])
    )
}


# Reductions


def _setting(step, name):
    return step.settings.get(name, step.op.defaults.get(name))


def _axes(step, x):
    return normalise_axis(_setting(step, "axis"), x.ndim, step.op.name)


def _reduced(step, x, index):
    """What one element of a reduction of `x` comes from."""
    axes = _axes(step, x)
    kept = [i for a, i in enumerate(index) if a not in axes] if _setting(step, "keepdims") else index
    kept = iter(kept)
    return x[tuple(slice(None) if a in axes else next(kept) for a in range(x.ndim))].ravel()


def _come_to(step, x, g, index):
    """The gradient by the element of a reduction that one element of `x` went into."""
    axes = _axes(step, x)
    return g[tuple(0 if a in axes else i for a, i in enumerate(index) if _setting(step, "keepdims") or a not in axes)]


def _mean_of(step, x, index):
    parts = _reduced(step, x, index)
    return rf"\frac{{1}}{{{len(parts)}}} ({_all(parts)})"


def _variance(x, index, step):
    parts = _reduced(step, x["x"], index)
    return _spread(parts, parts.mean(dtype=np.float64), len(parts) - _setting(step, "ddof"))


def _spread(parts, centre, n):
    squares = _series(len(parts), lambda i: f"{_difference(parts[i], centre)}^2")
    return rf"\frac{{1}}{{{n:g}}} ({squares})"


def _extreme(word):
    def written(x, index, step):
        parts = _reduced(step, x["x"], index)
        return _listed(word, parts)

    return written


def _listed(word, parts):
    """The greatest or least of some numbers."""
    return rf"\{word}({_series(len(parts), lambda i: f'{parts[i]:.{DIGITS}g}', ', ')})"


def _softmax(x, index, step):
    axis = _setting(step, "axis") % x["x"].ndim
    row = x["x"][(*index[:axis], slice(None), *index[axis + 1 :])]
    return (
        rf"\frac{{e^{{{row[index[axis]]:.{DIGITS}g}}}}}{{{_series(len(row), lambda i: f'e^{{{row[i]:.{DIGITS}g}}}')}}}"
    )


RESULTS["softmax"] = _softmax
RESULTS["sum"] = lambda x, index, step: _all(_reduced(step, x["x"], index))
RESULTS["mean"] = lambda x, index, step: _mean_of(step, x["x"], index)
RESULTS["var"] = _variance
RESULTS["max"], RESULTS["min"] = _extreme("max"), _extreme("min")
GRADIENTS["sum"] = {"x": lambda x, g, index, step: number(_come_to(step, x["x"], g, index))}
GRADIENTS["mean"] = {
    "x": lambda x, g, index, step: (
        rf"\frac{{{number(_come_to(step, x['x'], g, index))}}}{{{x['x'].size // max(g.size, 1)}}}"
    )
}


# Convolution and pooling


def _windows(step, size, kernel):
    names = ("stride", "padding", "dilation", "ceil_mode", "groups")
    given = {name: value for name in names if (value := _setting(step, name)) is not None}
    if _setting(step, "stride") is None:  # pooling's windows lie side by side
        given["stride"] = kernel
    return Windows(size, kernel, **given)


def _conv2d(x, index, step):
    windows = _windows(step, x["x"].shape[2:], x["weight"].shape[2:])
    text = _pairs(*windows.convolved(x["x"], x["weight"], index))
    return f"{text} + {number(x['bias'][index[1]])}" if "bias" in x else text


def _by_image(d, weight, size, index, step):
    return _pairs(*_windows(step, size, weight.shape[2:]).by_input(d, weight, index))


def _by_filter(d, x, kernel, index, step):
    return _pairs(*_windows(step, x.shape[2:], kernel).by_weight(d, x, index))


def _convolved(x, weight, index, step):
    return _pairs(*_windows(step, x.shape[2:], weight.shape[2:]).convolved(x, weight, index))


RESULTS["conv2d"] = _conv2d
GRADIENTS["conv2d"] = {
    "x": lambda x, g, index, step: _by_image(g, x["weight"], x["x"].shape[2:], index, step),
    "weight": lambda x, g, index, step: _by_filter(g, x["x"], x["weight"].shape[2:], index, step),
    "bias": lambda x, g, index, step: _all(g[:, index[0]]),
}
RESULTS["conv2d_input"] = lambda x, index, step: _by_image(x["d"], x["weight"], step.settings["size"], index, step)
GRADIENTS["conv2d_input"] = {
    "d": lambda x, g, index, step: _convolved(g, x["weight"], index, step),
    "weight": lambda x, g, index, step: _by_filter(x["d"], g, x["weight"].shape[2:], index, step),
}
RESULTS["conv2d_weight"] = lambda x, index, step: _by_filter(x["d"], x["x"], step.settings["kernel"], index, step)
GRADIENTS["conv2d_weight"] = {
    "d": lambda x, g, index, step: _convolved(x["x"], g, index, step),
    "x": lambda x, g, index, step: _by_image(x["d"], g, x["x"].shape[2:], index, step),
}


def _pooled(x, index, step):
    """The cells that one element of a pooling looks at."""
    windows = _windows(step, x["x"].shape[2:], step.settings["kernel_size"])
    return x["x"][index[:2]][np.ix_(*windows.cells(index[2:]))].ravel()


def _chosen(x, g, index, step):
    """Of the windows that cover a cell the gradients of those that found their maximum in it."""
    windows = _windows(step, x["x"].shape[2:], step.settings["kernel_size"])
    places, (down, across) = windows.covering(index[2:])
    own = np.ix_(*places)
    found = step.results[1].array[index[:2]][own] == down[:, None] * windows.kernel[1] + across
    return _all(g[index[:2]][own][found])


RESULTS["max_pool2d"] = lambda x, index, step: _listed("max", _pooled(x, index, step))
GRADIENTS["max_pool2d"] = {"x": _chosen}
RESULTS["sum_pool2d"] = lambda x, index, step: _all(_pooled(x, index, step))
GRADIENTS["sum_pool2d"] = {
    "x": lambda x, g, index, step: _all(
        g[index[:2]][np.ix_(*_windows(step, x["x"].shape[2:], step.settings["kernel_size"]).covering(index[2:])[0])]
    )
}


# Normalisation


def _moments(step, index):
    """The mean and the variance that an element is standardised by."""
    return [v.array[tuple(0 if n == 1 else i for n, i in zip(v.shape, index, strict=True))] for v in step.results[1:]]


def _factor(x, name, index, shape):
    return np.broadcast_to(x[name], shape)[index] if name in x else None


def _scale(step, variance):
    return rf"\sqrt{{{number(variance)} + {number(_setting(step, 'eps'))}}}"


def _standardized(x, index, step):
    mean, variance = _moments(step, index)
    above = _difference(x["x"][index], mean)[1:-1] if _setting(step, "centred") else f"{x['x'][index]:.{DIGITS}g}"
    text = rf"\frac{{{above}}}{{{_scale(step, variance)}}}"
    weight, bias = (_factor(x, name, index, x["x"].shape) for name in ("weight", "bias"))
    text += "" if weight is None else rf" \cdot {number(weight)}"
    return text if bias is None else f"{text} + {number(bias)}"


def _together(step, a, index):
    """The elements of an array that are standardised with one, or give an element of the mean."""
    axes = normalise_axis(step.settings["axis"], a.ndim, step.op.name)
    return a[tuple(slice(None) if k in axes else i for k, i in enumerate(index))].ravel()


def _second_moment(x, index, step):
    parts = _together(step, x["x"], index)
    if _setting(step, "centred"):
        return _spread(parts, step.results[1].array[index], len(parts))
    return rf"\frac{{1}}{{{len(parts)}}} ({_series(len(parts), lambda i: f'{number(parts[i])}^2')})"


def _first_moment(x, index, step):
    parts = _together(step, x["x"], index)
    return rf"\frac{{1}}{{{len(parts)}}} ({_all(parts)})" if _setting(step, "centred") else ""


def _normal(x, step):
    """The values before they are scaled and shifted."""
    mean, variance = (v.array for v in step.results[1:])
    return (x["x"] - mean) / np.sqrt(variance + _setting(step, "eps"))


def _through_standardize(x, g, index, step):
    _, variance = _moments(step, index)
    h = g * x["weight"] if "weight" in x else g.astype(np.float64)
    own, along = _normal(x, step), _together(step, h, index)
    inner = product(g[index], _factor(x, "weight", index, g.shape)) if "weight" in x else number(g[index])
    if _setting(step, "centred"):
        inner += f" - {number(along.mean(dtype=np.float64))}"
    slope = np.mean(along * _together(step, own, index), dtype=np.float64)
    return rf"\frac{{1}}{{{_scale(step, variance)}}} ({_plain_start(inner)} - {product(own[index], slope)})"


def _each(x, name, index):
    """Where in the values an element of a weight or bias, which are broadcast, is used."""
    return np.broadcast_to(np.arange(x[name].size).reshape(x[name].shape), x["x"].shape) == np.ravel_multi_index(
        index, x[name].shape
    )


def _by_scale(x, g, index, step):
    own = _each(x, "weight", index)
    return _pairs(g[own], _normal(x, step)[own])


RESULTS["standardize"] = _standardized
RESULTS["standardize.mean"], RESULTS["standardize.variance"] = _first_moment, _second_moment
GRADIENTS["standardize"] = {
    "x": _through_standardize,
    "weight": _by_scale,
    "bias": lambda x, g, index, step: _all(g[_each(x, "bias", index)]),
}
