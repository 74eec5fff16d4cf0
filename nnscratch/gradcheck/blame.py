"""Finding the operation at fault: each node of a graph is checked by itself, with the arrays that it was given."""

import numpy as np

from nnscratch import autograd
from nnscratch.autograd import GradientError, Node
from nnscratch.gradcheck import difference
from nnscratch.gradcheck.difference import Verdict, differentiate, exact, jumps, sizes, weights
from nnscratch.gradcheck.functions import TensorFunction, vjp
from nnscratch.gradcheck.report import element
from nnscratch.tensor import Tensor


def nodes_of(outputs):
    """The nodes behind some results, in the order of their making."""
    found, stack = {}, [y._node for y in outputs]
    while stack:
        node = stack.pop()
        if type(node) is Node and id(node) not in found:
            found[id(node)] = node
            stack += node.args
    return sorted(found.values(), key=lambda n: n.sequence)


class _Frozen:
    """Within this block arrays refuse to be written."""

    def __init__(self, arrays):
        self.arrays = [a for a in arrays if isinstance(a, np.ndarray) and a.flags.writeable]

    def __enter__(self):
        for a in self.arrays:
            a.flags.writeable = False

    def __exit__(self, *exception):
        for a in reversed(self.arrays):
            a.flags.writeable = True


class Audit:
    """Every rule of a graph, asked once for the gradient from a random one.

    Attributes
    ----------
    gradients : dict
        From (node's id, position) to the pair of the gradient given and that returned.
    faults : list of (str, str)
        Operations that no numbers need to convict, each with a sentence.
    """

    def __init__(self, outputs, rng):
        self.nodes = nodes_of(outputs)
        self.gradients: dict = {}
        self.faults: list = []
        for node in reversed(self.nodes):
            g = weights(node.shape, rng).astype(node.dtype)
            for i in node.active:
                self._ask(node, i, g)
        for node in self.nodes:
            self._run_again(node)

    def _ask(self, node, i, g):
        name, inputs = node.op._input_name(i), node.op._input_name
        kept = [g, node.data, *(a.data if isinstance(a, Node | Tensor) else a for a in node.args)]
        try:
            with _Frozen(kept):
                d = node.op.rules[name](node, i, g, autograd._raw)
                fitted = None if d is None else autograd._fit(d, node.args[i], node.op, name)
        except GradientError as error:
            self.faults.append((node.op.name, str(error)))
            return
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            self.faults.append(
                (
                    node.op.name,
                    f"{node.op.name}: its rule for {name} changes an array in place that others use; let it make a new one",
                )
            )
            return
        if fitted is None:
            fitted = np.zeros(node.args[i].shape)
        self.gradients[id(node), i] = (g, fitted)
        wide = [a for a in (g, node.args[i], *kept) if hasattr(a, "dtype") and a.dtype.kind == "f"]
        if d is not None and all(a.dtype == np.float64 for a in wide) and _digits_lost(d, fitted):
            self.faults.append(
                (
                    node.op.name,
                    f"{node.op.name}: its rule for {inputs(i)} loses digits of float64 on the way; keep the dtype of g",
                )
            )

    def _run_again(self, node):
        raw = [autograd._raw(a) for a in node.args]
        try:
            with _Frozen(raw):
                node.op.forward(*raw, **node.kwargs)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            self.faults.append(
                (node.op.name, f"{node.op.name}: its forward function changes an input in place; let it change a copy")
            )


def _digits_lost(d, fitted):
    """Whether a gradient from random numbers of 53 bits came back in numbers of 24."""
    if getattr(d, "dtype", np.float64) in (np.float32, np.float16):
        return True
    values = fitted[fitted != 0]
    with np.errstate(over="ignore"):
        return values.size > 0 and bool(np.all(values == values.astype(np.float32)))


def wrong_rules(audit, rng, rtol):
    """The operations whose own rule disagrees with central differences: pairs of name and sentence."""
    found = []
    for node in audit.nodes:
        raw = [autograd._raw(a) for a in node.args]
        for i in node.active:
            x = raw[i]
            if (id(node), i) not in audit.gradients or x.dtype != np.float64 or node.dtype != np.float64:
                continue
            g, gradient = audit.gradients[id(node), i]
            w = exact(sizes(x) * weights(x.shape, rng), x)

            def line(t, node=node, raw=raw, i=i, g=g, w=w):
                moved = [raw[i] + t * w if j == i else a for j, a in enumerate(raw)]
                return projected([_forward(node, moved)], [g])

            d = differentiate(line)
            analytic = np.array([np.sum(gradient * w)])
            verdict = Verdict(analytic, d, np.sqrt(np.sum((gradient * w) ** 2)), rtol, 0.0)
            jump = np.abs(jumps(line)) if verdict.wrong.any() else 0.0
            if np.any(verdict.wrong & verdict.measured & (np.abs(analytic - d.value) > 0.51 * jump)):
                found.append((node.op.name, _sentence(node, i, analytic[0], d.value[0])))
    return found


def _sentence(node, i, analytic, numeric):
    given = ", ".join(f"{node.op._input_name(j)}: {autograd.describe(_described(a))}" for j, a in enumerate(node.args))
    text = f"{node.op.name}: its rule for {node.op._input_name(i)} gives {analytic:.6g} where differences give {numeric:.6g}"
    ratio = analytic / numeric if numeric else 0.0
    near = min((r for r in (-1.0, 2.0, 0.5, -2.0, -0.5)), key=lambda r: abs(ratio - r))
    if abs(ratio - near) < 1e-6:
        text += f", {near:g} times as much"
    return f"{text} ({given}); correct the rule"


def _described(a):
    return autograd._raw(a) if isinstance(a, Node) else a


def _forward(node, raw):
    out = node.op.forward(*raw, **node.kwargs)
    return np.asarray(out)


def wrong_second_rules(outputs, rng, rtol):
    """The operations whose rule, right in itself, has a wrong derivative: pairs of name and sentence."""
    found = []
    for node in nodes_of(outputs):
        raw = [autograd._raw(a) for a in node.args]
        active = [i for i in node.active if raw[i].dtype == np.float64]
        if node.dtype != np.float64 or not active:
            continue

        def fn(*tensors, node=node, raw=raw, active=active):
            filled = list(raw)
            for i, t in zip(active, tensors, strict=True):
                filled[i] = t
            return node.op(*filled, **node.kwargs)

        names = [node.op._input_name(i) for i in active]
        gradient = TensorFunction(fn, [np.array(raw[i]) for i in active], names).gradient(rng)
        results, pull, _ = gradient.record(gradient.variables)
        seeds = [weights(r.shape, rng) for r in results]
        for place, (x, d_x) in enumerate(zip(gradient.variables, pull(seeds), strict=True)):
            w = exact(sizes(x) * weights(x.shape, rng), x)

            def line(t, gradient=gradient, place=place, w=w, seeds=seeds):
                moved = [v + t * w if j == place else v for j, v in enumerate(gradient.variables)]
                return projected(gradient.values(moved), seeds)

            d = differentiate(line)
            verdict = Verdict(np.array([np.sum(d_x * w)]), d, np.sqrt(np.sum((d_x * w) ** 2)), rtol, 0.0)
            if np.any(verdict.wrong & verdict.measured) and not np.any(jumps(line)):
                found.append(
                    (
                        node.op.name,
                        f"{node.op.name}: the derivative of its rule by {gradient.names[place]} is wrong, though the rule itself is right; "
                        f"let the rule use operators and operations on what it is given, with no detach",
                    )
                )
                break
    return found


def detached(function, outputs, seeds, mismatch, place, w):
    """Where a value that depends on the variable at `place` is used as a constant: pairs of name and sentence."""
    t = difference.START / 8
    runs = []
    for s in (t, -t):
        moved = [v + s * w if j == place else v for j, v in enumerate(function.variables)]
        runs.append(nodes_of(function.record(moved)[2]))
    base = nodes_of(outputs)
    if any([n.op.name for n in base] != [n.op.name for n in run] for run in runs):
        return []
    found = []
    for node, up, down in zip(base, *runs, strict=True):
        for i in range(len(node.args)):
            name = node.op._input_name(i)
            a, b = up.args[i], down.args[i]
            if i in node.active or isinstance(a, Node) or name not in node.op.rules:
                continue
            a, b = autograd._raw(a), autograd._raw(b)
            if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or a.shape != b.shape or np.array_equal(a, b):
                continue
            g = vjp(outputs, [autograd._handle(node)], seeds)[0].data
            d = node.op.rules[name](node, i, g, autograd._raw)
            share = float(np.sum(d * (a - b) / (2 * t)))
            if abs(share) > 0.01 * abs(mismatch):
                found.append(
                    (
                        node.op.name,
                        f"{node.op.name}: its input {name} {autograd.describe(a)} changes with {function.names[place]} and yet is a constant "
                        f"to the graph; it was taken out by .detach(), .data, .numpy() or no_grad",
                    )
                )
    return found


def kinks(outputs, rng):
    """The operations that are not differentiable at what they were given, a description each."""
    found = []
    for node in nodes_of(outputs):
        raw = [autograd._raw(a) for a in node.args]
        active = [i for i in node.active if raw[i].dtype == np.float64]
        if node.dtype != np.float64 or not active:
            continue
        ws = {i: exact(sizes(raw[i]) * weights(raw[i].shape, rng), raw[i]) for i in active}

        def line(t, node=node, raw=raw, ws=ws):
            y = np.ravel(_forward(node, [a + t * ws[i] if i in ws else a for i, a in enumerate(raw)]))
            return y, np.abs(y)

        places = np.flatnonzero(jumps(line))
        if places.size:
            shown = ", ".join(element("", np.unravel_index(k, node.shape)) for k in places[:3])
            more = f" and {places.size - 3} more" if places.size > 3 else ""
            found.append(f"{node.op.name}, at {shown}{more} of its result {node.shape}")
    return found


def projected(values, seeds):
    """One number of several arrays: their sum weighted by `seeds`, and the size of what was added."""
    total = sum(np.sum(s * v) for s, v in zip(seeds, values, strict=True))
    size = np.sqrt(sum(np.sum((s * v) ** 2) for s, v in zip(seeds, values, strict=True)))
    return np.array([total], dtype=np.float64), np.array([size], dtype=np.float64)
