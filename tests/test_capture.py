"""A captured step computes the same bits as the step itself, or is refused with a sentence."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn, optim
from nnscratch.autograd import OPS
from tests import bits

X, Y = np.random.default_rng(0).normal(size=(2, 8, 6)).astype("float32")
LABELS = np.arange(8) % 3


def perceptron():
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 6))


def stepper(model, optimizer, loss=F.mse_loss, change=None):
    """A step of training as people write it."""

    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        if change is not None:
            change(model)
        optimizer.step()
        return value

    return step


def trained(make, captured, batches, between=None):
    """The losses, weights and gradients after some steps."""
    ns.manual_seed(3)
    model, optimizer, step = make()
    run = ns.capture(step) if captured else step
    losses = []
    for i, batch in enumerate(batches):
        losses.append(run(*map(ns.tensor, batch)).numpy().copy())
        if between is not None:
            between(i, model, optimizer)
    grads = [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]
    return losses, {k: v.copy() for k, v in ns.nn.Module.state_dict(model).items()}, grads, run


def same(make, batches=((X, Y),) * 4, between=None):
    """See that both ways give the same bits; returns the captured step."""
    eager, captured = (trained(make, way, batches, between) for way in (False, True))
    for a, b in zip(eager[0], captured[0], strict=True):
        assert a.tobytes() == b.tobytes()
    for name, value in eager[1].items():
        assert np.asarray(value).tobytes() == np.asarray(captured[1][name]).tobytes(), name
    for a, b in zip(eager[2], captured[2], strict=True):
        assert (a is None) is (b is None) and (a is None or a.tobytes() == b.tobytes())
    return captured[3]


def made(model, optimizer, **details):
    """What makes a model, its optimiser and its step."""

    def make():
        network = model()
        one = optimizer(list(network.parameters()))
        return network, one, stepper(network, one, **details)

    return make


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p),
    "corrected": lambda p: optim.Adam(p, bias_correction=True),
    "groups": lambda p: optim.AdamW([{"params": p[:1], "lr": 0.1}, {"params": p[1:]}]),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimisers_take_the_same_steps(optimizer):
    assert len(same(made(perceptron, OPTIMIZERS[optimizer])).programs) == 1


def test_dropout_is_drawn_anew_and_statistics_run():
    def model():
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.4), nn.Linear(5, 6))

    same(made(model, OPTIMIZERS["adam"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: optim.clip_grad_norm(model.parameters(), 0.05),
        lambda model: optim.clip_grad_norm(model.parameters(), 50.0),
        lambda model: optim.clip_grad_value(model.parameters(), 0.01),
    ],
)
def test_gradients_are_clipped(change):
    same(made(perceptron, OPTIMIZERS["sgd"], change=change))


def test_a_changed_rate_and_changed_weights_are_seen():
    def between(i, model, optimizer):
        optimizer.lr = 0.1 / (i + 1)
        if i == 1:
            with ns.no_grad():
                model[0].weight[0] = 0.5
        if i == 2:
            model.load_state_dict({name: value * 2 for name, value in model.state_dict().items()})

    same(made(perceptron, OPTIMIZERS["sgd"]), between=between)


def test_other_shapes_modes_and_frozen_weights_are_recorded_anew():
    def between(i, model, optimizer):
        if i == 1:
            model.eval()
        if i == 3:
            model[0].weight.requires_grad_(False)

    batches = [(X, Y), (X, Y), (X[:5], Y[:5]), (X, Y), (X, Y), (X[:5], Y[:5])]

    def model():
        return nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 6))

    captured = same(made(model, OPTIMIZERS["sgd"]), batches, between)
    assert len(captured.programs) > 2


def test_a_replaced_parameter_is_seen():
    def between(i, model, optimizer):
        if i == 1:
            model[0].bias.data = model[0].bias.data + 1

    same(made(perceptron, OPTIMIZERS["sgd"]), between=between)


def test_parameters_that_an_optimiser_gets_later_are_seen():
    def make():
        model = perceptron()
        optimizer = optim.SGD(model[2].parameters(), lr=0.1)
        return model, optimizer, stepper(model, optimizer)

    def between(i, model, optimizer):
        if i == 1:
            optimizer.add_param_group({"params": list(model[0].parameters())})
            optimizer.zero_grad()

    same(make, between=between)


def test_gradients_add_up_over_calls():
    def make():
        model = perceptron()

        def step(x, y):
            loss = F.mse_loss(model(x), y) + optim.l1_penalty([model[0].weight], 0.1)
            loss.backward()
            return loss

        return model, None, step

    same(make)


def test_second_derivatives():
    def make():
        model = perceptron()
        optimizer = optim.SGD(model.parameters(), lr=0.01)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            gradients = ns.grad(loss, list(model.parameters()), create_graph=True)
            total = loss + sum((g * g).sum() for g in gradients)
            total.backward()
            optimizer.step()
            return total

        return model, optimizer, step

    same(make)


@pytest.mark.parametrize("seed", [seed for seed in range(16) if bits.Drawn(seed).settings["accumulate"] == 1][:8])
def test_small_networks(seed, tmp_path):
    """The random networks whose bits other tests look at, trained with and without."""
    digests = []
    for captured in (False, True):
        with _trainers(captured):
            digests.append(bits.digest(bits.network(seed, "whole", tmp_path)))
    assert digests[0] == digests[1]


def _trainers(captured):
    """Within this block every Trainer captures its step, or none does."""
    patch = pytest.MonkeyPatch.context()

    class Block:
        def __enter__(self):
            self.patch = patch.__enter__()
            init = ns.Trainer.__init__
            self.patch.setattr(ns.Trainer, "__init__", functools.partialmethod(_with_capture, init, captured))

        def __exit__(self, *exception):
            patch.__exit__(*exception)

    return Block()


def _with_capture(self, init, captured, *args, **kwargs):
    init(self, *args, **{**kwargs, "capture": captured})


def test_a_model_alone():
    model = perceptron().eval()
    fast = ns.capture(model)
    with ns.no_grad():
        for batch in (X, X[:3], X):
            assert fast(ns.tensor(batch)).numpy().tobytes() == model(ns.tensor(batch)).numpy().tobytes()
    assert len(fast.programs) == 2


# What is refused


def refused(step, *batch, match):
    captured = ns.capture(step)
    with pytest.raises(ns.CaptureError, match=match):
        captured(*batch)


@pytest.mark.parametrize(
    "look",
    [
        lambda t: t.item(),
        float,
        int,
        bool,
        lambda t: t.numpy(),
        lambda t: t.data.tolist(),
        lambda t: [0, 1][t.astype("int64")],
        lambda t: np.asarray(t.data),
    ],
)
def test_what_depends_on_a_value_is_refused_with_its_line(look):
    refused(lambda x: look(x.sum()), ns.tensor(X), match=r"capture: the step asks for .* \(at test_capture.py:\d+\)")


def test_a_refused_step_leaves_everything_as_it_was():
    ns.manual_seed(0)
    model, optimizer, step = made(perceptron, OPTIMIZERS["adam"])()
    before = {name: np.copy(value) for name, value in model.state_dict().items()}

    def logging(x, y):
        ns.functional.dropout(x, 0.5)
        return step(x, y).item()

    ns.manual_seed(1)
    refused(logging, ns.tensor(X), ns.tensor(Y), match="asks for values")
    assert all((value == before[name]).all() for name, value in model.state_dict().items())
    assert optimizer._steps == [0] * 4 and all(p.grad is None for p in model.parameters())
    after = ns.functional.dropout(ns.tensor(X), 0.5).numpy()
    ns.manual_seed(1)
    assert (after == ns.functional.dropout(ns.tensor(X), 0.5).numpy()).all()


def test_modules_with_hooks_are_refused():
    model = perceptron()
    fast = ns.capture(model)
    fast(ns.tensor(X))
    model[0].register_forward_hook(lambda module, inputs, result: result * 2)
    with pytest.raises(ns.CaptureError, match="a Linear has had hooks, which a program would not call"):
        fast(ns.tensor(X))


def test_an_array_from_nowhere_is_refused_by_name():
    refused(
        lambda x: x * ns.tensor(np.arange(6.0)), ns.tensor(X), match=r"multiply \(at .*\) is given as b an array \(6,\)"
    )
    refused(lambda x: x + np.ones(6, "float32"), ns.tensor(X), match=r"add .* is given as b an array")


def test_an_array_that_the_step_can_reach_is_followed():
    scale = ns.tensor(np.full(6, 2.0, "float32"))
    fast = ns.capture(lambda x: x * scale)
    assert (fast(ns.tensor(X)).numpy() == X * 2).all()
    scale[...] = 3.0
    assert (fast(ns.tensor(X)).numpy() == X * 3).all()
    scale = ns.tensor(np.full(6, 4.0, "float32"))
    assert (fast(ns.tensor(X)).numpy() == X * 4).all()


def test_settings_that_a_step_reads_from_a_dict_or_a_list_are_followed():
    settings, factors = {"scale": 2.0}, [3.0]
    fast = ns.capture(lambda x: x * settings["scale"] * factors[0])
    for settings["scale"], factors[0] in ((2.0, 3.0), (4.0, 3.0), (4.0, 5.0)):
        assert (fast(ns.tensor(X)).numpy() == X * settings["scale"] * factors[0]).all()


def test_a_number_is_an_argument_only_where_it_is_said():
    def step(x, factor):
        return x * factor

    with pytest.raises(ns.CaptureError, match=r"the argument factor is the number 2.0, .* say static=\('factor',\)"):
        ns.capture(step)(ns.tensor(X), 2.0)
    fast = ns.capture(step, static="factor")
    for factor in (2.0, 3.0, 2.0):
        assert (fast(ns.tensor(X), factor).numpy() == X * np.float32(factor)).all()
    assert len(fast.programs) == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1, 2, 0, 1, 2, 0, 9], "label 9 is out of range for 3"), ([0, -1] * 4, "label -1 is out of range")],
)
def test_values_are_refused_as_ever(labels, message):
    model = nn.Linear(6, 3)
    fast = ns.capture(lambda x, y: F.cross_entropy(model(x), y, from_logits=True))
    fast(ns.tensor(X), ns.tensor(LABELS))
    with pytest.raises(ValueError, match=message):
        fast(ns.tensor(X), ns.tensor(labels, dtype="int64"))


def test_training_diverges_with_the_same_sentence():
    messages = []
    for captured in (False, True):
        ns.manual_seed(0)
        model = perceptron()
        trainer = ns.Trainer(model, "mse", optim.SGD(model.parameters(), lr=1e20), capture=captured)
        with pytest.raises(RuntimeError) as error:
            trainer.fit(X, Y, epochs=20, batch_size=4, verbose=False)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


# What it shows and how it is made


def test_the_table_names_instructions_lines_and_times():
    _, _, step = made(perceptron, OPTIMIZERS["sgd"])()
    fast = ns.capture(step)
    fast(ns.tensor(X), ns.tensor(Y))
    fast.measure(ns.tensor(X), ns.tensor(Y))
    text = repr(fast.program)
    assert "tanh" in text and "test_capture.py" in text and "of " in text.splitlines()[0]
    assert all(seconds >= 0 for seconds in fast.program.seconds) and "<table>" in fast._repr_html_()


def test_work_that_nobody_needs_or_that_is_done_twice_is_left_out():
    def step(x):
        unused = ns.exp(x)  # noqa: F841
        return ns.sin(x) + ns.sin(x)

    fast = ns.capture(step)
    fast(ns.tensor(X))
    assert [i.function.__name__ for i in fast.program.instructions] == ["sin", "add"]


@given(
    st.lists(st.sampled_from(["exp", "negative", "tanh", "square", "abs", "sin"]), min_size=1, max_size=12),
    st.booleans(),
)
def test_buffers_are_not_shared_by_what_is_needed(names, keep):
    def step(x):
        values = [x]
        for name in names:
            values.append(getattr(ns, name)(values[-1] * 0.5))
        return sum(values[1:], values[0]) if keep else values[-1]

    fast = ns.capture(step)
    for _ in range(2):
        with np.errstate(all="ignore"):
            assert fast(ns.tensor(X)).numpy().tobytes() == step(ns.tensor(X)).numpy().tobytes()


def test_results_are_nobody_elses():
    fast = ns.capture(lambda x: x * 2)
    first = fast(ns.tensor(X))
    kept = first.numpy().copy()
    fast(ns.tensor(Y))
    assert (first.numpy() == kept).all()


# Every operation of the table


def _tensors(args):
    """Arguments of an operation, its arrays as Tensors, those of floating-point numbers ones that require gradients."""
    for a in args:
        if isinstance(a, tuple) and a and all(isinstance(b, np.ndarray) for b in a):
            yield tuple(_tensors(a)) if a[0].dtype.kind == "f" else a
        elif isinstance(a, np.ndarray | np.generic):
            yield ns.Tensor(a.copy(), requires_grad=a.dtype.kind == "f")
        else:
            yield a


#: Samples whose gradients pick as many elements as a mask has, or where a number as an index is an array in the rule.
REFUSED = {
    "embedding": ["normal(4, 3), integers(5,), 3", "normal(2, 5), 1"],
    "getitem": ["normal(2, 3), bool(2, 3)"],
    "put": ["normal(4, 5), (integers(3,), integers(3,)), normal(3,)", "normal(4, 5), integers(6,), normal(6, 5)"],
}


@pytest.mark.parametrize("name", sorted(OPS))
def test_operations_and_their_gradients(name):
    """Recorded against eager, on arrays that the program has not seen when it was recorded."""
    op = OPS[name]
    for case in op.samples:
        drawn = [case.make(np.random.default_rng(seed), np.float32) for seed in (0, 1)]

        def step(args, op=op, settings=drawn[0][1]):
            made = op(*args, **settings)
            results = made if isinstance(made, tuple) else (made,)
            wanted = [a for a in _flat(args) if isinstance(a, ns.Tensor) and a.requires_grad]
            active = [r for r in results if r.requires_grad]
            gradients = (
                ns.grad(sum((r.astype("float32") ** 2).sum() for r in active), wanted) if active and wanted else ()
            )
            return results, gradients

        fast = ns.capture(step)
        if repr(case) in REFUSED.get(name, ()):
            with pytest.raises(ns.CaptureError, match="how many elements a mask picks|is given as index"):
                fast(tuple(_tensors(drawn[0][0])))
            continue
        for args, _ in drawn:
            given = tuple(_tensors(args))
            with np.errstate(all="ignore"):
                eager, captured = step(given), fast(given)
            for a, b in zip(_flat(eager), _flat(captured), strict=True):
                a, b = (v.numpy() if isinstance(v, ns.Tensor) else np.asarray(v) for v in (a, b))
                assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), case
        assert len(fast.programs) == 1


def _flat(tree):
    return [leaf for part in tree for leaf in _flat(part)] if isinstance(tree, tuple | list) else [tree]


@pytest.mark.parametrize("wrap", [functools.partial, lambda f, **settings: lambda p, y: f(p, y, **settings)])
@pytest.mark.parametrize("settings", [{"weight": np.array([1.0, 2.0, 0.5])}, {"ignore_index": -1}])
def test_losses_with_weights_and_labels_that_do_not_count(wrap, settings):
    loss = wrap(F.cross_entropy, from_logits=True, **settings)
    labels = np.where(np.arange(8) == 3, settings.get("ignore_index", 0), LABELS)

    def train(captured):
        ns.manual_seed(0)
        model = nn.Linear(6, 3)
        trainer = ns.Trainer(model, loss, optim.Adam(model.parameters()), capture=captured)
        return trainer.fit(X, labels, epochs=3, batch_size=4, verbose=False)["loss"], model.weight.numpy().tobytes()

    assert train(False) == train(True)
