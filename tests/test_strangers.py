"""Files from strangers: refused by one short sentence, in no more memory than their size and 64 MB."""

import gzip
import json
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
from safetensors.numpy import save_file

import nnscratch as ns
from nnscratch import state_files
from nnscratch.data import read_idx, write_idx

pytestmark = pytest.mark.cpu

PEAK = """
import resource, sys
import numpy as np, nnscratch as ns
from nnscratch.data import read_idx
from nnscratch.state_files import read_checkpoint
import safetensors.numpy, nnscratch.nn
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    try:
        print("TAKEN", eval(sys.argv[1])(path))
    except ValueError as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""


def refused(read, *paths):
    """What a process says that reads files, and the bytes by which its memory grew at most."""
    if not sys.platform.startswith("linux"):
        pytest.skip("asks Linux for the peak memory of a process")
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, read, *map(str, paths)], capture_output=True, text=True, check=True
    )
    *said, peak = ran.stdout.splitlines()
    assert len(said) == len(paths) and not any(line.startswith("TAKEN") for line in said)
    return said, int(peak)


def packed(path, head, zeros):
    """A gzipped file of a head and many zeros; deflated without being made."""
    pack = zlib.compressobj(9, wbits=31)
    with open(path, "wb") as file:
        file.write(pack.compress(head))
        for _ in range(zeros >> 24):
            file.write(pack.compress(bytes(1 << 24)))
        file.write(pack.flush())
    return path


def header(*shape, kind=8):
    return bytes([0, 0, kind, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)


def test_a_gzipped_file_is_unpacked_no_further_than_its_header_says(tmp_path):
    small = packed(tmp_path / "small.gz", header(10, 10), 1 << 27)  # 128 KB, 128 MB unpacked
    large = packed(tmp_path / "large.gz", header(1 << 15, 1 << 13), 1 << 27)  # 256 MB promised
    (tmp_path / "plain").write_bytes(header(1 << 20, 1 << 20, kind=14) + bytes(100))
    said, peak = refused("read_idx", small, large, tmp_path / "plain")
    assert "is too long: it holds 113 or more, wants 112 bytes" in said[0]
    assert "is truncated: it holds 134217740, wants 268435468 bytes" in said[1]
    assert "is truncated: it holds 112, wants 8796093022220 bytes" in said[2]
    assert peak < 64 << 20


@pytest.mark.parametrize("name", ["digits", "digits.gz"])
@pytest.mark.parametrize("shape", [(3, 5), (0, 4), (60, 70)])
def test_what_is_right_is_read(name, shape, tmp_path, monkeypatch):
    """Also where it is gone through twice, and read in pieces."""
    monkeypatch.setattr(ns.data.idx, "MOST_UNPACKED", 100)
    monkeypatch.setattr(ns.data.idx, "CHUNK", 64)
    array = np.full(shape, 7, np.uint8)
    write_idx(tmp_path / name, array)
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)


@pytest.mark.parametrize("end", [1, 3, 5, 11, 13, -1])
def test_a_file_that_is_cut_short_is_refused(end, tmp_path):
    write_idx(tmp_path / "a", np.arange(8, dtype=np.int16).reshape(2, 4))
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:end])
    (tmp_path / "b").write_bytes(gzip.compress(content[:end]))
    (tmp_path / "c").write_bytes(gzip.compress(content)[: end - 8])
    for name in "abc":
        with pytest.raises(ValueError, match=f"^read_idx: .*{name} (is|starts)"):
            read_idx(tmp_path / name)


@pytest.mark.parametrize("depth", [1000, 100_000, 3_000_000])
def test_a_description_that_is_nested_deep_is_refused(depth, tmp_path):
    description = '{"format": 2, "notes": ' + "[" * depth + "]" * depth + "}"
    save_file({"a": np.zeros(2)}, tmp_path / "a", {state_files.METADATA: description})
    if depth > 1000:
        with pytest.raises(ValueError, match="^load: .* is damaged: its description: it"):
            ns.load(tmp_path / "a")
        with pytest.raises(ValueError, match="^resume: .* holds tensors but no training run"):
            state_files.read_checkpoint(tmp_path / "a")
    model = ns.nn.Linear(2, 1)
    trainer = ns.Trainer(model, "mse", ns.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="^resume: ") as caught:
        trainer.fit(np.ones((2, 2)), np.ones((2, 1)), resume=tmp_path / "a")
    assert len(str(caught.value)) < 300


def test_many_small_parts_take_no_memory(tmp_path):
    description = '{"format": 2, "notes": [' + ",".join(["[]"] * 4_000_000) + "]}"
    save_file({"a": np.zeros(2)}, tmp_path / "a", {state_files.METADATA: description})
    _, peak = refused("read_checkpoint", tmp_path / "a")
    assert peak < os.path.getsize(tmp_path / "a") + (64 << 20)


@pytest.mark.parametrize("obj", [{"w": np.arange(6.0).reshape(2, 3)}, {"run": {"epoch": 3}, "w": np.ones(2)}])
def test_one_flipped_bit_is_noticed(obj, tmp_path):
    ns.save(obj, tmp_path / "a")
    content = bytearray((tmp_path / "a").read_bytes())
    assert state_files.CHECKSUM in json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    for at in (len(content) - 1, len(content) - 7):
        content[at] ^= 4
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ValueError, match="^load: .* is damaged: its checksum is not that of what it holds"):
            ns.load(tmp_path / "a")
        content[at] ^= 4


def test_files_without_a_checksum_are_read(tmp_path):
    save_file({"w": np.arange(3.0)}, tmp_path / "a")
    assert ns.load(tmp_path / "a")["w"].tolist() == [0, 1, 2]


def test_names_and_settings_from_a_file_are_shown_short_and_plain(tmp_path):
    """As they would be on a terminal that obeys what they say."""
    name = "\x1b[31m" + "x" * 100_000 + "\n"
    model = ns.nn.Linear(2, 1)
    state = {**model.state_dict(), **{f"{name}{i}": np.zeros(1) for i in range(50)}}
    optimizer = ns.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="^load_state_dict: ") as caught:
        model.load_state_dict(state)
    assert "and 40 more; load it into the network" in str(caught.value)
    messages = [caught.value]
    for wrong in (
        {"optimizer": name},
        {"optimizer": "SGD", "groups": [{name: 1}], "steps": []},
        {**optimizer.state_dict(), name: 1},
    ):
        with pytest.raises(ValueError, match=r"^SGD\.load_state_dict: ") as caught:
            optimizer.load_state_dict(wrong)
        messages.append(caught.value)
    state_files.write_checkpoint(tmp_path / "a", {}, {"settings": {"samples": name}, "notes": {"system": name}})
    trainer = ns.Trainer(model, "mse", optimizer)
    with pytest.raises(ValueError, match="^resume: ") as caught:
        trainer.fit(np.ones((2, 2)), np.ones((2, 1)), resume=tmp_path / "a")
    messages.append(caught.value)
    for error in messages:
        assert str(error).isprintable() and len(str(error)) < 2000
