"""What is public: the names that the API pages show. The tests ask here, too, so that the pages miss none."""

import importlib
import types

#: The modules for users; and what they meet of each beyond its own names: what its functions take or return.
MODULES = {
    "nnscratch": (
        "nnscratch.autograd.Op",
        "nnscratch.gradcheck.report.Report",
        "nnscratch.gradcheck.report.Row",
        "nnscratch.view.graph.Graph",
        "nnscratch.view.explain.Explanation",
    ),
    "nnscratch.functional": (),
    "nnscratch.nn": (),
    "nnscratch.nn.init": (),
    "nnscratch.nn.models": (),
    "nnscratch.nn.utils.rnn": (),
    "nnscratch.optim": (),
    "nnscratch.optim.lr_scheduler": (),
    "nnscratch.data": (),
    "nnscratch.data.text": (),
    "nnscratch.distributed": (),
    "nnscratch.metrics": (),
    "nnscratch.onnx": (),
    "nnscratch.training": (),
    "nnscratch.compress": (),
    "nnscratch.pictures": (),
    "nnscratch.testing": ("nnscratch.testing.operations.OperationCheck",),
    "nnscratch.sample_inputs": (),
    "nnscratch.sklearn": (),
    "nnscratch.systems": ("nnscratch.systems.system.System", "nnscratch.systems.system.Classifier"),
}


def public(module):
    """The public functions, classes and operations of a module by their full names."""
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", None)
    values = {n: getattr(found, n) for n in listed or dir(found) if not n.startswith("_")}
    # A module without a list also has what it uses of others; the package itself gathers on purpose.
    values = {
        f"{module}.{n}": v
        for n, v in values.items()
        if callable(v) and not isinstance(v, types.ModuleType) and (listed or v.__module__.startswith(module))
    }
    for path in MODULES[module]:
        home, _, name = path.rpartition(".")
        values[path] = getattr(importlib.import_module(home), name)
    return values


def every():
    """All that is public, by full names."""
    return {name: value for module in MODULES for name, value in public(module).items()}


def members(value):
    """The public methods and properties that a class defines itself, by name."""
    kinds = types.FunctionType | property | classmethod | staticmethod
    return {n: v for n, v in vars(value).items() if not n.startswith("_") and isinstance(v, kinds)}


def alias(name, value):
    """The longer name under which a class is shown in full where the package has it, too; else None."""
    return (
        next((n for n, v in every().items() if v is value and len(n) > len(name)), None)
        if isinstance(value, type)
        else None
    )


def names():
    """The full names that the API pages' index has to have."""
    for name, value in every().items():
        yield name
        if isinstance(value, type) and not alias(name, value):
            yield from (f"{name}.{member}" for member in members(value))
