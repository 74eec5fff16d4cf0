"""The Trainer: the loop that lets a step learn from data, epoch after epoch."""

import warnings

import numpy as np

from nnscratch import arguments
from nnscratch.backend import precision
from nnscratch.casting import PRECISIONS
from nnscratch.optim.lr_scheduler import ReduceLROnPlateau
from nnscratch.optim.scaler import LossScaler
from nnscratch.state_files import read_checkpoint
from nnscratch.training import lr_finder
from nnscratch.training.callbacks import ordered
from nnscratch.training.history import History
from nnscratch.training.loop import Loop
from nnscratch.training.resume import begin, inventory, restore, write
from nnscratch.training.sources import Source, held_out
from nnscratch.training.step import Step, Supervised, check_parts
from nnscratch.training.together import agreed, of_all_ranks
from nnscratch.training.undo import all_or_nothing


class Trainer(Loop):
    """Trains a model, or whatever a `Step` says: `fit`, `evaluate`, `predict`.

    Parameters
    ----------
    model : nn.Module or Step
        A network, which learns from examples by `loss` and `optimizer` (see `Supervised`); or a step, which has all of its own.
    loss : str or callable
        "cross_entropy", "binary_cross_entropy", "mse" or "l1", as in `nnscratch.functional`; or a function of
        prediction and target, both Tensors, that returns a Tensor of one element: a mean over samples (or the pair of a mean
        and what it counts).
    optimizer : optim.Optimizer
        Of the model's parameters.
    metrics : sequence of str, Metric or callable
        "accuracy", "precision", "recall", "f1"; an `nnscratch.metrics.Metric`; or functions of prediction and
        target, both NumPy arrays, that return a number, known by their ``__name__``: see `nnscratch.metrics.FunctionMetric`.
    scheduler : optim.lr_scheduler.LRScheduler, optional
        Of the same optimiser, or of one of the step's.
    scheduler_step : {"epoch", "batch"}
        When the schedule takes a step: after each epoch, or after each step of the optimiser.
    nan : {"raise", "allow"}
        What becomes of a loss, a gradient or a weight that is no finite number. With "raise" it is an error that names the parameter,
        the epoch and the batch, and the step is not taken (on a GPU gradients are not looked at, but weights are after each epoch);
        nothing is saved then. With "allow" training goes on.
    capture : bool
        Whether training and measuring are recorded from their first batch and run as programs: the same bits, faster where
        arrays are small; see `nnscratch.capture`.
    distributed : nnscratch.distributed.Ranks, optional
        The processes that train the same network together, all by the same program: ``ns.distributed.mpi()``. Each learns from a part
        of every batch, all take the same steps, measure validation data together and decide the same; rank 0 alone
        shows progress and writes checkpoints. An error on one ends all.
    autocast : {"bfloat16", "float16"}, optional
        Learn and measure within `ns.autocast`; with "float16" by a step that has an `optim.LossScaler`.

    Attributes
    ----------
    step : Step
    model, loss, optimizer, metrics
        Those of the step; None where it has none of that name.
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

    def __init__(
        self,
        model,
        loss=None,
        optimizer=None,
        metrics=(),
        scheduler=None,
        scheduler_step="epoch",
        *,
        nan="raise",
        capture=False,
        distributed=None,
        autocast=None,
    ):
        if nan not in ("raise", "allow"):
            raise ValueError(f"Trainer: nan is {arguments.shown(nan)}; pass 'raise' or 'allow'")
        if isinstance(model, Step):
            if not (loss is optimizer is None and not metrics):
                raise TypeError("Trainer: a step has its own loss, optimiser and metrics; pass the step alone")
            check_parts(model)
            self.step = model
        else:
            self.step = Supervised.made_by("Trainer", model, loss, optimizer, metrics)
        if scheduler_step not in ("epoch", "batch"):
            raise ValueError(f"Trainer: scheduler_step is {scheduler_step!r}; pass 'epoch' or 'batch'")
        if scheduler is not None and all(
            getattr(scheduler, "optimizer", None) is not o for o in self.step.optimizers.values()
        ):
            raise ValueError("Trainer: the scheduler is not of this optimizer; make it with the one passed")
        if distributed is not None and not hasattr(distributed, "shared"):
            raise TypeError(
                f"Trainer: distributed is {arguments.shown(distributed)}, expected ranks; pass ns.distributed.mpi(), or None"
            )
        self.distributed = distributed
        if autocast not in (None, *PRECISIONS):
            raise ValueError(f"Trainer: autocast is {arguments.shown(autocast)}; pass 'bfloat16', 'float16' or None")
        self.autocast = autocast
        if autocast == "float16" and getattr(self.step, "scaler", None) is None:
            self.step.scaler = LossScaler()
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                "Trainer: the scheduler ReduceLROnPlateau has to be shown a value at each step; pass fit the callback "
                "training.ReduceLROnPlateau(...), which knows what is measured"
            )
        self.step.refuses_nan = nan == "raise"
        self.capture = arguments.flag("Trainer", "capture", capture)
        self._check_capture("Trainer")
        self.scheduler = scheduler
        self.scheduler_step = scheduler_step
        self.history = History()
        self.stop_training = False
        self._unfinished = 0

    def _check_capture(self, owner):
        if self.capture and (self.distributed is not None or self.autocast is not None):
            raise ValueError(
                f"{owner}: capture records the step of one process in float32, got distributed or autocast beside it; leave out capture, "
                f"or those"
            )

    @property
    def model(self):
        """The step's model."""
        return getattr(self.step, "model", None)

    @property
    def loss(self):
        """The step's loss function."""
        return getattr(self.step, "loss", None)

    @property
    def optimizer(self):
        """The step's optimiser; of several the first."""
        return next(iter(self.step.optimizers.values()))

    @property
    def metrics(self):
        """The step's metrics, by name."""
        return self.step.metrics

    @of_all_ranks
    def fit(
        self,
        x,
        y=None,
        epochs=1,
        batch_size=32,
        *,
        validation_split=0.0,
        validation_data=None,
        callbacks=(),
        shuffle=True,
        drop_last=False,
        augment=None,
        class_weight=None,
        accumulate=1,
        verbose=True,
        resume=None,
    ):
        """Train the model.

        All random numbers (the order of samples, dropout) come from the generator that `ns.manual_seed`
        seeds. Arrays and settings are checked first; whatever is refused, model and optimiser are as they were. Batches of a
        data set or loader are checked as they come.

        Parameters
        ----------
        x : array, shape (N, ...), or tuple of such; Dataset; iterable of batches; function that returns one
            Arrays of finite numbers; floating-point ones are converted to the dtype of the model's parameters. A tuple
            holds several inputs. Without `y` the data are whole batches: a tuple of arrays; an `ns.data.Dataset`, whose
            samples are tuples; or an iterable whose items are batches, such as an `ns.data.DataLoader`, gone through once for
            each epoch. The last part of a batch is the target.
        y : array, shape (N, ...), optional
            What the loss takes as target.
        epochs : int
            How many times all samples are gone through; with `resume`, those done before count.
        batch_size : int
            Samples in a batch; the last of an epoch may have fewer. A loader has its own.
        validation_split : float
            The share of the arrays held out for validation, from 0 up to below 1: the LAST samples, as in
            Keras, so shuffle data that are sorted.
        validation_data : (x, y), Dataset or iterable of batches, optional
            Held-out data instead.
        callbacks : sequence of Callback
        shuffle : bool
            Whether each epoch takes the training samples in a new order. A loader has its own order.
        drop_last : bool
            Whether an epoch leaves out a last batch that is smaller than the others. A loader says so itself. Where it is False, and
            the last batch would be a single sample that the model cannot learn from (batch normalisation of vectors), that
            sample joins the batch before, with a warning; a loader's is refused before the first step.
        augment : callable, optional
            Changes the inputs (array, the first part) of each training batch, as `ns.data.RandomShift` does.
        class_weight : (classes,) array, optional
            A factor for each class in the training loss; for "cross_entropy".
        accumulate : int
            How many batches make a step of the optimiser, by the mean gradient over all their samples: the step of a batch so
            many times as large, in the memory of one. What is left at an epoch's end makes a step, too.
        verbose : bool
            Whether to show a progress bar, and the values of each epoch (of 20, if there are more).
        resume : str or os.PathLike, optional
            A file that `Checkpoint` wrote: go on after its epoch, exactly as without the interruption. Model,
            optimiser and schedule have to be built, and the data passed, as for the run that wrote it.

        Returns
        -------
        History
            With "loss", the metrics, the same with ``"val_"`` for validation, "lr" (the rate an epoch began with; of the first
            optimiser) and "seconds". Those of training are over the epoch's samples, taken while the model learnt;
            those of validation come after the epoch.

        Raises
        ------
        TypeError, ValueError
            Where data or settings do not fit.
        RuntimeError
            Where the loss or a gradient is no longer finite; the step is not taken. On a GPU this is found some batches later, and none
            of their steps is taken either.
        OSError
            Where a file cannot be read or written.
        KeyboardInterrupt
            On Ctrl-C; the complete epochs are in ``trainer.history``.
        """
        epochs = arguments.count("fit", "epochs", epochs)
        batch_size = arguments.count("fit", "batch_size", batch_size)
        accumulate = arguments.count("fit", "accumulate", accumulate)
        self._check_capture("fit")
        if accumulate > 1 and self.capture:
            raise ValueError(
                "fit: accumulate adds gradients up outside the step that is captured; use capture=False, or larger batches"
            )
        drop_last = arguments.flag("fit", "drop_last", drop_last)
        callbacks = ordered(callbacks)
        taken = () if resume is None else (*self.step.modules.values(), *self.step.optimizers.values(), self.scheduler)
        with all_or_nothing(taken, [self, self.step, *callbacks]):
            check_parts(self.step)
            train = Source("fit", x, y, self._array)
            if drop_last and train.own_batches:
                raise ValueError("fit: drop_last is for arrays and data sets, got batches; give it to the DataLoader")
            arguments.number("fit", "validation_split", validation_split, 0, 1)
            validation = None
            if validation_data is not None:
                if validation_split:
                    raise ValueError("fit: got validation_split and validation_data; pass one of them")
                pair = isinstance(self.step, Supervised)
                validation = held_out("fit: validation_data", validation_data, self._array, pair)
            elif validation_split:
                validation = train.split(validation_split)
            if augment is not None and not callable(augment):
                raise TypeError(f"fit: augment is {augment!r}, expected a function of images; pass one, or None")
            if class_weight is not None and not isinstance(self.step, Supervised):
                raise ValueError(
                    f"fit: class_weight is for Supervised, the step is {type(self.step).__name__}; leave it out"
                )
            if isinstance(self.step, Supervised):
                self.step.class_weight = class_weight
            self._callbacks, self._augment, self._data = callbacks, augment, train.data
            self._train_source, self._validation_source = train, validation
            self._validation = None if validation is None else validation.data
            before = inventory(self)
            for source, training in ((train, True), (validation, False)):
                if source is not None and source.once and epochs > 1:
                    raise ValueError(
                        f"fit: got an iterator as data, which can be gone through once, and epochs is {epochs}; pass a function that "
                        f"returns a new one, or an ns.data.DataLoader"
                    )
                if source is not None and source.arrays is not None:
                    self.step.check_data(source.arrays, training)
            if drop_last and train.samples is not None and train.samples < batch_size:
                raise ValueError(
                    f"fit: drop_last leaves nothing of {train.samples} samples, fewer than batch_size {batch_size}; use a smaller one"
                )
            join_single = self._joins_single(train, batch_size, drop_last)
            saved = None if resume is None else read_checkpoint(resume)

            names = [*self.step.names, *self.step.metrics]
            self.monitors = names + [f"val_{n}" for n in names if validation is not None]
            self.epochs, self._unfinished = epochs, 0
            self.history = History(modes=_modes(self.step.metrics))
            self.stop_training = False
            self._settings = {"samples": train.samples, "batch_size": batch_size, "shuffle": bool(shuffle)}
            self._settings |= {
                "drop_last": drop_last,
                "scheduler_step": self.scheduler_step,
                "precision": precision.name,
                "autocast": self.autocast,
            }
            self._settings |= {"validation_samples": None if validation is None else validation.samples}
            self._settings |= train.settings | {"accumulate": accumulate}
            for callback in callbacks:
                callback.on_fit_begin(self)
            begin(self, before)
            if saved is not None:
                restore(self, resume, *saved)
            if self.distributed is not None:
                line = agreed(self)
                verbose = verbose and self.distributed.rank == 0
                if verbose:
                    print(line)
        cut = batch_size, bool(shuffle), drop_last, join_single
        self._epochs(train, validation, cut, accumulate, verbose)
        for callback in callbacks:
            callback.on_fit_end(self)
        return self.history

    def _joins_single(self, source, batch_size, drop_last):
        """Whether a last batch of one sample has to join that before, as the model cannot learn from it alone; says so."""
        single = source.single(batch_size, drop_last)
        if single is None:
            return False
        try:
            self.step.check_single(single)
            return False
        except ValueError as error:
            if source.own_batches or batch_size == 1 or source.samples == 1:
                mend = "let the loader have drop_last=True" if source.own_batches else "pass drop_last=True"
                raise ValueError(
                    f"{source.what}: there is a batch of a single sample, which the model cannot learn from ({error}); {mend}, or another "
                    f"batch_size"
                ) from error
        warnings.warn(
            f"{source.what}: {source.samples} samples in batches of {batch_size} leave a single one, which batch normalisation cannot learn "
            f"from; it joins the batch before (pass drop_last=True to leave it out, or another batch_size)",
            stacklevel=3,
        )
        return True

    def evaluate(self, x, y=None, batch_size=256):
        """The loss and the metrics on data, in evaluation mode; its memory does not grow with the number of samples.

        Parameters
        ----------
        x, y
            As for `fit`.
        batch_size : int

        Returns
        -------
        dict of str to float
            "loss", the mean over all samples (or labels, or what else counts: not over batches), and each metric, taken over
            all of them together; of a plain function's value for many samples see `nnscratch.metrics.FunctionMetric`.

        Raises
        ------
        TypeError, ValueError
            Where the data do not fit.
        RuntimeError
            Where the loss is not finite.
        """
        batch_size = arguments.count("evaluate", "batch_size", batch_size)
        return self._measure("evaluate", Source("evaluate", x, y, self._array), batch_size)

    def predict(self, x, batch_size=256):
        """What the model makes of inputs, in evaluation mode.

        Parameters
        ----------
        x : array, shape (N, ...), or tuple of such; Dataset; iterable of batches
            As for `fit`. Of the batches of a loader or data set that are tuples of several parts, the last is a target, and left out.
        batch_size : int

        Returns
        -------
        numpy.ndarray, shape (N, ...)

        Raises
        ------
        TypeError, ValueError
            Where the data do not fit.
        """
        batch_size = arguments.count("predict", "batch_size", batch_size)
        source = Source("predict", x, None, self._array)
        parts = source.batches(batch_size)
        if source.with_targets:
            parts = (batch[:-1] if len(batch) > 1 else batch for batch in parts)
        results = self.backend.readback(self._predictions(parts))
        found = [prediction for (prediction,) in results]
        if not found:
            raise ValueError("predict: there was no batch; pass a loader that is not used up or empty")
        return np.concatenate(found)

    def find_lr(self, x, y=None, batch_size=32, **settings):
        """Try growing learning rates for some steps, and go back to before: see `nnscratch.training.lr_finder.find_lr`.

        Parameters
        ----------
        x, y, batch_size
            As for `fit`.
        **settings
            ``low``, ``high``, ``steps`` and ``accumulate``.

        Returns
        -------
        RateSearch
            With ``rates``, ``losses``, a ``suggestion`` and a ``plot()``.

        Raises
        ------
        TypeError, ValueError
            Where data or settings do not fit.

        Examples
        --------
        >>> import nnscratch as ns
        >>> x, y = ns.data.iris()
        >>> model = ns.nn.Sequential(ns.nn.Linear(4, 3), ns.nn.Softmax())
        >>> trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()))
        >>> found = trainer.find_lr(x, y, steps=40)
        >>> 1e-4 < found.suggestion < 1
        True
        """
        return lr_finder.find_lr(self, Source("find_lr", x, y, self._array), batch_size, **settings)

    def save_checkpoint(self, path, notes=None):
        """Write the state of the present `fit` after its last complete epoch; what `Checkpoint` does.

        Parameters
        ----------
        path : str or os.PathLike
        notes : dict, optional
            Of what JSON can hold, kept with it.

        Raises
        ------
        RuntimeError
            Where a weight is no finite number, and ``nan="raise"``; where nothing was trained yet; or where the last epoch is not complete, as after Ctrl-C: no run could go on from its middle.
        OSError
            Where it cannot be written; an old file is left as it was.
        """
        if not hasattr(self, "epochs"):
            raise RuntimeError(
                "save_checkpoint: nothing was trained yet; call fit first, or keep the weights by ns.save"
            )
        if self._unfinished:
            raise RuntimeError(
                f"save_checkpoint: training is in the middle of epoch {self._unfinished}, from where no run could go on; have a "
                f"Checkpoint among the callbacks, which writes complete epochs, or keep the weights as they are by ns.save"
            )
        self.step.check_finite()
        if self.distributed is None or self.distributed.rank == 0:
            write(self, path, notes)


def _modes(metrics):
    """Which of the metrics' values are better, of those that say so."""
    known = {name: getattr(metric, "higher_is_better", None) for name, metric in metrics.items()}
    return {name: "max" if higher else "min" for name, higher in known.items() if higher is not None}
