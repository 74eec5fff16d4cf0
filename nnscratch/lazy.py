"""Names of a package that are loaded when they are first used, so that importing it stays quick."""

import importlib
import sys

from nnscratch.hints import of_module


def attach(package, names):
    """The functions ``__getattr__`` and ``__dir__`` of a package (PEP 562) for names that are loaded when they are first used.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    names : dict of str to str
        For each name the module it stands for, or ``"module:attribute"``.

    Returns
    -------
    pair of function
        The first loads a name and keeps it in the package, and raises AttributeError where there is no such name; the second
        lists the package's names, loaded or not.

    Examples
    --------
    >>> import sys, types
    >>> sys.modules["mathematics"] = mathematics = types.ModuleType("mathematics")
    >>> mathematics.__getattr__, mathematics.__dir__ = attach("mathematics", {"root": "math:sqrt"})
    >>> mathematics.root(9.0)
    3.0
    >>> del sys.modules["mathematics"]
    """
    module = sys.modules[package]

    def __getattr__(name):
        if name not in names:
            said = f"module {package!r} has no attribute {name!r}{of_module(package, name)}"
            raise AttributeError(said, name=name, obj=module)
        path, _, attribute = names[name].partition(":")
        value = importlib.import_module(path)
        vars(module)[name] = value = getattr(value, attribute) if attribute else value
        return value

    def __dir__():
        return sorted({*vars(module), *names})

    return __getattr__, __dir__
