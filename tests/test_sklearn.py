"""The estimators for scikit-learn: its own checks, pipelines and searches, early stopping, training on."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", "1.6", reason="needs scikit-learn 1.6")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import nnscratch as ns
from nnscratch.sklearn import NNClassifier, NNRegressor

pytestmark = pytest.mark.cpu


#: Settings by which small data are learnt in little time; with the defaults the checks pass, too.
QUICK = {"epochs": 12, "lr": 0.05, "hidden": (8,), "batch_size": 64}


@pytest.mark.parametrize("estimator", [NNClassifier(**QUICK), NNRegressor(**QUICK)], ids=lambda e: type(e).__name__)
def test_scikit_learns_own_checks_pass(estimator):
    check_estimator(estimator, on_skip=None)  # a check is left out where SCIPY_ARRAY_API is not set


def test_a_search_over_a_pipeline():
    x, y = ns.data.iris()
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = make_pipeline(StandardScaler(), NNClassifier(epochs=15, random_state=0))
    search = GridSearchCV(model, {"nnclassifier__lr": [1e-6, 0.02], "nnclassifier__hidden": [(8,)]}, cv=3).fit(x, names)
    assert search.best_params_["nnclassifier__lr"] == 0.02
    assert search.score(x, names) > 0.93
    best = search.best_estimator_[-1]
    assert best.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(search.predict_proba(x).sum(axis=1), 1, rtol=1e-6)


def test_a_seed_gives_the_same_network_and_a_copy_none():
    x, y = ns.data.iris()
    a, b = (NNClassifier(epochs=2, random_state=3).fit(x, y) for _ in range(2))
    np.testing.assert_array_equal(a.predict_proba(x), b.predict_proba(x))
    assert not hasattr(clone(a), "module_")
    again = pickle.loads(pickle.dumps(a))
    np.testing.assert_array_equal(a.predict_proba(x), again.predict_proba(x))
    again.partial_fit(x, y)
    a.partial_fit(x, y)
    np.testing.assert_array_equal(a.predict_proba(x), again.predict_proba(x))
    assert (a.n_iter_, len(a.loss_curve_)) == (3, 3)


def test_early_stopping_keeps_the_best():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((80, 5)), rng.standard_normal(80)
    model = NNRegressor(early_stopping=True, validation_fraction=0.25, patience=2, epochs=200, random_state=0).fit(x, y)
    assert 3 <= model.n_iter_ < 200


def test_partial_fit_needs_all_classes_at_first():
    x, y = ns.data.iris()
    model = NNClassifier(random_state=0)
    for i in range(0, 150, 50):
        model.partial_fit(x[i : i + 50], y[i : i + 50], classes=[0, 1, 2])
    assert model.predict_proba(x).shape == (150, 3) and model.n_iter_ == 3
    with pytest.raises(ValueError, match="NNClassifier: y holds .* which is none of the classes"):
        NNClassifier().partial_fit(x, y, classes=[0, 1])


def test_a_network_of_ones_own_and_several_outputs():
    x = np.linspace(-1, 1, 40, dtype="float32")[:, None]
    y = np.concatenate([x, -x], axis=1)
    model = NNRegressor(
        network=lambda inputs, outputs: ns.nn.Linear(inputs, outputs), epochs=60, lr=0.05, random_state=0
    )
    assert model.fit(x, y).predict(x).shape == (40, 2)
    assert model.score(x, y) > 0.99
    assert model.predict(x).dtype == np.float32


@pytest.mark.parametrize(("settings", "error", "words"), [
    ({"activation": "step"}, ValueError, "activation is 'step'; pass one of 'relu'"),
    ({"optimizer": "newton"}, ValueError, "optimizer is 'newton'; pass one of 'adam', 'sgd'"),
    ({"hidden": (0,)}, ValueError, "a width in hidden is 0"),
    ({"epochs": 0}, ValueError, "epochs is 0"),
    ({"network": lambda inputs, outputs: 3}, TypeError, "network returned 3, expected a module"),
    ({"early_stopping": True, "validation_fraction": 1.0}, ValueError, "validation_fraction is 1.0"),
])  # fmt: skip
def test_mistakes(settings, error, words):
    with pytest.raises(error, match=f"NNClassifier: {words}"):
        NNClassifier(**settings).fit([[0.0], [1.0], [2.0]], [0, 1, 1])
