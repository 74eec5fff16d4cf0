"""The documents' networks, each on real data; `get` finds one by its name."""

import copy
import importlib
import json
import os

NAMES = (
    "mnist-cnn",
    "mnist-cnn-small",
    "regression-3-5-1",
    "hand-written-mlp",
    "worked-2-3-1",
    "binary-classifier",
    "text-generator",
    "review-classifier",
    "chinese-sentiment",
    "gan",
    "gpt",
    "masked-text",
    "masked-digits",
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
    # its own copy, since a system keeps what belongs to its data
    return copy.copy(importlib.import_module(f"nnscratch.systems.{name.replace('-', '_')}").SYSTEM)


def load(folder):
    """The system and the trained network of a run.

    Parameters
    ----------
    folder : str or os.PathLike
        Where ``nnscratch train`` wrote its results.

    Returns
    -------
    (System, nn.Module)
        The network in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If there is no complete run.
    ValueError
        If its files are damaged, or of another network.

    Examples
    --------
    >>> load("no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: load: there is no complete run in no-such-folder; train one with `nnscratch train SYSTEM --out no-such-folder`
    """
    from nnscratch.files import as_path, parse_json, read_bytes

    folder = as_path("load", folder)
    path = os.path.join(folder, "metrics.json")
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"load: there is no complete run in {folder}; train one with `nnscratch train SYSTEM --out {folder}`"
        )
    try:
        name = parse_json(read_bytes("load", path))["system"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"load: {path} is not what `nnscratch train` wrote; train again") from None
    system = get(name)
    return system, system.load(folder)


def every():
    """All systems, in the order of `NAMES`.

    Examples
    --------
    >>> [system.id for system in every()]
    ['S2', 'S3', 'S1', 'S5', 'S8', 'S12', 'S4', 'S9', 'S6', 'S11', 'S7', 'S10', 'S13']
    """
    return [get(name) for name in NAMES]
