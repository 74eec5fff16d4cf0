"""What errors add for those who come from PyTorch: of a name that is missing what it is called here; and the page of all names."""

import functools
import importlib
import re
import sys

#: Of each module where in PyTorch its names stand.
PLACES = {
    "nnscratch": "",
    "nnscratch.nn": "nn.",
    "nnscratch.functional": "nn.functional.",
    "nnscratch.nn.init": "nn.init.",
    "nnscratch.nn.utils": "nn.utils.",
    "nnscratch.optim": "optim.",
    "nnscratch.optim.lr_scheduler": "optim.lr_scheduler.",
    "nnscratch.data": "utils.data.",
}


def _table():
    """The data, loaded when an error first asks for it."""
    return importlib.import_module("nnscratch.pytorch_names")


@functools.cache
def _rows():
    table = _table()
    return {row.theirs: row for row in (*table.NAMES, *table.ARGUMENTS)}


def _sentence(theirs, row):
    if not row.ours:
        return f"; of PyTorch's {theirs}: {row.note}"
    return f"; PyTorch's {theirs} is {row.ours} here" + (f", {row.note}" if row.note else "")


def of_module(module, name):
    """What to say of a name that a module of ours lacks: nothing, unless PyTorch has it.

    Examples
    --------
    >>> of_module("nnscratch", "cat"), of_module("nnscratch", "dog")
    ("; PyTorch's torch.cat is ns.concatenate here", '')
    """
    if name.startswith("__") or module not in PLACES:
        return ""
    theirs = PLACES[module] + name
    row = _rows().get(theirs)
    return _sentence(f"torch.{theirs}", row) if row else ""


class _Lacking:
    # An attribute that a class lacks, asked for by the name that PyTorch has for it; a class with a __getattr__ would be slower at all
    # its other attributes.

    def __init__(self, name, row):
        self.name, self.row = name, row

    def __get__(self, instance, owner):
        said = f"{owner.__name__!r} object has no attribute {self.name!r}{_sentence(self.row.theirs, self.row)}"
        raise AttributeError(said, name=self.name, obj=instance)


def lead(cls, place):
    """Let a class say of names that it lacks, and PyTorch has in a place of its, what they are called here.

    Examples
    --------
    >>> class Box:
    ...     pass
    >>> lead(Box, "Tensor.")
    >>> hasattr(Box(), "view"), "view" in dir(Box())
    (False, False)
    >>> Box().view
    Traceback (most recent call last):
    AttributeError: 'Box' object has no attribute 'view'; PyTorch's Tensor.view is x.reshape here
    """
    lacking = set()
    for theirs, row in _rows().items():
        name = theirs.removeprefix(place)
        if theirs.startswith(place) and name not in vars(cls):
            setattr(cls, name, _Lacking(name, row))
            lacking.add(name)
    cls.__dir__ = lambda self: [
        name for name in object.__dir__(self) if name not in lacking
    ]  # what is completed is there


def of_argument(name, known):
    """What to say of an argument that a function lacks, which has those that are `known`.

    Examples
    --------
    >>> of_argument("dim", ["x", "axis"]), of_argument("dim", ["x"])
    ("; PyTorch's dim= is axis= here", '')
    """
    row = _rows().get(f"{name}=")
    fits = row and (not row.ours or row.ours.removesuffix("=") in known)
    return _sentence(row.theirs, row) if fits else ""


def of_size(error):
    """Let an error of code that calls a tensor's ``size``, which is a number, say what PyTorch's method is called here.

    Examples
    --------
    >>> error = TypeError("'int' object is not callable")
    >>> of_size(error)
    >>> error
    TypeError("'int' object is not callable; PyTorch's x.size(0) is x.shape[0] here, and x.size the number of elements")
    """
    if error.args == ("'int' object is not callable",):
        hint = "; PyTorch's x.size(0) is x.shape[0] here, and x.size the number of elements"
        error.args = (error.args[0] + hint,)


def hinting(function):
    """A function, or a class's ``__init__``, that says of an argument it lacks what PyTorch's is called here.

    Examples
    --------
    >>> @hinting
    ... def largest(x, axis=None):
    ...     return max(x)
    >>> largest([1, 2], dim=0)
    Traceback (most recent call last):
    TypeError: largest: has no argument 'dim', it takes x, axis; PyTorch's dim= is axis= here
    """

    @functools.wraps(function)
    def hinted(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if found is None or error.__traceback__.tb_next is not None:  # of a call further in
                raise
            called = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
            raise _misnamed(function, called, found[1]) from None

    return hinted


def _misnamed(function, called, name):
    import inspect

    known = [p for p in inspect.signature(function).parameters if p not in ("self", "args", "kwargs")]
    return TypeError(f"{called}: has no argument {name!r}, it takes {', '.join(known)}{of_argument(name, known)}")


def guide(module):
    """Let a module say of a name that it lacks what PyTorch's is called here (a ``__getattr__`` that type checkers do not see).

    Examples
    --------
    >>> import nnscratch.nn.utils
    >>> guide("nnscratch.nn.utils")
    >>> nnscratch.nn.utils.clip_grad_norm_
    Traceback (most recent call last):
    AttributeError: module 'nnscratch.nn.utils' has no attribute 'clip_grad_norm_'; PyTorch's torch.nn.utils.clip_grad_norm_ is optim.clip_grad_norm here
    """
    found = sys.modules[module]

    def __getattr__(name):
        said = f"module {module!r} has no attribute {name!r}{of_module(module, name)}"
        raise AttributeError(said, name=name, obj=found)

    vars(found)["__getattr__"] = __getattr__


_INTRODUCTION = """# Coming from PyTorch

Made by `python -m nnscratch.formulas --write` from `nnscratch/pytorch_names.py`; do not edit it by hand.

Arrays have NumPy's names here, networks PyTorch's. Most of a script for PyTorch is ported by its imports: `import nnscratch as torch`,
`from nnscratch import nn, optim, functional as F`, `from nnscratch.data import Dataset, DataLoader`. Where a name or an argument is another
here, the error says which. In the tables `x` is a tensor, `ns` is `nnscratch`, and `F` is `nnscratch.functional`.

## What changes numbers

These are called alike and are not the same: no error tells."""

_PLACES = {
    "": "`torch`",
    "Tensor.": "Tensors",
    "nn.": "`torch.nn`",
    "nn.Module.": "Modules",
    "nn.functional.": "`torch.nn.functional`",
    "nn.init.": "`torch.nn.init`",
    "nn.utils.": "`torch.nn.utils`",
    "optim.": "`torch.optim`",
    "optim.Optimizer.": "Optimisers",
    "optim.lr_scheduler.": "`torch.optim.lr_scheduler`",
    "optim.lr_scheduler.LRScheduler.": "Schedules",
    "utils.data.": "`torch.utils.data`",
}


def place_of(theirs):
    """Where a name of PyTorch's stands: the longest of the table's places that it begins with.

    Examples
    --------
    >>> place_of("nn.init.eye_"), place_of("cat")
    ('nn.init.', '')
    """
    return max((place for place in _PLACES if theirs.startswith(place)), key=len)


def page():
    """The page docs/from-pytorch.md as Markdown.

    Examples
    --------
    >>> page().splitlines()[0]
    '# Coming from PyTorch'
    """
    table = _table()
    parts = [_INTRODUCTION, _as_table(("PyTorch", "here", ""), table.DIFFERENCES), "## Names"]
    for place, title in _PLACES.items():
        same = ", ".join(f"`{name}`" for name in table.SAME.get(place, "").split())
        rows = [
            row._replace(theirs=row.theirs.removeprefix(place)) for row in table.NAMES if place_of(row.theirs) == place
        ]
        parts.append(f"### {title}")
        parts += [f"The same: {same}."] if same else []
        parts += [_as_table(("PyTorch", "here", ""), rows)] if rows else []
    parts += ["## Arguments", _as_table(("PyTorch", "here", ""), table.ARGUMENTS)]
    return "\n\n".join(parts) + "\n"


def _as_table(head, rows):
    lines = [head, ("---",) * len(head)]
    lines += [(f"`{row.theirs}`", f"`{row.ours}`" if row.ours else "", row.note) for row in rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
