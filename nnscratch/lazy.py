"""Names of a package that are found when they are first used, so that importing it stays quick."""

import importlib


def find(namespace, later, name):
    """The value of a name that has not been used yet, from now on in the package's namespace.

    Parameters
    ----------
    namespace : dict
        The package's ``globals()``.
    later : dict of str to str
        For each name the module it stands for, or ``"module:attribute"``.
    name : str

    Raises
    ------
    AttributeError
        Where the package has no such name.

    Examples
    --------
    >>> find({"__name__": "mathematics"}, {"root": "math:sqrt"}, "root")(9.0)
    3.0
    """
    if name not in later:
        raise AttributeError(f"{namespace['__name__']} has no attribute {name!r}")
    module, _, attribute = later[name].partition(":")
    value = importlib.import_module(module)
    namespace[name] = value = getattr(value, attribute) if attribute else value
    return value
