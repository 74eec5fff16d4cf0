"""S12: a binary classifier of ten features (004 §5.2)."""

from nnscratch import data, nn
from nnscratch.data.tabular import BREAST_CANCER_CLASSES
from nnscratch.systems.system import Classifier


class BinaryClassifier(Classifier):
    """100 samples of 10 features, one hidden layer, one sigmoid output; the last 20% held out for validation.

    The text's data are random numbers; these are measures of tumours, malignant or not. Its loss, meant for
    several classes, is binary cross-entropy here (E6).
    """

    name = "binary-classifier"
    id = "S12"
    title = "one hidden layer that tells malignant tumours from benign ones"
    document = "004 §5.2"
    epochs, batch_size, lr = 10, 10, 1e-3
    loss = "binary_cross_entropy"
    validation_split = 0.2
    classes = BREAST_CANCER_CLASSES

    def model(self):
        return nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid())

    def data(self, full):
        x, y = data.breast_cancer()
        (x_train, y_train), (x_test, y_test) = data.split(x, y, test=1 - 100 / len(x), stratify=y)
        scale = data.Standardize().fit(x_train)
        return (scale.transform(x_train), y_train[:, None]), (scale.transform(x_test), y_test[:, None])


SYSTEM = BinaryClassifier()
