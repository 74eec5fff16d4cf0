"""Operations with a fault planted in them, and right ones that look suspicious: what the gradient checker is tested with.

`FAULTS` are functions in which one operation is wrong; the checker has to refuse each and to name that operation.
`RIGHT` are functions that are right, however odd; it has to pass each. `python tests/planted.py --seeds 200` checks all
of them from that many seeds and prints how often it did.
"""

import argparse
import functools
import time

import numpy as np

import nnscratch as ns
from nnscratch.sample_inputs import apart, integers, mask, normal, positive

F = ns.functional
FAULTS = []
RIGHT = []


class Planted:
    """A function to be checked: what is odd about it, how its inputs are drawn, up to which order it is checked."""

    def __init__(self, kind, name, function, draws, order, operation=None, gradient=None):
        self.kind, self.name, self.function, self.draws, self.order = kind, name, function, draws, order
        self.operation, self.gradient = operation, gradient

    def check(self, seed, **settings):
        """The checker's report, from inputs that belong to the seed."""
        rng = np.random.default_rng(seed)
        inputs = [draw.make(rng) if hasattr(draw, "make") else draw(rng) for draw in self.draws]
        gradient = self.gradient
        if isinstance(gradient, list):
            gradient = gradient[: settings.get("order", self.order)]
        return ns.gradcheck(
            self.function, inputs, **{"order": self.order, "seed": seed, "gradient": gradient, **settings}
        )

    def verdict(self, seed):
        """Whether the check from a seed ends as it should, whether it names the right operation, and what it said."""
        try:
            report, raised = self.check(seed), False
        except ns.GradientError as error:
            report, raised = error.report, True
        except Exception as error:
            return False, False, f"{type(error).__name__}: {error}"
        # where nothing but rounding is left of a derivative of numbers of about 1, "unclear" is what there is to say
        lost = [row for row in report.rows if row.status == "unclear" and abs(row.analytic) < row.uncertainty < 1e-12]
        passed = report.passed and all(row in report.compared + lost for row in report.rows if row.order == 1)
        return raised if self in FAULTS else passed, report.operation == self.operation, str(report)


def made(name, forward, rules, constant=(), outputs=None):
    """An operation, with its rules by input."""
    operation = ns.op(forward, name=name, constant=constant, outputs=outputs)
    for which, rule in rules.items():
        operation.rule(which)(rule)
    return operation


def fault(kind, name, forward, rules, use, *draws, order=1, constant=(), outputs=None):
    """Plant an operation that is wrong; `use` is the function in which it stands, of it and the inputs."""
    operation = made(name, forward, rules, constant, outputs)
    FAULTS.append(Planted(kind, name, functools.partial(use, operation), draws, order, name))


def fault_by_hand(kind, name, function, gradient, *draws, order=1):
    """Plant a wrong gradient of a NumPy function."""
    FAULTS.append(Planted(kind, name, function, draws, order, gradient=gradient))


def right(kind, name, function, *draws, order=2):
    """A function whose rules are right."""
    RIGHT.append(Planted(kind, name, function, draws, order))


def array(t):
    """A rule's argument as an array, outside any graph."""
    return t.data if isinstance(t, ns.Tensor) else t


def weighed(t):
    """A single number in which every element of a result counts differently."""
    return (t * np.cos(np.arange(t.size) + 0.5).reshape(t.shape)).sum()


# Signs, transposes and factors

fault(
    "sign",
    "cosine",
    lambda x: np.cos(x),
    {"x": lambda g, x: g * ns.sin(x)},
    lambda f, x, w: weighed(F.tanh(f(x * 2) * w)),
    normal(3, 4),
    normal(4),
)
fault(
    "sign",
    "difference",
    lambda a, b: a - b,
    {"a": lambda g: g, "b": lambda g: g},
    lambda f, x, w: weighed(F.sigmoid(f(x * w, ns.sin(w)))),
    normal(3, 4),
    normal(4),
)
fault(
    "sign",
    "reciprocal",
    lambda x: 1 / x,
    {"x": lambda g, y: g * y * y},
    lambda f, x: weighed(ns.exp(f(x + 1))),
    positive(2, 5),
)
fault(
    "missing transpose",
    "square_product",
    lambda a, b: a @ b,
    {"a": lambda g, b: g @ b, "b": lambda g, a: a.T @ g},
    lambda f, x, w: weighed(F.tanh(f(x, w) + x)),
    normal(4, 4),
    normal(4, 4),
)
fault(
    "missing transpose",
    "quadratic_form",
    lambda x, a: x @ a @ x,
    {"x": lambda g, x, a: 2 * g * (a @ x), "a": lambda g, x: g * ns.reshape(x, (-1, 1)) * x},
    lambda f, x, a: F.tanh(f(ns.sin(x), a)),
    normal(4),
    normal(4, 4),
)
fault(
    "missing inverse",
    "turned_axes",
    lambda x: np.transpose(x, (1, 2, 0)),
    {"x": lambda g: ns.transpose(g, (1, 2, 0))},
    lambda f, x: weighed(ns.exp(f(x * 0.5))),
    normal(3, 3, 3),
)
fault(
    "missing inverse",
    "sorted_values",
    lambda x: np.sort(x),
    {"x": lambda g, x: g[np.argsort(array(x))]},
    lambda f, x: weighed(ns.exp(f(x))),
    lambda rng: np.roll(np.sort(apart(6).make(rng)), 2),
)
fault(
    "missing factor",
    "steep_sigmoid",
    lambda x: 1 / (1 + np.exp(-2 * x)),
    {"x": lambda g, y: g * y * (1 - y)},
    lambda f, x, w: F.mse_loss(f(x @ w), ns.sin(x @ w)),
    normal(5, 3),
    normal(3, 2),
)
fault(
    "missing factor",
    "squared",
    lambda x: x**2,
    {"x": lambda g, x: g * x},
    lambda f, x, w: ns.log(f(x - w).mean() + 1),
    normal(3, 4),
    normal(3, 4),
)
fault(
    "missing factor",
    "length",
    lambda x: np.sqrt((x * x).sum()),
    {"x": lambda g, x: g * x},
    lambda f, x, w: f(x @ w) + ns.sin(x).sum(),
    normal(2, 3),
    normal(3, 3),
)
fault(
    "logarithm's base",
    "binary_logarithm",
    lambda x: np.log2(x),
    {"x": lambda g, x: g / x},
    lambda f, x: weighed(f(x * x) * x),
    positive(6),
)
fault(
    "wrong constant",
    "circumference",
    lambda r: 2 * np.pi * r,
    {"r": lambda g: g * 2 * 3.14},
    lambda f, r: weighed(ns.sin(f(r))),
    positive(4),
)
fault(
    "rule of another function",
    "exact_gelu",
    lambda x: F.gelu(x),
    {"x": lambda g, x: g * F.sigmoid(1.702 * x) * (1 + 1.702 * x * F.sigmoid(-1.702 * x))},
    lambda f, x, w: weighed(f(x @ w)),
    normal(4, 3),
    normal(3, 4),
)
fault(
    "rough differences",
    "measured_sine",
    lambda x: np.sin(x),
    {"x": lambda g, x: g * (ns.sin(x + 1e-3) - ns.sin(x)) / 1e-3},
    lambda f, x: weighed(f(x * 2)),
    normal(3, 4),
)

# Sums: over which axis, of how many, and what was broadcast

fault(
    "wrong axis summed",
    "with_bias",
    lambda x, b: x + b,
    {"x": lambda g: g, "b": lambda g: g.sum(1)},
    lambda f, x, b: weighed(F.tanh(f(x, ns.exp(b)))),
    normal(4, 4),
    normal(4),
)
fault(
    "wrong axis summed",
    "centred",
    lambda x: x - x.mean(0),
    {"x": lambda g: g - ns.mean(g, 1, True)},
    lambda f, x: weighed(f(x) ** 2),
    normal(3, 4),
)
fault(
    "wrong for an axis other than -1",
    "softmax_along",
    lambda x, axis: F.softmax(x, axis),
    {"x": lambda g, y: y * (g - ns.sum(g * y, -1, True))},
    lambda f, x: weighed(f(x, -1) ** 2) + weighed(f(x * 2, 0) ** 2),
    normal(3, 4),
)
fault(
    "keepdims forgotten",
    "row_softmax",
    lambda x: F.softmax(x),
    {"x": lambda g, y: y * (g - (g * y).sum(-1))},
    lambda f, x: weighed(ns.log(f(x * 2))),
    normal(4, 4),
)
fault(
    "Jacobian's diagonal only",
    "diagonal_softmax",
    lambda x: F.softmax(x),
    {"x": lambda g, y: g * y * (1 - y)},
    lambda f, x, w: -ns.log(f(x @ w)[1, 2]),
    normal(2, 3),
    normal(3, 4),
)
fault(
    "broadcasting not undone",
    "row_added",
    lambda x, b: x + b,
    {"x": lambda g: g, "b": lambda g: g[0]},
    lambda f, x, b: weighed(F.tanh(f(x, b))),
    normal(3, 4),
    normal(4),
)
fault(
    "broadcasting not undone",
    "column_scaled",
    lambda x, s: x * s,
    {"x": lambda g, s: g * s, "s": lambda g, x: ns.sum(g * x, 0, True)},
    lambda f, x, s: weighed(f(ns.sin(x), s)),
    normal(3, 4),
    normal(3, 1),
)
fault(
    "broadcasting not undone",
    "outer_sum",
    lambda a, b: a[:, None] + b,
    {"a": lambda g: g, "b": lambda g: g},
    lambda f, a, b: weighed(ns.exp(f(a, b * b))),
    normal(4),
    normal(4),
)
fault(
    "mean for sum",
    "scaled",
    lambda x, s: x * s,
    {"x": lambda g, s: g * s, "s": lambda g, x: (g * x).mean()},
    lambda f, x, s: weighed(f(F.tanh(x), s)),
    normal(3, 4),
    normal(),
)
fault(
    "mean for sum",
    "row_sums",
    lambda x: x.sum(1),
    {"x": lambda g, x_shape: ns.broadcast_to(ns.reshape(g, (-1, 1)), x_shape) / x_shape[1]},
    lambda f, x: weighed(f(x) ** 2),
    normal(3, 4),
)
fault(
    "sum for mean",
    "average",
    lambda x: x.mean(),
    {"x": lambda g, x_shape: ns.broadcast_to(g, x_shape)},
    lambda f, x: f(x * x) * f(ns.sin(x)),
    normal(3, 4),
)
fault(
    "sum for mean",
    "log_loss",
    lambda z, q: F.cross_entropy(z, q, from_logits=True),
    {"z": lambda g, z, q: g * (F.softmax(z) - q)},
    lambda f, x, w, labels: f(x @ w, np.eye(4)[array(labels)]),
    normal(5, 3),
    normal(3, 4),
    integers(5, high=4),
    constant=("q",),
)
fault(
    "sum for mean",
    "halved",
    lambda x: (x[::2] + x[1::2]) / 2,
    {"x": lambda g: ns.reshape(ns.stack([g, g], 1), (-1,))},
    lambda f, x: weighed(F.tanh(f(x))),
    normal(8),
)
fault(
    "count in the variance",
    "unbiased_variance",
    lambda x: x.var(ddof=1),
    {"x": lambda g, x: g * 2 * (x - ns.mean(x)) / x.size},
    lambda f, x: ns.sqrt(f(x * 3) + 1),
    normal(3, 3),
)


def _standard(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.1)


def _standard_rule(eps, slope):
    def rule(g, x, y):
        inner = g - ns.mean(g, -1, True) - slope * y * ns.mean(g * y, -1, True)
        return inner / ns.sqrt(ns.var(x, -1, 0, True) + eps)

    return rule


fault(
    "eps forgotten",
    "standardized",
    _standard,
    {"x": _standard_rule(eps=0.0, slope=1)},
    lambda f, x, w: weighed(F.tanh(f(x) * w)),
    normal(3, 5),
    normal(5),
)
fault(
    "missing term",
    "layer_standardized",
    _standard,
    {"x": _standard_rule(eps=0.1, slope=0)},
    lambda f, x, w: weighed(F.tanh(f(x) * w)),
    normal(3, 5),
    normal(5),
)

# The wrong input, the wrong moment, or no input at all

fault(
    "gradient of the wrong input",
    "times",
    lambda a, b: a * b,
    {"a": lambda g, a: g * a, "b": lambda g, b: g * b},
    lambda f, x, w: weighed(F.sigmoid(f(x, w) + x)),
    normal(3, 4),
    normal(3, 4),
)
fault(
    "gradient of the wrong input",
    "quotient",
    lambda a, b: a / b,
    {"a": lambda g, a, b: -g * a / b**2, "b": lambda g, b: g / b},
    lambda f, x, w: weighed(f(ns.sin(x), w)),
    normal(3, 4),
    positive(3, 4),
)
fault(
    "gradient of the wrong input",
    "joined",
    lambda a, b: np.concatenate([a, b]),
    {"a": lambda g, a_shape: g[a_shape[0] :], "b": lambda g, a_shape: g[: a_shape[0]]},
    lambda f, a, b: weighed(ns.sin(f(a, b))),
    normal(3),
    normal(3),
)
fault(
    "gradient forgotten",
    "affine",
    lambda x, w, b: x @ w + b,
    {"x": lambda g, w: g @ w.T, "w": lambda g, x: x.T @ g, "b": lambda g: None},
    lambda f, x, w, b: weighed(F.tanh(f(x, w, b))),
    normal(3, 4),
    normal(4, 2),
    normal(2),
)
fault(
    "gradient forgotten",
    "learned_slope",
    lambda x, slope: np.where(x > 0, x, slope * x),
    {"x": lambda g, x, slope: g * ns.where(x > 0, 1.0, slope)},
    lambda f, x, slope: weighed(f(x * 2, slope) ** 2),
    apart(3, 4),
    positive(),
    constant=("slope",),
)


def _stale():
    kept = {}

    def cube(x):
        kept["x"] = x
        return x**3

    return cube, {"x": lambda g: 3 * g * kept["x"] ** 2}


def _kept_by_shape():
    masks = {}

    def rectified(x):
        masks[x.shape] = x > 0
        return x * masks[x.shape]

    return rectified, {"x": lambda g, x_shape: g * masks[x_shape]}


fault("stale saved value", "cube_twice", *_stale(), lambda f, x, w: weighed(f(x) * f(x + w)), normal(4), positive(4))
fault(
    "stale saved value",
    "cube_once",
    *_stale(),
    lambda f, x, w: weighed(ns.sin(f(x)) * w),
    normal(4),
    positive(4),
    order=2,
)
fault(
    "stale saved value",
    "mask_by_shape",
    *_kept_by_shape(),
    lambda f, x: weighed(f(x)) + weighed(f(-x)) * 2,
    apart(3, 4),
)

# Positions: padding, dilation, strides, groups, windows, indices

fault(
    "off by one in padding",
    "padded",
    lambda x: np.pad(x, ((0, 0), (2, 2))),
    {"x": lambda g: g[:, 1:-3]},
    lambda f, x: weighed(ns.sin(f(x)) + f(x) ** 2),
    normal(2, 5),
)
fault(
    "off by one in padding",
    "padded_convolution",
    lambda x, w: F.conv2d(x, w, None, 1, 1),
    {
        "x": lambda g, w: F.conv_transpose2d(g, w, None, 1, ((2, 0), (1, 1))),
        "w": lambda g, x: ns.swapaxes(F.conv2d(ns.swapaxes(x, 0, 1), ns.swapaxes(g, 0, 1), None, 1, 1), 0, 1),
    },
    lambda f, x, w: weighed(F.tanh(f(x, w))),
    normal(1, 2, 4, 4),
    normal(3, 2, 3, 3),
)
fault(
    "off by one",
    "running_sum",
    lambda x: np.cumsum(x),
    {"x": lambda g: ns.flip(ns.cumsum(ns.flip(g))) - g},
    lambda f, x: weighed(F.tanh(f(x * 0.3))),
    normal(6),
)
fault(
    "off by one",
    "neighbours_product",
    lambda x: x[1:] * x[:-1],
    {"x": lambda g, x: ns.pad(g * x[1:], ((0, 1),)) + ns.pad(g * x[:-1], ((0, 1),))},
    lambda f, x: weighed(f(ns.sin(x)) ** 2),
    normal(6),
)
fault(
    "wrong direction",
    "rolled",
    lambda x: np.roll(x, 1),
    {"x": lambda g: ns.concatenate([g[-1:], g[:-1]])},
    lambda f, x: weighed(f(x) * x),
    normal(5),
)


def _convolution(stride, dilation):
    """A convolution of the rows of x by a kernel of three cells, by slices."""

    def convolved(x, w):
        n = (x.shape[1] - 2 * dilation - 1) // stride + 1
        return sum(x[:, k * dilation :][:, : n * stride : stride] * w[k] for k in range(3))

    return convolved


def _convolution_rules(stride, dilation):
    def by_x(g, x_shape, w):
        def placed(k):
            places = slice(k * dilation, k * dilation + (g.shape[1] - 1) * stride + 1, stride)
            return ns.put_add(g * w[k], x_shape, (slice(None), places))

        return placed(0) + placed(1) + placed(2)

    def by_w(g, x):
        length = (g.shape[1] - 1) * stride + 1
        return ns.stack([(g * x[:, k * dilation :][:, :length:stride]).sum() for k in range(3)])

    return {"x": by_x, "w": by_w}


fault(
    "dilation ignored",
    "dilated_convolution",
    _convolution(stride=1, dilation=2),
    _convolution_rules(stride=1, dilation=1),
    lambda f, x, w: weighed(F.tanh(f(x, w))),
    normal(2, 8),
    normal(3),
)
fault(
    "dilation ignored",
    "dilated_by_weight",
    _convolution(stride=1, dilation=2),
    {"x": _convolution_rules(1, 2)["x"], "w": _convolution_rules(1, 1)["w"]},
    lambda f, x, w: weighed(F.tanh(f(x * x, w))),
    normal(2, 8),
    normal(3),
)
fault(
    "stride ignored",
    "strided_convolution",
    _convolution(stride=2, dilation=1),
    _convolution_rules(stride=1, dilation=1),
    lambda f, x, w: weighed(F.tanh(f(x, w))),
    normal(2, 9),
    normal(3),
)


def _slide(x, w):
    """The products of `w` with each stretch of `x` that is as long."""
    return ns.stack([(x[i : i + w.shape[0]] * w).sum() for i in range(x.shape[0] - w.shape[0] + 1)])


fault(
    "kernel not flipped",
    "correlation",
    lambda x, w: np.correlate(x, w, "valid"),
    {"x": lambda g, w: _slide(ns.pad(g, ((2, 2),)), w), "w": lambda g, x: _slide(x, g)},
    lambda f, x, w: weighed(F.tanh(f(x, w))),
    normal(7),
    normal(3),
)
fault(
    "flip forgotten",
    "totals",
    lambda x: np.cumsum(x),
    {"x": lambda g: ns.cumsum(g)},
    lambda f, x: weighed(f(x) ** 2),
    normal(6),
)
fault(
    "groups ignored",
    "grouped_product",
    lambda x, w: np.einsum("ngi,gio->ngo", x, w),
    {"x": lambda g, w: ns.einsum("ngo,io->ngi", g, w[0]), "w": lambda g, x: ns.einsum("ngi,ngo->gio", x, g)},
    lambda f, x, w: weighed(ns.sin(f(x, w))),
    normal(3, 2, 3),
    normal(2, 3, 2),
)


def _pick_rule(last):
    def rule(g, x_shape, indices):
        places = {}
        for position, index in enumerate(array(indices).tolist()):
            if last or index not in places:
                places[index] = position
        return ns.put_add(g[list(places.values())], x_shape, list(places))

    return rule


for _name, _last in (("last_of_duplicates", True), ("first_of_duplicates", False)):
    fault(
        "duplicates dropped",
        _name,
        lambda x, indices: x[indices],
        {"x": _pick_rule(_last)},
        lambda f, x, indices: weighed(f(ns.exp(x), indices)),
        normal(3, 2),
        lambda rng: rng.permutation([0, 1, 1, 2, 1]),
        constant=("indices",),
    )

# Ties and masks

fault(
    "ties counted twice",
    "greatest_with_edges",
    # The border stands in its window twice, so the greatest value often does too.
    lambda x: np.lib.stride_tricks.sliding_window_view(np.pad(x, 1, "edge"), 3).max(1),
    {"x": lambda g, x, y: _edges_rule(g, x, y)},
    lambda f, x: weighed(f(x) ** 2),
    lambda rng: apart(6).make(rng) + [9.0, 0, 0, 0, 0, 9.0],
)


def _edges_rule(g, x, y):
    wide = ns.concatenate([x[:1], x, x[-1:]])
    n = x.shape[0]
    hits = sum(ns.pad(g * (wide[k : k + n] == y), ((k, 2 - k),)) for k in range(3))
    return ns.concatenate([hits[:1] + hits[1:2], hits[2:-2], hits[-2:-1] + hits[-1:]])


fault(
    "ties counted twice",
    "greater_of_two",
    lambda a, b: np.maximum(a, b),
    {"a": lambda g, a, b: g * (a >= b), "b": lambda g, a, b: g * (b >= a)},
    lambda f, x, w: weighed(f(x * 2, x + x) * w),
    normal(3, 4),
    normal(3, 4),
)
fault(
    "mask inverted",
    "rectifier",
    lambda x: np.maximum(x, 0),
    {"x": lambda g, x: g * (x < 0)},
    lambda f, x, w: weighed(f(x * 2) * w),
    apart(3, 4),
    normal(3, 4),
)
fault(
    "mask inverted",
    "chosen",
    lambda a, b, choice: np.where(choice, a, b),
    {"a": lambda g, choice: ns.where(choice, 0.0, g), "b": lambda g, choice: ns.where(choice, g, 0.0)},
    lambda f, a, b, choice: weighed(ns.sin(f(a, b * b, choice))),
    normal(3, 4),
    normal(3, 4),
    mask(3, 4),
    constant=("choice",),
)
fault(
    "mask drawn again",
    "dropped",
    lambda x: x * (np.random.default_rng(0).random(x.shape) < 0.5),
    {"x": lambda g, x_shape: g * (np.random.default_rng(1).random(x_shape) < 0.5)},
    lambda f, x, w: weighed(F.tanh(f(x) @ w)),
    normal(3, 4),
    normal(4, 2),
)
fault(
    "one bound forgotten",
    "clipped",
    lambda x: np.clip(x, -1.2, 1.2),
    {"x": lambda g, x: g * (x > -1.2)},
    lambda f, x: weighed(f(x) * ns.sin(x)),
    apart(3, 4),
)

# Dtypes, memory and branches

fault(
    "dtype changed",
    "sine_in_float32",
    lambda x: np.sin(x),
    {"x": lambda g, x: ns.astype(ns.astype(g, "float32") * ns.cos(ns.astype(x, "float32")), "float64")},
    lambda f, x: weighed(ns.exp(f(x * 3))),
    normal(3, 4),
)
fault(
    "dtype changed",
    "sine_in_float16",
    lambda x: np.sin(x),
    {"x": lambda g, x: ns.astype(g * ns.cos(x), "float16")},
    lambda f, x: weighed(ns.exp(f(x * 3))),
    normal(3, 4),
)
fault(
    "dtype changed",
    "doubled_in_integers",
    lambda x: x * 2,
    {"x": lambda g: np.asarray(array(g) * 2, dtype=np.int64)},
    lambda f, x: weighed(ns.sin(f(x))),
    normal(3, 4),
)


def _overwrites_gradient(g, x):
    g = array(g)
    g *= np.cos(array(x))
    return g


def _overwrites_input(g, x):
    x = array(x)
    np.cos(x, out=x)
    return g * x


def _centres_its_input(x):
    x -= x.mean()
    return x * x


fault(
    "in-place change",
    "sine_over_gradient",
    lambda x: np.sin(x),
    {"x": _overwrites_gradient},
    lambda f, x, w: weighed(ns.exp(x * w + f(w))),
    normal(3, 4),
    normal(3, 4),
)
fault(
    "in-place change",
    "sine_over_input",
    lambda x: np.sin(x),
    {"x": _overwrites_input},
    lambda f, x, w: weighed(ns.exp(x) * w + f(ns.exp(x))),
    normal(3, 4),
    normal(3, 4),
)
fault(
    "in-place change",
    "centred_squares",
    _centres_its_input,
    {"x": lambda g, x: 2 * (g * x - ns.mean(g * x))},
    lambda f, x: weighed(f(ns.exp(x))),
    normal(3, 4),
)
fault(
    "wrong only for strided input",
    "sine_by_memory",
    lambda x: np.sin(x),
    {"x": lambda g, x: g * np.cos(array(x).ravel("K").reshape(x.shape))},
    lambda f, x, w: weighed(f(x) * w) + weighed(f(ns.transpose(x))),
    normal(3, 4),
    normal(3, 4),
)
fault(
    "wrong only for strided input",
    "gradient_by_memory",
    lambda x: 3 * x,
    {"x": lambda g: 3 * array(g).ravel("K").reshape(g.shape)},
    lambda f, x, w: weighed(ns.transpose(f(ns.sin(x))) * w),
    normal(3, 4),
    normal(4, 3),
)
fault(
    "detached branch",
    "swish",
    lambda x: x * F.sigmoid(x),
    {"x": lambda g, x: g * F.sigmoid(x)},
    lambda f, x, w: weighed(f(x @ w)),
    normal(2, 3),
    normal(3, 4),
)
fault(
    "detached branch",
    "unit_length",
    lambda x: x / np.sqrt((x * x).sum()),
    {"x": lambda g, x: g / ns.sqrt((x * x).sum())},
    lambda f, x, w: weighed(f(x) * w),
    normal(5),
    normal(5),
)
FAULTS.append(
    Planted(
        "detached branch",
        "detach_in_function",
        lambda x, w: weighed(x * w.detach()) + weighed(ns.sin(w)),
        (normal(3, 4), normal(3, 4)),
        order=1,
        operation="multiply",
    )
)

# Several results

fault(
    "several results: sign of one",
    "sine_and_cosine",
    lambda x: (np.sin(x), np.cos(x)),
    {"x": lambda g_sine, g_cosine, sine, cosine: g_sine * cosine + g_cosine * sine},
    lambda f, x, w: weighed(f(ns.tanh(x))[0] * w + f(x * w)[1]),
    normal(3, 4),
    normal(4),
    outputs=("sine", "cosine"),
)
fault(
    "several results: one for another",
    "sum_and_product",
    lambda a, b: (a + b, a * b),
    {
        "a": lambda g_total, g_product, b: g_total + g_product * b,
        "b": lambda g_total, g_product, b: g_total + g_product * b,
    },
    lambda f, x, w: weighed(ns.tanh(f(x, ns.sin(w))[1]) * f(x, w)[0]),
    normal(3, 4),
    normal(4),
    outputs=("total", "product"),
)
fault(
    "several results: gradients exchanged",
    "mean_and_rest",
    lambda x: (x.mean(-1, keepdims=True) + 0 * x, x - x.mean(-1, keepdims=True)),
    {"x": lambda g_rest, g_mean: ns.mean(g_rest, -1, keepdims=True) + g_mean - ns.mean(g_mean, -1, keepdims=True)},
    lambda f, x: (lambda mean, rest: weighed(ns.exp(mean) * ns.sin(mean * rest)))(*f(x)),
    normal(3, 4),
    outputs=("mean", "rest"),
)
fault(
    "several results: one unused",
    "mean_and_greatest",
    lambda x: (x.mean(-1), x.max(-1)),
    {
        "x": lambda g_mean, g_greatest, greatest, x: (
            g_mean[:, None] / x.shape[1] + g_greatest[:, None] * (array(x) == array(greatest)[:, None])
        )
    },
    lambda f, x, w: (lambda mean, greatest: weighed(ns.exp(mean)))(*f(x * w)),
    apart(3, 4),
    positive(4),
    outputs=("mean", "greatest"),
)

# Wrong only in the second derivative

fault(
    "second derivative: detached",
    "logistic",
    lambda x: F.sigmoid(x),
    {"x": lambda g, y: g * array(y) * (1 - array(y))},
    lambda f, x, w: weighed(f(x * w)),
    normal(3, 4),
    normal(3, 4),
    order=2,
)
fault(
    "second derivative: detached",
    "hyperbolic_tangent",
    lambda x: np.tanh(x),
    {"x": lambda g, x: array(g) * (1 - F.tanh(x) ** 2)},
    lambda f, x, w: weighed(f(x * w) ** 2),
    normal(3, 4),
    normal(3, 4),
    order=2,
)
fault(
    "second derivative: the rule's branch",
    "fourth_power",
    lambda x: x**4,
    {"x": lambda g, x: (4 if isinstance(x, np.ndarray) else 3) * g * x**3},
    lambda f, x, w: weighed(f(ns.sin(x)) * w),
    normal(3, 4),
    normal(3, 4),
    order=2,
)
fault(
    "second derivative: the gradient's own rule",
    "slope_of_square",
    lambda x, d: 2 * x * d,
    {"x": lambda g, d: g * d, "d": lambda g, x: 2 * g * x},
    lambda f, x: weighed(made("square", lambda x: x * x, {"x": lambda g, x: f(x, g)})(ns.sin(x))),
    normal(3, 4),
    order=2,
)
fault(
    "second derivative: a term that is zero",
    "third_power",
    lambda x: x**3,
    {"x": lambda g, x: 3 * g * x * x + (x - array(x)) * g},
    lambda f, x, w: weighed(f(x + w)),
    normal(3, 4),
    normal(4),
    order=2,
)

fault(
    "second derivative: a kept result detached",
    "step_of_memory",
    lambda x, c: (np.tanh(c + np.sin(x)), c + np.sin(x)),
    {
        "x": lambda g_h, g_next, h, x: (g_h * (1 - array(h) ** 2) + g_next) * ns.cos(x),
        "c": lambda g_h, g_next, h: g_h * (1 - array(h) ** 2) + g_next,
    },
    lambda f, x, c: (lambda h, c: weighed(h * h) + weighed(c))(*f(x, c)),
    normal(3, 4),
    normal(4),
    order=2,
    outputs=("h", "next"),
)

# Wrong only somewhere, or only a little


def _last_element(shape, factor):
    factors = np.ones(shape)
    factors[(-1,) * len(shape)] = factor
    return factors


fault(
    "wrong in one corner element",
    "sine_but_corner",
    lambda x: np.sin(x),
    {"x": lambda g, x, x_shape: g * ns.cos(x) * _last_element(x_shape, 1.01)},
    lambda f, x: weighed(f(x * 2)),
    normal(20, 30),
)
fault(
    "wrong in one corner element",
    "product_but_corner",
    lambda a, b: a @ b,
    {"a": lambda g, b, a_shape: (g @ b.T) * _last_element(a_shape, 0.0), "b": lambda g, a: a.T @ g},
    lambda f, x, w: weighed(F.tanh(f(x, w))),
    normal(5, 4),
    normal(4, 3),
)
fault(
    "wrong only for negative input",
    "three_halves_power",
    lambda x: np.abs(x) ** 1.5,
    {"x": lambda g, x: g * 1.5 * ns.sqrt(ns.abs(x))},
    lambda f, x: weighed(f(x * 2)),
    apart(3, 4),
)
fault(
    "wrong only for large input",
    "soft_rectifier",
    lambda x: np.logaddexp(0, x),
    {"x": lambda g, x: g * ns.where(x > 4, 1.0, F.sigmoid(x))},
    lambda f, x, w: weighed(f(x * 5) * w),
    apart(3, 4),
    normal(3, 4),
)
fault(
    "not a number",
    "product_of_all",
    lambda x: np.prod(x),
    {"x": lambda g, x, y: ns.divide(g * y, x)},
    lambda f, x, w: f(x * w) + ns.sin(w).sum(),
    lambda rng: rng.permutation([0.0, *rng.uniform(0.5, 2.0, 3)]),
    normal(4),
)
fault(
    "hidden under a greater gradient",
    "faint_sine",
    lambda x: np.sin(x),
    {"x": lambda g, x: 1.01 * g * ns.cos(x)},
    lambda f, x: weighed(x + 0.1 * f(x)),
    normal(3, 4),
)
fault(
    "hidden in a small result",
    "tiny_square",
    lambda x: 1e-9 * x * x,
    {"x": lambda g, x: 1e-9 * g * x},
    lambda f, x: weighed(f(x)),
    normal(3, 4),
)


def _long_chain(f, x):
    for i in range(60):
        x = x + (f(x) if i == 30 else 0.05 * ns.sin(x))
    return weighed(x)


fault("deep inside", "buried_square", lambda x: 0.1 * x * x, {"x": lambda g, x: 0.1 * g * x}, _long_chain, normal(3, 4))
fault(
    "remainder forgotten",
    "sine_in_blocks",
    lambda x: np.sin(x),
    {"x": lambda g, x: ns.pad((g * ns.cos(x))[: x.shape[0] // 8 * 8], ((0, x.shape[0] % 8),))},
    lambda f, x: weighed(f(x * 2)),
    normal(19),
)
fault(
    "gradient clipped in the rule",
    "sine_with_clipped_gradient",
    lambda x: np.sin(x),
    {"x": lambda g, x: ns.clip(g, -5, 5) * ns.cos(x)},
    lambda f, x: weighed(100 * f(x)),
    normal(3, 4),
)


# Right: the same derivative in another form, or returned in another way


def right_rule(kind, name, forward, rule, *draws, order=2, use=lambda f, x: weighed(ns.sin(f(x * 0.7)))):
    """An operation of one input whose rule is right, within a function."""
    right(kind, name, functools.partial(use, made(name, forward, {"x": rule})), *draws, order=order)


right_rule(
    "another form",
    "sigmoid_by_tanh",
    lambda x: F.sigmoid(x),
    lambda g, x: g * (1 - F.tanh(x / 2) ** 2) / 4,
    normal(3, 4),
)
right_rule(
    "another form",
    "sigmoid_by_exponentials",
    lambda x: F.sigmoid(x),
    lambda g, x: g / (2 + ns.exp(x) + ns.exp(-x)),
    normal(3, 4),
)
right_rule(
    "another form",
    "softmax_shifted",
    lambda x: F.softmax(x),
    lambda g, x, y: y * (g - ns.sum(g * F.softmax(x - 100.0), -1, True)),
    normal(3, 4),
)
right_rule("by the result", "tangent_by_result", lambda x: np.tanh(x), lambda g, y: g - g * y * y, normal(3, 4))
right_rule("by the result", "root_by_result", lambda x: np.sqrt(1 + x * x), lambda g, x, y: g * x / y, normal(3, 4))
right_rule(
    "a branch for the second derivative",
    "square_in_two_ways",
    lambda x: x * x,
    lambda g, x: 2 * g * x if isinstance(g, ns.Tensor) else g * x + x * g,
    normal(3, 4),
)
right_rule(
    "returns the shape before broadcasting is undone", "spread", lambda x: x + np.zeros((3, 4)), lambda g: g, normal(4)
)
right_rule("returns a view", "turned", lambda x: x.T[::-1], lambda g: ns.transpose(ns.flip(g, 0)), normal(3, 4))
right_rule(
    "returns a read-only view",
    "total",
    lambda x: x.sum(),
    lambda g, x_shape: ns.broadcast_to(g, x_shape),
    normal(3, 4),
    order=1,
    use=lambda f, x: ns.sin(f(x * x)),
)
right_rule("exact in float32", "doubled", lambda x: 2 * x, lambda g: g * np.float32(2), normal(3, 4))
right_rule(
    "exact in float32",
    "ramp",
    lambda x: x * np.arange(12.0).reshape(3, 4),
    lambda g: g * np.arange(12, dtype=np.float32).reshape(3, 4),
    normal(3, 4),
)
right_rule(
    "changes a copy in place",
    "cube_in_a_copy",
    lambda x: x**3,
    lambda g, x: np.multiply(3 * x * x, g, out=np.empty_like(x)),
    normal(3, 4),
    order=1,
)
right_rule(
    "in-place change of its own array",
    "centred_copy",
    lambda x: np.subtract(x, x.mean(), out=x.copy()),
    lambda g: g - ns.mean(g),
    normal(3, 4),
)

# Right: a gradient of zero, or none


right_rule(
    "gradient zero",
    "ones",
    lambda x: np.ones_like(x),
    lambda g: g * 0.0,
    normal(3, 4),
    use=lambda f, x: weighed(x * f(x)),
)
right_rule(
    "gradient zero",
    "rounded_down",
    lambda x: np.floor(x),
    lambda g: g * 0.0,
    lambda rng: rng.integers(-3, 3, (3, 4)) + rng.uniform(0.2, 0.8, (3, 4)),
    use=lambda f, x: weighed(x * f(x)),
)
right("gradient zero", "square at 0", lambda x: weighed(x * x), lambda rng: np.zeros(4))
right("gradient zero", "cube at 0", lambda x: weighed(x**3), lambda rng: np.zeros(4))
right("gradient zero", "cosine at 0", lambda x: weighed(ns.cos(x)), lambda rng: np.zeros((2, 3)))
right("gradient zero", "nothing but a constant", lambda x: weighed(x * 0.0), normal(3, 4))
right("gradient zero", "unused input", lambda x, w: weighed(ns.sin(x)), normal(3, 4), normal(2))
right("gradient zero", "difference of equals", lambda x: weighed(ns.exp(x) - ns.exp(x)), normal(3, 4))
right("gradient zero", "sum of a softmax", lambda x: F.softmax(x).sum(), normal(3, 4))
right(
    "rule returns None",
    "ignores its weight",
    functools.partial(
        lambda f, x, w: weighed(f(ns.sin(x), w * w)),
        made("first_of", lambda a, b: a + 0 * b, {"a": lambda g: g, "b": lambda g: None}),
    ),
    normal(3, 4),
    normal(3, 4),
)
right(
    "a detached shift",
    "shifted exponentials",
    lambda x: ns.log(ns.exp(x - x.max().detach()).sum()) + x.max().detach(),
    normal(3, 4),
    order=1,
)

# Right: kinks that are elsewhere


right("kinks elsewhere", "absolute value", lambda x: weighed(ns.abs(x) * x), apart(3, 4))
right("kinks elsewhere", "rectified", lambda x: weighed(F.relu(x) ** 2 + F.leaky_relu(x, 0.1)), apart(3, 4))
right("kinks elsewhere", "greatest", lambda x: ns.max(x) * weighed(ns.max(x * x, 0)), apart(3, 4))
right("kinks elsewhere", "clipped elsewhere", lambda x: weighed(ns.clip(x, -1.2, 1.2) * x), apart(3, 4))
right("kinks elsewhere", "greatest of windows", lambda x: weighed(F.max_pool2d(ns.sin(x * 0.3), 2)), apart(1, 1, 4, 4))
right(
    "a kink close by",
    "rectified near 0",
    lambda x, w: weighed(F.relu(x) * w),
    lambda rng: rng.choice([-1e-6, 1e-6], 6),
    normal(6),
)
right(
    "a kink close by",
    "absolute value near 0",
    lambda x: weighed(ns.abs(x)),
    lambda rng: np.append(rng.normal(size=5), 1e-6),
)
right(
    "smooth although its parts are not",
    "maximum of equals",
    lambda x: weighed(ns.maximum(x * 2, x + x)),
    normal(3, 4),
    order=1,
)
right(
    "smooth although its parts are not",
    "absolute value squared",
    lambda x: weighed(ns.abs(x) ** 2),
    lambda rng: np.append(rng.normal(size=3), 0.0),
    order=1,
)
right(
    "a guarded infinity",
    "logarithm of the positive",
    lambda x: weighed(ns.where(x > 0, ns.log(ns.where(x > 0, x, 1.0)), x)),
    apart(3, 4),
)
right_rule(
    "a guarded infinity",
    "sinc",
    lambda x: np.sinc(x / np.pi),
    lambda g, x, y: g * ns.where(x == 0, 0.0, (ns.cos(x) - y) / ns.where(x == 0, 1.0, x)),
    lambda rng: np.append(rng.normal(size=4), 0.0),
    order=1,
)

# Right: small, great, cancelling, steep


right("small", "gradient of 1e-12", lambda x: weighed(1e-12 * ns.sin(x)), normal(3, 4))
right("great", "gradient of 1e12", lambda x: weighed(1e12 * ns.sin(x)), normal(3, 4))
right("mixed", "gradients of 1e-8 to 1e8", lambda x: weighed(ns.sin(x) * 10.0 ** np.arange(-8, 9)), normal(17))
right("small", "inputs of 1e-9", lambda x: weighed(ns.sin(x * 1e9)), lambda rng: rng.normal(size=4) * 1e-9)
right("great", "inputs of 1e9", lambda x: weighed(ns.sin(x * 1e-9)), lambda rng: rng.normal(size=4) * 1e9)
right(
    "mixed",
    "inputs of 1e-6 to 1e6",
    lambda x: weighed(ns.log(x * x)),
    lambda rng: rng.choice([-1, 1], 13) * rng.uniform(1, 2, 13) * 10.0 ** np.arange(-6, 7),
)
right(
    "close to the domain's end", "root near 0", lambda x: weighed(ns.sqrt(x)), lambda rng: rng.uniform(1, 2, 4) * 1e-8
)
right(
    "close to the domain's end",
    "logarithm near 0",
    lambda x: weighed(ns.log(x)),
    lambda rng: np.append(rng.uniform(1, 2, 4), 1e-6),
)
right(
    "close to the domain's end",
    "root near 1",
    lambda x: weighed(ns.sqrt(1 - x)),
    lambda rng: 1 - rng.uniform(1, 2, 4) * 1e-4,
)
right("cancellation", "a million taken off again", lambda x: weighed(ns.sin((x + 1e6) - 1e6)), normal(3, 4), order=1)
right(
    "cancellation",
    "1 - cos x over x squared",
    lambda x: weighed((1 - ns.cos(x)) / (x * x)),
    lambda rng: rng.uniform(0.03, 0.1, 4),
    order=1,
)
right("cancellation", "a great constant beside", lambda x: ns.sin(x).sum() + 1e10, normal(3, 4), order=1)
right("steep", "exponentials of 20 x", lambda x: weighed(ns.exp(20 * x)), normal(3, 4))
right("steep", "saturated tangents", lambda x: weighed(F.tanh(30 * x)), normal(3, 4))
right("steep", "fast waves", lambda x: weighed(ns.sin(100 * x)), normal(3, 4))
right("steep", "log-sum-exp of hundreds", lambda x: ns.logsumexp(x * 300), normal(3, 4))


def _deep(x):
    for _ in range(300):
        x = x + 0.01 * ns.sin(x)
    return weighed(x)


right("deep", "three hundred steps", _deep, normal(4), order=1)

# Right: inputs that are unusual


right("unusual input", "indices beside", lambda x, i: weighed(ns.exp(x)[i]), normal(3, 2), integers(5, high=3))
right(
    "unusual input",
    "labels",
    lambda z, labels: F.cross_entropy(z, labels, from_logits=True),
    normal(5, 3),
    integers(5, high=3),
)
right("unusual input", "no elements", lambda x, w: weighed(ns.sin(x)) + ns.sin(w).sum(), normal(0, 4), normal(3))
right("unusual input", "a single number", lambda x: ns.sin(x) * x, normal())
right(
    "unusual input",
    "column-major",
    lambda x: weighed(ns.sin(x) @ x.T),
    lambda rng: np.asfortranarray(rng.normal(size=(3, 4))),
)
right(
    "unusual input",
    "backwards and with gaps",
    lambda x: weighed(ns.sin(x) * x),
    lambda rng: rng.normal(size=(6, 8))[::-2, ::2],
)
right(
    "unusual input",
    "read-only and repeated",
    lambda x: weighed(ns.sin(x) * x),
    lambda rng: np.broadcast_to(rng.normal(size=4), (3, 4)),
)
right("unusual input", "a product with a zero", lambda x: ns.prod(x), lambda rng: np.append(rng.normal(size=3), 0.0))
right("unusual input", "several results", lambda x: (ns.sin(x), ns.cos(x).sum(), x * x), normal(3, 4))

# Right: operations with several results

MEMORY = made(
    "memory",
    lambda x, c: (np.tanh(c + np.sin(x)), c + np.sin(x)),
    {
        "x": lambda g_h, g_next, h, x: (g_h * (1 - h * h) + g_next) * ns.cos(x),
        "c": lambda g_h, g_next, h: g_h * (1 - h * h) + g_next,
    },
    outputs=("h", "next"),
)
ORDERED = made(
    "ordered",
    lambda x: (np.sort(x), np.argsort(x)),
    {"x": lambda g_values, places, x_shape: ns.put_add(g_values, (*x_shape,), (np.arange(3)[:, None], places))},
    outputs=("values", "places"),
)


def _steps(x, c):
    h = x
    for _ in range(3):
        h, c = MEMORY(h, c)
    return weighed(h * c)


right("several results", "three steps of a memory", _steps, normal(3, 4), normal(3, 4))
right("several results", "all results", MEMORY, normal(3, 4), normal(3, 4))
right("several results", "the first alone", lambda x, c: weighed(MEMORY(x, c)[0]), normal(3, 4), normal(3, 4))
right("several results", "the second alone", lambda x, c: weighed(MEMORY(x, c)[1] ** 2), normal(3, 4), normal(3, 4))
right("several results", "values and places", ORDERED, apart(3, 4))


def _dropped(x, w):
    ns.manual_seed(7)
    return weighed(F.dropout(F.tanh(x @ w), 0.5))


right("random", "dropout from a fixed seed", _dropped, normal(4, 3), normal(3, 5))


# Gradients of NumPy functions: small beside large, large beside nothing, at 0, with a cache, of the second order


def scaled(*shape, by):
    """Normal numbers, each in units of its own."""
    return lambda rng: rng.normal(size=shape) * by


def zeros(*shape):
    return lambda rng: np.zeros(shape)


UNITS = np.array([1e7, 1.0, 1.0])
FEATURES = np.random.default_rng(5).normal(size=(50, 3))


def squares_of(features):
    """The loss of a regression on features in these units, and its gradient."""
    return (
        lambda w: np.mean((features @ w - 1) ** 2),
        lambda w: 2 * features.T @ (features @ w - 1) / len(features),
    )


for name, units, factors in (
    ("third weight forgotten", [1e7, 1.0, 1.0], [1.0, 1.0, 0.0]),
    ("second weight's sign", [1e5, 1.0, 1e5], [1.0, -1.0, 1.0]),
    ("last weight doubled", [1e6, 1e3, 1.0], [1.0, 1.0, 2.0]),
    ("every small weight forgotten", [1.0, 1e6, 1.0], [0.0, 1.0, 0.0]),
):
    loss, slope = squares_of(FEATURES * units)
    fault_by_hand(
        "small beside large",
        name,
        loss,
        lambda w, slope=slope, factors=factors: slope(w) * factors,
        lambda rng: rng.uniform(0.1, 1.0, 3) * rng.choice([-1, 1], 3),
    )
fault_by_hand(
    "small beside large",
    "small result forgotten",
    lambda x: (1e6 * np.sin(x), np.cos(x)),
    lambda x, g: 1e6 * np.cos(x) * g[0],
    normal(4),
)
fault_by_hand(
    "small beside large",
    "last of elements of many sizes",
    lambda x: np.sin(x) * np.array([1e6, 1.0, 1e-3]),
    lambda x, g: g * np.cos(x) * np.array([1e6, 1.0, 0.0]),
    lambda rng: rng.uniform(0.2, 1.2, 3),
)
fault_by_hand(
    "small beside large",
    "bias forgotten for one unit",
    lambda x, b: np.tanh(x + b) * np.array([1e7, 1e7, 1.0]),
    lambda x, b, g: (
        (1 - np.tanh(x + b) ** 2) * g * np.array([1e7, 1e7, 1.0]),
        ((1 - np.tanh(x + b) ** 2) * g * np.array([1e7, 1e7, 0.0])).sum(0),
    ),
    normal(4, 3),
    normal(3),
)
fault_by_hand(
    "squares overflow", "values of 1e200", lambda x: np.sum(x) * 1e200, lambda x: np.full_like(x, 2e200), normal(4)
)
fault_by_hand(
    "squares overflow", "inputs of 1e160", lambda x: np.sum(x), lambda x: np.full_like(x, -1.0), scaled(4, by=1e160)
)
fault_by_hand(
    "squares overflow",
    "gradient of 1e250",
    lambda x: 1e250 * np.sin(x),
    lambda x, g: 1e250 * np.sin(x) * g,
    normal(4),
)
fault_by_hand(
    "squares sink to 0", "inputs of 1e-200", lambda x: np.sum(x), lambda x: np.full_like(x, 0.5), scaled(4, by=1e-200)
)
fault_by_hand("squares sink to 0", "values of 1e-200", lambda x: 1e-200 * np.sin(x), lambda x, g: 1e-200 * g, normal(4))
fault_by_hand("at 0", "cube and line at 0", lambda x: np.sum(x**3 + x), lambda x: 3 * x**2, zeros(3))
fault_by_hand("at 0", "tangent at 0", lambda x: np.tanh(x), lambda x, g: g * np.tanh(x), zeros(2, 2))
fault_by_hand("at 0", "quotient at 0", lambda x: np.sum(x * np.exp(x)), lambda x: x * np.exp(x), zeros(3))
fault_by_hand(
    "at 0",
    "product of which one factor is 0",
    lambda x: np.prod(x),
    lambda x: np.where(x == 0, 0.0, np.prod(x) / np.where(x == 0, 1.0, x)),
    lambda rng: rng.permutation([0.0, *rng.uniform(0.5, 2.0, 3)]),
)


class Cached:
    """A layer of forward and backward methods: `forward` keeps what `backward` needs."""

    def __init__(self, function, slope):
        self.function, self.slope, self.kept = function, slope, []

    def forward(self, *inputs):
        y = self.function(*inputs)
        self.kept.append((*inputs, y))
        return y

    def backward(self, g):
        return self.slope(g, *self.kept.pop())


def cached(kind, name, function, slope, *draws, plant):
    layer = Cached(function, slope)
    plant(kind, name, layer.forward, lambda *given: layer.backward(given[-1]), *draws)


cached(
    "a cache",
    "slope by the input kept",
    lambda x: np.tanh(x),
    lambda g, x, y: g * (1 - x**2),
    normal(4, 3),
    plant=fault_by_hand,
)
cached(
    "a cache",
    "product kept",
    lambda x, w: x @ w,
    lambda g, x, w, y: (g @ w, x.T @ g),
    normal(4, 3),
    normal(3, 3),
    plant=fault_by_hand,
)
cached(
    "a cache",
    "normalised without its mean",
    lambda x: (x - x.mean(0)) / x.std(0),
    lambda g, x, y: (g - y * (g * y).mean(0)) / x.std(0),
    normal(6, 3),
    plant=fault_by_hand,
)
cached(
    "a cache",
    "softmax kept",
    lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    lambda g, x, y: g * y - y * y,
    normal(3, 4),
    plant=fault_by_hand,
)


def _changing_g(x, w, g):
    g *= w
    return g, g * x


fault_by_hand(
    "in-place change",
    "gradient changed before it is used again",
    lambda x, w: x * w,
    _changing_g,
    normal(3, 4),
    normal(3, 4),
)
fault_by_hand(
    "mask inverted",
    "dropout by hand",
    lambda x: np.where(np.arange(12).reshape(3, 4) % 3 > 0, x / 0.6, 0.0),
    lambda x, g: np.where(np.arange(12).reshape(3, 4) % 3 > 0, g, 0.0),
    normal(3, 4),
)
fault_by_hand(
    "dtype changed",
    "gradient by way of float16",
    lambda x: np.sum(np.sin(x)),
    lambda x: np.cos(x).astype("f2").astype("f8"),
    normal(6),
)
fault_by_hand(
    "second derivative by hand",
    "cube's curvature",
    lambda x: np.sum(x**3),
    [lambda x: 3 * x**2, lambda x, v: 3 * x * v],
    normal(4),
    order=2,
)
fault_by_hand(
    "second derivative by hand",
    "quadratic form's curvature",
    lambda x: x @ np.arange(9.0).reshape(3, 3) @ x,
    [
        lambda x: (np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T) @ x,
        lambda x, v: 2 * np.arange(9.0).reshape(3, 3) @ v,
    ],
    normal(3),
    order=2,
)
fault_by_hand(
    "second derivative by hand",
    "gradient's own gradient forgotten",
    lambda x: np.sin(x),
    [lambda x, g: np.cos(x) * g, lambda x, g, v: (-np.sin(x) * g * v, np.zeros_like(g))],
    normal(4),
    order=2,
)
fault_by_hand(
    "second derivative by hand",
    "mixed derivative's sign",
    lambda x, w: np.sum(x * w**2),
    [lambda x, w: (w**2, 2 * x * w), lambda x, w, v: (-2 * w * v[1], 2 * w * v[0] + 2 * x * v[1])],
    normal(4),
    normal(4),
    order=2,
)

# Operations: at 0, at ties of large numbers, by way of views, of several results

fault(
    "second derivative at 0",
    "square_but_at_0",
    lambda x: x * x,
    {"x": lambda g, x: g * ns.where(ns.equal(x, 0), 0.0, 2 * x)},
    lambda f, x: weighed(f(x)),
    zeros(3),
    order=2,
)
fault(
    "second derivative at 0",
    "logarithm_of_cosh",
    lambda x: np.log(np.cosh(x)),
    {"x": lambda g, x: g * array(ns.tanh(x))},
    lambda f, x: weighed(f(x)),
    zeros(2, 2),
    order=2,
)
fault(
    "power at 0",
    "square_by_division",
    lambda x: x**2,
    {"x": lambda g, x, y: ns.divide(2 * g * y, x)},
    lambda f, x: weighed(f(x) + x),
    lambda rng: np.append(rng.normal(size=3), 0.0),
)
fault(
    "power at 0",
    "line_as_a_power",
    lambda x: x**1.0,
    {"x": lambda g, x: g * ns.where(ns.equal(x, 0), 0.0, 1.0)},
    lambda f, x: weighed(ns.sin(f(x))),
    lambda rng: np.append(rng.normal(size=3), 0.0),
)
fault_by_hand(
    "squares overflow",
    "least for the greatest",
    lambda x: np.max(x),
    lambda x: (x == np.min(x)) * 1.0,
    lambda rng: rng.permutation([1e200, 2e200, 5e200]),
)


def _through_a_view(g, x):
    flat = np.reshape(array(g), -1)
    flat *= np.cos(array(x)).ravel()
    return flat.reshape(x.shape)


fault(
    "in-place change",
    "sine_through_a_view",
    lambda x: np.sin(x),
    {"x": _through_a_view},
    lambda f, x: weighed(f(x) + x),
    normal(3, 4),
)
_TOTAL = np.zeros((3, 4))


def _added_up(g, x):
    _TOTAL[...] += array(g) * np.cos(array(x))
    return _TOTAL.copy()


fault(
    "stale saved value",
    "sine_added_up",
    lambda x: np.sin(x),
    {"x": _added_up},
    lambda f, x: weighed(f(x)),
    normal(3, 4),
)
fault(
    "detached branch",
    "exponential_by_numpy",
    lambda x: np.exp(x),
    {"x": lambda g, y: g * np.exp(np.log(array(y)))},
    lambda f, x: weighed(f(x)),
    normal(3, 4),
    order=2,
)
fault(
    "several results: a small one forgotten",
    "large_and_small",
    lambda x: (1e6 * np.sin(x), np.cos(x)),
    {"x": lambda g_large, x: 1e6 * g_large * ns.cos(x)},
    lambda f, x: f(x),
    normal(4),
    outputs=("large", "small"),
)

# Right: the same, where nothing is wrong


def right_by_hand(kind, name, function, gradient, *draws, order=1):
    RIGHT.append(Planted(kind, name, function, draws, order, gradient=gradient))


for units in (1e3, 1e5, 1e7):
    right_by_hand(
        "small beside large",
        f"features of {units:g} and 1",
        *squares_of(FEATURES * [units, 1.0, 1.0]),
        lambda rng: rng.uniform(0.1, 1.0, 3) * rng.choice([-1, 1], 3),
    )
right_by_hand(
    "small beside large",
    "results of 1e6 and 1",
    lambda x: (1e6 * np.sin(x), np.cos(x)),
    lambda x, g: 1e6 * np.cos(x) * g[0] - np.sin(x) * g[1],
    normal(4),
)
cached(
    "a cache", "tangent kept", lambda x: np.tanh(x), lambda g, x, y: g * (1 - y**2), normal(4, 3), plant=right_by_hand
)
cached(
    "a cache",
    "inputs kept",
    lambda x, w: x @ w,
    lambda g, x, w, y: (g @ w.T, x.T @ g),
    normal(4, 3),
    normal(3, 2),
    plant=right_by_hand,
)
right_by_hand(
    "second derivative by hand",
    "sine, twice",
    lambda x: np.sin(x),
    [lambda x, g: np.cos(x) * g, lambda x, g, v: (-np.sin(x) * g * v, np.cos(x) * v)],
    normal(4),
    order=2,
)

#: Right gradients of NumPy functions that are asked at points where differences have a hard time: nothing may be called wrong.
CURVES = {
    "x^2": (lambda x: x**2, lambda x: 2 * x),
    "x^3": (lambda x: x**3, lambda x: 3 * x**2),
    "x^4": (lambda x: x**4, lambda x: 4 * x**3),
    "x^5": (lambda x: x**5, lambda x: 5 * x**4),
    "x^2 sin x": (lambda x: x**2 * np.sin(x), lambda x: 2 * x * np.sin(x) + x**2 * np.cos(x)),
    "tanh": (lambda x: np.tanh(x), lambda x: 1 - np.tanh(x) ** 2),
    "tanh^3": (lambda x: np.tanh(x) ** 3, lambda x: 3 * np.tanh(x) ** 2 * (1 - np.tanh(x) ** 2)),
    "1 - cos": (lambda x: 1 - np.cos(x), lambda x: np.sin(x)),
    "arctan": (lambda x: np.arctan(x), lambda x: 1 / (1 + x * x)),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: 0.5 + 0.5 * np.tanh(x / 2)),
    "sigmoid": (lambda x: 0.5 + 0.5 * np.tanh(x / 2), lambda x: (1 - np.tanh(x / 2) ** 2) / 4),
    "bell": (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x)),
    "line": (lambda x: 3 * x, lambda x: 3 + 0 * x),
    "constant": (lambda x: 7 + 0 * x, lambda x: 0 * x),
    "abs x^3": (lambda x: np.abs(x) ** 3, lambda x: 3 * x * np.abs(x)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "relu^2": (lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0)),
}
SIZES = [
    0.0,
    *(sign * size for sign in (1, -1) for size in (5e-324, 1e-310, 1e-200, 1e-30, 1e-8, 1.0, 1e3, 1e8, 1e30, 1e100)),
]


def point_alarms(seeds):
    """How many checks of `CURVES` were made at 0, tiny and huge points and at mixtures of them, what was said of their rows, and which were wrong."""
    alarms, said, checks = [], {}, 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for name, (curve, slope) in CURVES.items():
            for x in (np.full(2, rng.choice(SIZES)), rng.choice(SIZES, 3), np.zeros((2, 2))):
                for pair in (
                    (curve, lambda x, g, slope=slope: g * slope(x)),
                    (lambda x, curve=curve: np.sum(curve(x)), lambda x, slope=slope: slope(x)),
                ):
                    with np.errstate(all="ignore"):
                        if not np.isfinite(pair[0](x)).all():
                            continue
                        for mode in ("projection", "full"):
                            report = ns.gradcheck(pair[0], [x], gradient=pair[1], seed=seed, mode=mode, raises=False)
                            checks += 1
                            for row in report.rows:
                                said[row.status] = said.get(row.status, 0) + 1
                            if not report.passed:
                                alarms.append(f"{name} at {x}, seed {seed}, {mode}: {report}")
    return checks, said, alarms


def main():
    """Check everything from many seeds, and print how often each check ended as it should."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="the functions to check (default: all)")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds (default: %(default)s)")
    options = parser.parse_args()
    begun, wrong = time.perf_counter(), 0
    for title, table, result in (("fault", FAULTS, "caught"), ("right", RIGHT, "passed")):
        print(f"{title:36} {'kind':44} {result:>9} {'named':>9}")
        for p in table:
            if options.names and p.name not in options.names:
                continue
            found = [p.verdict(seed) for seed in range(options.seeds)]
            good, named = (sum(f[i] for f in found) for i in (0, 1))
            print(f"{p.name:36} {p.kind:44} {good:5}/{options.seeds} {named:5}/{options.seeds}", flush=True)
            bad = [(seed, said) for seed, (ended, right, said) in enumerate(found) if not (ended and right)]
            if bad:
                print(f"    seed {bad[0][0]}: {bad[0][1]}")
            wrong += len(bad)
        print()
    checks, said, alarms = point_alarms([] if options.names else range(options.seeds))
    print(f"{checks} checks of right gradients at 0, ±tiny and ±huge: {len(alarms)} called wrong; rows {said}")
    print(*alarms[:5], sep="\n")
    wrong += len(alarms)
    print(f"{len(FAULTS)} faults and {len(RIGHT)} right functions from {options.seeds} seeds each: ", end="")
    print(f"{wrong} checks ended otherwise, {time.perf_counter() - begun:.0f} s")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
