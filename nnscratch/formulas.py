"""The pages docs/formulas.md, documents.md and from-pytorch.md, made from the formulas beside the operations, the index of the documents
and the table of PyTorch's names.

``python -m nnscratch.formulas`` prints them, ``--write`` writes them and ``--check`` says whether the files are current.
"""

import re
import sys
from pathlib import Path

import nnscratch as ns
from nnscratch import documents, hints, systems
from nnscratch import functional as F
from nnscratch.autograd import OPS
from nnscratch.systems import worked_2_3_1
from nnscratch.view.working import derivatives

FOLDER = Path(__file__).parent.parent / "docs"

#: What is reached through another name than the operation's own.
CALLED = {
    "probability_cross_entropy": "F.cross_entropy",
    "softmax_cross_entropy": "F.cross_entropy(from_logits=True)",
    "probability_binary_cross_entropy": "F.binary_cross_entropy",
    "sigmoid_binary_cross_entropy": "F.binary_cross_entropy(from_logits=True)",
}

TOPICS = {
    "elementwise": "Element by element",
    "shape": "Shapes",
    "reduce": "Reductions",
    "index": "Picking out",
    "embedding": "Looking up",
    "linear": "Matrix products",
    "activation": "Activations",
    "conv": "Convolution",
    "pool": "Pooling",
    "loss": "Losses value by value",
    "cross_entropy": "Cross-entropy",
    "normalise": "Normalisation",
    "adversarial": "Networks that compete",
    "distillation": "Networks that teach",
    "quantise": "Codes of few bits",
    "dropout": "Dropout",
    "recurrent": "Recurrent layers",
    "attention": "Attention",
    "positions": "Positions",
}

_F1 = "F14: 000 App. Q3; 001 §5; 002 App. 3; 003 §9.4; 004 §2.3.6"
_ROC = "F14: 000 App. Q3; 001 §5; 002 App. 3"

# What the engine as a whole does, and the metrics, which have no derivative: formula, derivative, document, name.
NOT_OPERATIONS = [
    (
        r"\delta^{(L)} = \tfrac{\partial J}{\partial a^{(L)}} \odot \sigma'(z^{(L)}), \quad "
        r"\delta^{(l)} = \left( W^{(l+1)\top} \delta^{(l+1)} \right) \odot \sigma'(z^{(l)}), \quad "
        r"\tfrac{\partial J}{\partial W^{(l)}} = \delta^{(l)} a^{(l-1)\top}, \quad \tfrac{\partial J}{\partial b^{(l)}} = \delta^{(l)}",
        "",
        "F9: 001 §3; 002 §4.2 (E3)",
        "Tensor.backward",
    ),
    (r"P(x) = \frac{f(x)}{Z}, \quad Z = \sum_x f(x)", r"\frac{[x = x'] - P(x)}{Z}", "F13: 003 §4.1", "f / f.sum()"),
    (r"\frac{\text{right predictions}}{\text{predictions}}", "", _F1, "metrics.accuracy"),
    (r"\frac{TP}{TP + FP}", "", "F14: 001 §5; 002 App. 3; 004 §2.3.6", "metrics.precision"),
    (r"\frac{TP}{TP + FN}", "", _F1, "metrics.recall"),
    (r"\frac{2 \cdot \text{precision} \cdot \text{recall}}{\text{precision} + \text{recall}}", "", _F1, "metrics.f1"),
    (
        r"\left( \frac{FP(t)}{FP + TN}, \frac{TP(t)}{TP + FN} \right) \text{ for every threshold } t",
        "",
        _ROC,
        "metrics.roc_curve",
    ),
    (r"\text{the area under the ROC curve}", "", _ROC, "metrics.auc"),
]


def page():
    """The page docs/formulas.md as Markdown.

    Examples
    --------
    >>> from nnscratch.formulas import page
    >>> page().splitlines()[0]
    '# Formulas'
    """
    parts = [_INTRODUCTION, _stated(), _KINKS, _kinks(), "## All operations", *_topics(), _composed(), _worked()]
    return documents.linked("\n\n".join(parts) + "\n", "documents.md")


def documents_page():
    """The page docs/documents.md as Markdown: what each citation names, each under an anchor of its own.

    Examples
    --------
    >>> from nnscratch.formulas import documents_page
    >>> "### 000 §4" in documents_page().splitlines()
    True
    """
    parts = [_ABOUT_DOCUMENTS]
    for key, place in documents.DOCUMENTS.items():
        level = "##" if len(key) == 3 else "###"
        parts.append(f"{level} {key}\n\n{_sentence(place.title)} {place.text}")
    parts.append(_ABOUT_FORMULAS)
    rows = [row for _, row in _rows()]
    for key, place in documents.FORMULAS.items():
        stated = [row for row in rows if key in row[0].split(", ")]
        lines = "\n".join(f"- {name}: {formula} ({where})" for _, formula, _, name, where in stated)
        parts.append(f"### {key}\n\n{_sentence(place.title)}\n\n{lines}")
    parts.append(_ABOUT_SYSTEMS)
    names = {s.id: s.name for s in systems.every()}
    for key, place in documents.SYSTEMS.items():
        run = f"`nnscratch train {names[key]}`" if key in names else "It is still to come in nnscratch"
        parts.append(f"### {key}\n\n{_sentence(place.title)} {place.text}\n\n{run}.")
    parts.append(_ABOUT_CONTRADICTIONS)
    for key, place in documents.CONTRADICTIONS.items():
        parts.append(f"### {key}\n\n{_sentence(place.title)} {place.text}\n\nIn nnscratch: {place.resolution}")
    parts.append(_ABOUT_WORKED)
    parts += [f"### {key}\n\n{_sentence(place.title)} {place.text}" for key, place in documents.WORKED.items()]
    return documents.linked("\n\n".join(parts) + "\n", "")


def _sentence(title):
    return f"**{title[0].upper()}{title[1:]}.**"


_INTRODUCTION = """# Formulas

Made by `python -m nnscratch.formulas --write` from the data beside each operation; do not edit it by hand.

The five source documents are numbered 000 to 004, and F1–F14 are the formulas that they state; what each citation names, and where the
documents contradict themselves, stands on the page [The documents](documents.md). $`[c]`$ is 1 where c holds,
else 0; $`g`$ (or $`G`$) is the gradient of what comes after by the result, and $`y`$ the result. A derivative is by each input in turn.
Several results are named after an arrow, and $`g_h`$ is the gradient by the one called $`h`$.
`ns` is `nnscratch`, `F` is `nnscratch.functional`.

## The documents' formulas"""

_KINKS = """## Ties and kinks

Where a function has no derivative, or ties leave a choice, one convention holds. The gradients below were computed by the engine
when this page was made."""

_WORKED = """## The worked examples

The right-hand side was computed by the engine in float64 when this page was made, and is shown to 12 digits."""

_W3 = """W3's weights are those that the text puts into its sums: (0.1, 0.2), (0.1, 0.2), (0.1, 0.3) with the bias 0.4, then 0.5 for
each hidden value with the bias 0.6. The text leaves its inputs open, and no inputs from 0 to 1 give its sums; here both are 1. The
softmax of a single value is 1 whatever the weights, so that the loss is 0 and every gradient of it is 0, as the text says of the
output's; the updates that it goes on to print leave out this factor 0."""

_ABOUT_DOCUMENTS = """# The documents

Made by `python -m nnscratch.formulas --write`; do not edit it by hand.

nnscratch implements what five texts on neural networks state. They are numbered 000 to 004, and a citation such as 000 §4 names a text and
a section of it; F1–F14 are their formulas, S1–S13 the networks that they describe, W1–W3 their worked examples, and E1–E9 the places where
they contradict themselves. This page says, in our own words, what each of these is and what nnscratch takes from it. The texts themselves
are not part of nnscratch."""

_ABOUT_FORMULAS = """## The formulas

What the texts state, by our numbers, with the function that computes it. [Formulas](formulas.md) has the derivatives, too."""

_ABOUT_SYSTEMS = """## The systems

The networks that the texts describe. `nnscratch systems` lists those that can be trained."""

_ABOUT_CONTRADICTIONS = """## Where the documents contradict themselves

What the text says, and what nnscratch does instead."""

_ABOUT_WORKED = """## The worked examples

What the texts print. The right values, computed by the engine, stand on the page [Formulas](formulas.md#the-worked-examples)."""


def _stated():
    rows = [row for _, row in _rows()]
    return _table(["", "formula", "derivative", "in nnscratch", "documents"], rows)


def _rows():
    """What the documents state: the first number, and number, formula, derivative, name and place."""
    entries = [(o.formula, o.derivative, o.document, _called(o)) for o in OPS.values()]
    entries += [
        (o.formula, getattr(o, "derivative", ""), o.document, f"optim.{o.__name__}")
        for o in (ns.optim.SGD, ns.optim.Adam)
    ]
    rows = []
    for formula, derivative, document, name in entries + NOT_OPERATIONS:
        numbers = _numbers(document)
        if numbers:
            label = ", ".join(f"F{n}" for n in numbers)
            place = re.sub(r"^F\d+: ", "", document)
            rows.append((numbers[0], [label, _math(formula), _math(derivative), f"`{name}`", place]))
    return sorted(rows, key=lambda row: row[0])


def _numbers(document):
    """The numbers of the documents' formulas that a source names."""
    return [int(n) for n in re.findall(r"\bF(\d+)", document)]


def _topics():
    for module, title in TOPICS.items():
        operations = [o for o in OPS.values() if o.__module__ == f"nnscratch.ops.{module}"]
        about = sys.modules[f"nnscratch.ops.{module}"].__doc__.strip()
        rows = [[_with_results(o), _math(o.formula), _derivative(o), _gradient(o), o.document] for o in operations]
        yield f"### {title}\n\n{about}"
        yield _table(["operation", "formula", "derivative", "by", "source"], rows)


def _with_results(operation):
    """The name by which an operation is reached, and those of its results where it has several."""
    results = ", ".join(f"`{name}`" for name in operation.outputs or ())
    return f"`{_called(operation)}`" + (f" → {results}" if results else "")


def _derivative(operation):
    """The derivative; of an operation with several results, whose text has its own gradients, each with its input."""
    by_input = derivatives(operation) if operation.outputs else {}
    if len(by_input) < 2:
        return _math(operation.derivative)
    return ", ".join(f"{_math(latex)} by `{name}`" for name, latex in by_input.items())


def _gradient(operation):
    """The inputs that have a gradient."""
    return "no gradient" if operation.constant is True else ", ".join(f"`{name}`" for name in operation.rules)


def _composed():
    rows = [
        [f"`F.{name}`", getattr(F, name).__doc__.strip().splitlines()[0]]
        for name in F.__all__
        if name not in OPS and name not in {c.removeprefix("F.") for c in CALLED.values()}
    ]
    return "### Made of these\n\nTheir derivatives follow from those of the operations they call.\n\n" + _table(
        ["function", ""], rows
    )


def _called(operation):
    """The name by which an operation is reached."""
    name = operation.name
    if name in CALLED:
        return CALLED[name]
    if name in F.__all__:
        return f"F.{name}"
    return f"ns.{name}" if hasattr(ns, name) else f"{operation.__module__.removeprefix('nnscratch.')}.{name}"


def _kinks():
    cases = [
        ("`F.relu` at 0: 0", F.relu, [0.0]),
        ("`F.leaky_relu` (slope 0.01) at 0: the slope", F.leaky_relu, [0.0]),
        ("`F.elu` (α = 1) at 0: α", F.elu, [0.0]),
        ("`F.selu` at 0: γα", F.selu, [0.0]),
        ("`F.prelu` (slope 0.25) at 0: the slope", lambda x: F.prelu(x, [0.25]), [0.0]),
        ("`F.hardsigmoid` at its corners: 0", F.hardsigmoid, [-3.0, 3.0]),
        ("`F.hardswish` at its corners: 0 and 1", F.hardswish, [-3.0, 3.0]),
        ("`ns.abs` at 0: 0", ns.abs, [0.0]),
        ("`F.l1_loss` where prediction and target agree: 0", lambda x: F.l1_loss(x, [0.0]), [0.0]),
        ("`ns.maximum` of equal values: half to each side", lambda x: ns.maximum(x, 1), [1.0]),
        ("`ns.minimum` of equal values: half to each side", lambda x: ns.minimum(x, 1), [1.0]),
        ("`ns.clip` to [0, 1], on the bounds: passes", lambda x: ns.clip(x, 0, 1), [0.0, 1.0, 2.0]),
        ("`ns.max` with ties: equal shares", ns.max, [1.0, 3.0, 3.0]),
        ("`ns.min` with ties: equal shares", ns.min, [1.0, 1.0, 3.0]),
        ("`F.max_pool1d` of a window with ties: the first", lambda x: F.max_pool1d(x[None, None], 3), [1.0, 3.0, 3.0]),
        ("`ns.std` of equal values: 0", ns.std, [2.0, 2.0]),
        ("`ns.norm` of zeros: 0", ns.norm, [0.0, 0.0]),
        ("`ns.prod` with a zero: the product of the others", ns.prod, [0.0, 2.0, 3.0]),
    ]
    rows = []
    for words, function, at in cases:
        x = ns.tensor(at, dtype="float64", requires_grad=True)
        gradient = ns.grad(function(x).sum(), x)
        rows.append([words, f"({_list(at)})", f"({_list(gradient.numpy())})"])
    return _table(["convention", "at", "gradient"], rows)


def _worked():
    w1 = F.mse_loss(*_vectors((2, 4, 3), (3, 5, 4)))
    p, y = _vectors((0.8, 0.2, 0.9), (1, 0, 1))
    w2_sum, w2_mean = F.cross_entropy(p, y, reduction="sum"), F.cross_entropy(p, y)
    w2 = f"F8: **{_number(w2_sum)}**; F7 (÷ 3): **{_number(w2_mean)}**"
    rows = [
        ["W1", "004 §4.5.1", "MSE of ŷ = (2, 4, 3), y = (3, 5, 4)", "2/3", f"F6: **{_number(w1)}**"],
        ["W2", "004 §4.5.2", "cross-entropy of ŷ = (0.8, 0.2, 0.9), y = (1, 0, 1)", "≈ 0.229", w2],
        ["W3", "002 §4.3", "2-3-1 network followed by hand", "see below", "see below"],
    ]
    return f"{_WORKED}\n\n{_table(['', 'where', 'example', 'the text prints', 'the formula gives'], rows)}\n\n{_W3}\n\n{_w3()}"


def _w3():
    network = worked_2_3_1.SYSTEM
    rows = []
    for name, computed in worked_2_3_1.follow(network.model(), network.lr).items():
        text = worked_2_3_1.TEXT[name]
        rows.append([f"`{name}`", "not stated" if text is None else _list(text), f"**{_list(computed)}**"])
    return _table(["quantity", "the text prints", "the formulas give"], rows)


def _vectors(*values):
    return [ns.tensor(v, dtype="float64") for v in values]


def _number(value):
    """A number to 12 digits, which do not depend on how a machine rounds the last ones."""
    return f"{float(value) + 0.0:.12g}"


def _list(values):
    return ", ".join(map(_number, values))


def _math(formula):
    """A formula in GitHub's literal form, without the | that would end a cell and a macro that GitHub has refused."""
    if not formula:
        return ""
    formula = re.sub(r"(\\operatorname\{\w+\}) ", r"\1\\,", formula.replace("|", r"\vert "))
    formula = formula.replace(r"\operatorname", r"\mathrm")
    return f"$`{formula}`$"


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments=None):
    """Print the pages; with ``--write`` write them, with ``--check`` compare: 0, or 1 where a file is stale.

    Examples
    --------
    >>> from nnscratch.formulas import main
    >>> main(["--check"])
    docs/formulas.md is current
    docs/documents.md is current
    docs/from-pytorch.md is current
    0
    """
    import argparse

    parser = argparse.ArgumentParser(
        "python -m nnscratch.formulas", description="Make the pages docs/formulas.md, documents.md and from-pytorch.md."
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="write the pages into docs/")
    choice.add_argument("--check", action="store_true", help="exit with 1 where a page in docs/ is stale")
    options = parser.parse_args(arguments)
    status = 0
    for name, made in (("formulas.md", page()), ("documents.md", documents_page()), ("from-pytorch.md", hints.page())):
        file = FOLDER / name
        if options.write:
            file.write_text(made, encoding="utf-8")
        elif not options.check:
            print(made, end="")
        elif not file.exists() or file.read_text(encoding="utf-8") != made:
            print(f"docs/{name} is stale; run python -m nnscratch.formulas --write", file=sys.stderr)
            status = 1
        else:
            print(f"docs/{name} is current")
    return status


if __name__ == "__main__":
    sys.exit(main())
