"""How good made images are: what a classifier of given ones takes them for, and how near they come to single ones.

That a classifier should know what it sees, and see all there is, is the idea of the inception score (Salimans et al., 2016); here the
classifier is the documents' own network, trained on the same images, so its numbers compare with no other paper's.
"""

import numpy as np

import nnscratch as ns

SURE = 0.9
EPOCHS = 4
AT_ONCE = 100


def classifier(x, y, device="cpu"):
    """The network of `mnist-cnn`, quickly trained, as its Trainer."""
    system = ns.systems.get("mnist-cnn")
    model = system.model().to(device)
    optimizer = system.optimizer(model.parameters(), system.lr)
    trainer = ns.Trainer(model, system.loss, optimizer, system.metrics, system.scheduler(optimizer, EPOCHS))
    trainer.fit(x, y, epochs=EPOCHS, batch_size=system.batch_size, verbose=False)
    return trainer


def taken(trainer, images):
    """The share of images that a classifier takes for each class with more than 0.9 of probability, an array."""
    probability = trainer.predict(images)
    sure = probability.max(-1) > SURE
    return np.bincount(probability.argmax(-1)[sure], minlength=probability.shape[-1]) / len(images)


def nearest(images, among):
    """For each image the number of the nearest of others, and how far it is, the root of the sum of squared differences.

    Examples
    --------
    >>> nearest(np.array([[0.0, 1.0]]), np.array([[3.0, 5.0], [0.0, 0.0]]))
    (array([1]), array([1.]))
    """
    images, among = images.reshape(len(images), -1), among.reshape(len(among), -1)
    squares = (among**2).sum(1)
    found = []
    for start in range(0, len(images), AT_ONCE):  # a table of all distances would be large
        found.append((squares - 2 * images[start : start + AT_ONCE] @ among.T).argmin(1))
    which = np.concatenate(found)
    return which, np.sqrt(((images - among[which]) ** 2).sum(1))


def compare(images, before, given, test):
    """Print how good made images are, beside those made before training; returns what was measured.

    Parameters
    ----------
    images, before : (n, 1, 28, 28) array
    given, test : pair of arrays
        Images, from 0 to 1 as well, and their labels: those that the generator was to learn from, and others.

    Returns
    -------
    dict
    """
    (x, y), (x_test, y_test) = given, test
    far = nearest(images, x)[1].min()
    usual = np.percentile(nearest(x_test, x)[1], 1)
    judge = classifier(x, y)
    shares = taken(judge, images)
    known, accuracy = taken(judge, x_test).sum(), judge.evaluate(x_test, y_test)["accuracy"]
    untrained = taken(judge, before).sum()
    print(
        f"\na classifier of accuracy {accuracy:.4f} takes {known:.3f} of the test images for a class with more than {SURE},"
    )
    print("of the samples " + ", ".join(f"{share:.3f} for {c}" for c, share in enumerate(shares)))
    print(f"nearest training image at {far:.2f}; of test images the nearest hundredth is at {usual:.2f}")
    print(f"baseline, the generator before training: {untrained:.3f}")
    return {
        "taken": float(shares.sum()),
        "taken_for_each": shares.tolist(),
        "taken_before_training": float(untrained),
        "taken_of_test_images": float(known),
        "classifier_accuracy": accuracy,
        "nearest": float(far),
        "nearest_of_test_images": float(usual),
    }
