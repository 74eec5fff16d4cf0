"""IDX files, the MNIST sample, and the full MNIST from a folder, a cache or a mirror."""

import functools
import gzip
import hashlib
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnscratch.data import digits, mnist, read_idx, write_idx

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


# --- IDX


@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"])
def test_idx_keeps_values_shape_and_dtype(tmp_path, dtype, name):
    array = np.array([[0, 1, 100], [7, 2, 3]]).astype(dtype)
    write_idx(tmp_path / name, array)
    back = read_idx(str(tmp_path / name))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("=") and back.flags.writeable
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")


@settings(max_examples=50, deadline=None)
@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_idx_keeps_any_shape(tmp_path_factory, shape, seed):
    path = tmp_path_factory.mktemp("idx") / "a"
    array = np.random.default_rng(seed).normal(size=shape)
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


def test_idx_bytes_are_the_formats(tmp_path):
    content = bytes.fromhex("0000 0b02 0000 0001 0000 0002 0102 fffe")
    (tmp_path / "a").write_bytes(content)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), np.array([[258, -2]], np.int16))
    write_idx(tmp_path / "b", np.array([[258, -2]], np.int16))
    assert (tmp_path / "b").read_bytes() == content


def test_idx_writes_strided_arrays_in_order(tmp_path):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4).T[::2]
    write_idx(tmp_path / "a", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_idx_refuses_every_truncation(tmp_path):
    write_idx(tmp_path / "whole", np.arange(6, dtype=np.int32).reshape(2, 3))
    content = (tmp_path / "whole").read_bytes()
    packed = gzip.compress(content)
    for whole in (content, packed):
        for length in range(len(whole)):
            (tmp_path / "cut").write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"^read_idx: .*cut (is empty|starts|is truncated|is a damaged)"):
                read_idx(tmp_path / "cut")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty", "00 00"]),
        (b"\x89PNG\r\n", ["89 50 4e 47", "right file"]),
        (b"\0\0\x0a\x01\0\0\0\x01\0", ["00 00 0a 01", "08, 09"]),
        (b"\0\0\x08\x00\x05", ["00 00 08 00", "axes from 1"]),
        (b"\0\0\x08\x01\0\0\0\x02\x05", ["truncated", "holds 9", "wants 10", "(2,)"]),
        (b"\0\0\x08\x03\0\0\0\x02", ["truncated", "holds 8", "wants 16"]),
        (b"\0\0\x08\x01\0\0\0\x01\x05\x06", ["too long", "holds 10", "wants 9"]),
        (b"\0\0\x0e\x02" + b"\xff" * 8, ["truncated", "holds 12", "(4294967295, 4294967295)"]),
        (b"\x1f\x8bnot gzip after all", ["damaged gzip"]),
    ],
)
def test_idx_refuses_wrong_files(tmp_path, content, words):
    path = tmp_path / "wrong"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^read_idx: ") as caught:
        read_idx(path)
    assert all(word in str(caught.value) for word in [str(path), *words])


def test_idx_names_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="^read_idx: there is no file .*nowhere; check the path$"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(OSError, match="^read_idx: cannot read .*directory"):
        read_idx(tmp_path)
    with pytest.raises(OSError, match="^read_idx: cannot read .*null byte"):
        read_idx("a\0b")
    with pytest.raises(OSError, match="^write_idx: cannot write .*No such file or directory"):
        write_idx(tmp_path / "no" / "folder", np.zeros(1))
    with pytest.raises(OSError, match="^write_idx: cannot write .*it is a folder"):
        write_idx(tmp_path, np.zeros(1))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch, failing):
    write_idx(tmp_path / "a", np.array([1, 2], np.uint8))

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"os.{failing}", full)
    with pytest.raises(OSError, match="^write_idx: cannot write .*No space left on device"):
        write_idx(tmp_path / "a", np.zeros(1000))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a"]
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), [1, 2])


# --- the sample


def test_sample_is_a_stratified_part_of_mnist():
    (x_train, y_train), (x_test, y_test) = mnist(sample=True)
    for x, y, size, counts in (
        (x_train, y_train, 10_000, TRAIN_COUNTS),
        (x_test, y_test, 2_000, TEST_COUNTS),
    ):
        assert x.shape == (size, 1, 28, 28) and x.dtype == np.float32
        assert y.shape == (size,) and y.dtype == np.int64
        assert x.min() == 0 and x.max() == 1
        share = np.array(counts) * size / sum(counts)
        assert (np.abs(np.bincount(y, minlength=10) - share) < 1).all()
        # In random order: no class fills the front.
        assert (np.bincount(y[: size // 10], minlength=10) > size // 10 * 0.06).all()
    train = {image.tobytes() for image in x_train}
    assert len(train) == 10_000 and not any(image.tobytes() in train for image in x_test)


def test_sample_is_small_and_its_source_is_stated():
    assert digits.SAMPLE.stat().st_size <= 2_500_000
    note = digits.SAMPLE.with_name("MNIST.md").read_text(encoding="utf-8")
    assert all(word in note for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "seed 0", "10,000", "2,000"))
    with np.load(digits.SAMPLE, allow_pickle=False) as arrays:
        assert len(np.unique(arrays["places_train"])) == 10_000 and arrays["places_train"].max() < 60_000
        assert len(np.unique(arrays["places_test"])) == 2_000 and arrays["places_test"].max() < 10_000


@pytest.mark.skipif("NNSCRATCH_DATA" not in os.environ, reason="needs the full MNIST in $NNSCRATCH_DATA/mnist/")
def test_sample_agrees_with_the_full_set():
    sets = zip(mnist(sample=True), mnist(), ("train", "test"), strict=True)
    for (x, y), (full_x, full_y), part in sets:
        with np.load(digits.SAMPLE, allow_pickle=False) as arrays:
            places = arrays[f"places_{part}"]
        np.testing.assert_array_equal(x, full_x[places])
        np.testing.assert_array_equal(y, full_y[places])


def test_sample_flag_must_be_a_bool():
    with pytest.raises(TypeError, match="^mnist: sample is 'digits', wants True or False"):
        mnist("digits")


# --- the full set, here a small one with its own sums


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Four small IDX files, as bytes by name, that `mnist` takes for the real ones; no folder or network."""
    random = np.random.default_rng(0)
    files = {}
    for name in digits.FILES:
        count = 6 if name.startswith("train") else 3
        shape, high = ((count, 28, 28), 256) if "images" in name else ((count,), 10)
        write_idx(tmp_path / "new", random.integers(0, high, shape).astype(np.uint8))
        files[name] = (tmp_path / "new").read_bytes()
    (tmp_path / "new").unlink()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(digits, "FILES", sums)
    monkeypatch.setattr(digits, "MIRRORS", [])
    monkeypatch.delenv("NNSCRATCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return files


def check(result, files):
    arrays = [array for part in result for array in part]
    for array, content in zip(arrays, files.values(), strict=True):
        if array.ndim == 4:
            pixels = np.frombuffer(content, np.uint8, offset=16).reshape(-1, 1, 28, 28)
            np.testing.assert_array_equal(array, pixels.astype(np.float32) / np.float32(255))
            assert array.dtype == np.float32
        else:
            np.testing.assert_array_equal(array, np.frombuffer(content, np.uint8, offset=8))
            assert array.dtype == np.int64


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("dotted", [False, True])
def test_full_set_from_the_data_folder(small, tmp_path, monkeypatch, ending, dotted):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name, content in small.items():
        name = name.replace("-idx", ".idx") if dotted else name
        (folder / (name + ending)).write_bytes(gzip.compress(content) if ending else content)
    monkeypatch.setenv("NNSCRATCH_DATA", str(tmp_path / "data"))
    check(mnist(), small)
    assert not (tmp_path / "cache").exists()


def test_full_set_from_the_cache(small, tmp_path, monkeypatch):
    folder = tmp_path / "cache" / "nnscratch" / "mnist"
    folder.mkdir(parents=True)
    for name, content in small.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("NNSCRATCH_DATA", str(tmp_path / "no such folder"))
    check(mnist(), small)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "cache").rename(tmp_path / ".cache")
    check(mnist(), small)


def test_data_folder_names_what_it_lacks(small, tmp_path, monkeypatch):
    folder = tmp_path / "mnist"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(small["train-images-idx3-ubyte"])
    monkeypatch.setenv("NNSCRATCH_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="^mnist: ") as caught:
        mnist()
    message = str(caught.value)
    assert str(folder) in message and "train-images" not in message
    assert all(name in message for name in list(small)[1:])


@pytest.mark.parametrize("fault", ["truncated", "another digit"])
def test_data_folder_with_a_wrong_file(small, tmp_path, monkeypatch, fault):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, content in small.items():
        (folder / name).write_bytes(content)
    labels = small["t10k-labels-idx1-ubyte"]
    wrong = labels[:-1] if fault == "truncated" else labels[:-1] + bytes([(labels[-1] + 1) % 10])
    (folder / "t10k-labels-idx1-ubyte").write_bytes(wrong)
    monkeypatch.setenv("NNSCRATCH_DATA", str(tmp_path))
    expected = "is truncated" if fault == "truncated" else "SHA-256 differs"
    with pytest.raises(ValueError, match=f"^mnist: .*t10k-labels-idx1-ubyte.*{expected}"):
        mnist()


@pytest.fixture
def mirror(tmp_path):
    """A web server on this machine for a folder: yields the folder, the address, and the requests seen."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    seen = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            seen.append(self.path)

        def send_header(self, keyword, value):
            if keyword == "Content-Length" and (folder / "claim too much").exists():
                value = str(int(value) + 1)
            super().send_header(keyword, value)

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/", seen
        server.shutdown()
        thread.join()


def test_download_fills_the_cache_once(small, mirror, tmp_path, monkeypatch, capsys):
    folder, address, seen = mirror
    for i, (name, content) in enumerate(small.items()):
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, compresslevel=1 + i))
    # The first mirror lacks everything, the second answers.
    monkeypatch.setattr(digits, "MIRRORS", [f"{address}lost/", address])
    check(mnist(), small)
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err
    cache = tmp_path / "cache" / "nnscratch" / "mnist"
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == small
    requests = len(seen)
    check(mnist(), small)
    assert len(seen) == requests


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("half", "damaged gzip"),
        ("other content", "SHA-256 differs"),
        ("breaks off", "broke off"),
        ("missing", "404"),
    ],
)
def test_a_failed_download_leaves_nothing_in_the_cache(small, mirror, tmp_path, monkeypatch, fault, word):
    folder, address, _ = mirror
    for name, content in small.items():
        packed = gzip.compress(content)
        if fault == "half":
            packed = packed[: len(packed) // 2]
        elif fault == "other content":
            packed = gzip.compress(content[:-1] + b"\xff")
        if fault != "missing":
            (folder / f"{name}.gz").write_bytes(packed)
    if fault == "breaks off":
        (folder / "claim too much").touch()
    monkeypatch.setattr(digits, "MIRRORS", [address])
    with pytest.raises(ConnectionError, match="^mnist: cannot download") as caught:
        mnist()
    assert word in str(caught.value) and f"{address}train-images-idx3-ubyte.gz" in str(caught.value)
    assert list((tmp_path / "cache" / "nnscratch" / "mnist").iterdir()) == []


def test_without_network_the_error_says_which_files_to_put_where(small, tmp_path, monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        closed = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(digits, "MIRRORS", [closed])
    with pytest.raises(OSError, match="^mnist: cannot download") as caught:
        mnist()
    message = str(caught.value)
    wanted = [
        *small,
        "$NNSCRATCH_DATA/mnist/",
        str(tmp_path / "cache" / "nnscratch" / "mnist"),
        "mnist(sample=True)",
    ]
    assert all(word in message for word in wanted)
    assert "\n" not in message


def test_a_cache_that_cannot_be_made(small, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="^mnist: cannot make the cache folder .*sample=True"):
        mnist()
