"""S8: the 2-3-1 network that 002 §4.3 follows by hand, with every number computed (W3).

The text lists the weights 0.1, 0.2 and 0.3 with the bias 0.4, and 0.5 with the bias 0.6; its sums give the
hidden neurons the weights (0.1, 0.2), (0.1, 0.2) and (0.1, 0.3), and the output 0.5 for each of them. Its
inputs lie between 0 and 1, and are not stated: here both are 1. No input gives the sums that it prints.
"""

import numpy as np

import nnscratch as ns
from nnscratch import nn, optim
from nnscratch.systems.system import System

INPUT = (1.0, 1.0)
WEIGHTS = {
    "0.weight": [[0.1, 0.2], [0.1, 0.2], [0.1, 0.3]],
    "0.bias": [0.4, 0.4, 0.4],
    "2.weight": [[0.5, 0.5, 0.5]],
    "2.bias": [0.6],
}
# What the text prints for each quantity of `follow`; its updates are written out as sums, worked out here.
TEXT = {
    "z_h = W_h x + b_h": (0.5, 0.5, 0.7),
    "a_h = max(0, z_h)": (0.5, 0.5, 0.7),
    "z_o = W_o a_h + b_o": (1.6,),
    "softmax(z_o)": (1.0,),
    "L = -y log softmax(z_o)": (0.0,),
    "dL/dz_o": (0.0,),
    "dz_o/da_h": (0.5, 0.5, 0.5),
    "dz_o/dz_h": (0.5, 0.5, 0.5),
    "dL/dW_h": None,
    "dL/dW_o": None,
    "w_h11, w_h12, w_h13 after a step": (0.095, 0.195, 0.295),
    "b_h after a step": (0.395,),
    "w_o1 after a step": (0.4975,),
    "b_o after a step": (0.595,),
}


def follow(model, lr):
    """Every number of the text's example, computed.

    Parameters
    ----------
    model : nn.Sequential
        Linear, ReLU, Linear, Softmax, of float64.
    lr : float
        The text's rate of learning is 0.01.

    Returns
    -------
    dict of str to tuple of float
        With the names of `TEXT`.

    Examples
    --------
    >>> numbers = follow(SYSTEM.model(), 0.01)
    >>> [round(z, 12) for z in numbers["z_h = W_h x + b_h"]], numbers["L = -y log softmax(z_o)"]
    ([0.7, 0.7, 0.8], (0.0,))
    """
    hidden, relu, output, softmax = model
    z_h = hidden(ns.tensor([INPUT], dtype="float64", device=hidden.weight.device))
    a_h = relu(z_h)
    z_o = output(a_h)
    probability = softmax(z_o)
    loss = ns.functional.cross_entropy(probability, [0])
    step = [p - lr * g for p, g in zip(model.parameters(), ns.grad(loss, list(model.parameters())), strict=True)]
    w_h, b_h, w_o, b_o = (p.numpy() for p in step)
    values = (
        z_h,
        a_h,
        z_o,
        probability,
        loss,
        ns.grad(loss, z_o),
        ns.grad(z_o, a_h),
        ns.grad(z_o, z_h),
        ns.grad(loss, hidden.weight),
        ns.grad(loss, output.weight),
        (w_h[0, 0], w_h[0, 1], w_h[2, 1]),
        b_h[:1],
        w_o[0, 0],
        b_o,
    )
    numbers = (tuple(float(n) for n in np.ravel(np.asarray(v))) for v in values)
    return dict(zip(TEXT, numbers, strict=True))


class Worked(System):
    """ReLU and softmax over a single output, which is always 1: the loss, all gradients and all steps are
    0."""

    name = "worked-2-3-1"
    id = "S8"
    title = "2-3-1 network followed by hand: forward, loss, backward, update"
    document = "002 §4.3"
    epochs, batch_size, lr = 1, 1, 0.01
    loss = "cross_entropy"

    def model(self):
        model = nn.Sequential(
            nn.Linear(2, 3, dtype="float64"), nn.ReLU(), nn.Linear(3, 1, dtype="float64"), nn.Softmax()
        )
        model.load_state_dict({name: np.array(values) for name, values in WEIGHTS.items()})
        return model

    def optimizer(self, parameters, lr):
        return optim.SGD(parameters, lr=lr)

    def data(self, full):
        example = np.array([INPUT]), np.array([0])
        return example, example

    def before(self, model, train):
        print(f"inputs {INPUT}, weights as listed, the true class the only one\n")
        print(f"{'':34}{'the text':22}computed")
        for name, numbers in follow(model, self.lr).items():
            print(f"{name:34}{_list(TEXT[name]):22}{_list(numbers)}")
        print("\nthe text's last four put dz_o/dz_h in the place of dL/dz_h, which is 0\n")

    def report(self, trainer, train, test, out):
        loss = trainer.evaluate(*test)["loss"]
        after = trainer.model.state_dict()
        change = max(float(np.abs(after[name] - values).max()) for name, values in WEIGHTS.items())
        print(f"\nbaseline, always 1 whatever the input: test loss {loss:.4f}")
        return f"test loss {loss:.4f}, greatest change of a weight {change:g}", {
            "test_loss": loss,
            "baseline_loss": 0.0,
            "greatest_change": change,
        }


def _list(numbers):
    return "not stated" if numbers is None else ", ".join(f"{n:.6g}" for n in numbers)


SYSTEM = Worked()
