"""What docs/threads.md says of threads; `python tests/threads.py` asks for 10,000 answers."""

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from nnscratch.kernels import blas, threads

import nnscratch as ns
from nnscratch import nn

pytestmark = pytest.mark.cpu
PROGRAM = Path(__file__).with_name("threads.py")
_spec = importlib.util.spec_from_file_location("side_by_side", PROGRAM)
program = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(program)
X, Y, side_by_side = program.X, program.Y, program.side_by_side


def test_many_threads_predict_while_another_trains():
    """In a process of its own, which a hang does not outlive."""
    done = subprocess.run([sys.executable, PROGRAM, "400"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"answers": 400, "wrong": 0' in done.stdout


@pytest.mark.parametrize("own", [True, False])
def test_two_models_trained_side_by_side_are_those_trained_alone(own):
    alone = [program.bits(program.trained(seed)) for seed in (1, 2)]
    both, hanging = side_by_side(*(lambda seed=seed: program.bits(program.trained(seed, own=own)) for seed in (1, 2)))
    assert hanging == 0
    assert both == alone
    assert both[0] != both[1]


def test_predicting_during_fit_changes_nothing_of_it():
    alone, model = program.bits(program.trained(3)), []

    class Asked(ns.training.Callback):
        """Another thread predicts, with the same model, in the middle of each epoch."""

        def on_batch_end(self, trainer, batch, logs):
            (found,), _ = side_by_side(lambda: (trainer.predict(X[:8]), [m.training for m in trainer.model.modules()]))
            assert all(found[1])
            np.testing.assert_array_equal(found[0], trainer.predict(X[:8]))
            assert all(m.training for m in trainer.model.modules())
            model.append(trainer.model)

    with ns.Generator(3):
        net = program.network()
        trainer = ns.Trainer(net, "cross_entropy", ns.optim.Adam(net.parameters()))
        trainer.fit(X, Y, epochs=2, batch_size=32, verbose=False, callbacks=[Asked()])
    assert program.bits(trainer) == alone
    assert len(model) == 8


def test_a_mode_that_is_set_within_a_step_ends_with_it():
    layer = nn.Dropout(0.5)
    with nn.module.modes([(layer, False)]):
        assert not layer.training
        layer.train()
        assert layer.training
        assert side_by_side(lambda: layer.training)[0] == [True]
        layer.eval()
        assert side_by_side(lambda: layer.training)[0] == [True], "the layer's own mode is as it was"
    assert layer.training
    layer.eval()
    assert side_by_side(lambda: layer.training)[0] == [False]


def test_gradients_of_several_threads_add_up():
    w = ns.tensor(np.zeros(500), requires_grad=True)

    def passes(k):
        for _ in range(200):
            (w * float(k)).sum().backward()

    side_by_side(*(lambda k=k: passes(k) for k in range(1, 9)))
    np.testing.assert_array_equal(w.grad.numpy(), np.full(500, 200.0 * 36))


def test_threads_draw_from_their_own_stream_or_the_processs():
    ns.manual_seed(0)
    first = ns.backend.cpu.rng.random(3)
    ns.manual_seed(0)
    before = ns.backend.cpu.rng.bit_generator.state

    def seeded():
        ns.manual_seed(0)
        return ns.backend.cpu.rng.random(3)

    (own,), _ = side_by_side(seeded)
    np.testing.assert_array_equal(own, first)
    assert ns.backend.cpu.rng.bit_generator.state == before
    (drawn,), _ = side_by_side(lambda: ns.backend.cpu.rng.random(3))
    np.testing.assert_array_equal(drawn, first)
    assert ns.backend.cpu.rng.bit_generator.state != before


def test_a_generator_goes_on_where_it_was_left():
    stream = ns.Generator(4)
    with stream:
        a = ns.backend.cpu.rng.random(2)
        with ns.Generator(5):
            other = ns.backend.cpu.rng.random(2)
        b = ns.backend.cpu.rng.random(2)
    with stream:
        c = ns.backend.cpu.rng.random(2)
    with ns.Generator(4):
        np.testing.assert_array_equal(np.concatenate([a, b, c]), ns.backend.cpu.rng.random(6))
        ns.manual_seed(5)
        np.testing.assert_array_equal(ns.backend.cpu.rng.random(2), other)
    for wrong in (-1, 0.5, True, "0"):
        with pytest.raises((TypeError, ValueError), match="^Generator: seed is"):
            ns.Generator(wrong)


def test_blocks_belong_to_their_thread():
    entered, leave = threading.Event(), threading.Event()

    def within():
        with ns.no_grad(), ns.use_precision("tf32"), ns.Generator(1), ns.use_device("cpu"):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=within)
    thread.start()
    entered.wait(60)
    try:
        assert ns.is_grad_enabled()
        assert ns.backend.precision.name == "float32"
        assert ns.backend.random.current() is ns.backend.random.shared
    finally:
        leave.set()
        thread.join()


def test_a_large_product_is_not_computed_at_anothers_setting(monkeypatch):
    """It waits until nobody has BLAS at one thread, whoever comes later waits for it, and nobody waits for oneself."""
    number, seen = [2], []
    monkeypatch.setattr(blas, "_number_of_threads", lambda: (lambda n: number.__setitem__(0, n), lambda: number[0]))
    monkeypatch.setattr(blas, "LEAST", 0)
    inside, leave = threading.Event(), threading.Event()

    def small():
        with blas.one_thread():
            inside.set()
            leave.wait(60)

    def large():
        inside.wait(60)
        return blas._large(lambda: seen.append(number[0]))

    running = [threading.Thread(target=call) for call in (small, large)]
    for thread in running:
        thread.start()
    inside.wait(60)
    while not blas.one_thread._large:
        pass
    later = threading.Thread(target=lambda: blas.dot(np.ones((2, 3)), np.ones((3, 2))))
    later.start()
    assert seen == []
    leave.set()
    for thread in (*running, later):
        thread.join(60)
        assert not thread.is_alive()
    assert seen == [2]
    with blas.one_thread():
        blas._large(lambda: seen.append(number[0]))
    assert seen == [2, 1]
    (held,), _ = side_by_side(lambda: _beside_a_long_block(number))
    assert held == 1
    assert number == [2]
    assert (blas.one_thread._inside, blas.one_thread._long, blas.one_thread._large) == (0, 0, 0)


def _beside_a_long_block(number):
    with blas.one_thread(long=True):
        return side_by_side(lambda: blas._large(lambda: number[0]))[0][0]


@pytest.mark.parametrize("most", [0, 1])
def test_fewer_threads_than_were_asked_for(most, monkeypatch, caplog):
    start, started = threading.Thread.start, []

    def refuses(thread):
        if thread.name == "nnscratch":
            if len(started) == most:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuses)
    monkeypatch.setattr(threads, "parts_to_do", None)
    monkeypatch.setattr(threads, "count", lambda: 4)
    done = []
    for _ in range(2):
        threads.split(8, 8 * threads.LEAST, lambda begin, end: done.append((begin, end)))
    assert sorted(done) == sorted([(0, 2), (2, 4), (4, 6), (6, 8)] * 2)
    assert [r.getMessage() for r in caplog.records] == [
        f"nnscratch: the system starts no more than {most + 1} of 4 threads, so work is divided among fewer"
    ]
