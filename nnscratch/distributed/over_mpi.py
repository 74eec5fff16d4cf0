"""Messages by MPI, which mpi4py speaks."""

import os
import sys
import time

import numpy as np

from nnscratch.distributed.ranks import Ranks
from nnscratch.kernels import threads

#: What lets another process have the processor.
YIELD = getattr(os, "sched_yield", lambda: time.sleep(0))
INSTALL = "install nnscratch[mpi], or mpi4py beside the system's own MPI"


class MPI:
    """What `Ranks` asks of a library that carries messages, by mpi4py. Arrays are NumPy's, of one axis, float32 or float64;
    gradients on a GPU go through the host's memory, but for `nccl`.

    Attributes
    ----------
    rank, size : int
    """

    def __init__(self, comm, library):
        self._library, self._world = library, comm
        # messages of gradients on one, all else on another, so that neither takes what was meant for the other
        self._gradients, self._aside = comm.Dup(), comm.Dup()
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        threads.shared_by(comm.Split_type(library.COMM_TYPE_SHARED).Get_size())
        self._pending: list = []

    def room(self, size, dtype, like):
        """An array that messages can be made of, beside the parameter `like`."""
        return np.zeros(size, dtype)

    def start_sum(self, array, aside=False):
        """Start to sum an array over the ranks, in its place; it is not to be touched until ``wait()`` of what this returns."""
        check_sent(array)
        comm = self._aside if aside else self._gradients
        pending = Pending(comm.Iallreduce(self._library.IN_PLACE, array), array)
        if not aside:
            self._pending.append(pending)
        return pending

    def progress(self):
        """Let messages go on that wait for this process, as MPI does nothing unless it is called."""
        while self._pending and self._pending[0].test():
            self._pending.pop(0)
        for pending in self._pending[1:2]:
            pending.test()

    def gather_rows(self, array):
        """The arrays of all ranks, which have one shape, in the rows of one."""
        check_sent(array)
        rows = np.empty((self.size, array.size), array.dtype)
        Pending(self._gradients.Iallgather(array, rows), rows).wait()
        return rows

    def exchange(self, numbers):
        """A few numbers of each rank, as the rows of a float64 array."""
        own, rows = np.array(numbers, np.float64), np.empty((self.size, len(numbers)))
        Pending(self._aside.Iallgather(own, rows), own).wait()
        return rows

    def gather(self, value):
        """A value of each rank, in a list."""
        return self._aside.allgather(value)

    def broadcast(self, value):
        """Rank 0's value."""
        return self._aside.bcast(value)

    def abort(self, status):
        """End all ranks."""
        self._world.Abort(status)


class Pending:
    """A message on its way, and the array that it is made of."""

    def __init__(self, request, array):
        self._request, self.array = request, array

    def test(self):
        """Whether it has arrived."""
        return self._request.Test()

    def wait(self):
        """Wait until it has arrived; meanwhile others may have the processor, as MPI's own waiting would not let them."""
        while not self._request.Test():
            YIELD()


def check_sent(array):
    """Refuse an array that MPI would take and send wrongly: float16 is summed in float16, and other layouts come out scrambled.

    Examples
    --------
    >>> check_sent(np.zeros((2, 3)).T)
    Traceback (most recent call last):
    ValueError: mpi: a message of shape (3, 2) float64 would come out wrong; send one axis of float32 or float64, side by side in memory
    """
    if array.ndim != 1 or not array.flags.c_contiguous or array.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"mpi: a message of shape {array.shape} {array.dtype} would come out wrong; send one axis of float32 or float64, "
            f"side by side in memory"
        )


def load():
    """mpi4py's module MPI, which starts MPI where it has not been started.

    Raises
    ------
    RuntimeError
        Where it cannot be loaded.
    """
    try:
        from mpi4py import MPI as library
    except (ImportError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise RuntimeError(f"mpi: mpi4py does not load ({told}); {INSTALL}") from None
    return library


def mpi(reduction="average", blocks=None, batch_norm=False, bucket_bytes=1 << 18):
    r"""The ranks of a run that ``mpiexec`` has started, for ``Trainer(..., distributed=...)``.

    All ranks run the same program. Each batch is cut into blocks of samples, one for each rank; the step is that by the whole
    batch's mean gradient :math:`\frac{\sum_r n_r g_r}{\sum_r n_r}`, so the same on all of them. From now on an error that
    nobody catches on one rank ends all.

    Parameters
    ----------
    reduction : {"average", "ordered"}
        "average" sums the ranks' gradients as MPI does, while the backward pass still runs: the same bits in each run of as many
        ranks (with MPICH and Open MPI; Intel MPI needs I_MPI_CBWR=1). With "ordered" a batch is cut into `blocks`, whatever
        the number of ranks; their gradients are gathered, and added in the order of the samples: the same bits for every number of
        ranks that divides `blocks`.
    blocks : int, optional
        For "ordered", a multiple of the number of ranks; 4, or as many as ranks where those are more.
    batch_norm : bool
        Whether batch normalisation takes its moments over all ranks' samples (more messages), or over each rank's own.
    bucket_bytes : int
        About how many bytes of gradients make a message.

    Returns
    -------
    Ranks
        With the attributes ``rank`` and ``size``; of a program that mpiexec has not started, rank 0 of 1.

    Raises
    ------
    RuntimeError
        Where mpi4py or MPI is missing.
    TypeError, ValueError
        Where a setting is not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> try:
    ...     ranks = ns.distributed.mpi()
    ... except RuntimeError as error:
    ...     print(str(error)[:4])
    ... else:
    ...     print("mpi:" if ranks.rank < ranks.size else "")
    mpi:
    """
    library = load()
    ranks = Ranks(MPI(library.COMM_WORLD, library), reduction, blocks, batch_norm, bucket_bytes)
    end_all_with(ranks)
    return ranks


def end_all_with(ranks):
    """Let an error that nobody catches end all ranks, and not this one alone, for which the others would wait."""
    before = sys.excepthook

    def hook(kind, error, traceback):
        before(kind, error, traceback)
        ranks.fail(error)

    if ranks.size > 1:
        sys.excepthook = hook
