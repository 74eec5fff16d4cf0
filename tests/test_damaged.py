"""What is refused changes nothing: damaged checkpoints, other runs, states that do not fit; `python tests/damaged.py` tries 20,000."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn, optim

pytestmark = pytest.mark.cpu
_spec = importlib.util.spec_from_file_location("damaged", Path(__file__).with_name("damaged.py"))
damaged = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(damaged)
X, Y = damaged.X, damaged.Y


@pytest.mark.filterwarnings("ignore")
def test_what_is_refused_changes_nothing():
    figures, wrong = damaged.trials(60, 7)
    assert not wrong
    assert figures["refused"] > 30 and figures["taken"] > 0


@pytest.mark.parametrize("build", damaged.RUNS)
def test_what_is_not_damaged_is_taken(build, tmp_path):
    parts = damaged.written(build, tmp_path / "run")
    trainer, settings = damaged.fresh(build, parts, b"")[3:]
    before = damaged.everything(trainer, settings)
    trainer.fit(resume=tmp_path / "run", **settings)
    assert trainer.history.epochs == 3
    assert damaged.everything(trainer, settings) != before


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError, KeyError])
def test_whatever_ends_the_taking_over_puts_all_back(end, tmp_path, monkeypatch):
    """The last thing that is taken over fails, when all else has been."""
    damaged.written(damaged.with_momentum, tmp_path / "run")
    trainer, settings = damaged.begun(damaged.with_momentum)
    before = damaged.everything(trainer, settings)

    def fails(found, values, states):
        raise end("in the middle")

    monkeypatch.setattr(ns.training.inventory.Inventory, "take_over", fails)
    with pytest.raises(KeyboardInterrupt if end is KeyboardInterrupt else ValueError):
        trainer.fit(resume=tmp_path / "run", **settings)
    assert damaged.everything(trainer, settings) == before


def test_a_step_takes_all_its_parts_states_or_none():
    trainer, _ = damaged.begun(damaged.with_adam)
    state = trainer.step.state_dict()
    for name in state["model"]:
        state["model"][name] = state["model"][name] + 1
    del state["optimizer"]["steps"]
    before = damaged.image([trainer.model, trainer.optimizer])
    with pytest.raises(ValueError, match=r"Adam\.load_state_dict: the state is damaged"):
        trainer.step.load_state_dict(state)
    assert damaged.image([trainer.model, trainer.optimizer]) == before


@pytest.mark.parametrize("wrong", [None, math.nan, math.inf, -1, -1.0, True, "0.1", [0.1], np.ones(2), 10**400])
def test_rates_that_are_none_are_refused_where_they_are_set(wrong):
    w = ns.tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    for settle in (
        lambda: optimizer.param_groups[0].__setitem__("lr", wrong),
        lambda: optimizer.param_groups[0].update(eps=1.0, lr=wrong),
        lambda: setattr(optimizer, "lr", wrong),
    ):
        with pytest.raises((TypeError, ValueError), match="^Adam: lr is .*expected a"):
            settle()
    assert optimizer.param_groups[0] == {**optimizer.state_dict()["groups"][0], "params": [w], "betas": (0.9, 0.999)}
    assert optimizer.lr == 0.1


def test_an_interrupted_epoch_is_not_saved(tmp_path):
    model = nn.Linear(3, 2)
    trainer = ns.Trainer(model, lambda p, y: (p * p).mean(), optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(RuntimeError, match=r"^save_checkpoint: nothing was trained yet"):
        trainer.save_checkpoint(tmp_path / "run")

    class Stop(ns.training.Callback):
        def on_batch_end(self, trainer, batch, logs):
            if trainer.history.epochs == 1 and batch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, 3, 8, verbose=False, callbacks=[Stop()])
    with pytest.raises(RuntimeError, match=r"^save_checkpoint: training is in the middle of epoch 2, "):
        trainer.save_checkpoint(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    trainer.fit(X, Y, 1, 8, verbose=False)
    trainer.save_checkpoint(tmp_path / "run")


@pytest.mark.parametrize("sizes", [(4, 1), (1, 4), (4, 4, 1, 1), (1, 1, 4)])
def test_a_single_sample_of_a_stream_joins_its_neighbours(sizes):
    seen = []

    class Seeing(nn.Module):
        def forward(self, x):
            if self.training:
                seen.append(len(x))
            return x

    model = nn.Sequential(Seeing(), nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Softmax())
    trainer = ns.Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=0.1))
    ends = np.cumsum(sizes)
    batches = [(X[e - n : e], Y[e - n : e]) for n, e in zip(sizes, ends, strict=True)]
    with pytest.warns(UserWarning, match="joins the batch before it"):
        trainer.fit(lambda: iter(batches), epochs=1, verbose=False)
    assert sum(n for n in seen if n > 1) == sum(sizes)


@pytest.mark.parametrize("at", ["first epoch", "second epoch"])
def test_the_advice_after_ctrl_c_leads_somewhere(at, tmp_path, monkeypatch, capsys):
    from nnscratch.cli import main

    update, steps = ns.training.Supervised.update, []

    def interrupted(step, *batch):
        steps.append(0)
        if len(steps) == (2 if at == "first epoch" else 40):
            raise KeyboardInterrupt
        return update(step, *batch)

    monkeypatch.setattr(ns.training.Supervised, "update", interrupted)
    command = ["train", "binary-classifier", "--epochs", "9", "--out", str(tmp_path)]
    assert main(command) == 130
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert ("--resume" in said) == (at == "second epoch")
    assert main([*command, *(["--resume"] if "--resume" in said else [])]) == 0
