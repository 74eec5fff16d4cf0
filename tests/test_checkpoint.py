"""Files of tensors: round trips, faults, full disks, and kills in the middle of a write."""

import contextlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import nnscratch as ns
from nnscratch.files import writable_folder, write_bytes
from nnscratch.state_files import read_checkpoint, write_checkpoint

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")

DTYPES = ["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"]


@given(st.sampled_from(DTYPES).flatmap(lambda d: arrays.arrays(d, arrays.array_shapes(min_dims=0, min_side=0))))
def test_any_array_comes_back_bit_for_bit(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    ns.save({"a": array, "t": array.T}, path)
    back = ns.load(path)
    assert back["a"].dtype == array.dtype
    assert back["a"].shape == array.shape
    assert back["a"].tobytes() == array.tobytes()
    assert back["t"].tobytes() == np.array(array.T, order="C").tobytes()


def test_big_endian_and_strided_arrays_keep_their_values(tmp_path):
    array = np.arange(12, dtype=">f4").reshape(3, 4)[::2, ::-1]
    ns.save({"a": array}, tmp_path / "a")
    np.testing.assert_array_equal(ns.load(tmp_path / "a")["a"], array)


def test_a_network_comes_back(tmp_path):
    model = ns.nn.Sequential(ns.nn.Conv2d(1, 2, 3), ns.nn.BatchNorm2d(2), ns.nn.Flatten(), ns.nn.Linear(8, 3))
    other = ns.nn.Sequential(ns.nn.Conv2d(1, 2, 3), ns.nn.BatchNorm2d(2), ns.nn.Flatten(), ns.nn.Linear(8, 3))
    x = ns.tensor(np.ones((2, 1, 4, 4), np.float32))
    model(x)  # moves the running statistics
    ns.save(model, str(tmp_path / "model.safetensors"))
    other.load_state_dict(ns.load(tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(model.eval()(x).numpy(), other.eval()(x).numpy())


def test_tensors_and_an_empty_dict_can_be_saved(tmp_path):
    ns.save({"a": ns.tensor([1.0])}, tmp_path / "a")
    assert ns.load(tmp_path / "a")["a"].tolist() == [1.0]
    ns.save({}, tmp_path / "b")
    assert ns.load(tmp_path / "b") == {}


def test_other_programs_can_read_the_file(tmp_path):
    from safetensors.numpy import load_file

    ns.save({"a": np.eye(2)}, tmp_path / "a")
    np.testing.assert_array_equal(load_file(tmp_path / "a")["a"], np.eye(2))


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (3, "save: got a int, expected a module or a dict"),
        ([np.ones(2)], "save: got a list"),
        (
            {"a": {3}},
            "save: a is a set, expected a Tensor, an array, a number, a str, or a dict, list or tuple of these",
        ),
        ({"a": {"b": [1j]}}, "save: a/b/0 is a complex"),
        ({"a": b"text"}, "save: a is a bytes"),
        (
            {"a": ns.optim.SGD([ns.tensor([1.0], requires_grad=True)], 0.1)},
            r"save: a is a SGD, .*pass its state_dict\(\)",
        ),
        ({"a": np.array(["x"])}, "save: a has dtype <U1, which safetensors lacks; pass it as a list"),
        ({"a": np.ones(2, complex)}, "save: a has dtype complex128, which safetensors lacks; save its .real and .imag"),
        ({"a": {"b": np.ones(2, object)}}, "save: a/b has dtype object"),
        ({1: np.ones(2)}, "save: got 1 as a name"),
        ({"a": [{2: 3}]}, "save: got 2 as a name in a/0"),
        ({"__metadata__": np.ones(2)}, "save: got '__metadata__' as a name"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path, obj, message):
    path = tmp_path / "a"
    ns.save({"old": np.ones(1)}, path)
    with pytest.raises(TypeError, match=f"^{message}"):
        ns.save(obj, path)
    assert list(ns.load(path)) == ["old"]
    assert os.listdir(tmp_path) == ["a"]


def same(a, b):
    """Whether two trees have the same types, keys in the same order, and values."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b or a != a


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(DTYPES).flatmap(
        lambda d: arrays.arrays(d, arrays.array_shapes(min_dims=0, min_side=0, max_side=3))
    )
)
NAMES = st.sampled_from(["a", "b", "a/b", "b'", "0", "array", "dict", "tuple", "", "é"])
TREES = st.recursive(
    LEAVES,
    lambda of: st.lists(of, max_size=3) | st.lists(of, max_size=2).map(tuple) | st.dictionaries(NAMES, of, max_size=3),
)


@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_any_tree_comes_back(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / "tree.safetensors"
    ns.save(tree, path)
    assert same(ns.load(path), tree)


def test_a_run_of_ones_own_is_saved_in_one_file_and_goes_on_bit_for_bit(tmp_path):
    def made():
        ns.manual_seed(0)
        model = ns.nn.Sequential(ns.nn.Linear(3, 4), ns.nn.Tanh(), ns.nn.Linear(4, 1))
        optimizer = ns.optim.Adam(model.parameters(), lr=0.1)
        return model, optimizer, ns.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    def train(model, optimizer, schedule, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (model(ns.tensor(np.ones((2, 3)))) ** 2).sum().backward()
            optimizer.step()
            schedule.step()
        return [p.numpy().tobytes() for p in model.parameters()]

    whole = train(*made(), 6)
    run = made()
    train(*run, 3)
    model, optimizer, schedule = run
    state = {"model": model, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "losses": [0.5, 1]}
    ns.save(state, tmp_path / "run")
    back, other = ns.load(tmp_path / "run"), made()
    for part, key in zip(other, ("model", "optimizer", "schedule"), strict=True):
        part.load_state_dict(back[key])
    assert train(*other, 3) == whole
    assert back["losses"] == [0.5, 1]


def test_what_contains_itself_cannot_be_saved(tmp_path):
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="save: the dict contains itself"):
        ns.save({"a": loop}, tmp_path / "a")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "tree", [{"dict": {"a": {"array": "b"}}}, {"what": []}, {"dict": 3}, {"dict": {"a": {}}}, {"tuple": 1}]
)
def test_a_description_that_does_not_fit_is_damage(tmp_path, tree):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(1)}, tmp_path / "a", {"nnscratch": json.dumps({"format": 1, "tree": tree})})
    with pytest.raises(ValueError, match="load: .* is damaged: its description does not fit it"):
        ns.load(tmp_path / "a")
    save_file({"a": np.ones(1)}, tmp_path / "a", {"nnscratch": json.dumps({"format": 2, "tree": tree})})
    with pytest.raises(ValueError, match="load: .* has format 2, this nnscratch reads format 1"):
        ns.load(tmp_path / "a")


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="no longer type here")
def test_long_doubles_are_refused(tmp_path):
    with pytest.raises(TypeError, match="which safetensors lacks"):
        ns.save({"a": np.ones(2, np.longdouble)}, tmp_path / "a")


@pytest.mark.parametrize("path", [3, None, ["a"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="^save: path is a"):
        ns.save({}, path)
    with pytest.raises(TypeError, match="^load: path is a"):
        ns.load(path)
    with pytest.raises(TypeError, match="^train: path is a"):
        writable_folder("train", path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="^load: there is no file .*nowhere; check the path$"):
        ns.load(tmp_path / "nowhere")
    with pytest.raises(OSError, match="^load: cannot read"):
        ns.load(tmp_path)
    with pytest.raises(OSError, match="^save: cannot write .*nowhere"):
        ns.save({}, tmp_path / "nowhere" / "a")
    with pytest.raises(OSError, match="^save: cannot write"):
        ns.save({}, tmp_path)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "a"
    ns.save({"a": np.arange(5.0), "b": np.ones((2, 2), np.float32)}, path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="^load: .*a is truncated, damaged or no safetensors file"):
            ns.load(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"PK\x03\x04", b"\xff" * 64, b"\0" * 64, b"{}"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^load: .*no safetensors file"):
        ns.load(path)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_a_type_that_numpy_lacks_is_refused(tmp_path, dtype):
    with contextlib.suppress(ImportError):
        importlib.import_module("ml_dtypes")  # which teaches NumPy both types, where it is there
    header = json.dumps(
        {"a": {"dtype": dtype, "shape": [2 if dtype == "BF16" else 4], "data_offsets": [0, 4]}}
    ).encode()
    path = tmp_path / "a"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError, match="^load: .*holds numbers of a type that NumPy lacks"):
        ns.load(path)


def test_checkpoints_of_another_format_and_plain_tensors_are_refused(tmp_path, monkeypatch):
    ns.save({"a": np.ones(1)}, tmp_path / "plain")
    with pytest.raises(ValueError, match="^resume: .*plain holds tensors but no training run"):
        read_checkpoint(tmp_path / "plain")
    monkeypatch.setattr("nnscratch.state_files.FORMAT", 3)
    write_checkpoint(tmp_path / "new", {}, {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match="^resume: .*new is a checkpoint of format 3, this nnscratch reads format 2"):
        read_checkpoint(tmp_path / "new")


def test_notes_come_back_exactly(tmp_path):
    notes = {"numbers": [0.1, 1e-300, 2**127 + 1, -0.0], "text": "层", "none": None, "nested": {"a": [True]}}
    write_checkpoint(tmp_path / "a", {"x": np.ones(1)}, notes)
    tensors, back = read_checkpoint(tmp_path / "a")
    assert back == notes
    assert str(back) == str(notes)
    assert list(tensors) == ["x"]
    with pytest.raises(TypeError, match="^checkpoint: the notes do not fit JSON"):
        write_checkpoint(tmp_path / "a", {}, {"bad": np.float32(1)})
    assert read_checkpoint(tmp_path / "a")[1] == notes


@pytest.mark.parametrize("place", ["os.fsync", "os.replace"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, place):
    path = tmp_path / "a"
    ns.save({"old": np.ones(3)}, path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, fail)
    with pytest.raises(OSError, match=r"^save: cannot write .*\(No space left on device\)") as caught:
        ns.save({"new": np.zeros(9)}, path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


FULL_DISK = """
import resource, signal, sys
import numpy as np, nnscratch as ns
path = sys.argv[1]
ns.save({"old": np.ones(3)}, path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    ns.save({"new": np.zeros(100_000)}, path)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of the size of files are POSIX's")
def test_a_full_disk_gives_one_sentence(tmp_path):
    path = tmp_path / "a"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("save: cannot write")
    assert done.stdout.count("\n") == 1
    assert list(ns.load(path)) == ["old"]
    assert os.listdir(tmp_path) == ["a"]


def test_unwritable_folders_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="^train: cannot write in the folder .*file"):
        writable_folder("train", tmp_path / "file" / "below")
    with pytest.raises(OSError, match="^save: cannot write .*file"):
        ns.save({}, tmp_path / "file" / "below")
    writable_folder("train", tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []


def test_a_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    write_bytes("save", tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


WRITER = """
import sys
import numpy as np
from nnscratch.state_files import write_checkpoint
path, size = sys.argv[1], 60_000
n = 0
while True:
    n += 1
    write_checkpoint(path, {"a": np.full(size, n, "float64"), "b": np.full(size, -n, "float64")}, {"n": n})
    print(n, flush=True)
"""


@pytest.mark.cpu
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_kill_9_during_writes_leaves_a_complete_state(tmp_path):
    path = tmp_path / "checkpoint"
    moments = random.Random(0)
    seen = set()
    for _ in range(12):
        # Without BLAS threads the writer starts faster.
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )
        writer.stdout.readline()  # one is whole
        time.sleep(moments.uniform(0, 0.03))
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        written = int(rest[-1]) if rest else 1
        tensors, notes = read_checkpoint(path)
        n = notes["n"]
        # The last one reported, or one that was renamed before it could be reported.
        assert n in (written, written + 1)
        assert (tensors["a"] == n).all()
        assert (tensors["b"] == -n).all()
        seen.add(n)
    assert len(seen) > 1  # the kills came at different moments
