"""Messages by NCCL, from GPU to GPU; what is no gradient goes by MPI."""

from nnscratch import backend
from nnscratch.distributed.over_mpi import MPI, check_sent, end_all_with, load
from nnscratch.distributed.ranks import Ranks


class NCCL(MPI):
    """What `Ranks` asks of a library that carries messages: gradients by NCCL through CuPy, on a stream of their own."""

    def __init__(self, comm, library, device):
        super().__init__(comm, library)
        self._device, self._cuda = device, device.xp.cuda
        node = comm.Split_type(library.COMM_TYPE_SHARED)
        self._cuda.Device(node.Get_rank() % self._cuda.runtime.getDeviceCount()).use()
        nccl = self._cuda.nccl
        name = self.broadcast(nccl.get_unique_id() if self.rank == 0 else None)
        self._nccl = nccl.NcclCommunicator(self.size, name, self.rank)
        self._kinds = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}
        self._stream = self._cuda.Stream(non_blocking=True)

    def room(self, size, dtype, like):
        """An array that messages can be made of, where the parameter `like` lives."""
        return backend.of(like.data).zeros((size,), dtype)

    def start_sum(self, array, aside=False):
        """Start to sum an array over the ranks, in its place; it is not to be touched until ``wait()`` of what this returns."""
        if backend.of(array) is not self._device:
            return super().start_sum(array, aside)
        check_sent(array)
        self._stream.wait_event(self._cuda.get_current_stream().record())
        kind, summed = self._kinds[array.dtype.name], self._cuda.nccl.NCCL_SUM
        self._nccl.allReduce(array.data.ptr, array.data.ptr, array.size, kind, summed, self._stream.ptr)
        return OnStream(self._cuda, self._stream.record(), array)


class OnStream:
    """A message on a GPU's stream, and the array that it is made of."""

    def __init__(self, cuda, event, array):
        self._cuda, self._event, self.array = cuda, event, array

    def wait(self):
        """Let what is asked of the GPU next come after it; the host goes on."""
        self._cuda.get_current_stream().wait_event(self._event)


def nccl(reduction="average", blocks=None, batch_norm=False, bucket_bytes=1 << 25):
    """The ranks of a run on NVIDIA GPUs, one each, that ``mpiexec`` has started: `mpi` with gradients sent by NCCL.

    Parameters
    ----------
    reduction, blocks, batch_norm, bucket_bytes
        As in `mpi`. With "ordered" gradients go through the host's memory.

    Returns
    -------
    Ranks

    Raises
    ------
    ValueError
        Where there is no GPU, or CuPy has no NCCL.
    RuntimeError
        Where mpi4py or MPI is missing.

    Examples
    --------
    >>> import nnscratch as ns
    >>> try:
    ...     ranks = ns.distributed.nccl()
    ... except (RuntimeError, ValueError) as error:
    ...     print("not here")
    not here
    """
    try:
        device = backend.get("cuda")
    except ValueError as error:
        raise ValueError(f"nccl: {str(error).removeprefix('device: ')}") from None
    if not getattr(device.xp.cuda.nccl, "available", False):
        raise ValueError(
            "nccl: CuPy was installed without NCCL; install nvidia-nccl-cu13 beside it, or use ns.distributed.mpi"
        )
    library = load()
    ranks = Ranks(NCCL(library.COMM_WORLD, library, device), reduction, blocks, batch_norm, bucket_bytes)
    end_all_with(ranks)
    return ranks
