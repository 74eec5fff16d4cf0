"""The documents' networks, each on real data; `get` finds one by its name."""

import importlib

NAMES = (
    "mnist-cnn",
    "mnist-cnn-small",
    "regression-3-5-1",
    "hand-written-mlp",
    "worked-2-3-1",
    "binary-classifier",
)


def get(name):
    """The system called `name`.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    System

    Raises
    ------
    ValueError
        Where there is none of that name.

    Examples
    --------
    >>> get("mnist-cnn").id
    'S2'
    >>> get("mnist-cn")
    Traceback (most recent call last):
    ValueError: train: there is no system 'mnist-cn'; did you mean mnist-cnn, mnist-cnn-small?
    """
    if name not in NAMES:
        import difflib

        close = difflib.get_close_matches(str(name), NAMES)
        hint = f"did you mean {', '.join(close)}?" if close else f"choose one of {', '.join(NAMES)}"
        raise ValueError(f"train: there is no system {name!r}; {hint}")
    return importlib.import_module(f"nnscratch.systems.{name.replace('-', '_')}").SYSTEM


def every():
    """All systems, in the order of `NAMES`.

    Examples
    --------
    >>> [system.id for system in every()]
    ['S2', 'S3', 'S1', 'S5', 'S8', 'S12']
    """
    return [get(name) for name in NAMES]
