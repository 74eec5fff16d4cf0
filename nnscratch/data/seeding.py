"""Which random numbers a data set's own draws take: within a DataLoader's batch those of that batch."""

import contextlib
import threading

import numpy as np

from nnscratch import backend

_here = threading.local()


def generator():
    """The random numbers for draws of a data set's own, such as an augmentation's: a `numpy.random.Generator`.

    While a `DataLoader` makes a batch it is a generator of that batch alone, so that what is drawn does not depend on how many
    threads make batches; elsewhere it is that which `ns.manual_seed` seeds. Ask for it at each draw.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    >>> a = ns.data.generator().random()
    >>> ns.manual_seed(0)
    >>> a == ns.data.generator().random()
    True
    """
    return drawn_from(backend.cpu.rng)


def drawn_from(own):
    """The generator of the batch that is being made in this thread, else `own`."""
    found = getattr(_here, "generator", None)
    return own if found is None else found


@contextlib.contextmanager
def batch_generator(key):
    """Within this block `generator`, in this thread, is a new one from a sequence of whole numbers.

    Examples
    --------
    >>> with batch_generator([1, 2]):
    ...     first = generator().random()
    >>> with batch_generator([1, 2]):
    ...     first == generator().random()
    True
    """
    before = getattr(_here, "generator", None)
    _here.generator = np.random.default_rng(key)
    try:
        yield
    finally:
        _here.generator = before
