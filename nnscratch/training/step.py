"""What one update does: a `Step` has modules and optimisers, and says how a batch changes them; `Supervised` is the usual one."""

import contextlib
import functools
import threading
import weakref
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from nnscratch import arguments, backend, metrics
from nnscratch.autograd import Op, describe, grad, no_grad, recording
from nnscratch.metrics import FunctionMetric, Metric
from nnscratch.metrics.accumulated import differ_in_ones, number
from nnscratch.nn import Module
from nnscratch.nn.module import modes
from nnscratch.optim.optimizer import Optimizer
from nnscratch.tensor import Tensor
from nnscratch.training.accumulation import MeanGradient
from nnscratch.training.inventory import unchanged
from nnscratch.training.losses import LOSSES, settings_of, with_count
from nnscratch.training.undo import all_or_nothing

METRICS = {m.name: m for m in (metrics.Accuracy, metrics.Precision, metrics.Recall, metrics.F1)}
GREATEST = np.finfo(np.float64).max


class _Here(threading.local):
    """What this thread does with steps."""

    def __init__(self):
        self.doing = weakref.WeakKeyDictionary()
        self.ranks = weakref.WeakKeyDictionary()


_here = _Here()


class _Gradients(dict):
    """What makes one gradient of several, by the optimisers' ids."""

    def __init__(self, wait):
        self.wait = wait


class DivergedError(RuntimeError):
    """A loss, a gradient or a weight is no longer a finite number."""


def finite(array):
    """Whether an array of floating-point numbers has neither nan nor an infinity.

    Examples
    --------
    >>> finite(np.array([1.0, 1e300])), finite(np.array([1.0, np.nan]))
    (True, False)
    """
    if array.dtype.itemsize < 4:
        return bool(np.isfinite(array).all())
    squares = float(
        np.vdot(array, array)
    )  # which is quick, and finite but where there are infinities, nan, or very large numbers
    return squares - squares == 0 or bool(np.isfinite(array).all())


class Step:
    """What training does with one batch; a new one writes `update` and `measure`.

    Its modules and optimisers are those that are assigned to its attributes; the Trainer puts modules into their modes, moves
    batches to their device, and saves and restores all of them. A module whose parameters no optimiser has, such as a teacher,
    is run in evaluation mode always, and a part of a module that was put in evaluation mode by itself stays in it: see `mode`.

    Attributes
    ----------
    names : tuple of str
        What `update` returns values of, beside the metrics.
    metrics : dict of str to Metric
        What accumulates the values of these names.
    refuses_nan : bool
        Whether losses, gradients and weights that are no finite numbers are errors; ``Trainer(nan=...)`` says so.
    scaler : optim.LossScaler, optional
        What losses are multiplied by; ``Trainer(autocast="float16")`` gives it one.
    doing : str
        What the Trainer is doing, such as ``"fit: epoch 2, batch 7"``: the beginning of an error.

    Examples
    --------
    A network that learns from another's answers (distillation):

    >>> import nnscratch as ns
    >>> class Distillation(ns.training.Step):
    ...     def __init__(self, student, teacher, optimizer):
    ...         self.student, self.teacher, self.optimizer = student, teacher, optimizer
    ...
    ...     def loss(self, x):
    ...         with ns.no_grad():
    ...             answer = self.teacher(x)
    ...         return ns.functional.mse_loss(self.student(x), answer)
    ...
    ...     def update(self, x):
    ...         loss = self.loss(x)
    ...         self.minimize(loss, self.optimizer, len(x))
    ...         return {"loss": loss}
    ...
    ...     def measure(self, x):
    ...         return {"loss": self.loss(x)}
    >>> student, teacher = ns.nn.Linear(2, 1), ns.nn.Linear(2, 1)
    >>> step = Distillation(student, teacher, ns.optim.SGD(student.parameters(), lr=0.5))
    >>> x = ns.data.iris()[0][:, :2]
    >>> history = ns.Trainer(step).fit(x - x.mean(0), epochs=20, verbose=False)
    >>> history["loss"][-1] < 1e-3
    True
    """

    names: tuple = ("loss",)
    metrics: Mapping = MappingProxyType({})
    refuses_nan = True
    _gradients: "_Gradients | None" = None  # by optimiser, while several batches, or several processes, make one step

    @property
    def doing(self) -> str:
        """What the Trainer is doing with it in this thread."""
        return _here.doing.get(self, "update")

    @doing.setter
    def doing(self, what):
        _here.doing[self] = what

    @property
    def ranks(self):
        """The processes that train with this one: `nnscratch.distributed.Ranks`, or None."""
        return _here.ranks.get(self)

    @ranks.setter
    def ranks(self, ranks):
        _here.ranks[self] = ranks

    @property
    def waits(self):
        """Whether the optimisers' steps wait for `take_step`, as several parts make one."""
        return self._gradients is not None and self._gradients.wait

    def update(self, *batch):
        """Learn from a batch of Tensors.

        Returns
        -------
        dict of str to Tensor, number or tuple
            For each of `names` a Tensor of one element, the mean over the batch's samples; or the pair of such a mean and what
            it counts, if that is not the samples. For each of `metrics` the tuple of what its ``update`` takes, such as
            (prediction, target), which arrive there as NumPy arrays. Nothing here should ask for a value (``.item()``,
            ``.numpy()``, ``if``), for which a GPU would have to be waited for.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: has no update; write `def update(self, *batch)` in the class"
        )

    def measure(self, *batch):
        """The same values of a batch that is not learnt from, in evaluation mode and without a graph; some names may be left out."""
        raise NotImplementedError(
            f"{type(self).__name__}: has no measure; write `def measure(self, *batch)` in the class"
        )

    def predict(self, *inputs):
        """What the networks make of a batch of inputs, for ``Trainer.predict``."""
        raise NotImplementedError(
            f"{type(self).__name__}: has no predict; write `def predict(self, *inputs)` in the class"
        )

    def minimize(self, loss, optimizer, count=1):
        """Let an optimiser take a step down a loss; with ``fit(..., accumulate=n)``, by the mean gradient of n batches.

        Parameters
        ----------
        loss : Tensor
            Of one element, a mean over what it counts. It must be finite.
        optimizer : optim.Optimizer
            Of this step. Gradients its parameters had are forgotten first.
        count : int
            What the loss counts, by which batches are weighed when gradients are accumulated: the number of samples.
        """
        self.check(loss)
        scaler = getattr(self, "scaler", None)
        check = self._check_gradients if self.refuses_nan and scaler is None else None
        if scaler is not None:  # which looks at gradients itself
            loss = scaler.multiply(loss)
        if self._gradients is None:
            optimizer.zero_grad()
            loss.backward()
            if check is not None:
                check(optimizer)
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
        else:
            gradients = self._gradients.get(id(optimizer)) or self._new_gradients(optimizer)
            gradients.add(loss, count, check)
            if not self.waits:
                gradients.step()

    def _new_gradients(self, optimizer):
        made = MeanGradient(optimizer) if self.ranks is None else self.ranks.gradients(optimizer, self.waits)
        scaler = getattr(self, "scaler", None)
        made.take = optimizer.step if scaler is None else functools.partial(scaler.step, optimizer)
        self._gradients[id(optimizer)] = made
        return made

    def _check_gradients(self, optimizer):
        """Refuse gradients that are no finite numbers, before anything learns from them; those on a GPU are not waited for."""
        found = [(p, p.grad.data) for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if recording.state.recorder is None:
            self._check_arrays(optimizer, *zip(*found, strict=True))
        else:
            recording.state.recorder.effect(self._check_arrays, optimizer, *zip(*found, strict=True))

    def _check_arrays(self, optimizer, params=(), gradients=()):
        for p, g in zip(params, gradients, strict=True):
            if type(g) is np.ndarray and not finite(g):
                optimizer.zero_grad()
                raise DivergedError(
                    f"{self.doing}: the gradient by {self._path(p)} has values that are no finite numbers, and the step was not taken; "
                    f"`with ns.detect_nan():` around it names the operation they come from"
                )

    def check_finite(self):
        """Refuse parameters and statistics that are no longer finite numbers."""
        if not self.refuses_nan:
            return
        trained = {id(p) for o in self.optimizers.values() for group in o.param_groups for p in group["params"]}
        waiting: dict = {}  # what is computed elsewhere is read at once
        for attribute, module in self.modules.items():
            for path, t in (*module.named_parameters(), *module.named_buffers()):
                array, name = t.data, f"{attribute}.{path}"
                if array.dtype.kind != "f":
                    continue
                if type(array) is not np.ndarray:
                    sound = np.isfinite(array).all() if id(t) in trained else ~np.isnan(array).any()
                    waiting[name] = sound.reshape(1)
                elif not finite(array) if id(t) in trained else np.isnan(array).any():
                    raise self._unsound(name)
        if waiting:
            for name, sound in zip(waiting, backend.to_numpy(np.concatenate([*waiting.values()])), strict=True):
                if not sound:
                    raise self._unsound(name)

    def _unsound(self, name):
        return DivergedError(
            f"{self.doing}: {name} has values that are no finite numbers; go back to the last checkpoint, and lower the learning rate"
        )

    def _path(self, p):
        """Where a parameter stands in the step's modules."""
        every = ((f"{name}.{path}", q) for name, m in self.modules.items() for path, q in m.named_parameters())
        return next((path for path, q in every if q is p), "a parameter")

    def check(self, loss):
        """Refuse a loss that is no longer finite: at once, or on a GPU when that is next waited for."""
        if not self.refuses_nan:
            return
        backend.of(loss.data).check(loss.data, -GREATEST, GREATEST, self._diverged(loss))

    def _diverged(self, value):
        """The error for a value that is not finite; for a GPU's, which is raised later, with what is being done now."""
        now = None if backend.of(value.data).name == "cpu" else self.doing

        def error(value):
            return DivergedError(
                f"{now or self.doing}: the loss is no longer a finite number; lower the learning rate, or scale the data"
            )

        return error

    def staying(self):
        """The paths of the modules that training leaves in evaluation mode, outermost only, though an optimiser trains the whole."""
        found = []
        with self.mode(True):
            for attribute, module in self.modules.items():
                parts = [(path, part) for path, part in module.named_modules() if path]
                if not any(part.training for part in module.modules()):
                    continue
                for path, part in parts:
                    if not part.training and not any(f"{attribute}.{path}.".startswith(f"{p}.") for p in found):
                        found.append(f"{attribute}.{path}")
        return found

    def check_single(self, batch):
        """Raise ValueError where a batch of one sample cannot be learnt from; by default it is taken to be possible."""

    def check_data(self, arrays, training):
        """See before training, or measuring, that arrays fit, and change nothing; by default they are taken as they are."""

    @contextlib.contextmanager
    def accumulating(self, batches):
        """Within this block gradients of so many batches make a step, which is taken by `take_step`."""
        several = batches > 1 or (self.ranks is not None and self.ranks.reduction == "ordered")
        self._gradients = _Gradients(several) if several or self.ranks is not None else None
        try:
            yield
        finally:
            self._gradients = None

    def take_step(self):
        """Let the optimisers step by what was accumulated."""
        if not self._gradients:
            raise ValueError(
                f"{type(self).__name__}: its update did not call self.minimize, which accumulates gradients; do so, or leave out "
                f"accumulate"
            )
        for mean in self._gradients.values():
            mean.step()
        self._gradients.clear()

    # What it consists of

    def _own(self, kind):
        return {name: value for name, value in vars(self).items() if isinstance(value, kind)}

    @property
    def modules(self):
        """Its modules, by the names of its attributes."""
        return self._own(Module)

    @property
    def optimizers(self):
        """Its optimisers, by the names of its attributes."""
        return self._own(Optimizer)

    def parameters(self):
        """The parameters of its modules."""
        return (p for module in self.modules.values() for p in module.parameters())

    @contextlib.contextmanager
    def mode(self, training):
        """Train or evaluate within this block; then each module is as it was.

        Training keeps the modes that modules were given: a part put in evaluation mode, such as ``model[1].eval()``, stays in it.
        A module all of which is in evaluation mode is put into training mode, but for its parts whose parameters are all
        frozen (``requires_grad_(False)``). A module that no optimiser trains is in evaluation mode.
        """
        trained = {id(p) for o in self.optimizers.values() for group in o.param_groups for p in group["params"]}
        chosen: dict = {}
        for module in self.modules.values():
            own = [id(p) for p in module.parameters()]
            learns = training and (not own or any(p in trained for p in own))
            chosen.update(_training_modes(module) if learns else dict.fromkeys(module.modules(), False))
        with modes(chosen.items()):
            yield

    def state_dict(self):
        """The states of its modules, optimisers and whatever else among its attributes has one, by the attributes' names.

        Returns
        -------
        dict of str to dict
        """
        return {name: value.state_dict() for name, value in vars(self).items() if hasattr(value, "state_dict")}

    def load_state_dict(self, state):
        """Take over what `state_dict` returned; where a part does not fit, nothing is changed.

        Raises
        ------
        TypeError, ValueError
            Where the state is of other parts, or does not fit one.
        """
        own = {name: value for name, value in vars(self).items() if hasattr(value, "state_dict")}
        if not isinstance(state, Mapping) or state.keys() != own.keys():
            got = (
                arguments.several(list(map(arguments.named, state))) if isinstance(state, Mapping) else describe(state)
            )
            raise ValueError(
                f"{type(self).__name__}: the state is of {got}, this step has {', '.join(own)}; load it into one with the same "
                f"attributes"
            )
        with all_or_nothing(own.values()):
            for name, part in state.items():
                own[name].load_state_dict(part)


class Supervised(Step):
    """Learning from examples: a model, a loss of its predictions beside targets, and an optimiser.

    A batch is ``(*inputs, target)``: the last part is the target, what comes before goes to the model.

    Parameters
    ----------
    model : nn.Module
    loss : str or callable
        "cross_entropy", "binary_cross_entropy", "mse" or "l1", as in `nnscratch.functional`; or a function of
        prediction and target, both Tensors, that returns a Tensor of one element, a mean over samples; or the pair of a mean and
        the number of what it counts.
    optimizer : optim.Optimizer
        Of the model's parameters.
    metrics : sequence of str, Metric or callable
        "accuracy", "precision", "recall", "f1"; an `nnscratch.metrics.Metric`; or functions of prediction and target, both
        NumPy arrays, that return a number (see `nnscratch.metrics.FunctionMetric`).

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such, a name is unknown, or the optimiser has none of the model's parameters.

    Examples
    --------
    >>> import nnscratch as ns
    >>> model = ns.nn.Linear(2, 1)
    >>> step = Supervised(model, "mse", ns.optim.SGD(model.parameters(), lr=0.1), ["accuracy"])
    >>> list(step.modules), list(step.optimizers), list(step.metrics)
    (['model'], ['optimizer'], ['accuracy'])
    """

    def __init__(self, model, loss, optimizer, metrics=()):
        self._set(type(self).__name__, model, loss, optimizer, metrics)

    @classmethod
    def made_by(cls, owner, *arguments):
        """One whose errors begin with another name."""
        step = cls.__new__(cls)
        step._set(owner, *arguments)
        return step

    def _set(self, owner, model, loss, optimizer, metrics):
        if not isinstance(model, Module):
            raise TypeError(
                f"{owner}: model is a {type(model).__name__}, expected an nn.Module; pass a network, such as nn.Sequential(...)"
            )
        groups = getattr(optimizer, "param_groups", None)
        if groups is None:
            raise TypeError(
                f"{owner}: optimizer is a {type(optimizer).__name__}, expected an optimiser; "
                f"pass for example ns.optim.Adam(model.parameters())"
            )
        own = {id(p) for p in model.parameters()}
        if not any(id(p) in own for group in groups for p in group["params"]):
            raise ValueError(
                f"{owner}: the optimizer has none of the model's parameters; make it with model.parameters()"
            )
        self.model, self.optimizer = model, optimizer
        self.loss = _named(owner, "loss", loss, LOSSES)
        reduction = settings_of(self.loss)[1].get("reduction", "mean")
        if reduction != "mean":
            raise ValueError(
                f"{owner}: the loss has reduction={reduction!r}, which depends on how data are cut into batches; leave it at 'mean'"
            )
        if isinstance(metrics, str) or callable(metrics):
            raise TypeError(f"{owner}: metrics is {metrics!r}, expected a sequence; pass [{metrics!r}]")
        self.metrics = {}
        for metric in metrics:
            made = self._metric(owner, metric)
            if made.name == "loss" or made.name in self.metrics:
                raise ValueError(
                    f"{owner}: two values would be called {made.name!r}; give each metric its own __name__"
                )
            self.metrics[made.name] = made
        self.class_weight = None

    def _metric(self, owner, metric):
        """A metric as an object; those by name leave out the label that the loss ignores."""
        if isinstance(metric, Metric):
            return metric
        if isinstance(metric, type) and issubclass(metric, Metric):
            return metric()
        known = next((m for m in METRICS.values() if metric is getattr(metrics, m.name)), metric)
        found = _named(owner, "metric", known, METRICS)
        if found in METRICS.values():
            return found(ignore_index=settings_of(self.loss)[1].get("ignore_index"))
        return FunctionMetric(found)

    @property
    def class_weight(self):
        """A factor for each class in the loss of training, not of measuring; None for none."""
        return self._class_weight

    @class_weight.setter
    def class_weight(self, weight):
        self._class_weight = weight
        loss = self.loss
        if weight is not None:
            if settings_of(loss)[0] is not LOSSES["cross_entropy"]:
                raise ValueError("fit: class_weight goes with the loss 'cross_entropy' only; leave it out")
            loss = functools.partial(loss, weight=weight)
        self._training_loss = with_count(loss)

    def update(self, *batch):
        """Take a step down the loss of a batch."""
        prediction = self._predict(batch)
        value, count = self._loss(self._training_loss, prediction, batch)
        self.minimize(value, self.optimizer, count)
        return self._values(prediction, batch[-1], value, count)

    def measure(self, *batch):
        """The loss of a batch, and what the metrics take."""
        prediction = self._predict(batch)
        value, count = self._loss(with_count(self.loss), prediction, batch)
        self.check(value)
        return self._values(prediction, batch[-1], value, count)

    def predict(self, *inputs):
        """What the model makes of inputs.

        Raises
        ------
        ValueError
            Where it makes no Tensor with a prediction for each sample.
        """
        prediction = self.model(*inputs)
        samples = inputs[0].shape[0]
        if not isinstance(prediction, Tensor) or prediction.shape[:1] != (samples,):
            got = getattr(prediction, "shape", type(prediction).__name__)
            raise ValueError(
                f"predict: the model returned {got} for {samples} samples, expected a Tensor "
                f"({samples}, ...); correct its forward"
            )
        return prediction

    def _predict(self, batch):
        if len(batch) < 2:
            raise ValueError(f"{self.doing}: a batch has only one part, expected inputs and a target; pass y, too")
        return self.predict(*batch[:-1])

    def _loss(self, loss, prediction, batch):
        """The mean loss of a batch, and what it counts; a step that adds to it writes this anew."""
        if self.refuses_nan:
            backend.of(prediction.data).check(prediction.data, -np.inf, np.inf, self._diverged(prediction))
        return _mean_and_count(loss, prediction, batch[-1])

    def _values(self, prediction, target, value, count):
        return {"loss": (value, count), **dict.fromkeys(self.metrics, (prediction, target))}

    def check_single(self, batch):
        """See that the model takes one sample in training mode, as batch normalisation of vectors does not; change nothing."""
        device = next(self.parameters()).device
        buffers = [(b, b.data.copy()) for module in self.modules.values() for b in module.buffers()]
        try:
            with unchanged(self), no_grad(), np.errstate(all="ignore"), self.mode(True):
                self.predict(*(Tensor(x.copy(), device=device) for x in batch[:-1]))
                backend.get(device).synchronize()
        finally:
            for buffer, values in buffers:
                buffer.data[...] = values

    def check_data(self, arrays, training):
        """See that loss and metrics take all targets, with the first sample's prediction beside each."""
        *inputs, y = arrays
        if not inputs:
            raise ValueError("fit: got inputs only, expected a target for each sample; pass y, too")
        device = next(self.parameters()).device
        loss, counts = self._training_loss if training else with_count(self.loss), []
        with unchanged(self), no_grad(), np.errstate(all="ignore"):
            with self.mode(False):
                first = self.predict(*(Tensor(x[:1].copy(), device=device) for x in inputs)).numpy()
            single = first.ndim > 1 and first.shape[-1] == 1 and settings_of(self.loss)[0] is LOSSES["cross_entropy"]
            if (
                single and y.shape[1:] == first.shape[1:] and (y == 0).any()
            ):  # which cost nothing, whatever is predicted
                raise ValueError(
                    f"fit: cross_entropy got predictions of one class, {first.shape[1:]} a sample, and targets that are 0, which it "
                    f"leaves out; use binary_cross_entropy for a single output"
                )
            for start in range(0, len(y), 1024):
                target = y[start : start + 1024].copy()
                prediction = np.repeat(first, len(target), 0)
                given = Tensor(prediction, device=device), Tensor(target, device=device)
                counts.append(_mean_and_count(loss, *given)[1])
            backend.get(device).synchronize()  # until now a GPU may not have refused a target
            if not any(float(backend.to_numpy(count)) for count in counts):
                self.loss(*given)  # which says that nothing counts
            for metric in self.metrics.values():
                tried = metric.new()
                tried.update(prediction, target)
                number(metric.name, tried.compute())
        function = settings_of(self.loss)[0]
        own = isinstance(function, Op) or getattr(function, "__module__", "").startswith(
            "nnscratch."
        )  # which look at shapes
        if not own and len(y) > 1 and differ_in_ones(first.shape[1:], y.shape[1:]):
            self._check_not_broadcast(loss, inputs, y)

    def _check_not_broadcast(self, loss, inputs, y):
        """Refuse a loss of the user's that has another gradient where prediction and target have one shape."""
        device = next(self.parameters()).device
        chosen = np.unique(np.linspace(0, len(y) - 1, 16).astype(int))
        with unchanged(self), no_grad(), self.mode(False):
            prediction = self.predict(*(Tensor(x[chosen], device=device) for x in inputs)).numpy()
        found = []
        for target in (y[chosen], y[chosen].reshape(prediction.shape)):
            z = Tensor(prediction.copy(), device=device).requires_grad_()
            try:
                value = _mean_and_count(loss, z, Tensor(target.copy(), device=device))[0]
                found.append(grad(value, z).numpy())
            except Exception:
                return
        if not np.allclose(*found, rtol=1e-3, atol=1e-6 * np.abs(found[1]).max(), equal_nan=True):
            raise ValueError(
                f"fit: the loss broadcasts predictions {prediction.shape} and targets {y[chosen].shape} of samples against each other, "
                f"so that each is compared with all; reshape the targets, or correct the loss"
            )


def _training_modes(module):
    """The modes of a module's parts in training, as `Step.mode` says."""
    parts = list(module.modules())
    if any(part.training for part in parts):
        return {part: part.training for part in parts}
    chosen = dict.fromkeys(parts, True)
    for part in parts:
        own = list(part.parameters())
        if own and not any(p.requires_grad for p in own):
            chosen.update(dict.fromkeys(part.modules(), False))
    return chosen


def _mean_and_count(loss, prediction, target):
    value, count = loss(prediction, target)
    if not isinstance(value, Tensor) or value.size != 1:
        raise TypeError(f"fit: the loss returned {describe(value)}, expected a Tensor of one element; take a mean")
    return value, count


def check_parts(step):
    """Refuse a step that the Trainer could not train or save.

    Raises
    ------
    TypeError
        Where modules or optimisers are in a list, tuple or dict.
    ValueError
        Where there are none.
    """
    name = type(step).__name__
    for attribute, value in vars(step).items():
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        if any(isinstance(item, Module | Optimizer) for item in items):
            raise TypeError(
                f"Trainer: {attribute} of {name} is a {type(value).__name__} of modules or optimisers, which would not be "
                f"saved; give each an attribute, or use nn.ModuleList"
            )
    for attribute, optimizer in step.optimizers.items():
        own = {id(p) for p in step.parameters()}
        foreign = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in own]
        if foreign and step.modules:
            raise ValueError(
                f"Trainer: {attribute} has {len(foreign)} parameters that no module of the step has, such as {describe(foreign[0])}, "
                f"as where a layer was replaced after the optimiser was made; make the optimiser anew"
            )
    if not step.optimizers or next(step.parameters(), None) is None:
        raise ValueError(
            f"Trainer: {name} has no module with parameters, or no optimiser, among its attributes; assign them to self"
        )


def _named(owner, kind, value, known):
    if callable(value):
        return value
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{owner}: {kind} is {value!r}, expected a function or one of {', '.join(known)}; pass one")
    return known[value]
