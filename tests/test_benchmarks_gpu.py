"""The benchmarks on a GPU, all but the GPU: the device is `tests.standin`, and PyTorch is on the CPU where it is there.

Nothing here depends on how long anything took.
"""

import contextlib
import doctest
import functools
import importlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nnscratch.kernels.conv import definition
from nnscratch.kernels.cuda import readable

import nnscratch as ns

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
command, peers, report, runner, targets, worker, workloads = (
    importlib.import_module(f"benchmarks.gpu.{name}")
    for name in ("command", "peers", "report", "runner", "targets", "worker", "workloads")
)
Missing = importlib.import_module("benchmarks.worker").Missing
standing_in = importlib.import_module("tests.standin.instead").standing_in

SMALL = ((2, 3, 7, 6), (4, 3, 3, 3), 2, 1)
TINY = [
    workloads.product(20),
    *(workloads.convolution("conv-small", *SMALL, d, quick=True) for d in ("forward", "input", "weight")),
    workloads.s2_step(2),
    *(workloads.both(workloads.mlp, "mlp", n) for n in (1, 2, 4)),
]


def readable_run(module, kernel, shape, first, second, *settings):
    """In the place of Numba's kernels, which have tests of their own and take no arrays of the stand-in."""
    if module == "products":
        return first @ second
    stride, (top, left), dilation = settings
    conv2d = ns.backend.get("cuda").kernel("conv.conv2d")
    return conv2d(first, second, None, stride, ((top, top), (left, left)), dilation, 1)


@pytest.fixture
def gpu(monkeypatch):
    """The stand-in, with events that tell the time, and small workloads."""
    with standing_in() as cupy:
        ticks = itertools.count(1)
        monkeypatch.setattr(cupy.cuda.Event, "record", lambda self, stream=None: setattr(self, "at", next(ticks)))
        monkeypatch.setattr(cupy.cuda, "get_elapsed_time", lambda start, end: 1e3 * (end.at - start.at))
        monkeypatch.setattr(readable, "_run", readable_run)
        monkeypatch.setattr(workloads, "WORKLOADS", TINY)
        monkeypatch.setattr(worker, "CACHE", 1 << 12)
        yield cupy


class Local:
    """A process that is none: the worker, with all that goes to it and comes from it written as JSON."""

    def __init__(self, process, command):
        self.process, self.command, self.worker = process, command, None

    def answer(self):
        try:
            self.worker = worker.Worker(self.process, self.command)
        except Missing as error:
            raise runner.Ended("missing", str(error)) from None
        return self.judged(self.worker.obey("facts"))

    def ask(self, *order):
        return self.judged(self.worker.obey(*json.loads(json.dumps(order))))["value"]

    def judged(self, answer):
        for status in ("missing", "failed"):
            if status in answer:
                raise runner.Ended(status, answer[status])
        return json.loads(json.dumps(answer))

    def stop(self):
        self.worker = None


measure_peaks = worker.Worker.peaks
QUICK = ["--quick", "--rounds", "2"]


# The workloads


def test_everything_that_was_asked_for_is_measured():
    found = workloads.load("gpu")
    assert len(found) + len(workloads.load("cpu-vs-gpu")) == len(workloads.WORKLOADS)
    assert [w.size for w in found.values() if w.group == "matmul"] == [256, 512, 1024, 2048, 4096, 8192]
    assert {"nnscratch", "CuPy", "Numba naive", "Numba tiled", "Numba blocked", "torch"} < set(
        found["matmul-256"].builders
    )
    for name in ("conv-1x28", "conv-3x224", "resnet-3x224-64-7x7", "resnet-512x7-512-3x3"):
        for direction in ("forward", "input", "weight"):
            assert {"nnscratch", "nnscratch tf32", "torch", "torch tf32"} <= set(found[f"{name}-{direction}"].builders)
    assert {"Numba direct", "Numba tiled"} < set(found["conv-1x28-forward"].builders)
    assert [w.size for w in found.values() if w.group == "s2"] == [64, 512, 4096]
    assert set(found["s2-64"].builders) == {"nnscratch", "torch", "torch compiled"}
    assert [w.size for w in workloads.load("cpu-vs-gpu").values()] == 2 * [2**k for k in range(13)]


def test_resnet_50_s_convolutions_do_its_work():
    """Its layers, with how often each stands in the network, do the 4.09 thousand million multiply-adds that are stated of it."""
    times = dict.fromkeys(workloads.RESNET50, 1)
    times |= {
        (64, 56, 64, 3, 1): 3, (64, 56, 256, 1, 1): 4, (256, 56, 64, 1, 1): 2,
        (128, 28, 512, 1, 1): 4, (512, 28, 128, 1, 1): 3, (128, 28, 128, 3, 1): 3,
        (256, 14, 1024, 1, 1): 6, (1024, 14, 256, 1, 1): 5, (256, 14, 256, 3, 1): 5,
        (512, 7, 2048, 1, 1): 3, (2048, 7, 512, 1, 1): 2, (512, 7, 512, 3, 1): 2,
    }  # fmt: skip
    assert len(times) == 23 and sum(times.values()) == 53
    work = sum(n * c * o * k * k * (size // stride) ** 2 for (c, size, o, k, stride), n in times.items())
    assert work + 2048 * 1000 == pytest.approx(4.09e9, rel=1e-3)


@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
@pytest.mark.parametrize(
    "shape", [SMALL, ((2, 2, 5, 5), (3, 2, 3, 3), 1, 0), ((1, 3, 9, 8), (2, 3, 1, 1), 2, 0), ((1, 1, 4, 4), (1, 1, 3, 3), 1, 2)]
)  # fmt: skip
def test_the_truth_about_a_convolution_is_its_definition(direction, shape, monkeypatch):
    monkeypatch.setattr(workloads, "PICKS", 10**6)
    stride, padding = shape[2:]
    x, weight, g = workloads.convolution("conv-test", *shape, direction).arrays()
    geometry = workloads.geometry(stride, padding)
    wide = [a.astype(float) for a in (x, weight, g)]
    expected = {
        "forward": lambda x, w, g: definition.conv2d(x, w, None, *geometry, 1),
        "input": lambda x, w, g: definition.conv2d_input(g, w, x.shape[2:], *geometry, 1),
        "weight": lambda x, w, g: definition.conv2d_weight(g, x, w.shape[2:], *geometry, 1),
    }[direction](*wide)
    ((found,),) = workloads.true_convolution(direction, stride, padding, x, weight, g)
    np.testing.assert_allclose(found, expected.reshape(-1), rtol=1e-12, atol=1e-12)


def test_the_truth_about_a_product_is_some_of_its_elements():
    a, b = workloads.normal(1, (30, 7), (7, 40))
    ((found,),) = workloads.true_product(a, b)
    assert len(found) == workloads.PICKS
    assert found == pytest.approx(workloads.picked(a.astype(float) @ b.astype(float)))


def test_the_truth_about_a_training_is_in_float64():
    (w1, b1, w2, b2), [(x, y), *_] = workloads.training_arrays(workloads.mlp, 8)
    losses = [step[0][0] for step in workloads.true_losses(workloads.mlp, 8)]
    logits = np.maximum(x.astype(float) @ w1.T + b1, 0) @ w2.T.astype(float) + b2
    expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(8), y])
    assert losses[0] == pytest.approx(expected, rel=1e-12)
    assert len(set(losses)) == len(losses) == workloads.STEPS


def test_large_arrays_repeat_their_numbers_but_not_in_rows():
    (a,) = workloads.normal(0, (3, 1 << 20))
    assert a.dtype == np.float32 and len(np.unique(a[0])) > 900_000
    assert not np.array_equal(a[0], a[1])


# One process


class Peer:
    """A device on which a step takes so many seconds, whatever it does."""

    def __init__(self, seconds):
        self.seconds, self.calls = seconds, []

    def settings(self, name):
        return contextlib.nullcontext()

    def timed(self, step, count):
        for _ in range(count):
            step()
        self.calls.append(count)
        return self.seconds * count

    copy = staticmethod(np.copy)
    array = staticmethod(np.asarray)

    def nbytes(self, a):
        return a.nbytes


def measured(peer, sets, seen):
    def step(a):
        seen.append(a)
        return (a + 1,)

    workload = workloads.Workload("one", "", None, None, {"it": lambda peer: workloads.Run(step, sets)}, [])
    return worker.Measured(peer, workload, "it", ())


def test_a_burst_is_of_chunks_and_inputs_that_no_cache_holds(monkeypatch):
    monkeypatch.setattr(worker, "CACHE", 1000)
    peer, seen = Peer(1e-3), []
    entry = measured(peer, [(np.zeros(10),), (np.ones(10),)], seen)  # 80 bytes each
    assert entry.check(2) == [[[1.0] * 10], [[2.0] * 10]]
    entry.warm(0)
    assert len(entry.sets) * 80 >= 1000 > (len(entry.sets) - 1) * 80
    assert entry.chunk == 5 and peer.calls[-1] == 5
    seen.clear()
    assert entry.burst(0) == pytest.approx(1e-3)
    assert len({id(a) for a in seen}) == 5  # five sets in turn
    assert {a[0] for (a,) in entry.sets} == {0.0, 1.0}


def test_there_are_no_more_sets_than_are_of_use(monkeypatch):
    monkeypatch.setattr(worker, "MOST", 7)
    entry = measured(Peer(1.0), [(np.zeros(1),)], [])
    entry.warm(0)
    assert len(entry.sets) == 7 and entry.chunk == 1


def test_a_process_says_what_went_wrong_and_goes_on(gpu):
    one = worker.Worker("nnscratch", "gpu")
    assert one.obey("build", "matmul-20", "nobody", 1) == {"failed": "KeyError: 'nobody'"}
    assert one.obey("alive") == {"value": True}
    assert one.obey("drop", "nobody") == {"value": None}


def test_only_the_entry_that_names_a_precision_uses_it(gpu):
    one = worker.Worker("nnscratch", "gpu")
    errors = {}
    for entry in ("nnscratch", *(f"nnscratch {p}" for p in peers.PRECISIONS)):
        found = np.array(one.obey("build", "matmul-20", entry, 1)["value"])
        errors[entry] = abs(found - workloads.product(20).truth(*workloads.product(20).arrays())).max()
        assert ns.backend.precision.name == "float32"
    assert errors["nnscratch"] < 1e-5 < errors["nnscratch tf32"] < 1e-2 > errors["nnscratch float16"] > 1e-5
    assert errors["nnscratch bfloat16"] > 3 * errors["nnscratch tf32"]


def test_pytorch_uses_the_precision_that_the_entry_names():
    torch = pytest.importorskip("torch", reason="looks at PyTorch's own settings")
    peer = peers.Torch("cpu")
    x = torch.ones(2, 2)
    for entry, dtype in (("torch", "float32"), ("torch float16", "float16"), ("torch bfloat16", "bfloat16")):
        with peer.settings(entry):
            assert (x @ x).dtype == getattr(torch, dtype) and not torch.backends.cuda.matmul.allow_tf32
            assert peer.array(x @ x).dtype == np.float32
    with peer.settings("torch tf32"):
        assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32


def test_peaks_are_flops_and_bytes_a_second(gpu):
    found = worker.Worker("nnscratch", "gpu").peaks(0, n=4, megabytes=1)
    assert found == {"rate": 3 * 2 * 4**3, "bandwidth": 3 * 2 * 2**20}  # three steps between two ticks


@pytest.mark.parametrize("name", ["matmul", "conv2d"])
def test_an_operation_is_checked_on_the_gpu(gpu, name):
    one = worker.Worker("nnscratch", "gpu")
    assert name in one.obey("operations")["value"]
    found = one.obey("operation", name)["value"]
    assert found["problems"] == [] and found["forward"] < 16 and found["first"] < 1e-9
    before = len(gpu.cuda.log)
    one.obey("operation", name)
    assert len(gpu.cuda.log) > before


# The comparison of processes


class Scripted:
    """A process that answers as it is told: a dict of order to a value, an exception or a function of the arguments."""

    def __init__(self, answers):
        self.answers, self.orders, self.stopped = answers, [], False

    def __call__(self, process, command):
        return self

    def answer(self):
        return {"value": {"version": "1", "facts": {}}}

    def ask(self, order, *arguments):
        self.orders.append((order, *arguments))
        found = self.answers.get(order)
        found = found(*arguments) if callable(found) else found
        if isinstance(found, Exception):
            raise found
        return found

    def stop(self):
        self.stopped = True


def simple(*entries):
    return workloads.Workload(
        "one", "", lambda: (), lambda: [[[1.0, 2.0]]], dict.fromkeys(entries), [(100, 10)], tolerance=0.1
    )


def scripted(answers, *entries):
    process = Scripted(answers)
    team = runner.Team("gpu", process)
    said = []
    peaks = {"rate": 50.0, "bandwidth": 1e9}
    rows = runner.run(team, simple(*entries), entries, peaks, runner.Settings(3), said.append)
    return {row["entry"]: row for row in rows}, process, said


RIGHT = {"build": [[[1.0, 2.1]]], "alive": True}


def test_entries_take_turns_and_their_rounds_are_counted():
    bursts = itertools.count(1)
    rows, process, _ = scripted({**RIGHT, "burst": lambda *a: float(next(bursts))}, "nnscratch", "CuPy")
    assert rows["nnscratch"]["rounds"] == [1, 3, 5] and rows["nnscratch"]["median"] == 3
    assert rows["CuPy"]["rounds"] == [2, 4, 6]
    assert rows["CuPy"]["error"] == pytest.approx(0.05)
    assert rows["CuPy"]["roofline"] == 2.0 and rows["CuPy"]["flops"] == 100
    assert process.orders[-2:] == [("drop", "nnscratch"), ("drop", "CuPy")]
    assert "built" not in rows["CuPy"]


def test_who_is_far_from_the_truth_is_not_timed():
    answers = {**RIGHT, "build": lambda w, entry, n: [[[1.0, 2.1 if entry == "CuPy" else 3.0]]], "burst": 1.0}
    rows, process, said = scripted(answers, "nnscratch", "CuPy")
    assert rows["nnscratch"]["status"] == "differs" and "5.0e-01 from float64" in said[0]
    assert rows["CuPy"]["status"] == "ok"
    assert (
        "nnscratch" not in [o[1] for o in process.orders if o[0] in ("warm", "burst")]
        and ("drop", "nnscratch") in process.orders
    )


def test_fewer_digits_may_be_further_from_the_truth():
    allowed = workloads.product(4).allowed
    assert allowed("torch bfloat16") > allowed("torch tf32") == allowed("nnscratch float16") > allowed("torch") == 1e-4


def test_an_entry_that_fails_leaves_the_others_alone():
    def build(workload, entry, steps):
        return runner.Ended("failed", "no such luck") if entry == "CuPy" else [[[1.0, 2.0]]]

    rows, process, said = scripted({**RIGHT, "build": build, "burst": 1.0}, "nnscratch", "CuPy")
    assert rows["nnscratch"]["status"] == "ok" and not process.stopped
    assert (rows["CuPy"]["status"], rows["CuPy"]["why"]) == ("failed", "no such luck")
    assert said == ["  one, CuPy: failed: no such luck"] and ("drop", "CuPy") in process.orders


def test_a_device_that_no_longer_computes_ends_its_process():
    def burst(entry, seconds):
        return runner.Ended("failed", "illegal address") if entry == "CuPy" else 1.0

    rows, process, _ = scripted(
        {**RIGHT, "burst": burst, "alive": runner.Ended("failed", "illegal address")}, "nnscratch", "CuPy"
    )
    assert process.stopped
    assert rows["CuPy"]["why"] == "illegal address"
    assert rows["nnscratch"]["why"] == "its process ended with CuPy" and rows["nnscratch"]["status"] == "failed"


def test_what_is_missing_is_asked_for_once():
    class Nothing(Scripted):
        asked = 0

        def answer(self):
            Nothing.asked += 1
            raise runner.Ended("missing", "no PyTorch here")

    team = runner.Team("gpu", Nothing({}))
    for _ in range(2):
        (row,) = runner.run(team, simple("torch"), ["torch"], {}, runner.Settings(), lambda text: None)
        assert (row["status"], row["why"]) == ("missing", "no PyTorch here")
    assert Nothing.asked == 1


def test_an_operation_that_breaks_the_process_is_a_problem():
    answers = {"operations": ["sin"], "operation": runner.Ended("failed", "illegal address"), "alive": True}
    (found,) = runner.check_operations(runner.Team("gpu", Scripted(answers)), lambda text: None)
    assert found["problems"] == ["sin: illegal address"] and found["forward"] is None


# The report


def row(workload, entry, median, **more):
    return {
        "workload": workload.name, "entry": entry, "status": "ok", "rounds": [median], "median": median, "q1": median,
        "q3": median, "error": 1e-6, "flops": 1e9, "roofline": median / 2, **more
    }  # fmt: skip


FACTS = {
    "device": {"GPU": "a fast one"}, "environment": {"cpu": "a slow one"}, "versions": {"nnscratch": "1.0"}, "rounds": 7,
    "quick": False, "targets": False, "peaks": {"rate": 5e13, "bandwidth": 3e12},
}  # fmt: skip


def test_the_page_names_the_device_and_says_what_was_found(tmp_path):
    matmul, conv, *_ = TINY
    rows = [
        row(matmul, "nnscratch", 1e-3), row(matmul, "torch", 2e-3),
        row(conv, "nnscratch", 1e-3), row(conv, "torch", 1e-4),
        {"workload": conv.name, "entry": "torch tf32", "status": "failed", "why": "no luck", "rounds": []},
    ]  # fmt: skip
    checks = [
        {"operation": "sin", "forward": 1.5, "first": 1e-11, "second": None, "problems": []},
        {"operation": "cos", "forward": 0.5, "first": 1e-12, "second": 1e-9, "problems": ["cos: it is wrong"]},
    ]
    assert report.write(tmp_path, "gpu", [matmul, conv], rows, checks, FACTS) == [
        "gpu.json", "gpu.md", "gpu.png", "gpu-convolutions.png"
    ]  # fmt: skip
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert page.startswith("# Benchmark on a GPU: a fast one\n") and "products 50.0 Tflop/s, copying 3000 GB/s" in page
    assert "1 of 2 operations are right on this GPU" in page and "- cos: it is wrong" in page
    assert "in units in the last place, 1.5, the greatest relative error of a first derivative 1e-11" in page
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    wanted = ["conv-small-forward", "nnscratch at least 0.8 of the speed of torch", "0.1", "no"]
    assert wanted not in lines and "must show" not in page  # the project's own targets are for who asks for them
    page_with = report.markdown("gpu", [matmul, conv], rows, checks, FACTS | {"targets": True})
    assert wanted in [[cell.strip() for cell in line.split("|")[1:-1]] for line in page_with.splitlines()]
    assert ["matmul-20", "torch", "2.00 ms", "2.00 ms – 2.00 ms", "0.5", "0.50", "2.00", "1e-06"] in lines
    assert "- conv-small-forward, torch tf32: failed: no luck" in page
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["operations"] == checks
    assert all((tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in ("gpu", "gpu-convolutions"))
    beside = report.plot_beside([matmul, conv], rows, FACTS).axes[0]
    assert {line.get_label(): line.get_xdata()[0] for line in beside.lines} == {"torch": 10, "nnscratch": 1}


def test_every_entry_has_a_look():
    entries = {e for w in workloads.WORKLOADS if w.command == "gpu" for e in w.builders}
    assert {e.removesuffix(f" {peers.precision(e)}") for e in entries} <= set(report.LOOKS)
    assert set(report.LINES) == {None, *peers.PRECISIONS}


def test_the_page_says_where_the_gpu_overtakes(tmp_path):
    family = TINY[-3:]
    rows = [row(w, "CPU", t, roofline=None) for w, t in zip(family, (1.0, 2.0, 4.0), strict=True)]
    rows += [row(w, "GPU", 2.0) for w in family]
    assert "cpu-vs-gpu.png" in report.write(tmp_path, "cpu-vs-gpu", family, rows, [], FACTS)
    page = (tmp_path / "cpu-vs-gpu.md").read_text(encoding="utf-8")
    assert "The GPU is the faster from 4 on; the lines meet at about 2." in page
    assert "from the smallest size" in "".join(report.crossing_lines("mlp", family, [row(w, "GPU", 0.1) for w in family] + rows[:3]))  # fmt: skip
    assert "the CPU is the faster" in "".join(report.crossing_lines("mlp", family, [row(w, "GPU", 9.0) for w in family] + rows[:3]))  # fmt: skip
    assert "not measured on both" in report.crossing_lines("mlp", family, rows[:3])[0]


def test_nothing_measured_is_a_page_without_a_plot(tmp_path):
    assert report.write(tmp_path, "gpu", TINY[:1], [], [], FACTS) == ["gpu.json", "gpu.md"]
    assert report.write(tmp_path, "cpu-vs-gpu", TINY[-1:], [], [], FACTS) == ["cpu-vs-gpu.json", "cpu-vs-gpu.md"]


def test_targets_compare_the_fastest():
    rows = [row(TINY[0], "Numba naive", 8.0), row(TINY[0], "Numba blocked", 4.0), row(TINY[0], "CuPy", 2.0)]
    target = targets.Target(["Numba naive", "Numba blocked"], ["CuPy"], 0.5)
    assert target.value(rows) == 0.5 and target.met(0.5) and not target.met(0.49)
    assert str(target) == "the best of Numba naive, Numba blocked at least 0.5 of the speed of CuPy"
    assert target.value(rows[:2]) is None


# The command


@pytest.fixture
def small(gpu, monkeypatch):
    """The GPU's command on the stand-in, all in this process."""
    monkeypatch.setattr(worker.Worker, "peaks", lambda self, *settings: measure_peaks(self, 0, 16, 1))
    monkeypatch.setattr(worker.Worker, "operations", lambda self: ["add", "matmul"])

    def torch():
        pytest.importorskip("torch", reason="needs PyTorch")
        return peers.Torch("cpu")

    def no_torch():
        raise Missing("no PyTorch")

    there = importlib.util.find_spec("torch") is not None
    monkeypatch.setitem(peers.PROCESSES, "torch", torch if there else no_torch)
    for w in TINY:
        monkeypatch.setattr(w, "quick", True)
    return there


def test_the_whole_command_on_the_stand_in(small, tmp_path, capsys):
    assert command.main("gpu", [*QUICK, "--out", str(tmp_path)], Local) == 0, capsys.readouterr().out
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    status = {(r["workload"], r["entry"]): (r["status"], r.get("why")) for r in found["rows"]}
    assert set(status) == {(w.name, e) for w in TINY if w.command == "gpu" for e in w.builders}
    for (name, entry), (state, why) in status.items():
        if entry.startswith("torch") and not small:
            assert (state, why) == ("missing", "no PyTorch")
        elif entry != "torch compiled":
            assert state == "ok", (name, entry, why)
    assert all(len(r["rounds"]) == 2 for r in found["rows"] if r["status"] == "ok")
    assert [c["operation"] for c in found["operations"]] == ["add", "matmul"]
    assert found["device"]["CuPy"].startswith("14.2.0 (stand-in)") and found["versions"]["nnscratch"] == ns.__version__
    assert (tmp_path / "gpu.png").exists() and "stand-in" in (tmp_path / "gpu.md").read_text(encoding="utf-8")


def test_cpu_against_gpu_on_the_stand_in(small, tmp_path, capsys):
    options = [*QUICK, "--no-operations", "--workloads", "mlp-step", "--out", str(tmp_path)]
    assert command.main("cpu-vs-gpu", options, Local) == 0, capsys.readouterr().out
    found = json.loads((tmp_path / "cpu-vs-gpu.json").read_text(encoding="utf-8"))
    assert {(r["workload"], r["entry"], r["status"]) for r in found["rows"]} == {
        (f"mlp-step-{n}", entry, "ok") for n in (1, 2, 4) for entry in ("CPU", "GPU")
    }
    page = (tmp_path / "cpu-vs-gpu.md").read_text(encoding="utf-8")
    assert "| GPU's speed ÷ CPU's |" in page and re.search("The GPU is the faster|the CPU is the faster", page)


def test_a_wrong_operation_makes_the_exit_status_1(small, tmp_path, monkeypatch):
    monkeypatch.setattr(
        worker.Worker, "operation", lambda self, name: {
            "operation": name, "forward": 99.0, "first": None, "second": None, "problems": [f"{name}: is wrong"], "seconds": 1.0
        },
    )  # fmt: skip
    assert command.main("gpu", [*QUICK, "--workloads", "matmul", "--out", str(tmp_path)], Local) == 1
    assert "0 of 2 operations are right" in (tmp_path / "gpu.md").read_text(encoding="utf-8")


def test_an_interrupted_run_writes_what_there_is(small, tmp_path, monkeypatch, capsys):
    run = runner.run

    def once(team, workload, *more):
        if workload is not TINY[0]:
            assert "matmul-20" in (tmp_path / "gpu.md").read_text(encoding="utf-8")  # also for who is killed
            raise KeyboardInterrupt
        return run(team, workload, *more)

    monkeypatch.setattr(runner, "run", once)
    assert command.main("gpu", [*QUICK, "--no-operations", "--out", str(tmp_path)], Local) == 0
    assert "stopped: what follows" in capsys.readouterr().out
    rows = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]
    assert {r["workload"] for r in rows} == {"matmul-20"}


def test_processes_of_their_own(tmp_path):
    (tmp_path / "cupy").mkdir()
    program = f"""
import itertools, sys
sys.path.append({str(ROOT)!r})
from tests import standin
ticks = itertools.count()
standin.cuda.Event.record = lambda self, stream=None: setattr(self, "at", next(ticks))
standin.cuda.get_elapsed_time = lambda start, end: end.at - start.at
print("whatever it prints")
sys.modules["cupy"] = standin
"""
    (tmp_path / "cupy" / "__init__.py").write_text(program)
    options = ["--quick", "--no-operations", "--workloads", "matmul-256", "--rounds", "1", "--out", str(tmp_path)]
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "gpu", *options],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {r["entry"]: r for r in json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]}
    assert rows["nnscratch"]["status"] == rows["CuPy"]["status"] == "ok" and rows["CuPy"]["error"] < 1e-5
    assert rows["Numba tiled"]["status"] == "failed"  # the stand-in's arrays are none of CUDA's
    assert re.match(r"\w+Error: ", rows["Numba tiled"]["why"])
    assert rows["torch"]["status"] in ("missing", "ok")


@pytest.mark.parametrize("name", ["gpu", "cpu-vs-gpu"])
def test_without_a_gpu_it_says_so_in_one_sentence(name):
    if "cuda" in ns.devices():
        pytest.skip("there is a GPU")
    done = subprocess.run([sys.executable, "-m", "benchmarks", name], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"benchmarks {name}: device: 'cuda' is not available, as ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workloads", "s9"], "no workload or group is called 's9'; choose among matmul, conv, resnet, s2"),
        (["--rounds", "0"], "--rounds is 0, expected at least 1"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_sentence(arguments, words, capsys):
    with pytest.raises(SystemExit) as leaving:
        command.main("gpu", arguments)
    assert leaving.value.code == 2 and words in capsys.readouterr().err


def test_names_groups_and_families_choose_workloads():
    everything = list(workloads.load("cpu-vs-gpu").values())
    chosen = functools.partial(command.choose, everything)
    assert [w.name for w in chosen(["s2-step"], True)] == ["s2-step-16", "s2-step-64"]
    assert [w.name for w in chosen(["mlp-step-4"], False)] == ["mlp-step-4"]
    assert chosen([], False) == everything


@pytest.mark.parametrize(
    "module", [command, peers, report, runner, targets, worker, workloads], ids=lambda m: m.__name__
)
def test_examples(module):
    assert doctest.testmod(module).failed == 0
