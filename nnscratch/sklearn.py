"""Networks as scikit-learn's estimators: for its pipelines, searches and cross-validation.

It needs scikit-learn (``pip install nnscratch[sklearn]``), which nothing else in nnscratch does.
"""

import numpy as np

from nnscratch import arguments
from nnscratch.backend import Generator
from nnscratch.nn import Linear, Module, ReLU, Sequential, Sigmoid, SiLU, Softmax, Tanh
from nnscratch.optim import SGD, Adam
from nnscratch.training import EarlyStopping, Trainer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"nnscratch.sklearn: scikit-learn of at least version 1.6 is not here ({error}); install it by `pip install nnscratch[sklearn]`"
    ) from None

__all__ = ["NNClassifier", "NNRegressor"]

_ACTIVATIONS = {"relu": ReLU, "tanh": Tanh, "sigmoid": Sigmoid, "silu": SiLU}
_OPTIMIZERS = {"adam": Adam, "sgd": SGD}


class _Network(BaseEstimator):
    """What both estimators have in common: how the network is made and trained."""

    def __init__(
        self,
        hidden=(64,),
        activation="relu",
        network=None,
        optimizer="adam",
        lr=0.01,
        weight_decay=0.0,
        epochs=100,
        batch_size=32,
        early_stopping=False,
        validation_fraction=0.1,
        patience=10,
        callbacks=(),
        random_state=None,
        verbose=False,
    ):
        self.hidden = hidden
        self.activation = activation
        self.network = network
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def _begin(self, inputs, outputs, dtype):
        """A new network, its optimiser, and the random numbers of all that follows."""
        name = type(self).__name__
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._generator = Generator(seed)
        with self._generator:
            if self.network is None:
                module = self._dense(inputs, outputs, dtype)
            else:
                module = self.network(inputs, outputs)
                if not isinstance(module, Module):
                    raise TypeError(f"{name}: network returned {module!r}, expected a module; return one")
            self.module_ = self._finished(module)
            self.optimizer_ = self._stepper()(self.module_.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        self._dtype = dtype
        self.n_iter_ = 0

    def _dense(self, inputs, outputs, dtype):
        name = type(self).__name__
        if self.activation not in _ACTIVATIONS:
            raise ValueError(
                f"{name}: activation is {self.activation!r}; pass one of {', '.join(map(repr, _ACTIVATIONS))}"
            )
        widths = [self.hidden] if isinstance(self.hidden, int | np.integer) else list(self.hidden)
        widths = [arguments.count(name, "a width in hidden", width) for width in widths]
        layers: list = []
        for before, after in zip([inputs, *widths], widths, strict=False):
            layers += [Linear(before, after, dtype=dtype), _ACTIVATIONS[self.activation]()]
        return Sequential(*layers, Linear([inputs, *widths][-1], outputs, dtype=dtype))

    def _stepper(self):
        found = _OPTIMIZERS.get(self.optimizer, self.optimizer) if isinstance(self.optimizer, str) else self.optimizer
        if not callable(found):
            raise ValueError(
                f"{type(self).__name__}: optimizer is {self.optimizer!r}; pass one of {', '.join(map(repr, _OPTIMIZERS))}, or a class of "
                f"ns.optim"
            )
        return found

    def _train(self, x, y, epochs, stop_early):
        name = type(self).__name__
        epochs = arguments.count(name, "epochs", epochs)
        callbacks, split = list(self.callbacks), 0.0
        if stop_early:
            split = arguments.number(name, "validation_fraction", self.validation_fraction, 0, 1, "()")
            callbacks.append(EarlyStopping(patience=self.patience))
        trainer = Trainer(self.module_, self._loss, self.optimizer_)
        size = arguments.count(name, "batch_size", self.batch_size)
        with self._generator:
            history = trainer.fit(
                x,
                y,
                epochs=epochs,
                batch_size=size,
                validation_split=split,
                callbacks=callbacks,
                verbose=bool(self.verbose),
            )
        self.n_iter_ += len(history["loss"])
        self.loss_curve_ = [*getattr(self, "loss_curve_", []), *history["loss"]]
        return self

    def _outputs(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return Trainer(self.module_, self._loss, self.optimizer_).predict(X.astype(self._dtype, copy=False))


_PARAMETERS = """Parameters
    ----------
    hidden : sequence of int
        The widths of hidden layers.
    activation : "relu", "tanh", "sigmoid" or "silu"
        What comes after each of them.
    network : callable, optional
        Makes another network: takes the numbers of features and of outputs, and returns a module.
    optimizer : "adam", "sgd", or a class of `nnscratch.optim`
    lr, weight_decay : float
    epochs : int
        How often `fit` goes through the samples; `partial_fit` does once.
    batch_size : int
    early_stopping : bool
        Whether `fit` holds out `validation_fraction` of the samples, and ends when their loss has not become lower for `patience`
        epochs, with the weights of the best.
    validation_fraction : float
    patience : int
    callbacks : sequence of `nnscratch.training.Callback`
    random_state : int, RandomState or None
    verbose : bool

    Attributes
    ----------
    module_ : nn.Module
        The trained network.
    n_iter_ : int
        How many epochs it has had.
    loss_curve_ : list of float
        The loss of each.
    """


class NNClassifier(ClassifierMixin, _Network):
    __doc__ = f"""A network that tells classes apart, as scikit-learn's estimators do.

    {_PARAMETERS}classes_ : array
        The classes, in the order of `predict_proba`.

    Raises
    ------
    TypeError, ValueError
        At `fit`, where a setting or the data are not such.

    Examples
    --------
    >>> import nnscratch as ns
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = ns.data.iris()
    >>> model = make_pipeline(StandardScaler(), ns.sklearn.NNClassifier(hidden=(16,), epochs=30, random_state=0))
    >>> bool(cross_val_score(model, x, y, cv=3).mean() > 0.9)
    True
    """

    _loss = "cross_entropy"

    def _finished(self, module):
        return Sequential(module, Softmax())

    def _checked(self, X, y, reset, classes=None):
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=reset)
        check_classification_targets(y)
        if reset:
            self.classes_ = np.unique(y if classes is None else classes)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"NNClassifier: y holds {unknown[0]!r}, which is none of the classes; pass all of them as classes"
            )
        return X, np.searchsorted(self.classes_, y)

    def fit(self, X, y):
        """Train a new network.

        Parameters
        ----------
        X : (N, features) array
        y : (N,) array of classes

        Returns
        -------
        The estimator.

        Raises
        ------
        TypeError, ValueError
            Where the data or a setting are not such.
        """
        X, y = self._checked(X, y, True)
        self.loss_curve_: list = []
        self._begin(X.shape[1], len(self.classes_), X.dtype)
        return self._train(X, y, self.epochs, self.early_stopping)

    def partial_fit(self, X, y, classes=None):
        """Train on by one pass through the samples.

        Parameters
        ----------
        X : (N, features) array
        y : (N,) array of classes
        classes : array, optional
            All classes that there will be; needed at the first call, where `y` has not all of them.

        Returns
        -------
        The estimator.

        Raises
        ------
        TypeError, ValueError
            Where the data or a setting are not such.
        """
        first = not hasattr(self, "module_")
        X, y = self._checked(X, y, first, classes)
        if first:
            self._begin(X.shape[1], len(self.classes_), X.dtype)
        return self._train(X.astype(self._dtype, copy=False), y, 1, False)

    def predict_proba(self, X):
        """The probability of each class.

        Parameters
        ----------
        X : (N, features) array

        Returns
        -------
        (N, classes) array

        Raises
        ------
        ValueError
            Where it has other features than in `fit`.
        """
        return self._outputs(X)

    def predict(self, X):
        """The most probable class.

        Parameters
        ----------
        X : (N, features) array

        Returns
        -------
        (N,) array

        Raises
        ------
        ValueError
            Where it has other features than in `fit`.
        """
        places = self._outputs(X).argmax(axis=1)
        return self.classes_[places]


class NNRegressor(RegressorMixin, _Network):
    __doc__ = f"""A network that predicts numbers, by the mean squared error, as scikit-learn's estimators do.

    {_PARAMETERS}
    Raises
    ------
    TypeError, ValueError
        At `fit`, where a setting or the data are not such.

    Examples
    --------
    >>> import numpy as np
    >>> import nnscratch as ns
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> model = ns.sklearn.NNRegressor(epochs=60, random_state=0).fit(x, x[:, 0] ** 2)
    >>> model.score(x, x[:, 0] ** 2) > 0.9
    True
    """

    _loss = "mse"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _finished(self, module):
        return module

    def _checked(self, X, y, reset):
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=reset, multi_output=True, y_numeric=True)
        y = np.asarray(y, X.dtype)
        if reset:
            self._vector = y.ndim == 1
        return X, y.reshape(len(y), -1)

    def fit(self, X, y):
        """Train a new network.

        Parameters
        ----------
        X : (N, features) array
        y : (N,) or (N, outputs) array

        Returns
        -------
        The estimator.

        Raises
        ------
        TypeError, ValueError
            Where the data or a setting are not such.
        """
        X, y = self._checked(X, y, True)
        self.loss_curve_: list = []
        self._begin(X.shape[1], y.shape[1], X.dtype)
        return self._train(X, y, self.epochs, self.early_stopping)

    def partial_fit(self, X, y):
        """Train on by one pass through the samples.

        Parameters
        ----------
        X : (N, features) array
        y : (N,) or (N, outputs) array

        Returns
        -------
        The estimator.

        Raises
        ------
        TypeError, ValueError
            Where the data or a setting are not such.
        """
        first = not hasattr(self, "module_")
        X, y = self._checked(X, y, first)
        if first:
            self._begin(X.shape[1], y.shape[1], X.dtype)
        return self._train(X.astype(self._dtype, copy=False), y.astype(self._dtype, copy=False), 1, False)

    def predict(self, X):
        """What the network makes of samples.

        Parameters
        ----------
        X : (N, features) array

        Returns
        -------
        (N,) or (N, outputs) array

        Raises
        ------
        ValueError
            Where it has other features than in `fit`.
        """
        found = self._outputs(X)
        return found[:, 0] if self._vector else found
