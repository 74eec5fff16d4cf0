"""Work divided among threads: compiled loops run side by side, each on its own part of the arrays."""

import functools
import importlib
import os
import queue
import threading

#: Threads that may be asked for: of many more, their stacks alone leave no memory.
MOST = 1024
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
        Where NNSCRATCH_THREADS is no whole number from 1 to `MOST`.

    Examples
    --------
    >>> count() >= 1
    True
    """
    own = os.environ.get("NNSCRATCH_THREADS", "")
    if own and not (own.isascii() and own.isdecimal() and len(own) < 9 and 1 <= int(own) <= MOST):
        raise ValueError(
            f"NNSCRATCH_THREADS is {own[:60]!r}, expected a whole number from 1 to {MOST}; correct it, or unset it"
        )
    given = own or os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isascii() and given.isdecimal() and int(given[:9]):
        return min(int(given[:9]), MOST)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared_by(processes):
    """Take this process's part of the processors where so many on this machine work side by side, unless a number was set.

    Examples
    --------
    >>> shared_by(1)
    """
    if processes > 1 and not (os.environ.get("NNSCRATCH_THREADS") or os.environ.get("OMP_NUM_THREADS")):
        os.environ["NNSCRATCH_THREADS"] = str(max(1, count() // processes))
        count.cache_clear()


#: The queue from which the other threads take parts, which costs half as much as an executor with its futures; None while
#: there are no others, because nothing was divided yet.
parts_to_do: "queue.SimpleQueue | _Alone | None" = None


_starting = threading.Lock()


def _start():
    """Start the other threads; fewer where the system gives no more, and at last none, so that each caller does its parts itself."""
    global parts_to_do
    with _starting:
        if parts_to_do is not None:
            return
        queued: queue.SimpleQueue = queue.SimpleQueue()
        started = 0
        try:
            for started in range(count() - 1):  # noqa: B007 # which says how many there are where one more cannot be
                threading.Thread(target=_work, args=(queued,), name="nnscratch", daemon=True).start()
        except RuntimeError:
            importlib.import_module("logging").getLogger("nnscratch").warning(
                "nnscratch: the system starts no more than %s of %s threads, so work is divided among fewer",
                started + 1,
                count(),
            )
            if not started:
                queued = DO_IT_YOURSELF
        parts_to_do = queued


class _Alone:
    """What takes the place of the queue where there is no other thread."""

    def put(self, row):
        """Do a part at once."""
        _do(*row)


DO_IT_YOURSELF = _Alone()


def _work(parts_to_do):
    while True:
        _do(*parts_to_do.get())


def _do(run, begin, end, done, errors):
    try:
        _part(run, begin, end)
    except BaseException as error:
        errors.append(error)
    del run  # and the arrays that it holds
    done.release()


def forget():
    """Leave the threads alone, and start new ones when something is divided next."""
    global parts_to_do, _starting
    parts_to_do, _starting = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)  # a child has none of its parent's threads


_this_thread = threading.local()


def divided():
    """Whether this thread computes a part of what was divided.

    Examples
    --------
    >>> divided()
    False
    """
    return getattr(_this_thread, "divided", False)


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
    several = 1 if divided() else parts(length, work)
    if several == 1:
        run(0, length)
        return
    if parts_to_do is None:
        _start()
    errors: list = []
    others = []
    for i in range(1, several):
        done = threading.Lock()
        done.acquire()
        others.append(done)
        parts_to_do.put((run, length * i // several, length * (i + 1) // several, done, errors))
    try:
        _part(run, 0, length // several)
    finally:
        for done in others:
            done.acquire()
    if errors:
        raise errors[0]


def _part(run, begin, end):
    """A part, within which nothing is divided again: threads that wait for others would have nobody to work for them."""
    _this_thread.divided = True
    try:
        run(begin, end)
    finally:
        _this_thread.divided = False
