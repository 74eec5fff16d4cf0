"""A program: the instructions of a step, simplified, as one function of Python's that calls NumPy's functions and the kernels."""

import threading
import time

import numpy as np

from nnscratch.program import page
from nnscratch.program.buffers import Buffers
from nnscratch.program.recorder import Ref, mapped
from nnscratch.program.simplify import is_view, simplified

#: Bytes from which an array is given up as soon as nobody needs it.
LARGE = 1 << 12
#: Functions that want the array for their result by its name.
BY_NAME = {np.maximum, np.minimum}


class Program:
    """A step's instructions on arrays of given shapes; called like the step by `nnscratch.capture`, and shown as a table.

    Attributes
    ----------
    instructions : list of nnscratch.program.recorder.Instruction
        What is done, in order.
    recorded : int
        How many were written down, before they were simplified.
    nbytes : int
        Of the buffers, which stay between runs.
    source : str
        The function that does them.
    """

    def __init__(self, recorder, inputs, outputs):
        self.slots, self._inputs, self._outputs = recorder.slots, inputs, outputs
        self._usual = recorder.errors
        self._scalars = {k for k in outputs if self.slots[k].scalar}
        self.recorded = len(recorder.instructions)
        self.instructions = simplified(recorder.instructions, self.slots, outputs)
        buffers = Buffers(self.instructions, self.slots, outputs)
        self.buffers, self.nbytes = buffers.arrays, buffers.nbytes
        #: Seconds that each instruction took, once `measure` was called.
        self.seconds: list = []
        self._lock = threading.Lock()
        self.source, self._names = self._written()
        space = dict(self._names)
        exec(compile(self.source, "<program>", "exec"), space)
        self._run = space["run"]
        self._errors = None

    def run(self, arrays):
        """The outputs for these inputs, arrays that are nobody else's."""
        with self._lock:  # the buffers are one run's at a time
            return self._run(*arrays)

    def used(self):
        """The numbers of the arrays that its instructions or outputs need."""
        return {k for instruction in self.instructions for k in instruction.refs()} | set(self._outputs)

    def written(self):
        """The numbers of the arrays in whose memory its instructions write."""
        return {self.slots[k].root for instruction in self.instructions for k in instruction.writes}

    # Its source

    def _written(self):
        """The source of the function, and what its names mean."""
        names: dict = {"errstate": np.errstate}
        used = self.used()
        there = {}  # what is known before the program runs, by the numbers of arrays
        for k, slot in enumerate(self.slots):
            if slot.kind in ("state", "constant") and k in used:
                there[k] = slot.value
        there.update(self.buffers)
        lines, body = [], []
        last = self._last_uses()
        around = usual = self._usual
        self.lines: list = []
        for k in self.written():  # constants that are written into are made anew in each run
            if self.slots[k].kind == "constant":
                names[f"made{k}"] = there.pop(k, self.slots[k].value)
                lines.append(f"    a{k} = made{k}.copy()")
        for i, instruction in enumerate(self.instructions):
            made = instruction.made()
            if is_view(instruction, self.slots) and set(instruction.refs()) <= there.keys():
                real = mapped(
                    (instruction.args, instruction.kwargs), lambda leaf: there[leaf] if type(leaf) is Ref else leaf
                )
                there[made[0]] = instruction.function(*real[0], **real[1])
                self.lines.append(None)
                continue
            line = self._line(i, instruction, names)
            self.lines.append(line)
            given_up = [k for k in last.get(i, ()) if k not in there and self._size(k) >= LARGE]
            body.append((instruction.errors, line, given_up))
        for errors, line, given_up in body:
            if errors != around:
                around = errors
                if errors != usual:
                    lines.append(f"    with errstate(**{errors!r}):")
            indent = "    " if errors == usual else "        "
            lines.append(indent + line)
            if given_up:
                lines.append(indent + " = ".join([*(f"a{k}" for k in given_up), "None"]))
        # NumPy's reductions return scalars, which are arrays outside
        names["asarray"] = np.asarray
        results = "".join(f"asarray(a{k}), " if k in self._scalars else f"a{k}, " for k in self._outputs)
        head = f"def run({', '.join(f'a{k}' for k in self._inputs)}):"
        names.update({f"a{k}": array for k, array in there.items()})
        return "\n".join([head, *lines, f"    return ({results})"]) + "\n", names

    def _size(self, k):
        slot = self.slots[k]
        return int(np.prod(slot.shape)) * slot.dtype.itemsize

    def _last_uses(self):
        """The arrays that nobody needs after each instruction."""
        last = {}
        for i, instruction in enumerate(self.instructions):
            for k in (*instruction.refs(), *instruction.made()):
                last[k] = i
        found: dict = {}
        outputs = set(self._outputs)
        for k, i in last.items():
            if k not in outputs and self.slots[k].kind == "computed":
                found.setdefault(i, []).append(k)
        return found

    def _line(self, i, instruction, names):
        """One instruction as a line of source."""
        function = f"f{i}"
        names[function] = instruction.function
        given = [self._spelt(leaf, f"c{i}_{n}", names) for n, leaf in enumerate(instruction.args)]
        made = instruction.made()
        if len(made) == 1 and made[0] in self.buffers:
            given.append(("out=" if instruction.function in BY_NAME else "") + f"a{made[0]}")
            return f"{function}({', '.join(given)})"
        given += [f"{key}={self._spelt(leaf, f'k{i}_{key}', names)}" for key, leaf in instruction.kwargs.items()]
        call = f"{function}({', '.join(given)})"
        target = _target(instruction.results)
        return f"{target} = {call}" if target else call

    def _spelt(self, leaf, name, names):
        """An argument as source."""
        if type(leaf) is Ref:
            return f"a{leaf}"
        if isinstance(leaf, tuple | list | dict | slice) and _holds_ref(leaf):
            if isinstance(leaf, slice):
                parts = (self._spelt(p, f"{name}_{n}", names) for n, p in enumerate((leaf.start, leaf.stop, leaf.step)))
                return f"slice({', '.join(parts)})"
            if isinstance(leaf, dict):
                return (
                    "{"
                    + ", ".join(
                        f"{k!r}: {self._spelt(p, f'{name}_{n}', names)}" for n, (k, p) in enumerate(leaf.items())
                    )
                    + "}"
                )
            parts = [self._spelt(p, f"{name}_{n}", names) for n, p in enumerate(leaf)]
            return f"[{', '.join(parts)}]" if isinstance(leaf, list) else f"({', '.join(parts)},)"
        names[name] = leaf
        return name

    # What it shows

    def measure(self, arrays):
        """Run it once, and take the time of each instruction."""
        space, self.seconds = dict(self._names), []
        space.update({f"a{k}": a for k, a in zip(self._inputs, arrays, strict=True)})
        with self._lock:
            for instruction, line in zip(self.instructions, self.lines, strict=True):
                if line is None:
                    self.seconds.append(0.0)
                    continue
                code = compile(line, "<instruction>", "exec")
                with np.errstate(**instruction.errors):
                    started = time.perf_counter()
                    exec(code, space)
                    self.seconds.append(time.perf_counter() - started)
        return tuple(np.asarray(a) if k in self._scalars else a for k in self._outputs for a in [space[f"a{k}"]])

    def __len__(self):
        return len(self.instructions)

    def __repr__(self):
        return page.text(self)

    def _repr_html_(self):
        return page.html(self)


def _holds_ref(tree):
    if type(tree) is Ref:
        return True
    if isinstance(tree, slice):
        tree = (tree.start, tree.stop, tree.step)
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return isinstance(tree, tuple | list) and any(map(_holds_ref, tree))


def _target(results):
    """The left side of an assignment of an instruction's results."""
    if type(results) is Ref:
        return f"a{results}"
    if isinstance(results, tuple | list) and _holds_ref(results):
        return "(" + "".join(f"{_target(part) or '_'}, " for part in results) + ")"
    return ""
