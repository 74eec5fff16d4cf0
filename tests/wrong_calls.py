"""Wrong calls: `python tests/wrong_calls.py [COUNT] [SEED]` makes so many, each a right call with one argument replaced.

Whatever is refused has to be refused by one sentence that names the function; nothing may take memory or time beyond measure.
`tests/test_wrong_calls.py` makes a few, drawn by hypothesis.
"""

import inspect
import json
import random
import resource
import signal
import sys
import warnings

import numpy as np

import nnscratch as ns
from nnscratch import nn, optim
from nnscratch.autograd import OPS

#: What is no size, no number, no axis, no flag and no name, or one beyond all measure.
NASTY = (
    None, True, -1, 0, 1, 3, 2**31, 2**63, 2**63 - 1, -(2**63), 10**30, 10**400, 0.5, -1.0, float("nan"), float("inf"), "x", "\x1b[31m" * 50, b"x",
    [], (), [1, [2]], (2**62, 2**62), (-1, 2), {}, {1}, object(), len, np.array(2), np.array(2.5), np.array([1, 2]), np.zeros((0, 3)), np.array("a"),
    np.float64(3.0), np.int8(2), 1j, np.array([1j]), np.array([None]), np.datetime64("2020-01-01"), slice(None), ..., range(3),
)  # fmt: skip
SECONDS, MEMORY = 10, 6 << 30
SENTENCES = (ValueError, TypeError, IndexError, MemoryError, RuntimeError, ns.GradientError)

F = ns.functional
X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
IMAGES = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
W = ns.tensor([1.0, 2.0], requires_grad=True)

#: Right calls beside those of the operations' samples: a function and its arguments by name.
CALLS = [
    (nn.Linear, {"in_features": 3, "out_features": 2, "bias": True}),
    (nn.Conv2d, {"in_channels": 3, "out_channels": 2, "kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 1}),
    (nn.BatchNorm1d, {"num_features": 3, "eps": 1e-5, "momentum": 0.1}),
    (nn.LayerNorm, {"normalized_shape": 3}),
    (nn.Dropout, {"p": 0.5}),
    (nn.MaxPool2d, {"kernel_size": 2, "stride": 2, "padding": 0}),
    (nn.AvgPool2d, {"kernel_size": 2, "stride": 2, "padding": 0}),
    (nn.Embedding, {"num_embeddings": 5, "embedding_dim": 2, "padding_idx": 0}),
    (nn.LSTM, {"input_size": 3, "hidden_size": 2, "num_layers": 1, "dropout": 0.0}),
    (nn.GRU, {"input_size": 3, "hidden_size": 2}),
    (nn.MultiheadAttention, {"embed_dim": 4, "num_heads": 2, "dropout": 0.0}),
    (optim.SGD, {"params": [W], "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}),
    (optim.Adam, {"params": [W], "lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.0}),
    (optim.AdamW, {"params": [W], "lr": 0.1}),
    (optim.lr_scheduler.StepLR, {"optimizer": optim.SGD([W], lr=0.1), "step_size": 2, "gamma": 0.5}),
    (optim.lr_scheduler.CosineLR, {"optimizer": optim.SGD([W], lr=0.1), "steps": 2, "minimum": 0.0}),
    (optim.lr_scheduler.LinearWarmup, {"optimizer": optim.SGD([W], lr=0.1), "steps": 2, "start": 0.1}),
    (optim.RMSprop, {"params": [W], "lr": 0.1, "alpha": 0.9, "eps": 1e-8, "momentum": 0.5, "centered": True}),
    (optim.Adagrad, {"params": [W], "lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    (optim.NAdam, {"params": [W], "lr": 0.1, "betas": (0.9, 0.99), "momentum_decay": 0.004}),
    (optim.lr_scheduler.MultiStepLR, {"optimizer": optim.SGD([W], lr=0.1), "milestones": [2, 3], "gamma": 0.5}),
    (optim.lr_scheduler.CosineAnnealingWarmRestarts, {"optimizer": optim.SGD([W], lr=0.1), "T_0": 2, "T_mult": 2, "eta_min": 0.0}),
    (optim.lr_scheduler.LinearLR, {"optimizer": optim.SGD([W], lr=0.1), "start_factor": 0.5, "end_factor": 1.0, "total_iters": 3}),
    (optim.lr_scheduler.LambdaLR, {"optimizer": optim.SGD([W], lr=0.1), "lr_lambda": [lambda step: 0.5]}),
    (optim.lr_scheduler.OneCycleLR, {"optimizer": optim.SGD([W], lr=0.1), "max_lr": 0.1, "total_steps": 5, "pct_start": 0.3, "div_factor": 9.0}),
    (optim.lr_scheduler.SequentialLR, {"optimizer": optim.SGD([W], lr=0.1), "schedulers": [], "milestones": [2]}),
    (optim.lr_scheduler.ReduceLROnPlateau, {"optimizer": optim.SGD([W], lr=0.1), "mode": "min", "factor": 0.5, "patience": 2, "min_lr": 0.0}),
    (nn.CrossEntropyLoss, {"weight": [1.0, 2.0], "ignore_index": 0, "reduction": "mean", "label_smoothing": 0.1}),
    (nn.BCEWithLogitsLoss, {"weight": [1.0], "reduction": "sum", "pos_weight": [2.0]}),
    (nn.TripletMarginLoss, {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, "reduction": "mean"}),
    (nn.Upsample, {"size": None, "scale_factor": 2.0, "mode": "nearest", "align_corners": False}),
    (F.interpolate, {"x": IMAGES, "size": (3, 4), "mode": "bilinear", "align_corners": True}),
    (F.huber_loss, {"prediction": X, "target": X, "reduction": "mean", "delta": 1.0}),
    (F.kl_div, {"log_prediction": X, "target": X, "reduction": "batchmean", "log_target": True}),
    (F.cosine_similarity, {"x1": X, "x2": X, "axis": -1, "eps": 1e-8}),
    (F.cosine_embedding_loss, {"x1": X, "x2": X, "target": [1, -1, 1, 1], "margin": 0.1, "reduction": "mean"}),
    (F.pairwise_distance, {"x1": X, "x2": X, "p": 2.0, "eps": 1e-6, "keepdims": True}),
    (F.dropout2d, {"x": IMAGES, "p": 0.5, "training": True}),
    (ns.zeros, {"dtype": "float32", "requires_grad": False}),
    (ns.eye, {"n": 3, "m": 2, "dtype": "float32"}),
    (ns.arange, {"start": 0, "stop": 5, "step": 2, "dtype": "int64"}),
    (ns.randint, {"low": 0, "high": 5, "size": (2, 3), "dtype": "int64"}),
    (ns.randperm, {"n": 5}),
    (ns.flatten, {"x": X, "start_axis": 1}),
    (ns.jvp, {"function": ns.exp, "inputs": ns.tensor(X), "vectors": X}),
    (ns.from_dlpack, {"x": X}),
    (ns.from_torch, {"source": {"weight": X}}),
    (nn.init.uniform_, {"tensor": ns.zeros(2, 3), "a": 0.0, "b": 1.0}),
    (nn.init.trunc_normal_, {"tensor": ns.zeros(2, 3), "mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0}),
    (nn.init.kaiming_uniform_, {"tensor": ns.zeros(2, 3), "a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu"}),
    (ns.data.k_fold, {"samples": 10, "k": 3}),
    (ns.data.one_hot, {"labels": [0, 1, 2], "classes": 3}),
    (ns.data.class_weights, {"labels": [0, 1, 1], "classes": 2}),
    (ns.data.DataLoader, {"dataset": ns.data.TensorDataset(X), "batch_size": 2, "shuffle": False, "num_workers": 0}),
    (F.adaptive_avg_pool2d, {"x": IMAGES, "output_size": 2}),
    (F.dropout, {"x": ns.tensor(X), "p": 0.5, "training": True}),
    (ns.training.EarlyStopping, {"monitor": "val_loss", "patience": 3, "min_delta": 0.0, "mode": "auto"}),
    (ns.training.ReduceLROnPlateau, {"monitor": "loss", "factor": 0.5, "patience": 3, "min_lr": 0.0}),
    (ns.manual_seed, {"seed": 0}),
    (ns.Generator, {"seed": 0}),
    (ns.metrics.confusion_matrix, {"prediction": [0, 1], "target": [0, 1], "classes": 2}),
]  # fmt: skip


def calls():
    """All right calls: (the name that an error has to begin with or hold, function, positional arguments, arguments by name)."""
    rng = np.random.default_rng(0)
    for function, arguments in CALLS:
        yield function.__name__, function, (), arguments
    for op in OPS.values():
        for case in op.samples:
            yield op.name, op, *case.make(rng)


def wrong(draw, every, nasty=NASTY):
    """A call with an argument replaced: its name, what was replaced, and what did not hold ("" where all did)."""
    name, function, args, kwargs = draw.choice(every)
    places = [*range(len(args)), *kwargs]
    if not places:
        return name, "", ""
    place, value = draw.choice(places), draw.choice(nasty)
    args, kwargs = list(args), dict(kwargs)
    (kwargs if isinstance(place, str) else args)[place] = value
    if draw.random() < 0.5:
        args = [ns.tensor(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]
    what = f"{name}: {place}={str(value)[:40]!r}"
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            result = function(*args, **kwargs)
            if inspect.isgenerator(result):
                list(zip(range(3), result, strict=False))
    except SENTENCES as error:
        said = str(error)
        told = name in said and len(said) < 2000 and said.isprintable()
        return name, what, "" if told else f"{type(error).__name__}: {said[:160]!r}"
    except (Exception, Slow) as error:
        return name, what, f"{type(error).__name__}: {str(error)[:160]!r}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return name, what, ""


class Slow(BaseException):
    """A call took longer than `SECONDS`."""


def limited():
    """Have this process end calls that take too long, and refuse it memory beyond measure."""

    def slow(*_):
        raise Slow

    signal.signal(signal.SIGALRM, slow)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def trials(count, seed):
    """Those of so many calls that did not hold."""
    draw, every, faults = random.Random(seed), list(calls()), {}
    for _ in range(count):
        _, what, fault = wrong(draw, every)
        if fault:
            faults.setdefault(f"{what.split('=')[0]}: {fault}", what)
    return faults


if __name__ == "__main__":
    limited()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    faults = trials(count, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(json.dumps({"calls": count, "kinds of call": len(list(calls())), "faults": len(faults)}))
    for fault, what in sorted(faults.items())[:60]:
        print(f"{what}: {fault}")
    sys.exit(bool(faults))
