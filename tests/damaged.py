"""Damaged checkpoints and refused resumes: `python tests/damaged.py [COUNT] [SEED]` tries so many, and says what did not hold.

What is refused has to be refused by one sentence of ours, and has to leave the model, the optimiser, the schedule, the callbacks, the
history and all generators as they were. `tests/test_damaged.py` runs a few.
"""

import copy
import json
import pathlib
import random
import sys
import tempfile
import traceback

import numpy as np

import nnscratch as ns
from nnscratch import nn, optim, state_files
from nnscratch.training import Callback, Checkpoint, EarlyStopping, ReduceLROnPlateau, Snapshots, Trainer

L = optim.lr_scheduler
X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
#: What stands in a file in place of what belongs there.
NASTY = (
    None, True, 0, -1, 2, 10**30, 10**400, 0.5, float("nan"), float("inf"), "", "x", "a\x1b[31m\n" * 50, [], [[]], [None], {}, {"x": 1},
    "0" * 5000, {"params": [0]}, [{"params": []}],
)  # fmt: skip
SENTENCES = (ValueError, TypeError, OSError)


class Counting(Callback):
    """A callback of a user's, whose loading trusts what it gets."""

    def __init__(self):
        self.seen, self.weights = 0, np.zeros(3)

    def on_epoch_end(self, trainer, epoch, logs):
        self.seen += 1

    def state_dict(self):
        return {"seen": self.seen, "weights": self.weights.copy()}

    def load_state_dict(self, state):
        self.seen = state["seen"] + 0
        self.weights[...] = state["weights"]


class Noisy:
    """An augmentation with a generator and a counter of its own."""

    def __init__(self):
        self.calls, self.random = 0, np.random.default_rng(5)

    def __call__(self, x):
        self.calls += 1
        return x + self.random.normal(size=x.shape).astype(np.float32)


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2), nn.Softmax())


def with_momentum():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = Trainer(model, "cross_entropy", optimizer, ["accuracy"], L.StepLR(optimizer, 1, 0.5))
    return trainer, {"callbacks": [EarlyStopping("loss", patience=5), Counting()]}


def with_adam():
    model = network()
    optimizer = optim.Adam([{"params": model[0].parameters()}, {"params": model[3].parameters(), "lr": 0.05}], lr=0.01)
    schedule = L.LinearWarmup(optimizer, 2, L.CosineLR(optimizer, 9))
    trainer = Trainer(model, "cross_entropy", optimizer, scheduler=schedule, scheduler_step="batch")
    return trainer, {"callbacks": [Snapshots(2)], "augment": Noisy(), "validation_split": 0.25}


def with_plateau():
    model = network()
    trainer = Trainer(model, "cross_entropy", optim.AdamW(model.parameters()))
    return trainer, {"callbacks": [ReduceLROnPlateau("loss", patience=1)], "class_weight": [1.0, 2.0]}


RUNS = (with_momentum, with_adam, with_plateau)
#: Runs otherwise than the file's: each takes (trainer, settings), and changes them.
OTHERWISE = (
    lambda t, s: s.update(epochs=1),
    lambda t, s: s.update(batch_size=6),
    lambda t, s: s.update(callbacks=s["callbacks"][:-1]),
    lambda t, s: s.update(callbacks=[*s["callbacks"], EarlyStopping("val_nothing")]),
    lambda t, s: s.update(callbacks=[*s["callbacks"], Snapshots(), EarlyStopping("loss")]),
    lambda t, s: s.update(x=X + 1),
    lambda t, s: s.update(y=Y[:-1]),
    lambda t, s: s.update(augment=lambda x: x),
    lambda t, s: s.update(class_weight=[-1.0, 1.0]),
    lambda t, s: s.update(class_weight=[3.0, 1.0]),
    lambda t, s: s.update(shuffle=False),
    lambda t, s: s.update(accumulate=2),
    lambda t, s: s.update(validation_data=(X[:4], Y[:4]), validation_split=0.0),
    lambda t, s: setattr(t, "scheduler", None),
    lambda t, s: setattr(t, "scheduler", L.ExponentialLR(t.optimizer, 0.5)),
    lambda t, s: setattr(t, "scheduler_step", "batch"),
    lambda t, s: setattr(t.model[2], "p", 0.25),
    lambda t, s: t.model[0].requires_grad_(False),
    lambda t, s: t.step.__dict__.update(optimizer=optim.SGD(t.model.parameters(), lr=0.1)),
    lambda t, s: t.step.metrics.update(precision=ns.metrics.Precision()),
)  # fmt: skip


def begun(build):
    """A Trainer and settings as `build` makes them, after an epoch, so that there is something to be changed."""
    ns.manual_seed(3)
    trainer, settings = build()
    settings = {"x": X, "y": Y, "batch_size": 8, "verbose": False, **settings}
    trainer.fit(epochs=1, **settings)
    if "augment" in settings:
        settings["augment"] = Noisy()
    return trainer, {**settings, "epochs": 3}


def fresh(build, parts, content):
    """A run to be tried until something changes it: its file's parts and bytes, its Trainer and settings."""
    return build, parts, content, *begun(build)


def written(build, path):
    """A checkpoint of a run of two epochs: its tensors and its notes."""
    ns.manual_seed(0)
    trainer, settings = build()
    settings["callbacks"] = [*settings["callbacks"], Checkpoint(path)]
    trainer.fit(X, Y, 2, 8, verbose=False, **settings)
    return state_files.read_checkpoint(path)


def image(value, seen=()):
    """All that a value holds, to be compared."""
    if isinstance(value, ns.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, dict):
        return [(image(k), image(v, seen)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [image(v, seen) for v in value]
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, nn.Module):
        return [image(v) for v in value.state_dict().items()], [m.training for m in value.modules()]
    if isinstance(value, optim.Optimizer):
        groups = [{k: v for k, v in g.items() if k != "params"} for g in value.param_groups]
        return image((groups, value._state, value._steps))
    if isinstance(value, Callback | L.LRScheduler | Noisy | ns.training.History):
        return type(value).__name__, [(k, image(v)) for k, v in vars(value).items()]
    return value if isinstance(value, str | int | float | None) else repr(value)


def everything(trainer, settings):
    state = [getattr(trainer.step, name) for name in ("model", "optimizer", "_class_weight")]
    own = [trainer.scheduler, trainer.history, trainer.stop_training, settings["callbacks"], settings.get("augment")]
    return image([*state, *own, ns.backend.cpu.rng, np.random.mtrand._rand.get_state()]), random.getstate()


# Damage


def places(value, path=()):
    """The paths of all that JSON holds, but for what is within long lists."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def mangle(draw, notes, tensors):
    """Change one or two things of a checkpoint's content."""
    notes, tensors = copy.deepcopy(notes), dict(tensors)
    for _ in range(draw.choice((1, 1, 1, 2))):
        if draw.random() < 0.3:
            tear(draw, tensors)
            continue
        path = draw.choice([p for p in places(notes) if p])
        within = notes
        for key in path[:-1]:
            within = within[key]
        what, key = draw.random(), path[-1]
        if what < 0.25:
            del within[key]
        elif what < 0.3 and isinstance(within, dict):
            within[draw.choice(("x", "", "\x1b[2J", "0.m", "weights/x/y", "params"))] = within.pop(key)
        elif what < 0.35 and isinstance(within, list):
            within.append(copy.deepcopy(within[key]))
        else:
            within[key] = draw.choice(NASTY)
    return notes, tensors


def tear(draw, tensors):
    if not tensors:
        return
    name, what = draw.choice(list(tensors)), draw.randrange(6)
    array = tensors.pop(name)
    if what == 1:
        tensors[draw.choice((name + "'", "model/\x1b", "callbacks/9/x", "step", name[:-1]))] = array
    elif what == 2:
        tensors[name] = array.astype(draw.choice(("float64", "int8", "bool", "float16")))
    elif what == 3:
        tensors[name] = draw.choice((array.reshape(-1), array[None], array[:0] if array.ndim else array, np.float32(0)))
    elif what == 4:
        tensors[name] = np.zeros((2, 3), np.float32)
    elif what == 5:
        tensors[name], tensors["changed/step.model.2.p"] = array, array


def corrupt(draw, content):
    """Change some bytes of a file, or leave some out."""
    content, what = bytearray(content), draw.randrange(5)
    at = draw.randrange(len(content)) if draw.random() < 0.5 else draw.randrange(min(len(content), 600))
    if what == 0:
        del content[at:]
    elif what == 1:
        del content[at : at + draw.randrange(1, 9)]
    elif what == 2:
        content[at:at] = draw.randbytes(draw.randrange(1, 9))
    elif what == 3:
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    else:
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def trial(draw, path, run):
    """Try one damage; returns what was done, and the error (None where it was taken) or what did not hold."""
    build, (tensors, notes), content, trainer, settings = run
    done = draw.choice(("bytes", "content", "content", "content", "otherwise"))
    if done == "bytes":
        path.write_bytes(corrupt(draw, content))
    else:
        if done == "content":
            notes, tensors = mangle(draw, notes, tensors)
        state_files.write_checkpoint(path, tensors, notes)
        if draw.random() < 0.01:
            nested(path, draw.choice((990, 5000, 100_000)))
    if done == "otherwise":
        trainer, settings = begun(build)
        draw.choice(OTHERWISE)(trainer, settings)
    before = everything(trainer, settings)
    try:
        trainer.fit(resume=path, **settings)
    except Exception as error:
        if _comes_of_here(error):  # a file may say anything of a user's own attributes, which nobody else can judge
            return done, None
        if not isinstance(error, SENTENCES):
            return done, f"raw: {type(error).__name__}: {str(error)[:300]!r}"
        message = str(error)
        head, _, rest = message.partition(": ")
        if not (
            rest and head.replace(".", "").replace("_", "").isalnum() and message.isprintable() and len(message) < 2000
        ):
            return done, f"no sentence of ours: {type(error).__name__}: {message[:300]!r}"
        return done, error if everything(trainer, settings) == before else f"changed by: {message[:300]}"
    return done, None


def _comes_of_here(error):
    """Whether an error was raised by a class of this file, in training."""
    within = [frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
    return bool({"__call__", "on_epoch_end"} & set(within))


def nested(path, depth):
    """Write a file whose description is nested very deep."""
    from safetensors.numpy import save_file

    save_file(
        {"a": np.zeros(1)}, path, {state_files.METADATA: '{"format": 2, "notes": ' + "[" * depth + "]" * depth + "}"}
    )


def trials(count, seed):
    """Many trials: how many were refused and taken, and what did not hold, by what it says."""
    draw, wrong = random.Random(seed), {}
    figures = {"refused": 0, "taken": 0, "changed": 0, "raw": 0}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.safetensors"
        runs = [fresh(build, written(build, path), path.read_bytes()) for build in RUNS]
        for i in range(count):
            at = draw.randrange(len(runs))
            done, found = trial(draw, path, runs[at])
            if isinstance(found, str):
                figures["changed" if found.startswith("changed") else "raw"] += 1
                wrong.setdefault(f"{done}: {found}", i)
            if not isinstance(found, Exception):
                runs[at] = fresh(*runs[at][:3])
            figures["refused" if found is not None else "taken"] += 1
    return figures, wrong


if __name__ == "__main__":
    figures, wrong = trials(
        int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0
    )
    print(json.dumps(figures))
    for text, at in sorted(wrong.items())[:40]:
        print(f"trial {at}: {text}")
    sys.exit(bool(wrong))
