"""Work divided among threads: compiled loops run side by side, each on its own part of the arrays."""

import functools
import os
import queue
import threading

#: Processor time, in multiplications, below which a part is not worth another thread.
LEAST = 1 << 22
#: Multiplications that take about as long as one element of an array on its way from memory and back.
WORK_OF_AN_ELEMENT = 32


@functools.cache
def count():
    """How many threads: NNSCRATCH_THREADS or OMP_NUM_THREADS where one is set, else the processors that the process may use.

    Raises
    ------
    ValueError
        Where NNSCRATCH_THREADS is no whole number above 0.

    Examples
    --------
    >>> count() >= 1
    True
    """
    own = os.environ.get("NNSCRATCH_THREADS", "")
    if own and not (own.isdecimal() and int(own)):
        raise ValueError(f"NNSCRATCH_THREADS is {own!r}, expected a whole number above 0; correct it, or unset it")
    given = own or os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isdecimal() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _pool():
    """The queue from which the other threads take parts, which costs half as much as an executor with its futures."""
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    for _ in range(count() - 1):
        threading.Thread(target=_work, args=(waiting,), name="nnscratch", daemon=True).start()
    return waiting


def _work(waiting):
    while True:
        run, begin, end, done, errors = waiting.get()
        try:
            _part(run, begin, end)
        except BaseException as error:
            errors.append(error)
        del run  # and the arrays that it holds
        done.release()


def running():
    """Whether there are threads, because something was divided among them before.

    Examples
    --------
    >>> running() in (True, False)
    True
    """
    return _pool.cache_info().currsize > 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads


_here = threading.local()


def parts(length, work):
    """Into how many parts `split` divides.

    Examples
    --------
    >>> parts(5, 0)
    1
    """
    return max(1, min(count(), length, work // LEAST))


def split(length, work, run):
    """Call ``run(begin, end)`` for parts that make up ``range(length)``, side by side where `work` is worth it.

    Parameters
    ----------
    length : int
    work : int
        About how many multiplications all of it takes.
    run : callable
        Must release the interpreter's lock, and give the same results however the range is divided.

    Examples
    --------
    >>> split(5, 0, print)
    0 5
    """
    several = 1 if getattr(_here, "divided", False) else parts(length, work)
    if several == 1:
        run(0, length)
        return
    bounds = [length * i // several for i in range(several + 1)]
    errors: list = []
    others = [threading.Lock() for _ in range(1, several)]
    for i, done in enumerate(others, 1):
        done.acquire()
        _pool().put((run, *bounds[i : i + 2], done, errors))
    try:
        _part(run, 0, bounds[1])
    finally:
        for done in others:
            done.acquire()
    if errors:
        raise errors[0]


def _part(run, begin, end):
    """A part, within which nothing is divided again: threads that wait for others would have nobody to work for them."""
    _here.divided = True
    try:
        run(begin, end)
    finally:
        _here.divided = False
