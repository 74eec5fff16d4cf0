"""Recurrent layers, their cells, and sequences of different lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import nn
from nnscratch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence

F = ns.functional

KINDS = {"tanh": nn.RNN, "relu": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


class Drawn:
    """A layer of some kind with a batch, states and gradients of its results, in float64."""

    def __init__(self, kind, layers, bidirectional, bias, batch_first, lengths, state, inputs, hidden, padding, seed=0):
        self.kind, self.lengths, self.batch_first = kind, lengths, batch_first
        self.settings = {
            "num_layers": layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first,
        } | ({"nonlinearity": kind} if kind in ("tanh", "relu") else {})  # fmt: skip
        self.sizes = inputs, hidden
        self.layer = KINDS[kind](*self.sizes, dtype="float64", **self.settings)
        rng = np.random.default_rng(seed)
        with ns.no_grad():
            for p in self.layer.parameters():
                p[...] = ns.tensor(rng.uniform(-1, 1, p.shape))
        batch, steps = (len(lengths), max(lengths) + padding) if isinstance(lengths, list) else lengths
        self.batch, self.steps = batch, steps
        self.lengths = lengths if isinstance(lengths, list) else None
        self.x = rng.standard_normal((batch, steps, inputs) if batch_first else (steps, batch, inputs))
        places, directions = layers * (1 + bidirectional), 1 + bidirectional
        self.states = 2 if kind == "LSTM" else 1
        self.hx = [rng.standard_normal((places, batch, hidden)) for _ in range(self.states)] if state else None
        out = (batch, steps, directions * hidden) if batch_first else (steps, batch, directions * hidden)
        self.g = [rng.standard_normal(out), *(rng.standard_normal((places, batch, hidden)) for _ in range(self.states))]

    def __repr__(self):
        return f"{self.kind}{self.sizes} {self.settings} of {self.x.shape} lengths={self.lengths} state={self.hx is not None}"

    def pair(self, hx):
        """The states as the layer takes them."""
        return hx if hx is None or self.states == 2 else hx[0]

    def run(self, function=None):
        """Results, and the gradients of their weighed sum by x, the states and the parameters."""
        x = ns.tensor(self.x, requires_grad=True)
        hx = None if self.hx is None else [ns.tensor(s, requires_grad=True) for s in self.hx]
        self.layer.zero_grad()
        output, state = (function or self.layer)(x, self.pair(hx), lengths=self.lengths)
        results = [output, *(state if self.states == 2 else [state])]
        sum((y * ns.tensor(g)).sum() for y, g in zip(results, self.g, strict=True)).backward()
        inputs = [x, *(hx or []), *self.layer.parameters()]
        return [y.numpy() for y in results], [t.grad.numpy() for t in inputs]


@st.composite
def drawn(draw, kinds=tuple(KINDS)):
    batch = draw(st.integers(1, 4))
    lengths = draw(st.none() | st.lists(st.integers(1, 5), min_size=batch, max_size=batch))
    return Drawn(
        draw(st.sampled_from(kinds)),
        draw(st.integers(1, 2)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
        (batch, draw(st.integers(1, 5))) if lengths is None else lengths,
        draw(st.booleans()),
        draw(st.integers(1, 4)),
        draw(st.integers(1, 4)),
        draw(st.integers(0, 2)),
    )


def close(found, expected, tolerance=1e-12):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, strict=True)


# What the layers compute: the formulas once more, on one sequence at a time, with NumPy alone


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(kind, x, state, w_ih, w_hh, b_ih, b_hh):
    a, b = w_ih @ x + b_ih, w_hh @ state[0] + b_hh
    if kind == "LSTM":
        i, f, g, o = np.split(a + b, 4)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]
    if kind == "GRU":
        (r, z, n), (r_h, z_h, n_h) = np.split(a, 3), np.split(b, 3)
        z = sigmoid(z + z_h)
        return [(1 - z) * np.tanh(n + sigmoid(r + r_h) * n_h) + z * state[0]]
    return [np.tanh(a + b) if kind == "tanh" else np.maximum(a + b, 0)]


def sequence_by_sequence(d):
    """Results of a layer, each sequence by itself, cut to its length."""
    results = [np.zeros_like(g) for g in d.g]
    output = results[0] if d.batch_first else results[0].swapaxes(0, 1)
    hidden, directions = d.sizes[1], 1 + d.settings["bidirectional"]
    for n in range(d.batch):
        rows = (d.x[n] if d.batch_first else d.x[:, n])[: d.lengths[n] if d.lengths else None]
        for k in range(d.settings["num_layers"]):
            both = []
            for way in range(directions):
                suffix = f"_l{k}" + "_reverse" * way
                weights = [getattr(d.layer, f"{w}{suffix}").numpy() for w in ("weight_ih", "weight_hh")]
                biases = [getattr(d.layer, f"{b}{suffix}") for b in ("bias_ih", "bias_hh")]
                place = k * directions + way
                state = [np.zeros(hidden)] * d.states if d.hx is None else [s[place, n] for s in d.hx]
                outputs = []
                for x in rows[::-1] if way else rows:
                    state = step(d.kind, x, state, *weights, *(0.0 if b is None else b.numpy() for b in biases))
                    outputs.append(state[0])
                both.append(outputs[::-1] if way else outputs)
                for result, s in zip(results[1:], state, strict=True):
                    result[place, n] = s
            rows = np.concatenate(both, axis=1)
        output[n, : len(rows)] = rows
    return results


@given(drawn())
def test_results_are_those_of_each_sequence_by_itself(d):
    close(d.run()[0], sequence_by_sequence(d))


@given(drawn())
def test_an_operation_for_a_layer_gives_what_its_steps_give(d):
    results, gradients = d.run()
    d.layer.fused = False
    results_by_steps, gradients_by_steps = d.run()
    close(results, results_by_steps)
    close(gradients, gradients_by_steps)


@given(drawn())
def test_results_and_gradients_are_pytorchs(d):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    layer = getattr(torch.nn, type(d.layer).__name__)(*d.sizes, dtype=torch.float64, **d.settings)
    layer.load_state_dict({name: torch.tensor(a) for name, a in d.layer.state_dict().items()})
    x = torch.tensor(d.x, requires_grad=True)
    hx = None if d.hx is None else [torch.tensor(s, requires_grad=True) for s in d.hx]
    given = None if hx is None else tuple(hx) if d.states == 2 else hx[0]
    rnn = torch.nn.utils.rnn
    if d.lengths:
        packed = rnn.pack_padded_sequence(x, d.lengths, batch_first=d.batch_first, enforce_sorted=False)
        output, state = layer(packed, given)
        output, _ = rnn.pad_packed_sequence(output, batch_first=d.batch_first, total_length=d.steps)
    else:
        output, state = layer(x, given)
    results = [output, *(state if d.states == 2 else [state])]
    sum((y * torch.tensor(g)).sum() for y, g in zip(results, d.g, strict=True)).backward()
    expected = [t.grad.numpy() for t in (x, *(hx or []), *layer.parameters())]
    found, gradients = d.run()
    close(found, [y.detach().numpy() for y in results])
    close(gradients, expected)


def test_pytorchs_state_dict_has_the_same_names_in_the_same_order():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    for name in ("RNN", "LSTM", "GRU"):
        other = getattr(torch.nn, name)(3, 4, 2, bidirectional=True)
        mine = getattr(nn, name)(3, 4, 2, bidirectional=True)
        mine.load_state_dict({k: v.numpy() for k, v in other.state_dict().items()})
        assert list(mine.state_dict()) == list(other.state_dict())
        cell = getattr(torch.nn, f"{name}Cell")(3, 4)
        getattr(nn, f"{name}Cell")(3, 4).load_state_dict({k: v.numpy() for k, v in cell.state_dict().items()})


def test_the_names_of_the_weights():
    assert list(nn.LSTM(3, 4, 2, bidirectional=True).state_dict()) == [
        f"{name}_l{k}{direction}"
        for k in (0, 1)
        for direction in ("", "_reverse")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    assert list(nn.GRU(3, 4, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]
    assert list(nn.RNNCell(3, 4).state_dict()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


# Known values


def test_a_small_step_by_hand():
    """All weights 1, no biases, x = 1, h = 0.5, c = 2: every sum of products is 1.5."""
    one = np.ones((1, 1))
    s, t = 1 / (1 + np.exp(-1.5)), np.tanh(1.5)
    h, c = F.lstm_cell(one, (one / 2, 2 * one), np.ones((4, 1)), np.ones((4, 1)))
    assert c.item() == pytest.approx(2 * s + s * t, rel=1e-15)
    assert h.item() == pytest.approx(s * np.tanh(2 * s + s * t), rel=1e-15)
    assert F.rnn_cell(one, one / 2, one, one).item() == pytest.approx(t, rel=1e-15)
    new = np.tanh(1 + s * 0.5)  # the reset gate multiplies the product with the state, not the state
    assert F.gru_cell(one, one / 2, np.ones((3, 1)), np.ones((3, 1))).item() == pytest.approx(
        (1 - s) * new + s * 0.5, rel=1e-15
    )


def test_the_order_of_the_gates():
    """With one gate wide open and the others as they are at 0, each does what its name says."""
    x, zeros = np.zeros((1, 1)), np.zeros((4, 1))

    def lstm(gate, h=0.0, c=1.0):
        bias = np.zeros(4)
        bias[gate] = 100.0
        return F.lstm_cell(x, (np.full((1, 1), h), np.full((1, 1), c)), zeros, zeros, bias, np.zeros(4))[1].item()

    assert (lstm(0), lstm(1), lstm(2), lstm(3)) == pytest.approx((0.5, 1.0, 1.0, 0.5))  # i, f, g, o
    bias = np.array([0.0, 100.0, 0.0])  # r, z, n: the update gate keeps the state
    assert F.gru_cell(x, np.full((1, 1), 0.7), zeros[:3], zeros[:3], bias, np.zeros(3)).item() == 0.7


# Derivatives


@pytest.mark.parametrize("lengths", [None, [3, 1]])
@pytest.mark.parametrize("kind", ["tanh", "LSTM", "GRU"])
def test_first_and_second_derivatives(kind, lengths):
    d = Drawn(kind, 1, False, True, False, lengths or (2, 2), True, 1, 2, 0)
    function = {"tanh": F.rnn, "LSTM": F.lstm, "GRU": F.gru}[kind]

    def call(x, *others):
        output, state = function(x, d.pair(others[: d.states]), list(others[d.states :]), lengths=lengths)
        return (
            {"output": output, "h_n": state[0], "c_n": state[1]} if d.states == 2 else {"output": output, "h_n": state}
        )

    ns.gradcheck(call, [d.x, *d.hx, *(p.numpy() for p in d.layer.parameters())], order=2)


# Lengths, and packed sequences


@given(drawn(), st.booleans())
def test_what_padding_holds_does_not_matter(d, loud):
    if not d.lengths:
        return
    results, gradients = d.run()
    x = d.x if d.batch_first else d.x.swapaxes(0, 1)
    for n, length in enumerate(d.lengths):
        x[n, length:] = np.nan if loud else 7.0
    again, gradients_again = d.run()
    close(again, results, 0)
    close(gradients_again, gradients, 0)
    by_x = gradients[0] if d.batch_first else gradients[0].swapaxes(0, 1)
    assert not any(by_x[n, length:].any() for n, length in enumerate(d.lengths))


@given(drawn())
def test_a_packed_sequence_gives_what_lengths_give(d):
    if not d.lengths:
        return
    expected, by = d.run()

    def by_packing(x, hx, lengths):
        packed = pack_padded_sequence(x, lengths, d.batch_first, enforce_sorted=False)
        output, state = d.layer(packed, hx)
        padded, found = pad_packed_sequence(output, d.batch_first, total_length=d.steps)
        assert found.tolist() == lengths
        return padded, state

    found, gradients = d.run(by_packing)
    close(found, expected, 0)
    close(gradients, by, 0)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=5), st.booleans(), st.integers(0, 2), st.sampled_from([0.0, -1.0])
)
def test_packing_and_padding_are_each_others_inverse(lengths, batch_first, further, padding):
    sequences = [np.arange(n * 2.0).reshape(n, 2) + 10 * k + 1 for k, n in enumerate(lengths)]
    padded = pad_sequence(sequences, batch_first, padding)
    for k, s in enumerate(sequences):
        row = padded[k] if batch_first else padded[:, k]
        np.testing.assert_array_equal(row[: len(s)], s)
        assert (row[len(s) :] == padding).all()
    packed = pack_padded_sequence(padded, lengths, batch_first, enforce_sorted=False)
    assert packed.batch_sizes == tuple(sum(n > t for n in lengths) for t in range(max(lengths)))
    total = max(lengths) + further
    again, found = pad_packed_sequence(packed, batch_first, padding, total)
    assert found.tolist() == lengths
    other = again if batch_first else again.swapaxes(0, 1)
    assert other.shape == (len(lengths), total, 2) and (other[:, max(lengths) :] == padding).all()
    np.testing.assert_array_equal(again[:, : max(lengths)] if batch_first else again[: max(lengths)], padded)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.booleans())
def test_packed_sequences_are_pytorchs(lengths, batch_first):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    shape = (len(lengths), 6, 2) if batch_first else (6, len(lengths), 2)
    x = np.random.default_rng(0).standard_normal(shape)
    order = np.sort(lengths)[::-1].tolist()
    for enforce, n in ((False, lengths), (True, order)):
        mine = pack_padded_sequence(x, n, batch_first, enforce)
        other = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), n, batch_first, enforce)
        assert list(mine.batch_sizes) == other.batch_sizes.tolist()
        back, found = pad_packed_sequence(mine, batch_first, 0.5, 7)
        expected = torch.nn.utils.rnn.pad_packed_sequence(other, batch_first, 0.5, 7)
        np.testing.assert_array_equal(back, expected[0].numpy())
        np.testing.assert_array_equal(found, expected[1].numpy())
    sequences = [x[0, :n] if batch_first else x[:n, 0] for n in lengths]
    for side in ("right", "left"):
        expected = torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, sequences)), batch_first, 0.5, side)
        np.testing.assert_array_equal(pad_sequence(sequences, batch_first, 0.5, side), expected.numpy())


def test_gradients_go_through_packing_and_padding():
    def there_and_back(x, padding):
        packed = pack_padded_sequence(x, [1, 3, 2], enforce_sorted=False)
        return pad_packed_sequence(packed.with_data(packed.data**2), padding_value=padding)[0]

    for padding in (0.0, 2.0):
        assert ns.gradcheck(
            lambda x, p=padding: there_and_back(x, p), [np.arange(1.0, 10.0).reshape(3, 3)], order=2
        ).passed


def test_the_backward_direction_begins_at_each_sequences_own_end():
    """Its final state is that after position 0, and its first step is the last real one, whatever stands behind."""
    layer = nn.LSTM(2, 3, bidirectional=True, dtype="float64")
    x = np.random.default_rng(0).standard_normal((5, 1, 2))
    output, (h_n, _) = layer(ns.tensor(x), lengths=[3])
    alone, (h_alone, _) = layer(ns.tensor(x[:3]))
    np.testing.assert_allclose(output.numpy()[:3], alone.numpy(), rtol=1e-14)
    np.testing.assert_allclose(h_n.numpy(), h_alone.numpy(), rtol=1e-14)
    np.testing.assert_allclose(h_n.numpy()[1, 0], output.numpy()[0, 0, 3:], rtol=1e-14)
    np.testing.assert_allclose(h_n.numpy()[0, 0], output.numpy()[2, 0, :3], rtol=1e-14)
    without = layer(ns.tensor(x))[1][0]
    assert np.abs(without.numpy() - h_n.numpy()).max() > 1e-3


# The fast kernels


GROUPS = {"rnn": (1, 1), "lstm": (4, 2), "gru": (3, 1)}


def arrays_of(kind, hidden, batch_sizes, bias, begin, dtype):
    """What a kernel is called with, and the gradients of its results."""
    rng = np.random.default_rng(0)
    groups, states = GROUPS[kind]

    def some(*shape, scale=1.0):
        return (rng.uniform(-1, 1, shape) * scale).astype(dtype)

    x, weights = some(sum(batch_sizes), 7), [some(groups * hidden, 7), some(groups * hidden, hidden, scale=0.25)]
    biases = [some(groups * hidden), some(groups * hidden)] if bias else [None, None]
    state = [some(batch_sizes[0], hidden) if begin else None for _ in range(states)]
    g = [some(len(x), hidden), *(some(batch_sizes[0], hidden) for _ in range(states))]
    return x, weights, biases, state, g


@pytest.mark.cpu
@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("hidden", "batch_sizes", "reverse"),
    [
        (64, (16,) * 10, False),
        (64, (7, 7, 7, 3, 2, 1, 1, 1), True),  # all steps in one call
        (64, (7, 7, 7, 3, 2, 1, 1, 1), False),
        (67, (16, 16, 9, 3), True),  # rows that do not fill their last vector
        (130, (3, 2, 1), False),
        (5, (900, 800), False),
        (128, (1,), False),  # one word at a time
    ],
)
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_the_kernels_of_the_cpu_are_their_definitions(kind, hidden, batch_sizes, reverse, bias, begin):
    """In float32, against the definition in float64: within what float32 leaves open."""
    from nnscratch.kernels.recurrent import cpu, definition

    x, weights, biases, state, g = arrays_of(kind, hidden, batch_sizes, bias, begin, np.float32)
    extra = ("tanh",) if kind == "rnn" else ()
    states = GROUPS[kind][1]

    def wide(values):
        return [v.astype(np.float64) if isinstance(v, np.ndarray) else v for v in values]

    arguments = [x, *weights, *biases, *state, batch_sizes, reverse, *extra]
    before = [a.copy() for a in arguments if isinstance(a, np.ndarray)]
    results = getattr(cpu, kind)(*arguments)
    expected = getattr(definition, kind)(*wide(arguments))
    wanted = ["x", "weight_ih", "weight_hh"] + ["bias_ih", "bias_hh"] * bias + ["h_0", "c_0"][:states] * begin
    given = [*g, x, *weights, *state, batch_sizes, reverse, *extra]
    kept, kept_wide = ([y[0], *y[1 + states :]] for y in (results, expected))
    gradients = getattr(cpu, f"{kind}_gradients")(*given, *kept, *wanted)
    expected_gradients = getattr(definition, f"{kind}_gradients")(*wide(given), *kept_wide, *wanted)
    for a, b in zip((*results, *gradients), (*expected, *expected_gradients), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == np.float32 and a.shape == b.shape
            assert np.abs(a - b).max() <= 1e-5 * max(1, np.abs(b).max())
    for a, b in zip([a for a in arguments if isinstance(a, np.ndarray)], before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.cpu
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_extreme_sums_neither_overflow_nor_become_nan(kind):
    from nnscratch.kernels.recurrent import cpu

    groups, states = GROUPS[kind]
    x = np.array([[1e4], [-1e4], [0.0], [3e38]], np.float32)
    weights = np.ones((groups * 64, 1), np.float32), np.ones((groups * 64, 64), np.float32)
    extra = ("tanh",) if kind == "rnn" else ()
    with np.errstate(all="raise", under="ignore"):
        results = getattr(cpu, kind)(x, *weights, None, None, *[None] * states, (1,) * 4, False, *extra)
    assert all(np.isfinite(y).all() for y in results[: 1 + states])
    nan = getattr(cpu, kind)(x * np.float32(np.nan), *weights, None, None, *[None] * states, (1,) * 4, False, *extra)
    assert np.isnan(nan[0]).all()


@pytest.mark.parametrize("kind", list(KINDS))
def test_only_gradients_that_somebody_wants_are_computed(kind):
    d = Drawn(kind, 1, False, True, False, (2, 3), True, 3, 2, 0)
    d.layer.requires_grad_(False)
    x = ns.tensor(d.x, requires_grad=True)
    output, _ = d.layer(x, d.pair(d.hx))
    output.sum().backward()
    assert x.grad is not None and all(p.grad is None for p in d.layer.parameters())
    frozen = ns.tensor(d.x)
    d.layer.requires_grad_(True)
    output, _ = d.layer(frozen, d.pair(d.hx))
    output.sum().backward()
    assert frozen.grad is None and all(p.grad is not None for p in d.layer.parameters())


def test_second_derivatives_where_the_state_was_made_of_the_input():
    """A gradient by x must not go through the state that was made of x."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(s) for s in ((8, 2), (8, 2), (8,), (8,))]

    def call(x, *weights):
        output, (_, c_n) = F.lstm(x, (ns.tanh(x[:1]), x[1:2] ** 2), list(weights))
        return output.sum() + c_n.sum()

    assert ns.gradcheck(call, [rng.standard_normal((2, 1, 2)), *weights], order=2).passed


# Against onnxruntime


def onnx_of(kind, d, x, lengths):
    """The results of ONNX's operator for a layer, in float32: its gates stand in another order."""
    helper = pytest.importorskip("onnx", reason="needs onnxruntime").helper
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    order = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}[kind]  # i, o, f, c; z, r, h

    def gates(name):
        stacked = []
        for way in ("", "_reverse"):
            parts = np.split(getattr(d.layer, f"{name}_l0{way}").numpy(), len(order))
            stacked.append(np.concatenate([parts[k] for k in order]))
        return np.stack(stacked).astype(np.float32)

    feeds = {
        "X": x.astype(np.float32),
        "W": gates("weight_ih"),
        "R": gates("weight_hh"),
        "B": np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1),
        "L": np.array(lengths, np.int32),
    }
    states = ["h"] if kind != "LSTM" else ["h", "c"]
    feeds |= {name: s.astype(np.float32) for name, s in zip(states, d.hx, strict=True)}
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(states)]
    node = helper.make_node(kind, list(feeds), outputs, hidden_size=d.sizes[1], direction="bidirectional", **extra)
    kinds = {np.dtype("float32"): 1, np.dtype("int32"): 6}
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info(name, kinds[a.dtype], a.shape) for name, a in feeds.items()],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.mark.parametrize("lengths", [[5, 5, 5], [5, 2, 4], [1, 3, 2]])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_results_are_onnxruntimes(kind, lengths):
    d = Drawn("tanh" if kind == "RNN" else kind, 1, True, True, False, (3, 5), True, 4, 6, 0)
    y, *final = onnx_of(kind, d, d.x, lengths)  # (steps, directions, batch, hidden)
    output, state = d.layer(ns.tensor(d.x), d.pair(d.hx), lengths=lengths)
    np.testing.assert_allclose(output.numpy(), y.transpose(0, 2, 1, 3).reshape(5, 3, 12), rtol=0, atol=2e-6)
    for a, b in zip(state if d.states == 2 else [state], final, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=2e-6)


# Graphs and explanations


def test_a_layer_is_one_box_and_its_steps_stand_in_the_order_of_time():
    layer = nn.LSTM(2, 3)
    x = ns.tensor(np.zeros((4, 1, 2), "float32"), requires_grad=True)
    text = str(ns.graph(layer(x)[0], {"x": x}))
    assert text.count("lstm_layer(") == 1 and "sigmoid(" not in text
    layer.fused = False
    text = str(ns.graph(layer(x)[0], {"x": x}))
    assert "lstm_layer(" not in text and text.count("sigmoid(") == 12


def test_an_explanation_states_the_formula():
    layer = nn.GRU(2, 3)
    x = ns.tensor(np.ones((2, 1, 2), "float32"), requires_grad=True)
    output, _ = layer(x)
    text = str(ns.explain(output.sum(), {"x": x}))
    assert "gru_layer" in text and "Cho et al., 2014" in text


# States, one sequence, cells, dropout


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_state_carried_over_goes_on_where_it_was(kind):
    d = Drawn(kind, 2, False, True, True, (2, 6), False, 3, 4, 0)
    whole, _ = d.layer(ns.tensor(d.x))
    state, parts = None, []
    for start in (0, 2, 5):
        part, state = d.layer(ns.tensor(d.x[:, start : {0: 2, 2: 5, 5: 6}[start]]), state)
        state = tuple(s.detach() for s in state) if d.states == 2 else state.detach()
        parts.append(part.numpy())
    np.testing.assert_allclose(np.concatenate(parts, 1), whole.numpy(), rtol=1e-13)


@pytest.mark.parametrize("kind", list(KINDS))
def test_one_sequence_without_the_axis_of_the_batch(kind):
    d = Drawn(kind, 2, True, True, False, (1, 4), True, 3, 2, 0)
    expected, state = d.layer(d.x, d.pair(d.hx))
    output, alone = d.layer(d.x[:, 0], d.pair([s[:, 0] for s in d.hx]))
    np.testing.assert_array_equal(output, expected.numpy()[:, 0])
    for a, b in zip(alone if d.states == 2 else [alone], state if d.states == 2 else [state], strict=True):
        np.testing.assert_array_equal(a, b.numpy()[:, 0])
    shorter, _ = d.layer(d.x[:, 0], lengths=[2])
    assert shorter.shape == (4, 4) and not shorter.numpy()[2:].any()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_cell_is_a_step_of_the_layer(kind, bias):
    d = Drawn(kind, 1, False, bias, False, (2, 3), True, 3, 2, 0)
    cells = {"tanh": nn.RNNCell, "relu": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
    settings = {"nonlinearity": kind} if kind in ("tanh", "relu") else {}
    cell = cells[kind](*d.sizes, bias=bias, dtype="float64", **settings)
    cell.load_state_dict({name.removesuffix("_l0"): a for name, a in d.layer.state_dict().items()})
    expected, _ = d.layer(ns.tensor(d.x), d.pair([ns.tensor(s) for s in d.hx]))
    state = d.pair([s[0] for s in d.hx])
    for x, y in zip(d.x, expected.numpy(), strict=True):
        state = cell(ns.tensor(x), state)
        np.testing.assert_allclose((state[0] if d.states == 2 else state).numpy(), y, rtol=1e-13)
    from_zeros = cell(d.x[0], None)
    alone = cell(d.x[0, 0])
    for a, b in zip(*((s if d.states == 2 else [s]) for s in (from_zeros, alone)), strict=True):
        np.testing.assert_allclose(a.numpy()[0], b.numpy(), rtol=1e-14)


def test_dropout_stands_after_every_layer_but_the_last():
    layer = nn.RNN(2, 64, num_layers=2, dropout=0.5, nonlinearity="relu")
    with ns.no_grad():
        for name, p in layer.named_parameters():
            p[...] = 1.0 if name.startswith("weight_ih_l0") else 0.0
        layer.weight_ih_l1[...] = np.eye(64)
    x = np.ones((1, 3, 2), "float32")
    output, h_n = layer(ns.tensor(x))
    values = set(np.unique(output.numpy()).tolist())
    assert values == {0.0, 4.0}  # 2, dropped or doubled between the layers, and passed on as it is by the last
    assert (h_n.numpy()[0] == 2.0).all()  # the state is that before dropout
    assert set(np.unique(layer.eval()(ns.tensor(x))[0].numpy()).tolist()) == {2.0}


# How weights begin


def test_weights_begin_gate_by_gate():
    layer = nn.LSTM(5, 6, dtype="float64")
    for block in np.split(layer.weight_hh_l0.numpy(), 4):
        np.testing.assert_allclose(block @ block.T, np.eye(6), atol=1e-14)
    assert (np.abs(layer.weight_ih_l0.numpy()) <= np.sqrt(6 / 11)).all()
    np.testing.assert_array_equal(layer.bias_ih_l0.numpy(), np.repeat([0.0, 1.0, 0.0, 0.0], 6))
    assert not layer.bias_hh_l0.numpy().any()
    assert not nn.LSTM(5, 6, forget_bias=0.0).bias_ih_l0.numpy().any()
    assert (nn.LSTM(5, 6, bias_init="ones").bias_ih_l0.numpy() == 1).all()
    assert (nn.LSTMCell(5, 6).bias_ih.numpy()[6:12] == 1).all()


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (4, 3, 2, 1)])
def test_orthogonal_weights(shape):
    w = nn.init.orthogonal(shape, dtype="float64").reshape(shape[0], -1)
    least = min(w.shape)
    np.testing.assert_allclose(w @ w.T if len(w) == least else w.T @ w, np.eye(least), atol=1e-14)


def test_orthogonal_weights_turn_to_no_side():
    """Without the signs of R's diagonal, Q's diagonal would be negative in the mean."""
    rng = np.random.default_rng(0)
    mean = np.mean([nn.init.orthogonal((4, 4), rng=rng, dtype="float64")[0, 0] for _ in range(2000)])
    assert abs(mean) < 0.05


def test_a_forget_gates_bias():
    layer = nn.init.forget_gate_bias(nn.LSTM(2, 3, 2, bidirectional=True), 2.0)
    for name, p in layer.named_parameters():
        if "bias" in name:
            wanted = [0.0, 2.0, 0.0, 0.0] if "bias_ih" in name else [0.0] * 4
            np.testing.assert_array_equal(p.numpy(), np.repeat(wanted, 3))
    with pytest.raises(TypeError, match="^forget_gate_bias: got GRU, expected an LSTM"):
        nn.init.forget_gate_bias(nn.GRU(2, 3))
    with pytest.raises(ValueError, match="^forget_gate_bias: this LSTM has no bias"):
        nn.init.forget_gate_bias(nn.LSTM(2, 3, bias=False))


# What is refused

X = np.zeros((5, 3, 2), "float32")
LSTM = nn.LSTM(2, 4)
STATE = np.zeros((1, 3, 4), "float32")
REFUSED = [
    (lambda: LSTM(X, lengths=[5, 0, 2]), "lstm: the length of sequence 1 is 0, expected 1 to 5, the steps of the batch; leave"),
    (lambda: LSTM(X, lengths=[5, 6, 2]), "lstm: the length of sequence 1 is 6, expected 1 to 5"),
    (lambda: LSTM(X, lengths=[5, -1, 2]), "lstm: the length of sequence 1 is -1, expected 1 to 5"),
    (lambda: LSTM(X, lengths=[5, 5]), "lstm: got 2 lengths for a batch of 3 sequences"),
    (lambda: LSTM(X, lengths=[5.0, 1.0, 1.0]), r"lstm: lengths are \(3,\) float64, expected a whole number"),
    (lambda: LSTM(X, lengths=5), "lstm: lengths are 5, expected a whole number for each sequence"),
    (lambda: LSTM(X[..., :1]), r"lstm: x has 1 features, weight_ih_l0 expects 2 .*; check input_size"),
    (lambda: LSTM(X.astype("float64")), r"lstm: weight_ih_l0 is \(16, 2\) float32, expected \(16, 2\) float64"),
    (lambda: LSTM(X.astype(int)), "lstm: x must be floating point"),
    (lambda: LSTM(X[:0]), r"lstm: x is \(0, 3, 2\) float32, expected \(steps, N, in\), .* at least one step"),
    (lambda: LSTM(X[0, 0]), r"lstm: x is \(2,\) float32, expected \(steps, N, in\)"),
    (lambda: LSTM(X, STATE), r"lstm: hx is \(1, 3, 4\) float32, expected the pair \(h_0, c_0\)"),
    (lambda: LSTM(X, (STATE, STATE[:, :2])), r"lstm: c_0 is \(1, 2, 4\) float32, expected \(1, 3, 4\) float32 \(layers"),
    (lambda: LSTM(X[:, 0], (STATE, STATE)), r"lstm: h_0 is \(1, 3, 4\) float32, expected \(1, 4\) float32"),
    (lambda: nn.GRU(2, 4, 2)(X, STATE), r"gru: h_0 is \(1, 3, 4\) float32, expected \(2, 3, 4\) float32"),
    (lambda: F.gru(X, None, []), "gru: weights are 0, expected a list of 4 arrays"),
    (lambda: F.gru(X, None, [X[0]] * 4), r"gru: weight_ih_l0 is \(3, 2\) float32, expected \(6, 2\)"),
    (lambda: nn.GRU(2, 4)(pack_padded_sequence(X, [5] * 3), lengths=[1] * 3), "gru: got lengths for a PackedSequence"),
    (lambda: F.rnn(X, None, [], nonlinearity="gelu"), "rnn: nonlinearity is 'gelu', expected 'tanh' or 'relu'"),
    (lambda: nn.RNN(2, 3, nonlinearity=None), "RNN: nonlinearity is None, expected 'tanh' or 'relu'"),
    (lambda: nn.RNNCell(2, 3, nonlinearity="x"), "RNNCell: nonlinearity is 'x', expected 'tanh' or 'relu'"),
    (lambda: nn.LSTM(2, 3, proj_size=2), "LSTM: proj_size is 2, and projections are not provided; put an nn.Linear after"),
    (lambda: nn.LSTM(2, 3, dropout=0.5), "LSTM: dropout is 0.5, and it stands after every layer but the last"),
    (lambda: nn.LSTM(2, 3, 2, dropout=1.0), "LSTM: dropout is 1.0, expected"),
    (lambda: nn.LSTM(0, 3), "LSTM: input_size is 0, expected"),
    (lambda: nn.LSTMCell(2, 4)(X), r"lstm_cell: x is \(5, 3, 2\) float32, expected \(N, in\)"),
    (lambda: nn.LSTMCell(3, 4)(X[0]), "lstm_cell: x has 2 features, weight_ih expects 3"),
    (lambda: nn.LSTMCell(2, 4)(X[0], STATE[0]), r"lstm_cell: hx is \(3, 4\) float32, expected the pair"),
    (lambda: nn.GRUCell(2, 4)(X[0], STATE), r"gru_cell: h_0 is \(1, 3, 4\) float32, expected \(3, 4\) float32 \(batch"),
    (lambda: nn.init.orthogonal((3,)), r"orthogonal: got shape \(3,\), expected a matrix"),
    (lambda: pack_padded_sequence(X, [1, 5, 5]), r"pack_padded_sequence: the lengths \[1, 5, 5\] are not sorted"),
    (lambda: pack_padded_sequence(X, [5, 1, 0]), "pack_padded_sequence: the length of sequence 2 is 0, expected 1 to 5"),
    (lambda: pack_padded_sequence(X[0, 0], [1]), r"pack_padded_sequence: got \(2,\) float32, expected \(steps, batch"),
    (lambda: pack_padded_sequence(X[:, :0], []), "pack_padded_sequence: lengths are|pack_padded_sequence: the batch has no"),
    (lambda: pad_packed_sequence(X), r"pad_packed_sequence: got \(5, 3, 2\) float32, expected a PackedSequence"),
    (lambda: pad_packed_sequence(PackedSequence(X[0], [2, 1]), total_length=1), "pad_packed_sequence: total_length is 1"),
    (lambda: pad_sequence([]), "pad_sequence: got sequences of shapes"),
    (lambda: pad_sequence([X, X[0]]), "pad_sequence: got sequences of shapes"),
    (lambda: pad_sequence([X], padding_side="top"), "pad_sequence: padding_side is 'top'; pass 'right' or 'left'"),
    (lambda: PackedSequence(X[0], [1, 2]), r"PackedSequence: batch_sizes are \[1, 2\], expected whole numbers"),
    (lambda: PackedSequence(X[0], [2, 2]), r"PackedSequence: batch_sizes are \[2, 2\], .* add up to the 3 rows"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "sentence"), REFUSED, ids=[s for _, s in REFUSED])
def test_what_does_not_fit_is_refused_in_a_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=f"^({sentence})") as refused:
        call()
    assert "\n" not in str(refused.value)


def test_an_error_names_the_layer_within_a_model():
    class Model(nn.Module):
        def __init__(self):
            self.lstm = nn.LSTM(3, 4)

        def forward(self, x):
            return self.lstm(x)

    with pytest.raises(ValueError, match=r"^Model lstm \(LSTM\): lstm: x has 2 features"):
        Model()(ns.tensor(X))


def test_layers_show_their_settings():
    assert repr(nn.LSTM(2, 3)) == "LSTM(2, 3)"
    text = "GRU(2, 3, num_layers=2, bias=False, batch_first=True, dropout=0.5, bidirectional=True)"
    assert repr(nn.GRU(2, 3, 2, False, True, 0.5, True)) == text
    assert repr(nn.RNN(2, 3, nonlinearity="relu")) == "RNN(2, 3, nonlinearity='relu')"
    assert repr(nn.GRUCell(2, 3, bias=False)) == "GRUCell(2, 3, bias=False)"


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("kind", list(KINDS))
def test_on_every_device(kind):
    d = Drawn(kind, 2, True, True, True, [2, 4, 1], True, 3, 2, 1)
    results, gradients = d.run()
    with ns.use_device("cpu"):
        on_cpu = Drawn(kind, 2, True, True, True, [2, 4, 1], True, 3, 2, 1)
        expected, by = on_cpu.run()
    close(results, expected, 1e-13)
    close(gradients, by, 1e-13)
