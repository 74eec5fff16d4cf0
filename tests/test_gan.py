"""The system `gan`: its games, its losses beside what is known of them, its pictures, and that it can be resumed."""

import json
import os

import numpy as np
import pytest

import nnscratch as ns
from nnscratch import cli, data, nn, systems
from nnscratch import functional as F
from nnscratch.systems import gan, likeness
from nnscratch.systems.adversarial import Adversarial, Pair, Wasserstein

SETTINGS = [{}, {"convolutional": True}, {"loss": "wasserstein"}, {"convolutional": True, "loss": "wasserstein"}]
GAMES = pytest.mark.parametrize("options", SETTINGS, ids=["dense", "convolutional", "critic", "convolutional critic"])
FILES = ["checkpoint.safetensors", "curves.png", "learning.png", "metrics.json", "model.safetensors", "nearest.png"]
FILES += ["samples.png", "walk.png"]


@pytest.fixture
def few(monkeypatch):
    """The sample with 70 images, and 20 for tests; 40 made ones are judged, after one epoch of the classifier's."""
    (x, y), (x_test, y_test) = data.mnist(sample=True)
    monkeypatch.setattr(data, "mnist", lambda sample: ((x[:70], y[:70]), (x_test[:20], y_test[:20])))
    monkeypatch.setattr(gan, "MEASURED", 40)
    monkeypatch.setattr(likeness, "EPOCHS", 1)


def run(out, **settings):
    return systems.get("gan").run(**{"epochs": 2, "batch_size": 32, "out": out, "verbose": False, **settings})


def weights(folder):
    return {name: a.tobytes() for name, a in ns.load(folder / "model.safetensors").items()}


@GAMES
def test_a_resumed_game_ends_as_the_uninterrupted_one(few, tmp_path, capsys, options):
    whole = run(tmp_path / "whole", seed=3, **options)
    run(tmp_path / "part", seed=3, epochs=1, **options)
    resumed = run(tmp_path / "part", resume=True)
    assert weights(tmp_path / "whole") == weights(tmp_path / "part")
    for results in (whole, resumed):
        results.pop("seconds")
        results["history"].pop("seconds")
    assert whole == resumed
    assert whole["settings"]["loss"] == options.get("loss", "goodfellow")
    for name in ("samples.png", "learning.png", "walk.png", "nearest.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "part" / name).read_bytes()


def test_a_run_leaves_its_files_and_says_what_was_measured(few, tmp_path, capsys):
    results = run(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(os.listdir(tmp_path)) == FILES
    assert json.loads((tmp_path / "metrics.json").read_text()) == results
    assert lines[-1] == f"taken for a class {results['taken']:.3f}, the rarest {min(results['taken_for_each']):.3f}"
    assert results["taken"] == pytest.approx(sum(results["taken_for_each"]))
    assert results["nearest"] > 0
    assert list(results["history"])[:3] == ["discriminator_loss", "generator_loss", "discriminator_accuracy"]
    assert all(0 <= share <= 1 for share in results["history"]["discriminator_accuracy"])


def test_generate_writes_images_that_depend_on_the_seed_alone(few, tmp_path, capsys):
    run(tmp_path)
    found = []
    for seed in ("1", "1", "2"):
        assert cli.main(["generate", str(tmp_path), "--count", "5", "--seed", seed]) == 0
        assert capsys.readouterr().out.splitlines()[-1].startswith("5 images in ")
        found.append(data.read_idx(tmp_path / "generated-idx3-ubyte"))
    assert found[0].shape == (5, 28, 28)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert (tmp_path / "generated.png").read_bytes().startswith(b"\x89PNG")


def test_generate_refuses_what_makes_nothing(tmp_path, capsys):
    systems.get("worked-2-3-1").run(out=tmp_path, verbose=False)
    assert cli.main(["generate", str(tmp_path)]) == 1
    assert (
        "is a run of worked-2-3-1, which writes nothing; pass one of text-generator, gan, gpt"
        in capsys.readouterr().err
    )
    assert cli.main(["generate", str(tmp_path / "none")]) == 1
    assert "there is no complete run in" in capsys.readouterr().err


def test_options_belong_to_the_system(few, tmp_path, capsys):
    assert cli.main(["train", "gan", "--epochs", "1", "--loss", "wasserstein", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["settings"]["loss"] == "wasserstein"
    with pytest.raises(ValueError, match="^train: .*began with loss wasserstein, got goodfellow; leave out --loss"):
        run(tmp_path, resume=True, batch_size=None, loss="goodfellow")
    with pytest.raises(SystemExit):
        cli.main(["train", "mnist-cnn", "--convolutional"])
    assert "there is no option '--convolutional'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="^train: loss is 'hinge', expected one of goodfellow, wasserstein"):
        run(tmp_path, loss="hinge")
    with pytest.raises(TypeError, match="^train: mnist-cnn has no option 'loss'"):
        systems.get("mnist-cnn").run(loss="wasserstein")


def test_clothes_are_read_where_debian_has_put_them(few, tmp_path, monkeypatch):
    monkeypatch.setattr("nnscratch.data.digits.FASHION", tmp_path)
    with pytest.raises(FileNotFoundError, match="^fashion_mnist: .*install Debian's package dataset-fashion-mnist"):
        data.fashion_mnist()
    for part, n in (("train", 3), ("t10k", 2)):
        data.write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", np.full((n, 28, 28), 255, np.uint8))
        data.write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(n, dtype=np.uint8))
    (x, y), (x_test, _) = data.fashion_mnist()
    assert (x.shape, y.tolist(), x_test.max()) == ((3, 1, 28, 28), [0, 1, 2], 1)


# The losses


def test_the_penalty_of_a_critic_that_is_linear():
    """Its gradient is its weights everywhere, so the penalty's is known: 2 (1 - 1 / ‖w‖) w."""
    critic = nn.Linear(5, 1, dtype="float64")
    x = ns.tensor(np.random.default_rng(0).normal(size=(7, 5)), requires_grad=True)
    penalty = F.gradient_penalty(ns.grad(critic(x).sum(), x, create_graph=True))
    w = critic.weight.numpy()
    assert penalty.item() == pytest.approx((np.linalg.norm(w) - 1) ** 2)
    np.testing.assert_allclose(ns.grad(penalty, critic.weight).numpy(), 2 * (1 - 1 / np.linalg.norm(w)) * w, rtol=1e-12)


def test_the_penalty_s_gradients_are_second_derivatives_of_the_critic():
    critic = nn.Sequential(nn.Linear(3, 4, dtype="float64"), nn.Tanh(), nn.Linear(4, 1, dtype="float64"))
    points = np.random.default_rng(1).normal(size=(6, 3))

    def penalty():
        x = ns.tensor(points, requires_grad=True)
        return F.gradient_penalty(ns.grad(critic(x).sum(), x, create_graph=True))

    weight = critic[0].weight
    found = ns.grad(penalty(), weight).numpy()
    for place in np.ndindex(weight.shape):
        values = []
        for step in (1e-5, -1e-5):
            weight.data[place] += step
            values.append(penalty().item())
            weight.data[place] -= step
        assert found[place] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-8)


def test_a_gradient_of_length_0_has_no_direction():
    gradients = ns.tensor(np.zeros((2, 3)), requires_grad=True)
    assert not ns.grad(F.gradient_penalty(gradients), gradients).numpy().any()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: F.generator_loss(np.array([1, 2])), TypeError, "generator_loss: fake must be floating point"),
        (lambda: F.critic_loss(np.ones(2), np.ones(0)), ValueError, "critic_loss: fake is .* holds nothing"),
        (lambda: F.discriminator_loss(np.ones(2), np.ones(2), 1.5), ValueError, "discriminator_loss: true is 1.5"),
        (lambda: F.gradient_penalty(np.array(1.0)), ValueError, "gradient_penalty: gradients is a single number"),
    ],
)
def test_what_is_no_loss_is_refused(call, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        call()


# The step


@pytest.mark.parametrize("game", [Adversarial, Wasserstein])
def test_each_network_learns_from_its_own_loss_alone(game):
    ns.manual_seed(0)
    pair = Pair(lambda: nn.Linear(2, 3), nn.Linear(3, 1), 2)
    for frozen in ("generator", "discriminator"):
        rates = {name: 0.0 if name == frozen else 0.1 for name in ("discriminator", "generator")}
        step = game(
            pair, *(ns.optim.SGD(getattr(pair, name).parameters(), lr=rate or 1e-30) for name, rate in rates.items())
        )
        before = {name: getattr(pair, name).weight.numpy().copy() for name in rates}
        step.update(ns.tensor(np.ones((4, 3), np.float32)))
        moved = {name: bool((getattr(pair, name).weight.numpy() != before[name]).any()) for name in rates}
        assert moved == {name: name != frozen for name in rates}
    assert all(p.requires_grad for p in pair.discriminator.parameters())


def test_averaged_weights_follow_those_that_are_learnt():
    pair = Pair(lambda: nn.Linear(2, 3), nn.Linear(3, 1), 2)
    before = pair.averaged.weight.numpy().copy()
    pair.generator.weight.data[...] += 1
    pair.average(0.25)
    np.testing.assert_allclose(pair.averaged.weight.numpy(), before + 0.25, rtol=1e-6)


def test_it_learns_the_place_of_points():
    """Points round 3: the generator begins at 0, and ends near them."""
    ns.manual_seed(0)
    points = np.random.default_rng(0).normal(3, 0.5, size=(512, 1)).astype(np.float32)
    critic = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    pair = Pair(lambda: nn.Linear(1, 1), critic, 1)
    optimizers = [
        ns.optim.Adam(part.parameters(), lr=0.01, betas=(0.5, 0.999), bias_correction=True)
        for part in (critic, pair.generator)
    ]
    trainer = ns.Trainer(Adversarial(pair, *optimizers))
    trainer.fit(points, epochs=40, verbose=False)
    made = trainer.predict(np.random.default_rng(1).normal(size=(1000, 1)))
    assert abs(made.mean() - 3) < 0.5


def test_nearest_finds_an_image_among_others():
    images = np.random.default_rng(0).random((250, 1, 4, 4))
    which, far = likeness.nearest(images[[7, 200]], images)
    assert which.tolist() == [7, 200]
    assert not far.any()
