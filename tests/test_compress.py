"""Smaller networks: distilled, pruned weight by weight and channel by channel, and what they refuse."""

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import compress, nn
from nnscratch import functional as F
from nnscratch.compress.channels import _followed


def rng(seed=0):
    return np.random.default_rng(seed)


def images(n=4, channels=1, size=8):
    return rng(1).standard_normal((n, channels, size, size)).astype(np.float32)


def said(model, x):
    with ns.no_grad():
        return model(ns.tensor(x)).numpy()


# Distillation


def test_the_loss_is_hinton_s():
    s, t = rng().normal(size=(5, 4)), rng(1).normal(size=(5, 4))
    for temperature in (0.5, 1.0, 4.0):
        p, q = (np.exp(z / temperature) for z in (s, t))
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        expected = -(temperature**2) * (q * np.log(p)).sum(1).mean()
        assert F.distillation_loss(s, t, temperature) == pytest.approx(expected, rel=1e-13)


def test_at_a_high_temperature_the_gradient_is_that_of_the_difference_of_logits():
    """§2.1 of the paper: for logits with a mean of 0 it comes near (s - t) / classes."""
    s, t = rng().normal(size=(6, 5)), rng(1).normal(size=(6, 5))
    s, t = s - s.mean(1, keepdims=True), t - t.mean(1, keepdims=True)
    s = ns.tensor(s, requires_grad=True)
    gradient = ns.grad(F.distillation_loss(s, ns.tensor(t), 1e4), s).numpy()
    np.testing.assert_allclose(gradient, (s.numpy() - t) / 5 / 6, atol=1e-5)


def dense(classes=3, width=4):
    return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, classes), nn.Softmax())


def test_a_student_learns_from_the_teacher_alone_or_from_labels_alone():
    ns.manual_seed(0)
    x, y = rng().normal(size=(40, 2)).astype(np.float32), rng(1).integers(0, 3, 40)
    teacher, student = dense(), dense()
    before = teacher.state_dict()
    step = compress.Distillation(student, teacher, ns.optim.Adam(student.parameters(), lr=0.05), 2.0, mixture=1.0)
    ns.Trainer(step).fit(x, y, epochs=60, verbose=False)
    assert np.abs(said(student, x) - said(teacher, x)).max() < 0.05
    assert all((teacher.state_dict()[name] == a).all() for name, a in before.items())
    assert not teacher[0].weight.grad

    ns.manual_seed(1)
    alone, labelled = dense(), dense()
    labelled.load_state_dict(alone.state_dict())
    step = compress.Distillation(labelled, teacher, ns.optim.SGD(labelled.parameters(), lr=0.1), mixture=0.0)
    trainers = ns.Trainer(step), ns.Trainer(alone, "cross_entropy", ns.optim.SGD(alone.parameters(), lr=0.1))
    for trainer in trainers:
        trainer.fit(x, y, epochs=2, shuffle=False, verbose=False)
    np.testing.assert_allclose(labelled[0].weight.numpy(), alone[0].weight.numpy(), atol=1e-6)


def test_logits_may_be_given_instead_of_probabilities():
    x, y = rng().normal(size=(8, 2)).astype(np.float32), rng(1).integers(0, 3, 8)
    teacher, student = dense(), dense()
    found = []
    for cut, from_logits in ((4, False), (3, True)):
        networks = [network[:cut] for network in (student, teacher)]
        optimizer = ns.optim.SGD(student.parameters(), lr=0.1)
        step = compress.Distillation(*networks, optimizer, from_logits=from_logits)
        found.append(ns.Trainer(step).evaluate(x, y)["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_teacher_that_does_not_fit_is_refused():
    x, y = np.ones((4, 2), np.float32), np.zeros(4, int)
    student = dense()
    optimizer = ns.optim.SGD(student.parameters(), lr=0.1)
    with pytest.raises(
        ValueError, match=r"the teacher answers \(5,\) for a sample, the student \(3,\).*pass a teacher of"
    ):
        ns.Trainer(compress.Distillation(student, dense(5), optimizer)).fit(x, y, verbose=False)
    with pytest.raises(ValueError, match="the teacher answers .* which is no probability; .*from_logits=True"):
        ns.Trainer(
            compress.Distillation(student, nn.Linear(2, 3, bias_init=lambda shape, *_: np.full(shape, 9.0)), optimizer)
        ).fit(x, y, verbose=False)
    with pytest.raises(TypeError, match="teacher is 3, expected an nn.Module; pass a trained network"):
        compress.Distillation(student, 3, optimizer)
    for settings, said in (({"temperature": 0}, "temperature is 0"), ({"mixture": 1.5}, "mixture is 1.5")):
        with pytest.raises(ValueError, match=said):
            compress.Distillation(student, dense(), optimizer, **settings)
    with pytest.raises(ValueError, match="let both tell the same classes apart"):
        F.distillation_loss(np.ones((2, 3)), np.ones((2, 4)))


# Weight by weight


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: ns.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: ns.optim.Adam(p, lr=0.1),
        lambda p: ns.optim.SGD(p, lr=0.1, weight_decay=0.1),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_pruned_weights_stay_0_whatever_the_optimiser_does(optimizer, accumulate):
    model = dense(width=10)
    optimizer = optimizer(model.parameters())
    x, y = rng().normal(size=(16, 2)).astype(np.float32), rng(1).integers(0, 3, 16)
    trainer = ns.Trainer(model, "cross_entropy", optimizer)
    trainer.fit(x, y, batch_size=4, verbose=False)  # momentum of weights that will be pruned
    masks = compress.Masks(model)
    masks.prune(0.5)
    masks.keep_in(optimizer)
    before = model[0].weight.numpy().copy()
    trainer.fit(x, y, batch_size=4, accumulate=accumulate, verbose=False)
    for name in ("0.weight", "2.weight"):
        weight = dict(model.named_parameters())[name].numpy()
        np.testing.assert_array_equal(weight != 0, masks.kept[name])
    assert (model[0].weight.numpy() != before).any()


def test_the_smallest_weights_go_and_amounts_are_of_all():
    model = nn.Sequential(nn.Linear(10, 5), nn.Linear(5, 2))
    sizes = np.concatenate([np.abs(p.numpy()).reshape(-1) for p in (model[0].weight, model[1].weight)])
    masks = compress.Masks(model)
    for amount in (0.25, 0.5, 0.5):
        masks.prune(amount)
        left = np.concatenate([np.abs(model[i].weight.numpy()).reshape(-1) for i in (0, 1)])
        assert (left == 0).sum() == round(60 * amount)
        assert left[left > 0].min() == np.sort(sizes)[round(60 * amount)]
    by_layer = compress.Masks(nn.Sequential(nn.Linear(10, 5), nn.Linear(5, 2)), by_layer=True)
    by_layer.prune(0.5)
    assert [int(mask.sum()) for mask in by_layer.kept.values()] == [25, 5]


def test_a_lottery_ticket_begins_where_it_began():
    model = dense()
    beginning = model.state_dict()
    masks = compress.Masks(model, names=["0.weight"])
    model.load_state_dict({name: a + 1 for name, a in beginning.items()})
    masks.prune(0.25)
    masks.rewind(beginning)
    np.testing.assert_array_equal(model[0].weight.numpy(), beginning["0.weight"] * masks.kept["0.weight"])
    np.testing.assert_array_equal(model[2].weight.numpy(), beginning["2.weight"])


def test_gradual_pruning_resumes_bit_for_bit(tmp_path):
    x, y = rng().normal(size=(16, 2)).astype(np.float32), rng(1).integers(0, 3, 16)

    def run(epochs, resume=None):
        ns.manual_seed(0)
        model = dense(width=20)
        pruning = compress.GradualPruning(compress.Masks(model), 0.8, epochs=3)
        trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters(), lr=0.01))
        checkpoint = ns.training.Checkpoint(tmp_path / "a.safetensors")
        trainer.fit(x, y, epochs=epochs, callbacks=[pruning, checkpoint], resume=resume, verbose=False)
        return model.state_dict(), pruning.masks

    whole, masks = run(5)
    assert masks.sparsity == pytest.approx(0.8)
    run(2)
    resumed, again = run(5, tmp_path / "a.safetensors")
    assert all(whole[name].tobytes() == a.tobytes() for name, a in resumed.items())
    assert all((masks.kept[name] == a).all() for name, a in again.kept.items())


def test_pruning_refuses_to_leave_nothing():
    model = dense()
    masks = compress.Masks(model)
    before = model.state_dict()
    for amount in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"prune: amount is {amount}, expected a finite number in"):
            masks.prune(amount)
    with ns.no_grad():
        model[0].weight[...] = 1e-9
    with pytest.raises(ValueError, match="with 0.6 nothing would be left of 0.weight; pass less, or prune by_layer"):
        masks.prune(0.6)
    model.load_state_dict(before)
    masks.prune(0.5)
    with pytest.raises(ValueError, match="10 of 20 weights are pruned already, and 0.25 would be 5; pass more"):
        masks.prune(0.25)
    with pytest.raises(ValueError, match="there is no parameter 'weight' among 0.weight, "):
        compress.Masks(model, names=["weight"])
    with pytest.raises(ValueError, match="there is nothing to prune among no parameters"):
        compress.Masks(nn.ReLU())
    with pytest.raises(ValueError, match="the state is of other parameters"):
        masks.load_state_dict({"0.weight": np.zeros(1, np.uint8)})
    for wrong in (lambda: compress.Masks(3), lambda: masks.keep_in(3), lambda: compress.GradualPruning(3, 0.5)):
        with pytest.raises(TypeError, match="expected"):
            wrong()


def pruning(model):
    step = ns.training.Supervised(model, "cross_entropy", ns.optim.Adam(model.parameters(), lr=0.01))
    return step, [compress.GradualPruning(compress.Masks(model), 0.8, 2)]


def distilling(model):
    return compress.Distillation(model, dense(width=10), ns.optim.Adam(model.parameters(), lr=0.01)), []


def rounding(model):
    aware = compress.quantization_aware(model, rng().normal(size=(16, 2)).astype(np.float32), bits=4)
    return ns.training.Supervised(aware, "cross_entropy", ns.optim.Adam(aware.parameters(), lr=0.01)), []


@pytest.mark.parametrize("make", [pruning, distilling, rounding])
def test_a_captured_step_learns_the_same_bit_for_bit(make):
    x, y = rng().normal(size=(16, 2)).astype(np.float32), rng(1).integers(0, 3, 16)
    found = []
    for capture in (False, True):
        ns.manual_seed(0)
        step, callbacks = make(dense(width=10))
        ns.Trainer(step, capture=capture).fit(x, y, epochs=3, batch_size=4, callbacks=callbacks, verbose=False)
        found.append({name: a.tobytes() for name, a in step.model.state_dict().items()})
    assert found[0] == found[1]


# Channel by channel


class Branches(nn.Module):
    """Two residual blocks, of which the second has a shortcut, a pooling over all cells and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.first = nn.Residual(
            nn.Sequential(nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 1))
        )
        self.second = nn.Residual(nn.Sequential(nn.Conv2d(8, 10, 3, 2, 1), nn.BatchNorm2d(10)), nn.Conv2d(8, 10, 1, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(10, 7), nn.ReLU(), nn.Linear(7, 3))

    def forward(self, x):
        x = self.second(self.first(F.relu(self.stem(x))))
        return self.head(self.pool(F.relu(x)))


NETWORKS = {
    "plain": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 2), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(24, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3), nn.Softmax(),
    ),
    "pooled": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 6), nn.ReLU(), nn.Linear(6, 3)
    ),
    "averaged": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.AvgPool2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(72, 6), nn.ReLU(), nn.Linear(6, 3)
    ),
    "residual": Branches,
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_what_is_left_computes_what_the_whole_does_without_the_pruned_channels(network):
    """Where nothing comes out of the channels that go, taking them out changes nothing."""
    ns.manual_seed(0)
    model, x = network(), images()
    model.train()
    for _ in range(3):  # statistics, and none that are 0 and 1
        model(ns.tensor(x))
    model.eval()
    smaller = compress.prune_channels(model, x[:1], amount=0.5)
    assert sum(p.size for p in smaller.parameters()) < 0.55 * sum(p.size for p in model.parameters())
    _, channels = _followed(model, x[:1])
    numbers = {i for _, group in channels.groups() for i in group}
    kept = dict(smaller.named_parameters())
    # Silence in the whole network what is not in the smaller one: of each layer's outputs those whose filters are gone.
    again, channels = _followed(model, x[:1])
    importance = channels.importance()
    gone = [
        i
        for _, group in channels.groups()
        for i in sorted(group, key=importance.get)[: len(group) - round(len(group) / 2)]
    ]
    assert set(gone) < numbers
    with ns.no_grad():
        for p in (*again.parameters(), *again.buffers()):
            left = channels.left(p, gone)
            if left[0] is not None:
                p[~left[0]] = 0
    np.testing.assert_allclose(said(smaller, x), said(again.eval(), x), atol=1e-6)
    assert {name: p.shape for name, p in kept.items()} != {name: p.shape for name, p in model.named_parameters()}
    assert said(model, x).shape == said(smaller, x).shape
    assert repr(smaller) != repr(model)  # the layers say their new sizes


def test_a_residual_connection_loses_the_same_channels_on_both_ways():
    smaller = compress.prune_channels(Branches(), images(1), amount=0.5)
    assert (
        smaller.stem.weight.shape[0]
        == smaller.first.module[3].weight.shape[0]
        == smaller.second.shortcut.in_channels
        == 4
    )
    assert smaller.second.module[0].weight.shape == (5, 4, 3, 3)
    assert smaller.second.module[1].num_features == smaller.head[1].in_features == 5
    assert smaller.head[3].weight.shape == (3, 4)
    trainer = ns.Trainer(smaller, "mse", ns.optim.Adam(smaller.parameters()))
    assert np.isfinite(trainer.fit(images(), np.ones((4, 3)), epochs=2, verbose=False)["loss"]).all()


def test_multiplications_are_counted_and_halved():
    model = NETWORKS["plain"]()
    assert compress.multiplications(model, images(1)) == 36 * 72 + 4 * 6 * 32 + 24 * 5 + 5 * 3
    smaller = compress.prune_channels(model, images(1), multiplications=0.5)
    assert 0.3 < compress.multiplications(smaller, images(1)) / compress.multiplications(model, images(1)) <= 0.5
    whole = compress.prune_channels(model, images(1), multiplications=1.0)
    assert repr(whole) == repr(model)
    eights = compress.prune_channels(
        nn.Sequential(nn.Linear(4, 30), nn.Linear(30, 3)), np.ones((1, 4), "f4"), 0.5, multiple=8
    )
    assert eights[0].out_features == 16


def test_what_cannot_be_followed_stays_whole():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(8 * 36, 4), nn.Linear(4, 2))
    smaller = compress.prune_channels(model, images(1), amount=0.5)
    assert smaller[0].weight.shape == (8, 1, 3, 3)
    assert smaller[3].weight.shape == (2, 8 * 36)
    groups = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(4 * 36, 4), nn.Linear(4, 2))
    assert compress.prune_channels(groups, images(1, 2), amount=0.5)[0].weight.shape == (4, 1, 3, 3)


def test_channels_refuse_to_go_altogether():
    model, x = NETWORKS["plain"](), images(1)
    with pytest.raises(
        ValueError, match="with amount 0.95 nothing would be left of a layer with 8 channels; pass less"
    ):
        compress.prune_channels(model, x, amount=0.95)
    with pytest.raises(ValueError, match="amount is 1.0, expected a finite number in"):
        compress.prune_channels(model, x, amount=1.0)
    with pytest.raises(
        ValueError, match="1e-06 of the multiplications is less than what 1 channels of each layer take"
    ):
        compress.prune_channels(model, x, multiplications=1e-6)
    for settings in ({}, {"amount": 0.5, "multiplications": 0.5}):
        with pytest.raises(ValueError, match="pass either amount or multiplications"):
            compress.prune_channels(model, x, **settings)
    with pytest.raises(ValueError, match="no channel of this Linear can go; pass a network with inner layers"):
        compress.prune_channels(nn.Linear(2, 3), np.ones((1, 2), "f4"), amount=0.5)
    with pytest.raises(TypeError, match="model is 3, expected an nn.Module"):
        compress.prune_channels(3, x, amount=0.5)
    with pytest.raises(ValueError, match="conv2d: x has 3 channels"):
        compress.prune_channels(model, images(1, 3), amount=0.5)
