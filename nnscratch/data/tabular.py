"""Two small tables that ship here, for networks of a few neurons (source and licence: TABULAR.md)."""

from pathlib import Path

import numpy as np

IRIS_CLASSES = ("setosa", "versicolor", "virginica")
BREAST_CANCER_CLASSES = ("benign", "malignant")


def iris():
    """Load Fisher's iris data: four measurements of 150 flowers of three species.

    Returns
    -------
    (x, y)
        Sepal length, sepal width, petal length and petal width in cm, float32, shape (150, 4); the species 0,
        1 or 2 (setosa, versicolor, virginica), 50 of each, int64, shape (150,).

    Examples
    --------
    >>> x, y = iris()
    >>> x[0], int(y[0])
    (array([5.1, 3.5, 1.4, 0.2], dtype=float32), 0)
    """
    return _read("iris.csv", IRIS_CLASSES)


def breast_cancer():
    """Load the Wisconsin breast cancer data: ten measures of 569 tumours, and whether they are malignant.

    Returns
    -------
    (x, y)
        The means over the cell nuclei of an image of radius, texture, perimeter, area, smoothness,
        compactness, concavity, concave points, symmetry and fractal dimension, float32, shape (569, 10); 0
        for the 357 benign and 1 for the 212 malignant tumours, int64, shape (569,).

    Examples
    --------
    >>> x, y = breast_cancer()
    >>> x.shape, int(y.sum())
    ((569, 10), 212)
    """
    return _read("breast_cancer.csv", BREAST_CANCER_CLASSES)


def _read(name, classes):
    """The numbers of a table, float32, and its last column as the place in `classes`."""
    table = np.loadtxt(Path(__file__).with_name(name), dtype=str, delimiter=",", skiprows=1)
    return table[:, :-1].astype(np.float32), np.array([classes.index(c) for c in table[:, -1]], np.int64)
