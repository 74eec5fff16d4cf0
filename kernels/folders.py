"""Where things are kept between one process and the next."""

import os
import pathlib


def cache(name):
    """The folder `name` of nnscratch's own in the user's cache: below ``$XDG_CACHE_HOME``, or ``~/.cache``; it need not be there.

    Parameters
    ----------
    name : str

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> cache("mnist").parts[-2:]
    ('nnscratch', 'mnist')
    """
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "nnscratch", name)
