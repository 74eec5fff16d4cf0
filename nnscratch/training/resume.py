"""The state of a training run in a file, and back: a resumed run goes on bit for bit as the uninterrupted one, or not at all."""

import contextlib
import math
import os

import numpy as np

from nnscratch import arguments, backend
from nnscratch.state_files import write_checkpoint
from nnscratch.training.history import History
from nnscratch.training.inventory import SCALARS, Inventory, checksum, listed
from nnscratch.training.undo import all_or_nothing


def inventory(trainer):
    """What a run of the Trainer's depends on, beside the states of modules, optimisers, schedule and callbacks.

    Callbacks of one's own are looked at for generators only: they begin a run as they like.
    """
    step, callbacks = trainer.step, trainer._callbacks
    own = [c for c in callbacks if type(c).__module__.startswith("nnscratch.") and c.state_dict() is not None]
    roots = {"step": step, "scheduler": trainer.scheduler, "augment": trainer._augment}
    roots |= {"data": trainer._data, "validation_data": trainer._validation, "callbacks": own}
    with step.mode(True):  # so that a module is asked for the mode it is trained in
        found = Inventory(quiet=callbacks, **roots)
    for about in (found.values, found.scalars):
        about.pop("step.doing", None)  # which the Trainer sets
    return found


def begin(trainer, before):
    """Note how the present `fit` begins; what differs from the inventory `before` its checks is none of the settings."""
    found = inventory(trainer)
    paths = dict.fromkeys((*before.values, *found.values))
    trainer._begun = {p: found.values[p] if before.values.get(p) == found.values.get(p) else None for p in paths}
    trainer._begun_scalars, trainer._begun_modules = found.scalars, found.modules


def write(trainer, path, notes):
    """Write all that the present `fit` needs to go on after its last complete epoch."""
    tensors: dict = {}
    states = [(type(c).__name__, c.state_dict()) for c in trainer._callbacks]
    states = [(name, state) for name, state in states if state is not None]
    found = inventory(trainer)
    scalars, arrays, lost = _changes(trainer, found)
    tensors |= {f"changed/{name}": array for name, array in arrays.items()}
    content = {
        "settings": trainer._settings | data_of(trainer),
        "begun": trainer._begun,
        "modules": trainer._begun_modules,
        "changed": scalars,
        "lost": lost,
        "epochs": trainer.epochs,
        "history": dict(trainer.history.items()),
        "stopped": trainer.stop_training,
        "step": {name: _put(tensors, name, state) for name, state in trainer.step.state_dict().items()},
        "scheduler": None if trainer.scheduler is None else trainer.scheduler.state_dict(),
        "callbacks": [[name, _put(tensors, f"callbacks/{i}", s)] for i, (name, s) in enumerate(states)],
        "random": found.random(),
        "device": _device_random(trainer),
        "notes": notes,
    }
    write_checkpoint(path, tensors, content)


#: What a file of `write`'s holds, and what each part is: a type, a list of such, or a dict of them by str.
PARTS = {
    "settings": dict,
    "begun": {(str, type(None))},
    "modules": {bool},
    "changed": {SCALARS},
    "lost": [str],
    "epochs": int,
    "history": {list},
    "stopped": bool,
    "step": {dict},
    "scheduler": (dict, type(None)),
    "callbacks": [list],
    "random": [dict],
    "device": (dict, type(None)),
}


def _is(value, kind):
    """Whether a value is of a kind that `PARTS` names."""
    if isinstance(kind, list | set):
        (each,) = kind
        items = value.values() if isinstance(value, dict) else value
        return isinstance(value, list if isinstance(kind, list) else dict) and all(_is(v, each) for v in items)
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


def _checked(path, tensors, content, trainer):
    """The parts of what `write` wrote, so far as they can be checked by themselves: the history, the states of callbacks."""
    if not isinstance(content, dict) or "settings" not in content:
        raise ValueError(f"resume: {path} was not written by Checkpoint; pass a file that was")
    damaged = next((part for part, kind in PARTS.items() if not _is(content.get(part, _MISSING), kind)), None)
    if damaged is None and not all(
        len(row) == 2 and _is(row[0], str) and _is(row[1], dict) for row in content["callbacks"]
    ):
        damaged = "callbacks"
    if damaged is None and not all(_is(v, (int, float)) for values in content["history"].values() for v in values):
        damaged = "history"
    try:
        history = None if damaged else History(content["history"], trainer.history.modes)
    except ValueError:
        damaged = "history"
    if damaged:
        raise ValueError(
            f"resume: {path} is damaged: its part {damaged!r} is not what Checkpoint writes; pass another file"
        )
    return history, [(name, _take(tensors, f"callbacks/{i}", s)) for i, (name, s) in enumerate(content["callbacks"])]


_MISSING = object()


def restore(trainer, path, tensors, content):
    """Take over what `write` wrote; the caller puts back what was changed where something does not fit."""
    path = arguments.named(os.fsdecode(path))
    done, states = _checked(path, tensors, content, trainer)
    _compare(path, content["settings"], trainer._settings | data_of(trainer))
    if done.epochs > trainer.epochs:
        raise ValueError(
            f"resume: the run in {path} has {done.epochs} epochs, got {trainer.epochs}; pass a larger number"
        )
    if (content["scheduler"] is None) != (trainer.scheduler is None):
        had = "a" if trainer.scheduler is None else "no"
        raise ValueError(f"resume: the run in {path} had {had} scheduler; make the Trainer as it was then")
    keeping = [c for c in trainer._callbacks if c.state_dict() is not None]
    names, before = [type(c).__name__ for c in keeping], [name for name, _ in states]
    if names != before:
        raise ValueError(
            f"resume: the run in {path} had callbacks {arguments.shown(before)} with a state, got {names}; pass the same"
        )
    found = inventory(trainer)
    trainer.step.load_state_dict({name: _take(tensors, name, rest) for name, rest in content["step"].items()})
    if trainer.scheduler is not None:
        trainer.scheduler.load_state_dict(content["scheduler"])
    _compare_begun(path, content, trainer)
    if found.iterators or content["lost"]:
        name = _short((found.iterators or content["lost"])[0])
        raise ValueError(
            f"resume: {name} changes as the run goes on, in a way that no checkpoint holds; let it keep numbers and arrays, "
            f"and be made anew for each epoch where it is an iterator"
        )
    if not found.fits(content["random"]):
        raise ValueError(
            f"resume: the run in {path} had another augmentation or loader, or others that draw random numbers"
        )
    if done.epochs and set(done) != {*trainer.monitors, "lr", "seconds"}:
        raise ValueError(
            f"resume: the run in {path} measured {arguments.several([*map(arguments.named, done)])}, this one measures "
            f"{', '.join(trainer.monitors)}; pass the metrics and validation data it began with"
        )
    with _told_as_damage(path), all_or_nothing(keeping):
        for callback, (_, state) in zip(keeping, states, strict=True):
            callback.load_state_dict(state)
        trainer.history, trainer.stop_training = done, content["stopped"]
        found.take_over(content["changed"] | _take(tensors, "changed", {}), content["random"])
        here = _device_random(trainer)
        if here is not None and here.keys() == (content["device"] or {}).keys():
            trainer.backend.rng.bit_generator.state = content["device"][trainer.backend.name]


@contextlib.contextmanager
def _told_as_damage(path):
    """Errors of objects that find something else in the file than they wrote, as one sentence."""
    try:
        yield
    except Exception as error:
        what = arguments.named(" ".join(str(error).split()) or type(error).__name__)
        raise ValueError(f"resume: {path} is damaged, or of another run ({what}); pass another file") from error


def data_of(trainer):
    """What the data of the present `fit` are, where they are arrays."""
    found = {"class_weight": _class_weight(trainer.step)}
    for name, source in (("data", trainer._train_source), ("validation_data", trainer._validation_source)):
        arrays = () if source is None or source.arrays is None else source.arrays
        found |= {f"{name}[{i}]": checksum(array, math.inf) for i, array in enumerate(arrays)}
    return found


def _class_weight(step):
    weight = getattr(step, "class_weight", None)
    return None if weight is None else checksum(np.asarray(getattr(weight, "data", weight), np.float64))


def _changes(trainer, found):
    """What has changed since the run began: scalars, arrays, and the paths of what cannot be put back."""
    scalars = {
        path: value
        for path, value in found.scalars.items()
        if not path.startswith(("callbacks.", "scheduler."))
        and (path not in trainer._begun_scalars or repr(trainer._begun_scalars[path]) != repr(value))
    }
    arrays = {
        path: a
        for path, a in found.arrays.items()
        if path not in found.values or trainer._begun.get(path) != found.values[path]
    }
    lost = [
        path
        for path in dict.fromkeys((*trainer._begun, *found.values))
        if path.startswith(("augment.", "data.")) and path not in scalars and path not in arrays
        if trainer._begun.get(path) != found.values.get(path)
    ]
    return scalars, arrays, lost


def _compare(path, before, now):
    for name in dict.fromkeys((*now, *before)):
        if name in now and name in before and before[name] != now[name]:
            raise ValueError(
                f"resume: the run in {path} had {name} {_told(before[name])}, got {_told(now[name])}; go on with the data and settings it "
                f"began with"
            )


def _compare_begun(path, content, trainer):
    """Refuse what is otherwise than as the run began; but a run that is made longer may have a longer schedule."""
    before, now = content["begun"], trainer._begun
    modules = content["modules"] | trainer._begun_modules
    for name in dict.fromkeys((*before, *now)):
        was, got = before.get(name, "nothing"), now.get(name, "nothing")
        if None in (was, got) or was == got or ("nothing" in (was, got) and _made_when_called(name, modules)):
            continue
        longer = (
            trainer.epochs > content["epochs"]
            and name.endswith(".steps")
            and type(trainer.scheduler).__name__ == "CosineLR"
        )
        if not longer:
            raise ValueError(
                f"resume: the run in {path} had {_short(name)} {_told(was)}, got {_told(got)}; make all as it was when that run began"
            )


def _made_when_called(path, modules):
    """Whether a path is that of an attribute, or a part of one, that a module of a user's may have made when it was called."""
    holder = path
    while path not in modules and holder and holder not in modules:
        holder = holder.rpartition(".")[0]
    return path not in modules and modules.get(holder, False)


def _short(path):
    """A path without the parts that say nothing to its reader."""
    return arguments.named(path.removeprefix("step.").removeprefix("scheduler."))


def _told(value):
    """A setting from a file as an error shows it."""
    return arguments.named(value) if isinstance(value, str) else arguments.shown(value)


def _device_random(trainer):
    """The state of the random numbers that are drawn on a GPU, under its device's name; None on the CPU."""
    here = trainer.backend
    return None if here is backend.cpu else {here.name: listed(here.rng.bit_generator.state)}


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
