"""Everything that an operation promises, checked from its sample rows: its figures, and its properties.

A property is a function that takes a drawn row and yields a sentence for everything that is wrong. `PROPERTIES` names
them all; `check_operation` runs them on every row of an operation.
"""

import inspect
import time
import warnings

import numpy as np

from nnscratch import backend
from nnscratch.arguments import count
from nnscratch.autograd import OPS, GradientError, Op
from nnscratch.gradcheck import gradcheck
from nnscratch.gradcheck.functions import other_layout, vjp
from nnscratch.sample_inputs import FIXED, Array, Case
from nnscratch.tensor import Tensor
from nnscratch.testing.references import MAGNITUDES, REFERENCES, exact, units

#: The greatest errors that pass: the forward one in units in the last place of float64, the derivatives' relative.
FORWARD, FIRST, SECOND = 16.0, 1e-9, 1e-7

#: By how much results may differ from those of float64, relative to their magnitude: sums of float16 hold two digits.
CLOSE = {"float16": 2e-2, "float32": 1e-5, "float64": 0.0}

#: What another order of summation may change, relative to the greatest magnitude.
ROUNDING = 1e-13

REFUSALS = (TypeError, ValueError, IndexError)

#: Results that have a dtype of their own, whatever the inputs': a mean rounded to float32 costs digits where values are far from 0.
WIDE = {
    ("standardize", "mean"): np.float64,
    ("standardize", "variance"): np.float64,
    ("attention", "logsumexp"): np.float64,
}


class OperationCheck:
    """What `check_operation` found.

    Attributes
    ----------
    operation, formula, document : str
        The operation's name, and what is stated of it.
    rows : int
        How many sample rows it has.
    forward : float or None
        The greatest error of a result, in units in the last place; None without a reference.
    first, second : float or None
        The greatest relative errors of the first and the second derivatives; None where there are none.
    problems : list of str
        A sentence for everything that is wrong.
    passed : bool
        Whether there are no problems.
    seconds : float

    Examples
    --------
    >>> import nnscratch as ns
    >>> found = check_operation(ns.matmul)
    >>> found.operation, found.passed, found.forward < 4, found.first < 1e-9
    ('matmul', True, True, True)
    """

    def __init__(self, op):
        self.operation, self.formula, self.document = op.name, op.formula, op.document
        self.rows = len(op.samples)
        self.forward = self.first = self.second = None
        self.problems: list = []
        self.seconds = 0.0

    def __repr__(self):
        figures = {"forward": self.forward, "first": self.first, "second": self.second}
        known = "".join(f", {name} {value:.2g}" for name, value in figures.items() if value is not None)
        wrong = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        return f"<{self.operation}: {'passed' if self.passed else wrong}{known}>"

    @property
    def passed(self):
        """Whether there are no problems."""
        return not self.problems


def check_operation(op, seed=0, *, reference=None, properties=None):
    """Check an operation, of the table or your own, with every one of its sample rows.

    The forward error is measured against a definition on numbers of 50 digits, in units in the last place of float64:
    of each element of the result, but of the magnitude of what was added up where an operation adds terms of either
    sign (sums, products of matrices, convolutions). The derivatives are checked by `nnscratch.gradcheck`, along random
    directions. Then come the properties: broadcasting undone, memory layouts, empty and 0-d arrays, dtypes, inputs
    left alone, the same bits twice, the same gradient under ``create_graph``, and error messages. Of an operation with
    several results each is compared, and the derivatives are those of all together and of each alone.

    Parameters
    ----------
    op : Op
        With sample rows: ``ns.op(..., samples=[Case(...)])``.
    seed : int
        What the rows are drawn from, and the directions.
    reference : callable, optional
        The operation's definition, on arrays of `mpmath.mpf`; by default that of the table, where it is there. Where the
        operation has several results, it returns a tuple of as many.
    properties : sequence of str, optional
        Which of `PROPERTIES` to check; all by default.

    Returns
    -------
    OperationCheck

    Raises
    ------
    TypeError
        Where `op` is no operation, or `seed` no whole number.
    ValueError
        Where a property is unknown, or `seed` negative.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from nnscratch.sample_inputs import Case, normal
    >>> @ns.op(samples=[Case(normal(3, 4))])
    ... def cube(x):
    ...     return x**3
    >>> @cube.rule("x")
    ... def _(g, x):
    ...     return 3 * g * x**2
    >>> check_operation(cube, reference=lambda x: x * x * x).passed
    True
    """
    if not isinstance(op, Op):
        raise TypeError(f"check_operation: got {op!r}, expected an operation; make one with ns.op")
    unknown = [name for name in properties or () if name not in PROPERTIES]
    if unknown:
        raise ValueError(f"check_operation: there is no property {unknown[0]!r}; choose from {', '.join(PROPERTIES)}")
    seed = count("check_operation", "seed", seed, 0)
    found, start = OperationCheck(op), time.perf_counter()
    problems: dict = {}  # in order, each once: rows may share them
    if not op.samples:
        problems[f"{op.name}: it has no sample rows; give it samples=[Case(...)]"] = None
    for case in op.samples:
        row = Row(op, case, seed, reference=reference)
        for name in properties or PROPERTIES:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    problems.update(dict.fromkeys(PROPERTIES[name](row)))
                except Exception as error:  # whatever an operation does on its own row, the others are still checked
                    problems[f"{op.name}: fails with {type(error).__name__} on its own row ({case}): {error}"] = None
        for figure in ("forward", "first", "second"):
            values = [v for v in (getattr(found, figure), getattr(row, figure)) if v is not None]
            setattr(found, figure, max(values, default=None))
    found.problems = list(problems)
    found.seconds = time.perf_counter() - start
    return found


class Row:
    """A sample row with its arrays drawn, and the figures measured from it."""

    def __init__(self, op, case, seed=0, dtype=np.float64, reference=None):
        kwargs = dict(case.kwargs)
        self.op, self.case, self.seed = op, Case(*op._place(case.args, kwargs), **kwargs), seed
        args, self.kwargs = self.case.make(np.random.default_rng(seed), dtype)
        #: As `nnscratch.use_device` says, on the CPU or on another device.
        self.args = [_mapped(a, np.ndarray, backend.asarray) for a in args]
        #: The positions of the arguments that are arrays, and of those that are differentiated.
        self.arrays = [i for i, a in enumerate(self.case.args) if isinstance(a, Array | np.ndarray)]
        self.inputs = [i for i in self.arrays if self._is_differentiated(i)]
        self.reference = REFERENCES.get(op.name) if reference is None and OPS.get(op.name) is op else reference
        self.forward = self.first = self.second = None

    def _is_differentiated(self, i):
        spec, op = self.case.args[i], self.op
        fixed = not isinstance(spec, Array) or spec.kind in FIXED
        return not fixed and op.constant is not True and op._input_name(i) not in (*op.constant, *op.surrogate)

    def drawn(self, dtype):
        """The same row in another dtype."""
        return Row(self.op, self.case, self.seed, dtype, self.reference)

    def name(self, i):
        """What the operation calls its argument `i`."""
        return self.op._input_name(i)

    def call(self, *inputs):
        """The operation as a function of its differentiated inputs."""
        args = list(self.args)
        for i, value in zip(self.inputs, inputs, strict=True):
            args[i] = value
        return self.op(*args, **self.kwargs)

    def results(self, y):
        """What the operation returned, as a list, one for each result."""
        return list(y) if self.op.outputs else [y]

    def what(self, k):
        """How a sentence speaks of the result `k`."""
        return f"its result {self.op.outputs[k]}" if self.op.outputs else "its result"

    def gradients(self, args=None, create_graph=False, alone=None):
        """The results for `args` (the row's own by default) and the gradients by its inputs, as arrays.

        They start from gradients that depend on nothing but the results' shapes; `alone` is the one result that is used.
        """
        args = list(self.args if args is None else args)
        for i in self.inputs:
            args[i] = Tensor(args[i], requires_grad=True)
        results = self.results(self.op(*args, **self.kwargs))
        if not self.inputs:
            return list(map(_host, results)), []
        rng = np.random.default_rng(0)
        starts = [(y, rng.standard_normal(y.shape)) for y in results]
        used = [(y, g.astype(y.dtype)) for k, (y, g) in enumerate(starts) if y.requires_grad and alone in (None, k)]
        given = [Tensor(g.copy()) for _, g in used]
        found = vjp([y for y, _ in used], [args[i] for i in self.inputs], given, create_graph)
        if not all(np.array_equal(a.numpy(), g) for a, (_, g) in zip(given, used, strict=True)):
            raise GradientError("a rule changes the gradient that it is given")
        return [y.numpy() for y in results], [d.numpy() for d in found]

    def differentiable(self):
        """The numbers of the results that have a derivative."""
        results = self.results(self.call(*(Tensor(self.args[i], requires_grad=True) for i in self.inputs)))
        return [k for k, y in enumerate(results) if y.requires_grad]

    def problem(self, text):
        """A sentence about this row, on one line."""
        return " ".join(f"{self.op.name}: {text} (row {self.case!r})".split())


def _difference(a, b):
    """The greatest difference, relative to the greatest magnitude; infinite where shapes differ or one is nan."""
    a, b = (_host(v).astype(np.float64, copy=False) for v in (a, b))
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return np.inf
    finite = np.isfinite(a)
    scale = max(1.0, np.max(np.abs(b[finite]), initial=0.0))
    return float(np.max(np.abs(a[finite] - b[finite]), initial=0.0) / scale)


def _same_bits(a, b):
    a, b = _host(a), _host(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _host(value):
    """A result as NumPy's array, wherever it lives."""
    return np.asarray(backend.to_numpy(value))


def _waited(op, args, kwargs):
    """What an operation returns, after all that it refuses was found: on a GPU some of it is found late."""
    try:
        return op(*args, **kwargs)
    finally:
        backend.get().synchronize()


def _mapped(value, kind, change):
    """An argument with the arrays in it, or in a tuple of them, changed."""
    if isinstance(value, kind):
        return change(value)
    return tuple(_mapped(v, kind, change) for v in value) if type(value) is tuple else value


def _inner_arrays(value):
    """The arrays in an argument, or in a nest of them."""
    if backend.is_array(value):
        yield value
    elif isinstance(value, tuple | list):
        for v in value:
            yield from _inner_arrays(v)


# The properties


def forward(row):
    """Its result is that of its reference."""
    if row.reference is None:
        return
    args = [_mapped(a, backend.get().array, backend.to_numpy) for a in row.args]
    expected = exact(row.reference, args, row.kwargs)
    magnitude = MAGNITUDES.get(row.op.name) if row.reference is REFERENCES.get(row.op.name) else None
    magnitude = None if magnitude is None else exact(magnitude, args, row.kwargs)
    results = row.results(row.op(*row.args, **row.kwargs))
    expected, magnitudes = (v if row.op.outputs else [v] for v in (expected, magnitude))
    if not isinstance(expected, tuple | list) or len(expected) != len(results):
        yield row.problem(f"its reference does not return the {len(results)} results {', '.join(row.op.outputs)}")
        return
    for k, y in enumerate(results):
        error = units(_host(y), expected[k], None if magnitudes is None else magnitudes[k])
        row.forward = max(error, row.forward or 0.0)
        if not error <= FORWARD:
            yield row.problem(f"{row.what(k)} is {error:.3g} units in the last place from its reference")


def derivatives(row):
    """Its first and second derivatives are those of differences, through all results and through each alone."""
    if not row.inputs:
        return
    used = row.differentiable()
    for results in [used, *([k] for k in used if len(used) > 1)]:
        report = gradcheck(
            _named(row, results), [row.args[i] for i in row.inputs], order=2, seed=row.seed, raises=False
        )
        of = f" of {row.what(results[0])} alone" if len(results) < len(used) else ""
        if not report.passed:
            yield row.problem("; ".join(report.problems or report.causes) + of)
        for order, figure, limit in ((1, "first", FIRST), (2, "second", SECOND)):
            found = [r for r in report.rows if r.order == order]
            error = max((r.error for r in found if r.status in ("right", "wrong")), default=None)
            setattr(row, figure, max((e for e in (error, getattr(row, figure)) if e is not None), default=None))
            if error is not None and not error <= limit:
                yield row.problem(
                    f"its {figure} derivative{of} has a relative error of {error:.2g}, more than {limit:.0e}"
                )
        for place in report.kinks:
            yield row.problem(f"the row is not clear of its kinks ({place}); choose another")
        for r in report.rows:
            if r.status == "unclear":
                yield row.problem(
                    f"its values are too rough to tell the derivative{of} by {r.input}; choose another row"
                )


def _named(row, results):
    """`Row.call`, of these results, with the operation's own names for its inputs and results, which the checker reports."""

    def call(*inputs):
        y = row.results(row.call(*inputs))
        return {row.op.outputs[k]: y[k] for k in results} if row.op.outputs else y[0]

    names = [row.name(i) + str(i) * (row.name(i) == row.op.variadic) for i in row.inputs]
    call.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in names])
    return call


def broadcasting(row):
    """Where an input is stretched along an axis, its gradient is the sum of those of the stretched input."""
    if len(row.arrays) < 2:
        return  # there is nothing that it could be stretched to
    for position, i in enumerate(row.inputs):
        whole = row.args[i]
        for axis in range(whole.ndim):
            # one row of it, and for the first axis also without that axis
            for part in (whole[(slice(None),) * axis + (slice(1),)], *([whole[0]] if axis == 0 and len(whole) else [])):
                stretched = np.broadcast_to(part, whole.shape) if part.size else part
                narrow, wide = ([v if j == i else a for j, a in enumerate(row.args)] for v in (part, stretched))
                if part.size == whole.size or not _same_values(row, narrow, wide):
                    continue
                shape = f"{row.name(i)} of shape {part.shape}"
                try:
                    found, expected = (row.gradients(args)[1][position] for args in (narrow, wide))
                except (*REFUSALS, GradientError) as error:
                    yield row.problem(
                        f"it takes {shape}, and then its gradient ends in {type(error).__name__}: {error}"
                    )
                    continue
                if _difference(found, expected.sum(axis, keepdims=part.ndim == whole.ndim)) > 1e-12:
                    yield row.problem(f"its gradient by {shape} is not the sum of those along axis {axis}")


def _same_values(row, *choices):
    """Whether the operation takes both, and gives the same: then it stretched the one to the other."""
    try:
        a, b = (_waited(row.op, args, row.kwargs) for args in choices)
    except REFUSALS:
        return False
    pairs = zip(row.results(a), row.results(b), strict=True)
    return all(np.shape(a) == np.shape(b) and _difference(a, b) <= ROUNDING for a, b in pairs)


def layouts(row):
    """Values and gradients do not depend on how the inputs lie in memory."""
    results, gradients = row.gradients()
    for words, layout in (
        ("that skips and runs backwards", other_layout),
        ("in column-major order", lambda a: a.copy("F")),
    ):
        args = [layout(a) if i in row.arrays else a for i, a in enumerate(row.args)]
        results_other, gradients_other = row.gradients(args)
        for k, (a, b) in enumerate(zip(results_other, results, strict=True)):
            if _difference(a, b) > ROUNDING:
                yield row.problem(f"{row.what(k)} differs for an input {words}")
        for i, a, b in zip(row.inputs, gradients_other, gradients, strict=True):
            if _difference(a, b) > ROUNDING:
                yield row.problem(f"its gradient by {row.name(i)} differs for an input {words}")


def _resized(row, change):
    """The row's arguments with the arrays changed one at a time, and all at once: (words, args)."""
    for chosen in (*([i] for i in row.arrays), row.arrays if len(row.arrays) > 1 else None):
        if chosen:
            args = [change(a) if i in chosen else a for i, a in enumerate(row.args)]
            shapes = ", ".join(f"{row.name(i)} of shape {args[i].shape}" for i in chosen)
            yield shapes, args


def empty_and_0d(row):
    """Empty and 0-d arrays are taken, with gradients, or refused in a sentence."""
    for change in (
        lambda a: a[:0] if a.ndim else a,
        lambda a: a[..., :0] if a.ndim else a,
        lambda a: a.reshape(-1)[0].reshape(()) if a.size else a,
    ):
        for words, args in _resized(row, change):
            yield from _taken_or_refused(row, words, args)


def wrong_shapes(row):
    """Arrays of other shapes are taken, with gradients, or refused in a sentence."""
    for shape in ((7,), (2, 7), (3, 1, 5, 7, 2)):
        for words, args in _resized(row, lambda a, shape=shape: backend.asarray(np.resize(_host(a), shape))):
            yield from _taken_or_refused(row, words, args)


def _taken_or_refused(row, words, args):
    try:
        _waited(row.op, args, row.kwargs)
    except Exception as error:
        yield from map(row.problem, _judged(row.op, words, error))
        return
    try:
        results, gradients = row.gradients(args)
    except Exception as error:
        yield row.problem(f"it takes {words}, and then its gradient ends in {type(error).__name__}: {error}")
        return
    for k, y in enumerate(results):
        if y.dtype.kind == "f" and np.isnan(y).any():
            yield row.problem(f"it takes {words}, and gives nan" + (f" as {row.what(k)}" if row.op.outputs else ""))
            return
    if any(np.isnan(d).any() for d in gradients):
        yield row.problem(f"it takes {words}, and its gradient is nan")


def _judged(op, words, error):
    """What is wrong with the way in which an argument was refused."""
    text = str(error)
    if not isinstance(error, REFUSALS):
        yield f"it answers {words} with {type(error).__name__}, expected a TypeError, ValueError or IndexError: {text}"
    elif not text.startswith(f"{op.name}: ") or "\n" in text:
        yield f"it refuses {words} in other than one sentence that begins with its name: {text}"


def dtypes(row):
    """A result and gradients have the inputs' dtype, and the values of float64 as far as it holds them."""
    if not row.inputs:
        return
    exact_results, exact_gradients = row.gradients()
    for dtype, close in CLOSE.items():
        other = row.drawn(np.dtype(dtype))
        for create_graph in (False, True):
            results, gradients = other.gradients(create_graph=create_graph)
            for k, (y, e) in enumerate(zip(results, exact_results, strict=True)):
                # whole numbers beside other results, such as indices, have a dtype of their own
                wanted = dtype if e.dtype.kind == "f" or not row.op.outputs else e.dtype
                wanted = WIDE.get((row.op.name, row.op.outputs[k]), wanted) if row.op.outputs else wanted
                if y.dtype != wanted and "dtype" not in row.op.names:
                    yield row.problem(f"{row.what(k)} is {y.dtype} for {dtype} inputs")
                elif _difference(y, e) > (close if e.dtype.kind == "f" else 0.0):
                    yield row.problem(f"{row.what(k)} in {dtype} is far from that of float64")
            for i, d, e in zip(row.inputs, gradients, exact_gradients, strict=True):
                if d.dtype != dtype:
                    yield row.problem(f"its gradient by {row.name(i)} is {d.dtype} for {dtype} inputs")
                elif _difference(d, e) > max(close, ROUNDING):
                    yield row.problem(f"its {dtype} gradient by {row.name(i)} is far from that of float64")


def purity(row):
    """Neither the operation nor its rules change what they are given."""
    given = list(_inner_arrays([*row.args, *row.kwargs.values()]))
    before = [a.copy() for a in given]
    for create_graph in (False, True):
        row.gradients(create_graph=create_graph)
    if not all(map(_same_bits, given, before)):
        yield row.problem("it changes an argument in place")


def repeatability(row):
    """The same arguments give the same bits, as arrays and as Tensors."""
    arrays = row.results(row.op(*row.args, **row.kwargs))
    results, gradients = row.gradients()
    again, gradients_again = row.gradients()
    for k, y in enumerate(results):
        if not _same_bits(y, arrays[k]):
            yield row.problem(f"{row.what(k)} differs between arrays and Tensors")
        if not _same_bits(y, again[k]):
            yield row.problem(f"{row.what(k)} differs from one call to the next")
    if not all(map(_same_bits, gradients, gradients_again)):
        yield row.problem("its gradient differs from one call to the next")


def create_graph(row):
    """The gradient is the same with and without ``create_graph``."""
    _, plain = row.gradients()
    _, graphed = row.gradients(create_graph=True)
    for i, a, b in zip(row.inputs, plain, graphed, strict=True):
        if _difference(b, a) > ROUNDING:
            yield row.problem(f"its gradient by {row.name(i)} differs under create_graph")


def unused_results(row):
    """Where a single result is used, the gradient is its share of that of all, in the inputs' dtype."""
    used = row.differentiable() if row.inputs and row.op.outputs else ()
    for dtype, create_graph in (("float64", False), ("float64", True), ("float32", False)) if used else ():
        other = row.drawn(np.dtype(dtype))
        _, together = other.gradients(create_graph=create_graph)
        total = [np.zeros_like(d, np.float64) for d in together]
        for k in used:
            try:
                _, gradients = other.gradients(create_graph=create_graph, alone=k)
            except Exception as error:
                yield row.problem(
                    f"where {row.what(k)} alone is used its gradient ends in {type(error).__name__}: {error}"
                )
                return
            for i, d in zip(row.inputs, gradients, strict=True):
                if d.dtype != dtype:
                    yield row.problem(
                        f"where {row.what(k)} alone is used its gradient by {row.name(i)} is {d.dtype} for {dtype} inputs"
                    )
            total = [a + b for a, b in zip(total, gradients, strict=True)]
        for i, a, b in zip(row.inputs, total, together, strict=True):
            if _difference(a, b) > max(CLOSE[dtype], 10 * ROUNDING):
                yield row.problem(f"its gradient by {row.name(i)} is not the sum of those through each of its results")


def bad_arguments(row):
    """What is no argument of it is refused in a sentence that begins with its name."""
    attempts = [
        ("an unknown keyword", row.args, {**row.kwargs, "no_such_argument": 1}),
        ("no arguments", [], {}),
    ]
    for value in (object(), "text"):
        for i in row.arrays[:1]:
            args = [value if i == j else a for j, a in enumerate(row.args)]
            attempts.append((f"a {type(value).__name__} as {row.name(i)}", args, row.kwargs))
    for words, args, kwargs in attempts:
        try:
            _waited(row.op, args, kwargs)
        except Exception as error:
            yield from (f"{row.op.name}: {text}" for text in _judged(row.op, words, error))
        else:
            yield f"{row.op.name}: it takes {words} without a word"


#: Every property by its name, in the order in which they are checked.
PROPERTIES = {
    property.__name__: property
    for property in (
        forward,
        derivatives,
        broadcasting,
        layouts,
        empty_and_0d,
        wrong_shapes,
        dtypes,
        purity,
        repeatability,
        create_graph,
        unused_results,
        bad_arguments,
    )
}
