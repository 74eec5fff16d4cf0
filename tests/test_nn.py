"""Modules: what belongs to them, modes, state, printed forms and mistakes."""

import copy

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import nn

F = ns.functional

#: Each test runs on every device: tensors are made there where nothing else is said.
pytestmark = pytest.mark.usefixtures("device")


def small():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


def mnist_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(),
    )  # fmt: skip


class Twice(nn.Module):
    """One layer used in two places."""

    def __init__(self):
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.scale = nn.Parameter([2.0])
        self.tied = self.scale
        self.register_buffer("seen", ns.tensor([0.0]))

    def forward(self, x):
        return self.again(self.first(x)) * self.scale


# Parameters


def test_a_parameter_requires_a_gradient_and_copies():
    array = np.ones(3)
    p = nn.Parameter(array)
    assert p.requires_grad
    assert p.is_leaf
    p.data[0] = 5
    assert array[0] == 1
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    assert nn.Parameter([1.0], dtype="float64").dtype == np.float64
    assert nn.Parameter(np.broadcast_to(np.float32(1), (2, 2))).data.base is None


def test_results_of_operations_are_no_parameters():
    p = nn.Parameter([1.0])
    for result in (p * 2, p.detach(), p.reshape((1, 1)), p.copy(), p[0]):
        assert type(result) is ns.Tensor
    assert type(p.to(p.device)) is nn.Parameter


# What belongs to a module


def test_names_in_the_order_of_assignment():
    net = small()
    assert [n for n, _ in net.named_parameters()] == [
        "0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"
    ]  # fmt: skip
    assert [n for n, _ in net.named_buffers()] == ["1.running_mean", "1.running_var"]
    assert [n for n, _ in net.named_modules()] == ["", "0", "1", "2", "3", "4"]
    assert [n for n, _ in net.named_children()] == ["0", "1", "2", "3", "4"]
    assert list(net.children()) == list(net)
    outer = nn.Residual(nn.Sequential(nn.Linear(2, 2), nn.Residual(nn.ReLU())))
    assert [n for n, _ in outer.named_modules()] == ["", "module", "module.0", "module.1", "module.1.module"]
    assert [n for n, _ in outer.named_parameters()] == ["module.0.weight", "module.0.bias"]


def test_what_is_shared_is_listed_once():
    net = Twice()
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "first.bias"]
    assert [n for n, _ in net.named_buffers()] == ["seen"]
    assert [n for n, _ in net.named_children()] == ["first"]
    assert set(net.state_dict()) == {"scale", "first.weight", "first.bias", "seen"}
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu)
    assert len(net) == 4
    assert len(list(net.children())) == 3
    assert sum("ReLU" in row[1] for row in net.summary((2,)).rows) == 2


def test_attributes_can_be_replaced_and_deleted():
    net = small()
    setattr(net, "2", nn.Tanh())
    assert [type(m).__name__ for m in net] == ["Linear", "BatchNorm1d", "Tanh", "Dropout", "Linear"]
    net[0].bias = None
    assert "0.bias" not in net.state_dict()
    del net[4].weight
    assert "4.weight" not in dict(net.named_parameters())


def test_a_buffer_stays_one_when_a_tensor_is_assigned():
    net = Twice()
    before = net.seen
    net.seen = net.seen + 1
    assert isinstance(net.seen, nn.Buffer)
    assert net.seen is not before
    assert net.state_dict()["seen"] == 1


def test_super_init_may_be_left_out():
    class Bare(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return self.layer(x)

    net = Bare()
    assert net.training
    assert len(list(net.parameters())) == 2
    assert not net.eval().layer.training


def test_deep_copies_are_independent_and_keep_what_is_shared():
    net = Twice()
    other = copy.deepcopy(net)
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert other.first is other.again
    other.scale.data[:] = 7
    assert net.scale.item() == 2
    assert type(other.scale) is nn.Parameter


# Modes and gradients


def test_train_and_eval_reach_every_module():
    net = nn.Sequential(small(), nn.Residual(nn.Dropout(0.1)))
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net[0].train()
    assert not net.training
    assert net[0][3].training


def test_zero_grad_and_freezing():
    net = nn.Linear(3, 2)
    net(ns.tensor(np.ones((1, 3), "float32"))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(ns.tensor(np.ones((1, 3), "float32"))).requires_grad
    assert net.requires_grad_().weight.requires_grad


def test_to_keeps_the_parameters_themselves():
    net = nn.Linear(3, 2)
    parameters = list(net.parameters())
    assert net.to("cpu") is net
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    with pytest.raises(ValueError, match="'nowhere' is not available"):
        net.to("nowhere")


# State


def test_state_dict_holds_copies():
    net = small()
    state = net.state_dict()
    assert all(type(a) is np.ndarray for a in state.values())
    state["0.weight"][:] = 100
    assert not (net[0].weight.data == 100).any()


def test_round_trip():
    ns.manual_seed(1)
    a = small()
    a(ns.tensor(np.random.default_rng(0).standard_normal((8, 3)), dtype="float32"))  # moves the running statistics
    ns.manual_seed(2)
    b = small()
    tensors = [*b.parameters(), *b.buffers()]
    versions = [t._version[0] for t in tensors]
    b.load_state_dict({name: ns.tensor(value) for name, value in a.state_dict().items()})
    for name, value in b.state_dict().items():
        np.testing.assert_array_equal(value, a.state_dict()[name], err_msg=name)
    assert all(t is u for t, u in zip(tensors, [*b.parameters(), *b.buffers()], strict=True))
    assert [t._version[0] for t in tensors] == [v + 1 for v in versions]
    x = ns.tensor(np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(a.eval()(x).numpy(), b.eval()(x).numpy())


def test_loading_between_forward_and_backward_is_noticed():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    loss = net(ns.tensor(np.ones((1, 2), "float32"))).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize(
    ("mend", "error", "words"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "4.bias"}, ValueError, r"4\.bias is missing"),
        (lambda s: {**s, "extra": np.ones(1)}, ValueError, "extra is unexpected"),
        (lambda s: {}, ValueError, r"0\.weight is missing.*1\.running_var is missing"),
        (
            lambda s: {**s, "0.weight": np.ones((3, 4), "float32")},
            ValueError,
            r"\(3, 4\) float32, expected \(4, 3\) float32",
        ),
        (lambda s: {**s, "0.weight": np.ones((4, 3))}, ValueError, "float64, expected .* float32"),
        (lambda s: {**s, "4.bias": [0.0, 0.0]}, ValueError, r"4\.bias is \[0\.0, 0\.0\], expected \(2,\) float32"),
        (lambda s: {**s, "1.running_var": None}, ValueError, "is None"),
        (lambda s: list(s), TypeError, "expected a dict"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(mend, error, words):
    net = small()
    before = net.state_dict()
    damaged = mend({k: v + 1 for k, v in before.items()})
    with pytest.raises(error, match=words):
        net.load_state_dict(damaged)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_all_that_does_not_fit_is_listed_at_once():
    net = small()
    state = net.state_dict()
    del state["4.bias"]
    state["x"], state["0.bias"] = np.ones(1), np.ones(9, "float32")
    with pytest.raises(ValueError, match=r"4\.bias is missing, x is unexpected, 0\.bias is \(9,\)"):
        net.load_state_dict(state)


def test_not_strict_leaves_out_names_but_not_shapes():
    net = small()
    net.load_state_dict({"0.bias": np.full(4, 3, "float32"), "x": np.ones(1)}, strict=False)
    assert (net[0].bias.data == 3).all()
    with pytest.raises(ValueError, match=r"0\.bias is"):
        net.load_state_dict({"0.bias": np.ones(5, "float32")}, strict=False)


# Containers


def test_sequential_indexing_slicing_and_append():
    net = small()
    assert net[-1] is net[4]
    assert net["1"] is net[1]
    head = net[:2]
    assert type(head) is nn.Sequential
    assert len(head) == 2
    assert head[0] is net[0]
    tail = net[1:3].append(nn.Tanh()).append(nn.Sigmoid())
    assert [type(m).__name__ for m in tail] == ["BatchNorm1d", "ReLU", "Tanh", "Sigmoid"]
    assert len(net) == 5


def test_sequential_with_names_from_a_list_and_empty():
    net = nn.Sequential({"hidden": nn.Linear(2, 3), "out": nn.Linear(3, 1)})
    assert list(net.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert net.hidden is net[0]
    assert list(net[1:].state_dict()) == ["out.weight", "out.bias"]
    assert len(nn.Sequential([nn.ReLU(), nn.Tanh()])) == 2
    x = ns.tensor([1.0])
    assert nn.Sequential()(x) is x


def test_module_list():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    assert len(layers) == 3
    assert len(list(layers.parameters())) == 6
    assert type(layers[:2]) is nn.ModuleList
    with pytest.raises(NotImplementedError, match="ModuleList: has no forward"):
        layers(1)


def test_residual():
    x = ns.tensor([[1.0, -2.0]])
    np.testing.assert_array_equal(nn.Residual(nn.ReLU())(x).numpy(), [[2, -2]])
    f, way = nn.Linear(2, 3), nn.Linear(2, 3, bias=False)
    np.testing.assert_array_equal(nn.Residual(f, way)(x).numpy(), (f(x) + way(x)).numpy())
    with pytest.raises(
        ValueError, match=r"Residual: the module gives \(1, 3\), the way around it \(1, 2\).*pass a shortcut"
    ):
        nn.Residual(f)(x)
    with pytest.raises(ValueError, match="make the shortcut give"):
        nn.Residual(f, nn.Linear(2, 1))(x)


# Printed forms


def test_repr_is_nested():
    net = nn.Sequential(nn.Residual(nn.Sequential(nn.Linear(2, 2, bias=False), nn.ELU(0.5))), nn.Dropout(0.25))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Residual(\n"
        "    (module): Sequential(\n"
        "      (0): Linear(2, 2, bias=False)\n"
        "      (1): ELU(alpha=0.5)\n"
        "    )\n"
        "  )\n"
        "  (1): Dropout(p=0.25)\n"
        ")"
    )


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(3, 6, (3, 2), 2, padding="same", groups=3, bias=False), "Conv2d(3, 6, kernel_size=(3, 2), stride=(2, 2), padding='same', groups=3, bias=False)"),
        (nn.Conv1d(1, 2, 3, dilation=2), "Conv1d(1, 2, kernel_size=(3,), stride=1, dilation=2)"),
        (nn.ConvTranspose2d(1, 2, 3, 2, 1, 1), "ConvTranspose2d(1, 2, kernel_size=(3, 3), stride=(2, 2), padding=1, output_padding=(1, 1))"),
        (nn.MaxPool2d(3, 2, 1), "MaxPool2d(kernel_size=3, stride=2, padding=1)"),
        (nn.AvgPool1d(2, count_include_pad=False), "AvgPool1d(kernel_size=2, stride=2, count_include_pad=False)"),
        (nn.AdaptiveAvgPool2d((1, 2)), "AdaptiveAvgPool2d((1, 2))"),
        (nn.BatchNorm2d(3, affine=False), "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=False)"),
        (nn.LayerNorm((2, 3)), "LayerNorm((2, 3), eps=1e-05)"),
        (nn.Embedding(10, 4), "Embedding(10, 4)"),
        (nn.Flatten(2), "Flatten(start_axis=2)"),
        (nn.Reshape(1, 28, 28), "Reshape(1, 28, 28)"),
        (nn.Softmax(1), "Softmax(axis=1)"),
        (nn.Identity(), "Identity()"),
    ],
)  # fmt: skip
def test_repr_shows_the_settings(layer, text):
    assert repr(layer) == text


def test_summary_of_the_documents_network():
    assert str(mnist_cnn().summary((1, 28, 28))) == (
        "Layer  Type       Output           Parameters\n"
        "0      Conv2d     (N, 32, 26, 26)         320\n"
        "1      ReLU       (N, 32, 26, 26)           0\n"
        "2      MaxPool2d  (N, 32, 13, 13)           0\n"
        "3      Conv2d     (N, 64, 11, 11)      18,496\n"
        "4      ReLU       (N, 64, 11, 11)           0\n"
        "5      MaxPool2d  (N, 64, 5, 5)             0\n"
        "6      Flatten    (N, 1600)                 0\n"
        "7      Linear     (N, 64)             102,464\n"
        "8      ReLU       (N, 64)                   0\n"
        "9      Linear     (N, 10)                 650\n"
        "10     Softmax    (N, 10)                   0\n"
        "121,930 parameters: 121,930 trainable, 0 not; 476.3 KiB, with the 0 values in buffers"
    )


class Counting(nn.Module):
    """Draws random numbers and changes its buffer whenever it is called, whatever the mode."""

    def __init__(self):
        self.calls = nn.Buffer([0.0])
        self.total = nn.Buffer([0.0])

    def forward(self, x):
        self.calls = self.calls + 1
        self.total[...] = 5
        return ns.functional.dropout(x + ns.backend.cpu.rng.random())


def test_summary_changes_nothing():
    net = nn.Sequential(small(), Counting())
    net[0][1].eval()
    modes = [m.training for m in net.modules()]
    before = net.state_dict()
    attributes = [set(vars(m)) for m in net.modules()]
    random_states = [b.rng.bit_generator.state for b in (ns.backend.cpu, ns.backend.get())]
    table = net.summary((3,))
    assert [b.rng.bit_generator.state for b in (ns.backend.cpu, ns.backend.get())] == random_states
    assert [m.training for m in net.modules()] == modes
    assert [set(vars(m)) for m in net.modules()] == attributes
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert all(p.grad is None for p in net.parameters())
    assert [row[1] for row in table.rows] == ["Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear", "Counting"]
    assert table.buffered == 10
    assert table.memory == 4 * (16 + 8 + 10 + 10)


def test_summary_runs_in_evaluation_without_recording():
    seen = []

    class Watching(nn.Module):
        def forward(self, x):
            seen.append((self.training, ns.is_grad_enabled(), x.shape))
            return x

    nn.Sequential(Watching(), nn.BatchNorm1d(3)).summary((3,))
    assert seen == [(False, False, (1, 3))]


def test_summary_restores_after_an_error():
    net = small()
    net[3].eval()
    table = net.summary((5,))
    assert (
        table.rows == [("0", "Linear", "fails", table.rows[0][3])]
        and "x has 5 features, weight expects 3" in table.fault
    )
    assert [m.training for m in net] == [True, True, True, False, True]
    assert not any("forward" in vars(m) for m in net.modules())


class Branches(nn.Module):
    def __init__(self):
        self.trunk = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(4, 2), nn.Sequential(nn.BatchNorm1d(4), nn.Linear(5, 1))])

    def forward(self, x):
        return [head(self.trunk(x)) for head in self.heads]


MISFITS = [
    (
        lambda: nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(3, 1)),
        (5,),
        "Sequential 2 (Linear): linear: x has 4 features",
    ),
    (Branches, (3,), "Branches heads.1.1 (Linear): linear: x has 4 features, weight expects 5"),
    (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(3, 1, 1))),
        (1, 4, 4),
        "Sequential 1.1 (Conv2d): conv2d: x has 2 channels, weight expects 3",
    ),
    (
        lambda: nn.Sequential({"flat": nn.Flatten(), "norm": nn.BatchNorm1d(3)}),
        (2, 2),
        "Sequential norm (BatchNorm1d): batch_norm: ",
    ),
    (
        lambda: nn.Sequential(nn.Residual(nn.Linear(2, 3))),
        (2,),
        r"Sequential 0 (Residual): Residual: the module gives (1, 3), the way around it (1, 2)",
    ),
    (lambda: nn.Sequential(nn.Embedding(4, 2)), (3,), "Sequential 0 (Embedding): "),
    (lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(3)), (1, 2, 2), "Sequential 1 (MaxPool2d): max_pool2d: "),
]


@pytest.mark.parametrize(("make", "shape", "message"), MISFITS)
def test_an_error_inside_a_model_names_the_layers_path(make, shape, message):
    with pytest.raises((TypeError, ValueError, IndexError)) as caught:
        make().eval()(ns.tensor(np.full((1, *shape), 0.5)).astype("float32"))
    assert str(caught.value).startswith(message), str(caught.value)


@pytest.mark.parametrize(("make", "shape", "message"), MISFITS)
def test_summary_lists_up_to_the_fault(make, shape, message):
    table = make().summary(shape)
    assert (
        table.fault.startswith(message) and str(table).endswith(table.fault) and table.fault[:20] in table._repr_html_()
    )
    assert [row[2] == "fails" for row in table.rows] == [False] * (len(table.rows) - 1) + ["Residual" not in message]


def test_an_error_of_a_layer_by_itself_and_errors_of_other_kinds_stay_as_they_are():
    class Broken(nn.Module):
        def forward(self, x):
            raise self.error

    with pytest.raises(ValueError, match="^linear: x has 2 features"):
        nn.Linear(3, 1)(ns.tensor([[1.0, 2.0]]))
    for error in (
        KeyError("a"),
        RuntimeError("b"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "c"),
        ValueError(),
        Warning("d"),
    ):
        broken = Broken()
        broken.error = error
        before = str(error)
        with pytest.raises(type(error)):
            nn.Sequential(broken)(ns.tensor([1.0]))
        assert str(error) == before
    broken.error = ValueError("first")  # raised again: named once
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^Sequential 0 \(Broken\): first$"):
            nn.Sequential(broken)(ns.tensor([1.0]))


def test_summary_counts_what_is_shared_once_and_knows_frozen_parameters():
    net = Twice()
    net.first.requires_grad_(False)
    table = net.summary((3,))
    assert (table.total, table.trainable) == (13, 1)
    assert sorted(table.rows) == [
        ("-", "Twice", "(N, 3)", 1),
        ("first", "Linear", "(N, 3)", 0),
        ("first", "Linear", "(N, 3)", 12),
    ]


def test_summary_in_the_modules_own_dtype_and_of_indices():
    assert nn.Linear(3, 2, dtype="float64").summary((3,)).rows == [("-", "Linear", "(N, 2)", 8)]
    net = nn.Sequential(nn.Embedding(5, 4), nn.Flatten())
    assert net.summary((3,), dtype="int64").rows[-1][2] == "(N, 12)"


def test_summary_of_an_example_batch():
    net, x = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)), np.arange(6.0).reshape(2, 3)
    for given in (x, x.astype("float16"), ns.tensor(x)):
        assert str(net.summary(given)) == str(net.summary((3,)))
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))
    tokens = np.zeros((7, 5), np.int64)
    assert nn.Sequential(nn.Embedding(9, 2), nn.Flatten()).summary(tokens).rows[-1][2] == "(N, 10)"
    with pytest.raises(TypeError, match=r"^summary: got \[\[1.0\]\], expected the shape"):
        net.summary([[1.0]])


def test_summary_of_several_inputs_and_results():
    class Two(nn.Module):
        def forward(self, a, b):
            return a.sum(), (b, b)

    assert Two().summary((2,), (3, 4)).rows == [("-", "Two", "(), (N, 3, 4), (N, 3, 4)", 0)]


# Mistakes


class Unwritten(nn.Module):
    pass


class Holder(nn.Module):
    def __init__(self):
        self.weight = nn.Parameter([1.0])


def contains_itself():
    net = nn.Sequential(nn.ReLU())
    net[0].inner = net


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Unwritten()(1), NotImplementedError, r"Unwritten: has no forward; write `def forward\(self, x\)`"),
        (lambda: setattr(Holder(), "weight", ns.tensor([1.0])), TypeError, "weight is a Parameter, got a plain tensor"),
        (lambda: setattr(Holder(), "layers", {nn.ReLU()}), TypeError, "layers is a set of modules or parameters"),
        (
            lambda: setattr(Holder(), "layers", {1: nn.ReLU(), "1": nn.ReLU()}),
            TypeError,
            "two of the keys 1, '1' of layers",
        ),
        (lambda: setattr(Holder(), "forward", [nn.ReLU()]), ValueError, "'forward' is already a part"),
        (lambda: type("Shared", (nn.Module,), {"layer": nn.ReLU()}), TypeError, "Shared: layer is made in the class"),
        (lambda: setattr(Holder(), "forward", nn.ReLU()), ValueError, "'forward' is already a part"),
        (lambda: setattr(Holder(), "training", nn.ReLU()), ValueError, "'training' is already a part"),
        (contains_itself, ValueError, "contain itself"),
        (lambda: Holder().register_buffer("weight", ns.tensor([1.0])), ValueError, "taken"),
        (lambda: Holder().register_buffer("a.b", ns.tensor([1.0])), ValueError, "no identifier"),
        (lambda: Holder().train("yes"), TypeError, "train: mode is 'yes'"),
        (lambda: nn.Parameter([1, 2], dtype="int64"), TypeError, "floating-point"),
        (lambda: nn.Parameter("abc"), TypeError, "expected real numbers"),
        (lambda: nn.Buffer([1.0], requires_grad=True), ValueError, "nn.Parameter"),
        (lambda: nn.Sequential(nn.ReLU), TypeError, r"write ReLU\(\)"),
        (lambda: nn.Sequential(nn.ReLU(), ns.functional.relu), TypeError, "item 1 is .*expected a module"),
        (lambda: nn.Sequential({"a.b": nn.ReLU()}), ValueError, "'a.b'"),
        (lambda: nn.Sequential({"append": nn.ReLU()}), ValueError, "'append' is already a part"),
        (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "has no module 1, only 0"),
        (lambda: nn.Sequential(nn.ReLU())["x"], IndexError, "has no module 'x'"),
        (lambda: nn.Sequential().append(3), TypeError, "item 0 is 3"),
        (lambda: nn.ModuleList([None]), TypeError, "item 0 is None"),
        (lambda: nn.Residual(np.tanh), TypeError, "Residual: module is"),
        (lambda: nn.Residual(nn.ReLU(), 1), TypeError, "Residual: shortcut is 1"),
        (lambda: nn.ReLU().summary(), TypeError, "summary: got no shape"),
        (lambda: nn.ReLU().summary(3), TypeError, "summary: got 3, expected the shape"),
        (lambda: nn.ReLU().summary((-1,)), TypeError, "summary: got"),
        (lambda: nn.ReLU().summary((2,), dtype="text"), TypeError, "dtype"),
    ],
)
def test_mistakes(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", [(2,), (3, 2, 1), (2, 1, "same"), (3, 1, ((0, 1), (1, 0)), 2)])
def test_the_gradient_goes_through_a_pool_before_the_relu_with_the_same_bits(settings):
    rng = np.random.default_rng(0)
    values = rng.integers(-3, 4, (3, 2, 8, 7)).astype(np.float64)  # with ties, at 0 too
    values[0, 0, 0, 0], values[1, 0, 2, 3], values[2, 1, 4] = np.nan, np.inf, -np.inf
    found = []
    for join in (True, False):
        x = ns.tensor(values, requires_grad=True)
        h = nn.ReLU()(x)
        y = nn.MaxPool2d(*settings)(h if join else h * 1)
        node, before = y._node.node, y._node.node.args[0]
        assert node.op.name == "max_pool2d" and before.op.name == ("relu" if join else "multiply")
        assert (node.fused is not None) == join
        g = np.arange(y.size, dtype=float).reshape(y.shape) - 9
        by_h, by_x, by_both = ns.grad(y, h, g), ns.grad(y, x, g), ns.grad(y, [x, h], g)
        y.backward(g)
        found.append((y.numpy(), x.grad.numpy(), by_h.numpy()))
        np.testing.assert_array_equal(by_x.numpy(), x.grad.numpy())
        np.testing.assert_array_equal(by_both[0].numpy(), x.grad.numpy())
        np.testing.assert_array_equal(by_both[1].numpy(), by_h.numpy())
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_with_a_relu_before_each_pool_to_second_order():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, dtype="float64"), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 2, dtype="float64"),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2, dtype="float64"), nn.Softmax()
    )  # fmt: skip
    x = np.random.default_rng(0).standard_normal((2, 1, 8, 8))
    assert ns.gradcheck(net, [x], order=2)
    assert ns.gradcheck(lambda x: ns.functional.cross_entropy(net(x), [0, 1]), [x], order=2)


def test_modules_that_are_watched_stay_in_their_order():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    assert [row[1] for row in net.summary((1, 6, 6)).rows] == ["Conv2d", "ReLU", "MaxPool2d"]
