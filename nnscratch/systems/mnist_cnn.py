"""S2: the convolutional network for MNIST (000 §3)."""

from nnscratch import data, nn, optim
from nnscratch.systems.system import Classifier


class MnistCnn(Classifier):
    """Two convolutions and two dense layers; Adam, cross-entropy, the last 20% held out for validation.

    The text's code does not say a learning rate. Here it is 0.001, and it falls from epoch to epoch, since the same
    section (step 3, optimisation) names learning-rate decay.
    """

    name = "mnist-cnn"
    id = "S2"
    title = "convolutional network that reads handwritten digits"
    document = "000 §3"
    epochs, batch_size, lr = 5, 64, 1e-3
    full = True
    loss = "cross_entropy"
    validation_split = 0.2
    classes = tuple("0123456789")

    def model(self):
        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 5 * 5, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
            nn.Softmax(),
        )

    def scheduler(self, optimizer, epochs):
        return optim.lr_scheduler.CosineLR(optimizer, epochs)

    def data(self, full):
        return data.mnist(sample=not full)


SYSTEM = MnistCnn()
