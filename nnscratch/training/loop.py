"""The loop: passes over data in which a step learns from batches, measures them, or predicts."""

import contextlib
import functools
import time
import warnings

import numpy as np

from nnscratch import backend
from nnscratch.arguments import as_samples, check_finite
from nnscratch.autograd import no_grad
from nnscratch.casting import autocast
from nnscratch.program import capture
from nnscratch.tensor import Tensor
from nnscratch.training.callbacks import Callback
from nnscratch.training.resume import inventory
from nnscratch.training.totals import Totals

MOST_LINES = 20  # printed by one fit
QUIET = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}


class Loop:
    """What a Trainer does with its step: epochs of training and measuring, without waiting for a GPU at any batch."""

    #: Whether the step is captured, and what it is captured as.
    capture = False

    @functools.cached_property
    def _programs(self):
        return {}

    @property
    def backend(self):
        """The backend of the device that the modules are on."""
        return backend.get(self._parameter().device)

    def _epochs(self, train, validation, cut, accumulate, verbose):
        """All epochs that are to be done yet; `cut` says how batches are cut: their size, whether shuffled, and without a rest."""
        from tqdm import tqdm

        ranks = self.step.ranks

        done, epochs = self.history.epochs, self.epochs
        every = -(-epochs // MOST_LINES)
        samples = train.samples
        if samples and cut[2]:
            samples -= samples % cut[0]
        with tqdm(
            total=samples and epochs * samples,
            initial=done * (samples or 0),
            unit=" samples",
            disable=not verbose,
            dynamic_ncols=True,
        ) as bar:
            staying = self.step.staying()
            if verbose and staying:
                bar.write(f"in evaluation mode, as they were put there: {', '.join(staying)}")
            bar.uncounted = max(2, accumulate)
            for epoch in range(done + 1, epochs + 1):
                if self.stop_training:
                    break
                bar.set_description(f"epoch {epoch}/{epochs}", refresh=False)
                for callback in self._callbacks:
                    callback.on_epoch_begin(self, epoch)
                self._unfinished = epoch
                if ranks is not None:
                    self._same_random(ranks)
                started, rate = time.perf_counter(), self.optimizer.lr
                logs = self._train(train.batches(*cut), f"fit: epoch {epoch}", accumulate, bar)
                self.step.check_finite()
                if validation is not None:
                    values = self._measure(f"fit: validation after epoch {epoch}", validation, 256, ranks)
                    logs.update({f"val_{name}": value for name, value in values.items()})
                logs.update(lr=rate, seconds=time.perf_counter() - started)
                self.history.append(logs)
                if self.scheduler is not None and self.scheduler_step == "epoch":
                    self.scheduler.step()
                self._unfinished = 0
                for callback in self._callbacks:
                    callback.on_epoch_end(self, epoch, logs)
                if verbose and (epoch % every == 0 or epoch == epochs or self.stop_training):
                    bar.write(_line(epoch, epochs, logs))

    def _train(self, batches, what, accumulate, bar):
        """Train for an epoch; returns its values."""
        totals = Totals("update", self.step, complete=True)
        listening = [c for c in self._callbacks if type(c).on_batch_end is not Callback.on_batch_end]
        batches, ranks = self._augmented(self._joined(batches)), self.step.ranks
        updates = self._updates(totals, batches if ranks is None else ranks.shared(batches), what, accumulate)
        with self.step.mode(True):
            for number, flat in enumerate(self.backend.readback(updates), 1):
                totals.add(flat)
                if listening or not bar.disable:
                    values = totals.running()
                    for callback in listening:
                        callback.on_batch_end(self, number, values)
                    bar.set_postfix({n: f"{v:.4f}" for n, v in values.items()}, refresh=False)
                    _advance(bar, flat[0] if ranks is None else flat[0] * ranks.size)
        if ranks is not None:
            ranks.report(0)  # which waits for those that are still at a batch, and finds those that should be
            ranks.mean_of([b.data for m in self.step.modules.values() for b in m.buffers() if b.dtype.kind == "f"])
        return _computed(what, totals, ranks)

    def _updates(self, totals, batches, what, accumulate):
        """Let the step learn from batches, and hand on what is to be read of each."""
        waiting = 0
        with self.step.accumulating(accumulate):
            for number, arrays, tensors in self._moved(batches):
                self.step.doing = f"{what}, batch {number}"
                with np.errstate(**QUIET), self._as_share(arrays), self._cast():
                    values = self._update(tensors)
                if getattr(arrays, "counts", True):
                    yield totals.flat(values, tensors, arrays)
                del values, tensors  # and with them their graph
                if not getattr(arrays, "last", True):
                    continue
                waiting += 1
                if waiting == accumulate:
                    self._step_taken()
                    waiting = 0
            if waiting:
                self._step_taken()

    def _do(self, name):
        """A method of the step, or the program that it is captured as."""
        method = getattr(self.step, name)
        if not self.capture:
            return method
        found = self._programs.get(name)
        if found is None or found.step != method:
            found = self._programs[name] = capture(method)
        return found

    def _update(self, tensors):
        try:
            return self._do("update")(*tensors)
        except FloatingPointError as error:  # of `ns.detect_nan`
            raise FloatingPointError(f"{self.step.doing}: {error}") from error

    def _cast(self):
        """Within this block products are computed in as many bits as the Trainer was told."""
        return contextlib.nullcontext() if self.autocast is None else autocast(self.autocast)

    def _as_share(self, arrays):
        """Within this block a batch is computed, where it is a part of one beside what other processes compute."""
        return contextlib.nullcontext() if self.step.ranks is None else self.step.ranks.computing(arrays)

    def _same_random(self, ranks):
        """Go on with rank 0's random numbers, from which the order of samples is drawn."""
        found = inventory(self)
        found.set_random(ranks.messages.broadcast(found.random()))

    def _step_taken(self):
        if self.step.waits:
            with np.errstate(**QUIET):
                self.step.take_step()
        if self.scheduler is not None and self.scheduler_step == "batch":
            self.scheduler.step()

    def _measure(self, what, source, batch_size, ranks=None):
        """The values on data, which `ranks` measure together."""
        totals = Totals("measure", self.step, complete=False)

        def results():
            batches = source.batches(batch_size)
            for number, arrays, tensors in self._moved(ranks.shared(batches, False) if ranks else batches):
                self.step.doing = what if source.arrays is not None else f"{what}, batch {number}"
                with self.step.mode(False), no_grad(), np.errstate(**QUIET), self._cast():
                    values = self._do("measure")(*tensors)
                yield totals.flat(values, tensors, arrays)

        for flat in self.backend.readback(results()):
            totals.add(flat)
        return _computed(what, totals, ranks)

    def _predictions(self, batches):
        for _, _, tensors in self._moved(batches):
            self.step.doing = "predict"
            with self.step.mode(False), no_grad(), np.errstate(**QUIET), self._cast():
                prediction = self._do("predict")(*tensors)
            yield (prediction.data,)

    # The data

    def _moved(self, batches):
        """Batches with their numbers from 1, the arrays they are made of, and Tensors of these on the modules' device."""
        device = self._parameter().device
        for number, (arrays, moved) in enumerate(self.backend.prefetch(batches), 1):
            yield number, arrays, [Tensor(array, device=device) for array in moved]

    def _joined(self, batches):
        """Batches; one of a single sample that the model cannot learn from, which nobody could foresee, joins the one before it."""
        before, single, can = None, False, False
        for batch in batches:
            alone = not can and len(batch[0]) == 1 and self._cannot_learn_from(batch)
            can = can or (len(batch[0]) == 1 and not alone)
            if before is not None and (alone or single):
                before, single = tuple(map(np.concatenate, zip(before, batch, strict=True))), False
                continue
            if before is not None:
                yield before
            before, single = batch, alone
        if before is not None:
            yield before

    def _cannot_learn_from(self, batch):
        try:
            self.step.check_single(batch)
        except ValueError:
            warnings.warn(
                "fit: a batch of a single sample came, from which batch normalisation cannot learn; it joins the batch before it, or the "
                "one after the first (larger batches would need no joining)",
                stacklevel=2,
            )
            return True
        return False

    def _augmented(self, batches):
        """Batches of the training data, the inputs changed by the augmentation."""
        for batch in batches:
            if self._augment is not None:
                batch = (self._array("fit: what augment returned", self._augment(batch[0])), *batch[1:])
            yield batch

    def _parameter(self):
        return next(self.step.parameters())

    def _array(self, what, value):
        """Data as an array of finite numbers, floating ones in the dtype of the parameters."""
        array = as_samples(what, value)
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array = array.astype(self._parameter().dtype, copy=False)
        check_finite(what, array)
        return array


def _advance(bar, samples):
    """Move a progress bar; the first steps, in which kernels are compiled, say nothing of how long the rest takes."""
    if bar.disable or not bar.uncounted:
        bar.update(samples)
        return
    bar.uncounted -= 1
    bar.n += samples
    bar.initial = bar.last_print_n = bar.n
    bar.start_t = bar.last_print_t = time.time()
    bar.refresh()


def _computed(what, totals, ranks=None):
    if ranks is not None:
        totals.join(ranks)
    if not totals.samples:
        raise ValueError(
            f"{what}: there was no batch; pass data that are not empty, or, where an iterator is used up by the first epoch, a "
            f"function that returns a new one"
        )
    return totals.compute()


def _line(epoch, epochs, logs):
    values = "  ".join(f"{name} {v:.4f}" for name, v in logs.items() if name not in ("lr", "seconds"))
    return f"epoch {epoch}/{epochs}  {values}  {logs['seconds']:.1f} s"
