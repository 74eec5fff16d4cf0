"""Where things are kept between one process and the next."""

import os
import pathlib
import tempfile


def cache(name):
    """The folder `name` of nnscratch's own in the user's cache: below ``$XDG_CACHE_HOME``, or ``~/.cache``; it need not be there.

    Where there is no home folder, either, it is one that nobody can make, so that what is looked for
    there is not found, and what would be kept there is not.

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
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # which its specification tells programs to pass over
        try:
            base = pathlib.Path.home() / ".cache"
        except RuntimeError:
            base = os.path.join(os.devnull, ".cache")
    return pathlib.Path(base, "nnscratch", name)


def writable(folder):
    """What is in the way of keeping files in a folder, which is made where it is not there yet; nothing where "".

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as made:
    ...     writable(os.path.join(made, "a")), writable(os.path.join(os.devnull, "a"))
    ('', 'Not a directory')
    """
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
