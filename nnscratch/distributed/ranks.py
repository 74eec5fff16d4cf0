"""The processes that train one network together, as each of them sees the others."""

import contextlib
import hashlib
import json
import os
import platform
import sys
import time

import numpy as np

from nnscratch import arguments, backend
from nnscratch.backend.random import Share, current
from nnscratch.distributed import moments
from nnscratch.distributed.gradients import Averaged, Ordered

REDUCTIONS = ("average", "ordered")
#: How long others wait for the end that a failing rank brings, before they say so themselves.
PATIENCE = 15.0


class Ranks:
    """The processes of a run, of which this is one; made by `mpi` or `nccl`.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and how many there are.
    reduction : {"average", "ordered"}
    blocks : int
        Into how many blocks of samples a batch is cut: as many as ranks, or with "ordered" a number of its own.
    batch_norm : bool
        Whether batch normalisation takes its moments over all ranks.
    bucket_bytes : int
        How many bytes of gradients make a message.
    seconds : dict of str to float
        How long this process has waited for ranks that were slower ("late"), then for messages of gradients ("waited"); and how many
        steps were taken ("steps").

    Raises
    ------
    TypeError, ValueError
        Where a setting is not such.

    Examples
    --------
    >>> class Alone:
    ...     rank, size = 0, 1
    >>> ranks = Ranks(Alone(), "ordered", blocks=3)
    >>> [share[0].tolist() for share in ranks.shared([(np.arange(5),)])]
    [[0], [1, 2], [3, 4]]
    """

    #: What the ranks tell each other at each step: the batch's samples, what their losses counted, whether a gradient was not
    #: finite, and how many parameters had none.
    SAMPLES, COUNT, BAD, MISSING = range(4)

    def __init__(self, messages, reduction="average", blocks=None, batch_norm=False, bucket_bytes=1 << 18):
        owner = type(messages).__name__.lower()
        if reduction not in REDUCTIONS:
            raise ValueError(f"{owner}: reduction is {arguments.shown(reduction)}; pass 'average' or 'ordered'")
        self.messages, self.rank, self.size = messages, messages.rank, messages.size
        self.reduction, self.batch_norm = reduction, arguments.flag(owner, "batch_norm", batch_norm)
        self.bucket_bytes = arguments.count(owner, "bucket_bytes", bucket_bytes)
        if blocks is not None and reduction == "average":
            raise ValueError(f"{owner}: blocks is for reduction='ordered'; leave it out, or pass that")
        standard = max(4, self.size) if reduction == "ordered" else self.size
        self.blocks = standard if blocks is None else arguments.count(owner, "blocks", blocks)
        if self.blocks % self.size:
            raise ValueError(
                f"{owner}: {self.blocks} blocks cannot be shared equally by {self.size} ranks; pass blocks as a multiple of that"
            )
        self.seconds = {"late": 0.0, "waited": 0.0, "steps": 0}
        self._gradients: dict = {}
        #: The random numbers' states before and after this rank's first block of a batch, until its last.
        self._drawn = None
        self._failed = False

    def __repr__(self):
        return f"<rank {self.rank} of {self.size}, reduction={self.reduction!r}>"

    @property
    def each(self):
        """How many blocks of a batch a rank computes."""
        return self.blocks // self.size

    # What ranks agree on

    def gather(self, value):
        """The values of all ranks, whatever they are, in a list."""
        return self.messages.gather(value)

    def agree(self, what, found):
        """See that dicts of str to anything are the same on all ranks.

        Raises
        ------
        ValueError
            On all of them, where they are not: it names what differs first, and the rank.
        """
        found = {name: str(value) for name, value in found.items()}
        text = json.dumps(found, sort_keys=True)
        sums = self.gather(hashlib.sha256(text.encode()).hexdigest())
        if len(set(sums)) == 1:
            return
        others = self.gather(found)
        other = next(r for r in range(self.size) if sums[r] != sums[0])
        here, there = others[0], others[other]
        name = next(n for n in dict.fromkeys((*here, *there)) if here.get(n) != there.get(n))
        raise ValueError(
            f"{what}: rank {other} has {arguments.named(name)} {arguments.named(there.get(name, 'not'))}, rank 0 has "
            f"{arguments.named(here.get(name, 'not'))}; start all ranks with the same program, data, settings and seed"
        )

    def report(self, samples, count=0.0, bad=False, missing=0):
        """Tell the others of a step, or of the end of the data (no samples); a row of numbers of each rank.

        Raises
        ------
        RuntimeError
            Where they are at different batches.
        """
        rows = self.messages.exchange([samples, count, bad, missing])
        found = rows[:, self.SAMPLES]
        other = int((found != found[0]).argmax())
        if other:
            told = [f"a batch of {n:.0f} samples" if n else "no more batches" for n in (found[other], found[0])]
            raise RuntimeError(
                f"fit: rank {other} has {told[0]} where rank 0 has {told[1]}; let all ranks go through the same data"
            )
        return rows

    def versions(self):
        """What has to be the same on all ranks beside a run's own settings."""
        return {
            "nnscratch": sys.modules["nnscratch"].__version__,
            "NumPy": np.__version__,
            "Python": ".".join(platform.python_version_tuple()[:2]),
            "reduction": self.reduction,
            "blocks": self.blocks,
            "batch_norm": self.batch_norm,
            "bucket_bytes": self.bucket_bytes,
        }

    def processes(self):
        """A line that says which process each rank is, by which a killed one can be told."""
        rows = self.gather((platform.node(), os.getpid()))
        return f"{self.size} ranks: " + ", ".join(
            f"{r} is process {pid} on {node}" for r, (node, pid) in enumerate(rows)
        )

    def mean_of(self, arrays):
        """Set each of some arrays to its mean over the ranks, such as running statistics that each has of its own samples."""
        if self.size == 1 or not arrays:
            return
        own = [backend.to_numpy(a) for a in arrays]
        flat = np.concatenate([a.reshape(-1).astype(np.float64) for a in own])
        self.messages.start_sum(flat).wait()
        begin = 0
        for a in arrays:
            mean = (flat[begin : begin + a.size] / self.size).reshape(a.shape).astype(a.dtype)
            a[...] = backend.of(a).asarray(mean)
            begin += a.size

    # A batch among them

    def shared(self, batches, all_send=True):
        """The blocks of each batch that are this rank's, each a `Share`.

        Blocks are as equal as can be, in the order of the samples. Where there are fewer samples than blocks, and all have to
        send (`all_send`), the others are the first sample, and count nothing; else they are left out.
        """
        for batch in batches:
            whole = len(batch[0])
            for k in range(self.rank * self.each, (self.rank + 1) * self.each):
                start, end = whole * k // self.blocks, whole * (k + 1) // self.blocks
                counts, last = end > start, (k + 1) % self.each == 0
                if counts or all_send:
                    start, end = (start, end) if counts else (0, 1)
                    yield Share((a[start:end] for a in batch), start, end - start, whole, counts, last)

    @contextlib.contextmanager
    def computing(self, share):
        """Within this block the rows of a share are computed: random numbers and batch normalisation's moments are the whole batch's."""
        stream = current()
        before, stream.share = stream.share, share
        if (
            self._drawn is not None
        ):  # a rank's blocks of a batch draw side by side, as if they were on ranks of their own
            stream.set_state(self._drawn[0])
        begun = stream.state()
        try:
            with moments.over(self if self.batch_norm and self.size > 1 else None, share.counts):
                yield
        finally:
            stream.share = before
        if self.reduction == "ordered":
            self._drawn = self._drawn or (begun, stream.state())
            if share.last:
                stream.set_state(self.messages.broadcast(self._drawn[1]))
                self._drawn = None

    def gradients(self, optimizer, several=False):
        """What makes one gradient of all ranks' for an optimiser; of `several` parts of this rank's it sends the sum alone."""
        found = self._gradients.get(id(optimizer))
        if found is None or found.optimizer is not optimizer:
            kind = Ordered if self.reduction == "ordered" else Averaged
            found = self._gradients[id(optimizer)] = kind(optimizer, self)
        found.several = several
        return found

    # The end

    def fail(self, error):
        """End all ranks with this one's error; does not return where there are others."""
        if self.size == 1 or self._failed:
            return
        self._failed = True
        told = " ".join(str(error).split()) or type(error).__name__
        print(f"rank {self.rank} of {self.size}: {type(error).__name__}: {told}", file=sys.stderr, flush=True)
        self.messages.abort(1)

    @contextlib.contextmanager
    def together(self):
        """Within this block an error of this rank's ends all."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    @contextlib.contextmanager
    def alone_speaking(self):
        """Within this block rank 0 alone prints."""
        if self.rank == 0:
            yield
            return
        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield

    def wait_for_the_end(self, rank):
        """Wait to be ended by another rank's error; where that does not come, raise one.

        Raises
        ------
        RuntimeError
        """
        time.sleep(PATIENCE)
        raise RuntimeError(f"rank {rank} found its gradient not finite, and did not end the run; look at its messages")
