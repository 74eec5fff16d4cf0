"""Products of float32 arrays from operands of fewer digits: on a GPU, by its stand-in and by the kernels that the emulator runs."""

import contextlib
import threading

import numpy as np
import pytest
from nnscratch.kernels.conv import cpu as conv
from nnscratch.kernels.conv import cuda as cuda_conv

import nnscratch as ns
from nnscratch import backend
from nnscratch.cli import main

F = ns.functional
PRECISIONS = ("tf32", "float16", "bfloat16")
pytestmark = pytest.mark.parametrize("device", ["standin", "emulated", "cuda"], indirect=True)


def numbers(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def rounded(x, precision):
    """The nearest number of that precision, in float64; of two as near the even one."""
    if precision in ("float32", "float16"):
        return x.astype(precision).astype(np.float64)
    digits = {"tf32": 11, "bfloat16": 8}[precision]
    m, e = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(m * 2**digits), e - digits)


@pytest.fixture
def limit(request):
    """By how much a result may differ from the true sum of products of rounded operands, in units of that of their sizes."""
    real = request.node.callspec.params["device"] == "cuda"
    return lambda precision: 2.0**-9 if real and precision == "tf32" else 1e-6  # who rounds to TF32 is the GPU


def compare(found, true, sizes, limit):
    assert found.dtype == np.float32 and found.shape == true.shape
    assert (abs(found - true) <= limit * sizes + 1e-30).all()


SHAPES = [
    ((3, 4), (4, 5)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((5, 1, 3, 4), (2, 4, 2)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((4,), (2, 4, 3)),
    ((1, 1), (1, 7)),
    ((0, 4), (4, 2)),
    ((2, 0), (0, 3)),
    ((0, 3, 4), (0, 4, 2)),
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_products_are_of_rounded_operands(device, shapes, layout, precision, limit):
    a, b = numbers(*shapes)

    def placed(x):
        if layout == "rows" or x.ndim < 2:
            return ns.tensor(x)
        if layout == "columns":
            return ns.swapaxes(ns.tensor(np.ascontiguousarray(x.swapaxes(-1, -2))), -1, -2)
        return ns.tensor(np.repeat(x, 2, axis=-1))[..., ::2]

    with ns.use_precision(precision):
        y = (placed(a) @ placed(b)).numpy()
    wide_a, wide_b = rounded(a, precision), rounded(b, precision)
    compare(y, wide_a @ wide_b, abs(wide_a) @ abs(wide_b), limit(precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4)])
def test_a_layer_and_its_gradients(device, shape, precision, limit):
    x, w, b, g = numbers(shape, (5, 4), (5,), (*shape[:-1], 5))
    leaves = [ns.tensor(a, requires_grad=True) for a in (x, w, b)]
    with ns.use_precision(precision):
        y = F.linear(*leaves)
        y.backward(ns.tensor(g))
    rx, rw, rg = (rounded(a, precision) for a in (x, w, g))
    flat_x, flat_g = rx.reshape(-1, 4), rg.reshape(-1, 5)
    compare(y.numpy(), rx @ rw.T + b, abs(rx) @ abs(rw.T) + abs(b), limit(precision))
    compare(leaves[0].grad.numpy(), rg @ rw, abs(rg) @ abs(rw), limit(precision))
    compare(leaves[1].grad.numpy(), flat_g.T @ flat_x, abs(flat_g.T) @ abs(flat_x), limit(precision))
    rows = g.reshape(-1, 5).astype(float)
    compare(leaves[2].grad.numpy(), rows.sum(0), abs(rows).sum(0), 1e-6)  # no product, so nothing is rounded


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("columns", [1, 1 << 28], ids=["image by image", "at once"])
def test_convolutions_and_their_gradients(device, groups, columns, precision, limit, monkeypatch):
    monkeypatch.setattr(cuda_conv, "COLUMNS", columns)
    x, w, b = numbers((3, 4, 7, 6), (6, 4 // groups, 3, 2), (6,))
    geometry = (2, 1), ((1, 0), (1, 1)), (1, 2), groups
    leaves = [ns.tensor(a, requires_grad=True) for a in (x, w, b)]
    with ns.use_precision(precision):
        y = F.conv2d(*leaves, *geometry)
        (g,) = numbers(y.shape)
        y.backward(ns.tensor(g))
    rx, rw, rg = (rounded(a, precision) for a in (x, w, g))
    for found, function, operands in (
        (y, lambda x, w: conv.conv2d(x, w, None, *geometry), (rx, rw)),
        (leaves[0].grad, lambda g, w: conv.conv2d_input(g, w, (7, 6), *geometry), (rg, rw)),
        (leaves[1].grad, lambda g, x: conv.conv2d_weight(g, x, (3, 2), *geometry), (rg, rx)),
    ):
        plus = b[:, None, None] if found is y else 0
        compare(found.numpy(), function(*operands) + plus, function(*map(abs, operands)) + abs(plus), limit(precision))
    compare(leaves[2].grad.numpy(), g.astype(float).sum((0, 2, 3)), abs(g).astype(float).sum((0, 2, 3)), 1e-6)


def test_convolutions_of_nothing(device):
    with ns.use_precision("bfloat16"):
        for shape, weight in (((0, 2, 5, 5), (3, 2, 3, 3)), ((2, 2, 5, 5), (0, 2, 3, 3))):
            x, w = (ns.tensor(np.ones(s, np.float32), requires_grad=True) for s in (shape, weight))
            y = F.conv2d(x, w)
            y.sum().backward()
            assert y.shape == (shape[0], weight[0], 3, 3) and not x.grad.numpy().any() and not w.grad.numpy().any()


#: Subscripts, the shapes of the operands, and whether there is a sum of products in it.
SUMS = [
    ("ij,jk->ik", (3, 4), (4, 5), True),
    ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4), True),
    ("ij,ij->", (3, 4), (3, 4), True),
    ("ji,kj", (4, 3), (5, 4), True),
    ("...ij,...jk->...ik", (4, 2, 3), (3, 2), True),
    ("iij,j->i", (3, 3, 4), (4,), True),
    ("ij,jk->ik", (3, 1), (4, 5), False),
    ("i,j", (3,), (4,), False),
]


@pytest.mark.parametrize(("subscripts", "first", "second", "product"), SUMS)
def test_sums_of_products_by_subscripts(device, subscripts, first, second, product, limit):
    a, b = numbers(first, second)
    with ns.use_precision("bfloat16"):
        y = ns.einsum(subscripts, ns.tensor(a), ns.tensor(b)).numpy()
    wide = [rounded(x, "bfloat16" if product else "float32") for x in (a, b)]
    compare(y, np.einsum(subscripts, *wide), np.einsum(subscripts, *map(abs, wide)), limit("bfloat16"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients_of_sums_by_subscripts(device, precision, limit):
    a, b, g = numbers((2, 3, 4), (2, 4, 5), (2, 3, 5))
    leaves = [ns.tensor(x, requires_grad=True) for x in (a, b)]
    with ns.use_precision(precision):
        ns.einsum("bij,bjk->bik", *leaves).backward(ns.tensor(g))
    ra, rb, rg = (rounded(x, precision) for x in (a, b, g))
    compare(leaves[0].grad.numpy(), rg @ rb.swapaxes(1, 2), abs(rg) @ abs(rb).swapaxes(1, 2), limit(precision))
    compare(leaves[1].grad.numpy(), ra.swapaxes(1, 2) @ rg, abs(ra).swapaxes(1, 2) @ abs(rg), limit(precision))


def test_second_derivatives(device):
    x, w = (ns.tensor(a, requires_grad=True) for a in numbers((3, 4), (2, 4)))
    with ns.use_precision("tf32"):
        (dx,) = ns.grad((F.linear(x, w, ns.tensor([1.0, 2.0], requires_grad=True)) ** 2).sum(), [x], create_graph=True)
        (dw,) = ns.grad(dx.sum(), [w])
    wide_x, wide_w = (rounded(a.numpy(), "tf32") for a in (x, w))
    ones = np.ones((3, 4))
    true = 2 * ((wide_x @ wide_w.T + [1.0, 2.0]).T @ ones + (ones @ wide_w.T).T @ wide_x)
    np.testing.assert_allclose(dw.numpy(), true, rtol=0, atol=2e-2)


# Where it holds


def far_from(y, a, b):
    """Whether a product is further from the true one than one of float32 is."""
    return (abs(y.numpy() - a.astype(float) @ b) > 1e-5).any()


def test_float32_is_as_it_was(device):
    a, b = map(ns.tensor, numbers((30, 40), (40, 50)))
    expected = backend.get("cuda").xp.matmul(a.data, b.data).get()
    np.testing.assert_array_equal((a @ b).numpy(), expected)
    with ns.use_precision("bfloat16"), ns.use_precision("float32"):
        np.testing.assert_array_equal((a @ b).numpy(), expected)


def test_it_holds_within_the_block_alone(device):
    a, b = numbers((30, 40), (40, 50))
    x, y = ns.tensor(a), ns.tensor(b)
    with contextlib.suppress(KeyError), ns.use_precision("bfloat16"):
        assert far_from(x @ y, a, b)
        with ns.use_precision("float32"):
            assert not far_from(x @ y, a, b)
        assert far_from(x @ y, a, b)
        raise KeyError
    assert not far_from(x @ y, a, b)


def test_it_holds_in_its_own_thread(device):
    a, b = numbers((30, 40), (40, 50))
    x, y = ns.tensor(a), ns.tensor(b)
    found = []
    with ns.use_precision("float16"):
        thread = threading.Thread(target=lambda: found.append(far_from(x @ y, a, b)))
        thread.start()
        thread.join()
        assert found == [False] and far_from(x @ y, a, b)


def test_other_types_and_the_cpu_are_as_they_were(device):
    for dtype in (np.float64, np.float16, np.int64):
        a, b = (10 * x for x in numbers((3, 4), (4, 5)))
        x, y = (ns.tensor(v.astype(dtype)) for v in (a, b))
        expected = (x @ y).numpy()
        with ns.use_precision("bfloat16"):
            np.testing.assert_array_equal((x @ y).numpy(), expected)
    a, b = numbers((3, 4), (4, 5))
    with ns.use_precision("bfloat16"):
        np.testing.assert_array_equal(ns.matmul(a, b), a @ b)
        np.testing.assert_array_equal(ns.einsum("ij,jk->ik", a, b), np.einsum("ij,jk->ik", a, b))


def test_the_range_of_float16(device):
    x = ns.tensor([[70000.0, 1e-8]])
    with np.errstate(over="ignore"):
        for precision, expected in (("float16", [np.inf, 0]), ("bfloat16", [70144, 1e-8]), ("tf32", [70016, 1e-8])):
            with ns.use_precision(precision):
                y = (ns.tensor([[1.0]]) @ x).numpy()[0]
            np.testing.assert_allclose(y, expected, rtol=2e-3)


@pytest.mark.parametrize("name", ["half", None, 16, ["tf32"]])
def test_a_precision_that_there_is_not(device, name):
    words = "use_precision: got .*, expected one of 'float32', 'tf32', 'float16', 'bfloat16'; pass one of those"
    with pytest.raises(ValueError, match=words), ns.use_precision(name):
        pass
    assert not far_from(ns.tensor([[0.1]]) @ ns.tensor([[0.3]]), np.float32([[0.1]]), np.float32([[0.3]]))


def test_devices_are_not_mixed(device):
    with ns.use_precision("bfloat16"):
        for first, second in (("cuda", "cpu"), ("cpu", "cuda")):
            x, w = ns.tensor(np.ones((2, 3)), "float32", first), ns.tensor(np.ones((4, 3)), "float32", second)
            for call in (lambda x, w: x @ w.T, F.linear, lambda x, w: ns.einsum("ij,kj->ik", x, w)):
                with pytest.raises(ValueError, match="expected one device; move one"):
                    call(x, w)


def test_a_trainer_trains_in_it(device):
    x, y = numbers((16, 3), (16, 2))
    start, found = None, []
    for precision in ("float32", "bfloat16"):
        model = ns.nn.Sequential(ns.nn.Linear(3, 8), ns.nn.ReLU(), ns.nn.Linear(8, 2))
        start = start or model.state_dict()
        model.load_state_dict(start)
        trainer = ns.Trainer(model, "mse", ns.optim.SGD(model.parameters(), lr=0.1))
        with ns.use_precision(precision):
            trainer.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=False)
        found.append(model[0].weight.numpy())
    assert 1e-5 < abs(found[0] - found[1]).max() < 1e-2


def test_the_command_trains_in_it(device, monkeypatch, capsys):
    used = []

    def run(self, **settings):
        used.append(backend.precision.name)

    monkeypatch.setattr(type(ns.systems.get("mnist-cnn")), "run", run)
    assert main(["train", "mnist-cnn", "--device", "cuda", "--precision", "tf32"]) == 0
    assert main(["train", "mnist-cnn", "--device", "cuda"]) == 0
    assert used == ["tf32", "float32"]
    for arguments, words in (
        (["--precision", "tf32"], "--precision tf32 is for GPUs, on the CPU products are float32; add --device cuda"),
        (["--device", "cuda", "--precision", "bfloat"], "there is no precision 'bfloat'; did you mean bfloat16"),
    ):
        with pytest.raises(SystemExit):
            main(["train", "mnist-cnn", *arguments])
        assert words in " ".join(capsys.readouterr().err.split())
