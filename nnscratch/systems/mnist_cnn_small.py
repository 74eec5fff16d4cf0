"""S3: the smaller convolutional network for MNIST (003 §5.2)."""

from nnscratch import nn
from nnscratch.systems.mnist_cnn import MnistCnn


class MnistCnnSmall(MnistCnn):
    """One convolution and two dense layers.

    The text has a softmax layer and a loss that takes logits, which would be softmax twice (E6): here the
    loss takes the probabilities. As in the text the test images are measured after each epoch; nothing is
    chosen by them.
    """

    name = "mnist-cnn-small"
    id = "S3"
    title = "smaller convolutional network that reads handwritten digits"
    document = "003 §5.2"
    epochs, batch_size, lr = 10, 32, 1e-3
    validation_split = 0.0

    def model(self):
        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 13 * 13, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
            nn.Softmax(),
        )

    def scheduler(self, optimizer, epochs):
        return None  # the text states one rate

    def validation_data(self, test):
        return test


SYSTEM = MnistCnnSmall()
