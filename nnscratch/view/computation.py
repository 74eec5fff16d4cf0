"""The computation behind a tensor as plain records: its values with their names, and its steps with their gradients."""

import numpy as np

from nnscratch import autograd, backend
from nnscratch.autograd import Node, Result, describe, identity
from nnscratch.backward_pass import BackwardPass
from nnscratch.nn.place import outermost
from nnscratch.tensor import Tensor

#: What the fused losses call their inputs, in plainer words.
_PLAINER = {"p": "prediction", "q": "target"}


class Value:
    """An array of a computation.

    Attributes
    ----------
    kind : {"parameter", "variable", "input", "constant", "result"}
        A module's tensor that requires a gradient; another one that does; a tensor that does not; a plain array, or what a
        module keeps without training it; what an operation made.
    name : str
        As the caller or the module calls it; a result that nobody named is ``h1``, ``h2`` and so on, by its step, or one of
        several as the operation calls it.
    array : numpy.ndarray or None
        None where it can no longer be told, because something it came from was changed in place.
    gradient : numpy.ndarray or None
        The gradient of the output by it, all its uses together; None where it has none.
    shape, dtype
    """

    def __init__(self, kind, name, array, shape, dtype):
        self.kind, self.name, self.array, self.shape, self.dtype = kind, name, array, shape, dtype
        self.gradient = None

    def __repr__(self):
        return f"<{self.kind} {self.name} {self.shape} {self.dtype}>"


class Frame:
    """One call of a module: its path within the outermost one ("" for that itself) and the name of its class."""

    def __init__(self, path, kind):
        self.path, self.kind = path, kind

    def __repr__(self):
        return f"<Frame {self.path} {self.kind}>"


class Step:
    """One application of an operation.

    Attributes
    ----------
    number : int
        From 1, in the order of computation.
    op : Op
    inputs : list of (str, int, Value)
        The arrays that went in: what the operation calls each, its position, and the value.
    settings : dict
        The other arguments, where they are not the operation's defaults.
    results : list of Value
        What it made: one, or as many as the operation declares.
    frames : tuple of Frame
        The calls of modules it was made in, the outermost first. Two steps of one call share its Frame.
    gradients : dict of int to numpy.ndarray
        The gradient by the input at a position, of this use of it alone; empty before gradients are asked for.
    """

    def __init__(self, number, op, inputs, settings, results, frames):
        self.number, self.op, self.inputs, self.settings = number, op, inputs, settings
        self.results, self.frames = results, frames
        self.gradients: dict = {}

    @property
    def result(self):
        """Its first result, for most operations the only one."""
        return self.results[0]

    @property
    def title(self):
        """What was called, as Python would have it: ``y = sum(h1)``, or ``sine, cosine = sincos(x)``."""
        given = ", ".join([*(v.name for _, _, v in self.inputs), *self.written_settings()])
        return f"{', '.join(v.name for v in self.results)} = {self.op.name}({given})"

    def has_gradient(self, k):
        """Whether a gradient by the result `k` can be asked for."""
        return self.results[k].dtype.kind == "f" and (
            self.op.outputs is None or self.op.outputs[k] not in self.op.constant_outputs
        )

    @property
    def formula(self):
        """The operation's formula; of a sum in place of a mean, without the factor that the mean has."""
        return self._of_sum(self.op.formula)

    @property
    def derivative(self):
        return self._of_sum(self.op.derivative)

    @property
    def where(self):
        """The module it was made in, by path and class; "" outside all."""
        return f"{self.frames[-1].path} {self.frames[-1].kind}".strip() if self.frames else ""

    def written_settings(self):
        """The settings as they are written in a call, each in few words."""
        for name, value in self.settings.items():
            text = f"{value:g}" if isinstance(value, float) else str(value)
            yield f"{name}={text if len(text) < 30 else text[:28] + '…'}"

    def _of_sum(self, latex):
        if self.settings.get("reduction") != "sum":
            return latex
        return latex.replace(r"\frac{1}{n} ", "").replace(r"\frac{2}{n}", "2")

    def __repr__(self):
        return f"<Step {self.number}: {self.title}>"


class Computation:
    """Everything behind `y`, in the order of its making; nothing of the graph is changed by looking.

    Parameters
    ----------
    y : Tensor
        Computed from tensors that require gradients.
    names : dict of str to Tensor, optional
        What to call leaves and results; other values in it are passed over, so that ``locals()`` will do.
    gradients : bool
        Whether to find the gradient of `y` by every value, where none is stale; `y` has then one element.
    what : str
        Who asks, for messages.

    Attributes
    ----------
    steps : list of Step
    values : list of Value
        Each once, in the order in which they are first used.
    output : Value
    stale : str
        Why some array could not be told; empty where all are there.
    notes : list of str
        What a reader may wonder about.

    Raises
    ------
    TypeError
        Where `y` is no Tensor, or `names` no dict.
    ValueError
        Where nothing was recorded behind `y`, or gradients are asked for and it has several elements.

    Examples
    --------
    >>> import nnscratch as ns
    >>> w = ns.tensor([1.0, 2.0], requires_grad=True)
    >>> computation = Computation(ns.sum(w * w), {"w": w}, gradients=True)
    >>> computation.steps
    [<Step 1: h1 = multiply(w, w)>, <Step 2: y = sum(h1)>]
    >>> computation.values[0].gradient
    array([2., 4.], dtype=float32)
    """

    def __init__(self, y, names=None, gradients=False, what="graph"):
        if not isinstance(y, Tensor):
            raise TypeError(
                f"{what}: got {describe(y)}, expected a Tensor; pass the result of a computation on Tensors"
            )
        if y._node is None:
            raise ValueError(
                f"{what}: no computation was recorded behind this tensor {y.shape}; compute it from tensors with "
                f"requires_grad=True (a module's parameters, say), and not inside no_grad"
            )
        if names is not None and not isinstance(names, dict):
            raise TypeError(
                f"{what}: names is {type(names).__name__}, expected a dict from name to Tensor; pass locals()"
            )
        if gradients and y.size != 1:
            raise ValueError(
                f"{what}: the tensor has shape {y.shape}, and gradients are those of a single number; "
                f"reduce it with .sum() or .mean() first, or pass gradients=False"
            )
        self.stale = ""
        self.notes: list = []
        self._found: dict = {}
        self._given = {name: t for name, t in (names or {}).items() if isinstance(t, Tensor) and name[:1] != "_"}
        self._named = {identity(t._node or t): name for name, t in self._given.items()}
        #: Results that have no gradient, with the counters by which their tensors are known: no node says where those are from.
        self._constant: list = []
        self._taken = set(self._named.values())
        self._frames: dict = {}
        self._roots: dict = {}
        nodes = autograd.nodes_of([y._node])
        before = [n.data if n.op.outputs is None else list(n.data) for n in nodes]
        self._owned = self._owners(nodes)
        self._named.setdefault(identity(y._node), "y" if "y" not in self._taken else "output")
        try:
            self.steps = [self._step(number, node) for number, node in enumerate(nodes, 1)]
            self.output = self._found[identity(y._node)]
            if gradients and not self.stale:
                self._differentiate(y)
        finally:
            for node, data in zip(nodes, before, strict=True):
                node.data = data
        self.values = list(self._found.values())
        for v in self.values:
            v.array = None if v.array is None else backend.to_numpy(v.array)
            v.gradient = None if v.gradient is None else backend.to_numpy(v.gradient)
        for step in self.steps:
            step.gradients = {i: backend.to_numpy(d) for i, d in step.gradients.items()}

    # Who is who

    def _owners(self, nodes):
        """The names of the parameters and buffers of the outermost modules, by id."""
        for node in nodes:
            module = None if node.scope is None else outermost(node.scope)
            if module is not None:
                self._roots[id(module)] = module
        owned: dict = {}
        for module in self._roots.values():
            for name, t in (*module.named_parameters(), *module.named_buffers()):
                owned.setdefault(id(t), name)
        return owned

    def _frames_of(self, scope):
        frames: list = []
        while scope is not None:
            frames.append(self._frame(scope))
            scope = scope[0]
        return tuple(reversed(frames))

    def _frame(self, scope):
        if id(scope) not in self._frames:
            module, root = scope[1](), outermost(scope)
            paths = {} if root is None else {id(m): path for path, m in root.named_modules()}
            kind = "Module" if module is None else type(module).__name__
            self._frames[id(scope)] = Frame(paths.get(id(module), "" if module is None else kind), kind)
        return self._frames[id(scope)]

    def _name(self, a, wanted):
        """What a value is called: as the caller says, as its module says, else as the operation calls it."""
        if identity(a) in self._named:
            return self._named[identity(a)]
        name, number = self._owned.get(id(a), wanted), 1
        while name in self._taken:
            number += 1
            name = f"{wanted}{number}"
        self._taken.add(name)
        return name

    # What went in and came out

    def _step(self, number, node):
        inputs: list = []
        settings = {}
        for i, a in enumerate(node.args):
            name = node.op._input_name(i)
            if isinstance(a, Node | Result | Tensor) or backend.is_array(a):
                inputs.append((name, i, self._value(a, _PLAINER.get(name, name))))
            elif not (name in node.op.defaults and _same(a, node.op.defaults[name])):
                settings[name] = a
        settings |= {k: v for k, v in node.kwargs.items() if not _same(v, node.op.defaults.get(k))}
        results = []
        for r in node.results:
            array = self._array(r)
            if not r.has_gradient:
                named = [name for name, t in self._given.items() if _is_from(t, r, array)]
                self._named |= {identity(r): name for name in named[:1]}
            wanted = f"h{number}" if r is node else r.name
            self._found[identity(r)] = Value("result", self._name(r, wanted), array, r.shape, r.dtype)
            results.append(self._found[identity(r)])
            if not r.has_gradient:
                self._constant.append((r, results[-1]))
        for _, i, _ in inputs:
            a = node.args[i]
            version = node.versions[i]
            if version is not None and version[0][0] != version[1]:
                self._say_stale(node, i)
        return Step(number, node.op, inputs, settings, results, self._frames_of(node.scope))

    def _value(self, a, wanted):
        if identity(a) not in self._found:
            made = next((value for r, value in self._constant if _is_from(a, r, value.array)), None)
            if made is not None:
                return made
            if isinstance(a, Node | Result):  # made before: its step has put it there
                raise AssertionError(a)
            array = a.data if isinstance(a, Tensor) else a
            wants = isinstance(a, Tensor) and a.requires_grad
            owned = id(a) in self._owned
            if wants:
                kind = "parameter" if owned else "variable"
            else:
                kind = "input" if isinstance(a, Tensor) and not owned else "constant"
            self._found[id(a)] = Value(kind, self._name(a, wanted), array, array.shape, array.dtype)
        return self._found[identity(a)]

    def _array(self, node):
        try:
            return autograd.raw(node)
        except RuntimeError as error:
            self.stale = self.stale or str(error)
            return None

    def _say_stale(self, node, i):
        self.stale = self.stale or (
            f"{node.op.name}: its input {node.op._input_name(i)} was changed in place after the operation used it"
        )

    def _differentiate(self, y):
        seen = BackwardPass([y], [np.array(1, y.dtype).reshape(y.shape)])
        for step, node in zip(self.steps, seen.nodes, strict=True):
            for value, result in zip(step.results, node.results, strict=True):
                value.gradient = seen.given.get(identity(result))
            step.gradients = {i: seen.returned[id(node), i] for i in node.active if (id(node), i) in seen.returned}
        for key, d in seen.leaves.items():
            self._found[key].gradient = d


def _is_from(t, result, array):
    """Whether a tensor, which has no place in the graph, is this result of a node: it counts its changes with it."""
    alike = (
        isinstance(t, Tensor) and t._version is result.version and t.shape == result.shape and t.dtype == result.dtype
    )
    return alike and array is not None and np.array_equal(backend.to_numpy(t.data), backend.to_numpy(array))


def _same(value, default):
    if isinstance(value, tuple) and isinstance(default, int):  # a stride of (1, 1) is one of 1
        return all(v == default for v in value)
    return value is default or (type(value) is type(default) and value == default)
