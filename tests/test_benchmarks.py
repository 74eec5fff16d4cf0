"""The benchmark's logic: workloads, comparison, roofline, report. Nothing here depends on how long anything took."""

import doctest
import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import nnscratch as ns

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
cpu, peers, report, roofline, runner, targets, worker, workloads = (
    importlib.import_module(f"benchmarks.{name}")
    for name in ("cpu", "peers", "report", "roofline", "runner", "targets", "worker", "workloads")
)

ALL = workloads.load()
RIVALS = {"nnscratch", "torch", "jax", "dezero", "tinygrad"}


def frameworks(workload):
    return {peers.Entry.read(entry).peer for entry in workload.builders}


def built(name, quick=True):
    """nnscratch's run of a workload."""
    run = ALL[name].builders["nnscratch"](*ALL[name].arrays(quick))
    return run if isinstance(run, workloads.Run) else workloads.Run(run)


def losses(name, steps):
    step = built(name).step
    return [step()[0].item() for _ in range(steps)]


# The workloads


def test_everything_that_was_asked_for_is_measured():
    assert {w.group for w in ALL.values()} == set(workloads.GROUPS)
    for name in ("s1", "mlp", "s2", "inference-1", "inference-256"):
        assert frameworks(ALL[name]) == RIVALS
    for name in ("s2", "inference-256", "conv-1x28"):
        assert {"torch channels_last", "torch NCHW", "jax NCHW", "jax NHWC"} < set(ALL[name].builders)
    assert [w.name for w in ALL.values() if w.group == "matmul"] == [f"matmul-{2**k}" for k in range(6, 12)]
    sizes = {name: [w.size for w in family] for name, family in report.families(ALL.values()).items()}
    assert sizes["scaling-batch"] == [2**k for k in range(13)]
    assert sizes["scaling-depth"][0] == 10 and sizes["scaling-depth"][-1] == 10_000


@pytest.mark.parametrize("workload", ALL.values(), ids=ALL)
def test_a_workload_is_complete(workload):
    assert "nnscratch" in workload.builders
    assert frameworks(workload) <= set(peers.NAMES)
    assert workload.title and workload.name.startswith(workload.group)
    assert all(flops >= 0 and size > 0 for flops, size in workload.operations)
    assert all(target.baseline in (None, "roofline", *frameworks(workload)) for target in targets.of(workload))


def test_every_target_belongs_to_a_workload():
    assert set(targets.WANTED) <= {name for w in ALL.values() for name in (w.name, w.group)}


def test_single_operations_are_held_to_pytorch_s_time():
    names = ["gelu", "silu", "elu", "leaky_relu", "sigmoid", "softplus", "embedding"]
    names += [f"{name}-{shape}" for name in ("softmax", "log_softmax") for shape in ("16x4x64x64", "2048x1000")]
    rows = [f"operations-{name}" for name in names] + ["conv-depthwise"]
    for name in rows:
        assert [(t.figure, t.limit, t.baseline) for t in targets.of(ALL[name])] == [("time", 0.9, "torch")]
    assert {name for name, w in ALL.items() if w.group == "operations"} == set(rows[:-1])
    assert {"torch channels_last", "torch NCHW"} < set(ALL["conv-depthwise"].builders)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("conv-1x28", [(64, 1, 28, 28), (32, 1, 3, 3), (32,), (64, 32, 26, 26)]),
        ("conv-32x13", [(64, 32, 13, 13), (64, 32, 3, 3), (64,), (64, 64, 11, 11)]),
        ("conv-64x32", [(32, 64, 32, 32), (64, 64, 3, 3), (64,), (32, 64, 30, 30)]),
        ("conv-3x224", [(16, 3, 224, 224), (64, 3, 7, 7), (64,), (16, 64, 112, 112)]),
        ("conv-depthwise", [(8, 64, 32, 32), (64, 1, 3, 3), (64,), (8, 64, 32, 32)]),
        ("operations-gelu", [(32, 32, 32, 32)] * 2),
        ("operations-softmax-16x4x64x64", [(16, 4, 64, 64)] * 2),
        ("operations-log_softmax-2048x1000", [(2048, 1000)] * 2),
        ("operations-embedding", [(1000, 256), (64, 20, 256), (64, 20)]),
    ],
)
def test_the_operations_have_the_shapes_asked_for(name, shapes):
    assert [a.shape for a in ALL[name].arrays(True)] == shapes


def test_data_are_the_same_each_time_and_float32():
    for name in ("s1", "mlp", "s2", "overhead-forward", "norm-layer", "operations-elu", "operations-embedding"):
        first, second = (flat(ALL[name].arrays(True)) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert {a.dtype for a in first} <= {np.dtype(np.float32), np.dtype(np.int64)}


def flat(value):
    """The arrays in nested lists and tuples."""
    return [value] if isinstance(value, np.ndarray) else [a for v in value for a in flat(v)]


def test_s1_takes_the_steps_that_its_formulas_state():
    (w1, b1, w2, b2), [(x, y)] = ALL["s1"].arrays(True)
    w1, b1, w2, b2 = (a.astype(np.float64) for a in (w1, b1, w2, b2))
    expected = []
    for _ in range(5):
        hidden = 1 / (1 + np.exp(-(x @ w1.T + b1)))
        out = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
        expected.append(np.mean((out - y) ** 2))
        last = 2 / len(x) * (out - y) * out * (1 - out)
        before = last @ w2 * hidden * (1 - hidden)
        w2, b2 = w2 - 0.1 * last.T @ hidden, b2 - 0.1 * last.sum(0)
        w1, b1 = w1 - 0.1 * before.T @ x, b1 - 0.1 * before.sum(0)
    np.testing.assert_allclose(losses("s1", 5), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["s1", "mlp", "s2"])
def test_training_lowers_the_loss(name):
    found = losses(name, 12)
    assert np.mean(found[-4:]) < np.mean(found[:4])


def test_mlp_and_s2_begin_at_the_loss_of_guessing():
    assert losses("mlp", 1)[0] == pytest.approx(np.log(10), rel=0.2)
    assert losses("s2", 1)[0] == pytest.approx(np.log(10), rel=0.2)


def test_the_chain_and_its_gradient():
    x, factor, summand = ALL["overhead-forward"].arrays(True)
    (y,) = built("overhead-forward").step()
    expected = x
    for _ in range(50):
        expected = expected * factor + summand
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5)
    run = built("overhead-backward")
    for _ in range(2):  # gradients do not add up over steps
        np.testing.assert_allclose(run.step(run.before())[0].numpy(), factor**50, rtol=1e-5)


REPEATED = ["conv-1x28", "conv-depthwise", "cross_entropy-64x10", "norm-layer"]


@pytest.mark.parametrize("name", [*REPEATED, *(name for name, w in ALL.items() if w.group == "operations")])
def test_a_step_returns_result_and_gradients_and_can_be_repeated(name):
    run = built(name)
    first, second = ([a.numpy().copy() for a in run.step()] for _ in range(2))
    assert len(first) > 1
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_operations_and_their_gradients_are_those_of_their_formulas():
    x, gradient = (a.astype(np.float64) for a in ALL["operations-silu"].arrays(True))
    y, back = (a.numpy() for a in built("operations-silu").step())
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(y, x * s, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back, gradient * s * (1 + x * (1 - s)), rtol=1e-4, atol=1e-5)
    x, gradient = (a.astype(np.float64) for a in ALL["operations-softmax-2048x1000"].arrays(True))
    y, back = (a.numpy() for a in built("operations-softmax-2048x1000").step())
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(y, p, rtol=1e-4)
    np.testing.assert_allclose(back, p * (gradient - (p * gradient).sum(1, keepdims=True)), rtol=1e-3, atol=1e-6)
    rows, gradient, indices = ALL["operations-embedding"].arrays(True)
    y, back = (a.numpy() for a in built("operations-embedding").step())
    expected = np.zeros(rows.shape)
    np.add.at(expected, indices, gradient)
    assert np.array_equal(y, rows[indices])
    np.testing.assert_allclose(back, expected, rtol=1e-4, atol=1e-5)


def test_inference_gives_the_logits_of_the_training_network():
    weights, images = ALL["inference-1"].arrays(True)
    (y,) = built("inference-1").step()
    assert y.shape == (1, 10) and not y.requires_grad
    again = peers.load("nnscratch").fill(workloads.s2.network(ns.nn), weights)(ns.tensor(images[0]))
    np.testing.assert_allclose(y.numpy(), again.numpy(), rtol=1e-6)


def test_matmul_is_matmul():
    a, b = ALL["matmul-64"].arrays(True)
    np.testing.assert_allclose(built("matmul-64").step()[0].numpy(), a @ b, rtol=1e-5, atol=1e-4)


def test_a_deep_network_trains_from_its_first_layer_to_its_last():
    module = importlib.import_module("benchmarks.workloads.scaling")
    weights, batches = module.deep_arrays(True, 40)
    step = module.deep(weights, batches)
    found = [step()[0].item() for _ in range(10)]
    assert found[-1] < found[0] < 1


def test_an_epoch_is_trained_and_the_share_outside_its_parts_found(monkeypatch):
    monkeypatch.setattr(ns.Tensor, "backward", ns.Tensor.backward)  # is wrapped in a clock
    module = importlib.import_module("benchmarks.workloads.epoch")
    weights, x, y = module.arrays(True)
    run = module.in_nnscratch(weights, x[:130], y[:130])
    assert len(run.step()) == 1
    assert set(run.notes()) == {module.OUTSIDE}
    assert 0 < run.notes()[module.OUTSIDE] < 1


def test_an_epoch_whose_trainer_left_something_out_is_not_measured(monkeypatch):
    monkeypatch.setattr(ns.Tensor, "backward", ns.Tensor.backward)
    module = importlib.import_module("benchmarks.workloads.epoch")
    weights, x, y = module.arrays(True)
    run = module.in_nnscratch(weights, x[:64], y[:64])
    monkeypatch.setattr(ns.Trainer, "fit", lambda *args, **settings: {"loss": [0.0], "seconds": [1.0]})
    with pytest.raises(RuntimeError, match="no longer calls"):
        run.step()


# The comparison


def test_only_who_differs_from_nnscratch_is_told_so():
    right = [[[1.0, 2.0]], [[0.5, 0.25]]]
    close = [[[1.0, 2.0001]], [[0.5, 0.25]]]
    wrong = [[[1.0, 2.0]], [[0.5, 0.26]]]
    found = {"torch": wrong, "nnscratch": right, "jax": close, "dezero": [[[np.nan, 2.0]], [[0.5, 0.25]]]}
    sentences = runner.disagreements(found, 1e-4)
    assert set(sentences) == {"torch", "dezero"}
    assert sentences["torch"] == "step 2 differs from nnscratch's by 2.0e-02, at most 0.0001 allowed"
    assert sentences["dezero"].startswith("step 1 differs from nnscratch's by inf")
    assert runner.disagreements({}, 1e-4) == {}


def test_results_of_another_shape_differ():
    assert "inf" in runner.disagreements({"nnscratch": [[[1.0]]], "torch": [[[1.0, 2.0]]]}, 1e-4)["torch"]


def test_a_fingerprint_tells_arrays_apart():
    small = np.arange(6.0).reshape(2, 3)
    assert worker.fingerprint(small) == [0, 1, 2, 3, 4, 5]
    large = np.arange(1000.0)
    found = worker.fingerprint(large)
    assert found[0] == 499.5 and found[1] == pytest.approx(np.sqrt((large**2).mean()))
    assert found[2] == 0 and found[-1] == 999
    assert worker.fingerprint(large[::-1]) != found


def test_every_library_is_held_to_the_threads():
    for threads in (1, 2):
        found = peers.environment(threads)
        assert {v for k, v in found.items() if k.endswith("_THREADS")} == {str(threads)}
        assert f"intra_op_parallelism_threads={threads}" in found["XLA_FLAGS"]


def test_who_is_not_told_to_keep_memory_is_measured_told_too():
    told = [str(peers.Entry.read(e)) for e in ("torch NCHW, memory kept", "jax, memory kept")]
    assert told == ["torch NCHW, memory kept", "jax, memory kept"]
    assert [peers.Entry.read(e).builder for e in told] == ["torch NCHW", "jax"]
    assert runner.row(ALL["s2"], told[0], 1) | {"peer": "torch", "layout": "NCHW", "kept": True} == runner.row(
        ALL["s2"], told[0], 1
    )


@pytest.mark.skipif(not peers.can_keep(), reason="needs glibc's mallopt")
def test_a_peer_is_told_what_nnscratch_tells_the_c_library(monkeypatch):
    calls = []

    class Library:
        def __init__(self, name):
            self.mallopt = lambda which, value: calls.append((which, value)) or 1

    backend = importlib.import_module("nnscratch.backend.cpu")
    monkeypatch.delenv("NNSCRATCH_KEEP_MEMORY", raising=False)
    monkeypatch.setattr("ctypes.CDLL", Library)
    assert backend._keep_memory.__wrapped__()
    names = {-3: "MALLOC_MMAP_THRESHOLD_", -1: "MALLOC_TRIM_THRESHOLD_", -2: "MALLOC_TOP_PAD_"}
    assert {names[which]: str(value) for which, value in calls} == peers.KEEPING


@pytest.mark.skipif(not peers.can_keep(), reason="needs glibc's mallopt")
def test_only_the_rows_of_kept_memory_have_the_settings(monkeypatch):
    started = []

    class Process:
        def __init__(self, *arguments, env, **settings):
            started.append(env)

        def kill(self):
            pass

        communicate = kill

    monkeypatch.setattr(runner.subprocess, "Popen", Process)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")  # of whoever runs the benchmark: the plain row is without it
    for entry in ("torch NCHW", "torch NCHW, memory kept"):
        runner.Worker(entry, "s2", 1, True).stop()
    plain, kept = started
    assert not set(peers.KEEPING) & set(plain)
    assert peers.KEEPING.items() <= kept.items()
    assert {k: v for k, v in kept.items() if k not in peers.KEEPING} == plain


def test_a_target_counts_against_the_better_row_of_a_peer():
    rows = [
        canned("s2", "nnscratch", 0.02),
        canned("s2", "torch", 0.05, "channels_last"),
        canned("s2", "torch", 0.025, "channels_last", kept=True),
    ]
    assert targets.verdicts(ALL["s2"], rows)[0][1:] == (pytest.approx(0.8), False)
    lines = [line for line in report.section(ALL["s2"], rows) if line.startswith("| torch")]
    assert [line.split("|")[1].strip() for line in lines] == ["torch channels_last", "torch channels_last, memory kept"]


# The roofline


def test_the_roofline_counts_flops_and_bytes():
    assert roofline.product(2, 3, 4) == (48, 4 * (6 + 12 + 8))
    forward, *_ = roofline.convolution((1, 3, 5, 5), (8, 3, 3, 3), (1, 8, 3, 3))
    assert forward == (2 * 72 * 27, 4 * (75 + 216 + 72))
    assert roofline.adam(10) == [(120, 280)]


def test_the_first_layer_s_gradient_by_its_input_is_not_work():
    assert len(roofline.linear(64, 784, 128, first=True)) == len(roofline.linear(64, 784, 128)) - 1


def test_each_operation_of_a_roofline_is_bound_by_its_own_limit():
    busy, heavy = (1000, 1), (1, 1000)
    assert roofline.seconds([busy, heavy], rate=100, bandwidth=100) == 20
    assert roofline.seconds([], rate=100, bandwidth=100) == 0


def test_s2_s_flops_are_those_of_its_layers():
    convolutions = 2 * 64 * (26 * 26 * 32 * 9 * 2 + 11 * 11 * 64 * 288 * 3)
    dense = 2 * 64 * (1600 * 64 + 64 * 10) * 3
    flops = sum(flops for flops, _ in ALL["s2"].operations)
    assert convolutions + dense < flops < 1.05 * (convolutions + dense)


def test_inference_is_the_forward_half_of_a_step():
    flops = sum(flops for flops, _ in ALL["inference-256"].operations)
    step = sum(flops for flops, _ in workloads.s2.operations(256))
    assert 0.3 < flops / step < 0.4


def test_the_machine_s_rates_are_measured():
    assert all(value > 0 for value in roofline.Rates(quick=True).burst().values())


# The report


def canned(workload, peer, median, layout="", threads=1, memory=2**20, **more):
    """A row as a run would give it."""
    return {
        "workload": workload, "threads": threads, "peer": peer, "layout": layout, "kept": False, "status": "ok", "version": "1.0",
        "rounds": [median] * 3, "q1": median, "median": median, "q3": median, "memory": memory, "process": 3 * memory,
        "first": 0.5, "rate": 1e11, "bandwidth": 1e10, "roofline": 0.01, "notes": {}, **more
    }  # fmt: skip


ROWS = [
    canned("s2", "nnscratch", 0.02, memory=2**20),
    canned("s2", "torch", 0.05, "NCHW", memory=4 * 2**20),
    canned("s2", "torch", 0.04, "channels_last", memory=2 * 2**20),
    canned("s2", "dezero", 0.1),
    {**runner.row(ALL["s2"], "jax NCHW", 1), "status": "missing", "why": "No module named 'jax'"},
]
FACTS = {
    "environment": {"cpu": "a processor"},
    "versions": {"nnscratch": "1.0"},
    "rounds": 3,
    "quick": False,
    "targets": False,
}


def test_targets_are_held_against_the_best_layout():
    found = {str(target): (value, met) for target, value, met in targets.verdicts(ALL["s2"], ROWS)}
    assert found["time ÷ torch's at most 0.7"] == (pytest.approx(0.5), True)
    assert found["time ÷ dezero's at most 0.15"] == (pytest.approx(0.2), False)
    assert found["time ÷ tinygrad's at most 0.15"] == (None, None)
    assert found["time ÷ roofline at most 1.7"] == (pytest.approx(2.0), False)
    assert found["memory ÷ torch's below 1"] == (pytest.approx(0.5), True)


def test_below_is_not_at_most():
    assert targets.Target("memory", 1.0, "torch").met(1.0)
    assert not targets.Target("memory", 1.0, "torch", strict=True).met(1.0)


def test_targets_in_microseconds_and_of_notes():
    (row,) = targets.verdicts(ALL["overhead-forward"], [canned("overhead-forward", "nnscratch", 2.5e-6)])
    assert row[1] == pytest.approx(2.5) and row[2] is True
    note = targets.of(ALL["matmul-64"])[0].figure
    (row,) = targets.verdicts(ALL["matmul-64"], [canned("matmul-64", "nnscratch", 1e-5, notes={note: 3.5})])
    assert row[1:] == (3.5, False)
    assert targets.verdicts(ALL["matmul-64"], [])[0][1:] == (None, None)


def test_the_page_says_what_was_found(tmp_path):
    names = report.write(tmp_path, [ALL["s2"]], ROWS, FACTS)
    assert names == ["cpu.json", "cpu.md", "cpu.png"]
    page = (tmp_path / "cpu.md").read_text(encoding="utf-8")
    lines = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("|")}
    assert "20.0 ms" in lines["nnscratch"] and "2.00" in lines["nnscratch"]
    assert "50.0 ms" in lines["torch NCHW"] and "0.40" in lines["torch NCHW"]
    assert "missing" in lines["jax NCHW"]
    assert "jax NCHW: missing: No module named 'jax'" in page
    assert "a processor" in page and "sgemm 100.0 Gflop/s" in page
    assert json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))["rows"] == ROWS
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")


def test_the_project_s_own_targets_are_on_the_page_only_where_they_were_asked_for():
    page = report.markdown([ALL["s2"]], ROWS, FACTS)
    assert "wanted" not in page and "must show" not in page and "at most" not in page
    page = report.markdown([ALL["s2"]], ROWS, FACTS | {"targets": True})
    assert re.search(r"\| s2 +\| +1 \| +time ÷ torch's at most 0.7 \| +0.5 \| yes \|", page)


def test_a_table_is_straight():
    first, *rest = report.table(["a", "long head"], [["longer", "1"], ["b", "22"]])
    assert {len(line) for line in rest} == {len(first)}


def test_scaling_names_the_largest_step(tmp_path):
    family = [ALL[f"scaling-batch-{n}"] for n in (1, 2, 4)]
    rows = [
        canned(w.name, "nnscratch", t, memory=m) for w, t, m in zip(family, (1.0, 2.0, 6.0), (8, 16, 32), strict=True)
    ]
    text = "\n".join(report.family_section("scaling-batch", family, rows))
    assert "the largest step in time is 1.50 times the size's, from 2 to 4" in text
    assert "the largest step in memory is 1.00 times the size's, from 1 to 2" in text
    assert "scaling.png" in report.write(tmp_path, family, rows, FACTS)


def test_scaling_without_a_measurement_is_an_empty_table():
    family = [ALL["scaling-batch-1"]]
    rows = [{**runner.row(family[0], "nnscratch", 1), "status": "failed", "why": "out of memory"}]
    assert report.family_section("scaling-batch", family, rows)[0].startswith("## scaling-batch")


# The command


def test_names_and_groups_choose_workloads():
    everything = list(ALL.values())
    assert [w.name for w in cpu.choose(everything, ["s1", "norm"])] == ["s1", "norm-batch", "norm-layer"]
    assert [w.name for w in cpu.choose(everything, ["conv-32x13"])] == ["conv-32x13"]
    assert len(cpu.choose(everything, [])) == len(everything)
    assert "scaling-batch-4096" not in [w.name for w in cpu.choose(everything, [], quick=True)]


def test_nnscratch_is_always_among_the_entries():
    plain = lambda found: [e for e in found if not peers.Entry.read(e).kept]  # noqa: E731
    assert plain(cpu.entries(ALL["s2"], ["torch"])) == [
        "nnscratch",
        "nnscratch captured",
        "torch channels_last",
        "torch NCHW",
    ]
    assert plain(cpu.entries(ALL["matmul-64"], ["jax"])) == ["nnscratch", "numpy", "jax"]
    assert plain(cpu.entries(ALL["s2"], [])) == list(ALL["s2"].builders)
    kept = [e for e in cpu.entries(ALL["s2"], []) if peers.Entry.read(e).kept]
    told = [f"{e}, memory kept" for e in ALL["s2"].builders if peers.Entry.read(e).peer in ("torch", "jax", "dezero")]
    assert kept == (told if peers.can_keep() else [])


def test_no_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(report, "cores", lambda: 2)
    assert cpu.threads(None) == [1, 2] and cpu.threads([2]) == [2]
    with pytest.raises(ValueError, match="--threads 99 is more than the 2 cores of this machine; use at most 2"):
        cpu.threads([1, 99])
    monkeypatch.setattr(report, "cores", lambda: 1)
    assert cpu.threads(None) == [1]
    with pytest.raises(ValueError, match="--threads 2 is more than the 1 core of this machine"):
        cpu.threads([2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workloads", "s9"], "no workload or group is called 's9'; choose among overhead, s1"),
        (["--peers", "keras"], "no peer is called 'keras'; choose among nnscratch, numpy, torch"),
        (["--threads", "0"], "invalid list of thread counts value: '0'"),
        (["--threads", "100000"], "--threads 100000 is more than the"),
        (["--rounds", "0"], "--rounds is 0, expected at least 1"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_sentence(arguments, words, capsys):
    with pytest.raises(SystemExit) as leaving:
        cpu.main(arguments)
    assert leaving.value.code == 2
    assert words in capsys.readouterr().err


def test_frameworks_that_cannot_be_measured_are_lines(tmp_path, monkeypatch, capsys):
    fakes = {
        "torch": "raise ImportError('no such luck')",
        "jax": "import os; os._exit(3)",
        "dezero": "__version__ = '0'",
    }
    for name, text in fakes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = tmp_path / "out"
    options = ["--quick", "--workloads", "s1", "--peers", "torch,jax,dezero", "--threads", "1", "--rounds", "2"]
    assert cpu.main([*options, "--out", str(out)]) == 0
    found = json.loads((out / "cpu.json").read_text(encoding="utf-8"))["rows"]
    rows = {row["peer"]: row for row in found if not row["kept"]}
    assert {row["peer"] for row in found if row["kept"]} == ({"torch", "jax", "dezero"} if peers.can_keep() else set())
    assert {peer: row["status"] for peer, row in rows.items()} == {
        "nnscratch": "ok", "torch": "missing", "jax": "failed", "dezero": "failed"
    }  # fmt: skip
    assert rows["torch"]["why"] == "no such luck"
    assert "ended with status 3" in rows["jax"]["why"]
    assert "dezero" in rows["dezero"]["why"]
    own = rows["nnscratch"]
    assert len(own["rounds"]) == 2 and own["q1"] <= own["median"] <= own["q3"]
    assert own["process"] > own["memory"] >= 0 and own["roofline"] > 0 and own["first"] > 0
    said = capsys.readouterr().out
    assert "torch: missing: no such luck" in said and "at most" not in said


def test_commands_of_the_page_exist():
    main = importlib.import_module("benchmarks.__main__")
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"python -m benchmarks (\w+)", page)) == {"import", "cpu", "distributed", "gpu"}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(workloads.GROUPS)
    with pytest.raises(SystemExit):
        main.main(["fly"])


@pytest.mark.parametrize(
    "module", [cpu, peers, report, roofline, runner, targets, worker, workloads], ids=lambda m: m.__name__
)
def test_examples(module):
    assert doctest.testmod(module).failed == 0
