"""S1: the 3-5-1 network for regression (000 §4)."""

import numpy as np

from nnscratch import data, nn, optim
from nnscratch.systems.system import System

WIDEST = 3.0  # cm; petal widths are divided by it, as a sigmoid's values lie between 0 and 1


class Regression(System):
    """Sigmoid on both layers, mean squared error, gradient descent over all samples at once.

    The text's code leaves out the hidden layer's sigmoid going forward and takes half the mean; here both are
    as in its formulas (E1, E4). The data set, of 100 samples and 3 features as in the text, are the
    versicolor and virginica flowers of Fisher's iris data: petal width from the other three measurements. 20
    of them are kept for the test.
    """

    name = "regression-3-5-1"
    id = "S1"
    title = "3-5-1 network that estimates a flower's petal width from three other measurements"
    document = "000 §4"
    epochs, batch_size, lr = 1000, 80, 0.1
    loss = "mse"
    every = 50

    def model(self):
        normal = {"init": "standard_normal", "bias_init": "standard_normal"}
        return nn.Sequential(nn.Linear(3, 5, **normal), nn.Sigmoid(), nn.Linear(5, 1, **normal), nn.Sigmoid())

    def optimizer(self, parameters, lr):
        return optim.SGD(parameters, lr=lr)

    def data(self, full):
        x, species = data.iris()
        x, species = x[species > 0], species[species > 0]
        train, test = data.split(x, test=0.2, stratify=species)
        scale = data.Standardize().fit(train[:, :3])
        return tuple((scale.transform(part[:, :3]), part[:, 3:] / np.float32(WIDEST)) for part in (train, test))

    def report(self, trainer, train, test, out):
        loss = trainer.evaluate(*test)["loss"]
        baseline = float(np.mean((test[1] - train[1].mean()) ** 2))
        print("\npetal width in cm: measured  estimated")
        for y, p in list(zip(test[1][:, 0], trainer.predict(test[0])[:, 0], strict=True))[:5]:
            print(f"{y * WIDEST:26.1f}  {p * WIDEST:9.2f}")
        error, usual = (WIDEST * value**0.5 for value in (loss, baseline))
        print(f"\nbaseline, always the mean: test loss {baseline:.5f} ({usual:.2f} cm)")
        return f"test loss {loss:.5f} ({error:.2f} cm)", {"test_loss": loss, "baseline_loss": baseline}


SYSTEM = Regression()
