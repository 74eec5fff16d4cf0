"""What is checked, in one form: a function of arrays with a derivative of its own.

Each class has `variables` (the float64 arrays it is differentiated by), their `names`, ``values(variables)``, which computes
the results alone, and ``record(variables)``, which computes them together with ``pull``, the derivative: it takes a gradient
for each result and returns one for each variable. Once it was called, `results` are the results' names.
"""

import inspect
import re

import numpy as np

from nnscratch import autograd, backend
from nnscratch.autograd import Op, describe, grad
from nnscratch.gradcheck.difference import sizes
from nnscratch.tensor import Tensor


class Function:
    """A function and the arguments that it is checked at; see the module's docstring."""

    def __init__(self, fn, arguments, names):
        self.fn = fn
        self.arguments = arguments
        self.places = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
        self.variables = [arguments[i] for i in self.places]
        self.names = [names[i] for i in self.places]
        self.points = 0
        self.results: list = []
        #: For each result a size below which it is rounding; None where nothing is known.
        self.floors = None

    def given(self, variables):
        """All arguments, with these variables among them."""
        arguments = list(self.arguments)
        for i, x in zip(self.places, variables, strict=False):
            arguments[i] = x
        return arguments

    def filled(self, variables):
        """Copies of all arguments in the memory layout they were given in, with these variables among them."""
        pairs = zip(self.arguments, self.given(variables), strict=True)
        return [like(a, x) if isinstance(a, np.ndarray) else a for a, x in pairs]

    def call(self, arguments, arrays, variables):
        """Call the function, and say so where that changes what it is given (`arrays`, made of `variables`)."""
        self.points += 1
        y = self.fn(*arguments)
        for i, (a, b) in enumerate(zip(arrays, self.given(variables), strict=True)):
            if isinstance(b, np.ndarray) and not np.array_equal(a, b, equal_nan=b.dtype.kind == "f"):
                raise ValueError(
                    f"gradcheck: the function changes its argument {i} {describe(b)} in place, so no two calls see the same; "
                    f"let it change a copy"
                )
        return y


class TensorFunction(Function):
    """A function of Tensors that returns Tensors; `parameters` are Tensors it uses beside its arguments, by name.

    Its arguments are put on `device`; all else here is on the CPU.
    """

    def __init__(self, fn, arguments, names, parameters=None, device=None):
        super().__init__(fn, arguments, names)
        self.parameters, self.device = parameters or {}, device
        self.variables += [p.numpy() for p in self.parameters.values()]
        self.names += list(self.parameters)

    def outputs(self, variables, look=None):
        """The leaves and the results as Tensors, or what `look` makes of the results while the parameters are in place."""
        arrays = self.filled(variables)
        arguments = [
            Tensor(a, device=self.device, requires_grad=i in self.places) if isinstance(a, np.ndarray) else a
            for i, a in enumerate(arrays)
        ]
        before = [p.data for p in self.parameters.values()]
        for p, x in zip(self.parameters.values(), variables[len(self.places) :], strict=True):
            p.data = backend.of(p.data).asarray(x)
        try:
            y = self.call(arguments, arrays, variables)
            if look is not None:
                return look(self._tensors(y))
        finally:
            for p, x in zip(self.parameters.values(), before, strict=True):
                p.data = x
        leaves = [arguments[i] for i in self.places] + list(self.parameters.values())
        return leaves, self._tensors(y)

    def _tensors(self, y):
        """Those of the results that have a derivative."""
        found = tensors_of(y, self.fn)
        self.results = list(found)
        return list(found.values())

    def values(self, variables):
        return [y.numpy() for y in self.outputs(variables)[1]]

    def record(self, variables):
        """The results as arrays, `pull`, and the results as Tensors (their graph is what `blame` looks into)."""
        leaves, outputs = self.outputs(variables)

        def pull(seeds):
            return [d.numpy() for d in vjp(outputs, leaves, seeds)]

        return [y.numpy() for y in outputs], pull, outputs

    def trace(self, variables):
        """For each node of the graph its operation's name, its results and its arguments, as arrays."""

        def look(outputs):
            return [
                (n.op.name, [host(r) for r in n.results], [host(a) for a in n.args])
                for n in autograd.nodes_of(y._node for y in outputs)
            ]

        return self.outputs(variables, look)

    def gradient(self, rng):
        """The gradient as a function of the same arguments and of the gradients that it starts from."""
        values = self.values(self.variables)
        starts = [np.asarray(rng.standard_normal(y.shape)) for y in values]
        count = len(self.arguments)

        def fn(*arguments):
            leaves = [arguments[i] for i in self.places] + list(self.parameters.values())
            outputs = self._tensors(self.fn(*arguments[:count]))
            return vjp(outputs, leaves, arguments[count:], create_graph=True)

        names = dict(zip(self.places, self.names, strict=False))
        names.update({count + k: gradient_name(name) for k, name in enumerate(self.results)})
        found = TensorFunction(fn, [*self.arguments, *starts], names, self.parameters, self.device)
        # A gradient that cancels to nothing is rounding of this size.
        size = np.sqrt(sum(np.sum((s * y) ** 2) for s, y in zip(starts, values, strict=True)))
        found.floors = [float(size / np.mean(sizes(x))) if x.size else 0.0 for x in self.variables]
        return found


class ArrayFunction(Function):
    """A plain function of arrays, and another that computes its gradient; `later` are the gradients of that, in turn."""

    def __init__(self, fn, arguments, names, gradient, later=(), result_names=None):
        super().__init__(fn, arguments, names)
        self.by_hand, self.later, self.result_names = gradient, later, result_names
        self.all_names = names
        #: Whether the gradient takes that of the result: of a gradient always, of a function it depends on its signature.
        self.upstream, self.several = result_names is not None, False

    def _results(self, variables):
        arguments = self.filled(variables)
        y = self.call(arguments, arguments, variables)
        several = isinstance(y, tuple | list)
        found = {name: array_of(r, "the function returned") for name, r in named_results(y, self.fn).items()}
        self.results = list(found) if self.result_names is None else self.result_names
        return arguments, list(found.values()), several

    def values(self, variables):
        return [_floating(r) for r in self._results(variables)[1]]

    def complex_values(self, variables):
        """The results at complex variables; whatever the function says where it does not take them, is raised."""
        self.points += 1
        y = self.fn(*(np.array(a) if isinstance(a, np.ndarray) else a for a in self.given(variables)))
        return [np.asarray(r) for r in (y if isinstance(y, tuple | list) else [y])]

    def record(self, variables):
        """The results as arrays, `pull`, and no Tensors."""
        arguments, results, several = self._results(variables)
        self.several = several
        if self.result_names is None:
            self.upstream = self._takes_upstream(results)
        upstream = self.upstream

        fresh = [self.points]  # the gradient may use what the call just before it has kept, and use it up

        def pull(seeds):
            if fresh.pop() != self.points:
                self._results(variables)
            fresh.append(-1)
            given = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
            if upstream:
                shaped = tuple(np.reshape(s, r.shape) for s, r in zip(seeds, results, strict=True))
                given.append(shaped if several else shaped[0])
            found = self._per_variable(self.by_hand(*given))
            return found if upstream else [d * seeds[0].reshape(()) for d in found]

        return [_floating(r) for r in results], pull, []

    def _takes_upstream(self, results):
        """Whether the gradient takes that of the result as one more argument."""
        count, scalar = len(self.arguments), len(results) == 1 and results[0].size == 1
        own = hasattr(self.by_hand, "__code__")  # a library's function may take a further argument for a setting
        if self._takes(count + 1) and not (self._takes(count) and (scalar or not own)):
            return True
        if not scalar:
            shapes = ", ".join(str(r.shape) for r in results)
            raise ValueError(
                f"gradcheck: the function returned {shapes}, and a gradient of the inputs alone belongs to a single number; "
                f"reduce it to one, or let gradient take one more argument, the gradient of the result"
            )
        return False

    def gradient(self, rng):
        """The gradient as a function of the same arguments and, where it takes that, of the one that it starts from."""
        results, _, _ = self.record(self.variables)
        count, several = len(self.arguments), self.upstream and self.several
        starts = [np.asarray(rng.standard_normal(r.shape)) for r in results] if self.upstream else []
        names = [*self.all_names[:count], *map(gradient_name, self.results if starts else [])]

        def packed(given):
            return (*given[:count], tuple(given[count:])) if several else given

        def first(*given):
            self.fn(*given[:count])
            found = self._per_variable(self.by_hand(*packed(given)))
            return found[0] if len(found) == 1 else tuple(found)

        def second(*given):
            first(*given[:-1])
            found = self.later[0](*packed(given[:-1]), given[-1])
            return (*found[:-1], *found[-1]) if several and isinstance(found, tuple | list) else found

        shown = [f"the gradient by {name}" for name in self.names]
        return ArrayFunction(first, [*self.arguments, *starts], names, second, self.later[1:], shown)

    def _takes(self, count):
        try:
            inspect.signature(self.by_hand).bind(*[None] * count)
        except TypeError:
            return False
        except ValueError:  # a function without a signature, such as a built-in
            return count == len(self.arguments)
        return True

    def _per_variable(self, found):
        if isinstance(found, dict):
            found = [found.get(name) for name in self.names]
        elif not isinstance(found, tuple | list):
            found = [found]
        if len(found) == len(self.arguments):
            found = [found[i] for i in self.places]
        if len(found) != len(self.places):
            raise ValueError(
                f"gradcheck: gradient returned {len(found)} gradients, expected {len(self.places)}, one for each of "
                f"{', '.join(self.names)}; return them in the order of the arguments"
            )
        checked = []
        for d, x, name in zip(found, self.variables, self.names, strict=True):
            d = array_of(d, f"gradient returned for {name}")
            if d.dtype.kind not in "fiub":
                raise TypeError(
                    f"gradcheck: gradient returned {d.dtype} for {name}, expected float64 {x.shape}; return an array for it"
                )
            if d.dtype.kind == "f" and d.dtype != np.float64:
                raise TypeError(
                    f"gradcheck: gradient returned {d.dtype} for {name}, whose digits are too few; compute it in float64"
                )
            if d.shape != x.shape:
                raise ValueError(
                    f"gradcheck: gradient returned shape {d.shape} for {name}, expected {x.shape}; "
                    f"sum over what was broadcast, or transpose it"
                )
            checked.append(d.astype(np.float64))
        return checked


def array_of(a, what):
    """A result of the user's as NumPy's array."""
    try:
        return np.asarray(a.numpy() if isinstance(a, Tensor) else a)
    except Exception as error:  # a tensor of another library that is in its graph or on a GPU
        raise TypeError(
            f"gradcheck: {what} a {type(a).__module__.partition('.')[0]} {type(a).__name__} that is no array ({error}); "
            f"return one, of PyTorch .detach().cpu().numpy()"
        ) from error


def host(a):
    """An argument or a result that a node keeps, on the CPU where it is an array."""
    a = autograd.raw(a)
    return backend.to_numpy(a) if backend.is_array(a) else a


def like(pattern, x):
    """A copy of `x` in the memory layout of `pattern`, gaps and reversed axes included."""
    strides = pattern.strides
    if x.size == 0 or 0 in strides or pattern.flags.c_contiguous:
        return np.array(x, order="C")
    offset = sum(-s * (n - 1) for s, n in zip(strides, x.shape, strict=True) if s < 0)
    span = sum(abs(s) * (n - 1) for s, n in zip(strides, x.shape, strict=True)) + x.itemsize
    out = np.ndarray(x.shape, x.dtype, bytearray(span), offset, strides)
    out[...] = x
    return out


def other_layout(x):
    """The same values in another memory layout: backwards and with gaps, or contiguous where they were not."""
    if not (x.ndim and x.flags.c_contiguous):
        return x.copy("C")
    wide = np.zeros_like(x, shape=[2 * n for n in x.shape])
    view = wide[(slice(None, None, -2),) * x.ndim]
    view[...] = x
    return view


def named_results(y, fn):
    """What a function returned, one result or several in a tuple, list or dict, by their names."""
    if isinstance(y, dict):
        return {str(name): r for name, r in y.items()}
    if not isinstance(y, tuple | list):
        return {"result": y}
    names = fn.outputs if isinstance(fn, Op) else getattr(y, "_fields", None)
    if names is None and len(y) == 1:
        names = ["result"]
    return dict(zip(names or [f"result {i}" for i in range(len(y))], y, strict=True))


def gradient_name(result):
    """What the gradient by a result is called."""
    own = re.fullmatch(r"result ?(\d*)", result)
    return f"g{own[1]}" if own else f"g_{result}"


def tensors_of(y, fn):
    """The results of a function that have a derivative, by name: no whole numbers, and none that an operation says has none."""
    named = named_results(y, fn)
    several = list(named.values())
    wrong = next((type(r).__name__ for r in several if not isinstance(r, Tensor)), None)
    if wrong or not several:
        raise TypeError(
            f"gradcheck: the function returned {wrong or 'nothing'}, expected a Tensor or several; return one, "
            f"or pass gradient=... for a function of plain arrays"
        )
    constant = fn.constant_outputs if isinstance(fn, Op) else ()
    floating = {name: r for name, r in named.items() if r.dtype.kind == "f" and name not in constant}
    for r in floating.values():
        _floating(r.numpy())
    if not floating:
        raise TypeError(
            f"gradcheck: the function returned {several[0].dtype}, which has no derivative; return floating-point numbers"
        )
    return floating


def vjp(outputs, leaves, seeds, create_graph=False):
    """The gradient by each of `leaves`, where those of the outputs are `seeds`."""
    seeds = [s if isinstance(s, Tensor) else Tensor(s, device=y.device) for s, y in zip(seeds, outputs, strict=True)]
    pairs = [(y, s) for y, s in zip(outputs, seeds, strict=True) if y.requires_grad]
    if not pairs:
        return [Tensor(np.zeros(t.shape), device=t.device) for t in leaves]
    if len(pairs) == 1:
        return grad(pairs[0][0], leaves, pairs[0][1], create_graph)
    total = None
    for y, s in pairs:
        term = (y * s).sum()
        total = term if total is None else total + term
    return grad(total, leaves, create_graph=create_graph)


def argument_names(fn, count):
    """What the function calls its arguments."""
    if isinstance(fn, Op):
        names = list(fn.positional)
        rest = fn.variadic
    else:
        try:
            parameters = inspect.signature(getattr(fn, "forward", fn)).parameters.values()
        except (TypeError, ValueError):
            parameters = []
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        rest = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), None)
    own = len(names)
    for i in range(len(names), count):
        names.append(f"input {i}" if rest is None else f"{rest}[{i - own}]")
    return names


def _floating(r):
    if r.dtype != np.float64:
        if r.dtype.kind == "f":
            raise TypeError(
                f"gradcheck: the function returned {r.dtype}, whose digits are too few for differences; "
                f"let it keep the float64 of its inputs"
            )
        if r.dtype.kind not in "iub":
            raise TypeError(f"gradcheck: the function returned {r.dtype}, expected float64; return real numbers")
    return r.astype(np.float64, copy=False)
