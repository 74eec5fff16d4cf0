r"""S5: a network of one hidden layer whose backward pass is written out by hand (001 §5).

With a = max(0, x W1ᵀ + b1), ŷ = σ(a W2ᵀ + b2) and L = (1/n) Σ (y − ŷ)², the rules of F9 give, for rows of
samples,

.. math::
    \delta_2 = \tfrac{2}{n} (\hat y - y) \odot \hat y (1 - \hat y), \quad
    \delta_1 = (\delta_2 W_2) \odot [x W_1^\top + b_1 > 0], \quad
    \frac{\partial L}{\partial W_2} = \delta_2^\top a, \quad \frac{\partial L}{\partial W_1} = \delta_1^\top x

and the gradient by a bias is its δ summed over the samples.
"""

import numpy as np

import nnscratch as ns
from nnscratch import data, nn, optim
from nnscratch.data.tabular import BREAST_CANCER_CLASSES
from nnscratch.systems.system import Classifier


def forward(x, w1, b1, w2, b2):
    """The hidden layer before and after its ReLU, and the output.

    Parameters
    ----------
    x : (N, features) array
    w1, b1, w2, b2 : (hidden, features), (hidden,), (1, hidden), (1,) arrays

    Returns
    -------
    z1, a1, output : (N, hidden), (N, hidden), (N, 1) arrays

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> z1, a1, output = forward(-one, one, one[0], one, np.zeros(1))
    >>> output
    array([[0.5]])
    """
    z1 = x @ w1.T + b1
    a1 = np.maximum(0, z1)
    return z1, a1, 1 / (1 + np.exp(-(a1 @ w2.T + b2)))


def backward(x, y, w1, b1, w2, b2):
    """The gradients of the mean squared error by w1, b1, w2 and b2, by hand.

    Parameters
    ----------
    x, y : (N, features) and (N, 1) arrays
    w1, b1, w2, b2 : arrays
        As in `forward`.

    Returns
    -------
    list of arrays
        In the shapes of w1, b1, w2 and b2.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> [g.item() for g in backward(one, one, one, -one[0], one, np.zeros(1))]
    [0.0, 0.0, -0.0, -0.25]
    """
    z1, a1, output = forward(x, w1, b1, w2, b2)
    delta2 = 2 / len(y) * (output - y) * output * (1 - output)
    delta1 = (delta2 @ w2) * (z1 > 0)
    return [delta1.T @ x, delta1.sum(0), delta2.T @ a1, delta2.sum(0)]


def disagreement(model, x, y):
    """The greatest difference between any gradient of `backward` and the engine's.

    Parameters
    ----------
    model : nn.Module
        Linear, ReLU, Linear, Sigmoid.
    x, y : (N, features) and (N, 1) arrays

    Returns
    -------
    float

    Examples
    --------
    >>> model = SYSTEM.model()
    >>> disagreement(model, np.ones((2, 10)), np.zeros((2, 1))) < 1e-12
    True
    """
    parameters = list(model.parameters())
    there = parameters[0].device
    loss = ns.functional.mse_loss(model(ns.tensor(x, device=there)), ns.tensor(y, device=there))
    by_engine = ns.grad(loss, parameters)
    by_hand = backward(x, y, *(p.numpy() for p in parameters))
    return max(float(np.abs(e.numpy() - h).max()) for e, h in zip(by_engine, by_hand, strict=True))


class HandWrittenMlp(Classifier):
    """ReLU, a sigmoid output and mean squared error, in float64; one sample in a step, as in the text.

    The text derives the labels from its own predictions, and takes for the squared error the gradient that
    belongs to cross-entropy; here labels are given, and the loss has its own gradient (E5). Initial values
    are uniform in [0, 1) and the rate is 0.01, as there. The data are measures of tumours, malignant or not.
    """

    name = "hand-written-mlp"
    id = "S5"
    title = "one hidden layer, its backward pass by hand beside the engine's"
    document = "001 §5"
    epochs, batch_size, lr = 20, 1, 0.01
    loss = "mse"
    classes = BREAST_CANCER_CLASSES

    def model(self):
        uniform = {"init": "uniform01", "bias_init": "uniform01", "dtype": "float64"}
        return nn.Sequential(nn.Linear(10, 8, **uniform), nn.ReLU(), nn.Linear(8, 1, **uniform), nn.Sigmoid())

    def optimizer(self, parameters, lr):
        return optim.SGD(parameters, lr=lr)

    def data(self, full):
        x, y = data.breast_cancer()
        (x_train, y_train), (x_test, y_test) = data.split(x.astype(np.float64), y, test=0.2, stratify=y)
        scale = data.Standardize().fit(x_train)
        return (scale.transform(x_train), y_train[:, None]), (scale.transform(x_test), y_test[:, None])

    def before(self, model, train):
        self._compare("before", model, train)

    def report(self, trainer, train, test, out):
        difference = self._compare("after", trainer.model, train)
        last, found = super().report(trainer, train, test, out)
        return last, {**found, "gradient_difference": difference}

    def _compare(self, when, model, train):
        difference = disagreement(model, train[0], train[1].astype(np.float64))
        print(f"{when} training, gradients by hand and by the engine differ by at most {difference:.1e}")
        return difference


SYSTEM = HandWrittenMlp()
