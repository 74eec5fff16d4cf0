"""Several processes that train one network, by two ranks of MPICH's wheel: the numbers of one process, and an end for all."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nnscratch as ns
from nnscratch.backend.random import Share
from nnscratch.distributed.over_mpi import check_sent
from nnscratch.distributed.ranks import Ranks
from nnscratch.state_files import read_checkpoint

pytestmark = pytest.mark.cpu
PROGRAM = Path(__file__).with_name("ranks.py")


def mpiexec():
    """The command that starts ranks: that of the wheel beside this Python."""
    pytest.importorskip("mpi4py", reason="needs mpi4py and an mpiexec")
    found = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or shutil.which("mpiexec")
    if found is None:
        pytest.skip("needs mpi4py and an mpiexec")
    return found


def run(size, *arguments):
    environment = {**os.environ, "NNSCRATCH_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [mpiexec(), "-n", str(size), sys.executable, PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=PROGRAM.parents[1])


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two ranks found, and then one."""
    folder = tmp_path_factory.mktemp("ranks")
    for size in (2, 1):
        ended = run(size, "train", str(folder))
        assert not ended.returncode, ended.stderr
    return [json.loads((folder / f"{size}.json").read_text()) for size in (2, 1)]


@pytest.mark.parametrize("name", ["cnn", "gpt", "bilstm", "norm", "accumulated"])
def test_two_ranks_learn_what_one_process_learns(found, name):
    two, one = (f[name] for f in found)
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=0, atol=2e-6)
    for key, values in one["history"].items():
        np.testing.assert_allclose(two["history"][key], values, rtol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", ["cnn", "gpt", "bilstm"])
def test_in_order_two_ranks_have_the_bits_of_one(found, name):
    two, one = (f[f"{name} ordered"] for f in found)
    assert two["digest"] == one["digest"]


def test_a_run_of_two_ranks_goes_on_with_one_bit_for_bit(found):
    assert found[1]["resumed"]["digest"] == found[0]["gpt ordered"]["digest"]


def test_ranks_have_the_same_weights_decide_together_and_are_compared_at_the_start(found):
    two, one = found
    assert two["same"] and two["stopped"] == one["stopped"] < 9
    assert len(set(two["refused"])) == 1
    assert two["refused"][0].startswith("fit: rank 1 has data[0] ")


def test_an_error_on_one_rank_ends_all_with_its_sentence(tmp_path):
    start = time.perf_counter()
    ended = run(2, "fault", str(tmp_path), "memory", "1", "7")
    assert ended.returncode and time.perf_counter() - start < 20
    assert "rank 1 of 2: MemoryError: planted" in ended.stderr
    assert read_checkpoint(tmp_path / "checkpoint")[1]["history"]["loss"]


class Alone:
    """Messages of one rank among as many as are asked for, none of which answers."""

    rank = 0

    def __init__(self, size=1):
        self.size = size


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reduction": "sum"}, "reduction is 'sum'; pass 'average' or 'ordered'"),
        ({"blocks": 4}, "blocks is for reduction='ordered'"),
        ({"reduction": "ordered", "blocks": 5}, "5 blocks cannot be shared equally by 2 ranks"),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Ranks(Alone(2), **settings)


def test_blocks_are_in_the_samples_order_and_none_is_empty():
    x = np.arange(7)
    parts = []
    for rank in range(4):
        messages = Alone(4)
        messages.rank = rank
        parts += Ranks(messages).shared([(x,), (x[:2],)])
    assert np.concatenate([p[0] for p in parts if p.whole == 7]).tolist() == x.tolist()
    small = [(p[0].tolist(), p.counts) for p in parts if p.whole == 2]
    assert small == [([0], False), ([0], True), ([0], False), ([1], True)]


def test_a_ranks_mask_is_its_rows_of_the_whole_batchs():
    ns.manual_seed(0)
    whole = ns.functional.dropout(ns.tensor(np.ones((6, 5), "f"))).numpy()
    ns.manual_seed(0)
    stream = ns.backend.random.current()
    stream.share = Share([], 2, 3, 6)
    try:
        part = ns.functional.dropout(ns.tensor(np.ones((3, 5), "f"))).numpy()
    finally:
        stream.share = None
    np.testing.assert_array_equal(part, whole[2:5])


@pytest.mark.parametrize("array", [np.zeros((2, 3)).T, np.zeros(3, np.float16), np.zeros(6)[::2]])
def test_what_mpi_would_sum_wrongly_is_not_sent(array):
    with pytest.raises(ValueError, match="would come out wrong"):
        check_sent(array)
