"""A rule: the gradient of an operation by one of its inputs."""

import types

from nnscratch.autograd.graph import Result, handle, kept_array, raw, shape


class GradientError(Exception):
    """A rule returned something that cannot be its input's gradient, or a gradient check failed.

    Examples
    --------
    >>> import nnscratch as ns
    >>> @ns.op
    ... def first(x):
    ...     return x[:1]
    >>> @first.rule("x")
    ... def _(g):
    ...     return g[:0]
    >>> x = ns.tensor([1.0, 2.0], requires_grad=True)
    >>> try:
    ...     first(x).backward()
    ... except ns.GradientError as error:
    ...     print(str(error)[:60])
    first: its rule for x returned a gradient of shape (0,), exp

    Attributes
    ----------
    report : nnscratch.gradcheck.report.Report or None
        What a gradient check found.
    operation : str or None
        The operation whose rule is at fault, where it is known.
    """

    __module__ = "nnscratch.autograd"  # where people find it, and what a traceback shows

    def __init__(self, message, report=None, operation=None):
        super().__init__(message)
        self.report = report
        self.operation = operation if report is None else report.operation


class Rule:
    """The gradient of an operation by one input: the function that states it, and what it needs.

    Attributes
    ----------
    function : callable
    needs : set of str
        Of the operation's inputs and results those whose values it asks for.
    gradients : set of int
        Which of several results it asks the gradients of.
    place : int or None
        Which of the gradients that the function returns is meant, where it states those by several inputs.
    on_arrays, on_tensors : callable
        The function of (node, position of the argument, gradient of the result): it looks up its parameters there, as arrays
        or as Tensors with their places in the graph. They are written as source, since a loop over the parameters would cost
        each call as much as a small kernel.
    """

    __slots__ = ("_source", "defaults", "function", "gradients", "needs", "on_arrays", "on_tensors", "place")

    def __init__(self, op, name, function, place=None):
        self.function, self.defaults, self.needs, self.gradients = function, op.defaults, set(), set()
        self.place = place
        given = []
        code = function.__code__
        for parameter in code.co_varnames[: code.co_argcount]:
            source = self._look_up(op, parameter)
            if source is None:
                raise TypeError(
                    f"{op.name}.rule({name!r}): the parameter {parameter!r} is none of "
                    f"{', '.join(_given_to_rules(op))}, {', '.join(op.names)} "
                    f"or a shape such as {op.names[0] if op.names else op.variadic}_shape"
                )
            given.append(source)
        if op.outputs and not self.gradients:
            raise TypeError(
                f"{op.name}.rule({name!r}): it names none of the results' gradients "
                f"{', '.join(f'g_{output}' for output in op.outputs)}; take one of them"
            )
        self._source = f"lambda node, i, g: function({', '.join(given)})"

    def _look_up(self, op, parameter):
        """The source that looks up a parameter of the function; None where there is no such thing."""
        base = parameter.removesuffix("_shape")
        if parameter == "g" and not op.outputs:
            return "g"
        if parameter.startswith("g_") and parameter[2:] in (op.outputs or ()):
            k = op.outputs.index(parameter[2:])
            self.gradients.add(k)
            return f"0 if g[{k}] is None else g[{k}]"
        if parameter == "index" and op.variadic:
            return f"i - {len(op.positional)}"
        if parameter == "wanted" and self.place is not None and parameter not in op.names:
            return "wanted(node)"
        if parameter == op.variadic:
            source = f"tuple(map(value, node.args[{len(op.positional)}:]))"
        elif base == op.variadic:
            return f"tuple(map(shape, node.args[{len(op.positional)}:]))"
        elif parameter == "y" and not op.outputs:
            source = "value(node)"
        elif parameter in (op.outputs or ()):
            source = f"kept(node, {op.outputs.index(parameter)})"
        elif parameter in op.positional:
            place = op.positional.index(parameter)
            source = f"value(node.args[{place}])"
            if parameter in op.defaults:
                source = f"{source} if len(node.args) > {place} else defaults[{parameter!r}]"
        elif parameter in op.names:
            source = f"node.kwargs[{parameter!r}] if {parameter!r} in node.kwargs else defaults[{parameter!r}]"
        elif base in op.positional:
            return f"shape(node.args[{op.positional.index(base)}])"
        else:
            return None
        self.needs.add(parameter)
        return source

    def bind(self):
        """Make `on_arrays` and `on_tensors`, when the rule is first needed."""
        code = compile(self._source, "<rule>", "eval")
        common = {"shape": shape, "defaults": self.defaults, "wanted": _wanted}
        arrays = {"function": on_arrays(self.function), "value": raw, "kept": kept_array}
        tensors = {"function": self.function, "value": handle, "kept": lambda node, k: handle(Result(node, k))}
        self.on_arrays, self.on_tensors = eval(code, common | arrays), eval(code, common | tensors)
        if self.gradients:
            self.on_arrays, self.on_tensors = self._of_several(self.on_arrays), self._of_several(self.on_tensors)

    def _of_several(self, rule):
        """A rule for which the number 0 stands in the place of gradients that did not come: it may return that, which is none."""

        place, function = self.place, self.function
        if place is not None:
            at_once = rule

            def rule(node, i, g):
                found = g.found if type(g) is Gradients else {}
                if function not in found:
                    found[function] = at_once(node, i, g)
                return found[function][place]

        def call(node, i, g):
            try:
                d = rule(node, i, g)
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                unused = [node.op.outputs[k] for k in sorted(self.gradients) if g[k] is None]
                if not unused:
                    raise
                name = node.op.name
                raise GradientError(
                    f"{name}: its rule for {node.op._input_name(i)} fails where nobody used the result {unused[0]} and "
                    f"g_{unused[0]} is the number 0 ({error}); let it do without",
                    operation=name,
                ) from error
            return None if type(d) in (int, float) and d == 0 else d

        return call


class Gradients(list):
    """The gradients by a node's several results in one backward pass; and what rules for several inputs have made of them."""

    __slots__ = ("found",)

    def __init__(self, count):
        super().__init__([None] * count)
        self.found: dict = {}


def _given_to_rules(op):
    """What a rule may ask for beside the operation's inputs."""
    return [*(f"g_{output}" for output in op.outputs), *op.outputs] if op.outputs else ["g", "y"]


def _wanted(node):
    """The names of a node's inputs whose gradient somebody may want."""
    return {node.op._input_name(i) for i in node.active}


def on_arrays(function):
    """A rule of our own for arrays: it calls the operations' forward functions at once, as on arrays an operation does no more."""
    names = function.__globals__
    if not names["__name__"].startswith("nnscratch.ops."):
        return function  # a notebook may still change what its names mean
    at_once = {name: getattr(value, "forward", value) for name, value in names.items()}
    return types.FunctionType(
        function.__code__, at_once, function.__name__, function.__defaults__, function.__closure__
    )


def came(g):
    """Whether a gradient by one of several results came to a rule, which gets the number 0 where nobody used it.

    Examples
    --------
    >>> came(0), came([0.5, 1.0])
    (False, True)
    """
    return type(g) is not int
