"""A program for `mpiexec`: trains small networks on all ranks, and has rank 0 print what became of them; see `test_distributed`.

``python tests/ranks.py JOB FOLDER...``
"""

import hashlib
import json
import os
import signal
import sys

import numpy as np

import nnscratch as ns
from nnscratch import nn
from nnscratch.training import Checkpoint, EarlyStopping

EPOCHS = 2
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(43, 1, 8, 8)).astype("f")
TOKENS = RNG.integers(0, 9, (22, 6))
NEXT = np.roll(TOKENS, -1, 1)
NEXT[:, -1] = -1
LABELS = (IMAGES.mean((1, 2, 3)) > 0).astype(np.int64)


class Writer(nn.Module):
    def __init__(self, dropout=0.2):
        self.embedding = nn.Embedding(9, 8)
        self.drop = nn.Dropout(dropout)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, batch_first=True)
        self.dense = nn.Linear(8, 9)

    def forward(self, tokens):
        return F.softmax(self.dense(self.block(self.drop(self.embedding(tokens)), is_causal=True)))


class Reader(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(9, 6)
        self.lstm = nn.LSTM(6, 5, 1, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(10, 9)

    def forward(self, tokens):
        return F.softmax(self.dense(self.lstm(self.embedding(tokens))[0]))


F = ns.functional


def cnn(norm=False):
    middle = [nn.BatchNorm2d(4)] if norm else []
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), *middle, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2), nn.Softmax()
    )


def writing_loss(prediction, target):
    """The mean over the labels that count, and how many those are: another number on each rank."""
    counts = int((target.numpy() != -1).sum())
    return F.cross_entropy(prediction, target, ignore_index=-1), counts


JOBS = {
    "cnn": (lambda: cnn(), "cross_entropy", (IMAGES, LABELS), 10, ["accuracy", "f1"]),
    "norm": (lambda: cnn(True), "cross_entropy", (IMAGES, LABELS), 10, ["accuracy"]),
    "gpt": (Writer, writing_loss, (TOKENS, NEXT), 8, []),
    "bilstm": (Reader, writing_loss, (TOKENS, NEXT), 8, []),
}


def train(name, ranks, epochs=EPOCHS, callbacks=(), **settings):
    """A Trainer that was trained: for two epochs, the last batch smaller than there are ranks."""
    made, loss, data, batch, metrics = JOBS[name]
    ns.manual_seed(5)
    model = made()
    trainer = ns.Trainer(
        model, loss, ns.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), metrics, distributed=ranks
    )
    held = tuple(a[:7] for a in data)
    trainer.fit(*data, epochs, batch, validation_data=held, callbacks=callbacks, verbose=False, **settings)
    return trainer


def told(trainer):
    """The weights' digest, some of them, and the history."""
    state = trainer.model.state_dict()
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(state[k]).tobytes() for k in sorted(state))).hexdigest()
    flat = np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in state.values()])
    history = {k: v for k, v in trainer.history.items() if k not in ("seconds", "lr")}
    return {"digest": digest, "weights": flat.tolist(), "history": history}


def main(folder):
    """What `test_distributed` compares."""
    average = ns.distributed.mpi(bucket_bytes=512)
    ordered = ns.distributed.mpi("ordered")
    alone = average.size == 1
    found = {"size": average.size}
    for name in ("cnn", "gpt", "bilstm"):
        found[name] = told(train(name, None if alone else average))
        found[f"{name} ordered"] = told(train(name, ordered))
    found["norm"] = told(train("norm", None if alone else ns.distributed.mpi(batch_norm=True)))
    found["accumulated"] = told(train("cnn", None if alone else average, accumulate=2))
    found["stopped"] = train("cnn", None if alone else average, 9, [EarlyStopping("val_loss", 1, 9.0)]).history.epochs
    path = os.path.join(folder, "checkpoint")
    if alone:
        found["resumed"] = told(train("gpt", ordered, resume=path)) if os.path.exists(path) else None
    else:
        train("gpt", ordered, 1, [Checkpoint(path)])
        found["same"] = len(set(average.gather(found["gpt"]["digest"]))) == 1
    return found


def refused(ranks):
    """The sentence with which ranks of different data are refused, on this rank."""
    JOBS["cnn"] = (*JOBS["cnn"][:2], (IMAGES + ranks.rank, LABELS), *JOBS["cnn"][3:])
    ranks.fail = lambda error: None
    try:
        train("cnn", ranks)
    except ValueError as error:
        return str(error)


class Fault(ns.training.Callback):
    """Something that goes wrong on one rank after so many batches."""

    def __init__(self, kind, here, rank, batch):
        self.kind, self.mine, self.left = kind, here.rank == rank, batch

    def on_batch_end(self, trainer, batch, logs):
        self.left -= 1
        if self.left or not self.mine:
            return
        if self.kind == "nan":
            with ns.no_grad():
                next(trainer.model.parameters())[...] = np.nan
        elif self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise {"exception": KeyError, "memory": MemoryError}[self.kind]("planted")

    def state_dict(self):
        return None


def faulty(folder, kind, rank, batch):
    """A run of 4 epochs of 5 batches, in which a rank fails after so many."""
    here = ns.distributed.mpi()
    print(f"rank {here.rank} is process {os.getpid()}", flush=True)
    train("cnn", here, 4, [Fault(kind, here, rank, batch), Checkpoint(os.path.join(folder, "checkpoint"))])


if __name__ == "__main__":
    job, folder = sys.argv[1:3]
    if job == "train":
        result = main(folder)
        here = ns.distributed.mpi()
        if here.size > 1:
            result["refused"] = here.gather(refused(here))
        if here.rank == 0:
            with open(os.path.join(folder, f"{here.size}.json"), "w") as file:
                json.dump(result, file)
    else:
        faulty(folder, sys.argv[3], *map(int, sys.argv[4:6]))
