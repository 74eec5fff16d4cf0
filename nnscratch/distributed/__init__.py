"""One network on many processes: each computes a part of every batch, and all take the same step.

`mpi` and `nccl` return what ``Trainer(..., distributed=...)`` takes. The messages are carried by MPI (mpi4py) and NCCL (CuPy);
both are loaded when they are first asked for.
"""

from nnscratch.distributed.over_mpi import mpi
from nnscratch.distributed.over_nccl import nccl
from nnscratch.distributed.ranks import Ranks

__all__ = ["Ranks", "mpi", "nccl"]
