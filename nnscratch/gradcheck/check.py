"""The check as a whole: what any function is asked first, its derivatives order by order, and which operation is at fault."""

import time
from contextlib import suppress

import numpy as np

from nnscratch.autograd import GradientError
from nnscratch.gradcheck import blame
from nnscratch.gradcheck.compare import Comparison, Settings
from nnscratch.gradcheck.difference import sizes, weights
from nnscratch.gradcheck.functions import TensorFunction, other_layout
from nnscratch.gradcheck.report import Report, element


def check(function, order, mode, step, rtol, atol, seed):
    """Check the derivatives of a function (see `functions`) up to `order`; returns the `Report`, or raises with it."""
    report = Report(mode, seed)
    begun = time.perf_counter()
    lower_order = None
    for k in range(1, order + 1):
        settings = Settings(step, rtol, atol, k, np.random.default_rng([seed, k]))
        part = _Order(function, lower_order, mode, settings, report)
        with np.errstate(all="ignore"):
            part.run()
        report.points += function.points
        report.seconds = time.perf_counter() - begun
        if not report.passed:
            raise GradientError(str(report), report=report)
        if k < order:
            function, lower_order = function.gradient(np.random.default_rng([seed, k, 1])), part
    return report


class _Order:
    """The derivatives of one order; `lower_order` is the one below, whose gradient the function is."""

    def __init__(self, function, lower_order, mode, settings, report):
        self.function, self.lower_order, self.mode, self.settings, self.report = (
            function,
            lower_order,
            mode,
            settings,
            report,
        )
        self.tensors = isinstance(function, TensorFunction)
        self.faults: list = []

    def run(self):
        function, rng = self.function, self.settings.rng
        try:
            results, self.pull, self.outputs = self._first_call()
            blame.refuse_short_digits(self.outputs)
            self._same_again(results)
            self._elsewhere()
            self.seeds = [weights(r.shape, rng) for r in results]
            self.gradients = self.pull([s.copy() for s in self.seeds])
            if not self.tensors:
                self._same_gradient(results)
        except GradientError as error:
            self.report.problems.append(str(error))
            self.report.operations += [error.operation] if error.operation else []
            return
        for place, x in enumerate(function.variables):
            if x.size and any(r.size for r in results):
                self._compare(place)
        self._elsewhere()
        self.audit = blame.Audit(self.outputs, self.seeds if self.tensors else [])
        if self.tensors and self.report.passed:
            self._layouts()
            self._as_plain(results)
        self._find_operations()

    # What any function is asked

    def _first_call(self):
        try:
            return self.function.record(self.function.variables)
        except TypeError as error:
            if not self.tensors or str(error).startswith("gradcheck: "):
                raise
            raise TypeError(
                f"gradcheck: the function does not take Tensors ({error}); use nnscratch's functions in it, "
                f"or pass gradient=... to check one of NumPy arrays"
            ) from error

    def _same_again(self, results):
        """Finite results, and the same ones a second time."""
        for name, r in zip(self.function.results, results, strict=True):
            bad = np.flatnonzero(~np.isfinite(r))
            if bad.size:
                where = element(name, np.unravel_index(bad[0], r.shape))
                raise ValueError(
                    f"gradcheck: {where} is {r.ravel()[bad[0]]} at these inputs, which has no derivative; "
                    f"choose inputs where the function is defined"
                )
        again = self.function.values(self.function.variables)
        if len(again) != len(results) or not all(map(np.array_equal, again, results)):
            raise ValueError(
                "gradcheck: the function gives different results for the same inputs, so differences mean nothing; let it draw "
                "the same random numbers each time (ns.manual_seed within it), or call .eval() on the module"
            )

    def _same_gradient(self, results):
        """The same gradient a second time, and the same results after it."""
        again = self.pull([s.copy() for s in self.seeds])
        for name, a, b in zip(self.function.names, self.gradients, again, strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                raise ValueError(
                    f"gradcheck: gradient gives something else for {name} the second time, though the function was called just before "
                    f"it, too; let it start from 0, and not add to what an earlier call has left"
                )
        if not all(map(np.array_equal, self.function.values(self.function.variables), results)):
            raise ValueError(
                "gradcheck: the function gives different results once gradient was called, so differences mean nothing; let "
                "gradient change nothing that the function uses"
            )

    def _elsewhere(self):
        """Call the function at another point before its derivative is taken, as training does: nothing may go stale."""
        with suppress(ValueError, ArithmeticError):
            self.function.values([x + self.settings.start / 8 * sizes(x) for x in self.function.variables])

    def _compare(self, place):
        comparison = Comparison(self.function, place, self.pull, self.seeds, self.settings)
        if self.mode == "full":
            comparison.in_full()
        else:
            comparison.along_a_direction()
        report = self.report
        report.rows += comparison.rows
        report.unclear += comparison.unclear
        if comparison.kinks:
            found = blame.kinks(self.outputs, self.settings.rng) or comparison.kinks
            report.kinks += [text for text in found if text not in report.kinks]
        if comparison.faults:
            row, w = comparison.faults[0]
            self.faults.append((place, w, comparison.faults[-1][0]))
            report.problems.append(self._problem(row))

    def _problem(self, row):
        by = f"{row.input} along a random direction" if row.index is None else element(row.input, row.index)
        of = f"of {row.output} " if row.output else ""
        what = "the derivative" if self.settings.order == 1 else f"the derivative of order {self.settings.order}"
        return (
            f"{what} {of}by {by} is {row.analytic:.9g} by {row.source} and {row.numeric:.9g} numerically, "
            f"{row.error:.2g} of its size apart, {row.units:.2g} times the tolerance"
        )

    def _layouts(self):
        """The gradient must not depend on where the inputs lie in memory."""
        function = self.function
        given = function.arguments
        function.arguments = [other_layout(a) if isinstance(a, np.ndarray) and a.size else a for a in given]
        try:
            _, pull, outputs = function.record(function.variables)
            found = pull([s.copy() for s in self.seeds])
        finally:
            function.arguments = given
        for name, a, b in zip(function.names, self.gradients, found, strict=True):
            if not self._agree(a, b):
                self.report.problems.append(
                    f"the gradient by {name} depends on the memory layout of the inputs; let the rule not rely on strides"
                )
                self.audit = blame.Audit(outputs, self.seeds)
                return

    def _as_plain(self, results):
        """The gradient must be the same with a graph of its own and without."""
        if self.lower_order is None:
            return
        starts = self.function.variables[len(self.lower_order.function.places) : len(self.function.places)]
        for name, a, b in zip(self.lower_order.function.names, self.lower_order.pull(starts), results, strict=True):
            if not self._agree(a, b):
                self.report.problems.append(
                    f"the gradient by {name} is another with create_graph=True than without; "
                    f"let the rule use the same operations on arrays and on Tensors"
                )
                self.audit.faults += blame.other_with_a_graph(self.lower_order.audit)
                return

    def _agree(self, a, b):
        finite = np.isfinite(a) & np.isfinite(b)
        scale = np.max(np.abs(a[finite]), initial=0.0)
        tolerance = self.settings.rtol * scale + self.settings.atol
        return bool(np.all(np.abs(a[finite] - b[finite]) <= tolerance)) and np.array_equal(np.isnan(a), np.isnan(b))

    # Which operation

    def _find_operations(self):
        """Name the operations at fault: those that no numbers need to convict, then those that disagree by themselves."""
        report, settings = self.report, self.settings
        found = list(self.audit.faults)
        if not report.passed and self.tensors and not found:
            found = blame.wrong_rules(self.audit, settings)
            if not found and self.lower_order is not None:
                found = blame.wrong_second_rules(self.lower_order.outputs, settings)
            if not found and self.faults:
                place, w, row = self.faults[0]
                mismatch = (row.numeric - row.analytic) * np.sqrt(np.sum(w * w))
                found = blame.unbalanced(self.function, self.audit, mismatch, place, w)
            if not found:
                found = [(None, "each operation in the graph is right by itself; look at what stands between them")]
        for operation, sentence in found:
            if operation not in report.operations:
                report.operations += [operation] if operation else []
                report.causes.append(sentence)
