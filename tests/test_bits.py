"""The same weights for the same seed in any order of work in one process, resumed or not: every system, and random small networks.

NNSCRATCH_BITS sets how many networks.
"""

import importlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nnscratch import systems

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
bits = importlib.import_module("tests.bits")
NETWORKS = [str(seed) for seed in range(int(os.environ.get("NNSCRATCH_BITS", "6")))]
JOBS = [*systems.NAMES, *NETWORKS]

pytestmark = pytest.mark.cpu


def trained(mode, folder, jobs):
    """What a process of its own prints of each job, done in this order."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bits", mode, str(folder), *jobs],
        cwd=ROOT,
        env=dict(os.environ, OPENBLAS_NUM_THREADS="2", NNSCRATCH_THREADS="2"),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return dict(line.split() for line in run.stdout.splitlines())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Each job done in a fresh process."""
    folder = tmp_path_factory.mktemp("alone")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: trained("whole", folder, [job]), JOBS))
    return {job: digest for one in found for job, digest in one.items()}


def test_training_after_other_work_gives_the_same_weights(alone, tmp_path):
    assert trained("whole", tmp_path, JOBS[::-1]) == alone


def test_a_run_that_is_resumed_half_way_gives_the_same_weights(alone, tmp_path):
    half = trained("half", tmp_path, JOBS)
    assert not set(half.items()) & set(alone.items())  # it did stop half-way
    assert trained("resumed", tmp_path, JOBS[::-1]) == alone


def test_the_digest_sees_one_bit(tmp_path):
    trainer = bits.network(0, "whole", str(tmp_path))
    before = bits.digest(trainer)
    weight = next(iter(trainer.model.parameters())).data.reshape(-1)
    weight[:1].view("u4")[0] ^= 1
    assert bits.digest(trainer) != before
    weight[:1].view("u4")[0] ^= 1
    assert bits.digest(trainer) == before


def test_the_networks_differ_in_all_that_may_count():
    drawn = [bits.Drawn(seed) for seed in range(50)]
    layers = {getattr(make, "func", make).__name__ for d in drawn for make in d.layers}
    assert layers >= {
        "Linear", "Conv2d", "MaxPool2d", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm", "Dropout"
    }  # fmt: skip
    assert {d.batch for d in drawn} == {1, 7, 32, 64}
    for what in (lambda d: d.optimizer.__code__, lambda d: d.schedule.__code__):
        assert len({what(d) for d in drawn}) == 5
    assert all(len({repr(d.settings[key]) for d in drawn}) == 2 for key in bits.Drawn(0).settings)
