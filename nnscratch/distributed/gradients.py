"""The gradients of all ranks made into one, in few large messages."""

import itertools
import time

import numpy as np

from nnscratch import backend
from nnscratch.autograd import backward
from nnscratch.tensor import Tensor


class Shared:
    """The gradients of one optimiser's parameters over all ranks' parts of a batch: the base of `Averaged` and `Ordered`.

    .. math:: g = \\frac{\\sum_b n_b g_b}{\\sum_b n_b}

    over the parts b, of whatever rank, each weighed by what its loss counts. It is divided by a batch's samples before it is sent, so
    that no sum leaves the range of numbers.
    """

    def __init__(self, optimizer, ranks):
        self.optimizer, self.ranks, self.several = optimizer, ranks, False
        self.take = optimizer.step
        self.params = [p for group in optimizer.param_groups for p in group["params"]]
        self._place = {id(p): i for i, p in enumerate(self.params)}
        self._begin_step()

    def _begin_step(self):
        self._error, self._count, self._samples, self._unit = None, 0.0, 0, 0

    def _weigh(self, loss, count):
        """A part's loss times its weight."""
        share = backend.random.current().share
        count = float(backend.to_numpy(count)) * share.counts if hasattr(count, "dtype") else count * share.counts
        self._count += count
        self._samples += share.whole if share.last else 0
        self._unit = self._unit or share.whole  # by which all ranks measure, until the step is taken
        weight = count / self._unit
        return loss if weight == 1 else loss * loss.dtype.type(weight)

    def _check(self, check):
        """Look at this part's gradient; what is wrong is raised when all ranks know."""
        try:
            if check is not None and self._error is None:
                check(self.optimizer)
        except RuntimeError as error:
            self._error = error

    def _agree(self, missing):
        """Tell the others how this step went, and learn how theirs did; returns what the sum of gradients is to be divided by.

        Raises
        ------
        RuntimeError
            Where a gradient is not finite: its own error on the first rank that has one.
        """
        ranks, error = self.ranks, self._error
        started = time.perf_counter()
        rows = ranks.report(self._samples, self._count, error is not None, missing)
        ranks.seconds["late"] += time.perf_counter() - started
        bad = np.flatnonzero(rows[:, ranks.BAD])
        if len(bad) and bad[0] != ranks.rank:
            ranks.wait_for_the_end(bad[0])
        if len(bad):
            raise error
        total = rows[:, ranks.COUNT].sum() / self._unit
        self._uneven = bool(rows[:, ranks.MISSING].any())
        self._begin_step()
        return total

    def _without(self, missing):
        """The indices of the parameters that no rank has a gradient of."""
        if not self._uneven:
            return set()
        return set.intersection(*map(set, self.ranks.gather(sorted(missing))))

    def _take(self, sums, total, nobody):
        """Give the parameters their gradients, the sums divided by `total`, and let the optimiser step."""
        for i, p in enumerate(self.params):
            if i in nobody:
                p.grad = None
                continue
            g = sums[i]
            if total != 1:
                g = g / g.dtype.type(max(total, np.finfo(g.dtype).tiny))
            p.grad = Tensor(backend.of(p.data).asarray(g.reshape(p.shape).astype(p.dtype, copy=False)))
        self.ranks.seconds["steps"] += 1
        self.take()


class Averaged(Shared):
    """Sums of gradients, sent in buckets while the backward pass still runs.

    The first backward pass says in which order gradients are complete; buckets hold them in that order, and are sent in the order of
    the buckets on all ranks. A bucket is filled by copies: float32 (float64 where the parameters are), one axis, contiguous.
    """

    def __init__(self, optimizer, ranks):
        super().__init__(optimizer, ranks)
        self._buckets: list = []
        self._sums = None
        self._order: list = []

    def add(self, loss, count, check=None):
        """Take a part's loss; where it is the step's only one here its gradients are sent as they come."""
        loss = self._weigh(loss, count)
        self.optimizer.zero_grad()
        self._begin()
        sending = bool(self._buckets) and not self.several
        backward(loss, ready=self._ready if sending else None if self._buckets else self._note)
        self._check(check)
        if not sending:
            self._sums = self._sums or [None] * len(self.params)
            for i, p in enumerate(self.params):
                if p.grad is not None:
                    g = p.grad.data
                    self._sums[i] = g if self._sums[i] is None else self._sums[i] + g

    def _begin(self):
        for bucket in self._buckets:
            bucket.begin()
        self._next = 0
        self._found: set = set()

    def _note(self, complete):
        """Note in which order gradients are complete."""
        self._order += [self._place[id(leaf)] for leaf, _ in complete if id(leaf) in self._place]

    def _ready(self, complete):
        """Put complete gradients into their buckets, send the buckets that are full, and let messages go on."""
        for leaf, gradient in complete:
            i = self._place.get(id(leaf))
            if i is not None:
                self._found.add(i)
                bucket, k = self._where[i]
                bucket.put(k, gradient)
        self._send()

    def _send(self, all=False):
        while self._next < len(self._buckets) and (all or not self._buckets[self._next].open):
            self._buckets[self._next].send(self.ranks.messages)
            self._next += 1
        self.ranks.messages.progress()

    def _lay_out(self):
        """Make the buckets, in the order that rank 0 has noted; parameters without a gradient come last."""
        order = self.ranks.messages.broadcast(list(dict.fromkeys((*self._order, *range(len(self.params))))))
        self._where: dict = {}
        members: list = []
        for i in order:
            wide = np.promote_types(self.params[i].dtype, np.float32)
            full = members and sum(self.params[j].size for j in members) * wide.itemsize >= self.ranks.bucket_bytes
            if full or (members and np.promote_types(self.params[members[0]].dtype, np.float32) != wide):
                self._add_bucket(members)
                members = []
            members.append(i)
        self._add_bucket(members)
        self._begin()

    def _add_bucket(self, members):
        bucket = Bucket([self.params[i] for i in members], self.ranks.messages)
        self._buckets.append(bucket)
        self._where |= {i: (bucket, k) for k, i in enumerate(members)}

    def step(self):
        """Wait for the sums, and let the optimiser take its step by them."""
        if not self._buckets:
            self._lay_out()
        if self._sums is not None:
            for i, g in enumerate(self._sums):
                if g is not None:
                    self._found.add(i)
                    bucket, k = self._where[i]
                    bucket.put(k, g)
            self._sums = None
        missing = set(range(len(self.params))) - self._found
        self._send(all=True)
        total = self._agree(len(missing))
        started = time.perf_counter()
        for bucket in self._buckets:
            bucket.wait()
        self.ranks.seconds["waited"] += time.perf_counter() - started
        nobody = self._without(missing)
        self._take({i: bucket.part(k) for i, (bucket, k) in self._where.items()}, total, nobody)


class Bucket:
    """Room for the gradients of some parameters, side by side, and the message that sums it over the ranks."""

    def __init__(self, params, messages):
        wide = np.promote_types(params[0].dtype, np.float32)
        ends = np.cumsum([0, *(p.size for p in params)]).tolist()
        self._places = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self._room = messages.room(ends[-1], wide, params[0])
        self.begin()

    def begin(self):
        """Forget what was there; parameters of which no gradient comes have 0."""
        self._room[...] = 0
        self.open, self._pending = set(range(len(self._places))), None

    def put(self, k, gradient):
        """Take the gradient by a parameter."""
        if backend.of(gradient) is not backend.of(self._room):
            gradient = backend.to_numpy(gradient)
        self._room[self._places[k]] = gradient.reshape(-1)
        self.open.discard(k)

    def send(self, messages):
        """Start the message; the room is not touched until `wait`."""
        self._pending = messages.start_sum(self._room)

    def wait(self):
        """Wait until the sums are there."""
        self._pending.wait()

    def part(self, k):
        """The sum of all ranks' gradients by a parameter, a copy."""
        return self._room[self._places[k]].copy()


class Ordered(Shared):
    """Sums of gradients whose bits do not depend on how many ranks there are: those of all blocks are gathered, and added in order.

    Every rank needs room for all blocks' gradients of as many parameters as make a bucket, and the messages are as many times as
    large as those of `Averaged` as there are blocks.
    """

    def __init__(self, optimizer, ranks):
        super().__init__(optimizer, ranks)
        self._blocks: list = []
        self._found: set = set()

    def add(self, loss, count, check=None):
        """Take a block's loss."""
        loss = self._weigh(loss, count)
        self.optimizer.zero_grad()
        backward(loss)
        self._check(check)
        self._found |= {i for i, p in enumerate(self.params) if p.grad is not None}
        self._blocks.append([None if p.grad is None else backend.to_numpy(p.grad.data) for p in self.params])

    def step(self):
        """Gather the blocks' gradients, add them in order, and let the optimiser step."""
        missing = set(range(len(self.params))) - self._found
        total = self._agree(len(missing))
        nobody = self._without(missing)
        started = time.perf_counter()
        sums = {i: self._sum(i, p) for i, p in enumerate(self.params) if i not in nobody}
        self.ranks.seconds["waited"] += time.perf_counter() - started
        self._blocks, self._found = [], set()
        self._take(sums, total, nobody)

    def _sum(self, i, p):
        """The sum of all blocks' gradients by a parameter: the batch's first block of every rank's before the second batch's."""
        wide, ranks = np.promote_types(p.dtype, np.float32), self.ranks
        own = np.zeros((len(self._blocks), p.size), wide)
        for row, block in zip(own, self._blocks, strict=True):
            if block[i] is not None:
                row[:] = block[i].reshape(-1)
        batches = len(self._blocks) // ranks.each
        every = ranks.messages.gather_rows(own.reshape(-1)).reshape(ranks.size, batches, ranks.each, p.size)
        total = np.zeros(p.size, wide)
        for rows in every.swapaxes(0, 1).reshape(-1, p.size):
            total += rows
        return total
