"""Coming from PyTorch: every name of the table is there or its hint leads to one that is; a whole script is ported by its hints."""

import re
from pathlib import Path

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import hints, nn, optim, pytorch_names

ROOT = Path(__file__).parent.parent
W = ns.tensor([1.0], requires_grad=True)
#: By PyTorch's places what stands for them here.
HERE = {
    "": ns,
    "Tensor.": W,
    "nn.": nn,
    "nn.Module.": nn.ReLU(),
    "nn.functional.": F,
    "nn.init.": nn.init,
    "nn.utils.": nn.utils,
    "optim.": optim,
    "optim.Optimizer.": optim.SGD([W], lr=0.1),
    "optim.lr_scheduler.": optim.lr_scheduler,
    "optim.lr_scheduler.LRScheduler.": optim.lr_scheduler.StepLR(optim.SGD([W], lr=0.1), 1),
    "utils.data.": ns.data,
}
ROOTS = {"ns": ns, "np": np, "F": F, "nn": nn, "optim": optim, "x": W, "p": W, "module": nn.ReLU(), "self": nn.ReLU()}


def test_what_is_called_alike_is_there():
    lacking = [
        f"{place}{name}"
        for place, names in pytorch_names.SAME.items()
        for name in names.split()
        if not hasattr(HERE[place], name) and not (name == "grad" and place == "Tensor.")
    ]
    assert lacking == []
    assert [
        name for names in pytorch_names.SAME.values() for name in names.split() if names.split().count(name) > 1
    ] == []


@pytest.mark.parametrize("row", pytorch_names.NAMES, ids=lambda row: row.theirs)
def test_every_other_name_says_what_it_is_called_here(row):
    place = hints.place_of(row.theirs)
    with pytest.raises(AttributeError) as caught:
        getattr(HERE[place], row.theirs.removeprefix(place))
    said = str(caught.value)
    assert said.endswith(_sentence_end(row))
    assert "\n" not in said
    assert row.ours or row.note


def _sentence_end(row):
    if not row.ours:
        return f": {row.note}"
    return f" is {row.ours} here" + (f", {row.note}" if row.note else "")


EVERY = (*pytorch_names.NAMES, *pytorch_names.ARGUMENTS, *pytorch_names.DIFFERENCES)


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.theirs)
def test_every_name_that_a_hint_names_is_there(row):
    text = f"{row.ours} {row.note}"
    found = re.findall(r"\b(ns|np|F|nn|optim|x|p|module)((?:\.\w+)+)", re.sub(r"torch\.\S+|module\.name = ", "", text))
    for root, path in found:
        value = ROOTS[root]
        for part in path[1:].split("."):
            value = getattr(value, part)
    known = "tuple setattr dict values along x[mask] x[...]".split()
    plain = re.match(r"'|[-+*/@=]+|forget_bias|Glorot|classes|no limit|over all|NumPy|a str|the \w", row.ours)
    assert found or not row.ours or row.ours.endswith("=") or plain or any(word in row.ours for word in known)


#: Calls by PyTorch's arguments, and what their errors say.
CALLS = {
    "F.softmax(x, dim=1)": "softmax: has no argument 'dim'; it takes x, axis; PyTorch's dim= is axis= here",
    "x.sum(dim=1)": "PyTorch's dim= is axis= here",
    "x.mean(1, keepdim=True)": "PyTorch's keepdim= is keepdims= here",
    "x.std(unbiased=False)": "PyTorch's unbiased= is ddof= here, 1 where it is True",
    "x.argmax(dim=1)": "PyTorch's dim= is axis= here",
    "x.clip(min=0)": "PyTorch's min= is low= here",
    "x.squeeze(dim=0)": "PyTorch's dim= is axis= here",
    "ns.concatenate([x, x], dim=0)": "concatenate: has no argument 'dim', it takes arrays, axis; PyTorch's dim= is axis= here",
    "ns.stack([x, x], dim=0)": "PyTorch's dim= is axis= here",
    "ns.sort(x, descending=True)": "of PyTorch's descending=: flip the result",
    "F.dropout(x, 0.5, inplace=True)": "of PyTorch's inplace=: leave it out",
    "F.cross_entropy(x, [0, 1], size_average=True)": "PyTorch's size_average= is reduction= here",
    "nn.Softmax(dim=1)": "Softmax: has no argument 'dim', it takes axis; PyTorch's dim= is axis= here",
    "nn.Flatten(start_dim=1)": "PyTorch's start_dim= is start_axis= here",
    "nn.ReLU(inplace=True)": "ReLU: has no argument 'inplace', it takes ; of PyTorch's inplace=: leave it out",
    "nn.LeakyReLU(negative_slope=0.1)": "PyTorch's negative_slope= is slope= here",
    "nn.Linear(2, 3, device='cuda')": "of PyTorch's device=: leave it out, and move what was made by .to",
    "optim.SGD([w], lr=0.1, foreach=True)": "SGD: has no argument 'foreach', it takes params, lr",
    "optim.Adam([w], maximize=True)": "of PyTorch's maximize=: take the negative loss",
    "optim.lr_scheduler.StepLR(optim.SGD([w], lr=0.1), 2, last_epoch=3)": "of PyTorch's last_epoch=: leave it out, and go on by",
    "ns.data.DataLoader([1, 2], pin_memory=True)": "DataLoader: has no argument 'pin_memory'",
    "ns.load('no file', weights_only=True)": "of PyTorch's weights_only=: leave it out",
    "x.sum(dimension=1)": "sum: has no argument 'dimension'; it takes x, axis, keepdims",
}


@pytest.mark.parametrize("call", CALLS)
def test_an_argument_of_pytorchs_says_what_it_is_called_here(call):
    x, w = ns.tensor([[1.0, 2.0], [3.0, 4.0]]), W
    with pytest.raises(TypeError) as caught:
        eval(call, {"x": x, "w": w, "F": F, "nn": nn, "ns": ns, "optim": optim})
    assert CALLS[call] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_errors_of_calls_further_in_stay_as_they_are():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner(dim=1)

        def inner(self, axis=0):
            return axis

    with pytest.raises(TypeError, match=r"inner\(\) got an unexpected keyword argument 'dim'"):
        Net()


def test_names_that_nobody_has_get_no_hint():
    for owner, name in ((ns, "dog"), (nn, "Dog"), (W, "dog"), (nn.ReLU(), "dog"), (F, "__path__")):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'$"):
            getattr(owner, name)


def test_classes_may_have_the_names_that_ours_lack():
    class Net(nn.Module):
        def __init__(self):
            self.cuda = nn.Linear(1, 1)

        def half(self):
            return 0.5

    net = Net()
    assert net.half() == 0.5
    assert [name for name, _ in net.named_parameters()] == ["cuda.weight", "cuda.bias"]
    assert not hasattr(nn.Module, "cpu") and not hasattr(ns.Tensor, "view")


def test_calling_a_size_says_so_in_modules_and_data_sets():
    class Net(nn.Module):
        def forward(self, x):
            return x.reshape(x.size(0), -1)

    class Data(ns.data.Dataset):
        def __len__(self):
            return W.size(0)

        def __getitem__(self, index):
            return W.size(0)

    said = r"^'int' object is not callable; PyTorch's x\.size\(0\) is x\.shape\[0\] here"
    for call in (lambda: Net()(W), lambda: ns.data.DataLoader(Data()), lambda: Data().batch([0])):
        with pytest.raises(TypeError, match=said):
            call()


def test_the_page_is_current():
    page = (ROOT / "docs" / "from-pytorch.md").read_text(encoding="utf-8")
    assert page == hints.page()


# A script

IMPORTS = [
    ("import torch\n", "import nnscratch as torch\n"),
    ("import torch.nn as nn\n", "from nnscratch import nn\n"),
    ("import torch.nn.functional as F\n", "from nnscratch import functional as F\n"),
    ("import torch.optim as optim\n", "from nnscratch import optim\n"),
    ("from torch.", "from nnscratch."),
    ("nnscratch.utils.data", "nnscratch.data"),
]

#: What is changed in the order in which the script fails, and what the error says.
CHANGES = [
    ('torch.device("cuda" if', '("cuda" if', "a device is a str: 'cpu' or 'cuda'"),
    ("torch.cuda.is_available()", '"cuda" in torch.devices()', "ns.devices here, which says whether there is a 'cuda'"),
    ("self.images.size(0)", "self.images.shape[0]", "x.size(0) is x.shape[0] here"),
    (", pin_memory=True", "", "of PyTorch's pin_memory=: leave it out"),
    ("inplace=True", "", "of PyTorch's inplace=: leave it out"),
    ("p.dim()", "p.ndim", "PyTorch's Tensor.dim is x.ndim here"),
    ("x.view(", "x.reshape(", "PyTorch's Tensor.view is x.reshape here"),
    ("x.size(0)", "x.shape[0]", "x.size(0) is x.shape[0] here"),
    ("torch.nn.utils.clip_grad_norm_", "optim.clip_grad_norm", "is optim.clip_grad_norm here"),
    ("torch.cat(", "torch.concatenate(", "torch.cat is ns.concatenate here"),
    ("F.softmax(logits, dim=1)", "F.softmax(logits, axis=1)", "PyTorch's dim= is axis= here"),
    (".amax(dim=1)", ".max(axis=1)", "PyTorch's Tensor.amax is x.max here"),
    ("logits.argmax(dim=1)", "logits.argmax(axis=1)", "PyTorch's dim= is axis= here"),
    (".float()", '.astype("float32")', "PyTorch's Tensor.float is x.astype here, with 'float32'"),
    (", weights_only=True", "", "of PyTorch's weights_only=: leave it out"),
]


def test_a_training_script_is_ported_by_its_imports_and_by_what_its_errors_say(capsys):
    source = (Path(__file__).parent / "pytorch" / "script.py").read_text(encoding="utf-8")
    assert source.count("\n") > 120
    for old, new in IMPORTS:
        assert old in source
        source = source.replace(old, new)
    assert "import torch" not in source.replace("import nnscratch as torch", "")
    for old, new, hint in CHANGES:
        with pytest.raises((AttributeError, TypeError)) as caught:
            exec(compile(source, "script.py", "exec"), {"__name__": "script"})
        assert hint in str(caught.value)
        assert old in source
        source = source.replace(old, new)
    namespace = {"__name__": "script"}
    exec(compile(source, "script.py", "exec"), namespace)
    best, again, rate = namespace["result"]
    assert best == again > 0.9
    assert rate == pytest.approx(0, abs=1e-12)
    assert "epoch 3: " in capsys.readouterr().out
