"""Nan: a step that would learn it is not taken, nothing with it is saved, and `ns.detect_nan` names what made the first."""

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn, optim
from nnscratch.training import Callback, Checkpoint, EarlyStopping, Trainer

pytestmark = [pytest.mark.cpu, pytest.mark.filterwarnings("ignore::RuntimeWarning")]
X, Y = np.zeros((8, 3), np.float32), np.zeros((8, 1), np.float32)


def distance(prediction, target):
    """Finite at 0, where its gradient is none."""
    return ns.sqrt(ns.mean((prediction - target) ** 2))


def exact(nan="raise", momentum=0.0):
    """A Trainer of a network that predicts its targets exactly."""
    model = nn.Linear(3, 1)
    with ns.no_grad():
        model.bias[...] = 0.0
    return Trainer(model, distance, optim.SGD(model.parameters(), lr=0.1, momentum=momentum), nan=nan)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_with_a_gradient_of_nan_is_not_taken(accumulate):
    trainer = exact(momentum=0.9)
    before = trainer.step.state_dict()
    with pytest.raises(
        RuntimeError, match=r"^fit: epoch 1, batch 1: the gradient by model\.weight has values that are no finite"
    ):
        trainer.fit(X, Y, batch_size=4, accumulate=accumulate, verbose=False)
    for name, array in before["model"].items():
        np.testing.assert_array_equal(trainer.model.state_dict()[name], array)
    assert trainer.step.state_dict()["optimizer"]["steps"] == [0, 0]


def test_with_allow_training_goes_on_and_what_is_saved_says_so(tmp_path):
    trainer = exact("allow")
    trainer.fit(X, Y, batch_size=4, epochs=2, verbose=False, callbacks=[Checkpoint(tmp_path / "run")])
    assert np.isnan(trainer.model.weight.numpy()).all()
    with pytest.raises(ValueError, match=r"^Trainer: nan is 'skip'; pass 'raise' or 'allow'"):
        exact("skip")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_neither_kept_nor_written(value, tmp_path):
    """They were set by something else than a step: a callback, after the last batch of the second epoch."""
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    model = nn.Linear(3, 1)
    trainer = Trainer(model, "mse", optim.SGD(model.parameters(), lr=0.01))

    class Break(Callback):
        def on_batch_end(self, trainer, batch, logs):
            if trainer.history.epochs == 1 and batch == 2:
                model.weight.data[0, 1] = value

    stop = EarlyStopping("loss")
    callbacks = [Break(), stop, Checkpoint(tmp_path / "run"), Checkpoint(tmp_path / "best", monitor="loss")]
    with pytest.raises(
        RuntimeError, match=r"^fit: epoch 2, batch 2: model\.weight has values that are no finite numbers"
    ):
        trainer.fit(x, x[:, :1], epochs=3, batch_size=4, verbose=False, callbacks=callbacks)
    for name in ("run", "best"):
        tensors, _ = ns.state_files.read_checkpoint(tmp_path / name)
        assert all(np.isfinite(a).all() for a in tensors.values())
    assert all(np.isfinite(a).all() for own in stop._weights.values() for a in own.values())
    with pytest.raises(RuntimeError, match=r"^save_checkpoint: training is in the middle of epoch 2"):
        trainer.save_checkpoint(tmp_path / "run")


def test_large_gradients_are_no_nan():
    """Their squares are infinite, they are not."""
    array = np.full(10, 1e30, np.float32)
    assert ns.training.step.finite(array)
    assert ns.training.step.finite(np.full(10, 6e4, np.float16))
    for value in (np.nan, np.inf, -np.inf):
        array[3] = value
        assert not ns.training.step.finite(array)
        assert not ns.training.step.finite(array.astype(np.float16))


def here():
    """Where the next line stands."""
    import inspect

    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + 1}"


def test_the_operation_and_its_line_are_named():
    x = ns.tensor([-1.0, 2.0], requires_grad=True)
    with ns.detect_nan():
        line = here()
        with pytest.raises(
            FloatingPointError, match=r"^detect_nan: the result of log is the first nan, called at "
        ) as caught:
            ns.log(x)
        assert f"called at {line.rpartition(':')[0]}:" in str(caught.value)
        assert np.isfinite(ns.exp(x).numpy()).all()
        nan = ns.tensor(np.nan) * 2  # which was given, and not made
        (nan + x).sum().backward()
    assert np.isnan(ns.log(x).numpy()[0])
    assert type(x).__name__ == "Tensor"


def test_in_a_backward_pass_too_and_with_the_infinity_it_comes_of():
    x = ns.tensor([0.0, 0.0], requires_grad=True)
    with ns.detect_nan():
        square = x * x
        line = here()
        y = ns.sqrt(ns.mean(square))
    with pytest.raises(FloatingPointError) as caught:
        y.backward()
    said = str(caught.value)
    assert said.startswith("detect_nan: the gradient of multiply by ")
    assert f"the first infinity was the gradient of sqrt by x, called at {line}" in said


def test_in_fit_epoch_and_batch_are_named():
    with (
        ns.detect_nan(),
        pytest.raises(FloatingPointError, match=r"^fit: epoch 1, batch 1: detect_nan: the gradient of power by"),
    ):
        exact().fit(X, Y, batch_size=4, verbose=False)


def test_outside_its_blocks_nothing_is_looked_at():
    call = ns.autograd.Op.__call__
    with ns.detect_nan(), ns.detect_nan():
        assert ns.autograd.Op.__call__ is not call
    assert ns.autograd.Op.__call__ is call
    assert np.isnan(ns.log(ns.tensor(-1.0)).item())


def test_operations_of_several_results_and_networks_pass():
    rng = np.random.default_rng(0)
    model = nn.LSTM(3, 4)
    with ns.detect_nan():
        out, _ = model(ns.tensor(rng.normal(size=(5, 2, 3)).astype(np.float32)))
        out.sum().backward()
    ns.grad(out.sum(), model.parameters(), create_graph=True)
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())
