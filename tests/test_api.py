"""Every public name says what it is, with an example."""

import importlib

import pytest

import nnscratch as ns

WHERE = [
    "nnscratch",
    "nnscratch.data",
    "nnscratch.functional",
    "nnscratch.metrics",
    "nnscratch.nn",
    "nnscratch.nn.init",
    "nnscratch.optim",
    "nnscratch.optim.lr_scheduler",
    "nnscratch.testing",
    "nnscratch.training",
]


def public(name):
    """The public functions, classes and operations of a module, by name."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    values = {n: getattr(module, n) for n in names}
    return {
        n: v
        for n, v in values.items()
        if callable(v) and v.__module__.startswith("nnscratch" if hasattr(module, "__all__") else name)
    }


@pytest.mark.parametrize("name", WHERE)
def test_public_names_have_a_docstring_with_examples(name):
    lacking = []
    for n, value in public(name).items():
        # A class's own docstring: an inherited one is about its base.
        text = (vars(value).get("__doc__") if isinstance(value, type) else value.__doc__) or ""
        if "Examples\n" not in text or ">>> " not in text:
            lacking.append(n)
    assert public(name)
    assert lacking == []


def test_the_names_that_users_rely_on_are_there():
    for name in (
        "Tensor tensor op grad no_grad manual_seed devices gradcheck GradientError save load Trainer "
        "functional.sigmoid functional.relu functional.tanh functional.softmax functional.log_softmax functional.mse_loss "
        "functional.cross_entropy functional.binary_cross_entropy functional.linear functional.conv2d functional.max_pool2d "
        "functional.avg_pool2d functional.dropout functional.embedding "
        "nn.Module nn.Sequential nn.Linear nn.Conv1d nn.Conv2d nn.ConvTranspose2d nn.Flatten nn.Dropout nn.BatchNorm1d nn.BatchNorm2d "
        "nn.LayerNorm nn.Embedding nn.Residual optim.SGD optim.Adam optim.AdamW optim.lr_scheduler.StepLR "
        "optim.lr_scheduler.ExponentialLR optim.lr_scheduler.CosineLR optim.lr_scheduler.LinearWarmup optim.clip_grad_norm "
        "data.mnist data.read_idx data.batches data.split data.k_fold data.class_weights "
        "metrics.accuracy metrics.precision metrics.recall metrics.f1 metrics.confusion_matrix metrics.roc_curve metrics.auc"
    ).split():
        value = ns
        for part in name.split("."):
            value = getattr(value, part)
        assert callable(value), name
