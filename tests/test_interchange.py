"""DLPack both ways, and PyTorch's weights: values, sharing, lifetime, and what is refused."""

import gc
import sys
import types
import weakref

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn

pytestmark = pytest.mark.cpu


class Bytes(np.ndarray):
    """An array that can be referred to weakly."""


@pytest.mark.parametrize("dtype", "float16 float32 float64 int8 int16 int32 int64 uint8 bool".split())
def test_arrays_go_both_ways_in_the_same_memory(dtype):
    a = np.arange(6).reshape(2, 3).astype(dtype)
    t = ns.from_dlpack(a)
    assert t.dtype == dtype and np.shares_memory(t.numpy(), a)
    b = np.from_dlpack(t)
    assert np.shares_memory(a, b)
    np.testing.assert_array_equal(a, b)
    assert t.__dlpack_device__() == (1, 0)


def test_strided_empty_and_single_ones():
    a = np.arange(12.0).reshape(3, 4)[::2, 1:].T
    np.testing.assert_array_equal(ns.from_dlpack(a).numpy(), a)
    assert np.shares_memory(ns.from_dlpack(ns.from_dlpack(a)).numpy(), a)
    assert ns.from_dlpack(np.zeros((0, 2))).shape == (0, 2)
    assert ns.from_dlpack(np.array(3.0)).item() == 3.0


def test_memory_lives_as_long_as_somebody_holds_it():
    a = np.ones(1000).view(Bytes)
    gone = weakref.ref(a)
    t = ns.from_dlpack(a)
    del a
    gc.collect()
    assert gone() is not None and t.sum() == 1000
    b = np.from_dlpack(t)
    del t
    assert gone() is not None and b.sum() == 1000
    del b
    assert gone() is None


def test_a_read_only_array_stays_so():
    a = np.ones(2)
    a.flags.writeable = False
    try:
        t = ns.from_dlpack(a)
    except TypeError as error:  # of an older NumPy, which cannot say that it is
        assert "cannot be taken over" in str(error)
    else:
        with pytest.raises(ValueError, match="read-only"):
            t[0] = 2.0
    assert a[0] == 1


class Elsewhere:
    def __init__(self, device, error=None):
        self.device, self.error = device, error

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, **asked):
        raise self.error


@pytest.mark.parametrize(("source", "error", "words"), [
    (np.ones(2, complex), TypeError, "numpy's ndarray cannot be taken over"),
    ([1.0], TypeError, r"got \[1\.0\], expected an array with __dlpack__; pass one, or use ns.tensor"),
    (Elsewhere(10), ValueError, "lives on a device of DLPack's kind 10; move it"),
    (Elsewhere(1, BufferError("Can't export tensors that require gradient.")), TypeError, "Elsewhere cannot be taken over .Can't export"),
    (Elsewhere(1, RuntimeError("no\nbfloat16")), TypeError, "no bfloat16.; detach or convert it before, for example to float32"),
])  # fmt: skip
def test_what_cannot_be_taken_over_is_refused(source, error, words):
    with pytest.raises(error, match=words) as caught:
        ns.from_dlpack(source)
    assert str(caught.value).startswith("from_dlpack: ")
    assert "\n" not in str(caught.value)


def test_a_tensor_with_a_gradient_is_not_given_away():
    x = ns.tensor([1.0], requires_grad=True)
    with pytest.raises(
        BufferError, match=r"requires a gradient, which another library would lose; pass tensor.detach\(\)"
    ):
        np.from_dlpack(x)
    assert np.from_dlpack(x.detach())[0] == 1
    assert not ns.from_dlpack(x).requires_grad


# PyTorch's weights


class Theirs:
    """What from_torch asks of a tensor of PyTorch's."""

    def __init__(self, array, dtype="torch.float32"):
        self.array, self.dtype = np.asarray(array), dtype

    def detach(self):
        return self

    cpu = detach

    def float(self):
        return Theirs(self.array.astype("float32"))

    def numpy(self):
        assert self.dtype != "torch.bfloat16"
        return self.array


def test_weights_of_pytorch_are_taken_over():
    layer = nn.BatchNorm1d(2)
    state = {name: Theirs(np.arange(2, dtype="float32")) for name in layer.state_dict()}
    state["num_batches_tracked"] = Theirs(np.array(3))
    module = types.SimpleNamespace(state_dict=lambda: state)
    for source in (state, module):
        layer.load_state_dict(ns.from_torch(source))
        assert layer.running_var.tolist() == [0.0, 1.0]
    half = ns.from_torch({"weight": Theirs(np.array([1.5], "float16"), "torch.bfloat16")})
    assert half["weight"].dtype == np.float32 and half["weight"].tolist() == [1.5]
    assert not np.shares_memory(ns.from_torch(state)["weight"], state["weight"].array)


def test_weights_are_given_to_pytorch(monkeypatch):
    given = types.ModuleType("torch")
    given.from_numpy = lambda array: ("tensor", array)
    monkeypatch.setitem(sys.modules, "torch", given)
    layer = nn.Linear(2, 1)
    state = ns.to_torch(layer)
    assert list(state) == ["weight", "bias"]
    kind, array = state["weight"]
    assert kind == "tensor" and not np.shares_memory(array, layer.weight.numpy())
    np.testing.assert_array_equal(array, layer.weight.numpy())
    assert ns.to_torch({"w": layer.weight})["w"][1].shape == (1, 2)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="to_torch: PyTorch is not installed; install it"):
        ns.to_torch(layer)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: ns.from_torch([1.0]), "from_torch: got .* expected a module of PyTorch's or its state_dict"),
    (lambda: ns.from_torch({"weight": "x"}), "from_torch: weight is 'x', expected a tensor"),
])  # fmt: skip
def test_mistakes(call, words):
    with pytest.raises(TypeError, match=words):
        call()
