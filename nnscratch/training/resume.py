"""The state of a training run in a file, and back: a resumed run goes on bit for bit as the uninterrupted one."""

import os

import numpy as np

from nnscratch import backend
from nnscratch.checkpoint import write_checkpoint
from nnscratch.training.history import History

MOST_LOOKED_AT = 100  # things in a list, such as the parts of an augmentation; longer lists are data


def write(trainer, path, notes):
    """Write all that the present `fit` needs to go on after its last complete epoch."""
    tensors: dict = {}
    states = [(type(c).__name__, c.state_dict()) for c in trainer._callbacks]
    states = [(name, state) for name, state in states if state is not None]
    content = {
        "settings": trainer._settings,
        "history": dict(trainer.history.items()),
        "stopped": trainer.stop_training,
        "step": {name: _put(tensors, name, state) for name, state in trainer.step.state_dict().items()},
        "scheduler": None if trainer.scheduler is None else trainer.scheduler.state_dict(),
        "schedule": _schedule(trainer),
        "callbacks": [[name, _put(tensors, f"callbacks/{i}", s)] for i, (name, s) in enumerate(states)],
        "random": [_random_state(g) for g in generators_of(trainer)],
        "device": _device_random(trainer),
        "notes": notes,
    }
    write_checkpoint(path, tensors, content)


def restore(trainer, path, tensors, content):
    """Take over what `write` wrote; where something does not fit, nothing is changed."""
    path = os.fsdecode(path)
    if "settings" not in content:
        raise ValueError(f"resume: {path} was not written by Checkpoint; pass a file that was")
    _compare(path, content["settings"], trainer._settings, "go on with the data and settings it began with")
    done = History(content["history"], trainer.history.modes)
    if done.epochs > trainer.epochs:
        raise ValueError(
            f"resume: the run in {path} has {done.epochs} epochs, got {trainer.epochs}; pass a larger number"
        )
    if (content["scheduler"] is None) != (trainer.scheduler is None):
        had = "a" if trainer.scheduler is None else "no"
        raise ValueError(f"resume: the run in {path} had {had} scheduler; make the Trainer as it was then")
    _compare(path, content.get("schedule", {}), _schedule(trainer), "make the Trainer as it was then")
    keeping = [c for c in trainer._callbacks if c.state_dict() is not None]
    names = [type(c).__name__ for c in keeping]
    before = [name for name, _ in content["callbacks"]]
    if names != before:
        raise ValueError(f"resume: the run in {path} had callbacks {before} with a state, got {names}; pass the same")
    generators = generators_of(trainer)
    if len(generators) != len(content["random"]):
        raise ValueError(f"resume: the run in {path} had another augmentation or loader; pass the same")
    step = trainer.step.state_dict()
    parts = content.get("step") or {
        "model": {},
        "optimizer": content["optimizer"],
    }  # as files of older versions have them
    trainer.step.load_state_dict({name: _take(tensors, name, rest) for name, rest in parts.items()})
    try:
        if trainer.scheduler is not None:
            trainer.scheduler.load_state_dict(content["scheduler"])
    except (TypeError, ValueError):
        trainer.step.load_state_dict(step)
        raise
    for i, callback in enumerate(keeping):
        callback.load_state_dict(_take(tensors, f"callbacks/{i}", content["callbacks"][i][1]))
    trainer.history = done
    trainer.stop_training = content["stopped"]
    for generator, state in zip(generators, content["random"], strict=True):
        generator.bit_generator.state = state
    here = _device_random(trainer)
    if here is not None and here.keys() == (content.get("device") or {}).keys():
        trainer.backend.rng.bit_generator.state = content["device"][trainer.backend.name]


def _compare(path, before, now, remedy):
    for name, value in now.items():
        if name in before and before[name] != value:
            raise ValueError(f"resume: the run in {path} had {name} {before[name]}, got {value}; {remedy}")


def _schedule(trainer):
    """The settings a schedule was made with, but for the number of steps its course takes: a run may be made longer."""
    found, schedule, prefix = {}, trainer.scheduler, ""
    while schedule is not None:
        found[f"{prefix}scheduler"] = type(schedule).__name__
        for name, value in vars(schedule).items():
            if name not in ("steps", "optimizer") and isinstance(value, int | float | str) and not name.startswith("_"):
                found[f"{prefix}{name}"] = value
        schedule, prefix = getattr(schedule, "then", None), f"{prefix}then."
    return found | ({"scheduler_step": trainer.scheduler_step} if found else {})


def _device_random(trainer):
    """The state of the random numbers that are drawn on a GPU, under its device's name; None on the CPU."""
    here = trainer.backend
    return None if here is backend.cpu else {here.name: _random_state(here.rng)}


def generators_of(trainer):
    """The CPU's generators that training draws from: its own, and those that the augmentation, the data and the step hold."""
    found = [backend.cpu.rng]
    held = [v for v in vars(trainer.step).values() if isinstance(v, np.random.Generator)]
    stack, seen = [trainer._augment, trainer._data, held], set()
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.random.Generator):
            found.append(value)
        elif isinstance(value, list | tuple):
            stack += value[:MOST_LOOKED_AT]
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            stack += vars(value).values()
    return found


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

    def listed(value):
        if isinstance(value, dict):
            return {key: listed(v) for key, v in value.items()}
        return value.tolist() if isinstance(value, np.ndarray) else value

    return listed(generator.bit_generator.state)
