"""Families of operations: a row says what is particular to one, and the family the rest, its docstring too.

`unary`, `binary` and `comparison` each make an elementwise operation from its name, the function on arrays, a sentence that
says what it computes, formula, derivative and rules. Without a rule the result has no gradient. Where a row names a kernel, the
function is its definition, for devices that have no fast version. `reduction` takes the place of `op` above a function that
reduces axes, and writes the sections of its docstring.
"""

import sys

import numpy as np

from nnscratch import backend
from nnscratch.autograd import op
from nnscratch.backend.cpu import DEFINITIONS
from nnscratch.sample_inputs import Case, normal

_ONE = (Case(normal(3, 4)), Case(normal()), Case(normal(2, 0)))
_PAIR = (
    Case(normal(3, 4), normal(3, 4)),
    Case(normal(2, 3, 4), normal(3, 1)),
    Case(normal(4), normal(2, 1, 4)),
    Case(normal(), normal(3)),
)

_DOCSTRING = """{summary}

Parameters
----------
{parameters}

Returns
-------
{returns}
{raises}
Examples
--------
>>> import nnscratch as ns
>>> ns.{name}({arguments})
tensor({result})
"""

#: What the arguments of a reduction are, by their names.
_REDUCED = {
    "x": "x : Tensor or array",
    "axis": "axis : int, tuple of int or None\n    Over which axes; None: over all.",
    "keepdims": "keepdims : bool\n    Whether those axes stay, with the length 1.",
    "ddof": "ddof : int\n    What the number of elements is lessened by; 1 estimates from a sample.",
}


def floating(x):
    """`x` as an array of floating-point numbers: whole numbers become float64, as in NumPy's functions."""
    try:
        if x.dtype.kind == "f":
            return x
    except AttributeError:
        x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"got data of type {x.dtype}, expected real numbers; convert them first")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _floating_pair(a, b):
    """Both as arrays of one floating-point dtype, on the device of the first array; Python numbers promote nothing."""
    weak = [float(v) if isinstance(v, int | float) else floating(v).dtype for v in (a, b)]
    here, dtype = backend.of(a if backend.is_array(a) else b), np.result_type(*weak)
    return here.asarray(a, dtype), here.asarray(b, dtype)


def unary(
    name,
    function,
    summary,
    formula,
    derivative="",
    rule=None,
    *,
    example,
    returns="The same shape and dtype; of whole numbers a floating-point dtype, where the function has no other.",
    samples=_ONE,
    **details,
):
    """An operation of one array, element by element.

    Parameters
    ----------
    name : str
        Of the variable it is assigned to.
    function : callable or None
        Of an array, for example one of NumPy's ufuncs; None: the kernel's definition is in its topic's definition.py.
    summary : str
        What it computes, as a docstring's first line; further paragraphs may follow.
    formula, derivative : str
        LaTeX.
    rule : callable, optional
        The gradient by the input, from what it names: ``g``, ``x``, ``y``. None: no gradient passes.
    example : pair of str
        The data of a Tensor, and of the result.
    returns : str
        The section of the docstring.
    samples : sequence of `nnscratch.sample_inputs.Case`
    **details
        As for `nnscratch.op`: ``document``; ``kernel``, whose fast versions get arrays of one floating-point dtype, which
        they broadcast, and give no warning.

    Returns
    -------
    Op

    Examples
    --------
    >>> double = unary("double", lambda x: 2 * x, "Twice each element.", "2x", "2", lambda g: 2 * g, example=("3.0", "6."))
    >>> double(4), double.__doc__.splitlines()[0]
    (8, 'Twice each element.')
    """

    if "kernel" in details:

        def forward(x):
            return made.kernel(floating(x))
    else:

        def forward(x):
            return function(x)

    details |= {"formula": formula, "derivative": derivative, "samples": samples}
    forward.__doc__ = _docstring(name, summary, "x : Tensor or array\n    Any shape.", returns, example)
    made = _made(forward, function, name, {"x": rule}, details)
    return made


def binary(
    name,
    function,
    summary,
    formula,
    derivative="",
    rule_a=None,
    rule_b=None,
    *,
    example,
    returns="The shape they broadcast to, in the dtype they promote to; Python numbers promote nothing.",
    samples=_PAIR,
    **details,
):
    """An operation of two arrays, element by element, with broadcasting.

    Parameters
    ----------
    name, function, summary, formula, derivative, returns, samples, **details
        As for `unary`.
    rule_a, rule_b : callable, optional
        The gradient by each input, from what it names: ``g``, ``a``, ``b``, ``y``.
    example : three of str
        The data of a Tensor, the other argument, and the data of the result.

    Returns
    -------
    Op

    Examples
    --------
    >>> third = binary("third", lambda a, b: (a + b) / 3, "A third of both.", r"\\tfrac{a + b}{3}", example=("3.0", "6", "3."))
    >>> third(1, 2), third.names
    (1.0, ('a', 'b'))
    """

    if "kernel" in details:

        def forward(a, b):
            return made.kernel(*_floating_pair(a, b))
    else:

        def forward(a, b):
            return function(a, b)

    parameters = "a, b : Tensor, array or number\n    In shapes that broadcast."
    details |= {"formula": formula, "derivative": derivative, "samples": samples}
    forward.__doc__ = _docstring(
        name, summary, parameters, returns, example, {"ValueError": "Where the shapes do not broadcast."}
    )
    made = _made(forward, function, name, {"a": rule_a, "b": rule_b}, details)
    return made


def comparison(name, function, words, symbol, result):
    """A question about two arrays, element by element, whose answer is bool and has no gradient.

    Parameters
    ----------
    name, function
        As for `unary`.
    words : str
        What is asked, after "Whether".
    symbol : str
        LaTeX, between a and b.
    result : str
        The data of the answer for 0, 1 and 2 against 1.

    Returns
    -------
    Op

    Examples
    --------
    >>> import numpy as np
    >>> more = comparison("more", np.greater, "a is more than b", ">", "[False, False,  True]")
    >>> more(np.array([1, 2, 3]), 2), more.formula
    (array([False, False,  True]), 'a > b')
    """
    return binary(
        name,
        function,
        f"Whether {words}, element by element, with broadcasting: bool, without a gradient.",
        f"a {symbol} b",
        example=("[0.0, 1.0, 2.0]", "1", f"{result}, dtype=bool"),
        returns="The shape they broadcast to, bool.",
        samples=(Case(normal(3, 4), normal(4)),),
    )


def reduction(*, example, returns, raises, parameters=None, **details):
    """A decorator as `nnscratch.op`, for a function that reduces axes and whose docstring is its summary alone.

    Parameters
    ----------
    example : sequence of str
        The data of a Tensor, the other arguments, the data of the result.
    returns : str
        The section of the docstring.
    raises : dict of str to str
        When which errors are raised, by their names.
    parameters : dict of str to str, optional
        What the docstring says of arguments that other reductions do not have, or take in another sense.
    **details
        As for `nnscratch.op`.

    Returns
    -------
    callable
        The decorator, which returns an Op.

    Examples
    --------
    >>> import nnscratch as ns
    >>> print(ns.sum.__doc__.partition("keepdims")[0])
    The sum over `axis` (an int, several, or None for all); 0 for no elements.
    <BLANKLINE>
    Parameters
    ----------
    x : Tensor or array
    axis : int, tuple of int or None
        Over which axes; None: over all.
    <BLANKLINE>
    """

    def decorate(forward):
        said = _REDUCED | (parameters or {})
        code = forward.__code__
        arguments = "\n".join(said[name] for name in code.co_varnames[: code.co_argcount])
        forward.__doc__ = _docstring(forward.__name__, forward.__doc__, arguments, returns, example, raises)
        return op(**details)(forward)

    return decorate


def _docstring(name, summary, parameters, returns, example, raises=None):
    data, *others, result = example
    errors = "".join(f"\n{error}\n    {when}" for error, when in (raises or {}).items())
    return _DOCSTRING.format(
        name=name,
        summary=summary,
        parameters=parameters,
        returns=returns,
        raises=f"\nRaises\n------{errors}\n" if errors else "",
        arguments=", ".join([f"ns.tensor({data})", *others]),
        result=result,
    )


def _made(forward, function, name, rules, details):
    if function and "kernel" in details:
        DEFINITIONS[details["kernel"]] = function
    forward.__name__ = forward.__qualname__ = name
    # The module of the row, as for `collections.namedtuple`: the first caller outside this file.
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] == __name__:
        frame = frame.f_back
    forward.__module__ = frame.f_globals["__name__"]
    rules = {given: rule for given, rule in rules.items() if rule is not None}
    made = op(constant=() if rules else True, **details)(forward)
    for given, rule in rules.items():
        made.rule(given)(rule)
    return made
