"""Devices: how they are found and refused, what moves between them, and what must be the same on each.

The device "cuda" is a GPU's where there is one, and else `tests.standin`; what is asked here of either holds for both.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import backend, nn, optim
from nnscratch.autograd import OPS
from nnscratch.cli import main
from nnscratch.testing.operations import Row
from nnscratch.training import Callback, Checkpoint, Trainer
from tests.standin.instead import standing_in

F = ns.functional
ROOT = Path(__file__).parent.parent


@pytest.fixture
def standin():
    """The stand-in, in CuPy's place."""
    with standing_in() as module:
        yield module


@pytest.fixture(params=["standin", "cuda"])
def cuda(request):
    """The device "cuda"."""
    if request.param == "cuda":
        try:
            backend.get("cuda")
        except ValueError as error:
            pytest.skip(str(error))
    with standing_in() if request.param == "standin" else contextlib.nullcontext():
        ns.manual_seed(0)
        yield "cuda"


# How a device is found, and what is said where there is none


def python(program, **environment):
    """Run a program in a fresh interpreter; returns the lines it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_work_on_the_cpu_never_loads_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("raise RuntimeError('CuPy was imported')")
    program = """
import sys, numpy as np, nnscratch as ns
model = ns.nn.Sequential(ns.nn.Linear(3, 4), ns.nn.Dropout(0.5), ns.nn.Linear(4, 2))
trainer = ns.Trainer(model, "mse", ns.optim.Adam(model.parameters()), scheduler=None)
trainer.fit(np.ones((8, 3)), np.ones((8, 2)), epochs=2, verbose=False)
ns.gradcheck(ns.exp, [np.ones(2)])
model.to("cpu")
from nnscratch.cli import main
main(["systems"])
print("cupy" in sys.modules)
"""
    assert python(program, PYTHONPATH=str(tmp_path))[-1] == "False"


def test_a_broken_cupy_is_one_sentence(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('''\\n=====\\nlibcuda.so.1 is missing\\n=====''')")
    program = "import nnscratch as ns\ntry: ns.tensor([1.0]).to('cuda')\nexcept ValueError as error: print(error)\nprint(ns.devices())"
    said, listed = python(program, PYTHONPATH=str(tmp_path))
    assert said == (
        "device: 'cuda' is not available, as CuPy does not load (libcuda.so.1 is missing); install nnscratch[gpu] "
        "(for CUDA 12, nnscratch[gpu-cu12]) anew"
    )
    assert listed == "['cpu']"


def missing_library(standin, monkeypatch):
    def fail():
        raise RuntimeError(
            "CuPy failed to load libnvrtc.so.13: OSError: libnvrtc.so.13: cannot open shared object file"
        )

    monkeypatch.setattr(standin.cuda.nvrtc, "getVersion", fail)


def full_memory(standin, monkeypatch):
    def fail(*arguments):
        raise standin.cuda.memory.OutOfMemoryError("Out of memory allocating 512 bytes")

    monkeypatch.setattr(standin, "zeros", fail)


OBSTACLES = {
    "no driver": (lambda s, m: m.setattr(s.cuda.runtime, "driver", 0), "there is no NVIDIA driver; install one"),
    "an old driver": (
        lambda s, m: m.setattr(s.cuda.runtime, "driver", 12020),
        "the NVIDIA driver knows CUDA 12.2, CuPy was built for 13.2; update the driver, or install nnscratch[gpu-cu12]",
    ),
    "a very old driver": (lambda s, m: m.setattr(s.cuda.runtime, "driver", 11040), "for 13.2; update the driver"),
    "no GPU": (lambda s, m: m.setattr(s.cuda.runtime, "devices", 0), "there is no GPU .* look at `nvidia-smi`"),
    "no memory": (full_memory, "the GPU refuses to work .Out of memory allocating 512 bytes.; see by `nvidia-smi`"),
    "no library": (missing_library, "a CUDA library is missing or does not load .*libnvrtc.so.13.*; install CUDA's"),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_keeps_a_gpu_from_being_used_is_one_sentence(obstacle, standin, monkeypatch, capsys):
    arrange, words = OBSTACLES[obstacle]
    for name in ("cuda", standin.ndarray):
        backend._by_name.pop(name, None)
    arrange(standin, monkeypatch)
    for ask in (
        lambda: ns.tensor([1.0], device="cuda"),
        lambda: nn.Linear(2, 1).to("cuda"),
        lambda: backend.get("cuda"),
    ):
        with pytest.raises(ValueError, match=words.replace("[", r"\[")) as caught:
            ask()
        assert str(caught.value).startswith("device: 'cuda' is not available, as ")
        assert "\n" not in str(caught.value)
    assert ns.devices() == ["cpu"]
    with pytest.raises(SystemExit):
        main(["train", "regression-3-5-1", "--device", "cuda"])
    said = capsys.readouterr().err
    assert said.startswith("nnscratch train: argument --device: 'cuda' is not available") and said.count("\n") == 1
    assert main(["info"]) == 0
    assert "'cuda' is not available, as" in capsys.readouterr().out


def test_a_device_that_is_none_is_refused():
    for name in ("gpu", "cuda:0", 0):
        with pytest.raises(ValueError, match="is not available, expected one of 'cpu', 'cuda'.*CUDA_VISIBLE_DEVICES"):
            ns.tensor([1.0], device=name)


def test_info_describes_the_gpu(standin, capsys):
    assert ns.devices() == ["cpu", "cuda"]
    assert main(["info"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "devices cpu, cuda",
        "GPU Stand-in, compute capability 9.0",
        "60.0 GiB of 80.0 GiB free",
        "up to CUDA 13.2",
    ):
        assert words in said


def test_memory_that_runs_out_names_the_operation(standin, monkeypatch):
    x, w = (ns.tensor(np.ones(s, "float32"), device="cuda") for s in ((2, 3, 8, 8), (4, 3, 3, 3)))

    def full(*arguments):
        raise standin.cuda.memory.OutOfMemoryError("Out of memory allocating 1,073,741,824 bytes")

    monkeypatch.setattr(backend.get("cuda"), "kernel", lambda name: full)
    with pytest.raises(
        MemoryError, match=r"^conv2d: out of memory \(Out of memory allocating .*pass fewer samples at a time"
    ):
        F.conv2d(x, w)


# Moving


def test_tensors_move_and_gradients_come_back(cuda):
    x = ns.tensor([1.0, 2.0], requires_grad=True)
    there = x.to("cuda")
    assert (there.device, x.device) == ("cuda", "cpu") and there.to("cuda") is there
    y = (there**2).sum()
    y.backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [2, 4]
    (g,) = ns.grad((x.to("cuda") ** 3).sum().to("cpu"), [x], create_graph=True)
    assert ns.grad(g.sum(), x).tolist() == [6, 12]
    assert repr(there.detach()) == "tensor([1., 2.], device='cuda')"
    assert there.numpy().tolist() == there.tolist() == np.asarray(there).tolist() == [1, 2]


def test_what_names_no_device_goes_where_use_device_says(cuda):
    with ns.use_device("cuda"):
        assert ns.tensor([1.0]).device == nn.Linear(2, 1).weight.device == "cuda"
        assert ns.tensor([1.0], device="cpu").device == "cpu"
    assert ns.tensor([1.0]).device == "cpu"
    array = ns.tensor([1.0], device="cuda").data
    assert ns.Tensor(array).device == "cuda" and ns.Tensor(array, device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="not available"), ns.use_device("tpu"):
        pass


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )


def images(n=24):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.standard_normal((n, 1, 8, 8)).astype("float32")
    x[np.arange(n), 0, y * 2] += 2
    return x, y


def step(model, optimizer, x, y, device):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(ns.tensor(x, device=device)), ns.tensor(y, device=device), from_logits=True)
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize(
    "make", [lambda p: optim.SGD(p, 0.05, momentum=0.9), lambda p: optim.Adam(p, 0.01), lambda p: optim.AdamW(p, 0.01)]
)
def test_a_model_and_its_optimiser_move_in_the_middle_of_training(make, cuda):
    x, y = images()
    losses = {}
    for places in (["cpu"] * 6, ["cpu", "cpu", "cuda", "cuda", "cpu", "cpu"], ["cuda"] * 6):
        ns.manual_seed(1)
        model = network()
        optimizer = make(model.parameters())
        losses[tuple(places)] = []
        for place in places:
            model.to(place)
            losses[tuple(places)].append(step(model, optimizer, x, y, place))
            assert {t.device for t in (*model.parameters(), *model.buffers())} == {place}
            assert all(p.grad.device == place for p in model.parameters())
    alone, *others = losses.values()
    for other in others:
        assert other == pytest.approx(alone, rel=1e-4)
    assert alone[-1] < alone[0]


def test_a_gradient_left_on_another_device_is_refused():
    with standing_in():
        p = ns.tensor([1.0], requires_grad=True)
        p.grad = ns.tensor([1.0], device="cuda")
        with pytest.raises(ValueError, match=r"SGD: parameter 0 is on cpu, its .grad on cuda, expected one device"):
            optim.SGD([p], 0.1).step()


def test_weights_saved_on_one_device_load_on_the_other(cuda, tmp_path):
    a, b = network().to("cuda"), network()
    ns.save(a, tmp_path / "a.safetensors")
    b.load_state_dict(ns.load(tmp_path / "a.safetensors"))
    a.load_state_dict({name: ns.tensor(value) for name, value in b.state_dict().items()})
    for (name, ours), theirs in zip(a.named_parameters(), b.parameters(), strict=True):
        assert (ours.device, theirs.device) == ("cuda", "cpu")
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), name)


def test_optimiser_states_load_on_either_device(cuda):
    x, y = images()
    for here, there in (("cpu", "cuda"), ("cuda", "cpu")):
        ns.manual_seed(1)
        model = network().to(here)
        optimizer = optim.Adam(model.parameters(), 0.01)
        step(model, optimizer, x, y, here)
        other = network().to(there)
        other.load_state_dict(model.state_dict())
        copied = optim.Adam(other.parameters(), 0.5)
        copied.load_state_dict(optimizer.state_dict())
        assert step(other, copied, x, y, there) == pytest.approx(step(model, optimizer, x, y, here), rel=1e-5)
        assert step(other, copied, x, y, there) == pytest.approx(step(model, optimizer, x, y, here), rel=1e-4)


class Interrupted(Exception):
    """What ends a run."""


class Interrupt(Callback):
    """Ends a run after its second epoch."""

    def on_epoch_end(self, trainer, epoch, logs):
        if epoch == 2:
            raise Interrupted


def trainer_on(device):
    ns.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 3), nn.Softmax()).to(
        device
    )
    return Trainer(model, "cross_entropy", optim.Adam(model.parameters(), 0.01), ["accuracy"])


def fit(trainer, path, *callbacks, **settings):
    x, y = images(40)
    return trainer.fit(
        x, y, epochs=4, batch_size=16, verbose=False, callbacks=[Checkpoint(path, 1), *callbacks], **settings
    )


@pytest.mark.parametrize(("first", "second"), [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_goes_on_where_it_was_interrupted_on_either_device(first, second, cuda, tmp_path):
    whole = trainer_on(second)
    fit(whole, tmp_path / "whole")
    begun = trainer_on(first)
    with pytest.raises(Interrupted):
        fit(begun, tmp_path / "begun", Interrupt())
    resumed = trainer_on(second)
    history = fit(resumed, tmp_path / "resumed", resume=tmp_path / "begun")
    assert history.epochs == 4 and len(history["loss"]) == 4
    if first == second:  # to the last bit, dropout's random numbers included
        assert history["loss"] == whole.history["loss"]
        for name, value in resumed.model.state_dict().items():
            assert value.tobytes() == whole.model.state_dict()[name].tobytes()
    else:
        assert history["loss"][:1] == begun.history["loss"][:1]
        assert np.isfinite(history["loss"]).all()


# What is the same


def test_a_seed_gives_the_same_bits_again_and_the_same_start_on_every_device(cuda, tmp_path):
    runs = []
    for _ in range(2):
        trainer = trainer_on("cuda")
        fit(trainer, tmp_path / "a")
        runs.append({name: a.tobytes() for name, a in trainer.model.state_dict().items()})
    assert runs[0] == runs[1]
    starts = [{name: a.tobytes() for name, a in trainer_on(d).model.state_dict().items()} for d in ("cpu", "cuda")]
    assert starts[0] == starts[1]


def test_dropout_on_a_gpu_follows_the_seed_and_draws_anew(cuda):
    x = ns.tensor(np.ones((50, 40), "float32"), device="cuda")
    drawn = []
    for seed in (3, 3, 4):
        ns.manual_seed(seed)
        drawn += [F.dropout(x, 0.3).numpy(), F.dropout(x, 0.3).numpy()]
    assert (drawn[0] == drawn[2]).all() and (drawn[1] == drawn[3]).all()
    assert (drawn[0] != drawn[1]).any() and (drawn[0] != drawn[4]).any()
    assert set(np.unique(drawn[0])) == {0, np.float32(1 / 0.7)}
    assert drawn[0].mean() == pytest.approx(1, abs=0.05)


def test_data_may_lie_on_a_gpu_too(cuda, tmp_path):
    x, y = images(16)
    there = [ns.tensor(a, device="cuda") for a in (x, y)]
    losses = []
    for given in ((x, y), there, [t.data for t in there]):
        trainer = trainer_on("cuda")
        losses.append(trainer.fit(*given, batch_size=8, verbose=False)["loss"])
        assert trainer.evaluate(*given)["accuracy"] >= 0
    assert losses[0] == losses[1] == losses[2]


def test_every_backend_can_do_the_same(standin):
    def public(b):
        return {name for name in dir(b) if not name.startswith("_")}

    cpu, there = backend.get("cpu"), backend.get("cuda")
    assert public(cpu) <= public(there)
    assert public(there) - public(cpu) == {"xp", "definitions", "describe"}
    for b in (cpu, there):
        assert type(b.asarray([1, 2])) is type(b.zeros((2,), "float32")) is type(b.arange(3)) is b.array
        assert b.asarray([1, 2]).dtype == np.float32 and b.to_numpy(b.arange(3)).tolist() == [0, 1, 2]
        assert b.as_result(np.float64(1)).shape == () and backend.of(b.arange(2)) is b
        b.synchronize()
        with pytest.raises(TypeError, match="tensor: dtype must be"):
            b.asarray(b.arange(2), "complex128")
        with pytest.raises(TypeError, match="expected real numbers"):
            b.asarray(["a"])


def test_every_operation_finds_its_kernel_on_every_device(standin):
    names = {op.kernel_name for op in OPS.values() if op.kernel_name} | {"dropout.mask", "bounds.outside"}
    assert {"conv.conv2d", "softmax.softmax", "loss.cross_entropy", "normalise.standardize"} <= names
    for name in names:
        assert callable(backend.get("cuda").kernel(name))
        assert name == "dropout.mask" or callable(backend.cpu.kernel(name))
    with pytest.raises(LookupError, match="kernel: nnscratch.kernels has no 'softmax.hard'; give it a definition"):
        backend.cpu.kernel("softmax.hard")


# Layers and losses


def test_a_loss_looks_past_a_sigmoid_where_nothing_is_recorded(cuda):
    logit = ns.tensor([[200.0]], device="cuda")  # a sigmoid of 1, whose loss only the logit knows
    with ns.no_grad():
        loss = F.binary_cross_entropy(nn.Sigmoid()(logit), ns.tensor([[0.0]], device="cuda"))
    assert loss.item() == 200


def test_a_layer_before_an_activation_says_what_does_not_fit(cuda):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).to("cuda")
    with (
        ns.no_grad(),
        pytest.raises(ValueError, match="linear: x has 4 features, weight expects 3 .*check in_features"),
    ):
        model(ns.tensor(np.ones((1, 4)), device="cuda"))


# What looks at a computation


def test_gradients_of_a_module_on_a_gpu_are_checked_there(cuda):
    model = nn.Sequential(nn.Linear(3, 4, dtype="float64"), nn.Tanh()).to("cuda")
    assert ns.gradcheck(model, [np.ones((2, 3))], order=2).passed
    assert ns.gradcheck(lambda x: (x**2).sum(), [ns.tensor([1.0], dtype="float64", device="cuda")]).passed
    assert {p.device for p in model.parameters()} == {"cuda"}

    @ns.op
    def halved(x):
        return x / 2

    halved.rule("x")(lambda g: g)
    with pytest.raises(ns.GradientError, match="halved: its rule for x gives .* 2 times as much"):
        ns.gradcheck(halved, [ns.tensor([1.0, 3.0], dtype="float64", device="cuda")])


def test_graphs_and_explanations_show_what_is_on_a_gpu(cuda):
    x = ns.tensor([[1.0, -2.0]], device="cuda")
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).to("cuda")
    loss = model(x).sum()
    here = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    here.load_state_dict(model.state_dict())
    assert str(ns.graph(loss)) == str(ns.graph(here(ns.tensor([[1.0, -2.0]])).sum()))
    assert "linear" in str(ns.explain(loss))
    assert "on cuda" in x._repr_html_()
    assert str(model.summary((2,))) == str(here.summary((2,)))


# Mixing


MIXABLE = sorted(
    {
        name
        for name, op in OPS.items()
        if op.constant is not True and any(len(Row(op, c).inputs) > 1 for c in op.samples)
    }
)


@pytest.mark.parametrize("name", MIXABLE)
def test_mixing_devices_names_the_operation_both_devices_and_the_call_that_mends_it(name, standin):
    op = OPS[name]
    row = next(r for r in (Row(op, case) for case in op.samples) if len(r.inputs) > 1)
    for moved in row.inputs:
        args = [
            ns.Tensor(a, device="cuda" if i == moved else "cpu") if i in row.inputs else a
            for i, a in enumerate(row.args)
        ]
        with pytest.raises(
            ValueError, match=rf"^{name}: got .*on c.*, expected one device; move one, for example by .to\('c"
        ):
            op(*args, **row.kwargs)


def test_mixing_elsewhere_is_refused_too(standin):
    x = ns.tensor([[0.5, 0.5]], device="cuda")
    for loss, words in (
        (F.mse_loss, "mse_loss: got prediction on cuda, target on cpu, expected one device; move one"),
        (F.l1_loss, "l1_loss: got prediction on cuda, target on cpu, expected one device; move one"),
        (F.binary_cross_entropy, "prediction is on cuda, target on cpu, .* move the target"),
        (F.cross_entropy, "prediction is on cuda, target on cpu, .* move the target"),
    ):
        with pytest.raises(ValueError, match=words):
            loss(x, np.array([[0.0, 1.0]], "float32"))
    with pytest.raises(ValueError, match="assignment: the tensor is on cuda, the value on cpu"):
        x[0] = ns.tensor([1.0, 2.0])
    y = (ns.tensor([1.0], device="cuda", requires_grad=True) * 2).sum()
    with pytest.raises(ValueError, match="the gradient passed in is on cpu, the output on cuda"):
        y.backward(ns.tensor(1.0))
    model = nn.Linear(2, 1).to("cuda")
    with pytest.raises(ValueError, match="linear: got x on cpu, weight on cuda, bias on cuda"):
        model(ns.tensor([[1.0, 2.0]]))


# Where CuPy is more lenient than NumPy


def test_indices_out_of_range_are_refused_and_the_last_of_several_values_stays(cuda):
    x = ns.tensor([1.0, 2.0, 3.0], device="cuda")
    for call in (
        lambda: x[[0, 3]],
        lambda: ns.take(x, [-4]),
        lambda: ns.put(x, [5], 0.0),
        lambda: F.embedding([3], ns.tensor([[1.0]], device="cuda")),
        lambda: x.__setitem__([7], 1.0),
        lambda: ns.take_along_axis(x, [3], 0),
    ):
        with pytest.raises(IndexError, match="is out of range"):
            call()
    assert ns.put(x, [0, 0, 2], ns.tensor([5.0, 6.0, 7.0], device="cuda")).tolist() == [6, 2, 7]
    x[[1, 1]] = ns.tensor([8.0, 9.0], device="cuda")
    assert x.tolist() == [1, 9, 3]
    x[1:] = [4, 5]
    x[x > 4.5] = 6
    assert x.tolist() == [1, 4, 6]
    indices = ns.tensor([2, 0], dtype="int64")
    assert x[indices].tolist() == x[indices.to("cuda")].tolist() == [6, 1]
    assert ns.tensor([1.0, 2.0])[ns.tensor([1], dtype="int64", device="cuda")].tolist() == [2]


def test_single_numbers_are_indexed_and_summed(cuda):
    # CuPy's zeros_like takes the shape () for none given
    x = ns.tensor(3.0, device="cuda", requires_grad=True)
    (g,) = ns.grad((x[None] ** 2).sum(), [x], create_graph=True)
    assert g.shape == () and g.item() == 6
    assert ns.grad(g, x).item() == 2
    y = ns.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    assert ns.grad(ns.put(y, np.array(1), ns.tensor(5.0, device="cuda"))[..., 1] * 2, y).tolist() == [0, 0]
    v = ns.tensor(4.0, device="cuda", requires_grad=True)
    assert ns.grad(ns.put(y.detach(), np.array(1), v).sum(), v).item() == 1


# Batches


def test_batches_are_copied_ahead_from_pinned_memory_on_a_stream_of_their_own(standin):
    there = backend.get("cuda")
    batches = [(np.full((2, 3), i, "float32"), np.array([i, i])) for i in range(3)]
    main, log = standin.cuda.get_current_stream(), standin.cuda.log
    log.clear()
    seen = []
    for arrays, (x, y) in there.prefetch(batches):
        seen.append(arrays[0] is batches[len(seen)][0])
        log.append(("compute", len(seen) - 1))
        assert x.get().tolist() == arrays[0].tolist() and y.get().tolist() == arrays[1].tolist()
    assert seen == [True] * 3
    order = [entry[0] for entry in log if entry[0] in ("pin", "set", "compute")]
    # the second batch is under way before the first is computed with, and so on
    assert order == ["pin", "pin", "set", "set"] * 2 + ["compute"] + ["pin", "pin", "set", "set"] + ["compute"] * 2
    copying = {entry[-1] for entry in log if entry[0] == "set"}
    assert len(copying) == 1 and main not in copying
    # the copying waits for what the arrays' memory may still be used for, and the computing for the copies
    waits = [(entry[1] is main, entry[2]) for entry in log if entry[0] == "wait"]
    marks = {entry[2]: entry[1] is main for entry in log if entry[0] == "record"}
    assert [on_main for on_main, _ in waits] == [False, False, True, False, True, True]
    assert all(marks[event] != on_main for on_main, event in waits)


def test_a_network_trains_through_the_cuda_kernels_as_through_array_functions():
    emulator = importlib.import_module("tests.cuda_emulator")
    if not emulator.compiler():
        pytest.skip("the emulator of CUDA needs g++ 12 or later on Linux")
    x, y = images(8)
    losses = []
    for definitions in (True, False):
        with standing_in(definitions):
            ns.manual_seed(2)
            model = network().to("cuda")
            optimizer = optim.Adam(model.parameters(), 0.01)
            losses.append([step(model, optimizer, x, y, "cuda") for _ in range(3)])
            assert backend.get("cuda").definitions is definitions
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("system", ["regression-3-5-1", "worked-2-3-1", "hand-written-mlp", "binary-classifier"])
def test_the_command_trains_on_the_device_it_is_told(system, cuda, tmp_path, capsys):
    said = {}
    for device in ("cpu", "cuda"):
        out = tmp_path / device
        assert main(["train", system, "--device", device, "--epochs", "1", "--out", str(out)]) == 0
        said[device] = json.loads((out / "metrics.json").read_text())["history"]["loss"]
    assert said["cuda"] == pytest.approx(said["cpu"], rel=1e-5, abs=1e-12)
