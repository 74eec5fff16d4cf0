"""The Trainer: a model, a loss and an optimiser, brought together with data."""

import contextlib
import functools
import os
import time

import numpy as np

from nnscratch import backend, checks, metrics
from nnscratch import functional as F
from nnscratch.autograd import describe, no_grad
from nnscratch.checkpoint import read_checkpoint, write_checkpoint
from nnscratch.checks import as_samples, check_finite, check_lengths
from nnscratch.data.batching import batches
from nnscratch.nn import Module
from nnscratch.tensor import Tensor
from nnscratch.training.callbacks import Callback, Checkpoint
from nnscratch.training.history import History

LOSSES = {
    "cross_entropy": F.cross_entropy,
    "binary_cross_entropy": F.binary_cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
}
METRICS = {
    "accuracy": metrics.accuracy,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "f1": metrics.f1,
}
MOST_LINES = 20  # printed by one fit
GREATEST = np.finfo(np.float64).max


class Trainer:
    """Trains a model: `fit`, `evaluate`, `predict`.

    Parameters
    ----------
    model : nn.Module
    loss : str or callable
        "cross_entropy", "binary_cross_entropy", "mse" or "l1", as in `nnscratch.functional`; or a function of
        prediction and target, both Tensors, that returns a Tensor of one element: a mean over samples.
    optimizer : optim.Optimizer
        Of the model's parameters.
    metrics : sequence of str or callable
        "accuracy", "precision", "recall", "f1"; or functions of prediction and
        target, both NumPy arrays, that return a number, known by their ``__name__``.
    scheduler : optim.lr_scheduler.LRScheduler, optional
        Of the same optimiser.
    scheduler_step : {"epoch", "batch"}
        When the schedule takes a step.

    Attributes
    ----------
    history : History
        Of the present or last `fit`; it has all complete epochs also where `fit` was ended by an error or
        Ctrl-C.
    stop_training : bool
        Set by a callback to end `fit` after the present epoch.

    Raises
    ------
    TypeError
        Where an argument is not such.
    ValueError
        Where a name is unknown, or the optimiser has none of the model's parameters.

    Examples
    --------
    >>> import numpy as np, nnscratch as ns
    >>> x = np.linspace(0, 1, 20, dtype="float32")[:, None]
    >>> model = ns.nn.Sequential(ns.nn.Linear(1, 1))
    >>> trainer = ns.Trainer(model, "mse", ns.optim.SGD(model.parameters(), lr=0.5))
    >>> history = trainer.fit(x, 2 * x + 1, epochs=100, batch_size=10, verbose=False)
    >>> trainer.predict([[0.5]]).round(3)
    array([[2.]], dtype=float32)
    """

    def __init__(self, model, loss, optimizer, metrics=(), scheduler=None, scheduler_step="epoch"):
        if not isinstance(model, Module):
            raise TypeError(f"Trainer: model is a {type(model).__name__}, expected an nn.Module; pass a network")
        groups = getattr(optimizer, "param_groups", None)
        if groups is None:
            raise TypeError(
                f"Trainer: optimizer is a {type(optimizer).__name__}, expected an optimiser; "
                f"pass for example ns.optim.Adam(model.parameters())"
            )
        own = {id(p) for p in model.parameters()}
        if not any(id(p) in own for group in groups for p in group["params"]):
            raise ValueError(
                "Trainer: the optimizer has none of the model's parameters; make it with model.parameters()"
            )
        if scheduler_step not in ("epoch", "batch"):
            raise ValueError(f"Trainer: scheduler_step is {scheduler_step!r}; pass 'epoch' or 'batch'")
        if scheduler is not None and getattr(scheduler, "optimizer", None) is not optimizer:
            raise ValueError("Trainer: the scheduler is not of this optimizer; make it with the one passed")
        self.model = model
        self.loss = _named("loss", loss, LOSSES)
        self.optimizer = optimizer
        if isinstance(metrics, str) or callable(metrics):
            raise TypeError(f"Trainer: metrics is {metrics!r}, expected a sequence; pass [{metrics!r}]")
        self.metrics = {}
        for metric in metrics:
            name = metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)
            if name == "loss" or name in self.metrics:
                raise ValueError(f"Trainer: two values would be called {name!r}; give each metric its own __name__")
            self.metrics[name] = _named("metric", metric, METRICS)
        self.scheduler = scheduler
        self.scheduler_step = scheduler_step
        self.history = History()
        self.stop_training = False

    def fit(
        self,
        x,
        y,
        epochs=1,
        batch_size=32,
        *,
        validation_split=0.0,
        validation_data=None,
        callbacks=(),
        shuffle=True,
        augment=None,
        class_weight=None,
        verbose=True,
        resume=None,
    ):
        """Train the model.

        All random numbers (the order of samples, dropout) come from the generator that `ns.manual_seed`
        seeds. Data and settings are checked first; whatever is refused, model and optimiser are as they were.

        Parameters
        ----------
        x : array, shape (N, ...)
            Finite numbers; floating-point ones are converted to the dtype of the model's parameters.
        y : array, shape (N, ...)
            What the loss takes as target.
        epochs : int
            How many times all samples are gone through; with `resume`, those done before count.
        batch_size : int
            Samples in a step; the last of an epoch may have fewer.
        validation_split : float
            The share of the data held out for validation, from 0 up to below 1: the LAST samples, as in
            Keras, so shuffle data that are sorted.
        validation_data : (x, y), optional
            Held-out data instead.
        callbacks : sequence of Callback
        shuffle : bool
            Whether each epoch takes the training samples in a new order.
        augment : callable, optional
            Changes the inputs (array) of each training batch, as `ns.data.RandomShift` does.
        class_weight : (classes,) array, optional
            A factor for each class in the training loss; for "cross_entropy".
        verbose : bool
            Whether to show a progress bar, and the values of each epoch (of 20, if there are more).
        resume : str or os.PathLike, optional
            A file that `Checkpoint` wrote: go on after its epoch, exactly as without the interruption. Model,
            optimiser and schedule have to be built, and the data passed, as for the run that wrote it.

        Returns
        -------
        History
            With "loss", the metrics, the same with ``"val_"`` for validation, "lr" (the rate an epoch began with)
            and "seconds". Those of training are means over the epoch's batches, taken while the model learnt;
            those of validation come after the epoch.

        Raises
        ------
        TypeError, ValueError
            Where data or settings do not fit.
        RuntimeError
            Where the loss is no longer finite; the step is not taken. On a GPU this is found some batches later, and none
            of their steps is taken either.
        OSError
            Where a file cannot be read or written.
        KeyboardInterrupt
            On Ctrl-C; the complete epochs are in ``trainer.history``.
        """
        epochs = checks.count("fit", "epochs", epochs)
        batch_size = checks.count("fit", "batch_size", batch_size)
        x, y = self._data("fit", x, y)
        checks.number("fit", "validation_split", validation_split, 0, 1)
        validation = None
        if validation_data is not None:
            if validation_split:
                raise ValueError("fit: got validation_split and validation_data; pass one of them")
            if not isinstance(validation_data, tuple | list) or len(validation_data) != 2:
                raise TypeError("fit: validation_data is no pair of inputs and targets; pass (x, y)")
            validation = self._data("fit: validation_data", *validation_data)
        elif validation_split:
            held_out = round(len(x) * validation_split)
            if not 0 < held_out < len(x):
                raise ValueError(
                    f"fit: validation_split {validation_split} leaves {len(x) - held_out} of {len(x)} samples "
                    f"for training, expected at least one and fewer than all; choose another share"
                )
            validation = x[-held_out:], y[-held_out:]
            x, y = x[:-held_out], y[:-held_out]
        if augment is not None and not callable(augment):
            raise TypeError(f"fit: augment is {augment!r}, expected a function of images; pass one, or None")
        loss = self.loss
        if class_weight is not None:
            if loss is not F.cross_entropy:
                raise ValueError("fit: class_weight goes with the loss 'cross_entropy' only; leave it out")
            loss = functools.partial(loss, weight=class_weight)
        callbacks = _ordered(callbacks)
        self._rehearse(x, y, loss)
        if validation is not None:
            self._rehearse(*validation, self.loss)
        saved = None if resume is None else read_checkpoint(resume)

        names = ["loss", *self.metrics]
        self.monitors = names + [f"val_{n}" for n in names if validation is not None]
        self.epochs = epochs
        self.history = History()
        self.stop_training = False
        self._callbacks, self._augment = callbacks, augment
        self._settings = {"samples": len(x), "batch_size": batch_size, "shuffle": bool(shuffle)}
        for callback in callbacks:
            callback.on_fit_begin(self)
        if saved is not None:
            self._restore(resume, *saved)
        train = batches(x, y, batch_size, shuffle=bool(shuffle), seed=backend.cpu.rng)

        from tqdm import tqdm

        done = self.history.epochs
        every = -(-epochs // MOST_LINES)
        with tqdm(
            total=epochs * len(x),
            initial=done * len(x),
            unit=" samples",
            disable=not verbose,
            dynamic_ncols=True,
        ) as bar:
            for epoch in range(done + 1, epochs + 1):
                if self.stop_training:
                    break
                bar.set_description(f"epoch {epoch}/{epochs}", refresh=False)
                started, rate = time.perf_counter(), self.optimizer.lr
                logs = self._train(train, loss, epoch, bar)
                if validation is not None:
                    values = self._measure(f"fit: validation after epoch {epoch}", *validation, 256)
                    logs.update({f"val_{name}": value for name, value in values.items()})
                logs.update(lr=rate, seconds=time.perf_counter() - started)
                self.history.append(logs)
                if self.scheduler is not None and self.scheduler_step == "epoch":
                    self.scheduler.step()
                for callback in callbacks:
                    callback.on_epoch_end(self, epoch, logs)
                if verbose and (epoch % every == 0 or epoch == epochs or self.stop_training):
                    bar.write(_line(epoch, epochs, logs))
        for callback in callbacks:
            callback.on_fit_end(self)
        return self.history

    def evaluate(self, x, y, batch_size=256):
        """The loss and the metrics on data, in evaluation mode.

        Parameters
        ----------
        x, y : arrays
            As for `fit`.
        batch_size : int

        Returns
        -------
        dict of str to float
            "loss", the mean over all samples, and each metric, taken over all of them together.

        Raises
        ------
        TypeError, ValueError
            Where the data do not fit.
        RuntimeError
            Where the loss is not finite.
        """
        batch_size = checks.count("evaluate", "batch_size", batch_size)
        x, y = self._data("evaluate", x, y)
        return self._measure("evaluate", x, y, batch_size)

    def predict(self, x, batch_size=256):
        """What the model makes of inputs, in evaluation mode.

        Parameters
        ----------
        x : array, shape (N, ...)
        batch_size : int

        Returns
        -------
        numpy.ndarray, shape (N, ...)

        Raises
        ------
        TypeError, ValueError
            Where the data do not fit.
        """
        batch_size = checks.count("predict", "batch_size", batch_size)
        x = self._inputs("predict: x", x)
        results = ((prediction.data,) for prediction in self._predictions(x, batch_size))
        return np.concatenate([prediction for (prediction,) in self._backend().readback(results)])

    # One epoch

    def _train(self, train, loss, epoch, bar):
        """Train for an epoch; returns the means over its batches."""
        sums, seen = dict.fromkeys(("loss", *self.metrics), 0.0), 0
        with self._mode(True):
            for value, prediction, y in self._backend().readback(self._steps(train, loss, epoch)):
                values = {"loss": value.item(), **(self._metrics(prediction, y) if self.metrics else {})}
                for name in sums:
                    sums[name] += values[name] * len(y)
                seen += len(y)
                bar.set_postfix({n: f"{s / seen:.4f}" for n, s in sums.items()}, refresh=False)
                bar.update(len(y))
        return {name: s / seen for name, s in sums.items()}

    def _steps(self, train, loss, epoch):
        """Take the steps of an epoch: of each the loss before it, the prediction where metrics want it, and the targets."""
        for number, ((_, y), moved) in enumerate(self._backend().prefetch(self._augmented(train)), 1):
            prediction, value = self._step(*moved, loss, f"fit: epoch {epoch}, batch {number}")
            yield value.data, prediction.data if self.metrics else None, y

    def _augmented(self, train):
        """Batches of the training data, the inputs changed by the augmentation."""
        for x, y in train:
            if self._augment is not None:
                x = self._inputs("fit: what augment returned", self._augment(x))
            yield x, y

    def _step(self, x, y, loss, where):
        """One step of the optimiser; returns the prediction before it, and its loss."""
        self.optimizer.zero_grad()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            prediction = self.model(self._tensor(x))
            value = self._loss(where, loss, prediction, y)
            value.backward()
            self.optimizer.step()
        if self.scheduler is not None and self.scheduler_step == "batch":
            self.scheduler.step()
        return prediction, value

    def _loss(self, where, loss, prediction, y):
        """The loss, which must be finite."""

        def diverged(found):
            return RuntimeError(
                f"{where}: the loss is no longer a finite number; lower the learning rate, or scale the data"
            )

        here = self._backend()
        here.check(prediction.data, -np.inf, np.inf, diverged)
        value = loss(prediction, self._tensor(y))
        here.check(value.data, -GREATEST, GREATEST, diverged)
        return value

    def _metrics(self, prediction, y):
        values = {name: metric(prediction, y) for name, metric in self.metrics.items()}
        for name, value in values.items():
            if np.size(value) != 1 or not isinstance(value, int | float | np.number | np.ndarray):
                raise TypeError(f"metric {name}: it returned {value!r}, expected a number; correct it")
        return {name: float(value) for name, value in values.items()}

    def _measure(self, what, x, y, batch_size):
        """The loss and the metrics on checked data."""

        def results():
            start = 0
            for prediction in self._predictions(x, batch_size):
                target = y[start : start + len(prediction)]
                start += len(prediction)
                with no_grad():
                    value = self._loss(what, self.loss, prediction, target)
                yield value.data, prediction.data

        predictions, total = [], 0.0
        for value, prediction in self._backend().readback(results()):
            total += value.item() * len(prediction)
            predictions.append(prediction)
        return {"loss": total / len(x), **self._metrics(np.concatenate(predictions), y)}

    def _predictions(self, x, batch_size):
        """The model's results on batches, one by one, in evaluation mode and without a graph."""
        for (batch,), (moved,) in self._backend().prefetch((b,) for b in batches(x, batch_size=batch_size)):
            with self._mode(False), no_grad(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                prediction = self.model(self._tensor(moved))
            if not isinstance(prediction, Tensor) or prediction.shape[:1] != (len(batch),):
                got = getattr(prediction, "shape", type(prediction).__name__)
                raise ValueError(
                    f"predict: the model returned {got} for {len(batch)} samples, expected a Tensor "
                    f"({len(batch)}, ...); correct its forward"
                )
            yield prediction

    @contextlib.contextmanager
    def _mode(self, training):
        """Train or evaluate within this block; then each module is as it was."""
        before = [(m, m.training) for m in self.model.modules()]
        self.model.train(training)
        try:
            yield
        finally:
            for module, mode in before:
                module.training = mode

    # The data

    def _backend(self):
        return backend.get(self._parameter().device)

    def _parameter(self):
        return next(self.model.parameters())

    def _tensor(self, array):
        return Tensor(array, device=self._parameter().device)

    def _inputs(self, what, x):
        x = as_samples(what, x)
        if x.dtype.kind == "f":
            with np.errstate(over="ignore"):
                x = x.astype(self._parameter().dtype, copy=False)
        check_finite(what, x)
        return x

    def _data(self, what, x, y):
        x, y = self._inputs(f"{what}: x", x), self._inputs(f"{what}: y", y)
        check_lengths(what, [x, y])
        return x, y

    def _rehearse(self, x, y, loss):
        """See that loss and metrics take all targets, with the first sample's prediction beside each."""
        with backend.same_random():
            first = next(self._predictions(x[:1], 1)).numpy()
            for start in range(0, len(y), 1024):
                target = y[start : start + 1024]
                prediction = np.repeat(first, len(target), 0)
                with no_grad(), np.errstate(all="ignore"):
                    value = loss(self._tensor(prediction), self._tensor(target))
                if not isinstance(value, Tensor) or value.size != 1:
                    raise TypeError(
                        f"fit: the loss returned {describe(value)}, expected a Tensor of one element; take a mean"
                    )
            self._backend().synchronize()  # until now a GPU may not have refused a target
            self._metrics(prediction, target)

    # Checkpoints

    def save_checkpoint(self, path, notes=None):
        """Write the state of the present `fit` after its last complete epoch; what `Checkpoint` does.

        Parameters
        ----------
        path : str or os.PathLike
        notes : dict, optional
            Of what JSON can hold, kept with it.

        Raises
        ------
        OSError
            Where it cannot be written; an old file is left as it was.
        """
        tensors = {}
        _put(tensors, "model", self.model.state_dict())
        states = [(type(c).__name__, c.state_dict()) for c in self._callbacks]
        states = [(name, state) for name, state in states if state is not None]
        content = {
            "settings": self._settings,
            "history": dict(self.history.items()),
            "stopped": self.stop_training,
            "optimizer": _put(tensors, "optimizer", self.optimizer.state_dict()),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "callbacks": [[name, _put(tensors, f"callbacks/{i}", s)] for i, (name, s) in enumerate(states)],
            "random": [_random_state(g) for g in self._generators()],
            "device": self._device_random(),
            "notes": notes,
        }
        write_checkpoint(path, tensors, content)

    def _restore(self, path, tensors, content):
        """Take over what `save_checkpoint` wrote; where something does not fit, nothing is changed."""
        path = os.fsdecode(path)
        if "settings" not in content:
            raise ValueError(f"resume: {path} was not written by Checkpoint; pass a file that was")
        for name, value in self._settings.items():
            if content["settings"][name] != value:
                raise ValueError(
                    f"resume: the run in {path} had {name} {content['settings'][name]}, got {value}; "
                    f"go on with the data and settings it began with"
                )
        done = History(content["history"])
        if done.epochs > self.epochs:
            raise ValueError(
                f"resume: the run in {path} has {done.epochs} epochs, got {self.epochs}; pass a larger number"
            )
        if (content["scheduler"] is None) != (self.scheduler is None):
            had = "a" if self.scheduler is None else "no"
            raise ValueError(f"resume: the run in {path} had {had} scheduler; make the Trainer as it was then")
        keeping = [c for c in self._callbacks if c.state_dict() is not None]
        names = [type(c).__name__ for c in keeping]
        before = [name for name, _ in content["callbacks"]]
        if names != before:
            raise ValueError(
                f"resume: the run in {path} had callbacks {before} with a state, got {names}; pass the same"
            )
        generators = self._generators()
        if len(generators) != len(content["random"]):
            raise ValueError(f"resume: the run in {path} had another augmentation; pass the same")
        model, optimizer = self.model.state_dict(), self.optimizer.state_dict()
        try:
            self.model.load_state_dict(_take(tensors, "model", {}))
            self.optimizer.load_state_dict(_take(tensors, "optimizer", content["optimizer"]))
            if self.scheduler is not None:
                self.scheduler.load_state_dict(content["scheduler"])
        except (TypeError, ValueError):
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict(optimizer)
            raise
        for i, callback in enumerate(keeping):
            callback.load_state_dict(_take(tensors, f"callbacks/{i}", content["callbacks"][i][1]))
        self.history = done
        self.stop_training = content["stopped"]
        for generator, state in zip(generators, content["random"], strict=True):
            generator.bit_generator.state = state
        here = self._device_random()
        if here is not None and here.keys() == (content.get("device") or {}).keys():
            self._backend().rng.bit_generator.state = content["device"][self._backend().name]

    def _device_random(self):
        """The state of the random numbers that are drawn on a GPU, under its device's name; None on the CPU."""
        here = self._backend()
        return None if here is backend.cpu else {here.name: _random_state(here.rng)}

    def _generators(self):
        """The CPU's generators that training draws from: its own, and those that the augmentation holds."""
        found = [backend.cpu.rng]
        stack, seen = [self._augment], set()
        while stack:
            value = stack.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, np.random.Generator):
                found.append(value)
            elif isinstance(value, list | tuple):
                stack += value
            elif hasattr(value, "__dict__"):
                stack += vars(value).values()
        return found


def _named(kind, value, known):
    if callable(value):
        return value
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"Trainer: {kind} is {value!r}, expected a function or one of {', '.join(known)}; pass one")
    return known[value]


def _ordered(callbacks):
    """The callbacks, those that write checkpoints last."""
    if isinstance(callbacks, Callback):
        raise TypeError("fit: callbacks is a single callback, expected a sequence; pass [callback]")
    callbacks = list(callbacks)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"fit: got {callback!r} as a callback, expected a training.Callback; derive it from that")
    return sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))


def _put(tensors, place, state):
    """Move a state's arrays into `tensors`; returns the rest."""
    rest = {}
    for key, value in state.items():
        if isinstance(value, np.ndarray):
            tensors[f"{place}/{key}"] = value
        else:
            rest[key] = value
    return rest


def _take(tensors, place, rest):
    """The state that `_put` took apart."""
    place += "/"
    return {**rest, **{key.removeprefix(place): a for key, a in tensors.items() if key.startswith(place)}}


def _random_state(generator):
    """A generator's state, its arrays (which only some kinds have) as lists."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        return value.tolist() if isinstance(value, np.ndarray) else value

    return plain(generator.bit_generator.state)


def _line(epoch, epochs, logs):
    values = "  ".join(f"{name} {v:.4f}" for name, v in logs.items() if name not in ("lr", "seconds"))
    return f"epoch {epoch}/{epochs}  {values}  {logs['seconds']:.1f} s"
