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
        #: Which rows of a batch this thread computes, where others compute the rest: a `Share`, or None.
        self.share = None

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

    def state(self):
        """The states of its generators, by the names of their devices."""
        return {backend.name: made.bit_generator.state for backend, made in list(self._made.items())}

    def set_state(self, states):
        """Take over what `state` returned."""
        for backend, made in self._made.items():
            if backend.name in states:
                made.bit_generator.state = states[backend.name]

    def copy(self):
        """One that goes on as this one will, and leaves it where it is."""
        new = Generator(self.seed)
        new.share = self.share
        for backend, made in list(self._made.items()):
            new.of(backend).bit_generator.state = made.bit_generator.state
        return new

    def __getstate__(self):
        return {"seed": self.seed, "states": self.state()}

    def __setstate__(self, state):
        from nnscratch import backend

        self.seed, self._made, self.share = state["seed"], {}, None
        for name, found in state["states"].items():
            self.of(backend.get(name)).bit_generator.state = found

    def __enter__(self):
        _here.around.append(_here.generator)
        _here.generator = self
        return self

    def __exit__(self, *exception):
        _here.generator = _here.around.pop()


class Share(tuple):
    """A batch's arrays, those rows of them that one process computes; and which rows of how many those are.

    Attributes
    ----------
    start, rows, whole : int
        The first of them, how many there are, and of how many.
    counts : bool
        Whether they count. Where there are fewer rows than processes some compute the first row, which counts nothing, so
        that all send the same messages.
    last : bool
        Whether the process has no more rows of this batch.

    Examples
    --------
    >>> Share([[1, 2]], 2, 2, 6).place((4, 3))
    ((12, 3), slice(4, 8, None))
    """

    start: int
    rows: int
    whole: int
    counts: bool
    last: bool

    def __new__(cls, arrays, start, rows, whole, counts=True, last=True):
        made = super().__new__(cls, arrays)
        made.start, made.rows, made.whole, made.counts, made.last = start, rows, whole, counts, last
        return made

    def place(self, shape):
        """The shape that an array of `shape` has for the whole batch, and its rows there; None where it is not one of rows."""
        each, rest = divmod(shape[0] if shape else 1, self.rows)
        if rest or not shape:
            return None
        return (self.whole * each, *shape[1:]), slice(self.start * each, (self.start + self.rows) * each)


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
