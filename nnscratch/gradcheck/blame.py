"""Finding the operation at fault: each node of a graph is checked by itself, with the arrays that it was given."""

import math
from contextlib import suppress

import numpy as np

from nnscratch import autograd, backend
from nnscratch.autograd import GradientError, Node, Result, identity, nodes_of
from nnscratch.backward_pass import BackwardPass
from nnscratch.gradcheck.difference import START, Verdict, along, differentiate, jumps, projected, sizes, weights
from nnscratch.gradcheck.functions import TensorFunction, host
from nnscratch.gradcheck.report import element
from nnscratch.tensor import Tensor


def refuse_short_digits(outputs):
    """Say so where a function of float64 computes in fewer digits on the way."""
    for node in nodes_of(y._node for y in outputs):
        for result in node.results:
            if result.dtype.kind == "f" and result.dtype != np.float64:
                raise TypeError(
                    f"gradcheck: {node.op.name} gives {result.dtype} within the function, whose digits are too few for "
                    f"differences; keep float64 throughout"
                )


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


class Audit(BackwardPass):
    """A backward pass in which every rule is watched.

    Attributes
    ----------
    faults : list of (str, str)
        Operations that no numbers need to convict, each with a sentence.
    """

    def __init__(self, outputs, seeds):
        self.faults: list = []
        super().__init__(outputs, seeds)
        for node in self.nodes:
            self._run_again(node)

    def _ask(self, node, i, g):
        operation, name = node.op, node.op._input_name(i)
        gradients = [d for d in (g if operation.outputs else [g]) if d is not None]
        kept = [a.data if isinstance(a, Node | Result | Tensor) else a for a in (*node.results, *node.args)]
        try:
            with _Frozen([*gradients, *kept]):
                d = autograd.ask_rule(node, i, g)
                fitted = None if d is None else autograd.fit(d, node, i)
        except GradientError as error:
            self._blame(operation, str(error))
            return None
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            self._blame(
                operation, f"its rule for {name} changes an array in place that others use; let it make a new one"
            )
            return None
        # by a float32 tensor that is not checked, few digits are what is asked for
        if d is not None and all(fitted.dtype == a.dtype for a in gradients) and _digits_lost(d, fitted, gradients):
            self._blame(
                operation, f"its rule for {name} loses digits of float64 on the way; let it keep the dtype of g"
            )
        return fitted

    def _run_again(self, node):
        raw = [autograd.raw(a) for a in node.args]
        try:
            with _Frozen(raw):
                node.op.forward(*raw, **node.kwargs)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            self._blame(node.op, "its forward function changes an input in place; let it change a copy")

    def _blame(self, operation, what):
        prefix = f"{operation.name}: "
        self.faults.append((operation.name, prefix + what.removeprefix(prefix)))


def _digits_lost(d, fitted, gradients):
    """Whether of gradients of 53 bits one came back in 24."""
    fitted, gradients = host(fitted), list(map(host, gradients))
    if fitted.size == 0 or any(_within(g, 24) for g in gradients):
        return False
    # what cancellation leaves has few bits, too, but is small
    great = np.max(np.abs(fitted)) >= 2.0**-12 * max(np.max(np.abs(g)) for g in gradients)
    return getattr(d, "dtype", fitted.dtype) != fitted.dtype or bool(great and _within(fitted, 24))


def _within(a, bits):
    mantissa = np.frexp(a[np.isfinite(a)])[0] * 2.0**bits
    return bool(np.all(mantissa == np.rint(mantissa)))


def wrong_rules(audit, settings):
    """The operations whose own rule disagrees with differences: pairs of name and sentence."""
    found = []
    for node in audit.nodes:
        raw = [host(a) for a in node.args]
        for i in node.active:
            if (id(node), i) not in audit.returned:
                continue
            gradients = audit.gradient(node) if node.op.outputs else [audit.gradient(node)]
            pair = _rule_against_differences(node, i, gradients, raw, settings)
            if pair:
                found.append(
                    (node.op.name, _sentence(node, i, *_by_one_result(node, i, gradients, raw, settings, pair)))
                )
    return found


def _by_one_result(node, i, gradients, raw, settings, pair):
    """The derivatives of the first result for which a rule is wrong where no other is used, and its name; else the `pair` of all."""
    for k, g in enumerate(gradients):
        if node.op.outputs and g is not None:
            alone = [g if j == k else None for j in range(len(gradients))]
            with suppress(GradientError):  # it needs them all, which is not what is wrong here
                found = _rule_against_differences(node, i, alone, raw, settings)
                if found:
                    return *found, f", of its result {node.op.outputs[k]} alone,"
    return *pair, ""


def _rule_against_differences(node, i, gradients, raw, settings):
    """The derivatives by one rule and numerically, where they differ, else None; the gradients are those by the node's results."""

    def rule(given):
        d = autograd.ask_rule(node, i, given if node.op.outputs else given[0])
        return np.zeros(raw[i].shape) if d is None else host(autograd.fit(d, node, i))

    gradient = rule(gradients)
    gradients = [None if g is None else host(g) for g in gradients]
    w = sizes(raw[i]) * weights(raw[i].shape, settings.rng)
    came = [k for k, g in enumerate(gradients) if g is not None]

    def each(t):
        y = _forward(node, [a + t * w if j == i else a for j, a in enumerate(raw)])
        y = np.concatenate([y[k].ravel() for k in came])
        return y, np.abs(y)

    g = np.concatenate([gradients[k].ravel() for k in came])
    pair = _disagreement(each, g, gradient, w, settings)
    if pair:
        rough = jumps(each).reshape(g.shape) != 0
        if rough.any():
            g = np.where(rough, 0.0, g)
            there = backend.of(autograd.raw(node.args[i]))
            parts = iter(np.split(g, np.cumsum([gradients[k].size for k in came])[:-1]))
            given = [None if a is None else there.asarray(next(parts).reshape(a.shape)) for a in gradients]
            pair = _disagreement(each, g, rule(given), w, settings)
    return pair


def _gradients(audit, node):
    """The gradients by a node's results as NumPy's arrays, None where none came."""
    return [None if g is None else host(g) for g in (audit.given.get(identity(r)) for r in node.results)]


def _disagreement(each, g, gradient, w, settings):
    """The derivatives along `w` by a gradient and numerically, where they differ, else None; `g` weights the results."""
    analytic, scale = along(gradient, w)
    d = differentiate(lambda t: projected([each(t)[0]], [g.ravel()]), settings.start, 1e-9 * scale)
    verdict = Verdict(analytic, d, scale, settings.rtol, settings.atol)
    return (analytic, float(d.value[0])) if verdict.wrong[0] and verdict.measured[0] else None


def _sentence(node, i, analytic, numeric, which):
    given = ", ".join(
        f"{node.op._input_name(j)}: {autograd.describe(autograd.raw(a))}" for j, a in enumerate(node.args)
    )
    text = f"{node.op.name}: its rule for {node.op._input_name(i)}{which} gives {analytic:.6g} where differences give {numeric:.6g}"
    ratio = analytic / numeric if numeric else 0.0
    near = min((-1.0, 2.0, 0.5, -2.0, -0.5), key=lambda r: abs(ratio - r))
    if abs(ratio - near) < 1e-6:
        text += f", {near:g} times as much"
    return f"{text} ({given}); correct the rule"


def _forward(node, raw):
    """What a node's operation gives for arrays of the CPU, a list of its results, computed where the node's own are."""
    kept = map(autograd.raw, node.args)
    there = [backend.of(k).asarray(a) if backend.is_array(k) else a for k, a in zip(kept, raw, strict=True)]
    y = node.op.forward(*there, **node.kwargs)
    return [np.asarray(backend.to_numpy(a)) for a in (y if node.op.outputs else [y])]


def other_with_a_graph(audit):
    """The operations whose rules give something else on Tensors than on arrays: pairs of name and sentence."""
    found = []
    for node in audit.nodes:
        for i in node.active:
            if (id(node), i) not in audit.returned:
                continue
            name, g = node.op._input_name(i), audit.gradient(node)
            g = [None if a is None else Tensor(a) for a in g] if node.op.outputs else Tensor(g)
            d = autograd.raw(autograd.fit(autograd.ask_rule(node, i, g, create_graph=True), node, i))
            if not np.allclose(host(d), host(audit.returned[id(node), i]), 1e-9, 0, equal_nan=True):
                found.append(
                    (
                        node.op.name,
                        f"{node.op.name}: its rule for {name} gives something else on Tensors than on arrays; let it use the same "
                        f"operations on both",
                    )
                )
    return found


def wrong_second_rules(outputs, settings):
    """The operations whose rule, right in itself, has a wrong derivative: pairs of name and sentence."""
    found = []
    for node in nodes_of(y._node for y in outputs):
        raw = [autograd.raw(a) for a in node.args]
        active = list(node.active)

        def fn(*tensors, node=node, raw=raw, active=active):
            filled = list(raw)
            for i, t in zip(active, tensors, strict=True):
                filled[i] = t
            return node.op(*filled, **node.kwargs)

        names, there = [node.op._input_name(i) for i in active], backend.of(raw[active[0]]).name
        gradient = TensorFunction(fn, [np.array(host(raw[i])) for i in active], names, device=there).gradient(
            settings.rng
        )
        results, pull, _ = gradient.record(gradient.variables)
        seeds = [weights(r.shape, settings.rng) for r in results]
        flat = np.concatenate([s.ravel() for s in seeds])
        for place, d in enumerate(pull(seeds)):
            w = sizes(gradient.variables[place]) * weights(d.shape, settings.rng)

            def each(t, gradient=gradient, place=place, w=w):
                moved = [v + t * w if j == place else v for j, v in enumerate(gradient.variables)]
                y = np.concatenate([r.ravel() for r in gradient.values(moved)])
                return y, np.abs(y)

            if _disagreement(each, flat, d, w, settings) and not jumps(each).any():
                by = gradient.names[place]
                found.append(
                    (
                        node.op.name,
                        f"{node.op.name}: its rules are right, but not their own derivative by {by}; let them use operators and "
                        f"operations on what they are given, with no detach",
                    )
                )
                break
    return found


def unbalanced(function, audit, mismatch, place, w):
    """Where, along `w`, a result changes otherwise than its inputs' gradients say: pairs of name and sentence."""
    t = START * 2.0**-13
    up, down = (
        function.trace([v + s * w if j == place else v for j, v in enumerate(function.variables)]) for s in (t, -t)
    )
    if [name for name, *_ in up] != [n.op.name for n in audit.nodes] or len(up) != len(down):
        return []
    found = []
    for node, (name, y_up, a_up), (_, y_down, a_down) in zip(audit.nodes, up, down, strict=True):
        gradients = _gradients(audit, node)
        if all(g is None for g in gradients):
            continue
        changes = zip(gradients, y_up, y_down, strict=True)
        share = sum(np.sum(g * (a - b)) for g, a, b in changes if g is not None) / (2 * t)
        constant = None
        for i, (a, b) in enumerate(zip(a_up, a_down, strict=True)):
            if (id(node), i) in audit.returned:
                share -= np.sum(host(audit.returned[id(node), i]) * (a - b)) / (2 * t)
            elif isinstance(a, np.ndarray) and a.dtype.kind == "f" and not np.array_equal(a, b):
                constant = node.op._input_name(i)
        if abs(share) <= 0.01 * abs(mismatch):
            continue
        by = function.names[place]
        found.append(
            (
                name,
                f"{name}: its rules together give another change than its values show, along a random change of {by}; correct them"
                if constant is None
                else f"{name}: its input {constant} changes with {by} and yet is a constant to the graph; it was taken out by "
                f".detach(), .data, .numpy() or no_grad",
            )
        )
    return found


def kinks(outputs, rng):
    """The operations that are not differentiable at what they were given, a description each."""
    found = []
    for node in nodes_of(y._node for y in outputs):
        raw = [host(a) for a in node.args]
        active = node.active
        ws = {i: sizes(raw[i], 0) * weights(raw[i].shape, rng) for i in active}

        def line(t, node=node, raw=raw, ws=ws):
            y = _forward(node, [a + t * ws[i] if i in ws else a for i, a in enumerate(raw)])
            y = np.concatenate([a.ravel() for a, r in zip(y, node.results, strict=True) if r.has_gradient])
            return y, np.abs(y)

        places = np.flatnonzero(jumps(line))
        if places.size:
            shown = ", ".join(_element_at(node, k) for k in places[:3])
            more = f" and {places.size - 3} more" if places.size > 3 else ""
            result = f"result {node.shape}" if not node.op.outputs else f"results {', '.join(node.op.outputs)}"
            found.append(f"{node.op.name}, at {shown}{more} of its {result}")
    return found


def _element_at(node, place):
    """What the element at a place of all results of a node, one after another, is called."""
    for result in filter(lambda r: r.has_gradient, node.results):
        size = math.prod(result.shape)
        if place < size:
            return element(getattr(result, "name", ""), np.unravel_index(place, result.shape))
        place -= size
    raise IndexError(place)
