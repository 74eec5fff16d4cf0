"""Random numbers: one stream for the process, and streams of their own for threads that ask for one."""

import threading

from nnscratch import arguments


class Generator:
    """A stream of random numbers of one's own: initial weights, dropout, shuffling and augmentation.

    ``with generator:`` all that this thread draws within the block comes from it, wherever else it would have come from, and goes on
    where the block before ended. So several models can be trained in several threads, each with the numbers it would draw alone.

    Parameters
    ----------
    seed : int
        Zero or greater.

    Raises
    ------
    TypeError, ValueError
        Where `seed` is no such number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> with ns.Generator(0):
    ...     a = ns.nn.Linear(3, 2)
    >>> with ns.Generator(0):
    ...     b = ns.nn.Linear(3, 2)
    >>> bool((a.weight.numpy() == b.weight.numpy()).all())
    True
    """

    def __init__(self, seed=0):
        self.seed = arguments.count("Generator", "seed", seed, 0, float("inf"))
        self._made: dict = {}

    def manual_seed(self, seed):
        """Begin anew from another seed, for everybody who holds it."""
        self.seed = arguments.count("manual_seed", "seed", seed, 0, float("inf"))
        for backend, made in self._made.items():
            made.bit_generator.state = backend.new_rng(self.seed).bit_generator.state

    def of(self, backend):
        """The generator of a device, made when it is first asked for."""
        found = self._made.get(backend)
        if found is None:
            found = self._made.setdefault(backend, backend.new_rng(self.seed))
        return found

    def copy(self):
        """One that goes on as this one will, and leaves it where it is."""
        new = Generator(self.seed)
        for backend, made in list(self._made.items()):
            new.of(backend).bit_generator.state = made.bit_generator.state
        return new

    def __enter__(self):
        _here.around.append(_here.generator)
        _here.generator = self
        return self

    def __exit__(self, *exception):
        _here.generator = _here.around.pop()


#: The process's, which all threads draw from that have none of their own.
shared = Generator()


class _Here(threading.local):
    generator: Generator | None = None

    def __init__(self):
        self.around: list = []


_here = _Here()


def current():
    """The stream that this thread draws from."""
    return _here.generator or shared


def manual_seed(seed):
    """Seed the random numbers of this thread: initialisation, dropout, shuffling and augmentation follow from it.

    In the main thread these are the process's, which other threads draw from, too, until they are seeded themselves; within
    ``with ns.Generator(...):`` they are that one's.

    Initial weights, orders and augmentations are drawn on the CPU, and so are the same on every device; dropout draws
    where its input is.

    Parameters
    ----------
    seed : int
        Zero or greater.

    Raises
    ------
    TypeError, ValueError
        Where `seed` is not such a number.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.manual_seed(0)
    """
    if _here.generator is None and threading.current_thread() is not threading.main_thread():
        _here.generator = Generator(seed)
    else:
        current().manual_seed(seed)
